//! What travels, each way, and what is never written: links, fields, names, tags, echoes.

use super::Desk;
use serde_json::{Value, json};

#[tokio::test]
async fn d2_additions_and_changes_travel_both_ways() {
    let desk = Desk::in_step().await;
    let acme = desk.id("Account", "Name", "Acme");
    let fields = json!({"Phone": "+46 1", "Fax": "+46 2", "Description": "d", "BillingCity": "Lund", "BillingCountry": "Sweden",
        "BillingState": "Skåne", "BillingStreet": "Storgatan 1\r\nc/o Berg", "BillingPostalCode": "221 00"});
    desk.edit("Account", &acme, fields);
    desk.ok(1).await;
    let row = desk.customer("Acme");
    let told: Vec<&str> =
        ["phone_number", "fax_number", "description", "city", "country", "state", "street", "zip_code"].map(|name| row.text(name)).to_vec();
    assert_eq!(told, ["+46 1", "+46 2", "d", "Lund", "Sweden", "Skåne", "Storgatan 1\nc/o Berg", "221 00"], "F1, F2");
    desk.quiet().await;

    desk.lac().update_customer(row.id, &json!({"city": "Malmö", "fax_number": "", "street": "Storgatan 2\nc/o Berg"})).unwrap();
    desk.wrote((1, 0)).await;
    let there = desk.sf("Account", &acme);
    assert_eq!((&there["BillingCity"], &there["Fax"]), (&json!("Malmö"), &Value::Null));
    assert_eq!(there["BillingStreet"].as_str().unwrap().replace("\r\n", "\n"), "Storgatan 2\nc/o Berg");
    desk.quiet().await;

    // A customer that only LAC has, with its people, in one run.
    let born = json!({"name": "Born in LAC", "Contacts": [{"name": "Mo van Dyk", "email": "mo@x.example"}, {"name": "Cher"}]});
    desk.lac().add_customer(&born).unwrap();
    desk.wrote((3, 1)).await;
    let account = desk.id("Account", "Name", "Born in LAC");
    assert_eq!(desk.customer("Born in LAC").tag("SF_Id"), Some(account.as_str()), "L2: tagged in the run that made the account");
    let mo = desk.sf("Contact", &desk.id("Contact", "Email", "mo@x.example"));
    assert_eq!((&mo["FirstName"], &mo["LastName"], &mo["AccountId"]), (&json!("Mo van"), &json!("Dyk"), &json!(account)), "N3");
    let cher = desk.sf("Contact", &desk.id("Contact", "LastName", "Cher"));
    assert_eq!((&cher["FirstName"], &cher["Email"]), (&Value::Null, &Value::Null), "N4, L7");
    desk.quiet().await;
}

/// D4: both changed one field. What lost is kept, and can be read.
#[tokio::test]
async fn d4_both_sides_changed_salesforce_wins_and_the_other_value_is_kept() {
    let desk = Desk::in_step().await;
    let acme = desk.id("Account", "Name", "Acme");
    let row = desk.customer("Acme");
    desk.edit("Account", &acme, json!({"BillingCity": "Bern"}));
    desk.lac().update_customer(row.id, &json!({"city": "Basel", "state": "BS"})).unwrap();
    desk.wrote((1, 1)).await;
    assert_eq!((desk.customer("Acme").text("city"), desk.sf("Account", &acme)["BillingState"].clone()), ("Bern", json!("BS")));
    let conflicts = desk.said(&["conflicts"]);
    assert!(conflicts.contains("Basel") && conflicts.contains("Bern"), "{conflicts}");
    desk.quiet().await;
}

/// D3, X7's half: a write of ours comes back with other stamps and is no news, whatever makes LAC's own stamp move.
#[tokio::test]
async fn d3_an_echo_of_ours_is_no_change() {
    let desk = Desk::in_step().await;
    for switches in [json!({}), json!({"bump_on_contact_edit": true, "bump_on_tag_edit": true}), json!({"blank_as": "null", "crlf": true})]
    {
        let merged = desk.lac().settings.merged(&switches).unwrap();
        desk.lac().settings = merged;
        let acme = desk.id("Account", "Name", "Acme");
        desk.edit("Account", &acme, json!({"BillingStreet": format!("A 1\nB {switches}")}));
        desk.edit(
            "Contact",
            &desk.id("Contact", "Email", "ada@x.example"),
            json!({"LastName": format!("L{}", switches.to_string().len())}),
        );
        desk.ok(2).await;
        desk.quiet().await;
    }
}

// ── names of people ──────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn n1_n2_a_name_is_joined_for_lac_and_one_that_joins_to_the_same_is_not_split_again() {
    let desk = Desk::in_step().await;
    let acme = desk.id("Account", "Name", "Acme");
    let juan = desk.contact(&acme, "Juan Carlos", "de la Cruz", Some("juan@x.example"));
    let cher = desk.org().insert("Contact", &json!({"AccountId": acme, "LastName": "Cher", "Salutation": "Ms."})).unwrap();
    desk.settle().await;
    assert_eq!(desk.names("Acme"), ["Ada Lovelace", "Cher", "Eve Moore", "Juan Carlos de la Cruz"]);
    let person = desk.person("Acme", "Juan Carlos de la Cruz");
    desk.lac().update_contact(person, &json!({"name": "Juan  Carlos de la  Cruz"})).unwrap();
    let report = desk.once().await;
    assert_eq!(report.writes.salesforce, 0, "the same but for blanks: {report:#?}");
    let there = desk.sf("Contact", &juan);
    assert_eq!((&there["FirstName"], &there["LastName"]), (&json!("Juan Carlos"), &json!("de la Cruz")));
    desk.settle().await;

    // N5: a new last name, and nothing else of the person.
    let person = desk.person("Acme", "Cher");
    desk.lac().update_contact(person, &json!({"name": "Sonny"})).unwrap();
    desk.wrote((1, 0)).await;
    let there = desk.sf("Contact", &cher);
    assert_eq!((&there["FirstName"], &there["LastName"], &there["Salutation"]), (&Value::Null, &json!("Sonny"), &json!("Ms.")));
    desk.quiet().await;
}

#[tokio::test]
async fn n3_what_is_known_of_a_changed_name_is_kept() {
    let desk = Desk::in_step().await;
    let acme = desk.id("Account", "Name", "Acme");
    let juan = desk.contact(&acme, "Juan Carlos", "de la Cruz", Some("juan@x.example"));
    desk.settle().await;
    let mut was = "Juan Carlos de la Cruz".to_owned();
    for (name, first, last) in [
        ("Juan Carlos van der Berg", "Juan Carlos", "van der Berg"),
        ("Pedro van der Berg", "Pedro", "van der Berg"),
        ("Ana Maria Lopez", "Ana Maria", "Lopez"),
    ] {
        let person = desk.person("Acme", &was);
        desk.lac().update_contact(person, &json!({"name": name})).unwrap();
        desk.wrote((1, 0)).await;
        let there = desk.sf("Contact", &juan);
        assert_eq!((&there["FirstName"], &there["LastName"]), (&json!(first), &json!(last)), "{name}");
        was = name.to_owned();
    }
    desk.quiet().await;
}

#[tokio::test]
async fn n4_an_empty_name_is_an_error_of_its_record_and_nobody_invents_one() {
    let desk = Desk::in_step().await;
    let (eve, person) = (desk.id("Contact", "Email", "eve@x.example"), desk.person("Acme", "Eve Moore"));
    desk.lac().update_contact(person, &json!({"name": ""})).unwrap();
    let report = desk.once().await;
    assert_eq!((report.quarantined, report.writes.salesforce), (1, 0), "{report:#?}\n{}", desk.changes());
    assert_eq!(desk.sf("Contact", &eve)["LastName"], json!("Moore"));
    let shown = desk.said(&["quarantine"]);
    assert!(shown.contains("contact"), "{shown}");
    desk.lac().update_contact(person, &json!({"name": "Eve More"})).unwrap();
    desk.settle().await;
    assert_eq!(desk.sf("Contact", &eve)["LastName"], json!("More"));
}

// ── links ────────────────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn l3_a_tag_that_a_person_edits_or_removes_is_put_back() {
    let desk = Desk::in_step().await;
    let (acme, row) = (desk.id("Account", "Name", "Acme"), desk.customer("Acme"));
    let (_, other) = (desk.id("Account", "Name", "Beta"), desk.customer("Beta"));
    desk.lac().set_tag(row.id, "SF_Id", "by hand").unwrap();
    desk.lac().remove_tag(other.id, "SF_Id").unwrap();
    desk.ok(2).await;
    for (name, was) in [("Acme", &row), ("Beta", &other)] {
        assert_eq!(desk.customer(name).tag("SF_Id"), was.tag("SF_Id"), "{name}");
    }
    desk.quiet().await;

    // One that names another account is a claim that only a person can judge.
    let beta = desk.id("Account", "Name", "Beta");
    desk.lac().set_tag(row.id, "SF_Id", &beta).unwrap();
    let report = desk.once().await;
    assert_eq!(report.writes.salesforce + report.writes.platform, 0, "{report:#?}\n{}", desk.changes());
    assert_eq!(report.quarantined, 1, "{report:#?}");
    desk.once().await;
    let parked = desk.store().quarantine(10).unwrap();
    let told: Vec<(&str, &str, i64)> = parked.iter().map(|q| (q.code.as_str(), q.id.as_str(), q.attempts)).collect();
    assert_eq!(told, [("tag-names-another-account", row.id.to_string().as_str(), 1)], "and it is not tried in every run");
    desk.lac().set_tag(row.id, "SF_Id", &acme).unwrap();
    desk.tick(86_400);
    desk.settle().await;
}

/// L4 and ambiguity 11: a copy carries the tag of a customer that is linked; another one that of an account nobody knows.
#[tokio::test]
async fn l4_a_second_customer_of_one_account_is_reported_and_neither_is_written() {
    let desk = Desk::in_step().await;
    let acme = desk.id("Account", "Name", "Acme");
    let copy = json!({"name": "Acme copy", "CustomTags": [{"tag_name": "SF_Id", "value": acme}]});
    let lost = json!({"name": "Lost", "CustomTags": [{"tag_name": "SF_Id", "value": "001RM00000ZZZZZ"}]});
    desk.lac().add_customer(&copy).unwrap();
    desk.lac().add_customer(&lost).unwrap();
    desk.once().await;
    desk.edit("Account", &acme, json!({"BillingCity": "Bern"}));
    for _ in 0..3 {
        let report = desk.once().await;
        assert_eq!(report.writes.salesforce + report.writes.platform, 0, "{report:#?}\n{}", desk.changes());
    }
    assert_eq!((desk.live("Account").len(), desk.customers().len()), (2, 4), "nothing is made, nothing is deleted");
    let shown = desk.said(&["quarantine"]);
    assert!(shown.contains("one-id-on-two-customers"), "{shown}");
    assert_eq!(desk.customer("Acme").text("city"), "");
    let copy = desk.customer("Acme copy").id;
    desk.lac().delete_customer(copy).unwrap();
    desk.tick(86_400);
    for _ in 0..3 {
        desk.once().await;
    }
    assert_eq!(desk.customer("Acme").text("city"), "Bern", "{}", desk.changes());
}

/// 4.1: LAC finds parts in any letter case. What it finds is compared whole.
#[tokio::test]
async fn l3_a_search_that_finds_too_much_takes_nothing() {
    let desk = Desk::start().await;
    let acme = desk.account("Acme");
    let twin: String =
        acme[..15].chars().map(|c| if c.is_ascii_uppercase() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() }).collect();
    assert!(twin.eq_ignore_ascii_case(&acme[..15]));
    let rows = [("Other", twin.as_str()), ("Acme and Sons", ""), ("ACME Holding", "")];
    for (name, tag) in rows {
        let tags = if tag.is_empty() { json!([]) } else { json!([{"tag_name": "SF_Id", "value": tag}]) };
        desk.lac().add_customer(&json!({"name": name, "CustomTags": tags})).unwrap();
    }
    desk.write_rules(|text| text.replacen("create = \"both\"", "create = \"to-platform\"", 1));
    desk.once().await;
    desk.tick(60);
    desk.run(lockstep::engine::Options { approve: true, ..lockstep::engine::Options::new(lockstep::engine::RunKind::Delta, "once") }).await;
    let made = desk.customer("Acme");
    assert_eq!((made.tag("SF_Id"), desk.customers().len()), (Some(acme.as_str()), 4), "{}", desk.changes());
    assert_eq!(desk.customer("Other").tag("SF_Id"), Some(twin.as_str()), "left alone");
}

#[tokio::test]
async fn l6_a_new_address_is_a_change_of_the_same_person_on_either_side() {
    let desk = Desk::in_step().await;
    let (ada, person) = (desk.id("Contact", "Email", "ada@x.example"), desk.person("Acme", "Ada Lovelace"));
    desk.edit("Contact", &ada, json!({"Email": "ada@new.example"}));
    desk.ok(1).await;
    assert_eq!((desk.people("Acme")[0].1.as_str(), desk.person("Acme", "Ada Lovelace")), ("ada@new.example", person));
    desk.lac().update_contact(person, &json!({"email": "ada@newer.example"})).unwrap();
    desk.wrote((1, 0)).await;
    assert_eq!((desk.sf("Contact", &ada)["Email"].clone(), desk.live("Contact").len()), (json!("ada@newer.example"), 3));
    desk.quiet().await;
}

/// L7, L8: who has no address is made once; of two with one address the name decides, and where that does not, a person.
#[tokio::test]
async fn l8_of_two_with_one_address_the_name_decides() {
    let desk = Desk::start().await;
    let acme = desk.account("Acme");
    let one = desk.contact(&acme, "Ada", "Lovelace", Some("info@x.example"));
    let two = desk.contact(&acme, "Eve", "Moore", Some("info@x.example"));
    desk.contact(&acme, "Mo", "Dyk", None);
    let people = json!([{"name": "Eve Moore", "email": "INFO@x.example"}, {"name": "Ada Lovelace", "email": "info@X.example"}]);
    let tags = json!([{"tag_name": "SF_Id", "value": acme}]);
    let customer = desk.lac().add_customer(&json!({"name": "Acme", "Contacts": people, "CustomTags": tags})).unwrap();
    desk.once().await;
    let options = lockstep::engine::Options::new(lockstep::engine::RunKind::Delta, "once");
    desk.run(lockstep::engine::Options { approve: true, ..options }).await;
    desk.once().await;
    assert_eq!(desk.names("Acme"), ["Ada Lovelace", "Eve Moore", "Mo Dyk"], "{}", desk.changes());
    assert_eq!((desk.live("Contact").len(), desk.customers().len()), (3, 1));
    for (id, first) in [(&one, "Ada"), (&two, "Eve")] {
        assert_eq!(desk.sf("Contact", id)["FirstName"], json!(first));
    }
    desk.settle().await;

    // A second one of the same name and address cannot be told from the first: reported, and nobody is made or changed.
    for _ in 0..2 {
        desk.lac().add_contact(customer, "Zoe Zed", "zoe@x.example").unwrap();
    }
    desk.contact(&acme, "Zoe", "Zed", Some("zoe@x.example"));
    for _ in 0..2 {
        let report = desk.once().await;
        assert!(report.quarantined > 0, "{report:#?}\n{}", desk.changes());
        assert_eq!((report.writes.salesforce, report.writes.platform), (0, 0), "{report:#?}\n{}", desk.changes());
    }
    assert!(desk.said(&["quarantine"]).contains("Zoe Zed"));
}

// ── tags ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

const TAGGED: &str = "Name = \"name\"\nTier__c = \"tag.SF_Tier__c\"\nActive__c = \"tag.SF_Active__c\"\nScore__c = \"tag.SF_Score__c\"";

fn field(name: &str, kind: &str) -> String {
    format!("<CustomField><fullName>{name}</fullName>{kind}</CustomField>")
}

/// In step, with a text, a checkbox and a number mapped to tags.
async fn tagged() -> Desk {
    let desk = Desk::in_step().await;
    for (name, kind) in [
        ("Tier__c", "<type>Text</type><length>40</length>"),
        ("Active__c", "<type>Checkbox</type><defaultValue>false</defaultValue>"),
        ("Score__c", "<type>Number</type><precision>8</precision><scale>2</scale>"),
    ] {
        desk.org().add_field("Account", &field(name, kind)).unwrap();
        desk.lac().define_tag(&format!("SF_{name}"), name);
    }
    desk.write_rules(|text| text.replacen("Name = \"name\"", TAGGED, 1));
    desk
}

#[tokio::test]
async fn t1_t4_tags_are_fields_and_their_values_are_read_by_the_field_s_type() {
    let desk = tagged().await;
    let (acme, row) = (desk.id("Account", "Name", "Acme"), desk.customer("Acme"));
    desk.edit("Account", &acme, json!({"Tier__c": "gold", "Active__c": true, "Score__c": 12.5}));
    desk.once().await;
    let told = desk.customer("Acme");
    assert_eq!((told.tag("SF_Tier__c"), told.tag("SF_Active__c"), told.tag("SF_Score__c")), (Some("gold"), Some("true"), Some("12.5")));
    desk.settle().await;
    desk.lac().set_tag(row.id, "SF_Active__c", "false").unwrap();
    desk.lac().set_tag(row.id, "SF_Score__c", "7").unwrap();
    desk.wrote((1, 0)).await;
    let there = desk.sf("Account", &acme);
    assert_eq!((&there["Active__c"], there["Score__c"].as_f64()), (&json!(false), Some(7.0)));
    // T4: what is no number is an error of its record, and Salesforce stays as it is.
    desk.lac().set_tag(row.id, "SF_Score__c", "many").unwrap();
    let report = desk.once().await;
    assert_eq!((report.writes.salesforce, report.quarantined), (0, 1), "{report:#?}\n{}", desk.changes());
    assert_eq!(desk.sf("Account", &acme)["Score__c"].as_f64(), Some(7.0));
}

/// Z4: a tag that is mapped later is filled for everybody by a full re-sync.
#[tokio::test]
async fn z4_a_tag_that_is_mapped_later_is_filled_for_all_by_a_full_run() {
    let desk = Desk::in_step().await;
    desk.org().add_field("Account", &field("Tier__c", "<type>Text</type><length>40</length>")).unwrap();
    desk.lac().define_tag("SF_Tier__c", "Tier");
    for name in ["Acme", "Beta"] {
        let id = desk.id("Account", "Name", name);
        desk.edit("Account", &id, json!({"Tier__c": format!("{name} tier")}));
    }
    desk.ok(0).await;
    desk.write_rules(|text| text.replacen("Name = \"name\"", "Name = \"name\"\nTier__c = \"tag.SF_Tier__c\"", 1));
    let report = desk.full().await;
    assert_eq!((report.outcome.as_str(), report.writes.platform), ("ok", 2), "{report:#?}\n{}", desk.changes());
    for name in ["Acme", "Beta"] {
        assert_eq!(desk.customer(name).tag("SF_Tier__c"), Some(format!("{name} tier").as_str()));
    }
    desk.quiet().await;
}

/// T2, T6, X9: the printed spelling is found and kept; a blank is a blank; a tag that is not there says nothing.
#[tokio::test]
async fn t2_t6_both_spellings_and_a_tag_that_is_not_there() {
    let desk = Desk::in_step().await;
    desk.org().add_field("Account", &field("Tier__c", "<type>Text</type><length>40</length>")).unwrap();
    desk.lac().define_tag("SF_Tier_c", "Tier");
    let (acme, beta) = (desk.id("Account", "Name", "Acme"), desk.id("Account", "Name", "Beta"));
    let (one, two) = (desk.customer("Acme").id, desk.customer("Beta").id);
    desk.lac().set_tag(one, "SF_Tier_c", "gold").unwrap();
    desk.lac().set_tag(two, "SF_Tier_c", "tin").unwrap();
    desk.write_rules(|text| text.replacen("Name = \"name\"", "Name = \"name\"\nTier__c = \"tag.SF_Tier__c\"", 1));
    let report = desk.full().await;
    assert_eq!((report.writes.salesforce, report.writes.platform), (2, 0), "{report:#?}\n{}", desk.changes());
    assert_eq!((desk.sf("Account", &acme)["Tier__c"].clone(), desk.sf("Account", &beta)["Tier__c"].clone()), (json!("gold"), json!("tin")));
    desk.edit("Account", &acme, json!({"Tier__c": "lead"}));
    desk.ok(1).await;
    assert_eq!(desk.customer("Acme").tag("SF_Tier_c"), Some("lead"), "written back where it stands");
    desk.lac().set_tag(one, "SF_Tier_c", "").unwrap();
    desk.wrote((1, 0)).await;
    assert_eq!(desk.sf("Account", &acme)["Tier__c"], Value::Null, "X9: a blank is a value");
    desk.quiet().await;
}

// ── license orders ───────────────────────────────────────────────────────────────────────────────────────────────────

/// The block that stands commented in the shipped rules: what was sold shows in Salesforce, and LAC is never written to.
#[tokio::test]
async fn license_orders_are_shown_in_salesforce_by_the_rules_that_stand_commented() {
    let desk = Desk::in_step().await;
    desk.write_rules(|text| {
        let (rest, block) = text.split_once("# ── License orders").unwrap();
        let is_rule = |line: &&str| line.starts_with("# [") || (line.starts_with("# ") && line.contains(" = "));
        let lines: Vec<&str> = block.lines().skip(1).filter(is_rule).map(|line| &line[2..]).collect();
        assert_eq!(lines.len(), 15, "{lines:#?}");
        format!("{rest}\n{}\n", lines.join("\n"))
    });
    let row = desk.customer("Acme");
    let key = desk.lac().issue(row.id, &json!({"activations_allowed": 5})).unwrap();
    desk.lac().activate(&key, "00-11-22-33-44-55").unwrap();
    let before = desk.lac_writes();
    desk.wrote((1, 0)).await;
    let shown = desk.live("License__c").remove(0);
    assert_eq!((shown["Account__c"].as_str(), shown["Enabled__c"].as_bool()), (row.tag("SF_Id"), Some(true)), "{shown:#}");
    assert_eq!((shown["Max_Activations__c"].as_f64(), shown["Activations__c"].as_f64()), (Some(5.0), Some(1.0)), "{shown:#}");
    desk.lac().update_order(&key, &json!({"enabled": false})).unwrap();
    desk.wrote((1, 0)).await;
    let id = shown["Id"].as_str().unwrap();
    assert_eq!(desk.sf("License__c", id)["Enabled__c"], json!(false));
    // Nobody writes back, whatever is done here.
    desk.edit("License__c", id, json!({"Note__c": "by hand"}));
    desk.once().await;
    desk.once().await;
    assert_eq!(desk.lac_writes(), before);
    for text in [shown.to_string(), desk.store().dump().unwrap()] {
        assert!(!text.contains(&key), "an activation key is a secret");
    }
}
