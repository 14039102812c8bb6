//! One writer of plans per state directory: an advisory lock on `lockstep.lock`, let go by the kernel when the process ends.

use fs4::fs_std::FileExt;
use std::{
    fmt,
    fs::{self, File},
    io::{Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

const FILE: &str = "lockstep.lock";
/// A reader that only looks who is there holds the lock for a moment.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// Who works on a state directory: `a daemon (process 123)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    what: String,
    process: String,
}

impl Holder {
    fn read(file: &mut File) -> Self {
        let mut text = String::new();
        let _ = file.rewind();
        let _ = file.take(100).read_to_string(&mut text);
        let (what, process) = text.trim().split_once(' ').unwrap_or(("command", "unknown"));
        Self { what: what.to_owned(), process: process.to_owned() }
    }

    /// It takes up requests as they come.
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        self.what == "daemon"
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_daemon() {
            write!(f, "a daemon (process {})", self.process)
        } else {
            write!(f, "another {} (process {})", self.what, self.process)
        }
    }
}

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "{who} is running on the state directory {}: let it work (systemctl kill -s SIGUSR2 lockstep runs it now), stop it, or name another with --state",
        dir.display()
    )]
    Held { dir: PathBuf, who: Holder },
    #[error("{}", path.display())]
    File { path: PathBuf, source: std::io::Error },
}

impl Lock {
    /// Takes the lock for `what` (`daemon`, `once`); the directory is made (0700) where missing.
    pub fn take(dir: &Path, what: &str) -> Result<Self, LockError> {
        let path = dir.join(FILE);
        let named = |source| LockError::File { path: path.clone(), source };
        if !dir.exists() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(named)?;
        }
        let mut file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(named)?;
        for attempt in 1..=TRIES {
            if FileExt::try_lock_exclusive(&file).map_err(named)? {
                file.set_len(0).map_err(named)?;
                file.rewind().map_err(named)?;
                writeln!(file, "{what} {}", std::process::id()).map_err(named)?;
                return Ok(Self { _file: file });
            }
            if attempt < TRIES {
                std::thread::sleep(PAUSE);
            }
        }
        Err(LockError::Held { dir: dir.to_owned(), who: Holder::read(&mut file) })
    }

    /// Who works on this directory right now, if anybody.
    #[must_use]
    pub fn holder(dir: &Path) -> Option<Holder> {
        let mut file = File::options().read(true).open(dir.join(FILE)).ok()?;
        // Shared, so that two who look do not see each other.
        if FileExt::try_lock_shared(&file).unwrap_or(true) {
            let _ = FileExt::unlock(&file);
            return None;
        }
        Some(Holder::read(&mut file))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_second_is_told_who_and_where() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let first = Lock::take(&state, "daemon").unwrap();
        let holder = Lock::holder(&state).unwrap();
        assert_eq!((holder.to_string(), holder.is_daemon()), (format!("a daemon (process {})", std::process::id()), true));
        let message = Lock::take(&state, "once").unwrap_err().to_string();
        assert!(message.contains("a daemon (process"), "{message}");
        assert!(message.contains(&state.display().to_string()), "{message}");
        drop(first);
        assert_eq!(Lock::holder(&state), None);
        let once = Lock::take(&state, "once").unwrap();
        assert!(Lock::holder(&state).is_some_and(|holder| !holder.is_daemon()));
        drop(once);
        assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(state.join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
