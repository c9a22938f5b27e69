//! What a shell and `man` know of the programs: each writes its own completions and manual pages.

use super::Item;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use xray_workspace::steps::{self, command};

/// Where each shell looks, below `share/`: the name before the program's, and after it.
const SHELLS: [(&str, &str, &str); 3] = [
    ("bash", "bash-completion/completions/", ""),
    ("zsh", "zsh/site-functions/_", ""),
    ("fish", "fish/vendor_completions.d/", ".fish"),
];

/// Those of these programs.
pub(super) fn of(programs: &[PathBuf]) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    for program in programs {
        let name = program.file_name().context("a program has a name")?.to_string_lossy();
        for (shell, before, after) in SHELLS {
            let text = steps::output(command(program).args(["--completions", shell]))?;
            items.push(Item::document(&format!("share/{before}{name}{after}"), text.into_bytes()));
        }
        items.extend(manual(program)?);
    }
    Ok(items)
}

fn manual(program: &Path) -> Result<Vec<Item>> {
    let folder = tempfile::tempdir()?;
    steps::output(command(program).arg("--manual-pages").arg(folder.path()))?;
    let mut pages: Vec<PathBuf> =
        fs::read_dir(folder.path())?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    pages.sort();
    let item = |page: &PathBuf| {
        let name = page.file_name().context("a page has a name")?.to_string_lossy();
        Ok(Item::document(&format!("share/man/man1/{name}"), fs::read(page)?))
    };
    pages.iter().map(item).collect()
}
