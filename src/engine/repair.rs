//! What `verify --repair` asked for: the records are read afresh and become news. Where the memory takes drifting entries for
//! in step, their base is forgotten, so that the ordinary pipeline decides as if nothing had ever been agreed on them. Nothing
//! is written from here.

use super::{native::readable_fields, pull::Pull};
use crate::connectors::{Fault, Fetched};
use crate::record::{Fields, Record, RecordId, Side, Sides, Value};
use crate::rules::{Entry, Mapping};
use crate::store::{Forgotten, Link, Repair};
use std::collections::BTreeMap;

/// Looked at in one go.
const BATCH: u32 = 500;

/// Takes up every repair of an object. A side that cannot be read leaves the rest for the next run.
pub async fn take_up(pulls: Sides<&Pull<'_>>, mapping: &Mapping) -> anyhow::Result<Option<(Side, Fault)>> {
    let store = pulls.salesforce.store;
    loop {
        let repairs = store.next_repairs(&mapping.object, BATCH)?;
        if repairs.is_empty() {
            return Ok(None);
        }
        let mut pairs: Vec<(&Repair, Option<Link>)> = Vec::with_capacity(repairs.len());
        let mut ids: Sides<Vec<RecordId>> = Sides::default();
        for repair in &repairs {
            let link = store.link(&mapping.object, repair.side, repair.id.as_str())?;
            match &link {
                Some(link) => Side::BOTH.into_iter().for_each(|side| ids[side].push(link.id_on(side).clone())),
                None => ids[repair.side].push(repair.id.clone()),
            }
            pairs.push((repair, link));
        }
        let mut shown: Sides<BTreeMap<RecordId, Option<Record>>> = Sides::default();
        for side in Side::BOTH {
            match read(pulls[side], mapping, &ids[side]).await {
                Ok(found) => shown[side] = found,
                Err(fault) => return Ok(Some((side, fault))),
            }
        }
        for (repair, link) in pairs {
            renew(pulls, mapping, repair, link.as_ref(), &shown)?;
        }
        store.take_repairs(&mapping.object, &repairs)?;
    }
}

async fn read(pull: &Pull<'_>, mapping: &Mapping, ids: &[RecordId]) -> Result<BTreeMap<RecordId, Option<Record>>, Fault> {
    let (mut shown, resource) = (BTreeMap::new(), pull.resource(mapping));
    if ids.is_empty() {
        return Ok(shown);
    }
    let fields = pull.schemas.get(resource).map(|s| readable_fields(pull.rules, mapping, pull.side, s)).unwrap_or_default();
    for found in pull.reader.get_many(resource, &fields, ids).await? {
        match found {
            Fetched::Here(record) | Fetched::Deleted(record) => drop(shown.insert(record.id.clone(), Some(record))),
            Fetched::Missing(id) | Fetched::Refused(id, _) => drop(shown.insert(id, None)),
        }
    }
    Ok(shown)
}

fn renew(
    pulls: Sides<&Pull<'_>>,
    mapping: &Mapping,
    repair: &Repair,
    link: Option<&Link>,
    shown: &Sides<BTreeMap<RecordId, Option<Record>>>,
) -> anyhow::Result<()> {
    let store = pulls.salesforce.store;
    let own = |side: Side| link.map(|l| l.id_on(side)).or_else(|| (side == repair.side).then_some(&repair.id));
    let now = Sides::new(
        own(Side::Salesforce).and_then(|id| shown.salesforce.get(id)).and_then(Option::as_ref),
        own(Side::Platform).and_then(|id| shown.platform.get(id)).and_then(Option::as_ref),
    );
    if let (Some(link), Some(salesforce), Some(platform)) = (link, now.salesforce, now.platform) {
        let entries = mapping.entries.iter().filter(|e| repair.entries.contains(&e.name));
        let base = |side| store.base(link.id, side).map(Option::unwrap_or_default);
        let base = Sides::new(base(Side::Salesforce)?, base(Side::Platform)?);
        store.forget_base(link.id, &forgotten(entries, Sides::new(&salesforce.fields, &platform.fields), base.as_ref()))?;
    }
    for side in Side::BOTH {
        let Some(id) = own(side) else { continue };
        match now[side] {
            Some(record) => {
                pulls[side].stage(mapping, std::slice::from_ref(record), false)?;
                store.wake(&mapping.object, &[(side, id.clone())])?;
            }
            None if link.is_some() => store.suspect(pulls[side].run, &mapping.object, side, id, pulls[side].now)?,
            None => {}
        }
    }
    Ok(())
}

/// What a side that may write has moved since its base is news, and is decided as news. Where the memory takes both for in
/// step it is wrong, and forgets: if both sides hold a value and both may write, a blank base makes it a conflict like any
/// other, so that the rules decide and the loser is kept; everything else is compared as at a first match.
fn forgotten<'e>(entries: impl Iterator<Item = &'e Entry>, now: Sides<&Fields>, base: Sides<&Fields>) -> Forgotten {
    let mut out = Forgotten::default();
    for entry in entries {
        let names = Sides::new(&entry.salesforce, &entry.platform);
        let moved = |side: Side| names[side].iter().any(|n| now[side].get(n) != base[side].get(n));
        let news = entry.direction.to_platform() && moved(Side::Salesforce) || entry.direction.to_salesforce() && moved(Side::Platform);
        if news {
            continue;
        }
        let filled = |side: Side| names[side].iter().any(|n| now[side].get(n).is_some_and(|v| !v.is_blank()));
        let both_ways = entry.direction.to_platform() && entry.direction.to_salesforce() && entry.lens.two_way();
        let clash = both_ways && filled(Side::Salesforce) && filled(Side::Platform);
        for side in Side::BOTH {
            out[side].extend(names[side].iter().map(|n| (n.clone(), clash.then_some(Value::Null))));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Conflict, Direction, Lens};

    fn entry(direction: Direction) -> Entry {
        Entry {
            name: "Phone".to_owned(),
            salesforce: vec!["Phone".to_owned()],
            platform: vec!["phone".to_owned()],
            lens: Lens::Copy,
            direction,
            conflict: Conflict::Salesforce,
        }
    }

    #[test]
    fn two_values_clash_and_a_blank_is_a_first_match() {
        let one = |name: &str, value: Value| Fields::from([(name.to_owned(), value)]);
        let (filled, blank) = (one("Phone", Value::text("1")), one("Phone", Value::Null));
        let there = one("phone", Value::text("2"));
        let forget = |direction, salesforce| {
            let now = Sides::new(salesforce, &there);
            forgotten([&entry(direction)].into_iter(), now, now)
        };
        let (null, gone) = (Some(Value::Null), None);
        assert_eq!(forget(Direction::Both, &filled).platform, [("phone".to_owned(), null)]);
        assert_eq!(forget(Direction::Both, &blank).platform, [("phone".to_owned(), gone.clone())]);
        assert_eq!(forget(Direction::ToPlatform, &filled).salesforce, [("Phone".to_owned(), gone)]);
    }

    #[test]
    fn what_the_ruling_side_moved_is_decided_as_news() {
        let one = |name: &str, value: &str| Fields::from([(name.to_owned(), Value::text(value))]);
        let (now, base) = ((one("Phone", "1"), one("phone", "2")), (one("Phone", "1"), one("phone", "1")));
        let forget = |direction| {
            let (now, base) = (Sides::new(&now.0, &now.1), Sides::new(&base.0, &base.1));
            forgotten([&entry(direction)].into_iter(), now, base)
        };
        assert_eq!(forget(Direction::Both), Forgotten::default(), "the platform moved it");
        assert_eq!(forget(Direction::ToPlatform).platform, [("phone".to_owned(), None)], "the platform may not");
    }
}
