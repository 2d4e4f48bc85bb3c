//! Runs a program of 2.1 and looks at what came of it: `cargo run --example run -- fixtures/bin/hello [ARGS]`.

use std::error::Error;

use bsd21::machine::{Ended, Limits, Machine, Stdio};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let program = args.next().unwrap_or_else(|| "fixtures/bin/hello".into());
    let mut machine = Machine::builder()
        .program(&program)
        .args(args)
        .stdin("")
        .stdout(Stdio::Captured)
        .limits(Limits { memory: Some(64 << 20), output: Some(1 << 20), ..Limits::default() })
        .build()?;
    let outcome = machine.run();
    println!("{} wrote {:?}", program.display(), String::from_utf8_lossy(&outcome.stdout));
    match outcome.ended {
        Ended::Exited(status) => println!("exit status {status}, {} instructions", outcome.instructions),
        other => println!("{other:?}"),
    }
    Ok(())
}
