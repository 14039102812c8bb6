//! The public commands against the sandbox, as an operator types them.

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

struct Sandbox {
    child: Child,
    dir: tempfile::TempDir,
    environment: BTreeMap<String, String>,
}

impl Sandbox {
    fn start(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("sync-rules.toml"), crate::rig::SHIPPED).unwrap();
        let env = dir.path().join("sandbox.env");
        let child = Command::new(env!("CARGO_BIN_EXE_lockstep"))
            .arg("sandbox")
            .args(args)
            .arg("--env-file")
            .arg(&env)
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while !env.exists() {
            assert!(began.elapsed() < Duration::from_secs(60), "the sandbox did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        let environment = fs::read_to_string(env)
            .unwrap()
            .lines()
            .map(|line| {
                let (name, value) = line.split_once('=').unwrap();
                (name.to_owned(), value.trim_matches('\'').to_owned())
            })
            .collect();
        Self { child, dir, environment }
    }

    fn lockstep(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_lockstep"))
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(&self.environment)
            .output()
            .unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.lockstep(args);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}\n{output:?}"))
    }

    /// How many rows the platform holds of each of these.
    fn on_platform(&self, paths: &[&str]) -> Vec<i64> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut counts = Vec::new();
            for path in paths {
                let url = format!("{}/api/v1/{path}/?limit=1", self.environment["LICENSESPRING_URL"]);
                let key = format!("Api-Key {}", self.environment["LICENSESPRING_API_KEY"]);
                let body = reqwest::Client::new().get(url).header("Authorization", key).send().await.unwrap().text().await.unwrap();
                counts.push(serde_json::from_str::<Value>(&body).unwrap()["count"].as_i64().unwrap());
            }
            counts
        })
    }

    fn dump(&self) -> String {
        let store = lockstep::store::Store::open_read_only(&self.dir.path().join("state")).unwrap();
        store.map(|s| s.dump().unwrap()).unwrap_or_default()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn exists(dir: &Path, name: &str) -> bool {
    dir.join(name).exists()
}

#[test]
fn an_operators_first_hour() {
    let sandbox = Sandbox::start(&["--sample"]);

    let check = sandbox.json(&["check", "--json"]);
    assert_eq!(check["problems"], json!([]), "{check}");
    let online = sandbox.lockstep(&["check", "--online"]);
    let said = String::from_utf8_lossy(&online.stdout).into_owned();
    assert!(said.contains('✓') && !said.contains('✗'), "{said}\n{}", String::from_utf8_lossy(&online.stderr));

    // A plan changes nothing: neither side, nor the store.
    let before = sandbox.dump();
    let plan = sandbox.json(&["plan", "--json"]);
    let actions = plan["actions"].as_array().unwrap();
    let creates = |object: &str| actions.iter().filter(|a| a["object"] == json!(object) && a["verb"] == "create").count();
    assert_eq!((creates("account"), creates("contact"), creates("order")), (300, 400, 5), "{}", plan["summary"]);
    assert_eq!(sandbox.dump(), before);

    let first = sandbox.json(&["once", "--json"]);
    assert_eq!(first["outcome"], "ok", "{first}");
    assert_eq!(first["writes"]["platform"], json!(705));
    assert!(exists(sandbox.dir.path(), "state/lockstep.db"));
    let second = sandbox.json(&["once", "--json"]);
    assert_eq!(second["writes"], json!({"salesforce": 0, "platform": 0}), "{second}");
    assert_eq!(second["calls"]["salesforce"], json!(1), "an idle delta costs one call");
    let full = sandbox.json(&["once", "--full", "--json"]);
    assert_eq!((&full["kind"], &full["writes"]), (&json!("full"), &json!({"salesforce": 0, "platform": 0})), "{full}");

    let before = sandbox.dump();
    let plan = sandbox.json(&["plan", "--json"]);
    assert_eq!(plan["actions"], json!([]));
    assert_eq!(sandbox.dump(), before, "plan leaves the store as it is");

    // The whole story of one record.
    let story = sandbox.json(&["history", "--json"]);
    assert!(story.to_string().contains("\"delta\""), "{story}");
    for args in [&["status"][..], &["conflicts"], &["quarantine"], &["hold", "list"]] {
        let output = sandbox.lockstep(args);
        assert_eq!(output.status.code(), Some(0), "{args:?} {output:?}");
    }
}

/// What `[products]` names must be on the platform; each name that is not is told with its line.
#[test]
fn check_online_holds_the_products_against_the_platform() {
    let sandbox = Sandbox::start(&["--sample"]);
    let sound = sandbox.json(&["check", "--online", "--json"]);
    assert_eq!((&sound["ok"], &sound["products"]), (&json!(true), &json!([])), "{sound}");
    let rules = crate::rig::SHIPPED
        .replace("product = \"orbit-pro\", policy = \"orbit-pro-1y\"", "product = \"orbit-prp\", policy = \"orbit-pro-1y\"")
        .replace("policy = \"orbit-team-1y\"", "policy = \"orbit-team-2y\", features = [\"time-travel\"]");
    fs::write(sandbox.dir.path().join("sync-rules.toml"), rules).unwrap();
    let answer = sandbox.json(&["check", "--online", "--json"]);
    assert_eq!(answer["ok"], false);
    let codes: Vec<(&str, &str)> =
        answer["products"].as_array().unwrap().iter().map(|f| (f["entry"].as_str().unwrap(), f["code"].as_str().unwrap())).collect();
    assert_eq!(codes[0], ("LS-PRO", "unknown-product"), "{answer}");
    assert!(codes.contains(&("LS-TEAM", "unknown-policy")) && codes.contains(&("LS-TEAM", "unknown-feature")), "{answer}");
    let output = sandbox.lockstep(&["check", "--online"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the platform has no product orbit-prp") && said.contains("(there is: orbit-pro"), "{said}");
}

#[test]
fn one_object_on_stdout_even_when_it_fails() {
    let mut sandbox = Sandbox::start(&[]);
    sandbox.environment.insert("LICENSESPRING_API_KEY".to_owned(), "canary-5b7d".to_owned());
    let output = sandbox.lockstep(&["once", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "failed");
    assert!(report["error"].as_str().unwrap().contains("platform"), "{report}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("canary-5b7d"));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("canary-5b7d"));
    // A missing secret is the rules' business.
    sandbox.environment.remove("LICENSESPRING_API_KEY");
    let output = sandbox.lockstep(&["once", "--json"]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("LICENSESPRING_API_KEY"));
}

/// L3, B6, S13: the process is killed again and again in the middle of its first synchronisation.
#[test]
fn kill_nine_loses_nothing_and_doubles_nothing() {
    let sandbox = Sandbox::start(&["--sample"]);
    let mut killed = 0;
    for after_ms in [250, 400, 550, 700, 850, 1_000, 1_200, 1_400] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lockstep"))
            .args(["once", "--json"])
            .current_dir(sandbox.dir.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(&sandbox.environment)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(after_ms));
        killed += u32::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
        let store = lockstep::store::Store::open(&sandbox.dir.path().join("state")).unwrap();
        assert_eq!(store.integrity().unwrap(), Vec::<String>::new(), "after {after_ms} ms");
    }
    assert!(killed > 0, "every run was over before it was killed");
    let reports: Vec<Value> = (0..3).map(|_| sandbox.json(&["once", "--json"])).collect();
    let last = reports.last().unwrap();
    assert_eq!((&last["outcome"], &last["writes"]), (&json!("ok"), &json!({"salesforce": 0, "platform": 0})), "{reports:#?}");
    assert_eq!(sandbox.on_platform(&["customer-accounts", "customers", "orders", "licenses"]), [300, 400, 5, 6], "each once: {reports:#?}");
    assert_eq!(sandbox.json(&["once", "--full", "--json"])["writes"], json!({"salesforce": 0, "platform": 0}));
}

/// A disk that is full: said, nothing half-written, and the next run with room finishes the work without a double.
#[test]
fn a_full_disk_loses_nothing_and_doubles_nothing() {
    let sandbox = Sandbox::start(&["--sample"]);
    let limited = |kib: u32| {
        Command::new("bash")
            .args(["-c", &format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" once --json"), env!("CARGO_BIN_EXE_lockstep")])
            .current_dir(sandbox.dir.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(&sandbox.environment)
            .output()
            .unwrap()
    };
    let mut failed = 0;
    for kib in [150, 400, 900] {
        let output = limited(kib);
        if output.status.code() == Some(1) {
            failed += 1;
            let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
            let error = report["error"].as_str().unwrap();
            assert!(error.contains("state file") || error.contains("lockstep.db"), "{error}");
        }
    }
    assert!(failed > 0, "the limit was never met");
    // Up to four looks later (a promise that was cut off is looked up first) everything is there once.
    let reports: Vec<Value> = (0..3).map(|_| sandbox.json(&["once", "--json"])).collect();
    let last = reports.last().unwrap();
    assert_eq!((&last["outcome"], &last["writes"]), (&json!("ok"), &json!({"salesforce": 0, "platform": 0})), "{reports:#?}");
    let plan = sandbox.json(&["plan", "--json"]);
    assert_eq!(plan["actions"], json!([]));
    let store = lockstep::store::Store::open_read_only(&sandbox.dir.path().join("state")).unwrap().unwrap();
    assert_eq!(
        (store.link_count("account").unwrap(), store.link_count("contact").unwrap(), store.link_count("order").unwrap()),
        (300, 400, 5)
    );
    assert_eq!(sandbox.on_platform(&["customer-accounts", "customers", "orders"]), [300, 400, 5], "each once");
}

/// C7, C8 and the demo itself: the README's first command.
#[test]
fn the_demo_tells_its_story_within_a_minute() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("demo");
    let began = Instant::now();
    let output =
        Command::new(env!("CARGO_BIN_EXE_lockstep")).arg("demo").arg("--state").arg(&state).current_dir(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
    for part in ["salesforce-moved", "platform-moved", "clash", "create order", "deleted-in-salesforce", "sqlite3 -readonly"] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
    assert!(state.join("lockstep.db").exists());
}
