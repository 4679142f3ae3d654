//! What makes programs of C, Go and Rust for WASI 0.1. zig, another compiler of C, comes with the Python clients.

use super::Clients;
use crate::build::add_target;
use crate::step::{Outcome, doing};
use std::fs;

/// clang with its linker, a C library for WASI, and the libraries of theirs that few machines have.
const CLANG: [&str; 13] = [
    "clang-19",
    "lld-19",
    "libclang-cpp19",
    "libclang-common-19-dev",
    "libclang-rt-19-dev-wasm32",
    "libllvm19",
    "wasi-libc",
    "libedit2",
    "libbsd0",
    "libmd0",
    "libxml2",
    "libicu72",
    "libz3-4",
];

impl Clients {
    /// Brings all of them, each as a compiler that needs no further options: `clang-wasip1`, `go-wasip1`,
    /// `rustc-wasip1`.
    pub(super) fn bring_toolchains(&self) -> Outcome {
        self.bring_clang()?;
        self.bring_go_for_wasi()?;
        add_target("wasm32-wasip1")?;
        self.script("rustc-wasip1", "exec rustc --target wasm32-wasip1 \"$@\"\n")
    }

    fn bring_clang(&self) -> Outcome {
        let root = self.unpack_all("clang", &CLANG, "bookworm")?;
        let folders = doing(root.display(), fs::read_dir(root.join("usr/lib")))?.filter_map(Result::ok);
        // The name begins with that of the processor: `x86_64-linux-gnu`.
        let libraries = folders.map(|entry| entry.path()).find(|path| path.to_string_lossy().ends_with("-linux-gnu"));
        let libraries = libraries.ok_or(format!("{} has no libraries", root.display()))?;
        let (usr, llvm) = (root.join("usr"), root.join("usr/lib/llvm-19"));
        let (usr, llvm, libraries) = (usr.display(), llvm.display(), libraries.display());
        let commands = format!(
            "export LD_LIBRARY_PATH='{libraries}:{llvm}/lib'\n\
             exec '{llvm}/bin/clang' --target=wasm32-wasi --sysroot='{usr}' -isystem '{usr}/include/wasm32-wasi' \
             -L'{usr}/lib/wasm32-wasi' -resource-dir='{llvm}/lib/clang/19' -fuse-ld='{llvm}/bin/wasm-ld' \"$@\"\n"
        );
        self.script("clang-wasip1", &commands)
    }

    fn bring_go_for_wasi(&self) -> Outcome {
        let root = self.unpack_go()?.join("usr/lib/go-1.23");
        let (root, cache) = (root.display(), self.home.join("go-cache"));
        let variables = format!(
            "GOROOT='{root}' GOCACHE='{}' GO111MODULE=off GOTOOLCHAIN=local GOFLAGS= CGO_ENABLED=0 GOOS=wasip1 \
             GOARCH=wasm",
            cache.display()
        );
        self.script("go-wasip1", &format!("{variables} exec '{root}/bin/go' \"$@\"\n"))
    }
}
