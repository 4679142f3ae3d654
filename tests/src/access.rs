//! How a client authenticates: passwords, and one key in the file formats of all clients.

use crate::measure::SOON;
use crate::places::client_program;
use crate::running::{Input, Running};
use crate::script::write_script;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

/// The password behind the hashes in the tests' configurations.
pub const PASSWORD: &str = "correct horse battery staple";

/// The credential of a call.
#[derive(Debug, Clone)]
pub enum Access {
    /// None: the method `none`.
    Nothing,
    /// A password.
    Password(Arc<Password>),
    /// A key, Ed25519 by default.
    Key(Arc<Keys>),
}

impl Access {
    /// This password.
    pub fn password(text: &str) -> Self {
        let folder = folder();
        let program = folder.path().join("ask");
        write_script(&program, &format!("printf '%s\\n' '{text}'"));
        Self::Password(Arc::new(Password { text: text.to_owned(), program, _folder: folder }))
    }

    /// The password of [`PASSWORD`].
    pub fn right_password() -> Self {
        Self::password(PASSWORD)
    }

    /// A fresh key, and its line for an `authorized_keys` file.
    pub fn fresh_key() -> (Self, String) {
        Self::fresh_key_of("ed25519")
    }

    /// The same with a key of another type, by ssh-keygen's name for it.
    pub fn fresh_key_of(kind: &str) -> (Self, String) {
        let keys = Keys::generate(&[kind]);
        let line = std::fs::read_to_string(keys.openssh().with_extension("pub")).expect("ssh-keygen wrote both halves");
        (Self::Key(Arc::new(keys)), line)
    }
}

/// A password, and a program that prints it when OpenSSH asks.
#[derive(Debug)]
pub struct Password {
    text: String,
    program: PathBuf,
    _folder: TempDir,
}

impl Password {
    pub(crate) fn password(&self) -> &str {
        &self.text
    }

    pub(crate) fn asking_program(&self) -> &Path {
        &self.program
    }
}

/// One key in three file formats.
#[derive(Debug)]
pub struct Keys {
    folder: TempDir,
}

impl Keys {
    /// A fresh key of ssh-keygen's name for its type, and further options of ssh-keygen.
    pub fn generate(kind: &[&str]) -> Self {
        let keys = Self { folder: folder() };
        let mut command = Command::new(client_program("ssh-keygen"));
        command.args(["-q", "-N", "", "-C", "a test", "-f"]).arg(keys.openssh()).arg("-t").args(kind);
        succeed(command);
        let mut command = Command::new(client_program("dropbearconvert"));
        command.args(["openssh", "dropbear"]).arg(keys.openssh()).arg(keys.dropbear());
        succeed(command);
        let mut command = Command::new(client_program("puttygen"));
        command.arg(keys.openssh()).args(["-O", "private", "-o"]).arg(keys.putty());
        succeed(command);
        keys
    }

    /// The private key in OpenSSH's format.
    pub fn openssh(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    pub(crate) fn dropbear(&self) -> PathBuf {
        self.folder.path().join("key.dropbear")
    }

    /// The private key in PuTTY's format.
    pub fn putty(&self) -> PathBuf {
        self.folder.path().join("key.ppk")
    }
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("whelk-").tempdir().expect("a temporary folder")
}

fn succeed(command: Command) {
    let line = format!("{command:?}");
    let finished = Running::run(command, Input::Nothing, SOON);
    assert_eq!(finished.status, Some(0), "{line} failed: {}", finished.err);
}
