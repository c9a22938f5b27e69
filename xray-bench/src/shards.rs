//! The records that are measured: a folder of links under `target`, with names that every competitor reads.

use anyhow::{Context, Result, bail};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use xray_artifacts::{DatasetManifest, ShardEntry, read_json, write_json};
use xray_workspace::Programs;
use xray_workspace::steps::{self, command};

/// A folder of shards, once and ten times.
#[derive(Clone, Debug)]
pub(crate) struct Shards {
    /// What they are, such as `768 px, synthetic`.
    pub(crate) description: String,
    /// Every file of the folder.
    pub(crate) once: PathBuf,
    /// The same files ten times under different names.
    pub(crate) ten_times: PathBuf,
}

/// Drawing phantoms takes half a second each at this size, so a few are made and linked ten times.
const SYNTHETIC_IMAGES: &str = "200";
const SYNTHETIC_COPIES: usize = 10;

impl Shards {
    /// Links to the files in `given`, or to synthetic ones of `size` px that are made once.
    pub(crate) fn prepare(given: Option<&Path>, size: u32, programs: &Programs) -> Result<Shards> {
        let work = steps::target_folder()?.join("bench");
        let (folder, copies) = match given {
            Some(folder) => (std::path::absolute(folder)?, 1),
            None => (synthetic(&work, size, programs)?, SYNTHETIC_COPIES),
        };
        let files = shard_files(&folder)?;
        let manifest = manifest(&folder)?;
        let links = |copies: usize| {
            let to = work.join(format!("links-{size}-{copies}"));
            let linked = link(&files, manifest.as_ref(), &to, copies);
            linked.with_context(|| format!("cannot link shards into {}", to.display())).map(|()| to)
        };
        let bytes = files.iter().map(|file| Ok(fs::metadata(file)?.len())).sum::<io::Result<u64>>()?;
        let megabytes = copies as f64 * bytes as f64 / 1e6;
        let kind = match given {
            Some(_) => "as given".to_owned(),
            None => format!("{SYNTHETIC_IMAGES} synthetic images {SYNTHETIC_COPIES} times"),
        };
        let description = format!("{size} px: {kind}, {megabytes:.0} MB");
        Ok(Shards { description, once: links(copies)?, ten_times: links(10 * copies)? })
    }
}

fn synthetic(work: &Path, size: u32, programs: &Programs) -> Result<PathBuf> {
    let folder = work.join(format!("synthetic-{size}"));
    if !folder.join(DatasetManifest::FILE_NAME).exists() {
        eprintln!("making {SYNTHETIC_IMAGES} synthetic images of {size} px in {}", folder.display());
        let mut synth = command(programs.path("xray-data")?);
        synth.args(["synth", "--images", SYNTHETIC_IMAGES, "--size", &size.to_string(), "--quality", "90"]);
        steps::run(synth.args(["--records-per-shard", "256", "--out"]).arg(&folder))?;
    }
    Ok(folder)
}

/// Uncompressed TFRecords directly in a folder, by name.
fn shard_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|e| e == "tfrec" || e == "tfrecord"));
    if files.is_empty() {
        bail!("{} holds no *.tfrec and no *.tfrecord", folder.display());
    }
    files.sort();
    Ok(files)
}

/// The list of the shards in a folder; none for TFRecords of others.
fn manifest(folder: &Path) -> Result<Option<DatasetManifest>> {
    let path = folder.join(DatasetManifest::FILE_NAME);
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(read_json(&path)?))
}

/// `000-NAME.tfrec`, `001-NAME.tfrec`, ... and their list, in a folder that holds nothing else.
fn link(files: &[PathBuf], manifest: Option<&DatasetManifest>, to: &Path, copies: usize) -> io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for copy in 0..copies {
        for file in files {
            let name = link_name(file, copy);
            let index = index_of(file);
            if index.exists() {
                fs::write(index_of(&to.join(&name)), of_copy(fs::read(&index)?, copy))?;
            }
            link_file(file, &to.join(name))?;
        }
    }
    match manifest {
        Some(manifest) => write_json(&to.join(DatasetManifest::FILE_NAME), &repeated(manifest, copies))
            .map_err(io::Error::other),
        None => Ok(()),
    }
}

fn link_name(file: &Path, copy: usize) -> String {
    format!("{copy:03}-{}.tfrec", file.file_stem().unwrap_or_default().to_string_lossy())
}

/// Where `xray-data` keeps the places of a shard's records, so that nobody has to look for them.
fn index_of(shard: &Path) -> PathBuf {
    let mut name = shard.as_os_str().to_owned();
    name.push(".idx");
    name.into()
}

/// The list of `copies` links to each shard. Counts of patients and findings stay those of one copy: nothing
/// that is measured here looks at them.
fn repeated(manifest: &DatasetManifest, copies: usize) -> DatasetManifest {
    let mut manifest = manifest.clone();
    for split in manifest.splits.values_mut() {
        let links = |copy| split.shards.iter().map(move |shard| renamed(shard, copy));
        split.shards = (0..copies).flat_map(links).collect();
        split.images *= copies as u64;
    }
    manifest
}

/// A manifest that lists one content twice is refused, so a copy has a hash of its own.
fn renamed(shard: &ShardEntry, copy: usize) -> ShardEntry {
    let (first, rest) = shard.blake3.split_at_checked(2).unwrap_or_default();
    let first = u8::from_str_radix(first, 16).unwrap_or_default() ^ copy as u8;
    let blake3 = if copy == 0 { shard.blake3.clone() } else { format!("{first:02x}{rest}") };
    ShardEntry { file: link_name(Path::new(&shard.file), copy), blake3, ..*shard }
}

/// The index of a copy, which says that hash too: `xray-data` believes an index that says what the manifest says. The
/// hash begins behind three numbers of eight bytes, and the last four bytes are the CRC-32C of all before.
fn of_copy(mut index: Vec<u8>, copy: usize) -> Vec<u8> {
    const HASH: usize = 24;
    if copy > 0 && index.len() > HASH + 4 {
        index[HASH] ^= copy as u8;
        let body = index.len() - 4;
        let crc = crc32c::crc32c(&index[..body]).to_le_bytes();
        index[body..].copy_from_slice(&crc);
    }
    index
}

#[cfg(unix)]
fn link_file(file: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(file, link)
}

#[cfg(not(unix))]
fn link_file(file: &Path, link: &Path) -> io::Result<()> {
    fs::hard_link(file, link)
}

#[cfg(test)]
mod tests {
    use super::*;
    use xray_artifacts::{ImageFormat, Source, Split, SplitRule, SplitSummary};

    #[test]
    fn shards_are_linked_under_names_that_all_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (from, to) = (folder.path().join("shards"), folder.path().join("links"));
        fs::create_dir(&from).expect("writable");
        for (name, content) in
            [("b.tfrecord", "two"), ("a.tfrec", "one"), ("a.tfrec.idx", "where"), ("x.json", "")]
        {
            fs::write(from.join(name), content).expect("writable");
        }
        let files = shard_files(&from).expect("two shards");
        let shards: Vec<_> =
            [("a.tfrec", 1), ("b.tfrecord", 2)].map(|(file, records)| shard(file, records)).into();
        let val = SplitSummary { images: 3, positives: vec![], unknown: vec![], shards, patients: None };
        let manifest = DatasetManifest {
            labels: vec!["Mass".into()],
            image: ImageFormat { encoding: "png".into(), size: None, resized: false, white_level: None },
            splits: [(Split::Val, val)].into(),
            split_rule: SplitRule::Patient,
            seed: 0,
            source: Source { kind: "csv".into(), labels_blake3: String::new(), notes: Vec::new() },
        };
        link(&files, None, &to, 3).expect("linked");
        link(&files, Some(&manifest), &to, 2).expect("linked again, the old links gone");
        let linked = shard_files(&to).expect("links");
        let names: Vec<_> =
            linked.iter().map(|file| file.file_name().expect("a name").to_str().expect("text")).collect();
        assert_eq!(names, ["000-a.tfrec", "000-b.tfrec", "001-a.tfrec", "001-b.tfrec"]);
        assert_eq!(fs::read_to_string(&linked[3]).expect("a link that leads somewhere"), "two");
        assert_eq!(fs::read_to_string(index_of(&linked[2])).expect("a link"), "where");
        assert!(!index_of(&linked[3]).exists());

        let list = DatasetManifest::read(&to).expect("a list that does not contradict itself");
        let val = &list.splits[&Split::Val];
        let listed: Vec<_> = val.shards.iter().map(|shard| &shard.file[..]).collect();
        assert_eq!(listed, names);
        assert_eq!((val.images, val.shards[3].records), (6, 2));
    }

    fn shard(file: &str, records: u64) -> ShardEntry {
        ShardEntry { file: file.into(), records, bytes: 100 * records, blake3: format!("of {file}") }
    }

    #[test]
    fn a_folder_without_shards_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = shard_files(folder.path()).expect_err("nothing there").to_string();
        assert!(error.ends_with("holds no *.tfrec and no *.tfrecord"), "{error}");
    }
}
