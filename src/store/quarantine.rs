//! Quarantine: a record that failed for good for now, why, and when it is tried again. A change of the record wakes it, and
//! so does one of a record it refers to.

use super::Cached;
use super::{Store, links::count, stamp};
use crate::plan::{Intent, Situation};
use crate::record::{RecordId, Side, Sides};
use crate::seeded::seeded;
use chrono::{DateTime, Duration, Utc};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use std::collections::BTreeSet;

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
    /// The field it was, where that is known.
    pub field: Option<String>,
    /// What people call the record, where it has a name.
    pub name: Option<String>,
}

/// A record the planner could not decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToPark {
    pub side: Side,
    pub id: RecordId,
    pub situation: Situation,
    pub code: String,
    pub message: String,
    pub field: Option<String>,
}

/// A parked record, with the fingerprint of its parents as they stood when it was parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRecord {
    pub side: Side,
    pub id: RecordId,
    pub parents: Option<i64>,
}

/// 15 minutes, doubling, at most a day.
fn back_off(attempts: i64) -> Duration {
    Duration::minutes((15i64 << attempts.clamp(1, 8).saturating_sub(1)).min(24 * 60))
}

/// The record whose change was refused: the source side's, or the written side's own where there is no source, or no news of
/// it: what is put back on one side has its news there, and a row without news would be nobody's business.
fn culprit<'i>(tx: &Transaction<'_>, intent: &'i Intent) -> rusqlite::Result<Option<(Side, &'i RecordId)>> {
    let id_on = |side: Side| match side {
        Side::Salesforce => intent.salesforce_id.as_ref(),
        Side::Platform => intent.platform_id.as_ref(),
    };
    let named: Vec<(Side, &RecordId)> = [intent.side.other(), intent.side].into_iter().filter_map(|s| Some((s, id_on(s)?))).collect();
    for (side, id) in &named {
        let news: bool = tx
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM staged WHERE object = ?1 AND side = ?2 AND id = ?3)")?
            .query_row(params![intent.object, side.as_str(), id.as_str()], |r| r.get(0))?;
        if news {
            return Ok(Some((*side, id)));
        }
    }
    Ok(named.first().copied())
}

pub(super) fn put(
    tx: &Transaction<'_>,
    run: i64,
    intent: &Intent,
    code: &str,
    message: &str,
    field: Option<&str>,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let Some((side, id)) = culprit(tx, intent)? else { return Ok(()) };
    let row = ToPark {
        side,
        id: id.clone(),
        situation: intent.situation,
        code: code.to_owned(),
        message: message.to_owned(),
        field: field.map(str::to_owned),
    };
    park(tx, run, &intent.object, &row, now)
}

fn park(tx: &Transaction<'_>, run: i64, object: &str, row: &ToPark, now: DateTime<Utc>) -> anyhow::Result<()> {
    let ToPark { side, id, situation, code, message, field } = row;
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
        "INSERT INTO quarantine (object, side, id, situation, code, message, since, attempts, next_try_at, hash, run_id, field)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT DO UPDATE SET situation = excluded.situation, code = excluded.code, message = excluded.message, attempts = excluded.attempts,
           next_try_at = excluded.next_try_at, hash = excluded.hash, run_id = excluded.run_id, field = excluded.field, parents = NULL",
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
        run,
        field,
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
        field: row.get("field")?,
        name: None,
    })
}

impl Store {
    /// Salesforce records of an object that are parked with one of these codes.
    pub fn parked_with(&self, object: &str, codes: &[&str]) -> anyhow::Result<Vec<RecordId>> {
        self.read(|c| {
            let mut statement =
                c.prepare_cached("SELECT id, code FROM quarantine WHERE object = ?1 AND side = 'salesforce' ORDER BY id")?;
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
    pub fn park(&self, run: i64, object: &str, parked: &[ToPark], now: DateTime<Utc>) -> anyhow::Result<()> {
        if parked.is_empty() {
            return Ok(());
        }
        self.write(|tx| {
            for row in parked.iter().filter(|_| !seeded!(ParkedUnseen)) {
                park(tx, run, object, row, now)?;
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
            c.prepare_cached("SELECT * FROM quarantine ORDER BY since DESC, object, id LIMIT ?1")?.query_map([limit], row_from)?.collect()
        })
    }

    pub fn quarantine_count(&self) -> anyhow::Result<u64> {
        self.read(|c| c.one("SELECT count(*) FROM quarantine", [], |r| r.get(0)).map(count))
    }

    /// Tries everything in quarantine (of one object, or of all) again in the next run.
    pub fn wake_quarantine(&self, object: Option<&str>, id: Option<&str>) -> anyhow::Result<usize> {
        self.write(|tx| {
            Ok(tx.run(
                "UPDATE quarantine SET next_try_at = since WHERE (?1 IS NULL OR object = ?1) AND (?2 IS NULL OR id = ?2)",
                params![object, id],
            )?)
        })
    }

    /// Parked records that wait for their time, after this one.
    pub fn backing_off(
        &self,
        object: &str,
        after: Option<(Side, &str)>,
        limit: u32,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Vec<ParkedRecord>> {
        let (side, id) = after.map_or(("", ""), |(side, id)| (side.as_str(), id));
        self.read(|c| {
            c.prepare_cached(
                "SELECT side, id, parents FROM quarantine WHERE object = ?1 AND (side, id) > (?2, ?3) AND next_try_at > ?4 ORDER BY side, id LIMIT ?5",
            )?
            .query_map(params![object, side, id, stamp(now), limit], |r| {
                Ok(ParkedRecord {
                    side: Side::parse(&r.get::<_, String>(0)?).unwrap_or(Side::Platform),
                    id: RecordId::from(r.get::<_, String>(1)?),
                    parents: r.get(2)?,
                })
            })?
            .collect()
        })
    }

    /// True if anything of an object was read, linked or written from this run on.
    pub fn stirred_since(&self, object: &str, run: i64) -> anyhow::Result<bool> {
        self.read(|c| {
            c.one(
                "SELECT EXISTS (SELECT 1 FROM run_object WHERE run_id >= ?2 AND object = ?1 AND news > 0)
                   OR EXISTS (SELECT 1 FROM intent WHERE run_id >= ?2 AND object = ?1 AND state = 'done')
                   OR EXISTS (SELECT 1 FROM link WHERE object = ?1 AND run_id >= ?2)",
                params![object, run],
                |r| r.get(0),
            )
        })
    }

    /// How the records a parked one refers to stand: linked or not, parked or not, and what each side showed last. Any
    /// change of it changes the number.
    pub fn fingerprint_of(&self, wanted: &Sides<BTreeSet<(String, String)>>) -> anyhow::Result<i64> {
        self.read(|c| {
            let mut told = String::new();
            for side in Side::BOTH {
                for (object, id) in &wanted[side] {
                    let link = super::links::link_by(c, object, side, id)?;
                    let bases: Vec<i64> = match &link {
                        Some(link) => c
                            .prepare_cached("SELECT hash FROM base WHERE link_id = ?1 ORDER BY side")?
                            .query_map([link.id], |r| r.get(0))?
                            .collect::<Result<_, _>>()?,
                        None => Vec::new(),
                    };
                    let news: Option<i64> = c
                        .prepare_cached("SELECT hash FROM staged WHERE object = ?1 AND side = ?2 AND id = ?3")?
                        .query_row(params![object, side.as_str(), id], |r| r.get(0))
                        .optional()?;
                    let parked: bool = c
                        .prepare_cached("SELECT EXISTS (SELECT 1 FROM quarantine WHERE object = ?1 AND side = ?2 AND id = ?3)")?
                        .query_row(params![object, side.as_str(), id], |r| r.get(0))?;
                    let link = link.map(|l| (l.id, l.state));
                    told.push_str(&format!("{object} {side} {id} {link:?} {bases:?} {news:?} {parked};"));
                }
            }
            Ok(crate::record::fields_hash(&told))
        })
    }

    /// Remembers how a parked record's parents stand; `wake` also tries it again at once.
    pub fn note_parents(&self, object: &str, noted: &[(ParkedRecord, bool)]) -> anyhow::Result<()> {
        if noted.is_empty() {
            return Ok(());
        }
        self.write(|tx| {
            for (row, wake) in noted {
                tx.prepare_cached(
                    "UPDATE quarantine SET parents = ?4, next_try_at = CASE WHEN ?5 THEN since ELSE next_try_at END
                     WHERE object = ?1 AND side = ?2 AND id = ?3",
                )?
                .execute(params![object, row.side.as_str(), row.id.as_str(), row.parents, wake])?;
            }
            Ok(())
        })
    }

    /// One record with its partner, by the id of either, linked or not.
    pub fn pair_of_record(&self, object: &str, side: Side, id: &str) -> anyhow::Result<Option<super::PairRead>> {
        let link = self.link(object, side, id)?;
        if let Some(link) = link {
            return self.pair_of_link(link.id);
        }
        let row = self.read(|c| super::pairs::staged(c, object, side, id))?;
        Ok(row.map(|row| {
            let mut staged = Sides::default();
            staged[side] = Some(row);
            super::PairRead { link: None, base: Sides::default(), staged }
        }))
    }

    /// Rows whose record is settled or gone are no longer anybody's business.
    pub fn sweep_quarantine(&self, object: &str) -> anyhow::Result<()> {
        self.write(|tx| {
            tx.run(
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
