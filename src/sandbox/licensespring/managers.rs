//! License managers: license users with rights over an order or a customer account.

use serde_json::{Map, Value};

use super::check::{self, Writer};
use super::path::listed;
use super::reply::Refusal;
use super::schema::Object;
use super::world::{World, as_object};

impl World {
    /// Gives a license user manager's rights over `what` (an order or an account); returns the user and whether it is new.
    ///
    /// # Errors
    /// No e-mail.
    pub fn add_manager(&mut self, rights: &str, what: i64, body: &Value) -> Result<(i64, bool), Refusal> {
        let body = as_object(body)?;
        let email = body.get("email").and_then(Value::as_str).filter(|email| !email.is_empty());
        let email = email.ok_or_else(|| Refusal::field("email", "This field is required."))?;
        let mut names = Map::new();
        for name in ["first_name", "last_name", "phone_number"] {
            names.extend(body.get(name).map(|value| (name.to_owned(), value.clone())));
        }
        let names = check::fields(Object::LicenseUser, &names, Writer::Create, &self.settings).map_err(Refusal::Fields)?;
        let mut new = Vec::new();
        let user = self.license_user(email, &mut new);
        self.amend(Object::LicenseUser, user, names);
        let mut managed: Vec<i64> = self.row(Object::LicenseUser, user).map(|row| listed(row.get(rights)).collect()).unwrap_or_default();
        if !managed.contains(&what) {
            managed.push(what);
        }
        self.set(Object::LicenseUser, user, rights, managed);
        self.set(Object::LicenseUser, user, "is_manager", true);
        Ok((user, !new.is_empty()))
    }

    /// Takes the rights over an order away.
    ///
    /// # Errors
    /// Not a manager of it.
    pub fn remove_manager(&mut self, order: i64, body: &Value) -> Result<(), Refusal> {
        let user = as_object(body)?.get("license_user_id").and_then(Value::as_i64);
        let row = user.and_then(|user| self.row(Object::LicenseUser, user));
        let row = row.ok_or_else(|| Refusal::Detail(400, "No such license user.".into()))?;
        let (user, managed) = (row.id, listed(row.get("managed_orders")).collect::<Vec<i64>>());
        if !managed.contains(&order) {
            return Err(Refusal::Detail(400, "The license user does not manage this order.".into()));
        }
        let left: Vec<i64> = managed.into_iter().filter(|managed| *managed != order).collect();
        self.set(Object::LicenseUser, user, "managed_orders", left);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::licensed;
    use super::*;

    #[test]
    fn managers_come_and_go() {
        let (mut world, _, _) = licensed();
        let order = world.table(Object::Order).ids()[0];
        let (user, new) = world.add_manager("managed_orders", order, &json!({"email": "boss@demo.example"})).expect("a manager");
        assert!(new);
        assert_eq!(world.add_manager("managed_orders", order, &json!({"email": "boss@demo.example"})), Ok((user, false)));
        world.remove_manager(order, &json!({"license_user_id": user})).expect("removed");
        assert!(world.remove_manager(order, &json!({"license_user_id": user})).is_err());
    }
}
