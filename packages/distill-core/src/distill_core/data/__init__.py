"""Data whose order and augmentation are pure functions of seed, stage, epoch and index.

Nothing about a loader needs to be saved to resume, and the number of workers changes nothing.
"""

from ._as_loader import as_loader as as_loader
from ._chance import Place as Place
from ._chance import batch_seeds as batch_seeds
from ._chance import mix as mix
from ._chance import preserved_chance as preserved_chance
from ._chance import sample_seeds as sample_seeds
from ._chance import seed_everything as seed_everything
from ._chance import seed_torch as seed_torch
from ._class_names import class_names_of_data as class_names_of_data
from ._class_names import class_names_of_model as class_names_of_model
from ._example import with_example as with_example
from ._loader import Loader as Loader
from ._plan import BatchPlan as BatchPlan
from ._reader import WorkerOptions as WorkerOptions
from ._tensors import TensorData as TensorData
from ._unique_keys import unique_keys as unique_keys
