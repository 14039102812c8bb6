//! Changing and deleting a record that exists.
//!
//! A change names a target state: what became of a lost one is read, and only what is not so yet is sent again. A deletion
//! cannot be taken back, and one of what is gone already is done.

use super::ForceManager;
use super::body::{Call, emptied, needs_row};
use super::catalogue::{LINK, path};
use super::list::{Row, flag, is_deleted, value};
use super::outcome::{Steps, failed, is_unknown, rejected, sent, still_unknown, unsent, wait_s};
use super::own_id;
use super::refusal::Refusal;
use super::wire::Trouble;
use crate::connectors::ResourceSpec;
use crate::plan::{Outcome, Write};
use crate::record::{Fields, Value};
use reqwest::Method;
use serde_json::Value as J;

/// How often a change whose answer is lost is sent in all.
const TRIES: u32 = 3;

impl ForceManager {
    pub(super) async fn update(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        let mut steps = Steps::default();
        let changed = async {
            let id = id_of_write(write).map_err(rejected)?;
            let row = if needs_row(&write.fields) { Some(self.living(resource, id).await?) } else { None };
            if let Some(row) = &row {
                self.own_link(&write.fields, row).map_err(rejected)?;
            }
            let body = self.body(resource, &write.fields, Call::Update, row.as_ref(), &mut steps).await?;
            if body.is_empty() {
                return self.living(resource, id).await.map(|row| (id, row));
            }
            let row = self.put(resource, id, &body, &write.fields).await?;
            steps.say("change", body.keys().cloned().collect::<Vec<_>>().join(", "));
            let row = self.emptied(resource, id, &body, row, &mut steps).await?;
            Ok((id, row))
        };
        match changed.await {
            Ok((id, row)) => self.settled(write, resource, id, Some(row), steps).await,
            Err(outcome) => outcome,
        }
    }

    /// The row of a record that is to be changed.
    async fn living(&self, resource: &'static ResourceSpec, id: i64) -> Result<Row, Outcome> {
        match self.row(resource, id).await.map_err(unsent)? {
            Some(row) if !is_deleted(&row) => Ok(row),
            Some(_) | None => Err(Outcome::Missing),
        }
    }

    /// Somebody else may own the link field: what they wrote there stays.
    fn own_link(&self, fields: &Fields, row: &Row) -> Result<(), Refusal> {
        let Some(wanted) = fields.get(LINK).and_then(Value::as_text) else { return Ok(()) };
        let held = value(row, &self.link_field).and_then(J::as_str).map(str::trim).filter(|t| !t.is_empty());
        match held {
            Some(held) if held != wanted => {
                let text = format!(
                    "{} holds {held:?} already, which is not ours; name another link-field if that field is in use",
                    self.link_field
                );
                Err(Refusal::new("foreign-link", text, &[LINK]))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// One PUT, and the row after it.
    async fn put(&self, resource: &'static ResourceSpec, id: i64, body: &Row, fields: &Fields) -> Result<Row, Outcome> {
        let at = format!("{}/{id}", path(resource.name).unwrap_or_default());
        let mut tries = 0;
        loop {
            tries += 1;
            match self.wire.write(Method::PUT, &at, Some(&J::Object(body.clone()))).await {
                Ok(_) => return self.row_soon(resource, id).await.map_err(after_change),
                Err(trouble) if is_unknown(&trouble) => {
                    if let Ok(Some(row)) = self.row(resource, id).await
                        && self.shows(resource, &row, fields).await.unwrap_or(false)
                    {
                        return Ok(row);
                    }
                    if tries >= TRIES {
                        return Err(sent(trouble));
                    }
                    wait_s(self.looks_s.last().copied().unwrap_or(0)).await;
                }
                Err(trouble) if trouble.may_mean_gone() => {
                    let row = self.living(resource, id).await?;
                    if flag(&row, "readOnly") == Some(true) {
                        let text = format!("{} {id} is read-only in ForceManager", resource.name);
                        return Err(rejected(Refusal::new("read-only", text, &[])));
                    }
                    return Err(sent(trouble));
                }
                Err(trouble) => return Err(sent(trouble)),
            }
        }
    }

    /// What null did not empty is sent as "" once more.
    async fn emptied(&self, resource: &'static ResourceSpec, id: i64, body: &Row, row: Row, steps: &mut Steps) -> Result<Row, Outcome> {
        let filled = |name: &String| {
            let held = value(&row, name);
            held.is_some_and(|v| match v {
                J::Null => false,
                // A sentinel date is what an emptied date may look like.
                J::String(text) => super::dates::instant(text).is_some(),
                J::Object(_) => super::list::id_of(v).is_some(),
                J::Number(n) => n.as_i64() != Some(0),
                J::Bool(_) | J::Array(_) => false,
            })
        };
        let stubborn: Vec<String> = emptied(body).into_iter().filter(filled).collect();
        if stubborn.is_empty() {
            return Ok(row);
        }
        let again: Row = stubborn.iter().map(|name| (name.clone(), J::from(""))).collect();
        steps.say("change", format!("{} emptied with \"\"", stubborn.join(", ")));
        let at = format!("{}/{id}", path(resource.name).unwrap_or_default());
        match self.wire.write(Method::PUT, &at, Some(&J::Object(again))).await {
            Ok(_) => self.row_soon(resource, id).await.map_err(after_change),
            // The rest of the change is done; that this is still filled is what the row says.
            Err(_) => Ok(row),
        }
    }

    /// Whether a row shows all these values: in canonical form.
    async fn shows(&self, resource: &'static ResourceSpec, row: &Row, fields: &Fields) -> Result<bool, Trouble> {
        let names: Vec<String> = fields.keys().cloned().collect();
        let shown = self.record(resource, row.clone(), &names).await?;
        Ok(shown.is_some_and(|record| fields.iter().all(|(name, value)| record.fields.get(name) == Some(value))))
    }

    pub(super) async fn delete(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        let mut steps = Steps::default();
        match self.delete_steps(write, resource, &mut steps).await {
            Ok(id) => Outcome::Done { id: id.to_string().into(), record: None, steps: steps.0 },
            Err(outcome) => outcome,
        }
    }

    async fn delete_steps(&self, write: &Write, resource: &'static ResourceSpec, steps: &mut Steps) -> Result<i64, Outcome> {
        let id = id_of_write(write).map_err(rejected)?;
        let at = format!("{}/{id}", path(resource.name).unwrap_or_default());
        let gone = async || self.row(resource, id).await.map(|row| row.is_none_or(|row| is_deleted(&row)));
        let mut tries = 0;
        loop {
            tries += 1;
            match self.wire.write(Method::DELETE, &at, None).await {
                Ok(_) => steps.say("delete", "deleted"),
                Err(trouble) if is_unknown(&trouble) => match gone().await {
                    Ok(true) => steps.say("delete", "deleted, the answer was lost"),
                    Ok(false) if tries < TRIES => continue,
                    Ok(false) | Err(_) => return Err(sent(trouble)),
                },
                Err(trouble) if trouble.may_mean_gone() => match gone().await {
                    Ok(true) => steps.say("delete", "was not there"),
                    Ok(false) | Err(_) => return Err(sent(trouble)),
                },
                Err(trouble) => return Err(sent(trouble)),
            }
            return Ok(id);
        }
    }

    pub(super) async fn resolve_update(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        let id = match id_of_write(write) {
            Ok(id) => id,
            Err(refusal) => return rejected(refusal),
        };
        let row = match self.row(resource, id).await {
            Ok(Some(row)) if !is_deleted(&row) => row,
            Ok(_) => return Outcome::Missing,
            Err(trouble) => return still_unknown(trouble),
        };
        match self.shows(resource, &row, &write.fields).await {
            Ok(true) => self.settled(write, resource, id, Some(row), Steps::default()).await,
            Ok(false) => failed("not-done", format!("{} {id} does not show the change", resource.name)),
            Err(trouble) => still_unknown(trouble),
        }
    }

    pub(super) async fn resolve_delete(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        let id = match id_of_write(write) {
            Ok(id) => id,
            Err(refusal) => return rejected(refusal),
        };
        match self.row(resource, id).await {
            Ok(Some(row)) if !is_deleted(&row) => failed("not-done", format!("{} {id} is still there", resource.name)),
            Ok(_) => Outcome::Done { id: id.to_string().into(), record: None, steps: Vec::new() },
            Err(trouble) => still_unknown(trouble),
        }
    }
}

/// The change was taken; that the record cannot be read now leaves open what it holds.
fn after_change(trouble: Trouble) -> Outcome {
    match trouble {
        Trouble::Missing => Outcome::Unknown { message: "the change was taken, but the record does not show".to_owned() },
        trouble => still_unknown(trouble),
    }
}

/// The id of the record a write names.
pub fn id_of_write(write: &Write) -> Result<i64, Refusal> {
    let shown = write.id.as_ref().map_or("nothing", |id| id.as_str());
    write.id.as_ref().and_then(own_id).ok_or_else(|| Refusal::new("no-id", format!("{shown:?} is no ForceManager id"), &[]))
}
