"""Metrics, by name: torchmetrics', told the task's shape."""

from typing import Any

_CLASSIFICATION = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "BalancedAccuracy",
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "auroc": "AUROC",
    "calibration_error": "CalibrationError",
}
_REGRESSION = {"mse": "MSE", "rmse": "RMSE", "mae": "MAE", "r2": "R2"}


def register_metrics(register: Any) -> None:
    """Offer each under its name."""
    for module, names in (("classification", _CLASSIFICATION), ("regression", _REGRESSION)):
        for name, attribute in names.items():
            register(f"weft_basics.metrics.{module}:{attribute}", name=name)
