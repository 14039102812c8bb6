//! Signals become wishes: a flag, a row in the store, or the stop token. Nothing is done in here.

use super::serve::{Calls, Clock};
use crate::store::Store;
use std::sync::Arc;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// From here on no signal ends the process by itself.
pub(super) fn listen(store: Arc<Store>, calls: Arc<Calls>, clock: Clock, stop: CancellationToken) -> anyhow::Result<JoinHandle<()>> {
    let mut reload = signal(SignalKind::hangup())?;
    let mut resync = signal(SignalKind::user_defined1())?;
    let mut run = signal(SignalKind::user_defined2())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::spawn(async move {
        loop {
            tokio::select! {
                Some(()) = terminate.recv() => leave("SIGTERM", &stop),
                Some(()) = interrupt.recv() => leave("SIGINT", &stop),
                Some(()) = reload.recv() => {
                    tracing::info!("SIGHUP: reading the rules again");
                    calls.ask_reload();
                }
                Some(()) = run.recv() => {
                    tracing::info!("SIGUSR2: run now");
                    calls.ask_run();
                }
                Some(()) = resync.recv() => {
                    tracing::info!("SIGUSR1: full re-sync requested");
                    // Written down at once: the wish survives a restart.
                    if let Err(error) = ask_resync(&store, &clock) {
                        tracing::error!(error = format!("{error:#}"), "the request for a re-sync could not be kept");
                    }
                    calls.kick();
                }
                else => return,
            }
        }
    }))
}

fn ask_resync(store: &Store, clock: &Clock) -> anyhow::Result<()> {
    if store.open_requests()?.iter().any(|r| r.kind == "resync") {
        return Ok(());
    }
    store.ask("resync", "", clock()).map(|_| ())
}

fn leave(name: &str, stop: &CancellationToken) {
    if stop.is_cancelled() {
        return;
    }
    tracing::info!("{name}: finishing the batch in flight");
    super::systemd::stopping();
    stop.cancel();
}
