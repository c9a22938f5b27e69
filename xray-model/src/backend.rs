//! Which device a network runs on. The only file that asks which backends were compiled in.

use crate::{Error, Precision, Result, gpu};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

#[cfg(any(test, feature = "wgpu"))]
mod adapters;

/// Where tensors live and who computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// This processor, by the kernels of xray-kernels.
    #[default]
    Cpu,
    /// This processor, by burn's own operations: some ten times slower, to compare with.
    Flex,
    /// Any GPU through wgpu, by the kernels of xray-gpu (feature `wgpu`).
    Wgpu,
    /// The same by burn's own operations, many times slower, to compare with (feature `burn-wgpu`).
    #[serde(rename = "wgpu-burn")]
    WgpuBurn,
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
    /// Of a GPU: its driver, and the form in which kernels reach it, as `NVIDIA 580.159.04, Vulkan, WGSL`.
    pub driver: Option<String>,
    /// What the factors of convolutions are rounded to in training.
    pub precision: Precision,
    /// What is used and why, where something was chosen: `using the CPU (auto: llvmpipe is a software renderer)`.
    pub choice: Option<String>,
    /// What a user should know before trusting it.
    pub warning: Option<String>,
}

impl DeviceInfo {
    fn new(backend: Backend, name: impl Into<String>) -> Self {
        let (name, precision) = (name.into(), Precision::F32);
        DeviceInfo { backend, name, driver: None, precision, choice: None, warning: None }
    }

    /// The name, and of a GPU the driver: what numbers and times depend on.
    pub fn full_name(&self) -> String {
        match &self.driver {
            Some(driver) => format!("{}, {driver}", self.name),
            None => self.name.clone(),
        }
    }
}

impl Backend {
    /// As written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Cpu => "cpu",
            Backend::Flex => "flex",
            Backend::Wgpu => "wgpu",
            Backend::WgpuBurn => "wgpu-burn",
            Backend::Cuda => "cuda",
            Backend::Ndarray => "ndarray",
            Backend::Auto => "auto",
        }
    }

    /// Every backend of this build that names a device, in the order `auto` is not one of.
    pub fn compiled() -> Vec<Backend> {
        use Backend::{Cpu, Cuda, Flex, Ndarray, Wgpu, WgpuBurn};
        [Cpu, Flex, Wgpu, WgpuBurn, Cuda, Ndarray]
            .into_iter()
            .filter(|backend| backend.is_compiled())
            .collect()
    }

    /// Whether this build can try it; [`Backend::Auto`] it always can.
    pub fn is_compiled(self) -> bool {
        match self {
            Backend::Cpu | Backend::Flex | Backend::Auto => true,
            Backend::Wgpu => cfg!(feature = "wgpu"),
            Backend::WgpuBurn => cfg!(feature = "burn-wgpu"),
            Backend::Cuda => cfg!(feature = "cuda"),
            Backend::Ndarray => cfg!(feature = "ndarray"),
        }
    }

    /// Whether its device computes after the call that asked for it has returned.
    pub(crate) fn runs_behind(self) -> bool {
        matches!(self, Backend::Wgpu | Backend::WgpuBurn | Backend::Cuda)
    }

    pub(crate) fn open(self) -> Result<Opened> {
        let absent = Error::BackendAbsent { name: self.name() };
        match self {
            Backend::Cpu => cpu(),
            Backend::Flex => Ok(flex()),
            Backend::Wgpu => gpu().ok_or(absent)?.map(by_name),
            Backend::WgpuBurn => burns_gpu().ok_or(absent)?,
            Backend::Auto => match gpu() {
                Some(Ok(gpu)) if gpu.is_software => {
                    without_gpu(&format!("{} is a software renderer", gpu.name))
                }
                Some(Ok(gpu)) => Ok(of_itself(gpu)),
                Some(Err(Error::NoDevice { reason, .. })) => without_gpu(&reason),
                Some(Err(error)) => without_gpu(&error.to_string()),
                None => without_gpu("this build has no GPU backend"),
            },
            Backend::Cuda => cuda().ok_or(absent),
            Backend::Ndarray => ndarray().ok_or(absent),
        }
    }
}

/// An open device.
pub(crate) struct Opened {
    /// Where burn has its tensors; beside a GPU of ours the processor, for names and shapes.
    pub(crate) device: Device,
    pub(crate) info: DeviceInfo,
    /// A GPU that the kernels of xray-gpu run on.
    pub(crate) gpu: Option<gpu::Device>,
}

impl Opened {
    fn of_burn(device: Device, info: DeviceInfo) -> Self {
        Opened { device, info, gpu: None }
    }

    fn of_gpu(gpu: Gpu, info: DeviceInfo) -> Self {
        let info = DeviceInfo { driver: Some(gpu.driver), ..info };
        Opened { device: Device::flex(), info, gpu: Some(gpu.device) }
    }
}

/// Limits the CPU threads of this process; 0 for one per processor. Only the first call of a process has an effect, so
/// binaries call it once, before anything computes, on the thread that will train or evaluate.
pub fn set_threads(threads: usize) {
    xray_kernels::use_threads(threads);
    // For burn's own operations. An error only says that the pool already exists; its size was then chosen by an earlier
    // call.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
}

/// A GPU that is open.
#[derive(Clone)]
struct Gpu {
    device: gpu::Device,
    name: String,
    driver: String,
    is_software: bool,
    /// Why this one of several.
    why: Option<String>,
}

/// A GPU that somebody asked for: also a renderer in software, which is told.
fn by_name(gpu: Gpu) -> Opened {
    let name = &gpu.name;
    let warning = gpu.is_software.then(|| format!("{name} is a software renderer: correct, but very slow"));
    let choice = gpu.why.as_ref().map(|why| format!("using {name} through wgpu ({why})"));
    let info = DeviceInfo { choice, warning, ..DeviceInfo::new(Backend::Wgpu, name) };
    Opened::of_gpu(gpu, info)
}

/// A GPU that nobody asked for.
fn of_itself(gpu: Gpu) -> Opened {
    let why = gpu.why.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
    let choice = format!("using {} through wgpu (auto: a GPU is there{why})", gpu.name);
    let info = DeviceInfo { choice: Some(choice), ..DeviceInfo::new(Backend::Wgpu, &gpu.name) };
    Opened::of_gpu(gpu, info)
}

fn cpu() -> Result<Opened> {
    let name = format!("CPU ({})", crate::cpu::prepare()?);
    Ok(Opened::of_burn(Device::flex(), DeviceInfo::new(Backend::Cpu, name)))
}

/// The processor in place of a GPU, and why.
fn without_gpu(reason: &str) -> Result<Opened> {
    let opened = cpu()?;
    let choice = Some(format!("using the CPU (auto: {reason})"));
    Ok(Opened { info: DeviceInfo { choice, ..opened.info }, ..opened })
}

fn flex() -> Opened {
    Opened::of_burn(Device::flex(), DeviceInfo::new(Backend::Flex, "CPU"))
}

/// The GPU that is chosen, opened once a process; later callers share it. None in a build without a GPU backend.
#[cfg(feature = "wgpu")]
fn gpu() -> Option<Result<Gpu>> {
    use std::sync::OnceLock;

    static OPENED: OnceLock<std::result::Result<Gpu, String>> = OnceLock::new();
    let opened = OPENED.get_or_init(open_gpu).clone();
    Some(opened.map_err(|reason| Error::NoDevice { name: "wgpu", reason }))
}

#[cfg(not(feature = "wgpu"))]
fn gpu() -> Option<Result<Gpu>> {
    None
}

#[cfg(feature = "wgpu")]
fn open_gpu() -> std::result::Result<Gpu, String> {
    use adapters::{Adapter, choose};
    use std::sync::Arc;
    use xray_gpu::{Candidate, candidates};

    const NVIDIAS_FOLDER: &str = "/proc/driver/nvidia/gpus";
    let candidates = candidates();
    let adapter = |candidate: &Candidate| Adapter {
        name: candidate.name(),
        pci: candidate.pci(),
        is_nvidia: candidate.is_nvidia(),
        is_software: candidate.is_software(),
    };
    let adapters: Vec<Adapter> = candidates.iter().map(adapter).collect();
    let choice = choose(&adapters, |name| std::env::var(name).ok(), NVIDIAS_FOLDER.as_ref())?;
    let Adapter { name, is_software, .. } = adapters[choice.index].clone();
    let said = |error: gpu::Error| error.to_string();
    let adapter = candidates[choice.index].clone().open().map_err(said)?;
    let driver = adapter.driver();
    let device = Arc::new(xray_gpu::Gpu::on(adapter).map_err(said)?);
    Ok(Gpu { device, name, driver, is_software, why: choice.why })
}

/// The GPU that burn prefers. None in a build without its backend for GPUs.
#[cfg(feature = "burn-wgpu")]
fn burns_gpu() -> Option<Result<Opened>> {
    use std::sync::OnceLock;

    static OPENED: OnceLock<std::result::Result<(Device, String), String>> = OnceLock::new();
    let opened = OPENED.get_or_init(|| {
        let preferred = xray_gpu::candidates().into_iter().next().ok_or("no driver offers one")?;
        let name = preferred.name();
        // burn by itself would give a driver a form of shaders that it may crash on.
        let setup = preferred.open().map_err(|error| error.to_string())?.into_setup();
        let device = Device::wgpu_options().setup(setup).init().map_err(|error| error.to_string())?;
        Ok((device, name))
    });
    Some(match opened.clone() {
        Ok((device, name)) => {
            let warning =
                Some("burn's own operations: many times slower than `wgpu`, to compare with".to_owned());
            let info = DeviceInfo { warning, ..DeviceInfo::new(Backend::WgpuBurn, name) };
            Ok(Opened::of_burn(device, info))
        }
        Err(reason) => Err(Error::NoDevice { name: "wgpu-burn", reason }),
    })
}

#[cfg(not(feature = "burn-wgpu"))]
fn burns_gpu() -> Option<Result<Opened>> {
    None
}

#[cfg(feature = "cuda")]
fn cuda() -> Option<Opened> {
    Some(Opened::of_burn(Device::cuda(0usize), DeviceInfo::new(Backend::Cuda, "CUDA device 0")))
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Option<Opened> {
    None
}

#[cfg(feature = "ndarray")]
fn ndarray() -> Option<Opened> {
    let warning = "burn-ndarray is deprecated, some 40 times slower than `cpu`, and can silently reorder \
                   elements (burn issue 5552): use it as a reference only";
    let info = DeviceInfo::new(Backend::Ndarray, "CPU");
    Some(Opened::of_burn(Device::ndarray(), DeviceInfo { warning: Some(warning.into()), ..info }))
}

#[cfg(not(feature = "ndarray"))]
fn ndarray() -> Option<Opened> {
    None
}
