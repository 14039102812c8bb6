//! Two systems as plain data, with everything that ever happened to them. The daemon sees them through `face.rs` only; the
//! checks see all of it.

use super::script::{Edit, Event, FaultWord, How, Kind, Settings, Trouble};
use crate::record::{Fields, Life, Side, Sides, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The clock of every schedule starts here.
pub const START: i64 = 1_767_225_600;

/// The record that was born last, and the one before it, where a place among the living is asked for.
pub const NEWEST: u8 = u8::MAX;
pub const BEFORE_NEWEST: u8 = u8::MAX - 1;

/// How far back the simulated Salesforce reads before its watermark.
pub const LOOKBACK: i64 = 600;

#[derive(Debug, Clone)]
pub struct Rec {
    pub fields: Fields,
    pub life: Life,
    /// Not even the recycle bin has it.
    pub purged: bool,
    pub stamp: i64,
    pub born: u64,
    pub poisoned: bool,
    /// An edit that is stamped and not committed.
    pub pending: Option<Pending>,
}

#[derive(Debug, Clone)]
pub struct Pending {
    pub until: i64,
    pub stamp: i64,
    pub field: &'static str,
    pub value: Value,
}

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    User,
    /// The system's own automation, after somebody's write.
    Trigger,
    Daemon {
        intent: i64,
    },
}

/// One thing that happened, for ever.
#[derive(Debug, Clone)]
pub struct Happened {
    pub at: u64,
    pub actor: Actor,
    pub side: Side,
    pub kind: Kind,
    pub id: String,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub enum What {
    Created,
    Set { field: String, value: Value },
    Deleted,
    Undeleted,
    MergedInto(String),
}

/// A run from its first tick to its last, and when it began.
pub struct Ran {
    pub from: u64,
    pub to: u64,
    pub when: i64,
    /// Somebody had said yes to everything.
    pub asked: bool,
    /// A reading of it looked complete and was not.
    pub lied: bool,
}

/// An order to the world that is carried out later than it was given.
pub struct Delayed {
    pub at_call: u64,
    pub side: Side,
    pub write: crate::plan::Write,
}

pub struct World {
    pub settings: Settings,
    pub now: i64,
    /// Counts everything that happens.
    pub tick: u64,
    pub sides: Sides<BTreeMap<Kind, BTreeMap<String, Rec>>>,
    pub history: Vec<Happened>,
    pub hidden: BTreeSet<(Side, Kind, &'static str)>,
    /// As the daemon was last told.
    pub told_hidden: BTreeSet<(Side, Kind, &'static str)>,
    pub ever_hidden: BTreeSet<(Side, Kind, &'static str)>,
    pub calls: Sides<u64>,
    /// Calls of this run, and what is to happen at them.
    pub call: u64,
    pub events: Vec<(u64, Event)>,
    pub delayed: Vec<Delayed>,
    pub stop: tokio_util::sync::CancellationToken,
    pub broken: Vec<String>,
    pub cells: BTreeMap<Cell, u64>,
    pub user_edits: u64,
    /// When somebody asked for everything.
    pub full_runs: Vec<u64>,
    pub runs: Vec<Ran>,
    /// A reading of this run looked complete and was not.
    pub lied: bool,
    pub trace: xxhash_rust::xxh3::Xxh3,
    /// Every line of the trace, where somebody wants to read it.
    pub story: Option<Vec<String>>,
    counter: u64,
}

/// One kind of trouble at one kind of call on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    pub fault: &'static str,
    /// A side, or the store.
    pub place: &'static str,
    pub op: &'static str,
}

/// The fields of a kind on a side: its name, the field of the partner, whether it travels there and back.
pub const FIELDS: [(&str, &str); 4] = [("Name", "name"), ("Phone", "phone"), ("Description", "description"), ("NumberOfEmployees", "size")];

/// What carries the other side's id.
#[must_use]
pub const fn planted(side: Side) -> &'static str {
    match side {
        Side::Salesforce => "Lockstep_Id__c",
        Side::Platform => "code",
    }
}

#[must_use]
pub const fn parent(side: Side) -> &'static str {
    match side {
        Side::Salesforce => "AccountId",
        Side::Platform => "account",
    }
}

/// What Salesforce's automation fills.
pub const TRIGGERED: (&str, &str) = ("Site", "site");

#[must_use]
pub fn field_on(side: Side, field: usize) -> &'static str {
    let (salesforce, platform) = FIELDS[field % FIELDS.len()];
    match side {
        Side::Salesforce => salesforce,
        Side::Platform => platform,
    }
}

impl World {
    #[must_use]
    pub fn new(settings: Settings, tell: bool) -> Self {
        let kinds = || Kind::ALL.into_iter().map(|k| (k, BTreeMap::new())).collect();
        Self {
            settings,
            now: START,
            tick: 0,
            sides: Sides::new(kinds(), kinds()),
            history: Vec::new(),
            hidden: BTreeSet::new(),
            told_hidden: BTreeSet::new(),
            ever_hidden: BTreeSet::new(),
            calls: Sides::default(),
            call: 0,
            events: Vec::new(),
            delayed: Vec::new(),
            stop: tokio_util::sync::CancellationToken::new(),
            broken: Vec::new(),
            cells: BTreeMap::new(),
            user_edits: 0,
            full_runs: Vec::new(),
            runs: Vec::new(),
            lied: false,
            trace: xxhash_rust::xxh3::Xxh3::new(),
            story: tell.then(Vec::new),
            counter: 0,
        }
    }

    pub fn tell(&mut self, line: &str) {
        self.trace.update(line.as_bytes());
        self.trace.update(b"\n");
        if let Some(story) = &mut self.story {
            story.push(line.to_owned());
        }
    }

    pub fn breaks(&mut self, rule: &str, what: String) {
        let line = format!("{rule}: {what}");
        self.tell(&format!("!! {line}"));
        self.broken.push(line);
    }

    #[must_use]
    pub fn table(&self, side: Side, kind: Kind) -> &BTreeMap<String, Rec> {
        &self.sides[side][&kind]
    }

    pub fn rec_mut(&mut self, side: Side, kind: Kind, id: &str) -> Option<&mut Rec> {
        self.sides[side].get_mut(&kind)?.get_mut(id)
    }

    #[must_use]
    pub fn rec(&self, side: Side, kind: Kind, id: &str) -> Option<&Rec> {
        self.sides[side].get(&kind)?.get(id)
    }

    fn number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    fn happened(&mut self, actor: Actor, side: Side, kind: Kind, id: &str, what: What) {
        self.tick += 1;
        let mut line = String::new();
        let _ = write!(line, "{} {side} {} {id}: {}", who_word(actor), kind.object(), what_word(&what));
        self.tell(&line);
        self.history.push(Happened { at: self.tick, actor, side, kind, id: id.to_owned(), what });
    }

    /// Time passes, and what was stamped earlier is committed when its moment comes.
    pub fn pass(&mut self, seconds: i64) {
        self.now += seconds;
        let due: Vec<(Kind, String)> = Kind::ALL
            .into_iter()
            .flat_map(|k| self.sides.salesforce[&k].iter().map(move |(id, r)| (k, id, r)))
            .filter(|(_, _, r)| r.pending.as_ref().is_some_and(|p| p.until <= self.now))
            .map(|(k, id, _)| (k, id.clone()))
            .collect();
        for (kind, id) in due {
            self.commit_late(kind, &id);
        }
    }

    fn commit_late(&mut self, kind: Kind, id: &str) {
        let Some(rec) = self.rec_mut(Side::Salesforce, kind, id) else { return };
        let Some(pending) = rec.pending.take() else { return };
        let beyond = pending.until - pending.stamp > LOOKBACK;
        if rec.life != Life::Live {
            return;
        }
        rec.stamp = rec.stamp.max(pending.stamp);
        rec.fields.insert(pending.field.to_owned(), pending.value.clone());
        self.user_edits += 1;
        self.count(if beyond { "late-commit-beyond-the-lookback" } else { "late-commit" }, "salesforce", "people");
        self.happened(Actor::User, Side::Salesforce, kind, id, What::Set { field: pending.field.to_owned(), value: pending.value });
        if pending.field == "Name" {
            self.fire(kind, id);
        }
    }

    /// Whether anything is still to be committed, and until when.
    #[must_use]
    pub fn last_pending(&self) -> Option<i64> {
        Kind::ALL.into_iter().flat_map(|k| self.sides.salesforce[&k].values()).filter_map(|r| r.pending.as_ref()).map(|p| p.until).max()
    }

    /// Something happened that a delta cannot show: a commit older than the lookback, a purge, a field that may be read again.
    #[must_use]
    pub fn needs_whole(&self) -> bool {
        !self.ever_hidden.is_empty() || self.cells.keys().any(|c| matches!(c.fault, "late-commit-beyond-the-lookback" | "purge"))
    }

    // ------------------------------------------------------------------ writing, whoever does it

    pub fn create(&mut self, actor: Actor, side: Side, kind: Kind, fields: Fields) -> String {
        let n = self.number();
        let id = match side {
            Side::Salesforce => salesforce_id(kind, n),
            Side::Platform => format!("{}", 1_000 + n),
        };
        let rec = Rec {
            fields: blank_fields(side, kind),
            life: Life::Live,
            purged: false,
            stamp: self.now,
            born: n,
            poisoned: false,
            pending: None,
        };
        self.sides[side].entry(kind).or_default().insert(id.clone(), rec);
        self.happened(actor, side, kind, &id, What::Created);
        self.set(actor, side, kind, &id, fields);
        id
    }

    pub fn set(&mut self, actor: Actor, side: Side, kind: Kind, id: &str, fields: Fields) {
        let lowers = self.settings.lowers && side == Side::Platform;
        let now = self.now;
        let mut named = false;
        for (field, value) in fields {
            let value = match value {
                Value::Text(t) if lowers && field == "phone" => Value::Text(t.to_lowercase()),
                Value::Text(t) if t.is_empty() => Value::Null,
                other => other,
            };
            named |= field == "Name";
            let Some(rec) = self.rec_mut(side, kind, id) else { return };
            rec.fields.insert(field.clone(), value.clone());
            rec.stamp = rec.stamp.max(now);
            self.happened(actor, side, kind, id, What::Set { field, value });
        }
        if side == Side::Salesforce && named {
            self.fire(kind, id);
        }
    }

    fn fire(&mut self, kind: Kind, id: &str) {
        if !self.settings.trigger || kind != Kind::Account {
            return;
        }
        let now = self.now;
        let Some(rec) = self.rec_mut(Side::Salesforce, kind, id) else { return };
        let name = rec.fields.get("Name").and_then(Value::as_text).unwrap_or_default().to_owned();
        let value = Value::Text(format!("site of {name}"));
        rec.fields.insert(TRIGGERED.0.to_owned(), value.clone());
        rec.stamp = rec.stamp.max(now);
        self.happened(Actor::Trigger, Side::Salesforce, kind, id, What::Set { field: TRIGGERED.0.to_owned(), value });
    }

    pub fn delete(&mut self, actor: Actor, side: Side, kind: Kind, id: &str) {
        let now = self.now;
        let Some(rec) = self.rec_mut(side, kind, id).filter(|r| r.life == Life::Live) else { return };
        rec.life = Life::Deleted;
        rec.stamp = now;
        rec.pending = None;
        rec.purged = side == Side::Platform;
        self.happened(actor, side, kind, id, What::Deleted);
    }

    // ------------------------------------------------------------------ people

    /// One thing a person does; nothing where there is nobody to do it to.
    pub fn edit(&mut self, edit: Edit) {
        let before = self.history.len();
        self.by_hand(edit);
        let own: Vec<(Side, What)> =
            self.history[before..].iter().filter(|h| h.actor == Actor::User).map(|h| (h.side, h.what.clone())).collect();
        self.user_edits += u64::from(!own.is_empty());
        for (side, what) in own {
            match what {
                What::MergedInto(_) => self.count("merge", side.as_str(), "people"),
                What::Undeleted => self.count("undelete", side.as_str(), "people"),
                What::Deleted if matches!(edit, Edit::Purge { .. }) => self.count("purge", side.as_str(), "people"),
                What::Created if self.call > 0 => self.count("edit-in-a-run", side.as_str(), "created"),
                What::Deleted if self.call > 0 => self.count("edit-in-a-run", side.as_str(), "deleted"),
                What::Set { .. } if self.call > 0 => self.count("edit-in-a-run", side.as_str(), "set"),
                _ => {}
            }
        }
    }

    fn by_hand(&mut self, edit: Edit) {
        match edit {
            Edit::Create { side, kind, twin } => self.person_creates(side, kind, twin),
            Edit::Set { side, kind, who, field, how } => {
                let Some(id) = self.living(side, kind, who) else { return };
                let name = field_on(side, usize::from(field));
                let value = match how {
                    How::Token => self.token(name),
                    How::Blank if name.eq_ignore_ascii_case("name") => self.token(name),
                    How::Blank => Value::Null,
                    How::Zero if matches!(name, "NumberOfEmployees" | "size") => Value::Int(0),
                    How::Zero => self.token(name),
                    How::Same => match self.partner_value(side, kind, &id, usize::from(field)) {
                        Some(value) => value,
                        None => self.token(name),
                    },
                };
                self.person_sets(side, kind, &id, name, value);
            }
            Edit::Late { kind, who, field, by } => {
                let Some(id) = self.living(Side::Salesforce, kind, who) else { return };
                let name = field_on(Side::Salesforce, usize::from(field));
                let value = self.token(name);
                let (now, until) = (self.now, self.now + i64::from(by));
                let Some(rec) = self.rec_mut(Side::Salesforce, kind, &id).filter(|r| r.pending.is_none()) else { return };
                rec.pending = Some(Pending { until, stamp: now, field: name, value });
                self.tell(&format!("user begins a late edit of {id}.{name}"));
            }
            Edit::Move { who, to } => {
                let (Some(id), Some(account)) =
                    (self.living(Side::Salesforce, Kind::Contact, who), self.living(Side::Salesforce, Kind::Account, to))
                else {
                    return;
                };
                self.person_sets(Side::Salesforce, Kind::Contact, &id, "AccountId", Value::Text(account));
            }
            Edit::Delete { side, kind, who } => {
                let Some(id) = self.living(side, kind, who) else { return };
                self.person_deletes(side, kind, &id);
            }
            Edit::Undelete { kind, who } => self.person_undeletes(kind, who),
            Edit::Purge { kind, who } => {
                let Some(id) = self.living(Side::Salesforce, kind, who) else { return };
                self.person_deletes(Side::Salesforce, kind, &id);
                if let Some(rec) = self.rec_mut(Side::Salesforce, kind, &id) {
                    rec.purged = true;
                }
            }
            Edit::Merge { kind, winner, loser } => {
                let (Some(winner), Some(loser)) = (self.living(Side::Salesforce, kind, winner), self.living(Side::Salesforce, kind, loser))
                else {
                    return;
                };
                if winner != loser {
                    self.person_merges(kind, &winner, &loser);
                }
            }
            Edit::Poison { side, kind, who } => {
                if let Some(id) = self.living(side, kind, who)
                    && let Some(rec) = self.rec_mut(side, kind, &id)
                {
                    rec.poisoned = true;
                    self.count("refused-for-good", side.as_str(), "people");
                    self.tell(&format!("every write to {side} {id} is refused from now on"));
                }
            }
            Edit::Hide { side, kind, field } => {
                let name = field_on(side, usize::from(field));
                if !name.eq_ignore_ascii_case("name") {
                    self.hidden.insert((side, kind, name));
                    self.ever_hidden.insert((side, kind, name));
                    self.count("field-hidden", side.as_str(), "people");
                    self.tell(&format!("{side} {} {name} is hidden", kind.object()));
                }
            }
            Edit::Heal => self.heal(),
        }
    }

    pub fn heal(&mut self) {
        self.hidden.clear();
        for side in Side::BOTH {
            for rec in self.sides[side].values_mut().flat_map(BTreeMap::values_mut) {
                rec.poisoned = false;
            }
        }
        self.tell("healed");
    }

    fn token(&mut self, field: &str) -> Value {
        let n = self.number();
        if matches!(field, "NumberOfEmployees" | "size") {
            Value::Int(i64::try_from(n % 3_000_000_000).unwrap_or(0) * 3)
        } else {
            Value::Text(format!("T{n}"))
        }
    }

    /// The `who`-th of the living, in the order they were born, or counted from the newest back.
    fn living(&self, side: Side, kind: Kind, who: u8) -> Option<String> {
        let mut alive: Vec<(u64, &String)> =
            self.table(side, kind).iter().filter(|(_, r)| r.life == Life::Live).map(|(id, r)| (r.born, id)).collect();
        alive.sort();
        place(who, alive.len()).map(|at| alive[at].1.clone())
    }

    fn person_creates(&mut self, side: Side, kind: Kind, twin: bool) {
        let name = match (twin, self.living(side.other(), kind, NEWEST)) {
            // Somebody types into the second system what already stands in the first.
            (true, Some(other)) => self.rec(side.other(), kind, &other).and_then(|r| r.fields.get(field_on(side.other(), 0)).cloned()),
            _ => None,
        };
        let name = name.unwrap_or_else(|| self.token("name"));
        let phone = self.token("phone");
        let mut fields = Fields::from([(field_on(side, 0).to_owned(), name), (field_on(side, 1).to_owned(), phone)]);
        if kind == Kind::Contact {
            let who = u8::try_from(self.tick % 5).unwrap_or(0);
            let Some(account) = self.living(side, Kind::Account, who) else { return };
            fields.insert(parent(side).to_owned(), Value::Text(account));
        }
        self.create(Actor::User, side, kind, fields);
    }

    fn person_sets(&mut self, side: Side, kind: Kind, id: &str, field: &str, value: Value) {
        // The row is locked while somebody else's edit is not committed.
        if self.rec(side, kind, id).is_some_and(|r| r.pending.is_some()) {
            return;
        }
        if self.rec(side, kind, id).and_then(|r| r.fields.get(field)) != Some(&value) {
            self.set(Actor::User, side, kind, id, Fields::from([(field.to_owned(), value)]));
        }
    }

    /// Somebody edits just this record now, and the field that is written most.
    pub fn meddle(&mut self, side: Side, kind: Kind, id: &str) {
        let name = field_on(side, 1);
        if self.rec(side, kind, id).is_some_and(|r| r.life == Life::Live) {
            let value = self.token(name);
            self.person_sets(side, kind, id, name, value);
            self.user_edits += 1;
            self.count("meddle", side.as_str(), "get");
        }
    }

    fn person_deletes(&mut self, side: Side, kind: Kind, id: &str) {
        if kind == Kind::Account {
            // Children go with their parent, as both systems do it.
            let children: Vec<String> = self
                .table(side, Kind::Contact)
                .iter()
                .filter(|(_, r)| r.life == Life::Live && r.fields.get(parent(side)).and_then(Value::as_text) == Some(id))
                .map(|(child, _)| child.clone())
                .collect();
            for child in children {
                self.delete(Actor::User, side, Kind::Contact, &child);
            }
        }
        self.delete(Actor::User, side, kind, id);
    }

    fn person_undeletes(&mut self, kind: Kind, who: u8) {
        let mut dead: Vec<(u64, String)> = self
            .table(Side::Salesforce, kind)
            .iter()
            .filter(|(_, r)| r.life == Life::Deleted && !r.purged)
            .map(|(id, r)| (r.born, id.clone()))
            .collect();
        dead.sort();
        let Some(at) = place(who, dead.len()) else { return };
        let id = dead.swap_remove(at).1;
        let account =
            self.rec(Side::Salesforce, kind, &id).and_then(|r| r.fields.get("AccountId")).and_then(Value::as_text).map(str::to_owned);
        if kind == Kind::Contact
            && account.is_none_or(|a| self.rec(Side::Salesforce, Kind::Account, &a).is_none_or(|r| r.life != Life::Live))
        {
            return;
        }
        let now = self.now;
        if let Some(rec) = self.rec_mut(Side::Salesforce, kind, &id) {
            rec.life = Life::Live;
            rec.stamp = now;
        }
        self.happened(Actor::User, Side::Salesforce, kind, &id, What::Undeleted);
    }

    fn person_merges(&mut self, kind: Kind, winner: &str, loser: &str) {
        let now = self.now;
        if self.rec(Side::Salesforce, kind, winner).is_some_and(|r| r.pending.is_some()) {
            return;
        }
        if kind == Kind::Account {
            let children: Vec<String> = self
                .table(Side::Salesforce, Kind::Contact)
                .iter()
                .filter(|(_, r)| {
                    r.life == Life::Live && r.pending.is_none() && r.fields.get("AccountId").and_then(Value::as_text) == Some(loser)
                })
                .map(|(child, _)| child.clone())
                .collect();
            for child in children {
                self.set(
                    Actor::User,
                    Side::Salesforce,
                    Kind::Contact,
                    &child,
                    Fields::from([("AccountId".to_owned(), Value::text(winner))]),
                );
            }
        }
        if let Some(rec) = self.rec_mut(Side::Salesforce, kind, loser) {
            rec.life = Life::MergedInto(winner.into());
            rec.stamp = now;
            rec.pending = None;
        }
        if let Some(rec) = self.rec_mut(Side::Salesforce, kind, winner) {
            rec.stamp = now;
        }
        self.happened(Actor::User, Side::Salesforce, kind, loser, What::MergedInto(winner.to_owned()));
    }

    /// What the record that carries this one's id, or whose id this one carries, holds in the same field.
    fn partner_value(&self, side: Side, kind: Kind, id: &str, field: usize) -> Option<Value> {
        let other = side.other();
        let partner = self.table(other, kind).values().find(|r| {
            r.life == Life::Live
                && r.fields.get(planted(other)).and_then(Value::as_text).is_some_and(|t| t == id || t.ends_with(&format!("-{id}")))
        })?;
        partner.fields.get(field_on(other, field)).cloned()
    }

    // ------------------------------------------------------------------ what the face asks

    /// A call begins: its number, and what goes wrong at it.
    pub fn begins(&mut self, side: Side, op: &'static str, what: &str) -> Begun {
        self.call += 1;
        self.calls[side] += 1;
        self.pass(1);
        let number = self.call;
        self.deliver_late(number);
        self.tell(&format!("call {number}: {side} {op} {what}"));
        let mut begun = Begun::default();
        if op == "get"
            && let Some(at) = self.events.iter().position(|(_, e)| *e == Event::Meddle)
        {
            self.events.remove(at);
            begun.meddle = true;
        }
        let due: Vec<Event> = self.events.iter().filter(|(at, _)| *at == number).map(|(_, e)| *e).collect();
        let aimed =
            self.events.iter().position(|(_, e)| matches!(e, Event::Aimed { side: s, op: o, .. } if *s == side && o.as_str() == op));
        // Once each.
        let aimed = aimed.map(|at| self.events.remove(at).1);
        for event in due.into_iter().filter(|e| !matches!(e, Event::Aimed { .. })).chain(aimed.map(unaimed)) {
            match event {
                // Between our last look at a record and the write there is one call that nothing can close: what people do in
                // it counts as done after it.
                Event::Edit(edit) if matches!(op, "create" | "update" | "delete") => begun.edits.push(edit),
                Event::Edit(edit) => self.edit(edit),
                Event::Meddle => {}
                Event::Fault(fault) => begun.fault = Some(fault),
                Event::CrashAtCall { after: false } => {
                    self.count("crash-before", side.as_str(), op);
                    crash();
                }
                Event::CrashAtCall { after: true } => {
                    self.count("crash-after", side.as_str(), op);
                    begun.crash_after = true;
                }
                Event::Stop => {
                    self.count("stop", side.as_str(), op);
                    self.stop.cancel();
                }
                Event::CrashAtCommit { .. } | Event::Aimed { .. } => {}
            }
        }
        begun
    }

    /// A fault bit at this call.
    pub fn hit(&mut self, fault: FaultWord, side: Side, op: &'static str) {
        self.lied |= matches!(fault, FaultWord::Skips | FaultWord::Empty);
        self.count(fault.as_str(), side.as_str(), op);
        self.tell(&format!("  fault {}", fault.as_str()));
    }

    pub fn count(&mut self, fault: &'static str, place: &'static str, op: &'static str) {
        *self.cells.entry(Cell { fault, place, op }).or_default() += 1;
    }

    fn deliver_late(&mut self, number: u64) {
        let mut kept = Vec::new();
        for late in std::mem::take(&mut self.delayed) {
            if late.at_call <= number {
                self.tell("a request from before is carried out now");
                let _ = self.carry_out(late.side, &late.write);
            } else {
                kept.push(late);
            }
        }
        self.delayed = kept;
    }

    /// Nothing is under way between two runs.
    pub fn deliver_all(&mut self) {
        self.deliver_late(u64::MAX);
    }
}

/// Where `who` is among so many.
fn place(who: u8, of: usize) -> Option<usize> {
    let back = usize::from(NEWEST - who);
    if of == 0 {
        None
    } else if back < 8 {
        Some(of - 1 - back % of)
    } else {
        Some(usize::from(who) % of)
    }
}

fn unaimed(event: Event) -> Event {
    let Event::Aimed { trouble, .. } = event else { return event };
    match trouble {
        Trouble::Fault(fault) => Event::Fault(fault),
        Trouble::CrashBefore => Event::CrashAtCall { after: false },
        Trouble::CrashAfter => Event::CrashAtCall { after: true },
        Trouble::Stop => Event::Stop,
        Trouble::Edit(edit) => Event::Edit(edit),
    }
}

/// What a call must know of its own fate.
#[derive(Debug, Default, Clone)]
pub struct Begun {
    pub edits: Vec<Edit>,
    pub meddle: bool,
    pub fault: Option<FaultWord>,
    pub crash_after: bool,
}

pub fn crash() -> ! {
    std::panic::resume_unwind(Box::new(crate::store::Crash))
}

fn salesforce_id(kind: Kind, n: u64) -> String {
    let prefix = match kind {
        Kind::Account => "001",
        Kind::Contact => "003",
    };
    format!("{prefix}S{n:011}AAA")
}

fn blank_fields(side: Side, kind: Kind) -> Fields {
    let mut fields: Fields = (0..FIELDS.len()).map(|f| (field_on(side, f).to_owned(), Value::Null)).collect();
    fields.insert(planted(side).to_owned(), Value::Null);
    fields.insert(if side == Side::Salesforce { TRIGGERED.0 } else { TRIGGERED.1 }.to_owned(), Value::Null);
    if kind == Kind::Contact {
        fields.insert(parent(side).to_owned(), Value::Null);
    }
    fields
}

fn who_word(actor: Actor) -> String {
    match actor {
        Actor::User => "user".to_owned(),
        Actor::Trigger => "trigger".to_owned(),
        Actor::Daemon { intent } => format!("lockstep (intent {intent})"),
    }
}

fn what_word(what: &What) -> String {
    match what {
        What::Created => "created".to_owned(),
        What::Set { field, value } => format!("{field} = {value}"),
        What::Deleted => "deleted".to_owned(),
        What::Undeleted => "undeleted".to_owned(),
        What::MergedInto(id) => format!("merged into {id}"),
    }
}
