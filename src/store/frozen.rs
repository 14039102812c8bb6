//! Frozen fields: an entry of one link that no direction writes any more, because the side that was written came back with
//! something else each time. The row says who holds what; it stays until the two sides agree, the rules change, or a person
//! lets it go.

use super::Cached;
use super::{Store, links::count, stamp};
use crate::plan::Fought;
use crate::record::{Side, Sides, Value};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, Transaction, params};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct FrozenRow {
    pub object: String,
    pub link: i64,
    pub salesforce_id: String,
    pub platform_id: String,
    /// The entry of the mapping, as written in the rules.
    pub field: String,
    /// The side that would not keep what it was given.
    pub side: Side,
    /// What it was given, each time.
    pub wrote: Value,
    pub times: u64,
    /// What each side holds now.
    pub value: Sides<Value>,
    pub since: String,
    pub run: i64,
}

fn frozen_from(row: &Row<'_>) -> rusqlite::Result<FrozenRow> {
    let value = |name: &str| -> rusqlite::Result<Value> { Ok(serde_json::from_str(&row.get::<_, String>(name)?).unwrap_or(Value::Null)) };
    Ok(FrozenRow {
        object: row.get("object")?,
        link: row.get("link")?,
        salesforce_id: row.get("salesforce_id")?,
        platform_id: row.get("platform_id")?,
        field: row.get("field")?,
        side: Side::parse(&row.get::<_, String>("side")?).unwrap_or(Side::Platform),
        wrote: value("wrote")?,
        times: count(row.get("times")?),
        value: Sides::new(value("value_salesforce")?, value("value_platform")?),
        since: row.get("since")?,
        run: row.get("run")?,
    })
}

pub(super) fn of_link(c: &Connection, link: i64) -> rusqlite::Result<Vec<FrozenRow>> {
    c.prepare_cached("SELECT * FROM frozen_fields WHERE link = ?1 ORDER BY field")?.query_map([link], frozen_from)?.collect()
}

/// Their records are planned again.
fn stir(tx: &Transaction<'_>, links: &BTreeSet<i64>) -> rusqlite::Result<()> {
    for link in links {
        for (side, column) in [("salesforce", "salesforce_id"), ("platform", "platform_id")] {
            tx.prepare_cached(&format!(
                "UPDATE staged SET dirty = 1 WHERE side = '{side}' AND dirty = 0 AND (object, id) = (SELECT object, {column} FROM link WHERE id = ?1)"
            ))?
            .execute([link])?;
        }
    }
    Ok(())
}

const RELEASE: &str = "released_at = ?1, released_by = ?2, after_intent = (SELECT coalesce(max(id), 0) FROM intent)";

impl Store {
    /// What is frozen, newest first.
    pub fn frozen(&self, limit: u32) -> anyhow::Result<Vec<FrozenRow>> {
        self.read(|c| {
            c.prepare_cached("SELECT * FROM frozen_fields ORDER BY since DESC, object, link, field LIMIT ?1")?
                .query_map([limit], frozen_from)?
                .collect()
        })
    }

    pub fn frozen_count(&self) -> anyhow::Result<u64> {
        self.read(|c| c.one("SELECT count(*) FROM frozen_fields", [], |r| r.get(0)).map(count))
    }

    /// By link the entries of an object that are frozen now.
    pub fn frozen_entries(&self, object: &str) -> anyhow::Result<BTreeMap<i64, BTreeSet<String>>> {
        self.read(|c| {
            let mut by_link: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
            let mut statement = c.prepare_cached("SELECT link_id, entry FROM frozen WHERE object = ?1 AND released_at IS NULL")?;
            let mut rows = statement.query([object])?;
            while let Some(row) = rows.next()? {
                by_link.entry(row.get(0)?).or_default().insert(row.get(1)?);
            }
            Ok(by_link)
        })
    }

    /// By link and entry the last intent that is forgiven: what was written up to it does not count as a lap any more.
    pub fn forgiven(&self, object: &str) -> anyhow::Result<BTreeMap<i64, BTreeMap<String, i64>>> {
        self.read(|c| {
            let mut by_link: BTreeMap<i64, BTreeMap<String, i64>> = BTreeMap::new();
            let mut statement =
                c.prepare_cached("SELECT link_id, entry, after_intent FROM frozen WHERE object = ?1 AND released_at IS NOT NULL")?;
            let mut rows = statement.query([object])?;
            while let Some(row) = rows.next()? {
                by_link.entry(row.get(0)?).or_default().insert(row.get(1)?, row.get(2)?);
            }
            Ok(by_link)
        })
    }

    /// Freezes entries, or brings what their sides hold up to date; thaws those the two sides agree on again.
    pub fn freeze(
        &self,
        run: i64,
        object: &str,
        fought: &[(i64, Fought)],
        agreed: &[(i64, String)],
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        if fought.is_empty() && agreed.is_empty() {
            return Ok(());
        }
        let text = |v: &Value| serde_json::to_string(v);
        self.write(|tx| {
            for (link, one) in fought {
                tx.prepare_cached(
                    "INSERT INTO frozen (link_id, entry, object, side, wrote, times, value_salesforce, value_platform, since, run_id)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                     ON CONFLICT DO UPDATE SET value_salesforce = excluded.value_salesforce, value_platform = excluded.value_platform,
                       side = CASE WHEN released_at IS NULL THEN side ELSE excluded.side END,
                       wrote = CASE WHEN released_at IS NULL THEN wrote ELSE excluded.wrote END,
                       times = CASE WHEN released_at IS NULL THEN times ELSE excluded.times END,
                       since = CASE WHEN released_at IS NULL THEN since ELSE excluded.since END,
                       run_id = CASE WHEN released_at IS NULL THEN run_id ELSE excluded.run_id END,
                       released_at = NULL, released_by = NULL",
                )?
                .execute(params![
                    link,
                    one.entry,
                    object,
                    one.side.as_str(),
                    text(&one.wrote)?,
                    i64::from(one.times),
                    text(&one.value.salesforce)?,
                    text(&one.value.platform)?,
                    stamp(now),
                    run,
                ])?;
            }
            for (link, entry) in agreed {
                tx.prepare_cached(&format!("UPDATE frozen SET {RELEASE} WHERE link_id = ?3 AND entry = ?4 AND released_at IS NULL"))?
                    .execute(params![stamp(now), "agreed", link, entry])?;
            }
            Ok(())
        })
    }

    /// Frozen fields whose records show nothing new on either side: the edit was taken back, so the two sides agree.
    pub fn thaw_agreed(&self, object: &str, now: DateTime<Utc>) -> anyhow::Result<usize> {
        self.write(|tx| {
            Ok(tx.run(
                &format!(
                    "UPDATE frozen SET {RELEASE} WHERE object = ?3 AND released_at IS NULL AND NOT EXISTS
                       (SELECT 1 FROM link l JOIN staged s ON s.object = l.object
                          AND ((s.side = 'salesforce' AND s.id = l.salesforce_id) OR (s.side = 'platform' AND s.id = l.platform_id))
                        WHERE l.id = frozen.link_id)"
                ),
                params![stamp(now), "agreed", object],
            )?)
        })
    }

    /// Lets frozen fields go: all, of one object, or of one record by either id. They are compared again in the next run,
    /// and frozen anew only after as many laps as before. Answers how many.
    pub fn thaw(&self, object: Option<&str>, id: Option<&str>, by: &str, now: DateTime<Utc>) -> anyhow::Result<usize> {
        const CHOSEN: &str = "released_at IS NULL AND (?3 IS NULL OR object = ?3)
             AND (?4 IS NULL OR link_id IN (SELECT id FROM link WHERE salesforce_id = ?4 OR platform_id = ?4))";
        self.write(|tx| {
            let named = params![stamp(now), by, object, id];
            let links: BTreeSet<i64> = tx
                .prepare_cached(&format!("SELECT link_id FROM frozen WHERE {CHOSEN} AND ?1 IS NOT NULL AND ?2 IS NOT NULL"))?
                .query_map(named, |r| r.get(0))?
                .collect::<Result<_, _>>()?;
            let gone = tx.run(&format!("UPDATE frozen SET {RELEASE} WHERE {CHOSEN}"), named)?;
            stir(tx, &links)?;
            Ok(gone)
        })
    }
}
