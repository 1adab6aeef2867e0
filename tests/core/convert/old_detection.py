"""A file in the format of torchdistill 1.x for detection on COCO; ours, not a published one."""

DETECTION = """\
datasets:
  &coco2017_train coco2017/train: !import_call
    key: 'coco.dataset.coco_dataset'
    init:
      kwargs:
        img_dir_path: !join [&root './resource/dataset/coco2017', '/train2017']
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

models:
  teacher_model:
    key: &teacher 'fasterrcnn_resnet50_fpn'
    _weights: &tw !import_get
      key: 'torchvision.models.detection.FasterRCNN_ResNet50_FPN_Weights'
    kwargs:
      num_classes: 91
      weights: !getattr [*tw, 'COCO_V1']
    src_ckpt:
  student_model:
    key: &student 'fasterrcnn_resnet50_fpn'
    kwargs:
      num_classes: 91
    src_ckpt:
    dst_ckpt: './out.pt'

train:
  log_freq: 1000
  num_epochs: 2
  train_data_loader:
    dataset_id: *coco2017_train
    sampler:
      class_or_func: !import_get
        key: 'torch.utils.data.RandomSampler'
      kwargs:
    batch_sampler:
      key: 'GroupedBatchSampler'
      kwargs: {batch_size: 4, aspect_ratio_group_factor: 3}
    kwargs: {num_workers: 4}
    collate_fn: 'coco_collate_fn'
  val_data_loader:
    dataset_id: *coco2017_val
    sampler: &s
      class_or_func: !import_get
        key: 'torch.utils.data.SequentialSampler'
      kwargs:
    kwargs: {batch_size: 1, num_workers: 4}
    collate_fn: 'coco_collate_fn'
  teacher:
    sequential: []
    forward_hook: {input: [], output: ['backbone.body.layer1', 'backbone.body.layer4']}
    forward_proc: 'forward_batch_target'
    requires_grad: False
    wrapper:
  student:
    sequential: []
    forward_hook: {input: [], output: ['backbone.body.layer1', 'backbone.body.layer4']}
    forward_proc: 'forward_batch_target'
    requires_grad: True
    frozen_modules: ['backbone.fpn', 'rpn', 'roi_heads']
    wrapper: 'DistributedDataParallel'
  optimizer:
    key: 'Adam'
    kwargs: {lr: 0.001}
  scheduler:
    key: 'MultiStepLR'
    kwargs: {milestones: [1], gamma: 0.1}
  criterion:
    key: 'WeightedSumLoss'
    func2extract_model_loss:
    kwargs:
      sub_terms:
        layer1: &term
          criterion: {key: 'MSELoss', kwargs: {reduction: 'sum'}}
          criterion_wrapper:
            key: 'SimpleLossWrapper'
            kwargs:
              input: {is_from_teacher: False, module_path: 'backbone.body.layer1', io: 'output'}
              target: {is_from_teacher: True, module_path: 'backbone.body.layer1', io: 'output'}
          weight: 1.0

test:
  test_data_loader:
    dataset_id: *coco2017_val
    sampler: *s
    kwargs: {batch_size: 1, num_workers: 4}
    collate_fn: 'coco_collate_fn'
"""
