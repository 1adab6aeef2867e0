"""Trackers by name, with modules that record what they are given."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import ANY

import pytest

from distill_core.errors import DistillError
from distill_core.train import Callback, Track, Trainer
from distill_core.train.progress import closed

TRAIN = {"split": "train", "step": 4, "loss": 0.5, "losses": {"kd": 0.25}, "lr": None}
VAL = {"split": "val", "step": 8, "metrics": {"top1": 0.75, "best": None}, "percent": ["top1"]}


class Recorded(ModuleType):
    """A tracker's package that sends nothing."""

    def __init__(self, name: str, api_key: str | None = None) -> None:
        super().__init__(name)
        self.calls: list[tuple[Any, ...]] = []
        self.api = SimpleNamespace(api_key=api_key)
        self.login = lambda *, verify=True: pytest.fail("the key is read without a login")
        self.config = SimpleNamespace(update=lambda values, **_: self.calls.append(("config", dict(values))))

    def init(self, **options: Any) -> Any:
        self.calls.append(("init", options))

        def log(values: dict[str, Any], step: int | None = None, **_: Any) -> None:
            self.calls.append(("log", dict(values), step))

        return SimpleNamespace(log=log, finish=lambda **options: self.calls.append(("finish", options)))


@pytest.fixture(autouse=True)
def _accelerate() -> None:
    """Make the state that every trainer has made when a callback logs."""
    from accelerate import PartialState

    PartialState()


def fake(monkeypatch: pytest.MonkeyPatch, name: str, **options: Any) -> Recorded:
    module = Recorded(name, **options)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def run_with(callback: Track, output: Path | None) -> None:
    experiment = SimpleNamespace(about="a toy", seed=3)
    run: Any = SimpleNamespace(output=output, experiment=experiment)
    callback.on_log(run, dict(TRAIN))
    callback.on_log(run, dict(VAL))
    callback.on_fit_end(run, {})
    callback.close()


@pytest.mark.parametrize("is_new", [False, True])
@pytest.mark.parametrize(
    ("api_key", "variable", "mode"),
    [(None, None, "offline"), ("key", None, "online"), ("key", "disabled", "disabled"), (None, "online", "online")],
)
def test_weights_and_biases_is_offline_unless_logged_in(monkeypatch, tmp_path, api_key, variable, mode, is_new):
    module = fake(monkeypatch, "wandb", api_key=api_key)
    if is_new:  # 0.31 asks for neither a key nor the network
        module.api = None
        module.login = lambda *, prompt=True, verify=True: not (prompt or verify) and api_key is not None
    monkeypatch.delenv("WANDB_MODE", raising=False)
    if variable:
        monkeypatch.setenv("WANDB_MODE", variable)
    run_with(Track("wandb", project="p"), tmp_path / "seed0")
    assert module.calls == [
        (
            "init",
            {
                "project": "p",
                "name": "seed0",
                "id": ANY,
                "resume": "allow",
                "dir": str(tmp_path / "seed0"),
                "mode": mode,
            },
        ),
        ("config", {"about": "a toy", "seed": 3}),
        ("log", {"train/loss": 0.5, "train/losses/kd": 0.25}, 4),
        ("log", {"val/top1": 0.75}, 8),
        ("finish", {}),
    ]


def test_several_trackers_get_the_same(monkeypatch, tmp_path):
    modules = [fake(monkeypatch, name) for name in ("wandb", "trackio")]
    run_with(Track(["wandb", "trackio"]), None)
    logged = [[call[1] for call in module.calls if call[0] == "log"] for module in modules]
    assert logged[0] == logged[1] == [{"train/loss": 0.5, "train/losses/kd": 0.25}, {"val/top1": 0.75}]


def test_tensorboard_by_name_has_the_same_numbers(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_with(Track("tensorboard"), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    assert found == {"train/loss": [(4, 0.5)], "train/losses/kd": [(4, 0.25)], "val/top1": [(8, 0.75)]}


def test_mlflow_gets_a_run_of_the_experiment_with_the_numbers(monkeypatch, tmp_path):
    module = fake(monkeypatch, "mlflow")

    def note(name: str, value: Any = None) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            module.calls.append((name, *arguments, {key: each for key, each in options.items() if each}))
            return value

        return call

    module.search_experiments = note("search", [])
    module.create_experiment = note("create", "7")
    module.start_run = note("start", SimpleNamespace(info=SimpleNamespace(run_id="r1")))
    module.log_params, module.log_metrics, module.end_run = note("params"), note("metrics"), note("end")
    module.utils = SimpleNamespace(validation=SimpleNamespace(MAX_PARAM_VAL_LENGTH=500, MAX_PARAMS_TAGS_PER_BATCH=100))
    for name in ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID", "MLFLOW_TAGS", "MLFLOW_NESTED_RUN"):
        monkeypatch.delenv(name, raising=False)
    run_with(Track("mlflow", project="p"), tmp_path / "seed0")
    kinds = [call[0] for call in module.calls]
    assert kinds == ["search", "create", "start", "params", "metrics", "metrics", "end"]
    assert module.calls[1][-1]["name"] == "p"
    assert module.calls[2][-1] == {"experiment_id": "7", "run_name": "seed0"}
    assert [call[1] for call in module.calls if call[0] == "metrics"] == [
        {"train/loss": 0.5, "train/losses/kd": 0.25},
        {"val/top1": 0.75},
    ]
    assert [call[-1]["step"] for call in module.calls if call[0] == "metrics"] == [4, 8]


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_resumed_run_continues_the_run_of_the_tracker_and_another_one_does_not(monkeypatch, tmp_path, name):
    module = fake(monkeypatch, name)
    first, resumed, other = Track(name), Track(name), Track(name)
    run_with(first, tmp_path / "seed0")
    resumed.load_state(first.state())
    run_with(resumed, tmp_path / "seed0")
    run_with(other, tmp_path / "seed0")
    key = {"wandb": "id", "trackio": "name"}[name]
    ids = [call[1][key] for call in module.calls if call[0] == "init"]
    assert ids[0] == ids[1] != ids[2]
    assert [call[0] for call in module.calls].count("config") == 2


def test_the_run_of_a_tracker_is_ended_as_failed_if_training_fails(monkeypatch, tmp_path):
    module = fake(monkeypatch, "wandb")
    callback = Track("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    callback.on_log(SimpleNamespace(output=tmp_path, experiment=SimpleNamespace(about="", seed=0)), dict(TRAIN))  # type: ignore[arg-type]
    callback.close()
    callback.close()
    assert [call for call in module.calls if call[0] == "finish"] == [("finish", {"exit_code": 1})]


def test_callbacks_are_closed_at_the_end_also_after_an_error():
    class Held(Callback):
        def close(self) -> None:
            ended.append(self)
            if len(ended) == 1:
                message = "not closed"
                raise OSError(message)

    ended: list[Any] = []
    with pytest.raises(OSError, match="not closed"), closed([Held(), Held()]):
        pass
    assert len(ended) == 2
    with pytest.raises(KeyError), closed([Held()]):
        raise KeyError
    assert len(ended) == 3


def test_a_tracker_that_cannot_be_started_ends_the_run_with_one_message(monkeypatch, tmp_path):
    module = fake(monkeypatch, "trackio")

    def refuse(**_: Any) -> Any:
        message = "log in first\n  by a command"
        raise LookupError(message)

    module.init = refuse  # type: ignore[method-assign]
    with pytest.raises(DistillError) as error:
        run_with(Track("trackio"), tmp_path)
    assert (
        str(error.value) == "trackio cannot be started: log in first\n  hint: set trackio up, or remove it from `Track`"
    )


def broken(module: Recorded, calls: list[str], *names: str) -> None:
    """Let methods of the started tracker fail, as with a server that is gone."""
    init = module.init

    def start(**options: Any) -> Any:
        tracker = init(**options)
        for name in names:

            def refuse(*_: Any, name: str = name, **__: Any) -> None:
                calls.append(name)
                message = "connection refused\n  by the server"
                raise ConnectionError(message)

            setattr(tracker, name, refuse)
        return tracker

    module.init = start  # type: ignore[method-assign]


def test_a_tracker_that_fails_after_its_start_is_reported_once_and_training_goes_on(monkeypatch, tmp_path, caplog):
    gone, other, calls = fake(monkeypatch, "trackio"), fake(monkeypatch, "wandb"), []
    monkeypatch.setenv("WANDB_MODE", "offline")
    broken(gone, calls, "log", "finish")
    run_with(Track(["trackio", "wandb"]), tmp_path)
    assert calls == ["log"]
    assert [call[0] for call in other.calls] == ["init", "config", "log", "log", "finish"]
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "trackio failed and gets no further records of this run, which goes on: connection refused"
    ]


def test_a_tracker_that_fails_at_the_end_does_not_fail_the_run(monkeypatch, tmp_path, caplog):
    calls: list[str] = []
    broken(fake(monkeypatch, "trackio"), calls, "finish")
    run_with(Track("trackio"), tmp_path)
    assert calls == ["finish"]
    assert "connection refused" in caplog.text


def test_metrics_jsonl_is_complete_if_a_tracker_fails(monkeypatch, tmp_path, experiment):
    broken(fake(monkeypatch, "trackio"), [], "log")
    Trainer(experiment(callbacks=[Track("trackio")]), output=tmp_path).fit()
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    last = {record["split"]: record["step"] for record in records}
    assert last == {"train": 14}  # two epochs of 50 samples in batches of 8


@pytest.mark.parametrize(
    ("name", "variable"), [("wandb", "WANDB_ERROR_REPORTING"), ("mlflow", "MLFLOW_DISABLE_TELEMETRY")]
)
def test_packages_do_not_report_their_own_use_unless_the_user_decides(monkeypatch, name, variable):
    fake(monkeypatch, name)
    monkeypatch.setenv(variable, "mine")
    Track(name)
    assert os.environ[variable] == "mine"
    monkeypatch.delenv(variable)
    Track(name)
    assert os.environ[variable] == {"wandb": "false", "mlflow": "true"}[name]
    monkeypatch.delenv(variable)


def test_nothing_is_started_before_the_first_record(monkeypatch):
    module = fake(monkeypatch, "trackio")
    callback = Track("trackio")
    callback.on_fit_end(SimpleNamespace(), {})  # type: ignore[arg-type]
    assert module.calls == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wandb", "logging to wandb needs the package wandb\n  hint: pip install wandb"),
        (
            "wadb",
            "there is no tracker 'wadb', accepted are tensorboard, wandb, mlflow, trackio\n  hint: did you mean 'wandb'?",
        ),
    ],
)
def test_what_is_not_there_is_refused_at_the_start(monkeypatch, name, message):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(DistillError) as error:
        Track(name)
    assert str(error.value) == message
