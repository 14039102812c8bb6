//! Many orders, calls that fail at random on both sides, the process killed in the middle of its work: in the end each line
//! has exactly its licenses, no key is there twice, and both sides show the same.
//!
//! The real binary runs between two simulators of this process. `LOCKSTEP_ORDERS_SEED` plays another game,
//! `LOCKSTEP_ORDERS` sets the number of orders of the ignored test; `benches/orders.sh` runs that and prints its figures.

mod check;
mod faults;
mod market;

use crate::{binary, random::Dice, rig::Rig};
use faults::Faults;
use market::Market;
use serde_json::{Value, json};
use std::{fmt, time::Instant};

/// Runs under faults besides those that are killed; each run brings new orders and edits.
const FAULTY_RUNS: usize = 3;
/// A kill that comes too late is tried again; more runs than this mean that something is stuck.
const MOST_RUNS: usize = 40;
/// When the faults have stopped: L1 asks for three runs, and the one after them that has nothing to do.
const CALM_RUNS: usize = 4;

/// What became of a run of the binary.
enum Ended {
    Killed,
    Told(Value),
}

/// One line for the reader of a benchmark.
struct Figures {
    orders: usize,
    lines: usize,
    licenses: usize,
    features: usize,
    seconds: f64,
    runs: usize,
    kills: usize,
    faults: u64,
    /// From the rows of the runs that came to their end.
    calls: [u64; 2],
    /// Those of killed runs too, without what a fault kept from arriving.
    served: [u64; 2],
    writes: [u64; 2],
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[allow(clippy::cast_precision_loss, reason = "figures for people")]
        let each = |n: u64| n as f64 / self.orders as f64;
        write!(
            f,
            "{} orders, {} lines, {} licenses, {} features: {:.1} s in {} runs, {} kills, {} faults; calls per order: {:.2} to Salesforce, {:.2} to the platform (served {:.2}, {:.2}); writes {} to Salesforce, {} to the platform",
            self.orders,
            self.lines,
            self.licenses,
            self.features,
            self.seconds,
            self.runs,
            self.kills,
            self.faults,
            each(self.calls[0]),
            each(self.calls[1]),
            each(self.served[0]),
            each(self.served[1]),
            self.writes[0],
            self.writes[1],
        )
    }
}

/// Fills both sides, lets the daemon work through it and judges the end. Panics with the seed where something is wrong.
async fn prove(orders: usize, seed: u64, kills: usize) -> Figures {
    let rig = Rig::start().await;
    rig.write_rules(|text| {
        // A first load of this size is meant.
        text.replace("creates = { count = 100,", "creates = { count = 100000,")
            .replace("changes = { count = 500,", "changes = { count = 100000,")
            .replace("# company = \"901\"", "company = \"901\"")
    });
    let mut market = Market::open(rig, Dice(seed), orders);
    let mut faults = Faults::default();
    let began = Instant::now();
    let (mut killed, mut runs) = (0, 0);
    // With nothing to kill the weather is fine: the figures of that game are those of the work itself.
    let faulty = if kills == 0 { 0 } else { FAULTY_RUNS + kills };
    let mut reach = orders * 2;
    while killed < kills || runs < faulty {
        assert!(runs < MOST_RUNS, "seed {seed}: {killed} of {kills} kills after {runs} runs");
        market.happen(runs, faulty);
        faults.arm(&market.rig, &mut market.dice, orders);
        let calls = (killed < kills).then(|| 1 + market.dice.roll(reach) as u64);
        match run(&market.rig, &["once"], calls.map(|n| (&faults, n))).await {
            Ended::Killed => killed += 1,
            Ended::Told(report) => {
                // It was over too soon: the next kill comes earlier.
                reach = if calls.is_some() { (reach / 2).max(5) } else { reach };
                assert_ne!(report["outcome"], "held", "seed {seed}: {report}");
            }
        }
        runs += 1;
        if std::env::var_os("LOCKSTEP_ORDERS_TELL").is_some() {
            println!("run {runs}: {:.1} s, {killed} kills", began.elapsed().as_secs_f64());
        }
        faults.disarm(&market.rig);
        let broken = market.rig.store().integrity().unwrap();
        assert_eq!(broken, Vec::<String>::new(), "seed {seed}: after run {runs}");
    }
    market.happen(faulty, faulty);
    let mut reports = Vec::new();
    for _ in 0..CALM_RUNS {
        let report = told(&market.rig, &["once"]).await;
        runs += 1;
        let quiet = report["outcome"] == "ok" && report["writes"] == json!({"salesforce": 0, "platform": 0});
        reports.push(report);
        if quiet {
            break;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let last = reports.last().unwrap();
    assert_eq!(
        (&last["outcome"], &last["writes"], &last["quarantined"], &last["held"], &last["conflicts_open"]),
        (&json!("ok"), &json!({"salesforce": 0, "platform": 0}), &json!(0), &json!(0), &json!(0)),
        "seed {seed}: not at rest: {reports:#?}\n{:#?}\n{}",
        market.rig.store().quarantine(20).unwrap(),
        market.rig.changes()
    );
    let (licenses, features) = check::all(&market, seed);
    let figures = figures(&market, &faults, seconds, runs, killed, licenses, features);
    for args in [&["once"][..], &["once", "--full"]] {
        let report = told(&market.rig, args).await;
        assert_eq!(report["writes"], json!({"salesforce": 0, "platform": 0}), "seed {seed}: {args:?} {report}\n{}", market.rig.changes());
    }
    check::all(&market, seed);
    if kills > 0 {
        assert!(faults.hits_on[0] > 0 && faults.hits_on[1] > 0, "seed {seed}: no call went wrong: {:?}", faults.hits);
    }
    figures
}

fn figures(market: &Market, faults: &Faults, seconds: f64, runs: usize, kills: usize, licenses: usize, features: usize) -> Figures {
    let rows = market.rig.store().runs(10_000).unwrap();
    let sum = |each: &dyn Fn(&lockstep::store::RunRow) -> u64| rows.iter().map(each).sum();
    Figures {
        orders: market.orders.len(),
        lines: market.lines,
        licenses,
        features,
        seconds,
        runs,
        kills,
        faults: faults.hits.values().sum(),
        calls: [sum(&|r| r.calls.salesforce), sum(&|r| r.calls.platform)],
        served: [market.rig.salesforce.world().used(), market.rig.platform.world().calls().values().sum()],
        writes: [sum(&|r| r.writes.salesforce), sum(&|r| r.writes.platform)],
    }
}

/// One run of the binary.
async fn run(rig: &Rig, args: &[&str], kill_after: Option<(&Faults, u64)>) -> Ended {
    let args = [args, &["--json"]].concat();
    let mut running = binary::start(rig, &args, binary::How::default());
    // SIGKILL: nothing of it gets to say good-bye.
    match running.wait_and(|_| kill_after.is_some_and(|(faults, calls)| faults.calls(rig) >= calls)).await {
        binary::Ended::Killed => Ended::Killed,
        told => {
            assert!(matches!(told.code(), 0 | 1 | 3), "{args:?}: {told:?}");
            Ended::Told(told.report())
        }
    }
}

async fn told(rig: &Rig, args: &[&str]) -> Value {
    match run(rig, args, None).await {
        Ended::Told(report) => report,
        Ended::Killed => panic!("{args:?} died by itself"),
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(otherwise)
}

/// B6, S4, L1–L3 for what people buy the daemon for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_orders_faults_and_three_kills_end_with_each_license_once() {
    let figures = prove(60, number("LOCKSTEP_ORDERS_SEED", 1), 3).await;
    println!("{figures}");
}

#[ignore = "minutes; benches/orders.sh runs it in release"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_orders_faults_and_three_kills() {
    let orders = usize::try_from(number("LOCKSTEP_ORDERS", 1_000)).unwrap();
    let seed = number("LOCKSTEP_ORDERS_SEED", 1);
    println!("fine weather: {}", prove(orders, seed, 0).await);
    println!("with faults:  {}", prove(orders, seed, 3).await);
}
