//! ForceManager through the wire, by the public commands: the real program with the rules we ship between the two simulators.
//! Named after the numbered rules of issue 5 that each story proves.

use lockstep::sandbox::{
    forcemanager::Object,
    pair::{Pair, PlatformKind},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

/// Both simulators, a directory with the rules of `lockstep init`, and people on both sides.
struct Company {
    pair: Pair,
    dir: tempfile::TempDir,
    /// Variables that are set otherwise than the sandbox says.
    other: Vec<(&'static str, String)>,
}

/// What one account has, by id: Salesforce's, and after a run ForceManager's.
struct Acme {
    account: String,
    contact: String,
    opportunity: String,
    call: String,
    task: String,
    event: String,
}

impl Company {
    async fn start() -> Self {
        let pair = Pair::start(PlatformKind::ForceManager, 0, 0).await.unwrap();
        let company = Self { pair, dir: tempfile::tempdir().unwrap(), other: Vec::new() };
        let made = company.lockstep(&["init", "--platform", "forcemanager", "--name", "acme"]);
        assert_eq!(code(&made), 0, "{made:?}");
        company
    }

    /// The rules as written, with a test's change.
    fn rules(&self, change: impl FnOnce(String) -> String) {
        let path = self.dir.path().join("sync-rules.toml");
        let before = fs::read_to_string(&path).unwrap();
        let after = change(before.clone());
        assert_ne!(before, after, "the change found nothing to change");
        fs::write(path, after).unwrap();
    }

    /// Settings of the platform.
    fn set(&self, lines: &str) {
        self.rules(|text| text.replace("requests-per-second = 3 ", &format!("{lines}\nrequests-per-second = 3 ")));
    }

    fn lockstep(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
        command.args(args).current_dir(self.dir.path()).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        command.envs(self.pair.environment().iter().map(|(name, value)| (*name, value.clone()))).envs(self.other.iter().cloned());
        command.output().unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.lockstep(&[args, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}\n{output:?}"))
    }

    /// A run that has nothing to complain of.
    fn once(&self) -> Value {
        let report = self.json(&["once"]);
        assert_eq!(report["outcome"], "ok", "{report:#}\n{}", self.told());
        report
    }

    fn writes(report: &Value) -> (i64, i64) {
        (report["writes"]["salesforce"].as_i64().unwrap(), report["writes"]["platform"].as_i64().unwrap())
    }

    fn wrote(&self) -> (i64, i64) {
        Self::writes(&self.once())
    }

    /// Nothing happened, so nothing is written; nor by a full run.
    fn quiet(&self) {
        let report = self.json(&["once"]);
        assert_eq!(Self::writes(&report), (0, 0), "{report:#}\n{}", self.told());
        let report = self.json(&["once", "--full"]);
        assert_eq!(Self::writes(&report), (0, 0), "a full run: {report:#}\n{}", self.told());
    }

    fn told(&self) -> String {
        let all = ["history", "quarantine", "hold list"].map(|what| {
            let args: Vec<&str> = what.split(' ').collect();
            String::from_utf8_lossy(&self.lockstep(&args).stdout).into_owned()
        });
        all.join("\n")
    }

    /// The first run: users are linked after a look.
    fn linked(&self) {
        let report = self.json(&["once", "--approve"]);
        assert_eq!(report["outcome"], "ok", "{report:#}\n{}", self.told());
    }

    // ── Salesforce ───────────────────────────────────────────────────────────────────────────────────────────────────

    fn insert(&self, object: &str, fields: Value) -> String {
        self.pair.salesforce.world().insert(object, &fields).unwrap()
    }

    fn update(&self, object: &str, id: &str, fields: Value) {
        self.pair.salesforce.world().update(object, id, &fields).unwrap();
    }

    fn row(&self, object: &str, id: &str) -> Value {
        self.pair.salesforce.world().row(object, id).unwrap()
    }

    fn rows(&self, object: &str) -> Vec<Value> {
        self.pair.salesforce.world().rows(object)
    }

    fn user(&self, name: &str) -> String {
        let users = self.rows("User");
        users.iter().find(|u| u["Name"] == json!(name)).unwrap()["Id"].as_str().unwrap().to_owned()
    }

    fn acme(&self) -> Acme {
        let account = self.insert(
            "Account",
            json!({"Name": "Acme", "Phone": "+1 206 555 0101", "BillingCity": "Bern", "BillingCountry": "Switzerland", "Description": "first"}),
        );
        let contact =
            json!({"AccountId": account, "FirstName": "Ada", "LastName": "Weber", "Email": "ada@acme.example", "Birthdate": "1980-02-29"});
        let contact = self.insert("Contact", contact);
        let deal = json!({"AccountId": account, "Name": "Seats", "StageName": "Qualification", "CloseDate": "2026-12-31", "Amount": 1200.5, "Probability": 35});
        let opportunity = self.insert("Opportunity", deal);
        let call = json!({"WhatId": opportunity, "WhoId": contact, "Subject": "Call", "TaskSubtype": "Call", "Status": "Completed", "ActivityDate": "2026-11-20", "Description": "said yes"});
        let call = self.insert("Task", call);
        let task = json!({"WhatId": account, "WhoId": contact, "Subject": "Send it", "ActivityDate": "2026-12-01"});
        let task = self.insert("Task", task);
        let event = json!({"WhatId": opportunity, "Subject": "Demo", "StartDateTime": "2026-12-03T09:00:00Z", "EndDateTime": "2026-12-03T09:45:00Z"});
        let event = self.insert("Event", event);
        // One that goes is not the last of its kind.
        let spare = json!({"WhatId": account, "Subject": "Spare", "StartDateTime": "2026-12-04T09:00:00Z", "DurationInMinutes": 30});
        self.insert("Event", spare);
        self.insert("Task", json!({"WhatId": account, "Subject": "Spare"}));
        self.insert(
            "Task",
            json!({"WhatId": account, "Subject": "Spare", "TaskSubtype": "Email", "Status": "Completed", "ActivityDate": "2026-11-19"}),
        );
        self.insert("Contact", json!({"AccountId": account, "FirstName": "Bo", "LastName": "Spare", "Email": "bo@acme.example"}));
        Acme { account, contact, opportunity, call, task, event }
    }

    // ── ForceManager ─────────────────────────────────────────────────────────────────────────────────────────────────

    /// The live records of a resource.
    fn held(&self, object: Object) -> Vec<Value> {
        let world = self.pair.forcemanager().unwrap().world();
        world.rows(object).into_iter().filter(|row| row["deleted"] != json!(true)).collect()
    }

    fn counts(&self) -> [usize; 5] {
        [Object::Account, Object::Contact, Object::Opportunity, Object::Activity, Object::Calendar].map(|object| self.held(object).len())
    }

    /// The one record with this Salesforce id.
    fn twin(&self, object: Object, salesforce_id: &str) -> Value {
        let mut found: Vec<Value> = self.held(object).into_iter().filter(|row| row["extId"] == json!(salesforce_id)).collect();
        assert_eq!(found.len(), 1, "{object:?} {salesforce_id}: {found:#?}\n{}", self.told());
        found.remove(0)
    }

    fn add(&self, object: Object, fields: Value) -> i64 {
        self.pair.forcemanager().unwrap().world().add(object, &fields).unwrap()
    }

    fn edit(&self, object: Object, id: i64, fields: Value) {
        self.pair.forcemanager().unwrap().world().edit(object, id, &fields).unwrap();
    }

    fn erase(&self, object: Object, id: i64) {
        self.pair.forcemanager().unwrap().world().erase(object, id).unwrap();
    }

    fn rep(&self, nic: &str) -> i64 {
        id(self.held(Object::User).iter().find(|u| u["nic"] == json!(nic)).unwrap())
    }

    fn fault(&self, fault: Value) {
        self.pair.platform_wire.faults.add(&fault).unwrap();
    }

    fn calls(&self, operation: &str) -> u64 {
        self.pair.forcemanager().unwrap().world().calls().get(operation).copied().unwrap_or(0)
    }

    fn backups(&self) -> Vec<PathBuf> {
        let state = fs::read_dir(self.dir.path().join("state")).unwrap();
        state.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "jsonl")).collect()
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn id(row: &Value) -> i64 {
    row["id"].as_i64().unwrap()
}

/// A reference is stored as a number.
fn refers(row: &Value, field: &str) -> i64 {
    row[field].as_i64().or_else(|| row[field]["id"].as_i64()).unwrap_or_else(|| panic!("{field} in {row:#}"))
}

// ── the whole path ───────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_of_init_carry_every_object_across_and_a_second_run_writes_nothing() {
    let company = Company::start().await;
    let acme = company.acme();
    assert_eq!(code(&company.lockstep(&["check"])), 0);
    let online = company.lockstep(&["check", "--online"]);
    assert_eq!(code(&online), 0, "{}", String::from_utf8_lossy(&online.stdout));
    // The users wait for a look, and with them whoever they own.
    let report = company.json(&["once"]);
    assert_eq!((report["outcome"].as_str(), Company::writes(&report)), (Some("held"), (0, 0)), "{report:#}");
    company.linked();
    assert_eq!(company.counts(), [1, 2, 1, 2, 4], "{}", company.told());
    let account = company.twin(Object::Account, &acme.account);
    let dana = company.rep("dreyes");
    assert_eq!((account["name"].as_str(), account["city"].as_str(), refers(&account, "salesRepId1")), (Some("Acme"), Some("Bern"), dana));
    let contact = company.twin(Object::Contact, &acme.contact);
    assert_eq!((contact["lastName"].as_str(), refers(&contact, "accountId")), (Some("Weber"), id(&account)));
    let deal = company.twin(Object::Opportunity, &acme.opportunity);
    assert_eq!((deal["reference"].as_str(), deal["salesProbability"].as_f64()), (Some("Seats"), Some(4.0)), "35 % is 3.5 of 10");
    assert_eq!((deal["total"].as_f64(), refers(&deal, "accountId1")), (Some(1200.5), id(&account)));
    let call = company.twin(Object::Activity, &acme.call);
    assert_eq!(
        (call["comment"].as_str(), refers(&call, "opportunityId"), refers(&call, "accountId")),
        (Some("said yes"), id(&deal), id(&account))
    );
    let task = company.twin(Object::Calendar, &acme.task);
    assert_eq!((task["task"].as_bool(), task["subject"].as_str(), task["completed"].as_bool()), (Some(true), Some("Send it"), Some(false)));
    let event = company.twin(Object::Calendar, &acme.event);
    // The branch is in Madrid: nine o'clock in Greenwich is ten there.
    assert_eq!(
        (event["task"].as_bool(), event["startHour"].as_str(), event["endHour"].as_str()),
        (Some(false), Some("10:00"), Some("10:45"))
    );
    company.quiet();
    assert_eq!(company.row("Opportunity", &acme.opportunity)["Probability"], json!(35.0), "a rounded probability does not come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn r3_edits_of_every_object_travel_both_ways() {
    let company = Company::start().await;
    let acme = company.acme();
    company.linked();
    company.update("Account", &acme.account, json!({"Name": "Acme AG"}));
    company.update("Contact", &acme.contact, json!({"MobilePhone": "+1 206 555 0199"}));
    company.update("Opportunity", &acme.opportunity, json!({"StageName": "Closed Won"}));
    company.update("Task", &acme.call, json!({"Description": "said no"}));
    company.update("Task", &acme.task, json!({"Status": "Completed"}));
    company.update("Event", &acme.event, json!({"EndDateTime": "2026-12-03T10:30:00Z"}));
    assert_eq!(company.wrote(), (0, 6), "{}", company.told());
    let twins = [
        (Object::Account, &acme.account, "name", json!("Acme AG")),
        (Object::Contact, &acme.contact, "phone2", json!("+1 206 555 0199")),
        (Object::Opportunity, &acme.opportunity, "salesProbability", json!(10)),
        (Object::Activity, &acme.call, "comment", json!("said no")),
        (Object::Calendar, &acme.task, "completed", json!(true)),
        (Object::Calendar, &acme.event, "endHour", json!("11:30")),
    ];
    for (object, id, field, want) in twins {
        let shown = company.twin(object, id)[field].clone();
        assert!(shown == want || shown.as_f64().is_some() && shown.as_f64() == want.as_f64(), "{object:?} {field}: {shown}");
    }
    company.quiet();

    company.edit(Object::Account, id(&company.twin(Object::Account, &acme.account)), json!({"city": "Thun", "comment": null}));
    company.edit(Object::Contact, id(&company.twin(Object::Contact, &acme.contact)), json!({"firstName": "Adele"}));
    company.edit(Object::Opportunity, id(&company.twin(Object::Opportunity, &acme.opportunity)), json!({"total": 99}));
    company.edit(Object::Activity, id(&company.twin(Object::Activity, &acme.call)), json!({"comment": "said perhaps"}));
    company.edit(
        Object::Calendar,
        id(&company.twin(Object::Calendar, &acme.task)),
        json!({"completed": false, "subject": "Send it again"}),
    );
    company.edit(Object::Calendar, id(&company.twin(Object::Calendar, &acme.event)), json!({"startHour": "09:30"}));
    assert_eq!(company.wrote(), (6, 0), "{}", company.told());
    let account = company.row("Account", &acme.account);
    assert_eq!((account["BillingCity"].as_str(), &account["Description"]), (Some("Thun"), &Value::Null));
    assert_eq!(company.row("Contact", &acme.contact)["FirstName"], "Adele");
    assert_eq!(company.row("Opportunity", &acme.opportunity)["Amount"], json!(99.0));
    assert_eq!(company.row("Task", &acme.call)["Description"], "said perhaps");
    let task = company.row("Task", &acme.task);
    assert_eq!((task["Status"].as_str(), task["Subject"].as_str()), (Some("Not Started"), Some("Send it again")));
    assert!(company.row("Event", &acme.event)["StartDateTime"].as_str().unwrap().starts_with("2026-12-03T08:30:00"));
    company.quiet();
    assert_eq!(company.pair.salesforce.world().rows("User").len(), 3, "nobody was made");
    assert_eq!(company.calls("POST /users") + company.calls("PUT /users/{id}"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_born_in_forcemanager_is_born_in_salesforce_as_what_it_is() {
    let company = Company::start().await;
    company.acme();
    company.linked();
    let (sam, salesforce_sam) = (company.rep("sokafor"), company.user("Sam Okafor"));
    let account = company.add(Object::Account, json!({"name": "Born There", "salesRepId1": sam, "city": "Bilbao"}));
    let contact = company.add(Object::Contact, json!({"firstName": "Ane", "lastName": "Ibarra", "accountId": account, "salesRepId": sam}));
    let deal = company.add(
        Object::Opportunity,
        json!({"reference": "New deal", "accountId1": account, "salesRepId": sam, "total": 10, "salesProbability": 5, "salesForecastDate": "2026-12-24 00:00:00"}),
    );
    company.add(
        Object::Activity,
        json!({"accountId": account, "contactId": contact, "opportunityId": deal, "salesRepId": sam, "date": "2026-11-20 09:15:00", "comment": "was there"}),
    );
    let entry = |task: bool| json!({"subject": "Meet", "task": task, "accountId": account, "salesRepId": sam, "startDate": "26/12/03", "startHour": "09:00", "endDate": "26/12/03", "endHour": "10:30"});
    company.add(Object::Calendar, entry(false));
    company.add(Object::Calendar, entry(true));
    // Children wait for parents that are made in the same run at most; a second run finds nothing.
    company.once();
    let accounts = company.rows("Account");
    let born = accounts.iter().find(|a| a["Name"] == "Born There").unwrap_or_else(|| panic!("{}", company.told()));
    assert_eq!((born["OwnerId"].as_str(), born["BillingCity"].as_str()), (Some(salesforce_sam.as_str()), Some("Bilbao")));
    let of = |object: &str| {
        let rows: Vec<Value> = company.rows(object).into_iter().filter(|row| row["AccountId"] == born["Id"]).collect();
        rows
    };
    let (contacts, deals, tasks, events) = (of("Contact"), of("Opportunity"), of("Task"), of("Event"));
    assert_eq!((contacts.len(), deals.len(), tasks.len(), events.len()), (1, 1, 2, 1), "{}", company.told());
    assert_eq!((deals[0]["Probability"].as_f64(), deals[0]["StageName"].as_str()), (Some(50.0), Some("Prospecting")));
    let visit = tasks.iter().find(|t| t["Description"] == "was there").unwrap();
    assert_eq!(
        (visit["Status"].as_str(), visit["Subject"].as_str(), visit["ActivityDate"].as_str()),
        (Some("Completed"), Some("Visit"), Some("2026-11-20"))
    );
    assert_eq!((visit["WhatId"].clone(), visit["WhoId"].clone()), (deals[0]["Id"].clone(), contacts[0]["Id"].clone()));
    assert_eq!(company.counts(), [2, 3, 2, 3, 6], "nothing came back as something else: {}", company.told());
    company.quiet();
    // The record that was made carries the key of the one it was made of.
    assert_eq!(born["Lockstep_Id__c"], json!(format!("acme-account-{account}")));
}

// ── conflicts and deletions ──────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test(flavor = "multi_thread")]
async fn c1_salesforce_wins_the_whole_record_and_c3_the_dead() {
    let company = Company::start().await;
    let acme = company.acme();
    company.linked();
    let account = id(&company.twin(Object::Account, &acme.account));
    company.update("Account", &acme.account, json!({"Name": "Here"}));
    company.edit(Object::Account, account, json!({"city": "There"}));
    assert_eq!(company.wrote(), (0, 1));
    let twin = company.twin(Object::Account, &acme.account);
    assert_eq!((twin["name"].as_str(), twin["city"].as_str()), (Some("Here"), Some("Bern")));
    assert_eq!(company.row("Account", &acme.account)["BillingCity"], "Bern");

    // Changed here, deleted there: it is made again there. Deleted here, changed there: it goes there.
    company.update("Task", &acme.task, json!({"Subject": "Still wanted"}));
    company.erase(Object::Calendar, id(&company.twin(Object::Calendar, &acme.task)));
    company.edit(Object::Activity, id(&company.twin(Object::Activity, &acme.call)), json!({"comment": "late"}));
    company.pair.salesforce.world().delete("Task", &acme.call).unwrap();
    company.once();
    assert_eq!(company.twin(Object::Calendar, &acme.task)["subject"], "Still wanted");
    assert_eq!(company.counts(), [1, 2, 1, 1, 4], "{}", company.told());
    company.quiet();
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_travel_both_ways_and_m5_many_of_them_are_held() {
    let company = Company::start().await;
    let acme = company.acme();
    for n in 0..20 {
        company.insert("Account", json!({"Name": format!("Other {n}")}));
    }
    company.linked();
    company.erase(Object::Calendar, id(&company.twin(Object::Calendar, &acme.event)));
    company.pair.salesforce.world().delete("Contact", &acme.contact).unwrap();
    company.once();
    assert_eq!(company.rows("Event").len(), 1, "{}", company.told());
    assert_eq!(company.counts()[1], 1);
    company.quiet();

    for account in company.rows("Account").iter().filter(|a| a["Name"].as_str().unwrap().starts_with("Other")) {
        company.pair.salesforce.world().delete("Account", account["Id"].as_str().unwrap()).unwrap();
    }
    let report = company.json(&["once"]);
    assert_eq!((report["outcome"].as_str(), Company::writes(&report)), (Some("held"), (0, 0)), "{report:#}");
    assert_eq!(company.counts()[0], 21);
    company.json(&["once", "--approve"]);
    assert_eq!(company.counts()[0], 1, "{}", company.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn r2_one_way_never_writes_to_salesforce_and_is_told_per_object() {
    let company = Company::start().await;
    company.rules(|text| {
        let (before, contacts) = text.split_once("[objects.contact]").unwrap();
        let contacts = contacts.replacen("direction = \"both\"", "direction = \"to-platform\"", 1).replacen(
            "create = \"both\"",
            "create = \"to-platform\"",
            1,
        );
        format!("{before}[objects.contact]{contacts}")
    });
    let acme = company.acme();
    company.linked();
    let contact = id(&company.twin(Object::Contact, &acme.contact));
    let account = id(&company.twin(Object::Account, &acme.account));
    company.edit(Object::Contact, contact, json!({"firstName": "Adele"}));
    company.add(Object::Contact, json!({"firstName": "Ane", "lastName": "Ibarra", "accountId": account}));
    company.edit(Object::Account, account, json!({"city": "Thun"}));
    assert_eq!(company.wrote(), (1, 0), "only the account: {}", company.told());
    assert_eq!((company.row("Contact", &acme.contact)["FirstName"].as_str(), company.rows("Contact").len()), (Some("Ada"), 2));
    assert_eq!(company.twin(Object::Contact, &acme.contact)["firstName"], "Adele", "left alone until Salesforce moves");
    company.update("Contact", &acme.contact, json!({"FirstName": "Ada Maria"}));
    company.once();
    assert_eq!(company.twin(Object::Contact, &acme.contact)["firstName"], "Ada Maria");
    company.erase(Object::Contact, contact);
    company.once();
    assert_eq!(company.rows("Contact").len(), 2, "a deletion is nothing to Salesforce either");
}

#[tokio::test(flavor = "multi_thread")]
async fn s2_an_object_that_is_not_chosen_is_not_touched() {
    let company = Company::start().await;
    company.rules(|text| {
        let (before, _) = text.split_once("# ── Opportunities").unwrap();
        before.to_owned()
    });
    company.acme();
    company.linked();
    assert_eq!(company.counts(), [1, 2, 0, 0, 0]);
    assert_eq!(company.calls("GET /opportunities") + company.calls("GET /calendar") + company.calls("GET /activities"), 0);
    company.quiet();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_that_is_deleted_takes_everything_of_it_along() {
    let company = Company::start().await;
    company.acme();
    let other = company.acme();
    company.linked();
    assert_eq!(company.counts(), [2, 4, 2, 4, 8], "{}", company.told());
    company.pair.salesforce.world().delete("Account", &other.account).unwrap();
    company.once();
    assert_eq!(company.counts(), [1, 2, 1, 2, 4], "{}", company.told());
    company.quiet();
}

// ── users ────────────────────────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test(flavor = "multi_thread")]
async fn u2_u3_u4_users_are_linked_by_name_or_by_hand_and_a_name_two_people_have_by_nobody() {
    let company = Company::start().await;
    for (name, nic) in [("Kim", "kim1"), ("Kim", "kim2")] {
        company.add(Object::User, json!({"name": name, "lastName": "Larsen", "nic": nic, "isActive": true}));
    }
    let profile = company.rows("Profile")[0]["Id"].clone();
    let kim = company.insert(
        "User",
        json!({"Username": "kim@lockstep.example", "FirstName": "Kim", "LastName": "Larsen", "Email": "kim@lockstep.example", "Alias": "kim",
            "ProfileId": profile, "TimeZoneSidKey": "GMT", "LocaleSidKey": "en_US", "LanguageLocaleKey": "en_US", "EmailEncodingKey": "UTF-8"}),
    );
    let owned = company.insert("Account", json!({"Name": "Kim's", "OwnerId": kim}));
    let report = company.json(&["once", "--approve"]);
    assert_eq!(report["outcome"], "partial", "{report:#}");
    let parked = company.told();
    assert!(parked.contains("ambiguous"), "{parked}");
    assert_eq!(company.counts()[0], 0, "ForceManager takes no company without a responsible user");

    company.set(&format!("users = {{ {kim} = {} }}", company.rep("kim2")));
    company.json(&["once", "--approve"]);
    company.json(&["once", "--approve"]);
    assert_eq!(refers(&company.twin(Object::Account, &owned), "salesRepId1"), company.rep("kim2"), "{}", company.told());
    company.quiet();
}

#[tokio::test(flavor = "multi_thread")]
async fn u5_who_has_no_link_is_stood_in_for_and_stays_who_they_are_in_salesforce() {
    let company = Company::start().await;
    let sam = company.rep("sokafor");
    company.rules(|text| {
        text.replacen(
            "OwnerId = { to = \"salesRepId1\", as = \"reference\", object = \"user\" }",
            &format!("OwnerId = {{ to = \"salesRepId1\", as = \"reference\", object = \"user\", or = \"{sam}\" }}"),
            1,
        )
    });
    let profile = company.rows("Profile")[0]["Id"].clone();
    let other = company.insert(
        "User",
        json!({"Username": "o@lockstep.example", "FirstName": "Only", "LastName": "Here", "Email": "o@lockstep.example", "Alias": "only",
            "ProfileId": profile, "TimeZoneSidKey": "GMT", "LocaleSidKey": "en_US", "LanguageLocaleKey": "en_US", "EmailEncodingKey": "UTF-8"}),
    );
    let owned = company.insert("Account", json!({"Name": "Owned", "OwnerId": other}));
    company.json(&["once", "--approve"]);
    assert_eq!(refers(&company.twin(Object::Account, &owned), "salesRepId1"), sam, "{}", company.told());
    company.quiet();
    assert_eq!(company.row("Account", &owned)["OwnerId"], json!(other));
}

// ── what goes wrong on the way ───────────────────────────────────────────────────────────────────────────────────────

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_makes_nothing_twice() {
    let company = Company::start().await;
    let acme = company.acme();
    for path in ["accounts", "contacts", "opportunities", "activities", "calendar"] {
        company.fault(json!({"on": format!("POST /api/v4/{path}"), "do": "reset_after"}));
    }
    company.json(&["once", "--approve"]);
    company.once();
    assert_eq!(company.counts(), [1, 2, 1, 2, 4], "{}", company.told());
    company.twin(Object::Account, &acme.account);
    company.quiet();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_calls_and_a_session_that_ends_are_waited_for() {
    let company = Company::start().await;
    company.acme();
    let limited = json!({"status": 429, "headers": {"Retry-After": "1"}, "body": "{\"message\":\"too many requests\"}", "content_type": "application/json"});
    company.fault(json!({"on": "POST /api/v4/accounts", "times": 2, "do": limited}));
    company.fault(json!({"on": "GET /api/v4/contacts", "do": limited}));
    let spent = json!({"status": 401, "body": "{\"message\":\"invalid session\"}", "content_type": "application/json"});
    company.fault(json!({"on": "POST /api/v4/opportunities", "do": spent}));
    company.linked();
    assert_eq!(company.counts(), [1, 2, 1, 2, 4], "{}", company.told());
    company.quiet();
}

/// M3: the last records, newest first, with both ids, what was done, whither, and how it ended.
#[tokio::test(flavor = "multi_thread")]
async fn m3_the_last_records_are_told_with_action_direction_and_outcome() {
    let company = Company::start().await;
    let acme = company.acme();
    company.linked();
    let twin = id(&company.twin(Object::Account, &acme.account));
    company.update("Account", &acme.account, json!({"Name": "Acme Limited"}));
    company.once();
    company.edit(Object::Account, twin, json!({"phone": "+41 44 555 01 01"}));
    company.once();
    let refused = json!({"status": 400, "body": "{\"message\":\"name is not allowed\"}", "content_type": "application/json"});
    company.fault(json!({"on": "PUT /api/v4/accounts", "do": refused}));
    company.update("Account", &acme.account, json!({"Name": "Acme Ltd"}));
    company.json(&["once"]);

    let told = company.json(&["history", "--last"]);
    let rows = told["changes"].as_array().unwrap();
    let told_of =
        |n: usize| ["object", "action", "direction", "outcome"].map(|field| rows[n][field].as_str().unwrap_or_default().to_owned());
    assert_eq!(told_of(0), ["account", "update", "to-platform", "rejected"], "{told:#}");
    assert!(rows[0]["message"].as_str().unwrap().contains("name is not allowed"), "{told:#}");
    assert_eq!(told_of(1), ["account", "update", "to-salesforce", "done"], "{told:#}");
    assert_eq!(told_of(2), ["account", "update", "to-platform", "done"], "{told:#}");
    for row in &rows[..3] {
        assert_eq!(
            (row["salesforce_id"].as_str(), row["platform_id"].as_str()),
            (Some(&*acme.account), Some(&*twin.to_string())),
            "{row:#}"
        );
    }
    assert!(rows.len() > 10 && rows.iter().any(|row| row["action"] == "create"), "{told:#}");
    assert_eq!(company.json(&["history", "--last", "2"])["changes"].as_array().unwrap().len(), 2);
}

// ── extra fields ─────────────────────────────────────────────────────────────────────────────────────────────────────

/// A custom field of Salesforce, as an administrator makes it.
fn custom(company: &Company, object: &str, name: &str, kind: &str) {
    let size = match kind {
        "Text" => "<length>40</length>",
        "Number" => "<precision>10</precision><scale>2</scale>",
        "Checkbox" => "<defaultValue>false</defaultValue>",
        _ => "",
    };
    let xml = format!("<CustomField><fullName>{name}</fullName><label>{name}</label><type>{kind}</type>{size}</CustomField>");
    company.pair.salesforce.world().add_field(object, &xml).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extra_field_of_the_rules_is_made_before_it_is_written() {
    let company = Company::start().await;
    custom(&company, "Account", "Tier__c", "Text");
    company.set("extra-field-type-codes = { text = 3 }\nextra-fields = { account = { Z_Tier = \"text\" } }");
    company.rules(|text| text.replacen("Name = \"name\"", "Name = \"name\"\nTier__c = \"Z_Tier\"", 1));
    let code = serde_json::to_value(&company.pair.forcemanager().unwrap().world().settings.extra_field_types).unwrap()["text"].clone();
    company.rules(|text| text.replace("{ text = 3 }", &format!("{{ text = {code} }}")));
    let account = company.insert("Account", json!({"Name": "Acme", "Tier__c": "Gold"}));
    company.linked();
    let twin = company.twin(Object::Account, &account);
    assert_eq!(twin["Z_Tier"], "Gold", "{twin:#}\n{}", company.told());
    company.edit(Object::Account, id(&twin), json!({"Z_Tier": "Silver"}));
    assert_eq!(company.wrote(), (1, 0));
    assert_eq!(company.row("Account", &account)["Tier__c"], "Silver");
    company.quiet();
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_f5_every_custom_field_gets_an_extra_field_also_one_that_comes_later() {
    let company = Company::start().await;
    custom(&company, "Account", "Tier__c", "Text");
    custom(&company, "Account", "Score__c", "Number");
    custom(&company, "Account", "Vip__c", "Checkbox");
    custom(&company, "Account", "Since__c", "Date");
    custom(&company, "Event", "Room__c", "Text");
    let codes = serde_json::to_value(&company.pair.forcemanager().unwrap().world().settings.extra_field_types).unwrap();
    let code = |word: &str| codes[word].as_i64().unwrap();
    // The vendor does not publish the numbers: people made a field of two kinds, and the operator knows the others.
    for (name, kind) in [("Motto", "text"), ("First", "datetime")] {
        company.pair.forcemanager().unwrap().world().add_extra_field(Object::Account, &json!({"fieldName": name, "type": kind})).unwrap();
    }
    company.set(&format!("extra-field-type-codes = {{ decimal = {}, bit = {}, text = {} }}", code("decimal"), code("bit"), code("text")));
    let fields = json!({"Name": "Acme", "Tier__c": "Gold", "Score__c": 7.5, "Vip__c": true, "Since__c": "2020-05-01"});
    let account = company.insert("Account", fields);
    let event = json!({"WhatId": account, "Subject": "Demo", "StartDateTime": "2026-12-03T09:00:00Z", "EndDateTime": "2026-12-03T09:45:00Z", "Room__c": "12"});
    let event = company.insert("Event", event);
    company.linked();
    let twin = company.twin(Object::Account, &account);
    let shown = (twin["Z_Tier"].clone(), twin["Z_Score"].as_f64(), twin["Z_Vip"].clone());
    assert_eq!(shown, (json!("Gold"), Some(7.5), json!(true)), "{twin:#}\n{}", company.told());
    assert!(twin["Z_Since"].to_string().contains("2020-05-01"), "{twin:#}");
    assert_eq!(company.twin(Object::Calendar, &event)["Z_Room"], "12");
    company.quiet();
    company.edit(Object::Account, id(&twin), json!({"Z_Tier": "Silver", "Z_Score": 8, "Z_Since": "2021-06-02 00:00:00"}));
    assert_eq!(company.wrote(), (1, 0));
    let row = company.row("Account", &account);
    assert_eq!(
        (row["Tier__c"].as_str(), row["Score__c"].as_f64(), row["Since__c"].as_str()),
        (Some("Silver"), Some(8.0), Some("2021-06-02"))
    );
    company.quiet();

    // One that an administrator makes later, and one that nobody at ForceManager may make.
    custom(&company, "Account", "Region__c", "Text");
    company.update("Account", &account, json!({"Region__c": "North"}));
    company.once();
    assert_eq!(company.twin(Object::Account, &account)["Z_Region"], "North", "{}", company.told());
    company.quiet();
    company.pair.forcemanager().unwrap().world().settings.extra_fields_creatable = false;
    custom(&company, "Account", "Zone__c", "Text");
    company.update("Account", &account, json!({"Zone__c": "3", "Name": "Acme AG"}));
    company.json(&["once"]);
    let twin = company.twin(Object::Account, &account);
    assert_eq!((twin["name"].as_str(), twin.get("Z_Zone").filter(|v| !v.is_null())), (Some("Acme AG"), None), "F7: the rest goes on");
    company.quiet();
    // F6: what is made there stays there.
    assert!(company.row("Account", &account).get("Motto__c").is_none());
}

// ── the first load ───────────────────────────────────────────────────────────────────────────────────────────────────

/// A ForceManager that was used before, and a Salesforce that shall replace it.
async fn used_before() -> (Company, Acme) {
    let company = Company::start().await;
    lockstep::sandbox::forcemanager::fill_sample(&mut company.pair.forcemanager().unwrap().world()).unwrap();
    let acme = company.acme();
    company.set("first-load = \"replace\"");
    (company, acme)
}

fn key(company: &Company) -> String {
    company.pair.forcemanager().unwrap().public_key.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_a2_without_the_word_for_this_platform_nothing_is_deleted() {
    let (mut company, _) = used_before().await;
    let before = company.counts();
    let report = company.json(&["once"]);
    assert_eq!(report["outcome"], "failed", "{report:#}");
    assert!(report["error"].as_str().unwrap().contains("consented"), "{report:#}");
    let looked = company.json(&["first-load"]);
    let would: Vec<(&str, i64)> =
        looked["would"].as_array().unwrap().iter().map(|w| (w["object"].as_str().unwrap(), w["deleted"].as_i64().unwrap())).collect();
    assert_eq!(would, [("account", 4), ("contact", 4), ("opportunity", 3), ("activity", 3), ("event", 3), ("task", 3)], "{looked:#}");
    assert_eq!(code(&company.lockstep(&["first-load", "--consent", "yes"])), 2);
    assert_eq!(company.counts(), before);
    assert_eq!(company.calls("DELETE /accounts/{id}"), 0);

    // The word was for the first key: with another one nothing runs.
    let word = key(&company);
    company.fault(json!({"on": "GET /api/v4/users", "times": 0, "do": {"status": 500}}));
    company.lockstep(&["first-load", "--consent", &word]);
    company.pair.platform_wire.faults.clear();
    company.other.push(("FORCEMANAGER_PUBLIC_KEY", "another0key".to_owned()));
    assert_eq!(code(&company.lockstep(&["first-load", "--consent", &word])), 2, "what was typed is not the key of this platform");
    let report = company.json(&["once"]);
    assert!(report["error"].as_str().unwrap().contains("consented"), "{report:#}");
    assert_eq!(company.counts(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a3_to_a6_the_first_load_replaces_what_was_there_and_keeps_a_copy() {
    let (company, acme) = used_before().await;
    let users = company.held(Object::User).len();
    let report = company.json(&["first-load", "--consent", &key(&company)]);
    assert_eq!(report["outcome"], "ok", "{report:#}\n{}", company.told());
    assert_eq!(company.counts(), [1, 2, 1, 2, 4], "{}", company.told());
    for (object, id) in [(Object::Account, &acme.account), (Object::Contact, &acme.contact), (Object::Opportunity, &acme.opportunity)] {
        company.twin(object, id);
    }
    assert_eq!((company.held(Object::User).len(), company.held(Object::Branch).len()), (users, 1));
    let copies = company.backups();
    let lines: usize = copies.iter().map(|path| fs::read_to_string(path).unwrap().lines().filter(|l| !l.is_empty()).count()).sum();
    assert_eq!((copies.len(), lines), (1, 20));
    // Children went before their parents.
    let world = company.pair.forcemanager().unwrap().world();
    let gone: Vec<&str> = world.log().filter(|c| c.method == "DELETE").map(|c| c.path.split('/').rev().nth(1).unwrap()).collect();
    let order: Vec<&str> = gone.iter().fold(Vec::new(), |mut seen, path| {
        if !seen.contains(path) {
            seen.push(path);
        }
        seen
    });
    assert_eq!(order.iter().position(|p| *p == "accounts"), Some(order.len() - 1), "{order:?}");
    drop(world);
    assert!(company.rows("Account").iter().all(|a| a["Name"] == "Acme"), "nothing of the old data came to Salesforce");
    company.quiet();
}

#[tokio::test(flavor = "multi_thread")]
async fn a5_a_first_load_that_is_cut_off_goes_on_where_it_was() {
    let (company, acme) = used_before().await;
    let no = json!({"status": 400, "body": "{\"message\":\"not now\"}", "content_type": "application/json"});
    company.fault(json!({"on": "DELETE /api/v4/contacts", "nth": 2, "times": 0, "do": no}));
    let cut = company.lockstep(&["first-load", "--consent", &key(&company)]);
    assert_ne!(code(&cut), 0);
    assert_eq!(company.counts()[0], 4, "parents wait");
    company.pair.platform_wire.faults.clear();
    // In the middle of the load the platform is away.
    company.fault(json!({"on": "POST /api/v4/contacts", "times": 0, "do": "reset_before"}));
    company.lockstep(&["once"]);
    company.pair.platform_wire.faults.clear();
    company.json(&["once"]);
    company.json(&["once"]);
    assert_eq!(company.counts(), [1, 2, 1, 2, 4], "{}", company.told());
    company.twin(Object::Contact, &acme.contact);
    company.quiet();
    let text = fs::read_to_string(&company.backups()[0]).unwrap();
    let mut kept: Vec<(String, String)> = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| (line["object"].as_str().unwrap().to_owned(), line["id"].as_str().unwrap().to_owned()))
        .collect();
    let all = kept.len();
    kept.sort();
    kept.dedup();
    assert_eq!((kept.len(), all), (20, 20), "each record once: {text}");
}

// ── the demo ─────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn the_demo_with_forcemanager_tells_its_story() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("demo");
    let output = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["demo", "--platform", "forcemanager", "--state"])
        .arg(&state)
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for part in ["account: 4 to be deleted", "salesforce-moved", "platform-moved", "clash", "create activity", "sqlite3 -readonly"] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
    assert!(state.join("lockstep.db").exists());
}
