import Diagnostics
import EventLog
import Forensics
import OrderBook
import Primitives
import Replica

/// `rialto replay DIR`: a node's history again, up to some point.
struct ReplayDirectory {
  var directory: String
  var until: String
  var genesis: String?
  var trades: String?
  var book: String?
  var stops: String?
  var json: Bool
  /// Levels a side that are shown to a person.
  static let levelsShown = 10

  private struct Observer: HistoryObserver {
    var trades: (([UInt8]) throws -> Void)?
    var lastEntry: Dot?
    private var lines = ""

    init(trades: (([UInt8]) throws -> Void)?) { self.trades = trades }

    mutating func applied(_ dot: Dot, _ entry: Entry, _ events: EventRun, isFinal: Bool) throws {
      lastEntry = dot
      guard trades != nil else { return }
      for event in events {
        guard case .filled(let fill) = event else { continue }
        lines += "\(fill.maker),\(fill.taker),\(fill.priceTicks),\(fill.quantityLots)\n"
      }
      if lines.utf8.count > 64 * 1024 { try flush() }
    }

    mutating func flush() throws {
      try trades?(Array(lines.utf8))
      lines = ""
    }
  }

  func run() throws {
    guard let place = EntryPlace(until) else {
      throw CommandError("--until \(until) is no place in a history", advice: EntryPlace.advice)
    }
    let file = try NodePlace.open(directory, genesis: genesis)
    let tradesFile = try trades.map { try AtomicFile($0) }
    let bookFile = try book.map { try AtomicFile($0) }
    let stopsFile = try stops.map { try AtomicFile($0) }
    let key = try place.key(in: file)
    let final = try file.finalStamp()
    let start = try file.start()
    var state: ReplicaState?
    if let start {
      guard key.stamp >= start.info.lastStamp else {
        throw CommandError(
          "the log is kept only from stamp \(Checkpoint.boundary(start.info.number)) on",
          advice: "give a later place, or a node that keeps more (--retain)")
      }
      state = try ReplicaState(start.info, start.bytes, cluster: file.cluster, origins: Limits.originsMax)
    }
    let clock = ContinuousClock()
    let began = clock.now
    try tradesFile?.write(Array("maker,taker,price,qty\n".utf8))
    var observer = Observer(trades: tradesFile.map { file in { try file.write($0) } })
    var replay = HistoryReplay(cluster: file.cluster, finalThrough: final, until: key, from: consume state)
    let damages = try file.readLog(from: start?.bases ?? []) { batch in
      try replay.add(batch, &observer)
      return !replay.isDone
    }
    try replay.finish(&observer)
    try observer.flush()
    let duration = clock.now - began
    if let first = damages.first, !replay.isDone {
      throw CommandError(
        "the log is damaged: \(first)", advice: "see `rialto verify \(directory)`; nothing after it can be derived")
    }
    let result = Result(
      file: file, final: final, entry: observer.lastEntry, start: start?.info.number, duration: duration,
      bookHash: replay.bookHash())
    try bookFile?.write(Array(Self.bookCSV(&replay).utf8))
    try stopsFile?.write(Array(Self.stopsCSV(&replay).utf8))
    try tradesFile?.commit()
    try bookFile?.commit()
    try stopsFile?.commit()
    if json {
      Output.result(line(result, replay).text)
    } else {
      show(result, &replay)
    }
  }

  private struct Result {
    var file: NodeFile
    var final: Stamp
    var entry: Dot?
    var start: UInt64?
    var duration: Duration
    var bookHash: Hash256
  }

  /// The checkpoint that the file has next after what was applied.
  private func next(_ result: Result, after number: UInt64) -> Checkpoint? {
    (try? result.file.store.checkpoints())?.first { $0.number > number && $0.isSound }?.checkpoint
  }

  private func line(_ result: Result, _ replay: borrowing HistoryReplay) -> JSONLine {
    var line = JSONLine()
    line.add("node", result.file.nodeName)
    line.add("until", until)
    line.add("stamp", replay.lastKey.stamp.description)
    line.add("origin", replay.lastKey.origin.value)
    line.add("entry", result.entry?.description)
    line.add("final", isFinal(replay.lastKey, result))
    line.add("entries", replay.entries)
    line.add("orders", replay.orders)
    line.add("fills", replay.fills)
    line.add("resting_orders", replay.restingOrders)
    line.add("waiting_stops", replay.waitingStops)
    line.add("book_hash", result.bookHash.description)
    let newest = replay.checkpoints.newest
    if let newest { line.add("checkpoint", Self.line(newest)) } else { line.addNull("checkpoint") }
    if let next = next(result, after: newest?.number ?? 0) {
      line.add("next_checkpoint", Self.line(next))
    } else {
      line.addNull("next_checkpoint")
    }
    if let start = result.start { line.add("from_snapshot", start) } else { line.addNull("from_snapshot") }
    line.add("seconds", seconds: result.duration)
    return line
  }

  private func isFinal(_ key: OrderKey, _ result: Result) -> Bool {
    key.stamp <= result.final || key <= result.file.store.auditPosition
  }

  private static func line(_ checkpoint: Checkpoint) -> JSONLine {
    var line = JSONLine()
    line.add("number", checkpoint.number)
    line.add("hash", checkpoint.hash.description)
    line.add("book_hash", checkpoint.bookHash.description)
    line.add("fills", checkpoint.fills)
    return line
  }

  private func show(_ result: Result, _ replay: inout HistoryReplay) {
    var table = TextTable([("node", .left), ("\(result.file.nodeName ?? "unknown"), \(directory)", .left)])
    let isFinal = isFinal(replay.lastKey, result)
    table.add([
      "until", "\(replay.lastKey)\(result.entry.map { ", entry \($0)" } ?? ""), \(isFinal ? "final" : "tentative")",
    ])
    if let start = result.start { table.add(["from", "snapshot \(start)"]) }
    table.add(["entries", replay.entries.grouped])
    table.add(["orders", replay.orders.grouped])
    table.add(["fills", replay.fills.grouped])
    table.add(["resting orders", replay.restingOrders.grouped])
    if replay.waitingStops > 0 { table.add(["waiting stops", replay.waitingStops.grouped]) }
    table.add(["book hash", result.bookHash.description])
    let newest = replay.checkpoints.newest
    if let newest { table.add(["checkpoint", "\(newest.number) \(newest.hash)"]) }
    if let next = next(result, after: newest?.number ?? 0) {
      table.add(["next one", "\(next.number) \(next.hash)"])
    }
    table.add(["time", result.duration.short])
    table.lines.forEach(Output.result)
    replay.withBook { book in
      for (dot, instrument) in book.instruments {
        Output.result("")
        Output.result("\(instrument.symbol)")
        var levels = TextTable([("bid", .right), ("quantity", .right), ("ask", .right), ("quantity", .right)])
        let bids = book.levels(of: dot, .buy, limit: Self.levelsShown)
        let asks = book.levels(of: dot, .sell, limit: Self.levelsShown)
        for row in 0..<max(bids.count, asks.count) {
          let bid = row < bids.count ? bids[row] : nil
          let ask = row < asks.count ? asks[row] : nil
          levels.add([
            bid.map { instrument.tick.decimal($0.priceTicks) } ?? "",
            bid.map { instrument.lot.decimal($0.quantityLots) } ?? "",
            ask.map { instrument.tick.decimal($0.priceTicks) } ?? "",
            ask.map { instrument.lot.decimal($0.quantityLots) } ?? "",
          ])
        }
        levels.lines.forEach(Output.result)
      }
    }
  }

  /// `symbol,side,price,orders,qty`: in ticks and lots, by instrument in order of definition, best first.
  private static func bookCSV(_ replay: inout HistoryReplay) -> String {
    replay.withBook { book in
      var text = "symbol,side,price,orders,qty\n"
      for (dot, instrument) in book.instruments {
        for (side, letter) in [(Side.buy, "B"), (Side.sell, "S")] {
          for level in book.levels(of: dot, side, limit: .max) {
            text += "\(instrument.symbol),\(letter),\(level.priceTicks),\(level.orders),\(level.quantityLots)\n"
          }
        }
      }
      return text
    }
  }

  /// `symbol,side,stop,price,qty,id`: the stops that wait.
  private static func stopsCSV(_ replay: inout HistoryReplay) -> String {
    replay.withBook { book in
      var text = "symbol,side,stop,price,qty,id\n"
      for (dot, instrument) in book.instruments {
        for (side, letter) in [(Side.buy, "B"), (Side.sell, "S")] {
          for order in book.stops(of: dot, side) {
            let price = order.type == .stop ? "" : "\(order.priceTicks)"
            text += "\(instrument.symbol),\(letter),\(order.stopPriceTicks),\(price),\(order.openLots),\(order.dot)\n"
          }
        }
      }
      return text
    }
  }
}
