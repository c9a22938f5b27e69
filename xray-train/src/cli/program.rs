//! What the programs `xray-train` and `xray-train-gpu` do: parse, run, print.

use super::gpu_program::hand_over;
use super::{Arguments, OutputFormat, dry_run};
use crate::config::RunConfig;
use crate::environment::VERSION;
use crate::logits;
use crate::reference;
use crate::run::{Outcome, run};
use crate::table::table;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use xray_artifacts::{Exit, Failure, State};
use xray_cli::{Build, print};
use xray_display::counted;
use xray_kernels::Isa;
use xray_model::Backend;

/// Does what this process's command line asks for. The version is the one in `env.json` and in results.
pub fn main(build: Build) -> Exit {
    let backends: Vec<_> = Backend::compiled().into_iter().map(Backend::name).collect();
    let build = build.version(VERSION).with("backends", backends.join(", ")).with("kernels", Isa::summary());
    let build = build.topic("settings", reference::plain).topic("settings.md", reference::markdown);
    xray_cli::main(build, work)
}

fn work(arguments: Arguments) -> Result<Exit, Failure> {
    if arguments.resolve {
        arguments.resolve_lines(std::io::stdin().lock(), BufWriter::new(std::io::stdout().lock()))?;
        return Ok(Exit::Ok);
    }
    let config = arguments.resolve()?;
    hand_over(config.backend)?;
    xray_model::set_threads(config.resolved_threads());
    if let Some(folder) = &arguments.logits {
        let (input, output) =
            (BufReader::new(std::io::stdin().lock()), BufWriter::new(std::io::stdout().lock()));
        logits::answer(folder, config.backend, input, output)?;
        return Ok(Exit::Ok);
    }
    if arguments.dry_run {
        print(&dry_text(&config, arguments.files(), arguments.format)?)?;
        return Ok(Exit::Ok);
    }
    if let Some(test) = arguments.range_test(&config)? {
        print(&test.run(&config, arguments.files(), arguments.format)?)?;
        return Ok(Exit::Ok);
    }
    let options = arguments.options(&config)?;
    let outcome = run(&config, &options)?;
    print(&result_text(&outcome, &options.dir, arguments.format)?)?;
    Ok(outcome.exit.and_then(Exit::from_code).unwrap_or(Exit::Ok))
}

fn dry_text(config: &RunConfig, files: &Path, format: OutputFormat) -> Result<String, Failure> {
    let costs = dry_run(config, files)?;
    Ok(match format {
        OutputFormat::Text => format!("{}\n# {}\n", to_toml(config), costs.text().replace('\n', "\n# ")),
        OutputFormat::Json => format!("{:#}\n", serde_json::json!({ "config": config, "costs": costs })),
    })
}

fn to_toml(config: &RunConfig) -> String {
    toml::to_string(config).expect("a configuration is plain values")
}

fn result_text(outcome: &Outcome, dir: &Path, format: OutputFormat) -> Result<String, Failure> {
    let json = || serde_json::to_string_pretty(outcome).expect("numbers and strings");
    Ok(match format {
        OutputFormat::Json => json() + "\n",
        OutputFormat::Text if outcome.state == State::Finished => {
            format!("\n{}\nrun directory: {}\n", table(outcome), dir.display())
        }
        OutputFormat::Text => format!(
            "stopped and saved after {}; {}\nrun directory: {}\n",
            counted(outcome.training.steps, "step"),
            match outcome.state {
                State::Stopped => "the same command with a later --stop-at, or none, continues",
                _ => "the same command continues",
            },
            dir.display()
        ),
    })
}
