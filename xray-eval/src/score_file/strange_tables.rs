//! Tables as other programs, spreadsheets and hurried people write them: each is read rightly or refused with the reason.

use super::{ScoreFile, ScoreKind, read};
use xray_artifacts::{Failure, Split};

/// Scores as they stand there, of the label Mass on the test rows.
fn scores_of(file: &ScoreFile) -> Vec<f64> {
    let test = &file.splits[&Split::Test];
    let given = if test.probabilities.is_empty() { &test.logits } else { &test.probabilities };
    given.iter().step_by(test.labels.len()).copied().collect()
}

fn check_read(bytes: &[u8], truth: &[f32], expected: &[f64]) {
    let name = String::from_utf8_lossy(bytes).escape_debug().to_string();
    let file = read(bytes, None).unwrap_or_else(|failure| panic!("{name}: {failure}"));
    let test = &file.splits[&Split::Test];
    assert_eq!((test.labels[0].as_str(), scores_of(&file)), ("Mass", expected.to_vec()), "{name}");
    // NaN is not equal to NaN.
    let known = |truth: f32| if truth.is_nan() { -1.0 } else { truth };
    let found: Vec<f32> = test.truth.iter().step_by(test.labels.len()).map(|&truth| known(truth)).collect();
    assert_eq!(found, truth, "{name}");
}

fn check_refused(bytes: &[u8], part: &str) {
    let name = String::from_utf8_lossy(bytes).escape_debug().to_string();
    let Failure { message, hint, .. } = read(bytes, None).expect_err(&name);
    assert!(message.contains(part), "{name}: {message}");
    assert!(message.len() < 250 && !message.contains(['\n', '\0']), "{name}: {message}");
    let without = ["the id is empty", "the truth of", "the split is", "no rows below"];
    assert!(hint.is_some() || without.iter().any(|part| message.contains(part)), "{name}: {message}");
}

#[test]
fn what_programs_write_is_read() {
    for text in [
        "id,Mass,score_Mass\na,1,0.25\nb,0,0.5\n",
        "id,Mass,score_Mass\na,1,0.25\nb,0,0.5",
        "\u{feff}id,Mass,score_Mass\r\na,1,0.25\r\nb,0,0.5\r\n",
        "id,Mass,score_Mass\ra,1,0.25\rb,0,0.5\r",
        "id;Mass;score_Mass\ra;1;0.25\rb;0;0.5\r",
        "\n\nid,Mass,score_Mass\n\na,1,0.25\n\n\nb,0,0.5\n\n",
        "id\tMass\tscore_Mass\na\t1\t0.25\nb\t0\t0.5\n",
        "id,Mass,score_Mass,\na,1,0.25,\nb,0,0.5,\n",
        "id,Mass,score_Mass,,\na,1,0.25,,\nb,0,0.5,,\n",
        ",id,Mass,score_Mass\n0,a,1,0.25\n1,b,0,0.5\n",
        "Unnamed: 0,id,Mass,score_Mass\n0,a,1,0.25\n1,b,0,0.5\n",
        "\"id\",\"Mass\",\"score_Mass\"\n\"a\",\"1\",\"0.25\"\n\"b\",\"0\",\"0.5\"\n",
        "id, Mass, score_Mass\n a , 1 , 0.25 \n b , 0 , 0.5 \n",
        "id, \"Mass\", \"score_Mass\"\n \"a\", \"1\", \"0.25\"\n \"b\", \"0\", \"0.5\"\n",
        "id,Mass,Mass.prob\na,TRUE,2.5e-1\nb,FALSE,5E-1\n",
        "id,Mass_label,Mass score\na,1.0,+0.25\nb,0.000,.5\n",
        "y_true_Mass,id,y_pred_Mass\n1,a,0.25\n0,b,0.5\n",
        "Mass_gt,id,Mass_proba\n1,a,0.25\n0,b,0.5\n",
        "ground_truth_Mass,id,Mass_pred_prob\nyes,a,0.250000000\nno,b,00.5\n",
        "id,Mass,score_Mass,ward,Ward\na,1,0.25,\"x, y\",\nb,0,0.5,,\"he said \"\"no\"\"\"\n",
    ] {
        check_read(text.as_bytes(), &[1.0, 0.0], &[0.25, 0.5]);
    }
}

#[test]
fn unknown_truths_and_extreme_numbers_keep_their_value() {
    for unknown in ["", "nan", "NaN", "NA", "N/A", "<NA>", "None", "null", "-1", "-1.0", " "] {
        let text = format!("id,Mass,score_Mass\na,{unknown},0.25\nb,1,0.5\n");
        check_read(text.as_bytes(), &[-1.0, 1.0], &[0.25, 0.5]);
    }
    for (text, score) in [
        ("0", 0.0),
        ("-0.0", 0.0),
        ("1", 1.0),
        ("1e-400", 0.0),
        ("5e-324", 5e-324),
        ("1.5e-310", 1.5e-310),
        ("0.9999999999999999", 1.0 - f64::EPSILON / 2.0),
        ("0.30000000000000004", 0.1 + 0.2),
    ] {
        check_read(format!("id,Mass,score_Mass\na,1,{text}\n").as_bytes(), &[1.0], &[score]);
    }
    check_read(b"id,Mass,logit_Mass\na,1,3e38\nb,0,-3e38\n", &[1.0, 0.0], &[3e38, -3e38]);
    check_read(b"id,Mass,logit_Mass\na,1,1e-320\nb,0,0.1\n", &[1.0, 0.0], &[1e-320, 0.1]);
}

#[test]
fn cells_that_are_no_scores_are_refused() {
    for cell in [
        "",
        "nan",
        "NA",
        "None",
        "inf",
        "-inf",
        "infinity",
        "1e400",
        "-1e999",
        "0x1p-2",
        "0x10",
        "1_000",
        "1 000",
        "\"1,234.5\"",
        "\"0,5\"",
        "50%",
        "0.5f",
        "1/2",
        "½",
        "٠٫٥",
        "０.５",
        "true",
        "0.5.1",
        "--1",
        "1e",
        "#N/A",
        "#DIV/0!",
        "=A1",
        "'0.5",
        "0.5;",
        "[0.5]",
        "tensor(0.5)",
        "<0.01",
        "0.5 0.6",
    ] {
        let text = format!("id,Mass,score_Mass\na,1,0.25\nb,0,{cell}\n");
        check_refused(text.as_bytes(), "line 3: the score of Mass is `");
    }
    let long = format!("id,Mass,score_Mass\na,1,{}\n", "9x".repeat(5000));
    check_refused(long.as_bytes(), "…`, not a number");
    for cell in ["2", "0.5", "-2", "positive", "1e0x", "maybe", "-0.5", "inf"] {
        let text = format!("id,Mass,score_Mass\na,{cell},0.25\n");
        check_refused(text.as_bytes(), "line 2: the truth of Mass is `");
    }
}

#[test]
fn tables_that_are_broken_are_refused() {
    let utf_16 = |text: &str, mark: &[u8]| {
        let units = text.encode_utf16().flat_map(u16::to_le_bytes);
        mark.iter().copied().chain(units).collect::<Vec<u8>>()
    };
    let good = "id,Mass,score_Mass\na,1,0.25\nb,0,0.5\n";
    check_refused(&utf_16(good, b"\xff\xfe"), "it is not UTF-8 text");
    check_refused(&utf_16(good, b""), "it has zero bytes, as UTF-16 has");
    check_refused(b"id,Mass,score_Mass\n\xe4,1,0.25\n", "it is not UTF-8 text");
    check_refused(b"\x1f\x8b\x08\0\0\0\0\0", "it is not UTF-8 text");
    check_refused(b"PK\x03\x04\x14\0\0\0", "it has zero bytes");
    check_refused(b"", "no column has scores");
    check_refused(b"\n\n\n", "no column has scores");
    check_refused(b"id,Mass,score_Mass\n", "no rows below the header");
    for text in ["id|Mass|score_Mass\na|1|0.25\n", "id Mass score_Mass\na 1 0.25\n", "{\"id\": \"a\"}\n"] {
        check_refused(text.as_bytes(), "");
    }
    check_refused(b"sep=;\nid;Mass;score_Mass\na;1;0.25\n", "no column has scores");
    check_refused(b"# made today\nid,Mass,score_Mass\na,1,0.25\n", "no column has scores");
    check_refused(b"a,1,0.25\nb,0,0.5\n", "no column has scores");
    // Joined files.
    check_refused(format!("{good}{good}").as_bytes(), "line 4 is the header again");
    check_refused(format!("{good}\u{feff}{good}").as_bytes(), "line 4 is the header again");
    check_refused(
        format!("{good}ID,Mass,score_Mass\nc,1,0.5\n").as_bytes(),
        "the score of Mass is `score_Mass`",
    );
    check_refused(
        format!("{good}a,1,0.25\nb,0,0.5\n").as_bytes(),
        "line 4: the id a is that of line 2 already",
    );
    // Rows of another width.
    for row in ["a,1", "a,1,0.25,7", "a,1,0,25", "a,1,1,234.5", "a;1;0.25", "a"] {
        check_refused(format!("id,Mass,score_Mass\n{row}\n").as_bytes(), "line: 2");
    }
    check_refused(b"id,Mass,score_Mass\na,1,0.25\n,,\n", "line 3: the id is empty");
    check_refused(b"Mass,score_Mass\n1,0.25\n,\n", "line 3: the score of Mass is ``");
    // A quote that swallows rows.
    check_refused(b"id,Mass,score_Mass\n\"a,1,0.25\nb,0,0.5\n\"c,1,0.75\n", "line 2: a cell goes on");
    check_refused(b"id,Mass,score_Mass,ward\na,1,0.25,\"x\nb,0,0.5,y\n\"\n", "line 2: a cell goes on");
    check_refused(b"id,Mass,\"score_Mass\na,1,0.25\n", "a cell goes on in the next line");
    check_refused(b"id,Mass,score_Mass,split\na,1,0.25,holdout\n", "the split is `holdout`");
    for age in ["45Y", "-5", "121", "inf"] {
        let table = format!("id,Mass,score_Mass,age\na,1,0.25,{age}\n");
        check_refused(table.as_bytes(), &format!("line 2: the age is `{age}`"));
    }
    check_refused(
        b"id,Mass,logit_Mass\na,1,1e39\n",
        "row a: the score of Mass is 1e39, larger than any logit",
    );
}

#[test]
fn an_image_comes_once_however_its_id_is_written() {
    let twice =
        |one: &str, two: &str| format!("id,split,Mass,score_Mass\n{one},val,1,0.25\n{two},test,0,0.5\n");
    for (one, two) in [("a", "a"), ("a", " a "), ("\"a\"", "a"), ("1", "1.0"), ("1.00", "1.0"), ("7", " 7.0")]
    {
        check_refused(twice(one, two).as_bytes(), "is that of line 2 already");
    }
    for (one, two) in
        [("1.1", "1.10"), ("01", "1"), ("1.2.0", "1.2"), ("a b", "ab"), ("1e0", "1"), ("a.0", "a")]
    {
        assert_eq!(read(twice(one, two).as_bytes(), None).expect(one).notes, [""; 0]);
    }
    let notes = read(twice("A.png", "a.PNG").as_bytes(), None).expect("two images").notes;
    assert_eq!(notes, ["ids that differ from others by capital letters only are taken for other images: 1"]);
    let compact = read(b"id,Mass,score_Mass\n1.0,1,0.25\n2.0,0,0.5\n", None).expect("numbers");
    assert_eq!(compact.splits[&Split::Test].ids, ["1", "2"]);
}

#[test]
fn a_table_without_ids_that_stands_twice_is_noticed() {
    let notes = |rows: &str| read(format!("Mass,score_Mass\n{rows}").as_bytes(), None).expect(rows).notes;
    let once = "1,0.25\n0,0.5\n0,0.3\n,0.4\n";
    assert_eq!(notes(once).len(), 1, "that there are no ids");
    let twice = notes(&once.repeat(2));
    assert!(twice[1].starts_with("from line 6 on all rows repeat those above"), "{twice:?}");
    assert!(notes(&once.repeat(3))[1].contains("3 times"));
    assert_eq!(notes(&(once.repeat(2) + "1,0.25\n")).len(), 1);
}

#[test]
fn columns_that_could_both_be_meant_are_refused() {
    for (columns, message) in [
        ("Mass,Mass_true,y_Mass,score_Mass", "two columns have truths of Mass: `Mass` and `Mass_true`"),
        ("Mass,gt_Mass,score_Mass", "two columns have truths of Mass: `Mass` and `gt_Mass`"),
        (
            "Mass,Mass_ground_truth,score_Mass",
            "two columns have truths of Mass: `Mass` and `Mass_ground_truth`",
        ),
        ("MASS,mass,score_Mass", "two columns have truths of Mass: `MASS` and `mass`"),
        ("Mass,target_Mass,score_Mass", "two columns have truths of Mass: `Mass` and `target_Mass`"),
        ("Mass,y_true_Mass,score_Mass", "two columns have truths of Mass: `Mass` and `y_true_Mass`"),
        (
            "Mass,score_Mass,Mass_pred,prob_Mass",
            "two columns have scores of Mass: `score_Mass` and `Mass_pred`",
        ),
        ("Mass,pred_Mass,prob_Mass,id", "two columns have scores of Mass: `pred_Mass` and `prob_Mass`"),
        (
            "Mass,y_pred_Mass,y_prob_Mass,id",
            "two columns have scores of Mass: `y_pred_Mass` and `y_prob_Mass`",
        ),
        ("Mass,score_Mass,Mass_proba,id", "two columns have scores of Mass: `score_Mass` and `Mass_proba`"),
        ("Mass,Score_Mass,score_mass,id", "two columns have scores of Mass: `Score_Mass` and `score_mass`"),
        ("Mass,score_Mass,Mass,id", "two columns are called `Mass`"),
        ("Mass,score_Mass,id,ID", "two columns could be the id: `id` and `ID`"),
    ] {
        let cells = vec!["1"; columns.split(',').count()].join(",");
        check_refused(format!("{columns}\n{cells}\n").as_bytes(), message);
    }
}

#[test]
fn scores_of_an_unclear_kind_are_asked_about() {
    let table = |scores: &[&str]| -> String {
        let rows: String =
            scores.iter().enumerate().map(|(at, score)| format!("{at},1,0,{score}\n")).collect();
        format!("id,Mass,Edema,score_Mass,score_Edema\n{rows}")
    };
    let check = |scores: &[&str], part: &str, hint: &str| {
        let text = table(scores);
        check_refused(text.as_bytes(), part);
        let found = read(text.as_bytes(), None).expect_err("refused").hint.expect("advice");
        assert!(found.contains(hint), "{found}");
    };
    let (which, divide) = ("say --scores percent, or --scores logits", "divide the scores by the largest");
    check(&["97.2,3", "0.5,2"], "the scores of Mass are from 0.5 to 97.2 and none is below 0", which);
    check(&["3.5,4.1", "0.2,1.7"], "the scores of Mass are from 0.2 to 3.5 and none is below 0", which);
    check(&["255,3", "0,128"], "the scores of Mass are from 0 to 255 and none is below 0", divide);
    check(&["10,3", "1,1000"], "the scores of Mass are from 1 to 10 and none is below 0", divide);
    check(
        &["0.5,1.0000001", "0.2,0.3"],
        "row 0: the score of Edema is 1.0000001, just outside 0 to 1",
        "clip",
    );
    check(&["0.5,1e-320", "-0.002,0.3"], "row 1: the score of Mass is -0.002, just outside 0 to 1", "clip");
    let two =
        "the scores of Edema are from 0.3 to 0.9, those of Mass are from 0.5 to 97.2: perhaps of two kinds";
    check(&["97.2,0.3", "0.5,0.9"], two, "if all are of one kind, say --scores percent");
    let two =
        "the scores of Edema are from 0.3 to 0.9, those of Mass are from -3 to 0.5: perhaps of two kinds";
    check(&["-3,0.3", "0.5,0.9"], two, "if all are of one kind");
    let two = "the scores of Edema are from 9 to 60, those of Mass are from -3 to 2: perhaps of two kinds";
    check(&["-3,60", "2,9"], two, "if all are of one kind");
    let kind = |scores: &[&str]| read(table(scores).as_bytes(), None).expect("clear").kind;
    assert_eq!(kind(&["-3,-2", "0.5,0.9"]), ScoreKind::Logits);
    assert_eq!(kind(&["0,0.2", "1,1e-320"]), ScoreKind::Probabilities);
}

#[test]
fn what_the_caller_says_of_scores_is_believed_unless_they_contradict() {
    let of = |scores: &str, kind| {
        read(format!("id,Mass,score_Mass\n{scores}").as_bytes(), Some(kind))
            .map(|file| (scores_of(&file), file))
    };
    let (found, file) = of("a,1,97.2\nb,0,0\nc,0,100\n", ScoreKind::Percent).expect("percent");
    assert_eq!((found, file.kind), (vec![0.972, 0.0, 1.0], ScoreKind::Percent));
    assert_eq!(file.kind_notes[0], "scores are taken for percentages");
    assert!(file.kind_notes[1].starts_with("2 of 3 scores (66.7 %) are exactly 0 or 1"), "{file:?}");
    let (_, file) = of("a,1,0.9\nb,0,0.1\n", ScoreKind::Percent).expect("percent");
    assert!(file.kind_notes[1].starts_with("no score is above 1 %"), "{file:?}");
    let (found, file) = of("a,1,0.9\nb,0,0.1\n", ScoreKind::Logits).expect("logits");
    assert_eq!((found, file.kind), (vec![0.9, 0.1], ScoreKind::Logits));
    assert_eq!(file.kind_notes[1], "all scores are between 0 and 1, as probabilities are: Mass");
    let refused = |scores: &str, kind| of(scores, kind).expect_err("refused").message;
    assert_eq!(
        refused("a,1,100.5\n", ScoreKind::Percent),
        "row a: the score of Mass is 100.5, no percentage"
    );
    assert_eq!(refused("a,1,-1\n", ScoreKind::Percent), "row a: the score of Mass is -1, no percentage");
    assert_eq!(
        refused("a,1,50\n", ScoreKind::Probabilities),
        "row a: the score of Mass is 50, no probability"
    );
    assert_eq!(
        refused("a,1,-4e300\n", ScoreKind::Logits),
        "row a: the score of Mass is -4e300, larger than any logit"
    );
}

#[test]
fn zeros_ones_and_calls_are_counted() {
    let notes = |rows: &str| {
        read(format!("id,Mass,Edema,prob_Mass,pred_Edema\n{rows}").as_bytes(), None).expect("good").kind_notes
    };
    let found = notes("a,1,0,0.25,1\nb,0,0,1,0\nc,0,0,0.004,0\n");
    assert_eq!(
        found[1],
        "4 of 6 scores (66.7 %) are exactly 0 or 1: calibration takes them for 0.002 to 0.005 from there (half the \
         smallest step to another score, within 1e-7 to 0.005), log loss for 2.2e-16, as scikit-learn's does"
    );
    assert_eq!(found[2], "every score is 0 or 1, so these are calls, which rank little: Edema");
    assert_eq!(notes("a,1,0,0.25,0.1\nb,0,0,0.3,0.2\n"), ["scores are taken for probabilities"]);
    let logits = read(b"id,Mass,logit_Mass\na,1,0\nb,0,1\n", None).expect("good").kind_notes;
    assert_eq!(logits, ["scores are taken for logits"]);
}
