"""The card of a model, over HTTP."""

import shutil
import subprocess
from pathlib import Path

import pytest

from caveat.models.bundles import store
from caveat.models.bundles.bundle import CARD, pack
from tests.bundles import linear_regression
from tests.service.serving import TIMEOUT, caveat, serving


def test_the_card_of_the_bundled_model_is_shown() -> None:
    with serving() as service:
        expected = (store.find(store.BUNDLED / "digits") / CARD).read_bytes()
        for path in ("/models/digits/card", "/models/digits/versions/1/card"):
            shown = service.get(path)
            assert shown.content == expected
            assert shown.headers["content-type"] == "text/html; charset=utf-8"
            assert shown.headers["x-content-type-options"] == "nosniff"
            assert shown.headers["content-security-policy"].startswith("default-src 'none';")
        assert service.get("/models/digits").json()["card"] is True
        assert "/models/{name}/card" in service.get("/openapi.json").json()["paths"]
        missing = service.get("/models/nobody/card")
        assert missing.status_code == 404
        assert missing.headers["content-type"] == "application/problem+json"


def test_the_404_of_a_missing_card_says_how_to_make_one(bundles: Path) -> None:
    with serving(bundles) as service:
        refused = service.get("/models/linear/card")
        assert refused.status_code == 404
        assert "`caveat calibrate` makes a version with a card" in refused.json()["detail"]
        assert service.get("/models/linear").json()["card"] is False


def test_a_tampered_card_is_not_served(tmp_path: Path) -> None:
    bundle = linear_regression()
    folder = store.add(tmp_path, pack(bundle.manifest, {**bundle.files, CARD: b"<p>fine</p>"}))
    with serving(tmp_path) as service:
        assert service.get("/models/linear/card").text == "<p>fine</p>"
    (folder / CARD).write_bytes(b"<p>even finer</p>")
    refused = caveat("serve", tmp_path, "--port", "0")
    assert refused.returncode == 1
    assert "card.html: holds 17 bytes; expected at most 11" in refused.stderr


LEADING_AWAY = b"""<html><head><meta http-equiv="refresh" content="0;url=/docs"><title>card</title>
<script>location = "/docs"</script></head><body><iframe src="/docs"></iframe>fine</body></html>"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_card_leads_a_reader_nowhere(tmp_path: Path) -> None:
    bundle = linear_regression()
    store.add(tmp_path, pack(bundle.manifest, {**bundle.files, CARD: LEADING_AWAY}))
    with serving(tmp_path) as service:
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom")
        shown = subprocess.run(
            ["chromium", *options, f"{service.url}/models/linear/card"], capture_output=True, timeout=TIMEOUT
        ).stdout
        assert b"fine" in shown
        asked = {line["route"] for line in service.events("request")}
        assert asked == {"/models/{name}/card"}
