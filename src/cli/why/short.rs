//! What is told of any record but an order: its partner, its last change, what is open; and of a license where its key is.

use super::{Mark, Named, Step, Story, chain::matched};
use crate::engine::{Standing, hide_keys};
use crate::plan::{IntentState, advice, has_advice};
use crate::record::{Life, Value};
use crate::rules::Rules;
use crate::store::{Known, LinkState, NewsRest};

pub(super) fn record(rules: &Rules, known: &Known) -> Story {
    let mut steps = vec![linked(rules, known)];
    if known.object == "license" {
        steps.push(license(rules, known));
    }
    steps.extend(changed(known));
    steps.extend(conflicts(known));
    steps.extend(frozen(known));
    steps.extend(quarantine(known));
    Story { named: Named::of(known), steps, standing: standing(known), orders: Vec::new() }
}

fn linked(rules: &Rules, known: &Known) -> Step {
    match (&known.link, &known.news.salesforce, &known.news.platform) {
        (Some(link), _, _) if link.state == LinkState::Live => {
            let ids = format!("{} = {} on the platform", link.salesforce_id, link.platform_id);
            Step::new(Mark::Done, "linked", format!("{ids}, {}", matched(rules, known)))
        }
        (Some(link), _, _) => {
            let gone = match link.state {
                LinkState::Buried => "its partner is gone on the platform",
                LinkState::DeletedInSalesforce => "it was deleted in Salesforce; the platform keeps it",
                LinkState::Live => "",
            };
            Step::new(Mark::Failed, "linked", format!("{} = {}: {gone}", link.salesforce_id, link.platform_id))
        }
        (None, Some(news), _) => {
            let situation = news.situation.as_deref().unwrap_or("not planned yet");
            let mark = if news.rest == NewsRest::Left { Mark::NotYet } else { Mark::Waits };
            Step::new(mark, "linked", format!("not linked: only Salesforce has it, {situation}; last read {}", news.read_at))
        }
        (None, None, Some(news)) => {
            let situation = news.situation.as_deref().unwrap_or("not planned yet");
            let mark = if news.rest == NewsRest::Left { Mark::NotYet } else { Mark::Waits };
            Step::new(mark, "linked", format!("not linked: only the platform has it, {situation}; last read {}", news.read_at))
        }
        (None, None, None) => Step::new(Mark::NotYet, "linked", "not linked, and neither side shows it any more"),
    }
}

/// The last change that reached a side, with what it moved.
fn changed(known: &Known) -> Option<Step> {
    let told = known.journal.iter().rev().find(|told| told.verb.is_write() && told.state == IntentState::Done)?;
    let moved: Vec<String> = told.moved.iter().take(5).map(|m| format!("{}: {} → {}", m.name, m.old, m.new)).collect();
    let more = if told.moved.len() > 5 { format!(" and {} more", told.moved.len() - 5) } else { String::new() };
    let what = if moved.is_empty() { String::new() } else { format!(": {}{more}", moved.join(", ")) };
    Some(Step::new(Mark::Done, "changed", format!("{} {} on {}{what}", told.at, told.verb, told.side)))
}

pub(super) fn conflicts(known: &Known) -> Vec<Step> {
    let open = known.conflicts.iter();
    open.map(|c| {
        let text = format!(
            "{}: Salesforce has {}, the platform {}; decide with: lockstep conflicts restore {}",
            c.entry, c.value.salesforce, c.value.platform, c.id
        );
        Step::new(Mark::Held, "conflict", text)
    })
    .collect()
}

/// Who holds what, where neither side keeps what it is given.
pub(super) fn frozen(known: &Known) -> Vec<Step> {
    let frozen = known.frozen.iter();
    frozen
        .map(|f| {
            let text = format!(
                "{}: Salesforce has {}, the platform {}; {} was written on {} {} times and not kept, so neither is written any more; find what changes it, then: lockstep retry {} {}",
                f.field, f.value.salesforce, f.value.platform, f.wrote, f.side, f.times, f.object, f.salesforce_id
            );
            Step::new(Mark::Held, "frozen", text)
        })
        .collect()
}

pub(super) fn quarantine(known: &Known) -> Vec<Step> {
    let parked = known.quarantine.iter();
    parked
        .map(|q| {
            let advice = advice(&q.code);
            let text =
                format!("since {}, {}: {}; next try {}, sooner with {}", q.since, q.code, q.message, q.next_try_at, advice.waits_for);
            Step::new(Mark::Failed, "parked", text)
        })
        .collect()
}

fn standing(known: &Known) -> Standing {
    let told = |status, message: String, who: &str, next: &str| Standing {
        status,
        message: hide_keys(&message),
        who: who.to_owned(),
        next: next.to_owned(),
    };
    if let Some(parked) = known.quarantine.first() {
        let who = match parked.code.as_str() {
            "ambiguous" => "operations: merge the records on the platform, or write the Salesforce id into the right one",
            "required-missing" => "sales: fill the field in Salesforce",
            code if has_advice(code) => &format!("operations: {}", advice(code).act),
            _ => "operations: mend what the message says, then lockstep retry",
        };
        let message = format!("Parked: {} ({}).", parked.message.trim_end_matches('.'), parked.code);
        return told(None, message, who, "It goes on by itself when the record changes.");
    }
    if !known.conflicts.is_empty() {
        let who = "sales: edit the right value on either side; or operations: lockstep conflicts restore";
        return told(
            None,
            "Both sides changed the same field, and the rules leave it to a person.".to_owned(),
            who,
            "Both values stay until then.",
        );
    }
    if !known.frozen.is_empty() {
        let who = "operations: find what changes the field back, or map it one way; then lockstep retry";
        let message = "A field is fought over: what is written is not kept.".to_owned();
        return told(None, message, who, "Both values stay until then; all other fields go on.");
    }
    let news = [&known.news.salesforce, &known.news.platform];
    let waits = news.into_iter().flatten().any(|news| news.rest != NewsRest::Left && news.life == Life::Live);
    match (known.link.as_ref().map(|link| link.state), waits) {
        (_, true) => {
            told(None, "It waits for the next run, or for the record it belongs to.".to_owned(), "nobody", "The next run looks at it.")
        }
        (Some(LinkState::Live), false) => told(None, "In step.".to_owned(), "nobody", "Nothing, until one side changes."),
        (Some(LinkState::Buried | LinkState::DeletedInSalesforce) | None, false) => {
            told(None, "It has no partner on the other side.".to_owned(), "nobody", "Nothing, until it changes.")
        }
    }
}

/// A license's fields, as our own package in Salesforce calls them; the platform's where Salesforce has none yet.
fn field<'a>(rules: &Rules, known: &'a Known, name: &str) -> Option<&'a Value> {
    let shown = known.salesforce(name).filter(|v| !v.is_blank());
    shown.or_else(|| {
        let entry = rules.mapping(&known.object)?.entries.iter().find(|e| e.salesforce.iter().any(|n| n == name))?;
        known.platform(entry.platform.first()?).filter(|v| !v.is_blank())
    })
}

/// Where the key is: the license, its Salesforce record, and how it may be used.
pub(super) fn license(rules: &Rules, known: &Known) -> Step {
    let plain = |name: &str| field(rules, known, name).map(|v| v.as_text().map_or_else(|| v.to_string(), str::to_owned));
    let ids = match (&known.ids.salesforce, &known.ids.platform) {
        (Some(salesforce), Some(platform)) => format!("{salesforce} = {platform}"),
        (Some(one), None) => one.clone(),
        (None, Some(one)) => format!("{one} on the platform, not in Salesforce yet"),
        (None, None) => String::new(),
    };
    let mut parts = vec![plain("License_Key__c").map_or_else(|| "no key".to_owned(), |key| format!("key {}", ending(&key)))];
    parts.extend(plain("Product__c"));
    parts.extend(plain("Policy__c").map(|policy| format!("policy {policy}")));
    parts.extend(plain("State__c"));
    parts.extend(field(rules, known, "Enabled__c").and_then(|v| match v {
        Value::Bool(true) => Some("enabled".to_owned()),
        Value::Bool(false) => Some("disabled".to_owned()),
        _ => None,
    }));
    parts.push(plain("Valid_Until__c").map_or_else(|| "no end".to_owned(), |date| format!("valid until {date}")));
    parts.extend(match (plain("Activations__c"), plain("Max_Activations__c")) {
        (Some(used), Some(most)) => Some(format!("{used} of {most} activations used")),
        (None, Some(most)) => Some(format!("{most} activations")),
        (Some(used), None) => Some(format!("{used} activations used")),
        (None, None) => None,
    });
    let mark = match (&known.link, known.quarantine.first()) {
        (Some(link), _) if link.state == LinkState::Live => Mark::Done,
        (Some(_), _) | (None, Some(_)) => Mark::Failed,
        (None, None) => Mark::Waits,
    };
    let parked = known.quarantine.first().map_or_else(String::new, |q| format!("; parked, {}: {}", q.code, q.message));
    Step::new(mark, "license", format!("{ids}: {}{parked}", parts.join(", ")))
}

/// By the end of its key.
pub(super) fn license_name(known: &Known) -> String {
    let key = known.salesforce("License_Key__c").or_else(|| known.platform("license_key"));
    key.and_then(Value::as_text).map_or_else(String::new, ending)
}

/// The last four characters, which is all of a key that people are shown.
fn ending(key: &str) -> String {
    let letters: Vec<char> = key.chars().collect();
    // A key that is hardly longer than its end is not shown at all.
    if letters.len() < 8 {
        return "…".to_owned();
    }
    format!("…{}", letters[letters.len().saturating_sub(4)..].iter().collect::<String>())
}
