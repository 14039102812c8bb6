//! What must hold on the wire, told against a small fake: nothing twice, nothing missed, nothing guessed.

#![allow(clippy::unwrap_used)]

use super::catalogue::{CUSTOMER, CUSTOMER_ACCOUNT, FEATURE, LICENSE, ORDER};
use super::fake::{Fake, Trick, World};
use crate::connectors::{Ask, FaultKind, Fetched, Page, ReadEnd, Reader, Writer};
use crate::plan::{Outcome, Verb, Write};
use crate::record::{Fields, Record, Value};
use serde_json::{Value as J, json};
use std::collections::BTreeSet;
use tokio::sync::mpsc;

mod teeth;

const SF: &str = "003A0000012abcDQAQ";

pub(super) fn world() -> World {
    let empty = ["customers", "customer-accounts", "orders", "licenses", "license-product-features"];
    let world = empty.into_iter().fold(World::default(), |world, table| world.with(table, []));
    world
        .with("products", [json!({"id": 777, "short_code": "orbit", "product_name": "Orbit", "company": 901})])
        .with("license-templates", [json!({"id": 640, "code": "orbit_std"})])
        .with("product-features", [json!({"id": 318, "code": "pdf", "name": "PDF", "feature_type": "activation", "product": 777})])
}

pub(super) fn fields(pairs: &[(&str, Value)]) -> Fields {
    pairs.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect()
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|n| (*n).to_owned()).collect()
}

pub(super) fn write(resource: &str, verb: Verb, id: Option<i64>, pairs: &[(&str, Value)]) -> Write {
    let fields = fields(pairs);
    let read = fields.keys().filter(|n| *n != "items").cloned().collect();
    let id = id.map(|id| id.to_string().into());
    Write { intent: 1, object: resource.to_owned(), resource: resource.to_owned(), verb, id, fields, key: None, read }
}

fn contact(sf_id: &str, first: &str) -> Write {
    let pairs = [("reference", Value::text(sf_id)), ("first_name", Value::text(first)), ("phone", Value::Null)];
    Write { key: Some(("reference".into(), sf_id.into())), ..write(CUSTOMER, Verb::Create, None, &pairs) }
}

fn order(customer: i64) -> Write {
    let license = fields(&[("unit", Value::text("802A-1")), ("key", Value::text("QQ7H-2M9P-ZX4T-LK33"))]);
    let item = fields(&[("line", Value::text("802A")), ("product_code", Value::text("orbit")), ("licenses", Value::Rows(vec![license]))]);
    let pairs = [("store_id", Value::text("SF-801")), ("customer", Value::text(customer.to_string())), ("items", Value::Rows(vec![item]))];
    let mut write = write(ORDER, Verb::Create, None, &pairs);
    write.read.push("license_count".into());
    Write { key: Some(("store_id".into(), "SF-801".into())), ..write }
}

pub(super) async fn one(fake: &Fake, write: Write) -> Outcome {
    fake.connector.apply(&[write]).await.remove(0)
}

pub(super) fn done(outcome: Outcome) -> (String, Record, Vec<String>) {
    match outcome {
        Outcome::Done { id, record, steps } => {
            let steps = steps.into_iter().map(|s| format!("{}: {}", s.name, s.outcome)).collect();
            (id.to_string(), record.unwrap(), steps)
        }
        other => panic!("{other:?}"),
    }
}

pub(super) fn rejected(outcome: Outcome) -> (String, String) {
    match outcome {
        Outcome::Rejected { code, message, .. } => (code, message),
        other => panic!("{other:?}"),
    }
}

async fn read(fake: &Fake, resource: &str, wanted: &[&str], since: Option<&str>) -> (Vec<Record>, ReadEnd) {
    let ask = Ask {
        object: resource.to_owned(),
        resource: resource.to_owned(),
        fields: names(wanted),
        since: since.map(str::to_owned),
        sweep: false,
    };
    let (to, mut from) = mpsc::channel::<Page>(2);
    let asks = [ask];
    let (polled, records) = tokio::join!(fake.connector.poll(&asks, to), async {
        let mut records = Vec::new();
        while let Some(page) = from.recv().await {
            records.extend(page.records);
        }
        records
    });
    (records, polled.unwrap().remove(0).end.unwrap())
}

fn ids(records: &[Record]) -> BTreeSet<i64> {
    records.iter().map(|r| r.id.as_str().parse().unwrap()).collect()
}

fn customers(n: i64) -> Vec<J> {
    (1..=n).map(|id| json!({"id": id, "first_name": format!("n{id}"), "reference": "", "email": format!("N{id}@demo.example")})).collect()
}

pub(super) fn license(id: i64, at: &str) -> J {
    json!({"id": id, "enabled": true, "updated_at": at, "product": {"id": 777}, "license_template": 640, "order": 5, "metadata": {}})
}

// --- reading ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_sweep_reads_all_pages_and_promises_completeness() {
    let fake = Fake::start(world().with("customers", customers(431))).await;
    let (records, end) = read(&fake, CUSTOMER, &["first_name", "email"], None).await;
    assert_eq!(ids(&records), (1..=431).collect());
    assert_eq!(end, ReadEnd { watermark: None, complete: true });
    assert_eq!(fake.calls("GET /api/v1/customers/"), 5);
    assert_eq!(records[0].fields["email"], Value::text("n1@demo.example"));
}

#[tokio::test]
async fn rows_that_move_between_pages_are_found_by_a_second_walk() {
    let leave = |w: &mut World| drop(w.tables.get_mut("customers").unwrap().remove(0));
    let fake = Fake::start(world().with("customers", customers(250)).trick("offset=0", Trick::Then(Box::new(leave)))).await;
    let (records, end) = read(&fake, CUSTOMER, &["first_name"], None).await;
    // Row 101 slid onto the page already read.
    assert_eq!(ids(&records), (1..=250).collect());
    assert!(end.complete);
}

#[tokio::test]
async fn a_list_that_ends_too_early_is_not_complete() {
    let short = r#"{"count":431,"next":null,"results":[{"id":1}]}"#;
    let empty = r#"{"count":431,"next":null,"results":[]}"#;
    let mut world = world().with("customers", customers(1));
    for _ in 0..2 {
        world = world.trick("customers/?limit=100&offset=0", Trick::Answer(200, short));
    }
    for _ in 0..8 {
        world = world.trick("customers/?limit=100&offset=", Trick::Answer(200, empty));
    }
    let fake = Fake::start(world).await;
    let (records, end) = read(&fake, CUSTOMER, &["first_name"], None).await;
    assert_eq!(ids(&records).len(), 1);
    assert!(!end.complete);
}

#[tokio::test]
async fn bad_bodies_are_read_again_and_then_reported() {
    let truncated = r#"{"count":1,"next":null,"results":[{"id":1"#;
    let fake = Fake::start(world().with("customers", customers(1)).trick("/customers/", Trick::Answer(200, truncated))).await;
    assert_eq!(ids(&read(&fake, CUSTOMER, &[], None).await.0).len(), 1);

    let mut world = world().with("customers", customers(1));
    for _ in 0..9 {
        world = world.trick("/customers/", Trick::Answer(200, "<html>sign in</html>"));
    }
    let fake = Fake::start(world).await;
    let fault = fake.connector.count(CUSTOMER).await.unwrap_err();
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Answer, "html-body"));
}

#[tokio::test]
async fn an_idle_license_delta_is_one_call() {
    let rows = [license(1, "2026-02-03T23:57:59Z"), license(2, "2026-02-04T00:00:00Z"), license(3, "2026-02-03T23:58:00Z")];
    let fake = Fake::start(world().with("licenses", rows)).await;
    let (records, end) = read(&fake, LICENSE, &["enabled"], Some("2026-02-04T00:00:00Z")).await;
    assert_eq!(ids(&records), [2, 3].into(), "the overlap is read again, nothing older");
    assert_eq!(end, ReadEnd { watermark: Some("2026-02-04T00:00:00Z".into()), complete: false });
    assert_eq!(fake.world().calls.len(), 1);
}

#[tokio::test]
async fn licenses_come_by_stamp_through_a_long_tie() {
    let rows =
        (1..=600).map(|id| license(id, &format!("2026-02-04T00:{:02}:00Z", if (100..450).contains(&id) { 7 } else { id / 100 + 10 })));
    let fake = Fake::start(world().with("licenses", rows)).await;
    let (records, end) = read(&fake, LICENSE, &["product", "policy", "url"], Some("2026-02-04T00:00:00Z")).await;
    assert_eq!(ids(&records), (1..=600).collect());
    assert_eq!(end.watermark.as_deref(), Some("2026-02-04T00:16:00Z"));
    let first = records.iter().find(|r| r.id.as_str() == "1").unwrap();
    assert_eq!((&first.fields["product"], &first.fields["policy"]), (&Value::text("orbit"), &Value::text("orbit_std")));
    let Value::Text(url) = &first.fields["url"] else { panic!("no url") };
    assert!(url.ends_with("/901/orders/5/1"), "{url}");
}

#[tokio::test]
async fn without_an_order_or_a_filter_nothing_is_missed() {
    for ignored in ["order_by", "updated_at__gte"] {
        let rows = (1..=250).map(|id| license(id, &format!("2026-02-04T0{}:00:00Z", id % 7)));
        let mut world = world().with("licenses", rows);
        world.ignored.insert(ignored);
        let fake = Fake::start(world).await;
        let (records, end) = read(&fake, LICENSE, &["enabled"], Some("2026-02-04T00:00:00Z")).await;
        assert_eq!(ids(&records), (1..=250).collect(), "{ignored}");
        assert_eq!(end.watermark.as_deref(), Some("2026-02-04T06:00:00Z"), "{ignored}");
    }
}

#[tokio::test]
async fn changed_orders_come_newest_first() {
    let rows =
        (1..=350).map(|id| json!({"id": id, "store_id": format!("o{id}"), "updated_at": format!("2026-02-{:02}T00:00:00Z", id / 13 + 1)}));
    let fake = Fake::start(world().with("orders", rows)).await;
    let (records, end) = read(&fake, ORDER, &["store_id"], Some("2026-02-20T00:00:00Z")).await;
    assert!(ids(&records).is_superset(&(247..=350).collect()));
    assert!(ids(&records).len() < 250, "it stops at what is old enough");
    assert_eq!(end, ReadEnd { watermark: Some("2026-02-27T00:00:00Z".into()), complete: false });
    assert_eq!(records[0].stamp.as_deref(), Some("2026-02-27T00:00:00Z"));
}

#[tokio::test]
async fn orders_that_go_while_changes_are_read_hide_no_other() {
    let rows = (1..=150).map(|id| json!({"id": id, "store_id": "", "updated_at": format!("2026-02-04T{:02}:{:02}:00Z", id / 60, id % 60)}));
    let leave = |w: &mut World| w.tables.get_mut("orders").unwrap().retain(|row| row["id"].as_i64() < Some(149));
    let fake = Fake::start(world().with("orders", rows).trick("offset=0", Trick::Then(Box::new(leave)))).await;
    let (records, _) = read(&fake, ORDER, &["store_id"], Some("2026-02-04T00:00:00Z")).await;
    // Without a second look, order 50 would have slid onto the page already read.
    assert!(ids(&records).is_superset(&(1..149).collect()));
}

#[tokio::test]
async fn a_watermark_is_never_later_than_the_reading_began() {
    // A row that changed behind the reading has a stamp between its beginning and this one.
    let rows = || [license(1, "2026-02-04T00:00:00Z"), license(2, "2999-01-01T00:00:00Z")];
    for since in [None, Some("2026-02-03T00:00:00Z")] {
        let fake = Fake::start(world().with("licenses", rows())).await;
        let mark = read(&fake, LICENSE, &[], since).await.1.watermark.unwrap();
        assert!(mark.as_str() > "2026-02-04" && mark.as_str() < "2999", "{mark}");
    }
}

#[tokio::test]
async fn a_read_by_id_tells_missing_from_refused() {
    let world = world().with("customers", customers(2)).trick("/customers/2/", Trick::Answer(403, r#"{"detail":"no"}"#));
    let fake = Fake::start(world).await;
    let asked: Vec<_> = ["1", "2", "3", "x"].map(Into::into).into();
    let found = fake.connector.get_many(CUSTOMER, &names(&["first_name"]), &asked).await.unwrap();
    assert!(matches!(&found[0], Fetched::Here(r) if r.fields["first_name"] == Value::text("n1")));
    assert!(
        matches!(&found[1], Fetched::Refused(..)) && matches!(&found[2], Fetched::Missing(_)) && matches!(&found[3], Fetched::Refused(..))
    );

    fake.world().tricks.push(("/customers/1/", Trick::Answer(404, "<html>not here</html>")));
    let again = fake.connector.get_many(CUSTOMER, &[], &["1".into()]).await.unwrap();
    assert!(matches!(again[0], Fetched::Here(_)), "a proxy's 404 proves nothing");
}

#[tokio::test]
async fn finding_survives_filters_that_are_left_out() {
    for ignored in [None, Some("reference"), Some("email__icontains")] {
        let mut world = world().with("customers", customers(150));
        world.tables.get_mut("customers").unwrap()[120].insert("reference".into(), SF.into());
        world.ignored.extend(ignored);
        let fake = Fake::start(world).await;
        let found = fake.connector.find(CUSTOMER, &names(&["first_name"]), "reference", &[Value::text(SF), Value::Null]).await.unwrap();
        assert_eq!(ids(&found), [121].into(), "{ignored:?}");
        let lower = [Value::text("n7@demo.example"), Value::text("nobody@demo.example")];
        let found = fake.connector.find(CUSTOMER, &[], "email", &lower).await.unwrap();
        assert_eq!(ids(&found), [7].into(), "{ignored:?}");
        assert!(fake.connector.find(CUSTOMER, &[], "reference", &[Value::text(SF.to_lowercase())]).await.unwrap().is_empty());
        let asked = if ignored == Some("reference") { 1 } else { 2 };
        assert_eq!(fake.calls("?reference="), asked, "{ignored:?}: what does not work is not tried twice");
    }
}

#[tokio::test]
async fn many_values_are_looked_for_by_the_shorter_way() {
    let fake = Fake::start(world().with("customers", customers(300))).await;
    let values: Vec<Value> = (1..=200).map(|n| Value::text(format!("n{n}@demo.example"))).collect();
    assert_eq!(fake.connector.find(CUSTOMER, &[], "email", &values).await.unwrap().len(), 200);
    assert_eq!(fake.world().calls.len(), 4, "one to count, three pages");
}

#[tokio::test]
async fn a_wrong_key_reads_nothing_and_says_so_without_showing_it() {
    let mut world = world();
    for _ in 0..4 {
        world = world.trick("", Trick::Answer(403, r#"{"detail":"Invalid key canary12.secretsecretsecretsecretsecretse"}"#));
    }
    let fake = Fake::start(world).await;
    let fault = fake.connector.schema(&names(&[CUSTOMER, ORDER])).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Credentials);
    let (to, _from) = mpsc::channel(1);
    let ask = Ask { object: "contact".into(), resource: CUSTOMER.into(), fields: vec![], since: None, sweep: true };
    let polled = fake.connector.poll(&[ask], to).await.unwrap_err();
    for text in [fault.to_string(), polled.to_string(), format!("{:?}", fake.connector), format!("{fault:?}")] {
        assert!(!text.contains("canary12"), "{text}");
    }
}

#[tokio::test]
async fn the_company_is_who_we_talk_to() {
    let fake = Fake::start(world()).await;
    let who = fake.connector.identity().await.unwrap();
    assert_eq!((who.id.as_str(), who.is_sandbox), ("901", true));
    assert_eq!((fake.connector.calls().data, fake.connector.calls().other), (0, 1));
    let schemas = fake.connector.schema(&names(&[LICENSE, "unknown"])).await.unwrap();
    assert!(schemas[LICENSE].fields["license_key"].secret && schemas.len() == 1);
}

// --- creating --------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_create_plants_its_key_and_is_found_by_it() {
    let fake = Fake::start(world()).await;
    let (id, record, steps) = done(one(&fake, contact(SF, "Mina")).await);
    assert_eq!(record.fields["first_name"], Value::text("Mina"));
    assert_eq!(steps, ["look-up: absent".to_owned(), format!("create: created {id}")]);
    assert_eq!(fake.rows("customers")[0]["metadata"], json!({"lockstep": {"connection": "acme", "sf_id": SF}}));

    let (again, record, steps) = done(one(&fake, contact(SF, "Minna")).await);
    assert_eq!((again, record.fields["first_name"].clone()), (id.clone(), Value::text("Minna")));
    assert_eq!(steps, [format!("look-up: found {id}"), "patch: first_name".to_owned()]);
    assert_eq!((fake.rows("customers").len(), fake.calls("POST")), (1, 1));
}

#[tokio::test]
async fn a_lost_answer_never_makes_a_second_record() {
    let fake = Fake::start(world().trick("POST", Trick::LoseAnswer)).await;
    let (_, _, steps) = done(one(&fake, contact(SF, "Mina")).await);
    assert!(steps.contains(&"create: no answer".to_owned()), "{steps:?}");
    assert_eq!((fake.rows("customers").len(), fake.calls("POST")), (1, 1));
}

#[tokio::test]
async fn a_lost_request_is_unknown_until_looked_at() {
    let fake = Fake::start(world().trick("POST", Trick::LoseRequest)).await;
    let outcome = one(&fake, contact(SF, "Mina")).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    assert_eq!(fake.calls("POST"), 1, "never sent again blindly");
    let resolved = fake.connector.resolve(&contact(SF, "Mina")).await;
    assert!(matches!(&resolved, Outcome::Failed { code, .. } if code == "not-done"), "{resolved:?}");
    done(one(&fake, contact(SF, "Mina")).await);
    done(fake.connector.resolve(&contact(SF, "Mina")).await);
    assert_eq!(fake.rows("customers").len(), 1);
}

#[tokio::test]
async fn a_late_look_at_a_create_adds_what_is_missing_and_leaves_what_was_edited_since() {
    let fake = Fake::start(world()).await;
    let (id, ..) = done(one(&fake, contact(SF, "Mina")).await);
    let (_, record, steps) = done(fake.connector.resolve(&contact(SF, "Wilhelmina")).await);
    assert_eq!((&record.fields["first_name"], steps), (&Value::text("Mina"), vec![format!("look-up: found {id}")]));

    let mut half = fake.rows("customers")[0].clone();
    half.insert("first_name".to_owned(), json!(""));
    let fake = Fake::start(world().with("customers", [half.into()])).await;
    let (_, record, steps) = done(fake.connector.resolve(&contact(SF, "Wilhelmina")).await);
    assert_eq!(record.fields["first_name"], Value::text("Wilhelmina"));
    assert_eq!(steps, [format!("look-up: found {id}"), "patch: first_name".to_owned()]);
}

#[tokio::test]
async fn two_records_with_one_key_stop_everything() {
    let double = |id| json!({"id": id, "reference": SF});
    let fake = Fake::start(world().with("customers", [double(1), double(2)])).await;
    let (code, message) = rejected(one(&fake, contact(SF, "Mina")).await);
    assert_eq!(code, "ambiguous");
    assert!(message.contains("1, 2"), "{message}");
    assert_eq!(fake.calls("POST"), 0);
}

#[tokio::test]
async fn a_batch_looks_for_its_keys_together_and_keeps_its_order() {
    let fake = Fake::start(world().with("customers", [json!({"id": 7, "reference": "sf-3", "first_name": "n3"})])).await;
    let mut writes: Vec<Write> = (0..30).map(|n| contact(&format!("sf-{n}"), &format!("n{n}"))).collect();
    writes.push(contact("sf-1", "n1"));
    let outcomes = fake.connector.apply(&writes).await;
    for (n, outcome) in outcomes.into_iter().take(30).enumerate() {
        assert_eq!(done(outcome).1.fields["first_name"], Value::text(format!("n{n}")));
    }
    assert_eq!(fake.rows("customers").len(), 30, "the double in the batch too");
    assert!(fake.calls("GET") <= 5, "{:?}", fake.calls("GET"));
}

#[tokio::test]
async fn refusals_carry_the_vendors_words() {
    let refused = r#"{"email":["Enter a valid email address."]}"#;
    let fake = Fake::start(world().trick("POST", Trick::Answer(400, refused))).await;
    let outcome = one(&fake, contact(SF, "Mina")).await;
    let Outcome::Rejected { code, message, fields } = outcome else { panic!("{outcome:?}") };
    assert_eq!((code.as_str(), message.as_str()), ("validation_error", "email: Enter a valid email address."));
    assert_eq!(fields, ["email"]);
}

#[tokio::test]
async fn too_many_calls_wait_and_a_missing_right_fails() {
    let fake = Fake::start(world().trick("POST", Trick::Answer(429, r#"{"detail":"slow down"}"#))).await;
    done(one(&fake, contact(SF, "Mina")).await);
    assert_eq!((fake.rows("customers").len(), fake.calls("POST")), (1, 2));
    let fake = Fake::start(world().trick("POST", Trick::Answer(403, r#"{"detail":"read only"}"#))).await;
    let outcome = one(&fake, contact(SF, "Mina")).await;
    assert!(matches!(&outcome, Outcome::Failed { message, .. } if message.contains("read only")), "{outcome:?}");
}

#[tokio::test]
async fn an_account_that_takes_no_metadata_is_still_made() {
    let fake = Fake::start(world().trick("POST", Trick::Answer(400, r#"{"metadata":["Unknown field."]}"#))).await;
    let pairs = [("code", Value::text("001A")), ("name", Value::text("Northwind"))];
    let write = Write { key: Some(("code".into(), "001A".into())), ..write(CUSTOMER_ACCOUNT, Verb::Create, None, &pairs) };
    done(one(&fake, write).await);
    assert_eq!(fake.rows("customer-accounts").len(), 1);
}

// --- orders ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn an_order_is_made_in_steps() {
    let fake = Fake::start(world().with("customers", customers(1))).await;
    let (id, record, steps) = done(one(&fake, order(1)).await);
    assert_eq!((&record.fields["customer"], &record.fields["license_count"]), (&Value::text("1"), &Value::Int(1)));
    assert_eq!(
        steps,
        [
            "look-up: absent".to_owned(),
            format!("create-order: created {id}"),
            "set-customer: 1".to_owned(),
            "read-order: 1 licenses".to_owned()
        ]
    );
    let row = &fake.rows("orders")[0];
    assert_eq!(row["metadata"]["lockstep"], json!({"connection": "acme", "sf_id": "SF-801"}));
    assert_eq!(row["order_items"][0]["licenses"][0]["metadata"], json!({"lockstep": {"line": "802A-1"}}));
}

#[tokio::test]
async fn an_order_whose_answer_is_lost_is_finished_not_repeated() {
    for lost in ["create_order", "PATCH"] {
        let fake = Fake::start(world().trick(lost, Trick::LoseAnswer)).await;
        let (_, record, _) = done(one(&fake, order(1)).await);
        assert_eq!(record.fields["customer"], Value::text("1"), "{lost}");
        assert_eq!((fake.rows("orders").len(), fake.calls("create_order")), (1, 1), "{lost}");
    }
}

#[tokio::test]
async fn an_order_that_was_left_half_done_is_finished_by_looking() {
    let fake = Fake::start(world().trick("PATCH", Trick::Answer(403, r#"{"detail":"no"}"#))).await;
    let outcome = one(&fake, order(1)).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    let (_, record, steps) = done(fake.connector.resolve(&order(1)).await);
    assert_eq!(record.fields["customer"], Value::text("1"));
    assert!(steps[0].starts_with("look-up: found"), "{steps:?}");
    assert_eq!((fake.rows("orders").len(), fake.calls("create_order")), (1, 1));
}

#[tokio::test]
async fn an_order_that_never_arrived_is_proved_absent_later() {
    let fake = Fake::start(world().trick("create_order", Trick::LoseRequest)).await;
    let outcome = one(&fake, order(1)).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    let resolved = fake.connector.resolve(&order(1)).await;
    assert!(matches!(&resolved, Outcome::Failed { code, .. } if code == "not-done"), "{resolved:?}");
    assert_eq!(fake.calls("create_order"), 1);
}

#[tokio::test]
async fn a_taken_order_id_is_ours_by_what_we_planted_or_nobodys() {
    let row = |metadata: J, key: &str| json!({"id": 5, "store_id": "SF-801", "customer": {"id": 1}, "metadata": metadata, "order_items": [{"licenses": [{"id": 6, "license_key": key}]}]});
    let planted = json!({"lockstep": {"sf_id": "SF-801"}});
    for (metadata, key, ours) in [(planted, "other", true), (json!({}), "QQ7H-2M9P-ZX4T-LK33", true), (json!({}), "other", false)] {
        // The look before sees nothing yet, the service then says 409.
        let empty = r#"{"count":0,"next":null,"results":[]}"#;
        let world = world().with("orders", [row(metadata.clone(), key)]).trick("GET /api/v1/orders/", Trick::Answer(200, empty));
        let fake = Fake::start(world).await;
        let outcome = one(&fake, order(1)).await;
        assert_eq!(fake.calls("create_order"), 1);
        if ours {
            assert_eq!(done(outcome).0, "5");
        } else {
            assert_eq!(rejected(outcome).0, "order_id_taken");
        }
    }
}

#[tokio::test]
async fn an_order_of_ours_with_too_few_licenses_is_reported() {
    let row = json!({"id": 5, "store_id": "SF-801", "metadata": {"lockstep": {"sf_id": "SF-801"}}, "order_items": []});
    let fake = Fake::start(world().with("orders", [row])).await;
    assert_eq!(rejected(one(&fake, order(1)).await).0, "order_incomplete");
    assert_eq!(fake.calls("create_order"), 0);
}

#[tokio::test]
async fn license_keys_are_masked_in_refusals() {
    let refused = r#"{"items":[{"licenses":[{"key":["QQ7H-2M9P-ZX4T-LK33 already exists."]}]}]}"#;
    let fake = Fake::start(world().trick("create_order", Trick::Answer(400, refused))).await;
    let (_, message) = rejected(one(&fake, order(1)).await);
    assert!(message.contains("…LK33") && !message.contains("QQ7H"), "{message}");
}

// --- features, changes, deletions ------------------------------------------------------------------------------------

fn feature(code: &str, max: i64) -> Write {
    let pairs = [("license", Value::text("1")), ("code", Value::text(code)), ("max_consumption", Value::Int(max))];
    write(FEATURE, Verb::Create, None, &pairs)
}

#[tokio::test]
async fn a_feature_is_added_once() {
    let fake = Fake::start(world().with("licenses", [license(1, "2026-02-04T00:00:00Z")]).trick("POST", Trick::LoseAnswer)).await;
    let (id, record, _) = done(one(&fake, feature("pdf", 5)).await);
    assert_eq!((&record.fields["code"], &record.fields["max_consumption"]), (&Value::text("pdf"), &Value::Int(5)));
    assert_eq!(fake.rows("license-product-features")[0]["product_feature"], 318);
    let (again, record, _) = done(one(&fake, feature("pdf", 9)).await);
    assert_eq!((again, &record.fields["max_consumption"]), (id, &Value::Int(9)));
    assert_eq!((fake.rows("license-product-features").len(), fake.calls("POST")), (1, 1));
}

#[tokio::test]
async fn an_unknown_feature_names_the_known_ones() {
    let fake = Fake::start(world().with("licenses", [license(1, "2026-02-04T00:00:00Z")])).await;
    let (code, message) = rejected(one(&fake, feature("xml", 0)).await);
    assert_eq!(code, "unsupported_product_feature");
    assert!(message.contains("xml") && message.contains("pdf"), "{message}");
}

#[tokio::test]
async fn metadata_is_changed_beside_what_others_keep_there() {
    for inverted in [false, true] {
        let row = json!({"id": 1, "metadata": {"shop": {"id": 9}, "title": "old"}});
        let mut world = world().with("customers", [row]);
        world.inverted_metadata = inverted;
        let fake = Fake::start(world).await;
        let pairs = [("metadata.title", Value::text("new")), ("metadata.lockstep.x", Value::text("y"))];
        let (_, record, _) = done(one(&fake, write(CUSTOMER, Verb::Update, Some(1), &pairs)).await);
        assert_eq!(record.fields["metadata.title"], Value::text("new"), "{inverted}");
        assert_eq!(fake.rows("customers")[0]["metadata"], json!({"shop": {"id": 9}, "title": "new", "lockstep": {"x": "y"}}), "{inverted}");
        assert_eq!(fake.calls("PATCH"), if inverted { 2 } else { 1 });
        done(one(&fake, write(CUSTOMER, Verb::Update, Some(1), &[("metadata.title", Value::text("newer"))])).await);
        assert_eq!(fake.calls("PATCH"), if inverted { 3 } else { 2 }, "which form works is remembered");
    }
}

#[tokio::test]
async fn a_license_is_disabled_by_its_own_call_and_only_once() {
    let fake = Fake::start(world().with("licenses", [license(1, "2026-02-04T00:00:00Z")])).await;
    let off = || write(LICENSE, Verb::Update, Some(1), &[("enabled", Value::Bool(false)), ("note", Value::Null)]);
    let (_, record, _) = done(one(&fake, off()).await);
    assert_eq!((&record.fields["enabled"], &record.fields["note"]), (&Value::Bool(false), &Value::Null));
    done(one(&fake, off()).await);
    assert_eq!(fake.calls("/disable/"), 1);
    done(fake.connector.resolve(&off()).await);
    let on = write(LICENSE, Verb::Update, Some(1), &[("enabled", Value::Bool(true))]);
    assert!(matches!(fake.connector.resolve(&on).await, Outcome::Failed { code, .. } if code == "not-done"));
}

#[tokio::test]
async fn changes_of_what_is_gone_or_not_ours_to_change() {
    let fake = Fake::start(world().with("licenses", [license(1, "2026-02-04T00:00:00Z")])).await;
    let note = |id| write(LICENSE, Verb::Update, Some(id), &[("note", Value::text("x"))]);
    assert_eq!(one(&fake, note(99)).await, Outcome::Missing);
    let key = write(LICENSE, Verb::Update, Some(1), &[("license_key", Value::text("x"))]);
    assert_eq!(rejected(one(&fake, key).await).0, "not-writable");
    assert_eq!(rejected(one(&fake, write(LICENSE, Verb::Delete, Some(1), &[])).await).0, "not-supported");
    assert_eq!(rejected(one(&fake, write(LICENSE, Verb::Create, None, &[])).await).0, "not-supported");
    assert_eq!(rejected(one(&fake, write(CUSTOMER, Verb::Create, None, &[])).await).0, "no-key");
}

#[tokio::test]
async fn a_deletion_takes_nothing_along_and_may_be_repeated() {
    let rows = [json!({"id": 1, "total_orders": 0, "total_licenses": 0}), json!({"id": 2, "total_orders": 1})];
    let fake = Fake::start(world().with("customers", rows).trick("DELETE", Trick::LoseAnswer)).await;
    let gone = |id| write(CUSTOMER, Verb::Delete, Some(id), &[]);
    assert!(matches!(one(&fake, gone(1)).await, Outcome::Done { .. }));
    assert!(matches!(one(&fake, gone(1)).await, Outcome::Done { .. }), "404 is what was wanted");
    assert!(matches!(fake.connector.resolve(&gone(1)).await, Outcome::Done { .. }));
    assert_eq!(rejected(one(&fake, gone(2)).await).0, "in-use");
    assert_eq!((fake.rows("customers").len(), fake.calls("DELETE")), (1, 1));
}
