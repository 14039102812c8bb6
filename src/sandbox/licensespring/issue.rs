//! `create_order`: an order with its licenses, or more licenses on an order that is there.
//!
//! The whole request is read and judged first, then written, so a refused call leaves nothing behind. All its errors are of
//! shape C.

use chrono::{DateTime, NaiveDateTime};
use serde_json::{Map, Value, json};

use super::check::{Changes, Writer};
use super::issue_license::{License, last};
use super::reply::Refusal;
use super::schema::Object;
use super::table::Row;
use super::world::World;

/// Letters and digits that people do not confuse.
pub const KEY_ALPHABET: &str = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
const KEY_LENGTH: usize = 16;

/// What was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Issued {
    pub order: i64,
    /// Of license users that were not known before: e-mail and first password.
    pub new_passwords: Vec<(String, String)>,
}

enum Target {
    New(Changes),
    Append(i64),
}

enum Buyer {
    Nobody,
    Known(i64),
    New(Changes),
}

struct Item {
    product: i64,
    note: String,
    licenses: Vec<License>,
}

impl World {
    /// Carries out a `create_order` request.
    ///
    /// # Errors
    /// Shape C; nothing is written then.
    pub fn create_order(&mut self, body: &Value) -> Result<Issued, Refusal> {
        let body = body.as_object().ok_or_else(|| Refusal::coded("invalid_json", "An object is expected."))?;
        let target = self.target(body)?;
        let buyer = self.buyer(body)?;
        let account = self.account_for(body, &buyer)?;
        let items = self.items(body)?;

        let order = match target {
            Target::Append(order) => order,
            Target::New(fields) => {
                let order = self.insert(Object::Order, fields);
                let buyer = match buyer {
                    Buyer::Nobody => None,
                    Buyer::Known(customer) => Some(customer),
                    Buyer::New(fields) => Some(self.insert(Object::Customer, fields)),
                };
                self.set(Object::Order, order, "customer", buyer);
                self.set(Object::Order, order, "customer_account", account);
                order
            }
        };
        let mut new_passwords = Vec::new();
        for item in items {
            self.write_item(order, item, &mut new_passwords);
        }
        self.touch(Object::Order, order);
        Ok(Issued { order, new_passwords })
    }

    fn target(&self, body: &Map<String, Value>) -> Result<Target, Refusal> {
        let store_id = match body.get("id") {
            Some(Value::String(id)) if !id.trim().is_empty() => id.trim(),
            Some(Value::String(_) | Value::Null) | None => {
                return Err(Refusal::coded("missing_parameters", "Missing parameters: id"));
            }
            Some(_) => {
                return Err(Refusal::coded("validation_error", "id: Not a valid string."));
            }
        };
        let append = flag(body, "append")?;
        if let Some(order) = self.find(Object::Order, "store_id", store_id).first() {
            return if append {
                Ok(Target::Append(*order))
            } else {
                let message = format!("Order with id {store_id} already exists.");
                Err(Refusal::Coded(409, "order_id_exists", message))
            };
        }
        if append && !self.settings.append_unknown_creates {
            return Err(Refusal::coded("validation_error", format!("There is no order with id {store_id}.")));
        }
        let mut fields = Map::new();
        fields.insert("store_id".into(), store_id.into());
        for name in ["is_test", "language", "campaign_params", "download_id"] {
            if let Some(value) = body.get(name) {
                fields.insert(name.into(), value.clone());
            }
        }
        if let Some(kind) = body.get("order_type") {
            fields.insert("type".into(), kind.clone());
        }
        match body.get("metadata") {
            None | Some(Value::Null) => {}
            Some(text @ Value::String(_)) => {
                fields.insert("metadata".into(), text.clone());
            }
            Some(_) => {
                return Err(Refusal::coded("validation_error", "metadata: Not a valid string."));
            }
        }
        let mut changes = self.checked(Object::Order, None, &fields, Writer::Create).map_err(|refusal| shape_c("", refusal))?;
        if let Some(created) = body.get("created").filter(|created| !created.is_null()) {
            let at = created.as_str().and_then(created_instant);
            let at = at.ok_or_else(|| Refusal::coded("validation_error", "created: Datetime has wrong format."))?;
            changes.extend(Object::Order.position("created_at").map(|field| (field, at.into())));
        }
        Ok(Target::New(changes))
    }

    fn buyer(&self, body: &Map<String, Value>) -> Result<Buyer, Refusal> {
        let written = match body.get("customer") {
            None | Some(Value::Null) => return Ok(Buyer::Nobody),
            Some(Value::Object(written)) if written.is_empty() => return Ok(Buyer::Nobody),
            Some(Value::Object(written)) => written,
            Some(_) => {
                return Err(Refusal::coded("validation_error", "customer: An object is expected."));
            }
        };
        let by = self.settings.create_order_customer.as_str();
        if by != "never"
            && let Some(key) = written.get(by).and_then(Value::as_str)
            && let Some(known) = self.find(Object::Customer, by, key).first()
        {
            return Ok(Buyer::Known(*known));
        }
        self.checked(Object::Customer, None, written, Writer::Create).map(Buyer::New).map_err(|refusal| shape_c("customer.", refusal))
    }

    fn account_for(&self, body: &Map<String, Value>, buyer: &Buyer) -> Result<Option<i64>, Refusal> {
        let of_buyer = match buyer {
            Buyer::Known(customer) => self.row(Object::Customer, *customer).and_then(|row| row.int("customer_account")),
            Buyer::Nobody | Buyer::New(_) => None,
        };
        let Some(written) = body.get("customer_account_id").filter(|id| !id.is_null()) else {
            let copies = body.get("add_to_customer_account") != Some(&Value::Bool(false));
            return Ok(of_buyer.filter(|_| copies));
        };
        let id = written.as_i64().filter(|id| self.table(Object::Account).contains(*id));
        let id = id.ok_or_else(|| Refusal::coded("customer_account_not_found", format!("No customer account {written}.")))?;
        if of_buyer.is_some_and(|own| own != id) {
            let message = "The customer belongs to another customer account.";
            return Err(Refusal::coded("customer_account_id_mismatch", message));
        }
        Ok(Some(id))
    }

    fn items(&self, body: &Map<String, Value>) -> Result<Vec<Item>, Refusal> {
        let written = body.get("items").and_then(Value::as_array).filter(|items| !items.is_empty());
        let written = written.ok_or_else(|| Refusal::coded("missing_parameters", "Missing parameters: items"))?;
        if flag(body, "is_bundle")? {
            return Err(Refusal::coded("validation_error", "is_bundle: bundle orders are not simulated."));
        }
        let mut keys = Vec::new();
        let mut items = Vec::new();
        for (n, item) in written.iter().enumerate() {
            let at = format!("items[{n}].");
            let item = item.as_object().ok_or_else(|| Refusal::coded("validation_error", format!("{at} An object is expected.")))?;
            items.push(self.item(body, item, &at, &mut keys)?);
        }
        Ok(items)
    }

    fn item(&self, body: &Map<String, Value>, item: &Map<String, Value>, at: &str, keys: &mut Vec<String>) -> Result<Item, Refusal> {
        let code = item.get("product_code").and_then(Value::as_str);
        let code = code.ok_or_else(|| Refusal::coded("missing_parameters", format!("Missing parameters: {at}product_code")))?;
        let product = self.product_by_code(code)?;
        let single;
        let written = match item.get("licenses").and_then(Value::as_array) {
            Some(licenses) if !licenses.is_empty() => licenses,
            _ => {
                // The schema also shows a key and a policy on the item itself: then that is its one license.
                let Some(key) = item.get("key") else {
                    return Err(Refusal::coded("missing_parameters", format!("Missing parameters: {at}licenses")));
                };
                let mut license = json!({ "key": key });
                if let Some(policy) = item.get("license_policy") {
                    license["policy_code"] = policy.clone();
                }
                single = vec![license];
                &single
            }
        };
        let mut licenses = Vec::new();
        for (n, license) in written.iter().enumerate() {
            let at = format!("{at}licenses[{n}].");
            let license = license.as_object().ok_or_else(|| Refusal::coded("validation_error", format!("{at} An object is expected.")))?;
            licenses.push(self.license(body, product, license, &at, keys)?);
        }
        Ok(Item { product: product.id, note: item.get("note").and_then(Value::as_str).unwrap_or_default().to_owned(), licenses })
    }

    /// The product of a short code; an archived one only when no other has it.
    pub(super) fn product_by_code(&self, code: &str) -> Result<&Row, Refusal> {
        let mut found: Vec<&Row> =
            self.find(Object::Product, "short_code", code).iter().filter_map(|id| self.row(Object::Product, *id)).collect();
        found.sort_by_key(|product| product.flag("is_archived"));
        let product = *found.first().ok_or_else(|| Refusal::coded("unknown_product", format!("Unknown product {code}.")))?;
        if product.flag("is_archived") {
            Err(Refusal::coded("archived_product", format!("Product {code} is archived.")))
        } else if !product.flag("active") {
            Err(Refusal::coded("disabled_product", format!("Product {code} is disabled.")))
        } else {
            Ok(product)
        }
    }

    fn write_item(&mut self, order: i64, item: Item, new_passwords: &mut Vec<(String, String)>) {
        let id = self.insert(Object::OrderItem, Changes::new());
        self.set(Object::OrderItem, id, "order", order);
        self.set(Object::OrderItem, id, "product", item.product);
        self.set(Object::OrderItem, id, "note", item.note);
        for license in item.licenses {
            let users = license.users.iter().map(|email| self.license_user(email, new_passwords)).collect::<Vec<i64>>();
            let needs_key = !license.by_user && last(&license.fields, "license_key").as_str().unwrap_or_default().is_empty();
            let made = self.insert(Object::License, license.fields);
            self.set(Object::License, made, "order", order);
            self.set(Object::License, made, "order_item", id);
            self.set(Object::License, made, "license_users", users);
            if needs_key {
                let alphabet: Vec<char> = KEY_ALPHABET.chars().collect();
                let key = self.new_key(KEY_LENGTH, &alphabet);
                self.set(Object::License, made, "license_key", key);
            }
            for (feature, limits) in license.features {
                self.put_feature(made, feature, limits);
            }
        }
    }

    /// The license user of an address, a new one with a first password where there is none.
    pub(super) fn license_user(&mut self, email: &str, new_passwords: &mut Vec<(String, String)>) -> i64 {
        if let Some(known) = self.find(Object::LicenseUser, "true_email", email).first() {
            return *known;
        }
        let password = format!("first-{:012x}", self.next_random() >> 16);
        let user = self.insert(Object::LicenseUser, Changes::new());
        self.set(Object::LicenseUser, user, "true_email", email);
        self.set(Object::LicenseUser, user, "initial_password", password.clone());
        new_passwords.push((email.to_owned(), password));
        user
    }
}

fn flag(body: &Map<String, Value>, name: &str) -> Result<bool, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(yes)) => Ok(*yes),
        Some(_) => Err(Refusal::coded("validation_error", format!("{name}: Must be a valid boolean."))),
    }
}

/// The documented sample has no zone: taken as UTC.
fn created_instant(written: &str) -> Option<i64> {
    let with_zone = DateTime::parse_from_rfc3339(written).ok().map(|at| at.timestamp_micros());
    with_zone.or_else(|| {
        let at = NaiveDateTime::parse_from_str(written, "%Y-%m-%d %H:%M:%S").ok()?;
        Some(at.and_utc().timestamp_micros())
    })
}

/// Any refusal of a field, said in this call's own shape.
pub(super) fn shape_c(at: &str, refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Fields(errors) => {
            let all: Vec<String> = errors.iter().map(|(name, reasons)| format!("{at}{name}: {}", reasons.join(" "))).collect();
            Refusal::coded("validation_error", all.join("; "))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sandbox::clock::Clock;

    fn world() -> World {
        let mut world = World::new(Clock::system());
        super::super::seed_products(&mut world).unwrap();
        world
    }

    fn order(id: &str, license: &Value) -> Value {
        json!({"id": id, "items": [{"product_code": "orbit-pro", "licenses": [license]}]})
    }

    fn only_license(world: &World) -> Value {
        let mut rows = world.rows(Object::License);
        assert_eq!(rows.len(), 1);
        rows.remove(0)
    }

    fn refusal(world: &mut World, body: &Value) -> (u16, String) {
        let before: Vec<usize> = Object::ALL.into_iter().map(|object| world.count(object)).collect();
        let refused = world.create_order(body).unwrap_err();
        let after: Vec<usize> = Object::ALL.into_iter().map(|object| world.count(object)).collect();
        assert_eq!(before, after, "a refused order leaves nothing behind");
        assert_eq!(refused.body()["status"], refused.status(), "shape C");
        (refused.status(), refused.body()["code"].as_str().unwrap().to_owned())
    }

    #[test]
    fn a_license_has_what_policy_and_request_say() {
        let mut world = world();
        let license = json!({"key": "K-1", "max_activations": 7, "metadata": {"line": "802"},
                             "product_features": [{"code": "render_min", "max_consumption": 9}, {"code": "api_access"}]});
        let mut body = order("SF-1", &license);
        body["metadata"] = json!("{\"sf\":1}");
        let issued = world.create_order(&body).unwrap();
        let made = only_license(&world);
        for (name, value) in [
            ("license_key", json!("K-1")),
            ("license_type", json!("time-limited")),
            ("valid_duration", json!("1y")),
            ("max_activations", json!(7)),
            ("enabled", json!(true)),
            ("active", json!(false)),
            ("metadata", json!({"line": "802"})),
            ("feature_codes", json!(["export_pdf", "render_min", "api_access"])),
            ("order", json!(issued.order)),
        ] {
            assert_eq!(made[name], value, "{name}");
        }
        let limits: Vec<Value> = world.rows(Object::LicenseFeature).iter().map(|row| row["max_consumption"].clone()).collect();
        assert_eq!(limits, [0, 9, 0]);
        assert_eq!(world.get(Object::Order, issued.order).unwrap()["metadata"], json!({"sf": 1}));
    }

    #[test]
    fn a_named_policy_replaces_the_default_one() {
        let mut world = world();
        world.create_order(&order("a", &json!({"policy_code": "orbit-pro-perpetual"}))).unwrap();
        let made = only_license(&world);
        assert_eq!((made["license_type"].clone(), made["valid_duration"].clone()), (json!("perpetual"), Value::Null));
        assert_eq!(world.rows(Object::LicenseFeature)[1]["max_consumption"], 100, "as the definition says");
        assert_eq!(refusal(&mut world, &order("b", &json!({"policy_code": "orbit-team-1y"}))).1, "validation_error");
    }

    #[test]
    fn a_license_without_a_key_gets_one() {
        let mut world = world();
        world.create_order(&order("a", &json!({}))).unwrap();
        let key = only_license(&world)["license_key"].as_str().unwrap().to_owned();
        assert_eq!((key.len(), key.matches('-').count()), (19, 3), "{key}");
        assert!(key.chars().all(|c| c == '-' || KEY_ALPHABET.contains(c)), "{key}");
        world.settings.key_required = true;
        assert_eq!(refusal(&mut world, &order("b", &json!({}))), (400, "missing_parameters".into()));
    }

    #[test]
    fn an_id_is_taken_once_and_append_adds() {
        let mut world = world();
        let first = world.create_order(&order("SF-1", &json!({}))).unwrap().order;
        assert_eq!(refusal(&mut world, &order("SF-1", &json!({}))), (409, "order_id_exists".into()));
        let mut more = order("SF-1", &json!({}));
        more["append"] = json!(true);
        assert_eq!(world.create_order(&more).unwrap().order, first);
        assert_eq!((world.count(Object::License), world.count(Object::OrderItem)), (2, 2));
        more["id"] = json!("SF-2");
        world.settings.append_unknown_creates = false;
        refusal(&mut world, &more);
        world.settings.append_unknown_creates = true;
        assert_ne!(world.create_order(&more).unwrap().order, first);
    }

    #[test]
    fn wrong_orders_are_refused_whole_and_by_code() {
        let mut world = world();
        world.create_order(&order("taken", &json!({"key": "TAKEN"}))).unwrap();
        let archived = world.add_product("old", "Old", &json!([]), &json!([])).unwrap();
        world.update(Object::Product, archived, &json!({"is_archived": true})).unwrap();
        let off = world.add_product("off", "Off", &json!([]), &json!([])).unwrap();
        world.update(Object::Product, off, &json!({"active": false})).unwrap();
        let of_product = |code: &str| json!({"id": "x", "items": [{"product_code": code, "licenses": [{}]}]});
        for (body, code) in [
            (json!([]), "invalid_json"),
            (json!({"items": []}), "missing_parameters"),
            (json!({"id": "x"}), "missing_parameters"),
            (json!({"id": 5, "items": []}), "validation_error"),
            (json!({"id": "x", "items": [{"licenses": [{}]}]}), "missing_parameters"),
            (json!({"id": "x", "items": [{"product_code": "orbit-pro"}]}), "missing_parameters"),
            (of_product("nothing"), "unknown_product"),
            (of_product("old"), "archived_product"),
            (of_product("off"), "disabled_product"),
            (order("x", &json!({"product_features": [{"code": "sso"}]})), "unsupported_product_feature"),
            (order("x", &json!({"key": "TAKEN"})), "validation_error"),
            (order("x", &json!({"max_activations": "many"})), "validation_error"),
            (order("x", &json!({"policy_code": "orbit-pro-perpetual", "license_type": "time-limited"})), "validation_error"),
            (json!({"id": "x", "metadata": {}, "items": [{"product_code": "orbit-pro", "licenses": [{}]}]}), "validation_error"),
            (
                json!({"id": "x", "customer_account_id": 1, "items": [{"product_code": "orbit-pro", "licenses": [{}]}]}),
                "customer_account_not_found",
            ),
            (
                json!({"id": "x", "customer": {"email": "no"}, "items": [{"product_code": "orbit-pro", "licenses": [{}]}]}),
                "validation_error",
            ),
            (json!({"id": "x", "items": [{"product_code": "orbit-pro", "licenses": [{"key": "K"}, {"key": "K"}]}]}), "validation_error"),
        ] {
            assert_eq!(refusal(&mut world, &body), (400, code.into()), "{body}");
        }
    }

    #[test]
    fn an_archived_products_code_may_be_used_again() {
        let mut world = world();
        let old = world.add_product("nova", "Nova 1", &json!([]), &json!([])).unwrap();
        assert!(world.add_product("nova", "Nova 2", &json!([]), &json!([])).is_err());
        world.update(Object::Product, old, &json!({"is_archived": true})).unwrap();
        let new = world.add_product("nova", "Nova 2", &json!([]), &json!([])).unwrap();
        assert_eq!(world.product_by_code("nova").unwrap().id, new);
    }

    #[test]
    fn the_customer_is_found_or_made_and_brings_its_account() {
        let mut world = world();
        let account = world.add_account(&json!({"code": "n", "name": "N"})).unwrap();
        let other = world.add_account(&json!({"code": "o", "name": "O"})).unwrap();
        let known = json!({"email": "a@b.example", "reference": "R", "customer_account": account});
        let known = world.add_customer(&known).unwrap();
        let with = |id: &str, more: &[(&str, Value)]| {
            let mut body = order(id, &json!({}));
            body["customer"] = json!({"email": "a@b.example", "reference": "S", "id": 1});
            for (name, value) in more {
                body[*name] = value.clone();
            }
            body
        };
        let links = |world: &World, order: i64| {
            let row = world.row(Object::Order, order).unwrap();
            (row.int("customer"), row.int("customer_account"))
        };
        let issued = world.create_order(&with("1", &[])).unwrap();
        assert_eq!(links(&world, issued.order), (Some(known), Some(account)));
        let issued = world.create_order(&with("2", &[("add_to_customer_account", json!(false))])).unwrap();
        assert_eq!(links(&world, issued.order), (Some(known), None));
        assert_eq!(refusal(&mut world, &with("3", &[("customer_account_id", json!(other))])).1, "customer_account_id_mismatch");
        world.settings.create_order_customer = "reference".into();
        let issued = world.create_order(&with("4", &[])).unwrap();
        assert_ne!(links(&world, issued.order).0, Some(known));
        let plain = world.create_order(&order("5", &json!({}))).unwrap();
        assert_eq!(links(&world, plain.order), (None, None));
    }

    #[test]
    fn user_based_products_take_users_instead_of_keys() {
        let mut world = world();
        let product = world.add_product("nimbus", "Nimbus", &json!([]), &json!([])).unwrap();
        world.update(Object::Product, product, &json!({"authorization_method": "user"})).unwrap();
        let body =
            |id: &str| json!({"id": id, "items": [{"product_code": "nimbus", "licenses": [{"users": [{"email": "ana@demo.example"}]}]}]});
        let issued = world.create_order(&body("1")).unwrap();
        assert_eq!(issued.new_passwords.len(), 1);
        assert_eq!(world.rows(Object::License)[0]["license_key"], Value::Null);
        assert!(world.create_order(&body("2")).unwrap().new_passwords.is_empty());
        assert_eq!(world.count(Object::LicenseUser), 1);
    }
}
