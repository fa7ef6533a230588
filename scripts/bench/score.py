"""What `scripts/bench/score` runs: makes the model and rows, and lets peers score them. See there."""

import argparse
import ctypes
import platform
import subprocess
import sys
import time
from pathlib import Path

import lightgbm
import numpy

N_TRAIN, N_ROWS, N_FEATURES = 200_000, 20_000, 40


def table(rng, n):
    """Numbers that f32 holds exactly, so that every peer sees the same: half the columns skewed, a third with missing values."""
    x = rng.standard_normal((n, N_FEATURES))
    x[:, ::2] = numpy.exp(x[:, ::2])
    x[:, 5::10] = numpy.floor(4 * numpy.abs(x[:, 5::10]))
    for feature in range(0, N_FEATURES, 3):
        x[rng.random(n) < 0.2, feature] = numpy.nan
    return x.astype(numpy.float32).astype(numpy.float64)


def labels(rng, x):
    z = numpy.nan_to_num(x)
    risk = z[:, 1] * z[:, 3] - 0.5 * numpy.log1p(z[:, 0]) + (z[:, 5] > 5) + 0.7 * numpy.isnan(x[:, 6]) * z[:, 7] - 1.5
    risk += 0.2 * numpy.sin(3 * z[:, 9:20]).sum(axis=1) + 0.3 * z[:, 20:30:2].clip(0, 3).sum(axis=1) - 1.5
    return (rng.random(len(x)) < 1 / (1 + numpy.exp(-risk))).astype(float)


def make(folder, n_trees, n_leaves, n_train, rate=0.05, n_rows=N_ROWS):
    stem = folder / f"{n_trees}x{n_leaves}-{n_train}-{rate}"
    model, rows, raw = Path(f"{stem}.txt"), folder / "rows.f64", Path(f"{stem}.raw")
    rng = numpy.random.default_rng(5)
    x = table(rng, n_train)
    y = labels(rng, x)
    if not model.exists():
        params = {"objective": "binary", "num_leaves": n_leaves, "learning_rate": rate, "verbose": -1, "num_threads": 1, "seed": 1,
                  "deterministic": True, "force_col_wise": True}
        lightgbm.train(params, lightgbm.Dataset(x, y, params=params), n_trees).save_model(model)
    test = table(numpy.random.default_rng(6), N_ROWS)[:n_rows]
    rows.write_bytes(test.tobytes())
    booster = lightgbm.Booster(model_file=str(model))
    raw.write_bytes(booster.predict(test, raw_score=True, num_threads=2).tobytes())
    parts = Path(f"{stem}.parts")
    if not parts.exists():
        parts.write_bytes(booster.predict(test[:200], pred_contrib=True, num_threads=2).tobytes())
    return model, rows, raw, parts, test, (x, y)


def quantiles(times):
    times = numpy.sort(numpy.array(times))
    return f"p50 {times[len(times) // 2]:.2f} us, p99 {times[int(len(times) * 0.99)]:.2f} us"


def onnx(model, test, raw):
    """ONNX Runtime, called from Python: there are no headers in its package."""
    import onnxmltools
    import onnxruntime
    from onnxmltools.convert.common.data_types import FloatTensorType

    booster = lightgbm.Booster(model_file=str(model))
    graph = onnxmltools.convert_lightgbm(booster, initial_types=[("x", FloatTensorType([None, N_FEATURES]))], zipmap=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    rows = test.astype(numpy.float32)
    times = []
    for i in range(5000):
        row = rows[i : i + 1]
        began = time.perf_counter()
        session.run(["probabilities"], {"x": row})
        times.append((time.perf_counter() - began) * 1e6)
    best = min(timed(lambda: session.run(["probabilities"], {"x": rows})) for _ in range(3))
    found = session.run(["probabilities"], {"x": rows})[0][:, 1]
    worst = numpy.abs(found - 1 / (1 + numpy.exp(-raw))).max()
    print(f"onnxruntime {onnxruntime.__version__} (from Python): one row {quantiles(times)}; batch {best / N_ROWS:.2f} us per row; "
          f"probabilities within {worst:.1e}")


def timed(run):
    began = time.perf_counter()
    run()
    return (time.perf_counter() - began) * 1e6


def lleaves_object(model):
    import lleaves

    shared = Path(f"{model}.lleaves.so")
    if not shared.exists():
        path = Path(f"{model}.lleaves.o")
        lleaves.Model(model_file=str(model)).compile(cache=str(path), raw_score=True)
        subprocess.run(["cc", "-shared", "-o", shared, path], check=True)
    return shared


def tl2cgen_object(model):
    import tl2cgen
    import treelite

    shared = Path(f"{model}.tl2cgen.so")
    if not shared.exists():
        forest = treelite.frontend.load_lightgbm_model(model)
        tl2cgen.export_lib(forest, toolchain="gcc", libpath=str(shared), params={"parallel_comp": 16},
                           options=["-O3", "-march=native"], nthread=2)
    return shared


def ydf_speed(train):
    """YDF's own model of 500 trees of 31 leaves, by its own benchmark, which tries its fastest engine on batches."""
    import pandas
    import ydf

    x, y = train
    x = x[:60_000]
    frame = pandas.DataFrame(x, columns=[f"f{i}" for i in range(N_FEATURES)])
    frame["label"] = y[: len(x)].astype(int)
    learner = ydf.GradientBoostedTreesLearner(label="label", num_trees=500, max_depth=-1, growing_strategy="BEST_FIRST_GLOBAL",
                                              max_num_nodes=61, validation_ratio=0.0, early_stopping="NONE", num_threads=2)
    ydf.verbose(0)
    model = learner.train(frame)
    result = model.benchmark(frame.head(N_ROWS), benchmark_duration=3, warmup_duration=1)
    print(f"ydf {ydf.__version__}, its own model of {model.num_trees()} trees: {result}")


def early_exit(folder):
    """How many trees must be seen until the bounds of all others leave only one decision."""
    print("trees of 500 that are seen until the rest can no longer change the decision, 50,000 training rows, 31 leaves")
    print("learning rate   stopped   in boosting order: mean, p90   widest trees first: mean, p90   decided by 256 of these")
    for rate in (0.02, 0.05, 0.1, 0.2):
        model, _, raw, _, test, _ = make(folder, 500, 31, 50_000, rate)
        booster = lightgbm.Booster(model_file=str(model))
        scores = numpy.frombuffer(raw.read_bytes())
        leaves = booster.predict(test, pred_leaf=True, num_threads=2)
        tables = [numpy.array([booster.get_leaf_output(t, leaf) for leaf in range(leaves[:, t].max() + 1)]) for t in range(500)]
        values = numpy.stack([table[leaves[:, t]] for t, table in enumerate(tables)], axis=1)
        low = numpy.array([min(table) for table in tables])
        high = numpy.array([max(table) for table in tables])
        for stopped in (0.05, 0.01, 0.001):
            threshold = numpy.quantile(scores, 1 - stopped)
            found = []
            for order in (numpy.arange(500), numpy.argsort(low - high, kind="stable")):
                sums = numpy.cumsum(values[:, order], axis=1)
                rest_low = numpy.append(numpy.cumsum(low[order][::-1])[::-1][1:], 0.0)
                rest_high = numpy.append(numpy.cumsum(high[order][::-1])[::-1][1:], 0.0)
                decided = (sums + rest_low >= threshold) | (sums + rest_high < threshold)
                found.append(numpy.where(decided.any(axis=1), decided.argmax(axis=1) + 1, 500))
            boosted, widest = found
            print(f"{rate:<15} {stopped:>7.1%} {boosted.mean():>23.0f} {numpy.quantile(boosted, 0.9):>6.0f} "
                  f"{widest.mean():>25.0f} {numpy.quantile(widest, 0.9):>6.0f} {(widest <= 256).mean():>25.1%}", flush=True)


def attempt(name, run):
    try:
        return run()
    except Exception as error:
        print(f"{name}: not measured: {type(error).__name__}: {str(error)[:200]}")
        return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--peers", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--shape", default="500x31")
    parser.add_argument("--train-rows", type=int, default=N_TRAIN)
    parser.add_argument("--rows", type=int, default=N_ROWS)
    parser.add_argument("--only", choices=["ours", "peers", "ydf", "make", "exit"])
    args = parser.parse_args()
    folder = Path(args.folder)
    folder.mkdir(parents=True, exist_ok=True)
    if args.only == "exit":
        early_exit(folder)
        return
    n_trees, n_leaves = map(int, args.shape.split("x"))
    model, rows, raw, parts, test, train = make(folder, n_trees, n_leaves, args.train_rows, n_rows=args.rows)
    if args.only == "make":
        return
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    print(f"## {args.shape} leaves, {N_FEATURES} features, {args.train_rows:,} training rows; {cpu}, one thread", flush=True)
    if args.only in (None, "ours"):
        subprocess.run([args.program, model, rows, raw, parts], check=True)
    if args.only in (None, "peers"):
        libraries = [Path(lightgbm.__file__).parent / "lib" / "lib_lightgbm.so"]
        libraries.append(attempt("lleaves", lambda: lleaves_object(model)) or "-")
        libraries.append(attempt("tl2cgen", lambda: tl2cgen_object(model)) or "-")
        sys.stdout.flush()
        subprocess.run([args.peers, model, rows, raw, *map(str, libraries)], check=True)
        attempt("onnxruntime", lambda: onnx(model, test, numpy.frombuffer(raw.read_bytes())))
    if args.only in (None, "ydf"):
        attempt("ydf", lambda: ydf_speed(train))


main()
