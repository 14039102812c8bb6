//! The command line: one file per command, and the edge where errors are printed and exit codes are chosen.

mod arguments;

mod exit;
mod live;
mod log;
mod output;
mod place;

pub mod check;
pub mod completions;
pub mod conflicts;
pub mod demo;
pub mod first_load;
pub mod history;
pub mod hold;
pub mod init;
pub mod once;
pub mod plan;
pub mod quarantine;
pub mod resync;
pub mod retry;
pub mod run;
pub mod sandbox;
pub mod schema;
pub mod status;
pub mod verify;
pub mod why;

pub use arguments::{Arguments, Command, LogFormat};
pub use exit::{Exit, Off, Usage};
pub use output::Out;
pub use place::Place;

use clap::Parser;

/// Reads the arguments, does what they say, prints what went wrong once, and answers how it ended.
#[must_use]
pub fn main() -> Exit {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, on stdout.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::InStep };
        }
    };
    let provisional = log::provisional();
    let mut out = Out::stdout(arguments.json);
    match dispatch(arguments, &mut out, provisional) {
        Ok(exit) => exit,
        Err(error) => {
            output::complain(&error);
            Exit::of(&error)
        }
    }
}

fn dispatch(arguments: Arguments, out: &mut Out, provisional: log::Provisional) -> anyhow::Result<Exit> {
    let place = Place::find(arguments.rules.as_deref(), arguments.state.as_deref());
    let filter = arguments.log.as_deref();
    if let Command::Run(args) = arguments.command {
        return run::run(&args, &place, filter, provisional);
    }
    drop(provisional);
    log::start(filter, log::FOR_COMMANDS, LogFormat::Auto);
    match arguments.command {
        Command::Run(_) => Ok(Exit::InStep),
        Command::Once(args) => once::run(&args, &place, out),
        Command::Plan(args) => plan::run(&args, &place, out),
        Command::Check(args) => check::run(&args, &place, out),
        Command::Status(args) => status::run(&args, &place, out),
        Command::Verify(args) => verify::run(&args, &place, out),
        Command::Why(args) => why::run(&args, &place, out),
        Command::History(args) => history::run(&args, &place, out),
        Command::Conflicts(args) => conflicts::run(&args, &place, out),
        Command::Quarantine(args) => quarantine::run(&args, &place, out),
        Command::Retry(args) => retry::run(&args, &place, out),
        Command::Hold(args) => hold::run(&args, &place, out),
        Command::Resync(args) => resync::run(&args, &place, out),
        Command::FirstLoad(args) => first_load::run(&args, &place, out),
        Command::Init(args) => init::run(&args, arguments.rules.as_deref(), out),
        Command::Schema => schema::run(out),
        Command::Completions(args) => completions::run(&args, out),
        Command::Sandbox(args) => sandbox::run(&args),
        Command::Demo(args) => demo::run(&args, arguments.state.as_deref()),
    }
}
