"""An environment of gymnasium's as a dataset: episodes are played in it, many at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from weft import Range
from weft_basics.experience import Experience, packed
from weft_basics.losses.precision import widened
from weft_basics.outputs import answer

Pair = tuple[Tensor, Tensor]
Act = Callable[[NDArray[Any]], NDArray[np.int64]]
"""Returns an action, from 0 on, for each of some observations."""

Name = Annotated[str, "gymnasium's name of it"]
Steps = Annotated[int, Range(1, 100_000_000, log=True), "samples of an epoch, which has steps / batch_size batches"]
AtOnce = Annotated[int, Range(1, 4096, log=True), "episodes that are played at once"]
Valid = Annotated[int, Range(1, 10_000, log=True), "episodes after each epoch"]
Test = Annotated[int, Range(1, 10_000, log=True), "episodes in the end"]
Discount = Annotated[float, Range(0, 1), "what a reward is worth that comes a step later"]

_BEGINNING = 2000
"""Steps that are played by chance, at the most: where more are wanted these are repeated."""
_EPISODES = 8
_EVALUATED = 1024


@dataclass(frozen=True)
class Played:
    """Whole episodes, one after the other: N steps.

    `observations` and `following` (N, *shape) are what was seen before and after each, `terminated` (N,) is 1 where there is
    nothing after it, and `ends` (N,) where an episode is over, also for having lasted as long as one may. `returns` (N,) are
    the sums of rewards from each step on, discounted, in 64 bits.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    following: Tensor
    terminated: Tensor
    ends: Tensor
    returns: Tensor

    def pair(self) -> Pair:
        """Return it as inputs and targets, of which the worth of an action is its return."""
        return self.observations, packed(Experience(self.actions, self.returns, self.rewards, self.ends))


class Environment:
    """The environment of a dataset, whose splits are what is seen when actions are chosen by chance, before a model plays.

    Args:
        name: of gymnasium's, such as CartPole-v1.
        steps: samples of an epoch.
        at_once: episodes that are played at once to learn from; `valid` and `test` are those that a model is measured by.
        discount: what a reward is worth that comes a step later, from 0 to 1.

    Raises:
        ValueError: gymnasium isn't installed, there is no such environment, or it is of another kind: actions must be one of
            several, observations arrays of numbers, and an episode must end.
    """

    task = "control"

    def __init__(self, split_seed: int, name: str, steps: int, at_once: int, valid: int, test: int, discount: float):
        self._name = name
        self._at_once = at_once
        self._discount = discount
        self._stages: dict[int, Any] = {}
        self._steps_played = self._episodes_played = 0
        opened = self._opened(_EPISODES)
        self._first_action = int(getattr(opened.single_action_space, "start", 0))
        self.inputs: tuple[int, ...] = tuple(opened.single_observation_space.shape)
        self.outputs = int(opened.single_action_space.n)
        self.source = f"gymnasium:{name}"
        seeds = (np.random.SeedSequence(split_seed).generate_state(5) // 2).tolist()
        self._seeds = {"valid": seeds[0], "test": seeds[1]}
        self._episodes = {"valid": valid, "test": test}
        self.train = self._sampled(steps, seeds[2])
        self.valid, self.test = (
            _narrowed(self.play(self.by_chance(chance), seed, min(episodes, _EPISODES)))
            for chance, seed, episodes in ((seeds[3], seeds[0], valid), (seeds[4], seeds[1], test))
        )

    def by_chance(self, seed: int) -> Act:
        """Return what chooses any action."""
        generator = np.random.default_rng(seed)
        return lambda observations: generator.integers(0, self.outputs, len(observations))

    def _sampled(self, steps: int, seed: int) -> Pair:
        """Return so many steps of episodes played by chance, repeated where that would take long."""
        act, seeds = self.by_chance(seed), np.random.default_rng(seed)
        pairs: list[Pair] = []
        while sum(len(inputs) for inputs, _ in pairs) < min(steps, _BEGINNING):
            pairs.append(_narrowed(self.play(act, int(seeds.integers(2**31)), _EPISODES)))
        inputs, targets = (torch.cat(halves) for halves in zip(*pairs, strict=True))
        places = torch.arange(steps) % len(inputs)
        return inputs[places], targets[places]

    def played_on(self, run: Any, choose: Callable[[Tensor], Tensor], steps: float) -> list[Played]:
        """Play with the run's model until there are at least so many steps more, and record what came of it. `choose` is given
        the scores of actions (N, A), and returns actions (N,)."""
        found: list[Played] = []
        with acting(run, choose) as act:
            while sum(len(played.ends) for played in found) < steps:
                found.append(self.play(act, int(torch.randint(2**31, ())), self._at_once))
        if found:
            lasted, episodes = sum(len(played.ends) for played in found), len(found) * self._at_once
            self._steps_played += lasted
            self._episodes_played += episodes
            rewards = sum(float(played.rewards.sum()) for played in found)
            run.log(
                {
                    "train/return": rewards / episodes,
                    "train/episode_length": lasted / episodes,
                    "train/episodes": self._episodes_played,
                }
            )
        return found

    def play(self, act: Act, seed: int, episodes: int) -> Played:
        """Play whole episodes, all at once: one in each of so many copies of the environment."""
        stage = self._opened(episodes)
        observations = np.array(stage.reset(seed=seed)[0])
        playing = np.ones(episodes, bool)
        steps: list[tuple[NDArray[Any], ...]] = []
        while playing.any():
            actions = act(observations)
            following, rewards, terminated, truncated, _ = stage.step(actions + self._first_action)
            over = terminated | truncated
            seen = (observations, actions, rewards, following, terminated, over, playing)
            steps.append(tuple(np.array(part) for part in seen))
            playing = playing & ~over
            observations = np.array(following)  # a stage may fill the same array again
        # [steps, episodes, …]; what came after an episode's end is another one that nobody asked for
        *fields, played = (np.stack(parts) for parts in zip(*steps, strict=True))
        rewards = fields[2].astype(np.float64) * played
        returns = np.zeros_like(rewards)
        later = np.zeros(episodes)
        for step in range(len(rewards) - 1, -1, -1):
            returns[step] = later = rewards[step] + self._discount * later * played[step]
        by_episode = [np.swapaxes(field, 0, 1)[played.T] for field in (*fields, returns)]
        observed, chosen, rewarded, after, terminal, ended, summed = map(torch.from_numpy, by_episode)
        return Played(observed.float(), chosen, rewarded.float(), after.float(), terminal.float(), ended.float(), summed)

    def batches(self, run: Any, split: str) -> Iterator[Pair]:
        """Yield what the run's model does: to learn from, without end, or whole episodes that it is measured by."""
        return self.training(run) if split == "train" else self._measured(run, split)

    def training(self, run: Any) -> Iterator[Pair]:
        """Yield batches to learn from, without end."""
        raise NotImplementedError

    def _measured(self, run: Any, split: str) -> Iterator[Pair]:
        """Yield the split's episodes, played by always taking the best action."""
        with acting(run, best) as act:
            played = self.play(act, self._seeds[split], self._episodes[split])
        for inputs, targets in zip(*(half.split(_EVALUATED) for half in self.seen_whole(run, played)), strict=True):
            yield run.device.place(inputs), run.device.place(targets)

    def seen_whole(self, run: Any, played: Played) -> Pair:
        """Return whole episodes as what a model is measured by."""
        return played.pair()

    def state_dict(self) -> dict[str, Any]:
        """Return how much has been played."""
        return {"steps": self._steps_played, "episodes": self._episodes_played}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self._steps_played, self._episodes_played = state["steps"], state["episodes"]

    def _opened(self, copies: int) -> Any:
        """Return copies of the environment, made once."""
        if copies not in self._stages:
            self._stages[copies] = opened(self._name, copies)
        return self._stages[copies]


def opened(name: str, copies: int) -> Any:
    """Return copies of an environment that run side by side.

    Raises:
        ValueError: as `Environment`.
    """
    try:
        import gymnasium
    except ImportError as error:
        raise ValueError(f"environment: gymnasium isn't installed ({error}): pip install 'weft[control]'") from error
    if ":" in name:  # gymnasium would import the module before it, and a config can't run code
        raise ValueError(f"environment: {name!r}: is to be the name of an environment that is registered already")
    try:
        _check_version(name)
        found = gymnasium.make_vec(name, copies)
        if found.metadata.get("autoreset_mode") is not gymnasium.vector.AutoresetMode.NEXT_STEP:
            found.close()  # one of its own kind, which shows the next episode's beginning in place of an episode's end
            found = gymnasium.make_vec(name, copies, vectorization_mode="sync")
    except gymnasium.error.Error as error:
        raise ValueError(f"environment: {name!r}: {error}") from error
    except Exception as error:  # of whoever wrote it: a library that isn't there, a screen, a licence
        raise ValueError(f"environment: {name!r} can't be made: {type(error).__name__}: {error}") from error
    spaces = gymnasium.spaces
    actions, observations = found.single_action_space, found.single_observation_space
    if not isinstance(actions, spaces.Discrete):
        raise ValueError(f"environment: {name!r} has the actions {actions}, and can have Discrete ones only")
    if isinstance(observations, spaces.Discrete):
        found = gymnasium.wrappers.vector.FlattenObservation(found)  # which of them, as 1 among zeros
    elif not isinstance(observations, spaces.Box):
        raise ValueError(f"environment: {name!r} has the observations {observations}, and can have Box or Discrete ones only")
    if found.spec is None or found.spec.max_episode_steps is None:
        raise ValueError(
            f"environment: {name!r} has episodes without an end: only one that is registered with max_episode_steps can be"
        )
    return found


def _check_version(name: str) -> None:
    """Refuse a name that means another environment once gymnasium has a newer one.

    Raises:
        ValueError: that.
    """
    from gymnasium.envs import registration

    namespace, bare, version = registration.parse_env_id(name)
    if version is None and name not in registration.registry:
        newest = registration.find_highest_version(namespace, bare)
        if newest is not None:
            raise ValueError(f"environment: {name!r}: say which version of it: {name}-v{newest}")


def _narrowed(played: Played) -> Pair:
    """Return what was played as a split's inputs and targets, in 32 bits."""
    inputs, targets = played.pair()
    return inputs, targets.float()


def best(scores: Tensor) -> Tensor:
    """Return the action with the largest score, for each of N."""
    return scores.argmax(1)


@contextlib.contextmanager
def judging(model: nn.Module) -> Iterator[None]:
    """Have a model in evaluation mode, without gradients, while inside."""
    mode = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(mode)


@contextlib.contextmanager
def acting(run: Any, choose: Callable[[Tensor], Tensor]) -> Iterator[Act]:
    """Give what acts by a run's model. `choose` is given the scores of actions (N, A), and returns actions (N,)."""

    def act(observations: NDArray[Any]) -> NDArray[np.int64]:
        with run.device.autocast():
            scores = answer(run.model(run.device.place(torch.from_numpy(observations).float())))
            return choose(widened(scores)).cpu().numpy()

    with judging(run.model):
        yield act
