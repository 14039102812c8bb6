//! The seam between the engine and any system: two small traits, the same for Salesforce and for every platform.
//!
//! A connector knows its wire and its vendor's errors. It knows nothing of links, bases, plans or the other side.

mod catalogue;
mod fault;
pub mod forcemanager;
pub mod http;
pub mod lac;
pub mod licensespring;
mod platforms;
pub mod salesforce;
mod vocabulary;

pub use catalogue::{Catalogue, DeleteFeed, Feed, FieldSpec, ResourceSpec};
pub use fault::{Fault, FaultKind};
pub use platforms::{PLATFORMS, Pace, Platform, platform};
pub use vocabulary::{FeatureWord, PolicyWord, ProductWord, Vocabulary};

use crate::plan::{Outcome, Write};
use crate::record::{FieldType, Record, RecordId, Side, Value};
use async_trait::async_trait;
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// What to read of one object on one side.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    pub object: String,
    /// sObject or platform resource.
    pub resource: String,
    /// Native field names wanted; id, stamp and life come by themselves.
    pub fields: Vec<String>,
    /// Where the last reading ended, as this connector said it; `None` reads everything.
    pub since: Option<String>,
    /// Read everything even if a watermark exists, and promise completeness: an absence then counts as a suspicion.
    pub sweep: bool,
}

/// Some records of one ask, in no promised order. A record may come twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub object: String,
    pub records: Vec<Record>,
}

/// Which ids to list of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdAsk {
    pub resource: String,
    /// What would be read of each record: what hangs on one of these without moving its stamp is fingerprinted.
    pub fields: Vec<String>,
    /// The last id that was listed before; empty begins.
    pub after: String,
}

/// Ids of live records in the side's own order, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdPage {
    pub rows: Vec<IdRow>,
    /// Nothing comes after these.
    pub last: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdRow {
    pub id: RecordId,
    /// As `Record::stamp`.
    pub stamp: Option<String>,
    /// A fingerprint of embedded rows that keep stamps of their own: the lines of an order.
    pub parts: Option<i64>,
}

/// How the reading of one ask ended.
#[derive(Debug)]
pub struct Polled {
    pub object: String,
    /// The new watermark, or why there is none. On an error everything already sent still counts as seen.
    pub end: Result<ReadEnd, Fault>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadEnd {
    /// Opaque to everybody else; stored, and given back as `Ask::since`.
    pub watermark: Option<String>,
    /// Every live record of the resource was in the pages: what was not in them is suspected gone.
    pub complete: bool,
}

/// What a read by id found.
#[derive(Debug, Clone, PartialEq)]
pub enum Fetched {
    Here(Record),
    /// The side says it is deleted or merged: positive evidence (`Record::life` tells which).
    Deleted(Record),
    /// Not found by its id. Whether that proves anything is the side's business: see `Catalogue`.
    Missing(RecordId),
    /// The side refused to show it.
    Refused(RecordId, String),
}

/// What a side's user may see and do with one resource, right now.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Schema {
    pub fields: BTreeMap<String, FieldInfo>,
    pub createable: bool,
    pub updateable: bool,
    pub deletable: bool,
    /// The field that carries the other side's id, if the resource has one.
    pub planted: Option<String>,
}

/// One field as its side describes it to our user. A field that is not in the schema may not be read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FieldInfo {
    pub ty: FieldType,
    pub createable: bool,
    pub updateable: bool,
    /// A create without it is refused.
    pub required: bool,
    /// A key or ticket: masked wherever people look.
    pub secret: bool,
    /// Computed by the side, without moving the record's stamp.
    pub calculated: bool,
}

/// A field that people added to a resource, under the name they gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomField {
    /// As the rules name it: `Z_Tier`.
    pub field: String,
    /// As people named it: `Tier`.
    pub called: String,
    pub info: FieldInfo,
}

/// Who is behind the credentials: pinned at first contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Salesforce organization id, platform company id; empty where the side does not say (yet).
    pub id: String,
    /// For people.
    pub name: String,
    /// A trial system: a Salesforce sandbox org, a platform test company.
    pub is_sandbox: bool,
}

/// Calls counted since the connector was made, and the allowance as the side last reported it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// Data calls: everything but tokens and cached describes.
    pub data: u64,
    /// Tokens, describes, identity.
    pub other: u64,
    pub allowance_used: Option<u64>,
    pub allowance_max: Option<u64>,
}

#[async_trait]
pub trait Reader: Send + Sync {
    fn side(&self) -> Side;

    fn catalogue(&self) -> &Catalogue;

    async fn identity(&self) -> Result<Identity, Fault>;

    /// What our user may see of these resources. A resource that does not exist or may not be seen is absent.
    async fn schema(&self, resources: &[String]) -> Result<BTreeMap<String, Schema>, Fault>;

    /// Fields that people added to a resource and that `schema` shows only once the rules name them: for proposals of rules.
    async fn custom_fields(&self, _resource: &str) -> Result<Vec<CustomField>, Fault> {
        Ok(Vec::new())
    }

    /// A fingerprint for each resource of what else decides whether a write is taken: the values of picklists, record types.
    /// Nothing for a side that tells of no such thing. Costs nothing right after `schema`.
    async fn facts(&self, _resources: &[String]) -> Result<BTreeMap<String, i64>, Fault> {
        Ok(BTreeMap::new())
    }

    /// Reads all asks, as many per call as the side allows, sending pages as they come. Answers one `Polled` per ask;
    /// `Err` only if nothing could be read at all (no token, no connection).
    async fn poll(&self, asks: &[Ask], pages: mpsc::Sender<Page>) -> Result<Vec<Polled>, Fault>;

    /// Reads records by id, with at least these fields. One answer per id, in any order.
    async fn get_many(&self, resource: &str, fields: &[String], ids: &[RecordId]) -> Result<Vec<Fetched>, Fault>;

    /// Live records whose `key` field holds one of the values. Every hit is checked again by the connector.
    async fn find(&self, resource: &str, fields: &[String], key: &str, values: &[Value]) -> Result<Vec<Record>, Fault>;

    /// How many live records the resource holds.
    async fn count(&self, resource: &str) -> Result<u64, Fault>;

    /// Ids and stamps of live records, a page for each ask, for a census; many per call and without values. `None`: this
    /// side's lists bring whole records, so that a sweep is all there is.
    async fn ids(&self, asks: &[IdAsk]) -> Result<Option<Vec<Result<IdPage, Fault>>>, Fault> {
        let _ = asks;
        Ok(None)
    }

    /// Of these ids, the ones a log of the side names as deleted, even where the records themselves can be read no more.
    async fn reported_deleted(&self, resource: &str, ids: &[RecordId]) -> Result<Vec<RecordId>, Fault> {
        let _ = (resource, ids);
        Ok(Vec::new())
    }

    fn calls(&self) -> Calls;

    /// The names the rules may use for what is sold: products, with their policies and features. `None`: this side
    /// publishes none.
    async fn vocabulary(&self) -> Result<Option<Vocabulary>, Fault> {
        Ok(None)
    }
}

#[async_trait]
pub trait Writer: Reader {
    /// Carries out writes, batched as the side likes it. One outcome per write, in the same order; never fails as a whole.
    async fn apply(&self, writes: &[Write]) -> Vec<Outcome>;

    /// After an unknown outcome: reads what became of the write, and finishes what is left of it where that is safe.
    /// `Outcome::Failed` says that it did not happen.
    async fn resolve(&self, write: &Write) -> Outcome;

    /// The same for many, where a side can look up several at once: one outcome per write, in the same order.
    async fn resolve_many(&self, writes: &[Write]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(writes.len());
        for write in writes {
            outcomes.push(self.resolve(write).await);
        }
        outcomes
    }
}
