//! What happens in the vendor's own pages and in the field: seeding, edits by people, activations.
//!
//! People may set every field and delete everything; keys stay unique, links stay true and stamps move as for calls.
//! The same edits are reachable from Rust and as JSON at `/__control/edit`.

use serde_json::{Map, Value, json};

use super::check::{Changes, Writer};
use super::issue::KEY_ALPHABET;
use super::reply::Refusal;
use super::schema::{ENTITLEMENTS, FEATURE_LIMITS, Object};
use super::show;
use super::world::{World, as_object};

impl World {
    /// A product with its feature definitions and policies; returns its id.
    ///
    /// `features`: `[{"code","name"?,"feature_type"?,…limits}]`.
    /// `policies`: `[{"code","name"?,"license_type"?,"is_default"?,…entitlements,"features":["code" or {"code",…limits}]}]`.
    /// What a policy does not say it has from the product; a product with policies and no default one makes the first the default.
    ///
    /// # Errors
    /// A field that does not validate, a code that is taken.
    pub fn add_product(&mut self, code: &str, name: &str, features: &Value, policies: &Value) -> Result<i64, Refusal> {
        let product = self.put(Object::Product, &json!({"short_code": code, "product_name": name}))?;
        for feature in features.as_array().into_iter().flatten() {
            let mut fields = as_object(feature)?.clone();
            let name = fields.get("code").cloned().unwrap_or_default();
            fields.entry("name").or_insert(name);
            fields.insert("product".into(), product.into());
            self.put(Object::ProductFeature, &Value::Object(fields))?;
        }
        let policies = policies.as_array().map(Vec::as_slice).unwrap_or_default();
        let has_default = policies.iter().any(|policy| policy["is_default"] == true);
        for (n, policy) in policies.iter().enumerate() {
            let policy = self.add_policy(product, as_object(policy)?)?;
            if n == 0 && !has_default {
                self.set(Object::Policy, policy, "is_default", true);
            }
        }
        Ok(product)
    }

    fn add_policy(&mut self, product: i64, written: &Map<String, Value>) -> Result<i64, Refusal> {
        let row = self.need(Object::Product, product)?;
        let mut fields = Map::new();
        for name in ENTITLEMENTS.iter().filter(|name| Object::Product.position(name).is_some()) {
            fields.insert((*name).to_owned(), row.get(name).clone());
        }
        fields.insert("name".into(), written.get("code").cloned().unwrap_or_default());
        fields.insert("product".into(), product.into());
        let mut own = written.clone();
        let features = own.remove("features").unwrap_or_default();
        if let Some(kind) = own.remove("license_type") {
            own.insert("default_license_type".into(), kind);
        }
        fields.extend(own);
        let mut templates = Vec::new();
        for feature in features.as_array().into_iter().flatten() {
            let code = feature.as_str().or(feature["code"].as_str()).unwrap_or_default();
            let definition = self.feature_by_code(product, code)?;
            let mut template = Map::new();
            for name in FEATURE_LIMITS {
                template.insert((*name).to_owned(), definition.get(name).clone());
            }
            template.extend(feature.as_object().cloned().unwrap_or_default());
            template.remove("code");
            template.insert("product_feature".into(), definition.id.into());
            templates.push(template);
        }
        for template in &mut templates {
            template.insert("id".into(), (self.next_random() % 1_000_000).into());
        }
        fields.insert("license_product_feature_templates".into(), json!(templates));
        self.put(Object::Policy, &Value::Object(fields))
    }

    /// A customer account; `code` and `name` are needed.
    ///
    /// # Errors
    /// As [`World::put`].
    pub fn add_account(&mut self, fields: &Value) -> Result<i64, Refusal> {
        self.put(Object::Account, fields)
    }

    /// A customer.
    ///
    /// # Errors
    /// As [`World::put`].
    pub fn add_customer(&mut self, fields: &Value) -> Result<i64, Refusal> {
        self.put(Object::Customer, fields)
    }

    /// An order issued by a person; a missing `id` is invented, as the vendor's page does. Body as for `create_order`.
    ///
    /// # Errors
    /// As [`World::create_order`].
    pub fn issue(&mut self, body: &Value) -> Result<i64, Refusal> {
        self.wake();
        let mut body = as_object(body)?.clone();
        if !body.contains_key("id") {
            body.insert("id".into(), self.invented_store_id().into());
        }
        Ok(self.create_order(&Value::Object(body))?.order)
    }

    fn invented_store_id(&mut self) -> String {
        format!("{:016x}", self.next_random())
    }

    /// A row of any object. `id` may be given. A license needs `order` and `product`, and gets an item and a key.
    ///
    /// # Errors
    /// Fields that do not validate or do not exist, links to nothing, keys that are taken.
    pub fn put(&mut self, object: Object, fields: &Value) -> Result<i64, Refusal> {
        self.wake();
        let written = as_object(fields)?;
        if object == Object::License {
            for name in ["order", "product"] {
                if !written.contains_key(name) {
                    return Err(Refusal::field(name, "This field is required."));
                }
            }
        }
        let mut changes = self.checked(object, None, written, Writer::Hand)?;
        if object == Object::Order && !written.contains_key("store_id") {
            let id = self.invented_store_id();
            changes.extend(object.position("store_id").map(|at| (at, id.into())));
        }
        let id = match written.get("id").map(|id| id.as_i64()) {
            None => self.insert(object, changes),
            Some(Some(id)) if !self.table(object).contains(id) => {
                self.insert_as(object, id, changes);
                id
            }
            Some(_) => return Err(Refusal::field("id", "A new whole number is expected.")),
        };
        if object == Object::License {
            self.settle_item(id, None);
            if self.row(object, id).is_some_and(|row| row.get("license_key").is_null()) {
                let alphabet: Vec<char> = KEY_ALPHABET.chars().collect();
                let key = self.new_key(16, &alphabet);
                self.set(object, id, "license_key", key);
            }
        }
        Ok(id)
    }

    /// Changes a row; `updated_at` moves to now unless it is given.
    ///
    /// # Errors
    /// 404, and as [`World::put`].
    pub fn update(&mut self, object: Object, id: i64, fields: &Value) -> Result<(), Refusal> {
        self.wake();
        let before = self.need(object, id)?;
        let (order, enabled) = match object {
            Object::License => (before.int("order"), before.flag("enabled")),
            _ => (None, false),
        };
        if object == Object::LicenseFeature {
            // Told apart from a call only by what it may set.
            let changes = self.checked(object, Some(id), as_object(fields)?, Writer::Hand)?;
            self.amend(object, id, changes);
            return self.patch_feature_row(id, &json!({}));
        }
        self.patch(object, id, fields, Writer::Hand)?;
        if object == Object::License {
            self.settle_item(id, order);
            let now_enabled = self.row(object, id).is_some_and(|row| row.flag("enabled"));
            if now_enabled != enabled {
                let at = if now_enabled { Value::Null } else { self.stored_now(object).into() };
                self.set(object, id, "time_disabled", at);
            }
        }
        Ok(())
    }

    /// Deletes a row for good, with what belongs to it.
    ///
    /// # Errors
    /// 404; a customer that the settings do not let go.
    pub fn delete(&mut self, object: Object, id: i64) -> Result<(), Refusal> {
        self.wake();
        if object == Object::LicenseFeature {
            return self.remove_feature_row(id);
        }
        self.remove(object, id)
    }

    /// Adds a feature to a license, or changes the row that is there; returns the row.
    ///
    /// # Errors
    /// 404; a code that is not on the license's product.
    pub fn add_feature(&mut self, license: i64, code: &str, fields: &Value) -> Result<i64, Refusal> {
        self.wake();
        let product = self.need(Object::License, license)?.int("product").unwrap_or_default();
        let definition = self.feature_by_code(product, code)?;
        let (feature, limits) = (definition.id, self.feature_limits(definition));
        let own: Changes = match fields {
            Value::Null => Changes::new(),
            fields => self.feature_fields(as_object(fields)?)?,
        };
        let row = match self.feature_row(license, feature) {
            Some(row) => row,
            None => self.put_feature(license, feature, limits),
        };
        self.amend(Object::LicenseFeature, row, own);
        self.patch_feature_row(row, &json!({}))?;
        Ok(row)
    }

    /// Takes a feature off a license.
    ///
    /// # Errors
    /// 404 when the license does not have it.
    pub fn remove_feature(&mut self, license: i64, code: &str) -> Result<(), Refusal> {
        self.wake();
        let product = self.need(Object::License, license)?.int("product").unwrap_or_default();
        let feature = self.feature_by_code(product, code)?.id;
        let row = self.feature_row(license, feature).ok_or_else(Refusal::not_found)?;
        self.remove_feature_row(row)
    }

    /// Counts consumption on a license, or on one of its features.
    ///
    /// # Errors
    /// 404.
    pub fn consume(&mut self, license: i64, code: Option<&str>, amount: i64) -> Result<(), Refusal> {
        self.wake();
        let row = self.need(Object::License, license)?;
        let (object, id) = match code {
            None => (Object::License, license),
            Some(code) => {
                let feature = self.feature_by_code(row.int("product").unwrap_or_default(), code)?.id;
                let row = self.feature_row(license, feature).ok_or_else(Refusal::not_found)?;
                (Object::LicenseFeature, row)
            }
        };
        let total = self.need(object, id)?.int("total_consumptions").unwrap_or_default();
        self.set(object, id, "total_consumptions", total.saturating_add(amount).max(0));
        self.touch(object, id);
        Ok(())
    }

    // ---- looking ----

    /// A row with every stored field, undistorted; a license also has `feature_codes`, `customer` and `status`.
    pub fn get(&self, object: Object, id: i64) -> Option<Value> {
        self.row(object, id).map(|row| show::plain(self, row))
    }

    /// All rows of an object by id, each as [`World::get`] shows it.
    pub fn rows(&self, object: Object) -> Vec<Value> {
        let table = self.table(object);
        table.ids().iter().filter_map(|id| self.get(object, *id)).collect()
    }

    pub fn count(&self, object: Object) -> usize {
        self.table(object).len()
    }

    // ---- as JSON ----

    /// One edit of `/__control/edit`; answers the row it touched.
    ///
    /// # Errors
    /// An unknown `op` or object, and what the edit itself refuses.
    pub fn edit(&mut self, edit: &Value) -> Result<Value, Refusal> {
        let wrong = |what: &str| Refusal::field("edit", what);
        let number = |name: &str| edit[name].as_i64().ok_or_else(|| Refusal::field(name, "A valid integer is required."));
        let word = |name: &str| edit[name].as_str().ok_or_else(|| Refusal::field(name, "Not a valid string."));
        let object = || {
            let object = word("object")?;
            Object::parse(object).ok_or_else(|| Refusal::field("object", format!("There is no object {object}.")))
        };
        let none = json!({});
        let fields = edit.get("fields").unwrap_or(&none);
        let (object, id) = match word("op")? {
            "create" => (object()?, self.put(object()?, fields)?),
            "update" => {
                self.update(object()?, number("id")?, fields)?;
                (object()?, number("id")?)
            }
            "delete" => {
                self.delete(object()?, number("id")?)?;
                return Ok(json!({"deleted": number("id")?}));
            }
            "add_feature" => (Object::LicenseFeature, self.add_feature(number("license")?, word("code")?, fields)?),
            "remove_feature" => {
                self.remove_feature(number("license")?, word("code")?)?;
                (Object::License, number("license")?)
            }
            "activate" => {
                self.wake();
                let hardware = edit["hardware_id"].as_str().unwrap_or("hw-1");
                let host = edit["hostname"].as_str().unwrap_or("host-1");
                self.activate(number("license")?, hardware, host)?;
                (Object::License, number("license")?)
            }
            "consume" => {
                self.consume(number("license")?, edit["code"].as_str(), number("amount")?)?;
                (Object::License, number("license")?)
            }
            "issue" => (Object::Order, self.issue(&edit["order"])?),
            "merge" => {
                self.wake();
                let body = json!({"customer_to_merge_id": number("other")?});
                self.merge_customers(number("id")?, &body)?;
                (Object::Customer, number("id")?)
            }
            other => return Err(wrong(&format!("there is no op {other}"))),
        };
        self.get(object, id).ok_or_else(Refusal::not_found)
    }
}
