//! Which native fields of a side a mapping needs: what it maps, what its filter and the order rules look at, and the
//! field that carries the other side's id.

use crate::connectors::Schema;
use crate::record::Side;
use crate::rules::{ContactRule, Mapping, Rules};

/// The pseudo-field of an order that holds its lines.
pub const LINES: &str = "lines";

/// Beside the base of an order: what its lines were given. No side ever shows it.
pub const ISSUED: &str = "issued";

/// How many activations a license has, as the Salesforce record of it shows them.
pub const ACTIVATIONS: &str = "Activations__c";

/// Asks for one reset of a license; the box is cleared when that is done.
pub const RESET_REQUESTED: &str = "Reset_Requested__c";

/// Salesforce fields that are Lockstep's own: computed here and written there, mapped to nothing.
#[must_use]
pub fn own_fields(rules: &Rules, mapping: &Mapping) -> Vec<&'static str> {
    const ORDER: [&str; 7] = [
        "License_Status__c",
        "License_Message__c",
        "License_Preview__c",
        "License_Platform_Id__c",
        "Licenses_Sold__c",
        "Licenses_Active__c",
        "Last_Activation__c",
    ];
    const ACCOUNT: [&str; 2] = ["Licenses_Sold__c", "Licenses_Active__c"];
    const LICENSE: [&str; 4] = [RESET_REQUESTED, "Reset_Outcome__c", "Reset_At__c", "Reset_Count__c"];
    let Some(orders) = &rules.orders else { return Vec::new() };
    let own: &[&str] = match mapping.object.as_str() {
        "license" => &LICENSE,
        "account" if orders.write_back => &ACCOUNT,
        _ if mapping.provisions && orders.write_back => &ORDER,
        _ => &[],
    };
    own.iter().copied().filter(|name| !mapping.entries.iter().any(|e| e.salesforce.iter().any(|f| f == name))).collect()
}

/// Every field the rules want of this side, readable or not, sorted and without repeats.
#[must_use]
pub fn native_fields(rules: &Rules, mapping: &Mapping, side: Side) -> Vec<String> {
    let mut fields: Vec<String> = mapping
        .entries
        .iter()
        .flat_map(|entry| match side {
            Side::Salesforce => entry.salesforce.iter(),
            Side::Platform => entry.platform.iter(),
        })
        .cloned()
        .collect();
    if side == Side::Salesforce {
        if let Some(filter) = &mapping.filter {
            fields.extend(filter.fields.iter().cloned());
        }
        if let (true, Some(orders)) = (mapping.provisions, &rules.orders) {
            fields.extend(orders.provision_when.fields.iter().cloned());
            fields.extend(orders.cancelled_when.fields.iter().cloned());
            fields.extend(orders.contact.iter().filter_map(|c| c.field()).map(str::to_owned));
            fields.extend(["AccountId", "ActivatedDate", "OrderNumber", "StatusCode", LINES].map(str::to_owned));
        }
        if mapping.object == "contact" && rules.orders.as_ref().is_some_and(|o| o.contact.contains(&ContactRule::FirstContact)) {
            fields.push("AccountId".to_owned());
        }
    }
    fields.sort();
    fields.dedup();
    fields
}

/// The same, but only what our user may read: an unreadable field is not asked for and stays frozen.
#[must_use]
pub fn readable_fields(rules: &Rules, mapping: &Mapping, side: Side, schema: &Schema) -> Vec<String> {
    let mut fields = native_fields(rules, mapping, side);
    fields.extend(schema.planted.clone());
    if side == Side::Salesforce {
        fields.extend(own_fields(rules, mapping).into_iter().map(str::to_owned));
    }
    fields.sort();
    fields.dedup();
    fields.retain(|f| schema.fields.contains_key(f));
    fields
}

/// What is planted on the platform for a Salesforce record: its id, marked as an order's where it is one.
#[must_use]
pub fn planted_on_platform(mapping: &Mapping, salesforce_id: &str) -> String {
    if mapping.provisions { format!("SF-{salesforce_id}") } else { salesforce_id.to_owned() }
}

/// What is planted in Salesforce for a platform-born record.
#[must_use]
pub fn planted_in_salesforce(rules: &Rules, mapping: &Mapping, platform_id: &str) -> String {
    format!("{}-{}-{platform_id}", rules.connection, mapping.object)
}

/// The platform id that a planted value of ours names.
#[must_use]
pub fn platform_id_of<'a>(rules: &Rules, mapping: &Mapping, planted: &'a str) -> Option<&'a str> {
    planted.strip_prefix(rules.connection.as_str())?.strip_prefix('-')?.strip_prefix(mapping.object.as_str())?.strip_prefix('-')
}
