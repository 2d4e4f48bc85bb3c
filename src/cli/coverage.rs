//! `bsd21 coverage`: what a run executes of its programs and libraries.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::profile::{Counted, create, put};
use super::{Failure, status};
use crate::profile::{CoverageFormat, Options, Profile, covered};

/// Says what of a program is executed.
#[derive(Clone, Debug, Args)]
pub(super) struct Coverage {
    /// Write to a file [default: standard error].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How to write it.
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    format: FormatName,
    #[command(flatten)]
    run: Counted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatName {
    /// Tables for people.
    Text,
    /// What DynamoRIO's drcov writes: Lighthouse, drcov2lcov.
    Drcov,
    /// Lines, for genhtml; of programs with stabs.
    Lcov,
    /// Everything, as JSON.
    Json,
}

impl Coverage {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let mut file = self.output.as_deref().map(create).transpose()?;
        let profile = Profile::new(Options { addresses: true, ..Options::default() });
        let ended = self.run.run(&profile)?;
        let covered = covered::of(&profile.summary());
        if self.format == FormatName::Lcov && covered.iter().all(|file| file.sources.is_empty()) {
            super::complain(&"--format lcov: nothing that was executed has stabs, which say what lines are");
        }
        let format = match self.format {
            FormatName::Text => CoverageFormat::Text,
            FormatName::Drcov => CoverageFormat::Drcov,
            FormatName::Lcov => CoverageFormat::Lcov,
            FormatName::Json => CoverageFormat::Json,
        };
        put(self.output.as_deref(), file.as_mut(), &format.write(&covered))?;
        status::of_run(ended)
    }
}
