#!/usr/bin/env bash
# The real process killed at every numbered point of two scripted stories, then at random points and twice in a row, and
# every request gone wrong; against the simulators on this machine. After each kill the state file is checked, the work is
# taken up again, and both sides must end as they do when nobody disturbs them: nothing twice, nothing lost, nothing left.
#
#   benches/kills.sh [KILLS=1000] [SEED=1] [TESTS=every_kill_point random_kills every_request]
#
# Prints a line for each part: plays, kills, broken, seconds. A broken play is printed whole, with its point.
#
# The points at commits exist only in builds with debug assertions, so the tests are built without optimisation. With
# LOCKSTEP_BINARY=$PWD/target/release/lockstep the shipped build is killed instead, at its requests and answers.
# State files lie in $TMPDIR; where that is memory (TMPDIR=/dev/shm) the disk does not set the pace.
set -euo pipefail
cd "$(dirname "$0")/.."
export LOCKSTEP_KILLS=${1:-1000} LOCKSTEP_KILLS_SEED=${2:-1}
shift $(($# < 2 ? $# : 2))
for part in "${@:-every_kill_point}" $([ $# -gt 0 ] || echo random_kills every_request); do
  cargo test --quiet --test it "kills::$part" -- --ignored --nocapture
done
