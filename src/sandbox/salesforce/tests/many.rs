//! Many records in one call: collections, the composite family, bulk.

use super::*;

#[tokio::test]
async fn collections_in_five_forms() {
    let org = org().await;
    let record = |name: Value| json!({"attributes": {"type": "account"}, "Name": name});
    let (status, made) =
        org.send("POST", "composite/sobjects", json!({"records": [record(json!("A")), record(json!(null)), record(json!("C"))]})).await;
    assert_eq!((status, &made[1]["success"], &made[1]["errors"][0]["statusCode"]), (200, &json!(false), &json!("REQUIRED_FIELD_MISSING")));
    assert!(made[1].get("id").is_none() && made[1]["errors"][0].get("errorCode").is_none());
    let (a, c) = (made[0]["id"].clone(), made[2]["id"].clone());

    let change = |id: &Value, phone: &str| json!({"attributes": {"type": "Account"}, "id": id, "Phone": phone});
    let body = json!({"allOrNone": true, "records": [change(&a, "1"), change(&c, &"9".repeat(50))]});
    let (_, rolled) = org.send("PATCH", "composite/sobjects/", body).await;
    assert_eq!((&rolled[0]["success"], &rolled[0]["id"]), (&json!(false), &a));
    assert_eq!(rolled[0]["errors"][0]["statusCode"], "ALL_OR_NONE_OPERATION_ROLLED_BACK");
    assert_eq!(rolled[1]["errors"][0]["statusCode"], "STRING_TOO_LONG");
    let ids = format!("{},{},001RM000000zzzz", a.as_str().unwrap(), c.as_str().unwrap());
    let (_, rows) = org.get(&format!("composite/sobjects/Account?ids={ids}&fields=Name,Phone")).await;
    assert_eq!((&rows[0]["Phone"], &rows[1]["Name"], &rows[2]), (&json!(null), &json!("C"), &json!(null)));
    let (_, rows) = org.send("POST", "composite/sobjects/Account", json!({"ids": [a, c], "fields": ["Id", "Name"]})).await;
    assert_eq!(rows.as_array().unwrap().len(), 2);

    let keyed = |key: &str, name: &str| json!({"attributes": {"type": "Account"}, "Lockstep_Id__c": key, "Name": name});
    let body = json!({"records": [keyed("k1", "K"), keyed("k2", "L"), keyed("k2", "M")]});
    let (_, saved) = org.send("PATCH", "composite/sobjects/Account/Lockstep_Id__c", body.clone()).await;
    assert_eq!(
        (&saved[0]["created"], &saved[1]["errors"][0]["statusCode"], &saved[2]["success"]),
        (&json!(true), &json!("DUPLICATE_VALUE"), &json!(false))
    );
    let (_, saved) = org.send("PATCH", "composite/sobjects/Account/Lockstep_Id__c", body).await;
    assert_eq!(saved[0]["created"], json!(false));

    let (_, gone) = org.send("DELETE", &format!("composite/sobjects?ids={ids}&allOrNone=false"), Value::Null).await;
    assert_eq!((&gone[0]["success"], &gone[2]["errors"][0]["statusCode"]), (&json!(true), &json!("INVALID_CROSS_REFERENCE_KEY")));
    let many: Vec<Value> = (0..201).map(|n| record(json!(n.to_string()))).collect();
    assert_eq!(org.send("POST", "composite/sobjects", json!({"records": many})).await.0, 400);
    let kinds =
        ["Account", "Contact"].iter().cycle().take(11).map(|kind| json!({"attributes": {"type": kind}, "Name": "x"})).collect::<Vec<_>>();
    assert_eq!(org.send("POST", "composite/sobjects", json!({"records": kinds})).await.0, 400);
}

#[tokio::test]
async fn composite_refers_rolls_back_and_costs_one_call() {
    let org = org().await;
    let base = "/services/data/v66.0";
    let make = json!({"method": "POST", "url": format!("{base}/sobjects/Account"), "referenceId": "acc", "body": {"Name": "A"}});
    let child = json!({"method": "POST", "url": format!("{base}/sobjects/Contact"), "referenceId": "con", "body": {"LastName": "L", "AccountId": "@{acc.id}"}});
    let look = json!({"method": "GET", "url": format!("{base}/query/?q=SELECT+Id+FROM+Contact+WHERE+AccountId='@{{acc.id}}'"), "referenceId": "look"});
    let bad =
        json!({"method": "PATCH", "url": format!("{base}/sobjects/Account/@{{acc.id}}"), "referenceId": "bad", "body": {"Name": null}});
    let before = org.sf.world().calls.get("total").copied().unwrap_or(0);
    let (status, reply) = org.send("POST", "composite", json!({"compositeRequest": [make, child, look, bad]})).await;
    assert_eq!(status, 200);
    let parts = &reply["compositeResponse"];
    let statuses: Vec<u64> = parts.as_array().unwrap().iter().map(|part| part["httpStatusCode"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 201, 200, 400]);
    assert_eq!((&parts[2]["body"]["totalSize"], &parts[0]["referenceId"]), (&json!(1), &json!("acc")));
    assert!(parts[0]["httpHeaders"]["Location"].is_string());
    assert_eq!(org.sf.world().calls["total"] - before, 1);

    let counted = org.sf.world().counts()["Account"];
    let (_, reply) = org.send("POST", "composite", json!({"allOrNone": true, "compositeRequest": [make, bad, child]})).await;
    let parts = reply["compositeResponse"].as_array().unwrap();
    assert_eq!((parts[0]["httpStatusCode"].as_u64(), parts[0]["body"][0]["errorCode"].as_str()), (Some(400), Some("PROCESSING_HALTED")));
    assert_eq!(parts[1]["body"][0]["errorCode"], "REQUIRED_FIELD_MISSING");
    assert_eq!(parts[2]["body"][0]["errorCode"], "PROCESSING_HALTED");
    assert_eq!(org.sf.world().counts()["Account"], counted);

    let query =
        |n: usize| json!({"method": "GET", "url": format!("{base}/queryAll?q=SELECT+Id+FROM+Account"), "referenceId": format!("q{n}")});
    assert_eq!(org.send("POST", "composite", json!({"compositeRequest": (0..6).map(query).collect::<Vec<_>>()})).await.0, 400);
    assert_eq!(org.send("POST", "composite", json!({"compositeRequest": (0..5).map(query).collect::<Vec<_>>()})).await.0, 200);
    assert_eq!(org.send("POST", "composite", json!({"compositeRequest": [query(1), query(1)]})).await.0, 400);
}

#[tokio::test]
async fn batch_graph_and_tree() {
    let org = org().await;
    let batch = json!({"haltOnError": true, "batchRequests": [
        {"method": "GET", "url": "v66.0/limits"}, {"method": "GET", "url": "v66.0/sobjects/Nope/describe"}, {"method": "GET", "url": "/services/data/v66.0/limits"}]});
    let before = org.sf.world().calls.get("total").copied().unwrap_or(0);
    let (_, reply) = org.send("POST", "composite/batch", batch).await;
    let statuses: Vec<u64> = reply["results"].as_array().unwrap().iter().map(|one| one["statusCode"].as_u64().unwrap()).collect();
    assert_eq!((statuses, &reply["hasErrors"]), (vec![200, 404, 412], &json!(true)));
    assert_eq!(org.sf.world().calls["total"] - before, 3);

    let node = |reference: &str, name: Value| json!({"method": "POST", "url": "/services/data/v66.0/sobjects/Account", "referenceId": reference, "body": {"Name": name}});
    let graphs = json!({"graphs": [{"graphId": "1", "compositeRequest": [node("a", json!("A"))]}, {"graphId": "2", "compositeRequest": [node("b", json!("B")), node("c", json!(null))]}]});
    let (_, reply) = org.send("POST", "composite/graph", graphs).await;
    assert_eq!((&reply["graphs"][0]["isSuccessful"], &reply["graphs"][1]["isSuccessful"]), (&json!(true), &json!(false)));
    assert_eq!(org.sf.world().counts()["Account"], 1);

    let person = |reference: &str, last: Value| json!({"attributes": {"type": "Contact", "referenceId": reference}, "LastName": last});
    let tree = |last: Value| json!({"records": [{"attributes": {"type": "Account", "referenceId": "r1"}, "Name": "T", "Contacts": {"records": [person("r2", last)]}}]});
    let (status, reply) = org.send("POST", "composite/tree/Account/", tree(json!("L"))).await;
    assert_eq!((status, &reply["hasErrors"], reply["results"].as_array().unwrap().len()), (201, &json!(false), 2));
    let (status, reply) = org.send("POST", "composite/tree/Account", tree(json!(null))).await;
    assert_eq!((status, &reply["results"][0]["referenceId"], &reply["hasErrors"]), (400, &json!("r2"), &json!(true)));
    assert_eq!(org.sf.world().counts()["Account"], 2);
}

#[tokio::test]
async fn bulk_queries_page_through_csv() {
    let org = org().await;
    org.accounts(5).await;
    org.sf.world().insert("Account", &json!({"Name": "quote \" comma, here", "Phone": "1"})).unwrap();
    org.settings(json!({"bulk_delay_polls": 1})).await;
    let (_, job) = org
        .send("POST", "jobs/query", json!({"operation": "query", "query": "SELECT Id, Name, Phone, Owner.Name FROM Account ORDER BY Name"}))
        .await;
    assert_eq!((&job["state"], &job["apiVersion"], job.get("query")), (&json!("UploadComplete"), &json!(66.0), None));
    let path = format!("jobs/query/{}", job["id"].as_str().unwrap());
    assert_eq!(org.get(&path).await.1["state"], "InProgress");
    let (_, done) = org.get(&path).await;
    assert_eq!((&done["state"], &done["numberRecordsProcessed"]), (&json!("JobComplete"), &json!(6)));
    let (mut locator, mut rows) = (String::new(), Vec::new());
    loop {
        let from = if locator.is_empty() { String::new() } else { format!("&locator={locator}") };
        let reply = org.call(Method::GET, &format!("{path}/results?maxRecords=4{from}")).send().await.unwrap();
        locator = reply.headers()["sforce-locator"].to_str().unwrap().to_owned();
        let text = reply.text().await.unwrap();
        assert!(text.starts_with("\"Id\",\"Name\",\"Phone\",\"Owner.Name\"\n"), "{text}");
        rows.extend(csv::Reader::from_reader(text.as_bytes()).records().map(Result::unwrap));
        if locator == "null" {
            break;
        }
    }
    assert_eq!((rows.len(), &rows[5][1], &rows[0][2], &rows[0][3]), (6, "quote \" comma, here", "", "Dana Reyes"));
    assert_eq!(org.get(&format!("/services/data/v65.0/{path}/results")).await.0, 409);
    assert_eq!(org.send("DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(org.get(&path).await.0, 404);
}

#[tokio::test]
async fn bulk_ingest_tells_each_row() {
    let org = org().await;
    let (_, job) = org.send("POST", "jobs/ingest", json!({"object": "account", "operation": "upsert", "externalIdFieldName": "Lockstep_Id__c", "contentType": "CSV", "lineEnding": "LF"})).await;
    let id = job["id"].as_str().unwrap();
    assert_eq!((&job["state"], &job["contentUrl"]), (&json!("Open"), &json!(format!("services/data/v66.0/jobs/ingest/{id}/batches"))));
    let csv = "Lockstep_Id__c,Name,Phone\nk1,One,1\nk2,,2\nk3,Three,#N/A\n";
    let put =
        org.call(Method::PUT, &format!("jobs/ingest/{id}/batches/")).header("Content-Type", "text/csv").body(csv).send().await.unwrap();
    assert_eq!(put.status(), 201);
    assert_eq!(org.send("PATCH", &format!("jobs/ingest/{id}"), json!({"state": "UploadComplete"})).await.1["state"], "UploadComplete");
    let (_, done) = org.get(&format!("jobs/ingest/{id}")).await;
    assert_eq!(
        (&done["state"], &done["numberRecordsFailed"], &done["numberRecordsProcessed"]),
        (&json!("JobComplete"), &json!(1), &json!(3))
    );
    let text = |name: &str| {
        let call = org.call(Method::GET, &format!("jobs/ingest/{id}/{name}"));
        async move { call.send().await.unwrap().text().await.unwrap() }
    };
    let failed = text("failedResults/").await;
    assert!(failed.contains("REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --") && failed.contains("\"k2\""), "{failed}");
    assert_eq!(text("successfulResults").await.lines().count(), 3);
    assert_eq!(text("unprocessedrecords").await.lines().count(), 1);
    assert_eq!(org.query("SELECT Phone FROM Account WHERE Lockstep_Id__c = 'k3'").await["records"][0]["Phone"], json!(null));
}
