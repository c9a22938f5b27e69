//! How inputs are tried.

pub(crate) mod build;
pub(crate) mod post;
pub(crate) mod tables;
pub(crate) mod talk;
