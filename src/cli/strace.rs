//! strace's options that are not letters of `trace` itself: long forms that take values, and what a tracer in the
//! same process has no use for but people's scripts pass.
//!
//! Must not know what a trace looks like.

use clap::Args;

use crate::trace::Options;
use crate::trace::options::{Precision, Stamp};

/// The long forms.
#[derive(Clone, Debug, Args)]
pub(super) struct LongForms {
    /// Arguments with their names.
    #[arg(short = 'N', long = "arg-names")]
    argument_names: bool,
    /// Command names beside the numbers of processes.
    #[arg(short = 'Y', long = "decode-pids", value_name = "SET", num_args = 0..=1, require_equals = true, default_missing_value = "comm")]
    decode_pids: Option<String>,
    /// How descriptors are explained: path, socket, all or none.
    #[arg(long = "decode-fds", value_name = "SET", num_args = 0..=1, require_equals = true, default_missing_value = "path", hide_short_help = true)]
    fd_detail: Option<String>,
    /// Leave out remarks: attach, exit, path-resolution, personality, thread-execve, all or none.
    #[arg(long = "quiet", visible_aliases = ["silent", "silence"], value_name = "SET", num_args = 0..=1, require_equals = true, default_missing_value = "attach,personality", hide_short_help = true)]
    remarks: Option<String>,
    /// Time in front of each line: none, time or unix, and s, ms, us or ns.
    #[arg(long = "absolute-timestamps", visible_alias = "timestamps", value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "", hide_short_help = true)]
    stamp_format: Option<String>,
    /// Time since the line before, in s, ms, us or ns.
    #[arg(long = "relative-timestamps", value_name = "PRECISION", num_args = 0..=1, require_equals = true, default_missing_value = "us", hide_short_help = true)]
    relative_precision: Option<String>,
    /// Time that each call took, in s, ms, us or ns.
    #[arg(long = "syscall-times", value_name = "PRECISION", num_args = 0..=1, require_equals = true, default_missing_value = "us", hide_short_help = true)]
    duration_precision: Option<String>,
    /// Strings in base 16: all, non-ascii or none.
    #[arg(long = "strings-in-hex", value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "all", value_parser = ["all", "non-ascii", "non-ascii-chars", "none"], hide_short_help = true)]
    hex_strings: Option<String>,
    /// One file a process: -ff.
    #[arg(long = "output-separately", hide_short_help = true)]
    pub(super) separately: bool,
    /// Trace a process no more once it executes a new program; the only CALL is execve.
    #[arg(short = 'b', long = "detach-on", value_name = "CALL", value_parser = ["execve"])]
    detach_on: Option<String>,
    /// Show so many calls and no more; the program goes on.
    #[arg(long = "syscall-limit", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    call_limit: Option<u64>,
    /// Only calls that use one of these descriptors.
    #[arg(long = "trace-fds", visible_alias = "trace-fd", value_name = "FDS", hide_short_help = true)]
    used_fds: Option<String>,
    /// The number of the process is on every line, not only once there are several.
    #[arg(long = "always-show-pid", hide_short_help = true)]
    always_pids: bool,
    /// Colour the lines: auto is where they go to a terminal.
    #[arg(long = "color", value_enum, value_name = "WHEN", default_value = "auto")]
    color: Color,
    #[command(flatten)]
    unused: Unused,
}

/// What has no meaning for a tracer that is no process, and is accepted for the sake of scripts.
#[derive(Clone, Debug, Args)]
struct Unused {
    #[arg(short = 'D', hide = true, action = clap::ArgAction::Count)]
    apart: u8,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "grandchild", value_parser = ["grandchild", "pgroup", "pgrp", "session"])]
    daemonize: Option<String>,
    #[arg(short = 'F', hide = true)]
    vfork: bool,
    #[arg(short = 'd', long, hide = true)]
    debug: bool,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "")]
    tips: Option<String>,
    #[arg(short = 'I', long = "interruptible", hide = true, value_parser = ["1", "2", "3", "4", "anywhere", "waiting", "never", "never_tstp"])]
    interruptible: Option<String>,
    #[arg(short = 'O', long = "summary-syscall-overhead", hide = true)]
    overhead: Option<String>,
    #[arg(long = "seccomp-bpf", hide = true)]
    seccomp: bool,
}

/// When lines are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Color {
    /// Where the trace goes to a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl LongForms {
    /// Puts what was asked for into the tracer's options; `terminal` says whether the trace goes to one.
    pub(super) fn apply(&self, options: &mut Options, terminal: bool) -> Result<(), String> {
        options.argument_names |= self.argument_names;
        options.leaves_at_exec = self.detach_on.is_some();
        options.call_limit = self.call_limit;
        options.always_pids |= self.always_pids;
        options.color = match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        if let Some(text) = &self.stamp_format {
            options.stamp = Stamp::parse(text).map_err(|e| format!("--absolute-timestamps: {e}"))?;
        }
        if let Some(text) = &self.relative_precision {
            options.relative =
                Some(Precision::parse(text).map_err(|e| format!("--relative-timestamps: {e}"))?);
        }
        if let Some(text) = &self.duration_precision {
            options.durations = Some(Precision::parse(text).map_err(|e| format!("--syscall-times: {e}"))?);
        }
        if let Some(which) = &self.hex_strings {
            options.style.hex_strings = match which.as_str() {
                "all" => crate::trace::text::HexStrings::Always,
                "non-ascii" | "non-ascii-chars" => crate::trace::text::HexStrings::NotAscii,
                _ => crate::trace::text::HexStrings::Never,
            };
        }
        let sets = [
            ("decode-pids", &self.decode_pids),
            ("decode-fds", &self.fd_detail),
            ("quiet", &self.remarks),
            ("trace-fds", &self.used_fds),
        ];
        for (key, value) in sets.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?))) {
            options.apply(&format!("{key}={value}")).map_err(|e| format!("--{key}: {e}"))?;
        }
        Ok(())
    }
}
