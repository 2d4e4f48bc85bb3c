//! The command `bsd21`.

fn main() -> std::process::ExitCode {
    bsd21::cli::main()
}
