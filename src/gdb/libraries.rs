//! Libraries that the guests have mapped, for gdb: where they are, and their files with an ELF header.
//!
//! gdb asks for the list, and reads each file through the stub.  Files of the guest's that are no libraries of a.out
//! are nobody's business here.

use std::collections::BTreeMap;

use gdbstub::target::TargetResult;
use gdbstub::target::ext::host_io::{
    HostIo, HostIoClose, HostIoCloseOps, HostIoErrno, HostIoError, HostIoFstat, HostIoFstatOps, HostIoOpen,
    HostIoOpenFlags, HostIoOpenMode, HostIoOpenOps, HostIoPread, HostIoPreadOps, HostIoResult, HostIoStat,
};
use gdbstub::target::ext::libraries::Libraries;

use super::target::Session;
use crate::image::to_elf;
use crate::mem::FileId;

/// Most files that gdb may have open.
const MOST_OPEN: usize = 64;

/// A file for gdb.
#[derive(Debug)]
struct Library {
    /// Its path in the guest.
    path: Vec<u8>,
    elf: Vec<u8>,
}

/// The libraries of all processes.
#[derive(Debug, Default)]
pub(super) struct Mapped {
    /// What was found out of each file, where it is a library.
    files: BTreeMap<FileId, Option<Library>>,
    /// Where each of them begins.
    places: Vec<(u32, FileId)>,
    /// Files that gdb has open: the library's, or the program's.
    open: Vec<Option<Vec<u8>>>,
}

impl Session {
    /// Looks whether processes have other libraries than gdb knows of.
    pub(super) fn libraries_changed(&mut self) -> bool {
        let mut places = self.machine.mapped_programs();
        for &(_, id) in &places {
            let machine = &self.machine;
            self.mapped.files.entry(id).or_insert_with(|| {
                let (path, bytes) = machine.file(id)?;
                to_elf::library(&bytes).map(|elf| Library { path, elf })
            });
        }
        places.retain(|(_, id)| matches!(self.mapped.files.get(id), Some(Some(_))));
        places.sort_unstable();
        places.dedup();
        let changed = places != self.mapped.places;
        self.mapped.places = places;
        changed
    }

    fn file_for_gdb(&self, name: &[u8]) -> Option<Vec<u8>> {
        let libraries = || self.mapped.files.values().flatten();
        if let Some(library) = libraries().find(|library| library.path == name) {
            return Some(library.elf.clone());
        }
        let path = std::str::from_utf8(&self.file).ok().filter(|_| name == self.file)?;
        std::fs::read(path).ok()
    }

    fn open_file(&self, fd: u32) -> Result<&[u8], HostIoError<std::convert::Infallible>> {
        let file = self.mapped.open.get(fd as usize).and_then(Option::as_deref);
        file.ok_or(HostIoError::Errno(HostIoErrno::EBADF))
    }
}

impl Libraries for Session {
    fn get_libraries(&self, offset: u64, length: usize, to: &mut [u8]) -> TargetResult<usize, Self> {
        let mut list = String::from("<library-list version=\"1.0\">");
        for (base, id) in &self.mapped.places {
            let Some(Some(library)) = self.mapped.files.get(id) else { continue };
            list += &format!("<library name=\"{}\">", escaped(&library.path));
            for section in to_elf::addresses(&library.elf) {
                list += &format!("<section address=\"{:#x}\"/>", base.wrapping_add(section));
            }
            list += "</library>";
        }
        list += "</library-list>";
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(list.len());
        let rest = &list.as_bytes()[from..];
        let count = rest.len().min(length).min(to.len());
        to[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// A path in XML.
fn escaped(path: &[u8]) -> String {
    let mut text = String::new();
    for c in String::from_utf8_lossy(path).chars() {
        match c {
            '&' => text += "&amp;",
            '<' => text += "&lt;",
            '"' => text += "&quot;",
            c if c.is_control() => text.push('?'),
            c => text.push(c),
        }
    }
    text
}

impl HostIo for Session {
    fn support_open(&mut self) -> Option<HostIoOpenOps<'_, Self>> {
        Some(self)
    }

    fn support_close(&mut self) -> Option<HostIoCloseOps<'_, Self>> {
        Some(self)
    }

    fn support_pread(&mut self) -> Option<HostIoPreadOps<'_, Self>> {
        Some(self)
    }

    fn support_fstat(&mut self) -> Option<HostIoFstatOps<'_, Self>> {
        Some(self)
    }
}

impl HostIoOpen for Session {
    fn open(&mut self, name: &[u8], flags: HostIoOpenFlags, _: HostIoOpenMode) -> HostIoResult<u32, Self> {
        if flags.intersects(HostIoOpenFlags::O_WRONLY | HostIoOpenFlags::O_RDWR) {
            return Err(HostIoError::Errno(HostIoErrno::EROFS));
        }
        let file = self.file_for_gdb(name).ok_or(HostIoError::Errno(HostIoErrno::ENOENT))?;
        let open = &mut self.mapped.open;
        let free = open.iter().position(Option::is_none).unwrap_or(open.len());
        if free >= MOST_OPEN {
            return Err(HostIoError::Errno(HostIoErrno::EMFILE));
        }
        open.resize_with(open.len().max(free + 1), || None);
        open[free] = Some(file);
        Ok(free as u32)
    }
}

impl HostIoClose for Session {
    fn close(&mut self, fd: u32) -> HostIoResult<(), Self> {
        self.open_file(fd)?;
        self.mapped.open[fd as usize] = None;
        Ok(())
    }
}

impl HostIoPread for Session {
    fn pread(&mut self, fd: u32, count: usize, offset: u64, to: &mut [u8]) -> HostIoResult<usize, Self> {
        let file = self.open_file(fd)?;
        let rest = &file[usize::try_from(offset).unwrap_or(usize::MAX).min(file.len())..];
        let count = rest.len().min(count).min(to.len());
        to[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

impl HostIoFstat for Session {
    fn fstat(&mut self, fd: u32) -> HostIoResult<HostIoStat, Self> {
        let size = self.open_file(fd)?.len() as u64;
        Ok(HostIoStat {
            st_dev: 0,
            st_ino: fd,
            st_mode: HostIoOpenMode::S_IFREG | HostIoOpenMode::S_IRUSR,
            st_nlink: 1,
            st_uid: 0,
            st_gid: 0,
            st_rdev: 0,
            st_size: size,
            st_blksize: 4096,
            st_blocks: size.div_ceil(512),
            st_atime: 0,
            st_mtime: 0,
            st_ctime: 0,
        })
    }
}
