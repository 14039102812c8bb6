//! The rows of one object, with the indexes that keep large worlds brisk.
//!
//! Rows are found by id, by stamp, by the value of a key field and by a parent. One door, [`Table::put`], changes rows, so
//! that no index can lag behind. Visibility (the recycle bin) is the reader's business.

use std::collections::{BTreeMap, BTreeSet};

use super::ids::Id;
use super::schema::{Object, Source};
use super::value::{Cell, fold};

/// One record. Instants are seconds since 1970.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub id: Id,
    pub created: i64,
    pub created_by: Id,
    pub modified: i64,
    pub modified_by: Id,
    pub stamp: i64,
    /// When it went to the recycle bin.
    pub deleted: Option<i64>,
    /// The record whose deletion took this one along.
    pub deleted_with: Option<Id>,
    /// The winner of the merge that deleted it.
    pub master: Option<Id>,
    /// By field number, ascending; absent is null.
    cells: Vec<(u16, Cell)>,
}

impl Row {
    #[must_use]
    pub fn new(id: Id, at: i64, by: Id) -> Self {
        Self {
            id,
            created: at,
            created_by: by,
            modified: at,
            modified_by: by,
            stamp: at,
            deleted: None,
            deleted_with: None,
            master: None,
            cells: Vec::new(),
        }
    }

    #[must_use]
    pub fn get(&self, field: u16) -> Option<&Cell> {
        let at = self.cells.binary_search_by_key(&field, |(number, _)| *number).ok()?;
        Some(&self.cells[at].1)
    }

    pub fn set(&mut self, field: u16, cell: Option<Cell>) {
        match (self.cells.binary_search_by_key(&field, |(number, _)| *number), cell) {
            (Ok(at), Some(cell)) => self.cells[at].1 = cell,
            (Ok(at), None) => {
                self.cells.remove(at);
            }
            (Err(at), Some(cell)) => self.cells.insert(at, (field, cell)),
            (Err(_), None) => {}
        }
    }

    #[must_use]
    pub fn text(&self, field: u16) -> Option<&str> {
        match self.get(field) {
            Some(Cell::Text(text)) => Some(text),
            _ => None,
        }
    }

    #[must_use]
    pub fn reference(&self, field: u16) -> Option<Id> {
        match self.get(field) {
            Some(Cell::Ref(id)) => Some(*id),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Table {
    pub rows: BTreeMap<Id, Row>,
    pub by_stamp: BTreeSet<(i64, Id)>,
    by_key: BTreeSet<(u16, Box<str>, Id)>,
    by_parent: BTreeSet<(u16, Id, Id)>,
    /// What `deleted/` tells: when, who.
    pub log: BTreeSet<(i64, Id)>,
    /// Ids and auto numbers handed out so far.
    pub minted: u64,
    pub numbered: u64,
    keys: Vec<(u16, bool)>,
    parents: Vec<u16>,
}

impl Table {
    /// Learns which fields to index and indexes what is there.
    pub fn shape(&mut self, object: &Object) {
        self.keys = object.numbered().filter(|(_, field)| field.is_key()).map(|(at, field)| (at, field.case_sensitive)).collect();
        // Nearly every row points at the same few users: an index of that would cost much and find nothing.
        self.parents = object
            .numbered()
            .filter(|(_, field)| field.source == Source::Stored && !field.targets.is_empty() && field.refers != ["User"])
            .map(|(at, _)| at)
            .collect();
        self.by_key.clear();
        self.by_parent.clear();
        let rows = std::mem::take(&mut self.rows);
        for row in rows.values() {
            self.index(row);
        }
        self.rows = rows;
    }

    /// Puts or (with `None`) takes away; returns what was there.
    pub fn put(&mut self, id: Id, row: Option<Row>) -> Option<Row> {
        let before = match row {
            Some(row) => {
                let before = self.rows.remove(&id);
                if let Some(before) = &before {
                    self.unindex(before);
                }
                self.index(&row);
                self.rows.insert(id, row);
                return before;
            }
            None => self.rows.remove(&id),
        };
        if let Some(before) = &before {
            self.unindex(before);
        }
        before
    }

    /// Ids of the rows, deleted ones too, whose key field holds `value`.
    #[must_use]
    pub fn with_key(&self, field: u16, value: &str) -> Option<Vec<Id>> {
        let (_, case_sensitive) = self.keys.iter().find(|(key, _)| *key == field)?;
        let value: Box<str> = if *case_sensitive { value.into() } else { fold(value).as_ref().into() };
        let found = self.by_key.range((field, value.clone(), Id::MIN)..=(field, value, Id::MAX));
        Some(found.map(|(_, _, id)| *id).collect())
    }

    /// Ids of the rows, deleted ones too, whose lookup points at `parent`; `None` when that lookup has no index.
    #[must_use]
    pub fn with_parent(&self, field: u16, parent: Id) -> Option<impl Iterator<Item = Id> + '_> {
        self.parents
            .contains(&field)
            .then(|| self.by_parent.range((field, parent, Id::MIN)..=(field, parent, Id::MAX)).map(|(_, _, id)| *id))
    }

    fn index(&mut self, row: &Row) {
        self.by_stamp.insert((row.stamp, row.id));
        for (field, case_sensitive) in &self.keys {
            if let Some(value) = key_text(row.get(*field), *case_sensitive) {
                self.by_key.insert((*field, value, row.id));
            }
        }
        for field in &self.parents {
            if let Some(parent) = row.reference(*field) {
                self.by_parent.insert((*field, parent, row.id));
            }
        }
    }

    fn unindex(&mut self, row: &Row) {
        self.by_stamp.remove(&(row.stamp, row.id));
        for (field, case_sensitive) in &self.keys {
            if let Some(value) = key_text(row.get(*field), *case_sensitive) {
                self.by_key.remove(&(*field, value, row.id));
            }
        }
        for field in &self.parents {
            if let Some(parent) = row.reference(*field) {
                self.by_parent.remove(&(*field, parent, row.id));
            }
        }
    }
}

fn key_text(cell: Option<&Cell>, case_sensitive: bool) -> Option<Box<str>> {
    match cell? {
        Cell::Text(text) if case_sensitive => Some(text.clone()),
        Cell::Text(text) => Some(fold(text).as_ref().into()),
        Cell::Num(num) => Some(num.to_string().into()),
        Cell::Bool(_) | Cell::Date(_) | Cell::Time(_) | Cell::Ref(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::salesforce::schema::{Field, Kind, Object};

    fn table() -> Table {
        let mut object = Object::new("T__c", "T", "Ts", "a00");
        object.push(Field { external_id: true, ..Field::new("Key__c", Kind::Text) });
        object.push(Field { targets: vec![0], ..Field::new("Up__c", Kind::Reference) });
        let mut table = Table::default();
        table.shape(&object);
        table
    }

    #[test]
    fn every_index_follows_every_change() {
        let mut table = table();
        let (id, up) = (Id::mint("a00", 1), Id::mint("001", 1));
        let mut row = Row::new(id, 10, up);
        row.set(0, Some(Cell::Text("KEY".into())));
        row.set(1, Some(Cell::Ref(up)));
        table.put(id, Some(row.clone()));
        assert_eq!(table.with_key(0, "key"), Some(vec![id]));
        assert_eq!(table.with_parent(1, up).map(Iterator::count), Some(1));
        row.stamp = 20;
        row.set(0, None);
        row.set(1, None);
        table.put(id, Some(row));
        assert_eq!(table.by_stamp.iter().copied().collect::<Vec<_>>(), [(20, id)]);
        assert_eq!(table.with_key(0, "key"), Some(vec![]));
        assert_eq!(table.with_parent(1, up).map(Iterator::count), Some(0));
        table.put(id, None);
        assert!(table.by_stamp.is_empty() && table.rows.is_empty());
        assert!(table.with_key(1, "x").is_none() && table.with_parent(0, up).is_none());
    }
}
