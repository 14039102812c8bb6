//! Rows of one object: sparse values by field position, ids in order, an index for exact look-ups.
//!
//! A row keeps only what differs from a new row, so that 200,000 of them stay small; ids stand in a sorted vector, so that
//! the page at offset 180,000 costs what the first one does. Metadata is kept as its text: a parsed object of one key is ten
//! times as large. It knows no rule of the platform.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use super::schema::{Kind, Object};

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: i64,
    pub object: Object,
    /// When the row was made, in microseconds; not a field of the platform.
    pub born: i64,
    set: Vec<(u8, Value)>,
}

/// An indexed value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    Text(Box<str>),
    Int(i64),
}

impl Key {
    /// Null, blank and structured values are not indexed.
    pub fn of(value: &Value) -> Option<Key> {
        match value {
            Value::String(text) if !text.is_empty() => Some(Key::Text(text.as_str().into())),
            Value::Number(number) => number.as_i64().map(Key::Int),
            _ => None,
        }
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Key {
        Key::Text(text.into())
    }
}

static NULL: Value = Value::Null;

impl Row {
    pub fn new(object: Object, id: i64, born: i64) -> Row {
        Row { id, object, born, set: Vec::new() }
    }

    /// Of any field but a JSON one, which is [`Row::value`]'s.
    pub fn at(&self, at: u8) -> &Value {
        debug_assert!(self.object.field(at).kind != Kind::Json, "a JSON field has no stored value");
        self.stored(at)
    }

    /// Of any field.
    pub fn value(&self, at: u8) -> Cow<'_, Value> {
        match self.stored(at) {
            Value::String(text) if self.object.field(at).kind == Kind::Json => Cow::Owned(serde_json::from_str(text).unwrap_or_default()),
            stored => Cow::Borrowed(stored),
        }
    }

    /// The object's metadata.
    pub fn metadata(&self) -> Cow<'_, Value> {
        let position = self.object.position("metadata");
        position.map_or(Cow::Borrowed(&NULL), |at| self.value(at))
    }

    fn stored(&self, at: u8) -> &Value {
        match self.set.binary_search_by_key(&at, |(field, _)| *field) {
            Ok(found) => &self.set[found].1,
            Err(_) => self.object.initial(at),
        }
    }

    /// Null for a name the object does not have.
    pub fn get(&self, name: &str) -> &Value {
        let position = self.object.position(name);
        debug_assert!(position.is_some(), "{:?} has no field {name}", self.object);
        position.map_or(&NULL, |at| self.at(at))
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

    fn put(&mut self, at: u8, value: Value) {
        let initial = *self.object.initial(at) == value;
        let value = match self.object.field(at).kind {
            Kind::Json => Value::String(value.to_string()),
            _ => value,
        };
        match (self.set.binary_search_by_key(&at, |(field, _)| *field), initial) {
            (Ok(found), false) => self.set[found].1 = value,
            (Ok(found), true) => {
                self.set.remove(found);
            }
            (Err(place), false) => {
                self.set.reserve_exact(1);
                self.set.insert(place, (at, value));
            }
            (Err(_), true) => {}
        }
    }
}

/// All rows of one object.
#[derive(Debug)]
pub struct Table {
    object: Object,
    rows: HashMap<i64, Row>,
    ids: Vec<i64>,
    index: HashMap<(u8, Key), Vec<i64>>,
}

impl Table {
    pub fn new(object: Object) -> Table {
        Table { object, rows: HashMap::new(), ids: Vec::new(), index: HashMap::new() }
    }

    pub fn get(&self, id: i64) -> Option<&Row> {
        self.rows.get(&id)
    }

    pub fn contains(&self, id: i64) -> bool {
        self.rows.contains_key(&id)
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Ascending.
    pub fn ids(&self) -> &[i64] {
        &self.ids
    }

    /// Ids of the rows whose indexed field holds `key`, ascending.
    pub fn find(&self, field: u8, key: Key) -> &[i64] {
        debug_assert!(self.object.field(field).indexed, "{:?} field {field}", self.object);
        self.index.get(&(field, key)).map_or(&[], Vec::as_slice)
    }

    /// Ids of the rows that link to `id` by the field called `name`.
    pub fn linked(&self, name: &str, id: i64) -> &[i64] {
        self.object.position(name).map_or(&[], |field| self.find(field, Key::Int(id)))
    }

    pub fn insert(&mut self, row: Row) {
        let id = row.id;
        self.remove(id);
        for (at, value) in &row.set {
            enter(&mut self.index, self.object, *at, value, id);
        }
        admit(&mut self.ids, id);
        self.rows.insert(id, row);
    }

    /// Changes one field and keeps the index true.
    pub fn set(&mut self, id: i64, at: u8, value: Value) {
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        if self.object.field(at).indexed {
            leave(&mut self.index, self.object, at, row.stored(at), id);
            enter(&mut self.index, self.object, at, &value, id);
        }
        row.put(at, value);
    }

    pub fn remove(&mut self, id: i64) -> Option<Row> {
        let row = self.rows.remove(&id)?;
        for (at, value) in &row.set {
            leave(&mut self.index, self.object, *at, value, id);
        }
        dismiss(&mut self.ids, id);
        Some(row)
    }
}

type Index = HashMap<(u8, Key), Vec<i64>>;

fn enter(index: &mut Index, object: Object, at: u8, value: &Value, id: i64) {
    if object.field(at).indexed
        && let Some(key) = Key::of(value)
    {
        admit(index.entry((at, key)).or_default(), id);
    }
}

fn leave(index: &mut Index, object: Object, at: u8, value: &Value, id: i64) {
    if object.field(at).indexed
        && let Some(key) = Key::of(value)
        && let Some(ids) = index.get_mut(&(at, key.clone()))
    {
        dismiss(ids, id);
        if ids.is_empty() {
            index.remove(&(at, key));
        }
    }
}

fn admit(ids: &mut Vec<i64>, id: i64) {
    match ids.last() {
        Some(last) if *last >= id => {
            if let Err(place) = ids.binary_search(&id) {
                ids.insert(place, id);
            }
        }
        Some(_) | None => ids.push(id),
    }
}

fn dismiss(ids: &mut Vec<i64>, id: i64) {
    if let Ok(place) = ids.binary_search(&id) {
        ids.remove(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(table: &mut Table, id: i64, code: &str) {
        table.insert(Row::new(Object::Account, id, 0));
        table.set(id, at("code"), code.into());
    }

    fn at(name: &str) -> u8 {
        Object::Account.position(name).expect("a field of the account")
    }

    #[test]
    fn the_index_follows_every_change() {
        let mut table = Table::new(Object::Account);
        account(&mut table, 7, "a");
        account(&mut table, 3, "b");
        account(&mut table, 5, "b");
        assert_eq!(table.ids(), [3, 5, 7]);
        assert_eq!(table.find(at("code"), "b".into()), [3, 5]);
        table.set(3, at("code"), "c".into());
        assert_eq!(table.find(at("code"), "b".into()), [5]);
        assert_eq!(table.find(at("code"), "c".into()), [3]);
        table.remove(3);
        assert!(table.find(at("code"), "c".into()).is_empty());
        assert_eq!(table.ids(), [5, 7]);
    }

    #[test]
    fn a_row_keeps_only_what_differs() {
        let mut table = Table::new(Object::Account);
        account(&mut table, 1, "a");
        table.set(1, at("phone"), "1".into());
        table.set(1, at("phone"), "".into());
        let row = table.get(1).expect("the row");
        assert_eq!(row.set.len(), 1);
        assert_eq!((row.text("code"), row.text("phone")), ("a", ""));
    }

    #[test]
    fn metadata_comes_back_as_it_went_in() {
        let mut table = Table::new(Object::Account);
        account(&mut table, 1, "a");
        for written in [serde_json::json!({"a": {"b": [1, "x", null]}}), serde_json::json!({}), serde_json::json!([1])] {
            table.set(1, at("metadata"), written.clone());
            assert_eq!(*table.get(1).expect("the row").metadata(), written);
        }
    }
}
