"""Files in the format of torchdistill 1.x, one per method, small enough to train; ours, not published ones."""

from __future__ import annotations

import textwrap

from .old_datasets import DATASETS

MODELS = """\
models:
  teacher_model:
    key: &teacher_key 'resnet32'
    kwargs: {num_classes: 2}
    src_ckpt:
  student_model:
    key: &student_key 'resnet20'
    kwargs: {num_classes: 2}
    _experiment: &experiment !join [*data_name, '-', *student_key, '_from_', *teacher_key]
    src_ckpt:
    dst_ckpt: !join ['./resource/ckpt/', *experiment, '.pt']
"""

LOADER = """\
train_data_loader:
  dataset_id: *train_id
WRAPPER  sampler:
    class_or_func: !import_get
      key: 'torch.utils.data.RandomSampler'
    kwargs:
  kwargs: {batch_size: 4, num_workers: 0, pin_memory: True, drop_last: True}
  cache_output:
"""

VAL = """\
val_data_loader:
  dataset_id: *val_id
  sampler: &val_sampler
    class_or_func: !import_get
      key: 'torch.utils.data.SequentialSampler'
    kwargs:
  kwargs: {batch_size: 4, num_workers: 0}
"""

OPTIMIZER = """\
optimizer:
  key: 'SGD'
  kwargs: {lr: 0.01, momentum: 0.9, weight_decay: 0.0005}
scheduler:
  key: 'MultiStepLR'
  kwargs: {milestones: [1], gamma: 0.1}
"""

TEST = """\
test:
  test_data_loader:
    dataset_id: *val_id
    sampler: *val_sampler
    kwargs: {batch_size: 1, num_workers: 0}
"""

CE = """\
ce:
  criterion: {key: 'CrossEntropyLoss', kwargs: {reduction: 'mean'}}
  criterion_wrapper:
    key: 'SimpleLossWrapper'
    kwargs:
      input: {is_from_teacher: False, module_path: '.', io: 'output'}
      target: {uses_label: True}
  weight: 1.0
"""

LOGITS = "student_module_path: '.', student_module_io: 'output', teacher_module_path: '.', teacher_module_io: 'output'"
KD = f"kd: {{criterion: {{key: KDLoss, kwargs: {{{LOGITS}, temperature: 4.0, alpha: 0.5, reduction: batchmean}}}}, weight: 1.0}}\n"


def indented(text: str, levels: int) -> str:
    return textwrap.indent(text, "  " * levels)


def side(wrapper: str = "", *, learns: bool = True, more: str = "", forward: str = "forward_batch_only") -> str:
    aux = f"auxiliary_model_wrapper:\n{indented(wrapper, 1)}" if wrapper else ""
    return (
        f"forward_proc: '{forward}'\nwrapper:\nrequires_grad: {learns}\nforward_hook: {{input: [], output: ['layer3']}}\n"
        f"{aux}{more}"
    )


def stage(terms: str, *, student: str = "", teacher: str = "", loader: bool = True, dataset_wrapper: str = "") -> str:
    wrapper = f"  dataset_wrapper: {dataset_wrapper}\n" if dataset_wrapper else ""
    data = LOADER.replace("WRAPPER", wrapper) + VAL if loader else ""
    teacher_side = f"teacher:\n{indented(teacher or side(learns=False), 1)}"
    student_side = f"student:\n{indented(student or side(), 1)}"
    criterion = f"criterion:\n  key: 'WeightedSumLoss'\n  kwargs:\n    sub_terms:\n{indented(terms, 3)}"
    return f"num_epochs: 1\n{data}{teacher_side}{student_side}{OPTIMIZER}{criterion}"


def file(*stages: str) -> str:
    if len(stages) == 1:
        train = indented("log_freq: 10\n" + stages[0], 1)
    else:
        parts = "".join(f"stage{number}:\n{indented(one, 1)}" for number, one in enumerate(stages, start=1))
        train = indented("log_freq: 10\n" + parts, 1)
    return f"{DATASETS}\n{MODELS}\ntrain:\n{train}\n{TEST}"


def term(name: str, key: str, kwargs: str, weight: float = 1.0) -> str:
    return f"{name}: {{criterion: {{key: {key}, kwargs: {{{kwargs}}}}}, weight: {weight}}}\n"


def both(path: str, stem: str = "module") -> str:
    return f"student_{stem}_path: '{path}', student_{stem}_io: output, teacher_{stem}_path: '{path}', teacher_{stem}_io: output"


def pair(student: str, teacher: str, weight: float = 1) -> str:
    return f"{{student: {{io: output, path: {student}}}, teacher: {{io: output, path: {teacher}}}, weight: {weight}}}"


PARAPHRASER = "{k: 0.5, num_input_channels: 64, kernel_size: 3, stride: 1, padding: 1, uses_bn: False}"
FT_TEACHER = (
    "key: Teacher4FactorTransfer\nkwargs:\n  minimal: {sequential: [conv1, bn1, relu, layer1, layer2, layer3]}\n"
    "  input_module_path: teacher_model.layer3\n"
    f"  paraphraser_kwargs: {PARAPHRASER}\n  paraphraser_ckpt: p.pt\n  uses_decoder: True\n"
)
EMPTY = side("key: EmptyModule\nkwargs:\n", learns=False)
RECONSTRUCTION = """\
reconst:
  criterion: {key: MSELoss, kwargs: {reduction: sum}}
  criterion_wrapper:
    key: SimpleLossWrapper
    kwargs:
      input: {is_from_teacher: True, module_path: paraphraser, io: output}
      target: {is_from_teacher: True, module_path: teacher_model.layer3, io: output}
  weight: 1.0e-9
"""


def linear(key: str, more: str = "") -> str:
    return f"key: {key}\nkwargs:\n  input_module: {{path: model.avgpool, io: output}}\n{more}"


CCKD = linear("Linear4CCKD", "  linear_kwargs: {in_features: 64, out_features: 8, bias: True}\n")
CRD = (
    "key: Linear4CRD\nkwargs:\n  input_module_path: model.avgpool\n"
    "  linear_kwargs: {in_features: 64, out_features: 8, bias: True}\n  power: 2\n"
)
SSKD = linear("SSWrapper4SSKD", "  feat_dim: 64\n  ss_module_ckpt: s.pt\n  freezes_ss_module: False\n")
SRD = linear("SRDModelWrapper", "  norm_kwargs: {num_features: 64, eps: 0.0001, affine: False}\n").replace(
    "avgpool", "layer3"
)
CONV = "conv2d_kwargs: {in_channels: 64, out_channels: 64, kernel_size: 1, stride: 1, padding: 0, bias: False}, bn2d_kwargs: {num_features: 64}"
REGRESSOR = "{in_channels: 64, middle_channels: 16, out_channels: 64, eps: 1.0e-5, init_pred_var: 5.0}"
FROZEN = "frozen_modules: [model]\n"


def hierarchical(name: str, part: int, teacher: str, io: str) -> str:
    paths = f"student_module_path: abf_modules.{part}, student_module_io: output, teacher_module_path: {teacher}, teacher_module_io: {io}"
    return term(name, "HierarchicalContextLoss", f"{paths}, reduction: mean, output_sizes: [4, 2, 1]")


def wrapped(name: str, module: str, target: str) -> str:
    return (
        f"{name}:\n  criterion: {{key: MSELoss, kwargs: {{reduction: sum}}}}\n  criterion_wrapper:\n"
        f"    key: SimpleLossWrapper\n    kwargs:\n      input: {{is_from_teacher: False, module_path: '{module}', io: output}}\n"
        f"      target: {{is_from_teacher: True, module_path: '{target}', io: output}}\n  weight: 1.0\n"
    )


FUSION = "kwargs: {in_channels: 64, mid_channels: 16, out_channels: 64}"

FILES: dict[str, str] = {
    "kd": file(stage(KD)),
    "kd_without_labels": file(stage(term("kd", "KDLoss", f"{LOGITS}, temperature: 4.0, alpha: 0"))),
    "kd_w_ls": file(stage(term("kd", "LogitStdKDLoss", f"{LOGITS}, temperature: 2.0, alpha: 0.5, beta: 9"))),
    "tfkd": file(stage(term("kd", "KDLoss", f"{LOGITS}, temperature: 1.0, alpha: 0.9"))),
    "l2": file(stage(CE + wrapped("l2", "avgpool", "avgpool"))),
    "at": file(stage(CE + term("at", "ATLoss", f"at_pairs: {{a: {pair('layer2', 'layer2')}, b: {pair('layer3', 'layer3')}}}, mode: code", 1000))),
    "spkd": file(stage(CE + term("spkd", "SPKDLoss", "teacher_output_path: layer3, student_output_path: layer3, reduction: batchmean"))),
    "rkd": file(stage(KD + term("rkd", "RKDLoss", "teacher_output_path: layer3, student_output_path: layer3, dist_factor: 1.0, angle_factor: 2.0, reduction: mean"))),
    "pkt": file(stage(term("pkt", "PKTLoss", "student_module_path: fc, student_module_io: input, teacher_module_path: fc, teacher_module_io: input, eps: 1.0e-7", 30000))),
    "dist": file(stage(CE + term("dist", "DISTLoss", f"{LOGITS}, beta: 2.0, gamma: 2.0, tau: 1.0"))),
    "dist_plus": file(stage(CE + term("dist", "DISTPlusLoss", f"{both('.', 'logit_module')}, {both('layer3', 'feature_module')}, beta: 2.0, gamma: 2.0, iota: 1.0, kappa: 1.0, tau: 1.0", 2))),
    "skd": file(stage(CE + term("instance", "SKDInstanceLoss", f"{LOGITS}, temperature: 4.0") + term("direction", "SKDDirectionLoss", f"{LOGITS}, tikhonov: 0.1"))),
    "fsp": file(
        stage(
            term("fsp", "FSPLoss", "fsp_pairs: {p: {teacher_first: {io: input, path: layer2}, teacher_second: {io: output, path: layer2}, student_first: {io: input, path: layer2}, student_second: {io: output, path: layer2}, weight: 1}}"),
            student=side(more="sequential: [conv1, bn1, relu, layer1, layer2]\n"),
            teacher=side(learns=False, more="sequential: [conv1, bn1, relu, layer1, layer2]\n"),
        ),
        stage(CE, loader=False),
    ),
    "fitnet": file(
        stage(
            wrapped("hint", "+convreg", "layer1"),
            student=side(
                more="sequential: [conv1, bn1, relu, layer1, +convreg]\n"
                "adaptations: {convreg: {key: ConvReg, kwargs: {num_input_channels: 16, num_output_channels: 16, kernel_size: 1, stride: 1, padding: 0, uses_relu: True}}}\n"
            ),
        ),
        stage(KD, loader=False),
    ),
    "ft": file(
        stage(RECONSTRUCTION, student=EMPTY, teacher=side(FT_TEACHER, more="frozen_modules: [teacher_model]\n")),
        stage(
            CE + term("ft", "FTLoss", "p: 1, reduction: mean, paraphraser_path: paraphraser, translator_path: translator", 1000),
            student=side("key: Student4FactorTransfer\nkwargs:\n  input_module_path: student_model.layer3\n  translator_kwargs: {num_input_channels: 64, num_output_channels: 32, kernel_size: 3, stride: 1, padding: 1, uses_bn: False}\n"),
            teacher=side(FT_TEACHER.replace("uses_decoder: True", "uses_decoder: False"), learns=False),
            loader=False,
        ),
    ),
    "dab": file(
        stage(
            term("dab", "AltActTransferLoss", f"feature_pairs: {{pair1: {pair('connector_dict.c1', 'layer3')}}}, margin: 1.0, reduction: mean"),
            student=side(f"key: Connector4DAB\nsequential: [conv1, bn1, relu, layer1, layer2, layer3]\nkwargs:\n  connectors: {{c1: {{io: output, path: student_model.layer3, {CONV}}}}}\n"),
        ),
        stage(term("kd", "KDLoss", f"{LOGITS}, temperature: 1.0, alpha: 1.0"), loader=False),
    ),
    "vid": file(
        stage(
            CE + term("vid", "VIDLoss", f"feature_pairs: {{pair1: {pair('regressor_dict.r1', 'layer3')}}}, margin: 1.0"),
            student=side(f"key: VariationalDistributor4VID\nkwargs:\n  regressors: {{r1: {{io: output, path: student_model.layer3, regressor_kwargs: {REGRESSOR}}}}}\n"),
        )
    ),
    "cckd": file(
        stage(
            KD + term("cckd", "CCKDLoss", "teacher_linear_path: linear, student_linear_path: linear, kernel_params: {key: gaussian, gamma: 0.4, max_p: 2}, reduction: batchmean", 0.003),
            student=side(CCKD),
            teacher=side(CCKD, more=FROZEN),
        )
    ),
    "crd": file(
        stage(
            CE + term("crd", "CRDLoss", "teacher_norm_module_path: normalizer, student_norm_module_path: normalizer, student_empty_module_path: empty, input_size: 8, output_size: 8, num_negative_samples: 6, num_samples: 8, temperature: 0.07, momentum: 0.5, eps: 1.0e-7", 0.8),
            student=side(CRD, forward="forward_batch_supp_dict"),
            teacher=side(CRD, more=FROZEN, forward="forward_batch_supp_dict"),
            dataset_wrapper="{key: CRDDatasetWrapper, kwargs: {num_negative_samples: 6, mode: exact, ratio: 1.0}}",
        )
    ),
    "sskd": file(
        stage(
            term("aux_task", "AuxSSKDLoss", "module_path: ss_module, module_io: output, reduction: mean"),
            student=EMPTY,
            teacher=side(SSKD, more=FROZEN, forward="forward_batch4sskd"),
            dataset_wrapper="{key: SSKDDatasetWrapper, kwargs: }",
        ),
        stage(
            term("sskd", "SSKDLoss", "student_linear_module_path: model.fc, teacher_linear_module_path: model.fc, student_ss_module_path: ss_module, teacher_ss_module_path: ss_module, kl_temp: 4.0, ss_temp: 0.5, tf_temp: 4.0, ss_ratio: 0.75, tf_ratio: 1.0, loss_weights: [1.0, 0.9, 10.0, 2.7], reduction: batchmean"),
            student=side(SSKD.replace("s.pt", "own.pt"), forward="forward_batch4sskd"),
            teacher=side(SSKD.replace("False", "True"), learns=False, forward="forward_batch4sskd"),
            loader=False,
        ),
    ),
    "pad": file(
        stage(
            CE + term("pad", "PADL2Loss", "student_embed_module_path: student_model.avgpool, student_embed_module_io: output, teacher_embed_module_path: avgpool, teacher_embed_module_io: output, module_path: var_estimator, module_io: output, eps: 1.0e-6, reduction: mean"),
            student=side(linear("VarianceBranch4PAD", "  feat_dim: 64\n  var_estimator_ckpt: v.pt\n").replace("model.avgpool", "student_model.avgpool")),
        )
    ),
    "kr": file(
        stage(
            CE + hierarchical("deep", 0, "avgpool", "output") + hierarchical("shallow", 1, "layer3.-1.relu", "input"),
            student=side(f"key: Student4KnowledgeReview\nkwargs:\n  abfs:\n    - {{path: student_model.layer3.-1.relu, io: input, {FUSION}}}\n    - {{path: student_model.avgpool, io: output, {FUSION}}}\n  sizes: [1, 8]\n"),
        )
    ),
    "ickd": file(
        stage(
            CE + term("ickd", "ChSimLoss", f"feature_pairs: {{pair1: {pair('embed_dict.e1', 'layer3')}}}", 500),
            student=side("key: Student4ICKD\nkwargs:\n  embeddings: {e1: {io: output, path: student_model.layer3, in_channels: 64, out_channels: 64}}\n"),
        )
    ),
    "srd": file(
        stage(
            CE + term("srd", "SRDLoss", f"{both('norm_layer', 'feature_module')}, {both('.', 'linear_module')}, exponent: 4.0, temperature: 1.0, reduction: batchmean"),
            student=side(SRD + "  linear_kwargs: {in_features: 64, out_features: 64}\n"),
            teacher=side(SRD, learns=False),
        )
    ),
}  # fmt: skip
"""Method → file."""
