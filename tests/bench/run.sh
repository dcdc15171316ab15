#!/usr/bin/env bash
# The benchmarks of RESULTS.md in one run, so that their ratios hold on a noisy machine. Needs a build; the reference
# only where Python has torch (deploy/setup.sh --oracle).
#   tests/bench/run.sh [BUILD_DIR]
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build}
python=$(deploy/setup.sh --print-site-packages)/../../../bin/python3
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT

echo "## machine"
lscpu | grep -E '^(Model name|CPU\(s\)|L2|L3)' | sed 's/  */ /g'

echo "## bare engine"
for batch in 1 4 16 64; do "$build/tests/bench/engine_bench" --batch "$batch" --images 64 | grep '^images/s' | sed "s/^/batch $batch  /"; done
for previews in fast full; do
  "$build/tests/bench/engine_bench" --batch 16 --images 64 --previews $previews | grep '^images/s' | sed "s/^/batch 16 $previews  /"
done

echo "## reference"
"$python" tests/bench/reference_bench.py || echo "no torch in Python: skipped"

echo "## served"
"$build/server/hmar-server" --listen 127.0.0.1:0 --port-file "$work/port" --no-access-log --log-level warn &
server=$!
for _ in $(seq 600); do [ -s "$work/port" ] && break; sleep 0.1; done
address=127.0.0.1:$(cat "$work/port")
"$build/client/hmar" --server "$address" health --wait 60 > /dev/null
"$build/client/hmar-load" --server "$address" --quiet --concurrency 16 --requests 32 > /dev/null  # Warm-up.
for load in "1 none rgb" "1 none png" "1 fast png" "16 none rgb" "16 none png" "16 fast png" "16 full png" "64 fast png"; do
  read -r concurrency previews format <<< "$load"
  "$build/client/hmar-load" --server "$address" --quiet --requests 128 --concurrency "$concurrency" --previews "$previews" --format "$format"
done
grep VmHWM "/proc/$server/status"

echo "## formats"
mkdir "$work/pictures"
for class in 0 1 2 3 4 5 6 7 8 9; do
  "$build/client/hmar" --server "$address" generate --class "$class" --seed "$class" --quiet --out "$work/drawn" > /dev/null
  mv "$work/drawn/image-$class.png" "$work/pictures"
done
"$build/tests/bench/format_bench" --pictures "$work/pictures" --turns 9

echo "## linear layers"
"$build/model/gemm_bench" --benchmark_min_time=0.2 2> /dev/null | grep -E '^Run' | sed 's/  */ /g'
