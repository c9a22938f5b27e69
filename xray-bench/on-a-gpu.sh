#!/bin/bash
# Everything that only a GPU can tell, in less than ten minutes, on a machine that has one but neither Rust nor a network.
#
#   xray-bench/on-a-gpu.sh pack         here: builds the programs and packs them into target/on-a-gpu.tar.xz
#   xray-bench/on-a-gpu.sh run OUT      there, in a copy of this folder with that file: tests, then the short bench
#
# OUT gets gpu.md and gpu.json, of which results/benchmarks is to have a copy, and a log of each step. A step that takes
# longer than its limit is ended, and the next one begins. PyTorch is measured where python3 (or $PYTHON) can import it.
set -u
cd "$(dirname "$0")/.." || exit 1
packed=target/on-a-gpu.tar.xz
features=xray-train/wgpu,xray-model/burn-wgpu,xray-gpu/wgpu

pack() {
    set -e
    local folder=target/on-a-gpu
    rm -rf "$folder" && mkdir -p "$folder/examples"
    cargo build --release --package xray-bench
    cargo build --release --workspace --features "$features" --example steps --example tiles
    cp target/release/xray-bench "$folder/"
    cp target/release/examples/{steps,tiles} "$folder/examples/"
    # The tests that a GPU may answer otherwise than a renderer in software.
    cargo test --release --workspace --features "$features" --test kernels --test conformance --no-run \
        --message-format json | python3 -c '
import json, shutil, sys
for line in sys.stdin:
    message = json.loads(line)
    name = message.get("target", {}).get("name")
    is_wanted = name in ("conformance", "kernels")
    if message.get("executable") and is_wanted:
        shutil.copy(message["executable"], f"{sys.argv[1]}/{name}")
' "$folder"
    strip "$folder"/{xray-bench,kernels,conformance} "$folder"/examples/*
    pwd > "$folder/built-in"
    git describe --always --exclude='*' --dirty --abbrev=12 > "$folder/commit"
    tar --create --xz --file "$packed" --directory target on-a-gpu
    ls -l "$packed"
}

# step SECONDS NAME COMMAND...: with a log of its own, and a line that says how it ended.
step() {
    local limit=$1 name=$2 begun=$SECONDS
    shift 2
    timeout --kill-after 5 "$limit" "$@" > "$out/$name.log" 2>&1
    local code=$?
    echo "$name: exit code $code after $((SECONDS - begun)) s of at most $limit" | tee -a "$out/steps.txt"
    return $code
}

run() {
    out=$(realpath -m "${1:?a folder for the results}")
    mkdir -p "$out"
    : > "$out/steps.txt"
    step 20 unpack tar --extract --xz --file "$packed" --directory target || exit 1
    local programs=$PWD/target/on-a-gpu built_in
    built_in=$(cat "$programs/built-in")
    # Tests read their golden files where they were compiled.
    [ -e "$built_in" ] || { mkdir -p "$(dirname "$built_in")" && ln -s "$PWD" "$built_in"; }
    XRAY_STAMP=$(cat "$programs/commit")
    export XRAY_STAMP CARGO_MANIFEST_DIR=$PWD/xray-bench

    step 5 nvidia-smi nvidia-smi
    step 30 device "$programs/examples/steps" --backend wgpu --size 64 --batch 2 --repeats 2
    if grep -qiE 'llvmpipe|lavapipe|swiftshader' "$out/device.log" || ! grep -q '"device"' "$out/device.log"; then
        cat "$out/device.log"
        echo 'no GPU through Vulkan: its driver and the loader, libvulkan.so.1, must be found' | tee -a "$out/steps.txt"
        exit 78
    fi
    step 60 kernels "$programs/kernels"
    step 50 conformance "$programs/conformance"
    local python=()
    if timeout 60 "${PYTHON:=python3}" -c 'import torch, torchvision; assert torch.cuda.is_available()' 2> "$out/torch.log"; then
        python=(--python "$(command -v "$PYTHON")")
    fi
    step 370 bench "$programs/xray-bench" gpu --short --binaries "$programs" "${python[@]}" --out "$out"
    tail -n 3 "$out"/{kernels,conformance}.log
    cat "$out/gpu.md"
}

case ${1:-} in
pack) pack ;;
run) run "${2:-}" ;;
*) sed -n '2,8s/^# \{0,1\}//p' "$0" && exit 2 ;;
esac
