"""What an attack does to the memory of the server's process."""
import contextlib
import time

MAX_PEAK_MB = 300    # What no request may add, however it is made.
MAX_LEFT = 1.2       # Resident memory after an attack, to that before it.
SETTLE_SECONDS = 30  # A limit for memory to come back; it does within a second or two.


def forget_peak(server):
    """VmHWM starts again from what is resident now."""
    with open(f"/proc/{server.process.pid}/clear_refs", "w") as file:
        file.write("5")


@contextlib.contextmanager
def bounded_memory(server, peak_mb=MAX_PEAK_MB, left=MAX_LEFT):
    """Around an attack: at most peak_mb more at any time, and within `left` of the start once it is over."""
    before = server.memory_mb("VmRSS")
    forget_peak(server)
    yield
    peak = server.memory_mb("VmHWM") - before
    deadline = time.monotonic() + SETTLE_SECONDS
    while (after := server.memory_mb("VmRSS")) > left * before and time.monotonic() < deadline:
        time.sleep(0.05)  # Memory comes back without telling anybody.
    print(f"memory: {before:.0f} MB before, {peak:+.0f} MB at the peak, {after:.0f} MB after")
    assert peak <= peak_mb, f"{before:.0f} MB grew by {peak:.0f} MB"
    assert after <= left * before, f"{before:.0f} MB before the attack, {after:.0f} MB after it"
