//! A trained model at work on single images: what `xray-eval` shows of an image and what `xray-serve` answers about it
//! come from here, so that what is served is what was tested.

mod bundle;
mod caption;
mod doubts;
mod finding;
mod networks;
mod outputs;
mod overlay;

pub use bundle::{
    Bundle, CARD, Card, ExplainedImage, PreparedImage, WEIGHTS, read_card, read_weights, refuse_several,
};
pub use doubts::doubts;
pub use finding::{Calibrated, Finding, NonFinite, probability};
pub use networks::{BegunNetworks, Networks, prefix};
pub use outputs::{Said, log_odds, mean_probability, said};
pub use overlay::{Captions, glow, side_by_side};
