//! What LicenseSpring keeps that we may read and write, known without a connection.
//!
//! Source: docs.licensespring.com, Management API. What its pages do not list as an argument of a call is not writable here.

use crate::connectors::{Catalogue, DeleteFeed, Feed, FieldSpec, Pace, Platform, ResourceSpec};
use crate::record::FieldType;
use std::sync::LazyLock;

pub const CUSTOMER_ACCOUNT: &str = "customer-account";
pub const CUSTOMER: &str = "customer";
pub const ORDER: &str = "order";
pub const LICENSE: &str = "license";
pub const FEATURE: &str = "feature";

/// What the vendor's smallest plan allows a company.
pub const FREE_PLAN_PER_MINUTE: u32 = 600;

/// `metadata.a.b` is the value at `a.b` of a record's metadata object.
pub const METADATA: &str = "metadata.";

pub static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue {
    name: "licensespring",
    resources: vec![customer_account(), customer(), order(), license(), feature()],
    open: false,
});

pub static PLATFORM: Platform = Platform {
    name: "licensespring",
    title: "LicenseSpring",
    rules: crate::rules::SHIPPED,
    rules_file: "sync-rules.toml",
    page: "licensespring-setup.md",
    catalogue: || &CATALOGUE,
    pace: Pace { calls: FREE_PLAN_PER_MINUTE, per: "minute", key: "plan" },
    searches: super::find::is_searched,
    // An order's licenses are known by the unit key in their metadata, see `order`.
    known_again: &[(CUSTOMER_ACCOUNT, &["code"]), (CUSTOMER, &["reference"]), (ORDER, &["store_id"]), (FEATURE, &["license", "code"])],
};

fn customer_account() -> ResourceSpec {
    ResourceSpec {
        fields: vec![
            // Changing a code is not documented.
            required(created("code", FieldType::text())),
            required(open("name", FieldType::text())),
            open("description", FieldType::text()),
            open("phone", FieldType::text()),
            open("address", FieldType::text()),
            open("email", email()),
            open("reference", FieldType::text()),
            read("customers_count", FieldType::Integer),
        ],
        planted: Some("code"),
        ..swept(CUSTOMER_ACCOUNT)
    }
}

fn customer() -> ResourceSpec {
    ResourceSpec {
        fields: vec![
            open("email", email()),
            open("first_name", FieldType::text()),
            open("last_name", FieldType::text()),
            open("company_name", FieldType::text()),
            open("phone", FieldType::text()),
            open("address", FieldType::text()),
            open("postcode", FieldType::text()),
            open("city", FieldType::text()),
            open("country", FieldType::text()),
            open("state", FieldType::text()),
            open("reference", FieldType::text()),
            open("customer_account", reference(CUSTOMER_ACCOUNT)),
            read("total_orders", FieldType::Integer),
            read("total_licenses", FieldType::Integer),
        ],
        planted: Some("reference"),
        ..swept(CUSTOMER)
    }
}

fn order() -> ResourceSpec {
    ResourceSpec {
        fields: vec![
            required(created("store_id", FieldType::text())),
            open("customer", reference(CUSTOMER)),
            open("customer_account", reference(CUSTOMER_ACCOUNT)),
            open("is_test", FieldType::Boolean),
            // Lines with their licenses: only ever sent, see `order`.
            required(created("items", FieldType::Rows)),
            // Licenses to add, and states to bring its licenses to: only ever sent, see `amend`.
            changed("append", FieldType::Rows),
            changed("change", FieldType::Rows),
            read("created_at", FieldType::Instant),
            read("updated_at", FieldType::Instant),
            read("license_count", FieldType::Integer),
        ],
        planted: Some("store_id"),
        can_delete: false,
        stamped: true,
        ..swept(ORDER)
    }
}

fn license() -> ResourceSpec {
    ResourceSpec {
        fields: vec![
            FieldSpec { secret: true, ..read("license_key", FieldType::text()) },
            read("license_type", FieldType::text()),
            // Text for people; the vendor publishes no list of its words.
            read("status", FieldType::text()),
            changed("enabled", FieldType::Boolean),
            read("active", FieldType::Boolean),
            changed("is_trial", FieldType::Boolean),
            changed("validity_period", FieldType::Date),
            changed("valid_duration", FieldType::text()),
            changed("max_activations", FieldType::Integer),
            read("times_activated", FieldType::Integer),
            read("total_active_devices", FieldType::Integer),
            changed("max_consumptions", FieldType::Integer),
            read("total_consumptions", FieldType::Integer),
            read("subscription_id", FieldType::text()),
            // The one true verb: only ever sent, see `reset`.
            changed("reset", FieldType::Rows),
            read("last_check", FieldType::Instant),
            read("time_activated", FieldType::Instant),
            changed("note", FieldType::text()),
            changed("order", reference(ORDER)),
            read("order_item", FieldType::Integer),
            read("order_store_id", FieldType::text()),
            read("customer", reference(CUSTOMER)),
            read("product", FieldType::text()),
            read("product_name", FieldType::text()),
            read("policy", FieldType::text()),
            read("url", FieldType::text()),
            read("created_at", FieldType::Instant),
            read("updated_at", FieldType::Instant),
        ],
        planted: None,
        feed: Feed::Since,
        can_create: false,
        can_delete: false,
        stamped: true,
        ..swept(LICENSE)
    }
}

fn feature() -> ResourceSpec {
    ResourceSpec {
        fields: vec![
            required(created("license", reference(LICENSE))),
            required(created("code", FieldType::text())),
            read("label", FieldType::text()),
            read("feature_type", FieldType::text()),
            open("max_consumption", FieldType::Integer),
            read("total_consumptions", FieldType::Integer),
            open("expiry_date", FieldType::Date),
            open("allow_overages", FieldType::Boolean),
        ],
        planted: None,
        free_prefix: None,
        ..swept(FEATURE)
    }
}

/// What most resources share: readable by sweeping only, no stamps, everything may be done to them.
fn swept(name: &'static str) -> ResourceSpec {
    ResourceSpec {
        name,
        fields: Vec::new(),
        planted: None,
        feed: Feed::Sweep,
        deletes: DeleteFeed::Absence,
        can_create: true,
        can_update: true,
        can_delete: true,
        stamped: false,
        free_prefix: Some(METADATA),
    }
}

fn email() -> FieldType {
    FieldType::Email { max: None, blank_is_null: true }
}

fn reference(to: &str) -> FieldType {
    FieldType::Reference { to: to.to_owned() }
}

fn read(name: &'static str, ty: FieldType) -> FieldSpec {
    FieldSpec { name, ty, create: false, update: false, required: false, secret: false }
}

fn open(name: &'static str, ty: FieldType) -> FieldSpec {
    FieldSpec { create: true, update: true, ..read(name, ty) }
}

fn created(name: &'static str, ty: FieldType) -> FieldSpec {
    FieldSpec { create: true, ..read(name, ty) }
}

fn changed(name: &'static str, ty: FieldType) -> FieldSpec {
    FieldSpec { update: true, ..read(name, ty) }
}

fn required(field: FieldSpec) -> FieldSpec {
    FieldSpec { required: true, ..field }
}

/// The type of a field or of a metadata path; `None` where the resource has no such field.
pub fn type_of(resource: &ResourceSpec, name: &str) -> Option<FieldType> {
    match resource.field(name) {
        Some(field) => Some(field.ty.clone()),
        None if resource.knows(name) => Some(FieldType::text()),
        None => None,
    }
}

/// The list of a resource. Single records lie below it, with a slash at their end but for features.
pub const fn list_path(resource: &str) -> Option<&'static str> {
    Some(match resource.as_bytes() {
        b"customer-account" => "/customer-accounts/",
        b"customer" => "/customers/",
        b"order" => "/orders/",
        b"license" => "/licenses/",
        b"feature" => "/license-product-features/",
        _ => return None,
    })
}

/// One record, in exactly the documented form: a redirect to the other form would drop a body.
pub fn record_path(resource: &str, id: i64) -> String {
    let list = list_path(resource).unwrap_or("/");
    if resource == FEATURE { format!("{list}{id}") } else { format!("{list}{id}/") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_unique_and_planted_fields_exist() {
        for resource in &CATALOGUE.resources {
            let mut names: Vec<_> = resource.fields.iter().map(|f| f.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), resource.fields.len(), "{}", resource.name);
            if let Some(planted) = resource.planted {
                assert!(resource.field(planted).unwrap().create, "{}", resource.name);
            }
            assert!(list_path(resource.name).is_some(), "{}", resource.name);
        }
    }

    #[test]
    fn references_point_at_resources() {
        for field in CATALOGUE.resources.iter().flat_map(|r| &r.fields) {
            if let FieldType::Reference { to } = &field.ty {
                assert!(CATALOGUE.resource(to).is_some(), "{} → {to}", field.name);
            }
        }
    }

    #[test]
    fn nothing_undocumented_can_be_done() {
        let license = CATALOGUE.resource(LICENSE).unwrap();
        assert!(!license.can_create && !license.can_delete && license.field("license_key").unwrap().secret);
        assert!(!CATALOGUE.resource(ORDER).unwrap().can_delete);
        assert_eq!(type_of(license, "metadata.lockstep.line"), Some(FieldType::text()));
        assert_eq!(type_of(CATALOGUE.resource(FEATURE).unwrap(), "metadata.x"), None);
    }

    #[test]
    fn single_records_have_the_documented_paths() {
        assert_eq!(record_path(CUSTOMER, 7), "/customers/7/");
        assert_eq!(record_path(FEATURE, 7), "/license-product-features/7");
    }
}
