//! Products of convolutions on the shapes of the networks, by xray-gpu's example `tiles`: the tile that the table
//! picks, and which would have been the fastest.

use crate::report::Table;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;
use std::time::Duration;
use xray_workspace::steps;
use xray_workspace::watch::watch;

/// A product of a convolution.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    /// As the example says it.
    name: String,
    precision: String,
    /// With the tile that the table picks.
    table: Speed,
    fastest: (String, Speed),
    /// Every tile's figures.
    tiles: Value,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Speed {
    milliseconds: f64,
    teraflops: f64,
}

impl Speed {
    fn of(value: &Value) -> Option<Self> {
        Some(Speed { milliseconds: value["ms"].as_f64()?, teraflops: value["teraflops"].as_f64()? })
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ms, {:.1}", self.milliseconds, self.teraflops)
    }
}

/// Runs the example, which prints a line for each shape and ends in `limit`.
pub(super) fn sweep(program: &Path, limit: Duration) -> Result<Vec<Shape>> {
    let mut command = steps::command(program);
    command.args(["--seconds", &limit.as_secs().saturating_sub(5).max(1).to_string()]);
    let ending = watch(&mut command, "tiles", limit)?;
    let shapes: Vec<Shape> = ending.stdout.lines().filter_map(|line| shape(line).ok()).collect();
    ensure!(
        !shapes.is_empty(),
        "{}",
        super::trouble(&ending, limit).unwrap_or("nothing was said".to_owned())
    );
    Ok(shapes)
}

fn shape(line: &str) -> Result<Shape> {
    let json: Value = serde_json::from_str(line)?;
    let text = |name: &str| json[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
    let tried = json["tiles"].as_array().context("no tiles")?;
    let tried = tried.iter().filter_map(|tile| Some((tile["tile"].as_str()?.to_owned(), Speed::of(tile)?)));
    let faster =
        |(_, a): &(String, Speed), (_, b): &(String, Speed)| a.milliseconds.total_cmp(&b.milliseconds);
    Ok(Shape {
        name: text("shape")?,
        precision: text("precision")?,
        table: Speed::of(&json["table"]).context("the table's tile was not tried")?,
        fastest: tried.min_by(faster).context("no tile was tried")?,
        tiles: json["tiles"].clone(),
    })
}

/// In markdown and as JSON.
pub(super) fn table(shapes: &[Shape]) -> Table {
    let row = |shape: &Shape| {
        let Shape { name, precision, table, fastest: (tile, fastest), tiles } = shape;
        let times = table.milliseconds / fastest.milliseconds;
        let cells =
            [name, precision, &table.to_string(), &format!("{tile}: {fastest}"), &format!("{times:.2}×")];
        let speed = json!({ "ms": table.milliseconds, "teraflops": table.teraflops });
        let json = json!({ "shape": name, "precision": precision, "table": speed, "tiles": tiles });
        (cells.map(String::to_owned).to_vec(), json)
    };
    let head = vec!["product", "precision", "by the table, TFLOP/s", "the fastest tile", "table / fastest"];
    Table { name: "tiles", head, rows: shapes.iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"shape": "forward 3x3", "precision": "f32", "table": {"ms": 3.0, "teraflops": 10},
        "tiles": [{"tile": "128x64", "ms": 3.0, "teraflops": 10}, {"tile": "64x64", "ms": 2.0, "teraflops": 15}]}"#;

    #[test]
    fn the_tables_tile_stands_beside_the_fastest() {
        let shape = shape(LINE).expect("whole");
        let (cells, _) = &table(&[shape]).rows[0];
        let expected = ["forward 3x3", "f32", "3.000 ms, 10.0", "64x64: 2.000 ms, 15.0", "1.50×"];
        assert_eq!(cells, &expected);
    }

    #[test]
    fn a_line_without_figures_is_none() {
        shape(&LINE.replace("\"ms\"", "\"seconds\"")).expect_err("no times");
        shape("compiling").expect_err("no JSON");
    }
}
