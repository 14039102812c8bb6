//! A schedule of a shop as data: what people order, amend and undo on either side, when runs come, what goes wrong in them.

use crate::record::Side;
use crate::rules::{OnContactChange, OnLess, OnLoss, OnMore, OnSalesforceDelete};
use crate::simulation::dice::Dice;
use crate::simulation::script::{FaultWord, Trouble};
use crate::simulation::shrink::Smaller;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Script {
    pub seed: u64,
    pub rules: Settings,
    pub steps: Vec<Step>,
}

/// What the operator of this schedule wrote into `[orders]`, and how its two systems behave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub on_more: OnMore,
    pub on_less: OnLess,
    pub on_line_removed: OnLoss,
    pub on_cancel: OnLoss,
    pub on_deactivate: OnLoss,
    pub on_contact_change: OnContactChange,
    pub on_order_delete: OnSalesforceDelete,
    /// The platform issues again what it is sent again: only our own look-ups keep it from that.
    pub twice: bool,
    /// What was made on the platform shows in its lists a little later.
    pub slow: bool,
    /// A side answers a write with the whole record.
    pub answers: bool,
    /// Runs read the platform's licenses by stamp instead of whole.
    pub deltas: bool,
    /// The guard's limits are small enough to be met.
    pub tight: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Step {
    Edit(Edit),
    Run { full: bool, events: Vec<(u16, Event)> },
    Wait(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    Account,
    Contact,
    Order,
    License,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Account, Self::Contact, Self::Order, Self::License];

    #[must_use]
    pub const fn object(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Contact => "contact",
            Self::Order => "order",
            Self::License => "license",
        }
    }
}

/// What is sold: by its product code, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub product: u8,
    pub quantity: u8,
}

/// Records are named by their place among those that live, so that a step still means something when others are cut out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edit {
    /// An account with a contact.
    Customer,
    Contact {
        account: u8,
    },
    /// A draft.
    Order {
        account: u8,
        first: Item,
        second: Option<Item>,
    },
    /// `old`: in the time before licensing began.
    Activate {
        who: u8,
        old: bool,
    },
    /// Activated, and committed so many seconds later than it is stamped.
    LateActivate {
        who: u8,
        by: u16,
    },
    Deactivate {
        who: u8,
    },
    Cancel {
        who: u8,
    },
    /// An active order becomes a draft for it and is activated again.
    Amend {
        who: u8,
        how: Amendment,
    },
    DeleteOrder {
        who: u8,
    },
    UndeleteOrder {
        who: u8,
    },
    DeleteAccount {
        who: u8,
    },
    MergeAccounts {
        winner: u8,
        loser: u8,
    },
    /// A field of a license, on either side.
    License {
        side: Side,
        who: u8,
        what: What,
    },
    /// Somebody runs the product.
    Devices {
        who: u8,
        n: u8,
    },
    Reset {
        who: u8,
    },
    DeleteRecord {
        who: u8,
    },
    DeleteLicense {
        who: u8,
    },
    DeleteOrderThere {
        who: u8,
    },
    /// Every write to the record is refused from now on.
    Poison {
        side: Side,
        kind: Kind,
        who: u8,
    },
    Heal,
}

impl Edit {
    /// What a delta cannot show.
    #[must_use]
    pub const fn needs_whole(self) -> bool {
        matches!(self, Self::LateActivate { .. })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Amendment {
    Add(Item),
    Quantity { line: u8, to: u8 },
    Remove { line: u8 },
    Product { line: u8, to: u8 },
    Contact,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    Disable,
    Enable,
    /// Renewed until some day.
    Until(u8),
    Activations(u8),
    Note,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    Edit(Edit),
    Fault(FaultWord),
    CrashAtCall {
        after: bool,
    },
    CrashAtCommit {
        after: bool,
    },
    Stop,
    /// At the first call of this kind, whatever its number.
    Aimed {
        call: Call,
        trouble: Trouble<Edit>,
    },
}

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Call {
    Identity,
    Schema,
    Poll,
    Get,
    /// An account or a contact comes to the platform.
    Customer,
    /// An order comes to the platform, with its licenses.
    Issue,
    /// An order there is amended.
    Amend,
    /// A license there is changed.
    Change,
    /// Its activations are released.
    Reset,
    /// A license comes to Salesforce.
    Bring,
    /// What Salesforce holds of a license is changed.
    Show,
    /// What Lockstep itself says in Salesforce.
    Tell,
    Resolve,
}

impl Call {
    pub const ALL: [Self; 13] = [
        Self::Identity,
        Self::Schema,
        Self::Poll,
        Self::Get,
        Self::Customer,
        Self::Issue,
        Self::Amend,
        Self::Change,
        Self::Reset,
        Self::Bring,
        Self::Show,
        Self::Tell,
        Self::Resolve,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Schema => "schema",
            Self::Poll => "poll",
            Self::Get => "get",
            Self::Customer => "customer",
            Self::Issue => "issue",
            Self::Amend => "amend",
            Self::Change => "change",
            Self::Reset => "reset",
            Self::Bring => "bring",
            Self::Show => "show",
            Self::Tell => "tell",
            Self::Resolve => "resolve",
        }
    }

    #[must_use]
    pub const fn is_write(self) -> bool {
        !matches!(self, Self::Identity | Self::Schema | Self::Poll | Self::Get | Self::Resolve)
    }

    /// Where such calls go; reads and look-ups go to both sides.
    #[must_use]
    pub const fn is_on(self, side: Side) -> bool {
        match self {
            Self::Customer | Self::Issue | Self::Amend | Self::Change | Self::Reset => matches!(side, Side::Platform),
            Self::Bring | Self::Show | Self::Tell => matches!(side, Side::Salesforce),
            Self::Identity | Self::Schema | Self::Poll | Self::Get | Self::Resolve => true,
        }
    }
}

impl Script {
    /// The schedule of this seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x5407);
        let rules = settings(&mut dice);
        let mut steps = vec![Step::Edit(Edit::Customer), order(&mut dice), Step::Edit(Edit::Activate { who: 0, old: false })];
        for _ in 0..dice.roll(3) {
            steps.push(Step::Edit(edit(&mut dice)));
        }
        for _ in 0..dice.roll(3) + 2 {
            if dice.chance(65) {
                aim(&mut dice, &mut steps);
            } else {
                steps.push(Step::Run { full: dice.chance(10), events: events(&mut dice) });
            }
            for _ in 0..dice.roll(4) {
                steps.push(Step::Edit(edit(&mut dice)));
            }
            if dice.chance(20) {
                steps.push(Step::Wait(dice.pick(&[5, 120, 900, 7_200, 90_000])));
            }
        }
        Self { seed, rules, steps }
    }
}

fn settings(dice: &mut Dice) -> Settings {
    let loss = |dice: &mut Dice| dice.pick(&[OnLoss::Report, OnLoss::Disable]);
    Settings {
        on_more: dice.pick(&[OnMore::Add, OnMore::Add, OnMore::Add, OnMore::Report]),
        on_less: dice.pick(&[OnLess::Report, OnLess::Lower]),
        on_line_removed: loss(dice),
        on_cancel: loss(dice),
        on_deactivate: dice.pick(&[OnLoss::Report, OnLoss::Report, OnLoss::Disable]),
        on_contact_change: dice.pick(&[OnContactChange::Reassign, OnContactChange::Reassign, OnContactChange::Report]),
        on_order_delete: dice.pick(&[OnSalesforceDelete::Report, OnSalesforceDelete::Disable]),
        twice: dice.chance(30),
        slow: dice.chance(20),
        answers: dice.chance(80),
        deltas: dice.chance(30),
        tight: dice.chance(10),
    }
}

/// A run with trouble at one kind of call, and what has to come before it so that there is such a call.
fn aim(dice: &mut Dice, steps: &mut Vec<Step>) {
    let calls =
        [Call::ALL.as_slice(), &[Call::Issue, Call::Issue, Call::Amend, Call::Amend, Call::Reset, Call::Bring, Call::Resolve]].concat();
    let call = dice.pick(&calls);
    let quiet = || Step::Run { full: false, events: Vec::new() };
    let at = who(dice);
    match call {
        Call::Customer => steps.push(Step::Edit(Edit::Customer)),
        Call::Issue | Call::Bring | Call::Tell => new_order(dice, steps),
        Call::Amend => {
            steps.extend([quiet(), Step::Edit(Edit::Amend { who: at, how: amendment(dice) })]);
            if dice.chance(50) {
                steps.push(Step::Edit(Edit::Amend { who: at, how: amendment(dice) }));
            }
        }
        Call::Change => steps.extend([quiet(), Step::Edit(Edit::License { side: Side::Salesforce, who: at, what: what(dice) })]),
        Call::Show => steps.extend([quiet(), Step::Edit(Edit::License { side: Side::Platform, who: at, what: what(dice) })]),
        Call::Reset => asks_for_reset(dice, steps, at),
        Call::Resolve => {
            match dice.roll(3) {
                0 => new_order(dice, steps),
                1 => asks_for_reset(dice, steps, at),
                _ => steps.extend([quiet(), Step::Edit(Edit::Amend { who: at, how: amendment(dice) })]),
            }
            let lost = dice.pick(&[FaultWord::LostAnswer, FaultWord::TimeoutBefore, FaultWord::Late, FaultWord::PartialLost]);
            let calls = [Call::Issue, Call::Amend, Call::Reset, Call::Bring];
            let aimed = calls.map(|call| (0, Event::Aimed { call, trouble: Trouble::Fault(lost) }));
            steps.push(Step::Run { full: false, events: aimed.to_vec() });
        }
        Call::Identity | Call::Schema | Call::Poll | Call::Get => {
            new_order(dice, steps);
            steps.push(Step::Edit(edit(dice)));
        }
    }
    let side = if call.is_on(Side::Platform) { Side::Platform } else { Side::Salesforce };
    let faults: Vec<FaultWord> = FaultWord::ALL.iter().copied().filter(|f| super::face::applies(*f, side, call)).collect();
    let trouble = match dice.roll(12) {
        0 | 1 => Trouble::CrashBefore,
        2 | 3 => Trouble::CrashAfter,
        4 => Trouble::Stop,
        _ => Trouble::Fault(dice.pick(&faults)),
    };
    let mut events = vec![(0, Event::Aimed { call, trouble })];
    if dice.chance(30) {
        events.push((u16::try_from(dice.roll(60)).unwrap_or(0), Event::CrashAtCommit { after: dice.chance(50) }));
    }
    steps.push(Step::Run { full: false, events });
    // Whoever was thrown out comes back: a second reset would be seen.
    if matches!(call, Call::Reset | Call::Resolve) && dice.chance(60) {
        steps.push(Step::Edit(Edit::Devices { who: at, n: 1 }));
    }
}

fn new_order(dice: &mut Dice, steps: &mut Vec<Step>) {
    steps.push(order(dice));
    // The youngest: whoever counts from the end finds it.
    steps.push(Step::Edit(Edit::Activate { who: u8::MAX, old: false }));
}

fn asks_for_reset(dice: &mut Dice, steps: &mut Vec<Step>, who: u8) {
    steps.push(Step::Run { full: false, events: Vec::new() });
    steps.push(Step::Edit(Edit::Devices { who, n: u8::try_from(dice.roll(3) + 1).unwrap_or(1) }));
    steps.push(Step::Edit(Edit::Reset { who }));
}

fn who(dice: &mut Dice) -> u8 {
    u8::try_from(dice.roll(4)).unwrap_or(0)
}

fn item(dice: &mut Dice) -> Item {
    Item { product: dice.pick(&[0, 0, 1, 1, 1, 2, 3, 4]), quantity: u8::try_from(dice.roll(3) + 1).unwrap_or(1) }
}

fn order(dice: &mut Dice) -> Step {
    let first = Item { product: dice.pick(&[0, 1, 2]), ..item(dice) };
    let second = dice.chance(50).then(|| item(dice));
    Step::Edit(Edit::Order { account: who(dice), first, second })
}

fn amendment(dice: &mut Dice) -> Amendment {
    let line = who(dice);
    match dice.roll(10) {
        0..=2 => Amendment::Add(item(dice)),
        3..=6 => Amendment::Quantity { line, to: dice.pick(&[1, 2, 3, 4, 5, 0]) },
        7 | 8 => Amendment::Remove { line },
        _ if dice.chance(30) => Amendment::Product { line, to: dice.pick(&[0, 1, 2, 3]) },
        _ => Amendment::Contact,
    }
}

fn what(dice: &mut Dice) -> What {
    let n = u8::try_from(dice.roll(20) + 1).unwrap_or(1);
    match dice.roll(5) {
        0 => What::Disable,
        1 => What::Enable,
        2 => What::Until(n),
        3 => What::Activations(n),
        _ => What::Note,
    }
}

fn edit(dice: &mut Dice) -> Edit {
    let side = dice.pick(&Side::BOTH);
    match dice.roll(40) {
        0 => Edit::Customer,
        1 => Edit::Contact { account: who(dice) },
        2..=4 => match order(dice) {
            Step::Edit(edit) => edit,
            Step::Run { .. } | Step::Wait(_) => Edit::Customer,
        },
        5..=8 => Edit::Activate { who: who(dice), old: dice.chance(10) },
        9 => Edit::LateActivate { who: who(dice), by: dice.pick(&[1, 20, 300, 900, 3_000]) },
        10 | 11 => Edit::Deactivate { who: who(dice) },
        12 | 13 => Edit::Cancel { who: who(dice) },
        14..=21 => Edit::Amend { who: who(dice), how: amendment(dice) },
        22 => Edit::DeleteOrder { who: who(dice) },
        23 => Edit::UndeleteOrder { who: who(dice) },
        24 => Edit::DeleteAccount { who: who(dice) },
        25 => Edit::MergeAccounts { winner: who(dice), loser: who(dice) },
        26..=30 => Edit::License { side, who: who(dice), what: what(dice) },
        31 | 32 => Edit::Devices { who: who(dice), n: u8::try_from(dice.roll(3) + 1).unwrap_or(1) },
        33 | 34 => Edit::Reset { who: who(dice) },
        35 => Edit::DeleteRecord { who: who(dice) },
        36 => Edit::DeleteLicense { who: who(dice) },
        37 => Edit::DeleteOrderThere { who: who(dice) },
        38 => Edit::Poison { side, kind: dice.pick(&[Kind::Order, Kind::License]), who: who(dice) },
        _ => Edit::Heal,
    }
}

fn events(dice: &mut Dice) -> Vec<(u16, Event)> {
    let mut events = Vec::new();
    for _ in 0..dice.roll(4) {
        let at = u16::try_from(dice.roll(24)).unwrap_or(0);
        let event = match dice.roll(10) {
            0..=2 => Event::Edit(edit(dice)),
            3..=5 => Event::Fault(dice.pick(FaultWord::ALL)),
            6 | 7 => Event::CrashAtCall { after: dice.chance(50) },
            8 => Event::CrashAtCommit { after: dice.chance(50) },
            _ => Event::Stop,
        };
        let at = if matches!(event, Event::CrashAtCommit { .. }) { u16::try_from(dice.roll(90)).unwrap_or(0) } else { at };
        events.push((at, event));
    }
    events
}

impl Smaller for Script {
    fn smaller(&self) -> Vec<Self> {
        let mut out = Vec::new();
        let with = |steps: Vec<Step>| Self { steps, ..self.clone() };
        let n = self.steps.len();
        if n > 3 {
            out.push(with(self.steps[n / 2..].to_vec()));
            out.push(with(self.steps[..n / 2].to_vec()));
        }
        for i in 0..n {
            let mut steps = self.steps.clone();
            steps.remove(i);
            out.push(with(steps));
        }
        for (i, step) in self.steps.iter().enumerate() {
            let mut put = |step: Step| {
                let mut steps = self.steps.clone();
                steps[i] = step;
                out.push(with(steps));
            };
            match step {
                Step::Run { full, events } => {
                    for e in 0..events.len() {
                        let mut fewer = events.clone();
                        fewer.remove(e);
                        put(Step::Run { full: *full, events: fewer });
                    }
                    if *full {
                        put(Step::Run { full: false, events: events.clone() });
                    }
                }
                Step::Edit(Edit::Order { account, first, second: Some(_) }) => {
                    put(Step::Edit(Edit::Order { account: *account, first: *first, second: None }));
                }
                Step::Edit(_) | Step::Wait(_) => {}
            }
        }
        let s = self.rules;
        for rules in [
            Settings { on_more: OnMore::Add, ..s },
            Settings { on_less: OnLess::Report, ..s },
            Settings { on_line_removed: OnLoss::Report, ..s },
            Settings { on_cancel: OnLoss::Report, ..s },
            Settings { on_deactivate: OnLoss::Report, ..s },
            Settings { on_order_delete: OnSalesforceDelete::Report, ..s },
            Settings { on_contact_change: OnContactChange::Report, ..s },
            Settings { twice: false, ..s },
            Settings { slow: false, ..s },
            Settings { answers: true, ..s },
            Settings { deltas: false, ..s },
            Settings { tight: false, ..s },
        ] {
            if rules != s {
                out.push(Self { rules, ..self.clone() });
            }
        }
        out
    }
}
