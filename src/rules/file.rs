//! The rules file as written. Spans are kept, nothing is meant yet; `check` turns it into what is obeyed.

use super::{
    ContactRule, Create, Direction, Drift, Merge, OnPlatformDelete, OnSalesforceDelete, Place, Problem, Quantity, mapping::Conflict,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use std::{collections::BTreeMap, fmt, path::PathBuf};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The rules of one connection: one Salesforce org, one platform, one state directory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RulesFile {
    /// A JSON schema for editors.
    #[serde(rename = "$schema", default)]
    pub schema: Option<String>,
    pub connection: ConnectionTable,
    #[serde(default)]
    pub schedule: ScheduleTable,
    #[serde(default)]
    pub limits: LimitsTable,
    pub salesforce: SalesforceTable,
    pub platform: PlatformTable,
    #[schemars(with = "Option<OrdersTable>")]
    pub orders: Option<Spanned<OrdersTable>>,
    /// Product code (or a pattern with `*`) → what it licenses, or `"none"`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, ProductSchema>")]
    pub products: BTreeMap<Spanned<String>, ProductValue>,
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, ObjectTable>")]
    pub objects: BTreeMap<Spanned<String>, ObjectTable>,
}

/// `[connection]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConnectionTable {
    /// Letters, digits and dashes; pinned in the state and part of every id planted in Salesforce.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
}

/// `[schedule]`: when runs are due.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ScheduleTable {
    /// Interval between runs, such as `15m` (the default).
    #[schemars(with = "Option<String>")]
    pub every: Option<Spanned<String>>,
    /// Instead of `every`: a cron expression of five or six fields.
    #[schemars(with = "Option<String>")]
    pub cron: Option<Spanned<String>>,
    /// Time zone of `cron`, such as `Europe/Berlin`; UTC by default.
    #[schemars(with = "Option<String>")]
    pub time_zone: Option<Spanned<String>>,
    /// How often kinds that can only be read whole are read by interval runs: `auto`, `run`, or a duration.
    #[schemars(with = "Option<String>")]
    pub sweep_every: Option<Spanned<String>>,
    /// When a requested re-sync starts: at once, or with the next interval.
    pub resync: Option<ResyncWord>,
    /// How far before the watermark Salesforce is read again, for late commits; `10m` by default.
    #[schemars(with = "Option<String>")]
    pub lookback: Option<Spanned<String>>,
    /// How long a record must be missing before it is looked for by id; `60s` by default.
    #[schemars(with = "Option<String>")]
    pub confirm_absence_after: Option<Spanned<String>>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ResyncWord {
    Now,
    NextTick,
}

/// `[limits]`: what a run may do unasked; the rest is held.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LimitsTable {
    /// Percent of the org's daily API allowance that stays free for everybody else; 20 by default.
    #[schemars(with = "Option<u8>")]
    pub salesforce_reserve: Option<Spanned<i64>>,
    /// Records created per object and side; 100 or 20 % by default.
    pub creates: Option<LimitTable>,
    /// Records changed; 500 or 30 % by default.
    pub changes: Option<LimitTable>,
    /// Records deleted, disabled or lost; 10 or 10 % by default.
    pub destructive: Option<LimitTable>,
}

/// The larger of a count and a percentage of what is there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LimitTable {
    #[schemars(with = "u64")]
    pub count: Spanned<i64>,
    #[schemars(with = "u64")]
    pub percent: Spanned<i64>,
}

/// `[salesforce]`: how the org is reached.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SalesforceTable {
    /// The org's My Domain address, `https://acme.my.salesforce.com`.
    #[schemars(with = "TextSchema")]
    pub login_url: Spanned<TextValue>,
    /// Consumer key of the External Client App.
    #[schemars(with = "TextSchema")]
    pub client_id: Spanned<TextValue>,
    /// Consumer secret.
    #[schemars(with = "Option<SecretRef>")]
    pub client_secret: Option<Spanned<SecretRef>>,
    /// `client-credentials` by default.
    pub flow: Option<FlowWord>,
    /// For `jwt` and `password`.
    #[schemars(with = "Option<TextSchema>")]
    pub username: Option<Spanned<TextValue>>,
    /// For `password`: the password with the security token appended.
    #[schemars(with = "Option<SecretRef>")]
    pub password: Option<Spanned<SecretRef>>,
    /// For `refresh-token`.
    #[schemars(with = "Option<SecretRef>")]
    pub refresh_token: Option<Spanned<SecretRef>>,
    /// For `jwt`: the private key of the uploaded certificate, PEM.
    #[schemars(with = "Option<SecretRef>")]
    pub private_key: Option<Spanned<SecretRef>>,
    /// For `jwt`: `https://login.salesforce.com` by default, `https://test.salesforce.com` for a sandbox.
    pub audience: Option<String>,
    /// `66.0` by default; 46.0 or later.
    #[schemars(with = "Option<String>")]
    pub api_version: Option<Spanned<String>>,
    /// Hosts the token may be sent to; `*.salesforce.com` and `*.my.salesforce.com` by default.
    pub allowed_hosts: Option<Vec<String>>,
    /// Pair a sandbox org with a production platform all the same.
    #[serde(default)]
    pub allow_sandbox_with_production: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FlowWord {
    ClientCredentials,
    RefreshToken,
    Jwt,
    Password,
}

/// `[platform.<kind>]`: exactly one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlatformTable {
    Licensespring(LicenseSpringTable),
}

/// `[platform.licensespring]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LicenseSpringTable {
    /// `https://saas.licensespring.com`
    #[schemars(with = "TextSchema")]
    pub url: Spanned<TextValue>,
    /// Management API key.
    #[schemars(with = "SecretRef")]
    pub api_key: Spanned<SecretRef>,
    /// The vendor plan, for its rate limit; `free` by default, `none` for no limit.
    pub plan: Option<PlanWord>,
    /// Instead of `plan`: what the company may ask per 60 s.
    #[schemars(with = "Option<u32>")]
    pub requests_per_minute: Option<Spanned<i64>>,
    /// Company number in links to the platform's pages.
    pub company: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlanWord {
    Free,
    BusinessStarter,
    BusinessPlus,
    Enterprise,
    None,
}

/// `[orders]`: when an order is provisioned, and for whom.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OrdersTable {
    /// True on the order that is due; `StatusCode == "Activated"` by default.
    #[schemars(with = "Option<String>")]
    pub provision_when: Option<Spanned<String>>,
    /// Orders activated before this instant are never provisioned. Mandatory.
    #[schemars(with = "Option<String>")]
    pub provision_from: Option<Spanned<String>>,
    /// Where the customer comes from, tried in order; `["license-contact", "bill-to"]` by default.
    pub contact: Option<Vec<ContactRule>>,
    /// What a quantity of N means; `activations` by default.
    pub quantity: Option<Quantity>,
}

/// One line of `[objects.<name>]`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ObjectTable {
    /// The sObject's API name.
    #[schemars(with = "String")]
    pub salesforce: Spanned<String>,
    /// The platform's resource.
    #[schemars(with = "String")]
    pub platform: Spanned<String>,
    /// Which way changes travel; `both` by default.
    pub direction: Option<Direction>,
    /// Where a record that only one side has is created; `to-platform` by default.
    pub create: Option<Create>,
    /// Platform fields by which records of two filled systems are recognised, tried in order.
    #[serde(default, rename = "match")]
    #[schemars(with = "Vec<Vec<String>>")]
    pub match_keys: Vec<Vec<Spanned<String>>>,
    /// The object that must be linked first.
    #[schemars(with = "Option<String>")]
    pub parent: Option<Spanned<String>>,
    /// A condition on the Salesforce record; others are out of scope.
    #[schemars(with = "Option<String>")]
    pub filter: Option<Spanned<String>>,
    /// Who wins a clash; `salesforce` by default.
    #[schemars(with = "Option<Conflict>")]
    pub conflict: Option<Spanned<Conflict>>,
    /// `field` by default; with `record` Salesforce wins the whole record if both sides changed.
    pub merge: Option<Merge>,
    /// What to do with a change on the side that may not write; `ignore` by default.
    pub drift: Option<Drift>,
    /// `report` by default.
    #[schemars(with = "Option<OnSalesforceDelete>")]
    pub on_salesforce_delete: Option<Spanned<OnSalesforceDelete>>,
    /// `keep` by default.
    #[schemars(with = "Option<OnPlatformDelete>")]
    pub on_platform_delete: Option<Spanned<OnPlatformDelete>>,
    /// At first match, fill blank Salesforce fields from the platform.
    #[serde(default)]
    pub fill_salesforce_blanks: bool,
    /// This object is created on the platform by the `[orders]` rules.
    #[serde(default)]
    pub provisions: bool,
    /// Salesforce field → platform field.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, FieldSchema>")]
    pub fields: BTreeMap<Spanned<String>, Spanned<FieldValue>>,
}

/// The right side of a field line: a platform field name, or a table.
// A rules file holds dozens of these, and most are tables.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum FieldValue {
    Name(String),
    Table(FieldTable),
}

/// A field line in full.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FieldTable {
    /// Platform field.
    #[schemars(with = "String")]
    pub to: Spanned<String>,
    /// The lens; `copy` by default.
    #[serde(rename = "as")]
    pub lens: Option<LensWord>,
    pub direction: Option<Direction>,
    #[schemars(with = "Option<Conflict>")]
    pub conflict: Option<Spanned<Conflict>>,
    /// For `value-map`: Salesforce word → platform word.
    pub values: Option<BTreeMap<String, String>>,
    /// For `scale`: platform = Salesforce × 10^power.
    #[schemars(with = "Option<i32>")]
    pub power: Option<Spanned<i64>>,
    /// For `boolean-word`.
    pub yes: Option<String>,
    /// For `boolean-word`.
    pub no: Option<String>,
    /// For `reference`: the object whose links translate the id.
    #[schemars(with = "Option<String>")]
    pub object: Option<Spanned<String>>,
    /// For `constant`.
    #[schemars(with = "Option<String>")]
    pub value: Option<Spanned<String>>,
    /// For `template`: an expression over the Salesforce record.
    #[schemars(with = "Option<String>")]
    pub template: Option<Spanned<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LensWord {
    Copy,
    PersonName,
    ValueMap,
    Scale,
    BooleanWord,
    Reference,
    Constant,
    Template,
}

/// The right side of a product line.
#[derive(Debug)]
pub enum ProductValue {
    Word(String),
    Table(ProductTable),
}

/// What a product licenses.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProductTable {
    /// The platform's product code.
    pub product: String,
    /// The platform's policy code; its default policy otherwise.
    pub policy: Option<String>,
    pub quantity: Option<Quantity>,
    /// Feature codes added to each license.
    #[serde(default)]
    pub features: Vec<String>,
    /// Further license arguments, by the platform's names.
    #[serde(default)]
    pub arguments: BTreeMap<String, String>,
}

/// Where a secret comes from; never the file itself. Exactly one of the three.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SecretRef {
    /// An environment variable.
    pub env: Option<String>,
    /// A systemd credential (`LoadCredential=`).
    pub credential: Option<String>,
    /// A file of mode 0600.
    pub file: Option<PathBuf>,
}

/// An address or id: plain text, or where it comes from.
#[derive(Debug)]
pub enum TextValue {
    Plain(String),
    From(SecretRef),
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
enum TextSchema {
    Plain(String),
    From(SecretRef),
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, clippy::large_enum_variant)]
enum FieldSchema {
    Name(String),
    Table(FieldTable),
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
enum ProductSchema {
    Word(String),
    Table(ProductTable),
}

/// Text or table, without losing the spans that an untagged enum would lose.
macro_rules! text_or_table {
    ($name:ident, $text:ident, $table:ident($inner:ty), $expects:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl<'de> de::Visitor<'de> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expects)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        Ok($name::$text(text.to_owned()))
                    }
                    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<$name, A::Error> {
                        <$inner>::deserialize(de::value::MapAccessDeserializer::new(map)).map($name::$table)
                    }
                }
                d.deserialize_any(Visitor)
            }
        }
    };
}

text_or_table!(FieldValue, Name, Table(FieldTable), "a platform field name, or a table with `to`");
text_or_table!(ProductValue, Word, Table(ProductTable), "\"none\", or a table with `product`");
text_or_table!(TextValue, Plain, From(SecretRef), "text, or { env = \"…\" }, { credential = \"…\" } or { file = \"…\" }");

/// At most this many faults of form are reported: more say nothing new.
const MOST_FAULTS: usize = 100;

/// Reads the text. Every fault of form is found in one go: what is wrong is taken out, and the rest read again.
pub fn parse(source: &str) -> Result<RulesFile, Vec<Problem>> {
    let (mut document, faults) = DeTable::parse_recoverable(source);
    if !faults.is_empty() {
        return Err(faults.iter().map(|e| form(source, e, "syntax", "see https://toml.io for the notation")).collect());
    }
    let mut problems = Vec::new();
    loop {
        let error = match RulesFile::deserialize(toml::Deserializer::from(document.clone())) {
            Ok(file) if problems.is_empty() => return Ok(file),
            Ok(_) => return Err(problems),
            Err(error) => error,
        };
        let problem = if error.message().starts_with("unknown field") {
            form(source, &error, "unknown-key", "remove it, or check its spelling in docs/rules.md")
        } else if error.message().starts_with("missing field") {
            form(source, &error, "missing-key", "add it; docs/rules.md says what it means")
        } else {
            form(source, &error, "bad-value", "docs/rules.md says what may stand here")
        };
        let place = problem.place.clone();
        // What is missing because we took it out ourselves is no news.
        let ours = problem.code == "missing-key" && !problems.is_empty() && problems.iter().any(|p: &Problem| within(&p.place, &place));
        if !ours {
            problems.push(problem);
        }
        if ours || problems.len() >= MOST_FAULTS || !take_out(document.get_mut(), &place) {
            return Err(problems);
        }
    }
}

fn form(source: &str, error: &toml::de::Error, code: &'static str, help: &str) -> Problem {
    Problem::new(source, error.span().unwrap_or(0..0), code, error.message().trim_end().to_owned(), help)
}

fn within(inner: &Place, outer: &Place) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// Removes the entry whose key or value stands at this place.
fn take_out(table: &mut DeTable<'_>, place: &Place) -> bool {
    let hit = table.iter().find(|(k, v)| k.span() == *place || v.span() == *place).map(|(k, _)| k.clone());
    if let Some(key) = hit {
        return table.remove(key.get_ref().as_ref()).is_some();
    }
    table.iter_mut().any(|(_, value)| take_out_of(value.get_mut(), place))
}

fn take_out_of(value: &mut DeValue<'_>, place: &Place) -> bool {
    match value {
        DeValue::Table(inner) => take_out(inner, place),
        _ => false,
    }
}

/// The JSON schema for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(RulesFile)).unwrap_or(serde_json::Value::Null)
}
