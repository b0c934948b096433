"""What the gateway's releases differ in, beyond the generation of the endpoint."""

from dataclasses import dataclass

from tests.simulators.bifrost.specs import VERSIONS, Generation, Options

Number = tuple[int, int, int]

_FIRST: dict[Generation, Number] = {1: (1, 4, 5), 2: (1, 5, 9), 3: (2, 3, 0)}
"""The first release of each generation; the endpoint itself is as old as generation 1."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release of a generation, asked for what it does."""

    generation: Generation
    number: Number

    @classmethod
    def of(cls, generation: Generation, version: str) -> "Release":
        """Return the release of a version.

        One that is none of the generation, such as the v1.0.0 that a build without a version calls itself, does what
        the generation's usual one does.
        """
        number = numbers(version)
        after = {1: _FIRST[2], 2: _FIRST[3]}.get(generation)
        if number < _FIRST[generation] or (after is not None and number >= after):
            number = numbers(VERSIONS[generation])
        return cls(generation, number)

    @property
    def pages(self) -> bool:
        """Whether a list knows limit, offset and search, and tells total_count, limit and offset in any case."""
        return self.number >= (1, 4, 13)

    @property
    def budget_in_part(self) -> bool:
        """Whether a PUT of generation 1 may hold one field of its budget alone."""
        return self.number >= (1, 4, 18)

    @property
    def aligns_budgets(self) -> bool:
        """Whether calendar_aligned stands on the budget; before it is nowhere, from generation 2 on it is the row's."""
        return (1, 4, 18) <= self.number <= (1, 5, 2)

    @property
    def public_version(self) -> bool:
        """Whether /api/version needs no credentials."""
        return self.number >= (1, 5, 0)

    @property
    def routing_info(self) -> bool:
        """Whether errors say that nothing was routed."""
        return self.number >= (1, 5, 12)

    @property
    def starts_with_foreign_budgets(self) -> bool:
        """Whether it starts with config.json as the source of truth where an API's row has a budget."""
        return self.generation == 1 or self.number > (1, 5, 16)

    @property
    def quarters(self) -> bool:
        """Whether a budget can be of `1Q`, with the month in which the year's quarters start."""
        return self.number >= (1, 6, 10)

    @property
    def overrides(self) -> bool:
        """Whether a budget shows what somebody added to its limit for a while."""
        return self.number >= (1, 6, 10)

    @property
    def wants_positive(self) -> bool:
        """Whether a duration of nothing is refused where a malformed one is; before, only the database finds it.

        Seen of v1.4.19 and v1.5.16 that they do not; which release was the first that does is a guess.
        """
        return self.number >= (1, 6, 10)


def release_of(options: Options) -> Release:
    """Return the release that a gateway with these options is."""
    return Release.of(options.generation, options.told_version)


def generation_of(version: str) -> Generation | None:
    """Return the generation of a released version, None for one that cannot tell."""
    number = numbers(version)
    if number < _FIRST[1]:
        return None
    return 1 if number < _FIRST[2] else 2


def numbers(version: str) -> Number:
    """Return the numbers of a version such as v1.5.16 or v2.3.0-dev, zeros for one that has none."""
    parts = version.removeprefix("v").partition("-")[0].split(".")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        return 0, 0, 0
    major, minor, patch = map(int, parts)
    return major, minor, patch
