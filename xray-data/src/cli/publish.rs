//! `xray-data publish`

use super::{Format, print};
use clap::Args;
use std::path::{Path, PathBuf};
use xray_artifacts::{DatasetManifest, Exit, Failure};
use xray_cli::{Progress, shell};
use xray_data::{Published, publish};
use xray_display::counted;

/// Write a copy of a data set that jobs of a sweep fetch by URL
///
/// Each shard is compared with the manifest and gets a name with its hash, so no cache confuses two shards.
/// Shards are linked where the file system can, else copied; what is there already stays. Upload the folder as it is, or
/// choose one that a web server or a cache of the pool serves.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  xray-data publish shards /var/www/nih")]
pub(super) struct PublishArguments {
    /// Folder of shards that `build` made
    folder: PathBuf,

    /// Folder to publish in: an empty one, or one that holds the same data set or a part of it
    target: PathBuf,
}

pub(super) fn run(arguments: &PublishArguments, format: Format) -> Result<Exit, Failure> {
    let shards = DatasetManifest::read(&arguments.folder).map(|manifest| manifest.shards().count() as u64);
    let progress = Progress::new("shards", shards.ok());
    let published = publish(&arguments.folder, &arguments.target, &|| progress.advance());
    progress.finish();
    let published = published?;
    print(format, &published, text(&arguments.target, &published))?;
    Ok(Exit::Ok)
}

fn text(target: &Path, published: &Published) -> String {
    let Published { bytes, linked, copied, kept, .. } = published;
    // Without a slash at its end, which means something else to rsync.
    let target: PathBuf = target.components().collect();
    let folder = shell::path(&target);
    let is_plain = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c));
    let name = target.file_name().and_then(|name| name.to_str()).filter(is_plain).unwrap_or("DATA");
    let (bucket, namespace) = (format!("s3://BUCKET/{name}"), format!("osdf:///NAMESPACE/{name}"));
    let ways = [
        (format!("https://HOST/{name}"), format!("rsync -a {folder} HOST:/var/www/")),
        (bucket.clone(), format!("aws s3 sync {folder} {bucket}")),
        (namespace.clone(), format!("pelican object put -r {folder} {namespace}")),
    ];
    let ways = ways.map(|(url, command)| format!("  {url:<0$}  {command}\n", namespace.len())).concat();
    format!(
        "{}: {} of {}; {linked} linked, {copied} copied, {kept} there already\n\
         Upload it as it is, for example:\n{ways}\
         Then, with its address:\n  xray-sweep plan SWEEP --data {folder} --data-url URL\n",
        target.display(),
        counted(linked + copied + kept, "shard"),
        size(*bytes),
    )
}

/// Size in decimal units, which networks and pools use.
fn size(bytes: u64) -> String {
    match bytes as f64 {
        bytes if bytes < 1e9 => format!("{:.1} MB", bytes / 1e6),
        bytes => format!("{:.2} GB", bytes / 1e9),
    }
}
