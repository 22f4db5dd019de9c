"""Chat templates: the one place where messages become text and tokens, for curation, training and use alike.

A template that differs between training and use is the most common silent fault of fine-tuning; with one renderer
there is no second place where it could differ.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import msgspec
from jinja2 import TemplateError
from msgspec.structs import replace

from curate.core.chat.completeness import find_missing, says_nothing
from curate.core.chat.jinja_template import CLOCK, ChatTemplate, Span, Tools
from curate.core.chat.template_input import TemplateInput
from curate.core.chat.token_text import Spelling
from curate.core.digests import digest_json
from curate.core.rows.row import Message


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


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked, as text and as tokens."""

    text: str
    ids: list[int]


@dataclass(frozen=True, slots=True)
class _Answer:
    """Where in a text a message's answer stands. `asked`: where the prompt ends that the model answers at use."""

    message: int
    asked: int
    start: int
    end: int


_Rendered = tuple[str, list[_Answer]] | TemplateFault
_Plain = list[dict[str, Any]]
_KEPT_TURNS = 256  # how turns begin: a few texts in all rows, but for templates without control tokens
_WAYS_ON = {
    "reasoning-not-rendered": "; take a base that thinks, or leave the reasoning out",
    "calls-not-rendered": "; take a base whose template knows tools, or write calls as text",
    "tools-not-rendered": "; take a base whose template knows tools, or describe them in the system message",
}
_TODAY = "2026-01-01"  # any day would do: what matters is that it stays
_PLAIN = "Plain words, 123."
_WITHOUT_SPACE = re.compile(r"\s+").sub


class ChatParts(msgspec.Struct, frozen=True, kw_only=True):
    """What of a transformers tokenizer decides how messages become tokens: all that a chat format needs."""

    tokenizer: str  # in the JSON of the tokenizers package
    splits_special: bool
    template: str
    special_tokens: dict[str, str]
    stop_ids: list[int]
    tool_template: str = ""  # for conversations with tools, where it is another


def chat_parts(tokenizer: Any, extra_stop_ids: Sequence[int] = ()) -> ChatParts:
    """The parts of a transformers tokenizer.

    Raises: ValueError where it has no template, no stop token, or is not one of the tokenizers package.
    """
    template, tool_template = tokenizer.chat_template, ""
    if isinstance(template, Mapping):  # by name, which transformers picks from in this way
        tool_template = template.get("tool_use") or ""
        template = template.get("default") or tool_template
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
        tool_template=tool_template if tool_template != template else "",
    )


class _FaultError(Exception):
    """Carries a fault from the steps of `encode` to its end; never leaves this module."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(rule)
        self.fault = TemplateFault(rule, detail)


class ChatFormat:
    """A tokenizer with its chat template.

    `load` gives the transformers tokenizer, for those who ask for it; faults call the template that of `name`.
    `settings` go to the template, such as `enable_thinking`. Where it asks for today's date, that is the same day in
    training, evaluation and after midnight: `strftime_now` among the settings, or a fixed one.

    Raises: ValueError for a setting that the template doesn't read, or a day that is none.
    """

    def __init__(
        self,
        parts: ChatParts,
        load: Callable[[], Any],
        name: str = "this base",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        from tokenizers import Tokenizer

        self.template = parts.template
        self.special_tokens = parts.special_tokens
        self.stop_ids = frozenset(parts.stop_ids)
        self._load = load
        self._name = name
        self._settings = dict(settings or {})
        if CLOCK in self.template:
            self._settings[CLOCK] = str(self._settings.get(CLOCK, _TODAY))
        self._compiled = ChatTemplate(parts.template, parts.special_tokens, self._settings)
        if self._settings and (unread := sorted(self._settings.keys() - set(self._known_settings))):
            known = ", ".join(self._known_settings) or "no setting at all"
            raise ValueError(f"its chat template reads no {', '.join(unread)}; what it reads: {known}")
        self._for_tools = (
            ChatFormat(replace(parts, template=parts.tool_template, tool_template=""), load, name, settings)
            if parts.tool_template
            else None
        )
        self._input = TemplateInput(parts.template, self._compiled.render)
        self._tokens = Tokenizer.from_str(parts.tokenizer)
        self._tokens.no_truncation()
        self._tokens.no_padding()
        self._tokens.encode_special_tokens = parts.splits_special
        # A tokenizer without a decoder can't say what its tokens stand for.
        plain = self._tokens.encode(_PLAIN, add_special_tokens=False).ids
        self._tells_loss = _difference(_PLAIN, self._tokens.decode(plain, skip_special_tokens=False)) is None
        self._spelling = Spelling(parts.tokenizer)
        added = self._tokens.get_added_tokens_decoder()
        self._control_tokens = [token.content for token in added.values() if token.special and token.content.strip()]
        self._added_ids = frozenset(added)
        self._stop_texts = [added[one].content for one in self.stop_ids if one in added]
        self._ids_of_turn = lru_cache(_KEPT_TURNS)(self._ids)

    @cached_property
    def tokenizer(self) -> Any:
        """The transformers tokenizer: what decodes and saves."""
        return self._load()

    @cached_property
    def _known_settings(self) -> list[str]:
        return [name for name in self._compiled.settings() if name not in self.special_tokens]

    @cached_property
    def digest(self) -> str:
        """The digest of everything that turns messages into text: the template, its settings, the special tokens."""
        made_of: dict[str, Any] = {"template": self.template, "special_tokens": self.special_tokens}
        made_of |= {"settings": self._settings} if self._settings else {}
        return digest_json(made_of | ({"for_tools": self._for_tools.digest} if self._for_tools else {}))

    def render(self, messages: Sequence[Message], tools: Tools = None, *, answer_follows: bool = False) -> str:
        """The conversation as text; with `answer_follows`, ending where the model has to go on.

        Raises: whatever the template raises for messages it refuses (jinja2.TemplateError, TypeError and the like).
        """
        if self._for_tools and tools:
            return self._for_tools.render(messages, tools, answer_follows=answer_follows)
        return self._compiled.render(self._input.messages(messages), tools, answer_follows=answer_follows)

    def prompt_ids(self, messages: Sequence[Message], tools: Tools = None) -> list[int]:
        """The tokens of a prompt that the model has to answer."""
        return self._ids(self.render(messages, tools, answer_follows=True))

    def prompt(self, messages: Sequence[Message], tools: Tools = None) -> Prompt | TemplateFault:
        """A prompt that the model has to answer, or why it can't be asked: what `encode` checks, without an answer."""
        if self._for_tools and tools:
            return self._for_tools.prompt(messages, tools)
        try:
            self._refuse_control_tokens(messages, tools)
            try:
                text = self.render(messages, tools, answer_follows=True)
            except Exception as error:  # a template can raise anything for messages that it does not take
                raise self._refusal(error, messages, tools) from error
            self._refuse_missing(text, {}, messages, tools)
        except _FaultError as faulty:
            return faulty.fault
        ids = self._ids(text)
        if detail := self._lost(text, ids):
            return TemplateFault("lossy-tokens", detail)
        return Prompt(text, ids)

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

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokens.encode(text, add_special_tokens=False).ids
        return ids

    def _rendered(self, messages: Sequence[Message], tools: Tools) -> "_Rendered":
        if self._for_tools and tools:
            return self._for_tools._rendered(messages, tools)
        try:
            return self._learned_answers(messages, tools)
        except _FaultError as faulty:
            return faulty.fault

    def _learned_answers(self, messages: Sequence[Message], tools: Tools) -> tuple[str, list[_Answer]]:
        """The whole text, and where each answer stands that the loss counts. Both say all that the messages say."""
        answers = [index for index, message in enumerate(messages) if message.role == "assistant"]
        learned = [index for index in answers if messages[index].weight != 0]
        if not answers:
            raise _FaultError("no-answer", "there is no assistant message")
        self._refuse_control_tokens(messages, tools)
        text, found = self._answer_spans(messages, tools, answers, learned)
        if not learned:
            raise _FaultError("nothing-supervised", "every answer has weight 0")
        self._refuse_missing(text, {one.message: (one.start, one.end) for one in found}, messages, tools)
        for index in learned:
            if says_nothing(messages[index]):
                raise _FaultError("empty-answer", f"message {index + 1} says nothing")
        return text, found

    def _supervised(self, text: str, answers: list[_Answer], encoding: Any) -> Encoded | TemplateFault:
        ids: list[int] = encoding.ids
        try:
            if detail := self._lost(text, ids):
                return TemplateFault("lossy-tokens", detail)
            return self._supervise(text, answers, encoding, ids)
        except _FaultError as faulty:
            return faulty.fault

    def _lost(self, text: str, ids: list[int]) -> str | None:
        """Where the tokens say something else than the text. Decoding takes long, and most texts need none."""
        if not self._tells_loss or self._spelling.is_whole(text):
            return None
        return _difference(text, self._tokens.decode(ids, skip_special_tokens=False))

    def _answer_spans(
        self, messages: Sequence[Message], tools: Tools, answers: list[int], learned: list[int]
    ) -> tuple[str, list[_Answer]]:
        """The whole text, and where each answer stands that the loss counts."""
        try:
            plain = self._input.messages(messages)
            if "generation" in self.template and "endgeneration" in self.template:
                text, marks = self._compiled.render_marked(plain, tools)
                return text, self._marked_answers(text, marks, plain, tools, answers, learned)
            text = self._compiled.render(plain, tools)
            return text, [self._answer_by_prefix(text, plain, tools, index) for index in learned]
        except _FaultError:
            raise
        except Exception as error:  # a template can raise anything for messages that it does not take
            raise self._refusal(error, messages, tools) from error

    def _refusal(self, error: Exception, messages: Sequence[Message], tools: Tools) -> _FaultError:
        """What a template's exception means: it knows no tools, or says itself what it doesn't take, or can't go on."""
        said = f"{type(error).__name__}: {error}"
        whose = f"the chat template of {self._name}"
        if tools and "tools" not in self.template:
            return _FaultError("tools-not-rendered", f"{whose} knows no tools ({said})")
        if any(one.tool_calls for one in messages) and "tool_call" not in self.template:
            return _FaultError("calls-not-rendered", f"{whose} knows no tool calls ({said})")
        how = (
            "refuses the conversation" if isinstance(error, TemplateError) else "can't be rendered for the conversation"
        )
        return _FaultError("template-error", f"{whose} {how}: {error if isinstance(error, TemplateError) else said}")

    def _answer_by_prefix(self, text: str, messages: _Plain, tools: Tools, index: int) -> _Answer:
        asked = self._asked(text, messages, tools, index)
        if index + 1 == len(messages):
            return _Answer(index, asked, asked, len(text))
        alone = self._compiled.render(messages[: index + 1], tools)
        end = _common(alone, text)
        if end < len(alone):
            # What follows a stop token is never generated, and may differ.
            ends = [at + len(stop) for stop in self._stop_texts if (at := text.rfind(stop, asked, end)) >= 0]
            if not ends:
                raise _rewritten(alone, text, index, end)
            end = max(ends)
        return _Answer(index, asked, asked, end)

    def _marked_answers(
        self, text: str, marks: list[Span], messages: _Plain, tools: Tools, answers: list[int], learned: list[int]
    ) -> list[_Answer]:
        """Where the template's own marks stand. An answer may have several, and a mark may hold its prompt's end."""
        found: dict[int, list[Span]] = {index: [] for index in answers}
        if len(marks) == len(answers):
            found = {index: [mark] for index, mark in zip(answers, marks, strict=True)}
            asked = {index: self._asked(text, messages, tools, index) for index in learned}
        else:
            asked = {index: self._asked(text, messages, tools, index) for index in answers}
            for mark in marks:
                if behind := [index for index in answers if asked[index] < mark[1]]:
                    found[behind[-1]].append(mark)
        if not all(found.values()):
            raise _FaultError("template-error", f"the template marks {len(marks)} answers of {len(answers)}")
        return [
            _Answer(index, asked[index], max(asked[index], found[index][0][0]), found[index][-1][1])
            for index in learned
        ]

    def _asked(self, text: str, messages: _Plain, tools: Tools, index: int) -> int:
        """Where the prompt ends that message `index` answers: what the model is given at use is how the text starts."""
        prompt = self._compiled.render(messages[:index], tools, answer_follows=True)
        if text.startswith(prompt):
            return len(prompt)
        same = _common(prompt, text)
        earlier = self._compiled.render(messages[:index], tools)
        if same < len(earlier) and not any(text.rfind(stop, 0, same) + len(stop) == same for stop in self._stop_texts):
            raise _rewritten(prompt, text, index, same)
        seen = max(same - 20, 0)
        raise _FaultError(
            "prompt-differs",
            f"at use the model is asked for message {index + 1} behind {prompt[seen:]!r}, where the row has"
            f" {text[seen : same + 40]!r}"
            + self._on_thoughts(prompt + text[same : same + 40], thinks=_thinks(messages[index])),
        )

    def _on_thoughts(self, text: str, *, thinks: bool) -> str:
        """What to do, where it is a thought that the row has and the prompt promises not, or the other way round."""
        if "<think" not in text[-80:] and "thought" not in text[-80:]:
            return ""
        has = "the answer has a thought" if thinks else "the answer has no thought"
        switch = next((name for name in self._known_settings if "think" in name), None)
        if switch is not None:
            return f"; {has}: chat_template_kwargs: {{{switch}: {'true' if thinks else 'false'}}} may fit it"
        return f"; {has}, and this template's prompt wants it otherwise: take answers or a base that fit"

    def _supervise(self, text: str, answers: list[_Answer], encoding: Any, ids: list[int]) -> Encoded:
        supervised = [False] * len(ids)
        for answer in answers:
            inside = _tokens_inside(encoding, answer.start, answer.end)
            self._refuse_other_prompt(text, answer, inside, encoding, ids)
            last_stop = next((i for i in reversed(inside) if ids[i] in self.stop_ids), None)
            if last_stop is None:
                ending = text[answer.start : answer.end][-40:]
                raise _FaultError("no-stop-token", f"the answer {ending!r} does not end in a stop token")
            if ids[inside[0]] in self.stop_ids:
                raise _FaultError("empty-answer", "an answer begins with its stop token")
            learned = inside[: inside.index(last_stop) + 1]
            if isinstance(learned, range):
                supervised[learned.start : learned.stop] = [True] * len(learned)
            else:
                for i in learned:
                    supervised[i] = True
        return Encoded(text, ids, supervised)

    def _refuse_other_prompt(
        self, text: str, answer: _Answer, inside: Sequence[int], encoding: Any, ids: list[int]
    ) -> None:
        """The tokens before an answer have to be those of the prompt at use: text that goes on may be cut elsewhere.

        A control token is a cut for certain, so what stands behind the last one before the answer is enough.
        """
        if answer.start > answer.asked:
            inside = _tokens_inside(encoding, answer.asked, answer.end)
        if not inside:
            return
        first, last = encoding.token_to_chars(inside[0])
        if first < answer.asked:
            detail = f"one token joins the prompt's end and the answer's start: {text[first:last]!r}"
            thinks = _thinks({"content": text[answer.asked : answer.end]})
            raise _FaultError("boundary-token", detail + self._on_thoughts(text[: answer.asked], thinks=thinks))
        end = inside[0]
        start = next((i for i in range(end - 1, -1, -1) if ids[i] in self._added_ids), 0)
        known = self._ids_of_turn(text[_ends(encoding, start)[0] if start else 0 : answer.asked])
        if known != ids[start:end]:
            here, there = (self.token_texts(some[-8:]) for some in (known, ids[start:end]))
            raise _FaultError("prompt-differs", f"at use the prompt ends in the tokens {here}, in the row in {there}")

    def _refuse_missing(self, text: str, spans: Mapping[int, Span], messages: Sequence[Message], tools: Tools) -> None:
        if missing := find_missing(text, spans, messages, tools):
            rule, what = missing
            way = _WAYS_ON.get(rule, "")
            raise _FaultError(rule, f"{what} is not in what the chat template of {self._name} makes of the row{way}")

    def _refuse_control_tokens(self, messages: Sequence[Message], tools: Tools) -> None:
        """Text that spells a control token would become one: an end of turn inside a turn, or a forged turn."""
        texts = [_all_text(message) for message in messages]
        if tools:
            texts.append("\n".join(_strings(tools)))
        whole = "\n".join(texts)  # one search per token; where one is found, which message it is in matters
        found = [token for token in self._control_tokens if token in whole]
        for index, text in enumerate(texts):
            for token in found:
                if token in text:
                    where = f"message {index + 1} contains" if index < len(messages) else "the tools contain"
                    raise _FaultError("control-token-in-text", f"{where} {token!r}")


def _all_text(message: Message) -> str:
    """Everything in a message that a template may put into its text."""
    if isinstance(message.content, str) and not (message.tool_calls or message.reasoning_content or message.name):
        return message.content
    calls = [*(message.tool_calls or ())]
    for call in message.tool_calls or ():
        function = call.get("function", call)
        arguments = function.get("arguments") if isinstance(function, dict) else None
        if isinstance(arguments, str):
            try:
                calls.append(msgspec.json.decode(arguments))
            except msgspec.DecodeError:
                continue  # looked through as it is
    rest = [message.reasoning_content, message.name, message.tool_call_id, message.content, calls]
    return "\n".join([message.text, *_strings(rest)])


def _strings(value: Any) -> Iterator[str]:
    """Each text in a JSON value, its keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _common(a: str, b: str) -> int:
    """How many characters both texts begin with."""
    if b.startswith(a):
        return len(a)
    return next((i for i, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), min(len(a), len(b)))


def _rewritten(shorter: str, text: str, index: int, place: int) -> _FaultError:
    return _FaultError(
        "history-rewritten",
        f"the template renders the start of the conversation differently once message {index + 1} has followed:"
        f" {shorter[place : place + 40]!r} became {text[place : place + 40]!r} at character {place};"
        " `history: last` or `split` makes samples of single answers",
    )


def _thinks(answer: Mapping[str, Any]) -> bool:
    """Whether an answer says a thought, in its text or beside it."""
    before, closed, _ = str(answer.get("content")).partition("</think>")
    return bool(answer.get("reasoning_content")) or bool(closed and before.removeprefix("<think>").strip())


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
