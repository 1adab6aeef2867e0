"""Files in the format of torchdistill with the spellings of its older versions, and with keys that are rare; ours."""

from __future__ import annotations

from .old_datasets import DATASETS
from .old_files import FILES
from .old_glue import GLUE
from .old_head_rcnn import GHND
from .old_scenes import SEGMENTATION

_OLDER = f"""\
{DATASETS}
models:
  model:
    type: 'resnet18'
    params: {{num_classes: 2, pretrained: False, progress: True}}
    experiment: 'resnet18-alone'
    ckpt: './out.pt'

train:
  log_freq: 10
  epochs: 1
  train_data_loader: {{dataset_id: *train_id, random_sample: True, batch_size: 4, num_workers: 0, pin_memory: True}}
  model:
    auxiliary_model: {{type: EmptyModule, params: }}
  optimizer:
    type: 'SGD'
    params: {{lr: 0.01}}
    grad_accum_step: 2
    module_wise_params:
      - {{module: 'fc', is_teacher_module: False, params: {{lr: 0.1}}}}
  scheduler:
    type: 'MultiStepLR'
    params: {{milestones: [1], gamma: 0.1}}
  criterion:
    type: 'GeneralizedCustomLoss'
    org_term:
      criterion: {{type: 'CrossEntropyLoss', params: {{reduction: 'mean', label_smoothing: 0.1}}}}
      factor: 1.0
    sub_terms:
      l2:
        criterion: {{type: 'MSELoss', params: {{reduction: 'sum'}}}}
        criterion_wrapper:
          type: 'SimpleLossWrapper'
          params:
            input: {{is_from_teacher: False, module_path: 'avgpool', io: 'output'}}
            target: {{is_from_teacher: False, module_path: 'layer4', io: 'output'}}
        factor: 0.5
"""

_SPLIT = """\
datasets:
  whole: &whole !import_call
    package: 'torchdistill.datasets.util'
    key: 'split_dataset'
    init:
      args: []
      kwargs:
        dataset: !import_call
          key: 'torchvision.datasets.CIFAR10'
          init: {kwargs: {root: './data', train: True, download: True}}
        LENGTHS: [45000, 5000]
        generator_seed: 7
        dataset_id: 'cifar10'
        sub_splits_configs:
          - transform: &augmented !import_call
              key: 'torchvision.transforms.Compose'
              init:
                kwargs:
                  transforms:
                    - !import_call {key: 'torchvision.transforms.RandomCrop', init: {kwargs: {size: 32, padding: 4}}}
                    - !import_call {key: 'torchvision.transforms.RandomHorizontalFlip', init: {kwargs: {p: 0.5}}}
                    - !import_call {key: 'torchvision.transforms.ToTensor'}
                    - &normalize !import_call
                      key: 'torchvision.transforms.Normalize'
                      init: {kwargs: {mean: [0.4914, 0.4822, 0.4465], std: [0.2470, 0.2435, 0.2616]}}
          - transform: !import_call
              key: 'torchvision.transforms.Compose'
              init:
                kwargs:
                  transforms:
                    - !import_call {key: 'torchvision.transforms.ToTensor'}
                    - *normalize
  &train_id cifar10/train: !access_by_index_or_key {data: *whole, index_or_key: 0}
  &val_id cifar10/val: !access_by_index_or_key {data: *whole, index_or_key: 1}
"""
_BEHIND_DATASETS = FILES["kd"][FILES["kd"].index("\nmodels:") :].replace("{num_classes: 2}", "{num_classes: 10}")
SPLIT = _SPLIT.replace("whole: &whole", "_whole: &whole").replace("LENGTHS", "lengths") + _BEHIND_DATASETS.replace(
    "*data_name, '-'", "'cifar10-'"
).replace("drop_last: True", "drop_last: False")
"""A file that trains on 45000 images of CIFAR-10 and holds 5000 out."""

_GROUPS = """\
group_ids: !import_call
          key: 'custom.sampler.create_aspect_ratio_groups'
          init: {kwargs: {dataset: *boxes, aspect_ratio_group_factor: 3}}"""

SPELLINGS = {
    "older": _OLDER,
    "split": SPLIT,
    "split_older": SPLIT.replace("lengths: [", "random_split_kwargs: ["),
    "cckd_config": FILES["cckd"].replace("kernel_params: {key:", "kernel_config: {type:"),
    "crd_io": FILES["crd"].replace("input_size: 8", "student_empty_module_io: input, input_size: 8"),
    "special": FILES["cckd"].replace("auxiliary_model_wrapper", "special"),
    "groups": GHND.replace("coco2017/train: !import_call", "coco2017/train: &boxes !import_call")
    .replace(
        "kwargs: {batch_size: 2, aspect_ratio_group_factor: 3}", f"kwargs:\n        batch_size: 2\n        {_GROUPS}"
    )
    .replace("key: 'Bottleneck4LargeResNet'", "type: 'Bottleneck4LargeResNet'")
    .replace("          num_classes: 1000\n", "")
    .replace("        kwargs:\n          trainable", "        params:\n          trainable"),
    "groups_of_parameters": SEGMENTATION.replace("module_wise_kwargs", "module_wise_configs")
    .replace("module: 'backbone', kwargs", "module: 'backbone', is_teacher: False, kwargs")
    .replace("year: '2012'", "year: '2012'\n        download: False"),
    "model_term": FILES["kd"].replace("      sub_terms:", "      model_term: {weight: 0.0}\n      sub_terms:"),
    "labels": GLUE.replace("num_labels: 2,", "num_labels: 2, problem_type: single_label_classification,").replace(
        "pred_output:", "idx2str: True\n    pred_output:"
    ),
}
"""Name → file."""
