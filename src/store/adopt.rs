//! The pairs of a held first contact, as rows for a CSV a person looks through.

use super::{Store, stamp};
use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PairRow {
    pub object: String,
    /// `linked`, `ambiguous`, `only-salesforce`, `only-platform`
    pub what: String,
    pub salesforce_id: String,
    pub platform_id: String,
    pub note: String,
}

impl Store {
    /// What a first contact would do with each record: from the plan that is about to be held, and from what is staged.
    pub fn adoption_pairs(&self, object: &str) -> anyhow::Result<Vec<PairRow>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT 'linked' AS what, salesforce_id, platform_id, situation AS note FROM intent WHERE object = ?1 AND state = 'planned' AND verb = 'link'
                 UNION ALL
                 SELECT 'ambiguous', CASE side WHEN 'salesforce' THEN id END, CASE side WHEN 'platform' THEN id END, message FROM quarantine
                  WHERE object = ?1 AND situation = 'ambiguous'
                 UNION ALL
                 SELECT 'only-salesforce', salesforce_id, NULL, 'would be created on the platform' FROM intent
                  WHERE object = ?1 AND state = 'planned' AND verb = 'create' AND side = 'platform'
                 UNION ALL
                 SELECT 'only-platform', NULL, s.id, 'reported only' FROM staged s WHERE s.object = ?1 AND s.side = 'platform'
                  AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.object = s.object AND i.platform_id = s.id AND i.state = 'planned')
                  AND NOT EXISTS (SELECT 1 FROM link l WHERE l.object = s.object AND l.platform_id = s.id)",
            )?
            .query_map([object], |r| {
                Ok(PairRow {
                    object: object.to_owned(),
                    what: r.get(0)?,
                    salesforce_id: r.get::<_, Option<String>>(1)?.unwrap_or_default(),
                    platform_id: r.get::<_, Option<String>>(2)?.unwrap_or_default(),
                    note: r.get::<_, Option<String>>(3)?.unwrap_or_default(),
                })
            })?
            .collect()
        })
    }

    /// Takes corrected pairs: rows `linked` name a partner, rows `only-salesforce` say that there is none; others say
    /// nothing. All or none: an id that is not staged is answered by its place in the list.
    pub fn feed_pairs(&self, rows: &[PairRow], now: DateTime<Utc>) -> anyhow::Result<Result<usize, (usize, String)>> {
        self.write(|tx| {
            let staged = |object: &str, side: &str, id: &str| -> rusqlite::Result<bool> {
                tx.prepare_cached("SELECT EXISTS (SELECT 1 FROM staged WHERE object = ?1 AND side = ?2 AND id = ?3)")?
                    .query_row(params![object, side, id], |r| r.get(0))
            };
            let told: Vec<(usize, &PairRow)> =
                rows.iter().enumerate().filter(|(_, r)| matches!(r.what.as_str(), "linked" | "only-salesforce")).collect();
            let mut partners = std::collections::BTreeMap::new();
            for (at, row) in &told {
                if !staged(&row.object, "salesforce", &row.salesforce_id)? {
                    return Ok(Err((*at, format!("no unlinked {} {:?} in Salesforce is known", row.object, row.salesforce_id))));
                }
                if row.what != "linked" {
                    continue;
                }
                if !staged(&row.object, "platform", &row.platform_id)? {
                    return Ok(Err((*at, format!("no unlinked {} {:?} on the platform is known", row.object, row.platform_id))));
                }
                if partners.insert((&row.object, &row.platform_id), *at).is_some() {
                    return Ok(Err((*at, format!("{} {} is given to two records", row.object, row.platform_id))));
                }
            }
            for (_, row) in &told {
                let platform = if row.what == "linked" { row.platform_id.as_str() } else { "" };
                tx.prepare_cached("INSERT OR REPLACE INTO pairing VALUES (?1, ?2, ?3, ?4)")?.execute(params![
                    row.object,
                    row.salesforce_id,
                    platform,
                    stamp(now)
                ])?;
                tx.prepare_cached("UPDATE staged SET dirty = 1 WHERE object = ?1 AND side = 'salesforce' AND id = ?2")?
                    .execute(params![row.object, row.salesforce_id])?;
                tx.prepare_cached(
                    "DELETE FROM quarantine WHERE object = ?1 AND side = 'salesforce' AND id = ?2 AND situation = 'ambiguous'",
                )?
                .execute(params![row.object, row.salesforce_id])?;
            }
            Ok(Ok(told.len()))
        })
    }

    /// What a person said of this unlinked record: its partner's id, or that it has none.
    pub fn pairing(&self, object: &str, salesforce_id: &str) -> anyhow::Result<Option<Option<String>>> {
        self.read(|c| {
            c.prepare_cached("SELECT platform_id FROM pairing WHERE object = ?1 AND salesforce_id = ?2")?
                .query_row(params![object, salesforce_id], |r| r.get::<_, String>(0).map(|id| Some(id).filter(|id| !id.is_empty())))
                .optional()
        })
    }
}
