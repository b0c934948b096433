"""The longest block of the event loop is noticed, and forgotten after a while."""

import asyncio
import time

from setpoint.cluster.pulse import WINDOW, Pulse
from setpoint.reconcile.ports import LoopClock
from tests.virtual_time import run
from tests.waiting import eventually_async


def test_a_block_is_told_until_it_is_old() -> None:
    async def main() -> None:
        pulse = Pulse(LoopClock())
        assert pulse.longest_block == 0
        pulse.noticed(2.0)
        await asyncio.sleep(100)
        pulse.noticed(0.5)
        await asyncio.sleep(100)
        pulse.noticed(1.0)
        assert pulse.longest_block == 2
        await asyncio.sleep(WINDOW - 190)
        assert pulse.longest_block == 1
        await asyncio.sleep(WINDOW)
        assert pulse.longest_block == 0

    run(main())


def test_what_holds_the_loop_up_is_noticed() -> None:
    async def main() -> None:
        pulse = Pulse(LoopClock())
        beating = asyncio.create_task(pulse.run())
        await asyncio.sleep(0)
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            pass

        async def is_noticed() -> bool:
            return pulse.longest_block > 0.2

        await eventually_async(is_noticed)
        beating.cancel()

    asyncio.run(main())
