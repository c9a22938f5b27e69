//! `xray-data`: from X-ray images and labels to shards that training reads, and back to what they hold.

mod cli;

use xray_artifacts::Exit;
use xray_cli::build;

fn main() -> Exit {
    let sources = if cfg!(feature = "dicom") { "nih, csv, tfrecord, dicom" } else { "nih, csv, tfrecord" };
    xray_cli::main(build!().with("sources", sources), cli::run)
}
