"""Options and settings of `serve run app.ray_serve:app`, which are read before Ray is started."""

import subprocess

import pytest

pytest.importorskip("ray", reason="ray is not installed; `make test-cluster` installs it")

from tests.cluster.nodes import CHECKOUT, environment, program


@pytest.mark.parametrize(
    ("option", "variables", "line"),
    [
        ("min_replicas=5", {}, "min_replicas is 5, max_replicas 4: the first may not be larger"),
        ("max_replicas=many", {}, "max_replicas: Input should be a valid integer"),
        ("replicas=5", {}, "replicas: no such option; the options are min_replicas, "),
        ("cpus=inf", {}, "cpus: Input should be a finite number"),
        ("cpus=1", {"ZSERVE_MAX_IMAGES": "0"}, "ZSERVE_MAX_IMAGES: Input should be greater"),
        (
            "cpus=1",
            {"ZSERVE_STORES": "x"},
            "ZSERVE_STORES is no setting of the service; did you mean",
        ),
        ("cpus=1", {"ZSERVE_STORE": "/no/such"}, "ZSERVE_STORE: the folder does not exist"),
    ],
)
def test_a_bad_one_ends_the_command_with_one_line(
    option: str, variables: dict[str, str], line: str
):
    done = subprocess.run(
        [program("serve"), "run", "app.ray_serve:app", option],
        env=environment(variables),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1
    assert f"zserve: {line}" in done.stderr
    assert "Traceback" not in done.stderr
