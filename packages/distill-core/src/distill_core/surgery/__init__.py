"""Model changes for methods that need them. The results are ordinary models that train, save and predict as before.

Most methods only tap models. SimKD's student predicts with the teacher's classifier, and CAT-KD compares class activation
maps, which a model has only after its classifier is moved before the pooling. Both expect a model whose features go
through a global average pooling module and then a linear classifier, like ResNets. Methods whose extra layers belong to
the loss (VkD's projection) do not need this.

The final weights of a run are those of the plain model for CAT-KD and VkD. For SimKD they include projector and
classifier, which belong to the student.

`parts` builds a chain of modules of a model: those that a stage needs, with new modules between them if desired.
"""

from ._class_maps import with_class_maps as with_class_maps
from ._class_maps import without_class_maps as without_class_maps
from ._parts import parts as parts
from ._teacher_head import FeatureProjector as FeatureProjector
from ._teacher_head import with_teacher_head as with_teacher_head
