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
        "On activation for Mina Okafor: 1 × orbit-basic with 3 activations, policy orbit-basic-perpetual (Orbit Basic); 2 × orbit-pro, policy orbit-pro-1y (Orbit Pro)."
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
    assert!(shop.message(&parked).starts_with("Product XX-1 (Odd thing) is not in [products]"), "{}", shop.message(&parked));
    assert!(shop.message(&nobody).starts_with("Nobody to license it to: License_Contact__c, BillToContactId are all empty"));
    assert_eq!(shop.said(&none)["License_Status__c"], Value::Null);
    assert_eq!(shop.message(&none), "No license: none of its products carries one.");
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
    assert!(shop.message(&order).contains("its License_Product__c is empty"), "{}", shop.message(&order));
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
