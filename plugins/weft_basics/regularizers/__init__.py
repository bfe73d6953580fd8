"""Regularizers: penalties added to the loss, and changes to the model, the batch, the gradients or the weights."""

from weft import Register


def register_all(register: Register) -> None:
    for name in ("l1", "l2", "elastic_net"):
        register(f"weft_basics.regularizers.penalties:{name}", name)
    register("weft_basics.regularizers.weight_divergence:WeightDivergence", "weight_divergence")
    register("weft_basics.regularizers.latent_divergence:LatentDivergence", "latent_divergence")
    register("weft_basics.regularizers.proximal:ProximalL1", "proximal_l1")
    register("weft_basics.regularizers.dropout:Dropout", "dropout")
    register("weft_basics.regularizers.max_norm:MaxNorm", "max_norm")
    register("weft_basics.regularizers.label_smoothing:LabelSmoothing", "label_smoothing")
    register("weft_basics.regularizers.gradient_noise:GradientNoise", "gradient_noise")
