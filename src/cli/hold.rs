//! `lockstep hold`: what the guard refused to do unasked; a person lets it go or sends it away.

use super::{
    Exit, Out, Place, Usage, live,
    output::{some, table},
};
use crate::plan::{BLANK, HoldKind, Verb};
use crate::record::Side;
use crate::rules::duration;
use crate::store::{HoldRow, HoldSample, PairRow, Store, stamp};
use anyhow::Context;
use chrono::Utc;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub command: What,
}

#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// All holds
    List,
    /// One hold in full, with the first of its records
    Show(Group),
    /// Lets a group go: up to a ceiling, for a time, in one run
    Release {
        #[command(flatten)]
        group: Group,
        /// How many at most [default: as many as are held]
        #[arg(long, value_name = "N")]
        ceiling: Option<u64>,
        /// How long the approval waits for its run
        #[arg(long = "for", default_value = "24h", value_name = "TIME", value_parser = parse_duration)]
        lasting: chrono::Duration,
    },
    /// Says no: what it held is left as it is until the records change again
    Discard(Group),
    /// Feeds corrected pairs of a first contact back: the CSV named by `hold show`, edited
    Pairs {
        /// Rows `linked` name a partner, rows `only-salesforce` say that there is none; other rows say nothing
        file: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub struct Group {
    /// Such as `account`
    pub object: String,
    /// `salesforce` or `platform`
    #[arg(value_parser = parse_side)]
    pub side: Side,
    /// Such as `create`, `update`, `delete`, `link`, or `blank` where only the emptying of a field is held
    #[arg(value_parser = parse_verb)]
    pub verb: String,
}

fn parse_duration(text: &str) -> Result<chrono::Duration, String> {
    duration(text)
}

fn parse_side(text: &str) -> Result<Side, String> {
    Side::parse(text).ok_or_else(|| "a side is `salesforce` or `platform`".to_owned())
}

fn parse_verb(text: &str) -> Result<String, String> {
    let names: Vec<&str> = Verb::ALL.iter().map(|v| v.as_str()).chain([BLANK]).collect();
    if names.contains(&text) { Ok(text.to_owned()) } else { Err(format!("a verb is one of {}", names.join(", "))) }
}

impl Group {
    fn find(&self, holds: &[HoldRow]) -> Option<HoldRow> {
        let is_ours = |h: &&HoldRow| h.object == self.object && h.side == self.side.as_str() && h.verb == self.verb;
        holds.iter().find(is_ours).cloned()
    }

    fn none(&self) -> anyhow::Error {
        Usage(format!("nothing is held for {} {} {}; see `lockstep hold list`", self.object, self.side, self.verb)).into()
    }

    fn argument(&self) -> String {
        format!("{} {} {}", self.object, self.side, self.verb)
    }
}

pub fn run(args: &Args, place: &Place, out: &mut Out) -> anyhow::Result<Exit> {
    let store = place.read()?;
    let holds = store.as_ref().map_or_else(|| Ok(Vec::new()), Store::holds)?;
    match &args.command {
        What::List => list(&holds, out)?,
        What::Show(group) => {
            let hold = group.find(&holds).ok_or_else(|| group.none())?;
            let samples = store.as_ref().map_or_else(|| Ok(Vec::new()), |s| s.hold_samples(&hold.object, &hold.side, &hold.verb))?;
            show(&hold, &samples, out)?;
        }
        What::Release { group, ceiling, lasting } => {
            // A ceiling of one's own may be given before anything is held.
            let ceiling = ceiling.or(group.find(&holds).map(|h| h.count)).ok_or_else(|| group.none())?;
            let now = Utc::now();
            Store::open(&place.state)?.approve(&group.object, group.side.as_str(), &group.verb, ceiling, now, now + *lasting)?;
            let what = format!("release of up to {ceiling} {} until {}", group.argument(), stamp(now + *lasting));
            return live::ask(place, out, "release", &group.argument(), &what, false);
        }
        What::Pairs { file } => feed(file, place, out)?,
        What::Discard(group) => {
            let gone = match group.find(&holds) {
                Some(_) => Store::open(&place.state)?.discard_hold(&group.object, group.side.as_str(), &group.verb, chrono::Utc::now())?,
                None => 0,
            };
            if gone == 0 {
                return Err(group.none());
            }
            if out.json {
                out.json(&json!({ "discarded": gone }))?;
            } else {
                out.line(format_args!(
                    "discarded: {}; the next run leaves these records as they are until they change again",
                    group.argument()
                ))?;
            }
        }
    }
    Ok(Exit::InStep)
}

/// All of them or none; what is wrong is said by file, line and value.
fn feed(file: &Path, place: &Place, out: &mut Out) -> anyhow::Result<()> {
    let shown = file.display();
    let mut reader = csv::Reader::from_path(file).with_context(|| shown.to_string())?;
    let rows: Vec<PairRow> = reader.deserialize().collect::<Result<_, _>>().with_context(|| shown.to_string())?;
    match Store::open(&place.state)?.feed_pairs(&rows, Utc::now())? {
        // The head is line 1.
        Err((at, why)) => Err(Usage(format!("{shown}, line {}: {why}; nothing was taken", at + 2)).into()),
        Ok(taken) if out.json => out.json(&json!({ "taken": taken })),
        Ok(taken) => {
            out.line(format_args!("{} taken; the next run plans with them, and still holds until released", some(taken as u64, "pair")))
        }
    }
}

fn list(holds: &[HoldRow], out: &mut Out) -> anyhow::Result<()> {
    if out.json {
        let list: Vec<_> = holds.iter().map(as_json).collect();
        return out.json(&json!({ "holds": list }));
    }
    if holds.is_empty() {
        return out.line("nothing is held");
    }
    let cells: Vec<Vec<String>> = holds
        .iter()
        .map(|h| {
            vec![
                h.object.clone(),
                h.side.clone(),
                h.verb.clone(),
                h.count.to_string(),
                h.ceiling.to_string(),
                h.of.to_string(),
                h.since.clone(),
                h.reason.clone(),
                lets_go(h).to_owned(),
            ]
        })
        .collect();
    out.text(table(&["object", "side", "verb", "held", "allowed", "of", "since", "reason", "lets go"], &cells))
}

/// What lets the hold go without a person.
fn lets_go(hold: &HoldRow) -> &'static str {
    HoldKind::parse(&hold.kind).unwrap_or(HoldKind::TooMany).lets_go()
}

fn as_json(hold: &HoldRow) -> serde_json::Value {
    let mut value = json!(hold);
    value["lets_go"] = lets_go(hold).into();
    value["release"] = format!("lockstep hold release {} {} {}", hold.object, hold.side, hold.verb).into();
    value
}

fn show(hold: &HoldRow, samples: &[HoldSample], out: &mut Out) -> anyhow::Result<()> {
    if out.json {
        let told: Vec<_> = samples
            .iter()
            .map(|s| {
                let fields: Vec<_> =
                    s.moved.iter().map(|m| json!({ "name": m.name, "old": m.old.to_plain_json(), "new": m.new.to_plain_json() })).collect();
                json!({ "salesforce_id": s.salesforce_id, "platform_id": s.platform_id, "fields": fields })
            })
            .collect();
        return out.json(&json!({ "hold": as_json(hold), "samples": told }));
    }
    out.line(format_args!("{} of {} {} on {}", some(hold.count, &hold.verb), hold.of, hold.object, hold.side))?;
    out.line(format_args!("why      {}", hold.reason))?;
    out.line(format_args!("allowed  {}", hold.ceiling))?;
    out.line(format_args!("since    {}", hold.since))?;
    out.line(format_args!("lets go  {}", lets_go(hold)))?;
    if !hold.sample.is_empty() {
        out.line(format_args!("pairs    {}", hold.sample))?;
    }
    for sample in samples {
        let ids: Vec<&str> = [&sample.salesforce_id, &sample.platform_id].into_iter().filter_map(Option::as_deref).collect();
        out.line(format_args!("  {}", ids.join(" = ")))?;
        for moved in &sample.moved {
            out.line(format_args!("    {}: {} → {}", moved.name, moved.old, moved.new))?;
        }
    }
    let shown = samples.len() as u64;
    if shown > 0 && hold.count > shown {
        out.line(format_args!("  and {} more", hold.count - shown))?;
    }
    out.line("what it would do:  lockstep plan --approve")?;
    out.line(format_args!("let it go:         lockstep hold release {} {} {}", hold.object, hold.side, hold.verb))?;
    out.line(format_args!("leave it be:       lockstep hold discard {} {} {}", hold.object, hold.side, hold.verb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_may_be_the_emptying_of_a_field() {
        assert_eq!(parse_verb("blank").as_deref(), Ok("blank"));
        assert_eq!(parse_verb("create").as_deref(), Ok("create"));
        assert!(parse_verb("dance").is_err_and(|why| why.contains("blank")));
    }
}
