"""The datasets of the old files."""

DATASETS = """\
# A file for the tests.

datasets:
  &train_id folder/train: !import_call
    _name: &data_name 'folder'
    _root: &root_dir !join ['ROOT/', *data_name]
    key: 'torchvision.datasets.ImageFolder'
    init:
      kwargs:
        root: !join [*root_dir, '/train']
        transform: !import_call
          key: 'torchvision.transforms.Compose'
          init:
            kwargs:
              transforms:
                - !import_call
                  key: 'torchvision.transforms.RandomResizedCrop'
                  init: {kwargs: {size: &size [32, 32]}}
                - !import_call
                  key: 'torchvision.transforms.RandomHorizontalFlip'
                  init: {kwargs: {p: 0.5}}
                - !import_call
                  key: 'torchvision.transforms.ToTensor'
                  init:
                - !import_call
                  key: 'torchvision.transforms.Normalize'
                  init: {kwargs: &pixels {mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}}
  &val_id folder/val: !import_call
    key: 'torchvision.datasets.ImageFolder'
    init:
      kwargs:
        root: !join [*root_dir, '/val']
        transform: !import_call
          key: 'torchvision.transforms.Compose'
          init:
            kwargs:
              transforms:
                - !import_call {key: 'torchvision.transforms.Resize', init: {kwargs: {size: 37}}}
                - !import_call {key: 'torchvision.transforms.CenterCrop', init: {kwargs: {size: *size}}}
                - !import_call {key: 'torchvision.transforms.ToTensor'}
                - !import_call {key: 'torchvision.transforms.Normalize', init: {kwargs: *pixels}}
"""
