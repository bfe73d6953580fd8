"""Jobs that share a composition are what Hydra makes of each alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.hydra import Hydra
from hydra.types import RunMode
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, ListConfig

from weft import compose
from weft.errors import ConfigError, UserError
from weft.sharing import Composer, compose_jobs

KEPT = ["hydra.job.name=kept", "+hydra.job.env_set.COLOUR=blue"]

CHOICES = [
    *(
        "model=mlp",
        "model=cnn",
        "model=wide",
        "model=null",
        "optimizer=sgd",
        "optimizer=muon",
        "loss=hinge",
        "scheduler=cosine",
    ),
    *("scheduler=none", "dataset=iris", "dataset=csv", "metric=[f1,auroc]", "metric=f1", "regularizer=[dropout,l2]"),
    *("regularizer=none", "regularizer=l2", "regularizer=[]", "callback=[]", "+experiment=lasso", "+experiment=mlp"),
    *(
        "+experiment=own",
        "experiment=mlp",
        "+model@other=mlp",
        "model@other=mlp",
        "~model",
        "~loss",
        "~model=mlp",
        "~model=cnn",
    ),
    *("hydra/launcher=basic", "+experiment=[mlp,own]"),
]
VALUES = [
    *("seed=3", "seed=4", "epochs=2", "model.width=7", "model.activation=relu", "optimizer.lr=0.1", "optimizer.momentum=0.5"),
    *("regularizer.l2.weight=0.5", "regularizer.dropout.p=0.2", "loss.margin=2", "sweep.name=x", "runs=here", "name=x"),
    *("parameter_groups=[{pattern: '*', lr: 1}]", "parameter_groups.0.lr=2", "+parameter_groups.0.more=2", "tags={a: 1}"),
    *("+tags.a=1", "++tags.a=2", "+tags={b: {c: 1}}", "tags=null", "~tags", "~tags.a", "~seed", "~seed=3", "~model.width"),
    *("model={width: 3}", "model={name: linear}", "regularizer={}", "observe={every: 5}", "observe=null", "++model.width=9"),
    *("+model.own=1", "++model={width: 5}", "+regularizer.l1={weight: 1}", "class_weights=[1,2]", "reference.score=test/loss"),
]
INTERPOLATIONS = [
    *("split_seed=${seed}", "name=${model.name}", "runs=${name}", "runs=${nope}", "name=${hydra.job.name}", "name=${now:%Y}"),
    *("+own.job=${hydra.job}", "own.job.name=x", "+own.job.more=x", "own.job={name: x}", "~own.job", "~own.job.name"),
    *("own.by_name=x", "own.which=seed", "runs=${own.by_name}", "sweep=${own.job}", "own.list.0=5", "own.list.1.a=3"),
    *("own.parts={job: {name: x}}", "own.parts.job.name=x", "name=${${own.which}}", "own.seed=5", "+own.seed=5", "~own.seed=0"),
    *("own.model.width=5", "own.which=hydra.job.name", "+own.text='${hydra.overrides.task}'", "~own.text=x"),
]
MISTAKES = [
    *("model=mpl", "modle=mlp", "model.widht=3", "model=3", "++model=mlp", "optimizer.lr=high", "regularizer.l3.weight=1"),
    *(
        "seed=1,2",
        "seed=range(1,3)",
        "epochs=[1",
        "=3",
        "~nope",
        "~nope=3",
        "+seed=3",
        "runs=???",
        "~runs",
        "~sweep",
        "sweep=3",
    ),
    *(
        "hydra.job.name=x",
        "hydra.job.chdir=true",
        "hydra={run: {dir: x}}",
        "hydra.run.dir=${nope}",
        "~hydra.run.dir",
        "hydra=3",
    ),
    *(
        "hydra.searchpath=[nowhere]",
        "nope@other=3",
        "+nope.a=3",
        "seed.a=3",
        "+seed.a=3",
        "model.width.a=3",
        "hydra/launcher=x",
    ),
    *(
        "parameter_groups.x=1",
        "parameter_groups.9=1",
        "+experiment=torn",
        "+experiment=code",
        "+experiment=nope",
        "model._target_=x",
    ),
]

_OWN_CONFIG = """
defaults: [weft, _self_]
split_seed: ${seed}
own:
  seed: ${seed}
  model: ${model}
  which: name
  by_name: ${${own.which}}
  job: ${hydra.job}
  text: ${hydra.job.name}
  list: [1, {a: 2, b: '${seed}'}]
  parts: {job: '${hydra.job}'}
"""


def write_groups(conf: Path) -> None:
    for group in ("model", "experiment"):
        (conf / group).mkdir()
    (conf / "model" / "wide.yaml").write_text("defaults: [mlp]\nwidth: 512\n")
    (conf / "experiment" / "own.yaml").write_text(
        "# @package _global_\ndefaults: [{override /model: wide}, {override /optimizer: sgd}]\nepochs: 3\nname: ${model.name}\n"
    )
    (conf / "experiment" / "torn.yaml").write_text("a: [1\n")
    (conf / "experiment" / "code.yaml").write_text("# @package _global_\nhydra: {callbacks: {x: {_target_: os.system}}}\n")


@pytest.fixture(scope="module")
def hydra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hydra]:
    """Hydra with groups of a user's own."""
    conf = tmp_path_factory.mktemp("conf")
    write_groups(conf)
    with compose.hydra_app(str(conf)) as hydra:
        yield hydra


@pytest.fixture(scope="module")
def own_hydra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hydra]:
    """Hydra with a config of a user's own, full of interpolations."""
    conf = tmp_path_factory.mktemp("conf")
    write_groups(conf)
    (conf / "config.yaml").write_text(_OWN_CONFIG)
    with compose.hydra_app(str(conf)) as hydra:
        yield hydra


@pytest.fixture(scope="module")
def composer(hydra: Hydra) -> Composer:
    return Composer(hydra, KEPT)


@pytest.fixture(scope="module")
def own_composer(own_hydra: Hydra) -> Composer:
    return Composer(own_hydra, KEPT)


def described(node: Any) -> Any:
    """Return all that is in a node, but for `hydra`: types, flags, order, interpolations as they stand."""
    about = (type(node), node._metadata.ref_type, node._metadata.object_type, node._metadata.optional, node._metadata.flags)
    content = node.__dict__["_content"] if isinstance(node, (DictConfig, ListConfig)) else node._value()
    if isinstance(content, dict):
        return about, [(key, described(item)) for key, item in content.items() if item._get_full_key(None) != "hydra"]
    return about, [described(item) for item in content] if isinstance(content, list) else content


def outcome(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except UserError as error:
        return type(error), str(error)


def check(hydra: Hydra, composer: Composer, job: Sequence[str]) -> None:
    """Hold a job against what Hydra makes of it: its config, and what it is read as; or the mistake."""
    wanted = outcome(lambda: compose.compose(hydra, [*KEPT, *job]))
    shared = outcome(lambda: composer.compose(job))
    found = composer.job(job)
    assert found.overrides == tuple(job)
    assert (found.configuration is None) == (found.error is not None)
    if isinstance(wanted, DictConfig):
        assert isinstance(shared, DictConfig)
        assert described(shared) == described(wanted)
        wanted = outcome(lambda: compose.read(wanted, job))
    else:
        assert shared == wanted
    assert (found.configuration or (type(found.error), str(found.error))) == wanted


JOBS = st.lists(
    st.one_of(*(st.sampled_from(lines) for lines in (CHOICES, CHOICES, VALUES, VALUES, VALUES, INTERPOLATIONS, MISTAKES))),
    max_size=6,
)


@settings(max_examples=30, deadline=None)
@example(job=["+experiment=code", "~tags.a"])
@example(job=["model=cnn", "regularizer=[dropout,l2]", "regularizer.l2.weight=0.5", "optimizer=sgd", "~tags", "++tags.a=1"])
@given(job=JOBS)
def test_a_job_is_what_hydra_makes_of_it(hydra: Hydra, composer: Composer, job: list[str]) -> None:
    check(hydra, composer, job)


@settings(max_examples=30, deadline=None)
@example(job=["own.job.name=x", "model=cnn"])
@example(job=["own.parts={job: {name: x}}"])
@example(job=["own.which=hydra.job.name", "~own.by_name=x"])
@example(job=["own.which=nope", "runs=${own.by_name}"])
@given(job=JOBS)
def test_also_where_one_value_stands_for_another(own_hydra: Hydra, own_composer: Composer, job: list[str]) -> None:
    check(own_hydra, own_composer, job)


def test_a_job_leaves_nothing_to_the_next(hydra: Hydra, composer: Composer) -> None:
    for job in (["seed=3", "+tags.a=1"], ["model.width=7"], ["~seed", "model={width: 3}"], ["regularizer=l2"], []):
        check(hydra, composer, job)
        check(hydra, composer, [])


@pytest.fixture
def compositions(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """What Hydra was asked to compose."""
    asked: list[Sequence[str]] = []
    unchecked = compose.unchecked

    def counted(hydra: Hydra, overrides: Sequence[str], mode: RunMode) -> DictConfig:
        asked.append(overrides)
        return unchecked(hydra, overrides, mode)

    monkeypatch.setattr(compose, "unchecked", counted)
    return asked


def test_jobs_that_choose_alike_are_composed_once(hydra: Hydra, compositions: list[Sequence[str]]) -> None:
    words = ["hydra.job.name=x", "model=mlp,cnn,linear", "seed=range(20)", "runs=here", "optimizer=adamw,sgd", "sweep.name=x"]
    config, jobs = compose_jobs(hydra, words)
    assert config.hydra.job.name == "x"
    assert len(compositions) == 1 + 3 * 2
    assert [job.overrides for job in jobs] == [tuple(job) for job in compose.jobs(hydra, config) or ()]
    assert len(jobs) == 3 * 20 * 2
    assert all(job.configuration and job.configuration.settings.runs == "here" for job in jobs)


def test_a_job_that_can_t_be_is_not_raised(hydra: Hydra, compositions: list[Sequence[str]]) -> None:
    _, jobs = compose_jobs(hydra, ["model=mlp,cnn,mpl", "model.width=8,-1,9", "sweep.name=x"])
    errors = [str(job.error).partition(" ")[0] if job.error else "" for job in jobs]
    assert errors == ["", "model.width:", "", *["model.width:"] * 3, *["model=mpl:"] * 3]
    assert "model cnn has activation, channels" in str(jobs[3].error)
    assert len(compositions) == 1 + 3


def test_a_sweep_that_can_t_be_is_raised(hydra: Hydra) -> None:
    for word, message in (
        ("hydra.job.nme=x", "hydra.job.nme: no such key"),
        ("seed=range(0,3,0)", ""),
        ("model=glob(z*)", "model"),
    ):
        with pytest.raises(ConfigError, match=f"^{message}"):
            compose_jobs(hydra, [word])


def test_what_another_sweeper_proposes_is_composed_one_by_one(hydra: Hydra, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose, "jobs", lambda hydra, config: None)
    assert compose_jobs(hydra, ["seed=0,1"])[1] == []
