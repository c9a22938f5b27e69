//! Intervals over trials: Student's 95 %, and none where he has nothing to say.

use xray_metrics::mean_interval;

/// Where a figure can lie.
pub(super) type Range = [f64; 2];
/// Of AUCs and other shares.
pub(super) const SHARE: Range = [0.0, 1.0];
/// Of the difference of two shares.
pub(super) const DIFFERENCE: Range = [-1.0, 1.0];
/// Of times.
pub(super) const TIME: Range = [0.0, f64::INFINITY];

/// The mean's interval over trials. None of fewer than two. None either that leaves the figure's range: it takes means
/// for normally distributed, which those of a few trials near an end of the range are not, so its length is nothing
/// to go by, and cut off at the end it would still be of that length.
pub(super) fn over_trials(values: &[f64], range: Range) -> Option<[f64; 2]> {
    within(mean_interval(values).and_then(|(_, interval)| interval), range)
}

/// An interval if it lies where the figure can.
pub(super) fn within(interval: Option<[f64; 2]>, range: Range) -> Option<[f64; 2]> {
    interval.filter(|[low, high]| range[0] <= *low && *high <= range[1])
}

/// An interval at a place on the x axis, or that there is none.
type Place = (f64, Option<[f64; 2]>);
/// Some that are side by side.
type Piece = Vec<(f64, [f64; 2])>;

/// What is drawn of intervals side by side: a band through neighbours, and an upright bar where neither neighbour has
/// one. No band goes through a place without an interval.
pub(super) fn drawn(places: impl IntoIterator<Item = Place>) -> (Vec<Piece>, Piece) {
    let places: Vec<Place> = places.into_iter().collect();
    let pieces = places
        .split(|(_, interval)| interval.is_none())
        .map(|piece| piece.iter().filter_map(|(x, interval)| Some((*x, (*interval)?))).collect::<Piece>());
    let (bands, bars): (Vec<_>, Vec<_>) =
        pieces.filter(|piece| !piece.is_empty()).partition(|piece| piece.len() > 1);
    (bands, bars.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_says_what_can_be_or_nothing() {
        let check = |values: &[f64], range, expected: bool| {
            assert_eq!(over_trials(values, range).is_some(), expected, "{values:?}");
        };
        check(&[0.7], SHARE, false);
        check(&[0.70, 0.71], SHARE, true);
        // 0.529 ± 0.729.
        check(&[0.4716, 0.5864], SHARE, false);
        check(&[0.98, 0.99, 1.0], SHARE, false);
        check(&[60.0, 90.0], TIME, false);
        check(&[60.0, 61.0], TIME, true);
    }

    #[test]
    fn a_band_ends_where_there_is_no_interval() {
        let at = |x: f64| (x, [0.0, x]);
        let places = [Some(1.0), Some(2.0), None, Some(4.0), None, Some(6.0), Some(7.0), Some(8.0)];
        let places = places.iter().zip(1..).map(|(x, place)| (f64::from(place), x.map(|x| [0.0, x])));
        let (bands, bars) = drawn(places);
        assert_eq!(bands, [vec![at(1.0), at(2.0)], vec![at(6.0), at(7.0), at(8.0)]]);
        assert_eq!(bars, [at(4.0)]);
        assert_eq!(drawn([]), (Vec::new(), Vec::new()));
    }
}
