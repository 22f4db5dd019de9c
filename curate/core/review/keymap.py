"""Keys: one table from which the footer, the help, the palette and the plain mode are made. No chords."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from curate.core.config_file import Config, load_config
from curate.core.errors import ConfigError
from curate.core.review.items import Choice, Kind


@dataclass(frozen=True, slots=True)
class Key:
    """A key: what a keymap calls it, what the footer says, what the help says, and the choice that it makes, if any."""

    key: str
    name: str
    label: str
    help: str
    choice: Choice | None = None
    in_footer: bool = True
    also: str = ""
    """A second key that does the same, which no keymap changes."""


_EDIT = (
    Key("e", "edit", "edit", "Edit the row; it is checked before it is accepted"),
    Key("E", "edit-outside", "edit", "Edit the row in the editor that $VISUAL or $EDITOR names", in_footer=False),
)
_COMMANDS = (
    Key("u", "undo", "undo", "Take the last step back, and go to where it was made"),
    Key("U", "redo", "redo", "Do again what was taken back", in_footer=False),
    Key("n", "note", "note", "Write a note"),
    Key("j", "next", "next", "Next item", in_footer=False, also="down"),
    Key("k", "previous", "previous", "Previous item", in_footer=False, also="up"),
    Key("]", "next-pending", "next pending", "Next item without a decision", in_footer=False),
    Key("[", "previous-pending", "previous pending", "Previous item without a decision", in_footer=False),
    Key("g", "go-to", "go to", "Go to an item by its number in the list", in_footer=False),
    Key("/", "filter", "filter", 'Show only some: label:refund -decision:pending text~"two words"'),
    Key("s", "sort", "sort", "Sort by length, similarity, uncertainty, disagreement, or back to the order"),
    Key("c", "cluster", "cluster", "Next item of the same cluster", in_footer=False),
    Key("d", "diff", "diff", "Difference in words, on or off"),
    Key("m", "metadata", "metadata", "Metadata, on or off", in_footer=False),
    Key("v", "raw", "raw", "The raw text, on or off", in_footer=False),
    Key("t", "tokens", "tokens", "Tokens, and which of them count in the loss, on or off", in_footer=False),
    Key("b", "bulk", "bulk", "Decide everything that is shown, after a look at five of them", in_footer=False),
    Key("l", "list", "list", "The list of items, on or off", in_footer=False),
    Key("pagedown", "scroll-down", "down", "Scroll down in a long item", in_footer=False),
    Key("pageup", "scroll-up", "up", "Scroll up in a long item", in_footer=False),
    Key("?", "help", "keys", "All keys"),
    Key("q", "quit", "quit", "Quit; every decision is on disk already"),
)


_NAMED = frozenset({"space", "enter", "tab", "up", "down", "left", "right", "pageup", "pagedown"})


class Keymap(Config):
    """A file of keys: name of a command or choice -> key."""

    keys: dict[str, str]


def make_keys(kind: Kind, changed: Mapping[str, str] | None = None, where: Path | None = None) -> tuple[Key, ...]:
    """The keys for a kind of item, some of them `changed` by name.

    Raises: ConfigError naming every command that does not exist and every key that would do two things.
    """
    changed = changed or {}
    made = [Key(one.key, one.name, one.label, f"Decide: {one.label}", one, one.in_footer) for one in kind.choices]
    table = [*made, *(_EDIT if kind.editable else ()), *_COMMANDS]
    # A keymap is for all kinds of items: a name that another kind has is no fault.
    faults = [
        f"{name}: nothing is called so" for name in changed if name not in {*_every_name(), *(k.name for k in table)}
    ]
    faults += [f"{name}: {key!r} is not one key" for name, key in changed.items() if not _is_key(key)]
    keys = tuple(replace(one, key=changed.get(one.name, one.key)) for one in table)
    for one in keys:
        others = [other.name for other in keys if other is not one and one.key in (other.key, other.also)]
        if others and (one.name in changed or set(others) & changed.keys()):
            faults.append(f"{one.name}: {one.key!r} is the key of {', '.join(others)} too")
    if faults:
        raise ConfigError(
            "\n".join(["these keys can't be used:", *(f"  {fault}" for fault in faults)]),
            where=where,
            fix="give every command a key of its own",
        )
    return keys


def load_keys(kind: Kind, path: Path | None) -> tuple[Key, ...]:
    """The keys for a kind of item, changed by a YAML file where there is one."""
    return make_keys(kind, load_config(path, Keymap).keys if path is not None else None, path)


def find_key(keys: Sequence[Key], pressed: str) -> Key | None:
    """What a key does."""
    return next((one for one in keys if pressed in (one.key, one.also) and pressed), None)


def _every_name() -> set[str]:
    digits = {str(number) for number in range(10)}
    return {one.name for one in (*_EDIT, *_COMMANDS)} | {"keep", "drop", "flag", "skip"} | digits


def _is_key(key: str) -> bool:
    return key in _NAMED or (len(key) == 1 and key.isprintable())
