//! What records tell of a memory that is older than they are: ids we planted and never heard of, licenses that were issued
//! since. Questions only, and the one correction that follows from the answers.

use super::Cached;
use super::Store;
use crate::record::{Fields, Side, Value, fields_hash, fields_json, fields_parse};
use rusqlite::{OptionalExtension, params};
use std::collections::BTreeMap;

/// By platform order the units of its licenses, each with the number of activations it allows.
pub type LicensesShown = BTreeMap<String, Vec<(String, Option<u64>)>>;

impl Store {
    /// News of unlinked records in Salesforce that carry an id we planted there (`field` begins with `prefix`), although
    /// nothing in this memory ever heard of them.
    pub fn strange_in_salesforce(&self, object: &str, field: &str, prefix: &str) -> anyhow::Result<Option<String>> {
        self.read(|c| {
            c.one(
                "SELECT s.id FROM staged s INDEXED BY staged_dirty WHERE s.object = ?1 AND s.side = 'salesforce' AND s.dirty = 1 AND s.life = 'live'
                 AND substr(json_extract(s.fields, '$.\"' || ?2 || '\"'), 1, length(?3)) = ?3
                 AND NOT EXISTS (SELECT 1 FROM link l WHERE l.object = s.object AND l.salesforce_id = s.id)
                 AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.salesforce_id = s.id AND i.object = s.object)
                 AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.object = s.object
                   AND i.platform_id = substr(json_extract(s.fields, '$.\"' || ?2 || '\"'), length(?3) + 1))
                 LIMIT 1",
                params![object, field, prefix],
                |r| r.get(0),
            )
            .optional()
        })
    }

    /// The same on the platform: an order that bears the id of a Salesforce order this memory never issued.
    pub fn strange_order(&self, object: &str) -> anyhow::Result<Option<String>> {
        self.read(|c| {
            c.one(
                "SELECT k.id FROM staged p INDEXED BY staged_dirty JOIN staged_key k ON k.object = p.object AND k.ordinal = 0 AND k.id = p.id
                 JOIN staged s ON s.object = p.object AND s.side = 'salesforce' AND s.id = substr(k.key, 4) AND s.life = 'live'
                 WHERE p.object = ?1 AND p.side = 'platform' AND p.dirty = 1 AND p.life = 'live'
                 AND NOT EXISTS (SELECT 1 FROM link l WHERE l.object = p.object AND (l.platform_id = p.id OR l.salesforce_id = s.id))
                 AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.object = p.object AND i.salesforce_id = s.id)
                 AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.object = p.object AND i.platform_id = p.id)
                 AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.object = p.object AND q.side = 'salesforce' AND q.id = s.id)
                 LIMIT 1",
                [object],
                |r| r.get(0),
            )
            .optional()
        })
    }

    /// What the platform shows of the licenses of each order, by platform order: unit and number of activations. `order`,
    /// `unit` and `activations` are platform fields of the license.
    pub fn licenses_shown(&self, license: &str, order: &str, unit: &str, activations: Option<&str>) -> anyhow::Result<LicensesShown> {
        self.read(|c| {
            let mut shown = LicensesShown::new();
            let mut statement = c.prepare_cached(
                "SELECT CAST(json_extract(fields, '$.\"' || ?2 || '\"') AS TEXT) AS owner, json_extract(fields, '$.\"' || ?3 || '\"') AS unit,
                        json_extract(fields, '$.\"' || ?4 || '\"') FROM (
                   SELECT b.fields FROM link l JOIN base b ON b.link_id = l.id AND b.side = 'platform' WHERE l.object = ?1
                   UNION ALL
                   SELECT s.fields FROM staged s WHERE s.object = ?1 AND s.side = 'platform' AND s.life = 'live')
                 WHERE owner IS NOT NULL AND unit IS NOT NULL",
            )?;
            let mut rows = statement.query(params![license, order, unit, activations.unwrap_or("")])?;
            while let Some(row) = rows.next()? {
                let most = row.get_ref(2)?.as_i64_or_null().ok().flatten().map(super::links::count);
                shown.entry(row.get(0)?).or_default().push((row.get(1)?, most));
            }
            Ok(shown)
        })
    }

    /// The live links of an object, both ids, and what Salesforce last showed.
    pub fn links_with_base(&self, object: &str) -> anyhow::Result<Vec<(i64, String, String, Fields)>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT l.id, l.salesforce_id, l.platform_id, b.fields FROM link l JOIN base b ON b.link_id = l.id AND b.side = 'salesforce'
                 WHERE l.object = ?1 AND l.state = 'live' ORDER BY l.id",
            )?
            .query_map([object], |r| {
                let fields = fields_parse(&r.get::<_, String>(3)?).unwrap_or_default();
                Ok((r.get(0)?, r.get(1)?, r.get(2)?, fields))
            })?
            .collect()
        })
    }

    /// Replaces one field that no side shows in a base, and has the record looked at again with what it shows. The
    /// fingerprint stays: it is of the reading.
    pub fn relearn(&self, run: i64, link: i64, field: &str, value: &Value) -> anyhow::Result<()> {
        self.write(|tx| {
            let Some(mut base) = super::links::base_of(tx, link, Side::Salesforce)? else { return Ok(()) };
            let mut shown = base.clone();
            shown.remove(field);
            base.insert(field.to_owned(), value.clone());
            tx.run("UPDATE base SET fields = ?2 WHERE link_id = ?1 AND side = 'salesforce'", params![link, fields_json(&base)])?;
            let shown = fields_json(&shown);
            tx.run(
                "INSERT INTO staged (object, side, id, fields, hash, life, dirty, run_id)
                 SELECT object, 'salesforce', salesforce_id, ?2, ?3, 'live', 1, ?4 FROM link WHERE id = ?1
                 ON CONFLICT DO UPDATE SET dirty = 1",
                params![link, shown, fields_hash(&shown), run],
            )?;
            Ok(())
        })
    }
}
