"""Random choices that depend on a seed and a key alone, not on order, count or machine."""

import hashlib


def stable_fraction(seed: int, key: str) -> float:
    """A number in [0, 1) for this seed and key: uniform over keys, the same everywhere."""
    return stable_seed(seed, key) / 2**64


def stable_seed(seed: int, key: str) -> int:
    """A 64-bit unsigned integer for this seed and key."""
    whole = stable_prefix(seed) + key.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(whole, digest_size=8).digest(), "little")


def stable_prefix(seed: int) -> bytes:
    """What stands before the key in the text whose BLAKE2b digest of eight bytes, lowest first, is `stable_seed`."""
    return f"{seed}\x00".encode()
