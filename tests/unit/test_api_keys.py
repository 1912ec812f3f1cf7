"""The file of API keys."""

import tomllib
from pathlib import Path

import pytest

from app.access.__main__ import main
from app.access.api_keys import CHECK_INTERVAL_S, KeyRing, add_key, digest_of, read_keys
from app.errors import SettingsError

ENTRY = '[[key]]\nname = "{name}"\nsha256 = "{sha256}"\nscopes = ["generate"]\n'


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_command_prints_a_key_and_stores_only_its_hash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys.toml"
    assert main([str(path), "--name", "web", "--scopes", "upload,generate"]) == 0
    secret = capsys.readouterr().out.strip()
    assert len(secret) >= 43  # 256 bits
    assert secret not in path.read_text()
    (entry,) = tomllib.loads(path.read_text())["key"]
    assert entry == {
        "name": "web",
        "sha256": digest_of(secret),
        "scopes": ["generate", "upload"],
    }
    assert [file.name for file in tmp_path.iterdir()] == ["keys.toml"]


def test_keys_are_added_beside_those_of_the_file_and_all_are_valid(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text("# keys of the web site\n")
    secrets = [add_key(path, f"k{i}", frozenset({"generate"})) for i in range(3)]
    assert len(set(secrets)) == 3
    assert path.read_text().startswith("# keys of the web site\n")
    ring = KeyRing(path)
    assert [key and key.name for key in map(ring.find, secrets)] == ["k0", "k1", "k2"]


@pytest.mark.parametrize(
    "secret", ["", "x", "zs_", "\udc80", "ü", "a" * 100_000, "\x00"], ids=lambda s: ascii(s[:9])
)
def test_a_text_that_is_no_key_finds_nothing(tmp_path: Path, secret: str) -> None:
    path = tmp_path / "keys.toml"
    valid = add_key(path, "web", frozenset({"generate"}))
    ring = KeyRing(path)
    assert ring.find(secret) is None
    assert ring.find(digest_of(valid)) is None
    assert ring.find(valid[:-1]) is None


def test_keys_are_rotated_without_a_restart(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "keys.toml"
    old = add_key(path, "old", frozenset({"generate"}))
    ring = KeyRing(path, clock=clock)
    new = add_key(path, "new", frozenset({"generate"}))
    clock.now_s += CHECK_INTERVAL_S
    assert ring.find(old)
    assert ring.find(new)
    path.write_text(ENTRY.format(name="new", sha256=digest_of(new)))
    clock.now_s += CHECK_INTERVAL_S
    assert ring.find(old) is None
    assert ring.find(new)


@pytest.mark.parametrize("fault", ["damaged", "missing"])
def test_a_file_that_becomes_unusable_leaves_the_former_keys_valid(
    tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock, path = Clock(), tmp_path / "keys.toml"
    secret = add_key(path, "web", frozenset({"generate"}))
    ring = KeyRing(path, clock=clock)
    if fault == "damaged":
        path.write_text("[[key")
    else:
        path.unlink()
    for _ in range(3):
        clock.now_s += CHECK_INTERVAL_S
        assert ring.find(secret)
    assert len(caplog.records) == 1
    assert str(path) in caplog.text
    assert secret not in caplog.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[[key", "keys.toml"),
        ("key = 1", "key"),
        ("keys = []", "keys"),
        (ENTRY.format(name="a", sha256="0" * 63), "sha256"),
        (ENTRY.format(name="a", sha256="G" * 64), "sha256"),
        (ENTRY.format(name="a b", sha256="0" * 64), "name"),
        (ENTRY.format(name="a", sha256="0" * 64).replace("generate", "everything"), "scopes"),
        (ENTRY.format(name="a", sha256="0" * 64).replace('"generate"', ""), "scopes"),
        (ENTRY.format(name="a", sha256="0" * 64) + 'secret = "x"\n', "secret"),
        (ENTRY.format(name="a", sha256="0" * 64) + ENTRY.format(name="a", sha256="1" * 64), "name"),
        (ENTRY.format(name="a", sha256="0" * 64) + ENTRY.format(name="b", sha256="0" * 64), "sha2"),
        (b"\xff\xfe", "keys.toml"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, content: str | bytes, words: str
) -> None:
    path = tmp_path / "keys.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SettingsError) as refused:
        read_keys(path)
    assert str(path) in str(refused.value)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(ENTRY.format(name="a", sha256="0" * 64), "utf-8-sig")
    assert read_keys(path)[0].name == "a"


@pytest.mark.parametrize(
    "arguments", [["--name", "a b"], ["--name", "a", "--scopes", "all"], ["--name", "taken"]]
)
def test_a_key_that_cannot_be_added_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    path = tmp_path / "keys.toml"
    add_key(path, "taken", frozenset({"generate"}))
    before = path.read_bytes()
    assert main([str(path), *arguments]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["keys.toml"]
