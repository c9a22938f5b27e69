//! Why a file of PyTorch's is not read.

/// What is wrong with it, or with what it asks for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("it is neither a safetensors file nor one that `torch.save` wrote")]
    Kind,
    #[error("it is cut off")]
    Cut,
    #[error("its archive is damaged: {0}")]
    Archive(String),
    #[error("it has no {0}")]
    Part(&'static str),
    #[error("its pickle is damaged at byte {at}: {what}")]
    Pickle { at: usize, what: &'static str },
    #[error("it holds more {what} than {limit}")]
    Limit { what: &'static str, limit: usize },
    #[error("it was written on a big-endian machine")]
    BigEndian,
    #[error("storage {key} {what}")]
    Storage { key: String, what: &'static str },
    #[error("tensor `{name}` {what}")]
    Tensor { name: String, what: &'static str },
    #[error("tensor `{name}` is made by {function}, which is not read")]
    Function { name: String, function: String },
}

pub(super) type Result<T, E = Problem> = std::result::Result<T, E>;
