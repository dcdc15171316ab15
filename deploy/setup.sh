#!/usr/bin/env bash
set -euo pipefail
venv=${HMAR_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/hmar-server/venv}
[ "${1:-}" = --print-site-packages ] && { echo "$venv"/lib/python3*/site-packages; exit; }
