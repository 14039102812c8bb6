//! Records that live inside another one: gone with it, and made again with it.
//!
//! Knows the links, what each side showed last, and what is missing; what follows from it is decided elsewhere.

use super::{
    Store,
    links::{link_by, link_from},
    stage::forget,
};
use crate::record::Side;
use crate::seeded::seeded;
use crate::store::{Link, LinkState};
use rusqlite::{ToSql, Transaction, named_params, params};

/// Which records of an object belong to which of another one: the fields that hold the id of it on either side.
#[derive(Debug, Clone, Copy)]
pub struct Nest<'n> {
    pub child: &'n str,
    pub parent: &'n str,
    pub salesforce_field: &'n str,
    pub platform_field: &'n str,
}

impl Store {
    /// True if the platform record with this id is gone, or not to be seen: whatever was inside it went with it.
    pub fn is_gone_or_missed(&self, object: &str, platform_id: &str) -> anyhow::Result<bool> {
        self.read(|c| {
            let live = link_by(c, object, Side::Platform, platform_id)?.is_some_and(|link| link.state == LinkState::Live);
            let missed: bool = c
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM suspect WHERE object = ?1 AND side = 'platform' AND id = ?2)")?
                .query_row(params![object, platform_id], |r| r.get(0))?;
            Ok(!live || missed)
        })
    }

    /// Children that went with a parent which has been made anew since are new records of Salesforce again. Answers how many.
    pub fn made_again_with_parent(&self, run: i64, nest: &Nest<'_>) -> anyhow::Result<usize> {
        self.anew(
            run,
            // Of the links the few that are gone come first: crossed, so that this order is kept.
            "SELECT l.* FROM link l
             CROSS JOIN base s ON s.link_id = l.id AND s.side = 'salesforce'
             CROSS JOIN base p ON p.link_id = l.id AND p.side = 'platform'
             CROSS JOIN link a ON a.object = :parent AND a.state = 'live' AND a.salesforce_id = json_extract(s.fields, '$.\"' || :salesforce || '\"')
             WHERE l.object = :child AND a.platform_id <> json_extract(p.fields, '$.\"' || :platform || '\"')
               AND (l.state = 'buried' OR (l.state = 'live' AND EXISTS
                 (SELECT 1 FROM suspect m WHERE m.object = :child AND m.side = 'platform' AND m.id = l.platform_id)))
               AND NOT EXISTS (SELECT 1 FROM link o WHERE o.object = :parent AND o.state = 'live'
                 AND o.platform_id = json_extract(p.fields, '$.\"' || :platform || '\"'))",
            named_params! {
                ":child": nest.child, ":parent": nest.parent, ":salesforce": nest.salesforce_field, ":platform": nest.platform_field,
            },
        )
    }

    /// A tombstone whose record has a child that Salesforce shows news of is no tombstone any more. Answers how many.
    pub fn wake_parents_of_news(&self, run: i64, nest: &Nest<'_>) -> anyhow::Result<usize> {
        self.anew(
            run,
            "SELECT l.* FROM link l WHERE l.object = :parent AND l.state = 'buried' AND EXISTS
               (SELECT 1 FROM staged c WHERE c.object = :child AND c.side = 'salesforce' AND c.life = 'live' AND c.dirty <> 0
                 AND json_extract(c.fields, '$.\"' || :salesforce || '\"') = l.salesforce_id
                 AND NOT EXISTS (SELECT 1 FROM quarantine q WHERE q.object = c.object AND q.side = c.side AND q.id = c.id))",
            named_params! { ":parent": nest.parent, ":child": nest.child, ":salesforce": nest.salesforce_field },
        )
    }

    /// What is proved gone on the platform while Salesforce has it is a new record of Salesforce again. Answers how many.
    pub fn made_again(&self, run: i64, object: &str) -> anyhow::Result<usize> {
        self.anew(
            run,
            "SELECT l.* FROM link l JOIN staged g ON g.object = l.object AND g.side = 'platform' AND g.id = l.platform_id AND g.life = 'deleted'
             WHERE l.object = :object AND l.state = 'live'",
            named_params! { ":object": object },
        )
    }

    fn anew(&self, run: i64, which: &str, of: &[(&str, &dyn ToSql)]) -> anyhow::Result<usize> {
        self.write(|tx| {
            let links: Vec<Link> = tx.prepare_cached(which)?.query_map(of, link_from)?.collect::<Result<_, _>>()?;
            let mut done = 0;
            for link in &links {
                done += usize::from(new_again(tx, run, link)?);
            }
            Ok(done)
        })
    }
}

/// The link goes, and the Salesforce record is news as it was shown last; one that is gone there too, or that Salesforce did not
/// show when all was asked for, stays what it is.
fn new_again(tx: &Transaction<'_>, run: i64, link: &Link) -> anyhow::Result<bool> {
    let (object, own) = (link.object.as_str(), link.salesforce_id.as_str());
    let gone: bool = tx
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM staged WHERE object = ?1 AND side = 'salesforce' AND id = ?2 AND life <> 'live')
                 OR EXISTS (SELECT 1 FROM suspect WHERE object = ?1 AND side = 'salesforce' AND id = ?2)",
        )?
        .query_row(params![object, own], |r| r.get(0))?;
    if gone && !seeded!(UnseenIsThere) {
        return Ok(false);
    }
    tx.prepare_cached(
        "INSERT INTO staged (object, side, id, fields, hash, life, dirty, run_id)
         SELECT ?1, 'salesforce', ?2, fields, hash, 'live', 1, ?4 FROM base WHERE link_id = ?3 AND side = 'salesforce'
         ON CONFLICT DO UPDATE SET dirty = 1, situation = NULL, run_id = excluded.run_id",
    )?
    .execute(params![object, own, link.id, run])?;
    forget(tx, object, Side::Platform, link.platform_id.as_str())?;
    tx.prepare_cached("DELETE FROM suspect WHERE object = ?1 AND side = 'platform' AND id = ?2")?
        .execute(params![object, link.platform_id.as_str()])?;
    tx.prepare_cached("DELETE FROM link WHERE id = ?1")?.execute([link.id])?;
    Ok(true)
}
