"""A file in the format of torchdistill 1.x for texts of the hub with several labels; ours, not a published one."""

TEXTS = """\
dependencies:
  - name: 'custom'

datasets: !import_call
  key: 'datasets.load_dataset'
  init:
    kwargs: {path: &name 'go_emotions', name: 'simplified', trust_remote_code: True}

preprocess:
  pad_to_max_length: False
  max_length: 128
  base_split_name: 'train'
  batched: True
  text_keys: ['text']
  label_key: 'labels'
  try_original_type: False
  dataset_id_map:
    &train_id !join [*name, '/train']: train
    &val_id !join [*name, '/validation']: validation
    &test_id !join [*name, '/validation']: validation

models:
  student_model:
    key: &key 'bert-base-uncased'
    model_name_or_path: *key
    config_kwargs: {pretrained_model_name_or_path: *key, num_labels: 28, problem_type: 'multi_label_classification'}
    tokenizer_kwargs: {pretrained_model_name_or_path: *key, do_lower: True, use_fast: True}
    model_kwargs: {pretrained_model_name_or_path: *key}
    src_ckpt:
    dst_ckpt: './out'

train:
  log_freq: 50
  num_epochs: 4
  train_data_loader:
    dataset_id: *train_id
    sampler: {class_or_func: !import_get {key: 'torch.utils.data.RandomSampler'}, kwargs: }
    kwargs: {batch_size: 16, num_workers: 0, pin_memory: True, drop_last: False}
    collate_fn: 'DataCollatorWithPadding'
    requires_supp: False
  val_data_loader: &val
    dataset_id: *val_id
    sampler: {class_or_func: !import_get {key: 'torch.utils.data.SequentialSampler'}, kwargs: }
    kwargs: {batch_size: 32, num_workers: 0, pin_memory: True, drop_last: False}
    collate_fn: 'DataCollatorWithPadding'
    requires_supp: False
  model:
    forward_proc: 'forward_batch_as_kwargs'
    sequential: []
    wrapper:
    requires_grad: True
    frozen_modules: []
  optimizer:
    key: 'optimizer_no_decay'
    kwargs: {optimizer_key: 'AdamW', lr: 5.0e-5, weight_decay: 0.0}
    filters_params: False
    max_grad_norm: 1.0
  scheduler:
    key: 'get_linear_schedule_with_warmup'
    kwargs: {num_warmup_steps: 0, num_training_steps: }
    scheduling_step: 1
  criterion:
    key: 'WeightedSumLoss'
    func2extract_model_loss: 'extract_transformers_loss'
    kwargs:
      model_term: {weight: 1.0}

METRICS
test:
  test_data_loader: *val
"""
_METRICS = """\
metrics:
  f1: !import_call {key: 'evaluate.load', init: {kwargs: {path: 'f1', config_name: 'multilabel'}}}

evaluate:
  main_metric: 'f1'
  metrics:
    f1: {argmax: False, thresholds: 0.3, compute: {average: 'macro'}}
"""
WITH_METRICS = TEXTS.replace("METRICS", _METRICS)
WITHOUT_METRICS = TEXTS.replace("METRICS", "")
