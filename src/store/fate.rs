//! Simulated death at a commit. Exists in test builds only.

use std::sync::atomic::{AtomicU64, Ordering};

/// Which commit from now is the last one, and whether it reaches the disk.
#[derive(Debug, Default)]
pub struct Fate {
    /// Commits left; 0: immortal.
    left: AtomicU64,
    after: std::sync::atomic::AtomicBool,
    commits: AtomicU64,
}

impl Fate {
    /// The process dies at the `n`-th commit from now, before it is on disk or right after. `None`: it lives.
    pub fn arm(&self, at: Option<(u64, bool)>) {
        let (n, after) = at.unwrap_or((0, false));
        self.left.store(n, Ordering::SeqCst);
        self.after.store(after, Ordering::SeqCst);
    }

    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    pub(super) fn before_commit(&self) {
        self.commits.fetch_add(1, Ordering::SeqCst);
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
        std::panic::resume_unwind(Box::new(crate::simulation::Crash))
    }
}
