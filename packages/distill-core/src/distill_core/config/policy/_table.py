"""The policy as a table: name | allowed | why. Only `_names.py` and `_values.py` read it.

Three tables: names that a config may use, names that it may never use, and arguments whose values are restricted. A name
covers itself and everything below it. A longer name in `REFUSED` overrides a shorter one in `ALLOWED`. What is `CALLED`
may be called by a config, which checks the arguments, but not be handed to other code that calls it.
"""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """One row: a name or an argument, what is allowed of it, and why."""

    name: str
    allowed: str
    why: str


ALL = "all"
ITSELF = "itself"
CALLED = "called"
NOTHING = "nothing"

NULL = "null"
FALSE = "false"
TRUE = "true"
SAFETENSORS = "a .safetensors file"
ATTENTION = "an attention implementation of transformers itself"
EXPERTS = "an experts implementation of transformers itself"
QUANTIZER = "a quantization method that loads no kernels from the hub"
MEGATRON = "megatron.core"
NO_PICKLE = "a file that is neither a pickle nor a script"
METRIC = "the name of one of evaluate's own metrics, without a folder of that name here"
NO_SCRIPT = "a name or folder that is neither a script nor the builder of pickles"

ATTENTIONS = (
    "eager",
    "sdpa",
    "flex_attention",
    "flash_attention_2",
    "flash_attention_3",
    "flash_attention_4",
    "paged|eager",
)
EXPERT_KERNELS = ("eager", "batched_mm", "grouped_mm")
HUB_QUANTIZERS = ("eetq", "fbgemm_fp8", "fp8", "gguf", "metal", "mxfp4", "mxfp8", "nvfp4")
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".dill", ".py")


def _rows(allowed: str, why: str, prefix: str, names: str) -> list[Rule]:
    """One row for each name, all with the same prefix."""
    return [Rule(prefix + name, allowed, why) for name in names.split()]


ALLOWED: tuple[Rule, ...] = (
    *_rows(ALL, "our own packages", "distill_", "core vision nlp zoo"),
    *_rows(ALL, "layers, losses, optimizers, distributions", "torch.", "nn _C._nn optim distributions"),
    *_rows(ALL, "datasets and loaders", "torch.utils.data.", "dataset dataloader sampler distributed _utils.collate"),
    *_rows(
        ITSELF,
        "tensors and constants",
        "torch.",
        "tensor as_tensor zeros ones full arange linspace logspace eye rand randn randint randperm Generator _C.Generator "
        "device Size strided channels_last contiguous_format inf pi nan e",
    ),
    *_rows(
        ITSELF,
        "types of numbers",
        "torch.",
        "bool uint8 int8 int16 int32 int64 half float double long float16 float32 float64 bfloat16 complex64",
    ),
    *_rows(ITSELF, "functions of a tensor", "torch.", "relu sigmoid tanh softmax abs exp log sqrt"),
    *_rows(
        ITSELF,
        "arrays and constants",
        "numpy.",
        "array asarray arange linspace zeros ones full float16 float32 float64 int8 int16 int32 int64 uint8 bool_ pi inf nan",
    ),
    *_rows(ITSELF, "plain data", "builtins.", "list dict tuple set frozenset range int float complex str bool slice"),
    Rule("collections.OrderedDict", ITSELF, "plain data"),
    Rule("functools.partial", ITSELF, "a call with some of its arguments; both are judged"),
    Rule("math", ALL, "functions of numbers"),
    *_rows(ALL, "models, transforms, datasets", "torchvision.", "models transforms datasets ops tv_tensors"),
    *_rows(ALL, "models and their configurations", "transformers.", "models configuration_utils activations"),
    *_rows(ALL, "tokenizers and processors", "transformers.", "tokenization_ feature_extraction_ image_processing_"),
    *_rows(ALL, "collation and schedules", "transformers.", "data.data_collator optimization"),
    *_rows(ALL, "base classes", "transformers.", "modeling_utils.PreTrainedModel processing_utils.ProcessorMixin"),
    Rule("transformers.generation.configuration_utils", ALL, "settings of generation"),
    *_rows(ALL, "tables from files", "datasets.", "load.load_dataset load.load_from_disk"),
    *_rows(ALL, "tables", "datasets.", "arrow_dataset dataset_dict combine features splits iterable_dataset"),
    *_rows(CALLED, "its own metrics by name", "evaluate.", "loading.load module.combine"),
    *_rows(ALL, "adapters", "peft.", "tuners peft_model mapping mapping_func auto config utils.peft_types"),
    Rule("accelerate.utils.dataclasses", ALL, "settings of accelerate"),
    Rule("torchmetrics", ALL, "metrics"),
    *_rows(ALL, "models and how they are trained", "timm.", "models layers loss optim scheduler data"),
)
"""Names that a config may use, without `--trust`."""

REFUSED: tuple[Rule, ...] = (
    Rule(
        "torch.load", NOTHING, "it unpickles a file, which can run any code; weights are read with distill_core.weights"
    ),
    Rule("torch.save", NOTHING, "it writes a pickle"),
    Rule("torch.serialization", NOTHING, "it reads and writes pickles"),
    Rule("torch.jit", NOTHING, "it loads and compiles code"),
    Rule("torch.hub", NOTHING, "it downloads code and runs it"),
    Rule("torch.package", NOTHING, "it loads code from archives"),
    Rule("torch.utils.cpp_extension", NOTHING, "it compiles and loads native code"),
    Rule("torch.utils.collect_env", NOTHING, "it starts other programs"),
    Rule("torch.utils.benchmark", NOTHING, "it runs code from strings"),
    Rule("torch.utils.model_zoo", NOTHING, "it downloads pickles"),
    Rule("torch.utils.data.datapipes", NOTHING, "it maps arbitrary functions over files"),
    Rule("torch.utils.data.graph", NOTHING, "it pickles"),
    Rule("torch.fx", NOTHING, "it writes and runs code"),
    *_rows(NOTHING, "it loads native libraries", "torch.", "ops classes library"),
    Rule("torch.multiprocessing", NOTHING, "it starts processes"),
    Rule("torch.distributed", NOTHING, "it starts processes and listens on ports"),
    Rule("torch.from_file", NOTHING, "it maps files"),
    Rule("torch.compile", NOTHING, "the trainer compiles"),
    *_rows(NOTHING, "it writes files", "torch.", "onnx export"),
    Rule("torchvision.io", NOTHING, "it writes files"),
    Rule("torchvision.datasets.utils", NOTHING, "it downloads and unpacks files"),
    Rule("torchvision.datasets.lsun", NOTHING, "it reads a pickle"),
    Rule("torchvision.models._api.Weights", NOTHING, "it downloads a pickle from any address"),
    Rule("torchvision.models.feature_extraction", NOTHING, "it writes and runs code"),
    Rule("transformers.dynamic_module_utils", NOTHING, "it downloads code and runs it"),
    Rule("transformers.pipelines", NOTHING, "it downloads code and runs it"),
    Rule("transformers.models.rag", NOTHING, "it unpickles the index of its passages"),
    Rule("timm.models._hub", NOTHING, "it downloads pickles"),
    Rule("timm.models._helpers", NOTHING, "it reads pickles"),
    Rule("distill_core.config", NOTHING, "the config decides nothing about itself"),
    Rule("distill_core.cli", NOTHING, "a run starts no other run"),
    Rule("distill_core.report", NOTHING, "it writes files"),
    Rule("distill_core.registry", NOTHING, "a config registers nothing"),
    Rule("distill_core.weights.save_weights", NOTHING, "it writes files"),
    Rule("distill_zoo._add", NOTHING, "it writes files"),
    Rule("distill_zoo._store.remove", NOTHING, "it deletes files"),
    Rule("distill_zoo._pretrained.save_pretrained", NOTHING, "it writes files"),
    Rule("distill_zoo._pretrained.push_to_hub", NOTHING, "it uploads files"),
)
"""Names that a config may never use, even with `--trust`."""

_CODE = "it runs code that a file or the network brings"
_KERNEL = "it runs code from the network"
_IMPORT = "it imports any module that a file names"
_PICKLE = "it unpickles a file, which can run any code"

ARGUMENTS: tuple[Rule, ...] = (
    Rule("trust_remote_code", FALSE, _KERNEL),
    Rule("auto_map", NULL, _CODE),
    Rule("custom_pipeline", NULL, _CODE),
    Rule("custom_pipelines", NULL, _CODE),
    Rule("custom_generate", NULL, _CODE),
    Rule("use_kernels", FALSE, _KERNEL),
    Rule("kernel_config", NULL, _KERNEL),
    Rule("allow_all_kernels", FALSE, _KERNEL),
    Rule("attn_implementation", ATTENTION, _KERNEL),
    Rule("_attn_implementation", ATTENTION, _KERNEL),
    Rule("_attn_implementation_internal", ATTENTION, _KERNEL),
    Rule("experts_implementation", EXPERTS, _KERNEL),
    Rule("_experts_implementation", EXPERTS, _KERNEL),
    Rule("_experts_implementation_internal", EXPERTS, _KERNEL),
    Rule("quantization_config", QUANTIZER, _KERNEL),
    Rule("import_allowlist", NULL, _IMPORT),
    Rule("megatron_core", MEGATRON, _IMPORT),
    Rule("weights_only", TRUE, _PICKLE),
    Rule("allow_pickle", FALSE, _PICKLE),
    Rule("pickle_module", NULL, _PICKLE),
    Rule("checkpoint_path", SAFETENSORS, _PICKLE),
    Rule("data_files", NO_PICKLE, _PICKLE),
    Rule("datasets.load.load_dataset.path", NO_SCRIPT, _CODE),
    Rule("evaluate.loading.load.path", METRIC, _CODE),
    Rule("evaluate.loading.load.revision", NULL, _CODE),
    Rule("evaluate.module.combine.evaluations", METRIC, _CODE),
)
"""Arguments by name, at any depth and also in the files of a model folder; a dotted name is one callable's argument,
unless the user trusts that callable.

Null is always allowed.
"""
