//! From a row of the wire to a record in canonical values, and no further than the row really says.
//!
//! What a row does not hold, or holds in a form that does not fit its type, is left out: not readable is not null.

use super::catalogue::{CUSTOMER, FEATURE, LICENSE, METADATA, ORDER, type_of};
use super::list::{Row, id_of, row_id};
use super::names::{FeatureName, Kind, Names, feature};
use crate::connectors::ResourceSpec;
use crate::record::{FieldType, Fields, Life, Record, RecordId, canonical};
use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use serde_json::Value as J;

/// What a row is read with.
pub struct Reading<'a> {
    pub names: &'a Names,
    /// `https://saas.licensespring.com/901`, where the company is known.
    pub pages: Option<&'a str>,
}

impl Reading<'_> {
    /// The record in a row, with those of the wanted fields that can be read from it. `None`: the row has no id.
    pub fn record(&self, resource: &ResourceSpec, row: &Row, wanted: &[String]) -> Option<Record> {
        let id = row_id(row)?;
        let mut fields = Fields::new();
        for name in wanted {
            let Some(ty) = type_of(resource, name) else { continue };
            let Some(raw) = self.raw(resource.name, row, name, &ty) else { continue };
            match canonical(&raw, &ty) {
                Ok(value) => {
                    fields.insert(name.clone(), value);
                }
                Err(_) => {
                    tracing::warn!(resource = resource.name, id, field = %name, wanted = ty.as_str(), "a value does not fit its type and stays unread");
                }
            }
        }
        let stamp = resource.stamped.then(|| stamp(row)).flatten().map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
        Some(Record { id: RecordId::from(id.to_string()), fields, stamp, life: Life::Live, partial: Vec::new() })
    }

    /// One field as it came, or `None` where the row does not tell.
    fn raw(&self, resource: &str, row: &Row, name: &str, ty: &FieldType) -> Option<J> {
        if let Some(path) = name.strip_prefix(METADATA) {
            return Some(at_path(&metadata(row)?, path));
        }
        match (resource, name) {
            (ORDER, "license_count") => return license_count(row).map(J::from),
            // Only ever sent.
            (ORDER, "items" | "append" | "change") | (LICENSE, "reset") => return None,
            (LICENSE, "product" | "product_name") => return self.product(row, name),
            (LICENSE, "policy") => return self.policy(row),
            (LICENSE, "url") => return Some(self.url(row).map_or(J::Null, J::String)),
            (FEATURE, "code" | "label" | "feature_type") => return self.feature(row, name),
            _ => {}
        }
        let raw = row.get(name)?;
        match ty {
            FieldType::Reference { .. } if raw.is_null() => Some(J::Null),
            FieldType::Reference { .. } => id_of(raw).map(J::from),
            // Orders made before January 2026 may show this for "no date".
            FieldType::Date if raw.as_str().is_some_and(|t| t.starts_with("0000-00-00")) => Some(J::Null),
            FieldType::Instant => Some(rounded(raw).unwrap_or_else(|| raw.clone())),
            FieldType::Text { .. }
            | FieldType::Email { .. }
            | FieldType::Integer
            | FieldType::Decimal { .. }
            | FieldType::Boolean
            | FieldType::Date
            | FieldType::List { .. }
            | FieldType::Rows => Some(raw.clone()),
        }
    }

    fn product(&self, row: &Row, name: &str) -> Option<J> {
        let product = row.get("product")?;
        if product.is_null() {
            return Some(J::Null);
        }
        let own = if name == "product" { "short_code" } else { "product_name" };
        if let Some(text) = product.get(own).filter(|t| t.is_string()) {
            return Some(text.clone());
        }
        let known = self.names.products.get(&id_of(product)?)?;
        if name == "product" { Some(J::from(known.code.clone())) } else { known.name.clone().map(J::from) }
    }

    fn policy(&self, row: &Row) -> Option<J> {
        let template = row.get("license_template")?;
        if template.is_null() {
            return Some(J::Null);
        }
        let own = template.get("code").filter(|t| t.is_string()).cloned();
        own.or_else(|| self.names.policies.get(&id_of(template)?).cloned().map(J::from))
    }

    fn url(&self, row: &Row) -> Option<String> {
        Some(format!("{}/orders/{}/{}", self.pages?, id_of(row.get("order")?)?, row_id(row)?))
    }

    fn feature(&self, row: &Row, name: &str) -> Option<J> {
        let nested = row.get("product_feature")?;
        let own = nested.as_object().and_then(feature);
        let known = own.or_else(|| self.names.features.get(&id_of(nested)?).cloned())?;
        let FeatureName { code, label, kind, .. } = known;
        match name {
            "code" => Some(J::from(code)),
            "label" => label.map(J::from),
            _ => kind.map(J::from),
        }
    }
}

/// The ids whose names these fields of these rows need.
pub fn needs(resource: &str, wanted: &[String], rows: &[Row]) -> Vec<(Kind, Vec<i64>)> {
    let wants = |name: &str| wanted.iter().any(|w| w == name);
    let bare = |column: &str, own: &str| -> Vec<i64> {
        rows.iter().filter_map(|row| row.get(column)).filter(|v| v.get(own).is_none()).filter_map(id_of).collect()
    };
    let mut needs = Vec::new();
    match resource {
        LICENSE => {
            if wants("product") {
                needs.push((Kind::Product, bare("product", "short_code")));
            }
            if wants("product_name") {
                needs.push((Kind::Product, bare("product", "product_name")));
            }
            if wants("policy") {
                needs.push((Kind::Policy, bare("license_template", "code")));
            }
        }
        FEATURE => needs.push((Kind::Feature, bare("product_feature", "code"))),
        _ => {}
    }
    needs.retain(|(_, ids)| !ids.is_empty());
    needs
}

/// A record's metadata, also where it came as text; `None` where the row has none.
pub fn metadata(row: &Row) -> Option<Row> {
    fn parsed(value: &J, depth: u8) -> Option<Row> {
        match value {
            J::Object(map) => Some(map.clone()),
            J::Null => Some(Row::new()),
            J::String(text) if text.trim().is_empty() => Some(Row::new()),
            J::String(text) if depth < 2 => parsed(&serde_json::from_str(text).ok()?, depth + 1),
            J::Bool(_) | J::Number(_) | J::Array(_) | J::String(_) => None,
        }
    }
    parsed(row.get("metadata")?, 0)
}

/// The value at `a.b.c`; null where there is none. Objects and arrays are shown as their JSON text.
pub fn at_path(map: &Row, path: &str) -> J {
    let mut names = path.split('.');
    let mut at = names.next().and_then(|name| map.get(name));
    for name in names {
        at = at.and_then(|v| v.get(name));
    }
    match at {
        None => J::Null,
        Some(v @ (J::Object(_) | J::Array(_))) => J::String(v.to_string()),
        Some(v) => v.clone(),
    }
}

fn license_count(row: &Row) -> Option<usize> {
    let items = row.get("order_items")?.as_array()?;
    items.iter().map(|item| item.get("licenses")?.as_array().map(Vec::len)).sum()
}

/// When the row last changed, to the nearest second: a write's answer still has the microseconds that the stored
/// value will have been rounded from.
pub fn stamp(row: &Row) -> Option<DateTime<Utc>> {
    instant(row.get("updated_at")?)
}

fn instant(raw: &J) -> Option<DateTime<Utc>> {
    let at = DateTime::parse_from_rfc3339(raw.as_str()?).ok()?;
    Some(at.with_timezone(&Utc).round_subsecs(0))
}

fn rounded(raw: &J) -> Option<J> {
    Some(J::from(instant(raw)?.to_rfc3339_opts(SecondsFormat::Secs, true)))
}

/// Field values that differ from what a record shows; a field the record does not show counts as different.
pub fn differing(wanted: &Fields, shown: &Fields) -> Fields {
    wanted.iter().filter(|(name, value)| shown.get(*name) != Some(*value)).map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// The customer's own counters: what would be torn away with it.
pub fn holds_anything(resource: &str, row: &Row) -> bool {
    let columns: &[&str] = if resource == CUSTOMER { &["total_orders", "total_licenses"] } else { &["customers_count"] };
    columns.iter().any(|c| row.get(*c).and_then(J::as_i64).is_some_and(|n| n > 0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::catalogue::CATALOGUE;
    use super::super::names::ProductName;
    use super::*;
    use crate::record::Value;
    use serde_json::json;

    fn shown(record: &Record) -> Vec<(String, String)> {
        record.fields.iter().map(|(n, v)| (n.clone(), v.to_string())).collect()
    }

    fn read(resource: &str, row: J, wanted: &[&str]) -> Record {
        let mut names = Names::default();
        names.products.insert(777, ProductName { code: "orbit".into(), name: Some("Orbit".into()) });
        names.policies.insert(640, "orbit_std".into());
        let known =
            FeatureName { code: "pdf".into(), label: Some("PDF".into()), kind: Some("activation".into()), product: None, retired: false };
        names.features.insert(318, known);
        let reading = Reading { names: &names, pages: Some("https://saas.licensespring.com/901") };
        let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
        reading.record(CATALOGUE.resource(resource).unwrap(), row.as_object().unwrap(), &wanted).unwrap()
    }

    #[test]
    fn a_license_in_canonical_values() {
        let row = json!({
            "id": 1_760_000_000_123_456_i64, "license_key": "QQ7H", "enabled": true, "validity_period": "0000-00-00", "note": "",
            "max_activations": 3, "order": 1_760_000_000_100_001_i64, "customer": {"id": 7311}, "product": {"id": 777, "product_name": "Orbit"},
            "license_template": 640, "metadata": "{\"lockstep\":{\"line\":\"802-1\"},\"n\":5,\"deep\":{\"a\":[1]}}",
            "updated_at": "2026-01-05T06:31:19.902517Z", "last_check": null, "surprise": {"new": true}
        });
        let wanted = [
            "license_key",
            "enabled",
            "validity_period",
            "note",
            "max_activations",
            "order",
            "customer",
            "product",
            "product_name",
            "policy",
            "url",
            "metadata.lockstep.line",
            "metadata.n",
            "metadata.deep",
            "metadata.none",
            "updated_at",
            "last_check",
            "times_activated",
            "no_such",
        ];
        let record = read(LICENSE, row, &wanted);
        assert_eq!(record.id.as_str(), "1760000000123456");
        assert_eq!(record.stamp.as_deref(), Some("2026-01-05T06:31:20Z"));
        let want = [
            ("customer", "\"7311\""),
            ("enabled", "true"),
            ("last_check", "∅"),
            ("license_key", "\"QQ7H\""),
            ("max_activations", "3"),
            ("metadata.deep", "\"{\\\"a\\\":[1]}\""),
            ("metadata.lockstep.line", "\"802-1\""),
            ("metadata.n", "\"5\""),
            ("metadata.none", "∅"),
            ("note", "∅"),
            ("order", "\"1760000000100001\""),
            ("policy", "\"orbit_std\""),
            ("product", "\"orbit\""),
            ("product_name", "\"Orbit\""),
            ("updated_at", "\"2026-01-05T06:31:20Z\""),
            ("url", "\"https://saas.licensespring.com/901/orders/1760000000100001/1760000000123456\""),
            ("validity_period", "∅"),
        ];
        assert_eq!(shown(&record), want.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn what_is_not_told_or_does_not_fit_is_left_out() {
        let row = json!({"id": 1, "max_activations": "lots", "product": {"id": 1}, "license_template": 9, "enabled": null, "customer": {"name": "x"}});
        let record = read(LICENSE, row, &["max_activations", "product", "policy", "enabled", "customer", "metadata.x", "order"]);
        assert_eq!(shown(&record), [("enabled".to_owned(), "∅".to_owned())]);
    }

    #[test]
    fn orders_flat_or_nested() {
        let flat =
            read(ORDER, json!({"id": 1, "customer": 7311, "customer_account": null}), &["customer", "customer_account", "license_count"]);
        let nested = json!({"id": 1, "customer": {"id": 7311}, "customer_account": null, "order_items": [{"licenses": [{}, {}]}, {"licenses": [{}]}]});
        let nested = read(ORDER, nested, &["customer", "customer_account", "license_count"]);
        assert_eq!(flat.fields["customer"], nested.fields["customer"]);
        assert_eq!(nested.fields["license_count"], Value::Int(3));
        assert!(!flat.fields.contains_key("license_count"));
    }

    #[test]
    fn feature_rows_with_a_definition_or_only_its_id() {
        let nested = json!({"id": 1, "license": 5, "product_feature": {"id": 2, "code": "sso", "name": "SSO", "feature_type": "activation"}, "expiry_date": "2027-06-30T00:00:00Z"});
        let nested = read(FEATURE, nested, &["license", "code", "label", "expiry_date"]);
        assert_eq!((&nested.fields["code"], &nested.fields["expiry_date"]), (&Value::text("sso"), &Value::text("2027-06-30")));
        let bare = read(FEATURE, json!({"id": 1, "license": 5, "product_feature": 318}), &["code", "feature_type"]);
        assert_eq!((&bare.fields["code"], &bare.fields["feature_type"]), (&Value::text("pdf"), &Value::text("activation")));
        let unknown = read(FEATURE, json!({"id": 1, "product_feature": 99}), &["code"]);
        assert!(unknown.fields.is_empty());
    }

    #[test]
    fn names_are_looked_up_only_where_rows_lack_them() {
        let rows: Vec<Row> =
            [json!({"id": 1, "product": {"id": 5, "short_code": "x"}, "license_template": 6}), json!({"id": 2, "product": {"id": 7}})]
                .into_iter()
                .map(|r| r.as_object().unwrap().clone())
                .collect();
        let wanted = ["product".to_owned(), "policy".to_owned()];
        assert_eq!(needs(LICENSE, &wanted, &rows), [(Kind::Product, vec![7]), (Kind::Policy, vec![6])]);
        assert!(needs(LICENSE, &["note".to_owned()], &rows).is_empty());
    }
}
