//! Seeded bugs of this connector, one check each: it holds, and fails when its bug is switched on.

use super::*;
use crate::seeded::{Bug, bites};

const SINCE: Option<&str> = Some("2026-02-04T00:00:00Z");

#[test]
fn what_became_visible_late_is_read() {
    bites(Bug::StampsTrusted, || async {
        let rows = [license(2, "2026-02-04T00:00:00Z"), license(3, "2026-02-03T23:58:00Z")];
        let fake = Fake::start(world().with("licenses", rows)).await;
        ids(&read(&fake, LICENSE, &["enabled"], SINCE).await.0) == [2, 3].into()
    });
}

#[test]
fn a_page_that_ends_within_a_second_loses_none_of_it() {
    bites(Bug::PageEndsASecond, || async {
        // Three to a second; a page holds a hundred.
        let rows = (1..=150).map(|id| license(id, &format!("2026-02-04T00:{:02}:{:02}Z", id / 3 / 60, id / 3 % 60)));
        let fake = Fake::start(world().with("licenses", rows)).await;
        ids(&read(&fake, LICENSE, &["enabled"], SINCE).await.0) == (1..=150).collect()
    });
}

#[test]
fn a_next_that_is_null_too_early_ends_nothing() {
    bites(Bug::NullNextEnds, || async {
        let first = r#"{"count":2,"next":null,"results":[{"id":1,"enabled":true,"updated_at":"2026-02-04T00:01:00Z","metadata":{}}]}"#;
        let rows = [license(1, "2026-02-04T00:01:00Z"), license(2, "2026-02-04T00:02:00Z")];
        let fake = Fake::start(world().with("licenses", rows).trick("updated_at__gte", Trick::Answer(200, first))).await;
        ids(&read(&fake, LICENSE, &["enabled"], SINCE).await.0) == [1, 2].into()
    });
}

#[test]
fn a_watermark_does_not_run_ahead_of_its_reading() {
    bites(Bug::WatermarkAhead, || async {
        let rows = [license(1, "2026-02-04T00:00:00Z"), license(2, "2999-01-01T00:00:00Z")];
        let fake = Fake::start(world().with("licenses", rows)).await;
        read(&fake, LICENSE, &[], SINCE).await.1.watermark.unwrap().as_str() < "2999"
    });
}

#[test]
fn a_list_that_moved_is_not_whole() {
    bites(Bug::MovedIsWhole, || async {
        let empty = r#"{"count":431,"next":null,"results":[]}"#;
        let mut world = world().with("customers", customers(1));
        for _ in 0..10 {
            world = world.trick("customers/?limit=100&offset=", Trick::Answer(200, empty));
        }
        let fake = Fake::start(world).await;
        !read(&fake, CUSTOMER, &["first_name"], None).await.1.complete
    });
}

#[test]
fn a_404_of_a_proxy_proves_nothing() {
    bites(Bug::ProxyIsBelieved, || async {
        let fake =
            Fake::start(world().with("customers", customers(1)).trick("/customers/1/", Trick::Answer(404, "<html>not here</html>"))).await;
        let found = fake.connector.get_many(CUSTOMER, &[], &["1".into()]).await;
        !found.is_ok_and(|found| matches!(found[0], Fetched::Missing(_)))
    });
}

#[test]
fn a_create_looks_for_its_key_first() {
    bites(Bug::CreateUnlooked, || async {
        let fake = Fake::start(world()).await;
        one(&fake, contact(SF, "Mina")).await;
        one(&fake, contact(SF, "Mina")).await;
        fake.rows("customers").len() == 1
    });
}

#[test]
fn a_create_whose_answer_is_lost_is_not_sent_again() {
    bites(Bug::CreateTwice, || async {
        let fake = Fake::start(world().trick("POST", Trick::LoseAnswer)).await;
        one(&fake, contact(SF, "Mina")).await;
        fake.rows("customers").len() == 1
    });
}

#[test]
fn what_others_keep_in_metadata_stays() {
    bites(Bug::MetadataReplaced, || async {
        let fake = Fake::start(world().with("customers", [json!({"id": 1, "metadata": {"shop": {"id": 9}, "title": "old"}})])).await;
        one(&fake, write(CUSTOMER, Verb::Update, Some(1), &[("metadata.title", Value::text("new"))])).await;
        fake.rows("customers")[0]["metadata"] == json!({"shop": {"id": 9}, "title": "new"})
    });
}
