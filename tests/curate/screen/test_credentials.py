import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.screen.credentials import entropy
from tests.curate.screen.finding import secrets

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def made_up(length: int, letters: str = LETTERS) -> str:
    """Random characters: tokens are put together here, so that no scanner takes this file for a leak."""
    return "".join(random.Random(length).choices(letters, k=length))


HEX = "0123456789abcdef"
TOKENS = {
    "aws-key": "AKIA" + made_up(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    "github-token": "ghp_" + made_up(36),
    "gitlab-token": "glpat-" + made_up(20),
    "slack-token": "xoxb-" + made_up(11, "123456789") + "-" + made_up(24),
    "stripe-key": "sk_live_" + made_up(24),
    "google-key": "AIza" + made_up(35),
    "anthropic-key": "sk-ant-api03-" + made_up(40),
    "openai-key": "sk-proj-" + made_up(48),
    "huggingface-token": "hf_" + made_up(34),
    "npm-token": "npm_" + made_up(36),
    "pypi-token": "pypi-AgEIcHlwaS5vcmc" + made_up(60),
    "sendgrid-key": "SG." + made_up(22) + "." + made_up(43),
    "twilio-key": "SK" + made_up(32, HEX),
    "telegram-token": "123456789:AA" + made_up(33),
    "digitalocean-token": "dop_v1_" + made_up(64, HEX),
    "shopify-token": "shpat_" + made_up(32, HEX),
    "slack-webhook": "https://hooks.slack.com/services/T0" + made_up(8) + "/B0" + made_up(9) + "/" + made_up(24),
}


@pytest.mark.parametrize("kind", TOKENS)
def test_finds_tokens_in_prose_and_in_quotes(kind: str) -> None:
    token = TOKENS[kind]
    assert secrets(f"use {token} please") == [(kind, token)]
    assert secrets(f'{{"key": "{token}"}}') == [(kind, token)]


@pytest.mark.parametrize("kind", sorted(set(TOKENS) - {"slack-webhook"}))
def test_a_prefix_alone_is_no_token(kind: str) -> None:
    token = TOKENS[kind]
    assert secrets(f"use {token[:9]} please") == []
    assert secrets(f"use task{token} please") == []


def test_documented_examples_and_placeholders_are_passed_over() -> None:
    assert secrets("AKIA" + "IOSFODNN7EXAMPLE") == []
    assert secrets("ghp_" + "x" * 36) == []
    assert secrets("api_key = 'your-api-key-0123456789'") == []
    assert secrets('api_key = os.environ["API_KEY_0123456789"]') == []
    assert secrets("password: ******** and token=${TOKEN_1234567890}") == []
    assert secrets("[ASSIGNED-SECRET] [JWT] password=[ASSIGNED-SECRET]") == []


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_a_web_token_needs_a_header_with_an_algorithm() -> None:
    rest = encoded('{"sub":"1234567890"}') + "." + made_up(43)
    token = encoded('{"alg":"HS256","typ":"JWT"}') + "." + rest
    assert secrets(f"Bearer {token}.") == [("jwt", token)]
    assert secrets(encoded('{"size":"HS256","typ":"JWT"}') + "." + rest) == []


def test_private_keys_need_a_body() -> None:
    lines = "\n".join(made_up(64) for _ in range(3))
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{lines}\n-----END RSA PRIVATE KEY-----"
    assert secrets(f"here: {key} ok") == [("private-key", key)]
    assert secrets(f"cut off: -----BEGIN PRIVATE KEY-----\n{lines}")[0][0] == "private-key"
    assert secrets("A file starts with -----BEGIN PRIVATE KEY----- and ends with -----END PRIVATE KEY-----.") == []
    assert secrets(f"-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----") == []


def test_of_a_url_with_a_password_the_host_stays() -> None:
    assert secrets("postgres://admin:s3cretpw@db.example.com/x") == [("url-password", "admin:s3cretpw")]
    assert secrets("https://example.com:8080/a@b") == []
    assert secrets("https://user:<password>@example.com") == []


def test_assigned_secrets_need_letters_digits_and_entropy() -> None:
    value = made_up(32)
    assert secrets(f"API_KEY={value}") == [("assigned-secret", value)]
    assert secrets(f'"client_secret": "{value}",') == [("assigned-secret", value)]
    assert secrets("The password is Tr0ub4dor&3xy.") == [("assigned-secret", "Tr0ub4dor&3xy")]
    assert secrets("password: required") == []
    assert secrets("token: 12345678901234567890") == []
    assert secrets("api_key=aaaaaaaaaaaaaaa1") == []
    assert secrets("max_tokens = 128; tokenizer: GPT2TokenizerFast") == []
    assert secrets(f"API_KEY={value}", min_entropy=7) == []


def test_a_json_key_names_the_value_that_follows_it_in_a_rows_text() -> None:
    value = made_up(32)
    assert secrets(f"api_key\x1e{value}\x1ecity") == [("assigned-secret", value)]


@given(st.text(min_size=1, max_size=200))
def test_entropy_is_between_nothing_and_the_logarithm_of_the_length(text: str) -> None:
    assert -1e-9 <= entropy(text) <= len(text).bit_length()


@pytest.mark.parametrize("unit", ["eyJ", "password=a", "-----BEGIN PRIVATE KEY-----", "://a:b", "sk-", "a.b", "AKIA"])
def test_long_runs_of_anything_end(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    assert all(what for _, what in secrets(text))
