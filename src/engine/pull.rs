//! Reading a side: pages are staged as they come, and the watermark moves only when everything before it is staged.

use super::{
    decide::platform_keys,
    native::{LINES, readable_fields},
    planner::complete_lines,
};
use crate::connectors::{Ask, Fault, FaultKind, Fetched, Page, Polled, ReadEnd, Reader, Schema};
use crate::record::{Record, RecordId, Side};
use crate::rules::{Mapping, Rules};
use crate::seeded::seeded;
use crate::store::Store;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

pub struct Pull<'a> {
    pub store: &'a Store,
    pub rules: &'a Rules,
    pub run: i64,
    pub side: Side,
    pub reader: &'a dyn Reader,
    pub schemas: &'a BTreeMap<String, Schema>,
    pub now: DateTime<Utc>,
}

/// What reading one object came to.
#[derive(Debug)]
pub struct Read {
    pub object: String,
    /// Everything live was seen.
    pub complete: bool,
    pub fault: Option<Fault>,
}

impl Pull<'_> {
    pub fn resource<'m>(&self, mapping: &'m Mapping) -> &'m str {
        match self.side {
            Side::Salesforce => &mapping.salesforce,
            Side::Platform => &mapping.platform,
        }
    }

    /// Reads these objects, all in one poll. `whole` ignores the watermarks.
    pub async fn read(&self, mappings: &[&Mapping], whole: bool, sweep: bool) -> anyhow::Result<Vec<Read>> {
        let mut asks = Vec::new();
        for mapping in mappings {
            let Some(schema) = self.schemas.get(self.resource(mapping)) else { continue };
            let (watermark, _) = self.store.watermark(&mapping.object, self.side)?;
            let since = if whole { None } else { watermark };
            if sweep || since.is_none() {
                self.store.begin_sweep(&mapping.object, self.side)?;
            }
            asks.push(Ask {
                object: mapping.object.clone(),
                resource: self.resource(mapping).to_owned(),
                fields: readable_fields(self.rules, mapping, self.side, schema),
                sweep: sweep || since.is_none(),
                since,
            });
        }
        if asks.is_empty() {
            return Ok(Vec::new());
        }
        let (send, receive) = mpsc::channel(2);
        let (polled, staged) = tokio::join!(self.reader.poll(&asks, send), self.stage_all(&asks, receive));
        let mut staged = staged?;
        let polled = match polled {
            Ok(polled) => polled,
            Err(fault) => asks.iter().map(|a| Polled { object: a.object.clone(), end: Err(fault.clone()) }).collect(),
        };
        polled.into_iter().map(|one| self.ended(one, &asks, &mut staged)).collect()
    }

    fn ended(&self, polled: Polled, asks: &[Ask], staged: &mut BTreeMap<String, Staging>) -> anyhow::Result<Read> {
        let object = polled.object;
        let staging = staged.remove(&object).unwrap_or_default();
        let end = match (polled.end, staging.fault) {
            (Ok(end), None) => Ok(end),
            (Err(fault), _) | (Ok(_), Some(fault)) => Err(fault),
        };
        match end {
            Ok(ReadEnd { watermark, complete }) => {
                let swept = complete && asks.iter().any(|a| a.object == object && a.sweep);
                self.store.move_watermark(&object, self.side, watermark.as_deref(), swept, self.now)?;
                Ok(Read { object, complete: swept, fault: None })
            }
            Err(_) if seeded!(HalfReading) => Ok(Read { object, complete: true, fault: None }),
            Err(fault) => {
                self.store.note_read_error(self.run, &object, self.side, &fault.to_string())?;
                tracing::warn!(%object, side = %self.side, code = %fault.code, "reading failed: {}", fault.message);
                Ok(Read { object, complete: false, fault: Some(fault) })
            }
        }
    }

    async fn stage_all(&self, asks: &[Ask], mut pages: mpsc::Receiver<Page>) -> anyhow::Result<BTreeMap<String, Staging>> {
        let mut sum: BTreeMap<String, Staging> = BTreeMap::new();
        while let Some(page) = pages.recv().await {
            let Some(mapping) = self.rules.mapping(&page.object) else { continue };
            let sweeping = asks.iter().any(|a| a.object == page.object && a.sweep);
            let later = sum.contains_key(&page.object);
            let staging = sum.entry(page.object.clone()).or_default();
            if later && seeded!(LaterPages) {
                continue;
            }
            match self.whole_records(mapping, page.records).await? {
                Ok(records) => staging.news += self.stage(mapping, &records, sweeping)?,
                Err(fault) => staging.fault = Some(fault),
            }
        }
        Ok(sum)
    }

    pub fn stage(&self, mapping: &Mapping, records: &[Record], sweeping: bool) -> anyhow::Result<u64> {
        let planted = self.schemas.get(self.resource(mapping)).and_then(|s| s.planted.as_deref());
        let keys = |record: &Record| match self.side {
            Side::Platform => platform_keys(mapping, planted, &record.fields),
            Side::Salesforce => Vec::new(),
        };
        Ok(self.store.stage(self.run, &mapping.object, self.side, records, sweeping, &keys)?.news)
    }

    /// Records that came with only some of their lines are completed: from what is known if that proves that nothing
    /// moved, else by reading them whole.
    async fn whole_records(&self, mapping: &Mapping, mut records: Vec<Record>) -> anyhow::Result<Result<Vec<Record>, Fault>> {
        let mut missing: Vec<RecordId> = Vec::new();
        let mut whole = Vec::with_capacity(records.len());
        for mut record in records.drain(..) {
            if record.partial.is_empty() {
                whole.push(record);
                continue;
            }
            let id = record.id.as_str();
            let known = match self.store.staged_fields(&mapping.object, self.side, id)? {
                Some(staged) => Some(staged),
                None => match self.store.link(&mapping.object, self.side, id)? {
                    Some(link) => self.store.base(link.id, self.side)?,
                    None => None,
                },
            };
            if complete_lines(&mut record, known.as_ref()) {
                whole.push(record);
            } else {
                missing.push(record.id);
            }
        }
        if !missing.is_empty() {
            let schema = self.schemas.get(self.resource(mapping));
            let mut fields = schema.map(|s| readable_fields(self.rules, mapping, self.side, s)).unwrap_or_default();
            fields.push(LINES.to_owned());
            fields.dedup();
            match self.reader.get_many(self.resource(mapping), &fields, &missing).await {
                Ok(fetched) => whole.extend(fetched.into_iter().filter_map(|f| match f {
                    Fetched::Here(record) | Fetched::Deleted(record) => Some(record),
                    Fetched::Missing(_) | Fetched::Refused(..) => None,
                })),
                Err(fault) => return Ok(Err(fault)),
            }
        }
        Ok(Ok(whole))
    }
}

#[derive(Default)]
struct Staging {
    news: u64,
    fault: Option<Fault>,
}

/// True where the fault means that the allowance is spent, not that something is broken.
pub fn is_budget(fault: &Fault) -> bool {
    fault.kind == FaultKind::Budget
}
