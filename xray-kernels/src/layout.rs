//! Between planar images and blocked maps.
#![expect(unsafe_code, reason = "threads write disjoint planes of one buffer")]

use crate::halo::clear_halo;
use crate::lanes::LANES;
use crate::shape::{MapShape, PlanarShape};
use crate::shared::Shared;
use crate::tasks::for_each_plane;

/// Planar to blocked, with a zero halo and zeros in surplus lanes.
///
/// # Panics
/// If the shapes differ, or a buffer does not have its length.
pub fn to_blocked((planar, planar_shape): (&[f32], PlanarShape), (map, shape): (&mut [f32], MapShape)) {
    planar_shape.check(planar, "the planar images");
    shape.check(map, "the map");
    check_same(&planar_shape, &shape);
    let to = Shared::new(map);
    for_each_plane("copy of a map", &shape, |image, block| {
        // SAFETY: each plane is written by one call.
        unsafe { clear_halo(to, &shape, image, block..block + 1) };
        let channels = shape.channels.min((block + 1) * LANES) - block * LANES;
        for y in 0..shape.height {
            // SAFETY: a row of the plane.
            let row = unsafe { to.part(shape.offset(image, block, y, 0), shape.width * LANES) };
            if channels < LANES {
                row.fill(0.0);
            }
            for lane in 0..channels {
                let from = planar_row(&planar_shape, image, block * LANES + lane, y);
                for (pixel, value) in row.chunks_exact_mut(LANES).zip(&planar[from..from + shape.width]) {
                    pixel[lane] = *value;
                }
            }
        }
    });
}

/// Copies a map into another of its size, as where a concatenation begins, with a zero halo.
///
/// # Panics
/// If the sizes differ, or a buffer does not have its length.
pub fn copy_map((from, from_shape): (&[f32], MapShape), (to, shape): (&mut [f32], MapShape)) {
    from_shape.check(from, "the first map");
    shape.check(to, "the copy");
    assert_eq!(from_shape.size(), shape.size(), "a map and its copy");
    let (to, length) = (Shared::new(to), shape.width * LANES);
    for_each_plane("to a blocked map", &shape, |image, block| {
        // SAFETY: each plane is written by one call.
        unsafe { clear_halo(to, &shape, image, block..block + 1) };
        for y in 0..shape.height {
            let start = from_shape.offset(image, block, y, 0);
            // SAFETY: a row of the plane.
            let row = unsafe { to.part(shape.offset(image, block, y, 0), length) };
            row.copy_from_slice(&from[start..start + length]);
        }
    });
}

/// Blocked to planar.
///
/// # Panics
/// If the shapes differ, or a buffer does not have its length.
pub fn to_planar((map, shape): (&[f32], MapShape), (planar, planar_shape): (&mut [f32], PlanarShape)) {
    planar_shape.check(planar, "the planar images");
    shape.check(map, "the map");
    check_same(&planar_shape, &shape);
    let to = Shared::new(planar);
    for_each_plane("to planar images", &shape, |image, block| {
        for y in 0..shape.height {
            let from = &map[shape.offset(image, block, y, 0)..][..shape.width * LANES];
            for channel in block * LANES..shape.channels.min((block + 1) * LANES) {
                let start = planar_row(&planar_shape, image, channel, y);
                // SAFETY: the channels of a block are written by one call.
                let row = unsafe { to.part(start, shape.width) };
                for (value, pixel) in row.iter_mut().zip(from.chunks_exact(LANES)) {
                    *value = pixel[channel % LANES];
                }
            }
        }
    });
}

fn planar_row(shape: &PlanarShape, image: usize, channel: usize, y: usize) -> usize {
    ((image * shape.channels + channel) * shape.height + y) * shape.width
}

fn check_same(planar: &PlanarShape, shape: &MapShape) {
    let planar = [planar.images, planar.channels, planar.height, planar.width];
    assert_eq!(planar, shape.size(), "planar and blocked");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_lies_where_it_belongs() {
        let shape = MapShape::new(2, 20, 2, 3, 1);
        let map: Vec<f32> = (0..shape.len()).map(|i| i as f32).collect();
        let slice = shape.with_halo(0).within(1, 4);
        let mut found = vec![-1.0; slice.len()];
        copy_map((&map, shape), (&mut found, slice));
        for (image, block) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let at = |shape: &MapShape| shape.offset(image, block, 1, 2);
            assert_eq!(found[at(&slice)..at(&slice) + 16], map[at(&shape)..at(&shape) + 16]);
        }
        assert_eq!(found.iter().filter(|&&value| value == -1.0).count(), slice.len() / 2);
    }

    #[test]
    fn there_and_back() {
        let planar_shape = PlanarShape { images: 2, channels: 21, height: 3, width: 5 };
        let planar: Vec<f32> = (0..planar_shape.len()).map(|index| index as f32 + 1.0).collect();
        let shape = MapShape::new(2, 21, 3, 5, 1).within(1, 4);
        let mut map = vec![-1.0; shape.len()];
        to_blocked((&planar, planar_shape), (&mut map, shape));
        // Channel 17 of image 1 at (2, 3).
        assert_eq!(map[shape.offset(1, 1, 2, 3) + 1], planar[((21 + 17) * 3 + 2) * 5 + 3]);
        let zeros = map.iter().filter(|&&value| value == 0.0).count();
        assert_eq!(zeros, 2 * 2 * 35 * 16 - planar.len(), "halo and surplus lanes");
        let mut back = vec![0.0; planar.len()];
        to_planar((&map, shape), (&mut back, planar_shape));
        assert_eq!(back, planar);
    }
}
