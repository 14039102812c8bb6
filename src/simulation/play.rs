//! Plays one schedule: the real engine and the real store between two simulated systems, with crashes, and at the end
//! quiet weather in which everything has to come right.

use super::check;
use super::face::{Face, resource};
use super::script::{Event, Kind, Script, Settings, Step};
use super::world::{FIELDS, TRIGGERED, World};
use crate::connectors::Writer;
use crate::engine::{Engine, Options, Report, RunKind};
use crate::record::{Side, Sides};
use crate::rules::{Direction, Entry, Lens, Limit, Limits, Mapping, Rules};
use crate::store::Store;
use chrono::{DateTime, Duration, Utc};
use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

/// What came of a schedule.
#[derive(Debug, Clone, Default)]
pub struct Played {
    pub broken: Vec<String>,
    pub cells: BTreeMap<super::world::Cell, u64>,
    pub user_edits: u64,
    pub runs: u64,
    pub crashes: u64,
    pub trace_hash: u64,
    pub story: Vec<String>,
}

/// How a run of the daemon ended.
enum Ended {
    Report(Box<Report>),
    Died,
}

pub struct Play {
    pub world: Arc<Mutex<World>>,
    pub store: Store,
    pub rules: Rules,
    limits: Limits,
    /// No run yet: somebody looks at the first one.
    first: bool,
    played: Played,
}

thread_local! {
    /// The store of the schedule before, to be wiped and used again.
    static SPARE: std::cell::Cell<Option<Store>> = const { std::cell::Cell::new(None) };
}

fn fresh_store() -> anyhow::Result<Store> {
    match SPARE.take() {
        Some(store) => store.wipe().map(|()| store),
        None => Store::in_memory(),
    }
}

/// Plays the schedule to its end and checks everything. `tell` keeps the story.
pub async fn play(script: &Script, tell: bool) -> Played {
    let store = match fresh_store() {
        Ok(store) => store,
        Err(error) => return Played { broken: vec![format!("the store did not open: {error:#}")], ..Played::default() },
    };
    let mut play = Play {
        world: Arc::new(Mutex::new(World::new(script.rules, tell))),
        store,
        rules: rules(&script.rules),
        limits: limits(script.rules.tight),
        first: true,
        played: Played::default(),
    };
    play.whole(script).await;
    let Play { world, mut played, store, .. } = play;
    if played.broken.is_empty() {
        SPARE.set(Some(store));
    }
    let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
    played.broken.append(&mut world.broken);
    played.cells = std::mem::take(&mut world.cells);
    played.user_edits = world.user_edits;
    played.trace_hash = world.trace.digest();
    played.story = world.story.take().unwrap_or_default();
    played
}

impl Play {
    pub fn world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn whole(&mut self, script: &Script) {
        for step in &script.steps {
            match step {
                Step::Edit(edit) if script.rules.filled || !self.first => self.world(|w| w.edit(*edit)),
                // An empty platform: before the first run people work in Salesforce only.
                Step::Edit(edit) => self.world(|w| {
                    if !edit.on_platform() {
                        w.edit(*edit);
                    }
                }),
                Step::Wait(seconds) => self.world(|w| w.pass(i64::from(*seconds))),
                Step::Run { full, events } => {
                    let approve = std::mem::take(&mut self.first);
                    self.run(*full, approve, events).await;
                    self.world(|w| w.pass(900));
                }
            }
        }
        self.quiet().await;
    }

    /// The faults stop. Everything comes right within three runs, and then nothing moves any more.
    async fn quiet(&mut self) {
        self.world(|w| {
            w.heal();
            if let Some(until) = w.last_pending() {
                let seconds = (until - w.now).max(0);
                w.pass(seconds);
            }
        });
        // What a delta cannot show is for the census or a full re-sync to find.
        let late = self.world(|w| w.needs_whole());
        let mut last = None;
        // A person looks from the first hold on, and only then: what comes right must come right unasked.
        let (mut left, mut asked) = (3, false);
        let mut full = late;
        while left > 0 {
            self.world(|w| w.pass(90_000));
            let held = self.first || self.store.held_count().unwrap_or(0) > 0;
            if held && !asked {
                (left, asked) = (3, true);
            }
            self.first = false;
            last = self.run(std::mem::take(&mut full), asked, &[]).await;
            left -= 1;
        }
        check::at_rest(self);
        self.world(|w| w.pass(900));
        match self.run(false, false, &[]).await {
            Some(report) => self.still("L2", "a further run", &report),
            None => self.breaks("L3", "a run in quiet weather ended without a report".to_owned()),
        }
        self.world(|w| w.pass(900));
        let before = self.tombstones();
        if let Some(report) = self.run(true, false, &[]).await.filter(|_| before == 0) {
            self.still("L2", "a full re-sync", &report);
        }
        if let Some(report) = last.filter(|r| r.outcome == "failed") {
            self.breaks("L1", format!("the third quiet run failed: {:?}", report.error));
        }
    }

    /// A full re-sync brings back what was deleted on the platform only: that is its purpose.
    fn tombstones(&self) -> usize {
        Kind::ALL.iter().map(|k| self.store.tombstones(k.object()).unwrap_or(0)).sum()
    }

    fn still(&self, rule: &str, what: &str, report: &Report) {
        if report.writes.salesforce + report.writes.platform > 0 {
            self.breaks(
                rule,
                format!("{what} wrote {} to Salesforce and {} to the platform", report.writes.salesforce, report.writes.platform),
            );
        }
    }

    pub fn breaks(&self, rule: &str, what: String) {
        self.world(|w| w.breaks(rule, what));
    }

    async fn run(&mut self, full: bool, approve: bool, events: &[(u16, Event)]) -> Option<Report> {
        let stop = tokio_util::sync::CancellationToken::new();
        self.world(|w| {
            w.call = 0;
            w.stop = stop.clone();
            w.events = events.iter().map(|(at, e)| (u64::from(*at) + 1, *e)).collect();
            if full {
                w.full_runs.push(w.tick);
            }
            w.tell(if full { "run: full" } else { "run" });
        });
        self.store.fate().arm(events.iter().find_map(|(at, e)| match e {
            Event::CrashAtCommit { after } => Some((u64::from(*at) + 1, *after)),
            _ => None,
        }));
        self.played.runs += 1;
        let (from, when) = self.world(|w| (w.tick, w.now));
        let ended = self.engine_run(full, approve, &stop).await;
        self.world(|w| w.runs.push(super::world::Ran { from, to: w.tick, when, asked: approve, lied: std::mem::take(&mut w.lied) }));
        self.world(|w| {
            w.events.clear();
            w.call = 0;
            w.deliver_all();
        });
        match ended {
            Ok(Ended::Report(report)) => {
                self.world(|w| {
                    w.tell(&format!("  ended {}, {} and {} writes", report.outcome, report.writes.salesforce, report.writes.platform))
                });
                Some(*report)
            }
            Ok(Ended::Died) => {
                self.played.crashes += 1;
                let at_commit = events.iter().find_map(|(_, e)| if let Event::CrashAtCommit { after } = e { Some(*after) } else { None });
                let spent = self.store.fate().spent();
                self.world(|w| {
                    if let (Some(after), true) = (at_commit, spent) {
                        w.count(if after { "crash-after" } else { "crash-before" }, "store", "commit");
                    }
                    w.tell("  the process died");
                });
                for wrong in self.store.soundness().unwrap_or_else(|e| vec![format!("{e:#}")]) {
                    self.breaks("S13", wrong);
                }
                None
            }
            Err(error) => {
                self.breaks("L3", format!("the run failed: {error:#}"));
                None
            }
        }
    }

    async fn engine_run(&self, full: bool, approve: bool, stop: &tokio_util::sync::CancellationToken) -> anyhow::Result<Ended> {
        let faces = Sides::new(Side::Salesforce, Side::Platform).map(|side| Face { side, world: Arc::clone(&self.world) });
        let world = Arc::clone(&self.world);
        let clock = move || {
            let now = world.lock().unwrap_or_else(PoisonError::into_inner).now;
            DateTime::<Utc>::from_timestamp(now, 0).unwrap_or_default()
        };
        let engine = Engine {
            store: &self.store,
            rules: &self.rules,
            limits: self.limits,
            sides: Sides::new(&faces.salesforce as &dyn Writer, &faces.platform as &dyn Writer),
            clock: &clock,
            state_dir: None,
            confirm_after: Duration::seconds(60),
            allow_mixed: true,
            stop: stop.clone(),
        };
        let mut options = Options::new(if full { RunKind::Full } else { RunKind::Delta }, "simulation");
        options.approve = approve;
        match AssertUnwindSafe(engine.run(&options)).catch_unwind().await {
            Ok(report) => Ok(Ended::Report(Box::new(report?))),
            Err(cause) if cause.is::<crate::store::Crash>() => Ok(Ended::Died),
            Err(cause) => std::panic::resume_unwind(cause),
        }
    }
}

fn limits(tight: bool) -> Limits {
    let limit = |count| Limit { count, percent: 0 };
    if tight {
        Limits { creates: limit(2), changes: limit(3), destructive: limit(1) }
    } else {
        Limits { creates: limit(100_000), changes: limit(100_000), destructive: limit(100_000) }
    }
}

/// The rules of a schedule. Which field goes where is said a second time in `face::may_write`, on purpose.
#[must_use]
pub fn rules(settings: &Settings) -> Rules {
    let entry = |salesforce: &str, platform: &str, lens, direction| Entry {
        name: salesforce.to_owned(),
        salesforce: vec![salesforce.to_owned()],
        platform: vec![platform.to_owned()],
        lens,
        direction,
        conflict: settings.conflict,
    };
    let mapping = |kind: Kind| {
        let mut entries: Vec<Entry> = FIELDS
            .iter()
            .map(|(s, p)| entry(s, p, Lens::Copy, if *s == "Description" { Direction::ToPlatform } else { Direction::Both }))
            .collect();
        match kind {
            Kind::Account => entries.push(entry(TRIGGERED.0, TRIGGERED.1, Lens::Copy, Direction::Both)),
            Kind::Contact => {
                entries.push(entry(
                    "AccountId",
                    "account",
                    Lens::Reference { object: "account".to_owned(), otherwise: None, only: None },
                    Direction::Both,
                ));
            }
        }
        Mapping {
            object: kind.object().to_owned(),
            salesforce: resource(Side::Salesforce, kind).to_owned(),
            platform: resource(Side::Platform, kind).to_owned(),
            direction: Direction::Both,
            create: settings.create,
            match_keys: vec![vec!["name".to_owned()]],
            parent: (kind == Kind::Contact).then(|| "account".to_owned()),
            filter: None,
            conflict: settings.conflict,
            merge: settings.merge,
            drift: settings.drift,
            on_salesforce_delete: settings.on_salesforce_delete,
            on_platform_delete: settings.on_platform_delete,
            fill_salesforce_blanks: settings.fill_blanks,
            entries,
            provisions: false,
        }
    };
    Rules {
        connection: "sim".to_owned(),
        mappings: Kind::ALL.into_iter().map(mapping).collect(),
        orders: None,
        products: Vec::new(),
        products_from_product2: false,
        fingerprint: 1,
    }
}
