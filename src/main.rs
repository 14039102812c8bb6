//! The command `lockstep`: everything is in the library, so that tests and the demo can reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    lockstep::cli::main().into()
}
