"""How much is tried: few and always the same examples in `make test`, and as many others as one likes by hand."""

import os
from typing import Final

from hypothesis import HealthCheck, Phase, settings

TIMES: Final = int(os.environ.get("FUZZ", "1"))
"""How many times as many examples as usual; more than once also means others each time."""


def examples(usual: int) -> settings:
    """Return the settings of a property that is usually held against so many examples."""
    return settings(
        max_examples=usual * TIMES,
        derandomize=TIMES == 1,
        deadline=None,
        # What fails is told as it was found: making it smaller takes minutes where an example is a world of its own.
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    )
