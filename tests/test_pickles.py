"""Files of torch.save: known without executing anything, read where they are."""

from __future__ import annotations

import os
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
import torch

from mergegraph import MergeGraphError
from mergegraph.files.pickles import axes_in_file, header_of_pickle
from mergegraph.files.trees import LocalTree
from mergegraph.library import Library
from mergegraph.models.model import checkpoint_model


@dataclass(frozen=True)
class FarTree(LocalTree):
    """A directory that is read as if it were far away, every request counted."""

    is_local: bool = False
    requests: list[str] = field(default_factory=list)

    def read(self, name, start=0, stop=None):
        self.requests.append(name)
        return super().read(name, start, stop)


@pytest.fixture
def saved(tmp_path):
    """Save something with torch as `model.bin`; gives its tree."""

    def save(value, **how):
        torch.save(value, tmp_path / "model.bin", **how)
        return LocalTree(tmp_path, str(tmp_path))

    return save


def refusal(tree):
    with pytest.raises(MergeGraphError) as caught:
        header_of_pickle(tree, "model.bin")
    assert str(caught.value).startswith(f"{tree.root}/model.bin: ")
    return str(caught.value)


BASE = torch.arange(80.0).reshape(10, 8)
ODD = {
    "whole": BASE,
    "tied": BASE,
    "rows": BASE[2:5],
    "turned": BASE.t(),
    "parameter": torch.nn.Parameter(torch.ones(3)),
    "number": torch.tensor(5),
    "half": BASE.half(),
    "brain": BASE.bfloat16(),
    "float8": BASE.to(torch.float8_e4m3fn),
    "channels_last": torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    "nothing": torch.zeros(0, 3),
    "flags": torch.tensor([True, False]),
}


# -- reading -----------------------------------------------------------------------------------


def test_every_tensor_is_read_as_torch_reads_it(saved, executed):
    root = saved(ODD).root
    model = checkpoint_model(Library({}).checkpoint(str(root / "model.bin")))
    stored = torch.load(root / "model.bin", weights_only=True)
    assert model.tensors.keys() == stored.keys()
    for name, task in model.tensors.items():
        found = executed(task)
        assert found.dtype == stored[name].dtype
        assert torch.equal(found.float(), stored[name].float()), name


def test_a_file_far_away_is_known_by_a_few_requests(saved):
    near = saved({f"w{i}": torch.rand(50, i + 1) for i in range(40)})
    far = FarTree(near.root, "far")
    found = [header_of_pickle(each, "model.bin").entries.values() for each in (near, far)]
    assert [each.offset for each in found[0]] == [each.offset for each in found[1]]
    assert len(far.requests) < 10


def test_names_that_share_their_bytes_are_one_task(saved):
    entries = header_of_pickle(saved(ODD), "model.bin").entries
    assert entries["whole"].identity == entries["tied"].identity
    assert len({each.identity for each in entries.values()}) == len(ODD) - 1


@pytest.mark.parametrize(
    ("shape", "strides", "axes"),
    [
        ((2, 3), (3, 1), ()),
        ((2, 3), (1, 2), (1, 0)),
        ((1, 3), (17, 1), ()),
        ((3, 1), (1, 5), ()),
        ((), (), ()),
        ((0, 4), (9, 9), ()),
        ((2, 3), (4, 1), None),
        ((2, 3), (0, 1), None),
        ((3, 1, 2), (1, 1, 3), (2, 0, 1)),
    ],
)
def test_axes_are_found_in_strides(shape, strides, axes):
    assert axes_in_file(shape, strides) == axes


# -- what is not executed ----------------------------------------------------------------------


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


def test_code_in_a_file_is_refused_and_not_executed(saved, tmp_path):
    mark = tmp_path / "mark"
    told = refusal(saved({"w": torch.ones(1), "evil": Evil(mark)}))
    assert "it needs posix.system" in told or "it needs nt.system" in told
    assert "no code in files is executed; where you trust it, load it with torch" in told
    assert not mark.exists()


def test_a_module_is_refused_by_its_class(saved):
    assert "(it needs torch.nn.modules.linear.Linear)" in refusal(saved(torch.nn.Linear(2, 2)))


@pytest.mark.parametrize(
    "text", [b"", b"\x80\x02", b"\x80\x02}q\x00.", b"(lp0\n.", b"\x80\x02K\x01Q."]
)
def test_pickles_that_are_no_pickles_are_refused(saved, text):
    tree = saved({"w": torch.ones(1)})
    with zipfile.ZipFile(tree.root / "model.bin", "w") as archive:
        archive.writestr("archive/data.pkl", text)
    assert refusal(tree)


@pytest.mark.filterwarnings("ignore")
def test_a_program_of_torchscript_is_refused_by_name(saved, tmp_path):
    tree = saved({})
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "model.bin")
    assert "a TorchScript archive, a program and not a state dict" in refusal(tree)


# -- files that are not sound ------------------------------------------------------------------


def test_the_old_format_of_torch_is_refused(saved):
    tree = saved({"w": torch.ones(1)}, _use_new_zipfile_serialization=False)
    assert "a plain pickle, as torch wrote before 1.6, which is not read" in refusal(tree)


def test_a_cut_file_is_refused_wherever_it_is_cut(saved):
    tree = saved(ODD)
    whole = (tree.root / "model.bin").read_bytes()
    for count in range(0, len(whole) - 1, 97):
        (tree.root / "model.bin").write_bytes(whole[:count])
        again = LocalTree(tree.root, str(tree.root))
        assert "is the download complete?" in refusal(again)


def test_a_changed_byte_is_never_a_bug(saved):
    """Whatever a flipped byte makes of the list or the pickle, it is read or refused."""
    tree = saved({"w": torch.ones(2, 3), "v": torch.ones(4)})
    whole = (tree.root / "model.bin").read_bytes()
    for at in range(0, len(whole), 3):
        (tree.root / "model.bin").write_bytes(
            whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]
        )
        for each in (tree, FarTree(tree.root, "far")):
            with suppress(MergeGraphError):
                header_of_pickle(each, "model.bin")


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer, not the file; fetch"),
        (b"<html>Not found</html>", "not a file of torch.save; is the download complete?"),
        (b"", "not a file of torch.save"),
    ],
)
def test_what_is_there_in_place_of_the_file_is_said(saved, content, fact):
    tree = saved({})
    (tree.root / "model.bin").write_bytes(content)
    assert fact in refusal(tree)


def rezipped(tree, change, **how):
    """The archive written anew, its records changed."""
    path = tree.root / "model.bin"
    with zipfile.ZipFile(path) as old:
        records = change({each: old.read(each) for each in old.namelist()})
    with zipfile.ZipFile(path, "w", **how) as new:
        for name, content in records.items():
            new.writestr(name, content)
    return tree


def test_a_compressed_archive_is_refused_with_the_remedy(saved):
    tree = rezipped(saved({"w": torch.ones(99)}), dict, compression=zipfile.ZIP_DEFLATED)
    assert "its records are compressed, and cannot be read in part; load it" in refusal(tree)


def test_records_that_are_not_aligned_are_found(saved):
    tree = rezipped(saved({"w": torch.ones(99)}), dict)
    near = header_of_pickle(tree, "model.bin").entries["w"]
    far = header_of_pickle(FarTree(tree.root, "far"), "model.bin").entries["w"]
    assert near.offset == far.offset


def test_a_missing_record_is_named_by_its_tensor(saved):
    tree = saved({"w": torch.ones(99)})
    rezipped(tree, lambda found: {n: c for n, c in found.items() if not n.endswith("data/0")})
    assert refusal(tree).endswith("w: its entries are not stored in the file")


def test_a_short_record_is_named_by_its_tensor(saved):
    tree = saved({"w": torch.ones(99)})
    rezipped(tree, lambda f: {n: c[:8] if n.endswith("data/0") else c for n, c in f.items()})
    assert refusal(tree).endswith("w: float32[99] takes more bytes than its record has")


def test_numbers_of_the_other_endianness_are_refused(saved):
    tree = saved({"w": torch.ones(99)})
    rezipped(tree, lambda f: {n: b"big" if n.endswith("byteorder") else c for n, c in f.items()})
    assert "(big endian)" in refusal(tree)


# -- tensors that cannot be read -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("tensor", "fact"),
    [
        (BASE[:, :3], "w: is a part of a larger tensor, with gaps; call contiguous() and save"),
        (BASE[:1].expand(4, 8), "w: is a part of a larger tensor, with gaps"),
        (torch.eye(2).to_sparse(), "w: is no plain tensor; make it dense and save it again"),
        (torch.ones(2, dtype=torch.complex128), "w: tensors of dtype complex128 cannot be merged"),
        (torch.ones(2, dtype=torch.complex64).conj(), "w: is a view of another tensor"),
        (torch.ones(2, device="meta"), "w: its entries are not stored in the file"),
    ],
)
def test_tensors_that_cannot_be_read_are_named(saved, tensor, fact):
    assert fact in refusal(saved({"w": tensor}))
