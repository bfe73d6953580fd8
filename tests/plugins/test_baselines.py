"""What networks are held against: by hand, and against the same written plainly."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import pytest
import torch
from torch import Tensor

from tests.plugins.baselines import majority_accuracy, trigram_bits
from weft_basics.datasets.dataset import Dataset
from weft_basics.sequences import IGNORED, PADDING

Pair = tuple[Tensor, Tensor]


def pair(inputs: list[list[int]], targets: list[list[int]]) -> Pair:
    return torch.tensor(inputs), torch.tensor(targets)


def drawn(samples: int, length: int, vocabulary: int, seed: int) -> Pair:
    """Return sequences in which the next token depends on the two before it, the last sample padded."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randint(1, vocabulary, (samples, length + 1), generator=generator)
    for place in range(2, length + 1):
        follows = 1 + (steps[:, place - 1] * 3 + steps[:, place - 2]) % (vocabulary - 1)
        steps[:, place] = torch.where(torch.rand(samples, generator=generator) < 0.7, follows, steps[:, place])
    inputs, targets = steps[:, :-1].clone(), steps[:, 1:].clone()
    inputs[-1, length // 2 :], targets[-1, length // 2 :] = PADDING, IGNORED
    return inputs, targets


def plain_bits(train: Pair, test: Pair, vocabulary: int) -> float:
    """Return the same as trigram_bits, one target at a time."""
    following: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)

    def contexts(samples: Pair) -> list[tuple[tuple[int, int], int]]:
        found = []
        for inputs, targets in zip(*(half.tolist() for half in samples), strict=True):
            for place, target in enumerate(targets):
                if target != IGNORED:
                    found.append(((inputs[place - 1] if place else PADDING, inputs[place]), target))
        return found

    for context, target in contexts(train):
        for known in range(3):
            following[context[2 - known :]][target] += 1

    def probability(context: tuple[int, ...], target: int) -> float:
        shorter = probability(context[1:], target) if context else 1 / (vocabulary - 1)
        after = following.get(context, Counter())
        return (after[target] + len(after) * shorter) / (after.total() + len(after)) if after else shorter

    asked = contexts(test)
    return sum(-math.log2(probability(context, target)) for context, target in asked) / len(asked)


@pytest.mark.parametrize("seed", range(5))
def test_trigram_bits_are_those_written_plainly(seed: int) -> None:
    train, test = drawn(30, 7, 6, seed), drawn(9, 7, 6, seed + 100)
    assert trigram_bits(train, test, 6) == pytest.approx(plain_bits(train, test, 6), rel=1e-12)


def test_trigram_bits_by_hand() -> None:
    """Trained on 2 -> 3 and 2 -> 4: of four tokens without padding, none is known to come first."""
    train = pair([[2], [2]], [[3], [4]])
    without = (1 + 2 / 4) / (2 + 2)  # one of two that were met, and a quarter for each of the two kinds
    after_one = (1 + 2 * without) / (2 + 2)
    after_two = (1 + 2 * after_one) / (2 + 2)
    assert trigram_bits(train, pair([[2]], [[3]]), 5) == pytest.approx(-math.log2(after_two))
    unmet = (0 + 2 / 4) / (2 + 2)
    assert trigram_bits(train, pair([[3]], [[1]]), 5) == pytest.approx(-math.log2(unmet)), "nothing is known of what follows 3"


def test_probabilities_of_all_tokens_sum_to_one() -> None:
    train = drawn(40, 6, 7, 0)
    for context in ([3, 4, 5], [6, 6, 1], [2, 2, 2]):
        sums = [2 ** -trigram_bits(train, pair([context], [[IGNORED, IGNORED, target]]), 7) for target in range(1, 7)]
        assert sum(sums) == pytest.approx(1)


def test_the_model_does_not_see_more_than_two_tokens_nor_another_sample() -> None:
    train = drawn(40, 6, 7, 0)

    def bits(context: list[int]) -> float:
        return trigram_bits(train, pair([context], [[IGNORED] * (len(context) - 1) + [3]]), 7)

    assert bits([1, 4, 5]) == bits([6, 4, 5]) != bits([4, 6, 5])
    both = pair([[4, 5], [2, 3]], [[IGNORED, 6], [1, IGNORED]])
    alone = [pair([[4, 5]], [[IGNORED, 6]]), pair([[2, 3]], [[1, IGNORED]])]
    assert trigram_bits(train, both, 7) == pytest.approx(sum(trigram_bits(train, one, 7) for one in alone) / 2)


def test_a_rule_of_two_tokens_is_learned() -> None:
    train, test = drawn(4000, 12, 6, 0), drawn(500, 12, 6, 1)
    noise = 0.7 + 0.3 / 5
    entropy = -noise * math.log2(noise) - 4 * (0.3 / 5) * math.log2(0.3 / 5)
    first = math.log2(5)  # nothing stands two places before a sample's first target
    assert trigram_bits(train, test, 6) == pytest.approx((11 * entropy + first) / 12, abs=0.03)


def test_majority_accuracy_by_hand() -> None:
    train = pair([[2, 2, 2, 3], [4, 4, 3, PADDING]], [[1, 1, 0, 2], [0, 0, 2, IGNORED]])
    test = pair([[2, 3, 4, 5], [2, 5, PADDING, PADDING]], [[1, 2, 1, 0], [0, 2, IGNORED, IGNORED]])
    dataset = Dataset("sequence_labelling", (4,), 3, train, train, test, "here", ("a", "b", "c"), 6)
    # 2 is labelled 1, 3 is 2, 4 is 0; 5 was never met, and 0 is the most frequent label.
    assert majority_accuracy(dataset) == pytest.approx(3 / 6)
