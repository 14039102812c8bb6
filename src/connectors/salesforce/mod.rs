//! Salesforce over its REST API: OAuth, describe, SOQL feeds and collections, behind the two traits of the seam.
//!
//! Knows nothing of links, bases and plans. What the vendor documents and what is only assumed stands beside the code
//! that depends on it.

mod auth;
mod catalogue;
mod census;
mod clock;
mod describe;
mod error;
mod lookup;
mod orders;
mod outgoing;
mod read;
mod rows;
mod settings;
mod soql;
#[cfg(test)]
mod tests;
mod token_file;
mod wire;
mod write;

pub use settings::{Flow, Settings};

use super::{Ask, Calls, Catalogue, Fault, Fetched, FieldInfo, IdAsk, IdPage, Identity, Page, Polled, Reader, Schema, Writer};
use crate::connectors::http::Counted;
use crate::plan::{Outcome, Write};
use crate::record::{FieldType, Record, RecordId, SalesforceId, Side, Value};
use async_trait::async_trait;
use chrono::TimeDelta;
use serde::Deserialize;
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use wire::{Query, Wire};

/// One org, as one user.
#[derive(Debug)]
pub struct Salesforce {
    wire: Wire,
    describes: describe::Describes,
    catalogue: Catalogue,
    lookback: TimeDelta,
    product_fields: bool,
    /// Asked once for each organization a token leads to.
    identity: std::sync::Mutex<Option<Identity>>,
}

impl Salesforce {
    /// Checks the settings; sends nothing.
    pub fn new(settings: Settings) -> Result<Self, Fault> {
        let lookback = TimeDelta::seconds(i64::from(settings.lookback_s));
        Ok(Self {
            wire: Wire::new(&settings)?,
            describes: describe::Describes::default(),
            catalogue: catalogue::catalogue(),
            lookback,
            product_fields: settings.product_fields,
            identity: std::sync::Mutex::default(),
        })
    }
}

#[async_trait]
impl Reader for Salesforce {
    fn side(&self) -> Side {
        Side::Salesforce
    }

    fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    async fn identity(&self) -> Result<Identity, Fault> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Organization {
            id: String,
            name: Option<String>,
            is_sandbox: Option<bool>,
        }
        let session = self.wire.session().await?;
        let known = self.identity.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|k| session.organization.as_ref().is_some_and(|o| o.as_str() == k.id)) {
            return Ok(known);
        }
        let mut row = None;
        let query = Query { soql: "SELECT Id, Name, IsSandbox FROM Organization".to_owned(), with_deleted: false };
        let told = self
            .each_row(&[query], Counted::Other, |_, raw| {
                row = serde_json::from_str::<Organization>(raw.get()).ok();
                Ok(())
            })
            .await;
        match told {
            Ok(()) => {}
            // The token says whose it is; the rest is for people.
            Err(fault) if session.organization.is_some() && refused_to_show(&fault) => {}
            Err(fault) => return Err(fault),
        }
        let asked = row.as_ref().and_then(|o| SalesforceId::parse(&o.id).ok());
        let id = session.organization.clone().or(asked).ok_or_else(|| {
            Fault::new(super::FaultKind::Credentials, "no-organization", "neither the token nor the org says which organization this is")
        })?;
        let host = session.instance.host_str().unwrap_or_default();
        let identity = Identity {
            id: id.to_string(),
            name: row.as_ref().and_then(|o| o.name.clone()).unwrap_or_else(|| host.to_owned()),
            is_sandbox: row.as_ref().and_then(|o| o.is_sandbox).unwrap_or_else(|| host.contains(".sandbox.")),
        };
        *self.identity.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(identity.clone());
        Ok(identity)
    }

    async fn schema(&self, resources: &[String]) -> Result<BTreeMap<String, Schema>, Fault> {
        let mut ask = resources.to_vec();
        let with_orders = resources.iter().any(|r| r == orders::ORDER);
        if with_orders && !resources.iter().any(|r| r == orders::LINE) {
            ask.push(orders::LINE.to_owned());
        }
        let seen = self.describes.fresh(&self.wire, &ask).await?;
        let mut out = BTreeMap::new();
        for (name, described) in seen.iter().filter(|(name, _)| resources.contains(name)) {
            let mut schema = described.schema.clone();
            if name == orders::ORDER && seen.contains_key(orders::LINE) {
                schema.fields.insert(orders::LINES.to_owned(), lines_info());
            }
            out.insert(name.clone(), schema);
        }
        Ok(out)
    }

    async fn facts(&self, resources: &[String]) -> Result<BTreeMap<String, i64>, Fault> {
        Ok(self.describes.fresh(&self.wire, resources).await?.into_iter().map(|(name, described)| (name, described.facts)).collect())
    }

    async fn poll(&self, asks: &[Ask], pages: mpsc::Sender<Page>) -> Result<Vec<Polled>, Fault> {
        self.read(asks, &pages).await
    }

    async fn get_many(&self, resource: &str, fields: &[String], ids: &[RecordId]) -> Result<Vec<Fetched>, Fault> {
        self.read_by_id(resource, fields, ids).await
    }

    async fn find(&self, resource: &str, fields: &[String], key: &str, values: &[Value]) -> Result<Vec<Record>, Fault> {
        self.read_by_key(resource, fields, key, values).await
    }

    async fn count(&self, resource: &str) -> Result<u64, Fault> {
        self.count_live(resource).await
    }

    async fn ids(&self, asks: &[IdAsk]) -> Result<Option<Vec<Result<IdPage, Fault>>>, Fault> {
        self.list_ids(asks).await.map(Some)
    }

    async fn reported_deleted(&self, resource: &str, ids: &[RecordId]) -> Result<Vec<RecordId>, Fault> {
        self.deletion_log(resource, ids).await
    }

    fn calls(&self) -> Calls {
        self.wire.counters.snapshot()
    }
}

#[async_trait]
impl Writer for Salesforce {
    async fn apply(&self, writes: &[Write]) -> Vec<Outcome> {
        self.write(writes).await
    }

    async fn resolve(&self, write: &Write) -> Outcome {
        let mut outcomes = self.resolve_by_reading(std::slice::from_ref(write)).await;
        outcomes.pop().unwrap_or_else(|| Outcome::Unknown { message: "nothing was read back".to_owned() })
    }

    async fn resolve_many(&self, writes: &[Write]) -> Vec<Outcome> {
        self.resolve_by_reading(writes).await
    }
}

fn lines_info() -> FieldInfo {
    FieldInfo { ty: FieldType::Rows, createable: false, updateable: false, required: false, secret: false, calculated: false }
}

fn refused_to_show(fault: &Fault) -> bool {
    matches!(
        fault.code.as_str(),
        "INSUFFICIENT_ACCESS" | "INSUFFICIENT_ACCESS_OR_READONLY" | "INVALID_TYPE" | "INVALID_FIELD" | "NOT_FOUND"
    )
}
