"""A family of models for runs that are killed, and noted often."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from mergegraph.running import milestones


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
