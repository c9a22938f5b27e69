//! The mean of each channel.
#![expect(unsafe_code, reason = "threads write disjoint lanes of one buffer")]

use super::map::ByteMap;
use crate::lanes::LANES;
use crate::shared::Shared;
use crate::tasks::for_each_plane;

/// The mean of what each channel of each image stands for, `[images][channels]`, from sums of integers.
pub fn byte_means(map: &ByteMap) -> Vec<f32> {
    let (shape, quantisation, bytes) = (map.shape(), map.quantisation(), map.bytes());
    let pixels = (shape.height * shape.width) as f32;
    let mut means = vec![0.0; shape.images * shape.channels];
    let to = Shared::new(&mut means);
    for_each_plane("means of bytes", &shape, |image, block| {
        let mut sums = [0u32; LANES];
        for y in 0..shape.height {
            let row = &bytes[shape.offset(image, block, y, 0)..][..shape.width * LANES];
            // Words hold the sums of 256 bytes.
            for run in row.chunks(256 * LANES) {
                let mut words = [0u16; LANES];
                for pixel in run.as_chunks::<LANES>().0 {
                    words.iter_mut().zip(pixel).for_each(|(sum, &byte)| *sum += u16::from(byte));
                }
                sums.iter_mut().zip(words).for_each(|(sum, word)| *sum += u32::from(word));
            }
        }
        let channels = block * LANES..((block + 1) * LANES).min(shape.channels);
        // SAFETY: the channels of a block are written by one call.
        let to = unsafe { to.part(image * shape.channels + channels.start, channels.len()) };
        for (mean, sum) in to.iter_mut().zip(sums) {
            *mean = quantisation.scale * (sum as f32 / pixels - f32::from(quantisation.zero_point));
        }
    });
    means
}
