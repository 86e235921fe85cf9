import ArgumentParser
import Client
import Flow
import OrderBook
import Primitives

extension RandomFlow.Mix: ExpressibleByArgument {}

/// `rialto flow`: the submitting client.
struct FlowCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "flow",
    abstract: "Sends an order flow to running nodes, or writes a random one to a file.",
    discussion: """
      FLOW is 'random' or a CSV file as 'rialto replay' reads it. A random flow
      looks like a market: a random-walk mid price with bursts, sizes with a
      heavy tail, about 45 % cancels; the same --seed gives the same flow. With
      --mix all it also has stops, icebergs, post-only and good-till-date orders
      of four accounts with self-trade prevention.

      A file's column 'account' says whose an operation is; where it says
      nothing, --account does. Each account gets its own connection to each node.
      An order with an 'expire' leaves so many milliseconds after it was sent.

      Operations go to the given nodes in turn. Without --rate, as fast as
      answers come, with up to 1,000 unanswered at each node. What could not be
      taken is sent again; an order's client id takes effect once.

      Examples:
        rialto flow random --to 127.0.0.1:7001,127.0.0.1:7002 --seconds 10
        rialto flow random --to 127.0.0.1:7001 --rate 500 --seed 7 --json
        rialto flow orders.csv --to 127.0.0.1:7001,127.0.0.1:7002 --causal
        rialto flow random --count 100000 --seed 7 --out flow.csv
        rialto flow random --mix all --seconds 10 --to 127.0.0.1:7001

      Exit codes: 0 everything was accepted; 1 something was refused or its
      fate is not known; 2 could not (no node, malformed file).
      """)

  @Argument(help: ArgumentHelp("'random', or a CSV file of operations; - for stdin.", valueName: "flow"))
  var flow: String

  @Option(help: ArgumentHelp("Nodes to send to, with commas between them.", valueName: "host:port,…"))
  var to: AddressList?

  @Option(help: "Operations per second to all nodes together; without it, as fast as answers come.")
  var rate: Int?

  @Option(help: "Stop after this time; random flow: 30 unless --count is given.")
  var seconds: Int?

  @Option(help: "Seed of the random flow; without it, a new one that is printed.")
  var seed: UInt64?

  @Option(help: "Stop after this many operations.")
  var count: Int?

  @Flag(help: "Wait for each answer and pass its stamp on, so that the flow's order is the total order.")
  var causal = false

  @Option(help: "Which orders a random flow has: basic or all.")
  var mix: RandomFlow.Mix = .basic

  @Option(help: "Account in whose name the orders are placed; the first of four with --mix all.")
  var account: UInt64 = 1

  @Option(help: "Instrument; defined first, with tick 0.01 and lot 0.00000001, if the cluster does not know it.")
  var symbol = Instruments.defaultSymbol

  @Option(help: ArgumentHelp("Mid price at which the random flow starts, in ticks.", valueName: "ticks"))
  var mid: Int64?

  @Option(help: ArgumentHelp("Id of the random flow's first order; without it, one that is new.", valueName: "id"))
  var firstID: UInt64?

  @Option(help: ArgumentHelp("Write the flow to this CSV file (- for stdout) and do not send it.", valueName: "file"))
  var out: String?

  @Flag(help: "Print the result as one JSON object on one line.")
  var json = false

  /// Operations that a written random flow has unless told otherwise.
  private static let writtenCount = 100_000
  private static let secondsDefault = 30

  func validate() throws {
    if (to == nil) == (out == nil) {
      throw ValidationError("Say either where to send the flow (--to host:port) or where to write it (--out FILE).")
    }
    for (name, value) in [("rate", rate), ("seconds", seconds), ("count", count)] {
      if let value, value < 1 { throw ValidationError("--\(name) must be at least 1.") }
    }
    if let rate, rate > 1_000_000_000 { throw ValidationError("--rate must be at most 1,000,000,000.") }
    if !configuration(seed: 0).isValid {
      let least = RandomFlow.Configuration.midPriceTicksMin
      throw ValidationError("--mid must be \(least) to 2^60, --first-id at most 2^61, and so --account with --mix all.")
    }
    if mix != .basic, !isRandom { throw ValidationError("--mix is for a random flow; a file says what it has.") }
  }

  func run() async throws {
    try await explaining {
      if let out {
        try write(to: out)
      } else {
        try await send()
      }
    }
  }

  private var isRandom: Bool { flow == "random" }

  private func configuration(seed: UInt64) -> RandomFlow.Configuration {
    var configuration = RandomFlow.Configuration(firstID: firstID ?? 1, mix: mix)
    if mix == .all { configuration.firstAccount = account }
    if let mid { configuration.midPriceTicks = mid }
    return configuration
  }

  /// - Parameter firstIDDefault: of a random flow, unless the user names one.
  private func source(firstIDDefault: UInt64) throws -> FlowSource {
    guard isRandom else { return FlowSource(try readFlow(flow), count: count) }
    var generator = SystemRandomNumberGenerator()
    let seed = seed ?? generator.next() >> 32
    if self.seed == nil { Output.note("seed \(seed)") }
    var configuration = configuration(seed: seed)
    configuration.firstID = firstID ?? firstIDDefault
    return FlowSource(RandomFlow(seed: seed, configuration: configuration), count: count)
  }

  // MARK: To a file

  private func write(to path: String) throws {
    var source = try source(firstIDDefault: 1)
    let file = path == "-" ? nil : try AtomicFile(path)
    var written = 0
    let countMax = count ?? (isRandom ? Self.writtenCount : .max)
    let columns = source.columns(ofFirst: countMax)
    var bytes = Array((FlowFile.header(columns) + "\n").utf8)
    while written < countMax, let operation = source.next() {
      FlowFile.write(operation, columns: columns, to: &bytes)
      written += 1
      if bytes.count > 1 << 16 {
        try emit(&bytes, to: file)
      }
    }
    try emit(&bytes, to: file)
    try file?.commit()
    Output.note("\(written.grouped) operations written to \(path == "-" ? "stdout" : path)")
    if json, file != nil {
      var line = JSONLine()
      line.add("operations", written)
      line.add("file", path)
      Output.result(line.text)
    }
  }

  private func emit(_ bytes: inout [UInt8], to file: AtomicFile?) throws {
    if let file { try file.write(bytes) } else { try Files.writeToStdout(bytes) }
    bytes.removeAll(keepingCapacity: true)
  }

  // MARK: To nodes

  private func send() async throws {
    let instrument = try Instruments.standard(parseSymbol(symbol))
    guard let addresses = to else { throw CommandError("no address was given", advice: "--to host:port") }
    // Ids of different runs must differ, or the second run's orders would only be other names for the first one's.
    let source = try source(firstIDDefault: WallClock.milliseconds << 20)
    let account = AccountID(account)
    let accounts = try Connecting.checked(source.accounts(besides: account))
    var nodes: [FlowNode] = []
    for account in accounts {
      let clients = try await Connecting.connect(toAll: addresses.addresses, account: account)
      nodes += zip(clients, addresses.addresses).map { client, address in
        FlowNode(name: client.welcome.nodeName, account: account, client: client) {
          try await Connecting.connect(to: address, account: account)
        }
      }
    }
    let record = try await Instruments.findOrDefine(
      instrument, at: nodes.prefix(addresses.addresses.count).map(\.client))
    var settings = FlowDriver.Settings(instrument: record.dot, account: account)
    settings.ratePerSecond = rate
    settings.isCausal = causal
    let driver = FlowDriver(nodes: nodes, settings: settings)
    let signals = StopSignals { _ in driver.stop() }
    let watcher = Task { await watch(driver) }
    let report = await driver.run(source)
    watcher.cancel()
    signals.cancel()
    Output.progress("")
    for node in nodes { await node.client.close() }
    tell(report)
    if !report.isGood { throw ExitCode.notGood }
  }

  /// Once a second, how it goes; and the end of the time.
  private func watch(_ driver: FlowDriver) async {
    let limit = seconds ?? (isRandom && count == nil ? Self.secondsDefault : .max)
    var second = 0
    var last = 0
    while second < limit {
      do { try await Task.sleep(for: .seconds(1)) } catch { return }
      second += 1
      let accepted = driver.counts().reduce(0) { $0 + $1.counts.accepted }
      let line = "\(second) s  \(accepted.grouped) accepted  \((accepted - last).short)/s"
      if Output.isTerminal { Output.progress(line) } else { Output.note(line) }
      last = accepted
    }
    driver.stop()
  }

  private func tell(_ report: FlowReport) {
    var table = TextTable([
      ("node", .left), ("accepted", .right), ("refused", .right), ("again", .right), ("p50", .right), ("p99", .right),
      ("max", .right),
    ])
    for (name, counts) in report.nodes + [("all", report.total)] {
      table.add([
        name, counts.accepted.grouped, counts.refused.grouped, counts.retried.grouped,
        counts.latency.percentile(permille: 500).short, counts.latency.percentile(permille: 990).short,
        counts.latency.max.short,
      ])
    }
    table.note()
    if let refusal = report.total.firstRefusal { Output.note("first refusal: \(refusal)") }
    if report.total.unknown > 0 { Output.note("not answered: \(report.total.unknown.grouped)") }
    guard json else {
      Output.result(
        "\(report.total.accepted.grouped) accepted in \(report.duration.short): \(report.acceptedPerSecond.short)/s")
      return
    }
    var line = JSONLine()
    line.add("accepted", report.total.accepted)
    line.add("refused", report.total.refused)
    line.add("retried", report.total.retried)
    line.add("unknown", report.total.unknown)
    line.add("seconds", seconds: report.duration)
    line.add("orders_per_second", report.acceptedPerSecond)
    for (name, permille) in [("p50", 500), ("p90", 900), ("p99", 990), ("p999", 999)] {
      line.add("latency_us_\(name)", report.total.latency.percentile(permille: permille).microseconds)
    }
    line.add("latency_us_max", report.total.latency.maxMicroseconds)
    Output.result(line.text)
  }
}
