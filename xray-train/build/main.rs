//! What the binary knows from being built: its commit and compiler, and the processor it needs.

#![expect(clippy::print_stdout, reason = "how a build script talks to cargo")]

mod guard;
mod origin;

fn main() {
    println!("cargo::rerun-if-changed=build");
    origin::name();
    guard::compile();
}
