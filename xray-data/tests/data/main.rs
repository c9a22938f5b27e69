//! Data sets and the loader, over shards that the tests write.

mod dataset;
mod folds;
mod loader;
mod shards;
