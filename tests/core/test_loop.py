"""The loop: its events, its arithmetic, where it stops."""

from __future__ import annotations

import pytest
import torch

import weft
from tests.core.conftest import MakeRun
from weft import Callback, loop
from weft.errors import NonFiniteError
from weft.randomness import seed_everything
from weft.state import Run


class Diary(Callback):
    """Writes down what happens."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def on_fit_start(self, run: Run) -> None:
        self.said.append("fit")

    def on_epoch_start(self, run: Run) -> None:
        self.said.append(f"epoch {run.epoch}")

    def on_gradients(self, run: Run) -> None:
        self.said.append("gradients")

    def on_step_end(self, run: Run) -> None:
        self.said.append(f"step {run.step}")

    def on_epoch_end(self, run: Run) -> None:
        self.said.append(f"end {run.epoch} {sorted(run.scores)}")

    def on_fit_end(self, run: Run) -> None:
        self.said.append("done")


def weights(run: Run) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in run.model.parameters()])


def test_events_come_in_order(make_run: MakeRun) -> None:
    diary = Diary()
    loop.fit(make_run((diary,), epochs=2, batch_size=45))
    step = ["gradients", "step {}"]
    scores = "['valid/hits', 'valid/loss']"
    assert diary.said == [
        *("fit", "epoch 0", "gradients", "step 1", "gradients", "step 2", f"end 1 {scores}"),
        *("epoch 1", "gradients", "step 3", "gradients", "step 4", f"end 2 {scores}", "done"),
    ]
    assert step


def test_a_misspelt_event_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Odd\.on_step_ends is no event \(did you mean 'on_step_end'\?\)"):
        type("Odd", (Callback,), {"on_step_ends": lambda self, run: None})


def test_it_learns(make_run: MakeRun) -> None:
    run = make_run(optimizer={"name": "moments", "lr": 0.03}, epochs=15, batch_size=16)
    loop.fit(run)
    assert run.scores["valid/hits"] > 0.8


def test_a_step_is_what_torch_does_by_hand(make_run: MakeRun) -> None:
    run = make_run(steps=3, batch_size=32, optimizer={"lr": 0.1, "momentum": 0.9}, regularizer={"shrink": "shrink"})
    twin = make_run(steps=3, batch_size=32, optimizer={"lr": 0.1, "momentum": 0.9}).model
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    for inputs, targets in run.data.batches(32, seed=0, epoch=0, start=0):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(twin(inputs), targets)
        (loss + 0.01 * sum(parameter.square().sum() for parameter in twin.parameters())).backward()
        optimizer.step()
    loop.fit(run)
    assert run.step == 3
    torch.testing.assert_close(weights(run), torch.cat([p.detach().flatten() for p in twin.parameters()]))


@pytest.mark.parametrize("optimizer", ["descent", "moments", {"name": "newton", "max_iter": 3}])
@pytest.mark.parametrize("accumulate", [2, 5, 7])
def test_an_accumulated_batch_is_the_big_batch(make_run: MakeRun, optimizer: object, accumulate: int) -> None:
    """Also when the pieces are unequal, and when the last batch is smaller."""

    def trained(pieces: int) -> torch.Tensor:
        run = make_run(
            optimizer=optimizer,
            regularizer={"shrink": "shrink"},
            epochs=2,
            batch_size=40,
            accumulate=pieces,
            precision="fp64",
        )
        loop.fit(run)
        return weights(run)

    torch.testing.assert_close(trained(accumulate), trained(1), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("accumulate", [2, 7])
def test_class_weights_weigh_pieces_as_they_do_the_batch(make_run: MakeRun, accumulate: int) -> None:
    """The mean of a weighted cross entropy is over the weights, not over the samples."""
    import weft

    class Weighted(torch.nn.CrossEntropyLoss):
        def __init__(self, class_weights: torch.Tensor | None = None):
            super().__init__(class_weights)

        def batch_weight(self, targets: torch.Tensor) -> torch.Tensor:
            assert self.weight is not None
            return self.weight[targets].sum()

    weft.register("loss", Weighted)

    def trained(pieces: int) -> torch.Tensor:
        run = make_run(loss="weighted", class_weights=[1, 10, 3], epochs=2, batch_size=40, accumulate=pieces, precision="fp64")
        loop.fit(run)
        return weights(run)

    torch.testing.assert_close(trained(accumulate), trained(1), rtol=1e-9, atol=1e-9)


def test_steps_end_the_run_in_the_middle_of_an_epoch(make_run: MakeRun) -> None:
    run = make_run(steps=5, batch_size=30)
    loop.fit(run)
    assert (run.step, run.epoch) == (5, 2)


def test_a_callback_ends_the_run(make_run: MakeRun) -> None:
    class Enough(Callback):
        def on_epoch_end(self, run: Run) -> None:
            run.stopping = run.epoch == 2

    run = make_run((Enough(),), epochs=10)
    loop.fit(run)
    assert run.epoch == 2


def test_every_sample_is_seen_once_an_epoch_in_a_new_order(make_run: MakeRun) -> None:
    run = make_run(batch_size=7)
    epochs = [torch.cat([inputs for inputs, _ in run.data.batches(7, 0, epoch, 0)]) for epoch in (0, 1)]
    whole = run.data.splits["train"][0]
    for epoch in epochs:
        assert sorted(map(tuple, epoch.tolist())) == sorted(map(tuple, whole.tolist()))
    assert not torch.equal(*epochs)
    rest = torch.cat([inputs for inputs, _ in run.data.batches(7, 0, 1, 3)])
    assert torch.equal(rest, epochs[1][21:])


def test_evaluation_weighs_every_sample_alike(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    whole = loop.evaluate(run, "valid")
    monkeypatch.setattr("weft.data._EVALUATE", 7)
    pieces = loop.evaluate(run, "valid")
    assert pieces == pytest.approx(whole, rel=1e-6)
    inputs, targets = run.data.splits["valid"]
    expected = torch.nn.functional.cross_entropy(run.model(inputs), targets).detach()
    assert whole["valid/loss"] == pytest.approx(float(expected), rel=1e-6)


def test_samples_that_a_loss_compares_are_mixed_in_evaluation_and_stay_together_in_training(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []

    def kept(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Keeps the labels it was called with."""
        seen.append(targets.tolist())
        return outputs.square().mean()

    kept.compares_samples = True  # type: ignore[attr-defined]
    weft.register("loss", kept)
    run = make_run(loss="kept")
    inputs, targets = run.data.splits["valid"]
    order = targets.argsort(stable=True)
    run.data.splits["valid"] = inputs[order], targets[order]  # as folders of classes give them
    monkeypatch.setattr("weft.data._EVALUATE", 10)
    batches = []
    for _ in range(2):
        seen.clear()
        loop.evaluate(run, "valid")
        batches.append([*seen])
    assert batches[0] == batches[1]
    assert [len(set(batch)) for batch in batches[0]] == [3, 3, 3]
    assert sorted(label for batch in batches[0] for label in batch) == sorted(targets.tolist())
    with pytest.raises(weft.ConfigError, match="accumulate=2: loss=kept compares the samples of a batch with each other"):
        make_run(loss="kept", accumulate=2)


def test_an_evaluation_makes_no_more_scores_at_a_time_than_memory_holds(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    monkeypatch.setattr("weft.data._EVALUATE_SCORES", 15)  # three for each sample
    assert [len(targets) for _, targets in run.data.every("valid")] == [5] * 6
    monkeypatch.setattr("weft.data._EVALUATE_SCORES", 2)
    assert [len(targets) for _, targets in run.data.every("valid")] == [1] * 30


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_spoiled(make_run: MakeRun) -> None:
    class Spoil(Callback):
        def on_step_end(self, run: Run) -> None:
            if run.step == 3:
                with torch.no_grad():
                    next(run.model.parameters())[0, 0] = float("inf")

    run = make_run((Spoil(),), epochs=5, batch_size=30)
    with pytest.raises(NonFiniteError, match=r"train/loss became (nan|inf) at step 4; first affected: the weights of 0.weight"):
        loop.fit(run)
    assert run.step == 3


@pytest.mark.parametrize("precision", ["fp64", "fp32", "bf16", "fp16"])
def test_every_precision_trains(make_run: MakeRun, precision: str) -> None:
    run = make_run(precision=precision, optimizer={"name": "moments", "lr": 0.03}, epochs=12, batch_size=16)
    loop.fit(run)
    assert run.scores["valid/hits"] > 0.75
    expected = torch.float64 if precision == "fp64" else torch.float32
    assert {parameter.dtype for parameter in run.model.parameters()} == {expected}


def test_gradients_are_true_when_they_are_seen(make_run: MakeRun) -> None:
    """Under loss scaling too: unscaled, before clipping."""

    class Look(Callback):
        def on_gradients(self, run: Run) -> None:
            self.seen = torch.cat([p.grad.flatten().clone() for p in run.model.parameters() if p.grad is not None])

    seen = {}
    for precision in ("fp32", "fp16"):
        look = Look()
        loop.fit(make_run((look,), precision=precision, steps=1))
        seen[precision] = look.seen
    torch.testing.assert_close(seen["fp16"], seen["fp32"], rtol=0.05, atol=0.005)


def test_the_same_seed_gives_the_same_run_and_another_another(make_run: MakeRun) -> None:
    def trained(seed: int) -> torch.Tensor:
        run = make_run(seed=seed, epochs=2, model={"noise": 0.3})
        seed_everything(seed)
        loop.fit(run)
        return weights(run)

    assert torch.equal(trained(0), trained(0))
    assert not torch.equal(trained(0), trained(1))
