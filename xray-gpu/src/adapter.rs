//! Opening a device: which adapter is taken, and with which form of shaders.
//!
//! CubeCL takes the native form wherever the driver has the features for it, and asks the adapter for them. A device
//! for WGSL is therefore handed to it beside an adapter that does not tell which interface it belongs to.

use crate::error::Error;
use crate::shader::{Shader, VARIABLE};
use cubecl::future::block_on;
use cubecl::wgpu::{AutoGraphicsApi, GraphicsApi, RuntimeOptions, WgpuDevice, WgpuSetup, try_init_device};
use std::pin::Pin;
use wgpu::custom::{AdapterInterface, DispatchSurface, RequestDeviceFuture};
use wgpu::{
    AdapterInfo, Backend, Device, DeviceDescriptor, DeviceType, DownlevelCapabilities, ExperimentalFeatures,
    Features, Instance, InstanceDescriptor, Limits, MemoryHints, PowerPreference, PresentationTimestamp,
    Queue, RequestAdapterOptions, TextureFormat, TextureFormatFeatures, Trace,
};

/// An adapter with an open device, for CubeCL and what is made of it.
#[derive(Debug)]
pub struct Adapter {
    /// What CubeCL needs of wgpu. It is registered once, by [`Adapter::register`] or by burn.
    pub setup: WgpuSetup,
    /// The form of shaders that it is given.
    pub shader: Shader,
}

impl Adapter {
    /// Opens the adapter that wgpu prefers, a renderer in software where there is no other. `XRAY_SHADER` (wgsl, spirv
    /// or msl) overrides the form of shaders that the driver is given.
    ///
    /// # Errors
    /// If wgpu finds no adapter, the driver opens no device, or the form asked for is refused.
    pub fn open() -> Result<Self, Error> {
        let no_device = |error: &dyn ToString| Error::NoDevice(error.to_string());
        let backend = AutoGraphicsApi::backend();
        let instance = Instance::new(InstanceDescriptor {
            backends: backend.into(),
            ..InstanceDescriptor::new_without_display_handle()
        });
        let options = RequestAdapterOptions {
            power_preference: PowerPreference::HighPerformance,
            ..RequestAdapterOptions::default()
        };
        let adapter = block_on(instance.request_adapter(&options)).map_err(|error| no_device(&error))?;
        let asked = std::env::var_os(VARIABLE).map(|value| value.to_string_lossy().into_owned());
        let shader = Shader::choose(&adapter.get_info(), asked.as_deref())?;
        let native = if shader == Shader::Wgsl { None } else { native_device(&adapter)? };
        // A driver that lacks a feature of the native form is as good as one that is not on the list.
        let (adapter, device, queue, shader) = match (native, asked) {
            (Some((device, queue)), _) => (adapter, device, queue, shader),
            (None, Some(asked)) if shader != Shader::Wgsl => {
                let reason = format!("{} lacks what {shader} needs", adapter.get_info().name);
                return Err(Error::Shader { asked, reason });
            }
            (None, _) => {
                let (device, queue) = translated_device(&adapter).map_err(|error| no_device(&error))?;
                (wgpu::Adapter::from_custom(Translated(adapter)), device, queue, Shader::Wgsl)
            }
        };
        Ok(Self { setup: WgpuSetup { instance, adapter, device, queue, backend }, shader })
    }

    /// What the driver says of itself.
    pub fn info(&self) -> AdapterInfo {
        self.setup.adapter.get_info()
    }

    /// Whether it is a processor that plays a GPU.
    pub fn is_software(&self) -> bool {
        self.info().device_type == DeviceType::Cpu
    }

    /// The name for people, such as `NVIDIA H200 (Vulkan, SPIR-V)`.
    pub fn description(&self) -> String {
        describe(&self.info(), self.shader)
    }

    /// Hands it to CubeCL, whose device this is from then on.
    ///
    /// # Errors
    /// If CubeCL does not take it.
    pub fn register(self) -> Result<WgpuDevice, Error> {
        let options = RuntimeOptions::try_default();
        let device = options.and_then(|options| try_init_device(self.setup, options));
        device.map_err(|error| Error::NoDevice(error.to_string()))
    }
}

fn describe(info: &AdapterInfo, shader: Shader) -> String {
    let interface = match info.backend {
        Backend::Vulkan => "Vulkan",
        Backend::Metal => "Metal",
        Backend::Dx12 => "Direct3D 12",
        Backend::Gl => "OpenGL",
        Backend::BrowserWebGpu => "WebGPU",
        Backend::Noop => "no driver",
    };
    format!("{} ({interface}, {shader})", info.name)
}

/// A device with the extensions of the native form; none where the driver lacks one that it needs.
#[cfg(not(target_os = "macos"))]
fn native_device(adapter: &wgpu::Adapter) -> Result<Option<(Device, Queue)>, Error> {
    block_on(cubecl::wgpu::vulkan::try_request_vulkan_device(adapter))
        .map_err(|error| Error::NoDevice(error.to_string()))
}

/// A device with the extensions of the native form.
#[cfg(target_os = "macos")]
fn native_device(adapter: &wgpu::Adapter) -> Result<Option<(Device, Queue)>, Error> {
    block_on(cubecl::wgpu::metal::try_request_metal_device(adapter))
        .map(Some)
        .map_err(|error| Error::NoDevice(error.to_string()))
}

/// A device with every feature of the adapter, as CubeCL asks for one that takes WGSL.
fn translated_device(adapter: &wgpu::Adapter) -> Result<(Device, Queue), wgpu::RequestDeviceError> {
    block_on(adapter.request_device(&DeviceDescriptor {
        label: None,
        // Buffers that the host maps would all lie where the host reaches them.
        required_features: adapter.features().difference(Features::MAPPABLE_PRIMARY_BUFFERS),
        required_limits: adapter.limits(),
        // CubeCL takes memory in large pages itself.
        memory_hints: MemoryHints::MemoryUsage,
        trace: Trace::Off,
        experimental_features: ExperimentalFeatures::disabled(),
    }))
}

/// An adapter that answers as the one in it, but does not tell its interface.
#[derive(Debug)]
struct Translated(wgpu::Adapter);

impl AdapterInterface for Translated {
    fn request_device(&self, _: &DeviceDescriptor<'_>) -> Pin<Box<dyn RequestDeviceFuture>> {
        unreachable!("the device was opened before the adapter was put here")
    }

    fn is_surface_supported(&self, _: &DispatchSurface) -> bool {
        false
    }

    fn features(&self) -> Features {
        self.0.features()
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }

    fn downlevel_capabilities(&self) -> DownlevelCapabilities {
        self.0.get_downlevel_capabilities()
    }

    fn get_info(&self) -> AdapterInfo {
        self.0.get_info()
    }

    fn get_texture_format_features(&self, format: TextureFormat) -> TextureFormatFeatures {
        self.0.get_texture_format_features(format)
    }

    fn get_presentation_timestamp(&self) -> PresentationTimestamp {
        self.0.get_presentation_timestamp()
    }

    fn cooperative_matrix_properties(&self) -> Vec<wgpu::CooperativeMatrixProperties> {
        self.0.cooperative_matrix_properties()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_names_part_interface_and_form() {
        let info = AdapterInfo {
            name: "NVIDIA H200".into(),
            ..AdapterInfo::new(DeviceType::DiscreteGpu, Backend::Vulkan)
        };
        assert_eq!(describe(&info, Shader::SpirV), "NVIDIA H200 (Vulkan, SPIR-V)");
    }
}
