"""Merging models in memory."""

from __future__ import annotations

import sys
import threading
import time
from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import mergegraph
from mergegraph import MergeGraphError
from mergegraph.errors import MergeWarning, RunError
from mergegraph.files.reading import MemoryEntry
from mergegraph.inmemory.targets import PartlyWrittenError
from mergegraph.machine import resident_memory
from mergegraph.plugins import installed_plugins
from mergegraph.spec import Spec
from mergegraph.testing.evaluation import strips_of

METHODS = installed_plugins().methods


def state(seed, dtype=torch.float32):
    random = torch.Generator().manual_seed(seed)
    shapes = {"layers.0.w": (4, 6), "layers.1.w": (4, 6), "bias": (6,)}
    return {name: torch.randn(shape, generator=random).to(dtype) for name, shape in shapes.items()}


A, B, BASE = state(1), state(2), state(0)


def test_state_dicts_go_in_and_a_state_dict_comes_out():
    merged = mergegraph.merge({"a": A, "b": B}, method="linear", weight=[1, 3])
    assert all(torch.allclose(merged[name], (A[name] + 3 * B[name]) / 4) for name in A)


def test_a_parameter_of_models_is_one_value_a_list_or_a_mapping():
    one, listed, mapped = (
        mergegraph.merge({"a": A, "b": B}, base=BASE, method="ties", weight=weight, density=0.5)
        for weight in (0.5, [0.5, 0.5], {"b": 0.5, "a": 0.5})
    )
    assert all(torch.equal(one[n], listed[n]) and torch.equal(one[n], mapped[n]) for n in A)


def test_lambda_is_spelled_with_an_underscore():
    merged = mergegraph.merge({"a": A}, base=BASE, method="task_arithmetic", weight=1, lambda_=0.0)
    assert all(torch.equal(merged[name], BASE[name]) for name in BASE)


def test_modules_go_in_and_stay_as_they_are():
    first, second = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    before = first.weight.clone()
    merged = mergegraph.merge({"a": first, "b": second}, method="linear", weight=1)
    assert torch.allclose(merged["weight"], (first.weight + second.weight) / 2)
    assert torch.equal(first.weight, before)
    first.load_state_dict(merged)


def test_the_result_has_the_dtype_of_the_inputs_or_the_one_asked_for():
    halves = {"a": state(1, torch.bfloat16), "b": state(2, torch.bfloat16)}
    assert mergegraph.merge(halves, method="linear", weight=1)["bias"].dtype == torch.bfloat16
    wide = mergegraph.merge(halves, method="linear", weight=1, dtype="float32")
    assert wide["bias"].dtype == torch.float32


def test_a_recipe_gives_the_same_as_a_merge_in_memory(checkpoint, tmp_path):
    from safetensors.torch import load_file

    for name, tensors in (("a", A), ("b", B), ("base", BASE)):
        checkpoint(name, tensors)
    (tmp_path / "r.yaml").write_text(
        f"{{merge_method: dare_ties, base_model: {tmp_path}/base, "
        f"models: [{{model: {tmp_path}/a}}, {{model: {tmp_path}/b}}], "
        "parameters: {weight: 1, density: 0.5}}"
    )
    mergegraph.run(tmp_path / "r.yaml", out=tmp_path / "out")
    written = load_file(tmp_path / "out" / "model.safetensors")
    merged = mergegraph.merge(
        {"a": A, "b": B}, base=BASE, method="dare_ties", weight=1, density=0.5
    )
    assert all(torch.equal(merged[name], written[name]) for name in written)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"method": "tise"}, "did you mean 'ties'"),
        ({"method": "ties", "weight": 1}, "ties needs a base"),
        ({"method": "linear"}, "linear needs weight for a"),
        ({"method": "linear", "weight": [1]}, "weight: 1 values for 2 models"),
        ({"method": "linear", "weight": {"a": 1, "c": 2}}, "values for a, c; models are a, b"),
        ({"method": "linear", "weigth": 1}, "no parameter 'weigth'; did you mean 'weight'"),
        ({"method": "linear", "weight": 1, "dtype": "int3"}, "dtype 'int3' is not one of float32"),
        ({"method": "linear", "weight": 1, "threads": 0}, "threads 0 is not at least 1"),
        ({"method": "linear", "weight": 1, "on_missing": "shrug"}, "'shrug' is not one of error"),
    ],
)
def test_what_does_not_fit_is_told(given, told):
    with pytest.raises(MergeGraphError, match=told):
        mergegraph.merge({"a": A, "b": B}, **given)


def test_overflow_is_told():
    huge = {name: each * 1e6 for name, each in A.items()}
    with pytest.raises(RunError, match="NaN or infinite in float16"):
        mergegraph.merge({"a": huge}, method="linear", weight=1, dtype="float16")


def test_the_number_of_threads_of_torch_is_left_as_it_was():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    mergegraph.merge({"a": A}, method="linear", weight=1)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


# -- tied tensors ----------------------------------------------------------------------------


class Tied(nn.Module):
    """An embedding and a head that are one tensor, a batch norm and a layer between them."""

    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = nn.Embedding(11, 6)
        self.norm = nn.BatchNorm1d(6)
        self.layer = nn.Linear(6, 6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.embedding.weight
        self.norm.running_mean.normal_()
        self.norm.num_batches_tracked.fill_(seed)


def test_tied_tensors_are_merged_once():
    models = {"a": Tied(1), "b": Tied(2)}
    merged = mergegraph.merge(
        models, base=Tied(0), method="dare_linear", weight=1, density=0.5, memory="1MiB"
    )
    assert merged["head.weight"] is merged["embedding.weight"]
    assert merged.keys() == models["a"].state_dict().keys()


def test_tensors_that_are_tied_in_some_models_only_are_merged_apart():
    loose = {name: each.clone() for name, each in Tied(2).state_dict().items()}
    loose["head.weight"] += 1
    merged = mergegraph.merge({"a": Tied(1), "b": loose}, method="linear", weight=1)
    torch.testing.assert_close(merged["head.weight"], merged["embedding.weight"] + 0.5)


def test_a_model_may_leave_out_the_second_name_of_a_tied_tensor():
    short = Tied(2).state_dict()
    del short["head.weight"]
    merged = mergegraph.merge({"a": Tied(1), "b": short}, method="linear", weight=1)
    assert merged["head.weight"] is merged["embedding.weight"]


# -- into ------------------------------------------------------------------------------------


def required(method):
    """Values of the parameters that must be given."""
    asked = [each for each in method.parameters.values() if each.required]
    return {each.keyword: 0.5 if float in each.kinds else 1 for each in asked}


def family(name):
    """Models that a method takes, by name, and the base if it needs one."""
    method = METHODS[name]
    count = int(min(2, method.counts.high or 2))
    count = max(count, int(method.counts.low or 0))
    return {f"m{i}": Tied(i) for i in range(1, count + 1)}, Tied(0) if method.needs_base else None


@pytest.mark.parametrize("chosen", ["model", "base", "other"])
@pytest.mark.parametrize("name", METHODS)
def test_what_is_written_into_a_module_is_what_would_be_given(name, chosen):
    """The module may be an input, and the method may read its inputs several times."""
    models, base = family(name)
    if chosen == "base" and base is None:
        return
    given = {"method": name, "base": base, "threads": 3, **required(METHODS[name])}
    with strips_of(16):
        wanted = mergegraph.merge(models, **given)
        before = {each: deepcopy(model.state_dict()) for each, model in models.items()}
        target = {"model": models["m1"], "base": base, "other": Tied(9)}[chosen]
        parameters = dict(target.named_parameters())
        found = mergegraph.merge(models, into=target, **given)
    written = target.state_dict()
    assert found.keys() == written.keys() == wanted.keys()
    for each, value in wanted.items():
        assert torch.equal(written[each], value), each
        assert found[each].data_ptr() == written[each].data_ptr()
    assert all(parameters[each] is value for each, value in target.named_parameters())
    assert target.head.weight is target.embedding.weight
    for each, model in models.items():
        if model is not target:
            assert all(torch.equal(model.state_dict()[n], v) for n, v in before[each].items())


def test_training_goes_on_in_place():
    first, second = nn.Linear(4, 3), nn.Linear(4, 3)
    optimiser = torch.optim.Adam(first.parameters())
    first(torch.ones(1, 4)).sum().backward()
    optimiser.step()
    state, gradient = deepcopy(optimiser.state_dict()), first.weight.grad
    wanted = ((first.weight + second.weight) / 2).detach()
    mergegraph.merge({"a": first, "b": second}, method="linear", weight=1, into=first)
    assert torch.allclose(first.weight, wanted)
    assert first.weight.requires_grad
    assert first.weight.grad is gradient
    assert torch.equal(optimiser.state_dict()["state"][0]["exp_avg"], state["state"][0]["exp_avg"])
    first(torch.ones(1, 4)).sum().backward()
    optimiser.step()
    assert not torch.allclose(first.weight, wanted)


def test_what_is_written_has_the_dtype_of_its_place():
    target = {name: each.to(torch.bfloat16) for name, each in A.items()}
    target["bias"] = target["bias"].double()
    mergegraph.merge({"a": A, "b": B}, method="linear", weight=1, into=target)
    assert target["layers.0.w"].dtype == torch.bfloat16
    assert torch.equal(target["layers.0.w"], ((A["layers.0.w"] + B["layers.0.w"]) / 2).bfloat16())
    assert torch.allclose(target["bias"], ((A["bias"] + B["bias"]) / 2).double())


def test_whole_numbers_are_those_of_the_base():
    target = Tied(9)
    models = {"a": Tied(1), "b": Tied(2)}
    mergegraph.merge(models, base=Tied(5), method="ties", weight=1, into=target)
    assert target.norm.num_batches_tracked == 5
    mergegraph.merge(models, method="linear", weight=1, into=target)
    assert target.norm.num_batches_tracked == 1


def test_tensors_may_lie_in_any_order_in_memory():
    def scattered(seed):
        torch.manual_seed(seed)
        weight = torch.randn(5, 3, 4, 2).to(memory_format=torch.channels_last)
        return {"conv": weight, "turned": torch.randn(7, 9).T, "part": torch.randn(8, 6)[::2, 1::2]}

    models, base, target = {"a": scattered(1), "b": scattered(2)}, scattered(0), scattered(3)
    given = {"base": base, "method": "ties", "weight": 1, "density": 0.5}
    plain = {name: {n: t.contiguous() for n, t in model.items()} for name, model in models.items()}
    wanted = mergegraph.merge(plain, **given)
    with strips_of(5):
        found = mergegraph.merge(models, into=target, **given)
    assert not any(each.is_contiguous() for each in found.values())
    assert all(torch.equal(target[name], value) for name, value in wanted.items())


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_some_entries_of_a_tensor_are_read_from_wherever_they_are(data):
    shape = data.draw(st.lists(st.integers(1, 5), max_size=4))
    steps = tuple(slice(None, None, data.draw(st.integers(1, 2))) for _ in shape)
    order = data.draw(st.permutations(range(len(shape))))
    numbers = torch.arange(float(torch.Size(shape).numel()))
    tensor = numbers.reshape(shape)[steps].permute(order)
    stop = data.draw(st.integers(0, tensor.numel()))
    start = data.draw(st.integers(0, stop))
    found = MemoryEntry(tensor, Spec.of(tensor), "").read(start, stop)
    assert torch.equal(found, tensor.reshape(-1)[start:stop])


def test_names_may_have_changed_places():
    """A target that is another name's input is written when that was read."""
    room = torch.randn(2, 300)
    models = {"a": {"x": room[0], "y": room[1]}, "b": {"x": torch.randn(300), "y": torch.ones(300)}}
    wanted = mergegraph.merge(models, method="linear", weight=[1, 2], threads=1)
    swapped = {"x": room[1], "y": room[0]}
    with strips_of(64):
        mergegraph.merge(models, method="linear", weight=[1, 2], into=swapped, threads=1)
    assert all(torch.equal(swapped[name], value) for name, value in wanted.items())


def test_a_compiled_or_parallel_module_is_written_if_all_are():
    models = [nn.DataParallel(nn.Linear(3, 2)) for _ in range(2)]
    mergegraph.merge(
        dict(zip("ab", models, strict=True)), method="linear", weight=1, into=models[0]
    )
    plain = [each.module for each in models]
    merged = mergegraph.merge(dict(zip("ab", plain, strict=True)), method="linear", weight=[1, 0])
    assert torch.equal(merged["weight"], models[0].module.weight)


def pair(**changes):
    """Two small models and a place for what they come to, with changes of it."""
    target = {"w": torch.zeros(3, 2), "n": torch.zeros((), dtype=torch.int64)}
    models = {"a": {"w": torch.ones(3, 2), "n": torch.tensor(3)}}
    return models, {name: each for name, each in {**target, **changes}.items() if each is not None}


class Sharded(torch.Tensor):
    def full_tensor(self):
        raise NotImplementedError


class Copying(nn.Linear):
    def state_dict(self, *given, **named):
        return {name: each.clone() for name, each in super().state_dict(*given, **named).items()}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"w": None}, "into: has no w, which the models have"),
        ({"v": torch.ones(1)}, "into: has v, which the models do not have"),
        ({"w": torch.ones(2, 3)}, r"into: w has the shape \(2, 3\), what is merged \(3, 2\)"),
        ({"w": torch.ones(3, 2).int()}, "into: w is int32, what is merged float32"),
        ({"n": torch.tensor(1.0)}, "into: n is float32, what is merged int64"),
        ({"w": torch.ones(1, 2).expand(3, 2)}, "into: w cannot be written: it is expanded"),
        ({"w": torch.ones(3, 2, device="meta")}, "w of into is not a tensor with entries"),
        ({"w": torch.ones(3, 2).to_sparse()}, "w of into is not a tensor with entries"),
        ({"w": Sharded(torch.ones(3, 2))}, "w of into is one shard of a tensor; gather it"),
        ({"w": None, "_orig_mod.w": torch.ones(3, 2)}, "are those of torch.compile"),
    ],
)
def test_a_place_that_does_not_fit_is_told_and_left_alone(changes, told):
    models, target = pair(**changes)
    kept = {name: each.clone() for name, each in target.items() if type(each) is torch.Tensor}
    with pytest.raises(MergeGraphError, match=told):
        mergegraph.merge(models, method="linear", weight=1, into=target)
    for name, each in kept.items():
        assert each.is_meta or torch.equal(each.to_dense(), target[name].to_dense())


def test_a_tensor_made_in_inference_mode_cannot_be_a_place():
    with torch.inference_mode():
        made = torch.zeros(3, 2)
    models, target = pair(w=made)
    with pytest.raises(MergeGraphError, match="made in inference mode"):
        mergegraph.merge(models, method="linear", weight=1, into=target)


def compiled(module):
    """The state dict that torch.compile leaves."""
    return {f"_orig_mod.{name}": each for name, each in module.state_dict().items()}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"into": nn.Linear(2, 3), "dtype": "float16"}, "into has dtypes of its own"),
        ({"into": [1, 2]}, "into is neither a state dict nor a module"),
        ({"into": Copying(2, 3)}, "its state dict holds a copy of weight, bias"),
        ({"into": nn.LazyLinear(3)}, "weight of into is not a tensor with entries"),
        ({"into": nn.DataParallel(nn.Linear(2, 3))}, r"give into\.module, or names without it"),
        ({"into": compiled(nn.Linear(2, 3))}, r"start with '_orig_mod\.'.*into\._orig_mod"),
        ({"base": nn.DataParallel(nn.Linear(2, 3))}, "names of base start with 'module.'"),
    ],
)
def test_a_place_that_cannot_be_one_is_told(given, told):
    with pytest.raises(MergeGraphError, match=told):
        mergegraph.merge(
            {"a": nn.Linear(2, 3)},
            method="task_arithmetic",
            weight=1,
            **given | {"base": given.get("base", nn.Linear(2, 3))},
        )


def test_a_tensor_that_is_tied_only_where_it_is_written_is_refused():
    loose = {name: each.clone() for name, each in Tied(2).state_dict().items()}
    target = Tied(9)
    before = target.embedding.weight.clone()
    told = "embedding.weight and head.weight are one tensor there, but not in every model"
    with pytest.raises(MergeGraphError, match=told):
        mergegraph.merge({"a": Tied(1), "b": loose}, method="linear", weight=1, into=target)
    assert torch.equal(target.embedding.weight, before)


def test_a_place_that_is_not_tied_takes_the_same_twice():
    models, base = {"a": Tied(1), "b": Tied(2)}, Tied(0)
    loose = {name: each.clone() for name, each in Tied(9).state_dict().items()}
    given = {"base": base, "method": "dare_linear", "weight": 1, "density": 0.5}
    wanted = mergegraph.merge(models, **given)
    mergegraph.merge(models, **given, into=loose)
    assert torch.equal(loose["head.weight"], loose["embedding.weight"])
    assert all(torch.equal(loose[name], value) for name, value in wanted.items())


def test_a_tied_place_takes_models_that_leave_out_its_second_name():
    short, target = Tied(2).state_dict(), Tied(9)
    del short["head.weight"]
    mergegraph.merge({"a": short}, method="linear", weight=1, into=target)
    assert torch.equal(target.head.weight, short["embedding.weight"])


# -- into, and what goes wrong ---------------------------------------------------------------


def layers(count, value=0.0, dtype=torch.float32):
    return {f"layers.{i}.w": torch.full((40, 30), value, dtype=dtype) for i in range(count)}


@pytest.mark.parametrize("spoilt", [float("nan"), float("inf")])
def test_nothing_is_written_if_an_input_is_not_finite(spoilt):
    broken, target = layers(6, 1.0), layers(6)
    broken["layers.5.w"][3, 4] = spoilt
    with pytest.raises(RunError, match=r"b: layers\.5\.w has NaN or infinite entries"):
        mergegraph.merge(
            {"a": layers(6, 2.0), "b": broken}, method="linear", weight=1, into=target, threads=1
        )
    assert all(each.count_nonzero() == 0 for each in target.values())


def test_what_is_not_finite_may_be_passed_on():
    broken, target = layers(2, 1.0), layers(2)
    broken["layers.1.w"][3, 4] = float("nan")
    given = {"method": "linear", "weight": 1, "into": target, "on_nonfinite": "propagate"}
    with pytest.warns(MergeWarning, match=r"layers\.1\.w \(1\)"):
        mergegraph.merge({"b": broken}, **given)
    assert target["layers.1.w"].isnan().sum() == 1


def test_a_merge_that_fails_on_the_way_tells_what_is_written():
    """No tensor is written in part, however many strips it has."""
    large, target = layers(6, 1.0), layers(6, dtype=torch.float16)
    large["layers.4.w"][39, 29] = 1e6
    with strips_of(100), pytest.raises(PartlyWrittenError) as failed:
        mergegraph.merge({"a": large}, method="linear", weight=1, into=target, threads=1)
    assert "layers.4.w came to be NaN or infinite in float16" in str(failed.value)
    assert f"{len(failed.value.written)} of the 6 tensors of into are written" in str(failed.value)
    assert 1 <= len(failed.value.written) <= 5
    for name, each in target.items():
        assert (each == (1 if name in failed.value.written else 0)).all()


def test_a_merge_that_fails_at_once_says_nothing_of_places():
    target = layers(1, dtype=torch.float16)
    with pytest.raises(RunError) as failed:
        mergegraph.merge({"a": layers(1, 1e6)}, method="linear", weight=1, into=target)
    assert not isinstance(failed.value, PartlyWrittenError)
    assert target["layers.0.w"].count_nonzero() == 0


# -- into, and memory ------------------------------------------------------------------------


class Watched:
    """The most that this process has had in memory meanwhile, above what it had before."""

    def __enter__(self):
        self.before = self.most = resident_memory()
        self.is_over = False
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.watcher.join()

    def watch(self):
        while not self.is_over:
            self.most = max(self.most, resident_memory())
            time.sleep(0.0005)

    @property
    def nbytes(self):
        return self.most - self.before


@pytest.mark.skipif(sys.platform != "linux", reason="memory in use is told by Linux")
@pytest.mark.parametrize("name", ["linear", "model_stock"])
def test_in_place_a_merge_takes_a_tensor_and_not_a_model(name):
    """Models of 96 MiB in tensors of 4: copies of one would be seen."""
    models = {each: nn.Sequential(*[nn.Linear(1024, 1024) for _ in range(24)]) for each in "ab"}
    base = None if name == "linear" else nn.Sequential(*[nn.Linear(1024, 1024) for _ in range(24)])
    given = {"method": name, "base": base, "memory": "16MiB", "threads": 1}
    given |= {"weight": 1} if name == "linear" else {}
    small = {each: nn.Linear(8, 8) for each in "ab"}
    mergegraph.merge(small, **given | {"base": base and nn.Linear(8, 8)}, into=small["a"])
    with Watched() as watched:
        mergegraph.merge(models, **given, into=models["a"])
    assert watched.nbytes < 48 * 2**20


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_modules_of_an_accelerator_are_merged_there():
    models, base = {"a": Tied(1).cuda(), "b": Tied(2).cuda()}, Tied(0).cuda()
    wanted = mergegraph.merge({"a": Tied(1), "b": Tied(2)}, base=Tied(0), method="model_stock")
    found = mergegraph.merge(models, base=base, method="model_stock", into=models["a"])
    assert all(each.is_cuda for each in found.values())
    assert all(torch.equal(found[name].cpu(), value) for name, value in wanted.items())
    assert torch.equal(models["a"].layer.weight.cpu(), wanted["layer.weight"])
