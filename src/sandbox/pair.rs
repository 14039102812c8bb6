//! Both simulators together: what `lockstep sandbox` starts, and the environment a client needs to reach them.

use super::{
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

/// Two running servers; they end when this is dropped.
pub struct Pair {
    pub salesforce: Salesforce,
    pub platform: LicenseSpring,
    pub salesforce_wire: Wire,
    pub platform_wire: Wire,
    options: salesforce::Options,
}

impl Pair {
    /// Starts both on loopback; port 0 takes any free one.
    ///
    /// # Errors
    /// When a port cannot be bound.
    pub async fn start(port_salesforce: u16, port_platform: u16) -> io::Result<Self> {
        let (salesforce_wire, platform_wire) = (Wire::default(), Wire::default());
        let options = salesforce::Options::default();
        Ok(Self {
            salesforce: Salesforce::start(port_salesforce, salesforce_wire.clone(), options.clone()).await?,
            platform: LicenseSpring::start(port_platform, platform_wire.clone(), licensespring::Options::default()).await?,
            salesforce_wire,
            platform_wire,
            options,
        })
    }

    /// The five variables the shipped rules ask for.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("SALESFORCE_LOGIN_URL", self.salesforce.url.clone()),
            ("SALESFORCE_CLIENT_ID", self.options.client_id.clone()),
            ("SALESFORCE_CLIENT_SECRET", self.options.client_secret.clone()),
            ("LICENSESPRING_URL", self.platform.url.clone()),
            ("LICENSESPRING_API_KEY", self.platform.api_key.clone()),
        ]
    }

    /// Writes them for a shell, mode 0600, renamed into place: whoever finds the file finds both servers listening.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_environment(&self, path: &Path) -> io::Result<()> {
        let temporary = path.with_extension(format!("new-{}", std::process::id()));
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        for (name, value) in self.environment() {
            writeln!(file, "{name}='{}'", value.replace('\'', r"'\''"))?;
        }
        file.sync_all()?;
        fs::rename(temporary, path)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn the_environment_file_is_private_and_whole() {
        let pair = Pair::start(0, 0).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sandbox.env");
        pair.write_environment(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 5);
        assert!(text.contains(&format!("LICENSESPRING_URL='{}'", pair.platform.url)));
    }
}
