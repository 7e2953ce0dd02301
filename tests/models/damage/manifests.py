"""Bundles whose manifest says what is not sound."""

import os

from caveat.models.bundles.bundle import MANIFEST
from tests.models.damage.damage import Damage, each, input_of, replace, say, site_of, write

MANIFESTS = {
    "a later schema": Damage(say(schema_version=2), "schema_version is 2; this version of Caveat reads 1"),
    "an empty manifest": Damage(write(""), "Invalid JSON"),
    "a manifest of 100 MB": Damage(
        lambda folder: os.truncate(folder / MANIFEST, 10**8), "manifest.json: holds 100,000,000 bytes"
    ),
    "a manifest nested deeply": Damage(write("[" * 10**6), "manifest.json: Invalid JSON: nested too deeply"),
    "an example nested deeply": Damage(
        replace('"example": null', f'"example": {"[" * 100}{"]" * 100}'), "nested too deeply"
    ),
    "a manifest that is no object": Damage(write("[]"), "manifest.json: Input should be an object"),
    "a manifest in Latin-1": Damage(
        write(b'{"name": "\xe9"}'), "manifest.json: Invalid JSON: not UTF-8 at byte 10"
    ),
    "a name twice": Damage(replace('"version": 1', '"version": 1, "version": 2'), '"version" stands twice'),
    "NaN": Damage(replace('"metrics": {}', '"metrics": {"a": NaN}'), "NaN is no finite number"),
    "an infinite number": Damage(
        replace('"hyperparameters": {}', '"hyperparameters": {"a": 1e400}'), "1e400 is no finite number"
    ),
    "an endless number": Damage(
        replace('"version": 1', f'"version": {"9" * 5000}'), "Invalid JSON: .*digits"
    ),
    "half a character": Damage(say(description="\ud800"), "has control characters"),
    "a description that clears the screen": Damage(say(description="\x1b[2J"), r'"\\x1b\[2J" has control'),
    "a class with a line's end": Damage(
        say(classes=["no", "yes\n2026 all is well"]), r"classes\.1: String should"
    ),
    "a site with a line's end": Damage(site_of(name="a\nb"), r"sites\.0\.name: String should"),
    "a metric with a line's end": Damage(say(metrics={"a\nb": 1}), r"metrics\.a\\nb"),
    "a name that is a path": Damage(say(name="../tabular"), "name: String should match pattern"),
    "a class twice": Damage(say(classes=["no", "no"]), "classes are called 'no' twice"),
    "classes by the million": Damage(
        say(classes=[str(i) for i in range(10**6)], output=["rows", 10**6]),
        "expected numbers of shape .199, 1000000.",
    ),
    "categories by the million": Damage(
        input_of(features=[{"name": "age", "categories": [str(i) for i in range(10**6)]}]),
        "its example does not fit|gives|can't run",
    ),
    "an input of a thousand million values": Damage(
        input_of(shape=["rows", 10**9], features=None), "input x: says 1,000,000,000 values; at most"
    ),
    "an input of no rows": Damage(input_of(shape=[5, 3]), "input x: its first axis is rows"),
    "a site of 10^12 values": Damage(
        site_of(shape=["passes", 10**6, 10**6]), "site drop: says 1,000,000,000,000"
    ),
    "a site that is no arithmetic": Damage(
        site_of(shape=["passes", "9**9**9**9"]), "site drop: .* nor arithmetic"
    ),
    "a site of a number beyond words": Damage(
        site_of(shape=["passes", "*".join(["0x" + "f" * 900] * 10)]), "says more than 10"
    ),
    "a site of an unknown size": Damage(site_of(shape=["passes", "width"]), "'width' is neither a size"),
    "a site below nothing": Damage(site_of(shape=["passes", "1 - 2"]), "site drop: says -1 values"),
    "a huge cost": Damage(
        say(cost={"row": 10**12, "row_pass": 1, "mask": 1}), "cost: row: says 1,000,000,000,000"
    ),
    "a cost that divides by nothing": Damage(
        say(cost={"row": "1//0", "row_pass": 1, "mask": 1}), "cost: row: '1//0' is not integer arithmetic"
    ),
    "a cost that may divide by nothing": Damage(
        each(
            input_of(shape=["rows", "length"], features=None),
            say(cost={"row": "1//(length - 5)", "row_pass": 1, "mask": 1}),
        ),
        "divides by length - 5, which may be 0",
    ),
    "a cost that goes on and on": Damage(
        say(cost={"row": "1+" * 10**6 + "1", "row_pass": 1, "mask": 1}),
        "an expression has 2,000,001 characters",
    ),
    "a cost of many brackets": Damage(
        say(cost={"row": "(" * 4000 + "1" + ")" * 4000, "row_pass": 1, "mask": 1}),
        "is not integer arithmetic",
    ),
    "an example of other rows": Damage(say(example=[[1, 2]]), "its example does not fit its inputs: inputs"),
    "an example that is no row": Damage(say(example={"a": 1}), "its example does not fit its inputs: inputs"),
}
