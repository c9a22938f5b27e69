//! What people are shown: numbers, tables for a terminal, charts as SVG. Strings only: nothing here opens a
//! file or knows what a figure means.
//!
//! ```
//! use xray_display::chart::Chart;
//! use xray_display::{TextTable, number, thousands};
//!
//! let mut table = TextTable::new(&["finding", "images", "AUC"]);
//! table.row(vec!["Mass".into(), thousands(5782), number(Some(0.8123), 3)]);
//! assert_eq!(table.text(), "finding  images    AUC\nMass      5,782  0.812\n");
//!
//! let losses = vec![(10.0, 0.69), (20.0, 0.41), (30.0, 0.32)];
//! let chart = Chart::lines("Loss by step", "step", "loss", [("training", losses)]);
//! assert!(chart.file().starts_with("<svg"));
//! ```

pub mod chart;
mod number;
pub mod page;
mod text_table;

pub use number::{DASH, counted, duration, number, percent, thousands, time_unit, with_interval};
pub use text_table::{Align, Column, TextTable, wide_tables};
