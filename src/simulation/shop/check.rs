//! What must hold of orders when everything is quiet. O1, O2, O4, O5 and S9 are judged at every single write as well
//! (`platform.rs`).
//!
//! O1 exactly once: no second order for a Salesforce order, no second license for a unit. O2: nothing is issued that no active
//! order called for. O3: everything an active order calls for is there, as amended last. O4: nothing is taken away, given or
//! changed that nobody asked for. O5: a reset asked for once is done once, and its outcome stands in Salesforce. O6: every
//! license has one record in Salesforce, and both say the same. O7: the order says how it stands.

use super::face::UNIT;
use super::play::Play;
use super::said::{Said, Sold, State, sold, split};
use super::script::Kind;
use super::world::{Actor, Rec, Turn, World};
use crate::record::{Life, Side, Value};
use crate::rules::{OnContactChange, OnLess, OnLoss, OnMore, OnSalesforceDelete};
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// What the store remembers, as plain rows.
struct Memory {
    links: Vec<Pair>,
    quarantined: BTreeMap<(String, String, String), String>,
    open: BTreeSet<[String; 2]>,
    intents: BTreeMap<i64, (String, String)>,
}

struct Pair {
    object: String,
    salesforce: String,
    platform: String,
    state: String,
}

fn rows(store: &Store, table: &str) -> anyhow::Result<Vec<BTreeMap<String, Option<String>>>> {
    let table = store.view(table, "1", "", u32::MAX)?;
    Ok(table.rows.into_iter().map(|row| table.columns.iter().cloned().zip(row).collect()).collect())
}

fn text(row: &BTreeMap<String, Option<String>>, name: &str) -> String {
    row.get(name).cloned().flatten().unwrap_or_default()
}

impl Memory {
    fn of(store: &Store) -> anyhow::Result<Self> {
        let pair = |r: &BTreeMap<_, _>| Pair {
            object: text(r, "object"),
            salesforce: text(r, "salesforce_id"),
            platform: text(r, "platform_id"),
            state: text(r, "state"),
        };
        let parked = |r: &BTreeMap<_, _>| ((text(r, "object"), text(r, "side"), text(r, "id")), text(r, "code"));
        let conflicts = rows(store, "conflict")?;
        let open = conflicts.iter().filter(|r| text(r, "state") == "open");
        let intent = |r: &BTreeMap<_, _>| {
            let what = format!("{} {} on {}", text(r, "verb"), text(r, "object"), text(r, "side"));
            (text(r, "id").parse().unwrap_or(0), (what, text(r, "state")))
        };
        Ok(Self {
            links: rows(store, "links")?.iter().map(pair).collect(),
            quarantined: rows(store, "quarantined")?.iter().map(parked).collect(),
            open: open.map(|r| [text(r, "salesforce_id"), text(r, "platform_id")]).collect(),
            intents: rows(store, "intent")?.iter().map(intent).collect(),
        })
    }

    fn parked(&self, kind: Kind, side: Side, id: &str) -> Option<&str> {
        self.quarantined.get(&(kind.object().to_owned(), side.as_str().to_owned(), id.to_owned())).map(String::as_str)
    }

    /// The living partner of a living record.
    fn partner(&self, kind: Kind, salesforce: &str) -> Option<&str> {
        self.links
            .iter()
            .find(|l| l.object == kind.object() && l.salesforce == salesforce && l.state == "live")
            .map(|l| l.platform.as_str())
    }

    fn here(&self, kind: Kind, platform: &str) -> Option<&str> {
        self.links.iter().find(|l| l.object == kind.object() && l.platform == platform && l.state == "live").map(|l| l.salesforce.as_str())
    }
}

type Found = Vec<(&'static str, String)>;

pub fn at_rest(play: &Play) {
    for wrong in play.store.soundness().unwrap_or_else(|e| vec![format!("{e:#}")]) {
        play.breaks("S13", wrong);
    }
    let memory = match Memory::of(&play.store) {
        Ok(memory) => memory,
        Err(error) => return play.breaks("S13", format!("the store cannot be read: {error:#}")),
    };
    let found = play.world(|world| {
        let mut found = Vec::new();
        every_write_has_one_outcome(world, &memory, &mut found);
        nothing_is_there_twice(world, &mut found);
        // Deleted before an answer told that it was there: nobody can know that it ever was.
        for (_, what) in world.again.iter().filter(|(first, _)| memory.intents.get(first).is_none_or(|(_, state)| state != "dropped")) {
            found.push(("O1", what.clone()));
        }
        let empty = Said::default();
        for (id, order) in world.living(Side::Salesforce, Kind::Order) {
            let said = world.said.get(id).unwrap_or(&empty);
            OrderCheck { world, memory: &memory, id, order, said }.check(&mut found);
        }
        lost_orders_are_disabled(world, &mut found);
        for (id, license) in world.living(Side::Platform, Kind::License) {
            license_is_in_salesforce(world, &memory, id, license, &mut found);
        }
        resets_are_answered(world, &memory, &mut found);
        found
    });
    for (rule, what) in found {
        play.breaks(rule, what);
    }
}

/// S11: a write that reached a side is one intent that is done.
fn every_write_has_one_outcome(world: &World, memory: &Memory, found: &mut Found) {
    let wrote: BTreeSet<i64> =
        world.history.iter().filter_map(|h| if let Actor::Daemon { intent } = h.actor { Some(intent) } else { None }).collect();
    for id in wrote {
        match memory.intents.get(&id) {
            None => found.push(("S11", format!("intent {id} wrote, and the journal does not know it"))),
            Some((_, state)) if matches!(state.as_str(), "dropped" | "rejected") && touched_after(world, id) => {}
            Some((what, state)) if state != "done" => {
                found.push(("S11", format!("intent {id} ({what}) wrote, and the journal says {state}")));
            }
            Some(_) => {}
        }
    }
    for (id, (what, state)) in memory.intents.iter().filter(|(_, (_, s))| matches!(s.as_str(), "promised" | "unknown")) {
        found.push(("S11", format!("intent {id} ({what}) is {state} and nobody looks")));
    }
}

/// Whether a person touched the record of this write after it: nobody can tell any more what became of it.
fn touched_after(world: &World, intent: i64) -> bool {
    let Some(write) = world.history.iter().rev().find(|h| h.actor == (Actor::Daemon { intent })) else { return false };
    world.history.iter().any(|h| h.at > write.at && h.side == write.side && h.id == write.id && h.actor == Actor::User)
}

/// O1, O6: at most one living record by what it stands for.
fn nothing_is_there_twice(world: &World, found: &mut Found) {
    for (rule, side, kind, key) in [
        ("O1", Side::Platform, Kind::Order, "store_id"),
        ("O1", Side::Platform, Kind::License, UNIT),
        ("O1", Side::Platform, Kind::Contact, "reference"),
        ("O1", Side::Platform, Kind::Account, "code"),
        ("O6", Side::Salesforce, Kind::License, "Lockstep_Id__c"),
        ("O6", Side::Salesforce, Kind::License, "License_Key__c"),
    ] {
        let mut by_key: BTreeMap<&str, u32> = BTreeMap::new();
        for value in world.living(side, kind).filter_map(|(_, r)| r.text(key)) {
            *by_key.entry(value).or_default() += 1;
        }
        for (value, n) in by_key.into_iter().filter(|(_, n)| *n > 1) {
            let value = if key == "License_Key__c" { "the same key" } else { value };
            found.push((rule, format!("{side} has {n} living {}s with {key} = {value}", kind.object())));
        }
    }
}

/// Whether a person changed this field of a license, on either side.
fn touched(world: &World, license: &str, fields: [&str; 2]) -> bool {
    let records = world.records_of_license(license);
    world.history.iter().any(|h| {
        let own = (h.side == Side::Platform && h.id == license) || (h.side == Side::Salesforce && records.contains(&h.id));
        own && h.actor == Actor::User && matches!(&h.what, Turn::Set { field, .. } if fields.contains(&field.as_str()))
    })
}

fn by_a_person(world: &World, side: Side, kind: Kind, id: &str, what: &Turn) -> bool {
    world.history.iter().any(|h| h.side == side && h.kind == kind && h.id == id && h.what == *what && h.actor == Actor::User)
}

/// O3, O7: one order of Salesforce.
struct OrderCheck<'a> {
    world: &'a World,
    memory: &'a Memory,
    id: &'a str,
    order: &'a Rec,
    said: &'a Said,
}

impl OrderCheck<'_> {
    fn check(&self, found: &mut Found) {
        let Some(now) = self.said.states.last() else { return };
        let store_id = format!("SF-{}", self.id);
        let there = self.world.table(Side::Platform, Kind::Order).iter().find(|(_, r)| r.text("store_id") == Some(&store_id));
        if !self.said.ever_due() && there.is_some() {
            found.push(("O2", format!("{} was never due and is on the platform", self.id)));
        }
        let parked = self.memory.parked(Kind::Order, Side::Salesforce, self.id);
        if let Some(why) = self.kept(now, there.is_some()) {
            // Only what can be told from outside keeps an order back.
            if there.is_none() && now.due && parked.is_none() && why != "waits" && why != "nothing" {
                found.push(("O3", format!("{} cannot be licensed ({why}), and no row says so", self.id)));
            }
            return;
        }
        let Some((platform, there)) = there else {
            found.push(("O3", format!("{} is due and was never issued; parked: {parked:?}", self.id)));
            return;
        };
        if there.life != Life::Live || self.amended_in_vain(platform) {
            return;
        }
        if let Some(code) = parked {
            found.push(("L1", format!("{} is parked ({code}), and nothing is wrong with it", self.id)));
            return;
        }
        if self.memory.partner(Kind::Order, self.id) != Some(platform) {
            found.push(("O3", format!("{} and {platform} are not linked", self.id)));
        }
        for line in &now.lines {
            self.line(platform, &line.id, line.quantity, sold(&line.code), found);
        }
        self.removed(platform, now, found);
        self.customer(there, now, found);
        self.tells(platform, found);
    }

    /// What keeps the order from being licensed as it is, seen from outside. A product that changed before anything was issued
    /// is the product.
    fn kept(&self, now: &State, issued: bool) -> Option<&'static str> {
        if !now.due {
            return Some("not due");
        }
        for line in &now.lines {
            match sold(&line.code) {
                Sold::Unmapped => return Some("unmapped"),
                Sold::Nothing => {}
                Sold::Activations(_) | Sold::Licenses(_) if line.quantity < 1 => return Some("bad quantity"),
                Sold::Activations(_) | Sold::Licenses(_) => {}
            }
            let products = self.said.due_states().filter_map(|s| s.line(&line.id)).map(|l| sold(&l.code).product());
            if issued && products.collect::<BTreeSet<_>>().len() > 1 {
                return Some("product changed");
            }
        }
        if now.lines.iter().all(|l| sold(&l.code) == Sold::Nothing) {
            return Some("nothing");
        }
        let Some(contact) = &now.contact else { return Some("no contact") };
        let account = self.order.text("AccountId").unwrap_or_default();
        let linked = self.memory.partner(Kind::Contact, contact).is_some() && self.memory.partner(Kind::Account, account).is_some();
        (!linked).then_some("waits")
    }

    fn licenses(&self, order: &str) -> impl Iterator<Item = (&String, &Rec)> {
        self.world.table(Side::Platform, Kind::License).iter().filter(move |(_, r)| r.text("order") == Some(order))
    }

    /// An amendment that names a license which a person deleted is refused as a whole.
    fn amended_in_vain(&self, platform: &str) -> bool {
        self.licenses(platform).any(|(_, r)| r.life != Life::Live) && self.said.due_states().count() > 1
    }

    fn units(&self, platform: &str, line: &str) -> BTreeMap<i64, (&String, &Rec)> {
        let of = |(id, r): (&'_ String, &'_ Rec)| {
            let _ = id;
            r.text(UNIT).and_then(split).filter(|(l, _)| *l == line).map(|(_, n)| n)
        };
        self.licenses(platform).filter_map(|(id, r)| Some((of((id, r))?, (id, r)))).collect()
    }

    /// What may ever have disabled its licenses by the rules.
    fn was_lost(&self) -> bool {
        let rules = self.world.settings;
        let first = self.said.states.iter().position(|s| s.due).unwrap_or(0);
        self.said.states[first..].iter().any(|s| {
            (s.cancelled && rules.on_cancel == OnLoss::Disable)
                || (!s.due && !s.cancelled && rules.on_deactivate == OnLoss::Disable)
                || (s.deleted && rules.on_order_delete == OnSalesforceDelete::Disable)
        })
    }

    fn line(&self, platform: &str, line: &str, quantity: i64, what: Sold, found: &mut Found) {
        let rules = self.world.settings;
        let quantities: Vec<i64> = self.said.due_states().map(|s| s.line(line).map_or(0, |l| l.quantity)).collect();
        let most = quantities.iter().copied().max().unwrap_or(0);
        let least = if rules.on_more == OnMore::Add { quantity } else { quantities.iter().copied().min().unwrap_or(0) };
        let units = self.units(platform, line);
        let made = i64::try_from(units.len()).unwrap_or(0);
        let name = format!("line {line} ({what:?}) of {} for {quantity}", self.id);
        if !units.keys().copied().eq(1..=made) || made < what.units(least) || made > what.units(most) {
            let units: Vec<&i64> = units.keys().collect();
            found.push(("O3", format!("{name} has units {units:?}; {} to {} are called for", what.units(least), what.units(most))));
            return;
        }
        for (n, (id, license)) in units.iter().filter(|(_, (_, r))| r.life == Life::Live) {
            if license.text("product") != what.product() {
                found.push(("O3", format!("{name} is licensed as {:?}", license.text("product"))));
            }
            let held = license.int("max_activations").unwrap_or(0);
            if matches!(what, Sold::Activations(_)) && !touched(self.world, id, ["max_activations", "Max_Activations__c"]) {
                let exact = rules.on_less == OnLess::Lower && rules.on_more == OnMore::Add;
                let fits = if exact { held == quantity } else { least <= held && held <= most };
                if !fits {
                    found.push(("O3", format!("{name} has {held} activations; {least} to {most} are called for")));
                }
            }
            if touched(self.world, id, ["enabled", "Enabled__c"]) {
                continue;
            }
            let too_many = matches!(what, Sold::Licenses(_)) && *n > quantity;
            if license.is("enabled") && too_many && rules.on_less == OnLess::Lower {
                found.push(("O3", format!("{name}: unit {n} is too many and enabled")));
            }
            if !license.is("enabled") && *n <= what.units(quantity) && !self.was_lost() && rules.on_more == OnMore::Add {
                found.push(("O4", format!("{name}: unit {n} is disabled, and nobody asked for it")));
            }
        }
    }

    fn removed(&self, platform: &str, now: &State, found: &mut Found) {
        if self.world.settings.on_line_removed != OnLoss::Disable {
            return;
        }
        for (id, license) in self.licenses(platform).filter(|(_, r)| r.life == Life::Live && r.is("enabled")) {
            let line = license.text(UNIT).and_then(split).map(|(line, _)| line).unwrap_or_default();
            if now.line(line).is_none() && !touched(self.world, id, ["enabled", "Enabled__c"]) {
                found.push(("O3", format!("line {line} of {} is gone and its license {id} is enabled", self.id)));
            }
        }
    }

    fn customer(&self, there: &Rec, now: &State, found: &mut Found) {
        if self.world.settings.on_contact_change != OnContactChange::Reassign {
            return;
        }
        let wanted = now.contact.as_ref().and_then(|c| self.memory.partner(Kind::Contact, c));
        if there.text("customer") != wanted {
            found.push(("O3", format!("{} is for customer {wanted:?}, and the platform has {:?}", self.id, there.text("customer"))));
        }
    }

    /// O7, where everything is as it should be.
    fn tells(&self, platform: &str, found: &mut Found) {
        let complete = self.licenses(platform).all(|(id, r)| r.life == Life::Live && self.memory.here(Kind::License, id).is_some());
        if !complete {
            return;
        }
        let status = self.order.text("License_Status__c");
        if status != Some("Provisioned") || self.order.text("License_Platform_Id__c") != Some(platform) {
            let says = self.order.text("License_Message__c");
            found.push(("O7", format!("{} has all its licenses and says {status:?}: {says:?}", self.id)));
        }
        let sold = i64::try_from(self.licenses(platform).count()).ok();
        if self.order.int("Licenses_Sold__c") != sold {
            found.push(("O7", format!("{} has {sold:?} licenses and says {:?}", self.id, self.order.int("Licenses_Sold__c"))));
        }
    }
}

/// O3: what was called off or deleted is disabled where the rules say so.
fn lost_orders_are_disabled(world: &World, found: &mut Found) {
    for (order, said) in &world.said {
        let Some(now) = said.states.last().filter(|_| said.ever_due()) else { continue };
        let rules = world.settings;
        let off = if now.deleted {
            // What was lost in another way before it was deleted was answered by that.
            rules.on_order_delete == OnSalesforceDelete::Disable
        } else {
            (now.cancelled && rules.on_cancel == OnLoss::Disable)
                || (!now.cancelled && !now.activated && rules.on_deactivate == OnLoss::Disable)
        };
        if !off {
            continue;
        }
        let store_id = format!("SF-{order}");
        for (id, license) in world.living(Side::Platform, Kind::License).filter(|(_, r)| r.text("order_store_id") == Some(&store_id)) {
            if license.is("enabled") && !touched(world, id, ["enabled", "Enabled__c"]) {
                found.push(("O3", format!("{order} is called off, a draft or deleted, and its license {id} is enabled")));
            }
        }
    }
}

/// O6: one license of the platform.
fn license_is_in_salesforce(world: &World, memory: &Memory, id: &str, license: &Rec, found: &mut Found) {
    let records = world.records_of_license(id);
    let deleted = records.iter().any(|r| by_a_person(world, Side::Salesforce, Kind::License, r, &Turn::Deleted));
    let live: Vec<&String> = records.iter().filter(|r| world.live(Side::Salesforce, Kind::License, r).is_some()).collect();
    let order = license.text("order").and_then(|order| memory.here(Kind::Order, order));
    let Some(order) = order.filter(|o| world.live(Side::Salesforce, Kind::Order, o).is_some()) else { return };
    let parked = memory.parked(Kind::License, Side::Platform, id);
    let [record] = live.as_slice() else {
        // A record may name a contact that is gone.
        let contact = license.text("customer").is_none_or(|c| memory.here(Kind::Contact, c).is_some());
        if !deleted && contact {
            found.push(("O6", format!("license {id} has {} living records in Salesforce; parked: {parked:?}", live.len())));
        }
        return;
    };
    let Some(here) = world.live(Side::Salesforce, Kind::License, record) else { return };
    if memory.here(Kind::License, id) != Some(record.as_str()) {
        found.push(("O6", format!("license {id} and its record {record} are not linked")));
        return;
    }
    if parked.is_some() || memory.parked(Kind::License, Side::Salesforce, record).is_some() {
        found.push(("L1", format!("license {id} or its record is parked, and nothing is wrong with it")));
        return;
    }
    if memory.open.contains(&[(*record).clone(), id.to_owned()]) {
        return;
    }
    for (there_name, here_name) in [
        ("enabled", "Enabled__c"),
        ("validity_period", "Valid_Until__c"),
        ("max_activations", "Max_Activations__c"),
        ("note", "Note__c"),
        ("times_activated", "Activations__c"),
        ("license_key", "License_Key__c"),
        (UNIT, "Order_Line__c"),
    ] {
        let (there, here) = (&license.fields[there_name], &here.fields[here_name]);
        if there != here && !(there.is_blank() && here.is_blank()) {
            let says = if there_name == "license_key" { String::new() } else { format!(": {there} and {here}") };
            found.push(("O6", format!("license {id}.{there_name} and {record}.{here_name} are not in step{says}")));
        }
    }
    let blanked = by_a_person(world, Side::Salesforce, Kind::Order, order, &Turn::Deleted);
    if here.text("Order__c") != Some(order) && !blanked {
        found.push(("O6", format!("{record} is of {order} and names {:?}", here.fields.get("Order__c"))));
    }
    let contact = license.text("customer").and_then(|c| memory.here(Kind::Contact, c));
    if contact.is_some() && here.text("Contact__c") != contact {
        found.push(("O6", format!("{record} is of {contact:?} and names {:?}", here.fields.get("Contact__c"))));
    }
}

/// O5.
fn resets_are_answered(world: &World, memory: &Memory, found: &mut Found) {
    for (record, here) in world.living(Side::Salesforce, Kind::License) {
        let asked = by_a_person(world, Side::Salesforce, Kind::License, record, &Turn::AskedForReset);
        let license = here.text("Lockstep_Id__c").and_then(|t| t.strip_prefix("acme-license-")).unwrap_or_default();
        if !asked || world.live(Side::Platform, Kind::License, license).is_none() || memory.here(Kind::License, license).is_none() {
            continue;
        }
        let outcome = here.fields.get("Reset_Outcome__c").and_then(Value::as_text).unwrap_or_default();
        if here.is("Reset_Requested__c") || outcome.is_empty() {
            found.push(("O5", format!("a reset of {license} is asked for, and nothing says what became of it: {outcome:?}")));
            continue;
        }
        let (_, done) = world.resets(license);
        if outcome.contains("released") && !outcome.contains("released 0") && done == 0 {
            found.push(("O5", format!("{record} says {outcome:?}, and nothing was reset")));
        }
    }
}
