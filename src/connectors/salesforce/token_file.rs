//! The refresh token that the org gave us last, on disk before it is used: the old one is dead from then on, and using
//! it again would revoke the whole family (Salesforce Help, "OAuth 2.0 Refresh Token Flow").

use crate::connectors::{Fault, FaultKind};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

#[derive(Serialize, Deserialize)]
struct Kept {
    refresh_token: String,
    /// SHA-256 of the configured token that this one descends from. An operator who configures a new one means it.
    #[serde(default)]
    descends_from: Option<String>,
}

/// The token to begin with: the kept one, unless the configured one is newer than its whole family.
pub fn load(path: Option<&Path>, configured: &SecretString) -> Result<SecretString, Fault> {
    let Some(path) = path else { return Ok(configured.clone()) };
    let bad = |why: String| Fault::new(FaultKind::Credentials, "token-file", format!("{}: {why}", path.display()));
    let file = match std::fs::metadata(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(configured.clone()),
        Err(e) => return Err(bad(e.to_string())),
    };
    if file.permissions().mode() & 0o077 != 0 {
        return Err(bad(format!("others may read it (mode {:o}); it must be 600", file.permissions().mode() & 0o777)));
    }
    let text = std::fs::read(path).map_err(|e| bad(e.to_string()))?;
    // The parser's own words could quote the token.
    let kept: Kept = serde_json::from_slice(&text).map_err(|_| bad("is not a token file".to_owned()))?;
    match kept.descends_from {
        Some(root) if root != fingerprint(configured) => Ok(configured.clone()),
        Some(_) | None => Ok(SecretString::from(kept.refresh_token)),
    }
}

/// Written beside, flushed, renamed into place: after this returns, a power cut finds the new token.
pub async fn save(path: PathBuf, configured: &SecretString, token: &SecretString) -> Result<(), Fault> {
    let kept = Kept { refresh_token: token.expose_secret().to_owned(), descends_from: Some(fingerprint(configured)) };
    let shown = path.display().to_string();
    let failed =
        |why: String| Fault::new(FaultKind::Setup, "token-file", format!("the new refresh token cannot be kept in {shown}: {why}"));
    tokio::task::spawn_blocking(move || write(&path, &kept)).await.map_err(|e| failed(e.to_string()))?.map_err(|e| failed(e.to_string()))
}

fn write(path: &Path, kept: &Kept) -> std::io::Result<()> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Created 0600 by tempfile.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&serde_json::to_vec_pretty(kept)?)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    std::fs::File::open(dir)?.sync_all()
}

fn fingerprint(token: &SecretString) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.expose_secret().as_bytes());
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[tokio::test]
    async fn the_kept_token_wins_until_a_new_one_is_configured() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.json");
        let begin = |configured: &str| load(Some(&path), &secret(configured)).unwrap().expose_secret().to_owned();
        assert_eq!(begin("first"), "first");
        save(path.clone(), &secret("first"), &secret("rotated")).await.unwrap();
        assert_eq!(begin("first"), "rotated");
        assert_eq!(begin("issued anew"), "issued anew");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_bad_file_is_refused_without_quoting_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.json");
        std::fs::write(&path, "canary").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(load(Some(&path), &secret("x")).unwrap_err().message.contains("must be 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let fault = load(Some(&path), &secret("x")).unwrap_err();
        assert!(!fault.message.contains("canary"), "{fault}");
        let nowhere = save(dir.path().join("no/such/dir/t.json"), &secret("a"), &secret("canary")).await.unwrap_err();
        assert!(!nowhere.message.contains("canary"), "{nowhere}");
    }
}
