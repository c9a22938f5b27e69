//! What this machine's processor can do.

/// The x86-64 level by the psABI's list of features, in HTCondor's spelling.
#[cfg(target_arch = "x86_64")]
pub fn microarch() -> Option<&'static str> {
    use std::arch::is_x86_feature_detected as has;
    let v2 = has!("sse3")
        && has!("ssse3")
        && has!("sse4.1")
        && has!("sse4.2")
        && has!("popcnt")
        && has!("cmpxchg16b");
    let v3 = v2
        && has!("avx")
        && has!("avx2")
        && has!("bmi1")
        && has!("bmi2")
        && has!("f16c")
        && has!("fma")
        && has!("lzcnt")
        && has!("movbe");
    let v4 =
        v3 && has!("avx512f") && has!("avx512bw") && has!("avx512cd") && has!("avx512dq") && has!("avx512vl");
    Some(match (v2, v3, v4) {
        (_, _, true) => "x86_64-v4",
        (_, true, _) => "x86_64-v3",
        (true, _, _) => "x86_64-v2",
        _ => "x86_64-v1",
    })
}

/// None of other processors.
#[cfg(not(target_arch = "x86_64"))]
pub fn microarch() -> Option<&'static str> {
    None
}
