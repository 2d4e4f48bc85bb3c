//! Verifies cases, as `bsd21 verify` does, from another program: `cargo run --example verify -- fixtures/cases/hello`.

use std::error::Error;
use std::path::PathBuf;

use bsd21::capture::find;
use bsd21::capture::verify::{self, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let path =
        std::env::args_os().nth(1).map_or_else(|| PathBuf::from("fixtures/cases/hello"), PathBuf::from);
    let cases = find::cases(&path)?;
    let options = Options { trust: true, ..Options::default() };
    let reports = verify::all(&cases, 2, &options, &mut |report| {
        println!("{}: {}", report.name, report.verdict.word());
    });
    let good = reports.iter().filter(|report| report.verdict.is_good()).count();
    println!("{good} of {} hold", reports.len());
    Ok(())
}
