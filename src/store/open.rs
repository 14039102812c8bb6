//! Opening the file: directory and modes, pragmas, numbered migrations, refusal of what is newer, damaged or not ours.

use anyhow::Context;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, config::DbConfig};
use std::{
    fs,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Each migration once, in order; `PRAGMA user_version` counts them.
const MIGRATIONS: &[(&str, &str)] = &[
    ("0001 first", include_str!("migrations/0001-first.sql")),
    ("0002 census", include_str!("migrations/0002-census.sql")),
    ("0003 guards", include_str!("migrations/0003-guards.sql")),
    ("0004 statistics", include_str!("migrations/0004-statistics.sql")),
];

pub const SCHEMA_VERSION: usize = MIGRATIONS.len();

pub struct Store {
    connection: Mutex<Connection>,
    pub(super) path: PathBuf,
    #[cfg(any(test, feature = "simulation"))]
    fate: super::Fate,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "{path} was written by a newer Lockstep (schema {found}, this build knows {known}): install that version or newer; nothing was changed"
    )]
    Newer { path: String, found: usize, known: usize },
    #[error(
        "{path} is damaged ({reason}); it was set aside as {aside}, never deleted: restore a backup in its place, or start again without it and let the systems be adopted afresh"
    )]
    Damaged { path: String, reason: String, aside: String },
    #[error("{path}")]
    Sqlite { path: String, source: rusqlite::Error },
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl Store {
    /// Opens `lockstep.db` in the state directory for writing, creating both (0700, 0600) where missing.
    pub fn open(state_dir: &Path) -> Result<Self, OpenError> {
        make_private_dir(state_dir)?;
        let path = state_dir.join("lockstep.db");
        let fresh = !path.exists();
        if fresh {
            fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .with_context(|| path.display().to_string())?;
        }
        match Self::prepare(&path, fresh) {
            Err(OpenError::Sqlite { source, .. }) if is_damage(&source) => Err(set_aside(&path, &source.to_string())),
            other => other,
        }
    }

    fn prepare(path: &Path, fresh: bool) -> Result<Self, OpenError> {
        let named = |source| OpenError::Sqlite { path: path.display().to_string(), source };
        let mut c = Connection::open(path).map_err(named)?;
        c.busy_timeout(Duration::from_secs(10)).map_err(named)?;
        let found = user_version(&c).map_err(named)?;
        if found > SCHEMA_VERSION {
            return Err(OpenError::Newer { path: path.display().to_string(), found, known: SCHEMA_VERSION });
        }
        if !fresh {
            let verdict: String = c.query_row("PRAGMA quick_check(1)", [], |r| r.get(0)).map_err(named)?;
            if verdict != "ok" {
                drop(c);
                return Err(set_aside(path, &verdict));
            }
        }
        pragmas(&c).map_err(named)?;
        migrate(&mut c, found).map_err(named)?;
        if let Some(dir) = path.parent() {
            super::lineage::recognise(&mut c, dir, chrono::Utc::now())?;
        }
        Ok(Self::of(c, path.to_owned()))
    }

    /// A store in memory: tests, and nothing else.
    pub fn in_memory() -> anyhow::Result<Self> {
        let mut c = Connection::open_in_memory()?;
        pragmas(&c)?;
        migrate(&mut c, 0)?;
        Ok(Self::of(c, PathBuf::from(":memory:")))
    }

    /// Opens an existing file for reading only; `None` where there is none yet.
    pub fn open_read_only(state_dir: &Path) -> Result<Option<Self>, OpenError> {
        let path = state_dir.join("lockstep.db");
        if !path.exists() {
            return Ok(None);
        }
        let named = |source| OpenError::Sqlite { path: path.display().to_string(), source };
        let c = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(named)?;
        c.busy_timeout(Duration::from_secs(10)).map_err(named)?;
        let found = user_version(&c).map_err(named)?;
        if found > SCHEMA_VERSION {
            return Err(OpenError::Newer { path: path.display().to_string(), found, known: SCHEMA_VERSION });
        }
        // A file that is only just being made holds nothing yet.
        if found == 0 {
            return Ok(None);
        }
        Ok(Some(Self::of(c, path)))
    }

    /// A private copy to rehearse on: the original is only read.
    pub fn copy_to(&self, target_dir: &Path) -> Result<Self, OpenError> {
        make_private_dir(target_dir)?;
        let path = target_dir.join("lockstep.db");
        let mut target = Connection::open(&path).context("opening the copy")?;
        {
            let source = self.lock();
            let backup = rusqlite::backup::Backup::new(&source, &mut target).context("copying the store")?;
            backup.run_to_completion(1000, Duration::ZERO, None).context("copying the store")?;
        }
        drop(target);
        super::lineage::copy_mirror(&self.path, target_dir);
        Self::prepare(&path, true)
    }

    fn of(c: Connection, path: PathBuf) -> Self {
        Self {
            connection: Mutex::new(c),
            path,
            #[cfg(any(test, feature = "simulation"))]
            fate: super::Fate::default(),
        }
    }

    /// When a simulated process dies.
    #[cfg(any(test, feature = "simulation"))]
    pub const fn fate(&self) -> &super::Fate {
        &self.fate
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic while the lock was held rolled its transaction back; the connection itself is sound.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One commit.
    pub(super) fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut c = self.lock();
        let tx = c.transaction_with_behavior(TransactionBehavior::Immediate).context("the state file is locked")?;
        let value = work(&tx)?;
        super::crash::point();
        #[cfg(any(test, feature = "simulation"))]
        self.fate.before_commit();
        tx.commit().context("writing the state file")?;
        super::crash::point();
        #[cfg(any(test, feature = "simulation"))]
        self.fate.after_commit();
        Ok(value)
    }

    pub(super) fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> anyhow::Result<T> {
        work(&self.lock()).context("reading the state file")
    }
}

/// Statements by their text, prepared once: a run asks the same few hundred questions again and again.
pub(super) trait Cached {
    fn run<P: rusqlite::Params>(&self, sql: &str, params: P) -> rusqlite::Result<usize>;

    fn one<T, P: rusqlite::Params>(
        &self,
        sql: &str,
        params: P,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T>;
}

impl Cached for Connection {
    fn run<P: rusqlite::Params>(&self, sql: &str, params: P) -> rusqlite::Result<usize> {
        self.prepare_cached(sql)?.execute(params)
    }

    fn one<T, P: rusqlite::Params>(
        &self,
        sql: &str,
        params: P,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.prepare_cached(sql)?.query_row(params, read)
    }
}

fn user_version(c: &Connection) -> rusqlite::Result<usize> {
    c.query_row("PRAGMA user_version", [], |r| r.get::<_, i64>(0)).map(|v| usize::try_from(v).unwrap_or(usize::MAX))
}

fn pragmas(c: &Connection) -> rusqlite::Result<()> {
    c.pragma_update(None, "journal_mode", "WAL")?;
    // One fdatasync a commit: a commit that was reported survives a power cut.
    c.pragma_update(None, "synchronous", "FULL")?;
    c.pragma_update(None, "foreign_keys", "ON")?;
    c.pragma_update(None, "trusted_schema", "OFF")?;
    c.pragma_update(None, "cache_size", -16_000)?;
    c.pragma_update(None, "temp_store", "FILE")?;
    // No plan depends on the values that are bound. SQLite would otherwise look at each new one and prepare every statement
    // that might use a partial index (all that ask the journal) anew: a third of the time of a small run.
    c.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    c.set_prepared_statement_cache_capacity(512);
    Ok(())
}

fn migrate(c: &mut Connection, from: usize) -> rusqlite::Result<()> {
    for (i, (_, sql)) in MIGRATIONS.iter().enumerate().skip(from) {
        let tx = c.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        tx.execute_batch(sql)?;
        tx.pragma_update(None, "user_version", i64::try_from(i + 1).unwrap_or(i64::MAX))?;
        tx.commit()?;
    }
    Ok(())
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase))
}

/// Renames the file and its log; the memory of what was agreed is never deleted.
fn set_aside(path: &Path, reason: &str) -> OpenError {
    let now = super::stamp(chrono::Utc::now()).replace(':', "");
    let aside = path.with_file_name(format!("lockstep.db.damaged-{now}"));
    let mut reason = reason.to_owned();
    if let Err(e) = fs::rename(path, &aside) {
        reason = format!("{reason}; and it could not be renamed: {e}");
    }
    for suffix in ["-wal", "-shm"] {
        let log = path.with_file_name(format!("lockstep.db{suffix}"));
        if log.exists() {
            let _ = fs::rename(&log, aside.with_file_name(format!("lockstep.db.damaged-{now}{suffix}")));
        }
    }
    OpenError::Damaged { path: path.display().to_string(), reason, aside: aside.display().to_string() }
}

fn make_private_dir(dir: &Path) -> anyhow::Result<()> {
    if !dir.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(|| format!("creating {}", dir.display()))?;
    }
    let mode = fs::metadata(dir).with_context(|| dir.display().to_string())?.permissions().mode();
    if mode & 0o077 != 0 {
        // The repository ships ./state with common modes; what we keep there is nobody else's business.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).with_context(|| format!("making {} private", dir.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn directory_and_file_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let store = Store::open(&state).unwrap();
        assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(store.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_newer_file_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path()).unwrap());
        let path = dir.path().join("lockstep.db");
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let before = fs::read(&path).unwrap();
        assert!(matches!(Store::open(dir.path()), Err(OpenError::Newer { found: 99, .. })));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_damaged_file_is_set_aside_not_deleted() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("lockstep.db"), vec![b'x'; 8192]).unwrap();
        let Err(OpenError::Damaged { aside, .. }) = Store::open(dir.path()) else { panic!("opened a damaged file") };
        assert_eq!(fs::read(aside).unwrap(), vec![b'x'; 8192]);
        Store::open(dir.path()).unwrap();
    }

    /// Holds, parked records and approvals of a file that was written before holds had kinds.
    #[test]
    fn old_holds_and_parked_records_come_along() {
        let mut c = Connection::open_in_memory().unwrap();
        pragmas(&c).unwrap();
        c.execute_batch(MIGRATIONS[0].1).unwrap();
        c.pragma_update(None, "user_version", 1).unwrap();
        c.execute_batch(
            "INSERT INTO run (kind, cause, started_at) VALUES ('delta', 'once', '2026-11-24T10:00:00Z');
             INSERT INTO hold VALUES ('account', 'platform', 'create', '120 planned, 100 allowed in one run', 120, 100, 50, '2026-11-24T10:00:00Z', 1, '');
             INSERT INTO quarantine VALUES ('contact', 'salesforce', '003A', 'new-in-salesforce', 'validation_error', 'email: no', '2026-11-24T10:00:00Z', 2, '2026-11-24T10:30:00Z', 7, 1);
             INSERT INTO approval VALUES (1, 'account', 'platform', 'create', 120, '2026-11-25T10:00:00Z', '2026-11-24T10:00:00Z', 1);",
        )
        .unwrap();
        migrate(&mut c, 1).unwrap();
        let store = Store::of(c, PathBuf::from(":memory:"));
        let hold = store.holds().unwrap().remove(0);
        assert_eq!((hold.count, hold.kind.as_str()), (120, "too-many"));
        assert!(store.hold_samples("account", "platform", "create").unwrap().is_empty());
        let parked = store.quarantine(10).unwrap().remove(0);
        assert_eq!((parked.id.as_str(), parked.attempts, parked.field), ("003A", 2, None));
        assert_eq!(store.view("held", "1", "", 10).unwrap().rows[0].last().unwrap().as_deref(), Some("too-many"));
        assert!(store.frozen(10).unwrap().is_empty());
        assert_eq!(store.integrity().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_file_of_the_first_schema_keeps_its_rows_and_knows_no_stamps_yet() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lockstep.db");
        {
            let c = Connection::open(&path).unwrap();
            c.execute_batch(MIGRATIONS[0].1).unwrap();
            c.pragma_update(None, "user_version", 1).unwrap();
            c.execute_batch(
                "INSERT INTO run (kind, cause, started_at, outcome) VALUES ('delta', 'once', '2026-01-01T00:00:00Z', 'ok');
                 INSERT INTO run_object (run_id, object, side, read, news) VALUES (1, 'account', 'salesforce', 7, 1);
                 INSERT INTO link (object, salesforce_id, platform_id, linked_at, run_id) VALUES ('account', 'S', 'P', '2026-01-01T00:00:00Z', 1);
                 INSERT INTO base (link_id, side, fields, hash) VALUES (1, 'salesforce', '{}', 5), (1, 'platform', '{}', 6);
                 INSERT INTO suspect VALUES ('account', 'salesforce', 'S', '2026-01-01T00:00:00Z', 1);",
            )
            .unwrap();
        }
        let store = Store::open(dir.path()).unwrap();
        let read = |sql: &str| store.read(|c| c.query_row(sql, [], |r| r.get::<_, i64>(0))).unwrap();
        assert_eq!(read("SELECT count(*) FROM base WHERE stamp IS NULL AND parts IS NULL"), 2);
        assert_eq!(read("SELECT read FROM run_statistics WHERE listed = 0 AND unseen = 0"), 7);
        assert_eq!(read("SELECT count(*) FROM suspect"), 1);
        assert!(store.integrity().unwrap().is_empty());
    }

    /// The journal of a file that was written before there were statistics is counted as it stands.
    #[test]
    fn old_changes_are_counted_by_day_and_period() {
        let mut c = Connection::open_in_memory().unwrap();
        pragmas(&c).unwrap();
        for (n, (_, sql)) in MIGRATIONS[..3].iter().enumerate() {
            c.execute_batch(sql).unwrap();
            c.pragma_update(None, "user_version", i64::try_from(n + 1).unwrap()).unwrap();
        }
        c.execute_batch("INSERT INTO run (kind, cause, started_at) VALUES ('delta', 'once', '2020-02-02T10:00:00Z')").unwrap();
        // Of the last hour, three days ago, twenty days ago, and of an old day.
        for (object, side, verb, state, ago) in [
            ("account", "platform", "create", "done", "-1 hour"),
            ("account", "platform", "create", "done", "-3 days"),
            ("account", "platform", "update", "done", "-20 days"),
            ("account", "platform", "delete", "done", "2020-02-02"),
            ("account", "platform", "update", "rejected", "-1 hour"),
            ("account", "platform", "update", "unknown", "2020-02-02"),
            ("account", "salesforce", "update", "done", "2020-02-02"),
            ("contact", "platform", "link", "done", "2020-02-02"),
            // None of these changed a record.
            ("account", "platform", "advance", "done", "-1 hour"),
            ("account", "platform", "mark", "done", "-1 hour"),
            ("account", "platform", "create", "planned", "-1 hour"),
            ("account", "platform", "create", "promised", "-1 hour"),
            ("account", "platform", "create", "dropped", "-1 hour"),
        ] {
            let (from, modifier) = if ago.starts_with('-') { ("now", ago) } else { (ago, "+10 hours") };
            c.execute(
                "INSERT INTO intent (run_id, object, side, verb, situation, state, fields, moved, advance, planned_at, settled_at)
                 VALUES (1, ?1, ?2, ?3, 'x', ?4, '{}', '[]', '[]', strftime('%Y-%m-%dT%H:%M:%SZ', ?5, ?6),
                         CASE WHEN ?4 NOT IN ('planned', 'promised', 'unknown') THEN strftime('%Y-%m-%dT%H:%M:%SZ', ?5, ?6) END)",
                rusqlite::params![object, side, verb, state, from, modifier],
            )
            .unwrap();
        }
        migrate(&mut c, 3).unwrap();
        let store = Store::of(c, PathBuf::from(":memory:"));
        let seen: Vec<String> = store
            .statistics()
            .unwrap()
            .into_iter()
            .map(|s| format!("{} {} {} {}/{}/{}/{}/{}", s.period, s.object, s.side, s.created, s.changed, s.deleted, s.linked, s.failed))
            .collect();
        assert_eq!(
            seen,
            [
                "day account platform 1/0/0/0/1",
                "week account platform 2/0/0/0/1",
                "month account platform 2/1/0/0/1",
                "all account platform 2/1/1/0/2",
                "all account salesforce 0/1/0/0/0",
                "all contact platform 0/0/0/1/0",
            ]
        );
        let days = store.view("daily_statistics", "day = ?1 ORDER BY object, side", "2020-02-02", 10).unwrap();
        let days: Vec<Vec<&str>> = days.rows.iter().map(|row| row.iter().map(|cell| cell.as_deref().unwrap()).collect()).collect();
        assert_eq!(
            days,
            [
                ["2020-02-02", "account", "platform", "0", "0", "1", "0", "1"],
                ["2020-02-02", "account", "salesforce", "0", "1", "0", "0", "0"],
                ["2020-02-02", "contact", "platform", "0", "0", "0", "1", "0"],
            ]
        );
        assert_eq!(store.integrity().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn counting_reads_no_row_of_the_journal_that_was_done() {
        let store = Store::in_memory().unwrap();
        for view in ["statistics", "daily_statistics"] {
            let plan: String = store
                .read(|c| {
                    c.prepare(&format!("EXPLAIN QUERY PLAN SELECT * FROM {view}"))?
                        .query_map([], |r| r.get::<_, String>(3))?
                        .collect::<rusqlite::Result<Vec<_>>>()
                        .map(|lines| lines.join("\n"))
                })
                .unwrap();
            assert!(plan.contains("COVERING INDEX intent_settled") && plan.contains("INDEX intent_failed"), "{view}: {plan}");
            assert!(!plan.lines().any(|line| line.trim() == "SCAN intent"), "{view}: {plan}");
        }
    }

    /// Of a journal of any size: preparing costs more than asking.
    #[test]
    fn a_statement_is_prepared_once_whatever_is_bound() {
        let store = Store::in_memory().unwrap();
        let c = store.lock();
        let sql = "SELECT id FROM intent WHERE object = ?1 AND side = ?2 AND verb = ?3 AND state = 'planned'";
        let mut statement = c.prepare(sql).unwrap();
        for object in ["account", "contact", "order"] {
            let ids = statement.query_map([object, "platform", "create"], |r| r.get::<_, i64>(0)).unwrap();
            assert_eq!(ids.count(), 0);
        }
        assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0);
    }

    #[test]
    fn tables_are_strict() {
        let store = Store::in_memory().unwrap();
        let loose: Vec<String> = store
            .read(|c| {
                c.prepare(
                    "SELECT name FROM pragma_table_list WHERE schema='main' AND type='table' AND strict=0 AND name NOT LIKE 'sqlite_%'",
                )?
                .query_map([], |r| r.get(0))?
                .collect()
            })
            .unwrap();
        assert_eq!(loose, Vec::<String>::new());
    }
}
