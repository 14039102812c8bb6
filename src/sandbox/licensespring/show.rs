//! Rows as the API answers them: stamps as text, nested objects, computed counts, and the distortions that are switched on.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::check;
use super::path::{listed as listed_ids, managers};
use super::schema::{Kind, Object};
use super::table::Row;
use super::world::World;

/// An instant in the vendor's two textual forms: seconds, or microseconds when there are any.
pub fn stamp(micros: i64) -> String {
    let form = if micros.rem_euclid(1_000_000) == 0 { SecondsFormat::Secs } else { SecondsFormat::Micros };
    DateTime::<Utc>::from_timestamp_micros(micros).unwrap_or_default().to_rfc3339_opts(form, true)
}

/// A row in a list.
pub fn listed(world: &World, object: Object, id: i64) -> Option<Value> {
    let row = world.row(object, id)?;
    Some(Value::Object(match object {
        Object::Account => account(world, row),
        Object::Customer => customer(world, row),
        Object::Order => order(world, row),
        Object::License => license(world, row),
        Object::LicenseFeature => license_feature(world, row),
        Object::Product => product(world, row),
        Object::Policy => policy(world, row),
        Object::Device => device(world, row),
        Object::LicenseUser => license_user(world, row),
        Object::Label | Object::CustomerLabel | Object::OrderItem | Object::ProductFeature | Object::Import => base(world, row),
    }))
}

/// A row read by its id: an order has its items and their licenses there.
pub fn whole(world: &World, object: Object, id: i64) -> Option<Value> {
    let mut shown = listed(world, object, id)?;
    if object == Object::Order {
        let items: Vec<Value> = world.linked(Object::OrderItem, "order", id).iter().filter_map(|item| order_item(world, *item)).collect();
        let active = items.iter().filter_map(|item| item["licenses"].as_array()).flatten().any(|license| license["active"] == true);
        shown["order_items"] = items.into();
        shown["has_active_licenses"] = active.into();
    }
    Some(shown)
}

/// A row in the answer to the call that wrote it: its stamps still have their microseconds.
pub fn written(world: &World, object: Object, id: i64, created: bool) -> Value {
    let flat = match (object, world.row(object, id)) {
        (Object::Order, Some(row)) if !created => Some(order_flat(world, row)),
        (Object::LicenseFeature, Some(row)) => Some(license_feature_flat(world, row)),
        _ => None,
    };
    let mut shown = flat.map(Value::Object).or_else(|| whole(world, object, id)).unwrap_or_default();
    let taken_now = stamp(world.stored_now(object));
    let names: &[&str] = if created { &["created_at", "updated_at"] } else { &["updated_at"] };
    for name in names {
        if object.position(name).is_some() && shown[*name] == taken_now.as_str() {
            shown[*name] = stamp(world.now()).into();
        }
    }
    shown
}

/// Every stored field, the hidden ones too, undistorted; a license also says whose it is and lists its feature codes.
pub fn plain(world: &World, row: &Row) -> Value {
    let mut shown = Map::new();
    shown.insert("id".into(), row.id.into());
    for (at, field) in (0u8..).zip(row.object.fields()) {
        let value = match (field.kind, row.value(at).as_ref()) {
            (Kind::Stamp, Value::Number(micros)) => stamp(micros.as_i64().unwrap_or_default()).into(),
            (_, value) => value.clone(),
        };
        shown.insert(field.name.into(), value);
    }
    if row.object == Object::License {
        let features: Vec<&str> = world
            .linked(Object::LicenseFeature, "license", row.id)
            .iter()
            .filter_map(|id| world.row(Object::LicenseFeature, *id)?.int("product_feature"))
            .filter_map(|id| world.row(Object::ProductFeature, id))
            .map(|feature| feature.text("code"))
            .collect();
        shown.insert("feature_codes".into(), json!(features));
        shown.insert("customer".into(), json!(world.customer_of(row)));
        shown.insert("status".into(), status(row).into());
    }
    Value::Object(shown)
}

fn base(world: &World, row: &Row) -> Map<String, Value> {
    let settings = &world.settings;
    let mut shown = Map::new();
    shown.insert("id".into(), row.id.into());
    for (at, field) in (0u8..).zip(row.object.fields()) {
        if !field.shown {
            continue;
        }
        let value = match (field.kind, row.value(at).as_ref()) {
            (Kind::Stamp, Value::Number(micros)) => stamp(micros.as_i64().unwrap_or_default()).into(),
            (Kind::Json, value) if settings.metadata_as_string => value.to_string().into(),
            (Kind::Cycle, value) if *value == "annually" => check::yearly(row.object, settings).into(),
            (Kind::Date, Value::Null) if settings.zero_dates && field.name == "validity_period" => "0000-00-00".into(),
            (_, value) => value.clone(),
        };
        shown.insert(field.name.into(), value);
    }
    if settings.extra_fields {
        shown.insert("is_migrated_v2".into(), false.into());
        shown.insert("billing_profile".into(), json!({"tier": null, "limits": [1, 2.5, "x"]}));
    }
    shown
}

fn account(world: &World, row: &Row) -> Map<String, Value> {
    let mut shown = base(world, row);
    let customers = world.linked(Object::Customer, "customer_account", row.id).len();
    shown.insert("customers_count".into(), customers.into());
    shown.insert("company".into(), world.company.into());
    if !world.settings.account_extras {
        shown.remove("reference");
        shown.remove("metadata");
    }
    shown
}

fn customer(world: &World, row: &Row) -> Map<String, Value> {
    let mut shown = base(world, row);
    let orders = world.linked(Object::Order, "customer", row.id);
    let licenses: usize = orders.iter().map(|order| world.linked(Object::License, "order", *order).len()).sum();
    shown.insert("total_orders".into(), orders.len().into());
    shown.insert("total_licenses".into(), licenses.into());
    shown.insert("company".into(), world.company.into());
    let mut mappings = Vec::new();
    let (mut ids, mut names) = (Vec::new(), Vec::new());
    for mapping in world.linked(Object::CustomerLabel, "customer", row.id) {
        let label = world.row(Object::CustomerLabel, *mapping).and_then(|row| row.int("customer_label"));
        let Some(label) = label.and_then(|id| world.row(Object::Label, id)) else {
            continue;
        };
        let (text, color) = (label.text("label"), label.text("color"));
        mappings.push(json!({"id": mapping, "label_id": label.id, "label": text, "color": color}));
        ids.push(label.id);
        names.push(text.to_lowercase());
    }
    shown.insert("labels".into(), mappings.into());
    shown.insert("clabels".into(), json!(ids));
    let all = (!names.is_empty()).then(|| names.join(" "));
    shown.insert("clabels_all".into(), json!(all));
    shown
}

fn order(world: &World, row: &Row) -> Map<String, Value> {
    let mut shown = order_flat(world, row);
    let nested = row.int("customer").and_then(|id| listed(world, Object::Customer, id));
    shown.insert("customer".into(), json!(nested));
    shown
}

/// The order as PATCH answers it: the customer as a number.
fn order_flat(world: &World, row: &Row) -> Map<String, Value> {
    let mut shown = base(world, row);
    shown.insert("company".into(), world.company.into());
    let customer = row.int("customer").and_then(|id| world.row(Object::Customer, id));
    for (copy, name) in [
        ("customer_email", "email"),
        ("customer_reference", "reference"),
        ("customer_first_name", "first_name"),
        ("customer_last_name", "last_name"),
        ("customer_company", "company_name"),
        ("customer_phone", "phone"),
    ] {
        shown.insert(copy.into(), customer.map_or(Value::Null, |customer| customer.get(name).clone()));
    }
    let users: Vec<Value> = managers(world, Some(row.id)).into_iter().map(|user| license_user(world, user).into()).collect();
    shown.insert("license_users".into(), users.into());
    shown
}

fn order_item(world: &World, id: i64) -> Option<Value> {
    let row = world.row(Object::OrderItem, id)?;
    let mut shown = base(world, row);
    shown.insert("product_id".into(), row.get("product").clone());
    let licenses: Vec<Value> =
        world.linked(Object::License, "order_item", id).iter().filter_map(|license| listed(world, Object::License, *license)).collect();
    shown.insert("licenses".into(), licenses.into());
    Some(Value::Object(shown))
}

/// The text shown for a license's state.
fn status(row: &Row) -> &'static str {
    if !row.flag("enabled") {
        "Disabled"
    } else if row.flag("active") {
        "Active"
    } else {
        "Inactive"
    }
}

fn license(world: &World, row: &Row) -> Map<String, Value> {
    let mut shown = base(world, row);
    shown.insert("status".into(), status(row).into());
    let store_id = row.int("order").and_then(|id| world.row(Object::Order, id)).map(|order| order.text("store_id"));
    shown.insert("order_store_id".into(), json!(store_id));
    let customer = world.customer_of(row).and_then(|id| listed(world, Object::Customer, id));
    shown.insert("customer".into(), json!(customer));
    let product = row.int("product").and_then(|id| world.row(Object::Product, id)).map(|product| {
        json!({"id": product.id, "product_name": product.text("product_name"), "short_code": product.text("short_code"),
               "authorization_method": product.text("authorization_method")})
    });
    shown.insert("product".into(), json!(product));
    let features: Vec<Value> = world
        .linked(Object::LicenseFeature, "license", row.id)
        .iter()
        .filter_map(|id| listed(world, Object::LicenseFeature, *id))
        .collect();
    shown.insert("product_features".into(), features.into());
    shown.insert("product_custom_fields".into(), json!([]));
    let users: Vec<Value> = listed_ids(row.get("license_users")).filter_map(|id| listed(world, Object::LicenseUser, id)).collect();
    shown.insert("license_users".into(), users.into());
    let active = world
        .linked(Object::Device, "license", row.id)
        .iter()
        .filter(|id| world.row(Object::Device, **id).is_some_and(|device| device.flag("device_active")))
        .count();
    shown.insert("total_active_devices".into(), active.into());
    shown.insert("active_up_to_date_devices".into(), active.into());
    shown
}

fn license_feature(world: &World, row: &Row) -> Map<String, Value> {
    let mut shown = license_feature_flat(world, row);
    let feature = row.int("product_feature").and_then(|id| world.row(Object::ProductFeature, id));
    let nested = feature.map(|feature| {
        let metadata =
            if world.settings.metadata_as_string { feature.metadata().to_string().into() } else { feature.metadata().into_owned() };
        json!({"id": feature.id, "code": feature.text("code"), "name": feature.text("name"),
               "feature_type": feature.text("feature_type"), "is_deleted": feature.flag("is_deleted"), "metadata": metadata})
    });
    shown.insert("product_feature".into(), json!(nested));
    shown
}

/// The row as the calls that write it answer it: the definition as a number.
fn license_feature_flat(world: &World, row: &Row) -> Map<String, Value> {
    base(world, row)
}

fn product(world: &World, row: &Row) -> Map<String, Value> {
    let mut shown = base(world, row);
    shown.insert("company".into(), world.company.into());
    let features: Vec<Value> = world
        .linked(Object::ProductFeature, "product", row.id)
        .iter()
        .filter_map(|id| listed(world, Object::ProductFeature, *id))
        .collect();
    shown.insert("product_features".into(), features.into());
    shown
}

fn policy(world: &World, row: &Row) -> Map<String, Value> {
    let mut shown = base(world, row);
    let mut templates = row.get("license_product_feature_templates").clone();
    for template in templates.as_array_mut().into_iter().flatten() {
        let feature = template["product_feature"].as_i64().and_then(|id| world.row(Object::ProductFeature, id));
        if let Some(feature) = feature {
            template["product_feature"] = json!({"id": feature.id, "code": feature.text("code")});
            template["feature_type"] = feature.get("feature_type").clone();
        }
        template["license_template"] = row.id.into();
    }
    shown.insert("license_product_feature_templates".into(), templates);
    shown
}

fn device(world: &World, row: &Row) -> Map<String, Value> {
    let mut shown = base(world, row);
    let license = row.int("license").and_then(|id| world.row(Object::License, id));
    let nested = license.map(|license| json!({"id": license.id, "license_key": license.get("license_key")}));
    shown.insert("license".into(), json!(nested));
    shown
}

fn license_user(world: &World, row: &Row) -> Map<String, Value> {
    let mut shown = base(world, row);
    let email = format!("{}|company{}", row.text("true_email"), world.company);
    shown.insert("email".into(), email.into());
    shown
}

/// A license manager, as the manager calls answer it: with the first password of a new one.
pub fn manager(world: &World, user: i64, new: bool) -> Value {
    let Some(row) = world.row(Object::LicenseUser, user) else {
        return Value::Null;
    };
    let mut shown = json!({
        "id": user, "true_email": row.text("true_email"), "first_name": row.text("first_name"), "last_name": row.text("last_name"),
        "phone_number": row.text("phone_number"), "new_user": new, "is_initial_password": row.flag("is_initial_password"),
    });
    if new {
        for name in ["initial_password", "password"] {
            shown[name] = row.text("initial_password").into();
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_have_two_forms() {
        assert_eq!(stamp(1_767_594_680_000_000), "2026-01-05T06:31:20Z");
        assert_eq!(stamp(1_767_594_679_902_517), "2026-01-05T06:31:19.902517Z");
        assert_eq!(stamp(1_767_594_679_900_000), "2026-01-05T06:31:19.900000Z");
    }
}
