"""What weft asks of every component that this plugin offers: each check is a test."""

from weft.testing import conformance

test_conformance = conformance("tensorflow")
