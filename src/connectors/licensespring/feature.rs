//! Adding a feature to a license: one row, by license and code.
//!
//! Source: docs.licensespring.com, "License Product Features". Single rows only: the call that takes a list deletes what
//! the list leaves out.

use super::LicenseSpring;
use super::body::{Body, Call};
use super::catalogue::{CATALOGUE, FEATURE, LICENSE, list_path};
use super::change::still_unknown;
use super::list::{Row, id_of, row_id};
use super::names::Kind;
use super::outcome::{Steps, failed, half_done, is_unknown, rejected, sent, unsent, unsent_fault, wait_s};
use super::refusal::Refusal;
use super::wire::Trouble;
use crate::connectors::{Fault, ResourceSpec};
use crate::plan::{Outcome, Write};
use crate::record::{Record, Value};
use reqwest::Method;
use serde_json::Value as J;

impl LicenseSpring {
    pub(super) async fn create_feature(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        let mut steps = Steps::default();
        match self.feature_steps(write, resource, &mut steps).await {
            Ok(row) => self.done(write, resource, row, steps).await,
            Err(outcome) => outcome,
        }
    }

    async fn feature_steps(&self, write: &Write, resource: &'static ResourceSpec, steps: &mut Steps) -> Result<Row, Outcome> {
        let (license, code) = natural_key(write).map_err(rejected)?;
        if let Some(row) = self.feature_row(resource, license, code).await.map_err(unsent_fault)?? {
            return self.adopt(write, resource, row, steps).await;
        }
        steps.say("look-up", "absent");
        let definition = self.definition(license, code).await?;
        let mut body = Body::of(resource, &write.fields, Call::Create).map_err(rejected)?.plain;
        body.remove("code");
        body.insert("product_feature".to_owned(), J::from(definition));
        match self.wire.write(Method::POST, list_path(FEATURE).unwrap_or("/"), Some(&J::Object(body))).await {
            Ok(answer) => {
                let id = answer.as_object().and_then(row_id);
                steps.say("create", id.map_or_else(|| "created".to_owned(), |id| format!("created {id}")));
                // The answer names the feature by number only and leaves columns out, so the row is read.
                match id {
                    Some(id) => self.row_soon(resource, id).await.map_err(|t| half_done(&format!("feature row {id} was created"), t)),
                    None => self.feature_soon(resource, license, code, None).await,
                }
            }
            Err(trouble) if is_unknown(&trouble) => {
                steps.say("create", "no answer");
                self.feature_soon(resource, license, code, Some(trouble)).await
            }
            Err(Trouble::Refused(refusal)) => {
                // What a second row of the same feature is answered with is not published: perhaps it is there by now.
                match self.feature_row(resource, license, code).await {
                    Ok(Ok(Some(row))) => self.adopt(write, resource, row, steps).await,
                    _ => Err(rejected(refusal)),
                }
            }
            Err(trouble) => Err(sent(trouble)),
        }
    }

    pub(super) async fn resolve_feature(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        let mut steps = Steps::default();
        let settled = async {
            let (license, code) = natural_key(write).map_err(rejected)?;
            match self.feature_row(resource, license, code).await.map_err(|f| still_unknown(Trouble::Fault(f)))?? {
                Some(row) => self.complete(write, resource, row, &mut steps).await,
                None => Err(failed("not-done", format!("license {license} has no feature {code}"))),
            }
        };
        match settled.await {
            Ok(row) => self.done(write, resource, row, steps).await,
            Err(outcome) => outcome,
        }
    }

    /// The row of this code on this license. The inner error is final: two rows of one code.
    async fn feature_row(&self, resource: &'static ResourceSpec, license: i64, code: &str) -> Result<Result<Option<Row>, Outcome>, Fault> {
        let rows = self.feature_rows(resource, license).await?;
        let fault = |t: Trouble| t.into_fault("the list of features");
        let records = self.records(resource, &rows, &["code".to_owned()]).await.map_err(fault)?;
        let has = |shown: &Record| shown.fields.get("code").and_then(Value::as_text) == Some(code);
        let mut hits: Vec<Row> = rows.into_iter().zip(records).filter(|(_, record)| has(record)).map(|(row, _)| row).collect();
        if hits.len() > 1 {
            let text = format!("license {license} has {} rows of feature {code}", hits.len());
            return Ok(Err(rejected(Refusal::new("ambiguous", text, &["code"]))));
        }
        Ok(Ok(hits.pop()))
    }

    async fn feature_soon(&self, resource: &'static ResourceSpec, license: i64, code: &str, lost: Option<Trouble>) -> Result<Row, Outcome> {
        for wait in self.looks_s {
            wait_s(*wait).await;
            if let Ok(Ok(Some(row))) = self.feature_row(resource, license, code).await {
                return Ok(row);
            }
        }
        Err(lost.map_or_else(|| Outcome::Unknown { message: "the created feature row does not show yet".to_owned() }, sent))
    }

    /// The number of the definition a code means on this license.
    async fn definition(&self, license: i64, code: &str) -> Result<i64, Outcome> {
        let licenses = CATALOGUE.resource(LICENSE).ok_or_else(|| failed("no-such-resource", "no licenses"))?;
        let row = self.row(licenses, license).await.map_err(|trouble| match trouble {
            Trouble::Missing => rejected(Refusal::new("license_not_found", format!("license {license} is not there"), &["license"])),
            other => unsent(other),
        })?;
        let product = row.get("product").and_then(id_of);
        let names = self.names.with(&self.wire, &[(Kind::Feature, Vec::new())]).await.map_err(unsent)?;
        if let Some(id) = names.feature(product, code) {
            return Ok(id);
        }
        let names = self.names.afresh(&self.wire, Kind::Feature).await.map_err(unsent)?;
        names.feature(product, code).ok_or_else(|| {
            let known = names.feature_codes(product).join(", ");
            let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has: {known}") };
            let text = format!("the product of license {license} has no feature {code:?}; {known}");
            rejected(Refusal::new("unsupported_product_feature", text, &["code"]))
        })
    }
}

fn natural_key(write: &Write) -> Result<(i64, &str), Refusal> {
    let text = |name: &str| write.fields.get(name).and_then(Value::as_text);
    let license = text("license").and_then(|id| id.parse().ok());
    match (license, text("code").filter(|code| !code.is_empty())) {
        (Some(license), Some(code)) => Ok((license, code)),
        _ => Err(Refusal::new("no-key", "a feature needs a license and a code", &["license", "code"])),
    }
}
