//! The guard: with nobody watching, no run does more than the rules allow. What is too much is held, asked for, and
//! lets go by itself when the records reappear, because a held group is planned afresh in every run.

use crate::plan::Verb;
use crate::record::Side;
use crate::rules::{Limit, Limits};
use crate::seeded::seeded;
use crate::store::{HoldRow, Store, stamp};
use chrono::{DateTime, Duration, Utc};
use std::path::Path;

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
    pub limits: &'a Limits,
    /// `once --approve`: a person looked and said yes, for this run.
    pub approved: bool,
    pub now: DateTime<Utc>,
    pub state_dir: Option<&'a Path>,
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
        let contact = self.first_contact()?;
        let of = self.size()?;
        // Written before any group is taken out of the plan, so that it shows all of it.
        let pairs = if contact == FirstContact::Adoption { self.write_pairs()? } else { String::new() };
        let mut held = false;
        for (side, verb, planned) in groups {
            let Some(limit) = limit_of(self.limits, verb) else { continue };
            if self.approved || self.approval(side, verb, planned)? {
                continue;
            }
            let verdict = match (contact, verb) {
                (FirstContact::Adoption, Verb::Link | Verb::Create) => {
                    Some((0, "first contact of two filled systems: look at the pairs, then approve".to_owned()))
                }
                (FirstContact::Load, Verb::Link | Verb::Create) => None,
                // Joining what was found changes no side.
                (FirstContact::Over, Verb::Link) => None,
                _ => self.too_much(side, verb, planned, limit, of)?,
            };
            if let Some((ceiling, reason)) = verdict {
                let sample = if matches!(verb, Verb::Link | Verb::Create) { pairs.as_str() } else { "" };
                self.put(side, verb, planned, ceiling, of, &reason, sample)?;
                self.store.drop_planned(self.object, Some((side, verb)))?;
                held = true;
            }
        }
        self.store.release_stale_holds(self.run, self.object)?;
        Ok(Cleared { held, _private: () })
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
        self.put(
            side,
            Verb::Delete,
            links,
            0,
            links,
            &format!("the {side} shows no {} at all, though {links} are linked: not believed", self.object),
            "",
        )
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
    fn size(&self) -> anyhow::Result<u64> {
        let unlinked = self.store.unlinked(self.object)?;
        let links = self.store.link_count(self.object)?;
        Ok(links + unlinked.salesforce.max(unlinked.platform))
    }

    fn too_much(&self, side: Side, verb: Verb, planned: u64, limit: Limit, of: u64) -> anyhow::Result<Option<(u64, String)>> {
        let ceiling = limit.ceiling(of);
        if seeded!(GuardSleeps) {
            return Ok(None);
        }
        if planned > ceiling {
            return Ok(Some((ceiling, format!("{planned} planned, {ceiling} allowed in one run"))));
        }
        let load_over = self.store.meta(&format!("{}-at", self.key()))?;
        let day = self.store.done_since(self.object, side, verb, self.now - Duration::hours(24), load_over.as_deref())?;
        if day + planned > ceiling && !seeded!(GuardForgetsTheDay) {
            return Ok(Some((ceiling, format!("{planned} planned after {day} in the last 24 h, {ceiling} allowed"))));
        }
        Ok(None)
    }

    fn approval(&self, side: Side, verb: Verb, planned: u64) -> anyhow::Result<bool> {
        let Some(approval) = self.store.approval(self.object, side.as_str(), verb.as_str(), self.now)? else { return Ok(false) };
        if approval.ceiling == 0 {
            // The answer was no.
            self.store.leave_planned(self.object, side.as_str(), verb.as_str())?;
        } else if planned > approval.ceiling {
            return Ok(false);
        }
        self.store.use_approval(approval.id, self.run)?;
        Ok(true)
    }

    #[allow(clippy::too_many_arguments)]
    fn put(&self, side: Side, verb: Verb, count: u64, ceiling: u64, of: u64, reason: &str, sample: &str) -> anyhow::Result<()> {
        tracing::warn!(object = self.object, %side, %verb, count, ceiling, "held: {reason}");
        self.store.put_hold(
            self.run,
            &HoldRow {
                object: self.object.to_owned(),
                side: side.as_str().to_owned(),
                verb: verb.as_str().to_owned(),
                reason: reason.to_owned(),
                count,
                ceiling,
                of,
                since: stamp(self.now),
                sample: sample.to_owned(),
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
