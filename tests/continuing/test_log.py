"""What a run notes on its way: a later one continues within tensors, and repeats little."""

from __future__ import annotations

import os

import pytest
import torch
from killing import NBYTES, RECIPES, Kill, killed
from safetensors.torch import save_file

import mergegraph
from mergegraph import pipeline
from mergegraph.files.header import read_header
from mergegraph.provenance.manifest import read_manifest
from mergegraph.trust.verification import verify
from mergegraph.writing import found, journal
from mergegraph.writing.journal import JOURNAL, read_journal


def digests(folder):
    verified = verify(folder)
    assert verified.differences == ()
    manifest = read_manifest(folder)
    return {name: each.sha256 for name, each in manifest.tensors.items()}


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_continues_within_a_tensor(family, tmp_path, name):
    recipe = family(RECIPES[name])
    whole = Kill()
    mergegraph.run(recipe, out=tmp_path / "whole", progress=whole, threads=1, memory="12MiB")
    before = killed(recipe, tmp_path / "out", 0.9 * whole.read, memory="12MiB")
    after = Kill()
    mergegraph.run(recipe, out=tmp_path / "out", progress=after, threads=2, memory="14MiB")
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
    assert before + after.read < 1.2 * whole.read


@pytest.mark.parametrize("name", RECIPES)
def test_passes_that_keep_tensors_in_memory_are_begun_anew(family, tmp_path, name):
    recipe = family(RECIPES[name])
    mergegraph.run(recipe, out=tmp_path / "whole", memory="64MiB")
    killed(recipe, tmp_path / "out", 1.9 * NBYTES, memory="64MiB")
    mergegraph.run(recipe, out=tmp_path / "out", memory="12MiB")
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_bytes_that_are_not_as_they_were_written_are_written_again(family, tmp_path):
    recipe = family(RECIPES["linear"])
    killed(recipe, tmp_path / "out", NBYTES)
    (milestone,) = read_journal(tmp_path / "out.partial").milestones.values()
    assert milestone.entries > 0
    with (tmp_path / "out.partial" / "model.safetensors").open("r+b") as file:
        file.seek(NBYTES // 10)
        file.write(b"changed")
    mergegraph.run(recipe, out=tmp_path / "out")
    mergegraph.run(recipe, out=tmp_path / "whole")
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_a_journal_cut_anywhere_leads_to_the_same_bytes(family, tmp_path):
    recipe = family(RECIPES["ties"])
    mergegraph.run(recipe, out=tmp_path / "whole")
    killed(recipe, tmp_path / "out", 5 * NBYTES, memory="12MiB")
    noted = tmp_path / "out.partial" / JOURNAL
    data, weights = noted.read_bytes(), (tmp_path / "out.partial" / "model.safetensors")
    written = weights.read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == ord("\n")]
    for cut in (0, 1, *ends[:: max(1, len(ends) // 12)], ends[-1] - 2):
        (tmp_path / "out.partial").mkdir(exist_ok=True)
        noted.write_bytes(data[:cut])
        weights.write_bytes(written)
        mergegraph.run(recipe, out=tmp_path / "out")
        assert digests(tmp_path / "out") == digests(tmp_path / "whole")
        (tmp_path / "out").rename(tmp_path / f"out at {cut}")


def test_what_has_changed_is_said(family, tmp_path):
    recipe = family(RECIPES["linear"])
    killed(recipe, tmp_path / "out", NBYTES)
    random = torch.randn(2_000, 1_000)
    save_file({"w": random, "norm": random[0].clone()}, tmp_path / "b" / "model.safetensors")
    notes = pipeline.prepare([recipe], out=tmp_path / "out").notes
    told = f"as it was begun before the input {tmp_path}/b changed; starting anew"
    assert any(told in note for note in notes)


def test_an_input_that_changed_is_found_though_its_time_was_put_back(family, tmp_path):
    recipe = family(RECIPES["linear"])
    killed(recipe, tmp_path / "out", NBYTES)
    file = tmp_path / "b" / "model.safetensors"
    before = file.stat()
    with file.open("r+b") as changed:
        changed.seek(-4, 2)
        changed.write(b"\0\0\0\0")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    notes = pipeline.prepare([recipe], out=tmp_path / "out").notes
    assert any(f"as it was begun before the input {file} changed" in note for note in notes)


def test_after_the_machine_went_down_what_is_finished_is_read_again(family, tmp_path, monkeypatch):
    recipe = family(RECIPES["linear"])
    mergegraph.run(recipe, out=tmp_path / "whole")
    killed(recipe, tmp_path / "out", 1.9 * NBYTES)
    weights = tmp_path / "out.partial" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-NBYTES] + bytes(NBYTES))
    assert "norm" in read_journal(tmp_path / "out.partial").finished
    norm = read_header(weights).entries["norm"]
    with weights.open("r+b") as file:
        file.seek(norm.offset)
        file.write(bytes(norm.spec.nbytes))
    monkeypatch.setattr(found, "boot", lambda: "another")
    monkeypatch.setattr(journal, "boot", lambda: "another")
    killed(recipe, tmp_path / "out", 0)  # the next run is on the same boot
    mergegraph.run(recipe, out=tmp_path / "out")
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
