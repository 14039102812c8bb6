//! What is counted, what is edited by hand, what goes wrong on purpose.

use super::*;

#[tokio::test]
async fn the_allowance_is_counted_and_ends() {
    let org = org().await;
    let reply = org.call(Method::GET, "limits").send().await.unwrap();
    assert_eq!(reply.headers()["sforce-limit-info"], "api-usage=1/100000");
    org.settings(json!({"daily_max": 2})).await;
    assert_eq!(org.get("query?q=nonsense").await.0, 400);
    let reply = org.call(Method::GET, "limits").send().await.unwrap();
    assert_eq!((reply.status().as_u16(), reply.headers()["sforce-limit-info"].to_str().unwrap()), (403, "api-usage=2/2"));
    assert_eq!(
        reply.json::<Value>().await.unwrap(),
        json!([{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}])
    );
    org.sf.wire.clock.advance(chrono::Duration::hours(25));
    let token = org.sf.world().mint_token();
    let later = org.http.get(format!("{}/services/data/v66.0/limits", org.sf.url)).bearer_auth(token).send().await.unwrap();
    assert_eq!(later.status(), 200);
}

#[tokio::test]
async fn the_control_routes_edit_like_a_person() {
    let org = org().await;
    let edit = |edit: Value| {
        let org = &org;
        async move { org.send("POST", "/__control/edit", edit).await }
    };
    let (_, made) = edit(json!([{"do": "create", "object": "Account", "fields": {"Name": "A"}, "stamp": "2026-01-02T03:04:05Z"}, {"do": "create", "object": "Account", "fields": {"Name": "B"}}])).await;
    let (a, b) = (made["ids"][0].as_str().unwrap(), made["ids"][1].as_str().unwrap());
    let (_, row) = org.get(&format!("/__control/state?object=account&id={a}")).await;
    assert_eq!(
        (&row["SystemModstamp"], &row["CreatedDate"]),
        (&json!("2026-01-02T03:04:05.000+0000"), &json!("2026-01-02T03:04:05.000+0000"))
    );
    assert_eq!(edit(json!({"do": "merge", "object": "Account", "id": a, "losers": [b]})).await.0, 200);
    let merged = org
        .call(Method::GET, "queryAll")
        .query(&[("q", format!("SELECT MasterRecordId FROM Account WHERE Id = '{b}'"))])
        .send()
        .await
        .unwrap();
    assert_eq!(merged.json::<Value>().await.unwrap()["records"][0]["MasterRecordId"], json!(a));
    let (status, error) = edit(json!({"do": "update", "object": "Account", "id": a, "fields": {"Nope": 1}})).await;
    assert_eq!((status, &error["code"]), (400, &json!("INVALID_FIELD")));
    let (_, state) = org.get("/__control/state").await;
    assert_eq!((&state["counts"]["Account"], &state["calls"]["query"]), (&json!(1), &json!(1)));
    assert_eq!(org.send("POST", "/__control/settings", json!({"colour": 1})).await.0, 400);
    org.settings(json!({"org_id": "00D000000000009", "is_sandbox": true})).await;
    assert_eq!(org.get("limits").await.0, 401);
    let token = org.sf.world().mint_token();
    let query =
        org.http.get(format!("{}/services/data/v66.0/query?q=SELECT+Id,IsSandbox+FROM+Organization", org.sf.url)).bearer_auth(token);
    let orgs: Value = query.send().await.unwrap().json().await.unwrap();
    assert_eq!((&orgs["records"][0]["Id"].as_str().unwrap()[..15], &orgs["records"][0]["IsSandbox"]), ("00D000000000009", &json!(true)));
    assert_eq!(org.send("POST", "/__control/reset", json!({})).await.0, 200);
    assert!(!org.sf.world().counts().contains_key("Account"));
}

#[tokio::test]
async fn a_lost_answer_leaves_the_record_behind() {
    let org = org().await;
    org.sf.wire.faults.add(&json!({"on": "POST /services/data/v66.0/sobjects/Account", "do": "reset_after"})).unwrap();
    let lost = org.call(Method::POST, "sobjects/Account").json(&json!({"Name": "A"})).send().await;
    assert!(lost.is_err());
    assert_eq!(org.query("SELECT COUNT() FROM Account").await["totalSize"], 1);
}
