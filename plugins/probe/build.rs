//! Chooses the size of the stack so that an idle session touches few pages of memory.

/// 1 MiB and a little: the memory of an instance begins with the stack, which grows down from here; the data of the
/// plugin and its heap follow. With this size all that an echo uses (the top of the stack, the variables, the beginning
/// of the heap and its end) lies in the last two pages of the seventeenth 64 KiB of the memory. With 1 MiB each of them
/// is a page of its own, or lies across two: 16 KiB a session instead of 8.
const STACK: u32 = 0x10_e590;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "wasm32") {
        println!("cargo::rustc-link-arg-cdylib=-z");
        println!("cargo::rustc-link-arg-cdylib=stack-size={STACK}");
    }
}
