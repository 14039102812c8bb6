//! Holds and approvals: what the guard refused to carry out unasked, and what a person has since allowed.

use super::Cached;
use super::{Store, links::count, stamp};
use crate::plan::Moved;
use crate::record::Side;
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
    /// A word of `HoldKind`.
    pub kind: String,
}

/// One of the first records of a hold.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HoldSample {
    pub salesforce_id: Option<String>,
    pub platform_id: Option<String>,
    pub moved: Vec<Moved>,
}

/// How many records of a hold are shown.
const SAMPLES: u32 = 20;

/// As `planned_groups` groups them.
const GROUP: &str = "CASE WHEN takes_away THEN 'delete' ELSE verb END";

/// One change of a planned update that leaves nothing where there was something.
const EMPTIES: &str =
    "coalesce(json_extract(m.value, '$.new'), '') IN ('', '[]') AND coalesce(json_extract(m.value, '$.old'), '') NOT IN ('', '[]')";

/// What becomes of planned updates that are set apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apart<'a> {
    /// They are only counted.
    Count,
    /// They go, and the hold on this verb shows the first of them; it is there already.
    Drop { verb: &'a str },
    /// They go, and their records stay as they are until they change.
    Leave,
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
            tx.run(
                "INSERT INTO hold (object, side, verb, reason, count, ceiling, of, since, run_id, sample, kind) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
                 ON CONFLICT DO UPDATE SET reason = excluded.reason, count = excluded.count, ceiling = excluded.ceiling, of = excluded.of,
                   run_id = excluded.run_id, sample = excluded.sample, kind = excluded.kind",
                params![
                    hold.object,
                    hold.side,
                    hold.verb,
                    hold.reason,
                    n(hold.count),
                    n(hold.ceiling),
                    n(hold.of),
                    hold.since,
                    run,
                    hold.sample,
                    hold.kind
                ],
            )?;
            let named = params![hold.object, hold.side, hold.verb];
            tx.run("DELETE FROM hold_sample WHERE object = ?1 AND side = ?2 AND verb = ?3", named)?;
            tx.run(
                &format!(
                    "INSERT INTO hold_sample SELECT object, side, ?3, row_number() OVER (ORDER BY id), salesforce_id, platform_id, moved FROM intent
                     WHERE object = ?1 AND side = ?2 AND {GROUP} = ?3 AND state = 'planned' AND situation <> 'told' ORDER BY id LIMIT {SAMPLES}"
                ),
                named,
            )?;
            Ok(())
        })
    }

    /// The first records of a hold, as they would be written; of an emptied side there are none.
    pub fn hold_samples(&self, object: &str, side: &str, verb: &str) -> anyhow::Result<Vec<HoldSample>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT salesforce_id, platform_id, moved FROM hold_sample WHERE object = ?1 AND side = ?2 AND verb = ?3 ORDER BY position",
            )?
            .query_map(params![object, side, verb], |r| {
                Ok(HoldSample {
                    salesforce_id: r.get(0)?,
                    platform_id: r.get(1)?,
                    moved: serde_json::from_str(&r.get::<_, String>(2)?).unwrap_or_default(),
                })
            })?
            .collect()
        })
    }

    /// By field: how many planned updates of a side would empty it where it holds something.
    pub fn emptied_fields(&self, object: &str, side: Side) -> anyhow::Result<Vec<(String, u64)>> {
        self.read(|c| {
            c.prepare_cached(&format!(
                "SELECT json_extract(m.value, '$.name') AS field, count(*) FROM intent, json_each(intent.moved) m
                 WHERE object = ?1 AND side = ?2 AND verb = 'update' AND state = 'planned' AND situation <> 'told' AND {EMPTIES}
                 GROUP BY field ORDER BY field"
            ))?
            .query_map(params![object, side.as_str()], |r| Ok((r.get(0)?, count(r.get(1)?))))?
            .collect()
        })
    }

    /// In how many linked records of a side this field holds something.
    pub fn filled_bases(&self, object: &str, side: Side, field: &str) -> anyhow::Result<u64> {
        self.read(|c| {
            c.one(
                "SELECT count(*) FROM link l JOIN base b ON b.link_id = l.id AND b.side = ?2 WHERE l.object = ?1 AND l.state = 'live'
                 AND coalesce(json_extract(b.fields, '$.\"' || ?3 || '\"'), '') NOT IN ('', '[]')",
                params![object, side.as_str(), field],
                |r| r.get(0),
            )
            .map(count)
        })
    }

    /// Planned updates that empty one of these fields are a group of their own, so that they can be held alone. Answers how
    /// many there are.
    pub fn set_apart(&self, object: &str, side: Side, fields: &[String], apart: Apart<'_>) -> anyhow::Result<u64> {
        let list = serde_json::to_string(fields)?;
        let chosen = format!(
            "SELECT DISTINCT intent.id FROM intent, json_each(intent.moved) m WHERE object = ?1 AND side = ?2 AND verb = 'update' AND state = 'planned'
             AND situation <> 'told' AND {EMPTIES} AND json_extract(m.value, '$.name') IN (SELECT value FROM json_each(?3))"
        );
        self.write(|tx| {
            let named = params![object, side.as_str(), list];
            let n: i64 = tx.one(&format!("SELECT count(*) FROM ({chosen})"), named, |r| r.get(0))?;
            match apart {
                Apart::Count => return Ok(count(n)),
                Apart::Drop { verb } => {
                    tx.run("DELETE FROM hold_sample WHERE object = ?1 AND side = ?2 AND verb = ?3", params![object, side.as_str(), verb])?;
                    tx.run(
                        &format!(
                            "INSERT INTO hold_sample SELECT object, side, ?4, row_number() OVER (ORDER BY id), salesforce_id, platform_id, moved
                             FROM intent WHERE id IN ({chosen}) ORDER BY id LIMIT {SAMPLES}"
                        ),
                        params![object, side.as_str(), list, verb],
                    )?;
                }
                Apart::Leave => {
                    for (own, column) in [("salesforce", "salesforce_id"), ("platform", "platform_id")] {
                        tx.run(
                            &format!(
                                "UPDATE staged SET dirty = 0, situation = 'discarded' WHERE object = ?1 AND side = '{own}' AND id IN
                                   (SELECT {column} FROM intent WHERE id IN ({chosen}))"
                            ),
                            named,
                        )?;
                    }
                }
            }
            tx.run(&format!("DELETE FROM intent WHERE id IN ({chosen})"), named)?;
            Ok(count(n))
        })
    }

    /// A person's yes to a whole run is written down like any other.
    pub fn note_approved(&self, run: i64, object: &str, side: Side, verb: &str, planned: u64, now: DateTime<Utc>) -> anyhow::Result<()> {
        self.write(|tx| {
            tx.run(
                "INSERT INTO approval (object, side, verb, ceiling, expires_at, given_at, used_run) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)",
                params![object, side.as_str(), verb, i64::try_from(planned).unwrap_or(i64::MAX), stamp(now), run],
            )?;
            Ok(())
        })
    }

    /// Holds of an object that this run did not find again let go by themselves.
    pub fn release_stale_holds(&self, run: i64, object: &str) -> anyhow::Result<usize> {
        self.write(|tx| Ok(tx.run("DELETE FROM hold WHERE object = ?1 AND run_id < ?2", params![object, run])?))
    }

    pub fn holds(&self) -> anyhow::Result<Vec<HoldRow>> {
        self.read(|c| {
            c.prepare_cached("SELECT * FROM hold ORDER BY since, object, side, verb")?
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
                        kind: r.get("kind")?,
                    })
                })?
                .collect()
        })
    }

    /// Held records, all groups together.
    pub fn held_count(&self) -> anyhow::Result<u64> {
        self.read(|c| c.one("SELECT coalesce(sum(count), 0) FROM hold", [], |r| r.get(0)).map(count))
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
            tx.run(
                "INSERT INTO approval (object, side, verb, ceiling, expires_at, given_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![object, side, verb, i64::try_from(ceiling).unwrap_or(i64::MAX), stamp(expires), stamp(now)],
            )?;
            Ok(())
        })
    }

    pub fn approval(&self, object: &str, side: &str, verb: &str, now: DateTime<Utc>) -> anyhow::Result<Option<Approval>> {
        self.read(|c| {
            c.one(
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
            tx.run("UPDATE approval SET used_run = ?2 WHERE id = ?1", params![id, run])?;
            Ok(())
        })
    }

    /// A person says no: the hold goes, and the next run leaves what it held as it is until the records change again.
    pub fn discard_hold(&self, object: &str, side: &str, verb: &str, now: DateTime<Utc>) -> anyhow::Result<usize> {
        let gone =
            self.write(|tx| Ok(tx.run("DELETE FROM hold WHERE object = ?1 AND side = ?2 AND verb = ?3", params![object, side, verb])?))?;
        if gone > 0 {
            self.approve(object, side, verb, 0, now, now + chrono::Duration::days(7))?;
        }
        Ok(gone)
    }

    /// The records of a planned group are looked at and left; the plan for them goes.
    pub fn leave_planned(&self, object: &str, side: &str, verb: &str) -> anyhow::Result<usize> {
        self.write(|tx| {
            for (own, column) in [("salesforce", "salesforce_id"), ("platform", "platform_id")] {
                tx.run(
                    &format!(
                        "UPDATE staged SET dirty = 0, situation = 'discarded' WHERE object = ?1 AND side = '{own}' AND id IN
                           (SELECT {column} FROM intent WHERE object = ?1 AND side = ?2 AND {GROUP} = ?3 AND state = 'planned')"
                    ),
                    params![object, side, verb],
                )?;
            }
            Ok(tx.run(
                &format!("DELETE FROM intent WHERE object = ?1 AND side = ?2 AND {GROUP} = ?3 AND state = 'planned'"),
                params![object, side, verb],
            )?)
        })
    }
}
