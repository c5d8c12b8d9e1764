"""Whole merges of models on a Hub: planned, fetched, streamed, interrupted, offline."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from loopback import TOKEN, Fault
from safetensors.torch import load_file

import mergegraph
from mergegraph import MergeGraphError
from mergegraph.errors import RunError
from mergegraph.machine import Disk
from mergegraph.testing import tiny_checkpoint

AUDITED = Path(__file__).parent.parent / "audited.py"


@pytest.fixture
def remote(family, recipe):
    """A merge of models on the Hub."""
    return recipe("org/tuned-1", "hf:org/tuned-2@main")


@pytest.fixture
def expected(family, recipe, tmp_path):
    """What comes of the same merge of the same models on disk."""
    mergegraph.run(recipe(*family[1:], name="local"), out=tmp_path / "local")
    return files_in(tmp_path / "local")


@pytest.fixture
def large(hub, tmp_path):
    """A model on the Hub whose weights take a while to come."""
    folder = tiny_checkpoint(tmp_path / "large", layers=4, hidden=512)
    data = (folder / "model.safetensors").read_bytes()
    config = (folder / "config.json").read_bytes()
    hub.add("org/large", {"config.json": config, "model.safetensors": data})
    hub.pace = 0.05
    return data


def files_in(folder):
    """Every file of a result but those that say where it is from."""
    told = {"README.md", "mergegraph.json"}
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.name not in told}


def all_bytes(folder):
    return b"".join(each.read_bytes() for each in folder.rglob("*") if each.is_file())


def fetched(tmp_path):
    return {each.name for each in (tmp_path / "hf").rglob("*.safetensors")}


def wait_until(happened, started):
    while not happened() and started.poll() is None:
        time.sleep(0.01)


# -- what comes of it --------------------------------------------------------------------------


def test_plan_says_what_would_be_fetched_and_fetches_nothing(hub, remote, connected, tmp_path):
    notes = mergegraph.plan(remote).notes
    commit = hub.repos["org/tuned-1"].refs["main"]
    assert any(n.startswith(f"org/tuned-1 is org/tuned-1@{commit}: ") for n in notes)
    assert any(n.endswith("in 4 files to fetch") for n in notes)
    assert hub.sent < 200_000
    assert not (tmp_path / "hf").exists()


def test_fetched_streamed_and_local_models_give_the_same_bytes(
    remote, expected, connected, tmp_path
):
    mergegraph.run(remote, out=tmp_path / "streamed", stream=True)
    assert not fetched(tmp_path)
    mergegraph.run(remote, out=tmp_path / "fetched")
    assert fetched(tmp_path)
    assert files_in(tmp_path / "streamed") == files_in(tmp_path / "fetched") == expected


def test_streamed_and_fetched_are_one_plan(hub, remote, connected, tmp_path):
    mergegraph.run(remote, out=tmp_path / "out", stream=True)
    hub.forget()
    mergegraph.run(remote, out=tmp_path / "out")
    assert not hub.gets("/cdn/")[2:]  # headers alone


def test_what_was_fetched_is_merged_offline(hub, remote, expected, connected, tmp_path):
    mergegraph.run(remote, out=tmp_path / "first")
    hub.forget()
    connected(is_offline=True)
    mergegraph.run(remote, out=tmp_path / "second")
    assert files_in(tmp_path / "second") == expected
    mergegraph.run(remote, out=tmp_path / "first")  # done already: the plan is the same
    assert hub.requests == []


def test_offline_says_what_is_not_in_the_cache(remote, connected):
    connected(is_offline=True)
    with pytest.raises(MergeGraphError, match="org/tuned-1: not in the Hub's cache at"):
        mergegraph.plan(remote)


def test_result_names_commits_and_parents(hub, remote, connected, tmp_path):
    mergegraph.run(remote, out=tmp_path / "out")
    commits = [hub.repos[f"org/tuned-{i}"].refs["main"] for i in (1, 2)]
    told = json.loads((tmp_path / "out" / "mergegraph.json").read_text())
    names = [each["at"] for each in told["inputs"]]
    assert names == [f"org/tuned-{i}@{commit}" for i, commit in enumerate(commits, 1)]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "base_model:\n- org/tuned-1\n- org/tuned-2\n" in card


def test_only_files_that_are_merged_are_fetched(hub, connected, tmp_path):
    """Of a model of which a few layers are taken, the other shards stay where they are."""
    folder = tiny_checkpoint(tmp_path / "sharded", layers=4)
    hub.add("org/sharded", in_shards(folder))
    path = tmp_path / "slices.yaml"
    path.write_text(
        "merge_method: passthrough\n"
        "slices:\n- sources:\n  - {model: org/sharded, layer_range: [0, 2]}\n"
    )
    mergegraph.run(path, out=tmp_path / "out")
    assert fetched(tmp_path) == {f"model-{i:05}-of-00005.safetensors" for i in (1, 2, 5)}


@pytest.mark.parametrize("is_streamed", [False, True])
def test_pickled_weights_are_read_by_ranges_too(
    hub, family, recipe, expected, connected, tmp_path, is_streamed
):
    for folder in family[1:]:
        path = tmp_path / "pytorch_model.bin"
        torch.save(load_file(folder / "model.safetensors"), path)
        files = {**files_in(folder), "pytorch_model.bin": path.read_bytes()}
        del files["model.safetensors"]
        hub.add(f"pickled/{folder.name}", files)
    asked = recipe("pickled/tuned-1", "pickled/tuned-2")
    mergegraph.plan(asked)
    assert hub.sent < 300_000
    mergegraph.run(asked, out=tmp_path / "out", stream=is_streamed)
    merged, same = tmp_path / "out" / "model.safetensors", tmp_path / "local" / "model.safetensors"
    assert merged.read_bytes() == same.read_bytes()


def in_shards(folder):
    """A model with a shard for each layer, and one for the rest."""
    from safetensors.torch import save

    tensors = load_file(folder / "model.safetensors")
    numbers = {n: int(n.split(".")[2]) + 1 if "layers." in n else 5 for n in tensors}
    named = {name: f"model-{number:05}-of-00005.safetensors" for name, number in numbers.items()}
    files = {
        file: save({n: tensors[n] for n in named if named[n] == file})
        for file in set(named.values())
    }
    index = {"metadata": {}, "weight_map": named}
    files["model.safetensors.index.json"] = json.dumps(index).encode()
    files["config.json"] = (folder / "config.json").read_bytes()
    return files


# -- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize("is_streamed", [False, True])
def test_model_that_goes_away_meanwhile_ends_in_a_sentence(
    hub, remote, connected, tmp_path, is_streamed
):
    from mergegraph import pipeline
    from mergegraph.settings import Settings

    chosen = Settings(stream=is_streamed)
    prepared = pipeline.prepare([remote], out=tmp_path / "out", settings=chosen)
    hub.faults.append(Fault("tuned-2", times=1000, status=404))
    hub.faults.append(Fault("tuned-2", times=1000, status=404, method="HEAD"))
    with pytest.raises(RunError, match=r"^org/tuned-2: http://.* answers with status 404"):
        pipeline.finish(prepared)
    assert not (tmp_path / "out").exists()


def test_too_small_a_disk_for_what_is_fetched_is_told(hub, remote, connected, monkeypatch):
    from mergegraph.writing import room

    monkeypatch.setattr(room, "disk_of", lambda _path: Disk(1, 10))
    with pytest.raises(MergeGraphError, match=r"the files to fetch take .* with --stream"):
        mergegraph.plan(remote)


def test_recipe_without_the_hub_asks_nothing_of_it(hub, family, recipe, connected, tmp_path):
    mergegraph.run(recipe(*family[1:]), out=tmp_path / "out")
    assert hub.requests == []
    assert not (tmp_path / "hf").exists()


# -- whole commands --------------------------------------------------------------------------


def test_token_is_written_nowhere(hub, remote, command, tmp_path):
    out, trace = tmp_path / "out", tmp_path / "trace.json"
    _, text = command("run", remote, "--out", out, "--trace", trace)
    assert f"Bearer {TOKEN}" in {each.token for each in hub.requests}
    written = all_bytes(out) + all_bytes(tmp_path / "hf") + trace.read_bytes() + text.encode()
    hub.token = "another"
    code, text = command("plan", remote, "--debug")
    assert code == 1
    assert "the token is not valid" in text
    assert TOKEN.encode() not in written + text.encode()


def test_only_the_hub_and_where_it_leads_are_spoken_to(hub, remote, tmp_path):
    """The loopback Hub sends downloads to another host, `localhost`."""
    commands = [["plan", remote], ["run", remote, "--out", "out"], ["verify", "out", "--inputs"]]
    asked = {"commands": [[str(w) for w in each] for each in commands]}
    asked["told"] = str(tmp_path / "told.json")
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    started = [sys.executable, AUDITED, tmp_path / "asked.json"]
    env = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf"), "PATH": os.environ["PATH"]}
    subprocess.run(started, check=True, cwd=tmp_path, env=env, capture_output=True, timeout=120)
    seen = json.loads((tmp_path / "told.json").read_text())
    assert seen["statuses"] == [0, 0, 0]
    asked_for = [each for each in seen["network"] if each.startswith(("socket.get", "socket.conn"))]
    hosts = {host for each in asked_for for host in re.findall(r"'([\w.:-]+)'", each)}
    assert hosts <= {"127.0.0.1", "localhost", "::1"}
    ports = {port for each in asked_for for port in re.findall(r"', (\d+)", each)}
    assert ports == {str(hub.port)}
    assert seen["programs"] == []


def test_killed_downloads_go_on(hub, large, recipe, command, tmp_path):
    def size():
        return sum(each.stat().st_size for each in (tmp_path / "hf").rglob("*.incomplete"))

    for least in (2**18, 2**20):
        started = command("run", recipe("org/large"), "--out", tmp_path / "out", wait=False)
        wait_until(lambda least=least: size() > least, started)
        started.send_signal(signal.SIGKILL)
        started.communicate()
    have = size()
    assert 2**20 < have < len(large)
    hub.forget()
    hub.pace = 0
    code, text = command("run", recipe("org/large"), "--out", tmp_path / "out")
    assert code == 0, text
    assert hub.gets("/cdn/")[-1].range == f"bytes={have}-{len(large) - 1}"


def test_interrupted_download_says_how_to_go_on(hub, large, recipe, command, tmp_path):
    started = command("run", recipe("org/large"), "--out", tmp_path / "out", wait=False)
    wait_until(lambda: any((tmp_path / "hf").rglob("*.incomplete")), started)
    started.send_signal(signal.SIGINT)
    text, _ = started.communicate(timeout=30)
    assert started.returncode == 130
    command = f"mergegraph run {tmp_path / 'recipe.yaml'} --out {tmp_path / 'out'}"
    assert text.endswith(f"interrupted; to continue: {command}\n")


@pytest.mark.parametrize("options", [[], ["--stream"]])
def test_a_hub_that_hangs_is_not_waited_for(hub, large, recipe, command, tmp_path, options):
    hub.pace = 60
    started = command("run", recipe("org/large"), *options, wait=False)
    assert hub.is_paused.wait(timeout=60)
    began = time.monotonic()
    started.send_signal(signal.SIGTERM)
    text, _ = started.communicate(timeout=60)
    assert started.returncode == 130
    words = " ".join(["mergegraph run", f"{tmp_path / 'recipe.yaml'}", *options])
    assert text.endswith(f"interrupted; to continue: {words}\n")
    assert time.monotonic() - began < 12


def test_two_commands_at_once_fetch_once(hub, large, recipe, command, tmp_path):
    outs = [tmp_path / "a", tmp_path / "b"]
    both = [command("run", recipe("org/large"), "--out", out, wait=False) for out in outs]
    told = [each.communicate(timeout=60)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], told
    assert files_in(outs[0]) == files_in(outs[1])
    assert sum(each.sent for each in hub.gets("/cdn/")) < 1.2 * len(large)
