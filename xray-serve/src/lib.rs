//! One model behind a web page and an API.
//!
//! [`service::router`] answers requests and knows no sockets: the server ([`server`]), AWS Lambda and the tests hand it
//! theirs. Whatever costs time on a processor (decoding, the network) happens on [`workers`], one per core, behind a
//! queue that turns requests away as soon as they could not be answered in time.

pub mod answer;
pub mod check;
pub mod cli;
mod door;
pub mod examine;
pub mod inspect;
pub mod limits;
mod linger;
pub mod log;
pub mod metrics;
mod page;
pub mod problem;
mod rate;
pub mod samples;
pub mod server;
pub mod service;
mod upload;
pub mod workers;
