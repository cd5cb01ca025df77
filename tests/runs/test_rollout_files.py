"""Names of the files of a rollout log, and which of them count."""

from __future__ import annotations

from pathlib import Path

import pytest

from gd2po.runs.rollout_files import file_name, holder, parse, rollout_files, settled, without_covered


@pytest.mark.parametrize(
    "given", [(7, None, 1), (7, None, 2), (1, 200, 1), (201, 201, 1), (1_234_567, None, 1), (1_000_001, 1_000_200, 1)]
)
def test_a_name_is_read_as_it_was_made(given: tuple[int, int | None, int]) -> None:
    first, last, batch = given
    file = parse(Path("run", file_name(first, last, batch)))
    assert file is not None
    assert (file.first, file.last, file.rolled_up) == (first, last or first, last is not None)
    assert file.batch == (0 if last else batch)


@pytest.mark.parametrize(
    "name",
    [
        "step_1.parquet",
        "step_000001.parquet.damaged",
        ".step_000001.parquet.17",
        "step_000001-2.parquet",
        "steps.parquet",
        "step_000001.jsonl",
    ],
)
def test_other_files_are_none_of_a_rollout_log(name: str) -> None:
    assert parse(Path(name)) is None


def touch(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return [folder / name for name in names]


def names_of(folder: Path) -> list[str]:
    return [file.path.name for file in rollout_files(folder)]


def test_files_come_in_the_order_of_their_steps_and_batches(tmp_path: Path) -> None:
    names = [
        "step_000001-000200.parquet",
        "step_000201.parquet",
        "step_000201_2.parquet",
        "step_000201_10.parquet",
        "step_999999.parquet",
        "step_1000000.parquet",
    ]
    touch(tmp_path, *reversed(names), "notes.txt")
    assert names_of(tmp_path) == names
    assert names_of(tmp_path / "nowhere") == []


def test_a_file_whose_steps_another_holds_does_not_count(tmp_path: Path) -> None:
    kept = ["step_000001-000004.parquet", "step_000005-000005.parquet", "step_000006.parquet"]
    covered = ["step_000001-000002.parquet", "step_000002.parquet", "step_000004_2.parquet", "step_000005.parquet"]
    touch(tmp_path, *kept, *covered)
    assert names_of(tmp_path) == kept


def test_files_cover_none_of_another_folder_and_none_of_another_kind(tmp_path: Path) -> None:
    one = touch(tmp_path / "one", "step_000001-000004.parquet", "step_000002.parquet", "a.csv")
    other = touch(tmp_path / "other", "step_000002.parquet", "step_3.parquet")
    assert without_covered([*reversed(other), *one]) == [*reversed(other), one[0], one[2]]


def test_a_listing_that_missed_both_old_and_new_files_is_made_again() -> None:
    one, two, three = (Path(file_name(step)) for step in (1, 2, 3))
    rolled_up = Path(file_name(1, 2))
    torn, whole = [three], [rolled_up, three]
    listings = iter([torn, whole, whole, []])
    assert settled(lambda: next(listings)) == whole
    grows = iter([[one, two], [one, two, three], []])
    assert settled(lambda: next(grows)) == [one, two]


def test_what_became_of_a_file_is_found(tmp_path: Path) -> None:
    gone = [parse(tmp_path / name) for name in (file_name(3), file_name(3, batch=2), file_name(1, 3), file_name(5))]
    assert [holder(file) for file in gone if file] == [None] * 4
    assert holder(parse(tmp_path / "nowhere" / file_name(3))) is None  # type: ignore[arg-type]
    (path,) = touch(tmp_path, file_name(1, 4))
    assert [holder(file) for file in gone if file] == [path, path, path, None]
