//! Simulated death at a commit. Exists in test builds only.

use std::sync::atomic::{AtomicU64, Ordering};

/// The process is gone: nothing after this runs. Thrown as a panic that no hook hears.
pub struct Crash;

/// Which commit from now is the last one, and whether it reaches the disk.
#[derive(Debug, Default)]
pub struct Fate {
    /// Commits left; 0: immortal.
    left: AtomicU64,
    after: std::sync::atomic::AtomicBool,
    died: std::sync::atomic::AtomicBool,
}

impl Fate {
    /// The process dies at the `n`-th commit from now, before it is on disk or right after. `None`: it lives.
    pub fn arm(&self, at: Option<(u64, bool)>) {
        let (n, after) = at.unwrap_or((0, false));
        self.left.store(n, Ordering::SeqCst);
        self.after.store(after, Ordering::SeqCst);
        self.died.store(false, Ordering::SeqCst);
    }

    /// Whether it was a commit that the process died of.
    #[must_use]
    pub fn spent(&self) -> bool {
        self.died.load(Ordering::SeqCst)
    }

    pub(super) fn before_commit(&self) {
        if self.left.load(Ordering::SeqCst) == 1 && !self.after.load(Ordering::SeqCst) {
            self.die();
        }
    }

    pub(super) fn after_commit(&self) {
        match self.left.load(Ordering::SeqCst) {
            0 => {}
            1 => self.die(),
            n => self.left.store(n - 1, Ordering::SeqCst),
        }
    }

    fn die(&self) {
        self.left.store(0, Ordering::SeqCst);
        self.died.store(true, Ordering::SeqCst);
        std::panic::resume_unwind(Box::new(Crash))
    }
}

impl super::Store {
    /// Forgets everything, and keeps what SQLite has learned of our questions: a new store for the next schedule.
    pub fn wipe(&self) -> anyhow::Result<()> {
        let c = self.lock();
        c.pragma_update(None, "foreign_keys", "OFF")?;
        let tables: Vec<String> = c
            .prepare_cached("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")?
            .query_map([], |r| r.get(0))?
            .collect::<Result<_, _>>()?;
        for table in tables.iter().map(String::as_str).chain(["sqlite_sequence"]) {
            c.prepare_cached(&format!("DELETE FROM {table}"))?.execute([])?;
        }
        c.pragma_update(None, "foreign_keys", "ON")?;
        Ok(())
    }
}
