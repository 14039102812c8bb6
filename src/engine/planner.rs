//! Planning one object: pairs with news are read in batches, decided, and written down as intents. Nothing is sent.

use super::{
    decide::{Decision, Ground, Rest, Still, Survivor, decide_but, is_issued, references, salesforce_keys, survivor},
    fight::Lately,
    native::{LINES, planted_on_platform, platform_id_of},
    provision::contact,
    standing::refers_to,
};
use crate::connectors::Schema;
use crate::plan::{Intent, Situation, Verb};
use crate::record::{Fields, Life, RecordId, Side, Sides};
use crate::rules::{ContactRule, Mapping, OnSalesforceDelete, Rules};
use crate::seeded::seeded;
use crate::store::{Candidate, Link, Links, PairRead, Store, ToPark, stamp};
use chrono::{DateTime, Duration, Utc};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use tokio_util::sync::CancellationToken;

/// How many pairs are in memory at once.
const BATCH: u32 = 500;

/// How far back laps of a quarrel are looked for.
const QUARREL_HOURS: i64 = 24;

pub struct Planner<'a> {
    pub store: &'a Store,
    pub rules: &'a Rules,
    pub mapping: &'a Mapping,
    pub schema: Sides<&'a Schema>,
    pub run: i64,
    pub now: DateTime<Utc>,
    /// Records whose write failed earlier in this run: not tried twice in one run.
    pub failed: &'a HashSet<(Side, RecordId)>,
    /// Entries that the guard does not let be emptied on a side in this run.
    pub held: &'a BTreeSet<(Side, String)>,
    pub stop: &'a CancellationToken,
}

impl Planner<'_> {
    /// Plans everything that is news. Answers how many intents there are.
    pub fn plan(&self) -> anyhow::Result<u64> {
        let mut planned = 0;
        let looks = Looks {
            survivors: self.store.awaited_survivors(&self.mapping.object)?,
            clashing: self.store.links_in_conflict(&self.mapping.object)?,
            creating: self.store.creates_in_doubt(&self.mapping.object, Side::Platform)?,
            now: stamp(self.now),
            hour_ago: stamp(self.now - Duration::hours(1)),
            frozen: self.store.frozen_entries(&self.mapping.object)?,
            forgiven: self.store.forgiven(&self.mapping.object)?,
            written_again: self.store.links_written_again(&self.mapping.object, self.now - Duration::hours(QUARREL_HOURS))?,
            restored: self.store.restored()?.is_some(),
            first_contacts: std::cell::OnceCell::new(),
        };
        for side in Side::BOTH {
            let mut after = String::new();
            loop {
                let pairs = self.store.next_pairs(&self.mapping.object, side, &after, BATCH, self.now)?;
                let last = pairs.last().and_then(|p| p.staged[side].as_ref()).map(|r| r.id.as_str().to_owned());
                let Some(last) = last else { break };
                // What is planned so far is planned afresh by the next run.
                if self.stop.is_cancelled() {
                    return Ok(planned);
                }
                planned += self.batch(side, &pairs, &looks)?;
                after = last;
            }
        }
        self.park_contested()?;
        Ok(planned)
    }

    fn batch(&self, side: Side, pairs: &[PairRead], looks: &Looks) -> anyhow::Result<u64> {
        let links = self.links(pairs, looks)?;
        let mut intents: Vec<Intent> = Vec::new();
        let mut left = Vec::new();
        let mut parked = Vec::new();
        let mut free = Vec::new();
        let (mut fought, mut agreed) = (Vec::new(), Vec::new());
        for pair in pairs {
            let Some(row) = &pair.staged[side] else { continue };
            if self.failed.contains(&(side, row.id.clone())) {
                continue;
            }
            // Unlinked, and yet not new: a link is about to move here, or it may be what an unknown create has made.
            let awaited = match side {
                Side::Salesforce => looks.survivors.contains(&row.id),
                Side::Platform => looks.creating,
            };
            if pair.link.is_none() && awaited && !seeded!(PlansInDoubt) {
                continue;
            }
            let wrote = match &pair.link {
                Some(link) if looks.written_again.contains(&link.id) => {
                    self.store.written_since(link.id, &self.mapping.object, self.now - Duration::hours(QUARREL_HOURS))?
                }
                _ => Vec::new(),
            };
            let of_link = pair.link.as_ref().map(|l| l.id);
            let mut still = Still {
                held: Some(self.held),
                frozen: of_link.and_then(|id| looks.frozen.get(&id)),
                lately: Some(Lately { wrote: &wrote, hour_ago: &looks.hour_ago, forgiven: of_link.and_then(|id| looks.forgiven.get(&id)) }),
                ..Still::default()
            };
            let (decision, claimed) = self.decide(pair, &links, looks, &mut still)?;
            parked.extend(self.claimed(&claimed));
            let decision = if looks.restored { self.made_again(decision, pair)? } else { decision };
            if let Some(link) = of_link {
                fought.extend(still.fought.into_iter().map(|one| (link, one)));
                agreed.extend(still.agreed.into_iter().map(|entry| (link, entry)));
            }
            tracing::debug!(object = %self.mapping.object, %side, record = %row.id, situation = %decision.situation, "decided");
            let Decision { situation, intents: mine, rest } = decision;
            let writes = mine.iter().any(|i| i.verb.is_write() || i.verb == Verb::Link);
            if let Some(link) = pair.link.as_ref().filter(|l| looks.clashing.contains(&l.id)) {
                let still = mine.iter().flat_map(|i| &i.conflicts).map(|c| c.entry.as_str()).collect();
                self.store.close_conflicts(link.id, &still)?;
            }
            intents.extend(mine);
            match rest {
                Rest::Parked { code, message } => {
                    let field = self.entry_named(&message);
                    parked.push(ToPark { side, id: row.id.clone(), situation, code, message, field });
                    continue;
                }
                Rest::Settled => {}
                Rest::Left | Rest::Waits => {
                    let waits = rest == Rest::Waits;
                    // Both sides were looked at.
                    for side in Side::BOTH {
                        left.extend(pair.staged[side].as_ref().map(|r| (side, r.id.clone(), situation.as_str(), waits)));
                    }
                }
            }
            // A write that is tried again leaves quarantine only once it is done.
            if !writes {
                free.push((side, row.id.clone()));
            }
        }
        self.note_to_tell(pairs)?;
        let planned = intents.len() as u64;
        self.store.record_plan(self.run, &intents, self.now)?;
        self.store.leave(&self.mapping.object, &left)?;
        self.store.park(self.run, &self.mapping.object, &parked, self.now)?;
        self.store.unpark(&self.mapping.object, &free)?;
        let known = |link: &i64, entry: &String| looks.frozen.get(link).is_some_and(|f| f.contains(entry));
        for (_, one) in fought.iter().filter(|(link, one)| !known(link, &one.entry)) {
            let (entry, times, side) = (&one.entry, one.times, one.side);
            tracing::warn!(object = %self.mapping.object, field = entry, %side, times, "fought over: written and not kept; it is frozen");
        }
        self.store.freeze(self.run, &self.mapping.object, &fought, &agreed, self.now)?;
        Ok(planned)
    }

    /// What does not fit says first which entry it is.
    fn entry_named(&self, message: &str) -> Option<String> {
        let named = |e: &&crate::rules::Entry| message.strip_prefix(e.name.as_str()).is_some_and(|rest| rest.starts_with(": "));
        self.mapping.entries.iter().find(named).map(|e| e.name.clone())
    }

    /// News of an order, or of one of its licenses, may change what is said of it even where nothing is written.
    fn note_to_tell(&self, pairs: &[PairRead]) -> anyhow::Result<()> {
        let news = || pairs.iter().filter(|p| p.link.is_some()).filter_map(|p| Some((p.staged.salesforce.as_ref()?, &p.base.salesforce)));
        if self.mapping.provisions {
            return self.store.note_to_tell(&news().map(|(row, _)| row.id.as_str()).collect::<Vec<_>>());
        }
        if self.mapping.object != "license" {
            return Ok(());
        }
        let Some(orders) = self.rules.mappings.iter().find(|m| m.provisions) else { return Ok(()) };
        let Some((fields, _)) = refers_to(self.rules, "license", &orders.object) else { return Ok(()) };
        let Some(field) = fields.first() else { return Ok(()) };
        let named = news().flat_map(|(row, base)| [row.fields.get(field), base.as_ref().and_then(|b| b.get(field))]);
        self.store.note_to_tell(&named.flatten().filter_map(|v| v.as_text()).collect::<Vec<_>>())
    }

    fn links(&self, pairs: &[PairRead], looks: &Looks) -> anyhow::Result<Links> {
        let mut wanted: Sides<BTreeSet<(String, String)>> = Sides::default();
        for pair in pairs {
            references(self.mapping, self.rules, pair, &mut wanted);
            if let (true, None, Some(row)) = (self.mapping.provisions, &pair.link, &pair.staged.salesforce) {
                let first = looks.first_contact(self, &row.fields)?;
                wanted.salesforce.extend(first.map(|id| ("contact".to_owned(), id)));
            }
        }
        self.store.links_for(&wanted)
    }

    /// Also answers the platform records that an ambiguous one may be meant by.
    fn decide(&self, pair: &PairRead, links: &Links, looks: &Looks, still: &mut Still<'_>) -> anyhow::Result<(Decision, Vec<RecordId>)> {
        let mut ground = Ground {
            rules: self.rules,
            mapping: self.mapping,
            schema: self.schema,
            links,
            candidates: Vec::new(),
            survivor: Survivor::Free,
            referred_to: false,
            parent_gone: false,
            first_contact: None,
            now: &looks.now,
        };
        match (&pair.link, &pair.staged.salesforce) {
            (None, Some(row)) => {
                ground.candidates = self.candidates(row, &ground)?;
                if ground.candidates.is_empty() && self.mapping.provisions {
                    ground.first_contact = looks.first_contact(self, &row.fields)?;
                }
            }
            (Some(link), Some(row)) if row.life != Life::Live => {
                if let Some(survivor) = survivor(pair) {
                    let (object, id) = (self.mapping.object.as_str(), survivor.as_str());
                    ground.survivor = if self.store.link(object, Side::Salesforce, id)?.is_some() {
                        Survivor::Linked
                    } else if self.store.staged_fields(object, Side::Salesforce, id)?.is_some() {
                        Survivor::Free
                    } else {
                        Survivor::Unseen
                    };
                }
                ground.referred_to = self.mapping.on_salesforce_delete == OnSalesforceDelete::Delete && self.referred_to(link)?;
            }
            _ => {}
        }
        if pair.link.is_some() && pair.staged.platform.as_ref().is_some_and(|row| row.life != Life::Live) {
            ground.parent_gone = self.parent_gone(pair)?;
        }
        let decision = decide_but(pair, &ground, still, &mut mint);
        // One candidate is a partner; several are a question.
        let claimed = if ground.candidates.len() > 1 { ground.candidates.into_iter().map(|c| c.row.id).collect() } else { Vec::new() };
        Ok((decision, claimed))
    }

    fn candidates(&self, row: &crate::store::StagedRow, ground: &Ground<'_>) -> anyhow::Result<Vec<Candidate>> {
        // What a person said of a pair is the last word.
        if let Some(partner) = self.store.pairing(&self.mapping.object, row.id.as_str())? {
            let hit = match partner {
                Some(id) => self.store.unlinked_platform(&self.mapping.object, &id)?,
                None => None,
            };
            return Ok(hit.map(|row| Candidate { ordinal: 0, row }).into_iter().collect());
        }
        // The planted id always comes first: a platform-born record names its partner itself.
        if let Some(field) = &self.schema.salesforce.planted
            && let Some(planted) = row.fields.get(field).and_then(|v| v.as_text())
            && let Some(id) = platform_id_of(self.rules, self.mapping, planted)
            && let Some(row) = self.store.unlinked_platform(&self.mapping.object, id)?
        {
            return Ok(vec![Candidate { ordinal: 0, row }]);
        }
        self.store.candidates(&self.mapping.object, &salesforce_keys(row, ground))
    }

    /// A partner that is gone may have been made again in a time a restored memory does not know. It is found by the id
    /// planted in it; without one nothing is made again (S5): nobody can tell whether the edit or the deletion came last.
    fn made_again(&self, mut decision: Decision, pair: &PairRead) -> anyhow::Result<Decision> {
        let gone = matches!(decision.situation, Situation::GoneOnPlatform | Situation::GoneOnPlatformButEdited);
        let (true, Some(link)) = (gone, &pair.link) else { return Ok(decision) };
        let planted = planted_on_platform(self.mapping, link.salesforce_id.as_str());
        let heir = !self.store.candidates(&self.mapping.object, &[(0, planted)])?.is_empty();
        for intent in &mut decision.intents {
            if heir {
                (intent.verb, intent.side) = (Verb::Forget, Side::Platform);
                intent.moved.clear();
            } else if intent.verb == Verb::Forget {
                intent.verb = Verb::Bury;
            }
        }
        Ok(decision)
    }

    /// The record that this one cannot be without, as its base names it, is itself gone or missed.
    fn parent_gone(&self, pair: &PairRead) -> anyhow::Result<bool> {
        let Some(parent) = &self.mapping.parent else { return Ok(false) };
        let Some((_, fields)) = refers_to(self.rules, &self.mapping.object, parent) else { return Ok(false) };
        let needed = |field: &&String| self.schema.platform.fields.get(*field).is_some_and(|f| f.required);
        let named = fields.first().filter(needed).zip(pair.base.platform.as_ref()).and_then(|(field, base)| base.get(field)?.as_text());
        match named {
            Some(id) => self.store.is_gone_or_missed(parent, id),
            None => Ok(false),
        }
    }

    /// True if any linked platform record of another object refers to this one, and goes on doing so: what goes with it in the
    /// same run does not keep it, because deletions come last, and children before parents.
    fn referred_to(&self, link: &Link) -> anyhow::Result<bool> {
        let (id, salesforce_id) = (link.platform_id.as_str(), link.salesforce_id.as_str());
        referring(self.rules, &self.mapping.object, id, |mapping, field, named| {
            // What was issued lets go of nobody, whatever Salesforce says of it.
            if is_issued(mapping) || !mapping.direction.to_platform() {
                return self.store.refers(&mapping.object, field, named);
            }
            let deletes = mapping.on_salesforce_delete == OnSalesforceDelete::Delete;
            self.store.keeps_referring(&mapping.object, field, named, salesforce_id, deletes)
        })
    }

    fn park_contested(&self) -> anyhow::Result<()> {
        let mut parked = Vec::new();
        for (salesforce, platform) in self.store.take_contested_links(&self.mapping.object)? {
            let message = format!("several Salesforce records match platform record {platform}; plant the right id in it, or merge them");
            parked.extend(self.claimed(std::slice::from_ref(&platform)));
            let (situation, code) = (Situation::Ambiguous, "ambiguous".to_owned());
            parked.push(ToPark { side: Side::Salesforce, id: salesforce, situation, code, message, field: None });
        }
        self.store.park(self.run, &self.mapping.object, &parked, self.now)
    }

    /// Platform records that may be somebody's partner are not new: where new ones are made in Salesforce, they are parked
    /// with those who want them.
    fn claimed(&self, ids: &[RecordId]) -> Vec<ToPark> {
        let made = self.mapping.create.in_salesforce() && !seeded!(ClaimedIsNew);
        let park = |id: &RecordId| ToPark {
            side: Side::Platform,
            id: id.clone(),
            situation: Situation::Ambiguous,
            code: "ambiguous".to_owned(),
            message: "a Salesforce record matches it, and not it alone; plant the right id in it, or merge".to_owned(),
            field: None,
        };
        ids.iter().filter(|_| made).map(park).collect()
    }
}

/// True if `refers` says so of any object and platform field that can name records of this one.
pub(super) fn referring(
    rules: &Rules,
    object: &str,
    platform_id: &str,
    mut refers: impl FnMut(&Mapping, &str, &str) -> anyhow::Result<bool>,
) -> anyhow::Result<bool> {
    for mapping in &rules.mappings {
        for entry in &mapping.entries {
            let Some(named) = entry.lens.named(object, platform_id) else { continue };
            for field in &entry.platform {
                if refers(mapping, field, &named)? {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// What is known of the object before its pairs are read.
struct Looks {
    survivors: BTreeSet<RecordId>,
    clashing: BTreeSet<i64>,
    creating: bool,
    now: String,
    hour_ago: String,
    /// By link the entries that are frozen.
    frozen: BTreeMap<i64, BTreeSet<String>>,
    forgiven: BTreeMap<i64, BTreeMap<String, i64>>,
    /// Links that were written more than once on one side lately.
    written_again: BTreeSet<i64>,
    /// This memory is a restored backup.
    restored: bool,
    /// By account; read when the first order asks.
    first_contacts: std::cell::OnceCell<BTreeMap<String, String>>,
}

impl Looks {
    /// The contact an order falls back on if the rules say so and none is named on it.
    fn first_contact(&self, planner: &Planner<'_>, order: &Fields) -> anyhow::Result<Option<String>> {
        let Some(orders) = &planner.rules.orders else { return Ok(None) };
        if !orders.contact.contains(&ContactRule::FirstContact) || contact(order, orders, None).is_some() {
            return Ok(None);
        }
        let Some(account) = order.get("AccountId").and_then(|v| v.as_text()) else { return Ok(None) };
        if self.first_contacts.get().is_none() {
            let _ = self.first_contacts.set(planner.store.first_contacts()?);
        }
        Ok(self.first_contacts.get().and_then(|known| known.get(account)).cloned())
    }
}

/// A license key nobody can guess: 80 bits, without the characters people confuse.
fn mint() -> String {
    const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
    let mut bytes = [0u8; 16];
    // aws-lc's generator fails only if the operating system has no entropy at all; a predictable key is worse than none.
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives random bytes");
    let letters: Vec<char> = bytes.iter().map(|b| ALPHABET[usize::from(b & 31)] as char).collect();
    letters.chunks(4).map(|c| c.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// Lines that came only in part are completed from what is known of the order, if nothing else of it can have moved.
pub fn complete_lines(record: &mut crate::record::Record, known: Option<&crate::record::Fields>) -> bool {
    use crate::record::Value;
    if !record.partial.iter().any(|f| f == LINES) {
        return true;
    }
    let Some(Value::Rows(held)) = known.and_then(|k| k.get(LINES)) else { return false };
    let Some(Value::Rows(came)) = record.fields.get(LINES) else { return false };
    // Every line that came must be one we hold, unchanged: then the whole is what we hold.
    if came.iter().all(|line| held.contains(line)) {
        record.fields.insert(LINES.to_owned(), Value::Rows(held.clone()));
        record.partial.clear();
        return true;
    }
    false
}
