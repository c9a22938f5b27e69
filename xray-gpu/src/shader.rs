//! Which form of shaders a driver is given: a rule over what it says of itself.
//!
//! A driver that crashes on a form takes the whole process with it, so the native forms go to drivers that are known
//! to take them, and every other driver gets WGSL, which wgpu validates and translates.

use crate::error::Error;
use std::fmt;
use wgpu::{AdapterInfo, Backend};

/// The environment variable that overrides the rule.
pub(crate) const VARIABLE: &str = "XRAY_SHADER";

/// A form of shaders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shader {
    /// Text that wgpu translates for the driver: every driver takes it. It has no matrix instructions.
    Wgsl,
    /// Vulkan's own.
    SpirV,
    /// Metal's own.
    Msl,
}

impl fmt::Display for Shader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wgsl => "WGSL",
            Self::SpirV => "SPIR-V",
            Self::Msl => "MSL",
        })
    }
}

/// Vulkan drivers that run what CubeCL makes as SPIR-V, by the name they give themselves; of Mesa's, from
/// [`OLDEST_MESA`] on.
const TAKE_SPIRV: [(&str, Maker); 7] = [
    ("NVIDIA", Maker::Vendor),
    ("AMD open-source driver", Maker::Vendor),
    ("AMD proprietary driver", Maker::Vendor),
    ("radv", Maker::Mesa),
    ("Intel open-source Mesa driver", Maker::Mesa),
    ("NVK", Maker::Mesa),
    ("llvmpipe", Maker::Mesa),
];

/// Mesa's release from which its drivers are given SPIR-V: 22.3.6 and 25.0.7 crash on it, 26.2.6 runs it.
const OLDEST_MESA: u32 = 26;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Maker {
    Vendor,
    Mesa,
}

/// What is known of a driver and its API's own form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Native {
    /// It runs it.
    Runs(Shader),
    /// Nobody tried.
    Untried(Shader),
    /// It crashes on it.
    Crashes(Shader),
    /// The API has none, or this build has not.
    Absent,
}

impl Shader {
    /// The form for an adapter. `asked` is the value of `XRAY_SHADER`, where it is set.
    ///
    /// # Errors
    /// If what is asked for is not a form, or one that this build or the driver does not take.
    pub(crate) fn choose(info: &AdapterInfo, asked: Option<&str>) -> Result<Self, Error> {
        let native = native(info);
        let Some(asked) = asked else {
            return Ok(if let Native::Runs(shader) = native { shader } else { Self::Wgsl });
        };
        let wanted = match asked.to_ascii_lowercase().as_str() {
            "wgsl" => return Ok(Self::Wgsl),
            "spirv" => Self::SpirV,
            "msl" => Self::Msl,
            _ => return Err(refused(asked, "it is not one of wgsl, spirv and msl".into())),
        };
        match native {
            Native::Runs(shader) | Native::Untried(shader) if shader == wanted => Ok(wanted),
            Native::Crashes(shader) if shader == wanted => {
                let reason = format!("{} ({}) crashes on {wanted}", info.driver, info.driver_info);
                Err(refused(asked, reason))
            }
            _ => Err(refused(asked, format!("{} on {} does not take {wanted}", info.name, info.backend))),
        }
    }
}

fn refused(asked: &str, reason: String) -> Error {
    Error::Shader { asked: asked.into(), reason }
}

fn native(info: &AdapterInfo) -> Native {
    match info.backend {
        Backend::Vulkan if cfg!(not(target_os = "macos")) => vulkan(info),
        Backend::Metal if cfg!(target_os = "macos") => Native::Runs(Shader::Msl),
        _ => Native::Absent,
    }
}

fn vulkan(info: &AdapterInfo) -> Native {
    match TAKE_SPIRV.iter().find(|(driver, _)| *driver == info.driver) {
        Some((_, Maker::Vendor)) => Native::Runs(Shader::SpirV),
        Some((_, Maker::Mesa)) => match mesa_release(&info.driver_info) {
            Some(release) if release >= OLDEST_MESA => Native::Runs(Shader::SpirV),
            Some(_) => Native::Crashes(Shader::SpirV),
            None => Native::Untried(Shader::SpirV),
        },
        None => Native::Untried(Shader::SpirV),
    }
}

/// 22 of `Mesa 22.3.6 (LLVM 15.0.6)`.
fn mesa_release(driver_info: &str) -> Option<u32> {
    let version = driver_info.strip_prefix("Mesa ")?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgpu::DeviceType;

    fn info(backend: Backend, driver: &str, driver_info: &str) -> AdapterInfo {
        let (driver, driver_info) = (driver.into(), driver_info.into());
        AdapterInfo {
            name: "a GPU".into(),
            driver,
            driver_info,
            ..AdapterInfo::new(DeviceType::Other, backend)
        }
    }

    const BOOKWORM: [&str; 2] = ["llvmpipe", "Mesa 22.3.6 (LLVM 15.0.6)"];

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn drivers_that_run_spirv_get_it() {
        let check = |[driver, driver_info]: [&str; 2], expected| {
            let found = Shader::choose(&info(Backend::Vulkan, driver, driver_info), None);
            assert_eq!(found.expect("nothing was asked for"), expected, "{driver}, {driver_info}");
        };
        check(["NVIDIA", "550.54.15"], Shader::SpirV);
        check(["llvmpipe", "Mesa 26.2.6-1 (LLVM 22.1.0)"], Shader::SpirV);
        check(["llvmpipe", "Mesa 26.0.0-devel (git-0123)"], Shader::SpirV);
        check(["radv", "Mesa 26.1.0-1"], Shader::SpirV);
        check(["AMD proprietary driver", "24.10.1 (AMD proprietary shader compiler)"], Shader::SpirV);
        check(BOOKWORM, Shader::Wgsl);
        check(["llvmpipe", "Mesa 25.0.7-2+deb13u1 (LLVM 19.1.7)"], Shader::Wgsl);
        check(["radv", "Mesa 25.0.7-2"], Shader::Wgsl);
        check(["llvmpipe", "Mesa 23.3.6 (LLVM 17.0.6)"], Shader::Wgsl);
        check(["radv", "Mesa 22.3.6"], Shader::Wgsl);
        check(["llvmpipe", "Mesa"], Shader::Wgsl); // no release
        check(["llvmpipe", ""], Shader::Wgsl);
        check(["SwiftShader driver", ""], Shader::Wgsl);
        check(["Dozen", "Mesa 25.0.0"], Shader::Wgsl); // Mesa's Vulkan on Direct3D
        check(["", ""], Shader::Wgsl);
    }

    #[test]
    fn other_interfaces_get_wgsl() {
        for backend in [Backend::Gl, Backend::Dx12, Backend::BrowserWebGpu] {
            let found = Shader::choose(&info(backend, "NVIDIA", "550.54.15"), None);
            assert_eq!(found.expect("nothing was asked for"), Shader::Wgsl, "{backend}");
        }
    }

    #[test]
    #[cfg(target_os = "macos")]
    fn metal_gets_msl() {
        let found = Shader::choose(&info(Backend::Metal, "", ""), None);
        assert_eq!(found.expect("nothing was asked for"), Shader::Msl);
    }

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn the_variable_overrides_the_rule() {
        let check = |[driver, driver_info]: [&str; 2], asked, expected: Result<Shader, &str>| {
            let found = Shader::choose(&info(Backend::Vulkan, driver, driver_info), Some(asked));
            let found = found.map_err(|error| error.to_string());
            match expected {
                Ok(shader) => assert_eq!(found, Ok(shader), "{asked} for {driver}"),
                Err(part) => assert!(found.as_ref().is_err_and(|text| text.contains(part)), "{found:?}"),
            }
        };
        let nvidia = ["NVIDIA", "550.54.15"];
        check(nvidia, "wgsl", Ok(Shader::Wgsl));
        check(nvidia, "SPIRV", Ok(Shader::SpirV));
        check(nvidia, "msl", Err("a GPU on vulkan does not take MSL"));
        check(nvidia, "glsl", Err("XRAY_SHADER=glsl: it is not one of wgsl, spirv and msl"));
        check(nvidia, "", Err("not one of"));
        check(BOOKWORM, "wgsl", Ok(Shader::Wgsl));
        check(BOOKWORM, "spirv", Err("llvmpipe (Mesa 22.3.6 (LLVM 15.0.6)) crashes on SPIR-V"));
        check(["SwiftShader driver", ""], "spirv", Ok(Shader::SpirV)); // untried: whoever asks may try
        let gl = Shader::choose(&info(Backend::Gl, "NVIDIA", ""), Some("spirv"));
        assert!(gl.is_err_and(|error| error.to_string().contains("on gl does not take SPIR-V")));
    }
}
