//! Pairs to plan: news joined with its link, its bases and the news of its partner, read in batches by id.

use super::{
    Store,
    links::{Link, base_of, link_by},
    stamp,
};
use crate::record::{Fields, Life, RecordId, Side, Sides, fields_parse};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// News of one record.
#[derive(Debug, Clone, PartialEq)]
pub struct StagedRow {
    pub id: RecordId,
    pub fields: Fields,
    pub hash: i64,
    pub stamp: Option<String>,
    pub life: Life,
}

/// Everything known of one pair, or of one record without a partner.
#[derive(Debug, Clone, PartialEq)]
pub struct PairRead {
    pub link: Option<Link>,
    pub base: Sides<Option<Fields>>,
    pub staged: Sides<Option<StagedRow>>,
}

/// An unlinked platform record that shares a match key.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub ordinal: i64,
    pub row: StagedRow,
}

fn staged_from(row: &Row<'_>) -> rusqlite::Result<StagedRow> {
    let json: String = row.get("fields")?;
    let life: String = row.get("life")?;
    let winner: Option<String> = row.get("merged_into")?;
    Ok(StagedRow {
        id: RecordId::from(row.get::<_, String>("id")?),
        fields: fields_parse(&json).map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e)))?,
        hash: row.get("hash")?,
        stamp: row.get("stamp")?,
        life: match (life.as_str(), winner) {
            ("merged", Some(winner)) => Life::MergedInto(RecordId::from(winner)),
            ("live", _) => Life::Live,
            _ => Life::Deleted,
        },
    })
}

pub(super) fn staged(c: &Connection, object: &str, side: Side, id: &str) -> rusqlite::Result<Option<StagedRow>> {
    c.prepare_cached("SELECT * FROM staged WHERE object = ?1 AND side = ?2 AND id = ?3")?
        .query_row(params![object, side.as_str(), id], staged_from)
        .optional()
}

impl Store {
    /// The next pairs with news on `side`, after this id. What is in quarantine and not yet due stays away unless the
    /// record changed, and so does what is planned or promised already. The Salesforce pass comes first: the platform pass leaves out pairs it has already answered.
    pub fn next_pairs(&self, object: &str, side: Side, after: &str, limit: u32, now: DateTime<Utc>) -> anyhow::Result<Vec<PairRead>> {
        const BACKING_OFF: &str = "q.object = s.object AND q.hash = x.hash AND q.next_try_at > ?5";
        // An edit of its partner that came after the parking is a reason to look at a parked record again.
        let not_answered = format!(
            "NOT EXISTS (SELECT 1 FROM link l JOIN staged x ON x.object = l.object AND x.side = 'salesforce'
               AND x.id = l.salesforce_id AND x.dirty = 1 WHERE l.object = s.object AND l.platform_id = s.id
               AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE {BACKING_OFF} AND q.side = 'salesforce' AND q.id = x.id AND q.run_id < s.run_id))"
        );
        let not_backing_off = format!(
            "NOT EXISTS (SELECT 1 FROM quarantine q WHERE {} AND q.side = s.side AND q.id = s.id)",
            BACKING_OFF.replace("x.hash", "s.hash")
        );
        // By the id's own index: the journal holds every change there ever was.
        let not_in_hand = format!(
            "NOT EXISTS (SELECT 1 FROM intent o WHERE o.{} = s.id AND o.object = s.object AND o.state IN ('planned', 'promised', 'unknown'))",
            super::links::id_column(side)
        );
        let answered = match side {
            Side::Salesforce => "1",
            Side::Platform => not_answered.as_str(),
        };
        let sql = format!(
            "SELECT s.* FROM staged s INDEXED BY staged_dirty WHERE s.object = ?1 AND s.side = ?2 AND s.dirty = 1 AND s.id > ?3
             AND {not_backing_off} AND {not_in_hand} AND {answered}
             ORDER BY s.id LIMIT ?4"
        );
        self.read(|c| {
            let rows: Vec<StagedRow> = c
                .prepare_cached(&sql)?
                .query_map(params![object, side.as_str(), after, limit, stamp(now)], staged_from)?
                .collect::<Result<_, _>>()?;
            rows.into_iter()
                .map(|row| {
                    let link = link_by(c, object, side, row.id.as_str())?;
                    let (base, other) = match &link {
                        Some(link) => (
                            Sides::new(base_of(c, link.id, Side::Salesforce)?, base_of(c, link.id, Side::Platform)?),
                            staged(c, object, side.other(), link.id_on(side.other()).as_str())?,
                        ),
                        None => (Sides::default(), None),
                    };
                    let staged = match side {
                        Side::Salesforce => Sides::new(Some(row), other),
                        Side::Platform => Sides::new(other, Some(row)),
                    };
                    Ok(PairRead { link, base, staged })
                })
                .collect()
        })
    }

    /// Unlinked platform records that share the first of these keys that any of them has.
    pub fn candidates(&self, object: &str, keys: &[(i64, String)]) -> anyhow::Result<Vec<Candidate>> {
        self.read(|c| {
            for (ordinal, key) in keys {
                let ids: Vec<String> = c
                    .prepare_cached(
                        "SELECT k.id FROM staged_key k WHERE k.object = ?1 AND k.ordinal = ?2 AND k.key = ?3
                         AND NOT EXISTS (SELECT 1 FROM link l WHERE l.object = k.object AND l.platform_id = k.id)",
                    )?
                    .query_map(params![object, ordinal, key], |r| r.get(0))?
                    .collect::<Result<_, _>>()?;
                let mut hits = Vec::new();
                for id in ids {
                    if let Some(row) = staged(c, object, Side::Platform, &id)? {
                        hits.push(Candidate { ordinal: *ordinal, row });
                    }
                }
                if !hits.is_empty() {
                    return Ok(hits);
                }
            }
            Ok(Vec::new())
        })
    }

    /// The unlinked platform record with this id, as a planted `Lockstep_Id__c` in Salesforce names it.
    pub fn unlinked_platform(&self, object: &str, id: &str) -> anyhow::Result<Option<StagedRow>> {
        self.read(|c| match link_by(c, object, Side::Platform, id)? {
            Some(_) => Ok(None),
            None => staged(c, object, Side::Platform, id),
        })
    }

    pub fn pair_of_link(&self, link: i64) -> anyhow::Result<Option<PairRead>> {
        self.read(|c| {
            let link = c.prepare_cached("SELECT * FROM link WHERE id = ?1")?.query_row([link], super::links::link_from).optional()?;
            let Some(link) = link else { return Ok(None) };
            Ok(Some(PairRead {
                base: Sides::new(base_of(c, link.id, Side::Salesforce)?, base_of(c, link.id, Side::Platform)?),
                staged: Sides::new(
                    staged(c, &link.object, Side::Salesforce, link.salesforce_id.as_str())?,
                    staged(c, &link.object, Side::Platform, link.platform_id.as_str())?,
                ),
                link: Some(link),
            }))
        })
    }
}
