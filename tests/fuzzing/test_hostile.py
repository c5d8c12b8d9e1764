"""Hostile files, one by one: a clear sentence, status 2, and nothing left behind."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from fuzzing.models import _SHAPES, _tensors
from mergegraph.cli import main
from mergegraph.errors import MergeGraphError, ProblemsError, printable
from mergegraph.library import Library
from mergegraph.provenance.ancestry import family_json, family_text
from mergegraph.provenance.lineage import Ancestor
from mergegraph.testing import tiny_family

LINEAR = (
    "merge_method: linear\nmodels: [{model: base}, {model: tuned-1}]\nparameters: {weight: 1}\n"
)
UNION = LINEAR + "tokenizer_source: union\n"
ADAPTED = LINEAR.replace("tuned-1", "base+adapter")
ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes with names")
needs_devices = pytest.mark.skipif(not Path("/dev/zero").exists(), reason="has no /dev/zero")


@pytest.fixture
def family(tmp_path, monkeypatch):
    """A base and a model made of it, in the directory that is worked in."""
    monkeypatch.chdir(tmp_path)
    base, tuned = tiny_family(tmp_path, 1, layers=2, vocabulary=8, hidden=4)
    return SimpleNamespace(base=base, tuned=tuned)


@pytest.fixture
def run(tmp_path, capsys, family):
    """Run a recipe: the status it ends with and what is said; `left` is what came to be."""

    def merge(text=LINEAR):
        (tmp_path / "r.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        before = {each.name for each in tmp_path.iterdir()}
        with pytest.raises(SystemExit) as caught:
            main(["run", "r.yaml", "--out", "out", "--memory", "1GiB", "--threads", "1"])
        said = capsys.readouterr()
        left = {each.name for each in tmp_path.iterdir()} - before
        return SimpleNamespace(status=caught.value.code or 0, said=said.err, left=left)

    return merge


def refused(found, fact):
    """A run that was refused with some words, on lines that can be printed, and left nothing."""
    assert (found.status, found.left) == (2, set())
    assert fact in found.said
    assert all(line.isprintable() for line in found.said.rstrip("\n").split("\n"))


# -- files that are none ---------------------------------------------------------------------


@needs_pipes
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_pipe_is_not_waited_for(family, run, name):
    (family.base / name).unlink()
    os.mkfifo(family.base / name)
    refused(run(), f"base/{name}: cannot be read: not a file")


@needs_devices
def test_a_device_is_no_file_of_weights(family, run):
    (family.base / "model.safetensors").unlink()
    (family.base / "model.safetensors").symlink_to("/dev/zero")
    refused(run(), "base/model.safetensors: cannot be read: not a file")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_directory_is_no_file(family, run, name):
    (family.base / name).unlink()
    (family.base / name).mkdir()
    refused(run(), f"base/{name}: cannot be read: not a file")


@needs_devices
def test_what_is_only_beside_a_model_may_be_anything(family, run):
    os.mkfifo(family.base / "mergegraph.json")
    (family.base / "README.md").symlink_to("/dev/zero")
    (family.base / "loop").symlink_to("loop")
    assert run().status == 0


@needs_devices
def test_a_recipe_without_an_end_is_refused(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        main(["run", "/dev/zero"])
    assert capsys.readouterr().err == "/dev/zero: too large for a recipe\n"


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (bytes(range(200, 250)), "not UTF-8 text"),
        (b"\0\0", "may not stand here"),
        (LINEAR.encode("utf-16"), "not UTF-8 text"),
        (b"x" * 1_000_001, "too large for a recipe"),
    ],
)
def test_a_recipe_that_is_no_text_is_refused(run, content, fact):
    refused(run(content), fact)


# -- links and names -------------------------------------------------------------------------


def test_side_files_that_lead_out_of_a_model_stay_there(family, run, tmp_path):
    (tmp_path / "secret").write_text("s3cr3t")
    (family.base / "notes.txt").symlink_to(tmp_path / "secret")
    (family.base / "README.md").symlink_to(tmp_path / "secret")
    found = run()
    assert "not copied, it is a link that leads out of the model" in found.said
    assert not any("s3cr3t" in each.read_text() for each in (tmp_path / "out").glob("*.[tm]*"))


@pytest.mark.parametrize("name", ["a\x1b[31m\n.txt", "\u202etxt.md", os.fsdecode(b"\xff\xfe.txt")])
def test_side_files_with_odd_names_stay_there(family, run, tmp_path, name):
    try:
        (family.base / name).write_text("x")
    except (OSError, UnicodeError):
        pytest.skip("the file system has no such names")
    found = run()
    assert (found.status, "not copied, its name is odd" in found.said) == (0, True)
    assert not (tmp_path / "out" / name).exists()


@pytest.mark.parametrize(
    "file",
    ["../x.safetensors", "/etc/passwd", "a/b", "", "..", ".", 5, None, "x\0y", "\x1b[2J", "\u202e"],
)
def test_an_index_names_files_beside_it(family, run, file):
    (family.base / "model.safetensors").rename(family.base / "model-00001-of-00001.safetensors")
    index = {"weight_map": {"w": file}}
    (family.base / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(run(), "not a file beside it")


@pytest.mark.parametrize("file", ["..\\x", "x" * 4000])
def test_an_index_names_files_that_there_are(family, run, file):
    (family.base / "model.safetensors").rename(family.base / "model-00001-of-00001.safetensors")
    index = {"weight_map": {"w": file}}
    (family.base / "model.safetensors.index.json").write_text(json.dumps(index))
    found = run()
    assert (found.status, found.left) == (2, set())


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/../../b", "unet/../x"])
def test_names_of_tensors_lead_nowhere(family, run, tmp_path, name):
    for each in (family.base, family.tuned):
        (each / "model.safetensors").write_bytes(_tensors({name: [2]}))
        (each / "config.json").unlink()
    found = run()
    assert (found.status, found.left) == (0, {"out"})
    assert {each.name for each in (tmp_path / "out").iterdir()} >= {"model.safetensors"}
    assert not any(each.is_dir() for each in (tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ('"a\\x1bb"', "holds '\\x1b', which cannot be printed"),
        ('"a\\0b"', "holds '\\x00', which cannot be printed"),
        ('"a\\nb"', "a\\nb: no such directory, file or stage"),
        ('"a\u202eb"', "a\\u202eb: no such directory, file or stage"),
        ("x" * 5000, "xxx ... xxx"),
    ],
)
def test_references_of_any_letters_are_told_in_one_line(run, text, fact):
    refused(run(LINEAR.replace("tuned-1", text)), fact)


# -- headers ---------------------------------------------------------------------------------


def header_file(family, header, data=b"1234", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = struct.pack("<Q", len(text) if length is None else length)
    (family.base / "model.safetensors").write_bytes(size + text + data)


@pytest.mark.parametrize(
    ("header", "fact"),
    [
        ({"w": {**ONE, "shape": [2**32, 2**32, 4]}}, "is larger than any tensor"),
        ({"w": {**ONE, "shape": [2**62, 2**62, 0]}}, "is larger than any tensor"),
        ({"w": {**ONE, "data_offsets": [-4, 0]}}, "[-4, 0] is not a range of bytes"),
        ({"w": {**ONE, "dtype": "\x1b[2J"}}, '"\\u001b[2J" is not a dtype'),
        ({"x" * 1001: ONE}, "is not a tensor name"),
        (b'{"w":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}', "is not a list of sizes"),
        (b'{"w":[' + b"9" * 10**6 + b"]}", "its entry is not an object"),
        (b"[" * 10**6, "nested too deeply"),
    ],
)
def test_headers_that_lie_are_refused(family, run, header, fact):
    header_file(family, header)
    refused(run(), fact)


@pytest.mark.parametrize("length", [2**63, 10**8 + 1, 2**64 - 1, 90])
def test_a_header_is_not_longer_than_its_file(family, run, length):
    header_file(family, {"w": ONE}, length=length)
    refused(run(), f"a header of {length} bytes does not fit")


@pytest.mark.parametrize("number", [99_999, 4_000_000_000, 10**400])
def test_the_number_of_a_layer_takes_no_memory(family, run, number):
    for each in (family.base, family.tuned):
        (each / "model.safetensors").write_bytes(_tensors({f"layers.{number}.w": [2]}))
    assert run().status == 0


# -- documents -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b'{"a":' + b"9" * 10**6 + b"}", "longer than any number of use"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"model_type": "\\ud800"}', "half of a surrogate pair"),
        (b'{"vocab_size": 8, "vocab_size": 9}', "'vocab_size' appears twice, with two values"),
        (b'{"quantization_config": {"quant_method": "\\u001b[2J\\n"}}', "(\\x1b[2J\\n)"),
        (b"NaN", "not a JSON object"),
    ],
)
def test_configs_that_lie_are_refused(family, run, content, fact):
    (family.base / "config.json").write_bytes(content)
    refused(run(), fact)


def test_a_config_of_any_size_is_not_read(family, run):
    with (family.base / "config.json").open("wb") as file:
        file.truncate(10**11)  # with holes: it takes no room
    refused(run(), "base/config.json: too large to be read, over 8 MiB")


def test_what_configs_of_models_in_use_say_is_read(family, run):
    said = (
        '{"time_step_limit": [0.0, Infinity], "model_max_length": 1000000000000000019884624838656'
    )
    (family.base / "config.json").write_text(said + ', "a": 1, "a": 1}')
    assert run().status == 0


# -- adapters --------------------------------------------------------------------------------


def adapter(family, shapes=None, **config):
    folder = family.base.parent / "adapter"
    folder.mkdir()
    plain = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}
    (folder / "adapter_config.json").write_text(json.dumps({**plain, **config}))
    (folder / "adapter_model.safetensors").write_bytes(_tensors(shapes or _SHAPES))


@pytest.mark.parametrize(
    "pattern", ["(.+)+[0-9]", "((([a-z_.0-9])*)*)*!", "(a|b|ab|.)*(a|b|ab|.)*(.*)*(.*)*x{1,9}!"]
)
def test_patterns_of_adapters_take_no_time(family, run, pattern):
    adapter(family, rank_pattern={pattern: 2}, alpha_pattern={pattern: 8})
    assert run(ADAPTED).status == 0


@pytest.mark.parametrize(
    ("config", "fact"),
    [
        ({"alpha_pattern": {"(((x{1,999}){1,999}){1,999})": 1}}, "size limit"),
        ({"alpha_pattern": {"(?!x)q_proj": 1}}, "look-around"),
        ({"lora_alpha": float("inf")}, "the alpha inf of lora_alpha is no number"),
        ({"r": 10**40}, "have not the rank"),
        ({"peft_type": "\x1b[2J\n"}, "peft_type is \\x1b[2J\\n, not LORA"),
        ({"\x9b2J": 1}, "\\x9b2J is set"),
    ],
)
def test_adapters_that_lie_are_refused(family, run, config, fact):
    adapter(family, **config)
    refused(run(ADAPTED), fact)


@pytest.mark.parametrize("shape", [[], [2], [0, 4], [2, 4, 1]])
def test_factors_of_odd_shapes_are_refused(family, run, shape):
    first = next(iter(_SHAPES))
    adapter(family, shapes={**_SHAPES, first: shape})
    refused(run(ADAPTED), "and no tensor of the model has that name and fits")


def test_a_tensor_that_is_changed_twice_must_fit_both_changes(family, run):
    own = "base_model.model.model.embed_tokens"
    more = {f"{own}.lora_embedding_A": [2, 8], f"{own}.lora_embedding_B": []}
    rows = {f"{own}.token_adapter.trainable_tokens_delta": [1, 4]}
    adapter(family, shapes={**_SHAPES, **more, **rows}, trainable_token_indices=[1])
    refused(run(ADAPTED), "and no tensor of the model has that name and fits")


# -- tokenizers ------------------------------------------------------------------------------


def tokenizers(family, change):
    for number, folder in enumerate((family.base, family.tuned)):
        data = json.loads((folder / "tokenizer.json").read_text())
        data["model"]["vocab"][f"own{number}"] = 8
        change(data)
        (folder / "tokenizer.json").write_text(json.dumps(data))


@pytest.mark.parametrize("number", [2**31, 4_000_000])
def test_ids_beyond_any_vocabulary_take_no_memory(family, run, number):
    tokenizers(family, lambda data: data["model"]["vocab"].update(x=number))
    refused(run(UNION), "rows, more than any has")


@pytest.mark.parametrize("number", [2**64, -1, "5", True, None, 1.5, float("inf")])
def test_ids_are_whole_numbers(family, run, number):
    tokenizers(family, lambda data: data["model"]["vocab"].update(x=number))
    refused(run(UNION), "tokenizer.json is not a tokenizer")


@pytest.mark.parametrize(
    "pattern", [{"String": ""}, {"String": "w"}, {"Regex": "w?"}], ids=["", "w", "w?"]
)
def test_a_tokenizer_that_makes_texts_endless_is_not_tried(family, run, pattern):
    step = {"type": "Replace", "pattern": pattern, "content": "w" * 50}
    more = {"type": "Sequence", "normalizers": [step] * 12}
    tokenizers(family, lambda data: data.update(normalizer=more))
    refused(run(UNION), "may make a text more than 64 times as long")


def test_a_tokenizer_that_fails_on_a_text_is_refused(family, run):
    tokenizers(family, lambda data: data["model"].update(unk_token="nowhere"))
    refused(run(UNION), "tokenizer.json cannot be used")


def test_a_token_of_millions_of_letters_takes_no_time(family, run):
    tokenizers(family, lambda data: data["model"]["vocab"].update({"z" * 3_000_000: 9}))
    assert run(UNION).status == 0


def test_a_multiple_beyond_any_vocabulary_is_refused(run):
    text = LINEAR + "tokenizer: {source: base, pad_to_multiple_of: 1000000000000}\n"
    refused(run(text), "would have 1000000000000 rows")


@pytest.mark.parametrize(
    ("template", "fact"),
    [("{{ " + "1" * 5000 + " }}", "a number is too long"), ("{{ " + "(" * 3000, "too deeply")],
)
def test_templates_without_end_are_refused(run, template, fact):
    refused(run(LINEAR + f"chat_template: '{template}'\n"), fact)


# -- pickles ---------------------------------------------------------------------------------


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def saved(value):
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def rewritten(change, method=zipfile.ZIP_STORED):
    """A file of torch with other records."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved({"w": torch.zeros(4)}))) as old:
        records = [change(name, old.read(name)) for name in old.namelist()]
    with zipfile.ZipFile(made, "w", method) as new:
        for name, data in records:
            new.writestr(name, data)
    return made.getvalue()


def pickled(data):
    return rewritten(lambda name, old: (name, data if name.endswith("data.pkl") else old))


@pytest.mark.parametrize("how", ["plain", "in an archive", "by a word"])
def test_a_pickle_with_code_is_not_executed(family, run, tmp_path, how):
    (family.base / "model.safetensors").unlink()
    harm = Harm(tmp_path / "harmed")
    made = {
        "plain": lambda: pickle.dumps(harm),
        "in an archive": lambda: saved({"w": harm}),
        "by a word": lambda: pickled(b"cos\nsystem\n(S'touch harmed'\ntR."),
    }
    (family.base / "pytorch_model.bin").write_bytes(made[how]())
    found = run()
    assert (found.status, found.left, (tmp_path / "harmed").exists()) == (2, set(), False)


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (lambda: rewritten(lambda n, d: (n, bytes(10**7)), zipfile.ZIP_DEFLATED), "are compressed"),
        (lambda: rewritten(lambda n, d: (f"../../{n}", d)), "not one of torch.save"),
        (lambda: pickled(b"\x80\x02" + b"]" * 300_000 + b"a" * 299_999 + b"."), "no state dict"),
        (lambda: pickled(b"\x80\x02]q\0" + b"](h\0h\0h\0h\0eq\0" * 30 + b"."), "no state dict"),
        (lambda: pickled(b"\x80\x02\x8b\xff\xff\xff\x7f"), "no code in files is executed"),
        (lambda: saved({"w": 1})[:-30], "damaged or cut"),
        (lambda: b"PK\x05\x06" + bytes(18), "is the download complete?"),
        (lambda: b"PK\x03\x04PK\x05\x06" + bytes(12) + b"\x04" + bytes(5), "nothing in it"),
    ],
)
def test_archives_that_lie_are_refused(family, run, content, fact):
    (family.base / "model.safetensors").unlink()
    (family.base / "pytorch_model.bin").write_bytes(content())
    refused(run(), fact)


# -- recipes ---------------------------------------------------------------------------------

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "&a [*a]",
        "a: &a {b: *a}",
        "a: &a {<<: *a}",
        "[" * 5000,
        "[" + "a, " * 30_000 + "]",
        "---\na\n" * 30_000,
        "".join(f"{' ' * i}a:\n" for i in range(1000)),
    ],
    ids=["aliases", "itself", "a value", "merged", "deep", "long", "documents", "blocks"],
)
def test_bombs_of_yaml_are_refused(run, text):
    found = run(text)
    assert found.status == 2
    assert "too large" in found.said or "too deeply nested" in found.said


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        (f"seed: {'9' * 900_000}", "seed inf is not a whole number"),
        ("seed: 1e999", "seed inf is not a whole number"),
        ("on_vocab: !!python/object/apply:os.system [touch harmed]", "has no meaning here"),
        ("tokenizer_source: ../../../etc", "not a model of this merge"),
        ("out: base", "base is an input; write somewhere else"),
        ("out: base/inside", "overlaps"),
    ],
)
def test_recipes_that_lie_are_refused(run, text, fact):
    refused(run(f"{LINEAR}{text}\n"), fact)


def test_a_recipe_without_sense_is_told_of_in_so_many_lines(run):
    found = run(LINEAR + "".join(f"key{i}: 1\n" for i in range(900)))
    assert found.said.count("\n") == 101
    assert found.said.endswith("... and 800 more problems\n")


# -- what is told ----------------------------------------------------------------------------


def test_messages_have_a_line_for_each_problem_and_steer_no_terminal():
    error = MergeGraphError("a\x1b[2J\nb", "c\x9b\u202e\ud800")
    assert str(error) == "a\\x1b[2J\\nb\nc\\x9b\\u202e\\ud800"


def test_a_message_is_shorter_than_what_a_file_puts_into_it():
    assert len(str(MergeGraphError("x" * 10**6))) < 2100


def test_words_of_any_language_are_told_as_they_are():
    assert printable("über 模型 😀") == "über 模型 😀"


def test_problems_are_told_a_hundred_at_a_time():
    assert str(ProblemsError([])) == ""


def test_ancestry_steers_no_terminal():
    family = Ancestor("a\x9b2J\nb", card={"base_model": "\u202eorg/a"})
    told = [*family_json(family).split("\n"), *family_text(family).split("\n")]
    assert all(line.isprintable() for line in told)
    assert json.loads(family_json(family))["model"] == "a\x9b2J\nb"


def test_a_model_directory_of_links_is_read(family, run, tmp_path):
    """As caches have them: every file is a link to another place."""
    (tmp_path / "blobs").mkdir()
    for path in list(family.base.iterdir()):
        path.rename(tmp_path / "blobs" / path.name)
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots" / "base").mkdir()
    for path in (tmp_path / "blobs").iterdir():
        (tmp_path / "snapshots" / "base" / path.name).symlink_to(path)
    assert Library({}).checkpoint(str(tmp_path / "snapshots" / "base")).side_files
