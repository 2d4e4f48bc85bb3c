//! Small programs of 2.1, made of instructions and data.

use iced_x86::code_asm::*;

/// Where text begins in a QMAGIC image.
const TEXT: u32 = 0x1000;
const HEADER: u32 = 32;
/// Where data begin.
const DATA: u32 = 0x2000;
/// Where the first instruction is.
pub(crate) const START: u64 = (TEXT + HEADER) as u64;

/// Addresses of what a program has in its data.
#[derive(Default)]
pub(crate) struct Layout {
    pub(crate) data: Vec<u8>,
}

impl Layout {
    pub(crate) fn here(&self) -> u32 {
        DATA + self.data.len() as u32
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> u32 {
        let at = self.here();
        self.data.extend_from_slice(bytes);
        while !self.data.len().is_multiple_of(4) {
            self.data.push(0);
        }
        at
    }

    pub(crate) fn words(&mut self, words: &[u32]) -> u32 {
        self.put(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>())
    }
}

/// A call with constant words, through the gate.
pub(crate) fn gate(a: &mut CodeAssembler, number: i32, words: &[i32]) {
    for &word in words.iter().rev() {
        a.push(word).expect("push");
    }
    a.push(0).expect("push");
    a.mov(eax, number).expect("mov");
    a.db(&[0x9a, 0, 0, 0, 0, 7, 0]).expect("lcall");
    // The carry is wanted: lea changes no flags.
    a.lea(esp, ptr(esp + 4 * (words.len() as i32 + 1))).expect("lea");
}

/// A QMAGIC image: one page of text, the header in it, and data.
pub(crate) fn image(text: &[u8], data: &[u8]) -> Vec<u8> {
    assert!(text.len() + HEADER as usize <= 4096, "one page of text");
    let data_size = data.len().next_multiple_of(4096) as u32;
    let words = [134 << 16 | 0o314, 4096, data_size, 4096, 0, TEXT + HEADER, 0, 0];
    let mut file: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
    file.extend_from_slice(text);
    file.resize(4096, 0);
    file.extend_from_slice(data);
    file.resize(4096 + data_size as usize, 0);
    file
}

/// A program: `write` writes its instructions and knows where its data are.
pub(crate) fn program(layout: &Layout, write: impl FnOnce(&mut CodeAssembler)) -> Vec<u8> {
    let mut a = CodeAssembler::new(32).expect("an assembler");
    write(&mut a);
    image(&a.assemble(START).expect("code"), &layout.data)
}

/// Ends with the last error number, or with 0.
pub(crate) fn exit_with_errno(a: &mut CodeAssembler) {
    a.push(eax).expect("push");
    a.push(0).expect("push");
    a.mov(eax, 1).expect("mov");
    a.db(&[0x9a, 0, 0, 0, 0, 7, 0]).expect("lcall");
}

/// Puts a program on the host, executable.
pub(crate) fn install(path: &std::path::Path, image: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, image).expect("a program");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("it can be executed");
}
