//! The networks of the golden files.

use xray_model::{Architecture, ModelConfig};

/// A network and its width in the golden files.
pub(crate) fn narrow(architecture: Architecture) -> ModelConfig {
    let (width, channels) = match architecture {
        Architecture::ResNet18 => (12, 1),
        Architecture::ResNet50 => (8, 3),
        Architecture::DenseNet121 => (16, 1),
        _ => (8, 1),
    };
    ModelConfig { architecture, width, channels, flip: false }
}
