"""Data loading: the order and the augmentation of samples are pure functions of seed, stage, epoch and index.

So a loader has no state to save for resuming, and the number of workers does not matter.
"""

from ._as_loader import as_loader as as_loader
from ._class_names import class_names_of_data as class_names_of_data
from ._class_names import class_names_of_model as class_names_of_model
from ._class_names import plain_class_name as plain_class_name
from ._example import with_example as with_example
from ._given_inputs import AcceptsInputs as AcceptsInputs
from ._given_inputs import GivenInputs as GivenInputs
from ._given_inputs import PredictionOptions as PredictionOptions
from ._given_inputs import dataset_for_inputs as dataset_for_inputs
from ._known_labels import known_labels as known_labels
from ._loader import Loader as Loader
from ._mapped_stream import MappedStream as MappedStream
from ._plan import BatchPlan as BatchPlan
from ._preprocessing import preprocessing_of as preprocessing_of
from ._reader import WorkerOptions as WorkerOptions
from ._seeds import SeedPath as SeedPath
from ._seeds import batch_seeds as batch_seeds
from ._seeds import derive_seed as derive_seed
from ._seeds import preserve_rng_state as preserve_rng_state
from ._seeds import sample_seeds as sample_seeds
from ._seeds import seed_everything as seed_everything
from ._seeds import seed_torch as seed_torch
from ._stream import Stream as Stream
from ._tensors import TensorData as TensorData
from ._unique_keys import unique_keys as unique_keys
from ._vocabulary import Vocabulary as Vocabulary
