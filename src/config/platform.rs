//! The rules held against what the platform can do, as its catalogue says: offline, before anything is asked.

use crate::connectors::{Catalogue, ResourceSpec, platform};
use crate::record::FieldType;
use crate::rules::{Conflict, Finding, LensWord, Line, ObjectTable, OnSalesforceDelete, Problem, RulesFile, nearest};

/// Everything in the file that the platform cannot do.
#[must_use]
pub fn check(file: &RulesFile, source: &str) -> Vec<Problem> {
    let Some(catalogue) = catalogue(file) else { return Vec::new() };
    check_against(file, source, catalogue)
}

/// The catalogue of the platform the file names.
fn catalogue(file: &RulesFile) -> Option<&'static Catalogue> {
    let (name, _) = file.platform.as_ref()?.named().into_iter().next()?;
    platform(name).map(|platform| (platform.catalogue)())
}

fn check_against(file: &RulesFile, source: &str, catalogue: &Catalogue) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, table) in file.objects() {
        let Some(platform) = &table.platform else { continue };
        let Some(resource) = catalogue.resource(platform) else {
            if !catalogue.open {
                let known = catalogue.resources.iter().map(|r| r.name);
                let finding = Finding::new(
                    platform.place(),
                    format!("{} has no resource {:?}", catalogue.name, **platform),
                    guess(platform, known, "resources"),
                );
                problems.push(finding.problem(source, UNKNOWN_RESOURCE));
            }
            continue;
        };
        let object = Object { file, name, table, resource, catalogue };
        for check in CHECKS {
            problems.extend((check.find)(&object).into_iter().map(|f| f.problem(source, check.code)));
        }
    }
    problems
}

pub const UNKNOWN_RESOURCE: &str = "unknown-resource";

/// One object of the file and the resource it names.
pub struct Object<'f> {
    file: &'f RulesFile,
    name: &'f crate::rules::At<String>,
    table: &'f ObjectTable,
    resource: &'f ResourceSpec,
    catalogue: &'f Catalogue,
}

/// A named check of one object.
pub struct Check {
    pub code: &'static str,
    pub what: &'static str,
    find: fn(&Object<'_>) -> Vec<Finding>,
}

pub const CHECKS: &[Check] = &[
    Check { code: "unknown-platform-field", what: "The platform's resource has no such field.", find: unknown_platform_field },
    Check { code: "not-writable", what: "A field is to be written on the platform that can only be read there.", find: not_writable },
    Check { code: "unmapped-match", what: "A match key names a field that no entry maps.", find: unmapped_match },
    Check {
        code: "not-translated",
        what: "A field that holds an id is mapped without the lens `reference`, or the other way round, or to another object.",
        find: not_translated,
    },
    Check { code: "needed-field", what: "A field that the platform needs for a new record is mapped by no entry.", find: needed_field },
    Check { code: "no-stamps", what: "`newest` is to decide, and the platform does not say when a record changed.", find: no_stamps },
    Check { code: "cannot-create", what: "Records are to be created that the platform does not let us create.", find: cannot_create },
    Check { code: "cannot-delete", what: "Records are to be deleted that the platform does not let us delete.", find: cannot_delete },
    Check { code: "cannot-disable", what: "Records are to be disabled, and they have no switch for it.", find: cannot_disable },
];

impl<'f> Object<'f> {
    /// Lines whose platform field exists, with its name.
    fn known_lines(&self) -> impl Iterator<Item = (Line<'f>, &'f str, crate::rules::Place)> {
        let resource = self.resource;
        self.table.lines().into_iter().filter_map(move |line| {
            let (field, place) = line.to()?;
            resource.knows(field).then_some((line, field, place))
        })
    }

    fn maps(&self, field: &str) -> bool {
        self.table.lines().into_iter().any(|line| line.to().is_some_and(|(to, _)| to == field))
    }
}

fn guess<'a>(word: &str, known: impl Iterator<Item = &'a str>, what: &str) -> String {
    let known: Vec<&str> = known.collect();
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("the {what} are {}", known.join(", ")),
    }
}

fn fields_of(resource: &ResourceSpec) -> impl Iterator<Item = &str> {
    resource.fields.iter().map(|f| f.name)
}

fn unknown_platform_field(object: &Object<'_>) -> Vec<Finding> {
    let mut names: Vec<(&str, crate::rules::Place)> = object.table.lines().into_iter().filter_map(Line::to).collect();
    let keys = object.table.match_keys.iter().flat_map(|key| key.iter());
    names.extend(keys.filter(|n| !n.is_empty()).map(|n| (n.as_str(), n.place())));
    let unknown = names.into_iter().filter(|(name, _)| !object.resource.knows(name));
    unknown
        .map(|(name, place)| {
            let help = match object.resource.free_prefix {
                Some(prefix) if nearest(name, fields_of(object.resource)).is_none() => {
                    format!("{}; any {prefix}… is possible", guess(name, fields_of(object.resource), "fields"))
                }
                Some(_) | None => guess(name, fields_of(object.resource), "fields"),
            };
            Finding::new(place, format!("a {} of {} has no field {name:?}", object.resource.name, object.catalogue.name), help)
        })
        .collect()
}

fn not_writable(object: &Object<'_>) -> Vec<Finding> {
    let read_only = |field: &str| object.resource.field(field).is_some_and(|f| !f.create && !f.update);
    let lines = object.known_lines().filter(|(line, field, _)| line.direction().to_platform() && read_only(field));
    let help = "say direction = \"to-salesforce\" for this field";
    lines.map(|(_, field, place)| Finding::new(place, format!("{field:?} of a {} can only be read", object.resource.name), help)).collect()
}

fn unmapped_match(object: &Object<'_>) -> Vec<Finding> {
    // The planted id is known without a mapping: it is the Salesforce record's own.
    let covered = |name: &str| object.resource.planted == Some(name) || object.maps(name);
    let keys = object.table.match_keys.iter().flat_map(|key| key.iter());
    let bare = keys.filter(|name| object.resource.knows(name) && !covered(name));
    bare.map(|name| {
        let message = format!("no entry maps {:?}, so that no Salesforce record can be compared by it", **name);
        Finding::new(name.place(), message, "map it, or take it out of `match`")
    })
    .collect()
}

fn not_translated(object: &Object<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    for (line, field, place) in object.known_lines() {
        let Some(spec) = object.resource.field(field) else { continue };
        let target = line.table().and_then(|t| t.object.as_ref());
        match (&spec.ty, line.lens()) {
            (FieldType::Reference { to }, LensWord::Reference) => {
                let resource = target.and_then(|t| object.file.objects.get(t)).and_then(|t| t.platform.as_ref());
                if let (Some(target), Some(resource)) = (target, resource.filter(|r| r.as_str() != to)) {
                    let message = format!("{field:?} is the id of a {to}, but [objects.{}] is about a {}", **target, **resource);
                    out.push(Finding::new(target.place(), message, format!("name the object with platform = {to:?}")));
                }
            }
            // The planted id is the one id that is the same on both sides.
            (FieldType::Reference { to }, LensWord::Copy) => {
                let message = format!("{field:?} is the id of a {to}: a Salesforce id means nothing there");
                out.push(Finding::new(place, message, "say as = \"reference\", object = \"…\""));
            }
            (ty, LensWord::Reference) => {
                let message = format!("{field:?} is {}, not the id of a record", ty.as_str());
                out.push(Finding::new(place, message, "leave the lens out, or name the field that holds the id"));
            }
            (_, _) => {}
        }
    }
    out
}

fn needed_field(object: &Object<'_>) -> Vec<Finding> {
    if !object.table.create().on_platform() || object.table.provisions || object.table.fields.is_none() {
        return Vec::new();
    }
    let fed =
        |field: &str| object.table.lines().into_iter().any(|l| l.direction().to_platform() && l.to().is_some_and(|(to, _)| to == field));
    let needed = object.resource.fields.iter().filter(|f| f.required && object.resource.planted != Some(f.name) && !fed(f.name));
    needed
        .filter(|_| !object.table.lines().iter().any(|line| object.file.is_maimed(&line.place())))
        .map(|f| {
            let message =
                format!("a new {} needs {:?}, and no entry of [objects.{}] writes it", object.resource.name, f.name, **object.name);
            Finding::new(object.name.place(), message, "map it to the platform, or say create = \"none\"")
        })
        .collect()
}

fn no_stamps(object: &Object<'_>) -> Vec<Finding> {
    if object.resource.stamped {
        return Vec::new();
    }
    let own = object.table.lines().into_iter().filter_map(|line| line.table()?.conflict.as_ref());
    let newest = own.chain(&object.table.conflict).filter(|c| ***c == Conflict::Newest);
    newest
        .map(|conflict| {
            let message = format!("{} does not say when a {} changed", object.catalogue.name, object.resource.name);
            Finding::new(conflict.place(), message, "say \"salesforce\", \"platform\", \"salesforce-unless-blank\" or \"manual\"")
        })
        .collect()
}

fn cannot_create(object: &Object<'_>) -> Vec<Finding> {
    if object.resource.can_create || object.table.provisions || !object.table.create().on_platform() {
        return Vec::new();
    }
    let place = object.table.create.as_ref().map_or_else(|| object.name.place(), crate::rules::At::place);
    let message = format!("a {} is not created on {} by itself", object.resource.name, object.catalogue.name);
    vec![Finding::new(place, message, "say create = \"to-salesforce\" or \"none\"")]
}

fn cannot_delete(object: &Object<'_>) -> Vec<Finding> {
    let policy = object.table.on_salesforce_delete.as_ref().filter(|p| ***p == OnSalesforceDelete::Delete && !object.resource.can_delete);
    // What was sold has a check of its own.
    let policy = policy.filter(|_| !object.table.is_issued(object.name));
    policy
        .map(|p| {
            Finding::new(p.place(), format!("a {} cannot be deleted on {}", object.resource.name, object.catalogue.name), "say \"report\"")
        })
        .into_iter()
        .collect()
}

fn cannot_disable(object: &Object<'_>) -> Vec<Finding> {
    let switch = object.resource.field("enabled").is_some_and(|f| f.update);
    let policy = object.table.on_salesforce_delete.as_ref().filter(|p| ***p == OnSalesforceDelete::Disable && !switch);
    policy
        .map(|p| {
            Finding::new(p.place(), format!("a {} of {} has no switch", object.resource.name, object.catalogue.name), "say \"report\"")
        })
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::connectors::{DeleteFeed, Feed, FieldSpec};
    use crate::rules::{SHIPPED, read};

    /// A platform made for the purpose: one resource with one field of each kind.
    fn small() -> Catalogue {
        let field = |name, ty, write, required| FieldSpec { name, ty, create: write, update: write, required, secret: false };
        let part = |name, fields| ResourceSpec {
            name,
            fields,
            planted: Some("key"),
            feed: Feed::Sweep,
            deletes: DeleteFeed::Absence,
            can_create: name == "part",
            can_update: true,
            can_delete: false,
            stamped: name == "part",
            free_prefix: Some("metadata."),
        };
        let parts = vec![
            field("key", FieldType::text(), true, true),
            field("name", FieldType::text(), true, true),
            field("count", FieldType::Integer, false, false),
            field("whole", FieldType::Reference { to: "whole".to_owned() }, true, false),
        ];
        let wholes = vec![field("key", FieldType::text(), true, true), field("enabled", FieldType::Boolean, true, false)];
        Catalogue { name: "small", resources: vec![part("part", parts), part("whole", wholes)], open: false }
    }

    fn codes(objects: &str) -> Vec<&'static str> {
        let source = format!("[platform.licensespring]\n{objects}");
        let (file, _) = read(&source);
        check_against(&file.unwrap(), &source, &small()).into_iter().map(|p| p.code).collect()
    }

    #[test]
    fn what_the_platform_cannot_do_is_said() {
        let part = |settings: &str, fields: &str| {
            format!(
                "[objects.whole]\nplatform = \"whole\"\ncreate = \"none\"\n[objects.whole.fields]\nOn = \"enabled\"\n\
                 [objects.part]\nplatform = \"part\"\n{settings}\n[objects.part.fields]\nName = \"name\"\n{fields}\n"
            )
        };
        let none: [&str; 0] = [];
        for (settings, fields, want) in [
            ("match = [[\"key\"], [\"name\", \"whole\"]]", "W = { to = \"whole\", as = \"reference\", object = \"whole\" }", &none[..]),
            ("conflict = \"newest\"", "N = \"metadata.anything\"", &none),
            ("", "N = { to = \"count\", direction = \"to-salesforce\" }", &none),
            ("", "N = \"nme\"", &["unknown-platform-field"]),
            ("", "N = \"metadata.\"", &["unknown-platform-field"]),
            ("match = [[\"nme\"]]", "", &["unknown-platform-field"]),
            ("match = [[\"count\"]]", "", &["unmapped-match"]),
            ("", "N = \"count\"", &["not-writable"]),
            ("", "W = \"whole\"", &["not-translated"]),
            ("", "W = { to = \"whole\", as = \"reference\", object = \"part\" }", &["not-translated"]),
            ("", "W = { to = \"count\", as = \"reference\", object = \"whole\", direction = \"to-salesforce\" }", &["not-translated"]),
            ("on-salesforce-delete = \"delete\"", "", &["cannot-delete"]),
            ("on-salesforce-delete = \"disable\"", "", &["cannot-disable"]),
        ] {
            assert_eq!(codes(&part(settings, fields)), want, "{settings} {fields}");
        }
        assert_eq!(codes(&part("", "").replace("Name = \"name\"", "")), ["needed-field"]);
        assert_eq!(codes(&part("", "").replace("create = \"none\"", "create = \"both\"")), ["cannot-create"]);
        assert_eq!(codes(&part("", "").replace("create = \"none\"", "create = \"none\"\nconflict = \"newest\"")), ["no-stamps"]);
        assert_eq!(codes(&part("", "").replace("\"part\"", "\"prat\"")), [UNKNOWN_RESOURCE]);
    }

    #[test]
    fn the_rules_for_forcemanager_fit_it() {
        let (file, problems) = read(crate::rules::FORCEMANAGER);
        assert_eq!(problems, []);
        assert_eq!(check(&file.unwrap(), crate::rules::FORCEMANAGER), []);
    }

    #[test]
    fn f1_the_rules_for_lac_fit_its_catalogue_and_hold_the_published_fields() {
        let (file, problems) = read(crate::rules::LAC);
        assert_eq!(problems, []);
        let file = file.unwrap();
        assert_eq!(catalogue(&file).unwrap().name, "lac");
        assert_eq!(check(&file, crate::rules::LAC), []);
        let rules = crate::rules::check(&file, crate::rules::LAC).unwrap();
        let fields = |object: &str| -> Vec<(String, String)> {
            let entries = rules.mapping(object).unwrap().entries.iter();
            entries.map(|e| (e.salesforce.join("+"), e.platform.join("+"))).collect()
        };
        let pairs =
            |list: &[(&str, &str)]| -> Vec<(String, String)> { list.iter().map(|(s, p)| ((*s).to_owned(), (*p).to_owned())).collect() };
        assert_eq!(
            fields("account"),
            pairs(&[
                ("Id", "tag.SF_Id"),
                ("Name", "name"),
                ("Phone", "phone_number"),
                ("Fax", "fax_number"),
                ("Description", "description"),
                ("BillingStreet", "street"),
                ("BillingPostalCode", "zip_code"),
                ("BillingCity", "city"),
                ("BillingState", "state"),
                ("BillingCountry", "country"),
            ])
        );
        assert_eq!(fields("contact"), pairs(&[("FirstName+LastName", "name"), ("Email", "email"), ("AccountId", "customer")]));
    }

    #[test]
    fn t1_a_tag_is_a_line_and_its_clock_decides_nothing() {
        let with = |line: &str| crate::rules::LAC.replacen("Name = \"name\"", &format!("Name = \"name\"\n{line}"), 1);
        let codes = |source: &str| -> Vec<&'static str> { check(&read(source).0.unwrap(), source).into_iter().map(|p| p.code).collect() };
        assert_eq!(codes(&with("Currency__c = \"tag.SF_Currency__c\"")), [] as [&str; 0]);
        assert_eq!(codes(&with("Website = \"homepage\"")), ["unknown-platform-field"]);
        assert_eq!(codes(&with("Rating = { to = \"tag.SF_Rating\", conflict = \"newest\" }")), ["no-stamps"]);
        let on_contact = crate::rules::LAC.replacen("Email = \"email\"", "Email = \"email\"\nTitle = \"tag.SF_Title\"", 1);
        assert_eq!(codes(&on_contact), ["unknown-platform-field"]);
    }

    #[test]
    fn the_shipped_rules_fit_the_platform_they_name() {
        let (file, _) = read(SHIPPED);
        assert_eq!(check(&file.unwrap(), SHIPPED), []);
    }
}
