"""A package whose method fails in the way that its parameter says."""

from __future__ import annotations

SOURCE = '''
"""A method that fails, in whatever part of it."""

import sys

import torch

from mergegraph import Spec, hookimpl, method, op


def fail(how, part, value):
    """Fail, if this is the part that is to."""
    where, _, what = how.partition(" ")
    if where != part:
        return value
    if what == "raises":
        raise ValueError("a bug")
    if what == "exits":
        sys.exit(0)
    if what == "cuts":
        return value.flatten()[:1]
    if what == "widens":
        return value.double()
    if what == "loses memory":
        raise MemoryError
    return None


def made(how):
    @op(
        cut="fold",
        infer=lambda _spec: Spec((1,), "float64"),
        combine=lambda a, b: fail(how, "combine", a + b),
        finish=lambda total: fail(how, "finish", total),
    )
    def fold(tensor):
        return fail(how, "fold", tensor.double().sum().reshape(1))

    @op(cut="pointwise")
    def kernel(tensor, total):
        return fail(how, "kernel", tensor + 0 * total.float())

    @method(name="faulty_" + how.replace(" ", "_"))
    def faulty(models):
        """Fail."""
        return kernel(models[0], fold(models[0]))

    return faulty


@hookimpl
def merge_methods():
    return [made(each) for each in {HOWS}]
'''
HOWS = (
    "kernel raises",
    "kernel exits",
    "kernel cuts",
    "combine raises",
    "combine exits",
    "combine loses memory",
    "finish raises",
    "finish gives nothing",
)


def install(folder) -> str:
    """Put the package into a folder, as pip would; gives the folder."""
    (folder / "faulty.py").write_text(SOURCE.replace("{HOWS}", repr(HOWS)))
    info = folder / "faulty-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mergegraph]\nfaulty = faulty\n")
    return str(folder)
