import OrderBook
import Primitives
import Replica

/// What clients send, hear and send again.
extension Simulation {
  func burst() {
    guard !isHealing else { return }
    if let most = profile.commandsMax, clients.commandsSent >= most { return }
    let millis = SimulatedClock.wallStartMilliseconds + now / 1000
    if clients.instrument.isNone {
      // The first thing that happens: the instrument is defined through one node, until it is.
      if clients.submissions.isEmpty {
        guard let symbol = Symbol("BTC-USD") else { preconditionFailure("a symbol that is one") }
        let define = Command.instrument(Instrument(symbol: symbol))
        post(clients.add([define], client: 0, node: 0, isRepeatable: true))
      }
    } else {
      for submission in clients.burst(profile, clientTimeMilliseconds: millis) { post(submission) }
    }
    schedule(.burst, after: profile.burstMicroseconds / 2 + generator.below(profile.burstMicroseconds))
  }

  private func post(_ submission: Int) {
    schedule(.request(node: clients.submissions[submission].node, submission: submission), after: latency())
    schedule(.answerDue(submission: submission), after: Clients.patienceMicroseconds)
  }

  /// A submission arrives at a node.
  func receive(_ submission: Int, at index: Int) {
    guard let boot = nodes[index].process?.boot else { return }
    whenFree(.request(node: index, submission: submission), index, boot) { node, process in
      let entry = clients.submissions[submission]
      guard entry.node == index, !entry.isAnswered else { return }
      let request = UInt64(submission) << 16 | UInt64(entry.attempts) << 8
      node.timeline.note(.submitted(submission: submission, commands: entry.commands.count), at: now)
      give(
        .submit(
          Submission(
            session: SessionID(UInt64(entry.client) + 1), firstRequest: request, after: entry.after,
            commands: entry.commands, wantsReports: entry.wantsReports)), to: node, process)
    }
  }

  /// A node says that it has taken a submission: from here on it is promised.
  func accepted(_ request: UInt64, _ first: Dot, _ stamps: [Stamp], _ node: SimulatedNode) {
    let submission = Int(request >> 16)
    let commands = clients.submissions[submission].commands
    let entries = commands.enumerated().map { index, command in
      Acknowledged(
        dot: Dot(origin: first.origin, sequence: first.sequence + UInt64(index)), stamp: stamps[index],
        command: command)
    }
    acknowledge(entries, areFollowed: clients.submissions[submission].wantsReports, node)
    let after = clients.submissions[submission].after
    if let early = stamps.first(where: { $0 <= after }) {
      fail("stamps", "\(first) has the stamp \(early), its client had asked for one after \(after)")
    }
    clients.wasTold(entries, client: clients.submissions[submission].client)
    guard !clients.submissions[submission].isAnswered else { return }
    clients.submissions[submission].isAnswered = true
    if case .instrument? = commands.first, clients.instrument.isNone { clients.instrument = first }
  }

  func refused(_ request: UInt64) {
    let submission = Int(request >> 16)
    guard !clients.submissions[submission].isAnswered else { return }
    // It had no effect, so it may be sent to another node at once, whatever is in it.
    again(submission, after: 50_000)
  }

  /// No answer within the client's patience.
  func retry(_ submission: Int) {
    guard !clients.submissions[submission].isAnswered, clients.submissions[submission].isRepeatable else { return }
    again(submission, after: 0)
  }

  private func again(_ submission: Int, after delay: UInt64) {
    guard !isHealing, clients.submissions[submission].attempts < Clients.attemptsMax else {
      // An instrument is needed whatever happens.
      if submission == 0, !isHealing {
        clients.submissions[0].attempts = 0
      } else {
        return
      }
      return again(submission, after: 100_000)
    }
    clients.submissions[submission].attempts += 1
    clients.submissions[submission].node = clients.other(clients.submissions[submission].node)
    schedule(.request(node: clients.submissions[submission].node, submission: submission), after: delay + latency())
    schedule(.answerDue(submission: submission), after: delay + Clients.patienceMicroseconds)
  }
}
