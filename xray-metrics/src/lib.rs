//! How good a multi-label classifier is, on plain slices: no tensors, no files.
//!
//! Scores are logits, or probabilities with logits made of them; labels are 0, 1 or NaN for unknown, both row-major `[records, labels]`. A figure that
//! the data do not define is `None`, never 0.5. [`evaluate`] makes all figures at once:
//!
//! ```
//! use xray_metrics::{Scores, evaluate};
//!
//! let labels = ["Mass".to_string(), "Hernia".to_string()];
//! // Four records of three patients; nobody knows of a hernia in the last record, and nobody has one.
//! let logits = [2.0, -3.0, -1.0, -3.5, 0.5, -2.0, 1.0, -4.0];
//! let truth = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, f32::NAN];
//! let scores = Scores::new(&logits, &truth, 2)?;
//!
//! let evaluation = evaluate(&labels, scores, &[0.05, 0.002], Some(&[7, 7, 8, 9]))?;
//! assert_eq!(evaluation.labels[0].auc, Some(0.75));
//! assert_eq!(evaluation.labels[1].auc, None); // no positives
//! assert_eq!(evaluation.macro_auc, Some(0.75)); // over the one label that has an AUC
//! assert_eq!(evaluation.undefined_labels, 1);
//! # Ok::<(), xray_metrics::Error>(())
//! ```
//!
//! | module | figure |
//! |---|---|
//! | [`mod@auc`] | area under the ROC curve |
//! | [`mod@average_precision`] | area under the precision-recall steps |
//! | [`probability`] | Brier score and log loss |
//! | [`baseline`] | a baseline that ignores the image |
//! | [`mod@metadata`], [`logistic`] | what sex, age and view get without the image |
//! | [`mod@learning_curve`] | how a score grows with the training images, and how many it takes |
//! | [`mod@mean_interval`] | the mean of a few trials, and the difference of two such means |
//! | [`mod@auc_interval`] | how far AUCs could differ on other patients |
//! | [`mod@within`], [`sources`] | AUCs within each source, and what telling sources apart gets |
//! | [`units`] | whose records count as independent |
//! | [`collapse`] | labels that get the same score for every image |
//! | [`confusion`], [`mod@wilson`] | right and wrong calls at a threshold, and the intervals of their shares |
//! | [`curves`], [`mod@thin`] | ROC and precision-recall curves, small enough to draw |
//! | [`split`] | which records may choose and which may only be reported |
//! | [`rule`], [`threshold`] | thresholds chosen on the validation records |
//! | [`operating_point`] | what they do on the test records |
//! | [`one_sided`] | thresholds that call everybody the same |
//! | [`mod@reliability`], [`mod@brier_decomposition`] | whether probabilities mean what they say |
//! | [`mod@calibration_error`] | how far they are off, beside what chance makes of it |
//! | [`mod@delong`] | standard errors of AUCs |
//! | [`comparison`] | two models on the same records |
//! | [`mod@unpaired`] | a figure on two sets of records, and how far it differs |
//! | [`mod@drift`] | whether probabilities still hold in another place |
//! | [`calibration`] | logits made into probabilities that hold |
//! | [`mod@decision_curve`] | whether acting on them does more good than harm |
//! | [`evaluation`] | all of it, as it stands in `result.json` |

pub mod auc;
pub mod auc_interval;
pub mod average_precision;
pub mod baseline;
mod beta;
pub mod brier_decomposition;
pub mod calibration;
pub mod calibration_error;
mod clustered;
pub mod collapse;
pub mod comparison;
pub mod confusion;
pub mod curves;
pub mod decision_curve;
pub mod delong;
pub mod drift;
mod error;
pub mod evaluation;
mod fisher;
pub mod label_errors;
pub mod learning_curve;
pub mod logistic;
mod mean;
pub mod mean_interval;
pub mod metadata;
mod normal;
pub mod one_sided;
pub mod operating_point;
mod placements;
pub mod probability;
pub mod reliability;
pub mod rule;
mod scores;
pub mod sources;
pub mod split;
mod student;
pub mod thin;
pub mod threshold;
pub mod units;
pub mod unpaired;
pub mod wilson;
pub mod within;

pub use auc::auc;
pub use auc_interval::{AucIntervals, NoInterval, auc_intervals};
pub use average_precision::average_precision;
pub use brier_decomposition::{BrierDecomposition, brier_decomposition};
pub use calibration::{Calibrator, FittedCalibrator, Method, Support, Uncalibrated, calibrate};
pub use calibration_error::{CalibrationError, calibration_error};
pub use comparison::{Comparison, ComparisonMethod, Difference, compare, compare_with_mean};
pub use confusion::Confusion;
pub use curves::{PrPoint, RocPoint, precision_recall_curve, roc_curve};
pub use decision_curve::{NetBenefit, decision_curve};
pub use delong::{DeLong, delong};
pub use drift::{Coefficient, Drift, drift};
pub use error::{Error, Result};
pub use evaluation::{Evaluation, LabelEvaluation, evaluate};
pub use label_errors::{LabelErrors, SuspectedLabel, label_errors};
pub use learning_curve::{
    FittedCurve, FittedForm, Form, ImagesNeeded, LackOfFit, LearningCurve, NoCurve, Training, Trials,
    fit_learning_curve,
};
pub use logistic::Logistic;
pub use mean::mean;
pub use mean_interval::{Bounds, difference_interval, mean_interval};
pub use metadata::{Metadata, MetadataBaseline, metadata_baseline};
pub use operating_point::{OperatingPoint, operating_points};
pub use probability::{brier, log_loss};
pub use reliability::{Binning, ReliabilityBin, ece, reliability};
pub use rule::Rule;
pub use scores::{Column, LabelCounts, Scores};
pub use sources::{BySource, LabelBySource, OneSource, by_source};
pub use split::{TestScores, ValidationScores};
pub use thin::thin;
pub use threshold::{Fitted, Undefined};
pub use unpaired::{Unpaired, unpaired};
pub use wilson::{Proportion, wilson};
pub use within::{Within, WithinLabel, within};
