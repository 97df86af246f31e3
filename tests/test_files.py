"""Files that are whole or not there, locks, digests, and results that are reused."""

import os
import re
import subprocess
import sys
import threading

import pytest

from diglot import files
from diglot.core.errors import ConfigError
from diglot.files import (
    FileDigests,
    append_lines,
    check_own_folder,
    csv_cell,
    file_sha256,
    lock_folder,
    read_csv_cell,
    read_lines,
    read_object,
    replace_text,
    replacing_folder,
    reuse_or_make,
)
from tests.damage import WAYS


def test_a_folder_appears_whole_and_left_overs_go(tmp_path):
    target = tmp_path / "out [1]"
    (tmp_path / ".out [1].7.tmp").mkdir()
    with pytest.raises(FileNotFoundError), replacing_folder(target) as staging:
        (staging / "a").write_bytes((tmp_path / "none").read_bytes())
    assert not list(tmp_path.iterdir())
    for text in ("one", "two"):
        with replacing_folder(target) as staging:
            (staging / "a").write_text(text)
    assert (target / "a").read_text() == "two"
    assert [p.name for p in tmp_path.iterdir()] == [target.name]


def test_of_two_writers_of_a_folder_the_second_is_refused(tmp_path):
    target = tmp_path / "deep" / "out"
    with lock_folder(target, wait=False), replacing_folder(target) as staging:
        (staging / "a").write_text("one")
        with (
            pytest.raises(ConfigError, match="another process is writing here"),
            lock_folder(target, wait=False),
        ):
            pytest.fail("both write")
    assert (target / "a").read_text() == "one"


def test_a_folder_cannot_be_locked_where_none_can_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(
            ConfigError, match=r"file/deep/out: no folder can be made here: .*/file is a file"
        ),
        lock_folder(tmp_path / "file" / "deep" / "out", wait=True),
    ):
        pytest.fail("written into a file")


def test_killed_between_the_two_renames_the_older_folder_comes_back(tmp_path):
    old = tmp_path / ".out.7.old"
    old.mkdir()
    (old / "a").write_text("one")
    files.remove_left_overs(tmp_path / "out")
    assert (tmp_path / "out" / "a").read_text() == "one"
    assert not old.exists()


def test_a_digest_is_found_once_and_again_when_the_file_was_touched(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    assert FileDigests(tmp_path).find("a") == [file_sha256(path)]
    read: list[str] = []
    monkeypatch.setattr(files, "file_sha256", lambda p: read.append(p.name) or "new")
    FileDigests(tmp_path).find("a")
    assert read == []
    os.utime(path, ns=(1, 1))
    assert FileDigests(tmp_path).find("a") == ["new"]
    (tmp_path / FileDigests.NAME).write_text("[1")
    assert FileDigests(tmp_path).find("a") == ["new"]
    assert read == ["a", "a"]


def test_what_was_made_the_same_way_is_reused(tmp_path):
    path, made = tmp_path / "deep" / "kept.json", []

    def make():
        made.append(1)
        return {"value": len(made)}

    assert reuse_or_make(path, {"seed": (1, 2)}, make) == {"value": 1}
    assert reuse_or_make(path, {"seed": [1, 2]}, make) == {"value": 1}
    assert reuse_or_make(path, {"seed": [1, 3]}, make) == {"value": 2}
    assert len(made) == 2


@pytest.mark.parametrize("how", WAYS)
def test_a_kept_result_that_is_damaged_is_made_again(tmp_path, how):
    path = tmp_path / "kept.json"
    reuse_or_make(path, 1, lambda: [1.5, "text"])
    whole = path.read_bytes()
    path.write_bytes(WAYS[how](whole))
    assert reuse_or_make(path, 1, lambda: [1.5, "text"]) == [1.5, "text"]
    assert path.read_bytes() == whole


def test_of_two_that_need_it_one_makes_it(tmp_path):
    made: list[int] = []

    def need():
        reuse_or_make(tmp_path / "kept.json", 1, lambda: made.append(1) or "made")

    threads = [threading.Thread(target=need) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_a_folder_of_others_is_refused(tmp_path):
    check_own_folder(tmp_path / "none", marker="m.json")
    check_own_folder(tmp_path, marker="m.json")
    (tmp_path / ".hidden").touch()
    (tmp_path / "rejected.jsonl").touch()
    check_own_folder(tmp_path, marker="m.json", beside=("rejected.jsonl",))
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match=r"not of this command.*m\.json; got .*thesis\.tex"):
        check_own_folder(tmp_path, marker="m.json")
    (tmp_path / "m.json").touch()
    check_own_folder(tmp_path, marker="m.json")


@pytest.mark.parametrize("text", ["=1+1", "+a", "-a", "@a", "\ta", "plain", "'quoted", "", "a=b"])
def test_a_cell_runs_nothing_and_reads_back(text):
    cell = csv_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t"))
    assert read_csv_cell(cell) == text
    assert csv_cell(-0.5) == -0.5


def test_missing_folders_are_made(tmp_path):
    replace_text(tmp_path / "a" / "b" / "c.txt", "x")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


def test_what_a_killed_writer_left_goes_and_a_live_ones_stays(tmp_path):
    path, other = tmp_path / "a-1.txt", subprocess.Popen(["sleep", "60"])
    with files.replace_file(path) as mine:
        live = mine.with_name(mine.name.replace(f"-{os.getpid()}-", f"-{other.pid}-"))
        elsewhere = mine.with_name(".a-1.txt.ffffff-7-abc.tmp")  # of another machine
        live.write_text("live")
        elsewhere.write_text("elsewhere")
    script = "import sys, pathlib, diglot.files as f; f.replace_text(pathlib.Path(sys.argv[1]), '')"
    subprocess.run([sys.executable, "-c", script, path], check=True)
    assert live.exists()
    other.kill()
    other.wait()
    subprocess.run([sys.executable, "-c", script, path], check=True)
    assert {p.name for p in tmp_path.iterdir()} == {path.name, elsewhere.name}


def test_lines_are_appended_and_a_torn_one_is_cut_off(tmp_path):
    path = tmp_path / "new" / "lines.jsonl"
    assert read_lines(path) == []
    append_lines(path, ["one", "two"])
    append_lines(path, [])
    with open(path, "ab") as file:
        file.write(b"thr")
    assert read_lines(path) == [b"one", b"two"]
    append_lines(path, ["three"])
    assert path.read_bytes() == b"one\ntwo\nthree\n"


@pytest.mark.parametrize(("many", "whole"), [(1000, True), (3, False), (3, True)])
def test_a_tree_is_flushed_file_by_file_or_with_its_file_system(tmp_path, monkeypatch, many, whole):
    for name in ("a/b/one", "a/two", "three"):
        replace_text(tmp_path / name, name)
    flushed, calls, fsync = set(), [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda h: (flushed.add(os.fstat(h).st_ino), fsync(h)))
    real = files._sync_file_system
    monkeypatch.setattr(files, "MANY_FILES", many)
    monkeypatch.setattr(
        files, "_sync_file_system", lambda f: calls.append(f) or (whole and real(f))
    )
    files.sync_tree(tmp_path)
    all_ = {path.stat().st_ino for path in (tmp_path, *tmp_path.rglob("*"))}
    in_bulk = many == 3 and whole and sys.platform == "linux"
    assert flushed == (set() if in_bulk else all_)
    assert calls == ([tmp_path] if many == 3 else [])


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b"[" * 200_000])
def test_what_is_no_json_object_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path / "a.json"))):
        read_object(tmp_path / "a.json")
