import EventLog
import OrderBook
import Primitives
import Testing

/// Bytes that no decoder may accept.
struct RefusedVector: Sendable, CustomTestStringConvertible {
  let name: String
  let error: CodecError
  let bytes: [UInt8]
  /// The canonical form of the same, or the nearest valid neighbour; empty if there is none worth naming.
  let accepted: [UInt8]
  var testDescription: String { name }

  init(_ name: String, _ error: CodecError, _ bytes: [UInt8], accepted: [UInt8] = []) {
    self.name = name
    self.error = error
    self.bytes = bytes
    self.accepted = accepted
  }

  /// One entry behind a plain header.
  init(_ name: String, _ error: CodecError, entry: [UInt8], accepted: [UInt8] = []) {
    let header: [UInt8] = [1, 0, 1, 1, 9]
    self.init(name, error, header + entry, accepted: accepted.isEmpty ? [] : header + accepted)
  }
}

enum RefusedVectors {
  static let all = headers + stamps + orders + identifiers + targets + others

  private static func varint(_ value: UInt64) -> [UInt8] {
    var writer = ByteWriter()
    writer.writeVarint(value)
    return writer.bytes
  }

  /// Cancels everything of the account before: the shortest payload there is.
  private static let all1: [UInt8] = [0x56]
  private static let past32Bits: [UInt8] = [0x80, 0x80, 0x80, 0x80, 0x10]
  private static let last32Bits: [UInt8] = [0xff, 0xff, 0xff, 0xff, 0x0f]
  private static let past64Bits = [UInt8](repeating: 0xff, count: 9) + [2]

  static let headers: [RefusedVector] = [
    RefusedVector("nothing", .truncated(field: "batch version"), []),
    RefusedVector("version-0", .unknown(field: "batch version", value: 0), [0, 0, 1, 1, 9] + all1),
    RefusedVector("version-2", .unknown(field: "batch version", value: 2), [2, 0, 1, 1, 9] + all1),
    RefusedVector(
      "origin-longer-than-need-be", .invalid(field: "batch origin"), [1, 0x80, 0, 1, 1, 9] + all1,
      accepted: [1, 0, 1, 1, 9] + all1),
    RefusedVector(
      "origin-past-the-register", .invalid(field: "batch origin"), [1] + varint(65_536) + [1, 1, 9] + all1,
      accepted: [1] + varint(65_535) + [1, 1, 9] + all1),
    RefusedVector("sequence-0", .invalid(field: "batch sequence"), [1, 0, 0, 1, 9] + all1),
    RefusedVector(
      "sequence-2-to-the-63", .invalid(field: "batch sequence"), [1, 0] + varint(1 << 63) + [1, 9] + all1,
      accepted: [1, 0] + varint(.max >> 1) + [1, 9] + all1),
    RefusedVector("count-0", .invalid(field: "batch count"), [1, 0, 1, 0, 9]),
    RefusedVector("count-4097", .invalid(field: "batch count"), [1, 0, 1] + varint(4_097) + [9] + all1),
    RefusedVector("count-past-64-bits", .invalid(field: "batch count"), [1, 0, 1] + past64Bits + [9] + all1),
    RefusedVector(
      "count-4096-in-one-byte", .truncated(field: "batch entries"), [1, 0, 1] + varint(4_096) + [9] + all1),
    RefusedVector("count-of-more-than-there-is", .truncated(field: "payload kind"), [1, 0, 1, 2, 9] + all1 + [1]),
    RefusedVector(
      "count-of-less-than-there-is", .trailing(count: 2), [1, 0, 1, 1, 9] + all1 + [1] + all1,
      accepted: [1, 0, 1, 2, 9] + all1 + [1] + all1),
  ]

  static let stamps: [RefusedVector] = [
    RefusedVector(
      "stamp-past-64-bits", .invalid(field: "batch stamp"), [1, 0, 1, 1] + past64Bits + all1,
      accepted: [1, 0, 1, 1] + varint(.max) + all1),
    RefusedVector(
      "same-stamp-twice", .invalid(field: "stamp delta"), [1, 0, 1, 2, 9] + all1 + [0] + all1,
      accepted: [1, 0, 1, 2, 9] + all1 + [1] + all1),
    RefusedVector(
      "stamp-that-overflows", .invalid(field: "stamp delta"),
      [1, 0, 1, 2] + varint(.max - 1) + all1 + [2] + all1,
      accepted: [1, 0, 1, 2] + varint(.max - 1) + all1 + [1] + all1),
    RefusedVector(
      "two-seconds", .invalid(field: "batch stamps (two seconds)"),
      [1, 0, 1, 2] + varint(1_000 << 16 - 2) + all1 + [2] + all1,
      accepted: [1, 0, 1, 2] + varint(1_000 << 16 - 2) + all1 + [1] + all1),
    RefusedVector(
      "two-seconds-at-the-last-of-three", .invalid(field: "batch stamps (two seconds)"),
      [1, 0, 1, 3] + varint(1_000 << 16 - 2) + all1 + [1] + all1 + [1] + all1),
  ]

  static let orders: [RefusedVector] = [
    RefusedVector(
      "order-repeats-shape", .invalid(field: "order shape"), entry: [0x26, 0, 0, 2, 2], accepted: [0x2e, 2, 2]),
    RefusedVector(
      "order-repeats-instrument", .invalid(field: "instrument"), entry: [0x2c, 0, 0, 2, 2], accepted: [0x2e, 2, 2]),
    RefusedVector(
      "order-repeats-account", .invalid(field: "account"), entry: [0x2a, 0, 2, 2], accepted: [0x2e, 2, 2]),
    RefusedVector(
      "order-of-origin-past-32-bits", .invalid(field: "instrument"), entry: [0x2c] + past32Bits + [1, 2, 2],
      accepted: [0x2c] + last32Bits + [1, 2, 2]),
    RefusedVector(
      "order-prevention-5", .invalid(field: "order shape"), entry: [0x26, 0x50, 0, 2, 2],
      accepted: [0x26, 0x40, 0, 2, 2]),
    RefusedVector("order-id-kind-3", .invalid(field: "order shape"), entry: [0x26, 0, 3, 2, 2, 2, 2]),
    RefusedVector("order-shape-bit-12", .invalid(field: "order shape"), entry: [0x26, 0, 0x10, 2, 2]),
    RefusedVector("order-shape-bit-15", .invalid(field: "order shape"), entry: [0x26, 0, 0x80, 2, 2]),
    RefusedVector(
      "order-displays-0", .invalid(field: "display quantity"), entry: [0x26, 0, 4, 2, 2, 0],
      accepted: [0x26, 0, 4, 2, 2, 2]),
    RefusedVector(
      "order-price-longer-than-need-be", .invalid(field: "price"), entry: [0x2e, 0x82, 0, 2], accepted: [0x2e, 2, 2]),
    RefusedVector("order-quantity-past-64-bits", .invalid(field: "quantity"), entry: [0x2e, 2] + past64Bits),
    RefusedVector("order-without-quantity", .truncated(field: "quantity"), entry: [0x2e, 2]),
    RefusedVector("order-good-till-date-without-one", .truncated(field: "expiry"), entry: [0x26, 0x0c, 0, 2, 2]),
    RefusedVector("order-stop-without-price", .truncated(field: "stop price"), entry: [0x26, 2, 0, 2, 2]),
    RefusedVector("order-without-its-first-dot", .truncated(field: "first dot"), entry: [0x26, 0, 8, 2, 2, 3]),
    RefusedVector(
      "order-whose-first-dot-is-none", .invalid(field: "first dot"), entry: [0x26, 0, 8, 2, 2, 0, 0],
      accepted: [0x26, 0, 8, 2, 2, 0, 2]),
    RefusedVector(
      "order-whose-first-dot-has-an-origin-past-20-bits", .invalid(field: "first dot"),
      entry: [0x26, 0, 8, 2, 2] + varint(1 << 20) + [2], accepted: [0x26, 0, 8, 2, 2] + varint(1 << 20 - 1) + [2]),
    RefusedVector(
      "order-whose-first-dot-has-a-sequence-past-44-bits", .invalid(field: "first dot"),
      entry: [0x26, 0, 8, 2, 2, 0] + varint(1 << 45), accepted: [0x26, 0, 8, 2, 2, 0] + varint(1 << 45 - 2)),
  ]

  static let identifiers: [RefusedVector] = [
    RefusedVector(
      "text-id-that-is-a-number", .invalid(field: "client order id"), entry: [0x26, 0, 2, 2, 2, 1, 0x37, 0],
      accepted: [0x26, 0, 1, 2, 2, 14, 0]),
    RefusedVector(
      "text-id-of-the-largest-number", .invalid(field: "client order id"),
      entry: [0x26, 0, 2, 2, 2, 20] + Array("18446744073709551615".utf8) + [0],
      accepted: [0x26, 0, 2, 2, 2, 20] + Array("18446744073709551616".utf8) + [0]),
    RefusedVector(
      "text-id-of-nothing", .invalid(field: "client order id"), entry: [0x26, 0, 2, 2, 2, 0, 0],
      accepted: [0x2e, 2, 2]),
    RefusedVector(
      "text-id-of-37-bytes", .invalid(field: "client order id"),
      entry: [0x26, 0, 2, 2, 2, 37] + [UInt8](repeating: 65, count: 37) + [0],
      accepted: [0x26, 0, 2, 2, 2, 36] + [UInt8](repeating: 65, count: 36) + [0]),
    RefusedVector("text-id-that-ends", .truncated(field: "client order id"), entry: [0x26, 0, 2, 2, 2, 2, 65]),
    RefusedVector("integer-id-without-time", .truncated(field: "client time"), entry: [0x26, 0, 1, 2, 2, 14]),
  ]

  static let targets: [RefusedVector] = [
    RefusedVector(
      "cancel-repeats-account", .invalid(field: "account"), entry: [0x30, 0, 0, 2], accepted: [0x34, 0, 2]),
    RefusedVector(
      "cancel-of-origin-past-32-bits", .invalid(field: "target"), entry: [0x34] + past32Bits + [2],
      accepted: [0x34] + last32Bits + [2]),
    RefusedVector(
      "cancel-after-stamp-0", .invalid(field: "target stamp"), entry: [0x36, 0, 2, 0], accepted: [0x34, 0, 2]),
    RefusedVector("cancel-of-id-kind-0", .invalid(field: "client order id kind"), entry: [0x35, 0]),
    RefusedVector("cancel-of-id-kind-3", .invalid(field: "client order id kind"), entry: [0x35, 3, 2]),
    RefusedVector(
      "cancel-of-text-id-that-is-a-number", .invalid(field: "client order id"), entry: [0x35, 2, 1, 0x30],
      accepted: [0x35, 1, 0]),
    RefusedVector(
      "amend-changes-bit-4", .invalid(field: "amend flags"), entry: [0x44, 0, 2, 0x10], accepted: [0x44, 0, 2, 0]),
    RefusedVector("amend-changes-bit-7", .invalid(field: "amend flags"), entry: [0x44, 0, 2, 0x81, 2]),
    RefusedVector(
      "amend-open-without-quantity", .invalid(field: "amend flags"), entry: [0x44, 0, 2, 4],
      accepted: [0x44, 0, 2, 6, 2]),
    RefusedVector(
      "amend-open-and-price-without-quantity", .invalid(field: "amend flags"), entry: [0x44, 0, 2, 5, 2],
      accepted: [0x44, 0, 2, 7, 2, 2]),
    RefusedVector("amend-without-changes", .truncated(field: "amend flags"), entry: [0x44, 0, 2]),
    RefusedVector(
      "cancel-all-repeats-account", .invalid(field: "account"), entry: [0x52, 0], accepted: [0x56]),
    RefusedVector(
      "cancel-all-of-sequence-0", .invalid(field: "instrument"), entry: [0x54, 3, 0], accepted: [0x54, 3, 1]),
    RefusedVector(
      "cancel-all-of-origin-past-32-bits", .invalid(field: "instrument"), entry: [0x54] + past32Bits + [1],
      accepted: [0x54] + last32Bits + [1]),
  ]

  private static let instrument: [UInt8] = [0x10, 1, 65, 1, 0, 1, 0]
  private static let over10To18 = varint(1_000_000_000_000_000_001)
  private static let at10To18 = varint(1_000_000_000_000_000_000)

  static let others: [RefusedVector] = [
    RefusedVector(
      "symbol-of-nothing", .invalid(field: "symbol"), entry: [0x10, 0, 1, 0, 1, 0], accepted: instrument),
    RefusedVector(
      "symbol-of-17-bytes", .invalid(field: "symbol"),
      entry: [0x10, 17] + [UInt8](repeating: 65, count: 17) + [1, 0, 1, 0],
      accepted: [0x10, 16] + [UInt8](repeating: 65, count: 16) + [1, 0, 1, 0]),
    RefusedVector("symbol-in-lowercase", .invalid(field: "symbol"), entry: [0x10, 1, 97, 1, 0, 1, 0]),
    RefusedVector("symbol-with-nul", .invalid(field: "symbol"), entry: [0x10, 2, 65, 0, 1, 0, 1, 0]),
    RefusedVector("symbol-that-is-no-utf-8", .invalid(field: "symbol"), entry: [0x10, 2, 65, 0xc3, 1, 0, 1, 0]),
    RefusedVector("tick-0", .invalid(field: "increment"), entry: [0x10, 1, 65, 0, 0, 1, 0], accepted: instrument),
    RefusedVector(
      "tick-over-10-to-the-18", .invalid(field: "increment"), entry: [0x10, 1, 65] + over10To18 + [0, 1, 0],
      accepted: [0x10, 1, 65] + at10To18 + [0, 1, 0]),
    RefusedVector(
      "lot-scale-19", .invalid(field: "increment"), entry: [0x10, 1, 65, 1, 0, 1, 19],
      accepted: [0x10, 1, 65, 1, 0, 1, 18]),
    RefusedVector("instrument-flags", .invalid(field: "instrument flags"), entry: [0x11, 1, 65, 1, 0, 1, 0]),
    RefusedVector(
      "fill-of-maker-past-32-bits", .invalid(field: "maker"), entry: [0x60] + past32Bits + [2, 0, 2, 2, 2],
      accepted: [0x60] + last32Bits + [2, 0, 2, 2, 2]),
    RefusedVector(
      "fill-of-taker-past-32-bits", .invalid(field: "taker"), entry: [0x60, 0, 2] + past32Bits + [2, 2, 2],
      accepted: [0x60, 0, 2] + last32Bits + [2, 2, 2]),
    RefusedVector("fill-flags", .invalid(field: "payload flags"), entry: [0x68, 0, 2, 0, 2, 2, 2]),
    RefusedVector(
      "checkpoint-that-ends", .truncated(field: "checkpoint hash"),
      entry: [0x70, 1, 1] + [UInt8](repeating: 7, count: 63),
      accepted: [0x70, 1, 1] + [UInt8](repeating: 7, count: 64)),
    RefusedVector("kind-0", .unknown(field: "payload kind", value: 0), entry: [0x00, 0, 0]),
    RefusedVector("kind-8", .unknown(field: "payload kind", value: 8), entry: [0x80, 0, 0]),
    RefusedVector("kind-15", .unknown(field: "payload kind", value: 15), entry: [0xff, 0, 0]),
  ]
}
