//! What the rules want of each field, held against what the side lets our user do.

use crate::connectors::{Catalogue, Schema};
use crate::engine::{native_fields, own_fields};
use crate::record::Side;
use crate::rules::{Mapping, Rules};
use serde::Serialize;
use std::collections::BTreeMap;

/// One field of one object on one side. A row without a field is the object itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Row {
    pub object: String,
    pub side: Side,
    pub resource: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    pub readable: bool,
    pub createable: bool,
    pub updateable: bool,
    /// `read`, `write`, `create`: what the rules need.
    pub wanted: &'static str,
    pub ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Row {
    pub(in crate::cli) fn complaint(&self) -> Option<String> {
        let fix = self.fix.as_ref().filter(|_| !self.ok)?;
        let what = self.field.as_ref().map_or_else(|| self.resource.clone(), |field| format!("{}.{field}", self.resource));
        Some(format!("{} {what}: {fix}", self.side))
    }

    pub(in crate::cli) fn cells(&self) -> Vec<String> {
        let sign = |may: bool| if may { "✓" } else { "–" }.to_owned();
        vec![
            if self.ok { "✓" } else { "✗" }.to_owned(),
            self.object.clone(),
            self.side.to_string(),
            self.field.as_ref().map_or_else(|| self.resource.clone(), |field| format!("{}.{field}", self.resource)),
            sign(self.readable),
            sign(self.createable),
            sign(self.updateable),
            self.wanted.to_owned(),
        ]
    }
}

pub(in crate::cli) fn resource(mapping: &Mapping, side: Side) -> &str {
    match side {
        Side::Salesforce => &mapping.salesforce,
        Side::Platform => &mapping.platform,
    }
}

pub(in crate::cli) fn rows(rules: &Rules, side: Side, schemas: &BTreeMap<String, Schema>, catalogue: &Catalogue) -> Vec<Row> {
    let mut rows = Vec::new();
    for mapping in &rules.mappings {
        let resource = resource(mapping, side);
        match schemas.get(resource) {
            None => rows.push(Row {
                object: mapping.object.clone(),
                side,
                resource: resource.to_owned(),
                field: None,
                readable: false,
                createable: false,
                updateable: false,
                wanted: "read",
                ok: false,
                fix: Some(missing_resource(side)),
            }),
            Some(schema) => {
                rows.push(whole(mapping, side, resource, schema));
                let free = catalogue.resource(resource).and_then(|r| r.free_prefix);
                let names = native_fields(rules, mapping, side);
                // Parent fields and embedded lines are no fields of the object; free names exist as soon as they are written.
                let plain = names.iter().filter(|n| schema.fields.contains_key(*n) || !is_derived(n, side, free));
                rows.extend(plain.map(|name| one(mapping, side, resource, schema, name)));
                if side == Side::Salesforce {
                    rows.extend(own_fields(rules, mapping).into_iter().map(|name| own(mapping, resource, schema, name)));
                }
            }
        }
    }
    rows
}

/// A field that Lockstep itself writes: without it that is left unsaid.
fn own(mapping: &Mapping, resource: &str, schema: &Schema, name: &str) -> Row {
    let field = schema.fields.get(name);
    let updateable = field.is_some_and(|f| f.updateable);
    let fix =
        "what Lockstep says there is left out: deploy it and grant it (steps 5 and 6 of the set-up), or say write-back = false in [orders]";
    Row {
        object: mapping.object.clone(),
        side: Side::Salesforce,
        resource: resource.to_owned(),
        field: Some(name.to_owned()),
        readable: field.is_some(),
        createable: field.is_some_and(|f| f.createable),
        updateable,
        wanted: "say",
        ok: updateable,
        fix: (!updateable).then(|| fix.to_owned()),
    }
}

fn is_derived(name: &str, side: Side, free: Option<&str>) -> bool {
    free.is_some_and(|prefix| name.starts_with(prefix)) || (side == Side::Salesforce && (name.contains('.') || name == "lines"))
}

fn missing_resource(side: Side) -> String {
    match side {
        Side::Salesforce => "not there, or not visible to our user: steps 2, 5 and 6 of the set-up".to_owned(),
        Side::Platform => "the platform does not know it, or the key may not see it".to_owned(),
    }
}

/// The object itself: may records be made and changed where the rules want it?
fn whole(mapping: &Mapping, side: Side, resource: &str, schema: &Schema) -> Row {
    let (writes, creates) = match side {
        Side::Salesforce => (mapping.direction.to_salesforce(), mapping.create.in_salesforce()),
        Side::Platform => (mapping.direction.to_platform(), mapping.create.on_platform() || mapping.provisions),
    };
    let fix = match (creates && !schema.createable, writes && !mapping.provisions && !schema.updateable) {
        (false, false) => None,
        (true, false) => Some("records may not be created"),
        (false, true) => Some("records may not be changed"),
        (true, true) => Some("records may be neither created nor changed"),
    };
    Row {
        object: mapping.object.clone(),
        side,
        resource: resource.to_owned(),
        field: None,
        readable: true,
        createable: schema.createable,
        updateable: schema.updateable,
        wanted: if creates {
            "create"
        } else if writes {
            "write"
        } else {
            "read"
        },
        ok: fix.is_none(),
        fix: fix.map(|why| advice(side, why)),
    }
}

fn one(mapping: &Mapping, side: Side, resource: &str, schema: &Schema, name: &str) -> Row {
    let written = mapping.entries.iter().any(|entry| {
        let (names, writes) = match side {
            Side::Salesforce => (&entry.salesforce, mapping.direction.to_salesforce() && entry.direction.to_salesforce()),
            Side::Platform => (&entry.platform, mapping.direction.to_platform() && entry.direction.to_platform()),
        };
        writes && names.iter().any(|n| n == name)
    });
    let info = schema.fields.get(name);
    let (createable, updateable) = info.map_or((false, false), |i| (i.createable, i.updateable));
    let fix = match info {
        None => Some("cannot be read: it is frozen, neither read nor blanked"),
        Some(_) if written && !createable && !updateable => Some("cannot be written"),
        Some(_) => None,
    };
    Row {
        object: mapping.object.clone(),
        side,
        resource: resource.to_owned(),
        field: Some(name.to_owned()),
        readable: info.is_some(),
        createable,
        updateable,
        wanted: if written { "write" } else { "read" },
        ok: fix.is_none(),
        fix: fix.map(|why| advice(side, why)),
    }
}

fn advice(side: Side, why: &str) -> String {
    match side {
        Side::Salesforce => format!("{why}; give it in the permission set (step 6) or take it out of the rules"),
        Side::Platform => format!("{why}; the platform or the key does not allow it: take it out of the rules, or make the entry one-way"),
    }
}
