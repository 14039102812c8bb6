//! The ID map and the bases that hang on it.

use super::Cached;
use super::Store;
use crate::record::{Fields, RecordId, Side, Sides, fields_parse};
use crate::rules::Translate;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub id: i64,
    pub object: String,
    pub salesforce_id: RecordId,
    pub platform_id: RecordId,
    pub state: LinkState,
}

impl Link {
    #[must_use]
    pub fn id_on(&self, side: Side) -> &RecordId {
        match side {
            Side::Salesforce => &self.salesforce_id,
            Side::Platform => &self.platform_id,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    Live,
    /// The platform's record is gone; Salesforce's stays.
    Buried,
    /// Salesforce's record is gone and the policy says: report.
    DeletedInSalesforce,
}

impl LinkState {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Buried => "buried",
            Self::DeletedInSalesforce => "deleted-in-salesforce",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "buried" => Self::Buried,
            "deleted-in-salesforce" => Self::DeletedInSalesforce,
            _ => Self::Live,
        }
    }
}

/// Translations fetched for one batch, so that the pure core needs no store.
#[derive(Debug, Default, Clone)]
pub struct Links {
    to_platform: BTreeMap<(String, String), String>,
    to_salesforce: BTreeMap<(String, String), String>,
}

impl Links {
    pub fn insert(&mut self, object: &str, salesforce_id: &str, platform_id: &str) {
        self.to_platform.insert((object.to_owned(), salesforce_id.to_owned()), platform_id.to_owned());
        self.to_salesforce.insert((object.to_owned(), platform_id.to_owned()), salesforce_id.to_owned());
    }
}

impl Translate for Links {
    fn to_platform(&self, object: &str, salesforce_id: &str) -> Option<String> {
        self.to_platform.get(&(object.to_owned(), salesforce_id.to_owned())).cloned()
    }

    fn to_salesforce(&self, object: &str, platform_id: &str) -> Option<String> {
        self.to_salesforce.get(&(object.to_owned(), platform_id.to_owned())).cloned()
    }
}

pub(super) fn link_from(row: &Row<'_>) -> rusqlite::Result<Link> {
    Ok(Link {
        id: row.get("id")?,
        object: row.get("object")?,
        salesforce_id: RecordId::from(row.get::<_, String>("salesforce_id")?),
        platform_id: RecordId::from(row.get::<_, String>("platform_id")?),
        state: LinkState::parse(&row.get::<_, String>("state")?),
    })
}

pub(super) const fn id_column(side: Side) -> &'static str {
    match side {
        Side::Salesforce => "salesforce_id",
        Side::Platform => "platform_id",
    }
}

pub(super) fn link_by(c: &Connection, object: &str, side: Side, id: &str) -> rusqlite::Result<Option<Link>> {
    let sql = match side {
        Side::Salesforce => "SELECT * FROM link WHERE object = ?1 AND salesforce_id = ?2",
        Side::Platform => "SELECT * FROM link WHERE object = ?1 AND platform_id = ?2",
    };
    c.prepare_cached(sql)?.query_row(params![object, id], link_from).optional()
}

pub(super) fn base_of(c: &Connection, link: i64, side: Side) -> rusqlite::Result<Option<Fields>> {
    let json: Option<String> = c
        .prepare_cached("SELECT fields FROM base WHERE link_id = ?1 AND side = ?2")?
        .query_row(params![link, side.as_str()], |r| r.get(0))
        .optional()?;
    Ok(json.and_then(|j| fields_parse(&j).ok()))
}

impl Store {
    /// The links of these ids, both directions, for one batch. Tombstones do not translate.
    pub fn links_for(&self, wanted: &Sides<BTreeSet<(String, String)>>) -> anyhow::Result<Links> {
        self.read(|c| {
            let mut links = Links::default();
            for side in Side::BOTH {
                for (object, id) in &wanted[side] {
                    if let Some(link) = link_by(c, object, side, id)?
                        && link.state == LinkState::Live
                    {
                        links.insert(object, link.salesforce_id.as_str(), link.platform_id.as_str());
                    }
                }
            }
            Ok(links)
        })
    }

    pub fn link(&self, object: &str, side: Side, id: &str) -> anyhow::Result<Option<Link>> {
        self.read(|c| link_by(c, object, side, id))
    }

    /// By account the first of its contacts that is linked: ids are given in the order of creation.
    pub fn first_contacts(&self) -> anyhow::Result<BTreeMap<String, String>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT json_extract(b.fields, '$.AccountId') AS account, min(l.salesforce_id) FROM link l
                 JOIN base b ON b.link_id = l.id AND b.side = 'salesforce'
                 WHERE l.object = 'contact' AND l.state = 'live' AND account IS NOT NULL GROUP BY account",
            )?
            .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?
            .collect()
        })
    }

    pub fn link_count(&self, object: &str) -> anyhow::Result<u64> {
        self.read(|c| c.one("SELECT count(*) FROM link WHERE object = ?1 AND state = 'live'", [object], |r| r.get(0)).map(count))
    }

    /// How many links there are of each object.
    pub fn linked_objects(&self) -> anyhow::Result<Vec<(String, u64)>> {
        self.read(|c| {
            c.prepare_cached("SELECT object, count(*) FROM link WHERE state = 'live' GROUP BY object ORDER BY object")?
                .query_map([], |r| Ok((r.get(0)?, count(r.get(1)?))))?
                .collect()
        })
    }

    pub fn base(&self, link: i64, side: Side) -> anyhow::Result<Option<Fields>> {
        self.read(|c| base_of(c, link, side))
    }

    /// True if this run or a later one linked a record of the object: waiting children may go on.
    pub fn linked_in_run(&self, object: &str, run: i64) -> anyhow::Result<bool> {
        self.read(|c| c.one("SELECT EXISTS (SELECT 1 FROM link WHERE object = ?1 AND run_id >= ?2)", params![object, run], |r| r.get(0)))
    }

    /// True if a linked platform record of `object` holds this id in `field`.
    pub fn refers(&self, object: &str, field: &str, id: &str) -> anyhow::Result<bool> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM link l JOIN base b ON b.link_id = l.id AND b.side = 'platform'
                 WHERE l.object = ?1 AND l.state = 'live' AND json_extract(b.fields, '$.\"' || ?2 || '\"') = ?3)",
            )?
            .query_row(params![object, field, id], |r| r.get(0))
        })
    }

    /// As [`Store::refers`], without the records whose own news in Salesforce lets go of it: deleted too (if `deletes`, which
    /// says that such a deletion is carried out), or no longer naming `salesforce_id`.
    pub fn keeps_referring(&self, object: &str, field: &str, id: &str, salesforce_id: &str, deletes: bool) -> anyhow::Result<bool> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM link l JOIN base b ON b.link_id = l.id AND b.side = 'platform'
                 WHERE l.object = ?1 AND l.state = 'live' AND json_extract(b.fields, '$.\"' || ?2 || '\"') = ?3
                   AND NOT EXISTS (SELECT 1 FROM staged s
                     WHERE s.object = l.object AND s.side = 'salesforce' AND s.id = l.salesforce_id AND s.dirty = 1
                       AND ((s.life = 'deleted' AND ?5) OR (s.life = 'live' AND instr(s.fields, ?4) = 0))))",
            )?
            .query_row(params![object, field, id, salesforce_id, deletes], |r| r.get(0))
        })
    }

    /// A re-sync brings back what was deleted only on the platform: the tombstones of these objects go, and the
    /// Salesforce records are new again.
    pub fn clear_tombstones(&self, object: &str) -> anyhow::Result<usize> {
        self.write(|tx| Ok(tx.run("DELETE FROM link WHERE object = ?1 AND state = 'buried'", [object])?))
    }
}

pub(super) fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
