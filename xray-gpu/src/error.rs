//! What a device can refuse.

use crate::precision::Precision;

/// An error of a device.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No adapter that wgpu can use.
    #[error("no GPU through wgpu: {0}")]
    NoDevice(String),
    /// A form of shaders that was asked for and cannot be given.
    #[error(
        "XRAY_SHADER={asked}: {reason}\n  hint: without the variable, the driver is given a form that it takes"
    )]
    Shader {
        /// The variable's value.
        asked: String,
        /// Why not.
        reason: String,
    },
    /// A kind of device that there is not.
    #[error("XRAY_GPU_WIDTH={0} is not a kind of device: discrete, integrated or software")]
    Width(String),
    /// A precision that the device does not offer.
    #[error(
        "{} is a precision that this GPU does not offer\n  hint: it offers {}",
        asked.name(),
        offered.iter().map(|precision| precision.name()).collect::<Vec<_>>().join(", ")
    )]
    Precision {
        /// What was asked for.
        asked: Precision,
        /// What it offers, the most exact first.
        offered: Vec<Precision>,
    },
    /// A buffer that the device does not make.
    #[error("a buffer of {bytes} bytes, where the device allows {limit}")]
    TooLarge {
        /// What was asked for.
        bytes: u64,
        /// The device's limit.
        limit: u64,
    },
    /// The device failed while it worked, or while it was read: lost, out of memory, or a shader that it refuses.
    #[error("the GPU failed: {0}")]
    Device(String),
}
