//! Reading whole resources: everything, or what was created, changed or deleted since.
//!
//! Source: developer.forcemanager.com, "Filtering". A record has no date of change before its first change, and a deletion has
//! a date of its own: three questions, each with one documented operator, merged by id. In which form a date is understood is
//! not published: it is tried with a record whose date is known, and what the service lets through is looked at row by row. Where
//! no form works, everything is read. A watermark is the server's clock when a reading began.

use super::ForceManager;
use super::catalogue::{ACTIVITY, CATALOGUE, USER, path};
use super::dates;
use super::filter::after;
use super::list::{Row, Walk, row_id};
use super::row::{date, is_of};
use super::what;
use super::wire::Trouble;
use crate::connectors::http::Counted;
use crate::connectors::{Ask, Fault, FaultKind, Page, Polled, ReadEnd, ResourceSpec};
use chrono::{DateTime, Duration, Utc};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// What lies so close before the watermark is read again: commits become visible late.
const OVERLAP: Duration = Duration::minutes(5);
/// The three dates by which a record shows that something happened to it.
const DATES: [&str; 3] = ["dateCreated", "dateUpdated", "dateDeleted"];

/// The form in which a filter takes a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literal {
    Blank,
    Iso,
}

impl Literal {
    const ALL: [Self; 2] = [Self::Blank, Self::Iso];

    fn of(self, at: DateTime<Utc>) -> String {
        match self {
            Self::Blank => dates::sent(at),
            Self::Iso => at.format("%Y-%m-%dT%H:%M:%S").to_string(),
        }
    }
}

/// Where the pages of one ask go.
struct Out<'a> {
    ask: &'a Ask,
    resource: &'static ResourceSpec,
    path: &'static str,
    pages: mpsc::Sender<Page>,
    sent: &'a AtomicBool,
}

impl ForceManager {
    pub(super) async fn read_all(&self, asks: &[Ask], pages: mpsc::Sender<Page>) -> Result<Vec<Polled>, Fault> {
        let sent = AtomicBool::new(false);
        let mut polled = Vec::with_capacity(asks.len());
        for ask in asks {
            polled.push(Polled { object: ask.object.clone(), end: self.read_ask(ask, pages.clone(), &sent).await });
        }
        let failed = polled.iter().filter_map(|p| p.end.as_ref().err()).filter(|f| f.kind != FaultKind::Setup).count();
        match polled.iter().find_map(|p| p.end.as_ref().err()) {
            Some(fault) if failed == polled.len() && !sent.load(Ordering::Relaxed) => Err(fault.clone()),
            _ => Ok(polled),
        }
    }

    async fn read_ask(&self, ask: &Ask, pages: mpsc::Sender<Page>, sent: &AtomicBool) -> Result<ReadEnd, Fault> {
        let resource = CATALOGUE.resource(&ask.resource);
        let (Some(resource), Some(path)) = (resource, path(&ask.resource)) else {
            return Err(Fault::new(FaultKind::Setup, "no-such-resource", format!("ForceManager has no resource {:?}", ask.resource)));
        };
        if resource.name == ACTIVITY && self.shifted.load(Ordering::Relaxed) {
            return Err(time_shift());
        }
        let out = Out { ask, resource, path, pages, sent };
        let since = ask.since.as_deref().filter(|_| !ask.sweep).and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        let read = async {
            if let Some(since) = since
                && let Some(end) = self.changed(&out, since.to_utc()).await?
            {
                return Ok(end);
            }
            self.everything(&out).await
        };
        read.await.map_err(|t: Trouble| t.into_fault(&what(resource)))
    }

    async fn everything(&self, out: &Out<'_>) -> Result<ReadEnd, Trouble> {
        let mut walk = Walk::new(&self.wire, Counted::Data, out.path, None);
        while let Some(rows) = walk.page().await? {
            self.send(out, rows).await?;
        }
        if out.resource.name == USER
            && walk.complete
            && let Some((id, salesforce)) = self.users.iter().find(|(id, _)| !walk.has(**id))
        {
            let text = format!("ForceManager has no user {id}, whom the rules link to {salesforce}");
            return Err(Trouble::Fault(Fault::new(FaultKind::Setup, "no-such-user", text)));
        }
        Ok(ReadEnd { watermark: walk.begun.map(dates::iso), complete: walk.complete })
    }

    /// `None`: no filter by date works here.
    async fn changed(&self, out: &Out<'_>, since: DateTime<Utc>) -> Result<Option<ReadEnd>, Trouble> {
        let Some(literal) = self.literal(out.path).await? else { return Ok(None) };
        let from = since - OVERLAP;
        let mut begun = None;
        for name in DATES {
            let filter = after(name, &literal.of(from))?;
            let mut walk = Walk::new(&self.wire, Counted::Data, out.path, Some(filter));
            loop {
                let rows = match walk.page().await {
                    Ok(Some(rows)) => rows,
                    Ok(None) => break,
                    // The filter is what is refused: the list itself could be read a moment ago.
                    Err(Trouble::Refused(_)) => return self.distrust(out.path).await,
                    Err(trouble) => return Err(trouble),
                };
                if !rows.iter().all(|row| later(row, name, from)) {
                    return self.distrust(out.path).await;
                }
                self.send(out, rows).await?;
            }
            begun = begun.or(walk.begun);
        }
        let watermark = begun.map_or(since, |at| at.max(since));
        Ok(Some(ReadEnd { watermark: Some(dates::iso(watermark)), complete: false }))
    }

    async fn distrust(&self, path: &'static str) -> Result<Option<ReadEnd>, Trouble> {
        tracing::warn!(path, "ForceManager does not filter by date as documented: everything is read instead");
        self.since.lock().await.insert(path, None);
        Ok(None)
    }

    /// The form of a date that this list understands, tried once with the newest record: a filter that begins a second
    /// before it must show it, and nothing older.
    async fn literal(&self, path: &'static str) -> Result<Option<Literal>, Trouble> {
        let mut known = self.since.lock().await;
        if let Some(literal) = known.get(path) {
            return Ok(*literal);
        }
        let newest = Walk::new(&self.wire, Counted::Other, path, None).page().await?.unwrap_or_default();
        let newest = newest.iter().filter_map(|row| Some((date(row, "dateCreated")?, row_id(row)?))).max();
        // Nothing to try it with: not known yet.
        let Some((at, id)) = newest else { return Ok(None) };
        let from = at - Duration::seconds(1);
        for literal in Literal::ALL {
            let filter = after("dateCreated", &literal.of(from))?;
            match Walk::new(&self.wire, Counted::Other, path, Some(filter)).page().await {
                Ok(rows) => {
                    let rows = rows.unwrap_or_default();
                    let works = rows.iter().any(|row| row_id(row) == Some(id)) && rows.iter().all(|row| later(row, "dateCreated", from));
                    if works {
                        known.insert(path, Some(literal));
                        return Ok(Some(literal));
                    }
                }
                Err(Trouble::Refused(_)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        tracing::warn!(path, "ForceManager does not filter by date as documented: everything is read instead");
        known.insert(path, None);
        Ok(None)
    }

    async fn send(&self, out: &Out<'_>, rows: Vec<Row>) -> Result<(), Trouble> {
        let rows: Vec<Row> = rows.into_iter().filter(|row| is_of(out.resource.name, row)).collect();
        let records = self.records(out.resource, &rows, &out.ask.fields).await?;
        if records.is_empty() {
            return Ok(());
        }
        out.sent.store(true, Ordering::Relaxed);
        let gone = |_| Trouble::Fault(Fault::new(FaultKind::Retry, "cancelled", "the reader of the pages went away"));
        out.pages.send(Page { object: out.ask.object.clone(), records }).await.map_err(gone)
    }
}

/// Whether a row can have come through the filter; fractions of a second are the service's own.
fn later(row: &Row, name: &str, from: DateTime<Utc>) -> bool {
    date(row, name).is_some_and(|at| at >= from)
}

/// A written date-time was shown as another one.
pub fn time_shift() -> Fault {
    let text = "a date that was written to an activity came back shifted: in which zone ForceManager takes it is not known, so activities are \
                left alone; map its date one way, to Salesforce, and start again";
    Fault::new(FaultKind::Setup, "time-shift", text)
}
