//! Once a second something says "look". The scheduler is used for nothing else: every decision is the worker's own.
//!
//! A job of tokio-cron-scheduler may overlap itself, and its repeated jobs die after a stall (upstream issue 113); a
//! cron job that only nudges can do neither harm. Should the scheduler itself die, the worker's own timer remains.

use super::serve::Calls;
use std::sync::Arc;
use tokio_cron_scheduler::{Job, JobScheduler};

/// `None` if the scheduler cannot be started: the worker's timer is slower, and enough.
pub(super) async fn start(calls: Arc<Calls>) -> Option<JobScheduler> {
    match schedule(calls).await {
        Ok(scheduler) => Some(scheduler),
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "no heartbeat, looking every 30 s only");
            None
        }
    }
}

async fn schedule(calls: Arc<Calls>) -> anyhow::Result<JobScheduler> {
    let scheduler = JobScheduler::new().await?;
    let job = Job::new_async("* * * * * *", move |_, _| {
        calls.kick();
        Box::pin(async {})
    })?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    Ok(scheduler)
}

pub(super) async fn end(scheduler: Option<JobScheduler>) {
    if let Some(mut scheduler) = scheduler {
        let _ = scheduler.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn it_beats() {
        let calls = Arc::new(Calls::default());
        let scheduler = start(calls.clone()).await;
        tokio::time::timeout(Duration::from_secs(20), calls.kicked()).await.expect("no beat in twenty seconds");
        end(scheduler).await;
    }
}
