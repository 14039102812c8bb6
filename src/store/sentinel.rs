//! Small facts that must not change behind our back: which org, which company, which connection, which rules.

use super::Cached;
use super::Store;
use rusqlite::{OptionalExtension, params};

impl Store {
    pub fn meta(&self, key: &str) -> anyhow::Result<Option<String>> {
        self.read(|c| c.one("SELECT value FROM meta WHERE key = ?1", [key], |r| r.get(0)).optional())
    }

    pub fn set_meta(&self, key: &str, value: &str) -> anyhow::Result<()> {
        self.write(|tx| {
            tx.run("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value", params![key, value])?;
            Ok(())
        })
    }

    /// Pins a fact at first sight; afterwards answers the pinned value if it differs.
    pub fn pin(&self, key: &str, value: &str) -> anyhow::Result<Option<String>> {
        match self.meta(key)? {
            Some(pinned) if pinned == value => Ok(None),
            Some(pinned) => Ok(Some(pinned)),
            None => self.set_meta(key, value).map(|()| None),
        }
    }

    /// What is wrong with the file, as SQLite and we ourselves see it; empty is sound. Reads the whole file.
    pub fn integrity(&self) -> anyhow::Result<Vec<String>> {
        self.read(|c| {
            let mut wrong: Vec<String> =
                c.prepare_cached("PRAGMA integrity_check")?.query_map([], |r| r.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
            wrong.retain(|line| line != "ok");
            let broken: i64 = c.one("SELECT count(*) FROM pragma_foreign_key_check", [], |r| r.get(0))?;
            if broken > 0 {
                wrong.push(format!("{broken} rows refer to what is not there"));
            }
            let bare: i64 =
                c.one("SELECT count(*) FROM link l WHERE (SELECT count(*) FROM base b WHERE b.link_id = l.id) <> 2", [], |r| r.get(0))?;
            if bare > 0 {
                wrong.push(format!("{bare} links without a base on each side"));
            }
            Ok(wrong)
        })
    }

    /// Everything in the store as text, for "nothing was changed" proofs.
    pub fn dump(&self) -> anyhow::Result<String> {
        self.read(|c| {
            let tables: Vec<String> = c
                .prepare_cached("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?
                .query_map([], |r| r.get(0))?
                .collect::<Result<_, _>>()?;
            let mut out = String::new();
            for table in tables {
                let mut statement = c.prepare_cached(&format!("SELECT * FROM \"{table}\""))?;
                let width = statement.column_count();
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    out.push_str(&table);
                    for i in 0..width {
                        let cell: rusqlite::types::Value = row.get(i)?;
                        out.push_str(&format!("|{cell:?}"));
                    }
                    out.push('\n');
                }
            }
            Ok(out)
        })
    }
}
