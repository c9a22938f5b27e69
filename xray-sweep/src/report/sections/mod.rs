//! The parts of a report: each file takes a sweep and says one thing about it.

mod calibration;
mod cells;
mod comparison;
mod cost;
mod curves;
mod data;
mod findings;
mod folds;
mod fractions;
mod headline;
mod label_multiples;
mod learning_curve;
mod net_benefit;
mod provenance;
mod run_time;
mod rungs;
mod sources;
mod thresholds;

use super::document::Section;
use super::sweep::Sweep;
use xray_metrics::Rule;

/// All of them, in the order of a reader's questions.
pub(super) fn all(sweep: &Sweep, other: Option<&Sweep>, rule: Rule) -> Vec<Section> {
    let mut sections = vec![headline::section(sweep)];
    if let Some(other) = other {
        sections.push(comparison::section(sweep, other));
    }
    sections.extend([
        rungs::section(sweep),
        fractions::section(sweep),
        folds::section(sweep),
        learning_curve::section(sweep),
        label_multiples::section(sweep),
        findings::section(sweep),
        sources::section(sweep),
        curves::section(sweep, rule),
        thresholds::section(sweep, rule),
        calibration::section(sweep),
        net_benefit::section(sweep),
        run_time::section(sweep),
        cost::section(sweep),
        cells::section(sweep),
        data::section(sweep),
        provenance::section(sweep),
    ]);
    sections.retain(|section| !section.blocks.is_empty());
    sections
}
