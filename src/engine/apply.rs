//! Carrying out what the guard has cleared: promise → send → settle, batch by batch.

use super::{guard::Cleared, native::readable_fields, planner::referring};
use crate::connectors::{Fetched, Schema, Writer};
use crate::plan::{Intent, Outcome, Situation, Verb, Write};
use crate::record::{Fields, Life, Record, RecordId, Side, Sides};
use crate::rules::{Mapping, Rules};
use crate::seeded::seeded;
use crate::store::{Settled, Store, StoredIntent};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, HashSet};

/// Salesforce takes five collections of 200 in one call.
const BATCH: u32 = 1_000;

/// What carrying out a plan came to.
#[derive(Debug, Default)]
pub struct Applied {
    pub writes: Sides<u64>,
    pub conflicts: u64,
    pub rejected: u64,
    pub failed: u64,
    /// Something now has to be compared again: a new link, a moved record, a third value.
    pub again: bool,
    /// A write failed because the allowance is spent.
    pub over_budget: bool,
    pub failures: HashSet<(Side, RecordId)>,
}

pub struct Apply<'a> {
    pub store: &'a Store,
    pub rules: &'a Rules,
    pub mapping: &'a Mapping,
    pub schema: Sides<&'a Schema>,
    pub writers: Sides<&'a dyn Writer>,
    pub run: i64,
    pub clock: &'a (dyn Fn() -> DateTime<Utc> + Send + Sync),
    pub stop: &'a tokio_util::sync::CancellationToken,
}

impl Apply<'_> {
    /// Everything but deletes. The proof is the guard's word that the plan may be carried out.
    pub async fn carry_out(&self, _cleared: &Cleared) -> anyhow::Result<Applied> {
        let mut sum = Applied::default();
        self.local(&mut sum)?;
        for side in [Side::Platform, Side::Salesforce] {
            self.writes(side, &[Verb::Create, Verb::Update], &mut sum).await?;
        }
        Ok(sum)
    }

    /// Deletes come last in a run, children before parents.
    pub async fn carry_out_deletes(&self, _cleared: &Cleared) -> anyhow::Result<Applied> {
        let mut sum = Applied::default();
        for side in [Side::Platform, Side::Salesforce] {
            self.writes(side, &[Verb::Delete], &mut sum).await?;
        }
        Ok(sum)
    }

    /// Verbs that only move our own memory are settled without asking anybody.
    fn local(&self, sum: &mut Applied) -> anyhow::Result<()> {
        const LOCAL: [Verb; 6] = [Verb::Link, Verb::Advance, Verb::Bury, Verb::Mark, Verb::Forget, Verb::Repoint];
        for side in Side::BOTH {
            loop {
                let batch = self.store.next_planned(&self.mapping.object, side, &LOCAL, BATCH)?;
                if batch.is_empty() {
                    break;
                }
                sum.again |= batch.iter().any(|b| matches!(b.intent.verb, Verb::Link | Verb::Forget | Verb::Repoint));
                let outcomes: Vec<_> = batch
                    .into_iter()
                    .map(|stored| {
                        let own = on(&stored.intent, stored.intent.side).cloned().unwrap_or_else(|| RecordId::from(""));
                        (stored, Outcome::Done { id: own, record: None, steps: Vec::new() })
                    })
                    .collect();
                self.add(sum, None, &outcomes)?;
            }
        }
        Ok(())
    }

    async fn writes(&self, side: Side, verbs: &[Verb], sum: &mut Applied) -> anyhow::Result<()> {
        loop {
            let batch = self.store.next_planned(&self.mapping.object, side, verbs, BATCH)?;
            // A stop lets the batch in flight end; what is only planned is planned afresh by the next run.
            if batch.is_empty() || self.stop.is_cancelled() {
                return Ok(());
            }
            let batch = if side == Side::Platform { self.let_go(batch, sum)? } else { batch };
            if batch.is_empty() {
                continue;
            }
            if !seeded!(NoPromise) {
                self.store.promise(&batch)?;
            }
            let batch = if seeded!(NoFreshRead) { batch } else { self.still_so(side, batch, sum).await? };
            if batch.is_empty() {
                continue;
            }
            let writes: Vec<Write> = batch.iter().map(|stored| self.write(&stored.intent)).collect();
            let outcomes = self.writers[side].apply(&writes).await;
            anyhow::ensure!(outcomes.len() == batch.len(), "the {side} connector answered {} of {} writes", outcomes.len(), batch.len());
            let outcomes = if seeded!(UnknownIsDone) { writes.iter().zip(outcomes).map(believed).collect() } else { outcomes };
            let outcomes = if seeded!(PartialIgnored) { writes.iter().map(|w| first_of(w, &outcomes)).collect() } else { outcomes };
            let outcomes: Vec<_> = batch.into_iter().zip(outcomes).map(|(s, o)| (s, self.masked(side, o))).collect();
            self.add(sum, Some(side), &outcomes)?;
        }
    }

    /// Without the deletions of records that others still refer to: those were to go or to let go first, and did not.
    fn let_go(&self, batch: Vec<StoredIntent>, sum: &mut Applied) -> anyhow::Result<Vec<StoredIntent>> {
        let (mut free, mut kept) = (Vec::new(), Vec::new());
        for stored in batch {
            let intent = &stored.intent;
            // What a first load wipes is not kept by anything.
            let judged = intent.verb == Verb::Delete && intent.situation != Situation::NewOnPlatform;
            let id = intent.platform_id.as_ref().filter(|_| judged);
            let referred = match id {
                Some(id) => {
                    referring(self.rules, &self.mapping.object, id.as_str(), |m, field, named| self.store.refers(&m.object, field, named))?
                }
                None => false,
            };
            if referred {
                let (code, message) =
                    ("referred-to".to_owned(), "other records of the platform refer to it; they go or let go first".to_owned());
                kept.push((stored, Outcome::Rejected { code, message, fields: Vec::new() }));
            } else {
                free.push(stored);
            }
        }
        if !kept.is_empty() {
            self.add(sum, Some(Side::Platform), &kept)?;
        }
        Ok(free)
    }

    /// Only mapped fields enter the bases, whatever else the answer holds.
    fn masked(&self, side: Side, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Done { id, record: Some(mut record), steps } => {
                let wanted = readable_fields(self.rules, self.mapping, side, self.schema[side]);
                record.fields.retain(|name, _| wanted.contains(name));
                Outcome::Done { id, record: Some(record), steps }
            }
            other @ (Outcome::Done { .. }
            | Outcome::Rejected { .. }
            | Outcome::Failed { .. }
            | Outcome::Unknown { .. }
            | Outcome::Missing) => other,
        }
    }

    fn add(&self, sum: &mut Applied, side: Option<Side>, outcomes: &[(StoredIntent, Outcome)]) -> anyhow::Result<()> {
        let Settled { done, rejected, failed, unknown, conflicts } = self.store.settle(self.run, outcomes, (self.clock)())?;
        if let Some(side) = side {
            sum.writes[side] += done;
        }
        sum.conflicts += conflicts;
        sum.rejected += rejected;
        sum.failed += failed + unknown;
        for (stored, outcome) in outcomes {
            let intent = &stored.intent;
            log(intent, outcome);
            match outcome {
                Outcome::Done { id, record, .. } => {
                    // A third value: the answer shows what neither we nor the plan knew.
                    let wrote = matches!(intent.verb, Verb::Create | Verb::Update);
                    let more = record.as_ref().is_some_and(|r| wrote && r.fields.len() > intent.fields.len());
                    sum.again |= more && self.has_news(intent, intent.side, Some(id))?;
                    // What gives is done; what takes, or is only reported, comes next.
                    let source = on(intent, Side::Salesforce);
                    sum.again |= intent.situation == Situation::OrderAmended && self.has_news(intent, Side::Salesforce, source)?;
                }
                Outcome::Failed { code, .. } => {
                    sum.over_budget |= code == "budget";
                    sum.failures.extend(Side::BOTH.into_iter().filter_map(|s| on(intent, s).map(|id| (s, id.clone()))));
                }
                Outcome::Rejected { .. } | Outcome::Unknown { .. } | Outcome::Missing => {
                    sum.failures.extend(Side::BOTH.into_iter().filter_map(|s| on(intent, s).map(|id| (s, id.clone()))));
                }
            }
        }
        Ok(())
    }

    fn has_news(&self, intent: &Intent, side: Side, id: Option<&RecordId>) -> anyhow::Result<bool> {
        match id {
            Some(id) => Ok(self.store.staged_fields(&intent.object, side, id.as_str())?.is_some()),
            None => Ok(false),
        }
    }

    /// People edit both sides while we plan: the rows are read afresh right before the batch, and what moved goes back to
    /// be compared instead of being overwritten unseen.
    async fn still_so(&self, side: Side, batch: Vec<StoredIntent>, sum: &mut Applied) -> anyhow::Result<Vec<StoredIntent>> {
        // Where nothing travels back there is no edit of somebody else's to lose.
        let listens = side == Side::Salesforce || self.mapping.entries.iter().any(|e| e.direction.to_salesforce());
        let reads = |intent: &Intent| reads_first(intent) && (listens || intent.verb == Verb::Delete);
        let ids: Vec<RecordId> = batch.iter().filter(|b| reads(&b.intent)).filter_map(|b| on(&b.intent, side).cloned()).collect();
        if ids.is_empty() {
            return Ok(batch);
        }
        let fields = readable_fields(self.rules, self.mapping, side, self.schema[side]);
        let resource = if side == Side::Salesforce { &self.mapping.salesforce } else { &self.mapping.platform };
        let fetched = match self.writers[side].get_many(resource, &fields, &ids).await {
            Ok(fetched) => fetched,
            Err(fault) => {
                let code = if fault.kind == crate::connectors::FaultKind::Budget { "budget".to_owned() } else { fault.code.clone() };
                let failed = |stored| (stored, Outcome::Failed { code: code.clone(), message: fault.to_string() });
                let outcomes: Vec<_> = batch.into_iter().map(failed).collect();
                self.add(sum, None, &outcomes)?;
                return Ok(Vec::new());
            }
        };
        let mut fresh: BTreeMap<RecordId, Record> = BTreeMap::new();
        for found in fetched {
            match found {
                Fetched::Here(record) | Fetched::Deleted(record) => {
                    fresh.insert(record.id.clone(), record);
                }
                Fetched::Missing(_) | Fetched::Refused(..) => {}
            }
        }
        let (mut go, mut back, mut lost) = (Vec::new(), Vec::new(), Vec::new());
        for stored in batch {
            let id = on(&stored.intent, side).cloned();
            match id.filter(|_| reads(&stored.intent)).map(|id| fresh.get(&id)) {
                None => go.push(stored),
                Some(Some(record)) if record.life == Life::Live && self.unmoved(&stored.intent, side, &record.fields)? => go.push(stored),
                Some(None) => lost.push((stored, Outcome::Missing)),
                Some(Some(record)) => {
                    self.store.stage(self.run, &self.mapping.object, side, std::slice::from_ref(record), false, &|_| Vec::new())?;
                    sum.again = true;
                    let message = "the record moved while it was planned; compared again".to_owned();
                    back.push((stored, Outcome::Failed { code: "moved-meanwhile".to_owned(), message }));
                }
            }
        }
        // Not a failure of the record: it may be planned again in this very run.
        self.store.settle(self.run, &back, (self.clock)())?;
        self.add(sum, None, &lost)?;
        Ok(go)
    }

    fn unmoved(&self, intent: &Intent, side: Side, fresh: &Fields) -> anyhow::Result<bool> {
        let Some(link) = intent.link else { return Ok(true) };
        let Some(pair) = self.store.pair_of_link(link)? else { return Ok(false) };
        let known = match &pair.staged[side] {
            Some(row) => &row.fields,
            None => match &pair.base[side] {
                Some(base) => base,
                None => return Ok(true),
            },
        };
        Ok(known.iter().all(|(name, value)| fresh.get(name).is_none_or(|f| f == value)))
    }

    fn write(&self, intent: &Intent) -> Write {
        write_of(self.rules, self.mapping, intent, self.schema[intent.side])
    }
}

/// The seeded bugs of this file: no answer is believed to be a good one, and one answer to be all of them.
fn believed((write, outcome): (&Write, Outcome)) -> Outcome {
    match (outcome, &write.id) {
        (Outcome::Unknown { .. }, Some(id)) => Outcome::Done { id: id.clone(), record: None, steps: Vec::new() },
        (other, _) => other,
    }
}

fn first_of(write: &Write, outcomes: &[Outcome]) -> Outcome {
    match (outcomes.first(), &write.id) {
        (Some(Outcome::Done { .. }), Some(id)) => Outcome::Done { id: id.clone(), record: None, steps: Vec::new() },
        (Some(first), _) => first.clone(),
        (None, _) => Outcome::Missing,
    }
}

/// A new record cannot have moved, and in fields of our own nobody else's edit can be lost.
fn reads_first(intent: &Intent) -> bool {
    intent.verb != Verb::Create && !intent.tells()
}

/// The complete order to a connector.
pub fn write_of(rules: &Rules, mapping: &Mapping, intent: &Intent, schema: &Schema) -> Write {
    Write {
        intent: intent.id,
        object: intent.object.clone(),
        resource: match intent.side {
            Side::Salesforce => mapping.salesforce.clone(),
            Side::Platform => mapping.platform.clone(),
        },
        verb: intent.verb,
        id: on(intent, intent.side).cloned(),
        fields: intent.fields.clone(),
        key: intent.key.clone(),
        read: readable_fields(rules, mapping, intent.side, schema),
    }
}

pub fn on(intent: &Intent, side: Side) -> Option<&RecordId> {
    match side {
        Side::Salesforce => intent.salesforce_id.as_ref(),
        Side::Platform => intent.platform_id.as_ref(),
    }
}

/// One line a write.
fn log(intent: &Intent, outcome: &Outcome) {
    if !intent.verb.is_write() {
        return;
    }
    let (object, side, verb, situation) = (&intent.object, intent.side, intent.verb, intent.situation);
    let record = on(intent, Side::Salesforce).or_else(|| on(intent, Side::Platform)).map_or("", RecordId::as_str);
    let fields = intent.moved.iter().map(|m| m.name.as_str()).collect::<Vec<_>>().join(",");
    match outcome {
        Outcome::Done { id, .. } => tracing::info!(%object, %side, %verb, %situation, record, id = %id, fields, "written"),
        Outcome::Rejected { code, message, .. } => tracing::warn!(%object, %side, %verb, %situation, record, code, "refused: {message}"),
        Outcome::Failed { code, message } => tracing::warn!(%object, %side, %verb, %situation, record, code, "not written: {message}"),
        Outcome::Unknown { message } => tracing::warn!(%object, %side, %verb, %situation, record, "outcome unknown: {message}"),
        Outcome::Missing => tracing::warn!(%object, %side, %verb, %situation, record, "the record is not there any more"),
    }
}
