//! Bugs we could have written, to be switched on in test builds: a check that catches none of them checks nothing.
//!
//! Outside of test builds `seeded!` is `false` and leaves no trace.

/// `if seeded!(NoFreshRead) { … }`: true while that bug is switched on in this thread.
macro_rules! seeded {
    ($bug:ident) => {{
        #[cfg(any(test, feature = "simulation"))]
        let on = crate::seeded::is_on(crate::seeded::Bug::$bug);
        #[cfg(not(any(test, feature = "simulation")))]
        let on = false;
        on
    }};
}
pub(crate) use seeded;

#[cfg(any(test, feature = "simulation"))]
pub use on::{Bug, is_on, with};

/// A check that holds without the bug and fails with it, on this thread.
#[cfg(test)]
pub fn bites<C: Future<Output = bool>>(bug: Bug, check: impl Fn() -> C) {
    let play = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime on one thread needs nothing");
        runtime.block_on(check())
    };
    assert!(play(), "the check of {} fails without it", bug.as_str());
    assert!(!with(bug, play), "{} goes unseen", bug.as_str());
}

#[cfg(any(test, feature = "simulation"))]
mod on {
    use std::cell::Cell;

    macro_rules! bugs {
        ($($bug:ident = $name:literal in $place:literal: $what:literal;)*) => {
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
            pub enum Bug { $($bug),* }

            impl Bug {
                pub const ALL: &'static [Bug] = &[$(Self::$bug),*];

                #[must_use]
                pub const fn as_str(self) -> &'static str {
                    match self { $(Self::$bug => $name),* }
                }

                /// The module it lives in.
                #[must_use]
                pub const fn place(self) -> &'static str {
                    match self { $(Self::$bug => $place),* }
                }

                #[must_use]
                pub const fn what(self) -> &'static str {
                    match self { $(Self::$bug => $what),* }
                }
            }
        };
    }

    bugs! {
        HalfReading = "half-reading" in "engine/pull": "a reading that broke off counts as a reading";
        LaterPages = "later-pages" in "engine/pull": "only the first page is staged, and the watermark moves";
        AbsenceProves = "absence-proves" in "engine/absence": "what two lists did not show is gone, without a read by id";
        RefusedIsGone = "refused-is-gone" in "engine/absence": "a record that may not be read counts as gone";
        ZeroIsNull = "zero-is-null" in "engine/diff": "0 and null are the same";
        MissingIsNull = "missing-is-null" in "engine/diff": "a field that may not be read is null";
        PlatformWins = "platform-wins" in "engine/diff": "the platform wins where Salesforce should";
        NoClash = "no-clash" in "engine/diff": "two edits of one field are one edit, Salesforce's";
        BlanksWin = "blanks-win" in "engine/diff": "at a first meeting Salesforce's blanks overwrite";
        AnyDirection = "any-direction" in "engine/diff": "fields that travel one way travel both ways";
        EditIsAnOldBlank = "edit-is-an-old-blank" in "engine/diff": "an edit made while a field was hidden is no news when it can be read again";
        MadeBlanksStay = "made-blanks-stay" in "engine/diff": "a field that could not be read when its record was made in Salesforce is never filled";
        MergeIsDelete = "merge-is-delete" in "engine/decide": "a merged record counts as deleted";
        LoserIsForgotten = "loser-is-forgotten" in "engine/decide": "the link of a merged record goes, and its partner is new";
        GraveRobber = "grave-robber" in "engine/decide": "what was deleted on the platform is made again";
        UndeleteIsNothing = "undelete-is-nothing" in "engine/decide": "a record that came back from the bin is left alone";
        NoPlantedId = "no-planted-id" in "engine/decide": "a create carries no key by which it can be found";
        OrphanChild = "orphan-child" in "engine/decide": "a child is made without the parent it waits for";
        UnsentIsUnknown = "unsent-is-unknown" in "engine/decide": "what a create did not send was never agreed on";
        WinnerUnseen = "winner-unseen" in "engine/decide": "a whole record wins without a row for what lost";
        PlansInDoubt = "plans-in-doubt" in "engine/planner": "what an unknown create may have made counts as new";
        ClaimedIsNew = "claimed-is-new" in "engine/planner": "what parked Salesforce records want counts as new";
        NobodyWakes = "nobody-wakes" in "engine/look_again": "children that wait are not looked at again";
        HalfPicture = "half-picture" in "engine/run": "planned on although a side could not be read";
        NoRecovery = "no-recovery" in "engine/recover": "unknown outcomes are never looked up";
        UnknownIsUndone = "unknown-is-undone" in "engine/recover": "an unknown outcome counts as not done";
        UnknownIsDone = "unknown-is-done" in "engine/apply": "no answer counts as done";
        NoFreshRead = "no-fresh-read" in "engine/apply": "records are not read again before they are written";
        PartialIgnored = "partial-ignored" in "engine/apply": "the first outcome of a batch counts for all";
        NoPromise = "no-promise" in "engine/apply": "sent without having been written into the journal";
        GuardSleeps = "guard-sleeps" in "engine/guard": "nothing is ever too much";
        GuardForgetsTheDay = "guard-forgets-the-day" in "engine/guard": "each run is counted for itself";
        BaseFromSent = "base-from-sent" in "store/settle": "the base takes what was sent, not what the side answered";
        WholeAnswerIsBase = "whole-answer-is-base" in "store/settle": "what a create did not send is agreed on as answered";
        LateAnswerIsBase = "late-answer-is-base" in "store/settle": "what a late look at a create finds is agreed on, whoever wrote it";
        SentOverRead = "sent-over-read" in "store/settle": "without an answer, what was sent stands over what was read since";
        LivingForgotten = "living-forgotten" in "store/settle": "a record that lives on when its link goes is forgotten with it";
        FailedIsLeft = "failed-is-left" in "store/settle": "a write that failed beside an open clash is not tried again";
        ClashAsleep = "clash-asleep" in "store/settle": "an open clash is not looked at again when an answer shows that one side took its edit back";
        PromisesDropped = "promises-dropped" in "store/journal": "a new run forgets what the last one promised";
        ConflictUnkept = "conflict-unkept" in "store/settle": "a clash is decided and no row keeps the loser";
        MarkForgotten = "mark-forgotten" in "store/settle": "the link of a record deleted in Salesforce stays as it was";
        NewsSwallowed = "news-swallowed" in "store/stage": "settling one field settles all that moved meanwhile";
        StampDecides = "stamp-decides" in "store/stage": "a record with a stamp no newer than the known one is no news";
        SurvivorKeepsBase = "survivor-keeps-base" in "store/settle": "the survivor of a merge is compared with the base of the loser";
        UnseenIsThere = "unseen-is-there" in "store/nested": "a record that Salesforce did not show is made again on the platform";
        ClaimForgotten = "claim-forgotten" in "store/stage": "an edit of a record that parked ones want is looked at without them";
        ResentUnlooked = "resent-unlooked" in "engine/recover": "an order or an amendment without an answer is sent again without a look";
        ResetAgain = "reset-again" in "engine/recover": "a reset without an answer counts as not done";
        RecordUnkeyed = "record-unkeyed" in "engine/decide": "a license comes to Salesforce without a key by which its record can be found";
        IssuedAgain = "issued-again" in "engine/decide": "orders and licenses that are gone are made again like any record";
        TickForgotten = "tick-forgotten" in "engine/decide": "nobody remembers that a reset was asked for and sent";
        AmendsFromOld = "amends-from-old" in "engine/amend": "an amendment is planned from the lines as they were";
        OffUnasked = "off-unasked" in "engine/amend": "licenses of an order called off are disabled although the rules say report";
        LessUnasked = "less-unasked" in "engine/amend": "a lowered quantity is taken away although the rules say report";
        DraftsToo = "drafts-too" in "engine/provision": "drafts are licensed";
        HistoricToo = "historic-too" in "engine/provision": "orders from before licensing began are licensed";
        GivenForgotten = "given-forgotten" in "engine/provision": "what a line was given is taken from what it said last";
        ParkedUnseen = "parked-unseen" in "store/quarantine": "what cannot be decided is put aside without a row";
        NoOverlap = "no-overlap" in "connectors/salesforce": "changes are asked for from the watermark on, and nothing before it";
        StrictWindow = "strict-window" in "connectors/salesforce": "what was changed in the first second of a window is left out: > for >=";
        SecondSkipped = "second-skipped" in "connectors/salesforce": "a lost cursor is taken up after the last second, not after the last row";
        LastPageDropped = "last-page-dropped" in "connectors/salesforce": "the rows of the last page are left out";
        ShortIsWhole = "short-is-whole" in "connectors/salesforce": "an end is believed although rows are missing";
        OwnClock = "own-clock" in "connectors/salesforce": "the watermark is the time of our clock";
        BinUnread = "bin-unread" in "connectors/salesforce": "what lies in the recycle bin is not asked for";
        MasterUnread = "master-unread" in "connectors/salesforce": "the record that a merged one lives on in is not looked at";
        OkIsDone = "ok-is-done" in "connectors/salesforce": "status 200 counts for every row of the batch";
        SilentIsDone = "silent-is-done" in "connectors/salesforce": "a row of the batch without an answer counts as done";
        LostIsUndone = "lost-is-undone" in "connectors/salesforce": "a write whose answer is lost counts as not done";
        ReserveSpent = "reserve-spent" in "connectors/salesforce": "the calls that are kept for others are spent";
        StampsTrusted = "stamps-trusted" in "connectors/licensespring": "changes are asked for from the watermark on, and nothing before it";
        PageEndsASecond = "page-ends-a-second" in "connectors/licensespring": "the second in which a page ends is left out of the next";
        NullNextEnds = "null-next-ends" in "connectors/licensespring": "a `next` that is null too early ends the list";
        WatermarkAhead = "watermark-ahead" in "connectors/licensespring": "the watermark runs ahead of the reading";
        MovedIsWhole = "moved-is-whole" in "connectors/licensespring": "a list that moved while it was read counts as whole";
        ProxyIsBelieved = "proxy-is-believed" in "connectors/licensespring": "a page of HTML with status 404 proves that a record is gone";
        CreateUnlooked = "create-unlooked" in "connectors/licensespring": "a create does not look for its key first";
        CreateTwice = "create-twice" in "connectors/licensespring": "a create whose answer is lost is sent again";
        MetadataReplaced = "metadata-replaced" in "connectors/licensespring": "what others keep in metadata is written over";
    }

    impl Bug {
        /// The tests that catch it: those of its connector, or none where the simulation has to.
        #[must_use]
        pub fn tests(self) -> Option<&'static str> {
            match self.place() {
                "connectors/salesforce" => Some("connectors::salesforce::tests::teeth"),
                "connectors/licensespring" => Some("connectors::licensespring::stories::teeth"),
                _ => None,
            }
        }
    }

    impl Bug {
        /// Of orders and licenses: the shop's schedules have to catch it.
        #[must_use]
        pub const fn is_of_the_shop(self) -> bool {
            matches!(
                self,
                Self::ResentUnlooked
                    | Self::ResetAgain
                    | Self::RecordUnkeyed
                    | Self::IssuedAgain
                    | Self::TickForgotten
                    | Self::AmendsFromOld
                    | Self::OffUnasked
                    | Self::LessUnasked
                    | Self::DraftsToo
                    | Self::HistoricToo
                    | Self::GivenForgotten
            )
        }
    }

    thread_local! {
        static ON: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    #[must_use]
    pub fn is_on(bug: Bug) -> bool {
        ON.get() == Some(bug)
    }

    /// Runs with this bug, on this thread.
    pub fn with<T>(bug: Bug, work: impl FnOnce() -> T) -> T {
        struct Off;
        impl Drop for Off {
            fn drop(&mut self) {
                ON.set(None);
            }
        }
        ON.set(Some(bug));
        let _off = Off;
        work()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Bug;

    #[test]
    fn each_bug_is_where_the_list_says() {
        for bug in Bug::ALL {
            let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(bug.place());
            let files = match std::fs::read_dir(&place) {
                Ok(folder) => folder.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect(),
                Err(_) => vec![place.with_extension("rs")],
            };
            let word = format!("seeded!({bug:?})");
            let there = files.iter().any(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains(&word)));
            assert!(there, "{} is not in {}", bug.as_str(), bug.place());
        }
    }
}
