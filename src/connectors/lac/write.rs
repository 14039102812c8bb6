//! Writing: one record at a time, outcomes in the order of the writes. Writes to one customer, its contacts included, wait
//! for each other: each is a reading and a writing of the whole customer.

use super::catalogue::{CATALOGUE, CONTACT, CUSTOMER};
use super::list::{Row, row_id};
use super::outcome::{Steps, failed, rejected, sent, wait_s};
use super::refusal::Refusal;
use super::row::{Reading, contact_parts, customer_number};
use super::tags::{PREFIX, spellings};
use super::whole::{Change, People, body, holds, lost};
use super::wire::Trouble;
use super::{Lac, OneAtATime};
use crate::connectors::http::Counted;
use crate::connectors::{Fault, FaultKind, ResourceSpec};
use crate::plan::{Outcome, Verb, Write};
use crate::record::{RecordId, Value};
use reqwest::Method;
use serde_json::Value as J;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// How often a change whose answer is lost is sent in all.
const TRIES: u32 = 3;
/// So many new contacts of one customer are made by one write of it.
const TOGETHER: usize = 50;

impl Lac {
    pub(super) async fn write_all(&self, writes: &[Write]) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = writes.iter().map(|_| None).collect();
        for (customer, at) in new_contacts(writes) {
            for few in at.chunks(TOGETHER).filter(|few| few.len() > 1) {
                let some: Vec<&Write> = few.iter().map(|at| &writes[*at]).collect();
                if let Some(told) = self.write_together(customer, &some).await {
                    few.iter().zip(told).for_each(|(at, outcome)| outcomes[*at] = Some(outcome));
                }
            }
        }
        let mut all = Vec::with_capacity(writes.len());
        for (write, outcome) in writes.iter().zip(outcomes) {
            all.push(match outcome {
                Some(outcome) => outcome,
                None => self.write_one(write).await,
            });
        }
        all
    }

    async fn write_together(&self, customer: i64, writes: &[&Write]) -> Option<Vec<Outcome>> {
        if self.halted().is_some() {
            return None;
        }
        let lock = self.locks.of_customer(customer);
        let _turn = lock.lock().await;
        self.create_contacts(customer, writes).await
    }

    async fn write_one(&self, write: &Write) -> Outcome {
        let resource = match known(write) {
            Ok(resource) => resource,
            Err(refusal) => return rejected(refusal),
        };
        if let Some(outcome) = self.halted() {
            return outcome;
        }
        let locks = self.locks.of(write);
        let mut turns = Vec::with_capacity(locks.len());
        for lock in &locks {
            turns.push(lock.lock().await);
        }
        let mut steps = Steps::default();
        let ended = match (resource.name, write.verb) {
            (CUSTOMER, Verb::Create) => self.create_customer(write, resource, &mut steps).await,
            (CUSTOMER, Verb::Update) => self.update_customer(write, resource, &mut steps).await,
            (CUSTOMER, Verb::Delete) => self.delete_customer(write, &mut steps).await,
            (CONTACT, Verb::Create) => self.create_contact(write, resource, &mut steps).await,
            (CONTACT, Verb::Update) => self.update_contact(write, resource, &mut steps).await,
            (CONTACT, Verb::Delete) => self.delete_contact(write, &mut steps).await,
            _ => Err(nothing_a_side_does(write)),
        };
        told(ended, steps)
    }

    /// After an unknown outcome: what became of the write is read.
    pub(super) async fn resolve_one(&self, write: &Write) -> Outcome {
        let resource = match known(write) {
            Ok(resource) => resource,
            Err(refusal) => return rejected(refusal),
        };
        let locks = self.locks.of(write);
        let mut turns = Vec::with_capacity(locks.len());
        for lock in &locks {
            turns.push(lock.lock().await);
        }
        let mut steps = Steps::default();
        let ended = match (resource.name, write.verb) {
            (CUSTOMER, Verb::Create) => self.resolve_create_customer(write, resource).await,
            (CUSTOMER, Verb::Update) => self.resolve_update_customer(write, resource).await,
            (CUSTOMER, Verb::Delete) => self.resolve_delete_customer(write).await,
            (CONTACT, Verb::Create) => self.resolve_create_contact(write, resource).await,
            (CONTACT, Verb::Update) => self.resolve_update_contact(write, resource, &mut steps).await,
            (CONTACT, Verb::Delete) => self.resolve_delete_contact(write).await,
            _ => Err(nothing_a_side_does(write)),
        };
        told(ended, steps)
    }

    /// The customer as it stands now.
    pub(super) async fn customer(&self, id: i64) -> Result<Row, Trouble> {
        match self.wire.get(Counted::Data, &path(id), &[]).await? {
            J::Object(row) if row_id(&row) == Some(id) => {
                self.note_tags(&row);
                self.contacts_shown.fetch_or(row.contains_key("Contacts"), std::sync::atomic::Ordering::Relaxed);
                Ok(row)
            }
            _ => {
                let text = format!("the answer for customer {id} is not that customer");
                Err(Trouble::Fault(Fault::new(FaultKind::Answer, "unexpected-json", text)))
            }
        }
    }

    /// Sends the whole customer with the change in it, and answers the customer after it.
    pub(super) async fn patch(&self, before: &Row, change: &Change, steps: &mut Steps) -> Result<Row, Outcome> {
        let Some(id) = row_id(before) else { return Err(failed("no-id", "the customer shows no id")) };
        if let Some(why) = self.double(id) {
            return Err(rejected(Refusal::new("one-id-on-two-customers", format!("{why}: take it off all but one"), &[])));
        }
        let body = body(before, change).map_err(rejected)?;
        let mut tries = 0;
        let after = loop {
            tries += 1;
            match self.wire.write(Method::PATCH, &path(id), Some(&body)).await {
                Ok(J::Object(row)) if row_id(&row) == Some(id) && row.contains_key("Contacts") && row.contains_key("CustomTags") => {
                    break row;
                }
                Ok(_) => break self.customer(id).await.map_err(|t| half_done(id, t))?,
                Err(trouble) if trouble.is_unknown() => {
                    steps.say("patch", "no answer");
                    match self.customer(id).await {
                        Ok(row) if holds(&row, change) => break row,
                        // A second person is worse than a late one.
                        Ok(_) if tries < TRIES && !matches!(change.people, People::Add(_)) => wait_s(self.looks_s[1]).await,
                        Err(Trouble::Missing) => return Err(Outcome::Missing),
                        Ok(_) | Err(_) => return Err(sent(trouble)),
                    }
                }
                Err(Trouble::Refused(refusal)) => return Err(self.refused(refusal, &body)),
                Err(trouble) => return Err(sent(trouble)),
            }
        };
        self.note_tags(&after);
        if let Err(refusal) = lost(before, change, &after) {
            if refusal.code != "contact-not-removed" {
                self.halt_for_good(&refusal);
            }
            return Err(rejected(refusal));
        }
        self.known.wrote(before, &after);
        Ok(after)
    }

    /// A refused customer: for a tag nobody ever saw, or for itself.
    pub(super) fn refused(&self, refusal: Refusal, body: &J) -> Outcome {
        let sent = body.get("CustomTags").and_then(J::as_array).into_iter().flatten();
        let unseen = sent.filter_map(|tag| tag.get("tag_name")?.as_str()).find(|name| !self.knows_tag(name));
        match unseen {
            Some(tag) => self.halt_for_tag(tag, &refusal),
            None => rejected(refusal),
        }
    }

    pub(super) fn note_tags(&self, row: &Row) {
        let names = super::tags::tags_of(row).unwrap_or_default().into_iter().map(|(name, _)| name.to_owned());
        self.tags.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
    }

    /// Some customer carries this tag, so that it exists.
    pub(super) fn knows_tag(&self, tag: &str) -> bool {
        let tags: std::sync::MutexGuard<'_, BTreeSet<String>> = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        spellings(tag).iter().any(|name| tags.contains(name))
    }

    /// Why this customer shares its Salesforce id with another one, if it does.
    pub(super) fn double(&self, id: i64) -> Option<String> {
        self.doubles.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Done, with what the customer holds now.
    pub(super) fn done_customer(&self, write: &Write, resource: &ResourceSpec, row: &Row) -> Outcome {
        let record = Reading { zone: self.zone, whole: true }.customer(resource, row, &write.read);
        let Some(record) = record else { return Outcome::Unknown { message: "the answer has no id".to_owned() } };
        Outcome::Done { id: record.id.clone(), record: Some(record), steps: Vec::new() }
    }
}

pub fn path(id: i64) -> String {
    format!("/customers/{id}")
}

fn half_done(id: i64, trouble: Trouble) -> Outcome {
    match trouble {
        Trouble::Missing => Outcome::Missing,
        Trouble::Denied(r) | Trouble::Refused(r) => Outcome::Unknown { message: format!("customer {id} was written, then: {}", r.message) },
        Trouble::Fault(f) => Outcome::Unknown { message: format!("customer {id} was written, then: {f}") },
    }
}

fn told(ended: Result<Outcome, Outcome>, steps: Steps) -> Outcome {
    match ended {
        Ok(Outcome::Done { id, record, .. }) => Outcome::Done { id, record, steps: steps.0 },
        Ok(outcome) | Err(outcome) => outcome,
    }
}

fn known(write: &Write) -> Result<&'static ResourceSpec, Refusal> {
    let resource = CATALOGUE.resource(&write.resource);
    resource
        .filter(|r| r.can_update)
        .ok_or_else(|| Refusal::new("not-supported", format!("a {} of LAC is only read here", write.resource), &[]))
}

fn nothing_a_side_does(write: &Write) -> Outcome {
    failed("not-a-write", format!("{} is nothing a side does", write.verb))
}

/// New contacts by customer: where in the batch each stands.
fn new_contacts(writes: &[Write]) -> BTreeMap<i64, Vec<usize>> {
    let mut by_customer: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (at, write) in writes.iter().enumerate().filter(|(_, w)| w.resource == CONTACT && w.verb == Verb::Create) {
        let customer = write.fields.get(CUSTOMER).and_then(Value::as_text).map(RecordId::from);
        if let Some(customer) = customer.as_ref().and_then(customer_number) {
            by_customer.entry(customer).or_default().push(at);
        }
    }
    by_customer
}

/// The fields of a write that a customer can hold.
pub fn fields_for(resource: &ResourceSpec, write: &Write) -> Result<(), Refusal> {
    let odd = write.fields.keys().find(|name| match resource.field(name) {
        Some(field) => !field.update,
        None => !(resource.knows(name) && name.len() > PREFIX.len()),
    });
    match odd {
        None => Ok(()),
        Some(name) => Err(Refusal::new("field-not-writable", format!("{name:?} of a {} is only read", resource.name), &[name])),
    }
}

fn customer_lock(id: i64) -> String {
    format!("customer {id}")
}

/// One write at a time for each customer.
#[derive(Debug, Default)]
pub struct Locks(Mutex<HashMap<String, OneAtATime>>);

impl Locks {
    /// The locks a write needs, in the order everybody takes them.
    fn of(&self, write: &Write) -> Vec<OneAtATime> {
        let customer = |id: &RecordId| customer_number(id).or_else(|| contact_parts(id).map(|(customer, _)| customer));
        let named = write.fields.get(CUSTOMER).and_then(Value::as_text).map(RecordId::from);
        let mut names: BTreeSet<String> = write.id.iter().chain(&named).filter_map(customer).map(customer_lock).collect();
        names.extend(write.key.as_ref().map(|(field, value)| format!("{field}={value}")));
        names.into_iter().map(|name| self.named(name)).collect()
    }

    fn of_customer(&self, id: i64) -> OneAtATime {
        self.named(customer_lock(id))
    }

    fn named(&self, name: String) -> OneAtATime {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        locks.entry(name).or_default().clone()
    }
}
