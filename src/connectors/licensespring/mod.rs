//! LicenseSpring's Management API as a side: customer accounts, customers, orders, licenses and license features.
//!
//! Source: docs.licensespring.com. What its pages leave open is never assumed: filters are checked row by row, orderings
//! are tried before they are relied on, an absence is a suspicion, and what may have happened is looked up before it is
//! done again. Knows nothing of Salesforce beyond the key it is given to plant.

mod amend;
mod append;
mod body;
mod catalogue;
mod change;
mod create;
#[cfg(test)]
mod fake;
mod feature;
mod find;
mod list;
mod metadata;
mod names;
mod order;
mod order_body;
mod outcome;
mod read;
mod refusal;
mod reset;
mod row;
mod settings;
#[cfg(test)]
mod stories;
#[cfg(test)]
mod stories_of_orders;
mod vocabulary;
mod wire;
mod write;

pub use catalogue::{CATALOGUE, FREE_PLAN_PER_MINUTE, PLATFORM};
pub use settings::Settings;

use super::http::is_loopback;
use super::{
    Ask, Calls, Catalogue, Fault, FaultKind, Fetched, FieldInfo, Identity, Page, Polled, Reader, ResourceSpec, Schema, Vocabulary, Writer,
};
use crate::connectors::http::Counted;
use crate::plan::{Outcome, Write};
use crate::record::{Record, RecordId, Side, Value};
use async_trait::async_trait;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use list::{Row, id_of};
use row::Reading;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use tokio::sync::{OnceCell, mpsc};
use wire::{Trouble, Wire};

const AT_ONCE: usize = 4;

/// One LicenseSpring company.
pub struct LicenseSpring {
    wire: Wire,
    /// Planted in what we create.
    connection: String,
    company: Option<String>,
    names: names::NameCache,
    /// Filters that turned out to be left out by the service.
    ignored: Mutex<HashSet<(&'static str, String)>>,
    /// Whether a list can be ordered by its stamps; absent: not tried yet.
    ordered: tokio::sync::Mutex<HashMap<&'static str, bool>>,
    metadata_form: metadata::Form,
    locks: write::Locks,
    identity: OnceCell<Identity>,
    /// Seconds before each look for what was just made.
    looks_s: &'static [u64],
}

impl LicenseSpring {
    /// Checks address and key for their form; calls nothing.
    pub fn new(settings: Settings) -> Result<Self, Fault> {
        let Settings { url, api_key, requests_per_minute, company, connection } = settings;
        Ok(Self {
            wire: Wire::new(&url, &api_key, requests_per_minute)?,
            connection,
            company: company.map(|c| c.trim().to_owned()).filter(|c| !c.is_empty()),
            names: names::NameCache::default(),
            ignored: Mutex::default(),
            ordered: tokio::sync::Mutex::default(),
            metadata_form: metadata::Form::default(),
            locks: write::Locks::default(),
            identity: OnceCell::new(),
            looks_s: outcome::LOOKS_S,
        })
    }

    /// The records in these rows; rows without an id are left out.
    async fn records(&self, resource: &'static ResourceSpec, rows: &[Row], wanted: &[String]) -> Result<Vec<Record>, Trouble> {
        let names = self.names.with(&self.wire, &row::needs(resource.name, wanted, rows)).await?;
        let pages = self.company.as_ref().map(|company| format!("{}/{company}", self.wire.site()));
        let reading = Reading { names: &names, pages: pages.as_deref() };
        Ok(rows.iter().filter_map(|row| reading.record(resource, row, wanted)).collect())
    }

    async fn row(&self, resource: &ResourceSpec, id: i64) -> Result<Row, Trouble> {
        let reply = self.wire.get(Counted::Data, &catalogue::record_path(resource.name, id), &[]).await?;
        match reply.json {
            serde_json::Value::Object(row) if list::row_id(&row) == Some(id) => Ok(row),
            _ => {
                let text = format!("the answer for {} {id} is not that record", resource.name);
                Err(Trouble::Fault(Fault::new(FaultKind::Answer, "unexpected-json", text)))
            }
        }
    }

    async fn fetch(&self, resource: &'static ResourceSpec, fields: &[String], id: &RecordId) -> Result<Fetched, Fault> {
        let Some(number) = own_id(id) else {
            return Ok(Fetched::Refused(id.clone(), "LicenseSpring ids are whole numbers".to_owned()));
        };
        let found = match self.row(resource, number).await {
            Ok(row) => self.records(resource, &[row], fields).await.map(|mut records| records.pop()),
            Err(trouble) => Err(trouble),
        };
        match found {
            Ok(Some(record)) => Ok(Fetched::Here(record)),
            Ok(None) | Err(Trouble::Missing) => Ok(Fetched::Missing(id.clone())),
            Err(Trouble::Denied(r)) if r.status == 403 => Ok(Fetched::Refused(id.clone(), r.message)),
            Err(trouble) => Err(trouble.into_fault(&format!("{} {id}", resource.name))),
        }
    }

    /// The company number stands in almost every record. Without any record there is only the host.
    async fn who(&self) -> Result<Identity, Fault> {
        let host = self.wire.host().to_owned();
        let local = is_loopback(&super::http::base_url(self.wire.site())?);
        let is_sandbox = local || host.contains("staging") || host.contains("sandbox");
        for (path, what) in
            [("/products/", "products"), ("/customers/", "customers"), ("/orders/", "orders"), ("/customer-accounts/", "customer accounts")]
        {
            match self.wire.page(Counted::Other, path, &[], 0, 1).await {
                Ok(page) => {
                    if let Some(company) = page.rows.iter().find_map(|row| id_of(row.get("company")?)) {
                        return Ok(Identity { id: company.to_string(), name: host, is_sandbox });
                    }
                }
                Err(Trouble::Denied(r)) if r.status == 403 => {}
                Err(trouble) => return Err(trouble.into_fault(&format!("the list of {what}"))),
            }
        }
        // An empty company shows nobody's number: who it is stays open until a row says so.
        Ok(Identity { id: self.company.clone().unwrap_or_default(), name: host, is_sandbox })
    }
}

/// The address only: never the key.
impl fmt::Debug for LicenseSpring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LicenseSpring").field("site", &self.wire.site()).field("connection", &self.connection).finish_non_exhaustive()
    }
}

fn own_id(id: &RecordId) -> Option<i64> {
    id.as_str().parse().ok().filter(|n| *n > 0)
}

fn known(resource: &str) -> Result<&'static ResourceSpec, Fault> {
    CATALOGUE
        .resource(resource)
        .ok_or_else(|| Fault::new(FaultKind::Setup, "no-such-resource", format!("LicenseSpring has no resource {resource:?}")))
}

/// Read-only and yet never moved by the service on its own.
const FIXED: [&str; 6] = ["license_key", "license_type", "order_item", "order_store_id", "created_at", "updated_at"];

fn schema_of(resource: &ResourceSpec) -> Schema {
    let field = |f: &super::FieldSpec| FieldInfo {
        ty: f.ty.clone(),
        createable: f.create,
        updateable: f.update,
        required: f.required,
        secret: f.secret,
        calculated: !f.create && !f.update && !FIXED.contains(&f.name),
    };
    Schema {
        fields: resource.fields.iter().map(|f| (f.name.to_owned(), field(f))).collect(),
        createable: resource.can_create,
        updateable: resource.can_update,
        deletable: resource.can_delete,
        planted: resource.planted.map(str::to_owned),
    }
}

#[async_trait]
impl Reader for LicenseSpring {
    fn side(&self) -> Side {
        Side::Platform
    }

    fn catalogue(&self) -> &Catalogue {
        &CATALOGUE
    }

    async fn identity(&self) -> Result<Identity, Fault> {
        self.identity.get_or_try_init(|| self.who()).await.cloned()
    }

    /// The vendor describes nothing; a resource is there if one row of it may be read.
    async fn schema(&self, resources: &[String]) -> Result<BTreeMap<String, Schema>, Fault> {
        let (mut schemas, mut denied) = (BTreeMap::new(), None);
        for name in resources {
            let Some(resource) = CATALOGUE.resource(name) else { continue };
            match self.count_rows(name, Counted::Other).await {
                Ok(_) => {
                    schemas.insert(name.clone(), schema_of(resource));
                }
                Err(trouble @ Trouble::Denied(_)) => denied = Some(trouble.into_fault(&format!("the list of {name}s"))),
                Err(trouble) => return Err(trouble.into_fault(&format!("the list of {name}s"))),
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
        let resource = known(resource)?;
        let asked: Vec<_> = ids.iter().map(|id| self.fetch(resource, fields, id)).collect();
        stream::iter(asked).buffered(AT_ONCE).try_collect().await
    }

    async fn find(&self, resource: &str, fields: &[String], key: &str, values: &[Value]) -> Result<Vec<Record>, Fault> {
        let resource = known(resource)?;
        let rows = self.find_rows(resource, key, values).await?;
        self.records(resource, &rows, fields).await.map_err(|t| t.into_fault(&format!("the list of {}s", resource.name)))
    }

    async fn count(&self, resource: &str) -> Result<u64, Fault> {
        let resource = known(resource)?;
        self.count_rows(resource.name, Counted::Data).await.map_err(|t| t.into_fault(&format!("the list of {}s", resource.name)))
    }

    fn calls(&self) -> Calls {
        self.wire.calls()
    }

    async fn vocabulary(&self) -> Result<Option<Vocabulary>, Fault> {
        self.words().await.map(Some)
    }
}

#[async_trait]
impl Writer for LicenseSpring {
    async fn apply(&self, writes: &[Write]) -> Vec<Outcome> {
        self.write_all(writes).await
    }

    async fn resolve(&self, write: &Write) -> Outcome {
        self.resolve_one(write).await
    }

    async fn resolve_many(&self, writes: &[Write]) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(writes.len());
        for few in writes.chunks(AT_ONCE) {
            // A side that answers none of a few is asked no more: what is left stays promised.
            let silent =
                outcomes.len() >= AT_ONCE && outcomes[outcomes.len() - AT_ONCE..].iter().all(|o| matches!(o, Outcome::Unknown { .. }));
            if silent {
                let message = || "not looked up: the platform does not answer".to_owned();
                outcomes.extend(few.iter().map(|_| Outcome::Unknown { message: message() }));
                continue;
            }
            let asked: Vec<_> = few.iter().map(|write| self.resolve_one(write)).collect();
            outcomes.extend(stream::iter(asked).buffered(AT_ONCE).collect::<Vec<_>>().await);
        }
        outcomes
    }
}

type OneAtATime = Arc<tokio::sync::Mutex<()>>;
