//! How wide a device is: into how many parts work is cut, so that all of it is busy and nothing is cut in vain.

use crate::error::Error;
use std::ffi::OsStr;
use wgpu::DeviceType;

/// The variable that overrides what an adapter says.
pub(crate) const VARIABLE: &str = "XRAY_GPU_WIDTH";

/// The kind of a device, by which sums are cut: two devices of a kind make the same parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Width {
    /// A GPU with memory of its own, or one that does not say what it is.
    #[default]
    Discrete,
    /// A GPU in the memory of a processor.
    Integrated,
    /// A processor that plays a GPU: it takes a few groups at a time, and pays for each pass.
    Software,
}

impl Width {
    const ALL: [Self; 3] = [Self::Discrete, Self::Integrated, Self::Software];

    /// Work groups that keep such a device busy.
    pub const fn groups(self) -> usize {
        match self {
            // Two for each of the 132 multiprocessors of an H200.
            Self::Discrete => 264,
            // Two for each core of large ones, such as Apple's with 30 to 40.
            Self::Integrated => 64,
            // A few for each thread of a laptop.
            Self::Software => 16,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Software => "software",
        }
    }

    /// # Errors
    /// If none has the name that was asked for.
    pub(crate) fn choose(kind: DeviceType, asked: Option<&OsStr>) -> Result<Self, Error> {
        let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
            return Ok(match kind {
                DeviceType::Cpu => Self::Software,
                DeviceType::IntegratedGpu => Self::Integrated,
                DeviceType::DiscreteGpu | DeviceType::VirtualGpu | DeviceType::Other => Self::Discrete,
            });
        };
        let found = Self::ALL.into_iter().find(|width| asked == width.name());
        found.ok_or_else(|| Error::Width(asked.to_string_lossy().into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_goes_before_what_the_adapter_says() {
        let choose = |kind, asked: Option<&str>| Width::choose(kind, asked.map(OsStr::new));
        assert_eq!(choose(DeviceType::Cpu, None).ok(), Some(Width::Software));
        assert_eq!(choose(DeviceType::IntegratedGpu, Some("")).ok(), Some(Width::Integrated));
        assert_eq!(choose(DeviceType::Other, None).ok(), Some(Width::Discrete));
        for width in Width::ALL {
            assert_eq!(choose(DeviceType::Cpu, Some(width.name())).ok(), Some(width));
        }
        let error = choose(DeviceType::Cpu, Some("wide")).expect_err("no kind");
        assert!(error.to_string().starts_with("XRAY_GPU_WIDTH=wide"), "{error}");
    }
}
