//! The checked rules: what the engine obeys. Every choice is made here; nothing below asks the file again.

use super::{Expression, Lens};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything the engine needs to know of the rules file.
#[derive(Debug, Clone)]
pub struct Rules {
    /// `[connection] name`: pinned in the store, part of every planted id in Salesforce.
    pub connection: String,
    /// Parents before children.
    pub mappings: Vec<Mapping>,
    pub orders: Option<OrderRules>,
    /// By product code, exact first, then patterns with `*` in file order.
    pub products: Vec<(String, ProductRule)>,
    /// A code that `products` does not know is looked for in fields of its Product2.
    pub products_from_product2: bool,
    /// A fingerprint of the mappings, so that the store can tell that the rules changed since the bases were taken.
    pub fingerprint: i64,
}

impl Rules {
    #[must_use]
    pub fn mapping(&self, object: &str) -> Option<&Mapping> {
        self.mappings.iter().find(|m| m.object == object)
    }

    /// The rule for a product code: the exact one, or the first pattern that fits.
    #[must_use]
    pub fn product(&self, code: &str) -> Option<&ProductRule> {
        let exact = self.products.iter().find(|(pattern, _)| pattern == code);
        exact.or_else(|| self.products.iter().find(|(pattern, _)| pattern.contains('*') && glob(pattern, code))).map(|(_, rule)| rule)
    }
}

/// `*` stands for any run of characters; everything else for itself.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text
            .strip_prefix(head)
            .is_some_and(|tail| (0..=tail.len()).filter(|at| tail.is_char_boundary(*at)).any(|at| glob(rest, &tail[at..]))),
    }
}

/// The rules of one object: which sObject, which platform resource, which fields, which policies.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// `account`, `contact`, `order`, `license`, `feature`, …: the key of `[objects.<name>]`.
    pub object: String,
    /// The sObject's API name.
    pub salesforce: String,
    /// The platform's resource name, as its catalogue calls it.
    pub platform: String,
    pub direction: Direction,
    pub create: Create,
    /// Platform field names, tried in order after the planted id. Each inner list is one composite key.
    pub match_keys: Vec<Vec<String>>,
    /// The object whose link must exist before a child of this one is created.
    pub parent: Option<String>,
    /// Evaluated on the Salesforce record; false = out of scope.
    pub filter: Option<Expression>,
    pub conflict: Conflict,
    pub merge: Merge,
    pub drift: Drift,
    pub on_salesforce_delete: OnSalesforceDelete,
    pub on_platform_delete: OnPlatformDelete,
    /// At first match: fill Salesforce fields that are blank from the platform.
    pub fill_salesforce_blanks: bool,
    pub entries: Vec<Entry>,
    /// The order mapping: created on the platform by provisioning, never by plain field copy.
    pub provisions: bool,
}

/// One line of `[objects.<name>.fields]`: the unit of change and of conflict.
#[derive(Debug, Clone)]
pub struct Entry {
    /// As written on the left of the `=`; names the entry in logs and history.
    pub name: String,
    /// Salesforce field names; several for a lens over several fields.
    pub salesforce: Vec<String>,
    /// Platform field names.
    pub platform: Vec<String>,
    pub lens: Lens,
    pub direction: Direction,
    pub conflict: Conflict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    Both,
    ToPlatform,
    ToSalesforce,
    /// Records are linked and nothing is written: their links translate what others refer to.
    None,
}

impl Direction {
    #[must_use]
    pub const fn to_platform(self) -> bool {
        matches!(self, Self::Both | Self::ToPlatform)
    }

    #[must_use]
    pub const fn to_salesforce(self) -> bool {
        matches!(self, Self::Both | Self::ToSalesforce)
    }
}

/// Where a record that exists on one side only is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Create {
    /// New Salesforce records are created on the platform; what only the platform has is reported.
    ToPlatform,
    ToSalesforce,
    Both,
    None,
}

impl Create {
    #[must_use]
    pub const fn on_platform(self) -> bool {
        matches!(self, Self::Both | Self::ToPlatform)
    }

    #[must_use]
    pub const fn in_salesforce(self) -> bool {
        matches!(self, Self::Both | Self::ToSalesforce)
    }
}

/// Who wins when both sides changed one field to different values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Conflict {
    Salesforce,
    Platform,
    /// The younger change by each side's own clock; Salesforce where a side keeps no stamps.
    Newest,
    SalesforceUnlessBlank,
    /// Nobody: both values stay, the conflict is open until a person decides.
    Manual,
}

impl Conflict {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Salesforce => "salesforce",
            Self::Platform => "platform",
            Self::Newest => "newest",
            Self::SalesforceUnlessBlank => "salesforce-unless-blank",
            Self::Manual => "manual",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Merge {
    Field,
    /// If both sides changed, Salesforce wins the whole record.
    Record,
}

/// A change on the side that may not write back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Drift {
    Ignore,
    Revert,
    Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnSalesforceDelete {
    Report,
    Delete,
    Disable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnPlatformDelete {
    Keep,
    Delete,
}

/// `[orders]`: when an order is provisioned and for whom.
#[derive(Debug, Clone)]
pub struct OrderRules {
    /// True on the Salesforce order that is to be provisioned; `StatusCode == "Activated"` by default.
    pub provision_when: Expression,
    /// Orders activated before this instant (RFC 3339 UTC) are linked if found and never provisioned.
    pub provision_from: String,
    /// Tried in order until one yields a contact.
    pub contact: Vec<ContactRule>,
    pub quantity: Quantity,
    /// True on the order that is called off.
    pub cancelled_when: Expression,
    pub on_more: OnMore,
    pub on_less: OnLess,
    pub on_line_removed: OnLoss,
    pub on_cancel: OnLoss,
    pub on_deactivate: OnLoss,
    pub on_contact_change: OnContactChange,
    /// Status, message, preview and counts are written to the Salesforce order and account.
    pub write_back: bool,
}

impl OrderRules {
    /// The default: drafts never issue licenses.
    pub const PROVISION_WHEN: &str = r#"StatusCode == "Activated""#;
    /// Salesforce knows only drafts and activated orders; that one is called off is said by the word of its status.
    pub const CANCELLED_WHEN: &str = r#"Status in ["Cancelled", "Canceled"]"#;

    /// Whether the order is called off. What is not shown calls nothing off.
    ///
    /// # Errors
    /// It cannot be judged.
    pub fn is_cancelled(&self, order: &crate::record::Fields) -> Result<bool, String> {
        let shown = self.cancelled_when.fields.iter().all(|name| order.contains_key(name));
        if shown { self.cancelled_when.holds(order) } else { Ok(false) }
    }
}

/// A line was added to a provisioned order, or its quantity raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnMore {
    /// The licenses or activations that are new are added.
    Add,
    Report,
}

/// The quantity of a line was lowered after its licenses were issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnLess {
    /// Nothing is taken away; the history and the order say what is too much.
    Report,
    /// Activations are lowered, licenses that are too many are disabled.
    Lower,
}

/// A line or a whole order is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnLoss {
    /// Nothing is taken away; the history and the order say so.
    Report,
    /// Its licenses are disabled; they stay where they are.
    Disable,
}

/// A provisioned order names another contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnContactChange {
    /// The order, with its licenses, goes to that contact's customer.
    Reassign,
    Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ContactRule {
    LicenseContact,
    BillTo,
    CustomerAuthorizedBy,
    ShipTo,
    /// The account's contact that was made first and is known to the platform.
    FirstContact,
}

impl ContactRule {
    /// The field of the sObject Order that holds the contact; none where it is found otherwise.
    #[must_use]
    pub const fn field(self) -> Option<&'static str> {
        match self {
            Self::LicenseContact => Some("License_Contact__c"),
            Self::BillTo => Some("BillToContactId"),
            Self::CustomerAuthorizedBy => Some("CustomerAuthorizedById"),
            Self::ShipTo => Some("ShipToContactId"),
            Self::FirstContact => None,
        }
    }
}

/// What a line's quantity of N means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// One license with N activations.
    Activations,
    /// N licenses.
    Licenses,
}

/// One line of `[products]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProductRule {
    /// `"none"`: this product carries no license.
    NoLicense,
    License {
        /// The platform's product code.
        product: String,
        policy: Option<String>,
        quantity: Option<Quantity>,
        /// Feature codes added to each license.
        features: Vec<String>,
        /// Further license arguments, passed through by name.
        arguments: BTreeMap<String, String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_any_run_of_characters() {
        for (pattern, text, fits) in [
            ("LS-*", "LS-PRO", true),
            ("*-PRO", "LS-PRO", true),
            ("L*P*", "LS-PRO", true),
            ("LS-*", "XS-PRO", false),
            ("*", "", true),
            ("LS", "LS-PRO", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }
}
