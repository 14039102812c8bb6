//! Checks of what an order is turned into: when, for whom, and which product codes stand for what.

use super::Finding;
use crate::rules::file::{At, ProductValue, RulesFile};
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::BTreeMap;

pub(super) fn provisions_twice(file: &RulesFile) -> Vec<Finding> {
    let provisioning: Vec<_> = file.objects().into_iter().filter(|(_, t)| t.provisions).collect();
    let Some(((first, _), rest)) = provisioning.split_first() else { return Vec::new() };
    rest.iter()
        .map(|(name, _)| Finding::new(name.place(), format!("[objects.{}] provisions already", ***first), "orders are provisioned once"))
        .collect()
}

pub(super) fn no_provision_from(file: &RulesFile) -> Vec<Finding> {
    let Some(name) = file.provisioning() else { return Vec::new() };
    let help = "say from when on: provision-from = \"2026-01-01T00:00:00Z\"; orders activated earlier are never provisioned";
    match &file.orders {
        None if file.maimed.is_empty() => {
            let message = format!("[objects.{}] provisions, but there is no [orders]", **name);
            vec![Finding::new(name.place(), message, help)]
        }
        Some(orders) if orders.provision_from.is_none() && !file.is_maimed(&orders.place()) => {
            vec![Finding::new(orders.place(), "[orders] has no `provision-from`", help)]
        }
        None | Some(_) => Vec::new(),
    }
}

/// An instant in the form in which Salesforce's are compared: UTC, to the second.
///
/// # Errors
/// The message.
pub fn instant(text: &str) -> Result<String, String> {
    let at = DateTime::parse_from_rfc3339(text).map_err(|e| format!("{text:?} is no instant: {e}"))?;
    Ok(at.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::Secs, true))
}

pub(super) fn bad_instant(file: &RulesFile) -> Vec<Finding> {
    let text = file.orders.as_ref().and_then(|o| o.provision_from.as_ref());
    let found = text.and_then(|t| Some(Finding::new(t.place(), instant(t).err()?, "write \"2026-01-01T00:00:00Z\"")));
    found.into_iter().collect()
}

pub(super) fn no_contact_rule(file: &RulesFile) -> Vec<Finding> {
    let empty = file.orders.as_ref().filter(|o| o.contact.as_ref().is_some_and(Vec::is_empty));
    empty
        .map(|o| Finding::new(o.place(), "the list `contact` is empty", "write contact = [\"license-contact\", \"bill-to\"]"))
        .into_iter()
        .collect()
}

pub(super) fn no_products(file: &RulesFile) -> Vec<Finding> {
    let name = file.provisioning().filter(|_| file.products.is_empty() && file.maimed.is_empty());
    let help = "add a line for each product code; \"none\" for one that carries no license";
    name.map(|n| Finding::new(n.place(), format!("[objects.{}] provisions, but there is no [products]", **n), help)).into_iter().collect()
}

/// What a word beside a product code stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    NoLicense,
    /// `from = "Product2"`.
    FromProduct2,
    /// License arguments of QLM, by name, with the product's.
    Fragment {
        product: String,
        arguments: BTreeMap<String, String>,
    },
}

/// # Errors
/// Message and help.
pub fn word(code: &str, text: &str) -> Result<Word, (String, &'static str)> {
    match text.trim() {
        "none" => return Ok(Word::NoLicense),
        "Product2" if code == "from" => return Ok(Word::FromProduct2),
        _ => {}
    }
    let pairs = text.trim().trim_start_matches(['&', '?']);
    if !text.trim().starts_with('&') || !pairs.contains('=') {
        let help =
            "write \"none\", a table { product = \"…\" }, or a fragment \"&is_productid=1&…\"; `from = \"Product2\"` stands by itself";
        return Err((format!("{text:?} beside a product code says nothing"), help));
    }
    let mut arguments: BTreeMap<String, String> = form_urlencoded(pairs);
    let product = arguments.remove("is_productid").filter(|p| !p.trim().is_empty());
    let product = product.ok_or_else(|| ("the fragment names no `is_productid`".to_owned(), "paste it as the vendor gave it"))?;
    Ok(Word::Fragment { product, arguments })
}

fn form_urlencoded(pairs: &str) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(pairs.as_bytes()).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// The vendor's own settings are called `salesforce_pid_<code>`; they can be pasted as they are.
#[must_use]
pub fn product_code(written: &str) -> &str {
    written.strip_prefix("salesforce_pid_").unwrap_or(written)
}

pub(super) fn bad_product(file: &RulesFile) -> Vec<Finding> {
    let bad = file.products.iter().filter_map(|(code, value)| match &**value {
        ProductValue::Word(text) => word(code, text).err().map(|(message, help)| Finding::new(value.place(), message, help)),
        ProductValue::Table(_) => None,
    });
    bad.collect()
}

pub(super) fn empty_product(file: &RulesFile) -> Vec<Finding> {
    let codes = file.products.keys().filter(|c| c.trim().is_empty()).map(At::place);
    let products = file.products.values().filter_map(|value| match &**value {
        ProductValue::Table(table) => table.product.as_ref().filter(|p| p.trim().is_empty()).map(At::place),
        ProductValue::Word(_) => None,
    });
    codes
        .chain(products)
        .map(|place| Finding::new(place, "a product code is empty", "write the code, or \"none\" for no license"))
        .collect()
}
