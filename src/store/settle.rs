//! Settling: one outcome moves base, link, news, history and quarantine in one commit.

use super::{
    Cached, Store,
    journal::{Settlement, StoredIntent, json},
    links::{base_of, id_column, link_by},
    stage::{consume, forget},
    stamp,
};
use crate::plan::{Intent, IntentState, Outcome, Situation, StepReport, Verb};
use crate::record::{Fields, RecordId, Side, Sides, Value, fields_hash, fields_json, fields_parse};
use crate::seeded::seeded;
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Transaction, params};

/// What became of a batch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    pub done: u64,
    pub rejected: u64,
    pub failed: u64,
    pub unknown: u64,
    pub conflicts: u64,
}

impl Store {
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
            if has_open_clash(tx, intent)? && !seeded!(ClashAsleep) {
                look_again(tx, intent)?;
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
            look_again(tx, intent)?;
            let field = (!fields.is_empty()).then(|| fields.join(", "));
            super::quarantine::put(tx, run, intent, code, message, field.as_deref(), now)?;
            close(tx, intent, IntentState::Rejected, None, Some((code, message)), &[], now)
        }
        Outcome::Failed { code, message } => {
            sum.failed += 1;
            look_again(tx, intent)?;
            close(tx, intent, IntentState::Dropped, None, Some((code, message)), &[], now)
        }
        Outcome::Missing => {
            sum.failed += 1;
            look_again(tx, intent)?;
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

/// The answer may show that one side of a clash took its edit back.
fn has_open_clash(tx: &Transaction<'_>, intent: &Intent) -> rusqlite::Result<bool> {
    tx.prepare_cached("SELECT EXISTS (SELECT 1 FROM conflict WHERE link_id = ?1 AND state = 'open')")?
        .query_row([intent.link], |row| row.get(0))
}

/// What was not done is planned again, also where the pair was left, or waits, because of another of its fields.
fn look_again(tx: &Transaction<'_>, intent: &Intent) -> rusqlite::Result<()> {
    for side in Side::BOTH.into_iter().filter(|_| !intent.tells() && !seeded!(FailedIsLeft)) {
        if let Some(id) = side_id(intent, side) {
            tx.prepare_cached("UPDATE staged SET dirty = 1 WHERE object = ?1 AND side = ?2 AND id = ?3 AND dirty <> 1")?
                .execute(params![intent.object, side.as_str(), id.as_str()])?;
        }
    }
    Ok(())
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
