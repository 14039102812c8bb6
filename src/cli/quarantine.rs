//! `lockstep quarantine`: records that failed for good for now, why, and when they are tried again.

use super::{
    Exit, Out, Place,
    output::{some, table},
};
use serde_json::json;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub limit: u32,
}

pub fn run(args: &Args, place: &Place, out: &mut Out) -> anyhow::Result<Exit> {
    let store = place.read()?;
    let (rows, total) = match &store {
        Some(store) => (store.quarantine(args.limit)?, store.quarantine_count()?),
        None => (Vec::new(), 0),
    };
    if out.json {
        out.json(&json!({ "quarantined": total, "records": rows }))?;
        return Ok(Exit::InStep);
    }
    if rows.is_empty() {
        out.line("nothing in quarantine")?;
        return Ok(Exit::InStep);
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|q| {
            vec![
                q.object.clone(),
                q.side.to_string(),
                q.id.clone(),
                q.situation.clone(),
                q.code.clone(),
                q.since.clone(),
                q.attempts.to_string(),
                q.next_try_at.clone(),
                q.message.clone(),
            ]
        })
        .collect();
    out.text(table(&["object", "side", "id", "situation", "code", "since", "tries", "next try", "message"], &cells))?;
    let shown = rows.len() as u64;
    if total > shown {
        out.line(format_args!("{} more: --limit", some(total - shown, "record")))?;
    }
    Ok(Exit::InStep)
}
