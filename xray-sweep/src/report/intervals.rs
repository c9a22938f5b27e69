//! Intervals over trials: Student's 95 %, none of fewer than three, and why.

use super::groups::Group;
use xray_metrics::mean_interval::MIN_REPETITIONS;
use xray_metrics::{Bounds, mean_interval};

/// The mean's interval over trials.
pub(super) fn over_trials(values: &[f64], bounds: Bounds) -> Option<[f64; 2]> {
    mean_interval(values, bounds).and_then(|(_, interval)| interval)
}

/// Where the trials that are done tell no interval of a figure from 0 to 1, and why; begins with a space.
pub(super) fn without_interval(groups: &[Group<'_>], values: impl Fn(&Group<'_>) -> Vec<f64>) -> String {
    let without = groups.iter().filter(|group| {
        let values = values(group);
        !values.is_empty() && over_trials(&values, Bounds::Share).is_none()
    });
    let (few, at_an_end): (Vec<&Group<'_>>, Vec<_>) =
        without.partition(|group| values(group).len() < MIN_REPETITIONS);
    let places =
        |groups: &[&Group<'_>]| groups.iter().map(|group| group.place()).collect::<Vec<_>>().join(", ");
    let mut text = String::new();
    if !few.is_empty() {
        text += &format!(" Fewer than three trials have none ({}).", places(&few));
    }
    if !at_an_end.is_empty() {
        text += &format!(" Trials that all have the same perfect score have none ({}).", places(&at_an_end));
    }
    text
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
