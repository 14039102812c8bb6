//! The Salesforce connector against the simulated org: the wire as a whole, and what may go wrong on it.

#![allow(clippy::unwrap_used)]

use lockstep::connectors::salesforce::{Flow, Salesforce, Settings};
use lockstep::connectors::{Ask, Fault, FaultKind, Fetched, Page, Polled, Reader, Writer};
use lockstep::plan::{Outcome, Verb, Write};
use lockstep::record::{FieldType, Fields, Life, Record, RecordId, Value};
use lockstep::sandbox::salesforce::{Options, Salesforce as Org};
use secrecy::SecretString;
use serde_json::{Value as J, json};
use std::collections::BTreeSet;

async fn org() -> Org {
    Org::start(0, Default::default(), Options::default()).await.unwrap()
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn settings(org: &Org) -> Settings {
    let Options { client_id, client_secret, .. } = Options::default();
    Settings {
        login_url: org.url.clone(),
        api_version: "66.0".into(),
        flow: Flow::ClientCredentials { client_id, client_secret: secret(&client_secret) },
        allowed_hosts: vec![],
        token_file: None,
        lookback_s: 600,
        reserve_percent: 20,
        product_fields: false,
    }
}

fn connect(org: &Org) -> Salesforce {
    Salesforce::new(settings(org)).unwrap()
}

fn ask(resource: &str, fields: &[&str], since: Option<&str>) -> Ask {
    let fields = fields.iter().map(|f| (*f).to_owned()).collect();
    Ask { object: resource.into(), resource: resource.into(), fields, since: since.map(str::to_owned), sweep: false }
}

async fn poll(salesforce: &Salesforce, asks: &[Ask]) -> (Result<Vec<Polled>, Fault>, Vec<Record>) {
    let (send, mut pages) = tokio::sync::mpsc::channel::<Page>(2);
    let gather = async {
        let mut all = vec![];
        while let Some(page) = pages.recv().await {
            all.extend(page.records);
        }
        all
    };
    tokio::join!(salesforce.poll(asks, send), gather)
}

/// One ask that must end well: its watermark and its records.
async fn read(salesforce: &Salesforce, ask: Ask) -> (String, Vec<Record>) {
    let (polled, records) = poll(salesforce, &[ask]).await;
    (polled.unwrap().remove(0).end.unwrap().watermark.unwrap(), records)
}

fn ids(records: &[Record]) -> BTreeSet<String> {
    records.iter().map(|r| r.id.to_string()).collect()
}

fn write(verb: Verb, resource: &str, id: Option<&str>, key: Option<&str>, fields: &[(&str, Value)]) -> Write {
    Write {
        intent: 1,
        object: resource.to_lowercase(),
        resource: resource.into(),
        verb,
        id: id.map(RecordId::from),
        fields: fields.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
        key: key.map(|k| ("Lockstep_Id__c".to_owned(), k.to_owned())),
        read: vec!["Name".into()],
    }
}

fn accounts(org: &Org, n: usize) -> Vec<String> {
    let mut world = org.world();
    (0..n).map(|i| world.insert("Account", &json!({"Name": format!("Account {i}"), "Phone": "1"})).unwrap()).collect()
}

fn fault(org: &Org, fault: J) {
    org.wire.faults.add(&fault).unwrap();
}

fn minutes(org: &Org, n: i64) {
    org.wire.clock.advance(chrono::TimeDelta::minutes(n));
}

#[tokio::test]
async fn describe_tells_types_and_permissions() {
    let org = org().await;
    let salesforce = connect(&org);
    let names = ["Account", "Contact", "Order", "License__c", "Nothing__c"].map(str::to_owned);
    let schema = salesforce.schema(&names).await.unwrap();
    assert_eq!(schema.len(), 4, "what does not exist is absent");
    assert!(matches!(schema["Contact"].fields["Email"].ty, FieldType::Email { .. }));
    assert_eq!(schema["Contact"].fields["AccountId"].ty, FieldType::Reference { to: "Account".into() });
    assert!(!schema["Contact"].fields["Name"].updateable && schema["Contact"].fields["LastName"].required);
    assert_eq!(schema["Order"].fields["lines"].ty, FieldType::Rows);
    assert_eq!(schema["License__c"].planted.as_deref(), Some("Lockstep_Id__c"));
    assert!(schema["License__c"].fields["License_Key__c"].secret);
    assert_eq!(schema["License__c"].fields["Max_Activations__c"].ty, FieldType::Integer);
    // The static catalogue must agree with what an org with our metadata says.
    for resource in &salesforce.catalogue().resources {
        let names = [resource.name.to_owned()];
        let described = salesforce.schema(&names).await.unwrap();
        for field in resource.fields.iter().filter(|f| described.contains_key(resource.name) && !f.name.contains('.')) {
            let Some(live) = described[resource.name].fields.get(field.name) else { continue };
            assert_eq!(std::mem::discriminant(&live.ty), std::mem::discriminant(&field.ty), "{}.{}", resource.name, field.name);
            assert!(!field.update || live.updateable, "{}.{} is not updateable", resource.name, field.name);
        }
    }
}

#[tokio::test]
async fn a_full_read_brings_every_row_however_the_pages_are_cut() {
    let org = org().await;
    let made = accounts(&org, 4_500);
    {
        let mut world = org.world();
        world.settings.set("jitter_pages", &json!(true)).unwrap();
        world.delete("Account", &made[7]).unwrap();
    }
    let salesforce = connect(&org);
    let (polled, records) = poll(&salesforce, &[ask("Account", &["Name", "Phone"], None)]).await;
    assert!(polled.unwrap()[0].end.as_ref().unwrap().complete);
    assert_eq!(ids(&records).len(), 4_499);
    assert_eq!(salesforce.count("Account").await.unwrap(), 4_499);
    assert!(records.iter().all(|r| r.fields["Phone"] == Value::text("1") && r.stamp.is_some() && r.life == Life::Live));
}

#[tokio::test]
async fn a_delta_sees_edits_late_commits_deletions_and_merges_and_idles_at_one_call() {
    let org = org().await;
    let made = accounts(&org, 6);
    minutes(&org, 60);
    let salesforce = connect(&org);
    let (since, _) = read(&salesforce, ask("Account", &["Name"], None)).await;
    let late = {
        let mut world = org.world();
        let at = org.wire.clock.now() + chrono::TimeDelta::seconds(300);
        world.begin("update", "Account", Some(&made[0]), &json!({"Name": "late"}), at).unwrap();
        world.update("Account", &made[1], &json!({"Name": "edited"})).unwrap();
        world.delete("Account", &made[2]).unwrap();
        world.merge("Account", &made[3], &[&made[4]], &json!({})).unwrap();
        made[0].clone()
    };
    let asks = [ask("Account", &["Name"], Some(&since))];
    let (polled, records) = poll(&salesforce, &asks).await;
    let by = |id: &str| records.iter().find(|r| r.id.as_str() == id);
    assert!(by(&late).is_none(), "not committed yet");
    assert_eq!(by(&made[1]).unwrap().fields["Name"], Value::text("edited"));
    assert_eq!(by(&made[2]).unwrap().life, Life::Deleted);
    assert_eq!(by(&made[4]).unwrap().life, Life::MergedInto(made[3].as_str().into()));
    assert!(by(&made[5]).is_none(), "unchanged and older than the lookback");
    let since = polled.unwrap().remove(0).end.unwrap().watermark.unwrap();

    minutes(&org, 6);
    let before = salesforce.calls().data;
    let (_, records) = read(&salesforce, ask("Account", &["Name"], Some(&since))).await;
    assert_eq!(salesforce.calls().data - before, 1);
    let record = records.iter().find(|r| r.id.as_str() == late).unwrap();
    assert_eq!(record.fields["Name"], Value::text("late"), "its stamp is older than the watermark");
}

#[tokio::test]
async fn a_thousand_rows_on_one_stamp_survive_short_pages_and_lost_cursors() {
    let org = org().await;
    let made = accounts(&org, 1_000);
    org.world().settings.set("page_size", &json!(200)).unwrap();
    fault(
        &org,
        json!({"on": "/query/", "nth": 3, "do": {"status": 400, "body": r#"[{"errorCode":"INVALID_QUERY_LOCATOR","message":"invalid query locator"}]"#, "content_type": "application/json"}}),
    );
    let salesforce = connect(&org);
    let (_, records) = read(&salesforce, ask("Account", &["Name"], Some("2020-01-01T00:00:00Z"))).await;
    assert_eq!(ids(&records), made.iter().cloned().collect());
}

struct Shop {
    account: String,
    book: String,
    entry: String,
}

fn shop(org: &Org) -> Shop {
    let mut world = org.world();
    let account = world.insert("Account", &json!({"Name": "A"})).unwrap();
    let product = world.insert("Product2", &json!({"Name": "Pro", "ProductCode": "LS-PRO", "IsActive": true})).unwrap();
    let book = world.rows("Pricebook2")[0]["Id"].as_str().unwrap().to_owned();
    let entry =
        world.insert("PricebookEntry", &json!({"Pricebook2Id": book, "Product2Id": product, "UnitPrice": 9.5, "IsActive": true})).unwrap();
    Shop { account, book, entry }
}

fn order(org: &Org, shop: &Shop, lines: usize) -> (String, Vec<String>) {
    let mut world = org.world();
    let fields = json!({"AccountId": shop.account, "EffectiveDate": "2026-01-01", "Pricebook2Id": shop.book, "Status": "Draft"});
    let order = world.insert("Order", &fields).unwrap();
    let item = json!({"OrderId": order, "PricebookEntryId": shop.entry, "Quantity": 3, "UnitPrice": 9});
    let items = (0..lines).map(|_| world.insert("OrderItem", &item).unwrap()).collect();
    (order, items)
}

fn lines(record: &Record) -> Vec<String> {
    record.fields["lines"].as_rows().unwrap().iter().map(|l| l["Id"].as_text().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn orders_come_whole_with_their_lines() {
    let org = org().await;
    let shop = shop(&org);
    let made: Vec<_> = (0..30).map(|i| order(&org, &shop, i % 4)).collect();
    org.world().settings.set("page_size", &json!(7)).unwrap();
    let salesforce = connect(&org);
    let fields = ["StatusCode", "AccountId", "Account.Name", "lines"];
    let (since, full) = read(&salesforce, ask("Order", &fields, None)).await;
    assert_eq!(full.len(), 30, "orders without lines too");
    for (id, items) in &made {
        let record = full.iter().find(|r| r.id.as_str() == id).unwrap();
        assert_eq!(lines(record), *items);
        assert_eq!(record.fields["Account.Name"], Value::text("A"));
    }
    let line = &full.iter().find(|r| lines(r).len() == 1).unwrap().fields["lines"].as_rows().unwrap()[0];
    assert_eq!((&line["ProductCode"], &line["ProductName"]), (&Value::text("LS-PRO"), &Value::text("Pro")));
    assert_eq!(line["Quantity"], Value::Decimal("3".parse().unwrap()));

    // Everything is inside the lookback: the delta brings all orders that have lines, whole.
    let (_, delta) = read(&salesforce, ask("Order", &fields, Some(&since))).await;
    assert_eq!(delta.len(), made.iter().filter(|(_, items)| !items.is_empty()).count());
    for record in &delta {
        let full = full.iter().find(|r| r.id == record.id).unwrap();
        assert_eq!(record, full, "a delta and a full read tell the same");
    }

    minutes(&org, 60);
    let salesforce = connect(&org);
    let (since, _) = read(&salesforce, ask("Order", &fields, None)).await;
    let (id, items) = made.iter().find(|(_, items)| items.len() == 3).unwrap();
    org.world().activate_order(id).unwrap();
    let before = salesforce.calls().data;
    let (_, delta) = read(&salesforce, ask("Order", &fields, Some(&since))).await;
    assert_eq!(salesforce.calls().data - before, 1);
    assert_eq!((delta.len(), delta[0].id.as_str()), (1, id.as_str()));
    assert_eq!((lines(&delta[0]), delta[0].partial.len()), (items.clone(), 0));
    assert_eq!(delta[0].fields["StatusCode"], Value::text("Activated"));

    minutes(&org, 60);
    let salesforce = connect(&org);
    let (since, _) = read(&salesforce, ask("Order", &fields, None)).await;
    let (draft, draft_items) = made.iter().rfind(|(_, items)| items.len() == 3).unwrap();
    org.world().update("OrderItem", &draft_items[1], &json!({"Description": "changed"})).unwrap();
    let (_, delta) = read(&salesforce, ask("Order", &fields, Some(&since))).await;
    assert_eq!((delta.len(), delta[0].id.as_str()), (1, draft.as_str()));
    let whole = delta[0].partial.is_empty();
    assert_eq!(lines(&delta[0]), if whole { draft_items.clone() } else { vec![draft_items[1].clone()] });

    let fetched = salesforce.get_many("Order", &fields.map(str::to_owned), &[id.as_str().into(), made[0].0.as_str().into()]).await.unwrap();
    for f in fetched {
        let Fetched::Here(record) = f else { panic!("{f:?}") };
        assert_eq!(lines(&record), made.iter().find(|(id, _)| record.id.as_str() == id).unwrap().1);
    }
}

#[tokio::test]
async fn a_thousand_writes_are_one_call_and_one_to_read_them_back() {
    let org = org().await;
    let salesforce = connect(&org);
    let writes: Vec<Write> = (0..1_000)
        .map(|i| {
            write(
                Verb::Create,
                "License__c",
                None,
                Some(&format!("acme-{i}")),
                &[("State__c", Value::text("active")), ("Max_Activations__c", Value::Int(i))],
            )
        })
        .collect();
    salesforce.schema(&["License__c".into()]).await.unwrap();
    let before = salesforce.calls();
    let out = salesforce.apply(&writes).await;
    for (write, outcome) in writes.iter().zip(&out) {
        let Outcome::Done { record: Some(record), .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(record.fields["Max_Activations__c"], write.fields["Max_Activations__c"]);
    }
    assert_eq!(salesforce.calls().data - before.data, 2);
    assert!(salesforce.calls().allowance_used.is_some());
    let again = salesforce.apply(&writes).await;
    assert!(again.iter().all(|o| matches!(o, Outcome::Done { .. })));
    assert_eq!(org.world().rows("License__c").len(), 1_000, "a create that comes twice makes one record");

    let Outcome::Done { id, .. } = &out[0] else { unreachable!() };
    let gone = salesforce.apply(&[write(Verb::Delete, "License__c", Some(id.as_str()), None, &[])]).await;
    assert!(matches!(&gone[0], Outcome::Done { record: None, .. }), "{gone:?}");
    let update = write(Verb::Update, "License__c", Some(id.as_str()), None, &[("State__c", Value::text("x"))]);
    assert_eq!(salesforce.apply(std::slice::from_ref(&update)).await, [Outcome::Missing]);
    assert_eq!(salesforce.resolve(&update).await, Outcome::Missing);
    assert!(matches!(salesforce.resolve(&write(Verb::Delete, "License__c", Some(id.as_str()), None, &[])).await, Outcome::Done { .. }));
}

#[tokio::test]
async fn what_the_org_holds_is_read_back_not_assumed() {
    let org = org().await;
    let made = accounts(&org, 3);
    {
        let mut world = org.world();
        let set = json!({"Phone": "+1 (trigger)"}).as_object().unwrap().clone();
        world.add_trigger("Account", Some("Name"), set).unwrap();
        world.add_rule("Account", "Name", json!("forbidden"), "Not this name.").unwrap();
        world.lock_row(&made[2], 2).unwrap();
    }
    let salesforce = connect(&org);
    let name = |id: &str, text: &str| Write {
        read: vec!["Name".into(), "Phone".into()],
        ..write(Verb::Update, "Account", Some(id), None, &[("Name", Value::text(text))])
    };
    let out = salesforce.apply(&[name(&made[0], "  new  "), name(&made[1], "forbidden"), name(&made[2], "locked")]).await;
    let Outcome::Done { record: Some(record), .. } = &out[0] else { panic!("{out:?}") };
    assert_eq!((&record.fields["Name"], &record.fields["Phone"]), (&Value::text("new"), &Value::text("+1 (trigger)")));
    assert!(
        matches!(&out[1], Outcome::Rejected { code, message, .. } if code == "FIELD_CUSTOM_VALIDATION_EXCEPTION" && message.contains("Not this name"))
    );
    assert!(matches!(&out[2], Outcome::Done { .. }), "a lock passes: {:?}", out[2]);
}

#[tokio::test]
async fn an_outcome_nobody_knows_is_found_by_reading() {
    let org = org().await;
    let salesforce = connect(&org);
    let make = write(Verb::Create, "Account", None, Some("acme-1"), &[("Name", Value::text("One"))]);
    for (do_, happened) in
        [(json!("reset_after"), true), (json!({"status_after": 502, "body": "<html>"}), true), (json!({"truncate": 0.3}), true)]
    {
        fault(&org, json!({"on": "/composite", "body": "composite/sobjects", "do": do_}));
        let out = salesforce.apply(std::slice::from_ref(&make)).await;
        assert!(matches!(&out[0], Outcome::Unknown { .. }), "{do_}: {out:?}");
        assert_eq!(matches!(salesforce.resolve(&make).await, Outcome::Done { .. }), happened);
        assert_eq!(org.world().rows("Account").len(), 1);
    }
    let other = write(Verb::Create, "Account", None, Some("acme-2"), &[("Name", Value::text("Two"))]);
    fault(&org, json!({"on": "/composite", "body": "composite/sobjects", "do": "reset_before"}));
    assert!(matches!(&salesforce.apply(std::slice::from_ref(&other)).await[0], Outcome::Unknown { .. }));
    assert!(matches!(salesforce.resolve(&other).await, Outcome::Failed { .. }));
}

#[tokio::test]
async fn reads_survive_what_passes_and_name_what_does_not() {
    let org = org().await;
    accounts(&org, 450);
    org.world().settings.set("page_size", &json!(200)).unwrap();
    let salesforce = connect(&org);
    let all = || ask("Account", &["Name"], None);
    fault(&org, json!({"on": "/query/", "do": {"status": 503, "body": "<html>", "content_type": "text/html"}}));
    fault(&org, json!({"on": "/query/", "nth": 2, "do": "reset_before"}));
    assert_eq!(read(&salesforce, all()).await.1.len(), 450);
    fault(&org, json!({"on": "/query/", "do": "html_200"}));
    let (polled, records) = poll(&salesforce, &[all()]).await;
    assert_eq!((polled.unwrap()[0].end.as_ref().unwrap_err().code.as_str(), records.len()), ("html-body", 200));
    fault(&org, json!({"on": "/query/", "do": {"truncate": 0.5}}));
    let (polled, _) = poll(&salesforce, &[all()]).await;
    assert_eq!(polled.unwrap()[0].end.as_ref().unwrap_err().code, "truncated-json");
    org.world().expire_tokens();
    assert_eq!(read(&salesforce, all()).await.1.len(), 450);
    org.world().hide_field("Account", "Phone", true).unwrap();
    let hidden = salesforce.schema(&["Account".into()]).await.unwrap();
    let (polled, _) = poll(&salesforce, &[ask("Account", &["Phone"], None)]).await;
    let fault = polled.unwrap().remove(0).end.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Setup);
    assert!(fault.message.contains("Phone"), "{fault} {}", hidden.len());
    assert!(!salesforce.schema(&["Account".into()]).await.unwrap()["Account"].fields.contains_key("Phone"));
}

fn private_key() -> String {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use base64::{Engine, engine::general_purpose::STANDARD};
    let pair = aws_lc_rs::signature::RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()))
}

#[tokio::test]
async fn the_other_flows_work_too() {
    let org = org().await;
    let Options { client_id, client_secret, username, password, refresh_token, .. } = Options::default();
    let dir = tempfile::tempdir().unwrap();
    org.world().settings.set("rotate_refresh", &json!(true)).unwrap();
    let flows = [
        Flow::Password {
            client_id: client_id.clone(),
            client_secret: secret(&client_secret),
            username: username.clone(),
            password: secret(&password),
        },
        Flow::RefreshToken { client_id: client_id.clone(), client_secret: None, refresh_token: secret(&refresh_token) },
    ];
    for flow in flows {
        let settings = Settings { flow, token_file: Some(dir.path().join("tokens.json")), ..settings(&org) };
        for _ in 0..3 {
            let salesforce = Salesforce::new(settings.clone()).unwrap();
            assert_eq!(salesforce.count("Account").await, Ok(0));
            org.world().expire_tokens();
            assert_eq!(salesforce.count("Account").await, Ok(0));
        }
    }
    // An hour apart, our clock and the org's: the refusal tells the time, and the second assertion is dated by it.
    org.wire.clock.set_offset(chrono::TimeDelta::hours(1));
    let private_key = secret(&private_key());
    let jwt = |user: &str| Flow::Jwt {
        client_id: client_id.clone(),
        username: user.into(),
        private_key: private_key.clone(),
        audience: "https://login.salesforce.com".into(),
    };
    let settings_of = |flow| Settings { flow, ..settings(&org) };
    assert_eq!(Salesforce::new(settings_of(jwt(&Options::default().username))).unwrap().count("Account").await, Ok(0));
    let fault = Salesforce::new(settings_of(jwt("nobody"))).unwrap().count("Account").await.unwrap_err();
    assert_eq!((fault.kind, fault.message.contains("hasn't approved")), (FaultKind::Credentials, true));

    let wrong = Flow::ClientCredentials { client_id: client_id.clone(), client_secret: secret("canary") };
    let fault = Salesforce::new(Settings { flow: wrong, ..settings(&org) }).unwrap().identity().await.unwrap_err();
    assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Credentials, "invalid_client"));
    assert!(!format!("{fault:?}").contains("canary"));
}

#[tokio::test]
async fn the_org_is_identified_and_the_budget_kept() {
    let org = org().await;
    let salesforce = connect(&org);
    let identity = salesforce.identity().await.unwrap();
    assert_eq!((identity.id.len(), identity.name.as_str(), identity.is_sandbox), (18, "Orbit Software", false));
    org.world().settings.set("daily_max", &json!(5)).unwrap();
    let mut kinds = vec![];
    for _ in 0..8 {
        if let Err(fault) = salesforce.count("Account").await {
            kinds.push(fault.kind);
        }
    }
    assert!(!kinds.is_empty() && kinds.iter().all(|k| *k == FaultKind::Budget), "{kinds:?}");
    assert!(org.world().used() <= 5, "the reserve is not touched");
}

#[tokio::test]
async fn a_conditional_patch_and_a_find() {
    let org = org().await;
    let made = accounts(&org, 2);
    let salesforce = connect(&org);
    let stamp = org.wire.clock.now().to_rfc3339();
    let fields = |text: &str| Fields::from([("Name".to_owned(), Value::text(text))]);
    let id: RecordId = made[0].as_str().into();
    minutes(&org, 1);
    salesforce.patch_if_unmodified("Account", &id, &fields(r"O'Neil \ Sons"), &stamp).await.unwrap();
    let fault = salesforce.patch_if_unmodified("Account", &id, &fields("x"), &stamp).await.unwrap_err();
    assert_eq!(fault.code, "changed-meanwhile");
    let found =
        salesforce.find("Account", &["Phone".into()], "Name", &[Value::text(r"O'Neil \ Sons"), Value::text("nobody")]).await.unwrap();
    assert_eq!(ids(&found), [made[0].clone()].into());
}
