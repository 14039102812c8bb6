//! A memory that was restored from a backup: how the records give it away, and how it learns what it missed.
//!
//! That the file itself is older than its mirror is the store's business. Here stands what remains if the whole directory
//! was put back: records that carry ids only we plant, and of which the memory never heard. While the mark stands, the guard
//! holds what takes away; in the run that compares, nothing is issued either.

use super::{
    native::{ISSUED, planted_in_salesforce},
    provision::{Given, given, lines},
    run::{Options, RunKind},
    standing::refers_to,
};
use crate::connectors::Schema;
use crate::record::{Side, Value};
use crate::rules::{Mapping, Quantity, Rules};
use crate::store::{Stage, Store};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// The Salesforce field of a license that names its unit.
const UNIT: &str = "Order_Line__c";
/// The one that tells how many activations it allows.
const MOST_ACTIVATIONS: &str = "Max_Activations__c";

/// The pass is given up before anything was planned on what the memory does not know, and begins again, whole.
#[derive(Debug, thiserror::Error)]
#[error("this memory was restored from a backup")]
pub struct Older;

/// What a run becomes while a restored memory is not yet in step: a full comparison, said in its cause.
pub fn options(store: &Store, asked: &Options) -> anyhow::Result<Options> {
    let whole = store.restored()?.is_some_and(|r| r.stage != Stage::Waiting);
    let mut options = asked.clone();
    if whole {
        options.kind = RunKind::Full;
        options.cause = format!("{}, restored backup", asked.cause);
    }
    Ok(options)
}

/// Looks through the news of Salesforce for records that carry our planted ids and are unknown to this memory.
pub fn look_in_salesforce(
    store: &Store,
    rules: &Rules,
    schemas: &BTreeMap<String, Schema>,
    run: i64,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    if store.restored()?.is_some() {
        return Ok(());
    }
    for mapping in rules.mappings.iter().filter(|m| first_load_over(store, m)) {
        let Some(planted) = schemas.get(&mapping.salesforce).and_then(|s| s.planted.as_ref()) else { continue };
        let prefix = planted_in_salesforce(rules, mapping, "");
        if let Some(id) = store.strange_in_salesforce(&mapping.object, planted, &prefix)? {
            return found(store, run, &format!("{} {id} in Salesforce carries our id, and this memory never made it", mapping.object), now);
        }
    }
    Ok(())
}

/// The same for orders of the platform, once both sides are read.
pub fn look_at_orders(store: &Store, mapping: &Mapping, run: i64, now: DateTime<Utc>) -> anyhow::Result<()> {
    if !mapping.provisions || !first_load_over(store, mapping) || store.restored()?.is_some() {
        return Ok(());
    }
    match store.strange_order(&mapping.object)? {
        Some(id) => found(store, run, &format!("order {id} on the platform was issued by us, and this memory does not know it"), now),
        None => Ok(()),
    }
}

/// At first contact everything is unknown, whoever made it.
fn first_load_over(store: &Store, mapping: &Mapping) -> bool {
    store.meta(&format!("first-load:{}", mapping.object)).is_ok_and(|state| state.as_deref() == Some("over"))
}

fn found(store: &Store, run: i64, why: &str, now: DateTime<Utc>) -> anyhow::Result<()> {
    tracing::warn!("this memory was restored from a backup: {why}; this run compares everything and takes nothing away");
    store.declare_restored(run, why, now)?;
    Err(Older.into())
}

/// The end of a pass. `whole`: everything was read, and every object had its turn.
pub fn end(store: &Store, rules: &Rules, run: i64, suspects_before: u64, whole: bool, now: DateTime<Utc>) -> anyhow::Result<()> {
    let Some(restored) = store.restored()? else { return Ok(()) };
    // A first contact that waits for a person has linked nothing yet.
    let whole = whole && !store.holds()?.iter().any(|hold| hold.reason.starts_with("first contact"));
    if whole && restored.stage == Stage::Comparing {
        relearn(store, rules, run)?;
    }
    store.compared(run, suspects_before, whole, now)
}

/// What the lines of the orders were given is taken from the licenses the platform shows, not from the old memory.
fn relearn(store: &Store, rules: &Rules, run: i64) -> anyhow::Result<()> {
    let (Some(orders), Some(licenses)) = (rules.mappings.iter().find(|m| m.provisions), rules.mapping("license")) else { return Ok(()) };
    let platform = |salesforce: &str| {
        let entry = licenses.entries.iter().find(|e| e.salesforce == [salesforce])?;
        entry.platform.first().map(String::as_str)
    };
    let order = refers_to(rules, "license", &orders.object).and_then(|(_, platform)| platform.into_iter().next());
    let (Some(order), Some(unit)) = (order, platform(UNIT)) else { return Ok(()) };
    let shown = store.licenses_shown(&licenses.object, &order, unit, platform(MOST_ACTIVATIONS))?;
    for (link, salesforce_id, platform_id, base) in store.links_with_base(&orders.object)? {
        // Licenses that name no line of ours tell nothing.
        let Some(licenses) = shown.get(&platform_id) else { continue };
        let now = store.staged_fields(&orders.object, Side::Salesforce, &salesforce_id)?.unwrap_or_else(|| base.clone());
        let known = if base.contains_key(ISSUED) { given(&base, rules) } else { Vec::new() };
        let wanted: Vec<Given> =
            lines(&now, rules).unwrap_or_default().into_iter().filter_map(|line| Some(Given::of(line.id, &line.wanted.ok()??))).collect();
        let learned = as_shown(&known, &wanted, licenses);
        if learned != known {
            tracing::info!(order = %salesforce_id, "what its lines were given was read from the platform again");
            let rows = Value::Rows(learned.iter().map(Given::row).collect());
            store.relearn(run, link, ISSUED, &rows)?;
            store.note_to_tell(&[salesforce_id.as_str()])?;
        }
    }
    Ok(())
}

/// A line was given no less than its licenses on the platform show, and never more than was ever asked for: what people
/// raised there by hand was not given by us.
fn as_shown(known: &[Given], wanted: &[Given], licenses: &[(String, Option<u64>)]) -> Vec<Given> {
    let mut all: Vec<(&Given, bool)> = known.iter().map(|g| (g, true)).collect();
    all.extend(wanted.iter().filter(|w| !known.iter().any(|g| g.line == w.line)).map(|w| (w, false)));
    all.into_iter()
        .filter_map(|(one, remembered)| {
            let of_line = |unit: &str| unit.strip_prefix(one.line.as_str())?.strip_prefix('-')?.parse::<u64>().ok();
            let units: Vec<(u64, Option<u64>)> = licenses.iter().filter_map(|(unit, most)| Some((of_line(unit)?, *most))).collect();
            let made = units.iter().map(|(n, _)| *n).max();
            let Some(made) = made else { return remembered.then(|| one.clone()) };
            let shows = match one.mode {
                Quantity::Licenses => made,
                Quantity::Activations => units.iter().find_map(|(_, most)| *most).unwrap_or(one.quantity),
            };
            let asked = wanted.iter().find(|w| w.line == one.line).map_or(0, |w| w.quantity);
            let before = if remembered { one.quantity } else { 0 };
            Some(Given { quantity: shows.min(asked.max(before)), units: made.max(if remembered { one.units } else { 0 }), ..one.clone() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, mode: Quantity, quantity: u64, units: u64) -> Given {
        Given { line: id.to_owned(), product: "orbit".to_owned(), mode, quantity, units }
    }

    #[test]
    fn what_was_given_is_what_the_platform_shows() {
        use Quantity::{Activations, Licenses};
        let units = |n: u64, most: u64| (1..=n).map(|n| (format!("A-{n}"), Some(most))).collect::<Vec<_>>();
        for (name, known, wanted, shown, learned) in [
            ("issued since the backup", vec![], line("A", Licenses, 2, 2), units(2, 1), vec![line("A", Licenses, 2, 2)]),
            ("not issued yet", vec![], line("A", Licenses, 2, 2), vec![("B-1".to_owned(), None)], vec![]),
            ("asked for more since", vec![], line("A", Licenses, 3, 3), units(2, 1), vec![line("A", Licenses, 2, 2)]),
            (
                "raised and given since the backup",
                vec![line("A", Licenses, 2, 2)],
                line("A", Licenses, 3, 3),
                units(3, 1),
                vec![line("A", Licenses, 3, 3)],
            ),
            (
                "raised since, not given yet",
                vec![line("A", Licenses, 2, 2)],
                line("A", Licenses, 3, 3),
                units(2, 1),
                vec![line("A", Licenses, 2, 2)],
            ),
            (
                "lowered since: told again",
                vec![line("A", Licenses, 3, 3)],
                line("A", Licenses, 2, 2),
                units(3, 1),
                vec![line("A", Licenses, 3, 3)],
            ),
            (
                "activations given since",
                vec![line("A", Activations, 5, 1)],
                line("A", Activations, 8, 1),
                units(1, 8),
                vec![line("A", Activations, 8, 1)],
            ),
            (
                "activations somebody raised by hand",
                vec![line("A", Activations, 5, 1)],
                line("A", Activations, 5, 1),
                units(1, 50),
                vec![line("A", Activations, 5, 1)],
            ),
        ] {
            assert_eq!(as_shown(&known, &[wanted], &shown), learned, "{name}");
        }
    }
}
