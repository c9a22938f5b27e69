//! `cargo xtask package lambda`: xray-serve and a model as one zip file for AWS Lambda.

use super::{Level, MODEL_FILES, portable};
use anyhow::{Context, Result, ensure};
use clap::Args;
use std::fs;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use xray_workspace::steps;
use zip::write::{SimpleFileOptions, ZipWriter};

/// Build xray-serve for AWS Lambda: a zip file with the static program and a model, and a template beside it
///
/// `sam deploy --guided --template-file FOLDER/template.yaml` then makes a function with an address of its own.
#[derive(Debug, Args)]
pub(crate) struct LambdaArguments {
    /// The folder of model.json and model.safetensors, such as model/ of a run
    #[arg(long, value_name = "BUNDLE")]
    model: PathBuf,

    /// Folder for xray-lambda.zip and template.yaml [default: lambda/ in the target folder]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

const PROGRAM: &str = "xray-lambda";

pub(crate) const ZIP: &str = "xray-lambda.zip";
/// What Lambda starts.
pub(crate) const BOOTSTRAP: &str = "bootstrap";

const TEMPLATE: &str = include_str!("../../../deploy/template.yaml");

/// More than this is not a direct upload: AWS Lambda, "Lambda quotas".
const MAX_BYTES: u64 = 50 << 20;

/// Builds it and says what it is.
#[expect(clippy::print_stdout, reason = "the answer")]
pub(super) fn run(arguments: &LambdaArguments) -> Result<()> {
    let folder = match &arguments.out {
        Some(out) => std::path::absolute(out)?,
        None => default_folder()?,
    };
    let model = steps::root().join(&arguments.model);
    ensure!(model.join(MODEL_FILES[0]).is_file(), "there is no {} in {}", MODEL_FILES[0], model.display());
    let program = portable::build(&[PROGRAM], Level::V1)?.remove(0);
    fs::create_dir_all(&folder)?;
    let zip = folder.join(ZIP);
    let file = fs::File::create(&zip).with_context(|| format!("cannot write {}", zip.display()))?;
    pack(file, &program, &model)?;
    fs::write(folder.join("template.yaml"), TEMPLATE)?;
    let megabytes = |path: &Path| Ok::<_, anyhow::Error>(fs::metadata(path)?.len() as f64 / 1e6);
    println!("{}: {:.1} MB", zip.display(), megabytes(&zip)?);
    println!("  {BOOTSTRAP}: {:.1} MB", megabytes(&program)?);
    for name in MODEL_FILES {
        println!("  model/{name}: {:.1} MB", megabytes(&model.join(name))?);
    }
    println!("sam deploy --guided --template-file {}", folder.join("template.yaml").display());
    ensure!(fs::metadata(&zip)?.len() <= MAX_BYTES, "Lambda takes zip files of up to 50 MiB");
    Ok(())
}

pub(crate) fn default_folder() -> Result<PathBuf> {
    Ok(steps::target_folder()?.join("lambda"))
}

/// The same files make the same bytes: all dates are the format's first.
fn pack(to: impl Write + Seek, program: &Path, model: &Path) -> Result<()> {
    let mut zip = ZipWriter::new(to);
    let files = MODEL_FILES.map(|name| (format!("model/{name}"), model.join(name), 0o644));
    for (name, path, mode) in [(BOOTSTRAP.to_owned(), program.to_owned(), 0o755)].into_iter().chain(files) {
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .compression_level(Some(9))
            .last_modified_time(zip::DateTime::default())
            .unix_permissions(mode);
        zip.start_file(name, options)?;
        let mut file = fs::File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        std::io::copy(&mut file, &mut zip)?;
    }
    zip.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Read};

    #[test]
    fn a_zip_file_holds_the_program_and_the_model_and_is_the_same_every_time() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("writable");
        write("program", "ELF");
        MODEL_FILES.iter().for_each(|name| write(name, name));
        let zip = || {
            let mut bytes = Cursor::new(Vec::new());
            pack(&mut bytes, &folder.path().join("program"), folder.path()).expect("packed");
            bytes.into_inner()
        };
        let bytes = zip();
        assert_eq!(bytes, zip());
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).expect("a zip file");
        let mut found = Vec::new();
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).expect("an entry");
            let mut text = String::new();
            file.read_to_string(&mut text).expect("text");
            found.push((
                file.name().expect("plain").into_owned(),
                text,
                file.unix_mode().map(|mode| mode & 0o777),
            ));
        }
        let entry = |name: &str, text: &str, mode| (name.to_owned(), text.to_owned(), Some(mode));
        assert_eq!(
            found,
            [
                entry("bootstrap", "ELF", 0o755),
                entry("model/model.json", "model.json", 0o644),
                entry("model/model.safetensors", "model.safetensors", 0o644)
            ]
        );
    }
}
