"""weft's own messages on the console, where Hydra doesn't put them there."""

import logging
import sys


def to_console() -> None:
    """Print what weft logs, as plain lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("weft")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
