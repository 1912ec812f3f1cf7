"""Choose threads, number format and memory layout for a training by what this machine is fast at.

What the processor has decides which ways of computing are tried. A few training steps of the
network itself, on images of the data set, decide between them. A setting that the user gives is
never changed, and nothing is measured if everything is given.

A choice changes the last bits of the weights, therefore it is kept in checkpoints and in the record
of the published version.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import median

import torch

from model_store.vae import VAE
from training.config import Compute, Preset
from training.data.images import Images, as_floats
from training.devices import Threads, has_bfloat16, matmul_precision
from training.fitting.trainer import Trainer

LIMIT_S = 8.0
"""Longest time (s) for all measurements."""
LIMIT_SHARE = 0.04
"""Largest part of the estimated training time that measurements may take."""
MIN_GAIN = 1.1
"""Factor by which another way must be faster than the plain one to be chosen."""
ROUNDS = 3
"""Steps that are timed of each of two ways, in turns."""
MIN_STEPS = 200
"""Training steps below which nothing is measured."""
SHORT_STEP_S = 0.1
"""Time (s) of a step up to which whole batches are used, instead of FEW_IMAGES."""
FEW_IMAGES = 32
TOO_SLOW = 2.0
"""Factor by which the first steps of a way are slower if it is not timed any further."""
STALL_S = 1.0
"""Time (s) of a first step from which on no second one is tried in this case."""


@dataclass(frozen=True)
class Plan:
    """One way of computing."""

    threads: int
    bf16: bool = False
    channels_last: bool = False
    matmul: str = "highest"


@dataclass(frozen=True)
class ComputeChoice:
    """Settings without `auto`, the number of threads, and a sentence that gives the reasons."""

    compute: Compute
    threads: int
    reasons: str


Compare = Callable[[Plan, Plan], float | None]
"""(plain, other) -> time of a step of `plain` / time of `other`; None if there is no time left."""

Clock = Callable[[], float]

Step = Callable[[Clock], float]
"""clock -> time (s) of one training step on it."""


def choose_compute(
    preset: Preset, vae: VAE, train: Images, *, threads: Threads | None, seed: int
) -> ComputeChoice:
    """Replace `auto` in the preset's compute settings, and choose the threads if none are set.

    The VAE and the images are on one device, and are not changed. The choice's number of threads
    is set in PyTorch.
    """
    number = torch.get_num_threads()
    threads = threads or Threads(number, number, as_set=True)
    on_cpu = vae.device.type == "cpu"
    choice = choose_plan(
        preset.compute,
        StepTimer(preset, vae, train, seed).compare,
        threads=threads if on_cpu else replace(threads, as_set=True),
        bf16=has_bfloat16(vae.device),
        matmul="medium" if on_cpu else "high",
        convolutions=any(weight.dim() == 4 for weight in vae.parameters()),
    )
    torch.set_num_threads(choice.threads)
    return choice


def choose_plan(
    compute: Compute,
    compare: Compare,
    *,
    threads: Threads,
    bf16: bool,
    matmul: str,
    convolutions: bool,
) -> ComputeChoice:
    """Go from the plain way of computing to faster ones, one setting at a time.

    `bf16` says whether the device has such instructions; `matmul` is the reduced precision of
    matrix products to try; `convolutions` says whether the network has any.
    """
    plan = Plan(
        threads.number if threads.as_set else 1,
        bf16=compute.bf16 is True,
        channels_last=compute.channels_last is True,
        matmul="highest" if compute.matmul == "auto" else compute.matmul,
    )
    plan, reason = _choose_threads(plan, threads, compare)
    reasons = [reason]
    if compute.bf16 != "auto":
        reasons.append(f"{'bfloat16' if plan.bf16 else 'float32'}, as set")
    elif bf16:
        plan = _try(plan, replace(plan, bf16=True), "bfloat16", compare, reasons)
    else:
        reasons.append("float32, because the processor has no bfloat16 instructions")
    if compute.channels_last == "auto" and convolutions:
        plan = _try(plan, replace(plan, channels_last=True), "channels last", compare, reasons)
    if compute.matmul == "auto" and not plan.bf16:  # else products are in 16 bits already
        label = f"matmul {matmul}"
        plan = _try(plan, replace(plan, matmul=matmul), label, compare, reasons)
    settings = {
        "bf16": plan.bf16,
        "channels_last": plan.channels_last,
        "matmul": plan.matmul,
        "compile": compute.compile,
    }
    return ComputeChoice(Compute.model_validate(settings), plan.threads, "; ".join(reasons))


def _choose_threads(plan: Plan, threads: Threads, compare: Compare) -> tuple[Plan, str]:
    """Double the threads as long as that pays; return the plan and the reason."""
    if threads.as_set:
        return plan, f"{_threads(plan.threads)}, as set"
    reason = _threads(plan.threads)
    if threads.number < threads.cores:
        reason = f"{_threads(threads.number)} of {threads.cores}, because the cores are busy"
    for number in _doubled(plan.threads, threads.number):
        other = replace(plan, threads=number)
        gain = compare(plan, other)
        if gain is None:
            return replace(
                plan, threads=threads.number
            ), f"{_threads(threads.number)}, not measured"
        if gain < MIN_GAIN:
            return plan, f"{_threads(plan.threads)} ({number} would be {_times(gain)} as fast)"
        plan, reason = other, f"{_threads(number)} ({_times(gain)} as fast as {plan.threads})"
    return plan, reason


def _doubled(threads: int, most: int) -> Iterator[int]:
    while threads < most:
        threads = min(2 * threads, most)
        yield threads


def _try(plan: Plan, other: Plan, label: str, compare: Compare, reasons: list[str]) -> Plan:
    """Return the faster of two plans, and append the reason."""
    gain = compare(plan, other)
    if gain is None:
        reasons.append(f"no {label}, not measured")
        return plan
    if gain < MIN_GAIN:
        reasons.append(f"no {label} ({_times(gain)} as fast)")
        return plan
    reasons.append(f"{label} ({_times(gain)} as fast)")
    return other


def _threads(threads: int) -> str:
    return f"{threads} thread{'s' if threads > 1 else ''}"


def _times(gain: float) -> str:
    return f"{gain:.2g} times"


class StepTimer:
    """Times training steps of copies of a network, within a budget."""

    def __init__(self, preset: Preset, vae: VAE, train: Images, seed: int) -> None:
        self.preset = preset
        self.vae = vae
        self.seed = seed
        optimiser = preset.optimiser
        self.steps = optimiser.epochs * math.ceil(len(train) / optimiser.batch_size)
        self.epochs = optimiser.epochs / 2
        """Progress of the training whose steps are timed; objectives change on the way."""
        self.batch = as_floats(train.pixels[: optimiser.batch_size])
        self.x = self.batch[:FEW_IMAGES]
        self.budget_s = LIMIT_S
        """Remaining time (s)."""
        self._steppers: dict[Plan, Step] = {}
        """Step functions of the two plans that were compared last."""

    def compare(self, plain: Plan, other: Plan) -> float | None:
        """Return time of a step of `plain` / time of `other`; None if the budget is spent."""
        if self.steps < MIN_STEPS:
            return None
        # a single thread's own time does not depend on what else the machine does
        alone = plain.threads == other.threads == 1 and self.vae.device.type == "cpu"
        clock = time.thread_time if alone else time.perf_counter
        if not self._steppers:  # PyTorch's first step imports modules, for seconds
            self._steppers[plain] = self._stepper(plain)
            self._steppers[plain](clock)
            self._limit_budget(self._steppers[plain](clock))
        started = time.perf_counter()
        try:
            return self._compare(plain, other, clock, started + self.budget_s)
        finally:
            self.budget_s -= time.perf_counter() - started

    def _compare(self, plain: Plan, other: Plan, clock: Clock, deadline: float) -> float | None:
        steps = {plan: self._steppers.get(plan) or self._stepper(plan) for plan in (plain, other)}
        if plain not in self._steppers:
            steps[plain](clock)  # allocates memory and prepares kernels
        self._steppers = steps
        step_s = steps[plain](clock)
        if time.perf_counter() + 2 * (ROUNDS + 1) * step_s > deadline:
            return None
        first_s = steps[other](clock)
        if TOO_SLOW * step_s < first_s < STALL_S:
            first_s = min(first_s, steps[other](clock))  # the first step prepares the network
        if first_s > TOO_SLOW * step_s:
            return step_s / first_s
        times: dict[Plan, list[float]] = {plain: [], other: []}
        for _ in range(ROUNDS):
            for plan, measured in times.items():
                measured.append(steps[plan](clock))
            if time.perf_counter() > deadline:
                break
        return median(times[plain]) / median(times[other])

    def _limit_budget(self, step_s: float) -> None:
        """Limit the budget to a share of the training.

        If steps are short, whole batches are timed from now on.
        """
        batch_s = step_s * len(self.batch) / len(self.x)
        if batch_s < SHORT_STEP_S:
            self.x = self.batch
        self.budget_s = min(self.budget_s, LIMIT_SHARE * batch_s * self.steps)

    def _stepper(self, plan: Plan) -> Step:
        """Return a function that takes a step by this plan, and returns its time (s) on a clock."""
        compute = Compute(bf16=plan.bf16, channels_last=plan.channels_last)
        preset = self.preset
        trainer = Trainer(
            copy.deepcopy(self.vae), preset.objective, preset.optimiser, self.seed, compute
        )

        def step(clock: Clock) -> float:
            torch.set_num_threads(plan.threads)
            with matmul_precision(plan.matmul):
                started = clock()
                trainer.step(self.x, self.epochs).tolist()  # waits for a GPU
                return clock() - started

        return step
