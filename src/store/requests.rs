//! Requests: what a command asks of the daemon, durable until it is taken up.

use super::Cached;
use super::{Store, stamp};
use chrono::{DateTime, Utc};
use rusqlite::params;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub id: i64,
    /// `resync`, `run`, `retry`, `restore`, `release`, `discard`
    pub kind: String,
    pub argument: String,
}

impl Store {
    pub fn ask(&self, kind: &str, argument: &str, now: DateTime<Utc>) -> anyhow::Result<i64> {
        self.write(|tx| {
            tx.run("INSERT INTO request (kind, argument, asked_at) VALUES (?1, ?2, ?3)", params![kind, argument, stamp(now)])?;
            Ok(tx.last_insert_rowid())
        })
    }

    pub fn open_requests(&self) -> anyhow::Result<Vec<Request>> {
        self.read(|c| {
            c.prepare_cached("SELECT id, kind, argument FROM request WHERE taken_at IS NULL ORDER BY id")?
                .query_map([], |r| Ok(Request { id: r.get(0)?, kind: r.get(1)?, argument: r.get(2)? }))?
                .collect()
        })
    }

    pub fn take_request(&self, id: i64, answer: &str, now: DateTime<Utc>) -> anyhow::Result<()> {
        self.write(|tx| {
            tx.run("UPDATE request SET taken_at = ?2, answer = ?3 WHERE id = ?1", params![id, stamp(now), answer])?;
            Ok(())
        })
    }
}
