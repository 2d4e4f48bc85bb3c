//! Boots the machine that was described.
//!
//! Must not know what the description means to a program.

use std::rc::Rc;

use super::{Builder, StartError, inherit, resolver};
use crate::host::fs::{host_identity, raise_descriptor_limit};
use crate::host::signal::outlive_file_limits;
use crate::host::stdio::Stream;
use crate::host::tape::Question;
use crate::host::temporary;
use crate::kernel::boot::Config;
use crate::kernel::socket::Network;
use crate::kernel::sysctl::System;
use crate::kernel::time::Clock;
use crate::kernel::vfs::Options;
use crate::kernel::vfs::attr::Owners;
use crate::machine::Machine;
use crate::mem::AddressSpace;

/// Descriptors that a run may have whose recording does not say.
const DESCRIPTORS: u64 = 1024;
/// Address spaces that exist when the first program starts: of process 1, of the first process, and of
/// its program.
const SPACES_AT_BOOT: usize = 3;

impl Builder {
    /// Boots the machine and loads the program; nothing of it has run yet.
    pub fn build(mut self) -> Result<Machine, StartError> {
        let repeatable = self.clock.as_ref().is_some_and(Clock::is_virtual);
        let above = self.temporary.take().unwrap_or_else(std::env::temp_dir);
        let lent = self.lend_files(&above).map_err(StartError::Temporary)?;
        self.settle_mounts()?;
        let here = match self.here.take() {
            Some(here) => here,
            None => std::env::current_dir().map_err(StartError::CurrentDirectory)?,
        };
        let scratch = match self.scratch.is_empty() {
            true => None,
            false => Some(temporary::directory(&above).map_err(StartError::Temporary)?),
        };
        let tape = std::mem::take(&mut self.tape);
        let descriptors = tape.learn(Question::Boot, raise_descriptor_limit).unwrap_or(DESCRIPTORS);
        outlive_file_limits();
        AddressSpace::reserve(SPACES_AT_BOOT).map_err(StartError::Memory)?;
        let owners = Owners { host: host_identity(), guest: (self.uid, self.gid) };
        let mut vfs =
            self.tree(&here, above, scratch.as_ref(), Options { owners, repeatable, seed: self.seed })?;
        vfs.set_descriptors(descriptors);
        vfs.reads = self.reads.take();
        let config = Config {
            vfs,
            clock: self.clock.take().unwrap_or_else(Clock::host),
            system: System::new(&host_name(repeatable)),
            network: self.network,
        };
        let mut machine = Machine::with_tape(config, tape);
        if !repeatable {
            machine.kernel_mut().procs.set_last_pid(inherit::number_before_first());
        }
        machine.kernel_mut().lent.outside = self.host_sockets;
        if self.network == Network::Host {
            resolver::offer(machine.kernel_mut());
        }
        if let Some(display) = &self.display {
            machine.kernel_mut().lent.add(display.lent());
        }
        if let Some(printer) = self.printer.take() {
            let mut stream = Stream::new(printer).map_err(|e| StartError::Temporary(e.0.into()))?;
            inherit::taped(&machine.kernel().tape, &mut stream)?;
            machine.kernel_mut().vfs.lend_printer(stream);
        } else if self.printed {
            let stream = inherit::played(&machine.kernel().tape)?;
            machine.kernel_mut().vfs.lend_printer(stream);
        }
        machine.requests.unheeded = std::mem::take(&mut self.unheeded);
        (machine.scratch, machine.lent) = (scratch.map(Rc::new), lent.map(Rc::new));
        machine.watch(self.observer.take(), self.collector.take());
        self.start(&mut machine, &here)?;
        machine.limit(self.limits);
        machine.meter.cancel = self.cancel.take();
        Ok(machine)
    }
}

/// The guest's host name: the host's own, or a constant where runs must be repeatable.
fn host_name(repeatable: bool) -> Vec<u8> {
    if repeatable { b"bsd21".to_vec() } else { crate::host::system::node_name() }
}
