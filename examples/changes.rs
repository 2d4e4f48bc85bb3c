//! Finds the instruction that gives a word of memory its last value, by bisection over snapshots:
//! `cargo run --example changes -- fixtures/bin/hello 0x2040`.

use std::error::Error;

use bsd21::kernel::time::Clock;
use bsd21::machine::debug::{Stop, Stops};
use bsd21::machine::{Machine, Snapshot, Stdio};

/// Instructions between two snapshots of the run.
const APART: u64 = 10_000;
/// The call by which a program ends.
const EXIT: u32 = 1;

/// Runs on to a count of instructions; false where a program ends before.
fn run_to(machine: &mut Machine, count: u64) -> bool {
    let stops = Stops { at: Some(count), calls: [EXIT].into(), ..Stops::default() };
    while machine.instructions() < count {
        if matches!(machine.run_until(&stops), Stop::Enter(..) | Stop::Ended(_)) {
            return false;
        }
    }
    true
}

/// The word at an address, of the first process.
fn word(machine: &Machine, address: u32) -> Option<u32> {
    let mut bytes = [0; 4];
    let pid = machine.processes().first()?.pid;
    (machine.peek(pid, address, &mut bytes) == bytes.len()).then(|| u32::from_le_bytes(bytes))
}

/// The count of instructions behind which a word has its last value, and the address of the last of them.
pub(crate) fn find(program: &str, address: u32) -> Result<Option<(u64, u32)>, Box<dyn Error>> {
    let mut machine = Machine::builder()
        .program(program)
        .clock(Clock::deterministic())
        .read_only()
        .stdin("")
        .stdout(Stdio::Captured)
        .stderr(Stdio::Captured)
        .build()?;

    // The run, with a snapshot every few instructions: memory that does not change is kept once.
    let mut moments: Vec<Snapshot> = vec![machine.snapshot()?];
    while run_to(&mut machine, moments.len() as u64 * APART) {
        moments.push(machine.snapshot()?);
    }
    moments.push(machine.snapshot()?);
    let last = word(&machine, address);

    // The last moment at which the word was another one, then the instruction behind it.
    let differs = |moment: &Snapshot| moment.machine().is_ok_and(|then| word(&then, address) != last);
    let Some(before) = moments.iter().rposition(differs) else { return Ok(None) };
    let (mut low, mut high) = (moments[before].instructions(), moments[before + 1].instructions());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let mut then = moments[before].machine()?;
        run_to(&mut then, middle);
        *if word(&then, address) == last { &mut high } else { &mut low } = middle;
    }
    let mut then = moments[before].machine()?;
    run_to(&mut then, low);
    let eip = then.interrupted().and_then(|pid| then.registers(pid)).map_or(0, |frame| frame.eip);
    Ok(Some((high, eip)))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let program = args.next().unwrap_or_else(|| "fixtures/bin/hello".to_owned());
    let address = args.next().unwrap_or_else(|| "0x2040".to_owned());
    let address = u32::from_str_radix(address.trim_start_matches("0x"), 16)?;
    match find(&program, address)? {
        Some((count, eip)) => println!("instruction {count}, at {eip:#x}, gives the word its last value"),
        None => println!("the word never changes"),
    }
    Ok(())
}
