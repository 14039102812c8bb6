//! Creating an order with its licenses: several calls, any of which may be lost, and never a license twice.
//!
//! The order's own id is unique in the company and `append` is never asked for: a repeat is answered 409 and then looked
//! up. An order is ours if it carries what we planted or licenses with our keys; any other order of that id is left alone.

use super::LicenseSpring;
use super::catalogue::{ORDER, record_path};
use super::list::{Row, id_of, row_id};
use super::order_body::WantedOrder;
use super::outcome::{Steps, failed, half_done, is_unknown, rejected, sent, unsent, unsent_fault, wait_s};
use super::refusal::Refusal;
use super::row::{at_path, metadata};
use super::wire::Trouble;
use crate::connectors::{Fault, ResourceSpec};
use crate::plan::{Outcome, Write};
use crate::record::Value;
use reqwest::Method;
use serde_json::{Value as J, json};

impl LicenseSpring {
    pub(super) async fn create_order(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        let mut steps = Steps::default();
        let settled = async {
            let order = self.wanted(write).map_err(rejected)?;
            let id = match self.order_of(resource, &order).await.map_err(unsent_fault)? {
                Some(row) => self.claim(resource, &order, row, &mut steps).await?,
                None => {
                    steps.say("look-up", "absent");
                    self.send_order(resource, &order, &mut steps).await?
                }
            };
            self.finish(resource, &order, id, &mut steps).await
        };
        match settled.await {
            Ok(row) => self.done(write, resource, row, steps).await,
            Err(outcome) => outcome,
        }
    }

    /// Looks the order up and finishes what is left of it; never sends it again.
    pub(super) async fn resolve_order(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        let mut steps = Steps::default();
        let settled = async {
            let order = self.wanted(write).map_err(rejected)?;
            let row = self.order_of(resource, &order).await.map_err(|f| Outcome::Unknown { message: format!("still not known: {f}") })?;
            let Some(row) = row else {
                return Err(failed("not-done", format!("there is no order {}", order.store_id)));
            };
            let id = self.claim(resource, &order, row, &mut steps).await?;
            self.finish(resource, &order, id, &mut steps).await
        };
        match settled.await {
            Ok(row) => self.done(write, resource, row, steps).await,
            Err(outcome) => outcome,
        }
    }

    fn wanted(&self, write: &Write) -> Result<WantedOrder, Refusal> {
        let by_field = write.fields.get("store_id").and_then(Value::as_text);
        let store_id = write.key.as_ref().map(|(_, value)| value.as_str()).or(by_field).map(str::trim).filter(|id| !id.is_empty());
        let Some(store_id) = store_id else {
            let text = "an order without a store_id could not be found again, so it is not sent";
            return Err(Refusal::new("no-key", text, &["store_id"]));
        };
        WantedOrder::of(store_id, &write.fields, self.planted(store_id))
    }

    async fn order_of(&self, resource: &'static ResourceSpec, order: &WantedOrder) -> Result<Option<Row>, Fault> {
        Ok(self.find_rows(resource, "store_id", &[Value::text(order.store_id.clone())]).await?.pop())
    }

    /// Sends the order. The id of what was created, or of what turned out to be there.
    async fn send_order(&self, resource: &'static ResourceSpec, order: &WantedOrder, steps: &mut Steps) -> Result<i64, Outcome> {
        let masked = |r: Refusal| r.mask(order.keys.iter().map(String::as_str));
        match self.wire.write(Method::POST, "/orders/create_order/", Some(&order.body)).await {
            Ok(answer) => match answer.get("order_id").or_else(|| answer.get("id")).and_then(id_of) {
                Some(id) => {
                    steps.say("create-order", format!("created {id}"));
                    Ok(id)
                }
                None => {
                    steps.say("create-order", "created, the answer names no order");
                    let lost = Outcome::Unknown { message: format!("order {} was created, but it does not show yet", order.store_id) };
                    self.order_soon(resource, order, steps, lost).await
                }
            },
            Err(Trouble::Refused(r)) if r.status == 409 || r.code == "order_id_exists" => {
                steps.say("create-order", "409 order_id_exists");
                let lost = Outcome::Unknown { message: format!("order {} is said to exist, but it does not show", order.store_id) };
                self.order_soon(resource, order, steps, lost).await
            }
            Err(Trouble::Refused(r)) => Err(rejected(masked(r))),
            Err(Trouble::Missing) => {
                Err(rejected(Refusal::new("http-404", "LicenseSpring has no call to create orders here: check `url`", &[])))
            }
            Err(trouble) if is_unknown(&trouble) => {
                steps.say("create-order", "no answer");
                self.order_soon(resource, order, steps, sent(trouble)).await
            }
            Err(trouble) => Err(sent(trouble)),
        }
    }

    /// The order once it shows, within seconds. An order that does not show may still be on its way, so the outcome is
    /// `otherwise` and a later look decides.
    async fn order_soon(
        &self,
        resource: &'static ResourceSpec,
        order: &WantedOrder,
        steps: &mut Steps,
        otherwise: Outcome,
    ) -> Result<i64, Outcome> {
        for wait in self.looks_s {
            wait_s(*wait).await;
            if let Ok(Some(row)) = self.order_of(resource, order).await {
                return self.claim(resource, order, row, steps).await;
            }
        }
        Err(otherwise)
    }

    /// The id of an order that is there already, if it is ours and whole.
    async fn claim(&self, resource: &'static ResourceSpec, order: &WantedOrder, row: Row, steps: &mut Steps) -> Result<i64, Outcome> {
        let id = row_id(&row).ok_or_else(|| failed("no-id", "the order found has no id"))?;
        let row = if row.contains_key("order_items") { row } else { self.row(resource, id).await.map_err(unsent)? };
        let licenses = licenses(&row);
        let planted = metadata(&row).map(|m| at_path(&m, "lockstep.sf_id"));
        let planted = planted.as_ref().and_then(J::as_str).is_some_and(|sf_id| sf_id == order.store_id);
        let keyed = licenses.iter().any(|license| {
            let key = license.get("license_key").and_then(J::as_str);
            key.is_some_and(|key| order.keys.iter().any(|ours| ours == key))
        });
        if !planted && !keyed {
            let text = format!("the order id {} is taken by order {id}, which this connection did not create", order.store_id);
            return Err(rejected(Refusal::new("order_id_taken", text, &["store_id"])));
        }
        if row.contains_key("order_items") && licenses.len() < order.license_count {
            let text = format!("order {id} is ours but has {} of {} licenses; none is issued again", licenses.len(), order.license_count);
            return Err(rejected(Refusal::new("order_incomplete", text, &["items"])));
        }
        steps.say("look-up", format!("found {id}"));
        Ok(id)
    }

    /// The steps after the order exists. Each names a target state and may be repeated.
    async fn finish(&self, resource: &'static ResourceSpec, order: &WantedOrder, id: i64, steps: &mut Steps) -> Result<Row, Outcome> {
        let what = format!("order {id} ({}) was created", order.store_id);
        let mut row = self.row_soon(resource, id).await.map_err(|t| half_done(&what, t))?;
        for (step, field, wanted) in
            [("set-customer", "customer", order.customer), ("set-customer-account", "customer_account", order.customer_account)]
        {
            let Some(wanted) = wanted else { continue };
            if row.get(field).and_then(id_of) == Some(wanted) {
                continue;
            }
            self.set_link(id, field, wanted).await.map_err(|t| half_done(&what, t))?;
            steps.say(step, wanted.to_string());
            row = self.row_soon(resource, id).await.map_err(|t| half_done(&what, t))?;
            if row.get(field).and_then(id_of) != Some(wanted) {
                return Err(Outcome::Unknown { message: format!("{what}, but its {field} does not show as {wanted}") });
            }
        }
        steps.say("read-order", format!("{} licenses", licenses(&row).len()));
        Ok(row)
    }

    /// Setting a link to a record is the same however often it is done.
    async fn set_link(&self, id: i64, field: &str, to: i64) -> Result<(), Trouble> {
        let mut last = Trouble::Missing;
        for wait in self.looks_s {
            wait_s(*wait).await;
            match self.wire.write(Method::PATCH, &record_path(ORDER, id), Some(&json!({field: to}))).await {
                Ok(_) => return Ok(()),
                Err(trouble) if trouble == Trouble::Missing || is_unknown(&trouble) => last = trouble,
                Err(trouble) => return Err(trouble),
            }
        }
        Err(last)
    }
}

/// The licenses an order shows, of all its items.
pub fn licenses(order: &Row) -> Vec<&Row> {
    let items = order.get("order_items").and_then(J::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item.get("licenses")?.as_array()).flatten().filter_map(J::as_object).collect()
}
