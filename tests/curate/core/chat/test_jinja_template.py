"""Chat templates render as transformers renders them, whatever the template does and whatever it is given."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.exceptions import SecurityError, TemplateError
from transformers.utils.chat_template_utils import render_jinja_template

from curate.core.chat.jinja_template import ChatTemplate
from curate.core.rows.row import Message, message_dicts
from tests.chat_formats import FAMILIES, TOOLS

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich <b>"}}}
CONVERSATIONS: list[list[dict[str, Any]]] = [
    [{"role": "user", "content": " q "}, {"role": "assistant", "content": "a\n"}],
    [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
    [{"role": "user", "content": "q"}, {"role": "assistant", "content": "<think>x</think>a"}] * 2,
    [
        {
            "role": "user",
            "content": [{"type": "text", "text": "one"}, {"type": "image"}, {"type": "text", "text": "é"}],
        },
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "3 °C", "tool_call_id": "c1"},
        {"role": "assistant", "content": "Cold."},
    ],
    [],
]
# What templates in use lean on beyond loops and conditions.
FEATURES = {
    "namespace": "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
    "namespace-self": "{% set ns = namespace(self=2) %}{{ ns.self }}",
    "namespace-private": "{% set ns = namespace(_x=2) %}{{ ns._x }}",
    "namespace-private-set": "{% set ns = namespace() %}{% set ns._x = 1 %}{{ ns._x }}",
    "dict": "{{ dict(a=1) | tojson }}{{ dict.fromkeys(['a', 'b'], 0) | tojson }}",
    "dict-escape": "{{ dict.__class__.__mro__ }}",
    "json": "{{ messages | tojson }}{{ messages | tojson(indent=2) }}"
    "{{ messages | tojson(true, none, (',', ':'), true) }}",
    "json-html": "{{ {'a': '<b>&\\'é'} | tojson }}",
    "loop-controls": "{% for m in messages %}{% if loop.index > 2 %}{% break %}{% endif %}{% if m.role == 'system' %}"
    "{% continue %}{% endif %}{{ m.role }}{% endfor %}",
    "white-space": "  {% if true %}\n  x \n  {% endif %}\n\n {# note #}\n{{- 'y' -}} \n z\n",
    "special-tokens": "{{ bos_token }}{{ eos_token }}{{ pad_token }}",
    "macro": "{% macro say(m) %}{% generation %}{{ m.content }}{% endgeneration %}{% endmacro %}"
    "{% for m in messages %}<{{ m.role }}>{{ say(m) }}{% endfor %}",
    "generation": "{% for m in messages %}{{ m.role }}{% if m.role == 'assistant' %}{%- generation -%} {{ m.content }} "
    "{% endgeneration %}{% endif %}\n{% endfor %}",
    "string-methods": "{% for m in messages %}{{ m.content.split('</think>')[-1].strip() }}{% endfor %}",
    "undefined": "{{ documents is none }}{{ nothing is defined }}{{ nothing }}",
    "undefined-inside": "{{ nothing.inside }}",
    "refuses": "{{ raise_exception('roles must alternate') }}",
    "changes-messages": "{% if messages %}{{ messages.append(1) }}{% endif %}",
    "changes-message": "{% for m in messages %}{{ m.update(role='x') }}{% endfor %}",
    "no-template": "{% for %}",
    "date": "{{ strftime_now('%Y') }}",
}


def both(source: str, messages: list[dict[str, Any]], tools: Any, *, follows: bool, marked: bool) -> list[Any]:
    """What transformers and we make of it: text and spans, or the error's type and, where a user reads it, its text."""

    def theirs() -> Any:
        texts, spans = render_jinja_template(
            [messages], tools, None, source, marked, add_generation_prompt=follows, **SPECIAL
        )
        return texts[0], [tuple(span) for span in spans[0]] if marked else []

    def ours() -> Any:
        template = ChatTemplate(source, SPECIAL)
        return (
            template.render_marked(messages, tools)
            if marked
            else (template.render(messages, tools, answer_follows=follows), [])
        )

    results: list[Any] = []
    for render in (theirs, ours):
        try:
            results.append(render())
        except SecurityError as error:
            results.append(type(error))  # the reason is worded by each in its own way
        except Exception as error:  # noqa: BLE001 - a template may raise anything, and has to raise the same
            results.append((type(error), str(error)))
    return results


@pytest.mark.parametrize("messages", CONVERSATIONS, ids=["plain", "system", "thinking", "tools", "empty"])
@pytest.mark.parametrize("source", [*(family[0] for family in FAMILIES.values()), *FEATURES.values()],
                         ids=[*FAMILIES, *FEATURES])  # fmt: skip
def test_templates_render_as_transformers_renders_them(source: str, messages: list[dict[str, Any]]) -> None:
    for tools in (None, [], TOOLS):
        for follows in (False, True):
            theirs, ours = both(source, messages, tools, follows=follows, marked=False)
            assert ours == theirs
    if "{% generation" in source or "{%- generation" in source:
        theirs, ours = both(source, messages, None, follows=False, marked=True)
        assert ours == theirs


@given(
    st.sampled_from(sorted(set(FAMILIES) | {"json", "generation"})),
    st.lists(
        st.builds(Message, st.sampled_from(["system", "user", "assistant", "tool"]), st.text(max_size=20)), max_size=5
    ),
)
def test_any_text_renders_as_in_transformers(name: str, messages: list[Message]) -> None:
    source = FAMILIES[name][0] if name in FAMILIES else FEATURES[name]
    theirs, ours = both(source, message_dicts(messages), None, follows=True, marked=False)
    assert ours == theirs


def test_a_fault_while_recording_leaves_nothing_behind() -> None:
    source = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{{ m.x.y }}{% endfor %}"
    template = ChatTemplate(source, {})
    with pytest.raises(TemplateError):
        template.render_marked([{"content": "a"}], None)
    assert template.render_marked([{"content": "bc", "x": {"y": 1}}], None) == ("bc1", [(0, 2)])
