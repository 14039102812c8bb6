//! `lockstep history`: the runs, one run, the last changes, or the whole story of one record.

use super::{Exit, Out, Place, Usage, output::table};
use crate::store::{RunRow, Store, StoredIntent, Table};
use serde::Serialize;
use serde_json::json;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many runs
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub limit: u32,
    /// One run with its statistics and changes
    #[arg(long, value_name = "N", conflicts_with = "record")]
    pub run: Option<i64>,
    /// Everything that happened to one record, by its id on either side
    #[arg(long, value_name = "ID")]
    pub record: Option<String>,
    /// The last records that were synchronised, newest first; 100 of them unless you say
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "100", conflicts_with_all = ["run", "record", "limit"])]
    pub last: Option<u32>,
}

pub fn run(args: &Args, place: &Place, out: &mut Out) -> anyhow::Result<Exit> {
    let store = place.read()?;
    match (&args.record, args.run, args.last) {
        (Some(id), ..) => record(store.as_ref(), id, out)?,
        (None, Some(run), _) => one_run(store.as_ref(), run, out)?,
        (None, None, Some(limit)) => last(store.as_ref(), limit, out)?,
        (None, None, None) => runs(store.as_ref(), args.limit, out)?,
    }
    Ok(Exit::InStep)
}

fn runs(store: Option<&Store>, limit: u32, out: &mut Out) -> anyhow::Result<()> {
    let runs = store.map_or_else(|| Ok(Vec::new()), |store| store.runs(limit))?;
    if out.json {
        return out.json(&json!({ "runs": runs }));
    }
    if runs.is_empty() {
        return out.line("no run yet");
    }
    let rows: Vec<Vec<String>> = runs.iter().map(cells).collect();
    out.text(table(
        &["run", "started", "took", "kind", "cause", "outcome", "to SF", "to platform", "conflicts", "calls SF", "calls platform", "error"],
        &rows,
    ))
}

fn cells(run: &RunRow) -> Vec<String> {
    vec![
        run.run.to_string(),
        run.started_at.clone(),
        took(run),
        run.kind.clone(),
        run.cause.clone(),
        run.outcome.clone(),
        run.writes.salesforce.to_string(),
        run.writes.platform.to_string(),
        run.conflicts.to_string(),
        run.calls.salesforce.to_string(),
        run.calls.platform.to_string(),
        run.error.clone().unwrap_or_default(),
    ]
}

fn took(run: &RunRow) -> String {
    let parse = |text: &str| text.parse::<chrono::DateTime<chrono::Utc>>().ok();
    let seconds = run.finished_at.as_deref().and_then(parse).zip(parse(&run.started_at)).map(|(end, start)| (end - start).num_seconds());
    seconds.map_or_else(|| "-".to_owned(), |s| format!("{s} s"))
}

#[derive(Serialize)]
struct Change {
    object: String,
    side: crate::record::Side,
    verb: crate::plan::Verb,
    situation: &'static str,
    salesforce_id: Option<String>,
    platform_id: Option<String>,
    outcome: &'static str,
    fields: Vec<serde_json::Value>,
}

impl Change {
    fn of(stored: StoredIntent) -> Self {
        let intent = stored.intent;
        let plain = |m: &crate::plan::Moved| json!({ "name": m.name, "old": m.old.to_plain_json(), "new": m.new.to_plain_json() });
        Self {
            object: intent.object,
            side: intent.side,
            verb: intent.verb,
            situation: intent.situation.as_str(),
            salesforce_id: intent.salesforce_id.map(|id| id.to_string()),
            platform_id: intent.platform_id.map(|id| id.to_string()),
            outcome: stored.state.as_str(),
            fields: intent.moved.iter().map(plain).collect(),
        }
    }
}

fn one_run(store: Option<&Store>, number: i64, out: &mut Out) -> anyhow::Result<()> {
    let found = match store {
        Some(store) => store.run_row(number)?.map(|run| (store, run)),
        None => None,
    };
    let Some((store, run)) = found else { return Err(Usage(format!("there is no run {number}")).into()) };
    let statistics = store.view("run_statistics", "run = ?1 ORDER BY object, side", &number.to_string(), 1_000)?;
    if out.json {
        out.text(format_args!("{{\"run\":{},\"statistics\":{},\"changes\":[", serde_json::to_string(&run)?, statistics.to_json()))?;
        let mut first = true;
        store.each_of_run(number, |stored| {
            out.text(if first { "" } else { "," })?;
            first = false;
            out.text(serde_json::to_string(&Change::of(stored))?)
        })?;
        return out.line("]}");
    }
    out.line(format_args!("run {} {} ({}, {}), {}: {}", run.run, run.started_at, run.kind, run.cause, took(&run), run.outcome))?;
    if let Some(error) = &run.error {
        out.line(format_args!("error: {error}"))?;
    }
    out.line(format_args!("writes: {} to Salesforce, {} to the platform", run.writes.salesforce, run.writes.platform))?;
    out.line(format_args!("calls: {} to Salesforce, {} to the platform", run.calls.salesforce, run.calls.platform))?;
    whole(&statistics, out)?;
    store.each_of_run(number, |stored| {
        let moved = stored.intent.moved.clone();
        let change = Change::of(stored);
        let ids: Vec<&str> = [&change.salesforce_id, &change.platform_id].into_iter().filter_map(Option::as_deref).collect();
        out.line(format_args!(
            "{} {} {} on {}: {}, {}",
            change.verb,
            change.object,
            ids.join(" = "),
            change.side,
            change.situation,
            change.outcome
        ))?;
        for m in &moved {
            out.line(format_args!("    {}: {} → {}", m.name, m.old, m.new))?;
        }
        Ok(())
    })
}

fn last(store: Option<&Store>, limit: u32, out: &mut Out) -> anyhow::Result<()> {
    if out.json {
        out.text("{\"changes\":[")?;
        let mut first = true;
        if let Some(store) = store {
            store.each_of_last(limit, |change| {
                out.text(if first { "" } else { "," })?;
                first = false;
                out.text(serde_json::to_string(&change)?)
            })?;
        }
        return out.line("]}");
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    if let Some(store) = store {
        store.each_of_last(limit, |change| {
            let ids = [change.salesforce_id, change.platform_id].map(|id| id.unwrap_or_else(|| "-".to_owned()));
            let why = [change.code, change.message].into_iter().flatten().collect::<Vec<_>>().join(": ");
            let [salesforce, platform] = ids;
            let run = change.run.to_string();
            let direction = change.direction.to_owned();
            rows.push(vec![change.at, run, change.object, change.action, direction, salesforce, platform, change.outcome, why]);
            Ok(())
        })?;
    }
    if rows.is_empty() {
        return out.line("nothing was synchronised yet");
    }
    out.text(table(&["at", "run", "object", "action", "direction", "salesforce id", "platform id", "outcome", "why"], &rows))
}

fn record(store: Option<&Store>, id: &str, out: &mut Out) -> anyhow::Result<()> {
    let story = store.map(|store| store.record_story(id)).transpose()?;
    if out.json {
        let rows = story.as_ref().map_or_else(|| json!([]), Table::to_json);
        return out.json(&json!({ "record": id, "history": rows }));
    }
    match story {
        Some(story) if !story.rows.is_empty() => whole(&story, out),
        _ => out.line(format_args!("nothing is known of {id}: no run has changed, parked or linked it")),
    }
}

fn whole(view: &Table, out: &mut Out) -> anyhow::Result<()> {
    if view.rows.is_empty() {
        return Ok(());
    }
    let head: Vec<&str> = view.columns.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = view.rows.iter().map(|row| row.iter().map(|cell| cell.clone().unwrap_or_default()).collect()).collect();
    out.text(table(&head, &rows))
}
