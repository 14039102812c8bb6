//! A rules file brought down to what both systems really have: looked at as `check` and `check --online` do, and mended until
//! neither has anything to say of it. Pure: what the systems showed is given.

use super::sheet::Sheet;
use crate::cli::check::fields::{self, Row};
use crate::config::Config;
use crate::connectors::{Catalogue, Schema};
use crate::record::{Side, Sides};
use crate::rules::{self, Create, Direction, Problem, Rules, RulesFile};
use std::collections::BTreeMap;

/// What our users may see of each resource, on both sides, and what is known of the sides without asking.
pub(super) struct Both<'a> {
    pub schemas: Sides<BTreeMap<String, Schema>>,
    pub catalogues: Sides<&'a Catalogue>,
}

/// Leaves out or narrows whatever does not fit, with the reason beside it.
///
/// # Errors
/// What cannot be mended by leaving something out, as a sentence.
pub(super) fn fit(sheet: &mut Sheet, both: &Both<'_>) -> Result<(), String> {
    loop {
        let text = sheet.text();
        if let Some(problem) = Config::problems_of(&text).first() {
            mend_problem(sheet, problem)?;
        } else {
            let (file, rules) = meant(&text)?;
            let rows = Side::BOTH.into_iter().flat_map(|side| fields::rows(&rules, side, &both.schemas[side], both.catalogues[side]));
            match rows.into_iter().find(|row| !row.ok) {
                None => return Ok(()),
                Some(row) => mend_row(sheet, &row, &Read { text: &text, file: &file, rules: &rules }),
            }
        }
        // Every mending leaves something out or narrows it, so this ends; should one not, this says so.
        if sheet.text() == text {
            return Err("the rules cannot be made to fit what the systems show; `lockstep check --online` says more".to_owned());
        }
    }
}

pub(super) fn meant(text: &str) -> Result<(RulesFile, Rules), String> {
    let all = |problems: Vec<Problem>| problems.into_iter().map(|p| p.message).collect::<Vec<_>>().join("; ");
    let file = rules::parse(text).map_err(all)?;
    let rules = rules::check(&file, text).map_err(all)?;
    Ok((file, rules))
}

fn mend_problem(sheet: &mut Sheet, problem: &Problem) -> Result<(), String> {
    let line = problem.line.saturating_sub(1);
    let Some(object) = sheet.object_at(line) else { return Err(format!("{}; {}", problem.message, problem.help)) };
    if sheet.is_field(line) || sheet.is_setting(line, "match") {
        sheet.leave_out(line, &problem.message);
    } else {
        sheet.leave_object_out(&object, &problem.message);
    }
    Ok(())
}

struct Read<'a> {
    text: &'a str,
    file: &'a RulesFile,
    rules: &'a Rules,
}

impl Read<'_> {
    /// The lines of an object that name this field of a side.
    fn lines(&self, object: &str, side: Side, field: &str) -> Vec<usize> {
        let Some((_, table)) = self.file.objects().into_iter().find(|(name, _)| name.as_str() == object) else { return Vec::new() };
        let named = table.lines().into_iter().filter(|line| match side {
            Side::Salesforce => line.names().contains(&field),
            Side::Platform => line.to().is_some_and(|(to, _)| to == field),
        });
        named.map(|line| self.text.get(..line.key.place().start).unwrap_or_default().matches('\n').count()).collect()
    }
}

fn mend_row(sheet: &mut Sheet, row: &Row, read: &Read<'_>) {
    let object = row.object.as_str();
    let Some(mapping) = read.rules.mappings.iter().find(|m| m.object == object) else { return };
    let why = |short: &str| match &row.field {
        Some(field) => format!("{} {}.{field} {short}", row.side, row.resource),
        None => format!("{} {} {short}", row.side, row.resource),
    };
    match (&row.field, row.wanted) {
        (None, _) if !row.readable => {
            sheet.leave_mapping_out(mapping, &why("is not there, or our user may not see it"));
        }
        (None, _) => narrow_object(sheet, row, mapping.create, mapping.direction, &why("may not be written by our user")),
        (Some(_), "say") => {
            let spare = mapping.provisions || object == "account";
            if !spare || !sheet.set("orders", "write-back", "false", &why("is not there for our user to write")) {
                sheet.leave_object_out(object, &why("is not there for our user to write"));
            }
        }
        (Some(field), _) => {
            let lines = read.lines(object, row.side, field);
            if lines.is_empty() {
                // The filter, or what provisioning reads, hangs on it.
                return sheet.leave_object_out(object, &why("cannot be read"));
            }
            let back = if row.side == Side::Salesforce { Direction::ToPlatform } else { Direction::ToSalesforce };
            for line in lines {
                match (row.readable, mapping.direction == Direction::Both || mapping.direction == back) {
                    (false, _) => sheet.leave_out(line, &why("is not there, or our user may not read it")),
                    (true, true) => sheet.narrow(line, word(back), &why("can only be read")),
                    (true, false) => sheet.leave_out(line, &why("cannot be written")),
                }
            }
        }
    }
}

fn narrow_object(sheet: &mut Sheet, row: &Row, create: Create, direction: Direction, why: &str) {
    let table = format!("objects.{}", row.object);
    let (there, back) = match row.side {
        Side::Salesforce => (Create::ToPlatform, Direction::ToPlatform),
        Side::Platform => (Create::ToSalesforce, Direction::ToSalesforce),
    };
    if row.wanted == "create" && !row.createable {
        let left = if create == Create::Both { there } else { Create::None };
        let word = match left {
            Create::ToPlatform => "to-platform",
            Create::ToSalesforce => "to-salesforce",
            Create::Both | Create::None => "none",
        };
        sheet.set(&table, "create", &format!("\"{word}\""), why);
    } else if direction == Direction::Both {
        sheet.set(&table, "direction", &format!("\"{}\"", word(back)), why);
    } else {
        sheet.leave_object_out(&row.object, why);
    }
}

pub(super) const fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Both => "both",
        Direction::ToPlatform => "to-platform",
        Direction::ToSalesforce => "to-salesforce",
        Direction::None => "none",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::connectors::{FieldInfo, forcemanager, licensespring};
    use crate::record::FieldType;
    use crate::rules::{FORCEMANAGER, SHIPPED};

    fn info(ty: FieldType, writable: bool) -> FieldInfo {
        FieldInfo { ty, createable: writable, updateable: writable, required: false, secret: false, calculated: false }
    }

    /// Both sides have all that the file names.
    fn everything<'a>(text: &str, salesforce: &'a Catalogue, platform: &'a Catalogue) -> Both<'a> {
        let (_, rules) = meant(text).unwrap();
        let mut schemas: Sides<BTreeMap<String, Schema>> = Sides::new(BTreeMap::new(), BTreeMap::new());
        for side in Side::BOTH {
            for mapping in &rules.mappings {
                let schema = schemas[side].entry(fields::resource(mapping, side).to_owned()).or_default();
                (schema.createable, schema.updateable) = (true, true);
                let mut names = crate::engine::native_fields(&rules, mapping, side);
                if side == Side::Salesforce {
                    names.extend(crate::engine::own_fields(&rules, mapping).into_iter().map(str::to_owned));
                }
                schema.fields.extend(names.into_iter().map(|name| (name, info(FieldType::text(), true))));
            }
        }
        Both { schemas, catalogues: Sides::new(salesforce, platform) }
    }

    fn fitted(text: &str, change: impl FnOnce(&mut Sides<BTreeMap<String, Schema>>)) -> Result<String, String> {
        let salesforce = Catalogue { name: "salesforce", resources: Vec::new(), open: true };
        let platform = if text == SHIPPED { &*licensespring::CATALOGUE } else { &*forcemanager::CATALOGUE };
        let mut both = everything(text, &salesforce, platform);
        change(&mut both.schemas);
        let mut sheet = Sheet::of(text);
        fit(&mut sheet, &both)?;
        let text = sheet.text();
        assert_eq!(Config::problems_of(&text), [], "{text}");
        Ok(text)
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        assert_eq!(fitted(SHIPPED, |_| ()).unwrap(), SHIPPED);
        assert_eq!(fitted(FORCEMANAGER, |_| ()).unwrap(), FORCEMANAGER);
    }

    #[test]
    fn a_missing_field_is_left_out_and_one_that_can_only_be_read_is_one_way() {
        let text = fitted(SHIPPED, |seen| {
            seen.salesforce.get_mut("Contact").unwrap().fields.remove("Title");
            seen.salesforce.get_mut("Contact").unwrap().fields.insert("FirstName".to_owned(), info(FieldType::text(), false));
            seen.platform.get_mut("customer-account").unwrap().fields.insert("phone".to_owned(), info(FieldType::text(), false));
        })
        .unwrap();
        let line = |start: &str| text.lines().find(|l| l.starts_with(start)).unwrap_or_else(|| panic!("{start} in {text}")).to_owned();
        assert!(line("# Title = ").contains("left out: salesforce Contact.Title is not there"), "{text}");
        assert!(line("FirstName").starts_with("FirstName = { to = \"first_name\", direction = \"to-platform\" }"));
        assert!(line("Phone = {").starts_with("Phone = { to = \"phone\", direction = \"to-salesforce\" }"));
    }

    #[test]
    fn an_object_that_is_not_there_takes_what_hangs_on_it_along() {
        let text = fitted(SHIPPED, |seen| drop(seen.salesforce.remove("Order"))).unwrap();
        let (_, rules) = meant(&text).unwrap();
        assert_eq!(rules.mappings.iter().map(|m| m.object.as_str()).collect::<Vec<_>>(), ["account", "contact"]);
        assert!(rules.orders.is_none() && text.contains("# Left out: salesforce Order is not there"), "{text}");
        let text = fitted(FORCEMANAGER, |seen| drop(seen.platform.remove("opportunity"))).unwrap();
        assert!(text.contains("# [objects.opportunity]") && text.contains("kinds = { \"001\" = \"account\" }"), "{text}");
        assert_eq!(meant(&text).unwrap().1.mappings.len(), 6);
    }

    #[test]
    fn what_we_cannot_say_is_not_said() {
        let text = fitted(SHIPPED, |seen| {
            seen.salesforce.get_mut("Order").unwrap().fields.remove("License_Status__c");
        })
        .unwrap();
        assert!(text.contains("[orders]\nwrite-back = false "), "{text}");
    }

    #[test]
    fn rights_on_whole_objects_narrow_them() {
        let text = fitted(SHIPPED, |seen| {
            seen.platform.get_mut("feature").unwrap().createable = false;
            seen.platform.get_mut("feature").unwrap().updateable = false;
            seen.salesforce.get_mut("Contact").unwrap().updateable = false;
        })
        .unwrap();
        let (_, rules) = meant(&text).unwrap();
        let of = |object: &str| rules.mappings.iter().find(|m| m.object == object).unwrap();
        assert_eq!((of("feature").create, of("feature").direction), (Create::ToSalesforce, Direction::ToSalesforce));
        assert_eq!(of("contact").direction, Direction::ToPlatform);
    }

    #[test]
    fn what_the_platform_cannot_do_without_is_said() {
        let error = fitted(FORCEMANAGER, |seen| drop(seen.salesforce.remove("Account"))).unwrap_err();
        assert!(error.contains("companies"), "{error}");
    }
}
