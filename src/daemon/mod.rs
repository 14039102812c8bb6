//! The daemon: when to run, what woke it, and how it leaves. What a run *is* belongs to the engine.
//!
//! One worker does everything in turn, so runs never overlap. Whatever wakes it (a tick, a signal, a request in the
//! store) carries no data: the worker looks at the schedule and at the store and decides afresh.

mod serve;

mod asked;
mod census;
mod heartbeat;
mod lock;
mod session;
mod signals;
mod sweep;
mod switch;
mod systemd;

pub use asked::Asked;
pub use lock::{Holder, Lock, LockError};
pub use serve::{Calls, Clock, Daemon, Timetable, Work};
pub use session::{Session, connect};
pub use sweep::note_sweep;
pub use switch::off_since;

use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Runs until `stop`: the worker with everything that wakes it. The caller holds the lock of the state directory.
///
/// An error is the store's: nothing can be promised any more, so the process ends.
pub async fn start(session: Arc<Session>, stop: CancellationToken) -> anyhow::Result<()> {
    let calls = Arc::new(Calls::default());
    let clock: Clock = Arc::new(chrono::Utc::now);
    let listening = signals::listen(session.store.clone(), calls.clone(), clock.clone(), stop.clone())?;
    let heartbeat = heartbeat::start(calls.clone()).await;
    systemd::ready("waiting for the first run");
    let daemon = Daemon { store: session.store.clone(), work: session, calls, clock };
    let ended = daemon.serve(stop).await;
    systemd::stopping();
    listening.abort();
    heartbeat::end(heartbeat).await;
    ended
}
