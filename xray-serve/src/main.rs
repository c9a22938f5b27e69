//! `xray-serve`: one model behind a web page and an API.

use xray_artifacts::Exit;
use xray_cli::{build, print};
use xray_kernels::Isa;
use xray_serve::cli::Arguments;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Exit {
    let build = build!().with("images", "jpeg, png, dicom").with("kernels", Isa::summary());
    xray_cli::main(build, |arguments: Arguments| {
        print(&arguments.run()?)?;
        Ok(Exit::Ok)
    })
}
