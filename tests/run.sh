#!/usr/bin/env bash
# Sets up, builds and runs every test: the C++ ones by ctest, the fuzzers for a minute, then the end-to-end ones and the
# attacks by pytest. Ends with their closing lines; exits non-zero on any failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'EOF'
tests/run.sh [--quick] [--checks] [--sanitize LIST] [--gpu] [--build-dir DIR]
  --quick          the C++ tests only
  --checks         also what clang and clang-tidy find, and the tests of many threads under ThreadSanitizer
  --sanitize LIST  the C++ tests under -fsanitize=LIST, in a build folder of their own: address,undefined or thread
                   (thread: those of the scheduler, the reactors and what is between them, with fake engines)
  --gpu            only the tests that need a GPU (ctest -L gpu)
  --build-dir DIR  default: build, or build-LIST with --sanitize
EOF
}

quick=false checks=false gpu=false sanitize='' build_dir=''
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=true ;;
    --checks) checks=true ;;
    --gpu) gpu=true ;;
    --sanitize) sanitize=${2:?$(usage)}; shift ;;
    --build-dir) build_dir=${2:?$(usage)}; shift ;;
    -h | --help) usage; exit ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
build_dir=${build_dir:-build${sanitize:+-${sanitize//,/-}}}

# What runs on many threads. LibTorch has no instrumentation, so nothing that makes real images.
thread_tests=(operations/{histogram,line_writer,metrics_server,process_signals,metrics,reloader}
              scheduling/{scheduler,several_devices,late_reports,engine_loop,upload_scheduling,engine_faults,step_watch}
              keys/{key_ring,image_allowance}
              calls/{mailbox,encoder_pool,deliveries,doorkeeper,upload_readers}
              http/{answer_stream,receiver,workers})
grpc_thread_tests=(calls/{generate,edit,refusal} discovery/discovery http/http_door)
targets=() parts=()
if [ "$sanitize" = thread ]; then
  for name in "${thread_tests[@]}" "${grpc_thread_tests[@]}"; do targets+=("$(basename "$name")_test"); done
  parts=(-DHMAR_CUDA=OFF -DHMAR_BENCHMARKS=OFF)
fi

deploy/setup.sh --test
cmake -S . -B "$build_dir" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DHMAR_TESTS=ON -DHMAR_WERROR=ON \
  -DHMAR_SANITIZE="$sanitize" "${parts[@]}"
cmake --build "$build_dir" -j "$(nproc)" ${targets:+--target "${targets[@]}"}

# LibTorch and gRPC come without instrumentation: what they allocate for good, or do between their own threads, is not
# ours to report.
export ASAN_OPTIONS=detect_leaks=0
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
if [ "$sanitize" = thread ]; then
  run() { TSAN_OPTIONS=halt_on_error=1:suppressions=$PWD/tests/$1 "$build_dir/tests/server/$2_test" --gtest_brief=1; }
  for name in "${thread_tests[@]}"; do run tsan.supp "$name"; done
  for name in "${grpc_thread_tests[@]}"; do run tsan-grpc.supp "$name"; done
  exit
fi
# One test at a time: several measure what they wait for, and a model's step uses every core anyway.
selection=()
if $gpu; then selection=(-L gpu); fi
ctest --test-dir "$build_dir" --output-on-failure --no-tests=error "${selection[@]}"
if $quick || $gpu || [ -n "$sanitize" ]; then exit; fi

if $checks; then
  tests/clang_check.py --build-dir "$build_dir"
  tests/clang_check.py --build-dir "$build_dir" --tidy-since "$(cat .ci/clang-tidy-base)"
  tests/run.sh --sanitize thread
fi

tests/fuzz/run.sh 30 "$build_dir-fuzz"

"$(deploy/setup.sh --print-python)" -m pytest tests/e2e tests/client/python tests/hostile tests/reference tests/monitoring tests/deploy \
  --build-dir "$build_dir"
