"""Downloads from a server that disconnects, sends wrong data, is slow or fails."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
import threading

import pytest

from distill_zoo import ZooError, _fetch
from distill_zoo._download import obtain
from distill_zoo._fetch import Request, fetch
from distill_zoo._progress import Bar

BODY = b"PK\x03\x04" + bytes(range(256)) * 4000
DIGEST = hashlib.sha256(BODY).hexdigest()
OFFSETS = [0, 1, 3, *(len(BODY) * step // 16 for step in range(1, 16)), len(BODY) - 2, len(BODY) - 1]


def remaining(folder) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def test_there_are_twenty_offsets():
    assert len(set(OFFSETS)) == 20


@pytest.mark.parametrize("offset", OFFSETS)
def test_an_interrupted_download_is_resumed(site, make_card, tmp_path, offset):
    card = make_card(site.serve("/a.bin", BODY), DIGEST)
    site.cuts = [offset]
    assert obtain(card, tmp_path, context=site.context).read_bytes() == BODY
    assert site.ranges == ["", f"bytes={offset}-" if offset else ""]
    assert remaining(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("offset", OFFSETS)
def test_a_download_of_an_earlier_process_is_resumed(site, make_card, tmp_path, monkeypatch, offset):
    card = make_card(site.serve("/a.bin", BODY, ETag='"one"'))
    site.cuts = [offset]
    with monkeypatch.context() as patched:
        patched.setattr(_fetch, "MAX_ATTEMPTS", 1)
        with pytest.raises(ZooError, match=f"ended after {offset} of {len(BODY)} bytes"):
            obtain(card, tmp_path, context=site.context)
    assert obtain(card, tmp_path, context=site.context).read_bytes() == BODY
    assert site.ranges[1] == (f"bytes={offset}-" if offset else "")


def test_parts_of_two_different_files_are_not_combined(site, make_card, tmp_path, monkeypatch):
    card = make_card(site.serve("/a.bin", BODY, ETag='"one"'))
    site.cuts = [1000]
    with monkeypatch.context() as patched:
        patched.setattr(_fetch, "MAX_ATTEMPTS", 1)
        with pytest.raises(ZooError):
            obtain(card, tmp_path, context=site.context)
    other = b"PK\x03\x04" + BODY[::-1]
    site.serve("/a.bin", other, ETag='"two"')
    assert obtain(card, tmp_path, context=site.context).read_bytes() == other


def test_without_a_hash_or_an_etag_nothing_is_resumed(site, make_card, tmp_path):
    card = make_card(site.serve("/a.bin", BODY))
    site.cuts = [1000]
    assert obtain(card, tmp_path, context=site.context).read_bytes() == BODY
    assert site.ranges == ["", ""]


def test_without_range_requests_the_download_restarts(site, make_card, tmp_path):
    card = make_card(site.serve("/a.bin", BODY), DIGEST)
    site.cuts, site.accepts_ranges = [1000], False
    assert obtain(card, tmp_path, context=site.context).read_bytes() == BODY


def test_a_response_with_a_different_range_is_refused(site, make_card, tmp_path):
    card = make_card(site.serve("/a.bin", BODY, 206, Content_Range=f"bytes 7-{len(BODY) - 1}/{len(BODY)}"), DIGEST)
    with pytest.raises(ZooError, match="the server sent a different range than requested"):
        obtain(card, tmp_path, context=site.context)


def test_a_failing_server_is_retried_while_bytes_arrive(site, make_card, tmp_path):
    card = make_card(site.serve("/a.bin", BODY), DIGEST)
    site.cuts = [50_000] * 20
    assert obtain(card, tmp_path, context=site.context).read_bytes() == BODY
    assert len(site.requests) == 21


def test_a_dead_server_is_not_retried_forever(site, make_card, tmp_path):
    card = make_card(site.serve("/a.bin", BODY), DIGEST)
    site.cuts = [0] * 100
    with pytest.raises(ZooError, match=f"ended after 0 of {len(BODY)} bytes"):
        obtain(card, tmp_path, context=site.context)
    assert len(site.requests) == _fetch.ATTEMPTS


@pytest.mark.parametrize(("status", "attempts"), [(503, _fetch.ATTEMPTS), (429, _fetch.ATTEMPTS), (403, 1), (410, 1)])
def test_only_temporary_errors_are_retried(site, make_card, tmp_path, status, attempts):
    card = make_card(site.serve("/a.bin", b"", status))
    with pytest.raises(ZooError, match=r"downloading .* failed"):
        obtain(card, tmp_path, context=site.context)
    assert len(site.requests) == attempts


def test_a_slow_server_is_not_interrupted(site, make_card, tmp_path):
    card = make_card(site.serve("/a.bin", BODY), DIGEST)
    site.pause = 0.02
    assert obtain(card, tmp_path, context=site.context).read_bytes() == BODY
    assert site.requests == ["/a.bin"]


def test_a_server_that_stops_sending_times_out(site, make_card, tmp_path, monkeypatch):
    monkeypatch.setattr(_fetch, "TIMEOUT", 0.1)
    monkeypatch.setattr(_fetch, "ATTEMPTS", 1)
    card = make_card(site.serve("/a.bin", BODY))
    site.pause = 1.0
    with pytest.raises(ZooError, match=r"downloading .* failed: .*timed out"):
        obtain(card, tmp_path, context=site.context)


@pytest.mark.parametrize("position", [0, 4, len(BODY) // 2, len(BODY) - 1])
def test_a_flipped_bit_is_detected(site, make_card, tmp_path, position):
    damaged = bytearray(BODY)
    damaged[position] ^= 1
    card = make_card(site.serve("/a.bin", bytes(damaged)), DIGEST)
    with pytest.raises(ZooError, match=f"the SHA-256 of .* must be {DIGEST}, got "):
        obtain(card, tmp_path, context=site.context)
    assert remaining(tmp_path) == []


@pytest.mark.parametrize("wrong", [-1, 1, 10**9])
def test_a_file_of_the_wrong_size_is_refused_before_it_is_read(site, make_card, tmp_path, wrong):
    card = make_card(site.serve("/a.bin", BODY))
    card = dataclasses.replace(card, weights=dataclasses.replace(card.weights, bytes=len(BODY) + wrong))
    with pytest.raises(ZooError) as caught:
        obtain(card, tmp_path, context=site.context)
    assert str(caught.value) == f"toy/line: {card.weights.url} must have {len(BODY) + wrong} bytes, got {len(BODY)}"
    assert remaining(tmp_path) == []


def test_an_html_page_is_not_kept(site, make_card, tmp_path):
    card = make_card(site.serve("/a.bin", b"<html>log in</html>", Content_Type="text/html; charset=utf-8"))
    with pytest.raises(ZooError) as caught:
        obtain(card, tmp_path, context=site.context)
    assert str(caught.value) == (
        f"toy/line: {card.weights.url} returned an HTML page instead of a file\n  hint: open the URL in a browser"
    )
    assert remaining(tmp_path) == []


def test_an_html_page_with_the_content_type_of_a_file_is_not_pinned(site, make_card, tmp_path):
    card = make_card(site.serve("/a.bin", b"<html>log in</html>", Content_Type="application/octet-stream"))
    with pytest.raises(ZooError, match=r"is not a torch file: it is an HTML or XML page$"):
        obtain(card, tmp_path, context=site.context)
    assert remaining(tmp_path) == []


def test_the_beginning_of_a_hash_is_checked(site, make_card, tmp_path):
    card = make_card(site.serve("/a.bin", BODY))
    right, wrong = (
        dataclasses.replace(card, weights=dataclasses.replace(card.weights, sha256_prefix=prefix))
        for prefix in (DIGEST[:8], "00000000")
    )
    with pytest.raises(ZooError) as caught:
        obtain(wrong, tmp_path, context=site.context)
    assert str(caught.value) == f"toy/line: the SHA-256 of {card.weights.url} must be 00000000…, got {DIGEST}"
    assert obtain(right, tmp_path, context=site.context).read_bytes() == BODY
    assert not right.verified


@pytest.mark.parametrize("hops", [1, 3])
def test_a_redirect_to_http_is_refused_after_any_number_of_hops(site, make_card, tmp_path, hops):
    for hop in range(hops - 1):
        site.serve(f"/{hop}", b"", 302, Location=f"/{hop + 1}")
    site.serve(f"/{hops - 1}", b"", 302, Location="http://localhost:1/a.bin")
    with pytest.raises(ZooError) as caught:
        obtain(make_card(site.address + "/0"), tmp_path, context=site.context)
    assert str(caught.value) == "http://localhost:1/a.bin must be an https URL"


def test_a_redirect_loop_ends(site, make_card, tmp_path):
    site.serve("/a", b"", 302, Location="/b")
    site.serve("/b", b"", 302, Location="/a")
    with pytest.raises(ZooError, match=r"downloading .* failed"):
        obtain(make_card(site.address + "/a"), tmp_path, context=site.context)


def test_threads_download_a_file_once(site, make_card, tmp_path):
    card = make_card(site.serve("/a.bin", BODY), DIGEST)
    site.pause = 0.01
    paths = []
    threads = [
        threading.Thread(target=lambda: paths.append(obtain(card, tmp_path, context=site.context))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 4
    assert site.requests == ["/a.bin"]


PROCESS = """
import ssl, sys
from pathlib import Path
from distill_zoo import Card, WeightFile
from distill_zoo._download import obtain
url, digest, folder, authority = sys.argv[1:]
card = Card(name="toy/line", dataset="toy", weights=WeightFile(url=url, sha256=digest), license="MIT")
print(obtain(card, Path(folder), context=ssl.create_default_context(cafile=authority)))
"""


def processes(site, authority, tmp_path, count):
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    arguments = [
        site.serve("/a.bin", BODY, ETag='"one"'),
        DIGEST,
        str(tmp_path / "cache"),
        str(tmp_path / "authority.pem"),
    ]
    command = [sys.executable, "-c", PROCESS, *arguments]
    return [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(count)]


def test_two_processes_download_a_file_once(site, authority, tmp_path):
    site.pause = 0.02
    for process in processes(site, authority, tmp_path, 2):
        out, error = process.communicate(timeout=60)
        assert (process.returncode, error) == (0, "")
        assert out == f"{tmp_path / 'cache' / 'toy' / 'line' / 'a.bin'}\n"
    assert site.requests == ["/a.bin"]
    assert remaining(tmp_path / "cache") == ["a.bin"]


def test_a_killed_process_releases_its_lock_and_its_download_is_resumed(site, authority, tmp_path):
    site.pause = 0.3
    (killed,) = processes(site, authority, tmp_path, 1)
    part = tmp_path / "cache" / "toy" / "line" / ".unfinished-a.bin"
    while not (part.is_file() and part.stat().st_size):
        assert killed.poll() is None, killed.communicate()
    killed.kill()
    killed.communicate()
    site.pause = 0.0
    (process,) = processes(site, authority, tmp_path, 1)
    assert process.communicate(timeout=60)[1] == ""
    assert site.ranges[1].startswith("bytes=")
    assert (tmp_path / "cache" / "toy" / "line" / "a.bin").read_bytes() == BODY


def test_a_mirror_is_tried_first(site, make_card, tmp_path, monkeypatch):
    card = make_card(site.serve("/a.bin", b"not this one"), DIGEST)
    site.serve("/mirror/toy/line/a.bin", BODY)
    monkeypatch.setenv("DISTILL_ZOO_MIRROR", f"{site.address}/none, {site.address}/mirror/")
    assert obtain(card, tmp_path, context=site.context).read_bytes() == BODY
    assert site.requests == ["/none/toy/line/a.bin", "/mirror/toy/line/a.bin"]


def test_a_mirror_with_a_wrong_file_falls_back_to_the_original(site, make_card, tmp_path, monkeypatch):
    card = make_card(site.serve("/a.bin", BODY), DIGEST)
    site.serve("/mirror/toy/line/a.bin", BODY + b"!")
    monkeypatch.setenv("DISTILL_ZOO_MIRROR", f"{site.address}/mirror")
    assert obtain(card, tmp_path, context=site.context).read_bytes() == BODY


def test_a_mirror_without_tls_is_refused(site, make_card, tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_ZOO_MIRROR", "http://localhost:1")
    with pytest.raises(ZooError) as caught:
        obtain(make_card(site.serve("/a.bin", BODY)), tmp_path, context=site.context)
    assert str(caught.value) == "DISTILL_ZOO_MIRROR: http://localhost:1 must be an https URL"
    assert site.requests == []


def test_progress_is_reported(site, tmp_path):
    calls = []
    url = site.serve("/a.bin", BODY)
    fetch(
        Request(name="toy/line", url=url, context=site.context),
        tmp_path / "a",
        lambda done, total: calls.append((done, total)),
    )
    assert calls[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_the_bar_ends_full_with_a_newline(capsys):
    bar = Bar("toy/line", sys.stdout)
    bar(500_000, 1_000_000)
    bar(1_000_000, 1_000_000)
    shown = capsys.readouterr().out
    assert shown.startswith("\rtoy/line  [############............]  50%  0.5 of 1.0 MB")
    assert "[########################] 100%  1.0 of 1.0 MB" in shown
    assert shown.endswith("\n")
