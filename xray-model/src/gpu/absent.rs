//! In place of the layers on a GPU, in a build without them: the same names, of which there is no value.

#[expect(dead_code, reason = "only a GPU asks for what is in there")]
mod given;

pub(crate) use given::{Backbone, ConvIds, DenseLayer, Images, LinearIds, RING};

use crate::architectures::Network;
use crate::layers::Maps;
use crate::records::StepRecord;
use crate::{DeviceWork, LearnerConfig, ModelConfig, Precision, StateDict};
use burn::module::ParamId;
use burn::tensor::Tensor;
use xray_kernels::{ConvBlock, DepthwiseBlock, Pool};

#[derive(Clone, Debug)]
pub(crate) enum GpuMaps {}

#[derive(Clone)]
pub(crate) enum Device {}
pub(crate) enum Trainer {}
pub(crate) enum Pass {}
pub(crate) enum Found {}
pub(crate) enum Predictor {}
pub(crate) enum Logits {}

#[derive(Clone)]
pub(crate) struct Error(());

pub(crate) type Outcome<T> = Result<T, Error>;

pub(crate) fn in_precision(gpu: Device, _: Precision, _: &str) -> crate::Result<Device> {
    match gpu {}
}

impl From<Error> for crate::Error {
    fn from(Error(()): Error) -> Self {
        crate::Error::BackendAbsent { name: "wgpu" }
    }
}

impl GpuMaps {
    pub(crate) fn conv_norm(self, _: &ConvBlock, _: ConvIds, _: Option<GpuMaps>) -> Maps {
        match self {}
    }

    pub(crate) fn depthwise_norm(self, _: &DepthwiseBlock, _: ConvIds) -> Maps {
        match self {}
    }

    pub(crate) fn norm_relu(self, _: ParamId, _: f32) -> Maps {
        match self {}
    }

    pub(crate) fn pool(self, _: Pool) -> Maps {
        match self {}
    }

    pub(crate) fn squeeze_excitation(self, _: [LinearIds; 2], _: usize) -> Maps {
        match self {}
    }

    pub(crate) fn dense_block(self, _: Vec<DenseLayer>, _: f32) -> Maps {
        match self {}
    }

    pub(crate) fn transition(self, _: ConvIds, _: usize, _: f32) -> Maps {
        match self {}
    }
}

impl Trainer {
    pub(crate) fn new(gpu: Device, _: &Network, _: &StateDict, _: &LearnerConfig) -> Outcome<Self> {
        match gpu {}
    }

    pub(crate) fn forward(&self, _: &Network, _: &Images<'_>, _: &[f32], _: bool) -> Outcome<Pass> {
        match *self {}
    }

    pub(crate) fn backward(&self, _: Pass) -> Outcome<Found> {
        match *self {}
    }

    pub(crate) fn add(&self, _: Found, _: Found) -> Found {
        match *self {}
    }

    pub(crate) fn step(&mut self, _: Found, _: f64, _: Backbone) -> Outcome<()> {
        match *self {}
    }

    pub(crate) fn records(&mut self) -> Outcome<Vec<StepRecord>> {
        match *self {}
    }

    pub(crate) fn count_step(&self, _: &Network, _: usize, _: usize) -> Outcome<DeviceWork> {
        match *self {}
    }

    pub(crate) fn work(&self) -> DeviceWork {
        match *self {}
    }

    pub(crate) fn predictor(&self, _: Network, _: &ModelConfig) -> crate::Result<crate::Predictor> {
        match *self {}
    }

    pub(crate) fn predictor_as_trained(
        &self,
        _: Network,
        _: &ModelConfig,
    ) -> crate::Result<crate::Predictor> {
        match *self {}
    }

    pub(crate) fn weights(&self) -> Outcome<StateDict> {
        match *self {}
    }

    pub(crate) fn average(&self) -> Outcome<Option<StateDict>> {
        match *self {}
    }

    pub(crate) fn optimizer_state(&self) -> Outcome<StateDict> {
        match *self {}
    }

    pub(crate) fn restore_optimizer(&mut self, _: &StateDict) -> crate::Result<()> {
        match *self {}
    }

    pub(crate) fn write(&mut self, _: &StateDict, _: &StateDict) -> Outcome<()> {
        match *self {}
    }
}

impl Pass {
    pub(crate) fn weighted(self, _: f32) -> Self {
        match self {}
    }

    pub(crate) fn loss(&self) -> Outcome<f32> {
        match *self {}
    }

    pub(crate) fn logits(&self) -> Outcome<Vec<f32>> {
        match *self {}
    }
}

impl Predictor {
    pub(crate) fn new(gpu: Device, _: &Network) -> Outcome<Self> {
        match gpu {}
    }

    pub(crate) fn begin(&self, _: &Network, _: &Images<'_>) -> Outcome<Logits> {
        match *self {}
    }

    pub(crate) fn logits_and_maps(&self, _: &Network, _: &Images<'_>) -> Outcome<(Vec<f32>, Tensor<4>)> {
        match *self {}
    }
}

impl Logits {
    pub(crate) fn read(&self) -> Outcome<Vec<f32>> {
        match *self {}
    }
}
