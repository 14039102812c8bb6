//! `lockstep quarantine`: records that failed for good for now, why, what happens next and what a person can do; and the
//! fields that are fought over.

use super::{
    Exit, Out, Place,
    output::{some, table},
};
use crate::engine::name_of;
use crate::plan::{Advice, advice};
use crate::store::{FrozenRow, QuarantineRow, Store, stamp};
use chrono::Utc;
use serde_json::json;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub limit: u32,
}

pub fn run(args: &Args, place: &Place, out: &mut Out) -> anyhow::Result<Exit> {
    let Some(store) = place.read()? else {
        if out.json {
            out.json(&json!({ "quarantined": 0, "records": [], "frozen": [] }))?;
        } else {
            out.line("nothing in quarantine")?;
        }
        return Ok(Exit::InStep);
    };
    let (mut rows, total) = (store.quarantine(args.limit)?, store.quarantine_count()?);
    for row in &mut rows {
        row.name = store.known(&row.object, row.side, &row.id)?.as_ref().and_then(name_of);
    }
    let frozen = store.frozen(args.limit)?;
    let now = stamp(Utc::now());
    if out.json {
        let records: Vec<_> = rows.iter().map(|q| as_json(q, &now)).collect();
        let frozen: Vec<_> = frozen.iter().map(frozen_json).collect();
        out.json(&json!({ "quarantined": total, "records": records, "frozen": frozen }))?;
        return Ok(Exit::InStep);
    }
    if rows.is_empty() {
        out.line("nothing in quarantine")?;
    } else {
        print(&rows, total, &now, out)?;
    }
    print_frozen(&frozen, &store, out)?;
    Ok(Exit::InStep)
}

fn print(rows: &[QuarantineRow], total: u64, now: &str, out: &mut Out) -> anyhow::Result<()> {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|q| {
            vec![
                q.object.clone(),
                q.side.to_string(),
                q.id.clone(),
                q.name.clone().unwrap_or_default(),
                q.field.clone().unwrap_or_default(),
                q.situation.clone(),
                q.code.clone(),
                q.since.clone(),
                q.attempts.to_string(),
                next(q, now),
                q.message.clone(),
            ]
        })
        .collect();
    let head = ["object", "side", "id", "name", "field", "situation", "code", "since", "tries", "next", "message"];
    out.text(table(&head, &cells))?;
    let mut codes: Vec<&str> = rows.iter().map(|q| q.code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    out.line("\nwhat you can do")?;
    for code in codes {
        out.line(format_args!("  {code}: {}", advice(code).act))?;
    }
    let shown = rows.len() as u64;
    if total > shown {
        out.line(format_args!("{} more: --limit", some(total - shown, "record")))?;
    }
    Ok(())
}

/// When it is tried again, and what makes that sooner.
fn next(q: &QuarantineRow, now: &str) -> String {
    if q.next_try_at.as_str() <= now {
        return "in the next run".to_owned();
    }
    format!("{}; sooner with {}", q.next_try_at, advice(&q.code).waits_for)
}

fn as_json(q: &QuarantineRow, now: &str) -> serde_json::Value {
    let Advice { act, waits_for } = advice(&q.code);
    let mut value = json!(q);
    value["next"] = next(q, now).into();
    value["waits_for"] = waits_for.into();
    value["do"] = act.into();
    value
}

pub(super) fn frozen_json(f: &FrozenRow) -> serde_json::Value {
    json!({
        "object": f.object, "salesforce_id": f.salesforce_id, "platform_id": f.platform_id, "field": f.field, "side": f.side,
        "wrote": f.wrote.to_plain_json(), "times": f.times, "since": f.since, "run": f.run,
        "value": { "salesforce": f.value.salesforce.to_plain_json(), "platform": f.value.platform.to_plain_json() },
        "release": format!("lockstep retry {} {}", f.object, f.salesforce_id),
    })
}

fn print_frozen(frozen: &[FrozenRow], store: &Store, out: &mut Out) -> anyhow::Result<()> {
    if frozen.is_empty() {
        return Ok(());
    }
    let cells: Vec<Vec<String>> = frozen
        .iter()
        .map(|f| {
            vec![
                f.object.clone(),
                f.salesforce_id.clone(),
                f.field.clone(),
                f.value.salesforce.to_string(),
                f.value.platform.to_string(),
                format!("{} on {}", f.wrote, f.side),
                f.times.to_string(),
                f.since.clone(),
            ]
        })
        .collect();
    out.line("\nfought over: written, not kept, and written no more")?;
    out.text(table(&["object", "salesforce id", "field", "salesforce has", "platform has", "wrote", "times", "since"], &cells))?;
    let total = store.frozen_count()?;
    if total > frozen.len() as u64 {
        out.line(format_args!("{} more: --limit", some(total - frozen.len() as u64, "field")))?;
    }
    out.line("find what changes the field back (a flow, a trigger, an integration), or map it one way; then: lockstep retry OBJECT ID")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Side;

    #[test]
    fn it_says_when_and_what_makes_it_sooner() {
        let mut row = QuarantineRow {
            object: "contact".into(),
            side: Side::Salesforce,
            id: "003A".into(),
            situation: "new-in-salesforce".into(),
            code: "too-long".into(),
            message: "Phone: 60 characters".into(),
            since: "2026-11-24T10:00:00Z".into(),
            attempts: 1,
            next_try_at: "2026-11-24T10:15:00Z".into(),
            field: Some("Phone".into()),
            name: None,
        };
        assert_eq!(next(&row, "2026-11-24T10:05:00Z"), "2026-11-24T10:15:00Z; sooner with a shorter value, or a longer field");
        row.next_try_at.clone_from(&row.since);
        assert_eq!(next(&row, "2026-11-24T10:05:00Z"), "in the next run");
        assert_eq!(as_json(&row, "2026-11-24T10:05:00Z")["do"], advice("too-long").act);
    }
}
