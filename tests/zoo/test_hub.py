"""Downloads from the Hugging Face Hub, simulated by a local server."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest

pytest.importorskip("huggingface_hub")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "someone/toy-line"
CODE = """
import sys
from pathlib import Path
from distill_zoo import Card, WeightFile, ZooError
from distill_zoo._download import obtain
card = Card(name="toy/line", dataset="toy", license="MIT", weights=WeightFile(
    repo="someone/toy-line", file="pytorch_model.bin", revision="main"))
try:
    path = obtain(card, Path(sys.argv[1]))
    print(path.read_bytes()[4:].decode())
except ZooError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def ask(site, authority, tmp_path):
    """Download the card's file in a separate process that uses the local server as the hub."""
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")

    def run(code=CODE, **variables):
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
            "HF_ENDPOINT": site.address,
            "HF_HOME": str(tmp_path / "hf"),
            "SSL_CERT_FILE": str(tmp_path / "authority.pem"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            **variables,
        }
        command = [sys.executable, "-c", code, str(tmp_path / "weights")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)

    return run


WEIGHTS = b"PK\x03\x04weights"


def publish(site, body=WEIGHTS, repo=REPO, file="pytorch_model.bin"):
    digest = hashlib.sha256(body).hexdigest()
    for revision in ("main", COMMIT):
        site.serve(f"/{repo}/resolve/{revision}/{file}", body, ETag=f'"{digest}"', X_Repo_Commit=COMMIT)
    return digest


def test_a_file_of_the_hub_is_downloaded_once_and_pinned(site, ask, tmp_path):
    digest = publish(site)
    first = ask()
    assert (first.returncode, first.stdout) == (0, "weights\n"), first.stderr
    pin = tmp_path / "weights" / "toy" / "line" / "pytorch_model.bin.sha256"
    assert pin.read_text() == digest + "\n"
    asked = len(site.requests)
    assert ask().returncode == 0
    assert len(site.requests) == asked


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "DISTILL_OFFLINE"])
def test_offline_the_hub_is_not_accessed(site, ask, variable):
    publish(site)
    done = ask(**{variable: "1"})
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "toy/line: someone/toy-line/pytorch_model.bin at main on the Hugging Face Hub is not in the cache of"
        " huggingface_hub, and downloads are disabled\n"
        "  hint: run 'hf download someone/toy-line pytorch_model.bin' on a machine with network access"
    )
    assert site.requests == []
    assert ask().returncode == 0
    assert ask(**{variable: "1"}).stdout == "weights\n"


def test_a_file_that_changed_on_the_hub_differs_from_the_pinned_hash(site, ask, tmp_path):
    digest = publish(site)
    assert ask().returncode == 0
    publish(site, WEIGHTS + b"!")
    done = ask(HF_HOME=str(tmp_path / "another"))
    assert done.returncode == 1
    assert f"must be {digest}, got " in done.stderr


def test_a_missing_repository_is_reported(ask):
    done = ask()
    assert done.returncode == 1
    assert done.stderr.startswith(
        "toy/line: downloading someone/toy-line/pytorch_model.bin at main on the Hugging Face Hub failed: "
    )
    assert done.stderr.count("\n") <= 3


def test_a_hub_without_tls_is_refused(ask):
    done = ask(HF_ENDPOINT="http://localhost:1")
    assert done.stderr.strip() == "http://localhost:1 must be an https URL"


def test_a_page_instead_of_weights_is_refused(site, ask):
    publish(site, b"<html>sorry</html>")
    done = ask()
    assert done.returncode == 1
    assert "is not a torch file: it is an HTML or XML page" in done.stderr


def test_without_huggingface_hub_the_message_names_the_extra(ask):
    done = ask("import sys; sys.modules['huggingface_hub'] = None\n" + CODE)
    assert done.stderr.strip() == (
        "downloading toy/line from the Hugging Face Hub requires huggingface_hub, which is not installed\n"
        "  hint: pip install 'distill-zoo[hub]'"
    )
