//! Calls that go wrong, and a LAC that does what its vendor never described: nothing twice, nothing lost, nothing guessed.

use super::Desk;
use serde_json::json;

/// 4.8: a create whose answer is lost is looked for by its tag before it is made again.
#[tokio::test]
async fn l2_a_lost_answer_to_a_create_makes_no_second_customer_and_no_second_contact() {
    for fault in [
        json!("reset_after"),
        json!("reset_before"),
        json!({"status_after": 502, "body": "<html>bad gateway</html>", "content_type": "text/html"}),
        json!({"truncate": 0.5}),
        json!("html_200"),
    ] {
        let desk = Desk::start().await;
        let acme = desk.account("Acme");
        desk.contact(&acme, "Ada", "Lovelace", Some("ada@x.example"));
        desk.contact(&acme, "Mo", "Dyk", None);
        for on in ["POST /customers", "PATCH /customers/"] {
            desk.fault(json!({"on": on, "do": fault}));
        }
        desk.once().await;
        for _ in 0..3 {
            desk.tick(3600);
            desk.once().await;
        }
        desk.calm();
        assert_eq!(desk.customers(), ["Acme"], "{fault}\n{}", desk.changes());
        assert_eq!(desk.names("Acme"), ["Ada Lovelace", "Mo Dyk"], "{fault}\n{}", desk.changes());
        assert_eq!((desk.live("Account").len(), desk.live("Contact").len()), (1, 2), "{fault}");
        desk.quiet().await;
    }
}

/// 2: a token that ends in the middle of a run is renewed, once; the run goes on as if nothing had been.
#[tokio::test]
async fn a_token_that_ends_in_the_middle_of_a_run_is_renewed_once() {
    let desk = Desk::in_step().await;
    desk.lac().settings.page_size = 1;
    for n in 0..6 {
        let account = desk.account(&format!("Firm {n}"));
        desk.contact(&account, "Ada", &format!("Nr{n}"), None);
    }
    let over = json!({"status": 403, "body": "{\"message\":\"the token is not valid\"}", "content_type": "application/json"});
    for (on, nth) in [("GET /customers?offset=1", 1), ("POST /customers", 3), ("PATCH /customers/", 2)] {
        desk.fault(json!({"on": on, "nth": nth, "do": over}));
    }
    let before = desk.lac_calls(|call| call.contains("/auth/"));
    desk.ok(12).await;
    assert_eq!(desk.lac_calls(|call| call.contains("/auth/")) - before, 4, "the first one, and one for each that ended");
    assert_eq!((desk.customers().len(), desk.lac().count("contact")), (8, 9));
    desk.calm();
    desk.quiet().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_is_missing_stops_the_run_and_is_said_in_words() {
    let desk = Desk::in_step().await;
    let merged = desk.lac().settings.merged(&json!({"denied": ["customers:write"]})).unwrap();
    desk.lac().settings = merged;
    let acme = desk.id("Account", "Name", "Acme");
    desk.edit("Account", &acme, json!({"Phone": "1"}));
    let ended = desk.command(&["once"]);
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.code() == Some(3) && told.contains("is its role missing?"), "{ended:?}");
    let merged = desk.lac().settings.merged(&json!({"denied": []})).unwrap();
    desk.lac().settings = merged;
    desk.tick(86_400);
    desk.once().await;
    assert_eq!(desk.customer("Acme").text("phone_number"), "1", "{}", desk.changes());
}

/// 4.4: an answer that does not show a contact or a tag of somebody else stops everything, and says so.
#[tokio::test]
async fn a_contact_or_a_tag_that_vanished_by_a_write_stops_all_writing() {
    for (member, code) in [("Contacts", "contact-vanished"), ("CustomTags", "tag-vanished")] {
        let desk = Desk::in_step().await;
        desk.lac().define_tag("vat_number", "VAT number");
        let row = desk.customer("Acme");
        desk.lac().set_tag(row.id, "vat_number", "CH1").unwrap();
        desk.settle().await;
        let mut shown = desk.lac().row("customer", &row.id.into()).unwrap();
        shown["city"] = json!("Bern");
        match member {
            "Contacts" => drop(shown["Contacts"].as_array_mut().unwrap().remove(1)),
            _ => shown["CustomTags"].as_array_mut().unwrap().retain(|tag| tag["tag_name"] != "vat_number"),
        }
        desk.fault(json!({"on": "PATCH /customers/", "do": {"json_200": shown}}));
        for name in ["Acme", "Beta"] {
            let id = desk.id("Account", "Name", name);
            desk.edit("Account", &id, json!({"BillingCity": "Bern"}));
        }
        let before = desk.lac_writes();
        let report = desk.once().await;
        assert_eq!(report.outcome, "partial", "{report:#?}\n{}", desk.changes());
        assert_eq!(desk.lac_writes(), before, "the one that was answered for LAC, and none after it");
        assert_eq!(desk.customer("Beta").text("city"), "");
        let told = desk.said(&["quarantine"]) + &desk.changes();
        assert!(told.contains(code), "{told}");
        assert_eq!(desk.live("Contact").len(), 3);
    }
}

/// X13: a list that is empty, breaks off or lies proves no deletion.
#[tokio::test]
async fn x13_a_list_that_is_empty_or_breaks_off_deletes_nothing() {
    for fault in [
        json!({"on": "GET /customers?offset", "times": 0, "do": {"json_200": []}}),
        json!({"on": "GET /customers?offset", "nth": 2, "times": 0, "do": {"status": 500, "body": "", "content_type": "text/html"}}),
        json!({"on": "GET /customers?offset", "times": 0, "do": "html_200"}),
        json!({"on": "GET /customers?offset", "times": 0, "do": {"json_200": {"customers": []}}}),
    ] {
        let desk = Desk::in_step().await;
        desk.lac().settings.page_size = 1;
        desk.fault(fault.clone());
        for _ in 0..2 {
            let report = desk.once().await;
            assert_eq!((report.writes.salesforce, report.writes.platform), (0, 0), "{fault} {report:#?}\n{}", desk.changes());
        }
        assert_eq!((desk.live("Account").len(), desk.live("Contact").len(), desk.customers().len()), (2, 3, 2), "{fault}");
        desk.calm();
        desk.settle().await;
        desk.quiet().await;
    }
}

/// D5: nothing that came while a side could not be read is lost, on either side.
#[tokio::test]
async fn d5_a_run_that_did_not_finish_moves_no_watermark() {
    let desk = Desk::in_step().await;
    let acme = desk.id("Account", "Name", "Acme");
    let row = desk.customer("Beta");
    desk.edit("Account", &acme, json!({"Phone": "1"}));
    desk.lac().update_customer(row.id, &json!({"city": "Basel"})).unwrap();
    desk.fault(json!({"on": "GET /customers", "times": 0, "do": {"status": 500, "body": "", "content_type": "text/html"}}));
    let report = desk.once().await;
    assert!(report.outcome == "failed" && report.error.is_some(), "{report:#?}");
    desk.calm();
    // Days later the edit lies far before any window that is read again.
    desk.tick(3 * 86_400);
    desk.wrote((1, 1)).await;
    assert_eq!(
        (desk.customer("Acme").text("phone_number"), desk.sf("Account", row.tag("SF_Id").unwrap())["BillingCity"].clone()),
        ("1", json!("Basel"))
    );
    desk.quiet().await;
}

/// F3, F4, T3: what does not fit is an error of its record and is never cut; a name is never emptied; a tag without a
/// definition is named.
#[tokio::test]
async fn f3_f4_what_does_not_fit_is_an_error_of_its_record() {
    let desk = Desk::in_step().await;
    let (acme, row) = (desk.id("Account", "Name", "Acme"), desk.customer("Acme"));
    desk.lac().update_customer(row.id, &json!({"phone_number": "1".repeat(60)})).unwrap();
    let beta = desk.customer("Beta");
    desk.lac().update_customer(beta.id, &json!({"city": "Basel"})).unwrap();
    let report = desk.once().await;
    assert_eq!((report.quarantined, report.writes.salesforce), (1, 1), "the other one travels: {report:#?}\n{}", desk.changes());
    assert_eq!(desk.sf("Account", &acme)["Phone"], serde_json::Value::Null);
    desk.lac().update_customer(row.id, &json!({"phone_number": "1"})).unwrap();
    desk.settle().await;

    // The other way: what LAC refuses for its length.
    desk.edit("Account", &acme, json!({"BillingStreet": "x".repeat(250)}));
    desk.lac().settings.text_limit = 100;
    let report = desk.once().await;
    assert_eq!((report.quarantined, desk.customer("Acme").text("street")), (1, ""), "{report:#?}");
    desk.edit("Account", &acme, json!({"BillingStreet": "short"}));
    desk.settle().await;
    assert_eq!(desk.customer("Acme").text("street"), "short");
}

/// T3: without the tag's definition nothing is written but the one try, and what to do is said in words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t3_a_tag_that_nobody_defined_is_named_and_nothing_else_is_written() {
    let desk = Desk::start().await;
    desk.lac().undefine_tag("SF_Id");
    for n in 0..5 {
        desk.account(&format!("Firm {n}"));
    }
    let ended = desk.command(&["once"]);
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.code() == Some(3) && told.contains("create custom tag SF_Id in LAC"), "{ended:?}");
    assert_eq!((desk.lac_calls(|call| call.starts_with("POST /customers")), desk.customers().len()), (1, 0), "tried once");
    desk.lac().define_tag("SF_Id", "Salesforce id");
    desk.tick(86_400);
    desk.settle().await;
    assert_eq!(desk.customers().len(), 5);
}

/// What the vendor leaves open changes nothing of the outcome.
#[tokio::test]
async fn the_same_story_under_every_switch() {
    for switches in [
        json!({"page_size": 1, "list_order": "-id", "numbers_as_strings": false}),
        json!({"blank_as": "missing", "extra_fields": true, "crlf": true}),
        json!({"patch_without_field": "keep", "patch_without_array": "keep"}),
        json!({"contact_without_id": "matched", "create_status": 201}),
        json!({"bump_on_contact_edit": true, "bump_on_tag_edit": true, "bump_on_nothing": false}),
        json!({"utc_offset_minutes": 120, "token_status": 401, "error_shape": "text"}),
        json!({"delete_status": 200, "unknown_tag_search_refused": true}),
    ] {
        let desk = Desk::start().await;
        let merged = desk.lac().settings.merged(&switches).unwrap();
        desk.lac().settings = merged;
        let (acme, beta) = (desk.account("Acme"), desk.account("Beta"));
        let ada = desk.contact(&acme, "Ada", "Lovelace", Some("ada@x.example"));
        desk.contact(&beta, "Bob", "Byte", None);
        desk.ok(4).await;
        desk.quiet().await;
        desk.edit("Contact", &ada, json!({"LastName": "King"}));
        let row = desk.customer("Beta");
        desk.lac().update_customer(row.id, &json!({"street": "A 1\nB 2"})).unwrap();
        desk.lac().add_contact(row.id, "Zoe Zed", "zoe@x.example").unwrap();
        desk.settle().await;
        assert_eq!(
            (desk.names("Acme"), desk.names("Beta").len(), desk.live("Contact").len()),
            (vec!["Ada King".to_owned()], 2, 3),
            "{switches}"
        );
        desk.org().delete("Account", &acme).unwrap();
        desk.settle().await;
        assert_eq!(desk.customers(), ["Beta"], "{switches}");
        desk.quiet().await;
    }
}
