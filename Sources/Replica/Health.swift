import OrderBook
import Primitives

/// Whether a replica may be believed, as far as it knows itself.
public enum Health: UInt8, Hashable, Sendable, CaseIterable, CustomStringConvertible {
  /// Nothing speaks against it.
  case sound = 1
  /// Somebody says something else: it replays its own log beside its work, and goes on serving meanwhile.
  case suspect = 2
  /// It disagrees with its own recomputation or with what a majority attests: it serves nothing, and makes its book
  /// anew from its log.
  case rebuilding = 3
  /// It could not make a book that a majority attests: it serves nothing, and an operator has to look.
  case unreconciled = 4

  /// Whether orders are taken, reads answered, and attestations and fills published.
  public var serves: Bool { self == .sound || self == .suspect }

  public var description: String {
    switch self {
    case .sound: "sound"
    case .suspect: "suspect"
    case .rebuilding: "rebuilding"
    case .unreconciled: "unreconciled"
    }
  }
}

/// Something that should not be: what was noticed, by whom, where, and what was done about it.
public struct Finding: Hashable, Sendable {
  public enum Cause: UInt8, Hashable, Sendable, CaseIterable {
    /// The scrubber found memory that is not what was hashed.
    case bookDamage = 1
    /// More than half of the members attest another checkpoint.
    case contradicted = 2
    /// The own log leads to another checkpoint than the one that was derived.
    case replayDiffers = 3
    /// A member attests what was not, while this replica agrees with its own recomputation.
    case wrongAttestation = 4
    /// A node's digest names another book for the same entries, while this replica agrees with its own recomputation.
    case wrongDigest = 5
    /// Bytes of the stored log are not what was written, or are gone.
    case logDamage = 6
    /// A member has signed two batches for one sequence.
    case equivocation = 7
  }

  public enum State: UInt8, Hashable, Sendable, CaseIterable {
    case noticed = 1
    case rebuilding = 2
    case repaired = 3
    case unreconciled = 4
    /// Another node is wrong; there is nothing to repair here.
    case accused = 5

    /// Something is still to be done about it.
    public var isOpen: Bool { self == .noticed || self == .rebuilding || self == .unreconciled }
  }

  /// From 1, in the order in which they were noticed.
  public var number: UInt64
  public var cause: Cause
  public var state: State
  /// Wall-clock milliseconds: when it was noticed, and when `state` became what it is.
  public var noticedMilliseconds: UInt64
  public var changedMilliseconds: UInt64
  /// Who said something else, or is accused; nil if this node noticed it by itself.
  public var origin: OriginIndex?
  /// Number of the checkpoint that differs; 0 if none does.
  public var checkpoint: UInt64 = 0
  /// Its hash here, and as others attest it.
  public var mine = Hash256.zero
  public var theirs = Hash256.zero
  /// What of the book is damaged; nil if the scrubber did not find it.
  public var damage: BookDamage.Kind?
  /// Place in the book: the instrument's dot, side and price; none, nil and 0 if no such place is known.
  public var instrument = Dot.none
  public var side: Side?
  public var priceTicks: Int64 = 0
  /// Orders of the block that is damaged.
  public var orders: [Dot] = []
  /// Place in the log: the entry that proves it, or from where on it is damaged; none if no such place is known.
  public var entry = Dot.none
  /// How often the book was made anew.
  public var attempts: UInt64 = 0
  /// Orders of the damaged book that are not those of the rebuilt one, and how many there are.
  public var differences: [OrderDifference] = []
  public var differencesTotal: UInt64 = 0

  public static let ordersMax = 64

  public init(number: UInt64, cause: Cause, state: State, nowMilliseconds: UInt64, origin: OriginIndex? = nil) {
    self.number = number
    self.cause = cause
    self.state = state
    noticedMilliseconds = nowMilliseconds
    changedMilliseconds = nowMilliseconds
    self.origin = origin
  }
}

extension Finding: CustomStringConvertible {
  public var description: String {
    let who = origin.map { "member \($0)" } ?? "this node"
    let what =
      switch cause {
      case .bookDamage: "the book in memory is damaged (\(damage.map { "\($0)" } ?? "somewhere"))"
      case .contradicted: "a majority attests another checkpoint \(checkpoint)"
      case .replayDiffers: "the log leads to another checkpoint \(checkpoint) than was derived"
      case .wrongAttestation: "\(who) attests a checkpoint \(checkpoint) that was not"
      case .wrongDigest: "\(who) has another book for the same entries"
      case .logDamage: "the stored log is damaged"
      case .equivocation: "\(who) signed two batches for one sequence"
      }
    var text = "finding \(number): \(what)"
    if !instrument.isNone { text += ", instrument \(instrument)" }
    if let side { text += " \(side == .buy ? "buy" : "sell")" }
    if priceTicks > 0 { text += " at \(priceTicks) ticks" }
    if orders.count == 1 {
      text += ", order \(orders[0])"
    } else if orders.count > 1 {
      text += ", \(orders.count) orders"
    }
    if mine != theirs { text += ": \(mine.prefix(12)) here, \(theirs.prefix(12)) there" }
    if !entry.isNone { text += ", entry \(entry)" }
    switch state {
    case .noticed: text += "; noticed"
    case .rebuilding: text += "; serves nothing, rebuilds (attempt \(attempts))"
    case .repaired:
      text += "; repaired after \(changedMilliseconds &- noticedMilliseconds) ms"
      text += cause == .logDamage ? ", fetched again from peers" : ", proven equal"
    case .unreconciled: text += "; cannot be reconciled after \(attempts) attempts"
    case .accused: text += "; accused"
    }
    return text
  }
}

/// The newest findings of a node, on disk as one record.
///
/// ```
/// findings  version 1 u8, total varint, count varint, each, oldest first
/// finding   number, cause u8, state u8, noticed, changed, origin + 1 or 0, checkpoint, mine 32, theirs 32,
///           damage u8, instrument dot, side + 1 or 0, price, orders count, each dot, entry dot, attempts, differences,
///           differences count, each: dot, flags u8 (1 here, 2 there), then of each side that is there
///           instrument dot, account, side u8, price, stop price, open, filled, visible
/// ```
/// Numbers are varints, those that may be negative as their 64 bits. A dot is origin, sequence.
public struct FindingLog: Hashable, Sendable {
  public static let kept = 64
  /// Oldest first.
  public private(set) var findings: [Finding] = []
  /// All that there ever were.
  public private(set) var total: UInt64 = 0

  public init() {}

  public var open: Int { findings.count { $0.state.isOpen } }

  mutating func add(_ finding: Finding) {
    total = finding.number
    findings.append(finding)
    guard findings.count > Self.kept else { return }
    // What is still open outlives what is done.
    findings.remove(at: findings.firstIndex { !$0.state.isOpen } ?? 0)
  }

  subscript(number: UInt64) -> Finding? {
    get { findings.last { $0.number == number } }
    set {
      guard let newValue, let place = findings.lastIndex(where: { $0.number == number }) else { return }
      findings[place] = newValue
    }
  }

  public var bytes: [UInt8] {
    var writer = ByteWriter()
    writer.write(1 as UInt8)
    writer.writeVarint(total)
    writer.writeVarint(UInt64(findings.count))
    for finding in findings { finding.write(to: &writer) }
    return writer.bytes
  }

  /// - Throws: `CodecError`.
  public init(bytes: [UInt8]) throws(CodecError) {
    (total, findings) = try bytes.withReader { (reader) throws(CodecError) in
      guard try reader.readByte("findings version") == 1 else { throw .invalid(field: "findings version") }
      let total = try reader.readVarint("findings")
      var findings: [Finding] = []
      for _ in 0..<(try reader.readVarint("findings", max: UInt64(Self.kept))) {
        findings.append(try Finding(from: &reader))
      }
      try reader.expectEnd()
      guard zip(findings, findings.dropFirst()).allSatisfy({ $0.number < $1.number }),
        findings.last.map({ $0.number <= total }) ?? true
      else { throw .invalid(field: "finding number") }
      return (total, findings)
    }
  }
}

extension Finding {
  func write(to writer: inout ByteWriter) {
    writer.writeVarint(number)
    writer.write(cause.rawValue)
    writer.write(state.rawValue)
    writer.writeVarint(noticedMilliseconds)
    writer.writeVarint(changedMilliseconds)
    writer.writeVarint(origin.map { UInt64($0.value) + 1 } ?? 0)
    writer.writeVarint(checkpoint)
    writer.write(mine)
    writer.write(theirs)
    writer.write(damage?.rawValue ?? 0)
    writer.write(finding: instrument)
    writer.write(side.map { $0.rawValue + 1 } ?? 0)
    writer.writeVarint(UInt64(bitPattern: priceTicks))
    writer.writeVarint(UInt64(min(orders.count, Self.ordersMax)))
    for dot in orders.prefix(Self.ordersMax) { writer.write(finding: dot) }
    writer.write(finding: entry)
    writer.writeVarint(attempts)
    writer.writeVarint(differencesTotal)
    writer.writeVarint(UInt64(min(differences.count, BookDifference.ordersMax)))
    for difference in differences.prefix(BookDifference.ordersMax) {
      writer.write(finding: difference.dot)
      writer.write((difference.here == nil ? 0 : 1) | (difference.other == nil ? 0 : 2) as UInt8)
      for order in [difference.here, difference.other] {
        guard let order else { continue }
        writer.write(finding: order.instrument)
        writer.writeVarint(order.account.value)
        writer.write(order.side.rawValue)
        for value in [order.priceTicks, order.stopPriceTicks, order.openLots, order.filledLots, order.visibleLots] {
          writer.writeVarint(UInt64(bitPattern: value))
        }
      }
    }
  }

  init(from reader: inout ByteReader) throws(CodecError) {
    let number = try reader.readVarint("finding number")
    guard let cause = Cause(rawValue: try reader.readByte("finding cause")),
      let state = State(rawValue: try reader.readByte("finding state"))
    else { throw .invalid(field: "finding") }
    self.init(number: number, cause: cause, state: state, nowMilliseconds: try reader.readVarint("finding time"))
    changedMilliseconds = try reader.readVarint("finding time")
    let place = try reader.readVarint("finding origin", max: UInt64(Limits.originsMax))
    origin = place == 0 ? nil : OriginIndex(UInt32(place - 1))
    checkpoint = try reader.readVarint("finding checkpoint")
    mine = try reader.readHash("finding hash")
    theirs = try reader.readHash("finding hash")
    let kind = try reader.readByte("finding damage")
    damage = BookDamage.Kind(rawValue: kind)
    guard kind == 0 || damage != nil else { throw .invalid(field: "finding damage") }
    instrument = try reader.readFindingDot()
    side = try Self.readSide(&reader, offset: 1)
    priceTicks = Int64(bitPattern: try reader.readVarint("finding price"))
    for _ in 0..<(try reader.readVarint("finding orders", max: UInt64(Self.ordersMax))) {
      orders.append(try reader.readFindingDot())
    }
    entry = try reader.readFindingDot()
    attempts = try reader.readVarint("finding attempts")
    differencesTotal = try reader.readVarint("finding differences")
    for _ in 0..<(try reader.readVarint("finding differences", max: UInt64(BookDifference.ordersMax))) {
      let dot = try reader.readFindingDot()
      let flags = try reader.readByte("finding sides")
      guard flags < 4 else { throw .invalid(field: "finding sides") }
      let here = flags & 1 == 0 ? nil : try Self.readOrder(dot, &reader)
      let other = flags & 2 == 0 ? nil : try Self.readOrder(dot, &reader)
      differences.append(OrderDifference(dot: dot, here: here, other: other))
    }
  }

  private static func readSide(_ reader: inout ByteReader, offset: UInt8) throws(CodecError) -> Side? {
    let value = try reader.readByte("finding side")
    if value < offset { return nil }
    guard let side = Side(rawValue: value - offset) else { throw .invalid(field: "finding side") }
    return side
  }

  private static func readOrder(_ dot: Dot, _ reader: inout ByteReader) throws(CodecError) -> RestingOrder {
    let instrument = try reader.readFindingDot()
    let account = AccountID(try reader.readVarint("finding account"))
    guard let side = try readSide(&reader, offset: 0) else { throw .invalid(field: "finding side") }
    var values: [Int64] = []
    for _ in 0..<5 { values.append(Int64(bitPattern: try reader.readVarint("finding lots"))) }
    return RestingOrder(
      dot: dot, instrument: instrument, account: account, side: side, priceTicks: values[0], openLots: values[2],
      filledLots: values[3], visibleLots: values[4], stopPriceTicks: values[1], clientOrderID: .none)
  }
}

extension ByteWriter {
  fileprivate mutating func write(finding dot: Dot) {
    writeVarint(UInt64(dot.origin.value))
    writeVarint(dot.sequence)
  }
}

extension ByteReader {
  fileprivate mutating func readFindingDot() throws(CodecError) -> Dot {
    let origin = try readVarint("finding dot", max: UInt64(UInt32.max))
    return Dot(origin: OriginIndex(UInt32(origin)), sequence: try readVarint("finding dot"))
  }
}
