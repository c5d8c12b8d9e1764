"""What a run notes on its way: a later one continues within tensors, and repeats little."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

import mergegraph
from mergegraph import pipeline
from mergegraph.provenance.manifest import read_manifest
from mergegraph.running import milestones
from mergegraph.trust.verification import verify
from mergegraph.writing.journal import JOURNAL, read_journal

NBYTES = 4 * 2_000 * 1_000  # of the large tensor
RECIPES = {
    "linear": "models: [{{model: {root}/a, parameters: {{weight: 0.3}}}}, {{model: {root}/b, "
    "parameters: {{weight: 0.7}}}}]\nmerge_method: linear",
    "slerp": "models: [{{model: {root}/a}}, {{model: {root}/b}}]\nbase_model: {root}/a\n"
    "merge_method: slerp\nparameters: {{t: 0.4}}",
    "ties": "models: [{{model: {root}/a}}, {{model: {root}/b}}]\nbase_model: {root}/base\n"
    "merge_method: ties\nparameters: {{density: 0.5, weight: 0.5}}",
    "della": "models: [{{model: {root}/a}}, {{model: {root}/b}}]\nbase_model: {root}/base\n"
    "merge_method: della\nparameters: {{density: 0.5, weight: 0.5, epsilon: 0.1}}",
}


class KilledError(Exception):
    """Stands for a kill: nothing of the run is done after it."""


class Kill:
    """Ends a run after so many bytes, and counts those that are read until then."""

    def __init__(self, after=1e18):
        self.after = after
        self.read = 0

    def __call__(self, read, _written):
        self.read += read
        if self.read > self.after:
            raise KilledError


@pytest.fixture
def family(tmp_path, monkeypatch):
    monkeypatch.setattr(milestones, "_EVERY", 2**20)
    monkeypatch.setattr(milestones, "_TIMES_STATE", 0)
    for seed, name in enumerate(("base", "a", "b")):
        (tmp_path / name).mkdir()
        random = torch.Generator().manual_seed(seed)
        large = torch.randn(2_000, 1_000, generator=random)
        save_file({"w": large, "norm": large[0].clone()}, tmp_path / name / "model.safetensors")
        (tmp_path / name / "config.json").write_text("{}")

    def write(text):
        path = tmp_path / "recipe.yaml"
        path.write_text(text.format(root=tmp_path))
        return path

    return write


def digests(folder):
    verified = verify(folder)
    assert verified.differences == ()
    manifest = read_manifest(folder)
    return {name: each.sha256 for name, each in manifest.tensors.items()}


def killed(recipe, out, after, **options):
    kill = Kill(after)
    with pytest.raises(KilledError):
        mergegraph.run(recipe, out=out, progress=kill, threads=1, **options)
    return kill.read


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
    journal = tmp_path / "out.partial" / JOURNAL
    data, weights = journal.read_bytes(), (tmp_path / "out.partial" / "model.safetensors")
    written = weights.read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == ord("\n")]
    for cut in (0, 1, *ends[:: max(1, len(ends) // 12)], ends[-1] - 2):
        (tmp_path / "out.partial").mkdir(exist_ok=True)
        journal.write_bytes(data[:cut])
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


def test_after_the_machine_went_down_what_is_finished_is_read_again(family, tmp_path):
    recipe = family(RECIPES["linear"].replace("linear", "linear\nout_dtype: bfloat16"))
    killed(recipe, tmp_path / "out", 1.9 * NBYTES)
    journal = tmp_path / "out.partial" / JOURNAL
    journal.write_text(journal.read_text().replace('"boot": "', '"boot": "another'))
    mergegraph.run(recipe, out=tmp_path / "out")
    mergegraph.run(recipe, out=tmp_path / "whole")
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
