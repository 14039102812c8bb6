//! `lockstep resync`: asks for a full re-sync, as SIGUSR1 does.

use super::{Exit, Out, Place, live};
use crate::config::ResyncAt;
use clap::ValueEnum;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// When it starts; without a word as `resync` in the rules says, which is `now` unless they say otherwise
    #[arg(long, value_enum, value_name = "WHEN")]
    pub at: Option<At>,
    /// Waits until the daemon has done it
    #[arg(long)]
    pub wait: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum At {
    /// As soon as the running pass ends
    Now,
    /// At the next regular interval
    NextTick,
}

pub fn run(args: &Args, place: &Place, out: &mut Out) -> anyhow::Result<Exit> {
    let at = args.at.map(|at| match at {
        At::Now => ResyncAt::Now,
        At::NextTick => ResyncAt::NextTick,
    });
    live::ask(place, out, "resync", at.map_or("", ResyncAt::as_str), "full re-sync", args.wait)
}
