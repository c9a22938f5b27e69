//! What a model's scores are worth, from the files of a run or from a table of any framework. Thresholds and
//! calibrations are fitted on validation records and reported on test records; nothing here trains.
//!
//! The binary `xray-eval` is this library behind a command line:
//!
//! ```
//! use xray_eval::{AppraiseOptions, Subject, appraise};
//! use xray_metrics::{Method, Rule};
//! # fn main() -> Result<(), xray_artifacts::Failure> {
//! # let dir = tempfile::tempdir().expect("a temporary folder");
//! # let file = dir.path().join("scores.csv");
//! # std::fs::write(&file, "Mass,score_Mass\n1,0.9\n0,0.4\n1,0.3\n0,0.2\n").expect("a writable folder");
//! let subject = Subject::of_scores(&file, None)?;
//! let options = AppraiseOptions { rule: Rule::Youden, calibration: Method::Platt };
//! assert_eq!(appraise(&subject, &options)?.test.macro_auc, Some(0.75));
//! # Ok(())
//! # }
//! ```

mod appraisal;
mod appraisal_text;
mod by_source;
mod calibrate;
mod carried;
pub mod cli;
mod comparison;
mod ensemble;
mod errors;
mod explanation;
mod export;
mod external;
mod figures;
mod importing;
mod labelled;
mod net_benefit;
mod out_of_fold;
mod pointing;
mod predict;
mod run_data;
mod run_model;
mod score_file;
mod subgroups;
mod subject;
mod test_records;

pub use appraisal::{
    Appraisal, AppraiseOptions, Constant, LabelPoint, LabelReliability, MissingInterval, OperatingPoints,
    appraise,
};
pub use calibrate::{CalibratedBundle, CalibrationData, calibrate_bundle, calibrate_bundle_on};
pub use carried::{Carried, CarriedCalibration, CarriedLabel};
pub use comparison::{ComparedModels, compare_subjects};
pub use ensemble::{Ensemble, EnsembleMember, EnsembleOptions, ensemble};
pub use errors::{Errors, ErrorsOptions, LabelMistakes, Mistake, Suspect, errors};
pub use explanation::{ExplainOptions, ExplainedImages, Explanation, explain};
pub use export::{Change, ExportFormat, ExportOptions, Exported, LabelChange, export};
pub use external::{External, ExternalOptions, LabelBeside, LabelMap, MatchedLabel, MatchedLabels, external};
pub use importing::{ImportModelOptions, ImportedModel, Pipeline, import_model};
pub use net_benefit::{LabelNetBenefit, net_benefits};
pub use out_of_fold::{FoldScores, LabelOutOfFold, OutOfFold, OutOfFoldAuc, OutOfFoldOptions, out_of_fold};
pub use pointing::{PointedFinding, Pointing, point};
pub use predict::{EmbedOptions, Embedded, Pace, PredictOptions, Predicted, embed, predict};
pub use score_file::{ScoreFile, ScoreKind};
pub use subgroups::{Subgroup, subgroups};
pub use subject::Subject;
