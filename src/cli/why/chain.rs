//! The chain of one order, from Salesforce to the keys: one step a line.

use super::{Mark, Named, Step, Story, short};
use crate::engine::{Due, OrderFacts, OrderStory, Parked, Party, PartyState, contact_of, label, lines, order_story, standing};
use crate::plan::{IntentState, Verb};
use crate::record::{Fields, Side, Value};
use crate::rules::{OrderRules, Rules};
use crate::store::{Known, LinkState, Store, Told};

pub(super) fn order(store: &Store, rules: &Rules, known: &Known) -> anyhow::Result<Story> {
    let story = order_story(store, rules, known)?;
    let standing = standing(rules, &story.facts);
    let mut steps = vec![seen(known, &story.facts)];
    if let Some(orders) = &rules.orders {
        steps.extend(due(orders, &story.facts));
    }
    steps.extend(customer(rules, &story));
    steps.extend(products(rules, &story.facts));
    steps.extend(kept(known, &story.facts));
    steps.extend(call(known, &story.facts));
    steps.extend(story.licenses.iter().map(|license| short::license(rules, license)));
    steps.extend(short::conflicts(known));
    steps.extend(short::frozen(known));
    Ok(Story { named: Named::of(known), steps, standing, orders: Vec::new() })
}

fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_text).filter(|t| !t.is_empty())
}

fn seen(known: &Known, facts: &OrderFacts) -> Step {
    let order = &facts.order;
    if order.is_empty() {
        return Step::new(Mark::NotYet, "seen", "Salesforce has not shown this order; only the platform has it");
    }
    let status = text(order, "StatusCode").or_else(|| text(order, "Status")).unwrap_or("of a status that is not read");
    let activated = text(order, "ActivatedDate").map_or_else(String::new, |at| format!(" since {at}"));
    let when = known.news.salesforce.as_ref().map_or_else(String::new, |news| format!("; last read {}", news.read_at));
    let gone = if facts.deleted { ", and deleted by now" } else { "" };
    Step::new(Mark::Done, "seen", format!("Salesforce shows it {status}{activated}{gone}{when}"))
}

fn due(orders: &OrderRules, facts: &OrderFacts) -> Vec<Step> {
    let rule = &orders.provision_when.source;
    let mut steps = vec![match orders.provision_when.holds(&facts.order) {
        Ok(true) => Step::new(Mark::Done, "due", format!("`{rule}` holds")),
        Ok(false) => Step::new(Mark::NotYet, "due", format!("`{rule}` does not hold: nothing is issued yet")),
        Err(message) => Step::new(Mark::Failed, "due", format!("`{rule}` cannot be judged: {message}")),
    }];
    let from = &orders.provision_from;
    steps.extend(text(&facts.order, "ActivatedDate").map(|at| {
        if at < from.as_str() {
            Step::new(Mark::NotYet, "from", format!("activated before {from} (`provision-from`): linked where it is found, never issued"))
        } else {
            Step::new(Mark::Done, "from", format!("activated after {from} (`provision-from`)"))
        }
    }));
    steps
}

fn customer(rules: &Rules, story: &OrderStory) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(account) = &story.facts.account {
        steps.push(party("account", account, story.account.as_ref(), rules, ""));
    }
    match &story.facts.contact {
        Some(contact) => {
            let field = contact_of(rules, &story.facts.order).map_or_else(String::new, |(field, _)| format!(" ({})", label(field)));
            steps.push(party("customer", contact, story.contact.as_ref(), rules, &field));
        }
        None if story.facts.order.is_empty() => {}
        None => {
            let fields = rules.orders.iter().flat_map(|o| &o.contact).filter_map(|c| c.field()).map(label).collect::<Vec<_>>().join(", ");
            steps.push(Step::new(Mark::Failed, "customer", format!("nobody to license it to: {fields} of the order is empty")));
        }
    }
    steps
}

fn party(what: &'static str, party: &Party, known: Option<&Known>, rules: &Rules, field: &str) -> Step {
    let name = format!("{}{field}", party.name);
    match &party.state {
        PartyState::Linked { platform_id } => {
            let how = known.map_or_else(String::new, |known| format!(", {}", matched(rules, known)));
            Step::new(Mark::Done, what, format!("{name} = {platform_id} on the platform{how}"))
        }
        PartyState::Parked(Parked { code, message }) => Step::new(Mark::Failed, what, format!("{name} is parked, {code}: {message}")),
        PartyState::Held(reason) => Step::new(Mark::Held, what, format!("{name} is held by the guard: {reason}")),
        PartyState::Waits => Step::new(Mark::Waits, what, format!("{name} is not on the platform yet")),
        PartyState::Unseen => {
            let why = "is not kept in step: not visible, deleted, or outside the filter of the rules";
            Step::new(Mark::Failed, what, format!("{name} {why}"))
        }
        PartyState::Gone => Step::new(Mark::Failed, what, format!("{name} was linked once and is gone on one side")),
    }
}

/// How a record found its partner, as the journal tells.
pub(super) fn matched(rules: &Rules, known: &Known) -> String {
    let done = |told: &&Told| told.state == IntentState::Done;
    let joined = known.journal.iter().filter(done).rev().find(|told| matches!(told.verb, Verb::Create | Verb::Link));
    let since = known.linked_at.as_deref().unwrap_or_default();
    let Some(told) = joined else { return format!("linked since {since}") };
    match (told.verb, told.side) {
        (Verb::Create, Side::Platform) => format!("created there {}", told.at),
        (Verb::Create, Side::Salesforce) => format!("brought to Salesforce {}", told.at),
        _ => {
            let id = known.ids.salesforce.as_deref().map(Value::text);
            let planted_by_us = |told: &Told| told.moved.iter().any(|m| Some(&m.new) == id.as_ref() && m.old.is_blank());
            // Our id stood in it before, or was written into it once it was found.
            let ours = known.journal.iter().any(|told| told.verb == Verb::Update && planted_by_us(told));
            let held = known.fields.platform.iter().flat_map(Fields::values).any(|value| Some(value) == id.as_ref());
            let keys = rules.mapping(&known.object).into_iter().flat_map(|m| &m.match_keys).map(|key| key.join(" + "));
            let by = if held && !ours { "the Salesforce id in it".to_owned() } else { keys.collect::<Vec<_>>().join(" or ") };
            format!("found there by {} {}", if by.is_empty() { "its id" } else { &by }, told.at)
        }
    }
}

fn products(rules: &Rules, facts: &OrderFacts) -> Vec<Step> {
    let Some(lines) = lines(rules, &facts.order) else {
        let hidden = !facts.order.is_empty();
        return hidden.then(|| Step::new(Mark::Failed, "product", "the products of the order may not be read")).into_iter().collect();
    };
    if lines.is_empty() {
        return vec![Step::new(Mark::NotYet, "product", "the order has no products")];
    }
    lines
        .iter()
        .map(|line| {
            let product = format!("{} × {}", line.quantity, line.code.as_deref().unwrap_or(&line.name));
            match &line.due {
                Due::License { .. } => Step::new(Mark::Done, "product", format!("{product} → {}", line.words().unwrap_or_default())),
                Due::Nothing => Step::new(Mark::Done, "product", format!("{product} → no license (\"none\" in [products])")),
                Due::Refused { code: "product-not-mapped", .. } => {
                    Step::new(Mark::Failed, "product", format!("{product} ({}) → not in [products]", line.name))
                }
                Due::Refused { message, .. } => Step::new(Mark::Failed, "product", format!("{product} → {message}")),
            }
        })
        .collect()
}

/// What keeps it: a hold, the quarantine, a wait.
fn kept(known: &Known, facts: &OrderFacts) -> Vec<Step> {
    let mut steps = short::quarantine(known);
    let unlinked = facts.link.is_none() && !facts.deleted;
    if unlinked && steps.is_empty() && facts.call.as_ref().is_none_or(|c| c.state == IntentState::Dropped) {
        match (&facts.held, known.news.salesforce.as_ref().and_then(|news| news.situation.as_deref())) {
            (Some(reason), None) => steps.push(Step::new(Mark::Held, "guard", format!("held: {reason}; see: lockstep hold list"))),
            (_, Some("discarded")) => {
                steps.push(Step::new(Mark::NotYet, "guard", "somebody said no to the hold it was in: lockstep hold discard"))
            }
            (_, Some("waiting-for-parent")) => {
                steps.push(Step::new(Mark::Waits, "waits", "for its account or contact; looked at again in every run"));
            }
            (None | Some(_), _) => {}
        }
    }
    steps
}

/// The call to the platform and its answer.
fn call(known: &Known, facts: &OrderFacts) -> Vec<Step> {
    let create = known.journal.iter().rev().find(|told| told.verb == Verb::Create && told.side == Side::Platform);
    let Some(told) = create else {
        return match &facts.link {
            Some(link) if link.state == LinkState::Live => {
                let since = known.linked_at.as_deref().unwrap_or_default();
                vec![Step::new(Mark::Done, "found", format!("order {} was on the platform already; linked {since}", link.platform_id))]
            }
            Some(link) => {
                vec![Step::new(Mark::Failed, "link", format!("order {} is gone: the link is {}", link.platform_id, link.state.as_str()))]
            }
            None => vec![Step::new(Mark::NotYet, "sent", "nothing was sent to the platform")],
        };
    };
    let answer = || {
        let parts = [told.code.as_deref(), told.message.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": ");
        if parts.is_empty() { "no word".to_owned() } else { parts }
    };
    let at = &told.at;
    let mut steps = match told.state {
        IntentState::Done => {
            let id = facts.link.as_ref().map_or_else(|| "gone by now".to_owned(), |link| link.platform_id.clone());
            vec![
                Step::new(Mark::Done, "sent", format!("run {}, {at}", told.run)),
                Step::new(Mark::Done, "answer", format!("issued as order {id}")),
            ]
        }
        IntentState::Rejected => {
            vec![
                Step::new(Mark::Done, "sent", format!("run {}, {at}", told.run)),
                Step::new(Mark::Failed, "answer", format!("refused, {}", answer())),
            ]
        }
        IntentState::Promised | IntentState::Planned => {
            vec![Step::new(Mark::Waits, "sent", format!("promised in run {}, {at}; no answer yet", told.run))]
        }
        IntentState::Unknown => {
            let text = format!("lost, {}; it is looked for before anything is sent again", answer());
            vec![Step::new(Mark::Done, "sent", format!("run {}, {at}", told.run)), Step::new(Mark::Waits, "answer", text)]
        }
        IntentState::Dropped => {
            vec![Step::new(Mark::Waits, "sent", format!("tried in run {}, {at}, and not done, {}", told.run, answer()))]
        }
    };
    steps.extend(told.steps.iter().map(|step| Step::new(Mark::Done, "step", format!("{}: {}", step.name, step.outcome))));
    let gone = facts.link.as_ref().filter(|link| link.state != LinkState::Live);
    steps.extend(
        gone.map(|link| {
            Step::new(Mark::Failed, "link", format!("order {} is gone: the link is {}", link.platform_id, link.state.as_str()))
        }),
    );
    steps
}
