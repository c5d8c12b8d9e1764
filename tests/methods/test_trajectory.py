"""Averages along a trajectory, against their weights written out, torch's own and the runs."""

from __future__ import annotations

from math import cos, pi, sqrt
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mergegraph_methods.ema import ema
from mergegraph_methods.swa import swa
from mergegraph_methods.wsm import wsm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import mergegraph
from mergegraph import MergeGraphError, Spec
from mergegraph.files.reading import MemoryEntry
from mergegraph.ops.arithmetic import load
from mergegraph.plans import Output, plan_of
from mergegraph.scheduling.schedule import make_schedule
from mergegraph.tasks import walk
from mergegraph.testing import tiny_family

CURVES = {
    "linear": lambda x: 1 - x,
    "cosine": lambda x: 0.5 + 0.5 * cos(pi * x),
    "1-sqrt": lambda x: 1 - sqrt(x),
}
windows = st.none() | st.integers(1, 6)


def mean(models, weights):
    total = sum(w * each.double() for w, each in zip(weights, models, strict=True))
    return total / sum(weights)


def close(found, wanted):
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-6)


@given(data=st.data(), window=windows)
@settings(max_examples=40, deadline=None)
def test_swa_is_the_mean_of_the_latest(data, window, draw_family, merge):
    _, models = draw_family(data)
    latest = models[-window:] if window else models
    close(merge(swa, None, models, window=window), mean(latest, [1] * len(latest)))


@given(data=st.data(), window=windows, decay=st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]))
@settings(max_examples=40, deadline=None)
def test_ema_lets_every_older_checkpoint_count_less(data, window, decay, draw_family, merge):
    _, models = draw_family(data)
    latest = models[-window:] if window else models
    weights = [decay**age for age in range(len(latest))][::-1]
    close(merge(ema, None, models, window=window, decay=decay), mean(latest, weights))


@given(data=st.data(), window=windows, schedule=st.sampled_from(sorted(CURVES)))
@settings(max_examples=40, deadline=None)
def test_wsm_is_what_a_decayed_learning_rate_comes_to(data, window, schedule, draw_family, merge):
    """The steps from each checkpoint to the next, taken again at the rates of the curve."""
    _, models = draw_family(data)
    latest = [each.double() for each in (models[-window:] if window else models)]
    wanted = latest[0]
    for i in range(1, len(latest)):
        wanted = wanted + CURVES[schedule](i / len(latest)) * (latest[i] - latest[i - 1])
    close(merge(wsm, None, models, window=window, schedule=schedule), wanted)


def networks(count):
    """Checkpoints of one small network."""
    torch.manual_seed(0)
    return [torch.nn.Linear(5, 3) for _ in range(count)]


@pytest.mark.parametrize("decay", [0.2, 0.9, 0.999])
def test_ema_is_torchs_but_for_what_that_owes_to_its_start(decay):
    """torch starts with the first checkpoint, as if all before it had been the same."""
    nets = networks(7)
    running = AveragedModel(nets[0], multi_avg_fn=get_ema_multi_avg_fn(decay))
    for net in nets:
        running.update_parameters(net)
    found = mergegraph.merge(dict(enumerate_names(nets)), method="ema", decay=decay)
    rest = decay ** len(nets)
    for name, value in running.module.state_dict().items():
        wanted = (1 - rest) * found[name] + rest * nets[0].state_dict()[name]
        torch.testing.assert_close(value, wanted)


def test_swa_is_torchs():
    nets = networks(7)
    running = AveragedModel(nets[0])
    for net in nets:
        running.update_parameters(net)
    found = mergegraph.merge(dict(enumerate_names(nets)), method="swa")
    for name, value in running.module.state_dict().items():
        torch.testing.assert_close(value, found[name])


def enumerate_names(nets):
    return ((f"epoch-{i}", net) for i, net in enumerate(nets))


def test_worked_example(merge):
    models = [[0.0], [1.0], [2.0], [4.0]]
    assert merge(swa, None, models).tolist() == [1.75]
    assert merge(swa, None, models, window=2).tolist() == [3]
    assert merge(ema, None, models, decay=0.5).item() == pytest.approx((4 + 1 + 0.25) / 1.875)
    assert merge(wsm, None, models, schedule="linear").tolist() == [1.75]
    found = merge(wsm, None, models, schedule="1-sqrt").item()
    weights = [(sqrt(i + 1) - sqrt(i)) / 2 for i in range(4)]
    assert found == pytest.approx(weights[1] + 2 * weights[2] + 4 * weights[3])


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_where_they_meet(data, draw_family, merge):
    """A linear decay is the mean, an average that forgets nothing too; one that forgets is last."""
    _, models = draw_family(data)
    mean_of_all = merge(swa, None, models)
    torch.testing.assert_close(merge(wsm, None, models, schedule="linear"), mean_of_all)
    torch.testing.assert_close(merge(ema, None, models, decay=1.0), mean_of_all)
    assert torch.equal(merge(ema, None, models, decay=0.0), models[-1])
    for method in (swa, wsm):
        assert torch.equal(merge(method, None, models, window=1), models[-1])


@pytest.mark.parametrize(
    ("method", "values"),
    [(swa, {"window": 2}), (ema, {"decay": 0.0}), (ema, {"decay": 1e-200}), (wsm, {"window": 1})],
)
def test_checkpoints_that_do_not_count_are_not_read(method, values, merge_task, whole):
    models = [[float("nan")], [float("nan")], [1.0], [1.0]]
    task = merge_task(method, None, models, **values)
    assert whole(task).tolist() == [1]
    assert sum(each.op is load for each in walk(task)) <= 2


@pytest.mark.parametrize("method", [swa, ema, wsm], ids=lambda method: method.name)
def test_no_checkpoint_at_all_is_refused(method):
    values = {"decay": 0.5} if method is ema else {}
    with pytest.raises(MergeGraphError, match="takes 1 or more models, not 0"):
        method(None, [], **values)


@pytest.mark.parametrize(
    "given", [{"method": "swa", "window": 0}, {"method": "ema", "decay": 1.5}, {"method": "ema"}]
)
def test_what_no_average_can_be_made_with_is_refused(given):
    with pytest.raises(MergeGraphError, match=r"window 0|decay 1\.5|needs decay"):
        mergegraph.merge({"a": {"w": torch.ones(2)}}, **given)


# -- many checkpoints ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["swa", "ema", "wsm"])
def test_a_hundred_checkpoints_are_averaged_in_one_pass(name, tmp_path):
    from safetensors.torch import load_file

    paths = tiny_family(tmp_path, 100, layers=1)[1:]
    models = "".join(f"  - model: {path}\n" for path in paths)
    values = "{decay: 0.97}" if name == "ema" else "{}"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"merge_method: {name}\nmodels:\n{models}parameters: {values}\n")
    prepared = mergegraph.plan(recipe, out=tmp_path / "out", memory="16MiB")
    inputs = {t.key: t.spec.nbytes for t in prepared.plan.tasks if t.op is load}
    assert prepared.schedule.read_nbytes == sum(inputs.values())
    mergegraph.run(recipe, out=tmp_path / "out", memory="16MiB")
    written = load_file(tmp_path / "out" / "model.safetensors")
    loaded = [load_file(path / "model.safetensors") for path in paths]
    ages = range(99, -1, -1)
    weights = {
        "swa": [1.0] * 100,
        "ema": [0.97**age for age in ages],
        "wsm": [sqrt(i + 1) - sqrt(i) for i in range(100)],
    }[name]
    for tensor, value in written.items():
        wanted = mean([each[tensor] for each in loaded], weights).to(value.dtype)
        torch.testing.assert_close(value, wanted)


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_a_hundred_checkpoints_of_a_large_tensor_fit_into_half_a_gigabyte(threads, merge_task):
    spec = Spec((8192, 32768), "bfloat16")
    models = [load(entry=MemoryEntry(None, spec, f"checkpoint {i}")) for i in range(100)]
    plan = plan_of([Output(Path("out"), "w", merge_task(swa, None, models))], [])
    schedule = make_schedule(plan, budget=512 * 2**20, threads=threads)
    assert schedule.threads == threads
    assert schedule.read_nbytes == 100 * spec.nbytes
