//! Global average pooling: a feature per channel.
#![expect(unsafe_code, reason = "vector instructions; threads write disjoint features of one buffer")]

use crate::context::Context;
use crate::lanes::{Kernel, LANES, Lanes};
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::{for_each_chunk, for_each_plane};

/// A row of vectors, and where their sum goes.
struct Row {
    values: *const f32,
    vectors: usize,
    /// `[16]`.
    sums: *mut f32,
}

struct RowSum;

impl Kernel for RowSum {
    type Arguments = Row;

    #[inline(always)]
    unsafe fn run<L: Lanes>(row: &Row) {
        // SAFETY: the caller's pointers are good for the vectors, and the sums for one.
        unsafe {
            let mut sums = [L::zero(); 4];
            for first in (0..row.vectors).step_by(4) {
                for (number, sum) in sums.iter_mut().enumerate() {
                    if first + number < row.vectors {
                        *sum = sum.add(L::load(row.values.add((first + number) * LANES)));
                    }
                }
            }
            sums[0].add(sums[1]).add(sums[2].add(sums[3])).store(row.sums);
        }
    }
}

/// The mean of each channel's pixels: blocked maps to `[images][channels]`.
///
/// # Panics
/// If a buffer does not have its length.
pub fn global_average(context: &Context, (input, shape): (&[f32], MapShape), features: &mut [f32]) {
    shape.check(input, "the input");
    assert_eq!(features.len(), shape.images * shape.channels, "features of {shape:?}");
    let area = (shape.height * shape.width) as f64;
    let (form, features) = (context.isa.form::<RowSum>(), Shared::new(features));
    for_each_plane("global average", &shape, |image, block| {
        // A row in single precision, rows in double.
        let mut total = [0.0_f64; LANES];
        for y in 0..shape.height {
            let mut sums = [0.0_f32; LANES];
            let values = input[shape.offset(image, block, y, 0)..].as_ptr();
            // SAFETY: the length was checked against the shape.
            unsafe { form(&Row { values, vectors: shape.width, sums: sums.as_mut_ptr() }) };
            for (total, sum) in total.iter_mut().zip(sums) {
                *total += f64::from(sum);
            }
        }
        let channels = LANES.min(shape.channels - block * LANES);
        // SAFETY: the channels of a block are written by one call.
        let features = unsafe { features.part(image * shape.channels + block * LANES, channels) };
        for (feature, total) in features.iter_mut().zip(total) {
            *feature = (total / area) as f32;
        }
    });
}

/// Spreads the gradient of each feature evenly over its channel's pixels. The halo is not written.
///
/// # Panics
/// If a buffer does not have its length.
pub fn global_average_backward(grad_features: &[f32], (grad_input, shape): (&mut [f32], MapShape)) {
    shape.check(grad_input, "the input gradient");
    assert_eq!(grad_features.len(), shape.images * shape.channels, "features of {shape:?}");
    let area = (shape.height * shape.width) as f32;
    let whole = shape.image();
    let first = shape.offset(0, 0, 0, 0);
    for_each_chunk("global average, backward", grad_input, whole, |number, image| {
        let features = &grad_features[number * shape.channels..][..shape.channels];
        for (block, features) in features.chunks(LANES).enumerate() {
            let mut lanes = [0.0; LANES];
            for (lane, feature) in lanes.iter_mut().zip(features) {
                *lane = feature / area;
            }
            for y in 0..shape.height {
                let start = first + block * shape.plane() + y * shape.row();
                for pixel in image[start..start + shape.width * LANES].chunks_exact_mut(LANES) {
                    pixel.copy_from_slice(&lanes);
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    #[test]
    fn means_and_their_gradient() {
        let shape = MapShape::new(2, 17, 2, 3, 1).within(1, 4);
        let mut map = vec![f32::NAN; shape.len()];
        for (image, channel, y, x) in places(&shape) {
            map[shape.offset(image, channel / 16, y, x) + channel % 16] =
                (image * 100 + channel + y * 3 + x) as f32;
        }
        let mut features = vec![0.0; 34];
        global_average(&Context::new(Isa::widest()), (&map, shape), &mut features);
        for image in 0..2 {
            for channel in 0..17 {
                assert_eq!(features[image * 17 + channel], (image * 100 + channel) as f32 + 2.5);
            }
        }
        let gradient: Vec<f32> = (0..34).map(|index| index as f32).collect();
        let mut spread = vec![-1.0; shape.len()];
        global_average_backward(&gradient, (&mut spread, shape));
        for (image, channel, y, x) in places(&shape) {
            let found = spread[shape.offset(image, channel / 16, y, x) + channel % 16];
            assert_eq!(found, (image * 17 + channel) as f32 / 6.0);
        }
        let outside = spread.iter().filter(|&&value| value == -1.0).count();
        assert_eq!(outside, shape.len() - 2 * 2 * 6 * 16);
    }

    fn places(shape: &MapShape) -> impl Iterator<Item = (usize, usize, usize, usize)> + use<> {
        let MapShape { images, channels, height, width, .. } = *shape;
        (0..images * channels * height * width).map(move |index| {
            let (plane, pixel) = (index / (height * width), index % (height * width));
            (plane / channels, plane % channels, pixel / width, pixel % width)
        })
    }
}
