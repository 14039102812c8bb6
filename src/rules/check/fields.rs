//! Checks of single field lines: names, lenses, directions, expressions, and that no field has two masters.

use super::Finding;
use crate::rules::{
    Expression, Place,
    file::{At, FieldTable, LensWord, Line, RulesFile},
    mapping::Direction,
};
use std::collections::BTreeMap;

/// `Phone`, `License__c`, `Account.Owner.Name`: what may stand in a query unquoted.
fn is_api_name(text: &str) -> bool {
    let part =
        |p: &str| p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && p.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    text.split('.').all(part)
}

pub(super) fn bad_field_name(file: &RulesFile) -> Vec<Finding> {
    let mut out = Vec::new();
    for (_, table) in file.objects() {
        if let Some(name) = table.salesforce.as_ref().filter(|n| !is_api_name(n) || n.contains('.')) {
            out.push(Finding::new(name.place(), format!("{:?} is no API name of an sObject", **name), "write Account or License__c"));
        }
    }
    for (_, line) in file.lines().into_iter().filter(|(_, line)| !line.lens().one_way()) {
        if let Some(name) = line.names().into_iter().find(|n| !is_api_name(n)) {
            let help = "write Phone, or \"FirstName + LastName\" for a lens over two fields";
            out.push(Finding::new(line.key.place(), format!("{name:?} is no API name of a Salesforce field"), help));
        }
    }
    out
}

pub(super) fn lens_fields(file: &RulesFile) -> Vec<Finding> {
    let mut out = Vec::new();
    for (_, line) in file.lines() {
        let (lens, count) = (line.lens(), line.names().len());
        if lens.one_way() {
            continue;
        }
        if lens == LensWord::PersonName && count != 2 {
            let help = "write \"FirstName + LastName\" = { to = \"name\", as = \"person-name\" }";
            out.push(Finding::new(line.key.place(), format!("the lens \"person-name\" is over two fields, not {count}"), help));
        } else if lens != LensWord::PersonName && count != 1 {
            let message = format!("the lens {:?} is over one field, not {count}", lens.as_str());
            out.push(Finding::new(line.key.place(), message, "for a name in two fields say as = \"person-name\""));
        }
    }
    out
}

/// The arguments that stand on a line: their names, the lens each belongs to, and where.
fn arguments_of(table: &FieldTable) -> [(&'static str, LensWord, Option<Place>); 7] {
    [
        ("values", LensWord::ValueMap, table.values.as_ref().map(At::place)),
        ("power", LensWord::Scale, table.power.as_ref().map(At::place)),
        ("yes", LensWord::BooleanWord, table.yes.as_ref().map(At::place)),
        ("no", LensWord::BooleanWord, table.no.as_ref().map(At::place)),
        ("object", LensWord::Reference, table.object.as_ref().map(At::place)),
        ("kinds", LensWord::Related, table.kinds.as_ref().map(At::place)),
        ("value", LensWord::Constant, table.value.as_ref().map(At::place)),
    ]
}

pub(super) fn lens_arguments(file: &RulesFile) -> Vec<Finding> {
    let mut out = Vec::new();
    for (_, line) in file.lines() {
        let (lens, Some(table)) = (line.lens(), line.table()) else { continue };
        let template = ("template", LensWord::Template, table.template.as_ref().map(At::place));
        for (name, of, place) in arguments_of(table).into_iter().chain([template]) {
            match place {
                None if of == lens && !file.is_maimed(&line.place()) => {
                    let at = table.lens.as_ref().map_or_else(|| line.place(), At::place);
                    out.push(Finding::new(
                        at,
                        format!("the lens {:?} needs `{name}`", lens.as_str()),
                        format!("add `{name}`; docs/rules.md shows how"),
                    ));
                }
                Some(place) if of != lens => {
                    let message = format!("`{name}` is nothing to the lens {:?}", lens.as_str());
                    out.push(Finding::new(place, message, format!("take it out, or say as = {:?}", of.as_str())));
                }
                Some(_) | None => {}
            }
        }
        let may = [("or", table.or.as_ref().map(At::place)), ("only", table.only.as_ref().map(At::place))];
        for (name, place) in may.into_iter().filter(|_| lens != LensWord::Reference) {
            let message = || format!("`{name}` is nothing to the lens {:?}", lens.as_str());
            out.extend(place.map(|place| Finding::new(place, message(), "take it out, or say as = \"reference\"")));
        }
        if let Some(kinds) = table.kinds.as_ref().filter(|k| k.is_empty()) {
            out.push(Finding::new(kinds.place(), "kinds without an object", "write { \"001\" = \"account\" }"));
        }
        if let Some(values) = table.values.as_ref().filter(|v| v.is_empty()) {
            out.push(Finding::new(values.place(), "a value map without words", "write { \"Hot\" = \"hot\" }"));
        }
        if let (Some(yes), Some(no)) = (&table.yes, &table.no)
            && **yes == **no
        {
            out.push(Finding::new(no.place(), "`yes` and `no` are the same word", "the platform's two words must differ"));
        }
    }
    out
}

pub(super) fn one_way_lens(file: &RulesFile) -> Vec<Finding> {
    let mut out = Vec::new();
    for (_, line) in file.lines().into_iter().filter(|(_, line)| line.lens().one_way()) {
        if let Some(direction) = line.table().and_then(|t| t.direction.as_ref()).filter(|d| ***d != Direction::ToPlatform) {
            let message = format!("a {} travels to the platform and never back", line.lens().as_str());
            out.push(Finding::new(direction.place(), message, "say direction = \"to-platform\", or leave it out"));
        }
    }
    out
}

pub(super) fn wider_direction(file: &RulesFile) -> Vec<Finding> {
    let mut out = Vec::new();
    for (name, line) in file.lines() {
        let (object, own) = (line.object.direction(), line.direction());
        let wider = (own.to_platform() && !object.to_platform()) || (own.to_salesforce() && !object.to_salesforce());
        if wider {
            let place = line.table().and_then(|t| t.direction.as_ref()).map_or_else(|| line.place(), At::place);
            let message = format!("[objects.{}] does not travel that way", **name);
            out.push(Finding::new(place, message, "widen the object's direction, and narrow that of the other fields"));
        }
    }
    out
}

pub(super) fn parent_field(file: &RulesFile) -> Vec<Finding> {
    let writes = |line: &Line<'_>| line.direction().to_salesforce() && !line.lens().one_way();
    let dotted = file.lines().into_iter().filter(|(_, line)| writes(line) && line.names().iter().any(|n| n.contains('.')));
    let help = "say direction = \"to-platform\"";
    dotted
        .map(|(_, line)| Finding::new(line.key.place(), format!("{} belongs to another record and is only read", **line.key), help))
        .collect()
}

pub(super) fn platform_field_twice(file: &RulesFile) -> Vec<Finding> {
    let mut out = Vec::new();
    let mut first: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for (object, line) in file.lines().into_iter().filter(|(_, line)| line.direction().to_platform()) {
        let Some((field, place)) = line.to() else { continue };
        if let Some(earlier) = first.insert((object, field), line.key) {
            let message = format!("platform field {field:?} is written by {earlier:?} already");
            out.push(Finding::new(place, message, "keep one of the two, or give one the other direction"));
        }
    }
    out
}

pub(super) fn salesforce_field_twice(file: &RulesFile) -> Vec<Finding> {
    let mut out = Vec::new();
    // To Salesforce Phone and PHONE are one field.
    let mut first: BTreeMap<(&str, String), &str> = BTreeMap::new();
    for (object, line) in file.lines().into_iter().filter(|(_, line)| line.direction().to_salesforce() && !line.lens().one_way()) {
        for field in line.names() {
            if let Some(earlier) = first.insert((object, field.to_ascii_lowercase()), line.key) {
                let message = format!("Salesforce field {field} is written by {earlier:?} already");
                out.push(Finding::new(line.key.place(), message, "keep one of the two, or give one the other direction"));
            }
        }
    }
    out
}

pub(super) fn bad_expression(file: &RulesFile) -> Vec<Finding> {
    let mut texts: Vec<&At<String>> =
        file.orders.iter().flat_map(|o| [o.provision_when.as_ref(), o.cancelled_when.as_ref()]).flatten().collect();
    texts.extend(file.objects.values().filter_map(|t| t.filter.as_ref()));
    texts.extend(file.lines().into_iter().filter_map(|(_, line)| line.table()?.template.as_ref()));
    let mut out = Vec::new();
    for text in texts {
        if let Err((message, within)) = Expression::parse(text) {
            out.push(Finding::new(place_within(text, within), message, "docs/rules.md lists what expressions can do"));
        }
    }
    out
}

/// The place of a part of a text. Exact where the text has no escapes and one line; else the whole text is underlined.
fn place_within(text: &At<String>, within: Option<Place>) -> Place {
    let whole = text.place();
    match within {
        Some(part) if whole.len() == text.len() + 2 => {
            let end = part.end.clamp(part.start, text.len());
            whole.start + 1 + part.start.min(text.len())..whole.start + 1 + end
        }
        Some(_) | None => whole,
    }
}
