//! Absence is not deletion. A record that a complete sweep did not show is a suspect; only a second look in a later run
//! and a read by id prove it gone, and a side that shows nothing at all is not believed.

use super::{guard::Watch, native::readable_fields, pull::Pull};
use crate::connectors::{DeleteFeed, Fetched};
use crate::record::{Life, Record, RecordId, Side};
use crate::rules::Mapping;
use crate::seeded::seeded;
use chrono::Duration;

/// Looks after a complete sweep of one object. Answers true if the side was held as emptied.
pub async fn after_sweep(pull: &Pull<'_>, mapping: &Mapping, watch: &Watch<'_>, confirm_after: Duration) -> anyhow::Result<bool> {
    let (store, side, object) = (pull.store, pull.side, mapping.object.as_str());
    let links = store.link_count(object)?;
    if links > 0 && store.seen_in_sweep(object, side)? == 0 && !watch.emptiness_approved(side, links)? {
        watch.hold_emptied(side, links)?;
        return Ok(true);
    }
    let second_look = store.end_sweep(pull.run, object, side, pull.now, pull.now - confirm_after)?;
    if second_look.is_empty() {
        return Ok(false);
    }
    tracing::info!(object, %side, suspects = second_look.len(), "not seen twice: reading by id");
    let fields = pull.schemas.get(pull.resource(mapping)).map(|s| readable_fields(pull.rules, mapping, side, s)).unwrap_or_default();
    let by_absence = absence_proves(pull, mapping);
    for ids in second_look.chunks(500) {
        if seeded!(AbsenceProves) {
            pull.stage(mapping, &ids.iter().cloned().map(deleted).collect::<Vec<_>>(), false)?;
            continue;
        }
        let fetched = match pull.reader.get_many(pull.resource(mapping), &fields, ids).await {
            Ok(fetched) => fetched,
            Err(fault) => {
                tracing::warn!(object, %side, "suspects could not be read: {fault}");
                return Ok(false);
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
                Fetched::Missing(id) if by_absence => gone.push(deleted(id)),
                Fetched::Refused(id, _) if seeded!(RefusedIsGone) => gone.push(deleted(id)),
                // No access, or purged long ago: nobody can tell, so nothing happens.
                Fetched::Missing(id) | Fetched::Refused(id, _) => {
                    tracing::warn!(object, %side, record = %id, "not seen and not proved gone")
                }
            }
        }
        pull.stage(mapping, &gone, false)?;
    }
    Ok(false)
}

fn absence_proves(pull: &Pull<'_>, mapping: &Mapping) -> bool {
    pull.side == Side::Platform && pull.reader.catalogue().resource(pull.resource(mapping)).is_none_or(|r| r.deletes == DeleteFeed::Absence)
}

fn deleted(id: RecordId) -> Record {
    Record { id, fields: crate::record::Fields::new(), stamp: None, life: Life::Deleted, partial: Vec::new() }
}
