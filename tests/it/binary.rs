//! The real binary as a child process: started with a test's rules and state, waited for, or ended by a signal.
//!
//! `LOCKSTEP_BINARY` names another build of it, as `benches/kills.sh` does.

use crate::rig::Rig;
use serde_json::Value;
use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// No run of a test takes this long; one that does hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// What became of a process.
#[derive(Debug)]
pub enum Ended {
    /// By a signal: it had no say in it.
    Killed,
    Told {
        code: i32,
        report: String,
        log: String,
    },
}

impl Ended {
    pub fn report(&self) -> Value {
        match self {
            Self::Told { report, log, .. } => serde_json::from_str(report).unwrap_or_else(|e| panic!("{e}\n{report}\n{log}")),
            Self::Killed => panic!("it died by itself"),
        }
    }

    pub fn code(&self) -> i32 {
        match self {
            Self::Told { code, .. } => *code,
            Self::Killed => panic!("it died by itself"),
        }
    }

    pub fn log(&self) -> &str {
        match self {
            Self::Told { log, .. } => log,
            Self::Killed => panic!("it died by itself"),
        }
    }
}

pub fn binary() -> PathBuf {
    std::env::var_os("LOCKSTEP_BINARY").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_lockstep")), PathBuf::from)
}

/// A process that works on the rig's state.
pub struct Running {
    child: Child,
    out: PathBuf,
    log: PathBuf,
}

/// How it is started.
#[derive(Debug, Default, Clone, Copy)]
pub struct How<'a> {
    pub env: &'a [(&'a str, &'a str)],
    /// No file of it grows beyond this; writing more fails as on a full disk.
    pub most_kib: Option<u64>,
}

/// Its output goes to files: a pipe that nobody reads would stop it.
pub fn start(rig: &Rig, args: &[&str], how: How<'_>) -> Running {
    static STARTED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let n = STARTED.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    let dir = rig.dir.path();
    let (out, log) = (dir.join(format!("out-{n}")), dir.join(format!("log-{n}")));
    let mut command = match how.most_kib {
        None => Command::new(binary()),
        Some(kib) => {
            let mut shell = Command::new("bash");
            shell.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"")).arg(binary());
            shell
        }
    };
    let child = command
        .arg("--rules")
        .arg(rig.rules_path())
        .arg("--state")
        .arg(rig.state())
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(how.env.iter().copied())
        .stdin(Stdio::null())
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    Running { child, out, log }
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
    }

    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub async fn wait(&mut self) -> Ended {
        self.wait_and(|_| false).await
    }

    /// Waits for its end, and kills it as soon as `enough`.
    pub async fn wait_and(&mut self, mut enough: impl FnMut(&Self) -> bool) -> Ended {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let read = |path: &PathBuf| fs::read_to_string(path).unwrap();
                return match status.code() {
                    None => Ended::Killed,
                    Some(code) => Ended::Told { code, report: read(&self.out), log: read(&self.log) },
                };
            }
            if enough(self) {
                self.kill();
            }
            assert!(began.elapsed() < PATIENCE, "it does not end:\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `KILL`, `STOP`, `CONT`, `TERM`, `HUP`, `USR1`, `USR2`.
pub fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
}

pub async fn run(rig: &Rig, args: &[&str]) -> Ended {
    start(rig, args, How::default()).wait().await
}

/// `once --json`, which must come to its end.
pub async fn once(rig: &Rig) -> Value {
    run(rig, &["once", "--json"]).await.report()
}
