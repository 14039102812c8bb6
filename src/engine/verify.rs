//! A full comparison of both systems by value, on a reading path of its own: no base, no staged row and no watermark is
//! asked, only the links and the rules. It reads both sides whole into a scratch file, applies the lenses itself, looks a
//! second time at whatever differs, and says what it found. It writes nothing.
//!
//! What is known to be open (news, quarantine, conflicts, suspects) is told apart from drift, and so is what the rules leave
//! different on purpose.

use super::native::{LINES, native_fields};
use super::run::Trouble;
use crate::connectors::{Ask, Fault, FaultKind, Fetched, Page, Reader, Schema};
use crate::record::{FieldType, Fields, Life, Record, RecordId, Side, Sides, Value, coerce};
use crate::rules::{Entry, Lens, LensError, Mapping, Rules, Translate};
use crate::store::{Duplicate, Keys, Link, LinkState, Links, Repair, Scratch, ShownRecord, SidesJson, Store};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc;

/// Links compared in one go, and ids of a second look.
const BATCH: u32 = 500;
/// Differences of an object that are listed one by one; all of them are counted, and all of them are repaired.
const LISTED_MAX: usize = 1_000;

pub struct Verify<'a> {
    pub store: &'a Store,
    pub rules: &'a Rules,
    pub sides: Sides<&'a dyn Reader>,
    /// Only this object.
    pub object: Option<&'a str>,
}

/// What a comparison found.
#[derive(Debug, Default, Serialize)]
pub struct Verified {
    pub objects: Vec<ObjectFound>,
    /// Records that drifted, of all objects.
    pub drift: u64,
    /// Records that differ and of which something is known to be open.
    pub unsettled: u64,
    /// What a repair has to look at, by object.
    #[serde(skip)]
    pub repairs: BTreeMap<String, Vec<Repair>>,
}

#[derive(Debug, Default, Serialize)]
pub struct ObjectFound {
    pub object: String,
    /// Live records.
    pub records: SidesJson,
    /// Live links.
    pub linked: u64,
    /// Pairs of which every readable entry agrees.
    pub in_step: u64,
    pub out_of_scope: u64,
    /// Pairs that differ where the rules leave them different.
    pub left: u64,
    pub drift: u64,
    pub unsettled: u64,
    /// Drift by entry: how many pairs.
    pub fields: BTreeMap<String, u64>,
    /// The pairs that drifted or are unsettled, up to a thousand.
    pub differences: Vec<Difference>,
    /// Records without their partner, up to a thousand.
    pub one_sided: Vec<OneSided>,
    /// How many of both are not listed.
    pub more: u64,
    /// Unlinked records that the memory knows of, by side and situation.
    pub unlinked: BTreeMap<String, u64>,
    /// Keys that several records of one side share.
    pub duplicate_keys: u64,
    pub duplicates: Vec<Duplicate>,
}

/// A linked pair that does not agree.
#[derive(Debug, Serialize)]
pub struct Difference {
    pub salesforce_id: String,
    pub platform_id: String,
    /// What is known to be open; none: drift.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<String>,
    pub fields: Vec<FieldDifference>,
}

#[derive(Debug, Serialize)]
pub struct FieldDifference {
    /// As the rules name the entry.
    pub field: String,
    /// Secrets masked.
    pub salesforce: serde_json::Value,
    pub platform: serde_json::Value,
    pub why: String,
}

/// A record whose partner is not there, or that nobody knows of.
#[derive(Debug, Serialize)]
pub struct OneSided {
    /// Where it is; none for a link whose records are on neither side.
    pub side: Option<Side>,
    pub id: String,
    /// The partner that is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linked_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<String>,
}

/// How one entry of a pair looks.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    Agrees,
    /// Not readable on one of the sides.
    Frozen,
    /// The rules leave it different.
    Left,
    Differs(String),
}

/// Everything known of one object before its pairs are compared.
struct Ground<'a> {
    mapping: &'a Mapping,
    schema: Sides<&'a Schema>,
    fields: Sides<Vec<String>>,
    /// Absence counts: the side was seen whole.
    whole: Sides<bool>,
    /// When the last run began: what changed after it is not drift yet.
    since: Option<String>,
}

impl Verify<'_> {
    /// Reads everything. `Err` with a `Trouble` where a side cannot be read or is another one than this state belongs to.
    pub async fn compare(&self) -> anyhow::Result<Verified> {
        self.same_systems().await?;
        let mappings: Vec<&Mapping> = self.rules.mappings.iter().filter(|m| self.object.is_none_or(|o| o == m.object)).collect();
        let mut schemas: Sides<BTreeMap<String, Schema>> = Sides::default();
        for side in Side::BOTH {
            let resources: Vec<String> = mappings.iter().map(|m| resource(m, side).to_owned()).collect();
            schemas[side] = self.sides[side].schema(&resources).await.map_err(|fault| Trouble::Side { side, fault })?;
        }
        let since = self.store.last_pass()?.map(|run| run.started_at);
        let mut sum = Verified::default();
        for mapping in mappings {
            for side in Side::BOTH {
                if !schemas[side].contains_key(resource(mapping, side)) {
                    return Err(Trouble::Resource { side, resource: resource(mapping, side).to_owned() }.into());
                }
            }
            let schema = Sides::new(&schemas.salesforce[&mapping.salesforce], &schemas.platform[&mapping.platform]);
            let mut ground =
                Ground { mapping, schema, fields: self.fields(mapping, schema), whole: Sides::default(), since: since.clone() };
            let scratch = Scratch::new()?;
            let (salesforce, platform) =
                tokio::join!(self.read(Side::Salesforce, &ground, &scratch), self.read(Side::Platform, &ground, &scratch));
            ground.whole = Sides::new(salesforce?, platform?);
            let (found, repairs) = self.object(&ground, &scratch).await?;
            sum.drift += found.drift;
            sum.unsettled += found.unsettled;
            sum.repairs.insert(mapping.object.clone(), repairs);
            sum.objects.push(found);
        }
        Ok(sum)
    }

    /// Nothing is pinned here: what was pinned is what counts.
    async fn same_systems(&self) -> anyhow::Result<()> {
        if let Some(pinned) = self.store.meta("connection")?.filter(|pinned| *pinned != self.rules.connection) {
            return Err(Trouble::Connection { pinned, found: self.rules.connection.clone() }.into());
        }
        for side in Side::BOTH {
            let found = self.sides[side].identity().await.map_err(|fault| Trouble::Side { side, fault })?.id;
            if let Some(pinned) = self.store.meta(&format!("identity:{side}"))?
                && !found.is_empty()
                && pinned != found
            {
                return Err(Trouble::Identity { side, pinned, found }.into());
            }
        }
        Ok(())
    }

    /// What is compared, looked at by the filter, planted or matched by; as far as our user may read it.
    fn fields(&self, mapping: &Mapping, schema: Sides<&Schema>) -> Sides<Vec<String>> {
        let of = |side: Side| {
            let free = self.sides[side].catalogue().resource(resource(mapping, side)).and_then(|r| r.free_prefix);
            let readable = |name: &String| {
                schema[side].fields.contains_key(name)
                    || (side == Side::Salesforce && name.contains('.'))
                    || free.is_some_and(|p| name.starts_with(p))
            };
            let mut names = native_fields(self.rules, mapping, side);
            names.extend(schema[side].planted.clone());
            if side == Side::Platform {
                names.extend(mapping.match_keys.iter().flatten().cloned());
            }
            names.retain(|name| name != LINES && readable(name));
            names.sort();
            names.dedup();
            names
        };
        Sides::new(of(Side::Salesforce), of(Side::Platform))
    }

    /// Everything live of one side into the scratch file. Answers whether that was all.
    async fn read(&self, side: Side, ground: &Ground<'_>, scratch: &Scratch) -> anyhow::Result<bool> {
        let ask = Ask {
            object: ground.mapping.object.clone(),
            resource: resource(ground.mapping, side).to_owned(),
            fields: ground.fields[side].clone(),
            since: None,
            sweep: true,
        };
        let (send, mut receive) = mpsc::channel::<Page>(2);
        let keep = async {
            while let Some(page) = receive.recv().await {
                let live = page.records.into_iter().filter(|r| r.life == Life::Live);
                let keyed: Vec<(Record, Keys)> = live.map(|r| (r.clone(), keys(ground, side, &r))).collect();
                scratch.put(side, &keyed)?;
            }
            anyhow::Ok(())
        };
        let asks = [ask];
        let (polled, kept) = tokio::join!(self.sides[side].poll(&asks, send), keep);
        kept?;
        let end = polled.map_err(|fault| Trouble::Side { side, fault })?.pop().map(|p| p.end);
        let unread = || Err(Fault::new(FaultKind::Answer, "not-read", "the object was not read"));
        Ok(end.unwrap_or_else(unread).map_err(|fault| Trouble::Side { side, fault })?.complete)
    }

    async fn object(&self, ground: &Ground<'_>, scratch: &Scratch) -> anyhow::Result<(ObjectFound, Vec<Repair>)> {
        let object = ground.mapping.object.as_str();
        let count = |side| scratch.count(side);
        let mut sum = Sum {
            found: ObjectFound {
                object: object.to_owned(),
                records: SidesJson { salesforce: count(Side::Salesforce)?, platform: count(Side::Platform)? },
                ..ObjectFound::default()
            },
            repairs: Vec::new(),
        };
        let mut after = 0;
        loop {
            let links = self.store.links_after(object, after, BATCH)?;
            let Some(last) = links.last() else { break };
            after = last.id;
            self.pairs(ground, scratch, links, &mut sum).await?;
        }
        for side in Side::BOTH {
            self.unlinked(ground, scratch, side, &mut sum).await?;
        }
        (sum.found.duplicate_keys, sum.found.duplicates) = scratch.duplicates(100)?;
        let planted = sum.found.duplicates.iter().filter(|d| d.ordinal == 0).count() as u64;
        sum.found.drift += planted;
        Ok((sum.found, sum.repairs))
    }

    async fn pairs(&self, ground: &Ground<'_>, scratch: &Scratch, links: Vec<Link>, sum: &mut Sum) -> anyhow::Result<()> {
        let mut pairs = Vec::with_capacity(links.len());
        for link in links {
            let shown = Sides::new(scratch.meet(Side::Salesforce, &link.salesforce_id)?, scratch.meet(Side::Platform, &link.platform_id)?);
            // A tombstone has lost one of its sides; what is left of it is nobody's business.
            if link.state == LinkState::Live {
                sum.found.linked += 1;
                pairs.push((link, shown));
            }
        }
        let translated = self.translations(ground, pairs.iter().map(|(_, shown)| shown))?;
        let (mut again, mut rest) = (Vec::new(), Vec::new());
        for (link, shown) in pairs {
            match judge(ground, &shown, &translated) {
                Judged::Settled(what) => sum.count(what),
                Judged::Differs(_) | Judged::OneSided => again.push(link),
            }
        }
        // What was edited between the two readings agrees at a second look, or is news that the next run takes.
        if !again.is_empty() {
            let mut seen = Sides::default();
            for side in Side::BOTH {
                let ids: Vec<RecordId> = again.iter().map(|l| l.id_on(side).clone()).collect();
                seen[side] = self.by_id(ground, side, &ids).await?;
            }
            rest.extend(again.into_iter().map(|link| {
                let shown = Sides::new(seen.salesforce.remove(&link.salesforce_id), seen.platform.remove(&link.platform_id));
                (link, shown)
            }));
        }
        let translated = self.translations(ground, rest.iter().map(|(_, shown)| shown))?;
        for (link, shown) in rest {
            match judge(ground, &shown, &translated) {
                Judged::Settled(what) => sum.count(what),
                Judged::Differs(fields) => {
                    let open = self.open(ground, &link, &shown)?;
                    sum.differ(&link, fields, open);
                }
                Judged::OneSided => {
                    let open = self.open(ground, &link, &shown)?;
                    let gone = Side::BOTH.into_iter().find(|side| shown[*side].is_none() && !ground.whole[*side]);
                    let open = open.or_else(|| gone.map(|side| format!("the list of the {side} moved while it was read")));
                    sum.alone(&link, &shown, open);
                }
            }
        }
        Ok(())
    }

    fn open(&self, ground: &Ground<'_>, link: &Link, shown: &Sides<Option<ShownRecord>>) -> anyhow::Result<Option<String>> {
        if let Some(open) = self.store.open_business(link)? {
            return Ok(Some(open));
        }
        let fresh = Side::BOTH.into_iter().any(|side| shown[side].as_ref().is_some_and(|r| ground.fresh(r.stamp.as_deref())));
        Ok(fresh.then(|| "changed since the last run".to_owned()))
    }

    /// Live records by id.
    async fn by_id(&self, ground: &Ground<'_>, side: Side, ids: &[RecordId]) -> anyhow::Result<BTreeMap<RecordId, ShownRecord>> {
        let fetched = self.sides[side]
            .get_many(resource(ground.mapping, side), &ground.fields[side], ids)
            .await
            .map_err(|fault| Trouble::Side { side, fault })?;
        let here = fetched.into_iter().filter_map(|f| match f {
            Fetched::Here(record) => Some((record.id, ShownRecord { fields: record.fields, stamp: record.stamp })),
            Fetched::Deleted(_) | Fetched::Missing(_) | Fetched::Refused(..) => None,
        });
        Ok(here.collect())
    }

    fn translations<'s>(&self, ground: &Ground<'_>, shown: impl Iterator<Item = &'s Sides<Option<ShownRecord>>>) -> anyhow::Result<Links> {
        let mut wanted: Sides<BTreeSet<(String, String)>> = Sides::default();
        for pair in shown {
            for entry in &ground.mapping.entries {
                for (side, names) in [(Side::Salesforce, &entry.salesforce), (Side::Platform, &entry.platform)] {
                    let values = names.iter().filter_map(|n| pair[side].as_ref()?.fields.get(n));
                    wanted[side].extend(values.filter_map(|value| entry.lens.refers(side, value)));
                }
            }
        }
        self.store.links_for(&wanted)
    }

    /// Records that no link names: known to the memory in some situation, or never seen.
    async fn unlinked(&self, ground: &Ground<'_>, scratch: &Scratch, side: Side, sum: &mut Sum) -> anyhow::Result<()> {
        let object = ground.mapping.object.as_str();
        let mut after = String::new();
        loop {
            let ids = scratch.unmet(side, &after, BATCH)?;
            let Some(last) = ids.last() else { return Ok(()) };
            after = last.as_str().to_owned();
            let mut unknown = Vec::new();
            for id in ids {
                match self.store.known_unlinked(object, side, id.as_str())? {
                    Some(situation) => *sum.found.unlinked.entry(format!("{side}: {situation}")).or_default() += 1,
                    None => unknown.push(id),
                }
            }
            if unknown.is_empty() {
                continue;
            }
            for (id, record) in self.by_id(ground, side, &unknown).await? {
                // Linked since the reading began: that pair is compared next time.
                if self.store.link(object, side, id.as_str())?.is_none() {
                    let open = ground.fresh(record.stamp.as_deref()).then(|| "changed since the last run".to_owned());
                    sum.unknown(side, &id, open);
                }
            }
        }
    }
}

impl Ground<'_> {
    fn fresh(&self, stamp: Option<&str>) -> bool {
        // Both are UTC text of seconds, which sorts as time does.
        stamp.zip(self.since.as_deref()).is_some_and(|(stamp, since)| stamp >= since)
    }
}

/// What is added up of one object.
struct Sum {
    found: ObjectFound,
    repairs: Vec<Repair>,
}

impl Sum {
    fn count(&mut self, what: Settled) {
        match what {
            Settled::InStep => self.found.in_step += 1,
            Settled::Left => self.found.left += 1,
            Settled::OutOfScope => self.found.out_of_scope += 1,
        }
    }

    fn weigh(&mut self, open: Option<&String>) {
        match open {
            Some(_) => self.found.unsettled += 1,
            None => self.found.drift += 1,
        }
    }

    fn differ(&mut self, link: &Link, fields: Vec<FieldDifference>, open: Option<String>) {
        self.weigh(open.as_ref());
        if open.is_none() {
            fields.iter().for_each(|f| *self.found.fields.entry(f.field.clone()).or_default() += 1);
            let entries = fields.iter().map(|f| f.field.clone()).collect();
            self.repairs.push(Repair { side: Side::Salesforce, id: link.salesforce_id.clone(), entries });
        }
        if self.found.differences.len() < LISTED_MAX {
            let (salesforce_id, platform_id) = (link.salesforce_id.to_string(), link.platform_id.to_string());
            self.found.differences.push(Difference { salesforce_id, platform_id, open, fields });
        } else {
            self.found.more += 1;
        }
    }

    fn alone(&mut self, link: &Link, shown: &Sides<Option<ShownRecord>>, open: Option<String>) {
        if open.is_none() {
            self.repairs.push(Repair { side: Side::Salesforce, id: link.salesforce_id.clone(), entries: Vec::new() });
        }
        let side = Side::BOTH.into_iter().find(|side| shown[*side].is_some());
        let at = side.unwrap_or(Side::Salesforce);
        let one = OneSided { side, id: link.id_on(at).to_string(), linked_to: Some(link.id_on(at.other()).to_string()), open };
        self.list(one);
    }

    fn unknown(&mut self, side: Side, id: &RecordId, open: Option<String>) {
        if open.is_none() {
            self.repairs.push(Repair { side, id: id.clone(), entries: Vec::new() });
        }
        self.list(OneSided { side: Some(side), id: id.to_string(), linked_to: None, open });
    }

    fn list(&mut self, one: OneSided) {
        self.weigh(one.open.as_ref());
        if self.found.one_sided.len() < LISTED_MAX {
            self.found.one_sided.push(one);
        } else {
            self.found.more += 1;
        }
    }
}

fn resource(mapping: &Mapping, side: Side) -> &str {
    match side {
        Side::Salesforce => &mapping.salesforce,
        Side::Platform => &mapping.platform,
    }
}

enum Settled {
    InStep,
    Left,
    OutOfScope,
}

enum Judged {
    Settled(Settled),
    Differs(Vec<FieldDifference>),
    OneSided,
}

/// One pair. Pure.
fn judge(ground: &Ground<'_>, shown: &Sides<Option<ShownRecord>>, links: &dyn Translate) -> Judged {
    let (Some(salesforce), Some(platform)) = (&shown.salesforce, &shown.platform) else { return Judged::OneSided };
    let now = Sides::new(&salesforce.fields, &platform.fields);
    if let Some(filter) = &ground.mapping.filter
        && filter.holds(now.salesforce) != Ok(true)
    {
        return Judged::Settled(Settled::OutOfScope);
    }
    let (mut left, mut fields) = (false, Vec::new());
    for entry in &ground.mapping.entries {
        match look(entry, ground.mapping, ground.schema, now, links) {
            Look::Agrees | Look::Frozen => {}
            Look::Left => left = true,
            Look::Differs(why) => fields.push(told(entry, ground.schema, now, why)),
        }
    }
    match (fields.is_empty(), left) {
        (false, _) => Judged::Differs(fields),
        (true, true) => Judged::Settled(Settled::Left),
        (true, false) => Judged::Settled(Settled::InStep),
    }
}

/// One entry, in the direction of the rules: what each side that may be written should hold, against what it holds. Pure.
fn look(entry: &Entry, mapping: &Mapping, schema: Sides<&Schema>, now: Sides<&Fields>, links: &dyn Translate) -> Look {
    let take = |names: &[String], fields: &Fields| names.iter().map(|n| fields.get(n).cloned()).collect::<Option<Vec<Value>>>();
    let (Some(salesforce), Some(platform)) = (take(&entry.salesforce, now.salesforce), take(&entry.platform, now.platform)) else {
        return Look::Frozen;
    };
    let back = entry.direction.to_salesforce() && entry.lens.two_way();
    let mut why = None;
    if entry.direction.to_platform() {
        match entry.lens.to_platform(&salesforce, now.salesforce, links) {
            Ok(wanted) if fits(&wanted, &entry.platform, schema.platform, &platform) => return Look::Agrees,
            Ok(_) => {}
            Err(error) => why = Some(error),
        }
    }
    if back {
        match entry.lens.to_salesforce(&platform, &salesforce, links) {
            Ok(wanted) if fits(&wanted, &entry.salesforce, schema.salesforce, &salesforce) => return Look::Agrees,
            Ok(_) => {}
            Err(error) => why = why.or(Some(error)),
        }
    }
    if !entry.direction.to_platform() && !back {
        return Look::Left;
    }
    let blank = |values: &[Value]| values.iter().all(Value::is_blank);
    if entry.direction.to_platform() && !entry.salesforce.is_empty() && blank(&salesforce) {
        // Nothing in Salesforce does not overwrite something; filling the blanks is a switch of its own.
        let fill = mapping.fill_salesforce_blanks && back;
        if blank(&platform) {
            return Look::Agrees;
        }
        if !fill {
            return Look::Left;
        }
    }
    let target = if entry.direction.to_platform() { Side::Platform } else { Side::Salesforce };
    let names = if target == Side::Platform { &entry.platform } else { &entry.salesforce };
    let writable = names.iter().all(|n| schema[target].fields.get(n).is_none_or(|f| f.updateable));
    match why {
        Some(LensError::Unlinked { object, id }) => Look::Differs(format!("the {object} {id} it refers to is not linked")),
        Some(error @ (LensError::NoCounterpart { .. } | LensError::Unfit(_) | LensError::OneWay)) => Look::Differs(error.to_string()),
        None if !writable => Look::Left,
        None => Look::Differs("holds another value".to_owned()),
    }
}

/// Compared in the terms of the fields that hold the values; what does not fit its field is not there.
fn fits(wanted: &[Value], names: &[String], schema: &Schema, held: &[Value]) -> bool {
    let text = FieldType::text();
    let typed = wanted.iter().zip(names).map(|(value, name)| coerce(value, schema.fields.get(name).map_or(&text, |info| &info.ty)).ok());
    typed.eq(held.iter().cloned().map(Some))
}

fn told(entry: &Entry, schema: Sides<&Schema>, now: Sides<&Fields>, why: String) -> FieldDifference {
    let secret = |side: Side, names: &[String]| names.iter().any(|n| schema[side].fields.get(n).is_some_and(|f| f.secret));
    let masked = secret(Side::Salesforce, &entry.salesforce) || secret(Side::Platform, &entry.platform);
    let show = |names: &[String], fields: &Fields| {
        let mut values: Vec<serde_json::Value> = names
            .iter()
            .filter_map(|n| fields.get(n))
            .map(|v| if masked { super::decide::mask(v).to_plain_json() } else { v.to_plain_json() })
            .collect();
        if values.len() == 1 { values.remove(0) } else { serde_json::Value::Array(values) }
    };
    FieldDifference {
        field: entry.name.clone(),
        salesforce: show(&entry.salesforce, now.salesforce),
        platform: show(&entry.platform, now.platform),
        // What did not fit may quote the value.
        why: if masked { "holds another value".to_owned() } else { why },
    }
}

struct NoLinks;

impl Translate for NoLinks {
    fn to_platform(&self, _: &str, _: &str) -> Option<String> {
        None
    }

    fn to_salesforce(&self, _: &str, _: &str) -> Option<String> {
        None
    }
}

/// The planted id, and the match keys in the platform's terms.
fn keys(ground: &Ground<'_>, side: Side, record: &Record) -> Keys {
    let mut keys = Keys::new();
    if let Some(id) = ground.schema[side].planted.as_ref().and_then(|name| record.fields.get(name)?.as_text()).filter(|t| !t.is_empty()) {
        keys.push((0, id.to_owned()));
    }
    for (i, names) in ground.mapping.match_keys.iter().enumerate() {
        // The planted id stands for itself.
        if side == Side::Platform && names.iter().any(|n| ground.schema.platform.planted.as_ref() == Some(n)) {
            continue;
        }
        let part = |name: &String| match side {
            Side::Platform => record.fields.get(name).cloned(),
            Side::Salesforce => {
                let entry =
                    ground.mapping.entries.iter().find(|e| e.platform.contains(name) && !matches!(e.lens, Lens::Reference { .. }))?;
                let values = entry.salesforce.iter().map(|n| record.fields.get(n).cloned()).collect::<Option<Vec<_>>>()?;
                let made = entry.lens.to_platform(&values, &record.fields, &NoLinks).ok()?;
                entry.platform.iter().zip(made).find(|(n, _)| *n == name).map(|(_, v)| v)
            }
        };
        let parts: Option<Vec<Value>> = names.iter().map(part).collect();
        if let Some(parts) = parts.filter(|parts| !parts.iter().any(Value::is_blank)) {
            let folded = parts.iter().map(|v| match v.as_text() {
                Some(text) => text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" "),
                None => v.to_string(),
            });
            keys.push((i64::try_from(i).unwrap_or(0) + 1, folded.collect::<Vec<_>>().join("\u{1f}")));
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::connectors::FieldInfo;
    use crate::rules::{Conflict, Create, Direction, Drift, Merge, OnPlatformDelete, OnSalesforceDelete};

    fn schema(fields: &[(&str, bool)]) -> Schema {
        let info = |updateable| FieldInfo {
            ty: FieldType::text(),
            createable: true,
            updateable,
            required: false,
            secret: false,
            calculated: false,
        };
        Schema { fields: fields.iter().map(|(n, u)| ((*n).to_owned(), info(*u))).collect(), ..Schema::default() }
    }

    fn mapping(fill: bool) -> Mapping {
        Mapping {
            object: "contact".to_owned(),
            salesforce: "Contact".to_owned(),
            platform: "customer".to_owned(),
            direction: Direction::Both,
            create: Create::ToPlatform,
            match_keys: Vec::new(),
            parent: None,
            filter: None,
            conflict: Conflict::Salesforce,
            merge: Merge::Field,
            drift: Drift::Ignore,
            on_salesforce_delete: OnSalesforceDelete::Report,
            on_platform_delete: OnPlatformDelete::Keep,
            fill_salesforce_blanks: fill,
            entries: Vec::new(),
            provisions: false,
        }
    }

    fn entry(lens: Lens, direction: Direction) -> Entry {
        let salesforce = if matches!(lens, Lens::PersonName) { vec!["S", "S2"] } else { vec!["S"] };
        Entry {
            name: "S".to_owned(),
            salesforce: salesforce.into_iter().map(str::to_owned).collect(),
            platform: vec!["p".to_owned()],
            lens,
            direction,
            conflict: Conflict::Salesforce,
        }
    }

    /// A text; `-` is null and `?` is not readable.
    fn shown(name: &str, text: &str) -> Fields {
        match text {
            "?" => Fields::new(),
            "-" => Fields::from([(name.to_owned(), Value::Null)]),
            text => Fields::from([(name.to_owned(), Value::text(text))]),
        }
    }

    #[test]
    fn one_entry_as_the_rules_see_it() {
        use Direction::{Both, ToPlatform, ToSalesforce};
        let words = || Lens::ValueMap([("Hot", "h"), ("Warm", "h"), ("Cold", "c")].map(|(a, b)| (a.to_owned(), b.to_owned())).into());
        let constant = || Lens::Constant(Value::text("crm"));
        let known = schema(&[("S", true), ("p", true)]);
        let locked = schema(&[("S", true), ("p", false)]);
        for (lens, direction, salesforce, platform, fill, platform_schema, wanted) in [
            (Lens::Copy, Both, "a", "a", false, &known, "agrees"),
            (Lens::Copy, Both, "a", "b", false, &known, "differs"),
            (Lens::Copy, Both, "a", "-", false, &known, "differs"),
            (Lens::Copy, Both, "a", "?", false, &known, "frozen"),
            (Lens::Copy, Both, "-", "-", false, &known, "agrees"),
            (Lens::Copy, Both, "-", "b", false, &known, "left"),
            (Lens::Copy, Both, "-", "b", true, &known, "differs"),
            (Lens::Copy, ToPlatform, "-", "b", true, &known, "left"),
            (Lens::Copy, ToPlatform, "a", "b", false, &locked, "left"),
            (Lens::Copy, ToSalesforce, "a", "b", false, &locked, "differs"),
            (Lens::Copy, ToSalesforce, "-", "b", false, &known, "differs"),
            (words(), Both, "Warm", "h", false, &known, "agrees"),
            (words(), Both, "Warm", "c", false, &known, "differs"),
            (words(), ToSalesforce, "Warm", "h", false, &known, "agrees"),
            (words(), Both, "Tepid", "h", false, &known, "differs"),
            (constant(), ToPlatform, "a", "crm", false, &known, "agrees"),
            (constant(), ToPlatform, "a", "other", false, &known, "differs"),
        ] {
            let entry = entry(lens, direction);
            let (s, p) = (shown("S", salesforce), shown("p", platform));
            let found = look(&entry, &mapping(fill), Sides::new(&known, platform_schema), Sides::new(&s, &p), &NoLinks);
            let found = match found {
                Look::Agrees => "agrees",
                Look::Frozen => "frozen",
                Look::Left => "left",
                Look::Differs(_) => "differs",
            };
            assert_eq!(found, wanted, "{salesforce} {platform} {direction:?} fill={fill}");
        }
    }

    #[test]
    fn a_name_of_two_fields_is_one_value() {
        let entry = entry(Lens::PersonName, Direction::Both);
        let known = schema(&[("S", true), ("S2", true), ("p", true)]);
        let salesforce: Fields = [("S", "Anna Maria"), ("S2", "Kelly")].map(|(k, v)| (k.to_owned(), Value::text(v))).into();
        let at = |platform: &str| {
            let p = shown("p", platform);
            look(&entry, &mapping(false), Sides::new(&known, &known), Sides::new(&salesforce, &p), &NoLinks)
        };
        assert_eq!(at("Anna Maria Kelly"), Look::Agrees);
        assert!(matches!(at("Anna Maria Dyk"), Look::Differs(_)));
    }

    #[test]
    fn what_differs_is_told_with_both_values_and_a_secret_with_neither() {
        let entry = entry(Lens::Copy, Direction::Both);
        let (s, p) = (shown("S", "AAAA-1111"), shown("p", "BBBB-2222"));
        let mut known = schema(&[("S", true), ("p", true)]);
        let plain = told(&entry, Sides::new(&known, &known), Sides::new(&s, &p), "x".to_owned());
        assert_eq!((plain.salesforce, plain.platform), (serde_json::json!("AAAA-1111"), serde_json::json!("BBBB-2222")));
        known.fields.get_mut("p").unwrap().secret = true;
        let masked = told(&entry, Sides::new(&known, &known), Sides::new(&s, &p), "AAAA-1111 is not …".to_owned());
        let text = serde_json::to_string(&masked).unwrap();
        assert!(text.contains("…1111") && !text.contains("AAAA") && !text.contains("BBBB"), "{text}");
    }
}
