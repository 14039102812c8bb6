//! A census under way: ids and stamps of a side compared with what is remembered, how far it came, and what it counted.

use super::Cached;
use super::{
    Store,
    links::{count, id_column, link_by},
    stamp,
};
use crate::record::{RecordId, Side};
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};

/// One record as a census sees it: no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub id: RecordId,
    /// `None` where the side keeps no stamps.
    pub stamp: Option<String>,
    /// A fingerprint of what hangs on the record without moving its stamp.
    pub parts: Option<i64>,
}

/// What the censuses of one run add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct CensusCounts {
    /// Ids that were compared.
    pub listed: u64,
    /// Of these, unknown or moved since they were last shown: read whole.
    pub reread: u64,
    /// Linked records that were not listed.
    pub missing: u64,
    /// Of these, not found by id either, twice, and not reported as deleted: purged long ago, or hidden from our user.
    pub unseen: u64,
}

/// A linked record of which nobody can tell whether it still exists.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Unseen {
    pub object: String,
    pub side: String,
    pub id: String,
    pub since: String,
    pub looked_at: String,
    pub reason: String,
}

impl Store {
    /// Where the listing of an object goes on; a census that was not begun yet begins here.
    pub fn census_after(&self, run: i64, object: &str, side: Side, now: DateTime<Utc>) -> anyhow::Result<String> {
        let known = self.read(|c| {
            c.one("SELECT after FROM census WHERE object = ?1 AND side = ?2", params![object, side.as_str()], |r| r.get(0)).optional()
        })?;
        if let Some(after) = known {
            return Ok(after);
        }
        self.begin_sweep(object, side)?;
        self.write(|tx| {
            tx.run(
                "INSERT INTO census (object, side, after, begun_at, run_id) VALUES (?1, ?2, '', ?3, ?4)",
                params![object, side.as_str(), stamp(now), run],
            )?;
            Ok(String::new())
        })
    }

    /// True if this object's part of the census that is under way is through.
    pub fn census_ended(&self, object: &str, side: Side) -> anyhow::Result<bool> {
        self.read(|c| {
            c.one("SELECT ended FROM census WHERE object = ?1 AND side = ?2", params![object, side.as_str()], |r| r.get(0)).optional()
        })
        .map(|ended| ended.unwrap_or(false))
    }

    /// Of these, the ones whose present state the memory has not seen: no link and no news, or another stamp.
    pub fn not_as_remembered(&self, object: &str, side: Side, rows: &[Seen]) -> anyhow::Result<Vec<RecordId>> {
        self.read(|c| {
            let mut news = c.prepare_cached("SELECT stamp FROM staged WHERE object = ?1 AND side = ?2 AND id = ?3 AND life = 'live'")?;
            let mut base = c.prepare_cached("SELECT stamp, parts FROM base WHERE link_id = ?1 AND side = ?2")?;
            let mut moved = Vec::new();
            for row in rows {
                let id = row.id.as_str();
                let staged: Option<Option<String>> = news.query_row(params![object, side.as_str(), id], |r| r.get(0)).optional()?;
                if staged.as_ref().is_some_and(|stamp| row.stamp.is_none() || *stamp == row.stamp) {
                    continue;
                }
                let shown: Option<(Option<String>, Option<i64>)> = match (link_by(c, object, side, id)?, &staged) {
                    // Its news is what was shown last.
                    (_, Some(_)) | (None, None) => None,
                    (Some(link), None) => base.query_row(params![link.id, side.as_str()], |r| Ok((r.get(0)?, r.get(1)?))).optional()?,
                };
                let same = shown.is_some_and(|(stamp, parts)| {
                    (row.stamp.is_none() || stamp == row.stamp) && (row.parts.is_none() || parts == row.parts)
                });
                if !same {
                    moved.push(row.id.clone());
                }
            }
            Ok(moved)
        })
    }

    /// A page is through: its ids were seen, what had moved is staged, and the listing goes on after `last`.
    pub fn census_step(&self, run: i64, object: &str, side: Side, rows: &[Seen], reread: u64, last: Option<&str>) -> anyhow::Result<()> {
        let link = format!(
            "UPDATE base SET parts = ?4 WHERE side = ?2 AND parts IS NOT ?4
             AND link_id = (SELECT id FROM link WHERE object = ?1 AND {} = ?3)",
            id_column(side)
        );
        let n = |v: u64| i64::try_from(v).unwrap_or(i64::MAX);
        self.write(|tx| {
            for row in rows {
                let id = row.id.as_str();
                tx.prepare_cached("INSERT OR IGNORE INTO sweep_seen VALUES (?1, ?2, ?3)")?.execute(params![object, side.as_str(), id])?;
                if let Some(parts) = row.parts {
                    tx.prepare_cached(&link)?.execute(params![object, side.as_str(), id, parts])?;
                }
            }
            if let Some(last) = last {
                tx.run("UPDATE census SET after = ?3 WHERE object = ?1 AND side = ?2", params![object, side.as_str(), last])?;
            }
            tx.run(
                "INSERT INTO run_object (run_id, object, side, listed, reread) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET listed = listed + excluded.listed, reread = reread + excluded.reread",
                params![run, object, side.as_str(), n(rows.len() as u64), n(reread)],
            )?;
            Ok(())
        })
    }

    /// What was missing from this object's listing was looked at.
    pub fn end_census_of(&self, object: &str, side: Side) -> anyhow::Result<()> {
        self.write(|tx| {
            tx.run("UPDATE census SET ended = 1 WHERE object = ?1 AND side = ?2", params![object, side.as_str()])?;
            Ok(())
        })
    }

    /// The listing of this object counts for nothing; the next census begins it anew.
    pub fn drop_census_of(&self, object: &str, side: Side) -> anyhow::Result<()> {
        self.begin_sweep(object, side)
    }

    /// All objects are through: the next census begins from the start.
    pub fn end_census(&self, now: DateTime<Utc>) -> anyhow::Result<()> {
        self.write(|tx| {
            tx.run("DELETE FROM census", [])?;
            tx.run("INSERT INTO meta VALUES ('census:at', ?1) ON CONFLICT (key) DO UPDATE SET value = excluded.value", [stamp(now)])?;
            Ok(())
        })
    }

    /// When the last census ended.
    pub fn last_census(&self) -> anyhow::Result<Option<String>> {
        self.meta("census:at")
    }

    /// Suspects that this run missed for the first time.
    pub fn fresh_suspects(&self, run: i64, object: &str, side: Side) -> anyhow::Result<Vec<RecordId>> {
        self.read(|c| {
            c.prepare_cached("SELECT id FROM suspect WHERE object = ?1 AND side = ?2 AND run_id = ?3 ORDER BY id")?
                .query_map(params![object, side.as_str(), run], |r| r.get::<_, String>(0).map(RecordId::from))?
                .collect()
        })
    }

    /// Remembers, by name, what cannot be seen and is not proved gone. Rows of records that came back go.
    pub fn note_unseen(
        &self,
        run: i64,
        object: &str,
        side: Side,
        ids: &[RecordId],
        reason: &str,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        self.write(|tx| {
            for id in ids {
                tx.prepare_cached(
                    "INSERT INTO missing (object, side, id, since, looked_at, reason, run_id) VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6)
                     ON CONFLICT DO UPDATE SET looked_at = excluded.looked_at, reason = excluded.reason, run_id = excluded.run_id",
                )?
                .execute(params![object, side.as_str(), id.as_str(), stamp(now), reason, run])?;
            }
            tx.run(
                "DELETE FROM missing WHERE object = ?1 AND side = ?2 AND NOT EXISTS
                   (SELECT 1 FROM suspect s WHERE s.object = missing.object AND s.side = missing.side AND s.id = missing.id)",
                params![object, side.as_str()],
            )?;
            Ok(())
        })
    }

    pub fn unseen_count(&self, object: &str, side: Side) -> anyhow::Result<u64> {
        self.read(|c| {
            c.one("SELECT count(*) FROM unseen WHERE object = ?1 AND side = ?2", params![object, side.as_str()], |r| r.get(0)).map(count)
        })
    }

    pub fn unseen(&self, limit: u32) -> anyhow::Result<Vec<Unseen>> {
        self.read(|c| {
            c.prepare_cached("SELECT object, side, id, since, looked_at, reason FROM unseen ORDER BY since, object, id LIMIT ?1")?
                .query_map([limit], |r| {
                    Ok(Unseen {
                        object: r.get(0)?,
                        side: r.get(1)?,
                        id: r.get(2)?,
                        since: r.get(3)?,
                        looked_at: r.get(4)?,
                        reason: r.get(5)?,
                    })
                })?
                .collect()
        })
    }

    /// Counts what one look at the absent came to.
    pub fn note_absent(&self, run: i64, object: &str, side: Side, missing: u64, unseen: u64) -> anyhow::Result<()> {
        let n = |v: u64| i64::try_from(v).unwrap_or(i64::MAX);
        self.write(|tx| {
            tx.run(
                "INSERT INTO run_object (run_id, object, side, missing, unseen) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET missing = excluded.missing, unseen = excluded.unseen",
                params![run, object, side.as_str(), n(missing), n(unseen)],
            )?;
            Ok(())
        })
    }

    pub fn census_counts(&self, run: i64) -> anyhow::Result<CensusCounts> {
        self.read(|c| {
            c.one(
                "SELECT coalesce(sum(listed), 0), coalesce(sum(reread), 0), coalesce(sum(missing), 0), coalesce(sum(unseen), 0)
                 FROM run_object WHERE run_id = ?1",
                [run],
                |r| {
                    Ok(CensusCounts {
                        listed: count(r.get(0)?),
                        reread: count(r.get(1)?),
                        missing: count(r.get(2)?),
                        unseen: count(r.get(3)?),
                    })
                },
            )
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::record::{Fields, Record, Value};

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn seen(id: &str, stamp: &str) -> Seen {
        Seen { id: RecordId::from(id), stamp: Some(stamp.to_owned()), parts: None }
    }

    fn stage(store: &Store, run: i64, id: &str, stamp: &str, name: &str) {
        let mut record = Record::live(id, Fields::from([("Name".to_owned(), Value::text(name))]));
        record.stamp = Some(stamp.to_owned());
        store.stage(run, "account", Side::Salesforce, &[record], false, &|_| Vec::new()).unwrap();
    }

    #[test]
    fn what_was_shown_under_this_stamp_is_known_and_nothing_else() {
        let store = Store::in_memory().unwrap();
        let run = store.start_run("census", "test", now()).unwrap();
        stage(&store, run, "A", "2026-01-01T00:00:00Z", "a");
        let rows = [seen("A", "2026-01-01T00:00:00Z"), seen("B", "2026-01-01T00:00:00Z")];
        assert_eq!(store.not_as_remembered("account", Side::Salesforce, &rows).unwrap(), [RecordId::from("B")]);
        let moved = [seen("A", "2025-12-31T00:00:00Z")];
        assert_eq!(store.not_as_remembered("account", Side::Salesforce, &moved).unwrap().len(), 1, "older than what is known, but other");
        // Read again under the new stamp, with the same values: known from now on.
        stage(&store, run, "A", "2025-12-31T00:00:00Z", "a");
        assert!(store.not_as_remembered("account", Side::Salesforce, &moved).unwrap().is_empty());
    }

    #[test]
    fn a_census_goes_on_where_it_broke_off_and_what_comes_meanwhile_counts_as_seen() {
        let store = Store::in_memory().unwrap();
        let run = store.start_run("census", "test", now()).unwrap();
        assert_eq!(store.census_after(run, "account", Side::Salesforce, now()).unwrap(), "");
        store.census_step(run, "account", Side::Salesforce, &[seen("C", "x")], 0, Some("C")).unwrap();
        let next = store.start_run("census", "test", now()).unwrap();
        stage(&store, next, "B", "y", "came while the census was broken off");
        assert_eq!(store.census_after(next, "account", Side::Salesforce, now()).unwrap(), "C");
        assert_eq!(store.seen_in_sweep("account", Side::Salesforce).unwrap(), 2);
        store.end_census_of("account", Side::Salesforce).unwrap();
        assert!(store.census_ended("account", Side::Salesforce).unwrap());
        store.end_census(now()).unwrap();
        assert_eq!(store.census_after(next, "account", Side::Salesforce, now()).unwrap(), "");
        assert!(store.last_census().unwrap().is_some());
    }
}
