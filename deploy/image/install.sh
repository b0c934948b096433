#!/bin/sh
# Installs Setpoint from a folder of wheels, without an index, into an environment of its own that needs no pip.
# usage: install.sh SOURCE WHEELS PREFIX
set -eu
source=$1
wheels=$2
prefix=$3
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_QUIET=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_INDEX=1
python3 -m venv --without-pip "$prefix"
python3 -m pip --python "$prefix/bin/python" install --no-compile --find-links "$wheels" \
  --require-hashes -r "$source/requirements/runtime.txt"
python3 -m pip --python "$prefix/bin/python" install --no-compile --no-deps "$wheels"/setpoint-*.whl
# The file system is read-only where it runs, and the same input gives the same bytes.
"$prefix/bin/python" -m compileall -q --invalidation-mode unchecked-hash "$prefix/lib"
