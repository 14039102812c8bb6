//! What an order asks of `create_order`: the whole body, and what its answer is compared with.
//!
//! Source: docs.licensespring.com, "Create Order". The customer is left out on purpose: how the service would match one
//! is not published, so it is set afterwards by number.

use super::list::Row;
use super::refusal::Refusal;
use crate::record::{Fields, Value};
use serde_json::{Value as J, json};

/// Arguments that are numbers or yes-and-no, though a rules file has them as words.
const INTEGERS: [&str; 11] = [
    "max_activations",
    "trial_days",
    "max_license_users",
    "max_transfers",
    "floating_users",
    "floating_timeout",
    "max_borrow_time",
    "max_consumptions",
    "max_overages",
    "grace_period",
    "license_template",
];
const BOOLEANS: [&str; 16] = [
    "active",
    "enabled",
    "is_trial",
    "allow_unlimited_activations",
    "prevent_vm",
    "enable_maintenance_period",
    "is_floating",
    "is_floating_cloud",
    "can_borrow",
    "is_air_gapped",
    "is_hardware_key_auth",
    "allow_unlimited_consumptions",
    "allow_negative_consumptions",
    "allow_overages",
    "reset_consumption",
    "allow_grace_period",
];

/// An order to be.
#[derive(Debug)]
pub struct WantedOrder {
    pub store_id: String,
    pub customer: Option<i64>,
    pub customer_account: Option<i64>,
    pub body: J,
    /// Our own license keys, minted before sending.
    pub keys: Vec<String>,
    /// `<OrderItem Id>-<n>` of each license.
    pub units: Vec<String>,
    pub license_count: usize,
}

impl WantedOrder {
    /// `planted`: what `metadata.lockstep` of the order is to hold.
    pub fn of(store_id: &str, fields: &Fields, planted: J) -> Result<Self, Refusal> {
        let mut order = Self {
            store_id: store_id.to_owned(),
            customer: reference(fields, "customer")?,
            customer_account: reference(fields, "customer_account")?,
            body: J::Null,
            keys: Vec::new(),
            units: Vec::new(),
            license_count: 0,
        };
        let mut body = json!({"id": store_id, "append": false});
        let mut metadata = json!({"lockstep": planted}).as_object().cloned().unwrap_or_default();
        for (name, value) in fields {
            match name.as_str() {
                "store_id" | "customer" | "customer_account" | "items" => {}
                "is_test" => body[name] = value.to_plain_json(),
                _ => match name.strip_prefix(super::catalogue::METADATA) {
                    Some(_) if *value == Value::Null => {}
                    Some(path) => super::body::put(&mut metadata, path, value.to_plain_json())?,
                    None => return Err(Refusal::new("not-writable", format!("{name} of an order cannot be set"), &[name])),
                },
            }
        }
        if let Some(account) = order.customer_account {
            body["customer_account_id"] = J::from(account);
        }
        let items = fields.get("items").and_then(Value::as_rows).unwrap_or_default();
        body["items"] = items.iter().map(|item| order.item(item)).collect::<Result<Vec<J>, _>>()?.into();
        if order.license_count == 0 {
            return Err(Refusal::new("no-licenses", "an order needs at least one license", &["items"]));
        }
        // Text here, an object everywhere else.
        body["metadata"] = J::String(J::Object(metadata).to_string());
        order.body = body;
        Ok(order)
    }

    /// More licenses for an order that is there: nothing else of it is said again.
    pub fn appended(store_id: &str, items: &[Fields]) -> Result<Self, Refusal> {
        let mut order = Self {
            store_id: store_id.to_owned(),
            customer: None,
            customer_account: None,
            body: J::Null,
            keys: Vec::new(),
            units: Vec::new(),
            license_count: 0,
        };
        let items = items.iter().map(|item| order.item(item)).collect::<Result<Vec<J>, _>>()?;
        order.body = json!({"id": store_id, "append": true, "items": items});
        Ok(order)
    }

    fn item(&mut self, item: &Fields) -> Result<J, Refusal> {
        let mut out = Row::new();
        let mut licenses = Vec::new();
        for (name, value) in item {
            match (name.as_str(), value) {
                ("line", _) | (_, Value::Null) => {}
                ("licenses", Value::Rows(rows)) => {
                    licenses = rows.iter().map(|license| self.license(license)).collect::<Result<_, _>>()?;
                }
                _ => {
                    out.insert(name.clone(), argument(name, value)?);
                }
            }
        }
        if out.get("product_code").and_then(J::as_str).is_none_or(str::is_empty) {
            return Err(Refusal::new("missing_parameters", "a line of the order has no product code", &["items"]));
        }
        out.insert("licenses".to_owned(), licenses.into());
        Ok(J::Object(out))
    }

    fn license(&mut self, license: &Fields) -> Result<J, Refusal> {
        let mut out = Row::new();
        for (name, value) in license {
            match (name.as_str(), value) {
                (_, Value::Null) => {}
                ("unit", Value::Text(unit)) => {
                    self.units.push(unit.clone());
                    out.insert("metadata".to_owned(), json!({"lockstep": {"line": unit}}));
                }
                ("features", Value::List(codes)) => {
                    let rows: Vec<J> = codes.iter().map(|code| json!({"code": code.to_plain_json()})).collect();
                    if !rows.is_empty() {
                        out.insert("product_features".to_owned(), rows.into());
                    }
                }
                ("unit" | "features", _) => {
                    return Err(Refusal::new("does-not-fit", format!("{name} of a license has the wrong form"), &["items"]));
                }
                _ => {
                    if let ("key", Value::Text(key)) = (name.as_str(), value) {
                        self.keys.push(key.clone());
                    }
                    out.insert(name.clone(), argument(name, value)?);
                }
            }
        }
        if out.contains_key("valid_duration") && out.contains_key("validity_period") {
            let text = "valid_duration and validity_period of a license exclude each other";
            return Err(Refusal::new("does-not-fit", text, &["valid_duration", "validity_period"]));
        }
        self.license_count += 1;
        Ok(J::Object(out))
    }
}

fn reference(fields: &Fields, name: &str) -> Result<Option<i64>, Refusal> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Int(id)) => Ok(Some(*id)),
        Some(value) => match value.as_text().and_then(|t| t.parse().ok()) {
            Some(id) => Ok(Some(id)),
            None => Err(Refusal::new("does-not-fit", format!("{name}: ids are whole numbers"), &[name])),
        },
    }
}

fn argument(name: &str, value: &Value) -> Result<J, Refusal> {
    let bad = |what: &str| Refusal::new("does-not-fit", format!("the license argument {name} takes {what}"), &[name]);
    if name == "is_bundle" {
        return Err(Refusal::new("not-supported", "bundles are not supported: their layout is not published", &[name]));
    }
    match value {
        Value::Text(text) if INTEGERS.contains(&name) => text.trim().parse::<i64>().map(J::from).map_err(|_| bad("a whole number")),
        Value::Text(text) if BOOLEANS.contains(&name) => {
            text.trim().to_lowercase().parse::<bool>().map(J::from).map_err(|_| bad("true or false"))
        }
        Value::Rows(_) => Err(bad("no rows")),
        _ => Ok(value.to_plain_json()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn row(pairs: &[(&str, Value)]) -> Fields {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect()
    }

    fn order(license: &[(&str, Value)]) -> Result<WantedOrder, Refusal> {
        let item =
            row(&[("line", Value::text("802A")), ("product_code", Value::text("orbit")), ("licenses", Value::Rows(vec![row(license)]))]);
        let fields = row(&[
            ("store_id", Value::text("SF-801")),
            ("customer", Value::text("7311")),
            ("customer_account", Value::text("52")),
            ("metadata.region", Value::text("EU")),
            ("items", Value::Rows(vec![item])),
        ]);
        WantedOrder::of("SF-801", &fields, json!({"connection": "acme", "sf_id": "SF-801"}))
    }

    #[test]
    fn the_documented_body_without_a_customer() {
        let license = [
            ("unit", Value::text("802A-1")),
            ("key", Value::text("QQ7H-2M9P")),
            ("policy_code", Value::text("orbit_std")),
            ("max_activations", Value::Int(3)),
            ("trial_days", Value::text("14")),
            ("can_borrow", Value::text("True")),
            ("note", Value::text("5")),
            ("validity_period", Value::Null),
            ("features", Value::List(vec![Value::text("pdf")])),
        ];
        let order = order(&license).unwrap();
        let want = json!({
            "id": "SF-801", "append": false, "customer_account_id": 52,
            "metadata": "{\"lockstep\":{\"connection\":\"acme\",\"sf_id\":\"SF-801\"},\"region\":\"EU\"}",
            "items": [{"product_code": "orbit", "licenses": [{
                "key": "QQ7H-2M9P", "policy_code": "orbit_std", "max_activations": 3, "trial_days": 14, "can_borrow": true, "note": "5",
                "metadata": {"lockstep": {"line": "802A-1"}}, "product_features": [{"code": "pdf"}]
            }]}]
        });
        assert_eq!(order.body, want);
        assert_eq!((order.customer, order.license_count, order.units.as_slice()), (Some(7311), 1, ["802A-1".to_owned()].as_slice()));
    }

    #[test]
    fn what_the_service_would_misread_is_refused_here() {
        for (license, code) in [
            (vec![("max_activations", Value::text("many"))], "does-not-fit"),
            (vec![("is_trial", Value::text("maybe"))], "does-not-fit"),
            (vec![("is_bundle", Value::Bool(true))], "not-supported"),
            (vec![("valid_duration", Value::text("1y")), ("validity_period", Value::text("2027-01-01"))], "does-not-fit"),
        ] {
            assert_eq!(order(&license).unwrap_err().code, code, "{license:?}");
        }
        let none = WantedOrder::of("SF-801", &row(&[("items", Value::Rows(vec![]))]), json!({}));
        assert_eq!(none.unwrap_err().code, "no-licenses");
    }
}
