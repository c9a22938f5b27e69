//! How work is shared out: the one place where tasks meet threads, and how maps are cut into tasks: by images, and
//! where they are few, by columns (output blocks) and rows too.
#![expect(unsafe_code, reason = "threads take disjoint chunks of one buffer")]

use crate::lanes::LANES;
use crate::recording;
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::team;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Floats of input that should stay in the cache of a core while weights pass by: 512 KiB.
const CACHE: usize = 128 * 1024;

/// Threads of the team or the current pool, or those that a recording stands for.
pub(crate) fn threads() -> usize {
    let here = || team::threads_here().unwrap_or_else(rayon::current_num_threads);
    recording::workers().map_or_else(here, Into::into)
}

/// Calls with each number below `count`, on the threads of the team or the pool, and waits for all. Name and floats are for
/// recordings: what the pass does, and over how much.
pub(crate) fn for_each(name: &'static str, floats: usize, count: usize, task: impl Fn(usize) + Sync) {
    // A pass of one task, or one that no other thread can take a part of, is not a reason to wake anybody.
    if count <= 1 || threads() == 1 && recording::workers().is_none() {
        return (0..count).for_each(task);
    }
    if recording::workers().is_some() {
        return recording::record(name, floats, count, task);
    }
    match team::threads_here() {
        Some(_) => team::run(count, &task),
        None => (0..count).into_par_iter().for_each(&task),
    }
}

/// Calls with each chunk of so many elements and its number, the last one perhaps shorter.
pub(crate) fn for_each_chunk<T: Copy + Send>(
    name: &'static str,
    data: &mut [T],
    length: usize,
    task: impl Fn(usize, &mut [T]) + Sync,
) {
    let (floats, count) = (data.len(), data.len().div_ceil(length));
    let data = Shared::new(data);
    for_each(name, floats, count, |number| {
        let start = number * length;
        // SAFETY: chunks do not meet, and each is one task's.
        task(number, unsafe { data.part(start, length.min(floats - start)) });
    });
}

/// What each of so many images gives, in their order. Whole groups of as many images as there are threads go side by side,
/// an image to a thread, which then waits for nobody between passes; each of the rest has all threads to itself.
pub fn of_each_image<T: Send>(images: usize, make: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let abreast = if threads() == 1 { 0 } else { images - images % threads() };
    let made: Vec<Mutex<Option<T>>> = (0..abreast).map(|_| Mutex::new(None)).collect();
    for_each("images side by side", abreast, abreast, |image| {
        *made[image].lock().unwrap_or_else(PoisonError::into_inner) = Some(make(image));
    });
    let of_slot = |slot: Mutex<Option<T>>| slot.into_inner().unwrap_or_else(PoisonError::into_inner);
    let abreast_made = made.into_iter().filter_map(of_slot);
    abreast_made.chain((abreast..images).map(&make)).collect()
}

/// A grid of images, columns and rows, cut into parts.
///
/// How it is cut depends on the number of threads, so only for work where each element of the result is
/// computed the same way whatever its part.
pub(crate) struct Split {
    sizes: [usize; 3],
    steps: [usize; 3],
    floats: usize,
}

/// One part.
pub(crate) struct Part {
    pub(crate) images: Range<usize>,
    pub(crate) columns: Range<usize>,
    pub(crate) rows: Range<usize>,
}

impl Split {
    /// Cuts for the threads of the current pool. An image has `floats` of input and a column `weights`: whatever
    /// is larger stays in the cache while the other passes by.
    pub(crate) fn new(images: usize, floats: usize, weights: usize, columns: usize, rows: usize) -> Self {
        let threads = threads();
        let sizes = [images, columns, rows];
        if threads == 1 || images >= 2 * threads {
            let most = images.div_ceil(2 * threads).min(images);
            let group = if weights > floats { most } else { (CACHE / floats.max(1)).clamp(1, most) };
            return Self { sizes, steps: [group, columns, rows], floats: images * floats };
        }
        let wanted = 4 * threads;
        let column_parts = columns.min(wanted.div_ceil(images));
        // A band of fewer than four rows reads more halo than it is worth.
        let row_parts = wanted.div_ceil(images * column_parts).min(rows.div_ceil(4));
        let steps = [1, columns.div_ceil(column_parts), rows.div_ceil(row_parts)];
        Self { sizes, steps, floats: images * floats }
    }

    /// Calls for each part, on the threads of the pool.
    pub(crate) fn for_each(&self, name: &'static str, call: impl Fn(Part) + Sync) {
        let counts: [usize; 3] = std::array::from_fn(|axis| self.sizes[axis].div_ceil(self.steps[axis]));
        for_each(name, self.floats, counts.iter().product(), |number| {
            // Parts of one size, as nearly as there can be: a last one that is small leaves a thread idle.
            let axis = |axis: usize, index: usize| {
                let edge = |index: usize| index * self.sizes[axis] / counts[axis];
                edge(index)..edge(index + 1)
            };
            let (image, rest) = (number / (counts[1] * counts[2]), number % (counts[1] * counts[2]));
            call(Part {
                images: axis(0, image),
                columns: axis(1, rest / counts[2]),
                rows: axis(2, rest % counts[2]),
            });
        });
    }
}

/// Calls with each image and block of a map, on the threads of the pool.
pub(crate) fn for_each_plane(name: &'static str, shape: &MapShape, call: impl Fn(usize, usize) + Sync) {
    for_each_of(name, shape, shape.blocks(), call);
}

/// Calls with each image and column, on the threads of the pool: whole images where there are enough.
pub(crate) fn for_each_of(
    name: &'static str,
    shape: &MapShape,
    columns: usize,
    call: impl Fn(usize, usize) + Sync,
) {
    let split = Split {
        floats: shape.pixels() * shape.blocks() * LANES,
        ..Split::new(shape.images, CACHE, 0, columns, 1)
    };
    split.for_each(name, |part| {
        for image in part.images {
            part.columns.clone().for_each(|column| call(image, column));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_side_by_side_come_back_in_their_order() {
        for images in [0, 1, 2, 3, 11, 64] {
            let expected: Vec<usize> = (0..images).map(|image| image * image).collect();
            assert_eq!(of_each_image(images, |image| image * image), expected);
        }
    }

    #[test]
    fn parts_are_of_one_size_as_nearly_as_there_can_be() {
        for images in [1, 7, 13, 16, 100] {
            let sizes = Mutex::new(Vec::new());
            Split::new(images, 10, 1000, 1, 1).for_each("test", |part| {
                sizes.lock().expect("no panic").push(part.images.len());
            });
            let sizes = sizes.into_inner().expect("no panic");
            let ends = sizes.iter().min().zip(sizes.iter().max());
            assert!(ends.is_some_and(|(least, most)| most - least <= 1), "{images}: {sizes:?}");
        }
    }

    #[test]
    fn every_cell_belongs_to_one_part() {
        for (images, columns, rows) in [(1, 1, 1), (1, 5, 7), (3, 2, 9), (40, 3, 8)] {
            let seen = Mutex::new(vec![0; images * columns * rows]);
            Split::new(images, 1000, 10, columns, rows).for_each("test", |part| {
                let mut seen = seen.lock().expect("no panic");
                for image in part.images {
                    for column in part.columns.clone() {
                        for row in part.rows.clone() {
                            seen[(image * columns + column) * rows + row] += 1;
                        }
                    }
                }
            });
            assert!(seen.lock().expect("no panic").iter().all(|&count| count == 1));
        }
    }
}
