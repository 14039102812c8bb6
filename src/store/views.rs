//! Reading the public views as a person or a page does: whole rows of text.

use super::Store;
use rusqlite::types::ValueRef;

/// Column names and rows, as text; null is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
}

impl Table {
    /// One JSON object a row.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let objects = self.rows.iter().map(|row| {
            let pairs = self.columns.iter().cloned().zip(row.iter().map(|cell| cell.clone().map_or(serde_json::Value::Null, Into::into)));
            serde_json::Value::Object(pairs.collect())
        });
        serde_json::Value::Array(objects.collect())
    }
}

impl Store {
    /// A view with a bound on its rows; `filter` is SQL of ours with `?1` for `value`.
    pub fn view(&self, name: &str, filter: &str, value: &str, limit: u32) -> anyhow::Result<Table> {
        self.read(|c| {
            let mut statement = c.prepare_cached(&format!("SELECT * FROM {name} WHERE {filter} LIMIT {limit}"))?;
            let columns = statement.column_names().map(str::to_owned).collect::<Vec<_>>();
            let width = columns.len();
            let bound = if filter.contains("?1") { vec![value.to_owned()] } else { vec![] };
            let rows = statement
                .query_map(rusqlite::params_from_iter(bound), |row| {
                    (0..width)
                        .map(|i| {
                            Ok(match row.get_ref(i)? {
                                ValueRef::Null => None,
                                ValueRef::Integer(n) => Some(n.to_string()),
                                ValueRef::Real(x) => Some(x.to_string()),
                                ValueRef::Text(t) => Some(String::from_utf8_lossy(t).into_owned()),
                                ValueRef::Blob(b) => Some(format!("{} bytes", b.len())),
                            })
                        })
                        .collect()
                })?
                .collect::<Result<_, _>>()?;
            Ok(Table { columns, rows })
        })
    }

    /// The whole story of a record: by either id, by planted id, or by a link's number.
    pub fn record_story(&self, id: &str) -> anyhow::Result<Table> {
        let other: Option<(String, String)> = self.read(|c| {
            use rusqlite::OptionalExtension;
            c.query_row("SELECT salesforce_id, platform_id FROM link WHERE salesforce_id = ?1 OR platform_id = ?1", [id], |r| {
                Ok((r.get(0)?, r.get(1)?))
            })
            .optional()
        })?;
        let (salesforce, platform) = other.unwrap_or_else(|| (id.to_owned(), id.to_owned()));
        let quoted = |t: &str| t.replace('\'', "''");
        self.view(
            "record_history",
            &format!("salesforce_id = '{}' OR platform_id = '{}' ORDER BY at, run", quoted(&salesforce), quoted(&platform)),
            "",
            10_000,
        )
    }
}
