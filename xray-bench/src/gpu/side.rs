//! Who is measured on a GPU, and with whom each may be compared.

/// What one process measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// Ours in a precision.
    Ours(&'static str),
    /// Ours with burn's own operations.
    Reference,
    /// PyTorch in every setting.
    Torch,
}

impl Group {
    /// In the order of a round: ours and PyTorch next to each other.
    pub(super) const ALL: [Group; 6] = [
        Group::Ours("f32"),
        Group::Torch,
        Group::Ours("tf32"),
        Group::Ours("bf16"),
        Group::Ours("f16"),
        Group::Reference,
    ];

    /// As the report says it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Group::Ours("f32") => "ours in f32",
            Group::Ours("tf32") => "ours in tf32",
            Group::Ours("bf16") => "ours in bf16",
            Group::Ours(_) => "ours in f16",
            Group::Reference => "burn's own operations",
            Group::Torch => "PyTorch",
        }
    }
}

/// A column of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    F32,
    Tf32,
    Bf16,
    F16,
    Burn,
    TorchFloat32,
    TorchContiguous,
    TorchChannelsLast,
    TorchAutocast,
}

/// How exactly factors are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// 24 bits of each.
    Float32,
    /// 11 bits of each, with the exponents of float32.
    Tf32,
    /// 16 bits altogether.
    Half,
}

impl Class {
    pub(super) const ALL: [Class; 3] = [Class::Float32, Class::Tf32, Class::Half];

    pub(super) fn name(self) -> &'static str {
        match self {
            Class::Float32 => "float32",
            Class::Tf32 => "TF32",
            Class::Half => "16 bits",
        }
    }
}

impl Side {
    pub(super) const ALL: [Side; 9] = [
        Side::F32,
        Side::Tf32,
        Side::Bf16,
        Side::F16,
        Side::Burn,
        Side::TorchFloat32,
        Side::TorchContiguous,
        Side::TorchChannelsLast,
        Side::TorchAutocast,
    ];

    /// As the report says it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Side::F32 => "ours, f32",
            Side::Tf32 => "ours, tf32",
            Side::Bf16 => "ours, bf16",
            Side::F16 => "ours, f16",
            Side::Burn => "burn's operations",
            Side::TorchFloat32 => "PyTorch, float32",
            Side::TorchContiguous => "PyTorch, TF32",
            Side::TorchChannelsLast => "PyTorch, TF32, channels_last",
            Side::TorchAutocast => "PyTorch, bf16 autocast, channels_last",
        }
    }

    /// The side of a process's line; PyTorch's says its setting.
    pub(super) fn of(group: Group, setting: Option<&str>) -> Option<Side> {
        match group {
            Group::Ours("f32") => Some(Side::F32),
            Group::Ours("tf32") => Some(Side::Tf32),
            Group::Ours("bf16") => Some(Side::Bf16),
            Group::Ours(_) => Some(Side::F16),
            Group::Reference => Some(Side::Burn),
            Group::Torch => {
                Side::ALL.into_iter().find(|side| side.setting().is_some_and(|s| Some(s) == setting))
            }
        }
    }

    /// What networks.py calls it; none of ours.
    fn setting(self) -> Option<&'static str> {
        match self {
            Side::TorchFloat32 => Some("float32"),
            Side::TorchContiguous => Some("contiguous"),
            Side::TorchChannelsLast => Some("channels_last"),
            Side::TorchAutocast => Some("autocast"),
            Side::F32 | Side::Tf32 | Side::Bf16 | Side::F16 | Side::Burn => None,
        }
    }

    /// All of PyTorch's, for its command line.
    pub(super) fn settings() -> String {
        Side::ALL.into_iter().filter_map(Side::setting).collect::<Vec<_>>().join(",")
    }

    pub(super) fn is_torch(self) -> bool {
        self.setting().is_some()
    }

    /// Whether it competes for this project: burn's own operations do not.
    pub(super) fn is_ours(self) -> bool {
        !self.is_torch() && self != Side::Burn
    }

    pub(super) fn class(self) -> Class {
        match self {
            Side::F32 | Side::Burn | Side::TorchFloat32 => Class::Float32,
            Side::Tf32 | Side::TorchContiguous | Side::TorchChannelsLast => Class::Tf32,
            Side::Bf16 | Side::F16 | Side::TorchAutocast => Class::Half,
        }
    }
}

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Train,
    Infer,
}

impl Pass {
    pub(super) const ALL: [Pass; 2] = [Pass::Train, Pass::Infer];

    pub(super) fn name(self) -> &'static str {
        match self {
            Pass::Train => "train",
            Pass::Infer => "infer",
        }
    }
}
