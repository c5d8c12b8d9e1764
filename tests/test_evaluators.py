"""Evaluators are made of functions, whose signatures say what they take."""

import pytest

from mergegraph import Candidate, MergeGraphError, PerModel, evaluator


def test_a_function_becomes_an_evaluator():
    @evaluator(main="size", lower_is_better=["size"])
    def sizes(model: Candidate, data, *, lambda_: float = 0.5):
        """Tell sizes.

        lambda: of nothing.
        """
        return {"size": lambda_ * len(data)}

    assert (sizes.name, sizes.summary, sizes.main) == ("sizes", "Tell sizes.", "size")
    assert sizes.parameters["lambda"].help == "of nothing."
    assert sizes(None, "abcd", **{"lambda": 2.0}) == {"size": 8.0}
    assert list(sizes.pieces_of("abcd", {"lambda": 2.0})) == ["abcd"]


def test_pieces_and_check_are_given_the_parameters_they_name():
    seen = []

    @evaluator(pieces=lambda data, *, lambda_: [data * lambda_], check=seen.append)
    def sizes(model, data, *, lambda_: int = 2, other: str = ""):
        """Tell sizes."""

    values = {"lambda": 3, "other": "x"}
    sizes.check_of("ab", values)
    assert sizes.pieces_of("ab", values) == ["ababab"]
    assert seen == ["ab"]


def make(function, **options):
    return lambda: evaluator(name="e", **options)(function)


@pytest.mark.parametrize(
    ("making", "told"),
    [
        (make(lambda: None), r"takes nothing; write e\(model, data, \*, …\)"),
        (make(lambda data, model: None), "takes data, model"),
        (make(lambda model, data, more=1: None), "more=1 is not keyword-only"),
        (make(lambda model, data: None, pieces=lambda data, *, of: []), "asks for of"),
    ],
)
def test_signatures_that_cannot_be_are_refused(making, told):
    with pytest.raises(MergeGraphError, match=told):
        making()


def test_a_value_for_each_model_has_no_meaning():
    def one(model, data, *, weight: PerModel[float] = 1.0):
        """See one model."""

    with pytest.raises(
        MergeGraphError, match="weight is PerModel, but an evaluator sees one model"
    ):
        evaluator()(one)
