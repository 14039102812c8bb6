//! Reads that are not feeds: by id, by a key field, and counts.

use super::orders;
use super::rows::{self, Row, Shape};
use super::wire::{Call, PARTS_MAX, Query};
use super::{Salesforce, soql};
use crate::connectors::http::Counted;
use crate::connectors::{Fault, FaultKind, Fetched};
use crate::record::{Life, Record, RecordId, SalesforceId, Value, coerce};
use crate::seeded::seeded;
use bytes::Bytes;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// 400 ids make a statement of 9 kB: short enough for any URL, and five of them are a call of 2,000 ids.
pub const IDS_PER_QUERY: usize = 400;

impl Salesforce {
    pub(super) async fn read_by_id(&self, resource: &str, fields: &[String], ids: &[RecordId]) -> Result<Vec<Fetched>, Fault> {
        let mut refused = Vec::new();
        let mut wanted: BTreeMap<RecordId, RecordId> = BTreeMap::new();
        for id in ids {
            match SalesforceId::parse(id.as_str()) {
                Ok(full) => drop(wanted.insert(full.into(), id.clone())),
                Err(e) => refused.push(Fetched::Refused(id.clone(), e.to_string())),
            }
        }
        if wanted.is_empty() {
            return Ok(refused);
        }
        let described = self.describes.of(&self.wire, resource).await?;
        let shape = Shape::of(resource, &described, orders::own_fields(resource, fields))?;
        let literals: Vec<String> = wanted.keys().map(|id| soql::quoted(id.as_str())).collect();
        let mut found = self.rows_where(resource, &shape, "Id", &literals, true).await?;
        found.retain(|record| wanted.contains_key(&record.id));
        if orders::with_lines(resource, fields) {
            self.attach_lines(&mut found).await?;
        }
        let mut out = refused;
        for record in found {
            // Each id is answered once, whatever came.
            if wanted.remove(&record.id).is_some() {
                out.push(if record.life == Life::Live { Fetched::Here(record) } else { Fetched::Deleted(record) });
            }
        }
        out.extend(wanted.into_values().map(Fetched::Missing));
        Ok(out)
    }

    pub(super) async fn read_by_key(&self, resource: &str, fields: &[String], key: &str, values: &[Value]) -> Result<Vec<Record>, Fault> {
        let described = self.describes.of(&self.wire, resource).await?;
        let ty = described.type_of(resource, key)?;
        let shape = Shape::of(resource, &described, orders::own_fields(resource, fields).chain([key]))?;
        let sought: Vec<Value> = values.iter().filter_map(|v| coerce(v, &ty).ok()).collect();
        let literals: Vec<String> = sought.iter().filter_map(|v| soql::literal(v, &ty)).collect::<BTreeSet<_>>().into_iter().collect();
        let mut found = self.rows_where(resource, &shape, soql::name(key)?, &literals, false).await?;
        // Salesforce compares text without regard to case, and more loosely than that in some languages.
        found.retain(|record| record.life == Life::Live && record.fields.get(key).is_some_and(|v| sought.contains(v)));
        if orders::with_lines(resource, fields) {
            self.attach_lines(&mut found).await?;
        }
        Ok(found)
    }

    pub(super) async fn count_live(&self, resource: &str) -> Result<u64, Fault> {
        let query = Query { soql: format!("SELECT COUNT() FROM {}", soql::name(resource)?), with_deleted: false };
        let body = self.wire.query(&query, Counted::Data).await?;
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Count {
            total_size: u64,
        }
        let bad = |_| Fault::new(FaultKind::Answer, "count-answer", format!("the count of {resource} has not the documented shape"));
        serde_json::from_slice::<Count>(&body).map(|c| c.total_size).map_err(bad)
    }

    async fn rows_where(
        &self,
        resource: &str,
        shape: &Shape,
        field: &str,
        literals: &[String],
        with_deleted: bool,
    ) -> Result<Vec<Record>, Fault> {
        let head = soql::select(&shape.columns(), soql::name(resource)?);
        let lists = soql::in_lists(field, literals, IDS_PER_QUERY, head.len());
        let queries: Vec<Query> = lists.into_iter().map(|list| Query { soql: format!("{head} WHERE {list}"), with_deleted }).collect();
        let mut found = Vec::new();
        self.each_row(&queries, Counted::Data, |_, raw| {
            found.push(shape.record(&mut Row::new(raw)?)?);
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// Every row of every query, with the number of its query; all pages, and an error if rows are missing.
    pub(super) async fn each_row(
        &self,
        queries: &[Query],
        counted: Counted,
        mut take: impl FnMut(usize, &RawValue) -> Result<(), Fault> + Send,
    ) -> Result<(), Fault> {
        for (chunk_no, chunk) in queries.chunks(PARTS_MAX).enumerate() {
            let answers = self.wire.queries(chunk, counted).await?;
            for (i, answer) in answers.into_iter().enumerate() {
                let mut body = match answer {
                    Err(fault) if fault.kind == FaultKind::Retry => self.wire.query(&chunk[i], counted).await?,
                    answer => answer?,
                };
                let mut paging = Paging::default();
                loop {
                    let page = rows::envelope(&body)?;
                    for raw in &page.records {
                        take(chunk_no * PARTS_MAX + i, raw)?;
                    }
                    match paging.next(&page)? {
                        Some(url) => body = self.next_page(&url, counted).await?,
                        None => break,
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) async fn next_page(&self, url: &str, counted: Counted) -> Result<Bytes, Fault> {
        Ok(self.wire.read(&Call::get(url, counted)).await?.body)
    }
}

/// How far one query has been read. The end is where the org says so, and only if no row is missing then.
#[derive(Debug, Default)]
pub struct Paging {
    total: Option<u64>,
    pub received: u64,
    last: Option<String>,
}

impl Paging {
    /// Takes note of a page: the address of the next, or `None` at a true end.
    pub fn next(&mut self, page: &rows::Envelope<'_>) -> Result<Option<String>, Fault> {
        let total = *self.total.get_or_insert(page.total_size);
        self.received += page.records.len() as u64;
        let truncated = |why: String| Fault::new(FaultKind::Answer, "truncated", why);
        if page.done {
            if self.received < total && !seeded!(ShortIsWhole) {
                return Err(truncated(format!("the query was said to be done after {} of {total} rows", self.received)));
            }
            return Ok(None);
        }
        let next = page.next_records_url.clone();
        let next =
            next.ok_or_else(|| truncated(format!("after {} of {total} rows there is neither an end nor a next page", self.received)))?;
        if page.records.is_empty() && self.last.as_ref() == Some(&next) {
            return Err(truncated(format!("the query leads from an empty page to itself after {} of {total} rows", self.received)));
        }
        self.last = Some(next.clone());
        Ok(Some(next))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_end_is_where_the_org_says_so_and_no_row_is_missing() {
        let page = |text: &'static str| rows::envelope(text.as_bytes()).unwrap();
        let mut paging = Paging::default();
        let next = paging.next(&page(r#"{"totalSize":3,"done":false,"nextRecordsUrl":"/n","records":[{}]}"#)).unwrap();
        assert_eq!(next.as_deref(), Some("/n"), "a short page is not the end");
        assert_eq!(paging.next(&page(r#"{"totalSize":3,"done":true,"records":[{},{}]}"#)).unwrap(), None);

        let early = Paging::default().next(&page(r#"{"totalSize":3,"done":true,"records":[{}]}"#)).unwrap_err();
        assert_eq!((early.kind, early.code.as_str()), (FaultKind::Answer, "truncated"));
        assert!(Paging::default().next(&page(r#"{"totalSize":3,"done":false,"records":[{}]}"#)).is_err());
        let mut paging = Paging::default();
        let empty = page(r#"{"totalSize":3,"done":false,"nextRecordsUrl":"/n","records":[]}"#);
        assert!(paging.next(&empty).is_ok());
        assert!(paging.next(&empty).is_err(), "no walk in circles");
    }
}
