//! The service without a socket: what is answered to good and to bad requests.

mod api;
mod asking;
mod bodies;
#[path = "../bundle/mod.rs"]
mod bundle;
mod busy;
mod findings;
mod keys;
mod page;
mod reload;
