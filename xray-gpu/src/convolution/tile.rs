//! Which tile of the output a group computes: a table, and a rule that picks from it by shape.
//!
//! Larger tiles load less for each multiplication; smaller ones waste less at the edges and make more groups. Where
//! even the best gives too few, the contraction is cut into pieces, whose sums a second pass adds up in their order.

/// A tile of the output, and the part of it that one unit holds in registers.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub struct Tile {
    /// Rows of a group's tile.
    pub rows: usize,
    /// Columns of a group's tile.
    pub columns: usize,
    /// Rows of a unit.
    pub register_rows: usize,
    /// Columns of a unit.
    pub register_columns: usize,
}

impl Tile {
    const fn new(rows: usize, columns: usize, register_rows: usize, register_columns: usize) -> Self {
        Self { rows, columns, register_rows, register_columns }
    }

    /// # Panics
    /// If the kernels that multiply in registers could not load it: four units take a row of terms, a group's units
    /// whole rows or whole columns, and a unit holds fours.
    pub(crate) fn check(self) {
        let held = [self.register_rows, self.register_columns].iter().all(|n| *n > 0 && n.is_multiple_of(4));
        let filled = held
            && self.rows.is_multiple_of(self.register_rows)
            && self.columns.is_multiple_of(self.register_columns);
        assert!(filled, "{self:?}: units of fours do not fill it");
        let units = self.units();
        for side in [self.rows, self.columns] {
            assert!((4 * side).is_multiple_of(units), "{self:?}: {units} units do not load its sides alike");
            assert!(
                units.is_multiple_of(side) || side.is_multiple_of(units),
                "{self:?}: {units} units load no whole rows or columns"
            );
        }
        assert!(units <= 256, "{self:?}: more units than every device has");
    }

    /// Units of a group.
    pub const fn units(self) -> usize {
        self.down() * self.across()
    }

    /// Units along the rows; a unit's rows are this far apart, so that neighbours read neighbouring memory.
    pub(crate) const fn down(self) -> usize {
        self.rows / self.register_rows
    }

    /// Units along the columns, and the distance of a unit's columns.
    pub(crate) const fn across(self) -> usize {
        self.columns / self.register_columns
    }

    /// Tiles down and across.
    pub(crate) fn cover(self, rows: usize, columns: usize) -> [usize; 2] {
        [rows.div_ceil(self.rows), columns.div_ceil(self.columns)]
    }
}

/// The tiles there are, and how fast one multiplies where nothing is wasted, against the first: as estimated for an
/// H200. [`Gpu::with_tiles`](crate::Gpu::with_tiles) takes others.
pub const TILES: [(Tile, f64); 7] = [
    (Tile::new(128, 128, 8, 8), 1.0),
    (Tile::new(128, 64, 8, 8), 0.95),
    (Tile::new(64, 64, 8, 8), 0.9),
    (Tile::new(128, 32, 8, 8), 0.85),
    (Tile::new(32, 128, 8, 8), 0.85),
    (Tile::new(64, 32, 8, 4), 0.6),
    (Tile::new(32, 32, 4, 4), 0.4),
];

/// Terms of the contraction that a group loads at a time.
pub(crate) const TERMS: usize = 16;

/// How fast a product in pieces is: a second launch waits for the first.
const SPLIT: f64 = 0.85;
/// Multiply-adds in the time that memory takes to write a float of a piece and read it again, on an H200: 10 a
/// picosecond against 4 bytes in one.
const TRAFFIC: f64 = 20.0;

/// A tile, and in how many pieces the contraction is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The tile of a group.
    pub tile: Tile,
    /// Pieces of the contraction, at least one.
    pub pieces: usize,
    /// Terms of a piece, a multiple of 16; the last may have fewer.
    pub terms: usize,
}

impl Plan {
    /// The best of `tiles` for an output of `rows` x `columns`, made `times` over, with `depth` terms each, on a device that
    /// `enough` groups keep busy. A piece has at least `least` terms: below, writing its sums costs more than it spreads.
    ///
    /// # Panics
    /// If there is no tile.
    pub fn choose(
        tiles: &[(Tile, f64)],
        rows: usize,
        columns: usize,
        times: usize,
        depth: usize,
        least: usize,
        enough: usize,
    ) -> Self {
        let most = (depth / least).max(1);
        let rated = tiles.iter().map(|&(tile, speed)| {
            let [down, across] = tile.cover(rows, columns);
            let groups = down * across * times;
            let terms = terms_of(depth, enough.div_ceil(groups).min(most));
            let pieces = depth.div_ceil(terms);
            let used = (rows * columns * times) as f64 / (groups * tile.rows * tile.columns) as f64;
            let filled = ((groups * pieces) as f64 / enough as f64).min(1.0);
            let split = if pieces > 1 { SPLIT / (1.0 + TRAFFIC * pieces as f64 / depth as f64) } else { 1.0 };
            let plan = Self { tile, pieces, terms };
            (groups * pieces >= enough, speed * used * filled * split, plan)
        });
        // Enough groups first, then speed.
        let better = |best: (bool, f64, Self), next: (bool, f64, Self)| {
            if (next.0, next.1) > (best.0, best.1) { next } else { best }
        };
        rated.reduce(better).expect("a table of tiles").2
    }
}

/// Terms of a piece: whole loads, and no fewer pieces than were asked for.
fn terms_of(depth: usize, pieces: usize) -> usize {
    if pieces == 1 { depth.next_multiple_of(TERMS) } else { (depth / pieces / TERMS * TERMS).max(TERMS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tile_can_be_loaded_by_its_units() {
        for (tile, _) in TILES {
            tile.check();
        }
    }

    /// What a group shares: the loaded terms, and a line of sums for each row of units, and their means. Many devices,
    /// Apple's among them, have 32 KiB.
    #[test]
    fn every_tile_fits_into_the_memory_of_a_group() {
        for (tile, _) in TILES {
            let loaded = TERMS * (tile.rows + tile.columns + 8);
            let sums = (tile.down() + 1) * tile.columns;
            assert!(4 * (loaded + sums) <= 32 << 10, "{tile:?}");
        }
    }

    #[test]
    fn the_tile_follows_the_shape() {
        let check = |rows, columns, depth, tile: [usize; 2], pieces| {
            let plan = Plan::choose(&TILES, rows, columns, 1, depth, 128, 264);
            assert_eq!(([plan.tile.rows, plan.tile.columns], plan.pieces), (tile, pieces), "{plan:?}");
            assert!(plan.terms * plan.pieces >= depth && plan.terms * (plan.pieces - 1) < depth);
        };
        check(1 << 20, 32, 288, [128, 32], 1); // few columns
        check(1 << 18, 64, 288, [128, 64], 1);
        check(1 << 16, 128, 576, [128, 128], 1);
        check(1 << 14, 256, 1152, [128, 64], 1); // 256 groups of 128 x 128 are too few
        check(64 * 49, 32, 1152, [64, 32], 6); // DenseNet's last block: 49 groups in one piece
        check(2, 3, 9, [32, 32], 1); // too little for anything
    }

    #[test]
    fn pieces_hold_all_terms() {
        for depth in 1..3000 {
            for rows in [1, 100, 5000] {
                let plan = Plan::choose(&TILES, rows, 40, 1, depth, 128, 264);
                let Plan { pieces, terms, .. } = plan;
                assert_eq!(terms % TERMS, 0);
                assert!(pieces * terms >= depth && (pieces - 1) * terms < depth, "{plan:?} of {depth}");
            }
        }
    }
}
