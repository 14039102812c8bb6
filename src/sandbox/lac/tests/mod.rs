//! The simulator over the wire: one client for all tests.
#![allow(clippy::unwrap_used)]

mod orders;
mod rules;
mod wire;

use reqwest::Method;
use serde_json::{Value, json};

use super::{Lac, Options, SF_ID};
use crate::sandbox::serve::Wire;

struct Sim {
    it: Lac,
    wire: Wire,
    http: reqwest::Client,
    token: String,
}

struct Got {
    status: u16,
    text: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Sim {
    /// With sample products and a token, at a standing 2026-01-05T06:31:19Z.
    async fn start() -> Sim {
        Sim::start_as(Options::default()).await
    }

    async fn start_as(options: Options) -> Sim {
        let wire = Wire::default();
        wire.clock.freeze("2026-01-05T06:31:19Z".parse().unwrap());
        let it = Lac::start(0, wire.clone(), options).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut sim = Sim { it, wire, http, token: String::new() };
        sim.token = sim.log_in().await;
        sim
    }

    async fn log_in(&self) -> String {
        let login = json!({"username": self.it.username, "password": self.it.password});
        let got = self.send("POST", "/auth/tokens", None, Some(login)).await;
        assert_eq!(got.status, 200, "{}", got.text);
        got.json()["token"].as_str().unwrap().to_owned()
    }

    async fn send(&self, method: &str, path: &str, token: Option<&str>, body: Option<Value>) -> Got {
        let method: Method = method.parse().unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.it.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        Got { status: response.status().as_u16(), text: response.text().await.unwrap() }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Got {
        let body = (!body.is_null()).then_some(body);
        self.send(method, path, Some(&self.token), body).await
    }

    async fn status(&self, method: &str, path: &str, body: Value) -> u16 {
        self.call(method, path, body).await.status
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

    async fn create(&self, body: Value) -> Value {
        let got = self.call("POST", "/customers", body).await;
        assert_eq!(got.status, 200, "{}", got.text);
        got.json()
    }

    async fn patch(&self, id: &Value, body: Value) -> Value {
        let got = self.call("PATCH", &path(id), body).await;
        assert_eq!(got.status, 200, "{}", got.text);
        got.json()
    }

    fn pass(&self, seconds: i64) {
        self.wire.clock.advance(chrono::Duration::seconds(seconds));
    }

    /// Names of the customers a search finds.
    async fn found(&self, query: &str) -> Vec<String> {
        let found = self.get(&format!("/customers?{query}")).await;
        found.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    }
}

/// The page of a customer, by the id as it is told.
fn path(id: &Value) -> String {
    format!("/customers/{}", id.as_str().unwrap())
}

/// A body that writes a customer again as it was told: only what can be written.
fn written(shown: &Value) -> Value {
    let mut body = shown.clone();
    let closed = ["creation_time", "update_time", "customer_id"];
    let strip = |row: &mut Value| row.as_object_mut().unwrap().retain(|name, _| !closed.contains(&name.as_str()));
    strip(&mut body);
    body.as_object_mut().unwrap().remove("id");
    for array in ["Contacts", "CustomTags"] {
        body[array].as_array_mut().unwrap().iter_mut().for_each(strip);
    }
    body
}

fn two_people() -> Value {
    json!({
        "name": "Alder Works", "city": "Bern",
        "Contacts": [{"name": "Ada Lovelace", "email": "ada@alder.example"}, {"name": "Bea Ito", "email": "bea@alder.example"}],
        "CustomTags": [{"tag_name": SF_ID, "value": "0015g00000AbcDeAAJ"}],
    })
}
