"""A file in the format of torchdistill 1.x for head network distillation of a detector (GHND); ours."""

from __future__ import annotations

from .old_scenes import indented

_BOXES = """\
datasets:
  &coco2017_train coco2017/train: !import_call
    key: 'coco.dataset.coco_dataset'
    init:
      kwargs:
        img_dir_path: !join [&root 'ROOT', '/train2017']
        ann_file_path: !join [*root, '/annotations/instances_train2017.json']
        annotated_only: True
        random_horizontal_flip: 0.5
        transforms:
  &coco2017_val coco2017/val: !import_call
    key: 'coco.dataset.coco_dataset'
    init:
      kwargs:
        img_dir_path: !join [*root, '/val2017']
        ann_file_path: !join [*root, '/annotations/instances_val2017.json']
        annotated_only: False
        transforms:
"""


def _hint(number: int) -> str:
    path = f"seq.backbone.body.layer{number}"
    return f"""\
layer{number}:
  criterion: {{key: 'MSELoss', kwargs: {{reduction: 'sum'}}}}
  criterion_wrapper:
    key: 'SimpleLossWrapper'
    kwargs:
      input: {{is_from_teacher: False, module_path: '{path}', io: 'output'}}
      target: {{is_from_teacher: True, module_path: '{path}', io: 'output'}}
  weight: 1.0
"""


_HEAD = """\
sequential: []
forward_hook: {input: [], output: ['seq.backbone.body.layer1', 'seq.backbone.body.layer2']}
forward_proc: 'forward_batch_only'
auxiliary_model_wrapper:
  key: 'HeadRCNN'
  kwargs:
    head_rcnn: {sequential: ['backbone.body']}
"""

GHND = f"""\
{_BOXES}
models:
  teacher_model:
    key: 'fasterrcnn_resnet50_fpn'
    kwargs: {{num_classes: 91, weights_backbone: , min_size: 32, max_size: 32}}
    src_ckpt:
  student_model:
    key: 'custom_fasterrcnn_resnet_fpn'
    repo_or_dir: 'yoshitomo-matsubara/sc2-benchmark:main'
    kwargs:
      backbone:
        key: 'custom_resnet50'
        kwargs:
          num_classes: 1000
          trainable_backbone_layers: 6
          layer1:
            key: 'Bottleneck4LargeResNet'
            bottleneck_channel: 3
            compressor:
            decompressor:
      num_classes: 91
      min_size: 32
      max_size: 32
    src_ckpt:
    dst_ckpt: './out.pt'

train:
  log_freq: 10
  num_epochs: 1
  train_data_loader:
    dataset_id: *coco2017_train
    sampler:
      class_or_func: !import_get
        key: 'torch.utils.data.RandomSampler'
      kwargs:
    batch_sampler:
      key: 'GroupedBatchSampler'
      kwargs: {{batch_size: 2, aspect_ratio_group_factor: 3}}
    kwargs: {{num_workers: 0}}
    collate_fn: 'coco_collate_fn'
  val_data_loader:
    dataset_id: *coco2017_val
    sampler: &s
      class_or_func: !import_get
        key: 'torch.utils.data.SequentialSampler'
      kwargs:
    kwargs: {{batch_size: 1, num_workers: 0}}
    collate_fn: 'coco_collate_fn'
  teacher:
{indented(_HEAD, 2)}
    requires_grad: False
    wrapper: 'DataParallel'
    frozen_modules: []
  student:
{indented(_HEAD, 2)}
    requires_grad: True
    frozen_modules: ['seq.backbone.body.layer2', 'seq.backbone.body.layer3', 'seq.backbone.body.layer4']
    wrapper: 'DistributedDataParallel'
  optimizer:
    key: 'Adam'
    kwargs: {{lr: 0.001}}
  scheduler:
    key: 'MultiStepLR'
    kwargs: {{milestones: [5, 15], gamma: 0.1}}
  criterion:
    key: 'WeightedSumLoss'
    kwargs:
      sub_terms:
{indented(_hint(1) + _hint(2), 4)}

test:
  test_data_loader:
    dataset_id: *coco2017_val
    sampler: *s
    kwargs: {{batch_size: 1, num_workers: 0}}
    collate_fn: 'coco_collate_fn'
"""
