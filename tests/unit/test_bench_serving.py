import io
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.serving.answers import Expected, WrongAnswerError, check_png
from benchmarks.serving.criteria import targets
from benchmarks.serving.models import DEFAULT, LAB
from benchmarks.serving.process import MARK, Running, ServerError, free_port, started
from benchmarks.serving.report import markdown
from benchmarks.serving.results import Cell, Results, Sample
from benchmarks.serving.run import Plan
from benchmarks.serving.servers import (
    BARE,
    CONSTANT,
    OWN_SERVERS,
    PEER_SERVERS,
    UNBATCHED,
    Server,
)
from benchmarks.serving.statistics import coverage, estimate, ratio

MODELS = (LAB, DEFAULT)


def png(width: int, height: int, *, empty: tuple[int, int] | None = None) -> bytes:
    pixels = np.zeros((height, width), np.uint8)
    pixels[::2] = 255
    if empty:
        left, top = empty
        pixels[top : top + 28, left : left + 28] = 0
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def test_all_of_five_values_hold_the_median_fifteen_times_in_sixteen():
    assert coverage(5, 1) == 15 / 16
    found = estimate([3.0, 1.0, 2.0, 5.0, 4.0])
    assert (found.low, found.median, found.high, found.coverage) == (1.0, 3.0, 5.0, 15 / 16)


def test_the_extremes_of_nine_values_are_not_needed_for_nine_tenths():
    found = estimate([float(value) for value in range(9)])
    assert (found.low, found.high) == (1.0, 7.0)
    assert found.coverage == pytest.approx(1 - 2 * 10 / 512)


def test_one_value_has_no_interval_to_speak_of():
    found = estimate([7.0])
    assert (found.low, found.median, found.high, found.coverage) == (7.0, 7.0, 7.0, 0.0)


def test_a_slow_round_does_not_change_a_ratio():
    assert ratio([10.0, 1.0, 10.0], [5.0, 0.5, 5.0]).low == 2.0


@pytest.mark.parametrize(("n", "size"), [(1, (28, 28)), (16, (122, 122)), (256, (482, 482))])
def test_a_grid_has_the_size_that_torchvision_gives_it(n, size):
    assert Expected(n).size == size
    check_png(png(*size), Expected(n))


def test_a_png_of_another_size_is_refused():
    with pytest.raises(WrongAnswerError, match="16 tiles make"):
        check_png(png(122, 92), Expected(16))


def test_a_png_with_an_empty_tile_is_refused():
    with pytest.raises(WrongAnswerError, match="shows 15 tiles"):
        check_png(png(122, 122, empty=(32, 62)), Expected(16))


def test_half_a_png_is_refused():
    whole = png(122, 122)
    with pytest.raises(WrongAnswerError, match="not a PNG"):
        check_png(whole[: len(whole) // 2], Expected(16))


def busy(server: str, requests_per_s: float, number: int) -> Sample:
    return Sample(number, LAB, server, 16, 32, requests_per_s, 1000, 1.0, 2.0, 0, 3, 0.5)


def test_the_best_peer_is_what_zserve_is_compared_with():
    results = Results(servers=dict.fromkeys(["zserve", "FastAPI", "LitServe"], ""))
    for number in range(5):
        results.samples += [
            busy("zserve", 1300.0, number),
            busy("FastAPI", 300.0, number),
            busy("LitServe", 325.0, number),
        ]
    first = targets(results)[0]
    assert first.measured is not None
    assert first.measured.median == 4.0
    assert first.remark == "the best is LitServe; by CPU time a request 1.00x"
    assert first.verdict == "reach met"
    assert "| reach met |" in markdown(results)


def test_what_was_not_measured_is_neither_met_nor_missed():
    assert {target.verdict for target in targets(Results())} == {"not measured"}


def plan(*servers: Server) -> Plan:
    return Plan(
        servers=servers,
        models=(LAB, DEFAULT),
        cells=(Cell(256, 32), Cell(16, 32)),
        corners=(Cell(1, 1),),
        rounds=5,
        duration_s=1,
        tuned_settings=None,
    )


def test_light_loads_come_first_and_corners_in_the_last_round_of_the_mlp_alone():
    assert plan().cells_in(4) == (Cell(1, 1), Cell(16, 32), Cell(256, 32))
    assert plan().cells_in(0) == plan().cells_in(4, DEFAULT) == (Cell(16, 32), Cell(256, 32))


def test_what_computes_nothing_is_not_measured_again_with_another_model():
    names = {model: {s.name for s in plan(*PEER_SERVERS).servers_of(model)} for model in MODELS}
    assert names[LAB] - names[DEFAULT] == {CONSTANT, BARE}


def test_a_variant_has_its_own_loads_with_the_mlp_alone():
    (unbatched,) = (server for server in OWN_SERVERS if server.name == UNBATCHED)
    taken = plan(unbatched)
    assert taken.takes(unbatched, LAB, Cell(16, 32))
    assert not taken.takes(unbatched, LAB, Cell(256, 32))
    assert not taken.takes(unbatched, DEFAULT, Cell(16, 32))


SERVER_WITH_A_FAULT = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(500)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def test_a_server_that_answers_500_is_given_up_at_once_with_its_log_and_stopped(tmp_path: Path):
    port, log = free_port(), tmp_path / "log"
    with (
        pytest.raises(ServerError, match=r"500(.|\n)*GET /x"),
        started(
            [sys.executable, "-c", SERVER_WITH_A_FAULT],
            port=port,
            cores=os.sched_getaffinity(0),
            variables={"PORT": str(port)},
            folder=tmp_path,
            log=log,
            first=("GET", "/x", None),
        ),
    ):
        pass
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.1", port)):
        pass


def test_a_server_has_settled_when_it_computes_nothing_any_more(tmp_path: Path):
    busy_for_a_while = "import time\nwhile time.process_time() < 0.5: pass\ntime.sleep(60)"
    environment = {**os.environ, MARK: "settling"}
    with subprocess.Popen([sys.executable, "-c", busy_for_a_while], env=environment) as process:
        try:
            running = Running(0, "settling", tmp_path / "log")
            while running.cpu_s() < 0.1:
                time.sleep(0.01)
            running.settle()
            assert running.cpu_s() >= 0.4
        finally:
            process.kill()
