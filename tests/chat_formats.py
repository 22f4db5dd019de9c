"""Small real tokenizers with chat templates of the families in use, built on the spot: one token per byte."""

from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from curate.core.chat.chat_format import ChatFormat, chat_parts

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Today's weather, in <b>short</b>.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]

# family -> (template, special tokens, stop token). Each reproduces how its family lays turns out.
FAMILIES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "chatml": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        ("<|im_start|>", "<|im_end|>"),
        "<|im_end|>",
    ),
    "chatml-marked": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
        "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        ("<|im_start|>", "<|im_end|>"),
        "<|im_end|>",
    ),
    "headers": (
        "<|begin|>{% for m in messages %}<|head|>{{ m.role }}<|/head|>\n\n{{ m.content | trim }}<|eot|>{% endfor %}"
        "{% if add_generation_prompt %}<|head|>assistant<|/head|>\n\n{% endif %}",
        ("<|begin|>", "<|head|>", "<|/head|>", "<|eot|>"),
        "<|eot|>",
    ),
    "inst": (
        "<s>{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content }}</s>"
        "{% else %}[INST]{{ m.content }}[/INST]{% endif %}{% endfor %}",
        ("<s>", "</s>", "[INST]", "[/INST]"),
        "</s>",
    ),
    "model-turns": (
        "<bos>{% for m in messages %}<turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
        "{{ m.content }}<end>\n{% endfor %}{% if add_generation_prompt %}<turn>model\n{% endif %}",
        ("<bos>", "<turn>", "<end>"),
        "<end>",
    ),
    # Tools in the system turn, calls and results as tagged JSON, content as text or as parts.
    "tools": (
        "{% macro said(content) %}{% if content is string %}{{ content }}{% elif content %}{% for part in content %}"
        "{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endif %}{% endmacro %}"
        "{% if tools %}<|im_start|>system\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}<|im_end|>\n"
        "{% endif %}"
        "{% for m in messages %}<|im_start|>{% if m.role == 'tool' %}user\n<result>{{ said(m.content) }}</result>"
        "{% else %}{{ m.role }}\n{{ said(m.content) }}{% for call in m.tool_calls or [] %}<call>"
        "{{ {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}</call>{% endfor %}"
        "{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        ("<|im_start|>", "<|im_end|>"),
        "<|im_end|>",
    ),
    # Every answer that has not thought begins with an empty thought, and so does the prompt.
    "empty-thought": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and '</think>' not in m.content "
        "%}<think>\n\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n\n</think>\n\n{% endif %}",
        ("<|im_start|>", "<|im_end|>"),
        "<|im_end|>",
    ),
    # The system text goes into the first user turn; after that, roles have to alternate.
    "strict-turns": (
        "{% if messages[0].role == 'system' %}{% set first = messages[0].content ~ '\n\n' %}"
        "{% set turns = messages[1:] %}{% else %}{% set first = '' %}{% set turns = messages %}{% endif %}<bos>"
        "{% for m in turns %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}"
        "{% endif %}<turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
        "{{ first if loop.first }}{{ m.content | trim }}<end>\n{% endfor %}"
        "{% if add_generation_prompt %}<turn>model\n{% endif %}",
        ("<bos>", "<turn>", "<end>"),
        "<end>",
    ),
    # Drops the reasoning of every answer but the last: earlier turns change once a later one has come.
    "forgets-reasoning": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{{ m.content if loop.last else m.content.split('</think>')[-1] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        ("<|im_start|>", "<|im_end|>"),
        "<|im_end|>",
    ),
    "never-stops": (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}",
        ("<eos>",),
        "<eos>",
    ),
    "refuses-system": (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system turn here') }}{% endif %}"
        "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        ("<|im_start|>", "<|im_end|>"),
        "<|im_end|>",
    ),
}


def chat_format(family: str, merges: tuple[tuple[str, str], ...] = (), without: str = "") -> ChatFormat:
    """The chat format of `family` over a tokenizer of single bytes, with `merges` on top (in byte-level characters).

    It can't spell the bytes in `without`.
    """
    return chat_format_of(*FAMILIES[family], merges, without)


def chat_format_of(
    template: str,
    specials: tuple[str, ...] = ("<|im_start|>", "<|im_end|>"),
    stop: str = "<|im_end|>",
    merges: tuple[tuple[str, str], ...] = (),
    without: str = "",
) -> ChatFormat:
    """The chat format of a template, over the tokenizer that `chat_format` says."""
    alphabet = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - set(without))
    vocabulary = {token: i for i, token in enumerate([*alphabet, *("".join(pair) for pair in merges)])}
    tokenizer = Tokenizer(BPE(vocabulary, list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=stop)
    fast.add_special_tokens({"additional_special_tokens": [token for token in specials if token != stop]})
    fast.chat_template = template
    return ChatFormat(chat_parts(fast), lambda: fast)
