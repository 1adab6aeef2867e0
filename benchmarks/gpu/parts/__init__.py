"""The parts of the benchmark, one module each."""

NAMES = (
    "gpu_tests",
    "host_syncs",
    "step_overhead",
    "vocabulary_losses",
    "teacher_sources",
    "memory_prediction",
    "fsdp",
    "compile_modes",
)
"""Their modules in the order in which they run: those that may take long come last."""
