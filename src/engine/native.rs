//! Which native fields of a side a mapping needs: what it maps, what its filter and the order rules look at, and the
//! field that carries the other side's id.

use crate::connectors::Schema;
use crate::record::Side;
use crate::rules::{Mapping, Rules};

/// The pseudo-field of an order that holds its lines.
pub const LINES: &str = "lines";

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
            fields.extend(orders.contact.iter().map(|c| c.field().to_owned()));
            fields.extend(["AccountId", "ActivatedDate", "OrderNumber", "StatusCode", LINES].map(str::to_owned));
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
