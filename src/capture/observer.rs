//! What listens to a run: the chain of its calls, their text where that is wanted, and the images that it uses.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::ops::Range;
use std::rc::Rc;

use super::chain::Chain;
use crate::kernel::Kernel;
use crate::kernel::event::{Event, Observer};
use crate::kernel::proc::ProcId;
use crate::kernel::vfs::mount::{FsType, MountFlags};
use crate::trace::options::FdDetail;
use crate::trace::record::{Record, What};
use crate::trace::value::Value;
use crate::trace::{Options, Output, Render, Tracer, render};

/// Most bytes of a transfer that count.
const BYTES: usize = 1 << 24;
/// Bytes that a line takes besides its text.
const LINE: usize = 32;
/// Most bytes of a string that is shown.
const SHOWN: usize = 64;

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The calls.
    pub(super) chain: Chain,
    /// Lines of those that were wanted, by their numbers.
    pub(super) text: Vec<String>,
    /// What the last of them is about: the file of its descriptor, or its path.
    pub(super) about: Option<Vec<u8>>,
    /// Bytes of these lines.
    kept: u64,
    /// Paths of files that were executed or mapped where the guest could not change them.
    pub(super) images: BTreeSet<Vec<u8>>,
}

/// Listens to a run.
#[derive(Debug)]
pub(super) struct Listener {
    heard: Rc<RefCell<Heard>>,
    chain: Tracer,
    text: Option<Tracer>,
}

impl Listener {
    /// A listener that keeps the lines of the wanted calls; and what it hears.
    pub(super) fn new(wanted: Option<Range<u64>>) -> (Self, Rc<RefCell<Heard>>) {
        let heard = Rc::new(RefCell::new(Heard::default()));
        let options = Options { string_limit: BYTES, verbose: true, ..Options::default() };
        let links = Links(Rc::clone(&heard));
        let nowhere = || Output::stream(Box::new(io::sink()), false);
        let chain = Tracer::with_rendering(options, nowhere(), Box::new(links));
        let text = wanted.map(|wanted| {
            let mut options = Options {
                string_limit: SHOWN,
                always_pids: true,
                column: 0,
                fd_detail: FdDetail::Path,
                ..Options::default()
            };
            // Known for what a difference is about; the lines have numbers.
            options.style.plain_fds = true;
            let line = Line::default();
            let output = Output::stream(Box::new(line.clone()), true);
            let lines = Lines {
                heard: Rc::clone(&heard),
                inner: render::new(&options, false),
                line,
                counter: Chain::default(),
                wanted,
            };
            Tracer::with_rendering(options, output, Box::new(lines))
        });
        (Self { heard: Rc::clone(&heard), chain, text }, heard)
    }
}

impl Observer for Listener {
    fn event(&mut self, kernel: &Kernel, id: ProcId, sequence: u64, event: &Event) {
        if let Event::Image { vnode } = event {
            let mount = kernel.vfs.mount_of(*vnode);
            if mount.kind == FsType::Ufs
                && mount.flags.contains(MountFlags::RDONLY)
                && let Some(path) = kernel.vfs.path_of(*vnode)
            {
                self.heard.borrow_mut().images.insert(path);
            }
        }
        self.chain.event(kernel, id, sequence, event);
        if let Some(text) = &mut self.text {
            text.event(kernel, id, sequence, event);
        }
    }

    fn kept(&self) -> u64 {
        self.heard.borrow().kept
    }
}

/// Puts records into the chain.
#[derive(Debug)]
struct Links(Rc<RefCell<Heard>>);

impl Render for Links {
    fn record(&mut self, record: &Record<'_>, _output: &mut Output) {
        self.0.borrow_mut().chain.add(record);
    }
}

/// Keeps lines of records that count.
#[derive(Debug)]
struct Lines {
    heard: Rc<RefCell<Heard>>,
    inner: Box<dyn Render>,
    line: Line,
    counter: Chain,
    wanted: Range<u64>,
}

impl Render for Lines {
    fn record(&mut self, record: &Record<'_>, output: &mut Output) {
        let number = self.counter.count;
        if !self.counter.add(record) || !self.wanted.contains(&number) {
            return;
        }
        self.inner.record(record, output);
        let line = self.line.0.take();
        let line = String::from_utf8_lossy(&line);
        let line = if line.is_empty() { format!("{:<5} continues", record.pid) } else { line.into_owned() };
        let line = line.trim_end().to_owned();
        let mut heard = self.heard.borrow_mut();
        heard.about = about(record);
        heard.kept += (line.len() + LINE) as u64;
        heard.text.push(line);
    }
}

/// What a call is about: the file of its first descriptor, else its first string.
fn about(record: &Record<'_>) -> Option<Vec<u8>> {
    let What::Leave(call) = &record.what else { return None };
    call.args.iter().flat_map(|arg| &arg.values).find_map(|value| match value {
        Value::Fd { about: Some(about), .. } => Some(about.as_bytes().to_vec()),
        Value::Bytes { bytes, .. } => Some(bytes.clone()),
        _ => None,
    })
}

/// A line that is being written.
#[derive(Clone, Debug, Default)]
struct Line(Rc<RefCell<Vec<u8>>>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
