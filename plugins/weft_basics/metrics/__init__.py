"""Metrics. Those that need no sorting are written out: torchmetrics takes longer to import than a small run to train."""

from weft import Register


def register_all(register: Register) -> None:
    register("weft_basics.metrics.accuracy:Accuracy", "accuracy")
    for name in ("F1", "Precision", "Recall"):
        register(f"weft_basics.metrics.per_class:{name}", name.lower())
    register("weft_basics.metrics.auroc:AUROC", "auroc")
    register("weft_basics.metrics.likelihood:BitsPerToken", "bits_per_token")
    register("weft_basics.metrics.likelihood:Perplexity", "perplexity")
    register("weft_basics.metrics.density:LogLikelihood", "log_likelihood")
    register("weft_basics.metrics.clusters:AdjustedRandIndex", "adjusted_rand_index")
    register("weft_basics.metrics.clusters:Silhouette", "silhouette")
    register("weft_basics.metrics.control:Return", "return")
    for name in ("MSE", "RMSE", "MAE"):
        register(f"weft_basics.metrics.errors:{name}", name.lower())
    register("weft_basics.metrics.r2:R2", "r2")
