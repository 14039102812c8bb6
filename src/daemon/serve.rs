//! The worker: one loop that decides, each time it is woken, whether there is something to do, and does it.
//!
//! Knows no signal, no systemd unit and no connector: all of them are behind `Calls` and `Work`, so that the loop can
//! be tried on a paused clock.

use super::{asked::Asked, census, sweep, switch, systemd};
use crate::config::{ResyncAt, SweepEvery};
use crate::engine::{Options, Report, RunKind};
use crate::rules::Schedule;
use crate::store::{Store, stamp};
use anyhow::Context;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// Should the heartbeat die, this remains.
const SECOND_HEARTBEAT: Duration = Duration::from_secs(30);
/// A run that does not end this long after it was told to is left behind; its journal tells the next start what is open.
const GRACE: Duration = Duration::from_secs(45);

pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// What the worker does when it is time.
#[async_trait]
pub trait Work: Send + Sync + 'static {
    /// One run. `Err` means that the store failed: the daemon ends.
    async fn run(&self, options: Options, stop: CancellationToken) -> anyhow::Result<Report>;

    /// Reads the rules again. `Err` says why the old ones stay.
    fn reload(&self) -> anyhow::Result<()>;

    fn timetable(&self) -> Timetable;
}

/// When to work, as the rules say now.
#[derive(Debug, Clone)]
pub struct Timetable {
    /// `false`: no run, whoever asks. Requests are kept.
    pub enabled: bool,
    pub schedule: Schedule,
    pub census: Option<Schedule>,
    pub resync: ResyncAt,
    pub sweep_every: SweepEvery,
}

impl Timetable {
    /// From one tick to the next.
    fn interval(&self, now: DateTime<Utc>) -> chrono::Duration {
        let next = self.schedule.next(now);
        let after = next.and_then(|next| self.schedule.next(next));
        next.zip(after).map_or(chrono::Duration::zero(), |(next, after)| after - next)
    }
}

/// What was called in from outside since the worker last looked. Two calls of a kind are one.
#[derive(Default)]
pub struct Calls {
    reload: AtomicBool,
    run: AtomicBool,
    wake: Notify,
}

impl Calls {
    pub fn ask_reload(&self) {
        self.reload.store(true, Ordering::SeqCst);
        self.kick();
    }

    pub fn ask_run(&self) {
        self.run.store(true, Ordering::SeqCst);
        self.kick();
    }

    /// Look. Kicks that come while nobody waits are one kick.
    pub fn kick(&self) {
        self.wake.notify_one();
    }

    pub(super) async fn kicked(&self) {
        self.wake.notified().await;
    }
}

pub struct Daemon<W> {
    pub store: Arc<Store>,
    pub work: Arc<W>,
    pub calls: Arc<Calls>,
    pub clock: Clock,
}

impl<W: Work> Daemon<W> {
    /// Works until `stop`. A failed run is logged and the next comes on schedule; only the store's failure is an error.
    pub async fn serve(&self, stop: CancellationToken) -> anyhow::Result<()> {
        // Requests whose run failed wait for the schedule instead of being tried again at once.
        let mut tried: HashSet<i64> = HashSet::new();
        // A run that never ended left promises: they are settled first, whatever the schedule says.
        let restored = self.store.restored()?.is_some_and(|r| r.stage != crate::store::Stage::Waiting);
        let mut resume = self.store.was_interrupted()? || restored;
        let ping = systemd::ping_every();
        let mut enabled = None;
        while !stop.is_cancelled() {
            if self.calls.reload.swap(false, Ordering::SeqCst) {
                self.reload();
            }
            let (now, table) = ((self.clock)(), self.work.timetable());
            if enabled.replace(table.enabled) != Some(table.enabled) {
                switch::note(&self.store, table.enabled, now)?;
                if !table.enabled {
                    tracing::warn!("the rules are switched off (enabled = false): no run, and neither system is asked anything");
                }
            }
            if !table.enabled {
                if self.calls.run.swap(false, Ordering::SeqCst) {
                    tracing::info!("no run: the rules are switched off");
                }
                systemd::status("switched off by the rules (enabled = false)");
                self.wait(ping, &stop).await;
                continue;
            }
            let due = self.due(&table, now)?;
            if due {
                tried.clear();
            }
            let asked = Asked::open(&self.store, due, table.resync, &tried, now)?;
            let called = self.calls.run.swap(false, Ordering::SeqCst);
            if !(due || called || resume || !asked.is_empty()) {
                if let Some(next) = self.next(&table)? {
                    systemd::status(&format!("waiting; next run {}", stamp(next)));
                }
                self.wait(ping, &stop).await;
                continue;
            }
            let mut options = self.options(&asked, &table, called, resume, now)?;
            // Not at every call: a census that cannot be finished is gone on with at the next tick.
            if due && options.kind == RunKind::Delta && census::is_due(&self.store, table.census.as_ref(), now)? {
                (options.kind, options.sweep) = (RunKind::Census, true);
            }
            resume = false;
            let Some(report) = self.one_run(&options, ping, &stop).await? else { return Ok(()) };
            if report.error.is_none() {
                asked.answer(&self.store, &report, (self.clock)())?;
                sweep::note_sweep(&self.store, &options, &report, now, (self.clock)())?;
            } else {
                tried.extend(asked.ids());
            }
        }
        tracing::info!("stopped");
        Ok(())
    }

    fn last_started(&self) -> anyhow::Result<Option<DateTime<Utc>>> {
        let Some(run) = self.store.last_pass()? else { return Ok(None) };
        run.started_at.parse().map(Some).with_context(|| format!("run {} started at {:?}", run.run, run.started_at))
    }

    fn due(&self, table: &Timetable, now: DateTime<Utc>) -> anyhow::Result<bool> {
        Ok(self.last_started()?.is_none_or(|last| table.schedule.due(last, now)))
    }

    fn next(&self, table: &Timetable) -> anyhow::Result<Option<DateTime<Utc>>> {
        Ok(self.last_started()?.and_then(|last| table.schedule.next(last)))
    }

    fn options(&self, asked: &Asked, table: &Timetable, called: bool, resume: bool, now: DateTime<Utc>) -> anyhow::Result<Options> {
        let cause = if !asked.is_empty() {
            asked.cause()
        } else if called {
            "signal".to_owned()
        } else if resume {
            "restart".to_owned()
        } else {
            "schedule".to_owned()
        };
        let mut options = Options::new(RunKind::Delta, &cause);
        options.sweep = called || sweep::is_due(&self.store, table.sweep_every, table.interval(now), now)?;
        asked.join(&self.store, &mut options)?;
        Ok(options)
    }

    fn reload(&self) {
        systemd::reloading();
        let status = match self.work.reload() {
            Ok(()) => {
                tracing::info!("the rules were read again");
                "rules read again".to_owned()
            }
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the rules were not taken, the old ones stay: {error:#}");
                format!("rules not taken, the old ones stay: {error:#}")
            }
        };
        systemd::ready(&status);
    }

    async fn wait(&self, ping: Option<Duration>, stop: &CancellationToken) {
        systemd::alive();
        let patience = ping.map_or(SECOND_HEARTBEAT, |ping| ping.min(SECOND_HEARTBEAT));
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.calls.kicked() => {}
            () = sleep(patience) => {}
        }
    }

    /// One run on a task of its own, so that this loop stays answerable. `None`: it did not end in time after `stop`.
    async fn one_run(&self, options: &Options, ping: Option<Duration>, stop: &CancellationToken) -> anyhow::Result<Option<Report>> {
        systemd::status(&format!("running ({}, {})", options.kind.as_str(), options.cause));
        let (work, given, token) = (self.work.clone(), options.clone(), stop.clone());
        let mut task = tokio::spawn(async move { work.run(given, token).await });
        let mut deadline: Option<Instant> = None;
        loop {
            let until = deadline;
            tokio::select! {
                biased;
                ended = &mut task => {
                    let report = ended.context("the run broke off")?.context("the state file failed")?;
                    if let Some(error) = &report.error {
                        tracing::error!(run = report.run, "run {} failed: {error}", report.run);
                    }
                    systemd::status(&format!("run {}: {}", report.run, report.outcome));
                    return Ok(Some(report));
                }
                () = stop.cancelled(), if until.is_none() => deadline = Some(Instant::now() + GRACE),
                () = async { match until { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => {
                    tracing::warn!("the run did not end in {} s and is left; the next start settles what it promised", GRACE.as_secs());
                    task.abort();
                    return Ok(None);
                }
                () = async { match ping { Some(every) => sleep(every).await, None => std::future::pending().await } } => systemd::alive(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::{RunCounts, SidesJson};
    use std::sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32},
    };

    /// A run that takes its time and keeps its row in the history, as the engine does.
    struct Slow {
        store: Arc<Store>,
        clock: Clock,
        takes: Duration,
        /// Runs that fail before one works.
        failures: AtomicU32,
        obeys_stop: bool,
        live: AtomicU32,
        most: AtomicU32,
        seen: Mutex<Vec<Options>>,
        reloads: AtomicU32,
        resync: ResyncAt,
        census: Option<Schedule>,
        enabled: AtomicBool,
    }

    #[async_trait]
    impl Work for Slow {
        async fn run(&self, options: Options, stop: CancellationToken) -> anyhow::Result<Report> {
            let live = self.live.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(live, Ordering::SeqCst);
            let run = self.store.start_run(options.kind.as_str(), &options.cause, (self.clock)())?;
            tokio::select! {
                () = sleep(self.takes) => {}
                () = stop.cancelled(), if self.obeys_stop => {}
            }
            self.seen.lock().unwrap().push(options.clone());
            let fails = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
            let outcome = if fails { "failed" } else { "ok" };
            self.store.finish_run(run, outcome, None, &RunCounts::default(), (self.clock)())?;
            self.live.fetch_sub(1, Ordering::SeqCst);
            Ok(Report {
                run,
                kind: options.kind.as_str().to_owned(),
                outcome: outcome.to_owned(),
                writes: SidesJson::default(),
                conflicts: 0,
                conflicts_open: 0,
                quarantined: 0,
                frozen: 0,
                held: 0,
                calls: SidesJson::default(),
                census: None,
                error: fails.then(|| "nobody there".to_owned()),
            })
        }

        fn reload(&self) -> anyhow::Result<()> {
            self.reloads.fetch_add(1, Ordering::SeqCst);
            anyhow::bail!("bad rules")
        }

        fn timetable(&self) -> Timetable {
            Timetable {
                enabled: self.enabled.load(Ordering::SeqCst),
                schedule: Schedule::every("15m").unwrap(),
                census: self.census.clone(),
                resync: self.resync,
                sweep_every: SweepEvery::Auto,
            }
        }
    }

    struct Stage {
        store: Arc<Store>,
        work: Arc<Slow>,
        calls: Arc<Calls>,
        clock: Clock,
        stop: CancellationToken,
        task: Option<tokio::task::JoinHandle<anyhow::Result<()>>>,
    }

    impl Stage {
        fn new(takes_s: u64, change: impl FnOnce(&mut Slow)) -> Self {
            let began = Instant::now();
            let start: DateTime<Utc> = "2026-11-24T12:00:00Z".parse().unwrap();
            let clock: Clock = Arc::new(move || start + began.elapsed());
            let store = Arc::new(Store::in_memory().unwrap());
            let mut work = Slow {
                store: store.clone(),
                clock: clock.clone(),
                takes: Duration::from_secs(takes_s),
                failures: AtomicU32::new(0),
                obeys_stop: true,
                live: AtomicU32::new(0),
                most: AtomicU32::new(0),
                seen: Mutex::default(),
                reloads: AtomicU32::new(0),
                resync: ResyncAt::Now,
                census: None,
                enabled: AtomicBool::new(true),
            };
            change(&mut work);
            Self { store, work: Arc::new(work), calls: Arc::default(), clock, stop: CancellationToken::new(), task: None }
        }

        fn go(&mut self) {
            let daemon =
                Daemon { store: self.store.clone(), work: self.work.clone(), calls: self.calls.clone(), clock: self.clock.clone() };
            let stop = self.stop.clone();
            self.task = Some(tokio::spawn(async move { daemon.serve(stop).await }));
        }

        fn runs(&self) -> Vec<(String, RunKind)> {
            self.work.seen.lock().unwrap().iter().map(|o| (o.cause.clone(), o.kind)).collect()
        }

        async fn end(&mut self) {
            self.stop.cancel();
            self.task.take().unwrap().await.unwrap().unwrap();
        }
    }

    async fn minutes(n: u64) {
        sleep(Duration::from_secs(n * 60)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_longer_than_the_interval_never_overlaps_itself_and_missed_ticks_are_one() {
        let mut stage = Stage::new(40 * 60, |_| {});
        stage.go();
        for _ in 0..240 {
            minutes(1).await;
            stage.calls.kick();
        }
        stage.end().await;
        assert_eq!(stage.work.most.load(Ordering::SeqCst), 1);
        // Back to back for four hours: six of forty minutes and the one that the end cut short; never a burst to catch up.
        let runs = stage.runs().len();
        assert!((6..=7).contains(&runs), "{runs}");
        assert_eq!(stage.work.live.load(Ordering::SeqCst), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn it_runs_at_once_and_then_on_schedule_without_any_heartbeat() {
        let mut stage = Stage::new(1, |_| {});
        stage.go();
        minutes(62).await;
        stage.end().await;
        assert_eq!(stage.runs(), vec![("schedule".to_owned(), RunKind::Delta); 5]);
        assert!(stage.work.seen.lock().unwrap().iter().all(|o| o.sweep), "a second is less than a tenth of fifteen minutes");
    }

    #[tokio::test(start_paused = true)]
    async fn many_kicks_and_calls_during_a_run_make_one_more() {
        let mut stage = Stage::new(60, |_| {});
        stage.go();
        sleep(Duration::from_secs(5)).await;
        for _ in 0..100 {
            stage.calls.ask_run();
            stage.calls.kick();
        }
        minutes(5).await;
        stage.end().await;
        assert_eq!(stage.runs(), [("schedule".to_owned(), RunKind::Delta), ("signal".to_owned(), RunKind::Delta)]);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_taken_up_and_answered() {
        let mut stage = Stage::new(1, |_| {});
        stage.go();
        minutes(1).await;
        stage.store.ask("resync", "", (stage.clock)()).unwrap();
        stage.store.ask("restore", "3", (stage.clock)()).unwrap();
        stage.calls.kick();
        sleep(Duration::from_secs(3)).await;
        assert!(stage.store.open_requests().unwrap().is_empty());
        stage.end().await;
        assert_eq!(stage.runs()[1..], [("resync, restore".to_owned(), RunKind::Full)]);
        assert_eq!(stage.work.seen.lock().unwrap()[1].restore, [3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_resync_for_the_next_tick_waits_for_it() {
        let mut stage = Stage::new(1, |work| work.resync = ResyncAt::NextTick);
        stage.go();
        minutes(1).await;
        stage.store.ask("resync", "", (stage.clock)()).unwrap();
        stage.calls.kick();
        minutes(5).await;
        assert_eq!(stage.runs().len(), 1);
        minutes(10).await;
        stage.end().await;
        assert_eq!(stage.runs()[1..], [("resync".to_owned(), RunKind::Full)]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_says_when_whatever_the_rules_say() {
        let mut stage = Stage::new(1, |_| {});
        stage.go();
        minutes(1).await;
        stage.store.ask("resync", "next-tick", (stage.clock)()).unwrap();
        stage.calls.ask_run();
        minutes(5).await;
        assert_eq!(stage.runs()[1..], [("signal".to_owned(), RunKind::Delta)], "a run in between is no tick");
        minutes(16).await;
        stage.store.ask("resync", "next-tick", (stage.clock)()).unwrap();
        stage.store.ask("resync", "now", (stage.clock)()).unwrap();
        stage.calls.kick();
        sleep(Duration::from_secs(3)).await;
        assert!(stage.store.open_requests().unwrap().is_empty());
        stage.end().await;
        assert_eq!(stage.runs()[2..], [("resync".to_owned(), RunKind::Full), ("resync".to_owned(), RunKind::Full)]);
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_rules_are_off_nobody_makes_it_run_and_what_was_asked_is_kept() {
        let mut stage = Stage::new(1, |work| work.enabled = AtomicBool::new(false));
        // Not even what a crash left behind is looked at.
        stage.store.start_run("delta", "schedule", (stage.clock)()).unwrap();
        stage.store.ask("resync", "", (stage.clock)()).unwrap();
        stage.go();
        for _ in 0..60 {
            minutes(1).await;
            stage.calls.ask_run();
        }
        minutes(1).await;
        assert_eq!(stage.runs(), []);
        assert_eq!(switch::off_since(&stage.store).unwrap().as_deref(), Some("2026-11-24T12:00:00Z"));
        stage.work.enabled.store(true, Ordering::SeqCst);
        stage.calls.kick();
        minutes(1).await;
        assert_eq!(stage.runs(), [("resync".to_owned(), RunKind::Full)], "and no run that SIGUSR2 asked for in vain");
        assert_eq!(switch::off_since(&stage.store).unwrap(), None);
        stage.work.enabled.store(false, Ordering::SeqCst);
        minutes(60).await;
        stage.end().await;
        assert_eq!(stage.runs().len(), 1);
        assert!(stage.store.open_requests().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_whose_run_failed_stays_open_and_waits_for_the_schedule() {
        let mut stage = Stage::new(1, |work| work.failures = AtomicU32::new(1));
        stage.store.ask("resync", "", (stage.clock)()).unwrap();
        stage.go();
        for _ in 0..10 {
            minutes(1).await;
            stage.calls.kick();
        }
        assert_eq!(stage.runs().len(), 1, "not tried again in a hurry");
        assert_eq!(stage.store.open_requests().unwrap().len(), 1);
        minutes(6).await;
        stage.end().await;
        assert_eq!(stage.runs(), vec![("resync".to_owned(), RunKind::Full); 2]);
        assert!(stage.store.open_requests().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_census_comes_with_a_tick_when_it_is_due_and_again_until_it_is_through() {
        let mut stage = Stage::new(1, |work| work.census = Some(Schedule::every("1h").unwrap()));
        stage.go();
        minutes(80).await;
        stage.store.end_census((stage.clock)()).unwrap();
        minutes(20).await;
        stage.end().await;
        let kinds: Vec<RunKind> = stage.runs().into_iter().map(|(_, kind)| kind).collect();
        let (delta, census) = (RunKind::Delta, RunKind::Census);
        assert_eq!(kinds, [delta, delta, delta, delta, census, census, delta]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_verify_in_between_moves_no_schedule() {
        let mut stage = Stage::new(1, |_| {});
        stage.go();
        minutes(10).await;
        stage.store.note_run("verify", "verify", "ok", None, &RunCounts::default(), ((stage.clock)(), (stage.clock)())).unwrap();
        minutes(6).await;
        stage.end().await;
        assert_eq!(stage.runs().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn it_leaves_while_running_and_the_run_is_told() {
        let mut stage = Stage::new(3_600, |_| {});
        stage.go();
        minutes(1).await;
        let asked = Instant::now();
        stage.end().await;
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        assert_eq!((stage.runs().len(), stage.work.live.load(Ordering::SeqCst)), (1, 0), "the batch in flight was finished");
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_does_not_listen_is_left_behind_in_the_end() {
        let mut stage = Stage::new(36_000, |work| work.obeys_stop = false);
        stage.go();
        minutes(1).await;
        let asked = Instant::now();
        stage.end().await;
        assert!(asked.elapsed() <= GRACE + Duration::from_secs(1), "{:?}", asked.elapsed());
        assert!(stage.store.was_interrupted().unwrap(), "the next start knows");
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_after_a_crash_runs_at_once_although_nothing_is_due() {
        let mut stage = Stage::new(1, |_| {});
        stage.store.start_run("delta", "schedule", (stage.clock)()).unwrap();
        stage.go();
        minutes(1).await;
        stage.end().await;
        assert_eq!(stage.runs(), [("restart".to_owned(), RunKind::Delta)]);
    }

    #[tokio::test(start_paused = true)]
    async fn bad_rules_at_a_reload_change_nothing() {
        let mut stage = Stage::new(1, |_| {});
        stage.go();
        minutes(1).await;
        stage.calls.ask_reload();
        minutes(30).await;
        stage.end().await;
        assert_eq!(stage.work.reloads.load(Ordering::SeqCst), 1);
        assert_eq!(stage.runs().len(), 3);
    }
}
