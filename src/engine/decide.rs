//! The table of situations: one `match` from what is known of a pair to what happens to it. Pure.

use super::{
    amend::{Amended, amended},
    diff::{Look, Sight, look, pack, wanted_on, whole},
    fight::{Lately, fought},
    native::{ACTIVATIONS, RESET_REQUESTED, own_fields, planted_in_salesforce, planted_on_platform},
    provision::{self, Provision},
};
use crate::connectors::Schema;
use crate::plan::{Decided, Fought, Intent, Moved, Situation, Verb};
use crate::record::{Fields, Life, RecordId, Side, Sides, Value};
use crate::rules::{Drift, Mapping, Merge, OnPlatformDelete, OnSalesforceDelete, Rules, Translate};
use crate::seeded::seeded;
use crate::store::{Candidate, Link, LinkState, PairRead, StagedRow};

/// Everything a decision may look at besides the pair.
pub struct Ground<'a> {
    pub rules: &'a Rules,
    pub mapping: &'a Mapping,
    pub schema: Sides<&'a Schema>,
    pub links: &'a dyn Translate,
    /// Match keys hit by an unlinked Salesforce record.
    pub candidates: Vec<Candidate>,
    /// How the survivor of a merge stands.
    pub survivor: Survivor,
    /// Other platform records refer to this one: it is never deleted.
    pub referred_to: bool,
    /// The platform record this one lived inside is gone, or not to be seen: it went with it, and nobody deleted it.
    pub parent_gone: bool,
    /// The first contact of an order's account, where the rules fall back on it.
    pub first_contact: Option<String>,
    /// For intents that must name the time they were planned at.
    pub now: &'a str,
}

/// The record that lives on after a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survivor {
    /// It has a link of its own.
    Linked,
    /// It has none: the loser's goes to it.
    Free,
    /// Salesforce does not show it: deleted since, or not yet here.
    Unseen,
}

/// What becomes of a pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub situation: Situation,
    pub intents: Vec<Intent>,
    pub rest: Rest,
}

/// What becomes of the news if no intent settles it.
#[derive(Debug, Clone, PartialEq)]
pub enum Rest {
    /// The intents settle it.
    Settled,
    /// Looked at; stays as it is until it changes.
    Left,
    /// Looked at again as soon as the record it belongs to is linked.
    Waits,
    /// In quarantine.
    Parked { code: String, message: String },
}

impl Decision {
    const fn only(situation: Situation, rest: Rest) -> Self {
        Self { situation, intents: Vec::new(), rest }
    }

    fn one(intent: Intent) -> Self {
        Self { situation: intent.situation, intents: vec![intent], rest: Rest::Settled }
    }

    fn parked(situation: Situation, code: &str, message: impl Into<String>) -> Self {
        Self::only(situation, Rest::Parked { code: code.to_owned(), message: message.into() })
    }
}

/// How one side of a pair looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Same,
    Changed,
    Gone,
}

fn seen(row: Option<&StagedRow>) -> Seen {
    match row.map(|r| &r.life) {
        None => Seen::Same,
        Some(Life::Live) => Seen::Changed,
        Some(Life::Deleted | Life::MergedInto(_)) => Seen::Gone,
    }
}

/// What keeps single entries of a linked pair from being written, and what is found out about that.
#[derive(Default)]
pub struct Still<'a> {
    /// Entries that the guard does not let be emptied on a side in this run.
    pub held: Option<&'a std::collections::BTreeSet<(Side, String)>>,
    /// Entries of this pair that are frozen.
    pub frozen: Option<&'a std::collections::BTreeSet<String>>,
    pub lately: Option<Lately<'a>>,
    /// Found out: entries that are fought over, frozen ones among them.
    pub fought: Vec<Fought>,
    /// Found out: frozen entries that the two sides agree on again.
    pub agreed: Vec<String>,
}

/// One pair, one decision, where nothing is held or fought over.
#[cfg(test)]
pub fn decide(pair: &PairRead, ground: &Ground<'_>, mint: &mut dyn FnMut() -> String) -> Decision {
    decide_but(pair, ground, &mut Still::default(), mint)
}

/// One pair, one decision. `mint` makes license keys; it is only called for licenses that are to be issued.
pub fn decide_but(pair: &PairRead, ground: &Ground<'_>, still: &mut Still<'_>, mint: &mut dyn FnMut() -> String) -> Decision {
    match (&pair.link, &pair.staged.salesforce, &pair.staged.platform) {
        (Some(link), _, _) => linked(pair, link, ground, still, mint),
        (None, Some(row), _) => new_in_salesforce(row, ground, mint),
        (None, None, Some(row)) => new_on_platform(row, ground),
        (None, None, None) => Decision::only(Situation::InStep, Rest::Left),
    }
}

fn linked(pair: &PairRead, link: &Link, ground: &Ground<'_>, still: &mut Still<'_>, mint: &mut dyn FnMut() -> String) -> Decision {
    let local = |verb, side, situation| Decision::one(bare(ground, link, verb, side, situation));
    if let Some(Life::MergedInto(survivor)) = pair.staged.salesforce.as_ref().map(|r| &r.life).filter(|_| !seeded!(MergeIsDelete)) {
        if seeded!(LoserIsForgotten) && ground.survivor == Survivor::Linked {
            return local(Verb::Forget, Side::Salesforce, Situation::Merged);
        }
        // Without the survivor's place to go to, the loser's platform record stays, and its link with it: without one it would
        // be new, and made again.
        match (ground.survivor, link.state, seen(pair.staged.platform.as_ref())) {
            (Survivor::Free, _, _) => {}
            (Survivor::Linked | Survivor::Unseen, LinkState::Buried, _) | (Survivor::Linked | Survivor::Unseen, _, Seen::Gone) => {
                return local(Verb::Forget, Side::Salesforce, Situation::Merged);
            }
            (Survivor::Linked, LinkState::Live, _) => return local(Verb::Mark, Side::Salesforce, Situation::Merged),
            (Survivor::Unseen, LinkState::Live, _) => {
                let message = format!("merged into {survivor}, which Salesforce does not show");
                return Decision::parked(Situation::Merged, "survivor-not-seen", message);
            }
            (Survivor::Linked | Survivor::Unseen, LinkState::DeletedInSalesforce, _) => {
                return Decision::only(Situation::Merged, Rest::Left);
            }
        }
        let mut intent = bare(ground, link, Verb::Repoint, Side::Salesforce, Situation::Merged);
        intent.fields.insert("Id".to_owned(), Value::text(survivor.as_str()));
        return Decision::one(intent);
    }
    let looks = Sides::new(seen(pair.staged.salesforce.as_ref()), seen(pair.staged.platform.as_ref()));
    match (link.state, looks.salesforce, looks.platform) {
        (_, Seen::Gone, Seen::Gone) => local(Verb::Forget, Side::Salesforce, Situation::Gone),

        (LinkState::Live, Seen::Gone, Seen::Same) => deleted_in_salesforce(pair, link, ground, Situation::DeletedInSalesforce),
        (LinkState::Live, Seen::Gone, Seen::Changed) => deleted_in_salesforce(pair, link, ground, Situation::DeletedInSalesforceButEdited),
        (LinkState::Live, Seen::Same, Seen::Gone) if seeded!(GraveRobber) => gone_but_edited(link, ground),
        (LinkState::Live, Seen::Same, Seen::Gone) => gone_on_platform(pair, link, ground),
        (LinkState::Live, Seen::Changed, Seen::Gone) => gone_but_edited(link, ground),
        (LinkState::Live, _, _) => compare(pair, link, ground, still, mint),

        // A side that reports deletions may say so again: that is no news, and the edit is.
        (LinkState::Buried, Seen::Changed, Seen::Same | Seen::Gone) => gone_but_edited(link, ground),
        (LinkState::DeletedInSalesforce, Seen::Changed, _) if seeded!(UndeleteIsNothing) => Decision::only(Situation::Revived, Rest::Left),
        (LinkState::DeletedInSalesforce, Seen::Changed, _) | (LinkState::Buried, Seen::Same | Seen::Changed, Seen::Changed) => {
            revived(pair, link, ground)
        }
        (LinkState::Buried, Seen::Gone, _) => local(Verb::Forget, Side::Salesforce, Situation::Gone),
        (LinkState::Buried, Seen::Same, Seen::Same | Seen::Gone) => Decision::only(Situation::Buried, Rest::Left),
        (LinkState::DeletedInSalesforce, Seen::Same, Seen::Gone) => local(Verb::Forget, Side::Platform, Situation::Gone),
        (LinkState::DeletedInSalesforce, _, _) => Decision::only(Situation::DeletedInSalesforce, Rest::Left),
    }
}

/// Licenses and orders are never issued again, and never deleted by us.
pub(super) fn is_issued(mapping: &Mapping) -> bool {
    !seeded!(IssuedAgain) && (mapping.provisions || mapping.object == "license")
}

fn deleted_in_salesforce(pair: &PairRead, link: &Link, ground: &Ground<'_>, situation: Situation) -> Decision {
    let platform = ground.schema.platform;
    let policy = ground.mapping.on_salesforce_delete;
    let allowed = platform.deletable && !is_issued(ground.mapping) && !ground.referred_to && ground.mapping.direction.to_platform();
    match policy {
        OnSalesforceDelete::Delete if allowed => Decision::one(delete(pair, link, ground, Side::Platform, situation)),
        OnSalesforceDelete::Disable if ground.mapping.provisions && platform.fields.get("change").is_some_and(|f| f.updateable) => {
            let mut intent = bare(ground, link, Verb::Update, Side::Platform, situation);
            let all = Fields::from([("unit".to_owned(), Value::text("*")), ("enabled".to_owned(), Value::Bool(false))]);
            intent.fields.insert("change".to_owned(), Value::Rows(vec![all]));
            intent.moved.push(Moved { name: "licenses of the order".to_owned(), old: Value::Null, new: Value::text("disabled") });
            Decision::one(intent)
        }
        OnSalesforceDelete::Disable if platform.fields.get("enabled").is_some_and(|f| f.updateable) => {
            let mut intent = bare(ground, link, Verb::Update, Side::Platform, situation);
            intent.fields.insert("enabled".to_owned(), Value::Bool(false));
            intent.moved.push(Moved { name: "enabled".to_owned(), old: Value::Null, new: Value::Bool(false) });
            // The link is marked by the same settlement, so that a disable that failed is planned again.
            Decision::one(intent)
        }
        OnSalesforceDelete::Delete | OnSalesforceDelete::Disable | OnSalesforceDelete::Report => {
            Decision::one(bare(ground, link, Verb::Mark, Side::Salesforce, situation))
        }
    }
}

fn gone_on_platform(pair: &PairRead, link: &Link, ground: &Ground<'_>) -> Decision {
    let may = ground.mapping.on_platform_delete == OnPlatformDelete::Delete
        && !ground.parent_gone
        && !is_issued(ground.mapping)
        && ground.schema.salesforce.deletable
        && ground.mapping.direction.to_salesforce();
    Decision::one(if may {
        delete(pair, link, ground, Side::Salesforce, Situation::GoneOnPlatform)
    } else {
        bare(ground, link, Verb::Bury, Side::Platform, Situation::GoneOnPlatform)
    })
}

/// A delete tells the history what the record held last, seen by its partner or not.
fn delete(pair: &PairRead, link: &Link, ground: &Ground<'_>, side: Side, situation: Situation) -> Intent {
    let mut intent = bare(ground, link, Verb::Delete, side, situation);
    if let Some(held) = pair.staged[side].as_ref().map(|r| &r.fields).or(pair.base[side].as_ref()) {
        let nothing = held.iter().filter(|(_, v)| !v.is_blank()).map(|(name, _)| (name.clone(), Value::Null)).collect();
        intent.moved = moved(ground.schema[side], held, &nothing);
    }
    intent
}

fn gone_but_edited(link: &Link, ground: &Ground<'_>) -> Decision {
    let again = !is_issued(ground.mapping) && ground.mapping.create.on_platform();
    let verb = if again { Verb::Forget } else { Verb::Bury };
    Decision::one(bare(ground, link, verb, Side::Platform, Situation::GoneOnPlatformButEdited))
}

fn revived(pair: &PairRead, link: &Link, ground: &Ground<'_>) -> Decision {
    let mut intent = bare(ground, link, Verb::Link, Side::Salesforce, Situation::Revived);
    intent.advance = pair.base.as_ref().map(|b| b.clone().unwrap_or_default());
    Decision::one(intent)
}

/// Both live: entry by entry.
fn compare(pair: &PairRead, link: &Link, ground: &Ground<'_>, still: &mut Still<'_>, mint: &mut dyn FnMut() -> String) -> Decision {
    let empty = Fields::new();
    let base = Sides::new(pair.base.salesforce.as_ref().unwrap_or(&empty), pair.base.platform.as_ref().unwrap_or(&empty));
    let now = Sides::new(
        pair.staged.salesforce.as_ref().map_or(base.salesforce, |r| &r.fields),
        pair.staged.platform.as_ref().map_or(base.platform, |r| &r.fields),
    );
    if let Some(filter) = &ground.mapping.filter {
        match filter.holds(now.salesforce) {
            Ok(true) => {}
            Ok(false) => return Decision::only(Situation::OutOfScope, Rest::Left),
            Err(message) => return Decision::parked(Situation::Unreadable, "filter", message),
        }
    }
    let stamp = Sides::new(
        pair.staged.salesforce.as_ref().and_then(|r| r.stamp.as_deref()),
        pair.staged.platform.as_ref().and_then(|r| r.stamp.as_deref()),
    );
    let sight = Sight { now, base, schema: ground.schema, stamp, links: ground.links };
    let mut sum = Sum::default();
    for entry in &ground.mapping.entries {
        let look = quiet(entry, look(entry, ground.mapping, &sight), &sight, still, &mut sum);
        sum.take(entry, look, &sight);
    }
    if ground.mapping.merge == Merge::Record && sum.writes.salesforce.any() && (sum.writes.platform.any() || sum.clashes > 0) {
        sum.let_salesforce_win(ground, &sight);
    }
    let one_way = !ground.mapping.direction.to_salesforce();
    if ground.mapping.merge == Merge::Record && one_way && sum.writes.platform.any() {
        sum.write_whole(ground, &sight);
    }
    plant(link, ground, &sight, &mut sum);
    let mut amended = amended(link, ground, &sight, mint);
    reset(link, ground, &sight, &mut amended);
    sum.decision(pair, link, ground, &sight, amended)
}

/// An entry that is held, or fought over, stays as it is on both sides: its news is kept until it may be written.
fn quiet(entry: &crate::rules::Entry, look: Look, sight: &Sight<'_>, still: &mut Still<'_>, sum: &mut Sum) -> Look {
    let frozen = still.frozen.is_some_and(|f| f.contains(&entry.name));
    let (side, values) = match &look {
        Look::Write { side, values } | Look::Clash { write: Some((side, values)), .. } => (*side, values.clone()),
        Look::Still | Look::Advance { .. } => {
            // A field that is not shown may be still for that reason alone.
            let shown = entry.salesforce.iter().all(|n| sight.now.salesforce.contains_key(n))
                && entry.platform.iter().all(|n| sight.now.platform.contains_key(n));
            if frozen && shown {
                still.agreed.push(entry.name.clone());
            }
            return look;
        }
        Look::Clash { write: None, .. } | Look::Waits { .. } | Look::Unfit { .. } => return look,
    };
    let empties = values.iter().all(|(_, v)| v.is_blank());
    if empties && still.held.is_some_and(|held| held.contains(&(side, entry.name.clone()))) {
        sum.held = true;
        return Look::Still;
    }
    let shown = |side: Side| {
        let names = if side == Side::Salesforce { &entry.salesforce } else { &entry.platform };
        let values: Vec<Value> = names.iter().map(|n| sight.now[side].get(n).cloned().unwrap_or(Value::Null)).collect();
        // A key is a bearer secret.
        let secret = |n: &String| sight.schema[side].fields.get(n).is_some_and(|f| f.secret);
        match (values.as_slice(), names.iter().any(secret)) {
            ([one], true) => mask(one),
            ([one], false) => one.clone(),
            (many, _) => Value::List(many.to_vec()),
        }
    };
    let now = Sides::new(shown(Side::Salesforce), shown(Side::Platform));
    let quarrel = still.lately.and_then(|lately| fought(entry, side, &values, &now, lately));
    match quarrel {
        None if !frozen => look,
        quarrel => {
            let secret = values.iter().any(|(n, _)| sight.schema[side].fields.get(n).is_some_and(|f| f.secret));
            let wrote = values.first().map_or(Value::Null, |(_, v)| if secret { mask(v) } else { v.clone() });
            let mut one = quarrel.unwrap_or(Fought { entry: entry.name.clone(), side, wrote: wrote.clone(), times: 0, value: now });
            if secret {
                one.wrote = wrote;
            }
            still.fought.push(one);
            sum.fought = true;
            Look::Still
        }
    }
}

/// Somebody ticked the box: one reset, which the box's base remembers until the outcome is written and the box cleared. Any
/// number of ticks before that are one.
fn reset(link: &Link, ground: &Ground<'_>, sight: &Sight<'_>, amended: &mut Amended) {
    let asked = |fields: &Fields| fields.get(RESET_REQUESTED) == Some(&Value::Bool(true));
    if ground.mapping.object != "license" || !asked(sight.now.salesforce) || asked(sight.base.salesforce) {
        return;
    }
    let mut intent = bare(ground, link, Verb::Update, Side::Platform, Situation::ResetRequested);
    let counted = ground.mapping.entries.iter().find(|e| e.salesforce == [ACTIVATIONS]).and_then(|e| e.platform.first());
    let before = counted.and_then(|name| sight.now.platform.get(name)).filter(|v| !v.is_blank()).cloned().unwrap_or(Value::Int(0));
    let row = Fields::from([("activations".to_owned(), before.clone()), ("asked".to_owned(), Value::text(ground.now))]);
    intent.fields.insert("reset".to_owned(), Value::Rows(vec![row]));
    intent.moved.push(Moved { name: "activations".to_owned(), old: before, new: Value::Int(0) });
    if !ground.schema.platform.fields.get("reset").is_some_and(|f| f.updateable) {
        // Told as the outcome of the request, which is answered by this row.
        intent.verb = Verb::Mark;
        intent.side = Side::Salesforce;
        intent.fields.clear();
    }
    if !seeded!(TickForgotten) {
        intent.advance.salesforce.insert(RESET_REQUESTED.to_owned(), Value::Bool(true));
    }
    amended.held_back.insert(RESET_REQUESTED.to_owned());
    amended.intents.push(intent);
}

/// A platform record that was found rather than made carries our id only if its field is still blank.
fn plant(link: &Link, ground: &Ground<'_>, sight: &Sight<'_>, sum: &mut Sum) {
    let Some(name) = &ground.schema.platform.planted else { return };
    let Some(held) = sight.now.platform.get(name) else { return };
    if sight.base.platform.contains_key(name) || ground.mapping.entries.iter().any(|e| e.platform.contains(name)) {
        return;
    }
    let may = ground.mapping.direction.to_platform() && ground.schema.platform.fields.get(name).is_some_and(|f| f.updateable);
    if held.is_blank() && may {
        let id = planted_on_platform(ground.mapping, link.salesforce_id.as_str());
        sum.writes.platform.fields.insert(name.clone(), Value::Text(id));
    }
}

/// What the entries of one pair add up to.
#[derive(Default)]
struct Sum {
    writes: Sides<OneWrite>,
    advance: Sides<Fields>,
    advanced: bool,
    agreed: bool,
    clashes: u32,
    undecided: Vec<Decided>,
    waits: Option<(String, String)>,
    unfit: Option<(&'static str, String)>,
    /// An entry is held in this run: the news is planned afresh by the next.
    held: bool,
    /// An entry is frozen: the news is kept, and looked at when it changes.
    fought: bool,
}

#[derive(Default)]
struct OneWrite {
    fields: Fields,
    /// Bases that move once this write is done.
    advance: Sides<Fields>,
    conflicts: Vec<Decided>,
}

impl OneWrite {
    fn any(&self) -> bool {
        !self.fields.is_empty()
    }
}

impl Sum {
    fn take(&mut self, entry: &crate::rules::Entry, look: Look, sight: &Sight<'_>) {
        let shown = |side: Side| -> Fields {
            let names = match side {
                Side::Salesforce => &entry.salesforce,
                Side::Platform => &entry.platform,
            };
            names.iter().filter_map(|n| sight.now[side].get(n).map(|v| (n.clone(), v.clone()))).collect()
        };
        let add = |write: &mut OneWrite, values: Vec<(String, Value)>| {
            write.fields.extend(values);
            for side in Side::BOTH {
                write.advance[side].extend(shown(side));
            }
        };
        match look {
            Look::Still => {}
            Look::Advance { agreed } => {
                self.advanced = true;
                self.agreed |= agreed;
                for side in Side::BOTH {
                    self.advance[side].extend(shown(side));
                }
            }
            Look::Write { side, values } => add(&mut self.writes[side], values),
            Look::Clash { decided, write } => {
                self.clashes += 1;
                match write {
                    Some((side, values)) => {
                        add(&mut self.writes[side], values);
                        self.writes[side].conflicts.push(*decided);
                    }
                    None => self.undecided.push(*decided),
                }
            }
            Look::Waits { object, id } => self.waits = Some((object, id)),
            Look::Unfit { code, message } => self.unfit = Some((code, message)),
        }
    }

    /// `merge = "record"`: what the platform moved is overwritten, field by field, and kept as conflicts.
    fn let_salesforce_win(&mut self, ground: &Ground<'_>, sight: &Sight<'_>) {
        let lost = std::mem::take(&mut self.writes.salesforce);
        self.writes.platform.conflicts.extend(lost.conflicts);
        for entry in &ground.mapping.entries {
            if !entry.direction.to_platform() || !entry.salesforce.iter().any(|n| lost.fields.contains_key(n)) {
                continue;
            }
            let take =
                |names: &[String], side: Side| names.iter().map(|n| sight.now[side].get(n).cloned().unwrap_or(Value::Null)).collect();
            let now = Sides::new(take(&entry.salesforce, Side::Salesforce), take(&entry.platform, Side::Platform));
            if let Ok(values) = wanted_on(entry, sight, &now, Side::Platform) {
                let decided = Decided {
                    entry: entry.name.clone(),
                    base: Sides::new(Value::Null, Value::Null),
                    value: Sides::new(
                        now.salesforce.first().cloned().unwrap_or(Value::Null),
                        now.platform.first().cloned().unwrap_or(Value::Null),
                    ),
                    winner: Some(Side::Salesforce),
                    rule: "salesforce (whole record)".to_owned(),
                };
                self.clashes += 1;
                let look = if seeded!(WinnerUnseen) {
                    Look::Write { side: Side::Platform, values }
                } else {
                    Look::Clash { decided: Box::new(decided), write: Some((Side::Platform, values)) }
                };
                self.take(entry, look, sight);
            }
        }
    }

    /// `merge = "record"`, one way: what people changed on the platform was left alone until Salesforce moved, and goes with that.
    fn write_whole(&mut self, ground: &Ground<'_>, sight: &Sight<'_>) {
        for entry in ground.mapping.entries.iter().filter(|e| e.direction.to_platform()) {
            let look = whole(entry, sight);
            if matches!(look, Look::Write { .. }) {
                self.take(entry, look, sight);
            }
        }
    }

    fn situation(&self, pair: &PairRead) -> Situation {
        let found = pair.base.platform.as_ref().is_none_or(Fields::is_empty);
        match (self.clashes > 0, self.writes.salesforce.any(), self.writes.platform.any()) {
            (true, _, _) => Situation::Clash,
            (false, false, false) if self.fought => Situation::FoughtOver,
            _ if found => Situation::Found,
            (false, true, true) => Situation::BothMovedApart,
            (false, false, true) => Situation::SalesforceMoved,
            (false, true, false) => Situation::PlatformMoved,
            (false, false, false) if self.agreed => Situation::Agreed,
            (false, false, false) => Situation::InStep,
        }
    }

    fn decision(mut self, pair: &PairRead, link: &Link, ground: &Ground<'_>, sight: &Sight<'_>, amended: Amended) -> Decision {
        let situation = self.situation(pair);
        let mut intents = Vec::new();
        for side in [Side::Platform, Side::Salesforce] {
            if !self.writes[side].any() {
                continue;
            }
            let write = std::mem::take(&mut self.writes[side]);
            let mut intent = bare(ground, link, Verb::Update, side, situation);
            intent.moved = moved(ground.schema[side], sight.now[side], &write.fields);
            intent.fields = write.fields;
            intent.advance = write.advance;
            intent.conflicts = write.conflicts;
            intents.push(intent);
        }
        // Somebody wrote into a field that is Lockstep's own: the history says so, and it is said again.
        let own: Vec<&str> = own_fields(ground.rules, ground.mapping).into_iter().filter(|name| *name != RESET_REQUESTED).collect();
        let mut overwritten = Vec::new();
        // Fields that nobody maps but the rules look at (the lines of an order, a filter's field) travel with the news.
        for side in Side::BOTH {
            for (name, value) in sight.now[side] {
                let mapped = ground.mapping.entries.iter().any(|e| match side {
                    Side::Salesforce => e.salesforce.contains(name),
                    Side::Platform => e.platform.contains(name),
                });
                let waits = side == Side::Salesforce && amended.held_back.contains(name);
                let held = sight.base[side].get(name);
                if !mapped && !waits && held != Some(value) {
                    let ours = side == Side::Salesforce && own.contains(&name.as_str());
                    if let Some(held) = held.filter(|held| ours && !held.is_blank()) {
                        overwritten.push(Moved { name: name.clone(), old: held.clone(), new: value.clone() });
                    }
                    self.advance[side].insert(name.clone(), value.clone());
                    self.advanced = true;
                }
            }
        }
        intents.extend(amended.intents);
        let reported = ground.mapping.drift == Drift::Report && self.advanced && !self.agreed && intents.is_empty();
        if self.advanced || !self.undecided.is_empty() || reported {
            let told = reported || !self.undecided.is_empty() || !overwritten.is_empty();
            let verb = if told { Verb::Mark } else { Verb::Advance };
            let side = if pair.staged.salesforce.is_some() { Side::Salesforce } else { Side::Platform };
            let mut intent = bare(ground, link, verb, side, situation);
            intent.advance = std::mem::take(&mut self.advance);
            intent.moved = overwritten;
            intent.conflicts = std::mem::take(&mut self.undecided);
            if !intent.conflicts.is_empty() {
                // Undecided: the news stays, looked at, until a person or a newer value decides.
                intents.push(intent);
                return Decision { situation, intents, rest: Rest::Left };
            }
            intents.push(intent);
        }
        let rest = match (self.unfit, self.waits) {
            (Some((code, message)), _) => Rest::Parked { code: code.to_owned(), message },
            (None, Some(_)) => Rest::Waits,
            (None, None)
                if matches!(amended.rest, Some(Rest::Parked { .. }))
                    || amended.rest.is_some() && !intents.iter().any(|i| i.verb.is_write()) =>
            {
                amended.rest.unwrap_or(Rest::Settled)
            }
            (None, None) if self.fought && !self.held && !intents.iter().any(|i| i.verb.is_write()) => Rest::Left,
            (None, None) if self.fought || self.held => Rest::Settled,
            (None, None) if intents.is_empty() => {
                // Nothing moved in any mapped field: only the fingerprint differs, or a field may not be read.
                intents.push(bare(ground, link, Verb::Advance, Side::Salesforce, situation));
                Rest::Settled
            }
            (None, None) => Rest::Settled,
        };
        Decision { situation, intents, rest }
    }
}

/// What a person sees of a write: old and new by field, secrets masked.
pub(super) fn moved(schema: &Schema, held: &Fields, written: &Fields) -> Vec<Moved> {
    written
        .iter()
        .map(|(name, new)| {
            let secret = schema.fields.get(name).is_some_and(|f| f.secret);
            let show = |v: &Value| if secret { mask(v) } else { v.clone() };
            Moved { name: name.clone(), old: held.get(name).map_or(Value::Null, show), new: show(new) }
        })
        .collect()
}

/// A key is a bearer secret: only its last four characters are shown.
pub(super) fn mask(value: &Value) -> Value {
    match value.as_text() {
        Some(text) if !text.is_empty() => {
            let tail: String = text.chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
            Value::Text(format!("…{tail}"))
        }
        _ => value.clone(),
    }
}

pub(super) fn bare(ground: &Ground<'_>, link: &Link, verb: Verb, side: Side, situation: Situation) -> Intent {
    Intent {
        id: 0,
        object: ground.mapping.object.clone(),
        side,
        verb,
        situation,
        link: Some(link.id),
        salesforce_id: Some(link.salesforce_id.clone()),
        platform_id: Some(link.platform_id.clone()),
        fields: Fields::new(),
        moved: Vec::new(),
        advance: Sides::default(),
        key: None,
        conflicts: Vec::new(),
    }
}

fn new_in_salesforce(row: &StagedRow, ground: &Ground<'_>, mint: &mut dyn FnMut() -> String) -> Decision {
    if row.life != Life::Live {
        return Decision::only(Situation::Gone, Rest::Left);
    }
    if let Some(filter) = &ground.mapping.filter {
        match filter.holds(&row.fields) {
            Ok(true) => {}
            Ok(false) => return Decision::only(Situation::OutOfScope, Rest::Left),
            Err(message) => return Decision::parked(Situation::Unreadable, "filter", message),
        }
    }
    match ground.candidates.as_slice() {
        [] => {}
        [one] => return found(row, one, ground),
        many => {
            let ids = many.iter().map(|c| c.row.id.as_str()).collect::<Vec<_>>().join(", ");
            return Decision::parked(
                Situation::Ambiguous,
                "ambiguous",
                format!("{} platform records match: {ids}; merge them, or plant {} in the right one", many.len(), row.id),
            );
        }
    }
    if ground.mapping.provisions {
        return match provision::provision(row, ground, mint) {
            Provision::NotYet => Decision::only(Situation::OutOfScope, Rest::Left),
            Provision::Historic => Decision::only(Situation::BeforeProvisionFrom, Rest::Left),
            Provision::Waits => Decision::only(Situation::WaitingForParent, Rest::Waits),
            Provision::Nothing => Decision::only(Situation::OutOfScope, Rest::Left),
            Provision::Refused { code, message } => Decision::parked(Situation::NewInSalesforce, code, message),
            Provision::Issue(intent) => Decision::one(*intent),
        };
    }
    if !ground.mapping.create.on_platform() || !ground.schema.platform.createable {
        return Decision::only(Situation::NewInSalesforce, Rest::Left);
    }
    create(row, ground, Side::Platform)
}

fn new_on_platform(row: &StagedRow, ground: &Ground<'_>) -> Decision {
    if row.life != Life::Live {
        return Decision::only(Situation::Gone, Rest::Left);
    }
    // One that carries a Salesforce id was somebody's partner: it is reported, never made anew (S5).
    let orphan = ground.schema.platform.planted.as_deref().and_then(|p| planted_salesforce_id(p, &row.fields)).is_some();
    if orphan || !ground.mapping.create.in_salesforce() || !ground.schema.salesforce.createable {
        return Decision::only(Situation::NewOnPlatform, Rest::Left);
    }
    create(row, ground, Side::Salesforce)
}

/// The link comes first, with bases only for the entries that agree; the rest is compared next, as a first match.
fn found(row: &StagedRow, hit: &Candidate, ground: &Ground<'_>) -> Decision {
    let mut intent = unlinked(ground, Verb::Link, Side::Platform, Situation::Found);
    intent.salesforce_id = Some(row.id.clone());
    intent.platform_id = Some(hit.row.id.clone());
    if hit.ordinal == 0 {
        // Joined by a planted id: that claim is stronger than any name.
        intent.key = ground.schema.salesforce.planted.clone().map(|name| (name, hit.row.id.as_str().to_owned()));
    }
    // They name each other, so they were partners once: what differs now is a conflict whose base is forgotten.
    let again = names_each_other(row, &hit.row, ground);
    let hit = &hit.row;
    let empty = Fields::new();
    let sight = Sight {
        now: Sides::new(&row.fields, &hit.fields),
        base: Sides::new(&empty, &empty),
        schema: ground.schema,
        stamp: Sides::new(None, None),
        links: ground.links,
    };
    for entry in &ground.mapping.entries {
        let take = |names: &[String], fields: &Fields| names.iter().map(|n| fields.get(n).cloned()).collect::<Option<Vec<_>>>();
        let (Some(s), Some(p)) = (take(&entry.salesforce, &row.fields), take(&entry.platform, &hit.fields)) else { continue };
        let now = Sides::new(s, p);
        let equal = match wanted_on(entry, &sight, &now, Side::Platform) {
            Ok(wanted) => wanted.iter().map(|(_, v)| v).eq(now.platform.iter()),
            Err(_) => false,
        };
        let blank = |values: &[Value]| values.iter().all(Value::is_blank);
        let both_rule = entry.direction.to_platform() && entry.direction.to_salesforce() && entry.lens.two_way();
        if again && !equal && both_rule && !blank(&now.salesforce) && !blank(&now.platform) {
            intent.conflicts.push(Decided {
                entry: entry.name.clone(),
                base: Sides::new(Value::Null, Value::Null),
                value: now.as_ref().map(|v| pack(v)),
                winner: Some(Side::Salesforce),
                rule: "salesforce (linked again)".to_owned(),
            });
        }
        if equal {
            let pairs = |names: &[String], values: &[Value]| names.iter().cloned().zip(values.iter().cloned()).collect::<Fields>();
            intent.advance.salesforce.extend(pairs(&entry.salesforce, &now.salesforce));
            intent.advance.platform.extend(pairs(&entry.platform, &now.platform));
        }
    }
    Decision::one(intent)
}

fn names_each_other(row: &StagedRow, hit: &StagedRow, ground: &Ground<'_>) -> bool {
    let holds = |schema: &Schema, fields: &Fields, id: &str| {
        schema.planted.as_ref().and_then(|name| fields.get(name)).and_then(Value::as_text).is_some_and(|held| held == id)
    };
    holds(ground.schema.platform, &hit.fields, &planted_on_platform(ground.mapping, row.id.as_str()))
        || holds(ground.schema.salesforce, &row.fields, &planted_in_salesforce(ground.rules, ground.mapping, hit.id.as_str()))
}

pub(super) fn unlinked(ground: &Ground<'_>, verb: Verb, side: Side, situation: Situation) -> Intent {
    Intent {
        id: 0,
        object: ground.mapping.object.clone(),
        side,
        verb,
        situation,
        link: None,
        salesforce_id: None,
        platform_id: None,
        fields: Fields::new(),
        moved: Vec::new(),
        advance: Sides::default(),
        key: None,
        conflicts: Vec::new(),
    }
}

/// A record that is to be made on `side`, complete with the id by which it can be found again.
fn create(row: &StagedRow, ground: &Ground<'_>, side: Side) -> Decision {
    let situation = match side {
        Side::Platform => Situation::NewInSalesforce,
        Side::Salesforce => Situation::NewOnPlatform,
    };
    let mut intent = unlinked(ground, Verb::Create, side, situation);
    let empty = Fields::new();
    let source = side.other();
    let mut now = Sides::new(&empty, &empty);
    now[source] = &row.fields;
    let sight = Sight { now, base: Sides::new(&empty, &empty), schema: ground.schema, stamp: Sides::new(None, None), links: ground.links };
    for entry in &ground.mapping.entries {
        let travels = match side {
            Side::Platform => entry.direction.to_platform(),
            Side::Salesforce => entry.direction.to_salesforce() && entry.lens.two_way(),
        };
        if !travels {
            continue;
        }
        match made(entry, &sight, source) {
            None => {}
            Some(Ok(values)) => {
                let may = |name: &str| ground.schema[side].fields.get(name).is_some_and(|f| f.createable);
                intent.fields.extend(values.into_iter().filter(|(name, value)| may(name) && !value.is_blank()));
            }
            Some(Err(Look::Waits { .. })) if seeded!(OrphanChild) => {}
            Some(Err(Look::Waits { .. })) => return Decision::only(Situation::WaitingForParent, Rest::Waits),
            Some(Err(Look::Unfit { code, message })) => return Decision::parked(situation, code, message),
            Some(Err(Look::Still | Look::Advance { .. } | Look::Write { .. } | Look::Clash { .. })) => {}
        }
    }
    // What is not sent is blank there, unless the answer knows better.
    for entry in &ground.mapping.entries {
        let names = if side == Side::Salesforce { &entry.salesforce } else { &entry.platform };
        let unsent = names
            .iter()
            .filter(|n| !seeded!(UnsentIsUnknown) && ground.schema[side].fields.contains_key(*n) && !intent.fields.contains_key(*n));
        intent.advance[side].extend(unsent.map(|n| (n.clone(), Value::Null)));
    }
    let mut planted = ground.schema[side].planted.as_ref().filter(|_| !seeded!(NoPlantedId));
    if seeded!(RecordUnkeyed) && is_issued(ground.mapping) {
        planted = None;
    }
    if let Some(planted) = planted {
        let id = match side {
            Side::Platform => planted_on_platform(ground.mapping, row.id.as_str()),
            Side::Salesforce => planted_in_salesforce(ground.rules, ground.mapping, row.id.as_str()),
        };
        intent.fields.insert(planted.clone(), Value::text(id.clone()));
        intent.key = Some((planted.clone(), id));
    }
    if let Some(missing) = required_but_missing(ground.schema[side], &intent.fields) {
        return Decision::parked(
            situation,
            "required-missing",
            format!("{side} field {missing} must not be empty; fill the field that maps to it"),
        );
    }
    intent.moved = moved(ground.schema[side], &empty, &intent.fields);
    intent.advance[source] = row.fields.clone();
    match source {
        Side::Salesforce => intent.salesforce_id = Some(row.id.clone()),
        Side::Platform => intent.platform_id = Some(row.id.clone()),
    }
    Decision::one(intent)
}

/// The values an entry gives a record that does not exist yet; `None` if its source may not be read.
fn made(entry: &crate::rules::Entry, sight: &Sight<'_>, source: Side) -> Option<Result<Vec<(String, Value)>, Look>> {
    let names = match source {
        Side::Salesforce => &entry.salesforce,
        Side::Platform => &entry.platform,
    };
    let values = names.iter().map(|n| sight.now[source].get(n).cloned()).collect::<Option<Vec<_>>>()?;
    let blank = |names: &[String]| vec![Value::Null; names.len()];
    let now = match source {
        Side::Salesforce => Sides::new(values, blank(&entry.platform)),
        Side::Platform => Sides::new(blank(&entry.salesforce), values),
    };
    Some(wanted_on(entry, sight, &now, source.other()))
}

fn required_but_missing<'a>(schema: &'a Schema, fields: &Fields) -> Option<&'a str> {
    schema.fields.iter().find(|(name, info)| info.required && fields.get(*name).is_none_or(Value::is_blank)).map(|(name, _)| name.as_str())
}

/// The ids a pair refers to, by object, so that their links can be fetched before deciding.
pub fn references(mapping: &Mapping, rules: &Rules, pair: &PairRead, wanted: &mut Sides<std::collections::BTreeSet<(String, String)>>) {
    for side in Side::BOTH {
        let shown = [pair.staged[side].as_ref().map(|r| &r.fields), pair.base[side].as_ref()];
        for fields in shown.into_iter().flatten() {
            for entry in &mapping.entries {
                let names = match side {
                    Side::Salesforce => &entry.salesforce,
                    Side::Platform => &entry.platform,
                };
                let named = names.iter().filter_map(|name| entry.lens.refers(side, fields.get(name)?));
                wanted[side].extend(named);
            }
            if let (true, Side::Salesforce, Some(orders)) = (mapping.provisions, side, &rules.orders) {
                let contacts = orders.contact.iter().filter_map(|c| c.field()).map(|field| ("contact", field));
                for (object, field) in contacts.chain([("account", "AccountId")]) {
                    let id = fields.get(field).and_then(Value::as_text);
                    wanted[side].extend(id.map(|id| (object.to_owned(), id.to_owned())));
                }
            }
        }
    }
}

/// Match keys of an unlinked Salesforce record, in the platform's terms, in the order they are tried.
pub fn salesforce_keys(row: &StagedRow, ground: &Ground<'_>) -> Vec<(i64, String)> {
    let mut keys = vec![(0, planted_on_platform(ground.mapping, row.id.as_str()))];
    let empty = Fields::new();
    let sight = Sight {
        now: Sides::new(&row.fields, &empty),
        base: Sides::new(&empty, &empty),
        schema: ground.schema,
        stamp: Sides::new(None, None),
        links: ground.links,
    };
    for (i, names) in ground.mapping.match_keys.iter().enumerate() {
        let parts: Option<Vec<Value>> = names
            .iter()
            .map(|name| {
                let entry = ground.mapping.entries.iter().find(|e| e.platform.contains(name))?;
                let values = made(entry, &sight, Side::Salesforce)?.ok()?;
                values.into_iter().find(|(n, _)| n == name).map(|(_, v)| v)
            })
            .collect();
        if let Some(key) = parts.and_then(|p| fold_key(&p)) {
            keys.push((i64::try_from(i).unwrap_or(0) + 1, key));
        }
    }
    keys
}

/// Match keys of a platform record. One that carries another record's planted id is in nobody's pool.
pub fn platform_keys(mapping: &Mapping, planted: Option<&str>, fields: &Fields) -> Vec<(i64, String)> {
    if let Some(id) = planted.and_then(|p| planted_salesforce_id(p, fields)) {
        return vec![(0, id.to_owned())];
    }
    mapping
        .match_keys
        .iter()
        .enumerate()
        .filter_map(|(i, names)| {
            let parts = names.iter().map(|n| fields.get(n).cloned()).collect::<Option<Vec<_>>>()?;
            Some((i64::try_from(i).unwrap_or(0) + 1, fold_key(&parts)?))
        })
        .collect()
}

/// The planted id a platform record carries, if it is one of ours.
fn planted_salesforce_id<'a>(planted: &str, fields: &'a Fields) -> Option<&'a str> {
    let id = fields.get(planted).and_then(Value::as_text)?;
    let bare = id.strip_prefix("SF-").unwrap_or(id);
    (crate::record::SalesforceId::parse(bare).is_ok() && bare.len() == 18).then_some(id)
}

/// Case and runs of white space do not tell two people apart; a blank part matches nobody.
fn fold_key(parts: &[Value]) -> Option<String> {
    if parts.iter().any(Value::is_blank) {
        return None;
    }
    let fold = |v: &Value| match v {
        Value::Text(t) => t.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    Some(parts.iter().map(fold).collect::<Vec<_>>().join("\u{1f}"))
}

/// The id of the record a merge or a read has to look up for this pair, if any.
pub fn survivor(pair: &PairRead) -> Option<&RecordId> {
    match pair.staged.salesforce.as_ref().map(|r| &r.life) {
        Some(Life::MergedInto(id)) => Some(id),
        _ => None,
    }
}
