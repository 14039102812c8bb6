//! Reading whole resources: sweeps, and what changed since a stamp where the vendor has one.
//!
//! Source: docs.licensespring.com, "List Licenses", "List Orders". A watermark is an RFC 3339 instant of the server: the
//! newest `updated_at` read from a list, never later than the server's clock when the reading began, so that a row which
//! changes behind the reading is still read next time.

use super::LicenseSpring;
use super::catalogue::{CATALOGUE, LICENSE, ORDER, list_path};
use super::list::{ListPage, PAGE, Row, Sweep, row_id};
use super::row::stamp;
use super::wire::Trouble;
use crate::connectors::http::Counted;
use crate::connectors::{Ask, Fault, FaultKind, Page, Polled, ReadEnd, ResourceSpec};
use crate::seeded::seeded;
use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::future::join_all;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// Stored stamps are rounded and may become visible late; what lies this close before the watermark is read again.
const OVERLAP_S: i64 = 120;

/// Where the pages of one ask go.
struct Out<'a> {
    ask: &'a Ask,
    resource: &'static ResourceSpec,
    path: &'static str,
    pages: mpsc::Sender<Page>,
    sent: &'a AtomicBool,
}

impl LicenseSpring {
    pub(super) async fn read_all(&self, asks: &[Ask], pages: mpsc::Sender<Page>) -> Result<Vec<Polled>, Fault> {
        let sent = AtomicBool::new(false);
        let polled = join_all(asks.iter().map(|ask| {
            let pages = pages.clone();
            let sent = &sent;
            async move { Polled { object: ask.object.clone(), end: self.read_ask(ask, pages, sent).await } }
        }))
        .await;
        let failed = polled.iter().filter_map(|p| p.end.as_ref().err()).filter(|f| f.kind != FaultKind::Setup).count();
        match polled.iter().find_map(|p| p.end.as_ref().err()) {
            Some(fault) if failed == polled.len() && !sent.load(Ordering::Relaxed) => Err(fault.clone()),
            _ => Ok(polled),
        }
    }

    async fn read_ask(&self, ask: &Ask, pages: mpsc::Sender<Page>, sent: &AtomicBool) -> Result<ReadEnd, Fault> {
        let resource = CATALOGUE.resource(&ask.resource);
        let (Some(resource), Some(path)) = (resource, list_path(&ask.resource)) else {
            return Err(Fault::new(FaultKind::Setup, "no-such-resource", format!("LicenseSpring has no resource {:?}", ask.resource)));
        };
        let out = Out { ask, resource, path, pages, sent };
        let since = ask.since.as_deref().filter(|_| !ask.sweep).and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        let end = match (resource.name, since.map(|t| t.timestamp())) {
            (LICENSE, Some(since)) => self.licenses_since(&out, since).await,
            (ORDER, Some(since)) => self.orders_since(&out, since).await,
            _ => self.sweep(&out).await,
        };
        end.map_err(|trouble| trouble.into_fault(&format!("the list of {}s", resource.name)))
    }

    async fn sweep(&self, out: &Out<'_>) -> Result<ReadEnd, Trouble> {
        let mut sweep = Sweep::new(&self.wire, out.path, Vec::new());
        let mut newest = None;
        while let Some(page) = sweep.page().await? {
            newest = newest.max(page.rows.iter().filter_map(stamp_s).max());
            self.send(out, &page.rows).await?;
        }
        if !sweep.complete {
            tracing::warn!(object = %out.ask.object, "the list moved while it was read twice: nothing counts as gone from it");
        }
        let known = out.ask.since.as_deref().and_then(|t| DateTime::parse_from_rfc3339(t).ok()).map(|t| t.timestamp());
        // What was skipped may be older than what was seen: then the watermark stays where it was.
        let newest = if sweep.complete { not_after(newest, sweep.begun).max(known) } else { known };
        let watermark = newest.filter(|_| out.resource.stamped).map(iso);
        Ok(ReadEnd { watermark, complete: sweep.complete })
    }

    /// Ascending by stamp, starting again from the last stamp seen instead of by offset: rows that change meanwhile move
    /// to the end, where they are met again.
    async fn licenses_since(&self, out: &Out<'_>, since: i64) -> Result<ReadEnd, Trouble> {
        let overlap_s = if seeded!(StampsTrusted) { 0 } else { OVERLAP_S };
        let (mut from, mut newest, mut begun) = (since - overlap_s, since, None);
        loop {
            let query = [("updated_at__gte", iso(from)), ("order_by", "updated_at".to_owned())];
            let page = self.wire.page(Counted::Data, out.path, &query, 0, PAGE).await?;
            begun = begun.or(page.date);
            let Some(stamps) = all_within(&page, from, i64::MAX) else {
                tracing::warn!("LicenseSpring ignores updated_at__gte: all licenses are read instead");
                return self.sweep(out).await;
            };
            self.send(out, &page.rows).await?;
            newest = newest.max(stamps.iter().copied().max().unwrap_or(newest));
            if !page.goes_on(0) {
                return Ok(ReadEnd { watermark: not_after(Some(newest), begun).max(Some(since)).map(iso), complete: false });
            }
            if !stamps.is_sorted() || !self.orders_by_stamp(out.path).await? {
                return self.window(out, from, None, since).await;
            }
            let last = stamps.last().copied().unwrap_or(from);
            if stamps.first() != Some(&last) {
                from = if seeded!(PageEndsASecond) { last + 1 } else { last };
                continue;
            }
            // A whole page on one second: that second alone is read by offset, twice if it moves, then left behind.
            let second = self.window(out, last, Some(last + 1), since).await?;
            if !second.complete {
                return Ok(ReadEnd { watermark: Some(iso(last.max(since))), complete: false });
            }
            from = last + 1;
        }
    }

    /// All licenses that changed in `[from, to)`, in whatever order they come. `complete` speaks of the window alone.
    async fn window(&self, out: &Out<'_>, from: i64, to: Option<i64>, since: i64) -> Result<ReadEnd, Trouble> {
        let mut query = vec![("updated_at__gte", iso(from))];
        query.extend(to.map(|to| ("updated_at__lt", iso(to))));
        let mut sweep = Sweep::new(&self.wire, out.path, query);
        let mut newest = since;
        while let Some(page) = sweep.page().await? {
            let Some(stamps) = all_within(&page, from, to.unwrap_or(i64::MAX)) else {
                return self.sweep(out).await;
            };
            newest = newest.max(stamps.into_iter().max().unwrap_or(newest));
            self.send(out, &page.rows).await?;
        }
        let newest = if sweep.complete { newest } else { since };
        Ok(ReadEnd { watermark: not_after(Some(newest), sweep.begun).max(Some(since)).map(iso), complete: sweep.complete && to.is_some() })
    }

    /// Newest first until what is old enough. Each page overlaps the one before by a row: if that row is not met again the
    /// list moved, and everything is read.
    async fn orders_since(&self, out: &Out<'_>, since: i64) -> Result<ReadEnd, Trouble> {
        let query = [("order_by", "-updated_at".to_owned())];
        let (mut offset, mut newest, mut begun, mut met) = (0, since, None, None);
        loop {
            let page = self.wire.page(Counted::Data, out.path, &query, offset, PAGE).await?;
            begun = begun.or(page.date);
            if met.is_some_and(|id| !page.rows.iter().any(|row| row_id(row) == Some(id))) {
                return self.sweep(out).await;
            }
            self.send(out, &page.rows).await?;
            let stamps: Vec<i64> = page.rows.iter().filter_map(stamp_s).collect();
            newest = newest.max(stamps.iter().copied().max().unwrap_or(newest));
            let whole = !page.goes_on(offset);
            let falling = stamps.len() == page.len && stamps.is_sorted_by(|a, b| a >= b);
            if !whole && (!falling || !self.orders_by_stamp(out.path).await?) {
                return self.sweep(out).await;
            }
            if whole || stamps.last().is_some_and(|oldest| *oldest < since - OVERLAP_S) {
                return Ok(ReadEnd { watermark: not_after(Some(newest), begun).max(Some(since)).map(iso), complete: false });
            }
            met = page.rows.last().and_then(row_id);
            offset += (page.len - 1).max(1);
        }
    }

    /// Whether this list can be ordered by `updated_at`, asked once: the vendor does not say. Shown only if both
    /// directions come out right and begin differently.
    async fn orders_by_stamp(&self, path: &'static str) -> Result<bool, Trouble> {
        let mut known = self.ordered.lock().await;
        if let Some(works) = known.get(path) {
            return Ok(*works);
        }
        let mut ends = Vec::new();
        for by in ["updated_at", "-updated_at"] {
            let page = self.wire.page(Counted::Other, path, &[("order_by", by.to_owned())], 0, 3).await?;
            ends.push(page.rows.iter().filter_map(stamp_s).collect::<Vec<_>>());
        }
        let works = ends[0].is_sorted() && ends[1].is_sorted_by(|a, b| a >= b) && ends[0].first() < ends[1].first();
        known.insert(path, works);
        Ok(works)
    }

    async fn send(&self, out: &Out<'_>, rows: &[Row]) -> Result<(), Trouble> {
        let records = self.records(out.resource, rows, &out.ask.fields).await?;
        if records.is_empty() {
            return Ok(());
        }
        out.sent.store(true, Ordering::Relaxed);
        let gone = |_| Trouble::Fault(Fault::new(FaultKind::Retry, "cancelled", "the reader of the pages went away"));
        out.pages.send(Page { object: out.ask.object.clone(), records }).await.map_err(gone)
    }
}

/// The rows' stamps if every row has one in `[from, to)`; a filter that lets others through is none.
fn all_within(page: &ListPage, from: i64, to: i64) -> Option<Vec<i64>> {
    let stamps: Vec<i64> = page.rows.iter().filter_map(stamp_floor_s).filter(|s| (from..to).contains(s)).collect();
    (stamps.len() == page.len).then_some(stamps)
}

fn stamp_s(row: &Row) -> Option<i64> {
    stamp(row).map(|at| at.timestamp())
}

/// The second a stamp lies in: what the server compares is not rounded.
fn stamp_floor_s(row: &Row) -> Option<i64> {
    DateTime::parse_from_rfc3339(row.get("updated_at")?.as_str()?).ok().map(|at| at.timestamp())
}

fn not_after(newest: Option<i64>, begun: Option<DateTime<Utc>>) -> Option<i64> {
    match (newest, begun) {
        (Some(newest), Some(begun)) if !seeded!(WatermarkAhead) => Some(newest.min(begun.timestamp())),
        (newest, _) => newest,
    }
}

fn iso(at_s: i64) -> String {
    DateTime::from_timestamp(at_s, 0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}
