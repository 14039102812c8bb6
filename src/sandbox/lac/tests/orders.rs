//! License orders, the licenses that come of them, products and templates.

use super::*;

fn order(sim: &Sim, customer: &Value) -> Value {
    let template = sim.it.world().rows("product_template")[0]["id"].clone();
    json!({
        "customer_id": customer, "product_template_id": template, "license_type": "local", "licensee_type": "customer",
        "hostid_match_rate": "50", "min_hostids": 1, "activations_allowed": 2, "enabled": true, "removal": false,
        "Hostids": [{"name": "ETHERNET", "min_amount": 1, "max_amount": 4}],
        "Features": [{"name": "export_pdf", "version": "1", "expiration_type": "no_expiration", "issued_type": "not_issued",
                      "maintenance_type": "no_maintenance"}],
    })
}

#[tokio::test]
async fn an_order_is_made_listed_changed_and_used() {
    let sim = Sim::start().await;
    let customer = sim.create(json!({"name": "A"})).await["id"].clone();
    let body = order(&sim, &customer);
    let made = sim.call("POST", "/license-orders", body.clone()).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let made = made.json();
    let key = made["activation_key"].as_str().unwrap().to_owned();
    assert!(key.len() == 23 && key.split('-').all(|group| group.len() == 5));
    assert_eq!((made["activations_allowed"].clone(), made["customer"]["name"].clone()), (json!("2"), json!("A")));
    assert_eq!(sim.get("/license-orders").await, json!([made]));
    let alone = sim.get(&format!("/license-orders/{key}")).await;
    assert_eq!((alone["activationKey"].clone(), alone["creationTime"].clone()), (json!(key), json!("2026-01-05T06:31:19+00:00")));
    sim.control("settings", json!({"order_shape": "plain"})).await;
    assert_eq!(sim.get(&format!("/license-orders/{key}")).await, made);

    sim.control("edit", json!({"op": "activate", "order": key, "hostid": "aa-bb"})).await;
    let licenses = sim.get(&format!("/license-orders/{key}/licenses")).await;
    assert_eq!((licenses[0]["HostidValues"][0]["value"].clone(), licenses[0]["expiration_date"].clone()), (json!("aa-bb"), Value::Null));
    assert_eq!(sim.get(&format!("/licenses?activation_key={}", &key[..5].to_lowercase())).await, licenses);
    assert_eq!(sim.status("GET", "/licenses?expiration_date_after=2026-01-01", Value::Null).await, 400);

    let mut off = body.clone();
    off["enabled"] = json!(false);
    let changed = sim.call("PATCH", &format!("/license-orders/{key}"), off).await.json();
    assert_eq!((changed["enabled"].clone(), changed["activated_licenses_count"].clone()), (json!(false), json!("1")));
    assert_eq!(sim.status("GET", &format!("/license-orders/{key}"), Value::Null).await, 403, "a disabled order");
    assert_eq!(sim.get("/license-orders?disabled=false").await, json!([]));
    assert_eq!(sim.status("GET", "/license-orders/ZZZZZ-ZZZZZ-ZZZZZ-ZZZZZ", Value::Null).await, 404);
    let counters = sim.get("/activation-counters").await;
    assert_eq!(counters["subscription"]["used"], 1);
}

#[tokio::test]
async fn orders_of_a_customer_are_asked_for_with_both_parameters() {
    let sim = Sim::start().await;
    let ids: Vec<i64> = (0..3).map(|n| sim.it.world().add_customer(&json!({"name": n.to_string()})).unwrap()).collect();
    for id in &ids {
        sim.it.world().issue(*id, &json!({})).unwrap();
    }
    let customers = async |query: String| -> Vec<String> {
        let found = sim.get(&format!("/license-orders?{query}")).await;
        found.as_array().unwrap().iter().map(|row| row["customer"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(customers(format!("customer_ids={}&customer_ids_exclude=false", ids[1])).await, ["1"]);
    let mut others = customers(format!("customer_ids={}&customer_ids_exclude=true", ids[1])).await;
    others.sort();
    assert_eq!(others, ["0", "2"]);
    assert_eq!(customers("created_date_after=2026-01-06".into()).await.len(), 0);
    assert_eq!(customers("created_date_before=2026-01-05".into()).await.len(), 3);
    for wrong in ["customer_ids=1", "customer_ids_exclude=false", "customer_ids=x&customer_ids_exclude=false", "created_date_after=now"] {
        assert_eq!(sim.status("GET", &format!("/license-orders?{wrong}"), Value::Null).await, 400, "{wrong}");
    }
}

#[tokio::test]
async fn an_order_s_needed_members_are_needed_in_every_write() {
    let sim = Sim::start().await;
    let customer = sim.create(json!({"name": "A"})).await["id"].clone();
    let good = order(&sim, &customer);
    let key = sim.call("POST", "/license-orders", good.clone()).await.json()["activation_key"].as_str().unwrap().to_owned();
    for needed in ["customer_id", "license_type", "activations_allowed", "enabled", "removal", "Hostids", "Features"] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(needed);
        for (method, page) in [("POST", "/license-orders".to_owned()), ("PATCH", format!("/license-orders/{key}"))] {
            assert_eq!(sim.status(method, &page, body.clone()).await, 400, "{method} without {needed}");
        }
    }
    for (pointer, value) in [
        ("/customer_id", json!("999")),
        ("/license_type", json!("cloud")),
        ("/license_type", json!("network")),
        ("/licensee_type", json!("fixed")),
        ("/Features/0/expiration_type", json!("fixed")),
        ("/Features/0/maintenance_type", json!("days_from_activation")),
        ("/Hostids/0/max_amount", json!("many")),
    ] {
        let mut body = good.clone();
        *body.pointer_mut(pointer).unwrap() = value;
        assert_eq!(sim.status("POST", "/license-orders", body).await, 400, "{pointer}");
    }
}

#[tokio::test]
async fn products_are_read_and_templates_added() {
    let sim = Sim::start().await;
    let product = sim.it.world().rows("product")[0].clone();
    let page = format!("/products/{}", product["id"]);
    let shown = sim.get(&page).await;
    assert_eq!((shown["name"].clone(), shown["ProductTemplates"].as_array().unwrap().len()), (product["name"].clone(), 1));
    let body = json!({"name": "T", "license_type": "local", "licensee_type": "customer"});
    let made = sim.call("POST", &format!("{page}/product-templates"), body).await.json();
    assert_eq!(sim.get(&format!("{page}/product-templates/{}", made["id"].as_str().unwrap())).await, made);
    assert_eq!(sim.get(&format!("{page}/product-templates")).await.as_array().unwrap().len(), 2);
    assert_eq!(sim.status("POST", &format!("{page}/product-templates"), json!({"name": "T"})).await, 400);
    sim.control("settings", json!({"product_list": true})).await;
    assert_eq!(sim.get("/products").await.as_array().unwrap().len(), 3);
}
