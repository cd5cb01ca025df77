#!/usr/bin/env bash
# install_engine.sh PYTHON ENGINE: an engine as the package index has it, into the environment of PYTHON, without a GPU.
# torch is already there. Where the engine's own requirements are CUDA builds, only what its imports need is installed.
set -euo pipefail
python=$1 engine=$2
install() { "$python" -m pip --disable-pip-version-check install -q "$@"; }

case "$engine" in
  axolotl) install axolotl==0.19.0 ;;
  swift) install ms-swift==4.6.0 msgspec ;; # which it imports and does not ask for
  skyrl)
    install --no-deps skyrl==0.3.0 skyrl-gym==0.4.0
    install 'ray==2.56.0' 'transformers>=5.6.1,<=5.8.0' 'datasets>=4' peft==0.18.1 hydra-core==1.3.2 accelerate aiohttp \
      cloudpathlib fastapi func_timeout hf_transfer jaxtyping loguru pillow polars tensordict torchdata tqdm uvicorn
    ;;
  openrlhf)
    install --no-deps openrlhf==0.11.2
    install 'ray[default]==2.55.0' transformers==5.15.0 accelerate datasets einops jsonlines loralib optree peft pylatexenc \
      tensorboard torchdata torchmetrics tqdm setuptools wheel ninja py-cpuinfo hjson msgpack psutil
    # Their Python alone: without the build of CUDA extensions.
    FLASH_ATTENTION_FORCE_BUILD=TRUE FLASH_ATTENTION_SKIP_CUDA_BUILD=TRUE \
      install --no-deps --no-build-isolation flash-attn==2.8.3
    DS_BUILD_OPS=0 install --no-deps --no-build-isolation deepspeed==0.19.6
    ;;
  trackers) # no engines: what TRL reports to
    install trl==1.16.0 transformers==5.10.4 datasets accelerate plotly jinja2 trackio==0.43.0 wandb==0.31.0 tensorboard==2.21.0
    ;;
  *)
    echo "ENGINE must be axolotl, swift, skyrl, openrlhf or trackers: got $engine" >&2
    exit 2
    ;;
esac
install --no-deps -e .
install typer rich pyyaml packaging pandas pyarrow pytest pytest-timeout hypothesis
