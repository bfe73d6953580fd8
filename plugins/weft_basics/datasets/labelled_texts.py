"""Texts as samples of classification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from weft_basics.datasets.dataset import Dataset, classification
from weft_basics.datasets.vocabulary import Vocabulary
from weft_basics.datasets.windows import windows
from weft_basics.sequences import PADDING


def labelled_texts(
    texts: Sequence[Sequence[str]],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    length: int,
    most: int,
    *,
    valid: float,
    test: float,
    split_seed: int,
    source: str,
    groups: Sequence[str] | None = None,
    places: Sequence[str] | None = None,
) -> Dataset:
    """Return a dataset of the first `length` tokens of each text, shorter ones padded. `most` tokens are told apart; the
    others are as for `classification`.

    Raises:
        ValueError: as `classification`, or the texts for training hold no token twice.
    """
    begun = [text[:length] for text in texts]
    # Which texts train decides which tokens are known: the first are dealt out before the second are numbered.
    dealt = classification(
        np.arange(len(begun))[:, None],
        labels,
        classes,
        valid=valid,
        test=test,
        split_seed=split_seed,
        source=source,
        groups=groups,
        places=places,
        vocabulary=len(begun),
    )
    vocabulary = Vocabulary((begun[place] for place in dealt.train[0].flatten().tolist()), source, most)
    inputs = torch.from_numpy(np.concatenate([windows(vocabulary.numbers(text), length, PADDING) for text in begun]))
    train, validation, tested = (
        (inputs[chosen.flatten()], targets) for chosen, targets in (dealt.train, dealt.valid, dealt.test)
    )
    return replace(
        dealt,
        inputs=(length,),
        train=train,
        valid=validation,
        test=tested,
        vocabulary=len(vocabulary),
        tokens=vocabulary.names,
    )
