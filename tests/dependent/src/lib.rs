//! What another crate does with the library: a program runs in a test, on the small stack of a test's thread.

#[cfg(test)]
mod tests {
    use bsd21::kernel::time::Clock;
    use bsd21::machine::{Ended, Machine, Stdio};

    fn run(program: &str, args: &[&str]) -> bsd21::machine::Outcome {
        let program = format!("{}/../../fixtures/bin/{program}", env!("CARGO_MANIFEST_DIR"));
        let machine = Machine::builder().program(program).args(args).clear_env();
        let machine = machine.clock(Clock::deterministic()).stdout(Stdio::Captured).build();
        machine.expect("the program starts").run()
    }

    #[test]
    fn a_program_runs() {
        let outcome = run("hello", &[]);
        assert_eq!(outcome.ended, Ended::Exited(0));
        assert!(!outcome.stdout.is_empty());
    }

    /// Each instruction is a call of a handler: on the host's stack these would take some hundred megabytes.
    #[test]
    fn millions_of_instructions_need_no_stack_of_the_host() {
        let outcome = run("pipeline", &[]);
        assert_eq!(outcome.ended, Ended::Exited(0), "{}", String::from_utf8_lossy(&outcome.stdout));
        assert!(outcome.instructions > 300_000, "{} instructions", outcome.instructions);
    }
}
