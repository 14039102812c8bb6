//! One order product: what the rules make of it.

use super::super::provision;
use super::{some, text};
use crate::record::{Fields, Value};
use crate::rules::{Quantity, Rules};

/// One order product and what it comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub id: String,
    /// The product's name, for people.
    pub name: String,
    pub code: Option<String>,
    /// As Salesforce shows it.
    pub quantity: String,
    pub due: Due,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    License {
        product: String,
        policy: Option<String>,
        licenses: u64,
        /// Of each license, where the quantity says so.
        activations: Option<u64>,
    },
    /// `"none"`: carries no license.
    Nothing,
    Refused {
        code: &'static str,
        message: String,
    },
}

impl Line {
    /// `2 licenses of orbit-pro (policy orbit-pro-1y)`; `None` where nothing is issued.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let Due::License { product, policy, licenses, activations } = &self.due else { return None };
        Some(issued(*licenses, product, policy.as_deref(), *activations))
    }
}

/// Licenses as a sales engineer reads them.
#[must_use]
pub fn issued(licenses: u64, product: &str, policy: Option<&str>, activations: Option<u64>) -> String {
    let policy = policy.map_or_else(String::new, |policy| format!(" (policy {policy})"));
    let activations = activations.map_or_else(String::new, |n| format!(" with {}", some(n, "activation")));
    format!("{} of {product}{policy}{activations}", some(licenses, "license"))
}

/// The lines of an order as the rules judge them; `None` where its lines are not known.
#[must_use]
pub fn lines(rules: &Rules, order: &Fields) -> Option<Vec<Line>> {
    let rows = order.get("lines").and_then(Value::as_rows)?;
    Some(rows.iter().map(|row| line(rules, row)).collect())
}

fn line(rules: &Rules, row: &Fields) -> Line {
    let own = |name: &str| text(row, name).map(str::to_owned);
    let name = own("ProductName").unwrap_or_else(|| "a product without a name".to_owned());
    let code = own("ProductCode");
    let quantity = row.get("Quantity").map_or_else(|| "nothing".to_owned(), |q| if q.is_blank() { "nothing".to_owned() } else { shown(q) });
    let due = judge(rules, row, code.as_deref(), &name, &quantity);
    Line { id: own("Id").unwrap_or_default(), name, code, quantity, due }
}

/// 5.00 is five.
fn shown(quantity: &Value) -> String {
    match quantity {
        Value::Decimal(d) => d.normalize().to_string(),
        other => other.to_string(),
    }
}

fn judge(rules: &Rules, row: &Fields, code: Option<&str>, name: &str, quantity: &str) -> Due {
    let refused = |code, message| Due::Refused { code, message };
    if text(row, "Id").is_none() {
        return refused("line-without-id", format!("The order product {name} has no Id"));
    }
    match provision::wanted(row, name, rules) {
        Ok(None) => Due::Nothing,
        Ok(Some(wanted)) => {
            let (licenses, activations) = (wanted.licenses(), (wanted.mode == Quantity::Activations).then_some(wanted.quantity));
            Due::License { product: wanted.product, policy: wanted.policy, licenses, activations }
        }
        Err(("product-without-code", _)) => {
            refused("product-without-code", format!("The product {name} has no Product Code, so the rules cannot tell what to license"))
        }
        Err(("product-not-mapped", _)) => {
            let code = code.unwrap_or_default();
            let blank = if rules.products_from_product2 { ", and its License Product is empty" } else { "" };
            refused("product-not-mapped", format!("The product {code} ({name}) is not in [products] of the rules{blank}"))
        }
        Err(("bad-quantity", _)) => refused("bad-quantity", format!("The quantity {quantity} of {name} is not a whole number above 0")),
        Err((code, message)) => refused(code, message),
    }
}
