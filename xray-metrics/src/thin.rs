//! Fewer points of a curve for drawing, so that a chart stays small.

/// At most `most` of `points`, in order: the two ends, then again and again the point that lies farthest
/// from the line drawn so far (Douglas and Peucker, Cartographica 10, 1973, which stops at a distance
/// instead). Points on the line are left out even if there is room. `place` says where a point is drawn,
/// both axes being of like length.
///
/// ```
/// use xray_metrics::thin;
///
/// let corner = [[0.0, 0.0], [0.0, 0.4], [0.1, 0.8], [0.5, 0.9], [1.0, 1.0]];
/// assert_eq!(thin(&corner, 3, |&point| point), [[0.0, 0.0], [0.1, 0.8], [1.0, 1.0]]);
/// ```
pub fn thin<P: Clone>(points: &[P], most: usize, place: impl Fn(&P) -> [f64; 2]) -> Vec<P> {
    if points.len() < 2 || most < 2 {
        return points.iter().take(most).cloned().collect();
    }
    let places: Vec<_> = points.iter().map(place).collect();
    let mut segments = vec![Segment::new(&places, 0, places.len() - 1)];
    while segments.len() + 1 < most {
        let by_distance = |a: &usize, b: &usize| segments[*a].distance.total_cmp(&segments[*b].distance);
        let Some(at) = (0..segments.len()).max_by(by_distance).filter(|&at| segments[at].distance > 0.0)
        else {
            break;
        };
        let Segment { first, farthest, last, .. } = segments[at];
        segments[at] = Segment::new(&places, first, farthest);
        segments.insert(at + 1, Segment::new(&places, farthest, last));
    }
    let starts = segments.iter().map(|segment| segment.first);
    starts.chain([places.len() - 1]).map(|at| points[at].clone()).collect()
}

/// A line between two points, and the point between them that lies farthest from it.
struct Segment {
    first: usize,
    last: usize,
    farthest: usize,
    /// 0 if no point lies off the line.
    distance: f64,
}

impl Segment {
    fn new(places: &[[f64; 2]], first: usize, last: usize) -> Self {
        let mut segment = Segment { first, last, farthest: first, distance: 0.0 };
        for at in first + 1..last {
            let distance = distance(places[at], places[first], places[last]);
            if distance > segment.distance {
                (segment.farthest, segment.distance) = (at, distance);
            }
        }
        segment
    }
}

/// From a point to the line through two others, or to the first if they are one.
fn distance(point: [f64; 2], first: [f64; 2], last: [f64; 2]) -> f64 {
    let from_first = |[x, y]: [f64; 2]| (x - first[0], y - first[1]);
    let ((x, y), (dx, dy)) = (from_first(point), from_first(last));
    let length = dx.hypot(dy);
    let distance = if length > 0.0 { (x * dy - y * dx).abs() / length } else { x.hypot(y) };
    // Rounding lifts points off a line by parts in 1e16 of its length.
    if distance > 1e-12 * length { distance } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn few_points_and_straight_lines() {
        let check = |points: &[[f64; 2]], most, expected: &[[f64; 2]]| {
            assert_eq!(thin(points, most, |&point| point), expected);
        };
        let line: Vec<_> = (0..=10).map(|i| [f64::from(i) / 10.0; 2]).collect();
        check(&line, 5, &[[0.0; 2], [1.0; 2]]);
        let thirds: Vec<_> = (0..=10).map(|i| [f64::from(i) / 10.0, f64::from(i) * 0.1 / 3.0]).collect();
        check(&thirds, 5, &[thirds[0], thirds[10]]); // not without rounding
        check(&line, 1, &[[0.0; 2]]);
        check(&line, 0, &[]);
        check(&[], 5, &[]);
        check(&[[1.0, 2.0]; 4], 3, &[[1.0, 2.0]; 2]);
        // A loop: the ends are one point.
        check(&[[0.0, 0.0], [0.5, 0.1], [0.0, 0.0]], 3, &[[0.0, 0.0], [0.5, 0.1], [0.0, 0.0]]);
    }

    #[test]
    fn the_worst_point_comes_first() {
        let stairs = [[0.0, 0.0], [0.0, 0.1], [0.1, 0.1], [0.1, 0.9], [0.9, 0.9], [1.0, 0.9], [1.0, 1.0]];
        let kept = |most| thin(&stairs, most, |&point| point);
        assert_eq!(kept(3), [stairs[0], stairs[3], stairs[6]]);
        assert_eq!(kept(4), [stairs[0], stairs[3], stairs[5], stairs[6]]);
        assert_eq!(kept(6), [stairs[0], stairs[1], stairs[2], stairs[3], stairs[5], stairs[6]]);
        assert_eq!(kept(7).len(), 6, "one of them lies on a line");
    }

    #[test]
    fn numbers_that_are_none_do_not_panic() {
        let points = [[0.0, 0.0], [f64::NAN, 1.0], [f64::INFINITY, 0.0], [1.0, f64::MAX], [1.0, 1.0]];
        assert!(thin(&points, 4, |&point| point).len() <= 4);
    }

    /// A rising curve, as both kinds are drawn.
    fn curve() -> impl Strategy<Value = Vec<[f64; 2]>> {
        let steps = prop::collection::vec((0_u8..4, 0_u8..4), 2..60);
        steps.prop_map(|steps| {
            let rise = |[x, y]: &mut [f64; 2], (dx, dy): (u8, u8)| {
                (*x, *y) = (*x + f64::from(dx) / 200.0, *y + f64::from(dy) / 200.0);
                Some([*x, *y])
            };
            steps.into_iter().scan([0.0; 2], rise).collect()
        })
    }

    proptest! {
        #[test]
        fn ends_stay_order_stays_and_there_are_not_too_many(points in curve(), most in 2_usize..70) {
            let kept = thin(&points, most, |&point| point);
            prop_assert!(kept.len() <= most);
            prop_assert_eq!((kept[0], kept[kept.len() - 1]), (points[0], points[points.len() - 1]));
            let mut rest = points.iter();
            prop_assert!(kept.iter().all(|point| rest.any(|other| other == point)));
        }

        #[test]
        fn with_room_for_all_only_points_on_the_line_go(points in curve()) {
            let kept = thin(&points, points.len(), |&point| point);
            let on_a_segment = |&point: &[f64; 2]| {
                kept.windows(2).any(|pair| {
                    let length = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
                    length(pair[0], point) + length(point, pair[1]) - length(pair[0], pair[1]) < 1e-9
                })
            };
            prop_assert!(points.iter().all(on_a_segment));
        }
    }
}
