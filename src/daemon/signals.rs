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
    // One that was asked to wait is not this one.
    if store.open_requests()?.iter().any(|r| r.kind == "resync" && r.argument.is_empty()) {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use chrono::DateTime;

    #[test]
    fn many_signals_are_one_wish_and_not_the_one_that_waits_for_the_next_interval() {
        let store = Store::in_memory().unwrap();
        let clock: Clock = Arc::new(|| DateTime::UNIX_EPOCH);
        store.ask("resync", "next-tick", clock()).unwrap();
        for _ in 0..3 {
            ask_resync(&store, &clock).unwrap();
        }
        let arguments: Vec<String> = store.open_requests().unwrap().into_iter().map(|r| r.argument).collect();
        assert_eq!(arguments, ["next-tick", ""]);
    }
}
