//! How a backward pass is cut: into pieces, which are rows of an image, and runs of pieces whose weight gradients are summed apart.

use std::ops::Range;

/// Runs for so many threads; where there are fewer, threads share out the blocks of a run too.
const THREADS: usize = 64;
/// Rows that pieces begin at multiples of: whole strips of module `winograd`, whole windows of 2 x 2 pooling.
const ROWS: usize = 4;
/// Below so many sums of their own, weights outweigh the gradients.
const FEWEST_RUNS: usize = 8;
/// Pixels that repay a sum of their own, which is written once and read once: with 98, a layer of 96 to 576 channels
/// took about a third longer on one thread.
const PIXELS: usize = 392;

/// Rows of the gradient of a convolution's output, of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) image: usize,
    pub(super) rows: Range<usize>,
    /// Whether they are the image's last.
    pub(super) is_last: bool,
}

/// Images cut into pieces, and pieces into runs: a function of shapes, never of threads, so that sums have the same bits
/// on any number of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    images: usize,
    height: usize,
    /// Rows of a piece; an image's last may be lower.
    pub(super) rows: usize,
    per_image: usize,
    pub(super) runs: usize,
}

impl Cut {
    /// Whole images in one run.
    pub(super) fn whole(images: usize, height: usize) -> Self {
        Self { images, height, rows: height, per_image: 1, runs: 1 }
    }

    /// None where the weights outweigh the gradients; then threads share out the weights instead. `weights` and
    /// `gradient` are floats: of a sum while it grows, and of all images.
    pub(super) fn new(
        images: usize,
        [height, width]: [usize; 2],
        weights: usize,
        gradient: usize,
    ) -> Option<Self> {
        let few = images.min(FEWEST_RUNS);
        if images < FEWEST_RUNS / 2 || weights * few > gradient {
            return None;
        }
        let repaid = (images * height * width / PIXELS).clamp(FEWEST_RUNS, THREADS);
        let runs = repaid.min(gradient / weights).max(1);
        if runs < 2 * images {
            // Runs of as many images each, as far as they go; up to a quarter more runs, rather than fewer of more images.
            let runs = images.div_ceil(images.div_ceil(runs + runs / 4));
            return Some(Self { runs, ..Self::whole(images, height) });
        }
        let strips = height.div_ceil(ROWS);
        let rows = strips.div_ceil(runs / images).max(1) * ROWS;
        let per_image = height.div_ceil(rows);
        Some(Self { images, height, rows: rows.min(height), per_image, runs: images * per_image })
    }

    /// Whether images are cut.
    pub(super) fn is_in_pieces(&self) -> bool {
        self.per_image > 1
    }

    /// All pieces, image after image, from top to bottom.
    pub(super) fn all(&self) -> Vec<Piece> {
        self.of(0..self.images * self.per_image)
    }

    /// Those of a run.
    pub(super) fn run(&self, run: usize) -> Vec<Piece> {
        let pieces = self.images * self.per_image;
        self.of(pieces * run / self.runs..pieces * (run + 1) / self.runs)
    }

    fn of(&self, numbers: Range<usize>) -> Vec<Piece> {
        let piece = |number: usize| {
            let (image, piece) = (number / self.per_image, number % self.per_image);
            let start = piece * self.rows;
            let rows = start..(start + self.rows).min(self.height);
            Piece { image, rows, is_last: piece + 1 == self.per_image }
        };
        numbers.map(piece).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_every_row_once() {
        for (images, height) in (1..70).flat_map(|images| [1, 4, 7, 14, 28, 57, 112].map(|h| (images, h))) {
            let all: Vec<_> =
                (0..images).flat_map(|image| (0..height).map(move |row| (image, row))).collect();
            for cut in
                [Some(Cut::whole(images, height)), Cut::new(images, [height, 50], 1, images * height * 50)]
            {
                let Some(cut) = cut else { continue };
                let runs: Vec<Piece> = (0..cut.runs).flat_map(|run| cut.run(run)).collect();
                let rows = runs.iter().flat_map(|band| band.rows.clone().map(|row| (band.image, row)));
                assert_eq!(rows.collect::<Vec<_>>(), all, "{cut:?}");
                assert_eq!(runs, cut.all());
                assert!(runs.iter().all(|piece| piece.is_last == (piece.rows.end == height)));
            }
        }
    }

    #[test]
    fn there_are_runs_for_many_threads_where_they_are_repaid() {
        let runs = |images, size: usize, weights| {
            let gradient = images * size * size * 64;
            Cut::new(images, [size, size], weights, gradient).map(|cut| (cut.runs, cut.rows))
        };
        assert_eq!(runs(32, 56, 10_000), Some((64, 28)));
        assert_eq!(runs(8, 56, 10_000), Some((56, 8)), "seven pieces of eight rows");
        assert_eq!(runs(100, 56, 10_000), Some((50, 56)), "two images each");
        assert_eq!(runs(32, 14, 10_000), Some((16, 14)), "a few pixels do not repay a sum");
        assert_eq!(runs(32, 28, 100_000), Some((16, 28)), "sums take no more memory than gradients");
        assert_eq!(runs(32, 32, 150_000), Some((16, 32)), "13 would be, and 16 have two images each");
        assert_eq!(runs(32, 14, 100_000), None, "the weights outweigh them");
        assert_eq!(runs(3, 56, 10_000), None, "few images");
    }
}
