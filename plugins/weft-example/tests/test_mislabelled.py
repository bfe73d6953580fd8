"""Which labels are wrong, and how many."""

import pytest
import torch

from weft_example.mislabelled import MislabelledDigits, mislabelled


@pytest.mark.parametrize("share", [0.0, 0.25, 0.4, 1.0])
def test_a_share_of_the_labels_is_another_from_0_to_9(share: float) -> None:
    labels = torch.arange(10).repeat(100)
    found = mislabelled(labels, share, seed=0)
    assert (found != labels).sum() == 1000 * share
    assert found.min() == 0
    assert found.max() == 9


def test_a_wrong_label_is_each_of_the_other_nine_about_as_often() -> None:
    found = mislabelled(torch.full((9000,), 3), 1.0, seed=0)
    counts = found.bincount(minlength=10)
    assert counts[3] == 0
    assert counts[counts > 0].tolist() == pytest.approx([1000] * 9, abs=130)  # 4 standard deviations


def test_only_the_training_labels_are_wrong_and_the_images_are_the_same() -> None:
    wrong, right = MislabelledDigits(split_seed=1, wrong=0.3), MislabelledDigits(split_seed=1, wrong=0.0)
    assert len(right.train[1]) == 1257
    assert (wrong.train[1] != right.train[1]).sum() == round(0.3 * 1257)
    assert torch.equal(wrong.train[0], right.train[0])
    for ours, theirs in ((wrong.valid, right.valid), (wrong.test, right.test)):
        assert len(ours[1]) == 270
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])


def test_other_seeds_make_other_labels_wrong() -> None:
    one, other = (MislabelledDigits(split_seed=0, seed=seed).train[1] for seed in (0, 1))
    assert not torch.equal(one, other)
