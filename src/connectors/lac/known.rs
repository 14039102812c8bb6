//! What each customer looked like when it was last read, as fingerprints: there is no lock and no condition on a write, so
//! that a write made for an older look is told by this.
//!
//! Customers and their contacts are read by two sweeps and compared at two times, so each is remembered by itself. Whether an
//! edit of a contact moves the customer's `update_time` is not published; a fingerprint does not ask.

use super::catalogue::SCALARS;
use super::list::{Row, row_id};
use super::row::contacts_of;
use super::tags::tags_of;
use crate::record::{FieldType, Value, canonical, fields_hash};
use serde_json::Value as J;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What of a customer a look or a write is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    Customer,
    Contacts,
}

#[derive(Debug, Default)]
pub struct Known(Mutex<HashMap<(Part, i64), Look>>);

#[derive(Debug, Clone, Copy)]
struct Look {
    print: i64,
    /// What a write met instead, and was not sent for.
    met: Option<i64>,
    /// It was read again since.
    again: bool,
}

impl Known {
    /// The row was read, and what was read is what will be compared.
    pub fn note(&self, part: Part, row: &Row) {
        if let (Some(id), Some(print)) = (row_id(row), print(part, row)) {
            let mut looks = self.lock();
            let met = looks.get(&(part, id)).and_then(|look| look.met).filter(|met| *met != print);
            looks.insert((part, id), Look { print, met, again: true });
        }
    }

    /// Somebody changed this part since it was read. What was never read has not moved; nor has what was met like this by an
    /// earlier write, and read since: then it is only shown otherwise where it is listed.
    pub fn moved(&self, part: Part, row: &Row) -> bool {
        let (Some(id), Some(now)) = (row_id(row), print(part, row)) else { return false };
        let mut looks = self.lock();
        let Some(look) = looks.get_mut(&(part, id)).filter(|look| look.print != now) else { return false };
        if look.met == Some(now) && look.again {
            return false;
        }
        (look.met, look.again) = (Some(now), false);
        true
    }

    fn differs(&self, part: Part, row: &Row) -> bool {
        let known = row_id(row).and_then(|id| self.lock().get(&(part, id)).copied());
        known.is_some_and(|known| print(part, row).is_some_and(|now| now != known.print))
    }

    /// Our own write: what was known before it stays known.
    pub fn wrote(&self, before: &Row, after: &Row) {
        for part in [Part::Customer, Part::Contacts] {
            if self.differs(part, before) {
                continue;
            }
            if let (Some(id), Some(print)) = (row_id(after), print(part, after)) {
                // No reading: what an earlier write met is still to be read.
                let fresh = Look { print, met: None, again: false };
                self.lock().entry((part, id)).and_modify(|look| look.print = print).or_insert(fresh);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(Part, i64), Look>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None` where the row does not show the part whole: a list may show less than the record itself.
fn print(part: Part, row: &Row) -> Option<i64> {
    let text = |row: &Row, name: &str| plain(row.get(name)).to_string();
    let mut lines: Vec<String> = match part {
        Part::Customer if !SCALARS.iter().chain(&["update_time"]).all(|name| row.contains_key(*name)) => return None,
        Part::Customer => {
            let mut tags: Vec<String> = tags_of(row)?.into_iter().map(|(name, value)| format!("{name}={}", plain(Some(value)))).collect();
            tags.sort();
            SCALARS.into_iter().chain(["update_time"]).map(|name| text(row, name)).chain(tags).collect()
        }
        Part::Contacts => {
            let mut people: Vec<String> =
                contacts_of(row)?.into_iter().map(|c| format!("{:?} {} {}", row_id(c), text(c, "name"), text(c, "email"))).collect();
            people.sort();
            people
        }
    };
    lines.push(String::new());
    Some(fields_hash(&lines.join("\u{1f}")))
}

fn plain(raw: Option<&J>) -> Value {
    raw.and_then(|raw| canonical(raw, &FieldType::text()).ok()).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_listed_otherwise_than_it_is_shown_stops_one_write_and_not_all() {
        let (known, listed, shown) = (Known::default(), row("Bern", "2026-01-02", "Ada"), row("Bern", "2026-01-02 00:00:00", "Ada"));
        known.note(Part::Customer, &listed);
        assert!(known.moved(Part::Customer, &shown));
        assert!(known.moved(Part::Customer, &shown), "not read again yet");
        known.note(Part::Customer, &listed);
        assert!(!known.moved(Part::Customer, &shown));
        assert!(known.moved(Part::Customer, &row("Basel", "2026-01-03 00:00:00", "Ada")), "a true edit still does");
    }

    fn row(city: &str, at: &str, contact: &str) -> Row {
        let json =
            json!({"id": "1", "name": "Acme", "city": city, "update_time": at, "Contacts": [{"id": 2, "name": contact}], "CustomTags": []});
        let mut row = json.as_object().unwrap().clone();
        for name in SCALARS {
            row.entry(name).or_insert(J::Null);
        }
        row
    }

    #[test]
    fn an_edit_of_somebody_else_is_noticed_and_our_own_is_not() {
        let known = Known::default();
        let first = row("Bern", "t1", "Ada");
        assert!(!known.moved(Part::Customer, &first), "never read");
        known.note(Part::Customer, &first);
        known.note(Part::Contacts, &first);
        assert!(!known.moved(Part::Customer, &first));
        assert!(known.moved(Part::Customer, &row("Basel", "t1", "Ada")));
        assert!(known.moved(Part::Customer, &row("Bern", "t2", "Ada")), "update_time alone is enough");
        assert!(known.moved(Part::Contacts, &row("Bern", "t1", "Eve")));
        assert!(!known.moved(Part::Contacts, &row("Basel", "t2", "Ada")));
        let ours = row("Basel", "t2", "Ada");
        known.wrote(&first, &ours);
        assert!(!known.moved(Part::Customer, &ours) && !known.moved(Part::Contacts, &ours));
        let theirs = row("Basel", "t2", "Mo");
        known.wrote(&theirs, &row("Basel", "t3", "Mo"));
        assert!(known.moved(Part::Contacts, &theirs), "their edit stays news after a write of ours beside it");
    }
}
