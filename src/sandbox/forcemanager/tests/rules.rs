//! The numbered rules of the synchronisation, as far as a server can show that they can be kept, or that they were broken.
//! Those that concern only the client (A2's consent, S4, R1, R4, U4, M3) have nothing here.

use super::*;

const KINDS: [(&str, Object); 5] = [
    ("calendar", Object::Calendar),
    ("activities", Object::Activity),
    ("opportunities", Object::Opportunity),
    ("contacts", Object::Contact),
    ("accounts", Object::Account),
];

async fn sample() -> Sim {
    Sim::of(Options::default()).await
}

async fn all(sim: &Sim, resource: &str) -> Vec<Value> {
    sim.get_with(&format!("/{resource}"), &[("Count", "200")]).await.as_array().unwrap().clone()
}

fn writes(state: &Value) -> Vec<String> {
    let write = |call: &&Value| call["method"] != "GET" && call["path"] != "/login";
    let log = state["log"].as_array().unwrap().iter().filter(write);
    log.map(|call| format!("{} {}", call["method"].as_str().unwrap(), call["path"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn a1_reading_everything_writes_nothing_and_the_log_would_tell() {
    let sim = sample().await;
    let before: Vec<Vec<Value>> = KINDS.iter().map(|(_, object)| sim.it.world().rows(*object)).collect();
    for (resource, _) in KINDS {
        all(&sim, resource).await;
        sim.get(&format!("/{resource}/schema")).await;
    }
    let after: Vec<Vec<Value>> = KINDS.iter().map(|(_, object)| sim.it.world().rows(*object)).collect();
    assert_eq!(after, before);
    assert_eq!(writes(&sim.state().await), Vec::<String>::new());
    sim.call("DELETE", &format!("/accounts/{}", sim.any(Object::Account)), Value::Null).await;
    assert_eq!(writes(&sim.state().await).len(), 1);
}

#[tokio::test]
async fn a2_a_key_pair_opens_one_company_only() {
    let sim = sample().await;
    let keys = super::super::KeyPair { public: "another".into(), private: "one".into() };
    let other = Sim::of(Options { keys, ..Options::default() }).await;
    assert_ne!((&sim.it.url, &sim.it.public_key), (&other.it.url, &other.it.public_key));
    assert_eq!(sim.raw("POST", "/api/v4/login", &[], other.keys()).await.status, 401);
}

#[tokio::test]
async fn a3_everything_that_a_wipe_deletes_can_be_read_before() {
    let sim = sample().await;
    for (resource, object) in KINDS {
        let read = all(&sim, resource).await;
        assert_eq!(read.len(), sim.it.world().count(object), "{resource}");
        for (record, row) in read.iter().zip(sim.it.world().rows(object)) {
            for (name, value) in row.as_object().unwrap() {
                assert!(record.get(name).is_some(), "{resource}: {name} = {value} cannot be read");
            }
        }
    }
}

#[tokio::test]
async fn a4_children_can_go_first_and_what_is_not_a_customers_stays() {
    let sim = sample().await;
    sim.switch(json!({"account_delete": "refuse"})).await;
    let account = sim.any(Object::Account);
    assert_eq!(sim.call("DELETE", &format!("/accounts/{account}"), Value::Null).await.status, 400);
    for (resource, object) in KINDS {
        for record in all(&sim, resource).await {
            assert_eq!(sim.call("DELETE", &format!("/{resource}/{}", record["id"]), Value::Null).await.status, 200, "{resource}");
        }
        assert_eq!(sim.it.world().count(object), 0);
    }
    for (resource, object) in [("users", Object::User), ("branches", Object::Branch), ("accountTypes", Object::AccountType)] {
        let before = sim.it.world().count(object);
        assert_eq!(sim.call("DELETE", &format!("/{resource}/{}", sim.any(object)), Value::Null).await.status, 400, "{resource}");
        assert_eq!(sim.it.world().count(object), before);
    }
    assert_eq!(sim.get("/extrafields/accounts").await.as_array().unwrap().len(), 6, "definitions stay");
}

#[tokio::test]
async fn a5_a_deletion_repeated_after_a_crash_is_refused_and_changes_nothing() {
    let sim = sample().await;
    let path = format!("/activities/{}", sim.any(Object::Activity));
    sim.control("faults", json!({"on": "DELETE /api/v4/activities", "do": "reset_after"})).await;
    let request = sim.http.delete(format!("{}{path}", sim.it.api_url())).header("X-Session-Key", &sim.token);
    assert!(request.send().await.is_err(), "the answer is lost");
    let before = sim.get(&path).await;
    assert_eq!(before["deleted"], true);
    sim.pass(60).await;
    assert_eq!(sim.call("DELETE", &path, Value::Null).await.status, 400);
    assert_eq!(sim.get(&path).await, before);
}

#[tokio::test]
async fn a6_a_link_value_finds_its_record_and_nothing_keeps_it_from_being_there_twice() {
    let sim = Sim::start().await;
    let mut body = sim.account_body("Alder");
    body["extId"] = json!("001A0000012abcDQAQ");
    let first = sim.post("/accounts", body.clone()).await;
    assert_eq!(ids(&sim.find("accounts", "extId='001A0000012abcDQAQ'").await), [first]);
    let second = sim.post("/accounts", body.clone()).await;
    assert_eq!(ids(&sim.find("accounts", "extId='001A0000012abcDQAQ'").await), [first, second]);
    sim.switch(json!({"ext_id_unique": true})).await;
    assert_eq!(sim.call("POST", "/accounts", body.clone()).await.message(), "extId 001A0000012abcDQAQ is taken");
    for id in [first, second] {
        sim.call("DELETE", &format!("/accounts/{id}"), Value::Null).await;
    }
    sim.post("/accounts", body).await;
    for (path, body) in [("contacts", sim.contact_body(0)), ("products", json!({"model": "x"}))] {
        let mut body = body;
        body["extId"] = json!("x");
        let message = sim.call("POST", &format!("/{path}"), body).await.message();
        assert_eq!(message.contains("extId"), path == "products", "products have no link field: {message}");
    }
}

#[tokio::test]
async fn a7_the_counts_of_a_dry_run_can_be_had_by_reading() {
    let sim = sample().await;
    let state = sim.state().await;
    for (resource, object) in KINDS {
        let live = all(&sim, resource).await.iter().filter(|record| record["deleted"] == false).count();
        assert_eq!(json!(live), state["counts"][object.name()], "{resource}");
    }
}

#[tokio::test]
async fn s1_the_six_kinds_are_four_resources_and_one_calendar() {
    let sim = sample().await;
    for resource in ["accounts", "contacts", "opportunities", "activities"] {
        assert!(!all(&sim, resource).await.is_empty(), "{resource}");
    }
    let tasks = sim.find("calendar", "task=true").await.len();
    let events = sim.find("calendar", "task=false").await.len();
    assert_eq!((tasks, events), (3, 3));
}

#[tokio::test]
async fn s2_calls_are_counted_for_each_resource() {
    let sim = sample().await;
    all(&sim, "accounts").await;
    sim.get(&format!("/contacts/{}", sim.any(Object::Contact))).await;
    let calls = sim.state().await["calls"].clone();
    assert_eq!((&calls["GET /accounts"], &calls["GET /contacts/{id}"], &calls["GET /opportunities"]), (&json!(1), &json!(1), &Value::Null));
}

#[tokio::test]
async fn s3_a_child_without_its_company_is_refused() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    sim.call("DELETE", &format!("/accounts/{account}"), Value::Null).await;
    for parent in [account, 999_999] {
        for (path, body) in [
            ("/contacts", sim.contact_body(parent)),
            ("/opportunities", sim.opportunity_body(parent)),
            ("/activities", sim.activity_body(parent)),
            ("/calendar", sim.calendar_body(parent, true)),
        ] {
            let message = sim.call("POST", path, body).await.message();
            assert!(message.contains(&format!("there is no account {parent}")), "{path}: {message}");
        }
    }
}

#[tokio::test]
async fn r2_a_persons_edit_stays_until_somebody_overwrites_it() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    sim.control("edit", json!({"op": "update", "object": "account", "id": account, "fields": {"phone": "1", "city": "Bern"}})).await;
    sim.put(&format!("/accounts/{account}"), json!({"phone": "2"})).await;
    let shown = sim.get(&format!("/accounts/{account}")).await;
    assert_eq!((&shown["phone"], &shown["city"]), (&json!("2"), &json!("Bern")));
}

#[tokio::test]
async fn r3_what_a_person_creates_changes_and_deletes_can_be_found() {
    let sim = sample().await;
    sim.pass(3_000).await;
    let edit = |edit| sim.control("edit", edit);
    let [changed, gone] = [0, 1].map(|at| sim.it.world().rows(Object::Account)[at]["id"].clone());
    let made = edit(json!({"op": "create", "object": "account", "fields": {"name": "By hand"}})).await;
    edit(json!({"op": "update", "object": "account", "id": changed, "fields": {"city": "Bern"}})).await;
    edit(json!({"op": "delete", "object": "account", "id": gone})).await;
    for (date, id) in [("dateCreated", &made["id"]), ("dateUpdated", &changed), ("dateDeleted", &gone)] {
        let found = sim.find("accounts", &format!("{date} > '2026-01-05 07:00:00'")).await;
        assert_eq!(found.iter().map(|record| &record["id"]).collect::<Vec<_>>(), [id], "{date}");
    }
}

#[tokio::test]
async fn c1_the_last_write_wins_whatever_was_there() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    sim.control("edit", json!({"op": "update", "object": "account", "id": account, "fields": {"name": "Alder by hand"}})).await;
    sim.put(&format!("/accounts/{account}"), json!({"name": "Alder of Salesforce"})).await;
    assert_eq!(sim.get(&format!("/accounts/{account}")).await["name"], "Alder of Salesforce");
}

#[tokio::test]
async fn c2_each_record_has_its_own_date_of_change() {
    let sim = Sim::start().await;
    let (one, other) = (sim.account("Alder").await, sim.account("Birch").await);
    sim.pass(60).await;
    sim.put(&format!("/accounts/{one}"), json!({"city": "Bern"})).await;
    sim.pass(60).await;
    sim.put(&format!("/accounts/{other}"), json!({"city": "Bern"})).await;
    let (one, other) = (sim.get(&format!("/accounts/{one}")).await, sim.get(&format!("/accounts/{other}")).await);
    assert_eq!((&one["dateUpdated"], &other["dateUpdated"]), (&json!("2026-01-05T06:32:19.47Z"), &json!("2026-01-05T06:33:19.47Z")));
}

#[tokio::test]
async fn c3_what_was_deleted_by_hand_comes_back_only_under_a_new_id() {
    let sim = Sim::start().await;
    let mut body = sim.account_body("Alder");
    body["extId"] = json!("001A0000012abcDQAQ");
    let first = sim.post("/accounts", body.clone()).await;
    sim.control("edit", json!({"op": "delete", "object": "account", "id": first})).await;
    assert_eq!(sim.call("PUT", &format!("/accounts/{first}"), json!({"city": "Bern"})).await.status, 400);
    let second = sim.post("/accounts", body).await;
    let both = sim.find("accounts", "extId='001A0000012abcDQAQ'").await;
    assert_eq!(ids(&both), [first, second]);
    assert_eq!((both[0]["deleted"].clone(), both[1]["deleted"].clone()), (json!(true), json!(false)));
}

#[tokio::test]
async fn c4_equal_names_are_two_records() {
    let sim = Sim::start().await;
    sim.account("Alder").await;
    sim.control("edit", json!({"op": "create", "object": "account", "fields": {"name": "Alder"}})).await;
    assert_eq!(sim.find("accounts", "name='Alder'").await.len(), 2);
}

#[tokio::test]
async fn c5_writes_of_the_key_are_signed_by_the_integration_user() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    let path = format!("/accounts/{account}");
    sim.put(&path, json!({"city": "Bern"})).await;
    let shown = sim.get(&path).await;
    for name in ["salesRepIdCreated", "salesRepIdUpdated"] {
        assert_eq!(shown[name]["value"], "Lockstep Integration", "{name}");
    }
    assert_eq!(shown["salesRepIdDeleted"], Value::Null);
    let by = sim.user("sokafor");
    sim.control("edit", json!({"op": "update", "object": "account", "id": account, "fields": {"city": "Kiel"}, "by": by})).await;
    assert_eq!(sim.get(&path).await["salesRepIdUpdated"], json!({"id": by, "value": "Sam Okafor"}));
    sim.call("DELETE", &path, Value::Null).await;
    assert_eq!(sim.get(&path).await["salesRepIdDeleted"]["value"], "Lockstep Integration");
    assert_eq!(sim.state().await["integration_user"], sim.user("api"));
}

#[tokio::test]
async fn u1_users_are_neither_created_nor_changed_with_the_key() {
    let sim = Sim::start().await;
    let before = sim.it.world().rows(Object::User);
    let user = sim.user("dreyes");
    for (method, path, body) in [
        ("POST", "/users".to_owned(), json!({"name": "Ada"})),
        ("PUT", format!("/users/{user}"), json!({"isActive": false})),
        ("DELETE", format!("/users/{user}"), Value::Null),
    ] {
        assert_eq!(sim.call(method, &path, body).await.status, 400, "{method}");
    }
    assert_eq!(sim.it.world().rows(Object::User), before);
}

#[tokio::test]
async fn u2_users_have_the_names_of_the_simulated_orgs_users() {
    let sim = Sim::start().await;
    let names: Vec<String> = all(&sim, "users")
        .await
        .iter()
        .map(|user| format!("{} {}", user["name"].as_str().unwrap(), user["lastName"].as_str().unwrap()))
        .collect();
    assert_eq!(names, ["Lockstep Integration", "Dana Reyes", "Sam Okafor", "Noor Haddad"]);
    assert_eq!(all(&sim, "users").await[1]["nic"], "dreyes");
}

#[tokio::test]
async fn u3_equal_names_and_users_who_left_are_told_apart() {
    let sim = sample().await;
    let kim = sim.find("users", "name='Kim' AND lastName='Larsen'").await;
    assert_eq!((kim.len(), kim[0]["isActive"].clone()), (2, json!(true)));
    assert_eq!(sim.find("users", "isActive=false").await[0]["lastName"], "Quinn");
    sim.control("edit", json!({"op": "delete", "object": "user", "id": kim[0]["id"]})).await;
    assert_eq!(sim.get(&format!("/users/{}", kim[0]["id"])).await["deleted"], true);
}

#[tokio::test]
async fn u5_a_record_needs_a_responsible_user_who_exists() {
    let sim = Sim::start().await;
    let mut body = sim.account_body("Alder");
    body["salesRepId1"] = json!(999_999);
    assert!(sim.call("POST", "/accounts", body.clone()).await.message().contains("there is no user 999999"));
    body.as_object_mut().unwrap().remove("salesRepId1");
    assert_eq!(sim.call("POST", "/accounts", body).await.message(), "salesRepId1 is required");
}

#[tokio::test]
async fn u6_a_user_who_joins_later_is_added_to_the_list_and_changes_nobody() {
    let sim = Sim::start().await;
    let before = all(&sim, "users").await;
    sim.control("edit", json!({"op": "create", "object": "user", "fields": {"name": "Ada", "lastName": "Ito", "isActive": true}})).await;
    let after = all(&sim, "users").await;
    assert_eq!((&after[..before.len()], after.len()), (&before[..], before.len() + 1));
}

#[tokio::test]
async fn f1_standard_fields_stay_whatever_is_created() {
    let sim = Sim::start().await;
    let before = sim.get("/accounts/schema").await.as_array().unwrap().clone();
    sim.post("/extrafields/accounts", json!({"entity": "accounts", "fieldName": "name", "type": 1})).await;
    let after = sim.get("/accounts/schema").await.as_array().unwrap().clone();
    assert_eq!(after[..before.len()], before[..]);
    assert_eq!(after[before.len()]["name"], "Z_name");
}

#[tokio::test]
async fn f2_every_chosen_resource_takes_extra_fields() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    for (resource, body) in [
        ("accounts", sim.account_body("Birch")),
        ("contacts", sim.contact_body(account)),
        ("opportunities", sim.opportunity_body(account)),
        ("activities", sim.activity_body(account)),
        ("calendar", sim.calendar_body(account, true)),
    ] {
        sim.post(&format!("/extrafields/{resource}"), json!({"entity": resource, "fieldName": "Tier", "type": 1})).await;
        let mut body = body;
        body["Z_Tier"] = json!("Gold");
        let id = sim.post(&format!("/{resource}"), body).await;
        assert_eq!(sim.get(&format!("/{resource}/{id}")).await["Z_Tier"], "Gold", "{resource}");
    }
}

#[tokio::test]
async fn f3_a_name_is_plain_short_and_free() {
    let sim = Sim::start().await;
    let status = async |name: &str| {
        let body = json!({"entity": "accounts", "fieldName": name, "type": 1});
        sim.call("POST", "/extrafields/accounts", body).await.status
    };
    assert_eq!((status("Tier").await, status("ns__Tier").await), (200, 200));
    assert_eq!((status("Tier").await, status("TIER").await, status("Tier 2").await, status("Größe").await), (400, 400, 400, 400));
    assert_eq!((status(&"x".repeat(50)).await, status(&"y".repeat(51)).await), (200, 400));
    assert_eq!(sim.get(&format!("/accounts/{}", sim.account("Alder").await)).await["Z_ns__Tier"], Value::Null);
}

#[tokio::test]
async fn f4_each_kind_has_its_number_and_its_values() {
    let sim = sample().await;
    let path = format!("/accounts/{}", sim.any(Object::Account));
    let listed = sim.get("/extrafields/accounts").await;
    let numbers: Vec<i64> = listed.as_array().unwrap().iter().map(|field| field["type"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [1, 3, 4, 6, 7, 11], "the numbers are learnt from fields that exist");
    for (name, good, wrong) in [
        ("Z_Motto", json!("x"), json!(5)),
        ("Z_FirstVisit", json!("2018-06-19 10:42:12"), json!("19.06.2018")),
        ("Z_EmployeesNumber", json!(12.5), json!("12")),
        ("Z_Vip", json!(true), json!("yes")),
        ("Z_Tier", json!("Gold"), json!("Bronze")),
        ("Z_Interests", json!(["CAD"]), json!(["Chess"])),
    ] {
        sim.put(&path, json!({ name: good })).await;
        assert_eq!(sim.call("PUT", &path, json!({ name: wrong })).await.status, 400, "{name}");
    }
    assert_eq!(sim.get(&path).await["Z_FirstVisit"], "2018-06-19T10:42:12Z");
    let types = json!({"text": 21, "datetime": 22, "decimal": 23, "bit": 24, "list": 25, "multivalue": 26});
    sim.switch(json!({ "extra_field_types": types })).await;
    assert_eq!(sim.get("/extrafields/accounts").await[0]["type"], 21);
    let unknown = json!({"entity": "accounts", "fieldName": "Late", "type": 1});
    assert_eq!(sim.call("POST", "/extrafields/accounts", unknown).await.message(), "type is not a known one");
}

#[tokio::test]
async fn f5_a_definition_comes_before_the_records_that_use_it() {
    let sim = Sim::with(json!({"extra_field_delay_seconds": 30})).await;
    let path = format!("/accounts/{}", sim.account("Alder").await);
    let shows = async || {
        let schema = sim.get("/accounts/schema").await;
        schema.as_array().unwrap().iter().any(|field| field["name"] == "Z_Tier")
    };
    assert_eq!(sim.call("PUT", &path, json!({"Z_Tier": "Gold"})).await.status, 400);
    sim.post("/extrafields/accounts", json!({"entity": "accounts", "fieldName": "Tier", "type": 1})).await;
    assert!(!shows().await);
    assert_eq!(sim.call("PUT", &path, json!({"Z_Tier": "Gold"})).await.status, 400);
    sim.pass(30).await;
    assert!(shows().await);
    sim.put(&path, json!({"Z_Tier": "Gold"})).await;
}

#[tokio::test]
async fn f6_a_field_made_by_hand_is_listed_like_any_other() {
    let sim = Sim::start().await;
    let field = json!({"op": "add_field", "object": "contact", "fields": {"fieldName": "Hobby", "type": "text"}});
    sim.control("edit", field).await;
    assert_eq!(sim.get("/extrafields/contacts").await[0]["fieldName"], "Hobby");
    sim.control("edit", json!({"op": "remove_field", "object": "contact", "fields": {"fieldName": "Hobby"}})).await;
    assert_eq!(sim.get("/extrafields/contacts").await, json!([]));
}

#[tokio::test]
async fn f7_a_field_that_cannot_be_created_leaves_the_records_alone() {
    let sim = Sim::with(json!({"extra_fields_creatable": false})).await;
    let body = |name: &str| json!({"entity": "accounts", "fieldName": name, "type": 1});
    assert_eq!(sim.call("POST", "/extrafields/accounts", body("Tier")).await.message(), "extra fields cannot be created in this plan");
    sim.account("Alder").await;
    sim.switch(json!({"extra_fields_creatable": true, "extra_field_limit": 1})).await;
    sim.post("/extrafields/accounts", body("Tier")).await;
    assert!(sim.call("POST", "/extrafields/accounts", body("Other")).await.message().contains("no more extra fields"));
}

#[tokio::test]
async fn m1_a_quarter_of_an_hour_later_only_what_changed_is_found() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    sim.pass(900).await;
    let since = "2026-01-05 06:41:19";
    for date in ["dateCreated", "dateUpdated", "dateDeleted"] {
        assert!(sim.find("accounts", &format!("{date} > '{since}'")).await.is_empty(), "{date}");
    }
    sim.put(&format!("/accounts/{account}"), json!({"city": "Bern"})).await;
    assert_eq!(sim.find("accounts", &format!("dateUpdated > '{since}'")).await.len(), 1);
}

#[tokio::test]
async fn m2_each_write_is_in_the_log_once_with_its_status() {
    let sim = Sim::start().await;
    let account = sim.account("Alder").await;
    sim.put(&format!("/accounts/{account}"), json!({"city": "Bern"})).await;
    sim.call("POST", "/accounts", json!({})).await;
    sim.call("DELETE", &format!("/accounts/{account}"), Value::Null).await;
    let state = sim.state().await;
    let log: Vec<(String, u64)> = state["log"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| (call["method"].as_str().unwrap().to_owned(), call["status"].as_u64().unwrap()))
        .collect();
    let expected =
        [("POST", 200), ("POST", 200), ("PUT", 200), ("POST", 400), ("DELETE", 200)].map(|(method, status)| (method.to_owned(), status));
    assert_eq!(log, expected);
    assert_eq!((&state["counts"]["account"], &state["deleted"]["account"]), (&json!(0), &json!(1)));
}

#[tokio::test]
async fn m4_one_record_that_is_refused_does_not_stop_the_next() {
    let sim = Sim::start().await;
    let mut bad = sim.account_body("Bad");
    bad["vatNumber"] = json!(5);
    assert_eq!(sim.call("POST", "/accounts", bad).await.status, 400);
    sim.account("Good").await;
    assert_eq!(sim.it.world().count(Object::Account), 1);
}

#[tokio::test]
async fn m5_many_deletions_by_hand_are_seen_as_such() {
    let sim = Sim::start().await;
    let mut edits = Vec::new();
    for number in 0..30 {
        let id = sim.account(&format!("Company {number}")).await;
        edits.push(json!({"op": "delete", "object": "account", "id": id}));
    }
    sim.control("edit", Value::from(edits)).await;
    assert_eq!(sim.find("accounts", "deleted=true").await.len(), 30);
    assert_eq!(sim.find("accounts", "dateDeleted > '2026-01-05 06:00:00'").await.len(), 30);
}
