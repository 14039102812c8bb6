//! The guard: with nobody watching, no run does more than the rules allow. What is too much is held, asked for, and
//! lets go by itself when the records reappear, because a held group is planned afresh in every run.
//!
//! Five suspicions: too many of one kind, too many of all kinds together, a side that is empty all at once, a field that is
//! empty all at once, and rules that were changed since the two sides last agreed.

use crate::plan::{BLANK, HoldKind, Verb};
use crate::record::Side;
use crate::rules::{Limit, Limits, Mapping, Rules};
use crate::seeded::seeded;
use crate::store::{Apart, HoldRow, RESTORED_REASON, Stage, Store, stamp};
use chrono::{DateTime, Duration, Utc};
use std::collections::BTreeSet;
use std::path::Path;

/// Fewer records than these may lose a field, or go altogether, on one day.
const FEW: u64 = 5;

/// So many percent of the records that held a field have lost it: it vanished.
const VANISHED_PERCENT: u64 = 90;

/// The same once it is held: a field that is only being filled again is not let go half way.
const VANISHED_PERCENT_STILL: u64 = 10;

const fn limit_of(limits: &Limits, verb: Verb) -> Option<Limit> {
    match verb {
        Verb::Create | Verb::Link => Some(limits.creates),
        Verb::Update => Some(limits.changes),
        Verb::Delete | Verb::Bury => Some(limits.destructive),
        Verb::Advance | Verb::Mark | Verb::Forget | Verb::Repoint => None,
    }
}

/// Proof that the guard has looked at an object's plan. Only this module makes one.
#[derive(Debug)]
pub struct Cleared {
    /// Something of the object stays behind.
    pub held: bool,
    _private: (),
}

/// What the guard must know besides the plan.
pub struct Watch<'a> {
    pub store: &'a Store,
    pub run: i64,
    pub object: &'a str,
    pub rules: &'a Rules,
    /// Making its records issues licenses.
    pub issues: bool,
    pub limits: &'a Limits,
    /// What the rules of this object say otherwise than when the two sides last agreed, in words.
    pub changed: Vec<String>,
    /// `once --approve`: a person looked and said yes, for this run.
    pub approved: bool,
    pub now: DateTime<Utc>,
    pub state_dir: Option<&'a Path>,
}

/// Why a group is held.
struct Verdict {
    kind: HoldKind,
    ceiling: u64,
    of: u64,
    reason: String,
}

fn is_issued(mapping: &Mapping) -> bool {
    mapping.provisions || matches!(mapping.object.as_str(), "license" | "feature")
}

fn names(entry: &crate::rules::Entry, side: Side) -> &[String] {
    match side {
        Side::Salesforce => &entry.salesforce,
        Side::Platform => &entry.platform,
    }
}

/// How far the first load of an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstContact {
    /// One side was empty: everything may be created, until the first load is through.
    Load,
    /// Both sides were filled: linked and created only with a person's consent.
    Adoption,
    Over,
}

impl Watch<'_> {
    /// Looks at the planned groups of the object, holds what is too much and answers what may go on.
    pub fn clear(&self) -> anyhow::Result<Cleared> {
        let groups = self.store.planned_groups(self.object)?;
        let waited = self.store.meta(&self.key())?.as_deref() == Some("adoption");
        let contact = self.first_contact()?;
        let judged = groups.iter().any(|(_, verb, _)| limit_of(self.limits, *verb).is_some());
        let of = if judged { self.size(self.object)? } else { 0 };
        // Written before any group is taken out of the plan, so that it shows all of it.
        let pairs = if contact == FirstContact::Adoption { self.write_pairs()? } else { String::new() };
        let mut held = false;
        let restored = self.store.restored()?.map(|r| r.stage);
        for (side, verb, planned) in groups {
            let Some(limit) = limit_of(self.limits, verb) else { continue };
            let issuing = self.issues && side == Side::Platform && matches!(verb, Verb::Create | Verb::Update);
            let may_wait = restored == Some(Stage::Comparing) && issuing;
            if !may_wait && !self.approved && self.approval(side, verb.as_str(), planned)? {
                continue;
            }
            let older =
                |reason: String| Some(Verdict { kind: HoldKind::Restored, ceiling: 0, of, reason: format!("{RESTORED_REASON}: {reason}") });
            let verdict = match (contact, verb) {
                _ if may_wait => older("nothing is issued in the run that compares; the next one goes on".to_owned()),
                (_, Verb::Delete) if restored.is_some() => {
                    older(format!("{planned} planned by a memory that is older than the records; release it if it is still meant"))
                }
                (FirstContact::Adoption, Verb::Link | Verb::Create) => Some(Verdict {
                    kind: HoldKind::FirstContact,
                    ceiling: 0,
                    of,
                    reason: "first contact of two filled systems: look at the pairs, then approve".to_owned(),
                }),
                (FirstContact::Load, Verb::Link | Verb::Create) => None,
                // Joining what was found changes no side.
                (FirstContact::Over, Verb::Link) => None,
                _ => self.judge(side, verb, planned, limit, of)?,
            };
            // A first contact that waited for a person's word has it now.
            if self.approved && !may_wait && (verdict.is_some() || waited && matches!(verb, Verb::Link | Verb::Create)) {
                self.store.note_approved(self.run, self.object, side, verb.as_str(), planned, self.now)?;
                continue;
            }
            let Some(verdict) = verdict else { continue };
            let sample = if matches!(verb, Verb::Link | Verb::Create) { pairs.as_str() } else { "" };
            self.put(side, verb.as_str(), planned, &verdict, sample)?;
            self.store.drop_planned(self.object, Some((side, verb)))?;
            held = true;
        }
        self.store.release_stale_holds(self.run, self.object)?;
        Ok(Cleared { held, _private: () })
    }

    /// A field that most records held and that is empty in all of them at once is not emptied on the other side too: the
    /// updates that would do it are taken out of the plan and held. Answers the entries by the side that would be written;
    /// the caller plans without them.
    pub fn hold_vanished(&self, mapping: &Mapping) -> anyhow::Result<BTreeSet<(Side, String)>> {
        let mut held = BTreeSet::new();
        for side in Side::BOTH.into_iter().filter(|_| !self.approved) {
            let links = self.store.link_count(self.object)?;
            // What is held already stays so while some records fill up again.
            let waits = self.store.holds()?.iter().any(|h| h.object == self.object && h.side == side.as_str() && h.verb == BLANK);
            let percent = if waits { VANISHED_PERCENT_STILL } else { VANISHED_PERCENT };
            let (mut fields, mut entries, mut told) = (Vec::new(), Vec::new(), Vec::new());
            let suspects = self.store.emptied_fields(self.object, side)?;
            // Too few to be most of the records that held it: their bases are not even counted.
            for (field, emptied) in suspects.into_iter().filter(|(_, n)| *n >= FEW && n * 200 >= links * percent) {
                let filled = self.store.filled_bases(self.object, side, &field)?;
                if filled * 2 < links || emptied * 100 < filled * percent {
                    continue;
                }
                let entry = mapping.entries.iter().find(|e| names(e, side).contains(&field));
                let name = entry.map_or(field.as_str(), |e| e.name.as_str()).to_owned();
                told.push(format!("{name} is empty in {emptied} of {filled} records that held it"));
                fields.push(field);
                entries.push((side, name));
            }
            if fields.is_empty() {
                continue;
            }
            let count = self.store.set_apart(self.object, side, &fields, Apart::Count)?;
            let answer = self.store.approval(self.object, side.as_str(), BLANK, self.now)?.filter(|a| a.ceiling == 0 || count <= a.ceiling);
            if let Some(answer) = answer {
                if answer.ceiling == 0 {
                    self.store.set_apart(self.object, side, &fields, Apart::Leave)?;
                }
                self.store.use_approval(answer.id, self.run)?;
                continue;
            }
            let reason = format!("{} on the {}, all at once: not believed", told.join(", "), side.other());
            self.put(side, BLANK, count, &Verdict { kind: HoldKind::Vanished, ceiling: 0, of: links, reason }, "")?;
            self.store.set_apart(self.object, side, &fields, Apart::Drop { verb: BLANK })?;
            held.extend(entries);
        }
        Ok(held)
    }

    /// What Lockstep says in fields of its own is not counted. `None` while anything else is planned for the object: that is
    /// for `clear` to look at. Holds stay as they are.
    pub fn clear_told(&self) -> anyhow::Result<Option<Cleared>> {
        let only_told = self.store.planned_groups(self.object)?.is_empty();
        Ok(only_told.then_some(Cleared { held: false, _private: () }))
    }

    /// Nothing more is to be created and nothing is held: the first load is through.
    /// `now` is after the last settlement of the load, which may have taken hours.
    pub fn end_first_load(&self, now: DateTime<Utc>) -> anyhow::Result<()> {
        if !self.first_load_over(self.object)? {
            self.store.set_meta(&self.key(), "over")?;
            self.store.set_meta(&format!("{}-at", self.key()), &stamp(now))?;
        }
        Ok(())
    }

    pub fn first_load_over(&self, object: &str) -> anyhow::Result<bool> {
        Ok(self.store.meta(&format!("first-load:{object}"))?.as_deref() == Some("over"))
    }

    /// A person released the hold of an emptied side. It stands until it expires: absence takes two looks to prove.
    pub fn emptiness_approved(&self, side: Side, links: u64) -> anyhow::Result<bool> {
        let approval = self.store.approval(self.object, side.as_str(), Verb::Delete.as_str(), self.now)?;
        Ok(self.approved || approval.is_some_and(|a| a.ceiling >= links))
    }

    /// A side whose every record vanished at once is not believed.
    pub fn hold_emptied(&self, side: Side, links: u64) -> anyhow::Result<()> {
        let reason = format!("the {side} shows no {} at all, though {links} are linked: not believed", self.object);
        self.put(side, Verb::Delete.as_str(), links, &Verdict { kind: HoldKind::Emptied, ceiling: 0, of: links, reason }, "")
    }

    fn key(&self) -> String {
        format!("first-load:{}", self.object)
    }

    fn first_contact(&self) -> anyhow::Result<FirstContact> {
        match self.store.meta(&self.key())?.as_deref() {
            Some("over") => return Ok(FirstContact::Over),
            Some("load") => return Ok(FirstContact::Load),
            // Part of it may have been released; the rest still waits for its own word.
            Some("adoption") if !self.approved && self.store.link_count(self.object)? > 0 => return Ok(FirstContact::Adoption),
            _ => {}
        }
        let unlinked = self.store.unlinked(self.object)?;
        let filled = unlinked.salesforce > 0 && unlinked.platform > 0;
        let adoption = filled && !self.approved && self.store.link_count(self.object)? == 0;
        self.store.set_meta(&self.key(), if adoption { "adoption" } else { "load" })?;
        Ok(if adoption { FirstContact::Adoption } else { FirstContact::Load })
    }

    /// The larger of linked and of what the sides hold: what percentages are of.
    fn size(&self, object: &str) -> anyhow::Result<u64> {
        let unlinked = self.store.unlinked(object)?;
        let links = self.store.link_count(object)?;
        Ok(links + unlinked.salesforce.max(unlinked.platform))
    }

    fn judge(&self, side: Side, verb: Verb, planned: u64, limit: Limit, of: u64) -> anyhow::Result<Option<Verdict>> {
        if let Some(verdict) = self.all_gone(side, verb)? {
            return Ok(Some(verdict));
        }
        if let Some(verdict) = self.too_much(side, verb, planned, limit, of)? {
            return Ok(Some(verdict));
        }
        if let Some(verdict) = self.changed_rules(planned, of) {
            return Ok(Some(verdict));
        }
        self.too_much_in_all(side, verb, planned, limit)
    }

    /// All links of an object would end at once, because the other side reports each of its records gone.
    fn all_gone(&self, side: Side, verb: Verb) -> anyhow::Result<Option<Verdict>> {
        if !matches!(verb, Verb::Delete | Verb::Bury) {
            return Ok(None);
        }
        let links = self.store.link_count(self.object)?;
        let ends = self.store.planned_ends(self.object, side)?;
        // A tombstone is planned on the side that is gone, a delete on the one that is left.
        let gone = if verb == Verb::Bury { side } else { side.other() };
        let reason = format!("every {} is gone on the {gone}, all {links} that are linked: not believed", self.object);
        Ok((ends >= FEW && ends >= links).then_some(Verdict { kind: HoldKind::Emptied, ceiling: 0, of: links, reason }))
    }

    fn too_much(&self, side: Side, verb: Verb, planned: u64, limit: Limit, of: u64) -> anyhow::Result<Option<Verdict>> {
        let ceiling = limit.ceiling(of);
        if seeded!(GuardSleeps) {
            return Ok(None);
        }
        let because = |reason: String| {
            let kind = if self.changed.is_empty() { HoldKind::TooMany } else { HoldKind::RulesChanged };
            let rules = if self.changed.is_empty() { String::new() } else { format!("; {}", self.told_changes()) };
            Some(Verdict { kind, ceiling, of, reason: format!("{reason}{rules}") })
        };
        if planned > ceiling {
            return Ok(because(format!("{planned} planned, {ceiling} allowed in one run")));
        }
        let day = self.day(self.object, side, verb)?;
        if day + planned > ceiling && !seeded!(GuardForgetsTheDay) {
            return Ok(because(format!("{planned} planned after {day} in the last 24 h, {ceiling} allowed")));
        }
        Ok(None)
    }

    /// A changed mapping is tried on a few records, not on many: it has the limit of what takes away.
    fn changed_rules(&self, planned: u64, of: u64) -> Option<Verdict> {
        let ceiling = self.limits.destructive.ceiling(of);
        let reason = || format!("{planned} planned, {ceiling} allowed in the first run with other rules; {}", self.told_changes());
        (!self.changed.is_empty() && planned > ceiling).then(|| Verdict { kind: HoldKind::RulesChanged, ceiling, of, reason: reason() })
    }

    fn told_changes(&self) -> String {
        const MOST: usize = 6;
        let more = if self.changed.len() > MOST { format!("; and {} more", self.changed.len() - MOST) } else { String::new() };
        format!("the rules changed: {}{more}", self.changed.iter().take(MOST).cloned().collect::<Vec<_>>().join("; "))
    }

    /// The same limits over all objects together. What follows from a sale (orders, licenses, features) is created up to its
    /// own limit only: an import of accounts must not hold an order back.
    fn too_much_in_all(&self, side: Side, verb: Verb, planned: u64, limit: Limit) -> anyhow::Result<Option<Verdict>> {
        let counted = |m: &&Mapping| verb != Verb::Create || !is_issued(m);
        let mappings = || self.rules.mappings.iter().filter(counted);
        if !mappings().any(|m| m.object == self.object) {
            return Ok(None);
        }
        let mut sum = planned + self.day(self.object, side, verb)?;
        let mut others = Vec::new();
        for mapping in mappings().filter(|m| m.object != self.object) {
            if !self.first_load_over(&mapping.object)? {
                continue;
            }
            let n = self.day(&mapping.object, side, verb)? + self.store.planned_count(&mapping.object, side, verb)?;
            if n > 0 {
                others.push(format!("{n} {}", mapping.object));
            }
            sum += n;
        }
        if others.is_empty() || sum <= limit.count {
            return Ok(None);
        }
        let mut of = 0;
        for mapping in mappings() {
            of += self.size(&mapping.object)?;
        }
        let ceiling = limit.ceiling(of);
        let reason =
            format!("{planned} planned, which makes {sum} over all objects in 24 h ({} before them), {ceiling} allowed", others.join(", "));
        Ok((sum > ceiling).then_some(Verdict { kind: HoldKind::TooManyInAll, ceiling, of, reason }))
    }

    /// What was done in 24 hours and nobody approved; a first load is not counted.
    fn day(&self, object: &str, side: Side, verb: Verb) -> anyhow::Result<u64> {
        let load_over = self.store.meta(&format!("first-load:{object}-at"))?;
        self.store.done_since(object, side, verb, self.now - Duration::hours(24), load_over.as_deref())
    }

    fn approval(&self, side: Side, verb: &str, planned: u64) -> anyhow::Result<bool> {
        let Some(approval) = self.store.approval(self.object, side.as_str(), verb, self.now)? else { return Ok(false) };
        if approval.ceiling == 0 {
            // The answer was no.
            self.store.leave_planned(self.object, side.as_str(), verb)?;
        } else if planned > approval.ceiling {
            return Ok(false);
        }
        self.store.use_approval(approval.id, self.run)?;
        Ok(true)
    }

    fn put(&self, side: Side, verb: &str, count: u64, verdict: &Verdict, sample: &str) -> anyhow::Result<()> {
        let Verdict { kind, ceiling, of, reason } = verdict;
        tracing::warn!(object = self.object, %side, verb, %kind, count, ceiling, "held: {reason}");
        self.store.put_hold(
            self.run,
            &HoldRow {
                object: self.object.to_owned(),
                side: side.as_str().to_owned(),
                verb: verb.to_owned(),
                reason: reason.clone(),
                count,
                ceiling: *ceiling,
                of: *of,
                since: stamp(self.now),
                sample: sample.to_owned(),
                kind: kind.as_str().to_owned(),
            },
        )
    }

    /// The pairs of a first contact as CSV beside the store; answers its path.
    fn write_pairs(&self) -> anyhow::Result<String> {
        let Some(dir) = self.state_dir else { return Ok(String::new()) };
        let path = dir.join(format!("adoption-{}.csv", self.object));
        let mut csv = csv::Writer::from_path(&path)?;
        for row in self.store.adoption_pairs(self.object)? {
            csv.serialize(row)?;
        }
        csv.flush()?;
        Ok(path.display().to_string())
    }
}
