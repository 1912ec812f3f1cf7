"""The scripts of docker/: the health check, what is left out of the image, and the search for an engine."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DOCKER = Path(__file__).resolve().parents[2] / "docker"
HEALTHCHECK = [sys.executable, "-I", "-S", str(DOCKER / "healthcheck.py")]


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """Answer one connection with these bytes; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def check(port: int, **variables: str) -> int:
    environment = {"ZSERVE_PORT": str(port), **variables}
    return subprocess.run(HEALTHCHECK, env=environment, check=False).returncode


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", ""])  # noqa: S104 - it only connects
def test_a_living_service_is_healthy_on_any_address_it_listens_to(host: str) -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\n") as port:
        assert check(port, ZSERVE_HOST=host) == 0


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"", b"garbage", b"\xff\xfe \xff"]
)
def test_any_other_answer_is_unhealthy(answer: bytes) -> None:
    with answering(answer) as port:
        assert check(port) == 1


def test_a_port_on_which_nothing_listens_is_unhealthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert check(port) == 1


def test_the_health_check_imports_nothing_that_takes_time() -> None:
    path = f"import sys; sys.path.insert(0, {str(DOCKER)!r})"
    code = f"{path}; import healthcheck; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"asyncio", "enum", "re", "socket", "ssl", "urllib"} & set(done.stdout.split())


def test_what_serving_never_imports_is_removed_and_the_rest_stays(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    kept = ["numpy/__init__.py", "torch/lib/libtorch.so", "numpy/testing/tests.py"]
    removed = [
        "numpy/linalg/tests/test_linalg.py",
        "torch/include/a/b.h",
        "torch/lib/libx.a",
        "a/b.pyi",
    ]
    for name in (*kept, *removed):
        path = packages / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100_000)
    command = [sys.executable, str(DOCKER / "slim.py"), str(tmp_path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [name for name in kept if not (packages / name).exists()] == []
    assert [name for name in removed if (packages / name).exists()] == []
    assert "     0.1 MB  torch/include" in printed


@pytest.mark.parametrize(("beside", "stays"), [("torch", False), ("triton", True)])
def test_the_compiler_of_pytorch_stays_if_a_gpu_may_need_it(
    tmp_path: Path, beside: str, stays: bool
) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    for name in {beside, "sympy", "torch/_inductor"}:
        (packages / name).mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, str(DOCKER / "slim.py"), str(tmp_path)], check=True)
    assert (packages / "sympy").exists() == stays
    assert (packages / "torch" / "_inductor").exists() == stays


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "install and start docker or podman"),
        ({"ENGINE": "no-such-engine --option"}, "install and start no-such-engine"),
        ({"ENGINE": "false"}, "ENGINE=false does not answer"),
    ],
)
def test_without_an_engine_the_smoke_test_says_so_and_has_a_status_of_its_own(
    tmp_path: Path, variables: dict[str, str], words: str
) -> None:
    for program in Path("/usr/bin/false"), Path("/bin/false"):
        if program.exists() and not (tmp_path / "false").exists():
            (tmp_path / "false").symlink_to(program)
    done = subprocess.run(
        [sys.executable, str(DOCKER / "smoke.py")],
        env={"PATH": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("docker-smoke: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


ENGINE = """#!{python}
import json, os, sys
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
sys.exit(1 if "build" in sys.argv else 0)
"""


def test_options_of_the_engine_and_of_builds_are_passed_on(tmp_path: Path) -> None:
    program = tmp_path / "podman"
    program.write_text(ENGINE.format(python=sys.executable))
    program.chmod(0o755)
    calls = tmp_path / "calls"
    environment = os.environ | {
        "ENGINE": f"{program} --runtime runc",
        "ENGINE_BUILD_ARGS": "--network host --volume '/a b:/c'",
        "CALLS": str(calls),
    }
    done = subprocess.run(
        [sys.executable, str(DOCKER / "smoke.py")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "build" in done.stderr
    info, build = map(json.loads, calls.read_text().splitlines())
    assert info == ["--runtime", "runc", "info"]
    assert build[:5] == ["--runtime", "runc", "build", "--format", "docker"]
    assert build[5:9] == ["--network", "host", "--volume", "/a b:/c"]
