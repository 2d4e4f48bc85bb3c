//! What is where in a process: modules at their addresses, and the routine of each address.

use std::ops::Range;
use std::rc::Rc;

use super::module::Module;
use crate::cpu::profile::Extents;
use crate::image::stack::SIGCODE;

/// Bytes of a page.
const PAGE: u32 = 4096;
/// Page of the kernel's trampoline for signals.
const TRAMPOLINE: u32 = SIGCODE & !(PAGE - 1);

/// The routine of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A routine with a name, by its number among those of all modules.
    Named(u32),
    /// Code of a module that has none; by what was called of it.
    Unnamed,
    /// The trampoline.
    Trampoline,
    /// Code of no module.
    Elsewhere,
}

/// A module and where it is.
#[derive(Clone, Debug)]
struct Region {
    at: Range<u32>,
    /// What is to be added to an address of the file.
    base: u32,
    /// Number of the module, for names of places.
    number: usize,
    module: Rc<Module>,
}

/// What is where.
#[derive(Clone, Debug, Default)]
pub(super) struct Map {
    regions: Vec<Region>,
}

impl Map {
    /// Puts a module at the addresses that it wants.
    pub(super) fn program(&mut self, number: usize, module: Rc<Module>) {
        self.put(Region { at: module.all.clone(), base: 0, number, module });
    }

    /// Puts a library at other addresses.
    pub(super) fn library(&mut self, at: Range<u32>, number: usize, module: Rc<Module>) {
        // Where a program maps a piece of itself it is there already.
        let base = if module.all.start == at.start { 0 } else { at.start };
        self.put(Region { at, base, number, module });
    }

    /// Takes out the modules that begin among addresses that are gone.
    pub(super) fn unmap(&mut self, gone: &Range<u32>) {
        self.regions.retain(|region| !gone.contains(&region.at.start));
    }

    /// Whether a module begins there.
    pub(super) fn has(&self, at: u32) -> bool {
        self.regions.iter().any(|region| region.at.start == at)
    }

    fn put(&mut self, region: Region) {
        self.regions.retain(|other| other.at.end <= region.at.start || region.at.end <= other.at.start);
        let place = self.regions.partition_point(|other| other.at.start < region.at.start);
        self.regions.insert(place, region);
    }

    fn region(&self, address: u32) -> Result<&Region, Range<u32>> {
        let behind = self.regions.partition_point(|region| region.at.start <= address);
        let before = behind.checked_sub(1).and_then(|index| self.regions.get(index));
        match before {
            Some(region) if region.at.contains(&address) => Ok(region),
            _ => {
                let start = before.map_or(0, |region| region.at.end);
                let end = self.regions.get(behind).map_or(TRAMPOLINE, |next| next.at.start);
                Err(start..end.max(start))
            }
        }
    }

    /// The routine of an address, and its addresses.
    pub(super) fn at(&self, address: u32) -> (Place, Range<u32>) {
        if address >= TRAMPOLINE {
            return (Place::Trampoline, TRAMPOLINE..u32::MAX);
        }
        match self.region(address) {
            Ok(region) => {
                let inside = address.wrapping_sub(region.base);
                let moved = |range: Range<u32>| {
                    let to = |at: u32| at.wrapping_add(region.base);
                    to(range.start).max(region.at.start)..to(range.end).min(region.at.end)
                };
                match region.module.routine(inside) {
                    Some((index, range)) => (Place::Named(region.module.first + index as u32), moved(range)),
                    None => (Place::Unnamed, moved(region.module.gap(inside))),
                }
            }
            Err(gap) => (Place::Elsewhere, gap),
        }
    }

    /// An address of a process as one of its module.
    pub(super) fn inside(&self, address: u32) -> (Option<usize>, u32) {
        match self.region(address) {
            Ok(region) => (Some(region.number), address.wrapping_sub(region.base)),
            Err(_) => (None, address),
        }
    }
}

impl Extents for Map {
    fn extent(&self, eip: u32) -> Range<u32> {
        self.at(eip).1
    }

    fn place(&self, eip: u32) -> u64 {
        let (module, address) = self.inside(eip);
        (module.map_or(0, |number| number as u64 + 1)) << 32 | u64::from(address)
    }
}
