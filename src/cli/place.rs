//! Where the rules and the state are. The state goes with the rules, so that no command from a shell starts a second
//! memory beside the daemon's.

use super::Off;
use crate::config::{Config, ConfigError, Switches};
use crate::store::Store;
use std::path::{Path, PathBuf};

const HERE: &str = "sync-rules.toml";
const SYSTEM: &str = "/etc/lockstep";
const SYSTEM_STATE: &str = "/var/lib/lockstep";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub rules: PathBuf,
    pub state: PathBuf,
    /// The rules were named, not looked for.
    named: bool,
}

impl Place {
    #[must_use]
    pub fn find(rules: Option<&Path>, state: Option<&Path>) -> Self {
        let system = Path::new(SYSTEM).join(HERE);
        let file = match rules {
            Some(file) => file.to_owned(),
            None if !Path::new(HERE).exists() && system.exists() => system,
            None => PathBuf::from(HERE),
        };
        // Set by systemd for its own service; several directories are joined by colons.
        let given = std::env::var_os("STATE_DIRECTORY").and_then(|dirs| std::env::split_paths(&dirs).next());
        let state = state.map(Path::to_owned).or(given).unwrap_or_else(|| state_of(&file));
        Self { rules: file, state, named: rules.is_some() }
    }

    /// The checked rules with their secrets.
    pub fn config(&self) -> Result<Config, ConfigError> {
        if !self.rules.exists() {
            return Err(self.missing());
        }
        Config::load(&self.rules, &self.state)
    }

    /// The same for a command that goes to work: rules that are switched off are an error.
    pub fn config_in_force(&self) -> anyhow::Result<Config> {
        let config = self.config()?;
        if !config.enabled {
            return Err(Off(self.rules.display().to_string()).into());
        }
        Ok(config)
    }

    /// What the rules say without their secrets; `None` where they cannot be read or have problems.
    #[must_use]
    pub fn switches(&self) -> Option<Switches> {
        Config::switches(&std::fs::read_to_string(&self.rules).ok()?)
    }

    #[must_use]
    pub fn missing(&self) -> ConfigError {
        let path = self.rules.display().to_string();
        let message = if self.named {
            "no such rules file; `lockstep init` writes one".to_owned()
        } else {
            format!("no rules file here nor in {SYSTEM}; name one with --rules, or let `lockstep init` write one")
        };
        ConfigError::File { path, message }
    }

    /// The store for reading; `None` where nothing has run yet.
    pub fn read(&self) -> anyhow::Result<Option<Store>> {
        Ok(Store::open_read_only(&self.state)?)
    }
}

/// `./sync-rules.toml` → `./state`, `/etc/lockstep/sync-rules.toml` → `/var/lib/lockstep`,
/// `/etc/lockstep/NAME.toml` → `/var/lib/lockstep-NAME`, any other file → `state` beside it.
fn state_of(rules: &Path) -> PathBuf {
    let dir = rules.parent().filter(|dir| !dir.as_os_str().is_empty());
    if dir == Some(Path::new(SYSTEM)) {
        return match rules.file_stem().and_then(|stem| stem.to_str()) {
            Some("sync-rules") | None => PathBuf::from(SYSTEM_STATE),
            Some(name) => PathBuf::from(format!("{SYSTEM_STATE}-{name}")),
        };
    }
    dir.map_or_else(|| PathBuf::from("state"), |dir| dir.join("state"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_goes_with_the_rules() {
        for (rules, state) in [
            ("sync-rules.toml", "state"),
            ("./sync-rules.toml", "./state"),
            ("/etc/lockstep/sync-rules.toml", "/var/lib/lockstep"),
            ("/etc/lockstep/acme.toml", "/var/lib/lockstep-acme"),
            ("/srv/acme/rules.toml", "/srv/acme/state"),
        ] {
            assert_eq!(state_of(Path::new(rules)), Path::new(state), "{rules}");
        }
        assert_eq!(Place::find(Some(Path::new("x.toml")), Some(Path::new("/tmp/s"))).state, Path::new("/tmp/s"));
    }
}
