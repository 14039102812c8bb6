//! How an order stands, in words: the sentence on the Salesforce order and the end of `lockstep why`. Pure: facts in, words
//! out. The words stay the same from run to run while nothing changes.

use super::provision::{Given, Line, Names, Refusal, Timing, contact, given, lines, text, timing};
use crate::record::Fields;
use crate::rules::{Quantity, Rules, Translate};

/// What the store knows of one order.
#[derive(Debug, Clone, Default)]
pub struct OrderFacts {
    /// What Salesforce shows, or showed last.
    pub fields: Fields,
    /// Its order on the platform.
    pub platform_id: Option<String>,
    /// What was agreed to; holds what the lines were given.
    pub base: Fields,
    /// Code and message of its row in quarantine.
    pub quarantine: Option<Refusal<String>>,
    /// A write was sent and nobody knows yet.
    pub unknown: bool,
    /// The guard holds what is planned for orders.
    pub held: bool,
    /// What failed last and will be tried again.
    pub failed: Option<String>,
    /// Its licenses that Salesforce has a record of.
    pub licenses_here: u64,
    /// The contact an order falls back on.
    pub first_contact: Option<String>,
    /// Why the contact or account it waits for is not on the platform.
    pub parent_trouble: Option<String>,
}

/// Who has to do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    Nobody,
    Sales,
    Operations,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The value of `License_Status__c`.
    pub status: Option<&'static str>,
    pub message: Option<String>,
    pub preview: Option<String>,
    pub who: Who,
    /// What happens next.
    pub next: String,
}

impl Standing {
    fn new(status: Option<&'static str>, message: impl Into<String>, who: Who, next: &str) -> Self {
        Self { status, message: Some(message.into()), preview: None, who, next: next.to_owned() }
    }
}

/// How the order stands; `None` where there is nothing to say of it: old orders are left alone.
#[must_use]
pub fn standing(facts: &OrderFacts, rules: &Rules, links: &dyn Translate, names: Names<'_>) -> Option<Standing> {
    let orders = rules.orders.as_ref()?;
    let at = timing(&facts.fields, orders);
    if facts.platform_id.is_some() {
        return Some(licensed(facts, rules, at));
    }
    Some(match at {
        Ok(Timing::Historic) => return None,
        Ok(Timing::Cancelled) => Standing { message: None, ..Standing::new(None, "", Who::Nobody, "nothing: the order is called off") },
        Ok(Timing::NotYet) => Standing {
            message: None,
            preview: super::provision::preview(&facts.fields, rules, links, facts.first_contact.as_deref(), names),
            ..Standing::new(None, "", Who::Sales, "its licenses are issued once it is activated")
        },
        Ok(Timing::Due) | Err(_) => due(facts, rules, links, names),
    })
}

fn due(facts: &OrderFacts, rules: &Rules, links: &dyn Translate, names: Names<'_>) -> Standing {
    if facts.unknown {
        let says = "Sent to the license platform; its answer was lost and is being looked up. Nothing is issued twice.";
        return Standing::new(Some("Pending"), says, Who::Nobody, "the next run looks the order up on the platform");
    }
    if let Some((code, message)) = &facts.quarantine {
        return Standing::new(Some("Failed"), capital(message), who_fixes(code), "it is tried again when the order or the rules change");
    }
    if facts.held {
        let says = "Held: more at once than the rules allow unasked. An operator decides.";
        return Standing::new(Some("Pending"), says, Who::Operations, "`lockstep hold release`, or `lockstep hold discard`");
    }
    if let Some((id, says)) = waits_for(facts, rules, links, names) {
        let because = facts.parent_trouble.as_ref().map_or(String::new(), |why| format!(": {why}"));
        let who = if facts.parent_trouble.is_some() { Who::Operations } else { Who::Nobody };
        return Standing::new(
            Some("Pending"),
            format!("Waits for {says} to be on the license platform{because}."),
            who,
            &format!("it goes on as soon as {id} is there"),
        );
    }
    if facts.fields.contains_key(super::native::LINES)
        && lines(&facts.fields, rules).is_ok_and(|lines| lines.iter().all(|line| line.wanted == Ok(None)))
    {
        return Standing::new(None, "No license: none of its products carries one.", Who::Nobody, "nothing");
    }
    if let Some(why) = &facts.failed {
        return Standing::new(
            Some("Pending"),
            format!("Not issued yet, will be tried again: {why}"),
            Who::Nobody,
            "the next run tries again",
        );
    }
    Standing::new(Some("Pending"), "Activated; its licenses are issued by the next run.", Who::Nobody, "the next run issues its licenses")
}

/// The record the order cannot do without, and what people call it.
fn waits_for(facts: &OrderFacts, rules: &Rules, links: &dyn Translate, names: Names<'_>) -> Option<(String, String)> {
    let orders = rules.orders.as_ref()?;
    let account = text(&facts.fields, "AccountId").map(|id| ("account", id));
    let contact = contact(&facts.fields, orders, facts.first_contact.as_deref()).map(|(_, id)| ("contact", id));
    let missing = |(object, id): &(&str, &str)| rules.mapping(object).is_some() && links.to_platform(object, id).is_none();
    account.into_iter().chain(contact).find(missing).map(|(object, id)| {
        let name = names(object, id).map_or_else(|| id.to_owned(), |name| format!("{name} ({id})"));
        (format!("the {object}"), format!("{object} {name}"))
    })
}

/// An order that is on the platform.
fn licensed(facts: &OrderFacts, rules: &Rules, at: Result<Timing, Refusal>) -> Standing {
    let given = given(&facts.base, rules);
    let due: u64 = given.iter().map(|g| if g.mode == Quantity::Licenses { g.units } else { 1 }).sum();
    let what = given.iter().filter(|g| g.quantity > 0).map(words).collect::<Vec<_>>().join(", ");
    let id = facts.platform_id.as_deref().unwrap_or_default();
    let mut said = if what.is_empty() { format!("On the license platform as order {id}.") } else { format!("Licensed: {what}.") };
    if facts.unknown {
        said.push_str(" A change was sent; its answer was lost and is being looked up.");
        return Standing::new(Some("Partly"), said, Who::Nobody, "the next run looks at the order on the platform");
    }
    if let Some((code, message)) = &facts.quarantine {
        let says = format!("{said} Not everything: {message}.");
        return Standing::new(Some("Partly"), says, who_fixes(code), "it is tried again when the order or the rules change");
    }
    match at {
        Ok(Timing::Cancelled) => said = format!("{said} The order is called off."),
        Ok(Timing::NotYet) => said = format!("{said} The order is a draft again: changes of its lines wait until it is activated."),
        Ok(Timing::Due | Timing::Historic) | Err(_) => {}
    }
    if at == Ok(Timing::Due) {
        let over = over_licensed(&facts.fields, rules, &given);
        if !over.is_empty() {
            said = format!("{said} More is licensed than ordered: {}; nothing was taken away.", over.join(", "));
        }
        if !given.is_empty() && facts.licenses_here < due {
            let says = format!("{said} {} of {due} licenses have a record here.", facts.licenses_here);
            return Standing::new(Some("Partly"), says, Who::Nobody, "the missing records come with the next runs");
        }
    }
    Standing::new(Some("Provisioned"), said, Who::Nobody, "nothing: it is in step")
}

fn words(given: &Given) -> String {
    match (given.mode, given.quantity) {
        (Quantity::Licenses, n) => format!("{n} × {}", given.product),
        (Quantity::Activations, 1) => format!("{} with 1 activation", given.product),
        (Quantity::Activations, n) => format!("{} with {n} activations", given.product),
    }
}

/// Lines that were given more than they say now, and lines that are gone.
fn over_licensed(fields: &Fields, rules: &Rules, given: &[Given]) -> Vec<String> {
    let Ok(lines) = lines(fields, rules) else { return Vec::new() };
    let ordered = |line: &Line<'_>| match &line.wanted {
        Ok(Some(wanted)) => Some(wanted.quantity),
        // What cannot be told is not said.
        Ok(None) | Err(_) => None,
    };
    given
        .iter()
        .filter(|g| g.quantity > 0)
        .filter_map(|g| match lines.iter().find(|line| line.id == g.line) {
            None => Some(format!("{} ({} licensed, its line is gone)", g.product, g.quantity)),
            Some(line) => {
                ordered(line).filter(|n| *n < g.quantity).map(|n| format!("{} ({} licensed, {n} ordered)", g.product, g.quantity))
            }
        })
        .collect()
}

/// Sales fills what is missing on the order; the rules and the platform are the operator's.
fn who_fixes(code: &str) -> Who {
    match code {
        "no-contact" | "bad-quantity" | "too-many-licenses" | "line-product-changed" | "product-without-code" => Who::Sales,
        _ => Who::Operations,
    }
}

fn capital(message: &str) -> String {
    let mut letters = message.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().collect::<String>() + letters.as_str() + ".")
}
