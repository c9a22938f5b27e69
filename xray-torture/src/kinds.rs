//! Every kind of file that the programs leave in their folders, and what of it must be the same when the same work is
//! done again. A file that no row describes is a failure: nothing new is forgotten.

/// What of a file is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    /// Every byte.
    Bytes,
    /// Values, without times and places.
    Json,
    /// The same for each line.
    JsonLines,
    /// The records of an event file, without times, speeds and the settings.
    Events,
    /// Settings.
    Toml,
    /// Tensors, and the header's values without times.
    Tensors,
    /// Nothing: it says when, where and how often something was tried.
    Nothing,
    /// It should not be there once the work is done.
    Litter,
}

/// A kind of file, by the end of its path. A `*` stands for any part of one name.
#[derive(Debug)]
pub(crate) struct FileKind {
    pattern: &'static str,
    pub(crate) compared: Compared,
}

const fn kind(pattern: &'static str, compared: Compared) -> FileKind {
    FileKind { pattern, compared }
}

/// The first row that fits is a file's kind.
const KINDS: &[FileKind] = {
    use Compared::{Bytes, Events, Json, JsonLines, Litter, Nothing, Tensors, Toml};
    &[
        kind("*.tmp", Litter),
        kind(".new.*/*", Litter),
        kind(".*.new/*", Litter),
        kind(".*.building/*", Litter),
        kind(".lock", Nothing),
        // What could not be believed is set aside.
        kind("*.damaged", Nothing),
        // A run.
        kind("checkpoints/last/*.safetensors", Tensors),
        // Which one is the one before depends on where a run was interrupted.
        kind("checkpoints/previous/*.safetensors", Nothing),
        kind("checkpoints/best/*.safetensors", Tensors),
        kind("cache/*.cache", Nothing),
        kind("model.safetensors", Tensors),
        kind("model.json", Json),
        kind("predictions-*.safetensors", Tensors),
        kind("out-of-fold.safetensors", Tensors),
        kind("errors.html", Bytes),
        kind("rates.svg", Bytes),
        kind("result.json", Json),
        kind("config.toml", Toml),
        kind("metrics.jsonl", JsonLines),
        kind("events.out.tfevents.*", Events),
        kind("finished/events", Events),
        kind("curve.svg", Bytes),
        kind("status.json", Nothing),
        kind("env.json", Nothing),
        kind("train.log", Nothing),
        // Exports and maps.
        kind("model.onnx", Bytes),
        kind("export.json", Json),
        kind("*.png", Bytes),
        // Shards, and what they are made of.
        kind("dataset.json", Json),
        kind("*.tfrecord", Bytes),
        kind("*.tfrecord.idx", Bytes),
        kind("*.csv", Bytes),
        // Predictions; what is found before the table is written lies beside it.
        kind("predictions.parquet", Bytes),
        kind("embeddings.parquet", Bytes),
        kind("*.part", Litter),
        // A sweep.
        kind("sweep.toml", Toml),
        kind("plan.json", Json),
        kind("cells.jsonl", JsonLines),
        kind("*.sub", Bytes),
        kind("*.dag", Bytes),
        kind("*.sh", Bytes),
        kind("*.sbatch", Bytes),
        kind("slurm/*.txt", Bytes),
        kind("rungs/*.json", Json),
        kind("rung.log", Nothing),
        kind("bin/*", Bytes),
        kind("attempts.jsonl", Nothing),
        kind("retried.json", Nothing),
        kind("stdout.txt", Nothing),
        kind("stderr.txt", Nothing),
        kind("collected/*.parquet", Bytes),
        kind("collected/tables.json", Json),
        kind("report/report.*", Bytes),
        kind("report/*.svg", Bytes),
    ]
};

/// The kind of a file by its path.
pub(crate) fn of(path: &str) -> Option<&'static FileKind> {
    KINDS
        .iter()
        .find(|kind| fits(kind.pattern, path))
        .map(|kind| if is_earlier(path) { &EARLIER } else { kind })
}

/// What a cell's earlier tries left, which `xray-sweep retry` keeps for a look.
const EARLIER: FileKind = kind("run.*", Compared::Nothing);

fn is_earlier(path: &str) -> bool {
    path.split('/').any(|name| name.strip_prefix("run.").is_some_and(|number| number.parse::<u32>().is_ok()))
}

/// Whether a path ends as the pattern does, name by name.
pub(crate) fn fits(pattern: &str, path: &str) -> bool {
    let mut names = path.rsplit('/');
    pattern.rsplit('/').all(|part| names.next().is_some_and(|name| name_fits(part, name)))
}

fn name_fits(part: &str, name: &str) -> bool {
    match part.split_once('*') {
        None => part == name,
        Some((front, back)) => {
            name.len() >= front.len() + back.len() && name.starts_with(front) && name.ends_with(back)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_the_end_of_its_path() {
        let check = |path, expected| assert_eq!(of(path).map(|kind| kind.compared), expected, "{path}");
        check("run/checkpoints/last/state.safetensors", Some(Compared::Tensors));
        check("run/checkpoints/best/step-12.safetensors", Some(Compared::Tensors));
        check("cells/0a1b/run/model/model.safetensors", Some(Compared::Tensors));
        check("run/result.json.123.tmp", Some(Compared::Litter));
        check("run/events.out.tfevents.run", Some(Compared::Events));
        check("collected/runs.parquet", Some(Compared::Bytes));
        check("cells/0a1b/run.1/result.json", Some(Compared::Nothing));
        check("cells/0a1b/run.1/notes.bin", None);
        check("runs.parquet", None);
        check("run/model/notes.bin", None);
    }
}
