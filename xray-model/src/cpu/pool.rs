//! Max and average pools as one operation.

use super::context;
use super::maps::{BlockedMaps, CpuMaps, Input, buffer};
use xray_kernels::{ArenaBuffer, MapShape, Pool};

/// The output has a halo of one.
const HALO: usize = 1;

/// Pools maps, in training and in inference.
pub(crate) fn pool(pool: Pool, maps: CpuMaps) -> CpuMaps {
    let (input, tape) = maps.into_parts();
    let (output, shape) = pooled(&pool, &input);
    let Some(tape) = tape else { return CpuMaps::inferred((output, shape)) };
    CpuMaps::made(BlockedMaps::new(output, shape), tape, false, move |gradient, _| {
        let given = (&gradient.buffer[..], gradient.shape);
        let cell = input.cell();
        cell.write(input.map().1, |map| pool.backward(context(), input.map(), given, map));
    })
}

fn pooled(pool: &Pool, input: &Input) -> (ArenaBuffer, MapShape) {
    let (values, MapShape { images, channels, height, width, .. }) = input.map();
    let [rows, columns] = [height, width].map(|size| pool.output_size(size));
    let shape = MapShape::new(images, channels, rows, columns, HALO);
    let mut output = buffer(&shape);
    pool.forward(context(), (values, input.map().1), (&mut output, shape));
    (output, shape)
}
