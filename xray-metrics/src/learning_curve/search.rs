//! The bends of a family that cost least, and all that cost little.
//!
//! What is left of a cost when the exponent is chosen best is searched along the middle. A grid over both would miss
//! the narrow slanting valley in which middle and exponent trade.

use super::bend::{Bend, Family};

/// Steps of a grid along the middle.
const ROWS: usize = 24;
/// Steps of a grid along the exponent.
const COLUMNS: usize = 8;
const NARROWINGS: usize = 16;
/// Of the best row.
const POLISHING: usize = 30;
const BISECTIONS: usize = 16;
/// Bends that are taken from a row.
const OF_A_ROW: usize = 6;
/// A valley with fewer rows than this is looked at again with narrower rows.
const ENOUGH_ROWS: usize = 6;
const LOOKS: usize = 6;

/// The bends of a family over sizes from and to these.
pub(super) struct Search<'a> {
    pub(super) family: Family,
    pub(super) sizes: [f64; 2],
    /// Infinite for what is impossible.
    pub(super) cost: &'a dyn Fn(&Bend) -> f64,
}

/// The best of a row, and what it costs.
#[derive(Clone, Copy)]
struct Row {
    middle: f64,
    exponent: f64,
    cost: f64,
}

impl Search<'_> {
    fn bend(&self, middle: f64, exponent: f64) -> Bend {
        Bend { family: self.family, from: self.sizes[0].ln(), middle, exponent: exponent.exp() }
    }

    fn exponents(&self) -> [f64; 2] {
        self.family.exponents().map(f64::ln)
    }

    /// The best exponent of a middle: on a grid, then by golden sections between the best one's neighbours.
    fn row(&self, middle: f64, narrowings: usize) -> Row {
        let [low, high] = self.exponents();
        let cost = |exponent: f64| (self.cost)(&self.bend(middle, exponent));
        if low == high {
            return Row { middle, exponent: low, cost: cost(low) };
        }
        let places = grid([low, high], COLUMNS);
        let costs: Vec<f64> = places.iter().map(|&place| cost(place)).collect();
        let best = lowest(&costs);
        let (mut from, mut to) = (places[best.saturating_sub(1)], places[(best + 1).min(COLUMNS)]);
        let golden = (5_f64.sqrt() - 1.0) / 2.0;
        for _ in 0..narrowings {
            let (a, b) = (to - golden * (to - from), from + golden * (to - from));
            if cost(a) <= cost(b) { to = b } else { from = a }
        }
        let middle_of = f64::midpoint(from, to);
        // The golden sections never try the ends of the range.
        let tried = [(middle_of, cost(middle_of)), (places[best], costs[best])];
        let (exponent, cost) = if tried[0].1 <= tried[1].1 { tried[0] } else { tried[1] };
        Row { middle, exponent, cost }
    }

    fn rows(&self, range: [f64; 2]) -> Vec<Row> {
        if range[0] == range[1] {
            return vec![self.row(range[0], NARROWINGS)];
        }
        grid(range, ROWS).into_iter().map(|middle| self.row(middle, NARROWINGS)).collect()
    }

    /// The bend that costs least, and what it costs.
    pub(super) fn best(&self) -> (Bend, f64) {
        let mut range = self.family.middles(self.sizes);
        let mut best: Option<Row> = None;
        for _ in 0..3 {
            let rows = self.rows(range);
            let at = lowest(&rows.iter().map(|row| row.cost).collect::<Vec<_>>());
            if best.is_none_or(|best| rows[at].cost < best.cost) {
                best = Some(rows[at]);
            }
            range = [rows[at.saturating_sub(1)].middle, rows[(at + 1).min(rows.len() - 1)].middle];
            if range[0] == range[1] {
                break;
            }
        }
        let best = self.row(best.expect("a row").middle, POLISHING);
        (self.bend(best.middle, best.exponent), best.cost)
    }

    /// Bends all over where the cost is at most `most`; `best` is the best.
    pub(super) fn up_to(&self, most: f64, best: &Bend) -> Vec<Bend> {
        let mut range = self.family.middles(self.sizes);
        let mut rows = Vec::new();
        for _ in 0..LOOKS {
            rows = self.rows(range);
            let low: Vec<usize> = (0..rows.len()).filter(|&at| rows[at].cost <= most).collect();
            if rows.len() == 1 || low.len() >= ENOUGH_ROWS {
                break;
            }
            // Around what was found, or, of nothing, around the best.
            let nearest = rows.iter().take_while(|row| row.middle < best.middle).count().min(ROWS);
            let [first, last] = match (low.first(), low.last()) {
                (Some(&first), Some(&last)) => [first, last],
                _ => [nearest, nearest],
            };
            range = [rows[first.saturating_sub(1)].middle, rows[(last + 1).min(ROWS)].middle];
        }
        let found = rows.iter().filter(|row| row.cost <= most).flat_map(|row| self.of_row(row, most));
        found.chain([*best]).collect()
    }

    /// From the lowest to the highest exponent of a row that costs at most `most`.
    fn of_row(&self, row: &Row, most: f64) -> Vec<Bend> {
        let ends = self.exponents().map(|end| self.edge(row, end, most));
        grid(ends, OF_A_ROW).into_iter().map(|exponent| self.bend(row.middle, exponent)).collect()
    }

    /// The last exponent on the way from a row's best to `end` that costs at most `most`.
    fn edge(&self, row: &Row, end: f64, most: f64) -> f64 {
        let costs_little = |exponent: f64| (self.cost)(&self.bend(row.middle, exponent)) <= most;
        if costs_little(end) {
            return end;
        }
        let (mut inside, mut outside) = (row.exponent, end);
        for _ in 0..BISECTIONS {
            let between = f64::midpoint(inside, outside);
            if costs_little(between) { inside = between } else { outside = between }
        }
        inside
    }
}

fn grid([low, high]: [f64; 2], steps: usize) -> Vec<f64> {
    let at = |step: usize| low + (high - low) * step as f64 / steps as f64;
    (0..=steps).map(at).collect()
}

fn lowest(costs: &[f64]) -> usize {
    (0..costs.len()).min_by(|&a, &b| costs[a].total_cmp(&costs[b])).expect("a cost")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [f64; 2] = [50.0, 5000.0];

    /// A slanting valley, as narrow as `width`.
    fn valley(width: f64) -> impl Fn(&Bend) -> f64 {
        move |bend| {
            let (x, y) = (bend.middle - 7.0, bend.exponent.ln() + 0.2);
            (x + 2.0 * y).powi(2) / width.powi(2) + (x - y).powi(2)
        }
    }

    #[test]
    fn the_bottom_of_a_narrow_valley_is_found() {
        for width in [1.0, 0.1, 0.003] {
            let cost = valley(width);
            let search = Search { family: Family::Saturation, sizes: SIZES, cost: &cost };
            let (bend, cost) = search.best();
            assert!(cost < 1e-3, "{width}: {bend:?} costs {cost}");
            assert!((bend.middle - 7.0).abs() < 0.05, "{bend:?}");
        }
    }

    /// At cost 0.09 the valley reaches 0.2 from its bottom along the middle, however narrow it is.
    #[test]
    fn all_of_a_narrow_valley_is_found() {
        for width in [0.1, 0.003] {
            let cost = valley(width);
            let search = Search { family: Family::Saturation, sizes: SIZES, cost: &cost };
            let found = search.up_to(0.09, &search.best().0);
            assert!(found.iter().all(|bend| cost(bend) <= 0.09 + 1e-9));
            let middles = || found.iter().map(|bend| bend.middle);
            let (low, high) = (middles().fold(f64::MAX, f64::min), middles().fold(f64::MIN, f64::max));
            assert!((6.78..6.85).contains(&low) && (7.15..7.22).contains(&high), "{width}: {low} to {high}");
        }
    }

    #[test]
    fn an_exponent_at_the_end_of_its_range_is_found() {
        let cost = |bend: &Bend| bend.exponent;
        let search = Search { family: Family::Power, sizes: SIZES, cost: &cost };
        assert!((search.best().0.exponent - 0.05).abs() < 1e-9);
        let found = search.up_to(0.2, &search.best().0);
        let highest = found.iter().map(|bend| bend.exponent).fold(f64::MIN, f64::max);
        assert!((highest - 0.2).abs() < 1e-3, "{highest}");
    }
}
