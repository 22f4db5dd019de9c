"""Which prompts share how much of their start, so that it is read once for all of them."""

from collections.abc import Sequence
from itertools import groupby

# A group of its own goes on in a batch of its own. One more step of decoding reads all weights again, which costs about
# as much as reading so many tokens of prompts.
_TOKENS_PER_STEP = 8
_DEEPEST = 60  # places where prompts part, one behind the other; those of a suite part at a few


def common_prefix(prompts: Sequence[list[int]]) -> int:
    """How many leading tokens all prompts share, at least one token of each left over."""
    shortest, longest = min(prompts), max(prompts)
    length = next(
        (i for i, (a, b) in enumerate(zip(shortest, longest, strict=False)) if a != b),
        min(len(shortest), len(longest)),
    )
    return min(length, min(map(len, prompts)) - 1)


def prefix_groups(prompts: Sequence[list[int]], steps: int) -> list[list[int]]:
    """Numbers of the prompts, in groups that are best read together; `steps` is how long their answers may be.

    A part of the prompts becomes a group of its own where the longer start that it shares saves more than its own steps
    of decoding cost. Equal prompts stay together, and so do those whose start nobody shares.
    """
    groups, rest = _split(sorted(range(len(prompts)), key=lambda n: prompts[n]), prompts, steps * _TOKENS_PER_STEP)
    return [*groups, rest] if rest else groups


def _split(
    numbers: list[int], prompts: Sequence[list[int]], cost: int, depth: int = 0
) -> tuple[list[list[int]], list[int]]:
    """The groups found among some of the prompts, and the numbers that are in no group.

    Prompts that share their first tokens and part later are branches of a tree; a branch becomes a group where reading
    its longer shared start once saves more than `cost` tokens of reading.

    Args:
        numbers: which prompts, sorted by their tokens, so that those of one branch are neighbours.
        cost: tokens of reading that the decoding steps of one more group cost.
        depth: how many partings lie above.
    """
    shared = common_prefix([prompts[n] for n in numbers])
    groups: list[list[int]] = []
    rest: list[int] = []
    # Sorted, prompts that go on with the same token are neighbours.
    parts = [list(found) for _, found in groupby(numbers, key=lambda n: prompts[n][shared])]
    if len(parts) == 1 or depth > _DEEPEST:
        return [], numbers
    for part in parts:
        longest = max(len(prompts[n]) for n in part)
        if (len(part) - 1) * (longest - shared) <= cost:
            rest += part
            continue
        inner, left = _split(part, prompts, cost, depth + 1)
        groups += inner
        if left and (len(left) - 1) * (common_prefix([prompts[n] for n in left]) - shared) > cost:
            groups.append(left)
        else:
            rest += left
    return groups, rest
