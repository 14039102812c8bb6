//! Writing rows the way the platform does: values checked and normalised, references followed, unique fields unique,
//! stamps set, deletions cascading into the bin.
//!
//! The special rules of orders are in [`super::orders`].

use serde_json::{Map, Value};

use super::error::SfError;
use super::ids::Id;
use super::orders;
use super::schema::{Field, Kind, OnParentDelete, Source};
use super::table::Row;
use super::value::{Cell, Val, fold, parse_date, parse_instant};
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
    setup: bool,
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

    fn unlock(&mut self, id: Id) -> Outcome<()> {
        match self.locks.get_mut(&id) {
            Some(times) if *times > 0 => {
                *times -= 1;
                let text = format!("unable to obtain exclusive access to this record or 1 records: {}", id.short());
                Err(SfError::bad("UNABLE_TO_LOCK_ROW", text))
            }
            _ => Ok(()),
        }
    }

    // ---- values -----------------------------------------------------------------------------------------------------

    fn read_fields(&self, object: usize, fields: &Map<String, Value>, by: &Author, creating: bool) -> Outcome<Changes> {
        let shape = &self.schema.objects[object];
        let mut changes = Changes::with_capacity(fields.len());
        let mut refused = Vec::new();
        for (name, value) in fields {
            if name == "attributes" {
                continue;
            }
            let Some(at) = shape.find(name).filter(|at| !by.api || self.visible(object, *at)) else {
                let Some(at) = shape.by_relationship(name).filter(|_| value.is_object()) else {
                    let text = format!("No such column '{name}' on sobject of type {}", shape.name);
                    return Err(SfError::bad("INVALID_FIELD", text));
                };
                changes.push((at, Some(Cell::Ref(self.by_foreign_key(object, at, value)?))));
                continue;
            };
            let field = shape.field(at);
            if field.kind == Kind::Id && creating {
                return Err(SfError::bad("INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call").on("Id"));
            }
            let writable = if creating { field.createable } else { field.updateable };
            let allowed = writable && field.source == Source::Stored && !(by.api && self.read_only.contains(&(object, at)));
            if !allowed && !by.setup {
                refused.push(field.name.clone());
                continue;
            }
            changes.push((at, self.read_value(field, value, by)?));
        }
        if refused.is_empty() {
            return Ok(changes);
        }
        let text = format!(
            "Unable to create/update fields: {}. Please check the security settings of this field and verify that it is read/write for your profile or permission set.",
            refused.join(", ")
        );
        Err(SfError { fields: refused, ..SfError::bad("INVALID_FIELD_FOR_INSERT_UPDATE", text) })
    }

    fn read_value(&self, field: &Field, value: &Value, by: &Author) -> Outcome<Option<Cell>> {
        let wrong = |kind: &str| {
            let (token, shown) = match value {
                Value::String(text) => ("VALUE_STRING", text.clone()),
                Value::Number(number) => ("VALUE_NUMBER_FLOAT", number.to_string()),
                Value::Bool(bool) => (if *bool { "VALUE_TRUE" } else { "VALUE_FALSE" }, bool.to_string()),
                Value::Array(_) => ("START_ARRAY", "[".to_owned()),
                Value::Object(_) => ("START_OBJECT", "{".to_owned()),
                Value::Null => ("VALUE_NULL", String::new()),
            };
            let text = format!(
                "Cannot deserialize instance of {kind} from {token} value {shown} or request may be missing a required field at [line:1, column:2]"
            );
            SfError::bad("JSON_PARSER_ERROR", text)
        };
        let text = match value {
            Value::Null => return Ok(None),
            Value::String(text) => Some(text.trim()),
            _ => None,
        };
        if text == Some("") && (field.kind != Kind::Boolean || by.from_text) {
            return Ok(None);
        }
        match field.kind {
            Kind::Boolean => match (value, text.map(str::to_ascii_lowercase).as_deref()) {
                (Value::Bool(bool), _) => Ok(Some(Cell::Bool(*bool))),
                (_, Some("true" | "1")) => Ok(Some(Cell::Bool(true))),
                (_, Some("false" | "0")) => Ok(Some(Cell::Bool(false))),
                _ => Err(wrong("boolean")),
            },
            Kind::Int | Kind::Double | Kind::Currency | Kind::Percent => {
                let number = value.as_f64().or_else(|| text.and_then(|text| text.parse().ok()));
                let kind = if field.kind == Kind::Int { "int" } else { "double" };
                let number = number.filter(|number| number.is_finite()).ok_or_else(|| wrong(kind))?;
                in_range(field, number).map(|number| Some(Cell::Num(number)))
            }
            Kind::Date => text.and_then(parse_date).map(|date| Some(Cell::Date(date))).ok_or_else(|| wrong("date")),
            Kind::DateTime => {
                let time = text.and_then(|text| parse_instant(text).or_else(|| parse_date(text).map(super::value::midnight)));
                time.map(|time| Some(Cell::Time(time))).ok_or_else(|| wrong("datetime"))
            }
            Kind::Reference | Kind::Id => self.read_reference(field, text.ok_or_else(|| wrong("reference"))?),
            Kind::Text | Kind::TextArea | Kind::LongText | Kind::Email | Kind::Phone | Kind::Url | Kind::Picklist | Kind::MultiPicklist => {
                let text = text.ok_or_else(|| wrong("string"))?;
                checked_text(field, text).map(|text| Some(Cell::Text(text.into())))
            }
            Kind::Address => Err(wrong("address")),
        }
    }

    fn read_reference(&self, field: &Field, text: &str) -> Outcome<Option<Cell>> {
        let wrong_type = || SfError::bad("MALFORMED_ID", format!("{}: id value of incorrect type: {text}", field.label)).on(&field.name);
        let id = Id::parse(text).ok_or_else(wrong_type)?;
        let target = self.schema.by_prefix(id.prefix());
        if !target.is_some_and(|target| field.targets.contains(&target)) {
            return Err(SfError { code: "FIELD_INTEGRITY_EXCEPTION".to_owned(), ..wrong_type() });
        }
        match self.row_of(id) {
            Some((_, row)) if row.deleted.is_none() => Ok(Some(Cell::Ref(id))),
            _ => Err(SfError::bad("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id").on(&field.name)),
        }
    }

    /// `"Account": {"Lockstep_Id__c": "x"}` in place of an id.
    fn by_foreign_key(&self, object: usize, lookup: u16, value: &Value) -> Outcome<Id> {
        let field = self.schema.objects[object].field(lookup);
        let keys = value.as_object().into_iter().flatten().filter(|(key, _)| *key != "attributes");
        for (key, wanted) in keys {
            for target in &field.targets {
                let shape = &self.schema.objects[*target];
                let Some(at) = shape.find(key).filter(|at| shape.field(*at).external_id) else { continue };
                let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
                let found = self.live_with_key(*target, at, &wanted);
                return match found.as_slice() {
                    [one] => Ok(*one),
                    [] => Err(SfError::bad(
                        "INVALID_FIELD",
                        format!("Foreign key external ID: {wanted} not found for field {} in entity {}", shape.field(at).name, shape.name),
                    )),
                    _ => Err(SfError::bad("DUPLICATE_EXTERNAL_ID", format!("external id {wanted} matches more than one record"))),
                };
            }
        }
        let text = format!(
            "The external foreign key reference does not reference a valid entity: {}",
            field.relationship.as_deref().unwrap_or_default()
        );
        Err(SfError::bad("INVALID_FIELD", text))
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

    fn unique(&self, object: usize, row: &Row) -> Outcome<()> {
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
            let Some(mut row) = self.tables[object].rows.get(&id).cloned() else { continue };
            let author = Author::hand(row.modified_by, row.stamp);
            for (field, cell) in self.read_fields(object, &set, &author, false)? {
                row.set(field, cell);
            }
            self.store(object, id, Some(row));
        }
        Ok(())
    }

    // ---- deletion ---------------------------------------------------------------------------------------------------

    pub(super) fn remove(&mut self, object: usize, id: Id, by: &Author) -> Outcome<()> {
        self.live(object, id)?;
        let shape = &self.schema.objects[object];
        if !shape.deletable || !shape.writable {
            return Err(SfError::bad("INSUFFICIENT_ACCESS_OR_READONLY", format!("entity type cannot be deleted: {}", shape.name)));
        }
        self.unlock(id)?;
        self.atomically(|world| {
            orders::before_remove(world, object, id)?;
            world.bury(object, id, None, None, by.at)
        })
    }

    /// Deletes one row and, first, what hangs on it.
    fn bury(&mut self, object: usize, id: Id, with: Option<Id>, master: Option<Id>, at: i64) -> Outcome<()> {
        let Some(mut row) = self.tables[object].rows.get(&id).filter(|row| row.deleted.is_none()).cloned() else { return Ok(()) };
        row.deleted = Some(at);
        row.deleted_with = with;
        row.master = master;
        row.stamp = at;
        self.store(object, id, Some(row));
        self.log_deletion(object, at, id);
        if master.is_none() {
            for (child, field, rows) in self.dependants(object, id) {
                let rule = self.schema.objects[child].field(field).on_parent_delete;
                for child_id in rows {
                    match rule {
                        OnParentDelete::Keep => {}
                        OnParentDelete::Cascade => {
                            orders::before_remove(self, child, child_id)?;
                            self.bury(child, child_id, Some(with.unwrap_or(id)), None, at)?;
                        }
                        OnParentDelete::Restrict => {
                            let text =
                                format!("Your attempt to delete this record could not be completed because it is referenced by {child_id}");
                            return Err(SfError::bad("DELETE_FAILED", text));
                        }
                        OnParentDelete::SetNull => {
                            // No stamp moves: nothing tells of a lookup that was cleared this way.
                            let cleared = self.tables[child].rows.get(&child_id).cloned();
                            if let Some(mut row) = cleared {
                                row.set(field, None);
                                self.store(child, child_id, Some(row));
                            }
                        }
                    }
                }
            }
        }
        // What never enters the bin is gone at once, unless its parent may bring it back.
        if !self.schema.objects[object].bin && with.is_none() {
            self.store(object, id, None);
        }
        Ok(())
    }

    /// Live rows that point at this one: `(object, lookup, ids)`.
    fn dependants(&self, object: usize, id: Id) -> Vec<(usize, u16, Vec<Id>)> {
        let mut found = Vec::new();
        for child in &self.schema.objects[object].children {
            let Some(ids) = self.tables[child.object].with_parent(child.field, id) else { continue };
            let live = |id: &Id| self.tables[child.object].rows.get(id).is_some_and(|row| row.deleted.is_none());
            let ids: Vec<Id> = ids.filter(live).collect();
            if !ids.is_empty() {
                found.push((child.object, child.field, ids));
            }
        }
        found
    }

    pub(super) fn restore(&mut self, object: usize, id: Id, by: &Author) -> Outcome<()> {
        let row = self.tables[object].rows.get(&id).filter(|row| row.deleted.is_some() && row.master.is_none());
        if row.is_none() {
            return Err(SfError::bad("UNDELETE_FAILED", "entity is not in the recycle bin"));
        }
        self.atomically(|world| {
            let mut back = vec![(object, id)];
            for (at, table) in world.tables.iter().enumerate() {
                let along = table.rows.values().filter(|row| row.deleted_with == Some(id));
                back.extend(along.map(|row| (at, row.id)));
            }
            for (object, id) in back {
                let Some(mut row) = world.tables[object].rows.get(&id).cloned() else { continue };
                if let Some(at) = row.deleted {
                    world.unlog_deletion(object, at, id);
                }
                (row.deleted, row.deleted_with, row.stamp) = (None, None, by.at);
                world.unique(object, &row)?;
                world.store(object, id, Some(row));
            }
            Ok(())
        })
    }

    pub(super) fn merge_rows(&mut self, object: usize, winner: Id, losers: &[Id], fields: &Map<String, Value>, by: &Author) -> Outcome<()> {
        let shape = &self.schema.objects[object];
        if !shape.mergeable || losers.is_empty() || losers.len() > 2 || losers.contains(&winner) {
            return Err(SfError::bad("INVALID_INPUT", "one or two other records of Account or Contact can be merged into one"));
        }
        for id in losers.iter().chain([&winner]) {
            self.live(object, *id)?;
        }
        self.atomically(|world| {
            for loser in losers {
                for (child, field, rows) in world.dependants(object, *loser) {
                    for id in rows {
                        if let Some(mut row) = world.tables[child].rows.get(&id).cloned() {
                            row.set(field, Some(Cell::Ref(winner)));
                            (row.modified, row.stamp, row.modified_by) = (by.at, by.at, by.user);
                            world.store(child, id, Some(row));
                        }
                    }
                }
                world.bury(object, *loser, None, Some(winner), by.at)?;
            }
            world.change(object, winner, fields, by)
        })
    }
}

fn checked_text(field: &Field, text: &str) -> Outcome<String> {
    let length = text.chars().count();
    let limit = usize::try_from(field.length).unwrap_or(usize::MAX);
    if limit > 0 && length > limit {
        let shown: String = text.chars().take(255).collect();
        let text = format!("{}: data value too large: {shown} (max length={limit})", field.label);
        return Err(SfError::bad("STRING_TOO_LONG", text).on(&field.name));
    }
    if field.kind == Kind::Email && !looks_like_email(text) {
        return Err(SfError::bad("INVALID_EMAIL_ADDRESS", format!("{}: invalid email address: {text}", field.label)).on(&field.name));
    }
    if field.restricted {
        return restricted(field, text);
    }
    Ok(text.to_owned())
}

fn restricted(field: &Field, text: &str) -> Outcome<String> {
    let known = |one: &str| field.picklist.iter().find(|pick| pick.active && fold(&pick.value) == fold(one)).map(|pick| pick.value.clone());
    let values: Option<Vec<String>> = match field.kind {
        Kind::MultiPicklist => text.split(';').map(|one| known(one.trim())).collect(),
        _ => known(text).map(|value| vec![value]),
    };
    values.map(|values| values.join(";")).ok_or_else(|| {
        let text = format!("{}: bad value for restricted picklist field: {text}", field.label);
        SfError::bad("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", text).on(&field.name)
    })
}

/// Something, an at sign, a domain with a dot in it; no blanks.
fn looks_like_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let plain = |ch: char| !ch.is_whitespace() && !matches!(ch, ',' | ';' | '<' | '>' | '(' | ')' | '"');
    let labels = domain.split('.').collect::<Vec<_>>();
    !local.is_empty()
        && !local.contains('@')
        && text.chars().all(plain)
        && labels.len() > 1
        && labels.iter().all(|label| !label.is_empty() && label.chars().all(|ch| ch.is_alphanumeric() || ch == '-'))
}

fn in_range(field: &Field, number: f64) -> Outcome<f64> {
    let scale = if field.kind == Kind::Int { 0 } else { i32::try_from(field.scale).unwrap_or(0) };
    let shift = 10_f64.powi(scale);
    // Beyond 2^53 there are no fractions left to round.
    let rounded = if number.abs() * shift < 9.0e15 { (number * shift).round() / shift } else { number };
    let digits = i32::try_from(field.precision.saturating_sub(field.scale)).unwrap_or(18);
    if rounded.abs() >= 10_f64.powi(digits) {
        let text = format!("{}: value outside of valid range on numeric field: {number}", field.label);
        return Err(SfError::bad("NUMBER_OUTSIDE_VALID_RANGE", text).on(&field.name));
    }
    Ok(rounded)
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
    fn values_are_normalised_as_the_platform_does() {
        let mut world = world();
        let id =
            world.insert("account", &json!({"name": "  Acme  ", "Phone": "", "NumberOfEmployees": "12", "AnnualRevenue": 10.6})).unwrap();
        let row = world.row("Account", &id).unwrap();
        assert_eq!((&row["Name"], &row["Phone"], &row["NumberOfEmployees"]), (&json!("Acme"), &json!(null), &json!(12)));
        assert_eq!(row["AnnualRevenue"], json!(11.0));
        assert_eq!(row["OwnerId"], json!(world.human.as_str()));
        assert_eq!(&id[..3], "001");
    }

    #[test]
    fn each_bad_value_has_its_code() {
        let mut world = world();
        let account = world.insert("Account", &json!({"Name": "A"})).unwrap();
        let contact = world.insert("Contact", &json!({"LastName": "B", "AccountId": account})).unwrap();
        for (object, fields, expected) in [
            ("Account", json!({}), "REQUIRED_FIELD_MISSING"),
            ("Account", json!({"Name": " "}), "REQUIRED_FIELD_MISSING"),
            ("Account", json!({"Name": "x".repeat(256)}), "STRING_TOO_LONG"),
            ("Account", json!({"Name": 5}), "JSON_PARSER_ERROR"),
            ("Account", json!({"Name": "A", "Nope": 1}), "INVALID_FIELD"),
            ("Account", json!({"Name": "A", "SystemModstamp": "2026-01-01T00:00:00Z"}), "INVALID_FIELD_FOR_INSERT_UPDATE"),
            ("Account", json!({"Name": "A", "NumberOfEmployees": "many"}), "JSON_PARSER_ERROR"),
            ("Account", json!({"Name": "A", "NumberOfEmployees": 1e9}), "NUMBER_OUTSIDE_VALID_RANGE"),
            ("Account", json!({"Name": "A", "ParentId": "nonsense"}), "MALFORMED_ID"),
            ("Account", json!({"Name": "A", "ParentId": contact}), "FIELD_INTEGRITY_EXCEPTION"),
            ("Account", json!({"Name": "A", "ParentId": "001D000000IqhSLIAZ"}), "INVALID_CROSS_REFERENCE_KEY"),
            ("Contact", json!({"LastName": "B", "Name": "B"}), "INVALID_FIELD_FOR_INSERT_UPDATE"),
            ("Contact", json!({"LastName": "B", "Email": "no-at-sign"}), "INVALID_EMAIL_ADDRESS"),
            ("Contact", json!({"LastName": "B", "Birthdate": "2026-13-01"}), "JSON_PARSER_ERROR"),
            (
                "Order",
                json!({"AccountId": account, "EffectiveDate": "2026-01-01", "Status": "Sideways"}),
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            ),
        ] {
            assert_eq!(code(world.insert(object, &fields)), expected, "{fields}");
        }
        assert_eq!(world.counts()["Account"], 1);
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
    fn deletion_takes_dependants_along_and_undelete_brings_them_back() {
        let mut world = world();
        let account = world.insert("Account", &json!({"Name": "A"})).unwrap();
        let contact = world.insert("Contact", &json!({"LastName": "B", "AccountId": account})).unwrap();
        let license = world.insert("License__c", &json!({"Account__c": account, "Contact__c": contact})).unwrap();
        let stamp = world.row("License__c", &license).unwrap()["SystemModstamp"].clone();
        world.clock().advance(chrono::Duration::seconds(100));
        world.delete("Account", &account).unwrap();
        assert_eq!(world.row("Contact", &contact).unwrap()["IsDeleted"], json!(true));
        let left = world.row("License__c", &license).unwrap();
        assert_eq!((&left["Account__c"], &left["IsDeleted"], &left["SystemModstamp"]), (&json!(null), &json!(false), &stamp));
        assert_eq!(code(world.update("Account", &account, &json!({"Name": "C"}))), "ENTITY_IS_DELETED");
        world.undelete("Account", &account).unwrap();
        assert_eq!(world.row("Contact", &contact).unwrap()["IsDeleted"], json!(false));
    }

    #[test]
    fn the_bin_empties_after_fifteen_days() {
        let mut world = world();
        let account = world.insert("Account", &json!({"Name": "A"})).unwrap();
        world.delete("Account", &account).unwrap();
        world.clock().advance(chrono::Duration::days(14));
        world.settle();
        assert!(world.row("Account", &account).is_some());
        world.clock().advance(chrono::Duration::days(2));
        world.settle();
        assert!(world.row("Account", &account).is_none());
        assert_eq!(code(world.update("Account", &account, &json!({"Name": "C"}))), "INVALID_CROSS_REFERENCE_KEY");
    }

    #[test]
    fn a_merge_moves_the_children_and_names_the_winner() {
        let mut world = world();
        let winner = world.insert("Account", &json!({"Name": "Winner"})).unwrap();
        let loser = world.insert("Account", &json!({"Name": "Loser"})).unwrap();
        let contact = world.insert("Contact", &json!({"LastName": "B", "AccountId": loser})).unwrap();
        world.merge("Account", &winner, &[&loser], &json!({"Phone": "1"})).unwrap();
        let gone = world.row("Account", &loser).unwrap();
        assert_eq!((&gone["IsDeleted"], &gone["MasterRecordId"]), (&json!(true), &json!(winner)));
        assert_eq!(world.row("Contact", &contact).unwrap()["AccountId"], json!(winner));
        assert_eq!(world.row("Account", &winner).unwrap()["Phone"], json!("1"));
        assert!(world.undelete("Account", &loser).is_err());
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

    #[test]
    fn emails_by_shape() {
        for good in ["a@b.co", "a.b+c@d-e.example", "ü@ö.de"] {
            assert!(looks_like_email(good), "{good}");
        }
        for bad in ["a", "a@b", "@b.co", "a b@c.de", "a@b..co", "a@b@c.de", "a@b.co,d@e.fr"] {
            assert!(!looks_like_email(bad), "{bad}");
        }
    }
}
