//! `lockstep conflicts`: what won, what lost, what waits for a person; and how to put the loser back.

use super::{Exit, Out, Place, Usage, live, output::table};
use crate::store::ConflictRow;
use serde_json::json;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Only those that nobody decided yet
    #[arg(long)]
    pub open: bool,
    /// How many
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub limit: u32,
    #[command(subcommand)]
    pub command: Option<What>,
}

#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Puts the losing value back on both sides; of an open conflict, the platform's value
    Restore {
        /// The conflict's number
        id: i64,
        /// Waits until the daemon has done it
        #[arg(long)]
        wait: bool,
    },
}

pub fn run(args: &Args, place: &Place, out: &mut Out) -> anyhow::Result<Exit> {
    if let Some(What::Restore { id, wait }) = args.command {
        return restore(id, wait, place, out);
    }
    let rows = place.read()?.map_or_else(|| Ok(Vec::new()), |store| store.conflicts(args.open, args.limit))?;
    if out.json {
        let list: Vec<_> = rows.iter().map(as_json).collect();
        out.json(&json!({ "conflicts": list }))?;
    } else if rows.is_empty() {
        out.line(if args.open { "no open conflicts" } else { "no conflicts" })?;
    } else {
        out.text(table(
            &["id", "at", "object", "salesforce id", "platform id", "field", "salesforce", "platform", "winner", "rule", "state"],
            &cells(&rows),
        ))?;
    }
    Ok(Exit::InStep)
}

fn restore(id: i64, wait: bool, place: &Place, out: &mut Out) -> anyhow::Result<Exit> {
    let conflict = match place.read()? {
        Some(store) => store.conflict(id)?,
        None => None,
    };
    let Some(conflict) = conflict else {
        return Err(Usage(format!("there is no conflict {id} in {}", place.state.display())).into());
    };
    if conflict.state == "restored" {
        return Err(Usage(format!("conflict {id} has been restored already")).into());
    }
    let what = format!("{} {}: {}", conflict.object, conflict.salesforce_id, conflict.entry);
    live::ask(place, out, "restore", &id.to_string(), &format!("restore of {what}"), wait)
}

fn as_json(c: &ConflictRow) -> serde_json::Value {
    json!({
        "conflict": c.id, "run": c.run, "at": c.at, "object": c.object, "salesforce_id": c.salesforce_id, "platform_id": c.platform_id,
        "field": c.entry, "state": c.state, "winner": c.winner, "rule": c.rule,
        "base": { "salesforce": c.base.salesforce.to_plain_json(), "platform": c.base.platform.to_plain_json() },
        "value": { "salesforce": c.value.salesforce.to_plain_json(), "platform": c.value.platform.to_plain_json() },
    })
}

fn cells(rows: &[ConflictRow]) -> Vec<Vec<String>> {
    rows.iter()
        .map(|c| {
            vec![
                c.id.to_string(),
                c.at.clone(),
                c.object.clone(),
                c.salesforce_id.clone(),
                c.platform_id.clone(),
                c.entry.clone(),
                c.value.salesforce.to_string(),
                c.value.platform.to_string(),
                c.winner.map_or_else(|| "-".to_owned(), |side| side.to_string()),
                c.rule.clone(),
                c.state.clone(),
            ]
        })
        .collect()
}
