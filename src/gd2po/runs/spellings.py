"""How options of rewards are written, in commands and YAML: in order, by name, as JSON. One parser for all."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gd2po.errors import ConfigError

WEIGHTS_HELP: Final = "Weights of the rewards, in order (1 0.5), by name (correct=1 brief=0.5, others 1), or as JSON"
FAMILIES_HELP: Final = (
    "Families of rewards that measure the same thing, by name (judge_a=helpful judge_b=helpful) or as JSON; a reward "
    "not named is a family of its own"
)
KWARGS_HELP: Final = (
    'Options of reward functions, by name (brief.most_words=40) or as JSON ({"brief": {"most_words": 40}})'
)
CONDITIONS_HELP: Final = (
    "Rewards that count only where another one is high enough, as JSON: "
    '[{"reward": "length", "on": "correctness", "threshold": 1.0}]'
)
"""What `--help` of every command says of these options."""

_WEIGHTS: Final = "weights in order, like 1 0.5, or by name, like correct=1 brief=0.5"
_FAMILIES: Final = "families by name of the reward, like judge_a=helpful judge_b=helpful or {judge_a: helpful}"
_KWARGS: Final = "options by function, like brief.most_words=40 or {brief: {most_words: 40}}"


def is_flow(text: str) -> bool:
    """Whether a text is a mapping or list in JSON or YAML."""
    return text.lstrip().startswith(("{", "["))


def weights_as_written(given: Any, name: str) -> dict[str, Any] | list[Any]:
    """Weights by name or in order, each as it was written: a number, a text, a mapping.

    Args:
        given: words of a command line, one text, or what YAML holds.
        name: what the configuration calls it.

    Raises:
        ConfigError: neither, both, or one reward twice.

    Example:
        >>> weights_as_written(["correct=1", "brief=0.5"], "reward_weights")
        {'correct': '1', 'brief': '0.5'}
        >>> weights_as_written("1,0.5", "reward_weights")
        ['1', '0.5']
    """
    return _written(given, name, _WEIGHTS)


def families_by_name(given: Any, name: str = "reward_families") -> dict[str, Any]:
    """Families by name of the reward, which `family_labels` checks; arguments and errors as of `weights_as_written`.

    Example:
        >>> families_by_name("{judge: helpful}") == families_by_name(["judge=helpful"]) == {"judge": "helpful"}
        True
    """
    found = _written(given, name, _FAMILIES)
    if isinstance(found, list):
        raise ConfigError(f"`{name}` needs {_FAMILIES}: got {given!r}.")
    return found


def options_by_function(given: Any, name: str = "reward_kwargs") -> dict[str, dict[str, Any]]:
    """Options of functions by name of the function; arguments and errors as of `weights_as_written`.

    Example:
        >>> options_by_function(["brief.most_words=40", "judge.phrase=please", "judge.noise=0.1"])
        {'brief': {'most_words': 40}, 'judge': {'phrase': 'please', 'noise': 0.1}}
    """
    found = _written(given, name, _KWARGS)
    if isinstance(found, list):
        if not found:
            return {}
        raise ConfigError(f"`{name}` needs {_KWARGS}: got {given!r}.")
    if isinstance(given, Mapping) or any(not isinstance(value, str) for value in found.values()):
        for function, options in found.items():
            if not isinstance(options, Mapping):
                raise ConfigError(f"`{name}` needs {_KWARGS}: got {options!r} for {function!r}.")
        return {function: dict(options) for function, options in found.items()}
    by_function: dict[str, dict[str, Any]] = {}
    for key, text in found.items():
        function, dot, option = key.rpartition(".")
        if not (function and dot and option):
            raise ConfigError(f"`{name}` needs {_KWARGS}: got {key!r} without the name of an option.")
        by_function.setdefault(function, {})[option] = _value(text)
    return by_function


def read_flow(text: str, name: str, needed: str) -> Any:
    """A mapping or list in JSON, or as YAML has it on one line.

    Args:
        text: of it.
        name: what the configuration calls it.
        needed: what it should be, for the message.

    Raises:
        ConfigError: neither, or a mapping that has a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _once(pairs, name))
    except json.JSONDecodeError as error:
        problem = error
    import yaml  # not needed for `--help`

    try:
        found = yaml.load(text, _once_in_yaml(name))
    except yaml.YAMLError:
        raise ConfigError(f"`{name}` needs {needed}: got {text!r}, which is no JSON ({problem}).") from problem
    if isinstance(found, str):
        raise ConfigError(f"`{name}` needs {needed}: got {text!r}.")
    return found


def _written(given: Any, name: str, needed: str) -> dict[str, Any] | list[Any]:
    if isinstance(given, Mapping):
        return dict(given)
    words = [given] if isinstance(given, str) else given
    if not isinstance(words, Sequence):
        raise ConfigError(f"`{name}` needs {needed}: got {given!r}.")
    if len(words) == 1 and isinstance(words[0], str) and is_flow(words[0]):
        found = read_flow(words[0], name, needed)
        return found if isinstance(found, dict) else list(found)
    parts = [part for word in words for part in (_parts(word) if isinstance(word, str) else [word])]
    pairs = [part for part in parts if isinstance(part, str) and "=" in part and not is_flow(part)]
    if not pairs:
        return parts
    if len(pairs) < len(parts):
        other = next(part for part in parts if part not in pairs)
        raise ConfigError(
            f"`{name}` mixes {pairs[0]!r}, which has a name, with {other!r}, which has none. It needs {needed}."
        )
    return _once([_pair(part, name, needed) for part in pairs], name)


def _parts(word: str) -> list[str]:
    """The parts of a word: at commas outside brackets, and at spaces where no part keeps one in its name."""
    parts, depth, quoted = [""], 0, False
    for letter in word:
        quoted ^= letter == '"'
        depth += 0 if quoted else (letter in "{[") - (letter in "}]")
        if letter == "," and depth <= 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    pieces: list[str] = []
    for part in filter(None, map(str.strip, parts)):
        if is_flow(part):
            pieces.append(part)
        elif "=" not in part:
            pieces += part.split()
        else:  # a single pair may have spaces in its name or value
            pieces += re.split(r"\s+(?=[^\s=]+=)", part) if re.search(r"=\S+\s+[^\s=]+=", part) else [part]
    return pieces


def _pair(part: str, name: str, needed: str) -> tuple[str, str]:
    # A reward's name may hold the sign itself; an option's does not, and its value may. So may JSON.
    flow = re.search(r"=\s*[{\[]", part)
    if flow or needed == _KWARGS:
        key, _, value = (part[: flow.start()], "", part[flow.start() + 1 :]) if flow else part.partition("=")
    else:
        key, _, value = part.rpartition("=")
    if not key.strip() or not value.strip():
        raise ConfigError(f"`{name}` needs {needed}: got {part!r}.")
    return key.strip(), value.strip()


def _once(pairs: Sequence[tuple[str, Any]], name: str) -> dict[str, Any]:
    """A mapping of pairs in which no key stands twice."""
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigError(f"`{name}` has {key!r} twice. Leave one out.")
    return dict(pairs)


def _once_in_yaml(name: str) -> Any:
    """A loader of YAML that refuses a key that stands twice."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            _once([(str(key.value), None) for key, _ in node.value], name)
            return super().construct_mapping(node, deep)

    return Loader


def _value(text: str) -> Any:
    """A value out of a pair: as in YAML where that is no mapping, with the numbers of JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        import yaml
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return found if is_flow(text) or isinstance(found, (bool, float)) or found is None else text
