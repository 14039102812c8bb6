//! Writes in batches: collections of 200 records, five of them in one call, each record answered for itself.
//!
//! Creates are upserts on our own external id, so that one whose answer was lost can be found again. What the org holds
//! afterwards is read back, not assumed. Source: REST API guide, "sObject Collections" and "Composite".

use super::describe::Described;
use super::error::{self, ApiError, Doing, concerns_all};
use super::outgoing::{BODY_MAX_BYTES, Batch, Job, OutRecord, Refusal, batches, job, writable};
use super::wire::{Call, PARTS_MAX, Part, composite_parts};
use super::{Salesforce, soql};
use crate::connectors::{Fault, FaultKind, Fetched, http};
use crate::plan::{Outcome, StepReport, Verb, Write};
use crate::record::{Fields, Life, Record, RecordId, SalesforceId, Value, coerce};
use crate::seeded::seeded;
use backon::BackoffBuilder;
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// For a record whose row another transaction has locked.
const LOCK_RETRIES: usize = 5;

impl Salesforce {
    pub(super) async fn write(&self, writes: &[Write]) -> Vec<Outcome> {
        let mut sheet = Sheet { writes, outcomes: writes.iter().map(|_| None).collect() };
        let jobs = self.prepare(&mut sheet).await;
        let mut queue = batches(jobs);
        while let Some(first) = queue.pop_front() {
            let mut call = vec![first];
            while call.len() < PARTS_MAX && !call[0].alone {
                let size: usize = call.iter().map(|b| b.size()).sum();
                if !queue.front().is_some_and(|next| !next.alone && size + next.size() <= BODY_MAX_BYTES) {
                    break;
                }
                call.extend(queue.pop_front());
            }
            if let Err(fault) = self.send(call, &mut sheet, &mut queue).await {
                // Nothing that follows would fare better; it is planned again by a later run.
                for job in queue.drain(..).flat_map(|batch| batch.jobs) {
                    sheet.set(&job, failed(&fault));
                }
            }
        }
        let mut outcomes: Vec<Outcome> = sheet.outcomes.into_iter().map(|o| o.unwrap_or_else(not_answered)).collect();
        self.read_back(writes, &mut outcomes).await;
        outcomes
    }

    /// Changes one record only if nobody changed it since `stamp` (RFC 3339); otherwise `FaultKind::Record` with the
    /// code `changed-meanwhile`. The org compares by whole seconds.
    pub async fn patch_if_unmodified(&self, resource: &str, id: &RecordId, fields: &Fields, stamp: &str) -> Result<(), Fault> {
        let described = self.describes.of(&self.wire, resource).await?;
        let at = DateTime::parse_from_rfc3339(stamp)
            .map_err(|_| Fault::new(FaultKind::Setup, "bad-stamp", format!("{stamp:?} is not a stamp")))?;
        let record = OutRecord { resource: None, id: None, fields: writable(resource, &described, fields, Verb::Update)? };
        let body = serde_json::to_vec(&record).map_err(|e| Fault::new(FaultKind::Setup, "bad-request", e.to_string()))?;
        let id = SalesforceId::parse(id.as_str()).map_err(|e| Fault::new(FaultKind::Record, "bad-id", e.to_string()))?;
        let path = format!("{}/sobjects/{}/{id}", self.wire.base, soql::name(resource)?);
        let mut call = Call::json(Method::PATCH, path, body.into(), Doing::Write);
        call.header = Some(("if-unmodified-since", http::to_http_date(at.with_timezone(&Utc))));
        match self.wire.call(&call).await {
            Ok(_) => Ok(()),
            Err(fault) if fault.code == "http-412" || fault.code == "PRECONDITION_FAILED" => {
                let why = format!("{resource} {id} was changed after {stamp}");
                Err(Fault::new(FaultKind::Record, "changed-meanwhile", why))
            }
            Err(fault) => Err(fault),
        }
    }

    /// What became of writes whose outcome is unknown: read together, by id or by key, as many a call as reading takes.
    pub(super) async fn resolve_by_reading(&self, writes: &[Write]) -> Vec<Outcome> {
        let mut groups: BTreeMap<(&str, Option<&str>), Vec<usize>> = BTreeMap::new();
        for (index, write) in writes.iter().enumerate() {
            let key = write.key.as_ref().filter(|_| write.verb == Verb::Create).map(|(key, _)| key.as_str());
            groups.entry((&write.resource, key)).or_default().push(index);
        }
        let mut outcomes: Vec<Option<Outcome>> = writes.iter().map(|_| None).collect();
        for ((resource, key), indices) in groups {
            let group: Vec<&Write> = indices.iter().map(|i| &writes[*i]).collect();
            let became = match key {
                Some(key) => self.creates_became(resource, key, &group).await,
                None => self.changes_became(resource, &group).await,
            };
            let became = became.unwrap_or_else(|fault| {
                group.iter().map(|_| Outcome::Unknown { message: format!("cannot be read back: {fault}") }).collect()
            });
            for (index, outcome) in indices.into_iter().zip(became) {
                outcomes[index] = Some(outcome);
            }
        }
        outcomes.into_iter().map(|o| o.unwrap_or_else(|| Outcome::Unknown { message: "nothing was read back".to_owned() })).collect()
    }

    async fn creates_became(&self, resource: &str, key: &str, writes: &[&Write]) -> Result<Vec<Outcome>, Fault> {
        let described = self.describes.of(&self.wire, resource).await?;
        let fields: Vec<String> = writes.iter().flat_map(|w| readable(&described, w)).collect::<BTreeSet<_>>().into_iter().collect();
        let sought = |write: &Write| write.key.as_ref().map(|(_, value)| Value::text(value.clone()));
        let values: Vec<Value> = writes.iter().filter_map(|w| sought(w)).collect();
        let found = self.read_by_key(resource, &fields, key, &values).await?;
        let ty = described.type_of(resource, key)?;
        let outcome = |write: &&Write| {
            let value = sought(write).and_then(|v| coerce(&v, &ty).ok());
            let mut hits = found.iter().filter(|record| value.is_some() && record.fields.get(key) == value.as_ref());
            match (hits.next(), hits.next()) {
                (Some(record), None) => {
                    Outcome::Done { id: record.id.clone(), record: Some(record.clone()), steps: read("found by its key") }
                }
                (Some(_), Some(_)) => Outcome::Rejected {
                    code: "several-by-key".to_owned(),
                    message: format!("several {resource} records have {key} {value:?}"),
                    fields: vec![key.to_owned()],
                },
                (None, _) => did_not("there is no record with its key"),
            }
        };
        Ok(writes.iter().map(outcome).collect())
    }

    async fn changes_became(&self, resource: &str, writes: &[&Write]) -> Result<Vec<Outcome>, Fault> {
        let described = self.describes.of(&self.wire, resource).await?;
        let fields: Vec<String> = writes.iter().flat_map(|w| readable(&described, w)).collect::<BTreeSet<_>>().into_iter().collect();
        let ids: Vec<RecordId> = writes.iter().filter(|w| w.verb != Verb::Create).filter_map(|w| w.id.clone()).collect();
        let mut found: BTreeMap<RecordId, Fetched> = BTreeMap::new();
        for fetched in self.read_by_id(resource, &fields, &ids).await? {
            let id = match &fetched {
                Fetched::Here(record) | Fetched::Deleted(record) => record.id.clone(),
                Fetched::Missing(id) | Fetched::Refused(id, _) => id.clone(),
            };
            found.insert(id, fetched);
        }
        let outcome = |write: &&Write| {
            if write.verb == Verb::Create {
                return Refusal::no_key().into();
            }
            let Some(id) = &write.id else { return Refusal::no_id().into() };
            match (write.verb, found.get(id)) {
                (Verb::Delete, Some(Fetched::Deleted(record))) => {
                    Outcome::Done { id: record.id.clone(), record: None, steps: read("is deleted") }
                }
                (_, Some(Fetched::Deleted(_) | Fetched::Missing(_)) | None) => Outcome::Missing,
                (_, Some(Fetched::Refused(_, why))) => Outcome::Unknown { message: why.clone() },
                (Verb::Update, Some(Fetched::Here(record))) if holds(&described, record, &write.fields) => {
                    Outcome::Done { id: record.id.clone(), record: Some(record.clone()), steps: read("holds what was sent") }
                }
                (_, Some(Fetched::Here(_))) => did_not("the record does not hold what was sent"),
            }
        };
        Ok(writes.iter().map(outcome).collect())
    }

    async fn prepare<'a>(&self, sheet: &mut Sheet<'a>) -> Vec<Job<'a>> {
        let mut known: BTreeMap<&str, Result<Arc<Described>, Fault>> = BTreeMap::new();
        let mut jobs = Vec::new();
        for (index, write) in sheet.writes.iter().enumerate() {
            if !known.contains_key(write.resource.as_str()) {
                known.insert(&write.resource, self.describes.of(&self.wire, &write.resource).await);
            }
            let job = match known.get(write.resource.as_str()) {
                Some(Ok(described)) => job(index, write, described).map_err(Outcome::from).map_err(Box::new),
                Some(Err(fault)) => Err(Box::new(failed(fault))),
                None => Err(Box::new(not_answered())),
            };
            match job {
                Ok(job) => jobs.push(job),
                Err(outcome) => sheet.outcomes[index] = Some(*outcome),
            }
        }
        jobs
    }

    /// One call. What it left undone goes back into the queue; `Err` means that nothing more should be sent.
    async fn send<'a>(&self, call: Vec<Batch<'a>>, sheet: &mut Sheet<'a>, queue: &mut VecDeque<Batch<'a>>) -> Result<(), Fault> {
        let tries = call.iter().map(|batch| batch.tries).max().unwrap_or(0);
        if tries > 0 {
            tokio::time::sleep(lock_delay(tries)).await;
        }
        let parts: Result<Vec<Part>, Fault> = call.iter().enumerate().map(|(i, batch)| batch.part(i, &self.wire.base)).collect();
        let request = parts.and_then(|parts| self.wire.composite(&parts, Doing::Write));
        let answer = match request {
            Ok(request) => self.wire.call(&request).await,
            Err(fault) => Err(fault),
        };
        match answer.and_then(|answer| composite_parts(&answer, call.len()).map_err(lost)) {
            Ok(parts) => {
                let mut stop = Ok(());
                for (batch, part) in call.into_iter().zip(parts) {
                    let settled = if part.status == 200 {
                        settle(batch, &part.body, sheet, queue);
                        Ok(())
                    } else {
                        refused(batch, error::fault_of(part.status, &part.body, Doing::Write), sheet, queue)
                    };
                    stop = stop.and(settled);
                }
                stop
            }
            // Whose fault it is shows when each collection goes alone.
            Err(fault) if call.len() > 1 && divisible(&fault) => {
                queue_front(queue, call.into_iter().map(|batch| Batch { alone: true, ..batch }));
                Ok(())
            }
            Err(fault) => {
                let mut stop = Ok(());
                for batch in call {
                    stop = stop.and(refused(batch, fault.clone(), sheet, queue));
                }
                stop
            }
        }
    }

    /// What the org holds now becomes the answer. Where it cannot be read, the write stays unconfirmed.
    async fn read_back(&self, writes: &[Write], outcomes: &mut [Outcome]) {
        let mut wanted: BTreeMap<&str, (BTreeSet<String>, Vec<RecordId>)> = BTreeMap::new();
        for (write, outcome) in writes.iter().zip(outcomes.iter()) {
            if let (Outcome::Done { id, .. }, true) = (outcome, write.verb != Verb::Delete) {
                let entry = wanted.entry(&write.resource).or_default();
                if let Ok(described) = self.describes.of(&self.wire, &write.resource).await {
                    entry.0.extend(readable(&described, write));
                }
                entry.1.push(id.clone());
            }
        }
        let mut held: BTreeMap<(&str, RecordId), Record> = BTreeMap::new();
        for (resource, (fields, ids)) in wanted {
            let fields: Vec<String> = fields.into_iter().collect();
            match self.read_by_id(resource, &fields, &ids).await {
                Ok(found) => held.extend(found.into_iter().filter_map(|f| match f {
                    Fetched::Here(record) => Some(((resource, record.id.clone()), record)),
                    Fetched::Deleted(_) | Fetched::Missing(_) | Fetched::Refused(..) => None,
                })),
                Err(fault) => tracing::warn!(resource, "written records could not be read back: {fault}"),
            }
        }
        for (write, outcome) in writes.iter().zip(outcomes) {
            if let Outcome::Done { id, record, .. } = outcome {
                *record = held.get(&(write.resource.as_str(), id.clone())).cloned();
            }
        }
    }
}

fn read(outcome: &str) -> Vec<StepReport> {
    vec![StepReport { name: "read-back".to_owned(), outcome: outcome.to_owned() }]
}

fn did_not(why: &str) -> Outcome {
    Outcome::Failed { code: "did-not-happen".to_owned(), message: why.to_owned() }
}

/// The outcomes as they come in.
struct Sheet<'a> {
    writes: &'a [Write],
    outcomes: Vec<Option<Outcome>>,
}

impl Sheet<'_> {
    fn set(&mut self, job: &Job<'_>, outcome: Outcome) {
        self.outcomes[job.index] = Some(outcome);
    }
}

/// One row of a collection's answer.
#[derive(Debug, Deserialize)]
struct RowAnswer {
    #[serde(default)]
    id: Option<String>,
    success: bool,
    #[serde(default)]
    errors: Option<Vec<ApiError>>,
    #[serde(default)]
    created: Option<bool>,
}

/// Each record's own answer. Status 200 says nothing: all of them may have failed.
fn settle<'a>(batch: Batch<'a>, body: &[u8], sheet: &mut Sheet<'a>, queue: &mut VecDeque<Batch<'a>>) {
    let rows: Vec<RowAnswer> = match serde_json::from_slice(body) {
        Ok(rows) => rows,
        Err(_) => {
            return each(&batch, sheet, &Outcome::Unknown { message: "the answer to the collection cannot be read".to_owned() });
        }
    };
    let mut again = Vec::new();
    let mut rows = rows.into_iter();
    for job in batch.jobs {
        let outcome = match rows.next() {
            None if seeded!(SilentIsDone) => done(&job, RowAnswer { id: None, success: true, errors: None, created: None }),
            None => Outcome::Unknown { message: "the answer to the collection has fewer rows than were sent".to_owned() },
            Some(row) if row.success || seeded!(OkIsDone) => done(&job, row),
            Some(row) => {
                let error = row.errors.and_then(|errors| errors.into_iter().next()).unwrap_or_default();
                if worth_another_try(&job, &error) && batch.tries < LOCK_RETRIES {
                    again.push(job);
                    continue;
                }
                refusal(&job, &error)
            }
        };
        sheet.set(&job, outcome);
    }
    if !again.is_empty() {
        queue.push_back(Batch { jobs: again, tries: batch.tries + 1, alone: batch.alone });
    }
}

fn done(job: &Job<'_>, row: RowAnswer) -> Outcome {
    let step = match (job.write.verb, row.created) {
        (Verb::Create, Some(false)) => "upsert: was there already",
        (Verb::Create, _) => "upsert: created",
        (Verb::Delete, _) => "deleted",
        _ => "updated",
    };
    let id = row.id.as_deref().and_then(|id| SalesforceId::parse(id).ok()).map(RecordId::from).or_else(|| job.write.id.clone());
    match id {
        Some(id) => Outcome::Done {
            id,
            record: None,
            steps: vec![StepReport { name: job.write.verb.as_str().to_owned(), outcome: step.to_owned() }],
        },
        None => Outcome::Unknown { message: "the org reported success without an id".to_owned() },
    }
}

/// A lock passes; so does a clash of two upserts of one new key, of which the second then finds the first.
fn worth_another_try(job: &Job<'_>, error: &ApiError) -> bool {
    error.kind() == FaultKind::Retry
        || (error.code == "DUPLICATE_VALUE"
            && job.write.verb == Verb::Create
            && job.write.key.as_ref().is_some_and(|(key, _)| error.message().contains(key.as_str())))
}

fn refusal(job: &Job<'_>, error: &ApiError) -> Outcome {
    let own_id = job.write.verb != Verb::Create && error.fields().iter().all(|f| f.eq_ignore_ascii_case("id"));
    match (error.code.as_str(), error.kind()) {
        ("ENTITY_IS_DELETED" | "INVALID_CROSS_REFERENCE_KEY", _) if own_id => Outcome::Missing,
        ("STORAGE_LIMIT_EXCEEDED", _) | (_, FaultKind::Retry | FaultKind::BackOff | FaultKind::Budget | FaultKind::Credentials) => {
            Outcome::Failed { code: error.code.clone(), message: error.message() }
        }
        ("", _) => Outcome::Rejected {
            code: "no-reason".to_owned(),
            message: "the org refused the record without a reason".to_owned(),
            fields: Vec::new(),
        },
        _ => Outcome::Rejected { code: error.code.clone(), message: error.message(), fields: error.fields().to_vec() },
    }
}

/// A collection, or the whole call, failed as one.
fn refused<'a>(mut batch: Batch<'a>, fault: Fault, sheet: &mut Sheet<'a>, queue: &mut VecDeque<Batch<'a>>) -> Result<(), Fault> {
    match fault.kind {
        FaultKind::Unknown | FaultKind::Answer => {
            each(&batch, sheet, &Outcome::Unknown { message: fault.to_string() });
            Ok(())
        }
        FaultKind::Retry if batch.tries < LOCK_RETRIES => {
            batch.tries += 1;
            queue.push_back(batch);
            Ok(())
        }
        FaultKind::Retry => {
            each(&batch, sheet, &failed(&fault));
            // A host that cannot be reached is not asked once more for every batch.
            if fault.code == "not-sent" { Err(fault) } else { Ok(()) }
        }
        FaultKind::Record | FaultKind::Setup if concerns_all(&fault.code) => {
            each(&batch, sheet, &failed(&fault));
            Ok(())
        }
        FaultKind::Record | FaultKind::Setup if batch.jobs.len() > 1 => {
            let half = batch.jobs.split_off(batch.jobs.len() / 2);
            let halves = [batch.jobs, half].map(|jobs| Batch { jobs, tries: 0, alone: true });
            queue_front(queue, halves);
            Ok(())
        }
        FaultKind::Record | FaultKind::Setup => {
            each(&batch, sheet, &Outcome::Rejected { code: fault.code, message: fault.message, fields: Vec::new() });
            Ok(())
        }
        FaultKind::BackOff | FaultKind::Budget | FaultKind::Credentials => {
            each(&batch, sheet, &failed(&fault));
            Err(fault)
        }
    }
}

fn divisible(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::Record | FaultKind::Setup) && !concerns_all(&fault.code)
}

/// The request was taken and its answer is no use: nobody knows what was done.
fn lost(fault: Fault) -> Fault {
    Fault { kind: FaultKind::Unknown, ..fault }
}

fn queue_front<'a>(queue: &mut VecDeque<Batch<'a>>, batches: impl IntoIterator<Item = Batch<'a>, IntoIter: DoubleEndedIterator>) {
    for batch in batches.into_iter().rev() {
        queue.push_front(batch);
    }
}

fn each(batch: &Batch<'_>, sheet: &mut Sheet<'_>, outcome: &Outcome) {
    for job in &batch.jobs {
        sheet.set(job, outcome.clone());
    }
}

fn lock_delay(tries: usize) -> Duration {
    let mut delays =
        backon::ExponentialBuilder::default().with_min_delay(Duration::from_millis(250)).with_max_times(LOCK_RETRIES).with_jitter().build();
    delays.nth(tries.saturating_sub(1)).unwrap_or(Duration::from_secs(4))
}

/// The fields to be read back: those of the mapping that our user may read, and those that were written.
fn readable(described: &Described, write: &Write) -> Vec<String> {
    let wanted = write.read.iter().chain(write.fields.keys());
    wanted
        .filter(|name| super::orders::is_lines(&write.resource, name) || described.type_of(&write.resource, name).is_ok())
        .cloned()
        .collect()
}

fn holds(described: &Described, record: &Record, sent: &Fields) -> bool {
    record.life == Life::Live
        && sent.iter().all(|(name, value)| {
            let canonical = described.schema.fields.get(name).and_then(|info| coerce(value, &info.ty).ok());
            canonical.is_some() && record.fields.get(name) == canonical.as_ref()
        })
}

fn failed(fault: &Fault) -> Outcome {
    Outcome::Failed { code: fault.code.clone(), message: fault.message.clone() }
}

fn not_answered() -> Outcome {
    Outcome::Failed { code: "not-sent".to_owned(), message: "it was not sent".to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn write(verb: Verb, id: Option<&str>, key: Option<&str>, fields: &[(&str, Value)]) -> Write {
        Write {
            intent: 1,
            object: "license".into(),
            resource: "License__c".into(),
            verb,
            id: id.map(RecordId::from),
            fields: fields.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
            key: key.map(|v| ("Lockstep_Id__c".to_owned(), v.to_owned())),
            read: vec![],
        }
    }

    fn error(json: &str) -> ApiError {
        serde_json::from_str(json).unwrap()
    }

    const ID: &str = "001D000000IqhSLIAZ";

    #[test]
    fn rows_are_judged_one_by_one() {
        let writes = [
            write(Verb::Update, Some(ID), None, &[]),
            write(Verb::Update, Some(ID), None, &[]),
            write(Verb::Update, Some(ID), None, &[]),
            write(Verb::Update, Some(ID), None, &[]),
        ];
        let jobs = writes.iter().enumerate().map(|(index, write)| Job { index, write, body: None }).collect();
        let mut sheet = Sheet { writes: &writes, outcomes: vec![None; 4] };
        let mut queue = VecDeque::new();
        let body = format!(
            r#"[{{"id":"{ID}","success":true,"errors":[]}},
                {{"id":"{ID}","success":false,"errors":[{{"statusCode":"ENTITY_IS_DELETED","message":"x","fields":[]}}]}},
                {{"success":false,"errors":[{{"statusCode":"UNABLE_TO_LOCK_ROW","message":"x","fields":[]}}]}}]"#
        );
        settle(Batch { jobs, tries: 0, alone: false }, body.as_bytes(), &mut sheet, &mut queue);
        assert!(matches!(sheet.outcomes[0], Some(Outcome::Done { .. })));
        assert_eq!(sheet.outcomes[1], Some(Outcome::Missing));
        assert_eq!(sheet.outcomes[2], None, "locked: goes back into the queue");
        assert_eq!((queue.len(), queue[0].tries), (1, 1));
        assert!(matches!(sheet.outcomes[3], Some(Outcome::Unknown { .. })), "a short list leaves the rest unknown");
    }

    #[test]
    fn whose_id_is_gone_decides() {
        let update = write(Verb::Update, Some(ID), None, &[]);
        let create = write(Verb::Create, None, Some("k"), &[]);
        let of = |write, json| refusal(&Job { index: 0, write, body: None }, &error(json));
        let own = r#"{"statusCode":"INVALID_CROSS_REFERENCE_KEY","message":"invalid cross reference id","fields":[]}"#;
        let lookup = r#"{"statusCode":"INVALID_CROSS_REFERENCE_KEY","message":"x","fields":["Order__c"]}"#;
        assert_eq!(of(&update, own), Outcome::Missing);
        assert!(matches!(of(&update, lookup), Outcome::Rejected { .. }));
        assert!(matches!(of(&create, own), Outcome::Rejected { .. }));
    }

    #[test]
    fn a_collection_that_fails_as_one_is_halved_down_to_the_bad_record() {
        let writes: Vec<Write> = (0..8).map(|_| write(Verb::Update, Some(ID), None, &[])).collect();
        let jobs = writes.iter().enumerate().map(|(index, write)| Job { index, write, body: None }).collect();
        let mut sheet = Sheet { writes: &writes, outcomes: vec![None; 8] };
        let mut queue = VecDeque::from([Batch { jobs, tries: 0, alone: true }]);
        let (mut calls, bad) = (0, 5);
        while let Some(batch) = queue.pop_front() {
            calls += 1;
            if batch.jobs.iter().any(|job| job.index == bad) {
                refused(batch, Fault::new(FaultKind::Record, "APEX_ERROR", "x"), &mut sheet, &mut queue).unwrap();
            } else {
                each(&batch, &mut sheet, &Outcome::Missing);
            }
        }
        assert!(matches!(sheet.outcomes[bad], Some(Outcome::Rejected { .. })));
        assert_eq!(sheet.outcomes.iter().filter(|o| **o == Some(Outcome::Missing)).count(), 7);
        assert_eq!(calls, 7);
    }
}
