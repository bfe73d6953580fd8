"""A composed config as checked values."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from weft import ConfigError, PluginError, configuration, settings
from weft.build import build
from weft.catalog import catalog
from weft.compose import own_folder


def read(**values: Any) -> configuration.Configuration:
    tree = {"dataset": "blobs", "model": "net", "optimizer": "descent", **values}
    return configuration.read(tree, catalog())


@pytest.mark.usefixtures("toys")
class TestReading:
    def test_it_is_its_own_config(self) -> None:
        whole = read(
            model={"name": "net", "activation": {"name": "bent", "slope": 0.3}},
            regularizer={"a": {"name": "shrink", "weight": 1}, "b": "shrink"},
            tags={"team": "x"},
            observe={"every": 3},
        )
        assert configuration.read(whole.tree(), catalog()) == whole
        assert configuration.read(yaml.safe_load(yaml.safe_dump(whole.tree())), catalog()) == whole

    def test_choices_inside_of_other_types_are_built(self) -> None:
        steep = {"name": "bent", "slope": 0.7}
        whole = read(
            model={"name": "branches", "pair": ["bent", steep], "row": [steep], "each": [steep], "named": {"x": steep}}
        )
        assert configuration.read(whole.tree(), catalog()) == whole
        assert len(whole.every_part()) == 3 + 5
        model = build(whole.one("model"), catalog(), inputs=(4,), outputs=3)
        assert [branch[1].options["slope"] for branch in model.branches] == [0.1, 0.7, 0.7, 0.7, 0.7]
        with pytest.raises(ConfigError, match=r"model.pair\[1\].slope: 5 is out of range"):
            read(model={"name": "branches", "pair": ["bent", {"name": "bent", "slope": 5}]})

    def test_params_are_flat(self) -> None:
        flat = read(regularizer={"a": "shrink", "b": "shrink"}, model={"name": "net", "activation": "bent"}).params()
        assert flat["model"] == "net"
        assert flat["model.width"] == "8"
        assert flat["model.activation"] == "bent"
        assert flat["model.activation.slope"] == "0.1"
        assert flat["regularizer"] == "a+b"
        assert flat["regularizer.b.weight"] == "0.01"
        assert flat["scheduler"] == "none"
        assert flat["observe.every"] == "50"
        assert not {"tags", "runs", "tracking.uri"} & set(flat)

    def test_a_value_arrives_as_its_type(self) -> None:
        found = read(optimizer={"name": "moments", "betas": [0.5, 0.6], "lr": "1e-2"})
        assert found.one("optimizer").options["betas"] == (0.5, 0.6)
        assert found.one("optimizer").options["lr"] == 0.01

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"epoch": 3}, "epoch: no such key (did you mean 'epochs'?)"),
            ({"model": None}, "model: a run needs one; choose among branches, net"),
            ({"model": {"width": 3}}, "model: {width: 3} is not a choice; there are branches, net"),
            ({"model": {"name": "net", "width": "x"}}, "model.width: 'x' is not a whole number (model net of this process"),
            (
                {"model": {"name": "net", "activation": {"name": "bent", "slope": 2}}},
                "model.activation.slope: 2 is out of range",
            ),
            ({"model": {"name": "net", "activation": 5}}, "model.activation: 5 does not name one"),
            ({"regularizer": ["shrink"]}, "regularizer: [shrink] is not a choice; write regularizer=[NAME,…]"),
            (
                {"regularizer": {"a": {"name": "shrink", "weigth": 1}}},
                "regularizer.a.weigth: regularizer shrink of this process",
            ),
            ({"observe": {"every": 0}}, "observe.every: 0 is out of range: at least 1"),
            ({"device": "cuda:x"}, "device: 'cuda:x' is none of auto, cpu, cuda, cuda:N, mps"),
            ({"accumulate": 65}, "accumulate: 65 pieces of a batch of 64 are not to be had"),
            ({"model": {"name": "net", "_target_": "os.system"}}, "model._target_: _target_ is not allowed"),
            ({"tags": {"a": [{"_partial_": True}]}}, "tags.a.0._partial_: _partial_ is not allowed"),
        ],
    )
    def test_a_mistake_is_named(self, values: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError) as caught:
            read(**values)
        assert str(caught.value).startswith(message)

    def test_an_unknown_component_names_its_place(self) -> None:
        with pytest.raises(PluginError, match="model.activation: no activation named 'bend' .did you mean 'bent'"):
            read(model={"name": "net", "activation": "bend"})

    def test_mlflow_s_variables_come_between_command_line_and_conf(self) -> None:
        environment = {"MLFLOW_TRACKING_URI": "http://there", "MLFLOW_EXPERIMENT_NAME": "other", "MLFLOW_RUN_ID": "abc"}
        given = {"tracking.experiment"}
        found = configuration.with_environment(read(tracking={"experiment": "mine"}), given, environment).settings.tracking
        assert (found.uri, found.experiment, found.run_id) == ("http://there", "mine", "abc")


def test_conf_holds_every_setting_with_its_default() -> None:
    held = yaml.safe_load((own_folder() / "weft.yaml").read_text())
    defaults = settings.tree(settings.Settings())
    assert {key: held[key] for key in defaults} == defaults
    assert set(held) == {*defaults, "defaults", "hydra"}
    assert all(option.help for option in settings.options())
