//! `xray-train-gpu`: `xray-train` with a GPU backend.

use mimalloc::MiMalloc;
use xray_artifacts::Exit;

/// Keeps big buffers instead of giving them back to the system after every tensor operation.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> Exit {
    xray_train::cli::main(xray_cli::build!())
}
