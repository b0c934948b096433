"""When a resource is looked at next, so that those which share a read are looked at together.

Resources of one model, chain or gateway are served by one list. If each had its own rhythm, every one of them would need
the list at another moment. So the moments belong to what is read: all resources of a gateway with the same interval are
due at the same ones. Different gateways and models have different phases, and every single moment is shifted by up to 5 %
of the interval either way, so that nothing beats in time with anything else and two moments are 90 to 110 % apart.
"""

import math
from collections.abc import Hashable
from itertools import count
from random import Random

JITTER = 0.05
TOO_SOON = 0.05
"""Part of the interval: a moment nearer than this is the one just served."""


def until_next(now: float, every: float, group: Hashable) -> float:
    """Return the seconds until the next moment of a group, given monotonic seconds and the interval.

    The moments are a function of the arguments alone.
    """
    phase = Random(repr(group)).random()  # noqa: S311 - jitter, no secret
    for number in count(math.floor(now / every - phase)):
        shift = Random(f"{group!r} {number}").uniform(-JITTER, JITTER)  # noqa: S311 - as above
        wait = (number + phase + shift) * every - now
        if wait > TOO_SOON * every:
            return wait
    raise AssertionError("count does not end")
