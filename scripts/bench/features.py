"""The race of scripts/bench/features, which says what it asks and sets up what it needs."""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
WINDOWS = (1, 7, 30)
DELAY = 7
THREADS = 2
SIZES = (62_500, 125_000, 250_000, 1_000_000)
# The size with a million entities, at which one event after the other is measured.
LIVE_ORDERS = 250_000
BEST_OF = 3
COLUMNS = ["TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"]
# In the order of our program's output.
NAMES = [f"{what}_{days}" for what in ("customer_count", "customer_mean", "terminal_count", "terminal_fraud") for days in WINDOWS]


def polars_differences(path):
    """Rolling sums over each entity; a delayed window is the difference of two that end now."""
    import polars as pl

    frame = pl.scan_csv(path, try_parse_dates=True).select(COLUMNS).with_columns(ONE=pl.lit(1, dtype=pl.Int32))

    def rolling(column, how, days, entity):
        by = getattr(pl.col(column), f"rolling_{how}_by")
        return by("TX_DATETIME", window_size=f"{days}d", closed="left").over(entity)

    first = []
    for days in WINDOWS:
        first.append(rolling("ONE", "sum", days, "CUSTOMER_ID").fill_null(0).alias(f"customer_count_{days}"))
        first.append(rolling("TX_AMOUNT", "mean", days, "CUSTOMER_ID").fill_null(0).alias(f"customer_mean_{days}"))
    for days in [DELAY] + [DELAY + days for days in WINDOWS]:
        first.append(rolling("ONE", "sum", days, "TERMINAL_ID").fill_null(0).alias(f"count_{days}"))
        first.append(rolling("TX_FRAUD", "sum", days, "TERMINAL_ID").fill_null(0).alias(f"fraud_{days}"))
    second = []
    for days in WINDOWS:
        second.append((pl.col(f"count_{DELAY + days}") - pl.col(f"count_{DELAY}")).alias(f"terminal_count_{days}"))
        second.append((pl.col(f"fraud_{DELAY + days}") - pl.col(f"fraud_{DELAY}")).alias(f"terminal_fraud_{days}"))
    return frame.with_columns(first).with_columns(second).select(NAMES).collect().to_numpy()


def polars_rolling(path):
    """One `rolling` with an offset per window; the rows come back by entity."""
    import polars as pl

    frame = pl.read_csv(path, columns=COLUMNS, try_parse_dates=True)
    parts = []
    for days in WINDOWS:
        customer = frame.rolling("TX_DATETIME", period=f"{days}d", closed="left", group_by="CUSTOMER_ID")
        parts.append(customer.agg(pl.len(), pl.col("TX_AMOUNT").mean()))
        terminal = frame.rolling("TX_DATETIME", period=f"{days}d", offset=f"-{days + DELAY}d", closed="left", group_by="TERMINAL_ID")
        parts.append(terminal.agg(pl.len(), pl.col("TX_FRAUD").sum()))
    return parts


def duckdb_windows(path):
    import duckdb
    import numpy as np

    connection = duckdb.connect()
    connection.execute(f"set threads = {THREADS}")
    select, window = [], []
    for days in WINDOWS:
        window.append(f"c{days} as (partition by CUSTOMER_ID order by TX_DATETIME range between interval {days} day preceding "
                      "and interval 1 microsecond preceding)")
        window.append(f"t{days} as (partition by TERMINAL_ID order by TX_DATETIME range between interval {days + DELAY} day preceding "
                      f"and interval '{DELAY * 86_400_000_000 + 1} microseconds' preceding)")
        select.append(f"count(*) over c{days} as customer_count_{days}")
        select.append(f"coalesce(avg(TX_AMOUNT) over c{days}, 0) as customer_mean_{days}")
        select.append(f"count(*) over t{days} as terminal_count_{days}")
        select.append(f"coalesce(sum(TX_FRAUD) over t{days}, 0) as terminal_fraud_{days}")
    columns = {"TRANSACTION_ID": "BIGINT", "TX_DATETIME": "TIMESTAMP", "CUSTOMER_ID": "INTEGER", "TERMINAL_ID": "INTEGER",
               "TX_AMOUNT": "DOUBLE", "TX_TIME_SECONDS": "BIGINT", "TX_TIME_DAYS": "INTEGER", "TX_FRAUD": "TINYINT",
               "TX_FRAUD_SCENARIO": "TINYINT"}
    result = connection.execute(
        f"select TRANSACTION_ID, {', '.join(select)} from read_csv('{path}', columns = {columns}) window {', '.join(window)} "
        "order by TRANSACTION_ID").fetchnumpy()
    return np.column_stack([np.asarray(result[name], dtype=np.float64) for name in NAMES])


PEERS = {"polars, differences of rolling sums": polars_differences, "polars, rolling with offset": polars_rolling,
         "DuckDB": duckdb_windows}


def run_peer(name, path, values):
    """In a process of its own: threads are set before the library is loaded, and memory is its own."""
    import resource

    start = time.perf_counter()
    result = PEERS[name](path)
    seconds = time.perf_counter() - start
    if values and not isinstance(result, list):
        import numpy as np

        if name == "DuckDB":
            # It gives rows by id, and those of the file stand by time: bring them back into the order of the file.
            import duckdb

            ids = duckdb.sql(f"select TRANSACTION_ID from read_csv('{path}')").fetchnumpy()["TRANSACTION_ID"]
            by_file = np.empty_like(result)
            by_file[np.argsort(ids, kind="stable")] = result
            result = by_file
        np.ascontiguousarray(result, dtype=np.float64).tofile(values)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak_rss_bytes": peak}))


def run(command, **environment):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          env={**os.environ, "POLARS_MAX_THREADS": str(THREADS), **environment})
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def race(programs, data, rounds, say):
    import numpy as np

    differing = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        path = folder / "transactions.csv"
        with open(path, "wb") as out:
            subprocess.run(["zstd", "-dc", data / "handbook/transactions.csv.zst"], stdout=out, check=True)
        own = [programs / "examples/feature_speed", "handbook", "--data", path, "--threads", THREADS]
        contenders = {"orderguard": own}
        for name in PEERS:
            contenders[name] = [sys.executable, __file__, "--peer", name, "--path", path]
        best = {}
        for turn in range(rounds):
            for name, command in contenders.items():
                words = command + (["--values", folder / f"{list(contenders).index(name)}"] if turn == 0 else [])
                found = run(words)
                if name not in best or found["seconds"] < best[name]["seconds"]:
                    best[name] = found
        say(f"Twelve features of {os.path.getsize(path) / 1e6:.0f} MB of CSV, reading included, {THREADS} threads, best of {rounds} alternating runs:")
        own_seconds = best["orderguard"]["seconds"]
        for name, found in best.items():
            ratio = "" if name == "orderguard" else f"   {found['seconds'] / own_seconds:5.1f} times ours"
            say(f"  {name:38} {found['seconds']:7.3f} s  {found['peak_rss_bytes'] / 1e6:7.0f} MB{ratio}")
        say(f"  of ours: reading {best['orderguard']['read']:.3f} s, features {best['orderguard']['features']:.3f} s")
        ours = np.fromfile(folder / "0", dtype=np.float32).reshape(len(NAMES), -1).T.astype(np.float64)
        # First seen is -1 with us and nothing with others.
        ours = np.where(ours == -1, 0, ours)
        for index, name in enumerate(contenders):
            file = folder / str(index)
            if index == 0 or not file.exists():
                continue
            theirs = np.fromfile(file, dtype=np.float64).reshape(-1, len(NAMES))
            # Ours are whole sums divided once and rounded to 32 bits; theirs drift in the last digits.
            wrong = ~np.isclose(ours, theirs, rtol=2e-6, atol=2e-6)
            differing += int(wrong.sum())
            say(f"  values that differ from {name}: {int(wrong.sum())} of {wrong.size}")
    return differing


def own(programs, say):
    """The default catalogue on simulated streams of orders alone and of all kinds of events."""
    speed = programs / "examples/feature_speed"
    with tempfile.TemporaryDirectory() as folder:
        for what, extra, sizes in (("orders alone", ["--orders-only"], SIZES), ("all kinds of events", [], SIZES)):
            say(f"Default features of a simulated stream, {what}, table in memory, best of {BEST_OF} (of a million orders one run):")
            for orders in sizes:
                path = pathlib.Path(folder) / f"{orders}.csv"
                simulate = [programs / "orderguard", "simulate", "--quiet", "--orders", str(orders), "-o", path]
                subprocess.run(simulate + extra, check=True)
                for first in (30, 60, 1_000) if orders == LIVE_ORDERS else (1_000,):
                    words = [speed, "catalogue", "--data", path, "--threads", THREADS, "--first", first]
                    n_runs = BEST_OF if orders <= LIVE_ORDERS else 1
                    found = min((run(words) for _ in range(n_runs)), key=lambda found: found["seconds"])
                    say(f"  {found['n_orders']:9,} orders {found['n_events']:9,} other events {found['n_entities']:10,} entities "
                        f"{found['n_features']:4} features {found['seconds']:7.2f} s {found['orders_per_second']:9,.0f} orders/s "
                        f"{found['peak_rss_bytes'] / 1e6:7,.0f} MB")
        start = time.perf_counter()
        subprocess.run([programs / "orderguard", "simulate", "--quiet", "--orders", "1000000", "-o", pathlib.Path(folder) / "million.csv"],
                       check=True)
        say(f"A stream of 1,000,000 orders with all their events simulated and written in {time.perf_counter() - start:.1f} s")


def live(programs, say):
    """One event after the other as a service does, with a million entities in memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "orders.csv"
        for what, extra in (("orders alone", ["--orders-only"]), ("all kinds of events", [])):
            subprocess.run([programs / "orderguard", "simulate", "--quiet", "--orders", str(LIVE_ORDERS), "-o", path] + extra, check=True)
            # The first features of the catalogue alone, and all.
            for first in (30, 60, 1_000):
                words = [programs / "examples/feature_speed", "live", "--data", path, "--threads", 1, "--first", first]
                runs = (run(words) for _ in range(BEST_OF))
                found = min(runs, key=lambda found: found["features_and_update"]["p99"])
                say(f"Live, {what}, {found['n_entities']:,} entities in memory, {found['n_features']} features, microseconds, "
                    f"the run with the best p99 of {BEST_OF}:")
                for step in ("read_order", "extract", "learn", "features_and_update"):
                    say(f"  {step:20} {found[step]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", type=pathlib.Path)
    parser.add_argument("--race", action="store_true")
    parser.add_argument("--own", action="store_true")
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--peer")
    parser.add_argument("--path", type=pathlib.Path)
    parser.add_argument("--values", type=pathlib.Path)
    args = parser.parse_args()
    if args.peer:
        run_peer(args.peer, args.path, args.values)
        return
    lines = []

    def say(line):
        lines.append(line)
        print(line, flush=True)

    say(f"scripts/bench/features on {platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    differing = 0
    all_of_them = not (args.race or args.own or args.live)
    if args.race or all_of_them:
        data = os.environ.get("ORDERGUARD_DATA")
        if not data:
            sys.exit("the race needs the handbook data: set ORDERGUARD_DATA (see datasets/README.md), or say --own or --live")
        differing = race(args.programs, pathlib.Path(data), args.rounds, say)
    if args.own or all_of_them:
        own(args.programs, say)
    if args.live or all_of_them:
        live(args.programs, say)
    if args.write:
        name = "features-race" if args.race else "features-own" if args.own else "features-live" if args.live else "features"
        (HERE / f"results/{name}.txt").write_text("\n".join(lines) + "\n")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
