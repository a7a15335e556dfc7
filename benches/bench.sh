#!/usr/bin/env bash
# Speed of one model: prompt and generation, at two depths, as a table on stdout.
#   benches/bench.sh MODEL [THREADS]
set -euo pipefail
cd "$(dirname "$0")/.."
model=${1:?usage: benches/bench.sh MODEL [THREADS]}
threads=${2:-$(nproc)}
cargo build --release --locked --quiet -p baimo
baimo=${CARGO_TARGET_DIR:-target}/release/baimo
for depth in 0 2048; do
    "$baimo" bench "$model" -p 512 -n 64 -d "$depth" -t "$threads" -r 5
done
