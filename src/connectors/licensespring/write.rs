//! Writing: one record at a time, a few at once, outcomes in the order of the writes.
//!
//! Two writes to one record or with one key wait for each other, so that a look before a create sees what was just made.

use super::amend::amends;
use super::catalogue::{CATALOGUE, CUSTOMER, CUSTOMER_ACCOUNT, FEATURE, LICENSE, ORDER, type_of};
use super::list::Row;
use super::outcome::{failed, rejected};
use super::refusal::Refusal;
use super::reset::resets;
use super::{AT_ONCE, LicenseSpring, OneAtATime};
use crate::connectors::ResourceSpec;
use crate::plan::{Outcome, Verb, Write};
use crate::record::{Value, coerce};
use futures_util::stream::{self, StreamExt};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// From so many creates of one kind on, their keys are looked for together.
const TOGETHER: usize = 4;

/// Rows found by key before a batch of creates, by resource, field and value.
type Found = HashMap<(&'static str, String, String), Vec<Row>>;

impl LicenseSpring {
    pub(super) async fn write_all(&self, writes: &[Write]) -> Vec<Outcome> {
        let found = self.look_ahead(writes).await;
        let asked: Vec<_> = writes.iter().map(|write| self.write_one(write, &found)).collect();
        stream::iter(asked).buffered(AT_ONCE).collect().await
    }

    async fn write_one(&self, write: &Write, found: &Found) -> Outcome {
        let Some(resource) = CATALOGUE.resource(&write.resource) else {
            return rejected(Refusal::new("no-such-resource", format!("LicenseSpring has no resource {:?}", write.resource), &[]));
        };
        let lock = self.locks.of(write);
        let _turn = lock.lock().await;
        match write.verb {
            Verb::Create if !resource.can_create => {
                rejected(Refusal::new("not-supported", format!("a {} cannot be created by itself", resource.name), &[]))
            }
            Verb::Create if resource.name == ORDER => self.create_order(write, resource).await,
            Verb::Create if resource.name == FEATURE => self.create_feature(write, resource).await,
            Verb::Create => {
                let looked = key_of(write, resource).and_then(|key| found.get(&key)).cloned();
                self.create_record(write, resource, looked).await
            }
            Verb::Update if resource.name == LICENSE && resets(write) => self.reset(write, resource).await,
            Verb::Update if resource.name == ORDER && amends(write) => self.amend(write, resource).await,
            Verb::Update => self.update(write, resource).await,
            Verb::Delete => self.delete(write, resource).await,
            Verb::Link | Verb::Advance | Verb::Bury | Verb::Mark | Verb::Forget | Verb::Repoint => {
                failed("not-a-write", format!("{} is nothing a side does", write.verb))
            }
        }
    }

    pub(super) async fn resolve_one(&self, write: &Write) -> Outcome {
        let Some(resource) = CATALOGUE.resource(&write.resource) else {
            return rejected(Refusal::new("no-such-resource", format!("LicenseSpring has no resource {:?}", write.resource), &[]));
        };
        let lock = self.locks.of(write);
        let _turn = lock.lock().await;
        match write.verb {
            Verb::Create if resource.name == ORDER => self.resolve_order(write, resource).await,
            Verb::Create if resource.name == FEATURE => self.resolve_feature(write, resource).await,
            Verb::Create => self.resolve_record(write, resource).await,
            Verb::Update if resource.name == LICENSE && resets(write) => self.resolve_reset(write, resource).await,
            Verb::Update if resource.name == ORDER && amends(write) => self.resolve_amend(write, resource).await,
            Verb::Update => self.resolve_update(write, resource).await,
            Verb::Delete => self.resolve_delete(write, resource).await,
            Verb::Link | Verb::Advance | Verb::Bury | Verb::Mark | Verb::Forget | Verb::Repoint => {
                failed("not-done", format!("{} is nothing a side does", write.verb))
            }
        }
    }

    /// The keys of many creates, looked for with fewer calls than one each. What fails here is looked for one by one.
    async fn look_ahead(&self, writes: &[Write]) -> Found {
        let mut keys: HashMap<(&'static str, String), Vec<Value>> = HashMap::new();
        for write in writes.iter().filter(|w| w.verb == Verb::Create && matches!(w.resource.as_str(), CUSTOMER | CUSTOMER_ACCOUNT)) {
            let Some(resource) = CATALOGUE.resource(&write.resource) else { continue };
            if let Some((resource, field, value)) = key_of(write, resource) {
                keys.entry((resource, field)).or_default().push(Value::Text(value));
            }
        }
        let mut found = Found::new();
        for ((name, field), values) in keys.into_iter().filter(|(_, values)| values.len() >= TOGETHER) {
            let Some(resource) = CATALOGUE.resource(name) else { continue };
            let Ok(rows) = self.find_rows(resource, &field, &values).await else { continue };
            let Ok(records) = self.records(resource, &rows, std::slice::from_ref(&field)).await else { continue };
            // A key that comes twice is looked for when its turn comes: the second must see what the first made.
            let mut times: HashMap<&str, usize> = HashMap::new();
            for value in values.iter().filter_map(Value::as_text) {
                *times.entry(value).or_default() += 1;
            }
            for value in times.into_iter().filter(|(_, n)| *n == 1).map(|(value, _)| value) {
                found.insert((name, field.clone(), value.to_owned()), Vec::new());
            }
            for (row, record) in rows.into_iter().zip(records) {
                let Some(value) = record.fields.get(&field).and_then(Value::as_text) else { continue };
                if let Some(rows) = found.get_mut(&(name, field.clone(), value.to_owned())) {
                    rows.push(row);
                }
            }
        }
        found
    }
}

/// The key of a create in canonical form.
fn key_of(write: &Write, resource: &ResourceSpec) -> Option<(&'static str, String, String)> {
    let resource = CATALOGUE.resource(resource.name)?;
    let (field, value) = write.key.as_ref()?;
    let value = coerce(&Value::text(value.clone()), &type_of(resource, field)?).ok()?;
    Some((resource.name, field.clone(), value.as_text()?.to_owned()))
}

/// One write at a time for each record and each key.
#[derive(Debug, Default)]
pub struct Locks(Mutex<HashMap<String, OneAtATime>>);

impl Locks {
    fn of(&self, write: &Write) -> OneAtATime {
        let name = match (&write.id, &write.key) {
            (Some(id), _) => return self.of_record(&write.resource, id.as_str()),
            (None, Some((field, value))) => format!("{} {field}={value}", write.resource),
            // Rows of one license have no key of their own.
            (None, None) => format!("{} of {:?}", write.resource, write.fields.get("license")),
        };
        self.named(name)
    }

    /// Also for the licenses an order's change reaches: they are taken one at a time, while the order's own is held, and
    /// nobody who holds a license's lock waits for an order's.
    pub(super) fn of_record(&self, resource: &str, id: impl std::fmt::Display) -> OneAtATime {
        self.named(format!("{resource} {id}"))
    }

    fn named(&self, name: String) -> OneAtATime {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        locks.entry(name).or_default().clone()
    }
}
