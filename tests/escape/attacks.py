"""Attack handlers: programs that try one thing each and answer what they achieved."""

TRY = '''
import errno, os
def tried(work):
    """"" when it worked, else the error's name."""
    try:
        work()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return ""
'''

SYSCALL = (
    TRY
    + """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(number, *arguments):
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    if libc.syscall(ctypes.c_long(number), *wide) < 0:
        return errno.errorcode[ctypes.get_errno()]
    return ""
"""
)

READ_FILES = (
    TRY
    + """
def handler(event, context):
    return {path: tried(lambda: os.listdir(path) if path.endswith("/") else open(path, "rb").read(1)) for path in event}
"""
)

WRITE_FILES = (
    TRY
    + """
def handler(event, context):
    found = {}
    for path in event:
        found[path] = tried(lambda: open(path + "/attack", "w").close())
    return found
"""
)

PROCESSES = """
import os, signal
def handler(event, context):
    seen = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    killed = []
    for pid in list(range(2, 400)) + event:
        if pid != os.getpid():
            try:
                os.kill(pid, signal.SIGTERM)
                killed.append(pid)
            except OSError:
                pass
    return {"seen": seen, "own": os.getpid(), "killed": killed}
"""

CONNECT = (
    TRY
    + """
import socket
def handler(event, context):
    def reach(kind, address):
        with socket.socket(kind) as s:
            s.settimeout(1)
            s.connect(tuple(address) if isinstance(address, list) else address)
    found = {}
    for address in event:
        kind = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        found[str(address)] = tried(lambda: reach(kind, address))
    return found
"""
)

CALLS = (
    SYSCALL
    + """
def handler(event, context):
    return {name: call(*arguments) for name, arguments in event.items()}
"""
)

PRIVILEGES = (
    SYSCALL
    + """
import socket
def handler(event, context):
    status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines() if ":" in line)
    return {
        "setuid": tried(lambda: os.setuid(0)),
        "setgid": tried(lambda: os.setgid(0)),
        "mknod": tried(lambda: os.mknod("/tmp/sda", 0o60666, os.makedev(8, 0))),
        "chroot": tried(lambda: os.chroot("/tmp")),
        "hostname": tried(lambda: socket.sethostname("attack")),
        "core_pattern": tried(lambda: open("/proc/sys/kernel/core_pattern", "w").write("|/tmp/x")),
        "sysrq": tried(lambda: open("/proc/sysrq-trigger", "w").write("x")),
        "packet": tried(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
        "raw": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
        "alg": tried(lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)),
        "vsock": tried(lambda: socket.socket(40, socket.SOCK_STREAM)),
        "effective": int(status["CapEff"], 16),
        "bounding": int(status["CapBnd"], 16),
        "no_new_privileges": status["NoNewPrivs"].strip(),
        "user": os.getuid(),
    }
"""
)

SETUID_PROGRAM = """
import subprocess
def handler(event, context):
    ran = subprocess.run(["/bin/su", "-c", "id -u"], input=b"", capture_output=True)
    return [ran.returncode, ran.stdout.decode()]
"""

FORK_BOMB = """
import os, time
def handler(event, context):
    made = 0
    while made < 5000:
        try:
            pid = os.fork()
        except OSError:
            return made
        if pid == 0:
            time.sleep(600)
            os._exit(0)
        made += 1
    return made
"""

MEMORY_BOMB = """
def handler(event, context):
    kept = []
    for _ in range(event):
        kept.append(b"x" * (1 << 20))
    return len(kept)
"""

MEMORY_BOMB_OF_CHILDREN = """
import os, time
def handler(event, context):
    for _ in range(8):
        if os.fork() == 0:
            kept = [b"x" * (1 << 20) for _ in range(event)]
            time.sleep(600)
    time.sleep(600)
"""

FILL_TMP = (
    TRY
    + """
def handler(event, context):
    def fill():
        with open("/tmp/big", "wb") as stream:
            for _ in range(event):
                stream.write(b"x" * (1 << 20))
    failed = tried(fill)
    size = os.path.getsize("/tmp/big")
    os.unlink("/tmp/big")
    return [failed, size >> 20]
"""
)

MANY_FILES = (
    TRY
    + """
def handler(event, context):
    made = 0
    def fill():
        nonlocal made
        for made in range(2_000_000):
            os.close(os.open("/tmp/f%d" % made, os.O_CREAT | os.O_WRONLY))
    return [tried(fill), made]
"""
)

DESCRIPTORS = """
import os
def handler(event, context):
    made = 0
    try:
        while True:
            os.dup(0)
            made += 1
    except OSError:
        return made
"""

OPEN_DESCRIPTORS = """
import os
def handler(event, context):
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink("/proc/self/fd/" + name).split(":")[0]
        except OSError:
            pass
    return found
"""

SCRIBBLE = """
import os
def handler(event, context):
    for fd in range(3, 64):
        try:
            os.write(fd, b"\\x00\\x00\\x00\\x05O1234")
        except OSError:
            pass
    return "mine"
"""

ZOMBIES = """
import os
def handler(event, context):
    for _ in range(event):
        pid = os.fork()
        if pid == 0:
            if os.fork() == 0:
                os._exit(0)
            os._exit(0)
        os.waitpid(pid, 0)
    return "done"
"""

STUBBORN = """
import os, signal, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
def handler(event, context):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                time.sleep(0.01)
        os._exit(0)
    while True:
        time.sleep(0.01)
"""

LEFTOVERS = """
import os
def handler(event, context):
    # Each half is in our own memory, the whole is nowhere in it.
    first, second = (half.encode() for half in event)
    found = ""
    for line in open("/proc/self/maps"):
        parts = line.split()
        if not parts[1].startswith("rw"):
            continue
        start, end = (int(at, 16) for at in parts[0].split("-"))
        try:
            with open("/proc/self/mem", "rb", 0) as stream:
                stream.seek(start)
                memory = stream.read(end - start)
        except OSError:
            continue
        at = memory.find(first)
        while at >= 0:
            if memory[at + len(first) : at + len(first) + len(second)] == second:
                found = line
            at = memory.find(first, at + 1)
    return {"tmp": os.listdir(os.environ.get("TMPDIR", "/tmp")), "environment": dict(os.environ), "memory": found}
"""

GREEDY = """
import time
def handler(event, context):
    kept = [b"x" * (1 << 20) for _ in range(event)]
    time.sleep(5)
    return len(kept)
"""

LITTER = """
import os
def handler(event, context):
    try:
        open("/tmp/left", "w").close()
    except OSError:
        return "not in /tmp"
    if "TMPDIR" in os.environ:
        os.unlink("/tmp/left")
    return 1
"""
