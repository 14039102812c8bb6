//! Creating, changing and deleting a customer.
//!
//! A create is found again by the tag that stands in the same call. Deleting is the one thing here that cannot be taken back:
//! what becomes of a customer's license orders is not published, so that one who has any is not deleted unless the settings
//! say so.

use super::Lac;
use super::known::Part;
use super::list::{Row, Walk, row_id};
use super::outcome::{Steps, failed, rejected, sent, still_unknown, unsent, wait_s};
use super::refusal::Refusal;
use super::row::{by_activation_key, customer_number};
use super::tags::{PLANTED, account_id};
use super::whole::{Change, People, claimed, differing, holds, new_body};
use super::wire::Trouble;
use super::write::{fields_for, path};
use crate::connectors::ResourceSpec;
use crate::connectors::http::Counted;
use crate::plan::{Outcome, Write};
use crate::record::Value;
use reqwest::Method;
use serde_json::Value as J;
use std::sync::atomic::Ordering;

impl Lac {
    pub(super) async fn create_customer(&self, write: &Write, resource: &ResourceSpec, steps: &mut Steps) -> Result<Outcome, Outcome> {
        let sf_id = key(write).map_err(rejected)?;
        checked(resource, write).map_err(rejected)?;
        if let Some(row) = one(sf_id, self.claimants(sf_id).await.map_err(unsent)?).map_err(rejected)? {
            return self.adopt(write, resource, row, steps).await;
        }
        steps.say("look-up", "absent");
        let mut fields = write.fields.clone();
        fields.insert(PLANTED.to_owned(), Value::text(sf_id));
        let body = new_body(&fields);
        let row = match self.wire.write(Method::POST, "/customers", Some(&body)).await {
            Ok(J::Object(row)) if row_id(&row).is_some() => row,
            Err(Trouble::Refused(refusal)) => return Err(self.refused(refusal, &body)),
            Err(trouble) if !trouble.is_unknown() => return Err(sent(trouble)),
            // No answer, or one that names nobody.
            lost => {
                steps.say("create", "no answer");
                self.claimant_soon(sf_id, lost.err()).await?
            }
        };
        let id = row_id(&row).unwrap_or_default();
        steps.say("create", format!("created {id}"));
        let whole = row.contains_key("CustomTags") && row.contains_key("name");
        let row = if whole { row } else { self.customer(id).await.map_err(still_unknown)? };
        if claimed(&row).as_deref() != Some(sf_id) {
            let text = format!("LAC created customer {id} without the tag SF_Id that stood in the same call");
            let refusal = Refusal::new("tag-not-kept", text, &[]);
            // It could not be found again, and so would the next one.
            self.halt_for_good(&refusal);
            return Err(rejected(refusal));
        }
        self.note_tags(&row);
        self.known.note(Part::Customer, &row);
        self.known.note(Part::Contacts, &row);
        Ok(self.done_customer(write, resource, &row))
    }

    /// After a lost answer: the customer with the tag, if it shows within seconds. Not seen is not the same as not made.
    async fn claimant_soon(&self, sf_id: &str, lost: Option<Trouble>) -> Result<Row, Outcome> {
        for wait in self.looks_s {
            wait_s(*wait).await;
            let Ok(rows) = self.claimants(sf_id).await else { continue };
            if let Some(row) = one(sf_id, rows).map_err(rejected)? {
                return Ok(row);
            }
        }
        Err(lost.map_or_else(|| Outcome::Unknown { message: "the answer to the create names no customer".to_owned() }, sent))
    }

    /// A customer that carries the id already: brought to the wanted values where it differs. A create has no opinion where it
    /// has no value.
    async fn adopt(&self, write: &Write, resource: &ResourceSpec, row: Row, steps: &mut Steps) -> Result<Outcome, Outcome> {
        steps.say("look-up", format!("found {}", row_id(&row).unwrap_or_default()));
        let mut fields = differing(&row, &write.fields);
        fields.retain(|_, value| !value.is_blank());
        if fields.is_empty() {
            return Ok(self.done_customer(write, resource, &row));
        }
        steps.say("patch", fields.keys().cloned().collect::<Vec<_>>().join(", "));
        let row = self.patch(&row, &Change { fields, people: People::Stay }, steps).await?;
        Ok(self.done_customer(write, resource, &row))
    }

    pub(super) async fn update_customer(&self, write: &Write, resource: &ResourceSpec, steps: &mut Steps) -> Result<Outcome, Outcome> {
        let id = id_of(write).map_err(rejected)?;
        checked(resource, write).map_err(rejected)?;
        let row = self.customer(id).await.map_err(unsent)?;
        if self.known.moved(Part::Customer, &row) {
            return Err(moved(id));
        }
        let fields = differing(&row, &write.fields);
        if fields.is_empty() {
            steps.say("look", "it is so already");
            return Ok(self.done_customer(write, resource, &row));
        }
        self.restores(id, &row, &fields, steps).map_err(rejected)?;
        steps.say("patch", fields.keys().cloned().collect::<Vec<_>>().join(", "));
        let row = self.patch(&row, &Change { fields, people: People::Stay }, steps).await?;
        Ok(self.done_customer(write, resource, &row))
    }

    /// A tag that was edited or taken away is put back; one that names another account is a claim that a person must settle.
    fn restores(&self, id: i64, row: &Row, fields: &crate::record::Fields, steps: &mut Steps) -> Result<(), Refusal> {
        let Some(wanted) = fields.get(PLANTED).and_then(Value::as_text) else { return Ok(()) };
        let Some(held) = claimed(row) else { return Ok(()) };
        if account_id(&held).is_some_and(|other| other.as_str() != wanted) {
            let text = format!("customer {id} belongs to Salesforce account {wanted}, but its tag SF_Id now names {held}: correct the tag");
            return Err(Refusal::new("tag-names-another-account", text, &[PLANTED]));
        }
        tracing::warn!(customer = id, "the tag SF_Id was changed by hand; it is put back");
        steps.say("tag SF_Id", format!("put back, it was {held:?}"));
        Ok(())
    }

    pub(super) async fn delete_customer(&self, write: &Write, steps: &mut Steps) -> Result<Outcome, Outcome> {
        let id = id_of(write).map_err(rejected)?;
        if !self.delete_customers {
            return Err(rejected(Refusal::new("not-supported", "customer-delete is off: customers are not deleted", &[])));
        }
        if self.cannot_delete.load(Ordering::Relaxed) {
            return Err(rejected(cannot_delete(id)));
        }
        match self.customer(id).await {
            Ok(_) => {}
            Err(Trouble::Missing) => return Ok(gone(write)),
            Err(trouble) => return Err(unsent(trouble)),
        }
        if let Some(why) = self.double(id) {
            return Err(rejected(Refusal::new("one-id-on-two-customers", format!("{why}: none of them is deleted"), &[])));
        }
        let orders = self.orders_of(id).await.map_err(unsent)?;
        if orders > 0 && !self.delete_with_orders {
            let text =
                format!("customer {id} has {orders} license order(s) and is not deleted; remove them in LAC, or set customers-with-orders");
            return Err(rejected(Refusal::new("has-license-orders", text, &[])));
        }
        let mut tries = 0;
        loop {
            tries += 1;
            match self.wire.write(Method::DELETE, &path(id), None).await {
                Ok(_) => steps.say("delete", "deleted"),
                Err(Trouble::Missing) => steps.say("delete", "was not there"),
                Err(Trouble::Refused(r)) if matches!(r.status, 405 | 501) => {
                    self.cannot_delete.store(true, Ordering::Relaxed);
                    return Err(rejected(cannot_delete(id)));
                }
                Err(Trouble::Refused(r)) => {
                    return Err(rejected(Refusal {
                        code: "delete-refused".to_owned(),
                        message: format!("customer {id}: {}", r.message),
                        ..r
                    }));
                }
                Err(trouble) if trouble.is_unknown() => match self.customer(id).await {
                    Err(Trouble::Missing) => steps.say("delete", "deleted, the answer was lost"),
                    Ok(_) if tries < 3 => {
                        wait_s(self.looks_s[1]).await;
                        continue;
                    }
                    Ok(_) | Err(_) => return Err(sent(trouble)),
                },
                Err(trouble) => return Err(sent(trouble)),
            }
            break;
        }
        let mut seen = format!("customer {id} was deleted and still shows");
        for wait in self.looks_s {
            wait_s(*wait).await;
            match self.customer(id).await {
                Err(Trouble::Missing) => return Ok(gone(write)),
                Ok(_) => {}
                Err(trouble) => {
                    seen = format!("whether customer {id} is gone is not told: {}", trouble.into_fault("the look at it").message)
                }
            }
        }
        Err(Outcome::Unknown { message: seen })
    }

    /// How many license orders this customer has. The filter is not believed: rows of others are not counted, rows that do
    /// not say whose they are, are.
    async fn orders_of(&self, id: i64) -> Result<usize, Trouble> {
        let query = vec![("customer_ids", id.to_string()), ("customer_ids_exclude", "false".to_owned())];
        let rows = Walk::new(&self.wire, Counted::Data, "/license-orders", query, by_activation_key).collect().await?;
        let of = |row: &Row| row.get("customer").and_then(|c| c.get("id")).or_else(|| row.get("customer_id")).and_then(super::list::id_of);
        Ok(rows.iter().filter(|row| of(row).is_none_or(|of| of == id)).count())
    }

    pub(super) async fn resolve_create_customer(&self, write: &Write, resource: &ResourceSpec) -> Result<Outcome, Outcome> {
        let sf_id = key(write).map_err(rejected)?;
        let rows = self.claimants(sf_id).await.map_err(still_unknown)?;
        match one(sf_id, rows).map_err(rejected)? {
            // It was made in one call, whole: what differs was edited since, and whoever compares it later must see that.
            Some(row) => Ok(self.done_customer(write, resource, &row)),
            None => Err(failed("not-done", format!("no customer carries {sf_id}"))),
        }
    }

    pub(super) async fn resolve_update_customer(&self, write: &Write, resource: &ResourceSpec) -> Result<Outcome, Outcome> {
        let id = id_of(write).map_err(rejected)?;
        let row = self.customer(id).await.map_err(still_unknown)?;
        if holds(&row, &Change { fields: write.fields.clone(), people: People::Stay }) {
            return Ok(self.done_customer(write, resource, &row));
        }
        Err(failed("not-done", format!("customer {id} does not show the change")))
    }

    pub(super) async fn resolve_delete_customer(&self, write: &Write) -> Result<Outcome, Outcome> {
        let id = id_of(write).map_err(rejected)?;
        match self.customer(id).await {
            Err(Trouble::Missing) => Ok(gone(write)),
            Ok(_) => Err(failed("not-done", format!("customer {id} is still there"))),
            Err(trouble) => Err(still_unknown(trouble)),
        }
    }
}

/// Somebody changed the record after it was read: it is compared again before it is written.
pub fn moved(customer: i64) -> Outcome {
    failed("moved-meanwhile", format!("customer {customer} was changed in LAC since it was read; it is compared again"))
}

pub fn gone(write: &Write) -> Outcome {
    let id = write.id.clone().unwrap_or_else(|| crate::record::RecordId::from(""));
    Outcome::Done { id, record: None, steps: Vec::new() }
}

fn cannot_delete(id: i64) -> Refusal {
    let text = format!("this LAC offers no DELETE of customers: delete customer {id} there, and say customer-delete = \"off\"");
    Refusal::new("delete-not-supported", text, &[])
}

fn key(write: &Write) -> Result<&str, Refusal> {
    match &write.key {
        Some((field, value)) if field == PLANTED && !value.trim().is_empty() => Ok(value),
        _ => Err(Refusal::new("no-key", "a create without SF_Id could not be found again, so it is not sent", &[])),
    }
}

fn id_of(write: &Write) -> Result<i64, Refusal> {
    let shown = write.id.as_ref().map_or("nothing", |id| id.as_str());
    write.id.as_ref().and_then(customer_number).ok_or_else(|| Refusal::new("no-id", format!("{shown:?} is no customer of LAC"), &[]))
}

/// What can be known to be refused before anything is asked.
fn checked(resource: &ResourceSpec, write: &Write) -> Result<(), Refusal> {
    fields_for(resource, write)?;
    if write.fields.get("name").is_some_and(Value::is_blank) {
        return Err(Refusal::new("name-needed", "a customer must have a name", &["name"]));
    }
    Ok(())
}

fn one(sf_id: &str, mut rows: Vec<Row>) -> Result<Option<Row>, Refusal> {
    if rows.len() > 1 {
        let ids: Vec<String> = rows.iter().filter_map(row_id).map(|id| id.to_string()).collect();
        let text = format!("{} customers carry the Salesforce id {sf_id}: {}", rows.len(), ids.join(", "));
        return Err(Refusal::new("ambiguous", text, &[PLANTED]));
    }
    Ok(rows.pop())
}
