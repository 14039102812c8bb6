//! The life of a license after it was issued: enabled and disabled, renewed, its features, and whom it belongs to.

use crate::rig::Rig;
use lockstep::sandbox::licensespring::Object;
use serde_json::{Value, json};

/// Feature codes with what may be consumed.
type Limits = Vec<(String, i64)>;

struct Desk {
    rig: Rig,
    account: String,
    mina: String,
}

impl Desk {
    async fn open() -> Self {
        let rig = Rig::start().await;
        let account = rig.account("Northwind");
        let mina = rig.contact(&account, "Mina", "Okafor", "mina@northwind.example");
        Self { rig, account, mina }
    }

    /// One license of this product on both sides: its id in Salesforce and on the platform.
    async fn license(&self, code: &str) -> (String, i64) {
        let entry = self.rig.product(code, code);
        let order = self.rig.order(&self.account, Some(&self.mina), &[(&entry, 1)]);
        self.rig.activate(&order);
        self.rig.once().await;
        let here = self.rig.sf_rows("License__c").pop().unwrap_or_else(|| panic!("no license: {}", self.rig.changes()));
        let key = here["License_Key__c"].as_str().unwrap().to_owned();
        (here["Id"].as_str().unwrap().to_owned(), self.rig.ls_id(Object::License, "license_key", &key))
    }

    async fn run(&self) {
        self.rig.tick(60);
        self.rig.once().await;
    }

    fn here(&self, id: &str) -> Value {
        self.rig.sf("License__c", id)
    }

    fn there(&self, id: i64) -> Value {
        self.rig.ls_rows(Object::License).into_iter().find(|l| l["id"] == json!(id)).unwrap()
    }

    fn edit(&self, id: &str, fields: Value) {
        self.rig.sf_update("License__c", id, fields);
    }

    /// Codes and limits of the features, as Salesforce and as the platform has them.
    fn features(&self) -> (Limits, Limits) {
        let definitions = self.rig.ls_rows(Object::ProductFeature);
        let code =
            |row: &Value| definitions.iter().find(|d| d["id"] == row["product_feature"]).unwrap()["code"].as_str().unwrap().to_owned();
        let number = |v: &Value| v.as_f64().unwrap_or_default() as i64;
        let mut here: Vec<_> = self
            .rig
            .sf_rows("License_Feature__c")
            .iter()
            .map(|f| (f["Code__c"].as_str().unwrap().to_owned(), number(&f["Max_Consumption__c"])))
            .collect();
        let mut there: Vec<_> = self.rig.ls_rows(Object::LicenseFeature).iter().map(|f| (code(f), number(&f["max_consumption"]))).collect();
        here.sort();
        there.sort();
        (here, there)
    }

    fn in_step(&self, want: &[(&str, i64)]) {
        let want: Limits = want.iter().map(|(code, n)| ((*code).to_owned(), *n)).collect();
        assert_eq!(self.features(), (want.clone(), want), "{}", self.rig.changes());
    }
}

#[tokio::test]
async fn a_license_is_disabled_and_enabled_from_either_side() {
    let desk = Desk::open().await;
    let (here, there) = desk.license("LS-BASIC").await;
    desk.edit(&here, json!({"Enabled__c": false}));
    desk.run().await;
    assert_eq!(desk.there(there)["enabled"], json!(false), "{}", desk.rig.changes());
    desk.rig.quiet().await;

    desk.rig.platform.world().set_enabled(there, true).unwrap();
    desk.run().await;
    assert_eq!(desk.here(&here)["Enabled__c"], json!(true), "{}", desk.rig.changes());
    desk.rig.quiet().await;

    // Somebody disables it on the platform: Salesforce shows it.
    desk.rig.platform.world().set_enabled(there, false).unwrap();
    desk.run().await;
    assert_eq!(desk.here(&here)["Enabled__c"], json!(false), "{}", desk.rig.changes());
    desk.rig.quiet().await;
}

#[tokio::test]
async fn a_clash_over_a_license_goes_by_its_rule() {
    for (rule, date) in [("salesforce", "2028-01-31"), ("platform", "2029-01-31")] {
        let desk = Desk::open().await;
        desk.rig.write_rules(|text| {
            text.replace(
                "Valid_Until__c = \"validity_period\"",
                &format!("Valid_Until__c = {{ to = \"validity_period\", conflict = \"{rule}\" }}"),
            )
        });
        let (here, there) = desk.license("LS-PRO").await;
        desk.edit(&here, json!({"Valid_Until__c": "2028-01-31"}));
        desk.rig.ls_update(Object::License, there, json!({"validity_period": "2029-01-31"}));
        desk.run().await;
        assert_eq!((&desk.here(&here)["Valid_Until__c"], &desk.there(there)["validity_period"]), (&json!(date), &json!(date)), "{rule}");
        assert_eq!(desk.rig.store().conflicts(false, 9).unwrap().len(), 1, "the loser is kept");
        desk.rig.quiet().await;
    }
}

#[tokio::test]
async fn a_renewal_travels_from_either_side() {
    let desk = Desk::open().await;
    let (here, there) = desk.license("LS-PRO").await;
    let first = desk.here(&here)["Valid_Until__c"].clone();
    assert_eq!((&first, &desk.here(&here)["Type__c"]), (&desk.there(there)["validity_period"], &json!("time-limited")));
    desk.edit(&here, json!({"Valid_Until__c": "2028-06-30"}));
    desk.run().await;
    assert_eq!(desk.there(there)["validity_period"], json!("2028-06-30"), "{}", desk.rig.changes());
    desk.rig.ls_update(Object::License, there, json!({"validity_period": "2029-06-30"}));
    desk.run().await;
    assert_eq!(desk.here(&here)["Valid_Until__c"], json!("2029-06-30"), "{}", desk.rig.changes());
    desk.rig.quiet().await;
}

#[tokio::test]
async fn a_perpetual_license_has_no_end_and_needs_none() {
    let desk = Desk::open().await;
    let (here, there) = desk.license("LS-BASIC").await;
    assert_eq!((&desk.here(&here)["Type__c"], &desk.here(&here)["Valid_Until__c"]), (&json!("perpetual"), &Value::Null));
    desk.edit(&here, json!({"Note__c": "key account"}));
    desk.run().await;
    let row = desk.there(there);
    assert_eq!((&row["note"], &row["validity_period"]), (&json!("key account"), &Value::Null), "{}", desk.rig.changes());
    desk.rig.quiet().await;
}

#[tokio::test]
async fn the_end_of_a_subscription_is_shown_and_never_forced() {
    let desk = Desk::open().await;
    desk.rig
        .platform
        .world()
        .add_product(
            "orbit-sub",
            "Orbit Subscription",
            &json!([]),
            &json!([{"code": "orbit-sub", "name": "Subscription", "license_type": "subscription", "max_activations": 1}]),
        )
        .unwrap();
    desk.rig.write_rules(|text| text.replace("[products]", "[products]\n\"LS-SUB\" = { product = \"orbit-sub\", policy = \"orbit-sub\" }"));
    let (here, there) = desk.license("LS-SUB").await;
    desk.rig.ls_update(Object::License, there, json!({"validity_period": "2027-03-31"}));
    desk.run().await;
    assert_eq!(desk.here(&here)["Valid_Until__c"], json!("2027-03-31"), "what the billing system says is shown");
    desk.edit(&here, json!({"Valid_Until__c": "2035-01-01"}));
    desk.run().await;
    assert_eq!(desk.there(there)["validity_period"], json!("2027-03-31"), "{}", desk.rig.changes());
    let parked = desk.rig.store().view("quarantined", "1", "", 10).unwrap().to_json();
    assert!(parked.to_string().contains("subscription-owned-elsewhere"), "{parked}");
}

#[tokio::test]
async fn features_are_added_changed_and_removed_on_either_side() {
    let desk = Desk::open().await;
    let (here, there) = desk.license("LS-PRO").await;
    // The policy brings two by itself.
    desk.in_step(&[("export_pdf", 0), ("render_min", 500)]);

    let added = desk.rig.sf_insert("License_Feature__c", json!({"License__c": here, "Code__c": "api_access"}));
    desk.run().await;
    desk.in_step(&[("api_access", 0), ("export_pdf", 0), ("render_min", 500)]);
    desk.rig.quiet().await;

    // The platform moves no stamp of the license when a feature changes.
    assert!(!desk.rig.platform.world().settings.bump_on_feature_edit);
    desk.rig.platform.world().remove_feature(there, "export_pdf").unwrap();
    let row = desk.rig.ls_rows(Object::LicenseFeature).into_iter().find(|f| f["max_consumption"] == json!(500)).unwrap();
    desk.rig.ls_update(Object::LicenseFeature, row["id"].as_i64().unwrap(), json!({"max_consumption": 700}));
    desk.rig.platform.world().consume(there, Some("render_min"), 40).unwrap();
    for _ in 0..3 {
        desk.run().await;
    }
    desk.in_step(&[("api_access", 0), ("render_min", 700)]);
    let shown = desk.rig.sf_rows("License_Feature__c").into_iter().find(|f| f["Code__c"] == "render_min").unwrap();
    assert_eq!(shown["Total_Consumption__c"].as_f64(), Some(40.0));
    desk.rig.quiet().await;

    desk.rig.salesforce.world().delete("License_Feature__c", &added).unwrap();
    let id = shown["Id"].as_str().unwrap();
    desk.rig.sf_update("License_Feature__c", id, json!({"Max_Consumption__c": 900, "Expiry_Date__c": "2027-12-31"}));
    desk.run().await;
    desk.in_step(&[("render_min", 900)]);
    let row = desk.rig.ls_rows(Object::LicenseFeature).remove(0);
    assert_eq!((&row["expiry_date"], row["total_consumptions"].as_i64()), (&json!("2027-12-31"), Some(40)), "what was used stays used");
    desk.rig.quiet().await;
}

#[tokio::test]
async fn both_sides_add_a_feature_at_once_and_it_is_one() {
    let desk = Desk::open().await;
    let (here, there) = desk.license("LS-PRO").await;
    desk.rig.sf_insert("License_Feature__c", json!({"License__c": here, "Code__c": "api_access"}));
    desk.rig.platform.world().add_feature(there, "api_access", &json!({})).unwrap();
    desk.run().await;
    desk.in_step(&[("api_access", 0), ("export_pdf", 0), ("render_min", 500)]);
    desk.rig.quiet().await;
}

#[tokio::test]
async fn a_feature_its_product_does_not_know_is_named_with_those_it_knows() {
    let desk = Desk::open().await;
    let (here, _) = desk.license("LS-PRO").await;
    desk.rig.sf_insert("License_Feature__c", json!({"License__c": here, "Code__c": "telepathy"}));
    desk.run().await;
    let parked = desk.rig.store().view("quarantined", "1", "", 10).unwrap().to_json().to_string();
    assert!(parked.contains("telepathy") && parked.contains("api_access, export_pdf, render_min"), "{parked}");
}

#[tokio::test]
async fn a_mass_edit_of_enabled_is_held_while_new_orders_go_on() {
    let desk = Desk::open().await;
    let entry = desk.rig.product("LS-BASIC", "Orbit Basic");
    let order = || {
        let order = desk.rig.order(&desk.account, Some(&desk.mina), &[(&entry, 1)]);
        desk.rig.activate(&order);
    };
    (0..15).for_each(|_| order());
    desk.rig.once().await;
    for license in desk.rig.sf_rows("License__c") {
        desk.edit(license["Id"].as_str().unwrap(), json!({"Enabled__c": false}));
    }
    order();
    desk.rig.tick(60);
    let report = desk.rig.once().await;
    assert_eq!((report.outcome.as_str(), report.held), ("held", 15), "{}", desk.rig.changes());
    let enabled = || desk.rig.ls_rows(Object::License).iter().filter(|l| l["enabled"] == json!(true)).count();
    assert_eq!((enabled(), desk.rig.sf_rows("License__c").len()), (16, 16), "the new order has its license");
    desk.rig.approved().await;
    assert_eq!(enabled(), 1, "{}", desk.rig.changes());
    desk.rig.quiet().await;
}

#[tokio::test]
async fn a_merged_account_and_a_deleted_order_revoke_nothing() {
    let desk = Desk::open().await;
    let (_, there) = desk.license("LS-BASIC").await;
    let order = desk.rig.sf_rows("Order").remove(0)["Id"].as_str().unwrap().to_owned();
    desk.license("LS-PRO").await;
    let holding = desk.rig.account("Northwind Holding");
    desk.run().await;
    desk.rig.salesforce.world().merge("Account", &holding, &[&desk.account], &json!({})).unwrap();
    desk.run().await;
    desk.run().await;
    assert_eq!(desk.there(there)["enabled"], json!(true), "{}", desk.rig.changes());
    desk.rig.quiet().await;

    assert_eq!(desk.rig.sf("Account", &holding)["Licenses_Sold__c"].as_f64(), Some(2.0));

    desk.rig.sf_update("Order", &order, json!({"Status": "Draft"}));
    desk.run().await;
    desk.rig.salesforce.world().delete("Order", &order).unwrap();
    for _ in 0..3 {
        desk.rig.tick(120);
        desk.rig.full().await;
    }
    assert_eq!(desk.rig.sf("Account", &holding)["Licenses_Sold__c"].as_f64(), Some(1.0), "{}", desk.rig.changes());
    assert_eq!(desk.there(there)["enabled"], json!(true), "{}", desk.rig.changes());
    desk.rig.quiet().await;
}

#[tokio::test]
async fn an_order_id_that_somebody_took_by_hand_stops_that_order_by_name() {
    let desk = Desk::open().await;
    let entry = desk.rig.product("LS-BASIC", "Orbit Basic");
    let order = desk.rig.order(&desk.account, Some(&desk.mina), &[(&entry, 1)]);
    desk.rig.once().await;
    desk.rig.platform.world().put(Object::Order, &json!({"store_id": format!("SF-{order}")})).unwrap();
    desk.rig.write_rules(|text| text);
    desk.rig.activate(&order);
    desk.run().await;
    assert!(desk.rig.ls_rows(Object::License).is_empty(), "{}", desk.rig.changes());
}

#[tokio::test]
async fn a_consumption_license_is_topped_up_and_shows_what_was_used() {
    let desk = Desk::open().await;
    let policy =
        json!([{"code": "orbit-credits", "name": "Credits", "license_type": "consumption", "max_consumptions": 100, "max_activations": 1}]);
    desk.rig.platform.world().add_product("orbit-credits", "Orbit Credits", &json!([]), &policy).unwrap();
    desk.rig.write_rules(|text| {
        text.replace("[products]", "[products]\n\"LS-CRED\" = { product = \"orbit-credits\", policy = \"orbit-credits\" }")
    });
    let (here, there) = desk.license("LS-CRED").await;
    assert_eq!((&desk.here(&here)["Type__c"], desk.here(&here)["Max_Consumption__c"].as_f64()), (&json!("consumption"), Some(100.0)));
    desk.rig.platform.world().consume(there, None, 30).unwrap();
    desk.edit(&here, json!({"Max_Consumption__c": 250}));
    desk.run().await;
    let row = desk.there(there);
    assert_eq!((row["max_consumptions"].as_i64(), row["total_consumptions"].as_i64()), (Some(250), Some(30)), "{}", desk.rig.changes());
    assert_eq!(desk.here(&here)["Total_Consumption__c"].as_f64(), Some(30.0), "{}", desk.rig.changes());
    desk.rig.quiet().await;
}
