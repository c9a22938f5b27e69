//! The data set as a planner sees it: its manifest, and files that are as large as listed.

use std::path::{Path, PathBuf};
use xray_artifacts::{DatasetManifest, Exit, Failure, ShardEntry, Split};

/// A folder of shards.
pub struct Data {
    /// The folder, absolute.
    pub dir: PathBuf,
    /// What it holds.
    pub manifest: DatasetManifest,
    /// Its id.
    pub id: String,
}

impl Data {
    /// Reads the manifest and compares the sizes of all files.
    pub fn open(dir: &Path) -> Result<Data, Failure> {
        if dir.as_os_str().is_empty() {
            return Err(Failure::new(Exit::Usage, "no data given")
                .hint("--data DIR, a folder that `xray-data build` made"));
        }
        let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        let path = absolute.join(DatasetManifest::FILE_NAME);
        if !path.exists() {
            let message = format!("there is no {} in {}", DatasetManifest::FILE_NAME, dir.display());
            return Err(Failure::new(Exit::BadData, message)
                .hint("make shards with `xray-data build`; it takes TFRecords of others too"));
        }
        let manifest = DatasetManifest::read(&absolute)?;
        let data = Data { id: manifest.id(), dir: absolute, manifest };
        data.check_sizes()?;
        Ok(data)
    }

    fn check_sizes(&self) -> Result<(), Failure> {
        for shard in self.manifest.shards() {
            let path = self.dir.join(&shard.file);
            let found = std::fs::metadata(&path).map(|metadata| metadata.len()).ok();
            if found != Some(shard.bytes) {
                let found = found.map_or("is absent".to_owned(), |found| format!("has {found} bytes"));
                let message = format!("{} {found}, {} bytes are listed", path.display(), shard.bytes);
                return Err(Failure::new(Exit::BadData, message).hint(
                    "copy the shard again, or build the data set again; run `xray-data check` for details",
                ));
            }
        }
        Ok(())
    }

    /// How many training records there are at fraction 1. Of a cross-validation about as many: all folds of train and
    /// val but one, which are cut by patient.
    pub fn train_images(&self, folds: u64) -> u64 {
        let images = |split| self.manifest.splits.get(&split).map_or(0, |split| split.images);
        match folds {
            0 => images(Split::Train),
            _ => {
                let pool = images(Split::Train) + images(Split::Val);
                pool - (pool as f64 / folds as f64).round() as u64
            }
        }
    }

    /// What a training record takes of a shard, on average.
    pub fn train_bytes_per_image(&self) -> f64 {
        let Some(train) = self.manifest.splits.get(&Split::Train) else { return 0.0 };
        let bytes: u64 = train.shards.iter().map(|shard| shard.bytes).sum();
        bytes as f64 / train.images.max(1) as f64
    }

    /// Every shard that a run needs, with validation and test whole.
    pub fn shards(&self, fraction: f64, offset: f64) -> Vec<&ShardEntry> {
        let whole = [Split::Val, Split::Test];
        let whole =
            whole.iter().filter_map(|split| self.manifest.splits.get(split)).flat_map(|split| &split.shards);
        self.manifest.train_shards(fraction, offset).into_iter().chain(whole).collect()
    }
}
