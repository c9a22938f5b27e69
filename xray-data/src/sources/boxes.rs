//! Where radiologists saw findings: the boxes of ChestX-ray14 (`BBox_List_2017.csv`; Wang et al., CVPR 2017, §4.3).

use crate::error::Result;
use crate::sources::{SourceProblem, Table};
use std::path::Path;

/// A box around a finding.
#[derive(Clone, Debug, PartialEq)]
pub struct FindingBox {
    /// The image's file name.
    pub image_id: String,
    /// The finding, as the table spells it.
    pub label: String,
    /// Left, top, width and height, as parts of the image's width and height.
    pub area: [f64; 4],
}

/// Width and height of the images that NIH drew the boxes on; released copies may be smaller.
const SIDE: f64 = 1024.0;

impl FindingBox {
    /// Whether a place lies inside, or so far outside at most; all as parts of the image's width and height.
    pub fn contains(&self, [x, y]: [f64; 2], tolerance: f64) -> bool {
        let [left, top, width, height] = self.area;
        let within =
            |at: f64, from: f64, length: f64| at >= from - tolerance && at <= from + length + tolerance;
        within(x, left, width) && within(y, top, height)
    }
}

/// Reads the table.
///
/// # Errors
/// If it cannot be read, a column is absent, or a cell is not a number.
pub fn read(path: &Path) -> Result<Vec<FindingBox>> {
    let table = Table::read(path)?;
    let (image, finding) = (table.require(&["Image Index"])?, table.require(&["Finding Label"])?);
    // `Bbox [x,y,w,h]` is one name for four fields, which a comma splits.
    let [x, y] = [table.require(&["Bbox [x", "x"])?, table.require(&["y"])?];
    let [width, height] = [table.require(&["w", "width"])?, table.require(&["h", "height"])?];
    let of_row = |row: crate::sources::table::Row<'_>| {
        let part = |column: usize| {
            let text = row.filled(column)?;
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            number.map(|number| number / SIDE).ok_or_else(|| {
                let (column, value) = (row.header(column).to_owned(), text.to_owned());
                row.problem(SourceProblem::Number { column, value })
            })
        };
        Ok(FindingBox {
            image_id: row.filled(image)?.to_owned(),
            label: row.filled(finding)?.to_owned(),
            area: [part(x)?, part(y)?, part(width)?, part(height)?],
        })
    };
    table.rows().map(of_row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use xray_artifacts::one_line;

    fn read_rows(rows: &str) -> Result<Vec<FindingBox>> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("boxes.csv");
        std::fs::write(&path, format!("Image Index,Finding Label,Bbox [x,y,w,h],,,\n{rows}"))
            .expect("writable");
        read(&path)
    }

    #[test]
    fn boxes_are_parts_of_the_image() {
        let found =
            read_rows("a.png,Infiltrate,256,512,128,64\nb.png,Mass,0,0,1024,1024\n").expect("good rows");
        assert_eq!((found[0].label.as_str(), found[0].area), ("Infiltrate", [0.25, 0.5, 0.125, 0.0625]));
        assert!(found[0].contains([0.3, 0.55], 0.0) && !found[0].contains([0.24, 0.55], 0.0));
        assert!(found[0].contains([0.24, 0.55], 0.015) && found[1].contains([1.0, 0.0], 0.0));
    }

    #[test]
    fn columns_count_by_their_names_wherever_they_stand() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("boxes.csv");
        let read_table = |text: &str| {
            std::fs::write(&path, text).expect("writable");
            read(&path)
        };
        let turned = read_table("Image Index,height,width,y,x,Finding Label\na.png,64,128,512,256,Mass\n");
        assert_eq!(turned.expect("good")[0].area, [0.25, 0.5, 0.125, 0.0625]);
        let corners = read_table("Image Index,Finding Label,x,y,x2,y2\na.png,Mass,256,512,384,576\n");
        let message = one_line(&corners.expect_err("no width"));
        assert!(message.contains("`w`"), "{message}");
    }

    #[test]
    fn a_cell_that_is_no_number_is_named() {
        let message = one_line(&read_rows("a.png,Mass,256,wide,128,64\n").expect_err("no number"));
        assert!(message.contains("boxes.csv line 2: `wide` in column `y` is not a number"), "{message}");
    }
}
