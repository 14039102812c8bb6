//! What is known of one record, for a person who asks why it stands as it does: its link, what each side showed last,
//! what waits, what was tried. Reads only.

use super::{
    ConflictRow, Link, QuarantineRow, Store,
    links::{base_of, id_column, link_by},
};
use crate::plan::{IntentState, Moved, Situation, StepReport, Verb};
use crate::record::{Fields, Life, RecordId, Side, Sides, fields_parse};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeSet;

/// The latest entries of the journal that are told of one record.
const MOST_TOLD: u32 = 200;

/// Everything the store holds of one record and its partner.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    pub object: String,
    pub ids: Sides<Option<String>>,
    pub link: Option<Link>,
    pub linked_at: Option<String>,
    /// What each side showed last: its news, else its base.
    pub fields: Sides<Option<Fields>>,
    pub news: Sides<Option<News>>,
    pub quarantine: Vec<QuarantineRow>,
    /// Clashes nobody decided yet.
    pub conflicts: Vec<ConflictRow>,
    /// Fields that are fought over.
    pub frozen: Vec<super::FrozenRow>,
    /// What was done and tried, oldest first.
    pub journal: Vec<Told>,
}

/// Something a side showed and nobody has settled yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    pub life: Life,
    pub rest: NewsRest,
    /// What the last plan made of it; a word of `Situation`, or `discarded`.
    pub situation: Option<String>,
    /// When the run began that read it.
    pub read_at: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewsRest {
    /// To be planned by the next run.
    ToPlan,
    /// Waits for the record it belongs to.
    Waits,
    /// Looked at and left, until it changes.
    Left,
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub run: i64,
    /// When it was settled, or else planned.
    pub at: String,
    pub side: Side,
    pub verb: Verb,
    pub situation: Option<Situation>,
    pub state: IntentState,
    pub code: Option<String>,
    pub message: Option<String>,
    pub moved: Vec<Moved>,
    pub steps: Vec<StepReport>,
}

/// A record found by something it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    pub object: String,
    /// Salesforce's, the platform's.
    pub ids: (Option<String>, Option<String>),
}

impl Known {
    /// A field as Salesforce showed it last.
    #[must_use]
    pub fn salesforce(&self, name: &str) -> Option<&crate::record::Value> {
        self.fields.salesforce.as_ref()?.get(name)
    }

    /// A field as the platform showed it last.
    #[must_use]
    pub fn platform(&self, name: &str) -> Option<&crate::record::Value> {
        self.fields.platform.as_ref()?.get(name)
    }
}

impl Store {
    /// What is known of the record with this id; `None` where nothing is.
    pub fn known(&self, object: &str, side: Side, id: &str) -> anyhow::Result<Option<Known>> {
        self.read(|c| {
            let link = link_by(c, object, side, id)?;
            let mut ids: Sides<Option<String>> = Sides::default();
            ids[side] = Some(id.to_owned());
            if let Some(link) = &link {
                ids[side.other()] = Some(link.id_on(side.other()).as_str().to_owned());
            }
            let mut known = Known {
                object: object.to_owned(),
                linked_at: None,
                fields: Sides::default(),
                news: Sides::default(),
                quarantine: Vec::new(),
                conflicts: Vec::new(),
                frozen: Vec::new(),
                journal: journal(c, object, &ids)?,
                ids,
                link,
            };
            for side in Side::BOTH {
                if let Some(link) = &known.link {
                    known.fields[side] = base_of(c, link.id, side)?;
                }
                let Some(id) = known.ids[side].clone() else { continue };
                if let Some((fields, news)) = staged(c, object, side, &id)? {
                    known.fields[side].get_or_insert_default().extend(fields);
                    known.news[side] = Some(news);
                }
                known.quarantine.extend(parked(c, object, side, &id)?);
            }
            if let Some(link) = &known.link {
                known.frozen = super::frozen::of_link(c, link.id)?;
                known.linked_at =
                    c.prepare_cached("SELECT linked_at FROM link WHERE id = ?1")?.query_row([link.id], |r| r.get(0)).optional()?;
                known.conflicts = c
                    .prepare_cached("SELECT * FROM conflict WHERE link_id = ?1 AND state = 'open' ORDER BY id")?
                    .query_map([link.id], super::conflicts::conflict_from)?
                    .collect::<Result<_, _>>()?;
            }
            let nothing = known.link.is_none()
                && known.quarantine.is_empty()
                && known.journal.is_empty()
                && Side::BOTH.into_iter().all(|side| known.news[side].is_none());
            Ok((!nothing).then_some(known))
        })
    }

    /// Which of these objects have a record with this id, on which side. The journal alone, of what is gone, counts too.
    pub fn objects_with(&self, objects: &[&str], id: &str) -> anyhow::Result<Vec<(String, Side)>> {
        self.read(|c| {
            let mut found = Vec::new();
            for object in objects {
                for side in Side::BOTH {
                    let column = id_column(side);
                    let sql = format!(
                        "SELECT EXISTS (SELECT 1 FROM link WHERE object = ?1 AND {column} = ?3)
                           OR EXISTS (SELECT 1 FROM staged WHERE object = ?1 AND side = ?2 AND id = ?3)
                           OR EXISTS (SELECT 1 FROM intent WHERE {column} = ?3 AND object = ?1 AND state <> 'planned')"
                    );
                    if c.prepare_cached(&sql)?.query_row(params![object, side.as_str(), id], |r| r.get(0))? {
                        found.push(((*object).to_owned(), side));
                    }
                }
            }
            Ok(found)
        })
    }

    /// Records of an object of which one of these fields fits, by their last showing; no more than `limit`. Reads them
    /// all: for a person who asks, not for a run.
    pub fn search(
        &self,
        object: &str,
        side: Side,
        fields: &[&str],
        fits: &dyn Fn(&str) -> bool,
        limit: usize,
    ) -> anyhow::Result<BTreeSet<Hit>> {
        self.read(|c| {
            let mut hits = BTreeSet::new();
            for field in fields {
                // A value that is not text (a quantity, a flag) is nothing people look for.
                let told = "CAST(json_extract(x.fields, '$.\"' || ?3 || '\"') AS TEXT)";
                let linked = format!(
                    "SELECT l.salesforce_id, l.platform_id, {told} AS told FROM link l JOIN base x ON x.link_id = l.id AND x.side = ?2
                     WHERE l.object = ?1 AND told IS NOT NULL"
                );
                let news = format!(
                    "SELECT CASE ?2 WHEN 'salesforce' THEN x.id ELSE l.salesforce_id END, CASE ?2 WHEN 'platform' THEN x.id ELSE l.platform_id END,
                       {told} AS told
                     FROM staged x LEFT JOIN link l ON l.object = x.object AND l.{} = x.id WHERE x.object = ?1 AND x.side = ?2 AND told IS NOT NULL",
                    id_column(side)
                );
                for sql in [linked, news] {
                    let mut statement = c.prepare_cached(&sql)?;
                    let mut rows = statement.query(params![object, side.as_str(), field])?;
                    while let Some(row) = rows.next()? {
                        if hits.len() >= limit {
                            return Ok(hits);
                        }
                        let told: String = row.get(2)?;
                        if fits(&told) {
                            hits.insert(Hit { object: object.to_owned(), ids: (row.get(0)?, row.get(1)?) });
                        }
                    }
                }
            }
            Ok(hits)
        })
    }
}

/// By the ids' own indexes: the journal holds every change there ever was.
const JOURNAL: &str = "SELECT * FROM intent WHERE object = ?3 AND verb <> 'advance' AND state <> 'planned' AND id IN
     (SELECT id FROM intent WHERE salesforce_id = ?1 UNION SELECT id FROM intent WHERE platform_id = ?2)
   ORDER BY id DESC LIMIT ?4";

fn journal(c: &Connection, object: &str, ids: &Sides<Option<String>>) -> rusqlite::Result<Vec<Told>> {
    let mut told: Vec<Told> = c
        .prepare_cached(JOURNAL)?
        .query_map(params![ids.salesforce, ids.platform, object, MOST_TOLD], told_from)?
        .collect::<Result<_, _>>()?;
    told.reverse();
    Ok(told)
}

fn told_from(row: &Row<'_>) -> rusqlite::Result<Told> {
    let text = |name: &str| row.get::<_, String>(name);
    let planned: String = row.get("planned_at")?;
    let steps: Option<String> = row.get("steps")?;
    Ok(Told {
        run: row.get("run_id")?,
        at: row.get::<_, Option<String>>("settled_at")?.unwrap_or(planned),
        side: Side::parse(&text("side")?).unwrap_or(Side::Platform),
        verb: Verb::parse(&text("verb")?).unwrap_or(Verb::Mark),
        situation: Situation::parse(&text("situation")?),
        state: super::journal::state_of(&text("state")?),
        code: row.get("code")?,
        message: row.get("message")?,
        moved: serde_json::from_str(&text("moved")?).unwrap_or_default(),
        steps: steps.and_then(|s| serde_json::from_str(&s).ok()).unwrap_or_default(),
    })
}

fn staged(c: &Connection, object: &str, side: Side, id: &str) -> rusqlite::Result<Option<(Fields, News)>> {
    c.prepare_cached(
        "SELECT s.fields, s.life, s.merged_into, s.dirty, s.situation, coalesce(r.started_at, '') AS read_at
         FROM staged s LEFT JOIN run r ON r.id = s.run_id WHERE s.object = ?1 AND s.side = ?2 AND s.id = ?3",
    )?
    .query_row(params![object, side.as_str(), id], |row| {
        let merged: Option<String> = row.get("merged_into")?;
        let life: String = row.get("life")?;
        let news = News {
            life: match (life.as_str(), merged) {
                ("live", _) => Life::Live,
                ("merged", Some(into)) => Life::MergedInto(RecordId::from(into)),
                _ => Life::Deleted,
            },
            rest: match row.get("dirty")? {
                0i64 => NewsRest::Left,
                2 => NewsRest::Waits,
                _ => NewsRest::ToPlan,
            },
            situation: row.get("situation")?,
            read_at: row.get("read_at")?,
        };
        let json: String = row.get("fields")?;
        Ok((fields_parse(&json).unwrap_or_default(), news))
    })
    .optional()
}

fn parked(c: &Connection, object: &str, side: Side, id: &str) -> rusqlite::Result<Option<QuarantineRow>> {
    c.prepare_cached("SELECT * FROM quarantine WHERE object = ?1 AND side = ?2 AND id = ?3")?
        .query_row(params![object, side.as_str(), id], super::quarantine::row_from)
        .optional()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::record::{Record, Value};

    #[test]
    fn the_journal_is_asked_by_its_indexes() {
        let store = Store::in_memory().unwrap();
        let plan: Vec<String> = store
            .read(|c| {
                c.prepare(&format!("EXPLAIN QUERY PLAN {JOURNAL}"))?
                    .query_map(params!["a", "b", "order", 1], |r| r.get::<_, String>(3))?
                    .collect()
            })
            .unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains("intent_salesforce") && plan.contains("intent_platform"), "{plan}");
        assert!(!plan.contains("SCAN intent"), "{plan}");
    }

    #[test]
    fn a_record_is_found_by_what_it_holds_and_told_whole() {
        let store = Store::in_memory().unwrap();
        let run = store.start_run("delta", "test", "2026-11-24T12:00:00Z".parse().unwrap()).unwrap();
        let record = Record::live("001A", Fields::from([("Name".to_owned(), Value::text("Åkerö"))]));
        store.stage(run, "account", Side::Salesforce, &[record], false, &|_| Vec::new()).unwrap();
        let found = |text: &str| {
            let text = text.to_lowercase();
            store.search("account", Side::Salesforce, &["Name"], &|v| v.to_lowercase().contains(&text), 10).unwrap()
        };
        assert_eq!(found("ÅKE").into_iter().next().unwrap().ids, (Some("001A".to_owned()), None));
        assert!(found("x").is_empty());
        let known = store.known("account", Side::Salesforce, "001A").unwrap().unwrap();
        assert_eq!(known.salesforce("Name"), Some(&Value::text("Åkerö")));
        let news = known.news.salesforce.unwrap();
        assert_eq!((news.rest, news.read_at.as_str()), (NewsRest::ToPlan, "2026-11-24T12:00:00Z"));
        assert_eq!(store.objects_with(&["account", "contact"], "001A").unwrap(), [("account".to_owned(), Side::Salesforce)]);
        assert_eq!(store.known("account", Side::Salesforce, "001B").unwrap(), None);
    }
}
