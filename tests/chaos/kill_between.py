# SPDX-License-Identifier: Apache-2.0
# Kills egretd behind the system call that starts a program, before it can say a word to that: kill_between.py EGRETD PROGRAM PID... (killed
# with it). Prints the pid of what was started. By ptrace(2); needs root.
import ctypes, os, signal, struct, sys, time

egretd, program, others = int(sys.argv[1]), sys.argv[2], [int(p) for p in sys.argv[3:]]
SEIZE, SYSCALL, INTERRUPT, SYSGOOD, INFO, CLONE3 = 0x4206, 24, 0x4207, 1, 0x420E, 435
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(what, addr=None, data=None):
    if libc.ptrace(what, egretd, addr, data) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {what:#x}")


def started():
    """Its pid, when this stop is the end of the call that made one."""
    info = ctypes.create_string_buffer(88)
    ptrace(INFO, 88, ctypes.cast(info, ctypes.c_void_p))
    if info.raw[0] == 1:  # an entry
        started.nr = struct.unpack_from("<Q", info.raw, 24)[0]
    child = struct.unpack_from("<q", info.raw, 24)[0]
    if info.raw[0] != 2 or started.nr != CLONE3 or child <= 0:
        return 0
    for _ in range(500):  # until it is that program, or another
        with open(f"/proc/{child}/comm") as f:
            comm = f.read().strip()
        if comm != "egretd":
            return child if comm == program else 0
        time.sleep(0.002)
    return 0


started.nr = 0
ptrace(SEIZE, None, SYSGOOD)
ptrace(INTERRUPT)
print("traced", flush=True)
while True:
    _, status = os.waitpid(egretd, 0x40000000)
    if not os.WIFSTOPPED(status):
        sys.exit("egretd has ended")
    sig = os.WSTOPSIG(status)
    if sig == signal.SIGTRAP | 0x80:
        pid = started()
        if pid:
            for p in [egretd] + others:
                os.kill(p, signal.SIGKILL)
            print(pid)
            sys.exit(0)
        sig = 0
    elif sig == signal.SIGTRAP:
        sig = 0
    ptrace(SYSCALL, None, sig)
