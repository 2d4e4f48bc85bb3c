//! Counts the system calls of a program, and prints its trace: `cargo run --example calls -- fixtures/bin/socketpair`.

use std::collections::BTreeMap;
use std::error::Error;

use bsd21::kernel::event::Event;
use bsd21::kernel::time::Clock;
use bsd21::machine::{Machine, Stdio};
use bsd21::trace::{Options, Output, Tracer};

fn main() -> Result<(), Box<dyn Error>> {
    let program = std::env::args_os().nth(1).unwrap_or_else(|| "fixtures/bin/socketpair".into());
    // The virtual clock makes runs repeatable: the same instructions, the same times.
    let machine =
        || Machine::builder().program(&program).clock(Clock::deterministic()).stdout(Stdio::Captured);

    let outcome = machine().collect_events().build()?.run();
    let mut counts = BTreeMap::new();
    for happened in &outcome.events {
        if let Event::Enter(call) = &happened.event {
            let name = syscalls::SYSENT.get(call.number as usize).map_or("no such call", |row| row.name);
            *counts.entry(name).or_insert(0) += 1;
        }
    }
    println!("{counts:?}");

    let mut traced = machine().build()?;
    let tracer = Tracer::new(Options::default(), Output::stream(Box::new(std::io::stdout()), true));
    traced.observe(Box::new(tracer.clone()));
    traced.run();
    tracer.finish(traced.kernel())?;
    Ok(())
}
