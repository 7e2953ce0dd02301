"""Damages to the manifest of a bundle."""

import os

from caveat.models.bundles.bundle import MANIFEST
from tests.models.damage.damage import Damage, each, input_of, replace, say, site_of, write

MANIFESTS = {
    "a later schema": Damage(say(schema_version=5), "schema_version is 5; this version of Caveat reads 4"),
    "an empty manifest": Damage(write(""), "Invalid JSON"),
    "a manifest of 100 MB": Damage(
        lambda folder: os.truncate(folder / MANIFEST, 10**8), "manifest.json: holds 100,000,000 bytes"
    ),
    "a manifest nested deeply": Damage(write("[" * 10**6), "manifest.json: Invalid JSON: nested too deeply"),
    "an example nested deeply": Damage(
        replace('"example": null', f'"example": {"[" * 100}{"]" * 100}'), "nested too deeply"
    ),
    "a manifest that is not an object": Damage(write("[]"), "manifest.json: Input should be an object"),
    "a manifest in Latin-1": Damage(
        write(b'{"name": "\xe9"}'), "manifest.json: Invalid JSON: not UTF-8 at byte 10"
    ),
    "a name twice": Damage(replace('"version": 1', '"version": 1, "version": 2'), '"version" appears twice'),
    "NaN": Damage(replace('"metrics": {}', '"metrics": {"a": NaN}'), "NaN is not a finite number"),
    "an infinite number": Damage(
        replace('"hyperparameters": {}', '"hyperparameters": {"a": 1e400}'), "1e400 is not a finite number"
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
    "a class twice": Damage(say(classes=["no", "no"]), "two classes are called 'no'"),
    "200,000 classes": Damage(
        say(classes=[str(i) for i in range(200_000)], output=["rows", 200_000]),
        "cost: row_pass is 5; by the shapes it is at least 200,000",
    ),
    "200,000 categories": Damage(
        input_of(features=[{"name": "age", "categories": [str(i) for i in range(200_000)]}]),
        "its example does not fit|gives|can't run",
    ),
    "an input of a thousand million values": Damage(
        input_of(shape=["rows", 10**9], features=None), "input x: has 1,000,000,000 values; expected"
    ),
    "an input without rows": Damage(
        input_of(shape=[5, 3]), "input x: expected rows as the first axis, got 5"
    ),
    "a site of 10^12 values": Damage(
        site_of(shape=["passes", 10**6, 10**6]), "site drop: has 1,000,000,000,000"
    ),
    "a site whose size is not arithmetic": Damage(
        site_of(shape=["passes", "9**9**9**9"]), "site drop: .* nor arithmetic"
    ),
    "a site of a huge number": Damage(
        site_of(shape=["passes", "*".join(["0x" + "f" * 900] * 10)]), "has more than 10"
    ),
    "a site of an unknown size": Damage(site_of(shape=["passes", "width"]), "'width' is neither a size"),
    "a site of a negative size": Damage(site_of(shape=["passes", "1 - 2"]), "site drop: has -1 values"),
    "a huge cost": Damage(
        say(cost={"row": 10**12, "row_pass": 1, "mask": 1}), "cost: row: has 1,000,000,000,000"
    ),
    "a cost of a gibibyte a row": Damage(
        say(cost={"row": 2**28, "row_pass": 5, "mask": 3}),
        "rows take about 1,024 MiB each to compute; the limit is 512 MiB a row",
    ),
    "draws that cost nothing": Damage(
        each(
            site_of(shape=["passes", 1, 2**22]),
            say(cost={"row": 3, "row_pass": 5, "mask": 0}),
        ),
        "cost: mask is 0; by the shapes it is at least 1,048,576",
    ),
    "rows that cost nothing": Damage(
        say(cost={"row": 0, "row_pass": 5, "mask": 3}), "cost: row is 0; by the shapes it is at least 3"
    ),
    "a cost that divides by zero": Damage(
        say(cost={"row": "1//0", "row_pass": 1, "mask": 1}), "cost: row: '1//0' is not integer arithmetic"
    ),
    "a cost that may divide by zero": Damage(
        each(
            input_of(shape=["rows", "length"], features=None),
            say(cost={"row": "1//(length - 5)", "row_pass": 1, "mask": 1}),
        ),
        "divides by length - 5, which may be 0",
    ),
    "a cost of a million terms": Damage(
        say(cost={"row": "1+" * 10**6 + "1", "row_pass": 1, "mask": 1}),
        "an expression has 2,000,001 characters",
    ),
    "a cost of many brackets": Damage(
        say(cost={"row": "(" * 4000 + "1" + ")" * 4000, "row_pass": 1, "mask": 1}),
        "is not integer arithmetic",
    ),
    "an example of other rows": Damage(say(example=[[1, 2]]), "its example does not fit its inputs: inputs"),
    "an example that is not a row": Damage(
        say(example={"a": 1}), "its example does not fit its inputs: inputs"
    ),
}
