"""YAML files as experiments: reading, checking without building, and building under a trust policy.

    document = read("run.yaml", ["stages.0.epochs=2"])
    refuse(check(document, Experiment, {"Metric": Metric}))
    experiment = Builder(document).decode(document.root, Experiment)

A document is a graph of YAML nodes. Reading builds nothing, checking imports nothing that the file names, and building
creates each object once. `_tags.py` documents the tags, `policy/_table.py` the names that a file may use.
"""

from ._build import Builder as Builder
from ._check import check as check
from ._check import refuse as refuse
from ._cross_check import cross_check as cross_check
from ._document import Document as Document
from ._document import read as read
from ._document import read_call as read_call
from ._json_schema import json_schema as json_schema
from ._model_folder import check_model_folder as check_model_folder
from ._modules import Source as Source
from ._modules import load_source as load_source
from ._nodes import children as children
from ._nodes import is_untagged as is_untagged
from ._nodes import join as join
from ._nodes import pairs as pairs
from ._nodes import resolve_tag as resolve_tag
from ._nodes import scalar_value as scalar_value
from ._nodes_by_key import NodesByKey as NodesByKey
from ._problems import NotFoundError as NotFoundError
from ._problems import TrustProblem as TrustProblem
from ._sources import Definition as Definition
from ._sources import find_definition as find_definition
from .beside import modules_beside as modules_beside
from .beside import trusted as trusted
from .policy import OURS as OURS
