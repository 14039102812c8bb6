//! From what was written to what is meant: named checks, all problems at once.
//!
//! Whether a platform knows a resource or a field is not known here; `config` asks its catalogue.

use super::{
    Conflict, ContactRule, Create, Direction, Drift, Entry, Expression, Lens, Mapping, Merge, OnPlatformDelete, OnSalesforceDelete,
    OrderRules, Place, Problem, ProductRule, Quantity, Rules, duration,
    file::{FieldTable, FieldValue, LensWord, ObjectTable, OrdersTable, ProductValue, RulesFile},
};
use crate::record::{FieldType, Value, coerce, fields_hash};
use std::collections::BTreeMap;
use toml::Spanned;

/// The rules, or everything that is wrong with them.
pub fn check(file: &RulesFile, source: &str) -> Result<Rules, Vec<Problem>> {
    let mut check = Check { source, problems: Vec::new() };
    check.connection(&file.connection.name);
    check.schedule(file);
    let mut mappings = check.mappings(file);
    check.families(file, &mut mappings);
    let orders = check.orders(file);
    let products = check.products(file);
    let fingerprint = fields_hash(&format!("{mappings:?}{orders:?}{products:?}"));
    let rules = Rules { connection: file.connection.name.get_ref().clone(), mappings, orders, products, fingerprint };
    if check.problems.is_empty() { Ok(rules) } else { Err(check.problems) }
}

struct Check<'a> {
    source: &'a str,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn say(&mut self, place: Place, code: &'static str, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(self.source, place, code, message, help));
    }

    fn connection(&mut self, name: &Spanned<String>) {
        let text = name.get_ref();
        let fits = (1..=30).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !fits {
            self.say(
                name.span(),
                "bad-name",
                format!("{text:?} cannot name a connection"),
                "use 1 to 30 lower-case letters, digits and dashes",
            );
        }
    }

    fn schedule(&mut self, file: &RulesFile) {
        let table = &file.schedule;
        if let (Some(_), Some(cron)) = (&table.every, &table.cron) {
            self.say(cron.span(), "two-schedules", "`every` and `cron` exclude each other", "keep one of them");
        }
        if let Some(every) = &table.every
            && let Err(e) = super::Schedule::every(every.get_ref())
        {
            self.say(every.span(), "bad-duration", e, "write an interval such as \"15m\"");
        }
        if let Some(cron) = &table.cron {
            let zone = table.time_zone.as_ref();
            if let Err(e) = super::Schedule::cron(cron.get_ref(), zone.map(|z| z.get_ref().as_str())) {
                self.say(cron.span(), "bad-cron", e, "five fields: minute hour day month weekday, such as \"*/15 * * * *\"");
            }
        }
        for (name, text) in [("lookback", &table.lookback), ("confirm-absence-after", &table.confirm_absence_after)] {
            if let Some(text) = text
                && let Err(e) = duration(text.get_ref())
            {
                self.say(text.span(), "bad-duration", e, format!("write {name} such as \"10m\""));
            }
        }
        if let Some(sweep) = &table.sweep_every
            && !matches!(sweep.get_ref().as_str(), "auto" | "run")
            && let Err(e) = duration(sweep.get_ref())
        {
            self.say(sweep.span(), "bad-duration", e, "write \"auto\", \"run\", or a duration such as \"1h\"");
        }
    }

    fn mappings(&mut self, file: &RulesFile) -> Vec<Mapping> {
        let mut tables: Vec<_> = file.objects.iter().collect();
        tables.sort_by_key(|(name, _)| name.span().start);
        if tables.is_empty() {
            self.say(0..0, "no-objects", "there is no [objects.…] table", "add one, or start from `lockstep init`");
        }
        tables.into_iter().map(|(name, table)| self.mapping(name, table)).collect()
    }

    fn mapping(&mut self, name: &Spanned<String>, table: &ObjectTable) -> Mapping {
        let direction = table.direction.unwrap_or(Direction::Both);
        let conflict = table.conflict.as_ref().map_or(Conflict::Salesforce, |c| *c.get_ref());
        let mut fields: Vec<_> = table.fields.iter().collect();
        fields.sort_by_key(|(key, _)| key.span().start);
        if fields.is_empty() {
            self.say(name.span(), "empty-fields", format!("[objects.{}] maps no field", name.get_ref()), "add [objects.….fields]");
        }
        let entries: Vec<Entry> = fields.into_iter().filter_map(|(key, value)| self.entry(key, value, direction, conflict)).collect();
        self.written_twice(name, &entries);
        let issued = table.provisions || matches!(name.get_ref().as_str(), "order" | "license");
        if let Some(policy) = table.on_salesforce_delete.as_ref().filter(|p| issued && *p.get_ref() == OnSalesforceDelete::Delete) {
            self.say(
                policy.span(),
                "delete-issued",
                "an order or a license is never deleted on the platform",
                "use \"report\" or \"disable\"",
            );
        }
        if let Some(policy) = table.on_platform_delete.as_ref().filter(|p| issued && *p.get_ref() == OnPlatformDelete::Delete) {
            self.say(policy.span(), "delete-issued", "an order or a license is never deleted in Salesforce", "use \"keep\"");
        }
        Mapping {
            object: name.get_ref().clone(),
            salesforce: table.salesforce.get_ref().clone(),
            platform: table.platform.get_ref().clone(),
            direction,
            create: table.create.unwrap_or(match direction {
                Direction::ToSalesforce => Create::ToSalesforce,
                Direction::Both | Direction::ToPlatform => Create::ToPlatform,
            }),
            match_keys: self.match_keys(table, &entries),
            parent: table.parent.as_ref().map(|p| p.get_ref().clone()),
            filter: table.filter.as_ref().and_then(|f| self.expression(f)),
            conflict,
            merge: table.merge.unwrap_or(Merge::Field),
            drift: table.drift.unwrap_or(Drift::Ignore),
            on_salesforce_delete: table.on_salesforce_delete.as_ref().map_or(OnSalesforceDelete::Report, |p| *p.get_ref()),
            on_platform_delete: table.on_platform_delete.as_ref().map_or(OnPlatformDelete::Keep, |p| *p.get_ref()),
            fill_salesforce_blanks: table.fill_salesforce_blanks,
            provisions: table.provisions,
            entries,
        }
    }

    fn match_keys(&mut self, table: &ObjectTable, entries: &[Entry]) -> Vec<Vec<String>> {
        let mut keys = Vec::new();
        for key in &table.match_keys {
            for name in key {
                // The planted id is compared by itself; every other key must be computable from the Salesforce record.
                let planted = matches!(name.get_ref().as_str(), "reference" | "code" | "store_id");
                if !planted && !entries.iter().any(|e| e.platform.contains(name.get_ref())) {
                    self.say(
                        name.span(),
                        "unmapped-match",
                        format!("no entry maps to {:?}, so it cannot be matched", name.get_ref()),
                        "map it, or take it out of match",
                    );
                }
            }
            let names: Vec<String> = key.iter().map(|n| n.get_ref().clone()).collect();
            if !names.is_empty() {
                keys.push(names);
            }
        }
        keys
    }

    fn entry(&mut self, key: &Spanned<String>, value: &Spanned<FieldValue>, direction: Direction, conflict: Conflict) -> Option<Entry> {
        let names: Vec<String> = key.get_ref().split('+').map(|n| n.trim().to_owned()).collect();
        if names.iter().any(String::is_empty) {
            self.say(
                key.span(),
                "bad-field",
                format!("{:?} does not name Salesforce fields", key.get_ref()),
                "write \"Name\" or \"FirstName + LastName\"",
            );
            return None;
        }
        let (to, table) = match value.get_ref() {
            FieldValue::Name(to) => (to.clone(), None),
            FieldValue::Table(table) => (table.to.get_ref().clone(), Some(table)),
        };
        let word = table.and_then(|t| t.lens).unwrap_or(LensWord::Copy);
        let lens = self.lens(word, table, value.span())?;
        let one_way = !lens.two_way();
        let entry_direction = match (table.and_then(|t| t.direction), one_way) {
            (Some(Direction::ToPlatform) | None, true) => Direction::ToPlatform,
            (Some(_), true) => {
                self.say(value.span(), "one-way", "a constant or template travels to the platform only", "say direction = \"to-platform\"");
                return None;
            }
            (Some(own), false) => own,
            (None, false) => direction,
        };
        let wanted = if matches!(lens, Lens::PersonName) { 2 } else { 1 };
        if !one_way && names.len() != wanted {
            let help = if wanted == 2 {
                "write \"FirstName + LastName\" = { to = \"name\", as = \"person-name\" }"
            } else {
                "name one Salesforce field"
            };
            self.say(key.span(), "lens-fields", format!("this lens is over {wanted} Salesforce field(s), not {}", names.len()), help);
            return None;
        }
        let salesforce = match &lens {
            Lens::Constant(_) => Vec::new(),
            Lens::Template(expression) => expression.fields.clone(),
            _ => names,
        };
        Some(Entry {
            name: key.get_ref().clone(),
            salesforce,
            platform: vec![to],
            lens,
            direction: entry_direction,
            conflict: table.and_then(|t| t.conflict.as_ref()).map_or(conflict, |c| *c.get_ref()),
        })
    }

    fn lens(&mut self, word: LensWord, table: Option<&FieldTable>, place: Place) -> Option<Lens> {
        let needs = |check: &mut Self, what: &str| {
            check.say(place.clone(), "bad-lens", format!("this lens needs `{what}`"), "docs/rules.md lists the lenses and their arguments");
            None
        };
        Some(match word {
            LensWord::Copy => Lens::Copy,
            LensWord::PersonName => Lens::PersonName,
            LensWord::ValueMap => match table.and_then(|t| t.values.clone()).filter(|v| !v.is_empty()) {
                Some(values) => Lens::ValueMap(values),
                None => return needs(self, "values"),
            },
            LensWord::Scale => match table.and_then(|t| t.power.as_ref()) {
                Some(power) if (-12..=12).contains(power.get_ref()) => Lens::Scale(i32::try_from(*power.get_ref()).unwrap_or(0)),
                Some(power) => {
                    self.say(power.span(), "bad-lens", "a power of ten from -12 to 12", "");
                    return None;
                }
                None => return needs(self, "power"),
            },
            LensWord::BooleanWord => match table.map(|t| (t.yes.clone(), t.no.clone())) {
                Some((Some(yes), Some(no))) if yes != no => Lens::BooleanWord { yes, no },
                _ => return needs(self, "yes` and a different `no"),
            },
            LensWord::Reference => match table.and_then(|t| t.object.as_ref()) {
                Some(object) => Lens::Reference { object: object.get_ref().clone() },
                None => return needs(self, "object"),
            },
            LensWord::Constant => match table.and_then(|t| t.value.as_ref()) {
                Some(value) => Lens::Constant(Value::text(value.get_ref().clone())),
                None => return needs(self, "value"),
            },
            LensWord::Template => match table.and_then(|t| t.template.as_ref()) {
                Some(template) => Lens::Template(self.expression(template)?),
                None => return needs(self, "template"),
            },
        })
    }

    /// The caret is exact where the string is written without escapes; otherwise the whole value is underlined.
    fn expression(&mut self, text: &Spanned<String>) -> Option<Expression> {
        match Expression::parse(text.get_ref()) {
            Ok(expression) => Some(expression),
            Err((message, within)) => {
                let whole = text.span();
                let place = match within {
                    Some(at) if whole.len() == text.get_ref().len() + 2 => {
                        whole.start + 1 + at.start..whole.start + 1 + at.end.min(text.get_ref().len())
                    }
                    _ => whole,
                };
                self.say(place, "bad-expression", message, "docs/rules.md shows what expressions can do");
                None
            }
        }
    }

    fn written_twice(&mut self, object: &Spanned<String>, entries: &[Entry]) {
        let mut seen: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        for entry in entries {
            let to_platform = entry.direction.to_platform().then_some(entry.platform.iter().map(|f| ("platform", f.as_str())));
            let to_salesforce = entry.direction.to_salesforce().then_some(entry.salesforce.iter().map(|f| ("salesforce", f.as_str())));
            for field in to_platform.into_iter().flatten().chain(to_salesforce.into_iter().flatten()) {
                if let Some(first) = seen.insert(field, &entry.name) {
                    self.say(
                        object.span(),
                        "written-twice",
                        format!(
                            "[objects.{}] {} field {} is written by both {first:?} and {:?}",
                            object.get_ref(),
                            field.0,
                            field.1,
                            entry.name
                        ),
                        "keep one of the two lines, or give one of them the other direction",
                    );
                }
            }
        }
    }

    /// Parents exist, come first, and are nobody's grandchild of themselves.
    fn families(&mut self, file: &RulesFile, mappings: &mut Vec<Mapping>) {
        let known: Vec<String> = mappings.iter().map(|m| m.object.clone()).collect();
        for (name, table) in &file.objects {
            if let Some(parent) = table.parent.as_ref().filter(|p| !known.contains(p.get_ref())) {
                self.say(
                    parent.span(),
                    "unknown-parent",
                    format!("there is no [objects.{}]", parent.get_ref()),
                    format!("objects are: {}", known.join(", ")),
                );
            }
            for value in table.fields.values() {
                if let FieldValue::Table(field) = value.get_ref()
                    && let Some(object) = field.object.as_ref().filter(|o| !known.contains(o.get_ref()))
                {
                    self.say(
                        object.span(),
                        "unknown-parent",
                        format!("there is no [objects.{}]", object.get_ref()),
                        format!("objects are: {}", known.join(", ")),
                    );
                }
            }
            if matches!(name.get_ref().as_str(), "license" | "feature") && table.parent.is_none() {
                self.say(
                    name.span(),
                    "needs-parent",
                    format!("[objects.{}] needs a parent", name.get_ref()),
                    "say parent = \"order\" for licenses, \"license\" for features",
                );
            }
        }
        let mut sorted: Vec<Mapping> = Vec::new();
        while !mappings.is_empty() {
            let here = |name: &str| known.iter().any(|k| k == name) && mappings.iter().any(|m| m.object == name);
            let ready = mappings.iter().position(|m| {
                let needs = needs_first(m);
                !needs.iter().any(|n| *n != m.object && here(n))
            });
            match ready {
                Some(at) => sorted.push(mappings.remove(at)),
                None => {
                    let circle: Vec<_> = mappings.iter().map(|m| m.object.clone()).collect();
                    let place = file.objects.keys().find(|k| circle.contains(k.get_ref())).map_or(0..0, Spanned::span);
                    self.say(
                        place,
                        "parent-circle",
                        format!("{} wait for each other", circle.join(", ")),
                        "an object cannot be its own parent's parent",
                    );
                    sorted.append(mappings);
                }
            }
        }
        *mappings = sorted;
    }

    fn orders(&mut self, file: &RulesFile) -> Option<OrderRules> {
        let due = file.objects.iter().find(|(_, t)| t.provisions);
        let Some(spanned) = &file.orders else {
            if let Some((name, _)) = due {
                self.say(
                    name.span(),
                    "no-orders",
                    "this object provisions, but there is no [orders] table",
                    "add [orders] with provision-from",
                );
            }
            return None;
        };
        let table: &OrdersTable = spanned.get_ref();
        let provision_from = match &table.provision_from {
            None => {
                self.say(
                    spanned.span(),
                    "no-provision-from",
                    "[orders] has no provision-from",
                    "say from which instant on activated orders are provisioned, such as \"2026-01-01T00:00:00Z\"; older ones never are",
                );
                None
            }
            Some(text) => match coerce(&Value::text(text.get_ref().clone()), &FieldType::Instant) {
                Ok(Value::Text(at)) => Some(at),
                _ => {
                    self.say(
                        text.span(),
                        "bad-instant",
                        format!("{:?} is not an instant", text.get_ref()),
                        "write \"2026-01-01T00:00:00Z\"",
                    );
                    None
                }
            },
        };
        let provision_when = match &table.provision_when {
            Some(text) => self.expression(text),
            None => Expression::parse("StatusCode == \"Activated\"").ok(),
        };
        Some(OrderRules {
            provision_when: provision_when?,
            provision_from: provision_from?,
            contact: table.contact.clone().unwrap_or_else(|| vec![ContactRule::LicenseContact, ContactRule::BillTo]),
            quantity: table.quantity.unwrap_or(Quantity::Activations),
        })
    }

    fn products(&mut self, file: &RulesFile) -> Vec<(String, ProductRule)> {
        let mut lines: Vec<_> = file.products.iter().collect();
        lines.sort_by_key(|(code, _)| code.span().start);
        let mut products = Vec::new();
        for (code, value) in lines {
            let rule = match value {
                ProductValue::Word(word) if word == "none" => ProductRule::NoLicense,
                ProductValue::Word(word) => {
                    self.say(
                        code.span(),
                        "bad-product",
                        format!("{word:?} says nothing about a product"),
                        "write \"none\", or { product = \"…\" }",
                    );
                    continue;
                }
                ProductValue::Table(table) if table.product.is_empty() => {
                    self.say(code.span(), "bad-product", "product is empty", "name the platform's product code");
                    continue;
                }
                ProductValue::Table(table) => ProductRule::License {
                    product: table.product.clone(),
                    policy: table.policy.clone(),
                    quantity: table.quantity,
                    features: table.features.clone(),
                    arguments: table.arguments.clone(),
                },
            };
            products.push((code.get_ref().clone(), rule));
        }
        products
    }
}

fn needs_first(mapping: &Mapping) -> Vec<&str> {
    let mut needs: Vec<&str> = mapping.parent.iter().map(String::as_str).collect();
    for entry in &mapping.entries {
        if let Lens::Reference { object } = &entry.lens {
            needs.push(object);
        }
    }
    if mapping.provisions {
        needs.extend(["account", "contact"]);
    }
    needs
}
