//! From what was written to what is meant: defaults filled in, lenses made, parents before children.
//!
//! By here the checks have found nothing, so nothing is reported a second time: what cannot be meant is one finding that says
//! where, and that no check foresaw it.

use super::{
    Expression, Lens, LensWord, Limit, Limits, Problem, Schedule,
    check::{Finding, Word, complaints, instant, product_code, word},
    file::{At, LimitTable, Line, ObjectTable, OrdersTable, ProductTable, ProductValue, RulesFile},
    form::NOT_UNDERSTOOD,
    mapping::{
        ContactRule, Drift, Entry, Mapping, Merge, OnContactChange, OnLess, OnLoss, OnMore, OnPlatformDelete, OnSalesforceDelete,
        OrderRules, ProductRule, Quantity, Rules,
    },
};
use crate::record::fields_hash;
use std::collections::BTreeMap;

/// What the engine obeys.
///
/// # Errors
/// Only for a file in which the checks would find something.
pub fn meaning(file: &RulesFile) -> Result<Rules, Finding> {
    let connection = file.connection.as_ref().and_then(|c| c.name.as_ref()).ok_or_else(|| hole(0..0))?;
    let mappings = file.objects().into_iter().map(|(name, table)| mapping(name, table)).collect::<Result<Vec<_>, _>>()?;
    let mappings = parents_first(mappings);
    let orders = match (&file.orders, file.provisioning()) {
        (Some(table), Some(_)) => Some(orders(table)?),
        (Some(table), None) if table.provision_from.is_some() => Some(orders(table)?),
        (Some(_) | None, _) => None,
    };
    let (products, from_product2) = products(file)?;
    let fingerprint = fingerprint(&mappings, orders.as_ref(), &products, from_product2);
    Ok(Rules { connection: connection.to_string(), mappings, orders, products, products_from_product2: from_product2, fingerprint })
}

/// The rules, or everything that is wrong with them beyond their form.
///
/// # Errors
/// Whatever the checks find.
pub fn check(file: &RulesFile, source: &str) -> Result<Rules, Vec<Problem>> {
    let problems = complaints(file, source);
    if !problems.is_empty() {
        return Err(problems);
    }
    meaning(file).map_err(|finding| vec![finding.problem(source, NOT_UNDERSTOOD)])
}

/// When a run is due; every 15 minutes unless the file says otherwise.
///
/// # Errors
/// As `meaning`.
pub fn schedule(file: &RulesFile) -> Result<Schedule, Finding> {
    let table = &file.schedule;
    match (&table.cron, &table.every) {
        (Some(cron), _) => Schedule::cron(cron, table.time_zone.as_ref().map(|z| z.as_str())).map_err(|m| foreseen(cron, m)),
        (None, Some(every)) => Schedule::every(every).map_err(|m| foreseen(every, m)),
        (None, None) => Ok(Schedule::Every(chrono::Duration::minutes(15))),
    }
}

/// When a census is due; once a day unless the file says otherwise. `None`: never by itself.
///
/// # Errors
/// As `meaning`.
pub fn census(file: &RulesFile) -> Result<Option<Schedule>, Finding> {
    let table = &file.schedule;
    let Some(text) = &table.census else { return Ok(Some(Schedule::Every(chrono::Duration::hours(24)))) };
    Schedule::census(text, table.time_zone.as_ref().map(|z| z.as_str())).map_err(|m| foreseen(text, m))
}

/// What a run may do unasked.
#[must_use]
pub fn limits(file: &RulesFile) -> Limits {
    let usual = Limits::default();
    let limit = |table: Option<LimitTable>, usual: Limit| {
        table.map_or(usual, |t| Limit { count: t.count.unwrap_or(usual.count), percent: t.percent.unwrap_or(usual.percent) })
    };
    Limits {
        creates: limit(file.limits.creates, usual.creates),
        changes: limit(file.limits.changes, usual.changes),
        destructive: limit(file.limits.destructive, usual.destructive),
    }
}

fn mapping(name: &At<String>, table: &ObjectTable) -> Result<Mapping, Finding> {
    let text = |value: &Option<At<String>>| value.as_ref().map(|v| v.to_string());
    let entries = table.lines().into_iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    Ok(Mapping {
        object: name.to_string(),
        salesforce: text(&table.salesforce).ok_or_else(|| hole(name.place()))?,
        platform: text(&table.platform).ok_or_else(|| hole(name.place()))?,
        direction: table.direction(),
        create: table.create(),
        match_keys: table.match_keys.iter().map(|key| key.iter().map(|n| n.to_string()).collect()).collect(),
        parent: text(&table.parent),
        filter: table.filter.as_ref().map(expression).transpose()?,
        conflict: table.conflict.as_ref().map_or(super::Conflict::Salesforce, |c| **c),
        merge: table.merge.unwrap_or(Merge::Field),
        drift: table.drift.unwrap_or(Drift::Ignore),
        on_salesforce_delete: table.on_salesforce_delete.as_ref().map_or(OnSalesforceDelete::Report, |p| **p),
        on_platform_delete: table.on_platform_delete.as_ref().map_or(OnPlatformDelete::Keep, |p| **p),
        fill_salesforce_blanks: table.fill_salesforce_blanks,
        entries,
        provisions: table.provisions,
    })
}

fn entry(line: Line<'_>) -> Result<Entry, Finding> {
    let (to, _) = line.to().ok_or_else(|| hole(line.place()))?;
    let lens = lens(line)?;
    // The fields a template looks at are what must be read, and what makes it change.
    let salesforce = match &lens {
        Lens::Constant(_) => Vec::new(),
        Lens::Template(expression) => expression.fields.clone(),
        Lens::Copy
        | Lens::PersonName
        | Lens::ValueMap(_)
        | Lens::Scale(_)
        | Lens::BooleanWord { .. }
        | Lens::Reference { .. }
        | Lens::Related(_) => line.names().into_iter().map(str::to_owned).collect(),
    };
    Ok(Entry {
        name: line.key.to_string(),
        salesforce,
        platform: vec![to.to_owned()],
        lens,
        direction: line.direction(),
        conflict: line.conflict(),
    })
}

fn lens(line: Line<'_>) -> Result<Lens, Finding> {
    let Some(table) = line.table() else { return Ok(Lens::Copy) };
    let missing = || hole(line.place());
    let word = |value: &Option<At<String>>| value.as_ref().map(|v| v.to_string()).ok_or_else(missing);
    Ok(match line.lens() {
        LensWord::Copy => Lens::Copy,
        LensWord::PersonName => Lens::PersonName,
        LensWord::ValueMap => Lens::ValueMap((**table.values.as_ref().ok_or_else(missing)?).clone()),
        LensWord::Scale => Lens::Scale(**table.power.as_ref().ok_or_else(missing)?),
        LensWord::BooleanWord => Lens::BooleanWord { yes: word(&table.yes)?, no: word(&table.no)? },
        LensWord::Reference => Lens::Reference {
            object: word(&table.object)?,
            otherwise: table.or.as_ref().map(|v| v.to_string()),
            only: table.only.as_ref().map(|v| v.to_string()),
        },
        LensWord::Related => Lens::Related((**table.kinds.as_ref().ok_or_else(missing)?).clone()),
        LensWord::Constant => Lens::Constant(table.value.as_ref().ok_or_else(missing)?.to_value()),
        LensWord::Template => Lens::Template(expression(table.template.as_ref().ok_or_else(missing)?)?),
    })
}

fn orders(table: &At<OrdersTable>) -> Result<OrderRules, Finding> {
    let from = table.provision_from.as_ref().ok_or_else(|| hole(table.place()))?;
    let when = |written: &Option<At<String>>, usual: &str| match written {
        Some(text) => expression(text),
        None => Expression::parse(usual).map_err(|(message, _)| foreseen(table, message)),
    };
    Ok(OrderRules {
        provision_when: when(&table.provision_when, OrderRules::PROVISION_WHEN)?,
        provision_from: instant(from).map_err(|m| foreseen(from, m))?,
        contact: table.contact.clone().unwrap_or_else(|| vec![ContactRule::LicenseContact, ContactRule::BillTo]),
        quantity: table.quantity.unwrap_or(Quantity::Activations),
        cancelled_when: when(&table.cancelled_when, OrderRules::CANCELLED_WHEN)?,
        on_more: table.on_more.unwrap_or(OnMore::Add),
        on_less: table.on_less.unwrap_or(OnLess::Report),
        on_line_removed: table.on_line_removed.unwrap_or(OnLoss::Report),
        on_cancel: table.on_cancel.unwrap_or(OnLoss::Disable),
        on_deactivate: table.on_deactivate.unwrap_or(OnLoss::Report),
        on_contact_change: table.on_contact_change.unwrap_or(OnContactChange::Reassign),
        write_back: table.write_back.unwrap_or(true),
    })
}

/// In the order of the file, because a pattern goes before those below it; and whether Product2 is asked for the rest.
fn products(file: &RulesFile) -> Result<(Vec<(String, ProductRule)>, bool), Finding> {
    let mut lines: Vec<_> = file.products.iter().collect();
    lines.sort_by_key(|(code, _)| code.place().start);
    let (mut rules, mut from_product2) = (Vec::new(), false);
    for (code, value) in lines {
        let license = |product: String, table: Option<&ProductTable>, arguments: BTreeMap<String, String>| ProductRule::License {
            product,
            policy: table.and_then(|t| t.policy.clone()),
            quantity: table.and_then(|t| t.quantity),
            features: table.map(|t| t.features.clone()).unwrap_or_default(),
            arguments,
        };
        let rule = match &**value {
            ProductValue::Word(text) => match word(code, text).map_err(|(message, _)| foreseen(code, message))? {
                Word::NoLicense => ProductRule::NoLicense,
                Word::Fragment { product, arguments } => license(product, None, arguments),
                Word::FromProduct2 => {
                    from_product2 = true;
                    continue;
                }
            },
            ProductValue::Table(table) => {
                let product = table.product.as_ref().ok_or_else(|| hole(code.place()))?.to_string();
                license(product, Some(table), table.arguments.iter().map(|(name, value)| (name.clone(), value.to_string())).collect())
            }
        };
        rules.push((product_code(code).to_owned(), rule));
    }
    Ok((rules, from_product2))
}

/// An object comes after its parent and after what its references name; otherwise the order of the file stands.
/// References may go in a circle (a contact reports to a contact): then parents alone decide.
fn parents_first(mut left: Vec<Mapping>) -> Vec<Mapping> {
    let mut sorted: Vec<Mapping> = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits_for = |mapping: &Mapping, object: &str| object != mapping.object && left.iter().any(|m| m.object == object);
        let orphan = |m: &Mapping| !m.parent.as_deref().is_some_and(|p| waits_for(m, p));
        let free = |m: &Mapping| orphan(m) && !references(m).any(|object| waits_for(m, object));
        let next = left.iter().position(free).or_else(|| left.iter().position(orphan)).unwrap_or(0);
        sorted.push(left.remove(next));
    }
    sorted
}

/// The objects whose links a mapping needs. An order needs its account and its contact.
fn references(mapping: &Mapping) -> impl Iterator<Item = &str> {
    let lenses = mapping.entries.iter().flat_map(|entry| entry.lens.objects());
    lenses.chain(["account", "contact"].into_iter().filter(|_| mapping.provisions))
}

/// Changes when a mapping, an order rule or a product means something else, and not when it is only written otherwise. What
/// was parked for want of a rule is woken by it.
fn fingerprint(mappings: &[Mapping], orders: Option<&OrderRules>, products: &[(String, ProductRule)], from_product2: bool) -> i64 {
    // Debug of our own types is a complete and stable enough form: a change of it costs one comparison of everything.
    fields_hash(&format!("{mappings:?}{orders:?}{products:?}{from_product2}"))
}

fn expression(text: &At<String>) -> Result<Expression, Finding> {
    Expression::parse(text).map_err(|(message, _)| foreseen(text, message))
}

fn foreseen<T>(at: &At<T>, message: String) -> Finding {
    Finding::new(at.place(), message, "")
}

fn hole(place: super::Place) -> Finding {
    Finding::new(place, "something that is needed here is missing", "docs/rules.md says what must stand here")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::rules::{Direction, file::tests_support::sound, form::read, mapping::Create};

    fn rules(source: &str) -> Rules {
        let (file, problems) = read(source);
        let file = file.unwrap();
        assert_eq!(problems, [], "{source}");
        check(&file, source).unwrap()
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let rules = rules(&sound(""));
        let account = rules.mapping("account").unwrap();
        assert_eq!((account.direction, account.create), (Direction::Both, Create::ToPlatform));
        assert_eq!((account.merge, account.drift), (Merge::Field, Drift::Ignore));
        assert_eq!(account.on_salesforce_delete, OnSalesforceDelete::Report);
        assert_eq!(account.on_platform_delete, OnPlatformDelete::Keep);
        assert!(!account.fill_salesforce_blanks && !account.provisions && rules.orders.is_none());
        let file = read(&sound("")).0.unwrap();
        assert_eq!(limits(&file), Limits::default());
        assert_eq!(schedule(&file).unwrap().to_string(), "every 900s");
    }

    #[test]
    fn lenses_are_made_of_their_arguments() {
        let rules = rules(&sound(
            r#"
            [objects.contact]
            salesforce = "Contact"
            platform = "customer"
            direction = "to-platform"
            [objects.contact.fields]
            "FirstName + LastName" = { to = "a", as = "person-name" }
            Rating = { to = "b", as = "value-map", values = { Hot = "h" } }
            Price = { to = "c", as = "scale", power = 2 }
            On = { to = "d", as = "boolean-word", yes = "y", no = "n" }
            AccountId = { to = "e", as = "reference", object = "account", conflict = "platform" }
            "=source" = { to = "f", as = "constant", value = 7 }
            "=whole" = { to = "g", as = "template", template = "Account.Name ~ ': ' ~ LastName" }
            "#,
        ));
        let contact = rules.mapping("contact").unwrap();
        let shown: Vec<String> = contact.entries.iter().map(|e| format!("{} {:?} {:?}", e.name, e.salesforce, e.lens)).collect();
        assert_eq!(
            shown,
            [
                r#"FirstName + LastName ["FirstName", "LastName"] PersonName"#,
                r#"Rating ["Rating"] ValueMap({"Hot": "h"})"#,
                r#"Price ["Price"] Scale(2)"#,
                r#"On ["On"] BooleanWord { yes: "y", no: "n" }"#,
                r#"AccountId ["AccountId"] Reference { object: "account", otherwise: None, only: None }"#,
                r#"=source [] Constant(Int(7))"#,
                r#"=whole ["Account.Name", "LastName"] Template(Expression { source: "Account.Name ~ ': ' ~ LastName", .. })"#,
            ]
        );
        assert_eq!(contact.entries[4].conflict, super::super::Conflict::Platform);
        assert!(contact.entries.iter().all(|e| e.direction == Direction::ToPlatform));
        assert_eq!(contact.create, Create::ToPlatform);
    }

    #[test]
    fn parents_and_references_come_first_whatever_the_order_of_the_file() {
        let object = |name: &str, more: &str, field: &str| {
            format!("[objects.{name}]\nsalesforce = \"X\"\nplatform = \"{name}\"\n{more}\n[objects.{name}.fields]\n{field}\n")
        };
        let refers = |to: &str| format!("A = {{ to = \"a\", as = \"reference\", object = \"{to}\" }}");
        let source = sound(
            &[
                object("feature", "parent = \"license\"", "A = \"a\""),
                object("license", "parent = \"order\"", &refers("contact")),
                object("order", "parent = \"account\"", "A = \"a\""),
                object("contact", "", &refers("contact")),
            ]
            .concat(),
        );
        let order: Vec<String> = rules(&source).mappings.into_iter().map(|m| m.object).collect();
        assert_eq!(order, ["account", "order", "contact", "license", "feature"]);
        // References in a circle: nobody waits for ever.
        let source = sound(&[object("a", "", &refers("b")), object("b", "", &refers("a"))].concat());
        assert_eq!(rules(&source).mappings.len(), 3);
    }

    #[test]
    fn the_fingerprint_knows_meaning_from_writing() {
        let print = |source: &str| rules(source).fingerprint;
        let plain = print(&sound(""));
        assert_eq!(plain, print(&sound("").replace("Name = \"name\"", "# said at length\nName = { to = \"name\", as = \"copy\" }")));
        assert_eq!(plain, print(&sound("[schedule]\nevery = \"1m\"\n")));
        assert_ne!(plain, print(&sound("[products]\nA = \"none\"\n")));
        assert_ne!(plain, print(&sound("[orders]\nprovision-from = \"2026-01-01T00:00:00Z\"\n")));
        assert_ne!(plain, print(&sound("").replace("Name = \"name\"", "Name = { to = \"name\", conflict = \"manual\" }")));
        assert_ne!(plain, print(&sound("").replace("platform = \"customer-account\"", "platform = \"customer-account\"\nfilter = \"A\"")));
    }

    #[test]
    fn products_come_from_tables_from_the_vendors_fragments_and_from_product2() {
        let rules = rules(&sound(
            r#"
            [products]
            from = "Product2"
            salesforce_pid_QLM-1 = "&is_productid=1&is_majorversion=5&is_user_email_template=Buy%20now"
            "SUP-*" = "none"
            "#,
        ));
        assert!(rules.products_from_product2 && rules.product("from").is_none());
        assert_eq!(rules.product("SUP-1"), Some(&ProductRule::NoLicense));
        let Some(ProductRule::License { product, arguments, .. }) = rules.product("QLM-1") else { panic!("{:?}", rules.products) };
        assert_eq!((product.as_str(), arguments["is_user_email_template"].as_str(), arguments.len()), ("1", "Buy now", 2));
    }

    #[test]
    fn orders_and_products_are_read_in_the_order_of_the_file() {
        let rules = rules(&sound(
            r#"
            [orders]
            provision-from = "2026-01-01T01:00:00+01:00"
            [products]
            "Z*" = "none"
            "A*" = { product = "a", features = ["x"], arguments = { trial = true, days = 30, note = "n" } }
            [objects.order]
            salesforce = "Order"
            platform = "order"
            direction = "to-platform"
            provisions = true
            [objects.order.fields]
            PoNumber = "metadata.po"
            "#,
        ));
        let orders = rules.orders.as_ref().unwrap();
        assert_eq!(orders.provision_from, "2026-01-01T00:00:00Z");
        assert_eq!(orders.provision_when.fields, ["StatusCode"]);
        assert_eq!(orders.cancelled_when.fields, ["Status"]);
        assert_eq!(orders.contact, [ContactRule::LicenseContact, ContactRule::BillTo]);
        assert_eq!(rules.products[0].0, "Z*");
        let Some(ProductRule::License { arguments, .. }) = rules.product("A1") else { panic!("{:?}", rules.products) };
        let arguments: Vec<_> = arguments.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(arguments, ["days=30", "note=n", "trial=true"]);
    }
}
