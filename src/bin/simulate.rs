//! The long run of the simulation: `cargo run --release --features simulation --bin simulate -- --schedules N --seed S`.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use lockstep::simulation::{Cell, MOST_SCHEDULES, Script, Summary, bites, campaign, cells, play_alone, replaced, shop, smallest, table};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

/// The daemon's whole logic between two simulated systems, in virtual time, under every fault
#[derive(Parser)]
struct Args {
    /// How many schedules to play
    #[arg(long, default_value_t = 10_000)]
    schedules: u64,
    /// The first one
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Threads; all cores by default
    #[arg(long)]
    threads: Option<usize>,
    /// Tells the story of the one schedule `--seed`, cut down if it breaks something
    #[arg(long)]
    story: bool,
    /// Plays a script (a line of JSON, as a failure prints it) and tells its story
    #[arg(long, value_name = "JSON")]
    script: Option<String>,
    /// Plays the shop instead: orders, licenses, amendments and resets
    #[arg(long, conflicts_with = "teeth")]
    shop: bool,
    /// Switches on the seeded bugs, one after the other, and tells after how many schedules each is caught
    #[arg(long)]
    teeth: bool,
    /// A bug that so many schedules do not catch is not caught
    #[arg(long, default_value_t = MOST_SCHEDULES)]
    most: u64,
    /// Puts the table of `--teeth` in its place in this file
    #[arg(long, value_name = "FILE", requires = "teeth")]
    write: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.shop && (args.story || args.script.is_some()) {
        return tell_of_the_shop(&args);
    }
    if let Some(text) = &args.script {
        return match serde_json::from_str::<Script>(text) {
            Ok(script) => tell(&play_alone(&script, true)),
            Err(error) => {
                eprintln!("not a script: {error}");
                ExitCode::from(2)
            }
        };
    }
    if args.story {
        let script = Script::of(args.seed);
        let played = play_alone(&script, true);
        return tell(&if played.broken.is_empty() { played } else { smallest(&script).1 });
    }
    if args.teeth {
        return teeth(&args);
    }
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let bar = if args.json { ProgressBar::hidden() } else { ProgressBar::new(args.schedules) };
    bar.set_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} schedules, {per_sec}, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let progress = |done: u64| {
        if done.is_multiple_of(64) || done == args.schedules {
            bar.set_position(done);
        }
    };
    let (sum, all) = if args.shop {
        (shop::campaign(args.seed, args.schedules, threads, &progress), shop::cells())
    } else {
        (campaign(args.seed, args.schedules, threads, &progress), cells())
    };
    bar.finish_and_clear();
    if args.json {
        let mut json = sum.to_json();
        json["cells_hit"] = hit(&sum, &all).into();
        json["cells_total"] = all.len().into();
        println!("{json}");
    } else {
        print(&sum, &all);
    }
    ExitCode::from(u8::from(sum.broken > 0))
}

fn teeth(args: &Args) -> ExitCode {
    let bites = bites(args.threads.unwrap_or(2), args.most);
    let table = table(&bites);
    print!("{table}");
    if let Some(path) = &args.write {
        let written = std::fs::read_to_string(path).ok().and_then(|text| replaced(&text, &table)).map(|text| std::fs::write(path, text));
        if !matches!(written, Some(Ok(()))) {
            eprintln!("{}: cannot be written, or has no place for the table", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::from(u8::from(bites.iter().any(|b| b.missed())))
}

/// How many of these cells were hit.
fn hit(sum: &Summary, all: &BTreeSet<Cell>) -> usize {
    all.iter().filter(|c| sum.cells.contains_key(c)).count()
}

fn tell_of_the_shop(args: &Args) -> ExitCode {
    let script = match args.script.as_deref().map(serde_json::from_str::<shop::Script>) {
        Some(Ok(script)) => return tell(&shop::play_alone(&script, true)),
        Some(Err(error)) => {
            eprintln!("not a script of the shop: {error}");
            return ExitCode::from(2);
        }
        None => shop::Script::of(args.seed),
    };
    let played = shop::play_alone(&script, true);
    tell(&if played.broken.is_empty() { played } else { shop::smallest(&script).1 })
}

fn tell(played: &lockstep::simulation::Played) -> ExitCode {
    println!("{}", played.story.join("\n"));
    ExitCode::from(u8::from(!played.broken.is_empty()))
}

fn print(sum: &Summary, all: &BTreeSet<Cell>) {
    println!("schedules   {}", sum.schedules);
    println!("runs        {}, {} of them ended by a crash", sum.runs, sum.crashes);
    println!("user edits  {}", sum.user_edits);
    println!("faults      {} in {} of {} cells", sum.faults(), hit(sum, all), all.len());
    println!("trace       {:016x}", sum.trace_hash);
    println!();
    let mut grid: BTreeMap<(&str, &str), BTreeMap<&str, u64>> = BTreeMap::new();
    for cell in all {
        let hits = sum.cells.get(cell).copied().unwrap_or(0);
        grid.entry((cell.fault, cell.place)).or_default().insert(cell.op, hits);
    }
    for ((fault, place), ops) in &grid {
        let ops: Vec<String> = ops.iter().map(|(op, n)| format!("{op} {n}")).collect();
        println!("{fault:<34} {place:<11} {}", ops.join(", "));
    }
    println!();
    if sum.broken == 0 {
        println!("broken      0");
        return;
    }
    println!("broken      {}", sum.broken);
    for (rule, n) in &sum.rules_broken {
        println!("  {rule:<4} in {n}");
    }
    for failure in &sum.failures {
        println!("\nseed {}: {}", failure.seed, failure.broken.join("; "));
        println!("{}", failure.script);
        println!("{}", failure.story.join("\n"));
    }
}
