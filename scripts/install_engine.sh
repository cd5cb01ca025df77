#!/usr/bin/env bash
# install_engine.sh PYTHON ENGINE: an engine as the package index has it, into the environment of PYTHON, without a GPU.
# torch is already there. Where the engine's own requirements are CUDA builds, only what its imports need is installed.
set -euo pipefail
python=$1 engine=$2
install() { "$python" -m pip --disable-pip-version-check install -q "$@"; }

case "$engine" in
  axolotl) install axolotl==0.19.0 ;;
  swift) install ms-swift==4.6.0 msgspec ;; # which it imports and does not ask for
  *)
    echo "ENGINE must be axolotl or swift: got $engine" >&2
    exit 2
    ;;
esac
install --no-deps -e .
install typer rich pyyaml packaging pandas pyarrow pytest pytest-timeout hypothesis
