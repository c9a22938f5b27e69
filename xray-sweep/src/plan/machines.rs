//! Which machines can run the sweep, from what its programs need: HTCondor's expressions for it.

use super::Binary;
use crate::cell::Request;
use crate::isa::Level;
use crate::signal::{ILLEGAL_INSTRUCTION, behind_a_shell};
use crate::spec::Condor;

/// The clause about processors, for a program that needs `level`; none for the baseline.
pub(crate) fn microarch_clause(level: Level, allow_unknown: bool, prefix: &str) -> Option<String> {
    if level == Level::V1 {
        return None;
    }
    // Compared as versions: as text, v10 would come before v3.
    let clause = format!("versionGE({prefix}Microarch, \"{level}\")");
    Some(if allow_unknown { format!("({prefix}Microarch =?= undefined || {clause})") } else { clause })
}

/// The whole requirement, one clause a line.
pub(super) fn requirements(condor: &Condor, least: Level) -> String {
    let mut clauses =
        vec!["(TARGET.Arch == \"X86_64\")".to_owned(), "(TARGET.OpSys == \"LINUX\")".to_owned()];
    clauses.extend(microarch_clause(least, condor.allow_unknown_microarch, "TARGET."));
    clauses.push(better_machine());
    clauses.extend(condor.require.iter().map(|require| format!("({require})")));
    clauses.join(" && \\\n                       ")
}

/// After an illegal instruction, only a machine with more than the one it happened on.
fn better_machine() -> String {
    format!(
        "(MY.LastHoldReasonSubCode =!= {} || (versionGE(TARGET.Microarch, MY.MachineAttrMicroarch0) && \
         TARGET.Microarch =!= MY.MachineAttrMicroarch0))",
        behind_a_shell(ILLEGAL_INSTRUCTION)
    )
}

/// A sentence on where the requirement comes from.
pub(super) fn note(binaries: &[Binary]) -> String {
    match binaries {
        [one] if one.level == Level::V1 => {
            "The program is built for any x86-64 processor and chooses its kernels when it runs.".to_owned()
        }
        [one] => format!("The program itself says that it needs {}.", one.level),
        many => {
            format!("Every machine gets the build that fits it; the least of them needs {}.", many[0].level)
        }
    }
}

/// The program, or an expression that names the best build for the machine that was matched.
pub(super) fn executable(binaries: &[Binary]) -> String {
    let [first, rest @ ..] = binaries else { return "bin/xray-train".to_owned() };
    if rest.is_empty() {
        return first.file.clone();
    }
    let choice = rest.iter().fold(format!("\"{}\"", first.level), |otherwise, binary| {
        format!(
            "ifThenElse(versionGE(TARGET.Microarch ?: \"x86_64-v1\", \"{0}\"), \"{0}\", {otherwise})",
            binary.level
        )
    });
    format!("bin/xray-train-$$([{choice}])")
}

/// What a slot must have for the largest of the jobs, clause by clause with a name: over the slot's own
/// attributes, for `condor_status`. What a machine has in all, not what is free just now.
pub(crate) fn slot_constraint(condor: &Condor, least: Level, request: &Request) -> Vec<(String, String)> {
    let mut clauses = vec![
        ("x86-64 Linux".to_owned(), "Arch == \"X86_64\" && OpSys == \"LINUX\"".to_owned()),
        (format!("{} cores", request.cpus), format!("(TotalSlotCpus ?: Cpus) >= {}", request.cpus)),
        (
            format!("{} MiB of memory", request.memory_mib),
            format!("(TotalSlotMemory ?: Memory) >= {}", request.memory_mib),
        ),
        (
            format!("{} MiB of disk", request.disk_mib),
            format!("(TotalSlotDisk ?: Disk) >= {}", request.disk_mib * 1024),
        ),
    ];
    if request.gpus > 0 {
        clauses.push((format!("{} GPUs", request.gpus), format!("(TotalSlotGPUs ?: 0) >= {}", request.gpus)));
    }
    clauses.extend(
        microarch_clause(least, condor.allow_unknown_microarch, "")
            .map(|clause| (format!("{least}"), clause)),
    );
    let own = |require: &String| (format!("--require {require}"), require.replace("TARGET.", ""));
    clauses.extend(condor.require.iter().map(own));
    clauses
}
