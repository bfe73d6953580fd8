"""Waiting for a score to get better."""

from typing import Any

from weft import ConfigError, Run


class Patience:
    """Counts the epochs in which a score got no better by more than `min_delta`. By default the score is the objective."""

    def __init__(self, monitor: str | None, min_delta: float):
        self.monitor = monitor
        self.min_delta = min_delta
        self.best: float | None = None
        self.waited = 0

    def see(self, run: Run) -> int:
        """Look at this epoch's score; return for how many epochs it has got no better.

        Raises:
            ConfigError: there is no such score.
        """
        key = self.monitor or run.objective.key
        if key not in run.scores:
            raise ConfigError(f"monitor: no score {key!r}; there are {', '.join(run.scores)}")
        maximize = run.objective.maximize if key == run.objective.key else _direction(run, key)
        score = run.scores[key] * (1 if maximize else -1)
        if self.best is None or score > self.best + self.min_delta:
            self.best, self.waited = score, 0
        else:
            self.waited += 1
        return self.waited

    def state_dict(self) -> dict[str, Any]:
        """Return the best score and the epochs since."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them back."""
        self.best, self.waited = state["best"], state["waited"]


def _direction(run: Run, key: str) -> bool:
    name = key.partition("/")[2]
    return bool(getattr(run.metrics.get(name), "higher_is_better", False))
