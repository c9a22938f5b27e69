//! The picture of a range test: what the batches say, their mean, and the rates to know.

use super::shown::short;
use super::{Conclusion, Findings, Rates};
use xray_display::chart::{Axis, Chart, Scale, Series, Symbol, Tick};

impl Findings {
    /// Loss − loss of the first weights, by learning rate.
    pub fn chart(&self) -> Chart {
        let dots: Vec<_> = self.measurements.iter().map(|batch| (batch.rate, batch.difference())).collect();
        let line: Vec<_> = self.smoothed.iter().map(|mean| (mean.rate, mean.difference)).collect();
        let [low, high] = self.heights();
        let Rates { low: lowest, high: highest } = self.course.rates();
        let mut chart = Chart {
            title: "Learning-rate range test".into(),
            x: Axis {
                ticks: Some(powers_of_ten(self.course.rates())),
                ..Axis::new("learning rate", Scale::Log { low: lowest, high: highest })
            },
            y: Axis::new("loss − loss of the first weights, same batch", Scale::Linear { low, high }),
            series: vec![
                Series { look: 1, dots, ..Series::default() },
                Series { look: 0, line, ..Series::default() },
            ],
            levels: vec![0.0],
            legend: vec![(Symbol::Dot(1), "a batch".into()), (Symbol::Line(0), "smoothed".into())],
            empty: "nothing was measured",
        };
        if let Conclusion::Suggested { rate, .. } = self.conclusion {
            chart.series.push(Series {
                look: 2,
                dashed: vec![(rate, low), (rate, high)],
                ..Series::default()
            });
            chart.legend.push((Symbol::Dashed(2), format!("suggested: {}", short(rate))));
        }
        chart
    }

    /// The ends of the upright axis: the smoothed curve up to where it is least, the batches around it, and as much above
    /// as shows that it rises.
    fn heights(&self) -> [f64; 2] {
        let is_less =
            |a: &usize, b: &usize| self.smoothed[*a].difference.total_cmp(&self.smoothed[*b].difference);
        let least = (0..self.smoothed.len()).min_by(is_less).unwrap_or(0);
        let batches = self.measurements.iter().take(least + 1).map(super::Measurement::difference);
        let ends = |[low, high]: [f64; 2], value: f64| [low.min(value), high.max(value)];
        let [low, high] = batches.fold([0.0; 2], ends);
        let room = if high > low { high - low } else { 1e-6 };
        [low - room / 10.0, high + room / 2.0]
    }
}

fn powers_of_ten(Rates { low, high }: Rates) -> Vec<Tick> {
    let powers = (low.log10() - 1e-9).ceil() as i32..=(high.log10() + 1e-9).floor() as i32;
    powers.map(|power| 10_f64.powi(power)).map(|rate| (rate, short(rate))).collect()
}
