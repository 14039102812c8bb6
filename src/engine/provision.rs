//! From an activated order to the licenses it is due. Pure; keys come from the caller's mint.
//!
//! An order is provisioned once, on its transition to the rule. Each license to be carries its unit key
//! `<OrderItem Id>-<n>` and a key of our own, so that a repeat can be recognised and cannot issue twice. What becomes of an
//! order afterwards is in `amend.rs`.

use super::{
    decide::{Ground, mask, unlinked},
    native::{ISSUED, LINES, planted_on_platform},
    standing::issued,
};
use crate::plan::{Intent, Moved, Situation, Verb};
use crate::record::{Fields, Side, Sides, Value};
use crate::rules::{ContactRule, OrderRules, ProductRule, Quantity, Rules, Translate};
use crate::seeded::seeded;
use crate::store::StagedRow;
use std::collections::BTreeMap;

/// What an unlinked order comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Provision {
    /// The rule does not hold: a draft, or an order that is called off.
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

/// Why an order cannot be licensed as it is: a code, and what people read.
pub type Refusal<C = &'static str> = (C, String);

/// The most licenses one order may ask for: more is a typing error until a person says otherwise.
const MOST_LICENSES: u64 = 10_000;

pub fn provision(row: &StagedRow, ground: &Ground<'_>, mint: &mut dyn FnMut() -> String) -> Provision {
    match ready(row, ground) {
        Err((code, message)) => Provision::Refused { code, message },
        Ok(Ready::Not(provision)) => provision,
        Ok(Ready::For { wanted, customer, account }) => {
            Provision::Issue(Box::new(issue(row, ground, &wanted, &customer, account.as_deref(), mint)))
        }
    }
}

enum Ready<'a> {
    Not(Provision),
    For { wanted: Vec<(&'a str, Wanted)>, customer: String, account: Option<String> },
}

fn ready<'a>(row: &'a StagedRow, ground: &Ground<'_>) -> Result<Ready<'a>, Refusal> {
    let fields = &row.fields;
    let orders = ground.rules.orders.as_ref().ok_or(("no-order-rules", "the rules have no [orders] table".to_owned()))?;
    match timing(fields, orders)? {
        Timing::Due => {}
        Timing::NotYet | Timing::Cancelled => return Ok(Ready::Not(Provision::NotYet)),
        Timing::Historic => return Ok(Ready::Not(Provision::Historic)),
    }
    let mut wanted = Vec::new();
    for line in lines(fields, ground.rules)? {
        wanted.extend(line.wanted?.map(|w| (line.id, w)));
    }
    if wanted.is_empty() {
        return Ok(Ready::Not(Provision::Nothing));
    }
    let Ok(account) = linked(ground, "account", text(fields, "AccountId")) else { return Ok(Ready::Not(Provision::Waits)) };
    let (_, contact) = contact(fields, orders, ground.first_contact.as_deref()).ok_or_else(|| no_contact(orders))?;
    let Ok(Some(customer)) = linked(ground, "contact", Some(contact)) else { return Ok(Ready::Not(Provision::Waits)) };
    Ok(Ready::For { wanted, customer, account })
}

/// Whether an order is due, by its own fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    Due,
    NotYet,
    Cancelled,
    /// Activated before `provision-from`: never provisioned.
    Historic,
}

/// # Errors
/// It cannot be told.
pub fn timing(fields: &Fields, orders: &OrderRules) -> Result<Timing, Refusal> {
    if orders.is_cancelled(fields).map_err(|message| ("cancelled-when", message))? {
        return Ok(Timing::Cancelled);
    }
    if seeded!(DraftsToo) {
        return Ok(Timing::Due);
    }
    if !orders.provision_when.holds(fields).map_err(|message| ("provision-when", message))? {
        return Ok(Timing::NotYet);
    }
    match text(fields, "ActivatedDate") {
        Some(at) if at < orders.provision_from.as_str() && !seeded!(HistoricToo) => Ok(Timing::Historic),
        Some(_) => Ok(Timing::Due),
        None => Err(("no-activated-date", "the order has no ActivatedDate; it cannot be told whether it is due".to_owned())),
    }
}

/// One line of an order and what it is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Line<'a> {
    pub id: &'a str,
    pub name: &'a str,
    /// `None`: a product without a license.
    pub wanted: Result<Option<Wanted>, Refusal>,
}

/// What one line is to become on the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub product: String,
    pub policy: Option<String>,
    pub quantity: u64,
    pub mode: Quantity,
    pub features: Vec<String>,
    pub arguments: BTreeMap<String, String>,
}

impl Wanted {
    #[must_use]
    pub const fn licenses(&self) -> u64 {
        match self.mode {
            Quantity::Licenses => self.quantity,
            Quantity::Activations => 1,
        }
    }

    /// As a sales engineer reads it: how many licenses of what.
    #[must_use]
    pub fn words(&self) -> String {
        let activations = (self.mode == Quantity::Activations).then_some(self.quantity);
        issued(self.licenses(), &self.product, self.policy.as_deref(), activations)
    }

    /// License number `unit` of the line, as a connector takes it.
    pub fn license(&self, line: &str, unit: u64, key: String) -> Fields {
        let mut fields = Fields::from([("unit".to_owned(), Value::Text(format!("{line}-{unit}"))), ("key".to_owned(), Value::Text(key))]);
        if let Some(policy) = &self.policy {
            fields.insert("policy_code".to_owned(), Value::text(policy.clone()));
        }
        if self.mode == Quantity::Activations {
            fields.insert("max_activations".to_owned(), Value::Int(int(self.quantity)));
        }
        if !self.features.is_empty() {
            fields.insert("features".to_owned(), Value::List(self.features.iter().map(Value::text).collect()));
        }
        fields.extend(self.arguments.iter().map(|(k, v)| (k.clone(), Value::text(v.clone()))));
        fields
    }

    /// An item of an order with these units of the line.
    pub fn item(&self, line: &str, units: impl Iterator<Item = u64>, mint: &mut dyn FnMut() -> String) -> Fields {
        Fields::from([
            ("line".to_owned(), Value::text(line)),
            ("product_code".to_owned(), Value::text(self.product.clone())),
            ("licenses".to_owned(), Value::Rows(units.map(|unit| self.license(line, unit, mint())).collect())),
        ])
    }
}

pub fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Every line of an order and what it is due, in the order of the line ids.
///
/// # Errors
/// The lines may not be read.
pub fn lines<'a>(fields: &'a Fields, rules: &Rules) -> Result<Vec<Line<'a>>, Refusal> {
    let Some(Value::Rows(rows)) = fields.get(LINES) else {
        return Err(("lines-not-readable", "its order products may not be read; check the permission set".to_owned()));
    };
    rows.iter()
        .map(|row| {
            let name = text(row, "ProductName").unwrap_or("a product without a name");
            let id = text(row, "Id").ok_or_else(|| ("line-without-id", format!("the line for {name} has no Id")))?;
            Ok(Line { id, name, wanted: wanted(row, name, rules) })
        })
        .collect()
}

/// What one line is due; `None` for a product without a license.
///
/// # Errors
/// Why it cannot be licensed.
pub fn wanted(line: &Fields, name: &str, rules: &Rules) -> Result<Option<Wanted>, Refusal> {
    let orders = rules.orders.as_ref().ok_or(("no-order-rules", "the rules have no [orders] table".to_owned()))?;
    let Some(ProductRule::License { product, policy, quantity, features, arguments }) = rule(line, name, rules)? else { return Ok(None) };
    let n = whole_quantity(line).map_err(|shown| ("bad-quantity", format!("quantity {shown} of {name} is not a whole number above 0")))?;
    let wanted = Wanted { product, policy, quantity: n, mode: quantity.unwrap_or(orders.quantity), features, arguments };
    if wanted.licenses() > MOST_LICENSES {
        return Err((
            "too-many-licenses",
            format!("{n} licenses of {name} on one order product; at most {MOST_LICENSES} are issued at once"),
        ));
    }
    Ok(Some(wanted))
}

/// What the product of a line stands for: by the rules, else by its own fields in Salesforce. `None`: no license.
fn rule(line: &Fields, name: &str, rules: &Rules) -> Result<Option<ProductRule>, Refusal> {
    let code = text(line, "ProductCode");
    match code.and_then(|code| rules.product(code)) {
        Some(ProductRule::NoLicense) => return Ok(None),
        Some(rule) => return Ok(Some(rule.clone())),
        None => {}
    }
    if rules.products_from_product2
        && let Some(product) = text(line, "LicenseProduct").map(str::trim)
    {
        return Ok((!product.eq_ignore_ascii_case("none")).then(|| ProductRule::License {
            product: product.to_owned(),
            policy: text(line, "LicensePolicy").map(|p| p.trim().to_owned()),
            quantity: None,
            features: Vec::new(),
            arguments: BTreeMap::new(),
        }));
    }
    let where_ = if rules.products_from_product2 { ", and its License_Product__c is empty; fill it, or add the code" } else { "; add it" };
    Err(match code {
        Some(code) => {
            ("product-not-mapped", format!("product {code} ({name}) is not in [products]{where_}, or \"none\" if it carries no license"))
        }
        None => ("product-without-code", format!("{name} has no ProductCode; give it one that [products] knows")),
    })
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

/// Whom to license to: the first rule that yields a contact.
#[must_use]
pub fn contact<'a>(fields: &'a Fields, orders: &OrderRules, first: Option<&'a str>) -> Option<(ContactRule, &'a str)> {
    orders.contact.iter().find_map(|rule| {
        let id = match rule.field() {
            Some(field) => text(fields, field),
            None => first,
        };
        id.map(|id| (*rule, id))
    })
}

#[must_use]
pub fn no_contact(orders: &OrderRules) -> Refusal {
    let fields: Vec<&str> = orders.contact.iter().filter_map(|c| c.field()).collect();
    let account = if orders.contact.contains(&ContactRule::FirstContact) { " and its account has no contact on the platform" } else { "" };
    let empty = match fields.as_slice() {
        [] => String::new(),
        [one] => format!("{one} is empty"),
        many => format!("{} are all empty", many.join(", ")),
    };
    ("no-contact", format!("nobody to license it to: {empty}{account}; fill one of them on the order"))
}

pub fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_text).filter(|t| !t.is_empty())
}

/// `Ok(None)` where there is nothing to link; `Err` where the link is still missing.
pub fn linked(ground: &Ground<'_>, object: &str, id: Option<&str>) -> Result<Option<String>, ()> {
    match id {
        Some(id) if ground.rules.mapping(object).is_some() => ground.links.to_platform(object, id).map(Some).ok_or(()),
        Some(_) | None => Ok(None),
    }
}

fn issue(
    row: &StagedRow,
    ground: &Ground<'_>,
    wanted: &[(&str, Wanted)],
    customer: &str,
    account: Option<&str>,
    mint: &mut dyn FnMut() -> String,
) -> Intent {
    let items: Vec<Fields> = wanted.iter().map(|(line, w)| w.item(line, 1..=w.licenses(), mint)).collect();
    let store_id = planted_on_platform(ground.mapping, row.id.as_str());
    let planted = ground.schema.platform.planted.clone().unwrap_or_else(|| "store_id".to_owned());
    let mut intent = unlinked(ground, Verb::Create, Side::Platform, Situation::NewInSalesforce);
    intent.moved.push(Moved { name: planted.clone(), old: Value::Null, new: Value::text(store_id.clone()) });
    intent.moved.extend(items.iter().zip(wanted).map(|(item, (_, w))| shown(item, w)));
    intent.fields = Fields::from([
        (planted.clone(), Value::text(store_id.clone())),
        ("customer".to_owned(), Value::text(customer)),
        ("items".to_owned(), Value::Rows(items)),
    ]);
    if let Some(account) = account {
        intent.fields.insert("customer_account".to_owned(), Value::text(account));
    }
    intent.salesforce_id = Some(row.id.clone());
    intent.advance = Sides::new(row.fields.clone(), Fields::new());
    intent.advance.salesforce.insert(ISSUED.to_owned(), Value::Rows(wanted.iter().map(|(line, w)| Given::of(line, w).row()).collect()));
    intent.key = Some((planted, store_id));
    intent
}

/// One line as a sales engineer reads it: what, how many licenses, the ends of their keys.
pub fn shown(item: &Fields, wanted: &Wanted) -> Moved {
    let licenses = item.get("licenses").and_then(Value::as_rows).unwrap_or_default();
    let keys: Vec<String> =
        licenses.iter().filter_map(|l| l.get("key")).map(|key| mask(key).as_text().unwrap_or_default().to_owned()).collect();
    let line = item.get("line").and_then(Value::as_text).unwrap_or_default();
    let quantity = if wanted.mode == Quantity::Licenses { licenses.len() as u64 } else { wanted.quantity };
    let what = Wanted { quantity, ..wanted.clone() }.words();
    let keys = format!("key{} {}", if keys.len() == 1 { "" } else { "s" }, keys.join(", "));
    Moved { name: format!("line {line}"), old: Value::Null, new: Value::Text(format!("{what}, {keys}")) }
}

/// What a line was given so far. Kept with the base of the order, so that it moves in the commit that settles the giving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    pub line: String,
    pub product: String,
    pub mode: Quantity,
    /// What its licenses stand for now.
    pub quantity: u64,
    /// How many licenses were ever made for it: their units are 1 to this.
    pub units: u64,
}

impl Given {
    #[must_use]
    pub fn of(line: &str, wanted: &Wanted) -> Self {
        Self {
            line: line.to_owned(),
            product: wanted.product.clone(),
            mode: wanted.mode,
            quantity: wanted.quantity,
            units: wanted.licenses(),
        }
    }

    #[must_use]
    pub fn row(&self) -> Fields {
        Fields::from([
            ("line".to_owned(), Value::text(self.line.clone())),
            ("product".to_owned(), Value::text(self.product.clone())),
            ("mode".to_owned(), Value::text(if self.mode == Quantity::Licenses { "licenses" } else { "activations" })),
            ("quantity".to_owned(), Value::Int(int(self.quantity))),
            ("units".to_owned(), Value::Int(int(self.units))),
        ])
    }

    /// `None` for a row that is not one.
    #[must_use]
    pub fn parse(row: &Fields) -> Option<Self> {
        let number = |name: &str| match row.get(name) {
            Some(Value::Int(n)) => u64::try_from(*n).ok(),
            _ => None,
        };
        Some(Self {
            line: text(row, "line")?.to_owned(),
            product: text(row, "product")?.to_owned(),
            mode: if text(row, "mode")? == "licenses" { Quantity::Licenses } else { Quantity::Activations },
            quantity: number("quantity")?,
            units: number("units")?,
        })
    }
}

/// What the lines of a provisioned order were given. An order that was provisioned before this was kept, or was found on the
/// platform, has been given what its lines said when they were last agreed to.
#[must_use]
pub fn given(base: &Fields, rules: &Rules) -> Vec<Given> {
    if let Some(Value::Rows(rows)) = base.get(ISSUED).filter(|_| !seeded!(GivenForgotten)) {
        return rows.iter().filter_map(Given::parse).collect();
    }
    let lines = lines(base, rules).unwrap_or_default();
    lines.into_iter().filter_map(|line| Some(Given::of(line.id, &line.wanted.ok()??))).collect()
}

/// A name for a record that only its id is known of.
pub type Names<'a> = &'a dyn Fn(&str, &str) -> Option<String>;

/// What a draft will be turned into, for whom, and what is missing: for the sales person who is still at it.
#[must_use]
pub fn preview(fields: &Fields, rules: &Rules, links: &dyn Translate, first_contact: Option<&str>, names: Names<'_>) -> Option<String> {
    let orders = rules.orders.as_ref()?;
    let rows = lines(fields, rules).ok()?;
    let mut missing = Vec::new();
    let mut will = Vec::new();
    for line in &rows {
        match &line.wanted {
            Ok(Some(wanted)) => will.push(format!("{} ({})", wanted.words(), line.name)),
            Ok(None) => {}
            Err((_, message)) => missing.push(message.clone()),
        }
    }
    if rows.is_empty() {
        return Some("Nothing to license yet: the order has no products.".to_owned());
    }
    if will.is_empty() && missing.is_empty() {
        return Some("No license: none of its products carries one.".to_owned());
    }
    let whom = match contact(fields, orders, first_contact) {
        Some((_, id)) => {
            let name = names("contact", id).unwrap_or_else(|| format!("contact {id}"));
            let known = rules.mapping("contact").is_none() || links.to_platform("contact", id).is_some();
            Some(if known { name } else { format!("{name} (a new customer on the platform)") })
        }
        None => {
            missing.push(no_contact(orders).1);
            None
        }
    };
    let mut said = String::new();
    if !will.is_empty() {
        said = format!("On activation{}: {}.", whom.map_or(String::new(), |w| format!(" for {w}")), will.join("; "));
    }
    if !missing.is_empty() {
        said = format!("{said}{}Missing: {}.", if said.is_empty() { "" } else { " " }, missing.join("; "));
    }
    Some(said)
}
