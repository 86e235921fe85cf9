import EventLog
import OrderBook
import Primitives

/// Golden vectors as text: what a person reads, beside the bytes that stand for it. `decode.py` writes the same.
enum GoldenFormat {
  static func text(_ entry: Entry) -> String { "entry \(entry.stamp) \(text(entry.payload))" }

  static func text(_ payload: Payload) -> String {
    switch payload {
    case .command(.instrument(let instrument)):
      "instrument symbol=\(instrument.symbol) tick=\(text(instrument.tick)) lot=\(text(instrument.lot))"
    case .command(.order(let order)): text(order)
    case .command(.cancel(let cancel)):
      "cancel account=\(cancel.account) \(text(cancel.target))" + after(cancel.targetStamp)
    case .command(.amend(let amend)): text(amend)
    case .command(.cancelAll(let all)):
      "cancel-all account=\(all.account) instrument=\(all.instrument.isNone ? "all" : all.instrument.description)"
    case .fill(let fill):
      "fill maker=\(fill.maker) taker=\(fill.taker) price=\(fill.priceTicks) quantity=\(fill.quantityLots)"
    case .checkpoint(let checkpoint):
      "checkpoint number=\(checkpoint.number) fills=\(checkpoint.fills) book=\(checkpoint.bookHash) "
        + "checkpoint=\(checkpoint.checkpointHash)"
    }
  }

  private static func text(_ order: Order) -> String {
    var out = "order instrument=\(order.instrument) account=\(order.account) \(order.side) \(name(order.type))"
    out += " \(name(order.timeInForce)) price=\(order.priceTicks) quantity=\(order.quantityLots)"
    if order.type == .stop || order.type == .stopLimit { out += " stop=\(order.stopPriceTicks)" }
    if order.displayLots != 0 { out += " display=\(order.displayLots)" }
    if order.timeInForce == .goodTillDate { out += " expiry=\(order.expiry)" }
    if order.selfTradePrevention != .none { out += " prevention=\(name(order.selfTradePrevention))" }
    if order.postOnly { out += " post-only" }
    if !order.clientOrderID.isNone {
      out += " id=\(text(order.clientOrderID)) time=\(order.clientTimeMilliseconds)"
    }
    if !order.firstDot.isNone { out += " first=\(order.firstDot)" }
    return out
  }

  private static func text(_ amend: Amend) -> String {
    var out = "amend account=\(amend.account) \(text(amend.target))" + after(amend.targetStamp)
    if let price = amend.priceTicks { out += " price=\(price)" }
    if let quantity = amend.quantityLots {
      out += amend.quantityMeaning == .open ? " open=\(quantity)" : " total=\(quantity)"
    }
    if amend.forfeitsPriority { out += " forfeits-priority" }
    return out
  }

  private static func text(_ increment: Increment) -> String { "\(increment.mantissa)e-\(increment.scale)" }

  private static func text(_ target: OrderReference) -> String {
    switch target {
    case .dot(let dot): "dot=\(dot)"
    case .client(let id): "id=\(text(id))"
    }
  }

  /// An integer as it is; text in quotes, where all but printable ASCII, quotes and backslashes stands as `\xHH`.
  private static func text(_ id: ClientOrderID) -> String {
    if let integer = id.integer { return "\(integer)" }
    return "'"
      + id.utf8.map { byte in
        (0x20...0x7e).contains(byte) && byte != 0x27 && byte != 0x5c
          ? String(UnicodeScalar(byte)) : "\\x" + [byte].hex
      }.joined() + "'"
  }

  private static func after(_ stamp: Stamp) -> String { stamp == .zero ? "" : " after=\(stamp)" }

  private static func name(_ type: OrderType) -> String {
    switch type {
    case .limit: "limit"
    case .market: "market"
    case .stop: "stop"
    case .stopLimit: "stop-limit"
    }
  }

  private static func name(_ timeInForce: TimeInForce) -> String {
    switch timeInForce {
    case .goodTillCancel: "GTC"
    case .immediateOrCancel: "IOC"
    case .fillOrKill: "FOK"
    case .goodTillDate: "GTD"
    }
  }

  private static func name(_ prevention: SelfTradePrevention) -> String {
    switch prevention {
    case .none: "none"
    case .cancelNewest: "cancel-newest"
    case .cancelOldest: "cancel-oldest"
    case .cancelBoth: "cancel-both"
    case .decrement: "decrement"
    }
  }

  /// A field of many bytes, 48 to a line.
  static func field(_ name: String, _ bytes: [UInt8]) -> [String] {
    [name]
      + stride(from: 0, to: bytes.count, by: 48).map { start in
        "  " + Array(bytes[start..<min(bytes.count, start + 48)]).hex
      }
  }

  static func text(_ error: CodecError) -> String {
    switch error {
    case .truncated: "truncated"
    case .invalid: "invalid"
    case .trailing: "trailing"
    case .unknown: "unknown"
    }
  }
}

/// One origin's log as a golden file: its start, its batches, and a signed head after the last.
struct GoldenLog {
  struct Item {
    var name: String
    var entries: [Entry]
  }
  var name: String
  var incarnation: UInt32
  var register: UInt32
  var firstSequence: UInt64
  var items: [Item]

  /// The file, to the byte.
  func fileText() -> String {
    let sha = SHA256()
    let cluster = sha.hash(Array("golden cluster".utf8))
    guard let signer = Ed25519(seed: sha.hash(Array("golden key".utf8)).bytes) else { return "" }
    let origin = Origin(node: signer.publicKey.nodeID, incarnation: incarnation)
    var hash = HashChain.start(cluster: cluster, origin: origin, sha)
    var lines = [
      "# Golden vectors of batch format 1: \(name). Written by GoldenTests, read by decode.py.", "", "log",
      "cluster \(cluster)", "key \(signer.publicKey)", "node \(origin.node)", "incarnation \(incarnation)",
      "start \(hash)",
    ]
    var sequence = firstSequence
    for item in items {
      var builder = BatchBuilder(origin: OriginIndex(register), firstSequence: sequence)
      for entry in item.entries { builder.append(entry) }
      let bytes = builder.canonicalBytes()
      lines += ["", "batch \(item.name)", "origin \(register)", "first \(sequence)", "count \(item.entries.count)"]
      lines += builder.entries.map(GoldenFormat.text)
      lines += GoldenFormat.field("bytes", bytes)
      lines.append("previous \(hash)")
      hash = HashChain.link(previous: hash, bytes: bytes, sha)
      lines.append("hash \(hash)")
      sequence = builder.nextSequence
    }
    let head = Head(sequence: sequence - 1, hash: hash)
    let message = HashChain.signedHead(cluster: cluster, origin: origin, view: 258, head: head)
    lines += ["", "head", "view 258", "sequence \(head.sequence)", "hash \(hash)"]
    lines += GoldenFormat.field("message", message)
    lines += GoldenFormat.field("signature", signer.sign(message).bytes)
    return lines.joined(separator: "\n") + "\n"
  }
}
