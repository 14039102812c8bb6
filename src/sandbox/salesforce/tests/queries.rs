//! Queries, their pages and their locators.

use super::*;

#[tokio::test]
async fn pages_follow_their_locator_until_done() {
    let org = org().await;
    let ids = org.accounts(25).await;
    org.settings(json!({"page_size": 10})).await;
    org.sf.world().delete("Account", &ids[24]).unwrap();
    let reply = org.call(Method::GET, "queryAll/").query(&[("q", "SELECT Id, IsDeleted FROM Account ORDER BY Id")]).send().await.unwrap();
    let mut page: Value = reply.json().await.unwrap();
    assert_eq!((&page["totalSize"], &page["done"]), (&json!(25), &json!(false)));
    let mut seen = Vec::new();
    loop {
        seen.extend(page["records"].as_array().unwrap().iter().map(|row| row["Id"].as_str().unwrap().to_owned()));
        let Some(next) = page["nextRecordsUrl"].as_str() else {
            break;
        };
        assert!(next.starts_with("/services/data/v66.0/query/01g"), "{next}");
        page = org.get(next).await.1;
    }
    assert_eq!((seen, &page["done"]), (ids, &json!(true)));
    assert_eq!(page["records"].as_array().unwrap().last().unwrap()["IsDeleted"], json!(true));
    assert_eq!(org.query("SELECT COUNT() FROM Account").await, json!({"totalSize": 24, "done": true, "records": []}));
    assert_eq!(org.query("SELECT Id FROM Account WHERE Name = 'none'").await, json!({"totalSize": 0, "done": true, "records": []}));
}

#[tokio::test]
async fn locators_expire_and_the_eleventh_evicts_the_first() {
    let org = org().await;
    org.accounts(25).await;
    org.settings(json!({"page_size": 10})).await;
    let first = org.query("SELECT Id FROM Account").await["nextRecordsUrl"].as_str().unwrap().to_owned();
    assert_eq!(org.get(&first).await.0, 200);
    org.sf.wire.clock.advance(chrono::Duration::minutes(16));
    assert_eq!(code(&org.get(&first).await.1), "INVALID_QUERY_LOCATOR");
    let mut urls = Vec::new();
    for _ in 0..11 {
        urls.push(org.query("SELECT Id FROM Account").await["nextRecordsUrl"].as_str().unwrap().to_owned());
    }
    assert_eq!(code(&org.get(&urls[0]).await.1), "INVALID_QUERY_LOCATOR");
    assert_eq!(org.get(&urls[1]).await.0, 200);
}

#[tokio::test]
async fn ties_shuffle_and_pages_shrink_when_told() {
    let org = org().await;
    org.sf.wire.clock.freeze("2026-01-02T03:04:05Z".parse().unwrap());
    org.accounts(400).await;
    org.settings(json!({"shuffle_ties": true, "page_size": 100, "jitter_pages": true, "jitter_min": 5})).await;
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    let mut sizes = std::collections::BTreeSet::new();
    let mut page = org.query("SELECT Id FROM Account ORDER BY SystemModstamp").await;
    loop {
        let records = page["records"].as_array().unwrap();
        sizes.insert(records.len());
        for row in records {
            *seen.entry(row["Id"].to_string()).or_default() += 1;
        }
        let Some(next) = page["nextRecordsUrl"].as_str() else {
            break;
        };
        page = org.get(next).await.1;
    }
    assert!(seen.len() < 400 && seen.values().any(|count| *count > 1), "{} of 400", seen.len());
    assert!(sizes.len() > 2, "{sizes:?}");
    let ordered = org.query("SELECT Id FROM Account ORDER BY SystemModstamp, Id LIMIT 50").await;
    let ids: Vec<&str> = ordered["records"].as_array().unwrap().iter().map(|row| row["Id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted());
}

#[tokio::test]
async fn the_cli_gets_its_columns() {
    let org = org().await;
    let reply = org
        .call(Method::GET, "query")
        .query(&[("q", "SELECT Id, Name, Owner.Name FROM Account"), ("columns", "true")])
        .send()
        .await
        .unwrap();
    let columns: Value = reply.json().await.unwrap();
    assert_eq!((&columns["entityName"], &columns["idSelected"], &columns["groupBy"]), (&json!("Account"), &json!(true), &json!(false)));
    assert_eq!(columns["columnMetadata"][2]["joinColumns"][0]["columnName"], "Name");
}
