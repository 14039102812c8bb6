//! The closed list of situations a pair of records can be in. Names appear in logs, history and docs alike.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! situations {
    ($($variant:ident = $name:literal: $when:literal => $default:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Situation { $($variant),* }

        impl Situation {
            pub const ALL: &'static [Situation] = &[$(Situation::$variant),*];

            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// When a pair is in this situation: one line for the docs.
            #[must_use]
            pub const fn when(self) -> &'static str {
                match self { $(Self::$variant => $when),* }
            }

            /// What happens unless a policy says otherwise: one line for the docs.
            #[must_use]
            pub const fn default_decision(self) -> &'static str {
                match self { $(Self::$variant => $default),* }
            }

            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|s| s.as_str() == text)
            }
        }
    };
}

situations! {
    InStep = "in-step": "linked, neither side changed" => "nothing";
    SalesforceMoved = "salesforce-moved": "linked, Salesforce changed" => "update the platform with the moved, permitted fields";
    PlatformMoved = "platform-moved": "linked, the platform changed" => "update Salesforce likewise where the direction allows; otherwise the `drift` policy, default ignore";
    BothMovedApart = "both-moved-apart": "linked, both changed, different fields" => "both updates (per-field merge); `merge = \"record\"` makes Salesforce win the whole record";
    Agreed = "agreed": "linked, both changed to the same" => "advance both bases, no write";
    Clash = "clash": "linked, both changed one field to different values" => "Salesforce wins; a conflict row keeps base and both values";
    FoughtOver = "fought-over": "linked, a side comes back with something else each time one of its fields is written" => "the field is frozen: neither direction writes it until both sides hold the same, the rules change, or `lockstep retry` lets it go";
    DeletedInSalesforce = "deleted-in-salesforce": "linked, Salesforce reports the deletion, the platform unchanged" => "`on-salesforce-delete`: report (the link is marked), delete or disable";
    DeletedInSalesforceButEdited = "deleted-in-salesforce-but-edited": "as above, but the platform changed meanwhile" => "as above: Salesforce wins, the platform's last state stays in the history";
    Merged = "merged": "linked, merged into another record in Salesforce" => "the link follows MasterRecordId; nothing is deleted or revoked";
    MergedOnPlatform = "merged-on-platform": "linked, merged into another record on the platform" => "the link follows, where the platform tells";
    GoneOnPlatform = "gone-on-platform": "linked, proved gone on the platform, Salesforce unchanged" => "`on-platform-delete`: keep (a tombstone) or delete";
    GoneOnPlatformButEdited = "gone-on-platform-but-edited": "proved gone on the platform, Salesforce changed since" => "accounts, contacts and CRM kinds are created again; an order or a license never: marked and reported";
    SuspectedGone = "suspected-gone": "linked, not seen in a complete sweep, not proved gone" => "nothing; looked at again in a later run, no sooner than `confirm-absence-after`";
    Gone = "gone": "gone on both sides" => "forget the link";
    Buried = "buried": "tombstone, Salesforce unchanged" => "nothing";
    NewInSalesforce = "new-in-salesforce": "only in Salesforce, no match" => "create on the platform if direction, filter and parent allow; else wait for the parent";
    NewOnPlatform = "new-on-platform": "only on the platform, no match" => "report only (`create = \"to-platform\"`); `\"both\"` creates in Salesforce";
    Found = "found": "unlinked, exactly one match" => "link; equal fields: no write; differing: Salesforce wins where it is not blank";
    Ambiguous = "ambiguous": "unlinked, several matches" => "quarantine: never guess, never create";
    Revived = "revived": "tombstone, undeleted" => "link again; nothing is re-enabled unasked";
    Contested = "contested": "two links claim one record" => "quarantine both";
    OutOfScope = "out-of-scope": "the record does not pass the filter" => "no writes, no delete; a link stays";
    Unreadable = "unreadable": "a side may not be read" => "frozen until readable";
    WaitingForParent = "waiting-for-parent": "new, but the record it belongs to has no link yet" => "wait; looked at again in every run";
    OrderAmended = "order-amended": "a provisioned order's lines or contact changed" => "`on-more`, `on-less`, `on-line-removed`, `on-contact-change`: what is new is added, nothing is taken away";
    OrderCancelled = "order-cancelled": "a provisioned order is called off" => "`on-cancel`: its licenses are disabled";
    OrderDeactivated = "order-deactivated": "a provisioned order is no longer due" => "`on-deactivate`: report; changes of its lines wait until it is due again";
    ResetRequested = "reset-requested": "somebody ticked `Reset_Requested__c` of a license" => "one reset, then its outcome is written and the box cleared";
    Told = "told": "what Lockstep says in Salesforce of an order, its account or a license is out of date" => "its own fields are written";
    BeforeProvisionFrom = "before-provision-from": "an order activated before `provision-from`" => "linked if found on the platform, never provisioned";
}

impl fmt::Display for Situation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
