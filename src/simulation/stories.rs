//! Small stories: a few steps in the order in which something is known to go wrong, woven into random schedules. What chance
//! would tell once in a thousand schedules is told in every hundredth, with everything else that goes on around it.
//!
//! A story says nothing of what has to come of it: that is for the checks.

use super::dice::Dice;
use super::script::{Edit, Event, FaultWord, How, Kind, Op, Settings, Step, Trouble};
use super::world::{BEFORE_NEWEST, NEWEST};
use crate::record::Side;
use crate::rules::{Conflict, Create, Merge, OnPlatformDelete, OnSalesforceDelete};

const PHONE: u8 = 1;
const SIZE: u8 = 3;

/// Tells one of them. The rules are those the story needs.
pub fn story(dice: &mut Dice, rules: &mut Settings, steps: &mut Vec<Step>) {
    const ALL: [fn(&mut Dice, &mut Settings) -> Vec<Step>; 17] = [
        forgotten_by_half_a_reading,
        refused_is_not_gone,
        made_while_hidden,
        back_from_the_bin,
        child_before_its_parent,
        twin_that_was_not_read,
        edited_between_reading_and_writing,
        edited_between_two_writes,
        edited_before_the_answer,
        merged_into_a_stranger,
        merged_into_a_partner,
        twins,
        open_clash_and_then_gone,
        change_beside_an_open_clash,
        restored_before_the_answer,
        same_second,
        both_edited,
    ];
    let tell = dice.pick(&ALL);
    steps.extend(tell(dice, rules));
}

/// The first story of a schedule: more is to be deleted in a day than the rules allow without a word.
pub fn too_many(dice: &mut Dice, rules: &mut Settings, steps: &mut Vec<Step>) {
    let side = if dice.chance(70) { Side::Salesforce } else { Side::Platform };
    rules.tight = true;
    rules.on_salesforce_delete = OnSalesforceDelete::Delete;
    rules.on_platform_delete = OnPlatformDelete::Delete;
    // The first run is one that somebody looks at: it may make all of them.
    for _ in 0..dice.roll(2) + 3 {
        steps.push(made(Side::Salesforce));
    }
    steps.push(run());
    steps.push(deleted(side, NEWEST));
    if dice.chance(50) {
        steps.push(run());
    }
    steps.push(deleted(side, NEWEST));
    steps.push(run());
    if side == Side::Platform {
        // What is missing from a list has to be missed twice.
        steps.push(run());
    }
}

/// What waits to be made, older than what a delta asks for, and then a full reading that breaks off before it.
fn forgotten_by_half_a_reading(dice: &mut Dice, _: &mut Settings) -> Vec<Step> {
    let refused = || aimed(Side::Platform, Op::Create, Trouble::Fault(FaultWord::Refused));
    let half = dice.pick(&[FaultWord::BreaksOff, FaultWord::Answer, FaultWord::Refused]);
    let whole = Step::Run { full: true, events: vec![at_first(Side::Salesforce, Op::Poll, Trouble::Fault(half))] };
    vec![made(Side::Salesforce), refused(), refused(), whole]
}

/// A record that two lists skip, and that may not be read by its id.
fn refused_is_not_gone(_: &mut Dice, rules: &mut Settings) -> Vec<Step> {
    rules.on_platform_delete = OnPlatformDelete::Delete;
    let skipped = || at_first(Side::Platform, Op::Poll, Trouble::Fault(FaultWord::Skips));
    let hidden = at_first(Side::Platform, Op::Get, Trouble::Fault(FaultWord::Hidden));
    vec![
        made(Side::Salesforce),
        made(Side::Salesforce),
        run(),
        Step::Run { full: false, events: vec![skipped()] },
        Step::Run { full: false, events: vec![skipped(), hidden] },
    ]
}

/// A field that could not be read when its record was made, or when it was edited.
fn made_while_hidden(dice: &mut Dice, rules: &mut Settings) -> Vec<Step> {
    let (side, field) = (side(dice), dice.pick(&[PHONE, SIZE]));
    let hidden = |field| Step::Edit(Edit::Hide { side, kind: Kind::Account, field });
    let mut steps = vec![run()];
    if dice.chance(50) {
        rules.create = Create::Both;
        steps.extend([hidden(PHONE), made(side.other())]);
    } else {
        steps.extend([made(Side::Salesforce), hidden(field), run(), set(side.other(), NEWEST, field)]);
    }
    steps.push(run());
    if dice.chance(50) {
        steps.extend([Step::Edit(Edit::Heal), run()]);
    }
    steps
}

fn back_from_the_bin(dice: &mut Dice, rules: &mut Settings) -> Vec<Step> {
    rules.on_salesforce_delete = dice.pick(&[OnSalesforceDelete::Report, OnSalesforceDelete::Report, OnSalesforceDelete::Delete]);
    let mut steps = vec![made(Side::Salesforce), run(), deleted(Side::Salesforce, NEWEST), run(), restored()];
    if dice.chance(50) {
        steps.push(set(Side::Salesforce, NEWEST, PHONE));
    }
    if dice.chance(30) {
        steps.push(set(Side::Platform, NEWEST, PHONE));
    }
    steps.push(run());
    steps
}

/// The parent is not made in the run in which the child comes.
fn child_before_its_parent(dice: &mut Dice, _: &mut Settings) -> Vec<Step> {
    let child = Edit::Create { side: Side::Salesforce, kind: Kind::Contact, twin: false };
    let fault = dice.pick(&[FaultWord::Refused, FaultWord::Locked, FaultWord::TimeoutBefore, FaultWord::LostAnswer, FaultWord::Late]);
    vec![
        made(Side::Salesforce),
        Step::Edit(child),
        Step::Edit(Edit::Move { who: NEWEST, to: NEWEST }),
        aimed(Side::Platform, Op::Create, Trouble::Fault(fault)),
        run(),
    ]
}

/// Somebody types the same record into both systems, and one of them cannot be read.
fn twin_that_was_not_read(dice: &mut Dice, rules: &mut Settings) -> Vec<Step> {
    rules.create = Create::Both;
    let fault = dice.pick(&[FaultWord::BreaksOff, FaultWord::Answer, FaultWord::Refused, FaultWord::Budget]);
    vec![run(), made(Side::Salesforce), twin(Side::Platform), aimed(side(dice), Op::Poll, Trouble::Fault(fault)), run()]
}

/// The other side's record is edited when it is read already and not yet written.
fn edited_between_reading_and_writing(dice: &mut Dice, rules: &mut Settings) -> Vec<Step> {
    rules.conflict = dice.pick(&[Conflict::Salesforce, rules.conflict]);
    let field = dice.pick(&[PHONE, SIZE]);
    let meanwhile = Edit::Set { side: Side::Salesforce, kind: Kind::Account, who: NEWEST, field, how: How::Token };
    vec![
        made(Side::Salesforce),
        run(),
        set(Side::Platform, NEWEST, field),
        aimed(Side::Platform, Op::Poll, Trouble::Edit(meanwhile)),
        run(),
    ]
}

/// The platform's record is edited while others are made there, before its own turn.
fn edited_between_two_writes(dice: &mut Dice, _: &mut Settings) -> Vec<Step> {
    let field = dice.pick(&[PHONE, SIZE]);
    let meanwhile = Edit::Set { side: Side::Platform, kind: Kind::Account, who: BEFORE_NEWEST, field, how: How::Token };
    vec![
        made(Side::Salesforce),
        run(),
        set(Side::Salesforce, NEWEST, field),
        made(Side::Salesforce),
        aimed(Side::Platform, Op::Create, Trouble::Edit(meanwhile)),
        run(),
    ]
}

/// A create whose answer is lost, and an edit of what it made before anybody looks.
fn edited_before_the_answer(dice: &mut Dice, rules: &mut Settings) -> Vec<Step> {
    rules.create = Create::Both;
    // Salesforce is read before anybody looks, and without an answer nobody knows what it holds.
    let silent = dice.chance(40);
    rules.answers = !silent && dice.chance(50);
    let (side, field) = if silent { (Side::Salesforce, PHONE) } else { (side(dice), dice.pick(&[PHONE, PHONE, SIZE])) };
    let trouble = match dice.roll(4) {
        0 => Trouble::CrashAfter,
        1 => Trouble::Fault(FaultWord::Late),
        _ => Trouble::Fault(FaultWord::LostAnswer),
    };
    // Long ago when it is looked at: no delta shows it a second time.
    let long = Step::Wait(if silent { 7_200 } else { dice.pick(&[0, 7_200]) });
    vec![run(), made(side.other()), aimed(side, Op::Create, trouble), set(side, NEWEST, field), long, run()]
}

/// The survivor of a merge has no partner: it takes the loser's, with nothing agreed on.
fn merged_into_a_stranger(dice: &mut Dice, _: &mut Settings) -> Vec<Step> {
    vec![
        made(Side::Salesforce),
        run(),
        set(Side::Platform, NEWEST, dice.pick(&[SIZE, SIZE, PHONE])),
        run(),
        made(Side::Salesforce),
        Step::Edit(Edit::Merge { kind: Kind::Account, winner: NEWEST, loser: BEFORE_NEWEST }),
        run(),
    ]
}

fn merged_into_a_partner(dice: &mut Dice, rules: &mut Settings) -> Vec<Step> {
    rules.on_salesforce_delete = OnSalesforceDelete::Delete;
    let mut steps = vec![made(Side::Salesforce), made(Side::Salesforce), run()];
    if dice.chance(50) {
        steps.push(set(side(dice), dice.pick(&[NEWEST, BEFORE_NEWEST]), PHONE));
    }
    steps.push(Step::Edit(Edit::Merge { kind: Kind::Account, winner: BEFORE_NEWEST, loser: NEWEST }));
    steps.push(run());
    steps
}

/// One record typed in two, three or four times, before anything of it is linked.
fn twins(dice: &mut Dice, rules: &mut Settings) -> Vec<Step> {
    if dice.chance(60) {
        rules.create = Create::Both;
    }
    let mut steps = vec![run(), made(Side::Salesforce), twin(Side::Platform)];
    match dice.roll(3) {
        0 => steps.push(set(Side::Platform, NEWEST, SIZE)),
        1 => steps.push(twin(Side::Platform)),
        _ => steps.push(twin(Side::Salesforce)),
    }
    steps.push(run());
    if dice.chance(50) {
        // The longer they are parked, the longer they are left alone.
        steps.extend([run(), set(side(dice), NEWEST, PHONE), run()]);
    }
    steps
}

/// A clash that nobody has decided yet, and one of the two records goes.
fn open_clash_and_then_gone(dice: &mut Dice, rules: &mut Settings) -> Vec<Step> {
    rules.conflict = Conflict::Manual;
    let gone = side(dice);
    vec![
        made(Side::Salesforce),
        run(),
        set(Side::Salesforce, NEWEST, PHONE),
        set(Side::Platform, NEWEST, PHONE),
        run(),
        deleted(gone, NEWEST),
        run(),
        run(),
    ]
}

/// The same pair is to be changed in another field, and that goes wrong.
fn change_beside_an_open_clash(dice: &mut Dice, rules: &mut Settings) -> Vec<Step> {
    rules.conflict = Conflict::Manual;
    let (edited, fault) = (side(dice), dice.pick(&[FaultWord::Refused, FaultWord::Locked, FaultWord::TimeoutBefore, FaultWord::Partial]));
    vec![
        made(Side::Salesforce),
        run(),
        set(Side::Salesforce, NEWEST, SIZE),
        set(Side::Platform, NEWEST, SIZE),
        run(),
        set(edited, NEWEST, PHONE),
        aimed(edited.other(), Op::Update, Trouble::Fault(fault)),
        run(),
    ]
}

/// The partner is deleted, the answer is lost, and the record comes back from the bin.
fn restored_before_the_answer(dice: &mut Dice, rules: &mut Settings) -> Vec<Step> {
    rules.on_salesforce_delete = OnSalesforceDelete::Delete;
    let lost = dice.pick(&[FaultWord::LostAnswer, FaultWord::LostAnswer, FaultWord::TimeoutBefore]);
    vec![
        made(Side::Salesforce),
        run(),
        deleted(Side::Salesforce, NEWEST),
        aimed(Side::Platform, Op::Delete, Trouble::Fault(lost)),
        restored(),
        run(),
    ]
}

/// A system whose stamps are coarse: two edits of one record, a run between them, and the stamps are equal.
fn same_second(dice: &mut Dice, rules: &mut Settings) -> Vec<Step> {
    rules.coarse = true;
    let field = dice.pick(&[PHONE, SIZE]);
    vec![made(Side::Salesforce), run(), set(Side::Platform, NEWEST, field), run(), set(Side::Platform, NEWEST, field), run()]
}

/// One pair, edited on both sides: in one field, or in two of which the whole record of one side may win.
fn both_edited(dice: &mut Dice, rules: &mut Settings) -> Vec<Step> {
    if dice.chance(40) {
        rules.merge = Merge::Record;
    }
    let fields = [dice.pick(&[PHONE, SIZE]), dice.pick(&[PHONE, SIZE])];
    vec![made(Side::Salesforce), run(), set(Side::Salesforce, NEWEST, fields[0]), set(Side::Platform, NEWEST, fields[1]), run()]
}

fn side(dice: &mut Dice) -> Side {
    if dice.chance(50) { Side::Salesforce } else { Side::Platform }
}

const fn run() -> Step {
    Step::Run { full: false, events: Vec::new() }
}

fn aimed(side: Side, op: Op, trouble: Trouble) -> Step {
    Step::Run { full: false, events: vec![at_first(side, op, trouble)] }
}

const fn at_first(side: Side, op: Op, trouble: Trouble) -> (u16, Event) {
    (0, Event::Aimed { side, op, trouble })
}

const fn made(side: Side) -> Step {
    Step::Edit(Edit::Create { side, kind: Kind::Account, twin: false })
}

const fn twin(side: Side) -> Step {
    Step::Edit(Edit::Create { side, kind: Kind::Account, twin: true })
}

const fn set(side: Side, who: u8, field: u8) -> Step {
    Step::Edit(Edit::Set { side, kind: Kind::Account, who, field, how: How::Token })
}

const fn deleted(side: Side, who: u8) -> Step {
    Step::Edit(Edit::Delete { side, kind: Kind::Account, who })
}

const fn restored() -> Step {
    Step::Edit(Edit::Undelete { kind: Kind::Account, who: NEWEST })
}
