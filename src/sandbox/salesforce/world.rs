//! The org as plain data: objects, rows, users, tokens, locators, counters. The face for tests and the demo is in
//! [`super::face`].
//!
//! Nothing here knows HTTP. Every change of a row goes through [`World::store`], which keeps the indexes, the recycle bin
//! and the journal in step; [`World::atomically`] takes changes back when something fails half-way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use serde_json::{Map, Value, json};

use super::bulk::Jobs;
use super::error::SfError;
use super::ids::Id;
use super::locators::Locators;
use super::oauth::Sessions;
use super::schema::Schema;
use super::settings::Settings;
use super::table::{Row, Table};
use super::value::Cell;
use super::write::Author;
use super::{sfdx, standard};
use crate::sandbox::clock::Clock;

/// Who may log in, and how the org introduces itself.
#[derive(Clone)]
pub struct Options {
    pub client_id: String,
    pub client_secret: String,
    /// For the password grant and SOAP login; a security token may follow the password.
    pub username: String,
    pub password: String,
    /// A refresh token that works from the start.
    pub refresh_token: String,
    pub org_name: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            client_id: "3MVG9LockstepSandboxConsumerKey".to_owned(),
            client_secret: "4C0FFEE0LockstepSandboxConsumerSecret".to_owned(),
            username: "integration@lockstep.example".to_owned(),
            password: "sandbox-password".to_owned(),
            refresh_token: "5Aep861SandboxRefreshToken".to_owned(),
            org_name: "Orbit Software".to_owned(),
        }
    }
}

pub struct World {
    pub options: Options,
    pub settings: Settings,
    pub schema: Schema,
    pub(super) tables: Vec<Table>,
    /// Calls by kind since the start or the last reset; `total` is what the daily limit counts.
    pub calls: BTreeMap<&'static str, u64>,
    /// Calls per hour, for the rolling 24 h.
    usage: VecDeque<(i64, u64)>,
    pub(super) hidden: BTreeSet<(usize, u16)>,
    pub(super) read_only: BTreeSet<(usize, u16)>,
    pub(super) rules: Vec<ValidationRule>,
    pub(super) triggers: Vec<Trigger>,
    pub(super) locks: BTreeMap<Id, u64>,
    pub(super) sessions: Sessions,
    pub(super) locators: Locators,
    pub(super) jobs: Jobs,
    pub(super) pending: Vec<Pending>,
    bin: BTreeSet<(i64, usize, Id)>,
    journal: Vec<Undo>,
    depth: u32,
    clock: Clock,
    pub org: Id,
    /// The user that API calls run as.
    pub integration: Id,
    /// The user that edits by hand.
    pub human: Id,
    pub(super) log_purged: i64,
    pub(super) random: u64,
    pub(super) base_url: String,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("client_id", &self.client_id).field("username", &self.username).finish_non_exhaustive()
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("org", &self.org).field("counts", &self.counts()).finish_non_exhaustive()
    }
}

/// Refuses a value of a field.
#[derive(Clone, Debug)]
pub(super) struct ValidationRule {
    pub object: usize,
    pub field: u16,
    pub equals: Value,
    pub message: String,
}

/// Automation of the customer: after a write (of one field, or any) other fields are set.
#[derive(Clone, Debug)]
pub(super) struct Trigger {
    pub object: usize,
    pub field: Option<u16>,
    pub set: Map<String, Value>,
}

/// A transaction that has begun and not committed: its stamp is its start.
#[derive(Debug)]
pub(super) struct Pending {
    pub visible_at: i64,
    pub started: i64,
    pub object: usize,
    pub change: Change,
}

#[derive(Debug)]
pub(super) enum Change {
    Create(Id, Map<String, Value>),
    Update(Id, Map<String, Value>),
    Delete(Id),
}

#[derive(Debug)]
enum Undo {
    Row(usize, Id, Option<Box<Row>>),
    Logged(usize, (i64, Id)),
    Unlogged(usize, (i64, Id)),
}

pub type Outcome<T> = Result<T, SfError>;

impl World {
    /// An org with its users and its standard price book, and no business data.
    ///
    /// # Errors
    /// When the shipped metadata cannot be read.
    pub fn new(clock: Clock, options: Options) -> Result<Self, String> {
        let mut schema = standard::schema();
        sfdx::deploy(&mut schema)?;
        let now = clock.now().timestamp();
        let mut tables = Vec::with_capacity(schema.objects.len());
        for object in &mut schema.objects {
            object.changed = now;
            let mut table = Table::default();
            table.shape(object);
            tables.push(table);
        }
        let org = Id::mint("00D", 1);
        let mut world = Self {
            options,
            settings: Settings::default(),
            schema,
            tables,
            calls: BTreeMap::new(),
            usage: VecDeque::new(),
            hidden: BTreeSet::new(),
            read_only: BTreeSet::new(),
            rules: Vec::new(),
            triggers: Vec::new(),
            locks: BTreeMap::new(),
            sessions: Sessions::default(),
            locators: Locators::default(),
            jobs: Jobs::default(),
            pending: Vec::new(),
            bin: BTreeSet::new(),
            journal: Vec::new(),
            depth: 0,
            clock,
            org,
            integration: Id::mint("005", 1),
            human: Id::mint("005", 2),
            log_purged: now - 30 * DAY,
            random: 0x9e37_79b9_7f4a_7c15,
            base_url: String::new(),
        };
        world.furnish().map_err(|error| error.to_string())?;
        Ok(world)
    }

    /// Forgets everything: data, settings, counters, tokens.
    pub fn reset(&mut self) {
        if let Ok(mut fresh) = Self::new(self.clock.clone(), self.options.clone()) {
            fresh.base_url.clone_from(&self.base_url);
            *self = fresh;
        }
    }

    fn furnish(&mut self) -> Outcome<()> {
        let long_ago = self.now() - 400 * DAY;
        let author = Author::setup(self.integration, long_ago);
        let mut add = |object: &str, fields: Value| {
            let object = self.object(object)?;
            self.create(object, fields.as_object().unwrap_or(&Map::new()), &author)
        };
        let profile = add("Profile", json!({"Name": "Salesforce API Only System Integrations", "UserType": "Standard"}))?;
        let user = |username: &str, first: &str, last: &str| {
            json!({"Username": username, "FirstName": first, "LastName": last, "Email": username, "ProfileId": profile.as_str(),
                   "Alias": first.to_lowercase(), "CommunityNickname": first.to_lowercase(), "TimeZoneSidKey": "GMT", "LocaleSidKey": "en_US",
                   "LanguageLocaleKey": "en_US", "EmailEncodingKey": "UTF-8"})
        };
        add("User", user("integration@lockstep.example", "Lockstep", "Integration"))?;
        add("User", user("dana.reyes@lockstep.example", "Dana", "Reyes"))?;
        add("User", user("sam.okafor@lockstep.example", "Sam", "Okafor"))?;
        add(
            "Organization",
            json!({"Name": "", "InstanceName": "RM1", "OrganizationType": "Developer Edition", "LanguageLocaleKey": "en_US",
                                    "DefaultLocaleSidKey": "en_US", "TimeZoneSidKey": "GMT", "Country": "US"}),
        )?;
        for (at, name) in ["Draft", "Activated"].into_iter().enumerate() {
            add(
                "OrderStatus",
                json!({"ApiName": name, "MasterLabel": name, "StatusCode": name, "SortOrder": at + 1, "IsDefault": at == 0}),
            )?;
        }
        let book = add("Pricebook2", json!({"Name": "Standard Price Book", "IsActive": true}))?;
        let object = self.object("Pricebook2")?;
        self.poke(object, book, "IsStandard", Some(Cell::Bool(true)));
        let name = self.options.org_name.clone();
        let org = self.object("Organization")?;
        self.poke(org, self.org, "Name", Some(Cell::Text(name.into())));
        self.calls.clear();
        Ok(())
    }

    /// Sets a stored field past all rules and without a stamp.
    pub(super) fn poke(&mut self, object: usize, id: Id, field: &str, cell: Option<Cell>) {
        let field = self.schema.objects[object].find(field);
        if let (Some(field), Some(row)) = (field, self.tables[object].rows.get(&id)) {
            let mut row = row.clone();
            row.set(field, cell);
            self.store(object, id, Some(row));
        }
    }

    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Seconds since 1970 on the virtual clock.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.clock.now().timestamp()
    }

    pub(super) fn object(&self, name: &str) -> Outcome<usize> {
        self.schema.find(name).ok_or_else(SfError::not_found)
    }

    pub(super) fn visible(&self, object: usize, field: u16) -> bool {
        !self.hidden.contains(&(object, field))
    }

    /// A field of this name that the API user may see.
    pub(super) fn seen(&self, object: usize, name: &str) -> Option<u16> {
        self.schema.objects[object].find(name).filter(|field| self.visible(object, *field))
    }

    /// The org goes by another id from now on; sessions end.
    pub fn change_org(&mut self, org: Id) {
        if let Some(object) = self.schema.find("Organization")
            && let Some(mut row) = self.tables[object].rows.get(&self.org).cloned()
        {
            self.store(object, self.org, None);
            row.id = org;
            self.store(object, org, Some(row));
        }
        self.org = org;
        self.sessions.end_all();
    }

    // ---- rows -------------------------------------------------------------------------------------------------------

    /// The one door for rows: indexes, recycle bin and journal follow.
    pub(super) fn store(&mut self, object: usize, id: Id, row: Option<Row>) {
        if let Some(at) = row.as_ref().and_then(|row| row.deleted) {
            self.bin.insert((at, object, id));
        }
        let now_deleted = row.as_ref().and_then(|row| row.deleted);
        let before = self.tables[object].put(id, row);
        if let Some(at) = before.as_ref().and_then(|row| row.deleted).filter(|at| Some(*at) != now_deleted) {
            self.bin.remove(&(at, object, id));
        }
        if self.depth > 0 {
            self.journal.push(Undo::Row(object, id, before.map(Box::new)));
        }
    }

    pub(super) fn log_deletion(&mut self, object: usize, at: i64, id: Id) {
        if self.tables[object].log.insert((at, id)) && self.depth > 0 {
            self.journal.push(Undo::Logged(object, (at, id)));
        }
    }

    pub(super) fn unlog_deletion(&mut self, object: usize, at: i64, id: Id) {
        if self.tables[object].log.remove(&(at, id)) && self.depth > 0 {
            self.journal.push(Undo::Unlogged(object, (at, id)));
        }
    }

    /// All of it or, on an error, nothing. May be nested.
    pub(super) fn atomically<T>(&mut self, work: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<T> {
        let mark = self.journal.len();
        self.depth += 1;
        let outcome = work(self);
        self.depth -= 1;
        if outcome.is_err() {
            self.undo_to(mark);
        }
        if self.depth == 0 {
            self.journal.clear();
        }
        outcome
    }

    fn undo_to(&mut self, mark: usize) {
        let depth = std::mem::take(&mut self.depth);
        for undo in self.journal.split_off(mark).into_iter().rev() {
            match undo {
                Undo::Row(object, id, row) => self.store(object, id, row.map(|row| *row)),
                Undo::Logged(object, entry) => {
                    self.tables[object].log.remove(&entry);
                }
                Undo::Unlogged(object, entry) => {
                    self.tables[object].log.insert(entry);
                }
            }
        }
        self.depth = depth;
    }

    /// Lets time do its work: open transactions commit, the bin is emptied of what is too old, idle locators end.
    pub fn settle(&mut self) {
        let now = self.now();
        if self.pending.iter().any(|pending| pending.visible_at <= now) {
            let (due, open) = std::mem::take(&mut self.pending).into_iter().partition(|pending| pending.visible_at <= now);
            self.pending = open;
            let due: Vec<Pending> = due;
            for Pending { started, object, change, .. } in due {
                let author = Author::hand(self.human, started);
                // A transaction that breaks a rule at commit is rolled back; its author saw the error, we do not.
                let _ = match change {
                    Change::Create(id, fields) => self.create_as(object, &fields, &author, id).map(drop),
                    Change::Update(id, fields) => self.change(object, id, &fields, &author),
                    Change::Delete(id) => self.remove(object, id, &author),
                };
            }
        }
        let keep = self.settings.bin_days * DAY;
        while let Some((at, object, id)) = self.bin.first().copied() {
            if at + keep > now {
                break;
            }
            self.store(object, id, None);
        }
    }

    /// The start of the oldest transaction that is still open.
    #[must_use]
    pub fn oldest_open(&self) -> Option<i64> {
        self.pending.iter().map(|pending| pending.started).min()
    }

    /// A number that looks random and is the same in every run.
    pub(super) fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    // ---- counting ---------------------------------------------------------------------------------------------------

    pub(super) fn count(&mut self, kind: &'static str, calls: u64) {
        *self.calls.entry(kind).or_default() += 1;
        if calls == 0 {
            return;
        }
        *self.calls.entry("total").or_default() += calls;
        let hour = self.now() / 3600;
        match self.usage.back_mut() {
            Some((last, count)) if *last == hour => *count += calls,
            _ => self.usage.push_back((hour, calls)),
        }
    }

    /// API calls of the last 24 hours.
    pub fn used(&mut self) -> u64 {
        let since = self.now() / 3600 - 23;
        while self.usage.front().is_some_and(|(hour, _)| *hour < since) {
            self.usage.pop_front();
        }
        self.usage.iter().map(|(_, count)| count).sum()
    }
}

pub(super) const DAY: i64 = 24 * 60 * 60;
