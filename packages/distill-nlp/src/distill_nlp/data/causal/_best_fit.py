"""Best-fit decreasing: put samples of different lengths into as few blocks of equal length as possible."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from heapq import heappop, heappush

from distill_core.errors import DataError


def best_fit(lengths: Sequence[int], block: int) -> list[list[int]]:
    """Return the samples of each block. The longest come first, each into the fullest block that has room for it.

    Of equally full blocks the first is taken, and of equally long samples the first comes first. So the blocks depend only
    on the lengths. The time is that of sorting.

    Args:
        lengths: The number of tokens of each sample.
        block: The number of positions of a block.

    >>> best_fit([3, 7, 2, 5, 1], 8)
    [[1, 4], [3, 0], [2]]

    Raises:
        DataError: A sample is longer than a block.
    """
    if lengths and max(lengths) > block:
        message = f"a sample has {max(lengths)} tokens and does not fit in a block of {block}"
        raise DataError(message)
    blocks: list[list[int]] = []
    by_room: dict[int, list[int]] = {}  # room → heap of the blocks that have it
    rooms: list[int] = []  # the keys of `by_room`, sorted
    for sample in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        length = lengths[sample]
        place = bisect_left(rooms, length)
        if place == len(rooms):
            room, chosen = block, len(blocks)
            blocks.append([])
        else:
            room = rooms[place]
            chosen = heappop(by_room[room])
            if not by_room[room]:
                del by_room[room], rooms[place]
        blocks[chosen].append(sample)
        rest = room - length
        if rest and rest not in by_room:
            insort(rooms, rest)
        if rest:
            heappush(by_room.setdefault(rest, []), chosen)
    return blocks
