#!/usr/bin/env bash
# Many activated orders through a bad day, measured against the simulators on this machine: first in fine weather, then with
# random faults on the calls of both sides and the process killed three times. At the end of each, every line has exactly
# its licenses and both sides show the same, field by field; otherwise it fails with the seed.
#
#   benches/orders.sh [N=1000] [SEED=1]
#
# Prints, for each: orders, lines, licenses, seconds, runs, kills, faults met, and calls per order on each side.
set -euo pipefail
cd "$(dirname "$0")/.."
export LOCKSTEP_ORDERS=${1:-1000} LOCKSTEP_ORDERS_SEED=${2:-1}
cargo test --release --quiet --test it many_orders -- --ignored --nocapture
