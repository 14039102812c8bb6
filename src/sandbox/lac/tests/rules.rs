//! What the server does in the rules of the synchronisation; each test bears its rule's letter and number.

use super::*;

#[tokio::test]
async fn f2_null_and_blank_are_both_told_and_lines_of_a_street_are_kept() {
    let sim = Sim::start().await;
    let body = json!({"name": "A", "street": "Hall 3\nGate 7", "city": "", "state": null, "phone_number": " 1 "});
    let shown = sim.create(body).await;
    assert_eq!((shown["city"].clone(), shown["state"].clone(), shown["country"].clone()), (json!(""), Value::Null, Value::Null));
    assert_eq!((shown["street"].clone(), shown["phone_number"].clone()), (json!("Hall 3\nGate 7"), json!("1")));
    sim.control("settings", json!({"crlf": true, "blank_as": "empty"})).await;
    let shown = sim.patch(&shown["id"], json!({"name": "A", "street": "Hall 3\nGate 7"})).await;
    assert_eq!((shown["street"].clone(), shown["state"].clone()), (json!("Hall 3\r\nGate 7"), json!("")));
}

#[tokio::test]
async fn f3_text_that_is_too_long_is_refused_and_cut_only_if_so_switched() {
    let sim = Sim::start().await;
    let long = json!({"name": "é".repeat(256)});
    assert_eq!(sim.status("POST", "/customers", long.clone()).await, 400);
    assert_eq!(sim.status("POST", "/customers", json!({"name": "é".repeat(255), "description": "x".repeat(9000)})).await, 200);
    sim.control("settings", json!({"too_long_cut": true})).await;
    assert_eq!(sim.create(long).await["name"].as_str().unwrap().chars().count(), 255);
}

#[tokio::test]
async fn f4_an_empty_name_is_refused_by_a_create_and_by_a_change() {
    let sim = Sim::start().await;
    let id = sim.create(json!({"name": "A"})).await["id"].clone();
    for empty in [json!({"name": ""}), json!({"name": "  "}), json!({"city": "Bern"})] {
        assert_eq!(sim.status("POST", "/customers", empty.clone()).await, 400, "{empty}");
        assert_eq!(sim.status("PATCH", &path(&id), empty).await, 400);
    }
}

#[tokio::test]
async fn l6_a_contact_sent_with_its_id_is_changed_and_without_it_made_anew() {
    let sim = Sim::start().await;
    let shown = sim.create(two_people()).await;
    let mut body = written(&shown);
    body["Contacts"][0]["email"] = json!("countess@alder.example");
    body["Contacts"][1].as_object_mut().unwrap().remove("id");
    sim.pass(60);
    let changed = sim.patch(&shown["id"], body.clone()).await;
    assert_eq!((changed["Contacts"][0]["id"].clone(), changed["Contacts"][1]["id"].clone()), (json!("5001"), json!("5003")));
    assert_eq!(changed["Contacts"][0]["update_time"], "2026-01-05 06:32:19");
    sim.control("settings", json!({"contact_without_id": "matched"})).await;
    let matched = sim.patch(&shown["id"], body).await;
    assert_eq!(matched["Contacts"], changed["Contacts"]);
    let other = sim.create(json!({"name": "B"})).await;
    let thief = json!({"name": "B", "Contacts": [{"id": "5001", "name": "Ada Lovelace"}]});
    assert_eq!(sim.status("PATCH", &path(&other["id"]), thief).await, 400, "another customer's contact");
}

#[tokio::test]
async fn l2_a_tag_in_the_create_is_found_at_once() {
    let sim = Sim::start().await;
    let shown = sim.create(two_people()).await;
    let found = sim.get("/customers?custom_tag_name=SF_Id&custom_tag_value=0015g00000AbcDeAAJ").await;
    assert_eq!(found, json!([shown]));
}

#[tokio::test]
async fn l3_a_person_changes_or_removes_a_tag_and_may_choose_only_defined_ones() {
    let sim = Sim::start().await;
    let id = sim.create(two_people()).await["id"].clone();
    let number: i64 = id.as_str().unwrap().parse().unwrap();
    sim.it.world().set_tag(number, SF_ID, "001000000000001AAA").unwrap();
    assert_eq!(sim.get(&path(&id)).await["CustomTags"][0]["value"], "001000000000001AAA");
    assert_eq!(sim.it.world().remove_tag(number, SF_ID), Ok(true));
    assert_eq!(sim.it.world().remove_tag(number, SF_ID), Ok(false));
    assert_eq!(sim.get(&path(&id)).await["CustomTags"], json!([]));
    assert_eq!(sim.it.world().set_tag(number, "SF_Tier__c", "gold").unwrap_err().status, 400);
}

#[tokio::test]
async fn l4_two_customers_may_carry_one_sf_id() {
    let sim = Sim::start().await;
    for _ in 0..2 {
        sim.create(two_people()).await;
    }
    assert_eq!(sim.found("custom_tag_name=SF_Id&custom_tag_value=0015g00000AbcDeAAJ").await.len(), 2);
}

#[tokio::test]
async fn l7_a_contact_without_an_address_and_l8_one_address_twice() {
    let sim = Sim::start().await;
    let people = json!([{"name": "Front Desk"}, {"name": "A", "email": "x@y.example"}, {"name": "B", "email": "x@y.example"}]);
    let shown = sim.create(json!({"name": "A", "Contacts": people})).await;
    let emails: Vec<&Value> = shown["Contacts"].as_array().unwrap().iter().map(|contact| &contact["email"]).collect();
    assert_eq!(emails, [&Value::Null, &json!("x@y.example"), &json!("x@y.example")]);
}

#[tokio::test]
async fn n4_a_person_may_leave_a_name_empty_where_a_call_may_not() {
    let sim = Sim::start().await;
    let id = sim.it.world().add_customer(&json!({"name": "A"})).unwrap();
    let contact = sim.it.world().add_contact(id, "Cher", "cher@a.example").unwrap();
    sim.it.world().update_contact(contact, &json!({"name": ""})).unwrap();
    assert_eq!(sim.get(&format!("/customers/{id}")).await["Contacts"][0]["name"], "");
    let body = json!({"name": "A", "Contacts": [{"id": contact, "name": ""}]});
    assert_eq!(sim.status("PATCH", &format!("/customers/{id}"), body.clone()).await, 400);
    sim.control("settings", json!({"contact_name_required": false})).await;
    assert_eq!(sim.status("PATCH", &format!("/customers/{id}"), body).await, 200);
}

// ---- tags ----

#[tokio::test]
async fn t1_and_t2_a_tag_is_a_name_and_a_text_in_either_spelling() {
    let sim = Sim::start().await;
    for name in ["SF_Currency__c", "SF_Currency_c", "sf_currency__c"] {
        sim.control("edit", json!({"op": "define_tag", "tag": name})).await;
    }
    let tags = json!([{"tag_name": "SF_Currency__c", "value": "EUR"}, {"tag_name": "SF_Currency_c", "value": "CHF"}]);
    let shown = sim.create(json!({"name": "A", "CustomTags": tags})).await;
    assert_eq!(shown["CustomTags"].as_array().unwrap().len(), 2);
    assert_eq!(sim.found("custom_tag_name=SF_Currency_c&custom_tag_value=chf").await, ["A"]);
    assert_eq!(sim.found("custom_tag_name=sf_currency__c&custom_tag_value=eur").await.len(), 0, "a tag's name is exact");
}

#[tokio::test]
async fn t3_an_undefined_tag_is_refused_created_or_ignored() {
    let sim = Sim::start().await;
    let body = || json!({"name": "A", "CustomTags": [{"tag_name": "SF_Tier__c", "value": "gold"}]});
    let got = sim.call("POST", "/customers", body()).await;
    assert_eq!(got.status, 400);
    assert!(got.text.contains("SF_Tier__c"));
    sim.control("settings", json!({"undefined_tag": "ignored"})).await;
    assert_eq!(sim.create(body()).await["CustomTags"], json!([]));
    sim.control("settings", json!({"undefined_tag": "created"})).await;
    assert_eq!(sim.create(body()).await["CustomTags"][0]["value"], "gold");
    sim.control("settings", json!({"undefined_tag": "refused"})).await;
    assert_eq!(sim.create(body()).await["CustomTags"][0]["value"], "gold", "defined by now");
}

#[tokio::test]
async fn t3_a_search_is_partial_and_ignores_case() {
    let sim = Sim::start().await;
    for (name, email, id) in [
        ("Alder Works", "ada@alder.example", "0015g00000AbcDeAAJ"),
        ("BALDERSON", "bo@balderson.example", "0015g00000aBCdeAAZ"),
        ("Cobalt", "cy@cobalt.example", "0015g00000Xy1DeAAJ"),
    ] {
        let people = json!([{"name": name, "email": email}]);
        sim.create(json!({"name": name, "Contacts": people, "CustomTags": [{"tag_name": SF_ID, "value": id}]})).await;
    }
    assert_eq!(sim.found("name=alder").await, ["Alder Works", "BALDERSON"]);
    assert_eq!(sim.found("email=ADA%40alder").await, ["Alder Works"]);
    assert_eq!(sim.found("custom_tag_name=SF_Id&custom_tag_value=0015g00000Abc").await, ["Alder Works", "BALDERSON"]);
    assert_eq!(sim.found("name=alder&email=bo%40").await, ["BALDERSON"]);
    for alone in ["custom_tag_name=SF_Id", "custom_tag_value=0015g", "updated_since=2026-01-01", "offset=-1", "offset=x"] {
        assert_eq!(sim.status("GET", &format!("/customers?{alone}"), Value::Null).await, 400, "{alone}");
    }
    assert_eq!(sim.found("custom_tag_name=nobody&custom_tag_value=1").await.len(), 0);
    sim.control("settings", json!({"unknown_tag_search_refused": true, "unknown_parameters_ignored": true})).await;
    assert_eq!(sim.status("GET", "/customers?custom_tag_name=nobody&custom_tag_value=1", Value::Null).await, 400);
    assert_eq!(sim.found("updated_since=2026-01-01").await.len(), 3, "there is no delta");
}

#[tokio::test]
async fn t4_a_tag_s_value_is_text_and_nothing_else() {
    let sim = Sim::start().await;
    for value in [json!(1), json!(true), json!({"a": 1})] {
        let body = json!({"name": "A", "CustomTags": [{"tag_name": SF_ID, "value": value}]});
        assert_eq!(sim.status("POST", "/customers", body).await, 400);
    }
    let shown = sim.create(json!({"name": "A", "CustomTags": [{"tag_name": SF_ID, "value": "true;1.5"}]})).await;
    assert_eq!(shown["CustomTags"][0]["value"], "true;1.5");
}

#[tokio::test]
async fn t6_a_definition_is_for_all_customers_and_leaves_all_at_once() {
    let sim = Sim::start().await;
    sim.control("edit", json!({"op": "define_tag", "tag": "SF_Tier__c", "display": "Tier"})).await;
    let ids: Vec<i64> = (0..2).map(|n| sim.it.world().add_customer(&json!({"name": n.to_string()})).unwrap()).collect();
    for id in &ids {
        sim.it.world().set_tag(*id, "SF_Tier__c", "gold").unwrap();
    }
    sim.control("edit", json!({"op": "undefine_tag", "tag": "SF_Tier__c"})).await;
    assert!(sim.it.world().customers().all(|row| row.tags.is_empty()));
}

// ---- what moves ----

#[tokio::test]
async fn d1_a_contact_s_or_a_tag_s_edit_need_not_move_the_customer_s_stamp() {
    let sim = Sim::start().await;
    let shown = sim.create(two_people()).await;
    let born = shown["update_time"].clone();
    let mut body = written(&shown);
    for (pointer, value) in [("/Contacts/0/name", "Ada King"), ("/CustomTags/0/value", "0015g00000XyzDeAAJ")] {
        sim.pass(60);
        *body.pointer_mut(pointer).unwrap() = json!(value);
        let changed = sim.patch(&shown["id"], body.clone()).await;
        assert_eq!((changed.pointer(pointer).unwrap(), &changed["update_time"]), (&json!(value), &born));
    }
    sim.control("settings", json!({"bump_on_contact_edit": true, "bump_on_tag_edit": true})).await;
    let number: i64 = shown["id"].as_str().unwrap().parse().unwrap();
    sim.it.world().set_tag(number, SF_ID, "x").unwrap();
    assert_ne!(sim.get(&path(&shown["id"])).await["update_time"], born);
}

#[tokio::test]
async fn d3_an_echo_moves_the_stamp_and_nothing_else() {
    let sim = Sim::start().await;
    let shown = sim.create(two_people()).await;
    sim.pass(60);
    let echo = sim.patch(&shown["id"], written(&shown)).await;
    assert_eq!(echo["update_time"], "2026-01-05 06:32:19");
    assert_eq!(written(&echo), written(&shown));
    sim.control("settings", json!({"bump_on_nothing": false})).await;
    sim.pass(60);
    assert_eq!(sim.patch(&shown["id"], written(&shown)).await, echo);
}

// ---- pages ----

#[tokio::test]
async fn x13_pages_are_opened_by_offset_and_end_with_an_empty_one() {
    let sim = Sim::start().await;
    for n in 0..5 {
        sim.it.world().add_customer(&json!({"name": format!("C{n}")})).unwrap();
    }
    sim.control("settings", json!({"page_size": 2})).await;
    let mut pages = Vec::new();
    for offset in [0, 2, 4, 5] {
        pages.push(sim.found(&format!("offset={offset}")).await);
    }
    assert_eq!(pages, [vec!["C0", "C1"], vec!["C2", "C3"], vec!["C4"], vec![]]);
    sim.control("settings", json!({"offset_ignored": true})).await;
    assert_eq!(sim.found("offset=4").await, ["C0", "C1"]);
    sim.control("settings", json!({"offset_ignored": false, "list_order": "-id"})).await;
    assert_eq!(sim.found("offset=3").await, ["C1", "C0"]);
    sim.control("settings", json!({"list_order": "shuffled", "page_size": 100})).await;
    let mut all = sim.found("").await;
    all.sort();
    assert_eq!(all, ["C0", "C1", "C2", "C3", "C4"]);
}

#[tokio::test]
async fn x13_a_deletion_between_two_pages_hides_a_row_that_is_still_there() {
    let sim = Sim::start().await;
    let ids: Vec<i64> = (0..4).map(|n| sim.it.world().add_customer(&json!({"name": format!("C{n}")})).unwrap()).collect();
    sim.control("settings", json!({"page_size": 2})).await;
    assert_eq!(sim.found("offset=0").await, ["C0", "C1"]);
    sim.it.world().delete_customer(ids[0]).unwrap();
    assert_eq!(sim.found("offset=2").await, ["C3"], "C2 was skipped");
    assert_eq!(sim.status("GET", &format!("/customers/{}", ids[2]), Value::Null).await, 200);
}

// ---- deletions ----

#[tokio::test]
async fn x1_a_deleted_customer_takes_its_contacts_along_and_is_404_from_then_on() {
    let sim = Sim::start().await;
    let id = sim.create(two_people()).await["id"].clone();
    let got = sim.call("DELETE", &path(&id), Value::Null).await;
    assert_eq!((got.status, got.text.as_str()), (204, ""));
    for method in ["GET", "DELETE"] {
        assert_eq!(sim.status(method, &path(&id), Value::Null).await, 404);
    }
    assert_eq!(sim.status("PATCH", &path(&id), two_people()).await, 404);
    assert!(sim.it.world().rows("contact").is_empty() && sim.it.world().rows("custom_tag").is_empty());
}

#[tokio::test]
async fn x1_deletion_may_answer_otherwise_or_not_exist() {
    let sim = Sim::start().await;
    for status in [200, 202] {
        sim.control("settings", json!({"delete_status": status})).await;
        let id = sim.create(json!({"name": "A"})).await["id"].clone();
        assert_eq!(sim.status("DELETE", &path(&id), Value::Null).await, status);
    }
    let id = sim.create(json!({"name": "A"})).await["id"].clone();
    for status in [405, 501] {
        sim.control("settings", json!({"customer_delete": false, "delete_off_status": status})).await;
        assert_eq!(sim.status("DELETE", &path(&id), Value::Null).await, status);
        assert_eq!(sim.status("GET", &path(&id), Value::Null).await, 200);
    }
}

#[tokio::test]
async fn x1_orders_of_a_deleted_customer_go_stay_or_prevent_it() {
    let sim = Sim::start().await;
    for (policy, status, orders, customers) in [("refuse", 409, 1, 1), ("orphan", 204, 1, 0), ("cascade", 204, 0, 0)] {
        sim.control("reset", json!({"products": true})).await;
        let token = sim.log_in().await;
        sim.control("settings", json!({"delete_with_orders": policy, "delete_refused_status": 409})).await;
        let id = sim.it.world().add_customer(&json!({"name": "A"})).unwrap();
        sim.it.world().issue(id, &json!({})).unwrap();
        assert_eq!(sim.send("DELETE", &format!("/customers/{id}"), Some(&token), None).await.status, status, "{policy}");
        let world = sim.it.world();
        assert_eq!((world.rows("license_order").len(), world.rows("customer").len()), (orders, customers), "{policy}");
    }
}

#[tokio::test]
async fn x2_a_contact_leaves_while_its_customer_stays() {
    let sim = Sim::start().await;
    let shown = sim.create(two_people()).await;
    sim.control("edit", json!({"op": "delete", "object": "contact", "id": 5001})).await;
    let left = sim.get(&path(&shown["id"])).await;
    assert_eq!(left["Contacts"], json!([shown["Contacts"][1]]));
    assert_eq!(sim.status("DELETE", "/contacts/5002", Value::Null).await, 404, "contacts have no page");
}

#[tokio::test]
async fn x4_a_customer_made_again_has_another_id_and_so_have_its_contacts() {
    let sim = Sim::start().await;
    let first = sim.create(two_people()).await;
    sim.control("edit", json!({"op": "delete", "object": "customer", "id": first["id"]})).await;
    assert_eq!(sim.get("/customers").await, json!([]));
    let second = sim.create(two_people()).await;
    assert_eq!((second["id"].clone(), second["Contacts"][0]["id"].clone()), (json!("102"), json!("5003")));
    assert_eq!(second["CustomTags"][0]["value"], first["CustomTags"][0]["value"]);
}

#[tokio::test]
async fn x8_a_contact_moves_by_being_removed_here_and_added_there() {
    let sim = Sim::start().await;
    let from = sim.create(two_people()).await;
    let to = sim.create(json!({"name": "B"})).await;
    let mut body = written(&from);
    let mut moved = body["Contacts"].as_array_mut().unwrap().remove(0);
    assert_eq!(sim.patch(&from["id"], body).await["Contacts"].as_array().unwrap().len(), 1);
    moved.as_object_mut().unwrap().remove("id");
    let there = sim.patch(&to["id"], json!({"name": "B", "Contacts": [moved]})).await;
    assert_eq!((there["Contacts"][0]["email"].clone(), there["Contacts"][0]["id"].clone()), (json!("ada@alder.example"), json!("5003")));
}

#[tokio::test]
async fn x9_a_blank_tag_is_still_there_and_an_absent_one_is_not() {
    let sim = Sim::start().await;
    let shown = sim.create(two_people()).await;
    let mut body = written(&shown);
    body["CustomTags"][0]["value"] = json!("");
    assert_eq!(sim.patch(&shown["id"], body.clone()).await["CustomTags"][0]["value"], "");
    body["CustomTags"] = json!([]);
    assert_eq!(sim.patch(&shown["id"], body).await["CustomTags"], json!([]));
}
