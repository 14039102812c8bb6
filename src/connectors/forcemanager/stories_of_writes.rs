//! Writing, told against a small fake: nothing twice, nothing over somebody else's, nothing without being read back.

#![allow(clippy::unwrap_used)]

use super::catalogue::{ACCOUNT, ACTIVITY, CONTACT, EVENT, OPPORTUNITY, TASK, USER};
use super::fake::{Fake, Trick, World};
use super::stories::{SF, fields, names};
use crate::connectors::{Reader, Writer};
use crate::plan::{Outcome, Verb, Write};
use crate::record::{Record, Value};
use serde_json::{Value as J, json};

fn write(resource: &str, verb: Verb, id: Option<i64>, pairs: &[(&str, Value)]) -> Write {
    let fields = fields(pairs);
    let read = fields.keys().cloned().collect();
    let id = id.map(|id| id.to_string().into());
    Write { intent: 1, object: resource.to_owned(), resource: resource.to_owned(), verb, id, fields, key: None, read }
}

fn create(resource: &str, pairs: &[(&str, Value)]) -> Write {
    let mut all = vec![("extId", Value::text(SF))];
    all.extend_from_slice(pairs);
    Write { key: Some(("extId".into(), SF.into())), ..write(resource, Verb::Create, None, &all) }
}

fn account() -> Write {
    create(ACCOUNT, &[("name", Value::text("Acme")), ("salesRepId1", Value::text("14")), ("phone", Value::Null)])
}

async fn one(fake: &Fake, write: Write) -> Outcome {
    fake.connector.apply(&[write]).await.remove(0)
}

fn done(outcome: Outcome) -> (i64, Option<Record>, Vec<String>) {
    match outcome {
        Outcome::Done { id, record, steps } => {
            (id.as_str().parse().unwrap(), record, steps.into_iter().map(|s| format!("{}: {}", s.name, s.outcome)).collect())
        }
        other => panic!("{other:?}"),
    }
}

fn code(outcome: Outcome) -> String {
    match outcome {
        Outcome::Rejected { code, .. } => format!("rejected {code}"),
        Outcome::Failed { code, .. } => format!("failed {code}"),
        Outcome::Unknown { .. } => "unknown".into(),
        Outcome::Missing => "missing".into(),
        Outcome::Done { .. } => "done".into(),
    }
}

fn row(id: i64, more: J) -> J {
    let mut row = json!({"id": id, "name": "Acme", "extId": null, "deleted": false});
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    row
}

// --- creating --------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_record_is_made_with_its_link_and_read_back() {
    let fake = Fake::start(World::default()).await;
    let (id, record, _) = done(one(&fake, account()).await);
    assert_eq!(fake.sent("POST /api/v4/accounts"), [json!({"extId": SF, "name": "Acme", "salesRepId1": 14, "branchId": 16})]);
    assert_eq!(record.unwrap().fields["name"], Value::text("Acme"));
    assert_eq!(fake.rows("accounts").len(), 1);
    assert_eq!(id, 1001);
}

#[tokio::test]
async fn after_a_lost_answer_the_record_is_found_and_not_made_again() {
    let fake = Fake::start(World::default().trick("POST /api/v4/accounts", Trick::LoseAnswer)).await;
    let (id, _, steps) = done(one(&fake, account()).await);
    assert_eq!((id, fake.rows("accounts").len(), fake.calls("POST /api/v4/accounts")), (1001, 1, 1));
    assert_eq!(steps, ["create: no answer", "look-up: found 1001"]);
}

#[tokio::test]
async fn after_a_lost_request_nobody_knows_until_somebody_looks() {
    let fake = Fake::start(World::default().trick("POST /api/v4/accounts", Trick::LoseRequest)).await;
    assert_eq!(code(one(&fake, account()).await), "unknown");
    assert_eq!(code(fake.connector.resolve(&account()).await), "failed not-done");
    assert_eq!(fake.calls("POST /api/v4/accounts"), 1, "it is not sent again here");
}

#[tokio::test]
async fn a_status_that_says_nothing_is_an_unknown_outcome() {
    for status in [500, 502, 504, 408] {
        let fake = Fake::start(World::default().trick("POST /api/v4/accounts", Trick::Answer(status, "<html>"))).await;
        assert_eq!(code(one(&fake, account()).await), "unknown", "{status}");
    }
    let fake = Fake::start(World::default().trick("POST /api/v4/accounts", Trick::Answer(200, "<html>"))).await;
    assert_eq!(code(one(&fake, account()).await), "unknown", "HTML with 200");
}

#[tokio::test]
async fn of_several_records_with_one_link_the_oldest_is_it() {
    let mut gone = row(1, json!({"extId": SF}));
    gone["deleted"] = json!(true);
    let world = World::default().with("accounts", [row(9, json!({"extId": SF})), gone, row(4, json!({"extId": SF}))]);
    let fake = Fake::start(world).await;
    let (id, _, steps) = done(fake.connector.resolve(&account()).await);
    assert_eq!((id, steps), (4, vec!["look-up: found 4".into(), "look-up: 9 carry the same link".into()]));
}

#[tokio::test]
async fn what_is_sent_back_unserved_is_sent_again() {
    let world = World::default()
        .trick("POST /api/v4/accounts", Trick::Answer(400, r#"{"code":900,"message":"no database connection"}"#))
        .trick("POST /api/v4/accounts", Trick::Expire);
    let fake = Fake::start(world).await;
    done(one(&fake, account()).await);
    assert_eq!(fake.rows("accounts").len(), 1);
}

#[tokio::test]
async fn an_empty_first_name_is_tried_and_then_stood_in_for() {
    let pairs =
        [("lastName", Value::text("Lee")), ("accountId", Value::text("3")), ("salesRepId", Value::text("14")), ("firstName", Value::Null)];
    let fake = Fake::start(World::default()).await;
    done(one(&fake, create(CONTACT, &pairs)).await);
    assert_eq!(fake.sent("POST /api/v4/contacts")[0]["firstName"], "");
    let fake = Fake::start(World { refused: ["firstName"].into(), ..World::default() }).await;
    let (_, record, _) = done(one(&fake, create(CONTACT, &pairs)).await);
    assert_eq!(fake.rows("contacts")[0]["firstName"], "-");
    assert_eq!(record.unwrap().fields["firstName"], Value::Null, "it stands for nothing on the way back");
}

#[tokio::test]
async fn a_calendar_entry_says_what_it_is_and_when() {
    let fake = Fake::start(World::default()).await;
    let pairs = [
        ("subject", Value::text("Visit")),
        ("start", Value::text("2026-07-05T08:00:00Z")),
        ("end", Value::text("2026-07-05T09:30:00Z")),
        ("about", Value::text("account 3")),
    ];
    let (_, record, _) = done(one(&fake, create(EVENT, &pairs)).await);
    let sent = &fake.sent("POST /api/v4/calendar")[0];
    for (key, want) in [
        ("startDate", json!("26/07/05")),
        ("startHour", json!("10:00")),
        ("endDate", json!("26/07/05")),
        ("endHour", json!("11:30")),
        ("task", json!(false)),
        ("accountId", json!(3)),
    ] {
        assert_eq!(sent[key], want, "{key}");
    }
    assert_eq!(record.unwrap().fields["start"], Value::text("2026-07-05T08:00:00Z"));
    done(one(&fake, create(TASK, &[("subject", Value::text("Call")), ("day", Value::text("2026-07-05"))])).await);
    let sent = &fake.sent("POST /api/v4/calendar")[1];
    assert_eq!(
        (&sent["task"], &sent["startDate"], &sent["endDate"], &sent["allDay"]),
        (&json!(true), &json!("26/07/05"), &json!("26/07/05"), &json!(true))
    );
    assert_eq!(code(one(&fake, create(TASK, &[("day", Value::text("1999-07-05"))])).await), "rejected does-not-fit");
}

#[tokio::test]
async fn what_an_activity_is_about_names_its_company() {
    let world = World::default().with("opportunities", [json!({"id": 5, "accountId1": {"id": 3, "value": "Acme"}})]);
    let fake = Fake::start(world).await;
    let pairs = [
        ("about", Value::text("opportunity 5")),
        ("salesRepId", Value::text("14")),
        ("day", Value::text("2026-07-05")),
        ("typeId", Value::Int(1)),
    ];
    let (_, record, _) = done(one(&fake, create(ACTIVITY, &pairs)).await);
    let sent = &fake.sent("POST /api/v4/activities")[0];
    assert_eq!((&sent["accountId"], &sent["opportunityId"], &sent["date"]), (&json!(3), &json!(5), &json!("2026-07-05 12:00:00")));
    let record = record.unwrap();
    assert_eq!((&record.fields["day"], &record.fields["about"]), (&Value::text("2026-07-05"), &Value::text("opportunity 5")));
}

#[tokio::test]
async fn words_become_numbers_and_an_unknown_country_is_left_out() {
    let world = World::default()
        .with("opportunityStatuses", [json!({"id": 4, "descriptionEN": "Won"})])
        .with("countries", [json!({"id": 34, "nameEN": "Spain", "iso2": "ES"})]);
    let fake = Fake::start(world).await;
    let opportunity = |word: &str| create(OPPORTUNITY, &[("reference", Value::text("Deal")), ("status", Value::text(word))]);
    done(one(&fake, opportunity("won")).await);
    assert_eq!(fake.sent("POST /api/v4/opportunities")[0]["statusId"], 4);
    assert_eq!(code(one(&fake, opportunity("Dreaming")).await), "rejected unknown-word");
    let mut write = account();
    write.fields.insert("country".into(), Value::text("es"));
    done(one(&fake, write.clone()).await);
    assert_eq!(fake.sent("POST /api/v4/accounts")[0]["countryId"], 34);
    write.fields.insert("country".into(), Value::text("Atlantis"));
    let (_, _, steps) = done(one(&fake, write).await);
    assert!(steps[0].contains("Atlantis") && fake.sent("POST /api/v4/accounts")[1].get("countryId").is_none(), "{steps:?}");
}

#[tokio::test]
async fn a_date_that_comes_back_shifted_stops_activities() {
    let fake = Fake::start(World { shift_h: 2, ..World::default() }).await;
    let activity = || create(ACTIVITY, &[("date", Value::text("2026-07-05T08:00:00Z")), ("salesRepId", Value::text("14"))]);
    done(one(&fake, activity()).await);
    assert_eq!(code(one(&fake, activity()).await), "failed time-shift");
    assert_eq!(fake.calls("POST /api/v4/activities"), 1);
    done(one(&fake, account()).await);
}

// --- changing --------------------------------------------------------------------------------------------------------

fn change(id: i64, pairs: &[(&str, Value)]) -> Write {
    write(ACCOUNT, Verb::Update, Some(id), pairs)
}

#[tokio::test]
async fn only_what_changed_is_sent_and_the_rest_stays() {
    let fake = Fake::start(World::default().with("accounts", [row(1, json!({"phone": "1", "fax": "2"}))])).await;
    let (_, record, _) = done(one(&fake, change(1, &[("phone", Value::text("3"))])).await);
    assert_eq!(fake.sent("PUT"), [json!({"phone": "3"})]);
    assert_eq!((record.unwrap().fields["phone"].clone(), fake.rows("accounts")[0]["fax"].clone()), (Value::text("3"), json!("2")));
}

#[tokio::test]
async fn a_field_is_emptied_with_null_and_with_nothing_if_that_does_nothing() {
    let fake = Fake::start(World::default().with("accounts", [row(1, json!({"phone": "1"}))])).await;
    done(one(&fake, change(1, &[("phone", Value::Null)])).await);
    assert_eq!(fake.sent("PUT"), [json!({"phone": null})]);
    let fake =
        Fake::start(World { null_keeps: true, ..World::default().with("accounts", [row(1, json!({"phone": "1", "fax": "2"}))]) }).await;
    let (_, record, _) = done(one(&fake, change(1, &[("phone", Value::Null), ("fax", Value::text("3"))])).await);
    assert_eq!(fake.sent("PUT"), [json!({"phone": null, "fax": "3"}), json!({"phone": ""})]);
    assert_eq!(record.unwrap().fields["phone"], Value::Null);
}

#[tokio::test]
async fn a_lost_change_is_looked_up_and_sent_again_only_if_it_did_not_happen() {
    let fake = Fake::start(World::default().with("accounts", [row(1, json!({}))]).trick("PUT", Trick::LoseAnswer)).await;
    done(one(&fake, change(1, &[("name", Value::text("New"))])).await);
    assert_eq!(fake.calls("PUT"), 1);
    let fake = Fake::start(World::default().with("accounts", [row(1, json!({}))]).trick("PUT", Trick::LoseRequest)).await;
    done(one(&fake, change(1, &[("name", Value::text("New"))])).await);
    assert_eq!((fake.calls("PUT"), fake.rows("accounts")[0]["name"].clone()), (2, json!("New")));
    let write = change(1, &[("name", Value::text("Old"))]);
    assert_eq!(code(fake.connector.resolve(&write).await), "failed not-done");
    assert_eq!(code(fake.connector.resolve(&change(1, &[("name", Value::text("New"))])).await), "done");
}

#[tokio::test]
async fn a_change_of_what_is_gone_is_missing_and_of_what_is_read_only_refused() {
    let mut gone = row(2, json!({}));
    gone["deleted"] = json!(true);
    let world = World::default().with("accounts", [row(1, json!({"readOnly": true})), gone]).trick("accounts/2", Trick::Answer(400, "{}"));
    let fake = Fake::start(world).await;
    let name = [("name", Value::text("x"))];
    assert_eq!(code(one(&fake, change(1, &name)).await), "rejected read-only");
    assert_eq!(code(one(&fake, change(2, &name)).await), "missing");
    assert_eq!(code(one(&fake, change(9, &name)).await), "missing");
}

#[tokio::test]
async fn a_refusal_of_the_record_keeps_the_vendors_words() {
    let says = r#"{"message":"name too long"}"#;
    let world = World::default().with("accounts", [row(1, json!({}))]).trick("PUT", Trick::Answer(400, says));
    let outcome = one(&Fake::start(world).await, change(1, &[("name", Value::text("x"))])).await;
    assert!(matches!(&outcome, Outcome::Rejected { message, .. } if message == "name too long"), "{outcome:?}");
    // Configuration, not the record.
    let world = World::default().trick("POST /api/v4/accounts", Trick::Answer(400, r#"{"code":910,"message":"no such resource"}"#));
    assert_eq!(code(one(&Fake::start(world).await, account()).await), "failed 910");
}

#[tokio::test]
async fn a_link_that_somebody_else_wrote_is_never_overwritten() {
    let fake = Fake::start(World::default().with("accounts", [row(1, json!({"extId": "ERP-77"})), row(2, json!({}))])).await;
    assert_eq!(code(one(&fake, change(1, &[("extId", Value::text(SF))])).await), "rejected foreign-link");
    assert_eq!(fake.calls("PUT"), 0);
    done(one(&fake, change(2, &[("extId", Value::text(SF))])).await);
    assert_eq!(fake.rows("accounts")[1]["extId"], SF);
}

#[tokio::test]
async fn the_link_may_stand_in_a_field_of_its_own() {
    let fake = Fake::with(World::default(), |s| s.link_field = "Z_Sf".into()).await;
    done(one(&fake, account()).await);
    let sent = &fake.sent("POST /api/v4/accounts")[0];
    assert_eq!((&sent["Z_Sf"], sent.get("extId")), (&json!(SF), None));
    let found = fake.connector.find(ACCOUNT, &names(&["extId"]), "extId", &[Value::text(SF)]).await.unwrap();
    assert_eq!(found[0].fields["extId"], Value::text(SF));
}

#[tokio::test]
async fn a_move_of_an_all_day_entry_is_a_move_of_days() {
    let entry = json!({"id": 1, "task": false, "allDay": true, "startDate": "26/01/05", "startHour": "00:00"});
    let fake = Fake::start(World::default().with("calendar", [entry])).await;
    done(one(&fake, write(EVENT, Verb::Update, Some(1), &[("start", Value::text("2026-07-06T00:00:00Z"))])).await);
    assert_eq!(fake.sent("PUT"), [json!({"startDate": "26/07/06", "startHour": "00:00"})]);
}

// --- deleting --------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn what_is_gone_already_is_deleted() {
    let delete = |id: i64| write(ACCOUNT, Verb::Delete, Some(id), &[]);
    let world = World::default().with("accounts", [row(1, json!({})), row(2, json!({}))]);
    let fake = Fake::start(world.trick("DELETE /api/v4/accounts/2", Trick::LoseAnswer)).await;
    for id in [1, 2, 9] {
        done(one(&fake, delete(id)).await);
    }
    assert!(fake.rows("accounts").iter().all(|row| row["deleted"] == true));
    assert_eq!(fake.calls("DELETE"), 3);
    assert_eq!(code(fake.connector.resolve(&delete(1)).await), "done");
    let fake = Fake::start(World::default().with("accounts", [row(1, json!({}))])).await;
    assert_eq!(code(fake.connector.resolve(&delete(1)).await), "failed not-done");
}

#[tokio::test]
async fn u1_nobody_is_made_changed_or_deleted_among_users() {
    let fake = Fake::start(World::default().with("users", [json!({"id": 14, "name": "Ann"})])).await;
    let name = [("name", Value::text("x"))];
    for write in [create(USER, &name), write(USER, Verb::Update, Some(14), &name), write(USER, Verb::Delete, Some(14), &[])] {
        assert_eq!(code(one(&fake, write).await), "rejected not-supported");
    }
    assert_eq!(fake.calls(""), 0);
}

#[tokio::test]
async fn what_cannot_be_written_is_refused_before_anything_is_sent() {
    let fake = Fake::start(World::default()).await;
    for (field, value, want) in [
        ("nick", Value::text("x"), "rejected no-such-field"),
        ("dateCreated", Value::text("2026-01-01T00:00:00Z"), "rejected not-writable"),
        ("Z_Nowhere", Value::text("x"), "rejected no-such-field"),
        ("branchId", Value::text("many"), "rejected does-not-fit"),
    ] {
        assert_eq!(code(one(&fake, change(1, &[(field, value)])).await), want, "{field}");
    }
    let keyless = Write { key: None, ..account() };
    assert_eq!(code(one(&fake, keyless).await), "rejected no-key");
    assert_eq!(fake.calls(""), 0);
}
