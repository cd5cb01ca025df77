"""Do the built wheel and source distribution hold the package, all of it, and nothing else?

python scripts/check_dist.py dist
"""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BESIDE = (
    "PKG-INFO",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "CITATION.cff",
    "SECURITY.md",
    ".gitignore",
)
"""In a source distribution, beside the package."""


def package_files(root: Path) -> dict[str, bytes]:
    """The files of the package, by their path below src/."""
    source = root / "src"
    files = [path for path in (source / "gd2po").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(source).as_posix(): path.read_bytes() for path in files}


def problems(expected: dict[str, bytes], held: dict[str, bytes], beside: tuple[str, ...]) -> list[str]:
    """What is wrong with a distribution: files that it lacks, holds in another version, or should not hold.

    Args:
        expected: the package.
        held: the distribution, by paths in the same form.
        beside: starts of paths that are not the package's and may be there.
    """
    found = [f"lacks {name}" for name in sorted(expected.keys() - held.keys())]
    found += [f"has another {name}" for name in sorted(expected.keys() & held.keys()) if expected[name] != held[name]]
    extra = sorted(name for name in held.keys() - expected.keys() if not name.startswith(beside))
    return found + [f"should not hold {name}" for name in extra]


def wheel_problems(path: Path, expected: dict[str, bytes]) -> list[str]:
    """What is wrong with a wheel."""
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    version = path.name.split("-")[1]
    return problems(expected, held, (f"gd2po-{version}.dist-info/",))


def sdist_problems(path: Path, expected: dict[str, bytes]) -> list[str]:
    """What is wrong with a source distribution."""
    held = {}
    with tarfile.open(path) as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member)
            if file is not None:
                held[member.name.partition("/")[2].removeprefix("src/")] = file.read()
    return problems(expected, held, BESIDE)


def main(folder: Path) -> int:
    """Check the one wheel and the one source distribution of a folder; the exit status."""
    expected = package_files(ROOT)
    wheels, sdists = list(folder.glob("*.whl")), list(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        found = [f"{folder}: expected one wheel and one source distribution, got {len(wheels)} and {len(sdists)}"]
    else:
        found = [f"{wheels[0].name} {problem}" for problem in wheel_problems(wheels[0], expected)]
        found += [f"{sdists[0].name} {problem}" for problem in sdist_problems(sdists[0], expected)]
    print("\n".join(found) or f"Both hold the {len(expected)} files of the package and nothing else.")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
