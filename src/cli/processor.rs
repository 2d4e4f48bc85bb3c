//! How the processor works, and what it says of its work: `--stats` and `--no-translate`.

use clap::Args;

use crate::cpu::Options;
use crate::machine::Machine;

/// Reasons that are shown.
const MOST: usize = 10;

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Processor")]
pub(super) struct ProcessorOptions {
    /// Say in the end how the guest's instructions were executed, and why translated code was left.
    #[arg(long)]
    stats: bool,
    /// Interpret everything: translate no code of the guest to code of the host.
    #[arg(long)]
    no_translate: bool,
}

impl ProcessorOptions {
    pub(super) fn apply(&self, machine: &mut Machine) {
        if self.stats || self.no_translate {
            let options = Options::default();
            let translate = options.translate.filter(|_| !self.no_translate);
            machine.set_processors(Options { translate, ..options }, self.stats);
        }
    }

    /// Says how instructions were executed, where that is wanted.
    pub(super) fn report(&self, machine: &Machine) {
        if !self.stats {
            return;
        }
        let statistics = machine.statistics();
        let (all, tally) = (statistics.retired, statistics.tally);
        let share = |count: u64| 100.0 * count as f64 / all.max(1) as f64;
        let line = |what: &str, count: u64| eprintln!("{count:>14} {:>8.3} %  {what}", share(count));
        eprintln!("{all:>14}             instructions retired");
        line("in translated code", tally.translated());
        let short = all.saturating_sub(tally.translated()).saturating_sub(tally.general());
        line("interpreted in short forms", short);
        line("interpreted in their general form", tally.general());
        if !Options::can_translate() {
            eprintln!("this host cannot run translated code");
        }
        for (reason, count) in tally.reasons().into_iter().take(MOST) {
            eprintln!("{count:>14}             times left for {reason}");
        }
    }
}
