//! The connector against a small fake of an org, for what has to go wrong at a chosen moment.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::connectors::{FaultKind, ReadEnd};
use crate::plan::Verb;
use crate::record::{Fields, Life};
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use secrecy::SecretString;
use serde_json::{Value as J, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

mod teeth;

const ORG: &str = "00Dxx0000001gPFEAY";
const CANARY: &str = "canary-secret";

/// One request as the fake saw it; each part of a composite call is one too.
#[derive(Debug, Clone)]
struct Seen {
    method: String,
    /// Decoded, with the SOQL of a query.
    path: String,
    token: String,
    body: J,
    raw: String,
    /// The fake's own address.
    host: String,
}

struct Reply(u16, Vec<(&'static str, String)>, String);

fn ok(body: J) -> Option<Reply> {
    Some(Reply(200, vec![], body.to_string()))
}

type Script = Box<dyn Fn(&Seen) -> Option<Reply> + Send + Sync>;

/// Answers tokens and describes by itself; the rest is up to the test.
struct Fake {
    url: String,
    script: Script,
    seen: Mutex<Vec<Seen>>,
    tokens: AtomicUsize,
}

impl Fake {
    async fn start(script: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let fake = Arc::new(Self { url, script: Box::new(script), seen: Mutex::default(), tokens: AtomicUsize::new(0) });
        let state = Arc::clone(&fake);
        let app = axum::Router::new().fallback(move |method: axum::http::Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let Reply(status, extra, text) = state.answer(method.as_str(), &uri.to_string(), &headers, &body);
            let mut out = HeaderMap::new();
            out.insert("date", "Fri, 02 Jan 2026 12:00:00 GMT".parse().unwrap());
            out.insert("content-type", "application/json;charset=UTF-8".parse().unwrap());
            for (name, value) in extra {
                out.insert(name, value.parse().unwrap());
            }
            async move { (StatusCode::from_u16(status).unwrap(), out, text) }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        fake
    }

    fn answer(&self, method: &str, uri: &str, headers: &HeaderMap, body: &Bytes) -> Reply {
        let raw = String::from_utf8_lossy(body).into_owned();
        let token = headers.get("authorization").map_or("", |h| h.to_str().unwrap()).to_owned();
        let seen = Seen {
            method: method.into(),
            path: decoded(uri),
            token,
            body: serde_json::from_str(&raw).unwrap_or_default(),
            raw,
            host: self.url.clone(),
        };
        if let Some(reply) = self.note(&seen) {
            return reply;
        }
        if seen.path.ends_with("/composite") {
            let parts = seen.body["compositeRequest"].as_array().unwrap().iter().map(|part| {
                let seen = Seen {
                    method: part["method"].as_str().unwrap().into(),
                    path: decoded(part["url"].as_str().unwrap()),
                    body: part["body"].clone(),
                    ..seen.clone()
                };
                let Reply(status, headers, text) = self.note(&seen).unwrap_or_else(|| self.by_itself(&seen));
                let headers: std::collections::BTreeMap<_, _> = headers.into_iter().collect();
                let body: J = serde_json::from_str(&text).unwrap_or_default();
                json!({"body": body, "httpHeaders": headers, "httpStatusCode": status, "referenceId": part["referenceId"]})
            });
            return Reply(200, vec![], json!({"compositeResponse": parts.collect::<Vec<_>>()}).to_string());
        }
        self.by_itself(&seen)
    }

    fn note(&self, seen: &Seen) -> Option<Reply> {
        self.seen.lock().unwrap().push(seen.clone());
        (self.script)(seen)
    }

    fn by_itself(&self, seen: &Seen) -> Reply {
        if seen.path.ends_with("/oauth2/token") {
            let n = self.tokens.fetch_add(1, Ordering::SeqCst) + 1;
            return Reply(200, vec![], token(&self.url, n, ORG).to_string());
        }
        if seen.path.ends_with("/describe") {
            return Reply(200, vec![("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT".into())], describe().to_string());
        }
        if seen.path.contains("q=SELECT") {
            return Reply(200, vec![], page(&[]).to_string());
        }
        panic!("nothing to say to {seen:?}");
    }

    fn settings(&self) -> Settings {
        Settings {
            login_url: self.url.clone(),
            api_version: "66.0".into(),
            flow: Flow::ClientCredentials { client_id: "id".into(), client_secret: SecretString::from(CANARY.to_owned()) },
            allowed_hosts: vec!["*.salesforce.com".into()],
            token_file: None,
            lookback_s: 600,
            reserve_percent: 20,
            product_fields: false,
        }
    }

    fn connect(&self) -> Arc<Salesforce> {
        Arc::new(Salesforce::new(self.settings()).unwrap())
    }

    fn seen(&self, part: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|s| s.path.contains(part)).cloned().collect()
    }
}

fn decoded(uri: &str) -> String {
    percent_encoding::percent_decode_str(uri).decode_utf8_lossy().into_owned()
}

fn token(url: &str, n: usize, org: &str) -> J {
    json!({"access_token": format!("{CANARY}!{n}"), "instance_url": url, "id": format!("{url}/id/{org}/005xx000001SwiUAAS"),
        "token_type": "Bearer", "issued_at": "1753166400000", "signature": "x"})
}

fn describe() -> J {
    let field = |name: &str, kind: &str| json!({"name": name, "type": kind, "length": 80, "scale": 2, "createable": true, "updateable": true, "nillable": true});
    json!({"name": "X", "createable": true, "updateable": true, "deletable": true, "fields": [
        {"name": "Id", "type": "id"}, {"name": "SystemModstamp", "type": "datetime"}, {"name": "IsDeleted", "type": "boolean"},
        {"name": "MasterRecordId", "type": "reference", "referenceTo": ["Account"]},
        {"name": "Product2Id", "type": "reference", "referenceTo": ["Product2"], "relationshipName": "Product2"},
        field("Name", "string"), field("Email", "email"), field("Quantity", "double"), field("Lockstep_Id__c", "string")]})
}

fn id(n: usize) -> String {
    crate::record::SalesforceId::parse(&format!("001000000{n:06}")).unwrap().to_string()
}

fn row(n: usize) -> J {
    json!({"attributes": {"type": "Account"}, "Id": id(n), "SystemModstamp": "2026-01-02T11:59:00.000+0000", "IsDeleted": false,
        "MasterRecordId": null, "Name": format!("name {n}"), "Email": null, "Lockstep_Id__c": format!("acme-{n}")})
}

fn page(rows: &[J]) -> J {
    json!({"totalSize": rows.len(), "done": true, "records": rows})
}

fn expired() -> Option<Reply> {
    Some(Reply(401, vec![], json!([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]).to_string()))
}

fn ask(object: &str, since: Option<&str>) -> Ask {
    Ask { object: object.into(), resource: object.into(), fields: vec!["Name".into()], since: since.map(str::to_owned), sweep: false }
}

const SINCE: Option<&str> = Some("2026-01-02T11:50:00Z");

async fn poll(salesforce: &Salesforce, asks: &[Ask]) -> (Result<Vec<Polled>, Fault>, Vec<Record>) {
    let (send, mut pages) = mpsc::channel::<Page>(4);
    let gather = async {
        let mut all = vec![];
        while let Some(page) = pages.recv().await {
            all.extend(page.records);
        }
        all
    };
    tokio::join!(salesforce.poll(asks, send), gather)
}

fn update(n: usize, fields: &[(&str, Value)]) -> Write {
    let fields: Fields = fields.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    let (object, resource) = ("account".to_owned(), "Account".to_owned());
    Write { intent: 1, object, resource, verb: Verb::Update, id: Some(RecordId::from(id(n))), fields, key: None, read: vec!["Name".into()] }
}

fn create(key: &str) -> Write {
    Write { verb: Verb::Create, id: None, key: Some(("Lockstep_Id__c".into(), key.into())), ..update(0, &[("Name", Value::text("new"))]) }
}

#[tokio::test]
async fn many_callers_with_a_spent_token_make_one_new_one() {
    let fake = Fake::start(|s| if s.token.ends_with("!1") { expired() } else { None }).await;
    let salesforce = fake.connect();
    let callers = (0..8).map(|_| {
        let salesforce = Arc::clone(&salesforce);
        tokio::spawn(async move { salesforce.count("Account").await })
    });
    for caller in callers.collect::<Vec<_>>() {
        assert_eq!(caller.await.unwrap(), Ok(0));
    }
    assert_eq!(fake.tokens.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_token_spent_between_two_pages_costs_no_row() {
    let fake = Fake::start(|s| {
        if s.path.contains("/query/next") {
            return if s.token.ends_with("!1") { expired() } else { ok(json!({"totalSize": 2, "done": true, "records": [row(2)]})) };
        }
        let first = json!({"totalSize": 2, "done": false, "nextRecordsUrl": "/services/data/v66.0/query/next", "records": [row(1)]});
        if s.path.contains("FROM Account") { ok(first) } else { None }
    })
    .await;
    let (polled, records) = poll(&fake.connect(), &[ask("Account", SINCE)]).await;
    let end = polled.unwrap().remove(0).end.unwrap();
    assert_eq!(end, ReadEnd { watermark: Some("2026-01-02T12:00:00Z".into()), complete: false });
    assert_eq!(records.iter().map(|r| r.id.to_string()).collect::<Vec<_>>(), [id(1), id(2)]);
    assert_eq!(fake.tokens.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_refusal_that_a_new_token_does_not_cure_is_no_loop() {
    let fake = Fake::start(|s| if s.path.contains("/composite") { expired() } else { None }).await;
    let fault = fake.connect().count("Account").await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Credentials);
    assert_eq!(fake.tokens.load(Ordering::SeqCst), 2);

    let other = json!([{"message": "This session is not valid for use with the REST API", "errorCode": "INVALID_SESSION_ID"}]).to_string();
    let fake = Fake::start(move |s| s.path.contains("/composite").then(|| Reply(401, vec![], other.clone()))).await;
    assert!(fake.connect().count("Account").await.is_err());
    assert_eq!(fake.tokens.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn wrong_credentials_are_asked_with_once() {
    let fake = Fake::start(|s| {
        let body = json!({"error": "invalid_grant", "error_description": "authentication failure"}).to_string();
        s.path.contains("/oauth2/token").then(|| Reply(400, vec![], body))
    })
    .await;
    let salesforce = fake.connect();
    for _ in 0..3 {
        let fault = salesforce.count("Account").await.unwrap_err();
        assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Credentials, "invalid_grant"));
        assert!(fault.message.contains("authentication failure"));
    }
    assert_eq!(fake.seen("/oauth2/token").len(), 1);
}

#[tokio::test]
async fn a_token_is_not_sent_to_a_foreign_host() {
    for (instance, code) in [("https://salesforce.com.evil.example", "foreign-host"), ("http://acme.my.salesforce.com", "bad-instance")] {
        let fake = Fake::start(move |s| if s.path.contains("/oauth2/token") { ok(token(instance, 1, ORG)) } else { None }).await;
        let fault = fake.connect().count("Account").await.unwrap_err();
        assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Credentials, code));
        assert_eq!(fake.seen("").len(), 1, "the token request alone");
    }
}

#[tokio::test]
async fn another_org_behind_the_same_credentials_is_refused() {
    let tokens = AtomicUsize::new(0);
    let fake = Fake::start(move |s| {
        if s.path.contains("/oauth2/token") {
            let n = tokens.fetch_add(1, Ordering::SeqCst) + 1;
            return ok(token(&s.host, n, if n == 1 { ORG } else { "00D000000000001EAA" }));
        }
        if s.token.ends_with("!1") { expired() } else { None }
    })
    .await;
    let fault = fake.connect().count("Account").await.unwrap_err();
    assert_eq!(fault.code, "another-org");
}

#[tokio::test]
async fn a_rotated_refresh_token_is_on_disk_before_the_access_token_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens.json");
    let on_disk = path.clone();
    let fake = Fake::start(move |s| {
        if s.path.contains("/oauth2/token") {
            let old = if s.raw.contains("refresh_token=first") { 1 } else { 2 };
            let mut reply = token(&s.host, old, ORG);
            reply["refresh_token"] = json!(format!("{CANARY}-rotated-{old}"));
            return ok(reply);
        }
        let kept = std::fs::read_to_string(&on_disk).unwrap_or_default();
        assert!(kept.contains(&format!("{CANARY}-rotated")), "used before it was kept");
        None
    })
    .await;
    let mut settings = fake.settings();
    let flow = || Flow::RefreshToken { client_id: "id".into(), client_secret: None, refresh_token: SecretString::from("first".to_owned()) };
    (settings.flow, settings.token_file) = (flow(), Some(path.clone()));
    let salesforce = Salesforce::new(settings.clone()).unwrap();
    assert_eq!(salesforce.count("Account").await, Ok(0));
    assert_eq!(fake.seen("/oauth2/token")[0].raw.matches("refresh_token=first").count(), 1);

    // Another process, the same rules file: it begins with what was kept.
    let again = Salesforce::new(settings.clone()).unwrap();
    assert_eq!(again.count("Account").await, Ok(0));
    assert!(fake.seen("/oauth2/token")[1].raw.contains(&format!("refresh_token={CANARY}-rotated-1")));

    // Where it cannot be kept, the access token is not used.
    settings.token_file = Some(dir.path().join("missing/tokens.json"));
    let calls = fake.seen("/composite").len();
    let fault = Salesforce::new(settings).unwrap().count("Account").await.unwrap_err();
    assert_eq!(fault.code, "token-file");
    assert_eq!(fake.seen("/composite").len(), calls);
    assert!(!format!("{fault} {fault:?} {salesforce:?}").contains(CANARY));
}

#[tokio::test]
async fn five_idle_objects_cost_one_call() {
    let fake = Fake::start(|_| None).await;
    let salesforce = fake.connect();
    let asks: Vec<Ask> = ["Account", "Contact", "License__c", "License_Feature__c"].iter().map(|o| ask(o, SINCE)).collect();
    let orders = Ask { fields: vec!["Name".into(), "lines".into()], ..ask("Order", SINCE) };
    let asks: Vec<Ask> = asks.into_iter().chain([orders]).collect();
    let names: Vec<String> = asks.iter().map(|a| a.resource.clone()).collect();
    salesforce.schema(&names).await.unwrap();
    let before = salesforce.calls();
    let (polled, records) = poll(&salesforce, &asks).await;
    assert!(polled.unwrap().iter().all(|p| p.end.is_ok()) && records.is_empty());
    assert_eq!(salesforce.calls().data - before.data, 1);
    assert_eq!(before.other, 2, "a token, and all describes in one call");
    assert!(fake.seen("FROM OrderItem")[0].path.contains("Order.SystemModstamp >= 2026-01-02T11:40:00Z"));
}

#[tokio::test]
async fn an_answer_that_is_not_whole_moves_no_watermark() {
    for (body, code) in [
        ("<html>maintenance</html>".to_owned(), "html-body"),
        (String::new(), "empty-body"),
        (r#"{"compositeResponse":[{"body":{"totalSize":"#.to_owned(), "composite-answer"),
    ] {
        let fake = Fake::start(move |s| s.path.ends_with("/composite").then(|| Reply(200, vec![], body.clone()))).await;
        let (polled, _) = poll(&fake.connect(), &[ask("Account", SINCE)]).await;
        let fault = polled.unwrap_err();
        assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Answer, code));
    }
    let early = json!({"totalSize": 5, "done": true, "records": [row(1), row(2)]});
    let fake = Fake::start(move |s| if s.path.contains("FROM Account") { ok(early.clone()) } else { None }).await;
    let (polled, records) = poll(&fake.connect(), &[ask("Account", None), ask("Contact", None)]).await;
    let polled = polled.unwrap();
    assert_eq!(polled[0].end.as_ref().unwrap_err().code, "truncated");
    assert_eq!(records.len(), 2, "what came still counts as seen");
    assert!(polled[1].end.as_ref().unwrap().complete, "the others go on");
}

#[tokio::test]
async fn a_lost_cursor_loses_no_row() {
    let fake = Fake::start(|s| {
        if s.path.contains("/query/next") {
            return Some(Reply(
                400,
                vec![],
                json!([{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid query locator"}]).to_string(),
            ));
        }
        if s.path.contains(&format!("Id > '{}'", id(2))) {
            return ok(page(&[row(3)]));
        }
        let first =
            json!({"totalSize": 3, "done": false, "nextRecordsUrl": "/services/data/v66.0/query/next", "records": [row(1), row(2)]});
        if s.path.contains("FROM Account") { ok(first) } else { None }
    })
    .await;
    let (polled, records) = poll(&fake.connect(), &[ask("Account", None)]).await;
    assert!(polled.unwrap()[0].end.as_ref().unwrap().complete);
    assert_eq!(records.len(), 3);
}

#[tokio::test]
async fn a_field_that_vanished_is_asked_for_again_at_describe() {
    let fake = Fake::start(|s| {
        let fault = json!([{"errorCode": "INVALID_FIELD", "message": "\nSELECT Id\nERROR at Row:1:Column:1\nNo such column 'Name' on entity 'Account'"}]);
        s.path.contains("FROM Account").then(|| Reply(400, vec![], fault.to_string()))
    })
    .await;
    let salesforce = fake.connect();
    let (polled, _) = poll(&salesforce, &[ask("Account", None)]).await;
    let fault = polled.unwrap().remove(0).end.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Setup);
    assert!(fault.message.contains("'Name'"));
    salesforce.schema(&["Account".into()]).await.unwrap();
    assert_eq!(fake.seen("/Account/describe").len(), 2);
    let (polled, _) = poll(&salesforce, &[Ask { fields: vec!["Nope".into()], ..ask("Account", None) }]).await;
    assert!(polled.unwrap().remove(0).end.unwrap_err().message.contains("Nope"));
}

#[tokio::test]
async fn deleted_and_merged_are_told_apart_from_missing() {
    let fake = Fake::start(|s| {
        let (mut deleted, mut merged) = (row(2), row(3));
        deleted["IsDeleted"] = json!(true);
        (merged["IsDeleted"], merged["MasterRecordId"]) = (json!(true), json!(id(1)));
        if s.path.contains("queryAll") && s.path.contains("Id IN (") { ok(page(&[row(1), deleted, merged])) } else { None }
    })
    .await;
    let ids: Vec<RecordId> = (1..=4).map(|n| RecordId::from(id(n))).chain(["nonsense".into()]).collect();
    let mut found = fake.connect().get_many("Account", &["Name".into()], &ids).await.unwrap();
    found.sort_by_key(|f| match f {
        Fetched::Here(r) | Fetched::Deleted(r) => r.id.clone(),
        Fetched::Missing(id) | Fetched::Refused(id, _) => id.clone(),
    });
    assert!(matches!(&found[0], Fetched::Here(r) if r.fields["Name"] == Value::text("name 1")));
    assert!(matches!(&found[1], Fetched::Deleted(r) if r.life == Life::Deleted));
    assert!(matches!(&found[2], Fetched::Deleted(r) if r.life == Life::MergedInto(id(1).into())));
    assert!(matches!(&found[3], Fetched::Missing(_)));
    assert!(matches!(&found[4], Fetched::Refused(..)));
}

#[tokio::test]
async fn found_rows_are_checked_again() {
    let fake = Fake::start(|s| {
        let mut loose = row(1);
        loose["Name"] = json!("ACME O'Neil");
        let mut exact = row(2);
        exact["Name"] = json!("Acme O'Neil");
        if s.path.contains(r"Name IN ('Acme O\'Neil')") { ok(page(&[loose, exact])) } else { None }
    })
    .await;
    let values = [Value::text("Acme O'Neil"), Value::Null];
    let found = fake.connect().find("Account", &[], "Name", &values).await.unwrap();
    assert_eq!(found.iter().map(|r| r.id.to_string()).collect::<Vec<_>>(), [id(2)]);
}

#[tokio::test]
async fn each_record_of_a_batch_has_its_own_outcome_and_is_read_back() {
    let fake = Fake::start(|s| {
        if s.path.ends_with("/composite/sobjects") {
            assert_eq!(s.body["allOrNone"], false);
            return ok(json!([
                {"id": id(1), "success": true, "errors": []},
                {"success": false, "errors": [{"statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "no!", "fields": ["Name"]}]},
            ]));
        }
        if s.path.ends_with("/composite/sobjects/Account/Lockstep_Id__c") {
            assert_eq!(s.body["records"][0]["Lockstep_Id__c"], "acme-3");
            return ok(json!([{"id": id(3), "success": true, "errors": [], "created": true}]));
        }
        if s.path.contains("Id IN (") { ok(page(&[row(1), row(3)])) } else { None }
    })
    .await;
    let salesforce = fake.connect();
    let name = |text: &str| [("Name", Value::text(text))];
    let bad = update(4, &[("MasterRecordId", Value::text(id(1)))]);
    salesforce.schema(&["Account".into()]).await.unwrap();
    let before = salesforce.calls().data;
    let out = salesforce.apply(&[update(1, &name("a")), update(2, &name("b")), create("acme-3"), bad]).await;
    assert!(matches!(&out[0], Outcome::Done { record: Some(r), .. } if r.fields["Name"] == Value::text("name 1")), "{:?}", out[0]);
    assert!(
        matches!(&out[1], Outcome::Rejected { code, message, fields } if code == "FIELD_CUSTOM_VALIDATION_EXCEPTION" && message == "no!" && fields == &["Name"])
    );
    assert!(matches!(&out[2], Outcome::Done { id: done, record: Some(_), .. } if done.as_str() == id(3)));
    assert!(matches!(&out[3], Outcome::Rejected { fields, .. } if fields == &["MasterRecordId"]));
    assert_eq!(salesforce.calls().data - before, 2, "one call for all writes, one to read them back");
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_unknown_and_found_by_reading() {
    for lost in [Reply(502, vec![], "<html>".into()), Reply(200, vec![], "<html>".into()), Reply(200, vec![], "{\"compositeResp".into())] {
        let lost = Mutex::new(Some(lost));
        let fake = Fake::start(move |s| {
            if s.raw.contains("composite/sobjects") {
                return lost.lock().unwrap().take();
            }
            if s.path.contains("Lockstep_Id__c IN ('acme-7')") { ok(page(&[row(7)])) } else { None }
        })
        .await;
        let salesforce = fake.connect();
        let out = salesforce.apply(&[create("acme-7"), create("acme-8")]).await;
        assert!(out.iter().all(|o| matches!(o, Outcome::Unknown { .. })), "{out:?}");
        assert_eq!(fake.seen("/composite").iter().filter(|s| s.raw.contains("composite/sobjects")).count(), 1, "never sent again blindly");
        assert!(matches!(salesforce.resolve(&create("acme-7")).await, Outcome::Done { id: found, .. } if found.as_str() == id(7)));
        assert!(matches!(salesforce.resolve(&create("acme-8")).await, Outcome::Failed { .. }));
    }
}

#[tokio::test]
async fn resolve_compares_what_an_update_sent() {
    let fake = Fake::start(|s| if s.path.contains("Id IN (") && s.path.contains(&id(1)) { ok(page(&[row(1)])) } else { None }).await;
    let salesforce = fake.connect();
    let update = |n, text: &str| update(n, &[("Name", Value::text(text))]);
    assert!(matches!(salesforce.resolve(&update(1, "name 1")).await, Outcome::Done { .. }));
    assert!(matches!(salesforce.resolve(&update(1, "other")).await, Outcome::Failed { .. }));
    assert_eq!(salesforce.resolve(&update(2, "x")).await, Outcome::Missing);

    // Many promises are looked up together: a crash in the middle of a batch does not cost a call for each of its rows.
    let before = salesforce.calls().data;
    let many: Vec<Write> = (0..200).map(|_| update(1, "name 1")).chain([update(2, "x")]).collect();
    let out = salesforce.resolve_many(&many).await;
    assert_eq!((out.len(), &out[200], salesforce.calls().data - before), (201, &Outcome::Missing, 1));
    assert!(out[..200].iter().all(|o| matches!(o, Outcome::Done { .. })));
}

#[tokio::test]
async fn one_bad_record_fails_alone() {
    let fake = Fake::start(|s| {
        if s.path.ends_with("/composite/sobjects") {
            let records = s.body["records"].as_array().unwrap();
            if records.iter().any(|r| r["Name"] == "poison") {
                let fault = json!([{"errorCode": "APEX_ERROR", "message": "System.LimitException: Apex CPU time limit exceeded"}]);
                return Some(Reply(400, vec![], fault.to_string()));
            }
            return ok(records.iter().map(|r| json!({"id": r["id"], "success": true, "errors": []})).collect());
        }
        None
    })
    .await;
    let writes: Vec<Write> = (0..300).map(|n| update(n, &[("Name", Value::text(if n == 250 { "poison" } else { "fine" }))])).collect();
    let out = fake.connect().apply(&writes).await;
    for (n, outcome) in out.iter().enumerate() {
        if n == 250 {
            assert!(matches!(outcome, Outcome::Rejected { code, .. } if code == "APEX_ERROR"), "{outcome:?}");
        } else {
            assert!(matches!(outcome, Outcome::Done { .. }), "{n}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn the_reserve_of_the_others_is_not_touched() {
    let fake = Fake::start(|s| {
        let usage = vec![("sforce-limit-info", "api-usage=81/100; per-app-api-usage=1/2(appName=x)".to_owned())];
        s.path.contains("/describe").then(|| Reply(200, usage, describe().to_string()))
    })
    .await;
    let salesforce = fake.connect();
    salesforce.schema(&["Account".into()]).await.unwrap();
    assert_eq!((salesforce.calls().allowance_used, salesforce.calls().allowance_max), (Some(81), Some(100)));
    let calls = fake.seen("").len();
    let (polled, _) = poll(&salesforce, &[ask("Account", SINCE)]).await;
    assert_eq!(polled.unwrap_err().kind, FaultKind::Budget);
    let out = salesforce.apply(&[update(1, &[("Name", Value::text("x"))])]).await;
    assert!(matches!(&out[0], Outcome::Failed { code, .. } if code == "api-budget"));
    assert_eq!(fake.seen("").len(), calls, "nothing was sent");
}

#[tokio::test]
async fn a_conditional_patch_is_refused_where_the_record_moved() {
    let fake =
        Fake::start(|s| (s.method == "PATCH").then(|| Reply(if s.path.contains(&id(1)) { 204 } else { 412 }, vec![], String::new()))).await;
    let salesforce = fake.connect();
    let fields = Fields::from([("Name".to_owned(), Value::text("x"))]);
    let patch = async |n| salesforce.patch_if_unmodified("Account", &id(n).into(), &fields, "2026-01-02T11:00:00Z").await;
    assert_eq!(patch(1).await, Ok(()));
    let fault = patch(2).await.unwrap_err();
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Record, "changed-meanwhile"));
    assert_eq!(fake.seen(&id(1))[0].body, json!({"Name": "x"}));
}

#[tokio::test]
async fn the_org_is_known_by_its_token_even_where_it_may_not_be_asked() {
    let fake = Fake::start(|s| {
        let denied = json!([{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}]).to_string();
        s.path.contains("FROM Organization").then(|| Reply(403, vec![], denied))
    })
    .await;
    let identity = fake.connect().identity().await.unwrap();
    assert_eq!((identity.id.as_str(), identity.is_sandbox), (ORG, false));
}

#[test]
fn settings_that_cannot_work_are_refused_at_once() {
    let settings = |login: &str, version: &str| Settings {
        login_url: login.into(),
        api_version: version.into(),
        flow: Flow::ClientCredentials { client_id: "id".into(), client_secret: SecretString::from(CANARY.to_owned()) },
        allowed_hosts: vec![],
        token_file: None,
        lookback_s: 600,
        reserve_percent: 20,
        product_fields: false,
    };
    for (login, version, code) in [
        ("https://login.salesforce.com", "66.0", "not-my-domain"),
        ("http://acme.my.salesforce.com", "66.0", "not-https"),
        ("acme", "66.0", "bad-url"),
        ("https://acme.my.salesforce.com", "45.0", "bad-api-version"),
    ] {
        assert_eq!(Salesforce::new(settings(login, version)).unwrap_err().code, code, "{login}");
    }
    let fine = Salesforce::new(settings("https://acme.my.salesforce.com", "66.0")).unwrap();
    assert!(!format!("{fine:?}").contains(CANARY));
}
