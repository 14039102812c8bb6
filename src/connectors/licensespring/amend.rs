//! Amending an order: its own fields, licenses added to it, and states its licenses are to be in.
//!
//! Everything is judged before anything is sent. Each part names a target, so the whole may be carried out again: what is
//! so already is not sent. Once something was sent, only a final refusal is anything but done or unknown.

use super::LicenseSpring;
use super::append::{Target, Wanted, license_resource, unit_of, wanted_of};
use super::body::{Body, Call};
use super::catalogue::LICENSE;
use super::change::{id_of, still_unknown};
use super::list::{Row, row_id};
use super::order_body::WantedOrder;
use super::outcome::{Steps, half_done, rejected, unsent, unsent_fault, wait_s};
use super::refusal::Refusal;
use super::wire::Trouble;
use crate::connectors::{Fault, ResourceSpec};
use crate::plan::{Outcome, Write};
use crate::record::{Fields, Value};
use serde_json::Value as J;

const ALL: &str = "*";

/// Whether a write reaches the licenses of an order.
pub fn amends(write: &Write) -> bool {
    write.fields.contains_key("append") || write.fields.contains_key("change")
}

/// What an amendment asks for, checked as far as it can be without a call.
struct Amendment {
    id: i64,
    plain: Fields,
    append: Vec<Fields>,
    /// The licenses to be added.
    coming: Vec<Wanted>,
    change: Vec<State>,
}

/// A state that a license, or all of them, is to be in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    unit: String,
    at_least: Option<i64>,
    at_most: Option<i64>,
    enabled: Option<bool>,
}

impl Amendment {
    fn of(write: &Write, resource: &ResourceSpec) -> Result<Self, Refusal> {
        let rows = |name: &str| match write.fields.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Rows(rows)) => Ok(rows.clone()),
            Some(_) => Err(Refusal::new("does-not-fit", format!("{name}: rows are expected"), &[name])),
        };
        let mut plain = write.fields.clone();
        plain.retain(|name, _| !matches!(name.as_str(), "append" | "change"));
        Body::of(resource, &plain, Call::Update)?;
        let append = rows("append")?;
        WantedOrder::appended("", &append)?;
        let coming = wanted_of(&append)?;
        let change = rows("change")?.iter().map(State::of).collect::<Result<_, _>>()?;
        Ok(Self { id: id_of(write)?, plain, append, coming, change })
    }
}

impl State {
    fn of(row: &Fields) -> Result<Self, Refusal> {
        let bad = |text: String| Refusal::new("does-not-fit", format!("change: {text}"), &["change"]);
        let mut state = Self { unit: String::new(), at_least: None, at_most: None, enabled: None };
        for (name, value) in row {
            match (name.as_str(), value) {
                ("unit", Value::Text(unit)) => state.unit.clone_from(unit),
                ("at-least", Value::Int(n)) if *n >= 0 => state.at_least = Some(*n),
                ("at-most", Value::Int(n)) if *n >= 0 => state.at_most = Some(*n),
                ("enabled", Value::Bool(enabled)) => state.enabled = Some(*enabled),
                (_, Value::Null) => {}
                _ => return Err(bad(format!("{name} cannot be {value}"))),
            }
        }
        if state.unit.is_empty() {
            return Err(bad("a row names no unit".to_owned()));
        }
        if state.at_least.zip(state.at_most).is_some_and(|(least, most)| least > most) {
            return Err(bad(format!("at-least and at-most of {} exclude each other", state.unit)));
        }
        Ok(state)
    }

    fn is_for(&self, license: &Row) -> bool {
        self.unit == ALL || unit_of(license).is_some_and(|unit| unit == self.unit)
    }
}

/// What has to be changed on a license so that all these states hold. Later states win.
fn changes(license: &Row, states: &[&State]) -> Fields {
    let held = license.get("max_activations").and_then(J::as_i64);
    // Without a limit there is none to raise or lower; that was somebody's decision.
    let unlimited = license.get("allow_unlimited_activations").and_then(J::as_bool).unwrap_or(false);
    let enabled = license.get("enabled").and_then(J::as_bool);
    let (mut most, mut on) = (held, None);
    for state in states {
        most = match (state.at_least, most) {
            (Some(least), held) => Some(held.map_or(least, |n| n.max(least))),
            (None, held) => held,
        };
        most = match (state.at_most, most) {
            (Some(limit), held) => Some(held.map_or(limit, |n| n.min(limit))),
            (None, held) => held,
        };
        on = state.enabled.or(on);
    }
    let mut fields = Fields::new();
    if let Some(most) = most.filter(|most| Some(*most) != held && !unlimited) {
        fields.insert("max_activations".to_owned(), Value::Int(most));
    }
    if let Some(on) = on.filter(|on| Some(*on) != enabled) {
        fields.insert("enabled".to_owned(), Value::Bool(on));
    }
    fields
}

impl LicenseSpring {
    pub(super) async fn amend(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        self.amended(write, resource, false).await
    }

    /// Looks what is there and finishes what is left: added licenses are sent again with the same keys only.
    pub(super) async fn resolve_amend(&self, write: &Write, resource: &'static ResourceSpec) -> Outcome {
        self.amended(write, resource, true).await
    }

    async fn amended(&self, write: &Write, resource: &'static ResourceSpec, later: bool) -> Outcome {
        let mut steps = Steps::default();
        // A first look that fails leaves a fresh write undone and an old one unknown.
        let unread = |trouble: Trouble| if later { still_unknown(trouble) } else { unsent(trouble) };
        let unlisted = |fault: Fault| if later { still_unknown(Trouble::Fault(fault)) } else { unsent_fault(fault) };
        let mut begun = later;
        let settled = async {
            let asked = Amendment::of(write, resource).map_err(rejected)?;
            let row = self.row(resource, asked.id).await.map_err(unread)?;
            let store_id = row.get("store_id").and_then(J::as_str).filter(|id| !id.trim().is_empty()).map(str::to_owned);
            let Some(store_id) = store_id else {
                let text = format!("order {} shows no store_id, so its licenses cannot be looked up", asked.id);
                return Err(rejected(Refusal::new("no-store-id", text, &["store_id"])));
            };
            let order = Target { id: asked.id, store_id: &store_id, row: &row };
            let listed = self.licenses_of(&order).await.map_err(unlisted)?;
            known(asked.id, &asked.change, &listed, &asked.coming).map_err(rejected)?;

            begun = true;
            if !asked.plain.is_empty() && !self.shows(resource, &row, &asked.plain).await.unwrap_or(false) {
                self.change(resource, asked.id, row.clone(), &asked.plain).await?;
                steps.say("patch", asked.plain.keys().cloned().collect::<Vec<_>>().join(", "));
            }
            let mut listed = listed;
            if !asked.append.is_empty() {
                self.append(&order, &listed, &asked.append, later, &mut steps).await?;
                if !asked.change.is_empty() {
                    listed = self.licenses_soon(&order, &asked.coming).await?;
                    known(asked.id, &asked.change, &listed, &[]).map_err(rejected)?;
                }
            }
            for license in &listed {
                self.bring(&asked.change, license, &mut steps).await?;
            }
            self.row(resource, asked.id).await.map_err(|t| half_done(&format!("order {} was amended", asked.id), t))
        };
        let settled = settled.await;
        match settled {
            Ok(row) => self.done(write, resource, row, steps).await,
            // Something may be done: what is left is looked for, not planned anew.
            Err(Outcome::Failed { code, message }) if begun => Outcome::Unknown { message: format!("{message} ({code})") },
            Err(outcome) => outcome,
        }
    }

    /// The licenses once all that were added are shown.
    async fn licenses_soon(&self, order: &Target<'_>, coming: &[Wanted]) -> Result<Vec<Row>, Outcome> {
        let mut missing = "they do not show yet".to_owned();
        for wait in self.looks_s {
            wait_s(*wait).await;
            match self.licenses_of(order).await {
                Ok(listed) if coming.iter().all(|wanted| listed.iter().any(|license| wanted.is(license))) => return Ok(listed),
                Ok(_) => {}
                Err(fault) => missing = fault.to_string(),
            }
        }
        Err(Outcome::Unknown { message: format!("licenses were added to order {}, then: {missing}", order.id) })
    }

    /// Brings one license to its states, alone on it and knowing what it holds now.
    async fn bring(&self, states: &[State], license: &Row, steps: &mut Steps) -> Result<(), Outcome> {
        let states: Vec<&State> = states.iter().filter(|state| state.is_for(license)).collect();
        let (Some(id), false) = (row_id(license), states.is_empty()) else { return Ok(()) };
        let resource = license_resource().map_err(unsent_fault)?;
        let lock = self.locks.of_record(LICENSE, id);
        let _turn = lock.lock().await;
        let gone = || rejected(Refusal::new("license_not_found", format!("license {id} is not there any more"), &["change"]));
        let row = match self.row(resource, id).await {
            Ok(row) => row,
            Err(Trouble::Missing) => return Err(gone()),
            Err(trouble) => return Err(unsent(trouble)),
        };
        let wanted = changes(&row, &states);
        let name = format!("change {}", unit_of(&row).unwrap_or_else(|| id.to_string()));
        if wanted.is_empty() {
            steps.say(&name, "is so already");
            return Ok(());
        }
        match self.change(resource, id, row, &wanted).await {
            Ok(_) => {
                let each = wanted.iter().map(|(field, value)| format!("{field} {value}"));
                steps.say(&name, each.collect::<Vec<_>>().join(", "));
                Ok(())
            }
            Err(Outcome::Missing) => Err(gone()),
            Err(Outcome::Rejected { code, message, fields }) => {
                Err(Outcome::Rejected { code, message: format!("license {id}: {message}"), fields })
            }
            Err(outcome) => Err(outcome),
        }
    }
}

/// Refuses a change of a unit that neither is there nor comes with this write.
fn known(order: i64, change: &[State], listed: &[Row], coming: &[Wanted]) -> Result<(), Refusal> {
    let comes = |state: &State| coming.iter().any(|wanted| wanted.unit.as_deref() == Some(&state.unit));
    let known = |state: &&State| state.unit == ALL || listed.iter().any(|license| state.is_for(license)) || comes(state);
    match change.iter().find(|state| !known(state)) {
        Some(State { unit, .. }) => {
            let text = format!("order {order} has no license for unit {unit}");
            Err(Refusal::new("license_not_found", text, &["change"]))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn state(pairs: &[(&str, Value)]) -> Result<State, Refusal> {
        State::of(&pairs.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect())
    }

    fn shown(license: J, states: &[State]) -> Vec<(String, String)> {
        let states: Vec<&State> = states.iter().collect();
        changes(license.as_object().unwrap(), &states).into_iter().map(|(n, v)| (n, v.to_string())).collect()
    }

    #[test]
    fn states_are_targets_and_hold_without_a_change() {
        let unit = || ("unit", Value::text("*"));
        let least = state(&[unit(), ("at-least", Value::Int(5))]).unwrap();
        let most = state(&[unit(), ("at-most", Value::Int(7))]).unwrap();
        let off = state(&[unit(), ("enabled", Value::Bool(false))]).unwrap();
        let license = |n: i64| json!({"max_activations": n, "enabled": true});
        let both = [least.clone(), most];
        for (n, want) in [(3, Some("5")), (5, None), (6, None), (7, None), (9, Some("7"))] {
            let want: Vec<_> = want.map(|w| ("max_activations".to_owned(), w.to_owned())).into_iter().collect();
            assert_eq!(shown(license(n), &both), want, "{n}");
        }
        assert_eq!(shown(license(9), std::slice::from_ref(&off)), [("enabled".to_owned(), "false".to_owned())]);
        assert!(shown(json!({"enabled": false}), &[off]).is_empty());
        assert!(shown(json!({"max_activations": 1, "allow_unlimited_activations": true}), &[least]).is_empty());
    }

    #[test]
    fn rows_that_say_nothing_clear_are_refused() {
        for pairs in [
            vec![("enabled", Value::Bool(true))],
            vec![("unit", Value::text("a")), ("at-least", Value::text("5"))],
            vec![("unit", Value::text("a")), ("at-most", Value::Int(-1))],
            vec![("unit", Value::text("a")), ("colour", Value::text("red"))],
            vec![("unit", Value::text("a")), ("at-least", Value::Int(5)), ("at-most", Value::Int(4))],
        ] {
            assert_eq!(state(&pairs).unwrap_err().code, "does-not-fit", "{pairs:?}");
        }
    }
}
