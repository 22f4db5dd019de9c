"""Files by name: what is no file, no folder and no pattern is told, and never read without end."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from curate.core.digests import digest_file
from curate.core.errors import ConfigError, DataError
from curate.core.files import read_lines
from curate.core.paths import find_path
from curate.core.sources.records import find_inputs


@pytest.mark.parametrize("pattern", ["data/**rows.jsonl", "a**/b", "**x"])
def test_what_is_no_pattern_is_told(tmp_path: Path, pattern: str) -> None:
    # From Python 3.13 on these are patterns, of what isn't there.
    with pytest.raises((ConfigError, DataError)) as caught:
        find_inputs(pattern, tmp_path)
    assert caught.value.where == pattern
    assert caught.value.fix


def test_a_device_and_a_pipe_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("/dev/zero", "pipe"):
        with pytest.raises(DataError, match="neither a file nor a folder") as caught:
            find_inputs(name, tmp_path)
        assert "`-`" in str(caught.value.fix)


@pytest.mark.parametrize("read", [digest_file, lambda path: list(read_lines(path))])
def test_no_device_is_read_to_its_end(read: Callable[[Path], object]) -> None:
    with pytest.raises(DataError, match="a device, not a file"):
        read(Path("/dev/zero"))


def test_the_home_of_nobody_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="home directory"):
        find_path("~no-such-user-here/rows.jsonl", tmp_path)
