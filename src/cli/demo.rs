//! `lockstep demo`: the whole thing on this machine in one command.
//!
//! Two simulators, the daemon's real loop on a short interval between them, and a few people who edit both sides. What
//! is printed is what the systems and the state file show, not what ought to be there. A platform is one [`Story`].

mod forcemanager;
mod lac;
mod licensespring;
mod stage;

use super::{Exit, init};
use crate::config::Config;
use crate::daemon::{self, Lock, Session};
use crate::sandbox::pair::{Pair, PlatformKind};
use crate::store::{RunRow, Store};
use anyhow::{Context, bail};
use stage::{Stage, say};
use std::{
    fs,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leaves everything running at the end
    #[arg(long)]
    pub keep: bool,
    /// The platform beside Salesforce
    #[arg(long, value_enum, default_value = "licensespring")]
    pub platform: init::Platform,
}

/// What happens between Salesforce and one platform.
trait Story {
    /// The records the story is about.
    type Filled;
    const KIND: PlatformKind;
    /// The rules we ship for it; addresses and secrets are put in afterwards.
    fn rules() -> String;
    /// Fills both systems, and prints where they are and what is in them.
    fn fill(pair: &Pair) -> anyhow::Result<Self::Filled>;
    /// Before the daemon begins.
    async fn prepare(_session: &Session, _config: &Config) -> anyhow::Result<()> {
        Ok(())
    }
    /// While the daemon runs.
    async fn tell(stage: &mut Stage, filled: &Self::Filled) -> anyhow::Result<()>;
}

pub fn run(args: &Args, state: Option<&Path>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let exit = runtime.block_on(async {
        match args.platform {
            init::Platform::Licensespring => show::<licensespring::Licenses>(args, state).await,
            init::Platform::Forcemanager => show::<forcemanager::Sales>(args, state).await,
            init::Platform::Lac => show::<lac::Customers>(args, state).await,
        }
    });
    runtime.shutdown_background();
    exit
}

async fn show<S: Story>(args: &Args, state: Option<&Path>) -> anyhow::Result<Exit> {
    let began = Instant::now();
    let state = place(state)?;
    let pair = Pair::start(S::KIND, 0, 0).await.context("starting the simulators")?;
    say("Two systems on this machine");
    let filled = S::fill(&pair)?;
    let rules = write_rules(&pair, S::rules(), &state)?;
    println!("  rules           {}", rules.display());
    let config = Config::load(&rules, &state)?;
    let store = Arc::new(Store::open(&state)?);
    let mut stage = Stage::new(pair, store.clone());

    let stop = CancellationToken::new();
    let _lock = Lock::take(&state, "demo")?;
    let session = Arc::new(Session::new(config.clone(), store.clone(), &state)?);
    S::prepare(&session, &config).await?;
    let worker = tokio::spawn(daemon::start(session, stop.clone()));

    let ended = tokio::select! {
        ended = S::tell(&mut stage, &filled) => ended,
        () = stop.cancelled() => return Ok(Exit::InStep),
    };
    if ended.is_ok() {
        summary(&store, &state, began)?;
        if args.keep {
            println!("\nEverything is left running; Ctrl-C ends it.");
            stop.cancelled().await;
        }
    }
    stop.cancel();
    let _ = tokio::time::timeout(Duration::from_secs(10), worker).await;
    ended.map(|()| Exit::InStep)
}

/// A given directory, or a fresh one that stays for a look afterwards.
fn place(state: Option<&Path>) -> anyhow::Result<PathBuf> {
    match state {
        Some(dir) if dir.join("lockstep.db").exists() => bail!("{} already holds a state; the demo wants a fresh directory", dir.display()),
        Some(dir) => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(|| dir.display().to_string())?;
            Ok(dir.to_owned())
        }
        None => Ok(tempfile::Builder::new().prefix("lockstep-demo-").tempdir()?.keep()),
    }
}

/// The shipped rules, pointed at the simulators and hurried up.
fn write_rules(pair: &Pair, rules: String, state: &Path) -> anyhow::Result<PathBuf> {
    let mut text =
        rules.replace("every = \"15m\" ", "every = \"1s\" ").replace("confirm-absence-after = \"60s\"", "confirm-absence-after = \"2s\"");
    // Secrets stand in files of their own.
    let secrets: Vec<String> = init::variables(&text).into_iter().filter(|v| v.is_secret).map(|v| v.name).collect();
    for (name, value) in pair.environment() {
        let found = format!("{{ env = \"{name}\" }}");
        let with = if secrets.iter().any(|secret| secret == name) {
            let path = state.join(name.to_lowercase());
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            std::io::Write::write_all(&mut file, value.as_bytes())?;
            format!("{{ file = {:?} }}", path.display().to_string())
        } else {
            format!("{value:?}")
        };
        text = text.replace(&found, &with);
    }
    let path = state.join("sync-rules.toml");
    fs::write(&path, text)?;
    Ok(path)
}

fn summary(store: &Store, state: &Path, began: Instant) -> anyhow::Result<()> {
    say("Summary");
    let runs = store.runs(10_000)?;
    let sum = |pick: &dyn Fn(&RunRow) -> u64| runs.iter().map(pick).sum::<u64>();
    println!(
        "  {} runs in {:.0} s: {} writes to the platform and {} to Salesforce, {} conflict(s) decided, {} Salesforce calls",
        runs.len(),
        began.elapsed().as_secs_f64(),
        sum(&|r| r.writes.platform),
        sum(&|r| r.writes.salesforce),
        sum(&|r| r.conflicts),
        sum(&|r| r.calls.salesforce),
    );
    let db = state.join("lockstep.db");
    println!("  the state file: {}\n\n  Try:", db.display());
    for query in [
        "SELECT run, kind, outcome, writes_salesforce, writes_platform FROM runs ORDER BY run DESC LIMIT 5",
        "SELECT at, object, action, direction, situation, outcome FROM recent_changes LIMIT 10",
        "SELECT object, count(*) FROM links GROUP BY object",
    ] {
        println!("    sqlite3 -readonly {} \"{query}\"", db.display());
    }
    Ok(())
}
