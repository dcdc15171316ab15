"""Times ref.py, decoder included: the yardstick of RESULTS.md."""
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "reference"))
import ref  # noqa: E402

hmar = ref.Hmar(ROOT / "deploy" / "models" / "hmar-cifar10")
for batch, runs in ((1, 8), (16, 3)):
    times = []
    for run in range(runs + 1):
        start = time.perf_counter()
        hmar.image(hmar.generate([hmar.request(i % 10, 100 * run + i) for i in range(batch)]))
        times.append(time.perf_counter() - start)
    times = sorted(times[1:])  # Less the warm-up.
    print(f"batch {batch}  ms/image {1e3 * times[len(times) // 2] / batch:.1f} (median of {runs})")
