"""Tasks of lm-eval, from local files alone; skipped where it is not installed."""

import json
import random

import pytest

pytest.importorskip("lm_eval", reason="needs lm-eval, of the extra eval")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{validation: "{documents}"}}}}
validation_split: validation
output_type: {kind}
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{{target}}}}}"
metric_list:
  - {{metric: {metric}, higher_is_better: {is_better}}}
"""


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """A folder of tasks over problems of the demo family's north."""
    from mergegraph.demo.exams import draw_exam

    folder = tmp_path_factory.mktemp("tasks")
    problems = draw_exam("test", 24)["north"]
    answers = [each.answer for each in problems]
    documents = [
        {"question": each.question, "choices": [each.answer, *answers[:3]], "gold": 0}
        for each in problems[3:]
    ]
    (folder / "d.jsonl").write_text("".join(json.dumps(each) + "\n" for each in documents))
    kinds = {
        "north_choice": ("multiple_choice", "gold", "acc", "true"),
        "north_words": ("loglikelihood_rolling", "question", "word_perplexity", "false"),
    }
    for name, (kind, target, metric, is_better) in kinds.items():
        told = TASK.format(
            name=name,
            documents=folder / "d.jsonl",
            kind=kind,
            target=target,
            metric=metric,
            is_better=is_better,
        )
        (folder / f"{name}.yaml").write_text(told)
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def test_tasks_give_scores_and_print_nothing(examined, tasks, capfd):
    random.seed(3)
    before = random.getstate()
    found = examined(f"lm_eval,include_path={tasks}:north_choice+north_words", "demo:north")
    assert found.keys() == {"north_choice/acc", "north_words/word_perplexity", "mean"}
    assert found["mean"] == found["north_choice/acc"] > 0.7
    assert random.getstate() == before
    assert capfd.readouterr() == ("", "")


def test_halves_have_every_other_document(examined, tasks):
    words = f"lm_eval,include_path={tasks}:north_choice"
    halves = ("", "@even", "@odd")
    both, even, odd = (examined(words + half, "demo:base")["mean"] for half in halves)
    assert 21 * both == pytest.approx(11 * even + 10 * odd)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("north_choise", "lm_eval has no task 'north_choise'; did you mean 'north_choice'?"),
        ("north_choice@first", "write TASK, TASK@even or TASK@odd"),
        ("north_choice+north_choice", "names a task twice"),
    ],
)
def test_data_that_is_no_task_is_refused(refused, tasks, data, told, monkeypatch):
    from mergegraph_evaluators.parts import harness

    alone = harness._manager(str(tasks), has_others=False)
    monkeypatch.setattr(harness, "_manager", lambda *_, **__: alone)  # all of them take seconds
    assert told in refused(f"lm_eval,include_path={tasks}:{data}", "nowhere")


def test_data_is_not_fetched_unless_asked_for(refused, tasks, tmp_path):
    far = "task: far\ndataset_path: org/nothing\noutput_type: multiple_choice\ntest_split: test\n"
    (tmp_path / "far.yaml").write_text(far)
    told = refused(f"lm_eval,include_path={tmp_path}:far", "demo:base")
    assert "far cannot be loaded" in told
    assert "what is not on this machine only network=true fetches" in told


def test_halves_are_the_pieces():
    from mergegraph_evaluators.lm_eval import lm_eval

    from mergegraph.errors import MergeGraphError
    from mergegraph.search.examining import Examination, check_apart

    whole, even, odd = (
        Examination(lm_eval, f"t{half}", {"limit": None}, "") for half in ("", "@even", "@odd")
    )
    check_apart(even, odd)
    with pytest.raises(MergeGraphError, match="1 of 1 pieces of lm_eval:t@odd are in lm_eval:t"):
        check_apart(whole, odd)
