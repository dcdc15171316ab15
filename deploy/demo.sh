#!/usr/bin/env bash
# From a fresh checkout to pictures: sets up, builds, starts a server, draws every class with previews, edits one of the
# pictures in every way, stops the server. With --serve a server is left running, with its page and its metrics, until Ctrl-C.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

serve=false
case ${1-} in
  "") ;;
  --serve) serve=true ;;
  *) echo "deploy/demo.sh [--serve]" >&2; exit 2 ;;
esac

build_dir=build
out=demo
seed=7

deploy/setup.sh
cmake -S . -B "$build_dir" -G Ninja -DHMAR_TESTS=OFF
cmake --build "$build_dir" -j "$(nproc)" --target hmar-server hmar

mkdir -p "$out"
scratch=$(mktemp -d)
port_file=$scratch/port  # The server makes it when it listens.
"$build_dir/server/hmar-server" --model "hmar-cifar10=deploy/models/hmar-cifar10" --listen 127.0.0.1:0 --drain-delay-seconds 0 \
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

# One of those pictures, edited: each row a page of its own (source, region, every scale), the pages on one sheet.
source=$out/horse/image-$seed.png
edits=$out/edits
edit() {  # NAME FLAGS...
  local name=$1
  shift
  "$hmar" edit --image "$source" --seed "$seed" --previews full --quiet --out "$edits/$name.png" \
    --sheet "$scratch/$name.png" "$@" >/dev/null
}
edit inpainting --box 8,8,24,24
edit outpainting --keep-box 4,4,28,28
edit class-edit --box 2,6,30,28 --class automobile

# The last row: the draft and as many branches off its first scales as the rows above have further columns.
draft=$edits/draft.json
"$hmar" generate --class horse --seed "$seed" --save-tokens "$draft" --quiet --out "$edits/draft" >/dev/null
"$hmar" generate --class horse --seed $((seed + 1)) --count $((columns + 1)) --from-tokens "$draft" --scales 4 --quiet \
  --out "$edits/branches" >/dev/null
branches=("$edits/branches"/image-*.png)
"$hmar" sheet --out "$scratch/branches.png" "$edits/draft/image-$seed.png" "${branches[@]}" >/dev/null
"$hmar" sheet --columns 1 --out "$out/edits.png" \
  "$scratch"/{inpainting,outpainting,class-edit,branches}.png >/dev/null

cat <<EOF

demo: ${#classes[@]} classes drawn with previews, and one of the pictures edited in every way
  $out/all-classes.png  every class, scales from left to right
  $out/edits.png        inpainted, outpainted, made another class, branched off a draft
  $out/CLASS/           each image with its previews
EOF
if ! $serve; then
  cat <<EOF

To try next: deploy/demo.sh --serve, for a page to draw and edit in; or README.md's five minutes.
EOF
  exit
fi

kill -TERM "$server"
wait "$server"
trap - EXIT
rm -rf "$scratch"
cat <<EOF

The page is http://127.0.0.1:8080 once the server says that it is ready; metrics are at http://127.0.0.1:9090/metrics. To try:
  $PWD/$hmar generate --class ship --seed 7 --count 4 --previews full
  $PWD/$hmar watch
Ctrl-C ends it.

EOF
exec "$build_dir/server/hmar-server" --http 127.0.0.1:8080 --metrics 127.0.0.1:9090 --access-log=off
