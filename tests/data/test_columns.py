import pytest
from datasets import Dataset, DatasetDict, IterableDataset

from gd2po.data import require_columns
from gd2po.errors import DataFormatError

ROWS = Dataset.from_dict({"prompt": ["a"], "answer": ["b"]})


def test_a_data_set_with_its_columns_passes():
    require_columns(ROWS, ["prompt", "answer"], "my.parquet")
    require_columns(ROWS.to_iterable_dataset(), ["prompt"], "my.parquet")


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        (["solution"], r"my\.parquet needs the column `solution`, found `prompt`, `answer`\. Rename or add it\."),
        (["x", "prompt", "y"], r"needs the columns `x`, `y`, found `prompt`, `answer`\. Rename or add them\."),
    ],
)
@pytest.mark.parametrize("dataset", [ROWS, ROWS.to_iterable_dataset()])
def test_missing_columns_are_named_together_with_those_found(dataset, columns, match):
    with pytest.raises(DataFormatError, match=match):
        require_columns(dataset, columns, "my.parquet")


def test_a_data_set_without_columns_says_so():
    with pytest.raises(DataFormatError, match="needs the column `prompt`, found none"):
        require_columns(Dataset.from_dict({}), ["prompt"], "my.parquet")


def test_an_empty_data_set_is_refused():
    with pytest.raises(DataFormatError, match=r"my\.parquet is empty"):
        require_columns(ROWS.select([]), ["prompt"], "my.parquet")


def test_a_dictionary_of_splits_is_refused():
    with pytest.raises(DataFormatError, match=r"owner/name holds several splits \('train', 'test'\)\. Choose one"):
        require_columns(DatasetDict(train=ROWS, test=ROWS), ["prompt"], "owner/name")


def test_a_stream_that_does_not_know_its_columns_is_left_alone():
    stream = IterableDataset.from_generator(lambda: iter([{"prompt": "a"}]))
    require_columns(stream, ["answer"], "stream")
