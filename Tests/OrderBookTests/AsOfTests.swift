import Primitives
import Testing

@testable import OrderBook

/// What the book says as of a stamp is what it would say after an entry of that stamp which it ignores.
@Suite struct AsOfTests {
  /// As the engine is, but without what is due by `stamp`.
  private static func state(_ engine: borrowing MatchingEngine, asOf stamp: Stamp) -> EngineState {
    var state = EngineState(engine)
    state.restingOrders = engine.restingOrders(asOf: stamp)
    state.waitingStops = engine.waitingStops(asOf: stamp)
    state.sides = []
    for dot in state.instruments {
      for side in Side.allCases {
        let levels = engine.levels(of: dot, side, limit: .max, asOf: stamp)
        var queues: [[RestingOrder]] = []
        for level in levels {
          queues.append(engine.orders(of: dot, side, priceTicks: level.priceTicks, asOf: stamp))
        }
        state.sides.append(
          EngineState.Side(levels: levels, queues: queues, stops: engine.stops(of: dot, side, asOf: stamp)))
      }
    }
    state.accounts = []
    state.orders = []
    for number in 1...UInt64(3) {
      let left = engine.orders(of: AccountID(number), asOf: stamp)
      state.accounts.append(left)
      for order in left { state.orders.append(engine.order(order.dot, asOf: stamp)) }
    }
    return state
  }

  /// Asked for little, it gives the beginning of what it gives when asked for all; a level alone is as among others.
  private static func partialDifference(_ engine: borrowing MatchingEngine, asOf stamp: Stamp) -> String? {
    for (dot, _) in engine.instruments {
      for side in Side.allCases {
        let levels = engine.levels(of: dot, side, limit: .max, asOf: stamp)
        for limit in 0...3 where engine.levels(of: dot, side, limit: limit, asOf: stamp) != Array(levels.prefix(limit))
        {
          return "the first \(limit) levels are others"
        }
        for whole in engine.levels(of: dot, side, limit: .max) {
          let left = engine.level(of: dot, side, priceTicks: whole.priceTicks, asOf: stamp)
          let among = levels.first { $0.priceTicks == whole.priceTicks }
          if left != among { return "the level at \(whole.priceTicks) is \(left as Any), among others \(among as Any)" }
          let queue = engine.orders(of: dot, side, priceTicks: whole.priceTicks, asOf: stamp)
          let two = engine.orders(of: dot, side, priceTicks: whole.priceTicks, limit: 2, asOf: stamp)
          if two != Array(queue.prefix(2)) { return "the first two orders are \(two)" }
        }
      }
    }
    return nil
  }

  /// Compares the answers as of a stamp with those after an entry of that stamp, which is then taken back.
  /// - Returns: what is not the same, or nil; and how many orders were due.
  private static func difference(
    _ engine: inout MatchingEngine, next: Entry, asOf stamp: Stamp, expiries: [Stamp]
  ) -> (text: String?, due: Int) {
    let before = EngineState(engine)
    let hash = engine.recomputedBookHash()
    var mine = state(engine, asOf: stamp)
    let due = engine.dueOrders(asOf: stamp)
    if let text = partialDifference(engine, asOf: stamp) { return (text, due.count) }
    let later = expiries.filter { $0 > stamp }.min()
    if engine.nextExpiry(after: stamp) != later {
      return ("the next is \(engine.nextExpiry(after: stamp) as Any), not \(later as Any)", due.count)
    }
    if let text = EngineState(engine).difference(from: before) { return ("asking changed it: \(text)", due.count) }
    if engine.bookHash() != hash { return ("asking changed the hash", due.count) }

    let mark = engine.journalMark
    var tape = EventTape()
    engine.apply(nil, at: next.dot, stamp: stamp, into: &tape)
    let after = EngineState(engine)
    // What is no order may differ: the entry is applied there, and may have lifted a tombstone.
    mine.applied = after.applied
    mine.tombstones = after.tombstones
    var text = mine.difference(from: after)
    if due.map({ .expired(order: $0.dot, openLots: $0.openLots) }) != tape.events {
      text = "\(due) were due, what happened is \(tape.events)"
    }
    if engine.hasDueOrders(asOf: stamp) { text = "something is due that should have left" }
    engine.rollback(to: mark)
    return (text, due.count)
  }

  @Test(arguments: [FlowProfile.mixed, .expiries, .icebergs, .stops, .far]) func theBookIsWhatAnEntryWouldMakeIt(
    on profile: FlowProfile
  ) {
    var due = 0
    let failure = explore(profile, seeds: 70_001...70_010, entries: 250) { entries, seed in
      var generator = SeededGenerator(seed: seed)
      var engine = MatchingEngine()
      var tape = EventTape()
      for entry in entries {
        // Before the entry's own stamp, at it, soon after it, or when all is over.
        if generator.chance(1, of: 3) {
          let stamp =
            switch generator.below(4) {
            case 0: Stamp(entry.stamp.value + UInt64(generator.pick(0...100)))
            case 1: Stamp(milliseconds: (entry.stamp.second + UInt64(generator.pick(1...6))) * 1000)
            case 2: Stamp(milliseconds: entry.stamp.milliseconds + UInt64(generator.pick(0...20_000)))
            default: Stamp(milliseconds: entry.stamp.milliseconds + 7_200_000)
            }
          let open = EngineState(engine).accounts.joined().map(\.expiry)
          let result = Self.difference(&engine, next: entry, asOf: stamp, expiries: open)
          due += result.due
          if let text = result.text { return "before \(entry.dot), as of \(stamp): \(text)" }
        }
        engine.apply(entry.command, at: entry.dot, stamp: entry.stamp, into: &tape)
      }
      return nil
    }
    #expect(failure == nil, "\(failure ?? "")")
    #expect(due > 50, "only \(due) orders were ever due")
  }

  private struct Key: Hashable {
    var instrument: Dot
    var side: Side
    var priceTicks: Int64
  }

  /// A view kept from changes alone is the book as of the stamp of the newest ones, also after rollbacks.
  @Test(arguments: [FlowProfile.mixed, .expiries, .icebergs]) func changesAddUpToTheBook(on profile: FlowProfile) {
    var quiet = 0
    let failure = explore(profile, seeds: 71_001...71_015, entries: 300) { entries, seed in
      var generator = SeededGenerator(seed: seed)
      var engine = MatchingEngine()
      engine.tracksChangedLevels = true
      var tape = EventTape()
      var view: [Key: LevelSummary] = [:]
      var stamp = Stamp.zero
      var points = [(mark: engine.journalMark, position: 0)]
      var position = 0
      while position < entries.count {
        if generator.chance(1, of: 10) {
          let index = generator.pick(max(0, points.count - 12)...points.count - 1)
          engine.rollback(to: points[index].mark)
          position = points[index].position
          points.removeSubrange((index + 1)...)
        }
        // Once, or twice with nothing but time in between.
        for _ in 0..<(generator.chance(1, of: 4) ? generator.pick(1...2) : 0) {
          let before = stamp
          let newest = entries[max(0, position - 1)].stamp
          stamp = max(before, Stamp(milliseconds: newest.milliseconds + generator.below(4_000)))
          let isTouched = engine.ladder.pages.changed.count > 0
          let changes = engine.takeChangedLevels(since: before, asOf: stamp)
          if !isTouched { quiet += changes.count }
          if let text = Self.take(changes, into: &view, engine, asOf: stamp) { return "at \(position): \(text)" }
        }
        let entry = entries[position]
        engine.apply(entry.command, at: entry.dot, stamp: entry.stamp, into: &tape)
        position += 1
        points.append((engine.journalMark, position))
      }
      return nil
    }
    #expect(failure == nil, "\(failure ?? "")")
    #expect(quiet > 20, "only \(quiet) levels were told for no other reason than time")
  }

  /// - Returns: what is wrong with the changes or the view that they lead to; nil if nothing is.
  private static func take(
    _ changes: [LevelChange], into view: inout [Key: LevelSummary], _ engine: borrowing MatchingEngine,
    asOf stamp: Stamp
  ) -> String? {
    for change in changes {
      let key = Key(instrument: change.instrument, side: change.side, priceTicks: change.priceTicks)
      view[key] =
        change.orders == 0
        ? nil
        : LevelSummary(priceTicks: change.priceTicks, quantityLots: change.quantityLots, orders: change.orders)
    }
    for (left, right) in zip(changes, changes.dropFirst()) {
      let isSorted =
        (left.instrument, left.side.rawValue, left.priceTicks)
        < (right.instrument, right.side.rawValue, right.priceTicks)
      if !isSorted { return "changes are not sorted, or not one a level" }
    }
    var levels = 0
    for (dot, _) in engine.instruments {
      for side in Side.allCases {
        for level in engine.levels(of: dot, side, limit: .max, asOf: stamp) {
          levels += 1
          let mine = view[Key(instrument: dot, side: side, priceTicks: level.priceTicks)]
          if mine != level { return "\(level) is \(mine as Any) in the view" }
        }
      }
    }
    return levels == view.count ? nil : "the view has \(view.count) levels, the book \(levels)"
  }

  /// By hand: two orders at one price, one of them an iceberg with a date; a stop with a date.
  @Test func anExample() {
    var engine = MatchingEngine()
    engine.tracksChangedLevels = true
    var tape = EventTape()
    var log = TestLog()
    let instrument = log.define("BTC-USD", in: &engine)
    let expiry = Stamp(milliseconds: 1_000_500, counter: 3)
    var order = Order(instrument: instrument, account: AccountID(1), side: .sell, priceTicks: 10, quantityLots: 4)
    func place(_ order: Order) -> Dot {
      let entry = log.next()
      engine.apply(.order(order), at: entry.dot, stamp: entry.stamp, into: &tape)
      return entry.dot
    }
    let stays = place(order)
    order.timeInForce = .goodTillDate
    order.expiry = expiry
    order.quantityLots = 9
    order.displayLots = 2
    let iceberg = place(order)
    order.displayLots = 0
    order.priceTicks = 11
    let alone = place(order)
    order.type = .stopLimit
    order.stopPriceTicks = 5
    let stop = place(order)

    let early = Stamp(expiry.value - 1)
    #expect(engine.takeChangedLevels(since: .zero, asOf: early).map(\.quantityLots) == [6, 9])
    #expect(engine.levels(of: instrument, .sell, limit: 9, asOf: early).map(\.orders) == [2, 1])
    #expect(engine.nextExpiry(after: early) == expiry)
    #expect(engine.dueOrders(asOf: early).isEmpty && !engine.hasDueOrders(asOf: early))

    let hash = engine.bookHash()
    #expect(engine.dueOrders(asOf: expiry).map(\.dot) == [iceberg, alone, stop])
    #expect(engine.dueOrders(after: expiry, asOf: .init(.max)).isEmpty)
    #expect(engine.nextExpiry(after: expiry) == nil)
    #expect(
      engine.levels(of: instrument, .sell, limit: 9, asOf: expiry)
        == [LevelSummary(priceTicks: 10, quantityLots: 4, orders: 1)])
    #expect(engine.order(stays, asOf: expiry) != nil && engine.order(iceberg, asOf: expiry) == nil)
    #expect(engine.stops(of: instrument, .sell, asOf: expiry).isEmpty)
    #expect(engine.restingOrders(asOf: expiry) == 1 && engine.waitingStops(asOf: expiry) == 0)
    let changes = engine.takeChangedLevels(since: early, asOf: expiry)
    #expect(changes.map(\.priceTicks) == [10, 11] && changes.map(\.quantityLots) == [4, 0])
    #expect(engine.takeChangedLevels(since: expiry, asOf: expiry).isEmpty)
    #expect(engine.bookHash() == hash && engine.restingOrders == 3 && engine.waitingStops == 1)
    // The entry that takes them out tells nothing else.
    let entry = log.next()
    engine.apply(nil, at: entry.dot, stamp: Stamp(milliseconds: 1_000_501), into: &tape)
    let last = engine.takeChangedLevels(since: expiry, asOf: expiry)
    #expect(last.map(\.priceTicks) == [10, 11] && last.map(\.quantityLots) == [4, 0])
    #expect(engine.restingOrders == 1)
  }
}
