//! Whether a condition holds for a row, with the platform's idea of null, case and `LIKE`.

use std::cmp::Ordering;

use super::parse::Op;
use super::plan::{Operand, Pred, ValueSet};
use crate::sandbox::salesforce::ids::Id;
use crate::sandbox::salesforce::table::Row;
use crate::sandbox::salesforce::value::{Val, fold};
use crate::sandbox::salesforce::world::World;

impl World {
    pub(super) fn holds(&self, pred: &Pred, object: usize, row: &Row) -> bool {
        match pred {
            Pred::All(all) => all.iter().all(|one| self.holds(one, object, row)),
            Pred::Any(any) => any.iter().any(|one| self.holds(one, object, row)),
            Pred::Not(inner) => !self.holds(inner, object, row),
            Pred::Compare { route, op, with } => compares(&self.at_route(object, row, route), *op, with),
            Pred::OneOf { route, negated, set } => contains(set, &self.at_route(object, row, route)) != *negated,
            Pred::Like { route, pattern } => match self.at_route(object, row, route) {
                Val::Null => false,
                value => like(pattern, &fold(&value.text()).chars().collect::<Vec<_>>()),
            },
            Pred::Includes { route, without, wanted } => {
                let value = self.at_route(object, row, route).text();
                let held: Vec<String> = value.split(';').map(|one| fold(one).into_owned()).collect();
                wanted.iter().any(|group| group.iter().all(|one| held.contains(one))) != *without
            }
        }
    }
}

fn compares(value: &Val<'_>, op: Op, with: &Operand) -> bool {
    if *with == Operand::Null {
        return match op {
            Op::Eq => value.is_null(),
            Op::Ne => !value.is_null(),
            Op::Lt | Op::Le | Op::Gt | Op::Ge | Op::Like => false,
        };
    }
    if value.is_null() {
        return op == Op::Ne;
    }
    let by = |order: Ordering| match op {
        Op::Eq => order == Ordering::Equal,
        Op::Ne => order != Ordering::Equal,
        Op::Lt => order == Ordering::Less,
        Op::Le => order != Ordering::Greater,
        Op::Gt => order == Ordering::Greater,
        Op::Ge => order != Ordering::Less,
        Op::Like => false,
    };
    match (value, with) {
        (Val::Text(text), Operand::Text(wanted, true)) => by(text.as_ref().cmp(wanted.as_str())),
        (Val::Text(text), Operand::Text(wanted, false)) => by(fold(text).as_ref().cmp(wanted.as_str())),
        (Val::Ref(id), Operand::Id(wanted)) => by(id.cmp(wanted)),
        (Val::Bool(bool), Operand::Bool(wanted)) => by(bool.cmp(wanted)),
        (Val::Date(date), Operand::Date(from, to)) => by(in_range(date, from, to)),
        (Val::Time(time), Operand::Time(from, to)) => by(in_range(time, from, to)),
        (value, Operand::Num(wanted)) => value.number().is_some_and(|number| by(number.total_cmp(wanted))),
        (Val::Ref(id), Operand::Text(wanted, _)) => Id::parse(wanted).is_some_and(|wanted| by(id.cmp(&wanted))),
        _ => op == Op::Ne,
    }
}

fn in_range<T: Ord>(value: &T, from: &T, to: &T) -> Ordering {
    if value < from {
        Ordering::Less
    } else if value >= to {
        Ordering::Greater
    } else {
        Ordering::Equal
    }
}

fn contains(set: &ValueSet, value: &Val<'_>) -> bool {
    match value {
        Val::Null => set.null,
        Val::Text(text) if set.case_sensitive => set.texts.contains(text.as_ref()),
        Val::Text(text) => set.texts.contains(fold(text).as_ref()),
        Val::Ref(id) => set.ids.contains(id),
        other => set.others.iter().any(|wanted| compares(other, Op::Eq, wanted)),
    }
}

/// `%` any run, `_` one character, backslash before either takes it as it is. Both sides folded.
fn like(pattern: &[char], text: &[char]) -> bool {
    // Where to come back to: behind the last `%`, and one character further in the text each time.
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        let (wild, wanted, width) = match pattern.get(p) {
            Some('\\') => (false, pattern.get(p + 1), 2),
            Some('%') => {
                back = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some('_') => (true, None, 1),
            other => (false, other, 1),
        };
        if wild || wanted == Some(&text[t]) {
            p += width;
            t += 1;
        } else if let Some((from, at)) = back {
            p = from;
            t = at + 1;
            back = Some((from, t));
        } else {
            return false;
        }
    }
    pattern[p.min(pattern.len())..].iter().all(|ch| *ch == '%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_is_not_exponential() {
        let pattern: Vec<char> = "%a".repeat(40).chars().collect();
        let text: Vec<char> = "b".repeat(4000).chars().collect();
        assert!(!like(&pattern, &text));
    }
}
