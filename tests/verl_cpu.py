"""verl on a machine without accelerator: a platform and a rollout engine of plain PyTorch, for tests.

verl 0.9.1 has platforms for CUDA, ROCm and NPU, and the rollout engines vLLM, SGLang and TensorRT-LLM. Everything else
in a run on this module is verl's own: Ray, TransferQueue, the trainers, FSDP2 (on gloo), the optimizer, the order in
which weights reach the rollout engine. Load it with VERL_USE_EXTERNAL_MODULES=verl_cpu.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import ray
import torch
from verl.plugin.platform.platform_cuda import PlatformCUDA
from verl.plugin.platform.platform_manager import set_platform
from verl.utils import distributed, import_utils

import_utils.is_trl_available = lambda: False  # verl imports a class of TRL's that TRL 1.16 no longer has

from verl.workers.engine import EngineRegistry  # noqa: E402
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead  # noqa: E402
from verl.workers.rollout import base, replica  # noqa: E402


class _Device:
    """`torch.cpu`, and nothing where it lacks what `torch.cuda` has: sizes of memory are 0."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name, lambda *args, **kwargs: 0)

    def get_device_name(self, *args: Any) -> str:
        return "CPU"

    def mem_get_info(self, *args: Any) -> tuple[int, int]:
        return 1, 1


class PlatformCPU(PlatformCUDA):
    device_name = "cpu"
    vendor_name = "cpu"

    @property
    def device_module(self) -> Any:
        return _Device()

    def is_available(self) -> bool:
        return True

    def current_device(self) -> str:
        return "cpu"

    def device_count(self) -> int:
        return 1

    def communication_backend_name(self) -> str:
        return "gloo"

    def is_ipc_supported(self) -> bool:
        return False

    def __getattribute__(self, name: str) -> Any:
        if name in ("set_device", "synchronize", "manual_seed_all", "empty_cache", "set_allocator_settings"):
            return lambda *args, **kwargs: None
        return super().__getattribute__(name)


@ray.remote(num_cpus=1, max_concurrency=64)
class Server:
    """Generates with transformers, one request at a time."""

    def __init__(self, path: str, response_length: int) -> None:
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(1)
        self.model = AutoModelForCausalLM.from_pretrained(path).eval()
        self.response_length, self.step, self.lock = response_length, 0, asyncio.Lock()

    async def generate(self, prompt_ids: list[int], sampling_params: dict[str, Any], **kwargs: Any) -> Any:
        async with self.lock:
            generated = self.model.generate(
                torch.tensor([prompt_ids]),
                max_new_tokens=self.response_length,
                do_sample=sampling_params["temperature"] > 0,
                temperature=sampling_params["temperature"] or None,
                top_k=0,
                output_scores=True,
                return_dict_in_generate=True,
            )
        tokens = generated.sequences[0, len(prompt_ids) :]
        log_probs = torch.cat(generated.scores).log_softmax(-1).gather(1, tokens[:, None])[:, 0]
        return replica.TokenOutput(
            token_ids=tokens.tolist(),
            log_probs=log_probs.tolist(),
            stop_reason="completed",
            extra_fields={"global_steps": self.step},
        )

    async def load(self, weights: dict[str, torch.Tensor], step: int | None) -> None:
        async with self.lock:
            self.model.load_state_dict(weights, strict=False)
            self.step = self.step if step is None else step

    async def nothing(self, *args: Any, **kwargs: Any) -> None: ...

    wake_up = sleep = abort_all_requests = resume_generation = nothing
    clear_kv_cache = release_kv_cache = resume_kv_cache = nothing


class Replica(replica.RolloutReplica):
    async def launch_servers(self) -> None:
        server = Server.options(name=f"cpu_server_{self.replica_rank}").remote(
            self.model_config.path, self.config.response_length
        )
        self.servers, self._server_handle, self._server_address = [server], server, f"cpu:{self.replica_rank}"


class Adapter(base.BaseRollout):
    async def resume(self, tags: list[str]) -> None: ...

    async def release(self) -> None: ...

    async def update_weights(self, weights: Any, global_steps: int | None = None, **kwargs: Any) -> None:
        full = {name: tensor.detach().clone() for name, tensor in weights}
        await ray.get_actor("cpu_server_0").load.remote(full, global_steps)


set_platform(PlatformCPU())
distributed.initialize_global_process_group_ray = functools.partial(
    distributed.initialize_global_process_group_ray, backend="gloo"
)
EngineRegistry.register(model_type="language_model", backend="fsdp2", device="cpu")(FSDPEngineWithLMHead)
base._ROLLOUT_REGISTRY["cpu", "async"] = "verl_cpu.Adapter"
replica.RolloutReplicaRegistry.register("cpu", lambda: Replica)
