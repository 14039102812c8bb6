//! The two log-ins: which variables a rules file takes them from, and their values.
//!
//! What is asked is read off the file itself, so that no platform is known here. The file goes on naming the variables; what
//! was typed can be kept beside it, 0600, as the sandbox keeps its own.

use super::talk::Talk;
use crate::config::{Given, variable};
use crate::rules::read;
use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use std::{
    fs,
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// One `key = { env = "NAME" }  # what it is`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Variable {
    /// `salesforce`, `platform.licensespring`
    pub table: String,
    pub key: String,
    pub name: String,
    pub says: String,
    pub is_secret: bool,
}

/// In the order of the file.
pub(in crate::cli) fn variables(text: &str) -> Vec<Variable> {
    let (mut table, mut found) = (String::new(), Vec::new());
    for line in text.lines() {
        if let Some(head) = line.strip_prefix('[').and_then(|l| l.split(']').next()) {
            head.clone_into(&mut table);
        }
        let Some((key, rest)) = line.split_once(" = { env = \"") else { continue };
        let Some((name, rest)) = rest.split_once("\" }") else { continue };
        if key.starts_with('#') {
            continue;
        }
        let says = rest.split_once('#').map_or("", |(_, says)| says.trim());
        // A secret is what may not be written as it is.
        let plain = text.replacen(&format!("{{ env = \"{name}\" }}"), "\"https://a.example\"", 1);
        let is_secret = !read(&plain).1.is_empty();
        found.push(Variable { table: table.clone(), key: key.to_owned(), name: name.to_owned(), says: says.to_owned(), is_secret });
    }
    found
}

/// Which of them are not set.
pub(super) fn missing(variables: &[Variable]) -> Vec<String> {
    variables.iter().filter(|v| variable(&v.name).is_none()).map(|v| v.name.clone()).collect()
}

/// Asks for each; what is in the environment is what is usual. Holds only what was typed.
pub(super) fn ask(variables: &[Variable], talk: &mut Talk) -> anyhow::Result<Given> {
    let (mut given, mut table) = (Given::new(), "");
    for v in variables {
        if table != v.table {
            table = &v.table;
            talk.say(&format!("\nThe log-in of [{table}]. An empty answer takes what stands in brackets."))?;
        }
        let question = if v.says.is_empty() { v.key.clone() } else { format!("{} ({})", v.key, v.says) };
        let set = variable(&v.name);
        let typed = if v.is_secret {
            talk.secret(&question, &v.name, set.as_ref().map(|_| "as the environment says"))?
        } else {
            let set = set.as_ref().map(|text| text.expose_secret().to_owned());
            // The vendor's own address, where the file says it.
            let vendors = v.says.split_whitespace().next().filter(|word| word.starts_with("https://"));
            let answer = talk.text(&question, set.as_deref().or(vendors))?;
            Some(answer).filter(|answer| set.as_ref() != Some(answer))
        };
        given.extend(typed.map(|text| (v.name.clone(), SecretString::from(text))));
    }
    Ok(given)
}

/// Where what was typed is kept: beside the rules.
pub(super) fn beside(rules: &Path) -> PathBuf {
    rules.with_extension("env")
}

/// For `set -a; . FILE; set +a`, 0600; added to a file that is there: of two lines for one name the last counts.
pub(super) fn keep(given: &Given, path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let mut file = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).with_context(|| format!("writing {shown}"))?;
    file.set_permissions(fs::Permissions::from_mode(0o600)).with_context(|| format!("writing {shown}"))?;
    let mut text = if file.metadata()?.len() > 0 { "\n".to_owned() } else { String::new() };
    for (name, value) in given {
        text.push_str(&format!("{name}='{}'\n", value.expose_secret().replace('\'', r"'\''")));
    }
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(|| format!("writing {shown}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::rules::{FORCEMANAGER, LAC, SHIPPED};

    #[test]
    fn what_is_asked_stands_in_the_file() {
        let of = |text: &str| variables(text).into_iter().map(|v| (v.name, v.is_secret)).collect::<Vec<_>>();
        let own = |list: &[(&str, bool)]| list.iter().map(|(n, s)| ((*n).to_owned(), *s)).collect::<Vec<_>>();
        let salesforce = [("SALESFORCE_LOGIN_URL", false), ("SALESFORCE_CLIENT_ID", false), ("SALESFORCE_CLIENT_SECRET", true)];
        let mut wanted = own(&salesforce);
        wanted.extend(own(&[("LICENSESPRING_URL", false), ("LICENSESPRING_API_KEY", true)]));
        assert_eq!(of(SHIPPED), wanted);
        let mut wanted = own(&salesforce);
        wanted.extend(own(&[("FORCEMANAGER_URL", false), ("FORCEMANAGER_PUBLIC_KEY", true), ("FORCEMANAGER_PRIVATE_KEY", true)]));
        assert_eq!(of(FORCEMANAGER), wanted);
        let mut wanted = own(&salesforce);
        wanted.extend(own(&[("LAC_URL", false), ("LAC_USERNAME", false), ("LAC_PASSWORD", true)]));
        assert_eq!(of(LAC), wanted);
        let url = &variables(SHIPPED)[3];
        assert_eq!((url.table.as_str(), url.key.as_str()), ("platform.licensespring", "url"));
        assert_eq!(url.says, "https://saas.licensespring.com");
    }

    #[test]
    fn what_was_typed_is_kept_for_the_shell_and_for_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = beside(&dir.path().join("acme.toml"));
        let given = Given::from([("KEY".to_owned(), SecretString::from("it's"))]);
        keep(&given, &path).unwrap();
        assert!(path.ends_with("acme.env"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "KEY='it'\\''s'\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        keep(&given, &path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().matches("KEY=").count(), 2, "what was there stays");
    }
}
