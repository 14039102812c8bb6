//! How stored rows are told: numbers as strings, stamps without a zone, blanks, and the two forms of a license order.

use chrono::DateTime;
use serde_json::{Map, Value, json};

use super::customer::{Contact, Customer, TEXTS, Tag};
use super::order::{License, Order};
use super::product::{Product, Template};
use super::settings::Settings;
use super::world::World;

/// `2026-01-05 06:31:19`, by the server's own clock; no zone is told.
pub fn stamp(seconds: i64, settings: &Settings) -> Value {
    let local = seconds.saturating_add(i64::from(settings.utc_offset_minutes) * 60);
    DateTime::from_timestamp(local, 0).map_or(Value::Null, |at| at.format("%Y-%m-%d %H:%M:%S").to_string().into())
}

fn number(number: i64, settings: &Settings) -> Value {
    if settings.numbers_as_strings { number.to_string().into() } else { number.into() }
}

/// One text: what is stored, or the form that blanks have.
fn put(shown: &mut Map<String, Value>, name: &str, stored: Option<&Value>, settings: &Settings) {
    let is_blank = stored.is_none_or(|value| value.is_null() || value == "");
    let value = match settings.blank_as.as_str() {
        "missing" if is_blank => return,
        "null" if is_blank => Value::Null,
        "empty" if is_blank => "".into(),
        _ => stored.cloned().unwrap_or_default(),
    };
    shown.insert(name.to_owned(), value);
}

fn extra(shown: &mut Map<String, Value>, settings: &Settings) {
    if settings.extra_fields {
        shown.insert("portal_user".into(), Value::Null);
        shown.insert("Meta".into(), json!({"revision": 7, "labels": ["x"]}));
    }
}

pub fn customer(row: &Customer, settings: &Settings) -> Value {
    let mut shown = Map::new();
    shown.insert("id".into(), number(row.id, settings));
    for name in TEXTS {
        put(&mut shown, name, row.texts.get(name), settings);
    }
    shown.insert("creation_time".into(), stamp(row.created, settings));
    shown.insert("update_time".into(), stamp(row.updated, settings));
    let contacts: Vec<Value> = row.contacts.iter().map(|it| contact(it, row.id, settings)).collect();
    let tags: Vec<Value> = row.tags.iter().map(|it| tag(it, settings)).collect();
    shown.insert("Contacts".into(), contacts.into());
    shown.insert("CustomTags".into(), tags.into());
    extra(&mut shown, settings);
    shown.into()
}

pub fn contact(row: &Contact, customer: i64, settings: &Settings) -> Value {
    let mut shown = Map::new();
    shown.insert("id".into(), number(row.id, settings));
    put(&mut shown, "name", Some(&row.name), settings);
    put(&mut shown, "email", Some(&row.email), settings);
    shown.insert("customer_id".into(), number(customer, settings));
    shown.insert("creation_time".into(), stamp(row.created, settings));
    shown.insert("update_time".into(), stamp(row.updated, settings));
    extra(&mut shown, settings);
    shown.into()
}

pub fn tag(row: &Tag, settings: &Settings) -> Value {
    let mut shown = Map::new();
    shown.insert("tag_name".into(), row.name.as_str().into());
    put(&mut shown, "value", Some(&Value::from(row.value.as_str())), settings);
    shown.insert("creation_time".into(), stamp(row.created, settings));
    shown.insert("update_time".into(), stamp(row.updated, settings));
    extra(&mut shown, settings);
    shown.into()
}

fn sheet(fields: &Map<String, Value>, settings: &Settings) -> Map<String, Value> {
    let told = |value: &Value| value.as_i64().map_or_else(|| value.clone(), |n| number(n, settings));
    fields.iter().map(|(name, value)| (name.clone(), told(value))).collect()
}

fn sheets(many: &[Map<String, Value>], settings: &Settings) -> Value {
    many.iter().map(|fields| Value::Object(sheet(fields, settings))).collect()
}

/// An order as lists and writes tell it.
pub fn listed_order(world: &World, row: &Order, settings: &Settings) -> Value {
    let mut shown = sheet(&row.fields, settings);
    shown.insert("activation_key".into(), row.key.as_str().into());
    shown.insert("customer_id".into(), number(row.customer, settings));
    shown.insert("product_template_id".into(), number(row.template, settings));
    shown.insert("creation_time".into(), stamp(row.created, settings));
    shown.insert("activated_licenses_count".into(), number(count(row), settings));
    shown.insert("removal_request_time".into(), row.removal_requested.map_or(Value::Null, |at| stamp(at, settings)));
    shown.insert("removal_confirmation_time".into(), Value::Null);
    shown.insert("Hostids".into(), sheets(&row.hostids, settings));
    shown.insert("Features".into(), sheets(&row.features, settings));
    let customer = world.customers.get(&row.customer);
    shown.insert("customer".into(), customer.map_or(Value::Null, |it| json!({"id": number(it.id, settings), "name": it.text("name")})));
    let template = world.template(row.template).and_then(|it| Some((it, world.products.get(&it.product)?)));
    shown.insert(
        "product_template".into(),
        template.map_or(Value::Null, |(template, product)| {
            json!({
                "id": number(template.id, settings), "name": template.fields["name"],
                "product": {"id": number(product.id, settings), "name": product.name, "version": product.version},
            })
        }),
    );
    extra(&mut shown, settings);
    shown.into()
}

/// An order alone, as the end user's interface tells it; or as in lists, as switched.
pub fn one_order(world: &World, row: &Order) -> Value {
    if world.settings.order_shape == "plain" {
        return listed_order(world, row, &world.settings);
    }
    let template = world.template(row.template);
    let product = template.and_then(|it| world.products.get(&it.product));
    let hostids: Vec<&Value> = row.hostids.iter().filter_map(|hostid| hostid.get("name")).collect();
    json!({
        "activationKey": row.key,
        "customer": {"name": world.customers.get(&row.customer).map(|it| it.text("name"))},
        "product": {
            "name": product.map(|it| it.name.as_str()), "version": product.map(|it| it.version.as_str()),
            "template": template.map(|it| it.fields["name"].clone()), "licenseGeneratorType": product.map(|it| it.generator.as_str()),
        },
        "licenseType": row.text("license_type"),
        "creationTime": DateTime::from_timestamp(row.created, 0).map(|at| at.to_rfc3339()),
        "activatedLicenses": count(row),
        "bulkMax": row.int("activations_allowed"),
        "hostid": {"types": hostids, "min": row.int("min_hostids")},
        "_links": {"self": {"href": format!("/license-orders/{}", row.key)}},
    })
}

fn count(row: &Order) -> i64 {
    i64::try_from(row.licenses.len()).unwrap_or(i64::MAX)
}

/// An activation of an order.
pub fn license(row: &License, order: &Order, settings: &Settings) -> Value {
    json!({
        "id": number(row.id, settings),
        "activation_key": order.key,
        "license_text": format!("; {}\n; Generation Time: {} GMT\n", order.key, stamp(row.activated, &Settings::default()).as_str().unwrap_or_default()),
        "activation_time": stamp(row.activated, settings),
        "expiration_date": expiry(row, order),
        "HostidValues": [{"name": order.hostids.first().map_or(Value::Null, |it| it["name"].clone()), "value": row.hostid}],
    })
}

/// The last day of the feature that lasts longest; null without an end. `YYYY-MM-DD`
pub fn expiry(row: &License, order: &Order) -> Value {
    let mut last = Value::Null;
    for feature in &order.features {
        let day = match feature["expiration_type"].as_str() {
            Some("fixed") => feature["expiration_date"].as_str().map(str::to_owned),
            Some("days_from_activation") => feature["days_from_activation"]
                .as_i64()
                .and_then(|days| DateTime::from_timestamp(row.activated.saturating_add(days.saturating_mul(86_400)), 0))
                .map(|at| at.date_naive().to_string()),
            _ => return Value::Null,
        };
        if let Some(day) = day
            && last.as_str().is_none_or(|last| *last < *day)
        {
            last = day.into();
        }
    }
    last
}

pub fn product(row: &Product, settings: &Settings) -> Value {
    let templates: Vec<Value> = row.templates.iter().map(|it| short_template(it, settings)).collect();
    json!({
        "id": number(row.id, settings), "name": row.name, "version": row.version, "description": row.description,
        "LicenseGenerator": {"name": row.generator}, "ProductTemplates": templates,
    })
}

fn short_template(row: &Template, settings: &Settings) -> Value {
    json!({"id": number(row.id, settings), "name": row.fields["name"], "product_id": number(row.product, settings)})
}

pub fn template(row: &Template, settings: &Settings) -> Value {
    let mut shown = sheet(&row.fields, settings);
    shown.insert("id".into(), number(row.id, settings));
    shown.insert("product_id".into(), number(row.product, settings));
    shown.insert("Hostids".into(), sheets(&row.hostids, settings));
    shown.insert("Features".into(), sheets(&row.features, settings));
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_has_no_zone_and_may_be_ahead() {
        assert_eq!(stamp(0, &Settings::default()), "1970-01-01 00:00:00");
        assert_eq!(stamp(0, &Settings { utc_offset_minutes: 90, ..Settings::default() }), "1970-01-01 01:30:00");
    }

    #[test]
    fn blanks_have_four_forms() {
        let fields = [("never", None), ("cleared", Some(Value::from(""))), ("set", Some(Value::from("x")))];
        let shown = |blank_as: &str| {
            let settings = Settings { blank_as: blank_as.into(), ..Settings::default() };
            let mut shown = Map::new();
            for (name, stored) in &fields {
                put(&mut shown, name, stored.as_ref(), &settings);
            }
            Value::Object(shown)
        };
        assert_eq!(shown("stored"), json!({"never": null, "cleared": "", "set": "x"}));
        assert_eq!(shown("null"), json!({"never": null, "cleared": null, "set": "x"}));
        assert_eq!(shown("empty"), json!({"never": "", "cleared": "", "set": "x"}));
        assert_eq!(shown("missing"), json!({"set": "x"}));
    }

    #[test]
    fn a_license_lasts_as_long_as_its_longest_feature() {
        let license = License { id: 1, hostid: "h".into(), activated: 0 };
        let order = |features: Value| Order {
            key: String::new(),
            customer: 1,
            template: 1,
            fields: Map::new(),
            hostids: Vec::new(),
            features: features.as_array().into_iter().flatten().filter_map(|it| it.as_object().cloned()).collect(),
            created: 0,
            removal_requested: None,
            licenses: Vec::new(),
        };
        let fixed = json!({"expiration_type": "fixed", "expiration_date": "1970-01-05"});
        let days = json!({"expiration_type": "days_from_activation", "days_from_activation": 10});
        assert_eq!(expiry(&license, &order(json!([fixed, days]))), "1970-01-11");
        assert_eq!(expiry(&license, &order(json!([fixed, {"expiration_type": "no_expiration"}]))), Value::Null);
    }
}
