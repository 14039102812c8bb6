//! What must hold of contacts, which are written as a part of their customer.

#![allow(clippy::unwrap_used)]

use super::catalogue::{CONTACT, CUSTOMER};
use super::fake::{Fake, Trick, World, customer, person};
use super::stories::{done, failed, names, one, read, rejected, write};
use crate::connectors::{Fetched, Reader, Writer};
use crate::plan::{Outcome, Verb, Write};
use crate::record::Value;
use serde_json::json;

const FIELDS: [&str; 3] = ["name", "email", "customer"];

fn world() -> World {
    let people = json!([person(5, "Ada Lovelace", "ada@acme.example"), person(6, "Cher", "")]);
    World::default().with([
        customer(1, "Acme", &people, &[("vat_number", "CH1")]),
        customer(2, "Beta", &json!([person(7, "Bob", "bob@beta.example")]), &[]),
    ])
}

fn create(customer: &str, name: &str, email: Option<&str>) -> Write {
    let email = email.map_or(Value::Null, Value::text);
    let mut write =
        write(CONTACT, Verb::Create, None, &[("name", Value::text(name)), ("email", email), ("customer", Value::text(customer))]);
    write.read = names(&FIELDS);
    write
}

fn update(id: &str, pairs: &[(&str, Value)]) -> Write {
    Write { read: names(&FIELDS), ..write(CONTACT, Verb::Update, Some(id), pairs) }
}

fn delete(id: &str) -> Write {
    write(CONTACT, Verb::Delete, Some(id), &[])
}

fn people(fake: &Fake, customer: i64) -> Vec<(String, String)> {
    let row = fake.customer(customer).unwrap();
    let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
    row["Contacts"].as_array().unwrap().iter().map(|c| (text(&c["name"]), text(&c["email"]))).collect()
}

fn pair(name: &str, email: &str) -> (String, String) {
    (name.to_owned(), email.to_owned())
}

#[tokio::test]
async fn contacts_are_read_out_of_their_customers() {
    let fake = Fake::start(world()).await;
    let (records, end) = read(&fake, CONTACT, &FIELDS).await;
    let ids: Vec<&str> = records.iter().map(|r| r.id.as_str()).collect();
    assert_eq!((ids, end.complete), (vec!["1-5", "1-6", "2-7"], true));
    assert_eq!(records[1].fields["email"], Value::Null);
    assert_eq!(fake.connector.count(CONTACT).await.unwrap(), 3);
    fake.world().edit(2, |row| drop(row.insert("Contacts".into(), json!([{"name": "no id"}]))));
    let (records, end) = read(&fake, CONTACT, &FIELDS).await;
    assert!(records.len() == 2 && !end.complete, "one that cannot be named might be anybody");
}

#[tokio::test]
async fn x5_a_contact_is_gone_with_its_customer_or_from_it() {
    let fake = Fake::start(world()).await;
    let ids = ["1-5", "1-9", "2-7", "3-1", "x"].map(Into::into);
    let found = fake.connector.get_many(CONTACT, &names(&FIELDS), &ids).await.unwrap();
    let shown: Vec<String> = found
        .iter()
        .map(|f| match f {
            Fetched::Here(r) => format!("here {}", r.id),
            Fetched::Missing(id) => format!("missing {id}"),
            Fetched::Refused(id, _) => format!("refused {id}"),
            Fetched::Deleted(r) => format!("deleted {}", r.id),
        })
        .collect();
    assert_eq!(shown, ["refused x", "here 1-5", "missing 1-9", "here 2-7", "missing 3-1"]);
    assert_eq!(fake.calls("GET /customers/1?"), 1, "one reading for all contacts of a customer");
}

#[tokio::test]
async fn a_contact_is_added_beside_the_others() {
    let fake = Fake::start(world()).await;
    let (id, record) = done(one(&fake, create("1", "Eve", Some("eve@acme.example"))).await);
    assert!(id.starts_with("1-9") && record.fields["customer"] == Value::text("1"), "{id}");
    assert_eq!(people(&fake, 1), [pair("Ada Lovelace", "ada@acme.example"), pair("Cher", ""), pair("Eve", "eve@acme.example")]);
    assert_eq!(fake.customer(1).unwrap()["CustomTags"][0]["value"], "CH1");
    assert_eq!(fake.world().bodies[0]["Contacts"][0]["id"], "5", "the others are sent with their ids");
}

#[tokio::test]
async fn l5_one_that_is_there_with_address_and_name_is_taken() {
    let fake = Fake::start(world()).await;
    assert_eq!(done(one(&fake, create("1", "Ada  Lovelace", Some("ada@acme.example"))).await).0, "1-5");
    assert_eq!(done(one(&fake, create("1", "Cher", None)).await).0, "1-6");
    assert_eq!(fake.writes(), 0);
    let (id, _) = done(one(&fake, create("2", "Ada Lovelace", Some("ada@acme.example"))).await);
    assert!(id.starts_with("2-"), "never across customers: {id}");
}

#[tokio::test]
async fn l7_one_without_an_address_is_made_once() {
    let fake = Fake::start(world()).await;
    let (id, record) = done(one(&fake, create("2", "Prince", None)).await);
    assert_eq!(record.fields["email"], Value::Null);
    assert_eq!(done(fake.again().resolve(&create("2", "Prince", None)).await).0, id);
    assert_eq!(people(&fake, 2).len(), 2);
}

#[tokio::test]
async fn l8_two_of_one_name_and_address_are_not_chosen_from() {
    let twins = json!([person(5, "Ada", "ada@acme.example"), person(6, "Ada", "ADA@acme.example")]);
    let fake = Fake::start(World::default().with([customer(1, "Acme", &twins, &[])])).await;
    let (code, message) = rejected(one(&fake, create("1", "Ada", Some("ada@acme.example"))).await);
    assert!(code == "ambiguous" && message.contains("5, 6"), "{message}");
    assert_eq!(fake.writes(), 0);
}

#[tokio::test]
async fn n4_a_contact_without_a_name_or_a_customer_is_refused() {
    let fake = Fake::start(world()).await;
    assert_eq!(rejected(one(&fake, update("1-5", &[("name", Value::Null)])).await).0, "name-needed");
    let mut nobody = create("1", "x", None);
    nobody.fields.remove("name");
    assert_eq!(rejected(one(&fake, nobody).await).0, "name-needed");
    let mut nowhere = create("1", "x", None);
    nowhere.fields.insert("customer".into(), Value::Null);
    assert_eq!(rejected(one(&fake, nowhere).await).0, "no-customer");
    assert_eq!(rejected(one(&fake, update("15", &[("name", Value::text("x"))])).await).0, "no-id");
    assert!(fake.world().calls.is_empty());
    assert_eq!(failed(one(&fake, create("99", "x", None)).await).0, "customer-missing");
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_contact() {
    let fake = Fake::start(world().trick("PATCH", Trick::LoseAnswer)).await;
    let (id, _) = done(one(&fake, create("1", "Eve", Some("eve@acme.example"))).await);
    assert_eq!((people(&fake, 1).len(), fake.calls("PATCH")), (3, 1));
    assert_eq!(done(one(&fake, create("1", "Eve", Some("eve@acme.example"))).await).0, id);

    let fake = Fake::start(world().trick("PATCH", Trick::LoseRequest)).await;
    assert!(matches!(one(&fake, create("1", "Eve", None)).await, Outcome::Unknown { .. }), "a second person is worse than a late one");
    assert_eq!(fake.calls("PATCH"), 1);
    assert_eq!(failed(fake.connector.resolve(&create("1", "Eve", None)).await).0, "not-done");
}

#[tokio::test]
async fn new_contacts_of_one_customer_are_made_by_one_write_and_by_one_each_where_that_is_refused() {
    let batch =
        || [create("1", "Eve", Some("eve@acme.example")), create("2", "Zoe", None), create("1", "Mo", None), create("1", "Prince", None)];
    let fake = Fake::start(world()).await;
    let ids: Vec<String> = fake.connector.apply(&batch()).await.into_iter().map(|o| done(o).0).collect();
    assert!(ids[0].starts_with("1-9") && ids[1].starts_with("2-9") && ids[2].starts_with("1-9") && ids[0] != ids[2], "{ids:?}");
    assert_eq!((fake.calls("PATCH /customers/1"), fake.calls("PATCH /customers/2"), people(&fake, 1).len()), (1, 1, 5));
    let again: Vec<String> = fake.connector.apply(&batch()).await.into_iter().map(|o| done(o).0).collect();
    assert_eq!((again, fake.writes()), (ids, 2));

    let fake = Fake::start(world().trick("PATCH /customers/1", Trick::Answer(400, "Mo is no name"))).await;
    assert!(fake.connector.apply(&batch()).await.iter().all(|o| matches!(o, Outcome::Done { .. })));
    assert_eq!((fake.calls("PATCH /customers/1"), people(&fake, 1).len()), (4, 5));

    let fake = Fake::start(world().trick("PATCH /customers/1", Trick::LoseRequest)).await;
    let unknown = fake.connector.apply(&batch()).await.iter().filter(|o| matches!(o, Outcome::Unknown { .. })).count();
    assert_eq!((unknown, people(&fake, 1).len()), (3, 2));
    let fake = Fake::start(world().trick("PATCH /customers/1", Trick::LoseAnswer)).await;
    assert!(fake.connector.apply(&batch()).await.iter().all(|o| matches!(o, Outcome::Done { .. })));
    assert_eq!((fake.calls("PATCH /customers/1"), people(&fake, 1).len()), (1, 5));

    // Twins are not told apart: one is made, the other is the same.
    let fake = Fake::start(world()).await;
    let twins = [create("1", "Eve", None), create("1", "Eve", None)];
    let ids: Vec<String> = fake.connector.apply(&twins).await.into_iter().map(|o| done(o).0).collect();
    assert_eq!((ids[0].clone(), people(&fake, 1).len()), (ids[1].clone(), 3));
}

#[tokio::test]
async fn l6_a_new_address_is_a_change_of_the_same_contact() {
    let fake = Fake::start(world()).await;
    let (id, record) =
        done(one(&fake, update("1-5", &[("email", Value::text("ada@new.example")), ("name", Value::text("Ada King"))])).await);
    assert_eq!((id.as_str(), &record.fields["email"]), ("1-5", &Value::text("ada@new.example")));
    assert_eq!(people(&fake, 1), [pair("Ada King", "ada@new.example"), pair("Cher", "")]);
    done(one(&fake, update("1-5", &[("email", Value::text("ada@new.example"))])).await);
    assert_eq!(fake.writes(), 1, "what is so already is not sent");
    done(one(&fake, update("1-5", &[("email", Value::Null)])).await);
    assert_eq!(people(&fake, 1)[0], pair("Ada King", ""));
}

#[tokio::test]
async fn a_lost_answer_to_a_change_of_a_contact_is_looked_up() {
    let king = || update("1-5", &[("name", Value::text("Ada King"))]);
    for (trick, sent) in [(Trick::LoseAnswer, 1), (Trick::LoseRequest, 2)] {
        let fake = Fake::start(world().trick("PATCH", trick)).await;
        done(one(&fake, king()).await);
        assert_eq!((fake.calls("PATCH"), people(&fake, 1)[0].clone()), (sent, pair("Ada King", "ada@acme.example")));
        done(fake.connector.resolve(&king()).await);
        assert_eq!(failed(fake.connector.resolve(&update("1-5", &[("name", Value::text("X"))])).await).0, "not-done");
    }
}

#[tokio::test]
async fn a_contact_that_moved_since_it_was_read_is_not_overwritten() {
    let fake = Fake::start(world()).await;
    read(&fake, CONTACT, &FIELDS).await;
    fake.world().edit(1, |row| row["Contacts"][0]["name"] = json!("Ada Byron"));
    assert_eq!(failed(one(&fake, update("1-5", &[("name", Value::text("Ada King"))])).await).0, "moved-meanwhile");
    assert_eq!(failed(one(&fake, create("1", "Eve", None)).await).0, "moved-meanwhile");
    assert_eq!(fake.writes(), 0);
    // An edit of the customer itself is nothing to its contacts, and is kept.
    read(&fake, CONTACT, &FIELDS).await;
    fake.world().edit(1, |row| drop(row.insert("city".into(), "Basel".into())));
    done(one(&fake, update("1-5", &[("name", Value::text("Ada King"))])).await);
    assert_eq!(fake.customer(1).unwrap()["city"], "Basel");
}

#[tokio::test]
async fn writes_to_customer_and_contacts_of_one_batch_do_not_stop_each_other() {
    let fake = Fake::start(world()).await;
    read(&fake, CUSTOMER, &["name", "city", "tag.SF_Id"]).await;
    read(&fake, CONTACT, &FIELDS).await;
    let city = Write { read: names(&["city"]), ..write(CUSTOMER, Verb::Update, Some("1"), &[("city", Value::text("Bern"))]) };
    let batch = [
        create("1", "Eve", Some("eve@acme.example")),
        city,
        update("1-5", &[("name", Value::text("Ada King"))]),
        delete("1-6"),
        create("1", "Mo", None),
    ];
    for outcome in fake.connector.apply(&batch).await {
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    }
    assert_eq!(people(&fake, 1), [pair("Ada King", "ada@acme.example"), pair("Eve", "eve@acme.example"), pair("Mo", "")]);
}

#[tokio::test]
async fn x1_a_contact_is_taken_out_of_its_customer() {
    let fake = Fake::start(world()).await;
    assert!(matches!(one(&fake, delete("1-5")).await, Outcome::Done { .. }));
    assert_eq!(people(&fake, 1), [pair("Cher", "")]);
    for gone in ["1-5", "99-1"] {
        assert!(matches!(one(&fake, delete(gone)).await, Outcome::Done { .. }), "{gone}");
        assert!(matches!(fake.connector.resolve(&delete(gone)).await, Outcome::Done { .. }), "{gone}");
    }
    assert_eq!(fake.writes(), 1);
    assert_eq!(failed(fake.connector.resolve(&delete("1-6")).await).0, "not-done");
    for trick in [Trick::LoseAnswer, Trick::LoseRequest] {
        let fake = Fake::start(world().trick("PATCH", trick)).await;
        assert!(matches!(one(&fake, delete("1-5")).await, Outcome::Done { .. }));
        assert_eq!(people(&fake, 1).len(), 1);
    }
}

#[tokio::test]
async fn a_service_that_keeps_what_was_left_out_is_found_out() {
    let fake = Fake::start(World { keeps_contacts: true, ..world() }).await;
    assert_eq!(rejected(one(&fake, delete("1-5")).await).0, "contact-not-removed");
    done(one(&fake, update("2-7", &[("name", Value::text("Rob"))])).await);
}

#[tokio::test]
async fn a_service_that_shows_nothing_of_what_is_empty_is_worked_with() {
    let world = World { omits_empty: true, ..World::default() }.with([customer(1, "Acme", &json!([]), &[])]);
    let fake = Fake::start(world).await;
    let (records, end) = read(&fake, CONTACT, &FIELDS).await;
    assert!(records.is_empty() && !end.complete, "nobody ever showed a contact");
    assert!(fake.connector.get_many(CONTACT, &names(&FIELDS), &["1-5".into()]).await.is_err());
    let city = Write { read: names(&["city"]), ..write(CUSTOMER, Verb::Update, Some("1"), &[("city", Value::text("Bern"))]) };
    done(one(&fake, city).await);
    assert_eq!(fake.world().bodies[0], json!({"name": "Acme", "city": "Bern"}));
    let (id, _) = done(one(&fake, create("1", "Eve", None)).await);
    let (records, end) = read(&fake, CONTACT, &FIELDS).await;
    assert_eq!((records.len(), records[0].id.as_str(), end.complete), (1, id.as_str(), true));
    assert!(matches!(one(&fake, delete(&id)).await, Outcome::Done { .. }));
    let found = fake.connector.get_many(CONTACT, &names(&FIELDS), &[id.as_str().into()]).await.unwrap();
    assert!(matches!(&found[..], [Fetched::Missing(_)]), "by now it is known that they are shown: {found:?}");
}

#[tokio::test]
async fn x8_a_contact_goes_to_another_customer_and_has_another_id_there() {
    let fake = Fake::start(world()).await;
    let (id, record) = done(one(&fake, update("1-5", &[("customer", Value::text("2")), ("email", Value::text("ada@beta.example"))])).await);
    assert!(id.starts_with("2-9"), "{id}");
    assert_eq!((&record.fields["customer"], &record.fields["name"]), (&Value::text("2"), &Value::text("Ada Lovelace")));
    assert_eq!(people(&fake, 1), [pair("Cher", "")]);
    assert_eq!(people(&fake, 2), [pair("Bob", "bob@beta.example"), pair("Ada Lovelace", "ada@beta.example")]);
    let stay = update("1-6", &[("customer", Value::text("1"))]);
    assert_eq!(done(one(&fake, stay).await).0, "1-6");
    assert_eq!(fake.writes(), 2);
}

#[tokio::test]
async fn x8_a_move_that_breaks_off_leaves_one_too_many_and_is_ended_later() {
    let go = || update("1-5", &[("customer", Value::text("2"))]);
    let mut world = world();
    for _ in 0..3 {
        world = world.trick("PATCH /customers/1", Trick::LoseRequest);
    }
    let fake = Fake::start(world).await;
    assert!(matches!(one(&fake, go()).await, Outcome::Unknown { .. }));
    assert_eq!((people(&fake, 1).len(), people(&fake, 2).len()), (2, 2), "one too many, never none");
    let (id, _) = done(fake.again().resolve(&go()).await);
    assert!(id.starts_with("2-9"), "{id}");
    assert_eq!((people(&fake, 1).len(), people(&fake, 2).len()), (1, 2));
    assert_eq!(fake.again().resolve(&go()).await, Outcome::Missing, "where it went, its address tells");

    let fake = Fake::start(self::world().trick("PATCH /customers/2", Trick::LoseRequest)).await;
    assert!(matches!(one(&fake, go()).await, Outcome::Unknown { .. }));
    assert_eq!(failed(fake.connector.resolve(&go()).await).0, "not-done");
    assert_eq!(failed(one(&fake, update("1-5", &[("customer", Value::text("99"))])).await).0, "customer-missing");
    assert_eq!(people(&fake, 1).len(), 2);
}
