//! One run, from its row in the history to its report.

use super::{
    absence::after_sweep,
    apply::{Applied, Apply},
    backup,
    census::Census,
    guard::{Cleared, Watch},
    planner::Planner,
    pull::{Pull, Read, is_budget},
    recover::Recover,
    restore::restore,
    tell::Tell,
};
use crate::connectors::{Fault, Schema, Writer};
use crate::plan::HoldKind;
use crate::record::{RecordId, Side, Sides};
use crate::rules::{Limits, Mapping, Outline, Rules, changes};
use crate::seeded::seeded;
use crate::store::{CensusCounts, PairRead, RunCounts, SidesJson, Store};
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
pub(super) struct Tally {
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

    pub(super) fn fault(&mut self, side: Side, fault: Fault) {
        if is_budget(&fault) {
            self.over_budget = true;
        } else {
            self.troubles.push(Trouble::Side { side, fault });
        }
    }
}

pub(super) type Schemas = Sides<BTreeMap<String, Schema>>;

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

    pub(super) fn pull<'b>(&'b self, run: i64, side: Side, schemas: &'b Schemas) -> Pull<'b> {
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
    pub(super) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Trouble> {
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

fn as_reader(writer: &dyn Writer) -> &dyn crate::connectors::Reader {
    writer
}
