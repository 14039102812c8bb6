//! `lockstep schema`: the JSON schema of the rules file, for editors.

use super::{Exit, Out};

pub fn run(out: &mut Out) -> anyhow::Result<Exit> {
    out.line(serde_json::to_string_pretty(&crate::rules::schema())?)?;
    Ok(Exit::InStep)
}
