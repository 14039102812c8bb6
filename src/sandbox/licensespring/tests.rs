//! The simulator over the wire: shapes, codes, paging, switches, control.
#![allow(clippy::unwrap_used)]

use reqwest::Method;
use serde_json::{Value, json};

use super::{LicenseSpring, Object, Options};
use crate::sandbox::serve::Wire;

struct Sim {
    it: LicenseSpring,
    wire: Wire,
    http: reqwest::Client,
}

struct Got {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Sim {
    /// With sample products, at a standing 2026-01-05T06:31:19.902517Z.
    async fn start() -> Sim {
        let wire = Wire::default();
        wire.clock.freeze("2026-01-05T06:31:19.902517Z".parse().unwrap());
        let it = LicenseSpring::start(0, wire.clone(), Options::default()).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Sim { it, wire, http }
    }

    async fn send(&self, method: &str, path: &str, key: Option<&str>, body: Option<Value>) -> Got {
        let method: Method = method.parse().unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.it.url));
        if let Some(key) = key {
            request = request.header("Authorization", format!("Api-Key {key}"));
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        Got { status: response.status().as_u16(), headers: response.headers().clone(), text: response.text().await.unwrap() }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Got {
        let body = (!body.is_null()).then_some(body);
        self.send(method, &format!("/api/v1{path}"), Some(&self.it.api_key), body).await
    }

    async fn get(&self, path: &str) -> Value {
        let got = self.call("GET", path, Value::Null).await;
        assert_eq!(got.status, 200, "{path}: {}", got.text);
        got.json()
    }

    async fn control(&self, path: &str, body: Value) -> Value {
        let got = self.send("POST", &format!("/__control/{path}"), None, Some(body)).await;
        assert_eq!(got.status, 200, "{}", got.text);
        got.json()
    }

    async fn order(&self, id: &str) -> Value {
        let body = json!({"id": id, "items": [{"product_code": "orbit-pro", "licenses": [{"key": format!("KEY-{id}")}]}]});
        let got = self.call("POST", "/orders/create_order/", body).await;
        assert_eq!(got.status, 200, "{}", got.text);
        got.json()
    }
}

#[tokio::test]
async fn without_the_right_key_nothing_is_answered() {
    let sim = Sim::start().await;
    for (path, key) in [("/api/v1/licenses/", None), ("/api/v1/licenses/", Some("wrong")), ("/api/v1/nothing/", None)] {
        let got = sim.send("GET", path, key, None).await;
        assert_eq!(got.status, 403);
        assert!(got.json()["detail"].is_string());
    }
    sim.control("settings", json!({"wrong_key_status": 401})).await;
    assert_eq!(sim.send("GET", "/api/v1/licenses/", None, None).await.status, 401);
    sim.control("settings", json!({"denied": ["orders", "customers:write"]})).await;
    assert_eq!(sim.call("GET", "/orders/", Value::Null).await.status, 403);
    assert_eq!(sim.call("GET", "/customers/", Value::Null).await.status, 200);
    assert_eq!(sim.call("POST", "/customers/", json!({})).await.status, 403);
}

#[tokio::test]
async fn errors_have_the_documented_shapes() {
    let sim = Sim::start().await;
    let order = sim.order("SF-1").await;
    let license = &order["order_items"][0]["licenses"][0]["id"];
    for (method, path, body, status, pointer) in [
        ("GET", "/licenses/5/".to_owned(), Value::Null, 404, "/detail"),
        ("GET", "/nothing/".to_owned(), Value::Null, 404, "/detail"),
        ("POST", "/licenses/5/enable/".to_owned(), json!({}), 404, "/detail"),
        ("DELETE", format!("/orders/{}/", order["id"]), Value::Null, 405, "/detail"),
        ("PATCH", format!("/licenses/{license}/"), json!({"max_activations": "x"}), 400, "/max_activations/0"),
        ("POST", "/customer-accounts/".to_owned(), json!({}), 400, "/code/0"),
        ("POST", "/customers/".to_owned(), json!({"email": "no"}), 400, "/email/0"),
        ("POST", "/orders/create_order/".to_owned(), json!({"id": "SF-1", "items": []}), 409, "/message"),
        ("POST", format!("/licenses/{license}/update_features/"), json!({"product_features": [{"product_feature": "sso"}]}), 400, "/code"),
    ] {
        let got = sim.call(method, &path, body).await;
        assert_eq!(got.status, status, "{method} {path}: {}", got.text);
        assert!(got.json().pointer(pointer).is_some_and(Value::is_string), "{method} {path}: {}", got.text);
    }
    let url = format!("{}/api/v1/customers/", sim.it.url);
    let key = format!("Api-Key {}", sim.it.api_key);
    let post =
        |kind: &'static str, body: &'static str| sim.http.post(&url).header("Authorization", &key).header("Content-Type", kind).body(body);
    assert_eq!(post("application/json", "{").send().await.unwrap().status(), 400);
    assert_eq!(post("text/plain", "{}").send().await.unwrap().status(), 415);
}

#[tokio::test]
async fn both_slash_forms_are_the_same_call() {
    let sim = Sim::start().await;
    let made = sim.call("POST", "/customers", json!({"first_name": "Mina"})).await.json();
    for path in [format!("/customers/{}", made["id"]), format!("/customers/{}/", made["id"])] {
        assert_eq!(sim.get(&path).await["first_name"], "Mina");
        assert_eq!(sim.call("PATCH", &path, json!({"city": "Lund"})).await.status, 200);
    }
    assert_eq!(sim.it.world().calls()["GET /customers/{id}/"], 2);
}

#[tokio::test]
async fn a_write_answers_microseconds_that_a_read_has_rounded() {
    let sim = Sim::start().await;
    let order = sim.order("SF-1").await;
    assert_eq!(order["updated_at"], "2026-01-05T06:31:19.902517Z");
    let path = format!("/orders/{}/", order["id"]);
    let read = sim.get(&path).await;
    assert_eq!((read["created_at"].clone(), read["updated_at"].clone()), (json!("2026-01-05T06:31:20Z"), json!("2026-01-05T06:31:20Z")));
    sim.wire.clock.freeze("2026-01-05T07:00:00.400001Z".parse().unwrap());
    let patched = sim.call("PATCH", &path, json!({"language": "sv"})).await.json();
    assert_eq!(patched["created_at"], "2026-01-05T06:31:20Z");
    assert_eq!(patched["updated_at"], "2026-01-05T07:00:00.400001Z");
    assert_eq!(sim.get(&path).await["updated_at"], "2026-01-05T07:00:00Z");
}

#[tokio::test]
async fn customers_and_accounts_keep_what_they_are_given() {
    let sim = Sim::start().await;
    let account = json!({"code": "northwind", "name": "Northwind Demo", "reference": "001A", "metadata": {"lockstep": {"sf_id": "001A"}}});
    let account = sim.call("POST", "/customer-accounts/", account).await.json();
    let customer = json!({"email": "it@northwind.example", "customer_account": account["id"], "reference": "003A", "note": "dropped"});
    let one = sim.call("POST", "/customers/", customer.clone()).await.json();
    let two = sim.call("POST", "/customers/", customer).await.json();
    assert_ne!(one["id"], two["id"], "addresses are not unique");
    assert!(one.get("note").is_none() && one.get("updated_at").is_none() && one.get("created_at").is_none());
    assert_eq!(sim.get(&format!("/customer-accounts/{}/", account["id"])).await["customers_count"], 2);
    assert_eq!(sim.get("/customer-accounts/?reference=001A").await["count"], 1);
    assert_eq!(sim.get("/customers/?account__code=northwind&reference=003A").await["count"], 2);
    let path = format!("/customers/{}/", one["id"]);
    assert_eq!(sim.call("PATCH", &path, json!({"metadata": {"a": 1}})).await.json()["metadata"], json!({"a": 1}));
    let body = json!({"customer_to_merge_id": two["id"]});
    assert_eq!(sim.call("POST", &format!("{path}merge/"), body).await.status, 200);
    assert_eq!(sim.call("GET", &format!("/customers/{}/", two["id"]), Value::Null).await.status, 404);
    let deleted = sim.call("DELETE", &path, Value::Null).await;
    assert_eq!(deleted.status, 200);
    sim.control("settings", json!({"account_extras": false})).await;
    let shown = sim.get(&format!("/customer-accounts/{}/", account["id"])).await;
    assert!(shown.get("reference").is_none() && shown.get("metadata").is_none());
    assert_eq!(sim.get("/customer-accounts/?reference=other").await["count"], 1, "ignored");
}

#[tokio::test]
async fn an_order_is_made_given_a_customer_and_read_back() {
    let sim = Sim::start().await;
    let made = sim.order("SF-801").await;
    assert_eq!((made["store_id"].clone(), made["customer"].clone()), (json!("SF-801"), Value::Null));
    let customer = sim.call("POST", "/customers/", json!({"email": "a@b.example", "first_name": "Ana"})).await.json();
    let path = format!("/orders/{}/", made["id"]);
    let flat = sim.call("PATCH", &path, json!({"customer": customer["id"]})).await.json();
    assert_eq!((flat["customer"].clone(), flat["customer_first_name"].clone()), (customer["id"].clone(), json!("Ana")));
    assert!(flat.get("order_items").is_none());
    let read = sim.get(&path).await;
    assert_eq!(read["customer"]["email"], "a@b.example");
    let license = &read["order_items"][0]["licenses"][0];
    assert_eq!((license["license_key"].clone(), license["customer"]["id"].clone()), (json!("KEY-SF-801"), customer["id"].clone()));
    assert_eq!(license["product_features"][0]["product_feature"]["code"], "export_pdf");
    assert_eq!(license["order_store_id"], "SF-801");
    assert_eq!(sim.get("/orders/?store_id=SF-801").await["results"][0]["id"], made["id"]);
    assert_eq!(sim.get(&format!("/customers/{}/", customer["id"])).await["total_licenses"], 1);
    sim.control("settings", json!({"old_create_order_shape": true, "create_status": 201})).await;
    let body = json!({"id": "SF-802", "items": [{"product_code": "orbit-basic", "licenses": [{}]}]});
    let old = sim.call("POST", "/orders/create_order/", body).await;
    assert_eq!(old.status, 201);
    assert!(old.json()["order_id"].is_i64() && old.json().get("store_id").is_none());
}

#[tokio::test]
async fn license_and_feature_calls_have_their_documented_answers() {
    let sim = Sim::start().await;
    let license = sim.order("a").await["order_items"][0]["licenses"][0].clone();
    let path = format!("/licenses/{}/", license["id"]);
    for verb in ["disable", "enable", "reset", "reset_consumption"] {
        let got = sim.call("POST", &format!("{path}{verb}/"), json!({})).await;
        assert!(got.status == 200 && got.json()["message"].is_string(), "{verb}: {}", got.text);
    }
    let empty_body = sim.call("POST", &format!("{path}disable/"), Value::Null).await;
    assert_eq!((empty_body.status, sim.get(&path).await["enabled"].clone()), (200, json!(false)));
    let product = license["product"]["id"].clone();
    let features = sim.get(&format!("/product-features/?product={product}")).await;
    assert_eq!(features["count"], 3);
    let api_access = features["results"][1]["id"].clone();
    let row = sim.call("POST", "/license-product-features/", json!({"license": license["id"], "product_feature": api_access})).await;
    assert_eq!((row.status, row.json()["product_feature"].clone()), (201, api_access));
    let row_path = format!("/license-product-features/{}", row.json()["id"]);
    assert_eq!(sim.call("PATCH", &row_path, json!({"expiry_date": "2027-01-01"})).await.status, 200);
    assert_eq!(sim.get(&row_path).await["product_feature"]["code"], "api_access");
    assert_eq!(sim.get(&format!("/license-product-features/?license={}", license["id"])).await["count"], 3);
    assert_eq!(sim.call("DELETE", &row_path, Value::Null).await.status, 204);
    let body = json!({"product_features": [{"product_feature": "render_min", "max_consumption": 1}]});
    let replaced = sim.call("POST", &format!("{path}update_features/"), body).await.json();
    assert_eq!(replaced["product_features"].as_array().unwrap().len(), 1);
    let deleted = sim.call("DELETE", &path, Value::Null).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert_eq!(sim.call("GET", &path, Value::Null).await.status, 404);
}

#[tokio::test]
async fn keys_are_generated_in_groups() {
    let sim = Sim::start().await;
    let keys = sim.get("/orders/generate_license/?product=orbit-pro&quantity=3&key_length=20").await;
    assert!(keys.as_array().unwrap().iter().all(|key| key.as_str().unwrap().len() == 24), "{keys}");
    assert_eq!(sim.call("GET", "/orders/generate_license/?product=x", Value::Null).await.json()["code"], "unknown_product");
}

#[tokio::test]
async fn the_limiter_answers_as_switched() {
    let sim = Sim::start().await;
    sim.control("settings", json!({"rate": {"per_minute": 2}})).await;
    for _ in 0..2 {
        assert_eq!(sim.call("GET", "/products/", Value::Null).await.status, 200);
    }
    let limited = sim.call("GET", "/products/", Value::Null).await;
    assert_eq!((limited.status, limited.headers["retry-after"].to_str().unwrap()), (429, "60"));
    assert!(limited.json()["detail"].is_string());
    sim.control("settings", json!({"rate": {"per_minute": 2, "retry_after": false, "html": true}})).await;
    let limited = sim.call("GET", "/products/", Value::Null).await;
    assert!(limited.headers.get("retry-after").is_none() && limited.text.starts_with("<html>"));
    sim.wire.clock.advance(chrono::Duration::seconds(60));
    assert_eq!(sim.call("GET", "/products/", Value::Null).await.status, 200);
}

#[tokio::test]
async fn distortions_show_only_on_the_wire() {
    let sim = Sim::start().await;
    let license = sim.order("a").await["order_items"][0]["licenses"][0]["id"].clone();
    sim.control("settings", json!({"metadata_as_string": true, "zero_dates": true, "extra_fields": true, "huge_ids": true})).await;
    let shown = sim.get(&format!("/licenses/{license}/")).await;
    assert_eq!((shown["metadata"].clone(), shown["validity_period"].clone()), (json!("{}"), json!("0000-00-00")));
    assert!(shown.get("billing_profile").is_some());
    assert_eq!(sim.it.world().rows(Object::License)[0]["validity_period"], Value::Null);
    assert!(sim.order("b").await["id"].as_i64().unwrap() > 1 << 53);
}

#[tokio::test]
async fn the_yearly_word_is_spelled_as_each_page_does() {
    let sim = Sim::start().await;
    let license = sim.order("a").await["order_items"][0]["licenses"][0]["id"].clone();
    let path = format!("/licenses/{license}/");
    let word = |got: Got| got.json()["consumption_period"].clone();
    assert_eq!(word(sim.call("PATCH", &path, json!({"consumption_period": "annually"})).await), "annualy");
    sim.control("settings", json!({"yearly_strict": true})).await;
    assert_eq!(sim.call("PATCH", &path, json!({"consumption_period": "annually"})).await.status, 400);
    assert_eq!(word(sim.call("PATCH", &path, json!({"consumption_period": "annualy"})).await), "annualy");
}

#[tokio::test]
async fn people_edit_through_the_control_routes() {
    let sim = Sim::start().await;
    let license = sim.order("a").await["order_items"][0]["licenses"][0]["id"].clone();
    let edits = json!([
        {"op": "add_feature", "license": license, "code": "api_access"},
        {"op": "activate", "license": license, "hardware_id": "hw-1", "hostname": "cad-07"},
        {"op": "update", "object": "license", "id": license, "fields": {"enabled": false, "note": "by hand"}},
        {"op": "create", "object": "customer", "fields": {"email": "new@demo.example"}},
        {"op": "issue", "order": {"items": [{"product_code": "orbit-basic", "licenses": [{}]}]}}
    ]);
    let done = sim.control("edit", edits).await;
    assert_eq!((done[2]["enabled"].clone(), done[2]["times_activated"].clone()), (json!(false), json!(1)));
    let shown = sim.get(&format!("/licenses/{license}/")).await;
    assert_eq!((shown["total_active_devices"].clone(), shown["status"].clone()), (json!(1), json!("Disabled")));
    let got = sim.send("GET", &format!("/__control/state?object=license&id={license}"), None, None).await.json();
    assert_eq!(got["rows"][0]["feature_codes"], json!(["export_pdf", "render_min", "api_access"]));
    let customer = done[3]["id"].clone();
    sim.control("edit", json!({"op": "delete", "object": "customer", "id": customer})).await;
    let state = sim.send("GET", "/__control/state", None, None).await.json();
    assert_eq!((state["counts"]["customer"].clone(), state["counts"]["order"].clone()), (json!(0), json!(2)));
    assert_eq!(state["calls"]["POST /orders/create_order/"], 1);
    for wrong in [
        json!({"op": "explode"}),
        json!({"op": "create", "object": "planet"}),
        json!({"op": "create", "object": "customer", "fields": {"colour": "red"}}),
        json!({"op": "delete", "object": "order", "id": 5}),
    ] {
        assert_eq!(sim.send("POST", "/__control/edit", None, Some(wrong)).await.status, 400);
    }
    sim.control("settings", json!({"cap": 1})).await;
    let state = sim.control("reset", json!({"products": true})).await;
    assert_eq!(
        (state["counts"]["license"].clone(), state["counts"]["product"].clone(), state["calls_total"].clone()),
        (json!(0), json!(3), json!(0))
    );
    assert_eq!(sim.it.world().settings.cap, 100);
}

#[tokio::test]
async fn sheets_go_out_and_come_in() {
    let sim = Sim::start().await;
    sim.order("a").await;
    let boundary = "lockstep-boundary";
    let form = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"c.csv\"\r\nContent-Type: text/csv\r\n\r\nemail,first_name\nana@demo.example,Ana\nwrong,Bo\r\n--{boundary}--\r\n"
    );
    let response = sim
        .http
        .post(format!("{}/api/v1/customers/import_from_csv/", sim.it.url))
        .header("Authorization", format!("Api-Key {}", sim.it.api_key))
        .header("Content-Type", format!("multipart/form-data; boundary={boundary}"))
        .body(form)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let results = sim.get("/customers-import-results/?status_iexact=error").await;
    assert_eq!((results["results"][0]["created_count"].clone(), results["results"][0]["errors"][0]["row"].clone()), (json!(1), json!(3)));
    let sheet = sim.call("GET", "/customers/export/", Value::Null).await;
    assert!(sheet.text.lines().any(|line| line.contains("ana@demo.example,Ana")), "{}", sheet.text);
    for (query, lines) in [("range=last30", 2), ("from=2026-01-05&to=2026-01-05", 2), ("from=2025-01-05&to=2026-01-04", 1)] {
        let sheet = sim.call("GET", &format!("/orders/export/?{query}"), Value::Null).await;
        assert_eq!(sheet.text.lines().count(), lines, "{query}");
    }
    assert_eq!(sim.call("GET", "/orders/export/?range=last80", Value::Null).await.status, 400);
}

#[tokio::test]
async fn labels_are_attached_and_filter_customers() {
    let sim = Sim::start().await;
    let customer = sim.call("POST", "/customers/", json!({})).await.json()["id"].clone();
    sim.call("POST", "/customers/", json!({})).await;
    let label = sim.call("POST", "/clabels/", json!({"label": "Gold", "color": "#aa8800"})).await.json()["id"].clone();
    let mapping = sim.call("POST", "/customerclabels/", json!({"customer": customer, "customer_label": label})).await.json()["id"].clone();
    let found = sim.get(&format!("/customers/?label__in={label},9")).await;
    assert_eq!((found["count"].clone(), found["results"][0]["labels"][0]["label"].clone()), (json!(1), json!("Gold")));
    assert_eq!(found["results"][0]["clabels_all"], "gold");
    assert_eq!(sim.call("DELETE", &format!("/customerclabels/{mapping}/"), Value::Null).await.status, 204);
    assert_eq!(sim.get(&format!("/customers/?label__in={label}")).await["count"], 0);
}

#[tokio::test]
async fn records_the_key_may_not_see() {
    let sim = Sim::start().await;
    let customer = sim.call("POST", "/customers/", json!({})).await.json()["id"].clone();
    let path = format!("/customers/{customer}/");
    for (status, expected) in [(403, 403), (404, 404)] {
        sim.control("settings", json!({"no_access": [customer], "no_access_status": status})).await;
        assert_eq!(sim.call("GET", &path, Value::Null).await.status, expected);
        assert_eq!(sim.call("PATCH", &path, json!({})).await.status, expected);
        assert_eq!(sim.get("/customers/").await["count"], 0);
    }
}

/// A sweep with rows coming and going: the links are followed as a client would, and a deletion shifts the offsets.
#[tokio::test]
async fn a_deletion_during_a_sweep_makes_offsets_skip_a_row() {
    let sim = Sim::start().await;
    let ids: Vec<i64> = (0..5).map(|_| sim.it.world().add_customer(&json!({})).unwrap()).collect();
    let first = sim.get("/customers/?limit=2").await;
    sim.it.world().delete(Object::Customer, ids[0]).unwrap();
    let next = first["next"].as_str().unwrap().strip_prefix(&format!("{}/api/v1", sim.it.url)).unwrap().to_owned();
    let second = sim.get(&next).await;
    assert_eq!(second["results"][0]["id"], ids[3], "the third was skipped");
    assert_eq!(second["count"], 4);
}

#[tokio::test]
async fn stopping_ends_the_server() {
    let sim = Sim::start().await;
    let url = format!("{}/api/v1/products/", sim.it.url);
    sim.it.stop().await.unwrap();
    assert!(sim.http.get(url).send().await.is_err());
}
