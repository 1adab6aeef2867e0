"""The order of the classes in models and data, where both name them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from torch import nn

from ..data import class_names_of_data, class_names_of_model, plain_class_name
from ..errors import WiringError
from ..experiment import Experiment
from ._readings import readings
from ._resolved_stage import ResolvedStage
from .teachers import may_learn, wirings

logger = logging.getLogger("distill")
_MOST_SHOWN = 5


def check_label_order(models: Mapping[str, nn.Module], experiment: Experiment, stages: Sequence[ResolvedStage]) -> None:
    """Compare the class names of each model with those of all data that the run reads.

    Names are compared without case, hyphens and underscores. Different names are logged, because they may mean the same.

    Args:
        models: Models by name.
        experiment: The experiment.
        stages: Its stages.

    Raises:
        WiringError: A frozen model whose output is read has the classes of the data in another order, or data of an
            evaluation number a class differently than all training data.
    """
    data = [(each.where, names) for each in readings(experiment, stages) if (names := class_names_of_data(each.data))]
    _check_evaluations(data)
    read = {tap.source for wiring in wirings(experiment, stages) for tap in wiring.taps if not tap.path}
    for name, model in models.items():
        own = class_names_of_model(model)
        for where, theirs in data if own else ():
            if [*map(plain_class_name, own)] == [*map(plain_class_name, theirs)]:
                continue
            is_order = sorted(map(plain_class_name, own)) == sorted(map(plain_class_name, theirs))
            what = "in another order" if is_order else "other ones"
            shown = f"{_shown(own)} in the model, {_shown(theirs)} in the data"
            message = f"the classes of '{name}' are {what} than those of {where}: {shown}"
            if is_order and name in read and not any(may_learn(name, stage) for stage in stages):
                raise WiringError(message, hint="give the data `labels` in the model's order")
            logger.warning(message)
            break


def _check_evaluations(data: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Refuse an evaluation whose classes have other indices, as of a file without one of the classes of the training data."""
    trained = [names for where, names in data if where.startswith(("data.", "stages."))]
    for where, names in data:
        if trained and all(_differ(names, others) for others in trained):
            shown = f"{_shown(trained[0])} in training, {_shown(names)} in '{where}'"
            message = f"the classes of '{where}' have other indices than those of the training data: {shown}"
            raise WiringError(message, hint="give both the same `labels` or `classes`")


def _differ(names: Sequence[str], others: Sequence[str]) -> bool:
    """Return whether a class that both name has another index."""
    known = {name: index for index, name in enumerate(others)}
    return any(known.get(name, index) != index for index, name in enumerate(names))


def _shown(names: Sequence[str]) -> str:
    first = ", ".join(f"{index} '{name}'" for index, name in enumerate(names[:_MOST_SHOWN]))
    return first + (f" … ({len(names)} in all)" if len(names) > _MOST_SHOWN else "")
