//! What another crate does with the library: a program runs in a test, on the small stack of a test's thread.

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use bsd21::kernel::time::Clock;
    use bsd21::machine::{Ended, Machine, Outcome, Stdio};

    fn run(program: &str) -> Outcome {
        let machine = Machine::builder().program(program).clear_env().clock(Clock::deterministic());
        machine.stdout(Stdio::Captured).build().expect("the program starts").run()
    }

    fn fixture(name: &str) -> String {
        format!("{}/../../fixtures/bin/{name}", env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn programs_run() {
        let outcome = run(&fixture("hello"));
        assert_eq!(outcome.ended, Ended::Exited(0));
        assert!(!outcome.stdout.is_empty());
        assert_eq!(run(&fixture("pipeline")).ended, Ended::Exited(0));
    }

    /// Each instruction is a call of a handler, and these instructions are never translated: on the host's stack they
    /// would take some hundred megabytes.
    #[test]
    fn millions_of_instructions_need_no_stack_of_the_host() {
        // movl $1000000,%ecx; 1: das; das; decl %ecx; jnz 1b; exit(0) through the gate.
        let code = b"\xb9\x40\x42\x0f\x00\x2f\x2f\x49\x75\xfb\x6a\x00\x6a\x00\xb8\x01\x00\x00\x00\x9a\x00\x00\x00\x00\x07\x00";
        let header = [134 << 16 | 0o314, 4096_u32, 4096, 0, 0, 0x1020, 0, 0];
        let mut image: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
        image.extend_from_slice(code);
        image.resize(8192, 0);
        let program = std::env::temp_dir().join(format!("bsd21-dependent-{}", std::process::id()));
        std::fs::write(&program, image).expect("a program");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))
            .expect("it can be executed");
        let outcome = run(&program.to_string_lossy());
        std::fs::remove_file(&program).expect("it was there");
        assert_eq!((outcome.ended, outcome.instructions), (Ended::Exited(0), 4_000_005));
    }
}
