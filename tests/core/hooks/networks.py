"""A network with shared layers, several inputs and structured outputs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Output:
    logits: Tensor
    hidden: tuple[Tensor, ...]


class Block(nn.Module):
    def forward(self, x: Tensor, scale: float = 1.0, *, mask: Tensor | None = None) -> Output:
        return Output(x * scale, (x + 1, x + 2))


class Net(nn.Module):
    """Calls a shared layer three times and a block by position and by name."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(4, 4)
        self.block = Block()
        self.unused = nn.Linear(4, 4)
        self.by_name = False

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        for _ in range(3):
            x = self.shared(x)
        mask = x > 0
        out = self.block(x=x, scale=2.0, mask=mask) if self.by_name else self.block(x, 2.0, mask=mask)
        return {"logits": out.logits, "aux": x}
