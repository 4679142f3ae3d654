//! The foreign clients: `target/clients/bin` holds each under one name, whatever it came from.
//!
//! As root on Debian what is missing is installed. The two OpenSSH clients are unpacked side by side without being
//! installed, from the mirrors that the machine already uses, and so is sshd, beside which Whelk is measured. The
//! Python clients live in a virtual environment, those of node in a folder of modules, those of other languages in
//! `libraries`. With them come the toolchains of the languages in which plugins and programs are written for a test.

mod libraries;
mod toolchains;
mod transfer;

use crate::step::{Outcome, doing, output, run as step};
use crate::workspace::Workspace;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const HELP: &str = "\
cargo xtask clients

Brings everything that the tests use of other projects into target/clients: clients and libraries with their drivers,
OpenSSH's sshd and regress scripts, toolchains of other languages. As root on Debian it installs what is missing;
elsewhere it names it and fails.";

pub(crate) fn run(arguments: &[String]) -> Outcome {
    if let Some(surplus) = arguments.first() {
        return Err(format!("clients takes no argument {surplus:?}"));
    }
    let clients = Clients::bring(&Workspace::find()?)?;
    eprintln!("{} has them all", clients.folder().display());
    Ok(())
}

/// A program and the Debian package that has it.
struct Tool {
    program: &'static str,
    package: &'static str,
}

const TOOLS: [Tool; 18] = [
    Tool { program: "ssh-keygen", package: "openssh-client" },
    Tool { program: "ssh-keyscan", package: "openssh-client" },
    Tool { program: "curl", package: "curl" },
    Tool { program: "dbclient", package: "dropbear-bin" },
    Tool { program: "dropbearconvert", package: "dropbear-bin" },
    Tool { program: "dropbearkey", package: "dropbear-bin" },
    Tool { program: "plink", package: "putty-tools" },
    Tool { program: "pscp", package: "putty-tools" },
    Tool { program: "psftp", package: "putty-tools" },
    Tool { program: "puttygen", package: "putty-tools" },
    Tool { program: "systemd-analyze", package: "systemd" },
    Tool { program: "systemd-socket-activate", package: "systemd" },
    Tool { program: "tmux", package: "tmux" },
    Tool { program: "fail2ban-regex", package: "fail2ban" },
    Tool { program: "python3", package: "python3" },
    Tool { program: "chromium", package: "chromium" },
    Tool { program: "valgrind", package: "valgrind" },
    Tool { program: "asciinema", package: "asciinema" },
];

/// What the utilities are compared with, where Debian does not always have it.
const ORACLES: [Tool; 8] = [
    Tool { program: "bc", package: "bc" },
    Tool { program: "dc", package: "dc" },
    Tool { program: "file", package: "file" },
    Tool { program: "gawk", package: "gawk" },
    Tool { program: "jq", package: "jq" },
    Tool { program: "less", package: "less" },
    Tool { program: "patch", package: "patch" },
    Tool { program: "rg", package: "ripgrep" },
];

/// node, and what installs its modules. Nothing but `node` itself is used by the tests.
const NODE: [Tool; 2] = [Tool { program: "node", package: "nodejs" }, Tool { program: "npm", package: "npm" }];

/// An OpenSSH that is unpacked instead of installed.
struct OpenSsh {
    version: &'static str,
    suite: &'static str,
}

/// One before ML-KEM, one that prefers it.
const OPENSSH: [OpenSsh; 2] =
    [OpenSsh { version: "9.2", suite: "bookworm" }, OpenSsh { version: "10.0", suite: "bookworm-backports" }];

/// The OpenSSH whose regress scripts are run, and the suite that has its sources.
struct OpenSshSource {
    version: &'static str,
    suite: &'static str,
}

/// That of the later client.
const OPENSSH_SOURCE: OpenSshSource = OpenSshSource { version: "10.0p1", suite: "trixie" };

/// The folder of the clients, complete.
pub(crate) struct Clients {
    home: PathBuf,
}

impl Clients {
    /// Brings all that is missing.
    pub(crate) fn bring(workspace: &Workspace) -> Outcome<Self> {
        let clients = Self { home: workspace.target.join("clients") };
        doing(clients.folder().display(), fs::create_dir_all(clients.folder()))?;
        install_tools()?;
        for tool in &TOOLS {
            clients.link(tool.program, &find(tool.program).ok_or(format!("{} is not in PATH", tool.program))?)?;
        }
        clients.bring_openssh()?;
        clients.bring_sshd()?;
        clients.bring_later_sshd()?;
        clients.bring_regress()?;
        clients.bring_python(&workspace.root.join("tests/requirements.txt"))?;
        clients.bring_node(&workspace.root.join("tests/interop/node"))?;
        clients.bring_javascript(&workspace.root.join("tests/interop/guests"))?;
        clients.bring_libraries(&workspace.root.join("tests/interop"))?;
        clients.bring_toolchains()?;
        clients.bring_transfer()?;
        Ok(clients)
    }

    /// Brings what the bench needs: OpenSSH, and if shells are measured node, in which two of them run.
    pub(crate) fn bring_for_bench(workspace: &Workspace, shells: bool) -> Outcome<Self> {
        if shells {
            install(&packages(NODE.iter()))?;
        }
        let clients = Self { home: workspace.target.join("clients") };
        doing(clients.folder().display(), fs::create_dir_all(clients.folder()))?;
        clients.bring_openssh()?;
        clients.bring_sshd()?;
        clients.bring_later_sshd()?;
        Ok(clients)
    }

    /// Where the programs are, each under its one name.
    pub(crate) fn folder(&self) -> PathBuf {
        self.home.join("bin")
    }

    /// One of the programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// A script in front of the program: a link would hide from Python where it lives.
    fn link(&self, name: &str, program: &Path) -> Outcome {
        self.script(name, &format!("exec '{}' \"$@\"\n", program.display()))
    }

    fn script(&self, name: &str, commands: &str) -> Outcome {
        let script = self.folder().join(name);
        let text = format!("#!/bin/sh\n{commands}");
        if fs::read_to_string(&script).is_ok_and(|there| there == text) {
            return Ok(());
        }
        // Never through a link, which may lead to a program of the system.
        if script.is_symlink() {
            doing(script.display(), fs::remove_file(&script))?;
        }
        doing(script.display(), fs::write(&script, text))?;
        doing(script.display(), fs::set_permissions(&script, PermissionsExt::from_mode(0o755)))
    }

    fn bring_openssh(&self) -> Outcome {
        for OpenSsh { version, suite } in &OPENSSH {
            let name = format!("ssh-{version}");
            if !self.speaks(&name, version) {
                let program = self.unpack("openssh-client", suite)?.join("usr/bin/ssh");
                self.link(&name, &program)?;
            }
            if !self.speaks(&name, version) {
                return Err(format!("{} is not OpenSSH {version}", self.program(&name).display()));
            }
            for tool in ["scp", "sftp", "ssh-add", "ssh-agent", "ssh-keygen", "ssh-keyscan"] {
                let program = self.unpack("openssh-client", suite)?.join("usr/bin").join(tool);
                self.link(&format!("{tool}-{version}"), &program)?;
            }
        }
        Ok(())
    }

    /// Whether this client is there, works and has this version.
    fn speaks(&self, name: &str, version: &str) -> bool {
        let answer = Command::new(self.program(name)).arg("-V").output();
        answer.is_ok_and(|answer| String::from_utf8_lossy(&answer.stderr).contains(&format!("OpenSSH_{version}")))
    }

    /// Fetches a package of Debian from a suite and unpacks it into a folder of its own.
    pub(crate) fn unpack(&self, package: &str, suite: &str) -> Outcome<PathBuf> {
        self.unpack_all(package, &[package], suite)
    }

    /// Fetches packages of Debian from a suite and unpacks them into one folder. Nothing is installed.
    fn unpack_all(&self, name: &str, packages: &[&str], suite: &str) -> Outcome<PathBuf> {
        let folder = self.home.join(format!("{name}-{suite}"));
        if folder.is_dir() {
            return Ok(folder);
        }
        if !is_debian() {
            let (names, folder) = (packages.join(" "), folder.display());
            return Err(format!("{names} of Debian's {suite} is needed, and this is not Debian: unpack into {folder}"));
        }
        let apt = self.apt(suite, "deb")?;
        step(apt.command().arg("update"))?;
        let debs = self.home.join(format!("debs-{suite}"));
        doing(debs.display(), fs::create_dir_all(&debs))?;
        let wanted = packages.iter().map(|package| format!("{package}/{suite}"));
        step(apt.command().current_dir(&debs).arg("download").args(wanted))?;
        // Unpacked elsewhere first: a folder that is there is whole.
        let new = self.home.join("unpacking");
        if new.exists() {
            doing(new.display(), fs::remove_dir_all(&new))?;
        }
        for package in packages {
            let files = doing(debs.display(), fs::read_dir(&debs))?.filter_map(Result::ok).map(|file| file.path());
            let is_it = |file: &PathBuf| {
                file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{package}_")))
            };
            let deb = files.into_iter().find(is_it).ok_or(format!("apt-get download brought no {package}"))?;
            step(Command::new("dpkg").arg("-x").arg(&deb).arg(&new))?;
        }
        doing(folder.display(), fs::rename(&new, &folder))?;
        Ok(folder)
    }

    /// OpenSSH's regress scripts, of its source package: `openssh-regress`.
    fn bring_regress(&self) -> Outcome {
        let folder = self.home.join("openssh-regress");
        if folder.is_dir() {
            return Ok(());
        }
        let OpenSshSource { version, suite } = OPENSSH_SOURCE;
        if !is_debian() {
            let folder = folder.display();
            return Err(format!("this is not Debian: unpack the folder regress of OpenSSH {version} into {folder}"));
        }
        let apt = self.apt(suite, "deb-src")?;
        step(apt.command().arg("update"))?;
        let new = self.home.join("unpacking");
        if new.exists() {
            doing(new.display(), fs::remove_dir_all(&new))?;
        }
        doing(new.display(), fs::create_dir(&new))?;
        // apt checks it against the suite's signed list. The archive of OpenSSH itself, without Debian's changes.
        let mut source = apt.command();
        step(source.current_dir(&new).args(["source", "--download-only", "--tar-only", &format!("openssh/{suite}")]))?;
        let regress = format!("openssh-{version}/regress");
        let mut unpack = Command::new("tar");
        step(unpack.current_dir(&new).args(["-xzf", &format!("openssh_{version}.orig.tar.gz"), &regress]))?;
        doing(folder.display(), fs::rename(new.join(regress), &folder))
    }

    /// An apt that knows packages or sources (`deb` or `deb-src`) of one suite of the mirror in use, and leaves the
    /// machine's own lists alone.
    fn apt(&self, suite: &str, kind: &str) -> Outcome<Apt> {
        let home = self.home.join(format!("{}-{suite}", kind.replace("deb", "apt")));
        doing(home.display(), fs::create_dir_all(home.join("lists/partial")))?;
        let keys = Path::new("/usr/share/keyrings/debian-archive-keyring.gpg");
        let option = if keys.is_file() { format!("[signed-by={}] ", keys.display()) } else { String::new() };
        let text = format!("{kind} {option}{} {suite} main\n", mirror()?);
        doing(home.display(), fs::write(home.join("sources.list"), text))?;
        Ok(Apt { home })
    }

    fn bring_python(&self, requirements: &Path) -> Outcome {
        let environment = self.home.join("venv");
        let (done, python) = (environment.join("requirements.txt"), environment.join("bin/python"));
        let wanted = doing(requirements.display(), fs::read(requirements))?;
        if !fs::read(&done).is_ok_and(|there| there == wanted) {
            step(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
            step(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(requirements))?;
            doing(done.display(), fs::write(&done, wanted))?;
        }
        self.link("python", &python)?;
        self.link("ssh-audit", &environment.join("bin/ssh-audit"))?;
        self.link("componentize-py", &environment.join("bin/componentize-py"))?;
        // A compiler of C in a wheel. What it makes once of its C library stays.
        let (python, cache) = (python.display(), self.home.join("zig-cache"));
        let cache = format!("ZIG_GLOBAL_CACHE_DIR='{0}' ZIG_LOCAL_CACHE_DIR='{0}'", cache.display());
        self.script("zig", &format!("{cache} exec '{python}' -m ziglang \"$@\"\n"))
    }

    /// sshd as it is installed, else unpacked without being installed: installing it would start it for the whole
    /// machine.
    fn bring_sshd(&self) -> Outcome {
        let program = match find("sshd") {
            Some(program) => program,
            None => {
                let path = "/usr/sbin:/sbin:/usr/bin:/bin";
                if !output(Command::new("ldconfig").arg("-p").env("PATH", path))?.contains("libwrap.so.0") {
                    install(&["libwrap0"])?;
                }
                self.unpack("openssh-server", "bookworm")?.join("usr/sbin/sshd")
            }
        };
        if rustix::process::geteuid().is_root() {
            // What the package would have made: the user and the empty folder of the part that faces strangers.
            if output(Command::new("id").arg("sshd")).is_err() {
                let mut add = Command::new("useradd");
                add.args(["--system", "--home-dir", "/run/sshd", "--shell", "/usr/sbin/nologin", "sshd"]);
                step(&mut add)?;
            }
            doing("/run/sshd", fs::create_dir_all("/run/sshd"))?;
            doing("/run/sshd", fs::set_permissions("/run/sshd", PermissionsExt::from_mode(0o755)))?;
        }
        self.link("sshd", &program)
    }

    /// The sshd of the later client, unpacked: it has penalties for sources. It is told where its other programs are.
    fn bring_later_sshd(&self) -> Outcome {
        let [_, OpenSsh { version, suite }] = &OPENSSH;
        let folder = self.unpack("openssh-server", suite)?;
        let (program, programs) = (folder.join("usr/sbin/sshd"), folder.join("usr/lib/openssh"));
        let (program, programs) = (program.display(), programs.display());
        let paths = format!("-o 'SshdSessionPath {programs}/sshd-session' -o 'SshdAuthPath {programs}/sshd-auth'");
        self.script(&format!("sshd-{version}"), &format!("exec '{program}' {paths} \"$@\"\n"))
    }

    /// The clients for node.
    fn bring_node(&self, packages: &Path) -> Outcome {
        // Optional modules only compile faster cryptography.
        let modules = self.bring_modules("node", packages, &["--omit=optional"])?;
        let node = find("node").ok_or("node is not in PATH")?;
        self.script("node", &format!("NODE_PATH='{}' exec '{}' \"$@\"\n", modules.display(), node.display()))
    }

    /// What makes plugins of JavaScript.
    fn bring_javascript(&self, packages: &Path) -> Outcome {
        // The programs proper are optional modules, one for each kind of machine.
        let modules = self.bring_modules("guests", packages, &[])?;
        let node = find("node").ok_or("node is not in PATH")?;
        for tool in ["jco", "componentize-js"] {
            let program = modules.join(".bin").join(tool);
            self.script(tool, &format!("exec '{}' '{}' \"$@\"\n", node.display(), program.display()))?;
        }
        Ok(())
    }

    /// The modules that `package.json` names, at the versions and with the checksums of `package-lock.json`. Gives
    /// their folder.
    fn bring_modules(&self, name: &str, packages: &Path, options: &[&str]) -> Outcome<PathBuf> {
        let home = self.home.join(name);
        let (wanted, done) = (packages.join("package-lock.json"), home.join("installed.json"));
        let lock = doing(wanted.display(), fs::read(&wanted))?;
        if !fs::read(&done).is_ok_and(|there| there == lock) {
            doing(home.display(), fs::create_dir_all(&home))?;
            for name in ["package.json", "package-lock.json"] {
                doing(name, fs::copy(packages.join(name), home.join(name)))?;
            }
            let mut install = Command::new("npm");
            install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).args(options).arg("--prefix");
            step(install.arg(&home))?;
            doing(done.display(), fs::write(&done, lock))?;
        }
        Ok(home.join("node_modules"))
    }
}

/// An apt with its own list of sources.
struct Apt {
    home: PathBuf,
}

impl Apt {
    fn command(&self) -> Command {
        let mut command = Command::new("apt-get");
        let lists = self.home.join("lists");
        for (name, value) in [("Dir::Etc::SourceList", self.home.join("sources.list")), ("Dir::State::Lists", lists)] {
            command.arg("-o").arg(format!("{name}={}", value.display()));
        }
        // `_apt` need not be able to read our folder; nobody else's sources; quiet.
        command.args(["-o", "Dir::Etc::SourceParts=/dev/null", "-o", "APT::Sandbox::User=root", "-q"]);
        command
    }
}

/// The mirror of Debian's main archive that this machine uses, in whatever form it is written down.
fn mirror() -> Outcome<String> {
    // Images of machines often come without the lists; apt cannot tell an archive's origin from its address.
    if known_mirror()?.is_none() && rustix::process::geteuid().is_root() {
        step(Command::new("apt-get").args(["-q", "update"]))?;
    }
    known_mirror()?.ok_or("apt has no source of Debian's main archive (is `apt-get update` needed?)".to_owned())
}

fn known_mirror() -> Outcome<Option<String>> {
    let format = "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)";
    let text = output(Command::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]))?;
    Ok(text.lines().find_map(|line| line.strip_prefix("Debian|Debian|main|")).map(str::to_owned))
}

/// Whether this is Debian itself.
pub(crate) fn is_debian() -> bool {
    fs::read_to_string("/etc/os-release").is_ok_and(|text| text.lines().any(|line| line == "ID=debian"))
}

/// Where PATH has a program.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Programs for administrators are not in everybody's PATH.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The packages of the tools that are not in PATH.
fn packages<'a>(tools: impl Iterator<Item = &'a Tool>) -> Vec<&'a str> {
    tools.filter(|tool| find(tool.program).is_none()).map(|tool| tool.package).collect()
}

fn install_tools() -> Outcome {
    let mut packages = packages(TOOLS.iter().chain(&ORACLES).chain(&NODE));
    // Debian's python3 comes without what `python3 -m venv` needs.
    if output(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_err() {
        packages.push("python3-venv");
    }
    packages.dedup();
    install(&packages)
}

/// Installs packages of Debian as root; anywhere else says which are missing.
pub(crate) fn install(packages: &[&str]) -> Outcome {
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(" ");
    if !is_debian() || !rustix::process::geteuid().is_root() {
        return Err(format!("missing: {names}\nAs root on Debian: apt-get install {names}"));
    }
    step(Command::new("apt-get").args(["-q", "update"]))?;
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-y", "install", "--no-install-recommends"]);
    step(install.args(packages))
}
