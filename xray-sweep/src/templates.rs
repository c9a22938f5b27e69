//! Submit files from templates: the built-in ones of `submit-templates/`, or a copy that somebody edited.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::Serialize;
use std::path::Path;
use xray_artifacts::{Exit, Failure, read_text};

/// Name and built-in text of every template.
const BUILT_IN: [(&str, &str); 5] = [
    ("job.sub.jinja", include_str!("../../submit-templates/job.sub.jinja")),
    ("sweep.dag.jinja", include_str!("../../submit-templates/sweep.dag.jinja")),
    ("rung.sh.jinja", include_str!("../../submit-templates/rung.sh.jinja")),
    ("collect.sh.jinja", include_str!("../../submit-templates/collect.sh.jinja")),
    ("sweep.sbatch.jinja", include_str!("../../submit-templates/sweep.sbatch.jinja")),
];

/// Templates, ready to be filled.
pub struct Templates(Environment<'static>);

impl Templates {
    /// The built-in ones, each replaced by the file of its name in `folder` where there is one.
    pub fn load(folder: Option<&Path>) -> Result<Templates, Failure> {
        let mut environment = Environment::new();
        // A misspelt name is an error, not an empty place.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // A line with nothing but a `{% tag %}` leaves no line behind.
        let mut syntax = SyntaxConfig::builder();
        syntax.keep_trailing_newline(true).trim_blocks(true).lstrip_blocks(true);
        environment.set_syntax(syntax.build().expect("the usual delimiters"));
        for (name, built_in) in BUILT_IN {
            let text = match folder.map(|folder| folder.join(name)).filter(|path| path.exists()) {
                None => built_in.to_owned(),
                Some(path) => read_text(&path)?,
            };
            environment.add_template_owned(name, text).map_err(|error| failure(name, &error))?;
        }
        match folder {
            Some(folder) if !BUILT_IN.iter().any(|(name, _)| folder.join(name).exists()) => {
                let names: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
                Err(Failure::new(Exit::Usage, format!("there is no template in {}", folder.display()))
                    .hint(format!("a template is called {}", names.join(", "))))
            }
            _ => Ok(Templates(environment)),
        }
    }

    /// Fills one with [`values`].
    pub fn render(&self, name: &str, values: Value) -> Result<String, Failure> {
        let template = self.0.get_template(name).map_err(|error| failure(name, &error))?;
        template.render(values).map_err(|error| failure(name, &error))
    }
}

/// What templates are filled with. Those of a large sweep are many, and several templates share them: clones are cheap.
pub fn values(values: &impl Serialize) -> Value {
    Value::from(Serde(values))
}

fn failure(name: &str, error: &minijinja::Error) -> Failure {
    let line = error.line().map_or(String::new(), |line| format!(": line {line}"));
    let detail = error.detail().map_or(String::new(), |detail| format!(": {detail}"));
    Failure::new(Exit::Usage, format!("template {name}{line}: {}{detail}", error.kind()))
        .hint("submit-templates/README.md lists what a template can use")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_template_replaces_one_and_its_mistakes_are_named() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let load = || Templates::load(Some(dir.path()));
        assert!(load().err().expect("empty").message.starts_with("there is no template in "));
        let write = |text: &str| std::fs::write(dir.path().join("sweep.dag.jinja"), text).expect("writable");
        write("# {{ name }}\n");
        let values = values(&serde_json::json!({ "name": "mine" }));
        assert_eq!(
            load().expect("good").render("sweep.dag.jinja", values.clone()).expect("good"),
            "# mine\n"
        );
        write("#\n{{ nmae }}\n");
        let failure = load().expect("good").render("sweep.dag.jinja", values).expect_err("misspelt");
        assert_eq!(failure.message, "template sweep.dag.jinja: line 2: undefined value");
        write("{% if %}");
        assert!(
            load()
                .err()
                .expect("no template")
                .message
                .starts_with("template sweep.dag.jinja: line 1: syntax error")
        );
    }
}
