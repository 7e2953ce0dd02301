"""Looks for known vulnerabilities of what is installed, with pip-audit.

A finding fails, and so does an audit that breaks. Where the source of vulnerabilities can't be reached, this
says so and passes: a machine without the internet can't tell. An index that stands in for PyPI, but knows no
vulnerabilities, makes pip-audit skip every package and call that a success, so what it did audit is counted.
"""

import json
import re
import subprocess
import sys

COMMAND = ["-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--timeout", "10"]

UNREACHABLE = re.compile("could not connect|ConnectionError|HTTPError|ServiceError|timed out", re.IGNORECASE)
"""What pip-audit, or the client that it asks with, says then."""


def verdict(output: str, errors: str) -> tuple[int, str]:
    """Tell the exit code, and what to print, from what pip-audit wrote.

    Parameters
    ----------
    output
        Its JSON, unless it failed.
    errors
        What it said besides.
    """
    try:
        packages = json.loads(output)["dependencies"]
    except ValueError:
        told = " ".join(errors.split())[-300:]
        if UNREACHABLE.search(errors):
            return 0, f"audit: skipped, the source of vulnerabilities can't be reached: {told}"
        return 1, f"audit: pip-audit failed: {told}"
    audited = [package for package in packages if "skip_reason" not in package]
    if not audited:
        return 0, f"audit: skipped, the source of vulnerabilities knows none of {len(packages)} packages"
    found = [
        f"{package['name']} {package['version']}: {flaw['id']}, mended in {flaw['fix_versions'] or 'none'}"
        for package in audited
        for flaw in package["vulns"]
    ]
    told = f"audit: {len(audited)} of {len(packages)} packages audited, {len(found)} vulnerabilities"
    return int(bool(found)), "\n".join([told, *found])


def main() -> int:
    """Audit the environment that runs this."""
    try:
        run = subprocess.run([sys.executable, *COMMAND], capture_output=True, text=True, timeout=180)
    except subprocess.TimeoutExpired:
        code, told = verdict("", "timed out after 180 seconds")
    else:
        code, told = verdict(run.stdout, run.stderr)
    print(told)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
