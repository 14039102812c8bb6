//! What must hold on the wire for customers, told against a small fake: nothing twice, nothing lost, nothing guessed. The
//! stories of contacts stand beside.

#![allow(clippy::unwrap_used)]

use super::catalogue::{CONTACT, CUSTOMER, LICENSE, ORDER};
use super::fake::{Fake, PASSWORD, Trick, World, customer, person};
use super::row::order_id;
use crate::connectors::{Ask, Fault, FaultKind, Fetched, Page, ReadEnd, Reader, Writer};
use crate::plan::{Outcome, Verb, Write};
use crate::record::{Fields, Record, Value};
use serde_json::{Value as J, json};
use std::collections::BTreeSet;
use tokio::sync::mpsc;

pub const SF: &str = "001D000000IqhSLIAZ";
const SHORT: &str = "001D000000IqhSL";
/// Differs from `SHORT` in letter case only.
const TWIN: &str = "001D000000iqhSL";

pub fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|n| (*n).to_owned()).collect()
}

pub fn fields(pairs: &[(&str, Value)]) -> Fields {
    pairs.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect()
}

pub fn write(resource: &str, verb: Verb, id: Option<&str>, pairs: &[(&str, Value)]) -> Write {
    let fields = fields(pairs);
    let read = fields.keys().cloned().collect();
    let id = id.map(Into::into);
    Write { intent: 1, object: resource.to_owned(), resource: resource.to_owned(), verb, id, fields, key: None, read }
}

fn create(name: &str) -> Write {
    let pairs = [("name", Value::text(name)), ("city", Value::text("Bern")), ("street", Value::Null), ("tag.SF_Id", Value::text(SF))];
    Write { key: Some(("tag.SF_Id".into(), SF.into())), ..write(CUSTOMER, Verb::Create, None, &pairs) }
}

fn update(id: &str, pairs: &[(&str, Value)]) -> Write {
    write(CUSTOMER, Verb::Update, Some(id), pairs)
}

fn delete(id: &str) -> Write {
    write(CUSTOMER, Verb::Delete, Some(id), &[])
}

pub async fn one(fake: &Fake, write: Write) -> Outcome {
    fake.connector.apply(&[write]).await.remove(0)
}

pub fn done(outcome: Outcome) -> (String, Record) {
    match outcome {
        Outcome::Done { id, record, .. } => (id.to_string(), record.unwrap()),
        other => panic!("{other:?}"),
    }
}

pub fn rejected(outcome: Outcome) -> (String, String) {
    match outcome {
        Outcome::Rejected { code, message, .. } => (code, message),
        other => panic!("{other:?}"),
    }
}

pub fn failed(outcome: Outcome) -> (String, String) {
    match outcome {
        Outcome::Failed { code, message } => (code, message),
        other => panic!("{other:?}"),
    }
}

pub async fn poll(connector: &impl Reader, resource: &str, wanted: &[&str]) -> (Vec<Record>, Result<ReadEnd, Fault>) {
    let ask = Ask { object: resource.to_owned(), resource: resource.to_owned(), fields: names(wanted), since: None, sweep: true };
    let (to, mut from) = mpsc::channel::<Page>(2);
    let asks = [ask];
    let (polled, records) = tokio::join!(connector.poll(&asks, to), async {
        let mut records = Vec::new();
        while let Some(page) = from.recv().await {
            records.extend(page.records);
        }
        records
    });
    (records, polled.and_then(|mut p| p.remove(0).end))
}

pub async fn read(fake: &Fake, resource: &str, wanted: &[&str]) -> (Vec<Record>, ReadEnd) {
    let (records, end) = poll(&fake.connector, resource, wanted).await;
    (records, end.unwrap())
}

fn ids(records: &[Record]) -> BTreeSet<String> {
    records.iter().map(|r| r.id.to_string()).collect()
}

fn many(n: i64) -> Vec<J> {
    (1..=n).map(|id| customer(id, &format!("Customer {id}"), &json!([]), &[])).collect()
}

fn all(n: i64) -> BTreeSet<String> {
    (1..=n).map(|id| id.to_string()).collect()
}

fn small(n: i64, page: usize) -> World {
    World { page, ..World::default() }.with(many(n))
}

// --- login -----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn one_token_serves_many_calls_and_is_renewed_once_where_it_is_refused() {
    let fake = Fake::start(small(5, 2).trick("GET /customers?offset=1", Trick::Expire)).await;
    let (records, end) = read(&fake, CUSTOMER, &["name"]).await;
    assert_eq!((ids(&records), end.complete), (all(5), true));
    assert_eq!(fake.calls("/auth/tokens"), 2, "expired in the middle of a list: renewed once");
    assert_eq!(fake.calls("offset=1"), 2, "and the one call repeated");
}

#[tokio::test]
async fn a_token_that_ends_before_a_write_costs_no_second_write() {
    let fake = Fake::start(World::default().with([customer(1, "Acme", &json!([]), &[])]).trick("PATCH", Trick::Expire)).await;
    done(one(&fake, update("1", &[("city", Value::text("Bern"))])).await);
    assert_eq!((fake.calls("PATCH"), fake.world().bodies.len()), (2, 1));
}

#[tokio::test]
async fn forbidden_with_a_fresh_token_is_a_missing_role_and_no_loop() {
    let world = small(1, 10).trick("GET /customers/1", Trick::Answer(403, "")).trick("GET /customers/1", Trick::Answer(403, ""));
    let fake = Fake::start(world).await;
    let found = fake.connector.get_many(CUSTOMER, &names(&["name"]), &["1".into()]).await.unwrap();
    assert!(matches!(&found[0], Fetched::Refused(..)), "{found:?}");
    assert_eq!((fake.calls("/auth/tokens"), fake.calls("GET /customers/1")), (2, 2));
}

#[tokio::test]
async fn wrong_credentials_are_sent_once_and_not_hammered() {
    let world = World { password: "another", ..small(1, 10) };
    let fake = Fake::start(world).await;
    for _ in 0..3 {
        let (_, end) = poll(&fake.connector, CUSTOMER, &["name"]).await;
        let fault = end.unwrap_err();
        assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Credentials, "login-refused"));
        assert!(!fault.to_string().contains(PASSWORD), "{fault}");
    }
    assert_eq!(fake.world().calls.len(), 1);
    assert!(!format!("{:?}", fake.connector).contains(PASSWORD));
}

// --- reading ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_sweep_goes_by_what_was_received_until_nothing_more_comes() {
    for (rows, page) in [(7, 3), (6, 3), (1, 3), (3, 1), (100, 100), (0, 3)] {
        let fake = Fake::start(small(rows, page)).await;
        let (records, end) = read(&fake, CUSTOMER, &["name", "tag.SF_Id"]).await;
        assert_eq!(ids(&records), all(rows), "{rows} by {page}");
        assert_eq!(end, ReadEnd { watermark: None, complete: true }, "{rows} by {page}");
        assert_eq!(fake.connector.count(CUSTOMER).await.unwrap(), u64::try_from(rows).unwrap());
    }
}

#[tokio::test]
async fn a_row_that_leaves_an_earlier_page_makes_no_other_row_missing() {
    let leave = |w: &mut World| drop(w.customers.remove(0));
    let fake = Fake::start(small(7, 3).trick("offset=0", Trick::Then(Box::new(leave)))).await;
    let (records, end) = read(&fake, CUSTOMER, &["name"]).await;
    assert_eq!(ids(&records), all(7), "row 4 slid onto the page that was read already");
    assert!(end.complete);
}

#[tokio::test]
async fn a_row_that_comes_in_front_makes_no_row_count_twice() {
    let enter = |w: &mut World| w.customers.insert(0, customer(50, "New", &json!([]), &[]).as_object().unwrap().clone());
    let fake = Fake::start(small(7, 3).trick("offset=0", Trick::Then(Box::new(enter)))).await;
    let (records, end) = read(&fake, CUSTOMER, &["name"]).await;
    assert!(ids(&records).is_superset(&all(7)) && ids(&records).contains("50") && end.complete);
}

#[tokio::test]
async fn x13_a_list_that_never_stands_still_or_breaks_off_proves_nothing() {
    let mut world = small(7, 3);
    for _ in 0..3 {
        world = world.trick("offset=2", Trick::Answer(200, "[]"));
    }
    let fake = Fake::start(world).await;
    let (records, end) = read(&fake, CUSTOMER, &["name"]).await;
    assert!(!records.is_empty() && !end.complete, "empty too early, three times");

    let mut world = small(7, 3);
    for _ in 0..8 {
        world = world.trick("offset=2", Trick::Answer(400, "{}"));
    }
    let fake = Fake::start(world).await;
    let (records, end) = poll(&fake.connector, CUSTOMER, &["name"]).await;
    assert!(end.is_err() && !records.is_empty(), "what was read still counts as seen");
}

#[tokio::test]
async fn an_offset_that_is_left_out_is_an_error_and_no_endless_list() {
    const PAGE: &str = r#"[{"id":"1","name":"a"},{"id":"2","name":"b"}]"#;
    let mut world = World::default();
    for _ in 0..9 {
        world = world.trick("GET /customers?", Trick::Answer(200, PAGE));
    }
    let fake = Fake::start(world).await;
    let (_, end) = poll(&fake.connector, CUSTOMER, &["name"]).await;
    assert_eq!(end.unwrap_err().code, "offset-ignored");
    assert!(fake.world().calls.len() < 6);
}

#[tokio::test(start_paused = true)]
async fn html_with_200_cut_json_and_other_shapes_are_no_lists() {
    for (body, code) in [
        ("<html>maintenance</html>", "html-body"),
        (r#"[{"id":"1""#, "truncated-json"),
        (r#"{"customers":[]}"#, "unexpected-json"),
        ("", "empty-body"),
    ] {
        let mut world = small(1, 10);
        for _ in 0..9 {
            world = world.trick("GET /customers", Trick::Answer(200, body));
        }
        let fake = Fake::start(world).await;
        let (_, end) = poll(&fake.connector, CUSTOMER, &["name"]).await;
        assert_eq!(end.unwrap_err().code, code, "{body}");
    }
    let fake = Fake::start(
        small(1, 10).trick("GET /customers", Trick::Answer(200, "<html>")).trick("GET /customers", Trick::Answer(502, "<html>")),
    )
    .await;
    let (records, end) = read(&fake, CUSTOMER, &["name"]).await;
    assert!(records.len() == 1 && end.complete, "usually good a moment later");
}

#[tokio::test]
async fn doubled_rows_unknown_members_and_rows_without_an_id() {
    let mut rows = many(3);
    rows.insert(2, rows[1].clone());
    let fake = Fake::start(World { page: 10, ..World::default() }.with(rows)).await;
    let (records, end) = read(&fake, CUSTOMER, &["name"]).await;
    assert_eq!((records.len(), end.complete), (3, true));

    let fake = Fake::start(World::default().with(many(2)).with([json!({"name": "nobody"})])).await;
    let (records, end) = read(&fake, CUSTOMER, &["name"]).await;
    assert_eq!((ids(&records), end.complete), (all(2), false), "what cannot be told apart might be anybody");
}

#[tokio::test]
async fn what_a_list_leaves_out_is_read_by_id_and_not_taken_for_empty() {
    let rows = [customer(1, "Acme", &json!([person(5, "Ada", "ada@acme.example")]), &[("SF_Id", SF), ("SF_Tier__c", "gold")])];
    let fake = Fake::start(World { hidden: vec!["CustomTags", "Contacts", "city"], ..World::default() }.with(rows)).await;
    let (records, _) = read(&fake, CUSTOMER, &["name", "city", "tag.SF_Tier__c"]).await;
    assert_eq!((&records[0].fields["tag.SF_Tier__c"], &records[0].fields["city"]), (&Value::text("gold"), &Value::Null));
    let (records, end) = read(&fake, CONTACT, &["name", "email"]).await;
    assert_eq!((records[0].id.as_str(), end.complete), ("1-5", true));
    let found = fake.connector.find(CUSTOMER, &names(&["name"]), "tag.SF_Id", &[Value::text(SF)]).await.unwrap();
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn orders_and_licenses_are_read_and_never_written() {
    let mut world = World::default();
    let row = |j: J| j.as_object().unwrap().clone();
    world.orders.push(row(
        json!({"activation_key": "AAAAA-BBBBB-CCCCC-DDDDD", "customer": {"id": "7"}, "enabled": true, "activations_allowed": "5"}),
    ));
    world.licenses.push(row(json!({"id": "3", "activation_key": "AAAAA-BBBBB-CCCCC-DDDDD", "activation_time": "2026-01-02 03:04:05"})));
    let fake = Fake::start(world).await;
    let id = order_id("AAAAA-BBBBB-CCCCC-DDDDD");
    let (orders, end) = read(&fake, ORDER, &["activation_key", "customer", "enabled"]).await;
    assert!(end.complete && orders[0].id == id && orders[0].fields["customer"] == Value::text("7"));
    let (licenses, _) = read(&fake, LICENSE, &["order", "activation_time"]).await;
    assert_eq!(
        (&licenses[0].fields["order"], &licenses[0].fields["activation_time"]),
        (&Value::text(id.as_str()), &Value::text("2026-01-02T03:04:05Z"))
    );
    let found = fake.connector.get_many(ORDER, &names(&["enabled"]), &[id, "nobody".into()]).await.unwrap();
    assert!(matches!(&found[..], [Fetched::Here(_), Fetched::Missing(_)]));
    for verb in [Verb::Create, Verb::Update, Verb::Delete] {
        assert_eq!(rejected(one(&fake, write(ORDER, verb, Some("x"), &[])).await).0, "not-supported");
    }
    assert_eq!(fake.writes(), 0);
}

#[tokio::test]
async fn a_resource_is_there_if_its_list_may_be_read() {
    let denied = || Trick::Answer(403, r#"{"message":"Administrator only"}"#);
    let fake = Fake::start(small(1, 10).trick("GET /license-orders", denied()).trick("GET /license-orders", denied())).await;
    let schemas = fake.connector.schema(&names(&["customer", "contact", "order", "nonsense"])).await.unwrap();
    assert_eq!(schemas.keys().collect::<Vec<_>>(), ["contact", "customer"]);
    assert_eq!(schemas["customer"].planted.as_deref(), Some("tag.SF_Id"));
    assert!(schemas["customer"].deletable && schemas["contact"].planted.is_none());
    assert_eq!(fake.calls("GET /customers"), 1, "one list serves both");
    let fake = Fake::with(small(1, 10), |s| s.delete_customers = false).await;
    assert!(!fake.connector.schema(&names(&["customer"])).await.unwrap()["customer"].deletable);
    assert_eq!(fake.connector.identity().await.unwrap().id, "127.0.0.1");
}

// --- searching -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn l3_customers_are_found_by_their_exact_id_only() {
    let rows = [
        customer(1, "Twin", &json!([]), &[("SF_Id", TWIN)]),
        customer(2, "Short", &json!([]), &[("SF_Id", SHORT)]),
        customer(3, "None", &json!([]), &[]),
        customer(4, "Longer", &json!([]), &[("SF_Id", "001D000000IqhSLIAZX")]),
    ];
    let fake = Fake::start(World::default().with(rows)).await;
    for id in [SF, SHORT] {
        let found = fake.connector.find(CUSTOMER, &names(&["name", "tag.SF_Id"]), "tag.SF_Id", &[Value::text(id)]).await.unwrap();
        assert_eq!(ids(&found), ["2".to_owned()].into(), "{id}");
        assert_eq!(found[0].fields["tag.SF_Id"], Value::text(SF), "15 characters are completed");
    }
    let found = fake.connector.find(CUSTOMER, &names(&["name"]), "name", &[Value::text("Short")]).await.unwrap();
    assert_eq!((ids(&found), found[0].fields.len()), (["2".to_owned()].into(), 1));
    let scanned: Vec<Value> = ["Twin", "Short", "None", "Longer", "Bär"].map(Value::text).into();
    assert_eq!(fake.connector.find(CUSTOMER, &names(&["name"]), "name", &scanned).await.unwrap().len(), 4);
    assert!(fake.connector.find(CUSTOMER, &[], "city", &[Value::Null]).await.unwrap().is_empty());
    assert!(fake.connector.find(CUSTOMER, &[], "homepage", &[Value::text("x")]).await.is_err());
}

#[tokio::test]
async fn l5_an_address_is_matched_whole_and_in_small_letters() {
    let people = json!([person(5, "Ada", "Ada@Acme.Example"), person(6, "Eve", "xada@acme.example")]);
    let fake = Fake::start(World::default().with([customer(1, "Acme", &people, &[])])).await;
    let found = fake.connector.find(CONTACT, &names(&["email"]), "email", &[Value::text("ada@acme.example")]).await.unwrap();
    assert_eq!(ids(&found), ["1-5".to_owned()].into());
}

// --- creating --------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn l2_a_customer_is_made_once_with_its_tag_in_the_same_call() {
    let fake = Fake::start(World::default()).await;
    let (id, record) = done(one(&fake, create("Acme")).await);
    assert_eq!(record.fields, create("Acme").fields);
    let body = fake.world().bodies[0].clone();
    assert_eq!(body, json!({"name": "Acme", "city": "Bern", "CustomTags": [{"tag_name": "SF_Id", "value": SF}]}));
    let (again, _) = done(one(&fake, create("Acme")).await);
    assert_eq!((again, fake.writes()), (id, 1));
}

#[tokio::test]
async fn l1_one_that_carries_the_id_is_taken_and_brought_to_what_is_wanted() {
    let fake = Fake::start(World::default().with([customer(7, "Acme Old", &json!([]), &[("SF_Id", SHORT)])])).await;
    let (id, record) = done(one(&fake, create("Acme")).await);
    assert_eq!((id.as_str(), &record.fields["name"]), ("7", &Value::text("Acme")));
    assert_eq!(fake.calls("POST /customers"), 0);
    assert_eq!(fake.world().bodies[0]["CustomTags"], json!([{"tag_name": "SF_Id", "value": SF}]), "completed by the way");
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_customer() {
    let fake = Fake::start(World::default().trick("POST /customers", Trick::LoseAnswer)).await;
    let (id, _) = done(one(&fake, create("Acme")).await);
    assert_eq!((fake.calls("POST /customers"), fake.world().customers.len()), (1, 1));
    assert_eq!(fake.customer(id.parse().unwrap()).unwrap()["name"], "Acme");

    let fake = Fake::start(World::default().trick("POST /customers", Trick::LoseRequest)).await;
    assert!(matches!(one(&fake, create("Acme")).await, Outcome::Unknown { .. }), "not seen is not the same as not made");
    assert_eq!(failed(fake.connector.resolve(&create("Acme")).await).0, "not-done");
    done(one(&fake, create("Acme")).await);
    assert_eq!(fake.world().customers.len(), 1);

    for body in ["<html>", "{\"half\":", ""] {
        let fake = Fake::start(World::default().trick("POST /customers", Trick::Answer(200, body))).await;
        assert!(matches!(one(&fake, create("Acme")).await, Outcome::Unknown { .. }), "{body}");
    }
}

#[tokio::test]
async fn after_a_crash_the_customer_is_found_by_its_tag() {
    let fake = Fake::start(World::default()).await;
    let (id, _) = done(one(&fake, create("Acme")).await);
    let (found, record) = done(fake.again().resolve(&create("Acme")).await);
    assert_eq!((found, record.fields["tag.SF_Id"].clone()), (id.clone(), Value::text(SF)));

    let (found, record) = done(fake.again().resolve(&create("Acme as it was")).await);
    assert_eq!((found, &record.fields["name"], fake.writes()), (id, &Value::text("Acme"), 1), "what was edited since is not undone");
}

#[tokio::test]
async fn l4_two_with_one_id_are_reported_and_neither_is_written() {
    let rows =
        [customer(1, "Acme", &json!([person(5, "Ada", "")]), &[("SF_Id", SF)]), customer(2, "Acme copy", &json!([]), &[("SF_Id", SHORT)])];
    let fake = Fake::start(World::default().with(rows)).await;
    let (code, message) = rejected(one(&fake, create("Acme")).await);
    assert!(code == "ambiguous" && message.contains("1, 2"), "{message}");
    read(&fake, CUSTOMER, &["name", "tag.SF_Id"]).await;
    for write in [
        update("1", &[("city", Value::text("Bern"))]),
        update("2", &[("city", Value::text("Bern"))]),
        delete("2"),
        write(CONTACT, Verb::Update, Some("1-5"), &[("name", Value::text("Eve"))]),
    ] {
        let (code, message) = rejected(one(&fake, write).await);
        assert!(code == "one-id-on-two-customers" && message.contains("1, 2"), "{message}");
    }
    assert_eq!(fake.writes(), 0);
    fake.world().customers.pop();
    read(&fake, CUSTOMER, &["name", "tag.SF_Id"]).await;
    done(one(&fake, update("1", &[("city", Value::text("Bern"))])).await);
}

#[tokio::test]
async fn f4_a_name_never_becomes_empty() {
    let fake = Fake::start(small(1, 10)).await;
    for name in [Value::Null, Value::text("")] {
        assert_eq!(rejected(one(&fake, update("1", &[("name", name.clone())])).await).0, "name-needed");
        let mut new = create("x");
        new.fields.insert("name".into(), name);
        assert_eq!(rejected(one(&fake, new).await).0, "name-needed");
    }
    assert_eq!(rejected(one(&fake, Write { key: None, ..create("x") }).await).0, "no-key");
    assert_eq!(rejected(one(&fake, update("x", &[])).await).0, "no-id");
    assert_eq!(rejected(one(&fake, update("1", &[("update_time", Value::text("x"))])).await).0, "field-not-writable");
    assert!(fake.world().calls.is_empty());
}

#[tokio::test]
async fn a_refused_name_is_told_and_not_tried_again() {
    let fake = Fake::start(World::default().trick("POST /customers", Trick::Answer(400, r#"{"message":"name is taken"}"#))).await;
    let known = customer(1, "Other", &json!([]), &[("SF_Id", "001RM0000068xV6YAI")]);
    fake.world().customers.push(known.as_object().unwrap().clone());
    read(&fake, CUSTOMER, &["name", "tag.SF_Id"]).await;
    let (code, message) = rejected(one(&fake, create("Acme")).await);
    assert_eq!((code.as_str(), message.as_str(), fake.writes()), ("http-400", "name is taken (status 400)", 1));
}

#[tokio::test]
async fn t2_a_tag_that_does_not_exist_stops_all_writing_until_the_next_reading() {
    let fake = Fake::start(World { tags: Some(BTreeSet::new()), ..World::default() }).await;
    let (code, message) = failed(one(&fake, create("Acme")).await);
    assert!(code == "tag-undefined" && message.contains("create custom tag SF_Id in LAC, Administration"), "{message}");
    assert_eq!(failed(one(&fake, create("Acme")).await).0, "tag-undefined");
    assert_eq!(fake.writes(), 1, "tried once");
    fake.world().tags = None;
    read(&fake, CUSTOMER, &["name"]).await;
    done(one(&fake, create("Acme")).await);
}

#[tokio::test]
async fn a_service_that_forgets_the_tag_gets_no_second_customer() {
    let fake = Fake::start(World { forgets_tags: true, ..World::default() }).await;
    assert_eq!(rejected(one(&fake, create("Acme")).await).0, "tag-not-kept");
    assert_eq!(failed(one(&fake, create("Other")).await).0, "tag-not-kept");
    assert_eq!(fake.world().customers.len(), 1);
}

// --- changing --------------------------------------------------------------------------------------------------------

fn acme() -> J {
    customer(
        1,
        "Acme",
        &json!([person(5, "Ada Lovelace", "ada@acme.example"), person(6, "Cher", "")]),
        &[("vat_number", "CH1"), ("SF_Id", SF), ("SF_Tier_c", "a")],
    )
}

#[tokio::test]
async fn a_change_keeps_everything_else_of_the_customer() {
    let fake = Fake::start(World::default().with([acme()])).await;
    let (_, record) = done(one(&fake, update("1", &[("city", Value::text("Bern")), ("tag.SF_Tier__c", Value::text("b"))])).await);
    assert_eq!(record.fields, fields(&[("city", Value::text("Bern")), ("tag.SF_Tier__c", Value::text("b"))]));
    let row = fake.customer(1).unwrap();
    assert_eq!((&row["city"], &row["name"], row["Contacts"].as_array().unwrap().len()), (&json!("Bern"), &json!("Acme"), 2));
    assert_eq!(row["Contacts"][0]["id"], "5");
    let tags: Vec<_> =
        row["CustomTags"].as_array().unwrap().iter().map(|t| (t["tag_name"].as_str().unwrap(), t["value"].as_str().unwrap())).collect();
    assert_eq!(tags, [("vat_number", "CH1"), ("SF_Id", SF), ("SF_Tier_c", "b")]);
}

#[tokio::test]
async fn d1_a_change_that_is_so_already_is_not_sent() {
    let fake = Fake::start(World::default().with([acme()])).await;
    let same = [("name", Value::text("Acme")), ("city", Value::Null), ("tag.SF_New__c", Value::Null), ("tag.SF_Id", Value::text(SF))];
    done(one(&fake, update("1", &same)).await);
    assert_eq!(fake.writes(), 0);
}

#[tokio::test]
async fn x9_a_blank_is_written_as_a_blank_and_the_tag_stays() {
    let fake = Fake::start(World::default().with([acme()])).await;
    let (_, record) = done(one(&fake, update("1", &[("tag.SF_Tier__c", Value::Null)])).await);
    assert_eq!(record.fields["tag.SF_Tier__c"], Value::text(""));
    assert_eq!(fake.customer(1).unwrap()["CustomTags"][2], json!({"tag_name": "SF_Tier_c", "value": ""}));
}

#[tokio::test]
async fn somebody_else_s_edit_stops_the_write_until_it_is_read() {
    let fake = Fake::start(World::default().with([acme()])).await;
    read(&fake, CUSTOMER, &["name", "city", "tag.SF_Id"]).await;
    fake.world().edit(1, |row| drop(row.insert("city".into(), "Basel".into())));
    let bern = || update("1", &[("city", Value::text("Bern"))]);
    assert_eq!(failed(one(&fake, bern()).await).0, "moved-meanwhile");
    assert_eq!((fake.writes(), fake.customer(1).unwrap()["city"].clone()), (0, json!("Basel")));
    read(&fake, CUSTOMER, &["name", "city", "tag.SF_Id"]).await;
    done(one(&fake, bern()).await);
    done(one(&fake, update("1", &[("city", Value::text("Chur"))])).await);
    assert_eq!(fake.customer(1).unwrap()["city"], "Chur", "our own write is no edit of somebody else");
}

#[tokio::test]
async fn a_lost_answer_to_a_change_is_looked_up_and_sent_again_only_if_it_is_not_so() {
    let bern = || update("1", &[("city", Value::text("Bern"))]);
    for (trick, sent) in [(Trick::LoseAnswer, 1), (Trick::LoseRequest, 2), (Trick::Answer(502, "<html>"), 2), (Trick::Answer(200, "{"), 2)]
    {
        let fake = Fake::start(World::default().with([acme()]).trick("PATCH", trick)).await;
        done(one(&fake, bern()).await);
        assert_eq!((fake.calls("PATCH"), fake.customer(1).unwrap()["city"].clone()), (sent, json!("Bern")));
    }
    let mut world = World::default().with([acme()]);
    for _ in 0..3 {
        world = world.trick("PATCH", Trick::LoseRequest);
    }
    let fake = Fake::start(world).await;
    assert!(matches!(one(&fake, bern()).await, Outcome::Unknown { .. }));
    assert_eq!(failed(fake.connector.resolve(&bern()).await).0, "not-done");
    fake.world().edit(1, |row| drop(row.insert("city".into(), "Bern".into())));
    done(fake.again().resolve(&bern()).await);
    fake.world().customers.clear();
    assert_eq!(fake.connector.resolve(&bern()).await, Outcome::Missing);
}

#[tokio::test]
async fn l3_a_tag_that_was_taken_away_is_put_back_and_a_claim_of_another_account_is_not_overruled() {
    let tag = || update("1", &[("tag.SF_Id", Value::text(SF))]);
    for (held, put_back) in [("", true), ("edited by hand", true), ("001RM0000068xV6YAI", false), ("001RM0000068xV6", false)] {
        let fake = Fake::start(World::default().with([customer(1, "Acme", &json!([]), &[("SF_Id", held)])])).await;
        let outcome = one(&fake, tag()).await;
        if put_back {
            assert_eq!(done(outcome).1.fields["tag.SF_Id"], Value::text(SF), "{held}");
        } else {
            let (code, message) = rejected(outcome);
            assert!(code == "tag-names-another-account" && message.contains("001RM0000068xV6YAI"), "{message}");
            assert_eq!(fake.writes(), 0);
        }
    }
}

#[tokio::test]
async fn a_contact_or_tag_that_vanishes_by_a_write_stops_the_connector() {
    let take_contact = |w: &mut World| w.edit(1, |row| drop(row["Contacts"].as_array_mut().unwrap().remove(1)));
    let take_tag = |w: &mut World| w.edit(1, |row| drop(row["CustomTags"].as_array_mut().unwrap().remove(0)));
    let tricks: [(Trick, &str); 2] =
        [(Trick::First(Box::new(take_contact)), "contact-vanished"), (Trick::First(Box::new(take_tag)), "tag-vanished")];
    for (trick, code) in tricks {
        // Read, written with a lost answer, and read again, when it has moved.
        let world = World::default().with([acme()]).trick("GET /customers/1", Trick::Then(Box::new(|_| {})));
        let fake = Fake::start(world.trick("PATCH", Trick::LoseAnswer).trick("GET /customers/1", trick)).await;
        let outcome = one(&fake, update("1", &[("city", Value::text("Bern"))])).await;
        assert_eq!(rejected(outcome).0, code);
        let (stopped, message) = failed(one(&fake, update("1", &[("city", Value::text("Chur"))])).await);
        assert!(stopped == code && message.contains("nothing more is written"), "{message}");
        read(&fake, CUSTOMER, &["name"]).await;
        assert_eq!(failed(one(&fake, create("New")).await).0, code, "a reading does not lift it");
        assert_eq!(fake.writes(), 1);
    }
}

#[tokio::test]
async fn contacts_that_get_new_numbers_stop_the_connector_and_never_count_as_gone() {
    let fake = Fake::start(World { renumbers: true, ..World::default() }.with([acme()])).await;
    assert_eq!(rejected(one(&fake, update("1", &[("city", Value::text("Bern"))])).await).0, "contact-renumbered");
    let found = fake.connector.get_many(CONTACT, &names(&["name"]), &["1-5".into()]).await.unwrap();
    assert!(matches!(&found[0], Fetched::Refused(..)), "{found:?}");
}

#[tokio::test]
async fn what_is_gone_is_missing_and_what_is_refused_is_refused() {
    let fake = Fake::start(small(1, 10).trick("PATCH", Trick::Answer(400, "city too long"))).await;
    assert_eq!(one(&fake, update("9", &[("city", Value::text("Bern"))])).await, Outcome::Missing);
    assert_eq!(rejected(one(&fake, update("1", &[("city", Value::text("Bern"))])).await).1, "city too long (status 400)");
    let found = fake.connector.get_many(CUSTOMER, &names(&["name"]), &["1".into(), "9".into(), "x".into()]).await.unwrap();
    assert!(matches!(&found[..], [Fetched::Refused(..), Fetched::Here(_), Fetched::Missing(_)]), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_too_early_is_made_again_later() {
    let fake = Fake::start(small(1, 10).trick("PATCH", Trick::Answer(429, "")).trick("GET /customers/1", Trick::Answer(429, ""))).await;
    done(one(&fake, update("1", &[("city", Value::text("Bern"))])).await);
    assert_eq!((fake.calls("PATCH"), fake.world().bodies.len()), (2, 1));
}

// --- deleting --------------------------------------------------------------------------------------------------------

fn with_order(customer: i64) -> World {
    let mut world = small(2, 10);
    let key = json!({"activation_key": "AAAAA-BBBBB-CCCCC-DDDDD", "customer": {"id": customer.to_string()}});
    world.orders.push(key.as_object().unwrap().clone());
    world
}

#[tokio::test]
async fn x1_a_customer_is_deleted_with_its_contacts_and_its_absence_is_looked_at() {
    let fake = Fake::start(World::default().with([acme()])).await;
    assert!(matches!(one(&fake, delete("1")).await, Outcome::Done { .. }));
    assert!(fake.customer(1).is_none());
    assert_eq!(fake.calls("GET /customers/1?"), 2, "before, and after");
    assert!(matches!(one(&fake, delete("1")).await, Outcome::Done { .. }), "already gone is done");
    assert!(matches!(fake.connector.resolve(&delete("1")).await, Outcome::Done { .. }));
}

#[tokio::test]
async fn x1_a_customer_with_license_orders_is_not_deleted_unless_the_settings_say_so() {
    let fake = Fake::start(with_order(1)).await;
    let (code, message) = rejected(one(&fake, delete("1")).await);
    assert!(code == "has-license-orders" && message.contains("1 license order"), "{message}");
    assert!(!message.contains("AAAAA"));
    assert!(matches!(one(&fake, delete("2")).await, Outcome::Done { .. }), "the order is another one's");
    let fake = Fake::with(with_order(1), |s| s.delete_with_orders = true).await;
    assert!(matches!(one(&fake, delete("1")).await, Outcome::Done { .. }));

    // Orders that may not be looked at might be there.
    let denied = || Trick::Answer(403, "");
    let fake = Fake::start(small(1, 10).trick("GET /license-orders", denied()).trick("GET /license-orders", denied())).await;
    failed(one(&fake, delete("1")).await);
    assert_eq!(fake.writes(), 0);
    // An order that does not say whose it is may be this one's.
    let mut world = small(1, 10);
    world = world.trick("GET /license-orders", Trick::Answer(200, r#"[{"activation_key":"A"}]"#));
    let fake = Fake::start(world).await;
    assert_eq!(rejected(one(&fake, delete("1")).await).0, "has-license-orders");
}

#[tokio::test]
async fn what_lac_says_to_a_deletion() {
    for (status, code) in [(400, "delete-refused"), (409, "delete-refused"), (405, "delete-not-supported"), (501, "delete-not-supported")] {
        let fake = Fake::start(World { delete: status, ..small(2, 10) }).await;
        assert_eq!(rejected(one(&fake, delete("1")).await).0, code, "{status}");
        rejected(one(&fake, delete("2")).await);
        let asked = if code == "delete-refused" { 2 } else { 1 };
        assert_eq!(fake.calls("DELETE"), asked, "{status}: what is not offered is not asked for again");
        assert_eq!(fake.connector.schema(&names(&["customer"])).await.unwrap()["customer"].deletable, asked == 2);
        assert_eq!(failed(fake.connector.resolve(&delete("1")).await).0, "not-done");
    }
    for status in [200, 202, 204] {
        let fake = Fake::start(World { delete: status, ..small(1, 10) }).await;
        assert!(matches!(one(&fake, delete("1")).await, Outcome::Done { .. }), "{status}");
    }
    let fake = Fake::with(small(1, 10), |s| s.delete_customers = false).await;
    assert_eq!(rejected(one(&fake, delete("1")).await).0, "not-supported");
    for trick in [Trick::LoseAnswer, Trick::LoseRequest] {
        let fake = Fake::start(small(1, 10).trick("DELETE", trick)).await;
        assert!(matches!(one(&fake, delete("1")).await, Outcome::Done { .. }));
        assert!(fake.customer(1).is_none());
    }
    let fake = Fake::start(small(1, 10).trick("DELETE", Trick::Answer(200, ""))).await;
    assert!(matches!(one(&fake, delete("1")).await, Outcome::Unknown { .. }), "said to be done, and it still shows");
}
