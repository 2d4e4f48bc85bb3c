//! The doctor: what a root or one program still lacks, in plain words, with the option or the command that helps.
//!
//! | file | idea |
//! |---|---|
//! | `finding` | one thing that was looked at |
//! | `system` | a root: what 2.1's programs look for in it |
//! | `program` | one program: its format, its libraries, its interpreter |
//! | `host` | what the host lends: terminal, display, network, time zone |
//! | `fix` | making what can be made |
//! | [`hints`] | the table of libraries that ld.so reads |
//! | [`zone`] | the host's time zone in words that 2.1 understands |
//!
//! Must not know the command line.  2.1 counterpart: a system administrator.

mod finding;
mod fix;
pub mod hints;
mod host;
mod program;
mod system;
pub mod zone;

pub use finding::{Finding, State};
pub use fix::{Fix, apply};

use std::path::Path;

use crate::survey::tree::Tree;

/// Looks at a root.
pub fn system(root: &Path) -> Vec<Finding> {
    system::look(root, &Tree::new(root))
}

/// Looks at a program: of a root, or of the host.
pub fn program(root: Option<&Path>, libraries: &[std::path::PathBuf], program: &Path) -> Vec<Finding> {
    program::look(root, libraries, program)
}

/// Looks at what the host lends to every run.
pub fn host() -> Vec<Finding> {
    host::look()
}
