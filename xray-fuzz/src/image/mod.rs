//! JPEG and PNG files: small ones of every kind, and ones whose parts lie although their checksums and lengths are right.

mod exif;
mod jpeg;
mod png;

use crate::corpus::{Corpus, Kind};
use xray_random::Random;

/// All JPEG and PNG files.
pub(crate) fn corpus(seed: u64) -> Corpus {
    let mut seeds = jpeg::seeds();
    seeds.extend(png::seeds());
    Corpus::new(Kind::Image, seed, seeds, lie)
}

fn lie(random: &mut Random) -> Vec<u8> {
    if random.below(2) == 0 { jpeg::lie(random) } else { png::lie(random) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Expected;
    use xray_image::decode_gray;

    #[test]
    fn whole_files_are_read() {
        for seed in corpus(0).seeds().iter().filter(|seed| seed.expected == Expected::Accepted) {
            let read = decode_gray(&seed.bytes).unwrap_or_else(|problem| panic!("{}: {problem}", seed.name));
            assert_eq!((read.width, read.height), (32, 24), "{}", seed.name);
        }
    }
}
