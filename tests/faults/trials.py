"""A small merge that faults are tried on, and the laws that hold after each of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import torch
from faultlist import Fault
from safetensors.torch import save_file

HERE = Path(__file__).parent
RECIPE = """
merge_method: ties
base_model: base
models:
  - {model: a, parameters: {weight: 1.0, density: 0.5}}
  - {model: b, parameters: {weight: 0.5, density: 0.7}}
"""
RUN = (
    "run", "ties.yaml", "--out", "out", "--threads", "2", "--memory", "64MiB", "--shard-size", "700KB",
)  # fmt: skip
LEFT = {"out.partial", "out.replaced"}  # what a finished run must have cleared away


class Launcher:
    """A process that runs jobs in its children."""

    mounted: Path | None = None

    def __init__(self, before: tuple[str, ...] = (), packages: str = "") -> None:
        command = [*before, sys.executable, str(HERE / "launcher.py")]
        paths = filter(None, [str(HERE), packages, os.environ.get("PYTHONPATH")])
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.is_ready = self.process.stdout.readline() == "ready\n"

    def ask(self, folder, arguments=RUN, **more):
        """Have the command line run with `arguments`; gives what came of it."""
        job = {"arguments": arguments, "folder": str(folder), **more}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def make_home(folder) -> Path:
    """A folder with three models and a recipe: several files, folds, strips, side files."""
    random = torch.Generator().manual_seed(0)
    for name in ("base", "a", "b"):
        home = folder / name
        home.mkdir(parents=True)
        first = {"embed.w": torch.randn(300, 700, generator=random)}
        second = {f"layers.{i}.w": torch.randn(64, 64, generator=random) for i in range(3)}
        index = dict.fromkeys(first, "model-00001-of-00002.safetensors")
        index |= dict.fromkeys(second, "model-00002-of-00002.safetensors")
        save_file(first, home / "model-00001-of-00002.safetensors")
        save_file(second, home / "model-00002-of-00002.safetensors")
        told = json.dumps({"metadata": {}, "weight_map": index})
        (home / "model.safetensors.index.json").write_text(told)
        (home / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 300}))
        (home / "merges.txt").write_text("a b\n" * 30_000)
        (home / "more").mkdir()
        (home / "more" / "special.json").write_text("{}")
    (folder / "ties.yaml").write_text(RECIPE)
    return folder


def digests(folder) -> dict[str, str]:
    """The SHA-256 of every file below a folder."""
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    return {str(f.relative_to(folder)): sha256(_content(f)).hexdigest() for f in files}


def _content(file) -> bytes:
    """The bytes of a file, but for the key of a plan, which knows where its inputs are."""
    return re.sub(rb'"key": "\w+"', b"", file.read_bytes())


def reference_of(launcher, model) -> tuple[dict[str, str], dict[str, int]]:
    """What a run without faults makes of a home, and the calls by which it does."""
    home = copied(model, "reference")
    done = launcher.ask(home)
    assert done["code"] == 0, done["told"]
    return digests(home / "out"), done["counts"]


def copied(model, name) -> Path:
    """A home of its own; times of change are kept, too."""
    return Path(shutil.copytree(model, model.with_name(name)))


def violations(launcher, fault: Fault, model, name, reference, counts=None, seed=0) -> list[str]:
    """Try a fault; gives what was not as it must be, in words."""
    home = copied(model, name)
    try:
        for command in fault.before:
            HOMES[command](home)
        job = fault.job(counts or {}, seed)
        broken = launcher.ask(home, [*RUN, *fault.arguments], **job)
        found = [*_of_failure(fault, broken, home, reference)]
        mended(home, model)
        plain = launcher.ask(home)
        found += _of_end(plain, home, reference)
        return [f"{fault.name}: {each} ({job}; told: {broken['told'].strip()!r})" for each in found]
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _of_failure(fault, broken, home, reference):
    """What is wrong right after the fault."""
    if not broken.get("fired") and not fault.limits and not {0, -9} & {*fault.codes}:
        yield "did not come to pass"
    if "Traceback" in broken["told"]:
        yield "gave a traceback"
    if broken["code"] not in fault.codes:
        yield f"ended with {broken['code']}, not {fault.codes}"
    lines = broken["told"].strip().splitlines() or [""]
    if broken["code"] and broken["code"] > 0 and not re.search(fault.told, lines[-1]):
        yield f"did not tell of {fault.told!r}"
    out = home / "out"
    if broken["code"] == 0 and digests(out) != reference:
        yield "was passed over, and gave other bytes"
    found = digests(out)
    found.pop("mergegraph.journal", None)  # goes last, when all is in place
    if broken["code"] != 0 and found not in ({}, reference):
        yield "left what looks whole"


def _of_end(plain, home, reference):
    """What is wrong after a plain run."""
    if plain["code"] != 0:
        yield f"the next run ended with {plain['code']}: {plain['told']}"
    elif digests(home / "out") != reference:
        yield "the next run gave other bytes"
    elif left := sorted(LEFT & set(os.listdir(home))):
        yield f"the next run left {left}"


def mended(home, model) -> None:
    """Put inputs back to what they were, times of change included."""
    for source in (each for each in model.rglob("*") if each.is_file()):
        target = home / source.relative_to(model)
        if not target.exists() or target.read_bytes() != source.read_bytes():
            shutil.copy2(source, target)
        else:
            shutil.copystat(source, target)


def _empty_out(home) -> None:
    (home / "out").mkdir()


HOMES = {"empty out": _empty_out}
