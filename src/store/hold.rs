//! Holds and approvals: what the guard refused to carry out unasked, and what a person has since allowed.

use super::{Store, links::count, stamp};
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HoldRow {
    pub object: String,
    pub side: String,
    pub verb: String,
    pub reason: String,
    pub count: u64,
    pub ceiling: u64,
    pub of: u64,
    pub since: String,
    pub sample: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    pub id: i64,
    pub ceiling: u64,
}

impl Store {
    pub fn put_hold(&self, run: i64, hold: &HoldRow) -> anyhow::Result<()> {
        let n = |v: u64| i64::try_from(v).unwrap_or(i64::MAX);
        self.write(|tx| {
            tx.execute(
                "INSERT INTO hold (object, side, verb, reason, count, ceiling, of, since, run_id, sample) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 ON CONFLICT DO UPDATE SET reason = excluded.reason, count = excluded.count, ceiling = excluded.ceiling, of = excluded.of,
                   run_id = excluded.run_id, sample = excluded.sample",
                params![hold.object, hold.side, hold.verb, hold.reason, n(hold.count), n(hold.ceiling), n(hold.of), hold.since, run, hold.sample],
            )?;
            Ok(())
        })
    }

    /// Holds of an object that this run did not find again let go by themselves.
    pub fn release_stale_holds(&self, run: i64, object: &str) -> anyhow::Result<usize> {
        self.write(|tx| Ok(tx.execute("DELETE FROM hold WHERE object = ?1 AND run_id < ?2", params![object, run])?))
    }

    pub fn holds(&self) -> anyhow::Result<Vec<HoldRow>> {
        self.read(|c| {
            c.prepare("SELECT * FROM hold ORDER BY since, object, side, verb")?
                .query_map([], |r| {
                    Ok(HoldRow {
                        object: r.get("object")?,
                        side: r.get("side")?,
                        verb: r.get("verb")?,
                        reason: r.get("reason")?,
                        count: count(r.get("count")?),
                        ceiling: count(r.get("ceiling")?),
                        of: count(r.get("of")?),
                        since: r.get("since")?,
                        sample: r.get("sample")?,
                    })
                })?
                .collect()
        })
    }

    /// Held records, all groups together.
    pub fn held_count(&self) -> anyhow::Result<u64> {
        self.read(|c| c.query_row("SELECT coalesce(sum(count), 0) FROM hold", [], |r| r.get(0)).map(count))
    }

    pub fn approve(
        &self,
        object: &str,
        side: &str,
        verb: &str,
        ceiling: u64,
        now: DateTime<Utc>,
        expires: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        self.write(|tx| {
            tx.execute(
                "INSERT INTO approval (object, side, verb, ceiling, expires_at, given_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![object, side, verb, i64::try_from(ceiling).unwrap_or(i64::MAX), stamp(expires), stamp(now)],
            )?;
            Ok(())
        })
    }

    pub fn approval(&self, object: &str, side: &str, verb: &str, now: DateTime<Utc>) -> anyhow::Result<Option<Approval>> {
        self.read(|c| {
            c.query_row(
                "SELECT id, ceiling FROM approval WHERE object = ?1 AND side = ?2 AND verb = ?3 AND expires_at > ?4 AND used_run IS NULL
                 ORDER BY id DESC LIMIT 1",
                params![object, side, verb, stamp(now)],
                |r| Ok(Approval { id: r.get(0)?, ceiling: count(r.get(1)?) }),
            )
            .optional()
        })
    }

    pub fn use_approval(&self, id: i64, run: i64) -> anyhow::Result<()> {
        self.write(|tx| {
            tx.execute("UPDATE approval SET used_run = ?2 WHERE id = ?1", params![id, run])?;
            Ok(())
        })
    }

    /// A person says no: the hold goes, and the next run leaves what it held as it is until the records change again.
    pub fn discard_hold(&self, object: &str, side: &str, verb: &str, now: DateTime<Utc>) -> anyhow::Result<usize> {
        let gone = self
            .write(|tx| Ok(tx.execute("DELETE FROM hold WHERE object = ?1 AND side = ?2 AND verb = ?3", params![object, side, verb])?))?;
        if gone > 0 {
            self.approve(object, side, verb, 0, now, now + chrono::Duration::days(7))?;
        }
        Ok(gone)
    }

    /// The records of a planned group are looked at and left; the plan for them goes.
    pub fn leave_planned(&self, object: &str, side: &str, verb: &str) -> anyhow::Result<usize> {
        // As `planned_groups` groups them.
        const GROUP: &str = "CASE WHEN takes_away THEN 'delete' ELSE verb END";
        self.write(|tx| {
            for (own, column) in [("salesforce", "salesforce_id"), ("platform", "platform_id")] {
                tx.execute(
                    &format!(
                        "UPDATE staged SET dirty = 0, situation = 'discarded' WHERE object = ?1 AND side = '{own}' AND id IN
                           (SELECT {column} FROM intent WHERE object = ?1 AND side = ?2 AND {GROUP} = ?3 AND state = 'planned')"
                    ),
                    params![object, side, verb],
                )?;
            }
            Ok(tx.execute(
                &format!("DELETE FROM intent WHERE object = ?1 AND side = ?2 AND {GROUP} = ?3 AND state = 'planned'"),
                params![object, side, verb],
            )?)
        })
    }
}
