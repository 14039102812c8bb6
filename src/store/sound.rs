//! Whether the file makes sense as a whole: what must hold after any crash, whatever the last thing was that it was told.

use super::{Cached, Store, links::count};

impl Store {
    /// What is wrong with the file; nothing, if all is well. SQLite's own checks and ours: base ⇔ link ⇔ intent.
    pub fn soundness(&self) -> anyhow::Result<Vec<String>> {
        const OURS: [(&str, &str); 6] = [
            (
                "a link without two bases",
                "SELECT object || ' ' || salesforce_id || ' = ' || platform_id FROM link l
                 WHERE (SELECT count(*) FROM base b WHERE b.link_id = l.id) <> 2",
            ),
            (
                "a promise that no run made",
                "SELECT 'intent ' || id FROM intent WHERE state IN ('promised', 'unknown') AND run_id NOT IN (SELECT id FROM run)",
            ),
            (
                "an open promise about a link that is gone",
                "SELECT 'intent ' || id FROM intent i WHERE state IN ('promised', 'unknown') AND link_id IS NOT NULL
                 AND NOT EXISTS (SELECT 1 FROM link l WHERE l.id = i.link_id)",
            ),
            (
                "a create that is done, and no trace of a link",
                "SELECT 'intent ' || id FROM intent WHERE verb = 'create' AND state = 'done' AND (salesforce_id IS NULL OR platform_id IS NULL)",
            ),
            (
                "an outcome without its time",
                "SELECT 'intent ' || id || ' ' || state FROM intent WHERE state IN ('done', 'rejected', 'dropped') AND settled_at IS NULL",
            ),
            (
                "a run that never ended, and not the last",
                "SELECT 'run ' || id FROM run WHERE outcome IS NULL AND id < (SELECT max(id) FROM run)",
            ),
        ];
        self.read(|c| {
            let mut wrong = Vec::new();
            let verdict: String = c.one("PRAGMA integrity_check(1)", [], |r| r.get(0))?;
            if verdict != "ok" {
                wrong.push(format!("SQLite: {verdict}"));
            }
            let mut keys = c.prepare_cached("PRAGMA foreign_key_check")?;
            for table in keys.query_map([], |r| r.get::<_, String>(0))? {
                wrong.push(format!("a row of {} points nowhere", table?));
            }
            for (what, sql) in OURS {
                for row in c.prepare_cached(sql)?.query_map([], |r| r.get::<_, String>(0))? {
                    wrong.push(format!("{what}: {}", row?));
                }
            }
            Ok(wrong)
        })
    }

    /// Links whose platform record is gone for good.
    pub fn tombstones(&self, object: &str) -> anyhow::Result<usize> {
        self.read(|c| c.one("SELECT count(*) FROM link WHERE object = ?1 AND state = 'buried'", [object], |r| r.get(0)))
            .map(|n: i64| usize::try_from(count(n)).unwrap_or(usize::MAX))
    }
}
