//! A first load that replaces what the platform holds: only by a person's word for this one platform, with a backup, and to
//! be taken up again where it was left.
//!
//! The word is kept with its time and its target. Before anything is deleted both systems have answered, every object of the
//! rules is there on both sides, records that are only linked are linked, and everything that will be deleted stands in a file.
//! A memory that is lost or new knows of no word and deletes nothing.

use super::{
    apply::Apply,
    run::{Engine, Options, Report, RunKind},
};
use crate::connectors::{Ask, Page, Schema};
use crate::plan::{Intent, Moved, Situation, Verb};
use crate::record::{Fields, Life, Record, RecordId, Side, Sides, Value};
use crate::rules::{Mapping, Rules};
use crate::store::{RunCounts, SidesJson, stamp};
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashSet},
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};
use tokio::sync::mpsc;

/// A list may show late what was deleted; more laps than this are for somebody to look at.
const MOST_LAPS: u32 = 4;
const KEY: &str = "replace";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Somebody gave their word; nothing was deleted.
    Consented,
    Wiping,
    Loading,
    /// The platform is what Salesforce made it; runs go on as ever.
    Active,
}

/// The word, and how far it was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub phase: Phase,
    /// The one platform it was given for.
    pub target: String,
    pub at: String,
    /// What was typed, masked.
    pub word: String,
    /// Where what was deleted stands.
    pub backup: String,
}

/// What replacing would do to one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replacement {
    pub object: String,
    pub deleted: u64,
    /// At most: some may be out of scope.
    pub created: u64,
}

impl Engine<'_> {
    /// How far the replacing of this platform is; `None`: nobody gave their word for it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn standing_of_replacement(&self, target: &str) -> anyhow::Result<Option<Standing>> {
        let Some(text) = self.store.meta(KEY)?.filter(|t| !t.is_empty()) else { return Ok(None) };
        let standing: Standing = serde_json::from_str(&text).context("the state of the first load cannot be read")?;
        Ok(Some(standing).filter(|s| s.target == target))
    }

    /// What would be deleted and created. Nothing is written.
    ///
    /// # Errors
    /// A side does not answer.
    pub async fn replacement(&self) -> anyhow::Result<Vec<Replacement>> {
        let mut counts = Vec::new();
        for mapping in replaced(self.rules) {
            counts.push(Replacement {
                object: mapping.object.clone(),
                deleted: self.sides.platform.count(&mapping.platform).await?,
                created: self.sides.salesforce.count(&mapping.salesforce).await?,
            });
        }
        Ok(counts)
    }

    /// Keeps a person's word. It is good for one replacing of this platform.
    ///
    /// # Errors
    /// One is on its way already; the store cannot be written.
    pub fn consent_to_replace(&self, target: &str, word: &str) -> anyhow::Result<()> {
        if let Some(Standing { phase: Phase::Wiping | Phase::Loading, at, .. }) = self.standing_of_replacement(target)? {
            bail!("the first load consented to at {at} is not through yet; it is taken up where it was left");
        }
        let at = stamp((self.clock)());
        self.keep(&Standing { phase: Phase::Consented, target: target.to_owned(), at, word: word.to_owned(), backup: String::new() })
    }

    fn keep(&self, standing: &Standing) -> anyhow::Result<()> {
        self.store.set_meta(KEY, &serde_json::to_string(standing)?)
    }

    /// Carries the word out, or on: checks, links, backs up, wipes, loads. What fails before the wipe leaves everything as it
    /// was, and the word is used up.
    ///
    /// # Errors
    /// Nobody gave their word; a side does not answer; something could not be deleted.
    pub async fn replace(&self, target: &str) -> anyhow::Result<Report> {
        let Some(mut standing) = self.standing_of_replacement(target)? else {
            bail!("nobody consented to replacing what this platform holds");
        };
        let schemas = match standing.phase {
            Phase::Consented => match self.ready(&mut standing).await {
                Ok(schemas) => schemas,
                Err(error) => {
                    self.store.set_meta(KEY, "")?;
                    return Err(error.context("nothing was deleted; consent again when this is mended"));
                }
            },
            Phase::Wiping | Phase::Loading => self.both_schemas().await?,
            Phase::Active => bail!("it was replaced already at the word of {}; a new one is needed to do it again", standing.at),
        };
        if standing.phase != Phase::Loading {
            standing.phase = Phase::Wiping;
            self.keep(&standing)?;
            self.wipe(&standing, &schemas).await?;
            standing.phase = Phase::Loading;
            self.keep(&standing)?;
        }
        let report = self.load().await?;
        if report.error.is_none() && report.held == 0 {
            standing.phase = Phase::Active;
            self.keep(&standing)?;
        }
        Ok(report)
    }

    /// A run that may not be: it leaves its row in the history.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn refused(&self, options: &Options, why: &str) -> anyhow::Result<Report> {
        let kind = options.kind.as_str();
        let run = self.store.start_run(kind, &options.cause, (self.clock)())?;
        self.store.finish_run(run, "failed", Some(why), &RunCounts::default(), (self.clock)())?;
        Ok(Report {
            run,
            kind: kind.to_owned(),
            outcome: "failed".to_owned(),
            writes: SidesJson::default(),
            conflicts: 0,
            conflicts_open: self.store.open_conflicts()?,
            quarantined: self.store.quarantine_count()?,
            held: self.store.held_count()?,
            calls: SidesJson::default(),
            frozen: self.store.frozen_count()?,
            census: None,
            error: Some(why.to_owned()),
        })
    }

    /// Both sides answer and are who they were, every object is there, who is only linked is linked, and the backup is
    /// written. Only then.
    async fn ready(&self, standing: &mut Standing) -> anyhow::Result<Sides<BTreeMap<String, Schema>>> {
        let only_linked = |m: &&Mapping| !m.direction.to_platform() && !m.direction.to_salesforce();
        let links = Rules { mappings: self.rules.mappings.iter().filter(only_linked).cloned().collect(), ..self.rules.clone() };
        let options = Options { approve: true, ..Options::new(RunKind::Full, "first-load: links") };
        let report = self.with(&links).run(&options).await?;
        if let Some(error) = report.error {
            bail!("{error}");
        }
        let schemas = self.both_schemas().await?;
        let dir = self.state_dir.context("there is no state directory for the backup")?;
        let path = dir.join(format!("first-load-{}.jsonl", standing.at.replace(':', "")));
        let mut backup = Backup::open(&path)?;
        for mapping in replaced(self.rules) {
            let records = self.living(mapping, &schemas.platform).await?;
            backup.add(mapping, &records)?;
        }
        standing.backup = path.display().to_string();
        Ok(schemas)
    }

    /// This engine with other rules.
    fn with<'b>(&'b self, rules: &'b Rules) -> Engine<'b> {
        Engine {
            store: self.store,
            rules,
            limits: self.limits,
            sides: Sides::new(self.sides.salesforce, self.sides.platform),
            clock: self.clock,
            state_dir: self.state_dir,
            confirm_after: self.confirm_after,
            allow_mixed: self.allow_mixed,
            stop: self.stop.clone(),
        }
    }

    async fn both_schemas(&self) -> anyhow::Result<Sides<BTreeMap<String, Schema>>> {
        let mut schemas = Sides::default();
        for side in Side::BOTH {
            let of = |m: &Mapping| if side == Side::Salesforce { m.salesforce.clone() } else { m.platform.clone() };
            let resources: Vec<String> = self.rules.mappings.iter().map(of).collect();
            let found = self.sides[side].schema(&resources).await?;
            if let Some(missing) = resources.iter().find(|r| !found.contains_key(*r)) {
                bail!("{side} {missing}: not there, or not visible to our user");
            }
            schemas[side] = found;
        }
        Ok(schemas)
    }

    /// Children first, because what a deletion takes along is not known; each object until its list shows nobody.
    async fn wipe(&self, standing: &Standing, schemas: &Sides<BTreeMap<String, Schema>>) -> anyhow::Result<()> {
        let run = self.store.start_run(RunKind::Full.as_str(), "first-load: wipe", (self.clock)())?;
        let mut deleted = 0;
        let done = self.wipe_all(run, standing, schemas, &mut deleted).await;
        let error = done.as_ref().err().map(|e| format!("{e:#}"));
        let counts = RunCounts { writes: Sides::new(0, deleted), ..RunCounts::default() };
        let outcome = if error.is_some() { "failed" } else { "ok" };
        self.store.finish_run(run, outcome, error.as_deref(), &counts, (self.clock)())?;
        tracing::warn!(run, deleted, backup = %standing.backup, "the platform was wiped for the first load");
        done
    }

    async fn wipe_all(
        &self,
        run: i64,
        standing: &Standing,
        schemas: &Sides<BTreeMap<String, Schema>>,
        deleted: &mut u64,
    ) -> anyhow::Result<()> {
        let mut backup = Backup::open(Path::new(&standing.backup))?;
        let options = Options { approve: true, ..Options::new(RunKind::Full, "first-load") };
        for mapping in replaced(self.rules).into_iter().rev() {
            let schema = Sides::new(&schemas.salesforce[&mapping.salesforce], &schemas.platform[&mapping.platform]);
            let mut laps = 0;
            loop {
                if self.stop.is_cancelled() {
                    bail!("stopped; the wipe goes on with the next run");
                }
                let records = self.living(mapping, &schemas.platform).await?;
                if records.is_empty() {
                    break;
                }
                if laps == MOST_LAPS {
                    bail!("{} {}s of the platform could not be deleted; `lockstep quarantine` says why", records.len(), mapping.object);
                }
                laps += 1;
                // What was made after the backup is in it before it goes.
                backup.add(mapping, &records)?;
                let intents = records.iter().map(|r| self.deletion(mapping, r)).collect::<anyhow::Result<Vec<Intent>>>()?;
                self.store.record_plan(run, &intents, (self.clock)())?;
                let watch = self.watch(run, &options, mapping)?;
                let cleared = watch.clear()?;
                let apply = Apply {
                    store: self.store,
                    rules: self.rules,
                    mapping,
                    schema,
                    writers: Sides::new(self.sides.salesforce, self.sides.platform),
                    run,
                    clock: self.clock,
                    stop: &self.stop,
                };
                *deleted += apply.carry_out_deletes(&cleared).await?.writes.platform;
            }
        }
        Ok(())
    }

    fn deletion(&self, mapping: &Mapping, record: &Record) -> anyhow::Result<Intent> {
        let link = self.store.link(&mapping.object, Side::Platform, record.id.as_str())?;
        let held = record.fields.iter().filter(|(_, v)| !v.is_blank());
        Ok(Intent {
            id: 0,
            object: mapping.object.clone(),
            side: Side::Platform,
            verb: Verb::Delete,
            situation: Situation::NewOnPlatform,
            link: link.as_ref().map(|l| l.id),
            salesforce_id: link.map(|l| l.salesforce_id),
            platform_id: Some(record.id.clone()),
            fields: Fields::new(),
            moved: held.map(|(name, value)| Moved { name: name.clone(), old: value.clone(), new: Value::Null }).collect(),
            advance: Sides::default(),
            key: None,
            conflicts: Vec::new(),
        })
    }

    /// Everything of an object that the platform holds now, with all its fields.
    async fn living(&self, mapping: &Mapping, schemas: &BTreeMap<String, Schema>) -> anyhow::Result<Vec<Record>> {
        let fields = schemas.get(&mapping.platform).map(|s| s.fields.keys().cloned().collect()).unwrap_or_default();
        let ask = Ask { object: mapping.object.clone(), resource: mapping.platform.clone(), fields, since: None, sweep: true };
        let asks = [ask];
        let (send, mut pages) = mpsc::channel::<Page>(2);
        let (polled, records) = tokio::join!(self.sides.platform.poll(&asks, send), async {
            let mut records: BTreeMap<RecordId, Record> = BTreeMap::new();
            while let Some(page) = pages.recv().await {
                records.extend(page.records.into_iter().map(|r| (r.id.clone(), r)));
            }
            records
        });
        for one in polled? {
            one.end?;
        }
        Ok(records.into_values().filter(|r| r.life == Life::Live).collect())
    }

    /// Salesforce's records are made on the platform; nothing is asked twice, because the word was given for it.
    async fn load(&self) -> anyhow::Result<Report> {
        let options = Options { approve: true, ..Options::new(RunKind::Full, "first-load: load") };
        self.run(&options).await
    }
}

/// What replacing is about: the objects of the rules that are written on the platform. Parents first.
fn replaced(rules: &Rules) -> Vec<&Mapping> {
    rules.mappings.iter().filter(|m| m.direction.to_platform()).collect()
}

/// What was deleted, one record a line; every record once.
struct Backup {
    file: fs::File,
    known: HashSet<(String, String)>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    object: String,
    id: String,
    #[serde(default)]
    fields: serde_json::Map<String, serde_json::Value>,
}

impl Backup {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let named = || PathBuf::from(path).display().to_string();
        let file = fs::OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path).with_context(named)?;
        let mut known = HashSet::new();
        for line in BufReader::new(fs::File::open(path).with_context(named)?).lines() {
            // A line that was cut off by a crash was never relied on.
            if let Ok(line) = serde_json::from_str::<Line>(&line.with_context(named)?) {
                known.insert((line.object, line.id));
            }
        }
        Ok(Self { file, known })
    }

    /// Written and on disk when this returns.
    fn add(&mut self, mapping: &Mapping, records: &[Record]) -> anyhow::Result<()> {
        let mut text = String::new();
        for record in records {
            let key = (mapping.object.clone(), record.id.as_str().to_owned());
            if !self.known.insert(key) {
                continue;
            }
            let fields = record.fields.iter().map(|(name, value)| (name.clone(), value.to_plain_json())).collect();
            let line = Line { object: mapping.object.clone(), id: record.id.as_str().to_owned(), fields };
            // A line of its own, also after one that was cut off.
            text.push('\n');
            text.push_str(&serde_json::to_string(&line)?);
        }
        if !text.is_empty() {
            text.push('\n');
            self.file.write_all(text.as_bytes())?;
            self.file.sync_all()?;
        }
        Ok(())
    }
}
