//! `lockstep run`: the daemon in the foreground, as systemd likes it.

use super::{Exit, LogFormat, Place, log};
use crate::daemon::{self, Lock, Session};
use crate::store::Store;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// How to log
    #[arg(long, value_enum, default_value = "auto", value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// The provisional log ends where the rules are known; from there on every line goes to the real one.
pub fn run(args: &Args, place: &Place, filter: Option<&str>, provisional: log::Provisional) -> anyhow::Result<Exit> {
    let config = place.config()?;
    drop(provisional);
    log::start(filter, log::FOR_THE_DAEMON, args.log_format);
    let _lock = Lock::take(&place.state, "daemon")?;
    let store = Arc::new(Store::open(&place.state)?);
    tracing::info!(
        rules = %place.rules.display(), state = %place.state.display(), connection = %config.rules.connection, schedule = %config.schedule,
        version = env!("CARGO_PKG_VERSION"), "lockstep starts: connection {:?}, {}", config.rules.connection, config.schedule
    );
    let session = Arc::new(Session::new(config, store, &place.state)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(daemon::start(session, CancellationToken::new()));
    // A run that was left behind must not keep the process.
    runtime.shutdown_background();
    ended.map(|()| Exit::InStep)
}
