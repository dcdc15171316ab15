#!/usr/bin/env bash
# Sets up, builds and runs every test: the C++ ones by ctest, the fuzzers for a minute, then the end-to-end ones and the
# attacks by pytest. Ends with their closing lines; exits non-zero on any failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'EOF'
tests/run.sh [--quick] [--sanitize LIST] [--gpu] [--build-dir DIR]
  --quick          the C++ tests only
  --sanitize LIST  the C++ tests under -fsanitize=LIST (address,undefined or thread), in a build folder of their own
  --gpu            only the tests that need a GPU (ctest -L gpu)
  --build-dir DIR  default: build, or build-LIST with --sanitize
EOF
}

quick=false gpu=false sanitize='' build_dir=''
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=true ;;
    --gpu) gpu=true ;;
    --sanitize) sanitize=${2:?$(usage)}; shift ;;
    --build-dir) build_dir=${2:?$(usage)}; shift ;;
    -h | --help) usage; exit ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
build_dir=${build_dir:-build${sanitize:+-${sanitize//,/-}}}

deploy/setup.sh --test
cmake -S . -B "$build_dir" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DHMAR_TESTS=ON -DHMAR_SANITIZE="$sanitize"
cmake --build "$build_dir" -j "$(nproc)"

# LibTorch and gRPC come without instrumentation: what they allocate for good, or do between their own threads, is not
# ours to report.
export ASAN_OPTIONS=detect_leaks=0
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:suppressions=$PWD/tests/tsan.supp
# One test at a time: several measure what they wait for, and a model's step uses every core anyway.
selection=()
if $gpu; then selection=(-L gpu); fi
ctest --test-dir "$build_dir" --output-on-failure --no-tests=error "${selection[@]}"
if $quick || $gpu || [ -n "$sanitize" ]; then exit; fi

tests/fuzz/run.sh 30 "$build_dir-fuzz"

"$(deploy/setup.sh --print-python)" -m pytest tests/e2e tests/hostile --build-dir "$build_dir"
