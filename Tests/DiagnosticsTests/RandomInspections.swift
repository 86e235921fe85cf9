import Diagnostics
import EventLog
import OrderBook
import Primitives

/// Seeded random questions and answers about a node's history, small and extreme ones alike.
struct RandomInspections {
  private var random: SeededGenerator

  init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  static func seeds(_ make: (inout RandomInspections) -> [UInt8]) -> [[UInt8]] {
    var inspections = RandomInspections(seed: 1)
    return (0..<100).map { _ in make(&inspections) }
  }

  mutating func number() -> UInt64 { random.next() >> random.below(64) }
  mutating func flag() -> Bool { random.chance(1, of: 2) }
  private mutating func signed() -> Int64 { Int64(bitPattern: random.next()) >> Int64(random.below(64)) }
  private mutating func stamp() -> Stamp { Stamp(number()) }
  private mutating func origin() -> OriginIndex { OriginIndex(UInt32(random.below(UInt64(Limits.originsMax)))) }
  private mutating func dot() -> Dot { Dot(origin: origin(), sequence: number()) }

  private mutating func hash() -> Hash256 {
    Hash256(word0: random.next(), word1: random.next(), word2: random.next(), word3: random.next())
  }

  private mutating func text() -> String { String("n1 is away, ✗ and 𝄞".prefix(random.pick(0...18))) }

  private mutating func list<Element>(max: Int = 8, _ make: (inout RandomInspections) -> Element) -> [Element] {
    (0..<random.pick(0...max)).map { _ in make(&self) }
  }

  private mutating func optional<Value>(_ make: (inout RandomInspections) -> Value) -> Value? {
    flag() ? make(&self) : nil
  }

  private mutating func pick<Value>(_ values: [Value]) -> Value { values[random.pick(0...values.count - 1)] }

  /// Rising.
  private mutating func numbers() -> [UInt64] {
    Set(list(max: Question.partsMax) { $0.number() }).sorted()
  }

  private mutating func queue() -> QueueName { QueueName(dot(), pick(BookQueue.allCases)) }
  private mutating func level() -> LevelName { LevelName(queue(), priceTicks: Int64(number() >> 1)) }

  mutating func question() -> Question {
    switch random.below(16) {
    case 0: .overview
    case 1: .checkpoints(after: number(), through: number())
    case 2: .checkpoint(number())
    case 3: .heads(after: stamp(), through: stamp(), isDeep: flag())
    case 4: .places(origin(), after: number(), pick([.stored, .derived, .derivedAfter(hash())]), at: numbers())
    case 5: .batch(origin(), sequence: number())
    case 6: .fillHashes(after: number(), at: numbers())
    case 7: .fills(from: number(), count: random.pick(0...Question.fillsMax))
    case 8:
      .book(
        pick([.now, .at(stamp()), .snapshot(number()), .tables]), pick(BookHashing.allCases),
        levels: list(max: Question.namedLevelsMax) { $0.level() })
    case 9: .levels(book: number(), queue(), at: numbers())
    case 10: .orders(book: number(), level(), skipping: Int(random.below(1 << 31)))
    case 11: .instruments
    case 12: .queues(book: number(), instrument: dot())
    case 13: .checkpointHashes(numbers())
    case 14: .trace(dot(), stamp())
    default: .fate(dot())
    }
  }

  mutating func answer() -> Answer {
    switch random.below(17) {
    case 0: .unavailable(text())
    case 1: .overview(overview())
    case 2: .checkpoints(list(max: Question.partsMax) { CheckpointName(number: $0.number(), hash: $0.hash()) })
    case 3: .checkpoint(optional { $0.checkpoint() })
    case 4: .heads(list { $0.position() })
    case 5: .places(list(max: Question.partsMax) { $0.optional { $0.position() } })
    case 6: .batch(optional { $0.batch() })
    case 7: .fillHashes(list(max: Question.partsMax) { $0.optional { $0.hash() } })
    case 8: .fills(list { $0.fill() })
    case 9: .book(book())
    case 10: .levels(list(max: Question.partsMax) { $0.range() })
    case 11: .orders(list { $0.order() }, isMore: flag())
    case 12: .instruments(list { $0.instrument() })
    case 13: .queues([])
    case 14: .checkpointHashes(list(max: Question.partsMax) { $0.optional { $0.hash() } })
    case 15: .trace(trace())
    default: .fate(optional { $0.fate() })
    }
  }

  // MARK: Parts

  private mutating func checkpoint() -> Checkpoint {
    Checkpoint(
      number: max(1, number()), previous: hash(), bookHash: hash(), logHash: hash(), fillsHash: hash(),
      fills: number(), SHA256())
  }

  private mutating func overview() -> Overview {
    Overview(
      name: text(), node: NodeID(hash()), cluster: hash(), isRunning: flag(), view: number(),
      members: random.pick(0...Limits.membersMax), finalStamp: stamp(), finalEntries: number(), finalVector: hash(),
      checkpoint: optional { $0.checkpoint() }, attestedByMajority: number(), logBegins: stamp(), fills: number(),
      snapshots: list { $0.number() }, tables: OrderKey(stamp: stamp(), origin: origin()), health: text())
  }

  private mutating func position() -> LogPosition {
    LogPosition(
      origin: origin(), firstSequence: number(), lastSequence: number(), batches: number(), hash: hash())
  }

  private mutating func batch() -> StoredBatch {
    StoredBatch(
      origin: Origin(node: NodeID(hash()), incarnation: UInt32(random.below(1 << 32))), name: text(),
      publicKey: PublicKey(bytes: (0..<32).map { _ in UInt8(random.below(256)) })!, firstSequence: number(),
      lastSequence: number(), previous: hash(), hash: hash(),
      sealed: SealedBatch(
        bytes: list { UInt8($0.random.below(256)) }, view: number(),
        signature: Signature(bytes: (0..<64).map { _ in UInt8(random.below(256)) })!))
  }

  private mutating func fill() -> StoredFill {
    StoredFill(
      number: number(), instrument: dot(), maker: dot(), taker: dot(), priceTicks: signed(),
      quantityLots: signed(), takerSide: pick(Side.allCases), stamp: stamp())
  }

  private mutating func book() -> BookSummary {
    BookSummary(
      id: number(), stamp: stamp(), finalVector: hash(), root: hash(),
      books: list { BookName(instrument: $0.dot(), lastTradeTicks: $0.signed(), hash: $0.hash()) }, ids: hash(),
      stones: hash())
  }

  private mutating func range() -> LevelRange {
    LevelRange(levels: number(), lowest: signed(), highest: signed(), hash: hash())
  }

  private mutating func order() -> ComparedOrder {
    let resting = RestingOrder(
      dot: dot(), instrument: dot(), account: AccountID(number()), side: pick(Side.allCases),
      type: pick(OrderType.allCases), timeInForce: pick(TimeInForce.allCases),
      selfTradePrevention: pick(SelfTradePrevention.allCases), postOnly: flag(), priceTicks: signed(),
      openLots: signed(), filledLots: signed(), displayLots: signed(), visibleLots: signed(),
      stopPriceTicks: signed(), expiry: stamp(), clientOrderID: pick([.none, ClientOrderID(number())]))
    return ComparedOrder(resting, quantityLots: signed())
  }

  private mutating func instrument() -> NamedInstrument {
    NamedInstrument(dot: dot(), instrument: Instrument(symbol: Symbol("BTC-USD")!))
  }

  private mutating func trace() -> EntryTrace {
    EntryTrace(
      name: text(), arrivedMilliseconds: optional { $0.number() }, source: text(), isHeld: flag(), isFinal: flag(),
      finalMilliseconds: optional { $0.number() },
      rollbacks: list { EntryTrace.Rollback(milliseconds: $0.number(), entries: $0.number()) })
  }

  private mutating func fate() -> OrderFate {
    OrderFate(
      status: pick(OrderStatus.allCases), reason: UInt8(random.below(256)), openLots: signed(), filledLots: signed(),
      changedBy: dot(), changedStamp: stamp(), triggeredStamp: stamp(),
      fills: list {
        OrderFate.AttestedFill(
          fill: $0.fill(), attestation: $0.optional { $0.dot() }, attestedStamp: $0.stamp())
      }, fillsTotal: number())
  }
}
