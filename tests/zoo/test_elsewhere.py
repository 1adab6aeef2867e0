"""The zoo in a script outside the project."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import distill_zoo, torch
from sklearn.datasets import load_digits
digits, prepare = load_digits(), distill_zoo.transforms("digits/convnet64")
x, y = prepare(torch.from_numpy(digits.images).to(torch.uint8)[:, None]), torch.from_numpy(digits.target)
teacher, student = distill_zoo.load("digits/convnet64"), distill_zoo.load("digits/convnet8.ce").train()
optimizer, hints = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9), teacher(x[:1200]).detach().softmax(1)
for batch in torch.randint(1200, (400, 64), generator=torch.Generator().manual_seed(0)):
    optimizer.zero_grad(); torch.nn.functional.cross_entropy(student(x[batch]), hints[batch]).backward(); optimizer.step()
print((student.eval()(x[1200:]).argmax(1) == y[1200:]).float().mean().item() * 100)
"""


def test_ten_lines_distill_from_a_model_of_the_zoo_and_fine_tune_another(tmp_path):
    pytest.importorskip("distill_vision")
    assert len(SCRIPT.strip().splitlines()) <= 10
    (tmp_path / "own.py").write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, "-W", "error", "own.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    # It starts at 90.6 on these images.
    assert float(done.stdout) > 93
