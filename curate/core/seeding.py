"""Random choices that depend on a seed and a key alone, not on order, count or machine."""

import hashlib
from collections.abc import Iterable

from curate.core.digests import blake2b_of_each


def stable_fraction(seed: int, key: str) -> float:
    """A number in [0, 1) for this seed and key: uniform over keys, the same everywhere."""
    return stable_seed(seed, key) / 2**64


def stable_seed(seed: int, key: str) -> int:
    """A 64-bit unsigned integer for this seed and key."""
    whole = _prefix(seed) + key.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(whole, digest_size=8).digest(), "little")


def stable_seeds(seed: int, keys: bytes, ends: Iterable[int], start: str = "") -> bytes:
    """`stable_seed` of many keys, eight bytes each, the lowest first.

    Args:
        seed: as in `stable_seed`.
        keys: the keys in UTF-8, one behind the other.
        ends: where each key ends in `keys`.
        start: what each key is taken to begin with.
    """
    return blake2b_of_each(keys, ends, 8, _prefix(seed) + start.encode())


def _prefix(seed: int) -> bytes:
    return f"{seed}\x00".encode()
