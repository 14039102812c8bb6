//! The intent journal: planned → promised → settled, and afterwards the history.
//!
//! Settling one outcome moves base, link, news, history and quarantine in one commit.

use super::Cached;
use super::{
    Store,
    links::{base_of, count, id_column, link_by},
    stage::{consume, forget},
    stamp,
};
use crate::plan::{Decided, Intent, IntentState, Moved, Outcome, Situation, StepReport, Verb};
use crate::record::{Fields, RecordId, Side, Sides, Value, fields_hash, fields_json, fields_parse};
use crate::seeded::seeded;
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, Transaction, params};
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

/// What became of a batch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    pub done: u64,
    pub rejected: u64,
    pub failed: u64,
    pub unknown: u64,
    pub conflicts: u64,
}

#[derive(Serialize, Deserialize)]
struct Settlement {
    advance: Sides<Fields>,
    conflicts: Vec<Decided>,
    key: Option<(String, String)>,
}

fn json<T: Serialize>(value: &T) -> anyhow::Result<String> {
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

    /// Settles a batch of outcomes in one commit. A rejection puts the source record into quarantine.
    pub fn settle(&self, run: i64, outcomes: &[(StoredIntent, Outcome)], now: DateTime<Utc>) -> anyhow::Result<Settled> {
        self.write(|tx| {
            let mut sum = Settled::default();
            for (stored, outcome) in outcomes {
                settle_one(tx, run, stored, outcome, now, &mut sum)?;
            }
            Ok(sum)
        })
    }
}

fn settle_one(
    tx: &Transaction<'_>,
    run: i64,
    stored: &StoredIntent,
    outcome: &Outcome,
    now: DateTime<Utc>,
    sum: &mut Settled,
) -> anyhow::Result<()> {
    let intent = &stored.intent;
    match outcome {
        Outcome::Done { id, record, steps } => {
            let answer = record.as_ref().map(|r| &r.fields);
            if let Err(contest) = carried_out(tx, run, stored, id, answer, now)? {
                sum.rejected += 1;
                super::quarantine::put(tx, run, intent, "contested", &contest, None, now)?;
                return close(tx, intent, IntentState::Rejected, None, Some(("contested", &contest)), steps, now);
            }
            for decided in intent.conflicts.iter().filter(|_| !seeded!(ConflictUnkept)) {
                sum.conflicts += u64::from(super::conflicts::put(tx, run, intent, decided, now)?);
            }
            for side in Side::BOTH.into_iter().filter(|_| !intent.tells()) {
                if let Some(id) = id_of(intent, side, outcome) {
                    super::quarantine::release_settled(tx, &intent.object, side, id.as_str())?;
                }
            }
            sum.done += 1;
            let otherwise = held_otherwise(intent, answer);
            let said = otherwise.as_deref().map(|message| ("held-otherwise", message));
            close(tx, intent, IntentState::Done, Some(id), said, steps, now)
        }
        // What Lockstep may not say keeps no record from being kept in step.
        Outcome::Rejected { code, message, .. } if intent.tells() => {
            sum.rejected += 1;
            close(tx, intent, IntentState::Rejected, None, Some((code, message)), &[], now)
        }
        Outcome::Rejected { code, message, fields } => {
            sum.rejected += 1;
            let field = (!fields.is_empty()).then(|| fields.join(", "));
            super::quarantine::put(tx, run, intent, code, message, field.as_deref(), now)?;
            close(tx, intent, IntentState::Rejected, None, Some((code, message)), &[], now)
        }
        Outcome::Failed { code, message } => {
            sum.failed += 1;
            close(tx, intent, IntentState::Dropped, None, Some((code, message)), &[], now)
        }
        Outcome::Missing => {
            sum.failed += 1;
            if let Some(id) = id_of(intent, intent.side, outcome) {
                tx.run(
                    "INSERT OR IGNORE INTO suspect VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![intent.object, intent.side.as_str(), id.as_str(), stamp(now), run],
                )?;
            }
            close(tx, intent, IntentState::Dropped, None, Some(("missing", "the record is not there any more")), &[], now)
        }
        Outcome::Unknown { message } => {
            sum.unknown += 1;
            close(tx, intent, IntentState::Unknown, None, Some(("unknown-outcome", message)), &[], now)
        }
    }
}

/// S15: a side that holds something else than it was sent (trimmed, rounded, changed by its own automation) is named. Its
/// value is the base from now on, so nobody writes in circles; the history says who holds what.
fn held_otherwise(intent: &Intent, answer: Option<&Fields>) -> Option<String> {
    if !matches!(intent.verb, Verb::Create | Verb::Update) {
        return None;
    }
    let differs = |(name, sent): (&String, &Value)| {
        let held = answer?.get(name)?;
        let blank = held.is_blank() && sent.is_blank();
        // What people see of a secret is masked, and so tells it from the rest.
        let secret = intent.moved.iter().any(|m| m.name == *name && m.new != *sent);
        // Embedded rows are sent as orders, not kept as values.
        (held != sent && !blank && sent.as_rows().is_none()).then(|| match secret {
            true => format!("{name}: {} holds another value than was sent", intent.side),
            false => format!("{name}: {} holds {held}, {sent} was sent", intent.side),
        })
    };
    let told: Vec<String> = intent.fields.iter().filter_map(differs).collect();
    if told.is_empty() { None } else { Some(told.join("; ")) }
}

fn id_of(intent: &Intent, side: Side, outcome: &Outcome) -> Option<RecordId> {
    let known = match side {
        Side::Salesforce => intent.salesforce_id.clone(),
        Side::Platform => intent.platform_id.clone(),
    };
    known.or_else(|| match outcome {
        Outcome::Done { id, .. } if side == intent.side => Some(id.clone()),
        Outcome::Done { .. } | Outcome::Rejected { .. } | Outcome::Failed { .. } | Outcome::Unknown { .. } | Outcome::Missing => None,
    })
}

fn close(
    tx: &Transaction<'_>,
    intent: &Intent,
    state: IntentState,
    id: Option<&RecordId>,
    trouble: Option<(&str, &str)>,
    steps: &[StepReport],
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    // What settling needed is not needed again; what people ask about stays.
    let spent = matches!(state, IntentState::Done | IntentState::Rejected | IntentState::Dropped);
    if spent && intent.verb == Verb::Advance {
        tx.prepare_cached("DELETE FROM intent WHERE id = ?1")?.execute([intent.id])?;
        return Ok(());
    }
    let (code, message) = trouble.map_or((None, None), |(c, m)| (Some(c), Some(m)));
    let own = id_column(intent.side);
    tx.prepare_cached(&format!(
        "UPDATE intent SET state = ?2, settled_at = ?3, code = ?4, message = ?5, steps = ?6, {own} = coalesce({own}, ?7),
           fields = CASE WHEN ?8 THEN '{{}}' ELSE fields END, advance = CASE WHEN ?8 THEN ?9 ELSE advance END,
           link_id = coalesce(link_id, (SELECT id FROM link WHERE object = intent.object AND salesforce_id = coalesce(intent.salesforce_id, ?7)))
         WHERE id = ?1"
    ))?
    .execute(params![
        intent.id,
        state.as_str(),
        stamp(now),
        code,
        message,
        if steps.is_empty() { None } else { Some(json(&steps)?) },
        id.map(RecordId::as_str),
        spent,
        json(&Settlement { advance: Sides::default(), conflicts: Vec::new(), key: None })?,
    ])?;
    Ok(())
}

/// Moves our memory to where the change has brought the two sides. `Err` names the other link that claims a record.
fn carried_out(
    tx: &Transaction<'_>,
    run: i64,
    stored: &StoredIntent,
    id: &RecordId,
    answer: Option<&Fields>,
    now: DateTime<Utc>,
) -> anyhow::Result<Result<(), String>> {
    let intent = &stored.intent;
    let object = intent.object.as_str();
    match intent.verb {
        Verb::Create | Verb::Link => {
            let ids = Sides::new(intent.salesforce_id.as_ref().unwrap_or(id), intent.platform_id.as_ref().unwrap_or(id));
            let link = match link_up(tx, run, object, ids, now)? {
                Ok(link) => link,
                Err(contest) => return Ok(Err(contest)),
            };
            let mut bases = intent.advance.clone();
            let mut unconfirmed = false;
            if intent.verb == Verb::Create {
                unconfirmed = answer.is_none();
                match answer {
                    Some(answer) => bases[intent.side] = answer.clone(),
                    None => bases[intent.side].extend(intent.fields.clone()),
                }
            }
            if intent.verb == Verb::Create && !seeded!(WholeAnswerIsBase) {
                unfill(&mut bases[intent.side], intent);
                if stored.run != run && !seeded!(LateAnswerIsBase) {
                    keep_as_sent(&mut bases[intent.side], intent);
                    // A field that the plan did not see was agreed on by nobody.
                    let seen = &intent.advance[intent.side];
                    bases[intent.side].retain(|name, _| intent.fields.contains_key(name) || seen.contains_key(name));
                }
            }
            for side in Side::BOTH {
                set_base(tx, link, side, &bases[side], unconfirmed && side == intent.side)?;
                tx.prepare_cached("DELETE FROM staged_key WHERE object = ?1 AND id = ?2")?
                    .execute(params![object, ids[Side::Platform].as_str()])?;
                // What was read of it since says more than what was sent.
                let read_since = stored.run != run && answer.is_none() && !seeded!(SentOverRead);
                if intent.verb == Verb::Create && side == intent.side && !read_since {
                    restage(tx, run, object, side, ids[side], link, &bases[side], answer, &intent.fields)?;
                }
                consume(tx, object, side, ids[side].as_str(), link)?;
            }
        }
        Verb::Update if intent.tells() && intent.link.is_none() => told_unlinked(tx, intent, answer)?,
        Verb::Update | Verb::Advance => {
            let Some(link) = intent.link else { return Ok(Ok(())) };
            let renamed =
                side_id(intent, intent.side).is_some_and(|own| intent.verb == Verb::Update && own != id && !id.as_str().is_empty());
            if renamed && let Err(contest) = rename(tx, intent, link, id)? {
                return Ok(Err(contest));
            }
            for side in Side::BOTH {
                let Some(mut base) = base_of(tx, link, side)? else { continue };
                base.extend(intent.advance[side].clone());
                let written = intent.verb == Verb::Update && side == intent.side;
                if written {
                    for (name, sent) in &intent.fields {
                        let answered = answer.and_then(|a| a.get(name)).filter(|_| !seeded!(BaseFromSent));
                        base.insert(name.clone(), answered.unwrap_or(sent).clone());
                    }
                }
                set_base(tx, link, side, &base, written && answer.is_none())?;
                // The answer to its deletion in Salesforce was this change; the link is marked with it.
                let ended = matches!(intent.situation, Situation::DeletedInSalesforce | Situation::DeletedInSalesforceButEdited);
                let now = Some(id).filter(|_| renamed && side == intent.side);
                if let Some(own) = now.or_else(|| side_id(intent, side)) {
                    if ended {
                        tx.prepare_cached("UPDATE link SET state = 'deleted-in-salesforce', note = ?2 WHERE id = ?1")?
                            .execute(params![link, intent.situation.as_str()])?;
                        forget(tx, object, side, own.as_str())?;
                        continue;
                    }
                    if written {
                        restage(tx, run, object, side, own, link, &base, answer, &intent.fields)?;
                    }
                    consume(tx, object, side, own.as_str(), link)?;
                }
            }
        }
        Verb::Delete | Verb::Forget => {
            for side in Side::BOTH {
                if let Some(own) = side_id(intent, side) {
                    // What lives on without its partner (edited after that vanished, or back from the bin) is news of a record
                    // without a link, whatever it was looked at for before.
                    let ended = intent.verb == Verb::Delete && side == intent.side;
                    if ended || seeded!(LivingForgotten) || !stays(tx, object, side, own, run, intent.link)? {
                        forget(tx, object, side, own.as_str())?;
                    }
                    tx.prepare_cached("DELETE FROM suspect WHERE object = ?1 AND side = ?2 AND id = ?3")?.execute(params![
                        object,
                        side.as_str(),
                        own.as_str()
                    ])?;
                }
            }
            tx.prepare_cached("DELETE FROM link WHERE id = ?1")?.execute([intent.link])?;
        }
        Verb::Bury | Verb::Mark => {
            let gone = match (intent.verb, intent.situation) {
                (Verb::Bury, _) => Some("buried"),
                (_, Situation::DeletedInSalesforce | Situation::DeletedInSalesforceButEdited | Situation::Merged) => {
                    Some("deleted-in-salesforce")
                }
                _ => None,
            };
            if let (Some(state), Some(link)) = (gone.filter(|_| !seeded!(MarkForgotten)), intent.link) {
                tx.prepare_cached("UPDATE link SET state = ?2, note = ?3 WHERE id = ?1")?.execute(params![
                    link,
                    state,
                    intent.situation.as_str()
                ])?;
                for side in Side::BOTH {
                    if let Some(own) = side_id(intent, side) {
                        forget(tx, object, side, own.as_str())?;
                        tx.prepare_cached("DELETE FROM suspect WHERE object = ?1 AND side = ?2 AND id = ?3")?.execute(params![
                            object,
                            side.as_str(),
                            own.as_str()
                        ])?;
                    }
                }
            }
            if let Some(link) = intent.link {
                for side in Side::BOTH {
                    if let Some(mut base) = base_of(tx, link, side)? {
                        base.extend(intent.advance[side].clone());
                        set_base(tx, link, side, &base, false)?;
                        if let (None, Some(own)) = (gone, side_id(intent, side)) {
                            consume(tx, object, side, own.as_str(), link)?;
                        }
                    }
                }
            }
        }
        Verb::Repoint => {
            // The survivor's id came as a field of the intent, the loser's news goes; the survivor is compared next.
            let Some(link) = intent.link else { return Ok(Ok(())) };
            let survivor = intent.fields.get("Id").and_then(|v| v.as_text()).unwrap_or_default().to_owned();
            if let Some(loser) = side_id(intent, intent.side) {
                forget(tx, object, intent.side, loser.as_str())?;
            }
            if link_by(tx, object, intent.side, &survivor)?.is_some() {
                // Another loser of the same merge has taken its place by now.
                tx.prepare_cached("DELETE FROM link WHERE id = ?1")?.execute([link])?;
                return Ok(Ok(()));
            }
            let column = id_column(intent.side);
            tx.prepare_cached(&format!("UPDATE link SET {column} = ?2, state = 'live', note = 'merged', run_id = ?3 WHERE id = ?1"))?
                .execute(params![link, survivor, run])?;
            // What the survivor shows was never agreed: every field is compared as at a first match, with what the other
            // side showed last.
            if !seeded!(SurvivorKeepsBase) {
                set_base(tx, link, intent.side, &Fields::new(), false)?;
            }
            tx.prepare_cached("UPDATE staged SET dirty = 1 WHERE object = ?1 AND side = ?2 AND id = ?3")?.execute(params![
                object,
                intent.side.as_str(),
                survivor
            ])?;
        }
    }
    Ok(Ok(()))
}

fn side_id(intent: &Intent, side: Side) -> Option<&RecordId> {
    match side {
        Side::Salesforce => intent.salesforce_id.as_ref(),
        Side::Platform => intent.platform_id.as_ref(),
    }
}

/// The record answered under another id, as one does that lives inside another record and went to a third: its link goes
/// with it, and the old id is nobody's any more. `Err` names the other link that claims the new one.
fn rename(tx: &Transaction<'_>, intent: &Intent, link: i64, id: &RecordId) -> anyhow::Result<Result<(), String>> {
    let (object, side) = (intent.object.as_str(), intent.side);
    match link_by(tx, object, side, id.as_str())? {
        Some(other) if other.state == super::LinkState::Buried => {
            tx.execute("DELETE FROM link WHERE id = ?1", [other.id])?;
        }
        Some(other) => return Ok(Err(format!("{side} {id} is already linked to {} {}", side.other(), other.id_on(side.other())))),
        None => {}
    }
    if let Some(old) = side_id(intent, side) {
        forget(tx, object, side, old.as_str())?;
        tx.execute("DELETE FROM suspect WHERE object = ?1 AND side = ?2 AND id = ?3", params![object, side.as_str(), old.as_str()])?;
    }
    tx.execute("DELETE FROM staged_key WHERE object = ?1 AND id = ?2", params![object, id.as_str()])?;
    tx.execute(&format!("UPDATE link SET {} = ?2 WHERE id = ?1", id_column(side)), params![link, id.as_str()])?;
    Ok(Ok(()))
}

fn link_up(tx: &Transaction<'_>, run: i64, object: &str, ids: Sides<&RecordId>, now: DateTime<Utc>) -> anyhow::Result<Result<i64, String>> {
    for side in Side::BOTH {
        if let Some(other) = link_by(tx, object, side, ids[side].as_str())? {
            if other.id_on(side.other()) == ids[side.other()] {
                tx.run("UPDATE link SET state = 'live', note = NULL, run_id = ?2 WHERE id = ?1", params![other.id, run])?;
                return Ok(Ok(other.id));
            }
            if other.state == super::LinkState::Buried {
                tx.run("DELETE FROM link WHERE id = ?1", [other.id])?;
                continue;
            }
            return Ok(Err(format!("{} {} is already linked to {} {}", side, ids[side], side.other(), other.id_on(side.other()))));
        }
    }
    tx.prepare_cached("INSERT INTO link (object, salesforce_id, platform_id, linked_at, run_id) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![object, ids[Side::Salesforce].as_str(), ids[Side::Platform].as_str(), stamp(now), run])?;
    Ok(Ok(tx.last_insert_rowid()))
}

/// What a create did not send was never agreed on: what stands there is news of that side, be it a default of its own, or
/// an edit of somebody who was quicker than our look at a create whose answer was lost.
fn unfill(base: &mut Fields, intent: &Intent) {
    let ours = |name: &String| intent.fields.contains_key(name) || intent.key.as_ref().is_some_and(|(key, _)| key == name);
    for (_, value) in base.iter_mut().filter(|(name, value)| !ours(name) && !value.is_blank()) {
        *value = Value::Null;
    }
}

/// Whether the record lives on, as it is staged, or as its base shows it where nothing is; if so, it is looked at again.
fn stays(tx: &Transaction<'_>, object: &str, side: Side, id: &RecordId, run: i64, link: Option<i64>) -> rusqlite::Result<bool> {
    // Back from the bin as it was before, it is no news as long as the link stands.
    let as_before = "INSERT INTO staged (object, side, id, fields, hash, stamp, life, dirty, run_id)
         SELECT ?1, ?2, ?3, b.fields, b.hash, b.stamp, 'live', 1, ?4 FROM base b JOIN link l ON l.id = b.link_id
         WHERE l.id = ?5 AND l.state = 'live' AND b.side = ?2 ON CONFLICT DO NOTHING";
    if side == Side::Salesforce {
        tx.prepare_cached(as_before)?.execute(params![object, side.as_str(), id.as_str(), run, link])?;
    }
    let living = "UPDATE staged SET dirty = 1 WHERE object = ?1 AND side = ?2 AND id = ?3 AND life = 'live'";
    Ok(tx.prepare_cached(living)?.execute(params![object, side.as_str(), id.as_str()])? > 0)
}

/// A create of an earlier run that was only now found out about: what the side holds otherwise than it was sent, and not only
/// written otherwise, is the edit of somebody who was quicker than our look.
fn keep_as_sent(base: &mut Fields, intent: &Intent) {
    for (name, sent) in intent.fields.iter().filter(|(_, sent)| sent.as_rows().is_none()) {
        if let Some(held) = base.get_mut(name)
            && !alike(held, sent)
        {
            held.clone_from(sent);
        }
    }
}

/// Sides trim, and change case.
fn alike(held: &Value, sent: &Value) -> bool {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    match (held, sent) {
        (Value::Text(held), Value::Text(sent)) => plain(held) == plain(sent),
        (held, sent) => held == sent,
    }
}

fn set_base(tx: &Transaction<'_>, link: i64, side: Side, fields: &Fields, unconfirmed: bool) -> rusqlite::Result<()> {
    let text = fields_json(fields);
    tx.prepare_cached(
        "INSERT INTO base (link_id, side, fields, hash, unconfirmed) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET fields = excluded.fields, hash = excluded.hash, unconfirmed = excluded.unconfirmed",
    )?
    .execute(params![link, side.as_str(), text, fields_hash(&text), unconfirmed])?;
    Ok(())
}

/// What was said of a record without a partner: its news shows it from now on, and is no reason to look at it again.
fn told_unlinked(tx: &Transaction<'_>, intent: &Intent, answer: Option<&Fields>) -> anyhow::Result<()> {
    let Some(id) = side_id(intent, intent.side) else { return Ok(()) };
    let named = params![intent.object, intent.side.as_str(), id.as_str()];
    let before: Option<(String, i64)> = tx
        .prepare_cached("SELECT fields, hash FROM staged WHERE object = ?1 AND side = ?2 AND id = ?3")?
        .query_row(named, |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let Some((json, hash)) = before else { return Ok(()) };
    let mut shown = fields_parse(&json)?;
    for (name, sent) in &intent.fields {
        shown.insert(name.clone(), answer.and_then(|a| a.get(name)).unwrap_or(sent).clone());
    }
    let text = fields_json(&shown);
    let now = fields_hash(&text);
    tx.prepare_cached("UPDATE staged SET fields = ?4, hash = ?5 WHERE object = ?1 AND side = ?2 AND id = ?3")?.execute(params![
        intent.object,
        intent.side.as_str(),
        id.as_str(),
        text,
        now
    ])?;
    tx.prepare_cached("UPDATE quarantine SET hash = ?4 WHERE object = ?1 AND side = ?2 AND id = ?3 AND hash = ?5")?.execute(params![
        intent.object,
        intent.side.as_str(),
        id.as_str(),
        now,
        hash
    ])?;
    Ok(())
}

/// After a write, the news of the written record is what it answered. If that shows more than the base now holds,
/// somebody else moved it meanwhile: it stays as news and is compared again.
#[allow(clippy::too_many_arguments)]
fn restage(
    tx: &Transaction<'_>,
    run: i64,
    object: &str,
    side: Side,
    id: &RecordId,
    link: i64,
    base: &Fields,
    answer: Option<&Fields>,
    sent: &Fields,
) -> anyhow::Result<()> {
    let before: Option<(String, i64)> = tx
        .prepare_cached("SELECT fields, hash FROM staged WHERE object = ?1 AND side = ?2 AND id = ?3")?
        .query_row(params![object, side.as_str(), id.as_str()], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    if answer.is_none() && before.is_none() {
        return Ok(());
    }
    // An answer may leave fields out: of those the earlier news stays news.
    let mut shown = before.as_ref().map_or_else(|| Ok(Fields::new()), |(b, _)| fields_parse(b))?;
    let mut ours = shown.clone();
    ours.extend(sent.clone());
    shown.extend(answer.unwrap_or(sent).clone());
    if let (Some((_, hash)), true) = (&before, ours == shown) {
        // Nothing moved but what we wrote: no reason to try a parked change of this record again.
        tx.prepare_cached("UPDATE quarantine SET hash = ?4 WHERE object = ?1 AND side = ?2 AND id = ?3 AND hash = ?5")?
            .execute(params![object, side.as_str(), id.as_str(), fields_hash(&fields_json(&shown)), hash])?;
    }
    let text = fields_json(&shown);
    if shown.iter().all(|(name, value)| base.get(name) == Some(value)) {
        tx.prepare_cached("UPDATE base SET hash = ?3 WHERE link_id = ?1 AND side = ?2")?.execute(params![
            link,
            side.as_str(),
            fields_hash(&text)
        ])?;
        forget(tx, object, side, id.as_str())?;
        return Ok(());
    }
    tx.prepare_cached(
        "INSERT INTO staged (object, side, id, fields, hash, life, dirty, run_id) VALUES (?1, ?2, ?3, ?4, ?5, 'live', 1, ?6)
         ON CONFLICT DO UPDATE SET fields = excluded.fields, hash = excluded.hash, life = 'live', dirty = 1, situation = NULL, run_id = excluded.run_id",
    )?
    .execute(params![object, side.as_str(), id.as_str(), text, fields_hash(&text), run])?;
    Ok(())
}
