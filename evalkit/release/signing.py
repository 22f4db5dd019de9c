"""Signatures in minisign's format, by its library: `minisign -V` checks them without us.

The secret key's password comes from the environment and reaches no file.
"""

import os
from pathlib import Path
from typing import Any

from curate.core.errors import ConfigError, ProvenanceError, ServiceError, os_errors
from curate.core.files import atomic_write

SUFFIX = ".minisig"
PASSWORD = "ACIDTEST_SIGNING_PASSWORD"  # noqa: S105 - a variable's name


def load_key(path: Path) -> Any:
    """The secret key at `path`, ready to sign. Raises: ConfigError where it can't be read or decrypted."""
    minisign = _library()
    with os_errors(path):
        path.read_bytes()
    try:
        key = minisign.SecretKey.from_file(path)
        if key.is_encrypted():
            password = os.environ.get(PASSWORD)
            if password is None:
                raise ConfigError("the signing key has a password", where=path, fix=f"put it into {PASSWORD}")
            key.decrypt(password)
    except (minisign.Error, ValueError) as error:
        raise ConfigError(f"the signing key can't be used: {error}", where=path) from error
    return key


def sign(path: Path, key: Any, comment: str) -> None:
    """Write the signature of the file at `path` beside it; `comment` is signed too."""
    signature = key.sign(path.read_bytes(), trusted_comment=comment)
    with atomic_write(path.with_name(path.name + SUFFIX)) as file:
        file.write(bytes(signature))


def check_signature(path: Path, public_key: Path) -> str:
    """What is wrong with the signature of the file at `path`, or an empty text.

    Raises: ProvenanceError where the public key is none.
    """
    minisign = _library()
    with os_errors(public_key):
        public_key.read_bytes()
    try:
        key = minisign.PublicKey.from_file(public_key)
    except (minisign.Error, ValueError) as error:
        raise ProvenanceError(f"not a minisign public key: {error}", where=public_key) from error
    place = path.with_name(path.name + SUFFIX)
    if not place.is_file():
        return "not signed"
    try:
        key.verify(path.read_bytes(), minisign.Signature.from_bytes(place.read_bytes()))
    except (minisign.Error, ValueError) as error:
        return f"the signature does not fit: {error}"
    return ""


def _library() -> Any:
    try:
        import minisign
    except ImportError as error:
        raise ServiceError(
            "signatures need the package py-minisign", where="minisign", fix="pip install 'acidtest[sign]'"
        ) from error
    return minisign
