//! `#!` scripts: the words of the first line go in front of the arguments.
//!
//! 2.1 counterpart: kern/imgact_shell.c (exec_shell_imgact).

use super::{Circumstances, Head, Refusal};

/// The newline must stand at this offset or before.
const MAX_LINE: usize = 64;

/// What the first line of a script says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Path of the interpreter, up to its first NUL byte.
    pub interpreter: Vec<u8>,
    /// Every word of the line, the interpreter first: 2.1 splits all of them.  They are the first
    /// arguments; the guest's `argv[0]` becomes the path that was executed.
    pub words: Vec<Vec<u8>>,
}

pub(super) fn activate(head: &Head, with: Circumstances) -> Result<Option<Script>, Refusal> {
    if !head.starts_with(b"#!") {
        return Ok(None);
    }
    if with.interpreted {
        return Err(Refusal::NestedScript);
    }
    let line = &head.page[2..=MAX_LINE];
    let end = line.iter().position(|&b| b == b'\n').ok_or(Refusal::LongScriptLine)?;
    let words: Vec<Vec<u8>> = line[..end]
        .split(|&b| b == b' ' || b == b'\t')
        .filter(|word| !word.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    let interpreter: Vec<u8> =
        words.first().map(|word| word.iter().copied().take_while(|&b| b != 0).collect()).unwrap_or_default();
    if interpreter.is_empty() {
        return Err(Refusal::NoScriptInterpreter);
    }
    Ok(Some(Script { interpreter, words }))
}
