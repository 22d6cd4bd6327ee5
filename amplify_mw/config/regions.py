"""Regions of Amazon's: a user pool's own and its replicas', with the addresses in each.

Rules:
- A pool's id begins with its own Region, the primary one. Replicas have the same id.
- ORIGINAL issuers name the Region that was asked. The UPDATED one names the primary Region.
- Replicas are in the partition of their pool: each partition has domains of its own (as in
  botocore's `partitions.json`).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ..errors import ConfigurationError
from ..web.origins import quoted
from .checks import check_address

_REGION: Final = r"[a-z]{2,4}(?:-[a-z]+)+-[0-9]"
_POOL_ID: Final = re.compile(rf"({_REGION})_[0-9A-Za-z]+")
_ORIGINAL: Final = "cognito-idp"
_UPDATED: Final = "issuer-cognito-idp"
_PARTITIONS: Final = {  # by the start of a Region's name; any other is "aws"
    "cn": ("aws-cn", "amazonaws.com.cn"),
    "eusc": ("aws-eusc", "amazonaws.eu"),
    "us-gov": ("aws-us-gov", "amazonaws.com"),
    "us-iso": ("aws-iso", "c2s.ic.gov"),
    "us-isob": ("aws-iso-b", "sc2s.sgov.gov"),
    "eu-isoe": ("aws-iso-e", "cloud.adc-e.uk"),
    "us-isof": ("aws-iso-f", "csp.hci.ic.gov"),
}
_AWS: Final = ("aws", "amazonaws.com")


def region_of(pool_id: object) -> str | None:
    """The Region in a pool's id; None for another form of id.

    >>> region_of("eu-west-1_Ab12Cd34E")
    'eu-west-1'
    """
    found = _POOL_ID.fullmatch(pool_id) if isinstance(pool_id, str) else None
    return None if found is None else found[1]


def api_of(region: str) -> str:
    """The address of Amazon's API in a Region.

    >>> api_of("cn-north-1")
    'https://cognito-idp.cn-north-1.amazonaws.com.cn'
    """
    return f"https://{_ORIGINAL}.{region}.{_partition(region)[1]}"


def original_issuer(pool_id: str, region: str) -> str:
    """The ORIGINAL issuer of a pool, in its own Region or a replica's.

    >>> original_issuer("eu-west-1_Ab12Cd34E", "eu-west-1")
    'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12Cd34E'
    """
    return f"{api_of(region)}/{pool_id}"


def updated_issuer(pool_id: str, region: str) -> str:
    """The UPDATED issuer of a pool. `region`: the pool's own.

    >>> updated_issuer("eu-west-1_Ab12Cd34E", "eu-west-1")
    'https://issuer-cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12Cd34E'
    """
    return f"https://{_UPDATED}.{region}.{_partition(region)[1]}/{pool_id}"


def check_regions(
    regions: object, pool_id: str, *, has_endpoint: bool, insecure: bool
) -> tuple[str, ...] | tuple[tuple[str, str], ...]:
    """Return the option `regions`: names, or pairs of a name and an address.

    `has_endpoint`: the pool has an `endpoint_url`.
    """
    if isinstance(regions, str | bytes) or not isinstance(regions, Sequence | Mapping):
        raise ConfigurationError(
            "regions: write a list of the replicas' Regions, regions=['us-west-2'], or a mapping "
            f"with an address each; got {quoted(regions)}"
        )
    found = list(regions.items() if isinstance(regions, Mapping) else regions)
    are_pairs = all(isinstance(one, tuple) and len(one) == 2 for one in found)
    if not found:
        return ()
    names = [one[0] for one in found] if are_pairs else found
    for name in names:
        _check_region(name, region_of(pool_id))
    if len(set(names)) != len(names):
        raise ConfigurationError("regions: one occurs twice; write each once, in the order to try")
    if are_pairs:
        return tuple((name, _address(name, url, insecure)) for name, url in found)
    if has_endpoint:
        raise ConfigurationError(
            "regions: with an endpoint_url, each needs an address too; write "
            f"regions={{{names[0]!r}: 'http://127.0.0.1:9231'}}"
        )
    return tuple(names)


def _check_region(name: object, own: str | None) -> None:
    """`own`: the pool's Region; None for a pool that is not of Amazon's form."""
    if not isinstance(name, str) or not re.fullmatch(_REGION, name):
        raise ConfigurationError(
            f"regions: write the names of Regions, such as 'us-west-2'; got {name!r}"
        )
    if name == own:
        raise ConfigurationError(
            f"regions: {name!r} is the pool's own, by its id, and is always asked first; write its "
            "replicas' alone"
        )
    if own is not None and _partition(name) != _partition(own):
        raise ConfigurationError(
            f"regions: {name!r} is in the partition {_partition(name)[0]}, and the pool in "
            f"{_partition(own)[0]}; write Regions of the pool's partition, the only ones that can "
            "have a replica of it"
        )


def _address(name: str, url: object, insecure: bool) -> str:
    try:
        return check_address("regions", url, insecure=insecure)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} for {name!r}") from None


def _partition(region: str) -> tuple[str, str]:
    """The partition's name, and the end of its host names."""
    start, _, rest = region.partition("-")
    both = f"{start}-{rest.partition('-')[0]}"
    return _PARTITIONS.get(both) or _PARTITIONS.get(start) or _AWS
