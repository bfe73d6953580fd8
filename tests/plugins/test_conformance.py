"""All that ships in the box, held to the suite that others' plugins are held to."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.plugins.datasets.test_digests import FILES
from weft.testing import conformance

_place = tempfile.TemporaryDirectory(prefix="weft-conformance-")

test_conformance = conformance("basics", options={name: make(Path(_place.name, name)) for name, make in FILES.items()})
