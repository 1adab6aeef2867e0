"""A file in the format of torchdistill 1.x for a task of GLUE; ours, not a published one."""

GLUE = """\
dependencies:
  - name: custom

datasets:
  glue:
    name: &dataset_name 'sst2'
    raw_data_kwargs:
      train_file_path:
      valid_file_path:
    base_split_name: 'train'
    pad_to_max_length: False
    max_length: 128
    dataset_id_map:
      train: &glue_train !join [*dataset_name, '/train']
      validation: &glue_valid !join [*dataset_name, '/valid']
      test: &glue_test !join [*dataset_name, '/test']

models:
  teacher_model:
    model_name_or_path: &teacher_model_id 'textattack/bert-base-uncased-SST-2'
    config_kwargs: {pretrained_model_name_or_path: *teacher_model_id, num_labels: 2, finetuning_task: 'sst2'}
    tokenizer_kwargs: {pretrained_model_name_or_path: *teacher_model_id, use_fast: True}
    model_kwargs: {pretrained_model_name_or_path: *teacher_model_id}
    src_ckpt:
  student_model:
    model_name_or_path: &student_model_id 'google/bert_uncased_L-2_H-128_A-2'
    config_kwargs: {pretrained_model_name_or_path: *student_model_id, num_labels: 2, finetuning_task: 'sst2'}
    tokenizer_kwargs: {pretrained_model_name_or_path: *student_model_id, use_fast: True}
    model_kwargs: {pretrained_model_name_or_path: *student_model_id}
    src_ckpt:
    dst_ckpt: './resource/ckpt/sst2'

train:
  log_freq: 50
  num_epochs: 3
  train_data_loader:
    dataset_id: *glue_train
    sampler:
      class_or_func: !import_get
        key: 'torch.utils.data.RandomSampler'
      kwargs:
    kwargs: {batch_size: 16, num_workers: 0}
    collate_fn: 'default_data_collator'
    requires_supp: False
  val_data_loader:
    dataset_id: *glue_valid
    sampler: &seq
      class_or_func: !import_get
        key: 'torch.utils.data.SequentialSampler'
      kwargs:
    kwargs: {batch_size: 32, num_workers: 0}
    collate_fn: 'default_data_collator'
    requires_supp: False
  teacher:
    sequential: []
    forward_hook: {input: [], output: []}
    forward_proc: 'forward_batch_as_kwargs'
    wrapper:
    requires_grad: False
    frozen_modules: []
  student:
    sequential: []
    forward_hook: {input: [], output: []}
    forward_proc: 'forward_batch_as_kwargs'
    wrapper: 'DistributedDataParallel'
    requires_grad: True
    frozen_modules: []
  optimizer:
    key: 'AdamW'
    filters_params: False
    kwargs: {lr: 0.00002, weight_decay: 0.01}
    max_grad_norm: 1.0
  scheduler:
    key: 'get_scheduler'
    kwargs: {name: 'linear', num_warmup_steps: 0, num_training_steps: 6315}
    scheduling_step: 1
  criterion:
    key: 'WeightedSumLoss'
    func2extract_model_loss: 'extract_transformers_loss'
    kwargs:
      sub_terms:
        kd:
          criterion:
            key: 'KDLoss'
            kwargs: {student_module_path: '.', student_module_io: 'output', teacher_module_path: '.', teacher_module_io: 'output', temperature: 1.0, alpha: 0.5, reduction: 'batchmean'}
          weight: 1.0

test:
  test_data_loader:
    dataset_id: *glue_valid
    sampler: *seq
    kwargs: {batch_size: 32, num_workers: 0}
    collate_fn: 'default_data_collator'

private:
  - private_data_loader:
      dataset_id: *glue_test
      task_name: 'sst2'
      sampler: *seq
      kwargs: {batch_size: 32, num_workers: 0}
      collate_fn: 'default_data_collator'
    pred_output: 'sst2.tsv'
"""
