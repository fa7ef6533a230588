"""Helper of `train`: makes seeded data, runs each learner on it in turn as a process of its own, prints a table."""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

import numpy

HERE = pathlib.Path(__file__).resolve().parent
THREADS = 2
ROUNDS = 100
RATE = 0.1
# What a matrix holds: rows to train and test, columns, share of frauds.
MATRICES = {"s": (320_000, 300_000, 40, 0.017), "m": (1_000_000, 200_000, 100, 0.005), "l": (10_000_000, 500_000, 30, 0.005)}
LIGHTGBM = {"objective": "binary", "num_threads": THREADS, "verbose": -1, "num_leaves": 31, "learning_rate": RATE, "max_bin": 255}
CAREFUL = {"min_data_in_leaf": 100, "min_sum_hessian_in_leaf": 1.0, "lambda_l2": 10.0}
PEERS = {
    "LightGBM": ("lightgbm", {}),
    "LightGBM, 100 rows a leaf, L2 10": ("lightgbm", CAREFUL),
    "LightGBM, GOSS": ("lightgbm", {"data_sample_strategy": "goss"}),
    "LightGBM, quantised": ("lightgbm", {"use_quantized_grad": True}),
    "LightGBM, pandas frame": ("lightgbm", {"frame": True}),
    "XGBoost": ("xgboost", {}),
    "hessboost": ("hessboost", {}),
    "CatBoost": ("catboost", {}),
}


def make_chunk(rng, n_rows, n_features):
    """Normal, log-normal and count columns, some cells missing; the risk depends on ten of them, with interactions."""
    x = rng.standard_normal((n_rows, n_features), dtype=numpy.float32)
    for j in range(0, n_features, 4):
        x[:, j] = numpy.exp(x[:, j])
    for j in range(1, n_features, 8):
        x[:, j] = rng.poisson(2, n_rows)
    risk = 1.2 * x[:, 2] + 0.8 * x[:, 3] * x[:, 6] + 1.5 * ((x[:, 0] > 2) & (x[:, 7] > 0)) + 0.5 * abs(x[:, 10])
    risk += 0.3 * x[:, 9] - 0.6 * (x[:, 14] > 1) * x[:, 15] + 0.4 * numpy.sin(3 * x[:, 18])
    risk = 1.5 * risk + rng.logistic(size=n_rows)
    x[rng.random(n_rows) < 0.1, 2] = numpy.nan
    x[rng.random(n_rows) < 0.3, 21] = numpy.nan
    return x, risk.astype(numpy.float32)


def make(folder, workload, seed):
    """Writes x.npy (rows one after the other), y.npy and matrix.ogmx (columns one after the other)."""
    n_train, n_test, n_features, fraud_rate = MATRICES[workload]
    n_rows = n_train + n_test
    rng = numpy.random.default_rng(seed)
    x = numpy.lib.format.open_memmap(f"{folder}/x.npy", "w+", numpy.float32, (n_rows, n_features))
    risk = numpy.empty(n_rows, numpy.float32)
    for start in range(0, n_rows, 1 << 19):
        end = min(start + (1 << 19), n_rows)
        x[start:end], risk[start:end] = make_chunk(rng, end - start, n_features)
    y = (risk > numpy.quantile(risk, 1 - fraud_rate)).astype(numpy.uint8)
    numpy.save(f"{folder}/y.npy", y)
    write_matrix(f"{folder}/matrix.ogmx", x, y, n_train)
    return n_train


def write_matrix(path, x, y, n_train):
    header = b"OGMX" + (1).to_bytes(4, "little") + b"".join(n.to_bytes(8, "little") for n in (*x.shape, n_train))
    with open(path, "wb") as file:
        file.write(header)
        for j in range(x.shape[1]):
            file.write(numpy.ascontiguousarray(x[:, j]).tobytes())
        file.write(y.tobytes())


def fit_peer(folder, n_train, library, extra):
    """Runs in a process of its own. Reading the file and scoring are outside the time."""
    import sklearn.metrics

    x = numpy.load(f"{folder}/x.npy", mmap_mode="r")
    y = numpy.load(f"{folder}/y.npy")
    train, labels = numpy.array(x[:n_train]), y[:n_train].astype(numpy.float32)
    if library == "lightgbm":
        import lightgbm

        if extra.pop("frame", False):
            import pandas

            # The type that pandas gives numbers when it reads CSV.
            train = pandas.DataFrame(train, columns=[f"f{j}" for j in range(train.shape[1])]).astype("float64")
        params = LIGHTGBM | extra
        start = time.perf_counter()
        model = lightgbm.train(params, lightgbm.Dataset(train, labels, params=params), ROUNDS)
        seconds = time.perf_counter() - start
        score = lambda rows: model.predict(rows, raw_score=True)
    elif library == "xgboost":
        import xgboost

        params = {"objective": "binary:logistic", "tree_method": "hist", "grow_policy": "lossguide", "max_depth": 0,
                  "max_leaves": 31, "learning_rate": RATE, "max_bin": 256, "nthread": THREADS}
        start = time.perf_counter()
        model = xgboost.train(params, xgboost.QuantileDMatrix(train, labels, nthread=THREADS, max_bin=256), ROUNDS)
        seconds = time.perf_counter() - start
        score = lambda rows: model.predict(xgboost.DMatrix(rows), output_margin=True)
    elif library == "hessboost":
        import hessboost

        params = {"objective": "binary:logistic", "tree_method": "hist", "grow_policy": "lossguide", "max_depth": 0,
                  "max_leaves": 31, "learning_rate": RATE, "max_bin": 255, "nthread": THREADS}
        start = time.perf_counter()
        model = hessboost.train(params, hessboost.DMatrix(train, labels), ROUNDS)
        seconds = time.perf_counter() - start
        score = lambda rows: model.predict(hessboost.DMatrix(rows))
    else:
        import catboost

        model = catboost.CatBoostClassifier(iterations=ROUNDS, learning_rate=RATE, max_leaves=31, grow_policy="Lossguide",
                                            border_count=254, thread_count=THREADS, verbose=False, allow_writing_files=False)
        start = time.perf_counter()
        model.fit(train, labels)
        seconds = time.perf_counter() - start
        score = lambda rows: model.predict(rows, prediction_type="RawFormulaVal")
    peak = peak_mb()
    del train
    quality = sklearn.metrics.average_precision_score(y[n_train:], score(numpy.array(x[n_train:])))
    print(json.dumps({"seconds": round(seconds, 4), "average_precision": round(float(quality), 5), "peak_mb": peak}))


def peak_mb():
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def run(command):
    """The JSON that a command prints last, with its whole time; Linux sets OMP_NUM_THREADS for what ignores its parameter."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": str(THREADS), "RAYON_NUM_THREADS": str(THREADS)})
    if done.returncode != 0:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1][:120]}
    result = json.loads(done.stdout.strip().splitlines()[-1])
    return result | {"whole": time.perf_counter() - start}


def compare(say, commands, n_runs):
    """Runs all commands in turn, several times over, and prints the fastest run of each."""
    runs = {name: [] for name in commands}
    for _ in range(n_runs):
        for name, command in commands.items():
            runs[name].append(run(command))
    say(f"{'':34} {'seconds':>9} {'average precision':>18} {'peak MB':>9}")
    best = {}
    for name, results in runs.items():
        good = [result for result in results if "error" not in result]
        if not good:
            say(f"{name:34} failed: {results[0]['error']}")
            continue
        best[name] = min(good, key=lambda result: result["seconds"])
        b = best[name]
        say(f"{name:34} {b['seconds']:9.3f} {b['average_precision']:18.5f} {b['peak_mb']:9}")
    ours = best.get("orderguard")
    rivals = {n: b for n, b in best.items() if n != "orderguard" and ours and b["average_precision"] >= ours["average_precision"] - 0.0005}
    if ours:
        if rivals:
            name = min(rivals, key=lambda n: rivals[n]["seconds"])
            say(f"fastest peer of equal or better average precision: {name}, {rivals[name]['seconds'] / ours['seconds']:.2f} times our time")
        else:
            name = min((n for n in best if n != "orderguard"), key=lambda n: best[n]["seconds"], default=None)
            if name:
                say(f"no peer reaches our average precision; the fastest, {name}, takes {best[name]['seconds'] / ours['seconds']:.2f} times our time")
        array, frame = best.get("LightGBM"), best.get("LightGBM, pandas frame")
        if array and frame:
            say(f"peak memory: {ours['peak_mb'] / array['peak_mb']:.2f} of LightGBM from a float32 array, {ours['peak_mb'] / frame['peak_mb']:.2f} of LightGBM from a pandas frame")
    return best


def matrix_commands(args, folder, n_train, small):
    commands = {"orderguard": [args.programs + "/examples/fit_matrix", f"{folder}/matrix.ogmx", f"rounds={ROUNDS}", f"learning_rate={RATE}", f"threads={THREADS}"]}
    for name in PEERS:
        if (name == "CatBoost" and not args.catboost) or (small and name not in ("LightGBM", "LightGBM, pandas frame", "XGBoost")):
            continue
        commands[name] = [sys.executable, __file__, "--programs", args.programs, "--peer", name, "--folder", folder, "--n-train", str(n_train)]
    return commands


def handbook(folder, programs):
    """Feature rows of the card transactions, as protocol C trains and tests on them."""
    import pandas

    data = pathlib.Path(os.environ["ORDERGUARD_DATA"]) / "handbook/transactions.csv.zst"
    table = f"{folder}/features.parquet"
    subprocess.run([programs + "/orderguard", "features", "--quiet", "--data", str(data), "-o", table], check=True)
    frame = pandas.read_parquet(table)
    at = frame["TX_DATETIME"]
    day = lambda text: pandas.Timestamp(text, tz="UTC")
    train = frame[(at >= day("2018-05-01")) & (at < day("2018-07-24"))]
    test = frame[(at >= day("2018-07-31")) & (at < day("2018-08-07"))]
    both = pandas.concat([train, test])
    y = both["TX_FRAUD"].to_numpy().astype(numpy.uint8)
    # What leaks, or runs on with time, where `features` left it in.
    refused = ["category(TX_FRAUD_SCENARIO)", "number(TX_TIME_SECONDS)", "number(TX_TIME_DAYS)"]
    x = both.select_dtypes("float32").drop(columns=refused, errors="ignore").to_numpy(dtype=numpy.float32)
    numpy.save(f"{folder}/x.npy", numpy.ascontiguousarray(x))
    numpy.save(f"{folder}/y.npy", y)
    write_matrix(f"{folder}/matrix.ogmx", x, y, len(train))
    return len(train), f"handbook feature rows, {len(train)} x {x.shape[1]}, {100 * y[:len(train)].mean():.2f} % frauds"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", required=True)
    parser.add_argument("--workload", action="append", choices=[*MATRICES, "csv", "handbook"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--catboost", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--peer")
    parser.add_argument("--folder")
    parser.add_argument("--n-train", type=int)
    args = parser.parse_args()
    if args.peer:
        library, extra = PEERS[args.peer]
        fit_peer(args.folder, args.n_train, library, dict(extra))
        return
    lines = []

    def say(text):
        lines.append(text)
        print(text, flush=True)

    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("lightgbm", "xgboost", "hessboost", "catboost", "numpy", "pandas"))
    say(f"command: scripts/bench/train {' '.join(word for word in sys.argv[3:])}")
    say(f"machine: {platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; {THREADS} threads each; fastest of {args.runs} alternating runs")
    say(f"versions: {versions}")
    for workload in args.workload or ["s"]:
        with tempfile.TemporaryDirectory() as folder:
            if workload in MATRICES:
                n_train = make(folder, workload, args.seed)
                _, _, n_features, fraud_rate = MATRICES[workload]
                say(f"\n{n_train:,} x {n_features} floats, {100 * fraud_rate:g} % frauds, {ROUNDS} trees, 31 leaves, rate {RATE}, 255 bins; seed {args.seed}")
                compare(say, matrix_commands(args, folder, n_train, workload == "l"), args.runs)
            elif workload == "handbook":
                n_train, title = handbook(folder, args.programs)
                say(f"\n{title}, {ROUNDS} trees, 31 leaves, rate {RATE}, 255 bins")
                compare(say, matrix_commands(args, folder, n_train, False), args.runs)
            else:
                whole_programs(args, say, folder)
    if args.write:
        with open(HERE / "results/train.txt", "a") as file:
            file.write("\n".join(lines) + "\n\n")


SCRIPT = """
import lightgbm, pandas
frame = pandas.read_csv({path!r})
y = frame.pop("fraud")
frame = frame.drop(columns=["order_id", "time"])
cut, held = int(len(frame) * 0.7), int(len(frame) * 0.85)
params = dict(objective="binary", metric="average_precision", num_threads={threads}, verbose=-1, num_leaves=31, learning_rate={rate})
train = lightgbm.Dataset(frame[:cut], y[:cut])
valid = lightgbm.Dataset(frame[cut:held], y[cut:held], reference=train)
model = lightgbm.train(params, train, {rounds}, [valid])
model.predict(frame[held:])
model.save_model({path!r} + ".model")
"""


def whole_programs(args, say, folder):
    """Orders with 40 numeric columns, from CSV to a model file; both split by time, and neither stops before the last tree."""
    import pandas

    n_rows, n_features = 320_000, 40
    x, risk = make_chunk(numpy.random.default_rng(args.seed), n_rows, n_features)
    frame = pandas.DataFrame(x, columns=[f"f{j}" for j in range(n_features)])
    frame.insert(0, "order_id", numpy.arange(n_rows))
    start = pandas.Timestamp("2024-01-01")
    frame.insert(1, "time", (start + pandas.to_timedelta(numpy.arange(n_rows) * 40, unit="s")).strftime("%Y-%m-%d %H:%M:%S"))
    frame["fraud"] = (risk > numpy.quantile(risk, 0.983)).astype(int)
    path = f"{folder}/orders.csv"
    frame.to_csv(path, index=False, float_format="%.6g")
    script = SCRIPT.format(path=path, threads=THREADS, rate=RATE, rounds=ROUNDS)
    ours = [args.programs + "/orderguard", "train", "--quiet", "--threads", str(THREADS), "--data", path, "--label", "fraud",
            "--trees", str(ROUNDS), "--learning-rate", str(RATE), "--out", f"{folder}/model"]
    say(f"\nfrom CSV to a model file: {n_rows:,} orders with {n_features} numbers ({os.path.getsize(path) / 1e6:.0f} MB), {ROUNDS} trees")
    times = {"orderguard train": [], "pandas and LightGBM": []}
    for _ in range(args.runs):
        for name, command in (("orderguard train", ours), ("pandas and LightGBM", [sys.executable, "-c", script])):
            begin = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"{name}: {done.stderr}")
            times[name].append(time.perf_counter() - begin)
    for name, seconds in times.items():
        say(f"{name:34} {min(seconds):9.3f} s")
    say(f"ratio {min(times['pandas and LightGBM']) / min(times['orderguard train']):.2f}")


if __name__ == "__main__":
    main()
