//! Which machines can run the sweep, from what its programs need: HTCondor's expressions for it.

use super::Binary;
use super::data_url::DataUrl;
use crate::cell::Request;
use crate::isa::Level;
use crate::plan::quote::expression;
use crate::signal::{HOLD_BY_POLICY, LEVELS, PER_LEVEL};
use crate::spec::Condor;
use serde::Serialize;
use xray_artifacts::Failure;
use xray_display::counted;

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
pub(super) fn requirements(condor: &Condor, least: Level) -> Result<String, Failure> {
    let mut clauses =
        vec!["(TARGET.Arch == \"X86_64\")".to_owned(), "(TARGET.OpSys == \"LINUX\")".to_owned()];
    clauses.extend(microarch_clause(least, condor.allow_unknown_microarch, "TARGET."));
    clauses.extend([better_machine(), other_machine()]);
    if let Some(require) = &condor.require {
        clauses.push(format!("({})", expression("--require", require)?));
    }
    Ok(clauses.join(LINE))
}

const LINE: &str = " && \\\n                       ";

/// After an illegal instruction, only a machine with more than the one it happened on: the hold's sub-code says which
/// that was, whatever machines the job has seen since. A machine that does not say its level has the lowest.
fn better_machine() -> String {
    format!(
        "(LastHoldReasonCode =!= {HOLD_BY_POLICY} || {} > LastHoldReasonSubCode / {PER_LEVEL} % {LEVELS})",
        rank_of("TARGET.Microarch")
    )
}

/// 4 of `x86_64-v3`, 1 of a machine that advertises nothing, so that 0 is left for no machine.
pub(super) fn rank_of(attribute: &str) -> String {
    format!("1 + int(substr({attribute} ?: \"x86_64-v0\", 8))")
}

/// Seconds for which a job that failed waits for another machine: the negotiator's cycle takes 60.
const ANOTHER_MACHINE: u32 = 60;

/// Seconds for which it waits for another slot at least: slots can have disks of their own. A machine with one
/// partitionable slot is avoided as long.
const ANOTHER_SLOT: u32 = 600;

/// How many machines HTCondor remembers for a job.
pub(super) const MACHINES_REMEMBERED: u32 = 5;

/// After an end that another machine may not bring, no machine that the job was on, for a moment; then none of as many
/// as failed it. Where there is no other, they are tried again in the end. Counted from the last start and the last return
/// of the job's files, which a job that never ran lacks, so that those are all alike to the negotiator.
fn other_machine() -> String {
    let been = |number| format!("MachineAttrMachine{number} ?: \"\"");
    let slot = |number| {
        format!(
            "ifThenElse($(machine_failures) > {number}, \
             strcat(MachineAttrSlotID{number} ?: 0, \"@\", MachineAttrMachine{number} ?: \"\"), \"\")"
        )
    };
    let list = |of: &dyn Fn(u32) -> String| (0..MACHINES_REMEMBERED).map(of).collect::<Vec<_>>().join(", ");
    let since = "time() - max({TransferOutFinished ?: 0, JobCurrentStartDate ?: 0})";
    format!(
        "(!$(machine_failed) || \\\n                        \
         ({since} > {ANOTHER_MACHINE} || !member(TARGET.Machine, {{{machines}}})) && \\\n                        \
         ({since} > {ANOTHER_SLOT} || !member(strcat(TARGET.SlotID, \"@\", TARGET.Machine), \\\n                          \
         {{{slots}}})))",
        machines = list(&been),
        slots = list(&slot),
    )
}

/// A sentence on where the requirement comes from.
pub(super) fn note(binaries: &[Binary]) -> String {
    let (gpu, cpu): (Vec<&Binary>, Vec<&Binary>) = binaries.iter().partition(|binary| binary.gpu);
    let of_cpu = match cpu[..] {
        [] => None,
        [one] if one.level == Level::V1 => Some(
            "The program is built for any x86-64 processor and chooses its kernels when it runs.".to_owned(),
        ),
        [one] => Some(format!("The program itself says that it needs {}.", one.level)),
        [least, ..] => Some(format!(
            "Every machine gets the build that fits it; the least of them needs {}.",
            least.level
        )),
    };
    let of_gpu = gpu.first().map(|binary| {
        format!(
            "{} needs {}. No machine advertises a Vulkan driver or its glibc: where one is missing the job goes elsewhere.",
            binary.file,
            binary.needs()
        )
    });
    of_cpu.into_iter().chain(of_gpu).collect::<Vec<_>>().join(" ")
}

/// What jobs run where a sweep has cells for processors and cells for a GPU: a macro that each row names.
#[derive(Serialize)]
pub(super) struct Program {
    name: &'static str,
    executable: String,
}

/// The macro that names the program of a row.
pub(super) fn program_name(gpu: bool) -> &'static str {
    if gpu { "gpu_program" } else { "cpu_program" }
}

/// Both programs; none where all rows have the same.
pub(super) fn programs(binaries: &[Binary]) -> Vec<Program> {
    let kind = |gpu: bool| {
        let builds: Vec<&Binary> = binaries.iter().filter(|binary| binary.gpu == gpu).collect();
        (!builds.is_empty()).then(|| Program { name: program_name(gpu), executable: build(&builds) })
    };
    let both: Vec<Program> = [kind(false), kind(true)].into_iter().flatten().collect();
    if both.len() == 2 { both } else { Vec::new() }
}

/// The program, or an expression that names it for a row, or for the machine that was matched.
pub(super) fn executable(binaries: &[Binary]) -> String {
    if programs(binaries).is_empty() {
        build(&binaries.iter().collect::<Vec<_>>())
    } else {
        "$($(program))".to_owned()
    }
}

/// The only build, or an expression that names the best one for the machine that was matched.
fn build(builds: &[&Binary]) -> String {
    let [first, rest @ ..] = builds else { return "bin/xray-train".to_owned() };
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
        (counted(request.cpus, "core"), format!("(TotalSlotCpus ?: Cpus) >= {}", request.cpus)),
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
    // Of the jobs condor_submit requires it itself.
    let plug_in = |url: DataUrl<'_>| {
        let method = url.method();
        let clause = format!("stringListIMember(\"{method}\", HasFileTransferPluginMethods ?: \"\")");
        (format!("a plug-in for {method}"), clause)
    };
    clauses.extend(condor.data_url.as_deref().and_then(|url| DataUrl::parse(url).ok()).map(plug_in));
    clauses.extend(
        microarch_clause(least, condor.allow_unknown_microarch, "")
            .map(|clause| (format!("{least}"), clause)),
    );
    let own = |require: &String| (format!("--require {require}"), require.replace("TARGET.", ""));
    clauses.extend(condor.require.iter().map(own));
    clauses
}
