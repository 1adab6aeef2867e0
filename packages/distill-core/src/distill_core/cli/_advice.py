"""Messages of libraries without their advice to run the code of a file.

PyTorch, transformers, NumPy and others reject a file that needs code and name the option that runs it. Distill never
runs such code, and removes the advice.
"""

from __future__ import annotations

import re

INSTEAD = "  hint: Distill runs no code of a file: convert weights to safetensors and data to plain files on a trusted machine"

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
"""Sentences that introduce or repeat the advice. They are removed only beside the advice: our own hints use some."""
_ADVICE = "|".join(_UNSAFE)
_RELATED = "|".join(_UNSAFE + _AROUND)
_SENTENCE = r"(?<=[.!?])(?=\s)|(?=\n)"


def without_advice(text: str) -> str:
    """Replace sentences that advise to run the code of a file by a safe alternative.

    >>> print(without_advice("It is a pickle. Pass `allow_pickle=True` to read it."))
    It is a pickle.
      hint: Distill runs no code of a file: convert weights to safetensors and data to plain files on a trusted machine
    """
    if not re.search(_ADVICE, text, re.IGNORECASE):
        return text
    kept = [part for part in re.split(_SENTENCE, text) if not re.search(_RELATED, part, re.IGNORECASE)]
    return "".join(kept).rstrip() + f"\n{INSTEAD}"
