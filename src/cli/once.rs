//! `lockstep once`: one run, with what people asked for meanwhile.

use super::{Exit, Off, Out, Place, output::some};
use crate::daemon::{Asked, Lock, Session, Work, note_sweep};
use crate::engine::{Options, Report, RunKind};
use crate::store::{SidesJson, Store};
use chrono::Utc;
use indicatif::{ProgressBar, ProgressStyle};
use std::{collections::HashSet, io::IsTerminal, sync::Arc, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// You looked at the plan and say yes: what the guard would hold is done in this run
    #[arg(long)]
    pub approve: bool,
    /// Full re-sync: read and compare everything
    #[arg(long)]
    pub full: bool,
    /// Also compare the ids and stamps of both sides with what is remembered, whatever the schedule says
    #[arg(long, conflicts_with = "full")]
    pub census: bool,
}

impl Args {
    fn kind(&self) -> RunKind {
        match (self.full, self.census) {
            (true, _) => RunKind::Full,
            (false, true) => RunKind::Census,
            (false, false) => RunKind::Delta,
        }
    }
}

pub fn run(args: &Args, place: &Place, out: &mut Out) -> anyhow::Result<Exit> {
    let mut options = Options::new(args.kind(), "once");
    options.approve = args.approve;
    let done = attempt(options, place, out.json);
    if out.json {
        // A program that asked for JSON gets its object even if nothing could be started.
        let failed = |error: &anyhow::Error| Report {
            run: 0,
            kind: args.kind().as_str().to_owned(),
            outcome: if error.is::<Off>() { "off" } else { "failed" }.to_owned(),
            writes: SidesJson::default(),
            conflicts: 0,
            conflicts_open: 0,
            quarantined: 0,
            frozen: 0,
            held: 0,
            calls: SidesJson::default(),
            census: None,
            error: Some(format!("{error:#}")),
        };
        match &done {
            Ok(report) => out.json(report)?,
            Err(error) => out.json(&failed(error))?,
        }
        out.flush()?;
    }
    let report = done?;
    if !out.json {
        summary(&report, out)?;
        out.flush()?;
    }
    if let Some(error) = &report.error {
        anyhow::bail!("run {} failed: {error}", report.run);
    }
    Ok(Exit::of_report(&report))
}

/// One run with what people asked for meanwhile.
pub(super) fn attempt(mut options: Options, place: &Place, json: bool) -> anyhow::Result<Report> {
    let config = place.config_in_force()?;
    let _lock = Lock::take(&place.state, "once")?;
    let store = Arc::new(Store::open(&place.state)?);
    let resync = config.resync;
    let session = Arc::new(Session::new(config, store.clone(), &place.state)?);
    let asked = Asked::open(&store, true, resync, &HashSet::new(), Utc::now())?;
    asked.join(&store, &mut options)?;
    let started = Utc::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(watched(session, options.clone(), json))?;
    if report.error.is_none() {
        asked.answer(&store, &report, Utc::now())?;
        note_sweep(&store, &options, &report, started, Utc::now())?;
    }
    Ok(report)
}

/// The run, with a progress line on a terminal; SIGINT and SIGTERM let the batch in flight end.
async fn watched(session: Arc<Session>, options: Options, json: bool) -> anyhow::Result<Report> {
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let bar = progress(json);
    let (work, token) = (session.clone(), stop.clone());
    let mut task = tokio::spawn(async move { work.run(options, token).await });
    let mut look = tokio::time::interval(Duration::from_millis(200));
    let report = loop {
        tokio::select! {
            biased;
            ended = &mut task => break ended?,
            Some(()) = interrupt.recv() => stop.cancel(),
            Some(()) = terminate.recv() => stop.cancel(),
            _ = look.tick() => {
                let calls = session.calls();
                bar.set_message(format!(
                    "{}calls: {} to Salesforce, {} to the platform",
                    if stop.is_cancelled() { "stopping; " } else { "" },
                    calls.salesforce,
                    calls.platform
                ));
            }
        }
    };
    bar.finish_and_clear();
    report
}

pub(super) fn progress(json: bool) -> ProgressBar {
    if json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise}  {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

pub(super) fn summary(report: &Report, out: &mut Out) -> anyhow::Result<()> {
    out.line(format_args!("run {} ({}): {}", report.run, report.kind, report.outcome))?;
    out.line(format_args!("  writes     {} to Salesforce, {} to the platform", report.writes.salesforce, report.writes.platform))?;
    out.line(format_args!("  calls      {} to Salesforce, {} to the platform", report.calls.salesforce, report.calls.platform))?;
    if let Some(census) = &report.census {
        out.line(format_args!(
            "  census     {} compared, {} read again, {} missing",
            some(census.listed, "record"),
            census.reread,
            census.missing
        ))?;
        if census.unseen > 0 {
            out.line(format_args!(
                "  unseen     {} that may be gone or hidden from our user: lockstep status",
                some(census.unseen, "record")
            ))?;
        }
    }
    if report.conflicts > 0 {
        out.line(format_args!("  conflicts  {} decided: lockstep conflicts", report.conflicts))?;
    }
    if report.conflicts_open > 0 {
        out.line(format_args!("  open       {} for a person: lockstep conflicts --open", some(report.conflicts_open, "conflict")))?;
    }
    if report.quarantined > 0 {
        out.line(format_args!("  quarantine {}: lockstep quarantine", some(report.quarantined, "record")))?;
    }
    if report.held > 0 {
        out.line(format_args!("  held       {}: lockstep hold list, then lockstep once --approve", some(report.held, "record")))?;
    }
    Ok(())
}
