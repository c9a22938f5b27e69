//! `xray-eval`: what a model's scores are worth, from the files alone. Thresholds and calibrations are fitted on
//! validation records and reported on test records; nothing here trains.

mod appraisal;
mod appraisal_text;
mod bundle;
pub mod cli;
mod comparison;
mod explanation;
mod export;
mod net_benefit;
mod pointing;
mod score_file;
mod subgroups;
mod subject;
mod text_table;

pub use appraisal::{
    Appraisal, LabelPoint, LabelReliability, MissingInterval, OperatingPoints, Settings, appraise,
};
pub use bundle::{CalibratedBundle, calibrate_bundle};
pub use comparison::{ComparedModels, compare_subjects};
pub use explanation::{ExplainOptions, Explanation, explain};
pub use export::{Change, ExportFormat, ExportOptions, Exported, LabelChange, export};
pub use net_benefit::{LabelNetBenefit, net_benefits};
pub use pointing::{PointedFinding, Pointing, point};
pub use score_file::{ScoreFile, ScoreKind};
pub use subgroups::{Subgroup, subgroups};
pub use subject::Subject;
