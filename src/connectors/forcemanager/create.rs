//! Creating a record: sent once, and looked for by its link when the answer is lost.
//!
//! The service keeps no idempotency key and minds no double: the Salesforce id that is planted, and looking for it, is what
//! makes a create happen once.

use super::ForceManager;
use super::body::Call;
use super::catalogue::{CONTACT, path};
use super::list::{Row, row_id, value};
use super::outcome::{Steps, failed, is_unknown, rejected, sent, wait_s};
use super::refusal::Refusal;
use super::wire::Trouble;
use crate::connectors::{Fault, FaultKind, ResourceSpec};
use crate::plan::{Outcome, Write};
use crate::record::{Fields, Value};
use reqwest::Method;
use serde_json::Value as J;

impl ForceManager {
    pub(super) async fn create(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        let mut steps = Steps::default();
        match self.create_steps(write, resource, &mut steps).await {
            Ok((id, row)) => self.settled(write, resource, id, row, steps).await,
            Err(outcome) => outcome,
        }
    }

    async fn create_steps(&self, write: &Write, resource: &'static ResourceSpec, steps: &mut Steps) -> Result<(i64, Option<Row>), Outcome> {
        let (field, key) = key(write).map_err(rejected)?;
        let mut body = self.body(resource, &write.fields, Call::Create, None, steps).await?;
        let mut told = self.post(resource, &body).await;
        // The vendor wants a first name; whether an empty one will do is not published.
        let nameless = resource.name == CONTACT && body.get("firstName") == Some(&J::from(""));
        if nameless && matches!(&told, Err(Trouble::Refused(r)) if r.status == 400) {
            body.insert("firstName".to_owned(), J::from(self.placeholder.clone()));
            steps.say("create", "an empty first name was refused");
            told = self.post(resource, &body).await;
        }
        let id = match told {
            Ok(id) => id,
            Err(trouble) if is_unknown(&trouble) => {
                steps.say("create", "no answer");
                return self.find_soon(resource, field, key, &trouble, steps).await;
            }
            Err(trouble) => return Err(sent(trouble)),
        };
        steps.say("create", format!("created {id}"));
        Ok((id, self.row_soon(resource, id).await.ok()))
    }

    async fn post(&self, resource: &ResourceSpec, body: &Row) -> Result<i64, Trouble> {
        let at = path(resource.name).unwrap_or_default();
        let answer = self.wire.write(Method::POST, at, Some(&J::Object(body.clone()))).await?;
        answer
            .as_object()
            .and_then(row_id)
            .ok_or_else(|| Trouble::Fault(Fault::new(FaultKind::Unknown, "no-id", "the answer to the create names no record")))
    }

    /// After a lost answer: the record with the key, if it shows within seconds. Not seen is not the same as not made, so
    /// the outcome stays unknown until a later look.
    async fn find_soon(
        &self,
        resource: &'static ResourceSpec,
        field: &str,
        key: &str,
        lost: &Trouble,
        steps: &mut Steps,
    ) -> Result<(i64, Option<Row>), Outcome> {
        for wait in self.looks_s {
            wait_s(*wait).await;
            let Ok(rows) = self.find_rows(resource, field, &[Value::text(key)]).await else { continue };
            if let Some(found) = oldest(rows, steps) {
                return Ok(found);
            }
        }
        Err(sent(lost.clone()))
    }

    pub(super) async fn resolve_create(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        let mut steps = Steps::default();
        let (field, key) = match key(write) {
            Ok(key) => key,
            Err(refusal) => return rejected(refusal),
        };
        match self.find_rows(resource, field, &[Value::text(key)]).await {
            Err(fault) => Outcome::Unknown { message: format!("still not known: {fault}") },
            Ok(rows) => match oldest(rows, &mut steps) {
                Some((id, row)) => self.settled(write, resource, id, row, steps).await,
                None => failed("not-done", format!("there is no {} with {field} {key}", resource.name)),
            },
        }
    }

    /// Done, once the zone of what was written is known to be the one it was written in.
    pub(super) async fn settled(&self, write: &Write, resource: &'static ResourceSpec, id: i64, row: Option<Row>, steps: Steps) -> Outcome {
        if let Some(row) = &row {
            self.mind_shift(resource, &write.fields, row);
        }
        self.done(write, resource, id, row, steps).await
    }

    /// In which zone a written date-time is taken is not published. One that comes back hours away says that it is not ours.
    fn mind_shift(&self, resource: &ResourceSpec, fields: &Fields, row: &Row) {
        const LEAST_ZONE_S: i64 = 15 * 60;
        if resource.name != super::catalogue::ACTIVITY {
            return;
        }
        let at = |text: &str| super::dates::instant(text).and_then(Result::ok);
        let wanted = fields.get("date").and_then(Value::as_text).and_then(at);
        let shown = value(row, "date").and_then(J::as_str).and_then(at);
        if let (Some(wanted), Some(shown)) = (wanted, shown)
            && (shown - wanted).num_seconds().abs() >= LEAST_ZONE_S
        {
            tracing::error!(resource = resource.name, "{}", super::read::time_shift().message);
            self.shifted.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

/// Nothing keeps two records from having one link: the oldest is it, and the others are told of.
fn oldest(mut rows: Vec<Row>, steps: &mut Steps) -> Option<(i64, Option<Row>)> {
    rows.sort_by_key(row_id);
    let ids: Vec<i64> = rows.iter().filter_map(row_id).collect();
    let (first, others) = ids.split_first()?;
    steps.say("look-up", format!("found {first}"));
    if !others.is_empty() {
        let others = others.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        tracing::warn!(record = first, others, "several records of ForceManager carry this link; the oldest is taken");
        steps.say("look-up", format!("{others} carry the same link"));
    }
    let row = rows.into_iter().next();
    Some((*first, row))
}

fn key(write: &Write) -> Result<(&str, &str), Refusal> {
    match &write.key {
        Some((field, value)) if !value.trim().is_empty() => Ok((field, value)),
        _ => Err(Refusal::new("no-key", "a record without a key could not be found again, so it is not made", &[])),
    }
}
