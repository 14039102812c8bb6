//! Lists: a bare array per page, from page 0 to an empty one.
//!
//! Source: developer.forcemanager.com, "Pagination"; that a list ends at an empty page is what the vendor's own connector
//! does. A short page is not the end, and no page says how much there is. `order=id` is newest first: what is created while
//! we read only pushes rows onto later pages.

use super::refusal::Refusal;
use super::wire::{Trouble, Wire};
use crate::connectors::http::Counted;
use crate::connectors::{Fault, FaultKind};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value as J};
use std::collections::HashSet;

/// One record as the wire shows it.
pub type Row = Map<String, J>;

/// No account of this kind holds more; a list that goes on is one that ignores `page`.
const PAGES_MAX: u64 = 100_000;

/// A value of a row, whatever the case of its key.
#[must_use]
pub fn value<'r>(row: &'r Row, name: &str) -> Option<&'r J> {
    row.get(name).or_else(|| row.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// The id of a row, also where it came as text.
#[must_use]
pub fn row_id(row: &Row) -> Option<i64> {
    number(value(row, "id")?).filter(|id| *id > 0)
}

/// An id given as a number, as digits, or as the record itself; 0 is none.
#[must_use]
pub fn id_of(raw: &J) -> Option<i64> {
    match raw {
        J::Object(map) => value(map, "id").and_then(number),
        other => number(other),
    }
    .filter(|id| *id != 0)
}

fn number(raw: &J) -> Option<i64> {
    match raw {
        J::Number(n) => n.as_i64(),
        J::String(text) => text.trim().parse().ok(),
        J::Null | J::Bool(_) | J::Array(_) | J::Object(_) => None,
    }
}

/// A flag given as a boolean, a number or a word.
#[must_use]
pub fn flag(row: &Row, name: &str) -> Option<bool> {
    match value(row, name)? {
        J::Bool(b) => Some(*b),
        J::Number(n) => n.as_i64().map(|n| n != 0),
        J::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" | "" => Some(false),
            _ => None,
        },
        J::Null | J::Array(_) | J::Object(_) => None,
    }
}

/// Deleted is what the flag says: a date of deletion is shown for living records too.
#[must_use]
pub fn is_deleted(row: &Row) -> bool {
    flag(row, "deleted") == Some(true)
}

/// One list, read to its end; every record once.
pub struct Walk<'a> {
    wire: &'a Wire,
    counted: Counted,
    path: &'a str,
    filter: Option<String>,
    ordered: bool,
    page: u64,
    seen: HashSet<i64>,
    last: Vec<i64>,
    /// Ids never rise, or never fall: no row can have slid past us while it was created.
    falling: bool,
    rising: bool,
    unread: bool,
    /// The server's clock at the first page.
    pub begun: Option<DateTime<Utc>>,
    /// Known once the last page was given out: every record of the list was in the pages.
    pub complete: bool,
}

impl<'a> Walk<'a> {
    #[must_use]
    pub fn new(wire: &'a Wire, counted: Counted, path: &'a str, filter: Option<String>) -> Self {
        Self {
            wire,
            counted,
            path,
            filter,
            ordered: true,
            page: 0,
            seen: HashSet::new(),
            last: Vec::new(),
            falling: true,
            rising: true,
            unread: false,
            begun: None,
            complete: false,
        }
    }

    /// The rows of the next page that were on none before; `None` after the last.
    pub async fn page(&mut self) -> Result<Option<Vec<Row>>, Trouble> {
        let rows = match self.ask().await {
            // Whether every list can be ordered is not published: in its own order it is still read, and not called complete
            // unless that order shows.
            Err(Trouble::Refused(_)) if self.page == 0 && self.ordered && self.filter.is_none() => {
                self.ordered = false;
                self.ask().await?
            }
            other => other?,
        };
        if rows.is_empty() {
            self.complete = !self.unread && (self.falling || self.rising);
            return Ok(None);
        }
        self.page += 1;
        let ids: Vec<i64> = rows.iter().filter_map(row_id).collect();
        self.unread |= ids.len() < rows.len();
        let before: HashSet<i64> = self.last.iter().copied().collect();
        if (!ids.is_empty() && ids.iter().all(|id| before.contains(id))) || self.page >= PAGES_MAX {
            let text = format!("the list {} shows the same page again: it does not end", self.path);
            return Err(Trouble::Fault(Fault::new(FaultKind::Answer, "pages-repeat", text)));
        }
        for pair in self.last.last().into_iter().chain(&ids).collect::<Vec<_>>().windows(2) {
            // A row that slid onto this page comes a second time.
            self.falling &= pair[0] > pair[1] || self.seen.contains(pair[1]);
            self.rising &= pair[0] < pair[1];
        }
        self.last = ids;
        Ok(Some(rows.into_iter().filter(|row| row_id(row).is_some_and(|id| self.seen.insert(id))).collect()))
    }

    /// Whether a record was on a page so far.
    #[must_use]
    pub fn has(&self, id: i64) -> bool {
        self.seen.contains(&id)
    }

    async fn ask(&mut self) -> Result<Vec<Row>, Trouble> {
        let mut query = vec![("page", self.page.to_string())];
        if self.ordered {
            query.push(("order", "id".to_owned()));
        }
        query.extend(self.filter.clone().map(|filter| ("where", filter)));
        let reply = self.wire.get(self.counted, self.path, &query).await?;
        self.begun = self.begun.or(reply.date);
        rows_of(self.path, reply.json)
    }

    /// All rows of a list that is known to be small.
    pub async fn collect(mut self) -> Result<Vec<Row>, Trouble> {
        let mut rows = Vec::new();
        while let Some(page) = self.page().await? {
            rows.extend(page);
        }
        Ok(rows)
    }
}

/// The rows of one page.
pub fn rows_of(path: &str, json: J) -> Result<Vec<Row>, Trouble> {
    let J::Array(entries) = json else {
        // Some answers to an empty question are nothing at all.
        if json.is_null() {
            return Ok(Vec::new());
        }
        return Err(Trouble::Fault(Fault::new(FaultKind::Answer, "unexpected-json", format!("the list {path} is no array"))));
    };
    let count = entries.len();
    let rows: Vec<Row> = entries.into_iter().filter_map(|e| if let J::Object(row) = e { Some(row) } else { None }).collect();
    if rows.len() < count {
        return Err(Trouble::Fault(Fault::new(FaultKind::Answer, "unexpected-json", format!("the list {path} holds what is no record"))));
    }
    Ok(rows)
}

/// A record as a read by id answers it: itself, or alone in an array.
pub fn single(path: &str, json: J) -> Result<Row, Trouble> {
    let odd = || Trouble::Fault(Fault::new(FaultKind::Answer, "unexpected-json", format!("the answer for {path} is not one record")));
    match json {
        J::Object(row) if row_id(&row).is_some() => Ok(row),
        J::Array(mut rows) if rows.len() <= 1 => match rows.pop() {
            Some(J::Object(row)) if row_id(&row).is_some() => Ok(row),
            Some(_) => Err(odd()),
            None => Err(Trouble::Missing),
        },
        J::Null => Err(Trouble::Missing),
        J::Object(_) | J::Array(_) | J::Bool(_) | J::Number(_) | J::String(_) => Err(odd()),
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_are_read_as_numbers_digits_objects_and_zero_is_none() {
        for (raw, want) in [
            (json!(16), Some(16)),
            (json!("16"), Some(16)),
            (json!({"id": 16, "value": "Headquarter"}), Some(16)),
            (json!({"Id": "16", "description": "x"}), Some(16)),
            (json!({"id": 0, "value": ""}), None),
            (json!(0), None),
            (json!(null), None),
            (json!(9_007_199_254_740_993_i64), Some(9_007_199_254_740_993)),
        ] {
            assert_eq!(id_of(&raw), want, "{raw}");
        }
    }

    #[test]
    fn only_the_flag_says_deleted() {
        let row = |v: J| v.as_object().unwrap().clone();
        assert!(!is_deleted(&row(json!({"deleted": false, "dateDeleted": "1899-12-30T00:00:00Z"}))));
        assert!(!is_deleted(&row(json!({"dateDeleted": "2026-01-01T00:00:00Z"}))));
        for yes in [json!(true), json!(1), json!("1"), json!("true")] {
            assert!(is_deleted(&row(json!({"Deleted": yes}))));
        }
    }

    #[test]
    fn keys_are_found_in_any_case() {
        let row = json!({"UseCompanyAddress": true}).as_object().unwrap().clone();
        assert_eq!(value(&row, "useCompanyAddress"), Some(&json!(true)));
    }

    #[test]
    fn what_is_no_list_of_records_is_refused() {
        assert_eq!(rows_of("/x", json!([])).unwrap().len(), 0);
        for odd in [json!({"data": []}), json!([1]), json!("x")] {
            assert!(matches!(rows_of("/x", odd.clone()), Err(Trouble::Fault(f)) if f.kind == FaultKind::Answer), "{odd}");
        }
        assert_eq!(single("/x/1", json!([])), Err(Trouble::Missing));
        assert!(single("/x/1", json!([{"id": 1}])).is_ok() && single("/x/1", json!({"name": "x"})).is_err());
    }
}
