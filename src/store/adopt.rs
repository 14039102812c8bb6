//! The pairs of a held first contact, as rows for a CSV a person looks through.

use super::Store;

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
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
            c.prepare(
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
}
