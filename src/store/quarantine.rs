//! Quarantine: a record that failed for good for now, why, and when it is tried again. A change of the record wakes it.

use super::{Store, links::count, stamp};
use crate::plan::{Intent, Situation};
use crate::record::{RecordId, Side};
use crate::seeded::seeded;
use chrono::{DateTime, Duration, Utc};
use rusqlite::{OptionalExtension, Row, Transaction, params};

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct QuarantineRow {
    pub object: String,
    pub side: Side,
    pub id: String,
    pub situation: String,
    pub code: String,
    pub message: String,
    pub since: String,
    pub attempts: i64,
    pub next_try_at: String,
}

/// 15 minutes, doubling, at most a day.
fn back_off(attempts: i64) -> Duration {
    Duration::minutes((15i64 << attempts.clamp(1, 8).saturating_sub(1)).min(24 * 60))
}

/// The record whose change was refused: the source side's, or the written side's own where there is no source.
fn culprit(intent: &Intent) -> Option<(Side, &RecordId)> {
    let ids = |side: Side| match side {
        Side::Salesforce => intent.salesforce_id.as_ref(),
        Side::Platform => intent.platform_id.as_ref(),
    };
    let source = intent.side.other();
    ids(source).map(|id| (source, id)).or_else(|| ids(intent.side).map(|id| (intent.side, id)))
}

pub(super) fn put(tx: &Transaction<'_>, run: i64, intent: &Intent, code: &str, message: &str, now: DateTime<Utc>) -> anyhow::Result<()> {
    match culprit(intent) {
        Some((side, id)) => park(tx, run, &intent.object, side, id, intent.situation, code, message, now),
        None => Ok(()),
    }
}

#[allow(clippy::too_many_arguments)]
fn park(
    tx: &Transaction<'_>,
    run: i64,
    object: &str,
    side: Side,
    id: &RecordId,
    situation: Situation,
    code: &str,
    message: &str,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let named = params![object, side.as_str(), id.as_str()];
    let hash: Option<i64> = tx
        .prepare_cached("SELECT hash FROM staged WHERE object = ?1 AND side = ?2 AND id = ?3")?
        .query_row(named, |r| r.get(0))
        .optional()?;
    let attempts: i64 = tx
        .prepare_cached("SELECT attempts FROM quarantine WHERE object = ?1 AND side = ?2 AND id = ?3 AND code = ?4")?
        .query_row(params![object, side.as_str(), id.as_str(), code], |r| r.get(0))
        .optional()?
        .unwrap_or(0)
        + 1;
    tx.prepare_cached(
        "INSERT INTO quarantine (object, side, id, situation, code, message, since, attempts, next_try_at, hash, run_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT DO UPDATE SET situation = excluded.situation, code = excluded.code, message = excluded.message, attempts = excluded.attempts,
           next_try_at = excluded.next_try_at, hash = excluded.hash, run_id = excluded.run_id",
    )?
    .execute(params![
        object,
        side.as_str(),
        id.as_str(),
        situation.as_str(),
        code,
        message,
        stamp(now),
        attempts,
        stamp(now + back_off(attempts)),
        hash,
        run
    ])?;
    Ok(())
}

pub(super) fn release(tx: &Transaction<'_>, object: &str, side: Side, id: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM quarantine WHERE object = ?1 AND side = ?2 AND id = ?3")?.execute(params![object, side.as_str(), id])?;
    Ok(())
}

/// The same, if nothing of the record waits any more: another change of it may still be parked.
pub(super) fn release_settled(tx: &Transaction<'_>, object: &str, side: Side, id: &str) -> rusqlite::Result<()> {
    let open: bool = tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM staged WHERE object = ?1 AND side = ?2 AND id = ?3)")?
        .query_row(params![object, side.as_str(), id], |r| r.get(0))?;
    if open { Ok(()) } else { release(tx, object, side, id) }
}

pub(super) fn row_from(row: &Row<'_>) -> rusqlite::Result<QuarantineRow> {
    Ok(QuarantineRow {
        object: row.get("object")?,
        side: Side::parse(&row.get::<_, String>("side")?).unwrap_or(Side::Platform),
        id: row.get("id")?,
        situation: row.get("situation")?,
        code: row.get("code")?,
        message: row.get("message")?,
        since: row.get("since")?,
        attempts: row.get("attempts")?,
        next_try_at: row.get("next_try_at")?,
    })
}

impl Store {
    /// Salesforce records of an object that are parked with one of these codes.
    pub fn parked_with(&self, object: &str, codes: &[&str]) -> anyhow::Result<Vec<RecordId>> {
        self.read(|c| {
            let mut statement = c.prepare("SELECT id, code FROM quarantine WHERE object = ?1 AND side = 'salesforce' ORDER BY id")?;
            let rows = statement.query_map([object], |r| Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?)))?;
            let mut ids = Vec::new();
            for row in rows {
                let (id, code) = row?;
                if codes.contains(&code.as_str()) {
                    ids.push(RecordId::from(id));
                }
            }
            Ok(ids)
        })
    }

    /// Parks records the planner could not decide.
    pub fn park(
        &self,
        run: i64,
        object: &str,
        parked: &[(Side, RecordId, Situation, String, String)],
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        self.write(|tx| {
            for (side, id, situation, code, message) in parked.iter().filter(|_| !seeded!(ParkedUnseen)) {
                park(tx, run, object, *side, id, *situation, code, message, now)?;
            }
            Ok(())
        })
    }

    pub fn unpark(&self, object: &str, ids: &[(Side, RecordId)]) -> anyhow::Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        self.write(|tx| {
            for (side, id) in ids {
                release(tx, object, *side, id.as_str())?;
            }
            Ok(())
        })
    }

    pub fn quarantine(&self, limit: u32) -> anyhow::Result<Vec<QuarantineRow>> {
        self.read(|c| {
            c.prepare("SELECT * FROM quarantine ORDER BY since DESC, object, id LIMIT ?1")?.query_map([limit], row_from)?.collect()
        })
    }

    pub fn quarantine_count(&self) -> anyhow::Result<u64> {
        self.read(|c| c.query_row("SELECT count(*) FROM quarantine", [], |r| r.get(0)).map(count))
    }

    /// Tries everything in quarantine (of one object, or of all) again in the next run.
    pub fn wake_quarantine(&self, object: Option<&str>, id: Option<&str>) -> anyhow::Result<usize> {
        self.write(|tx| {
            Ok(tx.execute(
                "UPDATE quarantine SET next_try_at = since WHERE (?1 IS NULL OR object = ?1) AND (?2 IS NULL OR id = ?2)",
                params![object, id],
            )?)
        })
    }

    /// Rows whose record is settled or gone are no longer anybody's business.
    pub fn sweep_quarantine(&self, object: &str) -> anyhow::Result<()> {
        self.write(|tx| {
            tx.execute(
                "DELETE FROM quarantine WHERE object = ?1 AND NOT EXISTS
                   (SELECT 1 FROM staged s WHERE s.object = quarantine.object AND s.side = quarantine.side AND s.id = quarantine.id)",
                [object],
            )?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_doubles_up_to_a_day() {
        let minutes: Vec<i64> = (1..=9).map(|n| back_off(n).num_minutes()).collect();
        assert_eq!(minutes, [15, 30, 60, 120, 240, 480, 960, 1440, 1440]);
    }
}
