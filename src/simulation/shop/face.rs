//! How the daemon sees the shop: the seam of the connectors. The platform's catalogue is LicenseSpring's own.

use super::script::{Call, Kind};
use super::world::{Begun, Delayed, Rec, World, planted};
use crate::connectors::licensespring::CATALOGUE as LICENSESPRING;
use crate::connectors::{
    Ask, Calls, Catalogue, DeleteFeed, Fault, FaultKind, Feed, Fetched, FieldInfo, Identity, Page, Polled, ReadEnd, Reader, ResourceSpec,
    Schema, Writer,
};
use crate::plan::{Outcome, Verb, Write};
use crate::record::{FieldType, Fields, Life, Record, RecordId, Side, Value};
use crate::simulation::script::FaultWord;
use crate::simulation::world::{LOOKBACK, crash};
use async_trait::async_trait;
use chrono::DateTime;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// Rows of a page: few, so that small worlds have several.
const PAGE: usize = 2;

/// How far back the platform's own reading by stamp goes.
const OVERLAP: i64 = 120;

/// What is sent to the platform and never shown by it.
const SENT_ONLY: [&str; 4] = ["items", "append", "change", "reset"];

/// The unit of a license, as its metadata holds it.
pub const UNIT: &str = "metadata.lockstep.line";

pub struct Face {
    pub side: Side,
    pub world: Arc<Mutex<World>>,
}

#[must_use]
pub const fn resource(side: Side, kind: Kind) -> &'static str {
    match (side, kind) {
        (Side::Salesforce, Kind::Account) => "Account",
        (Side::Salesforce, Kind::Contact) => "Contact",
        (Side::Salesforce, Kind::Order) => "Order",
        (Side::Salesforce, Kind::License) => "License__c",
        (Side::Platform, Kind::Account) => "customer-account",
        (Side::Platform, Kind::Contact) => "customer",
        (Side::Platform, Kind::Order) => "order",
        (Side::Platform, Kind::License) => "license",
    }
}

pub fn kind_of(side: Side, name: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|k| resource(side, *k) == name)
}

static SALESFORCE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue {
    name: "salesforce",
    resources: Kind::ALL
        .into_iter()
        .map(|kind| ResourceSpec {
            name: resource(Side::Salesforce, kind),
            fields: Vec::new(),
            planted: planted(Side::Salesforce, kind),
            feed: Feed::Since,
            deletes: DeleteFeed::Reported,
            can_create: true,
            can_update: true,
            can_delete: true,
            stamped: true,
            free_prefix: None,
        })
        .collect(),
    open: true,
});

/// Fields of the Salesforce objects, as far as the shipped rules look at them here.
fn salesforce_fields(kind: Kind) -> Vec<(&'static str, FieldType)> {
    let text = FieldType::text;
    let to = |kind: Kind| FieldType::Reference { to: resource(Side::Salesforce, kind).to_owned() };
    match kind {
        Kind::Account => {
            vec![
                ("Name", text()),
                ("Lockstep_Id__c", text()),
                ("Licenses_Sold__c", FieldType::Integer),
                ("Licenses_Active__c", FieldType::Integer),
            ]
        }
        Kind::Contact => vec![
            ("LastName", text()),
            ("Email", FieldType::Email { max: None, blank_is_null: true }),
            ("AccountId", to(Kind::Account)),
            ("Lockstep_Id__c", text()),
        ],
        Kind::Order => vec![
            ("AccountId", to(Kind::Account)),
            ("License_Contact__c", to(Kind::Contact)),
            ("BillToContactId", to(Kind::Contact)),
            ("OrderNumber", text()),
            ("Status", text()),
            ("StatusCode", text()),
            ("ActivatedDate", FieldType::Instant),
            ("License_Status__c", text()),
            ("License_Message__c", text()),
            ("License_Preview__c", text()),
            ("License_Platform_Id__c", text()),
            ("Licenses_Sold__c", FieldType::Integer),
            ("Licenses_Active__c", FieldType::Integer),
            ("Last_Activation__c", FieldType::Instant),
            ("lines", FieldType::Rows),
        ],
        Kind::License => vec![
            ("Order__c", to(Kind::Order)),
            ("Contact__c", to(Kind::Contact)),
            ("Order_Line__c", text()),
            ("License_Key__c", text()),
            ("Enabled__c", FieldType::Boolean),
            ("Valid_Until__c", FieldType::Date),
            ("Max_Activations__c", FieldType::Integer),
            ("Activations__c", FieldType::Integer),
            ("Note__c", text()),
            ("Lockstep_Id__c", text()),
            ("Reset_Requested__c", FieldType::Boolean),
            ("Reset_Outcome__c", text()),
            ("Reset_At__c", FieldType::Instant),
            ("Reset_Count__c", FieldType::Integer),
        ],
    }
}

static SCHEMAS: LazyLock<BTreeMap<(Side, Kind), Schema>> = LazyLock::new(|| {
    let mut all = BTreeMap::new();
    for kind in Kind::ALL {
        let info = |ty: FieldType, secret| FieldInfo { ty, createable: true, updateable: true, required: false, secret, calculated: false };
        let fields = salesforce_fields(kind).into_iter().map(|(name, ty)| (name.to_owned(), info(ty, name == "License_Key__c"))).collect();
        let planted = planted(Side::Salesforce, kind).map(str::to_owned);
        all.insert((Side::Salesforce, kind), Schema { fields, createable: true, updateable: true, deletable: true, planted });
        let Some(spec) = LICENSESPRING.resource(resource(Side::Platform, kind)) else { continue };
        let info = |f: &crate::connectors::FieldSpec| FieldInfo {
            ty: f.ty.clone(),
            createable: f.create,
            updateable: f.update,
            required: f.required,
            secret: f.secret,
            calculated: false,
        };
        let schema = Schema {
            fields: spec.fields.iter().map(|f| (f.name.to_owned(), info(f))).collect(),
            createable: spec.can_create,
            updateable: spec.can_update,
            deletable: spec.can_delete,
            planted: spec.planted.map(str::to_owned),
        };
        all.insert((Side::Platform, kind), schema);
    }
    all
});

/// A record nobody has filled.
pub fn blank_fields(side: Side, kind: Kind) -> Fields {
    let schema = &SCHEMAS[&(side, kind)];
    let blank = |ty: &FieldType| match ty {
        FieldType::Rows => Value::Rows(Vec::new()),
        FieldType::Boolean if side == Side::Salesforce => Value::Bool(false),
        _ => Value::Null,
    };
    let mut fields: Fields = schema.fields.iter().map(|(n, f)| (n.clone(), blank(&f.ty))).collect();
    fields.retain(|name, _| side == Side::Salesforce || !SENT_ONLY.contains(&name.as_str()));
    if (side, kind) == (Side::Platform, Kind::License) {
        fields.insert(UNIT.to_owned(), Value::Null);
    }
    fields
}

/// Which faults mean anything at which call.
#[must_use]
pub fn applies(fault: FaultWord, side: Side, call: Call) -> bool {
    let op = match call {
        Call::Customer | Call::Issue | Call::Bring => "create",
        Call::Amend | Call::Change | Call::Reset | Call::Show | Call::Tell => "update",
        other => other.as_str(),
    };
    call.is_on(side) && crate::simulation::face::applies(fault, side, op)
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

    fn begins(&self, call: Call, what: &str) -> Begun {
        let mut world = self.world();
        let mut begun = world.begins(self.side, call, what);
        if let Some(fault) = begun.fault {
            if applies(fault, self.side, call) {
                world.count(fault.as_str(), self.side.as_str(), call.as_str());
                world.tell(&format!("  fault {}", fault.as_str()));
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
        match self.side {
            Side::Salesforce => &SALESFORCE,
            Side::Platform => &LICENSESPRING,
        }
    }

    async fn identity(&self) -> Result<Identity, Fault> {
        let begun = self.begins(Call::Identity, "");
        self.ends(&begun);
        match begun.fault {
            Some(fault) => Err(fault_of(fault)),
            None => Ok(Identity { id: format!("{}-1", self.side), name: self.side.to_string(), is_sandbox: false }),
        }
    }

    async fn schema(&self, resources: &[String]) -> Result<BTreeMap<String, Schema>, Fault> {
        let begun = self.begins(Call::Schema, "");
        self.ends(&begun);
        match begun.fault {
            Some(fault) => Err(fault_of(fault)),
            None => Ok(resources.iter().filter_map(|r| Some((r.clone(), SCHEMAS[&(self.side, kind_of(self.side, r)?)].clone()))).collect()),
        }
    }

    async fn poll(&self, asks: &[Ask], pages: mpsc::Sender<Page>) -> Result<Vec<Polled>, Fault> {
        let names: Vec<&str> = asks.iter().map(|a| a.object.as_str()).collect();
        let begun = self.begins(Call::Poll, &names.join(","));
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
            let end = match begun.fault.filter(|_| breaks) {
                Some(fault) => Err(fault_of(fault)),
                None => Ok(ReadEnd { watermark: Some(watermark), complete }),
            };
            ends.push(Polled { object: ask.object.clone(), end });
        }
        if self.side == Side::Salesforce && ends.iter().all(|e| e.end.is_ok()) {
            let mut world = self.world();
            world.read_at = world.tick;
        }
        self.ends(&begun);
        Ok(ends)
    }

    async fn get_many(&self, resource: &str, fields: &[String], ids: &[RecordId]) -> Result<Vec<Fetched>, Fault> {
        let begun = self.begins(Call::Get, resource);
        self.ends(&begun);
        match begun.fault {
            None | Some(FaultWord::Hidden) => {}
            Some(fault) => return Err(fault_of(fault)),
        }
        let world = self.world();
        let Some(kind) = kind_of(self.side, resource) else { return Ok(Vec::new()) };
        let fetched = ids.iter().enumerate().map(|(n, id)| {
            if n == 0 && begun.fault.is_some() {
                return Fetched::Refused(id.clone(), "no access".to_owned());
            }
            match world.rec(self.side, kind, id.as_str()) {
                Some(rec) if rec.life == Life::Live => Fetched::Here(record(id.as_str(), rec, fields)),
                Some(rec) if self.side == Side::Salesforce => Fetched::Deleted(record(id.as_str(), rec, fields)),
                Some(_) | None => Fetched::Missing(id.clone()),
            }
        });
        Ok(fetched.collect())
    }

    async fn find(&self, resource: &str, fields: &[String], key: &str, values: &[Value]) -> Result<Vec<Record>, Fault> {
        let world = self.world();
        let Some(kind) = kind_of(self.side, resource) else { return Ok(Vec::new()) };
        let hits = world.living(self.side, kind).filter(|(_, r)| r.fields.get(key).is_some_and(|v| values.contains(v)));
        Ok(hits.map(|(id, rec)| record(id, rec, fields)).collect())
    }

    async fn count(&self, resource: &str) -> Result<u64, Fault> {
        let world = self.world();
        Ok(kind_of(self.side, resource).map_or(0, |kind| world.living(self.side, kind).count() as u64))
    }

    fn calls(&self) -> Calls {
        Calls { data: self.world().calls[self.side], other: 0, allowance_used: None, allowance_max: None }
    }
}

/// What a batch is for, by its first write.
fn call_of(side: Side, write: &Write) -> Call {
    match (side, kind_of(side, &write.resource), write.verb) {
        (Side::Platform, Some(Kind::Order), Verb::Create) => Call::Issue,
        (Side::Platform, Some(Kind::Order), _) => Call::Amend,
        (Side::Platform, Some(Kind::License), _) if write.fields.contains_key("reset") => Call::Reset,
        (Side::Platform, Some(Kind::License), _) => Call::Change,
        (Side::Platform, _, _) => Call::Customer,
        (Side::Salesforce, Some(Kind::License), Verb::Create) => Call::Bring,
        (Side::Salesforce, Some(Kind::License), _) if !write.fields.contains_key("Reset_Outcome__c") => Call::Show,
        (Side::Salesforce, _, _) => Call::Tell,
    }
}

#[async_trait]
impl Writer for Face {
    async fn apply(&self, writes: &[Write]) -> Vec<Outcome> {
        let Some(first) = writes.first() else { return Vec::new() };
        let name = |w: &Write| format!("{}{}", w.object, w.id.as_ref().map_or(String::new(), |i| format!(" {i}")));
        let begun = self.begins(call_of(self.side, first), &writes.iter().map(name).collect::<Vec<_>>().join(", "));
        let outcomes = self.world().apply(self.side, writes, begun.fault);
        self.ends(&begun);
        outcomes
    }

    async fn resolve(&self, write: &Write) -> Outcome {
        let begun = self.begins(Call::Resolve, &write.object);
        let outcome = match begun.fault {
            Some(_) => Outcome::Unknown { message: "still not known".to_owned() },
            None => self.world().resolve(self.side, write),
        };
        self.ends(&begun);
        outcome
    }
}

pub fn record(id: &str, rec: &Rec, wanted: &[String]) -> Record {
    Record {
        id: id.into(),
        fields: rec.fields.iter().filter(|(name, _)| wanted.contains(name)).map(|(n, v)| (n.clone(), v.clone())).collect(),
        stamp: DateTime::from_timestamp(rec.stamp, 0).map(|t| t.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
        life: rec.life.clone(),
        partial: Vec::new(),
    }
}

/// What a reading shows: Salesforce since the watermark less the lookback, with what was deleted; the platform what lives.
fn list(world: &World, side: Side, ask: &Ask) -> Vec<Record> {
    let Some(kind) = kind_of(side, &ask.resource) else { return Vec::new() };
    let since = ask.since.as_ref().filter(|_| !ask.sweep).and_then(|s| s.parse::<i64>().ok());
    let back = if side == Side::Salesforce { LOOKBACK } else { OVERLAP };
    let from = since.map_or(0, |since| since - back);
    let mut rows: Vec<(i64, &String, &Rec)> = world
        .table(side, kind)
        .iter()
        .filter(|(_, r)| r.stamp >= from && r.shows_at <= world.now && (side == Side::Salesforce || r.life == Life::Live))
        .map(|(id, r)| (r.stamp, id, r))
        .collect();
    rows.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    rows.into_iter().map(|(_, id, rec)| record(id, rec, &ask.fields)).collect()
}

impl World {
    fn apply(&mut self, side: Side, writes: &[Write], fault: Option<FaultWord>) -> Vec<Outcome> {
        use FaultWord as F;
        let unknown = || Outcome::Unknown { message: "no answer".to_owned() };
        let failed = |code: &str| Outcome::Failed { code: code.to_owned(), message: "not done".to_owned() };
        let (half, read_at) = (writes.len().div_ceil(2), self.read_at);
        let mut outcomes = Vec::with_capacity(writes.len());
        for (n, write) in writes.iter().enumerate() {
            // A single write of several steps breaks off after the first of them.
            let one = writes.len() == 1;
            outcomes.push(match fault {
                None => self.carry_out(side, write, usize::MAX, read_at),
                Some(F::Refused) => failed("503"),
                Some(F::Locked) => failed("UNABLE_TO_LOCK_ROW"),
                Some(F::Budget) => failed("budget"),
                Some(F::Credentials) => failed("invalid_grant"),
                Some(F::TimeoutBefore) => unknown(),
                Some(F::LostAnswer | F::Answer) => {
                    self.carry_out(side, write, usize::MAX, read_at);
                    unknown()
                }
                Some(F::Late) => {
                    self.delayed.push(Delayed { at_call: self.call + 2, side, write: write.clone() });
                    unknown()
                }
                Some(F::Partial | F::PartialLost) if one => {
                    self.carry_out(side, write, 1, read_at);
                    unknown()
                }
                Some(F::Partial) if n >= half => failed("503"),
                Some(F::PartialLost) if n >= half => unknown(),
                Some(F::PartialLost) => {
                    self.carry_out(side, write, usize::MAX, read_at);
                    unknown()
                }
                Some(_) => self.carry_out(side, write, usize::MAX, read_at),
            });
        }
        outcomes
    }

    pub fn done(&self, side: Side, kind: Kind, id: &str, write: &Write) -> Outcome {
        self.done_with(side, kind, id, write, Vec::new())
    }

    pub fn done_with(&self, side: Side, kind: Kind, id: &str, write: &Write, steps: Vec<crate::plan::StepReport>) -> Outcome {
        let answered = self.settings.answers.then(|| self.rec(side, kind, id)).flatten();
        Outcome::Done { id: id.into(), record: answered.map(|rec| record(id, rec, &write.read)), steps }
    }
}
