//! Where secrets come from: the environment, a systemd credential, a file that nobody else may read.

use crate::rules::SecretRef;
use secrecy::SecretString;
use std::{
    fs::File,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Code, message and help of a problem. None of them ever holds a secret.
pub type Trouble = (&'static str, String, String);

pub const MISSING: &str = "missing-secret";
pub const OPEN: &str = "open-secret-file";

pub const CODES: &[(&str, &str)] = &[
    (MISSING, "A variable, credential or file that is to hold a secret is not there, not readable or empty."),
    (OPEN, "A file with a secret may be read by others, or belongs to somebody else."),
];

/// The largest secret is a private key of a few kilobytes.
const MOST_BYTES: u64 = 64 << 10;

pub fn fetch(source: &SecretRef) -> Result<SecretString, Trouble> {
    let text = match source {
        SecretRef::Env(name) => from_environment(name)?,
        SecretRef::Credential(name) => from_credential(name, std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from).as_deref())?,
        SecretRef::File(path) => from_file(Path::new(path))?,
    };
    let text = text.trim();
    if text.is_empty() {
        return Err((MISSING, format!("{} is empty", described(source)), "put the secret into it".to_owned()));
    }
    Ok(SecretString::from(text))
}

/// `the environment variable X`, for messages.
pub fn described(source: &SecretRef) -> String {
    match source {
        SecretRef::Env(name) => format!("the environment variable {name}"),
        SecretRef::Credential(name) => format!("the credential {name}"),
        SecretRef::File(path) => format!("the file {path}"),
    }
}

fn from_environment(name: &str) -> Result<String, Trouble> {
    std::env::var(name).map_err(|error| match error {
        std::env::VarError::NotPresent => (
            MISSING,
            format!("the environment variable {name} is not set"),
            format!("set {name}; under systemd use {{ credential = \"…\" }} instead"),
        ),
        std::env::VarError::NotUnicode(_) => {
            (MISSING, format!("the environment variable {name} is not text"), "it must be UTF-8".to_owned())
        }
    })
}

fn from_credential(name: &str, directory: Option<&Path>) -> Result<String, Trouble> {
    let Some(directory) = directory else {
        let message = format!("the credential {name} is not there: the process was not given any");
        return Err((MISSING, message, format!("start it by systemd, with LoadCredential={name}:… in the unit")));
    };
    // systemd sees to who may read it.
    let path = directory.join(name);
    let open = File::open(&path);
    let file = open.map_err(|e| (MISSING, format!("the credential {name}: {e}"), format!("add LoadCredential={name}:… to the unit")))?;
    text_of(file, &format!("the credential {name}"))
}

/// Opened first and looked at afterwards, so that what was judged is what is read.
fn from_file(path: &Path) -> Result<String, Trouble> {
    let shown = path.display();
    let missing =
        |e: std::io::Error| (MISSING, format!("the file {shown}: {e}"), "it must be readable for the user Lockstep runs as".to_owned());
    let file = File::open(path).map_err(missing)?;
    let meta = file.metadata().map_err(missing)?;
    if !meta.is_file() {
        return Err((MISSING, format!("{shown} is not a file"), "write the path of a file".to_owned()));
    }
    if meta.mode() & 0o077 != 0 {
        let mode = meta.mode() & 0o777;
        return Err((OPEN, format!("the file {shown} may be read by others (mode {mode:04o})"), format!("chmod 600 {shown}")));
    }
    // A private file that is not ours can only be opened by root; whoever owns it could still change it under us.
    let ours = std::fs::metadata("/proc/self").map_or(meta.uid(), |me| me.uid());
    if meta.uid() != ours {
        return Err((
            OPEN,
            format!("the file {shown} belongs to user {}, not to us ({ours})", meta.uid()),
            format!("chown {ours} {shown}"),
        ));
    }
    text_of(file, &format!("the file {shown}"))
}

fn text_of(file: File, what: &str) -> Result<String, Trouble> {
    let mut text = String::new();
    let read = file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(|e| (MISSING, format!("{what}: {e}"), String::new()))?;
    if read as u64 > MOST_BYTES {
        return Err((MISSING, format!("{what} is too large for a secret"), format!("at most {MOST_BYTES} bytes are read")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use secrecy::ExposeSecret;
    use std::os::unix::fs::PermissionsExt;

    fn file(text: &[u8], mode: u32) -> (tempfile::TempDir, SecretRef) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let source = SecretRef::File(path.display().to_string());
        (dir, source)
    }

    #[test]
    fn a_private_file_is_read_without_its_line_end() {
        for mode in [0o600, 0o400] {
            let (_dir, source) = file(b"canary\n", mode);
            assert_eq!(fetch(&source).unwrap().expose_secret(), "canary");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_whatever_it_holds() {
        for mode in [0o644, 0o640, 0o606, 0o660] {
            let (_dir, source) = file(b"canary", mode);
            let (code, message, help) = fetch(&source).unwrap_err();
            assert_eq!(code, OPEN, "{message}");
            assert!(message.contains(&format!("{mode:04o}")) && help.contains("chmod 600"), "{message}; {help}");
            assert!(!message.contains("canary"));
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (source, part) in [
            (SecretRef::Env("LOCKSTEP_TEST_NOT_SET".to_owned()), "LOCKSTEP_TEST_NOT_SET is not set"),
            (SecretRef::File("/nonexistent/secret".to_owned()), "/nonexistent/secret"),
            (SecretRef::File("/".to_owned()), "is not a file"),
        ] {
            let (code, message, _) = fetch(&source).unwrap_err();
            assert_eq!(code, MISSING);
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn an_empty_or_endless_or_binary_secret_is_none() {
        for (text, part) in [(&b" \n"[..], "is empty"), (&[b'x'; 70_000][..], "too large"), (&[0xff][..], "UTF-8")] {
            let (_dir, source) = file(text, 0o600);
            let (code, message, _) = fetch(&source).unwrap_err();
            assert_eq!(code, MISSING);
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn credentials_come_from_the_directory_systemd_names() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "canary").unwrap();
        assert_eq!(from_credential("key", Some(dir.path())).unwrap(), "canary");
        let (_, message, help) = from_credential("other", Some(dir.path())).unwrap_err();
        assert!(message.contains("other") && help.contains("LoadCredential=other"), "{message}; {help}");
        assert!(from_credential("key", None).unwrap_err().2.contains("systemd"));
    }
}
