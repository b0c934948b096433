#!/bin/sh
# Builds Setpoint's wheel from the source folder, and fetches the wheels it needs, each checked against the lock's hashes.
# usage: build.sh SOURCE WHEELS
set -eu
source=$1
wheels=$2
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_QUIET=1
python3 -m venv "$tools/venv"
"$tools/venv/bin/python" -m pip install --require-hashes --only-binary :all: -r "$source/requirements/build.txt"
"$tools/venv/bin/python" -m pip wheel --no-deps --no-build-isolation --wheel-dir "$wheels" "$source"
"$tools/venv/bin/python" -m pip download --require-hashes --only-binary :all: --dest "$wheels" \
  -r "$source/requirements/runtime.txt"
