"""Bad input: each kind gets one clear error that names the argument, what came and where."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gd2po import diagnose_batch, gd2po_advantages, gdpo_advantages, grpo_advantages
from gd2po.core import checks
from gd2po.core.conflicts import largest_retaining_threshold
from gd2po.errors import GD2POError, InvalidInputError, InvalidTypeError

REWARDS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
GROUP_IDS = torch.zeros(4, dtype=torch.int64)
EVERY_FUNCTION = pytest.mark.parametrize("function", [grpo_advantages, gdpo_advantages, gd2po_advantages])


@EVERY_FUNCTION
@pytest.mark.parametrize(
    ("rewards", "error", "words"),
    [
        (REWARDS[:, 0], InvalidInputError, r"`rewards` needs two dimensions.*\(4,\).*rewards\[:, None\]"),
        (REWARDS[None], InvalidInputError, r"`rewards` needs two dimensions.*\(1, 4, 2\)"),
        (torch.tensor(1.0), InvalidInputError, r"`rewards` needs two dimensions.*\(\)"),
        (torch.empty(0, 2), InvalidInputError, r"`rewards` needs at least one rollout and one reward.*\(0, 2\)"),
        (torch.empty(4, 0), InvalidInputError, r"`rewards` needs at least one rollout and one reward.*\(4, 0\)"),
        (REWARDS.to(torch.complex64), InvalidTypeError, r"`rewards` needs real numbers.*complex64"),
        (REWARDS.to(torch.float8_e4m3fn), InvalidTypeError, r"`rewards` needs real numbers.*float8"),
        ("four rewards", InvalidTypeError, r"`rewards` must be a tensor.*got str"),
        (None, InvalidTypeError, r"`rewards` must be a tensor.*got NoneType"),
        ([[1.0, None]], InvalidTypeError, r"`rewards` must be a tensor.*got list"),
        ([[1.0, 2.0], [3.0]], InvalidTypeError, r"`rewards` must be a tensor.*got list"),
    ],
)
def test_rewards_of_the_wrong_shape_or_type(function: Any, rewards: Any, error: type[GD2POError], words: str) -> None:
    with pytest.raises(error, match=words):
        function(rewards, GROUP_IDS)


@EVERY_FUNCTION
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("infinity", [math.inf, -math.inf])
def test_an_infinite_reward_is_named_by_its_first_row_and_reward(
    function: Any, dtype: torch.dtype, infinity: float
) -> None:
    rewards = REWARDS.to(dtype, copy=True)
    rewards[2, 1] = rewards[3, 0] = infinity
    rewards[0, 0] = math.nan  # a NaN before it is fine
    with pytest.raises(InvalidInputError, match=rf"`rewards` needs finite.*row 2, reward 1 is {infinity}.*NaN"):
        function(rewards, GROUP_IDS)


@EVERY_FUNCTION
@pytest.mark.parametrize(
    ("group_ids", "error", "words"),
    [
        (GROUP_IDS[:3], InvalidInputError, r"`group_ids` needs one id per rollout: expected 4 \(the rows.*got 3"),
        (torch.zeros(5, dtype=torch.int64), InvalidInputError, r"`group_ids`.*expected 4.*got 5"),
        (GROUP_IDS[:0], InvalidInputError, r"`group_ids`.*expected 4.*got 0"),
        (GROUP_IDS[:, None], InvalidInputError, r"`group_ids` needs one dimension.*\(4, 1\)"),
        (torch.tensor(0), InvalidInputError, r"`group_ids` needs one dimension.*\(\)"),
        (GROUP_IDS.float(), InvalidTypeError, r"`group_ids` needs integers.*float32"),
        (GROUP_IDS.bool(), InvalidTypeError, r"`group_ids` needs integers.*bool"),
        (GROUP_IDS.to(torch.complex64), InvalidTypeError, r"`group_ids` needs integers.*complex64"),
        (["a", "a", "b", "b"], InvalidTypeError, r"`group_ids` must be a tensor.*got list"),
        ([2**70] * 4, InvalidTypeError, r"`group_ids` must be a tensor.*got list"),
    ],
)
def test_group_ids_of_the_wrong_length_or_type(
    function: Any, group_ids: Any, error: type[GD2POError], words: str
) -> None:
    with pytest.raises(error, match=words):
        function(REWARDS, group_ids)


@EVERY_FUNCTION
@pytest.mark.parametrize(
    ("weights", "error", "words"),
    [
        ([1.0], InvalidInputError, r"`reward_weights` needs one weight per reward.*\(2,\).*\(1,\)"),
        (torch.ones(2, 1), InvalidInputError, r"`reward_weights` needs one weight per reward.*\(2,\).*\(2, 1\)"),
        (1.0, InvalidInputError, r"`reward_weights` needs one weight per reward.*\(2,\).*\(\)"),
        ([1.0, math.nan], InvalidInputError, r"`reward_weights` needs finite numbers.*nan"),
        ([math.inf, 1.0], InvalidInputError, r"`reward_weights` needs finite numbers.*inf.*0 leaves a reward out"),
        (torch.ones(2, dtype=torch.complex64), InvalidTypeError, r"`reward_weights` needs real numbers.*complex64"),
        (["1", "2"], InvalidTypeError, r"`reward_weights` must be a tensor.*got list"),
    ],
)
def test_weights_of_the_wrong_length_or_type(function: Any, weights: Any, error: type[GD2POError], words: str) -> None:
    with pytest.raises(error, match=words):
        function(REWARDS, GROUP_IDS, reward_weights=weights)


@pytest.mark.parametrize("function", [gdpo_advantages, gd2po_advantages])
@pytest.mark.parametrize(
    ("token_counts", "error", "words"),
    [
        (None, InvalidInputError, r"`token_counts` is needed for whitening='tokens'.*whitening='rollouts'"),
        (torch.ones(3), InvalidInputError, r"`token_counts` needs one count per rollout: expected 4.*got 3"),
        (torch.ones(4, 1), InvalidInputError, r"`token_counts` needs one dimension.*\(4, 1\)"),
        ([1, 2, -1, 4], InvalidInputError, r"`token_counts` needs finite numbers of at least 0.*-1 and 4"),
        ([1, 2, -3, 4], InvalidInputError, r"`token_counts` needs finite numbers of at least 0.*-3 and 4"),
        ([1, 2, math.inf, 4], InvalidInputError, r"`token_counts` needs finite numbers of at least 0.*1 and inf"),
        ([1, 2, math.nan, 4], InvalidInputError, r"`token_counts` needs finite numbers of at least 0.*nan"),
        (torch.ones(4, dtype=torch.complex64), InvalidTypeError, r"`token_counts` needs real numbers.*complex64"),
        ("many", InvalidTypeError, r"`token_counts` must be a tensor.*got str"),
    ],
)
def test_token_counts_that_are_missing_or_wrong(
    function: Any, token_counts: Any, error: type[GD2POError], words: str
) -> None:
    with pytest.raises(error, match=words):
        function(REWARDS, GROUP_IDS, whitening="tokens", token_counts=token_counts)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"filtering": "soft"}, r"`filtering` must be one of 'none', 'hard', 'snr': got 'soft'"),
        ({"filtering": None}, r"`filtering` must be one of .*got None"),
        ({"whitening": "batch"}, r"`whitening` must be one of 'rollouts', 'tokens', 'none': got 'batch'"),
        ({"conflict_pairs": "some"}, r"`conflict_pairs` must be one of 'all', 'correlated', 'families': got 'some'"),
        ({"snr_threshold": 1.01}, r"`snr_threshold` must be a number in \[0, 1\] or 'auto': got 1.01"),
        ({"snr_threshold": -0.1}, r"`snr_threshold` must be a number in \[0, 1\] or 'auto': got -0.1"),
        ({"snr_threshold": math.nan}, r"`snr_threshold` must be a number in \[0, 1\] or 'auto': got nan"),
        ({"snr_threshold": "Auto"}, r"`snr_threshold` must be a number in \[0, 1\] or 'auto': got 'Auto'"),
        ({"snr_threshold": None}, r"`snr_threshold` must be a number in \[0, 1\] or 'auto': got None"),
        ({"snr_threshold": 2, "filtering": "none"}, r"`snr_threshold` must be a number.*got 2"),
        ({"snr_eps": -1e-8}, r"`snr_eps` must be a number in \[0, 1\]: got -1e-08"),
        ({"min_retained": 1.5}, r"`min_retained` must be a number in \[0, 1\]: got 1.5"),
        ({"min_retained": "auto"}, r"`min_retained` must be a number in \[0, 1\]: got 'auto'"),
        ({"min_correlation": -1.5}, r"`min_correlation` must be a number in \[-1, 1\]: got -1.5"),
    ],
)
def test_options_out_of_range_or_unknown(chosen: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        gd2po_advantages(REWARDS, GROUP_IDS, **chosen)


def test_gdpo_names_its_choices_too() -> None:
    with pytest.raises(InvalidInputError, match=r"`whitening` must be one of.*got 'batch'"):
        gdpo_advantages(REWARDS, GROUP_IDS, whitening="batch")  # type: ignore[arg-type]


def test_errors_are_the_ones_python_code_expects() -> None:
    with pytest.raises(ValueError, match="snr_threshold"):
        gd2po_advantages(REWARDS, GROUP_IDS, snr_threshold=2.0)
    with pytest.raises(TypeError, match="group_ids"):
        gd2po_advantages(REWARDS, GROUP_IDS.float())


def test_everything_after_the_first_two_arguments_is_keyword_only() -> None:
    for function in (grpo_advantages, gdpo_advantages, gd2po_advantages):
        with pytest.raises(TypeError, match="positional"):
            function(REWARDS, GROUP_IDS, None)  # type: ignore[call-arg, misc]


@pytest.mark.parametrize(
    "dtype",
    [torch.int8, torch.uint8, torch.int16, torch.uint16, torch.int32, torch.uint32, torch.int64, torch.uint64],
)
def test_group_ids_of_any_integer_type_do(dtype: torch.dtype) -> None:
    for ids in ([0, 0, 1, 1], [100, 3, 100, 3], [0, 127, 127, 127]):
        group_ids = torch.tensor(ids)
        expected = gd2po_advantages(REWARDS, group_ids)
        assert torch.equal(gd2po_advantages(REWARDS, group_ids.to(dtype)).advantages, expected.advantages)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.int32])
def test_rewards_that_are_whole_numbers_become_floats(dtype: torch.dtype) -> None:
    result = gd2po_advantages(REWARDS.to(dtype), GROUP_IDS)
    assert result.advantages.dtype == torch.get_default_dtype()
    assert torch.equal(result.advantages, gd2po_advantages(REWARDS, GROUP_IDS).advantages)


def test_lists_and_arrays_do_as_well_as_tensors() -> None:
    expected = gd2po_advantages(REWARDS, GROUP_IDS, whitening="tokens", token_counts=torch.tensor([1, 2, 3, 4]))
    from_lists = gd2po_advantages(
        REWARDS.tolist(), GROUP_IDS.tolist(), whitening="tokens", token_counts=[1, 2, 3, 4], reward_weights=(1, 1)
    )
    from_arrays = gd2po_advantages(
        REWARDS.numpy(),
        GROUP_IDS.numpy(),
        whitening="tokens",
        token_counts=np.array([1, 2, 3, 4]),
        snr_threshold=np.float32(0.8),
    )
    assert torch.equal(from_lists.advantages, expected.advantages)
    assert torch.equal(from_arrays.advantages, expected.advantages)


def test_token_counts_are_not_looked_at_unless_they_are_used() -> None:
    expected = gd2po_advantages(REWARDS, GROUP_IDS).advantages
    assert torch.equal(gd2po_advantages(REWARDS, GROUP_IDS, token_counts=torch.tensor([-1])).advantages, expected)


class CountFetches(TorchDispatchMode):
    """Counts what makes the host wait for an accelerator: values or sizes that depend on values."""

    def __init__(self) -> None:
        super().__init__()
        self.fetches = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        waits = ("_local_scalar_dense", "nonzero", "equal.default", "unique", "masked_select", "bincount")
        self.fetches += any(name in str(func) for name in waits)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("missing", [False, True])
def test_the_input_is_looked_at_in_one_fetch(monkeypatch: pytest.MonkeyPatch, missing: bool) -> None:
    rewards = REWARDS.clone()
    if missing:
        rewards[1, 1] = math.nan
    lists = []
    tolist = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: lists.append(tensor) or tolist(tensor))
    with CountFetches() as counter:
        assert checks.check_values(rewards, torch.ones(4)) is missing
    assert counter.fetches + len(lists) == 1


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("conflict_pairs", ["all", "correlated"])
def test_after_the_input_check_nothing_is_fetched(
    monkeypatch: pytest.MonkeyPatch, missing: bool, conflict_pairs: Any
) -> None:
    # Tensors on the meta device have shapes and no values: whoever asks for one raises.
    monkeypatch.setattr(checks, "check_values", lambda rewards, token_counts=None: missing)
    rewards = torch.empty(8, 3, device="meta")
    group_ids = torch.empty(8, dtype=torch.int64, device="meta")
    shared = {"reward_weights": [1.0, 0.5, 0.0]}
    grpo_advantages(rewards, group_ids, **shared)
    gdpo_advantages(rewards, group_ids, **shared)
    for whitening in ("rollouts", "tokens", "none"):
        result = gd2po_advantages(
            rewards,
            group_ids,
            conflict_pairs=conflict_pairs,
            whitening=whitening,
            token_counts=torch.ones(8, dtype=torch.int64),
            **shared,
        )
        assert result.advantages.device.type == "meta"
    diagnose_batch(rewards, group_ids, result, **shared)


def test_auto_fetches_its_threshold_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "check_values", lambda rewards, token_counts=None: False)
    arguments = (torch.empty(8, 3, device="meta"), torch.empty(8, dtype=torch.int64, device="meta"))
    with pytest.raises(RuntimeError, match="meta"):
        gd2po_advantages(*arguments, snr_threshold="auto")
    weighted = torch.randn(8, 3)
    with CountFetches() as counter:
        float(largest_retaining_threshold(weighted, torch.ones(8, dtype=torch.bool), torch.rand(8), 0.5))
    assert counter.fetches == 1
