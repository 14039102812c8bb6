//! Whole stories against golden texts: what the history says of each run, with ids, keys and dates left out.
//! `LOCKSTEP_BLESS=1 cargo test --test it golden` writes the texts anew; read the difference before committing it.

use crate::rig::Rig;
use lockstep::sandbox::licensespring::Object;
use serde_json::{Value, json};
use std::{fmt::Write, fs, path::PathBuf};

/// Runs once after an event and writes down what the history has of that run.
async fn tell(rig: &Rig, event: &str, story: &mut String) {
    rig.tick(60);
    let report = rig.once().await;
    let _ = writeln!(story, "\n{event}\n  run {}: {}", report.run, report.outcome);
    let mut rows = rig.store().view("recent_changes", &format!("run = {}", report.run), "", 100).unwrap().to_json();
    let rows = rows.as_array_mut().unwrap();
    rows.reverse();
    for row in rows {
        let word = |name: &str| row[name].as_str().unwrap_or_default();
        let _ =
            writeln!(story, "  {} {} {} [{}] {}", word("action"), word("object"), word("direction"), word("situation"), word("outcome"));
        let changes: Vec<Value> = serde_json::from_str(word("changes")).unwrap();
        for change in changes {
            let show = |v: &Value| if v.is_null() { "∅".to_owned() } else { v.to_string() };
            let line = format!("      {}: {} → {}", change["name"].as_str().unwrap(), show(&change["old"]), show(&change["new"]));
            let _ = writeln!(story, "{}", masked(&line));
        }
    }
}

/// What differs from day to day and from run to run has no place in a golden text.
fn masked(line: &str) -> String {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == ':' || c == '…' || c == '_');
    let mut out = String::new();
    let mut word = String::new();
    for c in line.chars().chain(['\n']) {
        if ends(c) {
            out.push_str(&mask(&word));
            word.clear();
            out.push(c);
        } else {
            word.push(c);
        }
    }
    out.trim_end_matches('\n').to_owned()
}

fn mask(word: &str) -> String {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let date = word.get(..10).is_some_and(|d| d.split('-').count() == 3 && d.split('-').all(digits));
    let clock = word.get(..5).is_some_and(|t| t.split(':').count() == 2 && t.split(':').all(digits));
    match word {
        _ if word.contains("RM000000") => {
            let unit = word.rsplit_once('-').filter(|(_, n)| digits(n)).map_or(String::new(), |(_, n)| format!("-{n}"));
            format!("<salesforce id>{unit}")
        }
        _ if date => "<date>".to_owned(),
        _ if clock => "<time>".to_owned(),
        _ if word.starts_with('…') => "…<key>".to_owned(),
        _ if word.len() >= 3 && digits(word) => "<number>".to_owned(),
        _ if word.strip_prefix("acme-").is_some() => "<planted id>".to_owned(),
        _ => word.to_owned(),
    }
}

fn golden(name: &str, story: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("LOCKSTEP_BLESS").is_some() {
        fs::write(&path, story).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let first = kept.lines().zip(story.lines()).enumerate().find(|(_, (a, b))| a != b);
    assert!(kept == story, "the story of {name} goes otherwise; first difference: {first:?}\n{story}");
}

#[tokio::test]
async fn the_life_of_an_order() {
    let rig = Rig::start().await;
    let mut story = "The life of an order, as the history tells it.\n".to_owned();
    rig.salesforce.world().add_order_status("Cancelled", "Draft").unwrap();
    let account = rig.account("Northwind");
    let mina = rig.contact(&account, "Mina", "Okafor", "mina@northwind.example");
    let pro = rig.product("LS-PRO", "Orbit Pro");
    let order = rig.order(&account, Some(&mina), &[(&pro, 2)]);
    let line = rig.sf_rows("OrderItem")[0]["Id"].as_str().unwrap().to_owned();
    tell(&rig, "A draft for two licenses is written.", &mut story).await;

    rig.activate(&order);
    tell(&rig, "It is activated.", &mut story).await;
    tell(&rig, "Nothing happens.", &mut story).await;

    let quantity = |n: u32| {
        rig.sf_update("Order", &order, json!({"Status": "Draft"}));
        rig.sf_update("OrderItem", &line, json!({"Quantity": n}));
        rig.activate(&order);
    };
    quantity(3);
    tell(&rig, "The customer wants a third.", &mut story).await;
    quantity(1);
    tell(&rig, "And then only one; nothing is taken away.", &mut story).await;
    quantity(3);
    tell(&rig, "And three after all; nothing is given twice.", &mut story).await;

    let license = rig.ls_rows(Object::License)[0]["id"].as_i64().unwrap();
    rig.platform.world().activate(license, "hw-1", "cad-07").unwrap();
    tell(&rig, "One of them is activated on a machine.", &mut story).await;
    let key = rig.ls_rows(Object::License)[0]["license_key"].clone();
    let here = rig.sf_rows("License__c").into_iter().find(|l| l["License_Key__c"] == key).unwrap()["Id"].as_str().unwrap().to_owned();
    rig.sf_update("License__c", &here, json!({"Reset_Requested__c": true}));
    tell(&rig, "A reset is asked for.", &mut story).await;
    rig.sf_update("License__c", &here, json!({"Valid_Until__c": "2031-12-31", "Enabled__c": false}));
    tell(&rig, "The license is renewed, and disabled.", &mut story).await;
    rig.sf_update("Order", &order, json!({"Status": "Cancelled"}));
    tell(&rig, "The order is called off.", &mut story).await;
    golden("order-life.txt", &story);
    rig.quiet().await;
}
