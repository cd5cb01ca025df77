"""Intervals over prompts, against what can be worked out by hand and against constructed truths."""

from __future__ import annotations

import numpy as np
import pytest

from gd2po.replay.estimates import MOST_BLOCKS, PromptBootstrap
from gd2po.replay.model import FEWEST_PROMPTS
from gd2po.report.intervals import Estimate


def test_the_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(size=(400, 1))
    (estimate,) = PromptBootstrap(np.arange(400)).mean(values)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.15)


def test_groups_of_one_prompt_are_no_further_evidence() -> None:
    values = np.random.default_rng(0).normal(size=(50, 1))
    once = PromptBootstrap(np.arange(50)).mean(values)[0]
    fourfold = PromptBootstrap(np.repeat(np.arange(50), 4)).mean(np.repeat(values, 4, axis=0))[0]
    assert (fourfold.value, fourfold.low, fourfold.high) == pytest.approx((once.value, once.low, once.high))


def test_few_prompts_widen_the_interval_and_too_few_have_none() -> None:
    values = np.tile([[0.0], [1.0]], (5, 1))
    small = PromptBootstrap(np.arange(10)).mean(values)[0]
    assert small.low is not None
    assert small.high is not None
    plain = 2 * 1.96 * 0.5 / np.sqrt(10)
    assert small.high - small.low > 1.1 * plain
    few = PromptBootstrap(np.arange(FEWEST_PROMPTS - 1)).mean(values[: FEWEST_PROMPTS - 1])[0]
    assert (few.low, few.high, few.beyond_noise) == (None, None, False)


def test_more_prompts_than_blocks_give_the_same_interval() -> None:
    values = np.random.default_rng(1).normal(size=(3 * MOST_BLOCKS, 1))
    (estimate,) = PromptBootstrap(np.arange(len(values))).mean(values)
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 / np.sqrt(len(values)), rel=0.15)


def test_an_interval_on_one_side_of_zero_is_beyond_noise() -> None:
    assert Estimate(0.2, 0.1, 0.3).beyond_noise
    assert Estimate(-0.2, -0.3, -0.1).beyond_noise
    assert not Estimate(0.2, -0.1, 0.3).beyond_noise
