//! Bad input, bad answers, bad luck: a clear message, nothing lost, nothing half-written, and no license twice.

use crate::rig::Rig;
use lockstep::sandbox::licensespring::Object;
use serde_json::json;

async fn one_order(rig: &Rig) -> String {
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    let pro = rig.product("LS-PRO", "Orbit Pro");
    let order = rig.order(&acme, Some(&anna), &[(&pro, 2)]);
    rig.once().await;
    rig.activate(&order);
    order
}

/// B6: whatever becomes of the call that issues, each line has exactly its licenses in the end.
#[tokio::test]
async fn no_license_is_issued_twice_whatever_becomes_of_the_call() {
    for fault in [
        json!({"on": "POST /api/v1/orders/create_order", "do": "reset_after"}),
        json!({"on": "POST /api/v1/orders/create_order", "do": "reset_before"}),
        json!({"on": "POST /api/v1/orders/create_order", "do": {"status_after": 502, "body": "<html>bad gateway</html>", "content_type": "text/html"}}),
        json!({"on": "POST /api/v1/orders/create_order", "do": {"status": 503, "body": "<html>later</html>", "content_type": "text/html"}}),
        json!({"on": "POST /api/v1/orders/create_order", "do": "twice"}),
        json!({"on": "PATCH /api/v1/orders/", "do": "reset_after"}),
        json!({"on": "GET /api/v1/orders/", "times": 3, "do": "reset_before"}),
    ] {
        let rig = Rig::start().await;
        one_order(&rig).await;
        rig.platform_fault(fault.clone());
        rig.once().await;
        rig.clear_faults();
        for _ in 0..2 {
            rig.tick(120);
            rig.once().await;
        }
        assert_eq!(rig.ls_rows(Object::License).len(), 2, "{fault}\n{}", rig.changes());
        assert_eq!(rig.ls_rows(Object::Order).len(), 1, "{fault}");
        assert_eq!(rig.sf_rows("License__c").len(), 2, "{fault}\n{}", rig.changes());
        rig.quiet().await;
    }
}

/// B6 in the other direction: an answer of Salesforce that is lost makes no second row.
#[tokio::test]
async fn no_row_is_made_twice_in_salesforce() {
    for fault in [json!("reset_after"), json!({"status_after": 502, "body": "", "content_type": "text/html"}), json!("reset_before")] {
        let rig = Rig::start().await;
        one_order(&rig).await;
        rig.salesforce_fault(json!({"on": "POST", "body": "License__c", "do": fault}));
        rig.once().await;
        rig.clear_faults();
        for _ in 0..2 {
            rig.tick(120);
            rig.once().await;
        }
        assert_eq!(rig.sf_rows("License__c").len(), 2, "{fault}\n{}", rig.changes());
        rig.quiet().await;
    }
}

#[tokio::test]
async fn bad_answers_move_no_watermark_and_lose_nothing() {
    for fault in [
        json!({"on": "/composite", "do": {"truncate": 0.5}}),
        json!({"on": "/composite", "do": "html_200"}),
        json!({"on": "/composite", "times": 20, "do": {"status": 500, "body": "<html>oops</html>", "content_type": "text/html"}}),
        json!({"on": "/composite", "times": 20, "do": {"status": 503, "body": "", "content_type": "text/html"}}),
        json!({"on": "/composite", "times": 20, "do": {"json_200": {"compositeResponse": []}}}),
    ] {
        let rig = Rig::start().await;
        rig.account("First");
        rig.once().await;
        rig.account("Second");
        rig.salesforce_fault(fault.clone());
        let report = rig.once().await;
        if rig.ls_rows(Object::Account).len() == 1 {
            assert_eq!(report.outcome, "failed", "{fault} {report:#?}");
            assert!(report.error.as_deref().unwrap_or_default().starts_with("salesforce"), "{report:#?}");
        }
        rig.clear_faults();
        let report = rig.once().await;
        assert_eq!((report.outcome.as_str(), rig.ls_rows(Object::Account).len()), ("ok", 2), "{fault} {report:#?}");
        rig.quiet().await;
    }
}

#[tokio::test]
async fn a_page_that_is_cut_short_deletes_nothing() {
    let rig = Rig::start().await;
    for i in 0..150 {
        rig.account(&format!("Account {i}"));
    }
    rig.once().await;
    for fault in [
        json!({"on": "offset=100", "times": 9, "do": {"json_200": {"count": 150, "next": null, "previous": null, "results": []}}}),
        json!({"on": "customer-accounts/?", "nth": 2, "times": 9, "do": {"status": 500, "body": "", "content_type": "text/html"}}),
        json!({"on": "customer-accounts/?", "times": 9, "do": "html_200"}),
    ] {
        rig.platform_fault(fault.clone());
        for _ in 0..2 {
            let report = rig.once().await;
            assert_eq!((report.writes.salesforce, report.writes.platform), (0, 0), "{fault}");
            rig.tick(120);
        }
        assert_eq!(rig.store().link_count("account").unwrap(), 150, "{fault}");
        rig.clear_faults();
    }
    rig.quiet().await;
}

#[tokio::test]
async fn a_token_that_expires_in_mid_page_is_renewed_once() {
    let rig = Rig::start().await;
    rig.salesforce.world().settings.page_size = 50;
    for i in 0..120 {
        rig.account(&format!("Account {i}"));
    }
    rig.salesforce_fault(json!({"on": "/query/01g", "do": {"status": 401, "body": "[{\"message\":\"Session expired or invalid\",\"errorCode\":\"INVALID_SESSION_ID\"}]", "content_type": "application/json"}}));
    rig.salesforce_fault(json!({"on": "/query/0r8", "do": {"status": 401, "body": "[{\"message\":\"Session expired or invalid\",\"errorCode\":\"INVALID_SESSION_ID\"}]", "content_type": "application/json"}}));
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.platform), ("ok", 120), "{report:#?}");
    rig.quiet().await;
}

#[tokio::test]
async fn wrong_credentials_are_said_without_showing_them() {
    let rig = Rig::start().await;
    rig.account("Acme");
    std::fs::write(rig.dir.path().join("client-secret"), "canary-secret-3f9a").unwrap();
    let report = rig.once().await;
    let error = report.error.clone().unwrap_or_default();
    assert_eq!(report.outcome, "failed");
    assert!(error.contains("salesforce") && error.contains("invalid_client"), "{error}");
    assert!(!error.contains("canary-secret-3f9a"));
    assert!(!rig.store().dump().unwrap().contains("canary-secret-3f9a"));

    rig.write_rules(|t| t);
    std::fs::write(rig.dir.path().join("api-key"), "canary-key-77b1").unwrap();
    let report = rig.once().await;
    let error = report.error.clone().unwrap_or_default();
    assert!(error.contains("platform"), "{error}");
    assert!(!error.contains("canary-key-77b1"));
}

#[tokio::test]
async fn another_org_behind_the_same_credentials_is_refused() {
    let rig = Rig::start().await;
    rig.account("Acme");
    rig.once().await;
    let other = lockstep::sandbox::salesforce::Id::parse("00D5g000001XyzA").unwrap();
    rig.salesforce.world().change_org(other);
    rig.account("Stranger");
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.platform), ("failed", 0), "{report:#?}");
    assert!(report.error.unwrap_or_default().contains("another salesforce"));
    assert_eq!(rig.ls_rows(Object::Account).len(), 1);
}

#[tokio::test]
async fn one_bad_record_stops_nobody() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    let bad =
        rig.sf_insert("Contact", json!({"AccountId": acme, "LastName": "Lind", "Email": "bo@acme.example", "MailingPostalCode": "12345"}));
    rig.platform_fault(json!({"on": "POST /api/v1/customers/", "body": "bo@acme.example", "times": 0, "do": {"status": 400, "body": "{\"postcode\":[\"Not a postcode.\"]}", "content_type": "application/json"}}));
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.quarantined, rig.ls_rows(Object::Customer).len()), ("partial", 1, 1), "{report:#?}");
    let row = rig.store().quarantine(10).unwrap().remove(0);
    assert_eq!(row.id, bad);
    assert!(row.message.contains("Not a postcode"), "{row:?}");
    let report = rig.once().await;
    assert_eq!((report.writes.platform, report.quarantined), (0, 1), "it waits its turn: {report:#?}");
    rig.clear_faults();
    // A change of the record wakes it.
    rig.sf_update("Contact", &bad, json!({"MailingPostalCode": "22100"}));
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.quarantined, rig.ls_rows(Object::Customer).len()), ("ok", 0, 2), "{report:#?}");
    rig.quiet().await;
}

#[tokio::test]
async fn a_product_without_a_mapping_parks_the_order_until_the_map_is_amended() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    let gold = rig.product("LS-GOLD", "Orbit Gold");
    let order = rig.order(&acme, Some(&anna), &[(&gold, 1)]);
    rig.activate(&order);
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.quarantined), ("partial", 1), "{report:#?}");
    let row = rig.store().quarantine(10).unwrap().remove(0);
    assert!(row.message.contains("LS-GOLD") && row.message.contains("Orbit Gold"), "{row:?}");
    rig.write_rules(|t| t.replace("\"SERVICES-*\" = \"none\"", "\"SERVICES-*\" = \"none\"\n\"LS-GOLD\" = { product = \"orbit-pro\" }"));
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), rig.ls_rows(Object::License).len()), ("ok", 1), "{report:#?}\n{}", rig.changes());
}

/// B8: a field we may no longer read is frozen, not blanked.
#[tokio::test]
async fn a_field_that_vanishes_from_describe_is_frozen() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.sf_update("Contact", &anna, json!({"Phone": "+46 1"}));
    rig.once().await;
    rig.salesforce.world().hide_field("Contact", "Phone", true).unwrap();
    rig.sf_update("Contact", &anna, json!({"LastName": "Svensson"}));
    rig.once().await;
    let row = rig.ls_rows(Object::Customer).remove(0);
    assert_eq!((&row["phone"], &row["last_name"]), (&json!("+46 1"), &json!("Svensson")), "{}", rig.changes());
    rig.salesforce.world().hide_field("Contact", "Phone", false).unwrap();
    rig.quiet().await;
    assert_eq!(rig.ls_rows(Object::Customer)[0]["phone"], json!("+46 1"));
}

/// L5: a stamp that is older than the last reading, committed since.
#[tokio::test]
async fn a_late_commit_within_the_lookback_is_seen() {
    let rig = Rig::start().await;
    rig.account("Acme");
    rig.once().await;
    let visible = rig.salesforce_wire.clock.now() + chrono::Duration::seconds(90);
    rig.salesforce.world().begin("create", "Account", None, &json!({"Name": "Late"}), visible).unwrap();
    rig.once().await;
    rig.tick(120);
    let report = rig.once().await;
    assert_eq!(report.writes.platform, 1, "{report:#?}");
    rig.quiet().await;
}

#[tokio::test]
async fn a_crashed_run_is_resumed_by_the_next() {
    let rig = Rig::start().await;
    one_order(&rig).await;
    // The process dies between promise and settle: the journal holds a promise that nobody kept.
    rig.platform_fault(json!({"on": "create_order", "times": 50, "do": "reset_after"}));
    rig.platform_fault(json!({"on": "GET /api/v1/orders/", "times": 50, "do": "reset_before"}));
    rig.once().await;
    let open = rig.store().open_promises("order").unwrap();
    rig.clear_faults();
    rig.tick(60);
    rig.once().await;
    rig.tick(60);
    rig.once().await;
    assert_eq!(rig.ls_rows(Object::License).len(), 2, "{open:#?}\n{}", rig.changes());
    assert!(rig.store().open_promises("order").unwrap().is_empty());
    rig.quiet().await;
}

/// A mapped field that is not there, may not be written, or is too short for what comes.
#[tokio::test]
async fn fields_that_cannot_take_part_stop_only_themselves() {
    let rig = Rig::start().await;
    rig.write_rules(|t| t.replace("Phone = \"phone\"\nDescription", "Phone = \"phone\"\nNope__c = \"email\"\nDescription"));
    let acme = rig.account("Acme");
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.platform), ("ok", 1), "the rest travels: {report:#?}");

    // Too short: a phone number of 60 characters does not fit Salesforce's 40. Parked, not cut.
    let id = rig.ls_rows(Object::Account)[0]["id"].as_i64().unwrap();
    rig.ls_update(Object::Account, id, json!({"phone": "1".repeat(60)}));
    let report = rig.once().await;
    assert_eq!((report.quarantined, report.writes.salesforce), (1, 0), "{report:#?}");
    let row = rig.store().quarantine(10).unwrap().remove(0);
    assert_eq!(row.code, "too-long");
    assert!(row.message.contains("60 characters") && row.message.contains("holds 40"), "{row:?}");
    assert!(rig.sf("Account", &acme)["Phone"].is_null());
    rig.ls_update(Object::Account, id, json!({"phone": "112"}));
    assert_eq!(rig.once().await.quarantined, 0);
    assert_eq!(rig.sf("Account", &acme)["Phone"], json!("112"));

    // Not writable any more: Salesforce keeps what it has, nothing fails.
    rig.salesforce.world().readonly_field("Account", "Phone", true).unwrap();
    rig.ls_update(Object::Account, id, json!({"phone": "113"}));
    let report = rig.once().await;
    assert_eq!((report.outcome.as_str(), report.writes.salesforce), ("ok", 0), "{report:#?}");
    assert_eq!(rig.sf("Account", &acme)["Phone"], json!("112"));
}

#[tokio::test]
async fn a_state_belongs_to_one_connection() {
    let rig = Rig::start().await;
    rig.account("Acme");
    rig.once().await;
    rig.write_rules(|t| t.replace("name = \"acme\"", "name = \"other\""));
    let report = rig.once().await;
    assert_eq!(report.outcome, "failed");
    assert!(report.error.unwrap_or_default().contains("belongs to connection"), "said");
}

/// S1: a customer whose create was never answered is edited by somebody before we look at it again.
#[tokio::test]
async fn an_edit_before_a_lost_create_is_settled_is_news() {
    let rig = Rig::start().await;
    let acme = rig.account("Acme");
    let anna = rig.contact(&acme, "Anna", "Kelly", "anna@acme.example");
    rig.platform_fault(json!({"on": "POST /api/v1/customers/", "do": "reset_after"}));
    rig.platform_fault(json!({"on": "GET /api/v1/customers/?reference", "nth": 2, "times": 60, "do": "html_200"}));
    rig.once().await;
    rig.clear_faults();
    let id = rig.ls_id(Object::Customer, "reference", &anna);
    assert_eq!(rig.store().open_promises("contact").unwrap().len(), 1, "{}", rig.changes());
    rig.ls_update(Object::Customer, id, json!({"city": "Bern"}));
    rig.tick(120);
    rig.once().await;
    assert_eq!(rig.sf("Contact", &anna)["MailingCity"], "Bern", "{}", rig.changes());
    rig.quiet().await;
}
