"""The engine's use of fair queue, admission and measured rates."""

import asyncio
from typing import Any

import numpy as np
import pytest

from app.errors import QueueFullError
from app.inference.admission import TICKET, Ticket
from app.inference.engine import Engine
from app.inference.hooks import NullHooks
from app.inference.loaded_model import LoadedModel
from app.inference.pace import Pace
from tests.clock import run_turning_the_clock
from tests.unit.inference_models import TINY, Elementwise, an_engine, with_executor


def a_model(row_s: float) -> LoadedModel:
    """Return a quick model whose rows are said to take this long."""
    model = with_executor(Elementwise(), TINY)
    object.__setattr__(model, "pace", Pace({"decode": row_s}))
    return model


def rows(n: int) -> Any:
    return np.zeros((n, 3), np.float32)


def decoding(
    engine: Engine, model: LoadedModel, n: int, client: str = "a"
) -> "asyncio.Task[object]":
    """Start to decode n rows for a client."""

    async def decode() -> object:
        TICKET.set(Ticket(client))
        return await engine.decode(model, rows(n))

    return asyncio.create_task(decode())


async def refused(engine: Engine, model: LoadedModel, n: int, client: str = "a") -> QueueFullError:
    with pytest.raises(QueueFullError) as error:
        await decoding(engine, model, n, client)
    return error.value


def test_what_would_wait_longer_than_the_target_is_refused_with_the_time_to_wait() -> None:
    async def run() -> None:
        engine = an_engine(target_wait_s=2.0)
        engine.pause()
        model = a_model(0.01)
        waiting = [decoding(engine, model, 60) for _ in range(3)]
        await asyncio.sleep(0)
        error = await refused(engine, model, 60)
        assert error.limit == 2.0
        assert error.retry_after_s == pytest.approx(1.8)
        assert engine.waiting_images == 180
        engine.resume()
        await asyncio.gather(*waiting)
        await decoding(engine, model, 60)
        engine.close()

    asyncio.run(run())


def test_the_rate_of_each_model_counts_and_not_the_number_of_images() -> None:
    async def run() -> None:
        engine = an_engine(target_wait_s=2.0)
        engine.pause()
        quick, slow = a_model(0.002), a_model(0.05)
        waiting = [decoding(engine, quick, 200) for _ in range(4)]
        waiting += [decoding(engine, slow, 1)]
        await asyncio.sleep(0)
        await refused(engine, slow, 10)
        waiting += [decoding(engine, quick, 50)]
        await asyncio.sleep(0)
        assert engine.waiting_images == 851
        engine.resume()
        await asyncio.gather(*waiting)
        engine.close()

    asyncio.run(run())


def test_a_client_with_nothing_waiting_is_admitted_when_another_fills_the_queue() -> None:
    async def run() -> None:
        engine = an_engine(target_wait_s=2.0)
        engine.pause()
        model = a_model(0.01)
        waiting = [decoding(engine, model, 16, "greedy") for _ in range(12)]
        await asyncio.sleep(0)
        assert (await refused(engine, model, 16, "greedy")).limit == 2.0
        assert engine.overloaded
        waiting.append(decoding(engine, model, 1, "polite"))
        await asyncio.sleep(0)
        assert engine.waiting_images == 12 * 16 + 1
        engine.resume()
        await asyncio.gather(*waiting)
        engine.close()

    asyncio.run(run())


def test_later_calls_of_a_request_that_was_admitted_are_not_refused() -> None:
    async def run() -> None:
        engine = an_engine(target_wait_s=2.0)
        model = a_model(0.01)
        TICKET.set(Ticket("a"))
        await engine.decode(model, rows(1))
        engine.pause()
        greedy = [decoding(engine, model, 180)]
        await asyncio.sleep(0)
        later = asyncio.create_task(engine.decode(model, rows(160)))
        await asyncio.sleep(0)
        assert engine.waiting_images == 180 + 160
        await refused(engine, model, 160)
        engine.resume()
        await asyncio.gather(later, *greedy)
        engine.close()

    asyncio.run(run())


def test_a_refusal_can_be_asked_for_before_the_inputs_exist() -> None:
    async def run() -> None:
        engine = an_engine(target_wait_s=2.0)
        engine.pause()
        model = a_model(0.01)
        assert engine.refusal("a", model, "decode", 160) is None
        waiting = decoding(engine, model, 180)
        await asyncio.sleep(0)
        error = engine.refusal("a", model, "decode", 160)
        assert error is not None
        assert str(error) == str(await refused(engine, model, 160))
        engine.resume()
        await waiting
        engine.close()

    asyncio.run(run())


def test_requests_that_arrive_together_are_not_all_let_through() -> None:
    async def run() -> None:
        engine = an_engine(target_wait_s=2.0)
        model = a_model(0.01)
        engine.pause()

        def answers(client: str) -> list[bool]:
            refusals = [
                engine.refusal(client, model, "decode", 60, announce=True) for _ in range(4)
            ]
            return [refusal is None for refusal in refusals]

        assert answers("a") == [True, True, True, False]
        assert answers("b") == [True, True, True, False]
        await asyncio.sleep(0)
        assert engine.refusal("a", model, "decode", 60) is None
        engine.resume()
        engine.close()

    asyncio.run(run())


def test_rates_are_measured_while_requests_wait() -> None:
    async def run() -> None:
        engine = an_engine(target_wait_s=1e6)
        model = a_model(10.0)
        await asyncio.gather(*(decoding(engine, model, 16) for _ in range(60)))
        assert model.pace.seconds_per_row("decode") < 0.1
        engine.close()

    asyncio.run(run())


class Gauge(NullHooks):
    """Hooks that record the numbers of waiting images."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def waiting(self, images: int) -> None:
        self.values.append(images)


def test_the_number_of_waiting_images_is_reported_when_it_changes_and_is_0_when_idle() -> None:
    gauge = Gauge()

    async def run() -> None:
        engine = an_engine(hooks=gauge)
        model = a_model(0.001)
        await asyncio.gather(*(decoding(engine, model, 40) for _ in range(3)))
        await asyncio.sleep(0)
        assert gauge.values[0] == 120
        assert gauge.values[-1] == 0
        assert gauge.values == sorted(gauge.values, reverse=True)
        engine.close()

    asyncio.run(run())


@pytest.mark.parametrize("how", ["cancelled", "late", "closed"])
def test_requests_that_are_never_computed_no_longer_wait(how: str) -> None:
    gauge = Gauge()

    async def run() -> None:
        engine = an_engine(hooks=gauge, timeout_s=5.0)
        engine.pause()
        tasks = [decoding(engine, a_model(0.001), 4) for _ in range(3)]
        await asyncio.sleep(0.01)
        assert gauge.values == [12]
        if how == "cancelled":
            for task in tasks:
                task.cancel()
        elif how == "closed":
            engine.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
        assert gauge.values[-1] == 0
        engine.close()

    run_turning_the_clock(run())


def test_a_batch_that_fails_leaves_no_waiting_images() -> None:
    class Failing(Elementwise):
        def run(self, function: Any, inputs: Any) -> Any:
            raise RuntimeError("the model failed")

    gauge = Gauge()

    async def run() -> None:
        engine = an_engine(hooks=gauge)
        model = with_executor(Failing(), TINY)
        await asyncio.gather(
            *(decoding(engine, model, 40) for _ in range(3)), return_exceptions=True
        )
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert gauge.values[-1] == 0
        engine.close()

    asyncio.run(run())
