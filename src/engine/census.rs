//! A census of Salesforce: every id with its stamp against what is remembered, page by page. What differs is read whole and
//! staged like any other news; what is absent becomes a suspect of `absence.rs`. Nothing is written to either side.
//!
//! A platform's lists bring whole records, so its census is the sweep that every such run makes anyway.

use super::{native::readable_fields, pull::Pull};
use crate::connectors::{Fault, Fetched, IdAsk, IdPage};
use crate::record::RecordId;
use crate::rules::Mapping;
use crate::store::Seen;
use std::collections::HashSet;

/// Records that come while an id list is being read lie behind its end: so often the end is looked at again before the
/// count is held against the list.
const TAILS: u32 = 3;

pub struct Census<'a> {
    pub pull: &'a Pull<'a>,
    pub mappings: &'a [&'a Mapping],
}

/// How far this run brought the census.
#[derive(Debug, Default)]
pub struct Counted {
    /// Objects of which every id was seen, so that an absence counts.
    pub listed: HashSet<String>,
    pub faults: Vec<Fault>,
}

struct Walk<'a> {
    mapping: &'a Mapping,
    ask: IdAsk,
    tails: u32,
}

enum Step {
    /// There is more.
    On,
    /// Every id was seen.
    Whole,
    /// The listing counts for nothing.
    Dropped,
}

impl<'a> Census<'a> {
    /// Lists on from where the last census broke off. Can be left at any point.
    pub async fn count(&self) -> anyhow::Result<Counted> {
        let pull = self.pull;
        let mut counted = Counted::default();
        let mut walks = Vec::new();
        for mapping in self.mappings {
            let Some(schema) = pull.schemas.get(pull.resource(mapping)) else { continue };
            let ask = IdAsk {
                resource: pull.resource(mapping).to_owned(),
                fields: readable_fields(pull.rules, mapping, pull.side, schema),
                after: pull.store.census_after(pull.run, &mapping.object, pull.side, pull.now)?,
            };
            walks.push(Walk { mapping, ask, tails: 0 });
        }
        while !walks.is_empty() {
            let asks: Vec<IdAsk> = walks.iter().map(|w| w.ask.clone()).collect();
            let pages = match pull.reader.ids(&asks).await {
                Ok(Some(pages)) => pages,
                // The side has no such list.
                Ok(None) => return Ok(counted),
                Err(fault) => {
                    counted.faults.push(fault);
                    return Ok(counted);
                }
            };
            let mut going = Vec::with_capacity(walks.len());
            for (mut walk, page) in walks.into_iter().zip(pages) {
                match self.take(&mut walk, page).await? {
                    Ok(Step::On) => going.push(walk),
                    Ok(Step::Whole) => drop(counted.listed.insert(walk.mapping.object.clone())),
                    Ok(Step::Dropped) => {}
                    Err(fault) => {
                        let (object, side) = (&walk.mapping.object, pull.side);
                        pull.store.note_read_error(pull.run, object, side, &fault.to_string())?;
                        tracing::warn!(%object, %side, code = %fault.code, "the census broke off: {}", fault.message);
                        counted.faults.push(fault);
                    }
                }
            }
            walks = going;
        }
        Ok(counted)
    }

    async fn take(&self, walk: &mut Walk<'a>, page: Result<IdPage, Fault>) -> anyhow::Result<Result<Step, Fault>> {
        let page = match page {
            Ok(page) => page,
            Err(fault) => return Ok(Err(fault)),
        };
        let last = page.rows.last().map(|row| row.id.as_str().to_owned());
        let mut rows: Vec<Seen> = page.rows.into_iter().map(|r| Seen { id: r.id, stamp: r.stamp, parts: r.parts }).collect();
        let reread = match self.read_what_differs(walk, &mut rows).await? {
            Ok(reread) => reread,
            Err(fault) => return Ok(Err(fault)),
        };
        let (store, object, side) = (self.pull.store, walk.mapping.object.as_str(), self.pull.side);
        store.census_step(self.pull.run, object, side, &rows, reread, last.as_deref())?;
        if let Some(last) = last {
            walk.ask.after = last;
        }
        if !page.last {
            return Ok(Ok(Step::On));
        }
        self.end(walk).await
    }

    /// Nothing came after the last id. The side's own count is held against what was seen.
    async fn end(&self, walk: &mut Walk<'a>) -> anyhow::Result<Result<Step, Fault>> {
        let (store, object, side) = (self.pull.store, walk.mapping.object.as_str(), self.pull.side);
        let count = match self.pull.reader.count(&walk.ask.resource).await {
            Ok(count) => count,
            Err(fault) => return Ok(Err(fault)),
        };
        let seen = store.seen_in_sweep(object, side)?;
        if seen >= count {
            return Ok(Ok(Step::Whole));
        }
        walk.tails += 1;
        if walk.tails < TAILS {
            return Ok(Ok(Step::On));
        }
        // Ids were left out: what is absent from such a list proves nothing.
        store.drop_census_of(object, side)?;
        let why = format!("{seen} ids of {} were listed, and {side} counts {count}", walk.ask.resource);
        store.note_read_error(self.pull.run, object, side, &why)?;
        tracing::warn!(object, %side, seen, count, "the census counts for nothing: {why}");
        Ok(Ok(Step::Dropped))
    }

    /// Records that are unknown or carry another stamp are read whole and staged. One that is gone by then was not seen.
    async fn read_what_differs(&self, walk: &Walk<'a>, rows: &mut Vec<Seen>) -> anyhow::Result<Result<u64, Fault>> {
        let pull = self.pull;
        let differing = pull.store.not_as_remembered(&walk.mapping.object, pull.side, rows)?;
        if differing.is_empty() {
            return Ok(Ok(0));
        }
        let fetched = match pull.reader.get_many(&walk.ask.resource, &walk.ask.fields, &differing).await {
            Ok(fetched) => fetched,
            Err(fault) => return Ok(Err(fault)),
        };
        let mut records = Vec::with_capacity(fetched.len());
        let mut unseen: HashSet<RecordId> = HashSet::new();
        for found in fetched {
            match found {
                Fetched::Here(record) => records.push(record),
                Fetched::Deleted(record) => {
                    unseen.insert(record.id.clone());
                    records.push(record);
                }
                Fetched::Missing(id) | Fetched::Refused(id, _) => drop(unseen.insert(id)),
            }
        }
        pull.stage(walk.mapping, &records, false)?;
        rows.retain(|row| !unseen.contains(&row.id));
        Ok(Ok(differing.len() as u64))
    }
}
