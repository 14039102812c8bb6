//! The simulator over the wire. `facts` has one test for each fact of the reference, `rules` one for each numbered rule of
//! its synchronisation that a server must show.
#![allow(clippy::unwrap_used)]

mod control;
mod facts;
mod lists;
mod rules;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{ForceManager, Object, Options, Settings};
use crate::sandbox::serve::Wire;

pub const START: &str = "2026-01-05T06:31:19.470Z";

pub struct Sim {
    pub it: ForceManager,
    http: reqwest::Client,
    pub token: String,
}

pub struct Got {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Of a refused call.
    pub fn message(&self) -> String {
        assert!(self.status >= 400, "{} {}", self.status, self.text);
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }
}

impl Sim {
    /// Without customers, logged in, at a standing 2026-01-05T06:31:19.470Z.
    pub async fn start() -> Sim {
        Sim::with(json!({})).await
    }

    pub async fn with(settings: Value) -> Sim {
        let settings = Settings::default().merged(&settings).unwrap();
        Sim::of(Options { sample: false, settings, ..Options::default() }).await
    }

    pub async fn of(options: Options) -> Sim {
        let wire = Wire::default();
        wire.clock.freeze(START.parse().unwrap());
        let it = ForceManager::start(0, wire, options).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut sim = Sim { it, http, token: String::new() };
        sim.token = sim.log_in().await;
        sim
    }

    pub async fn log_in(&self) -> String {
        let got = self.raw("POST", "/api/v4/login", &[], self.keys()).await;
        assert_eq!(got.status, 200, "{}", got.text);
        got.json()["token"].as_str().unwrap().to_owned()
    }

    pub fn keys(&self) -> Value {
        json!({"username": self.it.public_key, "password": self.it.private_key})
    }

    pub async fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Got {
        let method: Method = method.parse().unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.it.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        Got { status: response.status().as_u16(), headers: response.headers().clone(), text: response.text().await.unwrap() }
    }

    pub async fn call(&self, method: &str, path: &str, body: Value) -> Got {
        self.raw(method, &format!("/api/v4{path}"), &[("X-Session-Key", &self.token)], body).await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.get_with(path, &[]).await
    }

    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Value {
        let mut all = vec![("X-Session-Key", self.token.as_str())];
        all.extend_from_slice(headers);
        let got = self.raw("GET", &format!("/api/v4{path}"), &all, Value::Null).await;
        assert_eq!(got.status, 200, "{path}: {}", got.text);
        got.json()
    }

    /// Rows for which a condition holds; the condition is encoded here.
    pub async fn find(&self, resource: &str, condition: &str) -> Vec<Value> {
        let encoded: String = url::form_urlencoded::byte_serialize(condition.as_bytes()).collect();
        self.get(&format!("/{resource}?where={encoded}")).await.as_array().unwrap().clone()
    }

    /// The refusal of a condition.
    pub async fn refused(&self, resource: &str, condition: &str) -> Got {
        let encoded: String = url::form_urlencoded::byte_serialize(condition.as_bytes()).collect();
        self.call("GET", &format!("/{resource}?where={encoded}"), Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> i64 {
        let got = self.call("POST", path, body).await;
        assert!(got.status < 300, "{path}: {}", got.text);
        got.json()["id"].as_i64().unwrap()
    }

    pub async fn put(&self, path: &str, body: Value) {
        let got = self.call("PUT", path, body).await;
        assert_eq!(got.status, 200, "{path}: {}", got.text);
    }

    pub async fn control(&self, path: &str, body: Value) -> Value {
        let got = self.raw("POST", &format!("/__control/{path}"), &[], body).await;
        assert_eq!(got.status, 200, "{}", got.text);
        got.json()
    }

    pub async fn switch(&self, settings: Value) {
        self.control("settings", settings).await;
    }

    pub async fn state(&self) -> Value {
        self.raw("GET", "/__control/state?log=1", &[], Value::Null).await.json()
    }

    pub async fn pass(&self, seconds: i64) {
        self.control("clock", json!({"advance_seconds": seconds})).await;
    }

    /// The first live row of a resource, for references.
    pub fn any(&self, object: Object) -> i64 {
        let world = self.it.world();
        world.table(object).rows().find(|row| row.is_live()).unwrap().id
    }

    pub fn user(&self, nic: &str) -> i64 {
        let world = self.it.world();
        world.table(Object::User).rows().find(|row| row.text("nic") == nic).unwrap().id
    }

    pub fn account_body(&self, name: &str) -> Value {
        json!({"name": name, "branchId": self.any(Object::Branch), "salesRepId1": self.user("dreyes")})
    }

    pub async fn account(&self, name: &str) -> i64 {
        self.post("/accounts", self.account_body(name)).await
    }

    pub fn contact_body(&self, account: i64) -> Value {
        json!({"firstName": "Ada", "lastName": "Ito", "accountId": account, "salesRepId": self.user("dreyes")})
    }

    pub fn opportunity_body(&self, account: i64) -> Value {
        json!({"reference": "Big one", "branchId": self.any(Object::Branch), "salesRepId": self.user("dreyes"), "accountId1": account,
            "statusId": self.any(Object::OpportunityStatus), "salesProbability": 7})
    }

    pub fn activity_body(&self, account: i64) -> Value {
        json!({"accountId": account, "typeId": self.any(Object::ActivityType), "salesRepId": self.user("dreyes"), "date": "2026-01-04 10:42:12"})
    }

    pub fn calendar_body(&self, account: i64, task: bool) -> Value {
        json!({"accountId": account, "typeId": self.any(Object::ActivityType), "branchId": self.any(Object::Branch),
            "salesRepId": self.user("dreyes"), "subject": "Visit", "comment": "", "startDate": "26/01/07", "startHour": "09:00",
            "endDate": "26/01/07", "endHour": "23:59", "allDay": false, "sendNotification": false, "task": task})
    }
}

pub fn ids(rows: &[Value]) -> Vec<i64> {
    rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
}
