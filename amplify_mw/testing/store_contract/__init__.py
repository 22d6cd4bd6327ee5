"""The contract of `amplify_mw.stores.SessionStore` as tests: inherit them for a store of your own.

from amplify_mw.testing.store_contract import StoreContract

class TestMyStore(StoreContract):
    def make_store(self):
        return MyStore(clock=self.clock)

pytest runs every case on a new store. It needs pytest and nothing else. The options `has_leases`,
`has_lists`, `turns_clock`, `forks` and `is_shared` of the class leave out the parts a store does
not have.
"""

import pytest

# Before they are imported: so a failed assertion shows its values.
pytest.register_assert_rewrite(
    *[
        f"{__name__}.{part}"
        for part in ("basis", "records", "lists", "leases", "steps", "sharing", "walk")
    ]
)

from .basis import KEY as KEY  # noqa: E402
from .basis import LONG as LONG  # noqa: E402
from .basis import OTHER as OTHER  # noqa: E402
from .basis import THIRD as THIRD  # noqa: E402
from .leases import Leases  # noqa: E402
from .lists import Lists  # noqa: E402
from .records import Records  # noqa: E402
from .sharing import Sharing  # noqa: E402
from .sharing import at_once as at_once  # noqa: E402
from .sharing import in_a_child as in_a_child  # noqa: E402
from .steps import Steps  # noqa: E402
from .walk import Walk  # noqa: E402


class StoreContract(Records, Lists, Leases, Steps, Sharing, Walk):
    """All cases. Override `make_store`, or the fixture `store` if making one needs fixtures."""
