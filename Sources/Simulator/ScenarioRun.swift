import Membership
import OrderBook
import Primitives
import Replica

/// Runs a scenario: one cluster, no clients and no faults but those of the script, all checkers.
///
/// ```swift
/// let result = try ScenarioRun.run(text)
/// for line in result.transcript { print(line) }
/// if let failure = result.failure { … }
/// ```
///
/// After the last step everything is healed, and all must agree, as in any simulation; the transcript does not show
/// that. A text and its seed give the same transcript in every process.
package struct ScenarioRun {
  package struct Result: Equatable, Sendable {
    /// The script, with what happened below each step, indented: a node, or several that said the same within 20 ms,
    /// and virtual time since the script's time 0.
    package var transcript: [String]
    /// The first thing that was not as it must be: an expectation, with its line, or what a checker saw; nil if all
    /// was.
    package var failure: String?
  }

  /// How long the cluster may take to start.
  private static let startSecondsMax: UInt64 = 20
  /// Longer than any scenario.
  private static let forever: UInt64 = 1 << 50
  /// How long a step waits for its condition, and how often it looks; in microseconds.
  private static let conditionMax: UInt64 = 20_000_000
  private static let conditionStep: UInt64 = 50

  let scenario: Scenario
  let simulation: Simulation
  let recorder: ScenarioRecorder
  private var start: UInt64 = 0
  private var failure: String?
  /// Faults that last, the first to end first.
  private var lasting: [(end: UInt64, text: String, fault: Scenario.ScenarioFault)] = []
  /// What was sent first under each id.
  private var sent: [(id: String, order: Order, submission: Int)] = []
  private var symbols: [(symbol: Symbol, submission: Int)] = []

  /// Runs a script to its end.
  /// - Parameters:
  ///   - defects: for tests that show that a scenario sees something.
  ///   - viewDefects: likewise.
  /// - Throws: what is wrong with the text; a run itself does not throw.
  package static func run(
    _ text: String, defects: Defects = [], viewDefects: ViewDefects = []
  ) throws(ScenarioError) -> Result {
    var run = ScenarioRun(try Scenario(text), defects, viewDefects)
    return run.result()
  }

  private init(_ scenario: Scenario, _ defects: Defects, _ viewDefects: ViewDefects) {
    self.scenario = scenario
    var profile = SimulationProfile()
    let settings = scenario.settings
    profile.nodes = settings.nodes
    profile.spares = settings.spares
    profile.fanout = settings.fanout
    profile.transport = settings.transport
    profile.latencyMin = settings.latency.lowerBound
    profile.latencyMax = settings.latency.upperBound
    profile.syncMin = settings.sync.lowerBound
    profile.syncMax = settings.sync.upperBound
    profile.seconds = 0
    // No clients of the simulator's own.
    profile.commandsMax = 0
    recorder = ScenarioRecorder(nodes: settings.nodes, spares: settings.spares)
    simulation = Simulation(
      seed: settings.seed, profile: profile, defects: defects, viewDefects: viewDefects,
      checkers: Checkers.all(nodes: settings.machines) + [recorder])
    recorder.world = simulation
    simulation.observer = recorder
    for node in simulation.nodes {
      node.timeline.listener = { [unowned node, recorder] in recorder.noted($0, node) }
    }
  }

  // MARK: Running

  private mutating func result() -> Result {
    var written = 0
    if warmUp() {
      for step in scenario.steps {
        advance(to: start + step.at)
        guard simulation.violation == nil else { break }
        for line in scenario.lines[written..<step.line] { recorder.echo(line) }
        written = step.line
        if comes(step) { perform(step) }
      }
      if simulation.violation == nil { for line in scenario.lines[written...] { recorder.echo(line) } }
      recorder.end()
      if simulation.violation == nil { simulation.run() }
      if let violation = simulation.violation { fail("\(violation)") }
    }
    return Result(transcript: recorder.transcript, failure: failure)
  }

  /// Starts the cluster; the script's time begins with a whole second.
  private mutating func warmUp() -> Bool {
    for second in 1...Self.startSecondsMax {
      simulation.advance(until: second * 1_000_000)
      guard simulation.violation == nil else { break }
      let members = simulation.nodes.prefix(scenario.settings.nodes)
      let isReady = members.allSatisfy { node in
        guard let process = node.process else { return false }
        let isLinked = members.indices.allSatisfy { $0 == node.index || process.links[$0] != nil }
        return isLinked && process.replica.status.isReady
      }
      guard isReady else { continue }
      start = simulation.now
      simulation.profile.lossPerMille = scenario.settings.lossPerMille
      simulation.profile.duplicatePerMille = scenario.settings.duplicatePerMille
      recorder.begin()
      return true
    }
    fail(simulation.violation.map { "\($0)" } ?? "the cluster did not start within \(Self.startSecondsMax) s")
    return false
  }

  /// Lets time pass, and ends the faults that end meanwhile.
  private mutating func advance(to time: UInt64) {
    while let first = lasting.first, first.end <= time {
      simulation.advance(until: first.end)
      lasting.removeFirst()
      end(first.fault, first.text)
    }
    simulation.advance(until: time)
  }

  /// - Returns: false if what the step waits for does not come.
  private mutating func comes(_ step: Scenario.Step) -> Bool {
    guard let condition = step.condition else { return true }
    let end = simulation.now + Self.conditionMax
    while simulation.violation == nil {
      guard let missing = contradiction(to: condition) else { return true }
      guard simulation.now < end else {
        fail(step, "it was waited for in vain: \(missing)")
        return false
      }
      advance(to: simulation.now + Self.conditionStep)
    }
    return false
  }

  private mutating func fail(_ text: String) { failure = failure ?? text }

  /// Something is not as the script says.
  private mutating func fail(_ step: Scenario.Step, _ text: String) {
    recorder.write("not so: \(text)")
    fail("line \(step.line), ‘\(step.text)’: \(text)")
  }

  private mutating func perform(_ step: Scenario.Step) {
    switch step.action {
    case .request(let node, let request): send(request, to: node, step)
    case .fault(let fault): begin(fault, step)
    case .start(let node):
      simulation.nodes[node].isWanted = true
      simulation.schedule(.start(node: node), after: 0)
    case .heal:
      let faults = lasting
      lasting.removeAll()
      for fault in faults { end(fault.fault, nil) }
      for node in simulation.nodes where node.condition == .down && node.boots > 0 {
        node.isWanted = true
        simulation.schedule(.start(node: node.index), after: 0)
      }
    case .expect(let expectation): if let text = contradiction(to: expectation) { fail(step, text) }
    }
  }

  // MARK: Faults

  private mutating func begin(_ fault: Scenario.ScenarioFault, _ step: Scenario.Step) {
    let happened = simulation.faultCounts
    switch fault.kind {
    case .loss(let perMille):
      // A stream sends again until it arrives.
      simulation.profile.lossPerMille = perMille
    case .duplicates(let perMille): simulation.profile.duplicatePerMille = perMille
    case .cut(let senders, let receivers):
      for from in senders { for to in receivers { simulation.network.cut(from: from, to: to) } }
    case .flippedBit(let dot):
      guard let choice = simulation.nodes[fault.node].disk.choice(of: dot) else {
        return fail(step, "no such entry is on that disk")
      }
      simulation.begin(worldFault(.flippedBit, fault, detail: choice), 0)
      guard simulation.faultCounts != happened else {
        return fail(step, "it cannot happen now: a majority would lose what it has promised")
      }
    case .world(let kind):
      simulation.begin(worldFault(kind, fault, detail: fault.detail), 0)
      guard simulation.faultCounts != happened else {
        return fail(step, "it cannot happen now: the node does not run, or a majority would lose what it has promised")
      }
      let node = simulation.nodes[fault.node]
      if kind == .slow { node.slowness = fault.slowness ?? 0 }
      if kind == .slowDisk { node.disk.slowness = fault.slowness ?? 0 }
    }
    guard fault.lasts else { return }
    let end = fault.duration.map { simulation.now + $0 } ?? Self.forever
    let place = lasting.firstIndex { $0.end > end } ?? lasting.count
    lasting.insert((end, step.text, fault), at: place)
  }

  /// As the simulator knows it. One that lasts is ended here, not there.
  private func worldFault(_ kind: FaultKind, _ fault: Scenario.ScenarioFault, detail: UInt64) -> Fault {
    let duration = fault.lasts ? Self.forever : fault.duration ?? Self.forever
    return Fault(kind: kind, at: simulation.now, microseconds: duration, node: fault.node, detail: detail)
  }

  private mutating func end(_ fault: Scenario.ScenarioFault, _ text: String?) {
    if let text { recorder.write("over: \(text)") }
    switch fault.kind {
    case .loss: simulation.profile.lossPerMille = scenario.settings.lossPerMille
    case .duplicates: simulation.profile.duplicatePerMille = scenario.settings.duplicatePerMille
    case .cut(let senders, let receivers):
      for from in senders { for to in receivers { simulation.network.mend(from: from, to: to) } }
      simulation.releaseStalled()
    case .flippedBit: break
    case .world(let kind): simulation.end(worldFault(kind, fault, detail: fault.detail))
    }
  }

  // MARK: Clients

  /// Milliseconds since 1970 by a clock that is right.
  private var wallMilliseconds: UInt64 { SimulatedClock.wallStartMilliseconds + simulation.now / 1_000 }

  private mutating func send(_ request: Scenario.Request, to node: Int, _ step: Scenario.Step) {
    var after = Stamp.zero
    var label: String?
    let text: String
    let command: Command
    switch request {
    case .define(let symbol):
      (text, label) = ("defines \(symbol)", "\(symbol)")
      command = .instrument(Instrument(symbol: symbol))
      symbols.append((symbol, simulation.clients.submissions.count))
    case .order(let request):
      guard let instrument = instrument(request.symbol) else { return fail(step, "no instrument is defined yet") }
      if let name = request.after {
        guard let stamp = stamp(of: name) else { return fail(step, "\(name) was not accepted yet") }
        after = stamp
      }
      var order = request.order
      order.instrument = instrument
      if let until = request.untilMilliseconds { order.expiry = Stamp(milliseconds: wallMilliseconds + until) }
      if !order.clientOrderID.isNone {
        order.clientTimeMilliseconds = wallMilliseconds
        let id = order.clientOrderID.description
        if !sent.contains(where: { $0.id == id }) { sent.append((id, order, simulation.clients.submissions.count)) }
        label = id
      }
      text = order.text + (label.map { " (\($0))" } ?? "")
      command = .order(order)
    case .repeats(let id):
      guard let first = sent.first(where: { $0.id == id }) else { return fail(step, "\(id) was not sent yet") }
      (text, label) = ("\(first.order.text) (\(id))", id)
      command = .order(first.order)
    case .cancel(let name, let account, let isKnown):
      guard let target = target(name, isKnown) else { return fail(step, "\(name) was not accepted yet") }
      (text, label) = ("cancel \(name)", "cancel \(name)")
      command = .cancel(Cancel(account: account, target: target.order, targetStamp: target.stamp))
    case .amend(let name, var amend, let isKnown):
      guard let target = target(name, isKnown) else { return fail(step, "\(name) was not accepted yet") }
      (text, label) = ("amend \(name)", "amend \(name)")
      (amend.target, amend.targetStamp) = (target.order, target.stamp)
      command = .amend(amend)
    case .cancelAll(let account, let symbol):
      (text, label) = ("cancel-all of account \(account)", "cancel-all")
      command = .cancelAll(CancelAll(account: account, instrument: symbol.flatMap { instrument($0) } ?? .none))
    }
    let submission = simulation.clients.add([command], client: 0, node: node, isRepeatable: false)
    simulation.clients.submissions[submission].after = after
    recorder.ask(submission, text, label: label)
    if simulation.nodes[node].process == nil { recorder.write(simulation.nodes[node], "does not run: \(text) is lost") }
    simulation.schedule(.request(node: node, submission: submission), after: 0)
  }

  /// The dot of a symbol's definition, as the client that defined it first was told; of the first symbol if nil.
  func instrument(_ symbol: Symbol?) -> Dot? {
    for definition in symbols where symbol == nil || definition.symbol == symbol {
      if let accepted = recorder.accepted.first(where: { $0.submission == definition.submission }) {
        return accepted.dot
      }
    }
    return nil
  }

  /// The submission that a name stands for: the first that had the id, or whatever became that entry.
  func submission(_ name: Scenario.OrderName) -> Int? {
    switch name {
    case .id(let id): sent.first { $0.id == id }?.submission
    case .dot(let dot): recorder.accepted.first { $0.dot == dot }?.submission
    }
  }

  /// The entry that a name stands for, once its client was told.
  func dot(of name: Scenario.OrderName) -> Dot? {
    guard let submission = submission(name) else { return nil }
    return recorder.accepted.first { $0.submission == submission }?.dot
  }

  private func stamp(of name: Scenario.OrderName) -> Stamp? {
    guard let submission = submission(name) else { return nil }
    return recorder.accepted.first { $0.submission == submission }?.stamp
  }

  private func target(_ name: Scenario.OrderName, _ isKnown: Bool) -> (order: OrderReference, stamp: Stamp)? {
    let reference: OrderReference
    switch name {
    case .dot(let dot): reference = .dot(dot)
    case .id(let id): reference = .client(ClientOrderID(id) ?? .none)
    }
    guard isKnown else { return (reference, .zero) }
    return stamp(of: name).map { (reference, $0) }
  }
}

extension Scenario.ScenarioFault {
  /// Whether it holds until something ends it; else it happens at once, and its time is when a node starts again.
  fileprivate var lasts: Bool {
    switch kind {
    case .loss, .duplicates, .cut: return true
    case .flippedBit: return false
    case .world(let kind):
      switch kind {
      case .partition, .oneWayPartition, .cutLink, .oneWayCut, .pause, .slow, .clockAhead, .clockBack, .slowDisk,
        .fullDisk,
        .readError, .leave:
        return true
      case .reset, .crash, .powerLoss, .failedSync, .flippedBit, .wipedDisk, .join, .flippedBook, .skippedFill,
        .damagedRow:
        return false
      }
    }
  }
}

extension Order {
  /// In the words of a script, without its options.
  fileprivate var text: String {
    let price =
      switch type {
      case .limit: "@ \(priceTicks)"
      case .market: "market"
      case .stop: "stop \(stopPriceTicks)"
      case .stopLimit: "@ \(priceTicks) stop \(stopPriceTicks)"
      }
    return "\(side) \(quantityLots) \(price)"
  }
}

extension SimulatedDisk {
  /// What makes `flipBit` choose the batch with an entry, and a bit somewhere in it.
  fileprivate func choice(of dot: Dot) -> UInt64? {
    guard dot.origin.int < logs.count,
      let row = logs[dot.origin.int].firstIndex(where: {
        $0.firstSequence <= dot.sequence && dot.sequence <= $0.lastSequence
      })
    else { return nil }
    let place = UInt64(logs[..<dot.origin.int].reduce(0) { $0 + $1.count } + row)
    return place + (UInt64(logs.reduce(0) { $0 + $1.count }) * 5) << 20
  }
}
