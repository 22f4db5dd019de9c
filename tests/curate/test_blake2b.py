"""BLAKE2b of many texts is what hashlib's is of each."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curate.blake2b import digests

# Sizes at which a block of 128 bytes is just not full, full, and begun.
SIZES = st.sampled_from([0, 1, 125, 126, 127, 128, 254, 255, 256, 700])


@given(
    st.binary(max_size=130), st.lists(SIZES.flatmap(lambda size: st.binary(min_size=size, max_size=size)), max_size=5)
)
def test_digests_are_those_of_hashlib(prefix: bytes, texts: list[bytes]) -> None:
    ends = np.cumsum(np.array([len(text) for text in texts], np.int64))
    found = digests(prefix, b"".join(texts), ends)
    wanted = [hashlib.blake2b(prefix + text, digest_size=8).digest() for text in texts]
    assert [int(one).to_bytes(8, "little") for one in found] == wanted
