"""What weft asks of every component that this plugin offers: each check is a test."""

from weft.testing import conformance

test_conformance = conformance("keras")

# What draws at random in training, and what keeps statistics of it.
test_conformance_of_noise = conformance(
    "model=keras_layers",
    options={
        "keras_layers": {
            "layers": [
                {"gaussian_noise": {"stddev": 0.1}},
                {"dense": {"units": 8, "activation": "tanh"}},
                "batch_normalization",
                {"dropout": {"rate": 0.3}},
                {"alpha_dropout": {"rate": 0.1}},
            ]
        }
    },
)
