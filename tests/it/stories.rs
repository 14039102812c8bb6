//! What an operator relies on, told through the public pieces and the real wire.

use crate::rig::Rig;
use lockstep::sandbox::licensespring::Object;
use serde_json::json;

/// The echo test: nothing happened, so nothing is written.
async fn quiet(rig: &Rig) {
    let report = rig.once().await;
    assert_eq!((report.writes.salesforce, report.writes.platform), (0, 0), "{report:#?}\n{}", changes(rig));
    let report = rig.full().await;
    assert_eq!((report.writes.salesforce, report.writes.platform), (0, 0), "a full re-sync of a clean pair: {report:#?}\n{}", changes(rig));
}

fn changes(rig: &Rig) -> String {
    let table = rig.store().view("recent_changes", "1", "", 100).unwrap();
    serde_json::to_string_pretty(&table.to_json()).unwrap()
}

#[tokio::test]
async fn accounts_and_contacts_are_created_and_then_nothing_happens() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.contact(&acme, "Bo", "Lind", "");
    let report = rig.once().await;
    assert_eq!(report.outcome, "ok", "{report:#?}\n{}", changes(&rig));
    assert_eq!((report.writes.salesforce, report.writes.platform), (0, 3));
    let account = rig.ls_rows(Object::Account).remove(0);
    assert_eq!((&account["name"], &account["code"]), (&json!("Acme"), &json!(acme)));
    let anna = rig.ls_id(Object::Customer, "email", "anna@acme.example");
    let row = rig.ls_rows(Object::Customer).into_iter().find(|r| r["id"] == json!(anna)).unwrap();
    assert_eq!(row["customer_account"], account["id"]);
    quiet(&rig).await;
}

#[tokio::test]
async fn an_idle_delta_costs_one_salesforce_call() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.once().await;
    let report = rig.once().await;
    assert_eq!(report.calls.salesforce, 1, "{report:#?}");
}

#[tokio::test]
async fn changes_travel_both_ways_and_salesforce_wins_a_clash() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.once().await;
    let id = rig.ls_id(Object::Customer, "email", "anna@acme.example");

    rig.sf_update("Account", &acme, json!({"Name": "Acme Holding"}));
    rig.ls_update(Object::Customer, id, json!({"phone": "+46 8 1"}));
    let report = rig.once().await;
    assert_eq!((report.writes.salesforce, report.writes.platform, report.conflicts), (1, 1, 0), "{}", changes(&rig));
    assert_eq!(rig.sf("Contact", &anna)["Phone"], json!("+46 8 1"));
    assert_eq!(rig.ls_rows(Object::Account)[0]["name"], json!("Acme Holding"));
    quiet(&rig).await;

    rig.sf_update("Contact", &anna, json!({"LastName": "Svensson"}));
    rig.ls_update(Object::Customer, id, json!({"last_name": "Berg", "city": "Lund"}));
    let report = rig.once().await;
    assert_eq!(report.conflicts, 1, "{report:#?}");
    let row = rig.ls_rows(Object::Customer).remove(0);
    assert_eq!((&row["last_name"], &row["city"]), (&json!("Svensson"), &json!("Lund")));
    assert_eq!(rig.sf("Contact", &anna)["MailingCity"], json!("Lund"), "the other field still travels");
    let conflict = rig.store().conflicts(false, 10).unwrap().remove(0);
    assert_eq!(conflict.value.platform, lockstep::record::Value::text("Berg"), "the losing value is kept");
    quiet(&rig).await;
}

#[tokio::test]
async fn an_activated_order_becomes_licenses_and_they_come_back() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    let (basic, pro) = (rig.product("LS-BASIC", "Orbit Basic"), rig.product("LS-PRO", "Orbit Pro"));
    let order = rig.order(&acme, Some(&anna), &[(&basic, 5), (&pro, 2)]);
    let draft = rig.once().await;
    assert_eq!(draft.writes.platform, 2, "a draft issues nothing: {}", changes(&rig));
    rig.activate(&order);
    let report = rig.once().await;
    assert_eq!(report.outcome, "ok", "{report:#?}\n{}", changes(&rig));
    let licenses = rig.ls_rows(Object::License);
    assert_eq!(licenses.len(), 3, "one with five activations, two of the other");
    assert_eq!(licenses.iter().filter(|l| l["max_activations"] == json!(5)).count(), 1);
    let rows = rig.sf_rows("License__c");
    assert_eq!(rows.len(), 3);
    for row in &rows {
        assert_eq!(row["Order__c"], json!(order));
        assert_eq!(row["Enabled__c"], json!(true));
        assert!(row["License_Key__c"].as_str().unwrap().len() >= 16);
    }
    assert!(!changes(&rig).contains(rows[0]["License_Key__c"].as_str().unwrap()), "keys are masked in the history");
    let features = rig.sf_rows("License_Feature__c").len();
    assert_eq!(features, rig.ls_rows(Object::LicenseFeature).len());
    assert!(features > 0);
    quiet(&rig).await;
    assert_eq!(rig.ls_rows(Object::License).len(), 3);
}

#[tokio::test]
async fn features_travel_both_ways() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    let basic = rig.product("LS-BASIC", "Orbit Basic");
    let order = rig.order(&acme, Some(&anna), &[(&basic, 1)]);
    rig.activate(&order);
    rig.once().await;
    let license = rig.sf_rows("License__c").remove(0);
    let platform_license = rig.ls_rows(Object::License).remove(0)["id"].as_i64().unwrap();
    let codes = |rig: &Rig| -> Vec<String> {
        let mut codes: Vec<String> =
            rig.sf_rows("License_Feature__c").iter().map(|r| r["Code__c"].as_str().unwrap_or_default().to_owned()).collect();
        codes.sort();
        codes
    };
    let before = codes(&rig);
    let known: Vec<String> = rig.ls_rows(Object::ProductFeature).iter().map(|f| f["code"].as_str().unwrap().to_owned()).collect();
    let product = rig.platform.world().get(Object::License, platform_license).unwrap()["product"].clone();
    let mut free: Vec<String> = rig
        .ls_rows(Object::ProductFeature)
        .iter()
        .filter(|f| f["product"] == product || f["product"].is_null())
        .map(|f| f["code"].as_str().unwrap().to_owned())
        .filter(|c| !before.contains(c))
        .collect();
    let added = free.pop().unwrap_or_else(|| panic!("no free feature among {known:?}"));
    // Added in Salesforce.
    rig.sf_insert("License_Feature__c", json!({"License__c": license["Id"], "Code__c": added}));
    let report = rig.once().await;
    assert_eq!(report.outcome, "ok", "{}", changes(&rig));
    let on_platform: Vec<_> = rig.ls_rows(Object::LicenseFeature).into_iter().filter(|f| f["license"] == json!(platform_license)).collect();
    assert_eq!(on_platform.len(), before.len() + 1, "{on_platform:#?}");
    quiet(&rig).await;
    // Removed on the platform: gone only after a second look.
    rig.platform.world().remove_feature(platform_license, &added).unwrap();
    rig.once().await;
    rig.tick(120);
    rig.once().await;
    assert_eq!(codes(&rig), before, "{}", changes(&rig));
    quiet(&rig).await;
}

#[tokio::test]
async fn two_filled_systems_are_held_and_then_adopted() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    rig.account("Only here");
    rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    {
        let mut world = rig.platform.world();
        let account = world.add_account(&json!({"code": "acme-old", "name": "ACME"})).unwrap();
        world
            .add_customer(&json!({"email": "Anna@Acme.example", "first_name": "Ann", "last_name": "Kelly", "customer_account": account}))
            .unwrap();
        world.add_customer(&json!({"email": "trial@nowhere.example"})).unwrap();
    }
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.platform), ("held", 0), "{report:#?}");
    assert!(rig.state().join("adoption-account.csv").exists());
    let report = rig.approved().await;
    assert_eq!(rig.ls_rows(Object::Account).len(), 2, "{report:#?}");
    let customers = rig.ls_rows(Object::Customer);
    assert_eq!(customers.len(), 2, "found, not made: {}", changes(&rig));
    let anna = customers.iter().find(|c| c["email"] != json!("trial@nowhere.example")).unwrap();
    assert_eq!(anna["first_name"], json!("Anna"), "at first match Salesforce wins where it is not blank");
    assert_eq!(rig.sf_rows("Contact").len(), 1, "trial users do not pour into the CRM");
    let report = rig.once().await;
    assert_eq!(report.outcome, "ok", "{report:#?}");
    quiet(&rig).await;
}
