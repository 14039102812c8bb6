//! Putting the losing value of a conflict back, on both sides, as an ordinary promised write.

use super::{
    decide::moved,
    diff::{Sight, wanted_on},
};
use crate::connectors::Schema;
use crate::plan::{Intent, Situation, Verb};
use crate::record::{Fields, Side, Sides, Value};
use crate::rules::{Mapping, Translate};
use crate::store::{ConflictRow, PairRead};

/// The writes that make both sides hold `value` of side `loser`, or why that cannot be done.
pub fn restore(
    conflict: &ConflictRow,
    loser: Side,
    pair: &PairRead,
    mapping: &Mapping,
    schema: Sides<&Schema>,
    links: &dyn Translate,
) -> Result<Vec<Intent>, String> {
    let link = pair.link.as_ref().ok_or("the two records are no longer linked")?;
    let entry =
        mapping.entries.iter().find(|e| e.name == conflict.entry).ok_or_else(|| format!("the rules no longer map {}", conflict.entry))?;
    let empty = Fields::new();
    let held = |side: Side| pair.staged[side].as_ref().map(|r| &r.fields).or(pair.base[side].as_ref()).unwrap_or(&empty);
    let mut source = held(loser).clone();
    let names = |side: Side| match side {
        Side::Salesforce => &entry.salesforce,
        Side::Platform => &entry.platform,
    };
    let lost = match (&conflict.value[loser], names(loser).len()) {
        (Value::List(many), n) if n > 1 && many.len() == n => many.clone(),
        (one, _) => vec![one.clone()],
    };
    source.extend(names(loser).iter().cloned().zip(lost.iter().cloned()));
    let mut now = Sides::new(held(Side::Salesforce), held(Side::Platform));
    now[loser] = &source;
    let sight = Sight { now, base: Sides::new(&empty, &empty), schema, stamp: Sides::new(None, None), links };
    let take = |side: Side| names(side).iter().map(|n| sight.now[side].get(n).cloned().unwrap_or(Value::Null)).collect::<Vec<_>>();
    let both = Sides::new(take(Side::Salesforce), take(Side::Platform));
    let other = wanted_on(entry, &sight, &both, loser.other()).map_err(|look| format!("the value does not fit any more: {look:?}"))?;
    let own = names(loser).iter().cloned().zip(lost).collect::<Vec<_>>();
    let mut intents = Vec::new();
    for (side, values) in [(loser, own), (loser.other(), other)] {
        let fields: Fields = values.into_iter().filter(|(n, v)| held(side).get(n) != Some(v)).collect();
        if fields.is_empty() {
            continue;
        }
        intents.push(Intent {
            id: 0,
            object: mapping.object.clone(),
            side,
            verb: Verb::Update,
            situation: Situation::Clash,
            link: Some(link.id),
            salesforce_id: Some(link.salesforce_id.clone()),
            platform_id: Some(link.platform_id.clone()),
            moved: moved(schema[side], held(side), &fields),
            fields,
            advance: Sides::default(),
            key: None,
            conflicts: Vec::new(),
        });
    }
    Ok(intents)
}
