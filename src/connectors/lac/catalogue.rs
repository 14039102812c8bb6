//! What LAC keeps that we may read and write, known without a connection.
//!
//! Source: docs.x-formation.com, vendor REST API: customers with their contacts and custom tags; license orders and
//! licenses, which are only read here. A contact has no address of its own: it lives inside its customer.

use super::tags::{PLANTED, PREFIX};
use crate::connectors::{Catalogue, DeleteFeed, Feed, FieldSpec, Pace, Platform, ResourceSpec};
use crate::record::FieldType;
use std::sync::LazyLock;

pub const CUSTOMER: &str = "customer";
pub const CONTACT: &str = "contact";
pub const ORDER: &str = "order";
pub const LICENSE: &str = "license";

/// The plain fields of a customer, all text, all writable.
pub const SCALARS: [&str; 9] = ["name", "street", "zip_code", "city", "state", "country", "phone_number", "fax_number", "description"];

pub static CATALOGUE: LazyLock<Catalogue> =
    LazyLock::new(|| Catalogue { name: "lac", resources: vec![customer(), contact(), order(), license()], open: false });

pub static PLATFORM: Platform = Platform {
    name: "lac",
    title: "X-Formation LAC",
    rules: crate::rules::LAC,
    rules_file: "docs/rules/lac.toml",
    page: "lac.md",
    catalogue: || &CATALOGUE,
    pace: Pace { calls: 120, per: "minute", key: "requests-per-minute" },
    searches: super::find::is_searched,
    // The e-mail address and the name of a contact are what tells it apart inside its customer.
    known_again: &[(CUSTOMER, &[PLANTED]), (CONTACT, &["customer", "email", "name"])],
};

fn customer() -> ResourceSpec {
    let mut fields: Vec<FieldSpec> = SCALARS.into_iter().map(|name| open(name, FieldType::text())).collect();
    fields[0].required = true;
    fields.extend([open(PLANTED, FieldType::text()), read("creation_time", FieldType::Instant), read("update_time", FieldType::Instant)]);
    ResourceSpec {
        fields,
        planted: Some(PLANTED),
        free_prefix: Some(PREFIX),
        can_create: true,
        can_update: true,
        can_delete: true,
        ..swept(CUSTOMER)
    }
}

fn contact() -> ResourceSpec {
    ResourceSpec {
        fields: vec![
            FieldSpec { required: true, ..open("name", FieldType::text()) },
            open("email", FieldType::Email { max: None, blank_is_null: true }),
            FieldSpec { required: true, ..open("customer", reference(CUSTOMER)) },
            read("creation_time", FieldType::Instant),
            read("update_time", FieldType::Instant),
        ],
        can_create: true,
        can_update: true,
        can_delete: true,
        ..swept(CONTACT)
    }
}

fn order() -> ResourceSpec {
    ResourceSpec {
        fields: vec![
            FieldSpec { secret: true, ..read("activation_key", FieldType::text()) },
            read("customer", reference(CUSTOMER)),
            read("product", FieldType::text()),
            read("product_template", FieldType::text()),
            read("license_type", FieldType::text()),
            read("enabled", FieldType::Boolean),
            read("activations_allowed", FieldType::Integer),
            read("deactivations_allowed", FieldType::Integer),
            read("activated_licenses_count", FieldType::Integer),
            read("description", FieldType::text()),
            read("creation_time", FieldType::Instant),
        ],
        ..swept(ORDER)
    }
}

fn license() -> ResourceSpec {
    ResourceSpec {
        fields: vec![
            read("order", reference(ORDER)),
            read("activation_time", FieldType::Instant),
            read("expiration_date", FieldType::Date),
            read("hostids", FieldType::text()),
        ],
        ..swept(LICENSE)
    }
}

/// What all have in common: readable by sweeping only, and no stamp that could be held against Salesforce's clock.
fn swept(name: &'static str) -> ResourceSpec {
    ResourceSpec {
        name,
        fields: Vec::new(),
        planted: None,
        feed: Feed::Sweep,
        deletes: DeleteFeed::Absence,
        can_create: false,
        can_update: false,
        can_delete: false,
        stamped: false,
        free_prefix: None,
    }
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

/// The type of a field or of a tag; `None` where the resource has no such field.
pub fn type_of(resource: &ResourceSpec, name: &str) -> Option<FieldType> {
    match resource.field(name) {
        Some(field) => Some(field.ty.clone()),
        None if resource.knows(name) => Some(super::tags::tag_type()),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_unique_and_references_point_at_resources() {
        for resource in &CATALOGUE.resources {
            let mut names: Vec<_> = resource.fields.iter().map(|f| f.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), resource.fields.len(), "{}", resource.name);
            for field in &resource.fields {
                if let FieldType::Reference { to } = &field.ty {
                    assert!(CATALOGUE.resource(to).is_some(), "{} → {to}", field.name);
                }
            }
        }
    }

    #[test]
    fn only_customers_carry_tags_and_nothing_sold_is_written() {
        let of = |name| CATALOGUE.resource(name).unwrap();
        assert!(of(CUSTOMER).knows("tag.SF_Currency__c") && !of(CONTACT).knows("tag.SF_Currency__c"));
        for name in [ORDER, LICENSE] {
            let resource = of(name);
            assert!(!resource.can_create && !resource.can_update && !resource.can_delete);
            assert!(resource.fields.iter().all(|f| !f.create && !f.update));
        }
        assert!(of(ORDER).field("activation_key").unwrap().secret);
        assert!(CATALOGUE.resources.iter().all(|r| !r.stamped), "LAC's clock is never held against Salesforce's");
    }
}
