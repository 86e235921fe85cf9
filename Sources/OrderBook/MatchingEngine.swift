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
  /// Orders that trade: a row for each book.
  var ladder = PriceLadder()
  /// Stops that wait, by stop price: two rows for each book, buy stops and sell stops. The best level is the first to
  /// be triggered, so buy stops lie where asks would and sell stops where bids would.
  var stops = PriceLadder()
  var orders: OrderStore
  var index: DotIndex
  var accounts = Accounts()
  var ids: ClientIDIndex
  var tombstones = Tombstones()
  var expiries = ExpiryQueue()
  var journal = UndoJournal()
  var hasher = BookHasher()

  /// Key of the newest entry applied.
  var lastKey = OrderKey.zero
  /// Second of the newest command's stamp: the clock by which client order ids are forgotten.
  private(set) var second: UInt64 = 0
  /// First stamp of that second.
  private var secondStart: UInt64 = 0
  /// The clock's second, and the number of client order id records, at the end of what is settled.
  var settledSecond: UInt64 = 0
  var settledRecords: UInt64 = 0
  /// Stops that the entry being applied has triggered and that have not entered yet; empty between entries. Their slots
  /// are removed ones.
  var triggered = SlabList<UInt32>(capacity: 16)
  /// Orders in the book.
  public internal(set) var restingOrders = 0
  /// Stops whose price has not been reached.
  public internal(set) var waitingStops = 0
  /// Position after the newest undo record. Only what this is between two entries is a mark.
  public var journalMark: UInt64 { journal.end }
  /// None, but in tests of the simulator.
  package var defects: Defects = []
  let bounds = Bounds()
  /// Entries stamped before this find neither an order to expire nor a clock to advance nor a tombstone.
  var quietEnd: UInt64 = 0
  /// Levels of instruments whose definition was taken back, for `takeChangedLevels`.
  var vanishedLevels: ContiguousArray<LevelChange> = []
  /// Scratch of `prepare`: for each entry of a run, the cell where the slot of its order is kept, then that slot.
  var awaited = Slab<Int>(capacity: Self.lookaheadRun)
  /// Scratch of `settle`: slots to be let go.
  var settling = SlabList<UInt32>(capacity: 4096)
  // Scratch of `takeChangedLevels`: what it found, rows with changes, levels outside their row's window, and whether
  // nothing but its mark keeps one of the levels.
  var foundChanges = SlabList<LevelChange>(capacity: 64)
  var changedRows = SlabList<UInt32>(capacity: 16)
  var farChangedLevels: ContiguousArray<FarChange> = []
  var hasIdleChanges = false

  /// Stamps in a second.
  private static var stampsPerSecond: UInt64 { 1000 << 16 }

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
  ///   - command: nil for an entry that the book ignores: the origin's applied sequence advances, and orders expire.
  ///   - dot: names the entry, and the order if it is one.
  ///   - stamp: with the dot's origin, the entry's key.
  ///   - tape: what happened is appended, in order.
  /// - Precondition: `dot.sequence == appliedSequence(dot.origin) + 1`; the key lies above that of the entry before.
  /// - Complexity: O(1), plus fills; O(log n) for an order with an expiry. A price outside its book's window costs
  ///   O(far pages), since sorted arrays are searched and their ends moved. A fill-or-kill order costs O(levels within
  ///   its limit), with self-trade prevention also O(orders of its account). No allocation once the slabs have grown.
  public mutating func apply(_ command: Command?, at dot: Dot, stamp: Stamp, into tape: inout EventTape) {
    let entry = PackedEntry(command, at: dot, stamp: stamp, other: 0, nearTicks: 0)
    if entry.kind == .other {
      applyOther(command, at: dot, stamp: stamp, &tape)
    } else {
      withUnsafePointer(to: entry) { apply($0, &tape) }
    }
  }

  /// Applies one entry of a batch, as above.
  @inline(never) public mutating func apply(
    _ batch: borrowing EntryBatch, at index: Int, into tape: inout EventTape
  ) {
    applyNext(batch.address(index), batch, &tape)
  }

  /// Applies the entries of a batch, as above, one after another, asking for the memory of those to come.
  @inline(never) public mutating func apply(_ batch: borrowing EntryBatch, into tape: inout EventTape) {
    let count = batch.count
    var start = 0
    while start < count {
      let end = min(count, start + Self.lookaheadRun)
      prepare(batch, start..<end)
      for index in start..<end { applyNext(batch.address(index), batch, &tape) }
      start = end
    }
  }

  @inline(__always) private mutating func applyNext(
    _ entry: UnsafePointer<PackedEntry>, _ batch: borrowing EntryBatch, _ tape: inout EventTape
  ) {
    if entry.pointee.kind == .other {
      applyOther(batch.other(entry), at: entry.pointee.dot, stamp: Stamp(entry.pointee.stamp), &tape)
    } else {
      apply(entry, &tape)
    }
  }

  /// - Precondition: its kind is not `other`.
  @inline(__always) private mutating func apply(_ entry: UnsafePointer<PackedEntry>, _ tape: inout EventTape) {
    switch entry.pointee.kind {
    case .limit, .immediate: if !placeUsually(entry, &tape) { placeAnyhow(entry, &tape) }
    case .cancel: if !cancelUsually(entry, &tape) { cancelAnyhow(entry, &tape) }
    case .replace: if !replaceUsually(entry, &tape) { replaceAnyhow(entry, &tape) }
    case .other: preconditionFailure("what does not fit is kept beside it")
    }
  }

  @inline(never) private mutating func placeAnyhow(_ entry: UnsafePointer<PackedEntry>, _ tape: inout EventTape) {
    applyAnyhow(entry.pointee.order, entry.pointee.dot, Stamp(entry.pointee.stamp), &tape)
  }

  @inline(never) private mutating func cancelAnyhow(_ entry: UnsafePointer<PackedEntry>, _ tape: inout EventTape) {
    beginCommand(entry.pointee.dot, Stamp(entry.pointee.stamp), &tape)
    applyCancel(entry.pointee.cancel, entry.pointee.dot, &tape)
    finish()
  }

  @inline(never) private mutating func replaceAnyhow(_ entry: UnsafePointer<PackedEntry>, _ tape: inout EventTape) {
    let stamp = Stamp(entry.pointee.stamp)
    beginCommand(entry.pointee.dot, stamp, &tape)
    applyAmend(
      entry.pointee.amend, OrderKey(stamp: stamp, origin: OriginIndex(entry.pointee.origin)), entry.pointee.dot, &tape)
    finish()
  }

  /// An entry that does not fit into a packed one.
  @inline(never) private mutating func applyOther(
    _ command: Command?, at dot: Dot, stamp: Stamp, _ tape: inout EventTape
  ) {
    if case .some(.order(let order)) = command { return applyAnyhow(order, dot, stamp, &tape) }
    begin(dot, stamp, &tape)
    if command != nil { keepTime(stamp) }
    if tombstones.count != 0 { _ = liftTombstones(of: dot, account: nil) }
    switch command {
    case nil, .some(.order): break
    case .some(.cancel(let cancel)): applyCancel(cancel, dot, &tape)
    case .some(.amend(let amend)): applyAmend(amend, OrderKey(stamp: stamp, origin: dot.origin), dot, &tape)
    case .some(.cancelAll(let all)): applyCancelAll(all, dot, &tape)
    case .some(.instrument(let instrument)): applyInstrument(instrument, dot, &tape)
    }
    finish()
  }

  @inline(never) private mutating func applyAnyhow(
    _ order: Order, _ dot: Dot, _ stamp: Stamp, _ tape: inout EventTape
  ) {
    begin(dot, stamp, &tape)
    keepTime(stamp)
    var isEntombed = false
    if tombstones.count != 0 { isEntombed = liftTombstones(of: dot, account: order.account.value) }
    place(order, dot, stamp, isEntombed, &tape)
    finish()
  }

  /// Key of the newest entry applied; zero if there is none.
  public var newestKey: OrderKey { lastKey }

  /// How far an origin's log is applied; 0 for an origin never seen.
  public func appliedSequence(_ origin: OriginIndex) -> UInt64 { index.applied(origin) }

  // MARK: What every entry does

  @inline(__always) private mutating func begin(_ dot: Dot, _ stamp: Stamp, _ tape: inout EventTape) {
    let before = lastKey
    precondition(
      stamp.value > before.stamp.value || stamp.value == before.stamp.value && dot.origin.value > before.origin.value,
      "entries are applied in the order of their keys")
    if expiries.next <= stamp.value { expire(through: stamp.value, &tape) }
    journal.push(
      UndoRecord(.applied, slot: noSlot, old: before.stamp.value, payload: before.origin.value))
    lastKey = OrderKey(stamp: stamp, origin: dot.origin)
    index.advance(dot.origin, to: dot.sequence)
  }

  /// After every entry, and after a rollback.
  @inline(__always) mutating func finish() {
    let (secondEnd, isLast) = secondStart.addingReportingOverflow(Self.stampsPerSecond)
    quietEnd = tombstones.count != 0 || isLast ? 0 : min(expiries.next, secondEnd)
  }

  @inline(__always) private mutating func beginCommand(_ dot: Dot, _ stamp: Stamp, _ tape: inout EventTape) {
    begin(dot, stamp, &tape)
    keepTime(stamp)
    if tombstones.count != 0 { _ = liftTombstones(of: dot, account: nil) }
  }

  /// The orders whose time is up leave, in the order of (expiry, dot).
  @inline(never) private mutating func expire(through stamp: UInt64, _ tape: inout EventTape) {
    while expiries.next <= stamp {
      let slot = expiries.first
      let (dot, open) = (orders[slot].dot, orders[slot].openLots)
      remove(slot)
      tape.append(.expired(order: dot, openLots: open))
    }
  }

  private mutating func applyInstrument(_ instrument: Instrument, _ dot: Dot, _ tape: inout EventTape) {
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
    stops.append()
    stops.append()
    journal.push(UndoRecord(.defined, slot: book))
    tape.append(.instrumentDefined(entry: dot))
  }

  @inline(__always) private mutating func keepTime(_ stamp: Stamp) {
    if stamp.value &- secondStart >= Self.stampsPerSecond { advanceClock(to: stamp.second) }
  }

  @inline(never) private mutating func advanceClock(to second: UInt64) {
    if second == self.second { return }
    journal.push(UndoRecord(.clock, slot: 0, old: self.second))
    setClock(second)
    while tombstones.oldest != noSlot,
      tombstones[tombstones.oldest].second + ClientIDIndex.windowSeconds < second
    {
      lift(tombstones.oldest)
    }
  }

  mutating func setClock(_ second: UInt64) {
    self.second = second
    secondStart = second &* Self.stampsPerSecond
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
  var filledLots: Int64 = 0
  /// Worst price it may trade at; the ladder's "no level" prices lie beyond it.
  var limitTicks: Int64
  var book: UInt32
  var clientRecord: UInt32 = noSlot
  var flags: OrderFlags
  var displayLots: Int64 = 0
  /// Stamp at which it leaves, or 0.
  var expiry: UInt64 = 0

  @inline(__always) var side: Side { flags.side }
  @inline(__always) var isMarket: Bool { limitTicks == Self.anyAsk || limitTicks == Self.anyBid }
  /// Limits of market orders: worse than any price, better than none.
  static var anyAsk: Int64 { Int64.max - 1 }
  static var anyBid: Int64 { Int64.min + 1 }
}
