//! `lockstep status`: how things stand, at one look.

use super::{
    Exit, Out, Place,
    output::{some, table},
};
use crate::daemon::{Holder, Lock, off_since};
use crate::store::{HoldRow, RunRow, Stage, StatisticsRow, Store, Unseen, stamp};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// Records that are listed one by one; the view `unseen` has them all.
const UNSEEN_MAX: u32 = 100;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Exit as `once` would: 5 if the rules are switched off, 1 if the last run failed, 4 if something is held, 3 if work is left over
    #[arg(long)]
    pub exit_code: bool,
    /// Also what was created, changed and deleted: by object and side, in a day, a week, a month and in all
    #[arg(long)]
    pub statistics: bool,
}

#[derive(Default, Serialize)]
struct Answer {
    state: String,
    /// Who works on the state right now.
    running: Option<String>,
    /// What the switch of the rules says, if they can be read.
    enabled: Option<bool>,
    /// Since when the daemon that is running does nothing, because the rules it has read are switched off.
    off_since: Option<String>,
    last_run: Option<RunRow>,
    /// When ids and stamps were last compared to the end.
    last_census: Option<String>,
    /// The memory is a restored backup, and not yet in step.
    restored: Option<Older>,
    /// By the rules, if they can be read.
    next_run: Option<String>,
    conflicts_open: u64,
    quarantined: u64,
    /// Fields that are fought over.
    frozen: u64,
    held: u64,
    /// Linked records that may be gone or hidden from our user.
    unseen: Vec<Unseen>,
    holds: Vec<HoldRow>,
    requests: Vec<Asked>,
    /// Records that are not linked, by the situation they are in.
    unlinked: Vec<Unlinked>,
    /// Only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    statistics: Option<Vec<StatisticsRow>>,
}

#[derive(Serialize)]
struct Older {
    why: String,
    found_at: Option<String>,
    /// `comparing`, `proving` or `waiting`
    stage: Stage,
}

#[derive(Serialize)]
struct Asked {
    request: i64,
    kind: String,
    argument: String,
}

#[derive(Serialize)]
struct Unlinked {
    object: String,
    side: String,
    situation: String,
    count: u64,
}

pub fn run(args: &Args, place: &Place, out: &mut Out) -> anyhow::Result<Exit> {
    let holder = Lock::holder(&place.state);
    let mut answer = Answer {
        state: place.state.display().to_string(),
        running: holder.as_ref().map(ToString::to_string),
        enabled: place.switches().map(|s| s.enabled),
        statistics: args.statistics.then(Vec::new),
        ..Answer::default()
    };
    if let Some(store) = place.read()? {
        if holder.as_ref().is_some_and(Holder::is_daemon) {
            answer.off_since = off_since(&store)?;
        }
        fill(&mut answer, &store, place)?;
        if args.statistics {
            answer.statistics = Some(store.statistics()?);
        }
    }
    if out.json {
        out.json(&answer)?;
    } else {
        print(&answer, out)?;
    }
    let failed = answer.last_run.as_ref().is_some_and(|run| run.outcome == "failed");
    let open = Exit::of_state(answer.conflicts_open, answer.quarantined + answer.frozen, answer.held);
    let off = answer.off_since.is_some() || answer.enabled == Some(false);
    Ok(match (args.exit_code, off, failed) {
        (false, ..) => Exit::InStep,
        (true, true, _) => Exit::Off,
        (true, false, true) => Exit::Error,
        (true, false, false) => open,
    })
}

fn fill(answer: &mut Answer, store: &Store, place: &Place) -> anyhow::Result<()> {
    answer.last_run = store.last_run()?;
    answer.last_census = store.last_census()?;
    answer.restored = match (store.restored()?, store.seems_restored()?) {
        (Some(mark), _) => Some(Older { why: mark.why, found_at: Some(mark.found_at), stage: mark.stage }),
        (None, Some(why)) => Some(Older { why, found_at: None, stage: Stage::Comparing }),
        (None, None) => None,
    };
    answer.conflicts_open = store.open_conflicts()?;
    answer.quarantined = store.quarantine_count()?;
    answer.frozen = store.frozen_count()?;
    answer.held = store.held_count()?;
    // A reader may look at a state that an older build wrote.
    answer.unseen = store.unseen(UNSEEN_MAX).unwrap_or_default();
    answer.holds = store.holds()?;
    answer.requests = store.open_requests()?.into_iter().map(|r| Asked { request: r.id, kind: r.kind, argument: r.argument }).collect();
    answer.unlinked =
        store.situations()?.into_iter().map(|(object, side, situation, count)| Unlinked { object, side, situation, count }).collect();
    // Secrets may be out of reach of whoever asks: then the next run is simply not told.
    let off = answer.off_since.is_some() || answer.enabled == Some(false);
    if let (Some(run), false, Ok(config)) = (&answer.last_run, off, place.config()) {
        let last = run.started_at.parse::<DateTime<Utc>>().ok();
        answer.next_run = last.and_then(|last| config.schedule.next(last)).map(|next| stamp(next.max(Utc::now())));
    }
    Ok(())
}

fn print(answer: &Answer, out: &mut Out) -> anyhow::Result<()> {
    out.line(format_args!("state       {}", answer.state))?;
    out.line(format_args!("running     {}", answer.running.as_deref().unwrap_or("nothing; start the daemon or `lockstep once`")))?;
    match (&answer.off_since, answer.enabled) {
        (Some(since), Some(true)) => out.line(format_args!(
            "rules       on; the daemon has them as they were, off since {since}: `systemctl reload lockstep` or SIGHUP"
        ))?,
        (Some(since), _) => {
            out.line(format_args!("rules       off since {since} (enabled = false): no run, and neither system is asked anything"))?
        }
        (None, Some(false)) if answer.running.is_some() => {
            out.line("rules       off (enabled = false); what is running has them as they were: `systemctl reload lockstep` or SIGHUP")?
        }
        (None, Some(false)) => out.line("rules       off (enabled = false): no run, and neither system is asked anything")?,
        (None, Some(true) | None) => {}
    }
    match &answer.last_run {
        None => out.line("last run    none yet")?,
        Some(run) => out.line(format_args!(
            "last run    {} {} ({}, {}): {}{}",
            run.run,
            run.started_at,
            run.kind,
            run.cause,
            run.outcome,
            run.error.as_deref().map(|e| format!(": {e}")).unwrap_or_default()
        ))?,
    }
    if let Some(at) = &answer.last_census {
        out.line(format_args!("last census {at}"))?;
    }
    if let Some(older) = &answer.restored {
        let now = match older.stage {
            Stage::Comparing => "the next run compares everything, issues nothing and takes nothing away",
            Stage::Proving => "compared; what was not seen is looked at again, and nothing is taken away",
            Stage::Waiting => "compared; what takes away waits for `lockstep hold release`",
        };
        out.line(format_args!("restored    from a backup: {}; {now}", older.why))?;
    }
    if let (Some(next), true) = (&answer.next_run, answer.running.as_deref().is_some_and(|who| who.starts_with("a daemon"))) {
        out.line(format_args!("next run    {next}"))?;
    }
    out.line(format_args!("conflicts   {} open", answer.conflicts_open))?;
    out.line(format_args!("quarantine  {}", some(answer.quarantined, "record")))?;
    if answer.frozen > 0 {
        out.line(format_args!("frozen      {} fought over; see `lockstep quarantine`", some(answer.frozen, "field")))?;
    }
    out.line(format_args!("held        {}", some(answer.held, "record")))?;
    for hold in &answer.holds {
        out.line(format_args!("            {} {} on {}: {}", some(hold.count, &hold.verb), hold.object, hold.side, hold.reason))?;
    }
    if !answer.unseen.is_empty() {
        let more = if answer.unseen.len() == UNSEEN_MAX as usize { " or more" } else { "" };
        out.line(format_args!(
            "unseen      {}{more} that may be gone or hidden from our user",
            some(answer.unseen.len() as u64, "record")
        ))?;
        for row in answer.unseen.iter().take(10) {
            out.line(format_args!("            {} {} on {} since {}: {}", row.object, row.id, row.side, row.since, row.reason))?;
        }
    }
    for asked in &answer.requests {
        out.line(format_args!("asked       {} {}", asked.kind, asked.argument))?;
    }
    if !answer.unlinked.is_empty() {
        let rows: Vec<Vec<String>> =
            answer.unlinked.iter().map(|u| vec![u.object.clone(), u.side.clone(), u.situation.clone(), u.count.to_string()]).collect();
        out.line("\nnot linked")?;
        out.text(table(&["object", "side", "situation", "records"], &rows))?;
    }
    if let Some(statistics) = &answer.statistics {
        if statistics.is_empty() {
            out.line("\nnothing was created, changed or deleted yet")?;
        } else {
            let row = |s: &StatisticsRow| {
                let counts = [s.created, s.changed, s.deleted, s.linked, s.failed].map(|n| n.to_string());
                [s.period.clone(), s.object.clone(), s.side.clone()].into_iter().chain(counts).collect()
            };
            let rows: Vec<Vec<String>> = statistics.iter().map(row).collect();
            out.line("\nstatistics")?;
            out.text(table(&["period", "object", "side", "created", "changed", "deleted", "linked", "failed"], &rows))?;
        }
    }
    Ok(())
}
