"""What weft asks of every component that this plugin offers: each check is a test."""

from weft.testing import conformance

NEEDED = {"ranger21": {"num_iterations": 120}, "ldamloss": {"num_class_list": [16, 16, 16]}}
"""Options that have no default."""

test_conformance = conformance("pytorch_optimizer", options=NEEDED)
