//! Links the binaries at fixed addresses: to relocate a binary of this size takes a quarter of its start-up time, and what
//! that would protect against, memory that is corrupted, is what the language rules out.
#![allow(clippy::print_stdout)]

fn main() {
    let target = |part: &str| std::env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
