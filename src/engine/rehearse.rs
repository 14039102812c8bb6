//! The real thing minus the hands: a writer that reads for real and only pretends to write, on a copy of the store.

use crate::connectors::{Ask, Calls, Catalogue, Fault, Fetched, IdAsk, IdPage, Identity, Page, Polled, Reader, Schema, Vocabulary, Writer};
use crate::plan::{Outcome, Verb, Write};
use crate::record::{Fields, Record, RecordId, Side, Value};
use async_trait::async_trait;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};
use tokio::sync::mpsc;

/// Wraps a reader; nothing that is asked of it reaches a side as a write.
pub struct Rehearsal<'a> {
    reader: &'a dyn Reader,
    pretended: Mutex<BTreeMap<RecordId, Record>>,
}

impl<'a> Rehearsal<'a> {
    #[must_use]
    pub fn new(reader: &'a dyn Reader) -> Self {
        Self { reader, pretended: Mutex::new(BTreeMap::new()) }
    }

    fn pretend(&self, write: &Write) -> Outcome {
        let mut pretended = self.pretended.lock().unwrap_or_else(PoisonError::into_inner);
        let id = write.id.clone().unwrap_or_else(|| RecordId::from(format!("(new {} {})", write.object, pretended.len() + 1)));
        // A side answers every field it was asked for; what was not written is empty in a new record.
        let mut fields: Fields = match write.verb {
            Verb::Create => write.read.iter().map(|name| (name.clone(), Value::Null)).collect(),
            _ => Fields::new(),
        };
        fields.extend(write.fields.iter().filter(|(name, _)| write.read.contains(name)).map(|(k, v)| (k.clone(), v.clone())));
        let record = Record::live(id.clone(), fields);
        pretended.insert(id.clone(), record.clone());
        // An update's answer would hold fields we did not write; leaving it out keeps the plan's own view.
        let record = (write.verb == Verb::Create).then_some(record);
        Outcome::Done { id, record, steps: Vec::new() }
    }
}

#[async_trait]
impl Reader for Rehearsal<'_> {
    fn side(&self) -> Side {
        self.reader.side()
    }

    fn catalogue(&self) -> &Catalogue {
        self.reader.catalogue()
    }

    async fn identity(&self) -> Result<Identity, Fault> {
        self.reader.identity().await
    }

    async fn schema(&self, resources: &[String]) -> Result<BTreeMap<String, Schema>, Fault> {
        self.reader.schema(resources).await
    }

    async fn facts(&self, resources: &[String]) -> Result<BTreeMap<String, i64>, Fault> {
        self.reader.facts(resources).await
    }

    async fn poll(&self, asks: &[Ask], pages: mpsc::Sender<Page>) -> Result<Vec<Polled>, Fault> {
        self.reader.poll(asks, pages).await
    }

    async fn get_many(&self, resource: &str, fields: &[String], ids: &[RecordId]) -> Result<Vec<Fetched>, Fault> {
        let (mut made, mut real) = (Vec::new(), Vec::new());
        {
            let pretended = self.pretended.lock().unwrap_or_else(PoisonError::into_inner);
            for id in ids {
                match pretended.get(id).filter(|_| id.as_str().starts_with('(')) {
                    Some(record) => made.push(Fetched::Here(record.clone())),
                    None => real.push(id.clone()),
                }
            }
        }
        if !real.is_empty() {
            made.extend(self.reader.get_many(resource, fields, &real).await?);
        }
        Ok(made)
    }

    async fn find(&self, resource: &str, fields: &[String], key: &str, values: &[Value]) -> Result<Vec<Record>, Fault> {
        self.reader.find(resource, fields, key, values).await
    }

    async fn count(&self, resource: &str) -> Result<u64, Fault> {
        self.reader.count(resource).await
    }

    async fn ids(&self, asks: &[IdAsk]) -> Result<Option<Vec<Result<IdPage, Fault>>>, Fault> {
        self.reader.ids(asks).await
    }

    async fn reported_deleted(&self, resource: &str, ids: &[RecordId]) -> Result<Vec<RecordId>, Fault> {
        self.reader.reported_deleted(resource, ids).await
    }

    async fn vocabulary(&self) -> Result<Option<Vocabulary>, Fault> {
        self.reader.vocabulary().await
    }

    fn calls(&self) -> Calls {
        self.reader.calls()
    }
}

#[async_trait]
impl Writer for Rehearsal<'_> {
    async fn apply(&self, writes: &[Write]) -> Vec<Outcome> {
        writes.iter().map(|write| self.pretend(write)).collect()
    }

    async fn resolve(&self, _: &Write) -> Outcome {
        Outcome::Unknown { message: "a rehearsal settles nothing".to_owned() }
    }
}
