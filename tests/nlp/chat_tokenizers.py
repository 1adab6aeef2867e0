"""Small chat tokenizers: with and without a begin token in the tokenizer, in the template, and with generation marks."""

from __future__ import annotations

from itertools import product

MESSAGE = "{{ '<|im_start|>' + message['role'] + '\\n' }}"
HEADER = "{{ '<|im_start|>assistant\\n' }}"
PLAIN = MESSAGE + "{{ (message['content'] or '') + '<|im_end|>\\n' }}"
MARKED = (
    "{% if message['role'] == 'assistant' %}"
    + HEADER
    + "{% generation %}{{ (message['content'] or '') + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"
    + "{% else %}"
    + PLAIN
    + "{% endif %}"
)
TOOLS = "{% if tools %}{{ '<|im_start|>system\\nTools: ' + (tools | tojson) + '<|im_end|>\\n' }}{% endif %}"


def template(*, begin: bool = False, marks: bool = False, message: str | None = None) -> str:
    """Return a ChatML template."""
    first = "{{ bos_token }}" if begin else ""
    body = message or (MARKED if marks else PLAIN)
    loop = "{% for message in messages %}" + body + "{% endfor %}"
    return first + TOOLS + loop + "{% if add_generation_prompt %}" + HEADER + "{% endif %}"


def chat_tokenizer(*, adds_begin: bool = False, chat_template: str | None = None):
    """Return a byte-level tokenizer with a begin token, which it may add itself, and the tokens of ChatML."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = ["<|begin|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    core.train_from_iterator(["user assistant system tool the capital of France is Paris\n\n" * 3], trainer)
    if adds_begin:
        core.post_processor = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", 0)])
    factory = PreTrainedTokenizerFast
    made = factory(tokenizer_object=core, bos_token="<|begin|>", eos_token="<|im_end|>", pad_token="<|im_end|>")
    made.chat_template = chat_template
    return made


BEGINS = list(product([False, True], [False, True]))
"""(the tokenizer adds a begin token, the template writes one)."""
