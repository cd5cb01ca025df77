"""Values that the command line writes in one word: lists, weights by name, ranges."""

from __future__ import annotations

from gd2po.errors import ConfigError


def parse_names(text: str) -> list[str]:
    """The names in a list with commas.

    Raises:
        ConfigError: there is none, or one is there twice.

    Example:
        >>> parse_names("correctness, format")
        ['correctness', 'format']
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ConfigError(f"`--rewards` needs names with commas between them, like a,b: got {text!r}.")
    if len(set(names)) < len(names):
        raise ConfigError(f"`--rewards` names a reward twice: {text!r}.")
    return names


def parse_weights(text: str) -> dict[str, float] | list[float]:
    """Weights by name, or one per reward.

    Raises:
        ConfigError: neither.

    Example:
        >>> parse_weights("correctness=1,format=0.5"), parse_weights("1,0.5")
        ({'correctness': 1.0, 'format': 0.5}, [1.0, 0.5])
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    try:
        if parts and all("=" in part for part in parts):
            # A name may hold the sign itself, a number does not.
            pairs = [part.rpartition("=") for part in parts]
            return {name.strip(): float(value) for name, _, value in pairs}
        if parts and not any("=" in part for part in parts):
            return [float(part) for part in parts]
    except ValueError:
        pass
    raise ConfigError(
        "`--reward_weights` needs name=number for some rewards or a number for each, like a=1,b=0.5 or 1,0.5: "
        f"got {text!r}."
    )


def parse_families(text: str) -> dict[str, str]:
    """Families by name of the reward.

    Raises:
        ConfigError: something else, or a reward in two families.

    Example:
        >>> parse_families("judge=correct,rubric=correct")
        {'judge': 'correct', 'rubric': 'correct'}
    """
    families: dict[str, str] = {}
    for part in text.split(","):
        name, sign, family = (piece.strip() for piece in part.rpartition("="))
        if not (name and sign and family):
            raise ConfigError(f"`--reward_families` needs reward=family with commas between them: got {text!r}.")
        if name in families:
            raise ConfigError(f"`--reward_families` has {name!r} twice, and a reward is of one family: {text!r}.")
        families[name] = family
    return families


def parse_step_range(text: str | None) -> tuple[int | None, int | None]:
    """First and last step, both included; None where open.

    Raises:
        ConfigError: no range, or one that ends before it begins.

    Example:
        >>> parse_step_range("100:200"), parse_step_range("100:"), parse_step_range(":200"), parse_step_range("7")
        ((100, 200), (100, None), (None, 200), (7, 7))
    """
    if text is None:
        return None, None
    first, colon, last = text.strip().partition(":")
    try:
        bounds = (int(first) if first else None, int(last) if last else None)
    except ValueError:
        bounds = (None, None)
    low, high = bounds if colon else (bounds[0], bounds[0])
    if (low is None and high is None) or (low is not None and high is not None and low > high):
        raise ConfigError(f"`--step_range` needs first:last, first: or :last, in whole numbers: got {text!r}.")
    return low, high
