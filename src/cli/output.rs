//! Printing for people and for programs. A reader that closed the pipe is no error.

use crate::config::ConfigError;
use crate::rules::render;
use serde::Serialize;
use std::{
    fmt::Display,
    io::{self, Write},
};

pub struct Out {
    to: Box<dyn Write>,
    /// `--json` was given.
    pub json: bool,
    closed: bool,
}

impl Out {
    #[must_use]
    pub fn stdout(json: bool) -> Self {
        Self { to: Box::new(io::BufWriter::new(io::stdout())), json, closed: false }
    }

    #[cfg(test)]
    pub(super) fn to(to: impl Write + 'static, json: bool) -> Self {
        Self { to: Box::new(to), json, closed: false }
    }

    /// One line.
    pub fn line(&mut self, text: impl Display) -> anyhow::Result<()> {
        self.text(format_args!("{text}\n"))
    }

    /// As it is.
    pub fn text(&mut self, text: impl Display) -> anyhow::Result<()> {
        if self.closed {
            return Ok(());
        }
        let written = write!(self.to, "{text}");
        self.forgive(written)
    }

    /// One JSON document on a line of its own.
    pub fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        self.line(serde_json::to_string(value)?)
    }

    /// Everything said so far is to be seen now.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        if self.closed {
            return Ok(());
        }
        let flushed = self.to.flush();
        self.forgive(flushed)
    }

    fn forgive(&mut self, result: io::Result<()>) -> anyhow::Result<()> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => Ok(other?),
        }
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

/// An error, once, to stderr; the problems of a rules file as a compiler would print them.
pub fn complain(error: &anyhow::Error) {
    let mut to = io::stderr().lock();
    if let Some(ConfigError::Problems { path, source_text, problems }) = error.chain().find_map(|e| e.downcast_ref()) {
        let _ = write!(to, "{}", render(problems, source_text, path));
    }
    let _ = writeln!(to, "lockstep: {error:#}");
}

/// `1 conflict`, `2 conflicts`.
pub fn some(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// Columns aligned by their widest cell; the last one is left ragged.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|c| c.chars().count()).chain([head[i].len()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut out = String::new();
    let mut put = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, width) in cells.zip(&widths) {
            // A cell is one line, whatever it holds.
            let cell = cell.replace(['\n', '\r'], " ");
            line.push_str(&format!("{cell:<width$}  "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    };
    put(&mut head.iter().copied());
    for row in rows {
        put(&mut row.iter().map(String::as_str));
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = vec![vec!["1".to_owned(), "Zoë\nX".to_owned(), "a".to_owned()], vec!["10".to_owned(), "b".to_owned(), String::new()]];
        assert_eq!(table(&["id", "name", "x"], &rows), "id  name   x\n1   Zoë X  a\n10  b\n");
    }

    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let mut out = Out::to(Closed, false);
        out.line("a").unwrap();
        out.line("b").unwrap();
        assert!(out.closed);
    }
}
