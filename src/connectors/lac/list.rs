//! Lists: bare arrays by offset, with no limit, no total and no next link.
//!
//! Source: docs.x-formation.com, `GET /customers`: only `offset` is published, nothing of order or page size. Each page is
//! asked for with one row of overlap: if that row is not met again, rows moved under the walk, and it begins anew.

use super::wire::{Trouble, Wire};
use crate::connectors::http::Counted;
use crate::connectors::{Fault, FaultKind};
use serde_json::{Map, Value as J};
use std::collections::HashSet;

/// One record as the wire shows it.
pub type Row = Map<String, J>;

/// A list that moves under each of so many walks is given up for this run.
const WALKS: u32 = 3;

/// The id of a row; integers may come as text.
pub fn row_id(row: &Row) -> Option<i64> {
    id_of(row.get("id")?)
}

pub fn id_of(value: &J) -> Option<i64> {
    match value {
        J::Number(n) => n.as_i64(),
        J::String(text) => text.trim().parse().ok(),
        J::Null | J::Bool(_) | J::Array(_) | J::Object(_) => None,
    }
    .filter(|id| *id > 0)
}

/// By what rows of a list are told apart.
pub type Key = fn(&Row) -> Option<String>;

pub fn by_id(row: &Row) -> Option<String> {
    row_id(row).map(|id| id.to_string())
}

/// A walk over one list from its start; begun anew if the list moves. A row may then come twice.
pub struct Walk<'a> {
    wire: &'a Wire,
    counted: Counted,
    path: &'a str,
    query: Vec<(&'static str, String)>,
    key: Key,
    received: usize,
    /// The key of the last row, where the next page is to begin with it.
    last: Option<String>,
    met: HashSet<String>,
    first: Vec<Option<String>>,
    walks: u32,
    ended: bool,
    unread: usize,
    /// Known once the last page was given out: every row of the list was in the pages, and could be told apart.
    pub complete: bool,
}

impl<'a> Walk<'a> {
    pub fn new(wire: &'a Wire, counted: Counted, path: &'a str, query: Vec<(&'static str, String)>, key: Key) -> Self {
        Self {
            wire,
            counted,
            path,
            query,
            key,
            received: 0,
            last: None,
            met: HashSet::new(),
            first: Vec::new(),
            walks: 1,
            ended: false,
            unread: 0,
            complete: false,
        }
    }

    /// The next rows, `None` after the last.
    pub async fn page(&mut self) -> Result<Option<Vec<Row>>, Trouble> {
        loop {
            if self.ended {
                return Ok(None);
            }
            let overlap = usize::from(self.last.is_some());
            let from = self.received - overlap;
            let entries = self.entries(from).await?;
            let keys: Vec<Option<String>> = entries.iter().map(|e| e.as_object().and_then(self.key)).collect();
            if entries.is_empty() {
                if overlap == 1 {
                    // The row that was there is not there any more.
                    self.again();
                    continue;
                }
                return Ok(self.end());
            }
            if from > 0 && keys.len() > 1 && keys == self.first {
                let text = format!("the list {} begins anew at offset {from}: the service leaves the offset out", self.path);
                return Err(Trouble::Fault(Fault::new(FaultKind::Answer, "offset-ignored", text)));
            }
            if overlap == 1 && keys.first() != Some(&self.last) {
                self.again();
                continue;
            }
            if overlap == 1 && entries.len() == 1 {
                return Ok(self.end());
            }
            if from == 0 {
                self.first.clone_from(&keys);
            }
            let new: Vec<Row> = entries
                .into_iter()
                .zip(&keys)
                .filter(|(_, key)| key.as_ref().is_some_and(|k| self.met.insert(k.clone())))
                .filter_map(|(entry, _)| if let J::Object(row) = entry { Some(row) } else { None })
                .collect();
            self.unread += keys.iter().filter(|k| k.is_none()).count();
            if new.is_empty() && keys.iter().all(Option::is_some) {
                let text = format!("the list {} brings nothing new at offset {from}", self.path);
                return Err(Trouble::Fault(Fault::new(FaultKind::Answer, "offset-ignored", text)));
            }
            self.received = from + keys.len();
            // One row a page leaves no room for an overlap.
            self.last = keys.last().cloned().flatten().filter(|_| keys.len() > 1);
            return Ok(Some(new));
        }
    }

    async fn entries(&self, offset: usize) -> Result<Vec<J>, Trouble> {
        let mut query: Vec<(&str, String)> = self.query.iter().map(|(n, v)| (*n, v.clone())).collect();
        query.push(("offset", offset.to_string()));
        match self.wire.get(self.counted, self.path, &query).await? {
            J::Array(entries) => Ok(entries),
            _ => {
                let text = format!("the list {} is no array", self.path);
                Err(Trouble::Fault(Fault::new(FaultKind::Answer, "unexpected-json", text)))
            }
        }
    }

    fn again(&mut self) {
        if self.walks >= WALKS {
            tracing::warn!(list = self.path, "the list moved under {WALKS} walks: nothing counts as gone from it");
            self.ended = true;
            return;
        }
        self.walks += 1;
        self.received = 0;
        self.last = None;
        self.met.clear();
        self.unread = 0;
    }

    fn end(&mut self) -> Option<Vec<Row>> {
        self.ended = true;
        self.complete = self.unread == 0;
        None
    }

    /// All rows of a list that is known to be small. A list that never stood still is no answer.
    pub async fn collect(mut self) -> Result<Vec<Row>, Trouble> {
        let mut rows: Vec<(Option<String>, Row)> = Vec::new();
        while let Some(page) = self.page().await? {
            for row in page {
                let key = (self.key)(&row);
                rows.retain(|(k, _)| *k != key);
                rows.push((key, row));
            }
        }
        if !self.complete {
            let text = format!("the list {} moved while it was read", self.path);
            return Err(Trouble::Fault(Fault::new(FaultKind::Retry, "list-unsteady", text)));
        }
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_come_as_numbers_or_as_text() {
        for (value, id) in [
            (json!("1"), Some(1)),
            (json!(7), Some(7)),
            (json!(" 12 "), Some(12)),
            (json!(9_007_199_254_740_993_i64), Some(9_007_199_254_740_993)),
            (json!(1.5), None),
            (json!("x"), None),
            (json!(0), None),
            (json!(-3), None),
            (json!(null), None),
            (json!({"id": 1}), None),
        ] {
            assert_eq!(id_of(&value), id, "{value}");
        }
    }
}
