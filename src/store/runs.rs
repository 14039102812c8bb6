//! The run history: one row a run, and one per object and side.

use super::Cached;
use super::{Store, links::count, stamp};
use crate::record::{Side, Sides};
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, params};

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RunRow {
    pub run: i64,
    pub kind: String,
    pub cause: String,
    pub started_at: String,
    pub finished_at: Option<String>,
    pub outcome: String,
    pub error: Option<String>,
    pub writes: SidesJson,
    pub conflicts: u64,
    pub calls: SidesJson,
    pub allowance_used: Option<u64>,
    pub allowance_max: Option<u64>,
}

/// Two numbers by side, as every JSON answer prints them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct SidesJson {
    pub salesforce: u64,
    pub platform: u64,
}

/// What a run adds up to when it ends.
#[derive(Debug, Clone, Default)]
pub struct RunCounts {
    pub writes: Sides<u64>,
    pub calls: Sides<u64>,
    pub conflicts: u64,
    pub allowance: Option<(u64, u64)>,
}

fn run_from(r: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        run: r.get("run")?,
        kind: r.get("kind")?,
        cause: r.get("cause")?,
        started_at: r.get("started_at")?,
        finished_at: r.get("finished_at")?,
        outcome: r.get("outcome")?,
        error: r.get("error")?,
        writes: SidesJson { salesforce: count(r.get("writes_salesforce")?), platform: count(r.get("writes_platform")?) },
        conflicts: count(r.get("conflicts")?),
        calls: SidesJson { salesforce: count(r.get("calls_salesforce")?), platform: count(r.get("calls_platform")?) },
        allowance_used: r.get::<_, Option<i64>>("allowance_used")?.map(count),
        allowance_max: r.get::<_, Option<i64>>("allowance_max")?.map(count),
    })
}

impl Store {
    /// Opens a run. Runs that never ended are closed as interrupted: the process died.
    pub fn start_run(&self, kind: &str, cause: &str, now: DateTime<Utc>) -> anyhow::Result<i64> {
        let run = self.write(|tx| {
            tx.run("UPDATE run SET outcome = 'interrupted', finished_at = ?1 WHERE outcome IS NULL", [stamp(now)])?;
            tx.run("INSERT INTO run (kind, cause, started_at) VALUES (?1, ?2, ?3)", params![kind, cause, stamp(now)])?;
            Ok(tx.last_insert_rowid())
        })?;
        self.note_in_mirror(run, false, now);
        Ok(run)
    }

    pub fn finish_run(&self, run: i64, outcome: &str, error: Option<&str>, counts: &RunCounts, now: DateTime<Utc>) -> anyhow::Result<()> {
        let n = |v: u64| i64::try_from(v).unwrap_or(i64::MAX);
        self.write(|tx| {
            tx.run(
                "UPDATE run SET finished_at = ?2, outcome = ?3, error = ?4, writes_salesforce = ?5, writes_platform = ?6, conflicts = ?7,
                   calls_salesforce = ?8, calls_platform = ?9, allowance_used = ?10, allowance_max = ?11 WHERE id = ?1",
                params![
                    run,
                    stamp(now),
                    outcome,
                    error,
                    n(counts.writes[Side::Salesforce]),
                    n(counts.writes[Side::Platform]),
                    n(counts.conflicts),
                    n(counts.calls[Side::Salesforce]),
                    n(counts.calls[Side::Platform]),
                    counts.allowance.map(|a| n(a.0)),
                    counts.allowance.map(|a| n(a.1)),
                ],
            )?;
            // Per object and side, from the journal itself, so that the figures cannot disagree with the history.
            tx.run(
                "INSERT INTO run_object (run_id, object, side, created, changed, deleted, linked, failed)
                 SELECT run_id, object, side, sum(verb = 'create' AND state = 'done'), sum(verb = 'update' AND state = 'done'),
                        sum(verb = 'delete' AND state = 'done'), sum(verb = 'link' AND state = 'done'), sum(state IN ('rejected', 'dropped', 'unknown'))
                 FROM intent WHERE run_id = ?1 GROUP BY run_id, object, side
                 ON CONFLICT DO UPDATE SET created = excluded.created, changed = excluded.changed, deleted = excluded.deleted,
                   linked = excluded.linked, failed = excluded.failed",
                [run],
            )?;
            Ok(())
        })?;
        self.note_in_mirror(run, true, now);
        Ok(())
    }

    /// A run that was none of the daemon's business: written when it is over, so that nothing else that is under way is touched.
    pub fn note_run(
        &self,
        kind: &str,
        cause: &str,
        outcome: &str,
        error: Option<&str>,
        counts: &RunCounts,
        (from, to): (DateTime<Utc>, DateTime<Utc>),
    ) -> anyhow::Result<i64> {
        let n = |v: u64| i64::try_from(v).unwrap_or(i64::MAX);
        self.write(|tx| {
            tx.run(
                "INSERT INTO run (kind, cause, started_at, finished_at, outcome, error, calls_salesforce, calls_platform, allowance_used, allowance_max)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                params![
                    kind,
                    cause,
                    stamp(from),
                    stamp(to),
                    outcome,
                    error,
                    n(counts.calls[Side::Salesforce]),
                    n(counts.calls[Side::Platform]),
                    counts.allowance.map(|a| n(a.0)),
                    counts.allowance.map(|a| n(a.1)),
                ],
            )?;
            Ok(tx.last_insert_rowid())
        })
    }

    /// The last run that read and wrote: a `verify` only looks and moves no schedule.
    pub fn last_pass(&self) -> anyhow::Result<Option<RunRow>> {
        self.read(|c| c.one("SELECT * FROM runs WHERE kind <> 'verify' ORDER BY run DESC LIMIT 1", [], run_from).optional())
    }

    /// A reading that failed, by name.
    pub fn note_read_error(&self, run: i64, object: &str, side: Side, error: &str) -> anyhow::Result<()> {
        self.write(|tx| {
            tx.run(
                "INSERT INTO run_object (run_id, object, side, error) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET error = excluded.error",
                params![run, object, side.as_str(), error],
            )?;
            Ok(())
        })
    }

    pub fn runs(&self, limit: u32) -> anyhow::Result<Vec<RunRow>> {
        self.read(|c| c.prepare_cached("SELECT * FROM runs ORDER BY run DESC LIMIT ?1")?.query_map([limit], run_from)?.collect())
    }

    pub fn last_run(&self) -> anyhow::Result<Option<RunRow>> {
        self.read(|c| c.one("SELECT * FROM runs ORDER BY run DESC LIMIT 1", [], run_from).optional())
    }

    pub fn run_row(&self, run: i64) -> anyhow::Result<Option<RunRow>> {
        self.read(|c| c.one("SELECT * FROM runs WHERE run = ?1", [run], run_from).optional())
    }

    /// True if the last run that started never ended: its process died in it.
    pub fn was_interrupted(&self) -> anyhow::Result<bool> {
        self.read(|c| c.one("SELECT EXISTS (SELECT 1 FROM run WHERE outcome IS NULL)", [], |r| r.get(0)))
    }
}
