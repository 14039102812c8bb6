//! `lockstep completions SHELL`.

use super::{Arguments, Exit, Out};
use clap::CommandFactory;
use clap_complete::Shell;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_enum)]
    pub shell: Shell,
}

pub fn run(args: &Args, out: &mut Out) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "lockstep", &mut script);
    out.text(String::from_utf8_lossy(&script))?;
    Ok(Exit::InStep)
}
