//! The SSH libraries of Perl, Ruby, Go and Java, and a proxy. The drivers of Go and Java are compiled here.

use super::{Clients, find, install};
use crate::step::{Outcome, doing, output, run as step};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Go's toolchain and its x/crypto, with what it uses. Debian 12 itself has versions from before `rsa-sha2-*`.
const GO: [&str; 5] = [
    "golang-1.23-go",
    "golang-1.23-src",
    "golang-golang-x-crypto-dev",
    "golang-golang-x-sys-dev",
    "golang-golang-x-term-dev",
];

/// The maintained fork of JSch, which Debian has since 13, and its cryptography. They run on any Java.
const JSCH: [&str; 2] = ["libjsch-java", "libbcprov-java"];

/// haproxy, and what it needs that few machines have.
const HAPROXY: [&str; 4] = ["haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"];

impl Clients {
    /// Brings all of them. `drivers` is the folder of the tests' drivers.
    pub(super) fn bring_libraries(&self, drivers: &Path) -> Outcome {
        self.bring_interpreted("perl", &["-MNet::SSH2", "-e1"], "libnet-ssh2-perl")?;
        self.bring_interpreted("ruby", &["-e", "require 'net/ssh'"], "ruby-net-ssh")?;
        self.bring_go(&drivers.join("x_crypto_session.go"), "x-crypto")?;
        self.bring_go(&drivers.join("x_crypto_connection.go"), "x-crypto-connection")?;
        self.bring_haproxy()?;
        self.bring_java(&drivers.join("JschSession.java"))
    }

    /// A proxy that speaks the PROXY protocol, with those of its libraries that few machines have.
    fn bring_haproxy(&self) -> Outcome {
        let root = self.unpack_all("haproxy", &HAPROXY, "bookworm")?;
        let folders = doing(root.display(), fs::read_dir(root.join("usr/lib")))?.filter_map(Result::ok);
        // The name begins with that of the processor: `x86_64-linux-gnu`.
        let libraries = folders.map(|entry| entry.path()).find(|path| path.to_string_lossy().ends_with("-linux-gnu"));
        let libraries = libraries.ok_or(format!("{} has no libraries", root.display()))?;
        let program = root.join("usr/sbin/haproxy");
        let commands = format!("LD_LIBRARY_PATH='{}' exec '{}' \"$@\"\n", libraries.display(), program.display());
        self.script("haproxy", &commands)
    }

    /// An interpreter and its library, both in Debian's package of the library. `proof` fails without it.
    fn bring_interpreted(&self, program: &str, proof: &[&str], package: &str) -> Outcome {
        if output(Command::new(program).args(proof)).is_err() {
            install(&[package])?;
            output(Command::new(program).args(proof))?;
        }
        self.link(program, &find(program).ok_or(format!("{program} is not in PATH"))?)
    }

    /// A driver in Go, which becomes the program of this name.
    fn bring_go(&self, driver: &Path, name: &str) -> Outcome {
        let root = self.unpack_go()?;
        let program = self.home.join(name).join("driver");
        self.compile(driver, &program, || {
            let toolchain = root.join("usr/lib/go-1.23");
            let mut build = Command::new(toolchain.join("bin/go"));
            // Debian's libraries are in a workspace of the old kind, without modules.
            build.env("GO111MODULE", "off").env("GOPATH", root.join("usr/share/gocode")).env("GOROOT", toolchain);
            build.env("GOCACHE", self.home.join("go-cache")).env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local");
            build.env_remove("GOFLAGS").args(["build", "-o"]).arg(&program).arg(driver);
            build
        })?;
        self.link(name, &program)
    }

    /// Go's toolchain.
    pub(super) fn unpack_go(&self) -> Outcome<PathBuf> {
        self.unpack_all("go", &GO, "bookworm-backports")
    }

    fn bring_java(&self, driver: &Path) -> Outcome {
        if find("java").is_none() {
            install(&["default-jre-headless"])?;
        }
        let jars = self.unpack_all("jsch", &JSCH, "trixie")?.join("usr/share/java");
        let compiler = self.unpack("libeclipse-jdt-core-java", "bookworm")?.join("usr/share/java/eclipse-jdt-core.jar");
        let classes = self.home.join("jsch-driver");
        let library = jars.join("jsch.jar");
        self.compile(driver, &classes.join("JschSession.class"), || {
            let mut compile = Command::new("java");
            compile.arg("-cp").arg(&compiler).arg("org.eclipse.jdt.internal.compiler.batch.Main");
            compile.args(["-proc:none", "-17", "-cp"]).arg(&library).arg("-d").arg(&classes).arg(driver);
            compile
        })?;
        let path = [classes, library, jars.join("bcprov.jar")].map(|part| part.display().to_string()).join(":");
        // It runs for moments: the optimising compiler and a collector with threads would only cost.
        self.script(
            "jsch",
            &format!("exec java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp '{path}' JschSession \"$@\"\n"),
        )
    }

    /// Compiles a driver, unless the program was made of the same source. A copy of the source lies beside the program.
    fn compile(&self, source: &Path, program: &Path, how: impl Fn() -> Command) -> Outcome {
        let done: PathBuf = program.with_extension("source");
        let wanted = doing(source.display(), fs::read(source))?;
        if program.is_file() && fs::read(&done).is_ok_and(|there| there == wanted) {
            return Ok(());
        }
        let folder = program.parent().unwrap_or(&self.home);
        doing(folder.display(), fs::create_dir_all(folder))?;
        step(&mut how())?;
        doing(done.display(), fs::write(&done, wanted))
    }
}
