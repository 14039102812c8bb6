//! License orders, their features and host ids, and the licenses that activations make of them.
//!
//! The members and which of them are needed are the vendor's; all needed ones are needed again with every change. What a
//! license does on the end user's machine is not here: an activation is a row.

use serde_json::{Map, Value};

use super::check::{self, Field, Kind, closed, int, open, required};
use super::reply::Refusal;
use super::settings::Settings;
use super::world::World;

pub const LICENSE_TYPES: &[&str] = &["local", "network"];
pub const LICENSEE_TYPES: &[&str] = &["fixed", "customer", "not_specified"];

const ORDER: &[Field] = &[
    closed("activation_key"),
    closed("creation_time"),
    closed("activated_licenses_count"),
    closed("removal_request_time"),
    closed("removal_confirmation_time"),
    required("customer_id", Kind::Int),
    required("product_template_id", Kind::Int),
    required("license_type", Kind::OneOf(LICENSE_TYPES)),
    required("licensee_type", Kind::OneOf(LICENSEE_TYPES)),
    open("licensee", Kind::Text),
    required("hostid_match_rate", Kind::Int),
    required("min_hostids", Kind::Int),
    required("activations_allowed", Kind::Int),
    open("deactivations_allowed", Kind::Int),
    required("enabled", Kind::Flag),
    open("description", Kind::Description),
    open("settings_description", Kind::Description),
    required("removal", Kind::Flag),
    required("Hostids", Kind::Array),
    required("Features", Kind::Array),
];
const HOSTID: &[Field] = &[required("name", Kind::Text), required("min_amount", Kind::Int), required("max_amount", Kind::Int)];
const FEATURE: &[Field] = &[
    required("name", Kind::Text),
    required("version", Kind::Text),
    required("expiration_type", Kind::OneOf(&["fixed", "days_from_activation", "no_expiration"])),
    open("expiration_date", Kind::Date),
    open("days_from_activation", Kind::Int),
    required("issued_type", Kind::OneOf(&["fixed", "not_issued", "activation_time"])),
    open("issued_date", Kind::Date),
    open("options", Kind::Text),
    open("additional_settings", Kind::Description),
    open("enabled", Kind::Flag),
    open("count", Kind::Int),
    required("maintenance_type", Kind::OneOf(&["fixed", "days_from_activation", "no_maintenance"])),
    open("maintenance_date", Kind::Date),
    open("maintenance_days_from_activation", Kind::Int),
    open("comment", Kind::Text),
];
/// Member, value, and the member that this value makes necessary.
const NEEDED: [(&str, &str, &str); 5] = [
    ("expiration_type", "fixed", "expiration_date"),
    ("expiration_type", "days_from_activation", "days_from_activation"),
    ("issued_type", "fixed", "issued_date"),
    ("maintenance_type", "fixed", "maintenance_date"),
    ("maintenance_type", "days_from_activation", "maintenance_days_from_activation"),
];

#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// `XXXXX-XXXXX-XXXXX-XXXXX`
    pub key: String,
    pub customer: i64,
    pub template: i64,
    /// Every other member but the arrays, by the vendor's name.
    pub fields: Map<String, Value>,
    pub hostids: Vec<Map<String, Value>>,
    pub features: Vec<Map<String, Value>>,
    pub created: i64,
    pub removal_requested: Option<i64>,
    pub licenses: Vec<License>,
}

/// An activation.
#[derive(Debug, Clone, PartialEq)]
pub struct License {
    pub id: i64,
    pub hostid: String,
    pub activated: i64,
}

impl Order {
    pub fn flag(&self, name: &str) -> bool {
        self.fields.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn int(&self, name: &str) -> i64 {
        self.fields.get(name).and_then(Value::as_i64).unwrap_or_default()
    }
}

/// Host ids of an order or a template.
///
/// # Errors
/// 400.
pub fn read_hostids(value: &Value, settings: &Settings) -> Result<Vec<Map<String, Value>>, Refusal> {
    check::array("Hostids", value)?.iter().map(|body| check::fields("host id", HOSTID, body, settings)).collect()
}

/// Features of an order or a template.
///
/// # Errors
/// 400, also for a member that another one makes necessary.
pub fn read_features(value: &Value, license_type: &str, settings: &Settings) -> Result<Vec<Map<String, Value>>, Refusal> {
    let mut features = Vec::new();
    for body in check::array("Features", value)? {
        let feature = check::fields("feature", FEATURE, body, settings)?;
        let has = |name: &str| feature.get(name).is_some_and(|value| !value.is_null());
        for (name, word, needed) in NEEDED {
            if feature[name] == *word && !has(needed) {
                return Err(Refusal::invalid(format!("feature: {needed} is required when {name} is {word}")));
            }
        }
        if license_type == "network" && !has("count") {
            return Err(Refusal::invalid("feature: count is required when license_type is network"));
        }
        features.push(feature);
    }
    Ok(features)
}

impl World {
    /// # Errors
    /// 404.
    pub fn order(&self, key: &str) -> Result<&Order, Refusal> {
        self.orders.get(key).ok_or_else(|| Refusal::not_found("license order"))
    }

    /// A license order; returns its activation key.
    ///
    /// # Errors
    /// 400.
    pub fn create_order(&mut self, body: &Value) -> Result<String, Refusal> {
        let order = self.read_order(body)?;
        let key = self.new_key();
        self.orders.insert(key.clone(), Order { key: key.clone(), created: self.now(), ..order });
        Ok(key)
    }

    /// Writes over a license order.
    ///
    /// # Errors
    /// 404, 400.
    pub fn patch_order(&mut self, key: &str, body: &Value) -> Result<(), Refusal> {
        let old = self.order(key)?.clone();
        let new = self.read_order(body)?;
        let removal_requested = if new.flag("removal") { old.removal_requested.or(Some(self.now())) } else { None };
        let order = Order { key: old.key, created: old.created, licenses: old.licenses, removal_requested, ..new };
        self.orders.insert(key.to_owned(), order);
        Ok(())
    }

    fn read_order(&self, body: &Value) -> Result<Order, Refusal> {
        let mut fields = check::fields("license order", ORDER, body, &self.settings)?;
        let mut link = |name: &str| fields.remove(name).as_ref().and_then(int).unwrap_or_default();
        let (customer, template) = (link("customer_id"), link("product_template_id"));
        if !self.customers.contains_key(&customer) {
            return Err(Refusal::invalid(format!("license order: there is no customer {customer}")));
        }
        if self.template(template).is_none() {
            return Err(Refusal::invalid(format!("license order: there is no product template {template}")));
        }
        let hostids = read_hostids(&fields.remove("Hostids").unwrap_or_default(), &self.settings)?;
        let features = fields.remove("Features").unwrap_or_default();
        let order = Order {
            key: String::new(),
            customer,
            template,
            features: read_features(&features, fields["license_type"].as_str().unwrap_or_default(), &self.settings)?,
            removal_requested: (fields["removal"] == true).then(|| self.now()),
            fields,
            hostids,
            created: 0,
            licenses: Vec::new(),
        };
        if order.text("licensee_type") == "fixed" && order.text("licensee").is_empty() {
            return Err(Refusal::invalid("license order: licensee is required when licensee_type is fixed"));
        }
        Ok(order)
    }

    fn new_key(&mut self) -> String {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        let mut key = String::with_capacity(23);
        for group in 0..4 {
            if group > 0 {
                key.push('-');
            }
            let mut bits = self.next_random();
            for _ in 0..5 {
                key.push(ALPHABET[(bits % 32) as usize].into());
                bits /= 32;
            }
        }
        key
    }
}
