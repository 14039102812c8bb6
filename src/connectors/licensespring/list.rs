//! Lists: pages by limit and offset, walked as far as they go, several at a time once their number is known.
//!
//! Source: docs.licensespring.com, "Pagination". `next` is only ever a yes or no: no address an answer names is called.

use super::wire::{Trouble, Wire};
use crate::connectors::http::Counted;
use crate::connectors::{Fault, FaultKind};
use crate::seeded::seeded;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt};
use serde_json::{Map, Value as J};
use std::collections::HashSet;

/// One record as the wire shows it.
pub type Row = Map<String, J>;

/// The documented cap of `/licenses/`; other lists publish none, so this is asked for and the answer's own length counts.
pub const PAGE: usize = 100;
const AHEAD: usize = 4;

/// The id of a row, also where it came as text.
pub fn row_id(row: &Row) -> Option<i64> {
    id_of(row.get("id")?)
}

/// An id given as a number, as digits, or as the record itself.
pub fn id_of(value: &J) -> Option<i64> {
    match value {
        J::Number(n) => n.as_i64(),
        J::String(text) => text.parse().ok(),
        J::Object(row) => row.get("id").filter(|v| !v.is_object()).and_then(id_of),
        J::Null | J::Bool(_) | J::Array(_) => None,
    }
}

/// One page of a list.
#[derive(Debug)]
pub struct ListPage {
    pub rows: Vec<Row>,
    /// How many entries it had, rows or not.
    pub len: usize,
    /// What the server says the whole list holds.
    pub count: u64,
    pub more: bool,
    pub date: Option<DateTime<Utc>>,
}

impl ListPage {
    /// Whether the list holds more after this page, which began at `offset`: `next` or `count` says so. A `next` that is
    /// null too early does not hide what `count` still knows of.
    pub fn goes_on(&self, offset: usize) -> bool {
        self.len > 0 && (self.more || (self.count > (offset + self.len) as u64 && !seeded!(NullNextEnds)))
    }
}

impl Wire {
    /// One page: the documented envelope, or a bare array, which is then the whole list.
    pub async fn page(
        &self,
        counted: Counted,
        path: &str,
        query: &[(&str, String)],
        offset: usize,
        limit: usize,
    ) -> Result<ListPage, Trouble> {
        let mut full = query.to_vec();
        full.push(("limit", limit.to_string()));
        full.push(("offset", offset.to_string()));
        let reply = self.get(counted, path, &full).await?;
        Ok(read_page(path, reply.json, reply.date)?)
    }
}

fn read_page(path: &str, json: J, date: Option<DateTime<Utc>>) -> Result<ListPage, Fault> {
    let odd = |what: &str| Fault::new(FaultKind::Answer, "unexpected-json", format!("the list {path} {what}"));
    let (entries, count, more) = match json {
        J::Array(entries) => (entries, None, false),
        J::Object(mut map) => {
            let J::Array(entries) = map.remove("results").ok_or_else(|| odd("has no `results`"))? else {
                return Err(odd("has `results` that are no array"));
            };
            let count = map.get("count").and_then(|c| c.as_u64().or_else(|| c.as_str()?.parse().ok()));
            let more = map.get("next").is_some_and(|next| next.as_str().is_some_and(|t| !t.is_empty()));
            (entries, Some(count.ok_or_else(|| odd("has no `count`"))?), more)
        }
        J::Null | J::Bool(_) | J::Number(_) | J::String(_) => return Err(odd("is neither an object nor an array")),
    };
    let len = entries.len();
    let rows = entries.into_iter().filter_map(|e| if let J::Object(row) = e { Some(row) } else { None }).collect();
    Ok(ListPage { rows, len, count: count.unwrap_or(len as u64), more, date })
}

/// A walk over one list from its start. Pages come in order; up to four are on their way at a time.
pub struct Walk<'a> {
    wire: &'a Wire,
    counted: Counted,
    path: &'a str,
    query: Vec<(&'static str, String)>,
    ahead: FuturesOrdered<BoxFuture<'a, (usize, Result<ListPage, Trouble>)>>,
    /// Where the next page to ask for begins.
    next: usize,
    /// Rows per page as the server deals them out; 0 until the first page.
    step: usize,
    ended: bool,
    /// What the first and the latest page said the list holds.
    pub first_count: u64,
    pub last_count: u64,
    /// The server's clock at the first page.
    pub begun: Option<DateTime<Utc>>,
}

impl<'a> Walk<'a> {
    pub fn new(wire: &'a Wire, counted: Counted, path: &'a str, query: Vec<(&'static str, String)>) -> Self {
        let ahead = FuturesOrdered::new();
        Self { wire, counted, path, query, ahead, next: 0, step: 0, ended: false, first_count: 0, last_count: 0, begun: None }
    }

    /// The next page, `None` after the last. It ends at an empty page, or where neither `next` nor `count` promise more.
    pub async fn page(&mut self) -> Result<Option<ListPage>, Trouble> {
        if self.ended {
            return Ok(None);
        }
        if self.ahead.is_empty() {
            self.ask();
        }
        let Some((offset, page)) = self.ahead.next().await else { return Ok(None) };
        let page = page?;
        if offset == 0 && self.step == 0 {
            (self.first_count, self.begun, self.step) = (page.count, page.date, page.len);
            self.next = page.len;
        }
        self.last_count = page.count;
        let known = usize::try_from(page.count).unwrap_or(usize::MAX);
        let after = offset + page.len;
        if page.len == 0 {
            self.stop();
            return Ok(None);
        }
        if page.len != self.step && after < self.next {
            // A short page in the middle: what was asked for ahead began at the wrong place.
            self.ahead = FuturesOrdered::new();
            self.next = after;
        }
        while self.ahead.len() < AHEAD && self.next < known {
            self.ask();
        }
        if self.ahead.is_empty() && !page.more {
            self.stop();
        }
        Ok(Some(page))
    }

    fn ask(&mut self) {
        let (wire, counted, path, query, offset) = (self.wire, self.counted, self.path, self.query.clone(), self.next);
        self.next += self.step;
        self.ahead.push_back(Box::pin(async move { (offset, wire.page(counted, path, &query, offset, PAGE).await) }));
    }

    fn stop(&mut self) {
        self.ended = true;
        self.ahead = FuturesOrdered::new();
    }

    /// All rows of a list that is known to be small.
    pub async fn collect(mut self) -> Result<Vec<Row>, Trouble> {
        let mut rows = Vec::new();
        while let Some(page) = self.page().await? {
            rows.extend(page.rows);
        }
        Ok(rows)
    }
}

/// A whole list, gone over a second time if it moved under the first walk.
pub struct Sweep<'a> {
    walk: Walk<'a>,
    second: bool,
    ids: HashSet<i64>,
    /// Entries without an id we can read: nothing is complete that has them.
    unread: usize,
    pub begun: Option<DateTime<Utc>>,
    /// Known once the last page was given out: every record of the list was in the pages.
    pub complete: bool,
}

impl<'a> Sweep<'a> {
    pub fn new(wire: &'a Wire, path: &'a str, query: Vec<(&'static str, String)>) -> Self {
        let walk = Walk::new(wire, Counted::Data, path, query);
        Self { walk, second: false, ids: HashSet::new(), unread: 0, begun: None, complete: false }
    }

    /// The next page; rows come again in a second walk.
    pub async fn page(&mut self) -> Result<Option<ListPage>, Trouble> {
        loop {
            if let Some(page) = self.walk.page().await? {
                self.begun = self.begun.or(self.walk.begun);
                self.ids.extend(page.rows.iter().filter_map(row_id));
                self.unread += page.rows.iter().filter(|row| row_id(row).is_none()).count() + (page.len - page.rows.len());
                return Ok(Some(page));
            }
            // An offset walk over a moving list can skip rows. Equal counts and as many ids as counted say that it did not.
            let steady = self.walk.first_count == self.walk.last_count && self.unread == 0;
            self.complete = (steady && self.ids.len() as u64 >= self.walk.last_count) || seeded!(MovedIsWhole);
            if self.complete || self.second {
                return Ok(None);
            }
            self.second = true;
            self.unread = 0;
            self.walk = Walk::new(self.walk.wire, self.walk.counted, self.walk.path, self.walk.query.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn pages_are_read_as_documented_and_a_little_beyond() {
        let page = read_page("/x/", json!({"count": "3", "next": "https://other.example/", "results": [{"id": 1}, 7]}), None).unwrap();
        assert_eq!((page.rows.len(), page.len, page.count, page.more), (1, 2, 3, true));
        let bare = read_page("/x/", json!([{"id": 1}]), None).unwrap();
        assert_eq!((bare.count, bare.more), (1, false));
        for odd in [json!({"count": 1}), json!({"count": 1, "results": {}}), json!({"results": []}), json!("x"), json!(null)] {
            assert_eq!(read_page("/x/", odd.clone(), None).unwrap_err().kind, FaultKind::Answer, "{odd}");
        }
    }

    #[test]
    fn ids_keep_every_digit() {
        for (value, id) in [
            (json!(1_760_000_000_123_456_i64), Some(1_760_000_000_123_456)),
            (json!(9_007_199_254_740_993_i64), Some(9_007_199_254_740_993)),
            (json!("42"), Some(42)),
            (json!({"id": 7}), Some(7)),
            (json!(1.5), None),
            (json!(18_446_744_073_709_551_615_u64), None),
            (json!(null), None),
        ] {
            assert_eq!(id_of(&value), id, "{value}");
        }
    }
}
