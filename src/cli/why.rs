//! `lockstep why`: one order, account, contact or license, and the whole chain of what became of it. From the state alone;
//! neither system is asked.

mod chain;
mod find;
mod short;

use super::{Exit, Out, Place, output::some};
use crate::config::{Config, ConfigError};
use crate::engine::{Standing, hide_keys, name_of};
use crate::rules::{Rules, check, parse};
use crate::store::{Known, Store};
use serde::Serialize;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// An order number, a Salesforce id, an account's name or a part of it, an e-mail address, or the last four or more
    /// characters of a license key
    #[arg(value_name = "WHAT")]
    pub what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Mark {
    Done,
    /// Goes on by itself.
    Waits,
    Failed,
    Held,
    NotYet,
}

impl Mark {
    const fn sign(self) -> &'static str {
        match self {
            Self::Done => "✓",
            Self::Waits => "…",
            Self::Failed => "✗",
            Self::Held => "!",
            Self::NotYet => "–",
        }
    }
}

/// One link of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Step {
    mark: Mark,
    what: &'static str,
    text: String,
}

impl Step {
    /// No whole key, whatever a side answered, and one line.
    fn new(mark: Mark, what: &'static str, text: impl AsRef<str>) -> Self {
        Self { mark, what, text: hide_keys(text.as_ref()).replace(['\n', '\r'], " ") }
    }
}

/// A record by its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Named {
    object: String,
    name: String,
    salesforce_id: Option<String>,
    platform_id: Option<String>,
}

impl Named {
    fn of(known: &Known) -> Self {
        let name = match known.object.as_str() {
            "license" => short::license_name(known),
            _ => name_of(known).unwrap_or_default(),
        };
        Self { object: known.object.clone(), name, salesforce_id: known.ids.salesforce.clone(), platform_id: known.ids.platform.clone() }
    }

    /// What to type to get just this one.
    fn handle(&self) -> &str {
        self.salesforce_id.as_deref().or(self.platform_id.as_deref()).unwrap_or_default()
    }

    fn headline(&self) -> String {
        let ids = [&self.salesforce_id, &self.platform_id].into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" = ");
        if self.name.is_empty() { format!("{} {ids}", self.object) } else { format!("{} {} ({ids})", self.object, self.name) }
    }
}

/// One record and its story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Story {
    #[serde(flatten)]
    named: Named,
    steps: Vec<Step>,
    standing: Standing,
    /// The orders of an account or a contact, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    orders: Vec<OrderLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct OrderLine {
    #[serde(flatten)]
    named: Named,
    standing: Standing,
}

#[derive(Serialize)]
struct Answer<'a> {
    what: &'a str,
    /// All that fit, where several do: none of them is told then.
    hits: Vec<Named>,
    records: Vec<Story>,
}

pub fn run(args: &Args, place: &Place, out: &mut Out) -> anyhow::Result<Exit> {
    let rules = rules(place)?;
    let hits = match place.read()? {
        Some(store) => {
            let hits = find::find(&store, &rules, &args.what)?;
            if let [one] = hits.as_slice() {
                let records = stories(&store, &rules, one)?;
                return tell(&Answer { what: &args.what, hits: vec![Named::of(one)], records }, out);
            }
            hits
        }
        None => Vec::new(),
    };
    tell(&Answer { what: &args.what, hits: hits.iter().map(Named::of).collect(), records: Vec::new() }, out)
}

/// The rules alone: no secret is needed to look at what happened.
fn rules(place: &Place) -> anyhow::Result<Rules> {
    if !place.rules.exists() {
        return Err(place.missing().into());
    }
    let path = place.rules.display().to_string();
    let file = |e: &dyn std::fmt::Display| ConfigError::File { path: path.clone(), message: e.to_string() };
    let source = std::fs::read_to_string(&place.rules).map_err(|e| file(&e))?;
    let problems = Config::problems_of(&source);
    let rules = if problems.is_empty() { parse(&source).and_then(|file| check(&file, &source)) } else { Err(problems) };
    Ok(rules.map_err(|problems| ConfigError::Problems { path: path.clone(), source_text: source.clone(), problems })?)
}

/// The record itself, and the order it belongs to where that is one.
fn stories(store: &Store, rules: &Rules, known: &Known) -> anyhow::Result<Vec<Story>> {
    if is_order(rules, &known.object) {
        return Ok(vec![chain::order(store, rules, known)?]);
    }
    let mut told = short::record(rules, known);
    let orders = find::orders_of(store, rules, known)?;
    if let [one] = orders.as_slice() {
        let order = chain::order(store, rules, one)?;
        return Ok(vec![told, order]);
    }
    for order in &orders {
        let story = chain::order(store, rules, order)?;
        told.orders.push(OrderLine { named: story.named, standing: story.standing });
    }
    Ok(vec![told])
}

fn is_order(rules: &Rules, object: &str) -> bool {
    rules.mapping(object).is_some_and(|m| m.provisions)
}

fn tell(answer: &Answer<'_>, out: &mut Out) -> anyhow::Result<Exit> {
    if out.json {
        out.json(answer)?;
        return Ok(Exit::InStep);
    }
    if answer.hits.is_empty() {
        out.line(format_args!("nothing is known of {:?}", answer.what))?;
        out.line("  name an order number, a Salesforce id, an account, an e-mail address, or the last four characters of a license key;")?;
        out.line("  what was entered in Salesforce since the last run is known after the next one")?;
    }
    if answer.records.is_empty() && !answer.hits.is_empty() {
        let more = if answer.hits.len() >= find::MOST_HITS { " or more" } else { "" };
        out.line(format_args!("{}{more} fit {:?}; name one:", some(answer.hits.len() as u64, "record"), answer.what))?;
        for hit in &answer.hits {
            out.line(format_args!("  lockstep why {:<20}  {}", hit.handle(), hit.headline()))?;
        }
    }
    for (i, story) in answer.records.iter().enumerate() {
        if i > 0 {
            out.line("")?;
        }
        print(story, out)?;
    }
    Ok(Exit::InStep)
}

fn print(story: &Story, out: &mut Out) -> anyhow::Result<()> {
    let Standing { status, message, who, next } = &story.standing;
    out.line(story.named.headline())?;
    for step in &story.steps {
        out.line(format_args!("  {} {:<10} {}", step.mark.sign(), step.what, step.text))?;
    }
    if !story.orders.is_empty() {
        out.line(format_args!("  {}:", some(story.orders.len() as u64, "order")))?;
    }
    for order in &story.orders {
        let status = order.standing.status.map_or_else(String::new, |s| format!("{s}: "));
        out.line(format_args!("    {} ({}): {status}{}", order.named.name, order.named.handle(), order.standing.message))?;
    }
    let status = status.map_or_else(String::new, |s| format!("{s}: "));
    out.line(format_args!("  so:   {status}{message}"))?;
    out.line(format_args!("  next: {next}"))?;
    out.line(format_args!("  who:  {who}"))
}
