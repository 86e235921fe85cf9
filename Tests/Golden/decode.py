#!/usr/bin/env python3
"""Decodes batches of Rialto's log, format 1, with Python's standard library only.

Written from the format's reference (the comments on CommandContext and BatchBuilder), not from the Swift code, so that
the two keep each other honest.

    decode.py HEX           prints a batch readable; '-' reads the hexadecimal digits from standard input
    decode.py --check DIR   compares every golden vector (*.txt) in DIR with what this decoder makes of its bytes;
                            prints each difference, and exits 1 if there is any
"""
import hashlib
import os
import struct
import sys

BATCH_BYTES_MAX = 256 * 1024
BATCH_ENTRIES_MAX = 4096
ORIGINS_MAX = 65536
U64 = (1 << 64) - 1
TYPES = ["limit", "market", "stop", "stop-limit"]
TIMES = ["GTC", "IOC", "FOK", "GTD"]
PREVENTIONS = ["none", "cancel-newest", "cancel-oldest", "cancel-both", "decrement"]


class Refused(Exception):
    """`why` is truncated, invalid, trailing or unknown."""

    def __init__(self, why, field):
        super().__init__(f"{why}: {field}")
        self.why = why


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def left(self):
        return len(self.data) - self.at

    def raw(self, count, field):
        if count > self.left():
            raise Refused("truncated", field)
        self.at += count
        return self.data[self.at - count:self.at]

    def u8(self, field):
        return self.raw(1, field)[0]

    def varint(self, field, low=0, high=U64):
        value = 0
        for place in range(10):
            byte = self.u8(field)
            value |= (byte & 127) << 7 * place
            if byte < 128:
                if (place and byte == 0) or not low <= value <= high:
                    raise Refused("invalid", field)
                return value
            if place == 9:
                break
        raise Refused("invalid", field)

    def signed(self, field):
        value = self.varint(field)
        return value // 2 if value % 2 == 0 else -(value + 1) // 2

    def text(self, field, low, high):
        return self.raw(self.varint(field, low, high), field)

    def dot(self, field):
        origin = self.varint(field, high=(1 << 32) - 1)
        return origin, self.varint(field)


def as_signed(value):
    """The number of 64 bits in two's complement."""
    value &= U64
    return value - (1 << 64) if value >> 63 else value


def dot_text(dot):
    return f"{dot[0]}-{dot[1]}"


def stamp_text(stamp):
    return f"{stamp >> 16}.{stamp & 65535}"


def id_text(ident):
    if isinstance(ident, int):
        return str(ident)
    return "'" + "".join(chr(b) if 32 <= b <= 126 and b not in b"'\\" else f"\\x{b:02x}" for b in ident) + "'"


class State:
    """What the last payloads of a batch looked like."""

    def __init__(self):
        self.instrument = (0, 0)
        self.account = self.price = self.shape = self.id = self.time = self.target = 0
        self.maker = self.taker = self.fill_price = 0

    def moves(self, name, reader, field):
        """Reads `field`, which moves `name`; modulo 2^64."""
        value = (getattr(self, name) + reader.signed(field)) & U64
        setattr(self, name, value)
        return value


def another(value, before, field):
    if value == before:
        raise Refused("invalid", field)
    return value


def read_account(reader, state, same):
    if not same:
        state.account = another(reader.varint("account"), state.account, "account")
    return state.account


def read_id(reader, state, kind):
    if kind == 1:
        return state.moves("id", reader, "client order id")
    text = reader.text("client order id", 1, 36)
    if text.isdigit() and int(text) <= U64 and str(int(text)).encode() == text:
        raise Refused("invalid", "client order id")
    return text


def read_instrument(reader, state, flags):
    symbol = reader.text("symbol", 1, 16)
    if any(byte not in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/" for byte in symbol):
        raise Refused("invalid", "symbol")
    out = f"instrument symbol={symbol.decode()}"
    for name in ("tick", "lot"):
        mantissa = reader.varint(name, 1, 10 ** 18)
        scale = reader.u8(name)
        if scale > 18:
            raise Refused("invalid", name)
        out += f" {name}={mantissa}e-{scale}"
    return out


def read_order(reader, state, flags):
    if not flags & 8:
        shape = int.from_bytes(reader.raw(2, "shape"), "little")
        state.shape = another(shape, state.shape, "shape")
    shape = state.shape
    kind, time, prevention = shape & 3, shape >> 2 & 3, shape >> 4 & 7
    id_kind = shape >> 8 & 3
    if prevention > 4 or id_kind > 2 or shape >> 12:
        raise Refused("invalid", "shape")
    if not flags & 2:
        state.instrument = another(reader.dot("instrument"), state.instrument, "instrument")
    account = read_account(reader, state, flags & 4)
    price = as_signed(state.moves("price", reader, "price"))
    out = f"order instrument={dot_text(state.instrument)} account={account} {'sell' if flags & 1 else 'buy'}"
    out += f" {TYPES[kind]} {TIMES[time]} price={price} quantity={reader.signed('quantity')}"
    if kind >= 2:
        out += f" stop={as_signed(price + reader.signed('stop price'))}"
    if shape >> 10 & 1:
        out += f" display={another(reader.signed('display quantity'), 0, 'display quantity')}"
    if time == 3:
        out += f" expiry={stamp_text(reader.varint('expiry'))}"
    if prevention:
        out += f" prevention={PREVENTIONS[prevention]}"
    if shape >> 7 & 1:
        out += " post-only"
    if id_kind:
        out += f" id={id_text(read_id(reader, state, id_kind))}"
        out += f" time={state.moves('time', reader, 'client time')}"
    if shape >> 11 & 1:
        first = reader.varint("first dot", high=(1 << 20) - 1), state.moves("target", reader, "first dot")
        if not 1 <= first[1] < 1 << 44:
            raise Refused("invalid", "first dot")
        out += f" first={dot_text(first)}"
    return out


def read_target(reader, state, flags):
    out = f"account={read_account(reader, state, flags & 4)} "
    if flags & 1:
        kind = reader.u8("id kind")
        if kind not in (1, 2):
            raise Refused("invalid", "id kind")
        out += f"id={id_text(read_id(reader, state, kind))}"
    else:
        origin = reader.varint("target", high=(1 << 32) - 1)
        out += f"dot={dot_text((origin, state.moves('target', reader, 'target')))}"
    if flags & 2:
        out += f" after={stamp_text(reader.varint('target stamp', 1))}"
    return out


def read_cancel(reader, state, flags):
    return "cancel " + read_target(reader, state, flags)


def read_amend(reader, state, flags):
    out = "amend " + read_target(reader, state, flags)
    changes = reader.u8("changes")
    if changes > 15 or changes & 6 == 4:
        raise Refused("invalid", "changes")
    if changes & 1:
        out += f" price={as_signed(state.moves('price', reader, 'price'))}"
    if changes & 2:
        out += f" {'open' if changes & 4 else 'total'}={reader.signed('quantity')}"
    if changes & 8:
        out += " forfeits-priority"
    return out


def read_cancel_all(reader, state, flags):
    account = read_account(reader, state, flags & 4)
    if flags & 2:
        return f"cancel-all account={account} instrument=all"
    instrument = reader.dot("instrument")
    another(instrument[1], 0, "instrument")
    return f"cancel-all account={account} instrument={dot_text(instrument)}"


def read_fill(reader, state, flags):
    maker = reader.varint("maker", high=(1 << 32) - 1), state.moves("maker", reader, "maker")
    taker = reader.varint("taker", high=(1 << 32) - 1), state.moves("taker", reader, "taker")
    price = as_signed(state.moves("fill_price", reader, "fill price"))
    return f"fill maker={dot_text(maker)} taker={dot_text(taker)} price={price} quantity={reader.signed('quantity')}"


def read_checkpoint(reader, state, flags):
    out = f"checkpoint number={reader.varint('number')} fills={reader.varint('fills')}"
    return out + f" book={reader.raw(32, 'book hash').hex()} checkpoint={reader.raw(32, 'checkpoint hash').hex()}"


# Kind: reader, and the flags that it has.
PAYLOADS = {
    1: (read_instrument, 0), 2: (read_order, 15), 3: (read_cancel, 7), 4: (read_amend, 7), 5: (read_cancel_all, 6),
    6: (read_fill, 0), 7: (read_checkpoint, 0),
}


def read_payload(reader, state):
    head = reader.u8("kind")
    if head >> 4 not in PAYLOADS:
        raise Refused("unknown", f"kind {head >> 4}")
    read, flags = PAYLOADS[head >> 4]
    if head & 15 & ~flags:
        raise Refused("invalid", "flags")
    return read(reader, state, head & 15)


def decode(data):
    """The readable lines of a batch, header first."""
    reader = Reader(data)
    if len(data) > BATCH_BYTES_MAX:
        raise Refused("invalid", "batch bytes")
    version = reader.u8("version")
    if version != 1:
        raise Refused("unknown", f"version {version}")
    origin = reader.varint("origin", high=ORIGINS_MAX - 1)
    first = reader.varint("first", 1, (1 << 63) - 1)
    count = reader.varint("count", 1, BATCH_ENTRIES_MAX)
    stamp = reader.varint("stamp")
    if count > reader.left():
        raise Refused("truncated", "entries")
    second = (stamp >> 16) // 1000
    lines = [f"origin {origin}", f"first {first}", f"count {count}"]
    state = State()
    for index in range(count):
        if index:
            stamp += reader.varint("stamp delta", 1)
            if stamp > U64:
                raise Refused("invalid", "stamp delta")
        lines.append(f"entry {stamp_text(stamp)} {read_payload(reader, state)}")
    if reader.left():
        raise Refused("trailing", f"{reader.left()} bytes")
    if (stamp >> 16) // 1000 != second:
        raise Refused("invalid", "two seconds")
    return lines


def blocks(path):
    """The blocks of a golden file: lines without their continuations, and the long fields by name."""
    for block in open(path, encoding="utf-8").read().split("\n\n"):
        lines, long = [], {}
        for line in block.strip("\n").split("\n"):
            if line.startswith("  "):
                long[lines[-1]] = long.get(lines[-1], "") + line.strip()
            elif line and not line.startswith("#"):
                lines.append(line)
                if line in ("bytes", "message", "signature", "stream"):
                    long[line] = ""
        if lines:
            yield lines, {name: bytes.fromhex(digits) for name, digits in long.items()}


def field(lines, name):
    values = [line[len(name) + 1:] for line in lines if line.startswith(name + " ")]
    return values[0] if len(values) == 1 else None


class Checker:
    def __init__(self, path):
        self.path = path
        self.differences = 0
        self.vectors = 0
        self.log = None
        self.previous = self.next = None

    def same(self, what, expected, found):
        if expected != found:
            self.differences += 1
            print(f"{self.path}: {what}\n  file:    {expected}\n  decoder: {found}")

    def check(self):
        for lines, long in blocks(self.path):
            kind, _, name = lines[0].partition(" ")
            self.vectors += 1
            if kind == "log":
                self.check_log(lines)
            elif kind == "batch":
                self.check_batch(name, lines, long["bytes"])
            elif kind == "head":
                self.check_head(lines, long)
            elif kind == "refused":
                self.check_refused(name, lines, long["bytes"])
            elif kind == "checkpoint":
                self.check_checkpoint(int(name), lines, long["stream"])
            else:
                self.same("block", "log, batch, head, refused or checkpoint", lines[0])
        return self.differences

    def check_log(self, lines):
        self.log = lines
        node = hashlib.sha256(b"rialto.node" + bytes.fromhex(field(lines, "key"))).hexdigest()
        self.same("node id", field(lines, "node"), node)
        start = hashlib.sha256(b"rialto.chain.1" + self.identity()).hexdigest()
        self.same("start of the chain", field(lines, "start"), start)
        self.previous = start

    def identity(self):
        incarnation = int(field(self.log, "incarnation")).to_bytes(4, "little")
        return bytes.fromhex(field(self.log, "cluster")) + bytes.fromhex(field(self.log, "node")) + incarnation

    def check_batch(self, name, lines, data):
        try:
            decoded = decode(data)
        except Refused as error:
            decoded = [str(error)]
        stored = lines[1:lines.index("bytes")]
        for index in range(max(len(stored), len(decoded))):
            expected = stored[index] if index < len(stored) else "(no such line)"
            found = decoded[index] if index < len(decoded) else "(no such line)"
            self.same(f"batch {name}, line {index + 1}", expected, found)
        first = int(field(lines, "first"))
        if self.next is not None:
            self.same(f"batch {name}, first sequence", first, self.next)
        self.next = first + int(field(lines, "count"))
        self.same(f"batch {name}, previous hash", field(lines, "previous"), self.previous)
        self.previous = hashlib.sha256(b"rialto.batch.1" + bytes.fromhex(self.previous) + data).hexdigest()
        self.same(f"batch {name}, hash", field(lines, "hash"), self.previous)

    def check_head(self, lines, long):
        view, sequence = int(field(lines, "view")), int(field(lines, "sequence"))
        self.same("head, sequence", sequence, self.next - 1)
        self.same("head, hash", field(lines, "hash"), self.previous)
        message = b"rialto.head.1" + self.identity() + view.to_bytes(8, "little") + sequence.to_bytes(8, "little")
        self.same("head, message", long["message"].hex(), (message + bytes.fromhex(self.previous)).hex())
        self.same("head, bytes of the signature", 64, len(long["signature"]))

    def check_checkpoint(self, number, lines, data):
        """A second of final entries; their payloads stand as in a batch, whose state starts with the second."""
        reader, state, items = Reader(data), State(), []
        while reader.left():
            stamp, = struct.unpack("<Q", reader.raw(8, "stamp"))
            origin, sequence = struct.unpack("<IQ", reader.raw(12, "dot"))
            items.append(f"item {origin}-{sequence} entry {stamp_text(stamp)} {read_payload(reader, state)}")
            self.same(f"checkpoint {number}, second", number - 1, (stamp >> 16) // 1000)
        stored = [line for line in lines if line.startswith("item ")]
        self.same(f"checkpoint {number}, entries", stored, items)
        log = hashlib.sha256(b"rialto.checkpoint.log.1" + data + struct.pack("<Q", len(items))).hexdigest()
        self.same(f"checkpoint {number}, log hash", field(lines, "log"), log)
        made = [dict(part.split("=") for part in line.split()[2:]) for line in lines if line.startswith("made fill ")]
        fills = b""
        for fill in made:
            for name in ("maker", "taker"):
                origin, sequence = fill[name].split("-")
                fills += struct.pack("<QI", int(sequence), int(origin))
            fills += struct.pack("<qq", int(fill["price"]), int(fill["quantity"]))
        fills = hashlib.sha256(b"rialto.checkpoint.fills.1" + fills + struct.pack("<Q", len(made))).hexdigest()
        self.same(f"checkpoint {number}, fills hash", field(lines, "fills"), fills)
        if self.previous:
            self.same(f"checkpoint {number}, previous", field(lines, "previous"), self.previous)
        parts = [field(lines, "previous"), struct.pack("<Q", number).hex(), field(lines, "book"), log, fills]
        self.previous = hashlib.sha256(b"rialto.checkpoint.1" + bytes.fromhex("".join(parts))).hexdigest()
        self.same(f"checkpoint {number}, hash", field(lines, "hash"), self.previous)

    def check_refused(self, name, lines, data):
        try:
            found = "accepted: " + "; ".join(decode(data))
        except Refused as error:
            found = error.why
        self.same(f"refused {name}", field(lines, "why"), found)


def check(directory):
    names = sorted(name for name in os.listdir(directory) if name.endswith(".txt"))
    checkers = [Checker(os.path.join(directory, name)) for name in names]
    differences = sum(checker.check() for checker in checkers)
    vectors = sum(checker.vectors for checker in checkers)
    print(f"{vectors} vectors in {len(names)} files, {differences} differences")
    return 1 if differences or not vectors else 0


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "--check":
        return check(arguments[1])
    if len(arguments) != 1 or arguments[0].startswith("--"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        data = bytes.fromhex(sys.stdin.read() if arguments[0] == "-" else arguments[0])
        print("\n".join(decode(data)))
        return 0
    except (Refused, ValueError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
