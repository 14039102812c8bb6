//! Schedules that found a defect, cut down. Each is clean now, and breaks a rule when its defect is switched on again.

use crate::seeded::Bug;

/// A defect that the simulation found.
pub struct Regression {
    /// What was wrong.
    pub what: &'static str,
    /// Puts it back.
    pub bug: Bug,
    pub script: &'static str,
}

pub const REGRESSIONS: &[Regression] = &[
    Regression {
        what: "an edit on the platform of a field that Salesforce did not show for a while was left there when it did",
        bug: Bug::EditIsAnOldBlank,
        script: r#"{"seed":97,"rules":{"conflict":"salesforce","merge":"field","drift":"ignore","create":"to-platform","on_salesforce_delete":"delete","on_platform_delete":"keep","fill_blanks":false,"filled":false,"trigger":false,"lowers":false,"answers":true,"tight":false},"steps":[{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":false}}},{"Edit":{"Hide":{"side":"salesforce","kind":"Account","field":3}}},{"Run":{"full":false,"events":[]}},{"Edit":{"Set":{"side":"platform","kind":"Account","who":5,"field":3,"how":"Token"}}}]}"#,
    },
    Regression {
        what: "a record made in Salesforce while one of its fields was hidden never got that field",
        bug: Bug::MadeBlanksStay,
        script: r#"{"seed":298,"rules":{"conflict":"salesforce","merge":"field","drift":"ignore","create":"both","on_salesforce_delete":"report","on_platform_delete":"keep","fill_blanks":false,"filled":false,"trigger":false,"lowers":false,"answers":true,"tight":false},"steps":[{"Edit":{"Hide":{"side":"salesforce","kind":"Account","field":1}}},{"Run":{"full":false,"events":[]}},{"Edit":{"Create":{"side":"platform","kind":"Account","twin":false}}},{"Run":{"full":false,"events":[]}}]}"#,
    },
    Regression {
        what: "the loser of a merge was made again in Salesforce, because its partner on the platform looked new",
        bug: Bug::LoserIsForgotten,
        script: r#"{"seed":185,"rules":{"conflict":"salesforce","merge":"field","drift":"ignore","create":"both","on_salesforce_delete":"delete","on_platform_delete":"keep","fill_blanks":false,"filled":false,"trigger":false,"lowers":false,"answers":true,"tight":false},"steps":[{"Run":{"full":false,"events":[]}},{"Edit":{"Create":{"side":"platform","kind":"Account","twin":false}}},{"Run":{"full":false,"events":[]}},{"Edit":{"Create":{"side":"platform","kind":"Account","twin":false}}},{"Edit":{"Set":{"side":"salesforce","kind":"Account","who":3,"field":1,"how":"Token"}}},{"Run":{"full":false,"events":[]}},{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":false}}},{"Edit":{"Merge":{"kind":"Account","winner":1,"loser":3}}}]}"#,
    },
    Regression {
        what: "a clash over a field that a create had left blank was none where the create had no answer, and no row kept the loser",
        bug: Bug::UnsentIsUnknown,
        script: r#"{"seed":266,"rules":{"conflict":"salesforce","merge":"field","drift":"ignore","create":"both","on_salesforce_delete":"report","on_platform_delete":"delete","fill_blanks":false,"filled":false,"trigger":false,"lowers":false,"answers":false,"tight":false},"steps":[{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":false}}},{"Run":{"full":false,"events":[]}},{"Edit":{"Late":{"kind":"Account","who":3,"field":3,"by":3000}}},{"Edit":{"Set":{"side":"platform","kind":"Account","who":3,"field":3,"how":"Token"}}}]}"#,
    },
    Regression {
        what: "an edit of a new record was not seen as one, because the answer to its creation was lost and what the look found was agreed to",
        bug: Bug::LateAnswerIsBase,
        script: r#"{"seed":19,"rules":{"conflict":"salesforce","merge":"field","drift":"ignore","create":"both","on_salesforce_delete":"report","on_platform_delete":"keep","fill_blanks":false,"filled":false,"trigger":false,"lowers":false,"answers":true,"tight":false},"steps":[{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":false}}},{"Run":{"full":false,"events":[[0,{"Aimed":{"side":"platform","op":"Create","trouble":{"Fault":"lost-answer"}}}]]}},{"Edit":{"Set":{"side":"platform","kind":"Account","who":0,"field":1,"how":"Token"}}}]}"#,
    },
    Regression {
        what: "the same in Salesforce without an answer from the look: what was sent stood over what had been read since",
        bug: Bug::SentOverRead,
        script: r#"{"seed":646,"rules":{"conflict":"salesforce","merge":"field","drift":"ignore","create":"both","on_salesforce_delete":"report","on_platform_delete":"keep","fill_blanks":false,"filled":true,"trigger":false,"lowers":false,"answers":false,"tight":false},"steps":[{"Edit":{"Create":{"side":"platform","kind":"Account","twin":false}}},{"Run":{"full":false,"events":[[0,{"Aimed":{"side":"salesforce","op":"Create","trouble":{"Fault":"late"}}}]]}},{"Edit":{"Set":{"side":"salesforce","kind":"Account","who":0,"field":1,"how":"Token"}}}]}"#,
    },
    Regression {
        what: "a platform record that two Salesforce records want was made a third time in Salesforce while they were parked",
        bug: Bug::ClaimedIsNew,
        script: r#"{"seed":703,"rules":{"conflict":"salesforce","merge":"field","drift":"ignore","create":"both","on_salesforce_delete":"delete","on_platform_delete":"delete","fill_blanks":false,"filled":false,"trigger":false,"lowers":false,"answers":true,"tight":false},"steps":[{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":true}}},{"Run":{"full":false,"events":[[5,{"Fault":"breaks-off"}]]}},{"Edit":{"Create":{"side":"platform","kind":"Account","twin":true}}},{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":true}}}]}"#,
    },
    Regression {
        what: "a record with an open clash was never made again after its partner was deleted",
        bug: Bug::LivingForgotten,
        script: r#"{"seed":411,"rules":{"conflict":"manual","merge":"field","drift":"ignore","create":"both","on_salesforce_delete":"delete","on_platform_delete":"keep","fill_blanks":false,"filled":true,"trigger":false,"lowers":false,"answers":true,"tight":false},"steps":[{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":false}}},{"Run":{"full":false,"events":[]}},{"Edit":{"Set":{"side":"platform","kind":"Account","who":1,"field":1,"how":"Token"}}},{"Run":{"full":false,"events":[[0,"Meddle"]]}},{"Edit":{"Delete":{"side":"platform","kind":"Account","who":2}}}]}"#,
    },
    Regression {
        what: "a record that was restored before the lost answer to the deletion of its partner was known stayed without one",
        bug: Bug::LivingForgotten,
        script: r#"{"seed":967,"rules":{"conflict":"salesforce","merge":"field","drift":"ignore","create":"to-platform","on_salesforce_delete":"delete","on_platform_delete":"delete","fill_blanks":false,"filled":false,"trigger":false,"lowers":false,"answers":true,"tight":false},"steps":[{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":false}}},{"Run":{"full":false,"events":[]}},{"Edit":{"Delete":{"side":"salesforce","kind":"Account","who":2}}},{"Run":{"full":false,"events":[[0,{"Aimed":{"side":"platform","op":"Delete","trouble":{"Fault":"lost-answer"}}}]]}},{"Edit":{"Undelete":{"kind":"Account","who":0}}}]}"#,
    },
    Regression {
        what: "a field that could not be read when a create was planned was agreed on by the late look at it",
        bug: Bug::LateAnswerIsBase,
        script: r#"{"seed":947,"rules":{"conflict":"salesforce","merge":"field","drift":"ignore","create":"both","on_salesforce_delete":"delete","on_platform_delete":"keep","fill_blanks":false,"filled":false,"trigger":false,"lowers":false,"answers":true,"tight":false},"steps":[{"Edit":{"Hide":{"side":"platform","kind":"Account","field":1}}},{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":false}}},{"Run":{"full":false,"events":[[0,{"Aimed":{"side":"platform","op":"Create","trouble":"CrashAfter"}}]]}}]}"#,
    },
    Regression {
        what: "a full re-sync made an account again on the platform that was purged in Salesforce, where nobody reports it",
        bug: Bug::UnseenIsThere,
        script: r#"{"seed":1637,"rules":{"conflict":"salesforce","merge":"field","drift":"ignore","create":"to-platform","on_salesforce_delete":"report","on_platform_delete":"delete","fill_blanks":false,"filled":false,"trigger":false,"lowers":false,"answers":true,"tight":false},"steps":[{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":false}}},{"Run":{"full":false,"events":[]}},{"Edit":{"Delete":{"side":"platform","kind":"Account","who":2}}},{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":false}}},{"Edit":{"Purge":{"kind":"Account","who":2}}}]}"#,
    },
    Regression {
        what: "a platform record that two parked Salesforce records want was edited, looked at without them, and made a third time",
        bug: Bug::ClaimForgotten,
        script: r#"{"seed":228,"rules":{"conflict":"salesforce","merge":"field","drift":"ignore","create":"both","on_salesforce_delete":"delete","on_platform_delete":"keep","fill_blanks":false,"filled":true,"trigger":false,"lowers":false,"answers":true,"tight":false,"coarse":false},"steps":[{"Edit":{"Create":{"side":"platform","kind":"Account","twin":true}}},{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":true}}},{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":true}}},{"Run":{"full":false,"events":[]}},{"Run":{"full":false,"events":[]}},{"Edit":{"Set":{"side":"platform","kind":"Account","who":2,"field":1,"how":"Token"}}},{"Run":{"full":false,"events":[]}}]}"#,
    },
    Regression {
        what: "a change that was not carried out, of a pair with an open clash in another field, was never planned again",
        bug: Bug::FailedIsLeft,
        script: r#"{"seed":411,"rules":{"conflict":"manual","merge":"field","drift":"ignore","create":"both","on_salesforce_delete":"delete","on_platform_delete":"keep","fill_blanks":false,"filled":true,"trigger":false,"lowers":false,"answers":true,"tight":false,"coarse":false},"steps":[{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":false}}},{"Run":{"full":false,"events":[]}},{"Edit":{"Set":{"side":"salesforce","kind":"Account","who":255,"field":3,"how":"Token"}}},{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":false}}},{"Run":{"full":false,"events":[[0,{"Aimed":{"side":"platform","op":"Create","trouble":{"Edit":{"Set":{"side":"platform","kind":"Account","who":254,"field":3,"how":"Token"}}}}}]]}},{"Edit":{"Set":{"side":"platform","kind":"Account","who":0,"field":1,"how":"Token"}}},{"Run":{"full":false,"events":[[0,{"Aimed":{"side":"salesforce","op":"Get","trouble":"CrashAfter"}}]]}}]}"#,
    },
    Regression {
        what: "an open clash stayed open although one side took its edit back, because the answer to another write showed it first",
        bug: Bug::ClashAsleep,
        script: r#"{"seed":3538,"rules":{"conflict":"manual","merge":"field","drift":"ignore","create":"both","on_salesforce_delete":"delete","on_platform_delete":"keep","fill_blanks":false,"filled":false,"trigger":false,"lowers":false,"answers":true,"tight":false,"coarse":false},"steps":[{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":false}}},{"Run":{"full":false,"events":[]}},{"Edit":{"Set":{"side":"platform","kind":"Account","who":255,"field":3,"how":"Token"}}},{"Run":{"full":false,"events":[[0,{"Aimed":{"side":"platform","op":"Poll","trouble":{"Edit":{"Set":{"side":"salesforce","kind":"Account","who":255,"field":3,"how":"Token"}}}}}]]}},{"Edit":{"Set":{"side":"salesforce","kind":"Account","who":0,"field":1,"how":"Token"}}},{"Run":{"full":false,"events":[[0,{"Aimed":{"side":"platform","op":"Update","trouble":{"Fault":"late"}}}]]}},{"Edit":{"Set":{"side":"platform","kind":"Account","who":4,"field":3,"how":"Blank"}}}]}"#,
    },
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::seeded::with;
    use crate::simulation::play_alone;

    #[test]
    fn what_was_mended_stays_mended_and_would_be_seen() {
        for Regression { what, bug, script } in REGRESSIONS {
            let script = serde_json::from_str(script).unwrap();
            assert_eq!(play_alone(&script, false).broken, Vec::<String>::new(), "{what}");
            assert_ne!(with(*bug, || play_alone(&script, false)).broken, Vec::<String>::new(), "{} goes unseen", bug.as_str());
        }
    }
}
