//! What a write does to the two systems, and what it is answered: above all what LicenseSpring's connector makes of an order,
//! of an amendment and of a reset. Each write is judged as it comes: O1, O2, O4, O5, S9.

use super::face::{UNIT, kind_of};
use super::said::split;
use super::script::Kind;
use super::world::{Actor, Turn, World, planted};
use crate::plan::{Outcome, StepReport, Verb, Write};
use crate::record::{Fields, Life, Side, Value};
use crate::rules::{OnLess, OnLoss, OnMore, OnSalesforceDelete};
use crate::simulation::world::START;

/// How long after it was asked for a reset may be sent again.
const WINDOW: i64 = 60;

fn refused(code: &str, message: &str) -> Outcome {
    Outcome::Rejected { code: code.to_owned(), message: message.to_owned(), fields: Vec::new() }
}

fn not_done() -> Outcome {
    Outcome::Failed { code: "not-done".to_owned(), message: "it was not done".to_owned() }
}

fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_text).filter(|t| !t.is_empty())
}

fn rows<'a>(fields: &'a Fields, name: &str) -> &'a [Fields] {
    fields.get(name).and_then(Value::as_rows).unwrap_or_default()
}

/// Each license of an order's items, with its product.
fn licenses_in(items: &[Fields]) -> impl Iterator<Item = (&Fields, Option<&str>)> {
    items.iter().flat_map(|item| rows(item, "licenses").iter().map(move |license| (license, text(item, "product_code"))))
}

impl World {
    /// One write, of so many steps at most. `since`: what Salesforce said from then on may be what it is for.
    pub fn carry_out(&mut self, side: Side, write: &Write, most: usize, since: u64) -> Outcome {
        let Some(kind) = kind_of(side, &write.resource) else {
            self.breaks("S9", format!("a write to {side} {}, which no mapping names", write.resource));
            return Outcome::Missing;
        };
        if write.verb == Verb::Delete {
            self.breaks("O4", format!("{side} {} {:?} is to be deleted, and no rule says so", kind.object(), write.id));
            return Outcome::Missing;
        }
        for field in write.fields.keys().filter(|f| !may_write(side, kind, f)) {
            self.breaks("S9", format!("{side} {}.{field} is written, which nobody may", kind.object()));
        }
        match (side, kind, write.verb) {
            (Side::Platform, Kind::Order, Verb::Create) => self.issue(write, most, since),
            (Side::Platform, Kind::Order, _) => self.amend(write, most, since, false),
            (Side::Platform, Kind::License, _) if write.fields.contains_key("reset") => self.reset(write),
            _ => self.plain(side, kind, write),
        }
    }

    fn with_key(&self, side: Side, kind: Kind, field: &str, value: &str) -> Option<String> {
        self.living(side, kind).find(|(_, r)| r.text(field) == Some(value)).map(|(id, _)| id.clone())
    }

    fn licenses_of(&self, order: &str) -> Vec<String> {
        self.living(Side::Platform, Kind::License).filter(|(_, r)| r.text("order") == Some(order)).map(|(id, _)| id.clone()).collect()
    }

    // ------------------------------------------------------------------ an order and its licenses

    fn issue(&mut self, write: &Write, most: usize, since: u64) -> Outcome {
        let Some((_, store_id)) = write.key.clone() else {
            self.breaks("O1", "an order is sent that could not be found again".to_owned());
            return refused("no-key", "an order without a store_id is not sent");
        };
        // A repeat is answered as existing, and then looked up.
        let there = self.with_key(Side::Platform, Kind::Order, "store_id", &store_id).filter(|_| !self.settings.twice);
        let id = match there {
            Some(id) => id,
            None => {
                let actor = Actor::Daemon { intent: write.intent };
                self.once(Kind::Order, "store_id", &store_id, write.intent);
                let fields = write.fields.iter().filter(|(n, _)| matches!(n.as_str(), "store_id" | "customer_account"));
                let id = self.create(actor, Side::Platform, Kind::Order, fields.map(|(n, v)| (n.clone(), v.clone())).collect());
                for (license, product) in licenses_in(rows(&write.fields, "items")) {
                    self.license(actor, &id, license, product, since);
                }
                id
            }
        };
        self.finish(write, &id, most)
    }

    /// The steps after the order exists.
    fn finish(&mut self, write: &Write, id: &str, most: usize) -> Outcome {
        if let Some(customer) = write.fields.get("customer").filter(|_| most > 1).cloned() {
            self.set_customer(Actor::Daemon { intent: write.intent }, id, customer);
        }
        self.done(Side::Platform, Kind::Order, id, write)
    }

    fn set_customer(&mut self, actor: Actor, order: &str, customer: Value) {
        if self.rec(Side::Platform, Kind::Order, order).and_then(|r| r.fields.get("customer")) == Some(&customer) {
            return;
        }
        let fields = Fields::from([("customer".to_owned(), customer)]);
        self.set(actor, Side::Platform, Kind::Order, order, fields.clone());
        for license in self.licenses_of(order) {
            self.set(actor, Side::Platform, Kind::License, &license, fields.clone());
        }
    }

    /// O1: no record of the platform ever stood for the same before. One that a person deleted before anybody could know that
    /// it was there is judged at rest, by what the journal knew of it.
    fn once(&mut self, kind: Kind, field: &str, value: &str, intent: i64) {
        let shown = if field == "license_key" { "the same key" } else { value }.to_owned();
        if value.is_empty() {
            self.breaks("O1", format!("a {} is issued without {field}", kind.object()));
        }
        let before: Vec<(String, bool)> = self
            .table(Side::Platform, kind)
            .iter()
            .filter(|(_, r)| r.text(field) == Some(value))
            .map(|(id, r)| (id.clone(), r.life == Life::Live))
            .collect();
        for (id, lives) in before {
            let made = |h: &&super::world::Happened| h.side == Side::Platform && h.id == id && h.what == Turn::Created;
            let by = self.history.iter().find(made).map(|h| h.actor);
            let what = format!("a second {} with {field} = {shown} is issued, after {id}", kind.object());
            match by {
                Some(Actor::Daemon { intent: first }) if !lives && first == intent => {}
                Some(Actor::Daemon { intent: first }) if !lives => self.again.push((first, what)),
                _ => self.breaks("O1", what),
            }
        }
    }

    fn license(&mut self, actor: Actor, order: &str, asked: &Fields, product: Option<&str>, since: u64) {
        let unit = text(asked, "unit").unwrap_or_default().to_owned();
        let key = text(asked, "key").unwrap_or_default().to_owned();
        let Actor::Daemon { intent } = actor else { return };
        self.once(Kind::License, UNIT, &unit, intent);
        self.once(Kind::License, "license_key", &key, intent);
        let store_id = self.rec(Side::Platform, Kind::Order, order).and_then(|r| r.text("store_id")).unwrap_or_default().to_owned();
        let sold = store_id.strip_prefix("SF-").and_then(|id| self.said.get(id));
        if !sold.is_some_and(|said| said.since(since).any(|s| s.calls_for(&unit, product))) {
            self.breaks(
                "O2",
                format!("a license for unit {unit} of {product:?} is issued, and {store_id} did not call for it when it was read"),
            );
        }
        let customer = self.rec(Side::Platform, Kind::Order, order).and_then(|r| r.fields.get("customer").cloned()).unwrap_or(Value::Null);
        let most = if let Some(Value::Int(n)) = asked.get("max_activations") { *n } else { 1 };
        let fields = [
            ("license_key", Value::Text(key)),
            ("enabled", Value::Bool(true)),
            ("active", Value::Bool(false)),
            ("max_activations", Value::Int(most)),
            ("times_activated", Value::Int(0)),
            ("order", Value::text(order)),
            ("order_store_id", Value::Text(store_id)),
            ("customer", customer),
            ("product", product.map_or(Value::Null, Value::text)),
            (UNIT, Value::Text(unit)),
        ];
        self.create(actor, Side::Platform, Kind::License, fields.into_iter().map(|(n, v)| (n.to_owned(), v)).collect());
    }

    // ------------------------------------------------------------------ amendments

    /// `looked`: after a lost answer, so that what is there already is not sent again on any platform.
    fn amend(&mut self, write: &Write, most: usize, since: u64, looked: bool) -> Outcome {
        let Some(id) = write.id.as_ref().map(|id| id.as_str().to_owned()) else { return Outcome::Missing };
        let Some(order) = self.live(Side::Platform, Kind::Order, &id).cloned() else { return Outcome::Missing };
        if order.poisoned {
            return refused("invalid", "refused by the platform");
        }
        let actor = Actor::Daemon { intent: write.intent };
        let coming: Vec<String> =
            licenses_in(rows(&write.fields, "append")).filter_map(|(l, _)| text(l, "unit")).map(str::to_owned).collect();
        let states = rows(&write.fields, "change").to_vec();
        let here: Vec<(String, String)> = self
            .licenses_of(&id)
            .into_iter()
            .filter_map(|l| Some((self.rec(Side::Platform, Kind::License, &l)?.text(UNIT)?.to_owned(), l)))
            .collect();
        for unit in states.iter().filter_map(|s| text(s, "unit")) {
            if unit != "*" && !coming.iter().any(|u| u == unit) && !here.iter().any(|(u, _)| u == unit) {
                return refused("license_not_found", &format!("order {id} has no license for unit {unit}"));
            }
        }
        let sf_order = order.text("store_id").and_then(|s| s.strip_prefix("SF-")).unwrap_or_default().to_owned();
        for state in &states {
            self.judge_state(&sf_order, state, if looked { 0 } else { since });
        }
        for (license, product) in licenses_in(rows(&write.fields, "append")) {
            let unit = text(license, "unit").unwrap_or_default();
            if (looked || !self.settings.twice) && here.iter().any(|(u, _)| u == unit) {
                continue;
            }
            self.license(actor, &id, license, product, if looked { 0 } else { since });
        }
        // The first step is what is appended, where something is.
        if coming.is_empty() || most > 1 {
            for license in self.licenses_of(&id) {
                self.bring(actor, &license, &states);
            }
            if let Some(customer) = write.fields.get("customer").cloned() {
                self.set_customer(actor, &id, customer);
            }
            if let Some(account) = write.fields.get("customer_account").cloned() {
                self.set(actor, Side::Platform, Kind::Order, &id, Fields::from([("customer_account".to_owned(), account)]));
            }
        }
        self.done(Side::Platform, Kind::Order, &id, write)
    }

    fn bring(&mut self, actor: Actor, license: &str, states: &[Fields]) {
        let Some(rec) = self.rec(Side::Platform, Kind::License, license).cloned() else { return };
        let unit = rec.text(UNIT).unwrap_or_default();
        let mut fields = Fields::new();
        let mut most = rec.int("max_activations").unwrap_or(0);
        for state in states.iter().filter(|s| text(s, "unit").is_some_and(|u| u == "*" || u == unit)) {
            if let Some(Value::Int(n)) = state.get("at-least") {
                most = most.max(*n);
            }
            if let Some(Value::Int(n)) = state.get("at-most") {
                most = most.min(*n);
            }
            if let Some(on @ Value::Bool(_)) = state.get("enabled") {
                fields.insert("enabled".to_owned(), on.clone());
            }
        }
        fields.insert("max_activations".to_owned(), Value::Int(most));
        fields.retain(|name, value| rec.fields.get(name) != Some(value));
        if !fields.is_empty() {
            self.set(actor, Side::Platform, Kind::License, license, fields);
        }
    }

    /// O4: what an amendment gives and takes is what the order said and what the rules allow.
    fn judge_state(&mut self, order: &str, state: &Fields, since: u64) {
        let rules = self.settings;
        let unit = text(state, "unit").unwrap_or_default().to_owned();
        let Some(said) = self.said.get(order) else { return };
        let due_before = said.ever_due();
        let may = |fits: &dyn Fn(&super::said::State) -> bool| due_before && said.since(since).any(fits);
        let mut wrong = Vec::new();
        if unit == "*" {
            let off = state.get("enabled") == Some(&Value::Bool(false));
            let asked = may(&|s| {
                (s.cancelled && rules.on_cancel == OnLoss::Disable)
                    || (!s.due && !s.cancelled && !s.deleted && rules.on_deactivate == OnLoss::Disable)
                    || (s.deleted && rules.on_order_delete == OnSalesforceDelete::Disable)
            });
            if !off || !asked {
                wrong.push("every license is to change".to_owned());
            }
        } else if let Some((line, n)) = split(&unit) {
            let quantity = |s: &super::said::State| s.line(line).map(|l| l.quantity);
            let gone = rules.on_line_removed == OnLoss::Disable && may(&|s| s.due && quantity(s).is_none());
            for (name, value) in state {
                let asked = match (name.as_str(), value) {
                    ("enabled", Value::Bool(false)) => {
                        gone || (rules.on_less == OnLess::Lower && may(&|s| s.due && quantity(s).is_some_and(|q| q < n)))
                    }
                    ("enabled", Value::Bool(true)) => {
                        rules.on_more == OnMore::Add && may(&|s| s.due && quantity(s).is_some_and(|q| q >= n))
                    }
                    ("at-least", Value::Int(to)) => rules.on_more == OnMore::Add && may(&|s| s.due && quantity(s) == Some(*to)),
                    ("at-most", Value::Int(to)) => rules.on_less == OnLess::Lower && may(&|s| s.due && quantity(s) == Some(*to)),
                    ("unit", _) => true,
                    _ => false,
                };
                if !asked {
                    wrong.push(format!("{name} {value}"));
                }
            }
        }
        for what in wrong {
            self.breaks("O4", format!("unit {unit} of {order}: {what}, and nobody asked for it"));
        }
    }

    // ------------------------------------------------------------------ resets

    fn reset(&mut self, write: &Write) -> Outcome {
        let Some(id) = write.id.as_ref().map(|id| id.as_str().to_owned()) else { return Outcome::Missing };
        let Some(license) = self.live(Side::Platform, Kind::License, &id) else { return Outcome::Missing };
        let (had, poisoned) = (license.int("times_activated").unwrap_or(0), license.poisoned);
        let word = if poisoned {
            "refused: refused by the platform".to_owned()
        } else if had == 0 {
            "nothing to reset".to_owned()
        } else {
            self.happened(Actor::Daemon { intent: write.intent }, Side::Platform, Kind::License, &id, Turn::Reset(had));
            self.set(
                Actor::Daemon { intent: write.intent },
                Side::Platform,
                Kind::License,
                &id,
                Fields::from([("times_activated".to_owned(), Value::Int(0))]),
            );
            let (asked, done) = self.resets(&id);
            if done > asked {
                self.breaks("O5", format!("license {id} is reset {done} times and {asked} were asked for"));
            }
            format!("released {had} activations")
        };
        self.told_reset(write, &id, word)
    }

    fn told_reset(&self, write: &Write, id: &str, word: String) -> Outcome {
        self.done_with(Side::Platform, Kind::License, id, write, vec![StepReport { name: "reset".to_owned(), outcome: word }])
    }

    /// How often resets of a license were asked for, and done.
    #[must_use]
    pub fn resets(&self, license: &str) -> (usize, usize) {
        let records = self.records_of_license(license);
        let asked = |h: &&super::world::Happened| h.what == Turn::AskedForReset && records.contains(&h.id);
        let done = |h: &&super::world::Happened| matches!(h.what, Turn::Reset(_)) && h.id == license;
        (self.history.iter().filter(asked).count(), self.history.iter().filter(done).count())
    }

    /// The records in Salesforce that are of this license, dead ones too.
    #[must_use]
    pub fn records_of_license(&self, license: &str) -> Vec<String> {
        let planted_value = format!("acme-license-{license}");
        let own = |r: &super::world::Rec| r.text("Lockstep_Id__c") == Some(&planted_value);
        self.table(Side::Salesforce, Kind::License).iter().filter(|(_, r)| own(r)).map(|(id, _)| id.clone()).collect()
    }

    // ------------------------------------------------------------------ everything else

    fn plain(&mut self, side: Side, kind: Kind, write: &Write) -> Outcome {
        for (field, to) in
            [("AccountId", Kind::Account), ("Order__c", Kind::Order), ("Contact__c", Kind::Contact), ("customer_account", Kind::Account)]
        {
            if let Some(named) = text(&write.fields, field)
                && self.live(side, to, named).is_none()
            {
                return Outcome::Rejected {
                    code: "ENTITY_IS_DELETED".to_owned(),
                    message: format!("{named} is deleted"),
                    fields: vec![field.to_owned()],
                };
            }
        }
        let actor = Actor::Daemon { intent: write.intent };
        let own = match write.verb {
            Verb::Create => write.key.as_ref().and_then(|(field, value)| self.with_key(side, kind, field, value)),
            _ => write.id.as_ref().map(|id| id.as_str().to_owned()),
        };
        let Some(id) = own else {
            let key = write.key.as_ref().map(|(_, value)| value.as_str()).unwrap_or_default();
            if (side, kind) == (Side::Salesforce, Kind::License) && key.is_empty() {
                self.breaks("O6", "a license comes to Salesforce that could not be found again".to_owned());
            }
            let id = self.create(actor, side, kind, write.fields.clone());
            return self.done(side, kind, &id, write);
        };
        let Some(rec) = self.live(side, kind, &id).cloned() else { return Outcome::Missing };
        if rec.poisoned {
            return refused("FIELD_CUSTOM_VALIDATION_EXCEPTION", "refused by a validation rule");
        }
        if rec.pending.is_some() {
            return Outcome::Failed { code: "UNABLE_TO_LOCK_ROW".to_owned(), message: "the row is locked".to_owned() };
        }
        let news: Fields =
            write.fields.iter().filter(|(n, v)| rec.fields.get(*n) != Some(v)).map(|(n, v)| (n.clone(), v.clone())).collect();
        if (side, kind) == (Side::Platform, Kind::License) {
            self.judge_license(&id, &news);
        }
        if !news.is_empty() {
            self.set(actor, side, kind, &id, news);
        }
        self.done(side, kind, &id, write)
    }

    /// O4: a license changes on the platform as a person said on its record in Salesforce, and not otherwise.
    fn judge_license(&mut self, id: &str, news: &Fields) {
        let records = self.records_of_license(id);
        for (field, value) in news {
            let here = match field.as_str() {
                "enabled" => "Enabled__c",
                "validity_period" => "Valid_Until__c",
                "max_activations" => "Max_Activations__c",
                "note" => "Note__c",
                _ => continue,
            };
            let said = self.history.iter().any(|h| {
                h.side == Side::Salesforce
                    && h.actor == Actor::User
                    && records.contains(&h.id)
                    && matches!(&h.what, Turn::Set { field, value: v } if field == here && v == value)
            });
            if !said {
                self.breaks("O4", format!("license {id}.{field} becomes {value}, and nobody said so in Salesforce"));
            }
        }
    }

    /// After an unknown outcome: what became of it, by reading; and what is left of it.
    pub fn resolve(&mut self, side: Side, write: &Write) -> Outcome {
        let Some(kind) = kind_of(side, &write.resource) else { return Outcome::Missing };
        match (side, kind, write.verb) {
            (Side::Platform, Kind::Order, Verb::Create) => {
                let found = write.key.as_ref().and_then(|(field, value)| self.with_key(side, kind, field, value));
                found.map_or_else(not_done, |id| self.finish(write, &id, usize::MAX))
            }
            (Side::Platform, Kind::Order, _) => self.amend(write, usize::MAX, 0, true),
            (Side::Platform, Kind::License, _) if write.fields.contains_key("reset") => self.resolve_reset(write),
            (_, _, Verb::Create) => {
                let found = write.key.as_ref().and_then(|(field, value)| self.with_key(side, kind, field, value));
                found.map_or_else(not_done, |id| self.done(side, kind, &id, write))
            }
            _ => {
                let Some(id) = write.id.as_ref().map(|i| i.as_str().to_owned()) else { return Outcome::Missing };
                let Some(rec) = self.live(side, kind, &id) else { return Outcome::Missing };
                let shows = write.fields.iter().all(|(n, v)| rec.fields.get(n) == Some(v));
                if shows { self.done(side, kind, &id, write) } else { not_done() }
            }
        }
    }

    /// Sends nothing: the counters tell whether it happened, or nobody can.
    fn resolve_reset(&mut self, write: &Write) -> Outcome {
        let Some(id) = write.id.as_ref().map(|id| id.as_str().to_owned()) else { return Outcome::Missing };
        let Some(license) = self.live(Side::Platform, Kind::License, &id) else { return Outcome::Missing };
        let now = license.int("times_activated").unwrap_or(0);
        let asked = rows(&write.fields, "reset").first().cloned().unwrap_or_default();
        let before = if let Some(Value::Int(n)) = asked.get("activations") { *n } else { 0 };
        let at = text(&asked, "asked").and_then(|t| chrono::DateTime::parse_from_rfc3339(t).ok()).map_or(START, |t| t.timestamp());
        if now == 0 {
            self.told_reset(write, &id, format!("released {before} activations"))
        } else if now == before && (self.now - at).abs() <= WINDOW {
            not_done()
        } else {
            self.told_reset(write, &id, "in doubt: the answer was lost".to_owned())
        }
    }
}

/// The policy table, written apart from the rules.
fn may_write(side: Side, kind: Kind, field: &str) -> bool {
    if planted(side, kind) == Some(field) {
        return true;
    }
    match (side, kind) {
        (Side::Salesforce, Kind::Account) => matches!(field, "Name" | "Licenses_Sold__c" | "Licenses_Active__c"),
        (Side::Salesforce, Kind::Contact) => matches!(field, "LastName" | "Email"),
        (Side::Salesforce, Kind::Order) => {
            matches!(
                field,
                "License_Status__c"
                    | "License_Message__c"
                    | "License_Preview__c"
                    | "License_Platform_Id__c"
                    | "Licenses_Sold__c"
                    | "Licenses_Active__c"
                    | "Last_Activation__c"
            )
        }
        (Side::Salesforce, Kind::License) => true,
        (Side::Platform, Kind::Account) => field == "name",
        (Side::Platform, Kind::Contact) => matches!(field, "last_name" | "email" | "customer_account"),
        (Side::Platform, Kind::Order) => matches!(field, "items" | "append" | "change" | "customer" | "customer_account"),
        (Side::Platform, Kind::License) => matches!(field, "enabled" | "validity_period" | "max_activations" | "note" | "reset"),
    }
}
