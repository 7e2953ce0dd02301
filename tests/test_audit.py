"""The audit of dependencies fails for a finding, passes where nobody can be asked, and says which it was."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

spec = spec_from_file_location("audit", Path(__file__).parents[1] / ".ci" / "audit.py")
assert spec is not None
assert spec.loader is not None
audit = module_from_spec(spec)
spec.loader.exec_module(audit)

SOUND = {"name": "numpy", "version": "2.4.0", "vulns": []}
FLAWED = {
    "name": "flask",
    "version": "0.5",
    "vulns": [{"id": "PYSEC-2019-179", "fix_versions": ["1.0"], "aliases": [], "description": "..."}],
}
SKIPPED = {"name": "caveat", "skip_reason": "Dependency not found on PyPI and could not be audited"}


def written(*packages: object) -> str:
    """Write what pip-audit does."""
    return json.dumps({"dependencies": packages, "fixes": []})


def test_a_finding_fails_and_is_named() -> None:
    code, told = audit.verdict(written(SOUND, FLAWED, SKIPPED), "Found 1 known vulnerability in 1 package")
    assert code == 1
    assert "2 of 3 packages audited, 1 vulnerabilities" in told
    assert "flask 0.5: PYSEC-2019-179, mended in ['1.0']" in told


def test_no_finding_passes() -> None:
    assert audit.verdict(written(SOUND, SKIPPED), "No known vulnerabilities found")[0] == 0


def test_an_index_that_knows_no_vulnerabilities_is_no_success() -> None:
    code, told = audit.verdict(written(SKIPPED, SKIPPED), "No known vulnerabilities found")
    assert (code, "skipped" in told) == (0, True)


def test_who_cannot_be_reached_is_skipped() -> None:
    for errors in (
        "ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed",
        "requests.exceptions.ConnectionError: HTTPSConnectionPool: Max retries exceeded",
        "pip_audit._service.interface.ServiceError",
    ):
        code, told = audit.verdict("", errors)
        assert code == 0
        assert "skipped" in told


def test_an_audit_that_breaks_fails() -> None:
    code, told = audit.verdict("", "No module named pip_audit")
    assert code == 1
    assert "No module named pip_audit" in told
