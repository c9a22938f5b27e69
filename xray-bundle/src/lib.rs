//! A trained model at work on single images: what `xray-eval` shows of an image and what `xray-serve` answers about it
//! come from here, so that what is served is what was tested.

mod bundle;
mod doubts;
mod finding;
mod overlay;

pub use bundle::{
    Bundle, CARD, Card, ExplainedLogits, PreparedImage, WEIGHTS, predictor, read_card, read_weights,
};
pub use doubts::doubts;
pub use finding::{Calibrated, Finding, NonFinite, probability};
pub use overlay::{glow, side_by_side};
