//! Checks of the objects: their names, their families, what may become of their records.

use super::{Finding, settings::is_slug};
use crate::rules::{
    file::{At, ObjectTable, RulesFile},
    form::nearest,
    mapping::{OnPlatformDelete, OnSalesforceDelete},
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn no_objects(file: &RulesFile) -> Vec<Finding> {
    let none = file.objects.is_empty() && file.maimed.is_empty();
    none.then(|| Finding::new(0..0, "nothing is kept in step: there is no [objects.…]", "start from what `lockstep init` writes"))
        .into_iter()
        .collect()
}

pub(super) fn object_name(file: &RulesFile) -> Vec<Finding> {
    let bad = file.objects.keys().filter(|n| !(1..=30).contains(&n.len()) || !n.bytes().all(is_slug));
    bad.map(|n| Finding::new(n.place(), format!("{:?} cannot name an object", **n), "use lower-case letters, digits and dashes")).collect()
}

pub(super) fn empty_fields(file: &RulesFile) -> Vec<Finding> {
    let empty = file.objects().into_iter().filter(|(_, t)| t.fields.as_ref().is_some_and(BTreeMap::is_empty));
    empty
        .map(|(name, _)| Finding::new(name.place(), format!("[objects.{}] maps no field", **name), "add a line such as Name = \"name\""))
        .collect()
}

pub(super) fn unknown_object(file: &RulesFile) -> Vec<Finding> {
    let known: Vec<&str> = file.objects.keys().map(|k| k.as_str()).collect();
    let parents = file.objects.values().filter_map(|t| t.parent.as_ref());
    let references = file.lines().into_iter().filter_map(|(_, line)| line.table()?.object.as_ref());
    let named = parents.chain(references).map(|name| (name.as_str(), name.place()));
    let kinds = file.lines().into_iter().filter_map(|(_, line)| line.table()?.kinds.as_ref());
    let kinds = kinds.flat_map(|kinds| kinds.values().map(|name| (name.as_str(), kinds.place())));
    let unknown = named.chain(kinds).filter(|(name, _)| !known.contains(name));
    unknown
        .map(|(name, place)| {
            let help = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("the objects are {}", known.join(", ")),
            };
            Finding::new(place, format!("there is no [objects.{name}]"), help)
        })
        .collect()
}

pub(super) fn parent_circle(file: &RulesFile) -> Vec<Finding> {
    let parents: BTreeMap<&str, &At<String>> =
        file.objects.iter().filter_map(|(name, t)| Some((name.as_str(), t.parent.as_ref()?))).collect();
    let in_circle = |start: &str| {
        let mut seen = BTreeSet::new();
        let mut at = start;
        while let Some(parent) = parents.get(at) {
            if !seen.insert(at) {
                return false;
            }
            at = parent.as_str();
            if at == start {
                return true;
            }
        }
        false
    };
    // One circle, one complaint: at its first object in the file.
    let circle: Vec<_> = file.objects().into_iter().filter(|(name, _)| in_circle(name)).collect();
    let names = circle.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let first = circle.first().and_then(|(name, _)| parents.get(name.as_str()));
    let help = "the parent is the record that must be there first";
    first.map(|parent| Finding::new(parent.place(), format!("{names}: each waits for its own descendant"), help)).into_iter().collect()
}

pub(super) fn parent_needed(file: &RulesFile) -> Vec<Finding> {
    let orphan = |name: &str, table: &ObjectTable| {
        let kind = table.platform.as_ref().map_or(name, |p| p.as_str());
        let wanted = match (name, kind) {
            ("license", _) | (_, "license") => "order",
            ("feature", _) | (_, "feature") => "license",
            _ => return None,
        };
        table.parent.is_none().then_some(wanted)
    };
    let mut out = Vec::new();
    for (name, table) in &file.objects {
        if let (Some(wanted), false) = (orphan(name, table), file.is_maimed(&table.place())) {
            let message = format!("[objects.{}] needs a parent: it belongs to another record", **name);
            out.push(Finding::new(name.place(), message, format!("add parent = \"{wanted}\"")));
        }
    }
    out
}

pub(super) fn empty_match(file: &RulesFile) -> Vec<Finding> {
    let keys = file.objects.values().flat_map(|t| &t.match_keys);
    let empty = keys.filter(|key| key.is_empty() || key.iter().any(|name| name.is_empty()));
    empty.map(|key| Finding::new(key.place(), "this match key names no field", "write [[\"email\"]]")).collect()
}

pub(super) fn never_delete(file: &RulesFile) -> Vec<Finding> {
    let mut out = Vec::new();
    for (name, table) in file.objects().into_iter().filter(|(name, table)| table.is_issued(name)) {
        if let Some(policy) = table.on_salesforce_delete.as_ref().filter(|p| ***p == OnSalesforceDelete::Delete) {
            let message = format!("[objects.{}] is what was sold: it is never deleted on the platform", **name);
            out.push(Finding::new(policy.place(), message, "say \"report\" or \"disable\""));
        }
        if let Some(policy) = table.on_platform_delete.as_ref().filter(|p| ***p == OnPlatformDelete::Delete) {
            let message = format!("[objects.{}] is what was sold: it is never deleted in Salesforce", **name);
            out.push(Finding::new(policy.place(), message, "say \"keep\""));
        }
    }
    out
}
