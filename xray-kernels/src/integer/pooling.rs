//! The largest bytes of windows.
#![expect(unsafe_code, reason = "threads write disjoint rows of one buffer")]

use super::map::ByteMap;
use crate::context::Context;
use crate::lanes::LANES;
use crate::pooling::Pool;
use crate::shape::MapShape;
use crate::shared::Shared;
use crate::tasks::Split;
use std::ops::Range;

/// Max pooling, whose padding is never the largest; with a halo of the next layer's choice. The bytes stand for what
/// they did.
///
/// # Panics
/// If the pool takes another than the largest, or its window does not fit.
pub fn byte_max_pool(context: &Context, pool: Pool, input: &ByteMap, halo: usize) -> ByteMap {
    assert_eq!(pool.kind, crate::PoolKind::Max, "the mean is taken elsewhere");
    let from = input.shape();
    let [height, width] = [from.height, from.width].map(|size| pool.output_size(size));
    let shape = MapShape::new(from.images, from.channels, height, width, halo);
    let mut output = ByteMap::new(context, shape, input.quantisation());
    let (bytes, to) = (input.bytes(), Shared::new(output.buffer.bytes_mut()));
    let split = Split::new(shape.images, from.image() / 4, 0, shape.blocks(), height);
    split.for_each("max pooling of bytes", |part| {
        let mut largest = vec![0u8; from.width * LANES];
        for image in part.images {
            for block in part.columns.clone() {
                for y in part.rows.clone() {
                    largest.fill(0);
                    for row in window(&pool, y, from.height) {
                        let row = &bytes[from.offset(image, block, row, 0)..][..from.width * LANES];
                        largest.iter_mut().zip(row).for_each(|(most, &byte)| *most = byte.max(*most));
                    }
                    // SAFETY: each row is written by one call.
                    let row = unsafe { to.part(shape.offset(image, block, y, 0), width * LANES) };
                    for (x, pixel) in row.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                        *pixel = [0; LANES];
                        for column in &largest.as_chunks::<LANES>().0[window(&pool, x, from.width)] {
                            pixel.iter_mut().zip(column).for_each(|(most, &byte)| *most = byte.max(*most));
                        }
                    }
                }
            }
        }
    });
    output
}

/// Rows or columns of the input that a window meets.
fn window(pool: &Pool, at: usize, size: usize) -> Range<usize> {
    let start = at * pool.stride;
    start.saturating_sub(pool.padding)..(start + pool.kernel - pool.padding).min(size)
}
