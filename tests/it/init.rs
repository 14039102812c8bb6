//! `lockstep init` through the wire: what it proposes is what `check --online` accepts, and what `once` keeps in step.

use crate::binary::binary;
use lockstep::sandbox::{
    forcemanager::Object,
    pair::{Pair, PlatformKind},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Output, Stdio},
};

struct Place {
    pair: Pair,
    dir: tempfile::TempDir,
}

impl Place {
    async fn start(kind: PlatformKind) -> Self {
        Self { pair: Pair::start(kind, 0, 0).await.unwrap(), dir: tempfile::tempdir().unwrap() }
    }

    fn rules(&self) -> PathBuf {
        self.dir.path().join("sync-rules.toml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.rules()).unwrap()
    }

    /// The real binary with the pair's variables but for these, and these answers.
    async fn run_without(&self, args: &[&str], hidden: &[&str], answers: &str) -> Output {
        let mut command = std::process::Command::new(binary());
        command.args(args).current_dir(self.dir.path()).env_clear().env("PATH", "/usr/bin:/bin");
        command.envs(self.pair.environment().iter().filter(|(name, _)| !hidden.contains(name)).map(|(n, v)| (*n, v.as_str())));
        let answers = answers.to_owned();
        tokio::task::spawn_blocking(move || {
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            // It may end before it has read them all.
            let _ = child.stdin.take().unwrap().write_all(answers.as_bytes());
            child.wait_with_output().unwrap()
        })
        .await
        .unwrap()
    }

    async fn run(&self, args: &[&str]) -> Output {
        self.run_without(args, &[], "").await
    }

    async fn good(&self, args: &[&str]) -> String {
        let output = self.run(args).await;
        assert_eq!(output.status.code(), Some(0), "{args:?}\n{}\n{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    fn value(&self, name: &str) -> String {
        self.pair.environment().iter().find(|(n, _)| *n == name).unwrap().1.clone()
    }

    fn salesforce_field(&self, object: &str, name: &str, kind: &str) {
        let xml = format!(
            "<CustomField xmlns=\"http://soap.sforce.com/2006/04/metadata\"><fullName>{name}</fullName><label>{name}</label>{kind}<required>false</required></CustomField>"
        );
        self.pair.salesforce.world().add_field(object, &xml).unwrap();
    }

    /// Two records, a run that writes and one that does not. Linking by name waits for a look: `--approve` is that.
    async fn runs_in_step(&self, first: &[&str]) {
        let account = self.pair.salesforce.world().insert("Account", &json!({"Name": "Alder", "Phone": "1"})).unwrap();
        let contact = json!({"AccountId": account, "FirstName": "Ada", "LastName": "Ash", "Email": "ada@alder.example"});
        self.pair.salesforce.world().insert("Contact", &contact).unwrap();
        let first: Value = serde_json::from_str(&self.good(first).await).unwrap();
        assert!(first["writes"]["platform"].as_u64() >= Some(2), "{first}");
        let second: Value = serde_json::from_str(&self.good(&["once", "--json"]).await).unwrap();
        assert_eq!((&second["writes"]["salesforce"], &second["writes"]["platform"]), (&json!(0), &json!(0)), "{second}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const TEXT: &str = "<type>Text</type><length>80</length>";
const DATE: &str = "<type>Date</type>";

#[tokio::test(flavor = "multi_thread")]
async fn with_yes_licensespring_s_rules_are_accepted_and_kept() {
    let place = Place::start(PlatformKind::LicenseSpring).await;
    // The platform has `reference` on accounts and `company_name` on customers, and the file to start from maps neither.
    place.salesforce_field("Account", "Reference__c", TEXT);
    place.salesforce_field("Contact", "Company_Name__c", DATE);
    place.salesforce_field("Contact", "Shoe_Size__c", TEXT);
    place.pair.salesforce.world().hide_field("Contact", "Title", true).unwrap();
    let said: Value = serde_json::from_str(&place.good(&["init", "--yes", "--name", "acme", "--json"]).await).unwrap();
    assert_eq!(said["objects"], json!(["account", "contact", "order", "license", "feature"]));
    assert_eq!((&said["platform"], &said["custom_fields"]), (&json!("licensespring"), &json!(1)), "{said}");

    let rules = place.text();
    let line = |start: &str| rules.lines().find(|l| l.starts_with(start)).unwrap_or_else(|| panic!("{start} in\n{rules}")).to_owned();
    assert!(line("Reference__c = \"reference\"").contains("a custom field of the same name"), "{rules}");
    assert!(line("# Company_Name__c").contains("left out: date in Salesforce, text on the platform"), "{rules}");
    assert!(line("# Title = ").contains("left out: salesforce Contact.Title is not there"), "{rules}");
    assert!(rules.contains("# left out: not on the platform under that name: Shoe_Size__c\n"), "{rules}");
    assert!(rules.contains("name = \"acme\"") && rules.contains("client-secret = { env = \"SALESFORCE_CLIENT_SECRET\" }"), "{rules}");
    for name in ["SALESFORCE_CLIENT_SECRET", "LICENSESPRING_API_KEY"] {
        assert!(!rules.contains(&place.value(name)), "a secret in the rules");
    }

    place.good(&["check", "--online"]).await;
    place.runs_in_step(&["once", "--json"]).await;
    let rows = place.pair.licensespring().unwrap().world().rows(lockstep::sandbox::licensespring::Object::Account);
    assert_eq!(rows[0]["name"], "Alder", "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_yes_forcemanager_s_rules_are_accepted_and_kept() {
    let place = Place::start(PlatformKind::ForceManager).await;
    place.salesforce_field("Account", "Tier__c", TEXT);
    place.salesforce_field("Account", "Alone__c", TEXT);
    let define = json!({"fieldName": "Tier", "type": "text", "descriptionEN": "Tier"});
    place.pair.forcemanager().unwrap().world().add_extra_field(Object::Account, &define).unwrap();
    place.good(&["init", "--yes"]).await;
    let rules = place.text();
    assert!(rules.lines().any(|l| l.starts_with("Tier__c = \"Z_Tier\" ")), "{rules}");
    assert!(!rules.contains("Alone__c"), "it gets an extra field of its own: {rules}");
    assert!(!rules.contains(&place.value("FORCEMANAGER_PRIVATE_KEY")));
    place.good(&["check", "--online"]).await;
    place.runs_in_step(&["once", "--json", "--approve"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_gets_what_was_agreed_to_and_secrets_stay_out_of_the_rules() {
    let place = Place::start(PlatformKind::LicenseSpring).await;
    place.salesforce_field("Account", "Reference__c", TEXT);
    let (key, secret) = (place.value("LICENSESPRING_API_KEY"), place.value("SALESFORCE_CLIENT_SECRET"));
    let url = place.value("LICENSESPRING_URL");
    // Platform (mistyped once), name, Salesforce from the environment but for the secret, the platform; then everything but
    // features; the custom field is declined; write it; keep what was typed.
    let answers = format!("licensprng\nlicensespring\nnorth\n\n\n{secret}\n{url}\n{key}\nn\ny\ny\ny\ny\nn\nn\ny\ny\n");
    let hidden = ["SALESFORCE_CLIENT_SECRET", "LICENSESPRING_URL", "LICENSESPRING_API_KEY"];
    let output = place.run_without(&["init", "--ask"], &hidden, &answers).await;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    assert!(err.contains("licensespring") && err.contains("is none of") && !out.contains("Which platform"), "{out}\n{err}");
    assert!(!err.contains(&key) && !err.contains(&secret) && !out.contains(&key), "a secret is shown");
    let rules = place.text();
    assert!(rules.contains("name = \"north\"") && !rules.contains(&key) && !rules.contains(&secret), "{rules}");
    assert!(rules.contains("# Left out: not wanted\n# [objects.feature]"), "{rules}");
    assert!(rules.contains("# Reference__c = \"reference\""), "{rules}");
    let kept = fs::read_to_string(place.dir.path().join("sync-rules.env")).unwrap();
    assert!(kept.contains(&format!("LICENSESPRING_API_KEY='{key}'\n")) && !kept.contains("SALESFORCE_CLIENT_ID"), "{kept}");
    place.good(&["check", "--online"]).await;

    // Whoever stops answering leaves nothing behind, and neither does a no at the end.
    fs::remove_file(place.rules()).unwrap();
    let to_the_last = format!("licensespring\n{}n\n", "\n".repeat(8));
    for (answers, code) in [("licensespring\nnorth\n", 1), (&to_the_last, 0)] {
        let output = place.run_without(&["init", "--ask"], &[], answers).await;
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{err}");
        assert!(err.contains("nothing was written"), "{err}");
    }
    assert!(!place.rules().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_and_leaves_no_file() {
    let place = Place::start(PlatformKind::LicenseSpring).await;
    // The name, three of Salesforce and the address as they are, then the key.
    let answers = "\n\n\n\n\nnot-the-key.0123456789abcdef0123456789abcdef\n";
    let output = place.run_without(&["init", "--ask", "--platform", "licensespring"], &["LICENSESPRING_API_KEY"], answers).await;
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("log-in failed") && err.contains("platform:") && err.contains("nothing was written"), "{err}");
    assert!(!err.contains("not-the-key") && !place.rules().exists(), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_are_told_what_is_missing_and_no_file_is_lost() {
    let place = Place::start(PlatformKind::LicenseSpring).await;
    let output =
        place.run_without(&["init", "--yes", "--platform", "licensespring"], &["SALESFORCE_CLIENT_ID", "LICENSESPRING_API_KEY"], "").await;
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{err}");
    assert!(err.contains("SALESFORCE_CLIENT_ID") && err.contains("LICENSESPRING_API_KEY") && !err.contains("LOGIN_URL"), "{err}");

    let output = place.run(&["init"]).await;
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(["--yes", "--ask", "--platform"].iter().all(|word| err.contains(word)), "{err}");
    assert!(!place.rules().exists());

    fs::write(place.rules(), "mine").unwrap();
    for args in [&["init", "--yes"][..], &["init", "--ask"], &["init", "--platform", "licensespring"]] {
        let output = place.run(args).await;
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(text(&output.stderr).contains("--force"), "{args:?}");
        assert_eq!(place.text(), "mine");
    }
    place.good(&["init", "--yes", "--force"]).await;
    place.good(&["check", "--online"]).await;
}
