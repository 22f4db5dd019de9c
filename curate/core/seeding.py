"""Random choices that depend on a seed and a key alone, not on order, count or machine."""

import hashlib


def stable_fraction(seed: int, key: str) -> float:
    """A number in [0, 1) for this seed and key: uniform over keys, the same everywhere."""
    return stable_seed(seed, key) / 2**64


def stable_seed(seed: int, key: str) -> int:
    """A 64-bit unsigned integer for this seed and key."""
    return int.from_bytes(stable_bytes(seed, key), "little")


def stable_bytes(seed: int, key: str) -> bytes:
    """The bytes of `stable_seed`, lowest first."""
    return hashlib.blake2b(f"{seed}\x00{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
