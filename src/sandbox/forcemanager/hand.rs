//! What a person does in the app: add, change and delete records of every resource, also those a key pair cannot write.
//!
//! People fill in what is required, so a branch, a responsible user, a status and the like are supplied when they are not
//! said. Dates and users are recorded as for calls. The same edits are reachable from Rust and as JSON at `/__control/edit`.

use serde_json::{Map, Value, json};

use super::check::Writer;
use super::reply::Refusal;
use super::schema::{Kind, Object};
use super::show;
use super::world::World;

impl World {
    /// A new record, by the usual person.
    ///
    /// # Errors
    /// 400: a field that is wrong or unknown, a reference to nothing.
    pub fn add(&mut self, object: Object, fields: &Value) -> Result<i64, Refusal> {
        self.add_by(object, fields, self.person)
    }

    /// A new record, by this user.
    ///
    /// # Errors
    /// As [`World::add`].
    pub fn add_by(&mut self, object: Object, fields: &Value, by: i64) -> Result<i64, Refusal> {
        self.wake();
        let mut fields = as_object(fields)?.clone();
        let missing: Vec<(&str, Kind)> = object
            .fields()
            .filter(|field| field.required && fields.get(field.name).is_none_or(Value::is_null))
            .map(|field| (field.name, field.kind))
            .collect();
        for (name, kind) in missing {
            if let Some(usual) = self.usual(name, kind, by) {
                fields.insert(name.to_owned(), usual);
            }
        }
        self.create(object, &fields, Writer::Person(by))
    }

    /// Changes the named fields of a record.
    ///
    /// # Errors
    /// As [`World::add`]; an id that is not there or deleted.
    pub fn edit_by(&mut self, object: Object, id: i64, fields: &Value, by: i64) -> Result<(), Refusal> {
        self.wake();
        self.change(object, id, as_object(fields)?, Writer::Person(by))
    }

    /// As [`World::edit_by`], by the usual person.
    ///
    /// # Errors
    /// As [`World::edit_by`].
    pub fn edit(&mut self, object: Object, id: i64, fields: &Value) -> Result<(), Refusal> {
        self.edit_by(object, id, fields, self.person)
    }

    /// Deletes a record; it stays, marked.
    ///
    /// # Errors
    /// An id that is not there or deleted; an account whose children the switch protects.
    pub fn erase(&mut self, object: Object, id: i64) -> Result<(), Refusal> {
        self.wake();
        self.delete(object, id, Writer::Person(self.person))
    }

    /// An extra field made in the app; `type` may be the name of a kind.
    ///
    /// # Errors
    /// A missing or wrong part, a name that is taken.
    pub fn add_extra_field(&mut self, object: Object, body: &Value) -> Result<i64, Refusal> {
        self.wake();
        self.define(object, as_object(body)?, Writer::Person(self.person))
    }

    // ---- looking ----

    /// A record with every stored field, undistorted.
    pub fn get(&self, object: Object, id: i64) -> Option<Value> {
        self.row(object, id).map(|row| show::plain_row(self, object, row))
    }

    /// All records by id, deleted ones too, each as [`World::get`] shows it.
    pub fn rows(&self, object: Object) -> Vec<Value> {
        self.table(object).rows().map(|row| show::plain_row(self, object, row)).collect()
    }

    // ---- as JSON ----

    /// One edit of `/__control/edit`; answers the record it touched.
    ///
    /// # Errors
    /// An unknown `op` or object, and what the edit itself refuses.
    pub fn carry_out(&mut self, edit: &Value) -> Result<Value, Refusal> {
        let id = || edit["id"].as_i64().ok_or_else(|| Refusal::bad("id is a whole number"));
        let object = || {
            let name = edit["object"].as_str().ok_or_else(|| Refusal::bad("object is missing"))?;
            Object::parse(name).ok_or_else(|| Refusal::bad(format!("there is no object {name}")))
        };
        let by = match &edit["by"] {
            Value::Null => self.person,
            by => by.as_i64().filter(|by| self.row(Object::User, *by).is_some()).ok_or_else(|| Refusal::bad("by is the id of a user"))?,
        };
        let none = json!({});
        let fields = edit.get("fields").unwrap_or(&none);
        self.wake();
        let touched = match edit["op"].as_str().unwrap_or_default() {
            "create" => self.add_by(object()?, fields, by)?,
            "update" => {
                self.edit_by(object()?, id()?, fields, by)?;
                id()?
            }
            "delete" => {
                self.delete(object()?, id()?, Writer::Person(by))?;
                id()?
            }
            "purge" => {
                let (object, id) = (object()?, id()?);
                return if self.purge(object, id) { Ok(json!({"purged": id})) } else { Err(self.unknown(object, id)) };
            }
            "add_field" => {
                let id = self.add_extra_field(object()?, fields)?;
                return Ok(json!({"id": id}));
            }
            "remove_field" => {
                let (object, name) = (object()?, fields["fieldName"].as_str().unwrap_or_default());
                let removed = self.extras.remove(object, name);
                return if removed { Ok(json!({"removed": name})) } else { Err(Refusal::bad(format!("there is no extra field {name}"))) };
            }
            "expire_tokens" => {
                let now = self.now();
                self.tokens.expire(now);
                return Ok(json!({"expired": true}));
            }
            other => return Err(Refusal::bad(format!("there is no op {other:?}"))),
        };
        let object = object()?;
        self.get(object, touched).ok_or_else(|| self.unknown(object, touched))
    }

    /// What the app puts into a required field by itself.
    fn usual(&self, name: &str, kind: Kind, by: i64) -> Option<Value> {
        match (name, kind) {
            (_, Kind::Link(Object::User)) => Some(by.into()),
            (_, Kind::Link(Object::Account | Object::Contact | Object::Opportunity)) => None,
            (_, Kind::Link(to)) => self.table(to).rows().find(|row| row.is_live()).map(|row| row.id.into()),
            ("salesProbability", _) => Some(0.into()),
            (_, Kind::Stamp) => Some(super::dates::shown(self.now(), 3).into()),
            ("firstName", _) => Some("".into()),
            _ => None,
        }
    }
}

fn as_object(body: &Value) -> Result<&Map<String, Value>, Refusal> {
    body.as_object().ok_or_else(|| Refusal::bad("an object is expected"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sandbox::clock::Clock;

    fn world() -> World {
        let clock = Clock::system();
        clock.freeze("2026-01-05T06:31:19Z".parse().unwrap());
        World::new(clock)
    }

    #[test]
    fn people_create_change_and_delete_every_object() {
        let mut world = world();
        let account = world.add(Object::Account, &json!({"name": "Alder"})).unwrap();
        for (object, fields, change) in [
            (Object::Account, json!({"name": "Birch"}), json!({"city": "Bern"})),
            (Object::Contact, json!({"lastName": "Ito", "accountId": account}), json!({"phone1": "1"})),
            (Object::Opportunity, json!({"reference": "Big"}), json!({"total": 7.5})),
            (Object::Activity, json!({"accountId": account}), json!({"comment": "x"})),
            (Object::Calendar, json!({}), json!({"task": true})),
            (Object::User, json!({"name": "Ada"}), json!({"isActive": false})),
            (Object::SalesOrder, json!({}), json!({"number": 3})),
            (Object::SalesOrderLine, json!({}), json!({"quantity": 2})),
            (Object::Product, json!({"model": "Orbit"}), json!({"price": 9})),
            (Object::Branch, json!({"descriptionEN": "North"}), json!({"descriptionES": "Norte"})),
            (Object::ActivityType, json!({"descriptionEN": "Demo"}), json!({"descriptionIT": "Demo"})),
        ] {
            let id = world.add(object, &fields).unwrap_or_else(|refusal| panic!("{object:?}: {refusal}"));
            world.edit(object, id, &change).unwrap();
            let (name, value) = change.as_object().unwrap().iter().next().unwrap();
            assert_eq!(world.get(object, id).unwrap()[name], *value, "{object:?}");
            world.erase(object, id).unwrap();
            assert_eq!(world.get(object, id).unwrap()["deleted"], true, "{object:?}");
            assert!(world.edit(object, id, &change).is_err(), "{object:?}");
        }
    }

    #[test]
    fn edits_say_who_and_what_is_wrong() {
        let mut world = world();
        let by = world.integration_user;
        let made = world.carry_out(&json!({"op": "create", "object": "account", "fields": {"name": "Alder"}, "by": by})).unwrap();
        assert_eq!(made["salesRepIdCreated"], by);
        for (edit, reason) in [
            (json!({"op": "explode"}), "no op"),
            (json!({"op": "create", "object": "nothing"}), "no object"),
            (json!({"op": "create", "object": "account", "by": 5}), "id of a user"),
            (json!({"op": "create", "object": "contact", "fields": {"lastName": "x"}}), "accountId is required"),
            (json!({"op": "update", "object": "account", "id": 5}), "there is no account 5"),
            (json!({"op": "remove_field", "object": "account", "fields": {"fieldName": "x"}}), "no extra field"),
        ] {
            assert!(world.carry_out(&edit).unwrap_err().to_string().contains(reason), "{edit}");
        }
        world.carry_out(&json!({"op": "purge", "object": "account", "id": made["id"]})).unwrap();
        assert!(world.get(Object::Account, made["id"].as_i64().unwrap()).is_none());
    }
}
