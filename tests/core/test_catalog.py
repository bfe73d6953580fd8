"""Plugins found, read in a child, cached; conflicts and failures contained and named."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import Install
from weft import PluginError, catalog_cache
from weft import catalog as catalog_module
from weft.catalog import catalog, collect

LEAKY = """
    import torch
    from weft import hookimpl

    class Leaky(torch.nn.Sequential):
        '''Two layers with a leak between them.'''
        def __init__(self, inputs: tuple[int, ...], outputs: int, width: int = 64, slope: float = 0.1):
            super().__init__(torch.nn.Flatten(), torch.nn.LazyLinear(width), torch.nn.LeakyReLU(slope))

    @hookimpl
    def register_models(register):
        register(Leaky)
"""


def offering(body: str) -> str:
    return f"from weft import hookimpl, supplied, fixed\n\n{body}\n"


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("One. Two.", "One"),
        ("Adam with less (Liu et al. 2020). And more.", "Adam with less (Liu et al. 2020)"),
        ("Two\n    lines.\n\nThe rest.", "Two lines"),
        ("", ""),
    ],
)
def test_a_summary_is_the_first_sentence(text: str, summary: str) -> None:
    assert catalog_module._first_sentence(text) == summary


def test_a_plugin_is_listed_without_being_imported(install: Install) -> None:
    install("weft-leaky", "my_leaky", LEAKY, version="1.2")
    component = catalog().find("model", "leaky")
    assert str(component.plugin) == "weft-leaky 1.2"
    assert component.summary == "Two layers with a leak between them"
    assert component.path == "my_leaky:Leaky"
    assert [(option.name, str(option.type), option.default) for option in component.options] == [
        ("width", "int", 64),
        ("slope", "float", 0.1),
    ]
    assert "my_leaky" not in sys.modules


def test_a_chosen_component_is_imported_with_its_plugin_alone(install: Install) -> None:
    install("weft-leaky", "my_leaky", LEAKY)
    install("weft-other", "my_other", LEAKY.replace("Leaky", "Other"))
    loaded = catalog().load(catalog().find("model", "leaky"))
    assert loaded.factory.__name__ == "Leaky"
    assert "my_other" not in sys.modules
    sys.modules.pop("my_leaky")


def test_a_path_is_imported_only_when_it_is_chosen(install: Install) -> None:
    install(
        "weft-path",
        "my_path",
        offering("@hookimpl\ndef register_optimizers(register):\n    register('torch.optim:SGD', name='plain')"),
    )
    found = catalog().find("optimizer", "plain")
    assert found.path == "torch.optim.sgd:SGD"
    assert "lr" in [option.name for option in found.options]


def test_the_cache_answers_until_the_files_change(install: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install("weft-leaky", "my_leaky", LEAKY)
    catalog().find("model", "leaky")
    asked: list[str] = []
    real = catalog_cache.ask
    monkeypatch.setattr(catalog_cache, "ask", lambda name, value: (asked.append(name), real(name, value))[1])
    catalog.cache_clear()
    catalog().find("model", "leaky")
    assert asked == []
    source = tmp_path / "site" / "my_leaky.py"
    source.write_text(source.read_text().replace("width: int = 64", "width: int = 65"))
    catalog.cache_clear()
    assert catalog().find("model", "leaky").options[0].default == 65
    assert asked == ["my_leaky"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise RuntimeError('not today')", "RuntimeError: not today"),
        ("import os; os._exit(7)", "the process that imported it ended (exit 7)"),
        ("import os; os.kill(os.getpid(), 11)", "the process that imported it ended (killed by signal 11)"),
        ("raise SystemExit('bye')", "the process that imported it ended (exit 1)\nbye"),
        (
            offering("@hookimpl\ndef register_modles(register): ..."),
            "offers 'register_modles', which is not a hook (did you mean 'register_models'?)",
        ),
        (offering("@hookimpl\ndef register_models(registre): ..."), "registre"),
        (offering("@hookimpl\ndef register_models(register): 1 / 0"), "register_models raised ZeroDivisionError"),
        (
            offering("@hookimpl\ndef register_models(register): register('nowhere')"),
            "register_models: register('nowhere'): a path is 'module:attribute' and needs a name",
        ),
        (
            offering("@hookimpl\ndef register_models(register): register('nowhere:Thing', name='thing')"),
            "model 'thing': ModuleNotFoundError: No module named 'nowhere'",
        ),
        (
            offering("class A: ...\n@hookimpl\ndef register_models(register):\n    register(A)\n    register(A)"),
            "register_models: registers model 'a' twice",
        ),
        (
            offering(
                "@hookimpl\ndef register_schedulers(register):\n"
                "    register('torch.optim.lr_scheduler:StepLR', name='step', stepsize=fixed(3))"
            ),
            "scheduler 'step': there is no parameter 'stepsize' (did you mean 'step_size'?)",
        ),
    ],
)
def test_a_broken_plugin_is_named_with_its_reason_and_stops_nobody_else(install: Install, source: str, reason: str) -> None:
    install("weft-leaky", "my_leaky", LEAKY)
    install("weft-broken", "my_broken", source)
    assert catalog().find("model", "leaky")
    failures = [*catalog().failures.items(), *catalog().broken.values()]
    assert reason in {str(plugin): text for plugin, text in failures}["weft-broken 0.1"]
    if catalog().failures:
        with pytest.raises(PluginError, match="not loaded: my_broken of weft-broken 0.1"):
            catalog().find("model", "nothing")


@pytest.mark.parametrize(
    ("requires", "reason"),
    [
        (["weft>=9"], "was made for weft >=9, and this is weft 0.1.0: install the one that goes with the other"),
        (["numpy>=2", "Weft[search] (<0.1)"], "was made for weft <0.1, and this"),
        (["weft !=0.1.0 ; python_version >= '3'"], "was made for weft !=0.1.0, and this"),
        (["weft~=0.1", "weft>=9; extra == 'new'", "weft-lion>=9", "weft.lion>=9", "weft_lion>=9", "wefty>=9", "lion>=9"], ""),
        (["weft"], ""),
        (["weft>=not-a-version"], ""),
        ([], ""),
    ],
)
def test_a_plugin_made_for_another_weft_is_named_and_not_imported(
    install: Install, tmp_path: Path, requires: list[str], reason: str
) -> None:
    touched = tmp_path / "imported"
    install("weft-leaky", "my_leaky", f"open({str(touched)!r}, 'w').close()\n" + textwrap.dedent(LEAKY), requires=requires)
    failures = {str(plugin): text for plugin, text in catalog().failures.items()}
    assert failures.get("weft-leaky 0.1", "").startswith(reason)
    assert touched.exists() == ("leaky" in catalog().names("model")) == (not reason)
    if reason:
        with pytest.raises(
            PluginError, match=r"no model named 'leaky'.*\nnot loaded: my_leaky of weft-leaky 0.1 \(was made for"
        ):
            catalog().find("model", "leaky")


def test_one_component_that_cannot_be_used_leaves_the_others(install: Install) -> None:
    install(
        "weft-mixed",
        "my_mixed",
        offering(
            "class Good: ...\nclass Bad:\n    def __init__(self, thing: object): ...\n"
            "@hookimpl\ndef register_models(register):\n    register(Good)\n    register(Bad)"
        ),
    )
    assert catalog().find("model", "good")
    with pytest.raises(PluginError, match="model=bad: of weft-mixed 0.1, can't be used: .*'thing' must be given"):
        catalog().find("model", "bad")


def test_a_plugin_that_hangs_is_given_up(install: Install) -> None:
    install("weft-slow", "my_slow", "import threading; threading.Event().wait()")
    catalog_module.catalog.cache_clear()
    assert catalog_cache.ask("my_slow", "my_slow", patience=1.0).failure == "did not finish importing in 1 s"


def test_a_plugin_that_starts_threads_is_known_by_it_and_the_box_starts_none(install: Install) -> None:
    model = "class A: ...\n@hookimpl\ndef register_models(register): register(A)"
    start = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    install("weft-threaded", "my_threaded", start + offering(model))
    assert {plugin.name for plugin in catalog().threaded} == {"my_threaded"}
    catalog_module.catalog.cache_clear()
    assert {plugin.name for plugin in catalog().threaded} == {"my_threaded"}  # from the cache


def test_what_a_plugin_prints_at_import_stays_in_the_child(install: Install, capfd: pytest.CaptureFixture[str]) -> None:
    install(
        "weft-loud",
        "my_loud",
        "print('HELLO')\n" + offering("class A: ...\n@hookimpl\ndef register_models(register): register(A)"),
    )
    assert catalog().find("model", "a")
    assert "HELLO" not in "".join(capfd.readouterr())


def test_a_failure_is_tried_again_when_something_was_installed(install: Install, tmp_path: Path) -> None:
    install(
        "weft-needs",
        "my_needs",
        "import my_dependency\n" + offering("class A: ...\n@hookimpl\ndef register_models(register): register(A)"),
    )
    assert "my_dependency" in next(iter(catalog().failures.values()))
    (tmp_path / "site" / "my_dependency.py").write_text("")
    os.utime(tmp_path / "site", ns=(1, 1))
    catalog_cache._installed.cache_clear()
    catalog.cache_clear()
    assert catalog().find("model", "a")


def test_two_plugins_with_one_name_are_both_named(install: Install) -> None:
    install("weft-one", "my_one", LEAKY)
    install("weft-two", "my_two", LEAKY)
    with pytest.raises(PluginError, match=r"model=leaky: offered by my_one:Leaky \(weft-one 0.1\) and my_two:Leaky \(weft-two"):
        catalog().find("model", "leaky")
    assert len(catalog().conflicts()) == 1


def test_weft_plugins_restricts_what_is_loaded(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("weft-one", "my_one", LEAKY)
    install("weft-two", "my_two", LEAKY)
    monkeypatch.setenv("WEFT_PLUGINS", "my_two")
    assert catalog().names("model") == ["leaky"]
    assert str(catalog().find("model", "leaky").plugin) == "weft-two 0.1"
    monkeypatch.setenv("WEFT_PLUGINS", "my_tow")
    catalog.cache_clear()
    with pytest.raises(PluginError, match="no plugin named 'my_tow' .did you mean 'my_two'"):
        catalog()


def test_an_unknown_name_says_what_there_is(install: Install) -> None:
    install("weft-leaky", "my_leaky", LEAKY)
    with pytest.raises(PluginError, match="no model named 'leeky' .did you mean 'leaky'"):
        catalog().find("model", "leeky")


def test_a_component_of_this_process(request: pytest.FixtureRequest) -> None:
    import weft

    request.addfinalizer(lambda: (catalog_module._local.clear(), catalog.cache_clear()))

    @weft.register("activation")
    def twice(input: float, factor: float = 2.0) -> float:
        return input * factor

    assert catalog().find("activation", "twice").options[0].default == 2.0
    weft.register("activation", lambda input, factor=3.0: input, name="twice")
    assert catalog().find("activation", "twice").options[0].default == 3.0
    with pytest.raises(PluginError, match="no kind named 'modle' .did you mean 'model'"):
        weft.register("modle", twice)


def test_a_name_that_a_plugin_has_is_taken(install: Install) -> None:
    import weft

    install("weft-leaky", "my_leaky", LEAKY)
    with pytest.raises(PluginError, match=r"model leaky of weft-leaky 0.1 exists already"):
        weft.register("model", lambda inputs: None, name="leaky")


def test_collect_calls_one_kind_alone_when_asked(install: Install) -> None:
    install(
        "weft-two",
        "my_kinds",
        offering(
            "class A: ...\n@hookimpl\ndef register_models(register): register(A)\n"
            "@hookimpl\ndef register_losses(register): 1 / 0"
        ),
    )
    assert [offer.name for offer in collect("my_kinds", "my_kinds", only="model")] == ["a"]


def test_importing_weft_and_listing_plugins_imports_no_torch_mlflow_or_plugin() -> None:
    catalog()  # warm
    code = (
        "import sys, weft; from weft.catalog import catalog; catalog(); import weft.cli;"
        "print([m for m in ('torch', 'mlflow', 'hydra', 'sklearn', 'weft_basics') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
