//! The commands as a shell sees them, as far as they need no server.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::{
    io::{Read, Write},
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

fn lockstep(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().unwrap()
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
    command.args(args).current_dir(dir).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(output: &Output) -> Value {
    let text = text(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text:?}"))
}

/// A system that is there and lets nobody in; it ends with the test's process.
fn refusing() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                let mut seen = Vec::new();
                let mut buffer = [0; 4096];
                while !seen.windows(4).any(|w| w == b"\r\n\r\n") {
                    match stream.read(&mut buffer) {
                        Ok(n) if n > 0 => seen.extend_from_slice(&buffer[..n]),
                        _ => return,
                    }
                }
                let body = r#"{"error":"invalid_client","error_description":"invalid client credentials"}"#;
                let head = format!(
                    "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close",
                    body.len()
                );
                let _ = write!(stream, "{head}\r\n\r\n{body}");
            });
        }
    });
    address
}

/// The five variables of the shipped rules.
fn secrets(address: &str) -> [(&'static str, String); 5] {
    [
        ("SALESFORCE_LOGIN_URL", address.to_owned()),
        ("SALESFORCE_CLIENT_ID", "id".to_owned()),
        ("SALESFORCE_CLIENT_SECRET", "canary-secret".to_owned()),
        ("LICENSESPRING_URL", address.to_owned()),
        ("LICENSESPRING_API_KEY", "canarykey.0123456789abcdef0123456789abcdef".to_owned()),
    ]
}

/// Nobody listens on port 9 of loopback.
const DEAD: &str = "http://127.0.0.1:9";

fn rules(dir: &Path) {
    assert_eq!(code(&lockstep(dir, &["init", "--platform", "licensespring", "--name", "test"])), 0);
}

#[test]
fn usage_errors_are_2_and_say_so_on_stderr_only() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["dance"][..],
        &["once", "--no-such-flag"],
        &[],
        &["hold", "release", "account", "moon", "create"],
        &["history", "--run", "1", "--record", "x"],
        &["history", "--run", "99"],
        &["conflicts", "restore", "99"],
        &["hold", "show", "account", "platform", "create"],
        &["completions", "cobol"],
        &["init", "--name", "Über Cool"],
    ] {
        let output = lockstep(dir.path(), args);
        assert_eq!(code(&output), 2, "{args:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn help_and_version_are_0_on_stdout() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["--help"][..], &["--version"], &["once", "--help"], &["hold", "release", "--help"]] {
        let output = lockstep(dir.path(), args);
        assert_eq!((code(&output), output.stderr.is_empty()), (0, true), "{args:?}");
        assert!(!output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn without_rules_every_command_that_needs_them_is_78_and_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["once"][..], &["run"], &["plan"], &["check"], &["check", "--online"], &["--rules", "none.toml", "once"]] {
        let output = lockstep(dir.path(), args);
        assert_eq!(code(&output), 78, "{args:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains("lockstep init"), "{args:?}: {}", text(&output.stderr));
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_failed_once_prints_its_object_and_nothing_else_on_stdout() {
    let dir = tempfile::tempdir().unwrap();
    let output = lockstep(dir.path(), &["once", "--json"]);
    assert_eq!(code(&output), 78);
    let object = json(&output);
    assert_eq!(object["outcome"], "failed");
    assert!(object["error"].as_str().unwrap().contains("rules"), "{object}");
    for field in ["run", "kind", "writes", "conflicts", "conflicts_open", "quarantined", "held", "calls"] {
        assert!(object.get(field).is_some(), "{field} in {object}");
    }
    assert_eq!(object["writes"]["salesforce"], 0);
}

#[test]
fn all_mistakes_of_a_rules_file_are_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("sync-rules.toml"), "[connection]\nname = \"Bad Name\"\n[schedule]\nevery = \"5x\"\nnonsense = 1\n")
        .unwrap();
    let output = lockstep(dir.path(), &["check", "--json"]);
    assert_eq!(code(&output), 78);
    let problems = json(&output)["problems"].as_array().unwrap().clone();
    assert!(!problems.is_empty());
    for problem in &problems {
        for field in ["code", "line", "column", "message", "help"] {
            assert!(problem.get(field).is_some(), "{field} in {problem}");
        }
    }
    let output = lockstep(dir.path(), &["check"]);
    assert_eq!(code(&output), 78);
    assert!(text(&output.stdout).contains("sync-rules.toml:"), "{}", text(&output.stdout));
}

#[test]
fn a_missing_secret_is_78_and_a_refused_login_is_1_without_a_secret_in_sight() {
    let dir = tempfile::tempdir().unwrap();
    rules(dir.path());
    assert_eq!(code(&lockstep(dir.path(), &["check"])), 0);
    let output = lockstep(dir.path(), &["once"]);
    assert_eq!(code(&output), 78, "{}", text(&output.stderr));
    let output = command(dir.path(), &["once", "--json"]).envs(secrets(&refusing())).output().unwrap();
    assert_eq!(code(&output), 1, "{}", text(&output.stderr));
    let object = json(&output);
    assert_eq!((object["run"].as_i64(), object["outcome"].as_str()), (Some(1), Some("failed")));
    for said in [&output.stdout, &output.stderr] {
        assert!(!text(said).contains("canary"), "{}", text(said));
    }
    let history = json(&lockstep(dir.path(), &["history", "--json"]));
    assert_eq!(history["runs"][0]["outcome"], "failed");
    let status = lockstep(dir.path(), &["status", "--exit-code", "--json"]);
    assert_eq!((code(&status), json(&status)["last_run"]["run"].as_i64()), (1, Some(1)));
}

#[test]
fn a_plan_that_cannot_be_made_is_1_and_leaves_no_state() {
    let dir = tempfile::tempdir().unwrap();
    rules(dir.path());
    let output = command(dir.path(), &["plan", "--json"]).envs(secrets(DEAD)).output().unwrap();
    assert_eq!(code(&output), 1, "{}", text(&output.stderr));
    assert_eq!(json(&output)["actions"], Value::Array(vec![]));
    assert!(!dir.path().join("state").exists());
}

#[test]
fn check_online_marks_the_steps() {
    let dir = tempfile::tempdir().unwrap();
    rules(dir.path());
    let output = command(dir.path(), &["check", "--online", "--json"]).envs(secrets(&refusing())).output().unwrap();
    assert_eq!(code(&output), 1, "{}", text(&output.stderr));
    let answer = json(&output);
    assert_eq!(answer["ok"], false);
    let steps = answer["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 10);
    let marks: Vec<&str> = steps.iter().map(|step| step["mark"].as_str().unwrap()).collect();
    assert_eq!((marks[0], marks[7], marks[5]), ("done", "failed", "not-seen"), "{answer}");
    assert!(answer["systems"]["salesforce"]["error"].is_string());
}

#[test]
fn readers_of_a_state_that_is_not_there_make_none() {
    let dir = tempfile::tempdir().unwrap();
    for (args, field) in [
        (&["history", "--json"][..], "runs"),
        (&["conflicts", "--json"], "conflicts"),
        (&["conflicts", "--open", "--json"], "conflicts"),
        (&["quarantine", "--json"], "records"),
        (&["hold", "list", "--json"], "holds"),
        (&["status", "--json"], "requests"),
        (&["history", "--record", "001D000000IqhSLIAZ", "--json"], "history"),
    ] {
        let output = lockstep(dir.path(), args);
        assert_eq!(code(&output), 0, "{args:?}: {}", text(&output.stderr));
        assert!(json(&output).get(field).is_some(), "{args:?}");
        let plain: Vec<&str> = args.iter().copied().filter(|a| *a != "--json").collect();
        let output = lockstep(dir.path(), &plain);
        assert_eq!((code(&output), output.stdout.is_empty()), (0, false), "{plain:?}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn requests_are_kept_for_the_next_run_where_no_daemon_is() {
    let dir = tempfile::tempdir().unwrap();
    let output = lockstep(dir.path(), &["--state", "s", "resync"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("next run"), "{}", text(&output.stdout));
    assert_eq!(json(&lockstep(dir.path(), &["--state", "s", "retry", "contact", "003", "--json"]))["daemon"], false);
    let output = lockstep(dir.path(), &["--state", "s", "hold", "release", "account", "platform", "create", "--ceiling", "500"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let status = json(&lockstep(dir.path(), &["--state", "s", "status", "--json"]));
    let kinds: Vec<&str> = status["requests"].as_array().unwrap().iter().map(|r| r["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["resync", "retry", "release"]);
    // Nobody to wait for: an error, and no request.
    assert_eq!(code(&lockstep(dir.path(), &["--state", "s", "resync", "--wait"])), 1);
    assert_eq!(json(&lockstep(dir.path(), &["--state", "s", "status", "--json"]))["requests"].as_array().unwrap().len(), 3);
}

#[test]
fn init_writes_sound_rules_and_replaces_none_unasked() {
    let dir = tempfile::tempdir().unwrap();
    rules(dir.path());
    assert_eq!(code(&lockstep(dir.path(), &["check"])), 0);
    assert_eq!(code(&lockstep(dir.path(), &["init", "--offline"])), 1);
    assert_eq!(code(&lockstep(dir.path(), &["init", "--offline", "--force", "--name", "north"])), 0);
    let written = std::fs::read_to_string(dir.path().join("sync-rules.toml")).unwrap();
    assert!(written.contains("\"north\""));
    let output = lockstep(dir.path(), &["init", "--offline", "--output", "-", "--provision-from", "2026-03-01"]);
    assert!(text(&output.stdout).contains("2026-03-01T00:00:00Z"));
}

#[test]
fn completions_and_schema_are_printed() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = lockstep(dir.path(), &["completions", shell]);
        assert_eq!(code(&output), 0);
        assert!(text(&output.stdout).contains("lockstep"), "{shell}");
    }
    let output = lockstep(dir.path(), &["schema"]);
    assert_eq!(code(&output), 0);
    assert!(json(&output).is_object());
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(dir.path(), &["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), text(&output.stderr)), (0, String::new()));
}

/// Ends by itself with the test.
struct Daemon(std::process::Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Daemon {
    fn start(dir: &Path, address: &str, extra: &[(&str, &str)]) -> Self {
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let mut command = command(dir, &["run", "--log-format", "json"]);
        command.envs(secrets(address)).envs(extra.iter().copied());
        Self(command.stderr(log).spawn().unwrap())
    }

    fn signal(&self, name: &str) {
        let done = Command::new("/bin/kill").args(["-s", name, &self.0.id().to_string()]).status().unwrap();
        assert!(done.success());
    }
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn the_daemon_runs_alone_hears_signals_and_leaves_when_told() {
    let dir = tempfile::tempdir().unwrap();
    rules(dir.path());
    let address = refusing();
    let mut daemon = Daemon::start(dir.path(), &address, &[]);
    let status = || json(&lockstep(dir.path(), &["status", "--json"]));
    let runs = || status()["last_run"]["run"].as_i64().unwrap_or(0);
    until("the first run", || status()["last_run"]["finished_at"].is_string());
    assert!(status()["running"].as_str().unwrap().starts_with("a daemon"));

    // A second one, of either kind, is told who is there and where.
    for args in [&["run"][..], &["once"]] {
        let output = command(dir.path(), args).envs(secrets(&address)).output().unwrap();
        assert_eq!(code(&output), 1, "{args:?}");
        assert!(text(&output.stderr).contains("a daemon (process"), "{args:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains("state directory state"), "{}", text(&output.stderr));
    }

    let before = runs();
    daemon.signal("USR2");
    until("a run by signal", || runs() > before);
    daemon.signal("USR1");
    until("a full re-sync", || status()["last_run"]["kind"] == "full");
    // Nobody let it in, so the wish is kept.
    assert_eq!(status()["requests"][0]["kind"], "resync");
    let before = runs();
    let output = lockstep(dir.path(), &["retry", "contact", "--json"]);
    assert_eq!((code(&output), json(&output)["daemon"].as_bool()), (0, Some(true)));
    until("the retry to be taken up", || runs() > before);
    let output = lockstep(dir.path(), &["resync", "--wait"]);
    assert_eq!(code(&output), 1, "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("ended failed"), "{}", text(&output.stdout));

    let good = std::fs::read(dir.path().join("sync-rules.toml")).unwrap();
    let log = || std::fs::read_to_string(dir.path().join("log")).unwrap();
    std::fs::OpenOptions::new().append(true).open(dir.path().join("sync-rules.toml")).unwrap().write_all(b"\n[nonsense]\n").unwrap();
    daemon.signal("HUP");
    until("the refusal of bad rules", || log().contains("the old ones stay"));
    std::fs::write(dir.path().join("sync-rules.toml"), good).unwrap();
    daemon.signal("HUP");
    until("good rules", || log().contains("the rules were read again"));

    daemon.signal("TERM");
    until("the end", || daemon.0.try_wait().unwrap().is_some());
    assert_eq!(daemon.0.wait().unwrap().code(), Some(0), "{}", log());
    assert!(status()["running"].is_null());
    for line in log().lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
        assert!(!line.contains("canary"), "{line}");
    }
}

#[test]
fn systemd_is_told_what_happens_and_the_journal_how_bad_it_is() {
    let dir = tempfile::tempdir().unwrap();
    rules(dir.path());
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let heard = || {
        let mut buffer = [0; 2048];
        let n = socket.recv(&mut buffer).expect("systemd heard nothing for a minute");
        text(&buffer[..n])
    };
    let until_heard = |word: &str| loop {
        let said = heard();
        if said.lines().any(|line| line.starts_with(word)) {
            return said;
        }
    };
    let notify = path.display().to_string();
    let daemon =
        Daemon::start(dir.path(), &refusing(), &[("NOTIFY_SOCKET", &notify), ("WATCHDOG_USEC", "1000000"), ("JOURNAL_STREAM", "8:1")]);
    assert!(heard().contains("READY=1"), "the first word");
    until_heard("STATUS=running");
    until_heard("STATUS=waiting; next run ");
    for _ in 0..3 {
        until_heard("WATCHDOG=1");
    }
    daemon.signal("HUP");
    let said = until_heard("RELOADING=1");
    assert!(said.contains("MONOTONIC_USEC="), "{said}");
    until_heard("READY=1");
    daemon.signal("TERM");
    until_heard("STOPPING=1");
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    let priorities: Vec<&str> = log.lines().map(|line| &line[..3]).collect();
    assert!(priorities.contains(&"<6>") && priorities.contains(&"<3>"), "{log}");
    assert!(priorities.iter().all(|p| ["<3>", "<4>", "<6>", "<7>"].contains(p)), "{log}");
}
