import Primitives

/// What happened, in order, as packed words in raw memory.
///
/// An engine writes two or three events an entry, millions a second: an `OrderEvent` takes 88 bytes and its tape 16 to
/// 72. Positions count from the tape's beginning and stay valid while earlier events are let go.
public struct EventTape: ~Copyable {
  @usableFromInline var words: UnsafeMutablePointer<UInt64>
  private var capacity: Int
  @usableFromInline var used = 0
  /// Position of the oldest event that is kept.
  public internal(set) var start: UInt64 = 0

  /// Words of the longest that is written at once: an order's amending and resting.
  @inline(__always) private static var longest: Int { 10 }

  public init() {
    capacity = 4096
    words = .allocate(capacity: capacity)
  }

  deinit { words.deallocate() }

  /// Position after the newest event.
  @inlinable public var end: UInt64 { start &+ UInt64(used) }
  @inlinable public var isEmpty: Bool { used == 0 }

  /// - Complexity: O(1); O(kept events) when the memory doubles.
  @inline(__always) public mutating func append(_ event: OrderEvent) {
    if !hasRoom { widen() }
    let at = words + used
    switch event {
    case .accepted(let order): used &+= Self.put(at, .accepted, order)
    case .waiting(let order, let open): used &+= Self.put(at, .waiting, order, open)
    case .triggered(let order): used &+= Self.put(at, .triggered, order)
    case .rested(let order, let open): used &+= Self.put(at, .rested, order, open)
    case .refreshed(let order, let visible): used &+= Self.put(at, .refreshed, order, visible)
    case .cancelled(let order, let reason, let open): used &+= Self.put(at, .cancelled, order, open, reason.rawValue)
    case .expired(let order, let open): used &+= Self.put(at, .expired, order, open)
    case .instrumentDefined(let entry): used &+= Self.put(at, .instrumentDefined, entry)
    case .reduced(let order, let lots, let open):
      at[3] = UInt64(bitPattern: open)
      used &+= Self.put(at, .reduced, order, lots) &+ 1
    case .rejected(let entry, let reason, let order):
      at[2] = order.sequence
      at[3] = UInt64(order.origin.value)
      used &+= Self.put(at, .rejected, entry, reason.rawValue) &+ 2
    case .amended(let order, let by, let price, let open, let reduced):
      at[2] = by.sequence
      at[3] = UInt64(by.origin.value)
      at[4] = UInt64(bitPattern: price)
      at[5] = UInt64(bitPattern: open)
      at[6] = UInt64(bitPattern: reduced)
      used &+= Self.put(at, .amended, order) &+ 5
    case .filled(let fill):
      at[2] = fill.taker.sequence
      at[3] = UInt64(fill.taker.origin.value) | UInt64(fill.instrument.origin.value) &<< 32
      at[4] = fill.instrument.sequence
      at[5] = UInt64(bitPattern: fill.priceTicks)
      at[6] = UInt64(bitPattern: fill.quantityLots)
      at[7] = UInt64(bitPattern: fill.makerOpenLots)
      at[8] = UInt64(bitPattern: fill.takerOpenLots)
      used &+= Self.put(at, .filled, fill.maker, fill.takerSide.rawValue) &+ 7
    }
  }

  /// Is there room for any event, and for two that are written at once?
  @inline(__always) var hasRoom: Bool { used <= capacity &- Self.longest }

  /// An order was accepted and rests: what most orders do.
  /// - Precondition: `hasRoom`, here and below.
  @inline(__always) mutating func putRested(_ order: Dot, openLots: Int64) {
    let at = words + used
    let origin = UInt64(order.origin.value) &<< 32
    at[0] = UInt64(EventKind.accepted.rawValue) | origin
    at[1] = order.sequence
    at[2] = UInt64(EventKind.rested.rawValue) | origin
    at[3] = order.sequence
    at[4] = UInt64(bitPattern: openLots)
    used &+= 5
  }

  /// An immediate order was accepted and met nobody.
  @inline(__always) mutating func putNothingTraded(_ order: Dot, openLots: Int64) {
    let at = words + used
    used &+= Self.put(at, .accepted, order)
    used &+= Self.put(at + 2, .cancelled, order, openLots, CancelReason.immediateOrCancel.rawValue)
  }

  /// An order was amended and rests.
  @inline(__always) mutating func putReplaced(
    _ order: Dot, by: Dot, priceTicks: Int64, openLots: Int64, reducedLots: Int64
  ) {
    let at = words + used
    at[2] = by.sequence
    at[3] = UInt64(by.origin.value)
    at[4] = UInt64(bitPattern: priceTicks)
    at[5] = UInt64(bitPattern: openLots)
    at[6] = UInt64(bitPattern: reducedLots)
    used &+= Self.put(at, .amended, order) &+ 5
    used &+= Self.put(at + 7, .rested, order, openLots)
  }

  /// An order was cancelled, as somebody asked.
  @inline(__always) mutating func putCancelled(_ order: Dot, openLots: Int64) {
    used &+= Self.put(words + used, .cancelled, order, openLots, CancelReason.requested.rawValue)
  }

  /// The first word has the kind in its low byte, a detail above it, the origin in its high half.
  @inline(__always) private static func put(
    _ at: UnsafeMutablePointer<UInt64>, _ kind: EventKind, _ dot: Dot, _ detail: UInt8 = 0
  ) -> Int {
    at[0] = UInt64(kind.rawValue) | UInt64(detail) &<< 8 | UInt64(dot.origin.value) &<< 32
    at[1] = dot.sequence
    return 2
  }

  @inline(__always) private static func put(
    _ at: UnsafeMutablePointer<UInt64>, _ kind: EventKind, _ dot: Dot, _ lots: Int64, _ detail: UInt8 = 0
  ) -> Int {
    at[2] = UInt64(bitPattern: lots)
    return put(at, kind, dot, detail) &+ 1
  }

  @inline(never) private mutating func widen() {
    let wider = UnsafeMutablePointer<UInt64>.allocate(capacity: capacity * 2)
    wider.update(from: words, count: used)
    words.deallocate()
    words = wider
    capacity *= 2
  }

  /// The events from one position to another; positions between two events are no positions.
  ///
  /// What this returns must not be used after the tape has changed.
  @inlinable public func run(from first: UInt64, to last: UInt64) -> EventRun {
    precondition(first >= start && first <= last && last <= end, "no such position on the tape")
    return EventRun(words + Int(first - start), count: Int(last - first))
  }

  /// The oldest event that is kept.
  @inlinable public var first: OrderEvent? {
    var run = EventRun(words, count: used)
    return run.next()
  }

  /// All that is kept.
  public var events: [OrderEvent] { Array(run(from: start, to: end)) }

  /// Forgets everything after a position.
  public mutating func truncate(to position: UInt64) {
    precondition(position >= start && position <= end, "no such position on the tape")
    used = Int(position - start)
  }

  /// Lets go of what lies before a position, once that is most of what is kept.
  /// - Complexity: amortised O(1) an event.
  public mutating func trim(to position: UInt64) {
    precondition(position >= start && position <= end, "no such position on the tape")
    let dead = Int(position - start)
    guard dead == used || dead > max(1 << 15, used / 2) else { return }
    words.update(from: words + dead, count: used - dead)
    used -= dead
    start = position
  }

  /// Lets everything go. Positions go on counting.
  public mutating func removeAll() {
    start = end
    used = 0
  }

  /// Is the oldest event that is kept a rejection?
  @inlinable public var startsWithRejection: Bool {
    used != 0 && UInt8(truncatingIfNeeded: words[0]) == EventKind.rejected.rawValue
  }

  /// Is there more on the tape than that one order was accepted, or amended, and rests: what most of them do?
  @inlinable public var hasMoreThanRested: Bool {
    if used == 5 { return UInt8(truncatingIfNeeded: words[2]) != EventKind.rested.rawValue }
    return used != 10 || UInt8(truncatingIfNeeded: words[0]) != EventKind.amended.rawValue
      || UInt8(truncatingIfNeeded: words[7]) != EventKind.rested.rawValue
  }
}

@usableFromInline enum EventKind: UInt8 {
  case accepted = 0
  case waiting = 1
  case triggered = 2
  case rested = 3
  case refreshed = 4
  case filled = 5
  case cancelled = 6
  case expired = 7
  case reduced = 8
  case amended = 9
  case rejected = 10
  case instrumentDefined = 11
}

/// A stretch of an `EventTape`, for immediate use.
public struct EventRun: Sequence, IteratorProtocol {
  @usableFromInline var next_: UnsafePointer<UInt64>
  @usableFromInline let end: UnsafePointer<UInt64>

  @inlinable init(_ words: UnsafePointer<UInt64>, count: Int) {
    next_ = words
    end = words + count
  }

  @inlinable public mutating func next() -> OrderEvent? {
    guard next_ < end else { return nil }
    let at = next_
    guard let kind = EventKind(rawValue: UInt8(truncatingIfNeeded: at[0])) else {
      preconditionFailure("the tape is damaged")
    }
    let detail = UInt8(truncatingIfNeeded: at[0] &>> 8)
    let dot = Dot(origin: OriginIndex(UInt32(truncatingIfNeeded: at[0] &>> 32)), sequence: at[1])
    func lots(_ word: Int) -> Int64 { Int64(bitPattern: at[word]) }
    switch kind {
    case .accepted:
      next_ = at + 2
      return .accepted(order: dot)
    case .waiting:
      next_ = at + 3
      return .waiting(order: dot, openLots: lots(2))
    case .triggered:
      next_ = at + 2
      return .triggered(order: dot)
    case .rested:
      next_ = at + 3
      return .rested(order: dot, openLots: lots(2))
    case .refreshed:
      next_ = at + 3
      return .refreshed(order: dot, visibleLots: lots(2))
    case .filled:
      next_ = at + 9
      return .filled(Self.fill(at, maker: dot, detail))
    case .cancelled:
      next_ = at + 3
      return .cancelled(order: dot, reason: Self.known(CancelReason(rawValue: detail)), openLots: lots(2))
    case .expired:
      next_ = at + 3
      return .expired(order: dot, openLots: lots(2))
    case .reduced:
      next_ = at + 4
      return .reduced(order: dot, lots: lots(2), openLots: lots(3))
    case .amended:
      next_ = at + 7
      return .amended(
        order: dot, by: Self.dot(at[2], at[3]), priceTicks: lots(4), openLots: lots(5), reducedLots: lots(6))
    case .rejected:
      next_ = at + 4
      return .rejected(
        entry: dot, reason: Self.known(RejectReason(rawValue: detail)), order: Self.dot(at[2], at[3]))
    case .instrumentDefined:
      next_ = at + 2
      return .instrumentDefined(entry: dot)
    }
  }

  @inlinable static func dot(_ sequence: UInt64, _ origin: UInt64) -> Dot {
    Dot(origin: OriginIndex(UInt32(truncatingIfNeeded: origin)), sequence: sequence)
  }

  @inlinable static func fill(_ at: UnsafePointer<UInt64>, maker: Dot, _ side: UInt8) -> Fill {
    Fill(
      instrument: dot(at[4], at[3] &>> 32), maker: maker, taker: dot(at[2], at[3]),
      takerSide: known(Side(rawValue: side)), priceTicks: Int64(bitPattern: at[5]),
      quantityLots: Int64(bitPattern: at[6]), makerOpenLots: Int64(bitPattern: at[7]),
      takerOpenLots: Int64(bitPattern: at[8]))
  }

  @inlinable static func known<T>(_ value: T?) -> T {
    guard let value else { preconditionFailure("the tape is damaged") }
    return value
  }
}
