# SPDX-License-Identifier: Apache-2.0
# Searches the memory of processes for secrets: holders.py FOLDER PID... Each file of the folder is one, its name what is printed of it:
# "NAME COMM MAPPING", sorted, each once. Needs root. Tells nothing of itself: the secrets are in its own memory.
import os, sys

CHUNK = 1 << 22
secrets = {n: open(os.path.join(sys.argv[1], n), "rb").read().rstrip(b"\n") for n in os.listdir(sys.argv[1])}
longest = max(map(len, secrets.values()))
assert min(map(len, secrets.values())) >= 16
found = set()


def search(pid, comm):
    with open(f"/proc/{pid}/maps") as f:
        maps = [line.split(None, 5) for line in f]
    with open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for m in maps:
            start, end = (int(x, 16) for x in m[0].split("-"))
            name = m[5].strip() if len(m) > 5 else "anonymous"
            if not m[1].startswith("r") or name in ("[vvar]", "[vsyscall]", "[vvar_vclock]"):
                continue
            tail = b""
            while start < end:
                try:
                    mem.seek(start)
                    some = mem.read(min(CHUNK, end - start))
                except OSError:
                    some = b""
                if not some:  # a page that cannot be read
                    start, tail = (start | 4095) + 1, b""
                    continue
                start += len(some)
                some = tail + some
                found.update((n, comm, name) for n, s in secrets.items() if s in some)
                tail = some[-longest:]


for pid in set(sys.argv[2:]) - {str(os.getpid())}:
    try:
        with open(f"/proc/{pid}/comm") as f:
            comm = f.read().strip()
        search(pid, comm)
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has ended
for line in sorted(found):
    print(*line)
