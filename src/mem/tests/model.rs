//! Random sequences of map, protect, unmap, store, copy and fork against a simple model.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::fd::AsFd;

use proptest::prelude::*;

use crate::mem::{AddressSpace, FileId, FileMode, Prot, Sharing};
use crate::trapframe::{Access, FaultCause};

const PAGE: u32 = 0x1000;
const ARENA: u32 = 24;
const ID: FileId = FileId { dev: 3, ino: 3 };

#[derive(Clone, Debug)]
enum Step {
    Anon {
        at: u32,
        pages: u32,
        prot: u8,
    },
    File {
        at: u32,
        pages: u32,
        prot: u8,
        offset: u32,
    },
    Protect {
        at: u32,
        pages: u32,
        prot: u8,
    },
    Unmap {
        at: u32,
        pages: u32,
    },
    Store {
        at: u32,
        value: u64,
    },
    Copyout {
        at: u32,
        len: u32,
        fill: u8,
    },
    Load {
        at: u32,
    },
    Watch {
        at: u32,
        len: u32,
    },
    /// Goes on in the child (true) or in the parent, and drops the other one.
    Fork {
        child: bool,
    },
    Reuse,
}

fn step() -> impl Strategy<Value = Step> {
    let (at, pages, prot) = (0..ARENA, 1u32..8, 0u8..8);
    let addr = 0..(ARENA + 1) * PAGE;
    prop_oneof![
        1 => (at.clone(), pages.clone(), prot.clone()).prop_map(|(at, pages, prot)| Step::Anon { at, pages, prot }),
        1 => (at.clone(), pages.clone(), prot.clone(), 0u32..6)
            .prop_map(|(at, pages, prot, offset)| Step::File { at, pages, prot, offset }),
        1 => (at.clone(), pages.clone(), prot).prop_map(|(at, pages, prot)| Step::Protect { at, pages, prot }),
        1 => (at, pages).prop_map(|(at, pages)| Step::Unmap { at, pages }),
        3 => (addr.clone(), any::<u64>()).prop_map(|(at, value)| Step::Store { at, value }),
        2 => (addr.clone(), 0u32..0x2800, any::<u8>()).prop_map(|(at, len, fill)| Step::Copyout { at, len, fill }),
        3 => addr.clone().prop_map(|at| Step::Load { at }),
        1 => (addr, 1u32..80).prop_map(|(at, len)| Step::Watch { at, len }),
        1 => any::<bool>().prop_map(|child| Step::Fork { child }),
        1 => Just(Step::Reuse),
    ]
}

#[derive(Clone)]
struct Page {
    prot: u8,
    written: bool,
    /// None: beyond the end of the file.
    bytes: Option<Vec<u8>>,
}

impl Page {
    fn allows(&self, access: Access) -> Result<(), FaultCause> {
        let allowed = match access {
            Access::Write => self.prot & 2 != 0,
            _ => self.prot & 1 != 0 || self.prot & 2 != 0 && self.written,
        };
        if !allowed {
            return Err(FaultCause::Protection);
        }
        self.bytes.as_ref().map(|_| ()).ok_or(FaultCause::BeyondEof)
    }
}

/// Page number to page.
type Model = BTreeMap<u32, Page>;

fn check(model: &Model, addr: u32, len: u32, access: Access) -> Result<(), (u32, FaultCause)> {
    for at in addr..addr + len {
        let page = model.get(&(at / PAGE)).ok_or((at, FaultCause::NotMapped))?;
        page.allows(access).map_err(|cause| (at, cause))?;
    }
    Ok(())
}

fn put(model: &mut Model, addr: u32, bytes: &[u8]) {
    for (at, &byte) in (addr..).zip(bytes) {
        let page = model.get_mut(&(at / PAGE)).expect("checked");
        page.written = true;
        page.bytes.as_mut().expect("checked")[(at % PAGE) as usize] = byte;
    }
}

fn get(model: &Model, addr: u32, len: u32) -> Vec<u8> {
    (addr..addr + len)
        .map(|at| model[&(at / PAGE)].bytes.as_ref().expect("checked")[(at % PAGE) as usize])
        .collect()
}

/// A file of three and a half pages.
fn sample() -> Vec<u8> {
    (0..0x3800u32).map(|i| (i / 7) as u8).collect()
}

fn run(mode: FileMode, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut space = AddressSpace::with_mode(mode).unwrap();
    let mut model = Model::new();
    let mut watched: Vec<(u32, u32)> = Vec::new();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&sample()).unwrap();
    for step in steps {
        match *step {
            Step::Anon { at, pages, prot } => {
                space.map_anon(at * PAGE, pages * PAGE, Prot::from_bits_truncate(prot)).unwrap();
                for page in at..at + pages {
                    let bytes = Some(vec![0; PAGE as usize]);
                    model.insert(page, Page { prot, written: false, bytes });
                }
            }
            Step::File { at, pages, prot, offset } => {
                let start = u64::from(offset * PAGE);
                let flags = Prot::from_bits_truncate(prot);
                space
                    .map_file(at * PAGE, pages * PAGE, flags, file.as_fd(), start, Sharing::Private, ID)
                    .unwrap();
                for page in at..at + pages {
                    let from = ((offset + page - at) * PAGE) as usize;
                    let bytes = sample().get(from..).filter(|rest| !rest.is_empty()).map(|rest| {
                        let mut bytes = rest[..rest.len().min(PAGE as usize)].to_vec();
                        bytes.resize(PAGE as usize, 0);
                        bytes
                    });
                    model.insert(page, Page { prot, written: false, bytes });
                }
            }
            Step::Protect { at, pages, prot } => {
                space.protect(at * PAGE, pages * PAGE, Prot::from_bits_truncate(prot)).unwrap();
                model.range_mut(at..at + pages).for_each(|(_, page)| page.prot = prot);
            }
            Step::Unmap { at, pages } => {
                space.unmap(at * PAGE, pages * PAGE).unwrap();
                model.retain(|page, _| !(at..at + pages).contains(page));
            }
            Step::Store { at, value } => {
                let want = check(&model, at, 8, Access::Write);
                let got = space.view().store64(at, value);
                prop_assert_eq!(got.map(|_| ()).map_err(|f| (f.address, f.cause)), want);
                if want.is_ok() {
                    put(&mut model, at, &value.to_le_bytes());
                    watched.retain(|&(a, len)| {
                        let hit = at < a + len && a < at + 8;
                        !hit || !space.code_written()
                    });
                    space.take_code_writes();
                }
            }
            Step::Copyout { at, len, fill } => {
                let want = check(&model, at, len, Access::Write);
                let got = space.copyout(at, &vec![fill; len as usize]);
                prop_assert_eq!(got.map_err(|f| (f.address, f.cause)), want);
                let good = want.map_or_else(|(bad, _)| bad - at, |()| len);
                put(&mut model, at, &vec![fill; good as usize]);
            }
            Step::Load { at } => {
                let want = check(&model, at, 4, Access::Read);
                let got = space.view().load32(at);
                prop_assert_eq!(got.map_err(|f| (f.address, f.cause)).map(|_| ()), want);
                if let Ok(word) = got {
                    prop_assert_eq!(word.to_le_bytes().to_vec(), get(&model, at, 4));
                }
            }
            Step::Watch { at, len } => {
                space.watch_code(at, len);
                watched.push((at, len));
            }
            Step::Fork { child } => {
                let other = space.fork().unwrap();
                if child {
                    space = other;
                }
            }
            Step::Reuse => {
                space = AddressSpace::with_mode(mode).unwrap();
                model.clear();
                watched.clear();
            }
        }
    }
    for (page, expected) in &model {
        let mut bytes = vec![0; PAGE as usize];
        let got = space.copyin(page * PAGE, &mut bytes).map_err(|f| f.cause);
        prop_assert_eq!(got, expected.allows(Access::Read));
        if got.is_ok() {
            prop_assert!(Some(&bytes) == expected.bytes.as_ref(), "contents of page {:#x}", page);
        }
    }
    let listed: u32 = space.regions().map(|region| region.len / PAGE).sum();
    prop_assert_eq!(listed as usize, model.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_behaves_like_the_model(steps in prop::collection::vec(step(), 1..60)) {
        run(FileMode::Mapped, &steps)?;
        run(FileMode::Copied, &steps)?;
    }
}
