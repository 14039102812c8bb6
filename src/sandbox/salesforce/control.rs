//! The control routes of this simulator: what a person at the keyboard, an administrator or the platform itself would do.
//!
//! | route | body | does |
//! |---|---|---|
//! | `GET /__control/state` | | `{"org","now","counts":{object:n},"calls":{kind:n},"used"}` |
//! | `GET /__control/state?object=X[&id=…]` | | rows with all fields, those in the bin too |
//! | `POST /__control/edit` | one edit or an array | as the human user, see below; `{"ids":[…]}` |
//! | `POST /__control/reset` | | an org without data; settings, tokens and counters as at the start |
//! | `GET /__control/settings` | | the settings of [`super::settings`] and what is hidden |
//! | `POST /__control/settings` | an object | changes any of them, and the switches below |
//!
//! An edit is `{"do":…, "object":…, "id":…, "fields":{…}}`:
//!
//! | `do` | also | |
//! |---|---|---|
//! | `create` `update` `delete` | `stamp` (back-dated) or `visible_after_seconds` (a late commit) | |
//! | `undelete` `purge` | | out of the bin; gone for good |
//! | `merge` | `losers:[…]`, `fields` | into `id` |
//! | `activate_order` | `stamp` | `Status` to Activated |
//! | `purge_delete_log` | | what `deleted/` knows is forgotten |
//!
//! Switches of `settings`, each an object (or `true`, or a text):
//!
//! | key | value |
//! |---|---|
//! | `hide_field` `show_field` `readonly_field` `writable_field` | `{"object","field"}` |
//! | `add_field` | `{"object","xml"}`, the text of a `field-meta.xml`, formulas too |
//! | `picklist_value` | `{"object","field","value"}`: one more value |
//! | `field_length` | `{"object","field","length"}` |
//! | `validation_rule` | `{"object","field","equals","message"}` |
//! | `trigger` | `{"object","field"?,"set":{…}}` |
//! | `lock_row` | `{"id","times"}` |
//! | `clear_automation` `expire_tokens` `clear_calls` | `true` |
//! | `org_id` | an id: another org answers from now on |
//!
//! `/__control/faults` and `/__control/clock` are common to all simulators.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Map, Value, json};

use super::error::SfError;
use super::http::{Call, Reply};
use super::ids::Id;
use super::value::Cell;
use super::world::{Outcome, World};

impl World {
    pub(super) fn control(&mut self, call: &Call, path: &[String]) -> Reply {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let done = match (call.method.as_str(), path.as_slice()) {
            ("GET", ["state"]) => self.state(call),
            ("POST", ["edit"]) => self.edits(call),
            ("POST", ["reset"]) => {
                self.reset();
                Ok(json!({"reset": true}))
            }
            ("GET", ["settings"]) => Ok(self.shown_settings()),
            ("POST", ["settings"]) => self.switch(call).map(|()| self.shown_settings()),
            _ => Err(SfError::not_found()),
        };
        match done {
            Ok(value) => Reply::json(200, value.to_string()),
            Err(error) => {
                Reply::json(error.status, json!({"error": error.message, "code": error.code, "fields": error.fields}).to_string())
            }
        }
    }

    fn state(&mut self, call: &Call) -> Outcome<Value> {
        let Some(object) = call.parameter("object") else {
            let used = self.used();
            return Ok(
                json!({"org": self.org.as_str(), "now": self.clock().now(), "counts": self.counts(), "calls": self.calls, "used": used}),
            );
        };
        let at = self.object(object)?;
        if let Some(id) = call.parameter("id") {
            return self.row(object, id).ok_or_else(SfError::not_found);
        }
        Ok(self.tables[at].rows.values().map(|row| self.row_json(at, row)).collect())
    }

    fn edits(&mut self, call: &Call) -> Outcome<Value> {
        let edits = match super::rest::body_json(call)? {
            Value::Array(edits) => edits,
            one => vec![one],
        };
        let mut ids = Vec::with_capacity(edits.len());
        for edit in &edits {
            ids.push(self.edit(edit)?);
        }
        Ok(json!({"ids": ids}))
    }

    fn edit(&mut self, edit: &Value) -> Outcome<String> {
        let text = |key: &str| edit[key].as_str().unwrap_or_default();
        let (verb, object, id) = (text("do"), text("object"), text("id"));
        let fields = if edit["fields"].is_object() { edit["fields"].clone() } else { json!({}) };
        let stamp = match &edit["stamp"] {
            Value::Null => self.clock().now(),
            given => instant(given)?,
        };
        if let Some(after) = edit["visible_after_seconds"].as_i64() {
            let at = self.clock().now() + Duration::try_seconds(after).unwrap_or_default();
            return self.begin(verb, object, Some(id).filter(|id| !id.is_empty()), &fields, at);
        }
        match verb {
            "create" => return self.insert_at(object, &fields, stamp),
            "update" => self.update_at(object, id, &fields, stamp)?,
            "delete" => self.delete_at(object, id, stamp)?,
            "undelete" => self.undelete(object, id)?,
            "purge" => self.purge(object, id)?,
            "merge" => {
                let losers: Vec<&str> = edit["losers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                self.merge(object, id, &losers, &fields)?;
            }
            "activate_order" => self.activate_order_at(id, stamp)?,
            "purge_delete_log" => self.purge_delete_log(),
            _ => {
                return Err(SfError::bad("INVALID_INPUT", format!("there is no edit \"{verb}\"")));
            }
        }
        Ok(id.to_owned())
    }

    fn shown_settings(&self) -> Value {
        let mut shown = serde_json::to_value(&self.settings).unwrap_or_default();
        let names = |places: &std::collections::BTreeSet<(usize, u16)>| -> Value {
            let name = |(object, field): &(usize, u16)| {
                format!("{}.{}", self.schema.objects[*object].name, self.schema.objects[*object].field(*field).name)
            };
            places.iter().map(name).collect()
        };
        shown["hidden"] = names(&self.hidden);
        shown["read_only"] = names(&self.read_only);
        shown
    }

    fn switch(&mut self, call: &Call) -> Outcome<()> {
        let body = super::rest::body_json(call)?;
        let wrong = |text: String| SfError::bad("INVALID_INPUT", text);
        let switches = body.as_object().ok_or_else(|| wrong("an object is expected".to_owned()))?;
        for (key, value) in switches {
            let text = |name: &str| value[name].as_str().unwrap_or_default();
            match key.as_str() {
                "hide_field" | "show_field" => self.hide_field(text("object"), text("field"), key == "hide_field")?,
                "readonly_field" | "writable_field" => self.readonly_field(text("object"), text("field"), key == "readonly_field")?,
                "add_field" => {
                    self.add_field(text("object"), text("xml")).map_err(wrong)?;
                }
                "picklist_value" => self.add_picklist_value(text("object"), text("field"), text("value"))?,
                "field_length" => {
                    let length = value["length"].as_u64().and_then(|n| u32::try_from(n).ok());
                    self.set_field_length(text("object"), text("field"), length.ok_or_else(|| wrong("a length is a number".to_owned()))?)?;
                }
                "validation_rule" => self.add_rule(text("object"), text("field"), value["equals"].clone(), text("message"))?,
                "trigger" => {
                    let set: Map<String, Value> = value["set"].as_object().cloned().unwrap_or_default();
                    self.add_trigger(text("object"), value["field"].as_str(), set)?;
                }
                "lock_row" => self.lock_row(text("id"), value["times"].as_u64().unwrap_or(1))?,
                "clear_automation" => self.clear_automation(),
                "expire_tokens" => self.expire_tokens(),
                "clear_calls" => self.calls.clear(),
                "org_id" => {
                    let org = value.as_str().and_then(Id::parse).filter(|id| id.prefix() == "00D");
                    self.change_org(org.ok_or_else(|| wrong(format!("{value} is no org id")))?);
                }
                _ => self.settings.set(key, value).map_err(wrong)?,
            }
            if key == "is_sandbox" {
                let (org, sandbox) = (self.org, self.settings.is_sandbox);
                let object = self.object("Organization")?;
                self.poke(object, org, "IsSandbox", Some(Cell::Bool(sandbox)));
            }
        }
        Ok(())
    }
}

fn instant(value: &Value) -> Outcome<DateTime<Utc>> {
    let at = value.as_str().and_then(super::value::parse_instant).and_then(|at| DateTime::from_timestamp(at, 0));
    at.ok_or_else(|| SfError::bad("INVALID_INPUT", format!("{value} is no instant")))
}
