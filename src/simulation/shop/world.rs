//! The two systems of the shop as plain data, with everything that ever happened to them.

use super::said::Said;
use super::script::{Call, Edit, Event, Kind, Settings};
use crate::record::{Fields, Life, Side, Sides, Value};
use crate::simulation::script::{FaultWord, Trouble};
use crate::simulation::world::{Cell, LOOKBACK, START, crash};
use std::collections::BTreeMap;

/// How long a slow platform does not list what it was just given.
const SLOW: i64 = 1_200;

#[derive(Debug, Clone)]
pub struct Rec {
    pub fields: Fields,
    pub life: Life,
    pub stamp: i64,
    pub born: u64,
    /// Lists do not have it before.
    pub shows_at: i64,
    pub poisoned: bool,
    /// An activation that is stamped and not committed: until when, and its stamp.
    pub pending: Option<(i64, i64)>,
}

impl Rec {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_text).filter(|t| !t.is_empty())
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        match self.fields.get(name) {
            Some(Value::Int(n)) => Some(*n),
            _ => None,
        }
    }

    pub fn is(&self, name: &str) -> bool {
        self.fields.get(name) == Some(&Value::Bool(true))
    }
}

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    User,
    Daemon { intent: i64 },
}

/// One thing that happened, for ever.
#[derive(Debug, Clone)]
pub struct Happened {
    pub at: u64,
    pub actor: Actor,
    pub side: Side,
    pub kind: Kind,
    pub id: String,
    pub what: Turn,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    Created,
    Set {
        field: String,
        value: Value,
    },
    Deleted,
    Undeleted,
    MergedInto(String),
    /// So many devices were thrown out.
    Reset(i64),
    /// A person ticked the box that asks for it.
    AskedForReset,
}

/// A request that is carried out later than it was given.
pub struct Delayed {
    pub at_call: u64,
    pub side: Side,
    pub write: crate::plan::Write,
}

pub struct World {
    pub settings: Settings,
    pub now: i64,
    pub tick: u64,
    pub sides: Sides<BTreeMap<Kind, BTreeMap<String, Rec>>>,
    pub history: Vec<Happened>,
    /// By order: everything Salesforce ever said of it.
    pub said: BTreeMap<String, Said>,
    /// When Salesforce was last read to its end.
    pub read_at: u64,
    /// What was issued again after a person had deleted it: by which intent first, and in words.
    pub again: Vec<(i64, String)>,
    pub calls: Sides<u64>,
    pub call: u64,
    pub events: Vec<(u64, Event)>,
    pub delayed: Vec<Delayed>,
    pub stop: tokio_util::sync::CancellationToken,
    pub broken: Vec<String>,
    pub cells: BTreeMap<Cell, u64>,
    pub user_edits: u64,
    pub trace: xxhash_rust::xxh3::Xxh3,
    pub story: Option<Vec<String>>,
    counter: u64,
}

/// What carries the other side's id.
#[must_use]
pub const fn planted(side: Side, kind: Kind) -> Option<&'static str> {
    match (side, kind) {
        (Side::Salesforce, Kind::Account | Kind::Contact | Kind::License) => Some("Lockstep_Id__c"),
        (Side::Platform, Kind::Account) => Some("code"),
        (Side::Platform, Kind::Contact) => Some("reference"),
        (Side::Platform, Kind::Order) => Some("store_id"),
        (Side::Salesforce, Kind::Order) | (Side::Platform, Kind::License) => None,
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
            said: BTreeMap::new(),
            read_at: 0,
            again: Vec::new(),
            calls: Sides::default(),
            call: 0,
            events: Vec::new(),
            delayed: Vec::new(),
            stop: tokio_util::sync::CancellationToken::new(),
            broken: Vec::new(),
            cells: BTreeMap::new(),
            user_edits: 0,
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

    pub fn living(&self, side: Side, kind: Kind) -> impl Iterator<Item = (&String, &Rec)> {
        self.table(side, kind).iter().filter(|(_, r)| r.life == Life::Live)
    }

    #[must_use]
    pub fn rec(&self, side: Side, kind: Kind, id: &str) -> Option<&Rec> {
        self.sides[side].get(&kind)?.get(id)
    }

    #[must_use]
    pub fn live(&self, side: Side, kind: Kind, id: &str) -> Option<&Rec> {
        self.rec(side, kind, id).filter(|r| r.life == Life::Live)
    }

    pub fn rec_mut(&mut self, side: Side, kind: Kind, id: &str) -> Option<&mut Rec> {
        self.sides[side].get_mut(&kind)?.get_mut(id)
    }

    pub fn number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub fn happened(&mut self, actor: Actor, side: Side, kind: Kind, id: &str, what: Turn) {
        self.tick += 1;
        let who = match actor {
            Actor::User => "user".to_owned(),
            Actor::Daemon { intent } => format!("lockstep (intent {intent})"),
        };
        let what_word = match &what {
            Turn::Created => "created".to_owned(),
            // Keys are random: the same seed tells the same story without them.
            Turn::Set { field, .. } if matches!(field.as_str(), "license_key" | "License_Key__c") => format!("{field} = a key"),
            Turn::Set { field, value } => format!("{field} = {value}"),
            Turn::Deleted => "deleted".to_owned(),
            Turn::Undeleted => "undeleted".to_owned(),
            Turn::MergedInto(id) => format!("merged into {id}"),
            Turn::Reset(n) => format!("reset, {n} devices are out"),
            Turn::AskedForReset => "a reset is asked for".to_owned(),
        };
        self.tell(&format!("{who} {side} {} {id}: {what_word}", kind.object()));
        self.history.push(Happened { at: self.tick, actor, side, kind, id: id.to_owned(), what });
    }

    /// Time passes, and what was stamped earlier is committed when its moment comes.
    pub fn pass(&mut self, seconds: i64) {
        self.now += seconds;
        let due: Vec<(String, i64, i64)> = self
            .table(Side::Salesforce, Kind::Order)
            .iter()
            .filter_map(|(id, r)| r.pending.filter(|(until, _)| *until <= self.now).map(|(until, stamp)| (id.clone(), until, stamp)))
            .collect();
        for (id, until, stamp) in due {
            if let Some(rec) = self.rec_mut(Side::Salesforce, Kind::Order, &id) {
                rec.pending = None;
            }
            if self.live(Side::Salesforce, Kind::Order, &id).is_some() {
                let (before, now) = (self.rec(Side::Salesforce, Kind::Order, &id).map_or(0, |r| r.stamp), self.now);
                self.now = stamp;
                self.activate(&id, false);
                self.now = now;
                if let Some(rec) = self.rec_mut(Side::Salesforce, Kind::Order, &id) {
                    rec.stamp = before.max(stamp);
                }
                self.user_edits += 1;
                let late = if until - stamp > LOOKBACK { "late-commit-beyond-the-lookback" } else { "late-commit" };
                self.count(late, "salesforce", "people");
            }
        }
    }

    #[must_use]
    pub fn last_pending(&self) -> Option<i64> {
        self.table(Side::Salesforce, Kind::Order).values().filter_map(|r| r.pending).map(|(until, _)| until).max()
    }

    pub fn stamp_text(&self, at: i64) -> String {
        chrono::DateTime::from_timestamp(at, 0).map_or_else(String::new, |t| t.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
    }

    // ------------------------------------------------------------------ writing, whoever does it

    pub fn create(&mut self, actor: Actor, side: Side, kind: Kind, fields: Fields) -> String {
        let n = self.number();
        let id = match (side, kind) {
            (Side::Salesforce, Kind::Account) => format!("001S{n:011}AAA"),
            (Side::Salesforce, Kind::Contact) => format!("003S{n:011}AAA"),
            (Side::Salesforce, Kind::Order) => format!("801S{n:011}AAA"),
            (Side::Salesforce, Kind::License) => format!("a01S{n:011}AAA"),
            (Side::Platform, _) => format!("{}", 1_000 + n),
        };
        let late = self.settings.slow && side == Side::Platform && matches!(kind, Kind::Order | Kind::License);
        let rec = Rec {
            fields: super::face::blank_fields(side, kind),
            life: Life::Live,
            stamp: self.now,
            born: n,
            shows_at: if late { self.now + SLOW } else { 0 },
            poisoned: false,
            pending: None,
        };
        self.sides[side].entry(kind).or_default().insert(id.clone(), rec);
        self.happened(actor, side, kind, &id, Turn::Created);
        self.set(actor, side, kind, &id, fields);
        id
    }

    pub fn set(&mut self, actor: Actor, side: Side, kind: Kind, id: &str, fields: Fields) {
        let now = self.now;
        for (field, value) in fields {
            let Some(rec) = self.rec_mut(side, kind, id) else { return };
            rec.stamp = rec.stamp.max(now);
            if rec.fields.insert(field.clone(), value.clone()).as_ref() != Some(&value) {
                self.happened(actor, side, kind, id, Turn::Set { field, value });
            }
        }
        if (side, kind) == (Side::Salesforce, Kind::Order) {
            self.note_order(id);
        }
    }

    fn note_order(&mut self, id: &str) {
        if let Some(rec) = self.rec(Side::Salesforce, Kind::Order, id).cloned() {
            let at = self.tick;
            self.said.entry(id.to_owned()).or_default().note(&rec, at);
        }
    }

    pub fn delete(&mut self, actor: Actor, side: Side, kind: Kind, id: &str) {
        let now = self.now;
        let Some(rec) = self.rec_mut(side, kind, id).filter(|r| r.life == Life::Live) else { return };
        rec.life = Life::Deleted;
        rec.stamp = now;
        rec.pending = None;
        self.happened(actor, side, kind, id, Turn::Deleted);
        if (side, kind) == (Side::Salesforce, Kind::Order) {
            self.note_order(id);
        }
    }

    pub fn activate(&mut self, id: &str, old: bool) {
        let at = if old { "2025-06-01T08:00:00Z".to_owned() } else { self.stamp_text(self.now) };
        let text = |t: &str| Value::text(t);
        let fields = Fields::from([
            ("ActivatedDate".to_owned(), Value::Text(at)),
            ("Status".to_owned(), text("Activated")),
            ("StatusCode".to_owned(), text("Activated")),
        ]);
        self.set(Actor::User, Side::Salesforce, Kind::Order, id, fields);
    }

    // ------------------------------------------------------------------ what the face asks

    /// A call begins: its number, and what goes wrong at it.
    pub fn begins(&mut self, side: Side, call: Call, what: &str) -> Begun {
        self.call += 1;
        self.calls[side] += 1;
        self.pass(1);
        let number = self.call;
        self.deliver_late(number);
        let op = call.as_str();
        self.tell(&format!("call {number}: {side} {op} {what}"));
        let mut begun = Begun::default();
        let due: Vec<Event> = self.events.iter().filter(|(at, _)| *at == number).map(|(_, e)| *e).collect();
        let is_aimed = |e: &Event| matches!(e, Event::Aimed { call: c, .. } if *c == call);
        // Once each.
        let aimed = self.events.iter().position(|(_, e)| is_aimed(e)).map(|at| self.events.remove(at).1);
        for event in due.into_iter().filter(|e| !matches!(e, Event::Aimed { .. })).chain(aimed) {
            match unaimed(event) {
                // What people do between our last look and the write counts as done after it.
                Event::Edit(edit) if call.is_write() => begun.edits.push(edit),
                Event::Edit(edit) => self.edit(edit),
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

    pub fn count(&mut self, fault: &'static str, place: &'static str, op: &'static str) {
        *self.cells.entry(Cell { fault, place, op }).or_default() += 1;
    }

    fn deliver_late(&mut self, number: u64) {
        let (now, later): (Vec<Delayed>, Vec<Delayed>) = std::mem::take(&mut self.delayed).into_iter().partition(|d| d.at_call <= number);
        self.delayed = later;
        for late in now {
            self.tell("a request from before is carried out now");
            let _ = self.carry_out(late.side, &late.write, usize::MAX, 0);
        }
    }

    /// Nothing is under way between two runs.
    pub fn deliver_all(&mut self) {
        self.deliver_late(u64::MAX);
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
    pub fault: Option<FaultWord>,
    pub crash_after: bool,
}
