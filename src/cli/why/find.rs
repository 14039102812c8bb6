//! From what a person typed to the records it names.

use super::is_order;
use crate::engine::refers_to;
use crate::record::{Fields, SalesforceId, Side, Value};
use crate::rules::Rules;
use crate::store::{Hit, Known, Store};
use std::collections::BTreeSet;

/// No more than this are listed.
pub(super) const MOST_HITS: usize = 50;
/// The fewest characters of a key that name a license.
const LEAST_OF_A_KEY: usize = 4;

pub(super) fn find(store: &Store, rules: &Rules, what: &str) -> anyhow::Result<Vec<Known>> {
    let what = what.trim();
    let objects: Vec<&str> = rules.mappings.iter().map(|m| m.object.as_str()).collect();
    if let Ok(id) = SalesforceId::parse(what) {
        let known = by_id(store, &objects, id.as_str())?;
        if !known.is_empty() {
            return Ok(known);
        }
    }
    let folded = what.to_lowercase();
    if folded.is_empty() {
        return Ok(Vec::new());
    }
    if what.contains('@') {
        let exact = people(store, rules, &|email| email.to_lowercase() == folded)?;
        return known_of(
            store,
            if exact.is_empty() { people(store, rules, &|email| email.to_lowercase().contains(&folded))? } else { exact },
        );
    }
    let mut hits = orders(store, rules, what)?;
    hits.extend(accounts(store, rules, &|name| name.to_lowercase() == folded)?);
    hits.extend(licenses(store, rules, what)?);
    if hits.is_empty() {
        hits = accounts(store, rules, &|name| name.to_lowercase().contains(&folded))?;
    }
    if hits.is_empty() {
        return by_id(store, &objects, what);
    }
    known_of(store, hits)
}

fn known_of(store: &Store, hits: BTreeSet<Hit>) -> anyhow::Result<Vec<Known>> {
    let mut known = Vec::new();
    for hit in hits.into_iter().take(MOST_HITS) {
        let found = match (&hit.ids.0, &hit.ids.1) {
            (Some(id), _) => store.known(&hit.object, Side::Salesforce, id)?,
            (None, Some(id)) => store.known(&hit.object, Side::Platform, id)?,
            (None, None) => None,
        };
        known.extend(found);
    }
    Ok(known)
}

fn by_id(store: &Store, objects: &[&str], id: &str) -> anyhow::Result<Vec<Known>> {
    let mut known = Vec::new();
    for (object, side) in store.objects_with(objects, id)? {
        known.extend(store.known(&object, side, id)?);
    }
    Ok(known)
}

/// `101` is order 00000101 too.
fn orders(store: &Store, rules: &Rules, number: &str) -> anyhow::Result<BTreeSet<Hit>> {
    let bare = |text: &str| text.trim_start_matches('0').to_owned();
    let (wanted, digits) = (bare(number), number.bytes().all(|b| b.is_ascii_digit()));
    let fits = |told: &str| told == number || (digits && !wanted.is_empty() && bare(told) == wanted);
    let mut hits = BTreeSet::new();
    for mapping in rules.mappings.iter().filter(|m| m.provisions) {
        hits.extend(store.search(&mapping.object, Side::Salesforce, &["OrderNumber"], &fits, MOST_HITS)?);
    }
    Ok(hits)
}

fn accounts(store: &Store, rules: &Rules, fits: &dyn Fn(&str) -> bool) -> anyhow::Result<BTreeSet<Hit>> {
    both(store, rules, "account", "Name", fits)
}

fn people(store: &Store, rules: &Rules, fits: &dyn Fn(&str) -> bool) -> anyhow::Result<BTreeSet<Hit>> {
    both(store, rules, "contact", "Email", fits)
}

/// By a Salesforce field, and by what it maps to on the platform: some are only there.
fn both(store: &Store, rules: &Rules, object: &str, field: &str, fits: &dyn Fn(&str) -> bool) -> anyhow::Result<BTreeSet<Hit>> {
    if rules.mapping(object).is_none() {
        return Ok(BTreeSet::new());
    }
    let mut hits = store.search(object, Side::Salesforce, &[field], fits, MOST_HITS)?;
    let platform = mapped(rules, object, field);
    let names: Vec<&str> = platform.iter().map(String::as_str).collect();
    hits.extend(store.search(object, Side::Platform, &names, fits, MOST_HITS)?);
    Ok(hits)
}

/// The platform fields that a Salesforce field maps to.
fn mapped(rules: &Rules, object: &str, field: &str) -> Vec<String> {
    let entries = rules.mapping(object).into_iter().flat_map(|m| &m.entries);
    entries.filter(|e| e.salesforce.iter().any(|n| n == field)).flat_map(|e| e.platform.clone()).collect()
}

fn licenses(store: &Store, rules: &Rules, end: &str) -> anyhow::Result<BTreeSet<Hit>> {
    let bare = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect::<String>();
    let wanted = bare(end);
    // Dots and dashes may come along; a space is no part of any key.
    if wanted.chars().count() < LEAST_OF_A_KEY || end.contains(char::is_whitespace) {
        return Ok(BTreeSet::new());
    }
    both(store, rules, "license", "License_Key__c", &|key| bare(key).ends_with(&wanted))
}

/// The orders that hang on an account or a contact, and the one a license or feature is of.
pub(super) fn orders_of(store: &Store, rules: &Rules, known: &Known) -> anyhow::Result<Vec<Known>> {
    let Some(order) = rules.mappings.iter().find(|m| m.provisions) else { return Ok(Vec::new()) };
    let object = order.object.as_str();
    match known.object.as_str() {
        "account" | "contact" => {
            let Some(id) = known.ids.salesforce.as_deref() else { return Ok(Vec::new()) };
            let contacts = rules.orders.iter().flat_map(|o| o.contact.iter().filter_map(|c| c.field()));
            let fields: Vec<&str> = if known.object == "account" { vec!["AccountId"] } else { contacts.collect() };
            known_of(store, store.search(object, Side::Salesforce, &fields, &|told| told == id, MOST_HITS)?)
        }
        _ => {
            let Some((_, platform)) = refers_to(rules, &known.object, object) else { return parent_order(store, rules, known) };
            let id = platform.iter().find_map(|name| text(known.fields.platform.as_ref()?, name));
            let found = id.map(|id| store.known(object, Side::Platform, id)).transpose()?.flatten();
            Ok(found.into_iter().collect())
        }
    }
}

/// A feature is of the order of its license.
fn parent_order(store: &Store, rules: &Rules, known: &Known) -> anyhow::Result<Vec<Known>> {
    let Some(parent) = rules.mapping(&known.object).and_then(|m| m.parent.as_deref()).filter(|p| *p != known.object && !is_order(rules, p))
    else {
        return Ok(Vec::new());
    };
    let Some((_, platform)) = refers_to(rules, &known.object, parent) else { return Ok(Vec::new()) };
    let id = platform.iter().find_map(|name| text(known.fields.platform.as_ref()?, name));
    match id.map(|id| store.known(parent, Side::Platform, id)).transpose()?.flatten() {
        // An account has many orders: those are not this record's.
        Some(parent) if parent.object == "license" => orders_of(store, rules, &parent),
        Some(_) | None => Ok(Vec::new()),
    }
}

fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_text).filter(|t| !t.is_empty())
}
