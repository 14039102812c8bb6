//! `lockstep why`: the stories of orders, told by the real binary from the state that the engine left.

use crate::rig::Rig;
use lockstep::sandbox::licensespring::Object;
use serde_json::{Value, json};
use std::process::{Command, Output};

/// Without one secret in its environment: it needs none.
fn why(rig: &Rig, args: &[&str]) -> Output {
    let (rules, state) = (rig.rules_path(), rig.state());
    let output = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .arg("--rules")
        .arg(rules)
        .arg("--state")
        .arg(state)
        .arg("why")
        .args(args)
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn told(rig: &Rig, what: &str) -> String {
    String::from_utf8(why(rig, &[what]).stdout).unwrap()
}

fn json(rig: &Rig, what: &str) -> Value {
    serde_json::from_slice(&why(rig, &[what, "--json"]).stdout).unwrap()
}

fn number(rig: &Rig, order: &str) -> String {
    rig.sf("Order", order)["OrderNumber"].as_str().unwrap().to_owned()
}

/// The order's story is the last record: before it stands what it was found by.
fn order_of(answer: &Value) -> &Value {
    answer["records"].as_array().unwrap().iter().find(|r| r["object"] == "order").unwrap_or_else(|| panic!("no order in {answer:#}"))
}

fn step<'a>(story: &'a Value, what: &str) -> &'a Value {
    story["steps"].as_array().unwrap().iter().find(|s| s["what"] == what).unwrap_or_else(|| panic!("no {what} in {story:#}"))
}

struct Shop {
    rig: Rig,
    acme: String,
    anna: String,
}

async fn shop() -> Shop {
    let rig = Rig::start().await;
    let acme = rig.account("Northwind Traders");
    let anna = rig.contact(&acme, "Mina", "Okafor", "mina@northwind.example");
    Shop { rig, acme, anna }
}

/// A product nobody mapped: who must act is operations; once the map is amended it goes on by itself.
#[tokio::test]
async fn an_order_with_an_unmapped_product() {
    let Shop { rig, acme, anna } = shop().await;
    let (pro, gadget) = (rig.product("LS-PRO", "Orbit Pro"), rig.product("GADGET-7", "Gadget"));
    let order = rig.order(&acme, Some(&anna), &[(&pro, 2), (&gadget, 1)]);
    rig.activate(&order);
    rig.once().await;
    let number = number(&rig, &order);
    let answer = json(&rig, &number);
    let story = order_of(&answer);
    assert_eq!((&story["name"], &story["salesforce_id"]), (&json!(number), &json!(order)));
    assert_eq!(story["standing"]["status"], "Failed");
    assert_eq!(story["standing"]["message"], "The product GADGET-7 (Gadget) is not in [products] of the rules.");
    assert!(story["standing"]["who"].as_str().unwrap().starts_with("operations: add GADGET-7 to [products]"), "{story:#}");
    assert_eq!(step(story, "customer")["mark"], "done");
    assert_eq!(step(story, "parked")["mark"], "failed");
    assert_eq!(step(story, "sent")["mark"], "not-yet");
    let text = told(&rig, &number);
    for part in [
        "✓ product    2 × LS-PRO → 2 licenses of orbit-pro (policy orbit-pro-1y)",
        "✗ product    1 × GADGET-7 (Gadget) → not in [products]",
        "who:  operations: add GADGET-7",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    rig.write_rules(|t| t.replace("\"SERVICES-*\" = \"none\"", "\"SERVICES-*\" = \"none\"\n\"GADGET-*\" = \"none\""));
    let due = json(&rig, &number);
    assert_eq!(
        order_of(&due)["standing"]["message"],
        "Due: 2 licenses of orbit-pro (policy orbit-pro-1y) to Mina Okafor, Northwind Traders."
    );
    rig.once().await;
    let done = json(&rig, &number);
    assert_eq!(order_of(&done)["standing"]["status"], "Provisioned", "{}", rig.changes());
}

#[tokio::test]
async fn an_order_for_nobody() {
    let Shop { rig, acme, .. } = shop().await;
    let pro = rig.product("LS-PRO", "Orbit Pro");
    let order = rig.order(&acme, None, &[(&pro, 2)]);
    rig.activate(&order);
    rig.once().await;
    let answer = json(&rig, &order[..15]);
    let story = order_of(&answer);
    assert_eq!(story["standing"]["status"], "Failed");
    assert_eq!(story["standing"]["message"], "Nobody to license it to: License Contact or Bill To Contact of the order is empty.");
    assert_eq!(step(story, "customer")["mark"], "failed");
    assert!(told(&rig, &order).contains("who:  sales: fill License Contact or Bill To Contact on the order"));
}

#[tokio::test]
async fn an_order_whose_contact_fits_two_customers() {
    let rig = Rig::start().await;
    let acme = rig.account("Northwind Traders");
    let pro = rig.product("LS-PRO", "Orbit Pro");
    rig.contact(&acme, "Bo", "Lind", "bo@northwind.example");
    rig.once().await;
    for _ in 0..2 {
        rig.platform.world().add_customer(&json!({"email": "mina@northwind.example", "first_name": "M"})).unwrap();
    }
    let mina = rig.contact(&acme, "Mina", "Okafor", "mina@northwind.example");
    let order = rig.order(&acme, Some(&mina), &[(&pro, 2)]);
    rig.activate(&order);
    rig.once().await;
    let answer = json(&rig, &number(&rig, &order));
    let story = order_of(&answer);
    assert_eq!(story["standing"]["status"], "Failed", "{story:#}");
    assert!(
        story["standing"]["message"].as_str().unwrap().starts_with("The contact Mina Okafor fits more than one customer: 2 platform"),
        "{story:#}"
    );
    assert!(step(story, "customer")["text"].as_str().unwrap().contains("is parked, ambiguous"), "{story:#}");
    assert_eq!(rig.ls_rows(Object::License).len(), 0);
}

/// One order by everything it can be found by; no whole key anywhere.
#[tokio::test]
async fn a_provisioned_order_is_found_by_all_its_names() {
    let Shop { rig, acme, anna } = shop().await;
    let pro = rig.product("LS-PRO", "Orbit Pro");
    let order = rig.order(&acme, Some(&anna), &[(&pro, 2)]);
    rig.activate(&order);
    rig.once().await;
    let licenses = rig.sf_rows("License__c");
    let keys: Vec<&str> = licenses.iter().map(|l| l["License_Key__c"].as_str().unwrap()).collect();
    let number = number(&rig, &order);
    let bare = number.trim_start_matches('0').to_owned();
    let end = &keys[0][keys[0].len() - 4..];
    for what in
        [number.as_str(), &bare, &order, &order[..15], "northwind traders", "NORTH", "Mina@Northwind.example", &acme, &anna, end, keys[0]]
    {
        let answer = json(&rig, what);
        let story = order_of(&answer);
        assert_eq!(story["salesforce_id"], json!(order), "{what}: {answer:#}");
        assert_eq!(story["standing"]["status"], "Provisioned", "{what}: {answer:#}");
        let text = format!("{}{}", told(&rig, what), answer["records"]);
        assert!(keys.iter().all(|key| !text.contains(key)), "a whole key in {text}");
    }
    let answer = json(&rig, &number);
    let story = order_of(&answer);
    let message = story["standing"]["message"].as_str().unwrap();
    let on_the_order = rig.sf_rows("Order").into_iter().find(|o| o["License_Status__c"] == "Provisioned").unwrap();
    assert_eq!(
        (message, on_the_order["License_Message__c"].as_str()),
        ("Licensed: 2 × orbit-pro.", Some(message)),
        "one sentence in both places"
    );
    assert_eq!((step(story, "sent")["mark"].as_str(), step(story, "answer")["mark"].as_str()), (Some("done"), Some("done")));
    assert!(step(story, "customer")["text"].as_str().unwrap().contains("created there"), "{story:#}");
    let shown: Vec<&Value> = story["steps"].as_array().unwrap().iter().filter(|s| s["what"] == "license").collect();
    assert_eq!(shown.len(), 2);
    let first = shown.iter().find(|s| s["text"].as_str().unwrap().contains(&format!("key …{end}"))).unwrap();
    for part in [licenses[0]["Id"].as_str().unwrap(), "enabled", "activations"] {
        assert!(first["text"].as_str().unwrap().contains(part), "{part} in {first}");
    }
    // The license's own story comes before its order's.
    assert_eq!(json(&rig, end)["records"][0]["object"], "license");
    assert_eq!(json(&rig, "mina@northwind.example")["records"][0]["standing"]["message"], "In step.");
}

/// How a contact found its customer: by the address, or by the Salesforce id that stands there.
#[tokio::test]
async fn it_says_how_the_customer_was_matched() {
    let rig = Rig::start().await;
    let acme = rig.account("Northwind Traders");
    let mina = rig.contact(&acme, "Mina", "Okafor", "mina@northwind.example");
    let ivo = rig.contact(&acme, "Ivo", "Brandt", "ivo@northwind.example");
    rig.platform.world().add_customer(&json!({"email": "mina@northwind.example", "first_name": "Mina", "last_name": "Okafor"})).unwrap();
    let other = json!({"email": "i.brandt@other.example", "first_name": "Ivo", "last_name": "Brandt", "reference": ivo});
    rig.platform.world().add_customer(&other).unwrap();
    rig.approved().await;
    rig.once().await;
    let how = |id: &str| step(&json(&rig, id)["records"][0], "linked")["text"].as_str().unwrap().to_owned();
    assert!(how(&mina).contains("found there by email"), "{}", how(&mina));
    assert!(how(&ivo).contains("found there by the Salesforce id in it"), "{}", how(&ivo));
}

#[tokio::test]
async fn an_order_that_is_held_and_a_draft() {
    let Shop { rig, acme, anna } = shop().await;
    let pro = rig.product("LS-PRO", "Orbit Pro");
    let first = rig.order(&acme, Some(&anna), &[(&pro, 1)]);
    rig.activate(&first);
    rig.once().await;
    rig.write_rules(|t| t.replace("creates = { count = 100, percent = 20 }", "creates = { count = 1, percent = 0 }"));
    let orders: Vec<String> = (0..3).map(|_| rig.order(&acme, Some(&anna), &[(&pro, 1)])).collect();
    let draft = rig.order(&acme, Some(&anna), &[(&pro, 3)]);
    orders.iter().for_each(|order| rig.activate(order));
    assert_eq!(rig.once().await.outcome, "held");
    let answer = json(&rig, &orders[1]);
    let story = order_of(&answer);
    assert_eq!(story["standing"]["status"], "Pending", "{story:#}");
    assert!(story["standing"]["message"].as_str().unwrap().starts_with("Held by the guard: 1 license of orbit-pro"), "{story:#}");
    assert_eq!(story["standing"]["who"], "operations: lockstep hold release order platform create");
    assert_eq!(step(story, "guard")["mark"], "held");
    let answer = json(&rig, &draft);
    let story = order_of(&answer);
    assert!(story["standing"]["status"].is_null());
    assert_eq!(step(story, "due")["mark"], "not-yet");
    assert!(story["standing"]["message"].as_str().unwrap().contains("It would issue 3 licenses of orbit-pro"), "{story:#}");
    // The account has five: each on a line, and how to name one.
    let text = told(&rig, "northwind");
    assert!(text.contains("  5 orders:") && text.contains(&format!("({draft}): Not due yet")), "{text}");
}

#[tokio::test]
async fn several_hits_are_listed_and_none_is_told() {
    let rig = Rig::start().await;
    let (north, south) = (rig.account("Northwind"), rig.account("Norther Light"));
    rig.once().await;
    let text = told(&rig, "north");
    assert!(text.starts_with("2 records fit \"north\"; name one:\n"), "{text}");
    assert!(text.contains(&format!("lockstep why {north}")) && text.contains(&format!("lockstep why {south}")), "{text}");
    assert_eq!(json(&rig, "north")["records"], json!([]));
    // A name that is whole is no part of a longer one.
    assert_eq!(json(&rig, "northwind")["records"][0]["salesforce_id"], json!(north));
    let nothing = json(&rig, "no such thing");
    assert_eq!((&nothing["hits"], &nothing["records"]), (&json!([]), &json!([])));
    assert!(told(&rig, "no such thing").starts_with("nothing is known of"));
}

/// A lost answer, a refusal by the platform, and a platform that is down.
#[tokio::test]
async fn calls_that_went_wrong() {
    let Shop { rig, acme, anna } = shop().await;
    rig.once().await;
    let pro = rig.product("LS-PRO", "Orbit Pro");
    let order = rig.order(&acme, Some(&anna), &[(&pro, 1)]);
    rig.activate(&order);
    let product = rig.ls_id(Object::Product, "short_code", "orbit-pro");
    rig.ls_update(Object::Product, product, json!({"active": false}));
    rig.once().await;
    let answer = json(&rig, &order);
    let story = order_of(&answer);
    assert_eq!(story["standing"]["status"], "Failed", "{story:#}");
    assert!(story["standing"]["message"].as_str().unwrap().starts_with("The platform refuses 1 license of orbit-pro"), "{story:#}");
    assert_eq!(step(story, "answer")["mark"], "failed");
    // The same words in the next run: what is written to Salesforce does not move.
    rig.once().await;
    assert_eq!(json(&rig, &order)["records"][0]["standing"], story["standing"]);
}
