"""Models of Keras layers."""

from weft import Register


def register_all(register: Register) -> None:
    register("weft_keras.models.mlp:mlp", "keras_mlp")
    register("weft_keras.models.cnn:cnn", "keras_cnn")
    register("weft_keras.models.rnn:rnn", "keras_rnn")
    register("weft_keras.models.transformer:transformer", "keras_transformer")
    register("weft_keras.models.applications:mobilenet", "keras_mobilenet")
    register("weft_keras.models.applications:resnet", "keras_resnet")
    register("weft_keras.models.layers:layers", "keras_layers")
