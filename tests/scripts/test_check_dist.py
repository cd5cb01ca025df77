"""What is found to be wrong with a wheel and a source distribution."""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import check_dist

PACKAGE = {"gd2po/__init__.py": b"", "gd2po/py.typed": b"", "gd2po/recipes/a.yaml": b"a: 1"}


def write(folder: Path, package: dict[str, bytes]) -> None:
    with zipfile.ZipFile(folder / "gd2po-1-py3-none-any.whl", "w") as wheel:
        for name, data in {**package, "gd2po-1.dist-info/METADATA": b""}.items():
            wheel.writestr(name, data)
    with tarfile.open(folder / "gd2po-1.tar.gz", "w:gz") as sdist:
        for name, data in {**package, "pyproject.toml": b""}.items():
            member = tarfile.TarInfo(f"gd2po-1/{'src/' if name.startswith('gd2po/') else ''}{name}")
            member.size = len(data)
            sdist.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize(
    ("package", "problem"),
    [
        ({name: data for name, data in PACKAGE.items() if name != "gd2po/py.typed"}, "lacks gd2po/py.typed"),
        ({**PACKAGE, "gd2po/recipes/a.yaml": b"a: 2"}, "has another gd2po/recipes/a.yaml"),
        ({**PACKAGE, "tests/test_a.py": b""}, "should not hold tests/test_a.py"),
        ({**PACKAGE, "gd2po/__pycache__/a.pyc": b""}, "should not hold gd2po/__pycache__/a.pyc"),
    ],
)
def test_what_is_wrong_is_named_for_both(
    package: dict[str, bytes],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(check_dist, "package_files", lambda root: PACKAGE)
    write(tmp_path, package)
    assert check_dist.main(tmp_path) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"gd2po-1-py3-none-any.whl {problem}",
        f"gd2po-1.tar.gz {problem}",
    ]


def test_whole_distributions_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_dist, "package_files", lambda root: PACKAGE)
    write(tmp_path, PACKAGE)
    assert check_dist.main(tmp_path) == 0


def test_a_folder_without_distributions_does_not_pass(tmp_path: Path) -> None:
    assert check_dist.main(tmp_path) == 1


def test_what_runs_need_is_part_of_the_package() -> None:
    names = check_dist.package_files(check_dist.ROOT)
    for name in (
        "py.typed",
        "recipes/quickstart.yaml",
        "data/toolcalls/policy/model.safetensors",
        "report/templates/page.js",
    ):
        assert f"gd2po/{name}" in names
