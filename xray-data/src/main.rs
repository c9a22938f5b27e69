//! `xray-data`: from X-ray images and labels to shards that training reads, and back to what they hold.

mod cli;

use clap::Parser;
use xray_artifacts::Exit;

fn main() -> Exit {
    let arguments = cli::Arguments::parse();
    match cli::run(arguments) {
        Ok(exit) => exit,
        Err(failure) => {
            cli::say(&failure);
            failure.exit
        }
    }
}
