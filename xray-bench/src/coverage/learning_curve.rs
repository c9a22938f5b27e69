//! Learning curves of known shapes.

use super::{Scale, Section};

/// None yet.
pub(super) fn sections(_: Scale) -> Vec<Section> {
    Vec::new()
}
