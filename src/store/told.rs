//! What the store knows of orders, accounts and licenses for what Lockstep says of them in Salesforce.

use super::Cached;
use super::{
    Store,
    links::{base_of, count, link_by},
};
use crate::plan::StepReport;
use crate::record::{Fields, Side, fields_parse};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, BTreeSet};

/// One Salesforce record as it is known: with its news, or as its base has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shown {
    pub id: String,
    pub fields: Fields,
    pub link: Option<(i64, String)>,
    pub stamp: Option<String>,
}

/// The licenses that Salesforce has of one order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    pub sold: u64,
    pub active: u64,
    pub last_activation: Option<String>,
}

/// A reset that was asked for and carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetDone {
    pub salesforce_id: String,
    pub at: String,
    pub steps: Vec<StepReport>,
    /// No side was asked: the platform cannot do it.
    pub local: bool,
}

fn shown(c: &Connection, object: &str, id: &str) -> rusqlite::Result<Option<Shown>> {
    let parse = |json: String| fields_parse(&json).unwrap_or_default();
    let staged: Option<(String, Option<String>, String)> = c
        .prepare_cached("SELECT fields, stamp, life FROM staged WHERE object = ?1 AND side = 'salesforce' AND id = ?2")?
        .query_row(params![object, id], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
        .optional()?;
    let link = link_by(c, object, Side::Salesforce, id)?;
    let live = link.as_ref().is_none_or(|l| l.state == super::LinkState::Live) && staged.as_ref().is_none_or(|s| s.2 == "live");
    if !live || (staged.is_none() && link.is_none()) {
        return Ok(None);
    }
    let base = match &link {
        Some(link) => base_of(c, link.id, Side::Salesforce)?.unwrap_or_default(),
        None => Fields::new(),
    };
    let (stamp, fields) = match staged {
        Some((json, stamp, _)) => (stamp, parse(json)),
        None => (None, base),
    };
    Ok(Some(Shown { id: id.to_owned(), fields, link: link.map(|l| (l.id, l.platform_id.as_str().to_owned())), stamp }))
}

impl Store {
    /// True if anything happened since the end of that run that Salesforce should be told of.
    pub fn moved_since(&self, run: i64, orders: &str) -> anyhow::Result<bool> {
        self.read(|c| {
            c.one(
                "SELECT EXISTS (SELECT 1 FROM intent WHERE run_id > ?1 AND situation <> 'told')
                     OR EXISTS (SELECT 1 FROM staged WHERE run_id > ?1 AND object = ?2)
                     OR EXISTS (SELECT 1 FROM quarantine WHERE run_id > ?1) OR EXISTS (SELECT 1 FROM hold WHERE run_id > ?1)
                     OR EXISTS (SELECT 1 FROM meta WHERE key >= 'tell:' AND key < 'tell;')",
                params![run, orders],
                |r| r.get(0),
            )
        })
    }

    /// Notes that what is said of these Salesforce records has to be looked at again, whatever becomes of their news.
    pub fn note_to_tell(&self, ids: &[&str]) -> anyhow::Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        self.write(|tx| {
            let mut note = tx.prepare_cached("INSERT OR IGNORE INTO meta (key, value) VALUES ('tell:' || ?1, '')")?;
            for id in ids {
                note.execute([id])?;
            }
            Ok(())
        })
    }

    /// Everything is said up to this run and this day.
    pub fn told(&self, run: i64, day: &str) -> anyhow::Result<()> {
        self.write(|tx| {
            tx.run("DELETE FROM meta WHERE key >= 'tell:' AND key < 'tell;'", [])?;
            tx.run("INSERT INTO meta VALUES ('told', ?1) ON CONFLICT DO UPDATE SET value = excluded.value", [format!("{run} {day}")])?;
            Ok(())
        })
    }

    /// The run and the day that everything was said up to.
    pub fn last_told(&self) -> anyhow::Result<Option<(i64, String)>> {
        let told = self.meta("told")?;
        Ok(told.as_deref().and_then(|t| t.split_once(' ')).and_then(|(run, day)| Some((run.parse().ok()?, day.to_owned()))))
    }

    /// Orders to look at: all without a partner that are due, drafts that moved, and those whose own or whose licenses' rows
    /// moved since that run; all of them if there is none.
    pub fn orders_to_tell(&self, orders: &str, license_order: Option<&str>, since: Option<i64>) -> anyhow::Result<BTreeSet<String>> {
        self.read(|c| {
            let mut ids: BTreeSet<String> = c
                .prepare_cached(
                    "SELECT s.id FROM staged s WHERE s.object = ?1 AND s.side = 'salesforce' AND s.life = 'live'
                     AND (s.run_id > ?2 OR coalesce(s.situation, '') NOT IN ('out-of-scope', 'before-provision-from')) AND NOT EXISTS (SELECT 1 FROM link l WHERE l.object = ?1 AND l.salesforce_id = s.id)",
                )?
                .query_map(params![orders, since.unwrap_or(-1)], |r| r.get(0))?
                .collect::<Result<_, _>>()?;
            let Some(since) = since else {
                let mut all = c.prepare_cached("SELECT salesforce_id FROM link WHERE object = ?1 AND state = 'live'")?;
                for id in all.query_map([orders], |r| r.get::<_, String>(0))? {
                    ids.insert(id?);
                }
                return Ok(ids);
            };
            let mut touched = c.prepare_cached(
                "SELECT salesforce_id FROM intent WHERE run_id > ?2 AND object = ?1 AND situation <> 'told' AND salesforce_id IS NOT NULL
                 UNION SELECT id FROM staged WHERE run_id > ?2 AND object = ?1 AND side = 'salesforce'
                 UNION SELECT id FROM quarantine WHERE object = ?1 AND side = 'salesforce'
                 UNION SELECT substr(key, 6) FROM meta WHERE key >= 'tell:' AND key < 'tell;'",
            )?;
            for id in touched.query_map(params![orders, since], |r| r.get::<_, String>(0))? {
                ids.insert(id?);
            }
            if let Some(field) = license_order {
                let mut by_license = c.prepare_cached(
                    "SELECT DISTINCT json_extract(b.fields, '$.\"' || ?2 || '\"') FROM intent i
                     JOIN link l ON l.object = i.object AND l.salesforce_id = i.salesforce_id
                     JOIN base b ON b.link_id = l.id AND b.side = 'salesforce' WHERE i.object = 'license' AND i.run_id > ?1",
                )?;
                for id in by_license.query_map(params![since, field], |r| r.get::<_, Option<String>>(0))? {
                    ids.extend(id?);
                }
            }
            Ok(ids)
        })
    }

    /// What is known of these Salesforce records; those that are gone are left out.
    pub fn shown_of<'a>(&self, object: &str, ids: impl Iterator<Item = &'a str>) -> anyhow::Result<Vec<Shown>> {
        self.read(|c| {
            let mut found = Vec::new();
            for id in ids {
                found.extend(shown(c, object, id)?);
            }
            Ok(found)
        })
    }

    /// By Salesforce order what licenses it has there. Active: enabled, not past its end, activated at least once.
    pub fn license_counts(&self, order_field: &str, today: &str) -> anyhow::Result<BTreeMap<String, Counted>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT json_extract(b.fields, '$.\"' || ?1 || '\"') AS ord, count(*),
                   coalesce(sum(coalesce(json_extract(b.fields, '$.Enabled__c'), 1) AND coalesce(json_extract(b.fields, '$.Activations__c'), 0) > 0
                     AND coalesce(json_extract(b.fields, '$.Valid_Until__c'), ?2) >= ?2), 0),
                   max(json_extract(b.fields, '$.Last_Activation__c'))
                 FROM link l JOIN base b ON b.link_id = l.id AND b.side = 'salesforce'
                 WHERE l.object = 'license' AND l.state = 'live' AND ord IS NOT NULL GROUP BY ord",
            )?
            .query_map(params![order_field, today], |r| {
                Ok((r.get(0)?, Counted { sold: count(r.get(1)?), active: count(r.get(2)?), last_activation: r.get(3)? }))
            })?
            .collect()
        })
    }

    /// By Salesforce order the account it belongs to.
    pub fn accounts_of_orders(&self, orders: &str) -> anyhow::Result<BTreeMap<String, String>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT l.salesforce_id, json_extract(b.fields, '$.AccountId') AS account FROM link l
                 JOIN base b ON b.link_id = l.id AND b.side = 'salesforce' WHERE l.object = ?1 AND l.state = 'live' AND account IS NOT NULL",
            )?
            .query_map([orders], |r| Ok((r.get(0)?, r.get(1)?)))?
            .collect()
        })
    }

    /// Accounts that were told of licenses.
    pub fn accounts_told(&self) -> anyhow::Result<BTreeSet<String>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT l.salesforce_id FROM link l JOIN base b ON b.link_id = l.id AND b.side = 'salesforce'
                 WHERE l.object = 'account' AND l.state = 'live' AND json_extract(b.fields, '$.Licenses_Sold__c') > 0",
            )?
            .query_map([], |r| r.get(0))?
            .collect()
        })
    }

    /// Resets that are done and whose box is not cleared yet, with the last outcome.
    pub fn resets_to_tell(&self) -> anyhow::Result<Vec<ResetDone>> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT l.salesforce_id, i.settled_at, i.steps, i.verb = 'mark' FROM link l
                 JOIN base b ON b.link_id = l.id AND b.side = 'salesforce'
                 JOIN intent i ON i.id = (SELECT max(j.id) FROM intent j WHERE j.salesforce_id = l.salesforce_id AND j.object = 'license'
                                           AND j.situation = 'reset-requested' AND j.state = 'done')
                 WHERE l.object = 'license' AND l.state = 'live' AND json_extract(b.fields, '$.Reset_Requested__c') = 1",
            )?
            .query_map([], |r| {
                let steps: Option<String> = r.get(2)?;
                Ok(ResetDone {
                    salesforce_id: r.get(0)?,
                    at: r.get::<_, Option<String>>(1)?.unwrap_or_default(),
                    steps: steps.and_then(|s| serde_json::from_str(&s).ok()).unwrap_or_default(),
                    local: r.get(3)?,
                })
            })?
            .collect()
        })
    }
}
