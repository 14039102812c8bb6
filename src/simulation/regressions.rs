//! Schedules that found a defect, cut down: each broke the rule beside it before it was mended.

/// What was wrong, the rules it broke, and the schedule.
pub const REGRESSIONS: &[(&str, &str)] = &[
    (
        "an edit on the platform of a field that Salesforce did not show for a while was left there when it did",
        r#"{"seed":97,"rules":{"conflict":"salesforce","merge":"field","drift":"ignore","create":"to-platform","on_salesforce_delete":"delete","on_platform_delete":"keep","fill_blanks":false,"filled":false,"trigger":false,"lowers":false,"answers":true,"tight":false},"steps":[{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":false}}},{"Edit":{"Hide":{"side":"salesforce","kind":"Account","field":3}}},{"Run":{"full":false,"events":[]}},{"Edit":{"Set":{"side":"platform","kind":"Account","who":5,"field":3,"how":"Token"}}}]}"#,
    ),
    (
        "a record made in Salesforce while one of its fields was hidden never got that field",
        r#"{"seed":298,"rules":{"conflict":"salesforce","merge":"field","drift":"ignore","create":"both","on_salesforce_delete":"report","on_platform_delete":"keep","fill_blanks":false,"filled":false,"trigger":false,"lowers":false,"answers":true,"tight":false},"steps":[{"Edit":{"Hide":{"side":"salesforce","kind":"Account","field":1}}},{"Run":{"full":false,"events":[]}},{"Edit":{"Create":{"side":"platform","kind":"Account","twin":false}}},{"Run":{"full":false,"events":[]}}]}"#,
    ),
    (
        "the loser of a merge was made again in Salesforce, because its partner on the platform looked new",
        r#"{"seed":185,"rules":{"conflict":"salesforce","merge":"field","drift":"ignore","create":"both","on_salesforce_delete":"delete","on_platform_delete":"keep","fill_blanks":false,"filled":false,"trigger":false,"lowers":false,"answers":true,"tight":false},"steps":[{"Run":{"full":false,"events":[]}},{"Edit":{"Create":{"side":"platform","kind":"Account","twin":false}}},{"Run":{"full":false,"events":[]}},{"Edit":{"Create":{"side":"platform","kind":"Account","twin":false}}},{"Edit":{"Set":{"side":"salesforce","kind":"Account","who":3,"field":1,"how":"Token"}}},{"Run":{"full":false,"events":[]}},{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":false}}},{"Edit":{"Merge":{"kind":"Account","winner":1,"loser":3}}}]}"#,
    ),
    (
        "an edit of a field that a create had left blank was no news where the create had no answer",
        r#"{"seed":888,"rules":{"conflict":"salesforce","merge":"field","drift":"ignore","create":"both","on_salesforce_delete":"report","on_platform_delete":"keep","fill_blanks":false,"filled":false,"trigger":false,"lowers":false,"answers":false,"tight":false},"steps":[{"Edit":{"Create":{"side":"salesforce","kind":"Account","twin":false}}},{"Run":{"full":false,"events":[]}},{"Edit":{"Set":{"side":"platform","kind":"Account","who":0,"field":3,"how":"Token"}}}]}"#,
    ),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::simulation::play_alone;

    #[test]
    fn what_was_mended_stays_mended() {
        for (what, script) in REGRESSIONS {
            let script = serde_json::from_str(script).unwrap();
            assert_eq!(play_alone(&script, false).broken, Vec::<String>::new(), "{what}");
        }
    }
}
