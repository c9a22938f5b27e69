//! `xray-data`: from X-ray images and labels to shards that training reads, and back to what they hold.

mod cli;

use xray_artifacts::Exit;
use xray_cli::build;

fn main() -> Exit {
    xray_cli::main(
        build!().with(
            "sources",
            "nih, chexpert, mimic, padchest, vindr, rsna, siim, nih-experts, csv, tfrecord, dicom",
        ),
        cli::run,
    )
}
