#!/usr/bin/env bash
# The GPU benchmarks of RESULTS.md. Makes random models of the official architecture (minutes, 8 GB of disk) where MODELS does not hold
# them yet. What is a rate is measured on a warm card (engine_bench --warm-seconds).
#   tests/bench/gpu.sh MODELS [PART...]      parts: models kernels d16 d30 d16-512 alone previews logits crowd served; default: all
# Programs are taken from PATH: for a build folder,
#   PATH=$PWD/build/tests/bench:$PWD/build/tests/kernels:$PWD/build/server:$PWD/build/client:$PATH tests/bench/gpu.sh /tmp/models
set -euo pipefail
cd "$(dirname "$0")/../.."
models=${1:?$(sed -n 4p "$0")}
shift
parts=${*:-models kernels d16 d30 d16-512 alone previews logits crowd served}
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
mkdir -p "$models"

make_model() {  # NAME PRESET OPTIONS...
  local out=$models/$1 preset=$2
  shift 2
  [ -e "$out/vqvae.safetensors" ] || python3 tests/reference/make_random_model.py "$out" --preset "$preset" --dtype bf16 "$@"
}

# All that the other parts need, side by side.
models() {
  local jobs=()
  make_model d16 hmar-d16 & jobs+=($!)
  make_model d16-512 hmar-d16 --image-size 512 & jobs+=($!)
  make_model d30 hmar-d30 & jobs+=($!)
  for job in "${jobs[@]}"; do wait "$job"; done
}

bench() {  # MODEL OPTIONS...
  engine_bench --device cuda:0 --model "$models/$1" "${@:2}"
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

# What a rolling load of images gives, warm, with each kernel's share.
d16() {
  for precision in bf16 fp8; do bench d16 --precision $precision --in-flight 84 --rolling --images 2000 --profile; done
}

d30() {
  for precision in bf16 fp8; do bench d30 --precision $precision --in-flight 112 --rolling --images 1200 --profile; done
  bench d30 --in-flight 32 --images 32 --warm-seconds 0  # For its memory.
}

d16-512() {
  for precision in bf16 fp8; do bench d16-512 --precision $precision --in-flight 24 --rolling --images 1000; done
}

alone() {
  for precision in bf16 fp8; do bench d16 --precision $precision --in-flight 1 --images 200; done
  bench d16 --in-flight 1 --images 200 --no-graphs
}

previews() {  # In turns, so that the ratio holds.
  for previews in none fast none fast; do bench d16 --in-flight 84 --rolling --images 3000 --previews $previews; done
}

# The bytes of images in a crowd are those that they have alone: of every model and precision before it fails.
crowd() {
  local wrong=0
  for precision in bf16 fp8; do
    for load in "d16 84 256 48" "d30 64 128 24" "d16-512 24 64 24"; do
      read -r model in_flight images alone <<< "$load"
      bench "$model" --precision $precision --in-flight "$in_flight" --rolling --images "$images" --warm-seconds 0 --alone "$alone" || wrong=1
    done
  done
  return $wrong
}

logits() {
  for model in "$models/d16" "$models/d16-512" deploy/models/hmar-cifar10; do
    for precision in bf16 fp8; do logits_dump --model "$model" --precision $precision "$work/$precision"; done
    python3 tests/bench/bf16_error.py "$model" "$work/bf16" "$work/fp8"
  done
}

# The server, loaded from a closed loop of callers, with the bare engine before and after.
served() {
  local bare=(bench d16 --in-flight 150 --rolling --images 9000)
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
    hmar-load --server "$address" --quiet --concurrency "$calls" --requests "$images" --warm-up 2 --connections 8
  done
  hmar-load --server "$address" --quiet --concurrency 256 --requests 4000 --warm-up 2 --connections 8 --previews fast
  kill "$server"
  wait "$server" || true
  server=
  "${bare[@]}"
}

for part in $parts; do echo "## $part"; $part; done
