//! Logs go to stderr: provisional until the rules are read, then for good.

use super::LogFormat;
use std::{fmt, io::IsTerminal};
use tracing::{Event, Level, Subscriber, level_filters::LevelFilter, subscriber::DefaultGuard};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

pub const FOR_COMMANDS: &str = "warn";
pub const FOR_THE_DAEMON: &str = "info";

/// While it lives, warnings of this thread are seen although nothing is set up yet.
pub struct Provisional(#[allow(dead_code)] DefaultGuard);

pub fn provisional() -> Provisional {
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .with_ansi(false)
        .without_time()
        .with_max_level(LevelFilter::WARN)
        .finish();
    Provisional(tracing::subscriber::set_default(subscriber))
}

/// The log for the rest of the process. `filter` comes before `$RUST_LOG`, and that before `default`.
pub fn start(filter: Option<&str>, default: &str, format: LogFormat) {
    let given = filter.map(str::to_owned).or_else(|| std::env::var("RUST_LOG").ok()).filter(|f| !f.trim().is_empty());
    // The scheduler tells of its own beginnings at info; what is asked for by name still comes.
    let quiet = |words: &str| format!("tokio_cron_scheduler=warn,{words}");
    let (filter, bad) = match given.as_deref().map(|given| EnvFilter::try_new(quiet(given))) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(quiet(default)), Some(error)),
        None => (EnvFilter::new(quiet(default)), None),
    };
    let terminal = std::io::stderr().is_terminal();
    let journal = std::env::var_os("JOURNAL_STREAM").is_some() && !terminal;
    let json = match format {
        LogFormat::Json => true,
        LogFormat::Human => false,
        LogFormat::Auto => !terminal && !journal && default == FOR_THE_DAEMON,
    };
    let ansi = terminal && std::env::var_os("NO_COLOR").is_none();
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false).with_ansi(ansi);
    match (json, journal) {
        (true, false) => install(base.json().flatten_event(true).with_current_span(false).with_span_list(false).finish()),
        (true, true) => {
            let base = base.json().flatten_event(true).with_current_span(false).with_span_list(false);
            install(base.map_event_format(Levelled).finish());
        }
        // The journal keeps the time itself.
        (false, true) => install(base.with_target(false).without_time().map_event_format(Levelled).finish()),
        (false, false) => install(base.with_target(false).finish()),
    }
    if let Some(error) = bad {
        tracing::warn!("the log filter is not understood, {default:?} is used: {error}");
    }
}

/// A second call, as in tests, changes nothing.
fn install(subscriber: impl Subscriber + Send + Sync + 'static) {
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Puts syslog's priority before each line, as journald reads it.
struct Levelled<F>(F);

impl<S, N, F> FormatEvent<S, N> for Levelled<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_those_of_syslog() {
        assert_eq!([Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE].map(priority), [3, 4, 6, 7, 7]);
    }
}
