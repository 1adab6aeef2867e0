"""Images and tar files made by hand."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image


def scaled(photograph: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(photograph)).movedim(-1, 0).float()


def jittered(photograph: Image.Image) -> torch.Tensor:
    return scaled(photograph) + torch.rand(())


def png(red: int, size: tuple[int, int] = (4, 3)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (red, 0, 0)).save(file, "PNG")
    return file.getvalue()


def write_shard(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as shard:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            shard.addfile(entry, io.BytesIO(content))
    return path
