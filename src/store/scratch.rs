//! A private scratch file for a comparison of everything: what both sides show right now, by id, on disk and not in memory.
//!
//! SQLite makes it in the temporary directory, unlinks it at once and never shares it; nothing of it outlives its owner. It
//! shares no table with the memory.

use super::links::count;
use crate::record::{Fields, Record, RecordId, Side, fields_json, fields_parse};
use anyhow::Context;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Match keys by ordinal, 0 being the planted id.
pub type Keys = Vec<(i64, String)>;

/// A record as it was shown, without its id.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub fields: Fields,
    pub stamp: Option<String>,
}

pub struct Scratch {
    connection: Mutex<Connection>,
}

/// Several live records of one side with one key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Duplicate {
    pub side: String,
    /// 0: the planted id; n: the n-th match key of the rules.
    pub ordinal: i64,
    pub count: u64,
    /// The first few.
    pub ids: Vec<String>,
}

impl Scratch {
    pub fn new() -> anyhow::Result<Self> {
        let c = Connection::open("").context("making a scratch file")?;
        c.pragma_update(None, "journal_mode", "OFF")?;
        c.pragma_update(None, "synchronous", "OFF")?;
        c.pragma_update(None, "cache_size", -16_000)?;
        c.execute_batch(
            "CREATE TABLE shown (side TEXT NOT NULL, id TEXT NOT NULL, fields TEXT NOT NULL, stamp TEXT, met INTEGER NOT NULL DEFAULT 0,
               PRIMARY KEY (side, id)) STRICT, WITHOUT ROWID;
             CREATE TABLE key (side TEXT NOT NULL, ordinal INTEGER NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL,
               PRIMARY KEY (side, ordinal, key, id)) STRICT, WITHOUT ROWID;",
        )?;
        Ok(Self { connection: Mutex::new(c) })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record that comes twice is the later one.
    pub fn put(&self, side: Side, records: &[(Record, Keys)]) -> anyhow::Result<()> {
        let mut c = self.lock();
        let tx = c.transaction()?;
        for (record, keys) in records {
            let id = record.id.as_str();
            tx.prepare_cached("INSERT OR REPLACE INTO shown (side, id, fields, stamp) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
                side.as_str(),
                id,
                fields_json(&record.fields),
                record.stamp
            ])?;
            for (ordinal, key) in keys {
                tx.prepare_cached("INSERT OR IGNORE INTO key VALUES (?1, ?2, ?3, ?4)")?.execute(params![
                    side.as_str(),
                    ordinal,
                    key,
                    id
                ])?;
            }
        }
        Ok(tx.commit()?)
    }

    /// What a side showed of a record; noted as met, so that the rest is what nobody asked for.
    pub fn meet(&self, side: Side, id: &RecordId) -> anyhow::Result<Option<Shown>> {
        let c = self.lock();
        let row: Option<(String, Option<String>)> = c
            .prepare_cached("SELECT fields, stamp FROM shown WHERE side = ?1 AND id = ?2")?
            .query_row(params![side.as_str(), id.as_str()], |r| Ok((r.get(0)?, r.get(1)?)))
            .optional()?;
        let Some((json, stamp)) = row else { return Ok(None) };
        c.prepare_cached("UPDATE shown SET met = 1 WHERE side = ?1 AND id = ?2")?.execute(params![side.as_str(), id.as_str()])?;
        Ok(Some(Shown { fields: fields_parse(&json)?, stamp }))
    }

    /// Records that were never met, by id.
    pub fn unmet(&self, side: Side, after: &str, limit: u32) -> anyhow::Result<Vec<RecordId>> {
        let c = self.lock();
        Ok(c.prepare_cached("SELECT id FROM shown WHERE side = ?1 AND met = 0 AND id > ?2 ORDER BY id LIMIT ?3")?
            .query_map(params![side.as_str(), after, limit], |r| r.get::<_, String>(0).map(RecordId::from))?
            .collect::<Result<_, _>>()?)
    }

    pub fn count(&self, side: Side) -> anyhow::Result<u64> {
        Ok(self.lock().query_row("SELECT count(*) FROM shown WHERE side = ?1", [side.as_str()], |r| r.get(0)).map(count)?)
    }

    /// Keys that several records of a side share, at most `limit`, planted ids first; and how many there are.
    pub fn duplicates(&self, limit: u32) -> anyhow::Result<(u64, Vec<Duplicate>)> {
        const SHARED: &str = "FROM key GROUP BY side, ordinal, key HAVING count(*) > 1";
        let c = self.lock();
        let all = c.query_row(&format!("SELECT count(*) FROM (SELECT 1 {SHARED})"), [], |r| r.get(0)).map(count)?;
        let listed = c
            .prepare(&format!("SELECT side, ordinal, key, count(*) {SHARED} ORDER BY ordinal, side, key LIMIT ?1"))?
            .query_map([limit], |r| Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?, r.get::<_, String>(2)?, count(r.get(3)?))))?
            .collect::<Result<Vec<_>, _>>()?;
        let mut out = Vec::with_capacity(listed.len());
        for (side, ordinal, key, count) in listed {
            let ids = c
                .prepare_cached("SELECT id FROM key WHERE side = ?1 AND ordinal = ?2 AND key = ?3 ORDER BY id LIMIT 5")?
                .query_map(params![side, ordinal, key], |r| r.get(0))?
                .collect::<Result<_, _>>()?;
            out.push(Duplicate { side, ordinal, count, ids });
        }
        Ok((all, out))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::record::Value;

    fn record(id: &str, name: &str) -> Record {
        Record::live(id, Fields::from([("Name".to_owned(), Value::text(name))]))
    }

    #[test]
    fn what_is_met_is_not_among_the_rest_and_shared_keys_are_named() {
        let scratch = Scratch::new().unwrap();
        let keyed = |id: &str, key: &str| (record(id, id), vec![(1, key.to_owned())]);
        scratch.put(Side::Platform, &[keyed("1", "a"), keyed("2", "a"), keyed("3", "b")]).unwrap();
        scratch.put(Side::Platform, &[keyed("1", "a")]).unwrap();
        assert_eq!(scratch.count(Side::Platform).unwrap(), 3, "one that came twice is one");
        assert_eq!(scratch.meet(Side::Platform, &"2".into()).unwrap().unwrap().fields["Name"], Value::text("2"));
        assert!(scratch.meet(Side::Salesforce, &"2".into()).unwrap().is_none());
        assert_eq!(scratch.unmet(Side::Platform, "", 10).unwrap(), [RecordId::from("1"), RecordId::from("3")]);
        let (all, listed) = scratch.duplicates(10).unwrap();
        assert_eq!((all, listed[0].count, listed[0].ids.clone()), (1, 2, vec!["1".to_owned(), "2".to_owned()]));
    }
}
