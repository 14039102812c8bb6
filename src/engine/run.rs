//! One run, from its row in the history to its report.

use super::{
    absence::after_sweep,
    apply::{Applied, Apply},
    backup,
    census::Census,
    guard::{Cleared, Watch},
    native::{LINES, native_fields, readable_fields},
    planner::Planner,
    pull::{Pull, Read, is_budget},
    recover::Recover,
    restore::restore,
    standing::refers_to,
    tell::Tell,
};
use crate::connectors::{Fault, Fetched, FieldInfo, Identity, Schema, Writer};
use crate::plan::HoldKind;
use crate::record::{FieldType, RecordId, Side, Sides};
use crate::rules::{Limits, Mapping, Outline, Rules, changes};
use crate::seeded::seeded;
use crate::store::{CensusCounts, Nest, PairRead, RunCounts, SidesJson, Store};
use chrono::{DateTime, Duration, Utc};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::Path,
};
use tokio_util::sync::CancellationToken;

/// A new link or a third value asks for another look; more laps than this wait for the next run.
const MOST_LAPS: u32 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    Delta,
    /// Full re-sync: watermarks ignored, everything compared, tombstones of accounts and contacts cleared.
    Full,
    /// A delta that also compares the ids and stamps of both sides with what is remembered.
    Census,
}

impl RunKind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::Full => "full",
            Self::Census => "census",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Options {
    pub kind: RunKind,
    /// What started it, for the history: `schedule`, `once`, `signal`, …
    pub cause: String,
    /// A person looked and said yes: holds let go in this run.
    pub approve: bool,
    /// Read kinds that can only be swept whole, even if their watermark would do.
    pub sweep: bool,
    /// Conflicts whose losing value is to be put back.
    pub restore: Vec<i64>,
}

impl Options {
    #[must_use]
    pub fn new(kind: RunKind, cause: &str) -> Self {
        Self { kind, cause: cause.to_owned(), approve: false, sweep: true, restore: Vec::new() }
    }
}

/// Why a run could not do all it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("this state belongs to connection {pinned:?}, the rules say {found:?}: use another state directory, or put the old name back")]
    Connection { pinned: String, found: String },
    #[error(
        "the credentials lead to another {side} ({found}) than the one this state was built with ({pinned}); nothing was read or written"
    )]
    Identity { side: Side, pinned: String, found: String },
    #[error("{side}: {fault}")]
    Side { side: Side, fault: Fault },
    #[error("{side} {resource}: not there, or not visible to our user; check the object, its permissions and the rules")]
    Resource { side: Side, resource: String },
    #[error(
        "Salesforce is a sandbox org ({org}) and the platform ({platform}) is not a test system: nothing was read or written; say allow-sandbox-with-production = true under [salesforce] if that is meant"
    )]
    Mixed { org: String, platform: String },
    #[error("stopped")]
    Stopped,
}

/// What `once --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    pub run: i64,
    pub kind: String,
    pub outcome: String,
    pub writes: SidesJson,
    pub conflicts: u64,
    pub conflicts_open: u64,
    pub quarantined: u64,
    /// Fields that are fought over.
    pub frozen: u64,
    pub held: u64,
    pub calls: SidesJson,
    /// What a census came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub census: Option<CensusCounts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

pub struct Engine<'a> {
    pub store: &'a Store,
    pub rules: &'a Rules,
    pub limits: Limits,
    pub sides: Sides<&'a dyn Writer>,
    pub clock: &'a (dyn Fn() -> DateTime<Utc> + Send + Sync),
    /// Where a first contact's pairs are written.
    pub state_dir: Option<&'a Path>,
    pub confirm_after: Duration,
    /// A sandbox org may be paired with a production platform.
    pub allow_mixed: bool,
    pub stop: CancellationToken,
}

/// What is added up on the way.
#[derive(Default)]
struct Tally {
    writes: Sides<u64>,
    conflicts: u64,
    failed: u64,
    over_budget: bool,
    held: bool,
    troubles: Vec<Trouble>,
}

impl Tally {
    fn add(&mut self, applied: &Applied) {
        for side in Side::BOTH {
            self.writes[side] += applied.writes[side];
        }
        self.conflicts += applied.conflicts;
        self.failed += applied.failed + applied.rejected;
        self.over_budget |= applied.over_budget;
    }

    fn fault(&mut self, side: Side, fault: Fault) {
        if is_budget(&fault) {
            self.over_budget = true;
        } else {
            self.troubles.push(Trouble::Side { side, fault });
        }
    }
}

type Schemas = Sides<BTreeMap<String, Schema>>;

impl Engine<'_> {
    /// One pass. Always leaves one row in the history; an `Err` means that the store itself failed.
    pub async fn run(&self, options: &Options) -> anyhow::Result<Report> {
        let before = self.calls();
        let interrupted = self.store.was_interrupted()?;
        let mut options = backup::options(self.store, options)?;
        let run = self.store.start_run(options.kind.as_str(), &options.cause, (self.clock)())?;
        let mut tally = Tally::default();
        let mut failure = self.pass(run, &options, interrupted, &mut tally).await.err();
        if failure.as_ref().is_some_and(|e| e.is::<backup::Older>()) {
            options = Options { restore: Vec::new(), ..backup::options(self.store, &options)? };
            failure = self.pass(run, &options, interrupted, &mut tally).await.err();
        }
        let report = self.report(run, &options, &tally, failure.as_ref(), before)?;
        match failure {
            // The store may be what failed: say the first error, not the one of closing.
            Some(error) if error.downcast_ref::<Trouble>().is_none() => Err(error),
            _ => Ok(report),
        }
    }

    fn calls(&self) -> Sides<u64> {
        Sides::new(self.sides.salesforce.calls().data, self.sides.platform.calls().data)
    }

    fn report(
        &self,
        run: i64,
        options: &Options,
        tally: &Tally,
        failure: Option<&anyhow::Error>,
        before: Sides<u64>,
    ) -> anyhow::Result<Report> {
        let calls = self.calls();
        let allowance = self.sides.salesforce.calls();
        let counts = RunCounts {
            writes: tally.writes,
            calls: Sides::new(calls.salesforce - before.salesforce, calls.platform - before.platform),
            conflicts: tally.conflicts,
            allowance: allowance.allowance_used.zip(allowance.allowance_max),
        };
        let (open, quarantined, held) = (self.store.open_conflicts()?, self.store.quarantine_count()?, self.store.held_count()?);
        let frozen = self.store.frozen_count()?;
        let mut errors: Vec<String> = tally.troubles.iter().map(ToString::to_string).collect();
        errors.extend(failure.map(|e| format!("{e:#}")));
        errors.dedup();
        let error = if errors.is_empty() { None } else { Some(errors.join("; ")) };
        let outcome = if error.is_some() {
            "failed"
        } else if held > 0 || tally.held {
            "held"
        } else if tally.over_budget {
            "budget-limited"
        } else if open + quarantined + frozen + tally.failed > 0 {
            "partial"
        } else {
            "ok"
        };
        self.store.finish_run(run, outcome, error.as_deref(), &counts, (self.clock)())?;
        let census = if options.kind == RunKind::Census { Some(self.store.census_counts(run)?) } else { None };
        let both = |s: Sides<u64>| SidesJson { salesforce: s.salesforce, platform: s.platform };
        let report = Report {
            run,
            kind: options.kind.as_str().to_owned(),
            outcome: outcome.to_owned(),
            writes: both(counts.writes),
            conflicts: counts.conflicts,
            conflicts_open: open,
            quarantined,
            frozen,
            held,
            calls: both(counts.calls),
            census,
            error,
        };
        tracing::info!(
            run, kind = %report.kind, outcome, writes_salesforce = report.writes.salesforce, writes_platform = report.writes.platform,
            conflicts = report.conflicts, quarantined, frozen, held, calls_salesforce = report.calls.salesforce, calls_platform = report.calls.platform,
            "run {run} ended: {outcome}"
        );
        Ok(report)
    }

    async fn pass(&self, run: i64, options: &Options, interrupted: bool, tally: &mut Tally) -> anyhow::Result<()> {
        self.store.drop_all_planned()?;
        let suspects = self.store.all_suspects()?;
        if let Some(pinned) = self.store.pin("connection", &self.rules.connection)? {
            return Err(Trouble::Connection { pinned, found: self.rules.connection.clone() }.into());
        }
        let Some(schemas) = self.unless_stopped(self.meet(run, tally)).await?? else { return Ok(()) };
        self.prepare(options, interrupted)?;
        self.wake_by_schema(&schemas).await?;
        let whole = options.kind == RunKind::Full;

        let mappings: Vec<&Mapping> = self.rules.mappings.iter().filter(|m| self.known(m, &schemas, tally)).collect();
        let salesforce = self.pull(run, Side::Salesforce, &schemas);
        let reads = self.unless_stopped(salesforce.read(&mappings, whole, whole)).await??;
        let mut read: BTreeMap<&str, &Read> = BTreeMap::new();
        for one in &reads {
            read.insert(&one.object, one);
            if let Some(fault) = &one.fault {
                tally.fault(Side::Salesforce, fault.clone());
            }
        }

        let listed = self.census(run, options, &mappings, &reads, &schemas, tally).await?;

        backup::look_in_salesforce(self.store, self.rules, &schemas.salesforce, run, (self.clock)())?;
        let mut cleared: Vec<(&Mapping, Cleared)> = Vec::new();
        for mapping in mappings {
            if self.stop.is_cancelled() {
                return Err(Trouble::Stopped.into());
            }
            let own = read.get(mapping.object.as_str());
            let fine = own.is_some_and(|r| r.fault.is_none());
            let swept = own.is_some_and(|r| r.complete) || listed.contains(mapping.object.as_str());
            if let Some(proof) = self.turn(run, options, mapping, &schemas, swept, fine, interrupted, tally).await? {
                cleared.push((mapping, proof));
            }
        }
        for (mapping, proof) in cleared.iter().rev() {
            let applied = self.apply(run, mapping, &schemas).carry_out_deletes(proof).await?;
            tally.add(&applied);
            self.store.sweep_quarantine(&mapping.object)?;
        }
        if reads.iter().all(|r| r.fault.is_none()) {
            self.tell(run, options, &schemas, tally).await?;
        }
        self.end_census(options, &listed, &reads)?;
        let all_had_their_turn = cleared.len() == self.rules.mappings.len() && tally.troubles.is_empty() && !tally.over_budget;
        backup::end(self.store, self.rules, run, suspects, whole && all_had_their_turn, (self.clock)())?;
        self.store.set_meta("rules", &self.rules.fingerprint.to_string())?;
        Ok(())
    }

    /// Lists what is in Salesforce of objects that this run has not just read whole. Answers those that came to their end.
    async fn census(
        &self,
        run: i64,
        options: &Options,
        mappings: &[&Mapping],
        reads: &[Read],
        schemas: &Schemas,
        tally: &mut Tally,
    ) -> anyhow::Result<HashSet<String>> {
        if options.kind != RunKind::Census {
            return Ok(HashSet::new());
        }
        let mut wanted = Vec::new();
        for mapping in mappings {
            let fresh = reads.iter().any(|r| r.object == mapping.object && r.fault.is_none() && !r.complete);
            if fresh && !self.store.census_ended(&mapping.object, Side::Salesforce)? {
                wanted.push(*mapping);
            }
        }
        let pull = self.pull(run, Side::Salesforce, schemas);
        let census = Census { pull: &pull, mappings: &wanted };
        let counted = self.unless_stopped(census.count()).await??;
        for fault in counted.faults {
            tally.fault(Side::Salesforce, fault);
        }
        Ok(counted.listed)
    }

    /// A census is over once every object was listed and what was missing from it was looked at, in this run or in those
    /// that broke off before. A full re-sync has seen all of that too.
    fn end_census(&self, options: &Options, listed: &HashSet<String>, reads: &[Read]) -> anyhow::Result<()> {
        let mut over = options.kind != RunKind::Delta && !reads.is_empty();
        for read in reads {
            let whole = read.complete || listed.contains(&read.object) || self.store.census_ended(&read.object, Side::Salesforce)?;
            over &= read.fault.is_none() && whole;
        }
        if over {
            self.store.end_census((self.clock)())?;
        }
        Ok(())
    }

    /// After everything else: what has to be said in Salesforce of orders, accounts and resets. Looked at whole when a day
    /// has passed, because licenses end with a day; otherwise only what moved.
    async fn tell(&self, run: i64, options: &Options, schemas: &Schemas, tally: &mut Tally) -> anyhow::Result<()> {
        let Some(orders) = self.rules.mappings.iter().find(|m| m.provisions) else { return Ok(()) };
        let now = (self.clock)();
        let today = now.format("%Y-%m-%d").to_string();
        // The rules are noted after this: other ones say other things.
        let same_rules = self.store.meta("rules")?.is_some_and(|f| f == self.rules.fingerprint.to_string());
        let partly = |day: &str| day == today && options.kind != RunKind::Full && same_rules;
        let since = self.store.last_told()?.filter(|(_, day)| partly(day)).map(|(run, _)| run);
        if let Some(since) = since
            && !self.store.moved_since(since, &orders.object)?
        {
            return Ok(());
        }
        let (before, mut refused) = (tally.failed, 0);
        for mapping in self.rules.mappings.iter().filter(|m| schemas.salesforce.contains_key(&m.salesforce)) {
            let tell = Tell { store: self.store, rules: self.rules, schemas: &schemas.salesforce, run, now, since };
            if tell.plan(mapping)? == 0 {
                continue;
            }
            let Some(cleared) = self.watch(run, options, mapping)?.clear_told()? else { return Ok(()) };
            let applied = self.apply(run, mapping, schemas).carry_out(&cleared).await?;
            refused += applied.rejected;
            tally.add(&applied);
        }
        // What was refused is said again when something moves; what failed, in the next run.
        if tally.failed == before + refused && !self.stop.is_cancelled() {
            self.store.told(run, &today)?;
        }
        Ok(())
    }

    /// Both sides say who they are and what we may see there; a dead side does not stop the other from being read.
    async fn meet(&self, run: i64, tally: &mut Tally) -> anyhow::Result<Option<Schemas>> {
        let mut identities: Sides<Option<Identity>> = Sides::default();
        for side in Side::BOTH {
            match self.sides[side].identity().await {
                Ok(identity) => identities[side] = Some(self.pinned(side, identity)?),
                Err(fault) => tally.fault(side, fault),
            }
        }
        if let (Some(salesforce), Some(platform)) = (&identities.salesforce, &identities.platform)
            && salesforce.is_sandbox
            && !platform.is_sandbox
            && !self.allow_mixed
        {
            return Err(Trouble::Mixed { org: salesforce.name.clone(), platform: platform.name.clone() }.into());
        }
        let mut schemas: Sides<Option<BTreeMap<String, Schema>>> = Sides::default();
        for side in Side::BOTH.into_iter().filter(|s| identities[*s].is_some()) {
            match self.schemas(side).await {
                Ok(schema) => schemas[side] = Some(schema),
                Err(fault) => tally.fault(side, fault),
            }
        }
        match (schemas.salesforce, schemas.platform) {
            (Some(salesforce), Some(platform)) => Ok(Some(Sides::new(salesforce, platform))),
            (salesforce, platform) => {
                let alive = Sides::new(salesforce.unwrap_or_default(), platform.unwrap_or_default());
                for side in Side::BOTH.into_iter().filter(|s| !alive[*s].is_empty()) {
                    let mappings: Vec<&Mapping> = self.rules.mappings.iter().collect();
                    self.unless_stopped(self.pull(run, side, &alive).read(&mappings, false, false)).await??;
                }
                Ok(None)
            }
        }
    }

    /// Who is behind the credentials is pinned at first contact; a side that does not say is not pinned.
    fn pinned(&self, side: Side, identity: Identity) -> anyhow::Result<Identity> {
        if !identity.id.is_empty()
            && let Some(pinned) = self.store.pin(&format!("identity:{side}"), &identity.id)?
        {
            return Err(Trouble::Identity { side, pinned, found: identity.id }.into());
        }
        Ok(identity)
    }

    async fn schemas(&self, side: Side) -> Result<BTreeMap<String, Schema>, Fault> {
        let resources: Vec<String> = self
            .rules
            .mappings
            .iter()
            .map(|m| match side {
                Side::Salesforce => m.salesforce.clone(),
                Side::Platform => m.platform.clone(),
            })
            .collect();
        let mut schemas = self.sides[side].schema(&resources).await?;
        for mapping in &self.rules.mappings {
            self.complete(side, mapping, &mut schemas);
            self.name_frozen(side, mapping, &schemas);
        }
        Ok(schemas)
    }

    /// Names that no describe lists: parent fields, the lines of an order, free metadata.
    fn complete(&self, side: Side, mapping: &Mapping, schemas: &mut BTreeMap<String, Schema>) {
        let resource = match side {
            Side::Salesforce => &mapping.salesforce,
            Side::Platform => &mapping.platform,
        };
        let free = self.sides[side].catalogue().resource(resource).and_then(|r| r.free_prefix);
        let Some(schema) = schemas.get_mut(resource) else { return };
        // A side may say under the prefix itself what all fields below it are.
        let alike = free.and_then(|prefix| schema.fields.get(prefix)).cloned();
        for name in native_fields(self.rules, mapping, side) {
            let (ty, writable) = match side {
                Side::Salesforce if name == LINES => (FieldType::Rows, false),
                Side::Salesforce if name.contains('.') => (FieldType::text(), false),
                _ if free.is_some_and(|p| name.starts_with(p)) => (FieldType::text(), true),
                _ => continue,
            };
            if let (Some(alike), true) = (&alike, free.is_some_and(|p| name.starts_with(p))) {
                schema.fields.entry(name).or_insert(alike.clone());
                continue;
            }
            schema.fields.entry(name).or_insert(FieldInfo {
                ty,
                createable: writable,
                updateable: writable,
                required: false,
                secret: false,
                calculated: false,
            });
        }
    }

    /// Mapped fields that may not be read take no part; the log says which.
    fn name_frozen(&self, side: Side, mapping: &Mapping, schemas: &BTreeMap<String, Schema>) {
        let resource = match side {
            Side::Salesforce => &mapping.salesforce,
            Side::Platform => &mapping.platform,
        };
        let Some(schema) = schemas.get(resource) else { return };
        for field in native_fields(self.rules, mapping, side).iter().filter(|f| !schema.fields.contains_key(*f)) {
            tracing::warn!(object = %mapping.object, %side, field, "{resource}.{field} is not there or may not be read: frozen; `lockstep check --online` says what to fix");
        }
    }

    /// What has to be looked at again before anything is read.
    fn prepare(&self, options: &Options, interrupted: bool) -> anyhow::Result<()> {
        // Noted at the end of a run: none noted means that no run came to its end with these.
        let rules_changed = self.store.meta("rules")?.is_none_or(|f| f != self.rules.fingerprint.to_string());
        if rules_changed {
            for (object, links) in self.store.linked_objects()?.into_iter().filter(|(o, _)| self.rules.mapping(o).is_none()) {
                tracing::warn!(object, links, "no longer in the rules: nothing of it is read or written, and its links stay as they are");
            }
        }
        let restored = self.store.restored()?.is_some();
        for mapping in &self.rules.mappings {
            let issued = mapping.provisions || matches!(mapping.object.as_str(), "license" | "feature");
            // A restored memory does not know what was deleted for good since: nothing is brought back.
            if options.kind == RunKind::Full && !issued && !restored {
                let cleared = self.store.clear_tombstones(&mapping.object)?;
                if cleared > 0 {
                    tracing::info!(object = %mapping.object, cleared, "tombstones cleared by the re-sync");
                }
            }
            if rules_changed || options.kind == RunKind::Full {
                self.store.wake_all(&mapping.object)?;
            } else if interrupted || options.approve {
                self.store.wake_waiting(&mapping.object)?;
            }
            if rules_changed {
                self.store.wake_quarantine(Some(&mapping.object), None)?;
                self.store.thaw(Some(&mapping.object), None, "rules", (self.clock)())?;
            }
        }
        Ok(())
    }

    /// What was parked may be cured by a field made longer, a right granted, a picklist value added: it is tried again when
    /// a side describes an object otherwise than before.
    async fn wake_by_schema(&self, schemas: &Schemas) -> anyhow::Result<()> {
        for side in Side::BOTH {
            let resources: Vec<String> = schemas[side].keys().cloned().collect();
            let Ok(facts) = self.sides[side].facts(&resources).await else { continue };
            for mapping in &self.rules.mappings {
                let resource = if side == Side::Salesforce { &mapping.salesforce } else { &mapping.platform };
                let Some(schema) = schemas[side].get(resource) else { continue };
                let told = format!("{}{:?}", serde_json::to_string(schema)?, facts.get(resource));
                let print = crate::record::fields_hash(&told).to_string();
                let key = format!("schema:{side}:{}", mapping.object);
                match self.store.meta(&key)? {
                    Some(known) if known == print => continue,
                    Some(_) => {
                        let woken = self.store.wake_quarantine(Some(&mapping.object), None)?;
                        tracing::info!(object = %mapping.object, %side, woken, "{resource} is described otherwise than before");
                    }
                    None => {}
                }
                self.store.set_meta(&key, &print)?;
            }
        }
        Ok(())
    }

    /// A parked record is tried again when one it refers to is linked, changes, or is no longer parked itself. `wake` looks
    /// for such changes; without it only what was parked just now is noted.
    fn look_at_parents(&self, run: i64, mapping: &Mapping, wake: bool) -> anyhow::Result<()> {
        const PAGE: u32 = 500;
        let (now, object) = ((self.clock)(), mapping.object.as_str());
        let mut rows = self.store.backing_off(object, None, PAGE, now)?;
        if rows.is_empty() {
            return Ok(());
        }
        if wake {
            let key = format!("parents-looked:{object}");
            let since = self.store.meta(&key)?.and_then(|r| r.parse().ok()).unwrap_or(0);
            let mut stirred = false;
            for parent in parents(mapping) {
                stirred |= self.store.stirred_since(parent, since)?;
            }
            self.store.set_meta(&key, &run.to_string())?;
            if !stirred {
                return Ok(());
            }
        }
        while let Some(last) = rows.last().cloned() {
            let mut noted = Vec::new();
            for mut row in rows.into_iter().filter(|row| wake || row.parents.is_none()) {
                let Some(pair) = self.store.pair_of_record(object, row.side, row.id.as_str())? else { continue };
                let mut wanted = Sides::default();
                super::decide::references(mapping, self.rules, &pair, &mut wanted);
                let before = row.parents.replace(self.store.fingerprint_of(&wanted)?);
                if before != row.parents {
                    noted.push((row, wake && before.is_some()));
                }
            }
            for (row, _) in noted.iter().filter(|(_, woken)| *woken) {
                tracing::info!(object, side = %row.side, record = %row.id, "a record it refers to changed: tried again");
            }
            self.store.note_parents(object, &noted)?;
            rows = self.store.backing_off(object, Some((last.side, last.id.as_str())), PAGE, now)?;
        }
        Ok(())
    }

    /// What the rules of an object say otherwise than when the two sides last agreed under them, in words. A re-sync
    /// compares everything, so it is measured by the last one.
    fn changed_rules(&self, options: &Options, mapping: &Mapping) -> anyhow::Result<Vec<String>> {
        let before = self.store.meta(&outline_key(options.kind, mapping))?;
        let before: Option<Outline> = before.and_then(|text| serde_json::from_str(&text).ok());
        Ok(before.map(|before| changes(&before, &mapping.outline())).unwrap_or_default())
    }

    /// The object was planned under these rules and nothing is held because of them.
    fn note_rules(&self, options: &Options, mapping: &Mapping) -> anyhow::Result<()> {
        let held = |h: &crate::store::HoldRow| h.object == mapping.object && h.kind == HoldKind::RulesChanged.as_str();
        if self.store.holds()?.iter().any(held) {
            return Ok(());
        }
        let now = serde_json::to_string(&mapping.outline())?;
        for kind in [RunKind::Delta, RunKind::Full] {
            let key = outline_key(kind, mapping);
            let known = self.store.meta(&key)?;
            let due = kind == RunKind::Delta || options.kind == RunKind::Full || known.is_none();
            if due && known.as_deref() != Some(now.as_str()) {
                self.store.set_meta(&key, &now)?;
            }
        }
        Ok(())
    }

    fn known(&self, mapping: &Mapping, schemas: &Schemas, tally: &mut Tally) -> bool {
        let mut known = true;
        for (side, resource) in [(Side::Salesforce, &mapping.salesforce), (Side::Platform, &mapping.platform)] {
            if !schemas[side].contains_key(resource) {
                tally.troubles.push(Trouble::Resource { side, resource: resource.clone() });
                known = false;
            }
        }
        known
    }

    /// One object's turn: its platform side is read after its parents' writes, so that what they made is seen at once.
    #[allow(clippy::too_many_arguments)]
    async fn turn(
        &self,
        run: i64,
        options: &Options,
        mapping: &Mapping,
        schemas: &Schemas,
        salesforce_swept: bool,
        salesforce_fine: bool,
        interrupted: bool,
        tally: &mut Tally,
    ) -> anyhow::Result<Option<Cleared>> {
        let whole = options.kind == RunKind::Full;
        let schema = Sides::new(&schemas.salesforce[&mapping.salesforce], &schemas.platform[&mapping.platform]);
        let watch = self.watch(run, options, mapping)?;

        let recover = Recover { store: self.store, rules: self.rules, mapping, schema, writers: self.sides, run, now: (self.clock)() };
        let recovered = recover.open_promises().await?;
        tally.conflicts += recovered.conflicts;
        tally.failed += recovered.unknown;

        let pull = self.pull(run, Side::Platform, schemas);
        let read = self.unless_stopped(pull.read(&[mapping], whole, whole || options.sweep)).await??.pop();
        let Some(read) = read else { return Ok(None) };
        let mut emptied = false;
        if read.complete {
            emptied |= after_sweep(&pull, mapping, &watch, self.confirm_after).await?;
        }
        if salesforce_swept {
            emptied |= after_sweep(&self.pull(run, Side::Salesforce, schemas), mapping, &watch, self.confirm_after).await?;
            self.store.end_census_of(&mapping.object, Side::Salesforce)?;
        }
        let fine = read.fault.is_none() && salesforce_fine;
        if let Some(fault) = read.fault {
            tally.fault(Side::Platform, fault);
        }
        if emptied || (!fine && !seeded!(HalfPicture)) {
            // Half a picture is not planned on: the news is kept and waits for the other half.
            tally.held |= emptied;
            return Ok(None);
        }
        let salesforce = self.pull(run, Side::Salesforce, schemas);
        if let Some((side, fault)) = super::repair::take_up(Sides::new(&salesforce, &pull), mapping).await? {
            tally.fault(side, fault);
        }
        backup::look_at_orders(self.store, mapping, run, (self.clock)())?;
        self.look_at_products_again(run, mapping, schemas).await?;
        self.wake(run, mapping, interrupted)?;
        self.look_at_parents(run, mapping, true)?;
        self.make_again(run, options, mapping, schemas)?;
        self.restore(run, options, mapping, schema, tally).await?;
        let cleared = self.laps(run, options, mapping, schemas, schema, tally).await?;
        self.look_at_parents(run, mapping, false)?;
        self.store.thaw_agreed(&mapping.object, (self.clock)())?;
        self.note_rules(options, mapping)?;
        Ok(Some(cleared))
    }

    async fn laps(
        &self,
        run: i64,
        options: &Options,
        mapping: &Mapping,
        schemas: &Schemas,
        schema: Sides<&Schema>,
        tally: &mut Tally,
    ) -> anyhow::Result<Cleared> {
        let watch = self.watch(run, options, mapping)?;
        let mut held: BTreeSet<(Side, String)> = BTreeSet::new();
        let mut failed: HashSet<(Side, RecordId)> = HashSet::new();
        let mut lap = 0;
        loop {
            lap += 1;
            let now = (self.clock)();
            let plan = |held: &BTreeSet<(Side, String)>, failed: &HashSet<(Side, RecordId)>| {
                Planner { store: self.store, rules: self.rules, mapping, schema, run, now, failed, held, stop: &self.stop }.plan()
            };
            let mut planned = plan(&held, &failed)?;
            let vanished = if self.stop.is_cancelled() { BTreeSet::new() } else { watch.hold_vanished(mapping)? };
            if !vanished.is_empty() {
                held.extend(vanished);
                planned += plan(&held, &failed)?;
            }
            if self.stop.is_cancelled() {
                // Half a plan is not guarded: counted against the limits it would pass for a small one.
                return Err(Trouble::Stopped.into());
            }
            let mut cleared = watch.clear()?;
            cleared.held |= !held.is_empty();
            tally.held |= cleared.held;
            let applied = self.apply(run, mapping, schemas).carry_out(&cleared).await?;
            let again = applied.again && lap < MOST_LAPS && !self.stop.is_cancelled();
            tally.add(&applied);
            failed.extend(applied.failures);
            if !again || planned == 0 {
                if !cleared.held && failed.is_empty() && !self.stop.is_cancelled() && self.nobody_waits(mapping, &watch)? {
                    watch.end_first_load((self.clock)())?;
                }
                return Ok(cleared);
            }
        }
    }

    /// Nothing of a first load is still to come: who waits now waits for a parent that did not come with the parents' own.
    fn nobody_waits(&self, mapping: &Mapping, watch: &Watch<'_>) -> anyhow::Result<bool> {
        if self.store.waiting(&mapping.object)? == 0 {
            return Ok(true);
        }
        for parent in parents(mapping) {
            if self.rules.mapping(parent).is_some() && !watch.first_load_over(parent)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A product that got its license fields filled does not move the orders that wait for it, so these are read again.
    async fn look_at_products_again(&self, run: i64, mapping: &Mapping, schemas: &Schemas) -> anyhow::Result<()> {
        if !mapping.provisions || !self.rules.products_from_product2 {
            return Ok(());
        }
        let parked = self.store.parked_with(&mapping.object, &["product-not-mapped", "product-without-code"])?;
        let pull = self.pull(run, Side::Salesforce, schemas);
        let fields = readable_fields(self.rules, mapping, Side::Salesforce, &schemas.salesforce[&mapping.salesforce]);
        for ids in parked.chunks(500) {
            match self.sides.salesforce.get_many(&mapping.salesforce, &fields, ids).await {
                Ok(found) => {
                    let here = found.into_iter().filter_map(|f| if let Fetched::Here(record) = f { Some(record) } else { None });
                    pull.stage(mapping, &here.collect::<Vec<_>>(), false)?;
                }
                Err(fault) => tracing::warn!(object = %mapping.object, "orders that wait for a product could not be read: {fault}"),
            }
        }
        Ok(())
    }

    /// Children wait for parents; what only one side had may now have a partner. Looked at from the run of the last look
    /// on: a parent may have come in a run in which the children had no turn.
    fn wake(&self, run: i64, mapping: &Mapping, interrupted: bool) -> anyhow::Result<()> {
        if self.store.waiting(&mapping.object)? > 0 {
            let key = format!("woken:{}", mapping.object);
            let since = self.store.meta(&key)?.and_then(|r| r.parse().ok()).unwrap_or(0);
            let mut wake = interrupted;
            for parent in parents(mapping) {
                wake |= self.store.linked_in_run(parent, since)?;
            }
            if wake && !seeded!(NobodyWakes) {
                self.store.wake_waiting(&mapping.object)?;
                self.store.set_meta(&key, &run.to_string())?;
            }
        }
        if self.store.has_news(&mapping.object, Side::Platform)? {
            self.store.wake_unmatched(&mapping.object)?;
        }
        Ok(())
    }

    /// Of records that cannot be without their parent: what went with it is made again with it, and a parent is made again for
    /// the news of its child. A re-sync makes everything again that is gone on the platform only. Never what was issued.
    fn make_again(&self, run: i64, options: &Options, mapping: &Mapping, schemas: &Schemas) -> anyhow::Result<()> {
        let again = |m: &Mapping| m.create.on_platform() && !m.provisions && !matches!(m.object.as_str(), "order" | "license" | "feature");
        // A restored memory does not know what was deleted for good since: nothing is brought back.
        if !again(mapping) || self.store.restored()?.is_some() {
            return Ok(());
        }
        let object = mapping.object.as_str();
        let mut count = 0;
        let mut nested = |child: &str, parent: &str, with: fn(&Store, i64, &Nest<'_>) -> anyhow::Result<usize>| -> anyhow::Result<()> {
            let Some((salesforce, platform)) = refers_to(self.rules, child, parent) else { return Ok(()) };
            let schema = self.rules.mapping(child).and_then(|m| schemas.platform.get(&m.platform));
            let needed = platform.first().filter(|field| schema.is_some_and(|s| s.fields.get(*field).is_some_and(|f| f.required)));
            if let (Some(salesforce_field), Some(platform_field)) = (salesforce.first(), needed) {
                count += with(self.store, run, &Nest { child, parent, salesforce_field, platform_field })?;
            }
            Ok(())
        };
        for child in self.rules.mappings.iter().filter(|m| m.parent.as_deref() == Some(object) && again(m)) {
            nested(&child.object, object, Store::wake_parents_of_news)?;
        }
        if let Some(parent) = &mapping.parent {
            nested(object, parent, Store::made_again_with_parent)?;
        }
        if options.kind == RunKind::Full {
            count += self.store.made_again(run, object)?;
        }
        if count > 0 {
            tracing::info!(object, count, "gone on the platform, and to be made again");
        }
        Ok(())
    }

    async fn restore(
        &self,
        run: i64,
        options: &Options,
        mapping: &Mapping,
        schema: Sides<&Schema>,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        for id in &options.restore {
            let Some(conflict) = self.store.conflict(*id)?.filter(|c| c.object == mapping.object) else { continue };
            let loser = conflict.winner.map_or(Side::Platform, Side::other);
            let pair = match conflict.link {
                Some(link) => self.store.pair_of_link(link)?,
                None => None,
            };
            let same = |p: &PairRead| p.link.as_ref().is_some_and(|l| l.platform_id.as_str() == conflict.platform_id);
            let pair = pair.filter(same);
            let Some(pair) = pair else {
                tracing::warn!(conflict = id, "cannot be restored: the two records are no longer linked");
                continue;
            };
            let mut wanted = Sides::default();
            super::decide::references(mapping, self.rules, &pair, &mut wanted);
            let links = self.store.links_for(&wanted)?;
            match restore(&conflict, loser, &pair, mapping, schema, &links) {
                Err(why) => tracing::warn!(conflict = id, "cannot be restored: {why}"),
                Ok(intents) => {
                    self.store.record_plan(run, &intents, (self.clock)())?;
                    let cleared = self.watch(run, options, mapping)?.clear()?;
                    let applied = Apply {
                        store: self.store,
                        rules: self.rules,
                        mapping,
                        schema,
                        writers: self.sides,
                        run,
                        clock: self.clock,
                        stop: &self.stop,
                    }
                    .carry_out(&cleared)
                    .await?;
                    if applied.writes.salesforce + applied.writes.platform == intents.len() as u64 {
                        self.store.mark_restored(*id)?;
                    }
                    tally.add(&applied);
                }
            }
        }
        Ok(())
    }

    fn apply<'b>(&'b self, run: i64, mapping: &'b Mapping, schemas: &'b Schemas) -> Apply<'b> {
        Apply {
            store: self.store,
            rules: self.rules,
            mapping,
            schema: Sides::new(&schemas.salesforce[&mapping.salesforce], &schemas.platform[&mapping.platform]),
            writers: self.sides,
            run,
            clock: self.clock,
            stop: &self.stop,
        }
    }

    fn pull<'b>(&'b self, run: i64, side: Side, schemas: &'b Schemas) -> Pull<'b> {
        Pull {
            store: self.store,
            rules: self.rules,
            run,
            side,
            reader: match side {
                Side::Salesforce => as_reader(self.sides.salesforce),
                Side::Platform => as_reader(self.sides.platform),
            },
            schemas: &schemas[side],
            now: (self.clock)(),
        }
    }

    pub(super) fn watch<'b>(&'b self, run: i64, options: &Options, mapping: &'b Mapping) -> anyhow::Result<Watch<'b>> {
        Ok(Watch {
            store: self.store,
            run,
            object: &mapping.object,
            rules: self.rules,
            issues: mapping.provisions,
            limits: &self.limits,
            changed: self.changed_rules(options, mapping)?,
            approved: options.approve,
            now: (self.clock)(),
            state_dir: self.state_dir,
        })
    }

    /// Reading can be left at any point: nothing is lost but the watermark's move.
    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Trouble> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Trouble::Stopped),
            value = work => Ok(value),
        }
    }
}

fn outline_key(kind: RunKind, mapping: &Mapping) -> String {
    match kind {
        RunKind::Delta | RunKind::Census => format!("outline:{}", mapping.object),
        RunKind::Full => format!("outline-full:{}", mapping.object),
    }
}

/// The objects whose links a record of this one may wait for.
fn parents(mapping: &Mapping) -> Vec<&str> {
    let mut parents: Vec<&str> = mapping.parent.iter().map(String::as_str).collect();
    parents.extend(mapping.entries.iter().flat_map(|e| e.lens.objects()).filter(|object| *object != mapping.object));
    if mapping.provisions {
        parents.extend(["account", "contact"]);
    }
    parents
}

fn as_reader(writer: &dyn Writer) -> &dyn crate::connectors::Reader {
    writer
}
