"""SkyRL's policy worker on a machine without accelerator, for tests.

Import it before SkyRL, in every process. What SkyRL 0.3.0 asks of CUDA in a worker is answered for the CPU: the current
device, the mesh of devices, which gloo serves. FSDP2, the model's wrapper, the loss, the optimizer and the trainer's
dispatch to Ray actors are SkyRL's own. Weights go to the client that generates, where SkyRL sends them to vLLM.
"""

from __future__ import annotations

import sys
import typing
from typing import Any
from unittest import mock

import peft  # noqa: F401 (asks for flash-attn, before its stand-in)
import ray
import torch
import typing_extensions
from transformers import AutoModelForCausalLM

if sys.version_info < (3, 12):  # where pydantic refuses the TypedDict that SkyRL 0.3.0 uses
    typing.TypedDict = typing_extensions.TypedDict

# Of flash-attn, whose extension is CUDA alone, two functions are imported that pack batches, which is off in the tests.
sys.modules |= {name: mock.Mock() for name in ("flash_attn", "flash_attn.bert_padding")}
import skyrl.backends.skyrl_train.workers.model_wrapper  # noqa: F401

del sys.modules["flash_attn"], sys.modules["flash_attn.bert_padding"]

from skyrl.backends.skyrl_train.distributed import fsdp_utils
from skyrl.backends.skyrl_train.workers.fsdp.fsdp_worker import FSDPPolicyWorkerBase
from skyrl.backends.skyrl_train.workers.worker_dispatch import WorkerDispatch

from gd2po.data import builtin_model


class PolicyWorker(FSDPPolicyWorkerBase):
    """SkyRL's FSDP worker of the policy."""

    def __init__(self, **kwargs: Any) -> None:
        _answer_for_cpu()
        super().__init__(**kwargs)

    async def init_weight_sync_state(self, *args: Any) -> None:
        """Nothing: the weights are asked for."""

    def weights(self) -> dict[str, torch.Tensor]:
        """The whole weights of the policy."""
        state = self.model.model.state_dict()
        return {name: getattr(value, "full_tensor", lambda v=value: v)().float() for name, value in state.items()}


def _answer_for_cpu() -> None:
    """Once per process of a worker."""
    groups, meshes = torch.distributed.init_process_group, torch.distributed.device_mesh.init_device_mesh
    torch.distributed.init_process_group = lambda backend, **kwargs: groups("gloo", **kwargs)
    for module in (torch.distributed.device_mesh, fsdp_utils):
        module.init_device_mesh = lambda device, *args, **kwargs: meshes("cpu", *args, **kwargs)
    torch.cuda.current_device = lambda: "cpu"
    for name in ("set_device", "synchronize", "empty_cache", "manual_seed_all"):
        setattr(torch.cuda, name, lambda *args: None)
    torch.Tensor.cuda = lambda self, *args, **kwargs: self


class Client:
    """Generates with transformers, as SkyRL's client of inference servers does with vLLM."""

    def __init__(self, tokenizer: Any) -> None:
        torch.manual_seed(0)
        self.tokenizer, self.model = tokenizer, AutoModelForCausalLM.from_pretrained(builtin_model("builtin:toolcalls"))

    async def generate(self, engine_input: Any, model: str | None = None) -> dict[str, Any]:
        ids = torch.tensor(engine_input["prompt_token_ids"])
        out = self.model.generate(ids, max_new_tokens=16, do_sample=True, attention_mask=torch.ones_like(ids))
        new = out[0, ids.shape[1] :].tolist()
        text, logprobs = self.tokenizer.decode(new), [[-1.0] * len(new)]  # which nothing here looks at
        return {"responses": [text], "response_ids": [new], "stop_reasons": ["stop"], "response_logprobs": logprobs}

    async def nothing(self, *args: Any) -> None: ...

    finish_session = pause_generation = resume_generation = nothing

    def increment_weight_version(self) -> None: ...


def send_weights(dispatch: WorkerDispatch, client: Client, model_id: str | None = None) -> None:
    """The policy's weights to the client, in place of `_broadcast_to_inference_engines`."""
    weights = ray.get(dispatch._actor_groups["policy"].async_run_ray_method("pass_through", "weights"))[0]
    client.model.load_state_dict(weights)


PolicyActor = ray.remote(num_gpus=0)(PolicyWorker)
