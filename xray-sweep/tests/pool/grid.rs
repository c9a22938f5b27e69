//! A grid of fractions and trials, submitted by hand.

use crate::sweep::Sweep;
use crate::workplace::{Workplace, said};
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
}
