"""The pictures of the docs are used, light enough to clone, and load nothing."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
IMAGES = sorted((ROOT / "docs/images").iterdir())
TEXTS = "\n".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
MOST_BYTES = 1_500_000


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_a_page_shows_it(image: Path) -> None:
    assert f"images/{image.name}" in TEXTS


def test_together_they_are_light() -> None:
    assert sum(image.stat().st_size for image in IMAGES) < MOST_BYTES


def test_the_diagram_is_readable_at_600_pixels_in_light_and_dark_and_without_eyes() -> None:
    text = (ROOT / "docs/images/method.svg").read_text(encoding="utf-8")
    diagram = ElementTree.fromstring(text)
    width = float(diagram.attrib["viewBox"].split()[2])
    letters = [float(size) for size in re.findall(r"font(?:-size)?: (\d+)px", text)]
    assert min(letters) * 600 / width >= 12
    light, dark = (dict(re.findall(r"(--[\w-]+): (#\w+)", rule)) for rule in re.findall(r"svg \{([^}]*)\}", text))
    assert light.keys() == dark.keys() == set(re.findall(r"var\((--[\w-]+)\)", text))
    named = {child.attrib["id"] for child in diagram if child.tag.endswith(("title", "desc"))}
    assert named == set(diagram.attrib["aria-labelledby"].split())
    assert not re.findall(r"(?:href|src)=", text)
