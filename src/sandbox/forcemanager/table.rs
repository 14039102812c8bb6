//! Rows of one resource: values by field name, who touched the row and when, an index of link values.
//!
//! A deleted row stays, with its flag; it knows no rule.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

/// When, in milliseconds since 1970, and which user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touch {
    pub at: i64,
    pub by: i64,
}

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: i64,
    pub created: Touch,
    /// Not there until the first update.
    pub updated: Option<Touch>,
    pub deleted: Option<Touch>,
    values: BTreeMap<String, Value>,
}

static NULL: Value = Value::Null;

impl Row {
    pub fn new(id: i64, created: Touch) -> Row {
        Row { id, created, updated: None, deleted: None, values: BTreeMap::new() }
    }

    /// Null for a field without value.
    pub fn get(&self, name: &str) -> &Value {
        self.values.get(name).unwrap_or(&NULL)
    }

    pub fn text(&self, name: &str) -> &str {
        self.get(name).as_str().unwrap_or_default()
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        self.get(name).as_i64()
    }

    pub fn flag(&self, name: &str) -> bool {
        self.get(name).as_bool().unwrap_or_default()
    }

    pub fn is_live(&self) -> bool {
        self.deleted.is_none()
    }

    /// The stored values, by name.
    pub fn values(&self) -> &BTreeMap<String, Value> {
        &self.values
    }
}

/// All rows of one resource.
#[derive(Debug, Default)]
pub struct Table {
    rows: BTreeMap<i64, Row>,
    links: HashMap<String, BTreeSet<i64>>,
}

impl Table {
    pub fn get(&self, id: i64) -> Option<&Row> {
        self.rows.get(&id)
    }

    /// Ascending by id.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &Row> {
        self.rows.values()
    }

    /// Ids of rows whose `extId` is `value`, whatever the case of either.
    pub fn with_ext_id(&self, value: &str) -> Vec<i64> {
        self.links.get(&value.to_lowercase()).map(|ids| ids.iter().copied().collect()).unwrap_or_default()
    }

    pub fn insert(&mut self, row: Row) {
        self.rows.insert(row.id, row);
    }

    /// Sets the named values, Null clears, and keeps the index true.
    pub fn set(&mut self, id: i64, values: BTreeMap<String, Value>) {
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        for (name, value) in values {
            if name == "extId" {
                if let Some(ids) = self.links.get_mut(&row.text("extId").to_lowercase()) {
                    ids.remove(&id);
                }
                if let Some(new) = value.as_str() {
                    self.links.entry(new.to_lowercase()).or_default().insert(id);
                }
            }
            match value {
                Value::Null => row.values.remove(&name),
                value => row.values.insert(name, value),
            };
        }
    }

    pub fn touch(&mut self, id: i64, touch: Touch) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.updated = Some(touch);
        }
    }

    pub fn mark_deleted(&mut self, id: i64, touch: Touch) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.deleted = Some(touch);
        }
    }

    /// Gone for good.
    pub fn purge(&mut self, id: i64) -> Option<Row> {
        let row = self.rows.remove(&id)?;
        if let Some(ids) = self.links.get_mut(&row.text("extId").to_lowercase()) {
            ids.remove(&id);
        }
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_of_link_values_follows_every_change() {
        let mut table = Table::default();
        let ext = |text: &str| BTreeMap::from([("extId".to_owned(), Value::from(text))]);
        for id in [3, 5] {
            table.insert(Row::new(id, Touch { at: 0, by: 1 }));
            table.set(id, ext("001Aa"));
        }
        assert_eq!(table.with_ext_id("001aA"), [3, 5]);
        table.set(3, BTreeMap::from([("extId".to_owned(), Value::Null)]));
        assert_eq!(table.with_ext_id("001Aa"), [5]);
        table.purge(5);
        assert!(table.with_ext_id("001Aa").is_empty());
        assert_eq!(table.rows().count(), 1);
    }
}
