//! The intent journal: planned → promised → settled, and afterwards the history.
//!
//! What an outcome moves besides is in `settle.rs`.

use super::Cached;
use super::{Store, links::count, stamp};
use crate::plan::{Decided, Intent, IntentState, Moved, Situation, Verb};
use crate::record::{Fields, RecordId, Side, Sides, fields_json};
use crate::seeded::seeded;
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// An intent as the journal holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredIntent {
    pub intent: Intent,
    pub state: IntentState,
    pub run: i64,
}

/// One update that reached a side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrote {
    pub intent: i64,
    pub side: Side,
    pub moved: Vec<Moved>,
    pub at: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Settlement {
    pub(super) advance: Sides<Fields>,
    pub(super) conflicts: Vec<Decided>,
    pub(super) key: Option<(String, String)>,
}

pub(super) fn json<T: Serialize>(value: &T) -> anyhow::Result<String> {
    Ok(serde_json::to_string(value)?)
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e)))
}

pub(super) fn state_of(word: &str) -> IntentState {
    match word {
        "planned" => IntentState::Planned,
        "promised" => IntentState::Promised,
        "unknown" => IntentState::Unknown,
        "done" => IntentState::Done,
        "rejected" => IntentState::Rejected,
        _ => IntentState::Dropped,
    }
}

fn stored_from(row: &Row<'_>) -> rusqlite::Result<StoredIntent> {
    let text = |name: &str| row.get::<_, String>(name);
    let settlement: Settlement = from_json(&text("advance")?)?;
    let unknown = |what: &str| rusqlite::Error::InvalidColumnName(what.to_owned());
    Ok(StoredIntent {
        state: state_of(&text("state")?),
        run: row.get("run_id")?,
        intent: Intent {
            id: row.get("id")?,
            object: text("object")?,
            side: Side::parse(&text("side")?).ok_or_else(|| unknown("side"))?,
            verb: Verb::parse(&text("verb")?).ok_or_else(|| unknown("verb"))?,
            situation: Situation::parse(&text("situation")?).ok_or_else(|| unknown("situation"))?,
            link: row.get("link_id")?,
            salesforce_id: row.get::<_, Option<String>>("salesforce_id")?.map(RecordId::from),
            platform_id: row.get::<_, Option<String>>("platform_id")?.map(RecordId::from),
            fields: from_json(&text("fields")?)?,
            moved: from_json(&text("moved")?)?,
            advance: settlement.advance,
            conflicts: settlement.conflicts,
            key: settlement.key,
        },
    })
}

impl Store {
    /// Writes a batch of the plan down. Nothing is sent from here.
    pub fn record_plan(&self, run: i64, intents: &[Intent], now: DateTime<Utc>) -> anyhow::Result<()> {
        self.write(|tx| {
            for intent in intents {
                let settlement =
                    Settlement { advance: intent.advance.clone(), conflicts: intent.conflicts.clone(), key: intent.key.clone() };
                tx.prepare_cached(
                    "INSERT INTO intent (run_id, object, side, verb, situation, state, link_id, salesforce_id, platform_id, fields, moved, advance, planned_at, takes_away)
                     VALUES (?1, ?2, ?3, ?4, ?5, 'planned', ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
                )?
                .execute(params![
                    run,
                    intent.object,
                    intent.side.as_str(),
                    intent.verb.as_str(),
                    intent.situation.as_str(),
                    intent.link,
                    intent.salesforce_id.as_ref().map(RecordId::as_str),
                    intent.platform_id.as_ref().map(RecordId::as_str),
                    fields_json(&intent.fields),
                    json(&intent.moved)?,
                    json(&settlement)?,
                    stamp(now),
                    intent.takes_away(),
                ])?;
            }
            Ok(())
        })
    }

    /// How many planned intents there are per side and verb. What takes away counts as `delete`.
    pub fn planned_groups(&self, object: &str) -> anyhow::Result<Vec<(Side, Verb, u64)>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT side, CASE WHEN takes_away THEN 'delete' ELSE verb END AS what, count(*) FROM intent
                 WHERE object = ?1 AND state = 'planned' AND situation <> 'told' GROUP BY side, what",
            )?
            .query_map([object], |r| Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?, count(r.get(2)?))))?
            .map(|row| {
                let (side, verb, n) = row?;
                Ok((Side::parse(&side).unwrap_or(Side::Platform), Verb::parse(&verb).unwrap_or(Verb::Mark), n))
            })
            .collect()
        })
    }

    /// How many planned intents of one group there are.
    pub fn planned_count(&self, object: &str, side: Side, verb: Verb) -> anyhow::Result<u64> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT count(*) FROM intent WHERE object = ?1 AND side = ?2 AND state = 'planned' AND situation <> 'told'
                 AND CASE WHEN takes_away THEN 'delete' ELSE verb END = ?3",
            )?
            .query_row(params![object, side.as_str(), verb.as_str()], |r| r.get(0))
            .map(count)
        })
    }

    /// How many links would end because their other side is gone; what only takes something away is not among them.
    pub fn planned_ends(&self, object: &str, side: Side) -> anyhow::Result<u64> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT count(*) FROM intent WHERE object = ?1 AND side = ?2 AND state = 'planned' AND verb IN ('delete', 'bury') AND link_id IS NOT NULL",
            )?
            .query_row(params![object, side.as_str()], |r| r.get(0))
            .map(count)
        })
    }

    /// Links that were written more than once on one side since then: only these can be fought over.
    pub fn links_written_again(&self, object: &str, since: DateTime<Utc>) -> anyhow::Result<BTreeSet<i64>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT link_id FROM intent WHERE state = 'done' AND object = ?1 AND side IN ('salesforce', 'platform') AND verb = 'update'
                 AND settled_at >= ?2 AND link_id IS NOT NULL AND situation <> 'told' GROUP BY link_id, side HAVING count(*) > 1",
            )?
            .query_map(params![object, stamp(since)], |r| r.get(0))?
            .collect()
        })
    }

    /// The updates of a link since then, oldest first: side, what was written over what, and when.
    pub fn written_since(&self, link: i64, object: &str, since: DateTime<Utc>) -> anyhow::Result<Vec<Wrote>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT id, side, moved, settled_at FROM intent WHERE platform_id = (SELECT platform_id FROM link WHERE id = ?1) AND object = ?2
                 AND link_id = ?1 AND state = 'done' AND verb = 'update' AND situation <> 'told' AND settled_at >= ?3 ORDER BY id",
            )?
            .query_map(params![link, object, stamp(since)], |r| {
                Ok(Wrote {
                    intent: r.get(0)?,
                    side: Side::parse(&r.get::<_, String>(1)?).unwrap_or(Side::Platform),
                    moved: from_json(&r.get::<_, String>(2)?)?,
                    at: r.get(3)?,
                })
            })?
            .collect()
        })
    }

    /// Writes that reached a side since then, per verb: the guard's 24-hour window. What a person let go is not counted.
    pub fn done_since(
        &self,
        object: &str,
        side: Side,
        verb: Verb,
        since: DateTime<Utc>,
        first_load_until: Option<&str>,
    ) -> anyhow::Result<u64> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT count(*) FROM intent WHERE state = 'done' AND object = ?1 AND side = ?2 AND verb IN (?3, 'update')
                 AND settled_at >= ?4 AND settled_at > ?5 AND situation <> 'told' AND CASE WHEN takes_away THEN 'delete' ELSE verb END = ?3
                 AND NOT EXISTS (SELECT 1 FROM approval a WHERE a.used_run = intent.run_id AND a.object = intent.object AND a.side = intent.side
                   AND a.verb = ?3 AND a.ceiling > 0)",
            )?
            .query_row(params![object, side.as_str(), verb.as_str(), stamp(since), first_load_until.unwrap_or("")], |r| r.get(0))
            .map(count)
        })
    }

    /// Two unlinked Salesforce records that claim one platform record are ambiguous: both claims go, by name. Where just
    /// one of them names it by its planted id, that one stays; the other claims are planned afresh.
    pub fn take_contested_links(&self, object: &str) -> anyhow::Result<Vec<(RecordId, RecordId)>> {
        self.write(|tx| {
            let contested: Vec<(i64, String, String, bool)> = tx
                .prepare_cached(
                    "SELECT id, salesforce_id, platform_id, json_extract(advance, '$.key') IS NOT NULL
                     FROM intent WHERE object = ?1 AND state = 'planned' AND verb = 'link' AND platform_id IN
                       (SELECT platform_id FROM intent WHERE object = ?1 AND state = 'planned' AND verb = 'link' GROUP BY 1 HAVING count(*) > 1)",
                )?
                .query_map([object], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))?
                .collect::<Result<_, _>>()?;
            let mut planted: BTreeMap<&str, u32> = BTreeMap::new();
            for (_, _, platform, by_id) in &contested {
                *planted.entry(platform).or_default() += u32::from(*by_id);
            }
            let mut parked = Vec::new();
            for (id, salesforce, platform, by_id) in &contested {
                let decided = planted.get(platform.as_str()) == Some(&1);
                if decided && *by_id {
                    continue;
                }
                tx.run("DELETE FROM intent WHERE id = ?1", [id])?;
                if !decided {
                    parked.push((RecordId::from(salesforce.clone()), RecordId::from(platform.clone())));
                }
            }
            Ok(parked)
        })
    }

    /// A plan that is not carried out leaves no trace but its hold: the next run plans afresh.
    pub fn drop_planned(&self, object: &str, group: Option<(Side, Verb)>) -> anyhow::Result<usize> {
        self.write(|tx| {
            Ok(match group {
                Some((side, verb)) => tx.run(
                    "DELETE FROM intent WHERE object = ?1 AND state = 'planned' AND side = ?2
                       AND CASE WHEN takes_away THEN 'delete' ELSE verb END = ?3",
                    params![object, side.as_str(), verb.as_str()],
                )?,
                None => tx.run("DELETE FROM intent WHERE object = ?1 AND state = 'planned'", [object])?,
            })
        })
    }

    /// Plans of a run that ended before it carried them out.
    pub fn drop_all_planned(&self) -> anyhow::Result<usize> {
        self.write(|tx| {
            if seeded!(PromisesDropped) {
                tx.run("DELETE FROM intent WHERE state IN ('promised', 'unknown')", [])?;
            }
            Ok(tx.run("DELETE FROM intent WHERE state = 'planned'", [])?)
        })
    }

    /// The next intents to carry out: of the first of these verbs that has any, in the order they were planned.
    pub fn next_planned(&self, object: &str, side: Side, verbs: &[Verb], limit: u32) -> anyhow::Result<Vec<StoredIntent>> {
        self.read(|c| {
            for verb in verbs {
                let batch: Vec<StoredIntent> = c
                    .prepare_cached(
                        "SELECT * FROM intent INDEXED BY intent_planned WHERE object = ?1 AND side = ?2 AND verb = ?3 AND state = 'planned'
                         ORDER BY id LIMIT ?4",
                    )?
                    .query_map(params![object, side.as_str(), verb.as_str(), limit], stored_from)?
                    .collect::<Result<_, _>>()?;
                if !batch.is_empty() {
                    return Ok(batch);
                }
            }
            Ok(Vec::new())
        })
    }

    /// Committed before anything is sent.
    pub fn promise(&self, intents: &[StoredIntent]) -> anyhow::Result<()> {
        self.write(|tx| {
            for stored in intents {
                tx.prepare_cached("UPDATE intent SET state = 'promised' WHERE id = ?1")?.execute([stored.intent.id])?;
            }
            Ok(())
        })
    }

    /// Promises of earlier runs whose outcome nobody knows.
    pub fn open_promises(&self, object: &str) -> anyhow::Result<Vec<StoredIntent>> {
        self.read(|c| {
            c.prepare_cached("SELECT * FROM intent WHERE object = ?1 AND state IN ('promised', 'unknown') ORDER BY id")?
                .query_map([object], stored_from)?
                .collect()
        })
    }

    /// True if a record may have been made on `side` of which nobody knows yet.
    pub fn creates_in_doubt(&self, object: &str, side: Side) -> anyhow::Result<bool> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM intent WHERE object = ?1 AND state IN ('promised', 'unknown') AND side = ?2 AND verb = 'create')",
            )?
            .query_row(params![object, side.as_str()], |r| r.get(0))
        })
    }

    pub fn intent(&self, id: i64) -> anyhow::Result<Option<StoredIntent>> {
        self.read(|c| c.one("SELECT * FROM intent WHERE id = ?1", [id], stored_from).optional())
    }

    /// All intents of a run that are a person's business, for `plan`.
    pub fn each_of_run(&self, run: i64, mut show: impl FnMut(StoredIntent) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut after = 0i64;
        loop {
            let batch: Vec<StoredIntent> = self.read(|c| {
                c.prepare_cached("SELECT * FROM intent WHERE run_id = ?1 AND id > ?2 AND verb <> 'advance' ORDER BY id LIMIT 500")?
                    .query_map(params![run, after], stored_from)?
                    .collect()
            })?;
            let Some(last) = batch.last() else { return Ok(()) };
            after = last.intent.id;
            for stored in batch {
                show(stored)?;
            }
        }
    }
}
