"""Every rule of validation by its stable id: people filter rejected.jsonl by them, and recipes set their severity."""

from collections.abc import Callable
from typing import Literal

from curate.core.rows.row import Row

Severity = Literal["error", "warning", "off"]
Fault = tuple[str, str]
"""A rule's id, and what was seen."""
Rule = Callable[[Row], Fault | None]

_RULES: dict[str, tuple[Severity, str]] = {
    "media": ("error", "images, sound and video can't be trained on or compared here"),
    "unread-content": (
        "error",
        "what the model should see or learn stands under a key or in a part that no field of a message takes",
    ),
    "no-messages": ("error", "the row has no messages"),
    "unknown-role": ("error", "a role is none of system, developer, user, assistant, tool"),
    "system-not-first": ("error", "a system or developer message stands after another role"),
    "role-order": ("error", "turns do not alternate: user, assistant (with tool results after its calls), user, ..."),
    "empty-turn": ("error", "a message holds nothing but whitespace and no tool calls"),
    "no-answer": ("error", "the last message is not an assistant's"),
    "no-rejected-answer": ("error", "the rejected side of a preference row holds no answer"),
    "same-answers": ("error", "the chosen and the rejected answer of a preference row are the same"),
    "bad-call": ("error", "a tool call has no function name"),
    "unknown-tool": ("error", "a tool call names a tool that the row does not define"),
    "duplicate-call-id": ("error", "two tool calls of a row have one id"),
    "result-without-call": ("error", "a tool result answers no call before it"),
    "call-without-result": ("error", "the conversation goes on before a tool call has its result"),
    "arguments-not-json": ("error", "the arguments of a tool call are not a JSON object"),
    "arguments-schema": ("error", "the arguments of a tool call do not satisfy the tool's JSON schema"),
    "bad-tool-schema": ("warning", "the JSON schema of a called tool can't be used, so its arguments go unchecked"),
    "placeholder": (
        "error",
        "a placeholder was left that nobody asked for: {{name}}, <INSERT ...>, [YOUR NAME]; code is left alone",
    ),
    "mojibake": ("error", "UTF-8 that was once read as Latin-1 or Windows-1252"),
    "lost-characters": ("warning", "the replacement character stands where a character was lost"),
    "nul-character": ("error", "a NUL character in the text"),
    "undesirable-answer": ("warning", "people found the answer bad: train with `objective: kto`, or leave the row out"),
    "target-not-json": ("error", "the answer is not one JSON value"),
    "no-schema": ("error", "the row lacks the schema that its answer has to satisfy"),
    "bad-schema": ("error", "the schema that the answer has to satisfy can't be used"),
    "target-schema": ("error", "the answer does not satisfy its schema"),
    "template-error": ("error", "the chat template refuses the conversation"),
    "history-rewritten": ("error", "the template renders earlier turns differently once later ones follow"),
    "prompt-differs": ("error", "the prompt at use is not what the answer is learned behind, as text or as tokens"),
    "text-not-rendered": ("error", "the template leaves out what a message says"),
    "reasoning-not-rendered": ("error", "the template leaves out what an answer's reasoning says"),
    "calls-not-rendered": ("error", "the template leaves out a tool call or its arguments"),
    "tools-not-rendered": ("error", "the template leaves out the tools of the row"),
    "lossy-tokens": ("error", "the tokenizer can't spell a character: what the tokens say is not the text"),
    "boundary-token": ("error", "one token joins the prompt's end and the answer's start"),
    "no-stop-token": ("error", "a rendered answer does not end in a token that stops generation"),
    "empty-answer": ("error", "an answer says nothing: white space, an empty thought, or only its stop token"),
    "nothing-supervised": ("error", "every answer has weight 0: there is nothing to learn"),
    "control-token-in-text": ("error", "a message, a call or a tool spells a control token of the base model"),
    "too-many-tokens": ("error", "the rendered row has more tokens than `max_tokens`"),
}
RULES: dict[str, str] = {name: text for name, (_, text) in _RULES.items()}
SEVERITY: dict[str, Severity] = {name: severity for name, (severity, _) in _RULES.items()}
