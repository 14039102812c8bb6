//! What is deleted, what is not, and what comes back.

use super::Desk;
use serde_json::json;

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|n| (*n).to_owned()).collect()
}

/// X1, 4.2: a customer with license orders stays, and each command says why.
#[tokio::test]
async fn x1_a_customer_with_license_orders_is_kept_and_every_command_says_why() {
    let desk = Desk::in_step().await;
    let (acme, row) = (desk.id("Account", "Name", "Acme"), desk.customer("Acme"));
    let key = desk.lac().issue(row.id, &json!({})).unwrap();
    desk.org().delete("Account", &acme).unwrap();
    for _ in 0..3 {
        let report = desk.once().await;
        assert_eq!((report.outcome.as_str(), report.quarantined > 0), ("partial", true), "{report:#?}\n{}", desk.changes());
    }
    assert_eq!(desk.customers(), ["Acme", "Beta"]);
    assert_eq!(desk.lac_calls(|call| call.starts_with("DELETE")), 0, "it is not even tried");
    let shown = desk.said(&["quarantine"]);
    assert!(shown.contains("has-license-orders") && shown.contains("1 license order"), "{shown}");
    let why = desk.said(&["why", "Acme"]);
    assert!(why.contains("license order"), "{why}");
    for text in [&shown, &why] {
        assert!(!text.contains(&key), "an activation key is a secret: {text}");
    }
    assert!(desk.said(&["hold", "list"]).contains("nothing"), "refused, not held");
    assert!(!desk.store().dump().unwrap().contains(&key));

    // The orders gone, it goes.
    desk.lac().delete_order(&key).unwrap();
    desk.tick(86_400);
    desk.once().await;
    desk.once().await;
    assert_eq!(desk.customers(), ["Beta"], "{}", desk.changes());
    desk.settle().await;
}

#[tokio::test]
async fn x1_an_account_takes_its_customer_and_a_contact_its_contact() {
    let desk = Desk::in_step().await;
    let eve = desk.id("Contact", "Email", "eve@x.example");
    desk.org().delete("Contact", &eve).unwrap();
    desk.ok(1).await;
    assert_eq!(desk.names("Acme"), ["Ada Lovelace"]);
    desk.settle().await;
    let acme = desk.id("Account", "Name", "Acme");
    desk.org().delete("Account", &acme).unwrap();
    desk.settle().await;
    assert_eq!((desk.customers(), desk.lac().count("contact")), (vec!["Beta".to_owned()], 1));
    desk.quiet().await;
}

/// X2: the only deletion that travels to Salesforce, and not before LAC was asked.
#[tokio::test]
async fn x2_a_contact_deleted_in_lac_goes_in_salesforce_too() {
    let desk = Desk::in_step().await;
    let person = desk.person("Acme", "Eve Moore");
    desk.lac().delete_contact(person).unwrap();
    desk.ok(0).await;
    assert_eq!(desk.live("Contact").len(), 3, "not seen once is not gone");
    desk.wrote((1, 0)).await;
    assert_eq!(desk.live("Contact").len(), 2);
    desk.quiet().await;
}

/// X3, X5, X6: nothing follows from a deleted customer, however often it is not there; not even from its contacts' absence.
#[tokio::test]
async fn x3_x5_x6_a_customer_deleted_in_lac_deletes_nothing_and_stays_away() {
    let desk = Desk::in_step().await;
    let row = desk.customer("Acme");
    desk.lac().delete_customer(row.id).unwrap();
    for _ in 0..5 {
        desk.ok(0).await;
    }
    assert_eq!((desk.live("Account").len(), desk.live("Contact").len(), desk.customers().len()), (2, 3, 1));
}

/// X4: what changes later in Salesforce brings it back whole: the account, or one of its contacts, or a new one.
#[tokio::test]
async fn x4_a_later_change_in_salesforce_brings_the_customer_back_with_all_its_people() {
    for (what, at_once) in [("account", false), ("contact", true), ("new contact", false)] {
        let desk = Desk::in_step().await;
        let (acme, old) = (desk.id("Account", "Name", "Acme"), desk.customer("Acme").id);
        desk.lac().delete_customer(old).unwrap();
        if !at_once {
            desk.settle().await;
        }
        let mut people = vec!["Ada Lovelace", "Eve Moore"];
        match what {
            "account" => desk.edit("Account", &acme, json!({"Phone": "1"})),
            "contact" => {
                desk.edit("Contact", &desk.id("Contact", "Email", "ada@x.example"), json!({"LastName": "King"}));
                people[0] = "Ada King";
            }
            _ => {
                desk.contact(&acme, "Zoe", "Zed", None);
                people.push("Zoe Zed");
            }
        }
        desk.settle().await;
        let again = desk.customer("Acme");
        assert_ne!(again.id, old, "{what} {at_once}");
        assert_eq!((desk.names("Acme"), again.tag("SF_Id")), (names(&people), Some(acme.as_str())), "{what} {at_once}");
        assert_eq!(desk.live("Account").len(), 2);
        desk.quiet().await;
    }
}

#[tokio::test]
async fn x7_the_echo_of_our_own_edit_brings_nothing_back() {
    let desk = Desk::in_step().await;
    let row = desk.customer("Acme");
    desk.lac().update_customer(row.id, &json!({"phone_number": "7"})).unwrap();
    desk.wrote((1, 0)).await;
    desk.lac().delete_customer(row.id).unwrap();
    for _ in 0..4 {
        desk.ok(0).await;
    }
    assert_eq!(desk.customers(), ["Beta"]);
}

#[tokio::test]
async fn x8_a_contact_that_goes_to_another_account_goes_to_its_customer() {
    let desk = Desk::in_step().await;
    let (beta, ada) = (desk.id("Account", "Name", "Beta"), desk.id("Contact", "Email", "ada@x.example"));
    desk.edit("Contact", &ada, json!({"AccountId": beta}));
    desk.ok(1).await;
    assert_eq!((desk.names("Acme").len(), desk.names("Beta")), (1, names(&["Ada Lovelace", "Bob Byte"])));
    desk.settle().await;
    assert_eq!(desk.live("Contact").len(), 3, "its leaving is no deletion");
    // L9: one that loses its account is out of scope; what LAC has of it stays.
    desk.edit("Contact", &ada, json!({"AccountId": null, "LastName": "King"}));
    desk.settle().await;
    assert_eq!((desk.live("Contact").len(), desk.names("Beta")), (3, names(&["Ada Lovelace", "Bob Byte"])));
}

#[tokio::test]
async fn x10_what_comes_out_of_the_bin_is_an_addition() {
    let desk = Desk::in_step().await;
    let (acme, eve) = (desk.id("Account", "Name", "Acme"), desk.id("Contact", "Email", "eve@x.example"));
    desk.org().delete("Contact", &eve).unwrap();
    desk.settle().await;
    desk.org().undelete("Contact", &eve).unwrap();
    desk.settle().await;
    assert_eq!(desk.names("Acme"), ["Ada Lovelace", "Eve Moore"]);
    desk.org().delete("Account", &acme).unwrap();
    desk.settle().await;
    assert_eq!(desk.customers(), ["Beta"]);
    desk.org().undelete("Account", &acme).unwrap();
    desk.settle().await;
    assert_eq!(desk.names("Acme"), ["Ada Lovelace", "Eve Moore"], "{}", desk.changes());
    desk.quiet().await;
}

#[tokio::test]
async fn x11_a_merge_moves_the_people_and_deletes_no_customer() {
    let desk = Desk::in_step().await;
    let (acme, beta) = (desk.id("Account", "Name", "Acme"), desk.id("Account", "Name", "Beta"));
    let loser = desk.customer("Acme");
    desk.lac().issue(loser.id, &json!({})).unwrap();
    desk.org().merge("Account", &beta, &[&acme], &json!({})).unwrap();
    for _ in 0..4 {
        desk.once().await;
    }
    assert_eq!((desk.names("Beta").len(), desk.names("Acme").len(), desk.customers().len()), (3, 0, 2), "{}", desk.changes());
    assert_eq!((desk.live("Contact").len(), desk.lac().count("license_order")), (3, 1));
    assert_eq!(desk.lac_calls(|call| call.starts_with("DELETE")), 0);
}

/// X12: more than may be deleted unasked is not deleted at all, on either side, and a person lets it go.
#[tokio::test]
async fn x12_too_many_deletions_are_held_whole() {
    let desk = Desk::start().await;
    let ids: Vec<String> = (0..30).map(|n| desk.account(&format!("Firm {n:02}"))).collect();
    for (n, id) in ids.iter().enumerate() {
        desk.contact(id, "Ada", &format!("Nr{n}"), Some(&format!("a{n}@x.example")));
    }
    desk.ok(60).await;
    desk.settle().await;
    for id in &ids[..15] {
        desk.org().delete("Account", id).unwrap();
    }
    let report = desk.once().await;
    assert!(report.outcome == "held" && report.held >= 15, "{report:#?}");
    assert_eq!((desk.customers().len(), desk.lac_calls(|call| call.starts_with("DELETE"))), (30, 0));
    let holds = desk.said(&["hold", "list"]);
    assert!(holds.contains("delete") && holds.contains("account"), "{holds}");
    let options = lockstep::engine::Options::new(lockstep::engine::RunKind::Delta, "once");
    desk.tick(60);
    desk.run(lockstep::engine::Options { approve: true, ..options }).await;
    assert_eq!(desk.customers().len(), 15, "{}", desk.changes());
    desk.settle().await;

    let people: Vec<i64> = desk.lac().customers().flat_map(|row| row.contacts.iter().map(|it| it.id)).take(12).collect();
    for id in people {
        desk.lac().delete_contact(id).unwrap();
    }
    for _ in 0..3 {
        desk.once().await;
    }
    assert_eq!(desk.live("Contact").len(), 15, "held towards Salesforce too");
    assert!(desk.once().await.held > 0);
}

/// Z3, Z5, ambiguity 2: a full re-sync brings back what only LAC lost, and deletes in Salesforce nothing at all.
#[tokio::test]
async fn z3_a_full_run_brings_back_customers_with_their_people_and_people_alone() {
    let desk = Desk::in_step().await;
    // A list of contacts that is empty all at once would not be believed.
    desk.contact(&desk.id("Account", "Name", "Beta"), "Zoe", "Zed", None);
    desk.settle().await;
    let row = desk.customer("Acme");
    desk.lac().delete_customer(row.id).unwrap();
    desk.settle().await;
    let person = desk.person("Beta", "Bob Byte");
    desk.lac().delete_contact(person).unwrap();
    for _ in 0..2 {
        let report = desk.full().await;
        assert_eq!((report.outcome.as_str(), report.writes.salesforce), ("ok", 0), "{report:#?}\n{}", desk.changes());
    }
    assert_eq!((desk.names("Acme"), desk.names("Beta")), (names(&["Ada Lovelace", "Eve Moore"]), names(&["Bob Byte", "Zoe Zed"])));
    assert_eq!((desk.live("Account").len(), desk.live("Contact").len()), (2, 4));
    desk.quiet().await;
}

/// Z5: a full run carries out what Salesforce reports as deleted. That something is only not there is no reason.
#[tokio::test]
async fn z5_a_full_run_deletes_what_was_deleted_and_nothing_that_is_only_not_there() {
    let desk = Desk::in_step().await;
    let eve = desk.id("Contact", "Email", "eve@x.example");
    desk.org().delete("Contact", &eve).unwrap();
    desk.full().await;
    desk.full().await;
    assert_eq!(desk.names("Acme"), ["Ada Lovelace"], "{}", desk.changes());
    let beta = desk.id("Account", "Name", "Beta");
    {
        let mut org = desk.org();
        let bob = org.rows("Contact").into_iter().find(|row| row["Email"] == json!("bob@x.example")).unwrap();
        for (object, id) in [("Contact", bob["Id"].as_str().unwrap()), ("Account", beta.as_str())] {
            org.delete(object, id).ok();
            org.purge(object, id).unwrap();
        }
        org.purge_delete_log();
    }
    for _ in 0..3 {
        desk.full().await;
    }
    assert_eq!((desk.customers(), desk.names("Beta")), (names(&["Acme", "Beta"]), names(&["Bob Byte"])));
}
