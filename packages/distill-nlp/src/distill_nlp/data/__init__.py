"""Text data as batches of `input_ids`, `attention_mask` and `target`, read from local files or from the hub."""

from ._apart import TextsApart as TextsApart
from ._causal import CausalCollate as CausalCollate
from ._causal import PackedTokens as PackedTokens
from ._causal import TokenSequences as TokenSequences
from ._collate import PadCollate as PadCollate
from ._completions import completions as completions
from ._documents import read_documents as read_documents
from ._documents import split_documents as split_documents
from ._encoded import EncodedTexts as EncodedTexts
from ._encoded import Tokenizer as Tokenizer
from ._encoded import find_tokenizer as find_tokenizer
from ._encoded import num_labels as num_labels
from ._glue import glue as glue
from ._glue import glue_texts as glue_texts
from ._glue_tasks import GlueTask as GlueTask
from ._glue_tasks import glue_task as glue_task
from ._grouped import LengthGroupedLoader as LengthGroupedLoader
from ._language_modelling import language_modelling as language_modelling
from ._python_docstrings import python_docstrings as python_docstrings
from ._table import read_table as read_table
from ._text_classification import text_classification as text_classification
