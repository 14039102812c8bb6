//! Staging: what a side showed, kept until it is settled. Re-reads of what the base already holds cost nothing.

use super::Cached;
use super::{
    Store,
    links::{base_of, count, link_by},
    stamp,
};
use crate::record::{Fields, Life, Record, RecordId, Side, fields_hash, fields_json};
use crate::seeded::seeded;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::BTreeSet;

/// What came of one page.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Staged {
    pub read: u64,
    pub news: u64,
}

/// How much of an object is staged without a link.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct StagedCounts {
    pub salesforce: u64,
    pub platform: u64,
}

const fn life_word(life: &Life) -> &'static str {
    match life {
        Life::Live => "live",
        Life::Deleted => "deleted",
        Life::MergedInto(_) => "merged",
    }
}

impl Store {
    /// Stages a page in one commit. `keys(record)` gives the match keys of a platform record by ordinal, 0 being the
    /// planted id. `sweeping` also notes every live id as seen.
    pub fn stage(
        &self,
        run: i64,
        object: &str,
        side: Side,
        records: &[Record],
        sweeping: bool,
        keys: &dyn Fn(&Record) -> Vec<(i64, String)>,
    ) -> anyhow::Result<Staged> {
        // In key order: the tables are clustered by id.
        let mut order: Vec<&Record> = records.iter().collect();
        order.sort_by(|a, b| a.id.cmp(&b.id));
        self.write(|tx| {
            let mut done = Staged { read: order.len() as u64, news: 0 };
            // What comes while a census is under way was seen by it, on whichever side of its place the id lies.
            let counted = sweeping
                || tx
                    .prepare_cached("SELECT EXISTS (SELECT 1 FROM census WHERE object = ?1 AND side = ?2 AND NOT ended)")?
                    .query_row(params![object, side.as_str()], |r| r.get(0))?;
            for record in order {
                if counted && record.life == Life::Live {
                    tx.prepare_cached("INSERT OR IGNORE INTO sweep_seen VALUES (?1, ?2, ?3)")?.execute(params![
                        object,
                        side.as_str(),
                        record.id.as_str()
                    ])?;
                }
                if stage_one(tx, run, object, side, record, keys)? {
                    done.news += 1;
                }
            }
            tx.prepare_cached(
                "INSERT INTO run_object (run_id, object, side, read, news) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET read = read + excluded.read, news = news + excluded.news",
            )?
            .execute(params![run, object, side.as_str(), as_i64(done.read), as_i64(done.news)])?;
            Ok(done)
        })
    }

    /// Remembers how far a side was read. Only ever called after every page before it is staged.
    pub fn move_watermark(&self, object: &str, side: Side, value: Option<&str>, swept: bool, now: DateTime<Utc>) -> anyhow::Result<()> {
        self.write(|tx| {
            tx.run(
                "INSERT INTO watermark (object, side, value, swept_at, moved_at) VALUES (?1, ?2, ?3, CASE WHEN ?4 THEN ?5 END, ?5)
                 ON CONFLICT DO UPDATE SET value = coalesce(excluded.value, value), swept_at = coalesce(excluded.swept_at, swept_at), moved_at = excluded.moved_at",
                params![object, side.as_str(), value, swept, stamp(now)],
            )?;
            Ok(())
        })
    }

    /// The watermark and when the side was last swept whole.
    pub fn watermark(&self, object: &str, side: Side) -> anyhow::Result<(Option<String>, Option<String>)> {
        Ok(self
            .read(|c| {
                c.one("SELECT value, swept_at FROM watermark WHERE object = ?1 AND side = ?2", params![object, side.as_str()], |r| {
                    Ok((r.get(0)?, r.get(1)?))
                })
                .optional()
            })?
            .unwrap_or_default())
    }

    pub fn unlinked(&self, object: &str) -> anyhow::Result<StagedCounts> {
        self.read(|c| {
            let one = |side: Side| {
                let sql = format!(
                    "SELECT count(*) FROM staged s WHERE s.object = ?1 AND s.side = ?2 AND s.life = 'live'
                     AND NOT EXISTS (SELECT 1 FROM link l WHERE l.object = s.object AND l.{} = s.id)",
                    super::links::id_column(side)
                );
                c.one(&sql, params![object, side.as_str()], |r| r.get(0)).map(count)
            };
            Ok(StagedCounts { salesforce: one(Side::Salesforce)?, platform: one(Side::Platform)? })
        })
    }

    /// What waits for its parent is planned again.
    pub fn wake_waiting(&self, object: &str) -> anyhow::Result<()> {
        self.write(|tx| {
            tx.run("UPDATE staged SET dirty = 1 WHERE object = ?1 AND dirty = 2", [object])?;
            Ok(())
        })
    }

    /// How many records wait for their parent.
    pub fn waiting(&self, object: &str) -> anyhow::Result<u64> {
        self.read(|c| c.one("SELECT count(*) FROM staged WHERE object = ?1 AND dirty = 2", [object], |r| r.get(0)).map(count))
    }

    /// Salesforce records without a partner are looked at again: the platform showed something new.
    pub fn wake_unmatched(&self, object: &str, now: DateTime<Utc>) -> anyhow::Result<()> {
        self.write(|tx| {
            if !seeded!(ClaimForgotten) {
                // Several that want one record are asked again with it: looked at alone, it would pass for new.
                tx.run(
                    "UPDATE quarantine SET next_try_at = since WHERE object = ?1 AND side = 'salesforce' AND code = 'ambiguous' AND next_try_at > ?2
                     AND EXISTS (SELECT 1 FROM staged s WHERE s.object = ?1 AND s.side = 'platform' AND s.dirty = 1 AND NOT EXISTS
                       (SELECT 1 FROM quarantine q WHERE q.object = s.object AND q.side = s.side AND q.id = s.id AND q.hash = s.hash AND q.next_try_at > ?2))",
                    params![object, stamp(now)],
                )?;
            }
            tx.run(
                "UPDATE staged SET dirty = 1 WHERE object = ?1 AND side = 'salesforce' AND dirty = 0
                 AND situation IN ('new-in-salesforce', 'before-provision-from')",
                [object],
            )?;
            Ok(())
        })
    }

    /// Unlinked Salesforce records that a linked one was merged into: the link moves to them, so they are not made anew.
    pub fn awaited_survivors(&self, object: &str) -> anyhow::Result<BTreeSet<RecordId>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT s.merged_into FROM staged s JOIN link l ON l.object = s.object AND l.salesforce_id = s.id
                 WHERE s.object = ?1 AND s.side = 'salesforce' AND s.dirty = 1 AND s.life = 'merged' AND s.merged_into IS NOT NULL",
            )?
            .query_map([object], |r| r.get::<_, String>(0).map(RecordId::from))?
            .collect()
        })
    }

    /// True if a side showed something that is not planned yet.
    pub fn has_news(&self, object: &str, side: Side) -> anyhow::Result<bool> {
        self.read(|c| {
            c.one(
                "SELECT EXISTS (SELECT 1 FROM staged WHERE object = ?1 AND side = ?2 AND dirty = 1)",
                params![object, side.as_str()],
                |r| r.get(0),
            )
        })
    }

    /// Everything staged is planned again: the rules changed, or a re-sync was asked for.
    pub fn wake_all(&self, object: &str) -> anyhow::Result<()> {
        self.write(|tx| {
            tx.run("UPDATE staged SET dirty = 1 WHERE object = ?1", [object])?;
            Ok(())
        })
    }

    /// Looked at and left: the row stays, named by its situation, until something about it changes.
    pub fn leave(&self, object: &str, left: &[(Side, RecordId, &'static str, bool)]) -> anyhow::Result<()> {
        self.write(|tx| {
            for (side, id, situation, waits) in left {
                tx.prepare_cached("UPDATE staged SET dirty = ?4, situation = ?5 WHERE object = ?1 AND side = ?2 AND id = ?3")?
                    .execute(params![object, side.as_str(), id.as_str(), if *waits { 2 } else { 0 }, situation])?;
            }
            Ok(())
        })
    }

    pub fn staged_fields(&self, object: &str, side: Side, id: &str) -> anyhow::Result<Option<Fields>> {
        self.read(|c| {
            c.one("SELECT fields FROM staged WHERE object = ?1 AND side = ?2 AND id = ?3", params![object, side.as_str(), id], |r| {
                r.get::<_, String>(0)
            })
            .optional()
        })
        .map(|json| json.and_then(|j| crate::record::fields_parse(&j).ok()))
    }

    /// How many unlinked rows lie in each situation, for `status`.
    pub fn situations(&self) -> anyhow::Result<Vec<(String, String, String, u64)>> {
        self.read(|c| {
            c.prepare_cached("SELECT object, side, coalesce(situation, 'news'), count(*) FROM staged GROUP BY 1, 2, 3 ORDER BY 1, 2, 3")?
                .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, count(r.get(3)?))))?
                .collect()
        })
    }

    pub fn begin_sweep(&self, object: &str, side: Side) -> anyhow::Result<()> {
        self.write(|tx| {
            tx.run("DELETE FROM sweep_seen WHERE object = ?1 AND side = ?2", params![object, side.as_str()])?;
            tx.run("DELETE FROM census WHERE object = ?1 AND side = ?2", params![object, side.as_str()])?;
            Ok(())
        })
    }

    pub fn seen_in_sweep(&self, object: &str, side: Side) -> anyhow::Result<u64> {
        self.read(|c| {
            c.one("SELECT count(*) FROM sweep_seen WHERE object = ?1 AND side = ?2", params![object, side.as_str()], |r| r.get(0))
                .map(count)
        })
    }

    /// After a complete sweep: linked records that were not in it are suspects, those that were are cleared, and
    /// unlinked rows that were not in it are forgotten. Answers suspects first missed in an earlier run, at or before
    /// `missed_before`: time for a second look.
    pub fn end_sweep(
        &self,
        run: i64,
        object: &str,
        side: Side,
        now: DateTime<Utc>,
        missed_before: DateTime<Utc>,
    ) -> anyhow::Result<Vec<RecordId>> {
        let id = super::links::id_column(side);
        self.write(|tx| {
            let named = params![object, side.as_str()];
            tx.run(
                &format!(
                    "INSERT OR IGNORE INTO suspect SELECT l.object, ?2, l.{id}, ?3, ?4 FROM link l WHERE l.object = ?1 AND l.state = 'live'
                     AND NOT EXISTS (SELECT 1 FROM sweep_seen s WHERE s.object = ?1 AND s.side = ?2 AND s.id = l.{id})"
                ),
                params![object, side.as_str(), stamp(now), run],
            )?;
            tx.run(
                "DELETE FROM suspect WHERE object = ?1 AND side = ?2 AND id IN (SELECT id FROM sweep_seen WHERE object = ?1 AND side = ?2)",
                named,
            )?;
            let stale = format!(
                "FROM staged WHERE object = ?1 AND side = ?2 AND life = 'live'
                 AND NOT EXISTS (SELECT 1 FROM sweep_seen s WHERE s.object = ?1 AND s.side = ?2 AND s.id = staged.id)
                 AND NOT EXISTS (SELECT 1 FROM link l WHERE l.object = ?1 AND l.{id} = staged.id)"
            );
            if side == Side::Platform {
                tx.run(&format!("DELETE FROM staged_key WHERE object = ?1 AND id IN (SELECT id {stale}) AND ?2 = ?2"), named)?;
            }
            tx.run(&format!("DELETE {stale}"), named)?;
            tx.run("DELETE FROM sweep_seen WHERE object = ?1 AND side = ?2", named)?;
            let mut second_look = tx
                .prepare_cached("SELECT id FROM suspect WHERE object = ?1 AND side = ?2 AND run_id < ?3 AND missed_at <= ?4 ORDER BY id")?;
            let ids = second_look
                .query_map(params![object, side.as_str(), run, stamp(missed_before)], |r| r.get::<_, String>(0))?
                .map(|id| id.map(RecordId::from))
                .collect::<Result<_, _>>()?;
            Ok(ids)
        })
    }

    pub fn suspects(&self, object: &str, side: Side) -> anyhow::Result<u64> {
        self.read(|c| {
            c.one("SELECT count(*) FROM suspect WHERE object = ?1 AND side = ?2", params![object, side.as_str()], |r| r.get(0)).map(count)
        })
    }

    pub fn clear_suspect(&self, object: &str, side: Side, id: &RecordId) -> anyhow::Result<()> {
        self.write(|tx| {
            tx.run("DELETE FROM suspect WHERE object = ?1 AND side = ?2 AND id = ?3", params![object, side.as_str(), id.as_str()])?;
            tx.run("DELETE FROM missing WHERE object = ?1 AND side = ?2 AND id = ?3", params![object, side.as_str(), id.as_str()])?;
            Ok(())
        })
    }
}

fn as_i64(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// True if the record is news.
fn stage_one(
    tx: &Transaction<'_>,
    run: i64,
    object: &str,
    side: Side,
    record: &Record,
    keys: &dyn Fn(&Record) -> Vec<(i64, String)>,
) -> anyhow::Result<bool> {
    let id = record.id.as_str();
    let link = link_by(tx, object, side, id)?;
    let json = fields_json(&record.fields);
    let hash = fields_hash(&json);
    let living = record.life == Life::Live;
    if let Some(link) = &link {
        let known = base_hash(tx, link.id, side)?;
        // On the side that is left of a tombstone, a row as the base holds it is no news either; on the other it came back.
        let expected = match link.state {
            super::LinkState::Live => true,
            super::LinkState::Buried => side == Side::Salesforce,
            super::LinkState::DeletedInSalesforce => side == Side::Platform,
        };
        if living && expected && known.as_ref().is_some_and(|known| known.hash == hash) {
            // S15: what was written without an answer is now seen to be held.
            if known.is_some_and(|known| known.unconfirmed || known.stamp != record.stamp) {
                tx.prepare_cached("UPDATE base SET stamp = ?3, unconfirmed = 0 WHERE link_id = ?1 AND side = ?2")?.execute(params![
                    link.id,
                    side.as_str(),
                    record.stamp
                ])?;
            }
            if forget(tx, object, side, id)? {
                // An edit was taken back: what its partner showed against it is looked at again.
                tx.prepare_cached("UPDATE staged SET dirty = 1 WHERE object = ?1 AND side = ?2 AND id = ?3 AND dirty = 0")?
                    .execute(params![object, side.other().as_str(), link.id_on(side.other()).as_str()])?;
            }
            return Ok(false);
        }
    } else if !living && !promised(tx, object, side, id)? {
        // Gone before it was ever linked: nothing of ours hangs on it.
        forget(tx, object, side, id)?;
        return Ok(false);
    }
    let merged = match &record.life {
        Life::MergedInto(winner) => Some(winner.as_str()),
        Life::Live | Life::Deleted => None,
    };
    let before: Option<(i64, String)> = tx
        .prepare_cached("SELECT hash, life FROM staged WHERE object = ?1 AND side = ?2 AND id = ?3")?
        .query_row(params![object, side.as_str(), id], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    if seeded!(StampDecides) && link.is_some() && living {
        let newest: Option<String> = tx.one("SELECT value FROM meta WHERE key = 'newest:' || ?1", [id], |r| r.get(0)).optional()?;
        if newest.as_deref() >= record.stamp.as_deref() {
            return Ok(false);
        }
        tx.run("INSERT OR REPLACE INTO meta VALUES ('newest:' || ?1, coalesce(?2, ''))", params![id, record.stamp])?;
    }
    if before.as_ref().is_some_and(|(h, l)| *h == hash && l == life_word(&record.life)) {
        tx.prepare_cached("UPDATE staged SET stamp = ?4 WHERE object = ?1 AND side = ?2 AND id = ?3 AND stamp IS NOT ?4")?
            .execute(params![object, side.as_str(), id, record.stamp])?;
        return Ok(false);
    }
    tx.prepare_cached(
        "INSERT INTO staged (object, side, id, fields, hash, stamp, life, merged_into, dirty, run_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9)
         ON CONFLICT DO UPDATE SET fields = excluded.fields, hash = excluded.hash, stamp = excluded.stamp, life = excluded.life,
           merged_into = excluded.merged_into, dirty = 1, situation = NULL, run_id = excluded.run_id",
    )?
    .execute(params![object, side.as_str(), id, json, hash, record.stamp, life_word(&record.life), merged, run])?;
    if side == Side::Platform && link.is_none() {
        tx.prepare_cached("DELETE FROM staged_key WHERE object = ?1 AND id = ?2")?.execute(params![object, id])?;
        for (ordinal, key) in keys(record) {
            tx.prepare_cached("INSERT OR IGNORE INTO staged_key VALUES (?1, ?2, ?3, ?4)")?.execute(params![object, ordinal, key, id])?;
        }
    }
    Ok(true)
}

/// A create for this record was promised and is not settled: it may yet turn out to be linked.
fn promised(c: &Connection, object: &str, side: Side, id: &str) -> rusqlite::Result<bool> {
    let column = super::links::id_column(side);
    c.prepare_cached(&format!(
        "SELECT EXISTS (SELECT 1 FROM intent WHERE {column} = ?2 AND object = ?1 AND verb = 'create' AND state IN ('promised', 'unknown'))"
    ))?
    .query_row(params![object, id], |r| r.get(0))
}

/// What a base is known by.
struct Known {
    hash: i64,
    /// Under which it was shown.
    stamp: Option<String>,
    /// It is only what was sent there.
    unconfirmed: bool,
}

fn base_hash(c: &Connection, link: i64, side: Side) -> rusqlite::Result<Option<Known>> {
    c.prepare_cached("SELECT hash, stamp, unconfirmed FROM base WHERE link_id = ?1 AND side = ?2")?
        .query_row(params![link, side.as_str()], |r| Ok(Known { hash: r.get(0)?, stamp: r.get(1)?, unconfirmed: r.get(2)? }))
        .optional()
}

/// Drops the news of a record and its match keys. True if there was any news.
pub(super) fn forget(tx: &Connection, object: &str, side: Side, id: &str) -> rusqlite::Result<bool> {
    let gone =
        tx.prepare_cached("DELETE FROM staged WHERE object = ?1 AND side = ?2 AND id = ?3")?.execute(params![object, side.as_str(), id])?;
    if side == Side::Platform {
        tx.prepare_cached("DELETE FROM staged_key WHERE object = ?1 AND id = ?2")?.execute(params![object, id])?;
    }
    Ok(gone > 0)
}

/// If the news of a linked record holds nothing that its base does not hold, it is settled: the base takes its
/// fingerprint and the row goes.
pub(super) fn consume(tx: &Connection, object: &str, side: Side, id: &str, link: i64) -> rusqlite::Result<bool> {
    let staged: Option<(String, i64, String, Option<String>)> = tx
        .prepare_cached("SELECT fields, hash, life, stamp FROM staged WHERE object = ?1 AND side = ?2 AND id = ?3")?
        .query_row(params![object, side.as_str(), id], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))
        .optional()?;
    let Some((json, hash, life, shown)) = staged else { return Ok(true) };
    let (Ok(fields), Some(base)) = (crate::record::fields_parse(&json), base_of(tx, link, side)?) else { return Ok(false) };
    if !seeded!(NewsSwallowed) && (life != "live" || fields.iter().any(|(name, value)| base.get(name) != Some(value))) {
        return Ok(false);
    }
    tx.prepare_cached("UPDATE base SET hash = ?3, stamp = ?4 WHERE link_id = ?1 AND side = ?2")?.execute(params![
        link,
        side.as_str(),
        hash,
        shown
    ])?;
    forget(tx, object, side, id)?;
    Ok(true)
}
