//! How an order stands, in words: for the order in Salesforce, and for `why`. Pure: facts in, words out.
//!
//! The same facts give the same words, so that nothing is written again and again: no clock, no counters, no "in five
//! minutes". What was sent or refused is told with its code; keys are masked.

mod licensed;
mod line;
#[cfg(test)]
mod tests;

pub use line::{Due, Line, issued, lines};

use super::provision::Given;
use crate::plan::IntentState;
use crate::record::{Fields, Value};
use crate::rules::{Lens, OrderRules, Rules};
use crate::store::LinkState;

/// The most characters the field in Salesforce takes is more than this.
const LONGEST: usize = 2_000;

/// What is told of an order.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Standing {
    /// `Pending`, `Provisioned`, `Partly`, `Failed`; `None` while nothing is due.
    pub status: Option<&'static str>,
    pub message: String,
    /// Who must act: `nobody`, or the party and what it does.
    pub who: String,
    /// What happens next.
    pub next: String,
}

/// What is known of an order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OrderFacts {
    /// As Salesforce showed it last.
    pub order: Fields,
    /// Gone in Salesforce.
    pub deleted: bool,
    pub link: Option<OrderLink>,
    /// The account it names, if the rules keep accounts.
    pub account: Option<Party>,
    /// Whom it would be licensed to; `None` where no field of the order names anybody.
    pub contact: Option<Party>,
    /// The latest try to make it on the platform.
    pub call: Option<Call>,
    pub parked: Option<Parked>,
    /// The guard holds the orders that are to be made: its reason.
    pub held: Option<String>,
    /// A person said no to a hold it was in.
    pub discarded: bool,
    /// What its lines were given, if that is remembered.
    pub given: Vec<Given>,
    /// A later change of it was sent, and its answer was lost.
    pub changing: bool,
    pub licenses: LicenseFacts,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLink {
    pub platform_id: String,
    pub state: LinkState,
    /// We made it, rather than found it.
    pub made: bool,
}

/// An account or a contact that an order needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    pub id: String,
    /// For people; its id where the store knows no name.
    pub name: String,
    pub state: PartyState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartyState {
    Linked {
        platform_id: String,
    },
    Parked(Parked),
    /// The guard holds it.
    Held(String),
    /// Known, and not linked yet.
    Waits,
    /// Never shown by Salesforce, or outside the rules' filter.
    Unseen,
    /// Linked once; its partner or itself is gone.
    Gone,
}

/// A row of the quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    pub code: String,
    pub message: String,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub state: IntentState,
    pub code: Option<String>,
    pub message: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LicenseFacts {
    /// How many were asked for when the order was issued, as the journal has it.
    pub issued: Option<u64>,
    /// Linked, and so in Salesforce.
    pub back: u64,
    /// One that cannot be brought back, and why.
    pub parked: Option<Parked>,
    /// The guard holds licenses that are to be made in Salesforce: its reason.
    pub held: Option<String>,
}

/// Codes of refusals that are ours: the rules are asked again instead of believing an old row.
const OURS: [&str; 11] = [
    "no-order-rules",
    "provision-when",
    "no-activated-date",
    "lines-not-readable",
    "line-without-id",
    "product-without-code",
    "product-not-mapped",
    "bad-quantity",
    "too-many-licenses",
    "no-contact",
    "filter",
];

/// The sentence for an order.
#[must_use]
pub fn standing(rules: &Rules, facts: &OrderFacts) -> Standing {
    let told = match &facts.link {
        Some(link) => linked(rules, link, facts),
        None => unlinked(rules, facts),
    };
    Standing { message: short(&hide_keys(&told.message)), next: hide_keys(&told.next), who: hide_keys(&told.who), ..told }
}

/// The field of the order that names whom it is licensed to, and the id in it: the first rule that yields one.
#[must_use]
pub fn contact_of<'a>(rules: &Rules, order: &'a Fields) -> Option<(&'static str, &'a str)> {
    let rules = rules.orders.as_ref()?;
    rules.contact.iter().filter_map(|rule| rule.field()).find_map(|field| Some((field, text(order, field)?)))
}

fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_text).filter(|t| !t.is_empty())
}

fn told(status: Option<&'static str>, message: impl Into<String>, who: impl Into<String>, next: impl Into<String>) -> Standing {
    Standing { status, message: message.into(), who: who.into(), next: next.into() }
}

const PENDING: Option<&str> = Some("Pending");
const FAILED: Option<&str> = Some("Failed");
const PARTLY: Option<&str> = Some("Partly");
const PROVISIONED: Option<&str> = Some("Provisioned");
const NOBODY: &str = "nobody";
const BY_ITSELF: &str = "The order goes on by itself with the run after that.";

fn unlinked(rules: &Rules, facts: &OrderFacts) -> Standing {
    if let Some(call) = &facts.call
        && matches!(call.state, IntentState::Promised | IntentState::Unknown)
    {
        return in_doubt(call);
    }
    if facts.deleted {
        return told(None, "Deleted in Salesforce before anything was issued.", NOBODY, "Nothing.");
    }
    let order = &facts.order;
    if let Some(filter) = rules.mappings.iter().find(|m| m.provisions).and_then(|m| m.filter.as_ref()) {
        match filter.holds(order) {
            Ok(true) => {}
            Ok(false) => {
                let message = format!("Outside the rules: the filter `{}` does not hold, so the order is left alone.", filter.source);
                return told(None, message, NOBODY, "Nothing, until the order passes the filter.");
            }
            Err(message) => return broken(format!("The filter of the rules cannot be judged: {message}.")),
        }
    }
    let Some(orders) = &rules.orders else { return broken("The rules have no [orders] table.".to_owned()) };
    match orders.is_cancelled(order) {
        Ok(false) => {}
        Ok(true) => return told(None, "Called off before anything was issued.", NOBODY, "Nothing."),
        Err(message) => return broken(format!("`cancelled-when` of the rules cannot be judged: {message}.")),
    }
    match orders.provision_when.holds(order) {
        Ok(true) => {}
        Ok(false) => return not_yet(rules, orders, facts),
        Err(message) => return broken(format!("`provision-when` of the rules cannot be judged: {message}.")),
    }
    match text(order, "ActivatedDate") {
        Some(at) if at < orders.provision_from.as_str() => return historic(at, orders, facts),
        Some(_) => {}
        None => {
            let message = "The order has no ActivatedDate, so it cannot be told whether it is due.";
            return told(FAILED, message, "sales: deactivate the order and activate it again", BY_ITSELF);
        }
    }
    let Some(lines) = lines(rules, order) else {
        let message = "The products of the order may not be read.";
        return told(FAILED, message, "Salesforce administrator: give Order Product in the permission set", BY_ITSELF);
    };
    if let Some(refused) = lines.iter().find_map(refused) {
        return refused;
    }
    if lines.iter().all(|line| line.due == Due::Nothing) {
        let message = "No product of this order carries a license, so there is none to issue.";
        return told(PROVISIONED, message, NOBODY, "Nothing.");
    }
    due(rules, orders, &lines, facts)
}

/// Every line can be licensed: whom to, and what keeps it.
fn due(rules: &Rules, orders: &OrderRules, lines: &[Line], facts: &OrderFacts) -> Standing {
    let Some(contact) = &facts.contact else {
        let fields = orders.contact.iter().filter_map(|c| c.field()).map(label).collect::<Vec<_>>().join(" or ");
        let message = format!("Nobody to license it to: {fields} of the order is empty.");
        return told(FAILED, message, format!("sales: fill {fields} on the order"), BY_ITSELF);
    };
    if let Some(account) = &facts.account
        && let Some(standing) = kept_by("account", account)
    {
        return standing;
    }
    if let Some(standing) = kept_by("contact", contact) {
        return standing;
    }
    let what = format!("{} to {}", summary(lines), recipient(contact, facts.account.as_ref()));
    if let Some(parked) = facts.parked.as_ref().filter(|p| !OURS.contains(&p.code.as_str())) {
        return parked_order(parked, &what);
    }
    if facts.discarded {
        let message = format!("Somebody said no to issuing {what}: the hold it was in was discarded.");
        return told(
            FAILED,
            message,
            "operations: edit the order or release it, if it is to be issued after all",
            "Nothing, until the order changes.",
        );
    }
    if let Some(reason) = &facts.held {
        let message = format!("Held by the guard: {what} waits until a person agrees ({}).", plain_reason(reason));
        let object = rules.mappings.iter().find(|m| m.provisions).map_or("order", |m| m.object.as_str());
        return told(
            PENDING,
            message,
            format!("operations: lockstep hold release {object} platform create"),
            "Once released, it is issued with the next run.",
        );
    }
    match &facts.call {
        Some(call) if call.state == IntentState::Dropped => {
            let message = format!("{what}: the platform could not be reached or asked to come back{}; it is tried again.", said(call));
            told(PENDING, message, NOBODY, "It is tried again with the next run.")
        }
        _ => told(PENDING, format!("Due: {what}."), NOBODY, "It is issued with the next run."),
    }
}

fn linked(rules: &Rules, link: &OrderLink, facts: &OrderFacts) -> Standing {
    let id = &link.platform_id;
    match link.state {
        LinkState::Buried => {
            let message = format!("Its order {id} is gone on the platform. An order is never issued a second time.");
            return told(
                FAILED,
                message,
                "operations: look at the platform, and make a new order if it is to be licensed again",
                "Nothing.",
            );
        }
        LinkState::DeletedInSalesforce => {
            let message = format!("Deleted in Salesforce; order {id} and its licenses stay on the platform.");
            return told(None, message, "operations: disable the licenses if they are not to be used any more", "Nothing.");
        }
        LinkState::Live => {}
    }
    let back = some(facts.licenses.back, "license");
    if let Some(parked) = &facts.parked {
        let message = format!("Order {id} with {back}; a later change of it is parked: {} ({}).", sentence(&parked.message), parked.code);
        return told(PARTLY, message, "operations: mend what the message says, then lockstep retry", "The change is tried again.");
    }
    if facts.changing {
        let message =
            format!("Order {id} with {back}; a change was sent and its answer was lost. It is looked for before anything is sent again.");
        return told(PARTLY, message, NOBODY, "The next run looks at the order on the platform and settles it.");
    }
    if !link.made && facts.given.is_empty() {
        let message = format!("Linked to order {id}, which was on the platform already, with {back}. Nothing was issued by Lockstep.");
        return told(PROVISIONED, message, NOBODY, "Nothing.");
    }
    let made = if facts.given.is_empty() { facts.licenses.issued } else { Some(licensed::made(&facts.given)) };
    match made {
        Some(issued) if facts.licenses.back < issued => {
            let missing = issued - facts.licenses.back;
            let start =
                format!("Issued as order {id}: {} of {} in Salesforce, {missing} on the way", facts.licenses.back, some(issued, "license"));
            match (&facts.licenses.parked, &facts.licenses.held) {
                (Some(parked), _) => {
                    let message = format!("{start}; one is parked: {} ({}).", sentence(&parked.message), parked.code);
                    told(
                        PARTLY,
                        message,
                        "operations: mend what the message says, then lockstep retry",
                        "The rest comes with the runs after that.",
                    )
                }
                (None, Some(reason)) => {
                    let message = format!("{start}; held by the guard ({}).", plain_reason(reason));
                    told(
                        PARTLY,
                        message,
                        "operations: lockstep hold release license salesforce create",
                        "Once released, they come with the next run.",
                    )
                }
                (None, None) => told(PARTLY, format!("{start}."), NOBODY, "The rest comes with the next runs."),
            }
        }
        _ if !facts.given.is_empty() => told(PROVISIONED, licensed::words(rules, facts), NOBODY, "Nothing."),
        _ => told(PROVISIONED, format!("Issued as order {id} on the platform with {back}, all in Salesforce."), NOBODY, "Nothing."),
    }
}

fn in_doubt(call: &Call) -> Standing {
    let message = match call.state {
        IntentState::Unknown => {
            format!("Sent to the platform, and the answer was lost{}. It is looked for there before anything is sent again.", said(call))
        }
        _ => "Being sent to the platform. If the answer is lost, it is looked for there before anything is sent again.".to_owned(),
    };
    told(PENDING, message, NOBODY, "The next run looks for it on the platform and settles it.")
}

fn not_yet(rules: &Rules, orders: &OrderRules, facts: &OrderFacts) -> Standing {
    let why = if orders.provision_when.source == OrderRules::PROVISION_WHEN {
        match text(&facts.order, "StatusCode") {
            Some(status) => format!("the order is {status}, not Activated"),
            None => "the order is not activated".to_owned(),
        }
    } else {
        format!("`{}` does not hold", orders.provision_when.source)
    };
    let preview = match lines(rules, &facts.order) {
        Some(lines) if lines.iter().any(|l| matches!(l.due, Due::License { .. })) => format!(" It would issue {}.", summary(&lines)),
        Some(_) | None => String::new(),
    };
    told(
        None,
        format!("Not due yet: {why}.{preview}"),
        "sales: activate the order when it is sold",
        "It is issued with the first run after that.",
    )
}

fn historic(at: &str, orders: &OrderRules, facts: &OrderFacts) -> Standing {
    let from = &orders.provision_from;
    let message =
        format!("Activated {at}, before `provision-from` ({from}): such orders are linked where they are found and never issued.");
    match facts.parked.as_ref().filter(|p| p.code == "ambiguous") {
        Some(parked) => parked_order(parked, "it"),
        None => told(None, message, NOBODY, "Nothing, unless the order appears on the platform."),
    }
}

/// A line that nothing can be made of.
fn refused(line: &Line) -> Option<Standing> {
    let Due::Refused { code, message } = &line.due else { return None };
    let (product, name) = (line.code.as_deref().unwrap_or_default(), &line.name);
    let who = match *code {
        "product-not-mapped" => format!("operations: add {product} to [products] in the rules, or \"none\" if it carries no license"),
        "product-without-code" => format!("sales: give the product {name} a Product Code that the rules know"),
        "bad-quantity" | "too-many-licenses" => format!("sales: correct the quantity of {name} on the order"),
        _ => "operations: look at the order product".to_owned(),
    };
    Some(told(FAILED, format!("{message}."), who, BY_ITSELF))
}

/// What an unlinked account or contact means for its order; `None` where it is linked.
fn kept_by(kind: &str, party: &Party) -> Option<Standing> {
    let name = &party.name;
    Some(match &party.state {
        PartyState::Linked { .. } => return None,
        PartyState::Parked(parked) if parked.code == "ambiguous" => {
            let message = format!("The {kind} {name} fits more than one customer: {}.", sentence(&parked.message));
            told(FAILED, message, "operations: merge them on the platform, or write the Salesforce id into the right one", BY_ITSELF)
        }
        PartyState::Parked(parked) => {
            let message = format!("The {kind} {name} is refused: {} ({}).", sentence(&parked.message), parked.code);
            told(FAILED, message, format!("sales: correct the {kind} {name} in Salesforce"), BY_ITSELF)
        }
        PartyState::Held(reason) => {
            let message = format!("Waits for the {kind} {name}, which the guard holds ({}).", plain_reason(reason));
            told(PENDING, message, format!("operations: lockstep hold release {kind} platform create"), BY_ITSELF)
        }
        PartyState::Waits => told(PENDING, format!("Waits for the {kind} {name}, which is not on the platform yet."), NOBODY, BY_ITSELF),
        PartyState::Unseen => {
            let message = format!(
                "The {kind} {name} is not among those that are kept in step: not visible, deleted, or outside the filter of the rules."
            );
            told(
                FAILED,
                message,
                format!("sales: choose another {kind} on the order; or operations: look at the filter and the permission set"),
                BY_ITSELF,
            )
        }
        PartyState::Gone => {
            let message = format!("The {kind} {name} was linked once and is gone on one side.");
            told(
                FAILED,
                message,
                format!("operations: lockstep resync brings the {kind} back to the platform; or sales: choose another one"),
                BY_ITSELF,
            )
        }
    })
}

fn parked_order(parked: &Parked, what: &str) -> Standing {
    if parked.code == "ambiguous" {
        let message = format!("More than one order of the platform fits: {}.", sentence(&parked.message));
        return told(FAILED, message, "operations: leave only one order there with this Salesforce id", BY_ITSELF);
    }
    let message = format!("The platform refuses {what}: {} ({}).", sentence(&parked.message), parked.code);
    told(
        FAILED,
        message,
        "operations: mend what the platform says, then lockstep retry",
        "It is tried again after a while, and at once when the order changes.",
    )
}

fn broken(message: String) -> Standing {
    told(FAILED, message, "operations: correct the rules", BY_ITSELF)
}

fn said(call: &Call) -> String {
    let message = call.message.as_deref().map(sentence).unwrap_or_default();
    match (call.code.as_deref(), message) {
        (None | Some("unknown-outcome"), "") => String::new(),
        (None | Some("unknown-outcome"), message) => format!(" ({message})"),
        (Some(code), "") => format!(" ({code})"),
        (Some(code), message) => format!(" ({code}: {message})"),
    }
}

/// A vendor's sentence without its full stop, to stand inside one of ours.
fn sentence(text: &str) -> &str {
    text.trim().trim_end_matches(['.', ';', ' '])
}

/// The guard's figures move from run to run; what it is about does not.
fn plain_reason(reason: &str) -> &str {
    if reason.starts_with("first contact") {
        "both systems were filled at first contact"
    } else if reason.contains("not believed") {
        "a side showed nothing any more"
    } else {
        "more than [limits] allows at once"
    }
}

/// `2 licenses of orbit-pro (policy orbit-pro-1y) and 1 license of …`.
#[must_use]
pub fn summary(lines: &[Line]) -> String {
    let parts: Vec<String> = lines.iter().filter_map(Line::words).collect();
    match parts.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

fn recipient(contact: &Party, account: Option<&Party>) -> String {
    account.map_or_else(|| contact.name.clone(), |account| format!("{}, {}", contact.name, account.name))
}

/// How the page layout calls a field of the order.
#[must_use]
pub fn label(field: &str) -> String {
    match field {
        "License_Contact__c" => "License Contact".to_owned(),
        "BillToContactId" => "Bill To Contact".to_owned(),
        "CustomerAuthorizedById" => "Customer Authorized By".to_owned(),
        "ShipToContactId" => "Ship To Contact".to_owned(),
        other => other.to_owned(),
    }
}

pub(super) fn some(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// True if an entry of the rules takes links of this object from this field.
#[must_use]
pub fn refers_to(rules: &Rules, object: &str, to: &str) -> Option<(Vec<String>, Vec<String>)> {
    let entry = rules.mapping(object)?.entries.iter().find(|e| matches!(&e.lens, Lens::Reference { object, .. } if object == to))?;
    Some((entry.salesforce.clone(), entry.platform.clone()))
}

/// Keys as ours are made (groups of letters and digits, joined by dashes), wherever they stand in a text, to their end.
#[must_use]
pub fn hide_keys(text: &str) -> String {
    let is_key = |word: &str| {
        let groups: Vec<&str> = word.split('-').collect();
        let like = |g: &&str| (4..=8).contains(&g.len()) && g.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        groups.len() >= 3 && groups.iter().all(like)
    };
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_alphanumeric() || c == '-' {
            word.push(c);
            continue;
        }
        if is_key(&word) {
            out.push('…');
            out.push_str(&word[word.len() - 4..]);
        } else {
            out.push_str(&word);
        }
        word.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}

/// A text that is too long for its field says that it goes on.
pub(super) fn short(text: &str) -> String {
    let length = text.chars().count();
    if length <= LONGEST {
        return text.to_owned();
    }
    let end = format!(" … ({length} characters in all: `lockstep why`)");
    text.chars().take(LONGEST - end.chars().count()).chain(end.chars()).collect()
}
