#!/usr/bin/env bash
# tests/soak.sh MINUTES [OPTIONS]: a real server under mixed load, faults and hostile clients for so long; then everything
# must be back where it was, and every request accounted for. See tests/hostile/soak.py. Needs a build (tests/run.sh).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec "$(deploy/setup.sh --print-python)" tests/hostile/soak.py "$@"
