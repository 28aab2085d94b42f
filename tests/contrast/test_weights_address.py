"""The file that an address and a checksum name is found, once a node, and no other; what is no address or a secret is refused."""

import errno
import http.server
import os
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from safetensors.torch import save_file

from analysis import KNN
from contrast import Digits, Pretrained, TorchvisionKeys, UserError, Workspace
from sweeps.launch_checks import checker
from tests.bench import Bench
from tests.contrast.checkpoints import ENCODER, body, digest, pretrained

pytestmark = pytest.mark.usefixtures("cache")


ADDRESSES = [
    "",
    "/etc/weights.pth",
    "../weights.pth",
    "ftp://host/weights.pth",
    "file:weights.pth",
    "https://",
    "https:///weights.pth",
    "http://[abc/weights.pth",
    "http://host/\u00e9.pth",
    "http://host/a file.pth",
    "http://host:port/weights.pth",
    f"http://{'h' * 64}/weights.pth",
    "http://two..dots/weights.pth",
    "file:///a?b.pth",
    "file:///a#b.pth",
    "file://elsewhere/a.pth",
    "a\0.pth",
    "file:///a%00.pth",
]
SECRETS = [
    "https://me:SECRET@host/weights.pth",
    "https://SECRET@host/weights.pth",
    "https://me:SEC/SECRET@host/weights.pth",
    "https://me:SECRET@[host/weights.pth",
    "https://host/weights.pth?sig=SECRET",
    "https://host/weights.pth?download=1&token=SECRET",
    "https://host/weights.pth?download=SECRET",
    "https://host/weights.pth?SECRET",
    "https://host/weights.pth#SECRET",
    "HTTPS://host/weights.pth?X-Amz-Signature=SECRET",
    "ftp://me:SECRET@host/weights.pth",
    "git+https://me:SECRET@host/weights.pth",
    "https:me:SECRET@host/weights.pth",
    "https:/SECRET@host/weights.pth?SECRET@SECRET",
    "https://me:SE?SECRET@host/weights.pth",
    "file://me:SECRET@host/weights.pth",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_that_is_none_is_refused_by_the_value(address):
    with pytest.raises(UserError, match=r"Pretrained\.address = '.*': must (be|name|have) .+\. \w"):
        Pretrained(address=address, sha256="0" * 64, encoder=ENCODER, keys=TorchvisionKeys())


@pytest.mark.parametrize("address", SECRETS)
def test_what_may_be_a_secret_is_refused_and_not_shown(address):
    """An address is part of the identity: it stands in records, in the report and in messages."""
    with pytest.raises(UserError, match=r"Pretrained\.address = '.+': must .+\. (Fetch|Name|Write)") as refused:
        Pretrained(address=address, sha256="0" * 64, encoder=ENCODER, keys=TorchvisionKeys())
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("query", ["", "?download=1", "?download=true", "?dl=1", "?raw=true"])
def test_a_query_that_only_asks_for_the_file_is_none(query):
    Pretrained(address=f"https://host/weights.pth{query}", sha256="0" * 64, encoder=ENCODER, keys=TorchvisionKeys())


def test_other_bad_fields_are_refused_by_the_value():
    good = Pretrained(address="a.pth", sha256="0" * 64, encoder=ENCODER, keys=TorchvisionKeys())
    for fields, says in (({"sha256": "A" * 64}, "64 hexadecimal digits in small letters"), ({"matched": 0}, "must be at least 1")):
        with pytest.raises(UserError, match=says):
            replace(good, **fields)
    for constants, says in (({"mean": ()}, "a number for each channel"), ({"std": (1.0, 0.0, 1.0)}, "a number above 0 for each of 3")):
        with pytest.raises(UserError, match=says):
            TorchvisionKeys(**constants)


def test_a_missing_file_is_refused_with_its_place(tmp_path):
    stage = Pretrained(address="weights/a.pth", sha256="0" * 64, encoder=ENCODER, keys=TorchvisionKeys())
    with pytest.raises(UserError, match=r"Pretrained\.address = 'weights/a\.pth': .+/weights/a\.pth cannot be read \(No such file"):
        checker(tmp_path)({"net": stage}, "search")


@pytest.fixture
def server(tmp_path):
    """A server of the test's folder on the loopback, and the paths that it was asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if "cut" in self.path:
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(bytes(100))
            else:
                super().do_GET()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}", asked
        running.shutdown()


def test_a_file_from_a_url_is_fetched_once_a_node_and_verified(server, official, tmp_path, cache):
    url, asked = server
    (tmp_path / "bench").mkdir()
    stage = replace(pretrained(official[0]), address=f"{url}/official.pth?download=1")
    checker(None)({"net": stage}, "search")
    assert Bench(tmp_path / "bench").run(stage).results["matched"] == 265
    assert len(asked) == 1
    (cache / "weights" / stage.sha256).write_bytes(b"damaged")
    checker(None)({"net": stage}, "search")
    assert len(asked) == 2
    with pytest.raises(UserError, match=r"Pretrained\.sha256 = '1+': http://.+ must have this checksum, and has [0-9a-f]{64}\."):
        checker(None)({"net": replace(stage, sha256="1" * 64)}, "search")
    assert [file.name for file in (cache / "weights").iterdir()] == [stage.sha256]


def test_a_url_that_gives_nothing_is_told_before_any_training_and_tried_again_by_a_worker(server, official, tmp_path):
    """`OSError` is what a worker tries again; a launch says it to the user."""
    stage = replace(pretrained(official[0]), address=f"{server[0]}/nothing.pth")
    with pytest.raises(
        UserError, match=r"Pretrained\.address = 'http://.+/nothing\.pth': cannot be downloaded \(.*404.*\)\. Check the address"
    ):
        checker(None)({"net": stage}, "search")
    with pytest.raises(OSError, match="404"):
        next(stage.run(Workspace(tmp_path, resolve={}.__getitem__)))


def test_a_download_that_is_cut_short_is_no_other_file_but_is_tried_again(server, official, tmp_path, cache):
    """The checksum is not blamed, and nothing of it is kept."""
    stage = replace(pretrained(official[0]), address=f"{server[0]}/cut.pth")
    with pytest.raises(OSError, match=r"IncompleteRead\(100 bytes read, 900 more expected\)"):
        next(stage.run(Workspace(tmp_path, resolve={}.__getitem__)))
    with pytest.raises(UserError, match=r"Pretrained\.address = .+: cannot be downloaded \(IncompleteRead"):
        checker(None)({"net": stage}, "search")
    assert not (cache / "weights").exists()


def test_another_file_at_a_url_is_not_to_be_trusted_for_its_checksum(server, official):
    stage = replace(pretrained(official[0]), address=f"{server[0]}/official.pth", sha256="1" * 64)
    with pytest.raises(UserError, match=r"must have this checksum.+whoever publishes the file") as refused:
        checker(None)({"net": stage}, "search")
    assert "state the checksum it has" not in str(refused.value)


@pytest.mark.parametrize(("failing", "what"), [("read_bytes", "read"), ("write_bytes", "written"), ("mkdir", "written")])
def test_a_full_or_forbidden_cache_is_not_told_as_the_network(server, official, cache, monkeypatch, failing, what):
    """And what was begun does not stay there."""
    (cache / "weights").mkdir(parents=True)
    stage = replace(pretrained(official[0]), address=f"{server[0]}/official.pth")
    real = getattr(Path, failing)

    def full(path, *arguments, **options):
        if cache in path.parents:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, failing, full)
    with pytest.raises(UserError, match=rf"CONTRAST_CACHE = '.+/cache': cannot be {what} \(No space left.+\)\. Set CONTRAST_CACHE to a"):
        checker(None)({"net": stage}, "search")
    assert list((cache / "weights").iterdir()) == []


def test_a_file_that_changed_in_its_place_is_noticed_whatever_its_time_says(official, tmp_path):
    """The bytes that have the checksum are those that are loaded: another network of the same size is not taken for it."""
    path, tensors = tmp_path / "net.safetensors", body(official[1])
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, path)
    before, stage = path.stat(), pretrained(path)
    checker(None)({"net": stage}, "search")
    other = tmp_path / "other.safetensors"
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, other)
    with open(path, "r+b") as file:
        file.write(other.read_bytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_ino, path.stat().st_size, path.stat().st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    with pytest.raises(UserError, match=rf"must have this checksum, and has {digest(other)}\. Get the file again"):
        next(stage.run(Workspace(tmp_path, resolve={}.__getitem__)))


def test_a_file_url_may_hold_any_name(official, tmp_path):
    path = tmp_path / "a?b#c \u00e9.pth"
    path.write_bytes(official[0].read_bytes())
    checker(None)({"net": pretrained(path)}, "search")


def test_a_launch_reads_a_file_once_however_many_measures_there_are(official, monkeypatch):
    reads = []
    monkeypatch.setattr(Pretrained, "check_files", lambda stage, root: reads.append(stage))
    stage = pretrained(official[0], keys=TorchvisionKeys(mean=(0.5,), std=(0.5,)))
    check = checker(None)
    for neighbours in range(1, 4):
        check({"knn": KNN(stage, on=Digits(part="held_out"), k=neighbours)}, "search")
    assert reads == [stage]
