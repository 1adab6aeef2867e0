"""Pretrained weights, each with a card that records its source, results and license.

Listing and downloading need neither torch nor another Distill package. `load_state_dict` needs torch, and `load` also
needs the package whose function builds the model.
"""

from ._add import add_run as add_run
from ._card import Card as Card
from ._card import Input as Input
from ._card import Measurement as Measurement
from ._card import Training as Training
from ._card import WeightFile as WeightFile
from ._cards import card as card
from ._cards import list_models as list_models
from ._download import download as download
from ._errors import ZooError as ZooError
from ._load import load as load
from ._load import load_state_dict as load_state_dict
from ._load import transforms as transforms
from ._preprocess import Preprocess as Preprocess
from ._pretrained import from_pretrained as from_pretrained
from ._pretrained import push_to_hub as push_to_hub
from ._pretrained import save_pretrained as save_pretrained
from ._store import cached as cached
from ._store import remove as remove
from ._store import verify as verify

__version__ = "0.1.0"
