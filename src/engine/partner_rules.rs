//! What the rules file for ForceManager comes to, decision by decision: its numbered rules, told with the file itself.

#![allow(clippy::unwrap_used)]

use super::decide::{Decision, Ground, Rest, Survivor, decide};
use super::native::native_fields;
use crate::connectors::{FieldInfo, Schema};
use crate::plan::{Situation, Verb};
use crate::record::{FieldType, Fields, Life, RecordId, Side, Sides, Value};
use crate::rules::{FORCEMANAGER, Rules, Translate, check, parse};
use crate::store::{Candidate, Link, LinkState, PairRead, StagedRow};

const SF: &str = "001D000000IqhSLIAZ";

fn rules(change: impl Fn(&str) -> String) -> Rules {
    let text = change(FORCEMANAGER);
    check(&parse(&text).unwrap(), &text).unwrap()
}

fn shipped() -> Rules {
    rules(str::to_owned)
}

/// One pair of each kind is linked.
struct Linked;

const PAIRS: [(&str, &str, &str); 4] =
    [("user", "005U", "14"), ("account", "001A", "3"), ("contact", "003C", "9"), ("opportunity", "006O", "5")];

impl Translate for Linked {
    fn to_platform(&self, object: &str, id: &str) -> Option<String> {
        PAIRS.iter().find(|(o, s, _)| *o == object && *s == id).map(|(_, _, p)| (*p).to_owned())
    }

    fn to_salesforce(&self, object: &str, id: &str) -> Option<String> {
        PAIRS.iter().find(|(o, _, p)| *o == object && *p == id).map(|(_, s, _)| (*s).to_owned())
    }
}

fn schema(rules: &Rules, object: &str, side: Side) -> Schema {
    let mapping = rules.mapping(object).unwrap();
    let planted = if side == Side::Salesforce { "Lockstep_Id__c" } else { "extId" };
    let ty = |name: &str| match name {
        "Probability" => FieldType::Decimal { scale: 2 },
        "salesProbability" => FieldType::Decimal { scale: 0 },
        "IsAllDayEvent" | "allDay" | "IsClosed" | "completed" | "IsActive" => FieldType::Boolean,
        _ => FieldType::text(),
    };
    let writable = |name: &str| !matches!(name, "fullName" | "IsClosed");
    let field = |name: String| {
        let may = writable(&name);
        (name.clone(), FieldInfo { ty: ty(&name), createable: may, updateable: may, required: false, secret: false, calculated: false })
    };
    let fields = native_fields(rules, mapping, side).into_iter().chain([planted.to_owned()]).map(field).collect();
    let may = object != "user";
    Schema { fields, createable: may, updateable: may, deletable: may, planted: Some(planted.to_owned()) }
}

type Shown<'a> = &'a [(&'a str, Value)];

fn t(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { Value::text(text) }
}

/// All fields of the mapping, empty but for these.
fn whole(rules: &Rules, object: &str, side: Side, shown: Shown<'_>) -> Fields {
    let names = schema(rules, object, side).fields.into_keys();
    let mut fields: Fields = names.map(|name| (name, Value::Null)).collect();
    fields.extend(shown.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    fields
}

fn row(side: Side, life: Life, fields: Fields) -> StagedRow {
    let id = if side == Side::Salesforce { SF } else { "7" };
    StagedRow { id: RecordId::from(id), fields, hash: 1, stamp: None, life }
}

/// A linked pair: what both sides held, and what they show now (`None`: no news; a life without fields: gone).
fn linked(rules: &Rules, object: &str, base: Sides<Shown<'_>>, now: Sides<Option<(Life, Shown<'_>)>>) -> Decision {
    let link = Link { id: 1, object: object.to_owned(), salesforce_id: SF.into(), platform_id: "7".into(), state: LinkState::Live };
    let staged = |side: Side| now[side].clone().map(|(life, shown)| row(side, life, whole(rules, object, side, shown)));
    let held = |side: Side| Some(whole(rules, object, side, base[side]));
    let pair = PairRead {
        link: Some(link),
        base: Sides::new(held(Side::Salesforce), held(Side::Platform)),
        staged: Sides::new(staged(Side::Salesforce), staged(Side::Platform)),
    };
    decided(rules, object, &pair, Vec::new())
}

fn new(rules: &Rules, object: &str, side: Side, shown: Shown<'_>, candidates: Vec<Candidate>) -> Decision {
    let mut staged = Sides::default();
    staged[side] = Some(row(side, Life::Live, whole(rules, object, side, shown)));
    decided(rules, object, &PairRead { link: None, base: Sides::default(), staged }, candidates)
}

fn decided(rules: &Rules, object: &str, pair: &PairRead, candidates: Vec<Candidate>) -> Decision {
    let (salesforce, platform) = (schema(rules, object, Side::Salesforce), schema(rules, object, Side::Platform));
    let ground = Ground {
        rules,
        mapping: rules.mapping(object).unwrap(),
        schema: Sides::new(&salesforce, &platform),
        links: &Linked,
        candidates,
        survivor: Survivor::Free,
        referred_to: false,
        parent_gone: false,
        first_contact: None,
        now: "2026-11-24T10:00:00Z",
    };
    decide(pair, &ground, &mut || "KEY".to_owned())
}

/// Writes as `side verb field=value, …`.
fn writes(decision: &Decision) -> Vec<String> {
    let written = decision.intents.iter().filter(|i| i.verb.is_write());
    written
        .map(|i| {
            let fields: Vec<String> = i.fields.iter().filter(|(n, _)| *n != "extId").map(|(n, v)| format!("{n}={v}")).collect();
            format!("{} {} {}", i.side, i.verb, fields.join(", ")).trim_end().to_owned()
        })
        .collect()
}

const BEFORE: Sides<Shown<'static>> = Sides { salesforce: &[], platform: &[] };

fn one_way(text: &str) -> String {
    text.replacen(
        "[objects.account]\nsalesforce = \"Account\"\nplatform = \"account\"\ndirection = \"both\"\ncreate = \"both\"",
        "[objects.account]\nsalesforce = \"Account\"\nplatform = \"account\"\ndirection = \"to-platform\"\ncreate = \"to-platform\"",
        1,
    )
}

#[test]
fn r2_one_way_nothing_reaches_salesforce_whatever_happens_on_the_platform() {
    let rules = rules(one_way);
    let moved = linked(&rules, "account", BEFORE, Sides::new(None, Some((Life::Live, &[("name", t("New"))]))));
    assert_eq!(writes(&moved), [""; 0]);
    let gone = linked(&rules, "account", BEFORE, Sides::new(None, Some((Life::Deleted, &[]))));
    assert_eq!(writes(&gone), [""; 0]);
    assert_eq!(writes(&new(&rules, "account", Side::Platform, &[("name", t("Born there"))], Vec::new())), [""; 0]);
    let here = linked(&rules, "account", BEFORE, Sides::new(Some((Life::Live, &[("Name", t("New"))])), None));
    assert_eq!(writes(&here), ["platform update name=\"New\""]);
}

#[test]
fn r2_one_way_what_was_changed_on_the_platform_stays_until_salesforce_moves() {
    let rules = rules(one_way);
    // The edit was looked at and left: both bases know it.
    let (here, there) = ([("Name", t("Acme")), ("Phone", t("1"))], [("name", t("Acme")), ("phone", t("changed"))]);
    let before: Sides<Shown<'_>> = Sides::new(&here, &there);
    let idle = linked(&rules, "account", before, Sides::new(None, Some((Life::Live, &there))));
    assert_eq!(writes(&idle), [""; 0]);
    let moved = [("Name", t("Acme Inc")), ("Phone", t("1"))];
    let decision = linked(&rules, "account", before, Sides::new(Some((Life::Live, &moved)), None));
    assert_eq!(writes(&decision), ["platform update name=\"Acme Inc\", phone=\"1\""]);
}

#[test]
fn r3_two_way_each_side_hears_of_the_other() {
    let rules = shipped();
    let there = linked(&rules, "account", BEFORE, Sides::new(None, Some((Life::Live, &[("phone", t("1")), ("salesRepId1", t("14"))]))));
    assert_eq!(writes(&there), ["salesforce update OwnerId=\"005U\", Phone=\"1\""]);
    let here = linked(&rules, "account", BEFORE, Sides::new(Some((Life::Live, &[("Phone", t("1")), ("OwnerId", t("005U"))])), None));
    assert_eq!(writes(&here), ["platform update phone=\"1\", salesRepId1=\"14\""]);
    assert_eq!(writes(&new(&rules, "account", Side::Platform, &[("name", t("Born there"))], Vec::new())).len(), 1);
}

#[test]
fn c1_changed_on_both_sides_salesforce_wins_the_whole_record_and_what_lost_is_kept() {
    let rules = shipped();
    let (here, there) = ([("Name", t("S"))], [("phone", t("1"))]);
    let decision = linked(&rules, "account", BEFORE, Sides::new(Some((Life::Live, &here)), Some((Life::Live, &there))));
    assert_eq!(writes(&decision), ["platform update name=\"S\", phone=∅"]);
    let lost = &decision.intents.iter().find(|i| i.verb == Verb::Update).unwrap().conflicts;
    assert!(lost.iter().any(|c| c.entry == "Phone" && c.value.platform == t("1") && c.winner == Some(Side::Salesforce)), "{lost:?}");
}

#[test]
fn c3_a_deletion_in_salesforce_wins_and_one_on_the_platform_loses_to_an_edit() {
    let rules = shipped();
    let gone = linked(&rules, "account", BEFORE, Sides::new(Some((Life::Deleted, &[])), Some((Life::Live, &[("name", t("Edited"))]))));
    assert_eq!((gone.situation, writes(&gone)), (Situation::DeletedInSalesforceButEdited, vec!["platform delete".to_owned()]));
    // The link goes, and what Salesforce holds is made anew.
    let edited = linked(&rules, "account", BEFORE, Sides::new(Some((Life::Live, &[("Name", t("Edited"))])), Some((Life::Deleted, &[]))));
    assert_eq!(edited.situation, Situation::GoneOnPlatformButEdited);
    assert_eq!(edited.intents.iter().map(|i| i.verb).collect::<Vec<_>>(), [Verb::Forget]);
    let again = new(&rules, "account", Side::Salesforce, &[("Name", t("Edited")), ("OwnerId", t("005U"))], Vec::new());
    assert_eq!(writes(&again), ["platform create name=\"Edited\", salesRepId1=\"14\""]);
}

#[test]
fn a_deletion_on_the_platform_travels_only_where_the_rules_say_so() {
    let gone = |rules: &Rules| writes(&linked(rules, "account", BEFORE, Sides::new(None, Some((Life::Deleted, &[])))));
    assert_eq!(gone(&shipped()), ["salesforce delete"]);
    assert_eq!(gone(&rules(|s| s.replace("on-platform-delete = \"delete\"", "on-platform-delete = \"keep\""))), [""; 0]);
}

#[test]
fn s3_a_child_waits_for_its_company() {
    let rules = shipped();
    let contact = |account: &str| {
        let shown = [("LastName", t("Lee")), ("AccountId", t(account)), ("OwnerId", t("005U"))];
        new(&rules, "contact", Side::Salesforce, &shown, Vec::new())
    };
    assert_eq!(writes(&contact("001A")), ["platform create accountId=\"3\", lastName=\"Lee\", salesRepId=\"14\""]);
    assert_eq!((contact("001X").situation, contact("001X").rest), (Situation::WaitingForParent, Rest::Waits));
    assert_eq!(contact("").situation, Situation::OutOfScope, "ForceManager has no contact without a company");
}

#[test]
fn u1_users_are_never_written_on_either_side() {
    let rules = shipped();
    let life = [
        None,
        Some((Life::Live, &[("IsActive", Value::Bool(true)), ("Name", t("New")), ("fullName", t("New"))][..])),
        Some((Life::Deleted, &[][..])),
    ];
    for salesforce in &life {
        for platform in &life {
            let decision = linked(&rules, "user", BEFORE, Sides::new(salesforce.clone(), platform.clone()));
            assert_eq!(writes(&decision), [""; 0], "{salesforce:?} {platform:?}");
        }
    }
    for side in Side::BOTH {
        let shown = [("IsActive", Value::Bool(true)), ("Name", t("Ann")), ("fullName", t("Ann"))];
        assert_eq!(writes(&new(&rules, "user", side, &shown, Vec::new())), [""; 0]);
    }
}

#[test]
fn u2_u3_one_user_of_that_name_is_linked_and_two_are_not() {
    let rules = shipped();
    let shown = [("IsActive", Value::Bool(true)), ("Name", t("Ann Lee"))];
    let hit = |id: &str| {
        let fields = whole(&rules, "user", Side::Platform, &[("fullName", t("Ann Lee"))]);
        Candidate { ordinal: 1, row: StagedRow { id: id.into(), ..row(Side::Platform, Life::Live, fields) } }
    };
    let one = new(&rules, "user", Side::Salesforce, &shown, vec![hit("14")]);
    assert_eq!((one.situation, one.intents[0].verb), (Situation::Found, Verb::Link));
    let two = new(&rules, "user", Side::Salesforce, &shown, vec![hit("14"), hit("15")]);
    assert!(two.situation == Situation::Ambiguous && two.intents.is_empty() && matches!(two.rest, Rest::Parked { .. }));
    let idle = [("IsActive", Value::Bool(false)), ("Name", t("Ann Lee"))];
    assert_eq!(new(&rules, "user", Side::Salesforce, &idle, vec![hit("14")]).situation, Situation::OutOfScope);
}

#[test]
fn u5_an_owner_without_a_link_is_waited_for_or_stood_in_for() {
    let shown = [("Name", t("Acme")), ("OwnerId", t("005X"))];
    assert_eq!(new(&shipped(), "account", Side::Salesforce, &shown, Vec::new()).rest, Rest::Waits);
    let stands = rules(|s| {
        s.replace(
            "OwnerId = { to = \"salesRepId1\", as = \"reference\", object = \"user\" }",
            "OwnerId = { to = \"salesRepId1\", as = \"reference\", object = \"user\", or = \"99\" }",
        )
    });
    assert_eq!(
        writes(&new(&stands, "account", Side::Salesforce, &shown, Vec::new())),
        ["platform create name=\"Acme\", salesRepId1=\"99\""]
    );
    // Towards Salesforce the owner is left out.
    let born = [("name", t("Born there")), ("salesRepId1", t("99"))];
    let made = writes(&new(&stands, "account", Side::Platform, &born, Vec::new()));
    assert!(made[0].starts_with("salesforce create") && !made[0].contains("OwnerId"), "{made:?}");
}

#[test]
fn a_probability_is_a_tenth_rounded_and_not_written_back() {
    let rules = shipped();
    let number = |n: i64| Value::Decimal(n.into());
    let shown = [("Name", t("Deal")), ("AccountId", t("001A")), ("Probability", number(75))];
    let made = writes(&new(&rules, "opportunity", Side::Salesforce, &shown, Vec::new()));
    assert!(made[0].contains("salesProbability=8"), "{made:?}");
    let here = [("AccountId", t("001A")), ("Probability", number(75))];
    let there = [("accountId1", t("3")), ("salesProbability", number(8))];
    let before: Sides<Shown<'_>> = Sides::new(&here, &there);
    let moved = [("accountId1", t("3")), ("salesProbability", number(8)), ("comments", t("x"))];
    assert_eq!(
        writes(&linked(&rules, "opportunity", before, Sides::new(None, Some((Life::Live, &moved))))),
        ["salesforce update Description=\"x\""]
    );
    let moved = [("accountId1", t("3")), ("salesProbability", number(9))];
    assert_eq!(
        writes(&linked(&rules, "opportunity", before, Sides::new(None, Some((Life::Live, &moved))))),
        ["salesforce update Probability=90"]
    );
}

#[test]
fn a_call_becomes_an_activity_and_any_other_task_a_task() {
    let rules = shipped();
    let task = |subtype: &str| {
        [("AccountId", t("001A")), ("TaskSubtype", t(subtype)), ("WhatId", t("006O")), ("WhoId", t("00Q1")), ("OwnerId", t("005U"))]
    };
    let situation = |object: &str, subtype: &str| new(&rules, object, Side::Salesforce, &task(subtype), Vec::new()).situation;
    assert_eq!((situation("activity", "Call"), situation("task", "Call")), (Situation::NewInSalesforce, Situation::OutOfScope));
    assert_eq!((situation("activity", "Task"), situation("task", "Task")), (Situation::OutOfScope, Situation::NewInSalesforce));
    let made = writes(&new(&rules, "activity", Side::Salesforce, &task("Call"), Vec::new()));
    assert_eq!(made, ["platform create about=\"opportunity 5\", salesRepId=\"14\", type=\"Call\""]);
    let born = [("about", t("account 3")), ("completed", Value::Bool(true)), ("type", t("Visit")), ("salesRepId", t("14"))];
    let made = writes(&new(&rules, "activity", Side::Platform, &born, Vec::new()));
    assert_eq!(
        made,
        [
            "salesforce create Lockstep_Id__c=\"acme-activity-7\", OwnerId=\"005U\", Status=\"Completed\", Subject=\"Visit\", TaskSubtype=\"Call\", WhatId=\"001A\""
        ]
    );
}

#[test]
fn a_task_that_is_closed_is_completed_and_one_that_is_completed_is_closed() {
    let rules = shipped();
    let here = [("AccountId", t("001A")), ("TaskSubtype", t("Task")), ("IsClosed", Value::Bool(false)), ("Status", t("In Progress"))];
    let there = [("completed", Value::Bool(false))];
    let before: Sides<Shown<'_>> = Sides::new(&here, &there);
    let closed = [("AccountId", t("001A")), ("TaskSubtype", t("Task")), ("IsClosed", Value::Bool(true)), ("Status", t("Completed"))];
    assert_eq!(writes(&linked(&rules, "task", before, Sides::new(Some((Life::Live, &closed)), None))), ["platform update completed=true"]);
    let completed = [("completed", Value::Bool(true))];
    assert_eq!(
        writes(&linked(&rules, "task", before, Sides::new(None, Some((Life::Live, &completed))))),
        ["salesforce update Status=\"Completed\""]
    );
}
