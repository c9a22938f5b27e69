//! `cargo xtask page`: whether a page can be read on a phone, on a tablet and on a desk, light, dark and printed.

mod browser;

use anyhow::{Context, Result, bail};
use browser::{Browser, Media};
use clap::Args;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use browser::installed;

/// Open a page in headless Chromium and list what is wrong with it
///
/// At 360, 768 and 1440 pixels, light and dark, and printed: text that overlaps, is cut, leaves the page or is hard to
/// read, requests to anywhere, and what a screen reader would miss. Ends with 1 if there is anything.
#[derive(Debug, Args)]
pub(crate) struct PageArguments {
    /// The HTML file
    file: PathBuf,
    /// Write a picture of the whole page at each width here
    #[arg(long, value_name = "DIR")]
    screenshots: Option<PathBuf>,
}

/// What the page is looked at in; the last is A4 at 96 pixels to the inch, less the margins.
const VIEWS: [(u32, Media); 7] = [
    (360, Media::Light),
    (360, Media::Dark),
    (768, Media::Light),
    (768, Media::Dark),
    (1440, Media::Light),
    (1440, Media::Dark),
    (718, Media::Print),
];

const AUDIT: &str = include_str!("audit.js");

/// Looks, and fails if there is anything to say.
#[expect(clippy::print_stdout, reason = "the result")]
pub(crate) fn run(arguments: &PageArguments) -> Result<()> {
    let file =
        fs::canonicalize(&arguments.file).with_context(|| format!("no file {}", arguments.file.display()))?;
    if let Some(folder) = &arguments.screenshots {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut browser = Browser::start()?;
    let mut problems = 0;
    for (width, media) in VIEWS {
        let found = look(&mut browser, &file, width, media, arguments.screenshots.as_deref())?;
        for problem in &found {
            println!("{width} {}: {problem}", media.name());
        }
        problems += found.len();
    }
    if problems > 0 {
        bail!("{problems} flaws in {}", arguments.file.display());
    }
    println!("{}: no flaw in {} views", arguments.file.display(), VIEWS.len());
    Ok(())
}

fn look(
    browser: &mut Browser,
    file: &Path,
    width: u32,
    media: Media,
    pictures: Option<&Path>,
) -> Result<Vec<String>> {
    let url = format!("file://{}", file.display());
    let requests = browser.open(&url, width, media)?;
    let outside = requests.iter().filter(|request| **request != url && !request.starts_with("data:"));
    let mut problems: Vec<String> = outside.map(|request| format!("asks for {request}")).collect();
    let found = browser.evaluate(AUDIT)?;
    let found = found.as_array().context("the audit gave no list")?;
    problems.extend(found.iter().filter_map(Value::as_str).map(str::to_owned));
    if let Some(folder) = pictures {
        let picture = folder.join(format!("{width}-{}.png", media.name()));
        fs::write(&picture, browser.screenshot()?)
            .with_context(|| format!("cannot write {}", picture.display()))?;
    }
    Ok(problems)
}
