//! What every story of the demo has in common: waiting for the daemon, telling what the journal says, people at Salesforce.

use crate::record::Side;
use crate::sandbox::pair::Pair;
use crate::store::{LinkState, RunRow, Store};
use anyhow::{Context, bail};
use serde_json::Value;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A chapter that takes longer than this has gone wrong.
const PATIENCE: Duration = Duration::from_secs(40);
/// A chapter names this many changes one by one.
const MOST_TOLD: u32 = 6;

pub struct Stage {
    pub pair: Pair,
    pub store: Arc<Store>,
    /// The newest change that was shown.
    seen: i64,
}

impl Stage {
    pub const fn new(pair: Pair, store: Arc<Store>) -> Self {
        Self { pair, store, seen: 0 }
    }

    /// What was done so far is not told again. A run that is still going may yet be the one that finds the first edit.
    pub fn mark(&mut self) -> anyhow::Result<()> {
        self.seen = self.store.runs(5)?.into_iter().find(|r| r.finished_at.is_some()).map_or(0, |r| r.run);
        Ok(())
    }

    /// Waits for what a chapter is about. The daemon runs by itself; nobody pushes it.
    pub async fn until(&self, what: &str, done: impl Fn() -> bool) -> anyhow::Result<()> {
        let began = Instant::now();
        while !done() {
            if began.elapsed() > PATIENCE {
                let last = self.store.last_run()?;
                bail!("waited {} s in vain until {what}; the last run: {last:?}", PATIENCE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.run_over().await
    }

    /// The run that did it has written its row.
    async fn run_over(&self) -> anyhow::Result<()> {
        while self.store.last_run()?.is_some_and(|r| r.finished_at.is_none()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// A whole run without a write: the echo test, before everybody's eyes.
    pub async fn quiet(&self) -> anyhow::Result<()> {
        let since = self.store.last_run()?.map_or(0, |r| r.run);
        let began = Instant::now();
        loop {
            let still = |r: &RunRow| r.run > since && r.finished_at.is_some() && r.writes.salesforce + r.writes.platform == 0;
            if let Some(run) = self.store.runs(5)?.into_iter().find(still) {
                println!("  run {}: nothing changed, 0 writes, {} Salesforce call", run.run, run.calls.salesforce);
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                bail!("no run without a write within {} s: {:?}", PATIENCE.as_secs(), self.store.runs(3)?);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The journal's own words for what was done since the last time.
    pub fn tell(&mut self) -> anyhow::Result<()> {
        let mut told = 0;
        // A run that is still going is told of with the next chapter.
        let runs: Vec<RunRow> = self.store.runs(50)?.into_iter().filter(|r| r.finished_at.is_some()).collect();
        for run in runs.iter().rev().filter(|r| r.run > self.seen) {
            self.store.each_of_run(run.run, |stored| {
                told += 1;
                if told <= MOST_TOLD {
                    show_intent(run.run, &stored.intent);
                }
                Ok(())
            })?;
        }
        if told > MOST_TOLD {
            println!("  … and {} more", told - MOST_TOLD);
        }
        self.seen = runs.first().map_or(self.seen, |r| r.run);
        Ok(())
    }

    pub fn partner(&self, object: &str, salesforce_id: &str) -> anyhow::Result<i64> {
        let link = self.store.link(object, Side::Salesforce, salesforce_id)?;
        link.with_context(|| format!("{object} {salesforce_id} is not linked"))?
            .platform_id
            .as_str()
            .parse()
            .context("a platform id is a number")
    }

    pub fn salesforce(&self, object: &str, id: &str) -> Value {
        self.pair.salesforce.world().row(object, id).unwrap_or(Value::Null)
    }

    pub fn salesforce_count(&self, object: &str) -> usize {
        self.pair.salesforce.world().counts().get(object).copied().unwrap_or(0)
    }

    pub fn edit_salesforce(&self, object: &str, id: &str, fields: Value) -> anyhow::Result<()> {
        Ok(self.pair.salesforce.world().update(object, id, &fields)?)
    }

    /// What became of the pair of this Salesforce record.
    pub fn state_of(&self, object: &str, salesforce_id: &str) -> Option<LinkState> {
        self.store.link(object, Side::Salesforce, salesforce_id).ok().flatten().map(|link| link.state)
    }

    /// The newest decision between the two sides, and how to undo it.
    pub fn tell_conflict(&self) -> anyhow::Result<()> {
        if let Some(conflict) = self.store.conflicts(false, 1)?.first() {
            println!(
                "  the losing value {} is kept: `lockstep conflicts restore {}` would put it back",
                conflict.value.platform, conflict.id
            );
        }
        Ok(())
    }
}

/// One line for what was seen and done, and the fields it was about.
fn show_intent(run: i64, intent: &crate::plan::Intent) {
    let name = intent.salesforce_id.as_ref().or(intent.platform_id.as_ref()).map_or("", |id| id.as_str());
    let side = if intent.verb.is_write() { format!(" on {}", intent.side) } else { String::new() };
    println!("  run {run}: {} → {} {} {name}{side}", intent.situation, intent.verb, intent.object);
    for moved in intent.moved.iter().filter(|m| !m.new.is_blank()).take(4) {
        println!("      {}: {} → {}", moved.name, moved.old, moved.new);
    }
}

pub fn say(title: &str) {
    println!("\n── {title} {}", "─".repeat(90usize.saturating_sub(title.chars().count())));
}

pub fn text(row: &Value, field: &str) -> String {
    row[field].as_str().unwrap_or_default().to_owned()
}
