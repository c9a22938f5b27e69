//! Chest X-ray networks, their losses and their optimizer on burn, behind plain slices: nothing outside this
//! crate names the tensor engine.
//!
//! ```
//! use xray_model::{LabelledImages, Learner, LearnerConfig};
//! # fn main() -> Result<(), xray_model::Error> {
//! let mut learner = Learner::new(&LearnerConfig::new(14), 0)?;
//! let images = vec![0.0; 2 * 32 * 32];
//! let labels = vec![0.0; 2 * 14];
//! let pass = learner.forward(&LabelledImages { images: images.as_slice().into(), labels: &labels, size: 32 });
//! let gradients = learner.backward(pass);
//! learner.step(gradients, 1e-3);
//! assert!(learner.records()?[0].loss.is_finite());
//! let logits = learner.predict(&images, 32)?;
//! assert_eq!(logits.len(), 2 * 14);
//! # Ok(())
//! # }
//! ```

mod architectures;
mod average;
mod backend;
mod channels;
mod cpu;
mod device_failure;
mod error;
mod export;
#[cfg(feature = "wgpu")]
mod gpu;
#[cfg(not(feature = "wgpu"))]
#[path = "gpu/absent.rs"]
mod gpu;
mod graph;
mod import;
mod initialise;
mod integer;
mod layers;
mod learner;
mod losses;
mod onnx;
mod optimizer;
mod pixels;
mod precision;
mod predictor;
mod records;
mod state_dict;
mod stored;
mod weights;
mod work;

pub use architectures::{Architecture, ModelConfig};
pub use backend::{Backend, DeviceInfo, set_threads};
pub use device_failure::catch_device_failure;
pub use error::{Error, Result};
pub use export::{OPSETS, Onnx, onnx};
pub use import::{Head, Import, ImportOptions, Note, Published, published, read_weights};
pub use integer::RangeRule;
pub use learner::{Gradients, LabelledImages, Learner, LearnerConfig, Pass};
pub use losses::Loss;
pub use optimizer::{Algorithm, OptimizerConfig};
pub use pixels::Pixels;
pub use precision::Precision;
pub use predictor::{ActivationMaps, ActivationRanges, Begun, Predictor};
pub use records::StepRecord;
pub use state_dict::{HostTensor, StateDict};
pub use stored::{CHECKSUM, StoredDict, WeightType};
pub use work::DeviceWork;
