//! The world's face for tests, the demo and the control route: what a person at the keyboard, an administrator or the
//! platform's own background work would do, and everything there is to look at.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::error::SfError;
use super::ids::Id;
use super::sfdx;
use super::table::Table;
use super::world::{Change, Outcome, Pending, Trigger, ValidationRule, World};
use super::write::Author;

impl World {
    /// Creates a record as the human user, now. `fields` is an object.
    ///
    /// # Errors
    /// What a user would be told.
    pub fn insert(&mut self, object: &str, fields: &Value) -> Outcome<String> {
        let now = self.now();
        self.insert_at(object, fields, at(now))
    }

    /// As [`World::insert`], with a back-dated stamp.
    ///
    /// # Errors
    /// What a user would be told.
    pub fn insert_at(&mut self, object: &str, fields: &Value, stamp: DateTime<Utc>) -> Outcome<String> {
        let object = self.object(object)?;
        let author = Author::hand(self.human, stamp.timestamp());
        self.create(object, entries(fields)?, &author).map(|id| id.to_string())
    }

    /// Changes fields as the human user, now.
    ///
    /// # Errors
    /// What a user would be told.
    pub fn update(&mut self, object: &str, id: &str, fields: &Value) -> Outcome<()> {
        let now = self.now();
        self.update_at(object, id, fields, at(now))
    }

    /// As [`World::update`], with a back-dated stamp.
    ///
    /// # Errors
    /// What a user would be told.
    pub fn update_at(&mut self, object: &str, id: &str, fields: &Value, stamp: DateTime<Utc>) -> Outcome<()> {
        let object = self.object(object)?;
        let author = Author::hand(self.human, stamp.timestamp());
        self.change(object, own_id(id)?, entries(fields)?, &author)
    }

    /// Moves a record to the recycle bin, and with it what depends on it.
    ///
    /// # Errors
    /// What a user would be told.
    pub fn delete(&mut self, object: &str, id: &str) -> Outcome<()> {
        let now = self.now();
        self.delete_at(object, id, at(now))
    }

    /// As [`World::delete`], with a back-dated stamp.
    ///
    /// # Errors
    /// What a user would be told.
    pub fn delete_at(&mut self, object: &str, id: &str, stamp: DateTime<Utc>) -> Outcome<()> {
        let object = self.object(object)?;
        let author = Author::hand(self.human, stamp.timestamp());
        self.remove(object, own_id(id)?, &author)
    }

    /// Brings a record back from the bin, with what went with it.
    ///
    /// # Errors
    /// When it is not in the bin.
    pub fn undelete(&mut self, object: &str, id: &str) -> Outcome<()> {
        let object = self.object(object)?;
        let author = Author::hand(self.human, self.now());
        self.restore(object, own_id(id)?, &author)
    }

    /// Removes a record for good, whether it was in the bin or not.
    ///
    /// # Errors
    /// When there is none.
    pub fn purge(&mut self, object: &str, id: &str) -> Outcome<()> {
        let object = self.object(object)?;
        let (id, now) = (own_id(id)?, self.now());
        let row = self.tables[object].rows.get(&id).ok_or_else(SfError::no_such_record)?;
        if row.deleted.is_none() {
            let author = Author::hand(self.human, now);
            self.remove(object, id, &author)?;
        }
        self.store(object, id, None);
        Ok(())
    }

    /// Merges `losers` (at most two) into `winner`; `fields` are the values the user picked.
    ///
    /// # Errors
    /// What a user would be told.
    pub fn merge(&mut self, object: &str, winner: &str, losers: &[&str], fields: &Value) -> Outcome<()> {
        let object = self.object(object)?;
        let losers: Vec<Id> = losers.iter().map(|id| own_id(id)).collect::<Outcome<_>>()?;
        let author = Author::hand(self.human, self.now());
        let none = Map::new();
        self.merge_rows(object, own_id(winner)?, &losers, fields.as_object().unwrap_or(&none), &author)
    }

    /// Activates a draft order, as a click would.
    ///
    /// # Errors
    /// What a user would be told.
    pub fn activate_order(&mut self, id: &str) -> Outcome<()> {
        let now = self.now();
        self.activate_order_at(id, at(now))
    }

    /// As [`World::activate_order`], with a back-dated stamp.
    ///
    /// # Errors
    /// What a user would be told.
    pub fn activate_order_at(&mut self, id: &str, stamp: DateTime<Utc>) -> Outcome<()> {
        self.update_at("Order", id, &json!({"Status": "Activated"}), stamp)
    }

    /// Adds a word to the picklist of order statuses, as an administrator would in Setup. `code`: `Draft` or `Activated`.
    ///
    /// # Errors
    /// When the status cannot be had.
    pub fn add_order_status(&mut self, name: &str, code: &str) -> Outcome<()> {
        let at = self.object("OrderStatus")?;
        let fields = json!({"ApiName": name, "MasterLabel": name, "StatusCode": code, "SortOrder": 9});
        let author = Author::setup(self.human, 0);
        self.create(at, fields.as_object().unwrap_or(&serde_json::Map::new()), &author).map(|_| ())
    }

    /// Begins a write now that becomes visible only later, still with the stamp of now. Returns the id.
    ///
    /// # Errors
    /// When the object, the id or the verb is not known. Rules are checked at commit.
    pub fn begin(&mut self, verb: &str, object: &str, id: Option<&str>, fields: &Value, visible_at: DateTime<Utc>) -> Outcome<String> {
        let at = self.object(object)?;
        let fields = fields.as_object().cloned().unwrap_or_default();
        let own = || own_id(id.unwrap_or_default());
        let (id, change) = match verb {
            "create" => {
                let id = self.mint(at);
                (id, Change::Create(id, fields))
            }
            "update" => (own()?, Change::Update(own()?, fields)),
            "delete" => (own()?, Change::Delete(own()?)),
            _ => {
                return Err(SfError::bad("INVALID_INPUT", format!("no late commit for \"{verb}\"")));
            }
        };
        let started = self.now();
        self.pending.push(Pending { visible_at: visible_at.timestamp(), started, object: at, change });
        Ok(id.to_string())
    }

    /// The live rows of an object with all their fields.
    #[must_use]
    pub fn rows(&self, object: &str) -> Vec<Value> {
        let Some(at) = self.schema.find(object) else {
            return Vec::new();
        };
        self.tables[at].rows.values().filter(|row| row.deleted.is_none()).map(|row| self.row_json(at, row)).collect()
    }

    /// One row, from the bin too.
    #[must_use]
    pub fn row(&self, object: &str, id: &str) -> Option<Value> {
        let at = self.schema.find(object)?;
        let row = self.tables[at].rows.get(&Id::parse(id)?)?;
        Some(self.row_json(at, row))
    }

    /// Live rows per object, where there are any.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let live = |table: &Table| table.rows.values().filter(|row| row.deleted.is_none()).count();
        let counted = self.schema.objects.iter().zip(&self.tables).map(|(object, table)| (object.name.clone(), live(table)));
        counted.filter(|(_, count)| *count > 0).collect()
    }

    /// Adds a custom field from a `field-meta.xml` text; returns its name.
    ///
    /// # Errors
    /// When the metadata is not understood.
    pub fn add_field(&mut self, object: &str, xml: &str) -> Result<String, String> {
        let name = sfdx::add_field(&mut self.schema, object, xml)?;
        self.schema.connect();
        let now = self.now();
        if let Some(at) = self.schema.find(object) {
            self.schema.objects[at].changed = now;
            self.tables[at].shape(&self.schema.objects[at]);
        }
        Ok(name)
    }

    /// Hides a field from the API user (or shows it again), as field-level security does.
    ///
    /// # Errors
    /// When there is no such field.
    pub fn hide_field(&mut self, object: &str, field: &str, hidden: bool) -> Outcome<()> {
        let place = self.place(object, field)?;
        if hidden {
            self.hidden.insert(place);
        } else {
            self.hidden.remove(&place);
        }
        Ok(())
    }

    /// Lets the API user only read a field, or write it again.
    ///
    /// # Errors
    /// When there is no such field.
    pub fn readonly_field(&mut self, object: &str, field: &str, read_only: bool) -> Outcome<()> {
        let place = self.place(object, field)?;
        if read_only {
            self.read_only.insert(place);
        } else {
            self.read_only.remove(&place);
        }
        Ok(())
    }

    /// Adds a value to a picklist, as an administrator would in Setup.
    ///
    /// # Errors
    /// When there is no such field.
    pub fn add_picklist_value(&mut self, object: &str, field: &str, value: &str) -> Outcome<()> {
        let (at, field) = self.place(object, field)?;
        let picklist = &mut self.schema.objects[at].fields[usize::from(field)].picklist;
        picklist.push(super::schema::Pick { label: value.to_owned(), value: value.to_owned(), active: true, default: false });
        Ok(())
    }

    /// Makes a text field take so many characters.
    ///
    /// # Errors
    /// When there is no such field.
    pub fn set_field_length(&mut self, object: &str, field: &str, length: u32) -> Outcome<()> {
        let (at, field) = self.place(object, field)?;
        self.schema.objects[at].fields[usize::from(field)].length = length;
        Ok(())
    }

    /// From now on a write that leaves `field` at `equals` is refused with `message`.
    ///
    /// # Errors
    /// When there is no such field.
    pub fn add_rule(&mut self, object: &str, field: &str, equals: Value, message: &str) -> Outcome<()> {
        let (object, field) = self.place(object, field)?;
        self.rules.push(ValidationRule { object, field, equals, message: message.to_owned() });
        Ok(())
    }

    /// From now on a write (of `field`, or of any) also sets these fields.
    ///
    /// # Errors
    /// When there is no such field.
    pub fn add_trigger(&mut self, object: &str, field: Option<&str>, set: Map<String, Value>) -> Outcome<()> {
        let at = self.object(object)?;
        for name in set.keys() {
            self.place(object, name)?;
        }
        let field = field.map(|field| self.place(object, field).map(|(_, field)| field)).transpose()?;
        self.triggers.push(Trigger { object: at, field, set });
        Ok(())
    }

    /// The next `times` writes to this row fail with `UNABLE_TO_LOCK_ROW`.
    ///
    /// # Errors
    /// When the text is no id.
    pub fn lock_row(&mut self, id: &str, times: u64) -> Outcome<()> {
        self.locks.insert(own_id(id)?, times);
        Ok(())
    }

    pub fn clear_automation(&mut self) {
        self.rules.clear();
        self.triggers.clear();
        self.locks.clear();
    }

    /// Every session ends now.
    pub fn expire_tokens(&mut self) {
        self.sessions.end_all();
    }

    /// Empties the log behind `deleted/`, as the platform's own background job does.
    pub fn purge_delete_log(&mut self) {
        self.log_purged = self.now();
        for table in &mut self.tables {
            table.log.clear();
        }
    }

    fn place(&mut self, object: &str, field: &str) -> Outcome<(usize, u16)> {
        let (at, now) = (self.object(object)?, self.now());
        let shape = &mut self.schema.objects[at];
        shape.changed = now;
        let field = shape.find(field).ok_or_else(|| SfError::bad("INVALID_FIELD", format!("no field {field} on {object}")))?;
        Ok((at, field))
    }
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

fn own_id(text: &str) -> Outcome<Id> {
    Id::parse(text).ok_or_else(|| SfError::bad("MALFORMED_ID", format!("malformed id {text}")))
}

fn entries(fields: &Value) -> Outcome<&Map<String, Value>> {
    fields.as_object().ok_or_else(|| SfError::bad("JSON_PARSER_ERROR", "the fields of a record are an object"))
}
