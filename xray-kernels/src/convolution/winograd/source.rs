//! Planes of pixels from which tiles are read, zero where a tile reaches beyond them.

use crate::lanes::LANES;
use crate::planes::Planes;
use crate::shape::MapShape;

/// Blocked planes with their halos.
#[derive(Clone, Copy)]
pub(in super::super) struct Source<'a> {
    /// From the corner of the first image's first plane.
    data: &'a [f32],
    image: usize,
    plane: usize,
    row: usize,
    /// Rows and columns of a plane, halo included.
    size: [usize; 2],
    halo: usize,
}

/// Where a strip's pixels are: the first, and the floats between rows.
pub(super) struct Strip {
    pub(super) first: *const f32,
    pub(super) row: usize,
}

impl<'a> Source<'a> {
    /// The planes of a convolution's input of so many rows and columns.
    pub(in super::super) fn of_planes(planes: &'a Planes, [height, width]: [usize; 2]) -> Self {
        let size = [height, width].map(|size| size + 2 * planes.halo);
        let Planes { image, plane, row, halo, .. } = *planes;
        Self { data: planes.image(0), image, plane, row, size, halo }
    }

    /// A map.
    pub(in super::super) fn of_map(data: &'a [f32], shape: &MapShape) -> Self {
        let size = [shape.height, shape.width].map(|size| size + 2 * shape.halo);
        let (image, plane, row) = (shape.image(), shape.plane(), shape.row());
        Self { data: &data[shape.corner(0, 0)..], image, plane, row, size, halo: shape.halo }
    }

    /// A strip of `rows` by `columns` pixels, the first of which is `[y, x]` after `padding` zeros. It is copied to
    /// the scratch where it reaches beyond the plane.
    pub(super) fn strip(
        &self,
        [image, block]: [usize; 2],
        y: usize,
        padding: usize,
        [rows, columns]: [usize; 2],
        scratch: &mut [f32],
    ) -> Strip {
        let x = self.halo.checked_sub(padding).expect("a halo at least as wide as the padding");
        let y = y + x;
        let plane = &self.data[image * self.image + block * self.plane..][..self.size[0] * self.row];
        let [rows_there, columns_there] = [(self.size[0] - y).min(rows), (self.size[1] - x).min(columns)];
        if rows_there == rows && columns_there == columns {
            return Strip { first: plane[y * self.row + x * LANES..].as_ptr(), row: self.row };
        }
        let length = columns * LANES;
        let scratch = &mut scratch[..rows * length];
        scratch.fill(0.0);
        for (row, to) in scratch.chunks_mut(length).take(rows_there).enumerate() {
            let from = &plane[(y + row) * self.row + x * LANES..][..columns_there * LANES];
            to[..from.len()].copy_from_slice(from);
        }
        Strip { first: scratch.as_ptr(), row: length }
    }
}
