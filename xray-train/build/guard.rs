//! Compiles the guard against processors that lack what this build needs, and tells it the level.

use std::env::var;

const SOURCE: &str = "build/guard.c";

/// What each x86-64 level adds to the one before, by the psABI, as far as the compiler names it.
const V2: [&str; 6] = ["cmpxchg16b", "popcnt", "sse3", "sse4.1", "sse4.2", "ssse3"];
const V3: [&str; 8] = ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe"];
const V4: [&str; 5] = ["avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"];

/// Links the guard into the binary, on Linux on x86-64.
pub(crate) fn compile() {
    let is = |key: &str, value: &str| var(key).is_ok_and(|found| found == value);
    if !is("CARGO_CFG_TARGET_ARCH", "x86_64") || !is("CARGO_CFG_TARGET_OS", "linux") {
        return;
    }
    // Not for the processor that RUSTFLAGS name: the guard runs on the one that lacks it.
    let objects = cc::Build::new()
        .inherit_rustflags(false)
        .flag("-march=x86-64")
        .define("XRAY_LEVEL", level(&var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default()))
        .file(SOURCE)
        .compile_intermediates();
    // An object file rather than a library, of which the linker takes only what is called.
    for object in objects {
        println!("cargo::rustc-link-arg-bins={}", object.display());
    }
}

/// The lowest level that has every feature the compiler may use.
fn level(features: &str) -> &'static str {
    let uses_any = |level: &[&str]| features.split(',').any(|feature| level.contains(&feature));
    match (uses_any(&V4), uses_any(&V3), uses_any(&V2)) {
        (true, _, _) => "4",
        (_, true, _) => "3",
        (_, _, true) => "2",
        _ => "1",
    }
}
