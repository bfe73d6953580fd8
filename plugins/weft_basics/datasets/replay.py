"""Steps that a Q-network learns from many times: a memory of what it has played, and a copy of it that they are judged by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import torch
from torch import Tensor

from weft import ConfigError, Range
from weft_basics.datasets.environment import (
    AtOnce,
    Discount,
    Environment,
    Name,
    Pair,
    Played,
    Steps,
    Test,
    Valid,
    judging,
)
from weft_basics.experience import Experience, packed
from weft_basics.outputs import answer


class Replay(Environment):
    """An environment of gymnasium's, and steps drawn from those that the model has played in it lately (experience replay).

    Samples are observations, targets (N, 4) what `weft_basics.experience` says: the action that was taken, and the rewards of
    `n_steps` with the score of the best action after them, discounted, by a copy of the model that is renewed now and then (the
    target network). Actions are the best ones, but for a share that are any; that share falls to `exploration` over the first
    `explored` updates. Mnih et al., "Human-level control through deep reinforcement learning", 2015; `double` has the model
    choose the action after, and the copy judge it (van Hasselt et al., 2016). Of several steps all count as if the best action
    had been taken in each, those by chance too: as Hessel et al., "Rainbow", 2018, do. A measured action is worth what came
    after it, and where an episode was cut off for its length, what the model expects from there.

    Raises:
        ValueError: gymnasium isn't installed; no such environment, or one that isn't with some actions to choose from.
    """

    def __init__(
        self,
        split_seed: int,
        environment: Name = "CartPole-v1",
        steps: Steps = 32_000,
        played: AtOnce = 8,
        valid: Valid = 20,
        test: Test = 100,
        discount: Discount = 0.99,
        n_steps: Annotated[int, Range(1, 1000, log=True), "whose rewards are counted before the copy judges"] = 10,
        memory: Annotated[int, Range(1, 100_000_000, log=True), "steps that are remembered"] = 50_000,
        before: Annotated[int, Range(1, 100_000_000, log=True), "steps that are played before it learns"] = 1_000,
        reuse: Annotated[float, Range(0.01, 10_000, log=True), "times that a step is learnt from, about"] = 16.0,
        exploration: Annotated[float, Range(0, 1), "share of actions by chance, in the end"] = 0.05,
        explored: Annotated[int, Range(1, 10_000_000, log=True), "updates until then"] = 1_500,
        renewed: Annotated[int, Range(1, 10_000_000, log=True), "updates from one copy of the model to the next"] = 100,
        double: Annotated[bool, "the model chooses the action that the copy judges, not the copy itself"] = True,
    ):
        super().__init__(split_seed, environment, steps, played, valid, test, discount)
        self._n_steps, self._memory, self._before, self._reuse = n_steps, memory, before, reuse
        self._exploration, self._explored = exploration, explored
        self._renewed, self._double = renewed, double
        self._remembered: dict[str, Tensor] = {}
        self._copy: dict[str, Tensor] = {}

    def check(self, run: Any) -> None:
        """Refuse a loss that is for what the model has just done itself.

        Raises:
            ConfigError: that.
        """
        if getattr(run.loss, "on_policy", False):
            loss = run.configuration.one("loss").component.name
            raise ConfigError(f"loss={loss}: learns from what the model does now, and dataset=replay remembers; take episodes")

    def training(self, run: Any) -> Iterator[Pair]:
        """Yield steps drawn from the memory, after playing what there is to play."""
        size = run.configuration.settings.batch_size
        self._remembered, self._copy = (
            {name: run.device.place(tensor) for name, tensor in kept.items()} for kept in (self._remembered, self._copy)
        )
        while True:
            wanted = self._before + run.step * size / self._reuse - self._steps_played
            for played in self.played_on(run, lambda scores: self._explore(run, scores), wanted):
                self._remember(run, played)
            if run.step % self._renewed == 0 or not self._copy:
                state = run.model.state_dict()
                self._copy = {name: part.detach().clone() for name, part in state.items() if isinstance(part, Tensor)}
            known = self._remembered
            chosen = torch.randint(len(known["ends"]), (size,)).to(known["ends"].device)
            yield self._judged(run, {name: tensor[chosen] for name, tensor in known.items()})

    def _explore(self, run: Any, scores: Tensor) -> Tensor:
        """Return the best actions, but for a share by chance."""
        done = min(1.0, run.step / self._explored)
        share = 1 + (self._exploration - 1) * done
        by_chance = torch.randint(self.outputs, (len(scores),)).to(scores.device)
        return torch.where((torch.rand(len(scores)) < share).to(scores.device), by_chance, scores.argmax(1))

    def _remember(self, run: Any, played: Played) -> None:
        """Keep what was played, and forget what is oldest."""
        new = {name: run.device.place(tensor) for name, tensor in self._transitions(played).items()}
        known = self._remembered or {name: tensor[:0] for name, tensor in new.items()}
        self._remembered = {name: torch.cat([known[name], tensor])[-self._memory :] for name, tensor in new.items()}

    def _transitions(self, played: Played) -> dict[str, Tensor]:
        """Return each step with what is seen some steps later (`following`), the discounted rewards until then (`gained`), and
        what a reward from there on counts for (`carried`): nothing where the episode has terminated."""
        places = torch.arange(len(played.ends))
        ends, episodes = _episodes(played)
        last = ends[episodes]
        until = torch.minimum(places + self._n_steps - 1, last)
        carried = self._discount ** (until - places + 1).double()
        after = torch.cat([played.returns, played.returns.new_zeros(1)])[until + 1] * (until < last)
        return {
            "observations": played.observations,
            "actions": played.actions,
            "rewards": played.rewards,
            "ends": played.ends,
            "following": played.following[until],
            "gained": played.returns - carried * after,
            "carried": carried * (1 - played.terminated[until]),
        }

    def seen_whole(self, run: Any, played: Played) -> Pair:
        """Return whole episodes as what a model is measured by."""
        ends, episodes = _episodes(played)
        with judging(run.model), run.device.autocast():
            expected = answer(run.model(run.device.place(played.following[ends]))).amax(1).cpu().double()
        left = ends[episodes] - torch.arange(len(episodes)) + 1  # steps to what comes after the episode
        after = self._discount ** left.double() * ((1 - played.terminated[ends]) * expected)[episodes]
        worth = played.returns + after
        return played.observations, packed(Experience(played.actions, worth, played.rewards, played.ends))

    def _judged(self, run: Any, steps: Mapping[str, Tensor]) -> Pair:
        """Return steps with what each action was worth, as far as is known."""
        with judging(run.model), run.device.autocast():
            following = (steps["following"],)
            judged = answer(torch.func.functional_call(run.model, dict(self._copy), following, tie_weights=False))
            choosing = answer(run.model(*following)) if self._double else judged
        after = judged.gather(1, choosing.argmax(1, keepdim=True)).squeeze(1)
        worth = steps["gained"] + steps["carried"] * after.to(steps["gained"].dtype)
        return steps["observations"], packed(Experience(steps["actions"], worth, steps["rewards"], steps["ends"]))

    def state_dict(self) -> dict[str, Any]:
        """Return the memory, the copy of the model, and how much has been played."""
        return {**super().state_dict(), "memory": dict(self._remembered), "copy": dict(self._copy)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        super().load_state_dict(state)
        self._remembered, self._copy = dict(state["memory"]), dict(state["copy"])


def _episodes(played: Played) -> tuple[Tensor, Tensor]:
    """Return the last step of each episode, and the episode of each step."""
    ends = played.ends.nonzero().squeeze(1)
    return ends, torch.searchsorted(ends, torch.arange(len(played.ends)))
