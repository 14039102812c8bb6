//! ForceManager (Sage Sales Management), API v4, as a side: companies, contacts, opportunities, activities, the calendar's
//! events and tasks, and users, who are only read.
//!
//! Source: developer.forcemanager.com and the vendor's own Power Platform connector. What these leave open is never assumed:
//! filters are tried before they are relied on, a refusal by id is confirmed, what may have happened is looked up before it is
//! done again, and what is written is read back. Knows nothing of Salesforce beyond the key it is given to plant.

mod body;
mod branch;
mod catalogue;
mod change;
mod create;
mod dates;
mod extra;
#[cfg(test)]
mod fake;
mod filter;
mod find;
mod list;
mod outcome;
mod read;
mod refusal;
mod row;
mod settings;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod stories_of_writes;
mod wire;
mod words;
mod write;
mod zone;

pub use catalogue::{CATALOGUE, EXTRA, PLATFORM};
pub use extra::{ExtraField, Kind, Proposal, free_name, name_for, proposals};
pub use settings::{PLACEHOLDER, REQUESTS_PER_SECOND, Settings, URL};

use super::http::is_loopback;
use super::{
    Ask, Calls, Catalogue, CustomField, Fault, FaultKind, Fetched, FieldInfo, Identity, Page, Polled, Reader, ResourceSpec, Schema, Writer,
};
use crate::connectors::http::Counted;
use crate::plan::{Outcome, Write};
use crate::record::{Record, RecordId, Side, Value};
use async_trait::async_trait;
use extra::Extras;
use list::Row;
use row::Reading;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc;
use wire::{Trouble, Wire};
use zone::Zone;

/// One ForceManager account.
pub struct ForceManager {
    wire: Wire,
    words: words::WordCache,
    zone: Zone,
    branch: Option<i64>,
    only_branch: branch::Branch,
    link_field: String,
    placeholder: String,
    /// ForceManager user id → Salesforce id: pairs made by hand.
    users: BTreeMap<i64, String>,
    extra_fields: BTreeMap<String, Vec<ExtraField>>,
    type_codes: BTreeMap<Kind, i64>,
    /// Extra fields that are there, by resource, as the last schema told.
    extras: Mutex<BTreeMap<String, Extras>>,
    /// By list, in which form a filter by date works; `None`: in none.
    since: tokio::sync::Mutex<BTreeMap<&'static str, Option<read::Literal>>>,
    /// Filters that turned out to be left out or refused by the service.
    unusable: Mutex<HashSet<(&'static str, String)>>,
    /// Resources that one row could be read of.
    visible: Mutex<HashSet<&'static str>>,
    /// A written date-time came back as another one: what its zone is nobody knows.
    shifted: AtomicBool,
    /// Seconds before each look for what was just made.
    looks_s: &'static [u64],
}

impl ForceManager {
    /// Checks address and keys for their form; calls nothing.
    pub fn new(settings: Settings) -> Result<Self, Fault> {
        let Settings {
            url,
            public_key,
            private_key,
            requests_per_second,
            time_zone,
            branch,
            link_field,
            placeholder,
            users: pairs,
            extra_fields,
            type_codes,
        } = settings;
        let mut users: BTreeMap<i64, String> = BTreeMap::new();
        for (salesforce, id) in pairs {
            if let Some(other) = users.insert(id, salesforce.clone()) {
                let text = format!("ForceManager user {id} is linked by hand to two Salesforce users, {other} and {salesforce}");
                return Err(Fault::new(FaultKind::Setup, "users-linked-twice", text));
            }
        }
        Ok(Self {
            wire: Wire::new(&url, &public_key, &private_key, requests_per_second)?,
            words: words::WordCache::default(),
            zone: Zone::new(time_zone),
            branch,
            only_branch: branch::Branch::new(branch),
            link_field,
            placeholder,
            users,
            extra_fields,
            type_codes,
            extras: Mutex::default(),
            since: tokio::sync::Mutex::default(),
            unusable: Mutex::default(),
            visible: Mutex::default(),
            shifted: AtomicBool::new(false),
            looks_s: outcome::LOOKS_S,
        })
    }

    /// The records in these rows; rows without an id are left out.
    async fn records(&self, resource: &'static ResourceSpec, rows: &[Row], wanted: &[String]) -> Result<Vec<Record>, Trouble> {
        let lists = self.words.needed(&self.wire, resource.name, wanted, rows).await?;
        let timed = catalogue::is_calendar(resource.name) && wanted.iter().any(|f| matches!(f.as_str(), "start" | "end"));
        let zone = if timed { self.zone(&self.wire).await? } else { chrono_tz::UTC };
        let extras = self.extras.lock().unwrap_or_else(PoisonError::into_inner).get(resource.name).cloned();
        let reading = Reading {
            lists: &lists,
            zone,
            link_field: &self.link_field,
            placeholder: &self.placeholder,
            users: &self.users,
            extras: extras.as_ref(),
        };
        Ok(rows.iter().filter_map(|row| reading.record(resource, row, wanted)).collect())
    }

    async fn record(&self, resource: &'static ResourceSpec, row: Row, wanted: &[String]) -> Result<Option<Record>, Trouble> {
        Ok(self.records(resource, &[row], wanted).await?.pop())
    }

    async fn zone(&self, wire: &Wire) -> Result<chrono_tz::Tz, Fault> {
        self.zone.of(wire, self.branch).await
    }

    fn extra(&self, resource: &str, field: &str) -> Option<extra::Extra> {
        self.extras.lock().unwrap_or_else(PoisonError::into_inner).get(resource)?.get(field).cloned()
    }

    async fn visible(&self, resource: &'static ResourceSpec) -> Result<(), Trouble> {
        if self.visible.lock().unwrap_or_else(PoisonError::into_inner).contains(resource.name) {
            return Ok(());
        }
        let path = catalogue::path(resource.name).unwrap_or("/");
        self.wire.get(Counted::Other, path, &[("page", "0".to_owned())]).await?;
        self.visible.lock().unwrap_or_else(PoisonError::into_inner).insert(resource.name);
        Ok(())
    }

    /// What a resource's fields are: those of the catalogue, and the extra ones that are there.
    async fn schema_of(&self, resource: &'static ResourceSpec) -> Result<Schema, Fault> {
        let extras = self.extras(resource.name).await?;
        let field = |f: &super::FieldSpec| FieldInfo {
            ty: f.ty.clone(),
            createable: f.create,
            updateable: f.update,
            required: f.required,
            secret: f.secret,
            calculated: false,
        };
        let mut fields: BTreeMap<String, FieldInfo> = resource.fields.iter().map(|f| (f.name.to_owned(), field(f))).collect();
        for (name, extra) in &extras {
            let (createable, updateable) = (extra.writable, extra.writable);
            let info = FieldInfo { ty: extra.ty.clone(), createable, updateable, required: false, secret: false, calculated: false };
            fields.insert(name.clone(), info);
        }
        self.extras.lock().unwrap_or_else(PoisonError::into_inner).insert(resource.name.to_owned(), extras);
        Ok(Schema {
            fields,
            createable: resource.can_create,
            updateable: resource.can_update,
            deletable: resource.can_delete,
            planted: resource.planted.map(str::to_owned),
        })
    }
}

/// The address only: never a key.
impl fmt::Debug for ForceManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForceManager").field("site", &self.wire.site()).finish_non_exhaustive()
    }
}

fn own_id(id: &RecordId) -> Option<i64> {
    id.as_str().parse().ok().filter(|n| *n > 0)
}

fn known(resource: &str) -> Result<&'static ResourceSpec, Fault> {
    CATALOGUE
        .resource(resource)
        .ok_or_else(|| Fault::new(FaultKind::Setup, "no-such-resource", format!("ForceManager has no resource {resource:?}")))
}

fn what(resource: &ResourceSpec) -> String {
    format!("the list {}", catalogue::path(resource.name).unwrap_or("?"))
}

#[async_trait]
impl Reader for ForceManager {
    fn side(&self) -> Side {
        Side::Platform
    }

    fn catalogue(&self) -> &Catalogue {
        &catalogue::LIVE
    }

    /// No call tells whose account it is, and keys are renewed: it stays unpinned.
    async fn identity(&self) -> Result<Identity, Fault> {
        self.wire.log_in().await?;
        let is_sandbox = is_loopback(&super::http::base_url(self.wire.site())?);
        Ok(Identity { id: String::new(), name: self.wire.host().to_owned(), is_sandbox })
    }

    /// A resource is there if a page of it may be read; its extra fields are those that the vendor's schema shows.
    async fn schema(&self, resources: &[String]) -> Result<BTreeMap<String, Schema>, Fault> {
        let (mut schemas, mut denied) = (BTreeMap::new(), None);
        for name in resources {
            let Some(resource) = CATALOGUE.resource(name) else { continue };
            match self.visible(resource).await {
                Ok(()) => {
                    schemas.insert(name.clone(), self.schema_of(resource).await?);
                }
                Err(trouble @ Trouble::Denied(_)) => denied = Some(trouble.into_fault(&what(resource))),
                Err(trouble) => return Err(trouble.into_fault(&what(resource))),
            }
        }
        match denied {
            Some(fault) if schemas.is_empty() => Err(fault),
            _ => Ok(schemas),
        }
    }

    async fn custom_fields(&self, resource: &str) -> Result<Vec<CustomField>, Fault> {
        self.custom_fields_of(known(resource)?).await
    }

    async fn poll(&self, asks: &[Ask], pages: mpsc::Sender<Page>) -> Result<Vec<Polled>, Fault> {
        self.read_all(asks, pages).await
    }

    async fn get_many(&self, resource: &str, fields: &[String], ids: &[RecordId]) -> Result<Vec<Fetched>, Fault> {
        self.fetch_all(known(resource)?, fields, ids).await
    }

    async fn find(&self, resource: &str, fields: &[String], key: &str, values: &[Value]) -> Result<Vec<Record>, Fault> {
        let resource = known(resource)?;
        let rows = self.find_rows(resource, key, values).await?;
        self.records(resource, &rows, fields).await.map_err(|t| t.into_fault(&what(resource)))
    }

    async fn count(&self, resource: &str) -> Result<u64, Fault> {
        self.count_live(known(resource)?).await
    }

    fn calls(&self) -> Calls {
        self.wire.calls()
    }
}

#[async_trait]
impl Writer for ForceManager {
    async fn apply(&self, writes: &[Write]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(writes.len());
        for write in writes {
            outcomes.push(self.write_one(write).await);
        }
        outcomes
    }

    async fn resolve(&self, write: &Write) -> Outcome {
        self.resolve_one(write).await
    }
}
