"""Chat templates: the one place where messages become text and tokens, for curation, training and use alike.

A template that differs between training and use is the most common silent fault of fine-tuning; with one renderer
there is no second place where it could differ.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from curate.core.chat.jinja_template import ChatTemplate, Span, Tools
from curate.core.chat.token_text import Spelling
from curate.core.digests import digest_json
from curate.core.rows.row import Message, message_dicts


@dataclass(frozen=True, slots=True)
class Encoded:
    """A conversation as tokens. `supervised[i]` says whether token i is part of an answer (its stop token included)."""

    text: str
    ids: list[int]
    supervised: list[bool]

    @property
    def supervised_count(self) -> int:
        """How many tokens the loss counts."""
        return sum(self.supervised)


@dataclass(frozen=True, slots=True)
class TemplateFault:
    """Why a conversation can't be trained on with this template: a stable rule id and what was seen."""

    rule: str
    detail: str


_Rendered = tuple[str, list[Span]] | TemplateFault
_PLAIN = "Plain words, 123."
_WITHOUT_SPACE = re.compile(r"\s+").sub


class ChatParts(msgspec.Struct, frozen=True, kw_only=True):
    """What of a transformers tokenizer decides how messages become tokens: all that a chat format needs."""

    tokenizer: str  # in the JSON of the tokenizers package
    splits_special: bool
    template: str
    special_tokens: dict[str, str]
    stop_ids: list[int]


def chat_parts(tokenizer: Any, extra_stop_ids: Sequence[int] = ()) -> ChatParts:
    """The parts of a transformers tokenizer.

    Raises: ValueError where it has no template, no stop token, or is not one of the tokenizers package.
    """
    template = tokenizer.chat_template
    if not isinstance(template, str) or not template:
        raise ValueError("the tokenizer has no chat template")
    ends = [tokenizer.eos_token_id, *extra_stop_ids]
    stop_ids = sorted({int(end) for end in ends if end is not None})
    if not stop_ids:
        raise ValueError("the tokenizer has no end-of-text token: nothing could ever stop a generation")
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError("it is not one of the tokenizers package, so no token can be traced to its characters")
    return ChatParts(
        tokenizer=tokenizer.backend_tokenizer.to_str(),
        splits_special=bool(tokenizer.split_special_tokens),
        template=template,
        special_tokens={name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        stop_ids=stop_ids,
    )


class _FaultError(Exception):
    """Carries a fault from the steps of `encode` to its end; never leaves this module."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(rule)
        self.fault = TemplateFault(rule, detail)


class ChatFormat:
    """A tokenizer with its chat template. `load` gives the transformers tokenizer, for those who ask for it."""

    def __init__(self, parts: ChatParts, load: Callable[[], Any]) -> None:
        from tokenizers import Tokenizer

        self.template = parts.template
        self.special_tokens = parts.special_tokens
        self.stop_ids = frozenset(parts.stop_ids)
        self._load = load
        self._compiled = ChatTemplate(parts.template, parts.special_tokens)
        self._tokens = Tokenizer.from_str(parts.tokenizer)
        self._tokens.no_truncation()
        self._tokens.no_padding()
        self._tokens.encode_special_tokens = parts.splits_special
        # A tokenizer without a decoder can't say what its tokens stand for.
        plain = self._tokens.encode(_PLAIN, add_special_tokens=False).ids
        self._tells_loss = _difference(_PLAIN, self._tokens.decode(plain, skip_special_tokens=False)) is None
        self._spelling = Spelling(parts.tokenizer)
        added = self._tokens.get_added_tokens_decoder().values()
        self._control_tokens = [token.content for token in added if token.special and token.content.strip()]

    @cached_property
    def tokenizer(self) -> Any:
        """The transformers tokenizer: what decodes and saves."""
        return self._load()

    @cached_property
    def digest(self) -> str:
        """The digest of everything that turns messages into text: the template and the special tokens."""
        return digest_json({"template": self.template, "special_tokens": self.special_tokens})

    def render(self, messages: Sequence[Message], tools: Tools = None, *, answer_follows: bool = False) -> str:
        """The conversation as text; with `answer_follows`, ending where the model has to go on.

        Raises: whatever the template raises for messages it refuses (jinja2.TemplateError, TypeError and the like).
        """
        return self._compiled.render(_for_template(messages), tools, answer_follows=answer_follows)

    def prompt_ids(self, messages: Sequence[Message], tools: Tools = None) -> list[int]:
        """The tokens of a prompt that the model has to answer."""
        text = self.render(messages, tools, answer_follows=True)
        ids: list[int] = self._tokens.encode(text, add_special_tokens=False).ids
        return ids

    def token_texts(self, ids: Sequence[int]) -> list[str]:
        """What each token says on its own; a part of a character is a replacement character."""
        texts: list[str] = self._tokens.decode_batch([[one] for one in ids], skip_special_tokens=False)
        return texts

    def encode(self, messages: Sequence[Message], tools: Tools = None) -> Encoded | TemplateFault:
        """The conversation as tokens with the answers marked, or the fault that makes it unfit for training.

        The text is tokenised once, as a whole. Where each answer starts and ends comes from the template's generation
        markers, else from rendering the conversation up to that point; never from looking for marker strings.
        """
        rendered = self._rendered(messages, tools)
        if isinstance(rendered, TemplateFault):
            return rendered
        return self._supervised(*rendered, *self._tokenised([rendered[0]]))

    def encode_many(self, rows: Iterable[tuple[Sequence[Message], Tools]]) -> list[Encoded | TemplateFault]:
        """What `encode` says of each conversation.

        All are rendered, then all tokenised, on a thread of its own: a thread has memory of its own to take small
        pieces from, and between Python's objects, finding place for them takes a third longer. For some hundred at
        once: encodings take far more memory than their text.
        """
        rendered = [self._rendered(*row) for row in rows]
        texts = [one[0] for one in rendered if not isinstance(one, TemplateFault)]
        with ThreadPoolExecutor(1) as thread:
            made = iter(thread.submit(self._tokenised, texts).result())
        return [one if isinstance(one, TemplateFault) else self._supervised(*one, next(made)) for one in rendered]

    def _tokenised(self, texts: Iterable[str]) -> list[Any]:
        """The encoding of each text, or as much of one as masks need."""
        return [
            self._spelling.places(self._tokens.encode_batch_fast([text], add_special_tokens=False)[0].ids)
            if self._spelling.knows_places(text)
            else self._tokens.encode(text, add_special_tokens=False)
            for text in texts
        ]

    def _rendered(self, messages: Sequence[Message], tools: Tools) -> "_Rendered":
        try:
            self._refuse_special_tokens(messages)
            return self._answer_spans(messages, tools)
        except _FaultError as faulty:
            return faulty.fault

    def _supervised(self, text: str, spans: list[Span], encoding: Any) -> Encoded | TemplateFault:
        ids: list[int] = encoding.ids
        try:
            if detail := self._lost(text, ids):
                return TemplateFault("lossy-tokens", detail)
            return self._supervise(text, spans, encoding, ids)
        except _FaultError as faulty:
            return faulty.fault

    def _lost(self, text: str, ids: list[int]) -> str | None:
        """Where the tokens say something else than the text. Decoding takes long, and most texts need none."""
        if not self._tells_loss or self._spelling.is_whole(text):
            return None
        return _difference(text, self._tokens.decode(ids, skip_special_tokens=False))

    def _answer_spans(self, messages: Sequence[Message], tools: Tools) -> tuple[str, list[Span]]:
        """The whole text, and the character span of every answer that the loss counts."""
        answers = [index for index, message in enumerate(messages) if message.role == "assistant"]
        if not answers:
            raise _FaultError("no-answer", "there is no assistant message")
        try:
            plain = _for_template(messages)
            if "generation" in self.template and "endgeneration" in self.template:
                text, spans = self._compiled.render_marked(plain, tools)
            else:
                text = self._compiled.render(plain, tools)
                spans = [self._span_by_prefix(text, plain, tools, index) for index in answers]
        except _FaultError:
            raise
        except Exception as error:  # a template can raise anything for messages that it does not take
            raise _FaultError("template-error", f"{type(error).__name__}: {error}") from error
        if len(spans) != len(answers):
            raise _FaultError("template-error", f"the template marks {len(spans)} answers of {len(answers)}")
        return text, [span for span, index in zip(spans, answers, strict=True) if messages[index].weight != 0]

    def _span_by_prefix(self, text: str, messages: list[dict[str, Any]], tools: Tools, index: int) -> Span:
        before = self._compiled.render(messages[:index], tools, answer_follows=True)
        after = text if index + 1 == len(messages) else self._compiled.render(messages[: index + 1], tools)
        for shorter in (before, after):
            if not text.startswith(shorter):
                place = next((i for i, (a, b) in enumerate(zip(shorter, text, strict=False)) if a != b), len(text))
                raise _FaultError(
                    "history-rewritten",
                    f"the template renders the start of the conversation differently once message {index} has followed:"
                    f" {shorter[place : place + 40]!r} became {text[place : place + 40]!r} at character {place}",
                )
        return len(before), len(after)

    def _supervise(self, text: str, spans: list[Span], encoding: Any, ids: list[int]) -> Encoded:
        supervised = [False] * len(ids)
        for start, end in spans:
            inside = _tokens_inside(encoding, start, end)
            if inside:
                first, last = encoding.token_to_chars(inside[0])
                if first < start:
                    raise _FaultError(
                        "boundary-token",
                        f"one token joins the prompt's end and the answer's start: {text[first:last]!r}",
                    )
            last_stop = next((i for i in reversed(inside) if ids[i] in self.stop_ids), None)
            if last_stop is None:
                raise _FaultError("no-stop-token", f"the answer {text[start:end][-40:]!r} does not end in a stop token")
            if ids[inside[0]] in self.stop_ids:
                raise _FaultError("empty-answer", "an answer has no token but its stop token")
            learned = inside[: inside.index(last_stop) + 1]
            if isinstance(learned, range):
                supervised[learned.start : learned.stop] = [True] * len(learned)
            else:
                for i in learned:
                    supervised[i] = True
        if not any(supervised):
            raise _FaultError("nothing-supervised", "every answer has weight 0")
        return Encoded(text, ids, supervised)

    def _refuse_special_tokens(self, messages: Sequence[Message]) -> None:
        """Text that spells a control token would become one: an end of turn inside a turn, or a forged turn."""
        texts = [message.text for message in messages]
        whole = "\n".join(texts)  # one search per token; where one is found, which message it is in matters
        found = [token for token in self._control_tokens if token in whole]
        for index, text in enumerate(texts):
            for token in found:
                if token in text:
                    raise _FaultError("control-token-in-text", f"message {index} contains {token!r}")


def _difference(text: str, decoded: str) -> str | None:
    """Where the tokens say something else than the text: the model would never see what the text says.

    Tokenizers may normalise Unicode and spaces, which is how they are meant to be.
    """
    if text == decoded:
        return None
    said, meant = (_WITHOUT_SPACE("", unicodedata.normalize("NFKC", form)) for form in (decoded, text))
    if said == meant:
        return None
    place = next((i for i, (a, b) in enumerate(zip(said, meant, strict=False)) if a != b), min(len(said), len(meant)))
    return f"the tokens say {said[place : place + 20]!r} where the text says {meant[place : place + 20]!r}"


def _tokens_inside(encoding: Any, start: int, end: int) -> Sequence[int]:
    """The tokens that share characters with the span. `encoding` is one of the `tokenizers` package or like it."""
    first, last = encoding.char_to_token(start), encoding.char_to_token(max(end - 1, start))
    if first is None or last is None:  # a character that no token stands for, such as whitespace that is dropped
        return [i for i, (a, b) in enumerate(encoding.offsets) if a < end and b > start]
    # One character may take several tokens, and the look-up finds one of them.
    while first > 0 and _ends(encoding, first - 1)[1] > start:
        first -= 1
    while last + 1 < len(encoding) and _ends(encoding, last + 1)[0] < end:
        last += 1
    return range(first, last + 1)


def _ends(encoding: Any, token: int) -> Span:
    found: Span | None = encoding.token_to_chars(token)
    return found or (0, 0)


def _for_template(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages as templates expect them: `content` always there, tool-call arguments as objects, no loss weight."""
    plain = message_dicts(list(messages))
    for message in plain:
        message.pop("weight", None)
        message.setdefault("content", "")
        for call in message.get("tool_calls") or ():
            function = call.get("function", call)
            if isinstance(function.get("arguments"), str):
                try:
                    function["arguments"] = msgspec.json.decode(function["arguments"])
                except msgspec.DecodeError:
                    continue  # not JSON: the template shows it as it is, and validation says so
    return plain
