//! Single records, descriptions, conditions and change lists.

use super::*;

#[tokio::test]
async fn versions_are_open_and_old_ones_are_gone() {
    let org = org().await;
    let open = org.http.get(format!("{}/services/data/", org.sf.url)).send().await.unwrap();
    assert!(open.headers().get("sforce-limit-info").is_none());
    let versions: Value = open.json().await.unwrap();
    assert!(
        versions
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["version"] == "66.0" && one["url"] == "/services/data/v66.0" && one["label"] == "Spring '26")
    );
    assert_eq!(org.get("/services/data/v30.0/limits").await.0, 410);
    assert_eq!(org.get("/services/data/v99.0/limits").await.0, 404);
    assert_eq!(org.get("nothing").await.0, 404);
    assert_eq!(org.send("PUT", "query", Value::Null).await.0, 405);
    let long = org.call(Method::GET, "query").query(&[("q", "x".repeat(17_000))]).send().await.unwrap();
    assert_eq!(long.status(), 414);
    assert!(long.text().await.unwrap().starts_with("<h1>"));
}

#[tokio::test]
async fn records_are_created_read_changed_and_deleted() {
    let org = org().await;
    let (status, made) = org.send("POST", "sobjects/account/", json!({"name": " Acme ", "BillingCity": "Bern", "annualrevenue": 5})).await;
    assert_eq!((status, &made["success"], &made["errors"]), (201, &json!(true), &json!([])));
    let id = made["id"].as_str().unwrap();
    let (_, row) = org.get(&format!("sobjects/ACCOUNT/{}", &id[..15])).await;
    assert_eq!(row["attributes"], json!({"type": "Account", "url": format!("/services/data/v66.0/sobjects/Account/{id}")}));
    assert_eq!(
        (&row["Name"], &row["AnnualRevenue"], &row["BillingAddress"]["city"], &row["Phone"]),
        (&json!("Acme"), &json!(5.0), &json!("Bern"), &json!(null))
    );
    assert!(row["SystemModstamp"].as_str().unwrap().ends_with(".000+0000"));
    let (_, few) = org.get(&format!("sobjects/Account/{id}?fields=name,Owner.Name")).await;
    assert_eq!(few.as_object().unwrap().len(), 4);
    assert_eq!(few["Owner"]["Name"], json!("Lockstep Integration"));
    let (status, body) = org.get(&format!("sobjects/Account/{id}?fields=Nope")).await;
    assert_eq!((status, code(&body)), (400, "INVALID_FIELD"));

    assert_eq!(org.send("PATCH", &format!("sobjects/Account/{id}"), json!({"Phone": "1"})).await, (204, Value::Null));
    let (status, body) = org.send("PATCH", &format!("sobjects/Account/{id}"), json!({"Phoney": "1"})).await;
    assert_eq!(
        (status, &body),
        (400, &json!([{"message": "No such column 'Phoney' on sobject of type Account", "errorCode": "INVALID_FIELD"}]))
    );
    assert_eq!(org.send("DELETE", &format!("sobjects/Account/{id}"), Value::Null).await, (204, Value::Null));

    let unknown = "001RM000000000zzzz";
    let fresh = org.sf.world().insert("Account", &json!({"Name": "x"})).unwrap();
    org.sf.world().purge("Account", &fresh).unwrap();
    for (method, body) in [("GET", Value::Null), ("PATCH", json!({"Phone": "2"})), ("DELETE", Value::Null)] {
        let (status, reply) = org.send(method, &format!("sobjects/Account/{id}"), body.clone()).await;
        assert_eq!((status, code(&reply)), (404, "ENTITY_IS_DELETED"), "{method}");
        let (status, reply) = org.send(method, &format!("sobjects/Account/{fresh}"), body).await;
        assert_eq!((status, code(&reply)), (404, if method == "GET" { "NOT_FOUND" } else { "INVALID_CROSS_REFERENCE_KEY" }));
    }
    assert_eq!(org.get(&format!("sobjects/Account/{unknown}")).await.0, 404);
    let (status, reply) = org.send("POST", "sobjects/Account", json!({})).await;
    assert_eq!((status, &reply[0]["fields"], code(&reply)), (400, &json!(["Name"]), "REQUIRED_FIELD_MISSING"));
    let broken = org.call(Method::POST, "sobjects/Account").body("{\"Name\":").send().await.unwrap();
    assert_eq!((broken.status().as_u16(), code(&broken.json::<Value>().await.unwrap())), (400, "JSON_PARSER_ERROR"));
}

#[tokio::test]
async fn conditions_on_a_record_and_on_describe() {
    let org = org().await;
    org.sf.wire.clock.freeze("2026-01-02T03:04:05Z".parse().unwrap());
    let id = org.accounts(1).await.remove(0);
    let path = format!("sobjects/Account/{id}");
    let patch = |name: &'static str, value: &str| org.call(Method::PATCH, &path).header(name, value).json(&json!({"Phone": "1"})).send();
    assert_eq!(patch("If-Unmodified-Since", "Fri, 02 Jan 2026 03:04:04 GMT").await.unwrap().status(), 412);
    assert_eq!(patch("If-Unmodified-Since", "Fri, 02 Jan 2026 03:04:05 GMT").await.unwrap().status(), 204);
    assert_eq!(patch("If-Unmodified-Since", "soon").await.unwrap().status(), 400);
    let tag = org.call(Method::GET, &path).send().await.unwrap().headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(
        org.call(Method::GET, &path)
            .header("If-None-Match", format!("{}--gzip\"", tag.trim_end_matches('"')))
            .send()
            .await
            .unwrap()
            .status(),
        304
    );
    assert_eq!(patch("If-Match", "\"other\"").await.unwrap().status(), 412);
    assert_eq!(patch("If-Match", &tag).await.unwrap().status(), 204);
    let describe = |since: &str| org.call(Method::GET, "sobjects/Account/describe").header("If-Modified-Since", since).send();
    assert_eq!(describe("Wed, 02 Jan 2036 03:04:05 GMT").await.unwrap().status(), 304);
    assert_eq!(describe("Sat, 02 Jan 2016 03:04:05 GMT").await.unwrap().status(), 200);
}

#[tokio::test]
async fn describe_tells_fields_lookups_and_children() {
    let org = org().await;
    let (_, global) = org.get("sobjects/").await;
    assert!(
        global["sobjects"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["name"] == "License__c" && one["keyPrefix"].as_str().unwrap().starts_with('a'))
    );
    let (_, account) = org.get("sobjects/account/describe/").await;
    let field = |name: &str| account["fields"].as_array().unwrap().iter().find(|field| field["name"] == name).cloned().unwrap();
    let name = field("Name");
    assert_eq!(
        (&name["nillable"], &name["createable"], &name["defaultedOnCreate"], &name["length"]),
        (&json!(false), &json!(true), &json!(false), &json!(255))
    );
    let key = field("Lockstep_Id__c");
    assert_eq!(
        (&key["externalId"], &key["unique"], &key["idLookup"], &key["caseSensitive"]),
        (&json!(true), &json!(true), &json!(true), &json!(true))
    );
    let stamp = field("SystemModstamp");
    assert_eq!((&stamp["createable"], &stamp["updateable"], &stamp["type"]), (&json!(false), &json!(false), &json!("datetime")));
    assert_eq!(
        (&field("BillingCity")["compoundFieldName"], &field("BillingAddress")["type"]),
        (&json!("BillingAddress"), &json!("address"))
    );
    assert_eq!(field("ParentId")["referenceTo"], json!(["Account"]));
    let children = account["childRelationships"].as_array().unwrap();
    assert!(
        children
            .iter()
            .any(|child| child["childSObject"] == "Contact" && child["relationshipName"] == "Contacts" && child["cascadeDelete"] == true)
    );
    org.settings(json!({"hide_field": {"object": "Account", "field": "Phone"}, "readonly_field": {"object": "Account", "field": "Fax"}}))
        .await;
    let (_, account) = org.get("sobjects/Account/describe").await;
    let fields = account["fields"].as_array().unwrap();
    assert!(!fields.iter().any(|field| field["name"] == "Phone"));
    assert!(fields.iter().any(|field| field["name"] == "Fax" && field["updateable"] == false));
    let (_, reply) = org.send("POST", "sobjects/Account", json!({"Name": "A", "Fax": "1"})).await;
    assert_eq!(code(&reply), "INVALID_FIELD_FOR_INSERT_UPDATE");
    let (_, reply) = org.send("POST", "sobjects/Account", json!({"Name": "A", "Phone": "1"})).await;
    assert_eq!(code(&reply), "INVALID_FIELD");
    assert_eq!(code(&org.query("SELECT Phone FROM Account").await), "INVALID_FIELD");
}

#[tokio::test]
async fn upsert_by_an_external_id_has_four_answers() {
    let org = org().await;
    let path = "sobjects/Account/lockstep_id__c/a%2Fb%20c";
    let (status, made) = org.send("PATCH", path, json!({"Name": "A"})).await;
    assert_eq!((status, &made["created"]), (201, &json!(true)));
    let (status, again) = org.send("PATCH", path, json!({"Name": "B"})).await;
    assert_eq!((status, &again), (200, &json!({"id": made["id"], "success": true, "errors": [], "created": false})));
    let (_, row) = org.get(path).await;
    assert_eq!((&row["Name"], &row["Lockstep_Id__c"]), (&json!("B"), &json!("a/b c")));
    assert_eq!(org.send("PATCH", "/services/data/v45.0/sobjects/Account/Lockstep_Id__c/a%2Fb%20c", json!({"Name": "C"})).await.0, 204);
    assert_eq!(org.send("PATCH", "sobjects/Account/Lockstep_Id__c/new?updateOnly=true", json!({"Name": "C"})).await.0, 404);
    let (status, reply) = org.send("PATCH", "sobjects/Account/Namez/x", json!({"Name": "C"})).await;
    assert_eq!(
        (status, &reply),
        (404, &json!([{"message": "Provided external ID field does not exist or is not accessible: Namez", "errorCode": "NOT_FOUND"}]))
    );
    let (_, reply) = org.send("PATCH", path, json!({"Lockstep_Id__c": "a/b c"})).await;
    assert_eq!(code(&reply), "INVALID_FIELD");
    let xml = "<CustomField><fullName>Loose__c</fullName><type>Text</type><length>20</length><externalId>true</externalId></CustomField>";
    org.settings(json!({"add_field": {"object": "Account", "xml": xml}})).await;
    for name in ["X", "Y"] {
        org.sf.world().insert("Account", &json!({"Name": name, "Loose__c": "same"})).unwrap();
    }
    let (status, urls) = org.send("PATCH", "sobjects/Account/Loose__c/SAME", json!({"Name": "Z"})).await;
    assert_eq!((status, urls.as_array().unwrap().len()), (300, 2));
    assert!(urls[0].as_str().unwrap().starts_with("/services/data/v66.0/sobjects/Account/001"));
    assert_eq!(org.send("DELETE", path, Value::Null).await.0, 204);
    assert_eq!(org.get(path).await.0, 404);
}

#[tokio::test]
async fn updated_and_deleted_with_their_windows() {
    let org = org().await;
    org.sf.wire.clock.freeze("2026-03-10T12:00:00Z".parse().unwrap());
    let ids = org.accounts(2).await;
    org.sf.world().delete("Account", &ids[1]).unwrap();
    org.sf.wire.clock.advance(chrono::Duration::minutes(5));
    let window = "start=2026-03-10T11:59:00%2B00:00&end=2026-03-10T12:04:00%2B00:00";
    let (_, updated) = org.get(&format!("sobjects/Account/updated/?{window}")).await;
    assert_eq!(updated, json!({"ids": [ids[0]], "latestDateCovered": "2026-03-10T12:04:00.000+0000"}));
    let (_, deleted) = org.get(&format!("sobjects/Account/deleted/?{window}")).await;
    assert_eq!(deleted["deletedRecords"], json!([{"id": ids[1], "deletedDate": "2026-03-10T12:00:00.000+0000"}]));
    assert!(deleted["earliestDateAvailable"].is_string());
    org.sf.world().begin("create", "Account", None, &json!({"Name": "late"}), "2026-03-10T13:00:00Z".parse().unwrap()).unwrap();
    org.sf.wire.clock.advance(chrono::Duration::minutes(5));
    let (_, covered) = org.get("sobjects/Account/updated?start=2026-03-10T11:59:00Z&end=2026-03-10T12:09:00Z").await;
    assert_eq!(covered["latestDateCovered"], "2026-03-10T12:05:00.000+0000");
    for window in
        ["start=2026-03-10T12:00:00Z&end=2026-03-10T12:00:00Z", "start=2026-01-10T12:00:00Z&end=2026-03-10T12:00:00Z", "start=x&end=y"]
    {
        assert_eq!(code(&org.get(&format!("sobjects/Account/updated/?{window}")).await.1), "INVALID_REPLICATION_DATE");
    }
}
