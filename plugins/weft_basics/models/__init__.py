"""Models, from one layer up."""

from weft import Register


def register_all(register: Register) -> None:
    register("weft_basics.models.linear:Linear", "linear")
    register("weft_basics.models.rbf:RBF", "rbf")
    register("weft_basics.models.gaussians:Gaussians", "gaussians")
    register("weft_basics.models.bayesian_linear:BayesianLinear", "bayesian_linear")
    register("weft_basics.models.kmeans:KMeans", "kmeans")
    register("weft_basics.models.mlp:MLP", "mlp")
    register("weft_basics.models.actor_critic:ActorCritic", "actor_critic")
    register("weft_basics.models.vae:VAE", "vae")
    register("weft_basics.models.cnn:CNN", "cnn")
    register("weft_basics.models.rnn:RNN", "rnn")
    register("weft_basics.models.transformer:Transformer", "transformer")
