//! Prepared images kept between epochs: 8-bit pixels after decoding and resizing, before what changes from
//! epoch to epoch.

mod disk;

use crate::dataset::Dataset;
use crate::error::Result;
use disk::DiskCache;
use std::path::PathBuf;
use std::sync::OnceLock;
use xray_artifacts::Preprocessing;

/// Where prepared images are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cache {
    /// Nowhere: each epoch decodes anew.
    #[default]
    None,
    /// In memory: `size * size` bytes per record.
    Ram,
    /// In a file in this folder, which any number of runs and processes may share: `size * size` bytes per
    /// record of the whole data set, but only what is written takes room.
    Disk(PathBuf),
}

#[derive(Debug)]
pub(super) enum PreparedCache {
    None,
    /// Images by position in the loader's records.
    Ram(Vec<OnceLock<Box<[u8]>>>),
    /// Images by place in the data set.
    Disk(DiskCache),
}

impl PreparedCache {
    pub(super) fn open(
        cache: &Cache,
        dataset: &Dataset,
        preprocessing: &Preprocessing,
        records: usize,
    ) -> Result<Self> {
        Ok(match cache {
            Cache::None => PreparedCache::None,
            Cache::Ram => PreparedCache::Ram(std::iter::repeat_with(OnceLock::new).take(records).collect()),
            Cache::Disk(folder) => PreparedCache::Disk(DiskCache::open(folder, dataset, preprocessing)?),
        })
    }

    /// Puts the pixels of a record into `pixels` and says whether they were there. `position` is its place in
    /// the loader's records, `ordinal` in the data set.
    pub(super) fn load(&self, position: usize, ordinal: u64, pixels: &mut Vec<u8>) -> bool {
        match self {
            PreparedCache::None => false,
            PreparedCache::Ram(slots) => slots[position].get().is_some_and(|slot| {
                pixels.clear();
                pixels.extend_from_slice(slot);
                true
            }),
            PreparedCache::Disk(disk) => disk.load(ordinal, pixels),
        }
    }

    /// Keeps the pixels of a record.
    pub(super) fn store(&self, position: usize, ordinal: u64, pixels: &[u8]) {
        match self {
            PreparedCache::None => {}
            PreparedCache::Ram(slots) => {
                slots[position].get_or_init(|| pixels.into());
            }
            PreparedCache::Disk(disk) => disk.store(ordinal, pixels),
        }
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        match self {
            PreparedCache::Disk(disk) => disk.warning().into_iter().collect(),
            PreparedCache::None | PreparedCache::Ram(_) => Vec::new(),
        }
    }
}
