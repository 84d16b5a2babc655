//! The program: hands the command line to [`compass_harness::cli`] and exits with its code.

fn main() {}
