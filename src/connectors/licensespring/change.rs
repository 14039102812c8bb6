//! Changing and deleting a record that exists.
//!
//! There is no optimistic lock and no idempotency key, but a change names a target state: what became of a lost one is
//! read, and only what is not so yet is sent again.

use super::LicenseSpring;
use super::body::{Body, Call};
use super::catalogue::{CUSTOMER, CUSTOMER_ACCOUNT, LICENSE, record_path};
use super::list::{Row, row_id};
use super::metadata::shows;
use super::outcome::{Steps, failed, is_unknown, rejected, sent, unsent, wait_s};
use super::own_id;
use super::refusal::Refusal;
use super::row::holds_anything;
use super::wire::Trouble;
use crate::connectors::ResourceSpec;
use crate::plan::{Outcome, Write};
use crate::record::{Fields, Value};
use reqwest::Method;
use serde_json::Value as J;

/// How often a change whose answer is lost is sent in all.
const TRIES: u32 = 3;

impl LicenseSpring {
    pub(super) async fn update(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        let mut steps = Steps::default();
        let settled = async {
            let id = id_of(write).map_err(rejected)?;
            if !resource.can_update {
                return Err(rejected(Refusal::new("not-supported", format!("a {} cannot be changed", resource.name), &[])));
            }
            // Everything is checked before anything is sent.
            Body::of(resource, &write.fields, Call::Update).map_err(rejected)?;
            let row = if needs_row(resource, &write.fields) { self.row(resource, id).await.map_err(unsent)? } else { Row::new() };
            owned_by_billing(resource, id, &row, &write.fields).map_err(rejected)?;
            let row = self.change(resource, id, row, &write.fields).await?;
            steps.say("patch", write.fields.keys().cloned().collect::<Vec<_>>().join(", "));
            Ok(row)
        };
        match settled.await {
            Ok(row) => self.done(write, resource, row, steps).await,
            Err(outcome) => outcome,
        }
    }

    /// Brings a record to these values. `row` is what it shows now, needed where `needs_row` says so.
    pub(super) async fn change(&self, resource: &'static ResourceSpec, id: i64, row: Row, fields: &Fields) -> Result<Row, Outcome> {
        let mut row = row;
        for part in parts(fields) {
            let mut body = Body::of(resource, &part, Call::Update).map_err(rejected)?;
            complete_trial(&mut body.plain, &row);
            let changes = std::mem::take(&mut body.metadata);
            let whole = if changes.is_empty() { None } else { Some(self.metadata_with(&row, &changes).map_err(rejected)?) };
            if let Some(whole) = &whole {
                body.plain.insert("metadata".to_owned(), self.metadata_form.argument(whole.clone()));
            }
            row = self.patch(resource, id, J::Object(body.plain), &part).await?;
            if let Some(whole) = whole {
                row = self.metadata_kept(resource, id, row, &whole).await.map_err(sent)?;
                if !row.contains_key("metadata") {
                    row = self.row(resource, id).await.map_err(sent)?;
                }
                if !shows(&row, &changes) {
                    let text = format!("LicenseSpring accepted the metadata of {} {id} and does not show it", resource.name);
                    return Err(rejected(Refusal::new("metadata-not-kept", text, &["metadata"])));
                }
            }
        }
        if let (LICENSE, Some(enabled)) = (resource.name, fields.get("enabled")) {
            row = self.set_enabled(resource, id, *enabled == Value::Bool(true)).await?;
        }
        if row_id(&row).is_none() {
            row = self.row(resource, id).await.map_err(unsent)?;
        }
        Ok(row)
    }

    /// One PATCH, and the row after it.
    async fn patch(&self, resource: &'static ResourceSpec, id: i64, body: J, fields: &Fields) -> Result<Row, Outcome> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.wire.write(Method::PATCH, &record_path(resource.name, id), Some(&body)).await {
                Ok(J::Object(row)) if row_id(&row) == Some(id) => return Ok(row),
                Ok(_) => return self.row(resource, id).await.map_err(sent),
                Err(trouble) if is_unknown(&trouble) => {
                    if let Ok(row) = self.row(resource, id).await
                        && self.shows(resource, &row, fields).await.unwrap_or(false)
                    {
                        return Ok(row);
                    }
                    if tries >= TRIES {
                        return Err(sent(trouble));
                    }
                    wait_s(1 << tries).await;
                }
                Err(trouble) => return Err(sent(trouble)),
            }
        }
    }

    /// Enable and disable are calls of their own that answer a sentence; whether one may be repeated is not published.
    async fn set_enabled(&self, resource: &'static ResourceSpec, id: i64, target: bool) -> Result<Row, Outcome> {
        let is = |row: &Row| row.get("enabled").and_then(J::as_bool) == Some(target);
        let row = self.row(resource, id).await.map_err(unsent)?;
        if is(&row) {
            return Ok(row);
        }
        let path = format!("{}{}/", record_path(LICENSE, id), if target { "enable" } else { "disable" });
        let mut told = self.wire.write(Method::POST, &path, None).await;
        for wait in self.looks_s {
            wait_s(*wait).await;
            match self.row(resource, id).await {
                Ok(row) if is(&row) => return Ok(row),
                Ok(_) => match &told {
                    Err(trouble) if is_unknown(trouble) => told = self.wire.write(Method::POST, &path, None).await,
                    Err(trouble) => return Err(sent(trouble.clone())),
                    Ok(_) => {}
                },
                Err(Trouble::Missing) => return Err(Outcome::Missing),
                Err(_) => {}
            }
        }
        let verb = if target { "enabled" } else { "disabled" };
        Err(Outcome::Unknown { message: format!("license {id} does not show as {verb} yet") })
    }

    pub(super) async fn delete(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        let mut steps = Steps::default();
        match self.delete_steps(write, resource, &mut steps).await {
            Ok(id) => Outcome::Done { id: id.to_string().into(), record: None, steps: steps.0 },
            Err(outcome) => outcome,
        }
    }

    async fn delete_steps(&self, write: &Write, resource: &'static ResourceSpec, steps: &mut Steps) -> Result<i64, Outcome> {
        let id = id_of(write).map_err(rejected)?;
        if !resource.can_delete {
            return Err(rejected(Refusal::new("not-supported", format!("a {} is never deleted", resource.name), &[])));
        }
        // What a deletion takes along is not published, so nothing is deleted that has anything below it.
        if matches!(resource.name, CUSTOMER | CUSTOMER_ACCOUNT) {
            match self.row(resource, id).await {
                Ok(row) if holds_anything(resource.name, &row) => {
                    let text = format!("{} {id} still has orders, licenses or customers", resource.name);
                    return Err(rejected(Refusal::new("in-use", text, &[])));
                }
                Ok(_) => {}
                Err(Trouble::Missing) => return Ok(id),
                Err(trouble) => return Err(unsent(trouble)),
            }
        }
        let mut tries = 0;
        loop {
            tries += 1;
            match self.wire.write(Method::DELETE, &record_path(resource.name, id), None).await {
                Ok(_) => steps.say("delete", "deleted"),
                Err(Trouble::Missing) => steps.say("delete", "was not there"),
                Err(trouble) if is_unknown(&trouble) => match self.row(resource, id).await {
                    Err(Trouble::Missing) => steps.say("delete", "deleted, the answer was lost"),
                    Ok(_) if tries < TRIES => {
                        wait_s(1 << tries).await;
                        continue;
                    }
                    _ => return Err(sent(trouble)),
                },
                Err(trouble) => return Err(sent(trouble)),
            }
            return Ok(id);
        }
    }

    pub(super) async fn resolve_update(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        let settled = async {
            let id = id_of(write).map_err(rejected)?;
            let row = self.row(resource, id).await.map_err(still_unknown)?;
            if self.shows(resource, &row, &write.fields).await.map_err(still_unknown)? {
                Ok(row)
            } else {
                Err(failed("not-done", format!("{} {id} does not show the change", resource.name)))
            }
        };
        match settled.await {
            Ok(row) => self.done(write, resource, row, Steps::default()).await,
            Err(outcome) => outcome,
        }
    }

    pub(super) async fn resolve_delete(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        let id = match id_of(write) {
            Ok(id) => id,
            Err(refusal) => return rejected(refusal),
        };
        match self.row(resource, id).await {
            Err(Trouble::Missing) => Outcome::Done { id: id.to_string().into(), record: None, steps: Vec::new() },
            Ok(_) => failed("not-done", format!("{} {id} is still there", resource.name)),
            Err(trouble) => still_unknown(trouble),
        }
    }
}

/// Trouble while looking what became of a write.
pub fn still_unknown(trouble: Trouble) -> Outcome {
    match trouble {
        Trouble::Missing => Outcome::Missing,
        Trouble::Denied(r) | Trouble::Refused(r) => Outcome::Unknown { message: format!("still not known: {} ({})", r.message, r.code) },
        Trouble::Fault(f) => Outcome::Unknown { message: format!("still not known: {f}") },
    }
}

/// The id of the record a write names.
pub fn id_of(write: &Write) -> Result<i64, Refusal> {
    let shown = write.id.as_ref().map_or("nothing", |id| id.as_str());
    write.id.as_ref().and_then(own_id).ok_or_else(|| Refusal::new("no-id", format!("{shown:?} is no LicenseSpring id"), &[]))
}

/// Whether a change can only be worded knowing what the record holds.
fn needs_row(resource: &ResourceSpec, fields: &Fields) -> bool {
    fields.keys().any(|name| resource.field(name).is_none()) || fields.contains_key("is_trial") || moves_end(resource, fields).is_some()
}

/// The field by which a change moves the end of a license.
fn moves_end(resource: &ResourceSpec, fields: &Fields) -> Option<&'static str> {
    if resource.name != LICENSE {
        return None;
    }
    ["validity_period", "valid_duration"].into_iter().find(|name| fields.contains_key(*name))
}

/// How long a subscription lasts is told to the platform by the billing system behind it; a date of ours would be undone
/// by the next renewal, or would undo it.
fn owned_by_billing(resource: &ResourceSpec, id: i64, row: &Row, fields: &Fields) -> Result<(), Refusal> {
    let subscription = row.get("license_type").and_then(J::as_str) == Some("subscription");
    match moves_end(resource, fields).filter(|_| subscription) {
        Some(name) => {
            let text = format!(
                "license {id} is a subscription: the billing system that owns the subscription decides its end; change it there, or leave {name} unmapped"
            );
            Err(Refusal::new("subscription-owned-elsewhere", text, &[name]))
        }
        None => Ok(()),
    }
}

/// The calls a change takes: `enabled` has its own, and a duration and an end date are never sent together.
fn parts(fields: &Fields) -> Vec<Fields> {
    let mut rest: Fields = fields.iter().filter(|(n, _)| *n != "enabled").map(|(n, v)| (n.clone(), v.clone())).collect();
    let mut parts = Vec::new();
    if rest.contains_key("validity_period")
        && let Some((name, value)) = rest.remove_entry("valid_duration")
    {
        parts.push(Fields::from([(name, value)]));
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

/// The vendor wants `is_trial` sent together with how long the trial lasts.
fn complete_trial(body: &mut Row, row: &Row) {
    const LASTS: [&str; 3] = ["validity_period", "valid_duration", "trial_days"];
    if !body.contains_key("is_trial") || LASTS.iter().any(|name| body.contains_key(*name)) {
        return;
    }
    let held = LASTS.iter().find_map(|name| {
        let value = row.get(*name).filter(|v| !v.is_null() && v.as_str().is_none_or(|t| !t.is_empty() && !t.starts_with("0000")))?;
        Some(((*name).to_owned(), value.clone()))
    });
    let (name, value) = held.unwrap_or_else(|| ("trial_days".to_owned(), J::from(0)));
    body.insert(name, value);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_duration_and_an_end_date_travel_apart() {
        let fields: Fields =
            ["enabled", "valid_duration", "validity_period", "note"].map(|n| (n.to_owned(), Value::text("x"))).into_iter().collect();
        let names: Vec<Vec<String>> = parts(&fields).iter().map(|p| p.keys().cloned().collect()).collect();
        assert_eq!(names, [vec!["valid_duration".to_owned()], vec!["note".to_owned(), "validity_period".to_owned()]]);
        assert!(parts(&Fields::from([("enabled".to_owned(), Value::Bool(true))])).is_empty());
    }

    #[test]
    fn a_trial_flag_takes_its_length_along() {
        for (row, want) in [
            (json!({"validity_period": "2027-01-01", "trial_days": 3}), json!({"is_trial": true, "validity_period": "2027-01-01"})),
            (json!({"validity_period": "0000-00-00", "valid_duration": "1y"}), json!({"is_trial": true, "valid_duration": "1y"})),
            (json!({}), json!({"is_trial": true, "trial_days": 0})),
        ] {
            let mut body = json!({"is_trial": true}).as_object().unwrap().clone();
            complete_trial(&mut body, row.as_object().unwrap());
            assert_eq!(J::Object(body), want);
        }
    }
}
