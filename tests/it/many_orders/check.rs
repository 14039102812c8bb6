//! The end, judged from what both simulators really hold and from the state file; nothing here asks the daemon.

use super::market::Market;
use lockstep::sandbox::licensespring::Object;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Salesforce field and platform field, as the shipped rules pair them.
type Pairs = &'static [(&'static str, &'static str)];

const ACCOUNT: Pairs = &[("Name", "name"), ("Phone", "phone"), ("Description", "description"), ("BillingStreet", "address")];
const CONTACT: Pairs = &[
    ("Email", "email"),
    ("FirstName", "first_name"),
    ("LastName", "last_name"),
    ("Phone", "phone"),
    ("MailingStreet", "address"),
    ("MailingPostalCode", "postcode"),
    ("MailingCity", "city"),
    ("MailingState", "state"),
    ("MailingCountry", "country"),
];
const LICENSE: Pairs = &[
    ("License_Key__c", "license_key"),
    ("Type__c", "license_type"),
    ("State__c", "status"),
    ("Enabled__c", "enabled"),
    ("Valid_Until__c", "validity_period"),
    ("Max_Activations__c", "max_activations"),
    ("Activations__c", "times_activated"),
    ("Last_Check__c", "last_check"),
    ("Note__c", "note"),
];
const FEATURE: Pairs =
    &[("Max_Consumption__c", "max_consumption"), ("Total_Consumption__c", "total_consumptions"), ("Expiry_Date__c", "expiry_date")];

/// Everything; answers how many licenses and features there are.
pub fn all(market: &Market, seed: u64) -> (usize, usize) {
    let judge = Judge::of(market, seed);
    judge.people();
    judge.orders();
    let licenses = judge.licenses();
    let features = judge.features();
    judge.written();
    judge.state();
    (licenses, features)
}

struct Judge<'a> {
    market: &'a Market,
    seed: u64,
    platform: BTreeMap<&'static str, Vec<Value>>,
    salesforce: BTreeMap<&'static str, Vec<Value>>,
}

/// A value as a person compares it: no value is no value, a number is a number, a moment has seconds.
fn seen(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Number(n) => n.as_f64().unwrap().to_string(),
        Value::String(text) => chrono::DateTime::parse_from_rfc3339(text)
            .or_else(|_| chrono::DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"))
            .map_or_else(|_| text.clone(), |at| at.timestamp().to_string()),
        other => other.to_string(),
    }
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_default()
}

impl<'a> Judge<'a> {
    fn of(market: &'a Market, seed: u64) -> Self {
        let objects = [
            ("account", Object::Account),
            ("customer", Object::Customer),
            ("order", Object::Order),
            ("license", Object::License),
            ("feature", Object::LicenseFeature),
            ("definition", Object::ProductFeature),
            ("product", Object::Product),
            ("policy", Object::Policy),
        ];
        let platform = objects.map(|(name, object)| (name, market.rig.ls_rows(object))).into();
        let salesforce = ["Account", "Contact", "License__c", "License_Feature__c"].map(|o| (o, market.rig.sf_rows(o))).into();
        Self { market, seed, platform, salesforce }
    }

    fn fail(&self, why: &str) -> ! {
        panic!("seed {}: {why}\n{:#?}\n{}", self.seed, self.market.rig.store().quarantine(20).unwrap(), self.market.rig.changes())
    }

    /// Rows by a field that must be unique.
    fn by<'r>(&self, what: &str, rows: &'r [Value], field: &str) -> BTreeMap<String, &'r Value> {
        let mut by = BTreeMap::new();
        for row in rows {
            if let Some(other) = by.insert(seen(&row[field]), row) {
                self.fail(&format!("two {what} with one {field}: {other:#} {row:#}"));
            }
        }
        by
    }

    fn equal(&self, what: &str, salesforce: &Value, platform: &Value, fields: Pairs) {
        for (s, p) in fields {
            let (left, right) = (&salesforce[s], &platform[p]);
            // A text that was never filled is blank there and null here; a count is never blank.
            if seen(left) != seen(right) {
                self.fail(&format!("{what}: {s} {left} is not {p} {right}\n{salesforce:#}\n{platform:#}"));
            }
        }
    }

    fn people(&self) {
        for (object, resource, planted, fields) in [("Account", "account", "code", ACCOUNT), ("Contact", "customer", "reference", CONTACT)]
        {
            let partners = self.by(resource, &self.platform[resource], planted);
            if partners.len() != self.salesforce[object].len() {
                self.fail(&format!("{} {object}s, {} {resource}s", self.salesforce[object].len(), partners.len()));
            }
            for row in &self.salesforce[object] {
                let id = text(row, "Id");
                let partner = partners.get(id).unwrap_or_else(|| self.fail(&format!("{object} {id} has no partner")));
                self.equal(&format!("{object} {id}"), row, partner, fields);
            }
        }
    }

    /// One order on the platform for each order that carries licenses, of the right customer and account.
    fn orders(&self) {
        let orders = self.by("orders", &self.platform["order"], "store_id");
        let customers = self.by("customers", &self.platform["customer"], "id");
        let accounts = self.by("accounts", &self.platform["account"], "id");
        let wanted: BTreeMap<String, _> = self.market.due.values().map(|due| (format!("SF-{}", due.order), due)).collect();
        if !orders.keys().eq(wanted.keys()) {
            self.fail(&format!("{} orders on the platform, {} are due", orders.len(), wanted.len()));
        }
        for (store_id, due) in wanted {
            let row = orders[&store_id];
            let (customer, account) = (customers.get(&seen(&row["customer"])), accounts.get(&seen(&row["customer_account"])));
            let (customer, account) = (customer.map(|c| text(c, "reference")), account.map(|a| text(a, "code")));
            if (customer, account) != (Some(&due.contact), Some(&due.account)) {
                self.fail(&format!("order {store_id} is of {customer:?} at {account:?}, due to {} at {}", due.contact, due.account));
            }
        }
    }

    fn licenses(&self) -> usize {
        let licenses = &self.platform["license"];
        self.by("licenses", licenses, "license_key");
        let mut units = BTreeMap::new();
        for row in licenses {
            let unit = text(&row["metadata"]["lockstep"], "line").to_owned();
            if let Some(other) = units.insert(unit, row) {
                self.fail(&format!("a line has two licenses for one unit: {other:#} {row:#}"));
            }
        }
        if !units.keys().eq(self.market.due.keys()) {
            let (is, due): (BTreeSet<&String>, BTreeSet<&String>) = (units.keys().collect(), self.market.due.keys().collect());
            self.fail(&format!("missing {:?}, not due {:?}", due.difference(&is), is.difference(&due)));
        }
        let shown = self.by("License__c", &self.salesforce["License__c"], "License_Key__c");
        if shown.len() != licenses.len() {
            self.fail(&format!("{} licenses, {} rows in Salesforce", licenses.len(), shown.len()));
        }
        let orders = self.by("orders", &self.platform["order"], "id");
        let products = self.by("products", &self.platform["product"], "id");
        let policies = self.by("policies", &self.platform["policy"], "id");
        for (unit, due) in &self.market.due {
            let license = units[unit];
            let what = format!("license {} of {unit}", license["id"]);
            let order = orders[&seen(&license["order"])];
            let product = products[&seen(&license["product"])];
            let policy = policies[&seen(&license["license_template"])];
            let is = (text(order, "store_id").to_owned(), text(product, "short_code"), text(policy, "code"));
            if is != (format!("SF-{}", due.order), due.product, due.policy) {
                self.fail(&format!("{what} is {is:?}, due is {due:?}"));
            }
            if due.activations.is_some_and(|n| license["max_activations"] != n) {
                self.fail(&format!("{what} has {} activations, due are {:?}", license["max_activations"], due.activations));
            }
            let Some(row) = shown.get(text(license, "license_key")) else { self.fail(&format!("{what} is not in Salesforce")) };
            self.equal(&what, row, license, LICENSE);
            let links = ["Order__c", "Contact__c", "Order_Line__c", "Product__c", "Policy__c"].map(|f| text(row, f));
            if links != [&due.order, &due.contact, unit, text(product, "product_name"), due.policy] {
                self.fail(&format!("{what} is shown under {links:?}, due is {due:?}"));
            }
            let page = format!("/orders/{}/{}", order["id"], license["id"]);
            if !text(row, "Platform_Url__c").ends_with(&page) {
                self.fail(&format!("{what}: {} does not lead to {page}", row["Platform_Url__c"]));
            }
        }
        licenses.len()
    }

    fn features(&self) -> usize {
        let keys = self.by("licenses", &self.platform["license"], "id");
        let definitions = self.by("definitions", &self.platform["definition"], "id");
        let rows = self.by("License__c", &self.salesforce["License__c"], "Id");
        let mut platform = BTreeMap::new();
        for feature in &self.platform["feature"] {
            let definition = definitions[&seen(&feature["product_feature"])];
            let name = (text(keys[&seen(&feature["license"])], "license_key"), text(definition, "code"));
            if platform.insert(name, (feature, definition)).is_some() {
                self.fail(&format!("a license has feature {} twice", name.1));
            }
        }
        let mut shown = BTreeMap::new();
        for feature in &self.salesforce["License_Feature__c"] {
            let Some(license) = rows.get(text(feature, "License__c")) else {
                self.fail(&format!("a feature without a license: {feature:#}"))
            };
            let name = (text(license, "License_Key__c"), text(feature, "Code__c"));
            if shown.insert(name, feature).is_some() {
                self.fail(&format!("Salesforce shows feature {} of one license twice", name.1));
            }
        }
        if !platform.keys().eq(shown.keys()) {
            self.fail(&format!("{} features on the platform, {} in Salesforce", platform.len(), shown.len()));
        }
        for (name, (feature, definition)) in &platform {
            let what = format!("feature {} of license {}", name.1, feature["license"]);
            self.equal(&what, shown[name], feature, FEATURE);
            self.equal(&what, shown[name], definition, &[("Label__c", "name"), ("Feature_Type__c", "feature_type")]);
        }
        platform.len()
    }

    /// S1: what people wrote is there; that both sides show the same is known by here.
    fn written(&self) {
        for ((object, name, field), wrote) in &self.market.written {
            let by = if *object == "License__c" { "License_Key__c" } else { "Id" };
            let row = self.salesforce[object].iter().find(|r| text(r, by) == name);
            if row.is_none_or(|row| text(row, field) != wrote) {
                self.fail(&format!("{object}: {wrote:?} of {field} was lost: {row:#?}"));
            }
        }
    }

    fn state(&self) {
        let store = self.market.rig.store();
        let quarantine = store.quarantine(20).unwrap();
        if !quarantine.is_empty() || !store.holds().unwrap().is_empty() {
            self.fail(&format!("left over: {quarantine:#?} {:#?}", store.holds().unwrap()));
        }
        for object in ["account", "contact", "order", "license", "feature"] {
            let open = store.open_promises(object).unwrap();
            if !open.is_empty() {
                self.fail(&format!("{} open promises of {object}", open.len()));
            }
        }
        let due: BTreeSet<&str> = self.market.due.values().map(|due| due.order.as_str()).collect();
        let links = (store.link_count("order").unwrap(), store.link_count("license").unwrap());
        if links != (due.len() as u64, self.market.due.len() as u64) {
            self.fail(&format!("{links:?} orders and licenses are linked, due are {} and {}", due.len(), self.market.due.len()));
        }
    }
}
