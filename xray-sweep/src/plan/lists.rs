//! Which files go with which cells: those of the data set, and those that settings name. Cells that are sent the same
//! share a list, which the submit file names once.

use super::data_url::DataUrl;
use super::quote::sent_file;
use crate::cell::Cell;
use crate::data::Data;
use crate::spec::Condor;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use xray_artifacts::{DatasetManifest, Exit, Failure, ShardEntry};

/// How shards come to jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way<'a> {
    /// Workers see them on a shared file system.
    Shared,
    /// The access point sends them.
    Sent,
    /// The machine fetches them from where they are published.
    Fetched(DataUrl<'a>),
}

impl<'a> Way<'a> {
    /// # Errors
    /// An address that cannot be one, or beside a shared file system.
    pub(super) fn of(condor: &'a Condor) -> Result<Way<'a>, Failure> {
        match (&condor.data_url, condor.transfer_data) {
            (None, true) => Ok(Way::Sent),
            (None, false) => Ok(Way::Shared),
            (Some(url), true) => DataUrl::parse(url).map(Way::Fetched),
            (Some(url), false) => {
                let message =
                    format!("shards are to be read from a shared file system and fetched from {url}");
                Err(Failure::new(Exit::Usage, message).hint(
                    "leave --data-url out (in sweep.toml, data_url), or set transfer_data = true under [condor] there",
                ))
            }
        }
    }
}

/// Where the manifest of published shards lies in a sweep.
pub(super) const PUBLISHED: &str = "data";

/// A list of files under a name that follows from its content: `shards_0_3` are three training shards from
/// number 0 on, with all of validation and test.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct ShardList {
    pub(super) name: String,
    pub(super) files: Vec<String>,
    pub(super) mebibytes: u64,
}

/// The lists that cells need of these shares of the train split, by name, and the name for each pair.
pub(super) struct ShardLists {
    pub(super) lists: Vec<ShardList>,
    names: BTreeMap<(u64, u64), String>,
}

impl ShardLists {
    /// # Errors
    /// When the files are to be sent and HTCondor cannot be told their paths.
    pub(super) fn new(
        data: &Data,
        way: Way<'_>,
        draws: impl Iterator<Item = (f64, f64)>,
    ) -> Result<Self, Failure> {
        let (mut lists, mut names) = (BTreeMap::new(), BTreeMap::new());
        for (fraction, offset) in draws {
            let key = (fraction.to_bits(), offset.to_bits());
            if names.contains_key(&key) {
                continue;
            }
            let list = list(data, way, fraction, offset);
            names.insert(key, list.name.clone());
            lists.insert(list.name.clone(), list);
        }
        let lists: Vec<ShardList> = lists.into_values().collect();
        if way != Way::Shared {
            lists
                .iter()
                .flat_map(|list| &list.files)
                .try_for_each(|file| sent_file(Path::new(file)).map(drop))?;
        }
        Ok(ShardLists { lists, names })
    }

    pub(super) fn name(&self, (fraction, offset): (f64, f64)) -> &str {
        &self.names[&(fraction.to_bits(), offset.to_bits())]
    }
}

fn list(data: &Data, way: Way<'_>, fraction: f64, offset: f64) -> ShardList {
    let train = data.manifest.train_shards(fraction, offset);
    let all = data.manifest.train_shards(1.0, 0.0);
    let has = |at: usize| train.iter().any(|shard| shard.file == all[at].file);
    // The first of the run: the one whose predecessor, around the circle, is not in it.
    let first = (0..all.len()).find(|&at| has(at) && !has((at + all.len() - 1) % all.len())).unwrap_or(0);
    let shards = data.shards(fraction, offset);
    let files = match way {
        Way::Fetched(url) => fetched(data, url, &shards),
        Way::Sent | Way::Shared => {
            let path = |name: &str| data.dir.join(name).display().to_string();
            let pair = |shard: &&ShardEntry| [path(&shard.file), path(&format!("{}.idx", shard.file))];
            let manifest = path(DatasetManifest::FILE_NAME);
            [manifest].into_iter().chain(shards.iter().flat_map(pair)).collect()
        }
    };
    let bytes: u64 = shards.iter().map(|shard| shard.bytes).sum();
    ShardList { name: format!("shards_{first}_{}", train.len()), files, mebibytes: bytes.div_ceil(1 << 20) }
}

/// The addresses of these shards, behind the manifest, which the access point sends: it says what must arrive. No index is
/// fetched, because the trainer reads all of each shard anyway.
fn fetched(data: &Data, url: DataUrl<'_>, shards: &[&ShardEntry]) -> Vec<String> {
    let published = data.manifest.published();
    let names: BTreeMap<&str, &str> = data
        .manifest
        .shards()
        .zip(published.shards())
        .map(|(shard, published)| (shard.file.as_str(), published.file.as_str()))
        .collect();
    let manifest = format!("../../{PUBLISHED}/{}", DatasetManifest::FILE_NAME);
    let shards = shards.iter().map(|shard| url.file(names[shard.file.as_str()]));
    [manifest].into_iter().chain(shards).collect()
}

/// The files that the settings of cells name, as HTCondor is told them, under a name that follows from their content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct FileList {
    pub(super) name: String,
    pub(super) files: Vec<String>,
    pub(super) mebibytes: u64,
}

/// The list of a cell: `no_files`, or `files_` and how the names of what they hold begin.
pub(super) fn file_list(cell: &Cell) -> FileList {
    const DIGITS: usize = 12;
    let contents: BTreeSet<&str> = cell.files.values().map(|file| file.content.as_str()).collect();
    let parts = contents.iter().map(|content| &content["blake3-".len()..][..DIGITS]);
    let name = match contents.is_empty() {
        true => "no_files".to_owned(),
        false => ["files"].into_iter().chain(parts).collect::<Vec<_>>().join("_"),
    };
    // Seen from the cell's folder, so the sweep's own path is in no list.
    let files = contents.iter().map(|content| format!("../../bin/{content}")).collect();
    FileList { name, files, mebibytes: cell.file_bytes().div_ceil(1 << 20) }
}

/// All lists of `cells`; none where no cell has a file.
pub(super) fn file_lists(cells: &[Cell]) -> Vec<FileList> {
    let lists: BTreeSet<FileList> = cells.iter().map(file_list).collect();
    if lists.iter().all(|list| list.files.is_empty()) { Vec::new() } else { lists.into_iter().collect() }
}

/// Bytes of shards by fraction and offset, computed once each.
pub(super) struct Bytes<'a> {
    data: &'a Data,
    known: BTreeMap<(u64, u64), u64>,
}

impl<'a> Bytes<'a> {
    pub(super) fn new(data: &'a Data) -> Self {
        Bytes { data, known: BTreeMap::new() }
    }

    pub(super) fn of(&mut self, fraction: f64, offset: f64) -> u64 {
        let sum = || self.data.shards(fraction, offset).iter().map(|shard| shard.bytes).sum();
        *self.known.entry((fraction.to_bits(), offset.to_bits())).or_insert_with(sum)
    }
}
