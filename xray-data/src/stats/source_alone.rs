//! What telling the sources of a data set apart earns: the AUC of a predictor that says of each image how often its source
//! has the finding. Two hospitals gave 0.86 for pneumonia (Zech et al., PLOS Medicine 15, 2018).

use super::SourceStats;

/// Per label; none where fewer than two sources know it, or where it has no positive or no negative image.
pub(super) fn per_label(sources: &[SourceStats], labels: usize) -> Vec<Option<f64>> {
    let counts = |label: usize| {
        let known = sources.iter().filter(move |source| source.known[label] > 0);
        known.map(move |source| {
            let positives = source.positives[label];
            (positives as f64, (source.known[label] - positives) as f64)
        })
    };
    (0..labels).map(|label| auc(counts(label).collect())).collect()
}

/// AUC of the positives' share as a score, from the positives and negatives of each source.
fn auc(mut sources: Vec<(f64, f64)>) -> Option<f64> {
    sources.sort_by(|a, b| (a.0 * (b.0 + b.1)).total_cmp(&(b.0 * (a.0 + a.1))));
    let (mut outranked, mut positives, mut negatives) = (0.0, 0.0, 0.0);
    for tied in sources.chunk_by(|a, b| a.0 * (b.0 + b.1) == b.0 * (a.0 + a.1)) {
        let own = tied.iter().fold((0.0, 0.0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        outranked += own.0 * (negatives + own.1 / 2.0);
        positives += own.0;
        negatives += own.1;
    }
    (sources.len() > 1 && positives > 0.0 && negatives > 0.0).then(|| outranked / (positives * negatives))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Brute force over all pairs of images.
    fn by_pairs(sources: &[(u32, u32)]) -> f64 {
        let share = |of: &(u32, u32)| f64::from(of.0) / f64::from(of.0 + of.1);
        let (mut won, mut pairs) = (0.0, 0.0);
        for a in sources {
            for b in sources {
                let count = f64::from(a.0) * f64::from(b.1);
                let wins =
                    if share(a) > share(b) { 1.0 } else { f64::from(u8::from(share(a) == share(b))) / 2.0 };
                (won, pairs) = (won + count * wins, pairs + count);
            }
        }
        won / pairs
    }

    #[test]
    fn shares_rank_the_images() {
        let check = |sources: &[(u32, u32)]| {
            let found = auc(sources.iter().map(|of| (f64::from(of.0), f64::from(of.1))).collect());
            assert!(
                (found.expect("both classes") - by_pairs(sources)).abs() < 1e-12,
                "{sources:?}: {found:?}"
            );
        };
        check(&[(3, 1), (1, 3)]);
        check(&[(1, 3), (40, 2), (7, 7), (0, 9), (5, 5)]);
        check(&[(2, 6), (1, 3)]);
    }

    /// Pneumonia in the two large sets of Zech et al.: 34.2 % of 42,396 images and 1.2 % of 112,120. On their test records,
    /// sorted by hospital, they found 0.861.
    #[test]
    fn two_hospitals_earn_what_was_published() {
        let found = auc(vec![(14_515.0, 27_881.0), (1_353.0, 110_767.0)]).expect("both classes");
        assert!((found - 0.861).abs() < 0.01, "{found}");
    }

    #[test]
    fn what_cannot_be_told_apart_has_none() {
        assert_eq!(auc(vec![(3.0, 1.0)]), None);
        assert_eq!(auc(vec![(3.0, 0.0), (2.0, 0.0)]), None);
        assert_eq!(auc(vec![]), None);
        let source = |positives, known| SourceStats { source: String::new(), images: 9, positives, known };
        let found = per_label(&[source(vec![3, 1], vec![4, 4]), source(vec![0, 3], vec![0, 4])], 2);
        assert_eq!(found, [None, Some(0.75)]);
    }
}
