"""Compares the figures of `metrics_of` with scikit-learn's; started by `scripts/bench/metrics`."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
import sklearn
from sklearn import metrics as sk

LIMIT = 1e-12
FPR_KEYS = ["0.001", "0.005", "0.01", "0.05"]


def cases(quick):
    """(name, raw scores, probabilities, labels, amounts, threshold); seeded."""
    rng = np.random.Generator(np.random.PCG64(20180401))

    def made(name, n, share, decimals=None, threshold=1.0):
        labels = (rng.random(n) < share).astype(float)
        raw = rng.normal(0.0, 1.5, n) - 4.5 + 4.0 * labels
        if decimals is not None:
            raw = np.round(raw, decimals)
        amounts = np.round(rng.gamma(2.0, 30.0, n) * (1 + labels), 2)
        return name, raw, 1 / (1 + np.exp(-raw)), labels, amounts, threshold

    sizes = [1_000, 20_000] if quick else [1_000, 20_000, 200_000]
    for n in sizes:
        yield made(f"{n:,} distinct scores", n, 0.02)
        yield made(f"{n:,} scores of one decimal", n, 0.02, 1, 0.1)
        yield made(f"{n:,} scores of no decimal", n, 0.3, 0, -1.0)
    for seed in range(20):
        yield made(f"50 scores in heavy ties, {seed}", 50, 0.3, 0, -2.0)
    name, raw, p, y, a, t = made("all scores equal", 500, 0.1)
    yield name, np.zeros(500), np.full(500, 0.1), y, a, 0.0
    yield "one fraud, one honest", np.array([1.0, -1.0]), np.array([0.7, 0.3]), np.array([1.0, 0.0]), np.array([5.0, 7.0]), 0.0
    yield "one fraud, one honest, tied", np.array([1.0, 1.0]), np.array([0.7, 0.7]), np.array([1.0, 0.0]), np.array([5.0, 7.0]), 0.0
    yield "both zeros are one score", np.array([0.0, -0.0, 0.0]), np.array([0.5, 0.5, 0.5]), np.array([1.0, 0.0, 0.0]), np.ones(3), 0.0
    yield "certain and wrong", np.array([9.0, -9.0, 1.0]), np.array([1.0, 0.0, 0.5]), np.array([0.0, 1.0, 1.0]), np.ones(3), 0.0
    yield "no fraud", raw, p, np.zeros(500), a, t
    yield "no honest order", raw, p, np.ones(500), a, t
    yield "nothing stopped", raw, p, y, a, 1e9
    yield "scores far apart", np.array([1e300, -1e300, 5e-324, 0.0, 1e-9]), np.array([0.9, 0.1, 0.2, 0.2, 0.2]), np.array([1.0, 0.0, 1.0, 0.0, 1.0]), np.ones(5), 0.0
    yield made("1,754,155 distinct scores" if not quick else "100,000 distinct scores", 100_000 if quick else 1_754_155, 0.0084)


def by_sklearn(raw, probability, labels, amounts, threshold):
    """The same figures; None where scikit-learn has none or only warns. Also the seconds of each."""
    seconds = {}

    def timed(name, call):
        start = time.perf_counter()
        result = call()
        seconds[name] = time.perf_counter() - start
        return result

    stopped = raw >= threshold
    n_fraud, n_honest = int(labels.sum()), int(len(labels) - labels.sum())
    fraud = n_fraud > 0
    both = fraud and n_honest > 0
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tn, fp, fn, tp = sk.confusion_matrix(labels, stopped, labels=[0, 1]).ravel().tolist()
        figures = {
            "roc_auc": timed("roc_auc", lambda: sk.roc_auc_score(labels, raw)) if both else None,
            "average_precision": timed("average_precision", lambda: sk.average_precision_score(labels, raw)) if fraud else None,
            "brier": sk.brier_score_loss(labels, probability, pos_label=1),
            "log_loss": sk.log_loss(labels, probability, labels=[0, 1]),
            "precision": sk.precision_score(labels, stopped) if tp + fp else None,
            "recall": sk.recall_score(labels, stopped) if fraud else None,
            "f1": sk.f1_score(labels, stopped) if tp + fp + fn else None,
            "false_positive_rate": fp / (fp + tn) if n_honest else None,
            "value_weighted_recall": sk.recall_score(labels, stopped, sample_weight=amounts) if fraud else None,
        }
        figures.update({"tp": tp, "fp": fp, "tn": tn, "fn": fn})
        if both:
            fpr, tpr, _ = sk.roc_curve(labels, raw, drop_intermediate=False)
        for key in FPR_KEYS:
            figures[f"recall_at_fpr {key}"] = float(tpr[fpr <= float(key)].max()) if both else None
        # scikit-learn has no precision at k: the mean over all ways to break the tie, from the sorted scores.
        order = np.sort(raw)[::-1]
        for k in (10, 100, 1_000, 10_000):
            if k > len(raw):
                figures[f"precision_at_k {k}"] = None
                continue
            last = order[k - 1]
            above, tied = raw > last, raw == last
            places = k - int(above.sum())
            figures[f"precision_at_k {k}"] = (labels[above].sum() + places * labels[tied].mean()) / k
    seconds["all"] = time.perf_counter() - start
    return figures, seconds


def by_ours(program, columns, threshold, repeats):
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        np.column_stack(columns).astype("<f8").tofile(file.name)
        out = subprocess.run([program, file.name, repr(threshold), str(repeats)], check=True, capture_output=True, text=True)
    answer = json.loads(out.stdout)
    at = answer["at_threshold"]
    figures = {name: answer[name] for name in ("roc_auc", "average_precision", "brier", "log_loss")}
    figures.update({name: at[name] for name in ("precision", "recall", "f1", "false_positive_rate", "value_weighted_recall")})
    figures.update(at["confusion"])
    figures.update({f"recall_at_fpr {key}": answer["recall_at_fpr"][key] for key in FPR_KEYS})
    figures.update({f"precision_at_k {k}": answer["precision_at_k"][str(k)] for k in (10, 100, 1_000, 10_000)})
    return figures, answer["seconds"]


def machine():
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), name)
    except OSError:
        pass
    return f"{name}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the start"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    lines = []

    def say(text=""):
        print(text, flush=True)
        lines.append(text)

    say(f"python {platform.python_version()}, numpy {np.__version__}, scikit-learn {sklearn.__version__}")
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    say(f"{rustc}; {machine()}")
    say("command: scripts/bench/metrics" + (" --quick" if args.quick else ""))
    say()

    largest, n_cases, wrong = {}, 0, []
    for name, raw, probability, labels, amounts, threshold in cases(args.quick):
        repeats = 5 if len(raw) > 50_000 else 1
        ours, our_seconds = by_ours(args.program, (raw, probability, amounts, labels), threshold, repeats)
        theirs, their_seconds = by_sklearn(raw, probability, labels, amounts, threshold)
        for _ in range(repeats - 1):
            again = by_sklearn(raw, probability, labels, amounts, threshold)[1]
            their_seconds = {key: min(value, again[key]) for key, value in their_seconds.items()}
        n_cases += 1
        for figure, value in theirs.items():
            mine = ours[figure]
            if (mine is None) != (value is None):
                wrong.append(f"{name}: {figure} is {mine}, scikit-learn has {value}")
                continue
            difference = 0.0 if value is None else abs(mine - value)
            if not difference < LIMIT:
                wrong.append(f"{name}: {figure} is {mine!r}, scikit-learn has {value!r}")
            if difference >= largest.get(figure, (-1.0,))[0]:
                largest[figure] = (difference, name)

    say(f"largest difference over {n_cases} sets of scores (limit {LIMIT:g}); undefined figures are undefined in both")
    say(f"{'figure':<26}{'difference':>12}  where")
    for figure, (difference, where) in largest.items():
        say(f"{figure:<26}{difference:>12.1e}  {where if difference else '-'}")
    say()
    say(f"seconds for {len(raw):,} orders, best of {repeats}")
    say(f"{'':<26}{'ours':>10}{'sklearn':>10}{'ratio':>8}")
    for what in ("average_precision", "roc_auc", "all"):
        label = "all figures" if what == "all" else what
        say(f"{label:<26}{our_seconds[what]:>10.4f}{their_seconds[what]:>10.4f}{their_seconds[what] / our_seconds[what]:>8.1f}")
    say("(our \"all figures\" also holds the curve and the calibration table)")
    for line in wrong:
        say(f"DIFFERS: {line}")
    say()
    say(json.dumps({
        "work": f"all figures of {len(raw)} scored orders",
        "ours": {"seconds": our_seconds["all"], "largest_difference": max(d for d, _ in largest.values())},
        "peers": {"sklearn": {"seconds": their_seconds["all"], "version": sklearn.__version__, "n_sets": n_cases, "n_differing": len(wrong)}},
        "ratio": None if wrong else their_seconds["all"] / our_seconds["all"],
    }))
    if args.write:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results", "metrics.txt")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
