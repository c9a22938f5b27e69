//! How inputs are tried.

pub(crate) mod build;
pub(crate) mod post;
pub(crate) mod sources;
pub(crate) mod talk;
