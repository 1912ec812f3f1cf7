"""The notebook runs from top to bottom, and contains no images."""

import base64
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from model_store.store import SHIPPED
from tests.e2e.server import CHECKOUT, serving

TOUR = CHECKOUT / "clients" / "examples" / "tour.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nbformat.NotebookNode]:
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(TOUR, as_version=4)
    with (
        serving(SHIPPED, folder / "server.log") as url,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("ZSERVE_URL", url)
        patch.setenv("IPYTHONDIR", str(folder))
        client = NotebookClient(notebook, timeout=240, kernel_name="python3")
        yield client.execute(cwd=str(folder))


def images(notebook: nbformat.NotebookNode) -> dict[str, bytes]:
    """Return the PNG that each cell shows, by the id of the cell."""
    return {
        cell.id: base64.b64decode(output.data["image/png"])
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    }


def test_every_cell_of_the_tour_runs(executed: nbformat.NotebookNode):
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    outputs = [output for cell in code for output in cell.outputs]
    assert {output.output_type for output in outputs} == {"execute_result", "stream"}
    assert not [o for o in outputs if o.get("name") == "stderr"]


def test_results_are_shown_as_images(executed: nbformat.NotebookNode):
    shown = images(executed)
    assert shown.keys() == {"generate", "label", "draw", "row", "traverse", "augment"}
    assert all(png.startswith(b"\x89PNG") for png in shown.values())
    (animation,) = [cell for cell in executed.cells if cell.id == "film"]
    assert "data:image/gif" in animation.outputs[0].data["text/html"]


def test_the_notebook_in_the_repository_has_no_outputs_and_no_images():
    notebook = nbformat.read(TOUR, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert "attachments" not in cell
    text = Path(TOUR).read_text()
    assert "image/png" not in text
    assert "base64" not in text
    assert len(text) < 20_000
