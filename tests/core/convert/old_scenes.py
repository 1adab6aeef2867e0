"""Files in the format of torchdistill 1.x for masks, boxes and split datasets; ours, not published ones."""

from __future__ import annotations

_TRANSFORMS = """\
!import_call
          key: 'custom.transform.CustomCompose'
          init:
            kwargs:
              transforms:
STEPS                - !import_call {key: 'custom.transform.CustomToTensor', init: }
                - !import_call
                  key: 'custom.transform.CustomNormalize'
                  init: {kwargs: {mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}}
"""
_TRAIN = """\
                - !import_call {key: 'custom.transform.CustomRandomResize', init: {kwargs: {min_size: 20, max_size: 40}}}
                - !import_call {key: 'custom.transform.CustomRandomHorizontalFlip', init: {kwargs: {p: 0.5}}}
                - !import_call {key: 'custom.transform.CustomRandomCrop', init: {kwargs: {size: 40}}}
"""
_EVAL = "                - !import_call {key: 'custom.transform.CustomRandomResize', init: {kwargs: {min_size: 40, max_size: 40}}}\n"

VOC = f"""\
datasets:
  &voc_train voc/train: !import_call
    key: 'torchvision.datasets.VOCSegmentation'
    init:
      kwargs:
        root: &root 'ROOT'
        image_set: 'train'
        year: '2012'
        transforms: {_TRANSFORMS.replace("STEPS", _TRAIN)}
  &voc_val voc/val: !import_call
    key: 'torchvision.datasets.VOCSegmentation'
    init:
      kwargs:
        root: *root
        image_set: 'val'
        year: '2012'
        transforms: {_TRANSFORMS.replace("STEPS", _EVAL)}
"""

_COCO = f"""\
datasets:
  &coco_train coco2017/train: !import_call
    key: 'coco.dataset.coco_dataset'
    init:
      kwargs: &train_kwargs
        img_dir_path: !join [&root 'ROOT', '/train2017']
        ann_file_path: !join [*root, '/annotations/instances_train2017.json']
        annotated_only: True
        is_segment: True
        transforms: {_TRANSFORMS.replace("STEPS", _TRAIN)}
  &coco_val coco2017/val: !import_call
    key: 'coco.dataset.coco_dataset'
    init:
      kwargs:
        img_dir_path: !join [*root, '/val2017']
        ann_file_path: !join [*root, '/annotations/instances_val2017.json']
        annotated_only: False
        is_segment: True
        transforms: {_TRANSFORMS.replace("STEPS", _EVAL)}
"""

_LOADER = """\
train_data_loader:
  dataset_id: *TRAIN
  sampler:
    class_or_func: !import_get
      key: 'torch.utils.data.RandomSampler'
    kwargs:
  kwargs: {batch_size: 2, num_workers: 0, drop_last: True}
  collate_fn: 'coco_seg_collate_fn'
val_data_loader:
  dataset_id: *VAL
  sampler: &val_sampler
    class_or_func: !import_get
      key: 'torch.utils.data.SequentialSampler'
    kwargs:
  kwargs: {batch_size: 1, num_workers: 0}
  collate_fn: 'coco_seg_eval_collate_fn'
"""

TEST = """\
test:
  test_data_loader:
    dataset_id: *VAL
    sampler: *val_sampler
    kwargs: {batch_size: 1, num_workers: 0}
    collate_fn: 'coco_seg_eval_collate_fn'
"""

_DICT_CE = """\
criterion:
  key: 'WeightedSumLoss'
  kwargs:
    sub_terms:
      ce:
        criterion: {key: 'CrossEntropyLoss', kwargs: {reduction: 'mean', ignore_index: 255}}
        criterion_wrapper:
          key: 'DictLossWrapper'
          kwargs:
            input: {is_from_teacher: False, module_path: '.', io: 'output'}
            target: {uses_label: True}
            weights: {out: 1.0, aux: 0.5}
        weight: 1.0
"""


def indented(text: str, levels: int) -> str:
    return "".join("  " * levels + line for line in text.splitlines(keepends=True))


def loaders(train: str, val: str) -> str:
    return _LOADER.replace("TRAIN", train).replace("VAL", val)


SEGMENTATION = f"""\
{_COCO}
models:
  model:
    key: 'fcn_resnet50'
    kwargs: {{num_classes: 21, aux_loss: True, weights_backbone: }}
    src_ckpt:
    dst_ckpt: './out.pt'

train:
  log_freq: 10
  num_epochs: 1
{indented(loaders("coco_train", "coco_val"), 1)}
  model:
    forward_proc: 'forward_batch_only'
    sequential: []
    wrapper: 'DistributedDataParallel'
    requires_grad: True
    frozen_modules: []
  optimizer:
    key: 'SGD'
    module_wise_kwargs:
      - {{module: 'backbone', kwargs: {{lr: 0.0025}}}}
      - {{module: 'classifier', kwargs: {{lr: 0.0025}}}}
      - {{module: 'aux_classifier', kwargs: {{lr: 0.025}}}}
    kwargs: {{lr: 0.0025, momentum: 0.9, weight_decay: 0.0001}}
  scheduler:
    key: 'poly_lr_scheduler'
    kwargs:
      num_iterations: !import_call
        key: 'utils.dataset.get_num_iterations'
        init: {{kwargs: {{batch_size: 2, world_size: 1}}}}
      num_epochs: 1
      power: 0.9
    scheduling_step: 1
{indented(_DICT_CE, 1)}
{TEST.replace("VAL", "coco_val")}
"""
