//! `xray-eval embed`: what the last layer sees.

use crate::workplace::{Workplace, assert_exit, stderr, stdout};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, RowAccessor};
use std::fs;
use xray_artifacts::{Exit, Split};
use xray_model::StateDict;

/// Ids, errors and embeddings, row by row.
fn rows(workplace: &Workplace, name: &str) -> Vec<(String, Option<String>, Option<Vec<f32>>)> {
    let file = fs::File::open(workplace.path(name)).expect("written");
    let reader = SerializedFileReader::new(file).expect("Parquet");
    let row = |row: parquet::record::Row| {
        let embedding = row.get_list(5).ok().map(|list| {
            let float = |field: &Field| match field {
                Field::Float(value) => *value,
                other => panic!("{other} is not a float"),
            };
            list.elements().iter().map(float).collect()
        });
        (row.get_string(0).expect("an id").clone(), row.get_string(4).ok().cloned(), embedding)
    };
    reader.get_row_iter(None).expect("rows").map(|found| row(found.expect("a row"))).collect()
}

#[test]
fn the_last_layer_makes_the_runs_logits_of_them() {
    let workplace = Workplace::with_run();
    let output = workplace.eval(&["embed", "run", "shards", "--split", "test", "--out", "e.parquet"]);
    assert_exit(&output, Exit::Ok);
    assert!(stdout(&output).contains("embeddings of 32 numbers"), "{}", stdout(&output));
    let found = rows(&workplace, "e.parquet");
    let test = workplace.predictions(Split::Test);
    assert_eq!(found.len(), test.ids.len());
    let weights = StateDict::load(&workplace.path("run/model/model.safetensors")).expect("a bundle");
    let (weight, bias) = (&weights.tensors["classifier.weight"], &weights.tensors["classifier.bias"]);
    let classes = test.labels.len();
    for (id, error, embedding) in &found {
        assert_eq!(*error, None);
        let embedding = embedding.as_ref().expect("an embedding");
        let place = test.ids.iter().position(|other| other == id).expect("a test record");
        for class in 0..classes {
            let row = &weight.values[class * embedding.len()..][..embedding.len()];
            let product: f64 = row.iter().zip(embedding).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            let logit = product + f64::from(bias.values[class]);
            let wanted = test.logits[place * classes + class];
            assert!((logit - wanted).abs() < 1e-5, "{id}: {logit} is not {wanted}");
        }
    }
    let batches = ["embed", "run", "shards", "--split", "test", "--out", "f.parquet", "--batch-size", "3"];
    assert_exit(&workplace.eval(&batches), Exit::Ok);
    assert_eq!(rows(&workplace, "f.parquet"), found, "whatever the batches");
}

#[test]
fn what_cannot_be_read_has_a_reason_and_no_embedding() {
    let workplace = Workplace::with_run();
    fs::create_dir(workplace.path("images")).expect("writable");
    fs::write(workplace.path("images/broken.png"), "no image").expect("writable");
    let embed = |inputs: &[&str], out: &str, more: &[&str]| {
        workplace.eval(&[&["embed", "run"], inputs, &["--out", out], more].concat())
    };
    let output = embed(&["images"], "e.parquet", &[]);
    assert_exit(&output, Exit::BadData);
    assert!(stderr(&output).contains("none of 1 image can be read"), "{}", stderr(&output));
    assert_exit(&embed(&["images", "shards"], "e.parquet", &["--overwrite"]), Exit::Ok);
    let found = rows(&workplace, "e.parquet");
    let (broken, whole): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, error, _)| error.is_some());
    assert_eq!((broken.len(), whole.len()), (1, 240));
    assert!(broken[0].2.is_none() && whole.iter().all(|row| row.2.as_ref().is_some_and(|it| it.len() == 32)));
    let refused = embed(&["shards"], "e.parquet", &[]);
    assert_exit(&refused, Exit::Usage);
    assert!(stderr(&refused).contains("e.parquet is there already"), "{}", stderr(&refused));
    let refused = embed(&["shards"], "e.csv", &[]);
    assert_exit(&refused, Exit::Usage);
    assert!(stderr(&refused).contains("e.csv is not named .parquet"), "{}", stderr(&refused));
}
