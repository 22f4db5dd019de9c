"""Prompts: every contender's requests for every item, rendered and with the key that its answer is kept under."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from curate.core.chat.base_model import load_chat_format
from curate.core.chat.chat_format import ChatFormat, TemplateFault
from curate.core.digests import digest_json, digest_text
from curate.core.errors import ConfigError, ProvenanceError
from curate.core.paths import load_function
from curate.core.rows.row import Message, Row
from evalkit.ask.messages import covering_examples, messages_for, solved
from evalkit.ask.retrieval import RetrievedPassages, nearest_rows, retrieve
from evalkit.backends.endpoint import Endpoint, request_body
from evalkit.backends.types import Answer, Request, failed
from evalkit.records.disk_list import Spool
from evalkit.suite.contenders import Contender, CoveringExamples, FileExamples, NearestExamples
from evalkit.suite.inputs import Inputs, library_versions
from evalkit.suite.items import question_text
from evalkit.suite.suite import Suite


@dataclass(frozen=True, slots=True)
class Questions:
    """What one contender is asked. An item whose prompt the template refuses has a failed answer in `faults`.

    `retrieved` holds the passages of its documents, where it has any.
    """

    contender: Contender
    requests: Sequence[Request]
    faults: dict[str, Answer]
    retrieved: RetrievedPassages | None = None


def ask_all(inputs: Inputs, folder: Path | None = None) -> tuple[list[Questions], str | None]:
    """Each contender's questions, and the digest of the chat template (None where no model is asked).

    Passages of documents are kept in `folder`; without one, they are stored in memory.

    Raises: ProvenanceError where an adapter was trained with another template than the base's.
    """
    chat = load_chat_format(inputs.base) if inputs.base else None
    if chat:
        _check_template(inputs, chat)
    questions = [_ask(contender, inputs, chat, folder) for contender in inputs.contenders]
    return questions, chat.digest if chat else None


def _check_template(inputs: Inputs, chat: ChatFormat) -> None:
    for name, run in inputs.runs.items():
        if run.record.template.digest != chat.digest:
            raise ProvenanceError(
                f"{name} was trained with another chat template than the one in use: its prompts would differ from"
                " training",
                where=run.path,
                fix="train again with this base, restore the one that it was trained on, or give the suite the run's"
                " `chat_template_kwargs`",
            )


def _ask(contender: Contender, inputs: Inputs, chat: ChatFormat | None, folder: Path | None) -> Questions:
    if contender.replay:
        recorded = (Request(item=item.id, contender=contender.name, messages=item.prompt) for item in inputs.items)
        return Questions(contender, _numbered(recorded), {})
    retrieved = _retrieved(contender, inputs, folder)
    faults = {item: failed(fault) for item, fault in retrieved.faults.items()} if retrieved else {}
    asked = (
        (item, messages_for(contender, item, examples, retrieved.found.get(item.id, ()) if retrieved else ()))
        for item, examples in zip(inputs.items, _examples(contender, inputs), strict=True)
        if item.id not in faults
    )
    if not contender.is_local:
        return Questions(contender, _numbered(_ask_elsewhere(contender, asked, inputs)), faults, retrieved)
    if chat is None:
        raise ValueError("a local contender without a chat format")
    return Questions(contender, _numbered(_ask_local(contender, asked, inputs, chat, faults)), faults, retrieved)


def _numbered(requests: Iterable[Request]) -> Spool[Request]:
    """The requests on disk, each with its place among them."""
    return Spool(Request, (replace(request, place=place) for place, request in enumerate(requests)))


def _ask_local(
    contender: Contender,
    asked: Iterable[tuple[Row, list[Message]]],
    inputs: Inputs,
    chat: ChatFormat,
    faults: dict[str, Answer],
) -> Iterator[Request]:
    """Messages rendered by the base's template; those that it refuses go to `faults`."""
    model_key = _model_key(contender, inputs)
    for item, messages in asked:
        prompt = chat.prompt(messages, item.tools)
        if isinstance(prompt, TemplateFault):
            faults[item.id] = failed(f"the prompt can't be rendered: {prompt.rule}: {prompt.detail}")
            continue
        yield Request(
            item=item.id,
            contender=contender.name,
            messages=messages,
            tools=item.tools,
            prompt=prompt.text,
            prompt_digest=digest_text(prompt.text),
            prompt_ids=prompt.ids,
            key=digest_json([model_key, digest_text(prompt.text)]),
        )


def _ask_elsewhere(
    contender: Contender, asked: Iterable[tuple[Row, list[Message]]], inputs: Inputs
) -> Iterator[Request]:
    """Messages as they are: the template is that of whoever answers. Without a key, answers are not kept."""
    endpoint = contender.endpoint
    for item, messages in asked:
        digest = digest_json(messages)
        for repeat in range(inputs.suite.generation.repeats if endpoint else 1):
            request = Request(
                item=item.id,
                contender=contender.name,
                messages=messages,
                tools=item.tools,
                prompt_digest=digest,
                repeat=repeat,
            )
            yield replace(request, key=endpoint_key(endpoint, request, inputs.suite)) if endpoint else request


def endpoint_key(endpoint: Endpoint, request: Request, suite: Suite) -> str:
    """The digest of all that is sent, and where to."""
    return digest_json([endpoint.base_url, endpoint_body(endpoint, request, suite), request.repeat])


def endpoint_body(endpoint: Endpoint, request: Request, suite: Suite) -> dict[str, Any]:
    """What an endpoint is sent for a request."""
    generation = suite.generation
    return request_body(
        endpoint,
        request.messages,
        request.tools,
        max_tokens=generation.max_tokens,
        temperature=generation.temperature,
        seed=suite.seed + request.repeat,
    )


def _model_key(contender: Contender, inputs: Inputs) -> str:
    """The digest of what turns a prompt into an answer."""
    run = inputs.runs.get(contender.name)
    return digest_json(
        {
            "base": inputs.base_digest,
            "quantisation": inputs.quantisation,
            "adapter": run.record.adapter.digest if run else None,
            "max_tokens": inputs.suite.generation.max_tokens,
            "versions": library_versions(),
        }
    )


def _examples(contender: Contender, inputs: Inputs) -> Sequence[Sequence[Row]]:
    """The solved rows that go before each item."""
    rows = inputs.train.rows if inputs.train else []
    match contender.examples:
        case None:
            return [()] * len(inputs.items)
        case CoveringExamples(count=count):
            fixed = covering_examples(rows, count, inputs.suite.seed)
        case FileExamples():
            fixed = solved(inputs.example_files[contender.name].rows)
        case NearestExamples(count=count):
            return _nearest(rows, count, inputs)
    return [fixed] * len(inputs.items)


def _nearest(rows: Sequence[Row], count: int, inputs: Inputs) -> list[list[Row]]:
    candidates = solved(rows)
    if inputs.embedder is None or not candidates:
        raise ConfigError("no train row has an answer to show as an example", where="suite: train")
    found = nearest_rows(
        [question_text(item) for item in inputs.items],
        [question_text(row) for row in candidates],
        count,
        inputs.embedder,
    )
    return [[candidates[index] for index, _ in nearest] for nearest in found]


def _retrieved(contender: Contender, inputs: Inputs, folder: Path | None) -> RetrievedPassages | None:
    config = contender.documents
    if config is None:
        return None
    source = load_function(config.function, inputs.folder) if config.function else inputs.documents[contender.name]
    return retrieve(inputs.items, config, source, inputs.embedder, folder)
