"""Tasks of lm_eval, here a package that has the names and the results of lm_eval 0.4.13."""

from __future__ import annotations

import sys

import pytest
import torch

from distill_core.data import Loader, TensorData
from distill_core.errors import DistillError
from distill_core.experiment import Evaluation, Metric
from distill_core.train import evaluate
from distill_nlp.metrics import LMEval

from ..chat_tokenizers import chat_tokenizer, template

PACKAGE = {
    "__init__.py": """
def simple_evaluate(model, model_args=None, tasks=None, num_fewshot=None, batch_size=None, limit=None,
                    log_samples=True, apply_chat_template=False, task_manager=None):
    assert task_manager is not None and not log_samples
    assert not model.model.training
    if limit == 7:
        raise ValueError("the data of arc_easy are not here\\nmore")
    scores = {"alias": "arc_easy", "acc,none": model.model.weight.sum().item(), "acc_stderr,none": 0.1}
    return {"results": {task: {**scores, "exact_match,strict-match": num_fewshot or 0} for task in tasks}}
""",
    "tasks.py": """
import fnmatch
class TaskManager:
    all_tasks = ["arc_easy", "arc_challenge", "hellaswag"]
    def match_tasks(self, task_list):
        return sorted(name for task in task_list for name in fnmatch.filter(self.all_tasks, task))
""",
    "models/__init__.py": "",
    "models/huggingface.py": """
class HFLM:
    def __init__(self, pretrained, backend="default", tokenizer=None, batch_size=1):
        assert tokenizer.chat_template and batch_size == 8
        self.model = pretrained
""",
}


@pytest.fixture
def _lm_eval(tmp_path, monkeypatch):
    for name, text in PACKAGE.items():
        file = tmp_path / "lm_eval" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "lm_eval"]:
        del sys.modules[name]


@pytest.fixture
def tokenizer():
    return chat_tokenizer(chat_template=template())


@pytest.mark.usefixtures("_lm_eval")
def test_a_test_has_the_results_of_the_tasks(tokenizer):
    model = torch.nn.Linear(2, 1)
    metric = LMEval(model, tokenizer, ["arc_easy", "hellaswag"], num_fewshot=5)
    loader = Loader(TensorData({"input": torch.zeros(2, 2)}), 2)
    evaluation = Evaluation(loader=loader, metrics={"harness": Metric(metric=metric, inputs={})})
    assert evaluate({"student": model}, evaluation) == {
        f"harness.{task}.{name}": value
        for task in ("arc_easy", "hellaswag")
        for name, value in {"acc": pytest.approx(model.weight.sum().item()), "exact_match.strict-match": 5.0}.items()
    }
    assert model.training


@pytest.mark.usefixtures("_lm_eval")
def test_a_task_that_does_not_exist_is_refused_before_training(tokenizer):
    model = torch.nn.Linear(2, 1)
    with pytest.raises(DistillError) as caught:
        LMEval(model, tokenizer, ["arc_easy", "hellswag"])
    assert str(caught.value) == "lm_eval has no task 'hellswag'\n  hint: list them: lm_eval ls tasks"
    with pytest.raises(DistillError, match="`tasks` must be a list of names of tasks, got 'arc_easy'"):
        LMEval(model, tokenizer, "arc_easy")
    assert LMEval(model, tokenizer, ["arc_*"])


@pytest.mark.usefixtures("_lm_eval")
def test_data_that_are_not_here_are_an_error_of_one_line(tokenizer):
    model = torch.nn.Linear(2, 1)
    with pytest.raises(
        DistillError, match=r"lm_eval could not run arc_easy: the data of arc_easy are not here\n  hint"
    ):
        LMEval(model, tokenizer, ["arc_easy"], limit=7).compute()
    assert model.training


def test_without_the_package_the_command_is_named(tokenizer, monkeypatch):
    monkeypatch.setattr("distill_nlp.metrics._lm_eval.find_spec", lambda name: None)
    with pytest.raises(DistillError) as caught:
        LMEval(torch.nn.Linear(2, 1), tokenizer, ["arc_easy"])
    assert str(caught.value) == (
        "LMEval requires the package lm_eval, which is not installed\n  hint: pip install 'lm_eval[hf]'"
    )
