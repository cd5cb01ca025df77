import functools
import http.server
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gd2po.data import load_rlla
from gd2po.errors import DataFormatError, MissingDependencyError
from gd2po.rewards import tool_call_correctness, tool_call_format

MESSAGES = [{"role": "system", "content": "Tools: ..."}, {"role": "user", "content": "What is 1 + 2?"}]
ANSWER = '<think> Add. </think>\n<tool_call>\n{"name": "add", "parameters": {"a": 1, "b": 2}}\n</tool_call>'


def row(prompt=MESSAGES, ground_truth=ANSWER, **columns):
    return {"prompt": prompt, "reward_model": {"ground_truth": ground_truth, "style": "rule"}, **columns}


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def refused(match, source, **options):
    with pytest.raises(DataFormatError, match=match) as caught:
        load_rlla(source, **options)
    return caught.value


@pytest.fixture(scope="session")
def real_file(real_data):
    """RLLA's test split."""
    return real_data / "rlla" / "test.parquet"


@pytest.fixture
def served_folder(tmp_path):
    """A folder, and the URL under which a local server gives its files out."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            """Keep the test's output clean."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


# --- where data can come from -------------------------------------------------------------------------------


def test_the_real_file_gives_messages_and_references(real_file):
    dataset = load_rlla(real_file)
    assert dataset.column_names == ["prompt", "answer"]
    assert len(dataset) == 80
    raw = pq.read_table(real_file).to_pylist()
    assert dataset["prompt"][:] == [[dict(message) for message in example["prompt"]] for example in raw]
    assert dataset["answer"][:] == [example["reward_model"]["ground_truth"] for example in raw]
    assert [message["role"] for message in dataset[0]["prompt"]] == ["system", "user"]


def test_every_real_reference_is_right_by_its_own_rewards(real_file):
    answers = list(load_rlla(real_file)["answer"])
    scores = tool_call_correctness(answers, answers)
    assert (scores.count(3.0), scores.count(None)) == (71, 9)
    assert tool_call_format(answers, answers) == [1.0] * 80


def test_a_path_may_be_text(tmp_path):
    file = write(tmp_path / "any name", [row(), row(ground_truth="4")])
    dataset = load_rlla(str(file))
    assert dataset[:] == {"prompt": [MESSAGES, MESSAGES], "answer": [ANSWER, "4"]}


def test_other_columns_and_keys_of_messages_do_not_disturb(tmp_path):
    prompt = [{"role": "user", "content": "Hi", "name": "Ann"}]
    dataset = load_rlla(write(tmp_path / "a.parquet", [row(prompt=prompt, data_source="x", extra_info={"index": 1})]))
    assert dataset[0] == {"prompt": prompt, "answer": ANSWER}


def test_a_folder_without_names_of_splits_is_read_whole_in_the_order_of_names(tmp_path):
    write(tmp_path / "b.parquet", [row(ground_truth="b")])
    write(tmp_path / "a.parquet", [row(ground_truth="a", other=1)])
    write(tmp_path / "inner" / "c.parquet", [row(ground_truth="c")])
    (tmp_path / "README.md").write_text("not data")
    assert load_rlla(tmp_path)["answer"][:] == ["a", "b", "c"]


@pytest.mark.parametrize("pattern", ["{}.parquet", "{}-00000-of-00001.parquet", "{}/0000.parquet", "data/{}_x.parquet"])
@pytest.mark.parametrize("split", ["train", "test", "level1"])
def test_a_folder_with_names_of_splits_gives_one_split(tmp_path, pattern, split):
    for name in ("train", "test", "level1"):
        write(tmp_path / pattern.format(name), [row(ground_truth=name)])
    assert load_rlla(tmp_path, split=split)["answer"][:] == [split]


def test_a_url_is_downloaded(served_folder):
    folder, url = served_folder
    write(folder / "train.parquet", [row(), row(ground_truth="4")])
    assert load_rlla(f"{url}/train.parquet")["answer"][:] == [ANSWER, "4"]


def test_a_hub_id_and_a_hub_url_go_to_datasets(monkeypatch):
    import datasets

    calls = []

    def load_dataset(*arguments, **options):
        calls.append((arguments, options))
        return datasets.Dataset.from_list([row()])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    hub_file = "hf://datasets/owner/rlla-4k/test.parquet"
    assert load_rlla("owner/rlla-4k", split="test")["answer"][:] == [ANSWER]
    assert load_rlla(hub_file)["answer"][:] == [ANSWER]
    assert calls == [
        (("owner/rlla-4k",), {"split": "test"}),
        (("parquet",), {"data_files": hub_file, "split": "train"}),
    ]


def test_what_exists_as_a_path_is_a_path_and_no_hub_id(tmp_path, monkeypatch):
    write(tmp_path / "owner" / "name" / "a.parquet", [row()])
    monkeypatch.chdir(tmp_path)
    assert len(load_rlla("owner/name")) == 1


# --- sources that cannot be read ----------------------------------------------------------------------------

WAYS_OUT = r"Give the path of a parquet file or of a folder of them, a URL \(https:// or hf://\), or a hub id"


@pytest.mark.parametrize(
    "source", ["missing.parquet", "data/missing.parquet", "/a/b/c", "name", "", Path("owner/name")]
)
def test_a_path_that_is_not_there_says_what_can_be_given(source):
    refused(rf"there is no file or folder '{source}'\. {WAYS_OUT}", source)


def test_an_empty_folder_and_one_without_the_split_say_what_they_hold(tmp_path):
    refused(f"holds no .parquet file. {WAYS_OUT}", tmp_path)
    write(tmp_path / "train.parquet", [row()])
    write(tmp_path / "test.parquet", [row()])
    refused(r"no file of split 'dev', it holds test\.parquet, train\.parquet", tmp_path, split="dev")


def test_a_file_that_is_not_parquet_is_refused(tmp_path):
    file = tmp_path / "a.parquet"
    file.write_text("prompt,answer\n")
    refused(rf"a\.parquet: not a readable parquet file .* {WAYS_OUT}", file)


def test_a_url_that_does_not_answer_is_refused(served_folder):
    folder, url = served_folder
    (folder / "bad.parquet").write_text("<html>")
    refused(rf"cannot download {url}/none\.parquet: HTTP Error 404.* {WAYS_OUT}", f"{url}/none.parquet")
    refused(rf"{url}/bad\.parquet: not a readable parquet file", f"{url}/bad.parquet")
    refused("cannot download http://127.0.0.1:9/a.parquet: ", "http://127.0.0.1:9/a.parquet")
    refused("cannot download http://: ", "http://")


def test_a_hub_id_that_cannot_be_loaded_is_refused_with_the_hubs_words(monkeypatch):
    import datasets

    def load_dataset(*arguments, **options):
        raise datasets.exceptions.DatasetNotFoundError("Dataset 'owner/name' doesn't exist on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    error = refused(rf"cannot load 'owner/name', .*DatasetNotFoundError: .*doesn't exist.* {WAYS_OUT}", "owner/name")
    assert isinstance(error.__cause__, datasets.exceptions.DatasetNotFoundError)


# --- data that does not hold what it has to hold ------------------------------------------------------------


def test_a_missing_column_is_named_with_the_columns_found(tmp_path):
    file = write(tmp_path / "a.parquet", [{"prompt": MESSAGES, "answer": "4"}])
    refused(r"a\.parquet needs the column `reward_model`, found `prompt`, `answer`", file)
    file = write(tmp_path / "a.parquet", [{"question": "a", "reward_model": {"ground_truth": "4"}}])
    refused(r"a\.parquet needs the column `prompt`, found `question`, `reward_model`", file)


def test_in_a_folder_the_file_at_fault_is_named(tmp_path):
    write(tmp_path / "a.parquet", [row()])
    write(tmp_path / "b.parquet", [row(), row(ground_truth=" ")])
    refused(r"b\.parquet row 1: `reward_model\.ground_truth` is empty", tmp_path)


def test_an_empty_data_set_is_refused(tmp_path):
    file = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist([row()]).slice(0, 0), file)
    refused(r"a\.parquet is empty", file)


@pytest.mark.parametrize("prompt", [None, []])
def test_a_row_without_a_prompt_is_named(tmp_path, prompt):
    refused(r"row 1: `prompt` is empty", write(tmp_path / "a.parquet", [row(), row(prompt=prompt), row()]))


@pytest.mark.parametrize("ground_truth", [None, "", " \n"])
def test_a_row_without_a_reference_is_named(tmp_path, ground_truth):
    file = write(tmp_path / "a.parquet", [row(), row(ground_truth=ground_truth), row()])
    refused(r"row 1: `reward_model\.ground_truth` is empty", file)


@pytest.mark.parametrize(
    ("prompt", "got"),
    [
        ("What is 1 + 2?", "str"),
        (["What is 1 + 2?"], "a list of str"),
        ([{"role": "user", "text": "a"}], "a list of an object with role, text"),
        ([{"role": "user", "content": None}], "a list of an object with content, role|role, content"),
        ([{"role": "user", "content": 3}], "a list of an object with role, content"),
    ],
)
def test_a_prompt_that_is_no_list_of_messages_is_refused(tmp_path, prompt, got):
    file = write(tmp_path / "a.parquet", [row(prompt=prompt)])
    refused(rf"row 0: `prompt` must be a list of messages, .* got {got}", file)


@pytest.mark.parametrize(
    ("reward_model", "match"),
    [
        ({"style": "rule"}, r"`reward_model` must hold `ground_truth`, .* got an object with style"),
        ("4", r"`reward_model` must hold `ground_truth`, .* got str"),
        (None, r"`reward_model` must hold `ground_truth`, .* got null"),
        ({"ground_truth": ["4"]}, r"`reward_model\.ground_truth` must be the .* text, got a list of str"),
        ({"ground_truth": 4}, r"`reward_model\.ground_truth` must be the .* text, got int"),
    ],
)
def test_a_reference_that_is_no_text_is_refused(tmp_path, reward_model, match):
    file = write(tmp_path / "a.parquet", [{"prompt": MESSAGES, "reward_model": reward_model}])
    refused(f"row 0: {match}", file)


def test_references_whose_calls_do_not_parse_are_warned_about(tmp_path):
    thought = "<think> no <tool_call> here </think>\n<response> 3 </response>"
    file = write(tmp_path / "a.parquet", [row(), row(ground_truth=ANSWER[:-20]), row(ground_truth=thought)])
    with pytest.warns(UserWarning, match=r"1 of 3 reference answers .* \(the first in row 1\)") as caught:
        assert len(load_rlla(file)) == 3
    assert caught[0].filename == __file__


# --- packages -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", ["datasets", "pyarrow"])
def test_without_the_packages_it_needs_the_loader_says_what_to_install(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'gd2po\[trl\]'"):
        load_rlla("a.parquet")


def test_importing_the_data_room_loads_nothing_heavy():
    heavy = ("torch", "numpy", "datasets", "pyarrow", "pandas", "transformers")
    code = f"import gd2po.data, sys; print([name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"
