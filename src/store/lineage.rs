//! Is this file the memory that worked here last, or an older copy of it?
//!
//! Every file carries a random journal id, and `lockstep.journal` beside it says which journal wrote here last and how far
//! its runs had come. It is no part of the database on purpose: a backup that is put back brings its own past, not the
//! mirror's present. What the mirror cannot know (the whole directory was put back) the engine finds on the records.
//!
//! A restored file is announced and marked. The mark says how much may be done: see `Stage`.

use super::Cached;
use super::{Store, crash, stamp};
use anyhow::Context;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

const FILE: &str = "lockstep.journal";
const JOURNAL: &str = "journal";
const RESTORED: &str = "restored";
/// A suspect that nobody can prove gone for this long does not keep full comparisons going.
const PATIENCE_HOURS: i64 = 24;

/// The mark of a memory that was restored from a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// For people: what gave it away.
    pub why: String,
    pub found_at: String,
    /// The last run this memory knows of.
    pub last_run: i64,
    pub stage: Stage,
}

/// How far it is with the world since. Until the mark goes, what takes away waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Everything is to be read and compared: nothing is issued yet.
    Comparing,
    /// Compared; records that were not seen are still to be proved gone, by full comparisons.
    Proving,
    /// Everything is known again; something that takes away waits for a person's word.
    Waiting,
}

/// What stands in `lockstep.journal`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mirror {
    journal: String,
    run: i64,
    at: String,
    /// The run came to its end.
    ended: bool,
}

/// What the file says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Own {
    journal: Option<String>,
    last_run: i64,
    ended: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    /// Nothing was ever written down about it: it gets its id now.
    Unnamed,
    Older(String),
}

/// The database is always ahead of its mirror, so that a crash between the two looks like nothing.
fn verdict(own: &Own, mirror: Option<&Mirror>) -> Verdict {
    let last = own.last_run;
    match (&own.journal, mirror) {
        (None, None) => Verdict::Unnamed,
        // Written just before a first commit that never came.
        (None, Some(mirror)) if mirror.run <= last => Verdict::Unnamed,
        (None, Some(mirror)) if last == 0 => {
            Verdict::Older(format!("the memory is empty, and yet there were runs here up to number {} ({})", mirror.run, mirror.at))
        }
        (None, Some(mirror)) => Verdict::Older(format!("it ends with run {last}, and there were runs here up to number {}", mirror.run)),
        (Some(_), None) if last == 0 => Verdict::Unnamed,
        (Some(_), None) => Verdict::Older(format!("it came without its {FILE}, so nobody can tell whether run {last} was the last")),
        (Some(own), Some(mirror)) if *own != mirror.journal => {
            Verdict::Older(format!("another memory has worked here since, up to run {} ({})", mirror.run, mirror.at))
        }
        (Some(_), Some(mirror)) if mirror.run > last => {
            Verdict::Older(format!("it ends with run {last}, and there were runs here up to number {} ({})", mirror.run, mirror.at))
        }
        (Some(_), Some(mirror)) if mirror.run == last && mirror.ended && !own.ended => {
            Verdict::Older(format!("it was taken in the middle of run {last}, which came to its end ({})", mirror.at))
        }
        (Some(_), Some(_)) => Verdict::Same,
    }
}

impl Mirror {
    /// A file that cannot be read as one is as good as none.
    fn read(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(dir.join(FILE)).ok()?).ok()
    }

    /// Whole or not at all, and on the disk when it returns.
    fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let (path, fresh) = (dir.join(FILE), dir.join(format!("{FILE}.new")));
        let named = || path.display().to_string();
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh).with_context(named)?;
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n").and_then(|()| file.sync_all()).with_context(named)?;
        crash::point();
        fs::rename(&fresh, &path).and_then(|()| fs::File::open(dir)?.sync_all()).with_context(named)?;
        crash::point();
        Ok(())
    }
}

fn own(c: &Connection) -> rusqlite::Result<Own> {
    let journal = c.one("SELECT value FROM meta WHERE key = ?1", [JOURNAL], |r| r.get(0)).optional()?;
    let last: Option<(i64, bool)> = c
        .query_row("SELECT id, finished_at IS NOT NULL FROM run ORDER BY id DESC LIMIT 1", [], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()?;
    let (last_run, ended) = last.unwrap_or((0, true));
    Ok(Own { journal, last_run, ended })
}

/// Called when a file is opened for writing, before anything is read from it.
pub(super) fn recognise(c: &mut Connection, dir: &Path, now: DateTime<Utc>) -> anyhow::Result<()> {
    // The mirror first: a daemon that works meanwhile moves the database before its mirror.
    let mirror = Mirror::read(dir);
    let own = own(c)?;
    let why = match verdict(&own, mirror.as_ref()) {
        Verdict::Same => return Ok(()),
        Verdict::Unnamed => {
            let journal = own.journal.map_or_else(random_id, Ok)?;
            let named = Mirror { journal: journal.clone(), run: own.last_run, at: stamp(now), ended: own.ended };
            if let Err(error) = named.write(dir) {
                tracing::warn!("{FILE} could not be written, a restored backup would not be noticed: {error:#}");
                return Ok(());
            }
            let tx = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
            put(&tx, JOURNAL, &journal)?;
            tx.commit()?;
            return Ok(());
        }
        Verdict::Older(why) => why,
    };
    // From here on it is a memory of its own: the file that stood here before would not fit either.
    let journal = random_id()?;
    let known = mirror.as_ref().map_or(0, |m| m.run);
    let tx = c.transaction_with_behavior(TransactionBehavior::Immediate).context("the state file is locked")?;
    put(&tx, JOURNAL, &journal)?;
    mark(&tx, &why, own.last_run, now)?;
    start_runs_after(&tx, known)?;
    tx.commit().context("writing the state file")?;
    tracing::warn!("this memory was restored from a backup: {why}; the next run compares everything and takes nothing away");
    if let Err(error) = (Mirror { journal, run: known.max(own.last_run), at: stamp(now), ended: own.ended }).write(dir) {
        tracing::warn!("{FILE} could not be written: {error:#}");
    }
    Ok(())
}

fn put(tx: &Transaction<'_>, key: &str, value: &str) -> rusqlite::Result<()> {
    tx.run("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value", params![key, value])?;
    Ok(())
}

/// What people asked of the memory that is lost is not asked of this one: it may have been done long ago.
fn mark(tx: &Transaction<'_>, why: &str, last_run: i64, now: DateTime<Utc>) -> anyhow::Result<()> {
    let restored = Restored { why: why.to_owned(), found_at: stamp(now), last_run, stage: Stage::Comparing };
    put(tx, RESTORED, &serde_json::to_string(&restored)?)?;
    tx.run("UPDATE request SET taken_at = ?1, answer = 'not taken up: restored from a backup' WHERE taken_at IS NULL", [stamp(now)])?;
    tx.run("UPDATE approval SET expires_at = ?1 WHERE used_run IS NULL AND ceiling > 0", [stamp(now)])?;
    Ok(())
}

/// Numbers that were given already are not given again: history and logs name them.
fn start_runs_after(tx: &Transaction<'_>, run: i64) -> rusqlite::Result<()> {
    if tx.run("UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'run'", [run])? == 0 {
        tx.run("INSERT INTO sqlite_sequence (name, seq) VALUES ('run', ?1)", [run])?;
    }
    Ok(())
}

fn random_id() -> anyhow::Result<String> {
    let mut bytes = [0u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("the operating system gives no random bytes"))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// The mirror travels with a copy to rehearse on, so that a plan sees what a run would see.
pub(super) fn copy_mirror(from: &Path, to: &Path) {
    if let Some(mirror) = from.parent().and_then(|dir| fs::read(dir.join(FILE)).ok()) {
        let _ = fs::write(to.join(FILE), mirror);
    }
}

impl Store {
    /// Where the mirror is; `None` for a store in memory.
    fn mirror_dir(&self) -> Option<PathBuf> {
        self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).map(Path::to_owned)
    }

    /// After the commit that it tells of. A mirror that cannot be written is behind, which is never wrong.
    pub(super) fn note_in_mirror(&self, run: i64, ended: bool, now: DateTime<Utc>) {
        let Some(dir) = self.mirror_dir() else { return };
        let written = match self.meta(JOURNAL) {
            Ok(None) => return,
            Ok(Some(journal)) => Mirror { journal, run, at: stamp(now), ended }.write(&dir),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::warn!("{FILE} could not be written, a restored backup may not be noticed: {error:#}");
        }
    }

    /// The mark of a restored memory, while it stands.
    pub fn restored(&self) -> anyhow::Result<Option<Restored>> {
        self.meta(RESTORED)?.map(|json| serde_json::from_str(&json).context("the mark of a restored backup")).transpose()
    }

    /// For who only looks: restored, though no run has noticed yet.
    pub fn seems_restored(&self) -> anyhow::Result<Option<String>> {
        let Some(dir) = self.mirror_dir() else { return Ok(None) };
        let mirror = Mirror::read(&dir);
        match verdict(&self.read(own)?, mirror.as_ref()) {
            Verdict::Older(why) => Ok(Some(why)),
            Verdict::Same | Verdict::Unnamed => Ok(None),
        }
    }

    /// The records themselves show that this memory is older than they are.
    pub fn declare_restored(&self, run: i64, why: &str, now: DateTime<Utc>) -> anyhow::Result<()> {
        self.write(|tx| {
            mark(tx, why, run - 1, now)?;
            note_run(tx, run)
        })
    }

    /// The history says of a run that it compares everything because of a restored backup.
    pub fn note_restored_run(&self, run: i64) -> anyhow::Result<()> {
        self.write(|tx| note_run(tx, run))
    }

    /// A full comparison came to its end. `began` suspects there were before it, some may be left.
    pub fn compared(&self, run: i64, began: u64, whole: bool, now: DateTime<Utc>) -> anyhow::Result<()> {
        let Some(mut restored) = self.restored()? else { return Ok(()) };
        let suspects = self.all_suspects()?;
        let since = restored.found_at.parse::<DateTime<Utc>>().unwrap_or(now);
        let proved = began == 0 && suspects == 0 || now - since > chrono::Duration::hours(PATIENCE_HOURS);
        restored.stage = match restored.stage {
            Stage::Comparing | Stage::Proving if whole && proved => Stage::Waiting,
            Stage::Comparing if whole => Stage::Proving,
            stage => stage,
        };
        let held = self.holds()?.iter().any(|hold| hold.reason.starts_with(RESTORED_REASON));
        self.write(|tx| {
            if restored.stage == Stage::Waiting && !held {
                tracing::info!(run, "everything is known again: the restored memory is in step with the world");
                tx.run("DELETE FROM meta WHERE key = ?1", [RESTORED])?;
            } else {
                put(tx, RESTORED, &serde_json::to_string(&restored)?)?;
            }
            Ok(())
        })
    }

    /// Records that were not seen and are not yet proved gone.
    pub fn all_suspects(&self) -> anyhow::Result<u64> {
        self.read(|c| {
            c.one(
                "SELECT count(*) FROM suspect u WHERE NOT EXISTS
                   (SELECT 1 FROM staged s WHERE s.object = u.object AND s.side = u.side AND s.id = u.id AND s.life <> 'live')",
                [],
                |r| r.get(0),
            )
            .map(super::links::count)
        })
    }
}

/// How the guard's word for it begins.
pub const RESTORED_REASON: &str = "restored backup";

fn note_run(tx: &Transaction<'_>, run: i64) -> anyhow::Result<()> {
    tx.run(
        "UPDATE run SET kind = 'full', cause = cause || ', restored backup' WHERE id = ?1 AND cause NOT LIKE '%restored backup'",
        [run],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::RunCounts;

    fn now() -> DateTime<Utc> {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    fn run(dir: &Path) -> i64 {
        let store = Store::open(dir).unwrap();
        let run = store.start_run("delta", "once", now()).unwrap();
        store.finish_run(run, "ok", None, &RunCounts::default(), now()).unwrap();
        run
    }

    /// As `sqlite3 .backup` does it.
    fn back_up(dir: &Path, to: &Path) {
        let source = Connection::open(dir.join("lockstep.db")).unwrap();
        let mut target = Connection::open(to).unwrap();
        rusqlite::backup::Backup::new(&source, &mut target).unwrap().run_to_completion(100, std::time::Duration::ZERO, None).unwrap();
    }

    fn put_back(dir: &Path, from: &Path) {
        for log in ["lockstep.db-wal", "lockstep.db-shm"] {
            let _ = fs::remove_file(dir.join(log));
        }
        fs::copy(from, dir.join("lockstep.db")).unwrap();
    }

    #[test]
    fn every_pair_of_memory_and_mirror_has_one_verdict() {
        let mirror = |journal: &str, run, ended| Mirror { journal: journal.to_owned(), run, at: "then".to_owned(), ended };
        let own = |journal: Option<&str>, last_run, ended| Own { journal: journal.map(str::to_owned), last_run, ended };
        for (own, mirror, older) in [
            (own(None, 0, true), None, None),
            (own(None, 7, true), None, None),
            (own(None, 0, true), Some(mirror("a", 0, true)), None),
            (own(None, 7, true), Some(mirror("a", 7, true)), None),
            (own(None, 0, true), Some(mirror("a", 7, true)), Some("the memory is empty")),
            (own(None, 3, true), Some(mirror("a", 7, true)), Some("ends with run 3")),
            (own(Some("a"), 0, true), None, None),
            (own(Some("a"), 3, true), None, Some("without its lockstep.journal")),
            (own(Some("a"), 3, true), Some(mirror("b", 2, true)), Some("another memory")),
            (own(Some("a"), 3, true), Some(mirror("a", 4, false)), Some("ends with run 3")),
            (own(Some("a"), 3, false), Some(mirror("a", 3, true)), Some("in the middle of run 3")),
            // A crash leaves the mirror behind, never ahead.
            (own(Some("a"), 3, false), Some(mirror("a", 3, false)), None),
            (own(Some("a"), 3, false), Some(mirror("a", 2, true)), None),
            (own(Some("a"), 3, true), Some(mirror("a", 3, false)), None),
            (own(Some("a"), 3, true), Some(mirror("a", 3, true)), None),
        ] {
            match (verdict(&own, mirror.as_ref()), older) {
                (Verdict::Older(why), Some(part)) => assert!(why.contains(part), "{own:?} {mirror:?}: {why}"),
                (Verdict::Same | Verdict::Unnamed, None) => {}
                (verdict, _) => panic!("{own:?} {mirror:?}: {verdict:?}"),
            }
        }
    }

    #[test]
    fn an_older_copy_is_marked_once_and_its_runs_get_new_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let (state, backup) = (dir.path().join("state"), dir.path().join("backup.db"));
        assert_eq!((run(&state), run(&state)), (1, 2));
        Store::open(&state).unwrap().ask("resync", "", now()).unwrap();
        back_up(&state, &backup);
        assert_eq!(Store::open(&state).unwrap().restored().unwrap(), None, "a copy being taken changes nothing");
        assert_eq!((run(&state), run(&state)), (3, 4));
        put_back(&state, &backup);
        let looked = Store::open_read_only(&state).unwrap().unwrap();
        assert!(looked.seems_restored().unwrap().is_some_and(|why| why.contains("run 2") && why.contains("number 4")));
        drop(looked);
        let store = Store::open(&state).unwrap();
        let mark = store.restored().unwrap().unwrap();
        assert_eq!((mark.last_run, mark.stage), (2, Stage::Comparing));
        assert!(store.open_requests().unwrap().is_empty(), "what was asked before the backup is not asked now");
        drop(store);
        assert_eq!(run(&state), 5, "3 and 4 were given already");
        let store = Store::open(&state).unwrap();
        assert_eq!(store.restored().unwrap().unwrap().found_at, mark.found_at, "noticed once");
        store.compared(5, 0, true, now()).unwrap();
        assert_eq!(store.restored().unwrap(), None);
        // The same copy again is older again.
        drop(store);
        put_back(&state, &backup);
        assert!(Store::open(&state).unwrap().restored().unwrap().is_some());
    }

    #[test]
    fn a_copy_alone_in_a_new_place_and_a_lost_file_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (state, backup, new) = (dir.path().join("state"), dir.path().join("backup.db"), dir.path().join("new"));
        run(&state);
        back_up(&state, &backup);
        fs::create_dir(&new).unwrap();
        fs::copy(&backup, new.join("lockstep.db")).unwrap();
        assert!(Store::open(&new).unwrap().restored().unwrap().unwrap().why.contains("without its"));
        for file in ["lockstep.db", "lockstep.db-wal", "lockstep.db-shm"] {
            let _ = fs::remove_file(state.join(file));
        }
        assert!(Store::open(&state).unwrap().restored().unwrap().unwrap().why.contains("empty"));
        assert_eq!(run(&state), 2);
    }

    #[test]
    fn the_mark_stays_while_something_is_to_be_proved_or_held() {
        let dir = tempfile::tempdir().unwrap();
        run(dir.path());
        fs::remove_file(dir.path().join(FILE)).unwrap();
        let store = Store::open(dir.path()).unwrap();
        let stage = || store.restored().unwrap().map(|r| r.stage);
        store.compared(2, 0, false, now()).unwrap();
        assert_eq!(stage(), Some(Stage::Comparing), "a run that was not whole proves nothing");
        store.compared(3, 1, true, now()).unwrap();
        assert_eq!(stage(), Some(Stage::Proving), "one more look after the last suspect");
        let reason = format!("{RESTORED_REASON}: 1 planned");
        let hold = crate::store::HoldRow {
            kind: "too-many".to_owned(),
            object: "feature".to_owned(),
            side: "platform".to_owned(),
            verb: "delete".to_owned(),
            reason,
            count: 1,
            ceiling: 0,
            of: 1,
            since: stamp(now()),
            sample: String::new(),
        };
        store.put_hold(3, &hold).unwrap();
        store.compared(4, 0, true, now()).unwrap();
        assert_eq!(stage(), Some(Stage::Waiting));
        store.discard_hold("feature", "platform", "delete", now()).unwrap();
        store.compared(5, 0, false, now()).unwrap();
        assert_eq!(stage(), None);
    }
}
