//! Which device a network runs on. The only file that asks which backends were compiled in.

use crate::{Error, Result};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

/// Where tensors live and who computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// This processor, by the kernels of xray-kernels.
    #[default]
    Cpu,
    /// This processor, by burn's own operations: some ten times slower, to compare with.
    Flex,
    /// Any GPU through wgpu (feature `wgpu`).
    Wgpu,
    /// An NVIDIA GPU through CUDA (feature `cuda`).
    Cuda,
    /// burn's older CPU backend (feature `ndarray`): a slow reference, deprecated upstream, with a known
    /// silent reordering bug (burn issue 5552).
    Ndarray,
    /// A real GPU where there is one, this processor otherwise; never a software renderer.
    Auto,
}

/// What a backend found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The backend that runs, never [`Backend::Auto`].
    pub backend: Backend,
    /// The part's name, where the driver tells one.
    pub name: String,
    /// What a user should know before trusting it.
    pub warning: Option<String>,
}

impl Backend {
    /// As written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Cpu => "cpu",
            Backend::Flex => "flex",
            Backend::Wgpu => "wgpu",
            Backend::Cuda => "cuda",
            Backend::Ndarray => "ndarray",
            Backend::Auto => "auto",
        }
    }

    /// Every backend of this build that names a device, in the order `auto` is not one of.
    pub fn compiled() -> Vec<Backend> {
        let all = [Backend::Cpu, Backend::Flex, Backend::Wgpu, Backend::Cuda, Backend::Ndarray];
        all.into_iter().filter(|backend| backend.is_compiled()).collect()
    }

    /// Whether this build can try it; [`Backend::Auto`] it always can.
    pub fn is_compiled(self) -> bool {
        match self {
            Backend::Cpu | Backend::Flex | Backend::Auto => true,
            Backend::Wgpu => cfg!(feature = "wgpu"),
            Backend::Cuda => cfg!(feature = "cuda"),
            Backend::Ndarray => cfg!(feature = "ndarray"),
        }
    }

    /// Whether its device computes after the call that asked for it has returned.
    pub(crate) fn runs_behind(self) -> bool {
        matches!(self, Backend::Wgpu | Backend::Cuda)
    }

    pub(crate) fn open(self) -> Result<(Device, DeviceInfo)> {
        let absent = Error::BackendAbsent { name: self.name() };
        match self {
            Backend::Cpu => cpu(),
            Backend::Flex => Ok(flex()),
            Backend::Wgpu => gpu(Adapters::Any).ok_or(absent)?,
            Backend::Auto => match gpu(Adapters::Hardware) {
                Some(Ok(found)) => Ok(found),
                Some(Err(Error::NoDevice { reason, .. })) => without_gpu(&reason),
                Some(Err(error)) => without_gpu(&error.to_string()),
                None => without_gpu("this build has no GPU backend"),
            },
            Backend::Cuda => cuda().ok_or(absent),
            Backend::Ndarray => ndarray().ok_or(absent),
        }
    }
}

/// Limits the CPU threads of this process. Only the first call of a process has an effect, so binaries call
/// it once, before anything computes.
pub fn set_threads(threads: usize) {
    // An error only says that the pool already exists; its size was then chosen by an earlier call.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
}

/// Which adapters a caller accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Adapters {
    Any,
    Hardware,
}

fn cpu() -> Result<(Device, DeviceInfo)> {
    let name = format!("CPU ({})", crate::cpu::prepare()?);
    Ok((Device::flex(), DeviceInfo { backend: Backend::Cpu, name, warning: None }))
}

/// The processor in place of a GPU, and why.
fn without_gpu(reason: &str) -> Result<(Device, DeviceInfo)> {
    let (device, info) = cpu()?;
    Ok((device, DeviceInfo { warning: Some(format!("no GPU is used: {reason}")), ..info }))
}

fn flex() -> (Device, DeviceInfo) {
    (Device::flex(), DeviceInfo { backend: Backend::Flex, name: "CPU".into(), warning: None })
}

#[cfg(feature = "wgpu")]
fn gpu(accepted: Adapters) -> Option<Result<(Device, DeviceInfo)>> {
    use std::sync::OnceLock;

    // wgpu is initialised once a process; later callers share the device.
    static OPENED: OnceLock<std::result::Result<(Device, String, bool), String>> = OnceLock::new();
    let opened = OPENED.get_or_init(|| {
        let (device, setup) = Device::wgpu_options().init_with_setup().map_err(|error| error.to_string())?;
        let info = setup.adapter.get_info();
        let software = info.device_type == burn::tensor::wgpu::wgpu::DeviceType::Cpu;
        Ok((device, info.name, software))
    });
    Some(match opened {
        Err(reason) => Err(Error::NoDevice { name: "wgpu", reason: reason.clone() }),
        Ok((_, name, true)) if accepted == Adapters::Hardware => {
            Err(Error::NoDevice { name: "wgpu", reason: format!("{name} is a software renderer") })
        }
        Ok((device, name, software)) => {
            let warning = software.then(|| format!("{name} is a software renderer: correct, but very slow"));
            Ok((device.clone(), DeviceInfo { backend: Backend::Wgpu, name: name.clone(), warning }))
        }
    })
}

#[cfg(not(feature = "wgpu"))]
fn gpu(_: Adapters) -> Option<Result<(Device, DeviceInfo)>> {
    None
}

#[cfg(feature = "cuda")]
fn cuda() -> Option<(Device, DeviceInfo)> {
    let info = DeviceInfo { backend: Backend::Cuda, name: "CUDA device 0".into(), warning: None };
    Some((Device::cuda(0usize), info))
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Option<(Device, DeviceInfo)> {
    None
}

#[cfg(feature = "ndarray")]
fn ndarray() -> Option<(Device, DeviceInfo)> {
    let warning = "burn-ndarray is deprecated, some 40 times slower than `cpu`, and can silently reorder \
                   elements (burn issue 5552): use it as a reference only";
    let info = DeviceInfo { backend: Backend::Ndarray, name: "CPU".into(), warning: Some(warning.into()) };
    Some((Device::ndarray(), info))
}

#[cfg(not(feature = "ndarray"))]
fn ndarray() -> Option<(Device, DeviceInfo)> {
    None
}
