//! Salesforce and one license platform together: what `lockstep sandbox` starts, and the environment a client needs to
//! reach them.

use super::{
    forcemanager::{self, ForceManager},
    lac::{self, Lac},
    licensespring::{self, LicenseSpring},
    salesforce::{self, Salesforce},
    serve::Wire,
};
use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// The platforms there is a simulator of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlatformKind {
    LicenseSpring,
    Lac,
    ForceManager,
}

/// A running one.
#[derive(Debug)]
pub enum Platform {
    LicenseSpring(LicenseSpring),
    Lac(Lac),
    ForceManager(ForceManager),
}

/// Two running servers; they end when this is dropped.
pub struct Pair {
    pub salesforce: Salesforce,
    pub platform: Platform,
    pub platform_url: String,
    pub salesforce_wire: Wire,
    pub platform_wire: Wire,
    environment: Vec<(&'static str, String)>,
}

impl Pair {
    /// Starts both on loopback; port 0 takes any free one.
    ///
    /// # Errors
    /// When a port cannot be bound.
    pub async fn start(kind: PlatformKind, port_salesforce: u16, port_platform: u16) -> io::Result<Self> {
        let (salesforce_wire, platform_wire) = (Wire::default(), Wire::default());
        let options = salesforce::Options::default();
        let salesforce = Salesforce::start(port_salesforce, salesforce_wire.clone(), options.clone()).await?;
        let mut environment = vec![
            ("SALESFORCE_LOGIN_URL", salesforce.url.clone()),
            ("SALESFORCE_CLIENT_ID", options.client_id),
            ("SALESFORCE_CLIENT_SECRET", options.client_secret),
        ];
        let (platform, platform_url, own) = start_platform(kind, port_platform, platform_wire.clone()).await?;
        environment.extend(own);
        Ok(Self { salesforce, platform, platform_url, salesforce_wire, platform_wire, environment })
    }

    /// LicenseSpring, where the pair has it.
    #[must_use]
    pub fn licensespring(&self) -> Option<&LicenseSpring> {
        if let Platform::LicenseSpring(it) = &self.platform { Some(it) } else { None }
    }

    /// LAC, where the pair has it.
    #[must_use]
    pub fn lac(&self) -> Option<&Lac> {
        if let Platform::Lac(it) = &self.platform { Some(it) } else { None }
    }

    /// ForceManager, where the pair has it.
    #[must_use]
    pub fn forcemanager(&self) -> Option<&ForceManager> {
        if let Platform::ForceManager(it) = &self.platform { Some(it) } else { None }
    }

    /// The variables that the platform's rules ask for: Salesforce's three, then its own.
    #[must_use]
    pub fn environment(&self) -> &[(&'static str, String)] {
        &self.environment
    }

    /// Writes them for a shell, mode 0600, renamed into place: whoever finds the file finds both servers listening.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_environment(&self, path: &Path) -> io::Result<()> {
        let temporary = path.with_extension(format!("new-{}", std::process::id()));
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        for (name, value) in &self.environment {
            writeln!(file, "{name}='{}'", value.replace('\'', r"'\''"))?;
        }
        file.sync_all()?;
        fs::rename(temporary, path)
    }
}

type Started = (Platform, String, Vec<(&'static str, String)>);

/// The one place that tells the platforms apart: how one starts, where it is, and its variables.
async fn start_platform(kind: PlatformKind, port: u16, wire: Wire) -> io::Result<Started> {
    match kind {
        PlatformKind::LicenseSpring => {
            let it = LicenseSpring::start(port, wire, licensespring::Options::default()).await?;
            let own = vec![("LICENSESPRING_URL", it.url.clone()), ("LICENSESPRING_API_KEY", it.api_key.clone())];
            Ok((Platform::LicenseSpring(it), own[0].1.clone(), own))
        }
        PlatformKind::Lac => {
            let it = Lac::start(port, wire, lac::Options::default()).await?;
            let own = vec![("LAC_URL", it.url.clone()), ("LAC_USERNAME", it.username.clone()), ("LAC_PASSWORD", it.password.clone())];
            Ok((Platform::Lac(it), own[0].1.clone(), own))
        }
        PlatformKind::ForceManager => {
            let options = forcemanager::Options { sample: false, ..forcemanager::Options::default() };
            let it = ForceManager::start(port, wire, options).await?;
            let own = vec![
                ("FORCEMANAGER_URL", it.api_url()),
                ("FORCEMANAGER_PUBLIC_KEY", it.public_key.clone()),
                ("FORCEMANAGER_PRIVATE_KEY", it.private_key.clone()),
            ];
            let url = it.url.clone();
            Ok((Platform::ForceManager(it), url, own))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn the_environment_file_is_private_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        for (kind, names) in [
            (PlatformKind::LicenseSpring, &["LICENSESPRING_URL", "LICENSESPRING_API_KEY"][..]),
            (PlatformKind::Lac, &["LAC_URL", "LAC_USERNAME", "LAC_PASSWORD"][..]),
        ] {
            let pair = Pair::start(kind, 0, 0).await.unwrap();
            let path = dir.path().join("sandbox.env");
            pair.write_environment(&path).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let text = fs::read_to_string(&path).unwrap();
            let written: Vec<&str> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
            assert_eq!(written[..3], ["SALESFORCE_LOGIN_URL", "SALESFORCE_CLIENT_ID", "SALESFORCE_CLIENT_SECRET"]);
            assert_eq!(written[3..], *names);
            assert!(text.contains(&format!("{}='{}'", names[0], pair.platform_url)));
            assert_eq!((pair.licensespring().is_some(), pair.lac().is_some()), (names.len() == 2, names.len() == 3));
        }
    }
}
