"""A model that calls one of its modules several times."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Loop(nn.Module):
    """Calls its cell once for each position, as a recurrent network does."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(4, 4)
        self.skip = False
        self.reverse = False
        self.first, self.second = nn.Identity(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        state = torch.zeros(4)
        for part in x:
            state = state if self.skip else self.cell(state + part)
        for step in (self.second, self.first) if self.reverse else (self.first, self.second):
            state = step(state + 1)
        return state
