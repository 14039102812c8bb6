//! Rules, connectors and store joined to an engine: what one run needs, kept from run to run so that tokens and
//! descriptions of fields are not fetched again.

use super::serve::{Timetable, Work};
use crate::config::{Config, ConfigError, CustomFields, FirstLoad};
use crate::connectors::Writer;
use crate::engine::{Engine, Options, Phase, Replacement, Report};
use crate::record::Sides;
use crate::store::Store;
use async_trait::async_trait;
use chrono::Utc;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};
use tokio_util::sync::CancellationToken;

/// Nothing is read, written or deleted before somebody said that it may be.
const NO_CONSENT: &str = "the rules say first-load = \"replace\", and nobody has consented to it: what this platform holds would be deleted; \
                          `lockstep first-load` shows how much, `lockstep first-load --consent <public key>` does it";

pub struct Session {
    pub store: Arc<Store>,
    state_dir: PathBuf,
    loaded: RwLock<Arc<Loaded>>,
}

/// Replaced as a whole by a reload; a run that is on its way keeps the one it began with.
struct Loaded {
    config: Config,
    sides: Sides<Box<dyn Writer>>,
}

impl Loaded {
    fn new(config: Config) -> Result<Self, ConfigError> {
        let sides = connect(&config)?;
        Ok(Self { config, sides })
    }
}

/// The connectors. Nothing is sent yet, so whatever is wrong here is wrong in the rules.
pub fn connect(config: &Config) -> Result<Sides<Box<dyn Writer>>, ConfigError> {
    config.connect().map_err(|fault| ConfigError::File { path: config.path.display().to_string(), message: fault.to_string() })
}

impl Session {
    /// Nothing is sent yet.
    pub fn new(config: Config, store: Arc<Store>, state_dir: &Path) -> Result<Self, ConfigError> {
        let loaded = RwLock::new(Arc::new(Loaded::new(config)?));
        Ok(Self { store, state_dir: state_dir.to_owned(), loaded })
    }

    fn loaded(&self) -> Arc<Loaded> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn engine<'a>(&'a self, loaded: &'a Loaded, stop: CancellationToken) -> Engine<'a> {
        let config = &loaded.config;
        Engine {
            store: &self.store,
            rules: &config.rules,
            limits: config.limits,
            sides: Sides::new(&*loaded.sides.salesforce, &*loaded.sides.platform),
            clock: &Utc::now,
            state_dir: Some(&self.state_dir),
            confirm_after: config.confirm_after,
            allow_mixed: config.allow_sandbox_with_production,
            stop,
        }
    }

    /// Custom fields that came up since the last run: from now on they stand in the rules as if somebody had written them
    /// there. If a side cannot be asked, the run says so itself.
    async fn take_in_custom_fields(&self) -> anyhow::Result<()> {
        let loaded = self.loaded();
        if !loaded.config.custom_fields {
            return Ok(());
        }
        let rules = &loaded.config.rules;
        let mut objects: Vec<String> = rules.mappings.iter().map(|m| m.salesforce.clone()).collect();
        objects.dedup();
        let Ok(schemas) = loaded.sides.salesforce.schema(&objects).await else { return Ok(()) };
        let mut pairs = CustomFields::read(&self.state_dir)?;
        if pairs.clone().grow(rules, &schemas, &BTreeMap::new()).is_empty() {
            return Ok(());
        }
        let mut there = BTreeMap::new();
        for mapping in &rules.mappings {
            let Ok(fields) = loaded.sides.platform.custom_fields(&mapping.platform).await else { return Ok(()) };
            there.insert(mapping.platform.clone(), fields);
        }
        let new = pairs.grow(rules, &schemas, &there);
        pairs.write(&self.state_dir)?;
        tracing::info!(fields = new.join(", "), "custom fields take part from now on");
        self.reload()
    }

    /// What replacing would do; nothing is written.
    pub async fn replacement(&self) -> anyhow::Result<Vec<Replacement>> {
        self.engine(&self.loaded(), CancellationToken::new()).replacement().await
    }

    /// Replaces what the platform holds, at this word.
    pub async fn replace(&self, first: &FirstLoad, shown: &str, stop: CancellationToken) -> anyhow::Result<Report> {
        self.take_in_custom_fields().await?;
        let loaded = self.loaded();
        let engine = self.engine(&loaded, stop);
        engine.consent_to_replace(&first.target, shown)?;
        engine.replace(&first.target).await
    }

    /// Data calls so far, for a progress line.
    #[must_use]
    pub fn calls(&self) -> Sides<u64> {
        let loaded = self.loaded();
        Sides::new(loaded.sides.salesforce.calls().data, loaded.sides.platform.calls().data)
    }
}

#[async_trait]
impl Work for Session {
    async fn run(&self, options: Options, stop: CancellationToken) -> anyhow::Result<Report> {
        self.take_in_custom_fields().await?;
        let loaded = self.loaded();
        let config = &loaded.config;
        let engine = self.engine(&loaded, stop);
        match &config.first_load {
            None => engine.run(&options).await,
            Some(first) => match engine.standing_of_replacement(&first.target)?.map(|s| s.phase) {
                Some(Phase::Active) => engine.run(&options).await,
                // It was left half-way.
                Some(Phase::Wiping | Phase::Loading) => engine.replace(&first.target).await,
                Some(Phase::Consented) | None => engine.refused(&options, NO_CONSENT),
            },
        }
    }

    fn reload(&self) -> anyhow::Result<()> {
        let path = self.loaded().config.path.clone();
        let config = Config::load(&path, &self.state_dir).inspect_err(|error| {
            if let ConfigError::Problems { problems, path, .. } = error {
                for p in problems {
                    tracing::error!(code = p.code, line = p.line, column = p.column, help = %p.help, "{path}:{}:{}: {}", p.line, p.column, p.message);
                }
            }
        })?;
        let fresh = Arc::new(Loaded::new(config)?);
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn timetable(&self) -> Timetable {
        let loaded = self.loaded();
        let config = &loaded.config;
        Timetable {
            enabled: config.enabled,
            schedule: config.schedule.clone(),
            census: config.census.clone(),
            resync: config.resync,
            sweep_every: config.sweep_every,
        }
    }
}
