from __future__ import annotations

import hashlib
import ssl

import pytest

import distill_zoo
from distill_zoo import ZooError
from distill_zoo._download import obtain

BODY = b"PK\x03\x04" + bytes(range(256)) * 9000
DIGEST = hashlib.sha256(BODY).hexdigest()


def remaining(folder) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def test_a_file_is_downloaded_once(site, make_card, tmp_path):
    card = make_card(site.serve("/a.bin", BODY), DIGEST)
    path = obtain(card, tmp_path, context=site.context)
    assert path == tmp_path / "toy" / "line" / "a.bin"
    assert path.read_bytes() == BODY
    assert obtain(card, tmp_path, context=site.context) == path
    assert site.requests == ["/a.bin"]
    assert remaining(tmp_path) == ["a.bin"]


def test_a_file_with_the_wrong_hash_is_not_kept(site, make_card, tmp_path):
    card = make_card(site.serve("/a.bin", BODY + b"!"), DIGEST)
    with pytest.raises(ZooError) as caught:
        obtain(card, tmp_path, context=site.context)
    digest = hashlib.sha256(BODY + b"!").hexdigest()
    assert str(caught.value) == f"toy/line: the SHA-256 of {card.weights.url} must be {DIGEST}, got {digest}"
    assert remaining(tmp_path) == []


def test_a_damaged_file_in_the_cache_is_refused(site, make_card, tmp_path):
    card = make_card(site.serve("/a.bin", BODY), DIGEST)
    path = obtain(card, tmp_path, context=site.context)
    path.write_bytes(b"x")
    with pytest.raises(ZooError) as caught:
        obtain(card, tmp_path, context=site.context)
    digest = hashlib.sha256(b"x").hexdigest()
    assert str(caught.value) == (
        f"toy/line: the SHA-256 of {path} must be {DIGEST}, got {digest}\n  hint: delete it and try again"
    )


def test_a_file_without_a_published_hash_is_pinned_by_the_first_download(site, make_card, tmp_path):
    card = make_card(site.serve("/a.bin", BODY))
    path = obtain(card, tmp_path, context=site.context)
    assert path.with_name("a.bin.sha256").read_text() == DIGEST + "\n"
    path.unlink()
    site.serve("/a.bin", b"PK\x03\x04 something else")
    with pytest.raises(ZooError, match=f"must be {DIGEST}, got "):
        obtain(card, tmp_path, context=site.context)
    assert remaining(tmp_path) == ["a.bin.sha256"]


def test_a_truncated_file_is_not_kept(site, make_card, tmp_path):
    card = make_card(site.serve("/a.bin", BODY, Content_Length=str(len(BODY) + 1)))
    with pytest.raises(ZooError) as caught:
        obtain(card, tmp_path, context=site.context)
    assert str(caught.value) == (
        f"toy/line: {card.weights.url} ended after {len(BODY)} of {len(BODY) + 1} bytes\n  hint: try again"
    )
    assert "a.bin" not in remaining(tmp_path)


def test_a_redirect_over_https_is_followed(site, make_card, tmp_path):
    card = make_card(site.serve("/old.bin", b"", 302, Location="/new.bin"), DIGEST)
    site.serve("/new.bin", BODY)
    assert obtain(card, tmp_path, context=site.context).read_bytes() == BODY


def test_a_redirect_to_http_is_refused(site, make_card, tmp_path):
    card = make_card(site.serve("/a.bin", b"", 302, Location="http://localhost:1/a.bin"))
    with pytest.raises(ZooError) as caught:
        obtain(card, tmp_path, context=site.context)
    assert str(caught.value) == "http://localhost:1/a.bin must be an https URL"


@pytest.mark.parametrize("url", ["http://localhost:1/a.bin", "file:///etc/passwd", "ftp://localhost/a.bin"])
def test_other_schemes_are_refused(make_card, tmp_path, url):
    with pytest.raises(ZooError) as caught:
        obtain(make_card(url), tmp_path)
    assert str(caught.value) == f"{url} must be an https URL"
    assert remaining(tmp_path) == []


def test_a_missing_file_is_reported(site, make_card, tmp_path):
    card = make_card(site.address + "/none.bin")
    with pytest.raises(ZooError) as caught:
        obtain(card, tmp_path, context=site.context)
    assert str(caught.value) == (
        f"toy/line: downloading {card.weights.url} failed: Not Found\n  hint: check the network and try again"
    )


def test_an_untrusted_certificate_is_refused(site, make_card, tmp_path):
    with pytest.raises(ZooError, match=r"downloading .* failed: .*CERTIFICATE_VERIFY_FAILED"):
        obtain(make_card(site.serve("/a.bin", BODY)), tmp_path, context=ssl.create_default_context())
    assert site.requests == []


def test_offline_nothing_is_downloaded(monkeypatch, tmp_path):
    monkeypatch.setenv("DISTILL_OFFLINE", "1")
    card = distill_zoo.card("cifar10/resnet20")
    path = tmp_path / "home" / "weights" / "cifar10" / "resnet20" / "cifar10-resnet20.pt"
    with pytest.raises(ZooError) as caught:
        distill_zoo.download("cifar10/resnet20")
    assert str(caught.value) == (
        f"cifar10/resnet20: {path} does not exist and DISTILL_OFFLINE is set\n  hint: download {card.weights.url} to that path"
    )


def test_offline_a_cached_file_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("DISTILL_OFFLINE", "1")
    path = tmp_path / "home" / "weights" / "cifar10" / "resnet20" / "cifar10-resnet20.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    assert distill_zoo.download("cifar10/resnet20") == path
