//! `curve.svg`: the course of a finished run, drawn from its `metrics.jsonl`, in which no step stands twice: a run that
//! goes on cuts it back to its checkpoint.

use serde_json::Value;
use std::fs;
use std::path::Path;
use xray_artifacts::{Failure, FileError, SealedLine, Split, line_seal, write_bytes};
use xray_display::chart::Chart;

/// Number of points drawn of the training loss. Each is the mean of consecutive lines, because single batches differ
/// more than an epoch changes the loss.
const POINTS: usize = 60;

/// Draws losses and the validation AUC by step; `loss` is the name of what was minimised. Returns what is to be said of
/// damaged lines, which are left out.
///
/// # Errors
/// If a file cannot be read or written.
pub(super) fn draw(metrics: &Path, loss: &str, to: &Path) -> Result<Option<String>, Failure> {
    let bytes = fs::read(metrics);
    let bytes = bytes.map_err(|source| FileError::Io { path: metrics.to_owned(), action: "read", source })?;
    let text = String::from_utf8_lossy(&bytes);
    let is_damaged = |line: &&str| line_seal(line.as_bytes()) == SealedLine::Damaged;
    let (damaged, whole): (Vec<_>, Vec<_>) = text.lines().partition(is_damaged);
    write_bytes(to, svg(&whole.join("\n"), loss).as_bytes())?;
    let said = || format!("{}: {} damaged lines are left out of the curve", metrics.display(), damaged.len());
    Ok((!damaged.is_empty()).then(said))
}

fn svg(metrics: &str, loss: &str) -> String {
    // A line that was cut off by a machine that died is not a reason to have no picture.
    let lines: Vec<Value> = metrics.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |event: &'static str| lines.iter().filter(move |line| line["event"] == event);
    let point = |line: &Value, name: &str| Some((line["step"].as_f64()?, line[name].as_f64()?));
    let training: Vec<_> = of("step").filter_map(|line| point(line, "loss")).collect();
    let validation = || of("evaluation").filter(|line| line["split"] == Split::Val.name());
    let series = |name: &str| validation().filter_map(|line| point(line, name)).collect::<Vec<_>>();
    let losses = [
        (format!("training loss ({loss})"), averaged(&training)),
        ("validation log loss".to_owned(), series("macro_log_loss")),
    ];
    Chart::stacked(&[
        Chart::lines("Loss", "step", "mean over labels", losses),
        Chart::lines("Validation macro-AUC", "step", "AUC", [("validation macro-AUC", series("macro_auc"))]),
    ])
}

/// Means of runs of points.
fn averaged(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let run = points.len().div_ceil(POINTS).max(1);
    let mean = |points: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| {
        points.iter().map(of).sum::<f64>() / points.len() as f64
    };
    points.chunks(run).map(|run| (mean(run, |point| point.0), mean(run, |point| point.1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_points_become_few() {
        let points: Vec<_> = (1..=120).map(|step| (f64::from(step), f64::from(step % 2))).collect();
        let found = averaged(&points);
        assert_eq!((found.len(), found[0], found[59]), (60, (1.5, 0.5), (119.5, 0.5)));
        assert_eq!(averaged(&points[..2]), points[..2]);
        assert!(averaged(&[]).is_empty());
    }

    #[test]
    fn a_curve_has_what_was_trained_and_what_was_validated() {
        let metrics = "{\"event\":\"step\",\"step\":1,\"loss\":0.7}\n{\"event\":\"step\",\"step\":2,\"loss\":0.5}\n\
                       {\"event\":\"evaluation\",\"step\":2,\"split\":\"val\",\"macro_auc\":0.6,\"macro_log_loss\":0.4}\n\
                       {\"event\":\"evaluation\",\"step\":2,\"split\":\"test\",\"macro_auc\":0.9,\"macro_log_loss\":0.1}\n\
                       {\"event\":\"step\",\"st";
        let svg = svg(metrics, "bce");
        for text in ["training loss (bce)", "validation log loss", "Validation macro-AUC"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
        assert!(!svg.contains("nothing to draw"), "{svg}");
        // Two of training; one each of log loss and AUC; and one in the legend of each.
        assert_eq!(svg.matches("class=\"dot ").count(), 2 + 1 + 1 + 3, "{svg}");
    }
}
