"""A file in the format of torchdistill 1.x for knowledge translation and adaptation (KTAAD) on Pascal VOC; ours."""

from __future__ import annotations

from .old_scenes import TEST, VOC, indented, loaders

_PARAPHRASER = """\
auxiliary_model_wrapper:
  key: 'Teacher4FactorTransfer'
  kwargs:
    minimal:
    input_module_path: 'teacher_model.classifier.-1'
    paraphraser_kwargs: {k: 0.5, num_input_channels: 21, kernel_size: 3, stride: 1, padding: 1, uses_bn: True}
    paraphraser_ckpt: 'p.pt'
    uses_decoder: True
"""

_KTAAD_FIRST = f"""\
num_epochs: 1
{loaders("voc_train", "voc_val")}
teacher:
  forward_proc: 'forward_batch_only'
  sequential: []
  forward_hook: {{input: [], output: ['teacher_model.classifier.-1', 'paraphraser.encoder', 'paraphraser']}}
  wrapper:
  requires_grad: True
  frozen_modules: ['teacher_model']
{indented(_PARAPHRASER, 1)}
student:
  forward_proc: 'forward_batch_only'
  requires_grad: False
  wrapper:
  auxiliary_model_wrapper:
    key: 'EmptyModule'
    kwargs:
optimizer:
  key: 'SGD'
  kwargs: {{lr: 0.1, momentum: 0.9, weight_decay: 0.0001}}
criterion:
  key: 'WeightedSumLoss'
  kwargs:
    sub_terms:
      reconst:
        criterion: {{key: 'MSELoss', kwargs: {{reduction: 'REDUCTION'}}}}
        criterion_wrapper:
          key: 'SimpleLossWrapper'
          kwargs:
            input: {{is_from_teacher: True, module_path: 'paraphraser', io: 'output'}}
            target: {{is_from_teacher: True, module_path: 'teacher_model.classifier.-1', io: 'output'}}
        weight: 1.0
      regularization:
        criterion:
          key: 'RegularizationLoss'
          kwargs: {{is_from_teacher: True, module_path: 'paraphraser.encoder', io: 'output', p: 1}}
        weight: 0.0000001
"""

_KTAAD_SECOND = f"""\
num_epochs: 1
teacher:
  forward_proc: 'forward_batch_only'
  sequential: []
  forward_hook: {{input: [], output: ['teacher_model.classifier.-1', 'paraphraser.encoder']}}
  wrapper:
  requires_grad: False
{indented(_PARAPHRASER.replace("uses_decoder: True", "uses_decoder: False"), 1)}
student:
  forward_proc: 'forward_batch_only'
  sequential: []
  forward_hook: {{input: [], output: ['student_model.classifier.high_classifier', 'feature_adapter', 'affinity_adapter']}}
  wrapper:
  requires_grad: True
  frozen_modules: []
  auxiliary_model_wrapper:
    key: 'Student4KTAAD'
    kwargs:
      input_module_path: 'student_model.classifier.high_classifier'
      feature_adapter_config:
        conv_kwargs: {{in_channels: 21, out_channels: 10, kernel_size: 3, stride: 1, padding: 1}}
        bn_kwargs: {{num_features: 10}}
        relu_kwargs: {{inplace: True}}
      affinity_adapter_config:
        conv_kwargs: {{in_channels: 21, out_channels: 10, kernel_size: 3, stride: 1, padding: 1}}
optimizer:
  key: 'SGD'
  kwargs: {{lr: 0.007, momentum: 0.9, weight_decay: 0.000001}}
criterion:
  key: 'WeightedSumLoss'
  kwargs:
    sub_terms:
      ce:
        criterion: {{key: 'CrossEntropyLoss', kwargs: {{reduction: 'mean', ignore_index: 255}}}}
        criterion_wrapper:
          key: 'DictLossWrapper'
          kwargs:
            input: {{is_from_teacher: False, module_path: '.', io: 'output'}}
            target: {{uses_label: True}}
            weights: {{out: 1.0}}
        weight: 1.0
      adapt:
        criterion:
          key: 'KTALoss'
          kwargs: {{p: 1, q: 2, reduction: 'mean', knowledge_translator_path: 'paraphraser.encoder', feature_adapter_path: 'feature_adapter'}}
        weight: 50.0
      aff:
        criterion:
          key: 'AffinityLoss'
          kwargs: {{student_module_path: 'affinity_adapter', student_module_io: 'output', teacher_module_path: 'paraphraser.encoder', teacher_module_io: 'output', reduction: 'mean'}}
        weight: 1.0
"""

KTAAD = f"""\
{VOC}
models:
  teacher_model:
    key: 'lraspp_mobilenet_v3_large'
    kwargs: {{num_classes: 21, weights_backbone: }}
    src_ckpt:
  student_model:
    key: 'lraspp_mobilenet_v3_large'
    kwargs: {{num_classes: 21, weights_backbone: }}
    src_ckpt:
    dst_ckpt: './out.pt'

train:
  log_freq: 10
  stage1:
{indented(_KTAAD_FIRST.replace("REDUCTION", "mean").replace("classifier.-1", "classifier.high_classifier"), 2)}
  stage2:
{indented(_KTAAD_SECOND.replace("classifier.-1", "classifier.high_classifier"), 2)}
{TEST.replace("VAL", "voc_val")}
"""
