//! Plays one schedule of the shop: the real engine, the real store and the shipped rules, with crashes, and at the end
//! quiet weather in which everything has to come right.

use super::check;
use super::face::Face;
use super::script::{Event, Kind, Script, Settings, Step};
use super::world::World;
use crate::connectors::Writer;
use crate::engine::{Engine, Options, Report, RunKind};
use crate::record::{Side, Sides};
use crate::rules::{Limit, Limits, Rules, SHIPPED, meaning, parse};
use crate::simulation::Played;
use crate::store::Store;
use chrono::{DateTime, Duration, Utc};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

pub struct Play {
    pub world: Arc<Mutex<World>>,
    pub store: Store,
    rules: Rules,
    settings: Settings,
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
    let (store, rules) = match (fresh_store(), rules(&script.rules)) {
        (Ok(store), Some(rules)) => (store, rules),
        (Err(error), _) => return Played { broken: vec![format!("the store did not open: {error:#}")], ..Played::default() },
        (_, None) => return Played { broken: vec!["the shipped rules are not understood".to_owned()], ..Played::default() },
    };
    let world = Arc::new(Mutex::new(World::new(script.rules, tell)));
    let mut play = Play { world, store, rules, settings: script.rules, played: Played::default() };
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

    pub fn breaks(&self, rule: &str, what: String) {
        self.world(|w| w.breaks(rule, what));
    }

    async fn whole(&mut self, script: &Script) {
        let mut first = true;
        for step in &script.steps {
            match step {
                Step::Edit(edit) => self.world(|w| w.edit(*edit)),
                Step::Wait(seconds) => self.world(|w| w.pass(i64::from(*seconds))),
                Step::Run { full, events } => {
                    let approve = std::mem::take(&mut first);
                    self.run(*full, approve, !self.settings.deltas, events).await;
                    self.world(|w| w.pass(900));
                }
            }
        }
        self.quiet(script).await;
    }

    /// The faults stop. Everything comes right within three runs, and then nothing moves any more.
    async fn quiet(&mut self, script: &Script) {
        self.world(|w| {
            w.heal();
            if let Some(until) = w.last_pending() {
                let seconds = (until - w.now).max(0);
                w.pass(seconds);
            }
        });
        let late = script.steps.iter().any(|s| match s {
            Step::Edit(e) => e.needs_whole(),
            Step::Run { events, .. } => events.iter().any(|(_, e)| matches!(e, Event::Edit(e) if e.needs_whole())),
            Step::Wait(_) => false,
        });
        let mut last = None;
        for n in 0..3 {
            self.world(|w| w.pass(90_000));
            last = self.run(late && n == 0, true, true, &[]).await;
        }
        check::at_rest(self);
        self.world(|w| w.pass(900));
        match self.run(false, false, true, &[]).await {
            Some(report) => self.still("a further run", &report),
            None => self.breaks("L3", "a run in quiet weather ended without a report".to_owned()),
        }
        self.world(|w| w.pass(900));
        if let Some(report) = self.run(true, false, true, &[]).await {
            self.still("a full re-sync", &report);
        }
        if let Some(report) = last.filter(|r| r.outcome == "failed") {
            self.breaks("L1", format!("the third quiet run failed: {:?}", report.error));
        }
    }

    fn still(&self, what: &str, report: &Report) {
        let writes = report.writes.salesforce + report.writes.platform;
        if writes > 0 {
            self.breaks("L2", format!("{what} wrote {writes} times although nobody did anything"));
        }
    }

    async fn run(&mut self, full: bool, approve: bool, sweep: bool, events: &[(u16, Event)]) -> Option<Report> {
        let stop = tokio_util::sync::CancellationToken::new();
        self.world(|w| {
            w.call = 0;
            w.stop = stop.clone();
            w.events = events.iter().map(|(at, e)| (u64::from(*at) + 1, *e)).collect();
            w.tell(if full { "run: full" } else { "run" });
        });
        let at_commit = events
            .iter()
            .find_map(|(at, e)| if let Event::CrashAtCommit { after } = e { Some((u64::from(*at) + 1, *after)) } else { None });
        self.store.fate().arm(at_commit);
        self.played.runs += 1;
        let ended = self.engine_run(full, approve, sweep, &stop).await;
        self.world(|w| {
            w.events.clear();
            w.call = 0;
            w.deliver_all();
        });
        match ended {
            Ok(Some(report)) => {
                self.world(|w| {
                    w.tell(&format!("  ended {}, {} and {} writes", report.outcome, report.writes.salesforce, report.writes.platform));
                });
                Some(report)
            }
            Ok(None) => {
                self.played.crashes += 1;
                let spent = self.store.fate().spent();
                self.world(|w| {
                    if let (Some((_, after)), true) = (at_commit, spent) {
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

    /// `None`: the process died.
    async fn engine_run(
        &self,
        full: bool,
        approve: bool,
        sweep: bool,
        stop: &tokio_util::sync::CancellationToken,
    ) -> anyhow::Result<Option<Report>> {
        let faces = Sides::new(Side::Salesforce, Side::Platform).map(|side| Face { side, world: Arc::clone(&self.world) });
        let world = Arc::clone(&self.world);
        let clock = move || {
            let now = world.lock().unwrap_or_else(PoisonError::into_inner).now;
            DateTime::<Utc>::from_timestamp(now, 0).unwrap_or_default()
        };
        let limit = |count| Limit { count, percent: 0 };
        let many = limit(100_000);
        let engine = Engine {
            store: &self.store,
            rules: &self.rules,
            limits: Limits { creates: many, changes: many, destructive: if self.settings.tight { limit(1) } else { many } },
            sides: Sides::new(&faces.salesforce as &dyn Writer, &faces.platform as &dyn Writer),
            clock: &clock,
            state_dir: None,
            confirm_after: Duration::seconds(60),
            allow_mixed: true,
            stop: stop.clone(),
        };
        let mut options = Options::new(if full { RunKind::Full } else { RunKind::Delta }, "simulation");
        options.approve = approve;
        options.sweep = sweep;
        match AssertUnwindSafe(engine.run(&options)).catch_unwind().await {
            Ok(report) => Ok(Some(report?)),
            Err(cause) if cause.is::<crate::store::Crash>() => Ok(None),
            Err(cause) => std::panic::resume_unwind(cause),
        }
    }
}

/// What is kept of the shipped rules: everything that decides about orders, and of plain fields as many as tell.
const FIELDS: [(&str, &[&str]); 4] = [
    ("account", &["Name"]),
    ("contact", &["Email", "LastName", "AccountId"]),
    ("order", &["AccountId"]),
    (
        "license",
        &[
            "Order__c",
            "Contact__c",
            "Order_Line__c",
            "License_Key__c",
            "Enabled__c",
            "Valid_Until__c",
            "Max_Activations__c",
            "Activations__c",
            "Note__c",
        ],
    ),
];

static RULES: LazyLock<Option<Rules>> = LazyLock::new(|| {
    let mut rules = meaning(&parse(SHIPPED).ok()?).ok()?;
    rules.mappings.retain(|m| FIELDS.iter().any(|(object, _)| *object == m.object));
    for mapping in &mut rules.mappings {
        let (_, fields) = FIELDS.iter().find(|(object, _)| *object == mapping.object)?;
        mapping.entries.retain(|e| e.salesforce.iter().all(|f| fields.contains(&f.as_str())));
    }
    Some(rules)
});

/// The shipped rules with what the operator of this schedule wrote into `[orders]`.
fn rules(settings: &Settings) -> Option<Rules> {
    let mut rules = RULES.clone()?;
    let orders = rules.orders.as_mut()?;
    orders.on_more = settings.on_more;
    orders.on_less = settings.on_less;
    orders.on_line_removed = settings.on_line_removed;
    orders.on_cancel = settings.on_cancel;
    orders.on_deactivate = settings.on_deactivate;
    orders.on_contact_change = settings.on_contact_change;
    rules.mappings.iter_mut().find(|m| m.object == Kind::Order.object())?.on_salesforce_delete = settings.on_order_delete;
    Some(rules)
}
