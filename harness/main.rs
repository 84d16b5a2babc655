//! The program: hands the command line to [`compass_harness::cli`] and exits with its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    compass_harness::cli::main(std::env::args_os())
}
