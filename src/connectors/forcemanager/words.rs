//! Value lists: from the word of an entry to its number and back.
//!
//! Source: developer.forcemanager.com, "Value lists": a number, a description in each language, a flag for deleted ones.
//! Countries also have their ISO codes. Entries are never made here.

use super::catalogue::list_of;
use super::list::{Row, Walk, flag, row_id, value};
use super::refusal::Refusal;
use super::wire::{Trouble, Wire};
use crate::connectors::http::Counted;
use serde_json::Value as J;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use unicode_normalization::UnicodeNormalization;

const FRESH: Duration = Duration::from_secs(3600);

/// One list as it was read.
#[derive(Debug, Default, PartialEq)]
pub struct Words {
    /// What an entry is called first.
    labels: BTreeMap<i64, String>,
    /// Every name of every entry that is in use.
    names: HashMap<String, BTreeSet<i64>>,
}

impl Words {
    fn of(rows: &[Row]) -> Self {
        let mut words = Self::default();
        for row in rows {
            let Some(id) = row_id(row) else { continue };
            let names = names_of(row);
            if let Some((_, label)) = names.first() {
                words.labels.insert(id, label.clone());
            }
            if flag(row, "deleted") != Some(true) {
                for (_, name) in names {
                    words.names.entry(fold(&name)).or_default().insert(id);
                }
            }
        }
        words
    }

    #[must_use]
    pub fn label(&self, id: i64) -> Option<&str> {
        self.labels.get(&id).map(String::as_str)
    }

    /// The one entry with this name, in any language.
    pub fn number(&self, field: &str, word: &str) -> Result<i64, Refusal> {
        let found: Vec<i64> = self.names.get(&fold(word)).into_iter().flatten().copied().collect();
        match found.as_slice() {
            [one] => Ok(*one),
            [] => {
                Err(Refusal::new("unknown-word", format!("{field}: ForceManager has no entry {word:?}; make it there or map it"), &[field]))
            }
            many => Err(Refusal::new(
                "ambiguous-word",
                format!("{field}: {} entries of ForceManager are called {word:?}", many.len()),
                &[field],
            )),
        }
    }
}

fn fold(text: &str) -> String {
    text.nfc().collect::<String>().to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Names in the order in which they are preferred as a label: English first, other languages, codes last.
fn names_of(row: &Row) -> Vec<(u8, String)> {
    let mut names: Vec<(u8, String)> = Vec::new();
    for (key, raw) in row {
        let key = key.to_ascii_lowercase();
        let rank = match key.as_str() {
            "value" | "description" | "name" => 0,
            "descriptionen" | "description_en" | "nameen" => 1,
            _ if key.starts_with("description") || key.starts_with("name") => 2,
            _ if key.starts_with("iso") => 3,
            _ => continue,
        };
        match raw {
            J::String(text) if !text.trim().is_empty() => names.push((rank, text.trim().to_owned())),
            // Descriptions by language, in one object.
            J::Object(inner) => {
                let texts = inner.iter().filter_map(|(lang, v)| Some((lang, v.as_str()?.trim().to_owned())));
                names
                    .extend(texts.filter(|(_, t)| !t.is_empty()).map(|(lang, t)| (if lang.eq_ignore_ascii_case("en") { 1 } else { 2 }, t)));
            }
            J::Null | J::Bool(_) | J::Number(_) | J::Array(_) | J::String(_) => {}
        }
    }
    names.sort();
    names
}

/// The lists that were asked for, kept for an hour.
#[derive(Default)]
pub struct WordCache(Mutex<HashMap<&'static str, (Instant, Arc<Words>)>>);

/// Words by the list's path.
pub type Lists = BTreeMap<&'static str, Arc<Words>>;

impl WordCache {
    pub async fn list(&self, wire: &Wire, path: &'static str) -> Result<Arc<Words>, Trouble> {
        let mut kept = self.0.lock().await;
        if let Some((_, words)) = kept.get(path).filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(words.clone());
        }
        let rows = Walk::new(wire, Counted::Other, path, None).collect().await?;
        let words = Arc::new(Words::of(&rows));
        kept.insert(path, (Instant::now(), words.clone()));
        Ok(words)
    }

    /// The lists that these rows need: those of wanted words whose rows show a bare number.
    pub async fn needed(&self, wire: &Wire, resource: &str, wanted: &[String], rows: &[Row]) -> Result<Lists, Trouble> {
        let mut lists = Lists::new();
        for (number, path) in wanted.iter().filter_map(|field| list_of(resource, field)) {
            let bare = |row: &Row| {
                value(row, number).is_some_and(|raw| match raw {
                    J::Number(n) => n.as_i64() != Some(0),
                    J::String(text) => !text.trim().is_empty() && text.trim() != "0",
                    J::Null | J::Bool(_) | J::Array(_) | J::Object(_) => false,
                })
            };
            if rows.iter().any(bare) {
                lists.insert(path, self.list(wire, path).await?);
            }
        }
        Ok(lists)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn words(rows: J) -> Words {
        let rows: Vec<Row> = rows.as_array().unwrap().iter().map(|r| r.as_object().unwrap().clone()).collect();
        Words::of(&rows)
    }

    #[test]
    fn an_entry_is_known_by_its_name_in_any_language() {
        let list = words(json!([
            {"id": 1, "descriptionEN": "Won", "descriptionES": "Ganada", "deleted": false},
            {"id": 2, "description": {"en": "Lost", "it": "Persa"}},
            {"id": 3, "descriptionEN": "Old", "deleted": true},
            {"id": 4, "descriptionEN": "Won", "descriptionES": "Otra"}
        ]));
        assert_eq!(list.number("status", " ganada ").unwrap(), 1);
        assert_eq!(list.number("status", "PERSA").unwrap(), 2);
        assert_eq!(list.number("status", "Won").unwrap_err().code, "ambiguous-word");
        assert_eq!(list.number("status", "Old").unwrap_err().code, "unknown-word");
        assert_eq!((list.label(2), list.label(3), list.label(9)), (Some("Lost"), Some("Old"), None));
    }

    #[test]
    fn a_country_is_known_by_its_code_too() {
        let list = words(json!([{"id": 34, "nameEN": "Spain", "nameES": "España", "iso2": "ES", "iso3": "ESP"}]));
        for word in ["ES", "es", "Spain", "España"] {
            assert_eq!(list.number("country", word).unwrap(), 34, "{word}");
        }
        assert_eq!(list.label(34), Some("Spain"));
    }
}
