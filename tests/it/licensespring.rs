//! The LicenseSpring connector against its simulator: the whole path, under every switch the vendor leaves open and with
//! every call going wrong once.

#![allow(clippy::unwrap_used)]

use lockstep::connectors::licensespring::{LicenseSpring, Settings};
use lockstep::connectors::{Ask, Fetched, Page, Polled, Reader, Writer};
use lockstep::plan::{Outcome, Verb, Write};
use lockstep::record::{Fields, Record, RecordId, Value};
use lockstep::sandbox::licensespring as simulator;
use lockstep::sandbox::serve::Wire;
use serde_json::{Value as J, json};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

const ACCOUNT: &str = "001A0000012abcDQAQ";
const CONTACT: &str = "003A0000012abcDQAQ";
const ORDER: &str = "SF-801A0000012abcDQAQ";
const LISTS: [&str; 5] = ["customer-account", "customer", "order", "license", "feature"];

struct Company {
    sim: simulator::LicenseSpring,
    wire: Wire,
    connector: LicenseSpring,
}

impl Company {
    async fn start(switches: &J) -> Self {
        let wire = Wire::default();
        let settings = simulator::Settings::default().merged(switches).unwrap();
        let sim = simulator::LicenseSpring::start(0, wire.clone(), simulator::Options { settings, ..simulator::Options::default() })
            .await
            .unwrap();
        let settings = Settings {
            url: sim.url.clone(),
            api_key: sim.api_key.clone().into(),
            requests_per_minute: None,
            company: Some("901".into()),
            connection: "acme".into(),
        };
        Self { connector: LicenseSpring::new(settings).unwrap(), sim, wire }
    }

    fn count(&self, object: simulator::Object) -> usize {
        self.sim.world().count(object)
    }

    /// As the engine would: what is unknown is resolved, what failed is tried again, nothing else.
    async fn settle(&self, write: &Write) -> (RecordId, Option<Record>) {
        let mut outcome = self.connector.apply(std::slice::from_ref(write)).await.remove(0);
        for _ in 0..6 {
            outcome = match outcome {
                Outcome::Done { id, record, .. } => return (id, record),
                Outcome::Unknown { .. } => self.connector.resolve(write).await,
                Outcome::Failed { .. } => self.connector.apply(std::slice::from_ref(write)).await.remove(0),
                other => panic!("{} {}: {other:?}", write.verb, write.resource),
            };
        }
        panic!("{} {} never settles: {outcome:?}", write.verb, write.resource)
    }

    async fn poll(&self, asks: &[Ask]) -> (BTreeMap<String, BTreeMap<RecordId, Record>>, Vec<Polled>) {
        let (to, mut from) = mpsc::channel::<Page>(2);
        let (polled, records) = tokio::join!(self.connector.poll(asks, to), async {
            let mut records: BTreeMap<String, BTreeMap<RecordId, Record>> = BTreeMap::new();
            while let Some(page) = from.recv().await {
                records.entry(page.object).or_default().extend(page.records.into_iter().map(|r| (r.id.clone(), r)));
            }
            records
        });
        (records, polled.unwrap())
    }
}

fn fields(pairs: &[(&str, Value)]) -> Fields {
    pairs.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect()
}

fn text(text: &str) -> Value {
    Value::text(text)
}

fn write(resource: &str, verb: Verb, id: Option<&RecordId>, key: Option<(&str, &str)>, pairs: &[(&str, Value)]) -> Write {
    let fields = fields(pairs);
    let read = fields.keys().filter(|n| *n != "items").cloned().collect();
    let key = key.map(|(f, v)| (f.to_owned(), v.to_owned()));
    Write { intent: 1, object: resource.to_owned(), resource: resource.to_owned(), verb, id: id.cloned(), fields, key, read }
}

fn ask(resource: &str, fields: impl IntoIterator<Item = String>, since: Option<String>) -> Ask {
    Ask { object: resource.to_owned(), resource: resource.to_owned(), fields: fields.into_iter().collect(), since, sweep: false }
}

fn order(customer: &RecordId, account: &RecordId) -> Write {
    let license = |unit: &str, key: &str, more: &[(&str, Value)]| {
        let mut license = fields(&[("unit", text(unit)), ("key", text(key))]);
        license.extend(fields(more));
        license
    };
    let item = |product: &str, licenses: Vec<Fields>| {
        fields(&[("line", text(&format!("802-{product}"))), ("product_code", text(product)), ("licenses", Value::Rows(licenses))])
    };
    let more = [
        ("policy_code", text("orbit-pro-1y")),
        ("max_activations", Value::Int(7)),
        ("prevent_vm", text("true")),
        ("features", Value::List(vec![text("export_pdf")])),
    ];
    let items = vec![
        item("orbit-pro", vec![license("802A-1", "AAAA-BBBB-CCCC-0001", &more), license("802A-2", "AAAA-BBBB-CCCC-0002", &more)]),
        item("orbit-basic", vec![license("802B-1", "AAAA-BBBB-CCCC-0003", &[])]),
    ];
    let pairs = [
        ("store_id", text(ORDER)),
        ("customer", text(customer.as_str())),
        ("customer_account", text(account.as_str())),
        ("is_test", Value::Bool(true)),
        ("items", Value::Rows(items)),
    ];
    let mut write = write("order", Verb::Create, None, Some(("store_id", ORDER)), &pairs);
    write.read.extend(["license_count", "metadata.lockstep.sf_id"].map(str::to_owned));
    write
}

const LICENSE_FIELDS: [&str; 12] = [
    "license_key",
    "enabled",
    "validity_period",
    "valid_duration",
    "max_activations",
    "note",
    "order",
    "customer",
    "product",
    "policy",
    "url",
    "metadata.lockstep.line",
];

/// Everything we do to a company once, in order; what each write was answered with, by resource and id.
async fn story(company: &Company) -> BTreeMap<String, BTreeMap<RecordId, Record>> {
    let mut told: BTreeMap<String, BTreeMap<RecordId, Record>> = BTreeMap::new();
    let mut tell = |resource: &str, (id, record): (RecordId, Option<Record>)| {
        if let Some(record) = record {
            let held =
                told.entry(resource.to_owned()).or_default().entry(id.clone()).or_insert_with(|| Record::live(id.clone(), Fields::new()));
            held.fields.extend(record.fields);
        }
        id
    };
    let pairs =
        [("code", text(ACCOUNT)), ("name", text("Northwind é & Söhne")), ("email", text("IT@northwind.example")), ("phone", Value::Null)];
    let account = write("customer-account", Verb::Create, None, Some(("code", ACCOUNT)), &pairs);
    let account = tell("customer-account", company.settle(&account).await);
    let pairs = [
        ("reference", text(CONTACT)),
        ("email", text("mina@northwind.example")),
        ("first_name", text("Mina")),
        ("phone", text("+46 1")),
        ("customer_account", text(account.as_str())),
        ("metadata.title", text("CTO")),
    ];
    let contact = write("customer", Verb::Create, None, Some(("reference", CONTACT)), &pairs);
    let contact = tell("customer", company.settle(&contact).await);
    let order = tell("order", company.settle(&order(&contact, &account)).await);
    assert_eq!(told_order(company, &order), (contact.to_string(), account.to_string()));

    let pairs = [("phone", Value::Null), ("city", text("Lund")), ("metadata.title", Value::Null), ("metadata.region", text("EU"))];
    tell("customer", company.settle(&write("customer", Verb::Update, Some(&contact), None, &pairs)).await);

    let licenses = company.connector.find("license", &[], "license_key", &[text("AAAA-BBBB-CCCC-0001")]).await.unwrap();
    let license = licenses[0].id.clone();
    let pairs = [("enabled", Value::Bool(false)), ("note", text("stopped")), ("max_activations", Value::Int(9))];
    tell("license", company.settle(&write("license", Verb::Update, Some(&license), None, &pairs)).await);

    let pairs = [("license", text(license.as_str())), ("code", text("api_access")), ("expiry_date", text("2031-06-30"))];
    let feature = write("feature", Verb::Create, None, None, &pairs);
    tell("feature", company.settle(&feature).await);
    let pairs = [("license", text(license.as_str())), ("code", text("render_min")), ("max_consumption", Value::Int(750))];
    let feature = write("feature", Verb::Create, None, None, &pairs);
    let minutes = tell("feature", company.settle(&feature).await);
    company.settle(&write("feature", Verb::Delete, Some(&minutes), None, &[])).await;
    told.get_mut("feature").unwrap().remove(&minutes);
    told
}

fn told_order(company: &Company, order: &RecordId) -> (String, String) {
    let world = company.sim.world();
    let row = world.get(simulator::Object::Order, order.as_str().parse().unwrap()).unwrap();
    let id = |name: &str| row[name].get("id").unwrap_or(&row[name]).to_string();
    (id("customer"), id("customer_account"))
}

fn assert_once(company: &Company, why: &str) {
    use simulator::Object::{Account, Customer, License, Order};
    for (object, n) in [(Account, 1), (Customer, 1), (Order, 1), (License, 3)] {
        assert_eq!(company.count(object), n, "{object:?} after {why}");
    }
    let world = company.sim.world();
    let license = world.rows(License).into_iter().find(|l| l["license_key"] == "AAAA-BBBB-CCCC-0001").unwrap();
    let mut codes: Vec<&str> = license["feature_codes"].as_array().unwrap().iter().filter_map(J::as_str).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["api_access", "export_pdf"], "after {why}");
    assert_eq!((&license["enabled"], &license["max_activations"]), (&json!(false), &json!(9)), "after {why}");
}

/// What a write was answered with is what a later reading shows: else every write would come back as somebody's change.
async fn assert_no_echo(company: &Company, told: &BTreeMap<String, BTreeMap<RecordId, Record>>, why: &str) {
    let asks: Vec<Ask> = told
        .iter()
        .map(|(resource, records)| {
            ask(resource, records.values().flat_map(|r| r.fields.keys().cloned()).collect::<std::collections::BTreeSet<_>>(), None)
        })
        .collect();
    let (shown, polled) = company.poll(&asks).await;
    for end in polled {
        assert!(end.end.unwrap().complete, "{} after {why}", end.object);
    }
    for (resource, records) in told {
        for (id, record) in records {
            let now = &shown[resource][id].fields;
            for (field, value) in &record.fields {
                // Lists may leave out what a single record shows.
                if let Some(shown) = now.get(field) {
                    assert_eq!(shown, value, "{resource} {field} after {why}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_whole_path_under_every_switch() {
    let switches = [
        json!({}),
        json!({"metadata_as_string": true}),
        json!({"metadata_merge": true}),
        json!({"zero_dates": true, "extra_fields": true, "huge_ids": true}),
        json!({"list_order": "-id", "cap": 1}),
        json!({"cap": 7, "old_create_order_shape": true, "create_status": 201}),
        json!({"filters_off": ["reference", "code", "store_id", "license_key", "license", "email__icontains", "updated_at__gte"]}),
        json!({"order_by_off": ["*"], "exact_ignores_case": true}),
        json!({"account_extras": false}),
        json!({"action_twice_rejected": true, "feature_twice_rejected": false, "bump_on_action": false}),
        json!({"null_text_rejected": false, "trim_text": false}),
        json!({"bump_on_feature_edit": true, "bump_on_customer_edit": true, "create_order_customer": "never"}),
        json!({"visible_after_seconds": 1}),
    ];
    for switch in switches {
        let company = Company::start(&switch).await;
        let told = story(&company).await;
        if switch.get("visible_after_seconds").is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        }
        assert_once(&company, &switch.to_string());
        assert_no_echo(&company, &told, &switch.to_string()).await;
        let again = story_again(&company).await;
        assert_eq!(again, 0, "writes in a second round under {switch}");
    }
}

/// The creates once more, as after a lost memory: everything is found, nothing is written. The number of writes sent.
async fn story_again(company: &Company) -> u64 {
    let writes = |company: &Company| -> u64 {
        company.sim.world().calls().iter().filter(|(call, _)| !call.starts_with("GET")).map(|(_, n)| *n).sum()
    };
    let before = writes(company);
    let pairs = [("code", text(ACCOUNT)), ("name", text("Northwind é & Söhne")), ("phone", Value::Null)];
    let (account, _) = company.settle(&write("customer-account", Verb::Create, None, Some(("code", ACCOUNT)), &pairs)).await;
    let pairs = [("reference", text(CONTACT)), ("email", text("mina@northwind.example")), ("city", text("Lund"))];
    let (contact, _) = company.settle(&write("customer", Verb::Create, None, Some(("reference", CONTACT)), &pairs)).await;
    company.settle(&order(&contact, &account)).await;
    writes(company) - before
}

/// Each call of the story goes wrong once, in each way. Nothing is made twice and everything is done in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_once_whatever_call_goes_wrong() {
    let ways = [
        json!("reset_before"),
        json!("reset_after"),
        json!({"status": 502, "body": "<html>bad gateway</html>", "content_type": "text/html"}),
        json!({"status_after": 504, "body": "<html>time-out</html>", "content_type": "text/html"}),
        json!({"status": 429, "body": "{\"detail\":\"slow\"}", "headers": {"Retry-After": "1"}}),
        json!({"status": 403, "body": "<html>blocked</html>", "content_type": "text/html"}),
        json!({"status_after": 500, "body": "{\"status\":500,\"code\":\"internal_error\",\"message\":\"oops\"}"}),
        json!({"truncate": 0.5}),
        json!("html_200"),
    ];
    let company = Company::start(&json!({})).await;
    story(&company).await;
    let calls = company.connector.calls();
    let mut cases = tokio::task::JoinSet::new();
    for way in &ways {
        for nth in 1..=calls.data + calls.other {
            let way = way.clone();
            cases.spawn(async move {
                let company = Company::start(&json!({})).await;
                let fault = json!({"on": "/api/v1/", "nth": nth, "do": way});
                let id = company.wire.faults.add(&fault).unwrap();
                let told = story(&company).await;
                assert_eq!(company.wire.faults.hits(id), 1, "{fault}");
                company.wire.faults.clear();
                assert_once(&company, &fault.to_string());
                assert_no_echo(&company, &told, &fault.to_string()).await;
            });
        }
    }
    cases.join_all().await;
}

#[tokio::test]
async fn an_order_delivered_twice_is_one_order() {
    let company = Company::start(&json!({})).await;
    company.wire.faults.add(&json!({"on": "POST /api/v1/orders/create_order/", "do": "twice"})).unwrap();
    story(&company).await;
    assert_once(&company, "twice");
}

#[tokio::test]
async fn licenses_are_read_by_what_changed_and_never_missed() {
    let company = Company::start(&json!({})).await;
    company.wire.clock.freeze("2026-02-03T09:10:11.200Z".parse().unwrap());
    story(&company).await;
    let since = |end: &Polled| end.end.as_ref().unwrap().watermark.clone();
    let wanted = || LICENSE_FIELDS.map(str::to_owned);
    let (shown, polled) = company.poll(&[ask("license", wanted(), None)]).await;
    let first = &shown["license"].values().find(|r| r.fields["license_key"] == text("AAAA-BBBB-CCCC-0002")).unwrap().fields;
    assert_eq!((&first["product"], &first["policy"]), (&text("orbit-pro"), &text("orbit-pro-1y")));
    assert_eq!((&first["metadata.lockstep.line"], &first["max_activations"]), (&text("802A-2"), &Value::Int(7)));
    assert!(matches!(&first["url"], Value::Text(url) if url.contains("/901/orders/")));
    let mut mark = since(&polled[0]);

    company.wire.clock.advance(chrono::Duration::hours(1));
    for n in 0..250 {
        let body = json!({"id": format!("o{n}"), "items": [{"product_code": "orbit-basic", "licenses": [{}]}]});
        company.sim.world().issue(&body).unwrap();
        if n % 100 == 99 {
            company.wire.clock.advance(chrono::Duration::seconds(3));
        }
    }
    let (shown, polled) = company.poll(&[ask("license", wanted(), mark)]).await;
    assert_eq!(shown["license"].len(), 253, "all of the new ones, and what lies in the overlap");
    mark = since(&polled[0]);
    company.wire.clock.advance(chrono::Duration::hours(1));
    let calls = company.connector.calls();
    let (shown, polled) = company.poll(&[ask("license", wanted(), mark.clone())]).await;
    assert!(shown.get("license").is_none_or(|l| l.len() <= 250));
    assert_eq!(since(&polled[0]), mark);
    assert!(company.connector.calls().data - calls.data <= 5, "two long ties");
}

#[tokio::test]
async fn everything_else_is_swept_and_gone_rows_are_missing() {
    let company = Company::start(&json!({"cap": 30})).await;
    let ids: Vec<i64> =
        (0..95).map(|n| company.sim.world().add_customer(&json!({"email": format!("n{n}@demo.example")})).unwrap()).collect();
    let (shown, polled) = company.poll(&[ask("customer", ["email".to_owned()], None)]).await;
    assert_eq!((shown["customer"].len(), polled[0].end.as_ref().unwrap().complete), (95, true));
    assert_eq!(company.connector.count("customer").await.unwrap(), 95);

    company.sim.world().delete(simulator::Object::Customer, ids[3]).unwrap();
    let (shown, _) = company.poll(&[ask("customer", ["email".to_owned()], None)]).await;
    let gone: RecordId = ids[3].to_string().into();
    assert!(!shown["customer"].contains_key(&gone));
    let found = company.connector.get_many("customer", &[], std::slice::from_ref(&gone)).await.unwrap();
    assert_eq!(found, [Fetched::Missing(gone)]);
}

#[tokio::test]
async fn only_a_list_that_was_read_whole_is_called_complete() {
    // A count that moves with every call is never trusted; a `next` that is null too early is made up for by the count.
    for (switch, complete) in [(json!({"count_drift": 1}), false), (json!({"next_null_too_early": 40, "cap": 20}), true)] {
        let company = Company::start(&switch).await;
        for n in 0..95 {
            company.sim.world().add_customer(&json!({"email": format!("n{n}@demo.example")})).unwrap();
        }
        let (shown, polled) = company.poll(&[ask("customer", ["email".to_owned()], None)]).await;
        assert_eq!((shown["customer"].len(), polled[0].end.as_ref().unwrap().complete), (95, complete), "{switch}");
    }
}

#[tokio::test]
async fn the_watermark_stays_where_it_was_when_rows_may_have_been_skipped() {
    let company = Company::start(&json!({"count_drift": 1})).await;
    for n in 0..3 {
        let body = json!({"id": format!("o{n}"), "items": [{"product_code": "orbit-basic", "licenses": [{}]}]});
        company.sim.world().issue(&body).unwrap();
    }
    let since = Some("2020-01-01T00:00:00Z".to_owned());
    let sweep = Ask { sweep: true, ..ask("order", ["store_id".to_owned()], since.clone()) };
    let (shown, polled) = company.poll(&[sweep]).await;
    let end = polled[0].end.as_ref().unwrap();
    assert_eq!((shown["order"].len(), end.complete, &end.watermark), (3, false, &since));
}

#[tokio::test]
async fn what_the_key_may_not_do_is_said_per_resource() {
    let company = Company::start(&json!({"denied": ["orders", "customers:write"]})).await;
    let names: Vec<String> = LISTS.iter().map(|n| (*n).to_owned()).collect();
    let schemas = company.connector.schema(&names).await.unwrap();
    assert_eq!(schemas.keys().map(String::as_str).collect::<Vec<_>>(), ["customer", "customer-account", "feature", "license"]);
    let pairs = [("reference", text(CONTACT)), ("first_name", text("Mina"))];
    let contact = write("customer", Verb::Create, None, Some(("reference", CONTACT)), &pairs);
    let outcome = company.connector.apply(&[contact]).await.remove(0);
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    let asks: Vec<Ask> = ["order", "customer"].map(|r| ask(r, [], None)).into();
    let (_, polled) = company.poll(&asks).await;
    assert!(polled[0].end.is_err() && polled[1].end.is_ok());
}

#[tokio::test]
async fn values_the_platform_rejects_name_their_field() {
    let company = Company::start(&json!({})).await;
    for (field, value) in [("email", "not an address"), ("city", &"x".repeat(300)), ("postcode", &"1".repeat(60))] {
        let pairs = [("reference", text(CONTACT)), (field, text(value))];
        let outcome =
            company.connector.apply(&[write("customer", Verb::Create, None, Some(("reference", CONTACT)), &pairs)]).await.remove(0);
        assert!(matches!(&outcome, Outcome::Rejected { fields, .. } if fields == &[field]), "{outcome:?}");
    }
    let item =
        fields(&[("product_code", text("no-such")), ("licenses", Value::Rows(vec![fields(&[("key", text("AAAA-BBBB-CCCC-9999"))])]))]);
    let pairs = [("store_id", text("SF-1")), ("items", Value::Rows(vec![item]))];
    let outcome = company.connector.apply(&[write("order", Verb::Create, None, Some(("store_id", "SF-1")), &pairs)]).await.remove(0);
    assert!(matches!(&outcome, Outcome::Rejected { code, .. } if code == "unknown_product"), "{outcome:?}");
}

#[tokio::test]
async fn the_vendors_limits_are_survived() {
    let company = Company::start(&json!({"rate": {"plan": "free", "per_key_second": 5, "html": true}})).await;
    story(&company).await;
    assert_once(&company, "limits");
}

// --- after an order was made -----------------------------------------------------------------------------------------

const KEYS: [&str; 4] = ["AAAA-BBBB-CCCC-0011", "AAAA-BBBB-CCCC-0012", "AAAA-BBBB-CCCC-0013", "AAAA-BBBB-CCCC-0014"];

/// A company with one order of one license, which two devices have activated, and the customer it is to go to.
async fn sold(switches: &J) -> (Company, RecordId, i64, i64) {
    let company = Company::start(switches).await;
    let (order, license, customer) = {
        let mut world = company.sim.world();
        let license = json!({"key": KEYS[0], "max_activations": 3, "metadata": {"lockstep": {"line": "802A-1"}}});
        let order = world.issue(&json!({"id": ORDER, "items": [{"product_code": "orbit-pro", "licenses": [license]}]})).unwrap();
        world
            .issue(&json!({"id": "other", "items": [{"product_code": "orbit-pro", "licenses": [{"key": "ZZZZ-ZZZZ-ZZZZ-0001"}]}]}))
            .unwrap();
        let license =
            world.rows(simulator::Object::License).into_iter().find(|l| l["license_key"] == KEYS[0]).unwrap()["id"].as_i64().unwrap();
        for device in ["hw-1", "hw-2"] {
            world.activate(license, device, device).unwrap();
        }
        let customer = world.add_customer(&json!({"email": "mina@northwind.example"})).unwrap();
        (order, license, customer)
    };
    if switches.get("visible_after_seconds").is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    }
    (company, order.to_string().into(), license, customer)
}

/// Two licenses more, one with more activations than before, all switched off, and another customer.
fn amendment(order: &RecordId, customer: i64) -> Write {
    let license = |unit: &str, key: &str| fields(&[("unit", text(unit)), ("key", text(key)), ("max_activations", Value::Int(2))]);
    let item =
        |product: &str, licenses| fields(&[("line", text("x")), ("product_code", text(product)), ("licenses", Value::Rows(licenses))]);
    let append = vec![
        item("orbit-pro", vec![license("802A-1", KEYS[0]), license("802A-2", KEYS[1])]),
        item("orbit-basic", vec![license("802B-1", KEYS[2])]),
    ];
    let change = vec![
        fields(&[("unit", text("802A-1")), ("at-least", Value::Int(5))]),
        fields(&[("unit", text("802A-2")), ("at-most", Value::Int(1))]),
        fields(&[("unit", text("*")), ("enabled", Value::Bool(false))]),
    ];
    let pairs = [("customer", text(&customer.to_string())), ("append", Value::Rows(append)), ("change", Value::Rows(change))];
    let mut write = write("order", Verb::Update, Some(order), None, &pairs);
    write.read.push("license_count".to_owned());
    write
}

fn reset(license: i64, activations: i64) -> Write {
    let row = fields(&[("activations", Value::Int(activations)), ("asked", text(&chrono::Utc::now().to_rfc3339()))]);
    write("license", Verb::Update, Some(&license.to_string().into()), None, &[("reset", Value::Rows(vec![row]))])
}

fn word(outcome: Outcome) -> String {
    match outcome {
        Outcome::Done { steps, .. } => steps.iter().find(|s| s.name == "reset").unwrap().outcome.clone(),
        other => panic!("{other:?}"),
    }
}

/// How many resets were carried out, whoever heard of it.
fn resets(company: &Company) -> u64 {
    company.sim.world().calls().iter().filter(|(call, _)| call.contains("/reset/")).map(|(_, n)| *n).sum()
}

async fn amend_and_reset(company: &Company, order: &RecordId, license: i64, customer: i64) {
    let (id, record) = company.settle(&amendment(order, customer)).await;
    let record = record.unwrap();
    assert_eq!((&id, &record.fields["customer"]), (order, &text(&customer.to_string())));
    assert_eq!(record.fields["license_count"], Value::Int(3));
    company.settle(&reset(license, 2)).await;
}

fn assert_amended(company: &Company, order: &RecordId, license: i64, why: &str) {
    let order: i64 = order.as_str().parse().unwrap();
    let world = company.sim.world();
    let rows = world.rows(simulator::Object::License);
    let mut shown: Vec<(J, J, J, J)> = rows
        .iter()
        .filter(|l| l["order"] == order)
        .map(|l| (l["metadata"]["lockstep"]["line"].clone(), l["license_key"].clone(), l["max_activations"].clone(), l["enabled"].clone()))
        .collect();
    shown.sort_by_key(|l| l.0.to_string());
    let license_of = |unit: &str, key: &str, most: i64| (json!(unit), json!(key), json!(most), json!(false));
    assert_eq!(
        shown,
        [license_of("802A-1", KEYS[0], 5), license_of("802A-2", KEYS[1], 1), license_of("802B-1", KEYS[2], 2)],
        "after {why}"
    );
    assert_eq!(rows.len(), 4, "after {why}");
    let row = world.get(simulator::Object::License, license).unwrap();
    assert_eq!(row["times_activated"], 0, "after {why}");
    assert!(world.rows(simulator::Object::Device).iter().all(|d| d["device_active"] == false), "after {why}");
}

#[tokio::test]
async fn an_order_is_amended_and_a_license_reset_under_every_switch() {
    let switches = [
        json!({}),
        json!({"metadata_as_string": true}),
        json!({"metadata_merge": true, "huge_ids": true, "extra_fields": true}),
        json!({"cap": 1, "list_order": "-id"}),
        json!({"old_create_order_shape": true, "create_status": 201}),
        json!({"filters_off": ["order__store_id"]}),
        json!({"filters_off": ["order__store_id", "license_key", "metadata"]}),
        json!({"action_twice_rejected": true, "reset_unused_rejected": true, "append_unknown_creates": false}),
        json!({"visible_after_seconds": 1}),
    ];
    for switch in switches {
        let (company, order, license, customer) = sold(&switch).await;
        amend_and_reset(&company, &order, license, customer).await;
        assert_amended(&company, &order, license, &switch.to_string());
        assert_eq!(resets(&company), 1);
        let writes = |company: &Company| -> u64 {
            company.sim.world().calls().iter().filter(|(call, _)| !call.starts_with("GET")).map(|(_, n)| *n).sum()
        };
        let before = writes(&company);
        let again = company.connector.apply(&[amendment(&order, customer), reset(license, 0)]).await;
        assert_eq!(word(again[1].clone()), "nothing to reset", "{switch}");
        company.connector.resolve(&amendment(&order, customer)).await;
        assert_eq!(writes(&company), before, "asked for again under {switch}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn licenses_are_added_once_and_reset_once_whatever_call_goes_wrong() {
    let ways = [
        json!("reset_before"),
        json!("reset_after"),
        json!({"status": 502, "body": "<html>bad gateway</html>", "content_type": "text/html"}),
        json!({"status_after": 504, "body": "<html>time-out</html>", "content_type": "text/html"}),
        json!({"status": 429, "body": "{\"detail\":\"slow\"}", "headers": {"Retry-After": "1"}}),
        json!({"status": 403, "body": "<html>blocked</html>", "content_type": "text/html"}),
        json!({"status": 403, "body": "{\"detail\":\"not now\"}"}),
        json!({"status_after": 500, "body": "{\"status\":500,\"code\":\"internal_error\",\"message\":\"oops\"}"}),
        json!({"truncate": 0.5}),
        json!("html_200"),
    ];
    let (company, order, license, customer) = sold(&json!({})).await;
    amend_and_reset(&company, &order, license, customer).await;
    let calls = company.connector.calls();
    let mut cases = tokio::task::JoinSet::new();
    for way in &ways {
        for nth in 1..=calls.data + calls.other {
            let way = way.clone();
            cases.spawn(async move {
                let (company, order, license, customer) = sold(&json!({})).await;
                let fault = json!({"on": "/api/v1/", "nth": nth, "do": way});
                let id = company.wire.faults.add(&fault).unwrap();
                amend_and_reset(&company, &order, license, customer).await;
                assert_eq!(company.wire.faults.hits(id), 1, "{fault}");
                assert_amended(&company, &order, license, &fault.to_string());
                assert_eq!(resets(&company), 1, "{fault}");
            });
        }
    }
    cases.join_all().await;
}

#[tokio::test]
async fn added_licenses_delivered_twice_are_added_once() {
    let (company, order, license, customer) = sold(&json!({})).await;
    company.wire.faults.add(&json!({"on": "POST /api/v1/orders/create_order/", "do": "twice"})).unwrap();
    amend_and_reset(&company, &order, license, customer).await;
    assert_amended(&company, &order, license, "twice");
}

/// The service did it, we were ended before we heard, and people came back before we were.
#[tokio::test]
async fn nobody_who_came_back_is_thrown_out_by_a_reset_that_was_interrupted() {
    let (company, _, license, _) = sold(&json!({})).await;
    company.wire.faults.add(&json!({"on": "POST /api/v1/licenses/", "do": {"hang_after_ms": 60_000}})).unwrap();
    let asked = reset(license, 2);
    tokio::select! {
        outcome = company.connector.apply(std::slice::from_ref(&asked)) => panic!("{outcome:?}"),
        () = async {
            while resets(&company) == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        } => {}
    }
    let device = company.sim.world().activate(license, "hw-3", "back again").unwrap();
    let said = word(company.connector.resolve(&asked).await);
    assert_eq!(said, "in doubt: the answer was lost and people have activated since; look at the license and ask again if needed");
    assert_eq!(company.sim.world().get(simulator::Object::Device, device).unwrap()["device_active"], true);
    assert_eq!(resets(&company), 1);
}

#[tokio::test]
async fn what_the_platform_will_not_do_to_an_order_or_a_license_is_said() {
    let (company, order, license, _) = sold(&json!({"denied": ["devices"]})).await;
    let one = |unit: &str, key: &str, product: &str| {
        let license = fields(&[("unit", text(unit)), ("key", text(key))]);
        let item = fields(&[("line", text("x")), ("product_code", text(product)), ("licenses", Value::Rows(vec![license]))]);
        write("order", Verb::Update, Some(&order), None, &[("append", Value::Rows(vec![item]))])
    };
    for (write, want) in [
        (one("802A-9", "ZZZZ-ZZZZ-ZZZZ-0001", "orbit-pro"), "key_taken"),
        (one("802A-9", KEYS[3], "no-such"), "unknown_product"),
        (
            write(
                "order",
                Verb::Update,
                Some(&order),
                None,
                &[("change", Value::Rows(vec![fields(&[("unit", text("no")), ("enabled", Value::Bool(false))])]))],
            ),
            "license_not_found",
        ),
    ] {
        let outcome = company.connector.apply(&[write]).await.remove(0);
        assert!(matches!(&outcome, Outcome::Rejected { code, .. } if code == want), "{want}: {outcome:?}");
    }
    assert_eq!(company.count(simulator::Object::License), 2);

    let refused = json!({"on": "POST /api/v1/licenses/", "do": {"status": 400, "body": "{\"message\":\"It is in a pool.\"}"}});
    company.wire.faults.add(&refused).unwrap();
    assert_eq!(word(company.connector.apply(&[reset(license, 2)]).await.remove(0)), "refused: It is in a pool.");
    assert_eq!(resets(&company), 0);

    let subscription = {
        let mut world = company.sim.world();
        let license = json!({"license_type": "subscription", "subscription_id": "sub_1", "valid_duration": "1m"});
        world.issue(&json!({"id": "sub", "items": [{"product_code": "orbit-basic", "licenses": [license]}]})).unwrap_or_default()
    };
    assert_ne!(subscription, 0);
    let asked = ask("license", ["license_type", "subscription_id", "total_consumptions", "max_consumptions"].map(str::to_owned), None);
    let (shown, _) = company.poll(&[asked]).await;
    let (id, shown) = shown["license"].iter().find(|(_, r)| r.fields["license_type"] == text("subscription")).unwrap();
    assert_eq!((&shown.fields["subscription_id"], &shown.fields["total_consumptions"]), (&text("sub_1"), &Value::Int(0)));
    let end = write("license", Verb::Update, Some(id), None, &[("validity_period", text("2031-01-01"))]);
    let outcome = company.connector.apply(&[end]).await.remove(0);
    assert!(matches!(&outcome, Outcome::Rejected { code, .. } if code == "subscription-owned-elsewhere"), "{outcome:?}");
    let more = write("license", Verb::Update, Some(id), None, &[("max_consumptions", Value::Int(40))]);
    let (_, record) = company.settle(&more).await;
    assert_eq!(record.unwrap().fields["max_consumptions"], Value::Int(40));
}

#[tokio::test]
async fn the_vocabulary_holds_what_rules_may_name() {
    let company = Company::start(&json!({"cap": 2})).await;
    let old = company.sim.world().add_product("old", "Old", &json!([{"code": "pdf"}]), &json!([])).unwrap();
    company.sim.world().update(simulator::Object::Product, old, &json!({"is_archived": true})).unwrap();
    let words = company.connector.vocabulary().await.unwrap().unwrap();
    let products: Vec<(&str, bool)> = words.products.iter().map(|p| (p.code.as_str(), p.archived)).collect();
    assert_eq!(products, [("old", true), ("orbit-basic", false), ("orbit-pro", false), ("orbit-team", false)]);
    let policies: Vec<&str> = words.policies.iter().map(|p| p.code.as_str()).collect();
    assert!(policies.contains(&"orbit-pro-1y") && policies.len() == 4, "{policies:?}");
    let of_pro: Vec<&str> = words.features.iter().filter(|f| f.product.as_deref() == Some("orbit-pro")).map(|f| f.code.as_str()).collect();
    assert_eq!(of_pro, ["api_access", "export_pdf", "render_min"]);
    let company = Company::start(&json!({"denied": ["products"]})).await;
    assert!(company.connector.vocabulary().await.is_err());
}

/// A crash in the middle of a batch leaves many promises; a platform that does not answer is not asked for each of them.
#[tokio::test]
async fn a_silent_platform_is_not_asked_for_every_promise() {
    let company = Company::start(&json!({})).await;
    let id = RecordId::from("7001");
    let promise = write("customer", Verb::Update, Some(&id), None, &[("city", text("Lund"))]);
    company.wire.faults.add(&json!({"on": "GET", "times": 0, "do": "html_200"})).unwrap();
    let promises = vec![promise; 200];
    let outcomes = company.connector.resolve_many(&promises).await;
    assert!(outcomes.len() == 200 && outcomes.iter().all(|o| matches!(o, Outcome::Unknown { .. })), "{outcomes:?}");
    let asked = company.connector.calls().data;
    assert!(asked < 40, "{asked} calls");
    company.wire.faults.clear();
    assert!(company.connector.resolve_many(&promises).await.iter().all(|o| *o == Outcome::Missing));
}
