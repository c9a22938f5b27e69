//! How much the units say, if their luck is shared so far: sums of a generalised least squares fit, by size.

use super::training::Unit;

/// How much of the variance is luck that overlapping images share; the rest is each unit's own. Which of them the
/// units follow is not known, so a curve counts as possible if it is under one of them.
const SHARED: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 0.9];

/// The inverse of a covariance of the units, summed over the units of each size, and the scores under it.
pub(super) struct Weights {
    /// `[sizes, sizes]`.
    of_sizes: Vec<f64>,
    /// Sum of a row.
    of_size: Vec<f64>,
    /// Weighted scores, less their weighted mean, of each size.
    scores: Vec<f64>,
    /// Weight of everything.
    pub(super) total: f64,
    /// Weighted mean score.
    pub(super) mean: f64,
    /// Weighted squares about it.
    pub(super) about_mean: f64,
    /// Logarithm of the covariance's determinant.
    pub(super) log_determinant: f64,
    pub(super) sizes: usize,
}

impl Weights {
    /// Those of each covariance that is thought possible, the one without shared luck first.
    pub(super) fn all(units: &[Unit], sizes: usize) -> Vec<Weights> {
        SHARED.iter().map(|&shared| Weights::new(units, sizes, shared)).collect()
    }

    fn new(units: &[Unit], sizes: usize, shared: f64) -> Weights {
        let covariance = |a: usize, b: usize| {
            let own = if a == b { 1.0 - shared } else { 0.0 };
            let (a, b) = (&units[a], &units[b]);
            let luck = if shared == 0.0 { 0.0 } else { shared * a.shared_luck(b) };
            (own + luck) / ((a.trainings * b.trainings) as f64).sqrt()
        };
        let root = cholesky(units.len(), covariance);
        let log_determinant = (0..units.len()).map(|at| 2.0 * root[at * units.len() + at].ln()).sum();
        let solved = |value: &dyn Fn(&Unit) -> f64| {
            let mut column: Vec<f64> = units.iter().map(value).collect();
            solve(&root, &mut column);
            column
        };
        let columns: Vec<Vec<f64>> =
            (0..sizes).map(|size| solved(&|unit| f64::from(u8::from(unit.size == size)))).collect();
        let of_sizes: Vec<f64> =
            columns.iter().flat_map(|a| columns.iter().map(move |b| inner(a, b))).collect();
        let of_size: Vec<f64> = of_sizes.chunks(sizes).map(|row| row.iter().sum()).collect();
        let total: f64 = of_size.iter().sum();
        let raw = solved(&|unit| unit.score);
        let mean = columns.iter().map(|column| inner(column, &raw)).sum::<f64>() / total;
        let centred = solved(&|unit| unit.score - mean);
        let scores = columns.iter().map(|column| inner(column, &centred)).collect();
        let about_mean = inner(&centred, &centred);
        Weights { of_sizes, of_size, scores, total, mean, about_mean, log_determinant, sizes }
    }

    /// The weighted mean of a value of each size, its weighted squares about it, and the values less it.
    pub(super) fn about_mean_of(&self, values: &[f64]) -> (f64, f64, Vec<f64>) {
        let mean = inner(&self.of_size, values) / self.total;
        let centred: Vec<f64> = values.iter().map(|value| value - mean).collect();
        (mean, self.squares_of(&centred), centred)
    }

    /// The weighted squares of a value of each size.
    pub(super) fn squares_of(&self, values: &[f64]) -> f64 {
        let mut products = vec![0.0; self.sizes];
        for (row, value) in self.of_sizes.chunks_exact(self.sizes).zip(values) {
            products.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight * value);
        }
        inner(&products, values)
    }

    /// The weighted products of a value of each size and the scores less `base`.
    pub(super) fn products_with(&self, values: &[f64], base: f64) -> f64 {
        inner(&self.scores, values) + (self.mean - base) * inner(&self.of_size, values)
    }

    /// The weighted squares of the scores about the best mean of each size: what no curve can explain.
    pub(super) fn within_sizes(&self) -> f64 {
        let root = cholesky(self.sizes, |a, b| self.of_sizes[a * self.sizes + b]);
        let mut column = self.scores.clone();
        solve(&root, &mut column);
        self.about_mean - inner(&column, &column)
    }
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The lower root of a symmetric positive matrix `[side, side]`.
fn cholesky(side: usize, matrix: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let mut root = vec![0.0; side * side];
    for row in 0..side {
        for column in 0..=row {
            let (a, b) = (row * side, column * side);
            let rest = matrix(row, column) - inner(&root[a..a + column], &root[b..b + column]);
            root[a + column] =
                if row == column { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / root[b + column] };
        }
    }
    root
}

/// Multiplies by the inverse of a lower root.
fn solve(root: &[f64], column: &mut [f64]) {
    let side = column.len();
    for row in 0..side {
        let known = inner(&root[row * side..row * side + row], &column[..row]);
        column[row] = (column[row] - known) / root[row * side + row];
    }
}

#[cfg(test)]
mod tests {
    use super::super::training::{Training, units};
    use super::*;

    #[test]
    fn weights_are_those_of_the_inverse() {
        let training = |images: f64, start, score| Training { images, score, start, share: images / 40.0 };
        let trainings = [
            training(10.0, 0.0, 0.5),
            training(10.0, 0.5, 0.6),
            training(40.0, 0.0, 0.9),
            training(40.0, 0.0, 0.7),
        ];
        let alone = &Weights::all(&units(&trainings), 2)[0];
        // Without shared luck every training counts once.
        let near = |(found, expected): (&f64, f64)| (found - expected).abs() < 1e-12;
        assert!(alone.of_sizes.iter().zip([2.0, 0.0, 0.0, 2.0]).all(near), "{:?}", alone.of_sizes);
        assert!((alone.mean - 0.675).abs() < 1e-12 && alone.sizes == 2);
        assert!(
            (alone.about_mean - (0.175_f64.powi(2) + 0.075_f64.powi(2) + 2.0 * 0.125_f64.powi(2))).abs()
                < 1e-12
        );
        assert!((alone.within_sizes() - 0.005).abs() < 1e-12, "{}", alone.within_sizes());
        // By numpy.linalg.inv.
        let half = &Weights::all(&units(&trainings), 2)[2];
        let expected = [2.2857142857142856, -0.8081220356417684, -0.8081220356417684, 2.285714285714285];
        for (found, expected) in half.of_sizes.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
        }
        assert!((half.log_determinant - -0.8266785731844677).abs() < 1e-9, "{}", half.log_determinant);
    }
}
