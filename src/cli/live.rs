//! What commands that change something have in common: a request in the store, a daemon that takes it up or none, and
//! waiting for its answer.

use super::{Exit, Off, Out, Place};
use crate::config::ResyncAt;
use crate::daemon::{Holder, Lock, off_since};
use crate::store::{RunRow, Store};
use anyhow::bail;
use chrono::Utc;
use serde::Serialize;
use std::{thread::sleep, time::Duration};

/// How often a waiting command looks.
const LOOK: Duration = Duration::from_millis(300);

/// The answer of a command that asked for something.
#[derive(Serialize)]
pub struct Answer<'a> {
    pub request: i64,
    pub kind: &'a str,
    /// A daemon is there and takes it up.
    pub daemon: bool,
    pub when: When,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunRow>,
}

/// When a request is taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// By the daemon, within a second.
    Now,
    /// By the daemon, at the next regular interval.
    NextTick,
    /// By whatever runs next: no daemon is there.
    NextRun,
    /// By the daemon, once its rules are switched on.
    SwitchedOn,
}

/// Writes the request and says who takes it up; with `wait`, says how that ended.
pub fn ask(place: &Place, out: &mut Out, kind: &'static str, argument: &str, what: &str, wait: bool) -> anyhow::Result<Exit> {
    // A command that is running took up what was open when it began; it looks no more.
    let daemon = Lock::holder(&place.state).filter(Holder::is_daemon);
    if wait && daemon.is_none() {
        if place.switches().is_some_and(|s| !s.enabled) {
            return Err(Off(place.rules.display().to_string()).into());
        }
        bail!("no daemon is running on {} that could be waited for; `lockstep once` does it now", place.state.display());
    }
    let store = Store::open(&place.state)?;
    let off = daemon.is_some() && off_since(&store)?.is_some();
    if wait && off {
        return Err(Off(place.rules.display().to_string()).into());
    }
    let when = match (&daemon, off) {
        (None, _) => When::NextRun,
        (Some(_), true) => When::SwitchedOn,
        (Some(_), false) if kind == "resync" && waits_for_the_tick(argument, place) => When::NextTick,
        (Some(_), false) => When::Now,
    };
    let before = store.last_run()?.map_or(0, |run| run.run);
    let request = store.ask(kind, argument, Utc::now())?;
    let mut answer = Answer { request, kind, daemon: daemon.is_some(), when, run: None };
    if wait {
        answer.run = Some(wait_for(&store, place, request, before)?);
    }
    let exit = match &answer.run {
        Some(run) if run.outcome == "failed" => Exit::Error,
        Some(_) => Exit::of_state(store.open_conflicts()?, store.quarantine_count()? + store.frozen_count()?, store.held_count()?),
        None => Exit::InStep,
    };
    if out.json {
        out.json(&answer)?;
    } else {
        match (&answer.run, daemon) {
            (Some(run), _) => out.line(format_args!(
                "{what}: run {} ended {}, {} writes to Salesforce, {} to the platform{}",
                run.run,
                run.outcome,
                run.writes.salesforce,
                run.writes.platform,
                run.error.as_deref().map(|e| format!(": {e}")).unwrap_or_default()
            ))?,
            (None, Some(who)) if when == When::NextTick => {
                out.line(format_args!("{what}: {who} takes it up at the next regular interval"))?
            }
            (None, Some(who)) if when == When::SwitchedOn => {
                out.line(format_args!("{what}: kept; the rules of {who} are switched off, it takes it up once they are on again"))?
            }
            (None, Some(who)) => out.line(format_args!("{what}: {who} takes it up"))?,
            (None, None) => out.line(format_args!("{what}: no daemon is running, the next run takes it up"))?,
        }
    }
    Ok(exit)
}

/// The daemon's rules are those of the file, as far as anybody can tell from here.
fn waits_for_the_tick(argument: &str, place: &Place) -> bool {
    match argument {
        "" => place.switches().is_some_and(|s| s.resync == ResyncAt::NextTick),
        word => word == ResyncAt::NextTick.as_str(),
    }
}

/// The request is closed by a run that ended well; a run that failed leaves it open and is told too.
fn wait_for(store: &Store, place: &Place, request: i64, before: i64) -> anyhow::Result<RunRow> {
    loop {
        let open = store.open_requests()?.iter().any(|r| r.id == request);
        if let Some(run) = store.last_run()?.filter(|run| run.run > before && run.finished_at.is_some()) {
            if !open || run.outcome == "failed" {
                return Ok(run);
            }
        } else if !open {
            bail!("the request was closed without a run");
        }
        if open && off_since(store)?.is_some() {
            return Err(anyhow::Error::new(Off(place.rules.display().to_string())).context("the request is kept"));
        }
        if Lock::holder(&place.state).is_none() {
            bail!("the daemon ended meanwhile; the request is kept and taken up by the next run");
        }
        sleep(LOOK);
    }
}
