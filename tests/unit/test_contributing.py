import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_file_and_folder_that_contributing_names_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    marked = re.findall(r"`([\w./-]+)`", text) + re.findall(r"\]\(([^):]+)\)", text)
    paths = {name for name in marked if "/" in name or name.endswith((".md", ".toml"))}
    paths |= {f"model_store/{name}" for name in ("spec.py", "preprocessing.py", "store", "vae")}
    inside = {"data/", "presets/", "store/", "vae/"}  # named relative to a folder beside it
    missing = [path for path in sorted(paths - inside) if not (ROOT / path).exists()]
    assert len(paths) > 15
    assert missing == []
