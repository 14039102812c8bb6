//! `lockstep verify`: both systems compared value by value; with `--repair`, what drifted goes through an ordinary run.

use super::{Exit, Out, Place, Usage, once, output::some};
use crate::connectors::{Reader, Writer};
use crate::daemon::{Holder, Lock, connect};
use crate::engine::{Difference, ObjectFound, OneSided, Options, Report, RunKind, Verified, Verify};
use crate::record::Sides;
use crate::store::{RunCounts, Store};
use anyhow::bail;
use chrono::Utc;
use serde::Serialize;

/// Differences that are shown of an object; `--json` has up to a thousand.
const SHOWN: usize = 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this object, such as `contact`
    #[arg(long, value_name = "OBJECT")]
    pub object: Option<String>,
    /// What drifted is read afresh and goes through an ordinary run: the rules decide, the guard counts
    #[arg(long)]
    pub repair: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    run: i64,
    /// `ok`: in step; `partial`: drift.
    outcome: &'static str,
    #[serde(flatten)]
    found: &'a Verified,
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<Repaired>,
}

/// What became of `--repair`.
#[derive(Serialize)]
struct Repaired {
    /// Records that were handed to the next run.
    asked: u64,
    /// A daemon is there and does it.
    daemon: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Report>,
}

pub fn run(args: &Args, place: &Place, out: &mut Out) -> anyhow::Result<Exit> {
    let config = place.config_in_force()?;
    if let Some(object) = args.object.as_deref().filter(|o| config.rules.mapping(o).is_none()) {
        let known: Vec<&str> = config.rules.mappings.iter().map(|m| m.object.as_str()).collect();
        return Err(Usage(format!("the rules have no object {object:?}; they have {}", known.join(", "))).into());
    }
    if place.read()?.is_none() {
        bail!("nothing is linked in {} yet: `lockstep once` comes first", place.state.display());
    }
    let store = Store::open(&place.state)?;
    let sides = connect(&config)?;
    let readers = Sides::new(reader(&*sides.salesforce), reader(&*sides.platform));
    let verify = Verify { store: &store, rules: &config.rules, sides: readers, object: args.object.as_deref() };

    let began = Utc::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let bar = once::progress(out.json);
    bar.set_message("reading both systems whole");
    let compared = runtime.block_on(verify.compare());
    bar.finish_and_clear();

    let allowance = readers.salesforce.calls();
    let counts = RunCounts {
        calls: Sides::new(allowance.data, readers.platform.calls().data),
        allowance: allowance.allowance_used.zip(allowance.allowance_max),
        ..RunCounts::default()
    };
    let note = |outcome, error: Option<&str>| store.note_run("verify", "verify", outcome, error, &counts, (began, Utc::now()));
    let found = match compared {
        Ok(found) => found,
        Err(error) => {
            note("failed", Some(&format!("{error:#}")))?;
            return Err(error.context("nothing was compared to its end"));
        }
    };
    let outcome = if found.drift == 0 { "ok" } else { "partial" };
    let run = note(outcome, None)?;
    let repair = if args.repair && found.drift > 0 { Some(mend(&found, &store, place, out.json)?) } else { None };
    let exit = match &repair {
        Some(Repaired { run: Some(report), .. }) => Exit::of_report(report),
        Some(_) => Exit::WorkLeft,
        None if found.drift > 0 => Exit::WorkLeft,
        None => Exit::InStep,
    };
    if out.json {
        out.json(&Answer { run, outcome, found: &found, repair })?;
    } else {
        print(run, &found, out)?;
        match &repair {
            Some(Repaired { asked, daemon: true, .. }) => {
                out.line(format_args!("repair: {} handed to the daemon", some(*asked, "record")))?
            }
            Some(Repaired { asked, run: Some(report), .. }) => {
                out.line(format_args!("repair: {} looked at again", some(*asked, "record")))?;
                once::summary(report, out)?;
            }
            Some(_) => {}
            None if found.drift > 0 => out.line("`lockstep verify --repair` lets the rules decide what becomes of it")?,
            None => {}
        }
    }
    out.flush()?;
    Ok(exit)
}

fn reader(writer: &dyn Writer) -> &dyn Reader {
    writer
}

/// Leaves word in the store; the daemon that is there takes it up, or a run of our own.
fn mend(found: &Verified, store: &Store, place: &Place, json: bool) -> anyhow::Result<Repaired> {
    let mut asked = 0;
    for (object, repairs) in &found.repairs {
        store.ask_repair(object, repairs, Utc::now())?;
        asked += repairs.len() as u64;
    }
    if Lock::holder(&place.state).is_some_and(|holder| Holder::is_daemon(&holder)) {
        store.ask("run", "verify --repair", Utc::now())?;
        return Ok(Repaired { asked, daemon: true, run: None });
    }
    let report = once::attempt(Options::new(RunKind::Delta, "repair"), place, json)?;
    Ok(Repaired { asked, daemon: false, run: Some(report) })
}

fn print(run: i64, found: &Verified, out: &mut Out) -> anyhow::Result<()> {
    for object in &found.objects {
        describe(object, out)?;
    }
    let verdict = if found.drift == 0 { "in step".to_owned() } else { format!("{} drifted", some(found.drift, "record")) };
    let open =
        if found.unsettled > 0 { format!(", {} with something known to be open", some(found.unsettled, "record")) } else { String::new() };
    out.line(format_args!("run {run} (verify): {verdict}{open}"))
}

fn describe(found: &ObjectFound, out: &mut Out) -> anyhow::Result<()> {
    out.line(format_args!(
        "{}: {} in Salesforce, {} on the platform, {} linked, {} in step, {} drifted, {} unsettled",
        found.object, found.records.salesforce, found.records.platform, found.linked, found.in_step, found.drift, found.unsettled
    ))?;
    if found.left + found.out_of_scope > 0 {
        out.line(format_args!("  {} left different by the rules, {} out of scope", found.left, found.out_of_scope))?;
    }
    for (field, count) in &found.fields {
        out.line(format_args!("  {field}: {}", some(*count, "record")))?;
    }
    for difference in found.differences.iter().take(SHOWN) {
        pair(difference, out)?;
    }
    for one in found.one_sided.iter().take(SHOWN) {
        alone(one, out)?;
    }
    let listed = found.differences.len().min(SHOWN) + found.one_sided.len().min(SHOWN);
    let more = (found.differences.len() + found.one_sided.len() - listed) as u64 + found.more;
    if more > 0 {
        out.line(format_args!("  and {} more", some(more, "record")))?;
    }
    for (situation, count) in &found.unlinked {
        out.line(format_args!("  not linked, {situation}: {count}"))?;
    }
    if found.duplicate_keys > 0 {
        out.line(format_args!("  {} shared by several records of one side", some(found.duplicate_keys, "key")))?;
    }
    for duplicate in found.duplicates.iter().take(SHOWN) {
        let key = if duplicate.ordinal == 0 { "the same planted id".to_owned() } else { format!("match key {}", duplicate.ordinal) };
        out.line(format_args!("  {}: {} with {key}: {}", duplicate.side, some(duplicate.count, "record"), duplicate.ids.join(", ")))?;
    }
    Ok(())
}

fn pair(difference: &Difference, out: &mut Out) -> anyhow::Result<()> {
    let open = difference.open.as_deref().map(|open| format!(" ({open})")).unwrap_or_default();
    out.line(format_args!("  {} = {}{open}", difference.salesforce_id, difference.platform_id))?;
    for field in &difference.fields {
        out.line(format_args!(
            "    {}: {} in Salesforce, {} on the platform; {}",
            field.field, field.salesforce, field.platform, field.why
        ))?;
    }
    Ok(())
}

fn alone(one: &OneSided, out: &mut Out) -> anyhow::Result<()> {
    let open = one.open.as_deref().map(|open| format!(" ({open})")).unwrap_or_default();
    let what = match (&one.side, &one.linked_to) {
        (Some(side), Some(partner)) => format!("only in {side}: {}, its partner {partner} is not there", one.id),
        (Some(side), None) => format!("only in {side}: {}, never seen before", one.id),
        (None, _) => format!("on neither side: {} = {}", one.id, one.linked_to.as_deref().unwrap_or("?")),
    };
    out.line(format_args!("  {what}{open}"))
}
