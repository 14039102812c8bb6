//! Adding licenses to an order that is there, each once.
//!
//! Source: docs.licensespring.com, "Create Order", `append`. The call minds no repetition, so the keys do: every license
//! is looked for by its unit and its key before it is sent and again before it is sent a second time, always with the
//! same key.

use super::LicenseSpring;
use super::catalogue::{CATALOGUE, LICENSE};
use super::list::{Row, id_of, row_id};
use super::order::licenses;
use super::order_body::WantedOrder;
use super::outcome::{Steps, is_unknown, rejected, sent, unsent_fault, wait_s};
use super::refusal::Refusal;
use super::row::{at_path, metadata};
use super::wire::Trouble;
use crate::connectors::{Fault, FaultKind, ResourceSpec};
use crate::plan::Outcome;
use crate::record::{Fields, Value};
use reqwest::Method;
use serde_json::Value as J;

/// How often the same licenses are sent in all.
const TRIES: u32 = 2;
const LINE: &str = "metadata.lockstep.line";

/// The order that licenses are added to.
pub struct Target<'a> {
    pub id: i64,
    pub store_id: &'a str,
    pub row: &'a Row,
}

/// One license to be: by what it is found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub unit: Option<String>,
    pub key: Option<String>,
}

impl Wanted {
    /// Whether this license is the wanted one.
    pub fn is(&self, license: &Row) -> bool {
        let unit = unit_of(license);
        let key = license.get("license_key").and_then(J::as_str);
        (self.unit.is_some() && self.unit == unit) || (self.key.is_some() && self.key.as_deref() == key)
    }
}

/// The unit a license was issued for.
pub fn unit_of(license: &Row) -> Option<String> {
    at_path(&metadata(license)?, "lockstep.line").as_str().map(str::to_owned)
}

/// What is asked for, in the order of the items. Refused: what could not be found again, and what comes twice.
pub fn wanted_of(items: &[Fields]) -> Result<Vec<Wanted>, Refusal> {
    let text = |row: &Fields, name: &str| row.get(name).and_then(Value::as_text).filter(|t| !t.is_empty()).map(str::to_owned);
    let mut all: Vec<Wanted> = Vec::new();
    for license in items.iter().filter_map(|item| item.get("licenses")?.as_rows()).flatten() {
        let wanted = Wanted { unit: text(license, "unit"), key: text(license, "key") };
        if wanted.unit.is_none() && wanted.key.is_none() {
            return Err(Refusal::new(
                "no-key",
                "a license without a unit and a key could not be found again, so it is not sent",
                &["append"],
            ));
        }
        let twice =
            |other: &Wanted| (wanted.unit.is_some() && other.unit == wanted.unit) || (wanted.key.is_some() && other.key == wanted.key);
        if all.iter().any(twice) {
            return Err(Refusal::new("does-not-fit", "append names one unit or key twice", &["append"]));
        }
        all.push(wanted);
    }
    Ok(all)
}

/// The items with only those licenses that are still missing.
fn only(items: &[Fields], missing: &[Wanted]) -> Vec<Fields> {
    let is_missing = |license: &Fields| {
        let has = |name: &str, value: &Option<String>| value.is_some() && license.get(name).and_then(Value::as_text) == value.as_deref();
        missing.iter().any(|m| has("unit", &m.unit) || has("key", &m.key))
    };
    let mut kept = Vec::new();
    for item in items {
        let rows: Vec<Fields> =
            item.get("licenses").and_then(Value::as_rows).unwrap_or_default().iter().filter(|l| is_missing(l)).cloned().collect();
        if !rows.is_empty() {
            let mut item = item.clone();
            item.insert("licenses".to_owned(), Value::Rows(rows));
            kept.push(item);
        }
    }
    kept
}

impl LicenseSpring {
    /// Every license of an order, as the list of licenses shows them.
    pub(super) async fn licenses_of(&self, order: &Target<'_>) -> Result<Vec<Row>, Fault> {
        let mut rows = self.find_rows(license_resource()?, "order_store_id", &[Value::text(order.store_id)]).await?;
        rows.retain(|row| row.get("order").and_then(id_of).is_none_or(|of| of == order.id));
        Ok(rows)
    }

    /// Adds what is missing. `later`: this was sent before, so what does not show at once is looked for patiently.
    pub(super) async fn append(
        &self,
        order: &Target<'_>,
        listed: &[Row],
        items: &[Fields],
        later: bool,
        steps: &mut Steps,
    ) -> Result<(), Outcome> {
        let shown: Vec<&Row> = listed.iter().chain(licenses(order.row)).collect();
        let mut missing = wanted_of(items).map_err(rejected)?;
        missing.retain(|wanted| !shown.iter().any(|license| wanted.is(license)));
        let mut missing = if later {
            self.missing_soon(order, missing).await?
        } else {
            self.missing_now(order, missing).await.map_err(unsent_fault)??
        };
        if missing.is_empty() {
            steps.say("append", "nothing is missing");
            return Ok(());
        }
        let mut tries = 0;
        loop {
            tries += 1;
            let body = WantedOrder::appended(order.store_id, &only(items, &missing)).map_err(rejected)?;
            let asked = missing.len();
            let lost = match self.wire.write(Method::POST, "/orders/create_order/", Some(&body.body)).await {
                Ok(answer) => match answer.get("order_id").or_else(|| answer.get("id")).and_then(id_of) {
                    Some(id) if id == order.id => {
                        steps.say("append", format!("added {asked} licenses"));
                        return Ok(());
                    }
                    Some(other) => {
                        let text = format!("the licenses were added to order {other}, not to order {}", order.id);
                        return Err(rejected(Refusal::new("order_replaced", text, &["append"])));
                    }
                    None => Trouble::Fault(Fault::new(FaultKind::Unknown, "no-id", "the answer names no order")),
                },
                Err(trouble) if is_unknown(&trouble) => trouble,
                Err(Trouble::Refused(refusal)) => {
                    // What a key that is taken is answered with is not published: perhaps they are there by now.
                    missing = self.missing_soon(order, missing).await?;
                    if missing.is_empty() {
                        steps.say("append", "found after a refusal");
                        return Ok(());
                    }
                    return Err(rejected(refusal.mask(body.keys.iter().map(String::as_str))));
                }
                Err(Trouble::Missing) => {
                    let text = "LicenseSpring has no call to add licenses here: check `url`";
                    return Err(rejected(Refusal::new("http-404", text, &["append"])));
                }
                // After a lost one nothing is certain any more.
                Err(Trouble::Fault(fault)) if tries > 1 => return Err(Outcome::Unknown { message: fault.to_string() }),
                Err(Trouble::Denied(r)) if tries > 1 => return Err(Outcome::Unknown { message: r.message }),
                Err(trouble) => return Err(sent(trouble)),
            };
            steps.say("append", "no answer");
            missing = self.missing_soon(order, missing).await?;
            if missing.is_empty() {
                steps.say("append", format!("found {asked} licenses"));
                return Ok(());
            }
            // Without a key of ours nothing stops a second license for the same unit.
            if tries >= TRIES || missing.iter().any(|m| m.key.is_none()) {
                return Err(sent(lost));
            }
        }
    }

    /// Which of these the platform does not show. The inner error is final: a key that another order's license has.
    async fn missing_now(&self, order: &Target<'_>, wanted: Vec<Wanted>) -> Result<Result<Vec<Wanted>, Outcome>, Fault> {
        if wanted.is_empty() {
            return Ok(Ok(wanted));
        }
        let resource = license_resource()?;
        let keys: Vec<Value> = wanted.iter().filter_map(|w| w.key.clone()).map(Value::Text).collect();
        let keyless: Vec<Value> = wanted.iter().filter(|w| w.key.is_none()).filter_map(|w| w.unit.clone()).map(Value::Text).collect();
        let mut rows = self.find_rows(resource, "license_key", &keys).await?;
        if let Some(row) = rows.iter().find(|row| row.get("order").and_then(id_of).is_some_and(|of| of != order.id)) {
            let of = row.get("order").and_then(id_of).unwrap_or_default();
            let id = row_id(row).unwrap_or_default();
            let text = format!("a license key meant for order {} is the key of license {id} of order {of}", order.id);
            return Ok(Err(rejected(Refusal::new("key_taken", text, &["append"]))));
        }
        let by_unit = self.find_rows(resource, LINE, &keyless).await?;
        rows.extend(by_unit.into_iter().filter(|row| row.get("order").and_then(id_of) == Some(order.id)));
        Ok(Ok(wanted.into_iter().filter(|w| !rows.iter().any(|row| w.is(row))).collect()))
    }

    /// The same, waiting for what was just made to show. What could not be looked for is unknown.
    async fn missing_soon(&self, order: &Target<'_>, mut wanted: Vec<Wanted>) -> Result<Vec<Wanted>, Outcome> {
        let mut trouble = None;
        for wait in self.looks_s {
            if wanted.is_empty() {
                break;
            }
            wait_s(*wait).await;
            match self.missing_now(order, wanted.clone()).await {
                Ok(missing) => (wanted, trouble) = (missing?, None),
                Err(fault) => trouble = Some(fault),
            }
        }
        match trouble {
            Some(fault) => Err(Outcome::Unknown { message: format!("still not known: {fault}") }),
            None => Ok(wanted),
        }
    }
}

/// The catalogue's own; it has one.
pub fn license_resource() -> Result<&'static ResourceSpec, Fault> {
    CATALOGUE.resource(LICENSE).ok_or_else(|| Fault::new(FaultKind::Setup, "no-such-resource", "there is no resource license"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn item(line: &str, licenses: &[(Option<&str>, Option<&str>)]) -> Fields {
        let license = |(unit, key): &(Option<&str>, Option<&str>)| -> Fields {
            [("unit", unit), ("key", key)].into_iter().filter_map(|(n, v)| Some((n.to_owned(), Value::text((*v)?)))).collect()
        };
        [
            ("line", Value::text(line)),
            ("product_code", Value::text("orbit")),
            ("licenses", Value::Rows(licenses.iter().map(license).collect())),
        ]
        .into_iter()
        .map(|(n, v)| (n.to_owned(), v))
        .collect()
    }

    #[test]
    fn only_what_is_missing_is_left() {
        let items = [item("a", &[(Some("a-1"), Some("K1")), (Some("a-2"), Some("K2"))]), item("b", &[(Some("b-1"), Some("K3"))])];
        let mut missing = wanted_of(&items).unwrap();
        let there = [json!({"license_key": "K1", "metadata": {}}), json!({"metadata": {"lockstep": {"line": "b-1"}}})];
        missing.retain(|w| !there.iter().any(|row| w.is(row.as_object().unwrap())));
        assert_eq!(missing, [Wanted { unit: Some("a-2".into()), key: Some("K2".into()) }]);
        assert_eq!(only(&items, &missing), [item("a", &[(Some("a-2"), Some("K2"))])]);
    }

    #[test]
    fn what_could_not_be_found_again_is_refused() {
        assert_eq!(wanted_of(&[item("a", &[(None, None)])]).unwrap_err().code, "no-key");
        let twice = [item("a", &[(Some("a-1"), Some("K1"))]), item("b", &[(Some("b-1"), Some("K1"))])];
        assert_eq!(wanted_of(&twice).unwrap_err().code, "does-not-fit");
        assert_eq!(wanted_of(&[item("a", &[(None, Some("K1")), (Some("a-2"), None)])]).unwrap().len(), 2);
    }
}
