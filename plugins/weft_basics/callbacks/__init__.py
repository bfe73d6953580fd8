"""Callbacks: where to begin, when to stop, how large a gradient may be, when to go on with a smaller rate, what the
perceptron's rule did, what an autoencoder makes of samples."""

from weft import Register


def register_all(register: Register) -> None:
    register("weft_basics.callbacks.autoencoder_images:AutoencoderImages", "autoencoder_images")
    register("weft_basics.callbacks.begin_at_samples:BeginAtSamples", "begin_at_samples")
    register("weft_basics.callbacks.early_stopping:EarlyStopping", "early_stopping")
    register("weft_basics.callbacks.clipping:ClipNorm", "clip_norm")
    register("weft_basics.callbacks.clipping:ClipValue", "clip_value")
    register("weft_basics.callbacks.evidence_bounds:EvidenceBounds", "evidence_bounds")
    register("weft_basics.callbacks.mistakes:Mistakes", "mistakes")
    register("weft_basics.callbacks.reduce_on_plateau:ReduceOnPlateau", "reduce_on_plateau")
