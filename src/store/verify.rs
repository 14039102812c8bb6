//! What `verify` may ask of the memory: the links, and whether something about a pair is still open. And what its repair
//! leaves here: the records that are to be looked at again, and the bases that are forgotten for it.

use super::Cached;
use super::{
    Store,
    links::{Link, base_of, link_from},
    stamp,
};
use crate::record::{RecordId, Side, Sides, Value, fields_hash, fields_json};
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};

/// A record that is to be looked at again, and the entries whose base is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    pub side: Side,
    pub id: RecordId,
    pub entries: Vec<String>,
}

/// What becomes of the base of some fields, by side: `None` goes, a value takes its place.
pub type Forgotten = Sides<Vec<(String, Option<Value>)>>;

impl Store {
    /// Links of any state, in the order of their making.
    pub fn links_after(&self, object: &str, after: i64, limit: u32) -> anyhow::Result<Vec<Link>> {
        self.read(|c| {
            c.prepare_cached("SELECT * FROM link WHERE object = ?1 AND id > ?2 ORDER BY id LIMIT ?3")?
                .query_map(params![object, after, limit], link_from)?
                .collect()
        })
    }

    /// Why a difference of this pair is no drift yet: something of it is known to be open.
    pub fn open_business(&self, link: &Link) -> anyhow::Result<Option<String>> {
        let (object, ids) = (link.object.as_str(), [link.salesforce_id.as_str(), link.platform_id.as_str()]);
        self.read(|c| {
            let both = params![object, ids[0], ids[1]];
            let there = |sql: &str| c.prepare_cached(sql)?.query_row(both, |r| r.get::<_, bool>(0));
            if there(
                "SELECT EXISTS (SELECT 1 FROM intent WHERE object = ?1 AND (salesforce_id = ?2 OR platform_id = ?3)
                 AND state IN ('promised', 'unknown'))",
            )? {
                return Ok(Some("a write of which the outcome is not known yet".to_owned()));
            }
            let conflict: bool = c
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM conflict WHERE link_id = ?1 AND state = 'open')")?
                .query_row([link.id], |r| r.get(0))?;
            if conflict {
                return Ok(Some("an open conflict".to_owned()));
            }
            let parked: Option<String> = c
                .prepare_cached(
                    "SELECT code FROM quarantine WHERE object = ?1
                     AND ((side = 'salesforce' AND id = ?2) OR (side = 'platform' AND id = ?3)) LIMIT 1",
                )?
                .query_row(both, |r| r.get(0))
                .optional()?;
            if let Some(code) = parked {
                return Ok(Some(format!("in quarantine: {code}")));
            }
            if there(
                "SELECT EXISTS (SELECT 1 FROM suspect WHERE object = ?1
                 AND ((side = 'salesforce' AND id = ?2) OR (side = 'platform' AND id = ?3)))",
            )? {
                return Ok(Some("suspected gone".to_owned()));
            }
            let news: Option<Option<String>> = c
                .prepare_cached(
                    "SELECT situation FROM staged WHERE object = ?1
                     AND ((side = 'salesforce' AND id = ?2) OR (side = 'platform' AND id = ?3)) ORDER BY side DESC LIMIT 1",
                )?
                .query_row(both, |r| r.get(0))
                .optional()?;
            let held = "SELECT EXISTS (SELECT 1 FROM hold WHERE object = ?1)";
            Ok(match news {
                None => None,
                Some(_) if c.prepare_cached(held)?.query_row([object], |r| r.get(0))? => Some("news that is held by the guard".to_owned()),
                Some(Some(situation)) => Some(format!("news, {situation}")),
                Some(None) => Some("news that is not settled yet".to_owned()),
            })
        })
    }

    /// The situation of an unlinked record that the memory knows of; `None`: never seen.
    pub fn known_unlinked(&self, object: &str, side: Side, id: &str) -> anyhow::Result<Option<String>> {
        self.read(|c| {
            c.prepare_cached("SELECT coalesce(situation, 'news') FROM staged WHERE object = ?1 AND side = ?2 AND id = ?3")?
                .query_row(params![object, side.as_str(), id], |r| r.get(0))
                .optional()
        })
    }

    /// Leaves word for the next run. A record that was named before keeps what was asked last.
    pub fn ask_repair(&self, object: &str, repairs: &[Repair], now: DateTime<Utc>) -> anyhow::Result<()> {
        self.write(|tx| {
            for repair in repairs {
                tx.prepare_cached("INSERT OR REPLACE INTO repair (object, side, id, entries, asked_at) VALUES (?1, ?2, ?3, ?4, ?5)")?
                    .execute(params![
                        object,
                        repair.side.as_str(),
                        repair.id.as_str(),
                        serde_json::to_string(&repair.entries)?,
                        stamp(now)
                    ])?;
            }
            Ok(())
        })
    }

    pub fn next_repairs(&self, object: &str, limit: u32) -> anyhow::Result<Vec<Repair>> {
        self.read(|c| {
            c.prepare_cached("SELECT side, id, entries FROM repair WHERE object = ?1 ORDER BY side, id LIMIT ?2")?
                .query_map(params![object, limit], |r| {
                    let entries: String = r.get(2)?;
                    Ok(Repair {
                        side: Side::parse(&r.get::<_, String>(0)?).unwrap_or(Side::Platform),
                        id: RecordId::from(r.get::<_, String>(1)?),
                        entries: serde_json::from_str(&entries).unwrap_or_default(),
                    })
                })?
                .collect()
        })
    }

    /// Done with: what was asked is news by now.
    pub fn take_repairs(&self, object: &str, repairs: &[Repair]) -> anyhow::Result<()> {
        self.write(|tx| {
            for repair in repairs {
                tx.prepare_cached("DELETE FROM repair WHERE object = ?1 AND side = ?2 AND id = ?3")?.execute(params![
                    object,
                    repair.side.as_str(),
                    repair.id.as_str()
                ])?;
            }
            Ok(())
        })
    }

    /// Some fields of a pair were never agreed on, from now on: what either side shows of them is news.
    pub fn forget_base(&self, link: i64, forgotten: &Forgotten) -> anyhow::Result<()> {
        self.write(|tx| {
            for side in Side::BOTH {
                let Some(mut base) = base_of(tx, link, side)? else { continue };
                for (name, value) in &forgotten[side] {
                    match value {
                        Some(value) => drop(base.insert(name.clone(), value.clone())),
                        None => drop(base.remove(name)),
                    }
                }
                let text = fields_json(&base);
                tx.prepare_cached("UPDATE base SET fields = ?3, hash = ?4, stamp = NULL WHERE link_id = ?1 AND side = ?2")?
                    .execute(params![link, side.as_str(), text, fields_hash(&text)])?;
            }
            Ok(())
        })
    }

    /// What was looked at and left is looked at again.
    pub fn wake(&self, object: &str, ids: &[(Side, RecordId)]) -> anyhow::Result<()> {
        self.write(|tx| {
            for (side, id) in ids {
                tx.prepare_cached("UPDATE staged SET dirty = 1 WHERE object = ?1 AND side = ?2 AND id = ?3")?.execute(params![
                    object,
                    side.as_str(),
                    id.as_str()
                ])?;
            }
            Ok(())
        })
    }

    /// A linked record that a read by id did not find: looked for again in a later run.
    pub fn suspect(&self, run: i64, object: &str, side: Side, id: &RecordId, now: DateTime<Utc>) -> anyhow::Result<()> {
        self.write(|tx| {
            tx.run(
                "INSERT OR IGNORE INTO suspect (object, side, id, missed_at, run_id) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![object, side.as_str(), id.as_str(), stamp(now), run],
            )?;
            Ok(())
        })
    }
}
