//! What a census asks: all ids with their stamps, by key, and the log of deletions.
//!
//! Sources: REST API Developer Guide, "Query" and "Get Deleted". A page is taken up after the last id and not by a cursor:
//! cursors are few and shared with everybody who works as this user, and a census may be broken off for hours.

use super::orders;
use super::rows::{Row, Shape};
use super::wire::{Call, PARTS_MAX, Query};
use super::{Salesforce, soql};
use crate::connectors::http::Counted;
use crate::connectors::{Fault, FaultKind, IdAsk, IdPage, IdRow};
use crate::record::{Life, RecordId, fields_hash};
use chrono::TimeDelta;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What one call brings of one object: Salesforce's own page.
const PAGE_ROWS: usize = 2_000;
/// The log goes back 15 days; a start beyond that is an error, and clocks differ.
const LOG_DAYS: i64 = 14;

impl Salesforce {
    /// A page for each ask, up to five asks in a call.
    pub(super) async fn list_ids(&self, asks: &[IdAsk]) -> Result<Vec<Result<IdPage, Fault>>, Fault> {
        let mut pages = Vec::with_capacity(asks.len());
        for chunk in asks.chunks(PARTS_MAX) {
            let mut shapes = Vec::with_capacity(chunk.len());
            for ask in chunk {
                let described = self.describes.of(&self.wire, &ask.resource).await?;
                shapes.push(Shape::of(&ask.resource, &described, [])?);
            }
            let queries = chunk.iter().zip(&shapes).map(|(ask, shape)| page_of(ask, shape)).collect::<Result<Vec<_>, _>>()?;
            let mut rows: Vec<Vec<IdRow>> = vec![Vec::new(); chunk.len()];
            // One answer of five may fail in passing: then that one is asked again, as everywhere.
            self.each_row(&queries, Counted::Data, |i, raw| {
                let record = shapes[i].record(&mut Row::new(raw)?)?;
                if record.life == Life::Live {
                    rows[i].push(IdRow { id: record.id, stamp: record.stamp, parts: None });
                }
                Ok(())
            })
            .await?;
            for (ask, rows) in chunk.iter().zip(rows) {
                pages.push(self.whole_page(ask, rows).await);
            }
        }
        Ok(pages)
    }

    async fn whole_page(&self, ask: &IdAsk, mut rows: Vec<IdRow>) -> Result<IdPage, Fault> {
        let last = rows.len() < PAGE_ROWS;
        if rows.iter().any(|row| row.id.as_str() == ask.after) {
            let why = format!("the ids of {} after {} begin with it: no walk in circles", ask.resource, ask.after);
            return Err(Fault::new(FaultKind::Answer, "unordered-ids", why));
        }
        if orders::with_lines(&ask.resource, &ask.fields) && !rows.is_empty() {
            let mut parts = self.line_prints(ask, if last { None } else { rows.last() }).await?;
            for row in &mut rows {
                row.parts = Some(fields_hash(&parts.remove(&row.id).unwrap_or_default()));
            }
        }
        Ok(IdPage { rows, last })
    }

    /// Ids and stamps of the lines of a page's orders, as one text per order.
    async fn line_prints(&self, ask: &IdAsk, upto: Option<&IdRow>) -> Result<BTreeMap<RecordId, String>, Fault> {
        let described = self.describes.of(&self.wire, orders::LINE).await?;
        let shape = Shape::of(orders::LINE, &described, [])?;
        let mut columns = shape.columns();
        columns.push("OrderId".to_owned());
        let mut conditions = Vec::new();
        if !ask.after.is_empty() {
            conditions.push(format!("OrderId > {}", soql::quoted(&ask.after)));
        }
        conditions.extend(upto.map(|row| format!("OrderId <= {}", soql::quoted(row.id.as_str()))));
        let mut text = soql::select(&columns, orders::LINE);
        if !conditions.is_empty() {
            text = format!("{text} WHERE {}", conditions.join(" AND "));
        }
        let query = Query { soql: format!("{text} ORDER BY OrderId, Id"), with_deleted: false };
        let mut prints: BTreeMap<RecordId, BTreeSet<String>> = BTreeMap::new();
        self.each_row(&[query], Counted::Data, |_, raw| {
            let mut row = Row::new(raw)?;
            let order = row.text("OrderId")?.unwrap_or_default();
            let line = shape.record(&mut row)?;
            prints.entry(RecordId::from(order)).or_default().insert(format!("{} {}", line.id, line.stamp.unwrap_or_default()));
            Ok(())
        })
        .await?;
        Ok(prints.into_iter().map(|(order, lines)| (order, lines.into_iter().collect::<Vec<_>>().join(","))).collect())
    }

    /// One call, whatever the number of ids. Reports hard-deleted and purged records too, as long as the log has them.
    pub(super) async fn deletion_log(&self, resource: &str, ids: &[RecordId]) -> Result<Vec<RecordId>, Fault> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Log {
            deleted_records: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            id: String,
        }
        let end = self.wire.clock.newest()?;
        let start = end - TimeDelta::days(LOG_DAYS);
        // A plus sign would arrive as a blank; these end with Z.
        let path = format!(
            "{}/sobjects/{}/deleted/?start={}&end={}",
            self.wire.base,
            soql::name(resource)?,
            soql::instant(start),
            soql::instant(end + TimeDelta::seconds(1))
        );
        let answer = self.wire.read(&Call::get(path, Counted::Data)).await?;
        let bad = |_| Fault::new(FaultKind::Answer, "deleted-answer", format!("the deletions of {resource} have not the documented shape"));
        let log: Log = serde_json::from_slice(&answer.body).map_err(bad)?;
        let logged: BTreeSet<RecordId> =
            log.deleted_records.iter().filter_map(|e| crate::record::SalesforceId::parse(&e.id).ok()).map(RecordId::from).collect();
        Ok(ids.iter().filter(|id| logged.contains(id)).cloned().collect())
    }
}

fn page_of(ask: &IdAsk, shape: &Shape) -> Result<Query, Fault> {
    let head = soql::select(&shape.columns(), soql::name(&ask.resource)?);
    let from = if ask.after.is_empty() { String::new() } else { format!(" WHERE Id > {}", soql::quoted(&ask.after)) };
    Ok(Query { soql: format!("{head}{from} ORDER BY Id LIMIT {PAGE_ROWS}"), with_deleted: false })
}
