import CMemory
import Primitives

/// An entry of a log as the engine reads it fastest: one cache line.
///
/// What most entries say fits in it: a limit order that rests or is immediate, a cancel or a replace of an order by its
/// dot. Whatever else an entry says is kept beside it (`EntryBatch`).
public struct PackedEntry: Sendable {
  @usableFromInline enum Kind: UInt8, Sendable {
    /// A limit order, good till cancelled.
    case limit = 0
    /// A limit order, immediate or cancel.
    case immediate = 1
    case cancel = 2
    /// An amend of price and quantity.
    case replace = 3
    case other = 4
  }

  @usableFromInline var stamp: UInt64
  @usableFromInline var sequence: UInt64
  /// Sequence of the instrument's definition, or of the order that is to be cancelled or replaced.
  @usableFromInline var named: UInt64
  @usableFromInline var account: UInt64
  /// Price of an order or a replace. Of anything else any price near which the next entries may be.
  @usableFromInline var priceTicks: Int64
  /// Quantity; of a cancel the target's stamp.
  @usableFromInline var lots: Int64
  @usableFromInline var origin: UInt32
  @usableFromInline var namedOrigin: UInt32
  @usableFromInline var kind: Kind
  @usableFromInline var side: Side = .buy
  /// Of a replace: the quantity is the open one; it goes to the tail whatever it changes.
  @usableFromInline var isOpen = false
  @usableFromInline var forfeits = false
  /// Of `other`: where it is kept.
  @usableFromInline var other: UInt32 = 0

  @inline(__always) var dot: Dot { Dot(origin: OriginIndex(origin), sequence: sequence) }
  @inline(__always) var namedDot: Dot { Dot(origin: OriginIndex(namedOrigin), sequence: named) }

  /// The order that it cancels or replaces; of anything else its own dot, where there is no order yet.
  @inline(__always) var target: Dot {
    let hasTarget = kind == .cancel || kind == .replace
    return Dot(origin: OriginIndex(hasTarget ? namedOrigin : origin), sequence: hasTarget ? named : sequence)
  }

  @inlinable @inline(__always) init(
    _ kind: Kind, _ dot: Dot, _ stamp: Stamp, _ named: Dot, _ account: AccountID, _ priceTicks: Int64, _ lots: Int64
  ) {
    self.kind = kind
    self.stamp = stamp.value
    sequence = dot.sequence
    origin = dot.origin.value
    self.named = named.sequence
    namedOrigin = named.origin.value
    self.account = account.value
    self.priceTicks = priceTicks
    self.lots = lots
  }

  /// A limit order with no other property.
  /// - Parameter isImmediate: what does not trade at once is cancelled, instead of resting.
  @inlinable @inline(__always) public init(
    orderIn instrument: Dot, account: AccountID, side: Side, isImmediate: Bool, priceTicks: Int64,
    quantityLots: Int64, at dot: Dot, stamp: Stamp
  ) {
    self.init(isImmediate ? .immediate : .limit, dot, stamp, instrument, account, priceTicks, quantityLots)
    self.side = side
  }

  /// A cancel of an order by its dot.
  /// - Parameters:
  ///   - targetStamp: as `Cancel.targetStamp`.
  ///   - nearTicks: any price near which the next entries may be.
  @inlinable @inline(__always) public init(
    cancelOf target: Dot, account: AccountID, targetStamp: Stamp, nearTicks: Int64 = 0, at dot: Dot, stamp: Stamp
  ) {
    self.init(.cancel, dot, stamp, target, account, nearTicks, Int64(bitPattern: targetStamp.value))
  }

  /// An amend of price and open quantity, which takes the order to the tail of its level.
  @inlinable @inline(__always) public init(
    replaceOf target: Dot, account: AccountID, priceTicks: Int64, openLots: Int64, at dot: Dot, stamp: Stamp
  ) {
    self.init(.replace, dot, stamp, target, account, priceTicks, openLots)
    isOpen = true
    forfeits = true
  }

  /// Any entry.
  /// - Parameters:
  ///   - other: where the command is kept if it does not fit.
  ///   - nearTicks: any price near which the next entries may be.
  @inline(__always) init(_ command: Command?, at dot: Dot, stamp: Stamp, other: UInt32, nearTicks: Int64) {
    switch command {
    case .some(.order(let order)) where order.isUsual:
      self.init(
        orderIn: order.instrument, account: order.account, side: order.side,
        isImmediate: order.timeInForce == .immediateOrCancel, priceTicks: order.priceTicks,
        quantityLots: order.quantityLots, at: dot, stamp: stamp)
      return
    case .some(.cancel(let cancel)):
      if case .dot(let target) = cancel.target {
        self.init(
          cancelOf: target, account: cancel.account, targetStamp: cancel.targetStamp, nearTicks: nearTicks, at: dot,
          stamp: stamp)
        return
      }
    case .some(.amend(let amend)):
      if case .dot(let target) = amend.target, let ticks = amend.priceTicks, let lots = amend.quantityLots {
        self.init(.replace, dot, stamp, target, amend.account, ticks, lots)
        isOpen = amend.quantityMeaning == .open
        forfeits = amend.forfeitsPriority
        return
      }
    default: break
    }
    self.init(.other, dot, stamp, .none, AccountID(0), nearTicks, 0)
    self.other = other
  }

  // The commands that fit, whole.

  var order: Order {
    Order(
      instrument: namedDot, account: AccountID(account), side: side,
      timeInForce: kind == .limit ? .goodTillCancel : .immediateOrCancel, priceTicks: priceTicks, quantityLots: lots)
  }

  var cancel: Cancel {
    Cancel(
      account: AccountID(account), target: .dot(namedDot), targetStamp: Stamp(UInt64(bitPattern: lots)))
  }

  var amend: Amend {
    Amend(
      account: AccountID(account), target: .dot(namedDot), priceTicks: priceTicks, quantityLots: lots,
      quantityMeaning: isOpen ? .open : .total, forfeitsPriority: forfeits)
  }
}

/// Entries that lie ready to be applied one after another.
public struct EntryBatch: ~Copyable {
  @usableFromInline let entries: UnsafeMutablePointer<PackedEntry>
  public let capacity: Int
  @usableFromInline var used = 0
  private var others: ContiguousArray<Command?> = []
  private var nearTicks: Int64 = 0

  @inlinable public var count: Int { used }

  /// - Parameter capacity: entries that it can hold.
  public init(capacity: Int) {
    self.capacity = capacity
    entries = rialto_memory_allocate(max(capacity, 1) * MemoryLayout<PackedEntry>.stride)
      .bindMemory(to: PackedEntry.self, capacity: capacity)
  }

  deinit { rialto_memory_release(entries, max(capacity, 1) * MemoryLayout<PackedEntry>.stride) }

  /// Adds an entry made with one of the public initialisers.
  /// - Precondition: there is room for it, here and below.
  @inlinable @inline(__always) public mutating func append(_ entry: PackedEntry) {
    precondition(used < capacity, "the batch is full")
    entries[used] = entry
    used &+= 1
  }

  /// Adds an entry; nil is one that the book ignores.
  public mutating func append(_ command: Command?, at dot: Dot, stamp: Stamp) {
    let entry = PackedEntry(command, at: dot, stamp: stamp, other: UInt32(others.count), nearTicks: nearTicks)
    if entry.kind == .other { others.append(command) }
    nearTicks = entry.priceTicks
    append(entry)
  }

  /// Keeps the memory.
  public mutating func removeAll() {
    used = 0
    if !others.isEmpty { others.removeAll(keepingCapacity: true) }
  }

  @inline(__always) func address(_ index: Int) -> UnsafePointer<PackedEntry> {
    precondition(UInt(bitPattern: index) < UInt(bitPattern: used), "index outside its batch")
    return UnsafePointer(entries + index)
  }
  func other(_ entry: UnsafePointer<PackedEntry>) -> Command? { others[Int(entry.pointee.other)] }
}
