"""Environments as datasets: whole episodes, what they come to, what is remembered of them, which can't be."""

from __future__ import annotations

import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from weft import ConfigError, loop
from weft.catalog import catalog
from weft.compose import configured
from weft.experiment import prepare
from weft.state import Run
from weft_basics.datasets.environment import Environment, Played, acting, opened
from weft_basics.datasets.episodes import drawn
from weft_basics.datasets.replay import Replay
from weft_basics.experience import Experience, packed, unpacked


class Corridor(gymnasium.Env[Any, Any]):
    """Five places in a row; action 8 goes on, 7 stays. At the fifth there are 10 and the end; a step costs 1."""

    observation_space = gymnasium.spaces.Box(0, 5, (1, 1), np.float64)
    action_space = gymnasium.spaces.Discrete(2, start=7)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = 0
        return np.full((1, 1), 0.0), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert action in (7, 8)
        self.place += int(action == 8)
        return np.full((1, 1), float(self.place)), 10.0 if self.place == 4 else -1.0, self.place == 4, False, {}


gymnasium.register("weft/Corridor-v0", Corridor, max_episode_steps=6)
gymnasium.register("weft/Endless-v0", Corridor)


class Broken(Corridor):
    """An environment that wants what isn't there."""

    def __init__(self) -> None:
        raise RuntimeError("no screen")


gymnasium.register("weft/Broken-v0", Broken, max_episode_steps=6)
gymnasium.register(
    "weft/Restarting-v0",
    Corridor,
    max_episode_steps=6,
    vector_entry_point=lambda num_envs, **_: gymnasium.vector.SyncVectorEnv(
        [lambda: gymnasium.wrappers.TimeLimit(Corridor(), 6)] * num_envs,
        autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP,
    ),
)


def corridor(discount: float = 0.5) -> Environment:
    return Environment(0, "weft/Corridor-v0", 12, 4, 2, 3, discount)


def going(*numbers: int) -> Any:
    """Return what does these actions one after the other, in every copy."""
    left = iter(numbers)
    return lambda observations: np.full(len(observations), next(left))


def run_of(*overrides: str) -> Run:
    wanted, _ = configured(["threads=1", *overrides])
    return prepare(wanted, catalog())


def test_an_episode_is_what_was_done_and_what_came_of_it() -> None:
    played = corridor().play(going(1, 0, 1, 1, 1), 0, 1)
    assert played.observations.flatten().tolist() == [0, 1, 1, 2, 3]
    assert played.following.flatten().tolist() == [1, 1, 2, 3, 4]
    assert played.actions.tolist() == [1, 0, 1, 1, 1]
    assert played.rewards.tolist() == [-1, -1, -1, -1, 10]
    assert played.terminated.tolist() == played.ends.tolist() == [0, 0, 0, 0, 1]
    assert played.returns.tolist() == [-1.25, -0.5, 1, 4, 10]


def test_an_episode_that_lasts_too_long_ends_and_has_not_terminated() -> None:
    played = corridor().play(going(0, 0, 0, 0, 0, 0), 0, 2)
    assert played.ends.tolist() == [0, 0, 0, 0, 0, 1] * 2
    assert not played.terminated.any()


def test_what_is_seen_after_an_episode_is_its_own_end() -> None:
    """Also of an environment whose many copies show the next one's beginning there."""
    played = Environment(0, "weft/Restarting-v0", 12, 4, 2, 3, 0.5).play(going(1, 1, 1, 1), 0, 2)
    assert played.following.flatten().tolist() == [1, 2, 3, 4] * 2


def test_episodes_of_different_lengths_follow_each_other() -> None:
    environment = corridor()

    calls = iter(range(10))

    def act(observations: Any) -> Any:  # the second copy stays for a step where the first goes on
        return np.array([1, int(next(calls) != 1)])

    played = environment.play(act, 0, 2)
    assert played.observations.flatten().tolist() == [0, 1, 2, 3, 0, 1, 1, 2, 3]
    assert played.ends.tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 1]
    assert played.returns[:4].tolist() == [-0.5, 1, 4, 10]


def test_the_cart_moves_as_one_alone() -> None:
    """What many copies at once do is what gymnasium's single environment does from the same states."""
    environment = Environment(0, "CartPole-v1", 100, 4, 2, 2, 0.99)
    played = environment.play(environment.by_chance(1), 5, 6)
    assert int(played.ends.sum()) == 6
    joined = (played.following[:-1] == played.observations[1:]).all(1)
    assert torch.equal(~joined, played.ends[:-1] > 0)
    alone: Any = gymnasium.make("CartPole-v1").unwrapped
    for step in range(len(played.ends)):
        alone.reset()
        alone.state = played.observations[step].double().numpy()
        after, reward, terminated, _, _ = alone.step(int(played.actions[step]))
        np.testing.assert_allclose(after, played.following[step].numpy(), rtol=1e-5, atol=1e-6)
        assert (reward, terminated) == (played.rewards[step], bool(played.terminated[step]))


def test_its_splits_are_played_by_chance_and_by_the_seed_alone() -> None:
    one, again, other = (Environment(seed, "CartPole-v1", 100, 4, 3, 4, 0.99) for seed in (0, 0, 1))
    assert len(one.train[0]) == 100
    assert [int(unpacked(targets).ends.sum()) for _, targets in (one.valid, one.test)] == [3, 4]
    for split in ("train", "valid", "test"):
        assert torch.equal(getattr(one, split)[0], getattr(again, split)[0])
        assert not torch.equal(getattr(one, split)[0][:5], getattr(other, split)[0][:5])
    assert not torch.equal(one.train[0][0], one.valid[0][0])


def test_many_samples_are_few_that_are_repeated() -> None:
    inputs, targets = Environment(0, "CartPole-v1", 10_000, 4, 100, 100, 0.99).train
    assert len(inputs) == len(targets) == 10_000
    assert 2000 <= len(inputs.unique(dim=0)) < 4500


def test_which_place_of_several_is_one_among_zeros() -> None:
    environment = Environment(0, "FrozenLake-v1", 20, 4, 2, 2, 0.9)
    assert (environment.inputs, environment.outputs) == ((16,), 4)
    assert torch.equal(environment.train[0].sum(1), torch.ones(20))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Cartpole-v1", "Did you mean: `CartPole`"),
        ("CartPole-v99", r"provides versioned environments: \[ `v0`, `v1` \]"),
        ("os:CartPole-v1", "is to be the name of an environment that is registered already"),
        ("Pendulum-v1", r"has the actions Box.* can have Discrete ones only"),
        ("Blackjack-v1", r"has the observations Tuple.* Box or Discrete"),
        ("weft/Endless-v0", "only one that is registered with max_episode_steps can be"),
        ("CartPole", "'CartPole': say which version of it: CartPole-v1"),
        ("weft/Broken-v0", "'weft/Broken-v0' can't be made: RuntimeError: no screen"),
    ],
)
def test_what_can_t_be(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        opened(name, 2)


@pytest.mark.parametrize("dataset", ["episodes", "replay"])
def test_without_gymnasium_it_says_what_to_install(dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(ConfigError, match=rf"dataset={dataset}: environment: gymnasium isn't installed .*'weft\[control\]'"):
        run_of(f"dataset={dataset}")


def test_a_batch_is_whole_episodes_of_at_least_so_many_steps() -> None:
    run = run_of("dataset=episodes", "dataset.played=3", "dataset.steps=100", "batch_size=50", "model=linear", "epochs=2")
    logged: list[dict[str, float]] = []
    run.log = lambda values: logged.append({**values})  # type: ignore[method-assign,assignment]
    batches = [*run.batches()]
    assert len(batches) == run.data.steps(50) == 2
    played = 0.0
    for inputs, targets in batches:
        ends = unpacked(targets).ends
        assert len(inputs) >= 50
        assert ends[-1] == 1
        assert ends.sum() % 3 == 0
        played += float(ends.sum())
    assert logged[-1]["train/episodes"] == played
    assert len(logged) == 2
    for values, (inputs, targets) in zip(logged, batches, strict=True):
        experience = unpacked(targets)
        assert values["train/episode_length"] == pytest.approx(len(inputs) / float(experience.ends.sum()))
        assert values["train/return"] == pytest.approx(float(experience.rewards.sum() / experience.ends.sum()))


def test_actions_are_drawn_by_the_softmax_or_are_the_best() -> None:
    scores = torch.tensor([[0.0, 2.0, -1.0]])
    shares = torch.bincount(drawn(scores.expand(50_000, 3)), minlength=3) / 50_000
    torch.testing.assert_close(shares, scores.softmax(1)[0], atol=0.01, rtol=0)
    assert drawn(torch.tensor([[torch.nan, 1.0], [torch.inf, 0.0]])).shape == (2,)
    run = run_of("dataset=episodes", "model=mlp", "regularizer=dropout")
    modes = []
    run.model.register_forward_hook(lambda model, *_: modes.append(model.training))
    run.model.train()
    with acting(run, lambda scores: scores.argmax(1)) as act:
        act(np.zeros((2, 4)))
    assert (modes, run.model.training) == ([False], True)


def replay(**options: Any) -> Replay:
    return Replay(0, "weft/Corridor-v0", **{"steps": 12, "valid": 2, "test": 2, "discount": 0.5, **options})


@pytest.mark.parametrize("n_steps", [1, 2, 3, 10])
def test_rewards_are_counted_for_some_steps(n_steps: int) -> None:
    memory = replay(n_steps=n_steps)
    ends = torch.tensor([0, 0, 0, 1, 0, 0, 1.0])
    terminated = torch.tensor([0, 0, 0, 1, 0, 0, 0.0])
    rewards = torch.tensor([1, 2, 3, 4, 5, 6, 7.0])
    returns = torch.zeros(8)
    for step in range(6, -1, -1):
        returns[step] = rewards[step] + 0.5 * returns[step + 1] * (1 - ends[step])
    numbers = torch.arange(7.0)
    found = memory._transitions(Played(numbers, numbers.long(), rewards, 10 + numbers, terminated, ends, returns[:7].double()))
    for step in range(7):
        last = min(step + n_steps - 1, 3 if step <= 3 else 6)
        gained = sum(0.5 ** (place - step) * float(rewards[place]) for place in range(step, last + 1))
        assert float(found["gained"][step]) == pytest.approx(gained)
        assert found["following"][step] == 10 + last
        assert found["carried"][step] == 0.5 ** (last - step + 1) * (1 - terminated[last])


def test_the_copy_judges_what_the_model_chooses() -> None:
    """Van Hasselt's rule by hand: the score, by the copy, of the action that the model finds best."""
    run = run_of("dataset=replay", "model=mlp", "batch_size=32", "dataset.before=50", "dataset.n_steps=1", "dataset.renewed=2")
    memory: Any = run.data._dataset  # type: ignore[attr-defined]
    batches = run.batches()
    next(batches)
    copy = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.add_(torch.randn_like(parameter))
    run.step = 1
    _, targets = next(batches)
    assert memory._steps_played >= 50
    known = memory._remembered
    run.model.eval()
    with torch.no_grad():
        choices = run.model(known["following"]).argmax(1, keepdim=True)
        scores = torch.func.functional_call(run.model, copy, (known["following"],)).gather(1, choices).squeeze(1)
    worth = known["rewards"] + 0.99 * (1 - known["ends"]) * scores
    expected = {tuple(row) for row in packed(Experience(known["actions"], worth, known["rewards"], known["ends"])).tolist()}
    assert len(targets) == 32
    for row in targets.tolist():
        assert min(max(abs(a - b) for a, b in zip(row, other, strict=True)) for other in expected) < 1e-4
    run.step = 2
    next(batches)
    assert all(torch.equal(memory._copy[name], tensor) for name, tensor in run.model.state_dict().items())


def test_the_oldest_is_forgotten_and_exploring_ends() -> None:
    run = run_of(
        "dataset=replay",
        "model=mlp",
        "dataset.memory=80",
        "dataset.before=200",
        "dataset.exploration=0.1",
        "dataset.explored=30",
    )
    memory: Any = run.data._dataset  # type: ignore[attr-defined]
    next(run.batches())
    assert len(memory._remembered["ends"]) == 80
    assert memory._steps_played >= 200
    scores = torch.tensor([[0.0, 1.0]]).expand(20_000, 2)
    for step, share in ((0, 1.0), (15, 0.55), (30, 0.1), (90, 0.1)):
        run.step = step
        chance = 2 * float((memory._explore(run, scores) == 0).float().mean())
        assert chance == pytest.approx(share, abs=0.03)


def test_an_episode_that_is_cut_off_is_measured_with_what_would_come() -> None:
    """Five steps to the end are worth what they brought; six that lead nowhere, what the model expects after them as well."""
    run = run_of("dataset=replay", "dataset.environment=weft/Corridor-v0", "dataset.discount=0.5", "model=linear")
    memory: Any = run.data._dataset  # type: ignore[attr-defined]
    with torch.no_grad():
        run.model.output.weight.zero_()
        run.model.output.bias.copy_(torch.tensor([-3.0, 8.0]))
    ended, cut = (memory.play(going(*actions), 0, 1) for actions in ((1, 0, 1, 1, 1), (0, 0, 1, 0, 0, 0)))
    assert torch.equal(memory.seen_whole(run, ended)[1], ended.pair()[1])
    _, targets = memory.seen_whole(run, cut)
    worth = unpacked(targets).worth.tolist()
    assert worth == [*(-sum(0.5**step for step in range(left)) + 8 * 0.5**left for left in (6, 5, 4, 3, 2, 1))]


def test_what_learns_from_its_own_doings_can_t_remember() -> None:
    with pytest.raises(ConfigError, match=r"loss=policy_gradient: .* dataset=replay remembers; take episodes"):
        run_of("dataset=replay", "model=actor_critic", "loss=policy_gradient")


def test_a_corridor_is_learnt() -> None:
    """The best way through it is known: ten less three steps, each action's worth by hand."""
    run = run_of(
        *("dataset=replay", "dataset.environment=weft/Corridor-v0", "dataset.discount=0.5", "dataset.n_steps=1", "model=mlp"),
        *("optimizer=adam", "optimizer.lr=3e-3", "dataset.exploration=0.5", "dataset.renewed=20", "dataset.before=200"),
        *("dataset.explored=180",),
        *("batch_size=64", "steps=600", "observe.gradients=false", "dataset.steps=6400"),
    )
    with run.device.session():
        loop.fit(run)
        assert loop.evaluate(run, "test")["test/return"] == 7
    best = torch.tensor([-1 - 0.5 - 0.25 + 1.25, -1 - 0.5 + 2.5, -1 + 5, 10])
    with torch.no_grad():
        scores = run.model(torch.arange(4.0).reshape(4, 1, 1))
    torch.testing.assert_close(scores[:, 1], best, atol=0.4, rtol=0)
    torch.testing.assert_close(scores[:, 0], -1 + 0.5 * best, atol=0.4, rtol=0)


def test_a_policy_is_measured_by_the_same_episodes_each_time() -> None:
    run = run_of("dataset=episodes", "model=actor_critic", "loss=policy_gradient", "dataset.valid=5", "dataset.steps=100")
    before = torch.get_rng_state()
    first, second = loop.evaluate(run, "valid"), loop.evaluate(run, "valid")
    assert first == second
    assert torch.equal(before, torch.get_rng_state())
    played = [unpacked(targets) for _, targets in run.every("valid")]
    assert sum(int(experience.ends.sum()) for experience in played) == 5
    with torch.no_grad():
        for inputs, targets in run.every("valid"):
            assert torch.equal(run.model(inputs).scores.argmax(1), unpacked(targets).actions)
