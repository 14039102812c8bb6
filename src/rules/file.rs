//! The rules file as it was written: every key once, with its place, nothing meant yet.
//!
//! These types are three things at once: what the text is read into, the JSON schema for editors, and the tables of
//! docs/rules.md. Everything is optional here, because a file with a hole in it is still looked at as a whole; what must be
//! there says the schema. Knows no platform but its name.

mod schema;
mod value;
mod view;

pub use schema::schema;
pub use value::{At, Scalar, SecretRef, TextValue};
pub use view::Line;

use super::{
    Place,
    mapping::{
        Conflict, ContactRule, Create, Direction, Drift, Merge, OnContactChange, OnLess, OnLoss, OnMore, OnPlatformDelete,
        OnSalesforceDelete, OrderRules, Quantity,
    },
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The rules of one connection: one Salesforce org, one license platform, one state directory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RulesFile {
    /// Where an editor finds the JSON schema of this file. Lockstep itself does not look at it.
    #[serde(rename = "$schema")]
    #[schemars(extend("examples" = ["docs/sync-rules.schema.json"]))]
    pub schema: Option<String>,
    /// The switch, above the first table: with `false` nothing runs and neither system is asked anything, whoever asks.
    /// `lockstep check` still looks at this file.
    #[schemars(extend("default" = true, "examples" = [false]))]
    pub enabled: Option<bool>,
    /// What this connection is called.
    #[schemars(with = "ConnectionTable")]
    pub connection: Option<At<ConnectionTable>>,
    /// When runs are due, and how far back they look.
    #[serde(default)]
    pub schedule: ScheduleTable,
    /// What a run may do unasked. The rest is held until somebody has looked.
    #[serde(default)]
    pub limits: LimitsTable,
    /// How the org is reached.
    #[schemars(with = "SalesforceTable")]
    pub salesforce: Option<At<SalesforceTable>>,
    /// How the license platform is reached.
    #[schemars(with = "PlatformTable")]
    pub platform: Option<At<PlatformTable>>,
    /// When an order is provisioned, and for whom. Needed as soon as an object provisions.
    pub orders: Option<At<OrdersTable>>,
    /// By Salesforce product code what the platform issues; `*` stands for any run of characters. An exact code goes before
    /// a pattern, a pattern before those below it. `from = "Product2"` looks for codes that are not here in the product's own
    /// fields `License_Product__c` (`none`: no license) and `License_Policy__c`.
    #[serde(default)]
    pub products: BTreeMap<At<String>, At<ProductValue>>,
    /// The kinds of record that are kept in step, by the name they have in logs, history and commands.
    #[serde(default)]
    pub objects: BTreeMap<At<String>, At<ObjectTable>>,
    /// Tables that something was taken out of because its form was wrong: what is missing there is no news.
    #[serde(skip)]
    pub maimed: Vec<Place>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConnectionTable {
    /// 1 to 30 lower-case letters, digits and dashes. Pinned in the state file and part of every id that Lockstep writes into
    /// Salesforce, so it stays what it is.
    #[schemars(with = "String", extend("pattern" = "^[a-z0-9-]{1,30}$", "examples" = ["acme"]))]
    pub name: Option<At<String>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ScheduleTable {
    /// The time from one run to the next.
    #[schemars(extend("x-kind" = "duration", "default" = "15m", "examples" = ["5m"]))]
    pub every: Option<At<String>>,
    /// Instead of `every`: a cron expression of five fields (minute hour day month weekday) or six (second first).
    #[schemars(extend("x-kind" = "cron expression", "examples" = ["*/15 6-22 * * MON-FRI"]))]
    pub cron: Option<At<String>>,
    /// The time zone `cron` is meant in.
    #[schemars(extend("x-kind" = "time zone", "default" = "UTC", "examples" = ["Europe/Berlin"]))]
    pub time_zone: Option<At<String>>,
    /// How often interval runs read whole what has no feed of changes: `auto` (each time, while that takes no more than a
    /// tenth of the platform's rate limit), `run` (each time) or a duration.
    #[schemars(extend("x-kind" = "`\"auto\"` `\"run\"` or duration", "default" = "auto", "examples" = ["1h"]))]
    pub sweep_every: Option<At<String>>,
    /// How often the ids and stamps of both sides are compared with what is remembered, to find what deltas cannot show: a
    /// duration, a cron expression, or `off`.
    #[schemars(extend("x-kind" = "duration, cron expression or `\"off\"`", "default" = "24h", "examples" = ["0 3 * * *"]))]
    pub census: Option<At<String>>,
    /// When a full re-sync starts that was asked for: as soon as the running pass ends, or with the next interval.
    #[schemars(extend("default" = "now", "examples" = ["next-tick"]))]
    pub resync: Option<ResyncAt>,
    /// How far before the last reading Salesforce is read again, because commits can show up late.
    #[schemars(extend("x-kind" = "duration", "default" = "10m", "examples" = ["30m"]))]
    pub lookback: Option<At<String>>,
    /// How long a record must stay missing before it is looked for by id.
    #[schemars(extend("x-kind" = "duration", "default" = "60s", "examples" = ["5m"]))]
    pub confirm_absence_after: Option<At<String>>,
}

/// When a requested re-sync starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ResyncAt {
    Now,
    NextTick,
}

impl ResyncAt {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::NextTick => "next-tick",
        }
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LimitsTable {
    /// Percent of the org's daily API allowance that stays free for everybody else.
    #[schemars(range(min = 0, max = 99), extend("default" = 20, "examples" = [50]))]
    pub salesforce_reserve: Option<u8>,
    /// Records created, for each object and side, in a run and in any 24 hours.
    #[schemars(extend("default" = {"count": 100, "percent": 20}, "examples" = [{"count": 1000, "percent": 20}]))]
    pub creates: Option<LimitTable>,
    /// Records changed.
    #[schemars(extend("default" = {"count": 500, "percent": 30}, "examples" = [{"count": 500, "percent": 50}]))]
    pub changes: Option<LimitTable>,
    /// Records deleted or disabled, activations released, validity shortened, counts lowered.
    #[schemars(extend("default" = {"count": 10, "percent": 10}, "examples" = [{"count": 0, "percent": 0}]))]
    pub destructive: Option<LimitTable>,
}

/// The larger of a count and a percentage of what is there.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LimitTable {
    /// So many are always allowed.
    #[schemars(with = "u64", range(max = 1_000_000_000), extend("examples" = [100]))]
    pub count: Option<u64>,
    /// And so many of a hundred records.
    #[schemars(with = "u64", range(max = 100), extend("examples" = [20]))]
    pub percent: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SalesforceTable {
    /// The org's My Domain address.
    #[schemars(with = "TextValue", extend("examples" = ["https://acme.my.salesforce.com", {"env": "SALESFORCE_LOGIN_URL"}]))]
    pub login_url: Option<At<TextValue>>,
    /// How Lockstep logs in.
    #[schemars(extend("default" = "client-credentials", "examples" = ["jwt"]))]
    pub flow: Option<FlowWord>,
    /// Consumer key of the External Client App (or connected app).
    #[schemars(with = "TextValue", extend("examples" = [{"env": "SALESFORCE_CLIENT_ID"}]))]
    pub client_id: Option<At<TextValue>>,
    /// Consumer secret. For `client-credentials` and `password`; with `refresh-token` where the app asks for it.
    #[schemars(extend("examples" = [{"credential": "salesforce-client-secret"}]))]
    pub client_secret: Option<At<SecretRef>>,
    /// For `refresh-token`: the first token. Its successors are kept beside the state file.
    #[schemars(extend("examples" = [{"file": "/etc/lockstep/refresh-token"}]))]
    pub refresh_token: Option<At<SecretRef>>,
    /// For `jwt` and `password`: who Lockstep works as.
    #[schemars(extend("examples" = ["lockstep@acme.example"]))]
    pub username: Option<At<TextValue>>,
    /// For `jwt`: the private key (PEM) of the certificate that was uploaded to the app.
    #[schemars(extend("examples" = [{"credential": "salesforce-key"}]))]
    pub private_key: Option<At<SecretRef>>,
    /// For `jwt`: whom the assertion is for; `https://test.salesforce.com` for a sandbox org.
    #[schemars(extend("default" = "https://login.salesforce.com", "examples" = ["https://test.salesforce.com"]))]
    pub audience: Option<At<TextValue>>,
    /// For `password`: the password with the security token behind it.
    #[schemars(extend("examples" = [{"env": "SALESFORCE_PASSWORD"}]))]
    pub password: Option<At<SecretRef>>,
    /// Version of the REST API, 46.0 or later.
    #[schemars(extend("default" = "66.0", "examples" = ["67.0"]))]
    pub api_version: Option<At<String>>,
    /// Hosts the token may be sent to; `*.` in front stands for any subdomain. Loopback is always allowed.
    #[schemars(extend("default" = ["*.salesforce.com", "*.my.salesforce.com"], "examples" = [["acme.my.salesforce.com"]]))]
    pub allowed_hosts: Option<Vec<At<String>>>,
    /// A Salesforce sandbox org may be paired with a production platform.
    #[serde(default)]
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub allow_sandbox_with_production: bool,
}

/// How Lockstep logs in to Salesforce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FlowWord {
    ClientCredentials,
    RefreshToken,
    Jwt,
    Password,
}

impl FlowWord {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client-credentials",
            Self::RefreshToken => "refresh-token",
            Self::Jwt => "jwt",
            Self::Password => "password",
        }
    }
}

/// Exactly one platform.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PlatformTable {
    /// LicenseSpring, by its Management API.
    pub licensespring: Option<At<LicenseSpringTable>>,
    /// ForceManager (Sage Sales Management), by its API v4.
    pub forcemanager: Option<At<ForceManagerTable>>,
    /// X-Formation License Activation Center, by its vendor REST API.
    pub lac: Option<At<LacTable>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LicenseSpringTable {
    /// The platform's address, without `/api/v1`.
    #[schemars(with = "TextValue", extend("examples" = ["https://saas.licensespring.com", {"env": "LICENSESPRING_URL"}]))]
    pub url: Option<At<TextValue>>,
    /// The Management API key.
    #[schemars(with = "SecretRef", extend("examples" = [{"env": "LICENSESPRING_API_KEY"}]))]
    pub api_key: Option<At<SecretRef>>,
    /// The vendor plan, for its rate limit, of which half is used; `none` for no limit of our own.
    #[schemars(extend("default" = "free", "examples" = ["enterprise"]))]
    pub plan: Option<At<PlanWord>>,
    /// Instead of `plan`: how many requests the vendor allows the company in 60 seconds.
    #[schemars(range(min = 1, max = 1_000_000), extend("examples" = [3000]))]
    pub requests_per_minute: Option<u32>,
    /// The company's number in the addresses of the platform's pages, for links to them.
    #[schemars(extend("examples" = ["901"]))]
    pub company: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ForceManagerTable {
    /// The address of the API, with its version.
    #[schemars(extend("default" = "https://api.forcemanager.com/api/v4", "examples" = [{"env": "FORCEMANAGER_URL"}]))]
    pub url: Option<At<TextValue>>,
    /// The public key: Settings > Integrations > API key.
    #[schemars(with = "SecretRef", extend("examples" = [{"env": "FORCEMANAGER_PUBLIC_KEY"}]))]
    pub public_key: Option<At<SecretRef>>,
    /// The private key of the same pair.
    #[schemars(with = "SecretRef", extend("examples" = [{"env": "FORCEMANAGER_PRIVATE_KEY"}]))]
    pub private_key: Option<At<SecretRef>>,
    /// Calls in a second. The vendor allows 4 or 13, by plan.
    #[schemars(range(min = 1, max = 13), extend("default" = 3, "examples" = [12]))]
    pub requests_per_second: Option<u32>,
    /// The zone in which the calendar's hours are meant. Without it that of the branch.
    #[schemars(extend("x-kind" = "time zone", "examples" = ["Europe/Madrid"]))]
    pub time_zone: Option<At<String>>,
    /// The number of the branch for accounts and opportunities that name none.
    #[schemars(range(min = 1), extend("examples" = [16]))]
    pub branch: Option<i64>,
    /// The field that carries the Salesforce id: `extId`, or an extra field where that belongs to somebody else.
    #[schemars(extend("default" = "extId", "examples" = ["Z_SalesforceId"]))]
    pub link_field: Option<At<String>>,
    /// What is sent for a first name that Salesforce does not have, if an empty one is refused.
    #[schemars(extend("default" = "-", "examples" = ["n/a"]))]
    pub placeholder: Option<String>,
    /// What becomes of records that are there already. `adopt`: they are linked where they match, and nothing is deleted.
    /// `replace`: nothing runs until `lockstep first-load --consent …` has deleted them and loaded Salesforce's.
    #[schemars(extend("default" = "adopt", "examples" = ["replace"]))]
    pub first_load: Option<FirstLoadWord>,
    /// Users linked by hand, before any by name: Salesforce user id = ForceManager user number.
    #[serde(default)]
    #[schemars(extend("default" = {}, "examples" = [{"005000000000001AAA": 14}]))]
    pub users: BTreeMap<At<String>, At<i64>>,
    /// Extra fields that are made where they are not there, by resource: name = kind.
    #[serde(default)]
    #[schemars(extend("default" = {}, "examples" = [{"account": {"Z_Tier": "text"}}]))]
    pub extra_fields: BTreeMap<String, BTreeMap<String, ExtraKindWord>>,
    /// Custom fields (`…__c`) of Salesforce's objects. `mapped`: those that the rules name. `all`: each of them, also one that
    /// is made later; it gets an extra field (`Tier__c`: `Z_Tier`), and the pairs are kept in the state directory.
    #[schemars(extend("default" = "mapped", "examples" = ["all"]))]
    pub custom_fields: Option<CustomFieldsWord>,
    /// The vendor's numbers for kinds of extra fields, needed for a kind that no field is there of.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, i64>", extend("default" = {}, "examples" = [{"text": 2}]))]
    pub extra_field_type_codes: BTreeMap<ExtraKindWord, i64>,
}

/// What becomes of records that a platform holds already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FirstLoadWord {
    Adopt,
    Replace,
}

/// Which custom fields of Salesforce take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CustomFieldsWord {
    Mapped,
    All,
}

/// What an extra field of ForceManager holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExtraKindWord {
    Text,
    Decimal,
    Bit,
    Date,
    Datetime,
    Multivalue,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LacTable {
    /// The address below which the vendor REST API has its `/customers`. The vendor publishes none; ask your installation.
    #[schemars(with = "TextValue", extend("examples" = ["https://license.example.com/rest/vendor", {"env": "LAC_URL"}]))]
    pub url: Option<At<TextValue>>,
    /// The LAC user Lockstep works as.
    #[schemars(with = "TextValue", extend("examples" = [{"env": "LAC_USERNAME"}]))]
    pub username: Option<At<TextValue>>,
    /// Its password.
    #[schemars(with = "SecretRef", extend("examples" = [{"env": "LAC_PASSWORD"}]))]
    pub password: Option<At<SecretRef>>,
    /// The zone of LAC's times, which name none.
    #[schemars(extend("x-kind" = "time zone", "default" = "UTC", "examples" = ["Europe/Warsaw"]))]
    pub time_zone: Option<At<String>>,
    /// How many requests a minute are made at most. The vendor publishes no limit.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 120, "examples" = [600]))]
    pub requests_per_minute: Option<u32>,
    /// How a customer is deleted: by `DELETE /customers/{id}`, which not every LAC offers, or `off`: never.
    #[schemars(extend("default" = "rest", "examples" = ["off"]))]
    pub customer_delete: Option<CustomerDelete>,
    /// What becomes of the deletion of a customer that has license orders: `block` reports it and keeps the customer, `allow`
    /// deletes it, with whatever becomes of the orders.
    #[schemars(extend("default" = "block", "examples" = ["allow"]))]
    pub customers_with_orders: Option<CustomersWithOrders>,
}

/// How a customer of LAC is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CustomerDelete {
    Rest,
    Off,
}

/// A customer of LAC that has license orders is to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CustomersWithOrders {
    Block,
    Allow,
}

/// A vendor plan of LicenseSpring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlanWord {
    Free,
    BusinessStarter,
    BusinessPlus,
    Enterprise,
    None,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OrdersTable {
    /// An expression that is true for the Salesforce order that is due.
    #[schemars(extend("x-kind" = "expression", "default" = OrderRules::PROVISION_WHEN, "examples" = ["Status == \"Released\" and TotalAmount > 0"]))]
    pub provision_when: Option<At<String>>,
    /// Orders activated before this instant are linked if they are found, and never provisioned. Mandatory where an object
    /// provisions.
    #[schemars(extend("x-kind" = "instant", "examples" = ["2026-01-01T00:00:00Z"]))]
    pub provision_from: Option<At<String>>,
    /// Whom to license to: the first of these that is filled on the order.
    #[schemars(extend("default" = ["license-contact", "bill-to"], "examples" = [["customer-authorized-by"]]))]
    pub contact: Option<Vec<ContactRule>>,
    /// What a quantity of N means: one license with N activations, or N licenses.
    #[schemars(extend("default" = "activations", "examples" = ["licenses"]))]
    pub quantity: Option<Quantity>,
    /// An expression that is true for an order that is called off. Salesforce itself knows only drafts and activated orders.
    #[schemars(extend("x-kind" = "expression", "default" = OrderRules::CANCELLED_WHEN, "examples" = ["Status == \"Withdrawn\""]))]
    pub cancelled_when: Option<At<String>>,
    /// After the licenses were issued a line is added or a quantity raised.
    #[schemars(extend("default" = "add", "examples" = ["report"]))]
    pub on_more: Option<OnMore>,
    /// A quantity is lowered.
    #[schemars(extend("default" = "report", "examples" = ["lower"]))]
    pub on_less: Option<OnLess>,
    /// A line is removed.
    #[schemars(extend("default" = "report", "examples" = ["disable"]))]
    pub on_line_removed: Option<OnLoss>,
    /// The order is called off.
    #[schemars(extend("default" = "disable", "examples" = ["report"]))]
    pub on_cancel: Option<OnLoss>,
    /// The order is no longer due, and not called off: it is a draft again. Changes of its lines wait until it is due again.
    #[schemars(extend("default" = "report", "examples" = ["disable"]))]
    pub on_deactivate: Option<OnLoss>,
    /// The order names another contact.
    #[schemars(extend("default" = "reassign", "examples" = ["report"]))]
    pub on_contact_change: Option<OnContactChange>,
    /// Write status, message, preview and counts to the Salesforce order and account, as far as those fields are there.
    #[schemars(extend("default" = true, "examples" = [false]))]
    pub write_back: Option<bool>,
}

/// What a product code stands for: a table, or `"none"` for a product that carries no license.
// A rules file holds dozens of these, and most are tables.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum ProductValue {
    /// `"none"`, `"Product2"`, or license arguments as QLM writes them (`"&is_productid=1&…"`).
    Word(String),
    Table(ProductTable),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProductTable {
    /// The platform's product code.
    #[schemars(with = "String", extend("examples" = ["orbit-pro"]))]
    pub product: Option<At<String>>,
    /// The platform's policy code. Without it the platform takes the product's own policy.
    #[schemars(extend("examples" = ["orbit-pro-1y"]))]
    pub policy: Option<String>,
    /// Instead of `[orders] quantity`.
    #[schemars(extend("examples" = ["licenses"]))]
    pub quantity: Option<Quantity>,
    /// Codes of features that each license gets.
    #[serde(default)]
    #[schemars(extend("default" = [], "examples" = [["sso"]]))]
    pub features: Vec<String>,
    /// Further license arguments, by the platform's names.
    #[serde(default)]
    #[schemars(extend("default" = {}, "examples" = [{"is_trial": true}]))]
    pub arguments: BTreeMap<String, Scalar>,
}

/// One kind of record and how it is kept in step.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ObjectTable {
    /// The sObject's API name.
    #[schemars(with = "String", extend("examples" = ["Contact"]))]
    pub salesforce: Option<At<String>>,
    /// The platform's resource.
    #[schemars(with = "String", extend("examples" = ["customer"]))]
    pub platform: Option<At<String>>,
    /// Which way changes travel.
    #[schemars(extend("default" = "both", "examples" = ["to-platform"]))]
    pub direction: Option<Direction>,
    /// Where a record is created that only one side has; on the other side it is reported. Without it: `to-platform`, or
    /// `to-salesforce` where that is the direction.
    #[schemars(extend("examples" = ["both"]))]
    pub create: Option<At<Create>>,
    /// Platform fields by which records of two filled systems know each other, tried in order, after the Salesforce id that
    /// Lockstep writes into platform records. Several names in one list must all be equal. Two hits stop.
    #[serde(default, rename = "match")]
    #[schemars(extend("default" = [], "examples" = [[["reference"], ["email"]]]))]
    pub match_keys: Vec<At<Vec<At<String>>>>,
    /// The object that must be linked before a record of this one is created.
    #[schemars(extend("examples" = ["account"]))]
    pub parent: Option<At<String>>,
    /// An expression over the Salesforce record; where it is not true the record is out of scope.
    #[schemars(extend("x-kind" = "expression", "examples" = ["not IsPersonAccount and Type == \"Customer\""]))]
    pub filter: Option<At<String>>,
    /// Who wins when both sides changed a field to different values. The loser is kept.
    #[schemars(extend("default" = "salesforce", "examples" = ["manual"]))]
    pub conflict: Option<At<Conflict>>,
    /// Whether two edits of one record are compared field by field, or Salesforce wins the whole record.
    #[schemars(extend("default" = "field", "examples" = ["record"]))]
    pub merge: Option<Merge>,
    /// What becomes of a change on a side that may not write back.
    #[schemars(extend("default" = "ignore", "examples" = ["revert"]))]
    pub drift: Option<Drift>,
    /// What happens on the platform when the Salesforce record is deleted. An order or a license is never deleted.
    #[schemars(extend("default" = "report", "examples" = ["disable"]))]
    pub on_salesforce_delete: Option<At<OnSalesforceDelete>>,
    /// What happens in Salesforce when the platform's record is deleted.
    #[schemars(extend("default" = "keep", "examples" = ["delete"]))]
    pub on_platform_delete: Option<At<OnPlatformDelete>>,
    /// When two records meet for the first time, fill Salesforce fields that are blank from the platform.
    #[serde(default)]
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub fill_salesforce_blanks: bool,
    /// Records of this object are made on the platform by the `[orders]` rules, with their licenses.
    #[serde(default)]
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub provisions: bool,
    /// By Salesforce field the platform field it is kept in step with.
    #[schemars(with = "BTreeMap<String, FieldValue>", extend("examples" = [{"Email": "email"}]))]
    pub fields: Option<BTreeMap<At<String>, At<FieldValue>>>,
}

/// A platform field name, or a table that says more.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum FieldValue {
    Name(String),
    Table(FieldTable),
}

/// A field that is not plainly copied, or has rules of its own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FieldTable {
    /// The platform field.
    #[schemars(with = "String", extend("examples" = ["phone"]))]
    pub to: Option<At<String>>,
    /// The lens: how the value looks from the other side.
    #[serde(rename = "as")]
    #[schemars(extend("default" = "copy", "examples" = ["person-name"]))]
    pub lens: Option<At<LensWord>>,
    /// Instead of the object's direction; never wider.
    #[schemars(extend("examples" = ["to-platform"]))]
    pub direction: Option<At<Direction>>,
    /// Instead of the object's rule.
    #[schemars(extend("examples" = ["salesforce-unless-blank"]))]
    pub conflict: Option<At<Conflict>>,
    /// For `value-map`: Salesforce word = platform word. A word in neither column is an error of the record.
    #[schemars(extend("examples" = [{"Hot": "hot", "Cold": "cold"}]))]
    pub values: Option<At<BTreeMap<String, String>>>,
    /// For `scale`: the platform holds the Salesforce number times ten to this power.
    #[schemars(range(min = -12, max = 12), extend("examples" = [2]))]
    pub power: Option<At<i32>>,
    /// For `boolean-word`: the platform's word for true.
    #[schemars(extend("examples" = ["active"]))]
    pub yes: Option<At<String>>,
    /// For `boolean-word`: its word for false.
    #[schemars(extend("examples" = ["inactive"]))]
    pub no: Option<At<String>>,
    /// For `reference`: the object whose links translate the id.
    #[schemars(extend("examples" = ["account"]))]
    pub object: Option<At<String>>,
    /// For `reference`: the platform id that stands for a record that has no link. Without it the record waits for the link.
    #[schemars(extend("examples" = ["14"]))]
    pub or: Option<At<String>>,
    /// For `reference`: only Salesforce ids that begin so are meant; for a field that may name records of several objects.
    #[schemars(extend("examples" = ["003"]))]
    pub only: Option<At<String>>,
    /// For `related`: how a Salesforce id begins = the object it belongs to.
    #[schemars(extend("examples" = [{"001": "account", "006": "opportunity"}]))]
    pub kinds: Option<At<BTreeMap<String, String>>>,
    /// For `constant`: what the platform always gets.
    #[schemars(extend("examples" = ["CRM"]))]
    pub value: Option<At<Scalar>>,
    /// For `template`: an expression over the Salesforce record.
    #[schemars(extend("x-kind" = "expression", "examples" = ["FirstName ~ \" \" ~ LastName"]))]
    pub template: Option<At<String>>,
}

/// How a value looks from the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LensWord {
    Copy,
    PersonName,
    ValueMap,
    Scale,
    BooleanWord,
    Reference,
    Related,
    Constant,
    Template,
}

impl LensWord {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::PersonName => "person-name",
            Self::ValueMap => "value-map",
            Self::Scale => "scale",
            Self::BooleanWord => "boolean-word",
            Self::Reference => "reference",
            Self::Related => "related",
            Self::Constant => "constant",
            Self::Template => "template",
        }
    }

    /// Its value comes from the rules, not from a field: it travels to the platform and never back.
    #[must_use]
    pub const fn one_way(self) -> bool {
        matches!(self, Self::Constant | Self::Template)
    }
}

#[cfg(test)]
pub mod tests_support {
    /// A small sound file with more behind it.
    pub fn sound(more: &str) -> String {
        format!(
            r#"[connection]
name = "acme"
[salesforce]
login-url = "https://acme.my.salesforce.com"
client-id = {{ env = "ID" }}
client-secret = {{ env = "SECRET" }}
[platform.licensespring]
url = "https://saas.licensespring.com"
api-key = {{ env = "KEY" }}
[objects.account]
salesforce = "Account"
platform = "customer-account"
[objects.account.fields]
Name = "name"
{more}"#
        )
    }
}
