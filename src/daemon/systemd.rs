//! What systemd is told. Without `$NOTIFY_SOCKET` every word goes nowhere.

use sd_notify::NotifyState;
use std::time::Duration;

pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

pub(super) fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// Both in one message: systemd wants the stamp with the word.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(stamp) => tell(&[NotifyState::Reloading, stamp]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Half of what the unit's `WatchdogSec=` allows, if it has one.
pub(super) fn ping_every() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|half| !half.is_zero())
}

fn tell(words: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(words) {
        tracing::debug!(%error, "systemd does not listen");
    }
}
