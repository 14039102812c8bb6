//! A schedule as data: what people do, when runs come, what goes wrong in them. Made from a seed, cut down when it fails,
//! kept as a line of JSON when it found a defect.

use super::dice::Dice;
use super::stories;
use crate::record::Side;
use crate::rules::{Conflict, Create, Drift, Merge, OnPlatformDelete, OnSalesforceDelete};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Script {
    pub seed: u64,
    pub rules: Settings,
    pub steps: Vec<Step>,
}

/// What the operator of this schedule wrote, and how its two systems behave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub conflict: Conflict,
    pub merge: Merge,
    pub drift: Drift,
    pub create: Create,
    pub on_salesforce_delete: OnSalesforceDelete,
    pub on_platform_delete: OnPlatformDelete,
    pub fill_blanks: bool,
    /// Both systems hold records before the first run.
    pub filled: bool,
    /// What Salesforce's own automation does when a name is written.
    pub trigger: bool,
    /// The platform lowers the case of what is written.
    pub lowers: bool,
    /// The side answers a write with the whole record.
    pub answers: bool,
    /// The guard's limits are small enough to be met.
    pub tight: bool,
    /// The platform's stamps tell the day, and no time of it.
    #[serde(default)]
    pub coarse: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Step {
    Edit(Edit),
    Run { full: bool, events: Vec<(u16, Event)> },
    Wait(u32),
}

/// Records are named by their place among those that live, so that a step still means something when others are cut out;
/// high numbers count from the newest back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edit {
    Create {
        side: Side,
        kind: Kind,
        twin: bool,
    },
    Set {
        side: Side,
        kind: Kind,
        who: u8,
        field: u8,
        how: How,
    },
    /// Committed later than it is stamped, by so many seconds. Salesforce.
    Late {
        kind: Kind,
        who: u8,
        field: u8,
        by: u16,
    },
    Move {
        who: u8,
        to: u8,
    },
    Delete {
        side: Side,
        kind: Kind,
        who: u8,
    },
    Undelete {
        kind: Kind,
        who: u8,
    },
    /// Deleted and purged from the recycle bin.
    Purge {
        kind: Kind,
        who: u8,
    },
    Merge {
        kind: Kind,
        winner: u8,
        loser: u8,
    },
    /// Every write to the record is refused from now on.
    Poison {
        side: Side,
        kind: Kind,
        who: u8,
    },
    /// Our user may not see this field any more.
    Hide {
        side: Side,
        kind: Kind,
        field: u8,
    },
    /// Whatever kept us out is lifted.
    Heal,
}

impl Edit {
    #[must_use]
    pub const fn on_platform(self) -> bool {
        matches!(
            self,
            Self::Create { side: Side::Platform, .. } | Self::Set { side: Side::Platform, .. } | Self::Delete { side: Side::Platform, .. }
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    Account,
    Contact,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Account, Self::Contact];

    #[must_use]
    pub const fn object(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Contact => "contact",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// A value nobody ever wrote before.
    Token,
    Blank,
    /// 0 in a number, which is not blank.
    Zero,
    /// What the other side holds already, if it has a partner.
    Same,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Edit(Edit),
    Fault(FaultWord),
    /// A person edits, right before our last look at a record, what we are about to write there.
    Meddle,
    /// The process is gone, before or after this call reached the other side.
    CrashAtCall {
        after: bool,
    },
    /// The process is gone at this commit of the state file, before or after it was on disk. Counted for itself.
    CrashAtCommit {
        after: bool,
    },
    /// SIGTERM.
    Stop,
    /// At the first call of this kind on this side, whatever its number.
    Aimed {
        side: Side,
        op: Op,
        trouble: Trouble,
    },
}

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Op {
    Identity,
    Schema,
    Poll,
    Get,
    Create,
    Update,
    Delete,
    Resolve,
}

impl Op {
    pub const ALL: [Self; 8] =
        [Self::Identity, Self::Schema, Self::Poll, Self::Get, Self::Create, Self::Update, Self::Delete, Self::Resolve];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Schema => "schema",
            Self::Poll => "poll",
            Self::Get => "get",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Resolve => "resolve",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble<E = Edit> {
    Fault(FaultWord),
    CrashBefore,
    CrashAfter,
    Stop,
    /// Somebody edits right before this call; after it, if it writes.
    Edit(E),
}

macro_rules! words {
    ($($word:ident = $name:literal: $what:literal;)*) => {
        /// What can go wrong with one call, as a connector reports it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum FaultWord { $($word),* }

        impl FaultWord {
            pub const ALL: &'static [FaultWord] = &[$(Self::$word),*];

            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$word => $name),* }
            }

            #[must_use]
            pub const fn what(self) -> &'static str {
                match self { $(Self::$word => $what),* }
            }
        }
    };
}

words! {
    Refused = "refused": "connection refused, or 5xx before anything was done";
    TimeoutBefore = "timeout-before": "no answer, and nothing was done";
    LostAnswer = "lost-answer": "done, and the answer was lost: time-out after commit, reset, 502/504";
    Late = "late": "no answer; the request is carried out a little later, after other calls";
    Partial = "partial": "some of the batch is done, the rest comes back as not done";
    PartialLost = "partial-lost": "some of the batch is done, and no answer came";
    Locked = "locked": "the record is locked: try again";
    Budget = "budget": "the allowance is spent: REQUEST_LIMIT_EXCEEDED, 429";
    Credentials = "credentials": "the credentials were refused: 401 for ever";
    Answer = "answer": "HTML with 200, truncated JSON, missing records";
    BreaksOff = "breaks-off": "the first pages are fine, then 5xx for ever";
    Twice = "twice": "rows come twice, in another order";
    Skips = "skips": "a row moved between two pages and was skipped, and the reading looks complete";
    Empty = "empty": "the reading looks complete and has no rows";
    Hidden = "hidden": "a record may not be read";
}

impl Script {
    /// The schedule of this seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut rules = settings(&mut dice);
        let mut steps = Vec::new();
        if dice.chance(8) {
            stories::too_many(&mut dice, &mut rules, &mut steps);
        }
        for _ in 0..dice.roll(4) + 1 {
            steps.push(Step::Edit(edit(&mut dice)));
        }
        for _ in 0..dice.roll(4) + 2 {
            match dice.roll(10) {
                0..=3 => aim(&mut dice, &mut rules, &mut steps),
                4..=6 => stories::story(&mut dice, &mut rules, &mut steps),
                _ => steps.push(Step::Run { full: dice.chance(10), events: events(&mut dice) }),
            }
            for _ in 0..dice.roll(5) {
                steps.push(Step::Edit(edit(&mut dice)));
            }
            if dice.chance(20) {
                let wait = dice.pick(&[5, 120, 900, 7_200, 90_000]);
                steps.push(Step::Wait(wait));
            }
        }
        Self { seed, rules, steps }
    }
}

/// A run with trouble at one kind of call, and what has to come before it so that there is such a call.
fn aim(dice: &mut Dice, rules: &mut Settings, steps: &mut Vec<Step>) {
    let side = side(dice);
    let op = dice.pick(
        &[Op::ALL.as_slice(), &[Op::Create, Op::Update, Op::Delete, Op::Delete, Op::Delete, Op::Resolve, Op::Resolve, Op::Get]].concat(),
    );
    let faults: Vec<FaultWord> = FaultWord::ALL.iter().copied().filter(|f| super::face::applies(*f, side, op.as_str())).collect();
    let trouble = match dice.roll(12) {
        0 => Trouble::CrashBefore,
        1 => Trouble::CrashAfter,
        2 => Trouble::Stop,
        _ => Trouble::Fault(dice.pick(&faults)),
    };
    let (kind, at, field) = (kind(dice), who(dice), 1);
    let quiet = || Step::Run { full: false, events: Vec::new() };
    match op {
        Op::Create => steps.push(Step::Edit(Edit::Create { side: side.other(), kind: Kind::Account, twin: false })),
        Op::Update | Op::Get => {
            steps.push(quiet());
            steps.push(Step::Edit(Edit::Set { side: side.other(), kind, who: at, field, how: How::Token }));
        }
        Op::Delete => {
            match side {
                Side::Platform => rules.on_salesforce_delete = OnSalesforceDelete::Delete,
                Side::Salesforce => rules.on_platform_delete = OnPlatformDelete::Delete,
            }
            rules.tight |= dice.chance(30);
            steps.push(quiet());
            steps.push(Step::Edit(Edit::Delete { side: side.other(), kind: Kind::Contact, who: at }));
            for _ in 0..dice.roll(2) + 1 {
                steps.push(Step::Edit(Edit::Delete { side: side.other(), kind: Kind::Account, who: at }));
            }
            if side == Side::Salesforce {
                // What is missing from a list has to be missed twice.
                steps.push(quiet());
            }
        }
        Op::Resolve => {
            let lost = dice.pick(&[FaultWord::LostAnswer, FaultWord::TimeoutBefore, FaultWord::Late]);
            let op = dice.pick(&[Op::Create, Op::Update]);
            steps.push(Step::Edit(Edit::Create { side: side.other(), kind: Kind::Account, twin: false }));
            steps.push(Step::Edit(Edit::Set { side: side.other(), kind, who: at, field, how: How::Token }));
            steps.push(Step::Run { full: false, events: vec![(0, Event::Aimed { side, op, trouble: Trouble::Fault(lost) })] });
        }
        // What these calls have to do with is what was read before.
        Op::Identity => {
            let twin = |side| Step::Edit(Edit::Create { side, kind: Kind::Account, twin: true });
            steps.extend([twin(Side::Platform), twin(Side::Salesforce), twin(Side::Salesforce)]);
        }
        Op::Schema => {
            steps.push(quiet());
            steps.push(Step::Edit(Edit::Set { side: Side::Salesforce, kind, who: at, field, how: How::Token }));
            steps.push(Step::Edit(Edit::Merge { kind, winner: at, loser: at + 1 }));
        }
        Op::Poll => {
            steps.extend([quiet(), Step::Edit(Edit::Delete { side: Side::Salesforce, kind, who: at }), quiet()]);
            steps.push(Step::Edit(Edit::Undelete { kind, who: at }));
        }
    }
    let mut events = vec![(0, Event::Aimed { side, op, trouble })];
    if dice.chance(40) {
        events.push((0, Event::Meddle));
    }
    steps.push(Step::Run { full: false, events });
}

fn settings(dice: &mut Dice) -> Settings {
    Settings {
        conflict: dice.pick(&[
            Conflict::Salesforce,
            Conflict::Salesforce,
            Conflict::Platform,
            Conflict::Newest,
            Conflict::SalesforceUnlessBlank,
            Conflict::Manual,
        ]),
        merge: if dice.chance(15) { Merge::Record } else { Merge::Field },
        drift: dice.pick(&[Drift::Ignore, Drift::Revert, Drift::Report]),
        create: dice.pick(&[Create::ToPlatform, Create::Both, Create::Both]),
        on_salesforce_delete: dice.pick(&[OnSalesforceDelete::Report, OnSalesforceDelete::Delete]),
        on_platform_delete: dice.pick(&[OnPlatformDelete::Keep, OnPlatformDelete::Delete]),
        fill_blanks: dice.chance(30),
        filled: dice.chance(30),
        trigger: dice.chance(25),
        lowers: dice.chance(25),
        answers: dice.chance(80),
        tight: dice.chance(10),
        coarse: dice.chance(15),
    }
}

fn side(dice: &mut Dice) -> Side {
    if dice.chance(50) { Side::Salesforce } else { Side::Platform }
}

fn kind(dice: &mut Dice) -> Kind {
    if dice.chance(60) { Kind::Account } else { Kind::Contact }
}

fn who(dice: &mut Dice) -> u8 {
    u8::try_from(dice.roll(6)).unwrap_or(0)
}

fn edit(dice: &mut Dice) -> Edit {
    let (side, kind) = (side(dice), kind(dice));
    let field = u8::try_from(dice.roll(4)).unwrap_or(0);
    match dice.roll(30) {
        0..=6 => Edit::Create { side: if dice.chance(65) { Side::Salesforce } else { side }, kind, twin: dice.chance(15) },
        7..=18 => {
            let how = dice.pick(&[How::Token, How::Token, How::Token, How::Token, How::Blank, How::Zero, How::Same]);
            Edit::Set { side, kind, who: who(dice), field, how }
        }
        19 | 20 => {
            let by = dice.pick(&[1, 20, 300, 900, 3_000]);
            Edit::Late { kind, who: who(dice), field, by }
        }
        21 => Edit::Move { who: who(dice), to: who(dice) },
        22 | 23 => Edit::Delete { side, kind, who: who(dice) },
        24 => Edit::Undelete { kind, who: who(dice) },
        25 => Edit::Purge { kind, who: who(dice) },
        26 => Edit::Merge { kind, winner: who(dice), loser: who(dice) },
        27 => Edit::Poison { side, kind, who: who(dice) },
        28 => Edit::Hide { side, kind, field },
        _ => Edit::Heal,
    }
}

fn events(dice: &mut Dice) -> Vec<(u16, Event)> {
    let mut events = Vec::new();
    for _ in 0..dice.roll(4) {
        let at = u16::try_from(dice.roll(14)).unwrap_or(0);
        let event = match dice.roll(10) {
            0..=2 => Event::Edit(edit(dice)),
            3 => Event::Meddle,
            4..=6 => Event::Fault(dice.pick(FaultWord::ALL)),
            7 => Event::CrashAtCall { after: dice.chance(50) },
            8 => Event::CrashAtCommit { after: dice.chance(50) },
            _ => Event::Stop,
        };
        let at = if matches!(event, Event::CrashAtCommit { .. }) { u16::try_from(dice.roll(60)).unwrap_or(0) } else { at };
        events.push((at, event));
    }
    events
}
