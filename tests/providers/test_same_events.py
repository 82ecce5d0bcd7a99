"""Whichever vendor's model drives a session, the same things happen in it."""

import pytest

from providers.cell import play
from providers.rows import ROWS, Row
from support.server import Stub
from support.wires import Vendor

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    ("row", "vendor"),
    [pytest.param(row, vendor, id=f"{row.name}-{vendor}") for row in ROWS for vendor in row.vendors],
)
async def test_the_same_events_of_every_vendor(stub: Stub, row: Row, vendor: Vendor) -> None:
    await play(stub, vendor, row)
