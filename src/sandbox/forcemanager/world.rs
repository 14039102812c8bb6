//! The company's data, as plain rows, and the rules that hold whoever writes: references exist, dates and users are
//! recorded, a deletion leaves a marked row.
//!
//! Nothing here knows HTTP. Calls are in `route`, what a person does in `hand`.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value};

use super::check::{self, Changes, Writer};
use super::extra::{Extra, Extras};
use super::furniture;
use super::limiter::Limiter;
use super::login::Tokens;
use super::reply::Refusal;
use super::schema::{Kind, Object};
use super::settings::Settings;
use super::table::{Row, Table, Touch};
use crate::sandbox::clock::Clock;

/// Ids come from one counter for all resources, so that an id taken for another resource's hits nothing.
const FIRST_ID: i64 = 11;
/// Calls that are remembered one by one.
const LOG_MAX: usize = 20_000;

/// One call that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    pub method: String,
    pub path: String,
    pub status: u16,
}

/// Everything the company has.
#[derive(Debug)]
pub struct World {
    pub settings: Settings,
    /// The user that writes of the key pair are recorded for.
    pub integration_user: i64,
    /// The person that edits are recorded for when none is named.
    pub person: i64,
    pub(super) limiter: Limiter,
    pub(super) tokens: Tokens,
    pub(super) extras: Extras,
    clock: Clock,
    now: i64,
    tables: Vec<Table>,
    next_id: i64,
    random: u64,
    calls: BTreeMap<String, u64>,
    log: VecDeque<Logged>,
}

impl World {
    /// A company with its users, branch and value lists, and no customer yet.
    pub fn new(clock: Clock) -> World {
        let now = clock.now().timestamp_millis();
        let mut world = World {
            settings: Settings::default(),
            integration_user: 0,
            person: 0,
            limiter: Limiter::default(),
            tokens: Tokens::default(),
            extras: Extras::default(),
            clock,
            now,
            tables: Object::ALL.iter().map(|_| Table::default()).collect(),
            next_id: FIRST_ID,
            random: 0x5DEE_CE66_D1CE_4E5B,
            calls: BTreeMap::new(),
            log: VecDeque::new(),
        };
        furniture::place(&mut world);
        world
    }

    /// As at the start: no customers, switches, counts and sessions forgotten; the clock stays.
    pub fn reset(&mut self) {
        *self = World::new(self.clock.clone());
    }

    // ---- time and counting ----

    /// Takes the time of what happens next, and lets go of what was deleted long ago. Every call and edit does this first.
    pub fn wake(&mut self) {
        self.now = self.clock.now().timestamp_millis();
        let Some(kept) = self.settings.deleted_kept_seconds else {
            return;
        };
        let oldest = self.now - i64::from(kept) * 1_000;
        for table in &mut self.tables {
            let old = |row: &&Row| row.deleted.is_some_and(|deleted| deleted.at <= oldest);
            let gone: Vec<i64> = table.rows().filter(old).map(|row| row.id).collect();
            for id in gone {
                table.purge(id);
            }
        }
    }

    /// The time of what is happening, in milliseconds since 1970.
    pub fn now(&self) -> i64 {
        self.now
    }

    pub(super) fn note(&mut self, operation: String, call: Logged) {
        *self.calls.entry(operation).or_insert(0) += 1;
        if self.log.len() == LOG_MAX {
            self.log.pop_front();
        }
        self.log.push_back(call);
    }

    /// How often each operation was called.
    pub fn calls(&self) -> &BTreeMap<String, u64> {
        &self.calls
    }

    /// The calls themselves, oldest first.
    pub fn log(&self) -> impl Iterator<Item = &Logged> {
        self.log.iter()
    }

    // ---- reading ----

    pub fn table(&self, object: Object) -> &Table {
        &self.tables[object as usize]
    }

    pub fn row(&self, object: Object, id: i64) -> Option<&Row> {
        self.table(object).get(id)
    }

    /// A row that is there and not deleted.
    ///
    /// # Errors
    /// 400 (or what the switch says), as the vendor answers for unknown ids.
    pub fn live(&self, object: Object, id: i64) -> Result<&Row, Refusal> {
        self.row(object, id).filter(|row| row.is_live()).ok_or_else(|| self.unknown(object, id))
    }

    pub(super) fn unknown(&self, object: Object, id: i64) -> Refusal {
        Refusal::Plain(self.settings.unknown_id_status, format!("there is no {} {id}", object.name()))
    }

    /// Rows that are not deleted.
    pub fn count(&self, object: Object) -> usize {
        self.table(object).rows().filter(|row| row.is_live()).count()
    }

    // ---- writing ----

    /// A new row.
    ///
    /// # Errors
    /// 400: a field that is missing, wrong, unknown or not writable.
    pub fn create(&mut self, object: Object, body: &Map<String, Value>, writer: Writer) -> Result<i64, Refusal> {
        let mut changes = check::changes(self, object, None, body, writer)?;
        for extra in self.extras.of(object, self.now) {
            if let Some(value) = extra.default() {
                changes.entry(extra.key()).or_insert_with(|| value.clone());
            }
        }
        let id = self.take_id();
        let created = self.touch_by(writer);
        let table = &mut self.tables[object as usize];
        table.insert(Row::new(id, created));
        table.set(id, changes);
        Ok(id)
    }

    /// Changes the named fields of a row; `dateUpdated` moves even when no value does.
    ///
    /// # Errors
    /// As [`World::create`]; an id that is not there or deleted; a row that is read-only.
    pub fn change(&mut self, object: Object, id: i64, body: &Map<String, Value>, writer: Writer) -> Result<(), Refusal> {
        let row = self.live(object, id)?;
        refuse_read_only(row, writer)?;
        let changes = check::changes(self, object, Some(row), body, writer)?;
        self.put(object, id, changes, writer);
        Ok(())
    }

    /// Marks a row as deleted. What becomes of an account's children is a switch.
    ///
    /// # Errors
    /// An id that is not there or deleted already; a row that is read-only; an account whose children the switch protects.
    pub fn delete(&mut self, object: Object, id: i64, writer: Writer) -> Result<(), Refusal> {
        refuse_read_only(self.live(object, id)?, writer)?;
        if object == Object::Account {
            match self.settings.account_delete.as_str() {
                "refuse" if !self.children(id).is_empty() => {
                    return Err(Refusal::bad(format!("account {id} has records that belong to it")));
                }
                "cascade" => {
                    for (object, child) in self.children(id) {
                        self.mark_deleted(object, child, writer);
                    }
                }
                _ => {}
            }
        }
        self.mark_deleted(object, id, writer);
        Ok(())
    }

    /// A definition of an extra field.
    ///
    /// # Errors
    /// As [`Extras::checked`].
    pub fn define(&mut self, object: Object, body: &Map<String, Value>, writer: Writer) -> Result<i64, Refusal> {
        if !object.takes_extra_fields() {
            return Err(Refusal::bad(format!("{} takes no extra fields", object.path())));
        }
        if writer == Writer::Key && !self.settings.extra_fields_creatable {
            return Err(Refusal::bad("extra fields cannot be created in this plan"));
        }
        let id = self.next_id;
        let mut extra: Extra = self.extras.checked(object, body, id, self.now, &self.settings)?;
        if writer != Writer::Key {
            extra.from = self.now;
        }
        self.take_id();
        self.extras.add(extra);
        Ok(id)
    }

    /// Checked values into a row.
    pub(super) fn put(&mut self, object: Object, id: i64, changes: Changes, writer: Writer) {
        let touch = self.touch_by(writer);
        let table = &mut self.tables[object as usize];
        table.set(id, changes);
        table.touch(id, touch);
    }

    fn mark_deleted(&mut self, object: Object, id: i64, writer: Writer) {
        let touch = self.touch_by(writer);
        let table = &mut self.tables[object as usize];
        table.mark_deleted(id, touch);
        if self.settings.deletion_bumps_updated {
            table.touch(id, touch);
        }
    }

    /// Gone for good, without a mark.
    pub(super) fn purge(&mut self, object: Object, id: i64) -> bool {
        self.tables[object as usize].purge(id).is_some()
    }

    /// Live rows that belong to an account.
    fn children(&self, account: i64) -> Vec<(Object, i64)> {
        let mut children = Vec::new();
        for object in Object::ALL {
            let names: Vec<&str> =
                object.fields().filter(|field| field.kind == Kind::Link(Object::Account)).map(|field| field.name).collect();
            if names.is_empty() {
                continue;
            }
            let belongs = |row: &&Row| row.is_live() && names.iter().any(|name| row.int(name) == Some(account));
            children.extend(self.table(object).rows().filter(belongs).map(|row| (object, row.id)));
        }
        children
    }

    fn touch_by(&self, writer: Writer) -> Touch {
        let by = match writer {
            Writer::Key => self.integration_user,
            Writer::Person(by) => by,
        };
        Touch { at: self.now, by }
    }

    fn take_id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// The next of a fixed sequence of random-looking numbers (xorshift): two worlds with one history are equal.
    pub(super) fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

fn refuse_read_only(row: &Row, writer: Writer) -> Result<(), Refusal> {
    if row.flag("readOnly") && writer == Writer::Key { Err(Refusal::bad("the record is read-only")) } else { Ok(()) }
}
