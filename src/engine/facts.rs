//! What the store knows of an order, gathered for `standing`: the order itself, its account and contact, its call, its
//! licenses. Reads only; asks neither system.

use super::native::ISSUED;
use super::provision::Given;
use super::standing::{Call, LicenseFacts, OrderFacts, OrderLink, Parked, Party, PartyState, contact_of, refers_to};
use crate::plan::{IntentState, Verb};
use crate::record::{Fields, Life, Side, Value};
use crate::rules::{ContactRule, Rules};
use crate::store::{HoldRow, Known, LinkState, News, Store};

/// The most licenses of one order that are looked at.
const MOST_LICENSES: usize = 10_000;

/// An order with what hangs on it.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderStory {
    pub facts: OrderFacts,
    pub account: Option<Known>,
    pub contact: Option<Known>,
    /// The platform's licenses of this order, linked or not, by platform id.
    pub licenses: Vec<Known>,
}

/// Everything that decides how this order stands, with what hangs on it.
///
/// # Errors
/// The store cannot be read.
pub fn order_story(store: &Store, rules: &Rules, order: &Known) -> anyhow::Result<OrderStory> {
    let licenses = licenses(store, rules, order)?;
    let back = licenses.iter().filter(|l| l.link.as_ref().is_some_and(|link| link.state == LinkState::Live)).count() as u64;
    let parked = licenses.iter().filter(|l| l.link.is_none()).find_map(parked);
    let mut story = order_facts(store, rules, order, back)?;
    story.facts.licenses.parked = parked;
    story.licenses = licenses;
    Ok(story)
}

/// The same without looking through the licenses: `back` of them are in Salesforce.
///
/// # Errors
/// The store cannot be read.
pub fn order_facts(store: &Store, rules: &Rules, order: &Known, back: u64) -> anyhow::Result<OrderStory> {
    let holds = store.holds()?;
    let fields = order.fields.salesforce.clone().unwrap_or_default();
    let account = partner(store, rules, &holds, "account", text(&fields, "AccountId"))?;
    let named = contact_of(rules, &fields).map(|(_, id)| id.to_owned());
    let falls_back = rules.orders.as_ref().is_some_and(|o| o.contact.contains(&ContactRule::FirstContact));
    let first = match text(&fields, "AccountId").filter(|_| named.is_none() && falls_back) {
        Some(account) => store.first_contacts()?.remove(account),
        None => None,
    };
    let contact = partner(store, rules, &holds, "contact", named.or(first).as_deref())?;
    let create = order.journal.iter().rev().find(|told| told.verb == Verb::Create && told.side == Side::Platform);
    let last = order.journal.iter().rev().find(|told| told.verb == Verb::Update && told.side == Side::Platform);
    let news = order.news.salesforce.as_ref();
    let base = match &order.link {
        Some(link) => store.base(link.id, Side::Salesforce)?,
        None => None,
    };
    let given = base.as_ref().and_then(|b| b.get(ISSUED)).and_then(Value::as_rows).unwrap_or_default();
    let facts = OrderFacts {
        deleted: news.is_some_and(|news| news.life != Life::Live),
        link: order.link.as_ref().map(|link| OrderLink {
            platform_id: link.platform_id.as_str().to_owned(),
            state: link.state,
            made: create.is_some_and(|told| told.state == IntentState::Done),
        }),
        account: account.as_ref().map(|(party, _)| party.clone()),
        contact: contact.as_ref().map(|(party, _)| party.clone()),
        call: create.map(|told| Call { state: told.state, code: told.code.clone(), message: told.message.clone() }),
        parked: parked(order),
        held: held(&holds, &order.object, Side::Platform),
        discarded: news.is_some_and(is_discarded),
        given: given.iter().filter_map(Given::parse).collect(),
        changing: last.is_some_and(|told| matches!(told.state, IntentState::Promised | IntentState::Unknown)),
        licenses: LicenseFacts {
            issued: create.filter(|told| told.state == IntentState::Done).map(|told| told.moved.iter().filter_map(count_of).sum()),
            back,
            parked: None,
            held: held(&holds, "license", Side::Salesforce),
        },
        order: fields,
    };
    let (account, contact) = (account.and_then(|(_, known)| known), contact.and_then(|(_, known)| known));
    Ok(OrderStory { facts, account, contact, licenses: Vec::new() })
}

/// The figure a line of the journal begins with: `2 licenses of …`.
fn count_of(moved: &crate::plan::Moved) -> Option<u64> {
    let told = moved.new.as_text().filter(|_| moved.name.starts_with("line "))?;
    told.split(' ').next()?.parse().ok()
}

fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_text).filter(|t| !t.is_empty())
}

/// The account or contact an order names, if the rules keep such records.
fn partner(
    store: &Store,
    rules: &Rules,
    holds: &[HoldRow],
    object: &str,
    id: Option<&str>,
) -> anyhow::Result<Option<(Party, Option<Known>)>> {
    let Some(id) = id.filter(|_| rules.mapping(object).is_some()) else { return Ok(None) };
    let known = store.known(object, Side::Salesforce, id)?;
    let state = state_of(known.as_ref(), holds);
    let name = known.as_ref().and_then(name_of).unwrap_or_else(|| id.to_owned());
    Ok(Some((Party { id: id.to_owned(), name, state }, known)))
}

fn state_of(known: Option<&Known>, holds: &[HoldRow]) -> PartyState {
    let Some(known) = known else { return PartyState::Unseen };
    if let Some(link) = &known.link {
        return match link.state {
            LinkState::Live => PartyState::Linked { platform_id: link.platform_id.as_str().to_owned() },
            LinkState::Buried | LinkState::DeletedInSalesforce => PartyState::Gone,
        };
    }
    if let Some(parked) = parked(known) {
        return PartyState::Parked(parked);
    }
    let Some(news) = &known.news.salesforce else { return PartyState::Gone };
    if news.life != Life::Live {
        return PartyState::Gone;
    }
    if news.situation.as_deref() == Some("out-of-scope") || is_discarded(news) {
        return PartyState::Unseen;
    }
    held(holds, &known.object, Side::Platform).map_or(PartyState::Waits, PartyState::Held)
}

fn is_discarded(news: &News) -> bool {
    news.situation.as_deref() == Some("discarded")
}

fn parked(known: &Known) -> Option<Parked> {
    known.quarantine.first().map(|row| Parked { code: row.code.clone(), message: row.message.clone() })
}

/// The reason of a hold on new records of this kind. A hold is on a group, so it is told of whatever else is ready to go.
fn held(holds: &[HoldRow], object: &str, side: Side) -> Option<String> {
    let of_new = |h: &&HoldRow| h.object == object && ((h.side == side.as_str() && h.verb == "create") || h.verb == "link");
    holds.iter().find(of_new).map(|h| h.reason.clone())
}

/// What people call a record: a person's or an account's name, an order's number, an address; `None` where it has none.
#[must_use]
pub fn name_of(known: &Known) -> Option<String> {
    let salesforce = known.fields.salesforce.as_ref();
    let platform = known.fields.platform.as_ref();
    let joined = |fields: Option<&Fields>, first: &str, last: &str| {
        let parts: Vec<&str> = [first, last].into_iter().filter_map(|name| text(fields?, name)).collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    };
    let one = |fields: Option<&Fields>, name: &str| text(fields?, name).map(str::to_owned);
    joined(salesforce, "FirstName", "LastName")
        .or_else(|| one(salesforce, "OrderNumber"))
        .or_else(|| one(salesforce, "Name"))
        .or_else(|| one(salesforce, "Email"))
        .or_else(|| joined(platform, "first_name", "last_name"))
        .or_else(|| one(platform, "name"))
        .or_else(|| one(platform, "email"))
}

/// The platform's licenses of an order: those that name it, linked or staged.
fn licenses(store: &Store, rules: &Rules, order: &Known) -> anyhow::Result<Vec<Known>> {
    let (Some(id), Some((_, platform))) = (&order.ids.platform, refers_to(rules, "license", &order.object)) else { return Ok(Vec::new()) };
    let names: Vec<&str> = platform.iter().map(String::as_str).collect();
    let hits = store.search("license", Side::Platform, &names, &|value| value == id, MOST_LICENSES)?;
    let known = hits.iter().filter_map(|hit| hit.ids.1.as_deref()).map(|id| store.known("license", Side::Platform, id));
    known.filter_map(Result::transpose).collect()
}
