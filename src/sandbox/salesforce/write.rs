//! Creating and changing rows the way the platform does: what is required is there, what is unique is unique, the customer's
//! own rules and triggers run, and stamps are set.
//!
//! How a value is read is in [`super::values`], deletion in [`super::deletion`], the special rules of orders in
//! [`super::orders`], what opportunities and activities work out by themselves in [`super::sales`].

use serde_json::{Map, Value};

use super::error::SfError;
use super::ids::Id;
use super::orders;
use super::sales;
use super::schema::{Kind, Source};
use super::table::Row;
use super::value::{Cell, Val};
use super::world::{Outcome, World};

/// Who writes, and when.
#[derive(Clone, Debug)]
pub(super) struct Author {
    pub user: Id,
    /// The stamp, seconds since 1970.
    pub at: i64,
    /// Field-level security binds API users only.
    pub api: bool,
    /// CSV knows only texts.
    pub from_text: bool,
    /// Building the org itself: read-only objects too.
    pub setup: bool,
}

impl Author {
    pub fn api(user: Id, at: i64) -> Self {
        Self { user, at, api: true, from_text: false, setup: false }
    }
    pub fn csv(user: Id, at: i64) -> Self {
        Self { from_text: true, ..Self::api(user, at) }
    }
    pub fn hand(user: Id, at: i64) -> Self {
        Self { api: false, ..Self::api(user, at) }
    }
    pub fn setup(user: Id, at: i64) -> Self {
        Self { setup: true, ..Self::hand(user, at) }
    }
}

/// Field numbers with their new values; `None` is null.
pub(super) type Changes = Vec<(u16, Option<Cell>)>;

impl World {
    pub(super) fn mint(&mut self, object: usize) -> Id {
        self.tables[object].minted += 1;
        Id::mint(&self.schema.objects[object].prefix, self.tables[object].minted)
    }

    pub(super) fn create(&mut self, object: usize, fields: &Map<String, Value>, by: &Author) -> Outcome<Id> {
        let minted = self.tables[object].minted;
        let id = self.mint(object);
        let created = self.create_as(object, fields, by, id);
        if created.is_err() {
            self.tables[object].minted = minted;
        }
        created
    }

    pub(super) fn create_as(&mut self, object: usize, fields: &Map<String, Value>, by: &Author, id: Id) -> Outcome<Id> {
        if !self.schema.objects[object].writable && !by.setup {
            let name = &self.schema.objects[object].name;
            return Err(SfError::bad("INSUFFICIENT_ACCESS_OR_READONLY", format!("entity type cannot be inserted: {name}")));
        }
        let changes = self.read_fields(object, fields, by, true)?;
        let mut row = Row::new(id, by.at, by.user);
        let shape = &self.schema.objects[object];
        for (at, field) in shape.numbered().filter(|(_, field)| field.source == Source::Stored) {
            if let Some(default) = &field.default {
                row.set(at, Some(default.clone()));
            }
        }
        if let Some(owner) = shape.find("OwnerId") {
            row.set(owner, Some(Cell::Ref(by.user)));
        }
        for (field, cell) in &changes {
            // A null leaves the default of a checkbox or a required picklist in place.
            if cell.is_some() || !shape.field(*field).required {
                row.set(*field, cell.clone());
            }
        }
        self.require_all(object, &row)?;
        self.atomically(|world| {
            orders::before_create(world, object, &mut row)?;
            sales::derive(world, object, &mut row, &changes)?;
            world.number(object, &mut row);
            world.unique(object, &row)?;
            world.validate(object, &row)?;
            world.store(object, id, Some(row));
            world.fire(object, id, &changes)?;
            orders::after_write(world, object, id);
            Ok(id)
        })
    }

    pub(super) fn change(&mut self, object: usize, id: Id, fields: &Map<String, Value>, by: &Author) -> Outcome<()> {
        let row = self.live(object, id)?;
        let mut row = row.clone();
        if !self.schema.objects[object].writable && !by.setup {
            return Err(SfError::bad("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id"));
        }
        self.unlock(id)?;
        let changes = self.read_fields(object, fields, by, false)?;
        self.atomically(|world| {
            orders::before_change(world, object, &mut row, &changes, by)?;
            for (field, cell) in &changes {
                let boolean = world.schema.objects[object].field(*field).kind == Kind::Boolean;
                row.set(*field, if boolean && cell.is_none() { Some(Cell::Bool(false)) } else { cell.clone() });
            }
            world.require_all(object, &row)?;
            sales::derive(world, object, &mut row, &changes)?;
            (row.modified, row.stamp, row.modified_by) = (by.at, by.at, by.user);
            world.unique(object, &row)?;
            world.validate(object, &row)?;
            world.store(object, id, Some(row));
            world.fire(object, id, &changes)?;
            orders::after_write(world, object, id);
            Ok(())
        })
    }

    /// The row if it is there and not deleted; else the right one of two errors.
    pub(super) fn live(&self, object: usize, id: Id) -> Outcome<&Row> {
        let row = self.tables[object].rows.get(&id).ok_or_else(SfError::no_such_record)?;
        if row.deleted.is_none() {
            return Ok(row);
        }
        Err(if self.schema.objects[object].bin { SfError::is_deleted() } else { SfError::no_such_record() })
    }

    pub(super) fn unlock(&mut self, id: Id) -> Outcome<()> {
        match self.locks.get_mut(&id) {
            Some(times) if *times > 0 => {
                *times -= 1;
                let text = format!("unable to obtain exclusive access to this record or 1 records: {}", id.short());
                Err(SfError::bad("UNABLE_TO_LOCK_ROW", text))
            }
            _ => Ok(()),
        }
    }

    /// The live rows that hold this value in a key field.
    pub(super) fn live_with_key(&self, object: usize, field: u16, value: &str) -> Vec<Id> {
        let table = &self.tables[object];
        let found = table.with_key(field, value.trim()).unwrap_or_default();
        found.into_iter().filter(|id| table.rows.get(id).is_some_and(|row| row.deleted.is_none())).collect()
    }

    fn require_all(&self, object: usize, row: &Row) -> Outcome<()> {
        let shape = &self.schema.objects[object];
        let missing: Vec<String> = shape
            .numbered()
            .filter(|(at, field)| field.required && field.source == Source::Stored && row.get(*at).is_none())
            .map(|(_, field)| field.name.clone())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let text = format!("Required fields are missing: [{}]", missing.join(", "));
        Err(SfError { fields: missing, ..SfError::bad("REQUIRED_FIELD_MISSING", text) })
    }

    pub(super) fn unique(&self, object: usize, row: &Row) -> Outcome<()> {
        let shape = &self.schema.objects[object];
        for (at, field) in shape.numbered().filter(|(_, field)| field.unique) {
            let Some(cell) = row.get(at) else { continue };
            let value = Val::from(cell).text();
            if let Some(other) = self.live_with_key(object, at, &value).into_iter().find(|other| *other != row.id) {
                let text = format!("duplicate value found: {} duplicates value on record with id: {}", field.name, other.short());
                return Err(SfError::bad("DUPLICATE_VALUE", text));
            }
        }
        Ok(())
    }

    fn validate(&self, object: usize, row: &Row) -> Outcome<()> {
        for rule in self.rules.iter().filter(|rule| rule.object == object) {
            let mut shown = String::new();
            self.val(object, row, rule.field).push_json(&mut shown);
            let value: Value = serde_json::from_str(&shown).unwrap_or(Value::Null);
            let same_number = value.as_f64().is_some() && value.as_f64() == rule.equals.as_f64();
            if value == rule.equals || same_number {
                let error = SfError::bad("FIELD_CUSTOM_VALIDATION_EXCEPTION", rule.message.clone());
                return Err(error.on(&self.schema.objects[object].field(rule.field).name));
            }
        }
        Ok(())
    }

    fn number(&mut self, object: usize, row: &mut Row) {
        let formats: Vec<(u16, String)> = self.schema.objects[object]
            .numbered()
            .filter_map(|(at, field)| match &field.source {
                Source::AutoNumber(format) => Some((at, format.clone())),
                _ => None,
            })
            .collect();
        if formats.is_empty() {
            return;
        }
        self.tables[object].numbered += 1;
        for (at, format) in formats {
            let text = auto_number(&format, self.tables[object].numbered);
            row.set(at, Some(Cell::Text(text.into())));
        }
    }

    /// The customer's automation runs in the same transaction and keeps the stamp of the write.
    fn fire(&mut self, object: usize, id: Id, changes: &Changes) -> Outcome<()> {
        let due: Vec<Map<String, Value>> = self
            .triggers
            .iter()
            .filter(|trigger| trigger.object == object)
            .filter(|trigger| trigger.field.is_none_or(|field| changes.iter().any(|(changed, _)| *changed == field)))
            .map(|trigger| trigger.set.clone())
            .collect();
        for set in due {
            let Some(mut row) = self.tables[object].rows.get(&id).cloned() else {
                continue;
            };
            let author = Author::hand(row.modified_by, row.stamp);
            for (field, cell) in self.read_fields(object, &set, &author, false)? {
                row.set(field, cell);
            }
            self.store(object, id, Some(row));
        }
        Ok(())
    }
}

/// `LIC-{000000}` with 7 → `LIC-000007`
fn auto_number(format: &str, number: u64) -> String {
    match (format.find('{'), format.find('}')) {
        (Some(open), Some(close)) if open < close => {
            let width = close - open - 1;
            format!("{}{number:0width$}{}", &format[..open], &format[close + 1..])
        }
        _ => format!("{format}{number}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sandbox::clock::Clock;
    use crate::sandbox::salesforce::world::Options;
    use serde_json::json;

    fn world() -> World {
        World::new(Clock::system(), Options::default()).unwrap()
    }

    fn code(outcome: Outcome<impl std::fmt::Debug>) -> String {
        outcome.unwrap_err().code
    }

    #[test]
    fn unique_keys_tell_the_other_record_in_fifteen_characters() {
        let mut world = world();
        let first = world.insert("Account", &json!({"Name": "A", "Lockstep_Id__c": "ls-1"})).unwrap();
        let error = world.insert("Account", &json!({"Name": "B", "Lockstep_Id__c": "ls-1"})).unwrap_err();
        assert_eq!(error.message, format!("duplicate value found: Lockstep_Id__c duplicates value on record with id: {}", &first[..15]));
        world.delete("Account", &first).unwrap();
        world.insert("Account", &json!({"Name": "B", "Lockstep_Id__c": "ls-1"})).unwrap();
        assert_eq!(code(world.undelete("Account", &first)), "DUPLICATE_VALUE");
        assert_eq!(world.row("Account", &first).unwrap()["IsDeleted"], json!(true));
    }

    #[test]
    fn a_late_commit_carries_the_stamp_of_its_start() {
        let mut world = world();
        let started = world.now();
        let at = world.clock().now() + chrono::Duration::seconds(60);
        let id = world.begin("create", "Account", None, &json!({"Name": "Late"}), at).unwrap();
        world.settle();
        assert!(world.row("Account", &id).is_none());
        assert_eq!(world.oldest_open(), Some(started));
        world.clock().advance(chrono::Duration::seconds(61));
        world.settle();
        assert_eq!(world.row("Account", &id).unwrap()["SystemModstamp"], json!(super::super::value::stamp(started)));
        assert_eq!(world.oldest_open(), None);
    }

    #[test]
    fn rules_triggers_and_locks() {
        let mut world = world();
        world.add_rule("Account", "Industry", json!("Banking"), "no banks").unwrap();
        world.add_trigger("Account", Some("Phone"), json!({"Description": "touched"}).as_object().unwrap().clone()).unwrap();
        assert_eq!(world.insert("Account", &json!({"Name": "A", "Industry": "Banking"})).unwrap_err().message, "no banks");
        let id = world.insert("Account", &json!({"Name": "A"})).unwrap();
        world.update("Account", &id, &json!({"Phone": "1"})).unwrap();
        assert_eq!(world.row("Account", &id).unwrap()["Description"], json!("touched"));
        world.lock_row(&id, 1).unwrap();
        assert_eq!(code(world.update("Account", &id, &json!({"Phone": "2"}))), "UNABLE_TO_LOCK_ROW");
        world.update("Account", &id, &json!({"Phone": "2"})).unwrap();
    }

    #[test]
    fn a_formula_changes_without_a_stamp() {
        let mut world = world();
        let xml = "<CustomField><fullName>Company__c</fullName><type>Text</type><formula>UPPER(Account.Name)</formula></CustomField>";
        world.add_field("Contact", xml).unwrap();
        let account = world.insert("Account", &json!({"Name": "Acme"})).unwrap();
        let contact = world.insert("Contact", &json!({"LastName": "B", "AccountId": account})).unwrap();
        let before = world.row("Contact", &contact).unwrap();
        world.clock().advance(chrono::Duration::seconds(9));
        world.update("Account", &account, &json!({"Name": "Apex"})).unwrap();
        let after = world.row("Contact", &contact).unwrap();
        assert_eq!((&before["Company__c"], &after["Company__c"]), (&json!("ACME"), &json!("APEX")));
        assert_eq!(before["SystemModstamp"], after["SystemModstamp"]);
    }
}
