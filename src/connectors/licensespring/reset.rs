//! Resetting the activations of a license: the one call that is no target state, done once.
//!
//! Source: docs.licensespring.com, "Reset License". It throws every device out, so a late repeat would throw out people
//! who have activated since. Whoever asked gets one final word, in the step `reset`: done, refused, nothing to do, or in
//! doubt. Only what certainly was not sent fails, and only a license that cannot be read stays unknown.

use super::LicenseSpring;
use super::catalogue::{LICENSE, record_path};
use super::change::{id_of, still_unknown};
use super::list::Row;
use super::outcome::{Steps, failed, is_unknown, rejected, sent, unsent, wait_s};
use super::refusal::Refusal;
use super::wire::Trouble;
use crate::connectors::ResourceSpec;
use crate::plan::{Outcome, Write};
use crate::record::Value;
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::Value as J;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long after the first call the same reset may still be sent or planned again. People need longer to activate anew.
const WINDOW: Duration = Duration::from_secs(60);
const LOOK: &str = "look at the license and ask again if needed";

/// Whether a write asks for a reset.
pub fn resets(write: &Write) -> bool {
    write.fields.contains_key("reset")
}

/// What was asked, and what the license showed then.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    activations: i64,
    at: DateTime<Utc>,
}

/// What tells whether a reset happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counters {
    activated: Option<i64>,
    devices: Option<i64>,
}

impl Counters {
    fn of(row: &Row) -> Self {
        let number = |name: &str| row.get(name).and_then(J::as_i64);
        Self { activated: number("times_activated"), devices: number("total_active_devices") }
    }

    /// Nobody is in. What is not shown is no evidence.
    fn zero(self) -> bool {
        matches!((self.activated, self.devices), (Some(0), Some(0) | None) | (None, Some(0)))
    }

    fn count(self) -> i64 {
        self.activated.or(self.devices).unwrap_or(0)
    }
}

/// What a look after a lost answer found.
enum Seen {
    Zero(Row),
    Still(Row),
    /// It could not be read; perhaps it is gone.
    Unread(Trouble),
}

impl LicenseSpring {
    pub(super) async fn reset(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        let settled = async {
            let id = id_of(write).map_err(rejected)?;
            asked(write).map_err(rejected)?;
            let row = self.row(resource, id).await.map_err(unsent)?;
            let before = Counters::of(&row);
            if before.zero() {
                return Ok((row, "nothing to reset".to_owned()));
            }
            self.send_reset(resource, id, row, before).await
        };
        match settled.await {
            Ok((row, word)) => self.told(write, resource, row, word).await,
            Err(outcome) => outcome,
        }
    }

    /// After a crash. Sends nothing: what certainly did not happen is for the engine to plan again.
    pub(super) async fn resolve_reset(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        let settled = async {
            let id = id_of(write).map_err(rejected)?;
            let asked = asked(write).map_err(rejected)?;
            let row = self.row(resource, id).await.map_err(still_unknown)?;
            let now = Counters::of(&row);
            if now.zero() {
                return Ok((row, released(asked.activations)));
            }
            let fresh = (Utc::now() - asked.at).abs().to_std().is_ok_and(|age| age <= WINDOW);
            if now.count() == asked.activations && fresh {
                return Err(failed("not-done", format!("license {id} still shows {} activations", asked.activations)));
            }
            let word = in_doubt(now.count(), asked.activations);
            Ok((row, word))
        };
        match settled.await {
            Ok((row, word)) => self.told(write, resource, row, word).await,
            Err(outcome) => outcome,
        }
    }

    async fn send_reset(&self, resource: &'static ResourceSpec, id: i64, row: Row, before: Counters) -> Result<(Row, String), Outcome> {
        let path = format!("{}reset/", record_path(LICENSE, id));
        let deadline = Instant::now() + WINDOW;
        let lost = match self.wire.write(Method::POST, &path, None).await {
            Ok(_) => return Ok((self.row(resource, id).await.unwrap_or_default(), released(before.count()))),
            Err(trouble) if is_unknown(&trouble) => trouble,
            Err(Trouble::Refused(refusal)) => return Ok((row, format!("refused: {}", refusal.message))),
            Err(trouble) => return Err(sent(trouble)),
        };
        match self.look_for_reset(resource, id).await {
            Seen::Zero(row) => return Ok((row, released(before.count()))),
            Seen::Still(row) if Counters::of(&row) != before || Instant::now() >= deadline => {
                let word = in_doubt(Counters::of(&row).count(), before.count());
                return Ok((row, word));
            }
            Seen::Still(_) => {}
            Seen::Unread(Trouble::Missing) => return Err(Outcome::Missing),
            Seen::Unread(_) => return Err(sent(lost)),
        }
        // The license shows what it showed, moments ago: once more, and whatever waits inside must end with the window.
        if let Ok(Ok(_)) = timeout_at(deadline, self.wire.write(Method::POST, &path, None)).await {
            return Ok((self.row(resource, id).await.unwrap_or_default(), released(before.count())));
        }
        match self.look_for_reset(resource, id).await {
            Seen::Zero(row) => Ok((row, released(before.count()))),
            Seen::Still(row) => {
                let word = in_doubt(Counters::of(&row).count(), before.count());
                Ok((row, word))
            }
            Seen::Unread(Trouble::Missing) => Err(Outcome::Missing),
            Seen::Unread(_) => Err(sent(lost)),
        }
    }

    /// Patiently: a reset whose answer is lost may take effect a moment later.
    async fn look_for_reset(&self, resource: &'static ResourceSpec, id: i64) -> Seen {
        let mut seen = Seen::Unread(Trouble::Missing);
        for wait in self.looks_s {
            wait_s(*wait).await;
            seen = match self.row(resource, id).await {
                Ok(row) if Counters::of(&row).zero() => return Seen::Zero(row),
                Ok(row) => Seen::Still(row),
                Err(trouble) => match seen {
                    Seen::Still(row) => Seen::Still(row),
                    Seen::Zero(_) | Seen::Unread(_) => Seen::Unread(trouble),
                },
            };
        }
        seen
    }

    /// Done with this word, even where the license could not be read once more.
    async fn told(&self, write: &Write, resource: &'static ResourceSpec, row: Row, word: String) -> Outcome {
        let mut steps = Steps::default();
        steps.say("reset", word);
        match (row.is_empty(), &write.id) {
            (true, Some(id)) => Outcome::Done { id: id.clone(), record: None, steps: steps.0 },
            _ => self.done(write, resource, row, steps).await,
        }
    }
}

fn asked(write: &Write) -> Result<Asked, Refusal> {
    let bad = |what: &str| Refusal::new("does-not-fit", format!("reset: {what}"), &["reset"]);
    if write.fields.len() > 1 {
        return Err(bad("it is asked for alone, without other changes"));
    }
    let rows = write.fields.get("reset").and_then(Value::as_rows);
    let Some([row]) = rows else { return Err(bad("one row is expected")) };
    let Some(Value::Int(activations)) = row.get("activations") else { return Err(bad("activations: a whole number is expected")) };
    let at = row.get("asked").and_then(Value::as_text).and_then(|t| DateTime::parse_from_rfc3339(t).ok());
    let at = at.ok_or_else(|| bad("asked: an instant is expected"))?;
    Ok(Asked { activations: *activations, at: at.with_timezone(&Utc) })
}

fn released(activations: i64) -> String {
    let noun = if activations == 1 { "activation" } else { "activations" };
    format!("released {activations} {noun}")
}

fn in_doubt(now: i64, before: i64) -> String {
    if now == before {
        format!("in doubt: the answer was lost and the license still shows {now} activations; {LOOK}")
    } else {
        format!("in doubt: the answer was lost and people have activated since; {LOOK}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn only_shown_zeros_say_that_nobody_is_in() {
        for (row, zero, count) in [
            (json!({"times_activated": 0, "total_active_devices": 0}), true, 0),
            (json!({"times_activated": 0}), true, 0),
            (json!({"times_activated": 0, "total_active_devices": 1}), false, 0),
            (json!({"times_activated": 3, "total_active_devices": 0}), false, 3),
            (json!({"times_activated": null}), false, 0),
            (json!({}), false, 0),
        ] {
            let counters = Counters::of(row.as_object().unwrap());
            assert_eq!((counters.zero(), counters.count()), (zero, count), "{row}");
        }
    }
}
