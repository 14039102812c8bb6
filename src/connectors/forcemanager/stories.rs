//! Reading, told against a small fake: nothing missed, nothing guessed, nothing believed too early.

#![allow(clippy::unwrap_used)]

use super::catalogue::{ACCOUNT, ACTIVITY, CATALOGUE, EVENT, TASK, USER};
use super::fake::{Fake, Trick, World};
use super::{ExtraField, Kind};
use crate::connectors::{Ask, Fault, FaultKind, Fetched, Page, ReadEnd, Reader};
use crate::record::{FieldType, Fields, Life, Record, Value};
use serde_json::{Value as J, json};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc;

pub(super) const SF: &str = "001000000000001AAA";

pub(super) fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|n| (*n).to_owned()).collect()
}

pub(super) fn fields(pairs: &[(&str, Value)]) -> Fields {
    pairs.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect()
}

async fn poll(fake: &Fake, resource: &str, wanted: &[&str], since: Option<&str>, sweep: bool) -> (Vec<Record>, Result<ReadEnd, Fault>) {
    let asks =
        [Ask { object: resource.to_owned(), resource: resource.to_owned(), fields: names(wanted), since: since.map(str::to_owned), sweep }];
    let (to, mut from) = mpsc::channel::<Page>(2);
    let (polled, records) = tokio::join!(fake.connector.poll(&asks, to), async {
        let mut records = Vec::new();
        while let Some(page) = from.recv().await {
            records.extend(page.records);
        }
        records
    });
    (records, polled.and_then(|mut p| p.remove(0).end))
}

async fn read(fake: &Fake, resource: &str, wanted: &[&str], since: Option<&str>) -> (Vec<Record>, ReadEnd) {
    let (records, end) = poll(fake, resource, wanted, since, since.is_none()).await;
    (records, end.unwrap())
}

fn ids(records: &[Record]) -> BTreeSet<i64> {
    records.iter().map(|r| r.id.as_str().parse().unwrap()).collect()
}

/// Created in January, day by day of a month; never changed.
fn account(id: i64) -> J {
    json!({"id": id, "name": format!("n{id}"), "deleted": false, "dateCreated": format!("2026-01-{:02}T10:00:00.4Z", 1 + id % 28),
        "dateUpdated": null, "dateDeleted": "1899-12-30T00:00:00Z"})
}

fn accounts(n: i64) -> Vec<J> {
    (1..=n).map(account).collect()
}

// --- lists -----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_sweep_reads_to_an_empty_page_and_promises_completeness() {
    let fake = Fake::start(World::default().with("accounts", accounts(120))).await;
    let (records, end) = read(&fake, ACCOUNT, &["name"], None).await;
    assert_eq!(ids(&records), (1..=120).collect());
    assert!(end.complete && end.watermark.is_some());
    assert_eq!(fake.calls("GET /api/v4/accounts"), 4, "50, 50, 20, none");
    assert_eq!(fake.calls("POST /api/v4/login"), 1);
}

#[tokio::test]
async fn a_page_that_comes_again_and_again_is_not_read_for_ever() {
    let fake = Fake::start(World { endless: true, ..World::default().with("accounts", accounts(3)) }).await;
    let (_, end) = poll(&fake, ACCOUNT, &[], None, true).await;
    assert_eq!(end.unwrap_err().code, "pages-repeat");
}

#[tokio::test]
async fn a_row_that_comes_twice_is_read_once() {
    let first = r#"[{"id":3,"name":"c"},{"id":2,"name":"b"}]"#;
    let second = r#"[{"id":2,"name":"b"},{"id":1,"name":"a"}]"#;
    let world = World::default().trick("page=0", Trick::Answer(200, first)).trick("page=1", Trick::Answer(200, second));
    let fake = Fake::start(world).await;
    let (records, end) = read(&fake, ACCOUNT, &["name"], None).await;
    assert_eq!((records.len(), end.complete), (3, true));
}

#[tokio::test]
async fn a_list_in_no_order_is_read_and_not_called_complete() {
    let page = r#"[{"id":1},{"id":3},{"id":2}]"#;
    let fake = Fake::start(World::default().trick("page=0", Trick::Answer(200, page))).await;
    let (records, end) = read(&fake, ACCOUNT, &[], None).await;
    assert_eq!((records.len(), end.complete), (3, false));
}

#[tokio::test]
async fn rows_that_are_deleted_are_told_of_and_not_called_alive() {
    let mut gone = account(2);
    (gone["deleted"], gone["dateDeleted"]) = (json!(true), json!("2026-02-01T00:00:00Z"));
    let fake = Fake::start(World::default().with("accounts", [account(1), gone])).await;
    let (records, _) = read(&fake, ACCOUNT, &["name"], None).await;
    let life: BTreeMap<&str, &Life> = records.iter().map(|r| (r.id.as_str(), &r.life)).collect();
    assert_eq!(life, BTreeMap::from([("1", &Life::Live), ("2", &Life::Deleted)]));
    assert_eq!(fake.connector.count(ACCOUNT).await.unwrap(), 1);
}

#[tokio::test]
async fn the_calendar_is_two_resources() {
    let entry =
        |id: i64, task: J| json!({"id": id, "subject": format!("s{id}"), "task": task, "startDate": "26/01/05", "startHour": "09:00"});
    let fake = Fake::start(World::default().with("calendar", [entry(1, json!(false)), entry(2, json!(true)), entry(3, json!(1))])).await;
    let (events, end) = read(&fake, EVENT, &["subject", "start"], None).await;
    assert_eq!((ids(&events), end.complete), ([1].into(), true));
    assert_eq!(events[0].fields["start"], Value::text("2026-01-05T08:00:00Z"));
    assert_eq!(ids(&read(&fake, TASK, &["subject", "day"], None).await.0), [2, 3].into());
}

#[tokio::test]
async fn the_zone_of_the_calendar_is_that_of_the_branch() {
    let entry = json!({"id": 1, "task": false, "startDate": "26/01/05", "startHour": "09:00"});
    let world = World::default()
        .with("calendar", [entry])
        .with("branches", [json!({"id": 16, "timeZoneId": {"id": 5, "value": "x"}})])
        .with("timezones", [json!({"id": 5, "idIanaZone": "America/Bogota"})]);
    let fake = Fake::with(world, |s| s.time_zone = None).await;
    assert_eq!(read(&fake, EVENT, &["start"], None).await.0[0].fields["start"], Value::text("2026-01-05T14:00:00Z"));
    let unknown = Fake::with(World::default().with("calendar", [json!({"id": 1, "task": false})]), |s| s.time_zone = None).await;
    assert_eq!(poll(&unknown, EVENT, &["start"], None, true).await.1.unwrap_err().code, "no-time-zone");
}

#[tokio::test]
async fn words_come_from_the_row_or_from_their_list() {
    let rows = [json!({"id": 1, "statusId": {"id": 3, "value": "Won"}}), json!({"id": 2, "statusId": 4}), json!({"id": 3, "statusId": 0})];
    let world = World::default().with("opportunities", rows).with("opportunityStatuses", [json!({"id": 4, "descriptionEN": "Lost"})]);
    let fake = Fake::start(world).await;
    let (records, _) = read(&fake, "opportunity", &["status"], None).await;
    let words: BTreeMap<&str, String> = records.iter().map(|r| (r.id.as_str(), r.fields["status"].to_string())).collect();
    assert_eq!(words, BTreeMap::from([("1", "\"Won\"".into()), ("2", "\"Lost\"".into()), ("3", "∅".into())]));
}

// --- changes ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_delta_asks_for_what_was_created_changed_and_deleted() {
    let mut changed = account(2);
    changed["dateUpdated"] = json!("2026-02-05T00:00:00Z");
    let mut gone = account(3);
    (gone["deleted"], gone["dateDeleted"]) = (json!(true), json!("2026-02-06T00:00:00Z"));
    let mut new = account(4);
    new["dateCreated"] = json!("2026-02-04T00:00:00Z");
    let fake = Fake::start(World::default().with("accounts", [account(1), changed, gone, new])).await;
    let (records, end) = read(&fake, ACCOUNT, &["name"], Some("2026-02-03T00:00:00Z")).await;
    assert_eq!(ids(&records), [2, 3, 4].into());
    assert!(!end.complete && end.watermark.as_deref() > Some("2026-02-03"));
    for part in ["dateCreated", "dateUpdated", "dateDeleted"] {
        assert!(fake.calls(&format!("{part}%3E%272026-02-02+23%3A55%3A00%27")) >= 1, "{part}: {:?}", fake.world().calls);
    }
}

#[tokio::test]
async fn the_form_of_a_date_is_tried_and_remembered() {
    let fake = Fake::start(World { literals: (false, true), ..World::default().with("accounts", accounts(3)) }).await;
    for _ in 0..2 {
        let (records, end) = read(&fake, ACCOUNT, &[], Some("2026-01-02T12:00:00Z")).await;
        assert_eq!((ids(&records), end.complete), ([2, 3].into(), false));
    }
    assert_eq!(fake.calls("dateCreated%3E%272026-01-04+"), 1, "the form that is refused is not tried again");
}

#[tokio::test]
async fn an_ignored_filter_is_noticed_and_everything_is_read_instead() {
    for ignored in ["dateCreated", "dateUpdated", "dateDeleted"] {
        let fake = Fake::start(World { ignored: [ignored].into(), ..World::default().with("accounts", accounts(60)) }).await;
        let (records, end) = read(&fake, ACCOUNT, &[], Some("2026-01-25T00:00:00Z")).await;
        assert_eq!(ids(&records), (1..=60).collect(), "{ignored}");
        assert!(end.watermark.is_some(), "{ignored}");
        let before = fake.calls("where");
        read(&fake, ACCOUNT, &[], Some("2026-01-25T00:00:00Z")).await;
        assert_eq!(fake.calls("where"), before, "{ignored} is not tried again");
    }
}

#[tokio::test]
async fn a_refused_filter_leads_to_a_full_list_too() {
    let fake = Fake::start(World { literals: (false, false), ..World::default().with("accounts", accounts(5)) }).await;
    assert_eq!(ids(&read(&fake, ACCOUNT, &[], Some("2026-01-25T00:00:00Z")).await.0), (1..=5).collect());
    // Also where only one of the three is refused, after the form of a date was found to work.
    let fake = Fake::start(World { refused: ["dateDeleted"].into(), ..World::default().with("accounts", accounts(5)) }).await;
    assert_eq!(ids(&read(&fake, ACCOUNT, &[], Some("2026-01-25T00:00:00Z")).await.0), (1..=5).collect());
}

#[tokio::test]
async fn an_empty_list_proves_nothing_about_a_filter() {
    let fake = Fake::start(World::default()).await;
    assert!(read(&fake, ACCOUNT, &[], Some("2026-01-25T00:00:00Z")).await.0.is_empty());
    fake.world().tables.get_mut("accounts").unwrap().extend(accounts(30).iter().map(|r| r.as_object().unwrap().clone()));
    let (records, end) = read(&fake, ACCOUNT, &[], Some("2026-01-25T00:00:00Z")).await;
    assert!(records.len() < 30 && !end.complete, "now it can be tried");
}

// --- one record ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn absence_is_confirmed_and_never_taken_from_a_400() {
    let mut gone = account(2);
    gone["deleted"] = json!(true);
    let world = World::default().with("accounts", [account(1), gone, account(3)]).trick("accounts/3", Trick::Answer(400, "{}"));
    let fake = Fake::start(world).await;
    let asked = ["1", "2", "3", "9", "x"].map(Into::into);
    let found = fake.connector.get_many(ACCOUNT, &names(&["name"]), &asked).await.unwrap();
    let short: Vec<String> = found
        .iter()
        .map(|f| match f {
            Fetched::Here(r) => format!("here {}", r.id),
            Fetched::Deleted(r) => format!("deleted {}", r.id),
            Fetched::Missing(id) => format!("missing {id}"),
            Fetched::Refused(id, _) => format!("refused {id}"),
        })
        .collect();
    assert_eq!(short, ["here 1", "deleted 2", "here 3", "missing 9", "refused x"]);
}

#[tokio::test]
async fn where_no_filter_confirms_the_whole_list_does() {
    for world in [World { ignored: ["id"].into(), ..World::default() }, World { refused: ["id"].into(), ..World::default() }] {
        let fake = Fake::start(world.with("accounts", accounts(70)).trick("accounts/60", Trick::Answer(404, "{}"))).await;
        let found = fake.connector.get_many(ACCOUNT, &names(&["name"]), &["60".into(), "99".into()]).await.unwrap();
        assert!(matches!(&found[..], [Fetched::Here(_), Fetched::Missing(_)]), "{found:?}");
    }
}

#[tokio::test]
async fn an_event_that_became_a_task_is_still_the_event_it_was() {
    let fake = Fake::start(World::default().with("calendar", [json!({"id": 1, "task": true, "subject": "s"})])).await;
    let found = fake.connector.get_many(EVENT, &names(&["subject"]), &["1".into()]).await.unwrap();
    assert!(matches!(&found[..], [Fetched::Here(_)]));
}

#[tokio::test]
async fn records_are_found_by_value_whether_the_filter_works_or_not() {
    let rows = || {
        vec![
            json!({"id": 1, "name": "O'Hara", "extId": SF}),
            json!({"id": 2, "name": "o'hara"}),
            json!({"id": 3, "name": "x", "deleted": true}),
        ]
    };
    for world in [
        World::default(),
        World { ignored: ["name", "extId"].into(), ..World::default() },
        World { refused: ["name", "extId"].into(), ..World::default() },
    ] {
        let fake = Fake::start(world.with("accounts", rows())).await;
        let find = async |key: &str, value: &str| {
            let found = fake.connector.find(ACCOUNT, &names(&["name"]), key, &[Value::text(value), Value::Null]).await.unwrap();
            ids(&found)
        };
        assert_eq!(find("name", "O'Hara").await, [1].into());
        assert_eq!(find("extId", SF).await, [1].into());
        assert_eq!(find("name", "x").await, [].into(), "what is deleted is not found");
        assert_eq!(find("name", "a;b").await, [].into());
    }
}

// --- the wire --------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_session_that_expires_between_two_pages_is_renewed_once() {
    let fake = Fake::start(World::default().with("accounts", accounts(120)).trick("page=1", Trick::Expire)).await;
    assert_eq!(ids(&read(&fake, ACCOUNT, &[], None).await.0), (1..=120).collect());
    assert_eq!(fake.calls("login"), 2);
}

#[tokio::test]
async fn a_key_that_is_not_taken_is_a_fault_of_the_credentials() {
    let fake = Fake::with(World::default(), |s| s.private_key = "wrong".into()).await;
    let fault = fake.connector.identity().await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Credentials);
    assert!(!fault.to_string().contains("canary"), "{fault}");
    let denied = r#"{"message":"not in your plan"}"#;
    let world = World::default().trick("accounts", Trick::Answer(403, denied)).trick("accounts", Trick::Answer(403, denied));
    let fake = Fake::start(world).await;
    let fault = fake.connector.schema(&names(&[ACCOUNT])).await.unwrap_err();
    assert_eq!((fault.kind, fake.calls("login")), (FaultKind::Credentials, 2));
}

#[tokio::test]
async fn bad_bodies_are_read_again_and_then_reported() {
    let cut = r#"[{"id":1"#;
    let world = World::default().with("accounts", accounts(1)).trick("page=0", Trick::Answer(200, cut));
    let fake = Fake::start(world).await;
    assert_eq!(ids(&read(&fake, ACCOUNT, &[], None).await.0), [1].into());

    let mut world = World::default();
    for _ in 0..9 {
        world = world.trick("page=0", Trick::Answer(200, "<html>sign in</html>"));
    }
    let fake = Fake::start(world).await;
    let fault = fake.connector.count(ACCOUNT).await.unwrap_err();
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Answer, "html-body"));
}

#[tokio::test]
async fn unknown_fields_and_numbers_as_words_do_no_harm() {
    let page = r#"[{"id":"7","name":"n","total":"12.50","salesProbability":"7","surprise":{"deep":[1]},"deleted":"0"}]"#;
    let fake = Fake::start(World::default().trick("page=0", Trick::Answer(200, page))).await;
    let (records, _) = read(&fake, "opportunity", &["total", "salesProbability"], None).await;
    assert_eq!(
        records[0].fields,
        fields(&[("total", Value::Decimal("12.5".parse().unwrap())), ("salesProbability", Value::Decimal(7.into()))])
    );
}

// --- users and fields ------------------------------------------------------------------------------------------------

#[tokio::test]
async fn u4_a_user_linked_by_hand_is_planted_with_its_partner() {
    let rows =
        [json!({"id": 14, "name": "Ann", "lastName": "Lee"}), json!({"id": 15, "name": "Ann", "lastName": "Lee", "extId": "payroll"})];
    let by_hand = BTreeMap::from([("005000000000001AAA".to_owned(), 14)]);
    let fake = Fake::with(World::default().with("users", rows), |s| s.users = by_hand).await;
    let (records, _) = read(&fake, USER, &["fullName", "extId"], None).await;
    let links: BTreeMap<&str, &Value> = records.iter().map(|r| (r.id.as_str(), &r.fields["extId"])).collect();
    assert_eq!(links["14"], &Value::text("005000000000001AAA"));
    assert!(!records.iter().any(|r| r.id.as_str() == "15" && r.fields["extId"] == Value::text("005000000000001AAA")));
}

#[tokio::test]
async fn u4_a_user_linked_by_hand_who_is_not_there_is_a_mistake_of_the_rules() {
    let by_hand = BTreeMap::from([("005000000000001AAA".to_owned(), 99)]);
    let fake = Fake::with(World::default().with("users", [json!({"id": 14, "name": "Ann"})]), |s| s.users = by_hand).await;
    let fault = poll(&fake, USER, &["fullName"], None, true).await.1.unwrap_err();
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Setup, "no-such-user"));
}

#[tokio::test]
async fn f5_f7_extra_fields_are_made_first_and_one_that_cannot_be_made_is_frozen() {
    let there = json!({"entity": "accounts", "fieldName": "Since", "type": 2, "shown": {"name": "Z_Since", "type": "text"}});
    let wanted = [("Z_Tier", Some(Kind::Text)), ("Z_Score", Some(Kind::Bit)), ("Z_Since", None), ("Z_Nowhere", None)];
    let wanted = wanted.map(|(name, kind)| ExtraField { name: name.into(), kind }).to_vec();
    let fake =
        Fake::with(World::default().with("extrafields", [there]), |s| s.extra_fields = BTreeMap::from([("account".to_owned(), wanted)]))
            .await;
    let schema = fake.connector.schema(&names(&[ACCOUNT])).await.unwrap();
    let extras: Vec<&String> = schema[ACCOUNT].fields.keys().filter(|n| n.starts_with("Z_")).collect();
    // The number of text was learned from the field that is there; that of a bit nobody knows.
    assert_eq!(extras, ["Z_Since", "Z_Tier"]);
    assert_eq!(fake.sent("POST /api/v4/extrafields"), [json!({"entity": "accounts", "fieldName": "Tier", "type": 2})]);
    fake.world().tables.get_mut("accounts").unwrap().push(json!({"id": 1, "Z_Tier": "gold", "Z_Score": 1}).as_object().unwrap().clone());
    let (records, _) = read(&fake, ACCOUNT, &["Z_Tier", "Z_Score"], None).await;
    assert_eq!(records[0].fields, fields(&[("Z_Tier", Value::text("gold"))]));
    fake.connector.schema(&names(&[ACCOUNT])).await.unwrap();
    assert_eq!(fake.calls("POST /api/v4/extrafields"), 1, "it is made once");
}

#[tokio::test]
async fn f6_extra_fields_made_by_hand_stay_where_they_are() {
    let there = json!({"entity": "accounts", "fieldName": "Own", "type": 2, "shown": {"name": "Z_Own", "type": "text"}});
    let fake = Fake::start(World::default().with("extrafields", [there])).await;
    let schema = fake.connector.schema(&names(&[ACCOUNT])).await.unwrap();
    assert!(!schema[ACCOUNT].fields.contains_key("Z_Own"));
}

#[tokio::test]
async fn f1_standard_fields_are_those_of_the_catalogue() {
    let fake = Fake::start(World::default()).await;
    let schema = fake.connector.schema(&names(&[ACCOUNT, ACTIVITY])).await.unwrap();
    let shown: Vec<&str> = schema[ACCOUNT].fields.keys().map(String::as_str).collect();
    let mut known: Vec<&str> = CATALOGUE.resource(ACCOUNT).unwrap().fields.iter().map(|f| f.name).collect();
    known.sort_unstable();
    assert_eq!(shown, known);
    assert_eq!(schema[ACTIVITY].fields["date"].ty, FieldType::Instant);
    assert_eq!(fake.calls("POST"), 1, "the log-in only");
}
