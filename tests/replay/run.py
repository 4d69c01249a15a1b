"""Prove the counts on recorded traffic: ``python run.py CORPUS REPLAY [--ids REGEX]``.

CORPUS is a directory of recorded interactions, REPLAY one with ``drive.py`` and ``score.py``.
The driver replays each record through the real SDKs, bare and metered, in five modes; what it
cannot replay is fed to the dialects as bytes. Anything but exact counts everywhere fails the run.
"""

import argparse
import gzip
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from recorded import (
    Record,
    agree,
    answers_in,
    counts_of,
    has_usage,
    is_recognised,
    load,
    modalities_agree,
    truths_of,
    why_not_here,
)

HERE = Path(__file__).resolve().parent
MODES = "sync,async,raw,helper,helper_async"
RUNS = {"bare": MODES, "instrument": MODES, "wrap": "sync,async", "both": "sync,async"}
ZEROES = (
    "wrong", "partial", "missing", "double", "broken", "invented", "shape_changed",
    "extra_requests", "cache_read_wrong", "cache_write_wrong", "reasoning_wrong",
    "cache_read_invented", "cache_write_invented", "reasoning_invented",
)  # fmt: skip
EXACT = (
    ("exact", "n"),
    ("cache_read_ok", "cache_read_n"),
    ("cache_write_ok", "cache_write_n"),
    ("reasoning_ok", "reasoning_n"),
)

Line = dict[str, Any]
Key = tuple[str, str]


class Replay:
    """The driver and the scorer of the recorded corpus, run on files in a work directory."""

    def __init__(self, scripts: Path, work: Path) -> None:
        self.scripts, self.work = scripts, work
        sys.path.insert(0, str(scripts))
        self.sdk_of: Callable[[Record], str] = importlib.import_module("score").sdk_of

    def group(self, record: Record) -> str:
        """Name the group a record is scored in."""
        if self.sdk_of(record) not in ("openai", "anthropic", "bedrock"):
            return "other-sdks"
        return "own-hosts" if record["provider"] in ("openai", "anthropic") else "other-hosts"

    def write(self, records: Iterable[Record]) -> list[Path]:
        """Write the records as one corpus file a group."""
        groups = defaultdict(list)
        for record in records:
            groups[self.group(record)].append(json.dumps(record))
        paths = []
        for name, lines in sorted(groups.items()):
            paths.append(self.work / f"{name}.jsonl.gz")
            paths[-1].write_bytes(gzip.compress("\n".join([*lines, ""]).encode(), compresslevel=1))
        return paths

    def drive(self, run: str, modes: str, corpus: list[Path]) -> Path:
        """Replay the corpus once, bare or metered through one seam, and say where the lines are."""
        out = self.work / f"{run}.jsonl"
        adapter = "none" if run == "bare" else str(HERE / "adapter.py")
        command = [
            sys.executable, str(self.scripts / "drive.py"), "--adapter", adapter,
            "--modes", modes, "--out", str(out), *map(str, corpus),
        ]  # fmt: skip
        subprocess.run(command, check=True, env=os.environ | {"TOKENMETER_SEAM": run})
        return out

    def score(self, run: str, modes: str, corpus: Path) -> dict[str, Any]:
        """Score one run on one group by the strict rule."""
        out = self.work / f"{run}-{corpus.name}.json"
        command = [
            sys.executable, str(self.scripts / "score.py"), "--strict", "--modes", modes,
            "--corpus", str(corpus), "--base", str(self.work / "bare.jsonl"),
            "--json", str(out), "--md", str(out.with_suffix(".md")),
            f"{run}={self.work / f'{run}.jsonl'}",
        ]  # fmt: skip
        subprocess.run(command, check=True)
        return json.loads(out.read_text())[0]


def lines_of(path: Path) -> dict[Key, Line]:
    """Read a run of the driver, its header left out."""
    lines = map(json.loads, path.read_text().splitlines()[1:])
    return {(line["id"], line["mode"]): line for line in lines}


def is_scored(record: Record, line: Line) -> bool:
    """Tell whether the bare SDK replayed this record in a way that can be compared."""
    replayed = "unsupported" not in line and line["ok"] and line["hits"] == 1
    return replayed and has_usage(record)


def unplayed(bare: dict[Key, Line], metered: dict[Key, Line], modes: str) -> list[str]:
    """Name what the scorer would pass over: calls made bare and not metered."""
    return [
        f"{id_} {mode}: {metered.get((id_, mode), {}).get('unsupported', 'no such line')}"
        for (id_, mode), line in bare.items()
        if mode in modes.split(",")
        and "unsupported" not in line
        and ("unsupported" in metered.get((id_, mode), {"unsupported": ""}))
    ]


def miscounted(records: Iterable[Record], metered: dict[Key, Line]) -> list[str]:
    """Name the calls that did not give exactly one event; the scorer looks at counts only.

    The driver holds on to a stream that raised until its next call, and an SDK that did not close
    it has it closed then: such an event comes late. So each mode is added up first.
    """
    expected = {record["id"]: answers_in(record) for record in records}
    surplus = {
        key: len(line["calls"]) - expected[key[0]]
        for key, line in metered.items()
        if line.get("hits") == 1
    }
    totals: Counter[str] = Counter()
    for (_, mode), more in surplus.items():
        totals[mode] += more
    return [
        f"{id_} {mode}: {more:+d} events"
        for (id_, mode), more in surplus.items()
        if more and totals[mode]
    ]


def faults_in(score: dict[str, Any]) -> list[str]:
    """Name what is not exact in a score, with some of the records."""
    cell = score["cells"].get("ALL", {})
    faults = [f"{cell.get(part, 0)} of {cell.get(whole, 0)} {part}" for part, whole in EXACT
              if cell.get(part, 0) != cell.get(whole, 0)]  # fmt: skip
    faults += [f"{cell[name]} {name}" for name in ZEROES if cell.get(name)]
    faults += ["nothing was scored"] if not cell.get("n") else []
    named = [f"{what}: {ids}" for what, ids in score["examples"].items()
             if what.split("|")[0].removesuffix("_n") in ZEROES]  # fmt: skip
    return faults + (named if faults else [])


def print_score(run: str, group: str, score: dict[str, Any]) -> None:
    """Print the numbers of one run on one group, with their denominators."""
    cell = score["cells"].get("ALL", {})
    pairs = ((ok.removesuffix("_ok"), cell.get(ok, 0), cell.get(n, 0)) for ok, n in EXACT)
    exact = ", ".join(f"{name} {ok}/{n}" for name, ok, n in pairs)
    rest = ", ".join(f"{name} {cell[name]}" for name in ZEROES if cell.get(name)) or "no fault"
    model = f"model {cell.get('model_ok', 0)}/{cell.get('model_n', 0)}"
    quiet = f"without usage {cell.get('n_nousage', 0)}"
    print(f"{run:<10} {group:<11} {exact}; {rest}; {model}; {quiet}", flush=True)


def feed(records: Iterable[Record]) -> list[str]:
    """Read each record from its bytes and name those that disagree with the provider."""
    wrong = []
    for record in records:
        truths, read = truths_of(record), counts_of(record)
        if not agree(truths, read):
            wrong.append(f"{record['id']} {record['endpoint']}: {truths} was read as {read}")
        if not modalities_agree(record):
            wrong.append(f"{record['id']} {record['endpoint']}: the modalities were read wrongly")
    return wrong


Table = dict[str, Counter[str]]
COLUMNS = ("replayed", "as bytes", "no usage")


def tabled(records: list[Record], bare: dict[Key, Line]) -> Table:
    """Say of each endpoint how its records were compared."""
    by_id = {record["id"]: record for record in records}
    scored = {id_ for (id_, _), line in bare.items() if is_scored(by_id[id_], line)}
    table: Table = defaultdict(Counter)
    for record in records:
        known = "as bytes" if has_usage(record) else "no usage"
        how = "replayed" if record["id"] in scored else known
        for row in (f"{record['endpoint']} {'stream' if record['streaming'] else 'plain'}", "all"):
            table[row][how] += 1
    return dict(sorted(table.items(), key=lambda item: (item[0] == "all", item[0])))


def print_table(table: Table) -> None:
    """Print how each endpoint was compared."""
    print(f"\n{'endpoint':<45}{''.join(f'{name:>10}' for name in COLUMNS)}{'total':>8}")
    for name, row in table.items():
        columns = "".join(f"{row[how]:>10}" for how in COLUMNS)
        print(f"{name:<45}{columns}{row.total():>8}")


def write_markdown(table: Table, path: Path) -> None:
    """Write the table as Markdown."""
    lines = [f"| endpoint | {' | '.join(COLUMNS)} | total |", "|---|" + "---:|" * 4]
    for name, row in table.items():
        numbers = " | ".join(str(row[how]) for how in COLUMNS)
        lines.append(f"| {name} | {numbers} | {row.total()} |")
    path.write_text("\n".join(lines) + "\n")


def print_elsewhere(records: list[Record]) -> list[str]:
    """Name what is not in these wire formats, and what of it is taken for one of them."""
    names = Counter((record["endpoint"], why_not_here(record)) for record in records)
    print("\nNot metered:")
    for (endpoint, why), count in sorted(names.items()):
        print(f"  {endpoint:<45}{count:>5}  {why}")
    taken = [f"{record['id']} {record['endpoint']}" for record in records if is_recognised(record)]
    return [f"{name}: not metered, and yet recognised" for name in taken]


def verify(
    replay: Replay, records: list[Record], runs: dict[str, str], markdown: Path | None = None
) -> list[str]:
    """Replay and feed the records; return every fault found."""
    groups = replay.write(records)
    with ThreadPoolExecutor(2) as two:
        started = {run: two.submit(replay.drive, run, modes, groups) for run, modes in runs.items()}
    lines = {run: lines_of(drive.result()) for run, drive in started.items()}
    faults = []
    for run, modes in list(runs.items())[1:]:
        faults += [f"{run}: {what}" for what in unplayed(lines["bare"], lines[run], modes)]
        faults += [f"{run}: {what}" for what in miscounted(records, lines[run])]
        for corpus in groups:
            score = replay.score(run, modes, corpus)
            print_score(run, corpus.name.removesuffix(".jsonl.gz"), score)
            faults += [f"{run} {corpus.name}: {what}" for what in faults_in(score)]
    faults += [
        f"{r['id']}: never driven" for r in records if (r["id"], "sync") not in lines["bare"]
    ]
    table = tabled(records, lines["bare"])
    print_table(table)
    if markdown is not None:
        write_markdown(table, markdown)
    wrong = feed(records)
    print(f"\nEvery record also as bytes: {len(records) - len(wrong)} of {len(records)} agree")
    return faults + wrong


def main() -> int:
    """Run the whole comparison and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("replay", type=Path)
    parser.add_argument("--ids", default="", help="regular expression on record ids")
    parser.add_argument("--only", default="", help="regular expression on endpoints")
    parser.add_argument("--runs", default=",".join(RUNS), help="bare and the seams to compare")
    parser.add_argument("--markdown", type=Path, help="write the table by endpoint to this file")
    parser.add_argument("--keep", type=Path, help="keep the work files in this directory")
    given = parser.parse_args()
    records = [r for r in load(given.corpus, given.ids) if re.search(given.only, r["endpoint"])]
    inside = [record for record in records if not why_not_here(record)]
    with tempfile.TemporaryDirectory() as scratch:
        work = given.keep or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        runs = {run: RUNS[run] for run in given.runs.split(",")}
        faults = verify(Replay(given.replay, work), inside, runs, given.markdown)
    faults += print_elsewhere([record for record in records if why_not_here(record)])
    print(f"\n{len(inside)} records, {len(faults)} faults")
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
