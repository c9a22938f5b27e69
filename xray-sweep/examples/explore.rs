//! Reads a sweep's tables from Rust, with nothing but polars: `cargo run --release --example explore -- SWEEP`.
//! `notebooks/explore-sweep.ipynb` is the same for Python; `SCHEMA.md` lists the columns.
#![expect(clippy::print_stdout, reason = "the result")]

use polars::prelude::*;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sweep = std::env::args().nth(1).unwrap_or_else(|| "results/example-sweep".to_owned());
    print!("{}", summary(Path::new(&sweep))?);
    Ok(())
}

/// Mean test macro-AUC by fraction, beside the micro-AUC and its baseline that ignores the image.
pub(crate) fn summary(sweep: &Path) -> PolarsResult<String> {
    let runs = ParquetReader::new(File::open(sweep.join("collected/runs.parquet"))?).finish()?;
    // Cells that are not done stay in the count, and out of the means.
    let is_done = runs.column("state")?.str()?.equal("done");
    let done = runs.filter(&is_done)?;
    let mut text = format!("{} of {} cells done\n", done.height(), runs.height());
    text += "fraction  runs  images  macro-AUC  micro-AUC  no image\n";

    let (fractions, images) = (done.column("fraction")?.f64()?, done.column("train_images")?.i64()?);
    let mut rows: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (row, fraction) in fractions.iter().enumerate() {
        // In millionths, because floating-point numbers are not keys.
        rows.entry((fraction.unwrap_or(0.0) * 1e6).round() as i64).or_default().push(row);
    }
    for (millionths, rows) in rows {
        let mean = |column: &str| -> PolarsResult<String> {
            let values = done.column(column)?.f64()?;
            let values: Vec<f64> = rows.iter().filter_map(|&row| values.get(row)).collect();
            Ok(match values.len() {
                0 => "–".to_owned(),
                count => format!("{:.3}", values.iter().sum::<f64>() / count as f64),
            })
        };
        text += &format!(
            "{:>8}  {:>4}  {:>6}  {:>9}  {:>9}  {:>8}\n",
            millionths as f64 / 1e6,
            rows.len(),
            images.get(rows[0]).unwrap_or(0),
            mean("test_macro_auc")?,
            mean("test_micro_auc")?,
            mean("test_micro_auc_baseline")?,
        );
    }
    Ok(text)
}
