//! From order to license and through its whole life, through the wire on both sides.

use crate::rig::Rig;
use lockstep::sandbox::licensespring::Object;
use serde_json::{Value, json};

/// Northwind with Mina, and the price book entries of a product counted in activations and one counted in licenses.
struct Shop {
    rig: Rig,
    account: String,
    mina: String,
    basic: String,
    pro: String,
}

impl Shop {
    async fn open() -> Self {
        let rig = Rig::start().await;
        let account = rig.account("Northwind");
        let mina = rig.contact(&account, "Mina", "Okafor", "mina@northwind.example");
        let basic = rig.product("LS-BASIC", "Orbit Basic");
        let pro = rig.product("LS-PRO", "Orbit Pro");
        Self { rig, account, mina, basic, pro }
    }

    fn order(&self, lines: &[(&str, u32)]) -> String {
        self.rig.order(&self.account, Some(&self.mina), lines)
    }

    /// An activated order with its licenses on both sides.
    async fn licensed(&self, lines: &[(&str, u32)]) -> String {
        let order = self.order(lines);
        self.rig.activate(&order);
        self.rig.once().await;
        assert_eq!(self.said(&order)["License_Status__c"], "Provisioned", "{}", self.rig.changes());
        order
    }

    fn said(&self, order: &str) -> Value {
        self.rig.sf("Order", order)
    }

    fn message(&self, order: &str) -> String {
        self.said(order)["License_Message__c"].as_str().unwrap_or_default().to_owned()
    }

    fn licenses(&self) -> Vec<Value> {
        self.rig.ls_rows(Object::License)
    }
}

#[tokio::test]
async fn a_draft_says_what_it_will_become_and_what_is_missing() {
    let shop = Shop::open().await;
    let order = shop.order(&[(&shop.basic, 3), (&shop.pro, 2)]);
    let odd = shop.rig.product("XX-1", "Odd thing");
    let unclear = shop.rig.order(&shop.account, None, &[(&odd, 1)]);
    shop.rig.once().await;
    let said = shop.said(&order);
    assert_eq!(
        said["License_Preview__c"],
        "On activation for Mina Okafor: 1 license of orbit-basic (policy orbit-basic-perpetual) with 3 activations (Orbit Basic); 2 licenses of orbit-pro (policy orbit-pro-1y) (Orbit Pro)."
    );
    assert!(said["License_Status__c"].is_null() && said["License_Message__c"].is_null(), "{said}");
    let preview = shop.said(&unclear)["License_Preview__c"].as_str().unwrap().to_owned();
    assert!(
        preview.starts_with("Missing: product XX-1 (Odd thing) is not in [products]") && preview.contains("nobody to license it to"),
        "{preview}"
    );
    shop.rig.quiet().await;

    // Whoever picks a contact is told at once.
    shop.rig.sf_update("Order", &unclear, json!({"License_Contact__c": shop.mina}));
    shop.rig.once().await;
    assert!(!shop.said(&unclear)["License_Preview__c"].as_str().unwrap().contains("nobody"));
    shop.rig.quiet().await;
}

#[tokio::test]
async fn an_order_tells_how_it_stands_from_pending_to_provisioned() {
    let shop = Shop::open().await;
    let odd = shop.rig.product("XX-1", "Odd thing");
    let parked = shop.order(&[(&odd, 1)]);
    let nobody = shop.rig.order(&shop.account, None, &[(&shop.basic, 1)]);
    let services = shop.rig.product("SERVICES-DAY", "A day's work");
    let none = shop.order(&[(&services, 4)]);
    let fine = shop.order(&[(&shop.basic, 3), (&shop.pro, 2), (&shop.pro, 1), (&services, 1)]);
    for order in [&parked, &nobody, &none, &fine] {
        shop.rig.activate(order);
    }
    shop.rig.once().await;
    let said = shop.said(&fine);
    assert_eq!(said["License_Status__c"], "Provisioned", "{}", shop.rig.changes());
    assert_eq!(shop.message(&fine), "Licensed: orbit-basic with 3 activations, 2 × orbit-pro, 1 × orbit-pro.");
    assert_eq!((said["Licenses_Sold__c"].as_f64(), said["Licenses_Active__c"].as_f64()), (Some(4.0), Some(0.0)));
    let id = shop.rig.ls_id(Object::Order, "store_id", &format!("SF-{fine}"));
    assert_eq!((said["License_Platform_Id__c"].as_str(), said["License_Preview__c"].is_null()), (Some(id.to_string().as_str()), true));
    assert_eq!(shop.rig.sf("Account", &shop.account)["Licenses_Sold__c"].as_f64(), Some(4.0));

    let said = shop.said(&parked);
    assert_eq!((&said["License_Status__c"], said["Licenses_Sold__c"].is_null()), (&json!("Failed"), true));
    assert!(shop.message(&parked).starts_with("The product XX-1 (Odd thing) is not in [products]"), "{}", shop.message(&parked));
    assert!(shop.message(&nobody).starts_with("Nobody to license it to: License Contact or Bill To Contact"));
    assert_eq!(shop.said(&none)["License_Status__c"], "Provisioned");
    assert_eq!(shop.message(&none), "No product of this order carries a license, so there is none to issue.");
    let again = shop.rig.once().await;
    assert_eq!((again.writes.salesforce, again.writes.platform), (0, 0), "{}", shop.rig.changes());

    // The map is amended: the parked order goes on by itself.
    shop.rig.write_rules(|text| text.replace("[products]", "[products]\n\"XX-*\" = { product = \"orbit-team\" }"));
    shop.rig.once().await;
    assert_eq!(shop.said(&parked)["License_Status__c"], "Provisioned", "{}", shop.rig.changes());
    assert_eq!(shop.rig.sf("Account", &shop.account)["Licenses_Sold__c"].as_f64(), Some(5.0));
}

#[tokio::test]
async fn what_was_sold_and_what_is_active_is_counted_on_order_and_account() {
    let shop = Shop::open().await;
    let order = shop.licensed(&[(&shop.pro, 2)]).await;
    let license = shop.licenses()[0]["id"].as_i64().unwrap();
    shop.rig.platform.world().activate(license, "hw-1", "cad-07").unwrap();
    shop.rig.tick(60);
    shop.rig.once().await;
    let said = shop.said(&order);
    assert_eq!((said["Licenses_Sold__c"].as_f64(), said["Licenses_Active__c"].as_f64()), (Some(2.0), Some(1.0)), "{}", shop.rig.changes());
    assert_eq!(shop.rig.sf("Account", &shop.account)["Licenses_Active__c"].as_f64(), Some(1.0));
    shop.rig.quiet().await;

    // Somebody overwrites a count by hand: it is said again.
    shop.rig.sf_update("Order", &order, json!({"Licenses_Active__c": 7, "License_Status__c": "Failed"}));
    shop.rig.once().await;
    let said = shop.said(&order);
    assert_eq!((said["Licenses_Active__c"].as_f64(), said["License_Status__c"].as_str()), (Some(1.0), Some("Provisioned")));
    shop.rig.quiet().await;
}

#[tokio::test]
async fn an_order_without_a_contact_falls_back_on_the_first_of_its_account() {
    let shop = Shop::open().await;
    shop.rig.contact(&shop.account, "Zoe", "Later", "zoe@northwind.example");
    shop.rig.write_rules(|text| text.replace("[\"license-contact\", \"bill-to\"]", "[\"bill-to\", \"first-contact\"]"));
    let order = shop.rig.order(&shop.account, None, &[(&shop.basic, 1)]);
    shop.rig.activate(&order);
    shop.rig.once().await;
    assert_eq!(shop.said(&order)["License_Status__c"], "Provisioned", "{}", shop.rig.changes());
    let mina = shop.rig.ls_id(Object::Customer, "email", "mina@northwind.example");
    assert_eq!(shop.rig.ls_rows(Object::Order)[0]["customer"].as_i64(), Some(mina), "{:?}", shop.rig.ls_rows(Object::Order));
    shop.rig.quiet().await;
}

#[tokio::test]
async fn without_write_back_nothing_is_said() {
    let shop = Shop::open().await;
    shop.rig.write_rules(|text| text.replace("provision-when =", "write-back = false\nprovision-when ="));
    let order = shop.order(&[(&shop.basic, 1)]);
    shop.rig.activate(&order);
    shop.rig.once().await;
    assert_eq!(shop.licenses().len(), 1);
    assert!(shop.said(&order)["License_Status__c"].is_null());
    shop.rig.quiet().await;
}

#[tokio::test]
async fn sales_operations_map_a_product_in_salesforce_without_a_shell() {
    let shop = Shop::open().await;
    shop.rig.write_rules(|text| text.replace("[products]", "[products]\nfrom = \"Product2\""));
    let free = shop.rig.product("XX-9", "New thing");
    let order = shop.order(&[(&free, 2), (&shop.basic, 1)]);
    shop.rig.activate(&order);
    shop.rig.once().await;
    assert!(shop.message(&order).contains("its License Product is empty"), "{}", shop.message(&order));
    let product = shop.rig.sf_rows("Product2").into_iter().find(|p| p["ProductCode"] == "XX-9").unwrap();
    shop.rig.sf_update(
        "Product2",
        product["Id"].as_str().unwrap(),
        json!({"License_Product__c": "orbit-team", "License_Policy__c": "orbit-team-1y"}),
    );
    shop.rig.once().await;
    assert_eq!(shop.said(&order)["License_Status__c"], "Provisioned", "{}", shop.rig.changes());
    assert_eq!(shop.message(&order), "Licensed: orbit-team with 2 activations, orbit-basic with 1 activation.");
    shop.rig.quiet().await;
}

// ── after the licenses were issued ───────────────────────────────────────────────────────────────────────────────────

impl Shop {
    /// What people do in Salesforce to change an order: a draft again, the change, active again.
    fn amend(&self, order: &str, change: impl FnOnce(&Self)) {
        self.rig.sf_update("Order", order, json!({"Status": "Draft"}));
        change(self);
        self.rig.activate(order);
    }

    fn line(&self, order: &str, n: usize) -> String {
        let lines: Vec<Value> = self.rig.sf_rows("OrderItem").into_iter().filter(|l| l["OrderId"] == *order).collect();
        lines[n]["Id"].as_str().unwrap().to_owned()
    }

    fn quantity(&self, line: &str, quantity: u32) {
        self.rig.sf_update("OrderItem", line, json!({"Quantity": quantity}));
    }

    /// Unit, activations and whether it is enabled, of every license on the platform.
    fn units(&self) -> Vec<(String, i64, bool)> {
        let mut units: Vec<_> = self
            .licenses()
            .iter()
            .map(|l| {
                let unit = l["metadata"]["lockstep"]["line"].as_str().unwrap_or_default().to_owned();
                (unit, l["max_activations"].as_i64().unwrap(), l["enabled"].as_bool().unwrap())
            })
            .collect();
        units.sort();
        units
    }

    async fn run(&self) {
        self.rig.tick(60);
        self.rig.once().await;
    }
}

#[tokio::test]
async fn activated_draft_activated_issues_and_takes_nothing() {
    let shop = Shop::open().await;
    let order = shop.licensed(&[(&shop.basic, 3), (&shop.pro, 2)]).await;
    let before = shop.units();
    shop.rig.sf_update("Order", &order, json!({"Status": "Draft"}));
    shop.run().await;
    assert!(
        shop.message(&order).ends_with("The order is a draft again: changes of its lines wait until it is activated."),
        "{}",
        shop.message(&order)
    );
    shop.rig.activate(&order);
    shop.run().await;
    assert_eq!(shop.units(), before);
    assert_eq!(shop.said(&order)["License_Status__c"], "Provisioned", "{}", shop.rig.changes());
    shop.rig.quiet().await;
}

#[tokio::test]
async fn what_is_added_is_licensed_once() {
    let shop = Shop::open().await;
    let order = shop.licensed(&[(&shop.basic, 3), (&shop.pro, 2)]).await;
    let (basic, pro) = (shop.line(&order, 0), shop.line(&order, 1));
    shop.amend(&order, |shop| {
        shop.quantity(&basic, 5);
        shop.quantity(&pro, 3);
        shop.rig.sf_insert("OrderItem", json!({"OrderId": order, "PricebookEntryId": shop.pro, "Quantity": 1, "UnitPrice": 1}));
    });
    let new = shop.line(&order, 2);
    shop.run().await;
    let mut want = vec![
        (format!("{basic}-1"), 5, true),
        (format!("{pro}-1"), 1, true),
        (format!("{pro}-2"), 1, true),
        (format!("{pro}-3"), 1, true),
        (format!("{new}-1"), 1, true),
    ];
    want.sort();
    let found: Vec<_> =
        shop.units().into_iter().map(|(unit, n, on)| if unit.starts_with(&basic) { (unit, n, on) } else { (unit, 1, on) }).collect();
    assert_eq!(found, want, "{}", shop.rig.changes());
    assert_eq!(shop.rig.sf_rows("License__c").len(), 5, "they came to Salesforce in the same run");
    assert_eq!(shop.message(&order), "Licensed: orbit-basic with 5 activations, 3 × orbit-pro, 1 × orbit-pro.");
    assert_eq!(shop.said(&order)["Licenses_Sold__c"].as_f64(), Some(5.0));
    shop.rig.quiet().await;
}

#[tokio::test]
async fn what_is_taken_out_is_only_reported_and_raising_it_back_gives_nothing_twice() {
    let shop = Shop::open().await;
    let order = shop.licensed(&[(&shop.basic, 5), (&shop.pro, 3), (&shop.pro, 1)]).await;
    let before = shop.units();
    let (basic, pro, gone) = (shop.line(&order, 0), shop.line(&order, 1), shop.line(&order, 2));
    shop.amend(&order, |shop| {
        shop.quantity(&basic, 2);
        shop.quantity(&pro, 1);
        shop.rig.salesforce.world().delete("OrderItem", &gone).unwrap();
    });
    shop.run().await;
    assert_eq!(shop.units(), before, "nothing is taken away silently");
    let message = shop.message(&order);
    assert!(message.contains("More is licensed than ordered: orbit-basic (5 licensed, 2 ordered), orbit-pro (3 licensed, 1 ordered), orbit-pro (1 licensed, its line is gone)"), "{message}");
    assert!(shop.rig.changes().contains("2 asked for; nothing is taken away"), "{}", shop.rig.changes());
    shop.rig.quiet().await;

    shop.amend(&order, |shop| {
        shop.quantity(&basic, 5);
        shop.quantity(&pro, 3);
    });
    shop.run().await;
    assert_eq!(shop.units(), before, "{}", shop.rig.changes());
    assert!(
        shop.message(&order).ends_with("orbit-pro (1 licensed, its line is gone); nothing was taken away."),
        "{}",
        shop.message(&order)
    );
    shop.rig.quiet().await;
    shop.amend(&order, |shop| shop.quantity(&pro, 4));
    shop.run().await;
    assert_eq!(shop.units().len(), before.len() + 1, "only the fourth is new: {}", shop.rig.changes());
    assert!(shop.units().iter().any(|(unit, n, _)| *unit == format!("{basic}-1") && *n == 5));
    shop.rig.quiet().await;
}

#[tokio::test]
async fn with_lower_and_disable_what_is_too_much_goes_and_comes_back_with_the_same_keys() {
    let shop = Shop::open().await;
    shop.rig.write_rules(|text| {
        text.replace("on-less = \"report\"", "on-less = \"lower\"").replace("on-line-removed = \"report\"", "on-line-removed = \"disable\"")
    });
    let order = shop.licensed(&[(&shop.basic, 5), (&shop.pro, 3), (&shop.pro, 1)]).await;
    let (basic, pro, gone) = (shop.line(&order, 0), shop.line(&order, 1), shop.line(&order, 2));
    shop.amend(&order, |shop| {
        shop.quantity(&basic, 2);
        shop.quantity(&pro, 1);
        shop.rig.salesforce.world().delete("OrderItem", &gone).unwrap();
    });
    shop.run().await;
    let on: Vec<String> = shop.units().into_iter().filter(|(_, _, on)| *on).map(|(unit, ..)| unit).collect();
    let mut want = vec![format!("{basic}-1"), format!("{pro}-1")];
    want.sort();
    assert_eq!(on, want, "{}", shop.rig.changes());
    assert!(shop.units().iter().any(|(unit, n, _)| *unit == format!("{basic}-1") && *n == 2));
    assert_eq!(shop.rig.sf_rows("License__c").iter().filter(|l| l["Enabled__c"] == json!(false)).count(), 3, "Salesforce shows it");
    shop.rig.quiet().await;

    shop.amend(&order, |shop| shop.quantity(&pro, 3));
    shop.run().await;
    assert_eq!((shop.units().len(), shop.units().iter().filter(|(_, _, on)| *on).count()), (5, 4), "{}", shop.rig.changes());
    shop.rig.quiet().await;
}

#[tokio::test]
async fn an_order_that_is_called_off_has_its_licenses_disabled_and_nothing_is_enabled_unasked() {
    let shop = Shop::open().await;
    shop.rig.salesforce.world().add_order_status("Cancelled", "Draft").unwrap();
    let order = shop.licensed(&[(&shop.basic, 1), (&shop.pro, 2)]).await;
    shop.rig.sf_update("Order", &order, json!({"Status": "Cancelled"}));
    shop.run().await;
    assert!(shop.units().iter().all(|(_, _, on)| !on), "{}", shop.rig.changes());
    assert!(shop.message(&order).ends_with("The order is called off."), "{}", shop.message(&order));
    shop.rig.quiet().await;
    shop.rig.sf_update("Order", &order, json!({"Status": "Draft"}));
    shop.rig.activate(&order);
    shop.run().await;
    assert!(shop.units().iter().all(|(_, _, on)| !on), "{}", shop.rig.changes());
    assert!(shop.rig.changes().contains("stay disabled until somebody enables them"), "{}", shop.rig.changes());
    shop.rig.quiet().await;
}

#[tokio::test]
async fn an_order_that_names_another_contact_goes_to_that_customer() {
    let shop = Shop::open().await;
    let order = shop.licensed(&[(&shop.basic, 1)]).await;
    let zoe = shop.rig.contact(&shop.account, "Zoe", "Later", "zoe@northwind.example");
    shop.amend(&order, |shop| shop.rig.sf_update("Order", &order, json!({"License_Contact__c": zoe})));
    shop.run().await;
    let customer = shop.rig.ls_id(Object::Customer, "email", "zoe@northwind.example");
    assert_eq!(shop.rig.ls_rows(Object::Order)[0]["customer"].as_i64(), Some(customer), "{}", shop.rig.changes());
    assert_eq!(shop.rig.sf_rows("License__c")[0]["Contact__c"], json!(zoe), "{}", shop.rig.changes());
    shop.rig.quiet().await;
}

#[tokio::test]
async fn a_mass_of_cancellations_is_held_while_new_orders_go_on() {
    let shop = Shop::open().await;
    shop.rig.salesforce.world().add_order_status("Cancelled", "Draft").unwrap();
    let orders: Vec<String> = (0..12).map(|_| shop.order(&[(&shop.basic, 1)])).collect();
    orders.iter().for_each(|order| shop.rig.activate(order));
    shop.rig.once().await;
    assert_eq!(shop.licenses().len(), 12, "{}", shop.rig.changes());
    for order in &orders {
        shop.rig.sf_update("Order", order, json!({"Status": "Cancelled"}));
    }
    let fresh = shop.order(&[(&shop.pro, 1)]);
    shop.rig.activate(&fresh);
    shop.rig.tick(60);
    let report = shop.rig.once().await;
    assert_eq!((report.outcome.as_str(), report.held), ("held", 12), "{}", shop.rig.changes());
    assert_eq!(shop.licenses().iter().filter(|l| l["enabled"] == json!(true)).count(), 13);
    assert_eq!(shop.said(&fresh)["License_Status__c"], "Provisioned", "{}", shop.rig.changes());
    shop.rig.approved().await;
    assert_eq!(shop.licenses().iter().filter(|l| l["enabled"] == json!(true)).count(), 1, "{}", shop.rig.changes());
    shop.rig.quiet().await;
}

// ── reset ────────────────────────────────────────────────────────────────────────────────────────────────────────────

impl Shop {
    /// One license that is activated on two machines, on both sides.
    async fn in_use(&self) -> (String, i64) {
        self.licensed(&[(&self.basic, 3)]).await;
        let license = self.licenses()[0]["id"].as_i64().unwrap();
        for machine in ["hw-1", "hw-2"] {
            self.rig.platform.world().activate(license, machine, machine).unwrap();
        }
        self.run().await;
        let here = self.rig.sf_rows("License__c").remove(0);
        assert_eq!(here["Activations__c"].as_f64(), Some(2.0), "{}", self.rig.changes());
        (here["Id"].as_str().unwrap().to_owned(), license)
    }

    fn ask_for_reset(&self, license: &str) {
        self.rig.sf_update("License__c", license, json!({"Reset_Requested__c": true}));
    }

    fn activations(&self) -> i64 {
        self.licenses()[0]["times_activated"].as_i64().unwrap()
    }
}

#[tokio::test]
async fn a_reset_is_carried_out_once_told_and_the_box_cleared() {
    let shop = Shop::open().await;
    let (here, there) = shop.in_use().await;
    shop.ask_for_reset(&here);
    shop.run().await;
    let told = shop.rig.sf("License__c", &here);
    assert_eq!((shop.activations(), &told["Reset_Requested__c"]), (0, &json!(false)), "{}", shop.rig.changes());
    assert!(told["Reset_Outcome__c"].as_str().unwrap().ends_with("UTC: released 2 activations"), "{told}");
    assert_eq!(told["Activations__c"].as_f64(), Some(0.0));
    shop.rig.platform.world().activate(there, "hw-3", "hw-3").unwrap();
    shop.run().await;
    assert_eq!(shop.activations(), 1, "nobody is thrown out later");
    shop.rig.quiet().await;
}

#[tokio::test]
async fn a_reset_whose_answer_is_lost_throws_nobody_out_twice() {
    let shop = Shop::open().await;
    let (here, there) = shop.in_use().await;
    shop.ask_for_reset(&here);
    shop.rig.platform_fault(json!({"on": "/reset/", "do": "reset_after"}));
    shop.run().await;
    shop.rig.clear_faults();
    shop.rig.platform.world().activate(there, "hw-3", "hw-3").unwrap();
    shop.run().await;
    shop.run().await;
    assert_eq!(shop.activations(), 1, "{}", shop.rig.changes());
    assert_eq!(shop.rig.sf("License__c", &here)["Reset_Requested__c"], json!(false), "{}", shop.rig.changes());
    shop.rig.quiet().await;
}
