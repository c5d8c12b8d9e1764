"""What commands do to the machine: no network, no programs, no foreign code, no files elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import mergegraph
from mergegraph.testing import tiny_family

HERE = Path(__file__).parent
BOMB = "import pathlib\npathlib.Path({path!r}).write_text('executed')\n"
TIES = """
merge_method: ties
base_model: ../models/base
models: [{model: ../models/tuned-1}, {model: ../models/tuned-2}]
parameters: {weight: 1, density: 0.5}
chat_template: "{{ ''.__class__.__mro__[1].__subclasses__() }}{% for m in messages %}{% endfor %}"
"""
EXPERTS = """
base_model: demo:base
gate_mode: cheap_embed
experts_per_token: 1
experts:
  - {source_model: demo:north, positive_prompts: ["n:"]}
  - {source_model: demo:east, positive_prompts: ["e:"]}
"""
PICKLED = """
merge_method: linear
models: [{model: ../models/pickled}, {model: ../models/tuned-1}]
parameters: {weight: 1}
"""
HOLES = """
merge_method: linear
models: [{model: demo:north}, {model: demo:east}]
parameters: {weight: {search: [0.5, 1]}}
"""
SEARCH = "--out searched --evaluator demo,problems=2 --sampler random --trials 2"
BREEDING = "--base demo:base --out bred --max-generations 1 --evaluator demo,problems=2"
RECIPE = str(HERE.parent / "recipes" / "ties.yaml")
COMMANDS = [
    ["--help"],
    ["schema"],
    ["methods"],
    ["methods", "ties", "--format", "json"],
    ["plan", "r.yaml", RECIPE],
    ["plan", "r.yaml", "--format", "mermaid"],
    ["plan", "r.yaml", "--tensor", "model.norm.weight"],
    ["run", "r.yaml", "--out", "out", "--trace", "trace.json", "--threads", "2"],
    ["run", "r.yaml", "--out", "out", "--restart", "--shard-size", "100KB", "--memory", "512MiB"],
    ["run", "p.yaml", "--out", "pickled", "--quiet"],
    ["status", "out"],
    ["verify", "out", "--inputs"],
    ["verify", "../models/tuned-1"],
    ["ancestry", "out", "--format", "json"],
    ["reproduce", "out"],
    ["reproduce", "out", "--out", "again"],
    ["moe", "e.yaml", "--plan"],
    ["moe", "e.yaml", "--out", "experts"],
    ["evaluate", "demo:base", "../models/tuned-1", "--evaluator", "demo,problems=20"],
    ["evaluators"],
    ["extract-lora", "--model", "demo:north", "--base", "demo:base", "--out", "lora"],
    ["kinship", "--base", "../models/base", "../models/tuned-1", "r.yaml"],
    ["evolve", "h.yaml", *SEARCH.split()],
    ["breed", "demo:north", "demo:east", *BREEDING.split()],
    ["report", "r.yaml", "out", "--quiet"],
    ["run", "r.yaml", "--out", "drawn", "--report", "drawn.html", "--quiet"],
    ["run", "missing.yaml"],
]
FILES = ("trace.json", "report.html", "drawn.html")
MADE = ("out", "pickled", "again", "experts", "lora", "searched", "bred", "drawn", *FILES)
FAILING = {"missing.yaml": 2, "demo,problems=20": 1}  # that is no model of the family
EXPECTED = [FAILING.get(words[-1], 0) for words in COMMANDS]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory to work in beside models that hold code, and nothing else of a user."""
    root = tmp_path_factory.mktemp("locked")
    for name in ("home", "tmp", "work"):
        (root / name).mkdir()
    for folder in tiny_family(root / "models", layers=2, hidden=32):
        _mine(folder, root / "executed")
    _mine(_pickled(root / "models"), root / "executed")
    for name, text in {"r": TIES, "e": EXPERTS, "h": HOLES, "p": PICKLED}.items():
        (root / "work" / f"{name}.yaml").write_text(text)
    return root


def _mine(folder, boom):
    """Put code beside a model, and have its config and tokenizer ask for it."""
    for name in ("modeling_x.py", "tokenization_x.py", "configuration_x.py", "__init__.py"):
        (folder / name).write_text(BOMB.format(path=str(boom)))
    config = json.loads((folder / "config.json").read_text())
    classes = {"AutoModelForCausalLM": "modeling_x.X", "AutoConfig": "configuration_x.X"}
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": classes}))
    tokenizer = {"auto_map": {"AutoTokenizer": ["tokenization_x.X", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))


def _pickled(models):
    from safetensors.torch import load_file

    folder = models / "pickled"
    shutil.copytree(models / "tuned-2", folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def environment(root):
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    return {
        **kept,
        "HOME": str(root / "home"),
        "TMPDIR": str(root / "tmp"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HF_TOKEN": "hf_" + "never" * 7,
    }


@pytest.fixture(scope="module")
def seen(place):
    """What one process did that carried out every command; nothing was there before."""
    asked = {"commands": COMMANDS, "told": str(place / "told.json")}
    (place / "asked.json").write_text(json.dumps(asked))
    done = subprocess.run(
        [sys.executable, HERE / "audited.py", place / "asked.json"],
        check=False,
        cwd=place / "work",
        env=environment(place),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((place / "told.json").read_text())
    assert found["statuses"] == EXPECTED, done.stderr
    return found


def test_no_command_uses_the_network(seen):
    assert seen["network"] == []


def test_no_command_starts_a_program(seen):
    assert seen["programs"] == []


def test_libraries_of_the_network_are_not_even_imported(seen):
    far = {"huggingface_hub", "httpx", "httpx2", "requests", "urllib3", "obstore", "transformers"}
    assert far.isdisjoint(seen["modules"])


def test_code_of_models_is_copied_and_not_executed(seen, place):
    assert not (place / "executed").exists()
    assert (place / "work" / "out" / "modeling_x.py").is_file()
    inside = [name for name in seen["executed"] if str(place / "models") in name]
    assert inside == []
    assert not {"modeling_x", "tokenization_x", "configuration_x"} & set(seen["modules"])


def test_nothing_is_written_but_results(seen, place):
    work = place / "work"
    allowed = [f"{work / name}{end}" for name in MADE for end in ("", ".partial", ".replaced")]
    beside = str(work / ".out.")  # of reproduce, which leaves nothing
    told = str(place / "told.json")
    others = [
        path
        for path in seen["written"]
        if path not in (told, os.devnull)
        and not path.startswith(beside)
        and not any(path == each or path.startswith(f"{each}{os.sep}") for each in allowed)
    ]
    assert others == []


def test_nothing_is_left_behind_but_results(seen, place):
    """Also of what is written without Python's knowing."""
    recipes = {"r.yaml", "e.yaml", "h.yaml", "p.yaml"}
    assert {each.name for each in (place / "work").iterdir()} == recipes | set(MADE)
    assert list((place / "home").rglob("*")) == []
    assert list((place / "tmp").rglob("*")) == []


def test_inputs_are_as_they_were(seen, place):
    began = (place / "asked.json").stat().st_mtime_ns
    assert all(each.stat().st_mtime_ns <= began for each in (place / "models").rglob("*"))


@pytest.mark.skipif(os.name != "posix", reason="files have modes on POSIX alone")
@pytest.mark.parametrize(
    ("mask", "of_files", "of_folders"), [(0o077, 0o600, 0o700), (0, 0o666, 0o777)]
)
def test_modes_follow_the_umask(place, monkeypatch, mask, of_files, of_folders):
    monkeypatch.chdir(place / "work")
    before = os.umask(mask)
    try:
        mergegraph.run("r.yaml", out=place / f"mode{mask}", trace=place / f"{mask}.json")
    finally:
        os.umask(before)
    made = [place / f"mode{mask}", place / f"{mask}.json", *(place / f"mode{mask}").rglob("*")]
    modes = {(each.is_dir(), each.stat().st_mode & 0o777) for each in made}
    assert modes == {(False, of_files), (True, of_folders)}


# -- where it can be taken away altogether -------------------------------------------------------


def without_network():
    """How to start a process that has no network, not even its own; None where that cannot be."""
    command = ["unshare", "--user", "--map-root-user", "--net"]
    try:
        done = subprocess.run([*command, "true"], check=False, capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return command if done.returncode == 0 else None


def test_a_merge_is_made_where_there_is_no_network(place):
    start = without_network()
    if start is None:
        pytest.skip("needs unshare, and leave to make namespaces")
    command = ["run", "r.yaml", "--out", str(place / "alone"), "--quiet"]
    done = subprocess.run(
        [*start, sys.executable, "-m", "mergegraph", *command],
        check=False,
        cwd=place / "work",
        env=environment(place),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
