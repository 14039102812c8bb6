//! Delta and full reading. No change is missed: the window begins before the watermark, ends are never guessed, a lost
//! cursor is taken up after the last row seen, and the new watermark is the server's time before the first question.
//!
//! A delta has no upper bound: what was changed since `safe_end` may come along, and comes again next time.

use super::lookup::Paging;
use super::orders::{self, Grouping};
use super::rows::{self, Row, Shape};
use super::wire::{PARTS_MAX, Query};
use super::{Salesforce, describe::Described, soql};
use crate::connectors::http::Counted;
use crate::connectors::{Ask, Fault, FaultKind, Page, Polled, ReadEnd};
use crate::record::{Record, RecordId};
use crate::seeded::seeded;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeSet;
use tokio::sync::mpsc;

/// A window is not halved below this.
const WINDOW_MIN_S: i64 = 60;
/// When a full read takes the org too long at once: so many rows by key, then fewer.
const LIMITS: [u32; 3] = [50_000, 10_000, 2_000];
/// Restarts without a new row in between.
const RESTARTS: u32 = 3;

impl Salesforce {
    pub(super) async fn read(&self, asks: &[Ask], pages: &mpsc::Sender<Page>) -> Result<Vec<Polled>, Fault> {
        // Two things at once: permissions as they are now, and the server's time as it is now. The token's own reply tells
        // the time where nothing else is asked.
        self.wire.session().await?;
        self.describes.fresh(&self.wire, &described_by(asks)).await?;
        let safe_end = self.wire.clock.newest()?;
        let safe_end = if seeded!(OwnClock) { Utc::now() } else { safe_end };
        let mut ends: Vec<Option<Result<ReadEnd, Fault>>> = asks.iter().map(|_| None).collect();
        let mut walks = Vec::new();
        for (i, ask) in asks.iter().enumerate() {
            match self.walk_for(ask, safe_end).await {
                Ok(walk) => walks.push((i, walk)),
                Err(fault) => ends[i] = Some(Err(fault)),
            }
        }
        let mut heard = false;
        while !walks.is_empty() {
            let batch: Vec<(usize, Walk<'_>)> = walks.drain(..walks.len().min(PARTS_MAX)).collect();
            let queries: Vec<Query> = batch.iter().map(|(_, walk)| walk.query()).collect();
            let answers = match self.wire.queries(&queries, Counted::Data).await {
                Ok(answers) => answers,
                Err(fault) if !heard => return Err(fault),
                Err(fault) => vec![Err(fault); batch.len()],
            };
            heard = true;
            for ((i, walk), first) in batch.into_iter().zip(answers) {
                ends[i] = Some(self.walk(walk, first, pages).await);
            }
        }
        for (ask, end) in asks.iter().zip(&ends) {
            // Describe said otherwise: it is out of date.
            if matches!(end, Some(Err(fault)) if matches!(fault.code.as_str(), "INVALID_FIELD" | "INVALID_TYPE")) {
                self.describes.forget(&ask.resource).await;
            }
        }
        let unread = || Err(Fault::new(FaultKind::Answer, "not-read", "the object was not read"));
        Ok(asks.iter().zip(ends).map(|(ask, end)| Polled { object: ask.object.clone(), end: end.unwrap_or_else(unread) }).collect())
    }

    async fn walk_for<'a>(&self, ask: &'a Ask, safe_end: DateTime<Utc>) -> Result<Walk<'a>, Fault> {
        let described = self.describes.of(&self.wire, &ask.resource).await?;
        let since = match &ask.since {
            Some(text) if !ask.sweep => Some(watermark(text)?),
            Some(_) | None => None,
        };
        let with_lines = orders::with_lines(&ask.resource, &ask.fields);
        let lines = match (with_lines, since) {
            (true, Some(_)) => Some(self.line_shape().await?),
            _ => None,
        };
        Walk::new(ask, &described, lines, since, safe_end, self.lookback)
    }

    /// Reads one ask to its end, whatever happens to cursors and windows on the way.
    async fn walk(&self, mut walk: Walk<'_>, first: Result<Bytes, Fault>, pages: &mpsc::Sender<Page>) -> Result<ReadEnd, Fault> {
        let (mut answer, mut paging, mut restarts) = (first, Paging::default(), 0);
        loop {
            let body = match answer {
                Ok(body) => body,
                Err(fault) => {
                    let worth_it = match fault.code.as_str() {
                        "INVALID_QUERY_LOCATOR" => true,
                        "QUERY_TIMEOUT" | "OPERATION_TOO_LARGE" | "EXCEEDED_ID_LIMIT" => walk.narrow(),
                        _ => fault.kind == FaultKind::Retry && paging.received == 0,
                    };
                    restarts += 1;
                    if !worth_it || restarts > RESTARTS + walk.narrowed {
                        return Err(fault);
                    }
                    walk.back_to_last_sent();
                    paging = Paging::default();
                    answer = self.wire.query(&walk.query(), Counted::Data).await;
                    continue;
                }
            };
            let page = rows::envelope(&body)?;
            if !page.records.is_empty() {
                restarts = 0;
            }
            let mut records = walk.take(&page)?;
            if page.done && paging.received > 0 && seeded!(LastPageDropped) {
                records.clear();
            }
            self.hand_over(&walk, records, pages).await?;
            answer = match paging.next(&page)? {
                Some(url) => self.next_page(&url, Counted::Data).await,
                None => {
                    let rest = walk.rest();
                    self.hand_over(&walk, rest, pages).await?;
                    if !walk.next_part(paging.received) {
                        return Ok(ReadEnd { watermark: Some(walk.watermark), complete: walk.complete });
                    }
                    paging = Paging::default();
                    self.wire.query(&walk.query(), Counted::Data).await
                }
            };
        }
    }

    async fn hand_over(&self, walk: &Walk<'_>, mut records: Vec<Record>, pages: &mpsc::Sender<Page>) -> Result<(), Fault> {
        if records.is_empty() {
            return Ok(());
        }
        if walk.attach_lines {
            self.attach_lines(&mut records).await?;
        }
        let page = Page { object: walk.ask.object.clone(), records };
        pages.send(page).await.map_err(|_| Fault::new(FaultKind::BackOff, "reading-stopped", "nobody takes the pages any more"))
    }
}

/// The rows of one ask, as a place in them: what to ask next is always known from here.
#[derive(Debug)]
struct Walk<'a> {
    ask: &'a Ask,
    shape: Shape,
    /// Set where the rows are order lines that are gathered into orders.
    lines: Option<Shape>,
    grouping: Grouping,
    /// Set where each order's lines are read after it.
    attach_lines: bool,
    /// What is left to read; the last one is being read.
    spans: Vec<Span>,
    after: Option<Position>,
    limit: Option<u32>,
    narrowed: u32,
    watermark: String,
    complete: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    Everything,
    Window { from: DateTime<Utc>, to: Option<DateTime<Utc>> },
}

/// The last row that was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Position {
    id: RecordId,
    stamp: Option<DateTime<Utc>>,
}

impl<'a> Walk<'a> {
    fn new(
        ask: &'a Ask,
        described: &Described,
        lines: Option<Shape>,
        since: Option<DateTime<Utc>>,
        safe_end: DateTime<Utc>,
        lookback: TimeDelta,
    ) -> Result<Self, Fault> {
        soql::name(&ask.resource)?;
        let mut shape = Shape::of(&ask.resource, described, orders::own_fields(&ask.resource, &ask.fields))?;
        if lines.is_some() {
            shape = shape.through("Order", "OrderId");
        }
        if since.is_some() && !described.has("SystemModstamp") {
            let why = format!("{} has no SystemModstamp that our user may read, so changes cannot be told", ask.resource);
            return Err(Fault::new(FaultKind::Setup, "no-stamp", why));
        }
        let attach_lines = lines.is_none() && orders::with_lines(&ask.resource, &ask.fields);
        let lookback = if seeded!(NoOverlap) { TimeDelta::zero() } else { lookback };
        let span = since.map_or(Span::Everything, |since| Span::Window { from: since - lookback, to: None });
        // Never back by itself, whatever the clocks say.
        let watermark = soql::instant(since.map_or(safe_end, |since| since.max(safe_end)));
        let complete = since.is_none();
        let spans = vec![span];
        let (after, limit, grouping) = (None, None, Grouping::default());
        Ok(Self { ask, shape, lines, grouping, attach_lines, spans, after, limit, narrowed: 0, watermark, complete })
    }

    fn query(&self) -> Query {
        let span = self.spans.last().copied().unwrap_or(Span::Everything);
        let mut conditions = Vec::new();
        let after = self.after.as_ref().map(|p| (soql::quoted(p.id.as_str()), p.stamp));
        let (columns, from, order) = match (&self.lines, span) {
            (Some(lines), Span::Window { from, to }) => {
                conditions.push(format!("({} OR {})", window("SystemModstamp", from, to), window("Order.SystemModstamp", from, to)));
                conditions.extend(after.map(|(id, _)| format!("OrderId > {id}")));
                (lines.columns().into_iter().chain(self.shape.columns()).collect(), orders::LINE, "OrderId, Id")
            }
            (_, Span::Window { from, to }) => {
                conditions.push(window("SystemModstamp", from, to));
                conditions.extend(after.and_then(|(id, stamp)| {
                    let stamp = soql::instant(stamp?);
                    if seeded!(SecondSkipped) {
                        return Some(format!("SystemModstamp > {stamp}"));
                    }
                    Some(format!("((SystemModstamp = {stamp} AND Id > {id}) OR SystemModstamp > {stamp})"))
                }));
                (self.shape.columns(), self.ask.resource.as_str(), "SystemModstamp, Id")
            }
            (_, Span::Everything) => {
                conditions.extend(self.shape.deleted.as_ref().map(|field| format!("{field} = FALSE")));
                conditions.extend(after.map(|(id, _)| format!("Id > {id}")));
                (self.shape.columns(), self.ask.resource.as_str(), "Id")
            }
        };
        let mut soql = soql::select(&columns, from);
        if !conditions.is_empty() {
            soql = format!("{soql} WHERE {}", conditions.join(" AND "));
        }
        soql = format!("{soql} ORDER BY {order}");
        if let Some(limit) = self.limit {
            soql = format!("{soql} LIMIT {limit}");
        }
        Query { soql, with_deleted: !seeded!(BinUnread) }
    }

    /// The records of a page that are whole.
    fn take(&mut self, page: &rows::Envelope<'_>) -> Result<Vec<Record>, Fault> {
        let mut out = Vec::with_capacity(page.records.len());
        for raw in &page.records {
            match &self.lines {
                None => {
                    let record = self.shape.record(&mut Row::new(raw)?)?;
                    self.after = Some(position(&record)?);
                    out.push(record);
                }
                Some(lines) => {
                    let mut order = self.shape.record(&mut Row::new(raw)?)?;
                    order.partial = self.partial(&order)?;
                    let (_, line) = orders::line(lines, raw)?;
                    out.extend(self.grouping.push(order, line));
                }
            }
        }
        if let (Some(_), Some(last)) = (&self.lines, out.last()) {
            self.after = Some(position(last)?);
        }
        Ok(out)
    }

    /// An order that was itself touched within the window brings all its lines: each of them passes by the order's stamp.
    /// One that came for a line's sake brings only the lines that moved.
    fn partial(&self, order: &Record) -> Result<Vec<String>, Fault> {
        let whole = match (self.spans.last(), position(order)?.stamp) {
            (Some(Span::Window { from, to }), Some(stamp)) => stamp >= *from && to.is_none_or(|to| stamp < to),
            _ => false,
        };
        Ok(if whole { Vec::new() } else { vec![orders::LINES.to_owned()] })
    }

    fn rest(&mut self) -> Vec<Record> {
        self.grouping.finish().into_iter().collect()
    }

    /// A half-gathered order is read again from its first line.
    fn back_to_last_sent(&mut self) {
        self.grouping = Grouping::default();
    }

    /// The org gave up on the query: half the window, or fewer rows by key. False when it cannot get smaller.
    fn narrow(&mut self) -> bool {
        self.narrowed = self.narrowed.saturating_add(1);
        match self.spans.last().copied() {
            Some(Span::Window { from, to }) => {
                let end = to.or_else(|| watermark(&self.watermark).ok()).unwrap_or(from);
                let begin =
                    self.after.as_ref().filter(|_| self.lines.is_none()).and_then(|p| p.stamp).map_or(from, |stamp| stamp.max(from));
                if (end - begin).num_seconds() <= WINDOW_MIN_S {
                    return false;
                }
                let middle = begin + TimeDelta::seconds((end - begin).num_seconds() / 2);
                self.spans.pop();
                self.spans.push(Span::Window { from: middle, to });
                self.spans.push(Span::Window { from: begin, to: Some(middle) });
                if self.lines.is_some() {
                    self.after = None;
                }
                true
            }
            Some(Span::Everything) => {
                let next = LIMITS.into_iter().find(|limit| self.limit.is_none_or(|now| *limit < now));
                self.limit = next.or(self.limit);
                next.is_some()
            }
            None => false,
        }
    }

    /// Goes on to what is left after one query came to its end.
    fn next_part(&mut self, received: u64) -> bool {
        if self.limit.is_some_and(|limit| received >= u64::from(limit)) {
            return true;
        }
        self.spans.pop();
        self.after = None;
        !self.spans.is_empty()
    }
}

/// The sObjects whose describes these asks depend on.
fn described_by(asks: &[Ask]) -> Vec<String> {
    let lines = asks.iter().any(|ask| orders::with_lines(&ask.resource, &ask.fields)).then(|| orders::LINE.to_owned());
    let names: BTreeSet<String> = asks.iter().map(|ask| ask.resource.clone()).chain(lines).collect();
    names.into_iter().collect()
}

fn window(field: &str, from: DateTime<Utc>, to: Option<DateTime<Utc>>) -> String {
    let from = soql::instant(from);
    let op = if seeded!(StrictWindow) { ">" } else { ">=" };
    match to {
        None => format!("{field} {op} {from}"),
        Some(to) => format!("({field} {op} {from} AND {field} < {})", soql::instant(to)),
    }
}

fn position(record: &Record) -> Result<Position, Fault> {
    let stamp = record.stamp.as_deref().map(watermark).transpose()?;
    Ok(Position { id: record.id.clone(), stamp })
}

fn watermark(text: &str) -> Result<DateTime<Utc>, Fault> {
    let bad = |_| Fault::new(FaultKind::Setup, "bad-watermark", format!("{text:?} is not a watermark of this connector"));
    DateTime::parse_from_rfc3339(text).map(|t| t.with_timezone(&Utc)).map_err(bad)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::connectors::{FieldInfo, Schema};
    use crate::record::{FieldType, Life, Value};

    fn at(text: &str) -> DateTime<Utc> {
        watermark(text).unwrap()
    }

    fn described(fields: &[(&str, FieldType)]) -> Described {
        let info = |ty: &FieldType| FieldInfo {
            ty: ty.clone(),
            createable: true,
            updateable: true,
            required: false,
            secret: false,
            calculated: false,
        };
        let fields = fields.iter().map(|(name, ty)| ((*name).to_owned(), info(ty))).collect();
        Described { schema: Schema { fields, ..Schema::default() }, ..Described::default() }
    }

    fn account() -> Described {
        let text = FieldType::text;
        described(&[
            ("Id", text()),
            ("Name", text()),
            ("SystemModstamp", FieldType::Instant),
            ("IsDeleted", FieldType::Boolean),
            ("MasterRecordId", text()),
        ])
    }

    fn ask(resource: &str, since: Option<&str>, fields: &[&str]) -> Ask {
        Ask {
            object: "account".into(),
            resource: resource.into(),
            fields: fields.iter().map(|f| (*f).to_owned()).collect(),
            since: since.map(str::to_owned),
            sweep: false,
        }
    }

    fn walk<'a>(ask: &'a Ask, lines: Option<Shape>) -> Walk<'a> {
        let since = ask.since.as_deref().map(at);
        Walk::new(ask, &account(), lines, since, at("2026-01-01T12:00:00Z"), TimeDelta::minutes(10)).unwrap()
    }

    fn page(rows: &str) -> String {
        format!(r#"{{"totalSize":9,"done":false,"nextRecordsUrl":"/n","records":[{rows}]}}"#)
    }

    fn row(id: &str, stamp: &str) -> String {
        format!(r#"{{"Id":"{id}","SystemModstamp":"{stamp}.000+0000","IsDeleted":false,"MasterRecordId":null,"Name":"x"}}"#)
    }

    const A: &str = "001D000000IqhSLIAZ";

    #[test]
    fn a_delta_begins_before_its_watermark_and_ends_at_the_servers_time() {
        let ask = ask("Account", Some("2026-01-01T11:00:00Z"), &["Name"]);
        let walk = walk(&ask, None);
        assert_eq!(
            walk.query().soql,
            "SELECT Id, SystemModstamp, IsDeleted, MasterRecordId, Name FROM Account WHERE SystemModstamp >= 2026-01-01T10:50:00Z ORDER BY SystemModstamp, Id"
        );
        assert_eq!((walk.watermark.as_str(), walk.complete), ("2026-01-01T12:00:00Z", false));
    }

    #[test]
    fn a_lost_cursor_is_taken_up_after_the_last_row() {
        let ask = ask("Account", Some("2026-01-01T11:00:00Z"), &["Name"]);
        let mut walk = walk(&ask, None);
        let body = page(&row(A, "2026-01-01T11:30:00"));
        assert_eq!(walk.take(&rows::envelope(body.as_bytes()).unwrap()).unwrap().len(), 1);
        assert!(
            walk.query().soql.contains(&format!(
                "AND ((SystemModstamp = 2026-01-01T11:30:00Z AND Id > '{A}') OR SystemModstamp > 2026-01-01T11:30:00Z)"
            ))
        );
    }

    #[test]
    fn a_full_read_has_no_window_and_goes_by_id() {
        let ask = ask("Account", None, &["Name"]);
        let mut walk = walk(&ask, None);
        assert!(walk.query().soql.ends_with("FROM Account WHERE IsDeleted = FALSE ORDER BY Id"));
        assert!(walk.complete);
        let body = page(&row(A, "2026-01-01T11:30:00"));
        walk.take(&rows::envelope(body.as_bytes()).unwrap()).unwrap();
        assert!(walk.narrow());
        assert!(walk.query().soql.ends_with(&format!("IsDeleted = FALSE AND Id > '{A}' ORDER BY Id LIMIT 50000")));
        assert!(walk.next_part(50_000), "a full limit is not the end");
        assert!(!walk.next_part(10));
    }

    #[test]
    fn a_window_too_wide_is_halved_down_to_a_minute() {
        let ask = ask("Account", Some("2026-01-01T11:50:00Z"), &["Name"]);
        let mut walk = walk(&ask, None);
        assert!(walk.narrow());
        assert!(walk.query().soql.contains("(SystemModstamp >= 2026-01-01T11:40:00Z AND SystemModstamp < 2026-01-01T11:50:00Z)"));
        while walk.narrow() {}
        let mut covered = vec![];
        while let Some(Span::Window { from, to }) = walk.spans.last().copied() {
            covered.push((from, to));
            walk.next_part(0);
        }
        assert_eq!(covered[0].0, at("2026-01-01T11:40:00Z"));
        assert_eq!(covered.last().unwrap().1, None);
        assert!(covered.windows(2).all(|w| w[0].1 == Some(w[1].0)), "no gap: {covered:?}");
    }

    #[test]
    fn the_watermark_never_goes_back() {
        let ask = ask("Account", Some("2026-01-01T13:00:00Z"), &["Name"]);
        assert_eq!(walk(&ask, None).watermark, "2026-01-01T13:00:00Z");
    }

    #[test]
    fn an_unknown_field_is_named() {
        let ask = ask("Account", None, &["Nmae"]);
        let fault = Walk::new(&ask, &account(), None, None, at("2026-01-01T12:00:00Z"), TimeDelta::zero()).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Setup);
        assert!(fault.message.contains("Nmae"));
    }

    #[test]
    fn orders_are_gathered_from_their_lines_over_pages() {
        let ask = ask("Order", Some("2026-01-01T11:00:00Z"), &["Name", "lines"]);
        let item =
            described(&[("Id", FieldType::text()), ("SystemModstamp", FieldType::Instant), ("Quantity", FieldType::Decimal { scale: 2 })]);
        let mut walk = walk(&ask, Some(orders::line_shape(&item, None).unwrap()));
        let soql = walk.query().soql;
        assert!(soql.contains("FROM OrderItem WHERE (SystemModstamp >= 2026-01-01T10:50:00Z OR Order.SystemModstamp >= 2026-01-01T10:50:00Z) ORDER BY OrderId, Id"), "{soql}");
        let line = |id: &str, order: &str, stamp: &str| {
            format!(
                r#"{{"Id":"{id}","SystemModstamp":"2026-01-01T11:30:00.000+0000","Quantity":2.0,"OrderId":"{order}",
                "Order":{{"SystemModstamp":"{stamp}.000+0000","IsDeleted":false,"MasterRecordId":null,"Name":"o"}}}}"#
            )
        };
        let (one, two, three) = ("802D000000IqhSLIAZ", "802D000000IqhSMIAZ", "802D000000IqhSNIAZ");
        let (first, second) = ("801D000000IqhSLIAZ", "801D000000IqhSMIAZ");
        let pages = [
            page(&line(one, first, "2026-01-01T11:30:00")),
            page(&format!("{},{}", line(two, first, "2026-01-01T11:30:00"), line(three, second, "2025-01-01T00:00:00"))),
        ];
        assert!(walk.take(&rows::envelope(pages[0].as_bytes()).unwrap()).unwrap().is_empty(), "held back");
        let out = walk.take(&rows::envelope(pages[1].as_bytes()).unwrap()).unwrap();
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].fields["lines"].as_rows().unwrap().len(), 2);
        assert_eq!(out[0].fields["lines"].as_rows().unwrap()[0]["Quantity"], Value::Decimal("2".parse().unwrap()));
        assert!(out[0].partial.is_empty());
        assert!(walk.query().soql.contains(&format!("AND OrderId > '{first}'")), "the half order is read again");
        let rest = walk.rest();
        assert_eq!((rest[0].id.as_str(), rest[0].life.clone()), (second, Life::Live));
        assert_eq!(rest[0].partial, ["lines"], "only a line moved");
    }
}
