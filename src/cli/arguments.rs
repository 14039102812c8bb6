//! The global arguments and the list of commands. Each command's own arguments stand in its own file.

use super::{
    check, completions, conflicts, demo, first_load, history, hold, init, once, plan, quarantine, resync, retry, run, sandbox, status,
    verify, why,
};
use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Keeps Salesforce and a software-license platform in step, both ways.
#[derive(Debug, Parser)]
#[command(name = "lockstep", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 in step, 1 error, 2 usage, 3 work left over, 4 held by the guard, 5 switched off by the rules, 78 bad rules or missing secret"
)]
pub struct Arguments {
    /// The rules [default: ./sync-rules.toml, then /etc/lockstep/sync-rules.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// The state directory, made (0700) where missing [default: $STATE_DIRECTORY under systemd, else the one that goes with the rules]
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to log, to stderr, such as `debug` or `lockstep::engine=trace` [default: $RUST_LOG, else `info` for the daemon and `warn` for commands]
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The daemon: runs on the schedule of the rules until it is stopped
    Run(run::Args),
    /// One run, now
    Once(once::Args),
    /// What `once` would do, and why; nothing is changed
    Plan(plan::Args),
    /// Checks the rules; with --online also both systems, field by field
    Check(check::Args),
    /// Compares both systems value by value, apart from all that is remembered; changes neither
    Verify(verify::Args),
    /// How things stand
    Status(status::Args),
    /// Why an order, account, contact or license stands as it does, and who must act
    Why(why::Args),
    /// The runs, one run, or the whole story of one record
    History(history::Args),
    /// Fields that both sides changed: what won, what lost, what waits for a person
    Conflicts(conflicts::Args),
    /// Records that failed for good for now, and why; fields that are fought over
    Quarantine(quarantine::Args),
    /// Tries quarantined records again, and lets frozen fields go
    Retry(retry::Args),
    /// What the guard refused to do unasked
    Hold(hold::Args),
    /// Asks for a full re-sync
    Resync(resync::Args),
    /// Replaces what the platform holds, at your word; without it shows what that would do
    FirstLoad(first_load::Args),
    /// Writes a commented rules file
    Init(init::Args),
    /// Both systems simulated on this machine
    Sandbox(sandbox::Args),
    /// The whole thing on this machine in one command
    Demo(demo::Args),
    /// Completions for a shell
    Completions(completions::Args),
    /// The JSON schema of the rules file, for editors
    Schema,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line
    Json,
    /// For people
    Human,
    /// `human` on a terminal and in the journal, else `json`
    Auto,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
