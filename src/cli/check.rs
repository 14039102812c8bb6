//! `lockstep check`: the rules alone; with `--online` also both systems.

pub(super) mod fields;
pub(super) mod online;
pub(super) mod products;
mod steps;

use super::{Exit, Off, Out, Place};
use crate::config::Config;
use crate::rules::{Problem, render};
use anyhow::Context;
use serde::Serialize;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also log in to both systems and say, field by field, what may be read and written there, and what to fix
    #[arg(long)]
    pub online: bool,
}

#[derive(Serialize)]
struct Offline<'a> {
    problems: &'a [Problem],
    /// What the switch says; absent where there are problems.
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled: Option<bool>,
}

pub fn run(args: &Args, place: &Place, out: &mut Out) -> anyhow::Result<Exit> {
    if !place.rules.exists() {
        if out.json {
            let help = "write one with `lockstep init`, or name one with --rules";
            let missing =
                Problem { code: "no-file", line: 0, column: 0, message: place.missing().to_string(), help: help.to_owned(), place: 0..0 };
            out.json(&Offline { problems: &[missing], enabled: None })?;
        }
        return Err(place.missing().into());
    }
    let path = place.rules.display().to_string();
    let source = std::fs::read_to_string(&place.rules).with_context(|| path.clone())?;
    let problems = Config::problems_of(&source);
    if !problems.is_empty() {
        if out.json {
            out.json(&Offline { problems: &problems, enabled: None })?;
        } else {
            out.text(render(&problems, &source, &path))?;
            out.line(format_args!("{}", super::output::some(problems.len() as u64, "problem")))?;
        }
        return Ok(Exit::Rules);
    }
    let enabled = Config::switches(&source).is_none_or(|s| s.enabled);
    if args.online && enabled {
        return online::run(place, out);
    }
    if out.json {
        out.json(&Offline { problems: &[], enabled: Some(enabled) })?;
    } else {
        out.line(format_args!("{path}: no problems{}", if enabled { "" } else { "; switched off (enabled = false)" }))?;
    }
    // Asking who we are is asking, too.
    if args.online { Err(Off(path).into()) } else { Ok(Exit::InStep) }
}
