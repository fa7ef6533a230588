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


def grouped(n):
    """Day, customer and weight of each order; seeded."""
    rng = np.random.Generator(np.random.PCG64(n))
    days = np.sort(rng.integers(17_622, 17_622 + max(1, min(180, n // 40 + 1)), n))
    return days, rng.integers(0, max(1, n // 3), n), rng.choice([1.0, 2.0, 10.0], n)


def daily_precision(raw, labels, days, k):
    """Mean over days of the share of frauds among the k highest scores, ties by their mean share."""
    found = []
    for day in np.unique(days):
        s, y = raw[days == day], labels[days == day]
        if len(s) <= k:
            found.append(y.sum() / k)
            continue
        last = np.sort(s)[::-1][k - 1]
        above, tied = s > last, s == last
        found.append((y[above].sum() + (k - above.sum()) * y[tied].mean()) / k)
    return float(np.mean(found))


def entity_precision(raw, labels, days, entities, k):
    """The book's card precision top-k: customers found on an earlier day are left out; ties go by customer."""
    gone, found = set(), []
    for day in np.unique(days):
        of_day = days == day
        highest, fraud = {}, {}
        for s, y, e in zip(raw[of_day], labels[of_day], entities[of_day]):
            if e not in gone:
                highest[e] = max(highest.get(e, -np.inf), s)
                fraud[e] = max(fraud.get(e, 0.0), y)
        top = sorted(highest, key=lambda e: (-highest[e], e))[:k]
        hits = [e for e in top if fraud[e] == 1]
        found.append(len(hits) / k)
        gone.update(hits)
    return float(np.mean(found))


def money(labels, probability, stopped, raw, amounts):
    """Losses by the default cost table of docs/costs.md, order by order."""
    fraud = labels == 1
    of_fraud = 0.75 * amounts + 20.0 + 5.0
    of_honest = 3.0 + 0.25 * amounts + 10.0

    def loss(stops, share):
        return float(np.sum(np.where(stops, 3.0 * share + of_honest * (1 - share), of_fraud * share)))

    nothing = loss(np.zeros(len(raw), dtype=bool), labels)
    now = loss(stopped, labels)
    order = np.argsort(-raw, kind="stable")
    change = np.cumsum(np.where(fraud, 3.0 - of_fraud, of_honest)[order])
    ends = np.append(raw[order][1:] != raw[order][:-1], True)
    return {
        "money loss_doing_nothing": nothing,
        "money loss": now,
        "money savings": nothing - now,
        "money loss_reduction": (nothing - now) / nothing if nothing > 0 else None,
        "money expected_loss": loss(stopped, probability),
        "money best": min(nothing, nothing + float(change[ends].min())),
        "money fraud_bp_before": float(1e4 * amounts[fraud].sum() / amounts.sum()),
        "money fraud_bp_after": float(1e4 * amounts[fraud & ~stopped].sum() / amounts[~stopped].sum()) if (~stopped).any() else None,
    }


def beside_sklearn(raw, probability, labels, amounts, threshold):
    """Figures that scikit-learn has under another name, or not at all."""
    days, entities, weights = grouped(len(raw))
    stopped = raw >= threshold
    n_fraud, n_honest = int(labels.sum()), int(len(labels) - labels.sum())
    both = n_fraud > 0 and n_honest > 0
    figures = {}
    if both:
        fpr, tpr, at = sk.roc_curve(labels, raw, drop_intermediate=False)
    for key in FPR_KEYS:
        figures[f"precision_at_fpr {key}"] = None
        if both:
            within = fpr <= float(key)
            first = int(np.argmax(tpr == tpr[within].max()))
            tp, fp = tpr[first] * n_fraud, fpr[first] * n_honest
            figures[f"precision_at_fpr {key}"] = float(tp / (tp + fp)) if tp + fp > 0.5 else None
    honest = labels == 0
    figures["value_false_positive_rate"] = float(amounts[honest & stopped].sum() / amounts[honest].sum()) if n_honest else None
    figures["alert_rate"] = float(stopped.mean())
    edges = np.array([0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0])
    band = np.searchsorted(edges[1:-1], probability, side="right")
    figures["calibration_error"] = float(
        sum(abs(probability[band == b].sum() - labels[band == b].sum()) for b in np.unique(band)) / len(raw)
    )
    figures["precision_at_k_per_day"] = daily_precision(raw, labels, days, 100)
    figures["entity_precision_at_k"] = entity_precision(raw, labels, days, entities, 100) if len(raw) <= 200_000 else ...
    figures.update(money(labels, probability, stopped, raw, amounts))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        w = {"sample_weight": weights}
        figures["weighted roc_auc"] = float(sk.roc_auc_score(labels, raw, **w)) if both else None
        figures["weighted average_precision"] = float(sk.average_precision_score(labels, raw, **w)) if n_fraud else None
        figures["weighted brier"] = float(sk.brier_score_loss(labels, probability, pos_label=1, **w))
        figures["weighted recall"] = float(sk.recall_score(labels, stopped, **w)) if n_fraud else None
        figures["weighted precision"] = float(sk.precision_score(labels, stopped, **w)) if stopped.any() else None
        figures["effective_sample_size"] = float(weights.sum() ** 2 / (weights**2).sum())
    return figures


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


def by_ours(program, columns, threshold, repeats, replicates):
    columns = (*columns, *grouped(len(columns[0])))
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        np.column_stack(columns).astype("<f8").tofile(file.name)
        out = subprocess.run([program, file.name, repr(threshold), str(repeats), str(replicates)], check=True, capture_output=True, text=True)
    answer = json.loads(out.stdout)
    at = answer["at_threshold"]
    figures = {name: answer[name] for name in ("roc_auc", "average_precision", "brier", "log_loss")}
    figures.update({name: at[name] for name in ("precision", "recall", "f1", "false_positive_rate", "value_weighted_recall")})
    figures.update(at["confusion"])
    figures.update({f"recall_at_fpr {key}": answer["recall_at_fpr"][key] for key in FPR_KEYS})
    figures.update({f"precision_at_k {k}": answer["precision_at_k"][str(k)] for k in (10, 100, 1_000, 10_000)})
    figures.update({f"precision_at_fpr {key}": answer["precision_at_fpr"][key] for key in FPR_KEYS})
    figures.update({name: at[name] for name in ("value_false_positive_rate", "alert_rate")})
    figures["calibration_error"] = answer["calibration_error"]
    figures.update({name: answer[name]["mean"] for name in ("precision_at_k_per_day", "entity_precision_at_k")})
    figures.update({f"money {name}": value for name, value in answer["money"].items()})
    figures["money best"] = answer["money"]["best"]["loss"]
    weighted = answer["weighted"]
    figures.update({f"weighted {name}": of["value"] for name, of in weighted["figures"].items()})
    figures["effective_sample_size"] = weighted["effective_sample_size"]
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
        replicates = (100 if args.quick else 1_000) if len(raw) >= 100_000 else 0
        ours, our_seconds = by_ours(args.program, (raw, probability, amounts, labels), threshold, repeats, replicates)
        theirs, their_seconds = by_sklearn(raw, probability, labels, amounts, threshold)
        theirs.update(beside_sklearn(raw, probability, labels, amounts, threshold))
        for _ in range(repeats - 1):
            again = by_sklearn(raw, probability, labels, amounts, threshold)[1]
            their_seconds = {key: min(value, again[key]) for key, value in their_seconds.items()}
        n_cases += 1
        for figure, value in theirs.items():
            if value is ...:
                continue
            mine = ours[figure]
            if (mine is None) != (value is None):
                wrong.append(f"{name}: {figure} is {mine}, scikit-learn has {value}")
                continue
            # Of sums of money and counts the relative difference counts.
            difference = 0.0 if value is None else abs(mine - value) / max(1.0, abs(value))
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
    say(f"{'with intervals':<26}{our_seconds['with_intervals']:>10.2f}   ({replicates:,} replicates of days, of customers and of both, money, weeks)")
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
