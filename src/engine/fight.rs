//! Who fights over a field: a side that came back with something else each time it was given the same.
//!
//! Pure: looks at what the journal tells of one link. A value that a side keeps in its own form (trimmed, another case) is no
//! fight, because the base is what that side shows, so it is not written again. Nor is a person who changes a field often on
//! one side: the other side is then given something else each time.

use crate::plan::Fought;
use crate::record::{Side, Sides, Value};
use crate::rules::Entry;
use crate::store::Wrote;

/// Two laps are a quarrel; the third is not run.
pub const LAPS: u32 = 2;

/// Directions that alternate so often within an hour are a quarrel whatever the values are: an automation may write a time.
pub const TURNS: u32 = 6;

/// What was written to the pair lately, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Lately<'a> {
    pub wrote: &'a [Wrote],
    /// An hour ago, as the journal tells time.
    pub hour_ago: &'a str,
    /// By entry: what is forgiven.
    pub forgiven: Option<&'a std::collections::BTreeMap<String, i64>>,
}

/// The quarrel that one more write of these values to `side` would be a lap of.
pub fn fought(entry: &Entry, side: Side, values: &[(String, Value)], now: &Sides<Value>, lately: Lately<'_>) -> Option<Fought> {
    let forgiven = lately.forgiven.and_then(|f| f.get(&entry.name)).copied().unwrap_or(0);
    let wrote = || lately.wrote.iter().filter(move |w| w.intent > forgiven);
    // The trailing writes of just these values: it was given them, and did not keep them.
    let mut times = 0;
    for one in wrote().rev().filter(|w| w.side == side) {
        let mine = one.moved.iter().filter(|m| names(entry, side).contains(&m.name));
        let mut touched = false;
        let mut same = true;
        for moved in mine {
            touched = true;
            same &= values.iter().any(|(name, value)| *name == moved.name && *value == moved.new);
        }
        if !touched {
            continue;
        }
        if !same {
            break;
        }
        times += 1;
    }
    let mut turns = 0;
    let mut last = None;
    for one in wrote().filter(|w| w.at.as_str() >= lately.hour_ago) {
        if one.moved.iter().any(|m| names(entry, one.side).contains(&m.name)) {
            turns += u32::from(last.is_some_and(|l| l != one.side));
            last = Some(one.side);
        }
    }
    turns += u32::from(last.is_some_and(|l| l != side));
    let wrote = match values {
        [(_, one)] => one.clone(),
        many => Value::List(many.iter().map(|(_, v)| v.clone()).collect()),
    };
    (times >= LAPS || turns >= TURNS).then(|| Fought {
        entry: entry.name.clone(),
        side,
        wrote,
        times: times.max(turns / 2),
        value: now.clone(),
    })
}

fn names(entry: &Entry, side: Side) -> &[String] {
    match side {
        Side::Salesforce => &entry.salesforce,
        Side::Platform => &entry.platform,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Moved;
    use crate::rules::{Conflict, Direction, Lens};

    fn entry() -> Entry {
        Entry {
            name: "Phone".into(),
            salesforce: vec!["Phone".into()],
            platform: vec!["phone".into()],
            lens: Lens::Copy,
            direction: Direction::Both,
            conflict: Conflict::Salesforce,
        }
    }

    fn wrote(intent: i64, side: Side, new: &str) -> Wrote {
        let name = if side == Side::Salesforce { "Phone" } else { "phone" };
        Wrote {
            intent,
            side,
            moved: vec![Moved { name: name.into(), old: Value::Null, new: Value::text(new) }],
            at: "2026-11-24T10:30:00Z".into(),
        }
    }

    fn judged(wrote: &[Wrote], side: Side, value: &str, forgiven: i64) -> Option<u32> {
        let name = if side == Side::Salesforce { "Phone" } else { "phone" };
        let forgiven = [("Phone".to_owned(), forgiven)].into();
        let lately = Lately { wrote, hour_ago: "2026-11-24T10:00:00Z", forgiven: Some(&forgiven) };
        let now = Sides::new(Value::Null, Value::Null);
        fought(&entry(), side, &[(name.to_owned(), Value::text(value))], &now, lately).map(|f| f.times)
    }

    #[test]
    fn the_third_lap_is_not_run() {
        let (s, p) = (Side::Salesforce, Side::Platform);
        let laps = [wrote(1, s, "A"), wrote(2, p, "X"), wrote(3, s, "A"), wrote(4, p, "X")];
        assert_eq!(judged(&laps[..2], s, "A", 0), None, "one lap may be anything");
        assert_eq!(judged(&laps, s, "A", 0), Some(2));
        assert_eq!(judged(&laps, s, "A", 2), None, "what was let go starts anew");
        assert_eq!(judged(&[wrote(1, p, "A"), wrote(2, p, "A")], p, "A", 0), Some(2), "one way, put back each time");
    }

    #[test]
    fn somebody_who_changes_his_mind_is_no_quarrel() {
        let p = Side::Platform;
        let toggled = [wrote(1, p, "no"), wrote(2, p, "yes"), wrote(3, p, "no"), wrote(4, p, "yes")];
        assert_eq!(judged(&toggled, p, "no", 0), None);
        let typed: Vec<Wrote> = (1..9).map(|i| wrote(i, p, &format!("v{i}"))).collect();
        assert_eq!(judged(&typed, p, "v9", 0), None);
    }

    #[test]
    fn ever_new_values_are_a_quarrel_by_their_turns() {
        let turns: Vec<Wrote> =
            (1..=6).map(|i| wrote(i, if i % 2 == 0 { Side::Platform } else { Side::Salesforce }, &format!("t{i}"))).collect();
        assert_eq!(judged(&turns, Side::Salesforce, "t7", 0), Some(3));
        assert_eq!(judged(&turns[..5], Side::Platform, "t6", 0), None);
    }
}
