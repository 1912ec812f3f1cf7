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

from benchmarks.common.machine import read_machine
from benchmarks.serving import haproxy
from benchmarks.serving.expected_png import ExpectedPng, WrongAnswerError, check_png
from benchmarks.serving.exported_models import DEFAULT, LAB
from benchmarks.serving.load_points import N16_C32, LoadPoint
from benchmarks.serving.options import conditions, parse_options, plan_of
from benchmarks.serving.peer_servers import BARE_ASGI, CONSTANT, PEER_SERVERS, RAY
from benchmarks.serving.plan import Plan
from benchmarks.serving.processes import MARK, ServerError, ServerProcess, free_port, started
from benchmarks.serving.report import markdown
from benchmarks.serving.results import Measurement, Results
from benchmarks.serving.servers import (
    BASELINE,
    OWN_SERVERS,
    UNBATCHED,
    CheckoutError,
    Server,
    baseline_server,
)
from benchmarks.serving.targets import targets

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


@pytest.mark.parametrize(("n", "size"), [(1, (28, 28)), (16, (122, 122)), (256, (482, 482))])
def test_a_grid_has_the_size_that_torchvision_gives_it(n, size):
    assert ExpectedPng(n).size == size
    check_png(png(*size), ExpectedPng(n))


def test_a_png_of_another_size_is_refused():
    with pytest.raises(WrongAnswerError, match="a grid of 16 tiles"):
        check_png(png(122, 92), ExpectedPng(16))


def test_a_png_with_an_empty_tile_is_refused():
    with pytest.raises(WrongAnswerError, match="has 15 tiles"):
        check_png(png(122, 122, empty=(32, 62)), ExpectedPng(16))


def test_half_a_png_is_refused():
    whole = png(122, 122)
    with pytest.raises(WrongAnswerError, match="not a PNG"):
        check_png(whole[: len(whole) // 2], ExpectedPng(16))


def measured(server: str, requests_per_s: float, number: int) -> Measurement:
    return Measurement(number, LAB, server, N16_C32, requests_per_s, 1000, 1.0, 2.0, 0, 3, 0.5)


def test_the_best_peer_is_what_zserve_is_compared_with():
    results = Results(servers=dict.fromkeys(["zserve", "FastAPI", "LitServe"], ""))
    for number in range(5):
        results.measurements += [
            measured("zserve", 1300.0, number),
            measured("FastAPI", 300.0, number),
            measured("LitServe", 325.0, number),
        ]
    first = targets(results)[0]
    assert first.measured is not None
    assert first.measured.median == 4.0
    assert first.remark == "the best is LitServe; by CPU time per request 1.00x"
    assert first.verdict == "goal met"
    assert "| goal met |" in markdown(results)


def test_a_target_without_measurements_is_neither_met_nor_missed():
    assert {target.verdict for target in targets(Results())} == {"not measured"}


def plan(*servers: Server) -> Plan:
    return Plan(
        servers=servers,
        models=(LAB, DEFAULT),
        points=(LoadPoint(256, 32), LoadPoint(16, 32)),
        last_round_points=(LoadPoint(1, 1),),
        rounds=5,
        duration_s=1,
        tuned_settings=None,
    )


def test_light_loads_come_first_and_last_round_points_with_the_mlp_alone():
    assert plan().points_in(4) == (LoadPoint(1, 1), LoadPoint(16, 32), LoadPoint(256, 32))
    assert (
        plan().points_in(0)
        == plan().points_in(4, DEFAULT)
        == (LoadPoint(16, 32), LoadPoint(256, 32))
    )


def test_servers_of_constant_pngs_are_measured_with_one_model_only():
    names = {model: {s.name for s in plan(*PEER_SERVERS).servers_of(model)} for model in MODELS}
    assert names[LAB] - names[DEFAULT] == {CONSTANT, BARE_ASGI}


def test_a_variant_of_zserve_has_its_own_load_points_with_the_mlp_alone():
    (unbatched,) = (server for server in OWN_SERVERS if server.name == UNBATCHED)
    chosen = plan(unbatched)
    assert chosen.includes(unbatched, LAB, LoadPoint(16, 32))
    assert not chosen.includes(unbatched, LAB, LoadPoint(256, 32))
    assert not chosen.includes(unbatched, DEFAULT, LoadPoint(16, 32))


FAILING_SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(500)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def test_a_server_that_answers_500_is_stopped_at_once_and_its_log_is_reported(tmp_path: Path):
    port, log = free_port(), tmp_path / "log"
    with (
        pytest.raises(ServerError, match=r"500(.|\n)*GET /x"),
        started(
            [sys.executable, "-c", FAILING_SERVER],
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


def test_settle_returns_when_the_server_no_longer_computes(tmp_path: Path):
    computes_for_a_while = "import time\nwhile time.process_time() < 0.5: pass\ntime.sleep(60)"
    environment = {**os.environ, MARK: "settling"}
    with subprocess.Popen([sys.executable, "-c", computes_for_a_while], env=environment) as process:
        try:
            running = ServerProcess(0, "settling", tmp_path / "log")
            while running.cpu_s() < 0.1:
                time.sleep(0.01)
            running.settle()
            assert running.cpu_s() >= 0.4
        finally:
            process.kill()


def test_a_baseline_runs_its_own_checkout_with_its_own_interpreter(tmp_path: Path):
    (tmp_path / "app").mkdir()
    with pytest.raises(CheckoutError, match=r"no \.venv: run `make"):
        baseline_server(tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    server = baseline_server(tmp_path)
    assert server.folder == tmp_path
    assert server.interpreter == tmp_path / ".venv" / "bin" / "python"


def test_a_folder_without_zserve_is_refused_as_baseline(tmp_path: Path):
    with pytest.raises(CheckoutError, match="has no folder app"):
        baseline_server(tmp_path)


def test_the_report_compares_zserve_with_the_baseline_of_the_same_round():
    results = Results(servers=dict.fromkeys(["zserve", BASELINE], ""))
    assert "baseline" not in markdown(Results(servers={"zserve": ""}))
    for number, slow in enumerate((1.0, 0.1, 1.0)):
        results.measurements += [
            measured("zserve", 1100.0 * slow, number),
            measured(BASELINE, 1000.0 * slow, number),
        ]
    row = f"| {LAB} | n=16, 32 connections | 1.10x [1.10, 1.10] | 1.00x [1.00, 1.00] |"
    assert row in markdown(results)
    results.seeded_sha256 = {"zserve": "a", BASELINE: "b"}
    assert "OTHER BYTES" in markdown(results)


def with_ray() -> Results:
    results = Results(servers=dict.fromkeys(["zserve", RAY], ""))
    for number in range(3):
        results.measurements += [measured("zserve", 800.0, number), measured(RAY, 400.0, number)]
    return results


def test_no_ratio_to_ray_is_reported_unless_its_fast_mode_is_confirmed():
    confirmed, unconfirmed = with_ray(), with_ray()
    unconfirmed.unconfirmed[RAY] = "its port is served by python, not by HAProxy"
    assert "2.00x" in markdown(confirmed)
    report = markdown(unconfirmed)
    assert "2.00x" not in report
    assert f"**no ratio to {RAY}**: its fast mode is not confirmed: its port is served" in report


def test_ray_is_started_in_its_fast_mode_and_checked():
    (ray,) = (server for server in PEER_SERVERS if server.name == RAY)
    assert ray.variables["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
    assert ray.fast_mode is not None
    assert ray.fast_mode.fault is haproxy.unconfirmed_reason


STATISTICS = """# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin
http_frontend,FRONTEND,,,0,32,4096,33,91872
http-default,SERVE_REPLICA_default-Generate-qoa3ahvg,0,0,0,32,,{replica},91872
http-default,SERVE_PROXY_ACTOR-fallback-a2640ccf,0,0,0,0,,{fallback},0
http-default,BACKEND,0,0,0,32,410,1392,91872
"""


@pytest.mark.parametrize(
    ("replica", "fallback", "fault"),
    [
        (1392, 0, None),
        (0, 0, "HAProxy sent no request to a replica"),
        (1392, 3, "HAProxy sent 3 requests to Ray's Python proxy"),
    ],
)
def test_haproxy_must_send_all_requests_to_replicas(replica, fallback, fault):
    text = STATISTICS.format(replica=replica, fallback=fallback)
    assert haproxy.misrouted_reason(haproxy.requests_by_server(text)) == fault


HTTP_SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def test_a_server_that_is_not_haproxy_is_found_on_its_port(tmp_path: Path):
    port = free_port()
    with started(
        [sys.executable, "-c", HTTP_SERVER],
        port=port,
        cores=os.sched_getaffinity(0),
        variables={"PORT": str(port)},
        folder=tmp_path,
        log=tmp_path / "log",
        first=("GET", "/", None),
    ) as process:
        assert process.listeners()
        fault = haproxy.unconfirmed_reason(process)
    assert fault is not None
    assert sys.executable in fault
    assert fault.endswith("not by HAProxy")


def test_the_quick_run_has_the_promised_servers_and_loads(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["benchmarks.serving", "--quick"])
    options = parse_options("")
    quick = plan_of(options, options.peers)
    assert {server.environment for server in quick.servers} == {"textbook", "litserve", "mosec"}
    assert quick.points == (LoadPoint(16, 1), LoadPoint(16, 32))
    assert (quick.rounds, quick.tuned_settings, quick.models) == (2, 1, (LAB, DEFAULT))
    assert quick.estimate_s() < 300


def test_the_conditions_of_a_run_name_cpu_and_instruction_set():
    machine = read_machine()
    lines = conditions(plan(), machine)
    assert machine.cpu in lines["CPU"]
    assert lines["instruction set"] == machine.instruction_set
