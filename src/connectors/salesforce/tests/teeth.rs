//! Seeded bugs of this connector, one check each: it holds, and fails when its bug is switched on.

use super::*;
use crate::seeded::{Bug, bites};

/// An org with accounts of these stamps, which answers the window of a delta as SOQL means it.
async fn org(rows: &'static [(usize, &'static str)]) -> Arc<Fake> {
    Fake::start(move |s| {
        let (_, window) = s.path.split_once("WHERE SystemModstamp >")?;
        let strict = !window.starts_with('=');
        let from = window.trim_start_matches('=').trim().get(..19)?;
        let hits: Vec<J> = rows
            .iter()
            .filter(|(_, at)| if strict { *at > from } else { *at >= from })
            .map(|(n, at)| {
                let mut hit = row(*n);
                hit["SystemModstamp"] = json!(format!("{at}.000+0000"));
                hit
            })
            .collect();
        ok(page(&hits))
    })
    .await
}

async fn shown(fake: &Fake, since: Option<&str>) -> (Vec<Record>, Result<ReadEnd, Fault>) {
    let (polled, records) = poll(&fake.connect(), &[ask("Account", since)]).await;
    (records, polled.map(|mut polled| polled.remove(0).end).and_then(|end| end))
}

#[test]
fn what_was_committed_late_is_read() {
    // The watermark is 11:50, ten minutes are read again.
    bites(Bug::NoOverlap, || async { shown(&*org(&[(1, "2026-01-02T11:45:00")]).await, SINCE).await.0.len() == 1 });
}

#[test]
fn what_was_changed_in_the_first_second_of_a_window_is_read() {
    bites(Bug::StrictWindow, || async { shown(&*org(&[(1, "2026-01-02T11:40:00")]).await, SINCE).await.0.len() == 1 });
}

#[test]
fn a_lost_cursor_skips_no_row_of_the_last_second() {
    bites(Bug::SecondSkipped, || async {
        let fake = Fake::start(|s| {
            let lost = json!([{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid query locator"}]).to_string();
            let first =
                json!({"totalSize": 3, "done": false, "nextRecordsUrl": "/services/data/v66.0/query/next", "records": [row(1), row(2)]});
            if s.path.contains("/query/next") {
                Some(Reply(400, vec![], lost))
            } else if s.path.contains(&format!("AND Id > '{}'", id(2))) {
                ok(page(&[row(3)]))
            } else if s.path.contains("SystemModstamp > ") {
                ok(page(&[]))
            } else {
                s.path.contains("FROM Account").then(|| ok(first)).flatten()
            }
        })
        .await;
        shown(&fake, SINCE).await.0.len() == 3
    });
}

#[test]
fn the_last_page_counts() {
    bites(Bug::LastPageDropped, || async {
        let fake = Fake::start(|s| {
            let first = json!({"totalSize": 2, "done": false, "nextRecordsUrl": "/services/data/v66.0/query/next", "records": [row(1)]});
            let last = json!({"totalSize": 2, "done": true, "records": [row(2)]});
            if s.path.contains("/query/next") { ok(last) } else { s.path.contains("FROM Account").then(|| ok(first)).flatten() }
        })
        .await;
        shown(&fake, SINCE).await.0.len() == 2
    });
}

#[test]
fn an_end_with_rows_missing_is_none() {
    bites(Bug::ShortIsWhole, || async {
        let early = json!({"totalSize": 5, "done": true, "records": [row(1), row(2)]});
        let fake = Fake::start(move |s| s.path.contains("FROM Account").then(|| ok(early.clone())).flatten()).await;
        shown(&fake, None).await.1.is_err()
    });
}

#[test]
fn a_watermark_is_the_time_of_the_org() {
    bites(Bug::OwnClock, || async {
        let end = shown(&*org(&[]).await, SINCE).await.1;
        end.is_ok_and(|end| end.watermark.as_deref() == Some("2026-01-02T12:00:00Z"))
    });
}

#[test]
fn what_lies_in_the_bin_is_read_too() {
    bites(Bug::BinUnread, || async {
        let fake = Fake::start(|s| {
            let mut deleted = row(2);
            deleted["IsDeleted"] = json!(true);
            match (s.path.contains("FROM Account"), s.path.contains("/queryAll")) {
                (true, true) => ok(page(&[row(1), deleted])),
                (true, false) => ok(page(&[row(1)])),
                (false, _) => None,
            }
        })
        .await;
        shown(&fake, SINCE).await.0.iter().any(|r| r.life == Life::Deleted)
    });
}

#[test]
fn a_merged_record_names_the_one_that_lives_on() {
    bites(Bug::MasterUnread, || async {
        let fake = Fake::start(|s| {
            let mut merged = row(2);
            (merged["IsDeleted"], merged["MasterRecordId"]) = (json!(true), json!(id(1)));
            s.path.contains("FROM Account").then(|| ok(page(&[row(1), merged]))).flatten()
        })
        .await;
        shown(&fake, SINCE).await.0.iter().any(|r| r.life == Life::MergedInto(id(1).into()))
    });
}

/// An org that answers two updates with these rows.
async fn answered(rows: J) -> Vec<Outcome> {
    let fake = Fake::start(move |s| s.path.ends_with("/composite/sobjects").then(|| ok(rows.clone())).flatten()).await;
    let name = |n| update(n, &[("Name", Value::text("x"))]);
    fake.connect().apply(&[name(1), name(2)]).await
}

#[test]
fn status_200_is_no_success() {
    bites(Bug::OkIsDone, || async {
        let refused = json!({"success": false, "errors": [{"statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "no!"}]});
        let out = answered(json!([{"id": id(1), "success": true, "errors": []}, refused])).await;
        matches!(out[1], Outcome::Rejected { .. })
    });
}

#[test]
fn a_row_without_an_answer_is_not_done() {
    bites(Bug::SilentIsDone, || async {
        let out = answered(json!([{"id": id(1), "success": true, "errors": []}])).await;
        matches!(out[1], Outcome::Unknown { .. })
    });
}

#[test]
fn a_write_whose_answer_is_lost_is_neither_undone_nor_sent_again() {
    bites(Bug::LostIsUndone, || async {
        let lost = Mutex::new(Some(Reply(502, vec![], "<html>".into())));
        let fake = Fake::start(move |s| if s.raw.contains("composite/sobjects") { lost.lock().unwrap().take() } else { None }).await;
        let out = fake.connect().apply(&[create("acme-7")]).await;
        let sent = fake.seen("/composite").iter().filter(|s| s.raw.contains("composite/sobjects")).count();
        matches!(out[0], Outcome::Unknown { .. }) && sent == 1
    });
}

#[test]
fn the_last_calls_of_the_day_are_left_to_the_others() {
    bites(Bug::ReserveSpent, || async {
        let fake = Fake::start(|s| {
            let usage = vec![("sforce-limit-info", "api-usage=81/100".to_owned())];
            s.path.contains("/describe").then(|| Reply(200, usage, describe().to_string()))
        })
        .await;
        let salesforce = fake.connect();
        salesforce.schema(&["Account".into()]).await.unwrap();
        poll(&salesforce, &[ask("Account", SINCE)]).await.0.is_err_and(|fault| fault.kind == FaultKind::Budget)
    });
}
