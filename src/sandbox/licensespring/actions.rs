//! Changes of licenses and the calls that are verbs on them, and the merge of customers.
//!
//! Their side effects are the documented ones; where nothing is published a switch decides.

use serde_json::{Map, Value};

use super::check::{Changes, Writer};
use super::path::listed;
use super::reply::Refusal;
use super::schema::Object;
use super::world::{World, as_object};

impl World {
    /// `PATCH /licenses/{id}/`.
    ///
    /// # Errors
    /// 404, shape D.
    pub fn patch_license(&mut self, license: i64, body: &Value) -> Result<(), Refusal> {
        let changes = self.license_changes(license, body)?;
        self.write_license(license, changes);
        Ok(())
    }

    /// `PATCH /licenses/bulk_update/`: every entry is judged before any is written.
    ///
    /// # Errors
    /// The first wrong entry's.
    pub fn bulk_update(&mut self, body: &Value) -> Result<Vec<i64>, Refusal> {
        let entries = body.as_array().ok_or_else(|| Refusal::field("non_field_errors", "Expected a list of items."))?;
        let mut all = Vec::new();
        for entry in entries {
            let id = entry["id"].as_i64().ok_or_else(|| Refusal::field("id", "This field is required."))?;
            all.push((id, self.license_changes(id, entry)?));
        }
        let ids = all.iter().map(|(id, _)| *id).collect();
        for (id, changes) in all {
            self.write_license(id, changes);
        }
        Ok(ids)
    }

    fn license_changes(&self, license: i64, body: &Value) -> Result<Changes, Refusal> {
        self.need(Object::License, license)?;
        let mut body = as_object(body)?.clone();
        body.remove("id");
        if let Some(value) = body.remove("allow_unlimited_activation") {
            body.insert("allow_unlimited_activations".into(), value);
        }
        together(&body)?;
        self.checked(Object::License, Some(license), &body, Writer::Patch)
    }

    fn write_license(&mut self, license: i64, changes: Changes) {
        let before = self.row(Object::License, license).and_then(|row| row.int("order"));
        self.amend(Object::License, license, changes);
        self.settle_item(license, before);
    }

    /// A license that moved to another order stands on an item of that order.
    pub(super) fn settle_item(&mut self, license: i64, order_before: Option<i64>) {
        let Some(row) = self.row(Object::License, license) else {
            return;
        };
        let (order, product) = (row.int("order"), row.int("product"));
        if order == order_before && row.int("order_item").is_some() {
            return;
        }
        let Some(order) = order else { return };
        let same_product = |item: &&i64| self.row(Object::OrderItem, **item).and_then(|item| item.int("product")) == product;
        let item = self.linked(Object::OrderItem, "order", order).iter().find(same_product).copied();
        let item = item.unwrap_or_else(|| {
            let item = self.insert(Object::OrderItem, Changes::new());
            self.set(Object::OrderItem, item, "order", order);
            self.set(Object::OrderItem, item, "product", product);
            item
        });
        self.set(Object::License, license, "order_item", item);
    }

    /// Enables or disables.
    ///
    /// # Errors
    /// 404; shape B with 400 for a repetition, when that is switched on.
    pub fn set_enabled(&mut self, license: i64, enabled: bool) -> Result<(), Refusal> {
        let row = self.need(Object::License, license)?;
        if row.flag("enabled") == enabled && self.settings.action_twice_rejected {
            let state = if enabled { "enabled" } else { "disabled" };
            return Err(Refusal::Message(400, format!("License is already {state}.")));
        }
        let time_disabled = if enabled { Value::Null } else { self.stored_now(Object::License).into() };
        self.set(Object::License, license, "enabled", enabled);
        self.set(Object::License, license, "time_disabled", time_disabled);
        self.acted(license);
        Ok(())
    }

    /// Activations to 0, devices off, consumption to 0.
    ///
    /// # Errors
    /// 404; shape B with 400 when there is nothing to reset and that is switched on.
    pub fn reset_license(&mut self, license: i64) -> Result<(), Refusal> {
        let row = self.need(Object::License, license)?;
        let unused = row.int("times_activated") == Some(0) && row.int("total_consumptions") == Some(0);
        if unused && self.settings.reset_unused_rejected {
            return Err(Refusal::Message(400, "License has nothing to reset.".into()));
        }
        self.set(Object::License, license, "times_activated", 0);
        for device in self.linked(Object::Device, "license", license).to_vec() {
            self.switch_device_off(device);
        }
        self.zero_consumption(license);
        self.acted(license);
        Ok(())
    }

    /// Consumption totals to 0, on the license and on its features.
    ///
    /// # Errors
    /// 404.
    pub fn reset_consumption(&mut self, license: i64) -> Result<(), Refusal> {
        self.need(Object::License, license)?;
        self.zero_consumption(license);
        self.acted(license);
        Ok(())
    }

    /// `POST /licenses/custom_bulk_reset`: only what is named.
    ///
    /// # Errors
    /// No list of ids, or an unknown one; nothing is reset then.
    pub fn custom_bulk_reset(&mut self, body: &Value) -> Result<(), Refusal> {
        let body = as_object(body)?;
        let ids = self.known_licenses(body.get("license_ids").unwrap_or(&Value::Null), "license_ids")?;
        let asked = |name: &str| body.get(name) == Some(&Value::Bool(true));
        for license in ids {
            for (switch, names) in
                [("reset_validity_period", &["validity_period"] as &[&str]), ("reset_maintenance_period", &["maintenance_period"])]
            {
                for name in names.iter().filter(|_| asked(switch)) {
                    self.set(Object::License, license, name, Value::Null);
                }
            }
            if asked("reset_metadata") {
                self.set(Object::License, license, "metadata", Map::new());
            }
            if asked("reset_consumptions") {
                self.set(Object::License, license, "total_consumptions", 0);
            }
            if asked("reset_product_features") {
                for row in self.linked(Object::LicenseFeature, "license", license).to_vec() {
                    self.set(Object::LicenseFeature, row, "total_consumptions", 0);
                }
            }
            self.acted(license);
        }
        Ok(())
    }

    /// License ids out of a JSON list, all of them known.
    ///
    /// # Errors
    /// Shape D under `name`.
    pub fn known_licenses(&self, written: &Value, name: &str) -> Result<Vec<i64>, Refusal> {
        if !written.is_array() {
            return Err(Refusal::field(name, "Expected a list of items."));
        }
        let ids: Vec<i64> = listed(written).collect();
        match ids.iter().find(|id| !self.table(Object::License).contains(**id)) {
            Some(unknown) => Err(Refusal::field(name, format!("Invalid pk \"{unknown}\" - object does not exist."))),
            None => Ok(ids),
        }
    }

    fn zero_consumption(&mut self, license: i64) {
        self.set(Object::License, license, "total_consumptions", 0);
        for row in self.linked(Object::LicenseFeature, "license", license).to_vec() {
            self.set(Object::LicenseFeature, row, "total_consumptions", 0);
        }
    }

    pub(super) fn acted(&mut self, license: i64) {
        if self.settings.bump_on_action {
            self.touch(Object::License, license);
        }
    }

    /// Moves all orders of `other` to `customer` and deletes `other`.
    ///
    /// # Errors
    /// 404; shape D when `other` is missing, unknown, or the same.
    pub fn merge_customers(&mut self, customer: i64, body: &Value) -> Result<(), Refusal> {
        const NAME: &str = "customer_to_merge_id";
        self.need(Object::Customer, customer)?;
        let other = as_object(body)?.get(NAME).and_then(Value::as_i64);
        let other = other.ok_or_else(|| Refusal::field(NAME, "A valid integer is required."))?;
        if other == customer {
            return Err(Refusal::field(NAME, "A customer cannot be merged into itself."));
        }
        if self.row(Object::Customer, other).is_none() {
            return Err(Refusal::field(NAME, format!("Invalid pk \"{other}\" - object does not exist.")));
        }
        for order in self.linked(Object::Order, "customer", other).to_vec() {
            self.set(Object::Order, order, "customer", customer);
            self.touch(Object::Order, order);
        }
        self.remove(Object::Customer, other)
    }
}

/// Fields that are documented to travel with others, or never with each other.
fn together(body: &Map<String, Value>) -> Result<(), Refusal> {
    let has = |name: &str| body.contains_key(name);
    if has("valid_duration") && has("validity_period") {
        return Err(Refusal::field("non_field_errors", "Send either valid_duration or validity_period."));
    }
    if has("is_trial") && !["valid_duration", "validity_period", "trial_days"].into_iter().any(has) {
        return Err(Refusal::field("is_trial", "Send valid_duration, validity_period or trial_days with it."));
    }
    let maintains = body.get("enable_maintenance_period") == Some(&Value::Bool(true));
    if maintains && !["maintenance_duration", "maintenance_period"].into_iter().any(has) {
        let reason = "Send maintenance_duration or maintenance_period with it.";
        return Err(Refusal::field("enable_maintenance_period", reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::{has, licensed};
    use super::*;

    #[test]
    fn disabling_is_a_state_and_repeating_it_may_be_refused() {
        let (mut world, license, _) = licensed();
        world.set_enabled(license, false).expect("disabled");
        has(&world, Object::License, license, &json!({"enabled": false, "time_disabled": "2026-01-05T00:00:00Z", "status": "Disabled"}));
        assert!(world.activate(license, "hw-1", "cad-07").is_err());
        world.set_enabled(license, false).expect("again");
        world.settings.action_twice_rejected = true;
        let refused = world.set_enabled(license, false).expect_err("again");
        assert!(refused.status() == 400 && refused.body()["message"].is_string());
        world.set_enabled(license, true).expect("enabled");
        has(&world, Object::License, license, &json!({"enabled": true, "time_disabled": null}));
    }

    #[test]
    fn a_license_moves_to_another_order_with_an_item_there() {
        let (mut world, license, _) = licensed();
        let other = world.put(Object::Order, &json!({"store_id": "b"})).expect("an order");
        world.patch_license(license, &json!({"order": other, "allow_unlimited_activation": true})).expect("moved");
        let item = world.row(Object::License, license).and_then(|row| row.int("order_item")).expect("an item");
        has(&world, Object::OrderItem, item, &json!({"order": other}));
        has(&world, Object::License, license, &json!({"order": other, "allow_unlimited_activations": true}));
        assert_eq!(world.patch_license(license, &json!({"order": 1})).expect_err("no such order").status(), 400);
    }

    #[test]
    fn fields_that_belong_together_are_asked_for_together() {
        let (mut world, license, _) = licensed();
        for (body, fine) in [
            (json!({"valid_duration": "1y", "validity_period": "2027-01-01"}), false),
            (json!({"is_trial": true}), false),
            (json!({"is_trial": true, "trial_days": 9}), true),
            (json!({"enable_maintenance_period": true}), false),
            (json!({"enable_maintenance_period": true, "maintenance_duration": "1y"}), true),
            (json!({"license_type": "subscription", "enabled": false}), true),
        ] {
            assert_eq!(world.patch_license(license, &body).is_ok(), fine, "{body}");
        }
        has(&world, Object::License, license, &json!({"license_type": "time-limited", "enabled": true, "trial_days": 9}));
    }

    #[test]
    fn a_bulk_update_with_one_wrong_entry_changes_nothing() {
        let (mut world, license, _) = licensed();
        let body = json!([{"id": license, "note": "x"}, {"id": 5, "note": "y"}]);
        assert_eq!(world.bulk_update(&body).expect_err("an unknown id").status(), 404);
        has(&world, Object::License, license, &json!({"note": ""}));
    }

    #[test]
    fn a_merge_moves_the_orders_and_deletes_the_other() {
        let (mut world, _, _) = licensed();
        let keep = world.add_customer(&json!({"email": "a@b.example"})).expect("a customer");
        let other = world.add_customer(&json!({"email": "a@b.example"})).expect("a second of one address");
        let order = world.put(Object::Order, &json!({"store_id": "b", "customer": other})).expect("an order");
        assert!(world.merge_customers(keep, &json!({"customer_to_merge_id": keep})).is_err());
        world.merge_customers(keep, &json!({"customer_to_merge_id": other})).expect("a merge");
        has(&world, Object::Order, order, &json!({"customer": keep}));
        assert!(world.get(Object::Customer, other).is_none());
    }

    #[test]
    fn a_selective_reset_touches_only_what_is_named() {
        let (mut world, license, _) = licensed();
        world.update(Object::License, license, &json!({"metadata": {"a": 1}, "validity_period": "2027-01-01"})).expect("a license");
        world.consume(license, None, 6).expect("consumption");
        world.custom_bulk_reset(&json!({"license_ids": [license], "reset_consumptions": true})).expect("a reset");
        has(&world, Object::License, license, &json!({"total_consumptions": 0, "metadata": {"a": 1}, "validity_period": "2027-01-01"}));
        world
            .custom_bulk_reset(&json!({"license_ids": [license], "reset_metadata": true, "reset_validity_period": true}))
            .expect("a reset");
        has(&world, Object::License, license, &json!({"metadata": {}, "validity_period": null}));
    }
}
