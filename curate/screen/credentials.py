"""Secrets: vendors' keys and tokens, JSON web tokens, private keys, URLs with a password, assigned secrets.

Source of the vendors' prefixes: what each vendor documents about the format of its tokens. Their documented example
keys (with EXAMPLE in them) and placeholders are passed over.
"""

import base64
import binascii
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from curate.recipe.screens import Secrets
from curate.screen.personal import find_in_candidates
from curate.screen.spans import Found, Span

if TYPE_CHECKING:
    import polars as pl

# kind -> pattern. Each is anchored by its prefix; a token goes on as long as its characters do.
_VENDORS = {
    "aws-key": r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",
    "github-token": r"gh[pousr]_[A-Za-z0-9]{36,251}|github_pat_[A-Za-z0-9_]{60,255}",
    "gitlab-token": r"gl(?:pat|dt|rt|cbt|ptt)-[A-Za-z0-9_\-]{20,64}",
    "slack-token": r"xox[abeoprs]-[A-Za-z0-9\-]{10,250}|xapp-[0-9]-[A-Za-z0-9\-]{20,250}",
    "stripe-key": r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,247}|whsec_[A-Za-z0-9]{24,64}",
    "google-key": r"AIza[A-Za-z0-9_\-]{35}|GOCSPX-[A-Za-z0-9_\-]{28}|ya29\.[A-Za-z0-9_\-]{30,255}",
    "anthropic-key": r"sk-ant-[A-Za-z0-9_\-]{20,200}",
    "openai-key": r"sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_\-]{0,100}[A-Za-z0-9]{20,200}",
    "huggingface-token": r"hf_[A-Za-z0-9]{30,64}",
    "npm-token": r"npm_[A-Za-z0-9]{36}",
    "pypi-token": r"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_\-]{50,250}",
    "sendgrid-key": r"SG\.[A-Za-z0-9_\-]{16,32}\.[A-Za-z0-9_\-]{32,64}",
    "twilio-key": r"SK[0-9a-f]{32}",
    "telegram-token": r"[0-9]{8,10}:AA[A-Za-z0-9_\-]{33}",
    "digitalocean-token": r"do[oprt]_v1_[a-f0-9]{64}",
    "shopify-token": r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
}
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_\-])(?:"
    + "|".join(f"(?P<{kind.replace('-', '_')}>{pattern})" for kind, pattern in _VENDORS.items())
    + r")(?![A-Za-z0-9_])"
)
_CANDIDATE_VENDORS = (
    r"A[KSBC][IC]A[A-Z2-7]{16}|gh[pousr]_[A-Za-z0-9]{9}|github_pat_|gl(?:pat|dt|rt|cbt|ptt)-|xox[abeoprs]-|xapp-|[sr]k_(?:live|test)_"
    r"|whsec_|AIza|GOCSPX-|ya29\.|sk-[A-Za-z0-9_-]{20}|hf_[A-Za-z0-9]{9}|npm_[A-Za-z0-9]{9}|pypi-AgEI|SG\.|SK[0-9a-f]{32}"
    r"|[0-9]:AA[A-Za-z0-9_-]{33}|do[oprt]_v1_|shp(?:at|ca|pa|ss)_"
)
_WEBHOOK = re.compile(r"https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_\-]{20,120}")
_JWT = re.compile(r"(?<![\w\-])(eyJ[A-Za-z0-9_\-]{8,2000})\.[A-Za-z0-9_\-]{4,20000}\.[A-Za-z0-9_\-]{16,2000}(?![\w\-])")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"((?:[A-Za-z0-9+/=:,.\\ \t\r\n]|-(?!----))*)(?:-----END [A-Z0-9 ]{1,50}-----)?"
)
_KEY_BODY = re.compile(r"[A-Za-z0-9+/=]{40}")  # a key's lines have 64 characters; prose about keys has none so long
_URL = re.compile(
    r"(?<![A-Za-z0-9+.\-])[A-Za-z][A-Za-z0-9+.\-]{1,20}://([^\s/:@\x1e\"'<>]{0,100}:[^\s/@\x1e\"'<>]{1,200})@[\w.\-\[]"
)
_ASSIGNED = re.compile(
    r"(?P<name>passw(?:or)?d|passphrase|pwd|secret|token|api[_\-]?key|access[_\-]?key|auth[_\-]?key|client[_\-]?key|credential)"
    r"(?:s|(?-i:[A-Z_][A-Za-z_]{0,12}))?[\"'\]]{0,2}[ \t]{0,3}(?::=|=>|[:=]|\x1e| is )[ \t]{0,3}[\"'`]{0,3}"
    r"(?P<value>[A-Za-z0-9+/=_\-.~!@#%^&*]{8,256})(?![A-Za-z0-9+/=_\-.~!@#%^&*(\[{$])",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"example|your|xxxx|\*\*\*|placeholder|changeme|redacted|dummy|insert|environ|getenv|process\.env|\.\.\.|^[a-z]+(?:[._][a-z]+)+$",
    re.IGNORECASE,
)
_LENGTHS = {"password": 8, "token": 16}  # the shortest value that counts


def find_secrets(texts: "pl.Series", settings: Secrets) -> Found:
    """The secrets in the texts, without overlaps."""
    return find_in_candidates(
        texts,
        [
            ("PRIVATE KEY", _private_keys),
            ("eyJ[A-Za-z0-9_-]{8}", _web_tokens),
            (_CANDIDATE_VENDORS, _vendor_tokens),
            (r"hooks\.slack\.com/", _webhooks),
            (r"://[^\s/:@]{0,100}:[^\s/@]", _urls),
            (
                r"(?i)(?:pass|pwd|secret|token|key|credential)[a-z_]{0,16}[\"'\]]{0,2}[ \t]{0,3}(?::|=|\x1e| is )",
                partial(_assigned, min_entropy=settings.min_entropy),
            ),
        ],
    )


def entropy(text: str) -> float:
    """Shannon's entropy of the text's characters. Units: bits a character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def _vendor_tokens(text: str) -> Iterator[Span]:
    for match in _TOKEN.finditer(text):
        if not _is_made_up(match[0]) and entropy(match[0]) > 2.5:  # `sk-----` and runs of one letter are below
            yield Span(match.start(), match.end(), str(match.lastgroup).replace("_", "-"))


def _webhooks(text: str) -> Iterator[Span]:
    for match in _WEBHOOK.finditer(text):
        if not _is_made_up(match[0]):
            yield Span(match.start(), match.end(), "slack-webhook")


def _web_tokens(text: str) -> Iterator[Span]:
    """JSON web tokens: three parts, of which the first decodes to a header that names an algorithm."""
    for match in _JWT.finditer(text):
        try:
            header = json.loads(base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4)))
        except (binascii.Error, ValueError, RecursionError):
            continue
        if isinstance(header, dict) and "alg" in header:
            yield Span(match.start(), match.end(), "jwt")


def _private_keys(text: str) -> Iterator[Span]:
    for match in _PRIVATE_KEY.finditer(text):
        if _KEY_BODY.search(match[1]):
            yield Span(match.start(), match.end(), "private-key")


def _urls(text: str) -> Iterator[Span]:
    """The `user:password` of URLs; the host stays readable."""
    for match in _URL.finditer(text):
        password = match[1].partition(":")[2]
        if not re.search(r"[<>${}\[\]]|^(?:password|pass|pwd|\*+)$", password, re.IGNORECASE):
            yield Span(match.start(1), match.end(1), "url-password")


def _assigned(text: str, *, min_entropy: float) -> Iterator[Span]:
    for match in _ASSIGNED.finditer(text):
        value = match["value"].rstrip(".!")
        is_password = match["name"].lower().startswith("p")
        enough = min_entropy - 1 if is_password else min_entropy
        if (
            len(value) >= _LENGTHS["password" if is_password else "token"]
            and re.search("[0-9]", value)
            and re.search("[A-Za-z]", value)
            and entropy(value) >= enough
            and not _is_made_up(value)
        ):
            start = match.start("value")
            yield Span(start, start + len(value), "assigned-secret")


def _is_made_up(value: str) -> bool:
    return _PLACEHOLDER.search(value) is not None
