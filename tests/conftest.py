"""Settings and fixtures of all tests: no network, one thread, fixed seeds."""

from __future__ import annotations

import os

# Before anything else is imported: a hub that cannot be reached is asked again for half a minute, and every library
# reads these once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import gc
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
# Releases other than the locked ones may deprecate what we call: list their warnings instead of failing.
LISTS_WARNINGS = bool(os.environ.get("DISTILL_LIST_WARNINGS"))
# What `--fast` omits: folders with tests of entire runs, and files that import something to train or to start a process.
SLOW_FOLDERS = {"benchmarks", "chaos", "train", "cli", "generation"}
SLOW_IMPORTS = {"subprocess", "multiprocessing", "ForkingPickler", "Trainer", "resumed_at_every_step"}
MAX_CASES = 8  # of a test function, under `--fast`
WARNINGS = "default" if LISTS_WARNINGS else "error"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="no training, no subprocess, few cases of each test")


def pytest_configure(config: pytest.Config) -> None:
    """Make hypothesis deterministic and without deadlines; list warnings instead of failing if asked to."""
    if LISTS_WARNINGS:
        config.addinivalue_line("filterwarnings", "default")
        config.addinivalue_line("filterwarnings", "error:::distill_")
        for category in ("DeprecationWarning", "FutureWarning", "PendingDeprecationWarning"):
            config.addinivalue_line("filterwarnings", f"default::{category}")
    try:
        import hypothesis
    except ModuleNotFoundError:
        return  # not in the environment of the zoo
    hypothesis.settings.register_profile("distill", deadline=None, derandomize=True, database=None)
    hypothesis.settings.load_profile("distill")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip the folders of entire runs under `--fast`; even importing them takes seconds."""
    return True if config.getoption("fast") and collection_path.name in SLOW_FOLDERS else None


def is_quick(item: pytest.Function) -> bool:
    """Return whether a test neither trains nor starts a process nor reads real data."""
    return {"python", "data_root"}.isdisjoint(item.fixturenames) and SLOW_IMPORTS.isdisjoint(vars(item.module))


def law_of(item: pytest.Function) -> tuple[object, str]:
    """Return a test function and the class that its case is about, the first word of its id; shapes and options follow."""
    case = item.callspec.id if hasattr(item, "callspec") else ""
    return item.function, case.split("-")[0]


def only_fast(items: list[pytest.Function]) -> list[pytest.Function]:
    """Return the tests of `--fast`: each law once for each class, and at most `MAX_CASES` cases of other tests."""
    laws = list({law_of(item): item for item in reversed(items) if is_quick(item)}.values())[::-1]
    index: Counter[object] = Counter()
    kept = []
    for item in laws:
        index[item.function] += 1
        if index[item.function] <= MAX_CASES or item.path.name.startswith("test_laws"):
            kept.append(item)
    return kept


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Keep only the fast tests under `--fast`; skip tests marked `gpu` on a machine without a GPU."""
    if config.getoption("fast"):
        kept = only_fast(items)
        config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
        items[:] = kept
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


def pytest_collection_finish() -> None:
    """Exclude the collected tests from garbage collection, which a trainer starts at the end of each stage."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Undo the freeze: libraries check for leaks at exit."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _known_chance() -> Iterator[None]:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(autouse=True, scope="module")
def _own_accelerator() -> None:
    """Reset the state that Accelerate keeps per process, the precision of an earlier test file for example."""
    if state := sys.modules.get("accelerate.state"):
        state.AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Return the folder of real datasets; skip the test if it is not set."""
    folder = os.environ.get("DISTILL_DATA")
    if not folder:
        pytest.skip("DISTILL_DATA names no folder of data sets")
    return Path(folder)


@pytest.fixture(scope="session")
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs Python code in a separate process and asserts exit code 0."""

    def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", WARNINGS, "-c", code, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        return done

    return run
