//! What was done, added up by object and side, and the last changes one by one. Both are counted from the journal.

use super::{Store, links::count};
use anyhow::Context;
use rusqlite::params;
use serde::Serialize;

/// One row of the view `statistics`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatisticsRow {
    /// `day` (the last 24 hours), `week`, `month` (30 days), `all`
    pub period: String,
    pub object: String,
    /// The side that was written to.
    pub side: String,
    pub created: u64,
    pub changed: u64,
    pub deleted: u64,
    pub linked: u64,
    pub failed: u64,
}

/// One record that was written, linked or refused.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangeRow {
    pub at: String,
    pub run: i64,
    pub object: String,
    pub action: String,
    /// `to-salesforce` or `to-platform`
    pub direction: &'static str,
    pub situation: String,
    pub salesforce_id: Option<String>,
    pub platform_id: Option<String>,
    pub outcome: String,
    pub code: Option<String>,
    pub message: Option<String>,
    /// `[{name, old, new}]`, keys masked.
    pub fields: serde_json::Value,
}

impl Store {
    /// By period, object and side; what never happened has no row.
    pub fn statistics(&self) -> anyhow::Result<Vec<StatisticsRow>> {
        self.read(|c| {
            c.prepare_cached("SELECT period, object, side, created, changed, deleted, linked, failed FROM statistics")?
                .query_map([], |r| {
                    Ok(StatisticsRow {
                        period: r.get(0)?,
                        object: r.get(1)?,
                        side: r.get(2)?,
                        created: count(r.get(3)?),
                        changed: count(r.get(4)?),
                        deleted: count(r.get(5)?),
                        linked: count(r.get(6)?),
                        failed: count(r.get(7)?),
                    })
                })?
                .collect()
        })
        .context("a state of an older version has statistics once the daemon or a run of this version has opened it")
    }

    /// The last `limit` changes, newest first: the rows of the view `recent_changes`, and as many as are asked for.
    pub fn each_of_last(&self, limit: u32, mut show: impl FnMut(ChangeRow) -> anyhow::Result<()>) -> anyhow::Result<()> {
        const PAGE: u32 = 500;
        let (mut left, mut before) = (limit, i64::MAX);
        while left > 0 {
            let page: Vec<(i64, String, ChangeRow)> = self.read(|c| {
                c.prepare_cached(
                    "SELECT id, moved, coalesce(settled_at, planned_at), run_id, object, verb, side, situation, salesforce_id, platform_id, state, code, message
                     FROM intent WHERE id < ?1 AND verb <> 'advance' AND state NOT IN ('planned','dropped') ORDER BY id DESC LIMIT ?2",
                )?
                .query_map(params![before, left.min(PAGE)], |r| {
                    let change = ChangeRow {
                        at: r.get(2)?,
                        run: r.get(3)?,
                        object: r.get(4)?,
                        action: r.get(5)?,
                        direction: if r.get::<_, String>(6)? == "platform" { "to-platform" } else { "to-salesforce" },
                        situation: r.get(7)?,
                        salesforce_id: r.get(8)?,
                        platform_id: r.get(9)?,
                        outcome: r.get(10)?,
                        code: r.get(11)?,
                        message: r.get(12)?,
                        fields: serde_json::Value::Null,
                    };
                    Ok((r.get(0)?, r.get(1)?, change))
                })?
                .collect()
            })?;
            let Some((last, ..)) = page.last() else { return Ok(()) };
            before = *last;
            left -= u32::try_from(page.len()).unwrap_or(left).min(left);
            for (id, moved, mut change) in page {
                change.fields = serde_json::from_str(&moved).with_context(|| format!("the fields of change {id}"))?;
                show(change)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// `n` changes of one record, the last of them refused.
    fn with_changes(n: u32) -> Store {
        let store = Store::in_memory().unwrap();
        store
            .write(|tx| {
                tx.execute("INSERT INTO run (kind, cause, started_at) VALUES ('delta', 'once', '2026-11-24T10:00:00Z')", [])?;
                for i in 1..=n {
                    let state = if i == n { "rejected" } else { "done" };
                    tx.execute(
                        "INSERT INTO intent (run_id, object, side, verb, situation, state, salesforce_id, platform_id, fields, moved, advance, planned_at, settled_at, code)
                         VALUES (1, 'account', 'platform', 'update', 'salesforce-moved', ?2, '001', ?1, '{}', '[]', '[]', '2026-11-24T10:00:00Z',
                                 strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), 'x')",
                        params![i.to_string(), state],
                    )?;
                }
                Ok(())
            })
            .unwrap();
        store
    }

    fn last(store: &Store, limit: u32) -> Vec<ChangeRow> {
        let mut rows = Vec::new();
        store
            .each_of_last(limit, |row| {
                rows.push(row);
                Ok(())
            })
            .unwrap();
        rows
    }

    #[test]
    fn the_last_ones_come_newest_first_and_no_more_than_asked_for_over_any_number_of_pages() {
        let store = with_changes(1_203);
        for (limit, wanted) in [(0, 0), (1, 1), (100, 100), (500, 500), (501, 501), (5_000, 1_203)] {
            let rows = last(&store, limit);
            assert_eq!(rows.len(), wanted, "{limit}");
            let ids: Vec<u32> = rows.iter().map(|r| r.platform_id.as_ref().unwrap().parse().unwrap()).collect();
            assert!(ids.iter().copied().eq((0..u32::try_from(wanted).unwrap()).map(|back| 1_203 - back)), "{limit}");
        }
        let newest = last(&store, 1).remove(0);
        assert_eq!((newest.outcome.as_str(), newest.direction, newest.code.as_deref()), ("rejected", "to-platform", Some("x")));
    }

    #[test]
    fn they_are_the_rows_of_the_view() {
        let store = with_changes(130);
        let view = store.view("recent_changes", "1", "", 1_000).unwrap().to_json();
        let rows = last(&store, 100);
        assert_eq!(view.as_array().unwrap().len(), rows.len());
        for (shown, row) in view.as_array().unwrap().iter().zip(&rows) {
            let row = serde_json::to_value(row).unwrap();
            for column in ["at", "object", "action", "direction", "situation", "salesforce_id", "platform_id", "outcome", "code", "message"]
            {
                assert_eq!(shown[column], row[column], "{column}");
            }
        }
    }

    /// M2: what failed counts as failed and as nothing else.
    #[test]
    fn m2_a_failed_write_is_no_change() {
        let all = with_changes(5).statistics().unwrap().pop().unwrap();
        let counts = (all.period.as_str(), all.created, all.changed, all.deleted, all.failed);
        assert_eq!(counts, ("all", 0, 4, 0, 1));
    }
}
