//! The simulator over the wire, as any client sees it.
#![allow(clippy::unwrap_used)]

mod control;
mod login;
mod many;
mod queries;
mod records;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Options, Salesforce};
use crate::sandbox::serve::Wire;

struct Org {
    sf: Salesforce,
    token: String,
    http: reqwest::Client,
}

async fn org() -> Org {
    let sf = Salesforce::start(0, Wire::default(), Options::default()).await.unwrap();
    let token = sf.world().mint_token();
    Org { sf, token, http: reqwest::Client::new() }
}

impl Org {
    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/services/data/v66.0/{path}") };
        self.http.request(method, format!("{}{path}", self.sf.url)).bearer_auth(&self.token)
    }
    async fn send(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let mut request = self.call(method.parse().unwrap(), path);
        if !body.is_null() {
            request = request.json(&body);
        }
        let reply = request.send().await.unwrap();
        let status = reply.status().as_u16();
        let text = reply.text().await.unwrap();
        (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() })
    }
    async fn get(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, Value::Null).await
    }
    async fn query(&self, soql: &str) -> Value {
        let reply = self.call(Method::GET, "query").query(&[("q", soql)]).send().await.unwrap();
        reply.json().await.unwrap()
    }
    async fn accounts(&self, count: usize) -> Vec<String> {
        let mut world = self.sf.world();
        (0..count).map(|n| world.insert("Account", &json!({"Name": format!("A{n:04}")})).unwrap()).collect()
    }
    async fn settings(&self, settings: Value) {
        let (status, body) = self.send("POST", "/__control/settings", settings).await;
        assert_eq!(status, 200, "{body}");
    }
    async fn token(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let reply = self.http.post(format!("{}/services/oauth2/token", self.sf.url)).form(form).send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }
}

fn code(body: &Value) -> &str {
    body[0]["errorCode"].as_str().unwrap_or_default()
}
