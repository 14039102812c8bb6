//! Dying on purpose at a numbered commit, so that tests can kill a real process at every one of them.
//!
//! Only in builds with debug assertions. A release build has no counter, reads no variable, and nothing to switch on.

/// A point is passed before and after every commit, and around every rename of the mirror. `LOCKSTEP_DIE_AT_COMMIT=n`
/// ends the process at the n-th as a power cut would: no destructor, no rollback, no farewell.
/// `LOCKSTEP_COUNT_COMMITS=file` keeps the number passed so far in a file.
#[cfg(debug_assertions)]
pub(super) fn point() {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };
    static PASSED: AtomicU64 = AtomicU64::new(0);
    static DIE_AT: OnceLock<Option<u64>> = OnceLock::new();
    let passed = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
    if let Some(path) = std::env::var_os("LOCKSTEP_COUNT_COMMITS") {
        let _ = std::fs::write(path, passed.to_string());
    }
    let die_at = DIE_AT.get_or_init(|| std::env::var("LOCKSTEP_DIE_AT_COMMIT").ok()?.parse().ok());
    if *die_at == Some(passed) {
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
pub(super) const fn point() {}
