//! The three-way comparison of one entry: what each side showed last against what it shows now.
//!
//! Pure. A field that is absent on either side is not readable: it never moves and is never written.

use crate::connectors::Schema;
use crate::plan::Decided;
use crate::record::{FieldType, Fields, Side, Sides, Value, coerce};
use crate::rules::{Conflict, Drift, Entry, Lens, LensError, Mapping, Translate};
use crate::seeded::seeded;

/// One pair as the comparison sees it.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    pub now: Sides<&'a Fields>,
    pub base: Sides<&'a Fields>,
    pub schema: Sides<&'a Schema>,
    pub stamp: Sides<Option<&'a str>>,
    pub links: &'a dyn Translate,
}

/// What one entry asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Look {
    Still,
    /// Both bases take what is shown; nothing is written.
    Advance {
        agreed: bool,
    },
    /// The other side's news is written to `side`.
    Write {
        side: Side,
        values: Vec<(String, Value)>,
    },
    Clash {
        decided: Box<Decided>,
        write: Option<(Side, Vec<(String, Value)>)>,
    },
    /// The referenced record has no link yet.
    Waits {
        object: String,
        id: String,
    },
    /// The value cannot be brought over: the record's problem.
    Unfit {
        code: &'static str,
        message: String,
    },
}

/// Compares one entry.
pub fn look(entry: &Entry, mapping: &Mapping, sight: &Sight<'_>) -> Look {
    let constant = matches!(entry.lens, Lens::Constant(_));
    let Some(now) = both(entry, sight.now) else { return Look::Still };
    let now = if seeded!(ZeroIsNull) {
        now.map(|v| v.into_iter().map(|v| if v == Value::Int(0) { Value::Null } else { v }).collect())
    } else {
        now
    };
    let base = both(entry, sight.base);
    let Some(base) = base else { return first_match(entry, mapping, sight, &now) };
    let mut moved = Sides::new(!constant && now.salesforce != base.salesforce, now.platform != base.platform);
    if moved.platform && says_nothing(entry, sight, &now) {
        moved.platform = false;
        if !moved.salesforce {
            // What was taken away is put back.
            let back = entry.direction.to_platform();
            return if back { write(entry, sight, &now, Side::Platform) } else { Look::Advance { agreed: false } };
        }
    }
    match (moved.salesforce, moved.platform) {
        (false, false) => Look::Still,
        (true, false) if entry.direction.to_platform() => write(entry, sight, &now, Side::Platform),
        (false, true) if entry.direction.to_salesforce() || seeded!(AnyDirection) => write(entry, sight, &now, Side::Salesforce),
        // The side that moved does not rule this entry.
        (true, false) => drifted(entry, mapping, sight, &now, Side::Platform),
        (false, true) => drifted(entry, mapping, sight, &now, Side::Salesforce),
        (true, true) => match (entry.direction.to_platform(), entry.direction.to_salesforce()) {
            (true, true) if seeded!(NoClash) => write(entry, sight, &now, Side::Platform),
            (true, true) => clash(entry, mapping, sight, &base, &now),
            (true, false) => write(entry, sight, &now, Side::Platform),
            (false, true) => write(entry, sight, &now, Side::Salesforce),
            (false, false) => Look::Advance { agreed: false },
        },
    }
}

/// What it takes for the platform to show what Salesforce shows, whoever moved.
pub fn whole(entry: &Entry, sight: &Sight<'_>) -> Look {
    both(entry, sight.now).map_or(Look::Still, |now| write(entry, sight, &now, Side::Platform))
}

/// On a side whose field can be there and blank, a field that is not there says nothing of the value: nothing travels from it.
fn says_nothing(entry: &Entry, sight: &Sight<'_>, now: &Sides<Vec<Value>>) -> bool {
    let tells = |name: &String| {
        let ty = sight.schema.platform.fields.get(name).map(|f| &f.ty);
        matches!(ty, Some(FieldType::Text { blank_is_null: false, .. }))
    };
    !entry.platform.is_empty() && entry.platform.iter().all(tells) && now.platform.iter().all(|v| *v == Value::Null)
}

/// The values of the entry's fields on both sides; `None` if any of them is absent.
fn both(entry: &Entry, fields: Sides<&Fields>) -> Option<Sides<Vec<Value>>> {
    let shown = |n: &String, fields: &Fields| fields.get(n).cloned().or_else(|| seeded!(MissingIsNull).then_some(Value::Null));
    let take = |names: &[String], fields: &Fields| names.iter().map(|n| shown(n, fields)).collect::<Option<Vec<_>>>();
    Some(Sides::new(take(&entry.salesforce, fields.salesforce)?, take(&entry.platform, fields.platform)?))
}

/// Nothing was ever agreed on this entry: a new link, or an entry that is new in the rules. Salesforce wins where it is
/// not blank; filling Salesforce's blanks is a switch of its own.
fn first_match(entry: &Entry, mapping: &Mapping, sight: &Sight<'_>, now: &Sides<Vec<Value>>) -> Look {
    let blank = |values: &[Value]| values.iter().all(Value::is_blank);
    match (entry.direction.to_platform(), entry.direction.to_salesforce()) {
        (false, true) => return write(entry, sight, now, Side::Salesforce),
        (false, false) => return Look::Advance { agreed: false },
        (true, _) => {}
    }
    if !seeded!(BlanksWin) && !entry.salesforce.is_empty() && blank(&now.salesforce) && !blank(&now.platform) {
        // One side was seen since the two are linked, and tells whose news it is: the platform moved, or Salesforce, which was
        // blank all the time, did not. That is an edit, made while the other field could not be read, and not an old blank.
        let known = |names: &[String], base: &Fields| names.iter().map(|n| base.get(n).cloned()).collect::<Option<Vec<_>>>();
        let edited = !seeded!(EditIsAnOldBlank)
            && (known(&entry.platform, sight.base.platform).is_some_and(|base| base != now.platform)
                || known(&entry.salesforce, sight.base.salesforce).is_some_and(|base| base == now.salesforce));
        // A record that we made from the platform's has no old blanks of its own either.
        let planted = sight.schema.salesforce.planted.as_ref().and_then(|name| sight.now.salesforce.get(name));
        let made = !seeded!(MadeBlanksStay) && planted.is_some_and(|value| !value.is_blank());
        let fill = (mapping.fill_salesforce_blanks || edited || made) && entry.direction.to_salesforce() && entry.lens.two_way();
        return if fill { write(entry, sight, now, Side::Salesforce) } else { Look::Advance { agreed: false } };
    }
    write(entry, sight, now, Side::Platform)
}

fn drifted(entry: &Entry, mapping: &Mapping, sight: &Sight<'_>, now: &Sides<Vec<Value>>, victim: Side) -> Look {
    match mapping.drift {
        Drift::Ignore | Drift::Report => Look::Advance { agreed: false },
        // The side that may not write is put back to what the ruling side shows.
        Drift::Revert => write(entry, sight, now, victim.other()),
    }
}

/// The write that brings the other side's value to `side`, or an advance where it already holds it.
fn write(entry: &Entry, sight: &Sight<'_>, now: &Sides<Vec<Value>>, side: Side) -> Look {
    let wanted = match wanted_on(entry, sight, now, side) {
        Ok(wanted) => wanted,
        Err(look) => return look,
    };
    let values: Vec<(String, Value)> =
        wanted.into_iter().zip(&now[side]).filter(|((_, wanted), held)| wanted != *held).map(|(pair, _)| pair).collect();
    if values.is_empty() {
        return Look::Advance { agreed: true };
    }
    if !seeded!(MissingIsNull) && values.iter().any(|(name, _)| !sight.schema[side].fields.contains_key(name)) {
        // Not readable now: frozen, and the news stays until it is.
        return Look::Still;
    }
    let writable = |name: &String| seeded!(MissingIsNull) || sight.schema[side].fields.get(name).is_some_and(|f| f.updateable);
    if values.iter().all(|(name, _)| writable(name)) { Look::Write { side, values } } else { Look::Advance { agreed: false } }
}

/// The values `side` should hold, in its own terms.
pub fn wanted_on(entry: &Entry, sight: &Sight<'_>, now: &Sides<Vec<Value>>, side: Side) -> Result<Vec<(String, Value)>, Look> {
    let (names, made) = match side {
        Side::Platform => (&entry.platform, entry.lens.to_platform(&now.salesforce, sight.now.salesforce, sight.links)),
        Side::Salesforce => (&entry.salesforce, entry.lens.to_salesforce(&now.platform, &now.salesforce, sight.links)),
    };
    let made = made.map_err(|error| match error {
        LensError::Unlinked { object, id } => Look::Waits { object, id },
        error @ (LensError::NoCounterpart { .. } | LensError::Unfit(_) | LensError::OneWay) => {
            Look::Unfit { code: "value-does-not-fit", message: format!("{}: {error}", entry.name) }
        }
    })?;
    names.iter().cloned().zip(made).map(|(name, value)| fit(entry, sight.schema[side], side, name, &value)).collect()
}

/// The value in the terms of the field that is to hold it; too long is an error of the record, never cut.
fn fit(entry: &Entry, schema: &Schema, side: Side, name: String, value: &Value) -> Result<(String, Value), Look> {
    let Some(info) = schema.fields.get(&name) else { return Ok((name, value.clone())) };
    let unfit = |code, message: String| Look::Unfit { code, message };
    let value =
        coerce(value, &info.ty).map_err(|e| unfit("value-does-not-fit", format!("{}: {e} as {side} field {name} wants", entry.name)))?;
    if let (Some(max), Some(text)) = (info.ty.max_chars(), value.as_text()) {
        let length = text.chars().count();
        if length > max as usize {
            return Err(unfit(
                "too-long",
                format!("{}: {length} characters, but {side} field {name} holds {max}; shorten it or map it to a longer field", entry.name),
            ));
        }
    }
    Ok((name, value))
}

fn clash(entry: &Entry, mapping: &Mapping, sight: &Sight<'_>, base: &Sides<Vec<Value>>, now: &Sides<Vec<Value>>) -> Look {
    let on_platform = match wanted_on(entry, sight, now, Side::Platform) {
        Ok(wanted) => wanted,
        Err(look) => return look,
    };
    if on_platform.iter().map(|(_, v)| v).eq(now.platform.iter()) {
        return Look::Advance { agreed: true };
    }
    let (winner, rule) = winner(entry, mapping, sight, now);
    let decided = Box::new(Decided {
        entry: entry.name.clone(),
        base: base.as_ref().map(|v| pack(v)),
        value: now.as_ref().map(|v| pack(v)),
        winner,
        rule: rule.to_owned(),
    });
    let write = match winner {
        None => None,
        Some(Side::Salesforce) => Some((Side::Platform, on_platform)),
        Some(Side::Platform) => match wanted_on(entry, sight, now, Side::Salesforce) {
            Ok(wanted) => Some((Side::Salesforce, wanted)),
            Err(look) => return look,
        },
    };
    Look::Clash { decided, write }
}

fn winner(entry: &Entry, mapping: &Mapping, sight: &Sight<'_>, now: &Sides<Vec<Value>>) -> (Option<Side>, &'static str) {
    if mapping.merge == crate::rules::Merge::Record {
        return (Some(Side::Salesforce), "salesforce (whole record)");
    }
    let rule = entry.conflict.as_str();
    match entry.conflict {
        Conflict::Salesforce if seeded!(PlatformWins) => (Some(Side::Platform), rule),
        Conflict::Salesforce => (Some(Side::Salesforce), rule),
        Conflict::Platform => (Some(Side::Platform), rule),
        Conflict::Manual => (None, rule),
        Conflict::SalesforceUnlessBlank => {
            let blank = now.salesforce.iter().all(Value::is_blank);
            (Some(if blank { Side::Platform } else { Side::Salesforce }), rule)
        }
        Conflict::Newest => match (sight.stamp.salesforce, sight.stamp.platform) {
            (Some(s), Some(p)) if p > s => (Some(Side::Platform), rule),
            _ => (Some(Side::Salesforce), rule),
        },
    }
}

/// Several values as one, for a conflict row.
pub fn pack(values: &[Value]) -> Value {
    match values {
        [one] => one.clone(),
        many => Value::List(many.to_vec()),
    }
}
