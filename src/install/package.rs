//! Packages as pkg_create makes them: an archive whose first entry is `+CONTENTS`, the list of what belongs where.
//!
//! Files go to the directory that `@cwd` names before them, with the owner, group and mode of the last directives; the
//! package's own files go to `/var/db/pkg/NAME`.  Commands (`@exec`, `+INSTALL`) are programs of the guest and are not
//! run: the report tells them.
//!
//! 2.1 counterpart: usr.sbin/pkg_install (lib/plist.c, add/extract.c).

use std::collections::HashMap;

use super::write::{Item, What, Writer};
use super::{InstallError, Report};

/// Where the lists of packages are.
const DATABASE: &str = "var/db/pkg";
/// Where packages go that do not say so.
const PREFIX: &str = "/usr/local";

/// Where a file belongs, and what it gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    path: Vec<u8>,
    mode: Option<u16>,
    /// It belongs to somebody else than the super-user.
    owner: Option<(u32, u32)>,
}

/// What a list says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Package {
    name: String,
    places: HashMap<Vec<u8>, Place>,
    commands: Vec<String>,
    needs: Vec<String>,
    scripts: Vec<String>,
}

/// Numbers of the users and groups that packages name (etc/master.passwd and etc/group of 2.1).
const NUMBERS: [(&str, u32); 12] = [
    ("root", 0),
    ("wheel", 0),
    ("daemon", 1),
    ("kmem", 2),
    ("operator", 5),
    ("tty", 4),
    ("bin", 7),
    ("news", 8),
    ("man", 9),
    ("games", 13),
    ("uucp", 66),
    ("nobody", 65534),
];

fn number(name: &str, group: bool) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    // As a user bin is 3, as a group 7; operator is 2 and 5, tty is a group.
    match (name, group) {
        ("bin", false) => Some(3),
        ("operator", false) => Some(2),
        ("games", false) => Some(7),
        ("kmem", false) => Some(5),
        _ => NUMBERS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number),
    }
}

impl Package {
    /// Reads a list; `fallback` is the package's name where the list has none.
    pub(super) fn read(fallback: &str, list: &[u8]) -> Self {
        let mut package = Self { name: fallback.to_owned(), ..Self::default() };
        let mut cwd = PREFIX.as_bytes().to_vec();
        let (mut mode, mut user, mut group) = (None, None, None);
        let mut ignored = false;
        for line in list.split(|&c| c == b'\n').filter(|line| !line.is_empty()) {
            if let Some(directive) = line.strip_prefix(b"@") {
                let text = String::from_utf8_lossy(directive).into_owned();
                let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
                let rest = rest.trim();
                match word {
                    "cwd" | "cd" => cwd = rest.as_bytes().to_vec(),
                    "name" => package.name = one_component(rest).unwrap_or(package.name),
                    "mode" => mode = u16::from_str_radix(rest, 8).ok().map(|mode| mode & 0o7777),
                    "owner" => user = number(rest, false),
                    "group" => group = number(rest, true),
                    "exec" => package.commands.push(rest.to_owned()),
                    "pkgdep" => package.needs.push(rest.to_owned()),
                    "ignore" => ignored = true,
                    _ => {}
                }
                continue;
            }
            if std::mem::take(&mut ignored) {
                continue;
            }
            let owner = (user.is_some() || group.is_some()).then(|| (user.unwrap_or(0), group.unwrap_or(0)));
            let path = [&cwd[..], b"/", line].concat();
            package.places.insert(line.to_vec(), Place { path, mode, owner });
        }
        package
    }

    /// Writes down the list itself.
    pub(super) fn begin(
        &self,
        list: &[u8],
        writer: &mut Writer,
        report: &mut Report,
    ) -> Result<(), InstallError> {
        if !self.needs.is_empty() {
            report.notes.push(format!("package {} needs: {}", self.name, self.needs.join(", ")));
        }
        let item = Item {
            path: format!("{DATABASE}/{}/+CONTENTS", self.name).into_bytes(),
            what: What::File(list.len() as u64),
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            flags: 0,
        };
        writer.put(item, &mut &list[..])
    }

    /// Says where an entry of the archive belongs; whether the list knows it.
    pub(super) fn place(&mut self, path: &mut Vec<u8>, item: &mut Item) -> bool {
        let plain = path.strip_prefix(b"./").unwrap_or(path).to_vec();
        if plain.starts_with(b"+") && !plain.contains(&b'/') {
            let name = String::from_utf8_lossy(&plain).into_owned();
            if ["+INSTALL", "+REQUIRE"].contains(&name.as_str()) {
                self.scripts.push(name);
            }
            *path = [format!("{DATABASE}/{}/", self.name).as_bytes(), &plain].concat();
            return true;
        }
        let Some(place) = self.places.get(&plain) else { return false };
        *path = place.path.clone();
        if let What::Name(target) = &mut item.what {
            let known = self.places.get(target.strip_prefix(b"./").unwrap_or(target));
            *target = known.map_or_else(|| target.clone(), |place| place.path.clone());
        }
        if let Some(mode) = place.mode {
            item.mode = mode;
        }
        if let Some((uid, gid)) = place.owner {
            (item.uid, item.gid) = (uid, gid);
        }
        true
    }

    /// Tells what is left to do.
    pub(super) fn end(&self, _writer: &mut Writer, report: &mut Report) {
        for script in &self.scripts {
            report.notes.push(format!(
                "package {}: {script} was not run; bsd21 run --root DEST /bin/sh /{DATABASE}/{}/{script} {} POST-INSTALL",
                self.name, self.name, self.name
            ));
        }
        for command in &self.commands {
            report.notes.push(format!("package {}: was not run: {command}", self.name));
        }
    }
}

/// A name that is one component of a path.
fn one_component(name: &str) -> Option<String> {
    (!name.is_empty() && !name.starts_with('.') && !name.contains('/')).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_where_files_belong() {
        let list = b"@name bash-1.14.5\n@cwd /usr/local\n@comment x\nbin/bash\n@mode 4555\n@owner bin\n@group bin\nbin/su\n\
            @mode\n@owner\n@group\n@ignore\nnot/here\n@cwd /etc\nshells\n@exec echo hi\n@pkgdep readline\n";
        let mut package = Package::read("x", list);
        assert_eq!(package.name, "bash-1.14.5");
        assert_eq!((package.commands.len(), package.needs.len()), (1, 1));
        let item = Item {
            path: Vec::new(),
            what: What::File(1),
            mode: 0o644,
            uid: 9,
            gid: 9,
            mtime: (0, 0),
            flags: 0,
        };
        let mut place = |path: &str| {
            let (mut path, mut item) = (path.as_bytes().to_vec(), item.clone());
            let known = package.place(&mut path, &mut item);
            (known, String::from_utf8(path).unwrap(), item.mode, item.uid, item.gid)
        };
        assert_eq!(place("bin/bash"), (true, "/usr/local/bin/bash".to_owned(), 0o644, 9, 9));
        assert_eq!(place("bin/su"), (true, "/usr/local/bin/su".to_owned(), 0o4555, 3, 7));
        assert_eq!(place("shells"), (true, "/etc/shells".to_owned(), 0o644, 9, 9));
        assert_eq!(place("+DESC").1, "var/db/pkg/bash-1.14.5/+DESC");
        assert!(!place("not/here").0 && !place("../x").0);
        assert_eq!(Package::read("x", b"@name ../../etc\n").name, "x");
    }
}
