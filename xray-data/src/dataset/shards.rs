//! Our own shards, as `dataset.json` lists them.

use super::shard::Shard;
use super::{Dataset, OpenOptions, RecordId};
use crate::error::Result;
use crate::schema::FeatureNames;
use std::collections::BTreeMap;
use std::path::Path;
use xray_artifacts::{DatasetManifest, SplitRule};

pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Dataset> {
    let manifest = DatasetManifest::read(path)?;
    let (mut shards, mut splits, mut first) = (Vec::new(), BTreeMap::new(), 0);
    // In the order of the splits' names in `Split::ALL`, so that a record keeps its number.
    for (&split, summary) in &manifest.splits {
        let mut members = Vec::with_capacity(summary.images as usize);
        for entry in &summary.shards {
            let mut shard = Shard::listed(path, first, entry);
            shard.check(entry, options.verify)?;
            let number = shards.len() as u32;
            members.extend((0..entry.records as u32).map(|record| RecordId { shard: number, record }));
            first += entry.records;
            shards.push(shard);
        }
        splits.insert(split, members);
    }
    Ok(Dataset {
        path: path.to_owned(),
        names: FeatureNames::xray(&manifest.labels),
        shards,
        splits,
        rows: Vec::new(),
        warnings: warnings(&manifest),
        id: manifest.id(),
        image: Some(manifest.image),
        labels: manifest.labels,
    })
}

fn warnings(manifest: &DatasetManifest) -> Vec<String> {
    match manifest.split_rule {
        SplitRule::Image => vec![
            "the splits were drawn by image: one patient may be in two splits, and scores may be too high"
                .to_owned(),
        ],
        SplitRule::Patient | SplitRule::Official | SplitRule::Column => Vec::new(),
    }
}
