#!/usr/bin/env bash
# The GPU benchmarks of RESULTS.md in one run. Makes random models of the official architecture (minutes, 8 GB of disk) where
# MODELS does not hold them yet.
#   tests/bench/gpu.sh MODELS [PART...]      parts: kernels engine logits served; default: all
# Programs are taken from PATH: for a build folder,
#   PATH=$PWD/build/tests/bench:$PWD/build/tests/kernels:$PWD/build/server:$PWD/build/client:$PATH tests/bench/gpu.sh /tmp/models
set -euo pipefail
cd "$(dirname "$0")/../.."
models=${1:?$(sed -n 4p "$0")}
shift
parts=${*:-kernels engine logits served}
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
mkdir -p "$models"

make_model() {  # NAME PRESET OPTIONS...
  local out=$models/$1 preset=$2
  shift 2
  [ -e "$out/vqvae.safetensors" ] || python3 tests/reference/make_random_model.py "$out" --preset "$preset" --dtype bf16 "$@"
}

kernels() {
  for kernel in linear segment_attention row_norm fp8_rows embed draw f_hat quantize group_norm picture conv2d; do
    if command -v "${kernel}_gpu_bench" > /dev/null; then "${kernel}_gpu_bench"; fi
  done
  decoder_bench --model "$models/d16"
  encoder_bench --model "$models/d16"
  encoder_bench --model deploy/models/hmar-cifar10
  edit_bench --device cuda:0 --model "$models/d16"
}

# What a rolling load of images gives; the last figures are those of an image alone.
engine() {
  for precision in bf16 fp8; do
    engine_bench --device cuda:0 --precision $precision --model "$models/d16" --in-flight 84 --rolling --images 800 --profile
    engine_bench --device cuda:0 --precision $precision --model "$models/d30" --in-flight 112 --rolling --images 500 --profile
    engine_bench --device cuda:0 --precision $precision --model "$models/d30" --in-flight 32 --rolling --images 200
    engine_bench --device cuda:0 --precision $precision --model "$models/d16-512" --in-flight 24 --rolling --images 160
    engine_bench --device cuda:0 --precision $precision --model "$models/d16" --in-flight 1 --images 30
  done
  for previews in none fast; do  # One run, so that the ratio holds.
    engine_bench --device cuda:0 --model "$models/d16" --in-flight 84 --rolling --images 2000 --previews $previews
  done
  engine_bench --device cuda:0 --model "$models/d16" --in-flight 1 --images 30 --no-graphs
}

logits() {
  for model in "$models/d16" "$models/d16-512" deploy/models/hmar-cifar10; do
    for precision in bf16 fp8; do logits_dump --model "$model" --precision $precision "$work/$precision"; done
    python3 tests/bench/bf16_error.py "$model" "$work/bf16" "$work/fp8"
  done
}

# The server, loaded from a closed loop of callers, with the bare engine before and after: a GPU slows down as it warms up.
served() {
  local bare=(engine_bench --device cuda:0 --model "$models/d16" --in-flight 150 --rolling --images 9000)
  "${bare[@]}"
  hmar-server --model d16="$models/d16" --device cuda:0 --listen 127.0.0.1:0 --port-file "$work/port" --encoder-threads 8 \
    --no-access-log --log-level warn &
  server=$!
  start=$(date +%s%N)
  for _ in $(seq 600); do [ -s "$work/port" ] && break; sleep 0.1; done
  local address
  address=127.0.0.1:$(cat "$work/port")
  hmar --server "$address" health --wait 60
  echo "ready after $((($(date +%s%N) - start) / 1000000)) ms"
  for load in "1 50" "4 200" "16 500" "64 2000" "128 3000" "256 9000"; do
    read -r calls images <<< "$load"
    load_bench --target "$address" --concurrency "$calls" --images "$images" --warm-up $((2 * calls)) --connections 8
  done
  load_bench --target "$address" --concurrency 256 --images 4000 --warm-up 512 --connections 8 --previews fast
  kill "$server"
  wait "$server" || true
  server=
  "${bare[@]}"
}

make_model d16 hmar-d16
make_model d16-512 hmar-d16 --image-size 512
case " $parts " in *" engine "*) make_model d30 hmar-d30 ;; esac
for part in $parts; do echo "## $part"; $part; done
