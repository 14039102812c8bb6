//! What a provisioned order was given, and where that differs from what it orders now.

use super::super::provision::{Given, Timing, lines, timing};
use super::OrderFacts;
use crate::rules::{Quantity, Rules};

/// How many licenses were ever made for it.
pub fn made(given: &[Given]) -> u64 {
    given.iter().map(|g| g.units).sum()
}

/// `Licensed: 2 × orbit-pro, orbit-basic with 3 activations.`, and what is to be said besides.
pub fn words(rules: &Rules, facts: &OrderFacts) -> String {
    let what = facts.given.iter().filter(|g| g.quantity > 0).map(amount).collect::<Vec<_>>().join(", ");
    let said = if what.is_empty() { "Nothing of it is licensed any more.".to_owned() } else { format!("Licensed: {what}.") };
    match rules.orders.as_ref().map(|orders| timing(&facts.order, orders)) {
        Some(Ok(Timing::Cancelled)) => format!("{said} The order is called off."),
        Some(Ok(Timing::NotYet)) => format!("{said} The order is a draft again: changes of its lines wait until it is activated."),
        Some(Ok(Timing::Due)) => match over_licensed(rules, facts).as_slice() {
            [] => said,
            over => format!("{said} More is licensed than ordered: {}; nothing was taken away.", over.join(", ")),
        },
        Some(Ok(Timing::Historic) | Err(_)) | None => said,
    }
}

fn amount(given: &Given) -> String {
    match (given.mode, given.quantity) {
        (Quantity::Licenses, n) => format!("{n} × {}", given.product),
        (Quantity::Activations, 1) => format!("{} with 1 activation", given.product),
        (Quantity::Activations, n) => format!("{} with {n} activations", given.product),
    }
}

/// Lines that were given more than they say now, and lines that are gone. What cannot be told is not said.
fn over_licensed(rules: &Rules, facts: &OrderFacts) -> Vec<String> {
    let Ok(lines) = lines(&facts.order, rules) else { return Vec::new() };
    let over = |given: &Given| match lines.iter().find(|line| line.id == given.line) {
        None => Some(format!("{} ({} licensed, its line is gone)", given.product, given.quantity)),
        Some(line) => {
            let ordered = line.wanted.as_ref().ok()?.as_ref()?.quantity;
            (ordered < given.quantity).then(|| format!("{} ({} licensed, {ordered} ordered)", given.product, given.quantity))
        }
    };
    facts.given.iter().filter(|g| g.quantity > 0).filter_map(over).collect()
}
