"""Losses, which return a scalar.

Of labels: outputs (N, C) are scores of C classes and targets (N,) labels from 0 to C - 1; for sequences outputs (N, length, C)
and targets (N, length), where `sequences.IGNORED` is no label and its place is passed over. nll takes log-probabilities in the
place of scores, joint_nll the logarithms of p(x, c); cross_entropy and kl also take targets (N, C) that are probabilities.

Of embeddings: outputs (N, D) are points, D however many, and targets (N,) labels. contrastive and triplet compare the samples
of a batch with each other.

Of what has no label: outputs (N, K) are of K groups, and targets aren't looked at. mixture_nll takes the logarithms of p(x, c),
distortion minus the squared distances.

Of samples: outputs (N, K) are what was made of them, targets (N, K) their own numbers. reconstruction_nll.

Of numbers: outputs and targets are (N, K). poisson_nll takes logarithms of means, and counts.
"""

from weft import Register


def register_all(register: Register) -> None:
    register("weft_basics.losses.cross_entropy:CrossEntropy", "cross_entropy")
    register("weft_basics.losses.nll:NegativeLogLikelihood", "nll")
    register("weft_basics.losses.joint:JointNLL", "joint_nll")
    register("weft_basics.losses.kl:KullbackLeibler", "kl")
    register("weft_basics.losses.focal:Focal", "focal")
    register("weft_basics.losses.bce:BinaryCrossEntropy", "bce")
    register("weft_basics.losses.hinge:Hinge", "hinge")
    register("weft_basics.losses.hinge:SquaredHinge", "squared_hinge")
    register("weft_basics.losses.perceptron:Perceptron", "perceptron")
    register("weft_basics.losses.contrastive:contrastive", "contrastive")
    register("weft_basics.losses.triplet:triplet", "triplet")
    register("weft_basics.losses.mixture:mixture_nll", "mixture_nll")
    register("weft_basics.losses.mixture:distortion", "distortion")
    register("weft_basics.losses.policy_gradient:PolicyGradient", "policy_gradient")
    register("weft_basics.losses.action_value:action_value", "action_value")
    register("weft_basics.losses.reconstruction:ReconstructionNLL", "reconstruction_nll")
    for name in ("mse", "mae", "huber", "smooth_l1", "log_cosh", "quantile", "gaussian_nll"):
        register(f"weft_basics.losses.regression:{name}", name)
    register("weft_basics.losses.poisson:PoissonNLL", "poisson_nll")
