//! `lockstep first-load`: what replacing the platform's records would do, and doing it at a person's word.

use super::{Exit, Out, Place, Usage, output::some};
use crate::daemon::{Lock, Session};
use crate::store::Store;
use anyhow::bail;
use secrecy::ExposeSecret;
use serde_json::json;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// You want everything that the platform holds of these objects deleted: type the platform's public key
    #[arg(long, value_name = "PUBLIC KEY")]
    pub consent: Option<String>,
}

pub fn run(args: &Args, place: &Place, out: &mut Out) -> anyhow::Result<Exit> {
    let config = place.config_in_force()?;
    let Some(first) = config.first_load.clone() else {
        bail!("the rules do not ask for it: say first-load = \"replace\" under the platform, and read what it means");
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let Some(typed) = &args.consent else {
        // Looking writes nothing, not even into the state.
        let session = Arc::new(Session::new(config, Arc::new(Store::in_memory()?), &place.state)?);
        let counts = runtime.block_on(session.replacement())?;
        if out.json {
            out.json(&json!({ "would": counts }))?;
            return Ok(Exit::InStep);
        }
        for one in &counts {
            out.line(format_args!("{}: {} deleted on the platform, at most {} created", one.object, one.deleted, one.created))?;
        }
        out.line("nothing was written; to do it: lockstep first-load --consent <public key>")?;
        return Ok(Exit::InStep);
    };
    if typed.trim() != first.word.expose_secret().trim() {
        return Err(Usage("what was typed is not the public key of this platform; nothing was deleted".to_owned()).into());
    }
    let _lock = Lock::take(&place.state, "first-load")?;
    let session = Arc::new(Session::new(config, Arc::new(Store::open(&place.state)?), &place.state)?);
    let report = runtime.block_on(session.replace(&first, &masked(typed.trim()), CancellationToken::new()))?;
    if out.json {
        out.json(&report)?;
    } else {
        out.line(format_args!("run {}: {}, {} on the platform", report.run, report.outcome, some(report.writes.platform, "write")))?;
    }
    if let Some(error) = &report.error {
        bail!("run {} failed: {error}", report.run);
    }
    Ok(Exit::of_report(&report))
}

/// A key is not kept whole: its end tells which it was.
fn masked(word: &str) -> String {
    let tail: String = word.chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
    format!("…{tail}")
}
