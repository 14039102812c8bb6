//! `lockstep retry`: quarantined records are tried again at once, and frozen fields let go.

use super::{Exit, Out, Place, live};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only of this object, such as `contact`
    pub object: Option<String>,
    /// Only this record
    pub id: Option<String>,
}

pub fn run(args: &Args, place: &Place, out: &mut Out) -> anyhow::Result<Exit> {
    let words: Vec<&str> = [&args.object, &args.id].into_iter().filter_map(Option::as_deref).collect();
    let argument = words.join(" ");
    let what = if argument.is_empty() {
        "retry of everything in quarantine and all that is frozen".to_owned()
    } else {
        format!("retry of {argument}")
    };
    live::ask(place, out, "retry", &argument, &what, false)
}
