//! Which image goes into which shard, and where.

use crate::sources::ImageRow;
use crate::split::{hash, person};
use xray_artifacts::Split;

/// The most records of a shard where nothing else is asked: 256 images of 224 pixels are 5 MB, of 1024
/// pixels as PNG 100 MB, and all of ChestX-ray14 are 438 files.
const RECORDS: u64 = 256;

/// At least this many train shards, so that one shard is 5 % of the data: half a step of a sweep over tenths.
const TRAIN_SHARDS: u64 = 20;

/// One file to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) split: Split,
    /// `train-00000-of-00042.tfrecord`.
    pub(super) file: String,
    /// Places in the source, in the order of the records.
    pub(super) images: Vec<usize>,
}

/// Orders the images of each split and cuts them into shards. Patients come in an order drawn from the seed
/// and the patient's name alone, a patient's images side by side and by name: the order does not depend on
/// the order of the source, and patients keep their relative order when others are added.
pub(super) fn plan_shards(
    rows: &[&ImageRow],
    splits: &[Split],
    seed: u64,
    records_per_shard: Option<u64>,
) -> Vec<Shard> {
    let train = splits.iter().filter(|&&split| split == Split::Train).count() as u64;
    let records = records_per_shard.unwrap_or_else(|| train.div_ceil(TRAIN_SHARDS).min(RECORDS)).max(1);
    let shards_of = |split| {
        let mut images: Vec<usize> = (0..rows.len()).filter(|&index| splits[index] == split).collect();
        images.sort_by_cached_key(|&index| {
            let (person, image) = (person(rows[index]), &rows[index].image_id);
            (hash(seed, "order", person), person.to_owned(), image.clone())
        });
        cut(split, &images, records)
    };
    Split::ALL.into_iter().flat_map(shards_of).collect()
}

fn cut(split: Split, images: &[usize], records: u64) -> Vec<Shard> {
    let pieces: Vec<_> = images.chunks(usize::try_from(records).unwrap_or(usize::MAX)).collect();
    let name = |number: usize| format!("{split}-{number:05}-of-{:05}.tfrecord", pieces.len());
    let shard =
        |(number, images): (usize, &&[usize])| Shard { split, file: name(number), images: images.to_vec() };
    pieces.iter().enumerate().map(shard).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(patients: usize) -> Vec<ImageRow> {
        let images = (0..patients).flat_map(|p| (0..3).map(move |i| (p, i)));
        let row = |(p, i): (usize, usize)| ImageRow {
            image_id: format!("{p}_{i}"),
            patient_id: Some(p.to_string()),
            labels: Vec::new(),
            no_finding: None,
            split: None,
            view: None,
            sex: None,
            age: None,
            source: None,
        };
        images.map(row).collect()
    }

    fn order(rows: &[ImageRow], seed: u64) -> Vec<String> {
        let rows: Vec<&ImageRow> = rows.iter().collect();
        let shards = plan_shards(&rows, &vec![Split::Train; rows.len()], seed, None);
        shards.iter().flat_map(|s| &s.images).map(|&i| rows[i].image_id.clone()).collect()
    }

    #[test]
    fn the_order_is_seeded_keeps_patients_together_and_ignores_the_source_order() {
        let population = rows(50);
        let drawn = order(&population, 1);
        let patient = |id: &String| id.split('_').next().map(str::to_owned);
        assert!(drawn.chunks(3).all(|images| images.iter().all(|id| patient(id) == patient(&images[0]))));
        assert_ne!(drawn, order(&population, 2));
        let mut reversed = population.clone();
        reversed.reverse();
        assert_eq!(drawn, order(&reversed, 1));
        let ids: Vec<_> = population.iter().map(|r| r.image_id.clone()).collect();
        assert_ne!(drawn, ids, "shuffled");
    }

    #[test]
    fn shards_are_bounded_and_small_sets_still_have_twenty() {
        let check = |patients, asked, shards: usize, largest| {
            let rows = rows(patients);
            let rows: Vec<&ImageRow> = rows.iter().collect();
            let plan = plan_shards(&rows, &vec![Split::Train; rows.len()], 0, asked);
            assert_eq!(plan.len(), shards, "{patients} patients");
            assert_eq!(plan.iter().map(|s| s.images.len()).max(), Some(largest));
            assert_eq!(plan[shards - 1].file, format!("train-{:05}-of-{shards:05}.tfrecord", shards - 1));
        };
        check(100, None, 20, 15);
        check(2000, None, 24, 256);
        check(100, Some(299), 2, 299);
        check(1, None, 3, 1);
    }
}
