import ArgumentParser
import Client
import Diagnostics
import EventLog
import Forensics
import OrderBook
import Primitives
import Wire

/// `rialto log`: the entries of a node's log, in the order in which they count.
struct LogCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "log",
    abstract: "Prints the entries of a node's log in key order.",
    discussion: """
      PLACE is a node's data directory, whether the node runs or not, or the address of a running node. Columns: key
      (stamp@origin), entry, its author, what it says. A place in the log is 'final', a stamp (1795287243123.4),
      stamp@origin, an entry (2-1841) or a time (2026-11-21T22:19:07Z); both ends are included.

      Examples:
        rialto log n1 --limit 20
        rialto log n1 --from 2026-11-21T22:19:07Z --to 2-1841 --origin n2
        rialto log 127.0.0.1:7001 --batches
        rialto log n1 --json | head

      Exit codes: 0 printed; 1 printed, but a part is damaged; 2 could not.
      """)

  @Argument(help: "Data directory of a node, or host:port of a running one.", completion: .directory) var place: String
  @Option(help: ArgumentHelp("First entry.", valueName: "place")) var from: String?
  @Option(help: ArgumentHelp("Last entry.", valueName: "place")) var to: String?
  @Option(help: "Only the log of this origin: its place in the register, or a name, which means its newest.")
  var origin: String?
  @Option(help: "At most so many lines.") var limit: Int?
  @Flag(help: "Print batches rather than entries.") var batches = false
  @Option(help: "Member list of the cluster. (default: genesis.json in the directory or above it)") var genesis: String?
  @Flag(help: "Print one JSON object a line.") var json = false

  func validate() throws {
    guard limit ?? 1 >= 1 else { throw ValidationError("--limit must be at least 1.") }
    for (name, text) in [("--from", from), ("--to", to)] {
      guard let text, EntryPlace(text) == nil else { continue }
      throw ValidationError("\(name) \(text) is no place in a log: \(EntryPlace.advice).")
    }
  }

  func run() async throws {
    try await explaining {
      do {
        if NodePlace.isDirectory(place) {
          try printFile()
        } else if let address = Address(place), address.port > 0 {
          try await printNode(address)
        } else {
          throw CommandError(
            "\(place) is neither a directory nor an address", advice: "give a node's data directory, or host:port")
        }
      } catch is LineStream.CleanEnd {
        return
      }
    }
  }

  private func printFile() throws {
    let file = try NodePlace.open(place, genesis: genesis)
    var chosen: OriginIndex?
    if let origin {
      guard let found = file.origin(origin) else { throw CommandError("no origin is called \(origin) in this file") }
      chosen = found
    }
    var printer = LogPrinter(
      text: EntryText(names: file.origins.map(\.name)), origin: chosen, limit: limit, isJSON: json)
    printer.instrument = { try? file.store.order($0)?.order.instrument }
    if let from { printer.from = try EntryPlace(from)?.key(in: file) }
    if let to { printer.to = try EntryPlace(to)?.key(in: file) }
    for instrument in try file.store.instruments() { printer.text.learn(instrument.dot, instrument.entry) }
    var isStopped = false
    let damages = try file.readLog(from: file.bases) { batch in
      if try !printer.take(batch, wholeBatches: batches) { isStopped = true }
      return !isStopped
    }
    if !isStopped { try printer.finish() }
    try printer.out.flush()
    guard !damages.isEmpty else { return }
    for damage in damages { Output.errorLine("\(damage); see `rialto verify \(place)`") }
    throw ExitCode.notGood
  }

  private func printNode(_ address: Address) async throws {
    let client = try await Connecting.connect(to: address, account: AccountID(1))
    let status = try await client.status()
    var names: [String] = []
    for (origin, name) in [(status.origin, status.name)] + status.peers.map({ (Optional($0.origin), $0.name) }) {
      guard let origin else { continue }
      while names.count <= Int(origin) { names.append("") }
      names[Int(origin)] = name
    }
    var chosen: OriginIndex?
    if let origin {
      guard let place = UInt32(origin) ?? names.lastIndex(of: origin).map(UInt32.init) else {
        throw CommandError("no member is called \(origin) at \(address)", advice: "give its place in the register")
      }
      chosen = OriginIndex(place)
    }
    let records = try await client.instruments()
    var printer = LogPrinter(
      text: EntryText(names: names, instruments: records.map { ($0.dot, $0.instrument) }), origin: chosen, limit: limit,
      isJSON: json)
    if let from { printer.from = try await key(from, client) }
    if let to { printer.to = try await key(to, client) }
    var logs = status.vector.indices.map { place in
      RemoteLog(
        origin: OriginIndex(UInt32(place)), next: (place < status.logBase.count ? status.logBase[place] : 0) + 1,
        through: status.vector[place])
    }
    while true {
      for index in logs.indices { try await logs[index].fill(client) }
      let waiting = logs.indices.filter { !logs[$0].batches.isEmpty }
      guard let least = waiting.min(by: { logs[$0].batches[0].firstKey < logs[$1].batches[0].firstKey }) else { break }
      let batch = logs[least].batches.removeFirst()
      guard try printer.take(batch, wholeBatches: batches) else {
        try printer.out.flush()
        return await client.close()
      }
    }
    try printer.finish()
    try printer.out.flush()
    await client.close()
  }

  private func key(_ text: String, _ client: RialtoClient) async throws -> OrderKey? {
    switch EntryPlace(text) {
    case nil: return nil
    case .final?: return OrderKey(stamp: try await client.finalStamp(level: .final), origin: OriginIndex(.max))
    case .key(let key)?: return key
    case .entry(let dot)?:
      let found = try await client.log(of: dot.origin, from: dot.sequence, through: dot.sequence).batches.first
      let batch = try found.map { try $0.decoded() }
      guard let batch, batch.firstSequence <= dot.sequence, dot.sequence <= batch.lastSequence else {
        throw CommandError("entry \(dot) is not in this log")
      }
      return OrderKey(
        stamp: batch.entries[Int(dot.sequence - batch.firstSequence)].stamp, origin: dot.origin)
    }
  }
}

extension LoggedBatch {
  /// - Throws: it is no batch. Its chain is not known here.
  func decoded() throws(CodecError) -> Batch {
    try Batch.decode(SealedBatch(bytes: bytes, view: view, signature: signature), previous: .zero, SHA256())
  }
}

/// One origin's log as a running node gives it, some at a time.
private struct RemoteLog {
  let origin: OriginIndex
  var next: UInt64
  let through: UInt64
  var batches: [Batch] = []

  init(origin: OriginIndex, next: UInt64, through: UInt64) {
    self.origin = origin
    self.next = next
    self.through = through
  }

  mutating func fill(_ client: RialtoClient) async throws {
    guard batches.isEmpty, next <= through else { return }
    for logged in try await client.log(of: origin, from: next, through: through).batches {
      let batch = try logged.decoded()
      guard batch.origin == origin, batch.lastSequence >= next else { continue }
      next = batch.lastSequence + 1
      batches.append(batch)
    }
    // The rest is not on its disk yet.
    if batches.isEmpty { next = through + 1 }
  }
}

/// Merges batches and prints what is asked for.
private struct LogPrinter {
  var text: EntryText
  let origin: OriginIndex?
  var left: Int
  let isJSON: Bool
  var from: OrderKey?
  var to: OrderKey?
  /// Of an order, if it is known.
  var instrument: (Dot) -> Dot? = { _ in nil }
  let out = LineStream()
  private var merge = EntryMerge()

  init(text: EntryText, origin: OriginIndex?, limit: Int?, isJSON: Bool) {
    self.text = text
    self.origin = origin
    left = limit ?? .max
    self.isJSON = isJSON
  }

  /// - Returns: false when nothing more is wanted.
  mutating func take(_ batch: Batch, wholeBatches: Bool) throws -> Bool {
    guard origin == nil || batch.origin == origin else { return true }
    guard wholeBatches else {
      guard try drain(below: batch.firstKey) else { return false }
      merge.add(batch)
      return true
    }
    if let to, batch.firstKey > to { return false }
    if let from, batch.lastKey < from { return true }
    try write(batch)
    left -= 1
    return left > 0
  }

  mutating func finish() throws { _ = try drain(below: nil) }

  private mutating func drain(below limit: OrderKey?) throws -> Bool {
    while let item = merge.next(below: limit) {
      text.learn(item.dot, item.entry)
      if let to, item.key > to { return false }
      if let from, item.key < from { continue }
      try write(item)
      left -= 1
      if left == 0 { return false }
    }
    return true
  }

  private func write(_ item: EntryMerge.Item) throws {
    let named = named(item.entry.payload)
    let words = text.describe(item.entry.payload, instrument: named)
    guard isJSON else {
      return try out.write("\(item.key)  \(item.dot)  \(text.name(item.dot.origin))  \(words)")
    }
    var line = JSONLine()
    line.add("stamp", item.entry.stamp.description)
    line.add("origin", item.dot.origin.value)
    line.add("node", text.name(item.dot.origin))
    line.add("entry", item.dot.description)
    line.add("kind", EntryText.kind(item.entry.payload))
    add(item.entry.payload, named, to: &line)
    line.add("text", words)
    try out.write(line.text)
  }

  private func write(_ batch: Batch) throws {
    guard isJSON else {
      return try out.write(
        "\(batch.firstKey)  \(batch.origin)-\(batch.firstSequence)–\(batch.lastSequence)  \(text.name(batch.origin))"
          + "  \(batch.entries.count) entries, \(batch.bytes.count) bytes, view \(batch.view)")
    }
    var line = JSONLine()
    line.add("origin", batch.origin.value)
    line.add("node", text.name(batch.origin))
    line.add("first", batch.firstSequence)
    line.add("last", batch.lastSequence)
    line.add("first_stamp", batch.firstStamp.description)
    line.add("last_stamp", batch.lastStamp.description)
    line.add("view", batch.view)
    line.add("bytes", batch.bytes.count)
    try out.write(line.text)
  }

  private static func word(_ type: OrderType) -> String {
    switch type {
    case .limit: "limit"
    case .market: "market"
    case .stop: "stop"
    case .stopLimit: "stop-limit"
    }
  }

  /// Instrument of the order that an entry names.
  private func named(_ payload: Payload) -> Dot? {
    switch payload {
    case .fill(let fill): return instrument(fill.maker) ?? instrument(fill.taker)
    case .command(.amend(let amend)):
      if case .dot(let dot) = amend.target { return instrument(dot) }
      return nil
    default: return nil
    }
  }

  private func add(_ payload: Payload, _ named: Dot?, to line: inout JSONLine) {
    switch payload {
    case .command(.order(let order)):
      line.add("symbol", text.symbol(order.instrument))
      line.add("side", order.side.word)
      line.add("type", Self.word(order.type))
      line.add("price", text.price(order.priceTicks, of: order.instrument))
      line.add("quantity", text.quantity(order.quantityLots, of: order.instrument))
      line.add("account", order.account.value)
      if !order.clientOrderID.isNone { line.add("client_order_id", order.clientOrderID.description) }
    case .fill(let fill):
      line.add("maker", fill.maker.description)
      line.add("taker", fill.taker.description)
      line.add("price", text.price(fill.priceTicks, of: named))
      line.add("quantity", text.quantity(fill.quantityLots, of: named))
    case .checkpoint(let attestation):
      line.add("number", attestation.number)
      line.add("fills", attestation.fills)
      line.add("book_hash", attestation.bookHash.description)
      line.add("checkpoint_hash", attestation.checkpointHash.description)
    case .command(.cancel(let cancel)):
      line.add("account", cancel.account.value)
      if case .dot(let dot) = cancel.target { line.add("order", dot.description) }
    case .command(.amend(let amend)):
      line.add("account", amend.account.value)
      if case .dot(let dot) = amend.target { line.add("order", dot.description) }
    case .command(.cancelAll(let all)): line.add("account", all.account.value)
    case .command(.instrument(let defined)): line.add("symbol", defined.symbol.description)
    }
  }
}
