"""What `scripts/bench/onnx` runs: exports models and compares ONNX Runtime with us. See there."""

import argparse
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import onnx
import onnxruntime

DECISIONS = {"approve": 0, "challenge": 1, "review": 2, "decline": 3}
failed = False


def run(*command):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def export(program, folder, model):
    path = folder / f"{model.stem}.onnx"
    run(program, "-q", "export", model, "--to", "onnx", "-o", path)
    onnx.checker.check_model(str(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session, path.stat().st_size


def compare(name, session, size, rows, raw, probability, decision, tolerance):
    """One line: how far the runtime's scores are from the expected ones. A tolerance of 0 asks for the same bits. Probabilities and
    decisions are compared where they are given."""
    global failed
    found = session.run(None, {"row": rows})
    found = dict(zip([output.name for output in session.get_outputs()], (column[:, 0] for column in found)))
    same = numpy.array_equal(found["raw_score"].view(numpy.int64), raw.view(numpy.int64))
    worst = numpy.abs(found["raw_score"] - raw).max()
    good = same or (tolerance > 0 and worst <= tolerance)
    said = ["raw scores " + ("the same bits" if same else f"within {worst:.1e}")]
    if probability is not None:
        worst = numpy.abs(found["probability"] - probability).max()
        good = good and worst <= max(1e-12, tolerance)
        said.append(f"probabilities within {worst:.1e}")
    if decision is not None:
        n_differ = int((found["decision"] != decision).sum())
        good = good and n_differ == 0
        said.append(f"{n_differ} decisions differ")
    failed = failed or not good
    print(f"{name:<42} {len(rows):>6} rows of {rows.shape[1]:>3}: {', '.join(said)}; {size:,} bytes{'' if good else '   FAILED'}",
          flush=True)


def bits(words, wide):
    return [struct.unpack(">d" if wide else ">f", bytes.fromhex(word))[0] for word in words]


def kept(path, wide):
    """Rows and scores as their bits: values, then raw score and probability."""
    rows, raw, probability = [], [], []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            words = line.split()
            rows.append(bits(words[:-2], wide))
            scores = bits(words[-2:], True)
            raw.append(scores[0])
            probability.append(scores[1])
    return numpy.array(rows, numpy.float64 if wide else numpy.float32), numpy.array(raw), numpy.array(probability)


def library_rows(path):
    """Rows and raw scores of another library: values; raw score; ..."""
    groups = [line.split(";") for line in path.read_text().splitlines()]
    rows = numpy.array([bits(group[0].split(), True) for group in groups])
    return rows, numpy.array([bits(group[1].split(), True)[0] for group in groups])


def number(x):
    return float("nan") if x is None else float(x)


def audit(path):
    rows, raw, probability, decision = [], [], [], []
    for line in path.open():
        record = json.loads(line)
        if "raw_score" in record:
            rows.append([number(x) for x in record["row"]])
            raw.append(float(record["raw_score"]))
            probability.append(record["probability"])
            decision.append(DECISIONS[record["decision"]])
    return numpy.array(rows, numpy.float32), numpy.array(raw), numpy.array(probability), numpy.array(decision)


def walk(tree, row):
    """The leaf of a row by the dump of a tree: a second, plain reading of what `--to json` writes."""
    node = tree[0]
    while "leaf" not in node:
        x = row[node["feature"]]
        if numpy.isnan(x):
            way = "missing"
        elif "at_most" in node:
            way = "yes" if x <= numpy.float32(node["at_most"]) else "no"
        else:
            way = "yes" if x == numpy.trunc(x) and x in node["in"] else "no"
        node = tree[node[way]]
    return node["leaf"]


def around_thresholds(dump, rng):
    """Rows that hold each threshold of the trees, one ulp above it and one below, beside codes of all levels, odd ones and missing
    values."""
    n, inf = len(dump["features"]), numpy.float32("inf")
    cuts, codes = [[] for _ in range(n)], [[] for _ in range(n)]
    for node in (node for tree in dump["trees"] for node in tree if "leaf" not in node):
        if "at_most" in node:
            at = numpy.float32(node["at_most"])
            with numpy.errstate(over="ignore"):
                cuts[node["feature"]] += [at, numpy.nextafter(at, inf), numpy.nextafter(at, -inf)]
        else:
            codes[node["feature"]] += node["in"]
    odd = [numpy.float32(x) for x in ("nan", "inf", "-inf", "-0.0", "1e-45", "-1", "0.5", "3e38", "65536")]
    columns = []
    for feature in range(n):
        levels = sorted(set(codes[feature]))
        points = sorted(set(cuts[feature])) + [numpy.float32(x) for level in levels for x in (level, level + 0.5)] + odd
        columns.append(points)
    n_rows = max(map(len, columns))
    rows = numpy.empty((n_rows, n), numpy.float32)
    for feature, points in enumerate(columns):
        # Every point of every column once, the others drawn; columns in different orders.
        drawn = [points[i] for i in rng.permutation(len(points))] + [points[i] for i in rng.integers(len(points), size=n_rows - len(points))]
        rows[:, feature] = [drawn[i] for i in rng.permutation(n_rows)]
    raw = numpy.array([dump["base"] + sum(walk(tree, row) for tree in dump["trees"]) for row in rows])
    return rows, raw


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    program = parser.parse_args().program
    print(f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}, all rows in one call", flush=True)
    data = Path("crates/inference/tests/data")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model in sorted(Path("models/golden/v0").glob("*.ogm")):
            rows, raw, probability = kept(model.with_suffix(".scores.txt"), model.stem == "converted")
            session, size = export(program, folder, model)
            compare(f"kept: {model.stem}", session, size, rows, raw, probability, None, 1e-13 if model.stem == "logistic" else 0)
        for library, extension, tolerance in [("lightgbm", ".txt", 1e-9), ("xgboost", ".json", 1e-5)]:
            for path in sorted((data / library).glob("*.rows.txt")):
                source = path.with_name(path.name.replace(".rows.txt", extension))
                model = folder / f"{library}-{source.stem}.ogm"
                run(program, "-q", "convert", "--from", library, source, "-o", model)
                session, size = export(program, folder, model)
                rows, raw = library_rows(path)
                compare(f"{library}: {source.stem}", session, size, rows, raw, None, None, tolerance)
                cuts = path.with_name(path.name.replace(".rows.txt", ".cuts.txt"))
                if cuts.exists():
                    rows, raw = library_rows(cuts)
                    compare("  its thresholds and neighbours", session, size, rows, raw, None, None, tolerance)
        orders = Path("datasets/orders-sample.csv.zst")
        for kind, tolerance in [("gbt", 0), ("logistic", 1e-9), ("scorecard", 0)]:
            out = folder / kind
            run(program, "-q", "train", "--data", orders, "--model", kind, "--out", out)
            run(program, "-q", "score", "--model", out / "model.ogm", "--data", orders, "--cold-start", "-o", folder / "scores.csv",
                "--audit", folder / "audit.jsonl")
            session, size = export(program, folder, out / "model.ogm")
            run(program, "-q", "export", out / "model.ogm", "--to", "json", "-o", folder / "dump.json")
            dump = json.loads((folder / "dump.json").read_text())
            rows, *expected = audit(folder / "audit.jsonl")
            missing = f"{numpy.isnan(rows).mean():.0%} missing, {dump['calibration']['map']}"
            compare(f"the sample: {kind}, {missing}", session, size, rows, *expected, tolerance)
            if kind == "gbt":
                rows, raw = around_thresholds(dump, numpy.random.default_rng(1))
                n_sets = sum("in" in node for tree in dump["trees"] for node in tree)
                print(f"  {len(dump['trees'])} trees, {n_sets} splits by level sets")
                compare("  its thresholds and neighbours", session, size, rows, raw, None, None, tolerance)
    sys.exit(1 if failed else 0)


main()
