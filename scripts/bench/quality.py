"""Helper of `quality`: makes the sets, fits each learner on their rows, compares them on the same test rows."""

import argparse
import functools
import importlib.metadata
import json
import multiprocessing
import os
import pathlib
import platform
import resource
import subprocess
import sys
import tempfile
import time

import numpy
import pandas
import pyarrow.parquet

import train

HERE = pathlib.Path(__file__).resolve().parent
CACHE = HERE / "results/quality-peers.json"
PEERS = ("LightGBM", "XGBoost", "CatBoost", "hessboost")
REPLICATES = 200
DAY = pandas.Timedelta(days=1)


class Set:
    """Feature rows in order of time, cut into those that fit, those that calibrate and those that test."""

    def __init__(self, name, x, y, n_fit, n_valid):
        self.name, self.x, self.y, self.n_fit, self.n_valid = name, x, y, n_fit, n_valid

    @property
    def n_train(self):
        return self.n_fit + self.n_valid


def feature_rows(programs, data, folder, *options):
    """(times, labels, rows) of the labelled orders, in order of time."""
    table = f"{folder}/features.parquet"
    done = subprocess.run([f"{programs}/orderguard", "features", "--quiet", "--data", str(data), "-o", table, *options],
                          capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"features of {data}: {done.stderr}")
    frame = pandas.read_parquet(table)
    # Missing labels make pandas' type another one.
    of_type = lambda wanted: next(field.name for field in pyarrow.parquet.read_schema(table) if wanted(field.type))
    label, at = of_type(pyarrow.types.is_int8), of_type(pyarrow.types.is_timestamp)
    frame = frame[frame[label].isin((0, 1))].sort_values(at, kind="stable")
    x = frame.select_dtypes("float32").to_numpy(dtype=numpy.float32)
    return frame[at], frame[label].to_numpy().astype(numpy.uint8), x


def in_time(name, rows, fit=0.6, valid=0.2):
    _, y, x = rows
    return Set(name, x, y, int(len(y) * fit), int(len(y) * valid))


def handbook(programs, folder):
    data = pathlib.Path(os.environ["ORDERGUARD_DATA"]) / "handbook/transactions.csv.zst"
    at, y, x = feature_rows(programs, data, folder, "--label-delay", "7d")
    day = lambda text: pandas.Timestamp(text, tz="UTC")

    def cut(name, start, end, test):
        train_rows = numpy.flatnonzero((at >= start) & (at < end))
        test_rows = numpy.flatnonzero((at >= test) & (at < test + 7 * DAY))
        rows = numpy.concatenate([train_rows, test_rows])
        n_valid = len(train_rows) // 5
        return Set(name, x[rows], y[rows], len(train_rows) - n_valid, n_valid)

    for week in range(4):
        start = day("2018-07-25") + 7 * week * DAY
        yield cut(f"handbook-b {week + 1}", start, start + 7 * DAY, start + 14 * DAY)
    yield cut("handbook-c", day("2018-05-01"), day("2018-07-24"), day("2018-07-31"))


def simulated(programs, folder, seed, drift):
    path = f"{folder}/orders.csv"
    words = ["--drift-day", "120"] if drift else []
    subprocess.run([f"{programs}/orderguard", "simulate", "--quiet", "--orders", "60000", "--seed", str(seed), "-o", path, *words],
                   check=True)
    return in_time(f"simulator {seed}{', drift' if drift else ''}", feature_rows(programs, path, folder))


def simulator(programs, folder):
    for seed in (101, 102, 103):
        for drift in (False, True):
            yield simulated(programs, folder, seed, drift)


def tuning(programs, folder):
    """The streams that our defaults were chosen on; not in the table."""
    for seed, drift in ((201, False), (202, True), (203, False), (204, True)):
        yield simulated(programs, folder, seed, drift)


def shops(programs, folder):
    data = pathlib.Path(os.environ["ORDERGUARD_DATA"])
    yield in_time("ecommerce-2015", feature_rows(programs, data / "ecommerce-2015/fraud_data_first51689_no_ip.csv.zst", folder))
    yield in_time("frauddetector-20k",
                  feature_rows(programs, data / "frauddetector-samples/registration_data_20K_minimum.csv.zst", folder))
    rows = feature_rows(programs, data / "chargeback-sample/transactional-sample.csv.zst", folder)
    for cut in range(10):
        fit = 0.45 + 0.02 * cut
        yield in_time(f"chargeback-sample {cut + 1}", rows, fit, 0.2)


def categories(programs, folder):
    """Orders of merchants and products by the thousand, each with a risk of its own; one with few and one with many orders a level."""
    for name, n_levels, seed in (("categories 2,000", 2_000, 7), ("categories 20,000", 20_000, 8)):
        rng = numpy.random.default_rng(seed)
        n = 100_000
        merchant, product = (rng.zipf(1.3, n) % n_levels for _ in range(2))
        risks = rng.normal(0, 1.2, (2, n_levels))
        amount = numpy.round(numpy.exp(rng.normal(3.5, 1, n)), 2)
        odds = -5.2 + risks[0][merchant] + risks[1][product] + 0.4 * (numpy.log(amount) - 3.5)
        fraud = rng.random(n) < 1 / (1 + numpy.exp(-odds))
        start = pandas.Timestamp("2024-01-01")
        frame = pandas.DataFrame({
            "order_id": numpy.arange(n), "order_time": (start + pandas.to_timedelta(numpy.sort(rng.integers(0, 180 * 86_400, n)), unit="s")),
            "customer_id": rng.integers(0, 30_000, n), "merchant_id": [f"m{m}" for m in merchant],
            "product_id": [f"p{p}" for p in product], "amount": amount, "is_fraud": fraud.astype(int)})
        path = f"{folder}/orders.csv"
        frame.to_csv(path, index=False)
        yield in_time(name, feature_rows(programs, path, folder))


TABLE = {"handbook": handbook, "simulator": simulator, "shops": shops, "categories": categories}
FAMILIES = TABLE | {"tuning": tuning}


def default_model(peer, params, fit, labels, threads=train.THREADS, seed=0):
    """A peer's own classifier with its own defaults, or with the parameters of a trial."""
    if peer == "LightGBM":
        import lightgbm

        model = lightgbm.LGBMClassifier(n_jobs=threads, verbose=-1, random_state=seed, **params).fit(fit, labels)
        return lambda rows: model.predict(rows, raw_score=True)
    if peer == "XGBoost":
        import xgboost

        model = xgboost.XGBClassifier(n_jobs=threads, random_state=seed, **params).fit(fit, labels)
        return lambda rows: model.predict(rows, output_margin=True)
    if peer == "CatBoost":
        import catboost

        model = catboost.CatBoostClassifier(thread_count=threads, verbose=False, allow_writing_files=False, random_seed=seed,
                                            **params).fit(fit, labels)
        return lambda rows: model.predict(rows, prediction_type="RawFormulaVal")
    import hessboost

    rounds = params.pop("n_estimators", 100)
    model = hessboost.train({"objective": "binary:logistic", "nthread": threads, "seed": seed, **params},
                            hessboost.DMatrix(fit, labels.astype(numpy.float32)), rounds)

    def log_odds(rows):
        # Its scores are probabilities, of 32 bits.
        probability = numpy.clip(numpy.asarray(model.predict(hessboost.DMatrix(rows)), dtype=numpy.float64), 1e-9, 1 - 1e-9)
        return numpy.log(probability / (1 - probability))

    return log_odds


def trial(peer, rng):
    """Random parameters, of the ranges that people search."""
    rate, leaves = float(10 ** rng.uniform(-2, -0.5)), int(2 ** rng.uniform(2, 7))
    trees, rows = int(10 ** rng.uniform(1.7, 3)), float(rng.uniform(0.5, 1))
    columns, weight, l2 = float(rng.uniform(0.3, 1)), float(10 ** rng.uniform(-1, 2)), float(10 ** rng.uniform(-2, 2))
    if peer == "LightGBM":
        return {"n_estimators": trees, "learning_rate": rate, "num_leaves": leaves, "subsample": rows, "subsample_freq": 1,
                "colsample_bytree": columns, "min_child_samples": int(10 ** rng.uniform(0.7, 2.5)), "min_child_weight": weight, "reg_lambda": l2}
    if peer == "CatBoost":
        return {"iterations": trees, "learning_rate": rate, "depth": int(rng.integers(3, 9)), "l2_leaf_reg": l2}
    return {"n_estimators": trees, "learning_rate": rate, "max_depth": int(rng.integers(2, 10)), "subsample": rows,
            "colsample_bytree": columns, "min_child_weight": weight, "reg_lambda": l2}


def average_precision(y, scores, weights=None):
    """Ties count together; `weights` says how often each row was drawn."""
    order = numpy.argsort(-scores, kind="stable")
    weights = numpy.ones(len(y)) if weights is None else weights
    y, weights, scores = y[order], weights[order], scores[order]
    last = numpy.append(scores[1:] != scores[:-1], True)
    found, seen = numpy.cumsum(weights * y)[last], numpy.cumsum(weights)[last]
    with numpy.errstate(invalid="ignore", divide="ignore"):
        precision = numpy.where(seen > 0, found / seen, 0)
    total = found[-1]
    return float(numpy.sum(numpy.diff(found, prepend=0) * precision) / total) if total > 0 else float("nan")


def figures(data, scores):
    """Scores are of the calibrating and the testing rows."""
    import sklearn.linear_model
    import sklearn.metrics

    valid, test = scores[:data.n_valid], scores[data.n_valid:]
    y_valid, y = data.y[data.n_fit:data.n_train], data.y[data.n_train:]
    platt = sklearn.linear_model.LogisticRegression(C=1e6).fit(valid[:, None], y_valid)
    probability = platt.predict_proba(test[:, None])[:, 1]
    false, true, _ = sklearn.metrics.roc_curve(y, test)
    rng = numpy.random.default_rng(1)
    drawn = [average_precision(y, test, numpy.bincount(rng.integers(0, len(y), len(y)), minlength=len(y))) for _ in range(REPLICATES)]
    return {"average_precision": round(average_precision(y, test), 5), "recall": round(float(numpy.interp(0.01, false, true)), 5),
            "log_loss": round(float(sklearn.metrics.log_loss(y, probability)), 6), "drawn": [round(value, 4) for value in drawn]}


def ours(programs, data, folder, *words):
    """Seconds are processor time over processors, as those of tuned peers."""
    train.write_matrix(f"{folder}/matrix.ogmx", data.x, data.y, data.n_train)
    used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    start = used()
    done = subprocess.run([f"{programs}/examples/fit_matrix", f"{folder}/matrix.ogmx", "early_stop=true", f"n_valid={data.n_valid}",
                           f"scores={folder}/scores", f"threads={train.THREADS}", *words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    found = figures(data, numpy.fromfile(f"{folder}/scores")) | {"seconds": round((used() - start) / train.THREADS, 2)}
    return found | {"search": json.loads(done.stdout).get("search")}


def default_figures(peer, data):
    start = time.perf_counter()
    model = default_model(peer, {}, data.x[:data.n_fit], data.y[:data.n_fit])
    scores = numpy.asarray(model(data.x[data.n_fit:]), dtype=numpy.float64)
    return figures(data, scores) | {"seconds": round(time.perf_counter() - start, 2)}


# Rows of a process that fits trials.
rows_of_trials = None


def open_rows(path):
    global rows_of_trials
    rows_of_trials = numpy.load(path, mmap_mode="r")


def fit_trial(peer, params, labels):
    """Scores of the rows after those that fit, and the processor time taken."""
    start = time.process_time()
    model = default_model(peer, params, rows_of_trials[:len(labels)], labels, threads=1)
    scores = numpy.asarray(model(rows_of_trials[len(labels):]), dtype=numpy.float64)
    return scores, time.process_time() - start


def tuned_figures(peer, data, n_trials, most_seconds, folder):
    """The best of the trials by the calibrating rows. Trials run side by side, one thread each, which no peer does faster; their time
    is their processor time over the processors, so that other work on the machine does not lengthen it."""
    numpy.save(f"{folder}/trials.npy", data.x)
    rng, best, spent, n_done = numpy.random.default_rng(5), (-1.0, None), 0.0, 0
    labels = data.y[:data.n_fit]
    trials = [trial(peer, rng) for _ in range(n_trials)]
    with multiprocessing.get_context("spawn").Pool(train.THREADS, open_rows, (f"{folder}/trials.npy",)) as pool:
        for scores, seconds in pool.imap(functools.partial(fit_trial, peer, labels=labels), trials):
            spent, n_done = spent + seconds / train.THREADS, n_done + 1
            value = average_precision(data.y[data.n_fit:data.n_train], scores[:data.n_valid])
            best = max(best, (value, scores), key=lambda pair: pair[0])
            if most_seconds and spent >= most_seconds:
                break
    return figures(data, best[1]) | {"seconds": round(spent, 2), "trials": n_done}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", required=True)
    parser.add_argument("--set", action="append", choices=list(FAMILIES))
    parser.add_argument("--trials", type=int, default=0)
    parser.add_argument("--tuning-seconds", type=float, default=0)
    parser.add_argument("--search", type=int, default=0)
    parser.add_argument("--ours", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    command = f"scripts/bench/quality {' '.join(sys.argv[3:])}".strip()
    versions = {name: importlib.metadata.version(name) for name in ("lightgbm", "xgboost", "catboost", "hessboost", "numpy", "scikit-learn")}
    cache = json.loads(CACHE.read_text()) if CACHE.exists() else {}
    lines = []

    def say(text=""):
        lines.append(text)
        print(text, flush=True)

    say(f"command: {command}")
    say(f"machine: {platform.machine()}, {os.cpu_count()} processors; versions: {', '.join(f'{name} {v}' for name, v in versions.items())}")
    say("Test rows; average precision, recall at 1 % false positives, log loss after Platt scaling on the calibration rows. Last column: average")
    say(f"precision of ours less that of the best peer with its defaults, 95 % interval of {REPLICATES} paired bootstrap draws of the test rows.")
    say(f"\n{'set':22} {'rows':>8} {'frauds':>7}  {'learner':12} {'AP':>7} {'recall':>7} {'log loss':>9} {'seconds':>8}")
    below, above, n_sets = [], [], 0
    peers = () if args.ours else PEERS
    gains, ranks = [], []
    for family in args.set or TABLE:
        with tempfile.TemporaryDirectory() as folder:
            for data in FAMILIES[family](args.programs, folder):
                fraud = int(data.y[data.n_train:].sum())
                if fraud < 5 or data.y[:data.n_fit].sum() < 5 or not 0 < data.y[data.n_fit:data.n_train].sum():
                    say(f"{data.name:22} left out: too few frauds in a part")
                    continue
                results = {"orderguard": ours(args.programs, data, folder)}
                if args.search:
                    results["orderguard*"] = ours(args.programs, data, folder, f"trials={args.search}")
                    gains.append([results[name]["average_precision"] for name in ("orderguard", "orderguard*")])
                for peer in peers:
                    key, shape = f"{data.name}/{peer}", [*data.x.shape, data.n_fit, data.n_valid]
                    kept = cache.get(key)
                    if args.again or not kept or kept["shape"] != shape or kept["versions"] != versions:
                        kept = {"shape": shape, "versions": versions, "command": command, "found": {"default": default_figures(peer, data)}}
                    if args.trials and "tuned" not in kept["found"]:
                        kept["found"]["tuned"] = tuned_figures(peer, data, args.trials, args.tuning_seconds, folder) | {"command": command}
                    if kept is not cache.get(key) or args.trials:
                        cache[key] = kept
                        CACHE.write_text(json.dumps(cache, separators=(",", ":")).replace('},"', '},\n"') + "\n")
                    results[peer] = cache[key]["found"]["default"]
                    if "tuned" in cache[key]["found"]:
                        results[f"{peer}*"] = cache[key]["found"]["tuned"]
                tuned = {name: found["average_precision"] for name, found in results.items() if name.endswith("*")}
                if args.search and len(tuned) == len(PEERS) + 1:
                    ranks.append({name: 1 + sum(other > value for other in tuned.values()) for name, value in tuned.items()})
                best = max(peers or ["orderguard"], key=lambda peer: results[peer]["average_precision"])
                gaps = numpy.sort(numpy.array(results["orderguard"]["drawn"]) - numpy.array(results[best]["drawn"]))
                gaps = gaps[~numpy.isnan(gaps)]
                low, high = gaps[int(0.025 * len(gaps))], gaps[int(0.975 * len(gaps))]
                n_sets += 1
                if high < 0:
                    below.append(data.name)
                if results["orderguard"]["average_precision"] >= results[best]["average_precision"]:
                    above.append(data.name)
                for name, found in results.items():
                    lead = f"{data.name:22} {len(data.y):8,} {fraud:7}" if name == "orderguard" else " " * 39
                    tail = f"  {low:+.4f} .. {high:+.4f} against {best}" if name == "orderguard" and peers else ""
                    if found.get("search"):
                        looked = found["search"]
                        tail = (f"  {looked['trials']} trials in {looked['seconds']:.0f} s; chosen {looked['chosen']}, {looked['difference']:+.4f} "
                                f"on folds: {looked['parameters']}")
                    say(f"{lead}  {name:12} {found['average_precision']:7.4f} {found['recall']:7.4f} {found['log_loss']:9.5f} {found['seconds']:8.1f}{tail}")
    if gains:
        before, after = numpy.array(gains).mean(axis=0)
        n_better, n_worse = (sum(sign * (b - a) > 0 for a, b in gains) for sign in (1, -1))
        say(f"\nA searched model (orderguard*) has a mean average precision of {after:.4f} over {len(gains)} sets, the defaults {before:.4f}; "
            f"better on {n_better}, worse on {n_worse}.")
    if peers:
        say(f"\nAt or above the best default peer on {len(above)} of {n_sets} sets; below it beyond the interval on {len(below)}: {', '.join(below) or 'none'}.")
    if ranks:
        mean = {name: numpy.mean([rank[name] for rank in ranks]) for name in ranks[0]}
        in_order = sorted(mean, key=mean.get)
        say(f"\nMean rank of average precision among the tuned, over {len(ranks)} sets: {', '.join(f'{name} {mean[name]:.2f}' for name in in_order)}.")
    if args.trials:
        say("A star marks a peer tuned by random trials on the calibration rows, or ours by a search.")
    if args.write:
        name = "search.txt" if args.ours else "tuned.txt" if args.trials else "quality.txt"
        (HERE / "results" / name).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
