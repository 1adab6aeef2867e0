"""Models changed for a method that needs them changed: ordinary models again, that train, save and predict as before.

Most methods leave models as they are and tap them. SimKD's student predicts with the teacher's classifier, and CAT-KD
compares class activation maps that a model has only after its classifier was moved before the pooling. Both expect a
model whose features go through a global average pooling module and then a linear classifier, as ResNets' do. A method
whose extra layers live in its loss (VkD's projection) needs none of this.

What a run writes at its end: of CAT-KD's and VkD's students, weights of the plain model; of SimKD's, those of the student with
projector and classifier, which belong to it.

`parts` makes a chain of modules of a model: the part that a stage needs, with new modules between where wanted.
"""

from ._class_maps import with_class_maps as with_class_maps
from ._class_maps import without_class_maps as without_class_maps
from ._parts import parts as parts
from ._teacher_head import FeatureProjector as FeatureProjector
from ._teacher_head import with_teacher_head as with_teacher_head
