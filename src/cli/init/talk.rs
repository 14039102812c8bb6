//! The questions and what is said beside them: to stderr, answered on stdin, one line each.
//!
//! A secret is not shown while it is typed on a terminal. Switching that off is left to `stty`; where that cannot be had, the
//! question says that the secret will be seen and which variable to set instead.

use anyhow::{Context, bail};
use std::{
    io::{self, BufRead, IsTerminal, Write},
    process::{Command, Stdio},
};

/// Somebody who answers, or nobody: then every proposal is taken.
pub(super) struct Talk {
    answers: Option<Box<dyn BufRead>>,
    to: Box<dyn Write>,
    is_terminal: bool,
}

impl Talk {
    /// Every proposal is taken.
    pub(super) fn alone() -> Self {
        Self { answers: None, to: Box::new(io::stderr()), is_terminal: false }
    }

    pub(super) fn with_stdin() -> Self {
        Self { answers: Some(Box::new(io::stdin().lock())), to: Box::new(io::stderr()), is_terminal: io::stdin().is_terminal() }
    }

    #[cfg(test)]
    fn with(answers: &'static str) -> Self {
        Self { answers: Some(Box::new(answers.as_bytes())), to: Box::new(io::sink()), is_terminal: false }
    }

    pub(super) const fn asks(&self) -> bool {
        self.answers.is_some()
    }

    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.to, "{text}")
    }

    /// A line; an empty one means what is usual, and is asked for again where nothing is.
    pub(super) fn text(&mut self, question: &str, usual: Option<&str>) -> anyhow::Result<String> {
        loop {
            match usual {
                Some(usual) => write!(self.to, "{question} [{usual}]: ")?,
                None => write!(self.to, "{question}: ")?,
            }
            self.to.flush()?;
            let line = self.line(question)?;
            match (line.is_empty(), usual) {
                (false, _) => return Ok(line),
                (true, Some(usual)) => return Ok(usual.to_owned()),
                (true, None) => self.say("An answer is needed.")?,
            }
        }
    }

    /// The same, unseen. `None`: an empty line, where `usual` says that this means something.
    pub(super) fn secret(&mut self, question: &str, variable: &str, usual: Option<&str>) -> anyhow::Result<Option<String>> {
        loop {
            let quiet = self.is_terminal.then(Quiet::begin).flatten();
            if self.is_terminal && quiet.is_none() {
                self.say(&format!("What you type next will be seen. To keep it unseen, stop with Ctrl-C and set {variable} instead."))?;
            }
            match usual {
                Some(usual) => write!(self.to, "{question} [{usual}]: ")?,
                None => write!(self.to, "{question}: ")?,
            }
            self.to.flush()?;
            let line = self.line(question);
            if quiet.is_some() {
                drop(quiet);
                writeln!(self.to)?;
            }
            match line? {
                line if !line.is_empty() => return Ok(Some(line)),
                _ if usual.is_some() => return Ok(None),
                _ => self.say("An answer is needed.")?,
            }
        }
    }

    /// Yes is usual.
    pub(super) fn agrees(&mut self, question: &str) -> anyhow::Result<bool> {
        if !self.asks() {
            return Ok(true);
        }
        loop {
            match self.text(question, Some("Y/n"))?.to_ascii_lowercase().as_str() {
                "y/n" | "y" | "yes" => return Ok(true),
                "n" | "no" => return Ok(false),
                _ => self.say("Write y or n.")?,
            }
        }
    }

    fn line(&mut self, question: &str) -> anyhow::Result<String> {
        let Some(answers) = &mut self.answers else { bail!("nobody is there to answer {question:?}") };
        let mut line = String::new();
        let read = answers.read_line(&mut line).context("reading an answer")?;
        anyhow::ensure!(read > 0, "the answers ended at {question:?}; nothing was written");
        Ok(line.trim().to_owned())
    }
}

/// While it lives, the terminal shows nothing of what is typed.
struct Quiet;

impl Quiet {
    fn begin() -> Option<Self> {
        stty("-echo").then_some(Self)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        stty("echo");
    }
}

fn stty(word: &str) -> bool {
    let done = Command::new("stty").arg(word).stdin(Stdio::inherit()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_empty_line_is_what_is_usual_and_nonsense_is_asked_again() {
        let mut talk = Talk::with("\nx\n\n\nb\nmaybe\nNO\n\n");
        assert_eq!(talk.text("a", Some("u")).unwrap(), "u");
        assert_eq!(talk.text("a", Some("u")).unwrap(), "x");
        assert_eq!(talk.text("a", None).unwrap(), "b");
        assert!(!talk.agrees("c").unwrap());
        assert!(talk.agrees("c").unwrap());
        let end = talk.text("last", None).unwrap_err().to_string();
        assert!(end.contains("last") && end.contains("nothing was written"), "{end}");
    }

    #[test]
    fn a_secret_is_needed_unless_there_is_one() {
        let mut talk = Talk::with("\n\ns\n");
        assert_eq!(talk.secret("k", "K", Some("as it is")).unwrap(), None);
        assert_eq!(talk.secret("k", "K", None).unwrap().unwrap(), "s");
    }

    #[test]
    fn nobody_agrees_to_everything_and_is_asked_nothing() {
        assert!(Talk::alone().agrees("c").unwrap());
        assert!(Talk::alone().text("c", None).is_err());
    }
}
