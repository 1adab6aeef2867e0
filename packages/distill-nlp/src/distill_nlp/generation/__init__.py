"""Text generation: on-policy distillation, datasets of teacher completions, and answers for metrics."""

from ._complete import complete_prompts as complete_prompts
from ._ends import end_tokens as end_tokens
from ._generations import Generations as Generations
from ._on_policy import OnPolicy as OnPolicy
from ._on_policy import joined as joined
from ._on_policy import prompt_lengths as prompt_lengths
from ._sample import Sampling as Sampling
from ._sample import generate as generate
from ._write import write_completions as write_completions
