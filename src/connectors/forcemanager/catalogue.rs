//! What ForceManager keeps that we may read and write, known without a connection.
//!
//! Source: developer.forcemanager.com, API v4, "Accounts" to "Users". Some fields are views of ours of what the wire shows
//! in pieces: `start` and `end` of a calendar entry, what an activity is `about`, the word of a value list instead of its
//! number, a user's `fullName`.

use super::settings::REQUESTS_PER_SECOND;
use crate::connectors::{Catalogue, DeleteFeed, Feed, FieldSpec, Pace, Platform, ResourceSpec};
use crate::record::FieldType;
use std::sync::LazyLock;

pub const ACCOUNT: &str = "account";
pub const CONTACT: &str = "contact";
pub const OPPORTUNITY: &str = "opportunity";
pub const ACTIVITY: &str = "activity";
/// An entry of the calendar with `task` false.
pub const EVENT: &str = "event";
/// An entry of the calendar with `task` true.
pub const TASK: &str = "task";
pub const USER: &str = "user";

/// The field of a record that holds the Salesforce id, whatever it is called on the wire.
pub const LINK: &str = "extId";

/// Fields of the operator's own, made in ForceManager.
pub const EXTRA: &str = "Z_";

/// What the rules may say. An extra field is not known before somebody is asked.
pub static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| catalogue(Some(EXTRA)));

/// What a connection publishes: an extra field is there if the schema says so, and frozen if not.
pub static LIVE: LazyLock<Catalogue> = LazyLock::new(|| catalogue(None));

pub static PLATFORM: Platform = Platform {
    name: "forcemanager",
    title: "ForceManager",
    rules: crate::rules::FORCEMANAGER,
    rules_file: "docs/rules/forcemanager.toml",
    page: "forcemanager.md",
    catalogue: || &CATALOGUE,
    pace: Pace { calls: REQUESTS_PER_SECOND, per: "second", key: "requests-per-second" },
    searches: super::find::is_searched,
    known_again: &[(ACCOUNT, &[LINK]), (CONTACT, &[LINK]), (OPPORTUNITY, &[LINK]), (ACTIVITY, &[LINK]), (EVENT, &[LINK]), (TASK, &[LINK])],
};

fn catalogue(free_prefix: Option<&'static str>) -> Catalogue {
    let resources = vec![account(), contact(), opportunity(), activity(), calendar(EVENT), calendar(TASK), user()];
    let resources = resources.into_iter().map(|r| ResourceSpec { free_prefix, ..r }).collect();
    Catalogue { name: "forcemanager", resources, open: false }
}

/// Where a resource's records are on the wire.
#[must_use]
pub fn path(resource: &str) -> Option<&'static str> {
    Some(match resource {
        ACCOUNT => "/accounts",
        CONTACT => "/contacts",
        OPPORTUNITY => "/opportunities",
        ACTIVITY => "/activities",
        EVENT | TASK => "/calendar",
        USER => "/users",
        _ => return None,
    })
}

#[must_use]
pub fn is_calendar(resource: &str) -> bool {
    matches!(resource, EVENT | TASK)
}

/// The value list behind a word of ours, with the field that holds its number.
#[must_use]
pub fn list_of(resource: &str, field: &str) -> Option<(&'static str, &'static str)> {
    Some(match (resource, field) {
        (ACCOUNT, "status") => ("statusId", "/accountStatuses"),
        (ACCOUNT, "type") => ("typeId", "/accountTypes"),
        (ACCOUNT, "segment") => ("segmentId", "/accountSegments"),
        (ACCOUNT | OPPORTUNITY, "branch") => ("branchId", "/branches"),
        (ACCOUNT | CONTACT, "country") => ("countryId", "/countries"),
        (CONTACT, "type") => ("typeId", "/contactTypes"),
        (OPPORTUNITY, "status") => ("statusId", "/opportunityStatuses"),
        (OPPORTUNITY, "type") => ("typeId", "/opportunityTypes"),
        (OPPORTUNITY, "currency") => ("currencyId", "/currencies"),
        (ACTIVITY | EVENT | TASK, "type") => ("typeId", "/activityTypes"),
        _ => return None,
    })
}

fn account() -> ResourceSpec {
    let mut fields = vec![
        required(open("name", text(None))),
        required(open("salesRepId1", to(USER))),
        open("branchId", FieldType::Integer),
        open("statusId", FieldType::Integer),
        open("typeId", FieldType::Integer),
        open("segmentId", FieldType::Integer),
        open("rateId", FieldType::Integer),
        open("countryId", FieldType::Integer),
        open("email", email()),
        open("comment", text(Some(6000))),
        open("address1", text(Some(180))),
        open("address2", text(Some(180))),
        open("city", text(Some(200))),
        open("public", FieldType::Boolean),
    ];
    fields.extend(["salesRepId2", "salesRepId3", "salesRepId4", "salesRepId5"].map(|name| open(name, to(USER))));
    fields.extend(["vatNumber", "phone", "phone2", "phone3", "fax", "website", "postcode", "region"].map(|name| open(name, text(None))));
    fields.extend(["status", "type", "segment", "branch", "country"].map(|name| open(name, text(None))));
    record(ACCOUNT, fields)
}

fn contact() -> ResourceSpec {
    let mut fields = vec![
        // The vendor wants one and Salesforce need not have one: an empty one, or a placeholder, is sent for it.
        open("firstName", text(None)),
        required(open("lastName", text(None))),
        required(open("accountId", to(ACCOUNT))),
        required(open("salesRepId", to(USER))),
        open("typeId", FieldType::Integer),
        open("countryId", FieldType::Integer),
        open("email", email()),
        open("email2", email()),
        open("email3", email()),
        open("birthday", FieldType::Date),
        open("useCompanyAddress", FieldType::Boolean),
        open("marketingCommunications", FieldType::Boolean),
        // 0 male, 1 female.
        open("gender", FieldType::Integer),
        open("comment", text(Some(6000))),
    ];
    fields.extend(
        ["phone1", "phone2", "fax", "address1", "city", "region", "postcode", "linkedin", "skype", "type", "country"]
            .map(|name| open(name, text(None))),
    );
    record(CONTACT, fields)
}

fn opportunity() -> ResourceSpec {
    let mut fields = vec![
        // Its name.
        required(open("reference", text(None))),
        required(open("salesRepId", to(USER))),
        open("branchId", FieldType::Integer),
        open("statusId", FieldType::Integer),
        open("typeId", FieldType::Integer),
        open("currencyId", FieldType::Integer),
        // 0 to 10; a tenth of what Salesforce has, rounded.
        open("salesProbability", FieldType::Decimal { scale: 0 }),
        open("total", FieldType::Decimal { scale: 2 }),
        open("salesForecastDate", FieldType::Date),
        open("comments", text(Some(6000))),
        read("closedDate", FieldType::Instant),
        read("wonDate", FieldType::Instant),
        read("lostDate", FieldType::Instant),
    ];
    fields.extend(["accountId1", "accountId2", "accountId3"].map(|name| open(name, to(ACCOUNT))));
    fields.extend(["address1", "city", "region", "postcode", "status", "type", "branch", "currency"].map(|name| open(name, text(None))));
    record(OPPORTUNITY, fields)
}

fn activity() -> ResourceSpec {
    let fields = vec![
        required(open("salesRepId", to(USER))),
        // One of the two is needed; `day` says nothing of the hour.
        open("date", FieldType::Instant),
        open("day", FieldType::Date),
        open("accountId", to(ACCOUNT)),
        open("contactId", to(CONTACT)),
        open("opportunityId", to(OPPORTUNITY)),
        open("about", text(None)),
        open("typeId", FieldType::Integer),
        open("type", text(None)),
        open("comment", text(Some(6000))),
        open("checkin", FieldType::Boolean),
        open("checkoutDate", FieldType::Instant),
        // What took place is over.
        read("completed", FieldType::Boolean),
    ];
    record(ACTIVITY, fields)
}

fn calendar(name: &'static str) -> ResourceSpec {
    let fields = vec![
        open("subject", text(None)),
        open("comment", text(Some(6000))),
        open("salesRepId", to(USER)),
        open("accountId", to(ACCOUNT)),
        open("contactId", to(CONTACT)),
        open("opportunityId", to(OPPORTUNITY)),
        open("about", text(None)),
        open("typeId", FieldType::Integer),
        open("type", text(None)),
        open("city", text(None)),
        open("allDay", FieldType::Boolean),
        open("completed", FieldType::Boolean),
        // Of an all-day entry: midnight UTC of its day, as Salesforce has it.
        open("start", FieldType::Instant),
        open("end", FieldType::Instant),
        // Start and end on one day, all day.
        open("day", FieldType::Date),
    ];
    record(name, fields)
}

fn user() -> ResourceSpec {
    let mut fields: Vec<FieldSpec> = ["name", "lastName", "nic", "locale"].map(|name| read(name, text(None))).into();
    fields.extend([
        read("email", email()),
        read("isActive", FieldType::Boolean),
        read("managerId", to(USER)),
        // Both names, or the nickname of who has none; nothing where the user is not active.
        read("fullName", text(None)),
        read(LINK, text(None)),
    ]);
    ResourceSpec { can_create: false, can_update: false, can_delete: false, deletes: DeleteFeed::Reported, ..resource(USER, fields) }
}

/// A record of a kind that is written: with our link and its stamps.
fn record(name: &'static str, mut fields: Vec<FieldSpec>) -> ResourceSpec {
    fields.extend([open(LINK, text(None)), read("dateCreated", FieldType::Instant), read("dateUpdated", FieldType::Instant)]);
    resource(name, fields)
}

/// Lists show deleted records, flagged, for an unknown time. Where one is purged before it was seen, its absence from a
/// whole list and from a read by id is what is left to know it by.
fn resource(name: &'static str, fields: Vec<FieldSpec>) -> ResourceSpec {
    ResourceSpec {
        name,
        fields,
        planted: Some(LINK),
        feed: Feed::Since,
        deletes: DeleteFeed::Absence,
        can_create: true,
        can_update: true,
        can_delete: true,
        stamped: true,
        free_prefix: None,
    }
}

fn open(name: &'static str, ty: FieldType) -> FieldSpec {
    FieldSpec { name, ty, create: true, update: true, required: false, secret: false }
}

fn read(name: &'static str, ty: FieldType) -> FieldSpec {
    FieldSpec { create: false, update: false, ..open(name, ty) }
}

fn required(field: FieldSpec) -> FieldSpec {
    FieldSpec { required: true, ..field }
}

const fn text(max: Option<u32>) -> FieldType {
    FieldType::Text { max, blank_is_null: true }
}

const fn email() -> FieldType {
    FieldType::Email { max: None, blank_is_null: true }
}

fn to(resource: &str) -> FieldType {
    FieldType::Reference { to: resource.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_resource_has_a_path_a_link_and_no_field_twice() {
        for resource in &CATALOGUE.resources {
            assert!(path(resource.name).is_some());
            assert_eq!(resource.planted, Some(LINK));
            assert!(resource.field(LINK).is_some(), "{}", resource.name);
            let names: BTreeSet<&str> = resource.fields.iter().map(|f| f.name).collect();
            assert_eq!(names.len(), resource.fields.len(), "{}", resource.name);
            for field in &resource.fields {
                if let FieldType::Reference { to } = &field.ty {
                    assert!(CATALOGUE.resource(to).is_some(), "{}.{}", resource.name, field.name);
                }
                if let Some((number, _)) = list_of(resource.name, field.name) {
                    assert_eq!(resource.field(number).unwrap().ty, FieldType::Integer, "{}.{}", resource.name, field.name);
                }
            }
        }
    }

    #[test]
    fn u1_users_are_read_and_nothing_else() {
        let user = CATALOGUE.resource(USER).unwrap();
        assert!(!user.can_create && !user.can_update && !user.can_delete);
        assert!(user.fields.iter().all(|f| !f.create && !f.update));
    }

    #[test]
    fn f7_an_extra_field_that_is_not_there_is_no_field() {
        assert!(CATALOGUE.resource(ACCOUNT).unwrap().knows("Z_Tier"));
        assert!(!LIVE.resource(ACCOUNT).unwrap().knows("Z_Tier"));
    }
}
