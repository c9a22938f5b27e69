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
/// At 360, 768, 1280 and 1440 pixels, and printed: text that overlaps, is cut, leaves the page, is hard to read or is
/// not printed, requests to anywhere, and what a screen reader would miss. Ends with 1 if there is anything.
#[derive(Debug, Args)]
pub(crate) struct PageArguments {
    /// The HTML file, or the address of a page
    page: String,
    /// A file that is chosen in the page's form, which is then sent; the page that answers is looked at
    #[arg(long, value_name = "FILE")]
    upload: Option<PathBuf>,
    /// Without JavaScript in the page
    #[arg(long)]
    without_scripts: bool,
    /// axe.min.js of axe-core, whose rules are then asked too
    #[arg(long, value_name = "FILE")]
    axe: Option<PathBuf>,
    /// Write a picture of the whole page at each width here
    #[arg(long, value_name = "DIR")]
    screenshots: Option<PathBuf>,
}

/// What the page is looked at in; the last is A4 at 96 pixels to the inch, less the margins.
const VIEWS: [(u32, Media); 8] = [
    (360, Media::Light),
    (360, Media::Dark),
    (768, Media::Light),
    (768, Media::Dark),
    (1280, Media::Light),
    (1440, Media::Light),
    (1440, Media::Dark),
    (718, Media::Print),
];

const ASK_AXE: &str = "axe.run().then(found => found.violations.map(rule => \
    rule.id + ': ' + rule.help + ': ' + rule.nodes.map(node => node.target.join(' ')).join(', ')))";

const AUDIT: &str = include_str!("audit.js");

/// Looks, and fails if there is anything to say.
#[expect(clippy::print_stdout, reason = "the result")]
pub(crate) fn run(arguments: &PageArguments) -> Result<()> {
    let url = if arguments.page.starts_with("http://") {
        arguments.page.clone()
    } else {
        let file =
            fs::canonicalize(&arguments.page).with_context(|| format!("no file {}", arguments.page))?;
        format!("file://{}", file.display())
    };
    let upload =
        arguments.upload.as_ref().map(fs::canonicalize).transpose().context("no such file to send")?;
    let read = |axe: &PathBuf| fs::read_to_string(axe).with_context(|| format!("no file {}", axe.display()));
    let subject = Subject { url, upload, axe: arguments.axe.as_ref().map(read).transpose()? };
    if let Some(folder) = &arguments.screenshots {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut browser = Browser::start(!arguments.without_scripts)?;
    let mut problems = 0;
    for (width, media) in VIEWS {
        let found = look(&mut browser, &subject, width, media, arguments.screenshots.as_deref())?;
        for problem in &found {
            println!("{width} {}: {problem}", media.name());
        }
        problems += found.len();
    }
    if problems > 0 {
        bail!("{problems} flaws in {}", arguments.page);
    }
    println!("{}: no flaw in {} views", arguments.page, VIEWS.len());
    Ok(())
}

/// What is looked at.
struct Subject {
    url: String,
    upload: Option<PathBuf>,
    axe: Option<String>,
}

impl Subject {
    /// A file asks for nothing else; a page of a server may ask that server.
    fn is_own(&self, request: &str) -> bool {
        let origin = self.url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        request == self.url
            || request.starts_with("data:")
            || (origin != "file://" && request.starts_with(&origin))
    }
}

fn look(
    browser: &mut Browser,
    subject: &Subject,
    width: u32,
    media: Media,
    pictures: Option<&Path>,
) -> Result<Vec<String>> {
    let mut requests = browser.open(&subject.url, width, media)?;
    if let Some(upload) = &subject.upload {
        requests.extend(browser.send(upload)?);
    }
    let outside = requests.iter().filter(|request| !subject.is_own(request));
    let mut problems: Vec<String> = outside.map(|request| format!("asks for {request}")).collect();
    let found = browser.evaluate(AUDIT)?;
    let found = found.as_array().context("the audit gave no list")?;
    problems.extend(found.iter().filter_map(Value::as_str).map(str::to_owned));
    if let Some(axe) = &subject.axe {
        browser.evaluate(axe)?;
        let found = browser.evaluate(ASK_AXE)?;
        let found = found.as_array().context("axe-core gave no list")?;
        problems.extend(found.iter().filter_map(Value::as_str).map(|said| format!("axe: {said}")));
    }
    if let Some(folder) = pictures {
        let picture = folder.join(format!("{width}-{}.png", media.name()));
        fs::write(&picture, browser.screenshot()?)
            .with_context(|| format!("cannot write {}", picture.display()))?;
    }
    Ok(problems)
}
