"""Models that compute in TensorFlow, trained by weft's own loop.

weft run -m model=mlp,tensorflow_mlp

Importing this imports neither TensorFlow nor torch: models are registered by path, and TensorFlow starts in the process that
computes with one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weft import Register, hookimpl

if TYPE_CHECKING:
    from weft_tensorflow.model import TensorFlowModel
    from weft_tensorflow.starting import tensorflow

__all__ = ["TensorFlowModel", "tensorflow"]
__version__ = "0.1.0"


@hookimpl
def register_models(register: Register) -> None:
    register("weft_tensorflow.mlp:TensorFlowMLP", "tensorflow_mlp")
    register("weft_tensorflow.cnn:TensorFlowCNN", "tensorflow_cnn")


def __getattr__(name: str) -> Any:
    if name == "TensorFlowModel":
        from weft_tensorflow.model import TensorFlowModel

        return TensorFlowModel
    if name == "tensorflow":
        from weft_tensorflow.starting import tensorflow

        return tensorflow
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
