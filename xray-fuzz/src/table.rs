//! Tables of labels: of every layout, and with cells, rows and columns that nobody expects.

use crate::corpus::{Corpus, Expected, Kind, Seed};
use std::sync::LazyLock;
use xray_random::Random;

/// The images that lie beside every table.
pub(crate) const IMAGES: usize = 12;

/// Name of one of them.
pub(crate) fn image(number: usize) -> String {
    format!("a{number:02}.png")
}

/// A pipe beside the images, in which nothing ever comes.
pub(crate) const PIPE: &str = "pipe.png";

/// All tables.
pub(crate) fn corpus(seed: u64) -> Corpus {
    Corpus::new(Kind::Table, seed, SEEDS.iter().map(|(seed, _)| seed.clone()).collect(), lie)
}

/// Cells, and how they are written.
#[derive(Clone, Debug)]
struct Table {
    rows: Vec<Vec<String>>,
    separator: &'static str,
    line_end: &'static str,
    /// What stands before the first cell.
    mark: &'static str,
    quoted: bool,
    encoding: Encoding,
}

#[derive(Clone, Copy, Debug)]
enum Encoding {
    Utf8,
    Utf16,
    Latin1,
}

/// What stands in a column, by row.
type Cell = fn(usize) -> String;

impl Table {
    /// Columns of these names, with cells by row.
    fn of(columns: &[(&str, Cell)]) -> Table {
        let names = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let row = |number| columns.iter().map(|(_, cell)| cell(number)).collect();
        let rows = std::iter::once(names).chain((0..IMAGES).map(row)).collect();
        Table { rows, separator: ",", line_end: "\n", mark: "", quoted: false, encoding: Encoding::Utf8 }
    }

    fn file(&self) -> Vec<u8> {
        let cell = |cell: &String| if self.quoted { format!("\"{cell}\"") } else { cell.clone() };
        let line = |row: &Vec<String>| row.iter().map(cell).collect::<Vec<_>>().join(self.separator);
        let lines = self.rows.iter().map(|row| line(row) + self.line_end);
        let text = self.mark.to_owned() + &lines.collect::<String>();
        match self.encoding {
            Encoding::Utf8 => text.into_bytes(),
            Encoding::Utf16 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Encoding::Latin1 => text.chars().map(|character| character as u8).collect(),
        }
    }
}

/// Findings of which some occur and some do not, in every kind of column.
static SEEDS: LazyLock<Vec<(Seed, Table)>> = LazyLock::new(|| {
    use Expected::{Accepted, Either};
    let path = ("path", (|number| image(number)) as Cell);
    let patient = ("patient_id", (|number| format!("p{number}")) as Cell);
    let mass = ("Mass", (|number| (number % 2).to_string()) as Cell);
    let nodule = ("Nodule", (|number| (number / 2 % 2).to_string()) as Cell);
    let plain = Table::of(&[path, patient, mass, nodule]);
    let joined = Table::of(&[
        ("Image Index", path.1),
        ("Patient ID", patient.1),
        ("Finding Labels", |number| ["No Finding", "Mass", "Nodule|Mass", "Effusion"][number % 4].to_owned()),
    ]);
    let uncertain = Table::of(&[
        ("Path", path.1),
        ("Sex", |number| ["Male", "Female", "Unknown"][number % 3].to_owned()),
        ("Age", |number| (number * 9).to_string()),
        ("AP/PA", |_| "AP".to_owned()),
        ("No Finding", |number| ["1.0", ""][number % 2].to_owned()),
        ("Pleural Effusion", |number| ["1.0", "0.0", "-1.0", ""][number % 4].to_owned()),
        ("Edema", |number| ["", "1.0", "0.0"][number % 3].to_owned()),
    ]);
    let own = Table::of(&[path, patient, ("tuberculosis", mass.1), ("silicosis", nodule.1)]);
    let with_splits = Table::of(&[
        path,
        patient,
        mass,
        nodule,
        ("split", |number| ["train", "train", "val", "test"][number % 4].to_owned()),
    ]);
    let words =
        Table::of(&[path, patient, ("Mass", |number| ["Yes", "No", "NaN"][number % 3].to_owned()), nodule]);
    [
        ("columns", Accepted, plain.clone()),
        ("joined findings", Accepted, joined),
        ("uncertain labels", Either, uncertain),
        ("own labels", Either, own),
        ("splits", Either, with_splits),
        ("words", Either, words),
        ("byte order mark", Accepted, Table { mark: "\u{FEFF}", ..plain.clone() }),
        ("carriage returns", Accepted, Table { line_end: "\r\n", ..plain.clone() }),
        ("quotes", Accepted, Table { quoted: true, ..plain.clone() }),
        ("semicolons", Either, Table { separator: ";", ..plain.clone() }),
        ("tabs", Either, Table { separator: "\t", ..plain.clone() }),
        ("UTF-16", Either, Table { mark: "\u{FEFF}", encoding: Encoding::Utf16, ..plain.clone() }),
        ("Latin-1", Either, Table { encoding: Encoding::Latin1, ..plain }),
    ]
    .into_iter()
    .map(|(name, expected, table)| (Seed::new(name, expected, table.file()), table))
    .collect()
});

const CELLS: [&str; 48] = [
    "",
    " ",
    "0",
    "1",
    "-1",
    "2",
    "1.0",
    "1.000000",
    "-0",
    "0.5",
    "nan",
    "NaN",
    "inf",
    "1e400",
    "Yes",
    "no",
    "TRUE",
    "None",
    "unknown",
    "058Y",
    "18M",
    "012W",
    "-5",
    "99999999999999999999",
    "Mass",
    "No Finding",
    "Mass|Mass",
    "Mass|No Finding",
    "|",
    "||||",
    "Mass;Nodule",
    "['mass']",
    "\"",
    "\"\"",
    "a\"b",
    "\"a\nb\"",
    "a,b,c",
    "\0",
    "\u{FEFF}",
    "\u{202E}x",
    "é",
    "e\u{301}",
    "/dev/zero",
    "/dev/null",
    "/proc/self/mem",
    "..",
    "/",
    "C:\\images\\a00.png",
];

const NAMES: [&str; 14] = [
    "path",
    "patient_id",
    "Mass",
    "Finding Labels",
    "image",
    "split",
    "fold",
    "age",
    "sex",
    "view",
    "No Finding",
    "",
    "Mass ",
    "mass",
];

/// A table with one to four cells, rows or columns that are wrong.
fn lie(random: &mut Random) -> Vec<u8> {
    let mut table = SEEDS[random.below(SEEDS.len())].1.clone();
    for _ in 0..1 + random.below(4) {
        match random.below(4) {
            0 | 1 => lie_in_a_cell(&mut table.rows, random),
            2 => lie_in_rows(&mut table.rows, random),
            _ => lie_in_columns(&mut table.rows, random),
        }
    }
    match random.below(12) {
        0 => table.separator = ["\t", ";", "|", " ", ", ", "\0"][random.below(6)],
        1 => table.line_end = ["\r\n", "\r", "\n\n", "\n\r", ""][random.below(5)],
        2 => {
            table.mark =
                ["\u{FEFF}", "\u{FEFF}\u{FEFF}", "sep=;\n", "# written by hand\n", "\n"][random.below(5)]
        }
        3 => table.quoted = !table.quoted,
        4 => table.encoding = [Encoding::Utf16, Encoding::Latin1][random.below(2)],
        _ => {}
    }
    table.file()
}

fn lie_in_a_cell(rows: &mut [Vec<String>], random: &mut Random) {
    let row = random.below(rows.len());
    let row = &mut rows[row];
    if row.is_empty() {
        return;
    }
    let at = random.below(row.len());
    row[at] = match random.below(12) {
        0 => "x".repeat(1 << random.below(21)),
        1 => "Mass|".repeat(1 << random.below(16)),
        2 => format!("sub/../{}", image(random.below(IMAGES))),
        3 => "../".repeat(1 << random.below(12)) + "etc/passwd",
        4 => PIPE.to_owned(),
        5 => image(random.below(IMAGES)),
        _ => CELLS[random.below(CELLS.len())].to_owned(),
    };
}

fn lie_in_rows(rows: &mut Vec<Vec<String>>, random: &mut Random) {
    let at = random.below(rows.len());
    match random.below(6) {
        0 => {
            let copy = rows[at].clone();
            rows.splice(at..at, std::iter::repeat_n(copy, 1 << (random.below(13) * random.below(2))));
        }
        1 if rows.len() > 1 => drop(rows.remove(at)),
        2 => rows[at].push(CELLS[random.below(CELLS.len())].to_owned()),
        3 => drop(rows[at].pop()),
        4 => rows[at].iter_mut().for_each(String::clear),
        _ => {
            let to = random.below(rows.len());
            rows.swap(at, to);
        }
    }
}

fn lie_in_columns(rows: &mut [Vec<String>], random: &mut Random) {
    let at = random.below(rows[0].len().max(1));
    match random.below(6) {
        0 => rows.iter_mut().filter(|row| at < row.len()).for_each(|row| row.insert(at, row[at].clone())),
        1 => rows.iter_mut().filter(|row| at < row.len()).for_each(|row| drop(row.remove(at))),
        2 | 3 => {
            let name = NAMES[random.below(NAMES.len())];
            rows[0].get_mut(at).into_iter().for_each(|cell| name.clone_into(cell));
        }
        4 => {
            let value = CELLS[random.below(CELLS.len())];
            rows.iter_mut().skip(1).filter_map(|row| row.get_mut(at)).for_each(|cell| value.clone_into(cell));
        }
        _ => {
            // Twenty thousand labels are seldom meant.
            let more = 1 << random.below(15);
            for (number, row) in rows.iter_mut().enumerate() {
                let cell = |column| if number == 0 { format!("label {column}") } else { "1".to_owned() };
                row.extend((0..more).map(cell));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_written_as_people_write_them() {
        let text = |name: &str| {
            let (seed, _) = SEEDS.iter().find(|(seed, _)| seed.name == name).expect("there is one");
            String::from_utf8_lossy(&seed.bytes).lines().take(2).collect::<Vec<_>>().join("/")
        };
        assert_eq!(text("columns"), "path,patient_id,Mass,Nodule/a00.png,p0,0,0");
        assert_eq!(
            text("quotes"),
            "\"path\",\"patient_id\",\"Mass\",\"Nodule\"/\"a00.png\",\"p0\",\"0\",\"0\""
        );
        assert_eq!(text("joined findings"), "Image Index,Patient ID,Finding Labels/a00.png,p0,No Finding");
    }
}
