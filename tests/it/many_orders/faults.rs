//! Calls that go wrong: each call of each side may, writes more often than readings.

use crate::{random::Dice, rig::Rig};
use lockstep::sandbox::faults::Faults as Armed;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Calls of one kind: where, a part of the request line, a part of the body, one in how many goes wrong, and what else than
/// the common kinds may happen to them.
struct Stream {
    side: usize,
    name: &'static str,
    on: &'static str,
    body: &'static str,
    one_in: usize,
    own: fn() -> Vec<Value>,
}

const STREAMS: &[Stream] = &[
    Stream { side: 0, name: "any", on: "/services/data/", body: "", one_in: 4, own: spent_session },
    Stream { side: 0, name: "writes", on: "/composite", body: "\"PATCH\"", one_in: 2, own: twice },
    Stream { side: 1, name: "any", on: "/api/v1/", body: "", one_in: 40, own: Vec::new },
    Stream { side: 1, name: "new accounts and customers", on: "POST /api/v1/customer", body: "", one_in: 12, own: Vec::new },
    Stream { side: 1, name: "new orders", on: "POST /api/v1/orders/create_order", body: "", one_in: 6, own: twice },
    Stream { side: 1, name: "order look-ups", on: "GET /api/v1/orders/", body: "", one_in: 24, own: Vec::new },
    Stream { side: 1, name: "changes", on: "PATCH /api/v1/", body: "", one_in: 6, own: twice },
    Stream { side: 1, name: "features", on: "license-features", body: "", one_in: 8, own: Vec::new },
];

/// What can happen to any call.
fn common() -> Vec<Value> {
    let page = |status: u16| json!({"status": status, "body": "<html>later</html>", "content_type": "text/html"});
    let lost = |status: u16| json!({"status_after": status, "body": "<html>gateway</html>", "content_type": "text/html"});
    vec![
        json!("reset_before"),
        json!("reset_after"),
        page(500),
        page(503),
        lost(502),
        lost(504),
        json!({"truncate": 0.5}),
        json!("html_200"),
        json!({"hang_after_ms": 40}),
        json!({"status": 429, "body": "{\"detail\":\"Request was throttled.\"}", "content_type": "application/json", "headers": {"Retry-After": "1"}}),
    ]
}

fn twice() -> Vec<Value> {
    vec![json!("twice")]
}

fn spent_session() -> Vec<Value> {
    let body = "[{\"message\":\"Session expired or invalid\",\"errorCode\":\"INVALID_SESSION_ID\"}]";
    vec![json!({"status": 401, "body": body, "content_type": "application/json"})]
}

/// What was armed, and what it hit.
#[derive(Debug, Default)]
pub struct Faults {
    /// By side, stream and kind.
    pub hits: BTreeMap<String, u64>,
    pub hits_on: [u64; 2],
    counters: [u64; 2],
    streams: BTreeMap<(usize, u64), &'static str>,
}

fn wire(rig: &Rig, side: usize) -> &Armed {
    if side == 0 { &rig.salesforce_wire.faults } else { &rig.platform_wire.faults }
}

impl Faults {
    /// Faults for the next run, strewn over the first calls; later ones go well. A small game is played in a storm; in a
    /// large one faults are as many, but further apart, or it would mostly wait.
    pub fn arm(&mut self, rig: &Rig, dice: &mut Dice, orders: usize) {
        for stream in STREAMS {
            // Salesforce takes a thousand records a call: its calls do not grow in number.
            let (calls, apart) = if stream.side == 0 { (60, 1) } else { (orders.max(40), (orders / 30).clamp(1, 20)) };
            let one_in = stream.one_in * apart;
            let kinds: Vec<Value> = common().into_iter().chain((stream.own)()).collect();
            let mut nth = 1 + dice.roll(2 * one_in);
            while nth <= calls {
                // Most pass at once; some last for a few calls, longer than a client repeats.
                let times = if dice.roll(12) == 0 { 2 + dice.roll(3) } else { 1 };
                let mut fault = json!({"on": stream.on, "nth": nth, "times": times, "do": kinds[dice.roll(kinds.len())]});
                if !stream.body.is_empty() {
                    fault["body"] = json!(stream.body);
                }
                let id = wire(rig, stream.side).add(&fault).unwrap();
                self.streams.insert((stream.side, id), stream.name);
                nth += times + dice.roll(2 * one_in);
            }
        }
        self.count(rig);
    }

    /// A fault that does nothing to every call that none before it struck: it counts.
    pub fn count(&mut self, rig: &Rig) {
        for side in 0..2 {
            self.counters[side] = wire(rig, side).add(&json!({"times": 0, "do": {"hang_ms": 0}})).unwrap();
        }
    }

    /// Calls that came through since the faults were armed.
    pub fn calls(&self, rig: &Rig) -> u64 {
        (0..2).map(|side| wire(rig, side).hits(self.counters[side])).sum()
    }

    pub fn disarm(&mut self, rig: &Rig) {
        for side in 0..2 {
            for fault in wire(rig, side).list().as_array().unwrap() {
                let (id, hits) = (fault["id"].as_u64().unwrap(), fault["hits"].as_u64().unwrap());
                if id == self.counters[side] || hits == 0 {
                    continue;
                }
                let what = &fault["fault"]["do"];
                let kind = match what.as_object() {
                    Some(map) => map
                        .iter()
                        .find(|(k, _)| !["body", "content_type", "headers"].contains(&k.as_str()))
                        .map(|(k, v)| format!("{k} {v}")),
                    None => what.as_str().map(str::to_owned),
                };
                let name = format!("{} {} {}", ["salesforce", "platform"][side], self.streams[&(side, id)], kind.unwrap_or_default());
                *self.hits.entry(name).or_default() += hits;
                self.hits_on[side] += hits;
            }
            wire(rig, side).clear();
        }
        self.streams.clear();
    }
}
