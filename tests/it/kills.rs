//! The real process killed at every numbered point of its work: before and after each commit, before and after each request
//! and in the middle of its answer; and killed once more while it recovers. In the end both sides are what they are when
//! nobody disturbs it: nothing twice, nothing lost, and nothing left to do.
//!
//! `benches/kills.sh` runs the whole sweep and as many random kills as asked for.

pub mod story;

use crate::{
    binary::{Ended, How},
    proxy::Act,
    random::Dice,
};
use futures_util::{FutureExt, StreamExt, stream};
use std::{fmt, panic::AssertUnwindSafe, pin::pin, time::Instant};
use story::{Picture, Script, Story, difference};

/// Where a process dies.
#[derive(Debug, Clone)]
enum Point {
    /// At the n-th passage before or after a commit.
    Commit(u64),
    Request(u64, Act),
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(n) => write!(f, "commit point {n}"),
            Self::Request(n, act) => write!(f, "request {n}: {act:?}"),
        }
    }
}

/// Another build than ours may have no commit points.
fn has_commit_points() -> bool {
    cfg!(debug_assertions) && std::env::var_os("LOCKSTEP_BINARY").is_none()
}

/// One run that dies there. False: it ended before.
async fn dies(story: &Story, point: &Point) -> bool {
    let at;
    let mut env = Vec::new();
    story.desk.clear();
    match point {
        Point::Commit(n) => {
            at = n.to_string();
            env.push(("LOCKSTEP_DIE_AT_COMMIT", at.as_str()));
        }
        Point::Request(n, act) => story.desk.at(*n, act.clone()),
    }
    match story.once(How { env: &env, most_kib: None }).await {
        Ended::Killed => true,
        Ended::Told { .. } => false,
    }
}

/// How it ends when nobody disturbs it, and how many points there are on the way.
struct Fine {
    script: Script,
    picture: Picture,
    commits: u64,
    requests: u64,
}

impl Fine {
    async fn of(script: Script) -> Self {
        let story = Story::tell(script).await;
        let counted = story.rig.dir.path().join("commits");
        let env = [("LOCKSTEP_COUNT_COMMITS", counted.to_str().unwrap())];
        let ended = story.once(How { env: &env, most_kib: None }).await;
        assert_eq!(ended.code(), 0, "{script:?}: {ended:?}");
        let commits = if has_commit_points() { std::fs::read_to_string(&counted).unwrap().parse().unwrap() } else { 0 };
        let requests = story.desk.seen();
        let picture = story.settle().await;
        Self { script, picture, commits, requests }
    }

    fn points(&self) -> Vec<Point> {
        let commits = (1..=self.commits).map(Point::Commit);
        let requests =
            (1..=self.requests).flat_map(|n| [Act::KillBefore, Act::KillAfter, Act::KillHalfway].map(|act| Point::Request(n, act)));
        commits.chain(requests).collect()
    }

    /// Kills, once or again, then lets it recover. Answers how many times it died.
    async fn attack(&self, points: &[Point]) -> Result<u64, String> {
        let story = Story::tell(self.script).await;
        let mut died = 0;
        for point in points {
            died += u64::from(dies(&story, point).await);
            story.sound();
        }
        let picture = story.settle().await;
        if picture == self.picture {
            return Ok(died);
        }
        Err(format!("{:?}, {}:\n{}\n{}", self.script, words(points), difference(&picture, &self.picture), story.rig.changes()))
    }
}

fn words(points: &[Point]) -> String {
    points.iter().map(ToString::to_string).collect::<Vec<_>>().join(", then ")
}

/// A table line for a benchmark.
#[derive(Default)]
struct Totals {
    plays: u64,
    kills: u64,
    broken: Vec<String>,
}

/// Plays at once: most of a play is waiting for the disk and for processes to start.
const AT_ONCE: usize = 4;

impl Totals {
    /// Until all are played, or `enough` kills were counted.
    async fn play(&mut self, fine: &Fine, plays: impl IntoIterator<Item = Vec<Point>>, enough: u64) {
        let attacks = plays.into_iter().map(|points| async move {
            // A broken assertion is told with the point that led to it, and does not end the others.
            let attack = AssertUnwindSafe(fine.attack(&points)).catch_unwind().await;
            attack.unwrap_or_else(|panic| {
                let said = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
                Err(format!("{:?}, {}: {}", fine.script, words(&points), said.unwrap_or_default()))
            })
        });
        let mut attacks = pin!(stream::iter(attacks).buffer_unordered(AT_ONCE));
        while let Some(ended) = attacks.next().await {
            self.plays += 1;
            match ended {
                Ok(died) => self.kills += died,
                Err(broken) => {
                    println!("BROKEN {broken}");
                    self.broken.push(broken);
                }
            }
            if self.plays.is_multiple_of(100) {
                println!("{} plays, {} kills, {} broken", self.plays, self.kills, self.broken.len());
            }
            if self.kills >= enough || self.broken.len() > 20 {
                return;
            }
        }
    }

    fn judge(&self, what: &str, began: Instant) {
        println!(
            "{what:<24} {:>6} plays {:>6} kills {:>4} broken {:>7.1} s",
            self.plays,
            self.kills,
            self.broken.len(),
            began.elapsed().as_secs_f64()
        );
        assert!(self.broken.is_empty(), "{}", self.broken.join("\n\n"));
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(otherwise)
}

/// S1, S4, S11, S13, L1–L3: a share of the points for each commit. The first of them moves with the day, so that in time
/// all are visited; `LOCKSTEP_KILLS_FIRST` names it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_the_kill_points_leaves_no_trace() {
    let began = Instant::now();
    let mut totals = Totals::default();
    let day = chrono::Utc::now().timestamp().unsigned_abs() / 86_400;
    for (script, plays) in [(Script::First, 8), (Script::Life, 14)] {
        let fine = Fine::of(script).await;
        println!("{script:?}: {} commit points, {} requests", fine.commits, fine.requests);
        assert!(fine.requests > 20 && (fine.commits > 60 || !has_commit_points()), "{} {}", fine.requests, fine.commits);
        let points = fine.points();
        let step = points.len() / plays;
        let first = usize::try_from(number("LOCKSTEP_KILLS_FIRST", day)).unwrap() % step;
        totals.play(&fine, points.into_iter().skip(first).step_by(step).map(|point| vec![point]), u64::MAX).await;
    }
    assert!(totals.kills * 10 >= totals.plays * 9, "{} of {} plays had a kill", totals.kills, totals.plays);
    totals.judge("a share", began);
}

#[ignore = "minutes; benches/kills.sh runs it"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kill_point() {
    for script in [Script::First, Script::Life] {
        let (began, fine) = (Instant::now(), Fine::of(script).await);
        let mut totals = Totals::default();
        totals.play(&fine, fine.points().into_iter().map(|point| vec![point]), u64::MAX).await;
        println!("{script:?}: {} commit points, {} requests", fine.commits, fine.requests);
        totals.judge(&format!("every point of {script:?}"), began);
    }
}

/// Random points, and in every third play a second kill while the first is being recovered from.
#[ignore = "minutes; benches/kills.sh runs it"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_kills_and_double_crashes() {
    let (kills, seed) = (number("LOCKSTEP_KILLS", 1_000), number("LOCKSTEP_KILLS_SEED", 1));
    let fine = [Fine::of(Script::First).await, Fine::of(Script::Life).await];
    let (began, mut dice) = (Instant::now(), Dice(seed));
    let mut totals = Totals::default();
    for (fine, share) in [(&fine[0], kills / 3), (&fine[1], kills)] {
        let all = fine.points();
        let plays = (0u64..).map(|n| {
            let points = if n.is_multiple_of(3) { 2 } else { 1 };
            (0..points).map(|_| all[dice.roll(all.len())].clone()).collect()
        });
        totals.play(fine, plays, share).await;
    }
    totals.judge(&format!("random, seed {seed}"), began);
}

/// Faults that kill nobody: connections that break, wait, or deliver twice, at every request.
#[ignore = "minutes; benches/kills.sh runs it"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_gone_wrong() {
    for script in [Script::First, Script::Life] {
        let (began, fine) = (Instant::now(), Fine::of(script).await);
        let mut totals = Totals::default();
        let late = std::time::Duration::from_millis(100);
        let acts = [Act::ResetBefore, Act::ResetAfter, Act::HalfAnswer, Act::Twice, Act::Delay(late)];
        let plays = (1..=fine.requests).flat_map(|n| acts.clone().map(|act| vec![Point::Request(n, act)]));
        totals.play(&fine, plays, u64::MAX).await;
        totals.judge(&format!("wire of {script:?}"), began);
    }
}

/// The switch is in no release build: whatever reads the variable is compiled with debug assertions only.
#[test]
fn a_release_build_cannot_be_told_to_die() {
    let source = include_str!("../../src/store/crash.rs");
    let (before, rest) = source.split_once("#[cfg(debug_assertions)]\n").unwrap();
    let (switch, after) = rest.split_once("\n}\n").unwrap();
    let code = |text: &str| text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n").trim().to_owned();
    assert!(switch.contains("abort()") && switch.contains("LOCKSTEP_DIE_AT_COMMIT"));
    assert_eq!(code(before), "");
    assert_eq!(code(after), "#[cfg(not(debug_assertions))]\npub(super) const fn point() {}");
    for word in ["LOCKSTEP_DIE_AT_COMMIT", "LOCKSTEP_COUNT_COMMITS", "process::abort"] {
        let elsewhere = sources().into_iter().filter(|path| !path.ends_with("store/crash.rs"));
        for path in elsewhere {
            assert!(!std::fs::read_to_string(&path).unwrap().contains(word), "{} names {word}", path.display());
        }
    }
}

fn sources() -> Vec<std::path::PathBuf> {
    let mut dirs = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { dirs.push(path) } else { files.push(path) }
        }
    }
    files
}
