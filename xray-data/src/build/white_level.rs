//! Which value is white in images of 16 bits: one rule for a whole set.
//!
//! Detectors have 10 to 16 bits and their files all say 16. A dark image of a 14-bit detector may fit 12 bits, so the set
//! decides, not the image. Only where a set mixes ranges does each image decide for itself.

use crate::sources::{Content, Loaded, Origin, SourceSet};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::num::NonZeroU16;
use xray_image::{find_white_level, is_sixteen_bit_png};

/// One in this many images may keep to a smaller range without counting as another detector's.
const DARK: u64 = 10;

/// The ranges of the images of a set that have 16 bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// How many images end at each white level.
    counts: BTreeMap<NonZeroU16, u64>,
}

impl Ranges {
    /// Looks at all images of 16 bits. What cannot be decoded is left to the build to complain of.
    pub(super) fn of(set: &SourceSet) -> Ranges {
        let found: Vec<_> = set.images.par_iter().filter_map(|image| of_image(&image.origin)).collect();
        let mut ranges = Ranges::default();
        found.into_iter().for_each(|level| *ranges.counts.entry(level).or_default() += 1);
        ranges
    }

    /// Images of 16 bits.
    pub fn images(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The white level of the set: the highest, if nearly all images have it. None where there are no images of 16 bits, or
    /// several ranges.
    pub fn white_level(&self) -> Option<NonZeroU16> {
        let (&highest, &count) = self.counts.last_key_value()?;
        (count * DARK >= self.images() * (DARK - 1)).then_some(highest)
    }

    /// What a person should know before trusting the set.
    pub(super) fn warning(&self) -> Option<String> {
        if self.white_level().is_some() || self.images() == 0 {
            return None;
        }
        let of_level = |(level, count): (&NonZeroU16, &u64)| format!("{count} up to {level}");
        let ranges: Vec<String> = self.counts.iter().map(of_level).collect();
        Some(format!(
            "the images of 16 bits have several ranges ({}): each was stretched by its own, so equal values may look \
             different; --white-level N makes one value white in all",
            ranges.join(", ")
        ))
    }
}

fn of_image(origin: &Origin) -> Option<NonZeroU16> {
    let head = origin.beginning(26).ok()?;
    let is_deep = head.is_none_or(|head| is_sixteen_bit_png(&head));
    match origin {
        Origin::Phantom(_) => None,
        // What came by in an archive is kept as it was where it has 16 bits.
        Origin::Kept(kept) if !matches!(kept.content, Content::Original(_)) => None,
        _ if !is_deep => None,
        _ => match origin.load().ok()? {
            Loaded::Encoded(bytes) => find_white_level(&bytes).ok()?,
            Loaded::Pixels(_) | Loaded::Stored { .. } => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_all_decide_for_all() {
        let check = |counts: &[(u16, u64)], expected: Option<u16>| {
            let level = |&(level, count): &(u16, u64)| (NonZeroU16::new(level).expect("not zero"), count);
            let ranges = Ranges { counts: counts.iter().map(level).collect() };
            assert_eq!(ranges.white_level().map(NonZeroU16::get), expected, "{counts:?}");
            assert_eq!(ranges.warning().is_some(), expected.is_none() && !counts.is_empty());
        };
        check(&[], None);
        check(&[(4095, 3)], Some(4095));
        check(&[(4095, 1), (16383, 9)], Some(16383)); // a dark image
        check(&[(4095, 9), (16383, 1)], None); // two detectors
        check(&[(1023, 2), (4095, 2), (16383, 2)], None);
    }
}
