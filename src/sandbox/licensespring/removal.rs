//! Deletions: all of them are hard, and take along what belongs to the deleted row.

use serde_json::Value;

use super::reply::Refusal;
use super::schema::Object;
use super::world::World;

impl World {
    /// Deletes a row for good, with what belongs to it; rows that only point at it lose the pointer.
    ///
    /// # Errors
    /// 404, or a customer that the settings do not let go.
    pub fn remove(&mut self, object: Object, id: i64) -> Result<(), Refusal> {
        self.need(object, id)?;
        for (owned, by) in owned_by(object) {
            for child in self.linked(*owned, by, id).to_vec() {
                self.remove(*owned, child)?;
            }
        }
        match object {
            Object::Account => {
                self.unlink(Object::Customer, "customer_account", id);
                self.unlink(Object::Order, "customer_account", id);
            }
            Object::Customer => self.release_orders(id)?,
            Object::ProductFeature => self.purge_from_policies(id),
            Object::LicenseUser => self.remove_user_from_licenses(id),
            Object::Policy => self.unlink(Object::License, "license_template", id),
            _ => {}
        }
        self.drop_row(object, id);
        Ok(())
    }

    fn unlink(&mut self, object: Object, name: &str, id: i64) {
        for row in self.linked(object, name, id).to_vec() {
            self.set(object, row, name, Value::Null);
        }
    }

    fn release_orders(&mut self, customer: i64) -> Result<(), Refusal> {
        let orders = self.linked(Object::Order, "customer", customer).to_vec();
        match self.settings.customer_delete.as_str() {
            "refuse" if !orders.is_empty() => {
                return Err(Refusal::Detail(400, "The customer still has orders.".into()));
            }
            "cascade" => {
                for order in orders {
                    self.remove(Object::Order, order)?;
                }
            }
            _ => self.unlink(Object::Order, "customer", customer),
        }
        Ok(())
    }

    fn purge_from_policies(&mut self, feature: i64) {
        for policy in self.table(Object::Policy).ids().to_vec() {
            let Some(row) = self.row(Object::Policy, policy) else {
                continue;
            };
            let mut templates = row.get("license_product_feature_templates").clone();
            if let Some(templates) = templates.as_array_mut() {
                templates.retain(|template| template["product_feature"] != feature);
            }
            self.set(Object::Policy, policy, "license_product_feature_templates", templates);
        }
    }

    fn remove_user_from_licenses(&mut self, user: i64) {
        for license in self.table(Object::License).ids().to_vec() {
            let Some(row) = self.row(Object::License, license) else {
                continue;
            };
            let users = row.get("license_users").as_array().cloned().unwrap_or_default();
            if users.iter().any(|one| *one == user) {
                let left: Vec<Value> = users.into_iter().filter(|one| *one != user).collect();
                self.set(Object::License, license, "license_users", left);
            }
        }
    }
}

/// What is deleted with a row, and the field by which it belongs to it.
fn owned_by(object: Object) -> &'static [(Object, &'static str)] {
    match object {
        Object::Customer => &[(Object::CustomerLabel, "customer")],
        Object::Label => &[(Object::CustomerLabel, "customer_label")],
        Object::Order => &[(Object::License, "order"), (Object::OrderItem, "order")],
        Object::OrderItem => &[(Object::License, "order_item")],
        Object::License => &[(Object::LicenseFeature, "license"), (Object::Device, "license")],
        Object::ProductFeature => &[(Object::LicenseFeature, "product_feature")],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::super::fixture::licensed;
    use super::*;

    #[test]
    fn a_customer_s_orders_follow_the_switch() {
        for (rule, orders_left, licenses_left) in [("orphan", 1, 1), ("cascade", 0, 0)] {
            let (mut world, _, _) = licensed();
            world.settings.customer_delete = rule.into();
            let customer = world.add_customer(&json!({})).unwrap();
            let order = world.table(Object::Order).ids()[0];
            world.update(Object::Order, order, &json!({"customer": customer})).unwrap();
            world.remove(Object::Customer, customer).unwrap();
            assert_eq!((world.count(Object::Order), world.count(Object::License)), (orders_left, licenses_left), "{rule}");
        }
        let (mut world, _, _) = licensed();
        world.settings.customer_delete = "refuse".into();
        let customer = world.add_customer(&json!({})).unwrap();
        let order = world.table(Object::Order).ids()[0];
        world.update(Object::Order, order, &json!({"customer": customer})).unwrap();
        assert_eq!(world.remove(Object::Customer, customer).unwrap_err().status(), 400);
    }

    #[test]
    fn an_order_takes_items_licenses_features_and_devices_along() {
        let (mut world, license, _) = licensed();
        world.activate(license, "hw-1", "cad-07").unwrap();
        let order = world.table(Object::Order).ids()[0];
        world.remove(Object::Order, order).unwrap();
        for object in [Object::OrderItem, Object::License, Object::LicenseFeature, Object::Device] {
            assert_eq!(world.count(object), 0, "{object:?}");
        }
    }

    #[test]
    fn an_account_only_loses_its_customers() {
        let (mut world, _, _) = licensed();
        let account = world.add_account(&json!({"code": "n", "name": "N"})).unwrap();
        let customer = world.add_customer(&json!({"customer_account": account})).unwrap();
        world.remove(Object::Account, account).unwrap();
        assert_eq!(world.get(Object::Customer, customer).unwrap()["customer_account"], Value::Null);
    }
}
