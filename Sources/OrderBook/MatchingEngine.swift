import Primitives

/// The books of all instruments, and the rules by which entries change them.
///
/// A value that owns raw memory: one owner, no references, no clock, nothing random. What it holds is a function of the
/// entries applied to it, in order; every change can be taken back until it is settled.
///
/// ```
/// apply(entry) … apply(entry)      the tape says what happened
/// rollback(to: mark)               as if what came after `mark` had never been applied
/// settle(through: mark)            what came before `mark` stays for ever
/// ```
///
/// - Source: Docs, "Orders and matching".
public struct MatchingEngine: ~Copyable {
  var books = BookTable()
  var ladder = PriceLadder()
  var orders: OrderStore
  var index: DotIndex
  var accounts = AccountIndex()
  var ids: ClientIDIndex
  var tombstones = Tombstones()
  var journal = UndoJournal()
  var hasher = BookHasher()

  /// Key of the newest entry applied.
  var lastKey = OrderKey.zero
  /// Second of the newest command's stamp: the clock by which client order ids are forgotten.
  var second: UInt64 = 0
  /// The clock's second, and the number of client order id records, at the end of what is settled.
  var settledSecond: UInt64 = 0
  var settledRecords: UInt64 = 0
  /// Orders in the book.
  public internal(set) var restingOrders = 0
  let bounds = Bounds()
  /// Levels of instruments whose definition was taken back, for `takeChangedLevels`.
  var vanishedLevels: ContiguousArray<LevelChange> = []

  /// An empty book.
  /// - Parameters:
  ///   - origins: how many origins are expected; grows as needed.
  ///   - clientOrderIDsMax: how many client order ids are remembered for the window. Every replica must use the same.
  public init(origins: Int = 16, clientOrderIDsMax: Int = Limits.clientOrderIDsMax) {
    orders = OrderStore(capacity: 1024)
    index = DotIndex(origins: origins)
    ids = ClientIDIndex(recordsMax: clientOrderIDsMax)
  }

  /// Applies one entry.
  ///
  /// - Parameters:
  ///   - command: nil for an entry that the book ignores: only the origin's applied sequence advances.
  ///   - dot: names the entry, and the order if it is one.
  ///   - stamp: with the dot's origin, the entry's key.
  ///   - tape: what happened is appended, in order.
  /// - Precondition: `dot.sequence == appliedSequence(dot.origin) + 1`; the key lies above that of the entry before.
  /// - Complexity: O(1), plus fills, plus a search in sorted arrays for prices far from the market. No allocation once
  ///   the slabs have grown.
  public mutating func apply(
    _ command: Command?, at dot: Dot, stamp: Stamp, into tape: inout EventTape
  ) {
    let key = OrderKey(stamp: stamp, origin: dot.origin)
    precondition(key > lastKey, "entries are applied in the order of their keys")
    journal.push(
      UndoRecord(.applied, slot: dot.origin.value, old: lastKey.stamp.value, payload: lastKey.origin.value))
    lastKey = key
    index.advance(dot.origin, to: dot.sequence)
    if command != nil { keepTime(stamp) }
    let isEntombed = tombstones.count != 0 && liftTombstones(of: dot, command)
    // The two that come most often take the command as it lies in memory: taking it apart here would copy it.
    switch command {
    case nil: return
    case .some(.order): applyOrder(command, dot, stamp, isEntombed: isEntombed, &tape)
    case .some(.cancel): applyCancel(command, dot, &tape)
    case .some(.amend(let amend)): applyAmend(amend, dot, &tape)
    case .some(.cancelAll(let all)): applyCancelAll(all, dot, &tape)
    case .some(.instrument(let instrument)): applyInstrument(instrument, dot, &tape)
    }
  }

  /// How far an origin's log is applied; 0 for an origin never seen.
  public func appliedSequence(_ origin: OriginIndex) -> UInt64 { index.applied(origin) }

  /// Position after the newest undo record. Only what this returned between two entries is a mark.
  public var journalMark: UInt64 { journal.end }

  private mutating func applyInstrument(
    _ instrument: Instrument, _ dot: Dot, _ tape: inout EventTape
  ) {
    if books.find(instrument.symbol) != nil {
      tape.append(.rejected(entry: dot, reason: .instrumentExists, order: .none))
      return
    }
    if books.count >= Limits.instrumentsMax {
      tape.append(.rejected(entry: dot, reason: .tooManyInstruments, order: .none))
      return
    }
    let book = books.append(dot, instrument)
    ladder.append()
    journal.push(UndoRecord(.defined, slot: book))
    tape.append(.instrumentDefined(entry: dot))
  }

  @inline(__always) private mutating func keepTime(_ stamp: Stamp) {
    let second = stamp.second
    if second != self.second { advanceClock(to: second) }
  }

  @inline(never) private mutating func advanceClock(to second: UInt64) {
    journal.push(UndoRecord(.clock, slot: 0, old: self.second))
    self.second = second
    while tombstones.oldest != noSlot,
      tombstones[tombstones.oldest].second + ClientIDIndex.windowSeconds < second
    {
      lift(tombstones.oldest)
    }
  }
}

/// The limits of values, as constants of this module: those of another one cost a call each time.
struct Bounds {
  let priceTicksMax = Limits.priceTicksMax
  let quantityLotsMax = Limits.quantityLotsMax
  let windowMilliseconds = Limits.clientOrderIDWindowMilliseconds
}

/// An order on its way through the book. Not copyable, so that it is passed as it lies in memory.
struct Incoming: ~Copyable {
  var dot: Dot
  var account: UInt64
  var openLots: Int64
  var filledLots: Int64
  var book: UInt32
  /// Worst price it may trade at; the ladder's "no level" prices lie beyond it.
  var limitTicks: Int64
  var clientRecord: UInt32
  var flags: UInt32
  var side: Side
}
