"""How an attack tells what it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.security.figures import LONGEST_BLOCK
from tests.security.siege import Ground, Siege, siege


@dataclass(frozen=True)
class Attack:
    """One attack: `run` sets it up, and waits for as long as it is to go on."""

    chapter: str
    name: str
    may: str
    """What whoever tries it is allowed to do, and does."""
    run: Callable[[Siege], None]
    open_gateway: bool = False
    """The neighbour's remote is a gateway that lets in everybody."""
    settings: Callable[[Ground], Mapping[str, str]] = lambda _: {}
    program: tuple[str, ...] = ("-m", "setpoint")

    def __str__(self) -> str:
        return self.name

    @property
    def longest_block(self) -> float | None:
        """The bound for the event loop's longest block: against answers, which one remote alone decides on."""
        return LONGEST_BLOCK if self.chapter == "answers" else None

    def on(self, ground: Ground, *, seconds: float, limit: int | None = None) -> Siege:
        """Try it once, for so many seconds; return what came of it."""
        with siege(
            ground,
            open_gateway=self.open_gateway,
            seconds=seconds,
            settings=self.settings(ground),
            program=self.program,
            limit=limit,
        ) as begun:
            self.run(begun)
        return begun


ATTACKS: list[Attack] = []


def attack(
    chapter: str,
    name: str,
    may: str,
    *,
    open_gateway: bool = False,
    settings: Callable[[Ground], Mapping[str, str]] = lambda _: {},
    program: tuple[str, ...] = ("-m", "setpoint"),
) -> Callable[[Callable[[Siege], None]], Callable[[Siege], None]]:
    """Add an attack to the list."""

    def register(run: Callable[[Siege], None]) -> Callable[[Siege], None]:
        ATTACKS.append(Attack(chapter, name, may, run, open_gateway, settings, program))
        return run

    return register


def of(chapter: str) -> list[Attack]:
    """Return the attacks of a chapter."""
    return [one for one in ATTACKS if one.chapter == chapter]
