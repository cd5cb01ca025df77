"""What gd2po works with here, in which versions, whether it loads, and what to do if not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Final, Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

LOAD_SECONDS: Final = 300
"""How long loading one package may take; a cold network disk needs a minute for torch."""

PLUG_IN_GROUP: Final = "verl.plugins"

_LOAD_TORCH = """
import torch
device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
print("no accelerator: the CPU alone" if device is None else f"{torch.accelerator.device_count()} x {device.type}")
"""
# verl's FSDP workers import a class of TRL's wherever TRL is found, and TRL 1.16 no longer has it.
_LOAD_VERL = """
import verl
from importlib.util import find_spec
if find_spec("trl") is not None:
    try:
        from trl.experimental.ppo import AutoModelForCausalLMWithValueHead
    except ImportError:
        print("but its FSDP workers do not start beside this TRL: train in an environment without TRL")
"""
# The entry point is loaded here, where an exception is seen; verl would log it at DEBUG and start without it.
_LOAD_PLUG_IN = f"""
from importlib.metadata import entry_points
(point,) = entry_points(group="{PLUG_IN_GROUP}", name="gd2po")
point.load()
import verl.trainer.ppo.v1
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
print("algorithm.adv_estimator=gd2po is", get_adv_estimator_fn("gd2po").__name__)
"""


@dataclass(frozen=True)
class Check:
    """A package to look for.

    Args:
        package: its name on the package index.
        script: Python that uses it; its last line of output is shown as a note.
        install: what to install where it is missing.
        purpose: what it is for.
        needed_by: the package without which it may be missing; None where it may always be.
        hosts: packages that state a range of their own, which is shown.
        bundled_by: packages that bring a version of their own, which then need not be in the range that gd2po asks for.
    """

    package: str
    script: str
    install: str
    purpose: str
    needed_by: str | None = None
    hosts: tuple[str, ...] = ()
    bundled_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What was found of a package."""

    package: str
    version: str | None
    """As installed; None where it is not."""
    note: str = ""
    """What it says of itself, and which versions its hosts ask for."""
    problem: str | None = None
    """What is wrong, in a sentence; None where nothing is."""
    way_out: str = ""
    """What to do about the problem; where a package may be missing and is, how to install it."""

    @property
    def state(self) -> Literal["ok", "missing", "problem"]:
        """Missing is what may be missing: a package that another one needs is a problem."""
        if self.problem is not None:
            return "problem"
        return "missing" if self.version is None else "ok"


CHECKS = (
    Check("torch", _LOAD_TORCH, "torch", "everything", needed_by="gd2po"),
    Check("transformers", "import transformers", "gd2po[trl]", "training", needed_by="trl"),
    Check(
        "trl",
        "from gd2po import GD2POTrainer",
        "gd2po[trl]",
        "training on one machine",
        bundled_by=("axolotl", "ms-swift"),
    ),
    Check("verl", _LOAD_VERL, "gd2po[verl]", "training on a cluster"),
    Check("ray", "import ray", "gd2po[verl]", "verl", needed_by="verl"),
    Check("TransferQueue", "import transfer_queue", "gd2po[verl]", "verl's default trainer", needed_by="verl"),
    Check("axolotl", "import gd2po.integrations.axolotl", "gd2po[axolotl]", "training with axolotl"),
    Check("ms-swift", "import gd2po.integrations.swift", "gd2po[ms-swift]", "training with ms-swift"),
    Check("skyrl", "import gd2po.integrations.skyrl", "gd2po[skyrl]", "training with SkyRL"),
    Check("openrlhf", "import gd2po.integrations.openrlhf", "gd2po[openrlhf]", "training with OpenRLHF"),
    Check("vllm", "import vllm", "vllm", "generating faster", hosts=("trl", "verl")),
)


def run_checks() -> Iterator[Finding]:
    """Each finding as its check ends: loading everything takes a minute.

    Example:
        ```python
        problems = [finding for finding in run_checks() if finding.state == "problem"]
        ```
    """
    for check in CHECKS:
        finding = examine(check)
        yield finding
        if check.package == "verl" and finding.version is not None:
            yield examine_plug_in()


def supported_range(package: str, by: str = "gd2po") -> SpecifierSet:
    """The versions of a package that the metadata of `by` asks for; empty if it says nothing.

    An extra named after a package, such as `verl`, speaks for those who have that package, or ask about it.

    Args:
        package: a name on the package index.
        by: an installed package.

    Example:
        >>> str(supported_range("torch"))
        '>=2.6'
    """
    ranges = SpecifierSet()
    for requirement in map(Requirement, metadata.requires(by) or []):
        if canonicalize_name(requirement.name) != canonicalize_name(package):
            continue
        extra = re.search(r"""extra == ['"]([\w.-]+)""", str(requirement.marker or ""))
        if extra is None or extra[1] == canonicalize_name(package) or _version(extra[1]) is not None:
            ranges &= requirement.specifier
    return ranges


def examine(check: Check) -> Finding:
    """Look for one package: is it there, in a supported version, and does it load?"""
    install = f"pip install '{check.install}'"
    version = _version(check.package)
    if version is None:
        if check.needed_by is not None and _version(check.needed_by) is not None:
            missed = f"not installed, and {check.needed_by} needs it."
            return Finding(check.package, None, problem=missed, way_out=install)
        return Finding(check.package, None, note=f"for {check.purpose}{_wishes(check)}", way_out=install)
    supported = supported_range(check.package)
    owner = next((package for package in check.bundled_by if _version(package) is not None), None)
    if owner is not None and not supported.contains(version, prereleases=True):
        return Finding(check.package, version, f"is what {owner} needs; GD2POTrainer needs {supported}")
    if not supported.contains(version, prereleases=True):
        outside = f"{version} is not in the range that gd2po is made for, {supported}."
        return Finding(check.package, version, problem=outside, way_out=f"pip install '{check.package}{supported}'")
    note, problem = _load(check.script)
    way_out = "" if problem is None else f"Repair the installation: {install}"
    return Finding(check.package, version, note + _wishes(check), problem, way_out)


def examine_plug_in() -> Finding:
    """Does verl find the plug-in, and does it load? verl itself is silent about plug-ins that fail."""
    name = "verl plug-in"
    points = list(metadata.entry_points(group=PLUG_IN_GROUP, name="gd2po"))
    if not points:
        return Finding(
            name,
            None,
            problem=f"not registered: the installed metadata of gd2po has no entry point in the group {PLUG_IN_GROUP}.",
            way_out="Install gd2po again: pip install --force-reinstall --no-deps gd2po "
            "(from a clone: pip install -e .)",
        )
    if len(points) > 1:
        owners = ", ".join(point.dist.name for point in points if point.dist)
        return Finding(
            name,
            "registered",
            problem=f"registered {len(points)} times, by {owners}.",
            way_out="Uninstall all but gd2po.",
        )
    policy = os.environ.get("VERL_USE_EXTERNAL_PLUGINS", "auto").strip().lower()
    if policy != "auto" and "gd2po" not in {part.strip() for part in policy.split(",")}:
        return Finding(
            name,
            "registered",
            problem=f"switched off by VERL_USE_EXTERNAL_PLUGINS={policy}.",
            way_out="Unset it, or add gd2po to its list.",
        )
    note, problem = _load(_LOAD_PLUG_IN)
    if problem is None:
        return Finding(name, "registered", note)
    problem = f"{problem} verl would start without it and without a word."
    return Finding(name, "registered", note, problem, way_out="pip install 'gd2po[verl]'")


def _version(package: str) -> str | None:
    """The installed version; None where there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _wishes(check: Check) -> str:
    """What the hosts of a package ask for."""
    return "".join(
        f" ({host} asks for {supported_range(check.package, by=host)})"
        for host in check.hosts
        if _version(host) is not None and supported_range(check.package, by=host)
    )


def _load(script: str) -> tuple[str, str | None]:
    """Run Python in a process of its own; its last line of output, and what went wrong or None."""
    try:
        result = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LOAD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "", f"did not load within {LOAD_SECONDS} s."
    if result.returncode:
        said = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        cause = said[-1] if said else f"the process ended with status {result.returncode}"
        return "", f"is installed and does not load: {cause.removesuffix('.')}."
    printed = result.stdout.splitlines()
    return (printed[-1].strip() if printed else ""), None
