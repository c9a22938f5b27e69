//! A grid of fractions and trials, submitted by hand.

use crate::sweep::Sweep;
use crate::workplace::{Workplace, checked, said};
use serde_json::Value as Json;
use xray_artifacts::Exit;

#[test]
fn a_grid_runs_and_is_collected() {
    let Some(workplace) = Workplace::new() else { return };
    let worker = workplace.worker("xray-train");
    let binary = worker.to_str().expect("a name");
    let sweep =
        Sweep::plan(&workplace, "grid", &["--fractions", "0.5,1.0", "--trials", "2", "--binary", binary]);

    // It says what HTCondor does not know, and what nothing uses.
    let dry = ["condor_submit", "-dry-run", "/dev/null", "sweep.sub"];
    let dry = said(&workplace.in_pool(&sweep.path(""), &dry).output().expect("it starts"));
    assert!(!dry.contains("was unused") && !dry.contains("WARNING"), "{dry}");
    assert!(dry.contains("4 job(s)"), "{dry}");

    sweep.submit();
    let cells = sweep.wait_until_done();
    assert_eq!(cells.len(), 4);
    for cell in &cells {
        assert_eq!(cell["attempts"], 1, "{cell}");
        assert_eq!(cell["step"], 12, "{cell}");
        assert!(cell["used_memory_mib"].as_u64() <= cell["requested_memory_mib"].as_u64(), "{cell}");
    }
    let collected = sweep.collect(Exit::Ok);
    assert_eq!(collected["counts"]["done"], 4, "{collected}");
    assert!(sweep.path("collected/runs.parquet").is_file());

    // HTCondor has measured memory and disk, and the next sweep asks for them.
    let next = Sweep::arguments("next", &["--sizes-from", "grid", "--binary", binary, "--format", "json"]);
    let next: Vec<&str> =
        next.iter().map(String::as_str).filter(|word| !["--disk", "10MB"].contains(word)).collect();
    let next: Json = serde_json::from_str(&checked(&mut workplace.xray_sweep(&next))).expect("JSON");
    let [group] = &next["sizes"]["groups"].as_array().expect("a list")[..] else { panic!("{next}") };
    for what in ["memory", "disk"] {
        let (used, asked) = (&group[what]["used"], &group[what]["asked"][0]);
        let (used, asked) = (used.as_u64().expect("measured"), asked.as_u64().expect("asked for"));
        assert!(used > 0 && 4 * asked >= 5 * used && asked <= 5 * used / 4 + 65, "{what}: {group}");
        assert_eq!(group[what]["why"], Json::Null, "{group}");
    }
}
