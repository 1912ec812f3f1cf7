import json
import os
from pathlib import Path

import pytest

from benchmarks.common.machine import LIMITING_VARIABLES, Machine, instruction_set, read_machine
from benchmarks.common.recording import record, table
from benchmarks.common.statistics import coverage, estimate, ratio

MACHINE = Machine(
    started="2026-01-31 12:00 UTC",
    cpu="Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz",
    cores=2,
    instruction_set="AVX2",
    instruction_set_limits={"ATEN_CPU_CAPABILITY": "avx2"},
    python="3.12.1",
    torch="2.11.0",
    load_average=0.07,
)


def test_all_of_five_values_hold_the_median_fifteen_times_in_sixteen():
    assert coverage(5, 1) == 15 / 16
    result = estimate([3.0, 1.0, 2.0, 5.0, 4.0])
    assert (result.low, result.median, result.high, result.coverage) == (1.0, 3.0, 5.0, 15 / 16)


def test_the_extremes_of_nine_values_are_not_needed_for_nine_tenths():
    result = estimate([float(value) for value in range(9)])
    assert (result.low, result.high) == (1.0, 7.0)
    assert result.coverage == pytest.approx(1 - 2 * 10 / 512)


def test_one_value_has_an_interval_without_coverage():
    result = estimate([7.0])
    assert (result.low, result.median, result.high, result.coverage) == (7.0, 7.0, 7.0, 0.0)


def test_a_slow_round_does_not_change_a_ratio():
    assert ratio([10.0, 1.0, 10.0], [5.0, 0.5, 5.0]).low == 2.0


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ("sse sse4_1", "SSE4.1"),
        ("sse4_1 avx", "AVX"),
        ("sse4_1 avx avx2", "AVX2"),
        ("sse4_1 avx avx2 avx_vnni", "AVX2 (VNNI)"),
        ("sse4_1 avx avx2 avx512f", "AVX-512"),
        ("avx2 avx512f avx512_bf16 amx_tile avx512_vnni", "AVX-512 (VNNI, bfloat16, AMX)"),
    ],
)
def test_the_widest_instruction_set_is_named(flags: str, name: str):
    assert instruction_set(flags.split()) == name


def test_a_cpu_without_flags_of_x86_is_named_by_its_architecture():
    assert instruction_set(["asimd", "sve"]) == os.uname().machine


def test_limits_on_the_instruction_set_are_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
):
    for name in LIMITING_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert read_machine().lines()["limits on the instruction set"] == "none"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    machine = read_machine()
    assert machine.lines()["limits on the instruction set"] == (
        "ONEDNN_MAX_CPU_ISA=AVX2, ATEN_CPU_CAPABILITY=default"
    )


def test_a_file_name_holds_the_cpu_or_the_gpu_and_the_cores():
    assert MACHINE.slug() == "intel-xeon-platinum-8375c-2-cores"


def test_runs_of_one_day_and_machine_are_kept_in_one_pair_of_files(tmp_path: Path):
    text = table(["measured", "images/s"], [["engine", "5"]])
    record("engine_throughput", MACHINE, text, {"images_per_s": 5}, tmp_path)
    page = record("serving", MACHINE, "second", {"requests_per_s": 7}, tmp_path)
    assert page.name == "2026-01-31-intel-xeon-platinum-8375c-2-cores.md"
    runs = json.loads(page.with_suffix(".json").read_text())
    assert [run["benchmark"] for run in runs] == ["engine_throughput", "serving"]
    assert runs[0]["machine"]["instruction_set"] == "AVX2"
    assert (runs[0]["images_per_s"], runs[1]["requests_per_s"]) == (5, 7)
    markdown = page.read_text()
    assert "- instruction set: AVX2\n- limits on the instruction set: ATEN_CPU_" in markdown
    assert "| engine | 5 |" in markdown
    assert markdown.index("## engine_throughput") < markdown.index("## serving")
