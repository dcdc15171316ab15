#!/usr/bin/env bash
# From a fresh checkout to pictures: sets up, builds, starts a server, draws every class with previews, stops the server.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build_dir=build
out=demo
seed=7

deploy/setup.sh
cmake -S . -B "$build_dir" -G Ninja -DHMAR_TESTS=OFF
cmake --build "$build_dir" -j "$(nproc)" --target hmar-server hmar

mkdir -p "$out"
scratch=$(mktemp -d)
port_file=$scratch/port  # The server makes it when it listens.
"$build_dir/server/hmar-server" --model "hmar-cifar10=deploy/models/hmar-cifar10" --listen 127.0.0.1:0 \
  --port-file "$port_file" >"$out/server.log" 2>&1 &
server=$!

stop_server() {
  local code=$?
  rm -rf "$scratch"
  if kill -TERM "$server" 2>/dev/null; then wait "$server" || code=1; fi
  if [ "$code" -ne 0 ]; then
    echo "demo: failed; the last lines of $out/server.log:" >&2
    tail -n 20 "$out/server.log" >&2
  fi
  exit "$code"
}
trap stop_server EXIT

echo "demo: loading the model"
deadline=$((SECONDS + 120))
until [ -s "$port_file" ]; do
  kill -0 "$server" || exit 1
  [ $SECONDS -lt $deadline ] || exit 1
  sleep 0.1
done
HMAR_SERVER=127.0.0.1:$(cat "$port_file")
export HMAR_SERVER
hmar=$build_dir/client/hmar
"$hmar" health --wait 120
"$hmar" models

# One request a class, all at once: the server packs them into common steps.
mapfile -t classes < <("$hmar" models --json | sed -n '/"classes"/,/\]/s/^ *"\([^"]*\)",\{0,1\}$/\1/p')
[ ${#classes[@]} -gt 0 ] || { echo "demo: the server names no classes" >&2; exit 1; }
requests=()
for class in "${classes[@]}"; do
  "$hmar" generate --class "$class" --seed "$seed" --previews full --quiet --out "$out/$class" >/dev/null &
  requests+=($!)
done
for request in "${requests[@]}"; do wait "$request"; done

pictures=()
columns=0
for class in "${classes[@]}"; do
  row=("$out/$class"/image-*-scale-*.png "$out/$class/image-$seed.png")
  columns=${#row[@]}
  pictures+=("${row[@]}")
done
"$hmar" sheet --columns "$columns" --out "$out/all-classes.png" "${pictures[@]}" >/dev/null

echo "demo: $out/CLASS/image-$seed.png, its previews beside it, for: ${classes[*]}"
echo "demo: all of them on one page, scales from left to right: $PWD/$out/all-classes.png"
