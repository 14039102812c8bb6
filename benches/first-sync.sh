#!/usr/bin/env bash
# First sync, no-change full re-sync and idle delta of N generated accounts, measured against the sandbox on this machine.
#
#   benches/first-sync.sh [N=200000]          generated accounts
#   benches/first-sync.sh --load DIR          CSV files as `lockstep sandbox --load` takes them, with orders
#   benches/first-sync.sh --platform forcemanager --load DIR
#                                             the same files with another platform: its rules as shipped, and no orders
#
# Prints, per run: seconds, records a second, writes and calls on each side, and the daemon's peak resident memory.
# Needs nothing but bash and the release build; it builds that first. LOCKSTEP=… measures another build instead.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -n "${LOCKSTEP:-}" ]; then
  lockstep=$(realpath "$LOCKSTEP")
else
  cargo build --release --quiet
  lockstep=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/release/lockstep
fi

platform=licensespring rules=sync-rules.toml orders=(--orders-from-opportunities) first=(once)
if [ "${1:-}" = --platform ]; then
  platform=$2
  shift 2
fi
if [ "$platform" != licensespring ]; then
  # Who is linked to whom is looked at before anything is written: here nobody looks.
  rules=docs/rules/$platform.toml orders=() first=(once --approve)
fi
if [ "${1:-}" = --load ]; then
  what=(--load "$2" "${orders[@]}")
else
  what=(--generated "${1:-200000}")
fi
dir=$(mktemp -d)
cp "$rules" "$dir/sync-rules.toml"
"$lockstep" sandbox --platform "$platform" "${what[@]}" --env-file "$dir/env" > "$dir/sandbox.log" &
sandbox=$!
trap 'kill $sandbox 2>/dev/null || true; rm -rf "$dir"' EXIT
until [ -f "$dir/env" ]; do
  kill -0 $sandbox || { cat "$dir/sandbox.log"; exit 1; }
  sleep 0.2
done
cat "$dir/sandbox.log"
set -a
. "$dir/env"
set +a
cd "$dir"

measure() { # name, arguments…
  local name=$1 began peak=0 now report
  shift
  began=$(date +%s.%N)
  "$lockstep" "$@" --json > report.json 2> error.log &
  local pid=$!
  while kill -0 $pid 2>/dev/null; do
    now=$(awk '/VmHWM/ {print $2}' /proc/$pid/status 2>/dev/null || true)
    [ -n "${now:-}" ] && peak=$now
    sleep 0.05
  done
  wait $pid || true
  report=$(cat report.json)
  awk -v name="$name" -v began="$began" -v ended="$(date +%s.%N)" -v peak="$peak" -v report="$report" 'BEGIN {
    seconds = ended - began
    printf "%-18s %8.1f s   peak %6.1f MiB   %s\n", name, seconds, peak / 1024, report
  }'
}
measure "first sync" "${first[@]}"
measure "no-change full" once --full
measure "idle delta" once
echo "state file        $(du -m state/lockstep.db | cut -f1) MiB"
