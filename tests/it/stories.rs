//! What an operator relies on, told through the public pieces and the real wire.

use crate::rig::Rig;
use lockstep::sandbox::licensespring::Object;
use serde_json::json;

#[tokio::test]
async fn accounts_and_contacts_are_created_and_then_nothing_happens() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.contact(&acme, "Bo", "Lind", "");
    let report = rig.once().await;
    assert_eq!(report.outcome, "ok", "{report:#?}\n{}", rig.changes());
    assert_eq!((report.writes.salesforce, report.writes.platform), (0, 3));
    let account = rig.ls_rows(Object::Account).remove(0);
    assert_eq!((&account["name"], &account["code"]), (&json!("Acme"), &json!(acme)));
    let anna = rig.ls_id(Object::Customer, "email", "anna@acme.example");
    let row = rig.ls_rows(Object::Customer).into_iter().find(|r| r["id"] == json!(anna)).unwrap();
    assert_eq!(row["customer_account"], account["id"]);
    rig.quiet().await;
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
    assert_eq!((report.writes.salesforce, report.writes.platform, report.conflicts), (1, 1, 0), "{}", rig.changes());
    assert_eq!(rig.sf("Contact", &anna)["Phone"], json!("+46 8 1"));
    assert_eq!(rig.ls_rows(Object::Account)[0]["name"], json!("Acme Holding"));
    rig.quiet().await;

    rig.sf_update("Contact", &anna, json!({"LastName": "Svensson"}));
    rig.ls_update(Object::Customer, id, json!({"last_name": "Berg", "city": "Lund"}));
    let report = rig.once().await;
    assert_eq!(report.conflicts, 1, "{report:#?}");
    let row = rig.ls_rows(Object::Customer).remove(0);
    assert_eq!((&row["last_name"], &row["city"]), (&json!("Svensson"), &json!("Lund")));
    assert_eq!(rig.sf("Contact", &anna)["MailingCity"], json!("Lund"), "the other field still travels");
    let conflict = rig.store().conflicts(false, 10).unwrap().remove(0);
    assert_eq!(conflict.value.platform, lockstep::record::Value::text("Berg"), "the losing value is kept");
    rig.quiet().await;
}

#[tokio::test]
async fn an_activated_order_becomes_licenses_and_they_come_back() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    let (basic, pro) = (rig.product("LS-BASIC", "Orbit Basic"), rig.product("LS-PRO", "Orbit Pro"));
    let order = rig.order(&acme, Some(&anna), &[(&basic, 5), (&pro, 2)]);
    let draft = rig.once().await;
    assert_eq!(draft.writes.platform, 2, "a draft issues nothing: {}", rig.changes());
    rig.activate(&order);
    let report = rig.once().await;
    assert_eq!(report.outcome, "ok", "{report:#?}\n{}", rig.changes());
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
    assert!(!rig.changes().contains(rows[0]["License_Key__c"].as_str().unwrap()), "keys are masked in the history");
    let features = rig.sf_rows("License_Feature__c").len();
    assert_eq!(features, rig.ls_rows(Object::LicenseFeature).len());
    assert!(features > 0);
    rig.quiet().await;
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
    assert_eq!(report.outcome, "ok", "{}", rig.changes());
    let on_platform: Vec<_> = rig.ls_rows(Object::LicenseFeature).into_iter().filter(|f| f["license"] == json!(platform_license)).collect();
    assert_eq!(on_platform.len(), before.len() + 1, "{on_platform:#?}");
    // What the platform knows about it comes back in the same run.
    let row = rig.sf_rows("License_Feature__c").into_iter().find(|r| r["Code__c"] == json!(added)).unwrap();
    assert_eq!((row["Feature_Type__c"].as_str(), row["Max_Consumption__c"].as_f64()), (Some("activation"), Some(0.0)), "{}", rig.changes());
    rig.quiet().await;
    // Removed on the platform: gone only after a second look.
    rig.platform.world().remove_feature(platform_license, &added).unwrap();
    rig.once().await;
    rig.tick(120);
    rig.once().await;
    assert_eq!(codes(&rig), before, "{}", rig.changes());
    rig.quiet().await;
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
    assert_eq!(customers.len(), 2, "found, not made: {}", rig.changes());
    let anna = customers.iter().find(|c| c["email"] != json!("trial@nowhere.example")).unwrap();
    assert_eq!(anna["first_name"], json!("Anna"), "at first match Salesforce wins where it is not blank");
    assert_eq!(rig.sf_rows("Contact").len(), 1, "trial users do not pour into the CRM");
    let report = rig.once().await;
    assert_eq!(report.outcome, "ok", "{report:#?}");
    rig.quiet().await;
}

/// Releasing one group of a first contact releases no other.
#[tokio::test]
async fn released_links_do_not_release_the_creates() {
    let rig = Rig::start().await;
    rig.account("Acme");
    rig.account("Only here");
    rig.platform.world().add_account(&json!({"code": "acme-old", "name": "Acme"})).unwrap();
    rig.once().await;
    let csv = std::fs::read_to_string(rig.state().join("adoption-account.csv")).unwrap();
    assert!(csv.contains("linked") && csv.contains("only-salesforce"), "{csv}");
    let now = chrono::Utc::now();
    rig.store().approve("account", "platform", "link", 10, now, now + chrono::Duration::hours(1)).unwrap();
    for _ in 0..2 {
        let report = rig.once().await;
        assert_eq!((report.outcome.as_str(), rig.ls_rows(Object::Account).len()), ("held", 1), "{report:#?}");
        assert_eq!(rig.store().link_count("account").unwrap(), 1);
    }
    rig.store().approve("account", "platform", "create", 10, now, now + chrono::Duration::hours(1)).unwrap();
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), rig.ls_rows(Object::Account).len()), ("ok", 2), "{report:#?}");
    rig.quiet().await;
}

/// Ambiguity is never guessed away; a person's corrected pairs are the last word.
#[tokio::test]
async fn corrected_pairs_are_fed_back() {
    use lockstep::store::PairRow;
    let rig = Rig::start().await;
    let (first, second) = (rig.account("Acme"), rig.account("Nobody"));
    let ids: Vec<i64> = {
        let mut world = rig.platform.world();
        ["acme-1", "acme-2"].iter().map(|code| world.add_account(&json!({"code": code, "name": "Acme"})).unwrap()).collect()
    };
    let report = rig.once().await;
    assert_eq!((report.quarantined, rig.store().link_count("account").unwrap()), (1, 0), "two match: {report:#?}");
    let row = |what: &str, salesforce: &str, platform: &str| PairRow {
        object: "account".to_owned(),
        what: what.to_owned(),
        salesforce_id: salesforce.to_owned(),
        platform_id: platform.to_owned(),
        note: String::new(),
    };
    let wrong = rig.store().feed_pairs(&[row("only-salesforce", &second, ""), row("linked", &first, "9999")], chrono::Utc::now()).unwrap();
    assert_eq!(wrong.unwrap_err().0, 1, "the second row is named");
    let told = [row("linked", &first, &ids[1].to_string()), row("only-salesforce", &second, "")];
    assert_eq!(rig.store().feed_pairs(&told, chrono::Utc::now()).unwrap(), Ok(2));
    assert_eq!(rig.once().await.outcome, "held", "fed back is not released");
    let report = rig.approved().await;
    assert_eq!(report.outcome, "ok", "{report:#?}");
    let link = rig.store().link("account", lockstep::record::Side::Salesforce, &first).unwrap().unwrap();
    assert_eq!(link.platform_id.as_str(), ids[1].to_string());
    assert_eq!(rig.ls_rows(Object::Account).len(), 3, "one was made for the other");
    rig.quiet().await;
}

#[tokio::test]
async fn a_deletion_in_salesforce_is_reported_and_nothing_is_taken_away() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.once().await;
    rig.salesforce.world().delete("Contact", &anna).unwrap();
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.platform), ("ok", 0), "{report:#?}");
    assert_eq!(rig.ls_rows(Object::Customer).len(), 1);
    let links = rig.store().view("links", "salesforce_id = ?1", &anna, 10).unwrap();
    assert_eq!(links.rows[0][4].as_deref(), Some("deleted-in-salesforce"), "{links:?}");
    // Undeleted: linked again, and edits travel again.
    rig.salesforce.world().undelete("Contact", &anna).unwrap();
    rig.once().await;
    rig.sf_update("Contact", &anna, json!({"LastName": "Svensson"}));
    rig.once().await;
    assert_eq!(rig.ls_rows(Object::Customer)[0]["last_name"], json!("Svensson"), "{}", rig.changes());
    rig.quiet().await;
}

#[tokio::test]
async fn a_merge_moves_the_link_and_revokes_nothing() {
    let rig = Rig::start().await;
    let (keep, lose) = (rig.account("Acme"), rig.account("Acme Inc"));
    rig.once().await;
    rig.salesforce.world().merge("Account", &keep, &[&lose], &json!({})).unwrap();
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.platform), ("ok", 0), "{}", rig.changes());
    assert_eq!(rig.ls_rows(Object::Account).len(), 2, "nothing is deleted on the platform");
    rig.quiet().await;
}

#[tokio::test]
async fn what_vanished_on_the_platform_is_proved_gone_first_and_comes_back_by_a_resync() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.contact(&acme, "Bo", "Lind", "bo@acme.example");
    rig.once().await;
    let id = rig.ls_id(Object::Customer, "email", "anna@acme.example");
    rig.platform.world().delete(Object::Customer, id).unwrap();
    let state = |rig: &Rig| rig.store().view("links", "salesforce_id = ?1", &anna, 10).unwrap().rows[0][4].clone().unwrap();
    rig.once().await;
    assert_eq!(state(&rig), "live", "one look proves nothing");
    rig.tick(120);
    rig.once().await;
    assert_eq!(state(&rig), "buried", "{}", rig.changes());
    assert_eq!(rig.sf_rows("Contact").len(), 2);
    let report = rig.full().await;
    assert_eq!(report.writes.platform, 1, "a re-sync brings back what was deleted only on the platform: {}", rig.changes());
    rig.quiet().await;
}

#[tokio::test]
async fn an_emptied_platform_is_not_believed() {
    let rig = Rig::start().await;
    for i in 0..12 {
        rig.account(&format!("Account {i}"));
    }
    rig.once().await;
    for row in rig.ls_rows(Object::Account) {
        rig.platform.world().delete(Object::Account, row["id"].as_i64().unwrap()).unwrap();
    }
    for _ in 0..3 {
        let report = rig.once().await;
        assert_eq!((report.outcome.as_str(), report.writes.salesforce, report.writes.platform), ("held", 0, 0), "{report:#?}");
        rig.tick(120);
    }
    assert_eq!(rig.store().link_count("account").unwrap(), 12);
    let hold = rig.store().holds().unwrap().remove(0);
    assert!(hold.reason.contains("not believed"), "{hold:?}");
}

#[tokio::test]
async fn a_mass_change_is_held_and_lets_go_by_itself() {
    let rig = Rig::start().await;
    rig.write_rules(|t| t.replace("changes = { count = 500, percent = 30 }", "changes = { count = 2, percent = 10 }"));
    let ids: Vec<String> = (0..6).map(|i| rig.account(&format!("Account {i}"))).collect();
    rig.once().await;
    for id in &ids {
        rig.sf_update("Account", id, json!({"Phone": "1"}));
    }
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.held, report.writes.platform), ("held", 6, 0), "{report:#?}");
    // New records of other kinds go on meanwhile.
    rig.contact(&ids[0], "Anna", "Kelly", "anna@acme.example");
    assert_eq!(rig.once().await.writes.platform, 1);
    // Put back by the person who did it: the hold is gone.
    for id in &ids {
        rig.sf_update("Account", id, json!({"Phone": null}));
    }
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.held), ("ok", 0), "{report:#?}");
}

#[tokio::test]
async fn a_manual_clash_stays_open_until_somebody_decides() {
    let rig = Rig::start().await;
    rig.write_rules(|t| t.replace("LastName = \"last_name\"", "LastName = { to = \"last_name\", conflict = \"manual\" }"));
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.once().await;
    let id = rig.ls_id(Object::Customer, "email", "anna@acme.example");
    rig.sf_update("Contact", &anna, json!({"LastName": "Svensson"}));
    rig.ls_update(Object::Customer, id, json!({"last_name": "Berg"}));
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.conflicts_open, report.writes.platform), ("partial", 1, 0), "{report:#?}");
    let report = rig.once().await;
    assert_eq!((report.conflicts_open, report.writes.salesforce + report.writes.platform), (1, 0), "{report:#?}");
    // Restoring puts the platform's value on both sides.
    let open = rig.store().conflicts(true, 10).unwrap().remove(0).id;
    let mut options = lockstep::engine::Options::new(lockstep::engine::RunKind::Delta, "restore");
    options.restore = vec![open];
    rig.run(options).await;
    assert_eq!(rig.sf("Contact", &anna)["LastName"], json!("Berg"), "{}", rig.changes());
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.conflicts_open), ("ok", 0), "{report:#?}");
    rig.quiet().await;
}

#[tokio::test]
async fn the_loser_of_a_clash_can_be_put_back() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    rig.once().await;
    let id = rig.ls_rows(Object::Account)[0]["id"].as_i64().unwrap();
    rig.sf_update("Account", &acme, json!({"Name": "Acme Holding"}));
    rig.ls_update(Object::Account, id, json!({"name": "Acme Group"}));
    assert_eq!(rig.once().await.conflicts, 1);
    let conflict = rig.store().conflicts(false, 1).unwrap().remove(0).id;
    let mut options = lockstep::engine::Options::new(lockstep::engine::RunKind::Delta, "restore");
    options.restore = vec![conflict];
    rig.run(options).await;
    assert_eq!(rig.sf("Account", &acme)["Name"], json!("Acme Group"));
    assert_eq!(rig.ls_rows(Object::Account)[0]["name"], json!("Acme Group"));
    rig.quiet().await;
}

/// S15: automation in Salesforce that changes what we wrote is named, and nobody writes in circles.
#[tokio::test]
async fn what_a_side_holds_otherwise_is_said() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    rig.once().await;
    let set = json!({"Phone": "+46 normalised"}).as_object().unwrap().clone();
    rig.salesforce.world().add_trigger("Account", Some("Phone"), set).unwrap();
    let id = rig.ls_rows(Object::Account)[0]["id"].as_i64().unwrap();
    rig.ls_update(Object::Account, id, json!({"phone": "08 1"}));
    rig.once().await;
    assert_eq!(rig.sf("Account", &acme)["Phone"], json!("+46 normalised"));
    let told = rig.store().view("recent_changes", "code = 'held-otherwise'", "", 10).unwrap();
    assert_eq!(told.rows.len(), 1, "{}", rig.changes());
    assert!(rig.changes().contains("holds"), "{}", rig.changes());
    rig.quiet().await;
}

/// R4.4: with `merge = "record"` Salesforce prevails as a whole; what it overwrote is kept.
#[tokio::test]
async fn salesforce_may_win_the_whole_record() {
    let rig = Rig::start().await;
    rig.write_rules(|t| t.replace("platform = \"customer-account\"", "platform = \"customer-account\"\nmerge = \"record\""));
    let acme = rig.sf_insert("Account", json!({"Name": "Acme", "Phone": "1"}));
    rig.once().await;
    let id = rig.ls_rows(Object::Account)[0]["id"].as_i64().unwrap();
    // One side alone still travels.
    rig.ls_update(Object::Account, id, json!({"phone": "2"}));
    rig.once().await;
    assert_eq!(rig.sf("Account", &acme)["Phone"], json!("2"), "{}", rig.changes());
    // Both at once, different fields: the platform's is overwritten, and its value kept.
    rig.sf_update("Account", &acme, json!({"Name": "Acme Holding"}));
    rig.ls_update(Object::Account, id, json!({"phone": "3"}));
    let report = rig.once().await;
    assert_eq!((report.writes.salesforce, report.conflicts), (0, 1), "{report:#?}\n{}", rig.changes());
    let row = rig.ls_rows(Object::Account).remove(0);
    assert_eq!((&row["name"], &row["phone"]), (&json!("Acme Holding"), &json!("2")), "{}", rig.changes());
    let conflict = rig.store().conflicts(false, 1).unwrap().remove(0);
    assert_eq!(conflict.value.platform, lockstep::record::Value::text("3"));
    rig.quiet().await;
}

/// R4.1, S9: what the rules let travel one way is never written the other way.
#[tokio::test]
async fn one_way_is_one_way() {
    let rig = Rig::start().await;
    let acme = rig.sf_insert("Account", json!({"Name": "Acme", "Description": "ours"}));
    rig.once().await;
    let id = rig.ls_rows(Object::Account)[0]["id"].as_i64().unwrap();
    rig.ls_update(Object::Account, id, json!({"description": "theirs"}));
    let report = rig.once().await;
    assert_eq!((report.writes.salesforce, report.writes.platform), (0, 0), "drift is ignored: {}", rig.changes());
    assert_eq!(rig.sf("Account", &acme)["Description"], json!("ours"));
    rig.sf_update("Account", &acme, json!({"Description": "ours again"}));
    rig.once().await;
    assert_eq!(rig.ls_rows(Object::Account)[0]["description"], json!("ours again"), "until Salesforce moves");
    // drift = "revert" puts it back at once.
    rig.write_rules(|t| t.replace("platform = \"customer-account\"", "platform = \"customer-account\"\ndrift = \"revert\""));
    rig.once().await;
    rig.ls_update(Object::Account, id, json!({"description": "theirs"}));
    rig.once().await;
    assert_eq!(rig.ls_rows(Object::Account)[0]["description"], json!("ours again"), "{}", rig.changes());
    rig.quiet().await;
}

/// R3.7: fields that are new in the rules are filled by a full re-sync.
#[tokio::test]
async fn a_newly_mapped_field_is_filled_by_a_resync() {
    let rig = Rig::start().await;
    rig.write_rules(|t| t.replace("Title = { to = \"metadata.title\", direction = \"to-platform\" }\n", ""));
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.sf_update("Contact", &anna, json!({"Title": "CTO"}));
    rig.once().await;
    assert!(rig.ls_rows(Object::Customer)[0]["metadata"]["title"].is_null());
    rig.write_rules(|t| t);
    let report = rig.full().await;
    assert_eq!(report.writes.platform, 1, "{report:#?}");
    assert_eq!(rig.ls_rows(Object::Customer)[0]["metadata"]["title"], json!("CTO"));
    rig.quiet().await;
}
