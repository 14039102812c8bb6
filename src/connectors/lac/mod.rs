//! X-Formation License Activation Center (LAC) as a side: customers with their contacts and custom tags; license orders and
//! licenses to be read.
//!
//! Source: docs.x-formation.com, vendor REST API. What its pages leave open is never assumed: searches are checked row by row,
//! a customer is always sent whole and held against what comes back, an absence is a suspicion until the record's own address
//! says 404, and what may have happened is looked up before it is done again. Knows nothing of Salesforce beyond the id it is
//! given to plant.

mod catalogue;
mod contact;
mod customer;
#[cfg(test)]
pub mod fake;
mod find;
mod halt;
mod known;
mod list;
mod outcome;
mod read;
mod refusal;
mod row;
mod settings;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod stories_of_contacts;
mod tags;
mod whole;
mod wire;
mod write;

pub use catalogue::{CATALOGUE, PLATFORM};
pub use settings::Settings;

use super::http::Counted;
use super::http::is_loopback;
use super::{Ask, Calls, Catalogue, Fault, FaultKind, Fetched, FieldInfo, Identity, Page, Polled, Reader, ResourceSpec, Schema, Writer};
use crate::plan::{Outcome, Write};
use crate::record::{Record, RecordId, Side, Value};
use async_trait::async_trait;
use catalogue::{CONTACT, CUSTOMER};
use chrono_tz::Tz;
use list::{Row, Walk};
use serde_json::Value as J;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use wire::{Trouble, Wire};

/// One License Activation Center.
pub struct Lac {
    wire: Wire,
    zone: Tz,
    delete_customers: bool,
    delete_with_orders: bool,
    /// The service turned out not to know the call.
    cannot_delete: AtomicBool,
    known: known::Known,
    /// Some customer has shown its contacts.
    contacts_shown: AtomicBool,
    /// Members of a customer that its list has shown.
    shown: Mutex<BTreeSet<&'static str>>,
    /// Tags some customer carries.
    tags: Mutex<BTreeSet<String>>,
    /// Customers that share a Salesforce id with another one, and the sentence about it.
    doubles: Mutex<HashMap<i64, String>>,
    halt: Mutex<Option<halt::Halt>>,
    locks: write::Locks,
    /// Seconds before each look for what was just made.
    looks_s: &'static [u64],
}

impl Lac {
    /// Checks address and credentials for their form; calls nothing.
    pub fn new(settings: Settings) -> Result<Self, Fault> {
        let Settings { url, username, password, requests_per_minute, time_zone, delete_customers, delete_with_orders } = settings;
        Ok(Self {
            wire: Wire::new(&url, &username, &password, requests_per_minute)?,
            zone: time_zone,
            delete_customers,
            delete_with_orders,
            cannot_delete: AtomicBool::new(false),
            known: known::Known::default(),
            contacts_shown: AtomicBool::new(false),
            shown: Mutex::default(),
            tags: Mutex::default(),
            doubles: Mutex::default(),
            halt: Mutex::default(),
            locks: write::Locks::default(),
            looks_s: outcome::LOOKS_S,
        })
    }

    /// A customer by its id, or several contacts of one customer by one reading of it.
    async fn fetch(
        &self,
        resource: &'static ResourceSpec,
        fields: &[String],
        customer: i64,
        ids: &[&RecordId],
    ) -> Result<Vec<Fetched>, Fault> {
        let each = |f: &dyn Fn(&RecordId) -> Fetched| ids.iter().map(|id| f(id)).collect::<Vec<_>>();
        let row = match self.customer(customer).await {
            Ok(row) => row,
            Err(Trouble::Missing) => return Ok(each(&|id| Fetched::Missing(id.clone()))),
            Err(Trouble::Denied(r)) => return Ok(each(&|id| Fetched::Refused(id.clone(), r.message.clone()))),
            Err(trouble) => return Err(trouble.into_fault(&format!("customer {customer}"))),
        };
        let unread = || Fault::new(FaultKind::Answer, "unexpected-json", format!("customer {customer} does not show its contacts"));
        let records = self.records(resource, &row, fields).ok_or_else(unread)?;
        Ok(each(&|id| match records.iter().find(|r| r.id == *id) {
            Some(record) => Fetched::Here(record.clone()),
            None if self.renumbered() => Fetched::Refused(id.clone(), "LAC gives contacts new numbers: not seen is not gone".to_owned()),
            None => Fetched::Missing(id.clone()),
        }))
    }

    /// Records of a list that have no address of their own that could be asked.
    async fn listed(&self, resource: &'static ResourceSpec, fields: &[String], ids: &[RecordId]) -> Result<Vec<Fetched>, Fault> {
        let (path, key) = read::list_of(resource.name);
        let rows = Walk::new(&self.wire, Counted::Data, path, Vec::new(), key).collect().await;
        let rows = rows.map_err(|t| t.into_fault(&format!("the list {path}")))?;
        let records: Vec<Record> = rows.iter().filter_map(|row| self.records(resource, row, fields)).flatten().collect();
        let of = |id: &RecordId| records.iter().find(|r| r.id == *id).cloned();
        Ok(ids.iter().map(|id| of(id).map_or_else(|| Fetched::Missing(id.clone()), Fetched::Here)).collect())
    }

    fn schema_of(&self, resource: &ResourceSpec) -> Schema {
        let field = |f: &super::FieldSpec| FieldInfo {
            ty: f.ty.clone(),
            createable: f.create,
            updateable: f.update,
            required: f.required,
            secret: f.secret,
            calculated: false,
        };
        let mut fields: BTreeMap<String, FieldInfo> = resource.fields.iter().map(|f| (f.name.to_owned(), field(f))).collect();
        if let Some(prefix) = resource.free_prefix {
            // What every tag is like: one that is not there says nothing, one that is blank does.
            let ty = tags::tag_type();
            let alike = FieldInfo { ty, createable: true, updateable: true, required: false, secret: false, calculated: false };
            fields.insert(prefix.to_owned(), alike);
        }
        Schema {
            fields,
            createable: resource.can_create,
            updateable: resource.can_update,
            deletable: resource.can_delete
                && (resource.name != CUSTOMER || (self.delete_customers && !self.cannot_delete.load(Ordering::Relaxed))),
            planted: resource.planted.map(str::to_owned),
        }
    }
}

/// The address only: never the credentials.
impl fmt::Debug for Lac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lac").field("base", &self.wire.base().as_str()).finish_non_exhaustive()
    }
}

fn known_resource(resource: &str) -> Result<&'static ResourceSpec, Fault> {
    CATALOGUE
        .resource(resource)
        .ok_or_else(|| Fault::new(FaultKind::Setup, "no-such-resource", format!("LAC has no resource {resource:?}")))
}

#[async_trait]
impl Reader for Lac {
    fn side(&self) -> Side {
        Side::Platform
    }

    fn catalogue(&self) -> &Catalogue {
        &CATALOGUE
    }

    /// LAC does not say whose it is; its host is the one thing that tells two installations apart.
    async fn identity(&self) -> Result<Identity, Fault> {
        let base = self.wire.base();
        let host = base.host_str().unwrap_or_default().to_owned();
        let is_sandbox = is_loopback(base) || ["sandbox", "staging"].iter().any(|word| host.contains(word));
        Ok(Identity { id: host.clone(), name: host, is_sandbox })
    }

    /// The vendor describes nothing; a resource is there if its list may be read.
    async fn schema(&self, resources: &[String]) -> Result<BTreeMap<String, Schema>, Fault> {
        let (mut schemas, mut denied, mut asked) = (BTreeMap::new(), None, BTreeMap::new());
        for name in resources {
            let Some(resource) = CATALOGUE.resource(name) else { continue };
            let (path, _) = read::list_of(name);
            if !asked.contains_key(path) {
                let answer = self.wire.get(Counted::Other, path, &[("offset", "0".to_owned())]).await;
                let readable = match answer {
                    Ok(J::Array(_)) => true,
                    Ok(_) => return Err(Fault::new(FaultKind::Answer, "unexpected-json", format!("the list {path} is no array"))),
                    Err(trouble @ Trouble::Denied(_)) => {
                        denied = Some(trouble.into_fault(&format!("the list {path}")));
                        false
                    }
                    Err(trouble) => return Err(trouble.into_fault(&format!("the list {path}"))),
                };
                asked.insert(path, readable);
            }
            if asked.get(path) == Some(&true) {
                schemas.insert(name.clone(), self.schema_of(resource));
            }
        }
        match denied {
            Some(fault) if schemas.is_empty() => Err(fault),
            _ => Ok(schemas),
        }
    }

    async fn poll(&self, asks: &[Ask], pages: mpsc::Sender<Page>) -> Result<Vec<Polled>, Fault> {
        self.read_all(asks, pages).await
    }

    async fn get_many(&self, resource: &str, fields: &[String], ids: &[RecordId]) -> Result<Vec<Fetched>, Fault> {
        let resource = known_resource(resource)?;
        if !matches!(resource.name, CUSTOMER | CONTACT) {
            return self.listed(resource, fields, ids).await;
        }
        let customer_of = |id: &RecordId| match resource.name {
            CONTACT => row::contact_parts(id).map(|(customer, _)| customer),
            _ => row::customer_number(id),
        };
        let (mut fetched, mut by_customer) = (Vec::with_capacity(ids.len()), BTreeMap::<i64, Vec<&RecordId>>::new());
        for id in ids {
            match customer_of(id) {
                Some(customer) => by_customer.entry(customer).or_default().push(id),
                None => fetched.push(Fetched::Refused(id.clone(), format!("{id} is no id of a {}", resource.name))),
            }
        }
        for (customer, ids) in by_customer {
            fetched.extend(self.fetch(resource, fields, customer, &ids).await?);
        }
        Ok(fetched)
    }

    async fn find(&self, resource: &str, fields: &[String], key: &str, values: &[Value]) -> Result<Vec<Record>, Fault> {
        self.find_records(known_resource(resource)?, fields, key, values).await
    }

    /// No list tells its length: it is walked.
    async fn count(&self, resource: &str) -> Result<u64, Fault> {
        let resource = known_resource(resource)?;
        let (path, key) = read::list_of(resource.name);
        let fault = |t: Trouble| t.into_fault(&format!("the list {path}"));
        let rows = Walk::new(&self.wire, Counted::Data, path, Vec::new(), key).collect().await.map_err(fault)?;
        let needed: &[&'static str] = if resource.name == CONTACT { &["Contacts"] } else { &[] };
        let rows: Vec<Row> = self.whole_rows(rows, needed).await.map_err(fault)?;
        let count = match resource.name {
            CONTACT => rows.iter().map(|row| row::contacts_of(row).map_or(0, |c| c.len())).sum(),
            _ => rows.len(),
        };
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    fn calls(&self) -> Calls {
        self.wire.calls()
    }
}

#[async_trait]
impl Writer for Lac {
    async fn apply(&self, writes: &[Write]) -> Vec<Outcome> {
        self.write_all(writes).await
    }

    async fn resolve(&self, write: &Write) -> Outcome {
        self.resolve_one(write).await
    }
}

type OneAtATime = Arc<tokio::sync::Mutex<()>>;
