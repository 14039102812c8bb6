//! Control routes, faults, and a start and an end.

use super::*;

#[tokio::test]
async fn the_state_shows_counts_rows_and_calls() {
    let sim = Sim::of(Options::default()).await;
    let account = sim.any(Object::Account);
    sim.call("DELETE", &format!("/accounts/{account}"), Value::Null).await;
    let state = sim.state().await;
    assert_eq!((&state["counts"]["account"], &state["deleted"]["account"], &state["extra_fields"]), (&json!(3), &json!(1), &json!(6)));
    assert_eq!(
        (&state["calls"]["POST /login"], &state["calls"]["DELETE /accounts/{id}"], &state["calls_total"]),
        (&json!(1), &json!(1), &json!(2))
    );
    let rows = async |query: &str| sim.raw("GET", &format!("/__control/state?object=account{query}"), &[], Value::Null).await.json();
    let (all, one) = (rows("").await, rows(&format!("&id={account}")).await);
    assert_eq!((&all["count"], all["rows"].as_array().unwrap().len()), (&json!(3), 4));
    assert_eq!((&one["rows"][0]["deleted"], &one["rows"][0]["dateCreated"]), (&json!(true), &json!("2026-01-05T06:31:19.47Z")));
    assert!(one["rows"][0]["salesRepId1"].is_i64(), "references are plain");
    assert_eq!(rows("&limit=1&offset=1").await["rows"].as_array().unwrap().len(), 1);
    for path in ["/__control/state?object=nothing", "/__control/nothing"] {
        assert_eq!(sim.raw("GET", path, &[], Value::Null).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn a_reset_starts_over_with_or_without_the_sample() {
    let sim = Sim::with(json!({"page_size": 7})).await;
    sim.account("Alder").await;
    let state = sim.control("reset", json!({"sample": true})).await;
    assert_eq!((&state["counts"]["account"], &state["calls_total"]), (&json!(4), &json!(0)));
    assert_eq!(sim.call("GET", "/accounts", Value::Null).await.status, 401, "sessions are forgotten");
    let state = sim.control("reset", json!({})).await;
    assert_eq!((&state["counts"]["account"], &state["extra_fields"]), (&json!(0), &json!(0)));
    let settings = sim.raw("GET", "/__control/settings", &[], Value::Null).await.json();
    assert_eq!(settings["page_size"], 50);
}

#[tokio::test]
async fn wrong_switches_and_edits_are_refused_with_their_reason() {
    let sim = Sim::start().await;
    for (path, body, reason) in [
        ("settings", json!({"page": 1}), "unknown field"),
        ("settings", json!({"clear_with": "hope"}), "clear_with is one of"),
        ("edit", json!({"op": "create", "object": "account"}), "name is required"),
        ("edit", json!([{"op": "delete", "object": "account", "id": 5}]), "there is no account 5"),
    ] {
        let got = sim.raw("POST", &format!("/__control/{path}"), &[], body).await;
        assert_eq!(got.status, 400);
        assert!(got.json()["error"].as_str().unwrap().contains(reason), "{}", got.text);
    }
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_can_be_found_again() {
    let sim = Sim::start().await;
    sim.control("faults", json!({"on": "POST /api/v4/accounts", "do": "reset_after"})).await;
    let mut body = sim.account_body("Alder");
    body["extId"] = json!("001A0000012abcDQAQ");
    let lost = sim.http.post(format!("{}/accounts", sim.it.api_url())).header("X-Session-Key", &sim.token).json(&body).send().await;
    assert!(lost.is_err());
    assert_eq!(sim.find("accounts", "extId='001A0000012abcDQAQ'").await.len(), 1);
}

#[tokio::test]
async fn it_starts_with_the_sample_and_ends_when_told() {
    let it = ForceManager::start(0, Wire::default(), Options::default()).await.unwrap();
    assert_eq!((it.world().count(Object::Account), it.api_url()), (4, format!("{}/api/v4", it.url)));
    assert!(!it.public_key.is_empty() && !it.private_key.is_empty());
    let address = it.url.trim_start_matches("http://").to_owned();
    it.stop().await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_fault_is_aimed_at_an_operation_as_the_page_says() {
    let sim = Sim::start().await;
    let contact = sim.post("/contacts", sim.contact_body(sim.account("Alder").await)).await;
    let one = format!("/contacts/{contact}");
    let by_date = "/contacts?where=dateUpdated+%3E+%272020-01-01+00%3A00%3A00%27";
    for (on, method, path, spared) in [
        ("GET /api/v4/contacts?", "GET", "/contacts?page=0", one.as_str()),
        ("dateUpdated >", "GET", by_date, "/contacts?page=0"),
        ("where=extId", "GET", "/contacts?where=extId%3D%27x%27", by_date),
        ("GET /api/v4/contacts/", "GET", &one, "/contacts?page=0"),
        ("GET /api/v4/contacts/schema", "GET", "/contacts/schema", &one),
        ("POST /api/v4/contacts", "POST", "/contacts", &one),
        ("PUT /api/v4/contacts/", "PUT", &one, &one),
        ("DELETE /api/v4/contacts/", "DELETE", &one, &one),
        ("/api/v4/extrafields/contacts", "GET", "/extrafields/contacts", "/contacts/schema"),
    ] {
        sim.control("faults", json!({"on": on, "do": {"status": 418}})).await;
        assert_eq!(sim.call("GET", spared, Value::Null).await.status, 200, "{on} spares {spared}");
        assert_eq!(sim.call(method, path, json!({})).await.status, 418, "{on}");
    }
    sim.control("faults", json!({"on": "POST /api/v4/login", "do": {"status": 418}})).await;
    assert_eq!(sim.raw("POST", "/api/v4/login", &[], sim.keys()).await.status, 418);
}

#[test]
fn the_page_names_every_switch_and_every_object() {
    let page = include_str!("../../../../docs/sandbox.md");
    let section = page.split("## The ForceManager simulator").nth(1).unwrap().split("\n## ").next().unwrap();
    let settings = serde_json::to_value(Settings::default()).unwrap();
    for name in settings.as_object().unwrap().keys() {
        assert!(section.contains(&format!("`{name}`")), "{name}");
    }
    let objects = section.split("Objects: `").nth(1).unwrap().split('`').next().unwrap();
    let named: Vec<&str> = objects.split(' ').collect();
    assert_eq!(named, Object::ALL.map(Object::name));
}
