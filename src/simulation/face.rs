//! How the daemon sees a simulated system: the seam of the connectors, with everything that can go wrong behind it.

use super::script::{FaultWord, Kind};
use super::world::{Actor, Begun, Delayed, FIELDS, LOOKBACK, Rec, TRIGGERED, World, crash, field_on, parent, planted};
use crate::connectors::{
    Ask, Calls, Catalogue, DeleteFeed, Fault, FaultKind, Feed, Fetched, FieldInfo, Identity, Page, Polled, ReadEnd, Reader, ResourceSpec,
    Schema, Writer,
};
use crate::plan::{Outcome, Verb, Write};
use crate::record::{FieldType, Fields, Life, Record, RecordId, Side, Value};
use async_trait::async_trait;
use chrono::DateTime;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// Rows of a page: few, so that small worlds have several.
const PAGE: usize = 2;

pub struct Face {
    pub side: Side,
    pub world: Arc<Mutex<World>>,
}

#[must_use]
pub const fn resource(side: Side, kind: Kind) -> &'static str {
    match (side, kind) {
        (Side::Salesforce, Kind::Account) => "Account",
        (Side::Salesforce, Kind::Contact) => "Contact",
        (Side::Platform, Kind::Account) => "company",
        (Side::Platform, Kind::Contact) => "person",
    }
}

fn kind_of(side: Side, name: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|k| resource(side, *k) == name)
}

static CATALOGUES: LazyLock<[Catalogue; 2]> = LazyLock::new(|| {
    [Side::Salesforce, Side::Platform].map(|side| Catalogue {
        name: "simulation",
        resources: Kind::ALL
            .into_iter()
            .map(|kind| ResourceSpec {
                name: resource(side, kind),
                fields: Vec::new(),
                planted: Some(planted(side)),
                feed: if side == Side::Salesforce { Feed::Since } else { Feed::Sweep },
                deletes: if side == Side::Salesforce { DeleteFeed::Reported } else { DeleteFeed::Absence },
                can_create: true,
                can_update: true,
                can_delete: true,
                stamped: true,
                free_prefix: None,
            })
            .collect(),
        open: true,
    })
});

/// Which faults mean anything at which call. What is left out cannot happen there: a vendor's list that lies about its
/// own completeness is only known of lists paged by offset.
#[must_use]
pub fn applies(fault: FaultWord, side: Side, op: &str) -> bool {
    use FaultWord as F;
    match op {
        "identity" | "schema" => matches!(fault, F::Refused | F::Budget | F::Credentials | F::Answer),
        "poll" => match fault {
            F::Refused | F::Budget | F::Credentials | F::Answer | F::BreaksOff | F::Twice => true,
            F::Skips | F::Empty => side == Side::Platform,
            _ => false,
        },
        "get" => matches!(fault, F::Refused | F::Budget | F::Credentials | F::Answer | F::Hidden),
        "create" | "update" | "delete" => matches!(
            fault,
            F::Refused
                | F::TimeoutBefore
                | F::LostAnswer
                | F::Late
                | F::Partial
                | F::PartialLost
                | F::Locked
                | F::Budget
                | F::Credentials
                | F::Answer
        ),
        "resolve" => matches!(fault, F::Refused | F::Budget | F::Answer),
        _ => false,
    }
}

fn fault_of(word: FaultWord) -> Fault {
    let (kind, code) = match word {
        FaultWord::Budget => (FaultKind::Budget, "budget"),
        FaultWord::Credentials => (FaultKind::Credentials, "invalid_grant"),
        FaultWord::Answer => (FaultKind::Answer, "not-json"),
        _ => (FaultKind::Retry, "503"),
    };
    Fault::new(kind, code, word.what())
}

impl Face {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begins(&self, op: &'static str, what: &str) -> Begun {
        let mut world = self.world();
        let mut begun = world.begins(self.side, op, what);
        if let Some(fault) = begun.fault {
            if applies(fault, self.side, op) {
                world.hit(fault, self.side, op);
            } else {
                begun.fault = None;
            }
        }
        begun
    }

    fn ends(&self, begun: &Begun) {
        for edit in &begun.edits {
            self.world().edit(*edit);
        }
        if begun.crash_after {
            crash();
        }
    }
}

#[async_trait]
impl Reader for Face {
    fn side(&self) -> Side {
        self.side
    }

    fn catalogue(&self) -> &Catalogue {
        let [salesforce, platform] = &*CATALOGUES;
        match self.side {
            Side::Salesforce => salesforce,
            Side::Platform => platform,
        }
    }

    async fn identity(&self) -> Result<Identity, Fault> {
        let begun = self.begins("identity", "");
        self.ends(&begun);
        match begun.fault {
            Some(fault) => Err(fault_of(fault)),
            None => Ok(Identity { id: format!("{}-1", self.side), name: self.side.to_string(), is_sandbox: false }),
        }
    }

    async fn schema(&self, resources: &[String]) -> Result<BTreeMap<String, Schema>, Fault> {
        let begun = self.begins("schema", "");
        self.ends(&begun);
        if let Some(fault) = begun.fault {
            return Err(fault_of(fault));
        }
        let mut world = self.world();
        let (side, hidden) = (self.side, world.hidden.clone());
        world.told_hidden.retain(|(s, _, _)| *s != side);
        world.told_hidden.extend(hidden.into_iter().filter(|(s, _, _)| *s == side));
        Ok(resources.iter().filter_map(|r| Some((r.clone(), schema(&world, self.side, kind_of(self.side, r)?)))).collect())
    }

    async fn poll(&self, asks: &[Ask], pages: mpsc::Sender<Page>) -> Result<Vec<Polled>, Fault> {
        let names: Vec<&str> = asks.iter().map(|a| a.object.as_str()).collect();
        let begun = self.begins("poll", &names.join(","));
        if let Some(word @ (FaultWord::Refused | FaultWord::Budget | FaultWord::Credentials)) = begun.fault {
            self.ends(&begun);
            return Err(fault_of(word));
        }
        let mut ends = Vec::new();
        for ask in asks {
            let (mut records, watermark) = {
                let world = self.world();
                (list(&world, self.side, ask), world.now.to_string())
            };
            let complete = ask.sweep || ask.since.is_none();
            match begun.fault {
                Some(FaultWord::Skips) if complete => drop(records.pop()),
                Some(FaultWord::Empty) => records.clear(),
                Some(FaultWord::Twice) => {
                    let mut again = records.clone();
                    again.reverse();
                    records.extend(again);
                }
                _ => {}
            }
            let breaks = matches!(begun.fault, Some(FaultWord::Answer | FaultWord::BreaksOff));
            let mut chunks: Vec<Vec<Record>> = records.chunks(PAGE).map(<[Record]>::to_vec).collect();
            if breaks {
                chunks.truncate(chunks.len() / 2);
            }
            for records in chunks {
                // The receiver only goes with the run.
                let _ = pages.send(Page { object: ask.object.clone(), records }).await;
            }
            let end = if breaks {
                Err(fault_of(begun.fault.unwrap_or(FaultWord::Answer)))
            } else {
                Ok(ReadEnd { watermark: Some(watermark), complete })
            };
            ends.push(Polled { object: ask.object.clone(), end });
        }
        self.ends(&begun);
        Ok(ends)
    }

    async fn get_many(&self, resource: &str, fields: &[String], ids: &[RecordId]) -> Result<Vec<Fetched>, Fault> {
        let begun = self.begins("get", resource);
        self.ends(&begun);
        match begun.fault {
            None | Some(FaultWord::Hidden) => {}
            Some(fault) => return Err(fault_of(fault)),
        }
        let mut world = self.world();
        let Some(kind) = kind_of(self.side, resource) else { return Ok(Vec::new()) };
        if let (true, Some(id)) = (begun.meddle, ids.first()) {
            world.meddle(self.side, kind, id.as_str());
        }
        Ok(ids
            .iter()
            .enumerate()
            .map(|(n, id)| {
                if n == 0 && begun.fault.is_some() {
                    return Fetched::Refused(id.clone(), "no access".to_owned());
                }
                match world.rec(self.side, kind, id.as_str()) {
                    Some(rec) if rec.purged => Fetched::Missing(id.clone()),
                    Some(rec) => {
                        let record = record(&world, self.side, kind, id.as_str(), rec, fields);
                        if rec.life == Life::Live { Fetched::Here(record) } else { Fetched::Deleted(record) }
                    }
                    None => Fetched::Missing(id.clone()),
                }
            })
            .collect())
    }

    async fn find(&self, resource: &str, fields: &[String], key: &str, values: &[Value]) -> Result<Vec<Record>, Fault> {
        let world = self.world();
        let Some(kind) = kind_of(self.side, resource) else { return Ok(Vec::new()) };
        let hits = world
            .table(self.side, kind)
            .iter()
            .filter(|(_, r)| r.life == Life::Live && r.fields.get(key).is_some_and(|v| values.contains(v)));
        Ok(hits.map(|(id, rec)| record(&world, self.side, kind, id, rec, fields)).collect())
    }

    async fn count(&self, resource: &str) -> Result<u64, Fault> {
        let world = self.world();
        let Some(kind) = kind_of(self.side, resource) else { return Ok(0) };
        Ok(world.table(self.side, kind).values().filter(|r| r.life == Life::Live).count() as u64)
    }

    fn calls(&self) -> Calls {
        Calls { data: self.world().calls[self.side], other: 0, allowance_used: None, allowance_max: None }
    }
}

#[async_trait]
impl Writer for Face {
    async fn apply(&self, writes: &[Write]) -> Vec<Outcome> {
        let op = match writes.first().map(|w| w.verb) {
            Some(Verb::Create) => "create",
            Some(Verb::Delete) => "delete",
            _ => "update",
        };
        let what: Vec<String> =
            writes.iter().map(|w| format!("{}{}", w.object, w.id.as_ref().map_or(String::new(), |i| format!(" {i}")))).collect();
        let begun = self.begins(op, &what.join(", "));
        let outcomes = self.world().apply(self.side, writes, begun.fault);
        self.ends(&begun);
        outcomes
    }

    async fn resolve(&self, write: &Write) -> Outcome {
        let begun = self.begins("resolve", &write.object);
        let outcome = match begun.fault {
            Some(_) => Outcome::Unknown { message: "still not known".to_owned() },
            None => self.world().resolve(self.side, write),
        };
        self.ends(&begun);
        outcome
    }
}

fn info(ty: FieldType) -> FieldInfo {
    FieldInfo { ty, createable: true, updateable: true, required: false, secret: false, calculated: false }
}

fn schema(world: &World, side: Side, kind: Kind) -> Schema {
    let mut fields = BTreeMap::new();
    for f in 0..FIELDS.len() {
        let name = field_on(side, f);
        let ty = if f == 3 { FieldType::Integer } else { FieldType::text() };
        fields.insert(name.to_owned(), info(ty));
    }
    fields.insert(planted(side).to_owned(), info(FieldType::text()));
    match kind {
        Kind::Account => {
            fields.insert(if side == Side::Salesforce { TRIGGERED.0 } else { TRIGGERED.1 }.to_owned(), info(FieldType::text()));
        }
        Kind::Contact => {
            fields.insert(parent(side).to_owned(), info(FieldType::Reference { to: resource(side, Kind::Account).to_owned() }));
        }
    }
    fields.retain(|name, _| !world.hidden.contains(&(side, kind, name.as_str())));
    Schema { fields, createable: true, updateable: true, deletable: true, planted: Some(planted(side).to_owned()) }
}

fn record(world: &World, side: Side, kind: Kind, id: &str, rec: &Rec, wanted: &[String]) -> Record {
    let shown = |name: &str| wanted.iter().any(|w| w == name) && !world.hidden.contains(&(side, kind, name));
    let day = rec.stamp - rec.stamp.rem_euclid(86_400);
    let stamp = if world.settings.coarse && side == Side::Platform { day } else { rec.stamp };
    Record {
        id: id.into(),
        fields: rec.fields.iter().filter(|(name, _)| shown(name)).map(|(n, v)| (n.clone(), v.clone())).collect(),
        stamp: DateTime::from_timestamp(stamp, 0).map(|t| t.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
        life: rec.life.clone(),
        partial: Vec::new(),
    }
}

/// What a reading shows: Salesforce since the watermark less the lookback, with what was deleted; the platform what lives.
fn list(world: &World, side: Side, ask: &Ask) -> Vec<Record> {
    let Some(kind) = kind_of(side, &ask.resource) else { return Vec::new() };
    let from = match side {
        Side::Platform => 0,
        Side::Salesforce if ask.sweep => 0,
        Side::Salesforce => ask.since.as_ref().and_then(|s| s.parse::<i64>().ok()).map_or(0, |since| since - LOOKBACK),
    };
    let mut rows: Vec<(i64, &String, &Rec)> = world
        .table(side, kind)
        .iter()
        .filter(|(_, r)| !r.purged && r.stamp >= from && (side == Side::Salesforce || r.life == Life::Live))
        .map(|(id, r)| (r.stamp, id, r))
        .collect();
    rows.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    rows.into_iter().map(|(_, id, rec)| record(world, side, kind, id, rec, &ask.fields)).collect()
}

impl World {
    fn apply(&mut self, side: Side, writes: &[Write], fault: Option<FaultWord>) -> Vec<Outcome> {
        use FaultWord as F;
        let unknown = || Outcome::Unknown { message: "no answer".to_owned() };
        let failed = |code: &str| Outcome::Failed { code: code.to_owned(), message: "not done".to_owned() };
        let half = writes.len().div_ceil(2);
        let mut outcomes = Vec::with_capacity(writes.len());
        for (n, write) in writes.iter().enumerate() {
            outcomes.push(match fault {
                None => self.carry_out(side, write),
                Some(F::Refused) => failed("503"),
                Some(F::Locked) => failed("UNABLE_TO_LOCK_ROW"),
                Some(F::Budget) => failed("budget"),
                Some(F::Credentials) => failed("invalid_grant"),
                Some(F::TimeoutBefore) => unknown(),
                Some(F::LostAnswer | F::Answer) => {
                    self.carry_out(side, write);
                    unknown()
                }
                Some(F::Late) => {
                    self.delayed.push(Delayed { at_call: self.call + 2, side, write: write.clone() });
                    unknown()
                }
                Some(F::Partial) if n >= half => failed("503"),
                Some(F::PartialLost) if n >= half => unknown(),
                Some(F::PartialLost) => {
                    self.carry_out(side, write);
                    unknown()
                }
                Some(_) => self.carry_out(side, write),
            });
        }
        outcomes
    }

    /// One write, as the side carries it out: refused for good, locked, or done.
    pub fn carry_out(&mut self, side: Side, write: &Write) -> Outcome {
        let Some(kind) = kind_of(side, &write.resource) else {
            self.breaks("S9", format!("a write to {side} {}, which no mapping names", write.resource));
            return Outcome::Missing;
        };
        self.judge(side, kind, write);
        if let Some(field) = write.fields.keys().find(|f| self.hidden.contains(&(side, kind, f.as_str()))) {
            return Outcome::Rejected {
                code: "INVALID_FIELD_FOR_INSERT_UPDATE".to_owned(),
                message: format!("no access to {field}"),
                fields: vec![field.clone()],
            };
        }
        // Neither side takes a child of a parent that is not there.
        if let Some(named) = write.fields.get(parent(side)).and_then(Value::as_text)
            && self.rec(side, Kind::Account, named).is_none_or(|r| r.life != Life::Live)
        {
            return Outcome::Rejected {
                code: "ENTITY_IS_DELETED".to_owned(),
                message: format!("{named} is deleted"),
                fields: vec![parent(side).to_owned()],
            };
        }
        let actor = Actor::Daemon { intent: write.intent };
        let own = match write.verb {
            Verb::Create => write.key.as_ref().and_then(|(field, value)| self.with_key(side, kind, field, value)),
            _ => write.id.as_ref().map(|id| id.as_str().to_owned()),
        };
        let Some(id) = own else {
            // A create whose key nobody holds yet.
            let id = self.create(actor, side, kind, write.fields.clone());
            return self.done(side, kind, &id, write);
        };
        let Some(rec) = self.rec(side, kind, &id).filter(|r| r.life == Life::Live) else {
            return if write.verb == Verb::Delete {
                Outcome::Done { id: id.as_str().into(), record: None, steps: Vec::new() }
            } else {
                Outcome::Missing
            };
        };
        if rec.poisoned {
            return Outcome::Rejected {
                code: "FIELD_CUSTOM_VALIDATION_EXCEPTION".to_owned(),
                message: "refused by a validation rule".to_owned(),
                fields: Vec::new(),
            };
        }
        if rec.pending.is_some() {
            return Outcome::Failed { code: "UNABLE_TO_LOCK_ROW".to_owned(), message: "the row is locked".to_owned() };
        }
        if write.verb == Verb::Delete {
            self.delete(actor, side, kind, &id);
            return Outcome::Done { id: id.as_str().into(), record: None, steps: Vec::new() };
        }
        // What it holds already is not written again.
        let news: Fields =
            write.fields.iter().filter(|(n, v)| rec.fields.get(*n) != Some(v)).map(|(n, v)| (n.clone(), v.clone())).collect();
        // Without an answer nobody knows that the side keeps something else than it was sent.
        let answers = self.settings.answers;
        for (name, value) in news.iter().filter(|_| answers) {
            let held = self.rec(side, kind, &id).and_then(|r| r.fields.get(name)).cloned();
            if let (Some(Value::Text(held)), Value::Text(new)) = (&held, value)
                && held.eq_ignore_ascii_case(new)
            {
                self.breaks("S7", format!("{side} {id}.{name} = {held:?} is written back as {new:?}"));
            }
        }
        if !news.is_empty() {
            self.set(actor, side, kind, &id, news);
        }
        self.done(side, kind, &id, write)
    }

    fn done(&self, side: Side, kind: Kind, id: &str, write: &Write) -> Outcome {
        let answered = self.settings.answers.then(|| self.rec(side, kind, id)).flatten();
        Outcome::Done { id: id.into(), record: answered.map(|rec| record(self, side, kind, id, rec, &write.read)), steps: Vec::new() }
    }

    fn with_key(&self, side: Side, kind: Kind, field: &str, value: &str) -> Option<String> {
        let holds = |r: &Rec| r.life == Life::Live && r.fields.get(field).and_then(Value::as_text) == Some(value);
        self.table(side, kind).iter().find(|(_, r)| holds(r)).map(|(id, _)| id.clone())
    }

    /// After an unknown outcome: what became of it, by reading.
    fn resolve(&mut self, side: Side, write: &Write) -> Outcome {
        let Some(kind) = kind_of(side, &write.resource) else { return Outcome::Missing };
        let not_done = || Outcome::Failed { code: "not-done".to_owned(), message: "it was not done".to_owned() };
        match write.verb {
            Verb::Create => {
                let found = write.key.as_ref().and_then(|(field, value)| self.with_key(side, kind, field, value));
                match found {
                    Some(id) => self.done(side, kind, &id, write),
                    None => not_done(),
                }
            }
            Verb::Delete => {
                let gone = write.id.as_ref().is_none_or(|id| self.rec(side, kind, id.as_str()).is_none_or(|r| r.life != Life::Live));
                if gone {
                    Outcome::Done { id: write.id.clone().unwrap_or_else(|| "".into()), record: None, steps: Vec::new() }
                } else {
                    not_done()
                }
            }
            _ => {
                let Some(id) = write.id.as_ref().map(|i| i.as_str().to_owned()) else { return Outcome::Missing };
                let Some(rec) = self.rec(side, kind, &id).filter(|r| r.life == Life::Live) else { return Outcome::Missing };
                let shows = |n: &String, v: &Value| match (rec.fields.get(n), v) {
                    (Some(Value::Text(held)), Value::Text(sent)) if side == Side::Platform => held.eq_ignore_ascii_case(sent),
                    (held, sent) => held == Some(sent),
                };
                if write.fields.iter().all(|(n, v)| shows(n, v)) { self.done(side, kind, &id, write) } else { not_done() }
            }
        }
    }

    /// S3, S9, S10: what every single write must keep.
    fn judge(&mut self, side: Side, kind: Kind, write: &Write) {
        for (field, value) in &write.fields {
            let own = field == planted(side);
            if !own && !may_write(side, kind, field) {
                self.breaks("S9", format!("{side} {}.{field} is written against its direction", kind.object()));
            }
            if self.told_hidden.contains(&(side, kind, field.as_str())) {
                self.breaks("S10", format!("{side} {}.{field} may not be read and is written", kind.object()));
            }
            if !own && !value.is_blank() && !self.was_held(side.other(), kind, field, value) {
                self.breaks("S3", format!("{side} {}.{field} = {value} was never held by the other side", kind.object()));
            }
        }
    }

    /// Whether the partner's field ever held this value, on any record.
    fn was_held(&self, side: Side, kind: Kind, field_there: &str, value: &Value) -> bool {
        if field_there == parent(side.other()) {
            return true;
        }
        let Some(here) = counterpart(side, field_there) else { return false };
        self.table(side, kind).values().any(|r| r.fields.get(here) == Some(value))
            || self.history.iter().any(|h| {
                h.side == side
                    && h.kind == kind
                    && matches!(&h.what, super::world::What::Set { field, value: v } if field == here && v == value)
            })
    }
}

/// The field of `side` that is mapped to `field` of the other side.
#[must_use]
pub fn counterpart(side: Side, field: &str) -> Option<&'static str> {
    (0..FIELDS.len()).find(|f| field_on(side.other(), *f) == field).map(|f| field_on(side, f)).or_else(|| match side {
        Side::Salesforce if field == TRIGGERED.1 => Some(TRIGGERED.0),
        Side::Platform if field == TRIGGERED.0 => Some(TRIGGERED.1),
        _ => None,
    })
}

/// The policy table, written apart from the rules: `Description` travels to the platform only, and so does the account of
/// a contact once both exist.
fn may_write(side: Side, kind: Kind, field: &str) -> bool {
    match side {
        Side::Salesforce => {
            matches!(field, "Name" | "Phone" | "NumberOfEmployees")
                || (kind == Kind::Account && field == TRIGGERED.0)
                || (kind == Kind::Contact && field == "AccountId")
        }
        Side::Platform => {
            matches!(field, "name" | "phone" | "description" | "size")
                || (kind == Kind::Account && field == TRIGGERED.1)
                || (kind == Kind::Contact && field == "account")
        }
    }
}
