"""Code that needs no torch does not pay for it: importing torch takes seconds."""

import subprocess
import sys

import pytest


def loaded_by(*modules: str) -> set[str]:
    """Names of what a fresh interpreter has loaded after importing these modules."""
    script = f"import sys, {', '.join(modules)}; print(*sys.modules, sep='\\n')"
    command = [sys.executable, "-c", script]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "model_store.spec",
        "model_store.errors",
        "model_store.class_latents",
        "model_store.preprocessing",
        "model_store.weight_shapes",
        "model_store.store",
        "model_store.__main__",
        "app.imaging.decode",
        "app.sampling.latents",
    ],
)
def test_a_module_without_networks_does_not_import_torch(module: str):
    assert "torch" not in loaded_by(module)


def test_a_store_in_a_folder_does_not_import_the_client_of_object_stores():
    script = (
        "import sys; from pathlib import Path; from model_store.store import SHIPPED, Store\n"
        "assert Store(SHIPPED).names(); print(*sys.modules, sep='\\n')"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "obstore" not in done.stdout.split()


def test_every_module_of_imaging_and_sampling_is_free_of_torch():
    script = (
        "import importlib, pkgutil, sys, app.imaging, app.sampling\n"
        "for package in (app.imaging, app.sampling):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
        "        print(module.name)\n"
        "assert 'torch' not in sys.modules\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    assert "app.sampling.latents" in answer.stdout.split()


def test_the_networks_import_torch():
    assert "torch" in loaded_by("model_store.vae")
