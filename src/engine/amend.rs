//! What becomes of an order after its licenses were issued: lines added, quantities raised and lowered, lines removed, the
//! order called off, a draft again, or for somebody else. Pure.
//!
//! What was given is compared with what the lines say now, never what they said last time: a reduction that was only reported
//! stays given, and raising the quantity back gives nothing twice. What gives and what takes are two writes, so that the
//! guard can hold one and let the other go.

use super::{
    decide::{Ground, Rest, bare},
    diff::Sight,
    native::{ISSUED, LINES},
    provision::{Given, Line, Timing, Wanted, contact, given, int, lines, linked, shown, text, timing},
};
use crate::plan::{Intent, Moved, Situation, Verb};
use crate::record::{Fields, Side, Value};
use crate::rules::{OnContactChange, OnLess, OnLoss, OnMore, OrderRules, Quantity};
use crate::seeded::seeded;
use crate::store::Link;
use std::collections::BTreeSet;

/// What an order's news asks for beyond its mapped fields.
#[derive(Debug, Default)]
pub struct Amended {
    pub intents: Vec<Intent>,
    /// Salesforce fields whose base must not move by itself: an intent moves it, or it waits.
    pub held_back: BTreeSet<String>,
    /// What becomes of the news, if it is not settled by intents.
    pub rest: Option<Rest>,
}

/// Compares a provisioned order with what it was given.
pub fn amended(link: &Link, ground: &Ground<'_>, sight: &Sight<'_>, mint: &mut dyn FnMut() -> String) -> Amended {
    let mut sum = Amended::default();
    let (true, Some(orders)) = (ground.mapping.provisions, &ground.rules.orders) else { return sum };
    let (now, base) = (sight.now.salesforce, sight.base.salesforce);
    // An order that was only just found has agreed to nothing yet.
    if !base.contains_key(LINES) || !now.contains_key(LINES) {
        return sum;
    }
    let at = match timing(now, orders) {
        Ok(at) => at,
        Err((code, message)) => {
            sum.wait_with(orders);
            sum.rest = Some(Rest::Parked { code: code.to_owned(), message });
            return sum;
        }
    };
    let was = timing(base, orders).unwrap_or(at);
    let amend = Amend { link, ground, sight, orders };
    match (was, at) {
        (_, Timing::Historic) | (Timing::Historic, Timing::NotYet | Timing::Cancelled) => {}
        (Timing::Cancelled, Timing::Cancelled) | (Timing::NotYet, Timing::NotYet) | (Timing::Cancelled, Timing::NotYet) => {
            sum.wait_with(orders);
        }
        (_, Timing::Cancelled) => amend.lost(orders.on_cancel, Situation::OrderCancelled, "the order is called off", &mut sum),
        (_, Timing::NotYet) => amend.lost(orders.on_deactivate, Situation::OrderDeactivated, "the order is no longer active", &mut sum),
        (was, Timing::Due) => {
            if was == Timing::Cancelled && orders.on_cancel == OnLoss::Disable {
                let mut mark = bare(ground, link, Verb::Mark, Side::Salesforce, Situation::OrderAmended);
                let says = "stay disabled until somebody enables them";
                mark.moved.push(Moved {
                    name: "licenses of an order that is active again".to_owned(),
                    old: Value::Null,
                    new: Value::text(says),
                });
                sum.intents.push(mark);
            }
            amend.lines(mint, &mut sum);
        }
    }
    sum
}

impl Amended {
    /// Lines and contacts of an order that is not due are looked at when it is due again.
    fn wait_with(&mut self, orders: &OrderRules) {
        self.hold_back(orders);
        self.rest = Some(Rest::Left);
    }

    fn hold_back(&mut self, orders: &OrderRules) {
        self.held_back.insert(LINES.to_owned());
        self.held_back.extend(orders.contact.iter().filter_map(|c| c.field()).map(str::to_owned));
    }
}

struct Amend<'a> {
    link: &'a Link,
    ground: &'a Ground<'a>,
    sight: &'a Sight<'a>,
    orders: &'a OrderRules,
}

/// How what was given and what is wanted differ.
#[derive(Default)]
struct Difference {
    append: Vec<Fields>,
    /// Target states of licenses, by unit.
    more: Vec<Fields>,
    less: Vec<Fields>,
    moved_more: Vec<Moved>,
    moved_less: Vec<Moved>,
    reported: Vec<Moved>,
    given_more: Vec<Given>,
    given_less: Vec<Given>,
}

impl Amend<'_> {
    /// Every license of the order is disabled, or nothing but a row in the history.
    fn lost(&self, policy: OnLoss, situation: Situation, what: &str, sum: &mut Amended) {
        sum.hold_back(self.orders);
        let moved = |new: &str| Moved { name: "licenses of the order".to_owned(), old: Value::text(what), new: Value::text(new) };
        let dated = ["ActivatedDate".to_owned()];
        let said = self.orders.provision_when.fields.iter().chain(&self.orders.cancelled_when.fields);
        let status: BTreeSet<&String> = said.chain(&dated).collect();
        let mut intent = if (policy == OnLoss::Disable || seeded!(OffUnasked)) && self.may("change") {
            let mut intent = bare(self.ground, self.link, Verb::Update, Side::Platform, situation);
            intent.fields.insert("change".to_owned(), Value::Rows(vec![state("*", "enabled", Value::Bool(false))]));
            intent.moved.push(moved("disabled"));
            intent
        } else {
            let mut intent = bare(self.ground, self.link, Verb::Mark, Side::Salesforce, situation);
            intent.moved.push(moved("stay as they are"));
            intent
        };
        // It is told once: the status is agreed to with it, and not before it is done.
        for name in status {
            if let Some(value) = self.sight.now.salesforce.get(name) {
                intent.advance.salesforce.insert(name.clone(), value.clone());
                sum.held_back.insert(name.clone());
            }
        }
        sum.intents.push(intent);
    }

    fn may(&self, field: &str) -> bool {
        self.ground.schema.platform.fields.get(field).is_some_and(|f| f.updateable)
    }

    fn lines(&self, mint: &mut dyn FnMut() -> String, sum: &mut Amended) {
        let (now, base) = (self.sight.now.salesforce, self.sight.base.salesforce);
        sum.held_back.insert(LINES.to_owned());
        let rows = match lines(if seeded!(AmendsFromOld) { base } else { now }, self.ground.rules) {
            Ok(rows) => rows,
            Err((code, message)) => {
                sum.rest = Some(Rest::Parked { code: code.to_owned(), message });
                return;
            }
        };
        let had = given(base, self.ground.rules);
        let difference = match self.difference(&rows, &had, mint) {
            Ok(difference) => difference,
            Err((code, message)) => {
                sum.rest = Some(Rest::Parked { code: code.to_owned(), message });
                return;
            }
        };
        let reassigned = self.customer(sum);
        self.write_down(difference, had, reassigned, sum);
    }

    /// Up to two writes and a report; the lines are agreed to with the last of them.
    fn write_down(&self, difference: Difference, had: Vec<Given>, reassigned: Option<Intent>, sum: &mut Amended) {
        let all_lines = |intent: &mut Intent| {
            let lines = self.sight.now.salesforce.get(LINES).cloned().unwrap_or(Value::Null);
            intent.advance.salesforce.insert(LINES.to_owned(), lines);
        };
        let ledger = |changed: &[Given]| {
            let mut rows = had.clone();
            for one in changed {
                match rows.iter_mut().find(|g| g.line == one.line) {
                    Some(row) => *row = one.clone(),
                    None => rows.push(one.clone()),
                }
            }
            Value::Rows(rows.iter().map(Given::row).collect())
        };
        let Difference { append, more, less, moved_more, moved_less, reported, given_more, given_less } = difference;
        let takes = !less.is_empty();
        let gives = !append.is_empty() || !more.is_empty();
        let mut writes = Vec::new();
        let moves_on = reassigned.is_some();
        if gives || moves_on {
            let usual = || bare(self.ground, self.link, Verb::Update, Side::Platform, Situation::OrderAmended);
            let mut intent = reassigned.unwrap_or_else(usual);
            for (name, rows) in [("append", append), ("change", more)] {
                if !rows.is_empty() {
                    intent.fields.insert(name.to_owned(), Value::Rows(rows));
                }
            }
            intent.moved.extend(moved_more);
            if gives {
                intent.advance.salesforce.insert(ISSUED.to_owned(), ledger(&given_more));
            }
            writes.push(intent);
        } else if takes {
            let mut intent = bare(self.ground, self.link, Verb::Update, Side::Platform, Situation::OrderAmended);
            intent.fields.insert("change".to_owned(), Value::Rows(less));
            intent.moved = moved_less;
            intent.advance.salesforce.insert(ISSUED.to_owned(), ledger(&given_less));
            writes.push(intent);
        } else if !reported.is_empty() {
            let mut intent = bare(self.ground, self.link, Verb::Mark, Side::Salesforce, Situation::OrderAmended);
            intent.moved.clone_from(&reported);
            writes.push(intent);
        }
        // What is left comes in the next lap, with the lines as they are: the last of the writes agrees to them.
        let first = gives || moves_on;
        let last = if first { !takes && reported.is_empty() } else { !takes || reported.is_empty() };
        match writes.last_mut() {
            Some(intent) if last => all_lines(intent),
            Some(_) => {}
            None => {
                sum.held_back.remove(LINES);
            }
        }
        sum.intents.extend(writes);
    }

    /// The order goes to another customer when it names another contact.
    fn customer(&self, sum: &mut Amended) -> Option<Intent> {
        let (now, base) = (self.sight.now.salesforce, self.sight.base.salesforce);
        let fields: Vec<&str> = self.orders.contact.iter().filter_map(|c| c.field()).collect();
        // A field that was not read before has not changed.
        if fields.iter().any(|f| now.contains_key(*f) && !base.contains_key(*f)) {
            return None;
        }
        let (is, was) = (contact(now, self.orders, None)?.1, contact(base, self.orders, None).map(|(_, id)| id));
        if was == Some(is) || self.orders.on_contact_change == OnContactChange::Report || !self.may("customer") {
            return None;
        }
        sum.held_back.extend(fields.iter().map(|f| (*f).to_owned()));
        let Ok(Some(customer)) = linked(self.ground, "contact", Some(is)) else {
            sum.rest = Some(Rest::Waits);
            return None;
        };
        let mut intent = bare(self.ground, self.link, Verb::Update, Side::Platform, Situation::OrderAmended);
        let old = was.and_then(|id| self.ground.links.to_platform("contact", id)).map_or(Value::Null, Value::text);
        intent.moved.push(Moved { name: "customer".to_owned(), old, new: Value::text(customer.clone()) });
        intent.fields.insert("customer".to_owned(), Value::text(customer));
        for name in fields {
            if let Some(value) = now.get(name) {
                intent.advance.salesforce.insert(name.to_owned(), value.clone());
            }
        }
        Some(intent)
    }

    fn difference(&self, rows: &[Line<'_>], had: &[Given], mint: &mut dyn FnMut() -> String) -> Result<Difference, (&'static str, String)> {
        let mut sum = Difference::default();
        for line in rows {
            let before = had.iter().find(|g| g.line == line.id);
            match (&line.wanted, before) {
                (Ok(None), _) => {}
                // Its licenses are there; that the rules no longer know its product takes nothing away.
                (Err((code, _)), Some(_)) if *code != "bad-quantity" => {}
                (Err(refusal), _) => return Err(refusal.clone()),
                (Ok(Some(wanted)), None) => self.added(line, wanted, &mut sum, mint),
                (Ok(Some(wanted)), Some(before)) => self.compared(line, wanted, before, &mut sum, mint)?,
            }
        }
        for before in had.iter().filter(|g| g.quantity > 0 && !rows.iter().any(|line| line.id == g.line)) {
            let what = format!("line {} ({}) removed", before.line, before.product);
            let units = before.quantity_in_units();
            match self.orders.on_line_removed {
                OnLoss::Disable if self.may("change") => {
                    sum.less.extend((1..=units).map(|n| state(&unit(before, n), "enabled", Value::Bool(false))));
                    sum.moved_less.push(Moved { name: what, old: amount(before, before.quantity), new: Value::text("disabled") });
                    sum.given_less.push(Given { quantity: 0, ..before.clone() });
                }
                OnLoss::Disable | OnLoss::Report => {
                    self.report(&before.line, what, amount(before, before.quantity), "stay as they are", &mut sum)
                }
            }
        }
        Ok(sum)
    }

    fn added(&self, line: &Line<'_>, wanted: &Wanted, sum: &mut Difference, mint: &mut dyn FnMut() -> String) {
        if self.orders.on_more == OnMore::Report || !self.may("append") {
            return self.report(
                line.id,
                format!("line {} ({}) added", line.id, line.name),
                Value::Null,
                "not licensed: on-more = \"report\"",
                sum,
            );
        }
        let item = wanted.item(line.id, 1..=wanted.licenses(), mint);
        sum.moved_more.push(shown(&item, wanted));
        sum.append.push(item);
        sum.given_more.push(Given::of(line.id, wanted));
    }

    fn compared(
        &self,
        line: &Line<'_>,
        wanted: &Wanted,
        before: &Given,
        sum: &mut Difference,
        mint: &mut dyn FnMut() -> String,
    ) -> Result<(), (&'static str, String)> {
        if wanted.product != before.product {
            let message = format!(
                "line {} was licensed as {} and is now {}; licenses do not change their product: take the line out and add a new one",
                line.id, before.product, wanted.product
            );
            return Err(("line-product-changed", message));
        }
        let (had, wants) = (before.quantity, wanted.quantity);
        let what = format!("line {} ({})", line.id, line.name);
        // How the quantity was meant when the licenses were made stays, whatever the rules say by now.
        let after = Given { quantity: wants, ..before.clone() };
        if wants > had {
            if self.orders.on_more == OnMore::Report || !self.may("change") || !self.may("append") {
                self.report(line.id, what, amount(before, had), &format!("{wants} asked for: on-more = \"report\""), sum);
                return Ok(());
            }
            match before.mode {
                Quantity::Activations => {
                    sum.more.push(state(&unit(before, 1), "at-least", Value::Int(int(wants))));
                    if had == 0 {
                        sum.more.push(state(&unit(before, 1), "enabled", Value::Bool(true)));
                    }
                    sum.given_more.push(after.clone());
                }
                Quantity::Licenses => {
                    sum.more.extend((had + 1..=wants.min(before.units)).map(|n| state(&unit(before, n), "enabled", Value::Bool(true))));
                    if wants > before.units {
                        let wanted = Wanted { mode: Quantity::Licenses, ..wanted.clone() };
                        let item = wanted.item(line.id, before.units + 1..=wants, mint);
                        sum.moved_more.push(shown(&item, &wanted));
                        sum.append.push(item);
                    }
                    sum.given_more.push(Given { units: before.units.max(wants), ..after.clone() });
                }
            }
            sum.moved_more.push(Moved { name: what, old: amount(before, had), new: amount(&after, wants) });
        } else if wants < had {
            if (self.orders.on_less == OnLess::Report && !seeded!(LessUnasked)) || !self.may("change") {
                self.report(line.id, what, amount(before, had), &format!("{wants} asked for; nothing is taken away"), sum);
                return Ok(());
            }
            match before.mode {
                Quantity::Activations => sum.less.push(state(&unit(before, 1), "at-most", Value::Int(int(wants)))),
                Quantity::Licenses => {
                    sum.less.extend((wants + 1..=had).map(|n| state(&unit(before, n), "enabled", Value::Bool(false))));
                }
            }
            sum.moved_less.push(Moved { name: what, old: amount(before, had), new: amount(&after, wants) });
            sum.given_less.push(after);
        }
        Ok(())
    }

    /// Said when the line changes, not again each time the order does.
    fn report(&self, line: &str, what: String, old: Value, says: &str, sum: &mut Difference) {
        let find = |fields: &Fields| {
            let rows = fields.get(LINES).and_then(Value::as_rows).unwrap_or_default();
            rows.iter().find(|row| text(row, "Id") == Some(line)).map(|row| (row.get("Quantity").cloned(), row.get("ProductCode").cloned()))
        };
        if find(self.sight.base.salesforce) != find(self.sight.now.salesforce) {
            sum.reported.push(Moved { name: what, old, new: Value::text(says) });
        }
    }
}

impl Given {
    /// How many of its units stand for its quantity.
    const fn quantity_in_units(&self) -> u64 {
        match self.mode {
            Quantity::Licenses => self.quantity,
            Quantity::Activations => 1,
        }
    }
}

fn unit(given: &Given, n: u64) -> String {
    format!("{}-{n}", given.line)
}

fn state(unit: &str, name: &str, value: Value) -> Fields {
    Fields::from([("unit".to_owned(), Value::text(unit)), (name.to_owned(), value)])
}

fn amount(given: &Given, n: u64) -> Value {
    let noun = match (given.mode, n) {
        (Quantity::Licenses, 1) => "license",
        (Quantity::Licenses, _) => "licenses",
        (Quantity::Activations, 1) => "activation",
        (Quantity::Activations, _) => "activations",
    };
    Value::Text(format!("{n} {noun}"))
}
