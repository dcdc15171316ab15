#!/usr/bin/env bash
# Builds the fuzzers and runs each for a while, from the kept corpus and what earlier runs found. Exits non-zero when one
# finds a fault, and says where its input is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

usage() {
  cat <<'USAGE'
tests/fuzz/run.sh [SECONDS] [BUILD_DIR]
  SECONDS    how long each fuzzer runs; default 30
  BUILD_DIR  default build-fuzz; what is found on the way is kept in BUILD_DIR/found

After a fault: reproduce it with BUILD_DIR/NAME_fuzz INPUT, mend it, and commit the input to tests/fuzz/corpus/NAME.
The seeds there are made by BUILD_DIR/make_corpus tests/fuzz/corpus.
USAGE
}
case ${1:-} in -h | --help) usage; exit ;; esac
seconds=${1:-30} build_dir=${2:-build-fuzz}

cmake -S tests/fuzz -B "$build_dir" -G Ninja -DCMAKE_CXX_COMPILER=clang++ >/dev/null
cmake --build "$build_dir"

for name in png jpeg webp edit weights http; do
  seeds=("tests/fuzz/corpus/$name")
  [ "$name" != weights ] || seeds+=(tests/golden/pth)
  mkdir -p "$build_dir/found/$name" "$build_dir/faults"
  log=$build_dir/$name.log
  if ! "$build_dir/${name}_fuzz" -max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=2048 \
    -artifact_prefix="$build_dir/faults/$name-" "$build_dir/found/$name" "${seeds[@]}" >"$log" 2>&1; then
    cat "$log"
    echo "Fuzzing $name: FAULT; its input is in $build_dir/faults" >&2
    exit 1
  fi
  echo "Fuzzing $name: $(grep -o '^Done .*' "$log"), no fault"
done
