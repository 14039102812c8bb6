//! `lockstep resync`: asks for a full re-sync, as SIGUSR1 does.

use super::{Exit, Out, Place, live};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Waits until the daemon has done it
    #[arg(long)]
    pub wait: bool,
}

pub fn run(args: &Args, place: &Place, out: &mut Out) -> anyhow::Result<Exit> {
    live::ask(place, out, "resync", "", "full re-sync", args.wait)
}
