//! Absence is not deletion. A record that a complete sweep did not show is a suspect; only a second look in a later run
//! and a read by id prove it gone, and a side that shows nothing at all is not believed.
//!
//! Where a side reports deletions, it is asked at once: what it calls deleted by id, or in its log of deletions, is proved.
//! What it neither shows nor reports, twice, is named and left alone: it may have been purged long ago, or be hidden from us.

use super::{guard::Watch, native::readable_fields, pull::Pull};
use crate::connectors::{DeleteFeed, Fetched};
use crate::record::{Life, Record, RecordId, Side};
use crate::rules::Mapping;
use crate::seeded::seeded;
use chrono::Duration;

/// Read by id in one go.
const BATCH: usize = 2_000;
/// More unseen records than this, and more than a tenth of all that are linked: that is no purge but a lost permission.
const MANY: u64 = 10;

/// Looks after a complete sweep of one object. Answers true if the side was held as emptied.
pub async fn after_sweep(pull: &Pull<'_>, mapping: &Mapping, watch: &Watch<'_>, confirm_after: Duration) -> anyhow::Result<bool> {
    let (store, side, object) = (pull.store, pull.side, mapping.object.as_str());
    let links = store.link_count(object)?;
    if links > 0 && store.seen_in_sweep(object, side)? == 0 && !watch.emptiness_approved(side, links)? {
        watch.hold_emptied(side, links)?;
        return Ok(true);
    }
    let look = Look { pull, mapping };
    let second_look = store.end_sweep(pull.run, object, side, pull.now, pull.now - confirm_after)?;
    let missing = store.suspects(object, side)?;
    if look.reported() {
        // Deleted in the bin is proof enough for a first look; a plain nothing waits for the second.
        look.by_id(&store.fresh_suspects(pull.run, object, side)?).await?;
    }
    let unseen = look.by_id(&second_look).await?;
    if look.reported() {
        look.unseen(unseen, links).await?;
    }
    store.note_absent(pull.run, object, side, missing, look.still_unseen()?)?;
    Ok(false)
}

struct Look<'a> {
    pull: &'a Pull<'a>,
    mapping: &'a Mapping,
}

impl Look<'_> {
    fn reported(&self) -> bool {
        let resource = self.pull.reader.catalogue().resource(self.pull.resource(self.mapping));
        match self.pull.side {
            Side::Salesforce => true,
            Side::Platform => resource.is_some_and(|r| r.deletes == DeleteFeed::Reported),
        }
    }

    /// Suspects read by id: those that are there are cleared, those that are proved gone are staged as deleted. Answers
    /// those of which nobody can tell.
    async fn by_id(&self, suspects: &[RecordId]) -> anyhow::Result<Vec<RecordId>> {
        let (pull, mapping) = (self.pull, self.mapping);
        let (store, side, object) = (pull.store, pull.side, mapping.object.as_str());
        let mut untold = Vec::new();
        if suspects.is_empty() {
            return Ok(untold);
        }
        tracing::info!(object, %side, suspects = suspects.len(), "not seen: reading by id");
        let fields = pull.schemas.get(pull.resource(mapping)).map(|s| readable_fields(pull.rules, mapping, side, s)).unwrap_or_default();
        for ids in suspects.chunks(BATCH) {
            if seeded!(AbsenceProves) {
                pull.stage(mapping, &ids.iter().cloned().map(deleted).collect::<Vec<_>>(), false)?;
                continue;
            }
            let fetched = match pull.reader.get_many(pull.resource(mapping), &fields, ids).await {
                Ok(fetched) => fetched,
                Err(fault) => {
                    tracing::warn!(object, %side, "suspects could not be read: {fault}");
                    return Ok(Vec::new());
                }
            };
            let mut gone = Vec::new();
            for found in fetched {
                match found {
                    Fetched::Here(record) => {
                        store.clear_suspect(object, side, &record.id)?;
                        pull.stage(mapping, &[record], false)?;
                    }
                    Fetched::Deleted(record) => gone.push(record),
                    Fetched::Missing(id) if !self.reported() => gone.push(deleted(id)),
                    Fetched::Refused(id, _) if seeded!(RefusedIsGone) => gone.push(deleted(id)),
                    Fetched::Missing(id) | Fetched::Refused(id, _) => untold.push(id),
                }
            }
            pull.stage(mapping, &gone, false)?;
        }
        Ok(untold)
    }

    /// Not seen twice, and not by id: what the log of deletions names is gone, the rest is named and left.
    async fn unseen(&self, ids: Vec<RecordId>, links: u64) -> anyhow::Result<()> {
        let (pull, mapping) = (self.pull, self.mapping);
        let (store, side, object) = (pull.store, pull.side, mapping.object.as_str());
        let mut logged = Vec::new();
        if !ids.is_empty() {
            match pull.reader.reported_deleted(pull.resource(mapping), &ids).await {
                Ok(reported) => logged = reported,
                Err(fault) => tracing::warn!(object, %side, "the log of deletions could not be read: {fault}"),
            }
        }
        let records: Vec<Record> = logged.iter().cloned().map(deleted).collect();
        pull.stage(mapping, &records, false)?;
        let left: Vec<RecordId> = ids.into_iter().filter(|id| !logged.contains(id)).collect();
        let many = left.len() as u64 > MANY.max(links / 10);
        let reason = if many {
            format!(
                "one of {} {object} records that cannot be seen any more: check the permissions of our user and the sharing of {}",
                left.len(),
                pull.resource(mapping)
            )
        } else {
            format!(
                "neither in the list of {} nor by its id, and not reported as deleted: purged long ago, or hidden from our user",
                pull.resource(mapping)
            )
        };
        if many {
            let told = format!(
                "{} of {links} linked records cannot be seen any more and are not reported as deleted; nothing is done about them",
                left.len()
            );
            store.note_read_error(pull.run, object, side, &told)?;
        }
        for id in left.iter().take(if many { 1 } else { left.len() }) {
            tracing::warn!(object, %side, record = %id, "not seen and not proved gone: {reason}");
        }
        store.note_unseen(pull.run, object, side, &left, &reason, pull.now)
    }

    fn still_unseen(&self) -> anyhow::Result<u64> {
        self.pull.store.unseen_count(&self.mapping.object, self.pull.side)
    }
}

fn deleted(id: RecordId) -> Record {
    Record { id, fields: crate::record::Fields::new(), stamp: None, life: Life::Deleted, partial: Vec::new() }
}
