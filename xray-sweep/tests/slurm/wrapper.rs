//! Programs that stand before the trainer and do something else first, or afterwards, where a job runs them.

use crate::workplace::{Workplace, checked};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What such a program does when it is to train on the machine `node`, before it becomes the trainer.
pub(crate) enum Instead {
    /// On the machine `old` an instruction that no processor has.
    Traps,
    /// The machine `old` is an emulated processor from before AVX.
    IsEmulated,
    /// The trainer ends three seconds before this program does.
    Lingers,
}

impl Instead {
    fn text(&self) -> &'static str {
        match self {
            Instead::Traps => r#"if (strcmp(node, "old") == 0) __builtin_trap();"#,
            Instead::IsEmulated => {
                r#"
        if (strcmp(node, "old") == 0) {
            char **emulated = calloc(count + 4, sizeof *emulated);
            memcpy(emulated, (char *[]){"qemu-x86_64-static", "-cpu", "Nehalem", TRAINER}, 4 * sizeof *emulated);
            memcpy(emulated + 4, arguments + 1, (count - 1) * sizeof *emulated);
            execvp(emulated[0], emulated);
        }"#
            }
            Instead::Lingers => {
                r#"
        pid_t trainer = fork();
        if (trainer > 0) {
            int status;
            waitpid(trainer, &status, 0);
            sleep(3);
            return WEXITSTATUS(status);
        }"#
            }
        }
    }
}

/// Compiles one for `trainer`.
pub(crate) fn wrapper(workplace: &Workplace, trainer: &Path, instead: &Instead) -> PathBuf {
    let (source, program) = (workplace.path("wrapper.c"), workplace.path("wrapper"));
    let text = format!(
        r#"
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
__attribute__((section(".xray.isa"), used)) static const volatile char level[] = "x86_64-v1";
int main(int count, char **arguments) {{
    const char *node = getenv("SLURMD_NODENAME");
    if (node && count > 1 && strcmp(arguments[1], "--config") == 0) {{
        {}
    }}
    execv(TRAINER, arguments);
    return level[0];
}}
"#,
        instead.text()
    );
    fs::write(&source, text).expect("writable");
    let define = format!("-DTRAINER={:?}", trainer.display().to_string());
    checked(Command::new("cc").arg(define).arg("-o").args([&program, &source]));
    program
}
