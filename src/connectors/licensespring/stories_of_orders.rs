//! What happens to licenses after their order was made, told against the small fake: a reset once, added licenses once,
//! states that hold however often they are asked for.

#![allow(clippy::unwrap_used)]

use super::catalogue::{LICENSE, ORDER};
use super::fake::{Fake, Trick, World};
use super::stories::{done, fields, license, one, rejected, world, write};
use crate::connectors::{Reader, Writer};
use crate::plan::{Outcome, Verb, Write};
use crate::record::{Fields, Value};
use chrono::{SecondsFormat, Utc};
use serde_json::{Value as J, json};

// --- resetting -------------------------------------------------------------------------------------------------------

fn activated(times: i64, devices: i64) -> World {
    let mut row = license(1, "2026-02-04T00:00:00Z");
    row["times_activated"] = times.into();
    row["total_active_devices"] = devices.into();
    world().with("licenses", [row])
}

fn reset_asked(activations: i64, ago_s: i64) -> Write {
    let asked = (Utc::now() - chrono::Duration::seconds(ago_s)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let row = fields(&[("activations", Value::Int(activations)), ("asked", Value::text(asked))]);
    let mut write = write(LICENSE, Verb::Update, Some(1), &[("reset", Value::Rows(vec![row]))]);
    write.read.push("times_activated".to_owned());
    write
}

fn activate(n: i64) -> impl FnOnce(&mut World) + Send {
    move |w| {
        w.tables.get_mut("licenses").unwrap()[0]
            .extend([("times_activated".to_owned(), n.into()), ("total_active_devices".to_owned(), n.into())]);
    }
}

fn word(outcome: Outcome) -> String {
    match outcome {
        Outcome::Done { steps, .. } if steps.len() == 1 && steps[0].name == "reset" => steps[0].outcome.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_reset_says_how_many_it_released() {
    let fake = Fake::start(activated(3, 2)).await;
    let outcome = one(&fake, reset_asked(3, 0)).await;
    let (_, record, steps) = done(outcome);
    assert_eq!((steps, &record.fields["times_activated"]), (vec!["reset: released 3 activations".to_owned()], &Value::Int(0)));
    assert!(!record.fields.contains_key("reset"));
    assert_eq!(word(one(&fake, reset_asked(0, 0)).await), "nothing to reset");
    assert_eq!(fake.calls("/reset/"), 1);
    // Somebody is still in, though nothing counts as an activation.
    let fake = Fake::start(activated(0, 1)).await;
    assert_eq!(word(one(&fake, reset_asked(0, 0)).await), "released 0 activations");
    assert_eq!(fake.calls("/reset/"), 1);
}

#[tokio::test]
async fn a_lost_reset_is_done_once() {
    let fake = Fake::start(activated(3, 3).trick("/reset/", Trick::LoseAnswer)).await;
    assert_eq!(word(one(&fake, reset_asked(3, 0)).await), "released 3 activations");
    assert_eq!(fake.calls("/reset/"), 1, "it shows, so it is not sent again");

    let fake = Fake::start(activated(3, 3).trick("/reset/", Trick::LoseRequest)).await;
    assert_eq!(word(one(&fake, reset_asked(3, 0)).await), "released 3 activations");
    assert_eq!(fake.calls("/reset/"), 2);

    let lost = activated(3, 3).trick("/reset/", Trick::LoseRequest).trick("/reset/", Trick::LoseRequest);
    let fake = Fake::start(lost).await;
    let said = word(one(&fake, reset_asked(3, 0)).await);
    assert!(said.starts_with("in doubt: the answer was lost and the license still shows 3 activations"), "{said}");
    assert_eq!(fake.calls("/reset/"), 2, "twice in all");
}

#[tokio::test]
async fn people_who_came_back_are_not_thrown_out() {
    for now in [1, 4] {
        let fake = Fake::start(activated(3, 3).trick("/reset/", Trick::LoseAnswerThen(Box::new(activate(now))))).await;
        let said = word(one(&fake, reset_asked(3, 0)).await);
        assert_eq!(said, "in doubt: the answer was lost and people have activated since; look at the license and ask again if needed");
        assert_eq!((fake.calls("/reset/"), &fake.rows("licenses")[0]["times_activated"]), (1, &json!(now)));
    }
}

#[tokio::test]
async fn a_refused_reset_is_a_final_word_and_an_unsent_one_is_none() {
    let fake = Fake::start(activated(3, 3).trick("/reset/", Trick::Answer(400, r#"{"message":"License is in a pool."}"#))).await;
    assert_eq!(word(one(&fake, reset_asked(3, 0)).await), "refused: License is in a pool.");
    let fake = Fake::start(activated(3, 3).trick("/reset/", Trick::Answer(403, r#"{"detail":"read only"}"#))).await;
    let outcome = one(&fake, reset_asked(3, 0)).await;
    assert!(matches!(&outcome, Outcome::Failed { .. }), "{outcome:?}");
    let fake = Fake::start(world()).await;
    assert_eq!(one(&fake, reset_asked(3, 0)).await, Outcome::Missing);
}

#[tokio::test]
async fn after_a_crash_the_license_tells_what_became_of_a_reset() {
    for (now, ago_s, want) in [
        (0, 3600, "released 3 activations"),
        (2, 5, "in doubt: the answer was lost and people have activated since"),
        (3, 3600, "in doubt: the answer was lost and the license still shows 3 activations"),
    ] {
        let fake = Fake::start(activated(now, now)).await;
        let said = word(fake.connector.resolve(&reset_asked(3, ago_s)).await);
        assert!(said.starts_with(want), "{said}");
        assert_eq!(fake.calls("POST"), 0);
    }
    let fake = Fake::start(activated(3, 3)).await;
    let outcome = fake.connector.resolve(&reset_asked(3, 5)).await;
    assert!(matches!(&outcome, Outcome::Failed { code, .. } if code == "not-done"), "{outcome:?}");
    let fake = Fake::start(activated(3, 3).trick("GET", Trick::Answer(403, r#"{"detail":"no"}"#))).await;
    let outcome = fake.connector.resolve(&reset_asked(3, 5)).await;
    assert!(matches!(&outcome, Outcome::Unknown { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_reset_comes_alone_and_whole() {
    let fake = Fake::start(activated(3, 3)).await;
    let mut with_note = reset_asked(3, 0);
    with_note.fields.insert("note".into(), Value::text("x"));
    let mut without_time = reset_asked(3, 0);
    without_time.fields.insert("reset".into(), Value::Rows(vec![fields(&[("activations", Value::Int(3))])]));
    for write in [with_note, without_time] {
        assert_eq!(rejected(one(&fake, write).await).0, "does-not-fit");
    }
    assert_eq!(fake.calls("POST"), 0);
}

// --- subscriptions ---------------------------------------------------------------------------------------------------

#[tokio::test]
async fn the_end_of_a_subscription_is_not_ours_to_change() {
    let mut row = license(1, "2026-02-04T00:00:00Z");
    row["license_type"] = "subscription".into();
    let fake = Fake::start(world().with("licenses", [row, license(2, "2026-02-04T00:00:00Z")])).await;
    for (field, value) in
        [("validity_period", Value::text("2031-01-01")), ("valid_duration", Value::text("2y")), ("validity_period", Value::Null)]
    {
        let change = |id| write(LICENSE, Verb::Update, Some(id), &[(field, value.clone()), ("note", Value::text("x"))]);
        let (code, message) = rejected(one(&fake, change(1)).await);
        assert_eq!(code, "subscription-owned-elsewhere");
        assert!(message.contains("the billing system that owns the subscription decides its end"), "{message}");
        assert_eq!(fake.calls("/licenses/1/") - fake.calls("GET /api/v1/licenses/1/"), 0);
        done(one(&fake, change(2)).await);
    }
    done(one(&fake, write(LICENSE, Verb::Update, Some(1), &[("note", Value::text("x")), ("max_consumptions", Value::Int(5))])).await);
}

// --- amending orders -------------------------------------------------------------------------------------------------

const KEYS: [&str; 3] = ["QQ7H-2M9P-ZX4T-0001", "QQ7H-2M9P-ZX4T-0002", "QQ7H-2M9P-ZX4T-0003"];

fn issued(id: i64, order: i64, unit: &str, key: &str) -> J {
    json!({
        "id": id, "order": order, "order_store_id": format!("SF-{order}"), "license_key": key, "enabled": true, "max_activations": 3,
        "metadata": {"lockstep": {"line": unit}}
    })
}

/// An order with one license, and another order beside it.
fn ordered() -> World {
    let order =
        |id: i64| json!({"id": id, "store_id": format!("SF-{id}"), "customer": {"id": 1}, "customer_account": null, "metadata": {}});
    world()
        .with("orders", [order(5), order(6)])
        .with("licenses", [issued(51, 5, "a-1", KEYS[0]), issued(61, 6, "z-1", "ZZZZ-ZZZZ-ZZZZ-0001")])
}

fn appended(licenses: &[(&str, &str)]) -> (&'static str, Value) {
    let license = |(unit, key): &(&str, &str)| {
        fields(&[("unit", Value::text(*unit)), ("key", Value::text(*key)), ("max_activations", Value::Int(2))])
    };
    let rows = Value::Rows(licenses.iter().map(license).collect());
    ("append", Value::Rows(vec![fields(&[("line", Value::text("a")), ("product_code", Value::text("orbit")), ("licenses", rows)])]))
}

fn change(rows: &[&[(&str, Value)]]) -> (&'static str, Value) {
    ("change", Value::Rows(rows.iter().map(|row| fields(row)).collect::<Vec<Fields>>()))
}

fn amendment(pairs: &[(&str, Value)]) -> Write {
    write(ORDER, Verb::Update, Some(5), pairs)
}

/// Every key and every unit of the order once.
fn assert_licenses(fake: &Fake, units: &[&str]) {
    let rows = fake.rows("licenses");
    let mut shown: Vec<&str> =
        rows.iter().filter(|r| r["order"] == 5).map(|r| r["metadata"]["lockstep"]["line"].as_str().unwrap()).collect();
    shown.sort_unstable();
    assert_eq!(shown, units);
    let mut keys: Vec<&str> = rows.iter().map(|r| r["license_key"].as_str().unwrap()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), rows.len());
}

#[tokio::test]
async fn only_missing_licenses_are_added() {
    let fake = Fake::start(ordered()).await;
    let write = || amendment(&[appended(&[("a-1", KEYS[0]), ("a-2", KEYS[1]), ("a-3", KEYS[2])])]);
    let (id, record, steps) = done(one(&fake, write()).await);
    assert_eq!((id.as_str(), steps), ("5", vec!["append: added 2 licenses".to_owned()]));
    assert!(record.fields.is_empty(), "{record:?}");
    assert_licenses(&fake, &["a-1", "a-2", "a-3"]);
    assert_eq!(fake.rows("licenses")[2]["max_activations"], 2);
    let (_, _, steps) = done(one(&fake, write()).await);
    assert_eq!(steps, ["append: nothing is missing"]);
    // The unit is what counts: a key minted anew is not a second license.
    done(one(&fake, amendment(&[appended(&[("a-2", "QQ7H-2M9P-ZX4T-0099")])])).await);
    assert_eq!(fake.calls("create_order"), 1);
    assert_licenses(&fake, &["a-1", "a-2", "a-3"]);
}

#[tokio::test]
async fn licenses_whose_answer_is_lost_are_looked_for_before_they_are_sent_again() {
    for (trick, posts) in [(Trick::LoseAnswer, 1), (Trick::LoseRequest, 2), (Trick::Answer(500, "{}"), 2)] {
        let fake = Fake::start(ordered().trick("create_order", trick)).await;
        done(one(&fake, amendment(&[appended(&[("a-2", KEYS[1])])])).await);
        assert_eq!(fake.calls("create_order"), posts);
        assert_licenses(&fake, &["a-1", "a-2"]);
    }
    let fake = Fake::start(ordered().trick("create_order", Trick::LoseRequest).trick("create_order", Trick::LoseRequest)).await;
    let write = || amendment(&[appended(&[("a-2", KEYS[1])])]);
    let outcome = one(&fake, write()).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    assert_eq!(fake.calls("create_order"), 2, "twice in all");
    let (_, _, steps) = done(fake.connector.resolve(&write()).await);
    assert_eq!(steps, ["append: added 1 licenses"]);
    done(fake.connector.resolve(&write()).await);
    assert_eq!(fake.calls("create_order"), 3);
    assert_licenses(&fake, &["a-1", "a-2"]);
}

#[tokio::test]
async fn a_key_of_another_order_is_never_used() {
    let fake = Fake::start(ordered()).await;
    let write = || amendment(&[appended(&[("a-2", "ZZZZ-ZZZZ-ZZZZ-0001")])]);
    for outcome in [one(&fake, write()).await, fake.connector.resolve(&write()).await] {
        let (code, message) = rejected(outcome);
        assert_eq!(code, "key_taken");
        assert!(!message.contains("ZZZZ"), "{message}");
    }
    assert_eq!(fake.calls("create_order"), 0);
    // Taken between the look and the call: the refusal is looked into.
    let refused = r#"{"message":"QQ7H-2M9P-ZX4T-0002 exists"}"#;
    let fake = Fake::start(ordered().trick("create_order", Trick::Answer(400, refused))).await;
    let (_, message) = rejected(one(&fake, amendment(&[appended(&[("a-2", KEYS[1])])])).await);
    assert!(message.contains("…0002") && !message.contains("QQ7H"), "{message}");
}

#[tokio::test]
async fn states_are_reached_and_kept() {
    let world = ordered().with("licenses", [issued(52, 5, "a-2", KEYS[1])]);
    let fake = Fake::start(world.trick("/disable/", Trick::LoseAnswer)).await;
    let write = || {
        let least: &[(&str, Value)] = &[("unit", Value::text("a-1")), ("at-least", Value::Int(5))];
        let most: &[(&str, Value)] = &[("unit", Value::text("a-2")), ("at-most", Value::Int(2))];
        amendment(&[change(&[least, most, &[("unit", Value::text("*")), ("enabled", Value::Bool(false))]])])
    };
    let (_, _, steps) = done(one(&fake, write()).await);
    assert_eq!(steps, ["change a-1: enabled false, max_activations 5", "change a-2: enabled false, max_activations 2"]);
    let shown: Vec<(i64, i64, bool)> = fake
        .rows("licenses")
        .iter()
        .map(|r| (r["id"].as_i64().unwrap(), r["max_activations"].as_i64().unwrap(), r["enabled"].as_bool().unwrap()))
        .collect();
    assert_eq!(shown, [(51, 5, false), (61, 3, true), (52, 2, false)], "the other order is left alone");
    let writes = fake.calls("PATCH") + fake.calls("POST");
    done(one(&fake, write()).await);
    done(fake.connector.resolve(&write()).await);
    assert_eq!(fake.calls("PATCH") + fake.calls("POST"), writes);
}

#[tokio::test]
async fn a_unit_that_is_not_there_stops_everything_before_it_begins() {
    let fake = Fake::start(ordered()).await;
    let row: &[(&str, Value)] = &[("unit", Value::text("z-1")), ("enabled", Value::Bool(false))];
    let write = amendment(&[appended(&[("a-2", KEYS[1])]), change(&[row]), ("customer", Value::text("2"))]);
    let (code, message) = rejected(one(&fake, write).await);
    assert_eq!(code, "license_not_found");
    assert!(message.contains("z-1"), "{message}");
    assert_eq!(fake.calls("PATCH") + fake.calls("POST"), 0);
    let missing = Write { id: Some("99".into()), ..amendment(&[change(&[])]) };
    assert_eq!(one(&fake, missing).await, Outcome::Missing);
}

#[tokio::test]
async fn an_amendment_that_stops_half_way_is_finished_later() {
    let no = Trick::Answer(403, r#"{"detail":"no"}"#);
    let fake = Fake::start(ordered().trick("PATCH /api/v1/licenses/", no)).await;
    let write = || {
        let row: &[(&str, Value)] = &[("unit", Value::text("a-2")), ("at-least", Value::Int(9))];
        amendment(&[("customer", Value::text("2")), appended(&[("a-2", KEYS[1])]), change(&[row])])
    };
    let outcome = one(&fake, write()).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "the order is not what it was: {outcome:?}");
    let (_, record, steps) = done(fake.connector.resolve(&write()).await);
    assert_eq!(steps, ["append: nothing is missing", "change a-2: max_activations 9"]);
    assert_eq!(record.fields["customer"], Value::text("2"));
    assert_eq!((fake.calls("create_order"), fake.calls("PATCH /api/v1/orders/")), (1, 1));
    assert_licenses(&fake, &["a-1", "a-2"]);
}

#[tokio::test]
async fn a_change_waits_for_an_update_of_the_same_license() {
    let fake = Fake::start(ordered()).await;
    let row: &[(&str, Value)] = &[("unit", Value::text("*")), ("enabled", Value::Bool(false)), ("at-most", Value::Int(1))];
    let update = write(LICENSE, Verb::Update, Some(51), &[("enabled", Value::Bool(false)), ("note", Value::text("x"))]);
    for outcome in fake.connector.apply(&[update, amendment(&[change(&[row])])]).await {
        done(outcome);
    }
    assert_eq!(fake.calls("/disable/"), 1, "the second to come sees what the first did");
}

#[tokio::test]
async fn the_vocabulary_is_what_the_company_sells() {
    let fake = Fake::start(world()).await;
    let words = fake.connector.vocabulary().await.unwrap().unwrap();
    assert_eq!((words.products[0].code.as_str(), words.policies[0].code.as_str()), ("orbit", "orbit_std"));
    assert_eq!(words.features[0].product.as_deref(), Some("orbit"));
    assert_eq!(fake.connector.calls().data, 0);
}
