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
    ///
    /// Children go before those they refer to. Switching foreign keys off and on again would be shorter, but SQLite then
    /// prepares every statement anew, which costs more than a whole schedule.
    pub fn wipe(&self) -> anyhow::Result<()> {
        static ORDER: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
        let c = self.lock();
        let order = match ORDER.get() {
            Some(order) => order,
            None => {
                let order = children_first(&c)?;
                ORDER.get_or_init(|| order)
            }
        };
        let tx = c.unchecked_transaction()?;
        for delete in order {
            tx.prepare_cached(delete)?.execute([])?;
        }
        tx.commit()?;
        Ok(())
    }
}

/// One statement for each table, in an order in which no foreign key is in the way.
fn children_first(c: &rusqlite::Connection) -> anyhow::Result<Vec<String>> {
    let mut left: Vec<(String, Vec<String>)> = Vec::new();
    for table in c
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")?
        .query_map([], |r| r.get::<_, String>(0))?
    {
        let table = table?;
        let parents = c
            .prepare("SELECT DISTINCT \"table\" FROM pragma_foreign_key_list(?1) WHERE \"table\" <> ?1")?
            .query_map([&table], |r| r.get(0))?
            .collect::<Result<_, _>>()?;
        left.push((table, parents));
    }
    let mut order = Vec::new();
    while !left.is_empty() {
        let free = left.iter().position(|(table, _)| !left.iter().any(|(_, parents)| parents.contains(table)));
        let (table, _) = left.remove(free.ok_or_else(|| anyhow::anyhow!("tables refer to each other in a circle"))?);
        order.push(format!("DELETE FROM {table}"));
    }
    order.push("DELETE FROM sqlite_sequence".to_owned());
    Ok(order)
}
