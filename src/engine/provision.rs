//! From an activated order to the licenses it is due. Pure; keys come from the caller's mint.
//!
//! An order is provisioned once, on its transition to the rule. Each license to be carries its unit key
//! `<OrderItem Id>-<n>` and a key of our own, so that a repeat can be recognised and cannot issue twice.

use super::{
    decide::{Ground, bare, mask},
    diff::Sight,
    native::{LINES, planted_on_platform},
};
use crate::plan::{Intent, Moved, Situation, Verb};
use crate::record::{Fields, Side, Sides, Value};
use crate::rules::{OrderRules, ProductRule, Quantity};
use crate::store::{Link, StagedRow};

/// What an unlinked order comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Provision {
    /// The rule does not hold (a draft).
    NotYet,
    /// Activated before `provision-from`.
    Historic,
    /// Its customer or account has no link yet.
    Waits,
    /// No line carries a license.
    Nothing,
    Refused {
        code: &'static str,
        message: String,
    },
    Issue(Box<Intent>),
}

/// The most licenses one order may ask for: more is a typing error until a person says otherwise.
const MOST_LICENSES: u64 = 10_000;

pub fn provision(row: &StagedRow, ground: &Ground<'_>, mint: &mut dyn FnMut() -> String) -> Provision {
    let refused = |code, message: String| Provision::Refused { code, message };
    let Some(orders) = &ground.rules.orders else {
        return refused("no-order-rules", "the rules have no [orders] table".to_owned());
    };
    match orders.provision_when.holds(&row.fields) {
        Ok(true) => {}
        Ok(false) => return Provision::NotYet,
        Err(message) => return refused("provision-when", message),
    }
    match text(&row.fields, "ActivatedDate") {
        Some(at) if at < orders.provision_from.as_str() => return Provision::Historic,
        Some(_) => {}
        None => return refused("no-activated-date", "the order has no ActivatedDate; it cannot be told whether it is due".to_owned()),
    }
    let Some(Value::Rows(lines)) = row.fields.get(LINES) else {
        return refused("lines-not-readable", "its order products may not be read; check the permission set".to_owned());
    };
    let mut items = Vec::new();
    for line in lines {
        match item(line, orders, ground, mint) {
            Ok(Some(item)) => items.push(item),
            Ok(None) => {}
            Err((code, message)) => return refused(code, message),
        }
    }
    if items.is_empty() {
        return Provision::Nothing;
    }
    let account = match linked(ground, "account", text(&row.fields, "AccountId")) {
        Ok(id) => id,
        Err(()) => return Provision::Waits,
    };
    let contact = orders.contact.iter().find_map(|rule| text(&row.fields, rule.field()));
    let Some(contact) = contact else {
        let tried = orders.contact.iter().map(|c| c.field()).collect::<Vec<_>>().join(", ");
        return refused("no-contact", format!("nobody to license it to: {tried} are all empty; fill one of them on the order"));
    };
    let Ok(Some(customer)) = linked(ground, "contact", Some(contact)) else { return Provision::Waits };
    Provision::Issue(Box::new(issue(row, ground, items, &customer, account.as_deref())))
}

fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_text).filter(|t| !t.is_empty())
}

/// `Ok(None)` where there is nothing to link; `Err` where the link is still missing.
fn linked(ground: &Ground<'_>, object: &str, id: Option<&str>) -> Result<Option<String>, ()> {
    match id {
        Some(id) if ground.rules.mapping(object).is_some() => ground.links.to_platform(object, id).map(Some).ok_or(()),
        Some(_) | None => Ok(None),
    }
}

type Refusal = (&'static str, String);

fn item(line: &Fields, orders: &OrderRules, ground: &Ground<'_>, mint: &mut dyn FnMut() -> String) -> Result<Option<Fields>, Refusal> {
    let name = text(line, "ProductName").unwrap_or("a product without a name");
    let id = text(line, "Id").ok_or(("line-without-id", format!("the line for {name} has no Id")))?;
    let code = text(line, "ProductCode")
        .ok_or_else(|| ("product-without-code", format!("{name} has no ProductCode; give it one that [products] knows")))?;
    let rule = ground.rules.product(code).ok_or_else(|| {
        ("product-not-mapped", format!("product {code} ({name}) is not in [products]; add it, or \"none\" if it carries no license"))
    })?;
    let ProductRule::License { product, policy, quantity, features, arguments } = rule else { return Ok(None) };
    let n = whole_quantity(line).map_err(|shown| ("bad-quantity", format!("quantity {shown} of {name} is not a whole number above 0")))?;
    let (licenses, activations) = match quantity.unwrap_or(orders.quantity) {
        Quantity::Licenses => (n, None),
        Quantity::Activations => (1, Some(n)),
    };
    if licenses > MOST_LICENSES {
        return Err((
            "too-many-licenses",
            format!("{licenses} licenses of {name} on one line; at most {MOST_LICENSES} are issued at once"),
        ));
    }
    let license = |unit: u64, key: String| {
        let mut fields = Fields::from([("unit".to_owned(), Value::Text(format!("{id}-{unit}"))), ("key".to_owned(), Value::Text(key))]);
        if let Some(policy) = policy {
            fields.insert("policy_code".to_owned(), Value::text(policy.clone()));
        }
        if let Some(n) = activations {
            fields.insert("max_activations".to_owned(), Value::Int(i64::try_from(n).unwrap_or(i64::MAX)));
        }
        if !features.is_empty() {
            fields.insert("features".to_owned(), Value::List(features.iter().map(Value::text).collect()));
        }
        fields.extend(arguments.iter().map(|(k, v)| (k.clone(), Value::text(v.clone()))));
        fields
    };
    Ok(Some(Fields::from([
        ("line".to_owned(), Value::text(id)),
        ("product_code".to_owned(), Value::text(product.clone())),
        ("licenses".to_owned(), Value::Rows((1..=licenses).map(|unit| license(unit, mint())).collect())),
    ])))
}

fn whole_quantity(line: &Fields) -> Result<u64, String> {
    let shown = line.get("Quantity").map_or("nothing".to_owned(), ToString::to_string);
    let n = match line.get("Quantity") {
        Some(Value::Int(n)) => *n,
        Some(Value::Decimal(d)) if d.fract().is_zero() => i64::try_from(*d).map_err(|_| shown.clone())?,
        _ => return Err(shown),
    };
    u64::try_from(n).ok().filter(|n| *n > 0).ok_or(shown)
}

fn issue(row: &StagedRow, ground: &Ground<'_>, items: Vec<Fields>, customer: &str, account: Option<&str>) -> Intent {
    let store_id = planted_on_platform(ground.mapping, row.id.as_str());
    let planted = ground.schema.platform.planted.clone().unwrap_or_else(|| "store_id".to_owned());
    let mut moved: Vec<Moved> = items.iter().map(shown).collect();
    moved.insert(0, Moved { name: planted.clone(), old: Value::Null, new: Value::text(store_id.clone()) });
    let mut fields = Fields::from([
        (planted.clone(), Value::text(store_id.clone())),
        ("customer".to_owned(), Value::text(customer)),
        ("items".to_owned(), Value::Rows(items)),
    ]);
    if let Some(account) = account {
        fields.insert("customer_account".to_owned(), Value::text(account));
    }
    Intent {
        id: 0,
        object: ground.mapping.object.clone(),
        side: Side::Platform,
        verb: Verb::Create,
        situation: Situation::NewInSalesforce,
        link: None,
        salesforce_id: Some(row.id.clone()),
        platform_id: None,
        fields,
        moved,
        advance: Sides::new(row.fields.clone(), Fields::new()),
        key: Some((planted, store_id)),
        conflicts: Vec::new(),
    }
}

/// One line as a sales engineer reads it: product, how many licenses, the ends of their keys.
fn shown(item: &Fields) -> Moved {
    let licenses = item.get("licenses").and_then(Value::as_rows).unwrap_or_default();
    let keys = licenses.iter().filter_map(|l| l.get("key")).map(mask).map(|k| k.as_text().unwrap_or_default().to_owned());
    let activations = licenses.first().and_then(|l| l.get("max_activations"));
    let each = activations.map_or(String::new(), |n| format!(" with {n} activations"));
    let product = item.get("product_code").and_then(Value::as_text).unwrap_or_default();
    let line = item.get("line").and_then(Value::as_text).unwrap_or_default();
    Moved {
        name: format!("line {line}"),
        old: Value::Null,
        new: Value::Text(format!("{} × {product}{each} ({})", licenses.len(), keys.collect::<Vec<_>>().join(", "))),
    }
}

/// Lines that changed after provisioning are reported, never followed silently.
pub fn amended(link: &Link, ground: &Ground<'_>, sight: &Sight<'_>) -> Option<Intent> {
    if !ground.mapping.provisions {
        return None;
    }
    let (was, is) = (sight.base.salesforce.get(LINES)?.as_rows()?, sight.now.salesforce.get(LINES)?.as_rows()?);
    let due = |rows: &[Fields]| -> Vec<(Option<Value>, Option<Value>, Option<Value>)> {
        rows.iter().map(|r| (r.get("Id").cloned(), r.get("ProductCode").cloned(), r.get("Quantity").cloned())).collect()
    };
    if due(was) == due(is) {
        return None;
    }
    let mut intent = bare(ground, link, Verb::Mark, Side::Salesforce, Situation::SalesforceMoved);
    let lines = |rows: &[Fields]| {
        Value::List(
            rows.iter()
                .map(|r| {
                    let part = |n: &str| r.get(n).map_or(String::new(), |v| v.as_text().map_or_else(|| v.to_string(), str::to_owned));
                    Value::Text(format!("{} × {}", part("Quantity"), part("ProductCode")))
                })
                .collect(),
        )
    };
    intent.moved.push(Moved { name: "lines after provisioning".to_owned(), old: lines(was), new: lines(is) });
    intent.advance.salesforce.insert(LINES.to_owned(), sight.now.salesforce.get(LINES).cloned().unwrap_or(Value::Null));
    Some(intent)
}
