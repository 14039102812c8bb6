//! Conflicts: the losing value is never lost.

use super::Cached;
use super::{Store, stamp};
use crate::plan::{Decided, Intent};
use crate::record::{Side, Sides, Value};
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use std::collections::BTreeSet;

#[derive(Debug, Clone, PartialEq)]
pub struct ConflictRow {
    pub id: i64,
    pub run: i64,
    pub object: String,
    pub link: Option<i64>,
    pub salesforce_id: String,
    pub platform_id: String,
    pub entry: String,
    pub base: Sides<Value>,
    pub value: Sides<Value>,
    pub winner: Option<Side>,
    pub rule: String,
    pub state: String,
    pub at: String,
}

pub(super) fn conflict_from(row: &Row<'_>) -> rusqlite::Result<ConflictRow> {
    let value = |name: &str| -> rusqlite::Result<Value> { Ok(serde_json::from_str(&row.get::<_, String>(name)?).unwrap_or(Value::Null)) };
    Ok(ConflictRow {
        id: row.get("id")?,
        run: row.get("run_id")?,
        object: row.get("object")?,
        link: row.get("link_id")?,
        salesforce_id: row.get("salesforce_id")?,
        platform_id: row.get("platform_id")?,
        entry: row.get("entry")?,
        base: Sides::new(value("base_salesforce")?, value("base_platform")?),
        value: Sides::new(value("value_salesforce")?, value("value_platform")?),
        winner: row.get::<_, Option<String>>("winner")?.as_deref().and_then(Side::parse),
        rule: row.get("rule")?,
        state: row.get("state")?,
        at: row.get("at")?,
    })
}

/// True if it is a conflict that was not recorded yet.
pub(super) fn put(tx: &Transaction<'_>, run: i64, intent: &Intent, decided: &Decided, now: DateTime<Utc>) -> anyhow::Result<bool> {
    let ids = Sides::new(intent.salesforce_id.as_ref(), intent.platform_id.as_ref());
    // A link that is only just made is not named by its intent yet.
    let link = match (intent.link, ids.salesforce) {
        (None, Some(id)) => super::links::link_by(tx, &intent.object, Side::Salesforce, id.as_str())?.map(|link| link.id),
        (link, _) => link,
    };
    let known = tx
        .prepare_cached("SELECT * FROM conflict WHERE link_id IS ?1 AND entry = ?2 AND state = 'open'")?
        .query_row(params![link, decided.entry], conflict_from)
        .optional()?;
    if decided.winner.is_none() && known.is_some_and(|k| k.value == decided.value) {
        return Ok(false);
    }
    // An undecided clash is one row until a person or a newer value closes it.
    tx.run("DELETE FROM conflict WHERE link_id IS ?1 AND entry = ?2 AND state = 'open'", params![link, decided.entry])?;
    let text = |v: &Value| serde_json::to_string(v);
    tx.run(
        "INSERT INTO conflict (run_id, object, link_id, salesforce_id, platform_id, entry, base_salesforce, base_platform, value_salesforce,
           value_platform, winner, rule, state, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            run,
            intent.object,
            link,
            ids.salesforce.map_or("", |i| i.as_str()),
            ids.platform.map_or("", |i| i.as_str()),
            decided.entry,
            text(&decided.base.salesforce)?,
            text(&decided.base.platform)?,
            text(&decided.value.salesforce)?,
            text(&decided.value.platform)?,
            decided.winner.map(Side::as_str),
            decided.rule,
            if decided.winner.is_some() { "decided" } else { "open" },
            stamp(now),
        ],
    )?;
    Ok(true)
}

impl Store {
    pub fn conflicts(&self, only_open: bool, limit: u32) -> anyhow::Result<Vec<ConflictRow>> {
        self.read(|c| {
            c.prepare_cached("SELECT * FROM conflict WHERE (?1 = 0 OR state = 'open') ORDER BY id DESC LIMIT ?2")?
                .query_map(params![only_open, limit], conflict_from)?
                .collect()
        })
    }

    pub fn conflict(&self, id: i64) -> anyhow::Result<Option<ConflictRow>> {
        self.read(|c| c.one("SELECT * FROM conflict WHERE id = ?1", [id], conflict_from).optional())
    }

    pub fn open_conflicts(&self) -> anyhow::Result<u64> {
        self.read(|c| c.one("SELECT count(*) FROM conflict WHERE state = 'open'", [], |r| r.get(0)).map(super::links::count))
    }

    /// The links that have a conflict nobody decided.
    pub fn links_in_conflict(&self, object: &str) -> anyhow::Result<BTreeSet<i64>> {
        self.read(|c| {
            c.prepare_cached("SELECT DISTINCT link_id FROM conflict WHERE object = ?1 AND state = 'open' AND link_id IS NOT NULL")?
                .query_map([object], |r| r.get(0))?
                .collect()
        })
    }

    /// People settled it themselves: the clash is no more, but for these entries.
    pub fn close_conflicts(&self, link: i64, but: &BTreeSet<&str>) -> anyhow::Result<()> {
        self.write(|tx| {
            let open: Vec<(i64, String)> = tx
                .prepare_cached("SELECT id, entry FROM conflict WHERE link_id = ?1 AND state = 'open'")?
                .query_map([link], |r| Ok((r.get(0)?, r.get(1)?)))?
                .collect::<Result<_, _>>()?;
            for (id, _) in open.iter().filter(|(_, entry)| !but.contains(entry.as_str())) {
                tx.run("UPDATE conflict SET state = 'decided' WHERE id = ?1", [id])?;
            }
            Ok(())
        })
    }

    pub fn mark_restored(&self, id: i64) -> anyhow::Result<()> {
        self.write(|tx| {
            tx.run("UPDATE conflict SET state = 'restored' WHERE id = ?1", [id])?;
            Ok(())
        })
    }
}
