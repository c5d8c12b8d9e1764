"""What authors of evaluators are told by `check_evaluator`."""

from itertools import count

import pytest

from mergegraph import evaluator
from mergegraph.testing import ConformanceError, check_evaluator

COUNTER = count()


def norm(model, data):
    """Tell a length."""
    return {"norm": float(model.tensors["model.norm.weight"].norm())}


def counting(model, data):
    """Count calls."""
    return {"norm": next(COUNTER)}


def changing(model, data):
    """Change the model."""
    model.tensors["model.norm.weight"].zero_()
    return {"norm": 1}


def writing(model, data):
    """Write beside the model."""
    (model.directory / "scores.txt").write_text("1")
    return {"norm": 1}


def naming(model, data):
    """Look at where it is."""
    return {"norm": len(str(model.directory))}


def test_one_that_keeps_its_word_gives_its_scores():
    made = evaluator(splits=("a", "b"), main="norm", lower_is_better=["norm"])(norm)
    assert check_evaluator(made).keys() == {"norm"}


@pytest.mark.parametrize(
    ("function", "options", "told"),
    [
        (counting, {}, "gives other scores when it is asked again"),
        (changing, {}, "changes the model"),
        (writing, {}, "changes the model"),
        (naming, {}, "gives other scores of the same model in memory"),
        (norm, {"main": "length"}, "gives no length, which is to be its main score"),
        (norm, {"lower_is_better": ["loss"]}, "says that less loss is better, and gives none"),
        (norm, {"pieces": lambda data: []}, "pieces of 'a' are not words, or there are none"),
        (norm, {"pieces": lambda data: [str(next(COUNTER))]}, "are others when asked for again"),
        (norm, {"pieces": lambda data: ["x"]}, "'x' is in both of its splits"),
    ],
)
def test_a_word_that_is_not_kept_is_told(function, options, told):
    with pytest.raises(ConformanceError, match=f"{function.__name__}: .*{told}"):
        check_evaluator(evaluator(splits=("a", "b"), **options)(function))


def test_what_cannot_be_checked_is_a_mistake_of_the_test():
    with pytest.raises(ConformanceError, match="was not made with @evaluator"):
        check_evaluator(norm)
    with pytest.raises(TypeError, match="has no splits"):
        check_evaluator(evaluator()(norm))
    with pytest.raises(TypeError, match="has no parameter size"):
        check_evaluator(evaluator()(norm), "a", size=3)
