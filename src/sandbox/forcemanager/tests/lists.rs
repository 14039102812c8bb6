//! Facts of the reference, section 3: pages, order, filter, the three dates, deleted rows.

use super::*;

async fn some(sim: &Sim, rows: usize) -> Vec<i64> {
    let mut made = Vec::new();
    for number in 0..rows {
        made.push(sim.account(&format!("Company {number:03}")).await);
    }
    made
}

/// Page sizes up to and with the empty page, and the ids in the order they came.
async fn walk(sim: &Sim, path: &str, count: &str) -> (Vec<usize>, Vec<i64>) {
    let (mut sizes, mut seen) = (Vec::new(), Vec::new());
    let sign = if path.contains('?') { '&' } else { '?' };
    for page in 0..50 {
        let rows = sim.get_with(&format!("{path}{sign}page={page}"), &[("Count", count)]).await;
        let rows = ids(rows.as_array().unwrap());
        sizes.push(rows.len());
        if rows.is_empty() {
            return (sizes, seen);
        }
        seen.extend(rows);
    }
    panic!("no empty page: {sizes:?}")
}

#[tokio::test]
async fn pages_start_at_0_hold_50_and_end_with_an_empty_one() {
    let sim = Sim::start().await;
    let made = some(&sim, 105).await;
    let first = sim.get("/accounts").await;
    assert_eq!((first.as_array().unwrap().len(), sim.get("/accounts?page=0").await), (50, first.clone()));
    assert_eq!(sim.get("/accounts?page=2").await.as_array().unwrap().len(), 5);
    assert_eq!(sim.get("/accounts?page=3").await, json!([]));
    let (sizes, seen) = walk(&sim, "/accounts", "100").await;
    assert_eq!((sizes, seen), (vec![100, 5, 0], made));
    for page in ["-1", "x", ""] {
        assert_eq!(sim.call("GET", &format!("/accounts?page={page}"), Value::Null).await.status, 400, "{page}");
    }
}

#[tokio::test]
async fn which_header_asks_for_a_page_size_and_how_much_it_gets_are_switches() {
    let sim = Sim::start().await;
    some(&sim, 12).await;
    for (switch, by_count, by_entity_count) in [("Count", 4, 12), ("X-FM-Entity-Count", 12, 4), ("both", 4, 4), ("none", 12, 12)] {
        sim.switch(json!({ "page_size_header": switch })).await;
        let rows = async |header| sim.get_with("/accounts", &[(header, "4")]).await.as_array().unwrap().len();
        assert_eq!((rows("Count").await, rows("X-FM-Entity-Count").await), (by_count, by_entity_count), "{switch}");
    }
    sim.switch(json!({"page_size_header": "Count", "page_max": 5})).await;
    assert_eq!(sim.get_with("/accounts", &[("Count", "1000")]).await.as_array().unwrap().len(), 5);
    let got = sim.raw("GET", "/api/v4/accounts", &[("X-Session-Key", &sim.token), ("Count", "many")], Value::Null).await;
    assert_eq!(got.status, 400);
}

#[tokio::test]
async fn a_short_page_is_not_the_end() {
    let sim = Sim::with(json!({"short_pages": true})).await;
    let made = some(&sim, 11).await;
    let (sizes, seen) = walk(&sim, "/accounts", "4").await;
    assert_eq!((sizes, seen), (vec![4, 2, 4, 1, 0], made));
}

#[tokio::test]
async fn a_page_parameter_that_is_ignored_repeats_the_first_page() {
    let sim = Sim::with(json!({"page_ignored": true})).await;
    some(&sim, 3).await;
    assert_eq!(sim.get("/accounts?page=0").await, sim.get("/accounts?page=7").await);
}

#[tokio::test]
async fn an_order_is_descending() {
    let sim = Sim::start().await;
    let made = some(&sim, 4).await;
    let newest_first: Vec<i64> = made.iter().rev().copied().collect();
    assert_eq!(walk(&sim, "/accounts?order=id", "2").await.1, newest_first);
    assert_eq!(walk(&sim, "/accounts?order=name", "2").await.1, newest_first);
    sim.pass(60).await;
    sim.put(&format!("/accounts/{}", made[1]), json!({"city": "Bern"})).await;
    assert_eq!(walk(&sim, "/accounts?order=dateUpdated", "3").await.1, [made[1], made[3], made[2], made[0]]);
    let refused = sim.call("GET", "/accounts?order=nothing", Value::Null).await;
    assert_eq!(refused.json()["code"], 901);
    sim.switch(json!({"order_ignored": true})).await;
    assert_eq!(walk(&sim, "/accounts?order=id", "3").await.1, made);
    for (order, expected) in [("-id", Some(&newest_first)), ("shuffled", None)] {
        sim.switch(json!({ "list_order": order })).await;
        let mut seen = ids(sim.get("/accounts").await.as_array().unwrap());
        if let Some(expected) = expected {
            assert_eq!(&seen, expected);
        }
        seen.sort_unstable();
        assert_eq!(seen, made, "{order}");
    }
}

#[tokio::test]
async fn rows_made_while_reading_push_old_ones_backwards() {
    let sim = Sim::start().await;
    let made = some(&sim, 4).await;
    let first = ids(sim.get_with("/accounts?order=id&page=0", &[("Count", "2")]).await.as_array().unwrap());
    sim.account("In between").await;
    let second = ids(sim.get_with("/accounts?order=id&page=1", &[("Count", "2")]).await.as_array().unwrap());
    assert_eq!((first, second), (vec![made[3], made[2]], vec![made[2], made[1]]));
}

#[tokio::test]
async fn filters_take_what_is_documented_and_call_the_rest_901() {
    let sim = Sim::start().await;
    let account = sim.account("O'Hara & Søn + 100 %").await;
    sim.put(&format!("/accounts/{account}"), json!({"email": "x@y.example", "extId": "001A0000012abcDQAQ"})).await;
    sim.account("Alder").await;
    for condition in [
        "name='O''Hara & Søn + 100 %'",
        "email='x@y.example'",
        "extId='001A0000012abcDQAQ'",
        "name LIKE '%hara%' AND email='x@y.example'",
        "name NOT LIKE 'A%'",
        "name='nobody' OR extId='001A0000012abcDQAQ'",
    ] {
        assert_eq!(ids(&sim.find("accounts", condition).await), [account], "{condition}");
    }
    for condition in [
        "name='O'Hara'",
        "name='x'; DROP",
        "name='a;b'",
        "name='a\nb'",
        "nothing=1",
        "(id=1)",
        "id>=1",
        "id<1",
        "id IN (1)",
        "email IS NULL",
        "",
    ] {
        let got = sim.refused("accounts", condition).await;
        assert_eq!((got.status, got.json()["code"].clone()), (400, json!(901)), "{condition}");
    }
    sim.switch(json!({"where_extended": true})).await;
    for condition in ["(id>=1 AND email IS NOT NULL)", "extId IN ('x','001A0000012abcDQAQ')"] {
        assert_eq!(ids(&sim.find("accounts", condition).await), [account], "{condition}");
    }
    // A link value is found without case, unless told: 15 characters that differ only in case are one.
    assert_eq!(sim.find("accounts", "extId='001a0000012ABCdqaq'").await.len(), 1);
    sim.switch(json!({"where_ignores_case": false})).await;
    assert_eq!(sim.find("accounts", "extId='001a0000012ABCdqaq'").await.len(), 0);
}

#[tokio::test]
async fn references_are_filtered_by_their_ids() {
    let sim = Sim::start().await;
    let (one, other) = (sim.account("Alder").await, sim.account("Birch").await);
    let contact = sim.post("/contacts", sim.contact_body(other)).await;
    sim.post("/contacts", sim.contact_body(one)).await;
    assert_eq!(ids(&sim.find("contacts", &format!("accountId={other}")).await), [contact]);
    assert_eq!(sim.refused("contacts", "accountId='Birch'").await.json()["code"], 901);
}

#[tokio::test]
async fn a_filter_by_the_three_dates_finds_created_updated_and_deleted_rows_apart() {
    let sim = Sim::start().await;
    let (old, changed, gone) = (sim.account("Old").await, sim.account("Changed").await, sim.account("Gone").await);
    sim.pass(3_000).await;
    let t = "2026-01-05 07:00:00";
    let new = sim.account("New").await;
    sim.put(&format!("/accounts/{changed}"), json!({"city": "Bern"})).await;
    sim.call("DELETE", &format!("/accounts/{gone}"), Value::Null).await;
    for (date, found) in [("dateCreated", new), ("dateUpdated", changed), ("dateDeleted", gone)] {
        assert_eq!(ids(&sim.find("accounts", &format!("{date} > '{t}'")).await), [found], "{date}");
    }
    // A new record has no date of update, so that filter alone loses it; a deletion moves no date of update.
    assert_eq!(sim.get(&format!("/accounts/{new}")).await["dateUpdated"], Value::Null);
    assert_eq!(sim.get(&format!("/accounts/{old}")).await["dateUpdated"], Value::Null);
    sim.switch(json!({"sentinel_dates": "all"})).await;
    assert_eq!(ids(&sim.find("accounts", &format!("dateDeleted > '{t}'")).await), [gone]);
}

#[tokio::test]
async fn the_form_of_dates_in_a_filter_is_a_switch() {
    let sim = Sim::start().await;
    sim.account("Alder").await;
    for (form, space, iso) in [("space", 200, 400), ("iso", 400, 200), ("any", 200, 200), ("none", 400, 400)] {
        sim.switch(json!({ "where_dates": form })).await;
        let status = async |at: &str| sim.refused("accounts", &format!("dateCreated > '{at}'")).await.status;
        assert_eq!((status("2020-01-01 00:00:00").await, status("2020-01-01T00:00:00").await), (space, iso), "{form}");
    }
}

#[tokio::test]
async fn instants_in_a_filter_may_be_taken_for_local_ones() {
    let sim = Sim::start().await;
    sim.account("Alder").await;
    // Made at 06:31:19 UTC.
    for (ahead, found) in [(0, 0), (60, 1), (-60, 0)] {
        sim.switch(json!({ "where_ahead_minutes": ahead })).await;
        assert_eq!(sim.find("accounts", "dateCreated > '2026-01-05 07:00:00'").await.len(), found, "{ahead}");
    }
    assert_eq!(sim.find("accounts", "dateCreated > '2026-01-05 06:00:00'").await.len(), 0, "an hour is lost");
}

#[tokio::test]
async fn a_filter_that_is_ignored_gives_everything() {
    let sim = Sim::start().await;
    some(&sim, 3).await;
    let never = "dateCreated > '2030-01-01 00:00:00'";
    assert_eq!(sim.find("accounts", never).await.len(), 0);
    sim.switch(json!({"where_ignored": ["datecreated"]})).await;
    assert_eq!(sim.find("accounts", never).await.len(), 3);
    assert_eq!(sim.find("accounts", "dateUpdated > '2030-01-01 00:00:00'").await.len(), 0);
    sim.switch(json!({"where_ignored": ["*"]})).await;
    assert_eq!(sim.find("accounts", "complete nonsense").await.len(), 3);
}

#[tokio::test]
async fn lists_contain_deleted_rows_for_as_long_as_they_are_kept() {
    let sim = Sim::with(json!({"deleted_kept_seconds": 600})).await;
    let made = some(&sim, 2).await;
    sim.call("DELETE", &format!("/accounts/{}", made[0]), Value::Null).await;
    let rows = sim.get("/accounts").await;
    assert_eq!((rows[0]["deleted"].clone(), rows[1]["deleted"].clone()), (json!(true), json!(false)));
    sim.switch(json!({"deleted_in_lists": false})).await;
    assert_eq!(ids(sim.get("/accounts").await.as_array().unwrap()), [made[1]]);
    sim.switch(json!({"deleted_in_lists": true})).await;
    sim.pass(600).await;
    assert_eq!(ids(sim.get("/accounts").await.as_array().unwrap()), [made[1]]);
    assert_eq!(sim.call("GET", &format!("/accounts/{}", made[0]), Value::Null).await.status, 400);
}
