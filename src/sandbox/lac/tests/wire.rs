//! Login, shapes and errors, what a body may hold; faults and control.

use super::*;

#[tokio::test]
async fn a_login_gives_forty_hexadecimal_characters_and_wrong_ones_a_400() {
    let sim = Sim::start().await;
    assert!(sim.token.len() == 40 && sim.token.chars().all(|c| c.is_ascii_hexdigit()));
    let (username, password) = (sim.it.username.clone(), sim.it.password.clone());
    for wrong in [
        json!({"username": username, "password": "no"}),
        json!({"username": username}),
        json!({"username": username, "password": password, "realm": "x"}),
        json!([]),
    ] {
        let got = sim.send("POST", "/auth/tokens", None, Some(wrong)).await;
        assert_eq!(got.status, 400);
        assert!(!got.text.contains(&password), "{}", got.text);
    }
    assert_eq!(sim.send("GET", "/auth/tokens", None, None).await.status, 405);
}

#[tokio::test]
async fn an_expired_token_is_a_403_on_every_page() {
    let sim = Sim::start().await;
    sim.pass(3 * 3600 - 1);
    assert_eq!(sim.status("GET", "/customers", Value::Null).await, 200);
    sim.pass(1);
    for page in ["/customers", "/license-orders", "/licenses", "/products/1", "/activation-counters", "/nothing"] {
        assert_eq!(sim.status("GET", page, Value::Null).await, 403, "{page}");
    }
    assert_eq!(sim.send("GET", "/customers", None, None).await.status, 403);
    let token = sim.log_in().await;
    assert_eq!(sim.send("GET", "/customers", Some(&token), None).await.status, 200);
    sim.control("edit", json!({"op": "expire_tokens"})).await;
    assert_eq!(sim.send("GET", "/customers", Some(&token), None).await.status, 403);
    sim.control("settings", json!({"token_status": 401, "token_seconds": 60})).await;
    assert_eq!(sim.send("GET", "/customers", Some(&token), None).await.status, 401);
    let token = sim.log_in().await;
    sim.pass(60);
    assert_eq!(sim.send("GET", "/customers", Some(&token), None).await.status, 401);
}

#[tokio::test]
async fn a_missing_role_is_a_403_that_no_login_heals() {
    let sim = Sim::start().await;
    sim.control("settings", json!({"denied": ["activation-counters", "customers:write"]})).await;
    let token = sim.log_in().await;
    assert_eq!(sim.send("GET", "/activation-counters", Some(&token), None).await.status, 403);
    assert_eq!(sim.send("GET", "/customers", Some(&token), None).await.status, 200);
    assert_eq!(sim.send("POST", "/customers", Some(&token), Some(json!({"name": "A"}))).await.status, 403);
}

#[tokio::test]
async fn a_customer_is_told_whole_with_numbers_as_text_and_stamps_without_a_zone() {
    let sim = Sim::start().await;
    let shown = sim.create(two_people()).await;
    let stamp = "2026-01-05 06:31:19";
    assert_eq!(shown, sim.get(&path(&shown["id"])).await);
    assert_eq!(shown, sim.get("/customers").await[0]);
    let contact = |id: &str, name: &str, email: &str| json!({"id": id, "name": name, "email": email, "customer_id": "101", "creation_time": stamp, "update_time": stamp});
    assert_eq!(
        shown,
        json!({
            "id": "101", "name": "Alder Works", "city": "Bern", "street": null, "zip_code": null, "state": null, "country": null,
            "phone_number": null, "fax_number": null, "description": null, "creation_time": stamp, "update_time": stamp,
            "Contacts": [contact("5001", "Ada Lovelace", "ada@alder.example"), contact("5002", "Bea Ito", "bea@alder.example")],
            "CustomTags": [{"tag_name": "SF_Id", "value": "0015g00000AbcDeAAJ", "creation_time": stamp, "update_time": stamp}],
        })
    );
    sim.control("settings", json!({"numbers_as_strings": false, "blank_as": "missing", "extra_fields": true, "utc_offset_minutes": 60}))
        .await;
    let told = sim.get("/customers/101").await;
    assert_eq!((told["id"].clone(), told["Contacts"][0]["customer_id"].clone()), (json!(101), json!(101)));
    assert!(told.get("street").is_none() && told.get("Meta").is_some());
    assert_eq!(told["update_time"], "2026-01-05 07:31:19");
}

#[tokio::test]
async fn errors_come_in_every_shape_a_proxy_or_a_page_may_have() {
    let sim = Sim::start().await;
    for (shape, body) in [
        ("message", r#"{"message":"customer not found"}"#),
        ("code", r#"{"code":1703,"message":"customer not found"}"#),
        ("text", "customer not found"),
        ("empty", ""),
    ] {
        sim.control("settings", json!({"error_shape": shape})).await;
        let got = sim.call("GET", "/customers/9", Value::Null).await;
        assert_eq!((got.status, got.text.as_str()), (404, body));
    }
    sim.control("settings", json!({"error_shape": "html"})).await;
    assert!(sim.call("GET", "/customers/9", Value::Null).await.text.starts_with("<html>"));
}

#[tokio::test]
async fn unknown_pages_are_404_and_known_ones_by_another_method_405() {
    let sim = Sim::start().await;
    for (method, page, status) in [
        ("GET", "/nothing", 404),
        ("GET", "/customers/x", 404),
        ("GET", "/customers/1/contacts", 404),
        ("PUT", "/customers/1", 405),
        ("DELETE", "/license-orders/A", 405),
        ("GET", "/products", 404),
        ("GET", "/products/1", 404),
    ] {
        assert_eq!(sim.status(method, page, Value::Null).await, status, "{method} {page}");
    }
}

#[tokio::test]
async fn the_pages_may_lie_below_a_path() {
    let sim = Sim::start_as(Options { base_path: "/vendor".into(), ..Options::default() }).await;
    assert!(sim.it.url.ends_with("/vendor"));
    assert_eq!(sim.get("/customers").await, json!([]));
    let root = sim.it.url.trim_end_matches("/vendor");
    let got = sim.http.get(format!("{root}/customers")).bearer_auth(&sim.token).send().await.unwrap();
    assert_eq!(got.status(), 404);
    assert_eq!(sim.http.get(format!("{root}/__control/state")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn bodies_are_read_strictly() {
    let sim = Sim::start().await;
    let id = sim.create(two_people()).await["id"].clone();
    for wrong in [
        json!({}),
        json!({"name": null}),
        json!({"name": 7}),
        json!({"name": "A", "phone": "1"}),
        json!({"name": "A", "phone_number": 1}),
        json!({"name": "A", "id": "101"}),
        json!({"name": "A", "update_time": "2026-01-05 06:31:19"}),
        json!({"name": "A", "contacts": []}),
        json!({"name": "A", "Contacts": {}}),
        json!({"name": "A", "Contacts": [{"email": "a@b.example"}]}),
        json!({"name": "A", "Contacts": [{"name": "x", "email": "nobody"}]}),
        json!({"name": "A", "Contacts": [{"name": "x", "phone": "1"}]}),
        json!({"name": "A", "Contacts": [{"name": "x", "id": "1"}]}),
        json!({"name": "A", "CustomTags": [{"value": "1"}]}),
        json!({"name": "A", "CustomTags": [{"tag_name": SF_ID, "value": 1}]}),
        json!({"name": "A", "CustomTags": [{"tag_name": SF_ID, "value": "1"}, {"tag_name": SF_ID, "value": "2"}]}),
        json!([]),
    ] {
        for (method, page) in [("POST", "/customers".to_owned()), ("PATCH", path(&id))] {
            let got = sim.call(method, &page, wrong.clone()).await;
            assert_eq!(got.status, 400, "{method} {wrong}: {}", got.text);
            assert!(got.json()["message"].is_string());
        }
    }
    assert_eq!(sim.get("/customers").await.as_array().unwrap().len(), 1);
    let plain = sim.http.post(format!("{}/customers", sim.it.url)).bearer_auth(&sim.token);
    assert_eq!(plain.body("{\"name\":\"A\"}").send().await.unwrap().status(), 400, "without a content type");
    sim.control("settings", json!({"unknown_fields_ignored": true, "read_only_ignored": true})).await;
    let lenient = sim.patch(&id, json!({"name": "A", "id": "7", "colour": "red"})).await;
    assert_eq!((lenient["id"].clone(), lenient.get("colour")), (id, None));
}

#[tokio::test]
async fn a_change_without_a_field_or_an_array_clears_or_keeps_it() {
    let sim = Sim::start().await;
    let id = sim.create(two_people()).await["id"].clone();
    sim.control("settings", json!({"patch_without_field": "keep", "patch_without_array": "keep"})).await;
    let kept = sim.patch(&id, json!({"name": "B"})).await;
    assert_eq!((kept["city"].clone(), kept["Contacts"].as_array().unwrap().len()), (json!("Bern"), 2));
    sim.control("settings", json!({"patch_without_field": "clear", "patch_without_array": "empty"})).await;
    let whole = sim.patch(&id, written(&kept)).await;
    assert_eq!(whole, kept, "a whole body loses nothing");
    let cleared = sim.patch(&id, json!({"name": "B"})).await;
    assert_eq!((cleared["city"].clone(), cleared["Contacts"].clone(), cleared["CustomTags"].clone()), (Value::Null, json!([]), json!([])));
}

#[tokio::test]
async fn names_may_be_equal_unless_switched() {
    let sim = Sim::start().await;
    let first = sim.create(json!({"name": "Twin"})).await;
    let second = sim.create(json!({"name": "Twin"})).await;
    assert_ne!(first["id"], second["id"], "a repeated create makes a second customer");
    sim.control("settings", json!({"name_unique": true})).await;
    let got = sim.call("POST", "/customers", json!({"name": "TWIN"})).await;
    assert_eq!(got.status, 400);
    assert_eq!(sim.status("POST", "/customers", json!({"name": "Third"})).await, 200);
}

/// A SOAP call; its result code and the rest of the answer.
async fn soap(sim: &Sim, function: &str, arguments: &[&str]) -> (String, String) {
    let inside: String = arguments.iter().map(|argument| format!("<a>{argument}</a>")).collect();
    let body = format!("<Envelope><Body><{function}>{inside}</{function}></Body></Envelope>");
    let url = format!("{}/soap/type/vendor/version/4", sim.it.url);
    let text = sim.http.post(url).header("Content-Type", "text/xml").body(body).send().await.unwrap().text().await.unwrap();
    let (_, from) = text.split_once("<result_code>").unwrap();
    let (code, rest) = from.split_once("</result_code>").unwrap();
    (code.to_owned(), rest.to_owned())
}

#[tokio::test]
async fn soap_deletes_a_customer_and_lists_the_tags() {
    let sim = Sim::start().await;
    let (code, text) = soap(&sim, "Login", &[&sim.it.username, &sim.it.password]).await;
    assert_eq!(code, "0");
    let token = text.strip_prefix("<result_string>").unwrap()[..40].to_owned();
    assert_eq!(soap(&sim, "Login", &[&sim.it.username, "no"]).await.0, "10");
    assert_eq!(soap(&sim, "GetCustomTagNameList", &[&sim.token]).await.0, "30", "a token of the other interface");
    let (_, tags) = soap(&sim, "GetCustomTagNameList", &[&token]).await;
    assert!(tags.contains("<item><name>SF_Id</name><value>Salesforce Id</value></item>"), "{tags}");
    let id = sim.create(two_people()).await["id"].as_str().unwrap().to_owned();
    sim.it.world().issue(id.parse().unwrap(), &json!({})).unwrap();
    sim.control("settings", json!({"delete_with_orders": "refuse"})).await;
    assert_eq!(soap(&sim, "DeleteCustomer", &[&token, &id]).await.0, "103");
    sim.control("settings", json!({"delete_with_orders": "cascade"})).await;
    assert_eq!(soap(&sim, "DeleteCustomer", &[&token, &id]).await.0, "0");
    assert_eq!(soap(&sim, "DeleteCustomer", &[&token, &id]).await.0, "105");
    assert_eq!(sim.status("GET", &format!("/customers/{id}"), Value::Null).await, 404);
    assert_eq!(soap(&sim, "Logout", &[&token]).await.0, "0");
    assert_eq!(soap(&sim, "Logout", &[&token]).await.0, "30");
    sim.control("settings", json!({"soap": false})).await;
    assert_eq!(sim.status("POST", "/soap/type/vendor/version/4", json!({})).await, 404);
}

#[tokio::test]
async fn a_lost_answer_to_a_create_leaves_a_customer_that_its_tag_finds() {
    let sim = Sim::start().await;
    sim.control("faults", json!({"on": "POST /customers", "do": "reset_after"})).await;
    let url = format!("{}/customers", sim.it.url);
    assert!(sim.http.post(url).bearer_auth(&sim.token).json(&two_people()).send().await.is_err());
    assert_eq!(sim.found("custom_tag_name=SF_Id&custom_tag_value=0015g00000AbcDeAAJ").await, ["Alder Works"]);
}

#[tokio::test]
async fn control_sees_edits_and_resets_everything() {
    let sim = Sim::start().await;
    let edits = json!([
        {"op": "create", "object": "customer", "fields": {"name": "A", "Contacts": [{"name": "Ada"}]}},
        {"op": "create", "object": "contact", "fields": {"customer_id": 101, "name": "Bea", "email": "b@a.example"}},
        {"op": "update", "object": "customer", "id": 101, "fields": {"city": "Bern"}},
        {"op": "update", "object": "contact", "id": 5002, "fields": {"name": "Beate"}},
        {"op": "set_tag", "customer": 101, "tag": "SF_Id", "value": "001"},
        {"op": "create", "object": "license_order", "fields": {"customer_id": 101, "activations_allowed": 3}},
    ]);
    let done = sim.control("edit", edits).await;
    assert_eq!((done[1]["id"].clone(), done[2]["city"].clone(), done[3]["name"].clone()), (json!(5002), json!("Bern"), json!("Beate")));
    assert_eq!((done[4]["CustomTags"][0]["value"].clone(), done[5]["activations_allowed"].clone()), (json!("001"), json!(3)));
    assert_eq!(done[2]["Contacts"].as_array().unwrap().len(), 2, "what a person does not touch stays");
    let key = done[5]["activation_key"].clone();
    let more = json!([
        {"op": "update", "object": "license_order", "id": key, "fields": {"enabled": false}},
        {"op": "delete", "object": "license_order", "id": key},
        {"op": "remove_tag", "customer": 101, "tag": "SF_Id"},
    ]);
    assert_eq!(sim.control("edit", more).await[0]["enabled"], false);
    let seen = sim.send("GET", "/__control/state?object=contact&id=5002", None, None).await.json();
    assert_eq!((seen["count"].clone(), seen["rows"][0]["name"].clone()), (json!(2), json!("Beate")));
    sim.get("/customers/101").await;
    let state = sim.send("GET", "/__control/state", None, None).await.json();
    assert_eq!((state["counts"]["customer"].clone(), state["calls"]["GET /customers/{id}"].clone()), (json!(1), json!(1)));
    for wrong in [
        json!({"op": "explode"}),
        json!({"op": "create", "object": "planet", "fields": {}}),
        json!({"op": "create", "object": "customer", "fields": {"name": "A", "colour": 1}}),
        json!({"op": "update", "object": "contact", "id": 5002, "fields": {"phone": "1"}}),
        json!({"op": "delete", "object": "customer", "id": 9}),
        json!({"op": "set_tag", "customer": 101, "tag": "nobody", "value": "1"}),
    ] {
        assert_eq!(sim.send("POST", "/__control/edit", None, Some(wrong.clone())).await.status, 400, "{wrong}");
    }
    assert_eq!(sim.send("GET", "/__control/state?object=planet", None, None).await.status, 400);
    sim.control("settings", json!({"page_size": 1})).await;
    let state = sim.control("reset", json!({"products": true})).await;
    assert_eq!(
        (state["counts"]["customer"].clone(), state["counts"]["product"].clone(), state["calls_total"].clone()),
        (json!(0), json!(3), json!(0))
    );
    assert_eq!(sim.it.world().settings.page_size, 100);
    assert_eq!(sim.status("GET", "/customers", Value::Null).await, 403, "the tokens are gone too");
}

#[tokio::test]
async fn stopping_ends_the_server() {
    let sim = Sim::start().await;
    let url = format!("{}/customers", sim.it.url);
    sim.it.stop().await.unwrap();
    assert!(sim.http.get(url).send().await.is_err());
}
