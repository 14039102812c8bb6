//! From a row of the wire to records in canonical values, and no further than the row really says.
//!
//! A contact's id here is `<customer>-<contact>`: there is no address of a contact, so that its customer must be known to
//! read or write it, and the vendor's own number of it is the one thing about it that no edit changes. An order's key is what
//! a customer activates with; records are called by their id in logs and links, so an order's id is a fingerprint of its key.

use super::catalogue::{CONTACT, CUSTOMER, SCALARS, type_of};
use super::list::{Row, row_id};
use super::tags::{PREFIX, tags_of, value_of};
use crate::connectors::ResourceSpec;
use crate::record::{FieldType, Fields, Life, Record, RecordId, Value, canonical};
use chrono::{NaiveDateTime, SecondsFormat, TimeZone, Utc};
use chrono_tz::Tz;
use serde_json::Value as J;

/// How rows are read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    pub zone: Tz,
    /// The row is a record of its own, or a list's that shows all of it: what is not there is null.
    pub whole: bool,
}

impl Reading {
    /// The customer in a row, with those of the wanted fields that can be read from it.
    pub fn customer(&self, resource: &ResourceSpec, row: &Row, wanted: &[String]) -> Option<Record> {
        let id = row_id(row)?;
        let tags = tags_of(row).or_else(|| (self.whole && !row.contains_key("CustomTags")).then(Vec::new));
        let mut fields = Fields::new();
        for name in wanted {
            if let Some(tag) = name.strip_prefix(PREFIX) {
                if let Some(tags) = &tags {
                    fields.insert(name.clone(), value_of(tags, tag));
                }
                continue;
            }
            self.put(resource, name, row.get(name.as_str()), &mut fields, &id.to_string());
        }
        Some(live(id.to_string(), fields))
    }

    /// A contact, in the row of its customer. `None`: it has no id.
    pub fn contact(&self, resource: &ResourceSpec, customer: i64, row: &Row, wanted: &[String]) -> Option<Record> {
        let id = contact_id(customer, row_id(row)?);
        let mut fields = Fields::new();
        for name in wanted {
            if name == CUSTOMER {
                fields.insert(name.clone(), Value::Text(customer.to_string()));
            } else {
                self.put(resource, name, row.get(name.as_str()), &mut fields, id.as_str());
            }
        }
        Some(live(id, fields))
    }

    pub fn order(&self, resource: &ResourceSpec, row: &Row, wanted: &[String]) -> Option<Record> {
        let id = order_id(activation_key(row)?);
        let mut fields = Fields::new();
        for name in wanted {
            let inner = |whole: &str, part: &str| row.get(whole).and_then(|v| v.get(part)).cloned();
            let raw = match name.as_str() {
                "customer" => inner("customer", "id").or_else(|| row.get("customer_id").cloned()),
                "product" => inner("product", "name").or_else(|| inner("product_template", "product").and_then(|p| p.get("name").cloned())),
                "product_template" => inner("product_template", "name"),
                _ => row.get(name.as_str()).cloned(),
            };
            self.put(resource, name, raw.as_ref(), &mut fields, id.as_str());
        }
        Some(live(id, fields))
    }

    pub fn license(&self, resource: &ResourceSpec, row: &Row, wanted: &[String]) -> Option<Record> {
        let id = row_id(row)?.to_string();
        let mut fields = Fields::new();
        for name in wanted {
            let raw = match name.as_str() {
                "order" => activation_key(row).map(|key| J::String(order_id(key).as_str().to_owned())),
                "hostids" => row.get("HostidValues").and_then(J::as_array).map(|all| J::String(hostids(all))),
                _ => row.get(name.as_str()).cloned(),
            };
            self.put(resource, name, raw.as_ref(), &mut fields, &id);
        }
        Some(live(id, fields))
    }

    /// One field as it came. Null, `""` and a member that is not there are one to this service.
    fn put(&self, resource: &ResourceSpec, name: &str, raw: Option<&J>, fields: &mut Fields, id: &str) {
        let Some(ty) = type_of(resource, name) else { return };
        let raw = match raw {
            None if self.whole => &J::Null,
            None => return,
            Some(raw) => raw,
        };
        let value = match &ty {
            FieldType::Instant => self.instant(raw),
            _ => canonical(raw, &ty).ok(),
        };
        match value {
            Some(value) => {
                fields.insert(name.to_owned(), value);
            }
            None => {
                tracing::warn!(
                    resource = resource.name,
                    id,
                    field = name,
                    wanted = ty.as_str(),
                    "a value does not fit its type and stays unread"
                );
            }
        }
    }

    /// `2026-01-02 03:04:05`, in the zone of the settings.
    fn instant(&self, raw: &J) -> Option<Value> {
        let text = match raw {
            J::Null => return Some(Value::Null),
            J::String(text) => text.trim(),
            _ => return None,
        };
        if text.is_empty() || text.starts_with("0000-00-00") {
            return Some(Value::Null);
        }
        let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok()?;
        let at = self.zone.from_local_datetime(&local).earliest()?;
        Some(Value::Text(at.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::Secs, true)))
    }
}

fn live(id: impl Into<RecordId>, fields: Fields) -> Record {
    Record { id: id.into(), fields, stamp: None, life: Life::Live, partial: Vec::new() }
}

pub fn contact_id(customer: i64, contact: i64) -> RecordId {
    RecordId::from(format!("{customer}-{contact}"))
}

/// Customer and contact of a contact's id.
pub fn contact_parts(id: &RecordId) -> Option<(i64, i64)> {
    let (customer, contact) = id.as_str().split_once('-')?;
    let number = |text: &str| text.parse::<i64>().ok().filter(|n| *n > 0 && n.to_string() == text);
    Some((number(customer)?, number(contact)?))
}

pub fn customer_number(id: &RecordId) -> Option<i64> {
    id.as_str().parse().ok().filter(|n| *n > 0)
}

/// The contacts of a customer; `None` where the row does not tell.
pub fn contacts_of(row: &Row) -> Option<Vec<&Row>> {
    match row.get("Contacts")? {
        J::Null => Some(Vec::new()),
        J::Array(items) => items.iter().map(J::as_object).collect(),
        J::Bool(_) | J::Number(_) | J::String(_) | J::Object(_) => None,
    }
}

pub fn activation_key(row: &Row) -> Option<&str> {
    row.get("activation_key")?.as_str().map(str::trim).filter(|k| !k.is_empty())
}

pub fn by_activation_key(row: &Row) -> Option<String> {
    activation_key(row).map(str::to_uppercase)
}

/// 128 bits of SHA-256 of the key.
pub fn order_id(key: &str) -> RecordId {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.trim().to_uppercase().as_bytes());
    RecordId::from(digest.as_ref().iter().take(16).map(|b| format!("{b:02x}")).collect::<String>())
}

fn hostids(all: &[J]) -> String {
    let text = |v: Option<&J>| v.and_then(J::as_str).unwrap_or_default().to_owned();
    all.iter().map(|one| format!("{}={}", text(one.get("name")), text(one.get("value")))).collect::<Vec<_>>().join("; ")
}

/// Whether two values of the wire say the same of a text: null, `""` and nothing are one.
pub fn same_text(a: Option<&J>, b: Option<&J>) -> bool {
    let plain = |v: Option<&J>| v.and_then(|v| canonical(v, &FieldType::text()).ok()).unwrap_or(Value::Null);
    plain(a) == plain(b)
}

/// One person, as far as a contact shows one: the same e-mail address and the same name, white space aside.
pub fn same_person(row: &Row, name: &Value, email: &Value) -> bool {
    let address = FieldType::Email { max: None, blank_is_null: true };
    let shown = |field: &str, ty: &FieldType| row.get(field).and_then(|v| canonical(v, ty).ok()).unwrap_or(Value::Null);
    let words = |v: &Value| v.as_text().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    shown("email", &address) == *email && words(&shown("name", &FieldType::text())) == words(name)
}

/// What of a row each resource reads, for a list that shows only some of it.
pub fn needed(resource: &str, wanted: &[String]) -> Vec<&'static str> {
    match resource {
        CONTACT => vec!["Contacts"],
        CUSTOMER => {
            let mut needed: Vec<&str> = SCALARS.into_iter().filter(|name| wanted.iter().any(|w| w == name)).collect();
            needed.extend(wanted.iter().any(|w| w.starts_with(PREFIX)).then_some("CustomTags"));
            needed
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::catalogue::{CATALOGUE, LICENSE, ORDER};
    use super::*;
    use serde_json::json;

    const UTC: Reading = Reading { zone: Tz::UTC, whole: true };

    fn row(json: J) -> Row {
        json.as_object().unwrap().clone()
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|n| (*n).to_owned()).collect()
    }

    fn customer(reading: Reading, json: J, wanted: &[&str]) -> Fields {
        reading.customer(CATALOGUE.resource(CUSTOMER).unwrap(), &row(json), &names(wanted)).unwrap().fields
    }

    #[test]
    fn f2_null_blank_and_missing_are_one_and_line_ends_too() {
        let shown = customer(
            UTC,
            json!({"id": "1", "name": " Acme ", "street": "Main 1\r\nRear", "city": "", "state": null}),
            &["name", "street", "city", "state", "country"],
        );
        assert_eq!(shown["name"], Value::text("Acme"));
        assert_eq!(shown["street"], Value::text("Main 1\nRear"));
        for name in ["city", "state", "country"] {
            assert_eq!(shown[name], Value::Null, "{name}");
        }
    }

    #[test]
    fn what_a_list_does_not_show_is_not_null() {
        let list = Reading { whole: false, ..UTC };
        let shown = customer(list, json!({"id": 1, "name": "Acme"}), &["name", "city", "tag.SF_Id"]);
        assert_eq!(shown.keys().collect::<Vec<_>>(), ["name"]);
        let shown = customer(UTC, json!({"id": 1, "name": {"odd": 1}}), &["name"]);
        assert!(shown.is_empty(), "what does not fit stays unread");
    }

    #[test]
    fn times_are_utc_unless_the_settings_say_otherwise() {
        let json = json!({"id": 1, "update_time": "2026-07-01 12:00:00", "creation_time": "0000-00-00 00:00:00"});
        let at = |zone: Tz| customer(Reading { zone, whole: true }, json.clone(), &["update_time", "creation_time"]);
        assert_eq!(at(Tz::UTC)["update_time"], Value::text("2026-07-01T12:00:00Z"));
        assert_eq!(at(Tz::Europe__Warsaw)["update_time"], Value::text("2026-07-01T10:00:00Z"));
        assert_eq!(at(Tz::UTC)["creation_time"], Value::Null);
    }

    #[test]
    fn contacts_are_called_by_customer_and_number() {
        let resource = CATALOGUE.resource(CONTACT).unwrap();
        let shown = UTC
            .contact(
                resource,
                12,
                &row(json!({"id": "34", "name": "Ada Lovelace", "email": " Ada@Acme.Example "})),
                &names(&["name", "email", "customer"]),
            )
            .unwrap();
        assert_eq!(shown.id.as_str(), "12-34");
        assert_eq!(shown.fields["email"], Value::text("ada@acme.example"));
        assert_eq!(shown.fields["customer"], Value::text("12"));
        assert_eq!(contact_parts(&shown.id), Some((12, 34)));
        for odd in ["12", "12-", "-3", "12-x", "0-1", "1-02", "1-2-3"] {
            assert_eq!(contact_parts(&RecordId::from(odd)), None, "{odd}");
        }
    }

    #[test]
    fn an_order_is_not_called_by_its_key() {
        let resource = CATALOGUE.resource(ORDER).unwrap();
        let json = json!({"activation_key": "AAAAA-BBBBB-CCCCC-DDDDD", "customer": {"id": "7"}, "enabled": true, "activations_allowed": "5",
            "product": {"name": "Orbit"}, "product_template": {"name": "Standard"}});
        let wanted = names(&["activation_key", "customer", "enabled", "activations_allowed", "product", "product_template"]);
        let shown = UTC.order(resource, &row(json), &wanted).unwrap();
        assert!(!shown.id.as_str().contains("AAAAA") && shown.id.as_str().len() == 32);
        assert_eq!(shown.id, order_id(" aaaaa-bbbbb-ccccc-ddddd "));
        assert_eq!(shown.fields["customer"], Value::text("7"));
        assert_eq!((&shown.fields["enabled"], &shown.fields["activations_allowed"]), (&Value::Bool(true), &Value::Int(5)));
        assert_eq!((&shown.fields["product"], &shown.fields["product_template"]), (&Value::text("Orbit"), &Value::text("Standard")));
        let license = json!({"id": "9", "activation_key": "AAAAA-BBBBB-CCCCC-DDDDD", "expiration_date": "2027-01-31",
            "HostidValues": [{"name": "ethernet", "value": "00aa"}]});
        let shown =
            UTC.license(CATALOGUE.resource(LICENSE).unwrap(), &row(license), &names(&["order", "expiration_date", "hostids"])).unwrap();
        assert_eq!(shown.fields["order"], Value::text(order_id("AAAAA-BBBBB-CCCCC-DDDDD").as_str()));
        assert_eq!(
            (&shown.fields["expiration_date"], &shown.fields["hostids"]),
            (&Value::text("2027-01-31"), &Value::text("ethernet=00aa"))
        );
    }

    #[test]
    fn l5_a_person_is_known_by_address_and_name() {
        let ada = row(json!({"id": 1, "name": "Ada  Lovelace", "email": "ADA@acme.example"}));
        assert!(same_person(&ada, &Value::text("Ada Lovelace"), &Value::text("ada@acme.example")));
        assert!(!same_person(&ada, &Value::text("Ada L"), &Value::text("ada@acme.example")));
        assert!(!same_person(&ada, &Value::text("Ada Lovelace"), &Value::Null));
        assert!(same_person(&row(json!({"id": 1, "name": "Cher", "email": ""})), &Value::text("Cher"), &Value::Null));
    }
}
