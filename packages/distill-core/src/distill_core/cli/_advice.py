"""Messages of libraries without their advice to run the code of a file.

PyTorch, transformers, NumPy and others answer a file that needs code with the option that runs it. That advice does not
reach the user through Distill, which never takes it.
"""

from __future__ import annotations

import re

INSTEAD = (
    "  hint: Distill runs no code of a file: convert weights to safetensors, data to plain files, where you trust them"
)

_UNSAFE = (
    r"weights_only`*\s*(=|set to|to)\s*`*False",
    r"(trust_remote_code|allow_pickle|allow_all_kernels|use_kernels)`*\s*(=|set to|to)\s*`*True",
    r"(?-i:TRUST_REMOTE_CODE)",
    r"`(allow_pickle|trust_remote_code|weights_only)=`",
    r"safe_globals",
    r"import_allowlist`*\s*=",
)
_AROUND = (
    r"changed the default value of the `weights_only`",
    r"can still be loaded",
    r"recommended steps",
    r"learn more about types accepted by default",
    r"if you (got|trust)",
    r"checkpoint is trusted",
    r"permit loading of this model",
    r"wish to run the custom code",
)
"""Sentences that lead to the advice, or repeat it. Without the advice beside them they stay: our own hints say some."""
_ADVICE = re.compile("|".join(_UNSAFE), re.IGNORECASE)
_ANY = re.compile("|".join(_UNSAFE + _AROUND), re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])(?=\s)|(?=\n)")


def without_advice(text: str) -> str:
    """Replace sentences that advise to run the code of a file by what to do instead.

    >>> print(without_advice("It is a pickle. Pass `allow_pickle=True` to read it."))
    It is a pickle.
      hint: Distill runs no code of a file: convert weights to safetensors, data to plain files, where you trust them
    """
    if not _ADVICE.search(text):
        return text
    kept = [sentence for sentence in _SENTENCE.split(text) if not _ANY.search(sentence)]
    return "".join(kept).rstrip() + f"\n{INSTEAD}"
