//! What people do in the shop.

use super::said::{PRODUCTS, is_due};
use super::script::{Amendment, Edit, Item, Kind, What};
use super::world::{Actor, Turn, World};
use crate::record::{Fields, Life, Side, Value};

impl World {
    /// One thing a person does; nothing where there is nobody to do it to.
    pub fn edit(&mut self, edit: Edit) {
        let before = self.history.len();
        self.by_hand(edit);
        let did = self.history[before..].iter().any(|h| h.actor == Actor::User);
        self.user_edits += u64::from(did);
        if did {
            let word = word(edit);
            self.count(word, "people", if self.call > 0 { "in-a-run" } else { "between-runs" });
        }
    }

    fn by_hand(&mut self, edit: Edit) {
        match edit {
            Edit::Customer => {
                let n = self.number();
                let account = self.person_creates(Kind::Account, &[("Name", Value::Text(format!("Account {n}")))]);
                self.contact(&account);
            }
            Edit::Contact { account } => {
                if let Some(account) = self.nth(Side::Salesforce, Kind::Account, account) {
                    self.contact(&account);
                }
            }
            Edit::Order { account, first, second } => self.order(account, first, second),
            Edit::Activate { who, old } => {
                if let Some(id) = self.order_where(who, |s| s != "Activated") {
                    self.activate(&id, old);
                }
            }
            Edit::LateActivate { who, by } => {
                let Some(id) = self.order_where(who, |s| s == "Draft") else { return };
                let (now, until) = (self.now, self.now + i64::from(by));
                if let Some(rec) = self.rec_mut(Side::Salesforce, Kind::Order, &id).filter(|r| r.pending.is_none()) {
                    rec.pending = Some((until, now));
                    self.tell(&format!("user begins to activate {id}"));
                }
            }
            Edit::Deactivate { who } => self.status(who, "Draft"),
            Edit::Cancel { who } => self.status(who, "Cancelled"),
            Edit::Amend { who, how } => self.person_amends(who, how),
            Edit::DeleteOrder { who } => {
                let Some(id) = self.nth(Side::Salesforce, Kind::Order, who) else { return };
                self.delete(Actor::User, Side::Salesforce, Kind::Order, &id);
                // A lookup is set to null.
                let of = self.records_of(&id);
                for record in of {
                    self.person_sets(Side::Salesforce, Kind::License, &record, "Order__c", Value::Null);
                }
            }
            Edit::UndeleteOrder { who } => self.undelete(who),
            Edit::DeleteAccount { who } => self.delete_account(who),
            Edit::MergeAccounts { winner, loser } => self.merge(winner, loser),
            Edit::License { side, who, what } => self.person_changes(side, who, what),
            Edit::Devices { who, n } => {
                let Some(id) = self.nth(Side::Platform, Kind::License, who) else { return };
                let had = self.rec(Side::Platform, Kind::License, &id).and_then(|r| r.int("times_activated")).unwrap_or(0);
                self.person_sets(Side::Platform, Kind::License, &id, "times_activated", Value::Int(had + i64::from(n)));
            }
            Edit::Reset { who } => {
                let Some(id) = self.nth(Side::Salesforce, Kind::License, who) else { return };
                if !self.rec(Side::Salesforce, Kind::License, &id).is_some_and(|r| r.is("Reset_Requested__c")) {
                    self.happened(Actor::User, Side::Salesforce, Kind::License, &id, Turn::AskedForReset);
                    self.person_sets(Side::Salesforce, Kind::License, &id, "Reset_Requested__c", Value::Bool(true));
                }
            }
            Edit::DeleteRecord { who } => {
                let Some(id) = self.nth(Side::Salesforce, Kind::License, who) else { return };
                self.delete(Actor::User, Side::Salesforce, Kind::License, &id);
            }
            Edit::DeleteLicense { who } => {
                let Some(id) = self.nth(Side::Platform, Kind::License, who) else { return };
                self.delete(Actor::User, Side::Platform, Kind::License, &id);
            }
            Edit::DeleteOrderThere { who } => {
                let Some(id) = self.nth(Side::Platform, Kind::Order, who) else { return };
                let of: Vec<String> = self
                    .living(Side::Platform, Kind::License)
                    .filter(|(_, r)| r.text("order") == Some(&id))
                    .map(|(l, _)| l.clone())
                    .collect();
                for license in of {
                    self.delete(Actor::User, Side::Platform, Kind::License, &license);
                }
                self.delete(Actor::User, Side::Platform, Kind::Order, &id);
            }
            Edit::Poison { side, kind, who } => {
                if let Some(id) = self.nth(side, kind, who)
                    && let Some(rec) = self.rec_mut(side, kind, &id)
                {
                    rec.poisoned = true;
                    self.count("refused-for-good", side.as_str(), "people");
                    self.tell(&format!("every write to {side} {id} is refused from now on"));
                }
            }
            Edit::Heal => self.heal(),
        }
    }

    pub fn heal(&mut self) {
        for side in Side::BOTH {
            for rec in self.sides[side].values_mut().flat_map(std::collections::BTreeMap::values_mut) {
                rec.poisoned = false;
            }
        }
        self.tell("healed");
    }

    /// The `who`-th of the living, in the order they were born; `u8::MAX` is the youngest.
    fn nth(&self, side: Side, kind: Kind, who: u8) -> Option<String> {
        let mut alive: Vec<(u64, &String)> = self.living(side, kind).map(|(id, r)| (r.born, id)).collect();
        alive.sort();
        let at = if who == u8::MAX { alive.len().checked_sub(1)? } else { usize::from(who) % alive.len().max(1) };
        alive.get(at).map(|(_, id)| (*id).clone())
    }

    fn person_creates(&mut self, kind: Kind, fields: &[(&str, Value)]) -> String {
        let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
        self.create(Actor::User, Side::Salesforce, kind, fields)
    }

    fn person_sets(&mut self, side: Side, kind: Kind, id: &str, field: &str, value: Value) {
        self.set(Actor::User, side, kind, id, Fields::from([(field.to_owned(), value)]));
    }

    fn contact(&mut self, account: &str) -> String {
        let n = self.number();
        let fields = [
            ("AccountId", Value::text(account)),
            ("LastName", Value::Text(format!("Contact {n}"))),
            ("Email", Value::Text(format!("c{n}@example.com"))),
        ];
        self.person_creates(Kind::Contact, &fields)
    }

    fn contact_of(&self, account: &str, but: Option<&str>) -> Option<String> {
        let mut of: Vec<(u64, &String)> = self
            .living(Side::Salesforce, Kind::Contact)
            .filter(|(id, r)| r.text("AccountId") == Some(account) && Some(id.as_str()) != but)
            .map(|(id, r)| (r.born, id))
            .collect();
        of.sort();
        of.first().map(|(_, id)| (*id).clone())
    }

    fn line(&mut self, item: Item) -> Fields {
        let n = self.number();
        let (code, _) = PRODUCTS[usize::from(item.product) % PRODUCTS.len()];
        Fields::from([
            ("Id".to_owned(), Value::Text(format!("802S{n:011}AAA"))),
            ("ProductCode".to_owned(), Value::text(code)),
            ("ProductName".to_owned(), Value::Text(format!("The {code}"))),
            ("Quantity".to_owned(), Value::Int(i64::from(item.quantity))),
        ])
    }

    fn order(&mut self, account: u8, first: Item, second: Option<Item>) {
        let Some(account) = self.nth(Side::Salesforce, Kind::Account, account) else { return };
        let contact = self.contact_of(&account, None).map_or(Value::Null, Value::Text);
        let mut lines = vec![self.line(first)];
        if let Some(item) = second {
            lines.push(self.line(item));
        }
        let n = self.number();
        self.person_creates(
            Kind::Order,
            &[
                ("AccountId", Value::Text(account)),
                ("License_Contact__c", contact),
                ("OrderNumber", Value::Text(format!("{n:08}"))),
                ("Status", Value::text("Draft")),
                ("StatusCode", Value::text("Draft")),
                ("lines", Value::Rows(lines)),
            ],
        );
    }

    fn order_where(&self, who: u8, fits: impl Fn(&str) -> bool) -> Option<String> {
        let mut orders: Vec<(u64, &String)> = self
            .living(Side::Salesforce, Kind::Order)
            .filter(|(_, r)| r.text("Status").is_some_and(&fits) && r.pending.is_none())
            .map(|(id, r)| (r.born, id))
            .collect();
        orders.sort();
        let at = if who == u8::MAX { orders.len().checked_sub(1)? } else { usize::from(who) % orders.len().max(1) };
        orders.get(at).map(|(_, id)| (*id).clone())
    }

    fn status(&mut self, who: u8, status: &str) {
        let Some(id) = self.order_where(who, |s| s == "Activated") else { return };
        let fields = [("ActivatedDate", Value::Null), ("Status", Value::text(status)), ("StatusCode", Value::text("Draft"))];
        self.set(Actor::User, Side::Salesforce, Kind::Order, &id, fields.into_iter().map(|(n, v)| (n.to_owned(), v)).collect());
    }

    /// Salesforce lets nobody change the lines of an active order: it is a draft for a moment.
    fn person_amends(&mut self, who: u8, how: Amendment) {
        let Some(id) = self.order_where(who, |_| true) else { return };
        let Some(order) = self.rec(Side::Salesforce, Kind::Order, &id).cloned() else { return };
        let mut lines = order.fields.get("lines").and_then(Value::as_rows).unwrap_or_default().to_vec();
        let at = |line: u8| usize::from(line) % lines.len().max(1);
        let mut fields = Fields::new();
        match how {
            Amendment::Add(item) => lines.push(self.line(item)),
            Amendment::Quantity { line, to } => {
                let at = at(line);
                if let Some(row) = lines.get_mut(at) {
                    row.insert("Quantity".to_owned(), Value::Int(i64::from(to)));
                }
            }
            Amendment::Remove { line } if !lines.is_empty() => drop(lines.remove(at(line))),
            Amendment::Remove { .. } => {}
            Amendment::Product { line, to } => {
                let (at, (code, _)) = (at(line), PRODUCTS[usize::from(to) % PRODUCTS.len()]);
                if let Some(row) = lines.get_mut(at) {
                    row.insert("ProductCode".to_owned(), Value::text(code));
                }
            }
            Amendment::Contact => {
                let account = order.text("AccountId").unwrap_or_default();
                let other = self.contact_of(account, order.text("License_Contact__c")).unwrap_or_else(|| self.contact(account));
                fields.insert("License_Contact__c".to_owned(), Value::Text(other));
            }
        }
        fields.insert("lines".to_owned(), Value::Rows(lines));
        if is_due(&order) {
            let at = self.stamp_text(self.now);
            fields.insert("ActivatedDate".to_owned(), Value::Text(at));
        }
        self.set(Actor::User, Side::Salesforce, Kind::Order, &id, fields);
    }

    fn records_of(&self, order: &str) -> Vec<String> {
        self.living(Side::Salesforce, Kind::License).filter(|(_, r)| r.text("Order__c") == Some(order)).map(|(id, _)| id.clone()).collect()
    }

    fn undelete(&mut self, who: u8) {
        let mut dead: Vec<(u64, String)> = self
            .table(Side::Salesforce, Kind::Order)
            .iter()
            .filter(|(_, r)| r.life == Life::Deleted)
            .filter(|(_, r)| r.text("AccountId").is_some_and(|a| self.live(Side::Salesforce, Kind::Account, a).is_some()))
            .map(|(id, r)| (r.born, id.clone()))
            .collect();
        dead.sort();
        if dead.is_empty() {
            return;
        }
        let id = dead.swap_remove(usize::from(who) % dead.len()).1;
        let now = self.now;
        if let Some(rec) = self.rec_mut(Side::Salesforce, Kind::Order, &id) {
            rec.life = Life::Live;
            rec.stamp = now;
        }
        self.happened(Actor::User, Side::Salesforce, Kind::Order, &id, Turn::Undeleted);
        self.set(Actor::User, Side::Salesforce, Kind::Order, &id, Fields::new());
        // Lookups to it are restored.
        let named = |h: &&super::world::Happened| {
            h.side == Side::Salesforce
                && matches!(&h.what, Turn::Set { field, value } if field == "Order__c" && value.as_text() == Some(&id))
        };
        let records: std::collections::BTreeSet<String> = self.history.iter().filter(named).map(|h| h.id.clone()).collect();
        for record in records {
            if self.live(Side::Salesforce, Kind::License, &record).is_some_and(|r| r.text("Order__c").is_none()) {
                self.person_sets(Side::Salesforce, Kind::License, &record, "Order__c", Value::text(id.clone()));
            }
        }
    }

    /// Salesforce deletes no account that has activated orders; drafts and contacts go with it.
    fn delete_account(&mut self, who: u8) {
        let Some(account) = self.nth(Side::Salesforce, Kind::Account, who) else { return };
        let of = |kind: Kind| -> Vec<(String, bool)> {
            let own = self.living(Side::Salesforce, kind).filter(|(_, r)| r.text("AccountId") == Some(&account));
            own.map(|(id, r)| (id.clone(), r.text("StatusCode") == Some("Activated") || r.pending.is_some())).collect()
        };
        let (orders, contacts) = (of(Kind::Order), of(Kind::Contact));
        if orders.iter().any(|(_, active)| *active) {
            return;
        }
        for (order, _) in orders {
            self.delete(Actor::User, Side::Salesforce, Kind::Order, &order);
            for record in self.records_of(&order) {
                self.person_sets(Side::Salesforce, Kind::License, &record, "Order__c", Value::Null);
            }
        }
        for (contact, _) in contacts {
            self.delete(Actor::User, Side::Salesforce, Kind::Contact, &contact);
        }
        self.delete(Actor::User, Side::Salesforce, Kind::Account, &account);
    }

    fn merge(&mut self, winner: u8, loser: u8) {
        let (Some(winner), Some(loser)) =
            (self.nth(Side::Salesforce, Kind::Account, winner), self.nth(Side::Salesforce, Kind::Account, loser))
        else {
            return;
        };
        if winner == loser {
            return;
        }
        for kind in [Kind::Contact, Kind::Order] {
            let own = self.living(Side::Salesforce, kind).filter(|(_, r)| r.text("AccountId") == Some(&loser));
            let own: Vec<String> = own.map(|(id, _)| id.clone()).collect();
            for id in own {
                self.person_sets(Side::Salesforce, kind, &id, "AccountId", Value::text(winner.clone()));
            }
        }
        let now = self.now;
        if let Some(rec) = self.rec_mut(Side::Salesforce, Kind::Account, &loser) {
            rec.life = Life::MergedInto(winner.as_str().into());
            rec.stamp = now;
        }
        if let Some(rec) = self.rec_mut(Side::Salesforce, Kind::Account, &winner) {
            rec.stamp = now;
        }
        self.happened(Actor::User, Side::Salesforce, Kind::Account, &loser, Turn::MergedInto(winner));
    }

    fn person_changes(&mut self, side: Side, who: u8, what: What) {
        let Some(id) = self.nth(side, Kind::License, who) else { return };
        let n = self.number();
        let (salesforce, platform, value) = match what {
            What::Disable => ("Enabled__c", "enabled", Value::Bool(false)),
            What::Enable => ("Enabled__c", "enabled", Value::Bool(true)),
            What::Until(day) => ("Valid_Until__c", "validity_period", Value::Text(format!("2027-01-{:02}", u32::from(day % 28) + 1))),
            What::Activations(n) => ("Max_Activations__c", "max_activations", Value::Int(i64::from(n))),
            What::Note => ("Note__c", "note", Value::Text(format!("N{n}"))),
        };
        self.person_sets(side, Kind::License, &id, if side == Side::Salesforce { salesforce } else { platform }, value);
    }
}

/// For the count of what people did.
pub const fn word(edit: Edit) -> &'static str {
    match edit {
        Edit::Customer => "customer",
        Edit::Contact { .. } => "contact",
        Edit::Order { .. } => "order",
        Edit::Activate { .. } => "activate",
        Edit::LateActivate { .. } => "late-activate",
        Edit::Deactivate { .. } => "deactivate",
        Edit::Cancel { .. } => "cancel",
        Edit::Amend { how: Amendment::Add(_), .. } => "add-a-line",
        Edit::Amend { how: Amendment::Quantity { .. }, .. } => "change-a-quantity",
        Edit::Amend { how: Amendment::Remove { .. }, .. } => "remove-a-line",
        Edit::Amend { how: Amendment::Product { .. }, .. } => "change-a-product",
        Edit::Amend { how: Amendment::Contact, .. } => "another-contact",
        Edit::DeleteOrder { .. } => "delete-order",
        Edit::UndeleteOrder { .. } => "undelete-order",
        Edit::DeleteAccount { .. } => "delete-account",
        Edit::MergeAccounts { .. } => "merge-accounts",
        Edit::License { side: Side::Salesforce, .. } => "license-in-salesforce",
        Edit::License { side: Side::Platform, .. } => "license-on-the-platform",
        Edit::Devices { .. } => "devices",
        Edit::Reset { .. } => "ask-for-a-reset",
        Edit::DeleteRecord { .. } => "delete-record",
        Edit::DeleteLicense { .. } => "delete-license",
        Edit::DeleteOrderThere { .. } => "delete-order-there",
        Edit::Poison { .. } => "poison",
        Edit::Heal => "heal",
    }
}
