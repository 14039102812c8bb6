//! What must hold when everything is quiet: the whole true history against what both systems and the store say now.

use super::face::counterpart;
use super::play::Play;
use super::script::Kind;
use super::world::{Actor, FIELDS, Happened, Rec, TRIGGERED, What, World, field_on, parent, planted};
use crate::plan::Moved;
use crate::record::{Life, Side, Value};
use crate::rules::{Create, Drift, Merge};
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// What the store remembers, as plain rows.
struct Memory {
    links: Vec<Pair>,
    quarantined: BTreeSet<(String, String, String)>,
    conflicts: Vec<ConflictSeen>,
    intents: BTreeMap<i64, IntentSeen>,
}

struct Pair {
    kind: Kind,
    salesforce: String,
    platform: String,
    state: String,
}

impl Pair {
    fn id(&self, side: Side) -> &str {
        match side {
            Side::Salesforce => &self.salesforce,
            Side::Platform => &self.platform,
        }
    }
}

struct ConflictSeen {
    object: String,
    ids: [String; 2],
    field: String,
    values: [Value; 2],
    open: bool,
}

struct IntentSeen {
    object: String,
    side: String,
    verb: String,
    state: String,
    salesforce: Option<String>,
    platform: Option<String>,
    moved: Vec<Moved>,
}

fn rows(store: &Store, table: &str) -> anyhow::Result<Vec<BTreeMap<String, Option<String>>>> {
    let table = store.view(table, "1", "", u32::MAX)?;
    Ok(table.rows.into_iter().map(|row| table.columns.iter().cloned().zip(row).collect()).collect())
}

fn text(row: &BTreeMap<String, Option<String>>, name: &str) -> String {
    row.get(name).cloned().flatten().unwrap_or_default()
}

fn value(row: &BTreeMap<String, Option<String>>, name: &str) -> Value {
    serde_json::from_str(&text(row, name)).unwrap_or(Value::Null)
}

impl Memory {
    fn of(store: &Store) -> anyhow::Result<Self> {
        let kind = |object: &str| Kind::ALL.into_iter().find(|k| k.object() == object);
        let links = rows(store, "links")?
            .iter()
            .filter_map(|r| {
                Some(Pair {
                    kind: kind(&text(r, "object"))?,
                    salesforce: text(r, "salesforce_id"),
                    platform: text(r, "platform_id"),
                    state: text(r, "state"),
                })
            })
            .collect();
        let quarantined = rows(store, "quarantined")?.iter().map(|r| (text(r, "object"), text(r, "side"), text(r, "id"))).collect();
        let conflicts = rows(store, "conflict")?
            .iter()
            .map(|r| ConflictSeen {
                object: text(r, "object"),
                ids: [text(r, "salesforce_id"), text(r, "platform_id")],
                field: text(r, "entry"),
                values: [value(r, "value_salesforce"), value(r, "value_platform")],
                open: text(r, "state") == "open",
            })
            .collect();
        let intents = rows(store, "intent")?
            .iter()
            .map(|r| {
                let seen = IntentSeen {
                    object: text(r, "object"),
                    side: text(r, "side"),
                    verb: text(r, "verb"),
                    state: text(r, "state"),
                    salesforce: r["salesforce_id"].clone(),
                    platform: r["platform_id"].clone(),
                    moved: serde_json::from_str(&text(r, "moved")).unwrap_or_default(),
                };
                (text(r, "id").parse().unwrap_or(0), seen)
            })
            .collect();
        Ok(Self { links, quarantined, conflicts, intents })
    }

    fn parked(&self, kind: Kind, side: Side, id: &str) -> bool {
        self.quarantined.contains(&(kind.object().to_owned(), side.as_str().to_owned(), id.to_owned()))
    }

    /// The pair was not made by a create: it was found, merged, or joined anew, and its fields were compared as at a first
    /// match.
    fn met(&self, pair: &Pair) -> bool {
        self.intents.values().any(|i| {
            i.object == pair.kind.object()
                && matches!(i.verb.as_str(), "link" | "repoint")
                && (i.platform.as_deref() == Some(&pair.platform) || i.salesforce.as_deref() == Some(&pair.salesforce))
        })
    }

    /// A conflict row of the pair that kept this value as the loser's.
    fn kept(&self, pair: &Pair, field: &str, side: Side, lost: &Value) -> bool {
        let at = usize::from(side == Side::Platform);
        self.conflicts.iter().any(|c| {
            c.object == pair.kind.object()
                && (c.ids[0] == pair.salesforce || c.ids[1] == pair.platform)
                && c.field == field
                && c.values[at] == *lost
        })
    }

    fn overwritten_with_a_row(&self, pair: &Pair, side: Side, lost: &Value) -> bool {
        self.intents.values().any(|i| {
            i.object == pair.kind.object()
                && i.side == side.as_str()
                && (i.platform.as_deref() == Some(&pair.platform) || i.salesforce.as_deref() == Some(&pair.salesforce))
                && i.moved.iter().any(|m| m.old == *lost)
        })
    }
}

pub fn at_rest(play: &Play) {
    for wrong in play.store.soundness().unwrap_or_else(|e| vec![format!("{e:#}")]) {
        play.breaks("S13", wrong);
    }
    let memory = match Memory::of(&play.store) {
        Ok(memory) => memory,
        Err(error) => return play.breaks("S13", format!("the store cannot be read: {error:#}")),
    };
    let found = play.world(|world| {
        let mut found = Vec::new();
        everybody_has_a_place(world, &memory, &mut found);
        nothing_is_there_twice(world, &memory, &mut found);
        nothing_is_made_beside_its_twin(world, &memory, &mut found);
        every_write_has_one_outcome(world, &memory, &mut found);
        deletes_are_proved(world, &memory, &mut found);
        nothing_comes_back_unasked(world, &memory, &mut found);
        writes_are_bounded(world, &memory, &mut found);
        the_guard_holds(world, &mut found);
        for pair in memory.links.iter().filter(|p| p.state == "live") {
            in_step(world, &memory, pair, &mut found);
        }
        found
    });
    for (rule, what) in found {
        play.breaks(rule, what);
    }
}

type Found = Vec<(&'static str, String)>;

/// L1, S1: whatever lives is linked, or somebody knows why not.
fn everybody_has_a_place(world: &World, memory: &Memory, found: &mut Found) {
    for kind in Kind::ALL {
        for side in Side::BOTH {
            let linked: BTreeSet<&str> = memory.links.iter().filter(|p| p.kind == kind).map(|p| p.id(side)).collect();
            for (id, rec) in world.table(side, kind).iter().filter(|(_, r)| r.life == Life::Live) {
                if linked.contains(id.as_str()) || memory.parked(kind, side, id) {
                    continue;
                }
                let creates = match side {
                    Side::Salesforce => world.settings.create.on_platform(),
                    Side::Platform => world.settings.create == Create::Both,
                };
                if creates && !is_orphan(memory, side, kind, rec) {
                    found.push(("L1", format!("{side} {} {id} has no partner and no row says why", kind.object())));
                }
            }
            for pair in memory.links.iter().filter(|p| p.kind == kind && p.state == "live") {
                let there = world.rec(side, kind, pair.id(side)).map(|r| r.life.clone());
                if there != Some(Life::Live) {
                    // What was purged before anybody saw it deleted is for the census.
                    let purged = world.rec(Side::Salesforce, kind, &pair.salesforce).is_some_and(|r| r.purged);
                    if !purged && !memory.parked(kind, side, pair.id(side)) {
                        found.push(("L1", format!("the link {} = {} stands, and {side} has it {there:?}", pair.salesforce, pair.platform)));
                    }
                }
            }
            // A link says that its record is gone on this side.
            let gone = if side == Side::Salesforce { "deleted-in-salesforce" } else { "buried" };
            for pair in memory.links.iter().filter(|p| p.kind == kind && p.state == gone) {
                let lives = world.rec(side, kind, pair.id(side)).is_some_and(|r| r.life == Life::Live);
                if lives && !memory.parked(kind, side, pair.id(side)) {
                    found.push(("L1", format!("{side} {} lives, and its link says {gone}", pair.id(side))));
                }
            }
        }
    }
}

/// A child whose parent has no partner: it waits for it.
fn is_orphan(memory: &Memory, side: Side, kind: Kind, rec: &Rec) -> bool {
    let parent = rec.fields.get(parent(side)).and_then(Value::as_text);
    let live = |p: &str| memory.links.iter().any(|l| l.kind == Kind::Account && l.state == "live" && l.id(side) == p);
    kind == Kind::Contact && !parent.is_some_and(live)
}

/// S4: one live record per planted id.
fn nothing_is_there_twice(world: &World, memory: &Memory, found: &mut Found) {
    for kind in Kind::ALL {
        for side in Side::BOTH {
            // What we made and no link names is a double, or will be one.
            let named: BTreeSet<&str> = memory.links.iter().filter(|l| l.kind == kind).map(|l| l.id(side)).collect();
            for made in world
                .history
                .iter()
                .filter(|h| h.kind == kind && h.side == side && h.what == What::Created && matches!(h.actor, Actor::Daemon { .. }))
            {
                let lives = world.rec(side, kind, &made.id).is_some_and(|r| r.life == Life::Live);
                let orphan = world.rec(side, kind, &made.id).is_some_and(|rec| is_orphan(memory, side, kind, rec));
                if lives && !orphan && !named.contains(made.id.as_str()) && !memory.parked(kind, side, &made.id) {
                    found.push(("S4", format!("{side} {} {} was made by us and belongs to nobody", kind.object(), made.id)));
                }
            }
            let mut by_key: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for (id, rec) in world.table(side, kind).iter().filter(|(_, r)| r.life == Life::Live) {
                if let Some(key) = rec.fields.get(planted(side)).and_then(Value::as_text) {
                    by_key.entry(key).or_default().push(id);
                }
            }
            for (key, ids) in by_key.iter().filter(|(_, ids)| ids.len() > 1) {
                found.push(("S4", format!("{side} has {} with the planted id {key}: {}", kind.object(), ids.join(", "))));
            }
        }
    }
}

/// S4: nothing is made where its twin had stood, unlinked, since before the run began.
fn nothing_is_made_beside_its_twin(world: &World, memory: &Memory, found: &mut Found) {
    let linked: BTreeSet<&str> = memory
        .intents
        .values()
        .filter(|i| matches!(i.verb.as_str(), "link" | "repoint"))
        .flat_map(|i| [i.salesforce.as_deref(), i.platform.as_deref()])
        .flatten()
        .collect();
    for made in world.history.iter().filter(|h| h.what == What::Created && matches!(h.actor, Actor::Daemon { .. })) {
        let Some(run) = world.runs.iter().find(|r| !r.lied && r.from <= made.at && made.at <= r.to) else { continue };
        let Some(key) = said(world, made.side, made.kind, &made.id, planted(made.side), u64::MAX).and_then(|(_, v)| v.as_text()) else {
            continue;
        };
        let source = key.rsplit('-').next().unwrap_or(key);
        let own = said(world, made.side.other(), made.kind, source, field_on(made.side.other(), 0), made.at);
        let Some((_, name)) = own.filter(|(at, _)| *at <= run.from) else { continue };
        let free = |h: &&Happened| {
            h.side == made.side
                && h.kind == made.kind
                && h.what == What::Created
                && h.actor == Actor::User
                && h.at <= run.from
                && !linked.contains(h.id.as_str())
        };
        for twin in world.history.iter().filter(free) {
            let named = said(world, made.side, made.kind, &twin.id, field_on(made.side, 0), made.at);
            let same = named.is_some_and(|(at, n)| at <= run.from && alike(n, name));
            let partner = said(world, made.side, made.kind, &twin.id, planted(made.side), made.at).is_some()
                || world.history.iter().any(|h| {
                    h.at < made.at
                        && h.side != made.side
                        && matches!(&h.what, What::Set { field, value } if field == planted(h.side)
                            && value.as_text().is_some_and(|v| v.rsplit('-').next() == Some(&twin.id)))
                });
            // Another record's link moves to it: it has a partner of its own.
            let survivor = world.history.iter().any(|h| h.at < made.at && h.what == What::MergedInto(twin.id.clone()));
            if same && !partner && !survivor && lived(world, twin, run.from) && lived(world, twin, made.at) {
                found.push(("S4", format!("{} {} was made of {source} beside {}, which has the same name", made.side, made.id, twin.id)));
            }
        }
    }
}

/// What a field was last set to before that moment, and when.
fn said<'a>(world: &'a World, side: Side, kind: Kind, id: &str, field: &str, before: u64) -> Option<(u64, &'a Value)> {
    world.history.iter().rev().filter(|h| h.at < before && h.side == side && h.kind == kind && h.id == id).find_map(|h| match &h.what {
        What::Set { field: set, value } if set == field => Some((h.at, value)),
        _ => None,
    })
}

/// Whether the record that came into being then was alive at that moment.
fn lived(world: &World, born: &Happened, at: u64) -> bool {
    let own = world.history.iter().filter(|h| h.at <= at && h.side == born.side && h.kind == born.kind && h.id == born.id);
    own.fold(false, |alive, h| match h.what {
        What::Created | What::Undeleted => true,
        What::Deleted | What::MergedInto(_) => false,
        What::Set { .. } => alive,
    })
}

/// S11: a write that reached a side is one intent that is done.
fn every_write_has_one_outcome(world: &World, memory: &Memory, found: &mut Found) {
    let wrote: BTreeSet<i64> =
        world.history.iter().filter_map(|h| if let Actor::Daemon { intent } = h.actor { Some(intent) } else { None }).collect();
    for id in wrote {
        match memory.intents.get(&id) {
            None => found.push(("S11", format!("intent {id} wrote, and the journal does not know it"))),
            // Somebody was quicker than our look at what a lost answer had left behind: nobody can tell any more.
            Some(intent) if intent.state == "dropped" && touched_after(world, id) => {}
            Some(intent) if intent.state != "done" => {
                found.push((
                    "S11",
                    format!(
                        "intent {id} ({} {} on {}) wrote, and the journal says {}",
                        intent.verb, intent.object, intent.side, intent.state
                    ),
                ));
            }
            Some(_) => {}
        }
    }
    for (id, intent) in memory.intents.iter().filter(|(_, i)| matches!(i.state.as_str(), "promised" | "unknown")) {
        found.push(("S11", format!("intent {id} ({} {}) is {} and nobody looks", intent.verb, intent.object, intent.state)));
    }
}

/// Whether a person touched the record of this write after it.
fn touched_after(world: &World, intent: i64) -> bool {
    let Some(write) = world.history.iter().rev().find(|h| h.actor == (Actor::Daemon { intent })) else { return false };
    world.history.iter().any(|h| h.at > write.at && h.side == write.side && h.id == write.id && !matches!(h.actor, Actor::Daemon { .. }))
}

/// S6: somebody deleted the other record first.
fn deletes_are_proved(world: &World, memory: &Memory, found: &mut Found) {
    for gone in world.history.iter().filter(|h| h.what == What::Deleted) {
        let Actor::Daemon { intent } = gone.actor else { continue };
        let partner = memory.intents.get(&intent).and_then(|i| match gone.side {
            Side::Salesforce => i.platform.clone(),
            Side::Platform => i.salesforce.clone(),
        });
        let proved = partner.as_ref().is_some_and(|partner| {
            world.history.iter().any(|h| {
                h.at < gone.at
                    && h.side != gone.side
                    && h.kind == gone.kind
                    && h.id == *partner
                    && h.what == What::Deleted
                    && h.actor == Actor::User
            })
        });
        if !proved {
            found.push(("S6", format!("{} {} was deleted though nobody deleted its partner {partner:?}", gone.side, gone.id)));
        }
    }
}

/// S5: what a person deleted, or merged away, comes back only if a person touched the other record after, or asked for everything.
fn nothing_comes_back_unasked(world: &World, memory: &Memory, found: &mut Found) {
    for made in world.history.iter().filter(|h| h.what == What::Created && matches!(h.actor, Actor::Daemon { .. })) {
        let key = world.rec(made.side, made.kind, &made.id).and_then(|r| r.fields.get(planted(made.side))).and_then(Value::as_text);
        let Some(key) = key else { continue };
        let source = key.rsplit('-').next().unwrap_or(key);
        let earlier = |h: &&Happened| {
            h.at < made.at
                && h.side == made.side
                && h.kind == made.kind
                && matches!(h.what, What::Deleted | What::MergedInto(_))
                && h.actor == Actor::User
                && world.rec(h.side, h.kind, &h.id).and_then(|r| r.fields.get(planted(h.side))).and_then(Value::as_text) == Some(key)
        };
        let Some(deleted) = world.history.iter().rfind(earlier) else { continue };
        // A person's word on the other record that the deleted one never held.
        let touched = world.history.iter().any(|h| {
            h.side != made.side
                && h.id == source
                && h.at < made.at
                && !matches!(h.actor, Actor::Daemon { .. })
                && match &h.what {
                    What::Set { field, value } => {
                        let there = counterpart(made.side, field).unwrap_or_else(|| parent(made.side));
                        !world.history.iter().any(|d| {
                            // What was never known to have arrived was not there.
                            let known = !matches!(d.actor, Actor::Daemon { intent } if memory.intents.get(&intent).is_some_and(|i| i.state != "done"));
                            known && d.id == deleted.id
                                && d.side == deleted.side
                                && matches!(&d.what, What::Set { field, value: v } if field == there && alike(v, value))
                        })
                    }
                    What::Created => false,
                    What::Deleted | What::Undeleted | What::MergedInto(_) => h.at > deleted.at,
                }
        });
        // Deleted before the answer of its creation was ever known: it was never there.
        let unseen = |h: &Happened| {
            h.id == deleted.id
                && h.what == What::Created
                && matches!(h.actor, Actor::Daemon { intent } if memory.intents.get(&intent).is_some_and(|i| i.state == "dropped"))
        };
        if world.history.iter().any(unseen) {
            continue;
        }
        let asked = world.full_runs.iter().any(|at| *at >= deleted.at && *at <= made.at);
        if !touched && !asked {
            found.push(("S5", format!("{} {} was deleted or merged by a person and came back as {}", made.side, deleted.id, made.id)));
        }
    }
}

/// S16: unasked, no run and no day deletes more than one record of a kind on a side where the limit says one.
fn the_guard_holds(world: &World, found: &mut Found) {
    if !world.settings.tight {
        return;
    }
    for kind in Kind::ALL {
        for side in Side::BOTH {
            // One that a person took back and that was deleted again is one.
            let deletes: Vec<(&str, i64)> = world
                .history
                .iter()
                .filter(|h| h.kind == kind && h.side == side && h.what == What::Deleted && matches!(h.actor, Actor::Daemon { .. }))
                .filter_map(|h| world.runs.iter().find(|r| !r.asked && r.from <= h.at && h.at <= r.to).map(|r| (h.id.as_str(), r.when)))
                .collect();
            for pair in deletes.windows(2) {
                if pair[1].0 != pair[0].0 && pair[1].1 - pair[0].1 < 80_000 {
                    found.push(("S16", format!("{side} lost two {}s within a day and nobody was asked", kind.object())));
                }
            }
        }
    }
}

/// S7, S8: no more writes to a record than there were edits to the pair.
fn writes_are_bounded(world: &World, memory: &Memory, found: &mut Found) {
    for pair in &memory.links {
        for side in Side::BOTH {
            let of = |h: &&Happened| h.kind == pair.kind && (h.id == pair.id(side) && h.side == side);
            let writes: BTreeSet<i64> = world
                .history
                .iter()
                .filter(of)
                .filter_map(|h| if let Actor::Daemon { intent } = h.actor { Some(intent) } else { None })
                .collect();
            let edits = world
                .history
                .iter()
                .filter(|h| {
                    h.kind == pair.kind
                        && !matches!(h.actor, Actor::Daemon { .. })
                        && Side::BOTH.iter().any(|s| h.side == *s && h.id == pair.id(*s))
                })
                .count();
            if writes.len() > edits + 4 {
                found.push(("S8", format!("{side} {} was written {} times after {edits} edits", pair.id(side), writes.len())));
            }
        }
    }
}

/// S1, S2, S3, L1: entry by entry.
fn in_step(world: &World, memory: &Memory, pair: &Pair, found: &mut Found) {
    let (Some(s), Some(p)) =
        (world.rec(Side::Salesforce, pair.kind, &pair.salesforce), world.rec(Side::Platform, pair.kind, &pair.platform))
    else {
        return;
    };
    if s.life != Life::Live || p.life != Life::Live {
        return;
    }
    if memory.parked(pair.kind, Side::Salesforce, &pair.salesforce) || memory.parked(pair.kind, Side::Platform, &pair.platform) {
        return;
    }
    let mut names: Vec<&'static str> = (0..FIELDS.len()).map(|f| field_on(Side::Salesforce, f)).collect();
    if pair.kind == Kind::Account {
        names.push(TRIGGERED.0);
    }
    for name in names {
        let Some(there) = counterpart(Side::Platform, name) else { continue };
        let (Some(vs), Some(vp)) = (s.fields.get(name), p.fields.get(there)) else { continue };
        let entry = Entry { world, memory, pair, names: [name, there] };
        if name == "Description" { entry.one_way(vs, vp, found) } else { entry.both_ways(vs, vp, found) }
    }
    if pair.kind == Kind::Contact {
        same_parent(memory, pair, s, p, found);
    }
}

/// A child belongs to the partner of its parent.
fn same_parent(memory: &Memory, pair: &Pair, s: &Rec, p: &Rec, found: &mut Found) {
    let named = |rec: &Rec, side: Side| rec.fields.get(parent(side)).and_then(Value::as_text).map(str::to_owned);
    let (Some(of_s), of_p) = (named(s, Side::Salesforce), named(p, Side::Platform)) else { return };
    let Some(link) = memory.links.iter().find(|l| l.kind == Kind::Account && l.state == "live" && l.salesforce == of_s) else { return };
    if of_p.as_deref() != Some(link.platform.as_str()) && !memory.met(pair) {
        found.push(("L1", format!("{} belongs to {of_s} = {}, and {} to {of_p:?}", pair.salesforce, link.platform, pair.platform)));
    }
}

struct Entry<'a> {
    world: &'a World,
    memory: &'a Memory,
    pair: &'a Pair,
    names: [&'static str; 2],
}

impl Entry<'_> {
    fn name(&self, side: Side) -> &'static str {
        self.names[usize::from(side == Side::Platform)]
    }

    fn says(&self, vs: &Value, vp: &Value) -> String {
        format!("{}.{} = {vs} and {}.{} = {vp}", self.pair.salesforce, self.names[0], self.pair.platform, self.names[1])
    }

    /// The last word of people (and of a side's own automation) on this field.
    fn last(&self, side: Side) -> Option<(u64, &Value)> {
        self.world
            .history
            .iter()
            .rev()
            .filter(|h| {
                h.side == side && h.kind == self.pair.kind && h.id == self.pair.id(side) && !matches!(h.actor, Actor::Daemon { .. })
            })
            .find_map(|h| match &h.what {
                What::Set { field, value } if field == self.name(side) => Some((h.at, value)),
                _ => None,
            })
    }

    /// Which records of that side said this value, and when: this one, or one that was the partner before.
    fn said(&self, side: Side, value: &Value) -> Vec<(String, u64)> {
        let said = |h: &&Happened| {
            h.side == side
                && h.kind == self.pair.kind
                && !matches!(h.actor, Actor::Daemon { .. })
                && matches!(&h.what, What::Set { field, value: v } if field == self.name(side) && alike(v, value))
        };
        self.world.history.iter().filter(said).map(|h| (h.id.clone(), h.at)).collect()
    }

    /// Whether the side showed the value at any moment from then to then.
    fn held_between(&self, side: Side, id: &str, value: &Value, from: u64, to: u64) -> bool {
        let mut held = &Value::Null;
        let own = self.world.history.iter().filter(|h| h.side == side && h.kind == self.pair.kind && h.id == id && h.at < to);
        for h in own {
            if h.at > from && alike(held, value) {
                return true;
            }
            if let What::Set { field, value } = &h.what
                && field == self.name(side)
            {
                held = value;
            }
        }
        alike(held, value)
    }

    fn open_conflict(&self) -> bool {
        let c =
            |c: &&ConflictSeen| c.open && c.ids[0] == self.pair.salesforce && c.ids[1] == self.pair.platform && c.field == self.names[0];
        self.memory.conflicts.iter().any(|x| c(&x))
    }

    /// Compared as at a first match: the pair was joined, or the field could not be read for a while.
    fn met(&self) -> bool {
        let hidden = |side: Side| self.world.ever_hidden.contains(&(side, self.pair.kind, self.name(side)));
        self.memory.met(self.pair) || Side::BOTH.into_iter().any(hidden)
    }

    fn one_way(&self, vs: &Value, vp: &Value, found: &mut Found) {
        if alike(vs, vp) {
            return;
        }
        let platform_edited = self.last(Side::Platform).is_some();
        let may_stay = platform_edited && self.world.settings.drift != Drift::Revert;
        // At a first match blanks do not overwrite; without an answer to a create nobody knows what it made blank.
        let met = (self.met() || !self.world.settings.answers) && vs.is_blank();
        // Born on the platform with it.
        let born = self
            .world
            .rec(Side::Salesforce, self.pair.kind, &self.pair.salesforce)
            .is_some_and(|r| r.fields.get(planted(Side::Salesforce)).is_some_and(|v| !v.is_blank()));
        let excused = may_stay || met || (born && vs.is_blank());
        if !excused {
            found.push(("L1", format!("not in step: {}", self.says(vs, vp))));
        }
    }

    fn both_ways(&self, vs: &Value, vp: &Value, found: &mut Found) {
        let met = self.met();
        if !alike(vs, vp) {
            // Only two records that met may differ where Salesforce is blank; a field that was hidden for a while may not.
            let excused = self.open_conflict() || (self.memory.met(self.pair) && vs.is_blank());
            if !excused {
                found.push(("L1", format!("not in step: {}", self.says(vs, vp))));
            }
            return;
        }
        let (last_s, last_p) = (self.last(Side::Salesforce), self.last(Side::Platform));
        let is = |last: Option<(u64, &Value)>| last.is_some_and(|(_, v)| alike(v, vs));
        // A record that was a partner before may have said it; a whole record that wins brings what it holds; and where a side
        // rewrites what it is sent and does not say so, its word is taken for a person's.
        let own = |id: &str| Side::BOTH.iter().any(|s| self.pair.id(*s) == id);
        let elsewhere = Side::BOTH.into_iter().flat_map(|s| self.said(s, vs)).any(|(id, _)| !own(&id));
        let whole = self.world.settings.merge == Merge::Record
            && last_p.is_some_and(|(_, v)| self.memory.kept(self.pair, self.names[0], Side::Platform, v));
        let silent = self.world.settings.lowers && !self.world.settings.answers;
        if !met && !elsewhere && !whole && !silent && !is(last_s) && !is(last_p) && (last_s.is_some() || last_p.is_some()) && !vs.is_blank()
        {
            found.push(("S3", format!("{} is nobody's last word ({last_s:?}, {last_p:?})", self.says(vs, vp))));
        }
        for (side, last, other) in [(Side::Salesforce, last_s, last_p), (Side::Platform, last_p, last_s)] {
            let Some((lost_at, lost)) = last.filter(|(_, v)| !alike(v, vs)) else { continue };
            let mut said = self.said(side.other(), vs);
            said.extend(other.map(|(at, _)| (self.pair.id(side.other()).to_owned(), at)));
            let superseded = said.iter().any(|(id, at)| self.held_between(side.other(), id, lost, lost_at, *at));
            let kept = self.memory.kept(self.pair, self.names[0], side, lost);
            let seen_at_a_meeting = met && self.memory.overwritten_with_a_row(self.pair, side, lost);
            let blanked_at_a_meeting = met && lost.is_blank();
            // Blanks of Salesforce's overwrite nothing when two records meet; a person who blanks a field does.
            let emptied = side == Side::Platform && vs.is_blank() && last_s.is_none() && self.memory.met(self.pair);
            let seen_at_a_meeting = seen_at_a_meeting && !emptied;
            if !(superseded || kept || seen_at_a_meeting || blanked_at_a_meeting) {
                found.push(("S1", format!("{side} said {lost} last, and {} without a row", self.says(vs, vp))));
            }
            // S2: under the default rule Salesforce never loses a clash.
            let default = self.world.settings.conflict == crate::rules::Conflict::Salesforce || self.world.settings.merge == Merge::Record;
            if side == Side::Salesforce && default && kept && !superseded && !met {
                found.push(("S2", format!("Salesforce said {lost} and lost: {}", self.says(vs, vp))));
            }
        }
    }
}

/// The platform may lower the case of what it is given.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.eq_ignore_ascii_case(b),
        (a, b) => a == b || (a.is_blank() && b.is_blank()),
    }
}
