//! Creating customers and customer accounts: looked for first, looked for again when the answer is lost.
//!
//! The service keeps no idempotency key and minds no double: the key we plant, and looking for it, is what makes a create
//! happen once.

use super::LicenseSpring;
use super::body::{Body, Call, put};
use super::catalogue::{list_path, type_of};
use super::list::{Row, row_id};
use super::outcome::{Steps, failed, half_done, is_unknown, rejected, sent, unsent, unsent_fault, wait_s};
use super::refusal::Refusal;
use super::row::differing;
use super::wire::Trouble;
use crate::connectors::{Fault, FaultKind, ResourceSpec};
use crate::plan::{Outcome, Write};
use crate::record::{Fields, Value, coerce};
use crate::seeded::seeded;
use reqwest::Method;
use serde_json::Value as J;

impl LicenseSpring {
    /// `looked`: the rows with this key, where they were looked for together with others.
    pub(super) async fn create_record(&self, write: &Write, resource: &'static ResourceSpec, looked: Option<Vec<Row>>) -> Outcome {
        let mut steps = Steps::default();
        match self.create_steps(write, resource, looked, &mut steps).await {
            Ok(row) => self.done(write, resource, row, steps).await,
            Err(outcome) => outcome,
        }
    }

    async fn create_steps(
        &self,
        write: &Write,
        resource: &'static ResourceSpec,
        looked: Option<Vec<Row>>,
        steps: &mut Steps,
    ) -> Result<Row, Outcome> {
        let (field, value) = key(write).map_err(rejected)?;
        let rows = match looked {
            Some(rows) => rows,
            None => self.find_rows(resource, field, &[Value::text(value)]).await.map_err(unsent_fault)?,
        };
        let rows = if seeded!(CreateUnlooked) { Vec::new() } else { rows };
        if let Some(row) = single(resource, field, value, rows).map_err(rejected)? {
            return self.adopt(write, resource, row, steps).await;
        }
        steps.say("look-up", "absent");
        let body = Body::of(resource, &write.fields, Call::Create).map_err(rejected)?;
        let mut whole = Row::new();
        for (path, value) in &body.metadata {
            put(&mut whole, path, value.clone()).map_err(rejected)?;
        }
        whole.insert("lockstep".to_owned(), self.planted(value));
        let row = match self.post(resource, &body, whole.clone()).await {
            Ok(row) => row,
            Err(trouble) if is_unknown(&trouble) && seeded!(CreateTwice) => {
                self.post(resource, &body, whole.clone()).await.map_err(sent)?
            }
            Err(trouble) if is_unknown(&trouble) => {
                steps.say("create", "no answer");
                self.find_soon(resource, field, value, &trouble).await?
            }
            Err(trouble) => return Err(sent(trouble)),
        };
        let Some(id) = row_id(&row) else {
            return Err(Outcome::Unknown { message: "the answer to the create has no id".to_owned() });
        };
        steps.say("create", format!("created {id}"));
        let what = format!("{} {id} was created", resource.name);
        self.metadata_kept(resource, id, row, &whole).await.map_err(|t| half_done(&what, t))
    }

    /// The created row. An empty answer is an unknown outcome that a look settles.
    async fn post(&self, resource: &ResourceSpec, body: &Body, whole: Row) -> Result<Row, Trouble> {
        let path = list_path(resource.name).unwrap_or("/");
        let mut full = body.plain.clone();
        full.insert("metadata".to_owned(), self.metadata_form.argument(whole));
        let answer = match self.wire.write(Method::POST, path, Some(&J::Object(full))).await {
            // Customer accounts are not documented to take metadata. Refused for it, nothing was made; ours can be missed.
            Err(Trouble::Refused(r)) if r.fields == ["metadata"] && body.metadata.is_empty() => {
                self.wire.write(Method::POST, path, Some(&J::Object(body.plain.clone()))).await?
            }
            other => other?,
        };
        match answer {
            J::Object(row) if row_id(&row).is_some() => Ok(row),
            _ => Err(Trouble::Fault(Fault::new(FaultKind::Unknown, "no-id", "the answer to the create names no record"))),
        }
    }

    /// After a lost answer: the one row with the key, if it shows within seconds. Not seen is not the same as not made,
    /// so the outcome stays unknown until a later look.
    async fn find_soon(&self, resource: &'static ResourceSpec, field: &str, value: &str, lost: &Trouble) -> Result<Row, Outcome> {
        for wait in self.looks_s {
            wait_s(*wait).await;
            let Ok(rows) = self.find_rows(resource, field, &[Value::text(value)]).await else { continue };
            if let Some(row) = single(resource, field, value, rows).map_err(rejected)? {
                return Ok(row);
            }
        }
        Err(sent(lost.clone()))
    }

    /// A record that carries our key already: brought to the wanted values where it differs.
    pub(super) async fn adopt(&self, write: &Write, resource: &'static ResourceSpec, row: Row, steps: &mut Steps) -> Result<Row, Outcome> {
        self.fill(write, resource, row, steps, |_| true).await
    }

    /// A record whose creation was not known to have happened: what it still lacks is added. What differs was edited since,
    /// and whoever compares it later must see that.
    pub(super) async fn complete(
        &self,
        write: &Write,
        resource: &'static ResourceSpec,
        row: Row,
        steps: &mut Steps,
    ) -> Result<Row, Outcome> {
        self.fill(write, resource, row, steps, Value::is_blank).await
    }

    async fn fill(
        &self,
        write: &Write,
        resource: &'static ResourceSpec,
        row: Row,
        steps: &mut Steps,
        over: fn(&Value) -> bool,
    ) -> Result<Row, Outcome> {
        let id = row_id(&row).ok_or_else(|| failed("no-id", "the record found has no id"))?;
        steps.say("look-up", format!("found {id}"));
        let names: Vec<String> = write.fields.keys().cloned().collect();
        let shown = self.records(resource, std::slice::from_ref(&row), &names).await.map_err(unsent)?;
        let shown = shown.into_iter().next().map(|r| r.fields).unwrap_or_default();
        // A create has no opinion where it has no value.
        let wanted = canonical(resource, &write.fields)
            .into_iter()
            .filter(|(name, value)| *value != Value::Null && over(shown.get(name).unwrap_or(&Value::Null)))
            .collect();
        let changes = changeable(resource, &differing(&wanted, &shown));
        if changes.is_empty() {
            return Ok(row);
        }
        let row = self.change(resource, id, row, &changes).await?;
        steps.say("patch", changes.keys().cloned().collect::<Vec<_>>().join(", "));
        Ok(row)
    }

    pub(super) async fn resolve_record(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        let mut steps = Steps::default();
        let settled = async {
            let (field, value) = key(write).map_err(rejected)?;
            let rows = self
                .find_rows(resource, field, &[Value::text(value)])
                .await
                .map_err(|f| Outcome::Unknown { message: format!("still not known: {f}") })?;
            match single(resource, field, value, rows).map_err(rejected)? {
                Some(row) => self.complete(write, resource, row, &mut steps).await,
                None => Err(failed("not-done", format!("there is no {} with {field} {value}", resource.name))),
            }
        };
        match settled.await {
            Ok(row) => self.done(write, resource, row, steps).await,
            Err(outcome) => outcome,
        }
    }

    /// Whether a row shows all these values: in canonical form.
    pub(super) async fn shows(&self, resource: &'static ResourceSpec, row: &Row, fields: &Fields) -> Result<bool, Trouble> {
        let names: Vec<String> = fields.keys().cloned().collect();
        let shown = self.records(resource, std::slice::from_ref(row), &names).await?;
        let shown = shown.into_iter().next().map(|r| r.fields).unwrap_or_default();
        Ok(differing(&canonical(resource, fields), &shown).is_empty())
    }
}

fn key(write: &Write) -> Result<(&str, &str), Refusal> {
    match &write.key {
        Some((field, value)) if !value.trim().is_empty() => Ok((field, value)),
        _ => Err(Refusal::new("no-key", "a create without a key could not be found again, so it is not sent", &[])),
    }
}

fn single(resource: &ResourceSpec, field: &str, value: &str, mut rows: Vec<Row>) -> Result<Option<Row>, Refusal> {
    if rows.len() > 1 {
        let ids: Vec<String> = rows.iter().filter_map(row_id).map(|id| id.to_string()).collect();
        let text = format!("{} {}s have {field} {value}: {}", rows.len(), resource.name, ids.join(", "));
        return Err(Refusal::new("ambiguous", text, &[field]));
    }
    Ok(rows.pop())
}

/// The values as this side would show them.
pub fn canonical(resource: &ResourceSpec, fields: &Fields) -> Fields {
    let each = |(name, value): (&String, &Value)| {
        let fitting = type_of(resource, name).and_then(|ty| coerce(value, &ty).ok());
        (name.clone(), fitting.unwrap_or_else(|| value.clone()))
    };
    fields.iter().map(each).collect()
}

/// Those of the values that a change can carry.
pub fn changeable(resource: &ResourceSpec, fields: &Fields) -> Fields {
    let can = |name: &str| resource.field(name).map_or_else(|| resource.knows(name), |f| f.update);
    fields.iter().filter(|(name, _)| can(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
}
