"""Models of transformers as teachers and students.

A model is fed by parameter name, `feed: {student: {input_ids: batch.input_ids, attention_mask: batch.attention_mask}}`,
and the fields of its output are taps: `student:out.logits`. With `hidden_states=True`, so are
`student:out.hidden_states.0` (the embeddings) and the output of each layer. A layer can also be tapped as a module,
`student.bert.encoder.layer.-1`, as can its queries, keys and values, `student.bert.encoder.layer.-1.attention.self.query`.
Attentions, `student:out.attentions.3`, require `attentions=True`, which selects eager attention.
"""

from ._adapter import with_adapter as with_adapter
from ._adapter import with_lora as with_lora
from ._checkpointing import with_gradient_checkpointing as with_gradient_checkpointing
from ._pretrained import from_pretrained as from_pretrained
from ._save import SavePretrained as SavePretrained
from ._student import student_from as student_from
from ._tiny import tiny_bert as tiny_bert
from ._tiny import tiny_gpt2 as tiny_gpt2
